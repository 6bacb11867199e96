/* test_policy_loop.c - a cyclic read larger than the tier moves nothing once the tier is full, whatever the
 * half-life, whether its hits are seen or not, and it does move with any rule that is less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tiering/policy.h"

#define N 640
#define PASSES 40

struct loop {
	struct policy_rules rules;
	uint64_t capacity;              /* that the clock is told: T is four of it */
	bool hidden, credited, jitter;
	uint64_t hits, moves;           /* out */
};

struct state {
	struct policy_set set;
	struct policy_entry entry[N];
	uint32_t heap[N], slot[N];
	struct heat heat[N];
	struct policy_group group;
	struct heat_clock clock;
	uint64_t seed;
};

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x >> 20;
}

static void request(struct loop *l, struct state *s, uint32_t id)
{
	struct policy_ask a = { .id = id, .slot = POLICY_NONE, .index = id, .size = 1, .touches = 1 };
	bool hit = s->slot[id] != POLICY_NONE, counted = !(hit && l->hidden) && heat_touch(&s->heat[id], &s->clock);
	struct policy_move move[2];
	size_t n;

	l->hits += hit;
	if (hit) {
		policy_set_touch(&s->set, s->slot[id], heat_key(s->heat[id]));
	} else {
		if (l->credited && counted)
			policy_group_refault(&s->group, &s->clock, 1);
		a.key = heat_key(s->heat[id]);
		n = policy_plan(&s->set, &l->rules, &s->clock, &a, 1, move, 2);
		for (size_t i = 0; i < n; i++) {
			s->slot[move[i].id] = move[i].op == POLICY_ADMIT ? move[i].slot : POLICY_NONE;
			if (move[i].op == POLICY_DROP)
				s->heat[move[i].id] = heat_from_key(move[i].key, &s->clock);
			l->moves += move[i].op == POLICY_ADMIT;
		}
	}
	if (l->jitter)                  /* up to 50 requests in a tick, or hundreds of ticks of nothing, and any T */
		heat_clock_advance(&s->clock, s->clock.tick + (next_random(&s->seed) % 50 == 0 ? next_random(&s->seed) % 300 : 0),
				   next_random(&s->seed) % 100);
	else
		heat_clock_advance(&s->clock, s->clock.tick + 1, counted);
}

static void loop_run(struct loop *l)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->seed = 99;
	s->group.total = N;
	policy_set_init(&s->set, s->entry, s->heap, N, &s->group, 1);
	heat_clock_init(&s->clock, 1000, l->capacity);
	for (uint32_t i = 0; i < N; i++)
		s->slot[i] = POLICY_NONE;
	l->hits = l->moves = 0;
	for (uint32_t p = 0; p < PASSES; p++) {
		for (uint32_t i = 0; i < N; i++)
			request(l, s, i);
	}
	assert_int_equal(policy_set_check(&s->set), 0);
	for (uint32_t i = 0; i < N; i++)
		assert_true(s->slot[i] == POLICY_NONE || policy_on_run(i, N, l->rules.budget, l->rules.run));
	free(s);
}

static const uint32_t sizes[] = { N / 4, N / 2, N * 3 / 4, N * 9 / 10 };
static const double spans[] = { 0.01, 0.25, 1, 4, 1000 };

static void still(bool hidden, bool jitter, uint32_t run)
{
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < 5; j++) {
			struct loop l = { .rules = policy_rules_ram(sizes[i]), .hidden = hidden, .credited = hidden,
					  .jitter = jitter, .capacity = (uint64_t)(spans[j] * sizes[i]) };

			l.rules.run = run;
			loop_run(&l);
			if (l.moves != sizes[i] || l.hits != (uint64_t)sizes[i] * (PASSES - 1))
				fail_msg("%u of %u, T %g: %llu hits, %llu moves", sizes[i], N, 4 * spans[j],
					 (unsigned long long)l.hits, (unsigned long long)l.moves);
		}
	}
}

static void test_still(void **state)
{
	(void)state;
	still(false, false, 0);
}

static void test_still_any_clock(void **state)
{
	(void)state;
	still(false, true, 0);
}

static void test_still_hidden(void **state)
{
	(void)state;
	still(true, false, 0);
}

static void test_still_hidden_any_clock(void **state)
{
	(void)state;
	still(true, true, 0);
}

static void test_still_in_runs(void **state)
{
	(void)state;
	still(true, false, 16);
	still(false, true, 16);
}

/* No margin, a relative one only, half a touch; and hidden hits without credit. */
static void test_less_is_not_still(void **state)
{
	static const struct { double ratio, touch; bool hidden; } broken[] = {
		{ 1, 0, false }, { 1.1, 0, false }, { 1.3, 0, false }, { 1, 0.5, false }, { 1.1, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct loop l = { .rules = policy_rules_ram(N / 2), .capacity = N / 8, .hidden = broken[i].hidden };

		l.rules.ratio = broken[i].ratio;
		l.rules.touch = broken[i].touch;
		l.rules.run = 0;
		l.rules.window = 1;
		loop_run(&l);
		if (l.moves < 4 * N / 2)
			fail_msg("%g, %g: only %llu moves", broken[i].ratio, broken[i].touch, (unsigned long long)l.moves);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_still), cmocka_unit_test(test_still_any_clock), cmocka_unit_test(test_still_hidden),
		cmocka_unit_test(test_still_hidden_any_clock), cmocka_unit_test(test_still_in_runs),
		cmocka_unit_test(test_less_is_not_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
