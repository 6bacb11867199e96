/* test_trace.c - the trace of accesses: read back as CSV, the newest kept, time that never goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiering/trace.h"

#define HEADER "seq,tick,object,size,class,tier\n"

static const char *const tiers[] = { "home", "nvme", "ram" };

struct line {
	uint64_t seq, tick, object;
	uint32_t size;
	char class[16], tier[32];
};

static struct trace *fresh(void)
{
	struct trace *t = NULL;

	assert_int_equal(trace_new(&t, tiers, 3), 0);
	assert_non_null(t);
	return t;
}

/* The text, which begins with the header; *at is behind that. */
static char *printed(struct trace *t, uint64_t seq, size_t max, char **at)
{
	char *text = NULL;

	assert_int_equal(trace_print(t, seq, max, &text), 0);
	assert_non_null(text);
	assert_int_equal(strncmp(text, HEADER, strlen(HEADER)), 0);
	*at = text + strlen(HEADER);
	return text;
}

static bool next_line(char **at, struct line *l)
{
	size_t len = strcspn(*at, "\n");
	char copy[128];
	int end = 0;

	if (**at == '\0')
		return false;
	assert_true(len < sizeof(copy) && (*at)[len] == '\n');
	memcpy(copy, *at, len);
	copy[len] = '\0';
	assert_int_equal(sscanf(copy, "%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu32 ",%15[a-z],%31[a-z]%n", &l->seq, &l->tick,
				&l->object, &l->size, l->class, l->tier, &end), 6);
	assert_int_equal(end, len);
	*at += len + 1;
	return true;
}

static void what_goes_in_comes_out(void **state)
{
	struct trace *t = fresh();
	char *text, *at;

	(void)state;
	text = printed(t, 0, 100, &at);
	assert_string_equal(at, "");
	free(text);
	trace_add(t, &(struct trace_access){ .tick = 0, .blob = 1, .extent = 0, .size = 1048576, .class = TRACE_READ });
	trace_add(t, &(struct trace_access){ .tick = 3, .blob = UINT32_MAX, .extent = (1u << 24) - 1, .size = UINT32_MAX,
					     .class = TRACE_SCAN, .tier = 1 });
	trace_add(t, &(struct trace_access){ .tick = 3, .blob = 0, .extent = 7, .size = 1, .class = TRACE_FILL, .tier = 2 });
	trace_add(t, &(struct trace_access){ .tick = 1ull << 60, .blob = 2, .extent = 1, .class = TRACE_SAMPLE, .tier = 2 });
	trace_add(t, &(struct trace_access){ .tick = 1ull << 60, .class = 4, .tier = 3 });
	text = printed(t, 0, 100, &at);
	assert_string_equal(at, "1,0,16777216,1048576,read,home\n"
				"2,3,72057594037927935,4294967295,scan,nvme\n"
				"3,3,7,1,fill,ram\n"
				"4,1152921504606846976,33554433,0,sample,ram\n"
				"5,1152921504606846976,0,0,unknown,unknown\n");
	free(text);
	trace_free(t);
	trace_free(NULL);
}

static void names_that_would_break_the_csv(void **state)
{
	static const char *const bad[] = { "", "a,b", "a\nb", "a\"b", "a b", "n\xc3\xa9", "abcdefghijklmnopqrstuvwxyzabcdef" };
	const char *many[TRACE_TIERS + 1];
	struct trace *t = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(trace_new(&t, &bad[i], 1), -EINVAL);
		assert_null(t);
	}
	for (size_t i = 0; i <= TRACE_TIERS; i++)
		many[i] = "A-z_0.9";
	assert_int_equal(trace_new(&t, many, TRACE_TIERS + 1), -EINVAL);
	assert_null(t);
	assert_int_equal(trace_new(&t, many, TRACE_TIERS), 0);
	trace_free(t);
}

/* n accesses whose extent, tick and class follow from their number. */
static void fill(struct trace *t, uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		trace_add(t, &(struct trace_access){ .tick = i / 100, .blob = 9, .extent = (uint32_t)(i % (1u << 24)),
						     .size = (uint32_t)(i * 7), .class = i % 4, .tier = i % 3 });
}

/* Exactly the accesses first to last, each as fill made it. */
static void assert_prints(struct trace *t, uint64_t seq, size_t max, uint64_t first, uint64_t last)
{
	static const char *const classes[] = { "read", "scan", "fill", "sample" };
	char *at, *text = printed(t, seq, max, &at);
	struct line l;
	uint64_t i;

	for (i = first; next_line(&at, &l); i++) {
		assert_int_equal(l.seq, i);
		assert_int_equal(l.tick, i / 100);
		assert_int_equal(l.object, (9ull << 24) + i);
		assert_int_equal(l.size, (uint32_t)(i * 7));
		assert_string_equal(l.class, classes[i % 4]);
		assert_string_equal(l.tier, tiers[i % 3]);
	}
	assert_int_equal(i, last + 1);
	free(text);
}

