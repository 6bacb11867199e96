/* kern_dequant_small_ref.c - blocks of 32 to f32, by the formulas of kern_block.h and kern_block_iq.h. */
#include "kernels/kern_block_iq.h"
#include "kernels/kern_f16.h"
#include "kernels/kern_internal.h"

void kern_dequant_q4_0_ref(const void *row, float *y, size_t n)
{
	const struct kern_q4_0 *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK; k++, b++, y += KERN_QK) {
		float d = kern_f16_to_f32(b->d);

		for (i = 0; i < 16; i++) {
			y[i] = d * (float)((int)(b->qs[i] & 15) - 8);
			y[i + 16] = d * (float)((int)(b->qs[i] >> 4) - 8);
		}
	}
}

void kern_dequant_q4_1_ref(const void *row, float *y, size_t n)
{
	const struct kern_q4_1 *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK; k++, b++, y += KERN_QK) {
		float d = kern_f16_to_f32(b->d), m = kern_f16_to_f32(b->m);

		for (i = 0; i < 16; i++) {
			y[i] = d * (float)(b->qs[i] & 15) + m;
			y[i + 16] = d * (float)(b->qs[i] >> 4) + m;
		}
	}
}

/* Weight i < 32 of a five-bit block, 0 .. 31. */
static unsigned q5_value(const uint8_t *qs, const uint8_t *qh, unsigned i)
{
	unsigned low = i < 16 ? qs[i] & 15u : (unsigned)(qs[i - 16] >> 4);

	return low | ((qh[i / 8] >> (i % 8)) & 1u) << 4;
}

void kern_dequant_q5_0_ref(const void *row, float *y, size_t n)
{
	const struct kern_q5_0 *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK; k++, b++, y += KERN_QK) {
		float d = kern_f16_to_f32(b->d);

		for (i = 0; i < KERN_QK; i++)
			y[i] = d * (float)((int)q5_value(b->qs, b->qh, i) - 16);
	}
}

void kern_dequant_q5_1_ref(const void *row, float *y, size_t n)
{
	const struct kern_q5_1 *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK; k++, b++, y += KERN_QK) {
		float d = kern_f16_to_f32(b->d), m = kern_f16_to_f32(b->m);

		for (i = 0; i < KERN_QK; i++)
			y[i] = d * (float)q5_value(b->qs, b->qh, i) + m;
	}
}

void kern_dequant_q8_0_ref(const void *row, float *y, size_t n)
{
	const struct kern_q8_0 *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK; k++, b++, y += KERN_QK) {
		float d = kern_f16_to_f32(b->d);

		for (i = 0; i < KERN_QK; i++)
			y[i] = d * (float)b->qs[i];
	}
}

void kern_dequant_iq4_nl_ref(const void *row, float *y, size_t n)
{
	const struct kern_iq4_nl *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK; k++, b++, y += KERN_QK) {
		float d = kern_f16_to_f32(b->d);

		for (i = 0; i < 16; i++) {
			y[i] = d * (float)kern_iq4_values[b->qs[i] & 15];
			y[i + 16] = d * (float)kern_iq4_values[b->qs[i] >> 4];
		}
	}
}

void kern_dequant_mxfp4_ref(const void *row, float *y, size_t n)
{
	const struct kern_mxfp4 *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK; k++, b++, y += KERN_QK) {
		float d = kern_f32_from_bits(kern_mxfp4_scale_bits(b->e));

		for (i = 0; i < 16; i++) {
			y[i] = d * (float)kern_mxfp4_values[b->qs[i] & 15];
			y[i + 16] = d * (float)kern_mxfp4_values[b->qs[i] >> 4];
		}
	}
}
