/* kern_gemm_row_grid.h - a step of one row of grid indices, for one token; see kern_gemm_row.h and kern_block_iq.h.
 *
 * Included once by kern_gemm_avx2.c.  Grids hold positive weights; signs are given to the activations that they meet.
 */
#ifndef KERNELS_KERN_GEMM_ROW_GRID_H
#define KERNELS_KERN_GEMM_ROW_GRID_H

#include "kernels/kern_gemm_row.h"

#if defined(KERN_SIMD) && KERN_LANES == 8

#define GRID_TOP 63             /* no weight of a grid is larger */

/* The weights of a step, and the activations with their signs. */
struct row_grid { __m256i w[8]; int8_t q[STEP]; };

/* 32 weights and as many signs, from bit 0 on. */
KERN_INLINE void row_grid_set(struct row_grid *o, int k, const struct row_x *x, __m256i w, uint32_t signs)
{
	const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
	const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
	__m256i minus = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)signs), spread), bit);

	minus = _mm256_cmpeq_epi8(minus, bit);
	o->w[k] = w;
	_mm256_storeu_si256((__m256i *)(void *)(o->q + 32 * k),
			    _mm256_sub_epi8(_mm256_xor_si256(row_bytes(x->q + 32 * k), minus), minus));
}

KERN_INLINE __m256i row_eights(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return _mm256_setr_epi64x((long long)a, (long long)b, (long long)c, (long long)d);
}

/* Four times eight signs of seven. */
KERN_INLINE uint32_t row_sevens(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	return kern_grid_signs[a & 127] | (uint32_t)kern_grid_signs[b & 127] << 8 | (uint32_t)kern_grid_signs[c & 127] << 16 |
		(uint32_t)kern_grid_signs[d & 127] << 24;
}

/* scale = d * (2 n + 1) of `subs` = 8 or 16 sub-blocks of 32 or 16 columns, n one a byte. */
KERN_INLINE void part_grid(struct row_part *o, const struct row_grid *r, int subs, float d, __m128i n)
{
	const __m128i odd = _mm_add_epi8(_mm_add_epi8(n, n), _mm_set1_epi8(1));
	__m256i s[2], sc[2];
	int i;

	row_sums(r->w, r->q, GRID_TOP, STEP / subs, s);
	row_sixteen(odd, sc);
	KERN_UNROLL
	for (i = 0; i < subs / 8; i++) {
		o->sum[i] = _mm256_cvtepi32_ps(s[i]);
		o->scale[i] = _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(sc[i]));
	}
	o->d = 0x3c00;                  /* 1: it is in the scales */
}

/* Eight bytes' nibbles, the low ones first, one a byte. */
KERN_INLINE __m128i row_nibble_scales(__m128i v)
{
	const __m128i low = _mm_set1_epi8(15);

	return _mm_unpacklo_epi8(_mm_and_si128(v, low), _mm_and_si128(_mm_srli_epi16(v, 4), low));
}

KERN_INLINE __m128i row_low(const void *p)
{
	return _mm_loadl_epi64((const __m128i *)p);
}

KERN_INLINE void part_iq2_xxs(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_iq2_xxs *b = (const struct kern_iq2_xxs *)(const void *)p;
	uint64_t n = 0;
	struct row_grid r;
	int k;

	for (k = 0; k < 8; k++) {
		const uint8_t *i = b->qs + 8 * k;
		uint32_t word = word_of(i + 4);

		row_grid_set(&r, k, x, row_eights(kern_grid_iq2_xxs[i[0]], kern_grid_iq2_xxs[i[1]], kern_grid_iq2_xxs[i[2]],
						  kern_grid_iq2_xxs[i[3]]), row_sevens(word, word >> 7, word >> 14, word >> 21));
		n |= (uint64_t)(word >> 28) << (8 * k);
	}
	part_grid(o, &r, 8, f16_at(&b->d) * 0.125f, _mm_cvtsi64_si128((long long)n));
}

KERN_INLINE void part_iq2_xs(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_iq2_xs *b = (const struct kern_iq2_xs *)(const void *)p;
	struct row_grid r;
	int k;

	for (k = 0; k < 8; k++) {
		uint16_t i[4];

		memcpy(i, b->qs + 4 * k, sizeof(i));
		row_grid_set(&r, k, x, row_eights(kern_grid_iq2_xs[i[0] & 511], kern_grid_iq2_xs[i[1] & 511],
						  kern_grid_iq2_xs[i[2] & 511], kern_grid_iq2_xs[i[3] & 511]),
			     row_sevens(i[0] >> 9, i[1] >> 9, i[2] >> 9, i[3] >> 9));
	}
	part_grid(o, &r, 16, f16_at(&b->d) * 0.125f, row_nibble_scales(row_low(b->scales)));
}

KERN_INLINE void part_iq2_s(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_iq2_s *b = (const struct kern_iq2_s *)(const void *)p;
	struct row_grid r;
	int k;

	for (k = 0; k < 8; k++) {
		const uint8_t *i = b->qs + 4 * k;
		const uint32_t h = b->qh[k];

		row_grid_set(&r, k, x, row_eights(kern_grid_iq2_s[i[0] | (h << 8 & 0x300)], kern_grid_iq2_s[i[1] | (h << 6 & 0x300)],
						  kern_grid_iq2_s[i[2] | (h << 4 & 0x300)], kern_grid_iq2_s[i[3] | (h << 2 & 0x300)]),
			     word_of(b->signs + 4 * k));
	}
	part_grid(o, &r, 16, f16_at(&b->d) * 0.125f, row_nibble_scales(row_low(b->scales)));
}

KERN_INLINE __m256i row_fours(const uint32_t *grid, const uint8_t *i, uint32_t h)
{
	return _mm256_setr_epi32((int32_t)grid[i[0] | (h << 8 & 256)], (int32_t)grid[i[1] | (h << 7 & 256)],
				 (int32_t)grid[i[2] | (h << 6 & 256)], (int32_t)grid[i[3] | (h << 5 & 256)],
				 (int32_t)grid[i[4] | (h << 4 & 256)], (int32_t)grid[i[5] | (h << 3 & 256)],
				 (int32_t)grid[i[6] | (h << 2 & 256)], (int32_t)grid[i[7] | (h << 1 & 256)]);
}

KERN_INLINE void part_iq3_xxs(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_iq3_xxs *b = (const struct kern_iq3_xxs *)(const void *)p;
	uint64_t n = 0;
	struct row_grid r;
	int k;

	for (k = 0; k < 8; k++) {
		uint32_t word = word_of(b->sub + 4 * k);

		row_grid_set(&r, k, x, row_fours(kern_grid_iq3_xxs, b->qs + 8 * k, 0),
			     row_sevens(word, word >> 7, word >> 14, word >> 21));
		n |= (uint64_t)(word >> 28) << (8 * k);
	}
	part_grid(o, &r, 8, f16_at(&b->d) * 0.25f, _mm_cvtsi64_si128((long long)n));
}

KERN_INLINE void part_iq3_s(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_iq3_s *b = (const struct kern_iq3_s *)(const void *)p;
	struct row_grid r;
	int k;

	for (k = 0; k < 8; k++)
		row_grid_set(&r, k, x, row_fours(kern_grid_iq3_s, b->qs + 8 * k, b->qh[k]), word_of(b->signs + 4 * k));
	part_grid(o, &r, 8, f16_at(&b->d), row_nibble_scales(_mm_cvtsi32_si128((int32_t)word_of(b->scales))));
}

#endif
#endif
