/* graph_attn.c - attention over the KV cache, with the batch's own rows put there first.
 *
 * Work goes by KV head and rows (kern.h): whole rows when that is enough for all threads, else by blocks of KV as well,
 * in rounds of as many blocks as g->attn has room for.  The bits are the same.
 *
 * Where the cache quantises, keys and values are rotated first (kern_rotate), so that no outlier makes its block coarse;
 * queries are rotated as keys are, and what comes out is rotated back (QuaRot, arXiv 2404.00456).
 */
#include <stddef.h>
#include <string.h>

#include "engine/graph_internal.h"
#include "engine/kv.h"

#define ITEMS_A_THREAD 8        /* whole rows are enough when there are so many pieces of work */

struct attn_job {
	struct graph *g;
	const struct graph_attn *p;
	uint32_t group, rows;           /* heads a KV head; rows of one KV head */
	uint32_t tile, tiles;           /* rows of a piece of work, a multiple of KERN_ATTN_ROWS; how many they make */
	uint32_t block0, n_block;       /* of the round */
	const void *k, *v;              /* where position 0 of the rows at hand is, or would be */
	uint32_t turn_k, turn_v;        /* pieces that are rotated, 0: none */
};

/* The largest power of two that divides the head, if the type has blocks. */
static uint32_t piece(uint32_t type, uint32_t head)
{
	return kern_stores_blocks(type) ? head & -head : 0;
}

static void rotate(float *x, size_t n, uint32_t size)
{
	if (size > 0)
		kern_rotate(x, n, size);
}

static void store_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	const struct graph_attn *p = j->p;
	size_t n_k = (size_t)p->n_head_kv * p->head_k, n_v = (size_t)p->n_head_kv * p->head_v;
	struct kv *kv = j->g->kv;
	uint32_t i;

	for (i = i0; i < i1; i++) {
		rotate(p->k + i * n_k, n_k, j->turn_k);
		kern_store(kv_type_k(kv), kv_k(kv, p->layer, j->g->pos0 + i), p->k + i * n_k, n_k);
		if (p->v == NULL)
			continue;
		rotate(p->v + i * n_v, n_v, j->turn_v);
		kern_store(kv_type_v(kv), kv_v(kv, p->layer, j->g->pos0 + i), p->v + i * n_v, n_v);
	}
}

static void rotate_queries(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	size_t n = (size_t)j->p->n_head * j->p->head_k;

	kern_rotate(j->p->q + i0 * n, (i1 - i0) * n, j->turn_k);
}

static void rotate_back(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	size_t n = (size_t)j->p->n_head * j->p->head_v;

	kern_rotate(j->p->att + i0 * n, (i1 - i0) * n, j->turn_v);
}

static const void *at(const void *base, uint32_t type, size_t i)
{
	return (const char *)base + kern_stored_bytes(type, i);
}

/* Keys, values and where they begin, of KV head h; values may be the first part of their keys. */
static void set_kv(struct kern_attn *a, const struct attn_job *j, uint32_t h)
{
	const struct graph_attn *p = j->p;
	const struct kv *kv = j->g->kv;
	bool apart = kv_has_v(kv, p->layer);

	a->k_type = kv_type_k(kv);
	a->k_stride = (size_t)p->n_head_kv * p->head_k;
	a->k = at(j->k, a->k_type, (size_t)h * p->head_k);
	a->v_type = apart ? kv_type_v(kv) : a->k_type;
	a->v_stride = apart ? (size_t)p->n_head_kv * p->head_v : a->k_stride;
	a->v = apart ? at(j->v, a->v_type, (size_t)h * p->head_v) : a->k;
}

