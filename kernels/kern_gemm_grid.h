/* kern_gemm_grid.h - rows of grid indices into tiles; see kern_gemm.h and kern_block_iq.h.
 *
 * Included once by each kern_gemm_<isa>.c.  A row is looked up by itself, eight weights in a register, and
 * then put among the others.
 */
#ifndef KERNELS_KERN_GEMM_GRID_H
#define KERNELS_KERN_GEMM_GRID_H

#include "kernels/kern_block_iq.h"
#include "kernels/kern_gemm.h"

#ifdef KERN_SIMD

/* The weights of one row's super-block, and its scales: of 8 or 16 sub-blocks. */
struct grid_row { uint64_t q[32]; float scale[16]; };

/* Eight bytes, none of them 0, negative where a bit of signs is set. */
KERN_INLINE uint64_t with_signs(uint64_t grid, unsigned signs)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t bit = (signs * ones) & 0x8040201008040201u;
	uint64_t minus = ((bit + 0x7f * ones) >> 7) & ones;     /* 1 where the byte of `bit` is not 0 */

	return (grid ^ minus * 255) + minus;
}

KERN_INLINE float f16_at(const void *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));
	return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

KERN_INLINE uint32_t word_of(const uint8_t *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* scale[s] = d * (2 sc + 1) for n scales in nibbles, the low ones first */
KERN_INLINE void nibble_scales(float *scale, float d, const uint8_t *nibbles, unsigned n)
{
	unsigned s;

	for (s = 0; s < n; s++)
		scale[s] = d * (float)(2 * (nibbles[s / 2] >> (4 * (s % 2)) & 15) + 1);
}

KERN_INLINE void row_iq2_xxs(struct grid_row *r, const void *block)
{
	const struct kern_iq2_xxs *b = block;
	float d = f16_at(&b->d) * 0.125f;
	unsigned s, g;

	for (s = 0; s < 8; s++) {
		const uint8_t *sub = b->qs + 8 * s;
		uint32_t word = word_of(sub + 4);

		for (g = 0; g < 4; g++)
			r->q[4 * s + g] = with_signs(kern_grid_iq2_xxs[sub[g]], kern_grid_signs[word >> (7 * g) & 127]);
		r->scale[s] = d * (float)(2 * (word >> 28) + 1);
	}
}

KERN_INLINE void row_iq2_xs(struct grid_row *r, const void *block)
{
	const struct kern_iq2_xs *b = block;
	unsigned g;

	for (g = 0; g < 32; g++) {
		uint16_t w;

		memcpy(&w, &b->qs[g], sizeof(w));
		r->q[g] = with_signs(kern_grid_iq2_xs[w & 511], kern_grid_signs[w >> 9]);
	}
	nibble_scales(r->scale, f16_at(&b->d) * 0.125f, b->scales, 16);
}

KERN_INLINE void row_iq2_s(struct grid_row *r, const void *block)
{
	const struct kern_iq2_s *b = block;
	unsigned g;

	for (g = 0; g < 32; g++) {
		unsigned at = b->qs[g] | (b->qh[g / 4] >> (2 * (g % 4)) & 3u) << 8;

		r->q[g] = with_signs(kern_grid_iq2_s[at], b->signs[g]);
	}
	nibble_scales(r->scale, f16_at(&b->d) * 0.125f, b->scales, 16);
}

KERN_INLINE void row_iq3_xxs(struct grid_row *r, const void *block)
{
	const struct kern_iq3_xxs *b = block;
	float d = f16_at(&b->d) * 0.25f;
	unsigned s, g;

	for (s = 0; s < 8; s++) {
		uint32_t word = word_of(b->sub + 4 * s);

		for (g = 0; g < 4; g++) {
			const uint8_t *q = b->qs + 8 * s + 2 * g;

			r->q[4 * s + g] = with_signs(kern_grid_iq3_xxs[q[0]] | (uint64_t)kern_grid_iq3_xxs[q[1]] << 32,
						     kern_grid_signs[word >> (7 * g) & 127]);
		}
		r->scale[s] = d * (float)(2 * (word >> 28) + 1);
	}
}

KERN_INLINE void row_iq3_s(struct grid_row *r, const void *block)
{
	const struct kern_iq3_s *b = block;
	unsigned g;

	for (g = 0; g < 32; g++) {
		unsigned high = b->qh[g / 4] >> (2 * (g % 4));

		r->q[g] = with_signs(kern_grid_iq3_s[b->qs[2 * g] | (high & 1) << 8] |
				     (uint64_t)kern_grid_iq3_s[b->qs[2 * g + 1] | (high & 2) << 7] << 32, b->signs[g]);
	}
	nibble_scales(r->scale, f16_at(&b->d), b->scales, 8);
}

/* Rows that have been looked up, in sub-blocks of n quads. */
KERN_INLINE void put_grid_rows(const struct gemm_sink *o, const struct grid_row *r, int n)
{
	unsigned n_subs = STEP_QUADS / (unsigned)n, k, i;
	kern_vi w[8];

	for (k = 0; k < n_subs; k++) {
		const char *q = (const char *)r->q + 4 * (unsigned)n * k;

		kern_virows(q, sizeof(*r), w);
		if (n == 8)
			kern_virows(q + 16, sizeof(*r), w + 4);
		KERN_UNROLL
		for (i = 0; i < (unsigned)n; i++)
			w[i] = bias_8(w[i]);
		put_sub(o, k, w, n);
		for (i = 0; i < KERN_LANES; i++)
			o->s->scale[k][o->v][i] = r[i].scale[k];
	}
}

#define UNPACK_GRID(id, n_quads) \
	KERN_INLINE void unpack_##id(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk) \
	{ \
		struct grid_row rows[KERN_LANES]; \
		unsigned i; \
		\
		(void)n_blk; \
		for (i = 0; i < KERN_LANES; i++) \
			row_##id(&rows[i], p + i * stride); \
		put_grid_rows(o, rows, n_quads); \
	}
UNPACK_GRID(iq2_xxs, 8)
UNPACK_GRID(iq2_xs, 4)
UNPACK_GRID(iq2_s, 4)
UNPACK_GRID(iq3_xxs, 8)
UNPACK_GRID(iq3_s, 8)

#endif
#endif
