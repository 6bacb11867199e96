/* map_row.h - the rows of the extent map as bytes: pure encoders and decoders.
 *
 * Every value ends with 8 bytes of check: XXH3-64 of what is before it, seeded with XXH3-64 of the row's
 * table and key, so a good value under a wrong key, or in a wrong table, is a bad row.  All numbers are
 * little-endian.
 *
 *	blob    u8 flags (1 suspect), u64 inode, u64 size, i64 s and u32 ns of mtime, the same of ctime,
 *	        u64 chunk rows, u64 sum of their checks, u16 length of the path, the path, check
 *	chunk   u64 bit map of the extents held, u64 sum of each held extent in order, check
 *	named   the bytes, check
 *	root    u64 rows, u64 sum of their checks, check: over all rows of blob and of named
 *
 * The sums of checks (modulo 2^64) make a set of rows whole: a row that is missing, or that is a good but
 * old one, changes the sum.
 *
 * Threads: none of this has state.
 */
#ifndef TIERING_MAP_ROW_H
#define TIERING_MAP_ROW_H

#include "tiering/home.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_ROW_EXTENTS   64            /* extents a chunk row covers */
#define MAP_ROW_PATH_MAX  4096
#define MAP_ROW_CHECK     8
#define MAP_ROW_BLOB_MAX  (1 + 16 + 24 + 16 + 2 + MAP_ROW_PATH_MAX + MAP_ROW_CHECK)
#define MAP_ROW_CHUNK_MAX (8 + 8 * MAP_ROW_EXTENTS + MAP_ROW_CHECK)
#define MAP_ROW_ROOT_LEN  (16 + MAP_ROW_CHECK)

enum map_row_table { MAP_ROW_BLOB = 1, MAP_ROW_CHUNK, MAP_ROW_HEAT, MAP_ROW_ROOT, MAP_ROW_PIN, MAP_ROW_SETTING };

/* A set of rows: how many, and the sum of their checks. */
struct map_row_set {
	uint64_t rows, sum;
};

struct map_row_blob {
	struct home_ident ident;
	struct map_row_set chunks;
	bool suspect;
	const char *path;               /* not terminated; after a decode it borrows the value */
	size_t path_len;                /* at most MAP_ROW_PATH_MAX */
};

struct map_row_chunk {
	uint64_t have;                  /* bit i: extent i of the chunk is held */
	uint64_t sums[MAP_ROW_EXTENTS]; /* valid where have has the bit */
};

/* The seed of a row's check.  Blob, heat: a is the blob, b is 0.  Chunk: blob and part. */
uint64_t map_row_key(enum map_row_table table, uint64_t a, uint64_t b);
uint64_t map_row_key_named(enum map_row_table table, const void *name, size_t len);

/* Encoders return the length of the value written to out, which has room for the longest. */
size_t map_row_blob_encode(const struct map_row_blob *b, uint64_t key, unsigned char *out);
size_t map_row_chunk_encode(const struct map_row_chunk *c, uint64_t key, unsigned char *out);
size_t map_row_root_encode(const struct map_row_set *s, uint64_t key, unsigned char *out);
/* Write the check behind len bytes at value; returns len + MAP_ROW_CHECK. */
size_t map_row_seal(unsigned char *value, size_t len, uint64_t key);

/* Decoders: any len bytes at value.  0, or -EBADMSG and *out untouched. */
int map_row_blob_decode(const void *value, size_t len, uint64_t key, struct map_row_blob *out)
	__attribute__((warn_unused_result));
int map_row_chunk_decode(const void *value, size_t len, uint64_t key, struct map_row_chunk *out)
	__attribute__((warn_unused_result));
int map_row_root_decode(const void *value, size_t len, uint64_t key, struct map_row_set *out)
	__attribute__((warn_unused_result));
/* A sealed value whose content is the caller's affair: 0 when its check holds, else -EBADMSG. */
int map_row_verify(const void *value, size_t len, uint64_t key) __attribute__((warn_unused_result));

/* Put the row into the set or take it out: value is whole, len at least MAP_ROW_CHECK. */
void map_row_set_add(struct map_row_set *s, const void *value, size_t len);
void map_row_set_remove(struct map_row_set *s, const void *value, size_t len);
bool map_row_set_equal(const struct map_row_set *a, const struct map_row_set *b);

#endif
