/* kern_quantise_ref.c - activations to 8 bits.
 *
 * A block's scale is its largest magnitude / 127; each value is rounded to nearest, ties to even.
 * A block that holds an infinity or a NaN gets that as its scale and zeros as its values, so that
 * whatever is computed from it is NaN.
 */
#include <math.h>

#include "kernels/kern_f16.h"
#include "kernels/kern_internal.h"

static float block_scale(const float *x, uint32_t n, int8_t *q)
{
	uint32_t i, top = 0;
	float amax, inv;

	for (i = 0; i < n; i++) {
		uint32_t mag = kern_f32_bits(x[i]) & 0x7fffffffu;

		if (mag > top)
			top = mag;
	}
	amax = kern_f32_from_bits(top);
	inv = top != 0 ? 127.0f / amax : 0.0f;
	if (top >= 0x7f800000u || !(inv < HUGE_VALF)) {         /* not finite, or too small to divide by */
		for (i = 0; i < n; i++)
			q[i] = 0;
		return top >= 0x7f800000u ? amax : 0.0f;
	}
	for (i = 0; i < n; i++)
		q[i] = (int8_t)nearbyintf(x[i] * inv);
	return amax / 127.0f;
}

static int16_t sum_of(const int8_t *q, uint32_t n)
{
	int sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += q[i];
	return (int16_t)sum;
}

static void row_q8(const struct kern_acts *a, uint32_t tok)
{
	const float *x = a->x + (size_t)tok * a->cols;
	int8_t *q = a->q + (size_t)tok * a->n_blk * 32;
	float *d = a->d + (size_t)tok * a->n_blk;
	int16_t *sums = a->sums + (size_t)tok * a->n_blk;
	uint32_t b, i;

	for (b = 0; b < a->cols / 32; b++)
		d[b] = block_scale(x + (size_t)b * 32, 32, q + (size_t)b * 32);
	for (; b < a->n_blk; b++) {
		d[b] = 0.0f;
		for (i = 0; i < 32; i++)
			q[(size_t)b * 32 + i] = 0;
	}
	for (b = 0; b < a->n_blk; b++)
		sums[b] = sum_of(q + (size_t)b * 32, 32);
}

static void row_q8k(const struct kern_acts *a, uint32_t tok)
{
	const float *x = a->x + (size_t)tok * a->cols;
	int8_t *q = a->q + (size_t)tok * a->n_blk * 256;
	float *d = a->d + (size_t)tok * a->n_blk;
	int16_t *sums = a->sums + (size_t)tok * a->n_blk * 16;
	uint32_t b;

	for (b = 0; b < a->n_blk; b++)
		d[b] = block_scale(x + (size_t)b * 256, 256, q + (size_t)b * 256);
	for (b = 0; b < a->n_blk * 16; b++)
		sums[b] = sum_of(q + (size_t)b * 16, 16);
}

void kern_quantise_ref(const struct kern_acts *a, uint32_t tok0, uint32_t tok1)
{
	uint32_t t;

	for (t = tok0; t < tok1; t++) {
		if (a->kind == KERN_ACT_Q8)
			row_q8(a, t);
		else if (a->kind == KERN_ACT_Q8K)
			row_q8k(a, t);
	}
}
