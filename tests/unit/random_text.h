/* random_text.h - texts that are hard on tokenizers, the same for the same seed. */
#ifndef TESTS_UNIT_RANDOM_TEXT_H
#define TESTS_UNIT_RANDOM_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct random_text {
	uint64_t state;                 /* the seed, not 0 */
};

#define RANDOM_TEXT_MAX 2048

uint32_t random_below(struct random_text *r, uint32_t n);       /* 0 .. n - 1 */

/* Valid UTF-8 without NUL, '<' or U+2581, 1..RANDOM_TEXT_MAX bytes: words, white space of every kind,
 * digits, contractions, punctuation, long runs and characters of all blocks.  Returns the length. */
size_t random_text_utf8(struct random_text *r, char buf[RANDOM_TEXT_MAX]);

/* n bytes of any value. */
void random_text_bytes(struct random_text *r, char *buf, size_t n);

#endif
