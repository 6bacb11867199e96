/* run_chat.c - a conversation: what is said so far as the model's template puts it, evaluated from where it differs from
 * the last time, and the answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/chat.h"
#include "engine/clock.h"
#include "engine/model.h"
#include "engine/run.h"
#include "engine/run_guard.h"
#include "engine/run_output.h"
#include "engine/run_prompt.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/tokenizer.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)

struct talk {
	struct run *r;
	struct chat *chat;
	char *bos, *eos;                /* texts of these tokens, owned */
	struct chat_message *messages;  /* [n], contents owned */
	size_t n, cap;
	struct run_guard guard;         /* of what was said by others than the model */
	struct run_output out;
};

/* ---- messages ------------------------------------------------------------------------------------ */

/* Takes content. */
static int add_message(struct talk *t, const char *role, char *content, size_t len)
{
	size_t cap = t->cap != 0 ? 2 * t->cap : 8;
	struct chat_message *bigger;

	if (content == NULL)
		return -ENOMEM;
	if (t->n == t->cap) {
		bigger = realloc(t->messages, cap * sizeof(*bigger));
		if (bigger == NULL) {
			free(content);
			return -ENOMEM;
		}
		t->messages = bigger;
		t->cap = cap;
	}
	t->messages[t->n++] = (struct chat_message){ role, content, len };
	return 0;
}

/* What a person wrote: texts of special tokens in it are text, unless --special asks otherwise. */
static int add_said(struct talk *t, const char *role, const char *text, size_t len)
{
	char *marked;
	size_t n;
	int rc;

	if (t->r->o.special)
		return add_message(t, role, strndup(text, len), len);
	rc = run_guard_mark(&t->guard, t->r->tok, text, len, &marked, &n);
	return rc == 0 ? add_message(t, role, marked, n) : rc;
}

/* The first message of the user: -p or -f; 1 when there is none. */
static int first_message(struct talk *t)
{
	const struct run_options *o = &t->r->o;
	char line[RUN_LINE], *text;
	size_t len;
	int rc;

	if (o->prompt != NULL)
		return add_said(t, "user", o->prompt, strlen(o->prompt));
	if (o->prompt_file == NULL)
		return 1;
	rc = run_prompt_file(o->prompt_file, &text, &len, line, sizeof(line));
	if (rc != 0) {
		run_error(line);
		return rc;
	}
	rc = add_said(t, "user", text, len);
	free(text);
	return rc;
}

/* A line of standard input; 1 at its end. */
static int next_message(struct talk *t)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc;

	if (isatty(STDIN_FILENO) && !t->out.quiet) {
		fputs("> ", stdout);
		fflush(stdout);
	}
	n = getline(&line, &cap, stdin);
	if (n > 0 && line[n - 1] == '\n')
		n--;
	if (n < 0 || (size_t)n > LINE_MAX_BYTES) {
		free(line);
		return n < 0 ? 1 : -EFBIG;
	}
	rc = add_said(t, "user", line, (size_t)n);
	free(line);
	return rc;
}

/* ---- a turn -------------------------------------------------------------------------------------- */

/* What is said so far as ids, owned by the caller. */
static int encode_all(struct talk *t, uint32_t **ids, size_t *n)
{
	struct tokenizer_special sp = tokenizer_special(t->r->tok);
	time_t now = time(NULL);
	struct tm tm;
	struct chat_prompt p = {
		.messages = t->messages, .n = t->n, .bos = t->bos, .eos = t->eos, .strip_bos = sp.add_bos, .strip_eos = sp.add_eos,
		.generate = true, .now = localtime_r(&now, &tm),
	};
	char *marked, *text, line[RUN_LINE] = "out of memory";
	size_t len, n_marked;
	int64_t got;
	int rc = chat_apply(t->chat, &p, &marked, &n_marked, line, sizeof(line));

	if (rc == 0) {
		rc = run_guard_restore(&t->guard, marked, n_marked, &text, &len);
		free(marked);
	}
	if (rc != 0) {
		run_error(line);
		return rc;
	}
	*ids = malloc((len + 16) * sizeof(**ids));
	got = *ids != NULL ? tokenizer_encode_guarded(t->r->tok, text, len, true, t->guard.ranges, t->guard.n_ranges, *ids,
						    len + 16) : -ENOMEM;
	free(text);
	if (got < 0 || (size_t)got > len + 16) {
		free(*ids);
		run_error(got == -EINVAL ? "the prompt has a byte that no token can spell" : strerror(got < 0 ? (int)-got : ENOMEM));
		return got < 0 ? (int)got : -ENOMEM;
	}
	*n = (size_t)got;
	return 0;
}

