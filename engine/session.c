/* session.c - see session.h. */
#include "engine/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph.h"
#include "engine/kv.h"
#include "engine/model_internal.h"
#include "kernels/kern.h"
#include "kernels/kern_pool.h"

#define LOGIT_ROWS 16u          /* positions whose logits are computed together */

struct session {
	const struct model *m;
	const struct kern_isa *isa;
	uint32_t n_ctx, n_batch;
	struct kern_pool *pool;
	struct kv *kv;
	struct graph *g;
	float *logits;                  /* [logit_rows][n_vocab] */
	float *normed;                  /* [logit_rows][n_embd] */
	uint32_t logit_rows;
	uint32_t last_row;              /* of logits, when have_logits */
	bool have_logits;
	uint32_t *tokens;               /* [n_ctx], the first n_past are set */
	uint32_t n_past;
	session_cancel_fn cancel;
	void *cancel_arg;
};

/* ---- open ---------------------------------------------------------------------------------------- */

static int fault(char *err, size_t errlen, int rc, const char *what)
{
	snprintf(err, errlen, "%s", what);
	return rc;
}

static int open_kv(struct session *s, const struct session_params *p, char *err, size_t errlen)
{
	const struct model *m = s->m;
	uint32_t n_k[MODEL_LAYERS_MAX], n_v[MODEL_LAYERS_MAX], i;
	struct kv_params kp = { m->dims.n_layer, s->n_ctx, n_k, n_v, p->type_k, p->type_v };
	int rc;

	for (i = 0; i < m->dims.n_layer; i++) {
		n_k[i] = m->layers[i].n_head_kv * m->dims.head_k;
		n_v[i] = m->layers[i].n_head_kv * m->dims.head_v;
	}
	rc = kv_new(&s->kv, &kp);
	if (rc == -EINVAL)
		return fault(err, errlen, rc, "the KV cache type is not supported");
	if (rc != 0)
		snprintf(err, errlen, "no memory for the KV cache of a context of %u tokens", s->n_ctx);
	return rc;
}

static int open_graph(struct session *s, char *err, size_t errlen)
{
	const struct model_dims *d = &s->m->dims;
	struct graph_sizes sizes = {
		.n_batch = s->n_batch, .n_embd = d->n_embd, .n_q = d->max_head * d->head_k,
		.n_k = d->max_head_kv * d->head_k, .n_v = d->max_head_kv * d->head_v, .n_att = d->max_head * d->head_v,
		.n_ff = d->max_ff, .n_rot = d->n_rot,
	};
	int rc = graph_new(&s->g, &sizes, s->isa, s->pool, s->kv);

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
	rc = kern_pool_open(&s->pool, p->n_threads);
	if (rc == -EINVAL)
		snprintf(err, errlen, "the number of threads must be 1 to %u", KERN_POOL_MAX);
	else if (rc != 0)
		snprintf(err, errlen, "cannot start %u threads", p->n_threads);
	if (rc != 0 || (rc = open_kv(s, p, err, errlen)) != 0 || (rc = open_graph(s, err, errlen)) != 0)
		return rc;
	return open_buffers(s, err, errlen);
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

/* Logits of batch rows t0 .. t0 + n - 1, n <= logit_rows. */
static void compute_logits(struct session *s, uint32_t t0, uint32_t n)
{
	const struct model *m = s->m;
	struct kern_norm norm = {
		.y = s->normed, .x = graph_bufs(s->g)->x + (size_t)t0 * m->dims.n_embd, .w = m->output_norm.data,
		.n = m->dims.n_embd, .eps = m->dims.norm_eps,
	};

	s->isa->rms_norm(&norm, 0, n);
	graph_linear_rows(s->g, s->normed, n, &(struct graph_linear){ s->logits, &m->output, NULL }, 1);
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

/* One batch of n <= n_batch tokens; with last its last token's logits stay. */
static int eval_batch(struct session *s, const uint32_t *tokens, uint32_t n, bool last, session_logits_fn each,
		      void *arg)
{
	const struct model *m = s->m;
	uint32_t i;
	int rc = 0;

	graph_begin(s->g, n, s->n_past);
	graph_embed(s->g, graph_bufs(s->g)->x, &m->tok_embd, tokens);
	m->arch->begin(m, s->g);
	for (i = 0; i < m->dims.n_layer; i++) {
		if (s->cancel != NULL && s->cancel(s->cancel_arg))
			return -ECANCELED;
		m->arch->layer(m, s->g, i);
	}
	if (each != NULL) {
		rc = give_logits(s, n, each, arg);
	} else if (last) {
		compute_logits(s, n - 1, 1);
		s->last_row = 0;
	}
	if (rc != 0)
		return rc;
	memcpy(s->tokens + s->n_past, tokens, n * sizeof(*tokens));
	s->n_past += n;
	return 0;
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
		if (rc != 0)
			return rc;
	}
	s->have_logits = true;
	return 0;
}

int session_sync(struct session *s, const uint32_t *tokens, size_t n)
{
	uint32_t same = 0;

	if (n == 0)
		return -EINVAL;
	while (same < s->n_past && same < n && s->tokens[same] == tokens[same])
		same++;
	if (same == n && (same != s->n_past || !s->have_logits))
		same--;                 /* the last token again, for its logits */
	if (same != s->n_past)
		s->have_logits = false;
	s->n_past = same;
	return session_eval(s, tokens + same, n - same, NULL, NULL);
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
	return kern_pool_threads(s->pool);
}

const char *session_isa(const struct session *s)
{
	return s->isa->name;
}

uint64_t session_kv_bytes(const struct session *s)
{
	return kv_bytes(s->kv);
}
