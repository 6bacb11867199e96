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

/* The sums of sixteen q each. */
KERN_INLINE void sum_16(const int8_t *q, int16_t *sums, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++, q += 16) {
		__m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)q));
		__m256i s = _mm256_madd_epi16(w, _mm256_set1_epi16(1));
		__m128i h = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));

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
			sum_16(q, a->sums + (size_t)t * a->n_blk * 16, a->n_blk * 16);
	}
}

/* ---- element-wise ------------------------------------------------------------------------------ */

/* The sum of squares in f64: lane i of eight takes values i, i + 8, ... */
KERN_INLINE double square_sum(const float *x, uint32_t n)
{
	double lane[8] = { 0 };
	__m256d lo = _mm256_setzero_pd(), hi = _mm256_setzero_pd();
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		__m256d a = _mm256_cvtps_pd(_mm_loadu_ps(x + i));
		__m256d b = _mm256_cvtps_pd(_mm_loadu_ps(x + i + 4));

		lo = _mm256_fmadd_pd(a, a, lo);
		hi = _mm256_fmadd_pd(b, b, hi);
	}
	_mm256_storeu_pd(lane, lo);
	_mm256_storeu_pd(lane + 4, hi);
	for (; i < n; i++)
		lane[i % 8] += (double)x[i] * (double)x[i];
	return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

void KERN_FN(kern_rms_norm)(const struct kern_norm *p, uint32_t tok0, uint32_t tok1)
{
	uint32_t t, i;

	for (t = tok0; t < tok1; t++) {
		const float *x = p->x + (size_t)t * p->n;
		float *y = p->y + (size_t)t * p->n;
		kern_vf scale = kern_vset1((float)(1.0 / sqrt(square_sum(x, p->n) / p->n + (double)p->eps)));

		for (i = 0; i + KERN_LANES <= p->n; i += KERN_LANES)
			kern_vstore(y + i, kern_vmul(kern_vmul(kern_vload(x + i), scale), kern_vload(p->w + i)));
		if (i < p->n)
			kern_vstore_n(y + i, kern_vmul(kern_vmul(kern_vload_n(x + i, p->n - i), scale),
						       kern_vload_n(p->w + i, p->n - i)), p->n - i);
	}
}

KERN_INLINE kern_vf silu(kern_vf x)
{
	kern_vf minus = kern_vsub(kern_vset1(0.0f), x);

	return kern_vdiv(x, kern_vadd(kern_vset1(1.0f), kern_vexp(minus)));
}

void KERN_FN(kern_silu_mul)(const struct kern_silu_mul *p)
{
	uint32_t rest = (uint32_t)(p->n % KERN_LANES);
	size_t i;

	for (i = 0; i + KERN_LANES <= p->n; i += KERN_LANES)
		kern_vstore(p->g + i, kern_vmul(silu(kern_vload(p->g + i)), kern_vload(p->u + i)));
	if (rest != 0)
		kern_vstore_n(p->g + i, kern_vmul(silu(kern_vload_n(p->g + i, rest)), kern_vload_n(p->u + i, rest)),
			      rest);
}

void KERN_FN(kern_add)(const struct kern_add *p)
{
	uint32_t rest = (uint32_t)(p->n % KERN_LANES);
	size_t i;

	for (i = 0; i + KERN_LANES <= p->n; i += KERN_LANES)
		kern_vstore(p->y + i, kern_vadd(kern_vload(p->y + i), kern_vload(p->x + i)));
	if (rest != 0)
		kern_vstore_n(p->y + i, kern_vadd(kern_vload_n(p->y + i, rest), kern_vload_n(p->x + i, rest)), rest);
}

#endif
#endif
