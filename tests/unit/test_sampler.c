/* test_sampler.c - what each step of sampling leaves, and that draws follow the probabilities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/sampler.h"

#define DRAWS 20000

/* Draw many times; counts[id] says how often each came. */
static void draw(const struct sampler_params *p, const float *logits, uint32_t n, uint32_t *counts)
{
	struct sampler *s;
	uint32_t i, id;

	memset(counts, 0, n * sizeof(*counts));
	assert_int_equal(sampler_new(&s, p, n), 0);
	for (i = 0; i < DRAWS; i++) {
		assert_int_equal(sampler_next(s, logits, &id), 0);
		assert_true(id < n);
		counts[id]++;
	}
	sampler_free(s);
}

/* Ids that must come and no others. */
static void expect_only(const uint32_t *counts, uint32_t n, uint32_t mask)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		assert_int_equal(counts[i] != 0, (mask >> i) & 1);
}

/* probabilities 0.4, 0.3, 0.2, 0.1 in scrambled order */
static const float four[] = { -1.6094379f, -0.9162907f, -2.3025851f, -1.2039728f };

static struct sampler_params open_params(void)
{
	return (struct sampler_params){ .temp = 1.0f, .top_k = 0, .top_p = 1.0f, .min_p = 0.0f, .repeat_penalty = 1.0f,
					.seed = 42 };
}

static void test_probabilities(void **state)
{
	static const double want[] = { 0.2, 0.4, 0.1, 0.3 };
	struct sampler_params p = open_params();
	uint32_t counts[4], i;

	(void)state;
	draw(&p, four, 4, counts);
	for (i = 0; i < 4; i++)         /* five standard deviations */
		assert_true(fabs(counts[i] - want[i] * DRAWS) < 5 * sqrt(DRAWS * want[i] * (1 - want[i])));
}

static void test_temperature(void **state)
{
	/* at temperature 1/2 probabilities are squared: 0.04 0.16 0.01 0.09 of 0.30 */
	static const double want[] = { 0.04 / 0.30, 0.16 / 0.30, 0.01 / 0.30, 0.09 / 0.30 };
	struct sampler_params p = open_params();
	uint32_t counts[4], i;

	(void)state;
	p.temp = 0.5f;
	draw(&p, four, 4, counts);
	for (i = 0; i < 4; i++)
		assert_true(fabs(counts[i] - want[i] * DRAWS) < 5 * sqrt(DRAWS * want[i] * (1 - want[i])));
}

static void test_greedy(void **state)
{
	static const float ties[] = { 1.0f, 3.0f, 2.0f, 3.0f };
	struct sampler_params p = sampler_defaults();
	uint32_t counts[4];

	(void)state;
	p.temp = 0.0f;
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 1);
	p.temp = -1.0f;
	draw(&p, ties, 4, counts);
	expect_only(counts, 4, 1u << 1);        /* of equals the lowest id */
}

static void test_top_k(void **state)
{
	struct sampler_params p = open_params();
	uint32_t counts[4];

	(void)state;
	p.top_k = 2;
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 1 | 1u << 3);
	p.top_k = 1;
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 1);
	p.top_k = 100;
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 15);
}

static void test_top_p(void **state)
{
	struct sampler_params p = open_params();
	uint32_t counts[4];

	(void)state;
	p.top_p = 0.69f;                /* 0.4 is not enough, 0.4 + 0.3 is */
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 1 | 1u << 3);
	p.top_p = 0.0f;                 /* the first always stays */
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 1);
}

static void test_min_p(void **state)
{
	struct sampler_params p = open_params();
	uint32_t counts[4];

	(void)state;
	p.min_p = 0.49f;                /* of 0.4: 0.196 */
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 0 | 1u << 1 | 1u << 3);
	p.min_p = 1.0f;
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 1);
}

/* top-p looks at what top-k left: 0.4 / 0.7 and 0.3 / 0.7 */
static void test_order(void **state)
{
	struct sampler_params p = open_params();
	uint32_t counts[4];

	(void)state;
	p.top_k = 2;
	p.top_p = 0.5f;
	draw(&p, four, 4, counts);
	expect_only(counts, 4, 1u << 1);
}

static void test_seed(void **state)
{
	struct sampler_params p = open_params();
	struct sampler *a, *b;
	uint32_t i, x, y, differ = 0;

	(void)state;
	assert_int_equal(sampler_new(&a, &p, 4), 0);
	assert_int_equal(sampler_new(&b, &p, 4), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(sampler_next(a, four, &x), 0);
		assert_int_equal(sampler_next(b, four, &y), 0);
		assert_int_equal(x, y);
	}
	sampler_free(b);
	p.seed++;
	assert_int_equal(sampler_new(&b, &p, 4), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(sampler_next(a, four, &x), 0);
		assert_int_equal(sampler_next(b, four, &y), 0);
		differ += x != y;
	}
	assert_true(differ > 10);
	sampler_free(a);
	sampler_free(b);
}

static bool ban_one(void *arg, uint32_t id)
{
	return id == *(const uint32_t *)arg;
}

static bool ban_all(void *arg, uint32_t id)
{
	(void)arg;
	(void)id;
	return true;
}

