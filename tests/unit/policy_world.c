#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/policy_world.h"

void world_init(struct world *w, struct policy_rules rules, uint32_t slots)
{
	memset(w, 0, sizeof(*w));
	w->rules = rules;
	w->cap = 2 * WORLD_ITEMS;
	heat_clock_init(&w->clock, WORLD_START, rules.budget);
	policy_set_init(&w->set, w->entry, w->heap, slots, w->group, WORLD_GROUPS);
	for (uint32_t i = 0; i < WORLD_ITEMS; i++)
		w->item[i] = (struct world_item){ .slot = POLICY_NONE, .group = POLICY_NONE, .size = 1 };
}

void world_heat(struct world *w, uint32_t id, double heat)
{
	w->item[id].key = heat_key_from(heat, &w->clock);
	if (w->item[id].held != 0)
		policy_set_touch(&w->set, w->item[id].slot, w->item[id].key);
}

double world_heat_of(const struct world *w, uint32_t id)
{
	const struct world_item *it = &w->item[id];

	return heat_key_now(it->held != 0 ? policy_set_key(&w->set, it->slot) : it->key, &w->clock);
}

struct policy_ask world_ask(const struct world *w, uint32_t id, uint16_t flags)
{
	const struct world_item *it = &w->item[id];

	return (struct policy_ask){ .id = id, .key = it->key, .moved = it->moved, .slot = it->slot, .group = it->group,
				    .index = it->index, .size = it->size, .flags = flags, .touches = 2 };
}

void world_put(struct world *w, uint32_t id, uint64_t tick, uint16_t flags)
{
	struct policy_ask a = world_ask(w, id, flags);
	struct world_item *it = &w->item[id];

	it->slot = policy_set_add(&w->set, &a, tick);
	assert_int_not_equal(it->slot, POLICY_NONE);
	it->held = it->size;
	it->pinned = flags & POLICY_PIN;
	w->used += it->size;
}

static void say(struct world *w, const struct policy_move *m)
{
	size_t at = strlen(w->text), left = sizeof(w->text) - at;
	const char *space = at != 0 ? " " : "";
	unsigned long long id = m->id;

	if (m->op == POLICY_GROW || m->op == POLICY_SHRINK)
		snprintf(w->text + at, left, "%s%c%llu:%u", space, m->op == POLICY_GROW ? '^' : 'v', id, m->size);
	else
		snprintf(w->text + at, left, "%s%c%llu", space, m->op == POLICY_ADMIT ? '+' : '-', id);
}

static void execute(struct world *w, const struct policy_move *m)
{
	struct world_item *it;

	assert_true(m->id < WORLD_ITEMS);
	it = &w->item[m->id];
	switch (m->op) {
	case POLICY_ADMIT:
		assert_int_equal(it->held, 0);
		assert_in_range(m->size, 1, it->size);
		it->slot = m->slot;
		break;
	case POLICY_GROW:
		assert_in_range(m->size, it->held + 1, it->size);
		break;
	case POLICY_SHRINK:
		assert_in_range(m->size, 1, it->held - 1);
		break;
	case POLICY_DROP:
		assert_int_equal(m->size, it->held);
		assert_int_equal(m->slot, it->slot);
		it->slot = POLICY_NONE;
		it->pinned = false;
		it->key = m->key;
		it->moved = w->clock.tick;
		break;
	}
	w->used -= it->held;
	it->held = m->op == POLICY_DROP ? 0 : m->size;
	w->used += it->held;
	if (m->op == POLICY_ADMIT || m->op == POLICY_GROW)
		assert_true(w->used <= w->rules.budget);
}

void world_plan(struct world *w, struct policy_ask *ask, size_t asks)
{
	w->text[0] = '\0';
	w->moves = policy_plan(&w->set, &w->rules, &w->clock, ask, asks, w->move, w->cap);
	assert_true(w->moves <= w->cap);
	for (size_t i = 0; i < w->moves; i++) {
		say(w, &w->move[i]);
		execute(w, &w->move[i]);
	}
	for (size_t i = 0; i < asks; i++) {
		struct world_item *it = &w->item[ask[i].id];

		if (it->held != 0 && (ask[i].flags & POLICY_PIN))
			it->pinned = true;
	}
	assert_int_equal(policy_set_check(&w->set), 0);
	assert_int_equal(w->set.used, w->used);
}
