/* posix_rename.c - rename(2) and renameat2(2). */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void rename_plain(size_t size)
{
	ino_t ino;

	px_make("a", size, 1);
	ino = px_stat("a").st_ino;
	PX_OK(rename("a", "b"));
	PX_EQ(px_exists("a"), 0);
	px_verify("b", size, 1);
	PX_EQ(px_stat("b").st_ino, ino);
	PX_EQ(px_stat("b").st_nlink, 1);
}

static void rename_over_file(size_t size)
{
	int i;

	for (i = 0; i < 5; i++) {
		px_make("a", size, (uint64_t)i);
		PX_OK(rename("a", "b"));
		px_verify("b", size, (uint64_t)i);
		PX_EQ(px_exists("a"), 0);
	}
	PX_EQ(px_entries("."), 1);
}

/* The file that lost its name lives on for those who have it open or mapped. */
static void rename_over_open_file(size_t size)
{
	char *old;
	int fd;

	px_make("old", size, 1);
	px_make("new", size + 10, 2);
	fd = (int)PX_OK(open("old", O_RDWR));
	old = PX_MAP(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0));
	PX_OK(rename("new", "old"));
	px_same(old, 0, size, 1, "the mapped old file");
	px_verify_fd(fd, 0, size, 1);
	PX_EQ(px_fstat(fd).st_nlink, 0);
	PX_EQ(px_fstat(fd).st_size, size);
	px_write(fd, 100, 50, 1);
	px_verify("old", size + 10, 2);
}

static void rename_of_open_file(size_t size)
{
	int r, w;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	w = (int)PX_OK(open("a", O_RDWR));
	PX_OK(mkdir("d", 0755));
	PX_OK(rename("a", "d/b"));
	px_write(w, (off_t)size, 1000, 1);
	px_verify_fd(r, 0, size + 1000, 1);
	PX_EQ(px_fstat(r).st_ino, px_stat("d/b").st_ino);
	px_verify("d/b", size + 1000, 1);
	PX_OK(rename("d/b", "c"));
	px_verify_fd(r, 0, size + 1000, 1);
}

static void rename_across_dirs(size_t size)
{
	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("e", 0755));
	px_make("d/a", size, 1);
	PX_OK(rename("d/a", "e/a"));
	PX_EQ(px_entries("d"), 0);
	PX_EQ(px_entries("e"), 1);
	px_verify("e/a", size, 1);
}

static void rename_same_inode_is_nothing(void)
{
	px_make("a", 100, 1);
	PX_OK(link("a", "b"));
	PX_OK(rename("a", "b"));
	PX_EQ(px_exists("a"), 1);
	PX_EQ(px_exists("b"), 1);
	PX_EQ(px_stat("a").st_nlink, 2);
	PX_OK(rename("a", "a"));
	px_verify("a", 100, 1);
}

static void rename_over_hard_link_of_another(void)
{
	px_make("a", 100, 1);
	px_make("b", 100, 2);
	PX_OK(link("b", "c"));
	PX_OK(rename("a", "b"));
	PX_EQ(px_stat("c").st_nlink, 1);
	px_verify("c", 100, 2);
	px_verify("b", 100, 1);
}

static void rename_missing(void)
{
	PX_ERR(rename("a", "b"), ENOENT);
	px_touch("a");
	PX_ERR(rename("a", "no/b"), ENOENT);
	PX_ERR(rename("no/a", "b"), ENOENT);
	px_touch("f");
	PX_ERR(rename("a", "f/b"), ENOTDIR);
	PX_ERR(rename("f/b", "a"), ENOTDIR);
	PX_ERR(rename("a", "b/"), ENOTDIR);
}

static void rename_dir(void)
{
	ino_t ino;

	PX_OK(mkdir("d", 0750));
	px_make("d/f", 100, 1);
	ino = px_stat("d").st_ino;
	PX_OK(rename("d", "e"));
	px_verify("e/f", 100, 1);
	PX_EQ(px_exists("d"), 0);
	PX_EQ(px_stat("e").st_ino, ino);
	PX_EQ(px_stat("e").st_mode & 07777, 0750);
	PX_ERR(open("d/f", O_RDONLY), ENOENT);
}

static void rename_dir_over_empty_dir(void)
{
	PX_OK(mkdir("d", 0755));
	px_touch("d/f");
	PX_OK(mkdir("e", 0755));
	PX_OK(rename("d", "e"));
	PX_EQ(px_exists("e/f"), 1);
	PX_EQ(px_exists("d"), 0);
}

static void rename_dir_over_full_dir(void)
{
	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("e", 0755));
	px_touch("e/f");
	PX_ERR(rename("d", "e"), ENOTEMPTY);
	PX_EQ(px_exists("e/f"), 1);
	PX_EQ(px_exists("d"), 1);
}

static void rename_dir_and_file(void)
{
	PX_OK(mkdir("d", 0755));
	px_touch("f");
	PX_ERR(rename("d", "f"), ENOTDIR);
	PX_ERR(rename("f", "d"), EISDIR);
	PX_ERR(rename("d/.", "e"), EBUSY);
	PX_ERR(rename("f", "d/.."), EBUSY);
}

