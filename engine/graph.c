/* graph.c - buffers of a batch, and the operations that go by token or by value. */
#include "engine/graph.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph_internal.h"
#include "engine/stream.h"

#define ALIGN 64                /* bytes, a cache line */
#define ATTN_PARTS 40           /* results of attention over a part of KV, of one token, that there is room for */

/* ---- memory -------------------------------------------------------------------------------------- */

/* Parts of one allocation: sizes are added up first, then places handed out. */
struct layout {
	char *base;                     /* NULL while adding up */
	size_t used;
	int rc;
};

static void *place(struct layout *l, size_t n, size_t size)
{
	size_t off = l->used, bytes, padded;

	if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(bytes, (size_t)ALIGN - 1, &padded) ||
	    __builtin_add_overflow(l->used, padded & ~((size_t)ALIGN - 1), &l->used))
		l->rc = -EOVERFLOW;
	return l->base != NULL ? l->base + off : NULL;
}

/* rows of width floats */
static float *place_floats(struct layout *l, size_t rows, uint32_t width)
{
	size_t n;

	if (__builtin_mul_overflow(rows, (size_t)width, &n)) {
		l->rc = -EOVERFLOW;
		return NULL;
	}
	return place(l, n, sizeof(float));
}

/* Grouped matmuls, of experts or heads. */
static void place_groups(struct graph *g, struct layout *l)
{
	const struct graph_sizes *s = &g->sizes;
	size_t rows = (size_t)s->n_batch * s->group_rows, routed = (size_t)s->n_batch * s->n_expert_used;

	g->group_x = place_floats(l, rows, s->group_in);
	g->group_gate = place_floats(l, rows, s->group_mid);
	g->group_up = place_floats(l, rows, s->group_mid);
	g->group_y = place_floats(l, rows, s->group_out);
	g->group_of = place(l, routed, sizeof(*g->group_of));
	g->group_row = place(l, routed, sizeof(*g->group_row));
	g->group_weight = place(l, routed, sizeof(*g->group_weight));
	g->group_first = place(l, (size_t)s->n_expert + 1, sizeof(*g->group_first));
	g->entries = place(l, s->group_rows > 2 * s->n_expert ? s->group_rows : 2 * s->n_expert, sizeof(*g->entries));
}

/* Activations for n rows of width, or n2 rows of width2. */
static size_t max_bytes(enum kern_act kind, uint32_t n, uint32_t width, uint32_t n2, uint32_t width2)
{
	size_t a = kern_acts_bytes(kind, n, width), b = width2 != 0 ? kern_acts_bytes(kind, n2, width2) : 0;

	return a > b ? a : b;
}

static void place_acts(struct graph *g, struct layout *l)
{
	const struct graph_sizes *s = &g->sizes;
	uint32_t widest = s->group_in > s->group_mid ? s->group_in : s->group_mid, i;
	size_t rows = (size_t)s->n_batch * (s->group_rows > 1 ? s->group_rows : 1), plain = 0;

	for (i = 0; i < GRAPH_BUFS; i++)
		if (i != GRAPH_LAYERS && s->width[i] > plain)
			plain = s->width[i];
	/* batches of the widest buffer, or group rows of the widest group input, whichever is more */
	if (rows > UINT32_MAX)
		l->rc = -EOVERFLOW;
	if (l->rc != 0)
		return;
	g->acts_q8 = place(l, 1, max_bytes(KERN_ACT_Q8, s->n_batch, (uint32_t)plain, (uint32_t)rows, widest));
	g->acts_q8k = place(l, 1, max_bytes(KERN_ACT_Q8K, s->n_batch, (uint32_t)plain, (uint32_t)rows, widest));
}

static void place_all(struct graph *g, struct layout *l)
{
	const struct graph_sizes *s = &g->sizes;
	uint32_t i;

	for (i = 0; i < GRAPH_BUFS; i++)
		g->buf[i] = place_floats(l, s->n_batch, s->width[i]);
	for (i = 0; i < GRAPH_ROPES; i++) {
		g->cos[i] = place_floats(l, s->n_batch, s->n_rot / 2);
		g->sin[i] = place_floats(l, s->n_batch, s->n_rot / 2);
	}
	place_groups(g, l);
	place_acts(g, l);
	g->n_attn = (size_t)s->width[GRAPH_ATT] * ATTN_PARTS;
	if ((size_t)s->attn_row * s->n_batch > g->n_attn)
		g->n_attn = (size_t)s->attn_row * s->n_batch;   /* a block of every row: each is read once */
	g->attn = place(l, g->n_attn, sizeof(*g->attn));
}

size_t graph_need(const struct graph_sizes *sizes)
{
	struct layout l = { NULL, 0, 0 };
	struct graph g = { .sizes = *sizes };

	place_all(&g, &l);
	return l.rc == 0 ? l.used : SIZE_MAX;
}

