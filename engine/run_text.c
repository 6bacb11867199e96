/* run_text.c - a prompt, and the text that a model makes of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/model.h"
#include "engine/run.h"
#include "engine/run_output.h"
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
	double t0 = run_now();
	int rc;

	if (r->o.logits != NULL) {
		l.f = fopen(r->o.logits, "wbe");
		if (l.f == NULL)
			return run_report(r, -errno, r->o.logits);
	}
	if (l.f != NULL)
		rc = session_eval(r->session, r->prompt, r->n_prompt, write_logits, &l);
	else
		rc = session_sync(r->session, r->prompt, r->n_prompt);
	r->prompt_s += run_now() - t0;
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

/* One token drawn and printed; r->end says whether it was the last. */
static int next_token(struct run *r, struct run_output *out, uint32_t *id)
{
	int rc = sampler_next(r->sampler, session_logits(r->session), id);

	if (rc != 0)
		return run_report(r, rc, r->o.model);
	if (tokenizer_is_eog(r->tok, *id)) {
		r->end = RUN_END_TOKEN;
		return RUN_OK;
	}
	sampler_accept(r->sampler, *id);
	rc = run_output_token(out, *id);
	if (rc == 0 && run_output_stopped(out))
		r->end = RUN_END_WORD;
	return run_report(r, rc, "standard output");
}

int run_generate(struct run *r, struct run_output *out)
{
	int64_t made;
	uint32_t id = 0;
	int status, rc;
	double t0;

	r->end = RUN_END_NONE;
	for (made = 0; r->end == RUN_END_NONE; made++) {
		if (r->o.n_predict >= 0 && made >= r->o.n_predict) {
			r->end = RUN_END_LENGTH;
			break;
		}
		status = next_token(r, out, &id);
		if (status != RUN_OK || r->end == RUN_END_TOKEN || r->end == RUN_END_WORD)
			return status;
		if (made + 1 == r->o.n_predict)
			r->end = RUN_END_LENGTH;
		else if (run_interrupted(r))
			r->end = RUN_END_SIGNAL;
		else if (session_n_past(r->session) == session_n_ctx(r->session))
			r->end = RUN_END_CONTEXT;
		if (r->end != RUN_END_NONE)
			break;
		t0 = run_now();
		rc = session_eval(r->session, &id, 1, NULL, NULL);
		r->decode_s += run_now() - t0;
		if (rc != 0)
			return run_report(r, rc, r->o.model);
		r->n_decoded++;
	}
	if (r->end == RUN_END_CONTEXT)
		run_error("the context is full");
	return RUN_OK;
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
