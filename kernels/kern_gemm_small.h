/* kern_gemm_small.h - rows of blocks of 32 into tiles; see kern_gemm.h and kern_block.h.
 *
 * Included once by each kern_gemm_<isa>.c.
 */
#ifndef KERNELS_KERN_GEMM_SMALL_H
#define KERNELS_KERN_GEMM_SMALL_H

#include "kernels/kern_block_iq.h"
#include "kernels/kern_gemm.h"

#ifdef KERN_SIMD

/* F16 scales, as load_halves has put them. */
KERN_INLINE void put_scales(float to[][GEMM_VECS][KERN_LANES], int v, uint16_t h[][KERN_LANES], uint32_t n)
{
	uint32_t k;

	for (k = 0; k < n; k++)
		kern_vstore(to[k][v], kern_vload_f16(h[k]));
}

KERN_INLINE void unpack_q8_0(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	uint16_t d[8][KERN_LANES];
	kern_vi w[8];
	uint32_t b;
	unsigned i;

	load_halves(d, p, stride, sizeof(struct kern_q8_0), n_blk);
	for (b = 0; b < n_blk; b++, p += sizeof(struct kern_q8_0)) {
		kern_virows(p + 2, stride, w);
		kern_virows(p + 18, stride, w + 4);
		KERN_UNROLL
		for (i = 0; i < 8; i++)
			w[i] = bias_8(w[i]);
		put_sub(o, b, w, 8);
	}
	put_scales(o->s->scale, o->v, d, n_blk);
}

/* Blocks of nibbles that begin at byte `at` of each block: weight i the low one of byte i, 16 + i the high. */
KERN_INLINE void unpack_nibbles(const struct gemm_sink *o, const char *p, size_t stride, uint32_t b)
{
	kern_vi w[8];
	unsigned i;

	kern_virows(p, stride, w);
	KERN_UNROLL
	for (i = 0; i < 4; i++) {
		w[4 + i] = kern_vidown(w[i], 4, 15u);
		w[i] = kern_vidown(w[i], 0, 15u);
	}
	put_sub(o, b, w, 8);
}

KERN_INLINE void unpack_q4_0(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	uint16_t d[8][KERN_LANES];
	uint32_t b;

	load_halves(d, p, stride, sizeof(struct kern_q4_0), n_blk);
	for (b = 0; b < n_blk; b++)
		unpack_nibbles(o, p + b * sizeof(struct kern_q4_0) + 2, stride, b);
	put_scales(o->s->scale, o->v, d, n_blk);
}

KERN_INLINE void unpack_q4_1(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	uint16_t d[8][KERN_LANES], m[8][KERN_LANES];
	uint32_t b;

	load_halves(d, p, stride, sizeof(struct kern_q4_1), n_blk);
	load_halves(m, p + 2, stride, sizeof(struct kern_q4_1), n_blk);
	for (b = 0; b < n_blk; b++)
		unpack_nibbles(o, p + b * sizeof(struct kern_q4_1) + 4, stride, b);
	put_scales(o->s->scale, o->v, d, n_blk);
	put_scales(o->s->min, o->v, m, n_blk);
}

/* Nibbles at p, and bit 4 of weight i in bit i of the 32-bit word at `high`. */
KERN_INLINE void unpack_fives(const struct gemm_sink *o, const char *p, const char *high, size_t stride, uint32_t b)
{
	const kern_vi low = kern_viset1(15), spread = kern_viset1(0x02040810), bit = kern_viset1(0x10101010);
	kern_vi w[8], h = load_words(high, stride);
	unsigned i;

	kern_virows(p, stride, w);
	KERN_UNROLL
	for (i = 0; i < 4; i++) {
		w[4 + i] = kern_vidown(w[i], 4, 15u);
		w[i] = kern_vidown(w[i], 0, 15u);
	}
	KERN_UNROLL
	for (i = 0; i < 8; i++) {       /* four bits at a time into the fifth bit of four bytes */
		w[i] = kern_vior(w[i], kern_viand(kern_vimul(kern_viand(h, low), spread), bit));
		h = kern_visrl(h, 4);
	}
	put_sub(o, b, w, 8);
}

KERN_INLINE void unpack_q5_0(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	uint16_t d[8][KERN_LANES];
	uint32_t b;

	load_halves(d, p, stride, sizeof(struct kern_q5_0), n_blk);
	for (b = 0; b < n_blk; b++, p += sizeof(struct kern_q5_0))
		unpack_fives(o, p + 6, p + 2, stride, b);
	put_scales(o->s->scale, o->v, d, n_blk);
}

