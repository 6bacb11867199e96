/* run.h - what the files of hearth-run share: one run, and how it speaks to its caller. */
#ifndef ENGINE_RUN_H
#define ENGINE_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/run_options.h"
#include "engine/run_progress.h"

struct model;
struct run_draft;
struct run_output;
struct run_spec;
struct sampler;
struct session;
struct tokenizer;

#define RUN_LINE 1024   /* bytes of an error line */

enum { RUN_OK = 0, RUN_FAILED = 1, RUN_USAGE = 2 };

/* Why a text ended. */
enum run_end { RUN_END_NONE, RUN_END_TOKEN, RUN_END_LENGTH, RUN_END_CONTEXT, RUN_END_WORD, RUN_END_SIGNAL };

struct run {
	struct run_options o;
	struct model *model;
	struct tokenizer *tok;
	struct session *session;
	struct run_draft *draft;
	struct run_spec *spec;          /* NULL: tokens one by one */
	struct sampler *sampler;
	uint32_t *prompt;               /* [n_prompt], owned */
	size_t n_prompt;
	uint32_t n_ids;                 /* tokens that have both a text and a logit */
	uint64_t seed, budget;          /* bytes, 0: none */
	sigset_t signals;
	int signal;                     /* the one that came, or 0 */
	double load_s, prompt_s, decode_s;
	uint64_t n_evaluated, n_decoded;        /* tokens of prompts, and of texts */
	uint64_t n_passes;                      /* through the model, for those of texts */
	enum run_end end;
	bool cached;                    /* the first prompt is over */
	int cache_status;               /* of writing the prompt cache behind it */
	struct run_progress progress;
};

/* run_main.c: one line to stderr; bytes that could steer a terminal are shown as '?'. */
void run_error(const char *text);
/* session_cancel_fn of a struct run: has a signal come? */
bool run_interrupted(void *arg);
/* The same between layers: the progress is shown too. */
bool run_between_layers(void *arg);
/* What a failed evaluation or output means for the run: its status, after a line. */
int run_report(const struct run *r, int rc, const char *subject);

/* run_cache.c: the session out of the file of --prompt-cache, which is made where there is none; the file after the first
 * prompt, of which so many tokens had to be evaluated; and at the end, with --prompt-cache-all.  A status, after a line;
 * a file that cannot be written after the prompt does not stop the text, run_cache_end says it. */
int run_cache_load(const struct run *r);
void run_cache_prompt(struct run *r, size_t evaluated);
int run_cache_end(const struct run *r);
/* The session stays in the file of --kv-disk. */
int run_cache_keep(const struct run *r);
/* run_text.c: the prompt's text goes on until it ends; RUN_OK with r->end set, or another status. */
int run_generate(struct run *r, struct run_output *out);
int run_text(struct run *r);
/* run_json.c: the run as one JSON object on standard output, texts that are no UTF-8 with U+FFFD in their place. */
int run_json(const struct run *r, const struct run_output *out);
/* run_chat.c: a conversation, from the options and then from standard input. */
int run_chat(struct run *r);
/* run_bench.c: speeds as llama-bench gives them. */
int run_bench(struct run *r);
/* Positions that the largest of those tests needs; 0 when they are no tests. */
uint32_t run_bench_context(const char *tests);
/* run_perplexity.c: of a file, as llama-perplexity computes it. */
int run_perplexity(struct run *r);

#endif
