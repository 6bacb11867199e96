/* session_size.c - what a session is made of, and how a budget is divided over it.
 *
 * The KV cache, the buffers of a batch and the logits come first, then a ring of pieces of weights that are on their way;
 * what is left holds weights.
 */
#include "engine/session_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/weights.h"
#include "kernels/kern.h"

#define SLOTS_LEAST 3u
#define SLOTS 16u
#define SLOTS_MOST 4096u
#define RING_PART 32u           /* so small a part of the budget is the ring, where pieces can be made so small */
#define PIECE_LEAST ((uint64_t)256 << 10)
#define PIECE_ROWS 32u          /* that the kernels take together */
#define BATCH_LEAST 64u         /* tokens that take as long to compute as a fast disk's weights to read, with a processor */
#define GRAPH_PART 32u          /* so small a part of the budget are the buffers of a larger batch */
#define SMALL_BYTES ((uint64_t)4 << 20) /* the program, tables, vectors of f32, the kernel's tables of pages */

static int fault(char *err, size_t errlen, int rc, const char *what)
{
	snprintf(err, errlen, "%s", what);
	return rc;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* ---- the cache ----------------------------------------------------------------------------------- */

/* A type with blocks needs heads that are whole blocks; values that are the first part of their keys, whole pieces of what
 * graph_attn.c rotates. */
static bool heads_fit(const struct model_layer *l, const struct session_params *p)
{
	uint32_t part = l->head_k & -l->head_k;

	if (l->kind != MODEL_ATTENTION)
		return true;
	if (kern_stores_blocks(p->type_k) && (l->head_k % 32 != 0 || (l->v_of_k && l->head_v % part != 0)))
		return false;
	return !kern_stores_blocks(p->type_v) || l->v_of_k || l->head_v % 32 == 0;
}

static void set_rows(struct session_make *k, const struct model *m)
{
	const struct model_dims *d = &m->dims;
	uint32_t i;

	for (i = 0; i < d->n_layer; i++) {
		const struct model_layer *l = &m->layers[i];

		if (l->kind == MODEL_DELTA_NET) {
			k->n_conv[i] = (size_t)(d->conv_taps - 1) * d->state_dim * (2 * (size_t)d->state_k + d->state_v);
			k->n_state[i] = (size_t)d->state_dim * d->state_dim * d->state_v;
		} else if (l->kind == MODEL_SHORT_CONV) {
			k->n_conv[i] = (size_t)(d->conv_taps - 1) * d->n_embd;
		} else if (l->kv_layer == i) {
			k->n_k[i] = l->n_head_kv * l->head_k;
			k->n_v[i] = l->v_of_k ? 0 : l->n_head_kv * l->head_v;
		}
	}
}

static int make_kv(struct session_make *k, const struct model *m, const struct session_params *p, char *err, size_t errlen)
{
	uint32_t i;

	if (!kern_can_store(p->type_k) || !kern_can_store(p->type_v))
		return fault(err, errlen, -EINVAL, "the KV cache type is not supported");
	for (i = 0; i < m->dims.n_layer; i++)
		if (!heads_fit(&m->layers[i], p))
			return fault(err, errlen, -EINVAL, "the KV cache types q8_0 and q4_0 need heads of a multiple of 32 values, which "
				     "this model has not");
	set_rows(k, m);
	k->kv = (struct kv_params){ m->dims.n_layer, p->n_ctx, k->n_k, k->n_v, k->n_conv, k->n_state, p->type_k, p->type_v, NULL };
	if (p->kv_dir != NULL) {
		k->disk = (struct kv_disk_params){ .dir = p->kv_dir, .keep = p->kv_keep, .ram = p->kv_ram, .block = p->kv_block,
						   .plain = p->plain };
		k->kv.disk = &k->disk;
	}
	return 0;
}

/* What bits of a timeline depend on besides tokens, KV types and how the cache is divided. */
static uint64_t timeline_id(const struct model *m, const struct session_params *p)
{
	const struct kern_isa *isa = kern_isa_find(p->isa);
	struct { uint64_t model, ropes_longer; char isa[16]; } of = { .model = weights_fingerprint(m->w) };
	uint32_t i;

	for (i = 0; i < GRAPH_ROPES; i++)
		of.ropes_longer |= (uint64_t)session_rope_longer(m, p->n_ctx, i) << i;
	snprintf(of.isa, sizeof(of.isa), "%s", isa != NULL ? isa->name : "");
	return XXH3_64bits(&of, sizeof(of));
}

/* ---- a batch ------------------------------------------------------------------------------------- */

/* Grouped matmuls: of the chosen experts, and of heads. */
static void set_groups(const struct model *m, struct graph_sizes *z)
{
	const struct model_dims *d = &m->dims;

	if (d->n_expert > 0) {
		z->n_expert = d->n_expert;
		z->n_expert_used = z->group_rows = d->n_expert_used;
		z->group_in = z->group_out = d->n_embd;
		z->group_mid = d->n_ff_exp;
	}
	if (d->latent) {
		z->group_rows = larger(z->group_rows, model_most_heads(m));
		z->group_in = larger(z->group_in, larger(d->head_k, d->rank_kv));
	}
}

/* Memory besides weights, the cache and the graph's buffers.  The files' headers are mapped, and stay. */
static uint64_t other_bytes(const struct session_make *k, const struct model *m, const struct session_params *p)
{
	uint64_t row = ((uint64_t)m->dims.n_vocab + m->dims.n_embd) * sizeof(float), states = 0;
	uint32_t i, n_logits = p->n_logits != 0 ? p->n_logits : SESSION_LOGITS;

	for (i = 0; i < m->dims.n_layer && p->marks; i++)
		states += (k->n_conv[i] + k->n_state[i]) * sizeof(float) + 2 * 63;
	return SMALL_BYTES + weights_header_bytes(m->w) + p->others + states + n_logits * row + (uint64_t)p->n_ctx * sizeof(uint32_t);
}

/* ---- the ring ------------------------------------------------------------------------------------ */

static size_t longest_row(const struct model *m)
{
	size_t most = m->output.row_bytes;
	uint32_t i;
	int k;

	for (i = 0; i < m->dims.n_layer; i++)
		for (k = 0; k < P_COUNT; k++)
			if (m->layers[i].t[k].data != NULL && m->layers[i].t[k].row_bytes > most)
				most = m->layers[i].t[k].row_bytes;
	return most;
}

/* What pieces are read at a time: larger ones where the budget is large, since they cost a disk and the threads less. */
static void set_piece(struct session_make *k, const struct model *m, const struct session_params *p)
{
	uint64_t row = longest_row(m), align = weights_align(m->w), n = STREAM_PIECE;

	while (n > PIECE_LEAST && (p->budget == 0 || n * SLOTS > p->budget / RING_PART))
		n /= 2;
	if (n < PIECE_ROWS * row)
		n = PIECE_ROWS * row;
	if (p->piece != 0)
		n = p->piece;
	k->stream.piece = n < STREAM_PIECE ? n : STREAM_PIECE;
	k->stream.slot = k->stream.piece > row ? k->stream.piece : row;
	k->stream.slot = ((k->stream.slot + align - 1) / align + 2) * align;
	k->sizes.slot = k->stream.slot;
}

/* ---- a batch's size ------------------------------------------------------------------------------ */

/* Of batches of n tokens; false: too much to count. */
static bool measure(struct session_make *k, uint32_t n)
{
	k->graph.n_batch = k->disk.n_batch = k->sizes.n_batch = n;
	k->sizes.graph = graph_need(&k->graph);
	return k->sizes.graph != SIZE_MAX && kv_need(&k->kv, &k->sizes.kv) == 0;
}

/* The more tokens a pass takes, the fewer passes a prompt needs, and each reads the weights; the more memory its buffers
 * take, the fewer weights stay. */
static void grow_batch(struct session_make *k, const struct session_params *p)
{
	uint32_t most = p->n_batch_most < p->n_ctx ? p->n_batch_most : p->n_ctx, n = k->sizes.n_batch;
	uint64_t rest = k->sizes.other + SLOTS_LEAST * k->stream.slot;

	while (p->budget > rest && n < most) {
		uint32_t next = 2 * n < most ? 2 * n : most;

		if (!measure(k, next) || k->sizes.graph > p->budget / GRAPH_PART || k->sizes.graph + k->sizes.kv > p->budget - rest)
			break;
		n = next;
	}
	measure(k, n);
}

/* With a budget begin small. */
static uint32_t first_batch(const struct session_params *p)
{
	uint32_t n = p->n_batch < p->n_ctx ? p->n_batch : p->n_ctx;

	return p->budget != 0 && n > BATCH_LEAST ? BATCH_LEAST : n;
}

static int make_graph(struct session_make *k, const struct model *m, const struct session_params *p, char *err, size_t errlen)
{
	struct graph_sizes *z = &k->graph;
	uint32_t i;

	memcpy(z->width, m->width, sizeof(z->width));
	for (i = 0; i < GRAPH_ROPES; i++)
		z->n_rot = larger(z->n_rot, m->rope[i].angles.n_rot);
	for (i = 0; i < m->dims.n_layer && p->kv_dir != NULL; i++)
		z->attn_row = larger(z->attn_row, m->layers[i].n_head * (m->layers[i].head_v + 4));
	set_groups(m, z);
	if (!measure(k, first_batch(p))) {
		snprintf(err, errlen, "no memory for a KV cache of %u tokens and batches of %u", p->n_ctx, first_batch(p));
		return -EOVERFLOW;
	}
	grow_batch(k, p);
	return 0;
}

/* ---- a budget ------------------------------------------------------------------------------------ */

/* What is in memory anyhow needs no room of ours: so much of those bytes is not, if it is as with all of the model. */
static uint64_t missing_of(const struct model *m, uint64_t bytes)
{
	uint64_t all = weights_bytes(m->w), there = weights_resident_bytes(m->w);

	return there < all ? (uint64_t)((double)bytes * (1.0 - (double)there / (double)all)) : 0;
}

static double layer_bytes(const struct model *m)
{
	return model_layers_bytes(m) / m->dims.n_layer;
}

/* As many pieces on their way as were asked for, but no more than what the session itself leaves. */
static void make_ring(struct session_make *k, const struct model *m, const struct session_params *p)
{
	double ahead = p->layers_ahead * layer_bytes(m) / (double)k->stream.piece;
	uint64_t own = k->sizes.kv + k->sizes.graph + k->sizes.other;
	uint32_t n = SLOTS;

	if (p->slots != 0)
		n = p->slots;
	else if (p->layers_ahead != 0)
		n = ahead + 1.0 < SLOTS_MOST ? (uint32_t)ahead + 1 : SLOTS_MOST;
	n = larger(n, SLOTS_LEAST);
	while (n > SLOTS_LEAST && p->budget != 0 && own + n * k->stream.slot > p->budget)
		n--;
	k->sizes.slots = n;
	k->sizes.ring = n * k->stream.slot;
}

static void make_stream(struct session_make *k, const struct model *m, const struct session_params *p)
{
	struct stream_params *sp = &k->stream;

	sp->hold = k->sizes.hold;
	sp->dense = (uint64_t)model_bytes_read(m, 0.0);
	sp->plain = p->plain;
	sp->buffered = p->buffered;
	sp->apart = p->apart;
	sp->slots = k->sizes.slots;
	session_prefill_make(&k->prefill, m, sp->piece, p->order);
	if (!p->apart) {
		sp->dense = missing_of(m, sp->dense);
		k->prefill.pass_bytes = (double)missing_of(m, (uint64_t)k->prefill.pass_bytes);
	}
	sp->reserve = m->dims.n_expert > 0 ? sp->slots / 2 : 0;
}

static void measure_prompt(struct session_make *k, const struct session_params *p)
{
	struct session_division d;

	session_divide(&k->sizes, &k->prefill, p->n_ctx, &d);
	k->sizes.prompt_passes = (p->n_ctx + d.n - 1) / d.n;
	k->sizes.prompt_read = d.read;
}

static int divide(struct session_make *k, const struct model *m, const struct session_params *p, char *err, size_t errlen)
{
	uint64_t own = k->sizes.kv + k->sizes.graph + k->sizes.other;
	double most = p->layers_most * layer_bytes(m);

	k->sizes.least = own + SLOTS_LEAST * k->stream.slot;
	if (p->budget == 0 && p->layers_most == 0)
		return 0;
	if (p->budget != 0 && p->budget < k->sizes.least) {
		snprintf(err, errlen, "a budget of %.1f MiB is too small: this model and context need %.1f MiB at least",
			 (double)p->budget / 1048576.0, (double)k->sizes.least / 1048576.0);
		return -EINVAL;
	}
	make_ring(k, m, p);
	k->sizes.hold = p->budget != 0 ? p->budget - own - k->sizes.ring : UINT64_MAX;
	if (p->layers_most != 0 && (double)k->sizes.hold > most)
		k->sizes.hold = (uint64_t)most;
	make_stream(k, m, p);
	measure_prompt(k, p);
	return 0;
}

int session_make(struct session_make *out, const struct model *m, const struct session_params *p, char *err, size_t errlen)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if (p->n_ctx == 0 || p->n_batch == 0)
		return fault(err, errlen, -EINVAL, "the context and the batch must be at least 1");
	if (p->kv_block % KERN_ATTN_BLOCK != 0)
		return fault(err, errlen, -EINVAL, "a KV cache on disk is read by multiples of 256 positions");
	rc = make_kv(out, m, p, err, errlen);
	out->sizes.other = other_bytes(out, m, p);
	if (rc == 0 && p->kv_dir != NULL && p->kv_keep)
		out->disk.id = timeline_id(m, p);
	set_piece(out, m, p);
	if (rc == 0)
		rc = make_graph(out, m, p, err, errlen);
	return rc == 0 ? divide(out, m, p, err, errlen) : rc;
}

int session_sizes(const struct model *m, const struct session_params *p, struct session_sizes *out, char *err, size_t errlen)
{
	struct session_make *k = calloc(1, sizeof(*k));
	int rc;

	if (k == NULL)
		return fault(err, errlen, -ENOMEM, "out of memory");
	rc = session_make(k, m, p, err, errlen);
	*out = k->sizes;
	free(k);
	return rc;
}
