/* session_pass.c - tokens on their way through the layers.
 *
 * A pass takes one batch through all layers, or each layer with batch after batch: then weights that are streamed are read
 * once for all of them.  In between the batches' residual streams wait in memory that is lent of what holds weights, and the
 * pieces of a layer in slots of the same memory.  Which of the two reads fewer bytes can be said before: a pass reads what is
 * not held, and what was lent is read again later.
 */
#include "engine/session_internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/graph.h"
#include "engine/kv.h"
#include "engine/stream.h"
#include "kernels/kern.h"
#include "kernels/kern_pool.h"

#define LENT_MORE 4096u         /* bytes that alignment may cost */

/* ---- logits -------------------------------------------------------------------------------------- */

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

/* Of a batch, whose first token is at position pos0. */
static int give_logits(struct session *s, uint32_t pos0, uint32_t n_tok, struct session_listener *l)
{
	uint32_t t, i, n;
	int rc;

	for (t = l->first; t < n_tok; t += n) {
		n = n_tok - t < s->logit_rows ? n_tok - t : s->logit_rows;
		compute_logits(s, t, n);
		for (i = 0; i < n; i++) {
			s->last_row = i;
			rc = l->each(l->arg, pos0 + t + i, s->logits + (size_t)i * s->m->dims.n_vocab);
			if (rc > 0)
				l->enough = t + i + 1;
			if (rc != 0)
				return rc < 0 ? rc : 0;
		}
	}
	return 0;
}

/* ---- between layers ------------------------------------------------------------------------------ */

/* What lives from one layer to the next. */
static const enum graph_buf waiting[] = { GRAPH_X, GRAPH_LAYERS };
#define N_WAITING (sizeof(waiting) / sizeof(waiting[0]))

static size_t row_floats(const struct model *m)
{
	size_t i, n = 0;

	for (i = 0; i < N_WAITING; i++)
		n += m->width[waiting[i]];
	return n;
}

/* The rows of tokens t0 .. t0 + n - 1 to where they wait, or back. */
static void move_rows(const struct session *s, const struct session_tokens *p, uint32_t t0, uint32_t n, bool back)
{
	float *rows = p->rows;
	size_t i;

	for (i = 0; i < N_WAITING; i++) {
		size_t width = s->m->width[waiting[i]];
		float *buf = graph_buf(s->g, waiting[i]), *at = rows + t0 * width;

		memcpy(back ? buf : at, back ? at : buf, n * width * sizeof(*buf));
		rows += p->n * width;
	}
}

/* ---- a layer ------------------------------------------------------------------------------------- */

static void set_angles(struct session *s)
{
	const struct model *m = s->m;
	uint32_t i;

	for (i = 0; i < GRAPH_ROPES; i++) {
		struct kern_rope_angles a = m->rope[i].angles;

		a.factors = session_rope_longer(m, s->n_ctx, i) ? m->rope[i].factors_long.data : m->rope[i].factors.data;
		if (a.n_rot > 0)
			graph_rope_angles(s->g, i, &a);
	}
}

/* Weights of what follows are asked for by one batch after the other. */
static void next_batch(struct session *s, uint32_t t0, bool last)
{
	if (t0 == 0)
		stream_layer(s->stream);
	else
		stream_again(s->stream, last);
}

/* Embedding, and what an architecture needs besides. */
static void embed(struct session *s, const uint32_t *ids)
{
	const struct model *m = s->m;
	float *x = graph_buf(s->g, GRAPH_X);

	graph_embed(s->g, x, &m->tok_embd, ids);
	if (m->dims.embd_scale != 0.0f)
		graph_scale(s->g, x, m->dims.n_embd, m->dims.embd_scale);
	if (m->arch->begin != NULL)
		m->arch->begin(m, s->g, ids);
}

static void embed_all(struct session *s, const struct session_tokens *p)
{
	uint32_t t, n;

	for (t = 0; t < p->n; t += n) {
		n = p->n - t < s->n_batch ? p->n - t : s->n_batch;
		graph_begin(s->g, n, s->n_past + t);
		if (p->rows != NULL)
			next_batch(s, t, t + n == p->n);
		embed(s, p->ids + t);
		if (p->rows != NULL)
			move_rows(s, p, t, n, false);
		else
			set_angles(s);
	}
}

static void want_matrix(struct session *s, int part, const struct weights_tensor *w)
{
	uint64_t i, n = w->ne[2] * w->ne[3];

	for (i = 0; i < n; i++)
		stream_want(s->stream, &(struct stream_matrix){ (const char *)w->data + i * w->slice_bytes, w->row_bytes,
			    (uint32_t)w->ne[1], model_is_expert(part) });
}

static bool is_streamed(const struct model_layer *l, int part)
{
	return l->t[part].data != NULL && l->t[part].ndims > 1 && !model_is_whole(l, part);
}

/* The layer behind, while batches go on through this one: by now nothing is guessed, many tokens need nearly all experts. */
static void want_layer(struct session *s, uint32_t layer)
{
	const struct model_layer *l = &s->m->layers[layer];
	int p;

	for (p = 0; p < P_COUNT; p++)
		if (is_streamed(l, p))
			want_matrix(s, p, &l->t[p]);
}

/* Tokens t .. t + n - 1 through layer i, when others go through it as well. */
static void layer_again(struct session *s, const struct session_tokens *p, uint32_t i, uint32_t t, uint32_t n)
{
	bool last = t + n == p->n;

	next_batch(s, t, last);
	kv_batch(s->kv, s->n_past + t, n, last);
	graph_begin(s->g, n, s->n_past + t);
	set_angles(s);
	move_rows(s, p, t, n, true);
	s->m->arch->layer(s->m, s->g, i);
	move_rows(s, p, t, n, false);
	if (t == 0 && i + 1 < s->m->dims.n_layer && stream_slots(s->stream) >= 2 * s->prefill.layer_slots)
		want_layer(s, i + 1);
}