int graph_new(struct graph **out, const struct graph_sizes *sizes, const struct kern_isa *isa,
	      struct kern_pool *pool, struct kv *kv)
{
	struct layout l = { NULL, 0, 0 };
	struct graph *g;

	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->sizes = *sizes;
	g->isa = isa;
	g->pool = pool;
	g->kv = kv;
	place_all(g, &l);
	if (l.rc == 0) {
		g->mem = aligned_alloc(ALIGN, l.used);
		if (g->mem == NULL)
			l.rc = -ENOMEM;
	}
	if (l.rc != 0) {
		free(g);
		return l.rc;
	}
	l.base = g->mem;
	g->mem_bytes = l.used;
	l.used = 0;
	place_all(g, &l);
	*out = g;
	return 0;
}

void graph_free(struct graph *g)
{
	if (g == NULL)
		return;
	free(g->mem);
	free(g);
}

void graph_set_stream(struct graph *g, struct stream *s)
{
	g->stream = s;
}

size_t graph_bytes(const struct graph *g)
{
	return g->mem_bytes;
}

float *graph_buf(const struct graph *g, enum graph_buf buf)
{
	return g->buf[buf];
}

void graph_begin(struct graph *g, uint32_t n_tok, uint32_t pos0)
{
	g->n_tok = n_tok;
	g->pos0 = pos0;
}

/* ---- by token ------------------------------------------------------------------------------------ */

struct embed_job { float *x; const struct weights_tensor *t; const uint32_t *tokens; const char *rows; };

static void embed_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct embed_job *j = arg;
	size_t n = (size_t)j->t->ne[0];
	uint32_t i;

	for (i = i0; i < i1; i++)
		kern_dequant(j->t->type, j->rows != NULL ? j->rows + i * j->t->row_bytes :
			     (const char *)j->t->data + j->tokens[i] * j->t->row_bytes, j->x + i * n, n);
}

void graph_embed(struct graph *g, float *x, const struct weights_tensor *table, const uint32_t *tokens)
{
	struct embed_job j = { x, table, tokens, NULL };

	if (g->stream != NULL)
		j.rows = stream_rows(g->stream, table->data, table->row_bytes, tokens, g->n_tok);
	kern_pool_run(g->pool, embed_tokens, &j, g->n_tok, 8);
}

struct norm_job { const struct kern_isa *isa; struct kern_norm p; };

static void norm_rows(void *arg, uint32_t i0, uint32_t i1)
{
	const struct norm_job *j = arg;

	j->isa->norm(&j->p, i0, i1);
}

void graph_norm(struct graph *g, const struct graph_norm *p)
{
	struct norm_job j = { g->isa, { p->y, p->x, graph_values(p->w), graph_values(p->b), p->n, p->eps, p->kind } };

	kern_pool_run(g->pool, norm_rows, &j, g->n_tok * p->rows, p->n < 1024 ? 32 : 4);
}

void graph_rope_angles(struct graph *g, uint32_t table, const struct kern_rope_angles *p)
{
	size_t half = p->n_rot / 2;
	uint32_t t;

	g->n_rot[table] = p->n_rot;
	for (t = 0; t < g->n_tok; t++)
		kern_rope_table(p, g->pos0 + t, g->cos[table] + t * half, g->sin[table] + t * half);
}

struct rope_job { const struct kern_isa *isa; struct kern_rope p; };

static void rope_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct rope_job *j = arg;

	j->isa->rope(&j->p, i0, i1);
}

void graph_rope(struct graph *g, const struct graph_rope *p)
{
	struct rope_job j = { g->isa, {
		.x = p->x, .cos = g->cos[p->table], .sin = g->sin[p->table], .n_head = p->n_head, .head_dim = p->head_dim,
		.n_rot = g->n_rot[p->table], .at = p->at, .neox = p->neox,
	} };

	kern_pool_run(g->pool, rope_tokens, &j, g->n_tok, 4);
}

struct pick_job { const struct graph_pick *p; enum { PICK, PUT, PUT_SHARED } how; };

static void pick_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct pick_job *j = arg;
	const struct graph_pick *p = j->p;
	size_t i, from = (size_t)i0 * p->rows, to = (size_t)i1 * p->rows;

	for (i = from; i < to; i++) {
		if (j->how != PICK)
			memcpy(p->y + i * p->width + p->at, p->x + (j->how == PUT ? i : i / p->rows) * p->n, p->n * sizeof(float));
		else
			memcpy(p->y + i * p->n, p->x + i * p->width + p->at, p->n * sizeof(float));
	}
}

void graph_pick(struct graph *g, const struct graph_pick *p)
{
	struct pick_job j = { p, PICK };

	kern_pool_run(g->pool, pick_tokens, &j, g->n_tok, 8);
}

