/* posix_create.c - open(2) and what its flags and modes mean. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void create_modes(void)
{
	static const mode_t modes[] = { 0, 0400, 0600, 0644, 0755, 0777, 01644, 02755, 04755 };
	char name[16];
	size_t i;

	umask(0);
	for (i = 0; i < PX_COUNT(modes); i++) {
		snprintf(name, sizeof(name), "m%zu", i);
		PX_OK(open(name, O_CREAT | O_EXCL | O_RDWR, modes[i]));
		PX_EQ(px_stat(name).st_mode, S_IFREG | modes[i]);
	}
}

static void create_umask(void)
{
	umask(077);
	PX_OK(open("a", O_CREAT | O_WRONLY, 0666));
	PX_EQ(px_stat("a").st_mode & 07777, 0600);
	umask(0);
	PX_OK(open("b", O_CREAT | O_WRONLY, 0666));
	PX_EQ(px_stat("b").st_mode & 07777, 0666);
	umask(0137);
	PX_OK(mkdir("d", 0777));
	PX_EQ(px_stat("d").st_mode & 07777, 0640);
}

static void create_attributes(void)
{
	struct stat st;

	px_touch("a");
	st = px_stat("a");
	PX_TRUE(S_ISREG(st.st_mode));
	PX_EQ(st.st_nlink, 1);
	PX_EQ(st.st_size, 0);
	PX_EQ(st.st_blocks, 0);
	PX_EQ(st.st_uid, geteuid());
	PX_EQ(st.st_gid, getegid());
	PX_TRUE(st.st_ino != 0);
}

static void create_blksize_4096(void)
{
	px_make("a", 3 << 20, 1);
	PX_EQ(px_stat("a").st_blksize, 4096);
}

static void create_excl(void)
{
	px_touch("a");
	PX_ERR(open("a", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	PX_OK(symlink("nowhere", "l"));
	PX_ERR(open("l", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	PX_EQ(px_exists("nowhere"), 0);
	PX_OK(mkdir("d", 0755));
	PX_ERR(open("d", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
}

static void create_through_dangling_symlink(void)
{
	PX_OK(symlink("target", "l"));
	PX_OK(open("l", O_CREAT | O_RDWR, 0644));
	PX_TRUE(S_ISREG(px_stat("target").st_mode));
}

static void create_existing_keeps_mode(void)
{
	px_make("a", 100, 1);
	PX_OK(open("a", O_CREAT | O_RDWR, 0777));
	PX_EQ(px_stat("a").st_mode & 07777, 0644);
	px_verify("a", 100, 1);
}

static void create_readonly_mode_writable_fd(void)
{
	int fd = (int)PX_OK(open("a", O_CREAT | O_EXCL | O_RDWR, 0));

	px_write(fd, 0, 5000, 3);
	px_verify_fd(fd, 0, 5000, 3);
}

static void create_in_missing_dir(void)
{
	PX_ERR(open("no/a", O_CREAT | O_RDWR, 0644), ENOENT);
	px_touch("f");
	PX_ERR(open("f/a", O_CREAT | O_RDWR, 0644), ENOTDIR);
}

static void create_in_removed_dir(void)
{
	int d;

	PX_OK(mkdir("d", 0755));
	d = (int)PX_OK(open("d", O_RDONLY | O_DIRECTORY));
	PX_OK(rmdir("d"));
	PX_ERR(openat(d, "a", O_CREAT | O_RDWR, 0644), ENOENT);
}

static void open_trunc(size_t size)
{
	px_make("a", size, 1);
	PX_OK(open("a", O_RDWR | O_TRUNC));
	PX_EQ(px_stat("a").st_size, 0);
	PX_EQ(px_stat("a").st_blocks, 0);
}

static void open_trunc_rewrite(size_t size)
{
	int old, fd;

	px_make("a", size, 1);
	old = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(old, 0, size, 1);
	fd = (int)PX_OK(open("a", O_WRONLY | O_TRUNC | O_CREAT, 0644));
	px_write(fd, 0, size / 2, 2);
	px_verify_fd(old, 0, size / 2, 2);
	PX_EQ(px_fstat(old).st_size, size / 2);
	px_verify("a", size / 2, 2);
}

static void open_append(size_t size)
{
	char buf[300];
	int a, b;

	px_make("a", size, 1);
	a = (int)PX_OK(open("a", O_WRONLY | O_APPEND));
	b = (int)PX_OK(open("a", O_WRONLY | O_APPEND));
	px_fill(buf, (off_t)size, 300, 1);
	PX_EQ(PX_OK(write(a, buf, 100)), 100);
	PX_EQ(PX_OK(write(b, buf + 100, 100)), 100);
	PX_OK(lseek(a, 0, SEEK_SET));
	PX_EQ(PX_OK(write(a, buf + 200, 100)), 100);
	PX_EQ(PX_OK(lseek(a, 0, SEEK_CUR)), size + 300);
	px_verify("a", size + 300, 1);
}

static void open_append_after_truncate(size_t size)
{
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_WRONLY | O_APPEND));
	PX_OK(truncate("a", 7));
	PX_EQ(PX_OK(write(fd, "xyz", 3)), 3);
	PX_EQ(px_stat("a").st_size, 10);
}

static void open_directory_flags(void)
{
	px_touch("f");
	PX_OK(mkdir("d", 0755));
	PX_ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	PX_ERR(open("d", O_WRONLY), EISDIR);
	PX_ERR(open("d", O_RDWR), EISDIR);
	PX_OK(open("d", O_RDONLY));
	PX_ERR(open("f/", O_RDONLY), ENOTDIR);
	PX_ERR(open("no/", O_CREAT | O_RDWR, 0644), EISDIR);
}

static void open_read_directory_fd(void)
{
	char c;
	int d;

	PX_OK(mkdir("d", 0755));
	d = (int)PX_OK(open("d", O_RDONLY));
	PX_ERR(read(d, &c, 1), EISDIR);
}

static void open_missing(void)
{
	PX_ERR(open("a", O_RDONLY), ENOENT);
	PX_ERR(open("", O_RDONLY), ENOENT);
	PX_ERR(open("a/b", O_RDONLY), ENOENT);
	px_touch("f");
	PX_ERR(open("f/b", O_RDONLY), ENOTDIR);
}

/* A name looked up while absent must be seen as soon as it exists. */
static void open_negative_then_created(void)
{
	int i;

	for (i = 0; i < 20; i++) {
		PX_ERR(open("a", O_RDONLY), ENOENT);
		PX_EQ(px_exists("a"), 0);
		px_touch("a");
		PX_EQ(px_exists("a"), 1);
		PX_OK(unlink("a"));
	}
}