KERN_INLINE void unpack_q5_1(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	uint16_t d[8][KERN_LANES], m[8][KERN_LANES];
	uint32_t b;

	load_halves(d, p, stride, sizeof(struct kern_q5_1), n_blk);
	load_halves(m, p + 2, stride, sizeof(struct kern_q5_1), n_blk);
	for (b = 0; b < n_blk; b++, p += sizeof(struct kern_q5_1))
		unpack_fives(o, p + 8, p + 4, stride, b);
	put_scales(o->s->scale, o->v, d, n_blk);
	put_scales(o->s->min, o->v, m, n_blk);
}

/* Nibbles at p that are indices of sixteen bytes. */
KERN_INLINE void unpack_indices(const struct gemm_sink *o, const char *p, size_t stride, uint32_t b, kern_vi values)
{
	kern_vi w[8];
	unsigned i;

	kern_virows(p, stride, w);
	KERN_UNROLL
	for (i = 0; i < 4; i++) {
		w[4 + i] = kern_vipick(values, kern_vidown(w[i], 4, 15u));
		w[i] = kern_vipick(values, kern_vidown(w[i], 0, 15u));
	}
	put_sub(o, b, w, 8);
}

KERN_INLINE kern_vi iq4_values(void)
{
	return bias_8(kern_vi128(_mm_loadu_si128((const __m128i *)(const void *)kern_iq4_values)));
}

KERN_INLINE void unpack_iq4_nl(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	const kern_vi values = iq4_values();
	uint16_t d[8][KERN_LANES];
	uint32_t b;

	load_halves(d, p, stride, sizeof(struct kern_iq4_nl), n_blk);
	for (b = 0; b < n_blk; b++)
		unpack_indices(o, p + b * sizeof(struct kern_iq4_nl) + 2, stride, b, values);
	put_scales(o->s->scale, o->v, d, n_blk);
}

/* 2^(e - 128) for the low bytes of the lanes, as a product of two normal numbers. */
KERN_INLINE kern_vf e8m0_half(kern_vi e)
{
	const kern_vi one = kern_viset1(1), bias = kern_viset1(63);
	kern_vi a, b;

	e = kern_viand(e, kern_viset1(255));
	a = kern_viadd(kern_visrl(e, 1), bias);
	b = kern_viadd(kern_visrl(kern_viadd(e, one), 1), bias);
	return kern_vmul(kern_vicast(kern_visll(a, 23)), kern_vicast(kern_visll(b, 23)));
}

#define MXFP4_OFFSET 12         /* the largest value */

KERN_INLINE kern_vi mxfp4_values(void)
{
	const __m128i signed_values = _mm_loadu_si128((const __m128i *)(const void *)kern_mxfp4_values);

	return kern_vi128(_mm_add_epi8(signed_values, _mm_set1_epi8(MXFP4_OFFSET)));
}

KERN_INLINE void unpack_mxfp4(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	const kern_vi values = mxfp4_values();
	uint16_t e[8][KERN_LANES];
	uint32_t b;

	load_halves(e, p, stride, sizeof(struct kern_mxfp4), n_blk);
	for (b = 0; b < n_blk; b++)
		unpack_indices(o, p + b * sizeof(struct kern_mxfp4) + 1, stride, b, values);
	for (b = 0; b < n_blk; b++)
		kern_vstore(o->s->scale[b][o->v], e8m0_half(kern_viload_s16((const int16_t *)e[b])));
}

/* A super-block, but its sub-blocks are laid out as the blocks above. */
KERN_INLINE void unpack_iq4_xs(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	const kern_vi values = iq4_values(), low = kern_viset1(15), top = kern_viset1(0x30), minus = kern_viset1(-32);
	kern_vi w[4], high;
	kern_vf d;
	uint32_t b;

	(void)n_blk;
	kern_virows(p, stride, w);
	d = kern_vif16(w[0]);
	high = kern_visrl(w[0], 12);    /* bits 4 and 5 are those of the first sub-block */
	for (b = 0; b < 8; b++) {
		kern_vi sc = kern_vior(kern_viand(w[1], low), kern_viand(high, top));

		kern_vstore(o->s->scale[b][o->v], kern_vmul(d, kern_vifloat(kern_viadd(sc, minus))));
		w[1] = kern_visrl(w[1], 4);
		high = kern_visrl(high, 2);
		unpack_indices(o, p + offsetof(struct kern_iq4_xs, qs) + 16 * b, stride, b, values);
	}
}

#endif
#endif
