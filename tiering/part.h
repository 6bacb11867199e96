/* part.h - which extents of a blob that is larger than its cache are kept there: a policy set of its own.
 *
 * All calls with tier->lock held but where they say so.
 */
#ifndef TIERING_PART_H
#define TIERING_PART_H

#include "tiering/tier_internal.h"

struct part;

/* Not locked: a set that may hold up to cap extents of the blob.  NULL: no memory. */
struct part *part_new(const struct blob *b, unsigned c, uint32_t cap);
void part_free(struct part *p);

unsigned part_cache(const struct part *p);
uint32_t part_grant(const struct part *p);              /* extents, as the last part_resize said */
/* Whether the extent is, or is to be, on the cache. */
bool part_has(const struct part *p, uint32_t extent);
/* The extent, which was there when the map was read, is a resident. */
void part_found(struct tier *t, struct part *p, struct blob *b, uint32_t extent);
/* A client read the extent: it may be admitted now, and others dropped for it. */
void part_touch(struct tier *t, struct blob *b, uint32_t extent);
/* The cache grants so many extents from now on. */
void part_resize(struct tier *t, struct blob *b, uint32_t grant);
/* The extent is on the cache, and the set does not have it: it is to be dropped. */
void part_unwanted(struct tier *t, struct blob *b, uint32_t extent);
/* Extents that are to be dropped, at most cap: invalid already, and to be punched once the map says so.  Until
 * part_dropped none of them is admitted again: the punch would hit the new bytes. */
uint32_t part_take_drops(struct part *p, uint32_t *extent, uint32_t cap);
void part_dropped(struct part *p);
/* The extent was written and did not become valid, or is valid no more: it loses its place, and its blocks. */
void part_lost(struct tier *t, struct blob *b, uint32_t extent);
bool part_is_dropped(const struct part *p, uint32_t extent);
uint32_t part_drops(const struct part *p);              /* extents that still take space, and are to be punched */

#endif
