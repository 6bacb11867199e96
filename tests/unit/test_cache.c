/* test_cache.c - whose directory it is, what may be written in it, and what counts as used. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cache_place.h"
#include "tiering/cache_mark.h"

#define MIB (1ull << 20)

/* ---- texts ---- */

static void options(void **state)
{
	static const struct {
		const char *text, *name, *dir;
		uint64_t size;
	} good[] = {
		{ "nvme=/d,size=400G", "nvme", "/d", 400ull << 30 },
		{ "n=d,size=1", "n", "d", 1 },
		{ "a23456789012345=/x=y,size=5,size=2T", "a23456789012345", "/x=y,size=5", 2ull << 40 },
		{ "b=/a,b,size=7k", "b", "/a,b", 7168 },
		{ "b=/,size=9223372036854775807", "b", "/", INT64_MAX },
	};
	static const char *const bad[] = {
		"", "nvme", "nvme=", "nvme=/d", "nvme=,size=1G", "=/d,size=1G", ",size=1G", "nvme,size=1G", "1a=/d,size=1G",
		"Nvme=/d,size=1G", "a-b=/d,size=1G", "a234567890123456=/d,size=1G", "nvme=/d,size=", "nvme=/d,size=G",
		"nvme=/d,size=0", "nvme=/d,size=-1", "nvme=/d,size= 1", "nvme=/d,size=1GB", "nvme=/d,size=1.5G",
		"nvme=/d,size=9223372036854775808", "nvme=/d,size=18446744073709551617", "nvme=/d,size=8388608T",
		"nvme=/d,size=1P", "ram=/d,size=1G", "home=/d,size=1G",
	};
	char err[256], *name, *dir;
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(cache_parse(good[i].text, &name, &dir, &size, err, sizeof(err)), 0);
		assert_string_equal(name, good[i].name);
		assert_string_equal(dir, good[i].dir);
		assert_int_equal(size, good[i].size);
		free(name);
		free(dir);
	}
	name = dir = NULL;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		assert_int_equal(cache_parse(bad[i], &name, &dir, &size, err, sizeof(err)), -EINVAL);
		assert_true(err[0] != '\0');
	}
	assert_null(name);
	assert_null(dir);
}

#define MARK "hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome /h\\040\\134\nepoch 7\n"

static void mark_text(void **state)
{
	static const char *const bad[] = {
		"", "\n", "hearth-cache\n", "hearth-cache 1", "hearth-cache 1\n", "hearth-cache x\n", "hearth-cache 01\n",
		"hearth-cache 18446744073709551617\n", "hearth-cache 1\nuuid 00\n",
		"hearth-cache 1\nuuid 000102030405060708090A0b0c0d0e0f\n", MARK "x", MARK "\n",
		"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 0000000000000000\nhome /\nepoch 7\n",
		"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome /\\041\nepoch 7\n",
		"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome /\\4\nepoch 7\n",
		"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome / h\nepoch 7\n",
		"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome /\nepoch \n",
		"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome /\nepoch 99999999999999999999\n",
		"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome /\nepoch 07\n",
	};
	static struct cache_mark m, again;
	static char buf[CACHE_MARK_MAX];
	char err[96];
	size_t n;

	(void)state;
	assert_int_equal(cache_mark_parse(MARK, strlen(MARK), &m, err, sizeof(err)), 0);
	assert_int_equal(m.uuid[15], 15);
	assert_int_equal(m.store, 255);
	assert_int_equal(m.epoch, 7);
	assert_string_equal(m.home, "/h \\");
	assert_int_equal(cache_mark_print(&m, buf), strlen(MARK));
	assert_memory_equal(buf, MARK, strlen(MARK));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cache_mark_parse(bad[i], strlen(bad[i]), &m, err, sizeof(err)), -EPROTO);
	assert_int_equal(cache_mark_parse("hearth-cache 2\nother\n", 21, &m, err, sizeof(err)), -EPROTO);
	assert_non_null(strstr(err, "format 2"));
	m = (struct cache_mark){ .store = UINT64_MAX, .epoch = UINT64_MAX };    /* the longest there is */
	memset(m.home, '\n', PATH_MAX - 1);
	n = cache_mark_print(&m, buf);
	assert_int_equal(cache_mark_parse(buf, n, &again, err, sizeof(err)), 0);
	assert_memory_equal(&m, &again, sizeof(m));
	memmove(buf + n - 30, buf + n - 34, 34);                /* a path that is one byte longer */
	assert_int_equal(cache_mark_parse(buf, n + 4, &again, err, sizeof(err)), -EPROTO);
	n = cache_mark_print(&m, buf);
	for (size_t cut = 0; cut < n; cut += cut < 100 || n - cut < 40 ? 1 : 61)
		assert_int_equal(cache_mark_parse(buf, cut, &again, err, sizeof(err)), -EPROTO);
}

