#include "tiering/part.h"
#include "tiering/blob.h"

#include <stdlib.h>
#include <string.h>

#define PART_MOVES 64
#define PART_DROPS 256

struct part {
	struct policy_set set;
	struct policy_rules rules;
	struct policy_entry *entry;
	uint32_t *heap;
	uint32_t *slot;                 /* [extents] */
	uint32_t drop[PART_DROPS], drops;
	uint32_t taken;                 /* of drop, the first ones: being punched */
	uint32_t extents;
	unsigned cache;
};

struct part *part_new(const struct blob *b, unsigned c, uint32_t cap)
{
	struct part *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->cache = c;
	p->extents = b->extents;
	p->entry = malloc(cap * sizeof(*p->entry));
	p->heap = malloc(cap * sizeof(*p->heap));
	p->slot = malloc(b->extents * sizeof(*p->slot));
	if (p->entry == NULL || p->heap == NULL || p->slot == NULL) {
		part_free(p);
		return NULL;
	}
	for (uint32_t e = 0; e < b->extents; e++)
		p->slot[e] = POLICY_NONE;
	p->rules = policy_rules_ram(0);         /* as in RAM: room is given at the first touch */
	policy_set_init(&p->set, p->entry, p->heap, cap, NULL, 0);
	return p;
}

void part_free(struct part *p)
{
	if (p == NULL)
		return;
	free(p->entry);
	free(p->heap);
	free(p->slot);
	free(p);
}

unsigned part_cache(const struct part *p)
{
	return p->cache;
}

uint32_t part_grant(const struct part *p)
{
	return (uint32_t)p->rules.budget;
}

bool part_has(const struct part *p, uint32_t extent)
{
	return p != NULL && p->slot[extent] != POLICY_NONE;
}

static struct policy_ask part_ask(const struct part *p, const struct blob *b, uint32_t extent)
{
	return (struct policy_ask){ .id = extent, .key = heat_key(b->heat[extent]), .slot = p->slot[extent],
				    .group = POLICY_NONE, .size = 1, .touches = 1 };
}

void part_found(struct tier *t, struct part *p, struct blob *b, uint32_t extent)
{
	struct policy_ask ask = part_ask(p, b, extent);

	p->slot[extent] = policy_set_add(&p->set, &ask, t->tick);
	if (p->slot[extent] == POLICY_NONE)     /* the cache was made smaller */
		part_unwanted(t, b, extent);
}

static void part_drop(struct tier *t, struct blob *b, const struct policy_move *m)
{
	struct part *p = b->part;
	uint32_t e = (uint32_t)m->id;

	p->slot[e] = POLICY_NONE;
	b->heat[e] = heat_from_key(m->key, &t->clock);
	if (b->state[e] & 1u << p->cache)
		part_unwanted(t, b, e);
}

void part_unwanted(struct tier *t, struct blob *b, uint32_t extent)
{
	struct part *p = b->part;

	if (p->drops == PART_DROPS) {   /* after failures only: nobody counts its blocks, so the whole copy goes */
		b->copy[p->cache].dropping = true;
		blob_due(t, b);
		return;
	}
	blob_valid_set(b, p->cache, extent, false);
	p->drop[p->drops++] = extent;
	blob_due(t, b);
}

void part_lost(struct tier *t, struct blob *b, uint32_t extent)
{
	struct part *p = b->part;

	if (p->slot[extent] != POLICY_NONE) {
		policy_set_remove(&p->set, p->slot[extent]);
		p->slot[extent] = POLICY_NONE;
	}
	part_unwanted(t, b, extent);
}

bool part_is_dropped(const struct part *p, uint32_t extent)
{
	for (uint32_t i = 0; i < p->drops; i++)
		if (p->drop[i] == extent)
			return true;
	return false;
}

void part_touch(struct tier *t, struct blob *b, uint32_t extent)
{
	struct part *p = b->part;
	struct policy_move move[2];
	struct policy_ask ask;
	size_t n;

	if (p->slot[extent] != POLICY_NONE) {
		policy_set_touch(&p->set, p->slot[extent], heat_key(b->heat[extent]));
		return;
	}
	if (p->drops + 2 > PART_DROPS || part_is_dropped(p, extent))
		return;
	ask = part_ask(p, b, extent);
	n = policy_plan(&p->set, &p->rules, &t->clock, &ask, 1, move, 2);
	for (size_t i = 0; i < n; i++)
		if (move[i].op == POLICY_DROP)
			part_drop(t, b, &move[i]);
	p->slot[extent] = ask.slot;
}

void part_resize(struct tier *t, struct blob *b, uint32_t grant)
{
	struct part *p = b->part;
	struct policy_move move[PART_MOVES];
	size_t n = PART_MOVES;

	p->rules.budget = grant;
	while (n == PART_MOVES && p->drops + PART_MOVES <= PART_DROPS) {
		n = policy_plan(&p->set, &p->rules, &t->clock, NULL, 0, move, PART_MOVES);
		for (size_t i = 0; i < n; i++)
			part_drop(t, b, &move[i]);
	}
	if (n == PART_MOVES)
		blob_due(t, b);         /* the rest when these are done */
}

uint32_t part_drops(const struct part *p)
{
	return p->drops;
}

uint32_t part_take_drops(struct part *p, uint32_t *extent, uint32_t cap)
{
	p->taken = p->drops < cap ? p->drops : cap;
	memcpy(extent, p->drop, p->taken * sizeof(*extent));
	return p->taken;
}

void part_dropped(struct part *p)
{
	p->drops -= p->taken;
	memmove(p->drop, p->drop + p->taken, p->drops * sizeof(*p->drop));
	p->taken = 0;
}
