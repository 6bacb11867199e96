#include "tiering/policy_internal.h"

#include <math.h>
#include <stdio.h>

#define RAM_WINDOW (10 * HEAT_TICKS_PER_SECOND)
#define RAM_RUN 16                              /* 32 MiB of units of 2 MiB */
#define CACHE_WINDOW (600 * HEAT_TICKS_PER_SECOND)
#define RUN_SLACK 2                             /* runs; see policy_on_run */
#define OFF_RUN_TOUCHES 1

struct policy_rules policy_rules_ram(uint64_t budget_units)
{
	return (struct policy_rules){ .budget = budget_units, .ratio = POLICY_RATIO, .touch = POLICY_TOUCH,
				      .first = 1, .window = RAM_WINDOW, .run = RAM_RUN };
}

struct policy_rules policy_rules_cache(uint64_t budget_extents)
{
	return (struct policy_rules){ .budget = budget_extents, .ratio = POLICY_RATIO, .touch = POLICY_TOUCH,
				      .first = 2, .window = CACHE_WINDOW };
}

/* Run j is taken when the fraction of j times the golden ratio lies below the share: such sets are spread
 * evenly for every share, and a smaller share's is a part of a larger one's, so nothing moves as a blob
 * fills.  A count of such j is off by less than RUN_SLACK, which is why that much is added: the room must
 * be used up, and is what ends the filling. */
bool policy_on_run(uint32_t index, uint32_t total, uint64_t quota, uint32_t run)
{
	uint64_t share;

	if (run == 0)
		return true;
	quota += (uint64_t)RUN_SLACK * run;
	if (quota >= total)
		return true;
	share = (quota << 32) / total;
	return (uint32_t)(index / run * 2654435769u) < share;
}

struct plan {
	struct policy_set *s;
	const struct policy_rules *r;
	const struct heat_clock *c;
	struct policy_move *move;
	size_t moves, cap;
	bool again;                             /* the last pass opened a place to one it had refused before */
	bool off_run;                           /* somebody was refused this pass for who is the coldest */
};

/* What asks may displace. */
enum claim { CLAIM_RULE, CLAIM_COLDEST, CLAIM_ANY };

/* Residents taken out of the heap for one admission, hottest first, linked by next. */
struct gathered {
	uint32_t first, count;
	uint64_t size;
};

/* What is admitted in a plan is not displaced in it. */
static uint32_t rest_of(const struct policy_rules *r)
{
	return r->window != 0 ? r->window : 1;
}

static struct policy_why why_of(const struct plan *p, const struct policy_ask *a, enum policy_reason reason)
{
	return (struct policy_why){ .reason = reason, .tick = p->c->tick, .heat = heat_key_now(a->key, p->c),
				    .size = a->size, .used = p->s->used, .budget = p->r->budget };
}

static void why_other(struct policy_why *w, const struct plan *p, uint64_t id, uint64_t key)
{
	w->other = id;
	w->has_other = true;
	w->heat_other = heat_key_now(key, p->c);
	w->need = p->r->ratio * w->heat_other + p->r->touch;
}

/* One taken is there after all.  Those that came just now rest on, from now. */
static void give_back(struct plan *p, uint32_t slot)
{
	if ((uint32_t)p->c->tick - p->s->entry[slot].born >= rest_of(p->r))
		policy_set_give_back(p->s, slot);
	else
		policy_set_rest(p->s, slot, p->c->tick);
}

static void drop(struct plan *p, uint32_t slot, struct policy_why why)
{
	const struct policy_entry *e = &p->s->entry[slot];

	p->move[p->moves++] = (struct policy_move){ .op = POLICY_DROP, .id = e->id, .key = policy_set_key(p->s, slot),
						    .slot = slot, .group = e->group, .size = e->size, .why = why };
	policy_set_drop(p->s, slot);
}

static void shrink(struct plan *p, uint32_t slot, uint32_t size, struct policy_why why)
{
	struct policy_entry *e = &p->s->entry[slot];

	policy_set_resize(p->s, slot, size);
	p->move[p->moves++] = (struct policy_move){ .op = POLICY_SHRINK, .id = e->id, .key = policy_set_key(p->s, slot),
						    .slot = slot, .group = e->group, .size = size, .why = why };
}

/* ---- the budget ---- */

static uint32_t first_to_go(struct policy_set *s)
{
	uint32_t slot = policy_set_coldest(s, UINT64_MAX);

	if (slot == POLICY_NONE)
		slot = s->young_first;
	return slot != POLICY_NONE ? slot : s->pin_first;
}

