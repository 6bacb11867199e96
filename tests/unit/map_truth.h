/* map_truth.h - what a map must hold, kept in plain arrays beside it, and random transactions on both. */
#ifndef TESTS_UNIT_MAP_TRUTH_H
#define TESTS_UNIT_MAP_TRUTH_H

#include "tiering/map.h"

#include <stdbool.h>
#include <stdint.h>

#define MAP_TRUTH_BLOBS   8
#define MAP_TRUTH_CACHES  2
#define MAP_TRUTH_EXTENTS 200
#define MAP_TRUTH_NAMES   4

struct map_truth_blob {
	bool known, suspect;
	struct home_ident ident;
	char path[64];
	bool held[MAP_TRUTH_CACHES][MAP_TRUTH_EXTENTS];
};

struct map_truth {
	struct map_truth_blob blob[MAP_TRUTH_BLOBS];
	int pin[MAP_TRUTH_NAMES];               /* -1: none was set */
	int setting[MAP_TRUTH_NAMES];           /* -1, or the number of 8 bytes that is its value */
	uint64_t extents;                       /* counted by a load */
};

void map_truth_init(struct map_truth *t);
uint64_t map_truth_id(unsigned blob);
/* The sum that each extent has in these tests, a function of where it is. */
uint64_t map_truth_sum(uint64_t id, uint64_t extent);
uint64_t map_truth_random(uint64_t *state);

/* Build a transaction of one to four random steps, and do the same to t.  Never one that must fail.
 * Owned; fails the test that calls it when it cannot. */
struct map_txn *map_truth_step(struct map_truth *t, uint64_t *state);

/* Fill t from the map.  Fails the test on ids, extents or sums that never were, and when map_load fails. */
void map_truth_load(struct map_truth *t, struct map *m);
bool map_truth_equal(const struct map_truth *a, const struct map_truth *b);
/* Whether all that got holds, but for suspect blobs, is in want. */
bool map_truth_within(const struct map_truth *got, const struct map_truth *want);

#endif
