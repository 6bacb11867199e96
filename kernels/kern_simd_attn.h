/* kern_simd_attn.h - attention in vectors; see struct kern_attn for the rule.
 *
 * Included once by each kern_simd_<isa>.c.  Up to KERN_ATTN_ROWS rows go through a block together; pieces of K and V
 * become f32 once for all of them.
 *   scores   lanes are positions: K lies by dimension, and a score adds its dimensions in order, whatever rows and
 *            positions are computed beside it
 *   weights  of a row: lanes add every LANES-th of the positions that the row sees of the block
 *   sums     lanes are dimensions of the value, and one adds the block's positions in order
 * So the bits of a row are its own; positions that a row does not see are never added to it, not even as zeros.
 */
#ifndef KERNELS_KERN_SIMD_ATTN_H
#define KERNELS_KERN_SIMD_ATTN_H

#include <math.h>

#include "kernels/kern_attn_merge.h"
#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"
#include "kernels/kern_simd_kv.h"

#ifdef KERN_SIMD

#define ATTN_ROWS 4                     /* rows and */
#define ATTN_VECS (KERN_LANES / 4)      /* vectors that are summed in registers; they and what is loaded must fit */
#define ATTN_ONE 4                      /* vectors for a single row */
#define ATTN_LINE (KERN_ATTN_BLOCK + KERN_LANES)

/* Some rows and one block: 60 KiB of stack. */
struct attn_block {
	const struct kern_attn *p;
	uint32_t n_row;
	uint32_t lo, hi;                /* positions of the block that any row sees */
	size_t base;                    /* the block's first position */
	size_t end;                     /* of the positions that any row sees */
	uint32_t row_lo[KERN_ATTN_ROWS], row_hi[KERN_ATTN_ROWS];
	uint32_t tok[KERN_ATTN_ROWS];
	const float *q[KERN_ATTN_ROWS];
	float *out[KERN_ATTN_ROWS];
	struct kern_attn_mass mass[KERN_ATTN_ROWS];
	float s[KERN_ATTN_ROWS][ATTN_LINE] __attribute__((aligned(64)));        /* scores, then weights */
	float tile[KV_ROWS * KV_DIMS] __attribute__((aligned(64)));
	float sum[KERN_ATTN_ROWS][KV_DIMS] __attribute__((aligned(64)));        /* and, while there are none, rows of K */
};

/* ---- scores -------------------------------------------------------------------------------------- */

/* Adds n_dim dimensions from d0 on, which the tile holds, to `rows` by `vecs` vectors of scores; col is the first in the
 * tile and pos in the block. */
KERN_INLINE void add_scores(struct attn_block *b, uint32_t r, int rows, uint32_t col, uint32_t pos, int vecs,
			    uint32_t d0, uint32_t n_dim, const struct kv_ahead *ahead)
{
	kern_vf acc[ATTN_ROWS][ATTN_ONE], k[ATTN_ONE], q;
	const float *from[ATTN_ROWS];
	uint32_t d;
	int i, w;

	KERN_UNROLL
	for (i = 0; i < rows; i++) {
		from[i] = b->q[r + (uint32_t)i] + d0;
		KERN_UNROLL
		for (w = 0; w < vecs; w++)
			acc[i][w] = d0 == 0 ? kern_vset1(0.0f) : kern_vload(b->s[r + (uint32_t)i] + pos + w * KERN_LANES);
	}
	for (d = 0; d < n_dim; d++) {
		const float *at = b->tile + (size_t)d * KV_ROWS + col;

		kv_ask(ahead, d);
		KERN_UNROLL
		for (w = 0; w < vecs; w++)
			k[w] = kern_vload(at + w * KERN_LANES);
		KERN_UNROLL
		for (i = 0; i < rows; i++) {
			q = kern_vset1(from[i][d]);
			KERN_UNROLL
			for (w = 0; w < vecs; w++)
				acc[i][w] = kern_vfma(q, k[w], acc[i][w]);
		}
	}
	KERN_UNROLL
	for (i = 0; i < rows; i++) {
		KERN_UNROLL
		for (w = 0; w < vecs; w++)
			kern_vstore(b->s[r + (uint32_t)i] + pos + w * KERN_LANES, acc[i][w]);
	}
}

