/* session.c - see session.h. */
#include "engine/session_internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph.h"
#include "engine/kv.h"
#include "engine/model_internal.h"
#include "engine/stream.h"
#include "kernels/kern.h"
#include "kernels/kern_pool.h"

#define LOGIT_ROWS 16u          /* positions whose logits are computed together */
#define SLOT_BYTES ((uint64_t)STREAM_PIECE + 2 * WEIGHTS_ALIGN_MAX)
#define SLOTS_LEAST 3u
#define SLOTS 16u               /* 64 MiB: some milliseconds of a fast disk */
#define SMALL_BYTES ((uint64_t)8 << 20) /* the program, tables, vectors of f32 */

/* ---- open ---------------------------------------------------------------------------------------- */

static int fault(char *err, size_t errlen, int rc, const char *what)
{
	snprintf(err, errlen, "%s", what);
	return rc;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

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

static int open_kv(struct session *s, const struct session_params *p, char *err, size_t errlen)
{
	const struct model_dims *d = &s->m->dims;
	uint32_t n_k[MODEL_LAYERS_MAX] = { 0 }, n_v[MODEL_LAYERS_MAX] = { 0 }, i;
	size_t n_conv[MODEL_LAYERS_MAX] = { 0 }, n_state[MODEL_LAYERS_MAX] = { 0 };
	struct kv_params kp = { d->n_layer, s->n_ctx, n_k, n_v, n_conv, n_state, p->type_k, p->type_v };
	int rc;

	for (i = 0; i < d->n_layer; i++) {
		const struct model_layer *l = &s->m->layers[i];

		if (l->kind == MODEL_DELTA_NET) {
			n_conv[i] = (size_t)(d->conv_taps - 1) * d->state_dim * (2 * (size_t)d->state_k + d->state_v);
			n_state[i] = (size_t)d->state_dim * d->state_dim * d->state_v;
		} else if (l->kind == MODEL_SHORT_CONV) {
			n_conv[i] = (size_t)(d->conv_taps - 1) * d->n_embd;
		} else if (l->kv_layer == i) {
			n_k[i] = l->n_head_kv * l->head_k;
			n_v[i] = l->v_of_k ? 0 : l->n_head_kv * l->head_v;
		}
	}
	if (!kern_can_store(p->type_k) || !kern_can_store(p->type_v))
		return fault(err, errlen, -EINVAL, "the KV cache type is not supported");
	for (i = 0; i < d->n_layer; i++)
		if (!heads_fit(&s->m->layers[i], p))
			return fault(err, errlen, -EINVAL, "the KV cache types q8_0 and q4_0 need heads of a multiple of 32 values, which "
				     "this model has not");
	rc = kv_new(&s->kv, &kp);
	if (rc != 0)
		snprintf(err, errlen, "no memory for the KV cache of a context of %u tokens", s->n_ctx);
	return rc;
}

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

/* Memory besides weights and the graph's buffers. */
static uint64_t other_bytes(const struct session *s)
{
	uint64_t row = ((uint64_t)s->m->dims.n_vocab + s->m->dims.n_embd) * sizeof(float);

	return kv_bytes(s->kv) + SMALL_BYTES + LOGIT_ROWS * row + (uint64_t)s->n_ctx * sizeof(uint32_t);
}

uint64_t session_bytes(const struct session *s)
{
	return other_bytes(s) + graph_bytes(s->g);
}

/* The more tokens a pass takes, the fewer passes a prompt needs, and each reads the weights. */
static void grow_batch(struct session *s, struct graph_sizes *z, const struct session_params *p)
{
	uint32_t most = p->n_batch_most < s->n_ctx ? p->n_batch_most : s->n_ctx, n;
	uint64_t rest = other_bytes(s) + SLOTS_LEAST * SLOT_BYTES;

	while (p->budget > rest && z->n_batch < most) {
		n = z->n_batch;
		z->n_batch = 2 * n < most ? 2 * n : most;
		if (graph_need(z) > p->budget / 4 || graph_need(z) > p->budget - rest) {
			z->n_batch = n;
			break;
		}
	}
	s->n_batch = z->n_batch;
}

static int open_graph(struct session *s, const struct session_params *p, char *err, size_t errlen)
{
	const struct model *m = s->m;
	struct graph_sizes sizes = { .n_batch = s->n_batch };
	uint32_t i;
	int rc;

	memcpy(sizes.width, m->width, sizeof(sizes.width));
	for (i = 0; i < GRAPH_ROPES; i++)
		sizes.n_rot = larger(sizes.n_rot, m->rope[i].angles.n_rot);
	set_groups(m, &sizes);
	grow_batch(s, &sizes, p);
	rc = graph_new(&s->g, &sizes, s->isa, s->pool, s->kv);
	if (rc != 0)
		snprintf(err, errlen, "no memory for batches of %u tokens", s->n_batch);
	return rc;
}

static int open_buffers(struct session *s, char *err, size_t errlen)
{
	s->logit_rows = s->n_batch < LOGIT_ROWS ? s->n_batch : LOGIT_ROWS;
	s->logits = calloc((size_t)s->logit_rows * s->m->dims.n_vocab, sizeof(*s->logits));
	s->normed = calloc((size_t)s->logit_rows * s->m->dims.n_embd, sizeof(*s->normed));
	s->tokens = calloc(s->n_ctx, sizeof(*s->tokens));
	if (s->logits == NULL || s->normed == NULL || s->tokens == NULL)
		return fault(err, errlen, -ENOMEM, "out of memory");
	return 0;
}

/* ---- a budget ------------------------------------------------------------------------------------ */

/* What is in memory anyhow needs no room of ours: so much of those bytes is not, if it is as with all of the model. */
static uint64_t missing_of(const struct model *m, uint64_t bytes)
{
	uint64_t all = weights_bytes(m->w), there = weights_resident_bytes(m->w);

	return there < all ? (uint64_t)((double)bytes * (1.0 - (double)there / (double)all)) : 0;
}

/* The stream gets what the session itself leaves of the budget. */
static int open_stream(struct session *s, const struct session_params *p, char *err, size_t errlen)
{
	uint64_t own = session_bytes(s);
	struct stream_params sp = { .dense = (uint64_t)model_bytes_read(s->m, 0.0), .plain = p->plain, .buffered = p->buffered,
				    .apart = p->apart, .piece = p->piece, .slots = p->slots != 0 ? p->slots : SLOTS };
	int rc;

	if (p->budget == 0)
		return 0;
	if (p->budget < own + SLOTS_LEAST * SLOT_BYTES) {
		snprintf(err, errlen, "a budget of %.1f MiB is too small: this model and context need %.1f MiB at least",
			 (double)p->budget / 1048576.0, (double)(own + SLOTS_LEAST * SLOT_BYTES) / 1048576.0);
		return -EINVAL;
	}
	while (sp.slots > SLOTS_LEAST && own + sp.slots * SLOT_BYTES > p->budget)
		sp.slots--;
	sp.hold = p->budget - own - sp.slots * SLOT_BYTES;
	if (!p->apart)
		sp.dense = missing_of(s->m, sp.dense);
	sp.reserve = s->m->dims.n_expert > 0 ? sp.slots / 2 : 0;
	rc = stream_open(&s->stream, s->m->w, &sp, err, errlen);
	if (rc == 0)
		graph_set_stream(s->g, s->stream);
	return rc;
}

static int open_parts(struct session *s, const struct session_params *p, char *err, size_t errlen)
{
	int rc;

	s->isa = kern_isa_find(p->isa);
	if (s->isa == NULL)
		return fault(err, errlen, -ENOTSUP, "this processor has no such instruction set, or the name is unknown");
	if (p->n_ctx == 0 || p->n_batch == 0)
		return fault(err, errlen, -EINVAL, "the context and the batch must be at least 1");
	s->n_ctx = p->n_ctx;
	s->n_batch = p->n_batch < p->n_ctx ? p->n_batch : p->n_ctx;
	s->n_threads = p->n_threads;
	s->n_threads_batch = p->n_threads_batch != 0 ? p->n_threads_batch : p->n_threads;
	rc = kern_pool_open(&s->pool, larger(s->n_threads, s->n_threads_batch));
	if (rc == -EINVAL)
		snprintf(err, errlen, "the number of threads must be 1 to %u", KERN_POOL_MAX);
	else if (rc != 0)
		snprintf(err, errlen, "cannot start %u threads", larger(s->n_threads, s->n_threads_batch));
	if (rc != 0 || (rc = open_kv(s, p, err, errlen)) != 0 || (rc = open_graph(s, p, err, errlen)) != 0)
		return rc;
	if ((rc = open_buffers(s, err, errlen)) != 0)
		return rc;
	return open_stream(s, p, err, errlen);
}

int session_open(struct session **out, const struct model *m, const struct session_params *p,
		 char *err, size_t errlen)
{
	struct session *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return fault(err, errlen, -ENOMEM, "out of memory");
	s->m = m;
	rc = open_parts(s, p, err, errlen);
	if (rc != 0) {
		session_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void session_close(struct session *s)
{
	if (s == NULL)
		return;
	kern_pool_close(s->pool);
	graph_free(s->g);
	stream_close(s->stream);
	kv_free(s->kv);
	free(s->logits);
	free(s->normed);
	free(s->tokens);
	free(s);
}

void session_set_cancel(struct session *s, session_cancel_fn fn, void *arg)
{
	s->cancel = fn;
	s->cancel_arg = arg;
}

/* ---- evaluate ------------------------------------------------------------------------------------ */

/* kern_pool_fn: scale and cap logits i0 .. i1 - 1, counted through all rows. */
static void finish_logits(void *arg, uint32_t i0, uint32_t i1)
{
	const struct session *s = arg;
	const struct model_dims *d = &s->m->dims;
	uint32_t i;

	for (i = i0; i < i1 && d->logit_scale != 0.0f; i++)
		s->logits[i] *= d->logit_scale;
	for (i = i0; i < i1 && d->logit_softcap != 0.0f; i++)
		s->logits[i] = d->logit_softcap * tanhf(s->logits[i] / d->logit_softcap);
}

/* Logits of batch rows t0 .. t0 + n - 1, n <= logit_rows. */
static void compute_logits(struct session *s, uint32_t t0, uint32_t n)
{
	const struct model *m = s->m;
	const struct model_dims *d = &m->dims;
	struct kern_norm norm = {
		.y = s->normed, .x = graph_buf(s->g, GRAPH_X) + (size_t)t0 * d->n_embd, .w = m->output_norm.data,
		.b = m->output_norm_b.data, .n = d->n_embd, .eps = d->norm_eps, .kind = d->norm,
	};

	s->isa->norm(&norm, 0, n);
	graph_linear_rows(s->g, s->normed, n, &(struct graph_linear){ s->logits, &m->output, &m->output_b }, 1);
	if (d->logit_scale != 0.0f || d->logit_softcap != 0.0f)
		kern_pool_run(s->pool, finish_logits, s, n * d->n_vocab, 4096);
}

static int give_logits(struct session *s, uint32_t n_tok, session_logits_fn each, void *arg)
{
	uint32_t t, i, n;
	int rc;

	for (t = 0; t < n_tok; t += n) {
		n = n_tok - t < s->logit_rows ? n_tok - t : s->logit_rows;
		compute_logits(s, t, n);
		for (i = 0; i < n; i++) {
			rc = each(arg, s->n_past + t + i, s->logits + (size_t)i * s->m->dims.n_vocab);
			if (rc != 0)
				return rc;
		}
		s->last_row = n - 1;
	}
	return 0;
}

/* Embedding and angles: what every layer needs. */
static void begin_batch(struct session *s, const uint32_t *tokens, uint32_t n)
{
	const struct model *m = s->m;
	uint32_t i;

	graph_begin(s->g, n, s->n_past);
	graph_embed(s->g, graph_buf(s->g, GRAPH_X), &m->tok_embd, tokens);
	if (m->dims.embd_scale != 0.0f)
		graph_scale(s->g, graph_buf(s->g, GRAPH_X), m->dims.n_embd, m->dims.embd_scale);
	for (i = 0; i < GRAPH_ROPES; i++) {
		struct kern_rope_angles a = m->rope[i].angles;

		a.factors = session_rope_longer(s, i) ? m->rope[i].factors_long.data : m->rope[i].factors.data;
		if (a.n_rot > 0)
			graph_rope_angles(s->g, i, &a);
	}
	if (m->arch->begin != NULL)
		m->arch->begin(m, s->g, tokens);
}

/* One batch of n <= n_batch tokens; with last its last token's logits stay. */
static int eval_batch(struct session *s, const uint32_t *tokens, uint32_t n, bool last, session_logits_fn each,
		      void *arg)
{
	const struct model *m = s->m;
	uint32_t i;
	int rc = 0;

	kern_pool_limit(s->pool, n > 1 ? s->n_threads_batch : s->n_threads);
	if (s->stream != NULL)
		stream_begin(s->stream, last || each != NULL);
	begin_batch(s, tokens, n);
	for (i = 0; i < m->dims.n_layer; i++) {
		if (s->cancel != NULL && s->cancel(s->cancel_arg))
			return -ECANCELED;
		m->arch->layer(m, s->g, i);
	}
	if (s->stream != NULL)
		stream_tail(s->stream);
	if (each != NULL) {
		rc = give_logits(s, n, each, arg);
	} else if (last) {
		compute_logits(s, n - 1, 1);
		s->last_row = 0;
	}
	if (rc == 0 && s->stream != NULL)
		rc = stream_error(s->stream);
	if (rc == 0)
		rc = weights_check(m->w);
	if (rc != 0)
		return rc;
	memcpy(s->tokens + s->n_past, tokens, n * sizeof(*tokens));
	s->n_past += n;
	return 0;
}

/* A state has no way back but to the start. */
static void to_start(struct session *s)
{
	if (!kv_has_state(s->kv))
		return;
	kv_reset_state(s->kv);
	s->n_past = 0;
}

int session_eval(struct session *s, const uint32_t *tokens, size_t n, session_logits_fn each, void *arg)
{
	size_t i, part;
	int rc;

	if (n > s->n_ctx - s->n_past)
		return -ENOSPC;
	for (i = 0; i < n; i++)
		if (tokens[i] >= s->m->dims.n_vocab)
			return -EINVAL;
	if (n == 0)
		return 0;
	s->have_logits = false;
	for (i = 0; i < n; i += part) {
		part = n - i < s->n_batch ? n - i : s->n_batch;
		rc = eval_batch(s, tokens + i, (uint32_t)part, i + part == n, each, arg);
		if (rc != 0) {
			to_start(s);
			return rc;
		}
	}
	s->have_logits = true;
	return 0;
}

uint32_t session_kept(const struct session *s, const uint32_t *tokens, size_t n)
{
	uint32_t same = 0;

	while (same < s->n_past && same < n && s->tokens[same] == tokens[same])
		same++;
	if (n > 0 && same == n && (same != s->n_past || !s->have_logits))
		same--;                 /* the last token again, for its logits */
	return same != s->n_past && kv_has_state(s->kv) ? 0 : same;
}

int session_sync(struct session *s, const uint32_t *tokens, size_t n)
{
	uint32_t kept = session_kept(s, tokens, n);

	if (n == 0)
		return -EINVAL;
	if (kept != s->n_past) {
		s->have_logits = false;
		to_start(s);
	}
	s->n_past = kept;
	return session_eval(s, tokens + kept, n - kept, NULL, NULL);
}

void session_reset(struct session *s)
{
	kv_reset_state(s->kv);
	s->n_past = 0;
	s->have_logits = false;
}

const float *session_logits(const struct session *s)
{
	return s->have_logits ? s->logits + (size_t)s->last_row * s->m->dims.n_vocab : NULL;
}

uint32_t session_n_past(const struct session *s)
{
	return s->n_past;
}

uint32_t session_n_ctx(const struct session *s)
{
	return s->n_ctx;
}

uint32_t session_n_threads(const struct session *s)
{
	return s->n_threads;
}

const char *session_isa(const struct session *s)
{
	return s->isa->name;
}

uint64_t session_kv_bytes(const struct session *s)
{
	return kv_bytes(s->kv);
}

void session_stream_stats(const struct session *s, struct stream_stats *out)
{
	stream_stats(s->stream, out);
}
