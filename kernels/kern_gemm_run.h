/* kern_gemm_run.h - tiles of weights times tokens, and the walk over rows, columns and tokens; see
 * kern_gemm.h.
 *
 * Included once by each kern_gemm_<isa>.c.
 */
#ifndef KERNELS_KERN_GEMM_RUN_H
#define KERNELS_KERN_GEMM_RUN_H

#include "kernels/kern_gemm.h"

#ifdef KERN_SIMD

#define TOKS_BLOCK 128          /* tokens that use a tile before it is unpacked anew */
#define ROW_BYTES_MAX 272       /* a row's STEP columns, the widest type (Q8_0) */

typedef const uint8_t gemm_quad[GEMM_VECS][4 * KERN_LANES];

/* ---- a tile in registers ------------------------------------------------------------------------- */

/* What `top` says where the tile holds sums of products already, of one token. */
#define TOP_SUMS (-1)           /* sixteen lanes only */

/* sum += the products of sub-block k of n quads; for `top` see most_pairs. */
KERN_INLINE void quads_dot(kern_vi sum[GEMM_VECS][GEMM_TOKS], gemm_quad *w, const int8_t *const *q, size_t at,
			   int n, int nt, int top)
{
	int k, v, j;

#if KERN_LANES == 16
	(void)top;
	KERN_UNROLL
	for (k = 0; k < n; k++) {
		kern_vi wk[GEMM_VECS];

		KERN_UNROLL
		for (v = 0; v < GEMM_VECS; v++)
			wk[v] = kern_viload(w[k][v]);
		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			kern_vi x = four(q[j] + at + 4 * k);

			KERN_UNROLL
			for (v = 0; v < GEMM_VECS; v++)
				sum[v][j] = quad_dot(sum[v][j], wk[v], x);
		}
	}
#else
	const int fold = most_pairs(top, n);
	int k0;

	for (k0 = 0; k0 < n; k0 += fold) {
		kern_vi part[GEMM_VECS][GEMM_TOKS];

		KERN_UNROLL
		for (k = 0; k < fold; k++) {
			KERN_UNROLL
			for (j = 0; j < nt; j++) {
				kern_vi x = four(q[j] + at + 4 * (k0 + k));

				KERN_UNROLL
				for (v = 0; v < GEMM_VECS; v++) {
					kern_vi m = quad_pairs(kern_viload(w[k0 + k][v]), x, top);

					part[v][j] = k == 0 ? m : _mm256_add_epi16(part[v][j], m);
				}
			}
		}
		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			KERN_UNROLL
			for (v = 0; v < GEMM_VECS; v++)
				sum[v][j] = kern_viadd(sum[v][j], _mm256_madd_epi16(part[v][j], _mm256_set1_epi16(1)));
		}
	}
#endif
}

/* sum += sub-block k of a step, n quads wide, whose activations begin at q + at. */
KERN_INLINE void sub_sums(kern_vi sum[GEMM_VECS][GEMM_TOKS], const struct gemm_step *s, unsigned k,
			  const int8_t *const *q, size_t at, int n, int nt, int top)
{
	int v;

	if (top != TOP_SUMS) {
		quads_dot(sum, s->w + k * (unsigned)n, q, at, n, nt, top);
		return;
	}
	KERN_UNROLL
	for (v = 0; v < GEMM_VECS; v++)
		sum[v][0] = kern_viadd(sum[v][0], kern_viload(s->w[k][v]));
}

/* n_blk blocks of 32 for nt tokens; all but the pointers and n_blk are constants. */
KERN_INLINE void run_small(const struct gemm_step *w, const struct gemm_toks *x, uint32_t n_blk, int nt, bool min,
			   int top)
{
	kern_vf y[GEMM_VECS][GEMM_TOKS];
	uint32_t b;
	int v, j;

	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		KERN_UNROLL
		for (v = 0; v < GEMM_VECS; v++)
			y[v][j] = kern_vload(x->y[j] + v * KERN_LANES);
	}
	for (b = 0; b < n_blk; b++) {
		const struct gemm_step *s = w + b / 8;
		kern_vi sum[GEMM_VECS][GEMM_TOKS];

		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			KERN_UNROLL
			for (v = 0; v < GEMM_VECS; v++)
				sum[v][j] = min ? kern_vizero() : kern_viset1(x->init[j][b]);
		}
		sub_sums(sum, s, b % 8, x->q, (size_t)b * 32, 8, nt, top);
		KERN_UNROLL
		for (v = 0; v < GEMM_VECS; v++) {
			kern_vf d = kern_vload(s->scale[b % 8][v]);

			KERN_UNROLL
			for (j = 0; j < nt; j++) {
				kern_vf dd = kern_vmul(d, kern_vset1(x->d[j][b]));

				y[v][j] = kern_vfma(kern_vifloat(sum[v][j]), dd, y[v][j]);
				if (min)
					y[v][j] = kern_vfma(kern_vload(s->min[b % 8][v]), kern_vset1(x->dsum[j][b]),
							    y[v][j]);
			}
		}
	}
	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		KERN_UNROLL
		for (v = 0; v < GEMM_VECS; v++)
			kern_vstore(x->y[j] + v * KERN_LANES, y[v][j]);
	}
}

