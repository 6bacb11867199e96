/* test_ring_wake.c - a ring that other threads wake, and what they hand over with it. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/ring_place.h"

static void time_passes(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	int64_t before = ring_place_now_ms();

	assert_null(ring_wait(p->r, 30));
	assert_true(ring_place_now_ms() - before >= 30);
	assert_null(ring_wait(p->r, 0));
}

/* A wake ends the next wait, and only that. */
static void woken_before_the_wait(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	int64_t before;

	for (unsigned i = 0; i < 5; i++) {
		ring_wake(p->r);
		ring_wake(p->r);
		assert_null(ring_wait(p->r, i % 2 == 0 ? -1 : 1000000));
		before = ring_place_now_ms();
		assert_null(ring_wait(p->r, 20));
		assert_true(ring_place_now_ms() - before >= 20);
	}
}

/* A return with operations has taken note of a wake before it; operations do not get lost over it. */
static void woken_with_operations(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	int64_t before;

	for (unsigned i = 0; i < 20; i++) {
		ring_place_start(p, 0, RING_READ, p->direct, 0, RING_BLOCK);
		ring_wake(p->r);
		if (ring_wait(p->r, -1) == NULL)
			assert_ptr_equal(ring_wait(p->r, -1), &p->ops[0]);
		assert_int_equal(p->ops[0].res, RING_BLOCK);
		assert_int_equal(ring_in_flight(p->r), 0);
	}
	before = ring_place_now_ms();
	assert_null(ring_wait(p->r, 20));
	assert_true(ring_place_now_ms() - before >= 20);
}

/* The other end of a hand-over: it says the next number whenever the last was heard. */
struct teller {
	pthread_t thread;
	struct ring *r;
	atomic_int heard;
	int said;                       /* plain: that it is seen whole is the ring's doing */
};

#define TOLD 2000

static void *tell(void *arg)
{
	struct teller *t = arg;

	for (int i = 1; i <= TOLD; i++) {
		t->said = i;
		ring_wake(t->r);
		while (atomic_load(&t->heard) < i)
			sched_yield();
	}
	return NULL;
}

static void woken_by_a_thread(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	struct teller t = { .r = p->r };

	assert_int_equal(pthread_create(&t.thread, NULL, tell, &t), 0);
	for (int i = 1; i <= TOLD; i++) {
		assert_null(ring_wait(p->r, i % 2 == 0 ? -1 : 1000000));
		assert_int_equal(t.said, i);
		atomic_store(&t.heard, i);
	}
	assert_int_equal(pthread_join(t.thread, NULL), 0);
}

struct crowd {
	struct ring *r;
	atomic_uint told;
};

static void *shout(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 0; i < TOLD; i++) {
		atomic_fetch_add(&c->told, 1);
		ring_wake(c->r);
	}
	return NULL;
}

/* Many wake while operations come and go; were one wake lost, the last wait would not end. */
static void woken_by_many(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	struct crowd c = { .r = p->r };
	pthread_t threads[3];
	bool busy[RING_DEPTH] = { false };
	unsigned i = 0;

	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(pthread_create(&threads[n], NULL, shout, &c), 0);
	while (atomic_load(&c.told) < 3 * TOLD || ring_in_flight(p->r) > 0) {
		if (atomic_load(&c.told) < 2 * TOLD && !busy[i % RING_DEPTH]) {
			ring_place_start(p, i % RING_DEPTH, RING_READ, i % 2 == 0 ? p->fd : p->direct, i % RING_DEPTH * RING_PART, RING_PART);
			busy[i % RING_DEPTH] = true;
		}
		i++;
		ring_place_check(p, busy, ring_wait(p->r, -1));
	}
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(pthread_join(threads[n], NULL), 0);
}

int main(void)
{
	const struct CMUnitTest ring_wake_tests[] = {
		RING_TEST(time_passes),
		RING_TEST(woken_before_the_wait),
		RING_TEST(woken_with_operations),
		RING_TEST(woken_by_a_thread),
		RING_TEST(woken_by_many),
	};

	return cmocka_run_group_tests(ring_wake_tests, NULL, NULL);
}
