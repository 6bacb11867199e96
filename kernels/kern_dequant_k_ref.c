/* kern_dequant_k_ref.c - K-quants to f32, by the formulas of kern_block.h. */
#include "kernels/kern_block.h"
#include "kernels/kern_f16.h"
#include "kernels/kern_internal.h"

void kern_dequant_q2_k_ref(const void *row, float *y, size_t n)
{
	const struct kern_q2_k *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d), dmin = kern_f16_to_f32(b->dmin);

		for (i = 0; i < KERN_QK_K; i++) {
			unsigned q = b->qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3u;
			float ds = d * (float)(b->scales[i / 16] & 15), ms = dmin * (float)(b->scales[i / 16] >> 4);

			y[i] = ds * (float)q - ms;
		}
	}
}

void kern_dequant_q3_k_ref(const void *row, float *y, size_t n)
{
	const struct kern_q3_k *b = row;
	size_t k;
	unsigned i;

	for (k = 0; k < n / KERN_QK_K; k++, b++, y += KERN_QK_K) {
		float d = kern_f16_to_f32(b->d);

		for (i = 0; i < KERN_QK_K; i++) {
			unsigned low = b->qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3u;
			unsigned high = b->hmask[i % 32] >> (i / 32) & 1u;

			y[i] = d * (float)kern_q3_k_scale(b->scales, i / 16) * (float)((int)(low | high << 2) - 4);
		}
	}
}

void kern_dequant_q4_k_ref(const void *row, float *y, size_t n)
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

void kern_dequant_q5_k_ref(const void *row, float *y, size_t n)
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

void kern_dequant_q6_k_ref(const void *row, float *y, size_t n)
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
