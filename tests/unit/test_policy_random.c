/* test_policy_random.c - random tiers, random askers: what every plan must keep, said apart from the code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tests/unit/policy_world.h"

#define SNAPSHOTS 100000
#define ASKS 12

struct snapshot {
	struct world w;
	struct policy_ask ask[ASKS];
	size_t asks;
	bool units;                             /* all of size 1, and no groups */
	struct world_item before[WORLD_ITEMS];
	double heat[WORLD_ITEMS];
	uint64_t born[WORLD_ITEMS];             /* ticks ago, of residents */
};

static uint32_t below(uint64_t *x, uint32_t n)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (uint32_t)((*x >> 33) % n);
}

static bool forced(const struct policy_ask *a)
{
	return a->flags & (POLICY_PIN | POLICY_WARM);
}

static const struct policy_ask *ask_of(const struct snapshot *s, uint64_t id)
{
	for (size_t i = 0; i < s->asks; i++) {
		if (s->ask[i].id == id)
			return &s->ask[i];
	}
	fail_msg("nobody asked for %llu", (unsigned long long)id);
	return NULL;
}

static void random_items(struct snapshot *s, uint64_t *seed)
{
	static const double heats[] = { 0, 0.1, 0.5, 1, 1.01, 1.5, 2, 2.2, 3, 4.4, 5.5, 9, 30, 34.1 };
	uint32_t spread = below(seed, 2), budget = (uint32_t)s->w.rules.budget;

	for (uint32_t i = 0; i < WORLD_ITEMS; i++) {
		struct world_item *it = &s->w.item[i];

		world_heat(&s->w, i, heats[below(seed, 14)] + (spread ? below(seed, 1000) * 1e-3 : 0));
		it->moved = below(seed, 4) == 0 ? WORLD_START - below(seed, 80) : 0;
		if (s->units)
			continue;
		it->size = below(seed, 3) == 0 ? 1 + below(seed, 5) : 1;
		if (below(seed, 20) == 0)
			it->size = budget + 1 + below(seed, 9);
		if (it->size == 1 && below(seed, 2) == 0) {
			it->group = below(seed, WORLD_GROUPS);
			it->index = i;
		}
	}
}

static void random_residents(struct snapshot *s, uint64_t *seed)
{
	struct world *w = &s->w;
	uint32_t age = 100, over = below(seed, 4) == 0 ? 6 : 0;

	for (uint32_t i = 0; i < 24; i++) {
		uint16_t flags = below(seed, 8) == 0 ? POLICY_PIN : 0;

		if (w->used + w->item[i].size > w->rules.budget + over)
			continue;
		if (w->item[i].size > 5)
			flags |= POLICY_PART;
		age -= below(seed, 5);
		world_put(w, i, WORLD_START - age, flags);
		s->born[i] = age;
	}
}

static void snapshot_make(struct snapshot *s, uint64_t *seed)
{
	memset(s, 0, sizeof(*s));
	world_init(&s->w, policy_rules_ram(below(seed, 20)), WORLD_ITEMS);
	s->units = below(seed, 2) == 0;
	s->w.rules.run = s->units ? 0 : below(seed, 4);
	s->w.rules.first = 1 + below(seed, 2);
	for (uint32_t g = 0; g < WORLD_GROUPS; g++)
		s->w.group[g].total = WORLD_ITEMS;
	random_items(s, seed);
	random_residents(s, seed);
	for (uint32_t g = 0; g < WORLD_GROUPS && below(seed, 2) == 0; g++)
		policy_group_refault(&s->w.group[g], &s->w.clock, below(seed, 200));
	for (s->asks = 0; s->asks < below(seed, ASKS + 1); s->asks++) {
		uint32_t id = (uint32_t)(s->asks * 5) + below(seed, 5);
		struct world_item *it = &s->w.item[id];
		uint16_t flags = below(seed, 12) == 0 ? POLICY_PIN : below(seed, 12) == 0 ? POLICY_WARM : 0;

		flags |= below(seed, 6) == 0 ? POLICY_SCAN : 0;
		flags |= it->size > 5 ? POLICY_PART : 0;
		s->ask[s->asks] = world_ask(&s->w, id, flags);
		s->ask[s->asks].touches = (uint16_t)(1 + below(seed, 3));
		if (flags & POLICY_WARM)
			s->born[id] = 0;        /* what is ordered again rests again */
	}
	memcpy(s->before, s->w.item, sizeof(s->before));
	for (uint32_t i = 0; i < WORLD_ITEMS; i++)
		s->heat[i] = world_heat_of(&s->w, i);
}

static void check_drop(const struct snapshot *s, const struct policy_move *m)
{
	const struct world_item *v = &s->before[m->id];
	const struct policy_ask *x;

	assert_true(v->held != 0);              /* nobody comes and goes in one plan */
	assert_true(fabs(heat_key_now(m->key, &s->w.clock) - s->heat[m->id]) <= 1e-6 * s->heat[m->id]);
	if (m->why.reason == POLICY_BUDGET) {
		assert_true(m->why.used > s->w.rules.budget);
		return;
	}
	assert_int_equal(m->why.reason, POLICY_DISPLACED);
	assert_false(v->pinned);
	x = ask_of(s, m->why.other);
	if (x->flags & POLICY_PIN)
		return;
	assert_true(s->born[m->id] >= s->w.rules.window);
	if (!forced(x))
		assert_true(s->heat[x->id] > 1.1 * s->heat[m->id] + 1);
}