static void rename_dir_into_itself(void)
{
	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("d/e", 0755));
	PX_ERR(rename("d", "d/x"), EINVAL);
	PX_ERR(rename("d", "d/e/x"), EINVAL);
	PX_ERR(rename("d", "d/e"), EINVAL);
	PX_ERR(rename("d/e", "d"), ENOTEMPTY);
}

static void rename_dir_changes_parent(void)
{
	PX_OK(mkdir("a", 0755));
	PX_OK(mkdir("b", 0755));
	PX_OK(mkdir("a/d", 0755));
	PX_EQ(px_stat("a").st_nlink, 3);
	PX_OK(rename("a/d", "b/d"));
	PX_EQ(px_stat("a").st_nlink, 2);
	PX_EQ(px_stat("b").st_nlink, 3);
	PX_EQ(px_stat("b/d/..").st_ino, px_stat("b").st_ino);
}

static void rename_symlink(void)
{
	px_touch("f");
	PX_OK(symlink("f", "l"));
	PX_OK(rename("l", "m"));
	PX_TRUE(S_ISLNK(px_stat("m").st_mode));
	PX_OK(symlink("f", "n"));
	px_make("g", 10, 1);
	PX_OK(rename("g", "n"));
	PX_TRUE(S_ISREG(px_stat("n").st_mode));
	PX_EQ(px_stat("f").st_size, 0);
}

static void rename_noreplace(size_t size)
{
	px_make("a", size, 1);
	px_make("b", size, 2);
	PX_TRY(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	PX_ERR(renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	px_verify("b", size, 2);
	px_verify("c", size, 1);
	PX_EQ(px_exists("a"), 0);
}

static void rename_exchange(size_t size)
{
	ino_t a, b;

	px_make("a", size, 1);
	px_make("b", size + 1, 2);
	a = px_stat("a").st_ino;
	b = px_stat("b").st_ino;
	PX_TRY(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
	PX_EQ(px_stat("a").st_ino, b);
	PX_EQ(px_stat("b").st_ino, a);
	px_verify("a", size + 1, 2);
	px_verify("b", size, 1);
	PX_ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
}

static void rename_exchange_file_and_dir(void)
{
	px_make("f", 10, 1);
	PX_OK(mkdir("d", 0755));
	px_touch("d/x");
	PX_TRY(renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_EXCHANGE));
	px_verify("d", 10, 1);
	PX_EQ(px_exists("f/x"), 1);
}

static void rename_bad_flags(void)
{
	px_touch("a");
	px_touch("b");
	PX_ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	PX_EQ(px_entries("."), 2);
}

static void rename_sticky_dir(void)
{
	PX_OK(mkdir("t", 01777));
	PX_OK(chmod("t", 01777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_make("t/mine", 10, 1);
	px_user(POSIX_OTHER, POSIX_OTHER, 0, NULL);
	px_make("t/theirs", 10, 2);
	PX_ERR(rename("t/mine", "t/x"), EPERM);
	PX_ERR(rename("t/theirs", "t/mine"), EPERM);
	PX_OK(rename("t/theirs", "t/y"));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_OK(rename("t/mine", "t/x"));
}

static void rename_permission(void)
{
	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("free", 0777));
	PX_OK(chmod("free", 0777));
	px_touch("d/f");
	px_touch("free/g");
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(rename("d/f", "free/f"), EACCES);
	PX_ERR(rename("free/g", "d/g"), EACCES);
	PX_OK(rename("free/g", "free/h"));
}

static void rename_many_in_one_dir(void)
{
	char from[24], to[24];
	int i;

	for (i = 0; i < 120; i++) {
		snprintf(from, sizeof(from), "f%d", i);
		px_make(from, (size_t)i, (uint64_t)i);
	}
	for (i = 0; i < 120; i++) {
		snprintf(from, sizeof(from), "f%d", i);
		snprintf(to, sizeof(to), "f%d.new", (i * 7) % 120);
		PX_OK(rename(from, to));
	}
	PX_EQ(px_entries("."), 120);
	for (i = 0; i < 120; i++) {
		snprintf(to, sizeof(to), "f%d.new", (i * 7) % 120);
		px_verify(to, (size_t)i, (uint64_t)i);
	}
}

static const struct px_case cases[] = {
	PX_SIZED(rename_plain), PX_SIZED(rename_over_file), PX_SIZED(rename_over_open_file),
	PX_SIZED(rename_of_open_file), PX_SIZED(rename_across_dirs),
	PX_CASE(rename_same_inode_is_nothing), PX_CASE(rename_over_hard_link_of_another),
	PX_CASE(rename_missing), PX_CASE(rename_dir), PX_CASE(rename_dir_over_empty_dir),
	PX_CASE(rename_dir_over_full_dir), PX_CASE(rename_dir_and_file), PX_CASE(rename_dir_into_itself),
	PX_CASE(rename_dir_changes_parent), PX_CASE(rename_symlink), PX_SIZED(rename_noreplace),
	PX_SIZED(rename_exchange), PX_CASE(rename_exchange_file_and_dir), PX_CASE(rename_bad_flags),
	PX_CASE(rename_sticky_dir), PX_CASE(rename_permission), PX_CASE(rename_many_in_one_dir)
};

const struct px_suite posix_rename = PX_SUITE(cases);
