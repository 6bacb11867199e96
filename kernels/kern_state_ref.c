/* kern_state_ref.c - what carries a state from token to token: convolution and the gated delta rule, one value at a
 * time.
 *
 * The convolution has no other implementation: it reads each value a few times and each weight once. */
#include <string.h>

#include "kernels/kern_exp.h"
#include "kernels/kern_internal.h"

void kern_conv_ref(const struct kern_conv *p, uint32_t ch0, uint32_t ch1)
{
	uint32_t back = p->n_tap - 1, t, c, j;

	for (c = ch0; c < ch1; c++) {
		float past[KERN_CONV_TAPS];             /* the last n_tap inputs, the oldest first */

		for (j = 0; j < back; j++)
			past[j] = p->state[(size_t)j * p->n_ch + c];
		for (t = 0; t < p->n_tok; t++) {
			float sum = 0.0f;

			past[back] = p->x[(size_t)t * p->n_ch + c];
			for (j = 0; j <= back; j++)
				sum += p->w[(size_t)c * p->n_tap + j] * past[j];
			p->y[(size_t)t * p->n_ch + c] = sum;
			memmove(past, past + 1, back * sizeof(*past));
		}
		for (j = 0; j < back; j++)
			p->state[(size_t)j * p->n_ch + c] = past[j];
	}
}

static double dot(const float *a, const float *b, uint32_t n)
{
	double sum = 0.0;
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

void kern_delta_ref(const struct kern_delta *p, uint32_t head0, uint32_t head1)
{
	uint32_t h, t, r, i, d = p->dim;

	for (h = head0; h < head1; h++) {
		uint32_t kh = p->tiled ? h % p->n_k : h / (p->n_v / p->n_k);

		for (t = 0; t < p->n_tok; t++) {
			const float *q = p->q + ((size_t)t * p->n_k + kh) * d, *k = p->k + ((size_t)t * p->n_k + kh) * d;
			size_t at = (size_t)t * p->n_v + h;
			float keep = kern_expf(p->g[at]);

			for (r = 0; r < d; r++) {
				float *s = p->state + ((size_t)h * d + r) * d, delta;

				for (i = 0; i < d; i++)
					s[i] *= keep;
				delta = p->beta[at] * (p->v[at * d + r] - (float)dot(s, k, d));
				for (i = 0; i < d; i++)
					s[i] += delta * k[i];
				p->out[at * d + r] = p->scale * (float)dot(s, q, d);
			}
		}
	}
}
