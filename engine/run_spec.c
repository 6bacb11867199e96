/* run_spec.c - see run_spec.h. */
#include "engine/run_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run_options.h"
#include "engine/tokenizer.h"

#define LOGITS_MOST 64u         /* positions whose logits are computed together: they take memory */

struct run_spec {
	struct run_spec_params p;
	struct session *s;
	struct run_draft *draft;
	const struct tokenizer *tok;
	uint32_t *text;                 /* [n_ctx]: the text, and the draft behind it */
	uint32_t n_text, n_draft;
	uint32_t n_right;               /* tokens of the draft that were taken as well, in this pass */
	run_spec_take_fn take;          /* and its argument and last results, in this pass */
	void *arg;
	uint32_t id;
	int taken;
	bool draft_failed;
	struct run_spec_stats stats;
};

/* ---- options --------------------------------------------------------------------------------------- */

/* Names with commas between, no two of them n-grams, or none alone; false for anything else. */
static bool parse_types(struct run_spec_params *p, const char *text)
{
	enum run_ngram_type type;
	size_t n;

	if (strcmp(text, "none") == 0)
		return true;
	for (;; text += n + 1) {
		n = strcspn(text, ",");
		type = run_ngram_type(text, n);
		if (type != RUN_NGRAM_NONE && p->ngram.type == RUN_NGRAM_NONE)
			p->ngram.type = type;
		else if (n == 12 && memcmp(text, "draft-simple", n) == 0)
			p->model = true;
		else
			return false;
		if (text[n] == '\0')
			return true;
	}
}

const char *run_spec_ask(struct run_spec_params *p, const struct run_options *o)
{
	*p = (struct run_spec_params){
		.ngram = { RUN_NGRAM_NONE, (uint32_t)o->ngram_n, (uint32_t)o->ngram_m, (uint32_t)o->ngram_hits },
		.most = (uint32_t)o->draft_max, .least = (uint32_t)o->draft_min, .p_min = o->draft_p_min,
	};
	if (o->spec_type != NULL && !parse_types(p, o->spec_type))
		return "--spec-type is none, one of ngram-simple, ngram-map-k, ngram-map-k4v and ngram-mod, draft-simple, or two with a "
		       "comma between";
	if (p->model && o->model_draft == NULL)
		return "--spec-type draft-simple needs the draft model, -md FILE";
	if (o->spec_type == NULL || p->ngram.type != RUN_NGRAM_NONE)
		p->model = o->model_draft != NULL;
	if (!run_spec_asked(p))
		return NULL;
	if (p->least > p->most)
		return "--draft-min cannot be more than --draft-max";
	if (o->perplexity != NULL || o->bench != NULL)
		return "speculation (--spec-type, -md) is for texts";
	return NULL;
}

bool run_spec_asked(const struct run_spec_params *p)
{
	return p->ngram.type != RUN_NGRAM_NONE || p->model;
}

void run_spec_need(const struct run_spec_params *p, struct session_params *session)
{
	if (!run_spec_asked(p))
		return;
	session->marks = true;
	session->n_logits = p->most + 1 < LOGITS_MOST ? p->most + 1 : LOGITS_MOST;
}

/* ---- drafts ---------------------------------------------------------------------------------------- */

/* A draft of at most so many tokens behind the text. */
static int make_draft(struct run_spec *sp, uint32_t most)
{
	uint32_t i;
	int rc = 0;

	sp->n_draft = 0;
	if (most == 0)
		return 0;
	sp->n_draft = run_ngram_draft(&sp->p.ngram, sp->text, sp->n_text, most);
	if (sp->n_draft == 0 && sp->draft != NULL)
		rc = run_draft_make(sp->draft, sp->text, sp->n_text, sp->p.p_min, sp->text + sp->n_text, most, &sp->n_draft);
	sp->draft_failed = rc != 0;
	for (i = 0; sp->tok != NULL && i < sp->n_draft; i++)
		if (tokenizer_is_eog(sp->tok, sp->text[sp->n_text + i]))
			sp->n_draft = i;
	if (sp->n_draft < sp->p.least)
		sp->n_draft = 0;
	return rc;
}

/* How many tokens a draft may have, n of the text being evaluated with it. */
static uint32_t room(const struct run_spec *sp, uint32_t n, int64_t left)
{
	uint32_t most = sp->p.most, n_ctx = session_n_ctx(sp->s), n_batch = session_n_batch(sp->s);

	if (session_has_state(sp->s) && n > sp->p.most)
		return 0;
	if (most > n_ctx - sp->n_text)
		most = n_ctx - sp->n_text;
	if (most > n_batch - n)
		most = n_batch - n;
	return left >= 0 && left - 1 < most ? (uint32_t)(left > 0 ? left - 1 : 0) : most;
}

/* ---- passes ---------------------------------------------------------------------------------------- */

int run_spec_new(struct run_spec **out, const struct run_spec_params *p, struct session *s, struct run_draft *draft,
		 const struct tokenizer *tok)
{
	struct run_spec *sp = calloc(1, sizeof(*sp));

	if (sp == NULL)
		return -ENOMEM;
	*sp = (struct run_spec){ .p = *p, .s = s, .draft = draft, .tok = tok };
	sp->text = malloc((size_t)session_n_ctx(s) * sizeof(*sp->text));
	if (sp->text == NULL) {
		free(sp);
		return -ENOMEM;
	}
	*out = sp;
	return 0;
}

void run_spec_free(struct run_spec *sp)
{
	if (sp == NULL)
		return;
	free(sp->text);
	free(sp);
}

void run_spec_begin(struct run_spec *sp)
{
	sp->n_text = session_n_past(sp->s);
	memcpy(sp->text, session_tokens(sp->s), sp->n_text * sizeof(*sp->text));
}

/* session_logits_fn: the next token; 1 when it is not the draft's, or the last one */
static int verify(void *arg, uint32_t pos, const float *logits)
{
	struct run_spec *sp = arg;

	sp->taken = sp->take(sp->arg, pos + 1, logits, &sp->id);
	sp->stats.taken += sp->taken >= 0;
	if (sp->taken != 0 || sp->n_right == sp->n_draft || sp->text[sp->n_text + sp->n_right] != sp->id)
		return 1;
	sp->n_right++;
	return 0;
}

int run_spec_pass(struct run_spec *sp, uint32_t *id, int64_t left, run_spec_take_fn take, void *arg)
{
	uint32_t n_past = session_n_past(sp->s), n;
	int rc;

	sp->text[sp->n_text++] = *id;
	n = sp->n_text - n_past;
	rc = make_draft(sp, room(sp, n, left));
	if (rc != 0)
		return rc;
	sp->take = take;
	sp->arg = arg;
	sp->n_right = 0;
	rc = session_try(sp->s, sp->text + n_past, n + sp->n_draft, n - 1, verify, sp);
	if (rc != 0)
		return rc;
	sp->n_text += sp->n_right;
	sp->stats.passes++;
	sp->stats.drafted += sp->n_draft;
	sp->stats.again += n - 1;
	sp->stats.accepted += sp->n_right;
	*id = sp->id;
	return sp->taken;
}

int run_spec_end(struct run_spec *sp)
{
	return session_n_past(sp->s) == sp->n_text ? 0 : session_sync(sp->s, sp->text, sp->n_text);
}

bool run_spec_draft_failed(const struct run_spec *sp)
{
	return sp->draft_failed;
}

struct run_spec_stats run_spec_stats(const struct run_spec *sp)
{
	return sp->stats;
}
