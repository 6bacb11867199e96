/* run_guard.h - texts of special tokens in what a person wrote stay text, also through a chat template.
 *
 * Each occurrence of such a text in a message is replaced by a mark before the template is rendered, and put back after;
 * where it then stands, the tokenizer is told to take it as text.  A mark is U+10FFFD, a number, U+10FFFD, and the
 * character itself counts as special, so no message can forge one.
 * Threads: one caller at a time.
 */
#ifndef ENGINE_RUN_GUARD_H
#define ENGINE_RUN_GUARD_H

#include <stddef.h>

#include "engine/tokenizer.h"

struct run_guard {
	char **texts;                   /* [n] what each mark stands for, owned */
	size_t n;
	struct tokenizer_range *ranges; /* [n_ranges] in the text of run_guard_restore */
	size_t n_ranges;
};

void run_guard_free(struct run_guard *g);

/* A copy of a message with marks, terminated, owned by the caller; -ENOMEM. */
int run_guard_mark(struct run_guard *g, const struct tokenizer *t, const char *text, size_t len, char **out, size_t *out_len)
	__attribute__((warn_unused_result));
/* The rendered text with marks taken back, owned by the caller, and g->ranges set; -ENOMEM. */
int run_guard_restore(struct run_guard *g, const char *text, size_t len, char **out, size_t *out_len)
	__attribute__((warn_unused_result));

#endif
