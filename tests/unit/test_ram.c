/* test_ram.c - what clients read is held by the policy's rule: kept, and locked once the kernel was seen to
 * take it.  The kernel's part is played by posix_fadvise(DONTNEED), which takes what is not locked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/capability.h>

#include "tests/unit/ram_fixture.h"

#define UNITS 12

static void needs_locks(struct ram_fixture *x)
{
	const char *why = ram_fixture_cannot_lock(x);

	if (why != NULL) {
		print_message("%s\n", why);
		skip();
	}
}

/* Read, taken by the kernel and read again: each unit is refaulted once. */
static void refault(struct ram_fixture *x, int fd, uint64_t from, uint64_t to)
{
	ram_fixture_evict(fd, from, to);
	ram_fixture_ticks(x, 1);
	ram_fixture_read(fd, from, to);
	ram_fixture_ticks(x, 1);
}

static void test_first_reading_is_kept(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", UNITS * UNIT + 5000);
	struct ram_file *f;
	struct ram_file_status s;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, fd, UNITS * UNIT + 5000);
	ram_file_opened(f, getpid(), false);
	ram_settle(x->r);
	s = ram_fixture_file_status(f);
	assert_int_equal(s.kept + s.locked + s.resident + s.wanted, 0);
	ram_fixture_read(fd, 2, 6);
	ram_settle(x->r);
	s = ram_fixture_file_status(f);
	assert_cached(s.resident, 4 * UNIT);
	assert_cached(s.kept, 4 * UNIT);
	assert_int_equal(s.locked, 0);
	assert_true(s.heat_max <= 0);                   /* a load is no heat */
	assert_int_equal(s.why.reason, POLICY_ROOM);
	assert_int_equal(ram_fixture_status(x).admitted, 4);
	assert_int_equal(ram_fixture_status(x).refaults, 0);
	ram_fixture_read(fd, 0, UNITS + 1);
	ram_settle(x->r);
	s = ram_fixture_file_status(f);
	assert_cached(s.resident, UNITS * UNIT + 5000);
	assert_cached(s.kept, UNITS * UNIT + 5120);  /* in KiB, rounded up */
	ram_fixture_evict(fd, 0, 3);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(f).kept, (UNITS - 3) * UNIT + 5120);
	ram_file_put(f);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_status(x).kept, 0);
	close(fd);
}

static void test_refaults_lock(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", UNITS * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, fd, UNITS * UNIT);
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(fd, 0, UNITS);
	ram_settle(x->r);
	refault(x, fd, 3, 5);
	assert_int_equal(ram_fixture_status(x).refaults, 2);
	assert_int_equal(ram_fixture_file_status(f).locked, UNITS * UNIT);
	assert_int_equal(ram_fixture_file_status(f).kept, 0);
	assert_true(ram_fixture_file_status(f).heat_max > 0.9);
	ram_fixture_evict(fd, 0, UNITS);
	assert_int_equal(ram_fixture_resident(fd, 0, UNITS), UNITS * UNIT);     /* the kernel cannot take it */
	ram_file_put(f);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_status(x).locked, 0);
	ram_fixture_evict(fd, 0, UNITS);
	assert_int_equal(ram_fixture_resident(fd, 0, UNITS), 0);
	close(fd);
}

static void loop_once(struct ram_fixture *x, int fd)
{
	for (uint64_t at = 0; at < 40; at += 4) {
		ram_fixture_read(fd, at, at + 4);
		ram_fixture_ticks(x, 1);
	}
	ram_fixture_evict(fd, 0, 40);
	ram_fixture_ticks(x, 1);
}

/* A loop over more than the budget: what was there first stays, and once it is there nothing moves.  The second pass
 * locks it, unless a kernel short of memory took pages in between: then a later one. */
