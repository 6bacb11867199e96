/* test_ram_room.c - budgets from text, what memory is left at every level, and what is done when it is short.
 *
 * /proc and /sys/fs/cgroup are the test's own, but for the last test, which needs a real control group.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/ram_fixture.h"
#include "tiering/ram_internal.h"

/* ---- text ---- */

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 }, { "4096", 4096 }, { "24G", 24ull << 30 }, { "24g", 24ull << 30 }, { "512M", 512ull << 20 },
		{ "1.5G", 3ull << 29 }, { "2T", 2ull << 40 }, { "16K", 16384 }, { "24GiB", 24ull << 30 }, { "24GB", 24ull << 30 },
		{ "100B", 100 }, { "0%", 0 },
	};
	static const char *const bad[] = {
		"", "G", "-1", "+1", " 1", "24X", "24GX", "0x10", "1e30", "9999999P", "101%", "50%%", "50%G", "1iB", "nan", "inf", "50 %",
	};
	uint64_t n = 77, half, whole;
	char err[128];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(ram_parse(good[i].text, &n, err, sizeof(err)), 0);
		assert_int_equal(n, good[i].bytes);
	}
	n = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		if (ram_parse(bad[i], &n, err, sizeof(err)) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(n, 77);
		assert_true(err[0] != '\0');
	}
	assert_int_equal(ram_parse("50%", &half, err, sizeof(err)), 0);
	assert_int_equal(ram_parse("100%", &whole, err, sizeof(err)), 0);
	assert_true(whole > 0 && whole <= (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
	assert_true(half == whole / 2);
}

/* ---- levels ---- */

static void put(struct ram_fixture *x, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void put(struct ram_fixture *x, const char *name, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	scratch_file(x->dir, name, text, strlen(text));
}

static struct ram_level level(struct ram_fixture *x)
{
	struct ram_room room;
	struct ram_level l;

	ram_room_init(&room, &x->io, x->proc, x->cgroup);
	ram_room_read(&room, &l);
	return l;
}

static uint64_t total(struct ram_fixture *x)
{
	struct ram_room room;

	ram_room_init(&room, &x->io, x->proc, x->cgroup);
	return ram_room_total(&room);
}

static void group_v1(struct ram_fixture *x, const char *dir, uint64_t limit, uint64_t used, uint64_t files)
{
	char name[200];

	snprintf(name, sizeof(name), "cgroup/memory%s/memory.limit_in_bytes", dir);
	put(x, name, "%llu\n", (unsigned long long)limit);
	snprintf(name, sizeof(name), "cgroup/memory%s/memory.usage_in_bytes", dir);
	put(x, name, "%llu\n", (unsigned long long)used);
	snprintf(name, sizeof(name), "cgroup/memory%s/memory.stat", dir);
	put(x, name, "cache 1\ninactive_file 5\nactive_file 6\ntotal_inactive_file %llu\ntotal_active_file %llu\n",
	    (unsigned long long)(files / 2), (unsigned long long)(files - files / 2));
}

static void test_machine(void **state)
{
	struct ram_fixture *x = *state;
	struct ram_level l;

	put(x, "proc/meminfo", "MemTotal:       67108864 kB\nMemFree:        1048576 kB\nMemAvailable:   33554432 kB\n");
	l = level(x);
	assert_int_equal(l.total, 64ull << 30);
	assert_int_equal(l.available, 32ull << 30);
	assert_int_equal(l.headroom, (64ull << 30) / 20);
	assert_int_equal(l.slack, (int64_t)(l.available - l.headroom));
	assert_true(l.scarce);                          /* 1 GiB of 64 is free */
	put(x, "proc/meminfo", "MemTotal:        4194304 kB\nMemFree:        3145728 kB\nMemAvailable:    3145728 kB\n");
	l = level(x);
	assert_int_equal(l.headroom, 256 * MIB);
	assert_false(l.scarce);
	put(x, "proc/meminfo", "MemTotal:        1048576 kB\nMemFree: 1 kB\nMemAvailable: 0 kB\n");
	l = level(x);
	assert_int_equal(l.headroom, 128 * MIB);
	assert_int_equal(l.slack, -(int64_t)(128 * MIB));
	put(x, "proc/meminfo", "MemTotal:         262144 kB\nMemFree: 1 kB\nMemAvailable: 0 kB\n");
	assert_int_equal(level(x).headroom, 64 * MIB);
	put(x, "proc/meminfo", "nothing of the kind\n");
	assert_true(level(x).slack <= 0);
}

#define MEMINFO_64G "MemTotal: 67108864 kB\nMemFree: 33554432 kB\nMemAvailable: 50331648 kB\n"

static void test_groups_v1(void **state)
{
	struct ram_fixture *x = *state;
	struct ram_level l;

	put(x, "proc/meminfo", MEMINFO_64G);
	put(x, "proc/self/cgroup", "9:name=systemd:/\n4:memory,hugetlb:/a/b\n1:cpu:/\n0::/\n");
	group_v1(x, "", 9223372036854771712ull, 5 * MIB, 0);
	group_v1(x, "/a", 8192 * MIB, 4096 * MIB, 1024 * MIB);
	group_v1(x, "/a/b", 9223372036854771712ull, 0, 0);
	l = level(x);
	assert_int_equal(l.total, 8192 * MIB);
	assert_int_equal(l.available, (4096 + 1024) * MIB);
	assert_int_equal(l.free, 4096 * MIB);
	assert_int_equal(l.headroom, 8192 * MIB / 20);
	assert_int_equal(l.mem_available, 49152 * MIB);
	assert_int_equal(total(x), 8192 * MIB);
	group_v1(x, "/a/b", 2048 * MIB, 2000 * MIB, 100 * MIB);
	l = level(x);                                   /* the inner limit is nearer now */
	assert_int_equal(l.total, 2048 * MIB);
	assert_int_equal(l.available, 148 * MIB);
	assert_int_equal(l.slack, 148 * (int64_t)MIB - 128 * (int64_t)MIB);
	assert_true(l.scarce);
	/* a container that shows its own group only: the path is the host's */
	put(x, "proc/self/cgroup", "4:memory:/docker/0123\n");
	group_v1(x, "", 1024 * MIB, 100 * MIB, 0);
	assert_int_equal(level(x).total, 1024 * MIB);
	put(x, "proc/self/cgroup", "4:memory:/../../etc\n5:memoryless:/a\n");
	assert_int_equal(level(x).total, 1024 * MIB);
}

static void test_groups_v2(void **state)
{
	struct ram_fixture *x = *state;
	struct ram_level l;

	put(x, "proc/meminfo", MEMINFO_64G);
	put(x, "proc/self/cgroup", "0::/system.slice/hearth.service\n");
	put(x, "cgroup/system.slice/hearth.service/memory.max", "max\n");
	put(x, "cgroup/system.slice/hearth.service/memory.high", "4294967296\n");
	put(x, "cgroup/system.slice/hearth.service/memory.current", "3221225472\n");
	put(x, "cgroup/system.slice/hearth.service/memory.stat",
	    "anon 1\nfile 2\nactive_anon 7\nworkingset_x 3\ninactive_file 104857600\nactive_file 104857600\nunevictable 1\n");
	put(x, "cgroup/system.slice/memory.max", "34359738368\n");
	put(x, "cgroup/system.slice/memory.current", "3221225472\n");
	l = level(x);
	assert_int_equal(l.total, 4096 * MIB);          /* above memory.high the kernel slows us and our clients */
	assert_int_equal(l.available, 1024 * MIB + 200 * MIB);
	put(x, "cgroup/system.slice/hearth.service/memory.max", "2147483648\n");
	l = level(x);
	assert_int_equal(l.total, 2048 * MIB);
	assert_int_equal(l.available, 200 * MIB);       /* use above the limit counts as the limit */
	assert_int_equal(total(x), 2048 * MIB);
	put(x, "cgroup/unified/cgroup.procs", "\n");    /* where both versions are mounted */
	put(x, "cgroup/unified/system.slice/hearth.service/memory.max", "1073741824\n");
	put(x, "cgroup/unified/system.slice/hearth.service/memory.current", "0\n");
	assert_int_equal(level(x).total, 1024 * MIB);
}

/* ---- what is done ---- */

static void needs_locks(struct ram_fixture *x)
{
	if (ram_fixture_cannot_lock(x) != NULL) {
		print_message("%s\n", ram_fixture_cannot_lock(x));
		skip();
	}
}

static void test_shortage_releases(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 40 * UNIT);
	struct ram_status s;
	struct ram_file *f;

	ram_fixture_open(x, 64 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, fd, 40 * UNIT);
	ram_file_warm(f);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_file_status(f).locked, 40 * UNIT);
	assert_int_equal(ram_headroom(x->r), 128 * MIB);
	ram_fixture_memory(x, 128);                     /* exactly the head-room: nothing is missing */
	ram_settle(x->r);
	assert_int_equal(ram_fixture_file_status(f).locked, 40 * UNIT);
	ram_fixture_memory(x, 125);                     /* 3 MiB too little: two units */
	ram_settle(x->r);
	s = ram_fixture_status(x);
	assert_true(s.released >= 2);
	assert_true(s.locked <= 38 * UNIT);
	assert_true(s.allowed <= 38 * UNIT);
	assert_int_equal(s.available, 125 * MIB);
	ram_fixture_memory(x, 0);
	ram_settle(x->r);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_status(x).locked, 0);
	assert_int_equal(ram_fixture_status(x).allowed, 0);
	ram_fixture_memory(x, 900);                     /* it does not grow back at once: what is asked for is refused */
	ram_settle(x->r);
	assert_int_equal(ram_fixture_status(x).allowed, 0);
	ram_file_warm(f);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_file_status(f).locked, 0);
	assert_int_equal(ram_fixture_file_status(f).wanted, 0);
	assert_int_equal(ram_fixture_file_status(f).why.reason, POLICY_TOO_BIG);
	ram_file_put(f);
	close(fd);
}

