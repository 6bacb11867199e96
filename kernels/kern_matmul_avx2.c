/* kern_matmul_avx2.c - integer dot products of quantised rows with 8-bit activations, AVX2.
 *
 * One row and one token at a time.  Products inside a block are exact integers; what is rounded is one
 * f32 multiply-add per lane and block, in the order of the row.
 */
#include "kernels/kern_block.h"
#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

KERN_INLINE __m256i load_256(const void *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

KERN_INLINE __m256i low_nibbles(__m256i q)
{
	return _mm256_and_si256(q, _mm256_set1_epi8(15));
}

/* Sums of four products of signed bytes in each lane.  x must not hold -128: its sign may be turned. */
KERN_INLINE __m256i dot_signed(__m256i w, __m256i x)
{
	__m256i p = _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(x, w));

	return _mm256_madd_epi16(p, _mm256_set1_epi16(1));
}

KERN_INLINE float dot_q8_0(const void *row, const int8_t *x, const float *d, uint32_t cols)
{
	const struct kern_q8_0 *w = row;
	__m256 acc = _mm256_setzero_ps();
	uint32_t b;

	for (b = 0; b < cols / 32; b++) {
		__m256i dp = dot_signed(load_256(w[b].qs), load_256(x + 32 * (size_t)b));

		acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dp), _mm256_set1_ps(_cvtsh_ss(w[b].d) * d[b]), acc);
	}
	return kern_vsum(acc);
}

KERN_INLINE float dot_q4_0(const void *row, const int8_t *x, const float *d, uint32_t cols)
{
	const struct kern_q4_0 *w = row;
	__m256 acc = _mm256_setzero_ps();
	uint32_t b;

	for (b = 0; b < cols / 32; b++) {
		__m128i raw = _mm_loadu_si128((const __m128i *)(const void *)w[b].qs);
		__m256i q = low_nibbles(_mm256_set_m128i(_mm_srli_epi16(raw, 4), raw));
		__m256i dp = dot_signed(_mm256_sub_epi8(q, _mm256_set1_epi8(8)), load_256(x + 32 * (size_t)b));

		acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dp), _mm256_set1_ps(_cvtsh_ss(w[b].d) * d[b]), acc);
	}
	return kern_vsum(acc);
}

/* sum + the products of 32 unsigned quants (at most 63) and x, pairs scaled by 16-bit sc */
KERN_INLINE __m256i add_scaled(__m256i sum, __m256i q, const int8_t *x, __m256i sc)
{
	return _mm256_add_epi32(sum, _mm256_madd_epi16(sc, _mm256_maddubs_epi16(q, load_256(x))));
}

/* 16-bit scale s of eight, in all places. */
KERN_INLINE __m256i one_scale(__m256i sc, int s)
{
	return _mm256_shuffle_epi8(sc, _mm256_set1_epi16((short)(2 * s | (2 * s + 1) << 8)));
}

KERN_INLINE float dot_q4_k(const void *row, const struct kern_acts *a, uint32_t tok)
{
	const struct kern_q4_k *w = row;
	__m256 acc = _mm256_setzero_ps(), sub = _mm256_setzero_ps();
	uint32_t b;
	int c;

	for (b = 0; b < a->n_blk; b++, w++) {
		size_t xb = (size_t)tok * a->n_blk + b;
		const int8_t *x = a->q + xb * 256;
		__m256i sum = _mm256_setzero_si256(), scs, off;
		uint32_t p0, p1, p2;
		__m128i sc, mn;
		float dx = a->d[xb];

		memcpy(&p0, w->scales, 4);
		memcpy(&p1, w->scales + 4, 4);
		memcpy(&p2, w->scales + 8, 4);
		sc = _mm_cvtepu8_epi16(_mm_set_epi32(0, 0, (int)((p2 & 0x0f0f0f0fu) | ((p0 >> 2) & 0x30303030u)),
						     (int)(p0 & 0x3f3f3f3fu)));
		mn = _mm_cvtepu8_epi16(_mm_set_epi32(0, 0,
						     (int)(((p2 >> 4) & 0x0f0f0f0fu) | ((p1 >> 2) & 0x30303030u)),
						     (int)(p1 & 0x3f3f3f3fu)));
		scs = _mm256_set_m128i(sc, sc);
		KERN_UNROLL
		for (c = 0; c < 4; c++) {
			__m256i q = load_256(w->qs + 32 * c);

			sum = add_scaled(sum, low_nibbles(q), x + 64 * c, one_scale(scs, 2 * c));
			sum = add_scaled(sum, low_nibbles(_mm256_srli_epi16(q, 4)), x + 64 * c + 32,
					 one_scale(scs, 2 * c + 1));
		}
		off = _mm256_madd_epi16(_mm256_set_m128i(_mm_unpackhi_epi16(mn, mn), _mm_unpacklo_epi16(mn, mn)),
					load_256(a->sums + xb * 16));
		acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(_cvtsh_ss(w->d) * dx), acc);
		sub = _mm256_fmadd_ps(_mm256_cvtepi32_ps(off), _mm256_set1_ps(_cvtsh_ss(w->dmin) * dx), sub);
	}
	return kern_vsum(_mm256_sub_ps(acc, sub));
}

