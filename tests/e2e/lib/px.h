/* px.h - table-driven file system cases: a runner and its assertions.
 *
 * A case is a function.  It runs in a child process of its own, as root where the program is run by
 * root, with umask 022 and with an empty directory of its own (mode 0777) as working directory; it
 * passes by returning.  A failed assertion reports and ends that child only, so a case frees and
 * closes nothing that a process's end frees or closes.  The directory is removed afterwards.
 *
 * Output, one line a case: "ok NAME", "FAILED NAME: what, where" or "skip NAME: why"; the last line
 * is "N passed, N failed, N skipped".  The program's status is 0 when nothing failed.
 * Threads: assertions may be used from any thread of a case.
 */
#ifndef TESTS_E2E_LIB_PX_H
#define TESTS_E2E_LIB_PX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Sizes of the two forms of a sized case: a small file, and one of several extents whose end is
 * neither on a page nor on an extent boundary. */
#define PX_SMALL 5000u
#define PX_BLOB (3u * 1048576 + 777)

struct px_case {
	const char *name;
	void (*run)(void);              /* one of run and run_size is set */
	void (*run_size)(size_t size);
	size_t size;                    /* what run_size gets */
};

struct px_suite {
	const struct px_case *cases;
	size_t n;
};

#define PX_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PX_SUITE(a) { (a), PX_COUNT(a) }
#define PX_CASE(f) { #f, f, NULL, 0 }
#define PX_SIZED(f) { #f "_small", NULL, f, PX_SMALL }, { #f "_blob", NULL, f, PX_BLOB }

/* Assertions.  PX_OK wants no error and gives the value; PX_ERR wants -1 with that errno;
 * PX_MAP wants a mapping and gives it. */
#define PX_OK(e) px_ok((long)(e), #e, __FILE__, __LINE__)
#define PX_ERR(e, err) px_err((long)(e), (err), #e, __FILE__, __LINE__)
#define PX_EQ(a, b) px_eq((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)
#define PX_TRUE(c) px_true((c) ? 1 : 0, #c, __FILE__, __LINE__)
#define PX_MAP(e) px_map((e), #e, __FILE__, __LINE__)
/* As PX_OK, but "not supported here" (EOPNOTSUPP, ENOSYS, EPERM where it means that) skips. */
#define PX_TRY(e) px_try((long)(e), #e, __FILE__, __LINE__)

long px_ok(long rc, const char *what, const char *file, int line);
void px_err(long rc, int want, const char *what, const char *file, int line);
void px_eq(long long a, long long b, const char *what, const char *file, int line);
void px_true(int c, const char *what, const char *file, int line);
void *px_map(void *p, const char *what, const char *file, int line);
long px_try(long rc, const char *what, const char *file, int line);
void px_skip(const char *why) __attribute__((noreturn));
void px_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));

/* Runs what the command line asks for (DIR [--list] [--only NAME]); returns the exit status. */
int px_main(int argc, char **argv, const struct px_suite *suites, size_t n);

/* px_data.c: content.  The bytes at [off, off + n) of the endless sequence called seed. */
void px_fill(void *buf, off_t off, size_t n, uint64_t seed);
/* Fails unless buf holds those bytes. */
void px_same(const void *buf, off_t off, size_t n, uint64_t seed, const char *what);
/* Fails unless buf is all zero. */
void px_zero(const void *buf, size_t n, const char *what);
/* Creates path (mode 0644) with size bytes of seed; px_write does it to [off, off + n) of an open file. */
void px_make(const char *path, size_t size, uint64_t seed);
void px_write(int fd, off_t off, size_t n, uint64_t seed);
/* Fails unless path is size bytes of seed, or [off, off + n) of fd is that. */
void px_verify(const char *path, size_t size, uint64_t seed);
void px_verify_fd(int fd, off_t off, size_t n, uint64_t seed);
/* An aligned buffer of n bytes (never freed before the case ends). */
void *px_alloc(size_t n);

/* lstat(2) and fstat(2) that cannot fail. */
struct stat px_stat(const char *path);
struct stat px_fstat(int fd);
/* 1 when the name exists (a dangling symlink does), else 0. */
int px_exists(const char *path);
/* An empty file, mode 0644. */
void px_touch(const char *path);
/* Entries of a directory, "." and ".." left out. */
size_t px_entries(const char *path);

/* Acts as that user from here on, with n supplementary groups, until px_root.  Skips the case
 * where the program is not run by root. */
void px_user(uid_t uid, gid_t gid, size_t n, const gid_t *groups);
void px_root(void);

/* Runs fn(arg) in a process of its own; px_join waits and fails the case if that one failed. */
pid_t px_fork(void (*fn)(void *arg), void *arg);
void px_join(pid_t pid);

/* Sets both times of path to a second of the year 2001; returns that second. */
time_t px_age(const char *path);
/* Returns once the file system's clock has moved past t. */
void px_clock_past(struct timespec t);

#endif
