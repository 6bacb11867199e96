/* graph.c - buffers of a batch, and the operations shared out among the threads. */
#include "engine/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kv.h"
#include "kernels/kern.h"
#include "kernels/kern_pool.h"

#define ALIGN 64                /* bytes, a cache line */
#define ROWS_UNIT 16            /* rows of a matrix that are handed out together */
#define ROWS_REUSE 32           /* rows that stay in cache while chunks of tokens go by */
#define TOKS_REUSE 32           /* tokens a chunk */
#define FLOATS_UNIT 4096        /* values of an element-wise operation that are worth a thread */

struct graph {
	struct graph_sizes sizes;
	const struct kern_isa *isa;
	struct kern_pool *pool;
	struct kv *kv;
	void *mem;                      /* all that follows lies in it */
	struct graph_bufs bufs;
	float *cos, *sin;               /* [n_batch][n_rot / 2] */
	void *acts_q8, *acts_q8k;       /* the widest input, quantised */
	uint32_t n_tok, pos0;           /* the batch */
	uint32_t n_rot;                 /* of the angles in cos and sin */
};

/* ---- memory -------------------------------------------------------------------------------------- */

/* Parts of one allocation: sizes are added up first, then places handed out. */
struct layout {
	char *base;                     /* NULL while adding up */
	size_t used;
	int rc;
};

static void *place(struct layout *l, size_t bytes)
{
	size_t off = l->used, padded;

	if (__builtin_add_overflow(bytes, (size_t)ALIGN - 1, &padded) ||
	    __builtin_add_overflow(l->used, padded & ~((size_t)ALIGN - 1), &l->used))
		l->rc = -EOVERFLOW;
	return l->base != NULL ? l->base + off : NULL;
}

static float *place_floats(struct layout *l, uint32_t rows, uint32_t width)
{
	size_t bytes;

	if (__builtin_mul_overflow((size_t)rows * sizeof(float), (size_t)width, &bytes)) {
		l->rc = -EOVERFLOW;
		return NULL;
	}
	return place(l, bytes);
}

static uint32_t widest_input(const struct graph_sizes *s)
{
	uint32_t w = s->n_embd;

	if (s->n_att > w)
		w = s->n_att;
	return s->n_ff > w ? s->n_ff : w;
}

static void place_all(struct graph *g, struct layout *l)
{
	const struct graph_sizes *s = &g->sizes;
	uint32_t widest = widest_input(s);

	g->bufs.x = place_floats(l, s->n_batch, s->n_embd);
	g->bufs.xn = place_floats(l, s->n_batch, s->n_embd);
	g->bufs.q = place_floats(l, s->n_batch, s->n_q);
	g->bufs.k = place_floats(l, s->n_batch, s->n_k);
	g->bufs.v = place_floats(l, s->n_batch, s->n_v);
	g->bufs.att = place_floats(l, s->n_batch, s->n_att);
	g->bufs.gate = place_floats(l, s->n_batch, s->n_ff);
	g->bufs.up = place_floats(l, s->n_batch, s->n_ff);
	g->cos = place_floats(l, s->n_batch, s->n_rot / 2);
	g->sin = place_floats(l, s->n_batch, s->n_rot / 2);
	g->acts_q8 = place(l, kern_acts_bytes(KERN_ACT_Q8, s->n_batch, widest));
	g->acts_q8k = place(l, kern_acts_bytes(KERN_ACT_Q8K, s->n_batch, widest));
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

const struct graph_bufs *graph_bufs(const struct graph *g)
{
	return &g->bufs;
}

void graph_begin(struct graph *g, uint32_t n_tok, uint32_t pos0)
{
	g->n_tok = n_tok;
	g->pos0 = pos0;
}

/* ---- by token ------------------------------------------------------------------------------------ */

struct embed_job { float *x; const struct weights_tensor *t; const uint32_t *tokens; };

static void embed_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct embed_job *j = arg;
	size_t n = (size_t)j->t->ne[0];
	uint32_t i;

	for (i = i0; i < i1; i++)
		kern_dequant(j->t->type, (const char *)j->t->data + j->tokens[i] * j->t->row_bytes, j->x + i * n, n);
}

void graph_embed(struct graph *g, float *x, const struct weights_tensor *table, const uint32_t *tokens)
{
	struct embed_job j = { x, table, tokens };

	kern_pool_run(g->pool, embed_tokens, &j, g->n_tok, 8);
}

struct norm_job { const struct kern_isa *isa; struct kern_norm p; };

static void norm_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct norm_job *j = arg;

	j->isa->rms_norm(&j->p, i0, i1);
}

void graph_rms_norm(struct graph *g, const struct graph_norm *p)
{
	struct norm_job j = { g->isa, { p->y, p->x, p->w->data, (uint32_t)p->w->ne[0], p->eps } };

	kern_pool_run(g->pool, norm_tokens, &j, g->n_tok, 4);
}

