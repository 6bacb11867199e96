/* test_map_faults.c - the map with each call of its files failing in turn, and with the power cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/fault_vfs.h"
#include "tests/unit/map_place.h"

#define STEPS 10

static int setup(void **state)
{
	return map_place_setup_fast(state);
}

/* What must be in the map, and what may be: a commit that failed with -EIO is in doubt. */
struct account {
	struct map_truth sure, doubt;
	bool any_doubt;
	unsigned acked, refused;
};

/* One random transaction, kept account of. */
static void commit_one(struct map_place *p, struct account *a, uint64_t *rng)
{
	static struct map_truth next;
	int rc;

	next = a->sure;
	rc = map_commit(p->m, map_truth_step(&next, rng));
	if (rc == 0) {
		assert_false(a->any_doubt);     /* nothing is acknowledged after a doubt */
		a->sure = next;
		a->acked++;
		return;
	}
	a->refused++;
	if (rc == -EIO) {
		assert_false(a->any_doubt);
		assert_true(map_read_only(p->m) != 0);
		a->doubt = next;
		a->any_doubt = true;
	} else {
		assert_true(rc == -ENOSPC || rc == -EROFS || rc == -ENOMEM);
	}
}

static void check_account(struct map_place *p, const struct account *a)
{
	static struct map_truth got;

	map_place_read(p, &got);
	assert_int_equal(p->report.read_only, 0);
	assert_true(map_place_sound(&p->report) || p->report.created);
	assert_true(map_truth_equal(&got, &a->sure) || (a->any_doubt && map_truth_equal(&got, &a->doubt)));
	map_place_read(p, &got);                /* recovery twice is recovery once */
	assert_true(map_place_sound(&p->report));
	assert_true(map_truth_equal(&got, &a->sure) || (a->any_doubt && map_truth_equal(&got, &a->doubt)));
}

struct fault {
	unsigned mask;
	int rc;
	bool for_ever, torn;
};

/* Open, commit, close, with the nth call failing, for every n until none fails. */
static void fail_each(struct map_place *p, struct fault_vfs *f, const struct fault *w)
{
	static struct account a;
	unsigned acked = 0, refused = 0;
	uint64_t rng = 21;
	long n;

	for (n = 0;; n++) {
		memset(&a, 0, sizeof(a));
		map_place_read(p, &a.sure);
		fault_vfs_arm(f, w->mask, n, w->rc, w->for_ever, w->torn);
		map_place_open(p);
		if (p->report.started_anew || p->report.created)
			map_truth_init(&a.sure);
		for (int i = 0; i < STEPS; i++)
			commit_one(p, &a, &rng);
		map_place_shut(p);
		acked += a.acked;
		refused += a.refused;
		fault_vfs_disarm(f);
		check_account(p, &a);
		if (!fault_vfs_fired(f))
			break;
	}
	assert_int_equal(a.acked, STEPS);
	print_message("  kinds %2u result %4d%s%s: %ld calls failed; %u acknowledged, %u refused\n", w->mask, w->rc,
		      w->for_ever ? " for ever" : "", w->torn ? " torn" : "", n, acked, refused);
}

static void test_each_call_fails(void **state)
{
	static const struct fault faults[] = {
		{ FAULT_VFS_WRITE, SQLITE_IOERR_WRITE, false, false }, { FAULT_VFS_WRITE, SQLITE_IOERR_WRITE, true, true },
		{ FAULT_VFS_WRITE, SQLITE_FULL, false, false }, { FAULT_VFS_WRITE, SQLITE_FULL, false, true },
		{ FAULT_VFS_WRITE, SQLITE_FULL, true, false }, { FAULT_VFS_SYNC, SQLITE_IOERR_FSYNC, false, false },
		{ FAULT_VFS_SYNC, SQLITE_IOERR_FSYNC, true, false },
		{ FAULT_VFS_TRUNCATE, SQLITE_IOERR_TRUNCATE, true, false },
		{ FAULT_VFS_OPEN, SQLITE_CANTOPEN, false, false }, { FAULT_VFS_OPEN, SQLITE_CANTOPEN, true, false },
		{ FAULT_VFS_DELETE, SQLITE_IOERR_DELETE, true, false },
		{ FAULT_VFS_WRITE | FAULT_VFS_SYNC | FAULT_VFS_TRUNCATE, SQLITE_IOERR, true, true },
	};
	struct fault_vfs *f = fault_vfs_new();
	struct map_place *p = *state;

	p->vfs = FAULT_VFS_NAME;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		fail_each(p, f, &faults[i]);
	fault_vfs_free(f);
}

/* The same from nothing: the first file is made with faults. */
static void test_each_call_fails_when_new(void **state)
{
	static const struct fault faults[] = {
		{ FAULT_VFS_WRITE | FAULT_VFS_SYNC | FAULT_VFS_OPEN, SQLITE_IOERR, false, true },
		{ FAULT_VFS_WRITE | FAULT_VFS_SYNC | FAULT_VFS_OPEN, SQLITE_IOERR, true, false },
		{ FAULT_VFS_WRITE, SQLITE_FULL, false, false }, { FAULT_VFS_WRITE, SQLITE_FULL, true, false },
	};
	struct fault_vfs *f = fault_vfs_new();
	struct map_place *p = *state;
	static struct account a;
	uint64_t rng = 22;

	p->vfs = FAULT_VFS_NAME;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		for (long n = 0;; n++) {
			scratch_remove(p->dir);
			assert_int_equal(map_place_setup_again(p), 0);
			memset(&a, 0, sizeof(a));
			map_truth_init(&a.sure);
			fault_vfs_arm(f, faults[i].mask, n, faults[i].rc, faults[i].for_ever, faults[i].torn);
			map_place_open(p);
			for (int k = 0; k < 3; k++)
				commit_one(p, &a, &rng);
			map_place_shut(p);
			fault_vfs_disarm(f);
			if (a.acked > 0)
				check_account(p, &a);
			else
				map_place_read(p, &a.doubt);    /* it opens */
			if (!fault_vfs_fired(f))
				break;
		}
	fault_vfs_free(f);
}

