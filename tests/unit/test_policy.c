/* test_policy.c - who is admitted over whom: (snapshot, now) and the moves that must come of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tests/unit/policy_world.h"

#define ROWS 6

struct row {
	double heat;                    /* 0 and size 0 ends */
	uint32_t size;
	uint32_t flags;
	uint64_t age;                   /* of a resident, ticks; of one who asks, since it last moved, 0: never */
};

struct table {
	const char *name;
	struct row there[ROWS], ask[ROWS];      /* ids 1.. and 11.. */
	const char *moves;
	enum policy_reason reason;              /* of the first who asks */
	uint64_t budget;
	uint32_t first;
};

#define OLD 1000

static const struct table tables[] = {
	{ "there is room", { { 5, 1, 0, OLD } }, { { 1, 1, 0, 0 } }, "+11", POLICY_ROOM, 2, 1 },
	{ "room, but the first touch", { { 5, 1, 0, OLD } }, { { 1, 1, 0, 0 } }, "", POLICY_FEW_TOUCHES, 2, 3 },
	{ "one touch is not enough", { { 0.001, 1, 0, OLD } }, { { 1, 1, 0, 0 } }, "", POLICY_COLDER, 1, 1 },
	{ "one touch over nothing", { { 0, 1, 0, OLD } }, { { 1, 1, 0, 0 } }, "", POLICY_COLDER, 1, 1 },
	{ "two touches over nothing", { { 0, 1, 0, OLD } }, { { 1.01, 1, 0, 0 } }, "-1 +11", POLICY_HOTTER, 1, 1 },
	{ "one touch more than the coldest", { { 4, 1, 0, OLD } }, { { 5, 1, 0, 0 } }, "", POLICY_COLDER, 1, 1 },
	{ "just at the margin", { { 4, 1, 0, OLD } }, { { 5.4, 1, 0, 0 } }, "", POLICY_COLDER, 1, 1 },
	{ "just over it", { { 4, 1, 0, OLD } }, { { 5.401, 1, 0, 0 } }, "-1 +11", POLICY_HOTTER, 1, 1 },
	{ "the relative margin is needed too", { { 100, 1, 0, OLD } }, { { 110.9, 1, 0, 0 } }, "", POLICY_COLDER, 1, 1 },
	{ "only the coldest goes", { { 7, 1, 0, OLD }, { 2, 1, 0, OLD }, { 3, 1, 0, OLD } }, { { 9, 1, 0, 0 } },
	  "-2 +11", POLICY_HOTTER, 3, 1 },
	{ "each over its own", { { 7, 1, 0, OLD }, { 2, 1, 0, OLD }, { 3, 1, 0, OLD } },
	  { { 9, 1, 0, 0 }, { 9, 1, 0, 0 }, { 8, 1, 0, 0 } }, "-2 +11 -3 +12", POLICY_HOTTER, 3, 1 },
	{ "the coldest is pinned", { { 0, 1, POLICY_PIN, OLD }, { 4, 1, 0, OLD } }, { { 9, 1, 0, 0 } },
	  "-2 +11", POLICY_HOTTER, 2, 1 },
	{ "all is pinned", { { 0, 1, POLICY_PIN, OLD } }, { { 9, 1, 0, 0 } }, "", POLICY_TOO_BIG, 1, 1 },
	{ "the coldest came just now", { { 0, 1, 0, 3 }, { 4, 1, 0, OLD } }, { { 9, 1, 0, 0 } }, "-2 +11",
	  POLICY_HOTTER, 2, 1 },
	{ "all came just now", { { 0, 1, 0, 3 }, { 0, 1, 0, 39 } }, { { 9, 1, 0, 0 } }, "", POLICY_NO_VICTIM, 2, 1 },
	{ "rested just long enough", { { 0, 1, 0, 40 } }, { { 9, 1, 0, 0 } }, "-1 +11", POLICY_HOTTER, 1, 1 },
	{ "it left just now", { { 0, 1, 0, OLD } }, { { 9, 1, 0, 39 } }, "", POLICY_RECENT, 1, 1 },
	{ "it left just now, and there is room", { { 0, 1, 0, OLD } }, { { 9, 1, 0, 39 } }, "", POLICY_RECENT, 2, 1 },
	{ "it left long enough ago", { { 0, 1, 0, OLD } }, { { 9, 1, 0, 40 } }, "-1 +11", POLICY_HOTTER, 1, 1 },
	{ "a scan, with room", { { 5, 1, 0, OLD } }, { { 9, 1, POLICY_SCAN, 0 } }, "", POLICY_IS_SCAN, 9, 1 },
	{ "a scan, hotter", { { 0, 1, 0, OLD } }, { { 9, 1, POLICY_SCAN, 0 } }, "", POLICY_IS_SCAN, 1, 1 },
	{ "pinned goes over hotter", { { 50, 1, 0, OLD } }, { { 0, 1, POLICY_PIN, 0 } }, "-1 +11", POLICY_PINNED, 1, 1 },
	{ "pinned goes over young", { { 50, 1, 0, 0 } }, { { 0, 1, POLICY_PIN, 0 } }, "-1 +11", POLICY_PINNED, 1, 1 },
	{ "pinned, and a scan reads it", { { 50, 1, 0, OLD } }, { { 0, 1, POLICY_PIN | POLICY_SCAN, 0 } }, "-1 +11",
	  POLICY_PINNED, 1, 1 },
	{ "pinned needs no touch", { { 50, 1, 0, OLD } }, { { 0, 1, POLICY_PIN, 0 } }, "+11", POLICY_PINNED, 2, 3 },
	{ "pinned does not go over pinned", { { 50, 1, POLICY_PIN, OLD } }, { { 90, 1, POLICY_PIN, 0 } }, "",
	  POLICY_TOO_BIG, 1, 1 },
	{ "pins come first", { { 0, 1, 0, OLD } }, { { 9, 1, 0, 0 }, { 0, 1, POLICY_PIN, 0 } }, "-1 +12",
	  POLICY_TOO_BIG, 1, 1 },
	{ "ordered goes over hotter", { { 50, 1, 0, OLD }, { 60, 1, 0, OLD } }, { { 0, 1, POLICY_WARM, 0 } }, "-1 +11",
	  POLICY_ORDERED, 2, 1 },
	{ "ordered does not go over young", { { 50, 1, 0, 1 } }, { { 0, 1, POLICY_WARM, 0 } }, "", POLICY_NO_VICTIM, 1, 1 },
	{ "ordered although it left just now", { { 5, 1, 0, OLD } }, { { 0, 1, POLICY_WARM, 1 } }, "-1 +11",
	  POLICY_ORDERED, 1, 1 },
	{ "larger than the tier", { { 5, 1, 0, OLD } }, { { 9, 3, 0, 0 } }, "", POLICY_TOO_BIG, 2, 1 },
	{ "whole blobs, coldest first", { { 1, 3, 0, OLD }, { 2, 3, 0, OLD }, { 3, 3, 0, OLD } }, { { 9, 5, 0, 0 } },
	  "-2 -1 +11", POLICY_HOTTER, 9, 1 },
	{ "one of the victims is too hot", { { 1, 3, 0, OLD }, { 8, 3, 0, OLD }, { 9, 3, 0, OLD } }, { { 9, 5, 0, 0 } }, "",
	  POLICY_COLDER, 9, 1 },
	{ "free room counts", { { 1, 3, 0, OLD }, { 8, 3, 0, OLD } }, { { 9, 5, 0, 0 } }, "-1 +11", POLICY_HOTTER, 8, 1 },
	{ "a victim that is not needed stays", { { 1, 1, 0, OLD }, { 2, 5, 0, OLD } }, { { 9, 5, 0, 0 } }, "-2 +11",
	  POLICY_HOTTER, 6, 1 },
	{ "what is left over is room for another", { { 2, 5, 0, OLD } }, { { 1, 2, 0, 0 }, { 9, 3, 0, 0 } },
	  "-1 +12 +11", POLICY_ROOM, 5, 1 },
	{ "a part of what exceeds the tier", { { 1, 2, 0, OLD } }, { { 9, 20, POLICY_PART, 0 } }, "-1 +11",
	  POLICY_HOTTER, 8, 1 },
	{ "a part beside what is hotter", { { 30, 2, 0, OLD } }, { { 9, 20, POLICY_PART, 0 } }, "+11", POLICY_ROOM, 8, 1 },
	{ "a part grows over what is colder", { { 9, 20, POLICY_PART, OLD }, { 1, 3, 0, OLD } },
	  { { 0, 0, 0, 0 } }, "-2 ^1:23", POLICY_HOTTER, 23, 1 },
	{ "a part gives up what is needed", { { 2, 6, POLICY_PART, OLD }, { 5, 2, 0, OLD } }, { { 9, 3, 0, 0 } },
	  "v1:3 +11", POLICY_HOTTER, 8, 1 },
	{ "a part gives up all of it", { { 2, 3, POLICY_PART, OLD }, { 5, 2, 0, OLD } }, { { 9, 3, 0, 0 } }, "-1 +11",
	  POLICY_HOTTER, 5, 1 },
	{ "the budget shrank", { { 7, 1, 0, OLD }, { 2, 1, 0, OLD }, { 3, 1, 0, OLD } }, { { 1, 1, 0, 0 } }, "-2 -3",
	  POLICY_COLDER, 1, 1 },
	{ "the budget shrank: pinned go last", { { 0, 1, POLICY_PIN, OLD }, { 9, 1, 0, 1 }, { 9, 1, 0, OLD } },
	  { { 1, 1, 0, 0 } }, "-3 -2", POLICY_TOO_BIG, 1, 1 },
	{ "the budget shrank to nothing", { { 0, 1, POLICY_PIN, OLD }, { 9, 1, 0, 1 } }, { { 1, 1, 0, 0 } }, "-2 -1",
	  POLICY_TOO_BIG, 0, 1 },
	{ "the budget shrank: a part is cut", { { 1, 6, POLICY_PART, OLD }, { 9, 2, 0, OLD } }, { { 1, 9, 0, 0 } }, "v1:3",
	  POLICY_TOO_BIG, 5, 1 },
};

