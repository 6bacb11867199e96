/* test_tier.c - bytes and extents of a file by tier: sparse ones, read ones, dropped ones. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fault/fault_io.h"
#include "tests/unit/scratch.h"
#include "tiering/tier.h"

#define MIB 1048576

struct place {
	char dir[SCRATCH_PATH];
	struct tier *t;
	struct fault_io fault;
	struct io io;
	int fd;                         /* of a file, empty at first */
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char path[PATH_MAX], err[256];

	assert_non_null(p);
	scratch_make(p->dir);
	p->io = fault_io(&p->fault);
	assert_int_equal(tier_open(&p->t, p->dir, &p->io, err, sizeof(err)), 0);
	p->fd = open(scratch_path(path, sizeof(path), p->dir, "f"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_true(p->fd >= 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	close(p->fd);
	tier_close(p->t);
	scratch_remove(p->dir);
	free(p);
	return 0;
}

/* Bytes of data at an offset, on disk. */
static void put(struct place *p, off_t off, size_t len)
{
	char *block = malloc(len);

	assert_non_null(block);
	memset(block, 3, len);
	assert_int_equal(pwrite(p->fd, block, len, off), (ssize_t)len);
	assert_int_equal(fsync(p->fd), 0);
	free(block);
}

static void drop(struct place *p)
{
	assert_int_equal(fsync(p->fd), 0);
	assert_int_equal(posix_fadvise(p->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(posix_fadvise(p->fd, 0, 0, POSIX_FADV_RANDOM), 0);
}

static void touch(struct place *p, off_t off, size_t len)
{
	char *block = malloc(len);

	assert_non_null(block);
	assert_int_equal(pread(p->fd, block, len, off), (ssize_t)len);
	free(block);
}

static struct tier_usage usage(struct place *p)
{
	struct tier_usage u;
	struct stat st;

	assert_int_equal(fstat(p->fd, &st), 0);
	assert_int_equal(tier_usage_of(p->t, p->fd, &st, &u), 0);
	return u;
}

static void assert_map(struct place *p, const char *want)
{
	struct stat st;
	char *text = NULL;

	assert_int_equal(fstat(p->fd, &st), 0);
	assert_int_equal(tier_map_print(p->t, p->fd, &st, &text), 0);
	assert_string_equal(text, want);
	free(text);
}

static void an_empty_file(void **state)
{
	struct place *p = *state;

	assert_int_equal(usage(p).bytes[TIER_RAM], 0);
	assert_int_equal(usage(p).bytes[TIER_HOME], 0);
	assert_map(p, "extent 1048576 count 0\n");
}

static void a_whole_file(void **state)
{
	struct place *p = *state;

	put(p, 0, 3 * MIB + 5);
	assert_int_equal(usage(p).bytes[TIER_RAM], 3 * MIB + 5);
	assert_int_equal(usage(p).bytes[TIER_HOME], 3 * MIB + 5);       /* not the whole blocks */
	assert_map(p, "extent 1048576 count 4\n0 4 ram+home\n");
	drop(p);
	assert_int_equal(usage(p).bytes[TIER_RAM], 0);
	assert_map(p, "extent 1048576 count 4\n0 4 home\n");
	touch(p, MIB, MIB);
	assert_int_equal(usage(p).bytes[TIER_RAM], MIB);
	assert_map(p, "extent 1048576 count 4\n0 1 home\n1 1 ram+home\n2 2 home\n");
	touch(p, 2 * MIB, MIB / 2);             /* half an extent is not an extent */
	assert_map(p, "extent 1048576 count 4\n0 1 home\n1 1 ram+home\n2 2 home\n");
	touch(p, 3 * MIB, 5);                   /* the last one is whole with five bytes */
	assert_map(p, "extent 1048576 count 4\n0 1 home\n1 1 ram+home\n2 1 home\n3 1 ram+home\n");
}

static void a_sparse_file(void **state)
{
	struct place *p = *state;

	assert_int_equal(ftruncate(p->fd, 10 * MIB), 0);
	assert_int_equal(usage(p).bytes[TIER_HOME], 0);
	assert_map(p, "extent 1048576 count 10\n0 10 none\n");
	put(p, 3 * MIB + 7, 10);                /* one block in an extent is data there */
	put(p, 5 * MIB - 4096, 8192);           /* across a border */
	put(p, 9 * MIB, MIB);
	drop(p);
	if (lseek(p->fd, 0, SEEK_DATA) == 0) {
		print_message("needs a file system with holes\n");
		skip();
	}
	assert_map(p, "extent 1048576 count 10\n0 3 none\n3 3 home\n6 3 none\n9 1 home\n");
	assert_true(usage(p).bytes[TIER_HOME] >= MIB + 12288 && usage(p).bytes[TIER_HOME] <= MIB + 64 * 1024);
	touch(p, 0, MIB);                       /* zeros of a hole are cached pages too */
	assert_map(p, "extent 1048576 count 10\n0 1 ram\n1 2 none\n3 3 home\n6 3 none\n9 1 home\n");
}

static void a_file_that_cannot_say_where_its_holes_are(void **state)
{
	struct place *p = *state;

	assert_int_equal(ftruncate(p->fd, 2 * MIB), 0);
	drop(p);
	assert_int_equal(fault_io_arm(&p->fault, "stat:0+:EIO"), 0);    /* lseek is of that kind */
	assert_map(p, "extent 1048576 count 2\n0 2 home\n");
}

static void names_and_printing(void **state)
{
	struct tier_usage u = { .bytes = { [TIER_RAM] = UINT64_MAX, [TIER_HOME] = 1 } };
	struct place *p = *state;
	char buf[64], small[8];
	int len;

	assert_string_equal(tier_name(TIER_RAM), "ram");
	assert_string_equal(tier_name(TIER_HOME), "home");
	len = tier_usage_print(&u, buf, sizeof(buf));
	assert_int_equal(len, strlen(buf));
	assert_string_equal(buf, "ram=18446744073709551615 home=1");
	assert_int_equal(tier_usage_print(&u, small, sizeof(small)), len);
	assert_string_equal(small, "ram=184");
	assert_ptr_equal(tier_io(p->t), &p->io);
	assert_string_equal(home_path(tier_home(p->t)), p->dir);
	tier_close(NULL);
}

static void opening_what_is_no_home(void **state)
{
	struct place *p = *state;
	char err[256] = "", path[PATH_MAX];
	struct tier *t = NULL;

	assert_int_equal(tier_open(&t, scratch_path(path, sizeof(path), p->dir, "f"), &p->io, err, sizeof(err)), -ENOTDIR);
	assert_int_equal(tier_open(&t, p->dir, &p->io, err, sizeof(err)), -EBUSY);
	assert_true(err[0] != '\0');
	assert_null(t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tier_tests[] = {
		TEST(an_empty_file),
		TEST(a_whole_file),
		TEST(a_sparse_file),
		TEST(a_file_that_cannot_say_where_its_holes_are),
		TEST(names_and_printing),
		TEST(opening_what_is_no_home),
	};

	return cmocka_run_group_tests(tier_tests, NULL, NULL);
}