static int evaluate(struct talk *t)
{
	struct run *r = t->r;
	uint32_t *ids = NULL;
	double t0 = clock_now();
	size_t n = 0, kept, i;
	int rc = encode_all(t, &ids, &n);

	if (rc != 0)
		return RUN_FAILED;
	if (n == 0 || n > session_n_ctx(r->session)) {
		run_error(n == 0 ? "the conversation is empty" : "the conversation is longer than the context (-c)");
		free(ids);
		return RUN_FAILED;
	}
	kept = session_kept(r->session, ids, n);
	run_progress_begin(r, n - kept);
	rc = session_sync(r->session, ids, n);
	run_progress_end(r);
	r->prompt_s += clock_now() - t0;
	r->n_evaluated += n - kept;
	for (i = r->cached ? kept : 0; i < n; i++)      /* of a prompt cache nothing was accepted yet */
		sampler_accept(r->sampler, ids[i]);
	free(ids);
	rc = run_report(r, rc, r->o.model);
	if (rc == RUN_OK)
		run_cache_prompt(r, n - kept);
	return rc;
}

/* The answer, printed and kept; r->end says why it ended. */
static int answer(struct talk *t)
{
	int status = evaluate(t), rc;
	char *text;

	if (status != RUN_OK || t->r->signal != 0)
		return status;
	run_output_forget(&t->out);
	status = run_generate(t->r, &t->out);
	if (status != RUN_OK)
		return status;
	rc = t->r->o.json ? 0 : run_output_end(&t->out);
	if (rc == 0) {
		text = malloc(t->out.made.len + 1);
		if (text != NULL && t->out.made.len > 0)
			memcpy(text, t->out.made.at, t->out.made.len);
		rc = add_message(t, "assistant", text, t->out.made.len);
	}
	return run_report(t->r, rc, "standard output");
}

/* ---- the whole ----------------------------------------------------------------------------------- */

/* The text of a token, or "" where there is none; owned. */
static char *token_text(const struct tokenizer *tok, uint32_t id)
{
	size_t n = id != TOKENIZER_NONE ? tokenizer_piece(tok, id, true, NULL, 0) : 0;
	char *text = calloc(n + 1, 1);

	if (text != NULL && n > 0)
		tokenizer_piece(tok, id, true, text, n);
	return text;
}

static int open_template(struct talk *t)
{
	const struct run_options *o = &t->r->o;
	char line[RUN_LINE], reason[RUN_LINE / 2], *text = NULL;
	size_t len = 0;
	int rc = 0;

	if (o->chat_template_file != NULL && run_prompt_file(o->chat_template_file, &text, &len, line, sizeof(line)) != 0) {
		run_error(line);
		return RUN_FAILED;
	}
	rc = text != NULL ? chat_open(&t->chat, text, len, reason, sizeof(reason)) :
			    chat_open_model(&t->chat, model_meta(t->r->model), o->chat_template, reason, sizeof(reason));
	free(text);
	if (rc == 0)
		return RUN_OK;
	snprintf(line, sizeof(line), "the chat template: %s", reason);
	run_error(line);
	return RUN_FAILED;
}

static int open_talk(struct talk *t)
{
	struct tokenizer_special sp = tokenizer_special(t->r->tok);
	int status = open_template(t);

	if (status != RUN_OK)
		return status;
	run_output_init(&t->out, t->r->tok, t->r->o.special);
	run_output_stop_at(&t->out, t->r->o.reverse.at, t->r->o.reverse.n);
	t->out.quiet = t->r->o.json;
	t->bos = token_text(t->r->tok, sp.bos);
	t->eos = token_text(t->r->tok, sp.eos);
	if (t->bos == NULL || t->eos == NULL ||
	    (t->r->o.system != NULL && add_said(t, "system", t->r->o.system, strlen(t->r->o.system)) != 0)) {
		run_error("out of memory");
		return RUN_FAILED;
	}
	return RUN_OK;
}

static void close_talk(struct talk *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free((char *)(uintptr_t)t->messages[i].content);
	free(t->messages);
	free(t->bos);
	free(t->eos);
	chat_free(t->chat);
	run_guard_free(&t->guard);
	run_output_free(&t->out);
}

static int turns(struct talk *t)
{
	int status, rc = first_message(t);

	if (rc == 1)
		rc = next_message(t);
	while (rc == 0) {
		status = answer(t);
		if (status != RUN_OK)
			return status;
		if (t->r->o.single_turn || t->r->signal != 0 || t->r->end == RUN_END_CONTEXT)
			break;
		rc = next_message(t);
	}
	if (rc < 0)
		return run_report(t->r, rc, "standard input");
	return t->r->o.json ? run_json(t->r, &t->out) : RUN_OK;
}

int run_chat(struct run *r)
{
	struct talk t = { .r = r };
	int status = open_talk(&t);

	if (status == RUN_OK)
		status = turns(&t);
	close_talk(&t);
	return status;
}
