/* kern_gemm_row_types.h - a step of one row of each type, for one token; see kern_gemm_row.h and kern_block.h.
 *
 * Included once by kern_gemm_avx2.c.
 */
#ifndef KERNELS_KERN_GEMM_ROW_TYPES_H
#define KERNELS_KERN_GEMM_ROW_TYPES_H

#include "kernels/kern_gemm_row.h"

#if defined(KERN_SIMD) && KERN_LANES == 8

/* ---- weights --------------------------------------------------------------------------------------- */

/* v >> n of bytes, masked to `bits` of each. */
#define row_down(v, n, bits) _mm256_and_si256(_mm256_srli_epi16(v, n), _mm256_set1_epi8(bits))
#define row_up(v, n, bits) _mm256_and_si256(_mm256_slli_epi16(v, n), _mm256_set1_epi8(bits))

/* Nibbles of 16 bytes here and 16 there: the low ones, the high ones. */
KERN_INLINE void row_nibbles(__m128i a, __m128i b, __m256i w[2])
{
	const __m256i q = _mm256_set_m128i(b, a);

	w[0] = row_down(q, 0, 15);
	w[1] = row_down(q, 4, 15);
}

/* Bits of the words at a and at b as the fifth bits of such nibbles. */
KERN_INLINE void row_fifth_bits(const void *a, const void *b, __m256i w[2])
{
	const __m256i first = _mm256_setr_epi64x(0, 0x0101010101010101, 0, 0x0101010101010101), two = _mm256_set1_epi8(2);
	const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u), fifth = _mm256_set1_epi8(16);
	int32_t x, y;
	__m256i h;
	int i;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	h = _mm256_set_m128i(_mm_cvtsi32_si128(y), _mm_cvtsi32_si128(x));
	KERN_UNROLL
	for (i = 0; i < 2; i++) {
		__m256i spread = _mm256_shuffle_epi8(h, i == 0 ? first : _mm256_add_epi8(first, two));

		w[i] = _mm256_or_si256(w[i], _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit), fifth));
	}
}

/* ---- blocks of 32 ---------------------------------------------------------------------------------- */

/* The F16 numbers at p + k * bytes, in the order of sub-blocks. */
KERN_INLINE __m256 row_halves(const char *p, size_t bytes)
{
	uint16_t h[8];
	__m128i v;
	int k;

	KERN_UNROLL
	for (k = 0; k < 8; k++)
		memcpy(&h[k], p + (size_t)k * bytes, sizeof(h[k]));
	v = _mm_cvtsi32_si128(h[0]);
	v = _mm_insert_epi16(v, h[2], 1);
	v = _mm_insert_epi16(v, h[4], 2);
	v = _mm_insert_epi16(v, h[6], 3);
	v = _mm_insert_epi16(v, h[1], 4);
	v = _mm_insert_epi16(v, h[3], 5);
	v = _mm_insert_epi16(v, h[5], 6);
	v = _mm_insert_epi16(v, h[7], 7);
	return _mm256_cvtph_ps(v);
}

KERN_INLINE void row_small(struct row_part *o, __m256i sum, __m256 d, const struct row_x *x)
{
	o->sum[0] = _mm256_cvtepi32_ps(_mm256_sub_epi32(sum, x->init[0]));
	o->scale[0] = _mm256_mul_ps(d, x->scale);
}

KERN_INLINE void part_q8_0(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_q8_0 *b = (const struct kern_q8_0 *)(const void *)p;
	__m256i w[8], s[2];
	int k;

	KERN_UNROLL
	for (k = 0; k < 8; k++)
		w[k] = row_bytes(b[k].qs);
	row_sums(w, x->q, 0, 32, s);
	row_small(o, s[0], row_halves(p, sizeof(*b)), x);
}

/* Weights of eight blocks of type id at p, of nibbles in `qs`. */
#define ROW_NIBBLES(id) \
	const struct kern_##id *b = (const struct kern_##id *)(const void *)p; \
	__m256i w[8]; \
	int k; \
	\
	KERN_UNROLL \
	for (k = 0; k < 8; k += 2) \
		row_nibbles(row_words(b[k].qs), row_words(b[k + 1].qs), w + k)