/* All rows, for n positions from pos on, with the dimensions of f. */
static void tile_scores(struct attn_block *b, const struct kv_from *f, uint32_t pos, uint32_t n)
{
	const struct kv_ahead none = { (const char *)b->tile, 0, 0 };
	struct kv_ahead ahead;
	uint32_t r = 0, c, part = 0, n_part = b->n_row / ATTN_ROWS + b->n_row % ATTN_ROWS;

	for (; r + ATTN_ROWS <= b->n_row; r += ATTN_ROWS) {
		ahead = kv_ahead(f, b->base + pos, part++, n_part, b->tile);
		for (c = 0; c + (ATTN_VECS - 1) * KERN_LANES < n; c += ATTN_VECS * KERN_LANES, ahead = none)
			add_scores(b, r, ATTN_ROWS, c, pos + c, ATTN_VECS, f->at, f->dims, &ahead);
		for (; c < n; c += KERN_LANES)
			add_scores(b, r, ATTN_ROWS, c, pos + c, 1, f->at, f->dims, &none);
	}
	for (; r < b->n_row; r++) {
		ahead = kv_ahead(f, b->base + pos, part++, n_part, b->tile);
		for (c = 0; c + (ATTN_ONE - 1) * KERN_LANES < n; c += ATTN_ONE * KERN_LANES, ahead = none)
			add_scores(b, r, 1, c, pos + c, ATTN_ONE, f->at, f->dims, &ahead);
		for (; c < n; c += KERN_LANES)
			add_scores(b, r, 1, c, pos + c, 1, f->at, f->dims, &none);
	}
}

static void block_scores(struct attn_block *b)
{
	const struct kern_attn *p = b->p;
	struct kv_from f = { .type = p->k_type, .rows = p->k, .stride = p->k_stride, .end = b->end };
	uint32_t pos, n;

	for (pos = b->lo; pos < b->hi; pos += n) {
		n = b->hi - pos < KV_ROWS ? b->hi - pos : KV_ROWS;
		for (f.at = 0; f.at < p->k_dim; f.at += f.dims) {
			f.dims = p->k_dim - f.at < KV_DIMS ? p->k_dim - f.at : KV_DIMS;
			kv_by_column(&f, b->base + pos, n, b->tile, b->sum[0]);
			tile_scores(b, &f, pos, n);
		}
	}
}

/* ---- weights ------------------------------------------------------------------------------------- */

KERN_INLINE float vector_max(kern_vf v)
{
#if KERN_LANES == 16
	__m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
#else
	__m256 a = v;
#endif
	__m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	b = _mm_max_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

/* a where |x| < limit, else b. */
KERN_INLINE kern_vf pick_small(kern_vf x, float limit, kern_vf a, kern_vf b)
{
	kern_vf size = kern_vmax(x, kern_vsub(kern_vset1(0.0f), x));
#if KERN_LANES == 16
	return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(size, kern_vset1(limit), _CMP_LT_OQ), b, a);
#else
	return _mm256_blendv_ps(b, a, _mm256_cmp_ps(size, kern_vset1(limit), _CMP_LT_OQ));
#endif
}

/* tanh x: 1 - 2 / (e^2x + 1), and near 0, where that loses digits, x + x^3 P(x^2) with the coefficients of the Cephes
 * library's tanhf (netlib.org/cephes). */