static int run_layer(struct session *s, const struct session_tokens *p, uint32_t i)
{
	uint32_t t, n;

	for (t = 0; t < p->n; t += n) {
		n = p->n - t < s->n_batch ? p->n - t : s->n_batch;
		if (s->cancel != NULL && s->cancel(s->cancel_arg))
			return -ECANCELED;
		if (session_kv_error(s, NULL, 0) != 0)
			return -EREMOTEIO;
		s->eval.through = (i + (double)t / p->n) / s->m->dims.n_layer;
		if (p->rows != NULL)
			layer_again(s, p, i, t, n);
		else
			s->m->arch->layer(s->m, s->g, i);
	}
	return 0;
}

/* ---- a pass -------------------------------------------------------------------------------------- */

static int run_output(struct session *s, const struct session_tokens *p, bool last, struct session_listener *l)
{
	uint32_t t, n;
	int rc = 0;

	for (t = 0; t < p->n && l->each != NULL && rc == 0; t += n) {
		n = p->n - t < s->n_batch ? p->n - t : s->n_batch;
		if (p->rows != NULL)
			move_rows(s, p, t, n, true);
		rc = give_logits(s, s->n_past + t, n, l);
	}
	if (l->each == NULL && last) {
		compute_logits(s, (p->n - 1) % s->n_batch, 1);  /* of the last batch, which is still there */
		s->last_row = 0;
	}
	return rc;
}

int session_pass(struct session *s, const struct session_tokens *p, bool last, struct session_listener *l)
{
	uint32_t i;
	int rc = 0;

	kv_begin(s->kv, s->n_past, p->n);
	kern_pool_limit(s->pool, p->n > 1 ? s->n_threads_batch : s->n_threads);
	if (s->stream != NULL)
		stream_begin(s->stream, last || l->each != NULL);
	embed_all(s, p);
	for (i = 0; i < s->m->dims.n_layer && rc == 0; i++)
		rc = run_layer(s, p, i);
	if (rc != 0)
		return rc;
	if (s->stream != NULL)
		stream_tail(s->stream);
	rc = run_output(s, p, last, l);
	if (rc == 0 && s->stream != NULL)
		rc = stream_error(s->stream);
	if (rc == 0)
		rc = weights_check(s->m->w);
	if (rc == 0 && session_kv_error(s, NULL, 0) != 0)
		rc = -EREMOTEIO;
	if (rc != 0)
		return rc;
	memcpy(s->tokens + s->n_past, p->ids, p->n * sizeof(*p->ids));
	s->n_past += p->n;
	return 0;
}

/* ---- how many tokens a pass takes ---------------------------------------------------------------- */

static uint32_t slots_of(const struct weights_tensor *w, size_t piece)
{
	uint32_t each = stream_rows_of_piece(piece, w->row_bytes);

	return (uint32_t)(w->ne[2] * w->ne[3] * ((w->ne[1] + each - 1) / each));
}

void session_prefill_make(struct session_prefill *out, const struct model *m, size_t piece, enum session_order order)
{
	uint32_t i, most = m->layer_proj.data != NULL ? slots_of(&m->layer_proj, piece) : 0;
	int p;

	for (i = 0; i < m->dims.n_layer; i++) {
		uint32_t n = 0;

		for (p = 0; p < P_COUNT; p++)
			if (is_streamed(&m->layers[i], p))
				n += slots_of(&m->layers[i].t[p], piece);
		most = n > most ? n : most;
	}
	*out = (struct session_prefill){ order, model_bytes_read(m, 1.0), (uint32_t)(row_floats(m) * sizeof(float)), most };
}

/* Bytes that a pass reads where so many may be held. */
static double missing(const struct session_prefill *f, double hold)
{
	return fmax(f->pass_bytes - hold, 0.0);
}

/* By layers, so many batches a pass; there is room for the layer that comes next as well, or at least for the one at hand.
 * False: there is not even that. */
static bool try_layers(const struct session_sizes *z, const struct session_prefill *f, size_t n_batches, size_t batches,
		       struct session_division *d)
{
	double hold = (double)z->hold, lent, passes = ceil((double)n_batches / (double)batches), left;
	uint32_t layers;

	d->n = (uint32_t)(batches * z->n_batch);
	d->bytes = (size_t)d->n * f->row_bytes;
	for (layers = 2; layers > 0; layers--) {
		d->slots = layers * f->layer_slots;
		d->slots = d->slots > z->slots ? d->slots - z->slots / 2 : 0;   /* the others are for what comes next */
		lent = (double)d->bytes + (double)d->slots * (double)z->slot + LENT_MORE;
		if (lent >= hold)
			continue;
		left = missing(f, hold - lent);
		d->read = passes * left + fmin(lent, left);
		return true;
	}
	return false;
}

void session_divide(const struct session_sizes *z, const struct session_prefill *f, size_t n, struct session_division *out)
{
	size_t n_batches = (n + z->n_batch - 1) / z->n_batch, batches, before = 0, passes;
	struct session_division d;

	*out = (struct session_division){ .n = z->n_batch };
	if (z->slots == 0)
		return;
	out->read = (double)n_batches * missing(f, (double)z->hold);
	for (passes = 1; passes < n_batches && f->order != SESSION_ORDER_BATCH; passes++) {
		batches = (n_batches + passes - 1) / passes;
		if (batches != before && try_layers(z, f, n_batches, batches, &d) &&
		    (d.read < out->read || (f->order == SESSION_ORDER_LAYER && out->slots == 0 && out->bytes == 0)))
			*out = d;
		before = batches;
	}
}
