/* test_kern_pool.c - every index exactly once, whatever the number of threads, run after run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "kernels/kern_pool.h"

#define N 5000

struct counts {
	uint32_t grain, n;
	uint32_t seen[N];               /* each index is one thread's, so no lock */
	int bad_piece;
};

static void count(void *arg, uint32_t i0, uint32_t i1)
{
	struct counts *c = arg;
	uint32_t i;

	if (i1 <= i0 || (i1 - i0 < c->grain && i1 != c->n))
		c->bad_piece = 1;
	for (i = i0; i < i1; i++)
		c->seen[i]++;
}

static void check_threads(uint32_t n_threads)
{
	static const uint32_t n[] = { 1, 2, 3, 7, 64, 1000, N }, grain[] = { 1, 3, 64 };
	static struct counts c;
	struct kern_pool *p;
	size_t a, b;
	uint32_t i, round;

	assert_int_equal(kern_pool_open(&p, n_threads), 0);
	assert_int_equal(kern_pool_threads(p), n_threads);
	for (a = 0; a < sizeof(n) / sizeof(n[0]); a++)
		for (b = 0; b < sizeof(grain) / sizeof(grain[0]); b++)
			for (round = 0; round < 20; round++) {
				memset(&c, 0, sizeof(c));
				c.grain = grain[b];
				c.n = n[a];
				kern_pool_run(p, count, &c, n[a], grain[b]);
				assert_int_equal(c.bad_piece, 0);
				for (i = 0; i < n[a]; i++)
					assert_int_equal(c.seen[i], 1);
			}
	kern_pool_close(p);
}

static void test_every_index_once(void **state)
{
	(void)state;
	check_threads(1);
	check_threads(2);
	check_threads(3);
	check_threads(8);
}

/* What one run wrote is there for the next, without any lock of the caller's. */
struct chain { uint32_t from[N], to[N]; };

static void step(void *arg, uint32_t i0, uint32_t i1)
{
	struct chain *c = arg;
	uint32_t i;

	for (i = i0; i < i1; i++)
		c->to[i] = c->from[N - 1 - i] + 1;
}

static void test_runs_are_ordered(void **state)
{
	static struct chain c;
	struct kern_pool *p;
	uint32_t i, round;

	(void)state;
	memset(&c, 0, sizeof(c));
	assert_int_equal(kern_pool_open(&p, 3), 0);
	for (round = 0; round < 200; round++) {
		kern_pool_run(p, step, &c, N, 1);
		memcpy(c.from, c.to, sizeof(c.from));
	}
	for (i = 0; i < N; i++)
		assert_int_equal(c.from[i], 200);
	kern_pool_close(p);
}

/* Which threads took part, each with a bit by the order in which it was first seen. */
struct seen { pthread_mutex_t lock; pthread_t id[8]; uint32_t n; };

static void note_thread(void *arg, uint32_t i0, uint32_t i1)
{
	struct seen *s = arg;
	uint32_t i;

	(void)i0;
	(void)i1;
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n && !pthread_equal(s->id[i], pthread_self()); i++)
		;
	if (i == s->n)
		s->id[s->n++] = pthread_self();
	pthread_mutex_unlock(&s->lock);
}

static void test_limit(void **state)
{
	static struct seen all = { .lock = PTHREAD_MUTEX_INITIALIZER }, one = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct kern_pool *p;
	uint32_t round;

	(void)state;
	assert_int_equal(kern_pool_open(&p, 4), 0);
	kern_pool_limit(p, 2);
	for (round = 0; round < 500; round++)
		kern_pool_run(p, note_thread, &all, N, 1);
	assert_in_range(all.n, 1, 2);
	kern_pool_limit(p, 0);
	for (round = 0; round < 100; round++)
		kern_pool_run(p, note_thread, &one, N, 1);
	assert_int_equal(one.n, 1);
	assert_true(pthread_equal(one.id[0], pthread_self()));
	kern_pool_limit(p, 99);
	assert_int_equal(kern_pool_threads(p), 4);
	kern_pool_close(p);
}

static void test_empty_and_refused(void **state)
{
	struct kern_pool *p;

	(void)state;
	assert_int_equal(kern_pool_open(&p, 0), -EINVAL);
	assert_int_equal(kern_pool_open(&p, KERN_POOL_MAX + 1), -EINVAL);
	assert_int_equal(kern_pool_open(&p, 2), 0);
	kern_pool_run(p, count, NULL, 0, 1);
	kern_pool_close(p);
	kern_pool_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_index_once),
		cmocka_unit_test(test_runs_are_ordered),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_empty_and_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
