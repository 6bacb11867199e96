/* posix_perm.c - who may do what: modes, groups, traversal, the sticky bit. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one user gets: errno of the open, 0 for success. */
static int perm_open(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		return errno;
	PX_OK(close(fd));
	return 0;
}

static void perm_by_class(void)
{
	static const struct { mode_t mode; int owner_r, owner_w, group_r, group_w, other_r, other_w; } t[] = {
		{ 0400, 0, EACCES, EACCES, EACCES, EACCES, EACCES },
		{ 0200, EACCES, 0, EACCES, EACCES, EACCES, EACCES },
		{ 0040, EACCES, EACCES, 0, EACCES, EACCES, EACCES },
		{ 0004, EACCES, EACCES, EACCES, EACCES, 0, EACCES },
		{ 0064, EACCES, EACCES, 0, 0, 0, EACCES },
		{ 0606, 0, 0, EACCES, EACCES, 0, 0 },
		{ 0640, 0, 0, 0, EACCES, EACCES, EACCES },
	};
	size_t i;

	px_make("a", 100, 1);
	for (i = 0; i < PX_COUNT(t); i++) {
		px_user(POSIX_UID, POSIX_UID, 0, NULL);
		px_root();
		PX_OK(chown("a", POSIX_UID, POSIX_TEAM));
		PX_OK(chmod("a", t[i].mode));
		px_user(POSIX_UID, POSIX_UID, 0, NULL);
		PX_EQ(perm_open("a", O_RDONLY), t[i].owner_r);
		PX_EQ(perm_open("a", O_WRONLY), t[i].owner_w);
		px_user(POSIX_OTHER, POSIX_TEAM, 0, NULL);
		PX_EQ(perm_open("a", O_RDONLY), t[i].group_r);
		PX_EQ(perm_open("a", O_WRONLY), t[i].group_w);
		px_user(POSIX_NOBODY, POSIX_NOBODY, 0, NULL);
		PX_EQ(perm_open("a", O_RDONLY), t[i].other_r);
		PX_EQ(perm_open("a", O_WRONLY), t[i].other_w);
		px_root();
	}
}

static void perm_supplementary_group(void)
{
	static const gid_t groups[] = { 2005, 2006, POSIX_TEAM, 2007 };

	px_make("a", 100, 1);
	PX_OK(mkdir("d", 0770));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_root();
	PX_OK(chown("a", 0, POSIX_TEAM));
	PX_OK(chmod("a", 0660));
	PX_OK(chown("d", 0, POSIX_TEAM));
	PX_OK(chmod("d", 0770));
	px_user(POSIX_UID, POSIX_UID, PX_COUNT(groups), groups);
	PX_EQ(perm_open("a", O_RDWR), 0);
	px_touch("d/x");
	PX_EQ(px_stat("d/x").st_gid, POSIX_UID);
	PX_OK(unlink("d/x"));
	px_user(POSIX_UID, POSIX_UID, 2, groups);
	PX_EQ(perm_open("a", O_RDWR), EACCES);
	PX_ERR(open("d/x", O_CREAT | O_RDWR, 0644), EACCES);
	px_root();
}

static void perm_files_belong_to_caller(void)
{
	px_user(POSIX_UID, POSIX_OTHER, 0, NULL);
	px_touch("f");
	PX_OK(mkdir("d", 0755));
	PX_OK(symlink("f", "l"));
	PX_OK(open("big", O_CREAT | O_RDWR, 0600));
	PX_EQ(px_stat("f").st_uid, POSIX_UID);
	PX_EQ(px_stat("f").st_gid, POSIX_OTHER);
	PX_EQ(px_stat("d").st_uid, POSIX_UID);
	PX_EQ(px_stat("d").st_gid, POSIX_OTHER);
	PX_EQ(px_stat("l").st_uid, POSIX_UID);
	PX_EQ(px_stat("l").st_gid, POSIX_OTHER);
	px_user(POSIX_NOBODY, POSIX_NOBODY, 0, NULL);
	px_touch("g");
	PX_EQ(px_stat("g").st_uid, POSIX_NOBODY);
	px_root();
	px_touch("h");
	PX_EQ(px_stat("h").st_uid, 0);
	PX_EQ(px_stat("h").st_gid, 0);
}

