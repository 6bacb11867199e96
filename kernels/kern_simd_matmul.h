/* kern_simd_matmul.h - matmul with f32 activations: F32, F16 and BF16 weights widened in registers,
 * other types widened to f32 a chunk at a time.
 *
 * Included once by each kern_simd_<isa>.c.  An output value is one vector of partial sums, lane i of
 * which takes columns i, i + LANES, ... in order; the lanes are added at the end.  A tile computes
 * several rows and tokens side by side, each exactly so.
 */
#ifndef KERNELS_KERN_SIMD_MATMUL_H
#define KERNELS_KERN_SIMD_MATMUL_H

#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

#ifdef KERN_SIMD

#define TILE_ROWS 4
#define TILE_TOKS (KERN_LANES / 4)      /* 4x4 or 4x2 accumulators fit the register file */
#define CHUNK 256               /* columns widened at a time: a whole number of blocks of every type */
#define WIDE_TOKS 32

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

/* All tokens against the rows of one tile; type is a constant. */
KERN_INLINE void float_rows(const struct kern_matmul *p, uint32_t type, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n = p->x->n_tok;

	for (r = row0; r + TILE_ROWS <= row1; r += TILE_ROWS) {
		for (t = 0; t + TILE_TOKS <= n; t += TILE_TOKS)
			float_tile(p, type, r, t, TILE_ROWS, TILE_TOKS);
		for (; t < n; t++)
			float_tile(p, type, r, t, TILE_ROWS, 1);
	}
	for (; r < row1; r++)
		for (t = 0; t < n; t++)
			float_tile(p, type, r, t, 1, 1);
}

/* ---- other types: CHUNK columns at a time through f32 -------------------------------------------- */

/* Sums of some rows and many tokens, which wait here while the next columns are widened. */
struct wide {
	float w[TILE_ROWS][CHUNK];
	kern_vf acc[TILE_ROWS][WIDE_TOKS];
};

/* acc of tokens t .. t + nt - 1 += n columns of w, from column c of x on */
KERN_INLINE void wide_step(struct wide *v, const struct kern_matmul *p, uint32_t t0, uint32_t t, uint32_t c,
			   uint32_t n, int nr, int nt)
{
	struct float_tile f;
	int i, j;

	KERN_UNROLL
	for (j = 0; j < nt; j++)
		f.x[j] = p->x->x + (size_t)(t0 + t + (uint32_t)j) * p->x->cols + c;
	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		f.w[i] = (const char *)v->w[i];
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			f.acc[i][j] = v->acc[i][t + (uint32_t)j];
	}
	float_span(&f, KERN_F32, n, nr, nt);
	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			v->acc[i][t + (uint32_t)j] = f.acc[i][j];
	}
}

/* Rows r .. r + nr - 1 against n_tok <= WIDE_TOKS tokens from t0 on. */
KERN_INLINE void wide_tile(const struct kern_matmul *p, uint32_t r, uint32_t t0, uint32_t n_tok, int nr)
{
	const struct kern_type *kt = kern_type(p->type);
	uint32_t c, n, t, cols = p->x->cols;
	struct wide v;
	int i;

	for (i = 0; i < nr; i++)
		for (t = 0; t < n_tok; t++)
			v.acc[i][t] = kern_vset1(0.0f);
	for (c = 0; c < cols; c += n) {
		n = cols - c < CHUNK ? cols - c : CHUNK;
		for (i = 0; i < nr; i++)
			kern_dequant(p->type, (const char *)p->w + (r + (uint32_t)i) * p->row_bytes +
				     (size_t)(c / kt->elems) * kt->bytes, v.w[i], n);
		for (t = 0; t + TILE_TOKS <= n_tok; t += TILE_TOKS)
			wide_step(&v, p, t0, t, c, n, nr, TILE_TOKS);
		for (; t < n_tok; t++)
			wide_step(&v, p, t0, t, c, n, nr, 1);
	}
	for (i = 0; i < nr; i++)
		for (t = 0; t < n_tok; t++)
			p->y[(t0 + t) * p->y_stride + r + (uint32_t)i] = kern_vsum(v.acc[i][t]);
}

static void wide_rows(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n, n_tok = p->x->n_tok;

	for (t = 0; t < n_tok; t += n) {
		n = n_tok - t < WIDE_TOKS ? n_tok - t : WIDE_TOKS;
		for (r = row0; r + TILE_ROWS <= row1; r += TILE_ROWS)
			wide_tile(p, r, t, n, TILE_ROWS);
		for (; r < row1; r++)
			wide_tile(p, r, t, n, 1);
	}
}

void KERN_FN(kern_matmul_float)(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	if (p->type == KERN_F32)
		float_rows(p, KERN_F32, row0, row1);
	else if (p->type == KERN_F16)
		float_rows(p, KERN_F16, row0, row1);
	else if (p->type == KERN_BF16)
		float_rows(p, KERN_BF16, row0, row1);
	else
		wide_rows(p, row0, row1);
}

#undef CHUNK
#undef WIDE_TOKS
#endif
#endif