/* ---- places ---- */

static void wrong_places(void **state)
{
	struct cache_place *p = *state;
	char path[PATH_MAX];

	cache_place_close(p);
	p->cfg.dir = scratch_path(path, sizeof(path), p->dir, "none");
	cache_place_refused(p, -ENOENT);
	p->cfg.dir = scratch_path(path, sizeof(path), p->home, "blobs/f");
	cache_place_refused(p, -ENOTDIR);
	p->cfg.dir = p->home;
	cache_place_refused(p, -EINVAL);
	p->cfg.dir = scratch_path(path, sizeof(path), p->home, "blobs");        /* inside it */
	cache_place_refused(p, -EINVAL);
	p->cfg.dir = p->dir;                                                    /* around it */
	cache_place_refused(p, -EINVAL);
	scratch_file(p->dir, "full/of/f", "text", 4);
	p->cfg.dir = scratch_path(path, sizeof(path), p->dir, "full");
	cache_place_refused(p, -ENOTEMPTY);
	p->cfg.dir = p->cache;
	p->cfg.size = CACHE_SIZE_MIN - 1;
	cache_place_refused(p, -EINVAL);
	p->cfg.size = 1ull << 60;
	cache_place_refused(p, -EINVAL);
	p->cfg.size = CACHE_SIZE_MIN;
	cache_place_reopen(p);
	cache_close(NULL);
}

static void one_at_a_time(void **state)
{
	struct cache_place *p = *state;
	struct cache *first = p->c;
	int status;
	pid_t pid;

	p->c = NULL;
	cache_place_refused(p, -EBUSY);
	cache_close(first);
	pid = fork();
	if (pid == 0)
		_exit(cache_place_open(p) == 0 ? 0 : 1);        /* its lock ends with it */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	cache_place_reopen(p);
	assert_false(p->found.fresh);
}

static void one_store(void **state)
{
	struct cache_place *p = *state;
	struct cache_found first = p->found;
	char path[PATH_MAX], mark[PATH_MAX] = "";
	int fd;

	assert_true(first.fresh && first.same_device);
	assert_int_equal(first.epoch, 1);
	assert_string_equal(cache_name(p->c), "nvme");
	assert_string_equal(cache_dir(p->c), p->cache);
	assert_int_equal(cache_epoch(p->c), 1);
	cache_place_close(p);
	p->cfg.store++;
	cache_place_refused(p, -EXDEV);
	assert_non_null(strstr(p->err, p->home));
	p->cfg.store--;
	p->cfg.home = "/moved \n away";
	cache_place_reopen(p);
	assert_false(p->found.fresh);
	assert_memory_equal(p->found.uuid, first.uuid, 16);
	fd = open(scratch_path(path, sizeof(path), p->cache, "hearth-cache"), O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, mark, sizeof(mark) - 1) > 0);
	close(fd);
	assert_non_null(strstr(mark, "\nhome /moved\\040\\012\\040away\n"));
}

