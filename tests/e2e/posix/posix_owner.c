/* posix_owner.c - chown(2), and when set-id bits are lost. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void owner_need_root(void)
{
	if (geteuid() != 0)
		px_skip("needs root");
}

static void owner_chown_root(void)
{
	owner_need_root();
	px_make("a", 100, 1);
	PX_OK(chown("a", POSIX_UID, POSIX_TEAM));
	PX_EQ(px_stat("a").st_uid, POSIX_UID);
	PX_EQ(px_stat("a").st_gid, POSIX_TEAM);
	PX_OK(chown("a", (uid_t)-1, POSIX_OTHER));
	PX_EQ(px_stat("a").st_uid, POSIX_UID);
	PX_EQ(px_stat("a").st_gid, POSIX_OTHER);
	PX_OK(chown("a", POSIX_OTHER, (gid_t)-1));
	PX_EQ(px_stat("a").st_uid, POSIX_OTHER);
	PX_EQ(px_stat("a").st_gid, POSIX_OTHER);
}

static void owner_chown_by_user(void)
{
	static const gid_t groups[] = { POSIX_TEAM };

	px_user(POSIX_UID, POSIX_UID, 1, groups);
	px_touch("a");
	PX_ERR(chown("a", POSIX_OTHER, (gid_t)-1), EPERM);
	PX_ERR(chown("a", POSIX_UID, POSIX_OTHER), EPERM);
	PX_OK(chown("a", POSIX_UID, POSIX_TEAM));
	PX_EQ(px_stat("a").st_gid, POSIX_TEAM);
	PX_OK(chown("a", (uid_t)-1, POSIX_UID));
	px_user(POSIX_OTHER, POSIX_OTHER, 1, groups);
	PX_ERR(chown("a", (uid_t)-1, POSIX_TEAM), EPERM);
}

static void owner_chown_clears_setid(void)
{
	static const gid_t groups[] = { POSIX_TEAM };

	px_user(POSIX_UID, POSIX_UID, 1, groups);
	px_touch("a");
	PX_OK(chmod("a", 06775));
	PX_OK(chown("a", (uid_t)-1, POSIX_TEAM));
	PX_EQ(px_stat("a").st_mode & 07777, 0775);
}

static void owner_root_chown_clears_setid(void)
{
	owner_need_root();
	px_touch("a");
	PX_OK(chmod("a", 06775));
	PX_OK(chown("a", POSIX_UID, POSIX_TEAM));
	PX_EQ(px_stat("a").st_mode & 07777, 0775);
}

static void owner_chown_dir_keeps_setid(void)
{
	owner_need_root();
	PX_OK(mkdir("d", 0755));
	PX_OK(chmod("d", 02775));
	PX_OK(chown("d", POSIX_UID, POSIX_TEAM));
	PX_EQ(px_stat("d").st_mode & 07777, 02775);
}

static void owner_write_clears_setid(void)
{
	int fd;

	owner_need_root();
	px_make("a", 100, 1);
	PX_OK(chmod("a", 06777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	fd = (int)PX_OK(open("a", O_WRONLY));
	PX_EQ(PX_OK(write(fd, "x", 1)), 1);
	PX_EQ(px_stat("a").st_mode & 07777, 0777);
}

static void owner_write_clears_setid_blob(void)
{
	int fd;

	owner_need_root();
	px_make("a", PX_BLOB, 1);
	PX_OK(chmod("a", 06777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	fd = (int)PX_OK(open("a", O_WRONLY));
	PX_EQ(PX_OK(pwrite(fd, "x", 1, 2000000)), 1);
	PX_EQ(px_stat("a").st_mode & 07777, 0777);
}

static void owner_truncate_clears_setid(void)
{
	owner_need_root();
	px_make("a", 100, 1);
	PX_OK(chmod("a", 06777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(truncate("a", 50));
	PX_EQ(px_stat("a").st_mode & 07777, 0777);
}

static void owner_root_write_keeps_setid(void)
{
	int fd;

	owner_need_root();
	px_make("a", 100, 1);
	PX_OK(chmod("a", 04755));
	fd = (int)PX_OK(open("a", O_WRONLY));
	PX_EQ(PX_OK(write(fd, "x", 1)), 1);
	PX_EQ(px_stat("a").st_mode & 07777, 04755);
}

/* A set-group-id bit is not for one who is not in the file's group. */
static void owner_chmod_setgid_foreign_group(void)
{
	owner_need_root();
	px_touch("a");
	PX_OK(chown("a", POSIX_UID, POSIX_TEAM));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(chmod("a", 02775));
	PX_EQ(px_stat("a").st_mode & 07777, 0775);
}

static void owner_create_setgid_in_setgid_dir(void)
{
	owner_need_root();
	PX_OK(mkdir("d", 0777));
	PX_OK(chown("d", 0, POSIX_TEAM));
	PX_OK(chmod("d", 02777));
	umask(0);
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(open("d/a", O_CREAT | O_EXCL | O_RDWR, 02775));
	PX_EQ(px_stat("d/a").st_gid, POSIX_TEAM);
	PX_EQ(px_stat("d/a").st_mode & 07777, 0775);
}

static void owner_fchown_unlinked(void)
{
	int fd;

	owner_need_root();
	px_make("a", 100, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(unlink("a"));
	PX_OK(fchown(fd, POSIX_UID, POSIX_TEAM));
	PX_EQ(px_fstat(fd).st_uid, POSIX_UID);
	PX_EQ(px_fstat(fd).st_gid, POSIX_TEAM);
}

static const struct px_case cases[] = {
	PX_CASE(owner_chown_root), PX_CASE(owner_chown_by_user), PX_CASE(owner_chown_clears_setid),
	PX_CASE(owner_root_chown_clears_setid), PX_CASE(owner_chown_dir_keeps_setid),
	PX_CASE(owner_write_clears_setid), PX_CASE(owner_write_clears_setid_blob),
	PX_CASE(owner_truncate_clears_setid), PX_CASE(owner_root_write_keeps_setid),
	PX_CASE(owner_chmod_setgid_foreign_group), PX_CASE(owner_create_setgid_in_setgid_dir),
	PX_CASE(owner_fchown_unlinked)
};

const struct px_suite posix_owner = PX_SUITE(cases);