/* The whole batch, the heads that share KV head h. */
static struct kern_attn head_params(const struct attn_job *j, uint32_t h)
{
	const struct graph_attn *p = j->p;
	const float *sinks = graph_values(p->sinks);
	struct kern_attn a = {
		.out = p->att + (size_t)h * j->group * p->head_v, .q = p->q + (size_t)h * j->group * p->head_k,
		.out_stride = (size_t)p->n_head * p->head_v, .q_stride = (size_t)p->n_head * p->head_k,
		.k_dim = p->head_k, .v_dim = p->head_v, .n_group = j->group, .n_tok = j->g->n_tok, .n_kv = j->g->pos0 + 1,
		.window = p->window, .scale = p->scale, .softcap = p->softcap,
		.sinks = sinks != NULL ? sinks + (size_t)h * j->group : NULL,
	};

	set_kv(&a, j, h);
	return a;
}

static uint32_t tile_end(const struct attn_job *j, uint32_t tile)
{
	return tile + 1 < j->tiles ? (tile + 1) * j->tile : j->rows;
}

/* ---- whole rows ---------------------------------------------------------------------------------- */

/* Item i: KV head i / tiles, rows of tile i % tiles. */
static void attend_rows(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	uint32_t i;

	for (i = i0; i < i1; i++) {
		struct kern_attn a = head_params(j, i / j->tiles);
		uint32_t tile = i % j->tiles;

		j->g->isa->attn(&a, tile * j->tile, tile_end(j, tile));
	}
}

/* ---- by blocks ----------------------------------------------------------------------------------- */

/* The first block that any row sees, and the one behind the last. */
static uint32_t first_block(const struct attn_job *j)
{
	uint32_t n_kv = j->g->pos0 + 1;

	return (j->p->window > 0 && n_kv > j->p->window ? n_kv - j->p->window : 0) / KERN_ATTN_BLOCK;
}

static uint32_t end_block(const struct attn_job *j)
{
	return (j->g->pos0 + j->g->n_tok - 1) / KERN_ATTN_BLOCK + 1;
}

/* How many blocks of all heads g->attn has room for, 0 when not even one. */
static uint32_t room_blocks(const struct attn_job *j)
{
	size_t rows = (size_t)j->rows * j->p->n_head_kv, n = j->g->n_attn / rows;
	size_t blocks = n > 2 ? (n - 2) / ((size_t)j->p->head_v + 2) : 0;

	return blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
}

/* The parts of KV head h in g->attn: masses of all rows, then those of blocks by head, then sums by head. */
static struct kern_attn_parts head_parts(const struct attn_job *j, uint32_t h)
{
	struct kern_attn_mass *mass = (struct kern_attn_mass *)(void *)j->g->attn;
	size_t heads = j->p->n_head_kv, part = (size_t)j->n_block * j->rows;

	return (struct kern_attn_parts){
		.block0 = j->block0, .n_block = j->n_block, .all = mass + (size_t)h * j->rows,
		.mass = mass + heads * j->rows + h * part,
		.sum = j->g->attn + 2 * heads * (j->rows + part) + h * part * j->p->head_v,
	};
}

/* Item i: block i / (n_head_kv * tiles); the heads of a block together, as their keys are. */
static void attend_blocks(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	uint32_t i, each = j->p->n_head_kv * j->tiles;

	for (i = i0; i < i1; i++) {
		uint32_t h = i % each / j->tiles, tile = i % j->tiles;
		struct kern_attn a = head_params(j, h);
		struct kern_attn_parts parts = head_parts(j, h);

		j->g->isa->attn_block(&a, &parts, j->block0 + i / each, tile * j->tile, tile_end(j, tile));
	}
}

/* Item i: row i % rows of KV head i / rows. */
static void merge_rows(void *arg, uint32_t i0, uint32_t i1)
{
	const struct attn_job *j = arg;
	uint32_t i;

	for (i = i0; i < i1; i++) {
		struct kern_attn a = head_params(j, i / j->rows);
		struct kern_attn_parts parts = head_parts(j, i / j->rows);

		j->g->isa->attn_merge(&a, &parts, i % j->rows, i % j->rows + 1);
	}
}

