/* kern_simd_attn.h - attention in vectors; see struct kern_attn for the rule.
 *
 * Included once by each kern_simd_<isa>.c.  A score is one vector of partial sums over the head's
 * dimensions; an output lane adds its block's positions in order.
 */
#ifndef KERNELS_KERN_SIMD_ATTN_H
#define KERNELS_KERN_SIMD_ATTN_H

#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

#ifdef KERN_SIMD

#define ATTN_WIDE 4     /* vectors of the output that one pass over a block keeps in registers */

KERN_INLINE kern_vf kv_load(uint32_t type, const void *p, size_t i)
{
	return type == KERN_F16 ? kern_vload_f16((const uint16_t *)p + i) : kern_vload((const float *)p + i);
}

KERN_INLINE kern_vf kv_load_n(uint32_t type, const void *p, size_t i, uint32_t n)
{
	return type == KERN_F16 ? kern_vload_f16_n((const uint16_t *)p + i, n) :
				  kern_vload_n((const float *)p + i, n);
}

KERN_INLINE float kv_dot(uint32_t type, const float *q, const void *k, size_t row, uint32_t dim)
{
	kern_vf acc = kern_vset1(0.0f);
	uint32_t i;

	for (i = 0; i + KERN_LANES <= dim; i += KERN_LANES)
		acc = kern_vfma(kern_vload(q + i), kv_load(type, k, row + i), acc);
	if (i < dim)
		acc = kern_vfma(kern_vload_n(q + i, dim - i), kv_load_n(type, k, row + i, dim - i), acc);
	return kern_vsum(acc);
}

/* Scores of positions j0 .. j0 + n - 1 into s; returns the largest. */
KERN_INLINE float block_scores(const struct kern_attn *p, uint32_t type, const float *q, uint32_t j0, uint32_t n,
			       float *s)
{
	float top = 0.0f;
	uint32_t j;

	for (j = 0; j < n; j++) {
		s[j] = kv_dot(type, q, p->k, (j0 + j) * p->k_stride, p->k_dim) * p->scale;
		if (j == 0 || s[j] > top)
			top = s[j];
	}
	return top;
}

/* s[j] = e^(s[j] - top); returns their sum. */
KERN_INLINE float block_weights(float *s, uint32_t n, float top)
{
	kern_vf t = kern_vset1(top), sum = kern_vset1(0.0f), e;
	uint32_t j;

	for (j = 0; j + KERN_LANES <= n; j += KERN_LANES) {
		e = kern_vexp(kern_vsub(kern_vload(s + j), t));
		kern_vstore(s + j, e);
		sum = kern_vadd(sum, e);
	}
	if (j < n) {
		kern_vstore_n(s + j, kern_vexp(kern_vsub(kern_vload_n(s + j, n - j), t)), n - j);
		sum = kern_vadd(sum, kern_vload_n(s + j, n - j));
	}
	return kern_vsum(sum);
}

/* out[i] = first ? acc : out[i] * keep + acc * take */
KERN_INLINE kern_vf merged(kern_vf old, kern_vf acc, float keep, float take)
{
	return kern_vfma(old, kern_vset1(keep), kern_vmul(acc, kern_vset1(take)));
}

/* Adds the block's weighted values to out, `wide` whole vectors of it from dimension i on. */
KERN_INLINE void block_values(const struct kern_attn *p, uint32_t type, const float *s, uint32_t j0, uint32_t n,
			      float *out, uint32_t i, int wide, const float *keep_take)
{
	kern_vf acc[ATTN_WIDE];
	uint32_t j;
	int w;

	KERN_UNROLL
	for (w = 0; w < wide; w++)
		acc[w] = kern_vset1(0.0f);
	for (j = 0; j < n; j++) {
		size_t row = (j0 + j) * p->v_stride + i;
		kern_vf weight = kern_vset1(s[j]);

		KERN_UNROLL
		for (w = 0; w < wide; w++)
			acc[w] = kern_vfma(weight, kv_load(type, p->v, row + (size_t)w * KERN_LANES), acc[w]);
	}
	KERN_UNROLL
	for (w = 0; w < wide; w++) {
		float *o = out + i + w * KERN_LANES;

		kern_vstore(o, merged(kern_vload(o), acc[w], keep_take[0], keep_take[1]));
	}
}

/* The same for the last n_dim < LANES dimensions. */
KERN_INLINE void block_values_n(const struct kern_attn *p, uint32_t type, const float *s, uint32_t j0, uint32_t n,
				float *out, uint32_t i, uint32_t n_dim, const float *keep_take)
{
	kern_vf acc = kern_vset1(0.0f);
	uint32_t j;

	for (j = 0; j < n; j++)
		acc = kern_vfma(kern_vset1(s[j]), kv_load_n(type, p->v, (j0 + j) * p->v_stride + i, n_dim), acc);
	kern_vstore_n(out + i, merged(kern_vload_n(out + i, n_dim), acc, keep_take[0], keep_take[1]), n_dim);
}

KERN_INLINE void all_values(const struct kern_attn *p, uint32_t type, const float *s, uint32_t j0, uint32_t n,
			    float *out, const float *keep_take)
{
	uint32_t i = 0;

	for (; i + ATTN_WIDE * KERN_LANES <= p->v_dim; i += ATTN_WIDE * KERN_LANES)
		block_values(p, type, s, j0, n, out, i, ATTN_WIDE, keep_take);
	for (; i + KERN_LANES <= p->v_dim; i += KERN_LANES)
		block_values(p, type, s, j0, n, out, i, 1, keep_take);
	if (i < p->v_dim)
		block_values_n(p, type, s, j0, n, out, i, p->v_dim - i, keep_take);
}

/* One query head: blocks left to right, each merged into what stands in out. */
KERN_INLINE void attn_head(const struct kern_attn *p, const float *q, float *out)
{
	float s[KERN_ATTN_BLOCK], top = 0.0f, norm = 0.0f;
	uint32_t j0, n, i;

	memset(out, 0, p->v_dim * sizeof(*out));
	for (j0 = 0; j0 < p->n_kv; j0 += n) {
		float block_top, block_norm, all_top, keep_take[2];

		n = p->n_kv - j0 < KERN_ATTN_BLOCK ? p->n_kv - j0 : KERN_ATTN_BLOCK;
		block_top = p->k_type == KERN_F16 ? block_scores(p, KERN_F16, q, j0, n, s) :
						    block_scores(p, KERN_F32, q, j0, n, s);
		block_norm = block_weights(s, n, block_top);
		all_top = j0 == 0 || block_top > top ? block_top : top;
		keep_take[0] = j0 == 0 ? 0.0f : kern_expf(top - all_top);
		keep_take[1] = kern_expf(block_top - all_top);
		if (p->v_type == KERN_F16)
			all_values(p, KERN_F16, s, j0, n, out, keep_take);
		else
			all_values(p, KERN_F32, s, j0, n, out, keep_take);
		norm = norm * keep_take[0] + block_norm * keep_take[1];
		top = all_top;
	}
	for (i = 0; i < p->v_dim; i++)
		out[i] /= norm;
}

void KERN_FN(kern_attn)(const struct kern_attn *p)
{
	uint32_t h;

	for (h = 0; h < p->n_group; h++)
		attn_head(p, p->q + (size_t)h * p->k_dim, p->out + (size_t)h * p->v_dim);
}

#endif
#endif