/* A sector that cannot be read costs what was on it, or all; never an error, never what was not there. */
static void test_each_read_fails(void **state)
{
	static struct map_truth want, got;
	struct fault_vfs *f = fault_vfs_new();
	struct map_place *p = *state;
	uint64_t extents = 0;
	long n, rounds = 0;

	p->vfs = FAULT_VFS_NAME;
	for (int for_ever = 0; for_ever < 2; for_ever++)
		for (n = 0;; n++, rounds++) {
			scratch_remove(p->dir);
			assert_int_equal(map_place_setup_again(p), 0);
			map_place_open(p);
			map_place_fill(p, &want, 23, 60);
			map_place_shut(p);
			map_place_read(p, &want);
			fault_vfs_arm(f, FAULT_VFS_READ, n, SQLITE_IOERR_READ, for_ever, false);
			map_place_read(p, &got);
			assert_true(map_truth_within(&got, &want));
			fault_vfs_disarm(f);
			map_place_read(p, &got);
			assert_int_equal(p->report.read_only, 0);
			assert_true(map_truth_within(&got, &want));
			extents += got.extents;
			if (!fault_vfs_fired(f))
				break;
		}
	assert_true(map_truth_equal(&got, &want));
	print_message("  %ld reads failed; %.1f extents of %llu kept on average\n", rounds,
		      (double)extents / (double)(rounds + 2), (unsigned long long)want.extents);
	fault_vfs_free(f);
}

/* ---- names: renames, removals and directory syncs of the repair ---------------------------------------- */

struct nth_io {
	unsigned long at, calls;
	bool for_ever, fired;
};

static int nth_hook(void *ctx, struct io_call *call)
{
	struct nth_io *n = ctx;
	unsigned long at = n->calls++;

	(void)call;
	if (at != n->at && !(n->for_ever && at > n->at))
		return 0;
	n->fired = true;
	return -EIO;
}

static void test_each_name_call_fails(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	struct nth_io nth = { 0 };

	for (int for_ever = 0; for_ever < 2; for_ever++)
		for (unsigned long n = 0;; n++) {
			scratch_remove(p->dir);
			assert_int_equal(map_place_setup_again(p), 0);
			map_place_open(p);
			map_place_fill(p, &want, 24, 60);
			map_place_shut(p);
			map_place_sql(p, "UPDATE chunk SET value = x'0011' WHERE (blob, part) = "
				      "(SELECT blob, part FROM chunk LIMIT 1)");
			nth = (struct nth_io){ .at = n, .for_ever = for_ever };
			p->io = (struct io){ .hook = nth_hook, .ctx = &nth };
			map_place_read(p, &got);
			assert_true(map_truth_within(&got, &want));
			p->io = (struct io){ .hook = NULL };
			map_place_read(p, &got);
			assert_int_equal(p->report.read_only, 0);
			assert_true(map_truth_within(&got, &want));
			map_place_read(p, &got);
			assert_true(map_place_sound(&p->report));
			if (!nth.fired)
				break;
		}
	assert_true(got.extents > 0);
}

/* ---- the power is cut --------------------------------------------------------------------------------- */

static void test_power_cut(void **state)
{
	const unsigned rounds = getenv("HEARTH_LONG") != NULL ? 3000 : 300;
	struct fault_vfs *f = fault_vfs_new();
	struct map_place *p = *state;
	static struct account a;
	unsigned acked = 0, doubts = 0, found = 0;
	static struct map_truth got;
	uint64_t rng = 25;

	p->vfs = FAULT_VFS_NAME;
	fault_vfs_swallow_syncs(f, true);
	for (unsigned round = 0; round < rounds; round++) {
		memset(&a, 0, sizeof(a));
		map_place_read(p, &a.sure);
		fault_vfs_record(f);
		fault_vfs_arm(f, FAULT_VFS_WRITE | FAULT_VFS_SYNC | FAULT_VFS_TRUNCATE,
			      (long)(map_truth_random(&rng) % (round % 8 == 0 ? 6000 : 200)), SQLITE_IOERR, true, round % 2);
		map_place_open(p);
		while (map_read_only(p->m) == 0)
			commit_one(p, &a, &rng);
		map_place_shut(p);
		fault_vfs_disarm(f);
		fault_vfs_power_cut(f, round);
		map_place_read(p, &got);
		assert_true(map_place_sound(&p->report));
		if (a.any_doubt && !map_truth_equal(&got, &a.sure)) {
			assert_true(map_truth_equal(&got, &a.doubt));
			found++;
		} else {
			assert_true(map_truth_equal(&got, &a.sure));
		}
		acked += a.acked;
		doubts += a.any_doubt;
	}
	print_message("  %u power cuts: %u commits acknowledged and found; %u in doubt, %u of them found\n", rounds, acked,
		      doubts, found);
	assert_true(acked > rounds && doubts > 0);
	fault_vfs_free(f);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, map_place_teardown)
	const struct CMUnitTest tests[] = {
		T(test_each_call_fails), T(test_each_call_fails_when_new), T(test_each_read_fails),
		T(test_each_name_call_fails), T(test_power_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
