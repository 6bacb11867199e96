/* test_map.c - the extent map: what is committed is found again, in whole transactions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/map_place.h"

static void test_round_trip(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	char path[PATH_MAX];
	struct stat st;

	map_place_open(p);
	assert_true(p->report.created && map_place_sound(&p->report));
	map_place_fill(p, &want, 1, 400);
	map_truth_load(&got, p->m);
	assert_true(map_truth_equal(&got, &want));
	map_place_shut(p);
	assert_int_equal(stat(map_place_path(p, "map.db-wal", path), &st), 0);
	assert_int_equal(st.st_size, 0);        /* an orderly end leaves it all in one file */
	for (int i = 0; i < 2; i++) {
		map_place_open(p);
		assert_true(!p->report.created && map_place_sound(&p->report));
		map_truth_load(&got, p->m);
		assert_true(map_truth_equal(&got, &want));
		map_place_shut(p);
	}
}

/* Every boundary of the chunks a row covers, added and dropped, one extent and runs. */
static void test_chunk_edges(void **state)
{
	static const uint64_t edge[] = { 0, 1, 62, 63, 64, 65, 127, 128, 129, 191, 199 };
	static struct map_truth want, got;
	struct map_place *p = *state;
	const size_t n = sizeof(edge) / sizeof(edge[0]);
	uint64_t sums[MAP_TRUTH_EXTENTS], id = map_truth_id(0);
	struct map_txn *t;

	map_place_open(p);
	for (uint64_t i = 0; i < MAP_TRUTH_EXTENTS; i++)
		sums[i] = map_truth_sum(id, i);
	for (size_t a = 0; a < n; a++)
		for (size_t b = a; b < n; b++) {
			map_truth_init(&want);
			want.blob[0].known = true;
			assert_int_equal(map_txn_new(&t), 0);
			assert_int_equal(map_txn_drop_blob(t, id), 0);
			assert_int_equal(map_txn_put_blob(t, &(struct map_blob){ .id = id, .path = "" }), 0);
			assert_int_equal(map_txn_add(t, &(struct map_extents){ .blob = id, .count = 200, .sums = sums }), 0);
			assert_int_equal(map_txn_drop(t, id, 0, edge[a], edge[b] - edge[a] + 1), 0);
			assert_int_equal(map_txn_add(t, &(struct map_extents){ .blob = id, .cache = 1, .first = edge[a],
						     .count = (uint32_t)(edge[b] - edge[a] + 1), .sums = sums + edge[a] }), 0);
			for (uint64_t i = 0; i < MAP_TRUTH_EXTENTS; i++) {
				want.blob[0].held[0][i] = i < edge[a] || i > edge[b];
				want.blob[0].held[1][i] = !want.blob[0].held[0][i];
			}
			assert_int_equal(map_commit(p->m, t), 0);
			map_truth_load(&got, p->m);
			assert_true(map_truth_equal(&got, &want));
		}
	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_drop(t, id, 0, 1, UINT64_MAX), 0);
	assert_int_equal(map_txn_drop(t, id, 1, 0, UINT64_MAX), 0);
	assert_int_equal(map_commit(p->m, t), 0);
	map_truth_load(&got, p->m);
	assert_int_equal(got.extents, 1);
}

static void test_limits(void **state)
{
	struct map_place *p = *state;
	uint64_t sum = 5;
	struct map_txn *t;
	char *big = calloc(1, MAP_VALUE_MAX + 1);
	char name[MAP_NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	map_place_open(p);
	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_put_blob(t, &(struct map_blob){ .id = 0 }), -EINVAL);
	assert_int_equal(map_txn_add(t, &(struct map_extents){ .blob = 1, .count = 0, .sums = &sum }), -EINVAL);
	assert_int_equal(map_txn_add(t, &(struct map_extents){ .blob = 1, .first = MAP_EXTENT_LIMIT, .count = 1,
				     .sums = &sum }), -EINVAL);
	assert_int_equal(map_txn_drop(t, 1, 0, MAP_EXTENT_LIMIT, 1), -EINVAL);
	assert_int_equal(map_txn_drop(t, 1, 0, 0, 0), -EINVAL);
	assert_int_equal(map_txn_pin(t, name, MAP_PIN_RAM), -EINVAL);
	assert_int_equal(map_txn_pin(t, "", MAP_PIN_RAM), -EINVAL);
	assert_int_equal(map_txn_pin(t, "x", (enum map_pin)9), -EINVAL);
	assert_int_equal(map_txn_set(t, "x", big, MAP_VALUE_MAX + 1), -EINVAL);
	assert_int_equal(map_txn_set(t, "x", big, MAP_VALUE_MAX), 0);
	assert_int_equal(map_txn_set(t, "y", big, MAP_VALUE_MAX), -E2BIG);
	name[MAP_NAME_MAX] = '\0';
	assert_int_equal(map_txn_pin(t, name, MAP_PIN_NVME), 0);
	/* the last extent that there can be */
	assert_int_equal(map_txn_put_blob(t, &(struct map_blob){ .id = UINT64_MAX, .path = "p" }), 0);
	assert_int_equal(map_txn_add(t, &(struct map_extents){ .blob = UINT64_MAX, .cache = 255, .first = MAP_EXTENT_LIMIT - 1,
				     .count = 1, .sums = &sum }), 0);
	assert_int_equal(map_commit(p->m, t), 0);
	map_place_shut(p);
	map_place_open(p);
	assert_true(map_place_sound(&p->report));
	free(big);
}