void graph_put(struct graph *g, const struct graph_pick *p)
{
	struct pick_job j = { p, PUT };

	kern_pool_run(g->pool, pick_tokens, &j, g->n_tok, 8);
}

void graph_put_shared(struct graph *g, const struct graph_pick *p)
{
	struct pick_job j = { p, PUT_SHARED };

	kern_pool_run(g->pool, pick_tokens, &j, g->n_tok, 8);
}

void graph_temperature(struct graph *g, float *x, uint32_t n, float scale, uint32_t length)
{
	size_t t, i;

	for (t = 0; t < g->n_tok; t++) {
		float f = 1.0f + scale * logf(1.0f + floorf((float)((g->pos0 + t) / length)));

		for (i = 0; i < n; i++)
			x[t * n + i] *= f;
	}
}

/* ---- by value ------------------------------------------------------------------------------------ */

struct glu_job { const struct kern_isa *isa; struct kern_glu p; };

static size_t unit_end(uint32_t i1, size_t n)
{
	return (size_t)i1 * GRAPH_FLOATS_UNIT < n ? (size_t)i1 * GRAPH_FLOATS_UNIT : n;
}

static void glu_units(void *arg, uint32_t i0, uint32_t i1)
{
	const struct glu_job *j = arg;
	size_t from = (size_t)i0 * GRAPH_FLOATS_UNIT;
	struct kern_glu p = j->p;

	p.g += from;
	p.u = p.u != NULL ? p.u + from : NULL;
	p.n = unit_end(i1, j->p.n) - from;
	j->isa->glu(&p);
}

void graph_glu_n(struct graph *g, enum kern_glu_kind act, float *gate, const float *up, size_t n)
{
	struct glu_job j = { g->isa, { gate, up, n, act } };

	kern_pool_run(g->pool, glu_units, &j, graph_units(n), 1);
}

void graph_glu(struct graph *g, enum kern_glu_kind act, float *gate, const float *up, uint32_t n)
{
	graph_glu_n(g, act, gate, up, (size_t)n * g->n_tok);
}

struct add_job { const struct kern_isa *isa; struct kern_add p; };

static void add_units(void *arg, uint32_t i0, uint32_t i1)
{
	const struct add_job *j = arg;
	size_t from = (size_t)i0 * GRAPH_FLOATS_UNIT;
	struct kern_add p = { j->p.y + from, j->p.x + from, unit_end(i1, j->p.n) - from, j->p.scale };

	j->isa->add(&p);
}

void graph_add(struct graph *g, float *y, const float *x, uint32_t n, float scale)
{
	struct add_job j = { g->isa, { y, x, (size_t)n * g->n_tok, scale } };

	kern_pool_run(g->pool, add_units, &j, graph_units(j.p.n), 4);
}

/* y[t][i] *= factor: of the whole (one), of its column, of its row, or its own. */
struct mul_job { float *y; const float *x; size_t n; float one; enum { MUL_ONE, MUL_COLUMN, MUL_ROW, MUL_EACH } by; };

static void mul_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct mul_job *j = arg;
	size_t t, i;

	for (t = i0; t < i1; t++) {
		float *y = j->y + t * j->n;
		const float *x = j->by == MUL_EACH ? j->x + t * j->n : j->x;
		float f = j->by == MUL_ROW ? j->x[t] : j->one;

		if (j->by == MUL_EACH || j->by == MUL_COLUMN)
			for (i = 0; i < j->n; i++)
				y[i] *= x[i];
		else
			for (i = 0; i < j->n; i++)
				y[i] *= f;
	}
}

void graph_scale(struct graph *g, float *y, uint32_t n, float scale)
{
	struct mul_job j = { y, NULL, n, scale, MUL_ONE };

	kern_pool_run(g->pool, mul_tokens, &j, g->n_tok, 8);
}

void graph_mul_weight(struct graph *g, float *y, uint32_t n, const struct weights_tensor *w)
{
	struct mul_job j = { y, graph_values(w), n, 0.0f, MUL_COLUMN };

	if (w->ne[0] == 1) {
		j.one = graph_values(w)[0];
		j.by = MUL_ONE;
	}
	kern_pool_run(g->pool, mul_tokens, &j, g->n_tok, 8);
}

void graph_mul(struct graph *g, float *y, const float *x, uint32_t n)
{
	struct mul_job j = { y, x, n, 0.0f, MUL_EACH };

	kern_pool_run(g->pool, mul_tokens, &j, g->n_tok, 8);
}

void graph_gate_rows(struct graph *g, float *y, const float *x, uint32_t n)
{
	struct mul_job j = { y, x, n, 0.0f, MUL_ROW };

	kern_pool_run(g->pool, mul_tokens, &j, g->n_tok, 8);
}
