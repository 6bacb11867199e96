/* kern_simd_elem.h - quantising activations, norm, gated activation and addition in vectors.
 *
 * Included once by each kern_simd_<isa>.c.  kern_quantise gives the same bits as the reference.
 */
#ifndef KERNELS_KERN_SIMD_ELEM_H
#define KERNELS_KERN_SIMD_ELEM_H

#include <float.h>
#include <math.h>

#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

#ifdef KERN_SIMD

/* ---- 8-bit activations: see kern_quantise_ref.c for the rule ---------------------------------- */

/* The bits of the largest magnitude of n values, n a multiple of 32. */
KERN_INLINE uint32_t top_bits(const float *x, uint32_t n)
{
	const __m256i mag = _mm256_set1_epi32(0x7fffffff);
	__m256i top = _mm256_setzero_si256();
	__m128i m;
	uint32_t i;

	for (i = 0; i < n; i += 8)
		top = _mm256_max_epu32(top, _mm256_and_si256(mag, _mm256_loadu_si256((const __m256i *)(const void *)(x + i))));
	m = _mm_max_epu32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
	m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
	m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(m);
}

/* q[0 .. 32) = round(x * inv) */
KERN_INLINE void round_32(const float *x, __m256 inv, int8_t *q)
{
	__m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inv));
	__m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), inv));
	__m256i c = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16), inv));
	__m256i d = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 24), inv));
	__m256i all = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));

	/* packing works within 128-bit halves: put the groups of four back in order */
	all = _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	_mm256_storeu_si256((__m256i *)(void *)q, all);
}

KERN_INLINE float quantise_block(const float *x, uint32_t n, int8_t *q)
{
	uint32_t i, top = top_bits(x, n);
	float amax = kern_f32_from_bits(top), inv = top != 0 ? 127.0f / amax : 0.0f;

	if (top >= 0x7f800000u || !(inv <= FLT_MAX)) {
		memset(q, 0, n);
		return top >= 0x7f800000u ? amax : 0.0f;
	}
	for (i = 0; i < n; i += 32)
		round_32(x + i, _mm256_set1_ps(inv), q + i);
	return amax / 127.0f;
}

/* The sums of n blocks of 16 or 32 q each. */
KERN_INLINE void block_sums(const int8_t *q, int16_t *sums, uint32_t n, uint32_t size)
{
	const __m256i ones = _mm256_set1_epi16(1);
	uint32_t i;

	for (i = 0; i < n; i++, q += size) {
		__m256i s = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)q));
		__m128i h;

		if (size == 32)
			s = _mm256_add_epi16(s, _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(q + 16))));
		s = _mm256_madd_epi16(s, ones);
		h = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
		h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
		h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0xb1));
		sums[i] = (int16_t)_mm_cvtsi128_si32(h);
	}
}

void KERN_FN(kern_quantise)(const struct kern_acts *a, uint32_t tok0, uint32_t tok1)
{
	uint32_t t, b, n, size = a->kind == KERN_ACT_Q8K ? 256 : 32;

	if (a->kind != KERN_ACT_Q8 && a->kind != KERN_ACT_Q8K)
		return;
	n = a->cols / size;
	for (t = tok0; t < tok1; t++) {
		const float *x = a->x + (size_t)t * a->cols;
		int8_t *q = a->q + (size_t)t * a->n_blk * size;
		float *d = a->d + (size_t)t * a->n_blk;

		for (b = 0; b < n; b++)
			d[b] = quantise_block(x + (size_t)b * size, size, q + (size_t)b * size);
		for (; b < a->n_blk; b++) {
			d[b] = 0.0f;
			memset(q + (size_t)b * size, 0, size);
		}
		if (a->kind == KERN_ACT_Q8K)
			block_sums(q, a->sums + (size_t)t * a->n_blk * 16, a->n_blk * 16, 16);
		else
			block_sums(q, a->sums + (size_t)t * a->n_blk, a->n_blk, 32);
	}
}

/* ---- element-wise ------------------------------------------------------------------------------ */

/* The sum of (x[i] - mean)^2, or of x[i], in f64: lane i of eight takes values i, i + 8, ... */
KERN_INLINE double value_sum(const float *x, uint32_t n, double mean, bool squares)
{
	double lane[8] = { 0 };
	__m256d lo = _mm256_setzero_pd(), hi = _mm256_setzero_pd(), m = _mm256_set1_pd(mean);
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		__m256d a = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i)), m);
		__m256d b = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i + 4)), m);

		lo = squares ? _mm256_fmadd_pd(a, a, lo) : _mm256_add_pd(a, lo);
		hi = squares ? _mm256_fmadd_pd(b, b, hi) : _mm256_add_pd(b, hi);
	}
	_mm256_storeu_pd(lane, lo);
	_mm256_storeu_pd(lane + 4, hi);
	for (; i < n; i++) {
		double v = (double)x[i] - mean;

		lane[i % 8] += squares ? v * v : v;
	}
	return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

