/* test_fs_mountinfo.c - which path lies where: the mounts of this namespace, and names with blanks. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_mountinfo.h"
#include "tests/unit/scratch.h"

static void below(void **state)
{
	(void)state;
	assert_true(fs_path_below("/a/b", "/a"));
	assert_true(fs_path_below("/a/b/c", "/a"));
	assert_true(fs_path_below("/a", "/"));
	assert_false(fs_path_below("/a", "/a"));
	assert_false(fs_path_below("/ab", "/a"));
	assert_false(fs_path_below("/", "/"));
	assert_false(fs_path_below("/", "/a"));
	assert_false(fs_path_below("/a", "/a/b"));
}

static bool count(void *ctx, const struct fs_mount *m)
{
	int *n = ctx;

	assert_int_equal(m->dir[0], '/');
	assert_true(m->type[0] != '\0');
	return ++*n < 3;
}

static void every_mount_until_told_to_stop(void **state)
{
	int n = 0;

	(void)state;
	assert_int_equal(fs_mountinfo_each(count, &n), 0);
	assert_true(n >= 1 && n <= 3);
}

static void where_a_path_lies(void **state)
{
	struct fs_mount m, none = { .major = 77 };
	struct stat st;

	(void)state;
	assert_int_equal(fs_mountinfo_at("/", &m), 0);
	assert_string_equal(m.dir, "/");
	assert_int_equal(fs_mountinfo_of("/proc/self/status", &m), 0);
	assert_string_equal(m.dir, "/proc");
	assert_string_equal(m.type, "proc");
	assert_int_equal(stat("/proc", &st), 0);
	assert_int_equal(makedev(m.major, m.minor), st.st_dev);
	assert_int_equal(fs_mountinfo_of("/procedure", &m), 0);
	assert_string_equal(m.dir, "/");
	assert_int_equal(fs_mountinfo_at("/proc/self", &none), -ENOENT);
	assert_int_equal(none.major, 77);       /* untouched */
}

/* From a table of a test's: hearth mounts are looked through, the last and longest of the others is it. */
static void the_disk_below(void **state)
{
	static const char table[] =
		"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		"21 20 8:17 / /srv rw - ext4 /dev/sdb1 rw\n"
		"22 21 0:50 / /srv/models rw - " FS_MOUNT_TYPE " hearth rw\n"
		"23 20 8:33 / /srv/other rw - xfs /dev/sdc1 rw\n"
		"24 20 8:49 / /srv/other rw - xfs /dev/sdd1 rw\n";
	struct fs_mount m, none = { .major = 77 };
	char dir[SCRATCH_PATH];

	(void)state;
	scratch_make(dir);
	assert_int_equal(fs_mountinfo_disk_of(dir, "/srv/models", &none), -ENOENT);
	scratch_file(dir, "proc/self/mountinfo", "", 0);
	assert_int_equal(fs_mountinfo_disk_of(dir, "/srv/models", &none), -ENOENT);
	assert_int_equal(none.major, 77);       /* untouched */
	scratch_file(dir, "proc/self/mountinfo", table, sizeof(table) - 1);
	assert_int_equal(fs_mountinfo_disk_of(dir, "/srv/models", &m), 0);
	assert_string_equal(m.source, "/dev/sdb1");
	assert_int_equal(fs_mountinfo_disk_of(dir, "/srv/models/blobs", &m), 0);
	assert_string_equal(m.source, "/dev/sdb1");
	assert_int_equal(fs_mountinfo_disk_of(dir, "/srv/other/x", &m), 0);
	assert_string_equal(m.source, "/dev/sdd1");
	assert_int_equal(fs_mountinfo_disk_of(dir, "/srvother", &m), 0);
	assert_string_equal(m.source, "/dev/sda1");
	scratch_remove(dir);
}

/* In a mount namespace of a child's own: 0, or the number of the line that was not as it should be. */
static int odd_names(const char *dir)
{
	char path[PATH_MAX], below_it[PATH_MAX + 8];
	struct fs_mount m;

	snprintf(path, sizeof(path), "%s/a b\tc\\d\ne - f#g", dir);
	if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return 77;
	if (mkdir(path, 0755) == -1 || mount("one two", path, "tmpfs", 0, NULL) == -1)
		return 77;
	if (fs_mountinfo_at(path, &m) != 0 || strcmp(m.dir, path) != 0 || strcmp(m.type, "tmpfs") != 0 ||
	    strcmp(m.source, "one two") != 0)
		return __LINE__;
	snprintf(below_it, sizeof(below_it), "%s/x", path);
	if (fs_mountinfo_of(below_it, &m) != 0 || strcmp(m.dir, path) != 0)
		return __LINE__;
	/* a second one over it: the later hides the earlier */
	if (mount("over", path, "tmpfs", 0, NULL) == -1 || fs_mountinfo_at(path, &m) != 0 || strcmp(m.source, "over") != 0)
		return __LINE__;
	if (fs_mountinfo_of(below_it, &m) != 0 || strcmp(m.source, "over") != 0)
		return __LINE__;
	return 0;
}

static void names_with_blanks_and_mounts_on_mounts(void **state)
{
	char dir[SCRATCH_PATH];
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	scratch_make(dir);
	pid = fork();
	if (pid == 0) {
		int rc = odd_names(dir);

		_exit(rc > 255 ? 255 : rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	scratch_remove(dir);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("needs a mount namespace\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest fs_mountinfo_tests[] = {
		cmocka_unit_test(below),
		cmocka_unit_test(every_mount_until_told_to_stop),
		cmocka_unit_test(where_a_path_lies),
		cmocka_unit_test(the_disk_below),
		cmocka_unit_test(names_with_blanks_and_mounts_on_mounts),
	};

	return cmocka_run_group_tests(fs_mountinfo_tests, NULL, NULL);
}
