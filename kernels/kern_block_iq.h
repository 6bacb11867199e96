/* kern_block_iq.h - the blocks whose quants are indices of tables of values.
 *
 * Layouts, formulas and tables are those of the GGUF format (ggml-common.h, ggml-quants.c of
 * github.com/ggml-org/ggml).  d is F16.  As in kern_block.h, a block may start at any even address, one of
 * MXFP4 at any address.
 *
 * A grid is a table of weights by the four or eight, in order from the lowest byte; their signs are kept
 * apart, one bit a weight, 1 for minus.  Where only seven bits of signs are stored for eight weights,
 * the eighth makes the number of minuses even.
 */
#ifndef KERNELS_KERN_BLOCK_IQ_H
#define KERNELS_KERN_BLOCK_IQ_H

#include <stdint.h>

#include "kernels/kern_block.h"

/* x = d * kern_iq4_values[q]; weight i < 16 is the low nibble of qs[i], weight 16 + i the high one. */
struct kern_iq4_nl { uint16_t d; uint8_t qs[16]; };
/* Eight sub-blocks of 32 in 16 bytes each, as in iq4_nl: x = d * (sc[s] - 32) * kern_iq4_values[q].
 * The low four bits of sc[s] are a nibble of scales_l[s / 2], low first; the upper two are bits 2s and
 * 2s + 1 of scales_h. */
struct kern_iq4_xs { uint16_t d, scales_h; uint8_t scales_l[4]; uint8_t qs[128]; };
/* x = 2^(e - 128) * kern_mxfp4_values[q]: the values are doubled, so that they are integers. */
struct kern_mxfp4 { uint8_t e; uint8_t qs[16]; };

/* Eight sub-blocks of 32 in eight bytes each: four indices of kern_grid_iq2_xxs, then a 32-bit word that
 * holds four times seven signs from bit 0 on and the scale sc in bits 28-31.
 * x = d * (2 sc + 1) / 8 * grid. */
struct kern_iq2_xxs { uint16_t d; uint8_t qs[64]; };
/* Every 16-bit word of qs is eight weights: an index of kern_grid_iq2_xs in bits 0-8, signs in bits 9-15.
 * Sixteen sub-blocks of 16 with scales in nibbles, low first: x = d * (2 sc + 1) / 8 * grid. */
struct kern_iq2_xs { uint16_t d; uint16_t qs[32]; uint8_t scales[8]; };
/* Group g of eight weights: qs[g] and, as bits 8-9, bits 2(g % 4) and the next of qh[g / 4] index
 * kern_grid_iq2_s; signs[g] are its signs.  Scales as in iq2_xs. */
struct kern_iq2_s { uint16_t d; uint8_t qs[32]; uint8_t signs[32]; uint8_t qh[8]; uint8_t scales[8]; };
/* Group g of four weights: qs[g] indexes kern_grid_iq3_xxs.  The eight 32-bit words of sub are those of
 * iq2_xxs, one for each 32 weights: x = d * (2 sc + 1) / 4 * grid. */
struct kern_iq3_xxs { uint16_t d; uint8_t qs[64]; uint8_t sub[32]; };
/* Group g of four weights: qs[g] and, as bit 8, bit g % 8 of qh[g / 8] index kern_grid_iq3_s; signs are
 * bits in the order of the weights.  Eight sub-blocks of 32 with scales in nibbles, low first:
 * x = d * (2 sc + 1) * grid. */
struct kern_iq3_s { uint16_t d; uint8_t qs[64]; uint8_t qh[8]; uint8_t signs[32]; uint8_t scales[4]; };

_Static_assert(sizeof(struct kern_iq4_nl) == 18, "block size of IQ4_NL");
_Static_assert(sizeof(struct kern_iq4_xs) == 136, "block size of IQ4_XS");
_Static_assert(sizeof(struct kern_mxfp4) == 17, "block size of MXFP4");
_Static_assert(sizeof(struct kern_iq2_xxs) == 66, "block size of IQ2_XXS");
_Static_assert(sizeof(struct kern_iq2_xs) == 74, "block size of IQ2_XS");
_Static_assert(sizeof(struct kern_iq2_s) == 82, "block size of IQ2_S");
_Static_assert(sizeof(struct kern_iq3_xxs) == 98, "block size of IQ3_XXS");
_Static_assert(sizeof(struct kern_iq3_s) == 110, "block size of IQ3_S");

/* kern_grid_tables.c */
extern const int8_t kern_iq4_values[16], kern_mxfp4_values[16];
extern const uint64_t kern_grid_iq2_xxs[256], kern_grid_iq2_xs[512], kern_grid_iq2_s[1024];
extern const uint32_t kern_grid_iq3_xxs[256], kern_grid_iq3_s[512];
/* Eight signs from seven. */
extern const uint8_t kern_grid_signs[128];

/* 2^(e - 128) as the bits of an f32; below 2^-126 they are subnormal. */
static inline uint32_t kern_mxfp4_scale_bits(uint8_t e)
{
	return e < 2 ? (uint32_t)0x00200000 << e : (uint32_t)(e - 1) << 23;
}

/* The scale of sub-block s < 8 of IQ4_XS, -32 .. 31. */
static inline int kern_iq4_xs_scale(const struct kern_iq4_xs *b, unsigned s)
{
	unsigned low = b->scales_l[s / 2] >> (4 * (s % 2)) & 15u, high = (unsigned)(b->scales_h >> (2 * s)) & 3u;

	return (int)(low | high << 4) - 32;
}

#endif
