/* graph_linear.c - matrices: some with one input, or one a head or an expert, shared out among the threads. */
#include <string.h>

#include "engine/graph_internal.h"
#include "engine/stream.h"

#define ROWS_UNIT 32            /* rows of a matrix that are handed out together: the kernels' widest tile */

/* ---- inputs -------------------------------------------------------------------------------------- */

struct quantise_job { const struct kern_isa *isa; const struct kern_acts *acts; };

static void quantise_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct quantise_job *j = arg;

	j->isa->quantise(j->acts, i0, i1);
}

/* Tokens t0 .. t0 + n - 1 of a. */
static struct kern_acts acts_part(const struct kern_acts *a, uint32_t t0, uint32_t n)
{
	struct kern_acts part = *a;

	part.n_tok = n;
	part.x += (size_t)t0 * a->cols;
	if (a->q != NULL) {
		part.q += (size_t)t0 * a->n_blk * (a->kind == KERN_ACT_Q8K ? 256 : 32);
		part.d += (size_t)t0 * a->n_blk;
	}
	if (a->sums != NULL)
		part.sums += (size_t)t0 * a->n_blk * (a->kind == KERN_ACT_Q8K ? 16 : 1);
	return part;
}

/* The input in the form that a type wants; made once for all matrices that want the same. */
static const struct kern_acts *prepared(struct graph *g, struct linear_input *in, enum kern_act kind)
{
	struct kern_acts *a = &in->acts[kind];
	struct quantise_job q = { g->isa, a };

	if (a->kind == kind)
		return a;
	kern_acts_init(a, kind, in->x, in->n_tok, in->cols, kind == KERN_ACT_Q8K ? g->acts_q8k : g->acts_q8);
	if (kind != KERN_ACT_F32)
		kern_pool_run(g->pool, quantise_tokens, &q, in->n_tok, 4);
	return a;
}

/* ---- work ---------------------------------------------------------------------------------------- */

struct linear_job { const struct kern_isa *isa; const struct linear_entry *entries; uint32_t n; };

static void add_bias(const struct kern_matmul *p, const float *bias, uint32_t row0, uint32_t row1)
{
	uint32_t t, r;

	for (t = 0; t < p->x->n_tok; t++)
		for (r = row0; r < row1; r++)
			p->y[t * p->y_stride + r] += bias[r];
}

/* All tokens at once: the kernels divide them. */
static void linear_rows(const struct linear_job *j, const struct linear_entry *e, uint32_t row0, uint32_t row1)
{
	struct kern_matmul p = e->mm;

	p.x = &e->acts;
	j->isa->matmul[p.type].rows(&p, row0, row1);
	if (e->bias != NULL)
		add_bias(&p, e->bias, row0, row1);
}

static uint32_t units_of(const struct linear_entry *e)
{
	return (e->rows + ROWS_UNIT - 1) / ROWS_UNIT;
}

