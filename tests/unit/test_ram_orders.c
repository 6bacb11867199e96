/* test_ram_orders.c - pin, warm, cool, stream; heat across restarts; what is told; calls from many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/ram_fixture.h"

static uint64_t held(struct ram_file *f)
{
	struct ram_file_status s = ram_fixture_file_status(f);

	return s.kept + s.locked;
}

static void needs_locks(struct ram_fixture *x)
{
	if (ram_fixture_cannot_lock(x) != NULL) {
		print_message("%s\n", ram_fixture_cannot_lock(x));
		skip();
	}
}

static void test_pin(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 24 * UNIT + 777);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, fd, 24 * UNIT + 777);
	ram_file_pin(f, true);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_file_status(f).wanted, 0);
	assert_true(ram_fixture_file_status(f).pinned);
	assert_int_equal(ram_fixture_status(x).pinned, 25 * UNIT);
	assert_cached(ram_fixture_resident(fd, 0, 25), 24 * UNIT + 4096);
	assert_true(ram_fixture_file_status(f).heat_max <= 0);          /* what we bring in is no heat */
	if (ram_fixture_cannot_lock(x) == NULL) {
		assert_int_equal(ram_fixture_file_status(f).locked, 24 * UNIT + 1024);
		ram_fixture_evict(fd, 0, 25);
		assert_cached(ram_fixture_resident(fd, 0, 25), 24 * UNIT + 4096);
	}
	ram_file_pin(f, false);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_status(x).pinned, 0);
	assert_int_equal(ram_fixture_file_status(f).locked, 0);
	assert_int_equal(held(f), 24 * UNIT + 1024);
	assert_false(ram_fixture_file_status(f).pinned);
	ram_file_put(f);
	close(fd);
}

static bool second_is_there(struct ram_fixture *x, void *arg)
{
	(void)x;
	return held(arg) == 6 * UNIT;
}

static void test_warm_over_the_coldest_but_not_pins(void **state)
{
	struct ram_fixture *x = *state;
	int a = ram_fixture_file(x, "a", 4 * UNIT), b = ram_fixture_file(x, "b", 6 * UNIT), c = ram_fixture_file(x, "c", 6 * UNIT);
	struct ram_file *pinned, *first, *second;

	ram_fixture_open(x, 10 * UNIT);
	pinned = ram_fixture_get(x, 1, a, 4 * UNIT);
	first = ram_fixture_get(x, 2, b, 6 * UNIT);
	second = ram_fixture_get(x, 3, c, 6 * UNIT);
	ram_file_pin(pinned, true);
	ram_file_warm(first);
	ram_settle(x->r);
	assert_int_equal(held(pinned), 4 * UNIT);
	assert_int_equal(held(first), 6 * UNIT);
	ram_fixture_ticks(x, 60);                       /* who has just come is not displaced by an order */
	ram_file_warm(second);
	ram_fixture_until(x, second_is_there, second);
	assert_int_equal(held(pinned), 4 * UNIT);
	assert_int_equal(held(first), 0);
	assert_cached(ram_fixture_resident(c, 0, 6), 6 * UNIT);
	ram_file_pin(first, true);                      /* a pin takes the place of those too who have just come */
	ram_settle(x->r);
	assert_int_equal(held(first), 6 * UNIT);
	assert_int_equal(held(second), 0);
	assert_int_equal(held(pinned), 4 * UNIT);
	ram_file_put(pinned);
	ram_file_put(first);
	ram_file_put(second);
	close(a);
	close(b);
	close(c);
}

/* What is warmed and does not fit is held as far as there is room, and the order ends. */
static void test_warm_too_much(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 64 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 20 * UNIT);
	f = ram_fixture_get(x, 1, fd, 64 * UNIT);
	ram_file_warm(f);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_file_status(f).wanted, 0);
	assert_int_equal(held(f), 20 * UNIT);
	ram_file_put(f);
	close(fd);
}

static void test_cool(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 8 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, fd, 8 * UNIT);
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(fd, 0, 8);
	ram_settle(x->r);
	ram_fixture_evict(fd, 0, 8);
	ram_fixture_ticks(x, 1);
	ram_fixture_read(fd, 0, 8);
	ram_fixture_ticks(x, 1);
	ram_file_pin(f, true);
	ram_settle(x->r);
	assert_int_equal(held(f), 8 * UNIT);
	assert_true(ram_fixture_file_status(f).heat_mean > 0.9);
	ram_file_cool(f);
	ram_settle(x->r);
	assert_int_equal(held(f), 0);
	assert_true(ram_fixture_file_status(f).heat_max <= 0);
	assert_false(ram_fixture_file_status(f).pinned);
	assert_int_equal(ram_fixture_status(x).locked + ram_fixture_status(x).pinned, 0);
	ram_fixture_evict(fd, 0, 8);
	assert_int_equal(ram_fixture_resident(fd, 0, 8), 0);
	ram_file_put(f);
	close(fd);
}