KERN_INLINE void part_q4_0(struct row_part *o, const char *p, const struct row_x *x)
{
	ROW_NIBBLES(q4_0);
	row_small(o, row_split_sums(w, x->split, 15), row_halves(p, sizeof(*b)), x);
}

KERN_INLINE void part_q4_1(struct row_part *o, const char *p, const struct row_x *x)
{
	ROW_NIBBLES(q4_1);
	row_small(o, row_split_sums(w, x->split, 15), row_halves(p, sizeof(*b)), x);
	o->min = row_halves(p + offsetof(struct kern_q4_1, m), sizeof(*b));
}

KERN_INLINE void part_q5_0(struct row_part *o, const char *p, const struct row_x *x)
{
	ROW_NIBBLES(q5_0);
	KERN_UNROLL
	for (k = 0; k < 8; k += 2)
		row_fifth_bits(b[k].qh, b[k + 1].qh, w + k);
	row_small(o, row_split_sums(w, x->split, 31), row_halves(p, sizeof(*b)), x);
}

KERN_INLINE void part_q5_1(struct row_part *o, const char *p, const struct row_x *x)
{
	ROW_NIBBLES(q5_1);
	KERN_UNROLL
	for (k = 0; k < 8; k += 2)
		row_fifth_bits(b[k].qh, b[k + 1].qh, w + k);
	row_small(o, row_split_sums(w, x->split, 31), row_halves(p, sizeof(*b)), x);
	o->min = row_halves(p + offsetof(struct kern_q5_1, m), sizeof(*b));
}

KERN_INLINE void row_pick(__m256i w[8], __m256i values)
{
	int k;

	KERN_UNROLL
	for (k = 0; k < 8; k++)
		w[k] = _mm256_shuffle_epi8(values, w[k]);
}

KERN_INLINE void part_iq4_nl(struct row_part *o, const char *p, const struct row_x *x)
{
	ROW_NIBBLES(iq4_nl);
	row_pick(w, iq4_values());
	row_small(o, row_split_sums(w, x->split, 0), row_halves(p, sizeof(*b)), x);
}

/* 2^(e - 128): the exponent's bits, or for the two that have none of their own those of the fraction. */
KERN_INLINE __m256 row_e8m0(__m256i e)
{
	const __m256i normal = _mm256_sub_epi32(_mm256_slli_epi32(e, 23), _mm256_set1_epi32(0x00800000));
	const __m256i small = _mm256_add_epi32(_mm256_slli_epi32(e, 21), _mm256_set1_epi32(0x00200000));

	return _mm256_castsi256_ps(_mm256_max_epi32(normal, small));
}

KERN_INLINE void part_mxfp4(struct row_part *o, const char *p, const struct row_x *x)
{
	__m128i e;

	ROW_NIBBLES(mxfp4);
	row_pick(w, mxfp4_values());
	e = _mm_cvtsi32_si128(b[0].e);
	e = _mm_insert_epi8(e, b[2].e, 1);
	e = _mm_insert_epi8(e, b[4].e, 2);
	e = _mm_insert_epi8(e, b[6].e, 3);
	e = _mm_insert_epi8(e, b[1].e, 4);
	e = _mm_insert_epi8(e, b[3].e, 5);
	e = _mm_insert_epi8(e, b[5].e, 6);
	e = _mm_insert_epi8(e, b[7].e, 7);
	row_small(o, row_split_sums(w, x->split, 2 * MXFP4_OFFSET), row_e8m0(_mm256_cvtepu8_epi32(e)), x);
}

/* ---- super-blocks ---------------------------------------------------------------------------------- */

/* Sub-blocks of 32, scales in eight unsigned bytes. */
KERN_INLINE void row_super(struct row_part *o, const __m256i w[8], const struct row_x *x, int top, __m128i scales)
{
	const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, -1, -1, -1, -1, -1, -1, -1, -1);
	__m256i s[2];

	row_sums(w, x->q, top, 32, s);
	o->sum[0] = _mm256_cvtepi32_ps(_mm256_sub_epi32(s[0], x->init[0]));
	o->scale[0] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_shuffle_epi8(scales, order)));
}