/* 16-bit scales s and s + 1 of eight, eight times each. */
KERN_INLINE __m256i two_scales(__m256i sc, int s)
{
	return _mm256_shuffle_epi8(sc, _mm256_set_m128i(_mm_set1_epi16((short)((2 * s + 2) | (2 * s + 3) << 8)),
							_mm_set1_epi16((short)(2 * s | (2 * s + 1) << 8))));
}

KERN_INLINE float dot_q6_k(const void *row, const struct kern_acts *a, uint32_t tok)
{
	const __m256i high = _mm256_set1_epi8(0x30);
	const struct kern_q6_k *w = row;
	__m256 acc = _mm256_setzero_ps();
	uint32_t b;
	int h;

	for (b = 0; b < a->n_blk; b++, w++) {
		size_t xb = (size_t)tok * a->n_blk + b;
		const int8_t *x = a->q + xb * 256;
		__m256i sc = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w->sc));
		__m256i sum = _mm256_setzero_si256(), off;

		KERN_UNROLL
		for (h = 0; h < 2; h++, x += 128) {
			__m256i l0 = load_256(w->ql + 64 * h), l1 = load_256(w->ql + 64 * h + 32);
			__m256i qh = load_256(w->qh + 32 * h);
			__m256i scs = h == 0 ? _mm256_permute2x128_si256(sc, sc, 0x00) :
					       _mm256_permute2x128_si256(sc, sc, 0x11);
			__m256i q0 = _mm256_or_si256(low_nibbles(l0),
						     _mm256_and_si256(_mm256_slli_epi16(qh, 4), high));
			__m256i q1 = _mm256_or_si256(low_nibbles(l1),
						     _mm256_and_si256(_mm256_slli_epi16(qh, 2), high));
			__m256i q2 = _mm256_or_si256(low_nibbles(_mm256_srli_epi16(l0, 4)),
						     _mm256_and_si256(qh, high));
			__m256i q3 = _mm256_or_si256(low_nibbles(_mm256_srli_epi16(l1, 4)),
						     _mm256_and_si256(_mm256_srli_epi16(qh, 2), high));

			sum = add_scaled(sum, q0, x, two_scales(scs, 0));
			sum = add_scaled(sum, q1, x + 32, two_scales(scs, 2));
			sum = add_scaled(sum, q2, x + 64, two_scales(scs, 4));
			sum = add_scaled(sum, q3, x + 96, two_scales(scs, 6));
		}
		off = _mm256_madd_epi16(sc, load_256(a->sums + xb * 16));
		sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(off, 5));         /* quants are 32 too large */
		acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(_cvtsh_ss(w->d) * a->d[xb]), acc);
	}
	return kern_vsum(acc);
}

/* ---- rows by tokens ------------------------------------------------------------------------------ */

KERN_INLINE float dot_any(uint32_t type, const void *row, const struct kern_acts *a, uint32_t tok)
{
	const int8_t *q = a->q + (size_t)tok * a->n_blk * 32;
	const float *d = a->d + (size_t)tok * a->n_blk;

	switch (type) {
	case KERN_Q8_0:
		return dot_q8_0(row, q, d, a->cols);
	case KERN_Q4_0:
		return dot_q4_0(row, q, d, a->cols);
	case KERN_Q4_K:
		return dot_q4_k(row, a, tok);
	default:
		return dot_q6_k(row, a, tok);
	}
}

KERN_INLINE void dot_rows(const struct kern_matmul *p, uint32_t type, uint32_t row0, uint32_t row1)
{
	uint32_t r, t;

	for (r = row0; r < row1; r++)
		for (t = 0; t < p->x->n_tok; t++)
			p->y[t * p->y_stride + r] = dot_any(type, (const char *)p->w + r * p->row_bytes, p->x, t);
}

void kern_matmul_q8_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	dot_rows(p, KERN_Q8_0, row0, row1);
}

void kern_matmul_q4_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	dot_rows(p, KERN_Q4_0, row0, row1);
}

void kern_matmul_q4_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	dot_rows(p, KERN_Q4_K, row0, row1);
}

void kern_matmul_q6_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	dot_rows(p, KERN_Q6_K, row0, row1);
}