/* What is impossible fails alone; the others of the batch are committed. */
static void count_done(void *ctx, int rc)
{
	int *seen = ctx;

	seen[rc == 0 ? 0 : rc == -ENOENT ? 1 : 2]++;
}

static void test_unknown_blob_fails_alone(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	uint64_t rng = 3, sum = 1;
	int seen[3] = { 0 };
	struct map_txn *t;

	map_place_open(p);
	map_truth_init(&want);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(map_submit(p->m, map_truth_step(&want, &rng), count_done, seen), 0);
		assert_int_equal(map_txn_new(&t), 0);
		assert_int_equal(map_txn_put_blob(t, &(struct map_blob){ .id = 99, .path = "half" }), 0);
		assert_int_equal(map_txn_set(t, "half", "x", 1), 0);
		assert_int_equal(map_txn_add(t, &(struct map_extents){ .blob = 12345, .count = 1, .sums = &sum }), 0);
		assert_int_equal(map_submit(p->m, t, count_done, seen), 0);
	}
	map_place_shut(p);                        /* commits what was submitted */
	assert_int_equal(seen[0], 300);
	assert_int_equal(seen[1], 300);
	map_place_open(p);
	assert_true(map_place_sound(&p->report));
	map_truth_load(&got, p->m);
	assert_true(map_truth_equal(&got, &want));
}

static void test_second_opener_is_refused(void **state)
{
	struct map_place *p = *state;
	struct map_place other = *p;
	int status;
	pid_t pid;

	map_place_open(p);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(map_place_try(&other) == -EBUSY ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	other.m = NULL;
	assert_int_equal(map_place_try(&other), -EBUSY);     /* in one process too */
	assert_null(other.m);
}

static void test_no_directory(void **state)
{
	struct map_place *p = *state;
	struct map_place other = { .dir = "/nonexistent/map" };

	(void)p;
	assert_int_equal(map_place_try(&other), -ENOENT);
}

/* Heat is kept over an orderly end, replaced whole, and goes with its blob. */
static int take_heat(void *ctx, uint64_t blob, const void *heat, size_t len)
{
	float *out = ctx;

	assert_int_equal(blob, 5);
	assert_int_equal(len, 1000 * sizeof(float));
	memcpy(out, heat, len);
	return 0;
}

static void test_heat(void **state)
{
	struct map_place *p = *state;
	float heat[1000], got[1000];
	const struct map_loader loader = { .heat = take_heat, .ctx = got };
	struct map_txn *t;

	for (int i = 0; i < 1000; i++)
		heat[i] = (float)i / 3;
	map_place_open(p);
	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_put_blob(t, &(struct map_blob){ .id = 5, .path = "p" }), 0);
	assert_int_equal(map_commit(p->m, t), 0);
	for (int i = 0; i < 3; i++) {
		heat[0] = (float)i;
		assert_int_equal(map_txn_new(&t), 0);
		assert_int_equal(map_txn_heat(t, 5, heat, sizeof(heat)), 0);
		assert_int_equal(map_txn_heat(t, 6, heat, 4), 0);       /* nobody's */
		assert_int_equal(map_commit(p->m, t), 0);
	}
	map_place_shut(p);
	map_place_open(p);
	assert_true(map_place_sound(&p->report));
	assert_int_equal(map_load(p->m, &loader), 0);
	assert_memory_equal(got, heat, sizeof(heat));
	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_drop_blob(t, 5), 0);
	assert_int_equal(map_commit(p->m, t), 0);
	got[0] = -1;
	assert_int_equal(map_load(p->m, &loader), 0);
	assert_true(got[0] == -1);
}

static int stop_at_once(void *ctx, const struct map_blob *blob)
{
	(void)ctx;
	(void)blob;
	return -ECANCELED;
}

static void test_loader_may_stop(void **state)
{
	static struct map_truth want;
	struct map_place *p = *state;
	const struct map_loader loader = { .blob = stop_at_once };

	map_place_open(p);
	map_place_fill(p, &want, 9, 50);
	assert_int_equal(map_load(p->m, &loader), -ECANCELED);
	assert_int_equal(map_load(p->m, &(struct map_loader){ .ctx = NULL }), 0);
	assert_int_equal(map_read_only(p->m), 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, map_place_setup, map_place_teardown)
	const struct CMUnitTest tests[] = {
		T(test_round_trip), T(test_chunk_edges), T(test_limits), T(test_unknown_blob_fails_alone),
		T(test_second_opener_is_refused), T(test_no_directory), T(test_heat), T(test_loader_may_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