/* The oldest first, as they came. */
static void put_all(struct world *w, const struct row *there)
{
	for (uint64_t age = OLD + 1; age-- > 0; ) {
		for (uint32_t i = 0; i < ROWS && there[i].size != 0; i++) {
			if (there[i].age != age)
				continue;
			w->item[1 + i].size = there[i].size;
			world_heat(w, 1 + i, there[i].heat);
			world_put(w, 1 + i, WORLD_START - age, (uint16_t)there[i].flags);
		}
	}
}

static void run_table(const struct table *t)
{
	struct world w;
	struct policy_ask ask[ROWS];
	size_t asks = 0;

	world_init(&w, policy_rules_ram(t->budget), WORLD_ITEMS);
	w.rules.run = 0;
	w.rules.first = t->first;
	put_all(&w, t->there);
	for (uint32_t i = 0; i < ROWS && t->ask[i].size != 0; i++) {
		w.item[11 + i].size = t->ask[i].size;
		w.item[11 + i].moved = t->ask[i].age != 0 ? WORLD_START - t->ask[i].age : 0;
		world_heat(&w, 11 + i, t->ask[i].heat);
		ask[asks++] = world_ask(&w, 11 + i, (uint16_t)t->ask[i].flags);
	}
	if (asks == 0) {                        /* the first resident asks for more */
		w.item[1].size = 40;
		ask[asks++] = world_ask(&w, 1, (uint16_t)t->there[0].flags);
	}
	world_plan(&w, ask, asks);
	if (strcmp(w.text, t->moves) != 0)
		fail_msg("%s: '%s', not '%s'", t->name, w.text, t->moves);
	if (ask[0].why.reason != t->reason)
		fail_msg("%s: %s", t->name, policy_reason_name(ask[0].why.reason));
}