/* v * w + b, where there are such. */
KERN_INLINE kern_vf norm_weighted(const struct kern_norm *p, kern_vf v, uint32_t i, uint32_t n)
{
	if (p->w != NULL)
		v = kern_vmul(v, n == KERN_LANES ? kern_vload(p->w + i) : kern_vload_n(p->w + i, n));
	if (p->b != NULL)
		v = kern_vadd(v, n == KERN_LANES ? kern_vload(p->b + i) : kern_vload_n(p->b + i, n));
	return v;
}

KERN_INLINE void norm_row(const struct kern_norm *p, const float *x, float *y)
{
	double mean = p->kind == KERN_NORM_LAYER ? value_sum(x, p->n, 0.0, false) / p->n : 0.0;
	double squares = value_sum(x, p->n, mean, true);
	double scale = p->kind == KERN_NORM_L2 ? 1.0 / fmax(sqrt(squares), (double)p->eps) :
						1.0 / sqrt(squares / p->n + (double)p->eps);
	kern_vf m = kern_vset1((float)mean), s = kern_vset1((float)scale);
	uint32_t i;

	for (i = 0; i + KERN_LANES <= p->n; i += KERN_LANES)
		kern_vstore(y + i, norm_weighted(p, kern_vmul(kern_vsub(kern_vload(x + i), m), s), i, KERN_LANES));
	if (i < p->n)
		kern_vstore_n(y + i, norm_weighted(p, kern_vmul(kern_vsub(kern_vload_n(x + i, p->n - i), m), s), i, p->n - i),
			      p->n - i);
}

void KERN_FN(kern_norm)(const struct kern_norm *p, uint32_t row0, uint32_t row1)
{
	uint32_t t;

	for (t = row0; t < row1; t++)
		norm_row(p, p->x + (size_t)t * p->n, p->y + (size_t)t * p->n);
}

/* x / (1 + e^-z) */
KERN_INLINE kern_vf over_1_exp(kern_vf x, kern_vf z)
{
	return kern_vdiv(x, kern_vadd(kern_vset1(1.0f), kern_vexp(kern_vsub(kern_vset1(0.0f), z))));
}

KERN_INLINE kern_vf glu_act(enum kern_glu_kind kind, kern_vf x)
{
	kern_vf one = kern_vset1(1.0f), z;

	switch (kind) {
	case KERN_GLU_SILU:
		return over_1_exp(x, x);
	case KERN_GLU_GELU:
		z = kern_vfma(kern_vmul(x, x), kern_vset1(KERN_GELU_CUBE), one);
		return over_1_exp(x, kern_vmul(kern_vmul(x, kern_vset1(2.0f * KERN_GELU_SCALE)), z));
	case KERN_GLU_OAI:
		x = kern_vmin(kern_vset1(KERN_OAI_LIMIT), x);
		return over_1_exp(x, kern_vmul(x, kern_vset1(KERN_OAI_ALPHA)));
	case KERN_GLU_SIGMOID:
		break;
	}
	return over_1_exp(one, x);
}

KERN_INLINE kern_vf glu_value(enum kern_glu_kind kind, kern_vf g, kern_vf u)
{
	if (kind == KERN_GLU_OAI) {
		u = kern_vmax(kern_vset1(-KERN_OAI_LIMIT), kern_vmin(kern_vset1(KERN_OAI_LIMIT), u));
		u = kern_vadd(u, kern_vset1(1.0f));
	}
	return kern_vmul(glu_act(kind, g), u);
}

KERN_INLINE void glu_all(const struct kern_glu *p, enum kern_glu_kind kind)
{
	uint32_t rest = (uint32_t)(p->n % KERN_LANES);
	kern_vf one = kern_vset1(1.0f);
	size_t i;

	for (i = 0; i + KERN_LANES <= p->n; i += KERN_LANES)
		kern_vstore(p->g + i, glu_value(kind, kern_vload(p->g + i), p->u != NULL ? kern_vload(p->u + i) : one));
	if (rest != 0)
		kern_vstore_n(p->g + i, glu_value(kind, kern_vload_n(p->g + i, rest),
						  p->u != NULL ? kern_vload_n(p->u + i, rest) : one), rest);
}

void KERN_FN(kern_glu)(const struct kern_glu *p)
{
	switch (p->kind) {
	case KERN_GLU_SILU:
		glu_all(p, KERN_GLU_SILU);
		break;
	case KERN_GLU_GELU:
		glu_all(p, KERN_GLU_GELU);
		break;
	case KERN_GLU_OAI:
		glu_all(p, KERN_GLU_OAI);
		break;
	case KERN_GLU_SIGMOID:
		glu_all(p, KERN_GLU_SIGMOID);
		break;
	}
}

void KERN_FN(kern_add)(const struct kern_add *p)
{
	uint32_t rest = (uint32_t)(p->n % KERN_LANES);
	kern_vf s = kern_vset1(p->scale);
	size_t i;

	for (i = 0; i + KERN_LANES <= p->n; i += KERN_LANES)
		kern_vstore(p->y + i, kern_vadd(kern_vload(p->y + i), kern_vmul(kern_vload(p->x + i), s)));
	if (rest != 0)
		kern_vstore_n(p->y + i, kern_vadd(kern_vload_n(p->y + i, rest), kern_vmul(kern_vload_n(p->x + i, rest), s)),
			      rest);
}

#endif
#endif
