/* random_vocab.h - vocabularies made of random text, the same for the same seed.
 *
 * Tokens are the basic symbols, the results of merges that a small trainer finds in the text, every other
 * pair of neighbours there, and stretches of text that no merges lead to.  The text is not cut into words
 * first, so that merges reach over every boundary that a pre-tokenizer may draw: a boundary that is
 * missing or too many changes ids.
 */
#ifndef TESTS_UNIT_RANDOM_VOCAB_H
#define TESTS_UNIT_RANDOM_VOCAB_H

#include <stdint.h>

struct gguf_build;
struct random_vocab;

enum random_vocab_kind {
	RANDOM_VOCAB_BYTES,             /* GPT-2's alphabet; symbols are bytes */
	RANDOM_VOCAB_ESCAPED            /* UTF-8 with U+2581 for a space, and byte tokens */
};

/* NULL without memory. */
struct random_vocab *random_vocab_new(enum random_vocab_kind kind, uint64_t seed);
void random_vocab_free(struct random_vocab *v);         /* NULL is a no-op */

/* Write a file that llama.cpp loads too: tokenizer.ggml.model, and pre unless NULL. */
void random_vocab_put(const struct random_vocab *v, struct gguf_build *b, const char *model, const char *pre);

#endif
