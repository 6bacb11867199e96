/* policy.h - what belongs on a tier: a pure function from who is there, who asks and now, to moves.
 *
 * It reads no clock, takes no lock, does no I/O and allocates nothing.  The mover executes its moves.
 *
 * The rule.  While the tier has room, an item is admitted at its first touch (RAM) or its second (a cache
 * disk; of a blob, the touch of a second tick).  A full tier admits x only over its coldest unpinned resident v, and only if
 *
 *     heat(x) > 1.1 * heat(v) + 1
 *
 * The one touch makes a loop larger than the tier still (see heat.h), the tenth makes equals stay.
 *
 * Items.  One struct policy_set is one tier's residents, of any size in any unit:
 *  RAM            units of 2 MiB of blobs open natively, size 1 each; group = blob
 *  cache disk     blobs, size = extents, heat = mean over the blob's extents (heat_add of 1/extents a
 *                 touch, under the cache's clock).  So victims are whole blobs, coldest first, and all of
 *                 them must lose to x by the rule, else none goes.
 *  part of a blob a blob larger than the whole budget asks with POLICY_PART and is granted what the rule
 *                 gives it, up to the budget; a set of its own with that grant as budget holds its extents.
 *                 What a smaller blob wins back from it is taken by POLICY_SHRINK.
 *
 * The set is the snapshot, kept up by its owner: millions of extents outside the tier cost nothing here.
 * Residents lie in a heap by key, which time does not reorder.  A touch of a resident writes its key, O(1);
 * the heap is put right only where a decision looks, so a decision costs O(log residents) amortised.
 *
 * Groups give heat to residents whose hits nobody sees, because the kernel serves them: each is credited
 * the mean of what the group's missing items are touched (policy_group_refault), O(1) a touch for all of
 * them together.  They also know how much of a blob is missing, for runs: of a blob that does not fit,
 * aligned runs of rules->run items are taken evenly over its length, so that what is missing is read while
 * the rest is used.  Runs order who fills room, never who is hotter: within its blob an item is exchanged
 * for a hotter one wherever they lie.
 *
 * Invariants (policy_set_check):
 *  P1  used = sum of the residents' sizes.
 *  P2  every resident is in exactly one of: the heap, the list of young ones, the list of pinned ones.
 *  P3  a resident is never colder than the place it has in the heap says.
 *  P4  after a plan used <= budget, unless the list of moves was too short to say all.
 *
 * Repeated on unchanged input a plan is empty.  Nothing moves twice within the window, but by an order, a
 * pin, or a budget that shrank.
 *
 * Threads: none of this locks; a set with its groups belongs to one thread at a time.
 */
#ifndef TIERING_POLICY_H
#define TIERING_POLICY_H

#include "tiering/heat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_NONE UINT32_MAX          /* no slot, no group */
#define POLICY_RATIO 1.1
#define POLICY_TOUCH 1.0

struct policy_rules {
	uint64_t budget;                /* of the tier, in the unit of sizes */
	double ratio, touch;            /* POLICY_RATIO, POLICY_TOUCH */
	uint32_t first;                 /* touches before anything is given: 1 RAM, 2 cache disk */
	uint32_t window;                /* ticks that what moved rests */
	uint32_t run;                   /* items in a run of a blob that does not fit; 0: no runs */
};
struct policy_rules policy_rules_ram(uint64_t budget_units);            /* units of 2 MiB */
struct policy_rules policy_rules_cache(uint64_t budget_extents);

enum policy_flags {
	POLICY_SCAN = 1,                /* asked for by a scan: not admitted, its touch should not be heat */
	POLICY_PIN = 2,                 /* pinned to this tier: admitted over all that is not, stays */
	POLICY_WARM = 4,                /* ordered now: admitted over the coldest, whatever the heats */
	POLICY_PART = 8,                /* may be granted less than its size */
};

enum policy_reason {
	POLICY_UNDECIDED,
	/* moves */
	POLICY_ROOM, POLICY_HOTTER, POLICY_PINNED, POLICY_ORDERED,
	POLICY_DISPLACED,               /* a drop: why names who came */
	POLICY_BUDGET,                  /* a drop: the budget is smaller than what is there */
	/* no moves */
	POLICY_RESIDENT, POLICY_IS_SCAN, POLICY_FEW_TOUCHES, POLICY_OFF_RUN, POLICY_RECENT,
	POLICY_COLDER,                  /* the rule said no */
	POLICY_NO_VICTIM,               /* all that is there is pinned or too young to go */
	POLICY_TOO_BIG,                 /* more than the budget less what is pinned */
	POLICY_DEFERRED,                /* the list of moves, or of slots, was full */
	POLICY_REASON_COUNT,
};
const char *policy_reason_name(enum policy_reason r);

