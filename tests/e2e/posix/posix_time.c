/* posix_time.c - which operation moves which time.  Times are set far back first, so that a moved
 * one is seen without waiting. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Is t about now? */
static int time_recent(struct timespec t)
{
	struct timespec now;

	PX_OK(clock_gettime(CLOCK_REALTIME, &now));
	return t.tv_sec >= now.tv_sec - 60 && t.tv_sec <= now.tv_sec + 1;
}

static int time_after(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static void time_set_exact(size_t size)
{
	static const struct timespec t[][2] = {
		{ { 1234567890, 123456789 }, { 987654321, 999999999 } },
		{ { 0, 0 }, { 1, 1 } },
		{ { 4102444800, 5 }, { 4102444800, 999999998 } },
	};
	struct stat st;
	size_t i;
	int fd;

	px_make("a", size, 1);
	for (i = 0; i < PX_COUNT(t); i++) {
		PX_OK(utimensat(AT_FDCWD, "a", t[i], 0));
		st = px_stat("a");
		PX_EQ(st.st_atim.tv_sec, t[i][0].tv_sec);
		PX_EQ(st.st_atim.tv_nsec, t[i][0].tv_nsec);
		PX_EQ(st.st_mtim.tv_sec, t[i][1].tv_sec);
		PX_EQ(st.st_mtim.tv_nsec, t[i][1].tv_nsec);
	}
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(futimens(fd, t[0]));
	PX_EQ(px_fstat(fd).st_mtim.tv_nsec, t[0][1].tv_nsec);
	PX_OK(close(fd));
	PX_EQ(px_stat("a").st_mtim.tv_nsec, t[0][1].tv_nsec);
}

static void time_now_and_omit(void)
{
	const struct timespec old[2] = { { 1000, 1 }, { 2000, 2 } };
	const struct timespec a_now[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
	const struct timespec m_now[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };
	const struct timespec both[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	const struct timespec none[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };

	px_touch("a");
	PX_OK(utimensat(AT_FDCWD, "a", old, 0));
	PX_OK(utimensat(AT_FDCWD, "a", none, 0));
	PX_EQ(px_stat("a").st_mtim.tv_sec, 2000);
	PX_OK(utimensat(AT_FDCWD, "a", a_now, 0));
	PX_TRUE(time_recent(px_stat("a").st_atim));
	PX_EQ(px_stat("a").st_mtim.tv_sec, 2000);
	PX_OK(utimensat(AT_FDCWD, "a", old, 0));
	PX_OK(utimensat(AT_FDCWD, "a", m_now, 0));
	PX_EQ(px_stat("a").st_atim.tv_sec, 1000);
	PX_TRUE(time_recent(px_stat("a").st_mtim));
	PX_OK(utimensat(AT_FDCWD, "a", old, 0));
	PX_OK(utimensat(AT_FDCWD, "a", both, 0));
	PX_TRUE(time_recent(px_stat("a").st_atim));
	PX_TRUE(time_recent(px_stat("a").st_mtim));
	PX_OK(utimensat(AT_FDCWD, "a", old, 0));
	PX_OK(utimensat(AT_FDCWD, "a", NULL, 0));
	PX_TRUE(time_recent(px_stat("a").st_mtim));
}

static void time_of_write(size_t size)
{
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	px_age("a");
	PX_EQ(PX_OK(pwrite(fd, "x", 1, 10)), 1);
	PX_TRUE(time_recent(px_fstat(fd).st_mtim));
	PX_TRUE(time_recent(px_stat("a").st_mtim));
	px_age("a");
	PX_EQ(PX_OK(pwrite(fd, "x", 1, (off_t)size)), 1);
	PX_TRUE(time_recent(px_stat("a").st_mtim));
	PX_OK(close(fd));
	PX_TRUE(time_recent(px_stat("a").st_mtim));
}

static void time_of_truncate(size_t size)
{
	px_make("a", size, 1);
	px_age("a");
	PX_OK(truncate("a", (off_t)size / 2));
	PX_TRUE(time_recent(px_stat("a").st_mtim));
	px_age("a");
	PX_OK(truncate("a", (off_t)size * 2));
	PX_TRUE(time_recent(px_stat("a").st_mtim));
	px_age("a");
	PX_OK(open("a", O_WRONLY | O_TRUNC));
	PX_TRUE(time_recent(px_stat("a").st_mtim));
}

/* Nobody tells a file system above another one of a write through a map, so the time may be shown as
 * late as attributes are kept. */
static void time_of_mapped_write(size_t size)
{
	const struct timespec nap = { 0, 10000000 };
	int fd, tries;
	char *p;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	p = PX_MAP(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	px_age("a");
	p[100] = 'x';
	PX_OK(msync(p, size, MS_SYNC));
	PX_OK(munmap(p, size));
	PX_OK(close(fd));
	for (tries = 0; tries < 300 && !time_recent(px_stat("a").st_mtim); tries++)
		nanosleep(&nap, NULL);
	PX_TRUE(time_recent(px_stat("a").st_mtim));
}

static void time_kept_by_reading(size_t size)
{
	time_t old;

	px_make("a", size, 1);
	old = px_age("a");
	px_verify("a", size, 1);
	PX_EQ(px_stat("a").st_mtim.tv_sec, old);
	PX_OK(open("a", O_RDWR));
	PX_EQ(px_stat("a").st_mtim.tv_sec, old);
}

/* What tells prune how old a blob is: kept by everything a seal does after the write. */
static void time_kept_by_rename_link_chmod(size_t size)
{
	time_t old;

	px_make("a", size, 1);
	old = px_age("a");
	PX_OK(rename("a", "b"));
	PX_EQ(px_stat("b").st_mtim.tv_sec, old);
	PX_OK(chmod("b", 0600));
	PX_OK(link("b", "c"));
	PX_OK(unlink("b"));
	PX_EQ(px_stat("c").st_mtim.tv_sec, old);
	PX_EQ(px_stat("c").st_mtim.tv_nsec, 5);
}

static struct timespec time_ctime_settled(const char *path)
{
	struct timespec t = px_stat(path).st_ctim;

	px_clock_past(t);
	return t;
}

static void time_ctime_moves(void)
{
	struct timespec t;

	px_touch("a");
	t = time_ctime_settled("a");
	PX_OK(chmod("a", 0600));
	PX_TRUE(time_after(px_stat("a").st_ctim, t));
	t = time_ctime_settled("a");
	PX_OK(link("a", "b"));
	PX_TRUE(time_after(px_stat("a").st_ctim, t));
	t = time_ctime_settled("a");
	PX_OK(unlink("b"));
	PX_TRUE(time_after(px_stat("a").st_ctim, t));
	t = time_ctime_settled("a");
	PX_OK(rename("a", "c"));
	PX_TRUE(time_after(px_stat("c").st_ctim, t));
	t = time_ctime_settled("c");
	px_age("c");
	PX_TRUE(time_after(px_stat("c").st_ctim, t));
	t = time_ctime_settled("c");
	PX_OK(truncate("c", 10));
	PX_TRUE(time_after(px_stat("c").st_ctim, t));
}

static void time_ctime_of_write(size_t size)
{
	struct timespec t;
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	t = time_ctime_settled("a");
	PX_EQ(PX_OK(pwrite(fd, "x", 1, 0)), 1);
	PX_TRUE(time_after(px_stat("a").st_ctim, t));
}

static void time_of_directory(void)
{
	PX_OK(mkdir("d", 0755));
	px_age("d");
	px_touch("d/a");
	PX_TRUE(time_recent(px_stat("d").st_mtim));
	px_age("d");
	PX_OK(link("d/a", "d/b"));
	PX_TRUE(time_recent(px_stat("d").st_mtim));
	px_age("d");
	PX_OK(rename("d/b", "d/c"));
	PX_TRUE(time_recent(px_stat("d").st_mtim));
	px_age("d");
	PX_OK(unlink("d/c"));
	PX_TRUE(time_recent(px_stat("d").st_mtim));
	px_age("d");
	PX_OK(mkdir("d/s", 0755));
	PX_TRUE(time_recent(px_stat("d").st_mtim));
	px_age("d");
	PX_OK(rmdir("d/s"));
	PX_TRUE(time_recent(px_stat("d").st_mtim));
	px_age("d");
	PX_OK(symlink("x", "d/l"));
	PX_TRUE(time_recent(px_stat("d").st_mtim));
}

static void time_of_directory_kept(void)
{
	time_t old;

	PX_OK(mkdir("d", 0755));
	px_make("d/a", 100, 1);
	old = px_age("d");
	PX_OK(chmod("d/a", 0600));
	PX_OK(truncate("d/a", 10));
	PX_ERR(mkdir("d/a", 0755), EEXIST);
	PX_EQ(px_stat("d").st_mtim.tv_sec, old);
}

static void time_of_new_file(void)
{
	struct stat st;

	px_touch("a");
	st = px_stat("a");
	PX_TRUE(time_recent(st.st_atim));
	PX_TRUE(time_recent(st.st_mtim));
	PX_TRUE(time_recent(st.st_ctim));
}

static void time_shared_by_links_and_fds(void)
{
	int fd;

	px_make("a", 100, 1);
	PX_OK(link("a", "b"));
	fd = (int)PX_OK(open("b", O_RDONLY));
	PX_TRUE(time_recent(px_fstat(fd).st_mtim));
	px_age("a");
	PX_EQ(px_stat("b").st_mtim.tv_sec, 1000000000);
	PX_EQ(px_fstat(fd).st_mtim.tv_sec, 1000000000);
}

static const struct px_case cases[] = {
	PX_SIZED(time_set_exact), PX_CASE(time_now_and_omit), PX_SIZED(time_of_write),
	PX_SIZED(time_of_truncate), PX_SIZED(time_of_mapped_write), PX_SIZED(time_kept_by_reading),
	PX_SIZED(time_kept_by_rename_link_chmod), PX_CASE(time_ctime_moves),
	PX_SIZED(time_ctime_of_write), PX_CASE(time_of_directory), PX_CASE(time_of_directory_kept),
	PX_CASE(time_of_new_file), PX_CASE(time_shared_by_links_and_fds)
};

const struct px_suite posix_time = PX_SUITE(cases);
