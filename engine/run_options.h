/* run_options.h - the command line of hearth-run: one table, from which parsing and --help are made. */
#ifndef ENGINE_RUN_OPTIONS_H
#define ENGINE_RUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RUN_OPTIONS_LIST 32

/* An option that may be given more than once. */
struct run_list { const char *at[RUN_OPTIONS_LIST]; size_t n; };

/* Strings are borrowed from argv; --escape changes some of them there. */
struct run_options {
	const char *model, *prompt, *prompt_file, *tokens, *logits, *isa, *perplexity, *bench;
	const char *type_k, *type_v, *system, *chat_template, *chat_template_file, *prompt_cache, *kv_disk, *prefill_order;
	const char *spec_type, *model_draft;
	int64_t n_predict, n_ctx, n_batch, n_ubatch, n_threads, n_threads_batch, seed, top_k, repeat_last_n, repetitions;
	int64_t ram_budget;             /* 0: auto, -1: none */
	int64_t stream_ahead, max_loaded_layers, kv_ram, ngram_n, ngram_m, ngram_hits, draft_max, draft_min;
	double draft_p_min, min_speed;
	double temp, top_p, min_p, repeat_penalty, frequency_penalty, presence_penalty;
	struct run_list reverse, logit_bias;
	bool perf, no_display_prompt, special, ignore_eos, tokenize, help, version, escape;
	bool conversation, single_turn, json, prompt_cache_all, prompt_cache_ro, mlock, kv_keep, estimate;
};

/* 0 and every option set, given or default; -EINVAL with a line in err for an option that is unknown,
 * given twice, without its value or out of its range. */
int run_options_parse(struct run_options *out, int argc, char **argv, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* All options with defaults, at most 100 columns. */
void run_options_help(FILE *f);

#endif
