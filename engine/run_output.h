/* run_output.h - tokens to standard output as they come, whole characters at a time. */
#ifndef ENGINE_RUN_OUTPUT_H
#define ENGINE_RUN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

struct run_bytes { char *at; size_t len, cap; };

struct run_output {
	const struct tokenizer *t;      /* borrowed */
	bool special;                   /* print special tokens */
	bool quiet;                     /* print nothing */
	struct run_bytes pending;       /* not printed yet: the start of a character */
	struct run_bytes made;          /* all of run_output_token since the start, or run_output_forget */
	const char *const *stops;       /* [n_stops], borrowed */
	size_t n_stops;
	bool stopped;
	bool held;                      /* print later; so much was pending and made before */
	size_t held_pending, held_made;
};

void run_output_init(struct run_output *out, const struct tokenizer *t, bool special);
void run_output_free(struct run_output *out);

/* Texts at which generation stops; borrowed. */
void run_output_stop_at(struct run_output *out, const char *const *stops, size_t n);
/* Has one of them come with the last token? */
bool run_output_stopped(const struct run_output *out);

/* Print n ids as a text that begins with them. */
int run_output_text(struct run_output *out, const uint32_t *ids, size_t n) __attribute__((warn_unused_result));
/* Print one more token. */
int run_output_token(struct run_output *out, uint32_t id) __attribute__((warn_unused_result));
/* Print nothing until run_output_release, or never after run_output_drop. */
void run_output_hold(struct run_output *out);
int run_output_release(struct run_output *out) __attribute__((warn_unused_result));
void run_output_drop(struct run_output *out);
/* Print what is left, even if it is no whole character, and a newline. */
int run_output_end(struct run_output *out) __attribute__((warn_unused_result));
/* What was made is no longer of interest. */
void run_output_forget(struct run_output *out);

#endif