void graph_rope_angles(struct graph *g, const struct graph_angles *p)
{
	struct kern_rope_angles a = { p->base, p->scale, p->factors != NULL ? p->factors->data : NULL, p->n_rot };
	uint32_t t;

	g->n_rot = p->n_rot;
	for (t = 0; t < g->n_tok; t++)
		kern_rope_table(&a, g->pos0 + t, g->cos + (size_t)t * (p->n_rot / 2),
				g->sin + (size_t)t * (p->n_rot / 2));
}

struct rope_job { const struct kern_isa *isa; struct kern_rope p; };

static void rope_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct rope_job *j = arg;

	j->isa->rope(&j->p, i0, i1);
}

void graph_rope(struct graph *g, float *x, uint32_t n_head, uint32_t head_dim)
{
	struct rope_job j = { g->isa, { x, g->cos, g->sin, n_head, head_dim, g->n_rot } };

	kern_pool_run(g->pool, rope_tokens, &j, g->n_tok, 4);
}

/* ---- matrices ------------------------------------------------------------------------------------ */

/* Rows of all matrices of a call, counted through in units of ROWS_UNIT. */
struct linear_job {
	const struct kern_isa *isa;
	uint32_t n;
	struct kern_matmul mm[GRAPH_LINEAR_MAX];
	const float *bias[GRAPH_LINEAR_MAX];            /* [rows] or NULL */
	uint32_t rows[GRAPH_LINEAR_MAX];
	uint32_t first[GRAPH_LINEAR_MAX + 1];           /* unit where each matrix begins */
};

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
		part.sums += (size_t)t0 * a->n_blk * 16;
	return part;
}

static void add_bias(const struct kern_matmul *p, const float *bias, uint32_t row0, uint32_t row1)
{
	uint32_t t, r;

	for (t = 0; t < p->x->n_tok; t++)
		for (r = row0; r < row1; r++)
			p->y[t * p->y_stride + r] += bias[r];
}

/* A few rows at a time against chunks of tokens, so that both stay in cache. */
static void linear_rows(const struct linear_job *j, uint32_t i, uint32_t row0, uint32_t row1)
{
	const struct kern_matmul *whole = &j->mm[i];
	uint32_t r, t, rn, tn;

	for (r = row0; r < row1; r += rn) {
		rn = row1 - r < ROWS_REUSE ? row1 - r : ROWS_REUSE;
		for (t = 0; t < whole->x->n_tok; t += tn) {
			struct kern_matmul p = *whole;
			struct kern_acts x;

			tn = whole->x->n_tok - t < TOKS_REUSE ? whole->x->n_tok - t : TOKS_REUSE;
			x = acts_part(whole->x, t, tn);
			p.x = &x;
			p.y += t * p.y_stride;
			j->isa->matmul[p.type].rows(&p, r, r + rn);
			if (j->bias[i] != NULL)
				add_bias(&p, j->bias[i], r, r + rn);
		}
	}
}

static void linear_units(void *arg, uint32_t i0, uint32_t i1)
{
	const struct linear_job *j = arg;
	uint32_t i;

	for (i = 0; i < j->n; i++) {
		uint32_t from = i0 > j->first[i] ? i0 : j->first[i];
		uint32_t to = i1 < j->first[i + 1] ? i1 : j->first[i + 1];
		uint32_t row0, row1;

		if (from >= to)
			continue;
		row0 = (from - j->first[i]) * ROWS_UNIT;
		row1 = (to - j->first[i]) * ROWS_UNIT;
		linear_rows(j, i, row0, row1 < j->rows[i] ? row1 : j->rows[i]);
	}
}

/* x in the form that matrix i wants; made once for all matrices that want the same. */
static const struct kern_acts *prepared(struct graph *g, struct kern_acts acts[], enum kern_act kind, const float *x,
					uint32_t n_tok, uint32_t cols)
{
	struct quantise_job q = { g->isa, &acts[kind] };

	if (acts[kind].kind == kind)
		return &acts[kind];
	kern_acts_init(&acts[kind], kind, x, n_tok, cols, kind == KERN_ACT_Q8K ? g->acts_q8k : g->acts_q8);
	if (kind != KERN_ACT_F32)
		kern_pool_run(g->pool, quantise_tokens, &q, n_tok, 4);
	return &acts[kind];
}