static void test_ban(void **state)
{
	struct sampler_params p = open_params();
	uint32_t one = 1, id;
	struct sampler *s;

	(void)state;
	p.temp = 0.0f;
	assert_int_equal(sampler_new(&s, &p, 4), 0);
	sampler_set_ban(s, ban_one, &one);
	assert_int_equal(sampler_next(s, four, &id), 0);
	assert_int_equal(id, 3);
	sampler_set_ban(s, ban_all, NULL);
	assert_int_equal(sampler_next(s, four, &id), -EDOM);
	sampler_free(s);
}

static void test_not_numbers(void **state)
{
	float logits[] = { 1.0f, NAN, 2.0f };
	struct sampler_params p = sampler_defaults();
	struct sampler *s;
	uint32_t id;

	(void)state;
	assert_int_equal(sampler_new(&s, &p, 3), 0);
	assert_int_equal(sampler_next(s, logits, &id), -EDOM);
	logits[1] = HUGE_VALF;
	assert_int_equal(sampler_next(s, logits, &id), -EDOM);
	logits[0] = logits[1] = -HUGE_VALF;
	assert_int_equal(sampler_next(s, logits, &id), 0);
	assert_int_equal(id, 2);
	sampler_free(s);
	p.temp = NAN;
	assert_int_equal(sampler_new(&s, &p, 3), -EINVAL);
	p = sampler_defaults();
	assert_int_equal(sampler_new(&s, &p, 0), -EINVAL);
	sampler_free(NULL);
}

/* The greedy choice among four logits when those tokens have been accepted. */
static uint32_t greedy_after(struct sampler_params *p, const float *logits, const uint32_t *ids, size_t n)
{
	struct sampler *s;
	uint32_t id;
	size_t i;

	p->temp = 0.0f;
	assert_int_equal(sampler_new(&s, p, 4), 0);
	for (i = 0; i < n; i++)
		sampler_accept(s, ids[i]);
	assert_int_equal(sampler_next(s, logits, &id), 0);
	sampler_free(s);
	return id;
}

static void test_penalties(void **state)
{
	static const float positive[] = { 4.0f, 3.0f, 2.5f, 1.0f }, negative[] = { -1.0f, -1.5f, -4.0f, -5.0f };
	static const uint32_t seen[] = { 0, 0, 0, 1 };
	struct sampler_params p = open_params();

	(void)state;
	p.repeat_last_n = 4;
	p.repeat_penalty = 2.0f;        /* 4 / 2, 3 / 2, 2.5, 1 */
	assert_int_equal(greedy_after(&p, positive, seen, 4), 2);
	assert_int_equal(greedy_after(&p, positive, seen, 0), 0);
	assert_int_equal(greedy_after(&p, negative, seen, 3), 1);       /* -2, -1.5 */
	p.repeat_last_n = 1;            /* 4, 3 / 2: only the last counts */
	assert_int_equal(greedy_after(&p, positive, seen, 4), 0);
	p.repeat_last_n = 0;
	assert_int_equal(greedy_after(&p, positive, seen, 4), 0);
	p.repeat_last_n = 4;
	p.repeat_penalty = 1.0f;
	p.frequency_penalty = 0.4f;     /* 4 - 1.2, 3 - 0.4, 2.5 */
	assert_int_equal(greedy_after(&p, positive, seen, 4), 0);
	p.frequency_penalty = 0.6f;     /* 4 - 1.8, 3 - 0.6, 2.5 */
	assert_int_equal(greedy_after(&p, positive, seen, 4), 2);
	p.frequency_penalty = 0.0f;
	p.presence_penalty = 1.4f;      /* 2.6, 1.6, 2.5: once, however often */
	assert_int_equal(greedy_after(&p, positive, seen, 4), 0);
	p.presence_penalty = 1.6f;
	assert_int_equal(greedy_after(&p, positive, seen, 4), 2);
	assert_int_equal(greedy_after(&p, positive, (const uint32_t[]){ 99, UINT32_MAX }, 2), 0);
}

static void test_bias(void **state)
{
	static const float logits[] = { 4.0f, 3.0f, 2.0f, 1.0f };
	struct sampler_bias bias[] = { { 3, 2.0f }, { 3, 1.5f }, { 0, -HUGE_VALF } };
	struct sampler_params p = open_params();
	struct sampler *s;

	(void)state;
	p.bias = bias;
	p.n_bias = 2;
	assert_int_equal(greedy_after(&p, logits, NULL, 0), 3);         /* 1 + 3.5 */
	p.n_bias = 1;
	assert_int_equal(greedy_after(&p, logits, NULL, 0), 0);
	p.n_bias = 3;
	bias[1].bias = -10.0f;
	assert_int_equal(greedy_after(&p, logits, NULL, 0), 1);         /* 0 is banned */
	bias[0].id = 4;
	assert_int_equal(sampler_new(&s, &p, 4), -EINVAL);
	bias[0] = (struct sampler_bias){ 0, HUGE_VALF };
	assert_int_equal(sampler_new(&s, &p, 4), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probabilities),
		cmocka_unit_test(test_temperature),
		cmocka_unit_test(test_greedy),
		cmocka_unit_test(test_top_k),
		cmocka_unit_test(test_top_p),
		cmocka_unit_test(test_min_p),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_ban),
		cmocka_unit_test(test_penalties),
		cmocka_unit_test(test_bias),
		cmocka_unit_test(test_not_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