static void test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		run_table(&tables[i]);
}

static void test_why(void **state)
{
	struct world w;
	struct policy_ask a;
	char text[256];

	(void)state;
	world_init(&w, policy_rules_ram(1), WORLD_ITEMS);
	world_heat(&w, 1, 4);
	world_put(&w, 1, 1, 0);
	world_heat(&w, 2, 5);
	a = world_ask(&w, 2, 0);
	world_plan(&w, &a, 1);
	assert_true(fabs(a.why.heat - 5) < 1e-6 && fabs(a.why.heat_other - 4) < 1e-6 && fabs(a.why.need - 5.4) < 1e-6);
	assert_true(a.why.has_other && a.why.other == 1);
	assert_int_equal(a.why.used, 1);
	assert_int_equal(a.why.budget, 1);
	assert_int_equal(a.why.tick, WORLD_START);
	policy_why_print(&a.why, &w.rules, text, sizeof(text));
	assert_string_equal(text, "refused: not hotter than the coldest by the margin (heat 5 against 1.1 * 4 + 1 = 5.4 "
			    "with 1, size 1, 1 of 1 used)");
	world_heat(&w, 2, 6);
	a = world_ask(&w, 2, 0);
	world_plan(&w, &a, 1);
	assert_string_equal(w.text, "-1 +2");
	assert_int_equal(w.move[0].why.reason, POLICY_DISPLACED);
	assert_int_equal(w.move[0].why.other, 2);
	assert_true(fabs(w.move[0].why.heat - 6) < 1e-6 && fabs(w.move[0].why.heat_other - 4) < 1e-6);
	assert_int_equal(w.move[1].why.reason, POLICY_HOTTER);
	for (int r = 0; r < POLICY_REASON_COUNT; r++)
		assert_non_null(policy_reason_name((enum policy_reason)r));
	a.why = (struct policy_why){ .reason = POLICY_ROOM, .heat = 1, .size = 2, .used = 3, .budget = 9 };
	assert_true(policy_why_print(&a.why, &w.rules, text, 10) > 10);
	policy_why_print(&a.why, &w.rules, text, sizeof(text));
	assert_string_equal(text, "admitted: there was room (heat 1, size 2, 3 of 9 used)");
}