/* part -= the minima times the activations' sums, n pairs of sub-blocks */
KERN_INLINE void minus_minima(kern_vf part[GEMM_VECS][GEMM_TOKS], const struct gemm_step *s, const struct gemm_toks *x,
			      uint32_t b, int n, int nt)
{
	int v, j, k;

	KERN_UNROLL
	for (v = 0; v < GEMM_VECS; v++) {
		kern_vf dmin = kern_vload(s->dmin[v]);

		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			const int16_t *sums = x->sums[j] + b * 2 * (uint32_t)n;
			kern_vi m = kern_vizero();

			KERN_UNROLL
			for (k = 0; k < n; k++)
				m = kern_vipairs(m, kern_viload(s->mins[k][v]), four((const int8_t *)(sums + 2 * k)));
			part[v][j] = kern_vfnma(kern_vifloat(m), dmin, part[v][j]);
		}
	}
}

/* n_blk super-blocks for nt tokens. */
KERN_INLINE void run_super(const struct gemm_step *w, const struct gemm_toks *x, uint32_t n_blk, int nt, int sub,
			   bool min, int top)
{
	const int n_sub = STEP / sub;
	uint32_t b;
	int v, j, k;

	for (b = 0; b < n_blk; b++) {
		const struct gemm_step *s = w + b;
		kern_vf part[GEMM_VECS][GEMM_TOKS];

		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			KERN_UNROLL
			for (v = 0; v < GEMM_VECS; v++)
				part[v][j] = kern_vset1(0.0f);
		}
		for (k = 0; k < n_sub; k++) {
			kern_vi sum[GEMM_VECS][GEMM_TOKS];

			KERN_UNROLL
			for (j = 0; j < nt; j++) {
				KERN_UNROLL
				for (v = 0; v < GEMM_VECS; v++)
					sum[v][j] = min ? kern_vizero() :
						    kern_viset1(x->init[j][b * (uint32_t)n_sub + (uint32_t)k]);
			}
			sub_sums(sum, s, (unsigned)k, x->q, (size_t)b * STEP + (size_t)(k * sub), sub / 4, nt, top);
			KERN_UNROLL
			for (v = 0; v < GEMM_VECS; v++) {
				kern_vf d = kern_vload(s->scale[k][v]);

				KERN_UNROLL
				for (j = 0; j < nt; j++)
					part[v][j] = kern_vfma(kern_vifloat(sum[v][j]), d, part[v][j]);
			}
		}
		if (min)
			minus_minima(part, s, x, b, n_sub / 2, nt);
		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			KERN_UNROLL
			for (v = 0; v < GEMM_VECS; v++) {
				float *y = x->y[j] + v * KERN_LANES;

				kern_vstore(y, kern_vfma(part[v][j], kern_vset1(x->d[j][b]), kern_vload(y)));
			}
		}
	}
}

/* ---- activations ---------------------------------------------------------------------------------- */

/* Token t of the batch, n_blk blocks of 32 from block b on, as number j. */
KERN_INLINE void small_tok(struct gemm_toks *x, const struct gemm_format *f, const struct kern_acts *a, uint32_t t,
			   uint32_t b, uint32_t n_blk, uint32_t j)
{
	size_t at = (size_t)t * a->n_blk + b;
	const kern_vi minus = kern_viset1(-f->offset);
	uint32_t i;

	x->q[j] = a->q + at * 32;
	for (i = 0; i < n_blk; i += KERN_LANES) {       /* may go past the row's end, not past the batch's */
		kern_vf d = kern_vload(a->d + at + i);
		kern_vi sum = kern_viload_s16(a->sums + at + i);

		kern_vstore(x->d[j] + i, d);
		if (f->min)
			kern_vstore(x->dsum[j] + i, kern_vmul(d, kern_vifloat(sum)));
		else
			kern_vistore(x->init[j] + i, kern_vimul(sum, minus));
	}
}