/* The entry that unit i belongs to. */
static uint32_t entry_of(const struct linear_job *j, uint32_t i)
{
	uint32_t lo = 0, hi = j->n;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (j->entries[mid].first <= i)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void linear_units(void *arg, uint32_t i0, uint32_t i1)
{
	const struct linear_job *j = arg;
	uint32_t i, to, k;

	for (k = entry_of(j, i0), i = i0; i < i1; i = to, k++) {
		const struct linear_entry *e = &j->entries[k];
		uint32_t row0 = (i - e->first) * ROWS_UNIT, row1;

		to = e->first + units_of(e) < i1 ? e->first + units_of(e) : i1;
		row1 = (to - e->first) * ROWS_UNIT;
		linear_rows(j, e, row0, row1 < e->rows ? row1 : e->rows);
	}
}

void graph_linear_entry(struct graph *g, struct linear_entry *e, struct linear_input *in, const struct weights_tensor *w,
			uint64_t slice, uint32_t t0, uint32_t n)
{
	e->acts = acts_part(prepared(g, in, g->isa->matmul[w->type].act), t0, n);
	e->mm = (struct kern_matmul){
		.w = (const char *)w->data + slice * w->slice_bytes, .row_bytes = w->row_bytes, .type = w->type,
		.y_stride = w->ne[1],
	};
	e->rows = (uint32_t)w->ne[1];
	e->bias = NULL;
	e->done = 0;
	e->routed = false;
}

static void run_entries(struct graph *g, struct linear_entry *entries, uint32_t n)
{
	struct linear_job j = { g->isa, entries, n };
	uint32_t i, units = 0;

	for (i = 0; i < n; i++) {
		entries[i].first = units;
		units += units_of(&entries[i]);
	}
	kern_pool_run(g->pool, linear_units, &j, units, 1);
}

/* ---- weights that come piece by piece ------------------------------------------------------------ */

#define TOGETHER 16u            /* pieces that are computed together when they are there */

static struct stream_matrix matrix_of(const struct linear_entry *e)
{
	return (struct stream_matrix){ e->mm.w, e->mm.row_bytes, e->rows, e->routed };
}

void graph_want(struct graph *g, const struct weights_tensor *w, uint64_t slice)
{
	struct stream_matrix m = { (const char *)w->data + slice * w->slice_bytes, w->row_bytes, (uint32_t)w->ne[1], true };

	if (g->stream != NULL)
		stream_want(g->stream, &m);
}

/* Rows row0 .. row0 + n - 1 of e, which are at w. */
static struct linear_entry entry_part(const struct linear_entry *e, uint32_t row0, uint32_t n, const void *w)
{
	struct linear_entry part = *e;

	part.mm.w = w;
	part.mm.y += row0;
	part.rows = n;
	if (part.bias != NULL)
		part.bias += row0;
	return part;
}

/* Pieces that wait to be computed together. */
struct ready { struct linear_entry entry[TOGETHER]; uint32_t n; };

static void run_ready(struct graph *g, struct ready *r)
{
	run_entries(g, r->entry, r->n);
	stream_release(g->stream);
	r->n = 0;
}

/* The pieces of e from row e->done on, up to the first that is not there; wait: all. */
static void take_pieces(struct graph *g, struct linear_entry *e, struct ready *r, bool wait)
{
	const struct stream_matrix m = matrix_of(e);
	uint32_t each = stream_piece_rows(g->stream, m.row_bytes);
	const void *w;

	for (; e->done < m.rows; e->done += each) {
		if (r->n == TOGETHER)
			run_ready(g, r);
		w = stream_take(g->stream, &m, e->done, wait && r->n == 0);
		if (w == NULL && !wait)
			return;
		if (w == NULL) {
			run_ready(g, r);
			w = stream_take(g->stream, &m, e->done, true);
		}
		r->entry[r->n++] = entry_part(e, e->done, m.rows - e->done < each ? m.rows - e->done : each, w);
	}
}

/* A row's bits do not depend on which rows are computed with it, so pieces may be computed as they come: of experts those
 * that are there while the others are read; all else in the order in which it is read ahead. */
static void run_pieces(struct graph *g, struct linear_entry *entries, uint32_t n)
{
	struct ready ready = { .n = 0 };
	uint32_t i;

	for (i = 0; i < n; i++)
		take_pieces(g, &entries[i], &ready, !entries[i].routed);
	for (i = 0; i < n; i++)
		take_pieces(g, &entries[i], &ready, true);
	run_ready(g, &ready);
}

void graph_linear_run(struct graph *g, struct linear_entry *entries, uint32_t n)
{
	if (g->stream != NULL)
		run_pieces(g, entries, n);
	else
		run_entries(g, entries, n);
}

/* ---- operations ---------------------------------------------------------------------------------- */

void graph_linear_rows(struct graph *g, const float *x, uint32_t n_tok, const struct graph_linear *list, uint32_t n)
{
	struct linear_input in = { .x = x, .n_tok = n_tok, .cols = (uint32_t)list[0].w->ne[0] };
	struct linear_entry entries[GRAPH_LINEAR_MAX];
	uint32_t i;

	for (i = 0; i < n; i++) {
		graph_linear_entry(g, &entries[i], &in, list[i].w, 0, 0, n_tok);
		entries[i].mm.y = list[i].y;
		entries[i].bias = graph_values(list[i].b);
	}
	graph_linear_run(g, entries, n);
}

void graph_linear(struct graph *g, const float *x, const struct graph_linear *list, uint32_t n)
{
	graph_linear_rows(g, x, g->n_tok, list, n);
}

struct heads_job { struct graph *g; const struct graph_heads *p; uint32_t n_head; };

/* Rows [head][token] of a head's input. */
static void gather_heads(void *arg, uint32_t i0, uint32_t i1)
{
	const struct heads_job *j = arg;
	const struct graph_heads *p = j->p;
	size_t n = (size_t)p->w->ne[0];
	uint32_t i;

	for (i = i0; i < i1; i++) {
		uint32_t h = i / j->g->n_tok, t = i % j->g->n_tok;

		memcpy(j->g->group_x + i * n, p->x + ((size_t)t * j->n_head + h) * p->x_width + p->x_at, n * sizeof(float));
	}
}

void graph_heads(struct graph *g, const struct graph_heads *p)
{
	struct heads_job j = { g, p, (uint32_t)p->w->ne[2] };
	struct linear_input in = { .x = g->group_x, .n_tok = g->n_tok * j.n_head, .cols = (uint32_t)p->w->ne[0] };
	uint32_t h;

	kern_pool_run(g->pool, gather_heads, &j, in.n_tok, 16);
	for (h = 0; h < j.n_head; h++) {
		struct linear_entry *e = &g->entries[h];

		graph_linear_entry(g, e, &in, p->w, h, h * g->n_tok, g->n_tok);
		e->mm.y = p->y + (size_t)h * p->y_width + p->y_at;
		e->mm.y_stride = (size_t)j.n_head * p->y_width;
	}
	graph_linear_run(g, g->entries, j.n_head);
}