/* Too short a list of moves, or of slots: what fits is done, the rest later, never over the budget. */
static void test_short_lists(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 10; cap++) {
		struct world w;
		struct policy_ask a[4];
		uint32_t plans = 0;

		world_init(&w, policy_rules_ram(4), 5);
		w.cap = cap;
		for (uint32_t i = 0; i < 4; i++) {
			world_heat(&w, i, i);
			world_put(&w, i, 1, 0);
			world_heat(&w, 10 + i, 20);
		}
		do {
			for (uint32_t i = 0; i < 4; i++)
				a[i] = world_ask(&w, 10 + i, 0);
			world_plan(&w, a, 4);
			if (w.moves < 8 && cap < 8)
				assert_true(w.set.count < 4 || w.item[13].held != 0 || a[3].why.reason == POLICY_DEFERRED);
		} while (w.moves > 0 && ++plans < 20);
		assert_int_equal(w.item[13].held, cap >= 2);
		assert_int_equal(w.item[0].held, cap < 2);
	}
}

static void test_no_slots(void **state)
{
	struct world w;
	struct policy_ask a;

	(void)state;
	world_init(&w, policy_rules_ram(9), 1);
	world_put(&w, 1, 1, 0);
	a = world_ask(&w, 1, 0);
	a.id = 5;
	assert_int_equal(policy_set_add(&w.set, &a, 1), POLICY_NONE);
	world_heat(&w, 2, 50);
	a = world_ask(&w, 2, 0);
	world_plan(&w, &a, 1);
	assert_int_equal(a.why.reason, POLICY_DEFERRED);
}

