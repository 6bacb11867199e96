/* kern_simd_matmul.h - matmul with f32 activations: F32, F16 and BF16 weights widened in registers.
 *
 * Included once by each kern_simd_<isa>.c.  An output value is one vector of partial sums, lane i of
 * which takes columns i, i + LANES, ... in order; the lanes are added at the end.  A tile computes
 * several rows and tokens side by side, each exactly so.  Many tokens share weights that are widened to
 * f32 once, a block of rows and columns at a time; their partial sums wait in memory meanwhile.
 */
#ifndef KERNELS_KERN_SIMD_MATMUL_H
#define KERNELS_KERN_SIMD_MATMUL_H

#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

#ifdef KERN_SIMD

#define TILE_ROWS 4
#if KERN_LANES == 16
#define TILE_TOKS 6             /* 24 sums, 4 weights, 1 activation of 32 registers */
#else
#define TILE_TOKS 2             /* 8 sums of 16 */
#endif
#define WIDE_ROWS 8             /* rows and columns that are widened together */
#define WIDE_COLS 512
#define WIDE_TOKS 64            /* tokens that use them before they are widened anew */
#define WIDE_LEAST 4            /* tokens that are worth it */

struct float_tile {
	const char *w[TILE_ROWS];
	const float *x[TILE_TOKS];
	kern_vf acc[TILE_ROWS][TILE_TOKS];
};

KERN_INLINE kern_vf float_load(uint32_t type, const char *w, uint32_t c)
{
	if (type == KERN_F16)
		return kern_vload_f16((const uint16_t *)(const void *)w + c);
	if (type == KERN_BF16)
		return kern_vload_bf16((const uint16_t *)(const void *)w + c);
	return kern_vload((const float *)(const void *)w + c);
}

KERN_INLINE kern_vf float_load_n(uint32_t type, const char *w, uint32_t c, uint32_t n)
{
	if (type == KERN_F16)
		return kern_vload_f16_n((const uint16_t *)(const void *)w + c, n);
	if (type == KERN_BF16)
		return kern_vload_bf16_n((const uint16_t *)(const void *)w + c, n);
	return kern_vload_n((const float *)(const void *)w + c, n);
}

/* acc += w * x over cols columns; nr, nt and type are constants wherever this is inlined. */
KERN_INLINE void float_span(struct float_tile *f, uint32_t type, uint32_t cols, int nr, int nt)
{
	kern_vf w[TILE_ROWS], x;
	uint32_t c;
	int i, j;

	for (c = 0; c + KERN_LANES <= cols; c += KERN_LANES) {
		KERN_UNROLL
		for (i = 0; i < nr; i++)
			w[i] = float_load(type, f->w[i], c);
		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			x = kern_vload(f->x[j] + c);
			KERN_UNROLL
			for (i = 0; i < nr; i++)
				f->acc[i][j] = kern_vfma(w[i], x, f->acc[i][j]);
		}
	}
	if (c == cols)
		return;
	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		x = kern_vload_n(f->x[j] + c, cols - c);
		KERN_UNROLL
		for (i = 0; i < nr; i++)
			f->acc[i][j] = kern_vfma(float_load_n(type, f->w[i], c, cols - c), x, f->acc[i][j]);
	}
}

KERN_INLINE void float_tile(const struct kern_matmul *p, uint32_t type, uint32_t r, uint32_t t, int nr, int nt)
{
	struct float_tile f;
	int i, j;

	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		f.w[i] = (const char *)p->w + (r + (uint32_t)i) * p->row_bytes;
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			f.acc[i][j] = kern_vset1(0.0f);
	}
	KERN_UNROLL
	for (j = 0; j < nt; j++)
		f.x[j] = p->x->x + (size_t)(t + (uint32_t)j) * p->x->cols;
	float_span(&f, type, p->x->cols, nr, nt);
	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			p->y[(t + (uint32_t)j) * p->y_stride + r + (uint32_t)i] = kern_vsum(f.acc[i][j]);
	}
}

/* Few tokens, weights widened as they are read; type is a constant. */
KERN_INLINE void float_rows(const struct kern_matmul *p, uint32_t type, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n = p->x->n_tok;

	for (r = row0; r + TILE_ROWS <= row1; r += TILE_ROWS)
		for (t = 0; t < n; t++)
			float_tile(p, type, r, t, TILE_ROWS, 1);
	for (; r < row1; r++)
		for (t = 0; t < n; t++)
			float_tile(p, type, r, t, 1, 1);
}

/* ---- many tokens --------------------------------------------------------------------------------- */

struct wide {
	float w[WIDE_ROWS][WIDE_COLS];
	kern_vf acc[WIDE_TOKS][WIDE_ROWS];
};

