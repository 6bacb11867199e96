/* kern_block.h - the blocks that quantised tensor rows consist of.
 *
 * Layouts and value formulas are those of the GGUF format (ggml-common.h, ggml-quants.c of
 * github.com/ggml-org/ggml).  d, m and dmin are F16.  All members are bytes or 16-bit words in the
 * file's little-endian order, and a block may start at any even address (one of MXFP4, which has
 * bytes only, at any address).  The types whose quants are indices of tables are in kern_block_iq.h.
 */
#ifndef KERNELS_KERN_BLOCK_H
#define KERNELS_KERN_BLOCK_H

#include <stdint.h>

#define KERN_QK 32              /* weights in a small block */
#define KERN_QK_K 256           /* weights in a super-block */

/* x = d * (q - 8); weight i < 16 is the low nibble of qs[i], weight 16 + i the high one. */
struct kern_q4_0 { uint16_t d; uint8_t qs[16]; };
/* x = d * q + m */
struct kern_q4_1 { uint16_t d, m; uint8_t qs[16]; };
/* x = d * (q - 16); bit 4 of weight i is bit i of the 32-bit word qh. */
struct kern_q5_0 { uint16_t d; uint8_t qh[4]; uint8_t qs[16]; };
/* x = d * q + m */
struct kern_q5_1 { uint16_t d, m; uint8_t qh[4]; uint8_t qs[16]; };
/* x = d * q */
struct kern_q8_0 { uint16_t d; int8_t qs[32]; };

/* Sixteen sub-blocks of 16: x = d * sc[s] * q - dmin * mn[s], sc the low nibble of scales[s], mn the high
 * one.  In each half h of 128 weights, weight 32j + l (j < 4, l < 32) is bits 2j and 2j + 1 of
 * qs[32h + l]. */
struct kern_q2_k { uint8_t scales[16]; uint8_t qs[64]; uint16_t d, dmin; };
/* Sixteen sub-blocks of 16: x = d * (sc[s] - 32) * (q - 4), the low two bits of q as in q2_k; bit 2 of
 * weight 32g + l (g < 8, l < 32) is bit g of hmask[l].  The low four bits of sc[s] are a nibble of
 * scales[s % 8], the low one for s < 8; the upper two are bits 2(s / 4) and the next of scales[8 + s % 4]. */
struct kern_q3_k { uint8_t hmask[32]; uint8_t qs[64]; uint8_t scales[12]; uint16_t d; };
/* Eight sub-blocks of 32: x = d * sc[s] * q - dmin * mn[s].  Sub-block 2c is the low nibbles of
 * qs[32c .. 32c + 31], sub-block 2c + 1 the high ones.  scales packs eight 6-bit sc and eight 6-bit
 * mn: for s < 4 the low six bits of byte s and of byte 4 + s; for s >= 4 the low four bits are the
 * low and high nibble of byte 4 + s, the upper two come from the top of bytes s - 4 and s. */
struct kern_q4_k { uint16_t d, dmin; uint8_t scales[12]; uint8_t qs[128]; };
/* As q4_k; bit 4 of weight i of sub-block s is bit s of qh[i]. */
struct kern_q5_k { uint16_t d, dmin; uint8_t scales[12]; uint8_t qh[32]; uint8_t qs[128]; };
/* Sixteen sub-blocks of 16: x = d * sc[s] * (q - 32).  In each half h of 128 weights, with l < 32:
 * weight l       low nibble of ql[64h + l],      bits 0-1 of qh[32h + l];
 * weight 32 + l  low nibble of ql[64h + 32 + l], bits 2-3;
 * weight 64 + l  high nibble of ql[64h + l],     bits 4-5;
 * weight 96 + l  high nibble of ql[64h + 32 + l], bits 6-7. */
struct kern_q6_k { uint8_t ql[128]; uint8_t qh[64]; int8_t sc[16]; uint16_t d; };

_Static_assert(sizeof(struct kern_q4_0) == 18, "block size of Q4_0");
_Static_assert(sizeof(struct kern_q4_1) == 20, "block size of Q4_1");
_Static_assert(sizeof(struct kern_q5_0) == 22, "block size of Q5_0");
_Static_assert(sizeof(struct kern_q5_1) == 24, "block size of Q5_1");
_Static_assert(sizeof(struct kern_q8_0) == 34, "block size of Q8_0");
_Static_assert(sizeof(struct kern_q2_k) == 84, "block size of Q2_K");
_Static_assert(sizeof(struct kern_q3_k) == 110, "block size of Q3_K");
_Static_assert(sizeof(struct kern_q4_k) == 144, "block size of Q4_K");
_Static_assert(sizeof(struct kern_q5_k) == 176, "block size of Q5_K");
_Static_assert(sizeof(struct kern_q6_k) == 210, "block size of Q6_K");

/* The scale of sub-block s < 16 of Q3_K, -32 .. 31. */
static inline int kern_q3_k_scale(const uint8_t *scales, unsigned s)
{
	unsigned low = scales[s % 8] >> (s < 8 ? 0 : 4) & 15u, high = scales[8 + s % 4] >> (s / 4 * 2) & 3u;

	return (int)(low | high << 4) - 32;
}

/* The scale and the minimum of sub-block s < 8 out of the twelve packed bytes. */
static inline void kern_q4_k_scale(const uint8_t *scales, unsigned s, unsigned *sc, unsigned *mn)
{
	if (s < 4) {
		*sc = scales[s] & 63u;
		*mn = scales[s + 4] & 63u;
	} else {
		*sc = (scales[s + 4] & 15u) | ((unsigned)(scales[s - 4] >> 6) << 4);
		*mn = (unsigned)(scales[s + 4] >> 4) | ((unsigned)(scales[s] >> 6) << 4);
	}
}

#endif
