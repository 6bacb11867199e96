/* test_room.c - memory that may be taken, from trees that look like machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "engine/room.h"
#include "tests/unit/scratch.h"

#define MIB ((uint64_t)1 << 20)
#define V1_NONE "9223372036854771712\n"
#define MOUNT_V1 "30 23 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n"
#define MOUNT_V2 "31 23 0:27 / /sys/fs/cgroup rw,nosuid,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

static char dir[SCRATCH_PATH];

static int setup(void **state)
{
	(void)state;
	scratch_make(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static void put(const char *path, const char *text)
{
	scratch_file(dir, path, text, strlen(text));
}

/* 16 GiB, of which 12 are available. */
static void put_machine(const char *mounts, const char *groups)
{
	put("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:   12582912 kB\n");
	put("proc/self/mountinfo", mounts);
	put("proc/self/cgroup", groups);
}

static struct room read_room(void)
{
	struct room r;

	assert_int_equal(room_read(&r, dir), 0);
	assert_int_equal(r.total, 16384 * MIB);
	assert_int_equal(r.available, 12288 * MIB);
	return r;
}

static void test_no_groups(void **state)
{
	struct room r;

	(void)state;
	put_machine("23 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "");
	r = read_room();
	assert_int_equal(r.limit, ROOM_NONE);
	assert_int_equal(r.left, 12288 * MIB);
}

static void test_v1(void **state)
{
	struct room r;

	(void)state;
	put_machine("29 23 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" MOUNT_V1,
		    "5:cpu:/other\n4:hugetlb,memory:/a/b\n0::/\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", V1_NONE);
	put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n");
	put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "943718400\n");     /* 900 MiB, of them 300 page cache */
	put("sys/fs/cgroup/memory/a/memory.stat", "cache 400000000\nactive_file 1\ntotal_inactive_file 209715200\n"
	    "total_active_file 104857600\n");
	put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "2147483648\n");
	put("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "1048576\n");
	r = read_room();
	assert_int_equal(r.limit, 1024 * MIB);
	assert_int_equal(r.left, 424 * MIB);
	put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", V1_NONE);
	r = read_room();
	assert_int_equal(r.limit, 2048 * MIB);
	assert_int_equal(r.left, 2047 * MIB);
	put("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "9048576000\n"); /* more than the limit: nothing is left */
	assert_int_equal(read_room().left, 0);
}

static void test_v2(void **state)
{
	struct room r;

	(void)state;
	put_machine(MOUNT_V2, "0::/user.slice/run.scope\n");
	put("sys/fs/cgroup/user.slice/run.scope/memory.max", "max\n");
	put("sys/fs/cgroup/user.slice/run.scope/memory.high", "max\n");
	put("sys/fs/cgroup/user.slice/run.scope/memory.current", "5000\n");
	put("sys/fs/cgroup/user.slice/memory.max", "4294967296\n");
	put("sys/fs/cgroup/user.slice/memory.high", "max\n");
	put("sys/fs/cgroup/user.slice/memory.current", "2147483648\n");
	put("sys/fs/cgroup/user.slice/memory.stat", "anon 1\nfile 2000000000\nactive_file 1073741824\ninactive_file 0\n");
	r = read_room();
	assert_int_equal(r.limit, 4096 * MIB);
	assert_int_equal(r.left, 3072 * MIB);
	put("sys/fs/cgroup/user.slice/run.scope/memory.high", "1073741824\n");
	r = read_room();
	assert_int_equal(r.limit, 1024 * MIB);
	assert_int_equal(r.left, 1024 * MIB - 5000);
}

/* A limit above what is available is no limit. */
static void test_wide(void **state)
{
	(void)state;
	put_machine(MOUNT_V2, "0::/\n");
	put("sys/fs/cgroup/memory.max", "34359738368\n");
	put("sys/fs/cgroup/memory.current", "0\n");
	assert_int_equal(read_room().left, 12288 * MIB);
}

/* Both versions are mounted; memory is one's of version 1. */
static void test_hybrid(void **state)
{
	(void)state;
	put_machine(MOUNT_V2 MOUNT_V1, "4:memory:/a\n0::/b\n");
	put("sys/fs/cgroup/b/memory.max", "1000\n");
	put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n");
	assert_int_equal(read_room().left, 1024 * MIB);
}

/* A container sees its own group as the root of what is mounted. */
static void test_container(void **state)
{
	(void)state;
	put_machine("30 23 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "4:memory:/docker/abc/in\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
	put("sys/fs/cgroup/memory/in/memory.limit_in_bytes", "1073741824\n");
	assert_int_equal(read_room().left, 1024 * MIB);
	put("proc/self/cgroup", "4:memory:/docker/abcdef\n");           /* another's */
	assert_int_equal(read_room().left, 2048 * MIB);
	put("proc/self/cgroup", "4:memory:/docker/abc/../../etc\n");
	assert_int_equal(read_room().left, 2048 * MIB);
}

static void test_nothing_to_read(void **state)
{
	struct room r;

	(void)state;
	assert_int_equal(room_read(&r, dir), -ENOENT);
	assert_int_equal(r.left, ROOM_NONE);
	put_machine(MOUNT_V1, "4:memory:/gone\n");
	assert_int_equal(read_room().left, 12288 * MIB);
	put("proc/meminfo", "MemTotal: 99999999999999999999 kB\nMemAvailable: x\n");
	assert_int_equal(room_read(&r, dir), -ENOENT);
	put("proc/meminfo", "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n");
	assert_int_equal(room_read(&r, dir), -ENOENT);
}

/* Of this machine: more than nothing. */
static void test_here(void **state)
{
	struct room r;

	(void)state;
	assert_int_equal(room_read(&r, ""), 0);
	assert_true(r.total > 64 * MIB && r.available <= r.total && r.left <= r.available && r.left > 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_no_groups), WITH(test_v1), WITH(test_v2), WITH(test_wide), WITH(test_hybrid), WITH(test_container),
		WITH(test_nothing_to_read), cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
