/* random_ids.h - the ids of more than 10,000 random texts, and the hashes that are kept of llama.cpp's. */
#ifndef TESTS_UNIT_RANDOM_IDS_H
#define TESTS_UNIT_RANDOM_IDS_H

#include <stdint.h>
#include <stdio.h>

struct tokenizer;

/* A few short texts come twice; more than 10,000 differ. */
#define RANDOM_IDS_TEXTS 10400

/* The ids of every text, encoded without special tokens, as one number; 0 when one cannot be encoded. */
uint64_t random_ids_hash(const struct tokenizer *t);

/* The same out of lines of ids; 0 when there are not RANDOM_IDS_TEXTS lines. */
uint64_t random_ids_hash_lines(FILE *lines);

/* The texts as test-tokenizer-0 of llama.cpp reads them, and a line of ids for each. */
void random_ids_write(const struct tokenizer *t, FILE *inp, FILE *out);

/* What tests/golden/tokenizer.hashes holds for name, or 0.  Run from the root of the repository. */
uint64_t random_ids_kept(const char *name);

#endif