static void test_loop_is_still(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 40 * UNIT);
	struct ram_status s, end;
	unsigned full = 0;
	struct ram_file *f;

	ram_fixture_open(x, 30 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, fd, 40 * UNIT);
	ram_file_opened(f, getpid(), false);
	loop_once(x, fd);
	assert_int_equal(ram_fixture_resident(fd, 0, 40), 0);
	for (unsigned pass = 0; pass < 20 && ram_fixture_status(x).locked < 30 * UNIT; pass++)
		loop_once(x, fd);
	s = ram_fixture_status(x);
	assert_int_equal(s.admitted, 30);
	assert_int_equal(s.locked, 30 * UNIT);
	for (unsigned pass = 0; pass < 10; pass++) {
		loop_once(x, fd);
		full += ram_fixture_resident(fd, 0, 40) == 30 * UNIT;
	}
	assert_true(full >= 8);                         /* the kernel may have split a folio, see test_split_folio */
	end = ram_fixture_status(x);
	assert_int_equal(end.admitted, 30);
	assert_int_equal(end.dropped, 0);
	assert_int_equal(end.refaults - s.refaults, 10 * 10);
	ram_file_put(f);
	close(fd);
}

/* A kernel that compacts memory splits large folios and so takes their pages out of locked mappings: cutting the file
 * does it too.  They are locked anew with their unit. */
static void test_split_folio(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", UNITS * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, fd, UNITS * UNIT);
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(fd, 0, UNITS);
	ram_settle(x->r);
	refault(x, fd, 0, UNITS);
	assert_int_equal(ram_fixture_file_status(f).locked, UNITS * UNIT);
	assert_int_equal(ftruncate(fd, UNITS * UNIT - UNIT / 16), 0);
	assert_int_equal(ftruncate(fd, UNITS * UNIT), 0);
	ram_fixture_ticks(x, 40);
	assert_int_equal(ram_fixture_file_status(f).locked, UNITS * UNIT);
	ram_fixture_evict(fd, 0, UNITS);
	assert_int_equal(ram_fixture_resident(fd, 0, UNITS), UNITS * UNIT);
	ram_file_put(f);
	close(fd);
}

static void test_never_over_budget(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 24 * UNIT);
	unsigned seed = 1;
	struct ram_file *f;

	ram_fixture_open(x, 5 * UNIT + 1000);
	f = ram_fixture_get(x, 1, fd, 24 * UNIT);
	ram_file_opened(f, getpid(), false);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t at = (seed = seed * 1103515245 + 12345) / 65536 % 20;
		struct ram_status s;

		if (i % 3 == 0)
			ram_fixture_evict(fd, at, at + 4);
		else
			ram_fixture_read(fd, at, at + 4);
		ram_settle(x->r);
		s = ram_fixture_status(x);
		assert_true(s.kept + s.locked <= 5 * UNIT);
		assert_true(s.allowed <= 5 * UNIT + 1000);
	}
	ram_file_put(f);
	close(fd);
}

static void test_no_budget_only_watches(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 4 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 0);
	f = ram_fixture_get(x, 1, fd, 4 * UNIT);
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(fd, 0, 4);
	ram_file_warm(f);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(f).resident, 4 * UNIT);
	assert_int_equal(ram_fixture_file_status(f).kept + ram_fixture_file_status(f).locked, 0);
	assert_int_equal(ram_fixture_file_status(f).wanted, 0);
	ram_file_put(f);
	close(fd);
}

static bool b_has_all(struct ram_fixture *x, void *arg)
{
	struct ram_file_status s = ram_fixture_file_status(arg);

	(void)x;
	return s.kept + s.locked == 8 * UNIT;
}

/* Two files of the size of the tier.  The second is refaulted until it is hotter by the margin, and takes the
 * place of the first, each unit once. */