/* Sub-blocks of 16, scales in signed bytes. */
KERN_INLINE void row_super_16(struct row_part *o, const __m256i w[8], const struct row_x *x, int top, __m128i scales)
{
	__m256i s[2], sc[2];
	int i;

	row_sums(w, x->q, top, 16, s);
	row_sixteen(scales, sc);
	KERN_UNROLL
	for (i = 0; i < 2; i++) {
		o->sum[i] = _mm256_cvtepi32_ps(_mm256_sub_epi32(s[i], x->init[i]));
		o->scale[i] = _mm256_cvtepi32_ps(sc[i]);
	}
}

/* Minima of sixteen columns each, bytes. */
KERN_INLINE void row_minima(struct row_part *o, __m128i bytes, const struct row_x *x)
{
	o->minima = _mm256_madd_epi16(_mm256_cvtepu8_epi16(bytes), row_bytes(x->sums));
}

/* d, dmin, scales and minima of Q4_K and Q5_K: eight bytes of scales and eight of minima; see kern_q4_k_scale. */
KERN_INLINE __m128i row_k_head(struct row_part *o, const void *block, const struct row_x *x)
{
	const __m128i low = _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f);
	const __m128i high = _mm_setr_epi32(0, 0x30303030, 0, 0x30303030);
	const __m128i h = row_words(block);     /* d and dmin, then three words of bytes */
	const __m128i a = _mm_srlv_epi32(_mm_shuffle_epi32(h, 0xed), _mm_setr_epi32(0, 0, 0, 4));
	const __m128i b = _mm_srli_epi32(_mm_shuffle_epi32(h, 0xa5), 2);
	const __m128i both = _mm_or_si128(_mm_and_si128(a, low), _mm_and_si128(b, high));

	o->d = (uint32_t)_mm_cvtsi128_si32(h);
	row_minima(o, _mm_unpackhi_epi8(both, both), x);
	return both;
}

KERN_INLINE void part_q4_k(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_q4_k *b = (const struct kern_q4_k *)(const void *)p;
	__m256i w[8];
	int c;

	KERN_UNROLL
	for (c = 0; c < 4; c++) {
		__m256i q = row_bytes(b->qs + 32 * c);

		w[2 * c] = row_down(q, 0, 15);
		w[2 * c + 1] = row_down(q, 4, 15);
	}
	row_super(o, w, x, 15, row_k_head(o, b, x));
}

KERN_INLINE void part_q5_k(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_q5_k *b = (const struct kern_q5_k *)(const void *)p;
	const __m256i h = row_bytes(b->qh), bit = _mm256_set1_epi8(16);
	__m256i w[8];
	int c;

	KERN_UNROLL
	for (c = 0; c < 4; c++) {       /* bits 2 c and 2 c + 1 of h become the fifth */
		__m256i q = row_bytes(b->qs + 32 * c);
		__m256i h0 = c < 2 ? _mm256_slli_epi16(h, 4 - 2 * c) : _mm256_srli_epi16(h, 2 * c - 4);
		__m256i h1 = c < 2 ? _mm256_slli_epi16(h, 3 - 2 * c) : _mm256_srli_epi16(h, 2 * c - 3);

		w[2 * c] = _mm256_or_si256(row_down(q, 0, 15), _mm256_and_si256(h0, bit));
		w[2 * c + 1] = _mm256_or_si256(row_down(q, 4, 15), _mm256_and_si256(h1, bit));
	}
	row_super(o, w, x, 31, row_k_head(o, b, x));
}

KERN_INLINE void part_q6_k(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_q6_k *b = (const struct kern_q6_k *)(const void *)p;
	__m256i w[8];
	int h;

	KERN_UNROLL
	for (h = 0; h < 2; h++) {
		__m256i l0 = row_bytes(b->ql + 64 * h), l1 = row_bytes(b->ql + 64 * h + 32), up = row_bytes(b->qh + 32 * h);

		w[4 * h] = _mm256_or_si256(row_down(l0, 0, 15), row_up(up, 4, 0x30));
		w[4 * h + 1] = _mm256_or_si256(row_down(l1, 0, 15), row_up(up, 2, 0x30));
		w[4 * h + 2] = _mm256_or_si256(row_down(l0, 4, 15), row_down(up, 0, 0x30));
		w[4 * h + 3] = _mm256_or_si256(row_down(l1, 4, 15), row_down(up, 2, 0x30));
	}
	o->d = b->d;
	row_super_16(o, w, x, 63, row_words(b->sc));
}