static void test_stream_brings_in_and_holds_nothing(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 40 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 0);
	f = ram_fixture_get(x, 1, fd, 40 * UNIT);
	ram_file_stream(f);
	ram_settle(x->r);
	assert_cached(ram_fixture_resident(fd, 0, 40), 40 * UNIT);
	assert_int_equal(held(f), 0);
	ram_fixture_evict(fd, 0, 40);
	ram_fixture_memory(x, 140);                     /* 12 MiB above the head-room */
	ram_settle(x->r);
	ram_file_stream(f);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_resident(fd, 0, 40), 0);
	ram_file_put(f);
	close(fd);
}

/* What was resident before, went, and is brought in again by us was asked for by no client. */
static void test_what_we_bring_in_is_no_heat(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 8 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, fd, 8 * UNIT);
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(fd, 0, 8);
	ram_settle(x->r);
	ram_fixture_evict(fd, 0, 8);
	ram_settle(x->r);
	ram_file_stream(f);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(f).resident, 8 * UNIT);
	ram_fixture_evict(fd, 0, 8);
	ram_settle(x->r);
	ram_file_warm(f);
	ram_settle(x->r);
	assert_int_equal(held(f), 8 * UNIT);
	assert_int_equal(ram_fixture_status(x).refaults, 0);
	assert_true(ram_fixture_file_status(f).heat_max <= 0);
	ram_file_put(f);
	close(fd);
}

static void test_heat_survives(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 8 * UNIT);
	struct ram_file *f;
	double mean, most;
	unsigned char *heat;
	size_t len;

	ram_fixture_open(x, 4 * UNIT);
	f = ram_fixture_get(x, 1, fd, 8 * UNIT);
	assert_null(ram_file_heat(f, &len));
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(fd, 0, 8);
	ram_settle(x->r);
	for (unsigned i = 0; i < 5; i++) {
		ram_fixture_evict(fd, 4, 8);
		ram_fixture_ticks(x, 1);
		ram_fixture_read(fd, 4, i < 3 ? 8 : 7);
		ram_fixture_ticks(x, 1);
	}
	mean = ram_fixture_file_status(f).heat_mean;
	most = ram_fixture_file_status(f).heat_max;
	assert_true(most > 4);
	heat = ram_file_heat(f, &len);
	assert_non_null(heat);
	ram_file_put(f);
	ram_close(x->r);
	ram_fixture_open(x, 4 * UNIT);
	assert_int_equal(ram_file_get(x->r, 1, "a", fd, 8 * UNIT, heat, len, &f), 0);
	assert_true(fabs(ram_fixture_file_status(f).heat_mean / mean - 1) < 0.1);
	assert_true(fabs(ram_fixture_file_status(f).heat_max / most - 1) < 0.1);
	ram_file_put(f);
	ram_settle(x->r);
	heat[0] ^= 1;                                   /* what is no heat is as good as none */
	assert_int_equal(ram_file_get(x->r, 1, "a", fd, 8 * UNIT, heat, len, &f), 0);
	assert_true(ram_fixture_file_status(f).heat_max <= 0);
	ram_file_put(f);
	ram_settle(x->r);
	heat[0] ^= 1;
	memset(heat + 8, 0xff, len - 8);                /* not numbers */
	assert_int_equal(ram_file_get(x->r, 1, "a", fd, 8 * UNIT, heat, len, &f), 0);
	assert_true(ram_fixture_file_status(f).heat_max <= 0);
	ram_file_put(f);
	ram_settle(x->r);
	assert_int_equal(ram_file_get(x->r, 1, "a", fd, 8 * UNIT, heat, len - 1, &f), 0);
	ram_file_put(f);
	free(heat);
	close(fd);
}