/* Growing back, with the clock in our hands: 256 MiB of head-room, a step of 64 MiB, a margin of 32. */
static void test_grows_back_by_steps(void **state)
{
	static const struct {
		uint64_t now_ms;
		int64_t slack_mib;
		uint64_t allowed_mib;
	} step[] = {
		{ 1009000, 2744, 100 },         /* the last shortage was 9 s ago */
		{ 1010000, 2744, 164 },
		{ 1010500, 2744, 164 },         /* a step a second */
		{ 1011000, 2744, 228 },
		{ 1012000, 332, 228 },          /* the ceiling, 300 MiB, is less than two steps above */
		{ 1013000, 100, 68 },           /* what nobody uses sinks to the ceiling */
		{ 1020000, 2744, 132 },
		{ 2020000, 2744, 196 },
		{ 2021000, 2744, 256 },         /* the budget */
		{ 2022000, 2744, 256 },
	};
	uint64_t got[sizeof(step) / sizeof(step[0])], units = 0;
	struct ram_fixture *x = *state;
	struct ram *r;

	ram_fixture_open(x, 256 * MIB);
	r = x->r;
	ram_settle(r);
	pthread_mutex_lock(&r->lock);
	r->level = (struct ram_level){ .total = 4096 * MIB, .available = 3000 * MIB, .headroom = 256 * MIB };
	r->allowed = 100 * MIB;
	r->shortage_ms = 1000000;
	r->grown_ms = 0;
	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		r->level.slack = step[i].slack_mib * (int64_t)MIB;
		ram_budget(r, step[i].now_ms);
		got[i] = r->allowed;
		units = r->rules.budget;
	}
	pthread_mutex_unlock(&r->lock);
	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++)
		assert_int_equal(got[i], step[i].allowed_mib * MIB);
	assert_int_equal(units, 128);
}

