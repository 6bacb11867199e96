/* kern_matmul_ref.c - the reference matmul: weights to f32, products summed in f64, left to right. */
#include "kernels/kern_internal.h"

#define CHUNK 256       /* weights widened at a time: a whole number of blocks of every type */
#define TOKS 16         /* tokens that share a widened chunk */

/* y[t][r] for n <= TOKS tokens from t0 on. */
static void row_dots(const struct kern_matmul *p, uint32_t r, uint32_t t0, uint32_t n)
{
	const struct kern_type *kt = kern_type(p->type);
	const char *row = (const char *)p->w + r * p->row_bytes;
	uint32_t cols = p->x->cols, c, t, i, m;
	double sum[TOKS] = { 0.0 };
	float w[CHUNK];

	for (c = 0; c < cols; c += m) {
		m = cols - c < CHUNK ? cols - c : CHUNK;
		kern_dequant(p->type, row + (size_t)c / kt->elems * kt->bytes, w, m);
		for (t = 0; t < n; t++) {
			const float *x = p->x->x + (size_t)(t0 + t) * cols + c;

			for (i = 0; i < m; i++)
				sum[t] += (double)w[i] * (double)x[i];
		}
	}
	for (t = 0; t < n; t++)
		p->y[(t0 + t) * p->y_stride + r] = (float)sum[t];
}

void kern_matmul_rows_ref(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n;

	for (r = row0; r < row1; r++) {
		for (t = 0; t < p->x->n_tok; t += n) {
			n = p->x->n_tok - t < TOKS ? p->x->n_tok - t : TOKS;
			row_dots(p, r, t, n);
		}
	}
}
