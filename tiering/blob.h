/* blob.h - the table of blobs: what is known of each file that may have copies.
 *
 * All calls with tier->lock held but where they say so.
 */
#ifndef TIERING_BLOB_H
#define TIERING_BLOB_H

#include "tiering/tier_internal.h"

/* The blob of st_ino, or NULL. */
struct blob *blob_find(struct tier *t, uint64_t st_ino);
/* Not locked: a new blob of that identity, not in the table.  NULL: no memory. */
struct blob *blob_new(const struct home_ident *id, const char *path);
void blob_free(struct blob *b);
/* Put it in; NULL, or the one that was there already under its st_ino, which stays. */
struct blob *blob_insert(struct tier *t, struct blob *b);
/* Put new where old was, of the same st_ino, which is the caller's then. */
void blob_replace(struct tier *t, struct blob *old, struct blob *new);
/* Take it out (b->gone): its file is another one now, or none.  It lives on for those who refer to it. */
void blob_remove(struct tier *t, struct blob *b);
/* Call each for every blob in the table; it must not insert. */
void blob_each(struct tier *t, void (*each)(void *ctx, struct blob *b), void *ctx);

/* Not locked, before blob_arrays_set: the three arrays for that many extents.  False: no memory. */
struct blob_arrays {
	uint8_t *state;
	uint64_t *sum;
	struct heat *heat;
};
bool blob_arrays_new(struct blob_arrays *a, uint32_t extents);
void blob_arrays_free(struct blob_arrays *a);
/* Give them to the blob unless it has some; what is not taken stays in *a. */
void blob_arrays_set(struct blob *b, struct blob_arrays *a);

#define BLOB_PATH_MAX 4096
/* Not locked: its path, which opens may replace, copied to buf; returns buf. */
const char *blob_path(struct tier *t, const struct blob *b, char buf[BLOB_PATH_MAX]);

uint32_t blob_extents_of(uint64_t size);
uint32_t blob_extent_bytes(const struct blob *b, uint32_t extent);      /* the last one may be short */
uint64_t blob_copy_bytes(const struct blob *b);                 /* a complete copy on disk: whole 4 KiB blocks */

/* The extent's copy on cache c came (true) or went. */
void blob_valid_set(struct blob *b, unsigned c, uint32_t extent, bool valid);
bool blob_complete(const struct blob *b, unsigned c);
/* The copy that a token names, with a reference; NULL: it is gone, or going. */
struct cache_copy *blob_copy_named(const struct tier *t, const struct blob *b, uint64_t token);
/* Whether a token names home (0) or a copy that is not going. */
bool blob_has_token(const struct tier *t, const struct blob *b, uint64_t token);
/* Nothing on cache c counts any more; the rows in the map are the caller's business. */
void blob_forget_copy(struct blob *b, unsigned c);

/* A reference ends; without any its descriptors of home are closed soon. */
void blob_unref(struct tier *t, struct blob *b);

/* A touch of one extent now: heat, and the list of what the next tick asks about. */
void blob_touch(struct tier *t, struct blob *b, uint32_t extent);
/* A client opened it to be gathered: a tick with a touch, of no heat of its own. */
void blob_opened(struct tier *t, struct blob *b);
/* All of it was touched by weight each: a native open, refaults. */
void blob_touch_whole(struct tier *t, struct blob *b, double weight);
/* The place thread is to look at it. */
void blob_due(struct tier *t, struct blob *b);

/* Whether nobody may be trusted to have finished writing a file of that path: scratch of downloads. */
bool blob_is_scratch(const char *path);

#endif