KERN_INLINE kern_vf vector_tanh(kern_vf x)
{
	kern_vf one = kern_vset1(1.0f), z = kern_vmul(x, x), p, far;

	p = kern_vfma(kern_vset1(-5.70498872745e-3f), z, kern_vset1(2.06390887954e-2f));
	p = kern_vfma(p, z, kern_vset1(-5.37397155531e-2f));
	p = kern_vfma(p, z, kern_vset1(1.33314422036e-1f));
	p = kern_vfma(p, z, kern_vset1(-3.33332819422e-1f));
	p = kern_vfma(kern_vmul(p, z), x, x);
	far = kern_vadd(kern_vexp(kern_vadd(x, x)), one);
	far = kern_vsub(one, kern_vdiv(kern_vset1(2.0f), far));
	return pick_small(x, 0.625f, p, far);
}

KERN_INLINE kern_vf finish_score(kern_vf s, kern_vf scale, float softcap)
{
	s = kern_vmul(s, scale);
	if (softcap != 0.0f)
		s = kern_vmul(kern_vset1(softcap), vector_tanh(kern_vdiv(s, kern_vset1(softcap))));
	return s;
}

/* s[j] = f(scale * s[j]), n > 0; returns the largest. */
static float finish_scores(const struct kern_attn *p, float *s, uint32_t n)
{
	kern_vf scale = kern_vset1(p->scale), top = kern_vset1(-INFINITY), x;
	float all;
	uint32_t j;

	for (j = 0; j + KERN_LANES <= n; j += KERN_LANES) {
		x = finish_score(kern_vload(s + j), scale, p->softcap);
		kern_vstore(s + j, x);
		top = kern_vmax(top, x);
	}
	if (j < n)
		kern_vstore_n(s + j, finish_score(kern_vload_n(s + j, n - j), scale, p->softcap), n - j);
	for (all = vector_max(top); j < n; j++)
		all = s[j] > all ? s[j] : all;
	return all;
}

/* s[j] = e^(s[j] - top); returns their sum. */
static float block_weights(float *s, uint32_t n, float top)
{
	kern_vf t = kern_vset1(top), sum = kern_vset1(0.0f), e;
	uint32_t j;

	for (j = 0; j + KERN_LANES <= n; j += KERN_LANES) {
		e = kern_vexp(kern_vsub(kern_vload(s + j), t));
		kern_vstore(s + j, e);
		sum = kern_vadd(sum, e);
	}
	if (j < n) {
		kern_vstore_n(s + j, kern_vexp(kern_vsub(kern_vload_n(s + j, n - j), t)), n - j);
		sum = kern_vadd(sum, kern_vload_n(s + j, n - j));
	}
	return kern_vsum(sum);
}

/* In two passes, so that what ends one row overlaps with the next. */
static void rows_weights(struct attn_block *b)
{
	uint32_t r;

	for (r = 0; r < b->n_row; r++) {
		b->mass[r] = (struct kern_attn_mass){ 0.0f, 0.0f };
		if (b->row_lo[r] < b->row_hi[r])
			b->mass[r].top = finish_scores(b->p, b->s[r] + b->row_lo[r], b->row_hi[r] - b->row_lo[r]);
	}
	for (r = 0; r < b->n_row; r++)
		if (b->row_lo[r] < b->row_hi[r])
			b->mass[r].norm = block_weights(b->s[r] + b->row_lo[r], b->row_hi[r] - b->row_lo[r], b->mass[r].top);
}

/* ---- weighted sums ------------------------------------------------------------------------------- */

/* Adds positions from .. to - 1 to `rows` by `vecs` vectors of sums, from dimension i of the tile on; the tile begins
 * with position pos. */
