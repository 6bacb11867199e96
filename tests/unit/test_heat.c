/* test_heat.c - what heat says against the sum it stands for, over any clock, and that it never overflows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "tiering/heat.h"

#define TOUCHES 300

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void assert_near(double got, double want, double relative)
{
	if (fabs(got - want) > relative * fabs(want))
		fail_msg("%.12g is not %.12g", got, want);
}

/* Half-lives that have passed, as a number. */
static double passed(const struct heat_clock *c, uint64_t since)
{
	return (double)(c->now - since) / 0x1p40;
}

static void test_one_touch(void **state)
{
	struct heat_clock c;
	struct heat h = { 0 };

	(void)state;
	heat_clock_init(&c, 7, 1000);
	assert_true(heat_now(h, &c) == 0);
	assert_int_equal(heat_key(h), 0);
	for (uint64_t tick = 8; tick < 5000; tick += 13) {
		struct heat one = { 0 };

		heat_clock_advance(&c, tick, tick % 97);
		assert_true(heat_touch(&one, &c));
		assert_true(heat_now(one, &c) == 1.0);
	}
}

static void test_tick(void **state)
{
	struct heat_clock c;
	struct heat h = { 0 };

	(void)state;
	heat_clock_init(&c, 0, 1000);
	assert_true(heat_touch(&h, &c));
	assert_false(heat_touch(&h, &c));
	assert_false(heat_touch(&h, &c));
	assert_true(heat_now(h, &c) == 1.0);
	heat_clock_advance(&c, 0, 1);                   /* the same tick */
	assert_false(heat_touch(&h, &c));
	heat_clock_advance(&c, 1, 0);
	assert_true(heat_touch(&h, &c));
	assert_near(heat_now(h, &c), 2.0, 1e-3);
	heat_clock_advance(&c, 1 + 65536, 0);           /* the tick's low bits are the same again */
	c.now += 4ull << 40;
	assert_true(heat_touch(&h, &c));
}

