/* kern_store.c - rows of a KV cache: rotated, and stored in any of its types.
 *
 * Blocks of 32 are quantised as ggml's reference does: Q8_0 by the largest magnitude / 127, Q4_0 by the value of the
 * largest magnitude / -8.  A block that holds an infinity or a NaN becomes NaN.
 */
#include <math.h>
#include <string.h>

#include "kernels/kern.h"
#include "kernels/kern_block.h"
#include "kernels/kern_f16.h"

#define BLOCK 32

bool kern_can_store(uint32_t type)
{
	return type == KERN_F32 || type == KERN_F16 || type == KERN_BF16 || type == KERN_Q8_0 || type == KERN_Q4_0;
}

bool kern_stores_blocks(uint32_t type)
{
	return type == KERN_Q8_0 || type == KERN_Q4_0;
}

/* The value of the largest magnitude; NaN when any is not finite. */
static float largest(const float *x)
{
	float top = 0.0f;
	uint32_t i;

	for (i = 0; i < BLOCK; i++) {
		if (!isfinite(x[i]))
			return NAN;
		if (fabsf(x[i]) > fabsf(top))
			top = x[i];
	}
	return top;
}

static void store_q8_0(struct kern_q8_0 *b, const float *x)
{
	float top = fabsf(largest(x)), d = top / 127.0f, inv = d > 0.0f ? 1.0f / d : 0.0f;
	uint32_t i;

	b->d = kern_f32_to_f16(d);
	memset(b->qs, 0, sizeof(b->qs));
	if (inv > 0.0f && isfinite(inv))
		for (i = 0; i < BLOCK; i++)
			b->qs[i] = (int8_t)roundf(x[i] * inv);
}

static uint8_t nibble(float x)
{
	int q = (int)(x + 8.5f);

	return (uint8_t)(q < 15 ? q : 15);
}

static void store_q4_0(struct kern_q4_0 *b, const float *x)
{
	float d = largest(x) / -8.0f, inv = d != 0.0f ? 1.0f / d : 0.0f;
	uint32_t i;

	b->d = kern_f32_to_f16(d);
	memset(b->qs, 0x88, sizeof(b->qs));
	if (isfinite(inv))
		for (i = 0; i < BLOCK / 2; i++)
			b->qs[i] = (uint8_t)(nibble(x[i] * inv) | nibble(x[i + BLOCK / 2] * inv) << 4);
}

static void store_bf16(uint16_t *h, const float *x, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		h[i] = kern_f32_to_bf16(x[i]);
}

static void store_f16(uint16_t *h, const float *x, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		h[i] = kern_f32_to_f16(x[i]);
}

void kern_store(uint32_t type, void *dst, const float *src, size_t n)
{
	size_t i;

	if (type == KERN_F32)
		memcpy(dst, src, n * sizeof(*src));
	else if (type == KERN_F16)
		store_f16(dst, src, n);
	else if (type == KERN_BF16)
		store_bf16(dst, src, n);
	for (i = 0; type == KERN_Q8_0 && i < n / BLOCK; i++)
		store_q8_0((struct kern_q8_0 *)dst + i, src + i * BLOCK);
	for (i = 0; type == KERN_Q4_0 && i < n / BLOCK; i++)
		store_q4_0((struct kern_q4_0 *)dst + i, src + i * BLOCK);
}

/* In place, log2 size rounds of sums and differences. */
static void rotate_one(float *x, uint32_t size)
{
	float factor = 1.0f / sqrtf((float)size), a, b;
	uint32_t half, i, k;

	for (half = 1; half < size; half *= 2)
		for (i = 0; i < size; i += 2 * half)
			for (k = i; k < i + half; k++) {
				a = x[k];
				b = x[k + half];
				x[k] = a + b;
				x[k + half] = a - b;
			}
	for (i = 0; i < size; i++)
		x[i] *= factor;
}

void kern_rotate(float *x, size_t n, uint32_t size)
{
	size_t i;

	for (i = 0; i + size <= n; i += size)
		rotate_one(x + i, size);
}
