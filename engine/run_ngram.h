/* run_ngram.h - drafts out of the text itself: what stood behind its last tokens where they came before.
 *
 * Names and presets are llama.cpp's (docs/speculative.md there); places are found by walking back through the text, which for
 * 100,000 tokens takes less than a tenth of a millisecond.
 * Threads: any.
 */
#ifndef ENGINE_RUN_NGRAM_H
#define ENGINE_RUN_NGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum run_ngram_type {
	RUN_NGRAM_NONE,
	RUN_NGRAM_SIMPLE,               /* what followed the last time */
	RUN_NGRAM_MAP_K,                /* the same, as far as `hits` places agree about it */
	RUN_NGRAM_MAP_K4V,              /* of up to four things that followed, one that did twice as often as all others */
	RUN_NGRAM_MOD,                  /* token by token, each behind what the draft has by then */
};

struct run_ngram {
	enum run_ngram_type type;
	uint32_t n, m;                  /* tokens that are looked up; that are taken from behind them, but for MOD; at least 1 */
	uint32_t hits;                  /* of the MAPs: places that are enough, at least 1 */
};

/* The type of that name, which need not end there; RUN_NGRAM_NONE: there is no such. */
enum run_ngram_type run_ngram_type(const char *name, size_t len);

/* At most `most` tokens behind the n_text of text, whose memory goes on so far: they are written there, and counted. */
uint32_t run_ngram_draft(const struct run_ngram *g, uint32_t *text, uint32_t n_text, uint32_t most);

#endif
