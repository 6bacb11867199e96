/* kern_gemm_packed.h - one token against blocks of 32 whose sizes are no multiple of four bytes; see kern_gemm.h.
 *
 * Included by kern_gemm_avx512.c.  To pick scales out of such blocks one by one costs more than all else
 * that one token asks for.  So eight blocks of every row are transposed as they lie, scales and weights together: word
 * k of a row has bytes 4 k .. 4 k + 3 of the eight blocks.  A scale is somewhere in a word; weights that do not
 * begin at a word meet activations that are shifted as much, and what a word has of something else counts as zero.
 * The sums are those of kern_gemm_small.h, integers and so the same in any order.
 */
#ifndef KERNELS_KERN_GEMM_PACKED_H
#define KERNELS_KERN_GEMM_PACKED_H

#include "kernels/kern_gemm_small.h"

#if defined(KERN_SIMD) && KERN_LANES == 16

#define PACKED_BLOCKS (STEP / 32)
#define PACKED_WORDS (PACKED_BLOCKS * sizeof(struct kern_q8_0) / 4)
#define PACKED_SPAN 9           /* words that a block's weights lie in, at most */

enum packed_kind { PACKED_NIBBLES, PACKED_PICKS, PACKED_BYTES };

/* How a type's blocks lie; constant wherever it is used. */
struct packed {
	unsigned bytes, head;           /* of a block, and of what comes before its weights */
	enum packed_kind kind;
};

/* All of the eight blocks of each row, `bytes` a row, a multiple of 4. */
KERN_INLINE void packed_load(kern_vi *w, const char *p, size_t stride, unsigned bytes)
{
	unsigned at;

	for (at = 0; at + 16 <= bytes; at += 16)
		kern_virows(p + at, stride, w + at / 4);
	if (at < bytes)
		kern_virows(p + bytes - 16, stride, w + bytes / 4 - 4);
}

/* The bytes from `from` to `to` of a word. */
KERN_INLINE uint32_t packed_mask(int from, int to)
{
	uint32_t m = 0;
	int i;

	KERN_UNROLL
	for (i = 0; i < 4; i++)
		m |= i >= from && i < to ? 0xffu << (8 * i) : 0;
	return m;
}

/* The weights of one word, u[1] those of high nibbles. */
KERN_INLINE void packed_word(kern_vi u[2], const struct packed *k, kern_vi w, uint32_t mask, kern_vi values)
{
	const kern_vi m = kern_viset1((int32_t)mask), low = kern_viset1((int32_t)(mask & 0x0f0f0f0fu));

	switch (k->kind) {
	case PACKED_BYTES:
		u[0] = kern_vixor(kern_viand(w, m), kern_viset1((int32_t)(mask & (BIAS_8 * 0x01010101u))));
		break;
	case PACKED_NIBBLES:
		u[0] = kern_viand(w, low);
		u[1] = kern_viand(kern_visrl(w, 4), low);
		break;
	case PACKED_PICKS:
		u[0] = kern_viand(kern_vipick(values, kern_viand(w, low)), m);
		u[1] = kern_viand(kern_vipick(values, kern_viand(kern_visrl(w, 4), low)), m);
		break;
	}
}

/* The sum of block b; x: the step's activations. */
KERN_INLINE kern_vi packed_dot(const struct packed *k, const kern_vi *w, unsigned b, const int8_t *x, kern_vi values)
{
	const int lead = (int)((b * k->bytes + k->head) % 4), payload = (int)(k->bytes - k->head);
	const int n = (lead + payload + 3) / 4;
	kern_vi u[2][PACKED_SPAN], sum;
	int i;

	w += (b * k->bytes + k->head) / 4;
	x += 32 * b;
	KERN_UNROLL
	for (i = 0; i < n; i++) {
		kern_vi both[2] = { kern_vizero(), kern_vizero() };

		packed_word(both, k, w[i], packed_mask(lead - 4 * i, lead + payload - 4 * i), values);
		u[0][i] = both[0];
		u[1][i] = both[1];
	}
	sum = sub_dot(u[0], x - lead, n);
	return k->kind == PACKED_BYTES ? sum : kern_viadd(sum, sub_dot(u[1], x + 16 - lead, n));
}

/* The bytes of the heads of block b, lowest first. */
KERN_INLINE kern_vi packed_head(const struct packed *k, const kern_vi *w, unsigned b)
{
	const unsigned at = b * k->bytes;

	return kern_visrl(w[at / 4], 8 * (at % 4));
}

/* Eight blocks of each row. */
KERN_INLINE void packed_sums(const struct gemm_sink *o, const struct packed *k, const char *p, size_t stride,
			     kern_vi values)
{
	kern_vi w[PACKED_WORDS];
	int8_t x[4 + STEP + 4];         /* words that reach past a block's weights read a little more */
	unsigned b;

	memset(x, 0, 4);
	memcpy(x + 4, o->q, STEP);
	memset(x + 4 + STEP, 0, 4);
	packed_load(w, p, stride, PACKED_BLOCKS * k->bytes);
	KERN_UNROLL
	for (b = 0; b < PACKED_BLOCKS; b++) {
		kern_vi head = packed_head(k, w, b);

		kern_vistore(o->s->w[b][o->v], packed_dot(k, w, b, x + 4, values));
		kern_vstore(o->s->scale[b][o->v], k->head == 1 ? e8m0_half(head) : kern_vif16(head));
	}
}

/* As unpack_<id>; rows that end within a step are left to it. */
#define PACKED(id, payload, what, values) \
	KERN_INLINE void packed_##id(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk) \
	{ \
		const struct packed k = { sizeof(struct kern_##id), sizeof(struct kern_##id) - (payload), what }; \
		\
		if (n_blk == PACKED_BLOCKS) \
			packed_sums(o, &k, p, stride, values); \
		else \
			unpack_##id(o, p, stride, n_blk); \
	}

PACKED(q4_0, 16, PACKED_NIBBLES, kern_vizero())
PACKED(q8_0, 32, PACKED_BYTES, kern_vizero())
PACKED(iq4_nl, 16, PACKED_PICKS, iq4_values())
PACKED(mxfp4, 16, PACKED_PICKS, mxfp4_values())

#endif
#endif
