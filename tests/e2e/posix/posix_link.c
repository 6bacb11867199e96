/* posix_link.c - hard links and unlink(2). */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void link_counts(size_t size)
{
	px_make("a", size, 1);
	PX_OK(mkdir("d", 0755));
	PX_OK(link("a", "b"));
	PX_OK(link("b", "d/c"));
	PX_EQ(px_stat("a").st_nlink, 3);
	PX_EQ(px_stat("b").st_nlink, 3);
	PX_EQ(px_stat("d/c").st_nlink, 3);
	PX_EQ(px_stat("a").st_ino, px_stat("d/c").st_ino);
	PX_OK(unlink("b"));
	PX_EQ(px_stat("a").st_nlink, 2);
	PX_EQ(px_stat("d/c").st_nlink, 2);
}

static void link_shares_data(size_t size)
{
	int a, b;

	px_make("a", size, 1);
	PX_OK(link("a", "b"));
	a = (int)PX_OK(open("a", O_RDWR));
	b = (int)PX_OK(open("b", O_RDWR));
	px_write(a, 100, 500, 2);
	px_verify_fd(b, 100, 500, 2);
	px_write(b, (off_t)size, 100, 3);
	px_verify_fd(a, (off_t)size, 100, 3);
	PX_EQ(px_stat("a").st_size, size + 100);
	PX_EQ(px_stat("b").st_size, size + 100);
}

static void link_shares_attributes(void)
{
	px_touch("a");
	PX_OK(link("a", "b"));
	PX_EQ(px_stat("b").st_mode & 07777, 0644);
	PX_OK(chmod("a", 0600));
	PX_EQ(px_stat("b").st_mode & 07777, 0600);
	px_age("b");
	PX_EQ(px_stat("a").st_mtim.tv_sec, px_stat("b").st_mtim.tv_sec);
}

static void link_first_name_unlinked(size_t size)
{
	ino_t ino;

	px_make("a", size, 1);
	ino = px_stat("a").st_ino;
	PX_OK(link("a", "b"));
	PX_OK(unlink("a"));
	PX_EQ(px_stat("b").st_ino, ino);
	PX_EQ(px_stat("b").st_nlink, 1);
	px_verify("b", size, 1);
}

static void link_errors(void)
{
	px_touch("a");
	px_touch("b");
	PX_OK(mkdir("d", 0755));
	PX_ERR(link("a", "b"), EEXIST);
	PX_ERR(link("none", "x"), ENOENT);
	PX_ERR(link("a", "no/x"), ENOENT);
	PX_ERR(link("a", "b/x"), ENOTDIR);
	PX_ERR(link("d", "e"), EPERM);
	PX_EQ(px_stat("a").st_nlink, 1);
}

static void link_of_symlink(void)
{
	px_touch("f");
	PX_OK(symlink("f", "l"));
	PX_OK(link("l", "m"));
	PX_TRUE(S_ISLNK(px_stat("m").st_mode));
	PX_EQ(px_stat("l").st_nlink, 2);
	PX_OK(linkat(AT_FDCWD, "l", AT_FDCWD, "n", AT_SYMLINK_FOLLOW));
	PX_TRUE(S_ISREG(px_stat("n").st_mode));
	PX_EQ(px_stat("f").st_nlink, 2);
}

static void link_while_open(size_t size)
{
	int fd, again;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(link("a", "b"));
	again = (int)PX_OK(open("b", O_RDONLY));
	PX_EQ(px_fstat(fd).st_nlink, 2);
	PX_OK(unlink("a"));
	px_write(fd, 10, 100, 5);
	px_verify_fd(again, 10, 100, 5);
	PX_OK(unlink("b"));
	PX_EQ(px_fstat(again).st_nlink, 0);
	px_verify_fd(again, 10, 100, 5);
}

static void link_many(void)
{
	char name[16];
	int i;

	px_make("a", 100, 1);
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		PX_OK(link("a", name));
	}
	PX_EQ(px_stat("a").st_nlink, 201);
	PX_OK(unlink("a"));
	px_verify("l117", 100, 1);
	PX_EQ(px_stat("l3").st_nlink, 200);
}

static void unlink_removes(void)
{
	px_touch("a");
	PX_OK(unlink("a"));
	PX_EQ(px_exists("a"), 0);
	PX_EQ(px_entries("."), 0);
	PX_ERR(unlink("a"), ENOENT);
}

static void unlink_errors(void)
{
	PX_OK(mkdir("d", 0755));
	px_touch("f");
	PX_ERR(unlink("d"), EISDIR);
	PX_ERR(unlink("f/x"), ENOTDIR);
	PX_ERR(unlink("no/x"), ENOENT);
	PX_ERR(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	PX_OK(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
}

static void unlink_open_file(size_t size)
{
	int r, w;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	w = (int)PX_OK(open("a", O_RDWR));
	PX_OK(unlink("a"));
	PX_EQ(px_entries("."), 0);
	PX_EQ(px_fstat(r).st_nlink, 0);
	PX_EQ(px_fstat(r).st_size, size);
	px_verify_fd(r, 0, size, 1);
	px_write(w, (off_t)size, 1000, 1);
	px_verify_fd(r, 0, size + 1000, 1);
	PX_OK(ftruncate(w, 10));
	PX_EQ(px_fstat(r).st_size, 10);
	PX_OK(fchmod(w, 0600));
	PX_EQ(px_fstat(r).st_mode & 07777, 0600);
	PX_OK(fsync(w));
}

static void unlink_and_recreate_while_open(size_t size)
{
	int old, new;

	px_make("a", size, 1);
	old = (int)PX_OK(open("a", O_RDONLY));
	PX_OK(unlink("a"));
	px_make("a", size, 2);
	new = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(old, 0, size, 1);
	px_verify_fd(new, 0, size, 2);
	PX_EQ(px_fstat(new).st_nlink, 1);
}

/* One name made and removed again and again, also by inode numbers used again. */
static void unlink_recreate_loop(void)
{
	int i;

	for (i = 0; i < 200; i++) {
		px_make("a", (size_t)(i % 50) * 30, (uint64_t)i);
		px_verify("a", (size_t)(i % 50) * 30, (uint64_t)i);
		PX_OK(unlink("a"));
	}
}

static void unlink_mapped_after_close(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	p = PX_MAP(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0));
	PX_OK(close(fd));
	px_same(p, 0, size / 2, 1, "the first half, before the unlink");
	PX_OK(unlink("a"));
	px_make("a", size, 2);
	px_same(p, 0, size, 1, "the mapping, after the unlink");
}

static void unlink_writes_through_map(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	p = PX_MAP(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	PX_OK(unlink("a"));
	px_fill(p + 50, 50, 1000, 7);
	PX_OK(msync(p, size, MS_SYNC));
	px_verify_fd(fd, 50, 1000, 7);
}

static const struct px_case cases[] = {
	PX_SIZED(link_counts), PX_SIZED(link_shares_data), PX_CASE(link_shares_attributes),
	PX_SIZED(link_first_name_unlinked), PX_CASE(link_errors), PX_CASE(link_of_symlink),
	PX_SIZED(link_while_open), PX_CASE(link_many), PX_CASE(unlink_removes), PX_CASE(unlink_errors),
	PX_SIZED(unlink_open_file), PX_SIZED(unlink_and_recreate_while_open),
	PX_CASE(unlink_recreate_loop), PX_SIZED(unlink_mapped_after_close),
	PX_SIZED(unlink_writes_through_map)
};

const struct px_suite posix_link = PX_SUITE(cases);
