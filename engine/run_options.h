/* run_options.h - the command line of hearth-run: one table, from which parsing and --help are made. */
#ifndef ENGINE_RUN_OPTIONS_H
#define ENGINE_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Strings are borrowed from argv. */
struct run_options {
	const char *model, *prompt, *prompt_file, *tokens, *logits, *isa;
	const char *type_k, *type_v;
	int64_t n_predict, n_ctx, n_batch, n_threads, seed, top_k;
	double temp, top_p, min_p;
	bool perf, no_display_prompt, special, ignore_eos, tokenize, help, version;
};

/* 0 and every option set, given or default; -EINVAL with a line in err for an option that is unknown,
 * given twice, without its value or out of its range. */
int run_options_parse(struct run_options *out, int argc, char **argv, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* All options with defaults, at most 100 columns. */
void run_options_help(FILE *f);

#endif
