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
#define RAM 0                           /* tiers of a store without caches */
#define HOME 1

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
	struct tier_config cfg;

	assert_non_null(p);
	scratch_make(p->dir);
	p->io = fault_io(&p->fault);
	cfg = (struct tier_config){ .home = p->dir, .io = &p->io };
	assert_int_equal(tier_open(&p->t, &cfg, err, sizeof(err)), 0);
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

	assert_int_equal(usage(p).bytes[RAM], 0);
	assert_int_equal(usage(p).bytes[HOME], 0);
	assert_map(p, "extent 1048576 count 0\n");
}

static void a_whole_file(void **state)
{
	struct place *p = *state;

	put(p, 0, 3 * MIB + 5);
	assert_int_equal(usage(p).bytes[RAM], 3 * MIB + 5);
	assert_int_equal(usage(p).bytes[HOME], 3 * MIB + 5);       /* not the whole blocks */
	assert_map(p, "extent 1048576 count 4\n0 4 ram+home\n");
	drop(p);
	assert_int_equal(usage(p).bytes[RAM], 0);
	assert_map(p, "extent 1048576 count 4\n0 4 home\n");
	touch(p, MIB, MIB);
	assert_int_equal(usage(p).bytes[RAM], MIB);
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
	assert_int_equal(usage(p).bytes[HOME], 0);
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
	assert_true(usage(p).bytes[HOME] >= MIB + 12288 && usage(p).bytes[HOME] <= MIB + 64 * 1024);
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
	struct tier_usage u = { .bytes = { [RAM] = UINT64_MAX, [HOME] = 1 } };
	struct place *p = *state;
	char buf[64], small[8];
	int len;

	assert_string_equal(tier_name(p->t, RAM), "ram");
	assert_string_equal(tier_name(p->t, HOME), "home");
	len = tier_usage_print(p->t, &u, buf, sizeof(buf));
	assert_int_equal(len, strlen(buf));
	assert_string_equal(buf, "ram=18446744073709551615 home=1");
	assert_int_equal(tier_usage_print(p->t, &u, small, sizeof(small)), len);
	assert_string_equal(small, "ram=184");
	assert_ptr_equal(tier_io(p->t), &p->io);
	assert_string_equal(home_path(tier_home(p->t)), p->dir);
	tier_close(NULL);
}

/* A gathered open of the file as it is now. */
static struct tier_file *gathered_open(struct place *p, bool writes)
{
	struct tier_open how = { .fd = p->fd, .path = "f", .writes = writes };
	struct tier_file *f = NULL;
	struct stat st;

	assert_int_equal(fstat(p->fd, &st), 0);
	how.st = &st;
	assert_int_equal(tier_file_open(p->t, &how, &f), 0);
	tier_file_served(f, writes ? TIER_SERVE_HOME : TIER_SERVE_GATHER, 0, p->fd);
	return f;
}

/* Bytes that are written natively nobody tells of: as long as the file is open for that, reads go by the pool, also
 * those of an open that meets the file changed already. */
static void reads_beside_a_native_writer(void **state)
{
	struct place *p = *state;
	struct tier_file *before, *writer, *after;

	put(p, 0, 2 * MIB);
	before = gathered_open(p, false);
	assert_true(tier_file_gathers(before));
	writer = gathered_open(p, true);
	assert_false(tier_file_gathers(before));
	put(p, MIB, MIB);
	after = gathered_open(p, false);
	assert_false(tier_file_gathers(after));
	assert_false(tier_file_gathers(before));
	tier_file_close(writer);
	assert_true(tier_file_gathers(after));
	assert_false(tier_file_gathers(before));        /* its blob is another file's now */
	tier_file_close(before);
	tier_file_close(after);
}

static void opening_what_is_no_home(void **state)
{
	struct place *p = *state;
	char err[256] = "", path[PATH_MAX];
	struct tier_config cfg;
	struct tier *t = NULL;

	cfg = (struct tier_config){ .home = scratch_path(path, sizeof(path), p->dir, "f"), .io = &p->io };
	assert_int_equal(tier_open(&t, &cfg, err, sizeof(err)), -ENOTDIR);
	cfg.home = p->dir;
	assert_int_equal(tier_open(&t, &cfg, err, sizeof(err)), -EBUSY);
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
		TEST(reads_beside_a_native_writer),
		TEST(opening_what_is_no_home),
	};

	return cmocka_run_group_tests(tier_tests, NULL, NULL);
}