/* A decision and the numbers that made it. */
struct policy_why {
	enum policy_reason reason;
	uint64_t tick;                  /* when */
	uint64_t other;                 /* id: of the coldest resident, or, of a drop, who came for it */
	bool has_other;
	double heat;                    /* of x, who asks */
	double heat_other;              /* of v; of a refusal it may be a lower bound, and enough */
	double need;                    /* ratio * heat(v) + touch: x had to be above it */
	uint64_t size, used, budget;    /* size asked; used and budget before */
};
/* "admitted: hotter (heat 7.31 > 1.1 * 4.02 + 1 = 5.42 of 812), 512 of 512 used", one line without a
 * newline.  Returns as snprintf. */
int policy_why_print(const struct policy_why *w, const struct policy_rules *r, char *buf, size_t cap);

/* Who asks: touched in this tick, pinned, or ordered.  The caller's array, in any order.  One that is there
 * already is pinned by POLICY_PIN (policy_set_pin undoes it) and rests anew by POLICY_WARM. */
struct policy_ask {
	uint64_t id;                    /* the caller's name for it */
	uint64_t key;                   /* heat.h, under the clock given to the plan */
	uint64_t moved;                 /* tick of its last move, 0: none or long ago */
	uint32_t slot;                  /* POLICY_NONE unless resident; set when it is admitted */
	uint32_t group;                 /* index into the set's groups, or POLICY_NONE */
	uint32_t index;                 /* its place in its group, for runs */
	uint32_t size;
	uint16_t flags;                 /* enum policy_flags */
	uint16_t touches;               /* ticks with a touch so far, saturating */
	struct policy_why why;          /* out */
};

enum policy_op { POLICY_ADMIT, POLICY_DROP, POLICY_GROW, POLICY_SHRINK };

/* A drop comes before the admission it makes room for, and must be finished before it. */
struct policy_move {
	enum policy_op op;
	uint64_t id;
	uint64_t key;                   /* of a drop: its heat with all credit, for the caller's table */
	uint32_t slot;                  /* of an admission: to be kept by the caller; of a drop: now free */
	uint32_t group;
	uint32_t size;                  /* held after the move; of a drop, before it */
	struct policy_why why;
};

/* A blob whose residents are credited and laid in runs.  Filled by the caller: total; the rest is 0. */
struct policy_group {
	uint64_t credit;                /* key of the sum of credits */
	uint32_t total;                 /* items of the blob */
	uint32_t resident;              /* of them in the set */
};

struct policy_entry {                   /* the set's own */
	uint64_t id, key, order, stamp;
	uint32_t size, group, born, where, prev, next, flags;
};

struct policy_set {                     /* the set's own, but for reading used, count and pinned */
	struct policy_entry *entry;     /* [cap], borrowed */
	uint32_t *heap;                 /* [cap], borrowed */
	struct policy_group *group;     /* [groups], borrowed; NULL: none */
	uint32_t cap, groups, count, heaped, free;
	uint32_t young_first, young_last, pin_first, pin_last;
	uint64_t used, pinned;
};

/* Bytes an array of cap residents needs: sizeof(struct policy_entry) + 4 each, all borrowed until the
 * set is no longer used.  The arrays need no initial value. */
void policy_set_init(struct policy_set *s, struct policy_entry *entry, uint32_t *heap, uint32_t cap,
		     struct policy_group *group, uint32_t groups);

/* A resident that no plan admitted: found at start, or its drop failed.  It rests from tick, which is no
 * less than in any call before.  Its slot, or POLICY_NONE when the set is full. */
uint32_t policy_set_add(struct policy_set *s, const struct policy_ask *a, uint64_t tick);
/* One that went without a plan: deleted, invalid, failed.  Returns its key with all credit. */
uint64_t policy_set_remove(struct policy_set *s, uint32_t slot);
/* A resident was touched, and this is its key now; what it has by credit is kept when that is more. */
void policy_set_touch(struct policy_set *s, uint32_t slot, uint64_t key);
void policy_set_pin(struct policy_set *s, uint32_t slot, bool pin, uint64_t tick);
/* Its key with all credit. */
uint64_t policy_set_key(const struct policy_set *s, uint32_t slot);
/* 0, or the number of the invariant that does not hold. */
int policy_set_check(const struct policy_set *s);

/* Missing items of a group were touched, count of them since the last tick: its residents are credited
 * count / missing each.  Without anything missing there is nothing to learn from. */
void policy_group_refault(struct policy_group *g, const struct heat_clock *c, uint32_t count);
/* The residents are known to have been touched weight times each: a mapping whose pages are referenced. */
void policy_group_use(struct policy_group *g, const struct heat_clock *c, double weight);

/* The moves for these asks, at c->tick, in the order to be done, as many as cap holds; each ask's why is
 * filled.  The set is left as it is when the moves are done; a move that fails is told by
 * policy_set_remove (an admission) or policy_set_add (a drop).  To ask what would move, plan on a copy. */
size_t policy_plan(struct policy_set *s, const struct policy_rules *r, const struct heat_clock *c,
		   struct policy_ask *ask, size_t asks, struct policy_move *move, size_t cap);

/* Whether the item at index of a group is on the runs that a share of quota items takes. */
bool policy_on_run(uint32_t index, uint32_t total, uint64_t quota, uint32_t run);

#endif
