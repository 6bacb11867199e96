/* kern_dequant_ref.c - blocks to f32, by the formulas of kern_block.h. */
#include <string.h>

#include "kernels/kern.h"
#include "kernels/kern_block.h"
#include "kernels/kern_f16.h"

static void dequant_f32(const void *row, float *y, size_t n)
{
	memcpy(y, row, n * sizeof(*y));
}

static void dequant_f16(const void *row, float *y, size_t n)
{
	const uint16_t *h = row;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = kern_f16_to_f32(h[i]);
}

static void dequant_bf16(const void *row, float *y, size_t n)
{
	const uint16_t *h = row;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = kern_bf16_to_f32(h[i]);
}

static void dequant_q4_0(const void *row, float *y, size_t n)
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

static void dequant_q4_1(const void *row, float *y, size_t n)
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

static void dequant_q5_0(const void *row, float *y, size_t n)
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

static void dequant_q5_1(const void *row, float *y, size_t n)
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

static void dequant_q8_0(const void *row, float *y, size_t n)
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

static void dequant_q4_k(const void *row, float *y, size_t n)
{
	const struct kern_q4_k *b = row;
	size_t k;
	unsigned s, i, sc, mn;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d), dmin = kern_f16_to_f32(b->dmin);

		for (s = 0; s < 8; s++) {
			const uint8_t *qs = b->qs + s / 2 * 32;
			float ds, ms;

			kern_q4_k_scale(b->scales, s, &sc, &mn);
			ds = d * (float)sc;
			ms = dmin * (float)mn;
			for (i = 0; i < 32; i++)
				y[32 * s + i] = ds * (float)(s % 2 == 0 ? qs[i] & 15 : qs[i] >> 4) - ms;
		}
	}
}

static void dequant_q5_k(const void *row, float *y, size_t n)
{
	const struct kern_q5_k *b = row;
	size_t k;
	unsigned s, i, sc, mn;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d), dmin = kern_f16_to_f32(b->dmin);

		for (s = 0; s < 8; s++) {
			const uint8_t *qs = b->qs + s / 2 * 32;
			float ds, ms;

			kern_q4_k_scale(b->scales, s, &sc, &mn);
			ds = d * (float)sc;
			ms = dmin * (float)mn;
			for (i = 0; i < 32; i++) {
				unsigned q = s % 2 == 0 ? qs[i] & 15u : (unsigned)(qs[i] >> 4);

				q |= ((b->qh[i] >> s) & 1u) << 4;
				y[32 * s + i] = ds * (float)q - ms;
			}
		}
	}
}

static void dequant_q6_k(const void *row, float *y, size_t n)
{
	const struct kern_q6_k *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d);

		for (i = 0; i < KERN_QK_K; i++) {
			unsigned half = i / 128, quarter = i % 128 / 32, l = i % 32;
			unsigned low = b->ql[64 * half + 32 * (quarter & 1) + l] >> (quarter >= 2 ? 4 : 0) & 15u;
			unsigned high = b->qh[32 * half + l] >> (2 * quarter) & 3u;

			y[i] = d * (float)b->sc[i / 16] * (float)((int)(low | high << 4) - 32);
		}
	}
}

static void (*const dequant_fn[KERN_TYPE_COUNT])(const void *row, float *y, size_t n) = {
	[KERN_F32] = dequant_f32, [KERN_F16] = dequant_f16, [KERN_BF16] = dequant_bf16,
	[KERN_Q4_0] = dequant_q4_0, [KERN_Q4_1] = dequant_q4_1,
	[KERN_Q5_0] = dequant_q5_0, [KERN_Q5_1] = dequant_q5_1, [KERN_Q8_0] = dequant_q8_0,
	[KERN_Q4_K] = dequant_q4_k, [KERN_Q5_K] = dequant_q5_k, [KERN_Q6_K] = dequant_q6_k,
};

bool kern_can_dequant(uint32_t type)
{
	return type < KERN_TYPE_COUNT && dequant_fn[type] != NULL;
}

void kern_dequant(uint32_t type, const void *row, float *y, size_t n)
{
	dequant_fn[type](row, y, n);
}

void kern_store(uint32_t type, void *dst, const float *src, size_t n)
{
	uint16_t *h = dst;
	size_t i;

	if (type == KERN_F32) {
		memcpy(dst, src, n * sizeof(*src));
		return;
	}
	for (i = 0; i < n; i++)
		h[i] = kern_f32_to_f16(src[i]);
}
