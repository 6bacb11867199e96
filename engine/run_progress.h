/* run_progress.h - how far a long prompt is, as a line on a terminal.
 *
 * The line is drawn between layers, on standard error, when that is a terminal and the prompt takes longer than a moment; it
 * is gone before anything else is printed.  The first pass over a model that is not in memory loads it: with one
 * batch the line moves by layers.
 * Threads: the run's only one.
 */
#ifndef ENGINE_RUN_PROGRESS_H
#define ENGINE_RUN_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run;

struct run_progress {
	bool on, drawn;
	double from, next;              /* seconds, monotonic: when it began, when it is drawn next */
	size_t n;                       /* tokens to be evaluated */
	uint64_t read;                  /* bytes that had been read from disk when it began */
};

/* n tokens will be evaluated by one call of the session. */
void run_progress_begin(struct run *r, size_t n);
void run_progress_end(struct run *r);
/* Between layers. */
void run_progress_draw(struct run *r);

/* The line for a share 0 .. 1 of n tokens, after so many seconds and bytes, in at most width columns; without a final NUL
 * not more than len - 1 characters. */
void run_progress_line(char *line, size_t len, int width, double share, size_t n, double seconds, uint64_t read);

#endif