/* Columns c .. c + n - 1 of a row as f32. */
KERN_INLINE void widen(float *to, uint32_t type, const char *w, uint32_t c, uint32_t n)
{
	uint32_t i;

	for (i = 0; i + KERN_LANES <= n; i += KERN_LANES)
		kern_vstore(to + i, float_load(type, w, c + i));
	if (i < n)
		kern_vstore_n(to + i, float_load_n(type, w, c + i, n - i), n - i);
}

/* acc of rows i0 .. and tokens t .. t + nt - 1 += n columns of w, from column c of x on */
KERN_INLINE void wide_step(struct wide *v, const struct kern_acts *a, uint32_t i0, uint32_t t0, uint32_t t,
			   uint32_t c, uint32_t n, int nt)
{
	struct float_tile f;
	int i, j;

	KERN_UNROLL
	for (j = 0; j < nt; j++)
		f.x[j] = a->x + (size_t)(t0 + t + (uint32_t)j) * a->cols + c;
	KERN_UNROLL
	for (i = 0; i < TILE_ROWS; i++) {
		f.w[i] = (const char *)v->w[i0 + (uint32_t)i];
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			f.acc[i][j] = v->acc[t + (uint32_t)j][i0 + (uint32_t)i];
	}
	float_span(&f, KERN_F32, n, TILE_ROWS, nt);
	KERN_UNROLL
	for (i = 0; i < TILE_ROWS; i++) {
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			v->acc[t + (uint32_t)j][i0 + (uint32_t)i] = f.acc[i][j];
	}
}

/* The widened columns against n_tok tokens, in groups of nearly one size. */
static void wide_toks(struct wide *v, const struct kern_acts *a, uint32_t t0, uint32_t n_tok, uint32_t c, uint32_t n)
{
	uint32_t groups = (n_tok + TILE_TOKS - 1) / TILE_TOKS, g, t = 0, nt, i;

	for (g = 0; g < groups; g++, t += nt) {
		nt = n_tok / groups + (g < n_tok % groups ? 1 : 0);
		for (i = 0; i < WIDE_ROWS; i += TILE_ROWS) {
			switch (nt) {
#if TILE_TOKS == 6
			case 6: wide_step(v, a, i, t0, t, c, n, 6); break;
			case 5: wide_step(v, a, i, t0, t, c, n, 5); break;
			case 4: wide_step(v, a, i, t0, t, c, n, 4); break;
			case 3: wide_step(v, a, i, t0, t, c, n, 3); break;
#endif
			case 2: wide_step(v, a, i, t0, t, c, n, 2); break;
			default: wide_step(v, a, i, t0, t, c, n, 1); break;
			}
		}
	}
}

/* n_rows <= WIDE_ROWS rows from r on against n_tok <= WIDE_TOKS tokens from t on. */
static void wide_tile(const struct kern_matmul *p, uint32_t r, uint32_t n_rows, uint32_t t, uint32_t n_tok)
{
	uint32_t c, n, i, j, cols = p->x->cols;
	struct wide v;

	memset(v.w, 0, sizeof(v.w));
	for (i = 0; i < WIDE_ROWS; i++)
		for (j = 0; j < n_tok; j++)
			v.acc[j][i] = kern_vset1(0.0f);
	for (c = 0; c < cols; c += n) {
		n = cols - c < WIDE_COLS ? cols - c : WIDE_COLS;
		for (i = 0; i < n_rows; i++) {
			const char *w = (const char *)p->w + (r + i) * p->row_bytes;

			if (p->type == KERN_F16)
				widen(v.w[i], KERN_F16, w, c, n);
			else if (p->type == KERN_BF16)
				widen(v.w[i], KERN_BF16, w, c, n);
			else
				widen(v.w[i], KERN_F32, w, c, n);
		}
		wide_toks(&v, p->x, t, n_tok, c, n);
	}
	for (i = 0; i < n_rows; i++)
		for (j = 0; j < n_tok; j++)
			p->y[(t + j) * p->y_stride + r + i] = kern_vsum(v.acc[j][i]);
}

static void wide_rows(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n = p->x->n_tok;

	for (r = row0; r < row1; r += WIDE_ROWS)
		for (t = 0; t < n; t += WIDE_TOKS)
			wide_tile(p, r, row1 - r < WIDE_ROWS ? row1 - r : WIDE_ROWS, t,
				  n - t < WIDE_TOKS ? n - t : WIDE_TOKS);
}

void KERN_FN(kern_matmul_float)(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	if (p->x->n_tok >= WIDE_LEAST)
		wide_rows(p, row0, row1);
	else if (p->type == KERN_F32)
		float_rows(p, KERN_F32, row0, row1);
	else if (p->type == KERN_F16)
		float_rows(p, KERN_F16, row0, row1);
	else
		float_rows(p, KERN_BF16, row0, row1);
}

#undef WIDE_ROWS
#undef WIDE_COLS
#undef WIDE_TOKS
#undef WIDE_LEAST
#endif
#endif