static void test_plan_and_why(void **state)
{
	struct ram_fixture *x = *state;
	int a = ram_fixture_file(x, "a", 2 * UNIT), b = ram_fixture_file(x, "b", 2 * UNIT);
	struct ram_file *fa, *fb;
	char *plan, why[256];
	struct policy_rules rules = policy_rules_ram(2);
	struct ram_file_status s;

	ram_fixture_open(x, 2 * UNIT);
	fa = ram_fixture_get(x, 1, a, 2 * UNIT);
	fb = ram_fixture_get(x, 2, b, 2 * UNIT);
	assert_int_equal(ram_plan_print(x->r, &plan), 0);
	assert_string_equal(plan, "");
	free(plan);
	ram_file_opened(fa, getpid(), false);
	ram_file_opened(fb, getpid(), false);
	ram_fixture_read(a, 0, 2);
	ram_fixture_ticks(x, 60);
	ram_fixture_read(b, 0, 2);
	ram_fixture_ticks(x, 1);
	ram_fixture_evict(b, 0, 2);
	ram_fixture_ticks(x, 1);
	ram_fixture_read(b, 0, 2);
	ram_fixture_ticks(x, 1);
	s = ram_fixture_file_status(fb);
	assert_int_equal(s.why.reason, POLICY_COLDER);
	assert_true(s.why_unit < 2 && s.why.has_other);
	assert_true(policy_why_print(&s.why, &rules, why, sizeof(why)) > 0);
	assert_int_equal(ram_plan_print(x->r, &plan), 0);       /* once more, and it is hotter by the margin */
	assert_non_null(strstr(plan, "drop file-1 unit "));
	assert_non_null(strstr(plan, "admit file-2 unit "));
	assert_true(held(fa) > UNIT);                           /* both units still: it was only asked */
	assert_int_equal(held(fb), 0);
	free(plan);
	assert_true(x->events > 0);
	ram_file_put(fa);
	ram_file_put(fb);
	close(a);
	close(b);
}

/* ---- many threads ---- */

#define THREADS 4
#define FILES 3
#define ROUNDS 150

struct caller {
	struct ram_fixture *x;
	const int *fd;
	unsigned seed;
	bool first;
};

static void one_call(struct caller *c, struct ram_file *f, unsigned n)
{
	struct ram_file_status fs;
	struct ram_status s;
	size_t len;
	char *text;

	switch (n % 12) {
	case 0: ram_file_pin(f, n & 64); break;
	case 1: ram_file_warm(f); break;
	case 2: ram_file_cool(f); break;
	case 3: ram_file_stream(f); break;
	case 4: free(ram_file_heat(f, &len)); break;
	case 5: ram_settle(c->x->r); break;
	case 6:
		if (c->first)
			ram_fixture_memory(c->x, n & 64 ? 900 : 130);
		break;
	case 7: (void)ram_headroom(c->x->r); break;
	case 8:
		if (ram_plan_print(c->x->r, &text) == 0)
			free(text);
		break;
	default:
		ram_file_opened(f, (pid_t)(n % 40), n & 128);
		ram_fixture_read(c->fd[n % FILES], n % 6, n % 6 + 3);
		ram_file_status(f, &fs);
		ram_status(c->x->r, &s);
		ram_fixture_evict(c->fd[n % FILES], n % 7, n % 7 + 3);
		ram_file_closed(f, (pid_t)(n % 40));
	}
}

static void *caller_run(void *arg)
{
	struct caller *c = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned n = (c->seed = c->seed * 1103515245 + 12345) / 65536, which = n % FILES;
		struct ram_file *f;

		/* now and then another file under a key that is known */
		if (ram_file_get(c->x->r, which, "f", c->fd[n % 16 == 0 ? FILES : which], 8 * UNIT, NULL, 0, &f) != 0)
			return c;
		one_call(c, f, n / FILES);
		ram_file_put(f);
	}
	return NULL;
}

static bool is_evicted(struct ram_fixture *x, void *arg)
{
	const int *fd = arg;

	(void)x;
	ram_fixture_evict(*fd, 0, 8);
	return ram_fixture_resident(*fd, 0, 8) == 0;
}

