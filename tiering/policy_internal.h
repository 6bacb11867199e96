/* policy_internal.h - what the plan may do to a set; see policy.h for what it must keep true. */
#ifndef TIERING_POLICY_INTERNAL_H
#define TIERING_POLICY_INTERNAL_H

#include "tiering/policy.h"

/* policy_entry.where: a place in the heap, or one of these */
enum { WHERE_FREE = UINT32_MAX, WHERE_YOUNG = UINT32_MAX - 1, WHERE_PIN = UINT32_MAX - 2, WHERE_TAKEN = UINT32_MAX - 3 };

/* The coldest of the heap, brought up to date; POLICY_NONE when it is empty.  One whose lower bound is
 * above limit already is returned as it is, as nobody colder than limit is there. */
uint32_t policy_set_coldest(struct policy_set *s, uint64_t limit);

/* From wherever the resident is to nowhere (WHERE_TAKEN), and from there to the heap. */
void policy_set_take(struct policy_set *s, uint32_t slot);
void policy_set_give_back(struct policy_set *s, uint32_t slot);
/* To the young ones, from wherever it is. */
void policy_set_rest(struct policy_set *s, uint32_t slot, uint64_t tick);

/* Young ones that have rested for window ticks go to the heap. */
void policy_set_mature(struct policy_set *s, uint64_t tick, uint32_t window);

/* A new resident of this size, among the pinned or the young; POLICY_NONE when all slots are taken. */
uint32_t policy_set_admit(struct policy_set *s, const struct policy_ask *a, uint32_t size, uint64_t tick);
/* A resident of WHERE_TAKEN or any other place goes. */
void policy_set_drop(struct policy_set *s, uint32_t slot);
void policy_set_resize(struct policy_set *s, uint32_t slot, uint32_t size);

#endif
