/* test_home.c - one directory, one owner, and no way out of it. */
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
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tiering/home.h"
#include "tiering/io.h"

static const struct io system_io = { .hook = NULL };

struct place {
	char dir[SCRATCH_PATH];
	struct home *h;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char err[256];

	assert_non_null(p);
	scratch_make(p->dir);
	scratch_file(p->dir, "a/b/f", "text", 4);
	scratch_file(p->dir, "top", "text", 4);
	assert_int_equal(home_open(&p->h, p->dir, &system_io, err, sizeof(err)), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	home_close(p->h);
	scratch_remove(p->dir);
	free(p);
	return 0;
}

static void wrong_places(void **state)
{
	struct place *p = *state;
	char path[PATH_MAX], err[256] = "";
	struct home *h = NULL;

	assert_int_equal(home_open(&h, scratch_path(path, sizeof(path), p->dir, "none"), &system_io, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, path));
	assert_int_equal(home_open(&h, scratch_path(path, sizeof(path), p->dir, "top"), &system_io, err, sizeof(err)), -ENOTDIR);
	assert_non_null(strstr(err, path));
	assert_int_equal(home_open(&h, "", &system_io, err, sizeof(err)), -ENOENT);
	assert_null(h);
	home_close(NULL);
}

static void one_at_a_time(void **state)
{
	struct place *p = *state;
	char err[256] = "", link[PATH_MAX];
	struct home *h = NULL;

	assert_int_equal(home_open(&h, p->dir, &system_io, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, "already mounted by another hearth"));
	snprintf(link, sizeof(link), "%s.link", p->dir);
	assert_int_equal(symlink(p->dir, link), 0);
	assert_int_equal(home_open(&h, link, &system_io, err, sizeof(err)), -EBUSY);
	home_close(p->h);
	assert_int_equal(home_open(&p->h, link, &system_io, err, sizeof(err)), 0);
	assert_string_equal(home_path(p->h), p->dir);
	assert_int_equal(unlink(link), 0);
}

static void a_lock_ends_with_its_process(void **state)
{
	struct place *p = *state;
	char err[256];
	int status;
	pid_t pid;

	home_close(p->h);
	p->h = NULL;
	pid = fork();
	if (pid == 0) {
		struct home *h;

		_exit(home_open(&h, p->dir, &system_io, err, sizeof(err)) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(home_open(&p->h, p->dir, &system_io, err, sizeof(err)), 0);
}

static void nothing_leads_out(void **state)
{
	struct place *p = *state;
	char path[PATH_MAX];
	int fd, dir;

	assert_int_equal(symlink("/etc", scratch_path(path, sizeof(path), p->dir, "abs")), 0);
	assert_int_equal(symlink("a", scratch_path(path, sizeof(path), p->dir, "rel")), 0);
	assert_int_equal(symlink("top", scratch_path(path, sizeof(path), p->dir, "file")), 0);
	assert_int_equal(home_openat(p->h, "abs/passwd", O_RDONLY), -ELOOP);
	assert_int_equal(home_openat(p->h, "rel/b", O_RDONLY), -ELOOP);
	assert_int_equal(home_openat(p->h, "file", O_RDONLY), -ELOOP);
	assert_int_equal(home_openat(p->h, "..", O_RDONLY), -EXDEV);
	assert_int_equal(home_openat(p->h, "a/../../x", O_RDONLY), -EXDEV);
	assert_int_equal(home_openat(p->h, "/etc/passwd", O_RDONLY), -EXDEV);
	dir = home_openat(p->h, "a", O_PATH | O_DIRECTORY);
	assert_true(dir >= 0);
	assert_int_equal(home_openat_dir(p->h, dir, "..", O_RDONLY, 0), -EXDEV);
	assert_int_equal(home_openat_dir(p->h, dir, "../top", O_RDONLY, 0), -EXDEV);
	fd = home_openat_dir(p->h, dir, "new", O_RDWR | O_CREAT | O_EXCL, 0640);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	close(dir);
	fd = home_openat(p->h, "", O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	close(fd);
	fd = home_openat(p->h, "rel", O_PATH | O_NOFOLLOW);     /* the link itself */
	assert_true(fd >= 0);
	close(fd);
}

/* In a namespace of a child's own, where a home is opened anew.  0, 77 where there is none, or a line. */
static int cross_a_mount(const char *dir)
{
	char path[PATH_MAX], err[256];
	struct home *h;

	if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return 77;
	if (home_open(&h, scratch_path(path, sizeof(path), dir, "second"), &system_io, err, sizeof(err)) != 0)
		return __LINE__;
	if (mount("t", scratch_path(path, sizeof(path), dir, "second/a"), "tmpfs", 0, NULL) == -1)
		return 77;
	if (home_openat(h, "a", O_RDONLY) != -EXDEV || home_openat(h, "a/b", O_RDONLY) != -EXDEV)
		return __LINE__;
	if (umount(path) == -1)
		return __LINE__;
	return home_openat(h, "a/b", O_RDONLY) >= 0 ? 0 : __LINE__;
}

static void other_file_systems_are_refused(void **state)
{
	struct place *p = *state;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	scratch_file(p->dir, "second/a/b/f", "text", 4);
	pid = fork();
	if (pid == 0)
		_exit(cross_a_mount(p->dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("needs a mount namespace\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void syncing_directories(void **state)
{
	struct place *p = *state;
	char longer[PATH_MAX + 10];

	assert_int_equal(home_sync_dirs(p->h, ""), 0);
	assert_int_equal(home_sync_dirs(p->h, "a"), 0);
	assert_int_equal(home_sync_dirs(p->h, "a/b"), 0);
	assert_int_equal(home_sync_dirs(p->h, "a/none"), -ENOENT);
	assert_int_equal(home_sync_dirs(p->h, "top"), -ENOTDIR);
	memset(longer, 'a', sizeof(longer));
	longer[PATH_MAX] = '\0';
	assert_int_equal(home_sync_dirs(p->h, longer), -ENAMETOOLONG);
}

static void identity(void **state)
{
	struct stat st = {
		.st_ino = 5, .st_size = 10, .st_mtim = { 100, 1 }, .st_ctim = { 100, 2 }, .st_mode = 0644, .st_atim = { 1, 1 },
	};
	struct home_ident a = home_ident(&st), b;
	struct timespec now = { 102, 999999999 };

	(void)state;
	st.st_mode = 0600;
	st.st_atim.tv_sec = 7;
	b = home_ident(&st);
	assert_true(home_ident_equal(&a, &b));
	for (int i = 0; i < 6; i++) {
		b = a;
		b.ino += i == 0;
		b.size += i == 1;
		b.mtime.tv_sec += i == 2;
		b.mtime.tv_nsec += i == 3;
		b.ctime.tv_sec += i == 4;
		b.ctime.tv_nsec += i == 5;
		assert_false(home_ident_equal(&a, &b));
	}
	assert_false(home_ident_settled(&a, &now));
	now = (struct timespec){ 103, 0 };
	assert_true(home_ident_settled(&a, &now));
	a.ctime.tv_sec = 101;                   /* either of the two */
	assert_false(home_ident_settled(&a, &now));
	a.ctime.tv_sec = 100;
	a.mtime.tv_sec = 500;                   /* in the future */
	assert_false(home_ident_settled(&a, &now));
}

static void space(void **state)
{
	struct place *p = *state;
	struct statvfs sv = { 0 };

	assert_int_equal(home_statvfs(p->h, &sv), 0);
	assert_true(sv.f_blocks > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest home_tests[] = {
		TEST(wrong_places),
		TEST(one_at_a_time),
		TEST(a_lock_ends_with_its_process),
		TEST(nothing_leads_out),
		TEST(other_file_systems_are_refused),
		TEST(syncing_directories),
		TEST(space),
		cmocka_unit_test(identity),
	};

	return cmocka_run_group_tests(home_tests, NULL, NULL);
}