KERN_INLINE void add_values(struct attn_block *b, uint32_t r, int rows, uint32_t i, int vecs, uint32_t pos, uint32_t from,
			    uint32_t to, const struct kv_ahead *ahead)
{
	kern_vf acc[ATTN_ROWS][ATTN_ONE], v[ATTN_ONE], weight;
	uint32_t j;
	int k, w;

	KERN_UNROLL
	for (k = 0; k < rows; k++) {
		KERN_UNROLL
		for (w = 0; w < vecs; w++)
			acc[k][w] = kern_vload(b->sum[r + (uint32_t)k] + i + w * KERN_LANES);
	}
	for (j = from; j < to; j++) {
		const float *at = b->tile + (size_t)(j - pos) * KV_DIMS + i;

		kv_ask(ahead, j - pos);
		KERN_UNROLL
		for (w = 0; w < vecs; w++)
			v[w] = kern_vload(at + w * KERN_LANES);
		KERN_UNROLL
		for (k = 0; k < rows; k++) {
			weight = kern_vset1(b->s[r + (uint32_t)k][j]);
			KERN_UNROLL
			for (w = 0; w < vecs; w++)
				acc[k][w] = kern_vfma(weight, v[w], acc[k][w]);
		}
	}
	KERN_UNROLL
	for (k = 0; k < rows; k++) {
		KERN_UNROLL
		for (w = 0; w < vecs; w++)
			kern_vstore(b->sum[r + (uint32_t)k] + i + w * KERN_LANES, acc[k][w]);
	}
}

/* One row's part of positions from .. to - 1, of which the row may see none. */
static void row_values(struct attn_block *b, uint32_t r, uint32_t n_dim, uint32_t pos, uint32_t from, uint32_t to,
		       const struct kv_ahead *ahead)
{
	const struct kv_ahead none = { (const char *)b->tile, 0, 0 };
	uint32_t i = 0;

	from = from > b->row_lo[r] ? from : b->row_lo[r];
	to = to < b->row_hi[r] ? to : b->row_hi[r];
	if (from >= to)
		return;
	for (; i + (ATTN_ONE - 1) * KERN_LANES < n_dim; i += ATTN_ONE * KERN_LANES, ahead = &none)
		add_values(b, r, 1, i, ATTN_ONE, pos, from, to, ahead);
	for (; i < n_dim; i += KERN_LANES)
		add_values(b, r, 1, i, 1, pos, from, to, &none);
}

/* Four rows: those positions that all see together, what is before and behind row by row. */
static void rows_values(struct attn_block *b, uint32_t r, uint32_t n_dim, uint32_t pos, uint32_t n, const struct kv_ahead *ahead)
{
	const struct kv_ahead none = { (const char *)b->tile, 0, 0 };
	uint32_t from = pos, to = pos + n, i, k;

	for (k = r; k < r + ATTN_ROWS; k++) {
		from = b->row_lo[k] > from ? b->row_lo[k] : from;
		to = b->row_hi[k] < to ? b->row_hi[k] : to;
	}
	if (from >= to)
		from = to = pos + n;
	for (k = r; k < r + ATTN_ROWS && from > pos; k++)
		row_values(b, k, n_dim, pos, pos, from, &none);
	if (from == to)
		return;
	for (i = 0; i + (ATTN_VECS - 1) * KERN_LANES < n_dim; i += ATTN_VECS * KERN_LANES, ahead = &none)
		add_values(b, r, ATTN_ROWS, i, ATTN_VECS, pos, from, to, ahead);
	for (; i < n_dim; i += KERN_LANES)
		add_values(b, r, ATTN_ROWS, i, 1, pos, from, to, &none);
	for (k = r; k < r + ATTN_ROWS && to < pos + n; k++)
		row_values(b, k, n_dim, pos, to, pos + n, &none);
}

/* The sums of all rows over n_dim dimensions of V from at on. */
static void block_values(struct attn_block *b, uint32_t at, uint32_t n_dim)
{
	const struct kern_attn *p = b->p;
	struct kv_from f = { p->v_type, p->v, p->v_stride, at, n_dim, b->end };
	struct kv_ahead ahead;
	uint32_t pos, n, r, part, n_part = b->n_row / ATTN_ROWS + b->n_row % ATTN_ROWS;

	memset(b->sum, 0, b->n_row * sizeof(b->sum[0]));
	for (pos = b->lo; pos < b->hi; pos += n) {
		n = b->hi - pos < KV_ROWS ? b->hi - pos : KV_ROWS;
		kv_by_row(&f, b->base + pos, n, b->tile);
		part = 0;
		for (r = 0; r + ATTN_ROWS <= b->n_row; r += ATTN_ROWS) {
			ahead = kv_ahead(&f, b->base + pos, part++, n_part, b->tile);
			rows_values(b, r, n_dim, pos, n, &ahead);
		}
		for (; r < b->n_row; r++) {
			ahead = kv_ahead(&f, b->base + pos, part++, n_part, b->tile);
			row_values(b, r, n_dim, pos, pos, pos + n, &ahead);
		}
	}
}