static void test_two_files_compete(void **state)
{
	struct ram_fixture *x = *state;
	int a = ram_fixture_file(x, "a", 8 * UNIT), b = ram_fixture_file(x, "b", 8 * UNIT);
	struct ram_file *fa, *fb;
	struct ram_status s;
	unsigned n;

	ram_fixture_open(x, 8 * UNIT);
	fa = ram_fixture_get(x, 1, a, 8 * UNIT);
	fb = ram_fixture_get(x, 2, b, 8 * UNIT);
	ram_file_opened(fa, getpid(), false);
	ram_file_opened(fb, getpid(), false);
	ram_fixture_read(a, 0, 8);
	ram_settle(x->r);
	ram_fixture_ticks(x, 60);                       /* the policy lets nobody go who has just come */
	ram_fixture_read(b, 0, 8);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(fa).kept, 8 * UNIT);
	assert_int_equal(ram_fixture_file_status(fb).why.reason, POLICY_COLDER);
	refault(x, b, 0, 8);                            /* once is not enough: heat 1 against 1.1 * 0 + 1 */
	assert_int_equal(ram_fixture_status(x).dropped, 0);
	for (n = 0; n < 20 && ram_fixture_status(x).dropped < 8; n++)
		refault(x, b, 0, 8);
	ram_fixture_until(x, b_has_all, fb);
	s = ram_fixture_status(x);
	assert_int_equal(s.dropped, 8);
	assert_int_equal(s.admitted, 16);
	assert_int_equal(ram_fixture_file_status(fa).kept + ram_fixture_file_status(fa).locked, 0);
	ram_fixture_ticks(x, 60);
	ram_fixture_evict(a, 0, 8);
	ram_fixture_ticks(x, 1);
	ram_fixture_read(a, 0, 8);                      /* one touch of the first does not bring it back */
	ram_fixture_ticks(x, 1);
	assert_int_equal(ram_fixture_status(x).dropped, 8);
	ram_file_put(fa);
	ram_file_put(fb);
	close(a);
	close(b);
}

static void test_scans_are_no_heat(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 8 * UNIT);
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, fd, 8 * UNIT);
	ram_file_opened(f, 4711, true);
	ram_fixture_read(fd, 0, 8);
	ram_settle(x->r);
	refault(x, fd, 0, 8);
	assert_cached(ram_fixture_file_status(f).resident, 8 * UNIT);
	assert_int_equal(ram_fixture_file_status(f).kept + ram_fixture_file_status(f).locked, 0);
	assert_int_equal(ram_fixture_file_status(f).why.reason, POLICY_IS_SCAN);
	assert_int_equal(ram_fixture_status(x).refaults, 0);
	ram_file_opened(f, getpid(), false);            /* with a reader beside it they are touches */
	refault(x, fd, 0, 8);
	assert_int_equal(ram_fixture_status(x).refaults, 8);
	ram_file_closed(f, getpid());
	ram_file_closed(f, 4711);
	ram_file_put(f);
	close(fd);
}

/* The daemon lives when a file is cut behind it, and when it is shorter than it was said to be. */
static void test_cut_short(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 6 * UNIT), shorter = ram_fixture_file(x, "b", 2 * UNIT);
	struct ram_file *f, *g;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, fd, 6 * UNIT);
	ram_file_opened(f, getpid(), false);
	ram_file_pin(f, true);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(f).kept + ram_fixture_file_status(f).locked, 6 * UNIT);
	assert_int_equal(ftruncate(fd, 0), 0);
	ram_fixture_ticks(x, 20);
	assert_int_equal(ram_fixture_resident(fd, 0, 6), 0);
	assert_int_equal(ram_fixture_file_status(f).kept + ram_fixture_file_status(f).locked, 0);
	ram_file_put(f);
	g = ram_fixture_get(x, 2, shorter, 4 * UNIT);
	ram_file_warm(g);
	ram_settle(x->r);                               /* after it has lost patience with what is not there */
	assert_int_equal(ram_fixture_file_status(g).wanted, 0);
	assert_cached(ram_fixture_file_status(g).kept + ram_fixture_file_status(g).locked, 2 * UNIT);
	if (ram_fixture_cannot_lock(x) == NULL)
		assert_int_equal(x->fails, 2);
	ram_file_put(g);
	close(fd);
	close(shorter);
}

