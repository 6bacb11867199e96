/* sums.h - XXH3-64 sums of extents, made once from home's bytes and compared at every later step.
 *
 * An extent's sum is seeded with the random id of its blob and with the extent's index, so that right
 * bytes at the wrong place (another blob's, another extent's) fail as wrong bytes do.  64 bits are for
 * accidents; against forgery only the sha256 in the blob's name helps.
 *
 * Hash: XXH3_64bits_withSeed of xxHash 0.8; its results are the same on every machine.
 * Threads: pure functions but sums_blob_id, which any thread may call.
 */
#ifndef TIERING_SUMS_H
#define TIERING_SUMS_H

#include <stddef.h>
#include <stdint.h>

/* A new random id, never 0, to *out.  0, or negative errno of getrandom(2). */
int sums_blob_id(uint64_t *out) __attribute__((warn_unused_result));

/* The sum of extent number index of blob id: len bytes at data, fewer than a whole extent only where
 * the blob ends in it. */
uint64_t sums_extent(uint64_t blob, uint64_t index, const void *data, size_t len);

/* Plain XXH3-64 of len bytes, for records that bring a seed of their own. */
uint64_t sums_bytes(const void *data, size_t len, uint64_t seed);

#endif