/* The same, n_blk super-blocks from super-block b on. */
KERN_INLINE void super_tok(struct gemm_toks *x, const struct gemm_format *f, const struct kern_acts *a, uint32_t t,
			   uint32_t b, uint32_t n_blk, uint32_t j)
{
	size_t at = (size_t)t * a->n_blk + b;
	const __m256i *sums = (const __m256i *)(const void *)(a->sums + at * 16);
	const __m256i ones = _mm256_set1_epi16(1), minus = _mm256_set1_epi32(-f->offset);
	uint32_t i;

	x->q[j] = a->q + at * STEP;
	memcpy(x->d[j], a->d + at, n_blk * sizeof(*a->d));
	if (f->sub == 16 && f->min) {
		memcpy(x->sums[j], sums, n_blk * sizeof(*sums));
		return;
	}
	for (i = 0; i < n_blk; i++) {
		__m256i s = _mm256_loadu_si256(sums + i);

		if (f->sub == 32) {
			s = _mm256_madd_epi16(s, ones);
			if (f->min)
				_mm_storeu_si128((__m128i *)(void *)(x->sums[j] + 8 * i),
						 _mm_packs_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
			else
				_mm256_storeu_si256((__m256i *)(void *)(x->init[j] + 8 * i), _mm256_mullo_epi32(s, minus));
			continue;
		}
		_mm256_storeu_si256((__m256i *)(void *)(x->init[j] + 16 * i),
				    _mm256_mullo_epi32(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(s)), minus));
		_mm256_storeu_si256((__m256i *)(void *)(x->init[j] + 16 * i + 8),
				    _mm256_mullo_epi32(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(s, 1)), minus));
	}
}

/* ---- rows, columns, tokens -------------------------------------------------------------------------- */

/* A tile being worked on. */
struct gemm_tile {
	struct gemm_step w[CHUNK_STEPS];
	float y[TOKS_BLOCK][GEMM_ROWS];
	char pad[KERN_LANES * ROW_BYTES_MAX];           /* fewer than KERN_LANES rows, zeros after them */
};

/* Blocks in step s. */
KERN_INLINE uint32_t step_blocks(const struct kern_matmul *p, const struct gemm_format *f, uint32_t s)
{
	uint32_t left = p->x->cols / 32 - 8 * s;

	return f->super ? 1 : left < 8 ? left : 8;
}

/* Step s of n <= KERN_LANES rows from row r on, to where o says: a tile, or sums if it has activations. */
static void unpack_vec(struct gemm_tile *g, const struct kern_matmul *p, const struct gemm_format *f, uint32_t r,
		       uint32_t n, uint32_t s, const struct gemm_sink *o)
{
	uint32_t n_blk = step_blocks(p, f, s), i;
	size_t bytes = (size_t)n_blk * f->block_bytes, stride = p->row_bytes;
	const char *w = (const char *)p->w + r * p->row_bytes + (size_t)s * (f->super ? 1 : 8) * f->block_bytes;

	if (n < KERN_LANES) {
		memset(g->pad, 0, sizeof(g->pad));
		for (i = 0; i < n; i++)
			memcpy(g->pad + i * bytes, w + i * stride, bytes);
		w = g->pad;
		stride = bytes;
	}
#if KERN_LANES == 16
	if (o->dot) {
		f->dot(o, w, stride, n_blk);
		return;
	}
#endif
	f->unpack(o, w, stride, n_blk);
}

/* Ask for the lines of step s of n_rows rows from row r on: by rows, as memory likes it; they are read
 * across the rows. */
KERN_INLINE void ask_step(const struct kern_matmul *p, const struct gemm_format *f, uint32_t r, uint32_t n_rows,
			  uint32_t s)
{
	size_t at = (size_t)s * (f->super ? 1 : 8) * f->block_bytes;
	size_t bytes = (size_t)step_blocks(p, f, s) * f->block_bytes;
	const char *w = (const char *)p->w + r * p->row_bytes + at, *line;
	uint32_t i;

	for (i = 0; i < n_rows; i++, w += p->row_bytes)
		for (line = w - ((uintptr_t)w & 63); line < w + bytes; line += 64)
			_mm_prefetch(line, _MM_HINT_T0);
}