/* ---- blocks and merging -------------------------------------------------------------------------- */

/* out[i] = out[i] * keep + sum[i] * take */
static void merge_values(float *out, const float *sum, uint32_t n, float keep, float take)
{
	kern_vf k = kern_vset1(keep), t = kern_vset1(take);
	uint32_t i;

	for (i = 0; i + KERN_LANES <= n; i += KERN_LANES)
		kern_vstore(out + i, kern_vfma(kern_vload(out + i), k, kern_vmul(kern_vload(sum + i), t)));
	if (i < n)
		kern_vstore_n(out + i, kern_vfma(kern_vload_n(out + i, n - i), k, kern_vmul(kern_vload_n(sum + i, n - i), t)),
			      n - i);
}

static void finish_row(const struct kern_attn *p, uint32_t row, struct kern_attn_mass *all)
{
	float *out = kern_attn_out(p, row), keep;
	uint32_t i;

	if (p->sinks != NULL) {
		keep = kern_attn_sink(all, p->sinks[row % p->n_group]);
		for (i = 0; i < p->v_dim; i++)
			out[i] *= keep;
	}
	for (i = 0; i < p->v_dim; i++)
		out[i] /= all->norm;
}

static void set_rows(struct attn_block *b, const struct kern_attn *p, uint32_t row0, uint32_t n_row)
{
	uint32_t r, tok = row0 / p->n_group, head = row0 % p->n_group;

	b->p = p;
	b->n_row = n_row;
	for (r = 0; r < n_row; r++) {
		b->tok[r] = tok;
		b->q[r] = p->q + tok * p->q_stride + (size_t)head * p->k_dim;
		b->out[r] = p->out + tok * p->out_stride + (size_t)head * p->v_dim;
		if (++head == p->n_group) {
			head = 0;
			tok++;
		}
	}
	b->end = kern_attn_end(p, b->tok[n_row - 1]);
}

/* Scores and weights of one block; false when no row sees any of it. */
static bool enter_block(struct attn_block *b, uint32_t block)
{
	uint32_t r;

	b->base = (size_t)block * KERN_ATTN_BLOCK;
	b->lo = KERN_ATTN_BLOCK;
	b->hi = 0;
	for (r = 0; r < b->n_row; r++) {
		kern_attn_span(b->p, b->tok[r], block, &b->row_lo[r], &b->row_hi[r]);
		if (b->row_lo[r] == b->row_hi[r])
			continue;
		b->lo = b->row_lo[r] < b->lo ? b->row_lo[r] : b->lo;
		b->hi = b->row_hi[r] > b->hi ? b->row_hi[r] : b->hi;
	}
	if (b->lo >= b->hi)
		return false;
	block_scores(b);
	rows_weights(b);
	return true;
}

/* Merges the block's sums into out and its masses into all. */
static void merge_block(struct attn_block *b, struct kern_attn_mass *all)
{
	float keep[KERN_ATTN_ROWS], take[KERN_ATTN_ROWS];
	uint32_t r, i, n;

	for (r = 0; r < b->n_row; r++) {
		if (b->mass[r].norm == 0.0f)
			continue;
		if (all[r].norm == 0.0f)
			memset(b->out[r], 0, b->p->v_dim * sizeof(float));
		kern_attn_join(&all[r], &b->mass[r], &keep[r], &take[r]);
	}
	for (i = 0; i < b->p->v_dim; i += n) {
		n = b->p->v_dim - i < KV_DIMS ? b->p->v_dim - i : KV_DIMS;
		block_values(b, i, n);
		for (r = 0; r < b->n_row; r++)
			if (b->mass[r].norm != 0.0f)
				merge_values(b->out[r] + i, b->sum[r], n, keep[r], take[r]);
	}
}

