/* tokenizer_merge.h - merge the best pair of neighbouring symbols until no pair may merge.
 *
 * Both kinds of BPE are this loop; they differ in which pairs may merge and in what order.  A heap
 * holds every candidate; one whose symbols have changed since is dropped when it comes up.
 * For n symbols: at most n - 1 merges, 3n calls of the pair function, 3n candidates, so O(n log n)
 * whatever the text is.  Memory: 20 bytes a symbol and 24 a candidate.
 * Threads: a struct tokenizer_merge belongs to one call at a time.
 */
#ifndef ENGINE_TOKENIZER_MERGE_H
#define ENGINE_TOKENIZER_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_MERGE_END UINT32_MAX          /* no neighbour on this side */

/* One symbol: len bytes at off of the caller's text.  Merged away when len is 0. */
struct tokenizer_sym {
	uint32_t off, len;
	uint32_t prev, next;            /* indices, or TOKENIZER_MERGE_END */
	uint32_t id;                    /* the caller's name for it */
};

/* May the neighbours l and r become one symbol?  If so *order says how soon (smaller is sooner; ties
 * go to the leftmost pair) and *id names the result. */
typedef bool (*tokenizer_pair_fn)(void *ctx, const struct tokenizer_sym *l,
				  const struct tokenizer_sym *r, uint32_t *order, uint32_t *id);

struct tokenizer_cand;

/* Zero-initialise before first use; the memory is kept from one text to the next. */
struct tokenizer_merge {
	struct tokenizer_sym *sym;
	uint32_t nsym;
	size_t sym_cap;
	struct tokenizer_cand *heap;
	size_t nheap, heap_cap;
};

void tokenizer_merge_free(struct tokenizer_merge *m);   /* takes what m owns, not m itself */

/* Start over with no symbols. */
void tokenizer_merge_reset(struct tokenizer_merge *m);

/* Append a symbol of len >= 1 bytes at off, which must continue the one before it.  0 or -ENOMEM. */
int tokenizer_merge_add(struct tokenizer_merge *m, uint32_t off, uint32_t len, uint32_t id)
	__attribute__((warn_unused_result));

/* Merge.  Afterwards the symbols left are sym[0], sym[sym[0].next] and so on (none if nsym is 0).
 * 0 or -ENOMEM. */
int tokenizer_merge_run(struct tokenizer_merge *m, tokenizer_pair_fn pair, void *ctx)
	__attribute__((warn_unused_result));

#endif
