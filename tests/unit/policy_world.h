/* policy_world.h - a tier as a test sees it: items, who is resident, and the moves of a plan as text.
 *
 * The world keeps its own account of what is there, executes the moves against it, and fails the test when a
 * move does not fit it, when the tier is ever fuller than its budget after an admission, or when the set breaks
 * an invariant.
 */
#ifndef TESTS_UNIT_POLICY_WORLD_H
#define TESTS_UNIT_POLICY_WORLD_H

#include "tiering/policy.h"

#define WORLD_ITEMS 64
#define WORLD_GROUPS 4
#define WORLD_START 100000      /* the first tick */

struct world_item {
	uint32_t held;          /* what of it is there, by the world's account; 0: nothing */
	uint32_t slot, group, index, size;
	uint64_t key, moved;    /* as the caller's table has them */
	bool pinned;
};

struct world {
	struct policy_set set;
	struct policy_rules rules;
	struct heat_clock clock;
	struct policy_entry entry[WORLD_ITEMS];
	uint32_t heap[WORLD_ITEMS];
	struct policy_group group[WORLD_GROUPS];
	struct world_item item[WORLD_ITEMS];
	uint64_t used;
	struct policy_move move[2 * WORLD_ITEMS];
	size_t moves, cap;      /* of the last plan; room for moves */
	char text[2048];        /* "-3 +7 ^5:30 v5:10": drop, admit, grow and shrink to */
};

/* Items have size 1 and heat 0, group none; slots bounds the residents.  The clock is at WORLD_START. */
void world_init(struct world *w, struct policy_rules rules, uint32_t slots);
void world_heat(struct world *w, uint32_t id, double heat);
double world_heat_of(const struct world *w, uint32_t id);       /* with credit, when resident */
/* Resident since then. */
void world_put(struct world *w, uint32_t id, uint64_t tick, uint16_t flags);
struct policy_ask world_ask(const struct world *w, uint32_t id, uint16_t flags);
/* Plan, check, execute; w->text says what moved. */
void world_plan(struct world *w, struct policy_ask *ask, size_t asks);

#endif