static void fit_budget(struct plan *p)
{
	while (p->s->used > p->r->budget && p->moves < p->cap) {
		uint32_t slot = first_to_go(p->s);
		const struct policy_entry *e = &p->s->entry[slot];
		uint64_t over = p->s->used - p->r->budget;
		struct policy_why w = { .reason = POLICY_BUDGET, .tick = p->c->tick,
					.heat = heat_key_now(policy_set_key(p->s, slot), p->c), .size = e->size,
					.used = p->s->used, .budget = p->r->budget };

		if ((e->flags & POLICY_PART) && over < e->size)
			shrink(p, slot, (uint32_t)(e->size - over), w);
		else
			drop(p, slot, w);
	}
}

/* ---- admission ---- */

/* Keys above it are too hot to be displaced by a; a little is added, as the rule itself decides. */
static uint64_t rule_limit(const struct plan *p, const struct policy_ask *a)
{
	double most = (heat_key_now(a->key, p->c) - p->r->touch) / p->r->ratio;
	uint64_t key = heat_key_from(most * (1 + 1e-6), p->c);

	return most > 0 ? key : 0;
}

static bool rule_holds(const struct plan *p, const struct policy_ask *a, uint64_t key)
{
	return heat_key_now(a->key, p->c) > p->r->ratio * heat_key_now(key, p->c) + p->r->touch;
}

static bool off_run(const struct plan *p, const struct policy_ask *a, uint64_t quota)
{
	return a->group < p->s->groups && !policy_on_run(a->index, p->s->group[a->group].total, quota, p->r->run);
}

/* Residents that may go for a, coldest first, until they make up size or one may not; w gets the numbers
 * of the last looked at, and of a failure the reason. */
static struct gathered gather(struct plan *p, const struct policy_ask *a, uint64_t size, enum claim claim,
			      struct policy_why *w)
{
	uint64_t limit = claim == CLAIM_RULE ? rule_limit(p, a) : UINT64_MAX;
	struct gathered g = { .first = POLICY_NONE };

	while (g.size < size) {
		uint32_t slot = policy_set_coldest(p->s, limit);

		if (slot == POLICY_NONE && claim == CLAIM_ANY)
			slot = p->s->young_first;
		if (slot == POLICY_NONE) {
			w->reason = POLICY_NO_VICTIM;
			break;
		}
		why_other(w, p, p->s->entry[slot].id, p->s->entry[slot].order);
		if (claim == CLAIM_RULE && !rule_holds(p, a, p->s->entry[slot].order)) {
			w->reason = POLICY_COLDER;
			break;
		}
		if (claim == CLAIM_RULE && p->s->entry[slot].group != a->group &&
		    off_run(p, a, p->r->budget - p->s->pinned)) {
			w->reason = POLICY_OFF_RUN;
			p->off_run = true;
			break;
		}
		if (p->moves + g.count + 2 > p->cap) {
			w->reason = POLICY_DEFERRED;
			break;
		}
		policy_set_take(p->s, slot);
		p->s->entry[slot].next = g.first;
		g.first = slot;
		g.count++;
		g.size += p->s->entry[slot].size;
	}
	return g;
}

/* Put those back that are not needed to make up size: all of them for size 0. */
static void release(struct plan *p, struct gathered *g, uint64_t size)
{
	uint32_t *link = &g->first;

	while (*link != POLICY_NONE) {
		uint32_t slot = *link;
		struct policy_entry *e = &p->s->entry[slot];

		if (size != 0 && g->size - e->size < size) {
			link = &e->next;
			continue;
		}
		*link = e->next;
		g->size -= e->size;
		g->count--;
		give_back(p, slot);
	}
}

/* Drop the gathered; of one held in part only what is needed of size goes. */
static void displace(struct plan *p, const struct policy_ask *a, struct gathered *g, uint64_t size)
{
	struct policy_why w = why_of(p, a, POLICY_DISPLACED);
	uint64_t surplus = g->size - size;
	uint32_t slot, next;

	for (slot = g->first; slot != POLICY_NONE; slot = next) {
		struct policy_entry *e = &p->s->entry[slot];

		next = e->next;
		why_other(&w, p, a->id, policy_set_key(p->s, slot));
		w.used = p->s->used;
		if ((e->flags & POLICY_PART) && surplus > 0) {
			give_back(p, slot);
			shrink(p, slot, (uint32_t)surplus, w);
			surplus = 0;
		} else {
			drop(p, slot, w);
		}
	}
	p->again = p->again || surplus > 0 || p->off_run;
}