/* Up to KERN_ATTN_SPAN rows: while a block of KV is in the cache, all of them go through it. */
static void attn_span(const struct kern_attn *p, uint32_t row0, uint32_t row1)
{
	uint32_t block = kern_attn_first(p, row0 / p->n_group) / KERN_ATTN_BLOCK, row, n;
	uint32_t end = (kern_attn_end(p, (row1 - 1) / p->n_group) - 1) / KERN_ATTN_BLOCK + 1;
	struct kern_attn_mass all[KERN_ATTN_SPAN] = { { 0.0f, 0.0f } };
	struct attn_block b;

	for (; block < end; block++)
		for (row = row0; row < row1; row += n) {
			n = row1 - row < KERN_ATTN_ROWS ? row1 - row : KERN_ATTN_ROWS;
			set_rows(&b, p, row, n);
			if (enter_block(&b, block))
				merge_block(&b, all + (row - row0));
		}
	for (row = row0; row < row1; row++)
		finish_row(p, row, &all[row - row0]);
}

/* Up to KERN_ATTN_ROWS rows and one block, whose sums and masses are kept. */
static void attn_rows_block(const struct kern_attn *p, uint32_t row0, uint32_t n_row, uint32_t block, float *sum,
			    struct kern_attn_mass *mass)
{
	struct attn_block b;
	uint32_t r, i, n;

	set_rows(&b, p, row0, n_row);
	if (!enter_block(&b, block)) {
		memset(mass, 0, n_row * sizeof(*mass));
		return;
	}
	memcpy(mass, b.mass, n_row * sizeof(*mass));
	for (i = 0; i < p->v_dim; i += n) {
		n = p->v_dim - i < KV_DIMS ? p->v_dim - i : KV_DIMS;
		block_values(&b, i, n);
		for (r = 0; r < n_row; r++)
			memcpy(sum + (size_t)r * p->v_dim + i, b.sum[r], n * sizeof(float));
	}
}

void KERN_FN(kern_attn)(const struct kern_attn *p, uint32_t row0, uint32_t row1)
{
	uint32_t row, n;

	for (row = row0; row < row1; row += n) {
		n = row1 - row < KERN_ATTN_SPAN ? row1 - row : KERN_ATTN_SPAN;
		attn_span(p, row, row + n);
	}
}

void KERN_FN(kern_attn_block)(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t block, uint32_t row0,
			      uint32_t row1)
{
	size_t at = (size_t)(block - parts->block0) * kern_attn_rows(p);
	uint32_t row, n;

	for (row = row0; row < row1; row += n) {
		n = row1 - row < KERN_ATTN_ROWS ? row1 - row : KERN_ATTN_ROWS;
		attn_rows_block(p, row, n, block, parts->sum + (at + row) * p->v_dim, parts->mass + at + row);
	}
}

static void merge_row(const struct kern_attn *p, uint32_t row, const float *sum, const struct kern_attn_mass *mass,
		      struct kern_attn_mass *all)
{
	float *out = kern_attn_out(p, row), keep, take;

	if (mass->norm == 0.0f)
		return;
	if (all->norm == 0.0f)
		memset(out, 0, p->v_dim * sizeof(*out));
	kern_attn_join(all, mass, &keep, &take);
	merge_values(out, sum, p->v_dim, keep, take);
}

void KERN_FN(kern_attn_merge)(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t row0, uint32_t row1)
{
	uint32_t row, i;

	for (row = row0; row < row1; row++) {
		for (i = 0; i < parts->n_block; i++) {
			size_t at = (size_t)i * kern_attn_rows(p) + row;

			merge_row(p, row, parts->sum + at * p->v_dim, parts->mass + at, parts->all + row);
		}
		if (kern_attn_last(p, parts))
			finish_row(p, row, parts->all + row);
	}
}

#endif
#endif