static void test_one_struct_a_key(void **state)
{
	struct ram_fixture *x = *state;
	int a = ram_fixture_file(x, "a", 4 * UNIT), b = ram_fixture_file(x, "b", 4 * UNIT);
	struct ram_file *f, *again, *other;

	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, a, 4 * UNIT);
	again = ram_fixture_get(x, 1, a, 4 * UNIT);
	assert_ptr_equal(f, again);
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(a, 0, 4);
	ram_fixture_read(b, 0, 1);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(f).kept, 4 * UNIT);
	ram_file_put(again);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(f).kept, 4 * UNIT);
	other = ram_fixture_get(x, 1, b, 4 * UNIT);     /* another copy of the blob */
	assert_ptr_equal(f, other);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(f).resident, UNIT);
	assert_cached(ram_fixture_file_status(f).kept, UNIT);
	assert_cached(ram_fixture_status(x).kept, UNIT);
	ram_file_put(f);
	ram_file_put(other);
	close(a);
	close(b);
}

struct meeting {
	struct ram_fixture *x;
	int fd;
	struct ram_file *again;         /* NULL: not yet */
	atomic_bool armed;
};

/* While the tier's thread closes the old file it is asked for under the same key. */
static int ask_meanwhile(void *ctx, struct io_call *call)
{
	struct meeting *m = ctx;

	if (call->op == IO_CLOSE && atomic_exchange(&m->armed, false))
		m->again = ram_fixture_get(m->x, 1, m->fd, 4 * UNIT);
	return 0;
}

/* Who asks last is heard: else the file of a copy that is gone would stay open. */
static void test_asked_for_while_replaced(void **state)
{
	struct ram_fixture *x = *state;
	int a = ram_fixture_file(x, "a", 4 * UNIT), b = ram_fixture_file(x, "b", 4 * UNIT);
	static struct meeting m;        /* the tier closes files until the fixture is gone */
	struct ram_file *f, *other;

	m = (struct meeting){ .x = x, .fd = a };
	x->io = (struct io){ .hook = ask_meanwhile, .ctx = &m };
	ram_fixture_open(x, 64 * UNIT);
	f = ram_fixture_get(x, 1, a, 4 * UNIT);
	ram_file_opened(f, getpid(), false);
	ram_fixture_read(a, 0, 4);
	ram_fixture_read(b, 0, 1);
	ram_settle(x->r);
	atomic_store(&m.armed, true);
	other = ram_fixture_get(x, 1, b, 4 * UNIT);
	ram_settle(x->r);
	assert_ptr_equal(m.again, f);
	ram_settle(x->r);               /* what was asked for meanwhile is of the next round */
	assert_cached(ram_fixture_file_status(f).resident, 4 * UNIT);
	ram_file_put(f);
	ram_file_put(other);
	ram_file_put(m.again);
	close(a);
	close(b);
}

static bool is_credited(struct ram_fixture *x, void *arg)
{
	(void)x;
	return ram_fixture_file_status(arg).heat_mean > 0;
}

/* Of a file that misses nothing the processes are asked, where the tier is full: three quarters of it were
 * referenced, in two mappings, one of them through a mount, which shows another inode. */