/* While a file that would fit is about to be loaded, what is not pinned is unlocked, and only then. */
static void test_softens_for_a_load(void **state)
{
	struct ram_fixture *x = *state;
	int fd = ram_fixture_file(x, "a", 20 * UNIT), pinned_fd = ram_fixture_file(x, "p", 2 * UNIT);
	int big = ram_fixture_file(x, "b", 4096), huge = ram_fixture_file(x, "c", 4096);
	struct ram_file *f, *p, *b, *h;

	ram_fixture_open(x, 64 * UNIT);
	needs_locks(x);
	f = ram_fixture_get(x, 1, fd, 20 * UNIT);
	p = ram_fixture_get(x, 2, pinned_fd, 2 * UNIT);
	ram_file_warm(f);
	ram_file_pin(p, true);
	ram_settle(x->r);
	assert_int_equal(ram_fixture_status(x).locked, 22 * UNIT);
	ram_fixture_memory(x, 500);
	assert_int_equal(ftruncate(big, 520 * MIB), 0);
	assert_int_equal(ftruncate(huge, 600 * MIB), 0);
	h = ram_fixture_get(x, 4, huge, 600 * MIB);     /* would not fit without locks either */
	ram_file_opened(h, getpid(), false);
	ram_settle(x->r);
	assert_false(ram_fixture_status(x).soft);
	ram_file_put(h);
	b = ram_fixture_get(x, 3, big, 520 * MIB);
	ram_file_opened(b, getpid(), true);             /* a scan loads nothing */
	ram_settle(x->r);
	assert_false(ram_fixture_status(x).soft);
	ram_file_opened(b, getpid(), false);
	ram_settle(x->r);
	assert_true(ram_fixture_status(x).soft);
	assert_int_equal(ram_fixture_file_status(f).locked, 0);
	assert_cached(ram_fixture_file_status(f).kept, 20 * UNIT);
	assert_int_equal(ram_fixture_file_status(p).locked, 2 * UNIT);
	ram_fixture_memory(x, 540);                     /* what they let go is available: that is no reason to lock again */
	ram_settle(x->r);
	assert_true(ram_fixture_status(x).soft);
	ram_file_put(b);
	ram_settle(x->r);
	assert_false(ram_fixture_status(x).soft);
	assert_int_equal(ram_fixture_file_status(f).locked, 20 * UNIT);
	ram_file_put(f);
	ram_file_put(p);
	close(fd);
	close(pinned_fd);
	close(big);
	close(huge);
}