/* A resident that cools because another is touched is found although its place in the heap is old. */
static void test_touches_reorder(void **state)
{
	struct world w;
	struct policy_ask a;

	(void)state;
	world_init(&w, policy_rules_ram(8), WORLD_ITEMS);
	for (uint32_t i = 0; i < 8; i++) {
		world_heat(&w, i, 1 + 0.1 * i);
		world_put(&w, i, 1, 0);
	}
	a = world_ask(&w, 20, 0);
	world_plan(&w, &a, 1);                  /* now all are in the heap */
	for (uint32_t i = 0; i < 8; i++) {
		if (i != 5)
			world_heat(&w, i, 10 + i);
	}
	world_heat(&w, 20, 9);
	a = world_ask(&w, 20, 0);
	world_plan(&w, &a, 1);
	assert_string_equal(w.text, "-5 +20");
	policy_set_remove(&w.set, w.item[0].slot);
	assert_int_equal(policy_set_check(&w.set), 0);
	policy_set_pin(&w.set, w.item[1].slot, true, w.clock.tick);
	policy_set_pin(&w.set, w.item[1].slot, true, w.clock.tick);
	assert_int_equal(w.set.pinned, 1);
	assert_int_equal(policy_set_check(&w.set), 0);
	policy_set_pin(&w.set, w.item[1].slot, false, w.clock.tick);
	assert_int_equal(w.set.pinned, 0);
	assert_int_equal(policy_set_check(&w.set), 0);
}

/* Residents of a group are as hot as their own touches and their share of the missing ones' since. */
static void test_credit(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, policy_rules_ram(4), WORLD_ITEMS);
	w.group[1].total = 12;
	policy_group_refault(&w.group[1], &w.clock, 12);        /* before anybody is there: 1 */
	for (uint32_t i = 0; i < 4; i++) {
		w.item[i].group = i < 2 ? 1 : 2;
		world_heat(&w, i, 3);
		world_put(&w, i, WORLD_START, 0);
	}
	policy_group_refault(&w.group[1], &w.clock, 20);        /* of 10 missing: 2 */
	policy_group_refault(&w.group[2], &w.clock, 20);        /* of none missing: nothing */
	assert_true(fabs(world_heat_of(&w, 0) - 5) < 1e-5);
	assert_true(fabs(world_heat_of(&w, 2) - 3) < 1e-5);
	policy_group_use(&w.group[2], &w.clock, 0.5);
	assert_true(fabs(world_heat_of(&w, 2) - 3.5) < 1e-5);
	world_heat(&w, 0, 2);                                   /* never colder by a touch */
	assert_true(fabs(world_heat_of(&w, 0) - 5) < 1e-5);
	w.clock.now += 1ull << 40;
	assert_true(fabs(world_heat_of(&w, 0) - 2.5) < 1e-5);
	assert_true(fabs(heat_key_now(policy_set_remove(&w.set, w.item[0].slot), &w.clock) - 2.5) < 1e-5);
	assert_int_equal(w.group[1].resident, 1);
}

/* Runs use up the share, not much more, evenly, and those of a smaller share are among those of a larger. */
static void test_runs(void **state)
{
	(void)state;
	for (uint32_t total = 1; total < 300000; total = total * 5 / 4 + 1) {
		for (uint32_t part = 1; part <= 20; part++) {
			uint64_t quota = (uint64_t)total * part / 21, less = quota / 2;
			uint32_t on = 0;

			for (uint32_t i = 0; i < total; i++) {
				bool is = policy_on_run(i, total, quota, 16);

				on += is;
				assert_int_equal(is, policy_on_run(i / 16 * 16, total, quota, 16));
				if (policy_on_run(i, total, less, 16))
					assert_true(is);
				/* as far as here the share is kept to four runs either way */
				assert_true(on + 64.0 > (double)quota * (i + 1) / total);
				assert_true(on - 64.0 < (double)(quota + 32) * (i + 1) / total);
			}
			assert_true(on >= quota);
		}
	}
	assert_true(policy_on_run(7, 10, 10, 16));
	assert_true(policy_on_run(7, 1000, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables), cmocka_unit_test(test_why), cmocka_unit_test(test_short_lists),
		cmocka_unit_test(test_no_slots), cmocka_unit_test(test_touches_reorder), cmocka_unit_test(test_credit),
		cmocka_unit_test(test_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