static void perm_create_needs_dir_write(void)
{
	PX_OK(mkdir("d", 0755));
	px_touch("f");
	PX_OK(chmod("f", 0666));        /* else protected_hardlinks refuses the link first */
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(open("d/f", O_CREAT | O_RDWR, 0644), EACCES);
	PX_ERR(mkdir("d/d", 0755), EACCES);
	PX_ERR(symlink("x", "d/l"), EACCES);
	PX_ERR(link("f", "d/l"), EACCES);
	px_root();
	PX_EQ(px_entries("d"), 0);
	PX_OK(chmod("d", 0757));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_touch("d/f");
}

static void perm_unlink_needs_dir_write(void)
{
	PX_OK(mkdir("d", 0755));
	px_touch("d/f");
	PX_OK(mkdir("d/d", 0777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(unlink("d/f"), EACCES);
	PX_ERR(rmdir("d/d"), EACCES);
	px_root();
	PX_OK(chmod("d", 0777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(unlink("d/f"));
	PX_OK(rmdir("d/d"));
}

static void perm_traversal(void)
{
	struct stat st;

	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("d/e", 0755));
	px_make("d/e/f", 10, 1);
	PX_OK(chmod("d", 0744));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(open("d/e/f", O_RDONLY), EACCES);
	PX_ERR(stat("d/e", &st), EACCES);
	PX_EQ(px_entries("d"), 1);
	px_root();
	PX_OK(chmod("d", 0711));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(stat("d/e/f", &st));
	PX_EQ(perm_open("d/e/f", O_RDONLY), 0);
	PX_ERR(open("d", O_RDONLY), EACCES);
	PX_ERR(open("d/e/f", O_WRONLY), EACCES);
}

/* What one user was allowed must not be allowed to the next from a cache, nor the other way round. */
static void perm_not_cached_across_users(void)
{
	int i;

	PX_OK(mkdir("d", 0700));
	px_make("d/f", 10, 1);
	PX_OK(chmod("d", 0700));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_root();
	PX_OK(chown("d", POSIX_UID, POSIX_UID));
	PX_OK(chown("d/f", POSIX_UID, POSIX_UID));
	PX_OK(chmod("d/f", 0600));
	for (i = 0; i < 10; i++) {
		px_user(POSIX_UID, POSIX_UID, 0, NULL);
		PX_EQ(perm_open("d/f", O_RDWR), 0);
		px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
		PX_EQ(perm_open("d/f", O_RDONLY), EACCES);
	}
	px_root();
	PX_OK(chmod("d", 0711));
	px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
	PX_EQ(perm_open("d/f", O_RDONLY), EACCES);
	px_root();
	PX_OK(chmod("d/f", 0604));
	px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
	PX_EQ(perm_open("d/f", O_RDONLY), 0);
}

static void perm_open_fd_survives_chmod(void)
{
	int fd;

	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_make("a", 5000, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(chmod("a", 0));
	px_verify_fd(fd, 0, 5000, 1);
	px_write(fd, 0, 100, 1);
	PX_OK(ftruncate(fd, 4000));
	PX_ERR(open("a", O_RDONLY), EACCES);
	px_root();
	px_verify("a", 4000, 1);
}

static void perm_chmod_owner_only(void)
{
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_touch("a");
	PX_OK(chmod("a", 0777));
	px_user(POSIX_OTHER, POSIX_UID, 0, NULL);
	PX_ERR(chmod("a", 0700), EPERM);
	px_root();
	PX_EQ(px_stat("a").st_mode & 07777, 0777);
	PX_OK(chmod("a", 0700));
}

static void perm_utimens(void)
{
	const struct timespec t[2] = { { 1, 0 }, { 2, 0 } };
	const struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_touch("a");
	PX_OK(chmod("a", 0666));
	PX_OK(utimensat(AT_FDCWD, "a", t, 0));
	px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
	PX_ERR(utimensat(AT_FDCWD, "a", t, 0), EPERM);
	PX_OK(utimensat(AT_FDCWD, "a", now, 0));
	PX_OK(utimensat(AT_FDCWD, "a", NULL, 0));
	px_root();
	PX_OK(chmod("a", 0644));
	px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
	PX_ERR(utimensat(AT_FDCWD, "a", now, 0), EACCES);
	PX_ERR(utimensat(AT_FDCWD, "a", NULL, 0), EACCES);
}

static void perm_truncate(void)
{
	px_make("a", 100, 1);
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(truncate("a", 0), EACCES);
	PX_ERR(open("a", O_RDONLY | O_TRUNC), EACCES);
	px_root();
	px_verify("a", 100, 1);
	PX_OK(chmod("a", 0646));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(truncate("a", 50));
	px_root();
	px_verify("a", 50, 1);
}

static void perm_sticky_unlink(void)
{
	PX_OK(mkdir("t", 01777));
	PX_OK(chmod("t", 01777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_touch("t/a");
	PX_OK(chmod("t/a", 0666));
	PX_OK(mkdir("t/d", 0777));
	px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
	PX_ERR(unlink("t/a"), EPERM);
	PX_ERR(rmdir("t/d"), EPERM);
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(unlink("t/a"));
	PX_OK(rmdir("t/d"));
	px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
	px_touch("t/b");
	px_root();
	PX_OK(chown("t", POSIX_THIRD, 0));
	px_user(POSIX_THIRD, POSIX_THIRD, 0, NULL);
	PX_OK(unlink("t/b"));
}

static void perm_access_call(void)
{
	px_make("a", 10, 1);
	PX_OK(chmod("a", 0640));
	PX_OK(access("a", R_OK | W_OK));
	PX_ERR(access("none", F_OK), ENOENT);
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(access("a", F_OK));
	PX_ERR(access("a", R_OK), EACCES);
	PX_ERR(access("a", X_OK), EACCES);
	px_root();
	PX_ERR(access("a", X_OK), EACCES);
	PX_OK(chmod("a", 0001));
	PX_OK(access("a", X_OK));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(access("a", X_OK));
	PX_ERR(access("a", R_OK | X_OK), EACCES);
}

static void perm_root_reads_all(void)
{
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_make("a", 100, 1);
	PX_OK(mkdir("d", 0700));
	px_touch("d/f");
	PX_OK(chmod("a", 0));
	PX_OK(chmod("d", 0));
	px_root();
	px_verify("a", 100, 1);
	PX_EQ(px_entries("d"), 1);
	px_touch("d/g");
	PX_EQ(px_stat("d/g").st_uid, 0);
}

static void perm_create_open_without_rights(void)
{
	int fd;

	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	fd = (int)PX_OK(open("a", O_CREAT | O_EXCL | O_RDWR, 0400));
	px_write(fd, 0, 100, 1);
	PX_ERR(open("a", O_RDWR), EACCES);
	PX_ERR(open("a", O_CREAT | O_RDWR, 0644), EACCES);
	fd = (int)PX_OK(open("b", O_CREAT | O_EXCL | O_RDWR, 0));
	px_write(fd, 0, 100, 1);
	px_verify_fd(fd, 0, 100, 1);
	PX_ERR(open("b", O_RDONLY), EACCES);
}

static const struct px_case cases[] = {
	PX_CASE(perm_by_class), PX_CASE(perm_supplementary_group), PX_CASE(perm_files_belong_to_caller),
	PX_CASE(perm_create_needs_dir_write), PX_CASE(perm_unlink_needs_dir_write),
	PX_CASE(perm_traversal), PX_CASE(perm_not_cached_across_users),
	PX_CASE(perm_open_fd_survives_chmod), PX_CASE(perm_chmod_owner_only), PX_CASE(perm_utimens),
	PX_CASE(perm_truncate), PX_CASE(perm_sticky_unlink), PX_CASE(perm_access_call),
	PX_CASE(perm_root_reads_all), PX_CASE(perm_create_open_without_rights)
};

const struct px_suite posix_perm = PX_SUITE(cases);
