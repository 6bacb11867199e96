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

/* ---- open ---------------------------------------------------------------------------------------- */

static int fault(char *err, size_t errlen, int rc, const char *what)
{
	snprintf(err, errlen, "%s", what);
	return rc;
}

static int open_kv_and_graph(struct session *s, struct session_make *k, char *err, size_t errlen)
{
	int rc = kv_new(&s->kv, &k->kv, err, errlen);

	if (rc != 0)
		return rc;
	rc = graph_new(&s->g, &k->graph, s->isa, s->pool, s->kv);
	if (rc != 0)
		snprintf(err, errlen, "no memory for batches of %u tokens", s->n_batch);
	return rc;
}

static int open_mark(struct session *s, const struct session_params *p, char *err, size_t errlen)
{
	size_t bytes;

	if (!p->marks || !kv_has_state(s->kv))
		return 0;
	kv_states(s->kv, &bytes);
	s->mark_states = malloc(bytes);
	return s->mark_states != NULL ? 0 : fault(err, errlen, -ENOMEM, "out of memory");
}

static int open_buffers(struct session *s, char *err, size_t errlen)
{
	s->logit_rows = s->n_batch < s->logit_rows ? s->n_batch : s->logit_rows;
	s->logits = calloc((size_t)s->logit_rows * s->m->dims.n_vocab, sizeof(*s->logits));
	s->normed = calloc((size_t)s->logit_rows * s->m->dims.n_embd, sizeof(*s->normed));
	s->tokens = calloc(s->n_ctx, sizeof(*s->tokens));
	if (s->logits == NULL || s->normed == NULL || s->tokens == NULL)
		return fault(err, errlen, -ENOMEM, "out of memory");
	return 0;
}

static int open_pool(struct session *s, const struct session_params *p, char *err, size_t errlen)
{
	uint32_t most;
	int rc;

	s->n_threads = p->n_threads;
	s->n_threads_batch = p->n_threads_batch != 0 ? p->n_threads_batch : p->n_threads;
	most = s->n_threads > s->n_threads_batch ? s->n_threads : s->n_threads_batch;
	rc = kern_pool_open(&s->pool, most);
	if (rc == -EINVAL)
		snprintf(err, errlen, "the number of threads must be 1 to %u", KERN_POOL_MAX);
	else if (rc != 0)
		snprintf(err, errlen, "cannot start %u threads", most);
	return rc;
}

/* Experts may be read before a router names them, while the disk has nothing else to do. */
static void spare_experts(struct session *s)
{
	uint64_t e, i;
	int p;

	for (e = 0; e < s->m->dims.n_expert; e++)
		for (i = 0; i < s->m->dims.n_layer; i++)
			for (p = 0; p < P_COUNT; p++) {
				const struct weights_tensor *w = &s->m->layers[i].t[p];

				if (model_is_expert(p) && w->data != NULL)
					stream_spare(s->stream, &(struct stream_matrix){ (const char *)w->data + e * w->slice_bytes,
						     w->row_bytes, (uint32_t)w->ne[1], true });
			}
}

static int open_parts(struct session *s, const struct session_params *p, struct session_make *k, char *err, size_t errlen)
{
	int rc;

	s->isa = kern_isa_find(p->isa);
	if (s->isa == NULL)
		return fault(err, errlen, -ENOTSUP, "this processor has no such instruction set, or the name is unknown");
	rc = session_make(k, s->m, p, err, errlen);
	if (rc != 0)
		return rc;
	s->sizes = k->sizes;
	s->n_ctx = p->n_ctx;
	s->n_batch = k->sizes.n_batch;
	s->prefill = k->prefill;
	s->logit_rows = p->n_logits != 0 ? p->n_logits : SESSION_LOGITS;
	if ((rc = open_pool(s, p, err, errlen)) != 0 || (rc = open_kv_and_graph(s, k, err, errlen)) != 0 ||
	    (rc = open_mark(s, p, err, errlen)) != 0 || (rc = open_buffers(s, err, errlen)) != 0)
		return rc;
	if (k->sizes.slots != 0) {
		rc = stream_open(&s->stream, s->m->w, &k->stream, err, errlen);
		if (rc != 0)
			return rc;
		graph_set_stream(s->g, s->stream);
		spare_experts(s);
	}
	if (p->kv_dir != NULL && p->kv_keep)
		session_resume(s);
	return 0;
}

