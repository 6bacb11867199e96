/* kern_gemm_super.h - rows of super-blocks into tiles; see kern_gemm.h and kern_block.h.
 *
 * Included once by each kern_gemm_<isa>.c.
 */
#ifndef KERNELS_KERN_GEMM_SUPER_H
#define KERNELS_KERN_GEMM_SUPER_H

#include "kernels/kern_gemm.h"

#ifdef KERN_SIMD

/* Scales of sub-blocks first .. first + 3: d times the bytes of each lane, unsigned, less `less`. */
KERN_INLINE void put_scale_bytes(struct gemm_step *s, int v, unsigned first, kern_vf d, kern_vi bytes, int less)
{
	const kern_vi low = kern_viset1(255), minus = kern_viset1(-less);
	int i;

	KERN_UNROLL
	for (i = 0; i < 4; i++) {
		kern_vstore(s->scale[first + (unsigned)i][v],
			    kern_vmul(d, kern_vifloat(kern_viadd(kern_viand(bytes, low), minus))));
		bytes = kern_visrl(bytes, 8);
	}
}

/* The same of signed bytes. */
KERN_INLINE void put_scale_signed(struct gemm_step *s, int v, unsigned first, kern_vf d, kern_vi bytes)
{
	kern_vstore(s->scale[first][v], kern_vmul(d, kern_vifloat(kern_visra(kern_visll(bytes, 24), 24))));
	kern_vstore(s->scale[first + 1][v], kern_vmul(d, kern_vifloat(kern_visra(kern_visll(bytes, 16), 24))));
	kern_vstore(s->scale[first + 2][v], kern_vmul(d, kern_vifloat(kern_visra(kern_visll(bytes, 8), 24))));
	kern_vstore(s->scale[first + 3][v], kern_vmul(d, kern_vifloat(kern_visra(bytes, 24))));
}

/* Minima of four sub-blocks, bytes of each lane, as two pairs of 16-bit numbers. */
KERN_INLINE void put_min_bytes(struct gemm_step *s, int v, unsigned pair, kern_vi bytes)
{
	const __m128i lo = _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
	const __m128i hi = _mm_setr_epi8(2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1);

	kern_vistore(s->mins[pair][v], kern_vipick(bytes, kern_vi128(lo)));
	kern_vistore(s->mins[pair + 1][v], kern_vipick(bytes, kern_vi128(hi)));
}

/* d, dmin and the twelve bytes of scales that Q4_K and Q5_K begin with. */
KERN_INLINE void unpack_q4_k_head(const struct gemm_sink *o, const char *p, size_t stride)
{
	kern_vi w[4];
	kern_vf d;

	kern_virows(p, stride, w);
	d = kern_vif16(w[0]);
	kern_vstore(o->s->dmin[o->v], kern_vif16(kern_visrl(w[0], 16)));
	put_scale_bytes(o->s, o->v, 0, d, kern_vidown(w[1], 0, 63u), 0);
	put_scale_bytes(o->s, o->v, 4, d, kern_vior(kern_vidown(w[3], 0, 15u), kern_vidown(w[1], 2, 0x30u)), 0);
	put_min_bytes(o->s, o->v, 0, kern_vidown(w[2], 0, 63u));
	put_min_bytes(o->s, o->v, 2, kern_vior(kern_vidown(w[3], 4, 15u), kern_vidown(w[2], 2, 0x30u)));
}

/* Sixteen columns of each quarter of half h, from byte 16 * part on. */
KERN_INLINE void unpack_q2_k_part(const struct gemm_sink *o, const char *p, size_t stride, unsigned h, unsigned part)
{
	kern_vi w[4], u[4];
	unsigned i, j;

	kern_virows(p + 32 * h + 16 * part, stride, w);
	for (j = 0; j < 4; j++) {
		KERN_UNROLL
		for (i = 0; i < 4; i++) {
			u[i] = kern_vidown(w[i], 0, 3u);
			w[i] = kern_visrl(w[i], 2);
		}
		put_sub(o, 8 * h + 2 * j + part, u, 4);
	}
}

KERN_INLINE void unpack_q2_k(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	kern_vi d = load_words(p + offsetof(struct kern_q2_k, d), stride), w[4];
	unsigned i;

	(void)n_blk;
	kern_virows(p, stride, w);
	KERN_UNROLL
	for (i = 0; i < 4; i++) {
		put_scale_bytes(o->s, o->v, 4 * i, kern_vif16(d), kern_vidown(w[i], 0, 15u), 0);
		put_min_bytes(o->s, o->v, 2 * i, kern_vidown(w[i], 4, 15u));
	}
	kern_vstore(o->s->dmin[o->v], kern_vif16(kern_visrl(d, 16)));
	for (i = 0; i < 4; i++)
		unpack_q2_k_part(o, p + offsetof(struct kern_q2_k, qs), stride, i / 2, i % 2);
}

KERN_INLINE void unpack_q3_k_scales(const struct gemm_sink *o, const char *p, size_t stride)
{
	kern_vi a = load_words(p, stride), b = load_words(p + 4, stride), c = load_words(p + 8, stride);
	kern_vf d = kern_vif16(kern_visrl(load_words(p + 10, stride), 16));     /* d follows the scales */

	put_scale_bytes(o->s, o->v, 0, d, kern_vior(kern_vidown(a, 0, 15u), kern_viup(c, 4, 0x30u)), 32);
	put_scale_bytes(o->s, o->v, 4, d, kern_vior(kern_vidown(b, 0, 15u), kern_viup(c, 2, 0x30u)), 32);
	put_scale_bytes(o->s, o->v, 8, d, kern_vior(kern_vidown(a, 4, 15u), kern_vidown(c, 0, 0x30u)), 32);
	put_scale_bytes(o->s, o->v, 12, d, kern_vior(kern_vidown(b, 4, 15u), kern_vidown(c, 2, 0x30u)), 32);
}

