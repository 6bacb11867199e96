/* test_map_threads.c - many threads commit and submit at once; each finds its own in the map afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/map_place.h"

#define THREADS MAP_TRUTH_BLOBS

struct worker {
	pthread_t thread;
	struct map *m;
	unsigned blob;
	atomic_uint done, failed;
	int rc;                         /* of what the thread itself saw */
};

static void settled(void *ctx, int rc)
{
	struct worker *w = ctx;

	if (rc != 0)
		atomic_fetch_add(&w->failed, 1);
	atomic_fetch_add(&w->done, 1);
}

static struct map_txn *one(uint64_t id, uint64_t extent)
{
	uint64_t sum = map_truth_sum(id, extent);
	struct map_txn *t;

	if (map_txn_new(&t) != 0)
		return NULL;
	if (map_txn_add(t, &(struct map_extents){ .blob = id, .first = extent, .count = 1, .sums = &sum }) != 0 ||
	    (extent % 2 == 1 && map_txn_drop(t, id, 0, extent - 1, 1) != 0)) {
		map_txn_free(t);
		return NULL;
	}
	return t;
}

/* No assertions here: cmocka's work on the test's own thread only. */
static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t id = map_truth_id(w->blob);
	struct map_txn *t;
	int rc;

	for (uint64_t i = 0; w->rc == 0 && i < MAP_TRUTH_EXTENTS; i++) {
		t = one(id, i);
		if (t == NULL) {
			w->rc = -ENOMEM;
		} else if (i % 5 == 0) {
			w->rc = map_commit(w->m, t);
		} else {
			while ((rc = map_submit(w->m, t, settled, w)) == -EAGAIN)
				sched_yield();
			w->rc = rc;
			if (rc != 0)
				map_txn_free(t);
		}
		if (map_read_only(w->m) != 0)
			w->rc = -EROFS;
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	static struct worker w[THREADS];
	static struct map_truth want, got;
	struct map_place *p = *state;
	struct map_txn *t;

	map_place_open(p);
	map_truth_init(&want);
	assert_int_equal(map_txn_new(&t), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(map_txn_put_blob(t, &(struct map_blob){ .id = map_truth_id(i), .path = "x" }), 0);
		want.blob[i].known = true;
		strcpy(want.blob[i].path, "x");
		for (int e = 1; e < MAP_TRUTH_EXTENTS; e += 2)
			want.blob[i].held[0][e] = true;
	}
	assert_int_equal(map_commit(p->m, t), 0);
	memset(w, 0, sizeof(w));
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].m = p->m;
		w[i].blob = i;
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].rc, 0);
	}
	map_place_shut(p);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(atomic_load(&w[i].done), MAP_TRUTH_EXTENTS - MAP_TRUTH_EXTENTS / 5);
		assert_int_equal(atomic_load(&w[i].failed), 0);
	}
	map_place_read(p, &got);
	assert_true(map_place_sound(&p->report));
	assert_true(map_truth_equal(&got, &want));
}

/* The queue refuses rather than grows, and takes again when it has drained. */
static void test_queue_is_bounded(void **state)
{
	static char heat[1 << 20];
	static struct worker w;
	struct map_place *p = *state;
	struct map_txn *t;
	unsigned sent = 0, refused = 0;
	int rc;

	map_place_open(p);
	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_put_blob(t, &(struct map_blob){ .id = 1, .path = "x" }), 0);
	assert_int_equal(map_commit(p->m, t), 0);
	while (refused == 0 && sent < 100000) {
		assert_int_equal(map_txn_new(&t), 0);
		assert_int_equal(map_txn_heat(t, 1, heat, sizeof(heat)), 0);
		rc = map_submit(p->m, t, settled, &w);
		if (rc == -EAGAIN) {
			refused++;
			assert_int_equal(map_commit(p->m, t), 0);       /* waits for room */
		} else {
			assert_int_equal(rc, 0);
			sent++;
		}
	}
	assert_int_equal(refused, 1);
	map_place_shut(p);
	assert_int_equal(atomic_load(&w.done), sent);
	assert_int_equal(atomic_load(&w.failed), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, map_place_setup, map_place_teardown)
	const struct CMUnitTest tests[] = { T(test_many_threads), T(test_queue_is_bounded) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