static void open_nofollow(void)
{
	px_touch("f");
	PX_OK(symlink("f", "l"));
	PX_ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	PX_OK(open("l", O_RDONLY));
	PX_OK(open("f", O_RDONLY | O_NOFOLLOW));
}

static void open_access_modes(void)
{
	char c = 'x';
	int fd;

	px_make("a", 10, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	PX_ERR(write(fd, &c, 1), EBADF);
	PX_ERR(ftruncate(fd, 0), EINVAL);
	fd = (int)PX_OK(open("a", O_WRONLY));
	PX_ERR(read(fd, &c, 1), EBADF);
	px_verify("a", 10, 1);
}

static void open_path(void)
{
	struct stat st;
	char c;
	int fd;

	px_make("a", 10, 1);
	fd = (int)PX_OK(open("a", O_PATH));
	PX_OK(fstat(fd, &st));
	PX_EQ(st.st_ino, px_stat("a").st_ino);
	PX_ERR(read(fd, &c, 1), EBADF);
	PX_OK(rename("a", "b"));
	PX_EQ(px_fstat(fd).st_ino, px_stat("b").st_ino);
	PX_OK(symlink("nowhere", "l"));
	fd = (int)PX_OK(open("l", O_PATH | O_NOFOLLOW));
	PX_TRUE(S_ISLNK(px_fstat(fd).st_mode));
}

/* Such a descriptor keeps the file known without keeping it open. */
static void open_path_unlinked(void)
{
	int fd;

	px_make("a", 10, 1);
	fd = (int)PX_OK(open("a", O_PATH));
	PX_OK(unlink("a"));
	PX_EQ(px_fstat(fd).st_nlink, 0);
	PX_EQ(px_fstat(fd).st_size, 10);
}

static void open_tmpfile(void)
{
	char proc[64];
	int fd = (int)open(".", O_TMPFILE | O_RDWR, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		px_skip("O_TMPFILE is not supported here");
	PX_OK(fd);
	px_write(fd, 0, 5000, 4);
	PX_EQ(px_fstat(fd).st_nlink, 0);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	PX_OK(linkat(AT_FDCWD, proc, AT_FDCWD, "a", AT_SYMLINK_FOLLOW));
	px_verify("a", 5000, 4);
}

static void open_at_directory_fd(void)
{
	int d;

	PX_OK(mkdir("d", 0755));
	d = (int)PX_OK(open("d", O_PATH | O_DIRECTORY));
	PX_OK(openat(d, "a", O_CREAT | O_RDWR, 0644));
	PX_EQ(px_exists("d/a"), 1);
	PX_OK(rename("d", "e"));
	PX_OK(openat(d, "b", O_CREAT | O_RDWR, 0644));
	PX_EQ(px_exists("e/b"), 1);
	PX_OK(unlinkat(d, "a", 0));
	PX_EQ(px_entries("e"), 1);
}

/* One file open many times: every handle is a file description with an offset of its own. */
static void open_many_handles(size_t size)
{
	char want[64], got[64];
	int fd[200], i;

	px_make("a", size, 1);
	for (i = 0; i < 200; i++) {
		fd[i] = (int)PX_OK(open("a", i % 3 != 0 ? O_RDONLY : O_RDWR));
		PX_OK(lseek(fd[i], i * 10, SEEK_SET));
	}
	for (i = 0; i < 200; i++) {
		PX_EQ(PX_OK(read(fd[i], got, 64)), 64);
		px_fill(want, i * 10, 64, 1);
		PX_EQ(memcmp(got, want, 64), 0);
		PX_EQ(PX_OK(lseek(fd[i], 0, SEEK_CUR)), i * 10 + 64);
	}
}

/* Readers and writers of one file in every order, each closed again in every order. */
static void open_mode_orders(size_t size)
{
	static const int flags[4] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND };
	int order, i, f, fd[4];

	px_make("a", size, 1);
	for (order = 0; order < 256; order++) {
		for (i = 0; i < 4; i++) {
			f = flags[order >> (2 * i) & 3];
			fd[i] = (int)PX_OK(open("a", f));
			if (f != O_WRONLY)
				px_verify_fd(fd[i], (off_t)size - 700, 700, 1);
			if (f == O_WRONLY || f == O_RDWR)
				px_write(fd[i], 4000, 200, 1);
		}
		for (i = 0; i < 4; i++)
			PX_OK(close(fd[order % 2 != 0 ? i : 3 - i]));
	}
	px_verify("a", size, 1);
}

/* A file open while it grows past the size at which hearth calls it a blob, and opened again then. */
static void open_while_growing(void)
{
	const size_t piece = 300000;
	int fd = (int)PX_OK(open("a", O_CREAT | O_EXCL | O_RDWR, 0644)), again;
	size_t size;

	for (size = 0; size < 3000000; size += piece) {
		px_write(fd, (off_t)size, piece, 1);
		again = (int)PX_OK(open("a", size % 2 != 0 ? O_RDONLY : O_RDWR));
		px_verify_fd(again, 0, size + piece, 1);
		PX_EQ(px_fstat(again).st_size, size + piece);
	}
	PX_OK(ftruncate(fd, 1000));
	PX_OK(ftruncate(again, 500));
	px_verify("a", 500, 1);
}

static void open_proc_self_fd(void)
{
	char proc[64], cwd[2000], want[2100], got[2100];
	ssize_t n;
	int fd;

	px_make("a b", 100, 1);
	fd = (int)PX_OK(open("a b", O_RDONLY));
	PX_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	snprintf(want, sizeof(want), "%s/a b", cwd);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = PX_OK(readlink(proc, got, sizeof(got) - 1));
	got[n] = 0;
	PX_EQ(strcmp(got, want), 0);
	px_verify(proc, 100, 1);
	PX_OK(unlink("a b"));
	px_verify_fd(fd, 0, 100, 1);
}

static const struct px_case cases[] = {
	PX_CASE(create_modes), PX_CASE(create_umask), PX_CASE(create_attributes),
	PX_CASE(create_blksize_4096), PX_CASE(create_excl), PX_CASE(create_through_dangling_symlink),
	PX_CASE(create_existing_keeps_mode), PX_CASE(create_readonly_mode_writable_fd),
	PX_CASE(create_in_missing_dir), PX_CASE(create_in_removed_dir), PX_SIZED(open_trunc),
	PX_SIZED(open_trunc_rewrite), PX_SIZED(open_append), PX_SIZED(open_append_after_truncate),
	PX_CASE(open_directory_flags), PX_CASE(open_read_directory_fd), PX_CASE(open_missing),
	PX_CASE(open_negative_then_created), PX_CASE(open_nofollow), PX_CASE(open_access_modes),
	PX_CASE(open_path), PX_CASE(open_path_unlinked),
	PX_CASE(open_tmpfile), PX_CASE(open_at_directory_fd),
	PX_SIZED(open_many_handles), PX_SIZED(open_mode_orders), PX_CASE(open_while_growing),
	PX_CASE(open_proc_self_fd)
};

const struct px_suite posix_create = PX_SUITE(cases);