static void marks_that_are_none(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "no mark" }, { "hearth-cache 2\n", "format 2" }, { "hearth-cache 1\nuuid \n", "line 2" }, { MARK "more", "goes on" },
	};
	struct cache_place *p = *state;
	char path[PATH_MAX], *big;

	cache_place_close(p);
	scratch_path(path, sizeof(path), p->cache, "hearth-cache");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		scratch_file(p->cache, "hearth-cache", bad[i].text, strlen(bad[i].text));
		cache_place_refused(p, -EPROTO);
		assert_non_null(strstr(p->err, bad[i].says));
	}
	big = malloc(1 << 20);
	assert_non_null(big);
	memset(big, 'a', 1 << 20);
	memcpy(big, MARK, strlen("hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 00000000000000ff\nhome /"));
	scratch_file(p->cache, "hearth-cache", big, 1 << 20);
	free(big);
	cache_place_refused(p, -EPROTO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	cache_place_refused(p, -EPROTO);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	cache_place_refused(p, -EPROTO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	cache_place_refused(p, -ELOOP);
	assert_int_equal(unlink(path), 0);
	cache_place_refused(p, -ENOTEMPTY);     /* copies and no mark: nobody's */
}

static void nearly_empty_is_empty(void **state)
{
	struct cache_place *p = *state;
	char path[PATH_MAX];

	cache_place_close(p);
	scratch_remove(p->cache);
	scratch_file(p->dir, "cache/lost+found/x", "text", 4);
	scratch_file(p->cache, "hearth-cache.new", "hearth-cac", 10);
	cache_place_reopen(p);
	assert_true(p->found.fresh);
	assert_int_equal(access(scratch_path(path, sizeof(path), p->cache, "hearth-cache.new"), F_OK), -1);
}

/* In a namespace of a child's own, over file systems made for it.  0, 77 where there is none, or a line. */
static int odd_file_systems(struct cache_place *p)
{
	struct cache_space s;
	char path[PATH_MAX];
	int fd;

	p->c = NULL;
	if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("t", p->cache, "tmpfs", 0, "size=256m") == -1)
		return 77;
	p->cfg.size = 257 * MIB;
	if (cache_place_open(p) != -EINVAL)
		return __LINE__;
	p->cfg.size = 256 * MIB;
	fd = open(scratch_path(path, sizeof(path), p->cache, "hearth-cache.new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (posix_fallocate(fd, 0, 256 * MIB) != 0)
		return __LINE__;
	close(fd);
	if (rename(path, scratch_path(p->err, sizeof(p->err), p->cache, "lost+found")) == -1)
		return __LINE__;
	if (cache_place_open(p) != -ENOSPC || strstr(p->err, p->cache) == NULL)
		return __LINE__;
	if (unlink(scratch_path(path, sizeof(path), p->cache, "lost+found")) == -1 || cache_place_open(p) != 0)
		return __LINE__;
	if (p->found.same_device)
		return __LINE__;
	cache_space(p->c, &s);
	if (s.device_free < 250 * MIB || s.device_free > 256 * MIB)
		return __LINE__;
	if (cache_reserve(p->c, 193 * MIB) != -ENOSPC || cache_reserve(p->c, 190 * MIB) != 0)   /* 64 MiB stay free */
		return __LINE__;
	if (cache_reserve(p->c, 3 * MIB) != -ENOSPC)    /* what is reserved and not yet written counts */
		return __LINE__;
	cache_place_close(p);
	/* full with a mark: it opens, so that copies can leave */
	fd = open(scratch_path(path, sizeof(path), p->cache, "copies/00000000000000aa"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	for (size_t step = MIB; step >= 4096; step /= 16)
		while (fallocate(fd, 0, lseek(fd, 0, SEEK_END), (off_t)step) == 0)
			continue;
	close(fd);
	p->cfg.home = "/moved/to/a/longer/path/than/fits/in/what/is/left";
	if (cache_place_open(p) != 0 || cache_reserve(p->c, 1) != -ENOSPC || cache_unlink_stray(p->c, 0xaa) != 0)
		return __LINE__;
	cache_place_close(p);
	if (mount("t", p->cache, NULL, MS_REMOUNT | MS_RDONLY, NULL) == -1 || cache_place_open(p) != -EROFS ||
	    strstr(p->err, "mounted read-only") == NULL)
		return __LINE__;
	if (umount(p->cache) == -1 || chmod(p->dir, 0755) == -1 || seteuid(65534) == -1)
		return __LINE__;
	return cache_place_open(p) == -EACCES ? 0 : __LINE__;
}

static void read_only_full_and_small(void **state)
{
	struct cache_place *p = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	cache_place_close(p);
	pid = fork();
	if (pid == 0)
		_exit(odd_file_systems(p) % 256);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("needs a mount namespace\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- space ---- */

static void space(void **state)
{
	struct cache_place *p = *state;
	struct cache_space s;

	assert_int_equal(cache_reserve(p->c, p->cfg.size + 1), -ENOSPC);
	assert_int_equal(cache_reserve(p->c, UINT64_MAX), -ENOSPC);
	assert_int_equal(cache_reserve(p->c, p->cfg.size - 10), 0);
	assert_int_equal(cache_reserve(p->c, 11), -ENOSPC);
	assert_int_equal(cache_reserve(p->c, 10), 0);
	assert_int_equal(cache_reserve(p->c, 1), -ENOSPC);
	assert_int_equal(cache_reserve(p->c, 0), 0);
	cache_space(p->c, &s);
	assert_int_equal(s.size, p->cfg.size);
	assert_int_equal(s.used, p->cfg.size);
	assert_int_equal(s.leaving, 0);
	cache_unreserve(p->c, 5);
	assert_int_equal(cache_reserve(p->c, 6), -ENOSPC);
	cache_unreserve(p->c, p->cfg.size - 5);
	cache_count_found(p->c, p->cfg.size + 5);       /* the limit was lowered */
	assert_int_equal(cache_reserve(p->c, 1), -ENOSPC);
	cache_unreserve(p->c, 6);
	assert_int_equal(cache_reserve(p->c, 1), 0);
	assert_int_equal(cache_reserve(p->c, 1), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest cache_tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(mark_text),
#define TEST(f) cmocka_unit_test_setup_teardown(f, cache_place_setup, cache_place_teardown)
		TEST(wrong_places),
		TEST(one_at_a_time),
		TEST(one_store),
		TEST(marks_that_are_none),
		TEST(nearly_empty_is_empty),
		TEST(read_only_full_and_small),
		TEST(space),
	};

	return cmocka_run_group_tests(cache_tests, NULL, NULL);
}
