/* run_text.c - a prompt, and the text that a model makes of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/model.h"
#include "engine/run.h"
#include "engine/run_output.h"
#include "engine/run_spec.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/tokenizer.h"

struct logits_file { FILE *f; size_t n; };

/* session_logits_fn: append to the file of --logits */
static int write_logits(void *arg, uint32_t pos, const float *logits)
{
	struct logits_file *l = arg;

	(void)pos;
	errno = 0;
	if (fwrite(logits, sizeof(*logits), l->n, l->f) == l->n)
		return 0;
	return errno != 0 ? -errno : -EIO;
}

static int eval_prompt(struct run *r)
{
	struct logits_file l = { NULL, model_n_vocab(r->model) };
	size_t i, kept = session_kept(r->session, r->prompt, r->n_prompt);
	double t0 = clock_now();
	int rc;

	if (r->o.logits != NULL) {
		l.f = fopen(r->o.logits, "wbe");
		if (l.f == NULL)
			return run_report(r, -errno, r->o.logits);
	}
	run_progress_begin(r, r->n_prompt - kept);
	if (l.f != NULL)
		rc = session_eval(r->session, r->prompt, r->n_prompt, write_logits, &l);
	else
		rc = session_sync(r->session, r->prompt, r->n_prompt);
	run_progress_end(r);
	r->prompt_s += clock_now() - t0;
	r->n_evaluated += r->n_prompt - kept;
	if (l.f != NULL) {
		errno = 0;
		if (fclose(l.f) != 0 && rc == 0)
			rc = errno != 0 ? -errno : -EIO;
	}
	for (i = 0; i < r->n_prompt; i++)
		sampler_accept(r->sampler, r->prompt[i]);
	rc = run_report(r, rc, r->o.logits != NULL ? r->o.logits : r->o.model);
	if (rc == RUN_OK)
		run_cache_prompt(r, r->n_prompt - kept);
	return rc;
}

/* A text that is being made. */
struct making {
	struct run *r;
	struct run_output *out;
	int64_t made;
	int rc;                         /* of drawing and printing, which is about subject */
	const char *subject;
};

/* Why the text ends behind the token that was printed, n_past others being evaluated. */
static enum run_end ended(const struct making *t, uint32_t n_past)
{
	if (run_output_stopped(t->out))
		return RUN_END_WORD;
	if (t->made == t->r->o.n_predict)
		return RUN_END_LENGTH;
	if (run_interrupted(t->r))
		return RUN_END_SIGNAL;
	return n_past == session_n_ctx(t->r->session) ? RUN_END_CONTEXT : RUN_END_NONE;
}

/* One token drawn and printed; 1 and r->end says why when it is the last. */
static int take(struct making *t, uint32_t n_past, const float *logits, uint32_t *id)
{
	struct run *r = t->r;

	t->subject = r->o.model;
	t->rc = sampler_next(r->sampler, logits, id);
	if (t->rc != 0)
		return t->rc;
	if (tokenizer_is_eog(r->tok, *id)) {
		r->end = RUN_END_TOKEN;
		return 1;
	}
	sampler_accept(r->sampler, *id);
	t->made++;
	t->subject = "standard output";
	t->rc = run_output_token(t->out, *id);
	if (t->rc == 0)
		r->end = ended(t, n_past);
	return t->rc != 0 ? t->rc : r->end != RUN_END_NONE;
}

/* run_spec_take_fn: the token behind one that was evaluated */
static int take_next(void *arg, uint32_t n_past, const float *logits, uint32_t *id)
{
	struct making *t = arg;

	t->r->n_decoded++;
	return take(t, n_past, logits, id);
}

/* The token is evaluated and the next one taken. */
static int one(struct making *t, uint32_t *id)
{
	struct session *s = t->r->session;
	double t0 = clock_now();
	int rc = session_eval(s, id, 1, NULL, NULL);

	t->r->decode_s += clock_now() - t0;
	if (rc != 0)
		return rc;
	t->r->n_passes++;
	return take_next(t, session_n_past(s), session_logits(s), id);
}

/* The same with as many more as are guessed right.  They are printed when the pass is known to be good. */
static int several(struct making *t, uint32_t *id)
{
	struct run *r = t->r;
	double t0 = clock_now();
	int rc, out;

	run_output_hold(t->out);
	rc = run_spec_pass(r->spec, id, r->o.n_predict >= 0 ? r->o.n_predict - t->made : -1, take_next, t);
	r->decode_s += clock_now() - t0;
	r->n_passes++;
	if (rc < 0 && t->rc == 0) {
		run_output_drop(t->out);
		t->subject = run_spec_draft_failed(r->spec) ? r->o.model_draft : r->o.model;
		return rc;
	}
	out = run_output_release(t->out);
	if (rc < 0 || out == 0)
		return rc;
	t->subject = "standard output";
	t->rc = out;
	return out;
}

static int make_text(struct making *t)
{
	struct run *r = t->r;
	uint32_t id = 0;
	int rc = take(t, session_n_past(r->session), session_logits(r->session), &id);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (r->spec != NULL)
		run_spec_begin(r->spec);
	while (rc == 0) {
		t->subject = r->o.model;
		rc = r->spec != NULL ? several(t, &id) : one(t, &id);
	}
	if (rc == 1 && r->spec != NULL && r->end != RUN_END_SIGNAL) {
		t->subject = r->o.model;
		rc = run_spec_end(r->spec);
	}
	return rc < 0 ? rc : 0;
}

int run_generate(struct run *r, struct run_output *out)
{
	struct making t = { .r = r, .out = out };
	int rc = 0;

	r->end = r->o.n_predict == 0 ? RUN_END_LENGTH : RUN_END_NONE;
	if (r->end == RUN_END_NONE)
		rc = make_text(&t);
	if (rc == 0 && r->end == RUN_END_CONTEXT)
		run_error("the context is full");
	return run_report(r, rc, t.subject);
}

int run_text(struct run *r)
{
	struct run_output out;
	int status, rc = 0;

	run_output_init(&out, r->tok, r->o.special);
	run_output_stop_at(&out, r->o.reverse.at, r->o.reverse.n);
	out.quiet = r->o.json;
	if (!r->o.no_display_prompt)
		rc = run_output_text(&out, r->prompt, r->n_prompt);
	status = run_report(r, rc, "standard output");
	if (status == RUN_OK)
		status = eval_prompt(r);
	if (status == RUN_OK && r->signal == 0)
		status = run_generate(r, &out);
	if (status == RUN_OK && r->o.json)
		status = run_json(r, &out);
	if (status == RUN_OK) {
		rc = run_output_end(&out);
		if (rc != 0) {
			r->signal = 0;
			status = run_report(r, rc, "standard output");
		}
	}
	run_output_free(&out);
	return status;
}