KERN_INLINE void unpack_q3_k(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	const char *qs = p + offsetof(struct kern_q3_k, qs);
	kern_vi h[8], w[8], u[8];
	unsigned half, i, j;

	(void)n_blk;
	unpack_q3_k_scales(o, p + offsetof(struct kern_q3_k, scales), stride);
	kern_virows(p, stride, h);
	kern_virows(p + 16, stride, h + 4);
	for (half = 0; half < 2; half++) {
		kern_virows(qs + 32 * half, stride, w);
		kern_virows(qs + 32 * half + 16, stride, w + 4);
		for (j = 0; j < 4; j++) {
			KERN_UNROLL
			for (i = 0; i < 8; i++) {       /* bit 4 * half + j of h is the next one */
				u[i] = kern_vior(kern_vidown(w[i], 0, 3u), kern_viup(h[i], 2, 4u));
				w[i] = kern_visrl(w[i], 2);
				h[i] = kern_visrl(h[i], 1);
			}
			put_sub(o, 8 * half + 2 * j, u, 4);
			put_sub(o, 8 * half + 2 * j + 1, u + 4, 4);
		}
	}
}

KERN_INLINE void unpack_q4_k(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	kern_vi lo[8], hi[8];
	unsigned c, i;

	(void)n_blk;
	unpack_q4_k_head(o, p, stride);
	p += offsetof(struct kern_q4_k, qs);
	for (c = 0; c < 4; c++, p += 32) {
		kern_virows(p, stride, lo);
		kern_virows(p + 16, stride, lo + 4);
		KERN_UNROLL
		for (i = 0; i < 8; i++) {
			hi[i] = kern_vidown(lo[i], 4, 15u);
			lo[i] = kern_vidown(lo[i], 0, 15u);
		}
		put_sub(o, 2 * c, lo, 8);
		put_sub(o, 2 * c + 1, hi, 8);
	}
}

/* Sub-blocks 2 * c and 2 * c + 1, whose fifth bits are bits 2 * c and 2 * c + 1 of the bytes of h. */
KERN_INLINE void unpack_q5_k_pair(const struct gemm_sink *o, const char *p, size_t stride, unsigned c, kern_vi h[8])
{
	const kern_vi bit = kern_viset1(0x10101010);
	kern_vi lo[8], hi[8];
	unsigned i;

	kern_virows(p, stride, lo);
	kern_virows(p + 16, stride, lo + 4);
	KERN_UNROLL
	for (i = 0; i < 8; i++) {
		hi[i] = kern_vior(kern_vidown(lo[i], 4, 15u), kern_viand(kern_visll(h[i], 3), bit));
		lo[i] = kern_vior(kern_vidown(lo[i], 0, 15u), kern_viand(kern_visll(h[i], 4), bit));
		h[i] = kern_visrl(h[i], 2);
	}
	put_sub(o, 2 * c, lo, 8);
	put_sub(o, 2 * c + 1, hi, 8);
}

KERN_INLINE void unpack_q5_k(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	kern_vi h[8];
	unsigned c;

	(void)n_blk;
	unpack_q4_k_head(o, p, stride);
	kern_virows(p + offsetof(struct kern_q5_k, qh), stride, h);
	kern_virows(p + offsetof(struct kern_q5_k, qh) + 16, stride, h + 4);
	for (c = 0; c < 4; c++)
		unpack_q5_k_pair(o, p + offsetof(struct kern_q5_k, qs) + 32 * c, stride, c, h);
}

/* Sixteen columns of each quarter of half h, from byte 16 * part on. */
KERN_INLINE void unpack_q6_k_part(const struct gemm_sink *o, const struct kern_q6_k *b, size_t stride, unsigned h,
				  unsigned part)
{
	unsigned i, sub = 8 * h + part;
	kern_vi l0[4], l1[4], up[4], u[4];

	kern_virows((const char *)b->ql + 64 * h + 16 * part, stride, l0);
	kern_virows((const char *)b->ql + 64 * h + 32 + 16 * part, stride, l1);
	kern_virows((const char *)b->qh + 32 * h + 16 * part, stride, up);
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		u[i] = kern_vior(kern_vidown(l0[i], 0, 15u), kern_viup(up[i], 4, 0x30u));
	put_sub(o, sub, u, 4);
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		u[i] = kern_vior(kern_vidown(l1[i], 0, 15u), kern_viup(up[i], 2, 0x30u));
	put_sub(o, sub + 2, u, 4);
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		u[i] = kern_vior(kern_vidown(l0[i], 4, 15u), kern_vidown(up[i], 0, 0x30u));
	put_sub(o, sub + 4, u, 4);
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		u[i] = kern_vior(kern_vidown(l1[i], 4, 15u), kern_vidown(up[i], 2, 0x30u));
	put_sub(o, sub + 6, u, 4);
}

KERN_INLINE void unpack_q6_k(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	const struct kern_q6_k *b = (const struct kern_q6_k *)(const void *)p;
	uint16_t d[1][KERN_LANES];
	kern_vi sc[4];
	unsigned i;

	(void)n_blk;
	load_halves(d, p + offsetof(struct kern_q6_k, d), stride, 0, 1);
	kern_virows((const char *)b->sc, stride, sc);
	for (i = 0; i < 4; i++)
		unpack_q6_k_part(o, b, stride, i / 2, i % 2);
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		put_scale_signed(o->s, o->v, 4 * i, kern_vload_f16(d[0]), sc[i]);
}

#endif
#endif