void graph_linear_rows(struct graph *g, const float *x, uint32_t n_tok, const struct graph_linear *list, uint32_t n)
{
	struct kern_acts acts[KERN_ACT_Q8K + 1] = { 0 };
	struct linear_job j = { .isa = g->isa, .n = n };
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct weights_tensor *w = list[i].w;
		enum kern_act kind = g->isa->matmul[w->type].act;

		j.rows[i] = (uint32_t)w->ne[1];
		j.mm[i] = (struct kern_matmul){
			.y = list[i].y, .y_stride = w->ne[1], .w = w->data, .row_bytes = w->row_bytes, .type = w->type,
			.x = prepared(g, acts, kind, x, n_tok, (uint32_t)w->ne[0]),
		};
		j.bias[i] = list[i].b != NULL ? list[i].b->data : NULL;
		j.first[i + 1] = j.first[i] + (j.rows[i] + ROWS_UNIT - 1) / ROWS_UNIT;
	}
	kern_pool_run(g->pool, linear_units, &j, j.first[n], 1);
}

void graph_linear(struct graph *g, const float *x, const struct graph_linear *list, uint32_t n)
{
	graph_linear_rows(g, x, g->n_tok, list, n);
}

/* ---- attention ----------------------------------------------------------------------------------- */

struct attn_job { struct graph *g; const struct graph_attn *p; };

static void store_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	const struct graph_attn *p = j->p;
	size_t n_k = (size_t)p->n_head_kv * p->head_k, n_v = (size_t)p->n_head_kv * p->head_v;
	struct kv *kv = j->g->kv;
	uint32_t i;

	for (i = i0; i < i1; i++) {
		kern_store(kv_type_k(kv), kv_k(kv, p->layer, j->g->pos0 + i), p->k + i * n_k, n_k);
		kern_store(kv_type_v(kv), kv_v(kv, p->layer, j->g->pos0 + i), p->v + i * n_v, n_v);
	}
}

static const void *at(const void *base, uint32_t type, size_t i)
{
	return (const char *)base + i * (type == KERN_F32 ? 4 : 2);
}

/* Item i: token i / n_head_kv, KV head i % n_head_kv. */
static void attend_items(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	const struct graph_attn *p = j->p;
	const struct kv *kv = j->g->kv;
	uint32_t i, group = p->n_head / p->n_head_kv;

	for (i = i0; i < i1; i++) {
		uint32_t t = i / p->n_head_kv, h = i % p->n_head_kv;
		size_t head = (size_t)t * p->n_head + (size_t)h * group;
		struct kern_attn a = {
			.out = p->att + head * p->head_v, .q = p->q + head * p->head_k,
			.k = at(kv_k(kv, p->layer, 0), kv_type_k(kv), (size_t)h * p->head_k),
			.v = at(kv_v(kv, p->layer, 0), kv_type_v(kv), (size_t)h * p->head_v),
			.k_stride = (size_t)p->n_head_kv * p->head_k, .v_stride = (size_t)p->n_head_kv * p->head_v,
			.k_type = kv_type_k(kv), .v_type = kv_type_v(kv), .k_dim = p->head_k, .v_dim = p->head_v,
			.n_group = group, .n_kv = j->g->pos0 + t + 1, .scale = p->scale,
		};

		j->g->isa->attn(&a);
	}
}

void graph_attention(struct graph *g, const struct graph_attn *p)
{
	struct attn_job j = { g, p };

	kern_pool_run(g->pool, store_tokens, &j, g->n_tok, 8);
	kern_pool_run(g->pool, attend_items, &j, g->n_tok * p->n_head_kv, 1);
}

/* ---- element-wise -------------------------------------------------------------------------------- */

struct silu_job { const struct kern_isa *isa; float *gate; const float *up; size_t n; };

static void silu_units(void *arg, uint32_t i0, uint32_t i1)
{
	const struct silu_job *j = arg;
	size_t from = (size_t)i0 * FLOATS_UNIT, to = (size_t)i1 * FLOATS_UNIT;
	struct kern_silu_mul p = { j->gate + from, j->up + from, (to < j->n ? to : j->n) - from };

	j->isa->silu_mul(&p);
}

static uint32_t units_of(size_t n)
{
	return (uint32_t)((n + FLOATS_UNIT - 1) / FLOATS_UNIT);
}

void graph_silu_mul(struct graph *g, float *gate, const float *up, uint32_t n)
{
	struct silu_job j = { g->isa, gate, up, (size_t)n * g->n_tok };

	kern_pool_run(g->pool, silu_units, &j, units_of(j.n), 1);
}

struct add_job { const struct kern_isa *isa; float *y; const float *x; size_t n; };

static void add_units(void *arg, uint32_t i0, uint32_t i1)
{
	const struct add_job *j = arg;
	size_t from = (size_t)i0 * FLOATS_UNIT, to = (size_t)i1 * FLOATS_UNIT;
	struct kern_add p = { j->y + from, j->x + from, (to < j->n ? to : j->n) - from };

	j->isa->add(&p);
}

void graph_add(struct graph *g, float *y, const float *x, uint32_t n)
{
	struct add_job j = { g->isa, y, x, (size_t)n * g->n_tok };

	kern_pool_run(g->pool, add_units, &j, units_of(j.n), 4);
}