/* T is what four capacities take to be touched, within its bounds. */
static void test_half_life(void **state)
{
	static const struct { uint64_t capacity, touches; double ticks; } table[] = {
		{ 1000, 0, 7 * 86400 * 4.0 }, { 1000, 10, 400 }, { 1000, 1, 4000 }, { 1000, 100, 240 },
		{ 1000, 1000000, 240 }, { 1, 0, 7 * 86400 * 4.0 }, { 1, 1, 240 }, { 4000000, 1, 7 * 86400 * 4.0 },
		{ 4000000, 20, 800000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct heat_clock c;
		struct heat h = { 0 };
		uint64_t tick = 0;

		heat_clock_init(&c, 0, table[i].capacity);
		heat_touch(&h, &c);
		while (tick < (uint64_t)table[i].ticks)
			heat_clock_advance(&c, ++tick, table[i].touches);
		assert_near(c.half_life, table[i].ticks, 1e-9);
		assert_near(heat_clock_half_life_seconds(&c), table[i].ticks / 4, 1e-9);
		assert_near(heat_now(h, &c), 0.5, 1e-6);
	}
}

/* Touches told without a new tick belong to the next. */
static void test_pending(void **state)
{
	struct heat_clock a, b;

	(void)state;
	heat_clock_init(&a, 5, 1000);
	heat_clock_init(&b, 5, 1000);
	heat_clock_advance(&a, 5, 4);
	heat_clock_advance(&a, 3, 3);
	assert_int_equal(a.now, b.now);
	heat_clock_advance(&a, 6, 3);
	heat_clock_advance(&b, 6, 10);
	assert_int_equal(a.now, b.now);
	assert_true(a.now > 0);
}

/* A new T alters no heat at that moment, nor any order. */
static void test_change_of_half_life(void **state)
{
	struct heat_clock c;
	struct heat h[8] = { { 0 } };
	double before[8];

	(void)state;
	heat_clock_init(&c, 0, 100);
	for (uint32_t i = 0; i < 8; i++) {
		for (uint32_t j = 0; j <= i; j++) {
			heat_clock_advance(&c, c.tick + 1, 1);
			heat_touch(&h[i], &c);
		}
		heat_clock_advance(&c, c.tick + 50 * i, 0);
	}
	for (uint32_t i = 0; i < 8; i++)
		before[i] = heat_now(h[i], &c);
	heat_clock_resize(&c, 100000);
	for (uint32_t i = 0; i < 8; i++)
		assert_true(heat_now(h[i], &c) == before[i]);
	heat_clock_advance(&c, c.tick + 4000, 40000);
	assert_near(c.half_life, 40000, 1e-9);
	for (uint32_t i = 0; i < 8; i++)
		assert_near(heat_now(h[i], &c), before[i] * exp2(-0.1), 1e-6);
}

/* Random touches under a random clock: the sum that heat stands for, and never more than it. */
static void test_sum(void **state)
{
	uint64_t seed = 1, at[TOUCHES];

	(void)state;
	for (uint32_t round = 0; round < 200; round++) {
		struct heat_clock c;
		struct heat h = { 0 };
		uint32_t n = 0;
		double want = 0;

		heat_clock_init(&c, 0, 1 + next_random(&seed) % 10000);
		while (n < TOUCHES) {
			heat_clock_advance(&c, c.tick + 1 + next_random(&seed) % (1 + round * 10), next_random(&seed) % 3000);
			assert_true(heat_touch(&h, &c));
			at[n++] = c.now;
		}
		for (uint32_t i = 0; i < n; i++)
			want += exp2(-passed(&c, at[i]));
		assert_near(heat_now(h, &c), want, 1e-4);
		assert_true(heat_now(h, &c) <= want * (1 + 1e-12));
	}
}

/* As hot as can be: every tick for longer than the longest T. */
static void test_hottest(void **state)
{
	struct heat_clock c;
	struct heat h = { 0 };
	double last = 0, most = (double)HEAT_T_MAX_TICKS * M_LOG2E;

	(void)state;
	heat_clock_init(&c, 0, 1ull << 40);
	for (uint64_t tick = 1; tick <= 6000000; tick++) {
		heat_clock_advance(&c, tick, 1);
		assert_true(heat_touch(&h, &c));
		if (tick % 100000 == 0) {
			assert_true(heat_now(h, &c) > last);
			last = heat_now(h, &c);
		}
	}
	assert_near(last, most * (1 - exp2(-6000000.0 / (double)HEAT_T_MAX_TICKS)), 0.2);
	assert_true(last <= most);
}

/* Thirty years at the shortest T. */
static void test_years(void **state)
{
	const uint64_t month = 30ull * 86400 * HEAT_TICKS_PER_SECOND;
	struct heat_clock c;
	struct heat old = { 0 };

	(void)state;
	heat_clock_init(&c, 0, 1);
	heat_touch(&old, &c);
	for (uint64_t m = 1; m <= 360; m++) {
		struct heat h = { 0 };

		heat_clock_advance(&c, m * month, UINT32_MAX);
		assert_near(c.half_life, (double)HEAT_T_MIN_TICKS, 1e-9);
		assert_true(heat_now(old, &c) == 0);
		assert_true(heat_touch(&h, &c));
		assert_true(heat_now(h, &c) == 1.0);
		assert_true(heat_key(h) > heat_key(old));
		assert_true(heat_touch(&old, &c));
		assert_true(heat_now(old, &c) == 1.0);
	}
	assert_near(passed(&c, 4096ull << 40), 360.0 * 30 * 86400 / 60, 1e-6);
	heat_clock_advance(&c, 720 * month, UINT32_MAX);        /* it stops rather than wraps */
	heat_clock_advance(&c, 721 * month, UINT32_MAX);
	heat_clock_advance(&c, 722 * month, UINT32_MAX);
	assert_true(heat_touch(&old, &c));
	assert_true(heat_now(old, &c) >= 1.0 && heat_now(old, &c) < 4);
}

/* The claim of heat.h: of two things read in turn, under any clock, neither is more than a touch hotter. */
static void test_turns(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (uint32_t round = 0; round < 300; round++) {
		struct heat_clock c;
		struct heat x = { 0 }, v = { 0 };

		heat_clock_init(&c, 0, 1 + next_random(&seed) % 5000);
		for (uint32_t pass = 0; pass < 200; pass++) {
			heat_clock_advance(&c, c.tick + 1 + next_random(&seed) % 5000, next_random(&seed) % 9000);
			heat_touch(&x, &c);
			assert_true(heat_now(x, &c) <= 1.0001 * heat_now(v, &c) + 1);
			heat_clock_advance(&c, c.tick + 1 + next_random(&seed) % 5000, next_random(&seed) % 9000);
			heat_touch(&v, &c);
			assert_true(heat_now(v, &c) <= 1.0001 * heat_now(x, &c) + 1);
		}
	}
}

static void test_weights(void **state)
{
	static const uint32_t parts[] = { 1, 3, 1000, 500000 };
	struct heat_clock c;

	(void)state;
	heat_clock_init(&c, 0, 1000);
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t key = 0;

		for (uint32_t n = 0; n < 20 * parts[i] && n < 3000000; n++)
			heat_add(&key, &c, 1.0 / parts[i]);
		assert_near(heat_key_now(key, &c), fmin(20, 3000000.0 / parts[i]), 1e-5);
	}
	uint64_t key = 0, one = heat_key_from(1, &c);

	heat_add(&key, &c, 0);
	heat_add(&key, &c, -1);
	heat_add(&key, &c, NAN);
	assert_int_equal(key, 0);
	heat_add(&key, &c, 1);
	assert_int_equal(key, one);
}