int session_open(struct session **out, const struct model *m, const struct session_params *p,
		 char *err, size_t errlen)
{
	struct session_make *k = calloc(1, sizeof(*k));
	struct session *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	snprintf(err, errlen, "out of memory");
	if (s != NULL && k != NULL) {
		s->m = m;
		rc = open_parts(s, p, k, err, errlen);
	}
	free(k);
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
	free(s->mark_states);
	free(s);
}

void session_set_cancel(struct session *s, session_cancel_fn fn, void *arg)
{
	s->cancel = fn;
	s->cancel_arg = arg;
}

/* ---- evaluate ------------------------------------------------------------------------------------ */

void session_to_start(struct session *s)
{
	if (!kv_has_state(s->kv))
		return;
	kv_reset_state(s->kv);
	s->n_past = 0;
	s->marked = false;
}

int session_check(const struct session *s, const uint32_t *tokens, size_t n)
{
	size_t i;

	if (n > s->n_ctx - s->n_past)
		return -ENOSPC;
	for (i = 0; i < n; i++)
		if (tokens[i] >= s->m->dims.n_vocab)
			return -EINVAL;
	return 0;
}

int session_eval(struct session *s, const uint32_t *tokens, size_t n, session_logits_fn each, void *arg)
{
	struct session_listener l = { .each = each, .arg = arg };
	struct session_division d;
	float *rows = NULL;
	size_t i, part;
	int rc = session_check(s, tokens, n);

	if (rc != 0 || n == 0)
		return rc;
	s->have_logits = false;
	session_divide(&s->sizes, &s->prefill, n, &d);
	if (d.n > s->n_batch)
		rows = stream_lend(s->stream, d.slots, d.bytes);
	if (rows == NULL)
		d.n = s->n_batch;
	for (i = 0; i < n && rc == 0; i += part) {
		part = n - i < d.n ? n - i : d.n;
		s->eval.n = n;
		s->eval.done = i;
		s->eval.part = (uint32_t)part;
		rc = session_pass(s, &(struct session_tokens){ tokens + i, (uint32_t)part, rows }, i + part == n, &l);
	}
	if (rows != NULL)
		stream_whole(s->stream);
	if (rc != 0)
		session_to_start(s);
	s->have_logits = rc == 0;
	return rc;
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
		session_to_start(s);
	}
	s->n_past = kept;
	s->marked = s->marked && s->mark <= kept;
	return session_eval(s, tokens + kept, n - kept, NULL, NULL);
}

void session_reset(struct session *s)
{
	kv_reset_state(s->kv);
	s->n_past = 0;
	s->marked = false;
	s->have_logits = false;
}

const float *session_logits(const struct session *s)
{
	return s->have_logits ? s->logits + (size_t)s->last_row * s->m->dims.n_vocab : NULL;
}

double session_share_done(const struct session *s)
{
	if (s->eval.n == 0)
		return 0.0;
	return ((double)s->eval.done + (double)s->eval.part * s->eval.through) / (double)s->eval.n;
}

uint32_t session_n_past(const struct session *s)
{
	return s->n_past;
}

const uint32_t *session_tokens(const struct session *s)
{
	return s->tokens;
}

uint32_t session_n_ctx(const struct session *s)
{
	return s->n_ctx;
}

uint32_t session_n_batch(const struct session *s)
{
	return s->n_batch;
}

bool session_has_state(const struct session *s)
{
	return kv_has_state(s->kv);
}

uint32_t session_n_threads(const struct session *s)
{
	return s->n_threads;
}

const char *session_isa(const struct session *s)
{
	return s->isa->name;
}

uint64_t session_bytes(const struct session *s)
{
	return s->sizes.kv + s->sizes.graph + s->sizes.other;
}

uint64_t session_kv_bytes(const struct session *s)
{
	return kv_bytes(s->kv);
}

int session_kv_error(const struct session *s, char *err, size_t errlen)
{
	return kv_error(s->kv, err, errlen);
}

void session_kv_stats(const struct session *s, struct kv_disk_stats *out)
{
	kv_disk_stats(s->kv, out);
}

void session_stream_stats(const struct session *s, struct stream_stats *out)
{
	memset(out, 0, sizeof(*out));
	if (s->stream != NULL)
		stream_stats(s->stream, out);
}

uint64_t session_bytes_read(const struct session *s)
{
	struct stream_stats weights;
	struct kv_disk_stats cache;

	session_stream_stats(s, &weights);
	session_kv_stats(s, &cache);
	return weights.read + cache.read;
}