static void enter(struct plan *p, struct policy_ask *a, uint32_t slot, uint32_t held, uint32_t size)
{
	enum policy_op op = held != 0 ? POLICY_GROW : POLICY_ADMIT;

	if (held != 0) {
		policy_set_resize(p->s, slot, held + size);
	} else {
		slot = policy_set_admit(p->s, a, size, p->c->tick);
		if (slot == POLICY_NONE) {              /* others only shrank: their slots are still taken */
			a->why.reason = POLICY_DEFERRED;
			return;
		}
		a->slot = slot;
	}
	p->move[p->moves++] = (struct policy_move){ .op = op, .id = a->id, .key = a->key, .slot = slot,
						    .group = a->group, .size = held + size, .why = a->why };
}

/* Whether a may have room that is free; *w gets why not. */
static bool may_fill(const struct plan *p, const struct policy_ask *a, uint64_t room, struct policy_why *w)
{
	if (a->flags & (POLICY_PIN | POLICY_WARM))
		w->reason = (a->flags & POLICY_PIN) ? POLICY_PINNED : POLICY_ORDERED;
	else if (a->group < p->s->groups && off_run(p, a, p->s->group[a->group].resident + room) &&
		 w->heat <= OFF_RUN_TOUCHES * p->r->touch)
		w->reason = POLICY_OFF_RUN;
	else
		w->reason = POLICY_ROOM;
	return w->reason <= POLICY_ORDERED;
}

/* Up to want for a, of which held is there already: free room, then what others must give. */
static void admit(struct plan *p, struct policy_ask *a, uint32_t slot, uint32_t held, uint32_t want)
{
	static const enum policy_reason won[] = { POLICY_HOTTER, POLICY_ORDERED, POLICY_PINNED };
	enum claim claim = a->flags & POLICY_PIN ? CLAIM_ANY : a->flags & POLICY_WARM ? CLAIM_COLDEST : CLAIM_RULE;
	uint64_t room = p->r->budget > p->s->used ? p->r->budget - p->s->used : 0;
	struct policy_why *w = &a->why;
	struct gathered g;

	if (p->moves == p->cap || (held == 0 && p->s->free == POLICY_NONE && room > 0)) {
		w->reason = POLICY_DEFERRED;
		return;
	}
	if (room >= want || ((a->flags & POLICY_PART) && room > 0)) {
		if (!may_fill(p, a, room, w))
			return;
		if (room >= want) {
			enter(p, a, slot, held, want);
			return;
		}
	}
	g = gather(p, a, want - room, claim, w);
	if (room + g.size >= want) {
		release(p, &g, want - room);
		w->reason = won[claim];
	} else if ((a->flags & POLICY_PART) && room + g.size > 0) {
		want = (uint32_t)(room + g.size);
		w->reason = g.count > 0 ? won[claim] : POLICY_ROOM;
	} else {
		release(p, &g, 0);
		return;
	}
	displace(p, a, &g, want - room);
	enter(p, a, slot, held, want);
}

static bool is_resident(const struct policy_set *s, const struct policy_ask *a)
{
	return a->slot < s->cap && s->entry[a->slot].where != WHERE_FREE && s->entry[a->slot].id == a->id;
}

static void decide(struct plan *p, struct policy_ask *a)
{
	uint64_t most = p->r->budget > p->s->pinned ? p->r->budget - p->s->pinned : 0;
	uint32_t want = a->size, held = 0, slot = a->slot;
	bool forced = a->flags & (POLICY_PIN | POLICY_WARM);

	a->why = why_of(p, a, POLICY_UNDECIDED);
	if (is_resident(p->s, a)) {
		held = p->s->entry[slot].size;
		if (p->s->entry[slot].where == WHERE_PIN)
			most += held;
	}
	if ((a->flags & POLICY_PART) && want > most)
		want = (uint32_t)most;
	if (held >= want && held > 0)
		a->why.reason = POLICY_RESIDENT;
	else if ((a->flags & POLICY_SCAN) && !forced)
		a->why.reason = POLICY_IS_SCAN;
	else if (held > 0 && !(a->flags & POLICY_PART))
		a->why.reason = POLICY_RESIDENT;
	else if (want > most || want == 0)
		a->why.reason = POLICY_TOO_BIG;
	else if (!forced && held == 0 && a->moved != 0 && p->c->tick - a->moved < p->r->window)
		a->why.reason = POLICY_RECENT;
	else if (!forced && held == 0 && a->touches < p->r->first)
		a->why.reason = POLICY_FEW_TOUCHES;
	if (a->why.reason != POLICY_UNDECIDED)
		return;
	if (held > 0 && p->s->entry[slot].where < p->s->heaped) {
		policy_set_take(p->s, slot);            /* it is not its own victim */
		admit(p, a, slot, held, want - held);
		policy_set_give_back(p->s, slot);
	} else {
		admit(p, a, slot, held, want - held);
	}
}

