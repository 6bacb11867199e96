/* kern_gemm_masked.h - one token against super-blocks whose weights are put together of bit fields; see kern_gemm.h.
 *
 * Included by kern_gemm_avx512.c.  A weight of Q5_K is four bits here and one there: for a tile they are shifted into
 * one byte.  One token multiplies each field where it lies, masked only, and shifts the 32-bit sum instead: a sum of
 * products with a field that lies n bits too high is 2^n times as large, exactly.  The sums are the same integers.
 */
#ifndef KERNELS_KERN_GEMM_MASKED_H
#define KERNELS_KERN_GEMM_MASKED_H

#include "kernels/kern_gemm_super.h"

#if defined(KERN_SIMD) && KERN_LANES == 16

/* The sum over n words of products with the bits of `field` of each byte. */
KERN_INLINE kern_vi field_dot(const kern_vi *w, const int8_t *q, unsigned field, int n)
{
	const kern_vi mask = kern_viset1((int32_t)(0x01010101u * field));
	kern_vi sum = kern_vizero();
	int i;

	KERN_UNROLL
	for (i = 0; i < n; i++)
		sum = quad_dot(sum, kern_viand(w[i], mask), four(q + 4 * i));
	return sum;
}

/* Of products with bits that lie `from` bits up and count from bit `to` on. */
KERN_INLINE kern_vi field_sum(kern_vi sum, unsigned from, unsigned to)
{
	return from > to ? kern_visra(sum, from - to) : kern_visll(sum, to - from);
}

KERN_INLINE void put_sum(const struct gemm_sink *o, unsigned k, kern_vi sum)
{
	kern_vistore(o->s->w[k][o->v], sum);
}

KERN_INLINE void masked_q4_k(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	const int8_t *q = o->q;
	kern_vi w[8];
	unsigned c;

	(void)n_blk;
	unpack_q4_k_head(o, p, stride);
	p += offsetof(struct kern_q4_k, qs);
	for (c = 0; c < 4; c++, p += 32, q += 64) {
		kern_virows(p, stride, w);
		kern_virows(p + 16, stride, w + 4);
		put_sum(o, 2 * c, field_dot(w, q, 0x0f, 8));
		put_sum(o, 2 * c + 1, field_sum(field_dot(w, q + 32, 0xf0, 8), 4, 0));
	}
}

KERN_INLINE void masked_q5_k(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk)
{
	kern_vi h[8], w[8];
	unsigned c;

	(void)n_blk;
	unpack_q4_k_head(o, p, stride);
	kern_virows(p + offsetof(struct kern_q5_k, qh), stride, h);
	kern_virows(p + offsetof(struct kern_q5_k, qh) + 16, stride, h + 4);
	KERN_UNROLL
	for (c = 0; c < 4; c++) {
		const int8_t *q = o->q + 64 * c;

		kern_virows(p + offsetof(struct kern_q5_k, qs) + 32 * c, stride, w);
		kern_virows(p + offsetof(struct kern_q5_k, qs) + 32 * c + 16, stride, w + 4);
		put_sum(o, 2 * c, kern_viadd(field_dot(w, q, 0x0f, 8),
					     field_sum(field_dot(h, q, 1u << (2 * c), 8), 2 * c, 4)));
		put_sum(o, 2 * c + 1, kern_viadd(field_sum(field_dot(w, q + 32, 0xf0, 8), 4, 0),
						 field_sum(field_dot(h, q + 32, 2u << (2 * c), 8), 2 * c + 1, 4)));
	}
}

#endif
#endif