static void check_entry(const struct snapshot *s, const struct policy_move *m)
{
	const struct policy_ask *x = ask_of(s, m->id);

	if (forced(x))
		return;
	assert_false(x->flags & POLICY_SCAN);
	if (s->before[m->id].held == 0)
		assert_true(x->moved == 0 || WORLD_START - x->moved >= s->w.rules.window);
	if (m->op == POLICY_ADMIT)
		assert_true(x->touches >= s->w.rules.first);
	if (m->why.reason != POLICY_ROOM)
		assert_int_equal(m->why.reason, POLICY_HOTTER);
}

/* Pinned ones go for the budget only, and after all others. */
static void check_pins(const struct snapshot *s)
{
	bool pin_went = false;

	for (size_t i = 0; i < s->w.moves; i++) {
		const struct policy_move *m = &s->w.move[i];

		if (m->why.reason != POLICY_BUDGET)
			continue;
		if (s->before[m->id].pinned)
			pin_went = true;
		else
			assert_false(pin_went);
	}
}

/* Where all have size 1 it can be said who must be there: nobody who asked and was refused beats anybody who
 * stayed and could have gone, and none of those is colder than one who went. */
static void check_complete(const struct snapshot *s)
{
	double coldest = 1e9;
	const struct world *w = &s->w;

	for (uint32_t i = 0; i < WORLD_ITEMS; i++) {
		if (w->item[i].held != 0 && s->before[i].held != 0 && !w->item[i].pinned && s->born[i] >= w->rules.window &&
		    s->heat[i] < coldest)
			coldest = s->heat[i];
	}
	for (size_t i = 0; i < s->asks; i++) {
		const struct policy_ask *x = &s->ask[i];

		if (w->item[x->id].held != 0 || s->before[x->id].held != 0 || (x->flags & POLICY_SCAN) ||
		    (x->moved != 0 && WORLD_START - x->moved < w->rules.window) || w->set.pinned >= w->rules.budget)
			continue;
		assert_true(forced(x) || x->touches < w->rules.first || s->heat[x->id] <= (1.1 * coldest + 1) * (1 + 1e-9));
		assert_true(w->used == w->rules.budget || x->touches < w->rules.first);
	}
	for (size_t i = 0; i < w->moves; i++) {
		if (w->move[i].why.reason == POLICY_DISPLACED && s->born[w->move[i].id] >= w->rules.window)
			assert_true(s->heat[w->move[i].id] <= coldest);
	}
}

static void check_again(struct snapshot *s)
{
	struct policy_ask again[ASKS];

	for (size_t i = 0; i < s->asks; i++) {
		again[i] = s->ask[i];
		again[i].slot = s->w.item[again[i].id].slot;
	}
	world_plan(&s->w, again, s->asks);
	if (s->w.moves != 0)
		fail_msg("planned again: %s", s->w.text);
}

static void test_snapshots(void **state)
{
	static struct snapshot s;
	uint64_t seed = 20240607, moves = 0;

	(void)state;
	for (uint32_t n = 0; n < SNAPSHOTS; n++) {
		snapshot_make(&s, &seed);
		world_plan(&s.w, s.ask, s.asks);
		assert_true(s.w.used <= s.w.rules.budget);
		for (size_t i = 0; i < s.w.moves; i++) {
			const struct policy_move *m = &s.w.move[i];

			if (m->op == POLICY_DROP || m->op == POLICY_SHRINK)
				check_drop(&s, m);
			else
				check_entry(&s, m);
		}
		check_pins(&s);
		if (s.units)
			check_complete(&s);
		moves += s.w.moves;
		check_again(&s);
	}
	assert_true(moves > SNAPSHOTS);         /* it was about something */
}

/* A long life with random touches, some of scans: no item moves twice within the window. */
static void test_no_ping_pong(void **state)
{
	static struct world w;
	uint64_t seed = 77, touches[WORLD_ITEMS], moves = 0;

	(void)state;
	for (uint32_t life = 0; life < 100; life++) {
		uint64_t last[WORLD_ITEMS] = { 0 };
		struct heat heat[WORLD_ITEMS] = { { 0 } };

		world_init(&w, policy_rules_ram(4 + below(&seed, 30)), WORLD_ITEMS);
		w.rules.window = 1 + below(&seed, 100);
		memset(touches, 0, sizeof(touches));
		for (uint64_t tick = WORLD_START + 1; tick < WORLD_START + 3000; tick++) {
			uint32_t hot = (uint32_t)(tick / 500 % 4) * 16, id = below(&seed, 4) ? hot + below(&seed, 16) : below(&seed, 64);
			bool scan = below(&seed, 10) == 0;
			struct policy_ask a;

			heat_clock_advance(&w.clock, tick, 1);
			if (!scan)
				heat_touch(&heat[id], &w.clock);
			w.item[id].key = heat_key(heat[id]);
			if (w.item[id].held != 0)
				policy_set_touch(&w.set, w.item[id].slot, w.item[id].key);
			a = world_ask(&w, id, scan ? POLICY_SCAN : 0);
			world_plan(&w, &a, 1);
			for (size_t i = 0; i < w.moves; i++) {
				uint64_t *at = &last[w.move[i].id];

				assert_true(*at == 0 || tick - *at >= w.rules.window);
				assert_false(scan);
				*at = tick;
			}
			moves += w.moves;
		}
	}
	assert_true(moves > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshots), cmocka_unit_test(test_no_ping_pong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