/* What is there already is pinned by a pin; by an order it rests as if it had just come. */
static void keep(struct plan *p, const struct policy_ask *a)
{
	bool pinned;

	if (!(a->flags & (POLICY_PIN | POLICY_WARM)) || !is_resident(p->s, a))
		return;
	pinned = p->s->entry[a->slot].where == WHERE_PIN;
	if (a->flags & POLICY_PIN)
		policy_set_pin(p->s, a->slot, true, p->c->tick);
	else if (!pinned)
		policy_set_rest(p->s, a->slot, p->c->tick);
}

/* Pins first, then orders, then the others; a move that freed more than it needed, or put another in the
 * coldest's place, lets those try again that were refused before it. */
static int rank_of(const struct policy_ask *a)
{
	return a->flags & POLICY_PIN ? 0 : a->flags & POLICY_WARM ? 1 : 2;
}

size_t policy_plan(struct policy_set *s, const struct policy_rules *r, const struct heat_clock *c,
		   struct policy_ask *ask, size_t asks, struct policy_move *move, size_t cap)
{
	struct plan p = { .s = s, .r = r, .c = c, .move = move, .cap = cap };

	policy_set_mature(s, c->tick, rest_of(r));
	fit_budget(&p);
	for (size_t i = 0; i < asks; i++)
		keep(&p, &ask[i]);
	for (int rank = 0; rank < 3; rank++) {
		for (size_t i = 0; i < asks; i++) {
			if (rank_of(&ask[i]) == rank)
				decide(&p, &ask[i]);
		}
	}
	while (p.again) {
		p.again = p.off_run = false;
		for (size_t i = 0; i < asks; i++) {
			if (rank_of(&ask[i]) == 2 && (!is_resident(s, &ask[i]) || (ask[i].flags & POLICY_PART)))
				decide(&p, &ask[i]);
		}
	}
	return p.moves;
}

/* ---- words ---- */

const char *policy_reason_name(enum policy_reason r)
{
	static const char *const name[POLICY_REASON_COUNT] = {
		[POLICY_UNDECIDED] = "undecided",
		[POLICY_ROOM] = "admitted: there was room",
		[POLICY_HOTTER] = "admitted: hotter than the coldest",
		[POLICY_PINNED] = "admitted: pinned",
		[POLICY_ORDERED] = "admitted: ordered",
		[POLICY_DISPLACED] = "dropped: displaced",
		[POLICY_BUDGET] = "dropped: over the budget",
		[POLICY_RESIDENT] = "already there",
		[POLICY_IS_SCAN] = "refused: a scan",
		[POLICY_FEW_TOUCHES] = "refused: too few touches yet",
		[POLICY_OFF_RUN] = "refused: left to be read between resident runs",
		[POLICY_RECENT] = "refused: moved a short time ago",
		[POLICY_COLDER] = "refused: not hotter than the coldest by the margin",
		[POLICY_NO_VICTIM] = "refused: what is there is pinned or too young to go",
		[POLICY_TOO_BIG] = "refused: larger than the tier less what is pinned",
		[POLICY_DEFERRED] = "deferred: too many moves at once",
	};

	return (unsigned int)r < POLICY_REASON_COUNT ? name[r] : "unknown";
}

int policy_why_print(const struct policy_why *w, const struct policy_rules *r, char *buf, size_t cap)
{
	const char *name = policy_reason_name(w->reason);
	unsigned long long size = w->size, used = w->used, budget = w->budget, other = w->other;

	if (!w->has_other)
		return snprintf(buf, cap, "%s (heat %.4g, size %llu, %llu of %llu used)", name, w->heat, size, used,
				budget);
	return snprintf(buf, cap, "%s (heat %.4g against %.4g * %.4g + %.4g = %.4g with %llu, size %llu, %llu of %llu used)",
			name, w->heat, r->ratio, w->heat_other, r->touch, w->need, other, size, used, budget);
}
