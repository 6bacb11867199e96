/* peers_lirs.c - LIRS: S. Jiang, X. Zhang, "LIRS: An Efficient Low Inter-reference Recency Set
 * Replacement Policy", SIGMETRICS 2002.  A hundredth of the cache (at least one) is for blocks of high
 * inter-reference recency; the stack remembers at most twice the cache of blocks that are not resident.
 */
#include "tests/bench/policy/list.h"

#include <errno.h>

enum { LIR = 1, HIR, GHOST };           /* state: low, high and resident, high and gone but in the stack */

struct lirs {
	struct links s, q, g;           /* the stack (its end is the top), the resident high ones, the gone */
	struct queue stack, queue, ghosts;
	uint8_t *state;
	uint32_t lir_cap, hir_cap, lirs, ghost_cap;
};

static void forget(struct lirs *c, uint32_t id)
{
	queue_remove(&c->g, &c->ghosts, id);
	c->state[id] = 0;
}

/* Until the stack's bottom is low. */
static void prune(struct lirs *c)
{
	while (c->stack.count > 0 && c->state[c->stack.first] != LIR) {
		uint32_t id = queue_take(&c->s, &c->stack);

		if (c->state[id] == GHOST)
			forget(c, id);
	}
}

static void to_top(struct lirs *c, uint32_t id)
{
	if (c->s.on[id])
		queue_remove(&c->s, &c->stack, id);
	queue_add(&c->s, &c->stack, id);
}

/* The bottom of the stack, which is low, becomes the newest of the queue. */
static void demote_bottom(struct lirs *c)
{
	uint32_t id = queue_take(&c->s, &c->stack);

	c->state[id] = HIR;
	c->lirs--;
	queue_add(&c->q, &c->queue, id);
	prune(c);
}

static void evict(struct lirs *c)
{
	uint32_t id = queue_take(&c->q, &c->queue);

	if (!c->s.on[id]) {
		c->state[id] = 0;
		return;
	}
	c->state[id] = GHOST;
	queue_add(&c->g, &c->ghosts, id);
	if (c->ghosts.count > c->ghost_cap) {
		id = c->ghosts.first;
		queue_remove(&c->s, &c->stack, id);
		forget(c, id);
	}
}

static void make_low(struct lirs *c, uint32_t id)
{
	c->state[id] = LIR;
	c->lirs++;
	to_top(c, id);
}

static void hit(struct lirs *c, uint32_t id)
{
	bool in_stack = c->s.on[id];

	if (c->state[id] == LIR) {
		to_top(c, id);
		prune(c);
	} else if (in_stack) {
		queue_remove(&c->q, &c->queue, id);
		make_low(c, id);
		demote_bottom(c);
	} else {
		to_top(c, id);
		queue_remove(&c->q, &c->queue, id);
		queue_add(&c->q, &c->queue, id);
	}
}

static void miss(struct lirs *c, uint32_t id)
{
	bool was_ghost;

	if (c->lirs < c->lir_cap && c->state[id] == 0 && c->queue.count == 0) {
		make_low(c, id);
		return;
	}
	if (c->lirs + c->queue.count >= c->lir_cap + c->hir_cap)
		evict(c);
	was_ghost = c->state[id] == GHOST;      /* asked after the eviction, which may forget one */
	if (was_ghost) {
		queue_remove(&c->g, &c->ghosts, id);
		make_low(c, id);
		demote_bottom(c);
	} else {
		c->state[id] = HIR;
		to_top(c, id);
		queue_add(&c->q, &c->queue, id);
	}
}

int replay_lirs(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	struct lirs c = { .stack = queue_named(1), .queue = queue_named(1), .ghosts = queue_named(1) };
	int rc = 0;

	*out = (struct replay_result){ 0 };
	c.hir_cap = cap / 100 > 0 ? cap / 100 : 1;
	c.lir_cap = cap > c.hir_cap ? cap - c.hir_cap : 1;
	c.ghost_cap = 2 * cap;
	c.state = calloc(t->ids, 1);
	if ((links_new(&c.s, t->ids) | links_new(&c.q, t->ids) | links_new(&c.g, t->ids)) != 0 || c.state == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < t->n; i++) {
		uint32_t id = t->id[i];

		if (c.state[id] == LIR || c.state[id] == HIR) {
			out->hits++;
			hit(&c, id);
		} else {
			out->moves++;
			miss(&c, id);
		}
	}
	free(c.state);
	links_free(&c.s);
	links_free(&c.q);
	links_free(&c.g);
	return rc;
}