/* Rows of position `from` on, as if those before were there too: kernels count from position 0. */
static const void *from_zero(const void *rows, uint32_t from, size_t row)
{
	return (const void *)((uintptr_t)rows - from * row);
}

/* Rows from block0 on; the block behind them. */
static uint32_t next_span(struct attn_job *j, uint32_t end)
{
	uint32_t layer = j->p->layer, from = j->block0 * KERN_ATTN_BLOCK;
	struct kv *kv = j->g->kv;
	struct kv_span s = kv_span(kv, layer, from, end * KERN_ATTN_BLOCK);

	j->k = from_zero(s.k, from, kv_k_bytes(kv, layer));
	j->v = from_zero(s.v, from, kv_v_bytes(kv, layer));
	return s.to / KERN_ATTN_BLOCK;
}

/* Span after span, each in rounds of about equal numbers of blocks. */
static void run_blocks(struct attn_job *j, uint32_t room)
{
	const struct graph_attn *p = j->p;
	uint32_t end = end_block(j), span = 0, left, rounds;

	memset(j->g->attn, 0, (size_t)j->rows * p->n_head_kv * sizeof(struct kern_attn_mass));
	for (j->block0 = first_block(j); j->block0 < end; j->block0 += j->n_block) {
		if (j->block0 >= span)
			span = next_span(j, end);
		left = span - j->block0;
		rounds = (left - 1) / room + 1;
		j->n_block = (left - 1) / rounds + 1;
		kern_pool_run(j->g->pool, attend_blocks, j, j->n_block * p->n_head_kv * j->tiles, 1);
		kern_pool_run(j->g->pool, merge_rows, j, j->rows * p->n_head_kv, 4);
	}
}

static void set_tile(struct attn_job *j, uint32_t tile)
{
	j->tile = tile;
	j->tiles = (j->rows - 1) / tile + 1;
}

/* The largest tile that leaves enough work for all threads. */
static void run_rows(struct attn_job *j, uint32_t enough)
{
	uint32_t tile;

	j->k = kv_k(j->g->kv, j->p->layer, 0);
	j->v = kv_v(j->g->kv, j->p->layer, 0);
	for (tile = KERN_ATTN_SPAN; tile > KERN_ATTN_ROWS; tile /= 2) {
		set_tile(j, tile);
		if (j->tiles * j->p->n_head_kv >= enough)
			break;
	}
	set_tile(j, tile);
	kern_pool_run(j->g->pool, attend_rows, j, j->tiles * j->p->n_head_kv, 1);
}

void graph_attention(struct graph *g, const struct graph_attn *p)
{
	struct attn_job j = { .g = g, .p = p, .group = p->n_head / p->n_head_kv };
	uint32_t room, enough = ITEMS_A_THREAD * kern_pool_threads(g->pool);

	j.turn_k = piece(kv_type_k(g->kv), p->head_k);
	j.turn_v = kv_has_v(g->kv, p->layer) ? piece(kv_type_v(g->kv), p->head_v) : j.turn_k;
	j.rows = g->n_tok * j.group;
	set_tile(&j, KERN_ATTN_ROWS);
	room = room_blocks(&j);
	if (p->k != NULL) {
		kv_put(g->kv, p->layer);
		kern_pool_run(g->pool, store_tokens, &j, g->n_tok, 8);
	}
	if (j.turn_k > 0)
		kern_pool_run(g->pool, rotate_queries, &j, g->n_tok, 1);
	kv_walk(g->kv, p->layer, p->window);
	if (kv_on_disk(g->kv) || (j.tiles * p->n_head_kv < enough && room > 1 && end_block(&j) - first_block(&j) > 1))
		run_blocks(&j, room);
	else
		run_rows(&j, enough);
	if (p->k != NULL)
		kv_done(g->kv, p->layer);
	if (j.turn_v > 0)
		kern_pool_run(g->pool, rotate_back, &j, g->n_tok, 1);
}