static void test_less(void **state)
{
	static const double values[] = { 1e-9, 0.001, 0.5, 1, 1.25, 7, 3e6 };
	struct heat_clock c;

	(void)state;
	heat_clock_init(&c, 0, 1000);
	for (size_t i = 0; i < 7; i++) {
		for (size_t j = 0; j < 7; j++) {
			uint64_t a = heat_key_from(values[i], &c), b = heat_key_from(values[j], &c);

			assert_near(heat_key_now(heat_key_sum(a, b), &c), values[i] + values[j], 1e-9);
			assert_int_equal(heat_key_sum(a, b), heat_key_sum(b, a));
			if (j < i)
				assert_near(heat_key_now(heat_key_less(a, b), &c), values[i] - values[j], 1e-9);
			else
				assert_int_equal(heat_key_less(a, b), 0);
		}
		assert_int_equal(heat_key_less(heat_key_from(values[i], &c), 0), heat_key_from(values[i], &c));
	}
	assert_int_equal(heat_key_sum(0, 0), 0);
}

/* Saved as a number, restored under a clock that has run otherwise. */
static void test_restore(void **state)
{
	static const double values[] = { 1e-6, 0.3, 1, 2.5, 1234, 3.4e6 };
	struct heat_clock c;

	(void)state;
	heat_clock_init(&c, 900, 77);
	heat_clock_advance(&c, 123456, 99999);
	for (size_t i = 0; i < 6; i++) {
		struct heat h = heat_from(values[i], &c);

		assert_near(heat_now(h, &c), values[i], 1e-6);
		assert_near(heat_now(heat_from(heat_now(h, &c), &c), &c), values[i], 2e-6);
		assert_true(heat_touch(&h, &c));                /* a touch in the tick of the restart counts */
		assert_near(heat_now(h, &c), values[i] + 1, 1e-6);
	}
	assert_int_equal(heat_from(0, &c).bits, 0);
	assert_int_equal(heat_from(-3, &c).bits, 0);
	assert_int_equal(heat_from(NAN, &c).bits, 0);
	assert_int_equal(heat_from(INFINITY, &c).bits, 0);
	assert_int_equal(heat_from(1e-30, &c).bits, 0);
	assert_int_equal(sizeof(struct heat), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_touch), cmocka_unit_test(test_tick), cmocka_unit_test(test_half_life),
		cmocka_unit_test(test_pending), cmocka_unit_test(test_change_of_half_life), cmocka_unit_test(test_sum),
		cmocka_unit_test(test_hottest), cmocka_unit_test(test_years), cmocka_unit_test(test_turns),
		cmocka_unit_test(test_weights), cmocka_unit_test(test_less), cmocka_unit_test(test_restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
