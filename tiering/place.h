/* place.h - the thread that decides where blobs are and has it done: policy, fills, drops, orders, heat.
 *
 * Every tick (250 ms) the blobs that were touched are put to the policy (policy.h) of the caches, fastest first;
 * what it admits is filled, what it drops is dropped.  Pins and orders override.
 */
#ifndef TIERING_PLACE_H
#define TIERING_PLACE_H

#include "tiering/tier_internal.h"

/* t->place, in which others may leave what is due; -ENOMEM. */
int place_new(struct tier *t) __attribute__((warn_unused_result));
/* Its thread runs from here on; -EAGAIN. */
int place_start(struct tier *t) __attribute__((warn_unused_result));
/* Ends the thread, ends fills, saves heat. */
void place_stop(struct tier *t);
void place_free(struct tier *t);        /* nothing else runs */

/* Locked: the blob was touched in this tick; it is to be looked at at once. */
void place_touched(struct tier *t, struct blob *b);
void place_due(struct tier *t, struct blob *b);
void place_wake(struct tier *t);

/* Locked: what was read from the cache was wrong; the extent's copy is not to be used. */
void place_bad_extent(struct tier *t, struct blob *b, unsigned c, uint32_t extent);
/* Locked: the cache came back into service. */
void place_cache_back(struct tier *t, unsigned c);
/* Locked: home's file is another one by now, or none: the blob leaves the table (b->gone), its copies are
 * dropped; who has it open goes on reading home. */
void place_changed(struct tier *t, struct blob *b);
/* The list of active fills, locked. */
struct fill *place_fills(struct tier *t);

/* A resident of the cache's set: put there by what was found at start or a drop that failed. */
void place_add_resident(struct tier *t, struct blob *b, unsigned c);
/* The blob is a resident no more, whatever the policy thinks. */
void place_remove_resident(struct tier *t, struct blob *b, unsigned c);

/* Not locked: attributes of home's directories changed, look through it again soon. */
void place_walk_again(struct tier *t);

/* Bytes that may displace others at once, when none did for long. */
double place_wear_most(const struct tier_cache *k);

/* What would move next, one line each; locked inside. */
int place_plan_print(struct tier *t, char **out) __attribute__((warn_unused_result));

#endif