static void a_part_of_it(void **state)
{
	struct trace *t = fresh();

	(void)state;
	fill(t, 1, 2000);
	assert_prints(t, 0, SIZE_MAX, 1, 2000);
	assert_prints(t, 1, 2000, 1, 2000);
	assert_prints(t, 1, 1999, 1, 1999);
	assert_prints(t, 5, 3, 5, 7);
	assert_prints(t, 512, 513, 512, 1024);
	assert_prints(t, 2000, SIZE_MAX, 2000, 2000);
	assert_prints(t, 2001, 5, 2001, 2000);
	assert_prints(t, UINT64_MAX, SIZE_MAX, 1, 0);
	assert_prints(t, 0, 0, 1, 0);
	trace_free(t);
}

static void the_newest_are_kept(void **state)
{
	struct trace *t = fresh();
	uint64_t n = TRACE_COUNT;

	(void)state;
	fill(t, 1, n);
	assert_prints(t, 0, 3, 1, 3);
	fill(t, n + 1, 1);
	assert_prints(t, 0, 3, 2, 4);
	assert_prints(t, 0, SIZE_MAX, 2, n + 1);
	fill(t, n + 2, n + 700);
	assert_prints(t, 1, 1000, n + 702, n + 1701);
	assert_prints(t, 2 * n + 700, SIZE_MAX, 2 * n + 700, 2 * n + 701);
	trace_free(t);
}

static void time_never_goes_back(void **state)
{
	static const uint64_t in[] = { 5, 4, 5, 9, 0, 8, 9, 10 }, want[] = { 5, 5, 5, 9, 9, 9, 9, 10 };
	struct trace *t = fresh();
	char *text, *at;
	struct line l;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		trace_add(t, &(struct trace_access){ .tick = in[i] });
	text = printed(t, 0, 8, &at);
	for (size_t i = 0; i < 8; i++) {
		assert_true(next_line(&at, &l));
		assert_int_equal(l.tick, want[i]);
	}
	free(text);
	trace_free(t);
}

/* ---- threads ---- */

#define THREADS 6
#define EACH 60000u                     /* all together more than are kept */

struct adder {
	struct trace *t;
	atomic_uint *clock;
	uint32_t name;
};

/* The time is looked at first and told later, as a read's is. */
static void *add(void *arg)
{
	struct adder *a = arg;

	for (uint32_t i = 0; i < EACH; i++)
		trace_add(a->t, &(struct trace_access){ .tick = atomic_fetch_add(a->clock, 1) / 8, .blob = a->name, .extent = i,
							.size = i ^ a->name, .class = TRACE_READ, .tier = 1 });
	return NULL;
}

/* seq grows, by one unless what is between was overwritten meanwhile; time never goes back; no access is torn;
 * each thread's own stand in its order.  Returns how many. */
static size_t assert_in_order(struct trace *t, bool whole)
{
	uint64_t seq = 0, tick = 0;
	uint32_t last[THREADS] = { 0 };
	char *at, *text = printed(t, 0, SIZE_MAX, &at);
	struct line l;
	size_t n = 0;

	for (; next_line(&at, &l); n++) {
		uint32_t name = (uint32_t)(l.object >> 24), i = (uint32_t)(l.object & 0xffffff);

		assert_true(l.seq > seq && (!whole || seq == 0 || l.seq == seq + 1));
		assert_true(l.tick >= tick);
		assert_true(name < THREADS && l.size == (i ^ name) && i + 1 > last[name]);
		last[name] = i + 1;
		seq = l.seq;
		tick = l.tick;
	}
	free(text);
	return n;
}

static void many_threads(void **state)
{
	pthread_t threads[THREADS];
	struct adder a[THREADS];
	struct trace *t = fresh();
	atomic_uint clock = 0;
	char *text, *at;
	struct line l;

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++) {
		a[i] = (struct adder){ t, &clock, i };
		assert_int_equal(pthread_create(&threads[i], NULL, add, &a[i]), 0);
	}
	assert_in_order(t, false);
	assert_in_order(t, false);
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(assert_in_order(t, true), TRACE_COUNT);
	text = printed(t, (uint64_t)THREADS * EACH, 2, &at);
	assert_true(next_line(&at, &l));
	assert_int_equal(l.seq, THREADS * EACH);
	assert_false(next_line(&at, &l));
	free(text);
	trace_free(t);
}

int main(void)
{
	const struct CMUnitTest trace_tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(names_that_would_break_the_csv),
		cmocka_unit_test(a_part_of_it),
		cmocka_unit_test(the_newest_are_kept),
		cmocka_unit_test(time_never_goes_back),
		cmocka_unit_test(many_threads),
	};

	return cmocka_run_group_tests(trace_tests, NULL, NULL);
}