/* n_steps steps of n_rows <= GEMM_ROWS rows from step s on; q: NULL, or one token's activations. */
static void unpack_chunk(struct gemm_tile *g, const struct kern_matmul *p, const struct gemm_format *f, uint32_t r,
			 uint32_t n_rows, uint32_t s, uint32_t n_steps, const int8_t *q)
{
	uint32_t i, from;

	for (i = 0; i < n_steps; i++) {
		ask_step(p, f, r, n_rows, s + i);
		for (from = 0; from < GEMM_ROWS; from += KERN_LANES) {
			uint32_t n = n_rows <= from ? 0 : n_rows - from < KERN_LANES ? n_rows - from : KERN_LANES;
			struct gemm_sink o = { .s = &g->w[i], .v = (int)(from / KERN_LANES) };

#if KERN_LANES == 16
			o.dot = q != NULL;
			o.q = q;
#else
			(void)q;
#endif
			unpack_vec(g, p, f, r + from, n, s + i, &o);
		}
	}
}

/* The chunk against n_tok <= TOKS_BLOCK tokens from t on, in groups of nearly one size. */
static void run_chunk(struct gemm_tile *g, const struct kern_matmul *p, const struct gemm_format *f, uint32_t t,
		      uint32_t n_tok, uint32_t s, uint32_t n_steps)
{
	uint32_t per_step = f->super ? 1 : 8, b = s * per_step, n_blk = n_steps * per_step;
	uint32_t groups = (n_tok + GEMM_TOKS - 1) / GEMM_TOKS, i, j, n, first = 0;
	struct gemm_toks x;

	if (!f->super && p->x->cols / 32 - b < n_blk)
		n_blk = p->x->cols / 32 - b;
	for (i = 0; i < groups; i++, first += n) {
		n = n_tok / groups + (i < n_tok % groups ? 1 : 0);
		for (j = 0; j < n; j++) {
			x.y[j] = g->y[first + j];
			if (f->super)
				super_tok(&x, f, p->x, t + first + j, b, n_blk, j);
			else
				small_tok(&x, f, p->x, t + first + j, b, n_blk, j);
		}
		f->run[n - 1](g->w, &x, n_blk);
	}
}

/* n_rows <= GEMM_ROWS rows from r on against n_tok <= TOKS_BLOCK tokens from t on. */
static void gemm_tile(const struct kern_matmul *p, const struct gemm_format *f, uint32_t r, uint32_t n_rows,
		      uint32_t t, uint32_t n_tok)
{
	uint32_t n_steps = (p->x->cols + STEP - 1) / STEP, s, n, i;
	struct gemm_tile g;

	memset(g.y, 0, n_tok * sizeof(g.y[0]));
	for (s = 0; s < n_steps; s += n) {
		n = n_steps - s < CHUNK_STEPS ? n_steps - s : CHUNK_STEPS;
		unpack_chunk(&g, p, f, r, n_rows, s, n, NULL);
		run_chunk(&g, p, f, t, n_tok, s, n);
	}
	for (i = 0; i < n_tok; i++)
		memcpy(p->y + (t + i) * p->y_stride + r, g.y[i], n_rows * sizeof(float));
}

#if KERN_LANES == 16
/* The same for one token: a step at a time, without unpacked weights in memory. */
static void gemm_one(const struct kern_matmul *p, const struct gemm_format *f, uint32_t r, uint32_t n_rows)
{
	uint32_t n_steps = (p->x->cols + STEP - 1) / STEP, per_step = f->super ? 1 : 8, s;
	struct gemm_tile g;
	struct gemm_toks x;

	memset(g.y[0], 0, sizeof(g.y[0]));
	x.y[0] = g.y[0];
	for (s = 0; s < n_steps; s++) {
		uint32_t n_blk = step_blocks(p, f, s);

		unpack_chunk(&g, p, f, r, n_rows, s, 1, p->x->q + (size_t)s * STEP);
		if (f->super)
			super_tok(&x, f, p->x, 0, s * per_step, n_blk, 0);
		else
			small_tok(&x, f, p->x, 0, s * per_step, n_blk, 0);
		f->finish(g.w, &x, n_blk);
	}
	memcpy(p->y + r, g.y[0], n_rows * sizeof(float));
}
#endif

static void gemm_rows(const struct kern_matmul *p, const struct gemm_format *f, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n_rows, n = p->x->n_tok;

	for (r = row0; r < row1; r += GEMM_ROWS) {
		n_rows = row1 - r < GEMM_ROWS ? row1 - r : GEMM_ROWS;
#if KERN_LANES == 16
		if (n == 1) {
			gemm_one(p, f, r, n_rows);
			continue;
		}
#endif
		for (t = 0; t < n; t += TOKS_BLOCK)
			gemm_tile(p, f, r, n_rows, t, n - t < TOKS_BLOCK ? n - t : TOKS_BLOCK);
	}
}

#endif
#endif
