/* kern_dequant_iq_ref.c - super-blocks of table indices to f32, by the formulas of kern_block_iq.h.
 *
 * Every product is exact in f32, so the order of the factors does not matter.
 */
#include <string.h>

#include "kernels/kern_block_iq.h"
#include "kernels/kern_f16.h"
#include "kernels/kern_internal.h"

void kern_dequant_iq4_xs_ref(const void *row, float *y, size_t n)
{
	const struct kern_iq4_xs *b = row;
	size_t k;
	unsigned s, i;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d);

		for (s = 0; s < 8; s++) {
			float ds = d * (float)kern_iq4_xs_scale(b, s);

			for (i = 0; i < 16; i++) {
				y[32 * s + i] = ds * (float)kern_iq4_values[b->qs[16 * s + i] & 15];
				y[32 * s + 16 + i] = ds * (float)kern_iq4_values[b->qs[16 * s + i] >> 4];
			}
		}
	}
}

/* n weights of a grid entry, a bit of signs each. */
static void put_grid(float *y, float d, uint64_t grid, unsigned signs, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		float v = d * (float)(grid >> (8 * i) & 255);

		y[i] = (signs >> i & 1) != 0 ? -v : v;
	}
}

static uint32_t word_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

void kern_dequant_iq2_xxs_ref(const void *row, float *y, size_t n)
{
	const struct kern_iq2_xxs *b = row;
	size_t k;
	unsigned g;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d);

		for (g = 0; g < 32; g++) {
			const uint8_t *sub = b->qs + g / 4 * 8;
			uint32_t word = word_at(sub + 4);

			put_grid(y + 8 * g, d * (float)(2 * (word >> 28) + 1) * 0.125f, kern_grid_iq2_xxs[sub[g % 4]],
				 kern_grid_signs[word >> (7 * (g % 4)) & 127], 8);
		}
	}
}

/* 2 sc + 1 of sub-block s, scales in nibbles. */
static float odd_scale(const uint8_t *scales, unsigned s)
{
	return (float)(2u * (scales[s / 2] >> (4 * (s % 2)) & 15u) + 1u);
}

void kern_dequant_iq2_xs_ref(const void *row, float *y, size_t n)
{
	const struct kern_iq2_xs *b = row;
	size_t k;
	unsigned g;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d) * 0.125f;

		for (g = 0; g < 32; g++)
			put_grid(y + 8 * g, d * odd_scale(b->scales, g / 2), kern_grid_iq2_xs[b->qs[g] & 511],
				 kern_grid_signs[b->qs[g] >> 9], 8);
	}
}

void kern_dequant_iq2_s_ref(const void *row, float *y, size_t n)
{
	const struct kern_iq2_s *b = row;
	size_t k;
	unsigned g;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d) * 0.125f;

		for (g = 0; g < 32; g++) {
			unsigned at = b->qs[g] | (b->qh[g / 4] >> (2 * (g % 4)) & 3u) << 8;

			put_grid(y + 8 * g, d * odd_scale(b->scales, g / 2), kern_grid_iq2_s[at], b->signs[g], 8);
		}
	}
}

void kern_dequant_iq3_xxs_ref(const void *row, float *y, size_t n)
{
	const struct kern_iq3_xxs *b = row;
	size_t k;
	unsigned g;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d) * 0.25f;

		for (g = 0; g < 64; g++) {
			uint32_t word = word_at(b->sub + g / 8 * 4);
			unsigned signs = kern_grid_signs[word >> (7 * (g % 8 / 2)) & 127];

			put_grid(y + 4 * g, d * (float)(2 * (word >> 28) + 1), kern_grid_iq3_xxs[b->qs[g]],
				 signs >> (4 * (g % 2)), 4);
		}
	}
}

void kern_dequant_iq3_s_ref(const void *row, float *y, size_t n)
{
	const struct kern_iq3_s *b = row;
	size_t k;
	unsigned g;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d);

		for (g = 0; g < 64; g++) {
			unsigned at = b->qs[g] | (b->qh[g / 8] >> (g % 8) & 1u) << 8;

			put_grid(y + 4 * g, d * odd_scale(b->scales, g / 8), kern_grid_iq3_s[at],
				 (unsigned)b->signs[g / 2] >> (4 * (g % 2)), 4);
		}
	}
}
