/* run_draft.c - a small model that drafts for a large one: see run_spec.h.
 *
 * Its session follows the text; what it drafted itself and was right is kept, but for a model with a state, which goes back
 * to the text each time.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "engine/run_spec.h"
#include "engine/tokenizer.h"
#include "kernels/kern_type.h"

#define PIECE 4096u             /* bytes of a token, at most: tokenizer_new */
#define PADDING 128u            /* tokens that one of two vocabularies may have behind those of both, as in llama.cpp */

struct run_draft {
	struct model *model;
	struct session *session;
	uint32_t n_ids;                 /* tokens that both models know */
};

/* ---- open ------------------------------------------------------------------------------------------ */

static bool same_text(const struct tokenizer *a, const struct tokenizer *b, uint32_t id)
{
	char text_a[PIECE], text_b[PIECE];
	size_t n = tokenizer_piece(a, id, true, text_a, sizeof(text_a));

	return tokenizer_piece(b, id, true, text_b, sizeof(text_b)) == n && n <= PIECE && memcmp(text_a, text_b, n) == 0;
}

/* Do the same ids stand for the same texts?  -EINVAL with a line in err. */
static int compare(const struct tokenizer *own, const struct tokenizer *tok, const char *path, char *err, size_t errlen)
{
	uint32_t n = tokenizer_n_tokens(own), want = tokenizer_n_tokens(tok), both = n < want ? n : want, id;

	if (n - both > PADDING || want - both > PADDING) {
		snprintf(err, errlen, "%s cannot draft: it has %u tokens, the model %u", path, n, want);
		return -EINVAL;
	}
	for (id = 0; id < both; id++) {
		if (same_text(own, tok, id))
			continue;
		snprintf(err, errlen, "%s cannot draft: its vocabulary is another, token %u is not the model's", path, id);
		return -EINVAL;
	}
	return 0;
}

static int check_vocabulary(struct run_draft *d, const char *path, const struct tokenizer *tok, uint32_t n_ids,
			    char *err, size_t errlen)
{
	struct tokenizer *own;
	char reason[256];
	int rc = tokenizer_new(&own, model_meta(d->model), reason, sizeof(reason));

	if (rc != 0) {
		snprintf(err, errlen, "%s: %s", path, reason);
		return rc;
	}
	d->n_ids = tokenizer_n_tokens(own) < n_ids ? tokenizer_n_tokens(own) : n_ids;
	if (d->n_ids > model_n_vocab(d->model))
		d->n_ids = model_n_vocab(d->model);
	rc = compare(own, tok, path, err, errlen);
	tokenizer_free(own);
	return rc;
}

/* Its weights stay mapped, whatever the budget of the other is. */
static int open_session(struct run_draft *d, const char *path, struct session_params *p, char *err, size_t errlen)
{
	uint32_t train = model_n_ctx_train(d->model);
	struct session_params own = {
		.n_ctx = p->n_ctx < train ? p->n_ctx : train, .n_batch = p->n_batch, .n_threads = p->n_threads,
		.n_threads_batch = p->n_threads_batch, .type_k = KERN_F16, .type_v = KERN_F16, .isa = p->isa, .marks = true,
		.n_logits = 1,
	};
	int rc = session_open(&d->session, d->model, &own, err, errlen);
	uint64_t bytes;

	if (rc != 0)
		return rc;
	bytes = model_bytes(d->model) + session_bytes(d->session);
	if (p->budget != 0 && p->budget <= bytes) {
		snprintf(err, errlen, "a budget of %.1f MiB is too small: %s alone needs %.1f MiB", (double)p->budget / 1048576.0,
			 path, (double)bytes / 1048576.0);
		return -EINVAL;
	}
	p->others += bytes;
	return 0;
}

int run_draft_open(struct run_draft **out, const char *path, const struct tokenizer *tok, uint32_t n_ids,
		   struct session_params *p, char *err, size_t errlen)
{
	struct run_draft *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	rc = model_open(&d->model, path, err, errlen);
	if (rc == 0)
		rc = check_vocabulary(d, path, tok, n_ids, err, errlen);
	if (rc == 0)
		rc = open_session(d, path, p, err, errlen);
	if (rc != 0) {
		run_draft_close(d);
		return rc;
	}
	*out = d;
	return 0;
}

void run_draft_close(struct run_draft *d)
{
	if (d == NULL)
		return;
	session_close(d->session);
	model_close(d->model);
	free(d);
}

void run_draft_set_cancel(struct run_draft *d, session_cancel_fn fn, void *arg)
{
	if (d != NULL)
		session_set_cancel(d->session, fn, arg);
}

/* ---- drafts ---------------------------------------------------------------------------------------- */

/* The most probable token that both models know; false when it is less probable than p_min, or the logits are no numbers. */
static bool best(const struct run_draft *d, const float *logits, double p_min, uint32_t *id)
{
	uint32_t i, at = 0;
	double sum = 0.0;

	for (i = 1; i < d->n_ids; i++)
		if (logits[i] > logits[at])
			at = i;
	for (i = 0; i < d->n_ids && p_min > 0.0; i++)
		sum += exp((double)logits[i] - (double)logits[at]);
	*id = at;
	return isfinite(logits[at]) && !(p_min > 0.0 && !(1.0 / sum >= p_min));
}

int run_draft_make(struct run_draft *d, const uint32_t *text, size_t n, double p_min, uint32_t *out, uint32_t most,
		   uint32_t *made)
{
	struct session *s = d->session;
	uint32_t k = 0;
	int rc;

	if (n > session_n_ctx(s))
		return 0;
	rc = session_sync(s, text, n);
	if (rc == -EINVAL)
		return 0;               /* a token that only the other knows */
	if (rc != 0)
		return rc;
	session_mark(s);
	while (k < most && rc == 0 && best(d, session_logits(s), p_min, &out[k])) {
		k++;
		if (k == most || session_n_past(s) == session_n_ctx(s))
			break;
		rc = session_eval(s, &out[k - 1], 1, NULL, NULL);
	}
	if (rc == 0 && session_has_state(s))
		rc = session_back(s);
	if (rc == 0)
		*made = k;
	return rc;
}