/* ---- a page of somebody else's ---- */

/* A group of memory below ours, with a limit: its directory; false where none can be made. */
static bool make_group(char *dir, size_t cap)
{
	struct ram_room room;
	char path[RAM_PATH + 64];
	int fd;

	ram_room_init(&room, &(struct io){ 0 }, NULL, NULL);
	for (unsigned i = 0; i < room.groups; i++) {
		ssize_t n = -1;

		snprintf(dir, cap, "%.300s/hearth-test.%d", room.group[i].dir, (int)getpid());
		if (mkdir(dir, 0755) == -1)
			continue;
		snprintf(path, sizeof(path), "%.340s/%s", dir, room.group[i].v2 ? "memory.max" : "memory.limit_in_bytes");
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd != -1) {
			n = write(fd, "268435456", 9);
			close(fd);
		}
		if (n == 9)
			return true;
		rmdir(dir);
	}
	return false;
}

static bool enter(const char *dir)
{
	char path[RAM_PATH + 64], text[32];
	int fd, n = snprintf(text, sizeof(text), "%d", (int)getpid());
	bool done;

	snprintf(path, sizeof(path), "%.340s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	done = write(fd, text, (size_t)n) == n;
	close(fd);
	return done;
}

/* The client reads and maps the file in a group of its own, says so, and stays until told is closed. */
static pid_t client_in(const char *dir, int fd, uint64_t bytes, const int said[2], const int told[2])
{
	int say = said[1], listen = told[0];
	pid_t pid = fork();
	char c = 'x', *map;

	if (pid != 0)
		return pid;
	close(said[0]);
	close(told[1]);                 /* its end is what we wait for */
	if (!enter(dir))
		_exit(77);
	ram_fixture_read(fd, 0, bytes / UNIT);
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED || write(say, &c, 1) != 1)
		_exit(1);
	_exit(read(listen, &c, 1) == 0 ? 0 : 1);
}

static void remove_group(const char *dir)
{
	while (rmdir(dir) == -1 && errno == EBUSY)
		sched_yield();
}

/* Everything is cleaned up before anything is asserted: a group that is left behind stays for ever. */
static void test_pages_of_others(void **state)
{
	struct ram_fixture *x = *state;
	struct ram_config cfg = { .budget = 64 * UNIT, .io = &x->io, .tick_ms = 1 };
	int fd = ram_fixture_file(x, "a", 4 * UNIT), said[2], told[2], status, rc = -1;
	struct ram_file_status mapped = { 0 }, after = { 0 };
	char dir[RAM_PATH + 32], c = 0;
	const char *why = NULL;
	struct ram_file *f;
	pid_t pid;

	if (!make_group(dir, sizeof(dir))) {
		print_message("no control group with a memory limit can be made here\n");
		skip();
	}
	assert_int_equal(pipe(said), 0);
	assert_int_equal(pipe(told), 0);
	pid = client_in(dir, fd, 4 * UNIT, said, told);
	close(said[1]);
	close(told[0]);
	if (read(said[0], &c, 1) == 1)
		rc = ram_open(&x->r, &cfg);
	if (rc == 0) {
		why = ram_fixture_cannot_lock(x);
		f = ram_fixture_get(x, 1, fd, 4 * UNIT);
		ram_file_opened(f, pid, false);
		ram_file_pin(f, true);
		ram_settle(x->r);
		mapped = ram_fixture_file_status(f);
	}
	close(told[1]);
	waitpid(pid, &status, 0);
	if (rc == 0) {
		ram_file_closed(f, pid);
		ram_file_pin(f, false);                 /* ordered anew: nobody maps it, so it is read for ourselves */
		ram_settle(x->r);
		ram_file_pin(f, true);
		ram_settle(x->r);
		after = ram_fixture_file_status(f);
		ram_file_put(f);
	}
	ram_close(x->r);
	x->r = NULL;
	ram_fixture_evict(fd, 0, 4);
	remove_group(dir);
	close(said[0]);
	close(fd);
	assert_int_equal(rc, 0);
	assert_int_equal(mapped.locked, 0);
	assert_cached(mapped.kept, 4 * UNIT);
	assert_int_equal(after.locked, why == NULL ? 4 * UNIT : 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, ram_fixture_setup, ram_fixture_teardown)

int main(void)
{
	const struct CMUnitTest ram_room_tests[] = {
		cmocka_unit_test(test_parse),
		WITH(test_machine),
		WITH(test_groups_v1),
		WITH(test_groups_v2),
		WITH(test_shortage_releases),
		WITH(test_grows_back_by_steps),
		WITH(test_softens_for_a_load),
		WITH(test_pages_of_others),
	};

	return cmocka_run_group_tests(ram_room_tests, NULL, NULL);
}