KERN_INLINE void part_q2_k(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_q2_k *b = (const struct kern_q2_k *)(const void *)p;
	const __m128i sc = row_words(b->scales), low = _mm_set1_epi8(15);
	__m256i w[8];
	int h;

	KERN_UNROLL
	for (h = 0; h < 2; h++) {
		__m256i q = row_bytes(b->qs + 32 * h);

		w[4 * h] = row_down(q, 0, 3);
		w[4 * h + 1] = row_down(q, 2, 3);
		w[4 * h + 2] = row_down(q, 4, 3);
		w[4 * h + 3] = row_down(q, 6, 3);
	}
	o->d = b->d | (uint32_t)b->dmin << 16;
	row_super_16(o, w, x, 3, _mm_and_si128(sc, low));
	row_minima(o, _mm_and_si128(_mm_srli_epi16(sc, 4), low), x);
}

KERN_INLINE void part_q3_k(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_q3_k *b = (const struct kern_q3_k *)(const void *)p;
	const __m256i m = row_bytes(b->hmask), bit = _mm256_set1_epi8(4);
	const uint32_t c = word_of(b->scales + 8);
	const __m128i nibbles = _mm_loadl_epi64((const __m128i *)(const void *)b->scales);
	const __m128i high = _mm_setr_epi32((int32_t)(c << 4), (int32_t)(c << 2), (int32_t)c, (int32_t)(c >> 2));
	__m128i sc = _mm_unpacklo_epi64(nibbles, _mm_srli_epi16(nibbles, 4));
	__m256i w[8];
	int h;

	sc = _mm_or_si128(_mm_and_si128(sc, _mm_set1_epi8(15)), _mm_and_si128(high, _mm_set1_epi8(0x30)));
	KERN_UNROLL
	for (h = 0; h < 2; h++) {
		__m256i q = row_bytes(b->qs + 32 * h), u = h == 0 ? m : _mm256_srli_epi16(m, 4);

		w[4 * h] = _mm256_or_si256(row_down(q, 0, 3), _mm256_and_si256(_mm256_slli_epi16(u, 2), bit));
		w[4 * h + 1] = _mm256_or_si256(row_down(q, 2, 3), _mm256_and_si256(_mm256_slli_epi16(u, 1), bit));
		w[4 * h + 2] = _mm256_or_si256(row_down(q, 4, 3), _mm256_and_si256(u, bit));
		w[4 * h + 3] = _mm256_or_si256(row_down(q, 6, 3), _mm256_and_si256(_mm256_srli_epi16(u, 1), bit));
	}
	o->d = b->d;
	row_super_16(o, w, x, 7, _mm_sub_epi8(sc, _mm_set1_epi8(32)));
}

KERN_INLINE void part_iq4_xs(struct row_part *o, const char *p, const struct row_x *x)
{
	const struct kern_iq4_xs *b = (const struct kern_iq4_xs *)(const void *)p;
	const __m256i fours = _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28);   /* in the order of sub-blocks */
	const __m256i l = _mm256_srlv_epi32(_mm256_set1_epi32((int32_t)word_of(b->scales_l)), fours);
	const __m256i h = _mm256_srlv_epi32(_mm256_set1_epi32(b->scales_h << 4), _mm256_srli_epi32(fours, 1));
	const __m256i sc = _mm256_or_si256(_mm256_and_si256(l, _mm256_set1_epi32(15)), _mm256_and_si256(h, _mm256_set1_epi32(0x30)));
	__m256i w[8];
	int k;

	KERN_UNROLL
	for (k = 0; k < 8; k += 2)
		row_nibbles(row_words(b->qs + 16 * k), row_words(b->qs + 16 * k + 16), w + k);
	row_pick(w, iq4_values());
	o->d = b->d;
	o->sum[0] = _mm256_cvtepi32_ps(row_split_sums(w, x->split, 0));
	o->scale[0] = _mm256_cvtepi32_ps(_mm256_sub_epi32(sc, _mm256_set1_epi32(32)));
}

#endif
#endif