static void test_use_of_what_misses_nothing(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 4 * UNIT);
	char text[1024], path[PATH_MAX], cleared[2];
	struct ram_file *f;
	struct stat st;
	int n;

	assert_int_equal(fstat(fd, &st), 0);
	n = snprintf(text, sizeof(text),
		     "7f0000000000-7f0000800000 r--s 00000000 fe:00 %llu                     /var/tmp/a b\n"
		     "Size:               8192 kB\nReferenced:         4096 kB\nAnonymous:             0 kB\n"
		     "7f0001000000-7f0001800000 r--s 00200000 00:2a 99                         /mnt/models/file-1\n"
		     "Size:               8192 kB\nReferenced:         2048 kB\nVmFlags: rd mr\n"
		     "7f0002000000-7f0002800000 r--s 00000000 fe:00 98                         /mnt/models/other-file-1\n"
		     "Referenced:         1024 kB\n"
		     "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n"
		     "Referenced:          100 kB\n", (unsigned long long)st.st_ino);
	scratch_file(x->dir, "proc/4711/smaps", text, (size_t)n);
	scratch_file(x->dir, "proc/4711/clear_refs", "0", 1);
	ram_fixture_open(x, 4 * UNIT);
	f = ram_fixture_get(x, 1, fd, 4 * UNIT);
	ram_file_opened(f, 4711, false);
	ram_fixture_read(fd, 0, 4);
	ram_fixture_until(x, is_credited, f);
	assert_true(ram_fixture_file_status(f).heat_max > 0.7 && ram_fixture_file_status(f).heat_max <= 0.75);
	n = open(scratch_path(path, sizeof(path), x->dir, "proc/4711/clear_refs"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(n, cleared, sizeof(cleared)), 1);
	assert_int_equal(cleared[0], '3');
	close(n);
	ram_file_put(f);
	close(fd);
}

/* What could not be brought in takes no place. */
static void test_failed_units_give_their_place(void **state)
{
	struct ram_fixture *x = *state;
	int shorter = ram_fixture_file(x, "a", 2 * UNIT), other = ram_fixture_file(x, "b", 2 * UNIT);
	struct ram_file *f, *g;

	ram_fixture_open(x, 4 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, shorter, 4 * UNIT);
	g = ram_fixture_get(x, 2, other, 2 * UNIT);
	ram_file_opened(g, getpid(), false);
	ram_file_pin(f, true);
	ram_settle(x->r);
	assert_int_equal(x->fails, 2);
	ram_fixture_read(other, 0, 2);
	ram_settle(x->r);
	assert_cached(ram_fixture_file_status(g).kept, 2 * UNIT);
	ram_file_put(f);
	ram_file_put(g);
	close(shorter);
	close(other);
}

static bool drop_rights(rlim_t limit)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	struct rlimit most = { limit, limit };

	if (syscall(SYS_capget, &head, data) != 0)
		return false;
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	return setrlimit(RLIMIT_MEMLOCK, &most) == 0 && syscall(SYS_capset, &head, data) == 0;
}

/* In a child, which has no right to lock, or only that much: everything is kept, and the status says why. */
static void pins_keep(struct ram_fixture *x, int fd, uint64_t budget, rlim_t limit)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct ram_file_status s;
		struct ram_file *f;

		if (!drop_rights(limit))
			_exit(1);
		ram_fixture_open(x, budget);
		f = ram_fixture_get(x, 1, fd, 4 * UNIT);
		ram_file_pin(f, true);
		ram_settle(x->r);
		s = ram_fixture_file_status(f);
		if (ram_fixture_cannot_lock(x) == NULL)
			_exit(2);
		_exit(s.locked == 0 && s.kept == (budget < 4 * UNIT ? budget : 4 * UNIT) && s.wanted == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_without_rights(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 4 * UNIT);

	pins_keep(x, fd, 64 * UNIT, 0);
	assert_cached(ram_fixture_resident(fd, 0, 4), 4 * UNIT);
	pins_keep(x, fd, 2 * UNIT, 2 * UNIT);           /* enough for the budget, but not for a mapping of the file */
	close(fd);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, ram_fixture_setup, ram_fixture_teardown)

int main(void)
{
	const struct CMUnitTest ram_tests[] = {
		WITH(test_first_reading_is_kept),
		WITH(test_refaults_lock),
		WITH(test_loop_is_still),
		WITH(test_split_folio),
		WITH(test_never_over_budget),
		WITH(test_no_budget_only_watches),
		WITH(test_two_files_compete),
		WITH(test_scans_are_no_heat),
		WITH(test_cut_short),
		WITH(test_one_struct_a_key),
		WITH(test_asked_for_while_replaced),
		WITH(test_use_of_what_misses_nothing),
		WITH(test_failed_units_give_their_place),
		WITH(test_without_rights),
	};

	return cmocka_run_group_tests(ram_tests, NULL, NULL);
}
