/* kern_attn_ref.c - attention, one value at a time, sums in f64. */
#include "kernels/kern_exp.h"
#include "kernels/kern_internal.h"

static float kv_at(uint32_t type, const void *p, size_t i)
{
	return type == KERN_F16 ? kern_f16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

/* Scores of positions j0 .. j0 + n - 1 into s; returns the largest. */
static float block_scores(const struct kern_attn *p, const float *q, uint32_t j0, uint32_t n, float *s)
{
	float top = 0.0f;
	uint32_t j, i;

	for (j = 0; j < n; j++) {
		size_t row = (j0 + j) * p->k_stride;
		double sum = 0.0;

		for (i = 0; i < p->k_dim; i++)
			sum += (double)q[i] * (double)kv_at(p->k_type, p->k, row + i);
		s[j] = (float)sum * p->scale;
		if (j == 0 || s[j] > top)
			top = s[j];
	}
	return top;
}

/* One query head: blocks left to right, each merged into what stands in out. */
static void attn_head(const struct kern_attn *p, const float *q, float *out)
{
	float s[KERN_ATTN_BLOCK], top = 0.0f, norm = 0.0f;
	uint32_t j0, j, n, i;

	for (j0 = 0; j0 < p->n_kv; j0 += n) {
		float block_top, block_norm, all_top, keep, take;
		double sum = 0.0;

		n = p->n_kv - j0 < KERN_ATTN_BLOCK ? p->n_kv - j0 : KERN_ATTN_BLOCK;
		block_top = block_scores(p, q, j0, n, s);
		for (j = 0; j < n; j++) {
			s[j] = kern_expf(s[j] - block_top);
			sum += (double)s[j];
		}
		block_norm = (float)sum;
		all_top = j0 == 0 || block_top > top ? block_top : top;
		keep = j0 == 0 ? 0.0f : kern_expf(top - all_top);
		take = kern_expf(block_top - all_top);
		for (i = 0; i < p->v_dim; i++) {
			double acc = 0.0;

			for (j = 0; j < n; j++)
				acc += (double)s[j] * (double)kv_at(p->v_type, p->v, (j0 + j) * p->v_stride + i);
			out[i] = (j0 == 0 ? 0.0f : out[i] * keep) + (float)acc * take;
		}
		norm = norm * keep + block_norm * take;
		top = all_top;
	}
	for (i = 0; i < p->v_dim; i++)
		out[i] /= norm;
}

void kern_attn_ref(const struct kern_attn *p)
{
	uint32_t h;

	for (h = 0; h < p->n_group; h++)
		attn_head(p, p->q + (size_t)h * p->k_dim, p->out + (size_t)h * p->v_dim);
}