static void test_threads(void **state)
{
	struct ram_fixture *x = *state;
	int fd[FILES + 1] = { ram_fixture_file(x, "a", 8 * UNIT), ram_fixture_file(x, "b", 8 * UNIT),
			      ram_fixture_file(x, "c", 8 * UNIT), ram_fixture_file(x, "d", 8 * UNIT) };
	struct caller c[THREADS];
	pthread_t thread[THREADS];
	struct ram_status s;

	ram_fixture_open(x, 10 * UNIT);
	for (unsigned i = 0; i < THREADS; i++) {
		c[i] = (struct caller){ .x = x, .fd = fd, .seed = i + 1, .first = i == 0 };
		assert_int_equal(pthread_create(&thread[i], NULL, caller_run, &c[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
	}
	ram_settle(x->r);
	s = ram_fixture_status(x);
	assert_int_equal(s.kept + s.locked + s.pinned, 0);      /* every file was put */
	for (unsigned i = 0; i <= FILES; i++) {
		ram_fixture_until(x, is_evicted, &fd[i]);       /* what is still being read cannot go at once */
		close(fd[i]);
	}
}

/* Orders by chance, one after the other; after each the invariants hold. */
static void test_random_orders(void **state)
{
	struct ram_fixture *x = *state;
	int fd[FILES] = { ram_fixture_file(x, "a", 8 * UNIT), ram_fixture_file(x, "b", 6 * UNIT + 100),
			  ram_fixture_file(x, "c", 3 * UNIT) };
	const uint64_t size[FILES] = { 8 * UNIT, 6 * UNIT + 100, 3 * UNIT };
	struct ram_file *f[FILES];
	unsigned seed = 7;

	ram_fixture_open(x, 9 * UNIT);
	for (unsigned i = 0; i < FILES; i++) {
		f[i] = ram_fixture_get(x, i, fd[i], size[i]);
		ram_file_opened(f[i], getpid(), false);
	}
	for (unsigned i = 0; i < 200; i++) {
		unsigned n = (seed = seed * 1103515245 + 12345) / 65536, k = n % FILES, at = n / 64 % 8;
		uint64_t sum = 0;
		struct ram_status s;

		switch (n / 4 % 6) {
		case 0: ram_file_pin(f[k], n & 512); break;
		case 1: ram_file_warm(f[k]); break;
		case 2: ram_file_cool(f[k]); break;
		case 3: ram_fixture_evict(fd[k], at, at + 3); break;
		default: ram_fixture_read(fd[k], at, at + 3);
		}
		ram_settle(x->r);
		s = ram_fixture_status(x);
		assert_true(s.kept + s.locked <= 9 * UNIT);
		assert_true(s.pinned <= 9 * UNIT);
		for (k = 0; k < FILES; k++) {
			assert_int_equal(ram_fixture_file_status(f[k]).wanted, 0);
			sum += held(f[k]);
		}
		assert_int_equal(sum, s.kept + s.locked);
	}
	for (unsigned i = 0; i < FILES; i++) {
		ram_file_put(f[i]);
		close(fd[i]);
	}
}

/* Between settles a sample looks at some of the locked units only; the others are there all the same. */
static void test_samples_leave_locked_units_alone(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 40 * UNIT);
	struct timespec now, end;
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, fd, 40 * UNIT);
	ram_file_warm(f);
	while (ram_fixture_file_status(f).wanted > 0)
		sched_yield();
	ram_file_opened(f, getpid(), false);
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (now = end, end.tv_sec++; now.tv_sec < end.tv_sec || now.tv_nsec < end.tv_nsec; clock_gettime(CLOCK_MONOTONIC, &now)) {
		assert_int_equal(ram_fixture_file_status(f).locked, 40 * UNIT);
		assert_int_equal(ram_fixture_status(x).refaults, 0);
		ram_fixture_read(fd, 0, 1);
	}
	ram_file_put(f);
	close(fd);
}

static void test_close_with_work_to_do(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 30 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, fd, 30 * UNIT);
	ram_file_warm(f);
	ram_file_put(f);
	ram_close(x->r);
	x->r = NULL;
	ram_fixture_evict(fd, 0, 30);
	close(fd);
	ram_close(NULL);
}

static void test_pins_stay_locked_when_refaults_end(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 4 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, fd, 4 * UNIT);
	ram_fixture_read(fd, 0, 4);
	ram_file_opened(f, getpid(), false);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_file_status(f).locked, 0);
	ram_file_pin(f, true);                          /* of what is kept already */
	ram_settle(x->r);
	assert_int_equal(ram_fixture_file_status(f).locked, 4 * UNIT);
	ram_file_closed(f, getpid());
	ram_fixture_ticks(x, 5);
	assert_int_equal(ram_fixture_file_status(f).locked, 4 * UNIT);
	ram_file_put(f);
	close(fd);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, ram_fixture_setup, ram_fixture_teardown)

int main(void)
{
	const struct CMUnitTest ram_orders_tests[] = {
		WITH(test_pin),
		WITH(test_warm_over_the_coldest_but_not_pins),
		WITH(test_warm_too_much),
		WITH(test_cool),
		WITH(test_stream_brings_in_and_holds_nothing),
		WITH(test_what_we_bring_in_is_no_heat),
		WITH(test_heat_survives),
		WITH(test_plan_and_why),
		WITH(test_pins_stay_locked_when_refaults_end),
		WITH(test_samples_leave_locked_units_alone),
		WITH(test_close_with_work_to_do),
		WITH(test_random_orders),
		WITH(test_threads),
	};

	return cmocka_run_group_tests(ram_orders_tests, NULL, NULL);
}
