/* px.c - the runner and the assertions; see px.h. */
#include "tests/e2e/lib/px.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PX_STATUS_FAIL = 1,
	PX_STATUS_SKIP = 77,
	PX_MESSAGE_FD = 900,            /* where a case's child writes why it failed or skipped */
	PX_TIMEOUT_S = 120
};

struct px_totals {
	unsigned passed, failed, skipped;
};

/* ---- assertions ---- */

static const char *px_base(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash != NULL ? slash + 1 : file;
}

void px_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdprintf(PX_MESSAGE_FD, fmt, ap);
	va_end(ap);
	dprintf(PX_MESSAGE_FD, ", %s:%d", px_base(file), line);
	_exit(PX_STATUS_FAIL);
}

void px_skip(const char *why)
{
	dprintf(PX_MESSAGE_FD, "%s", why);
	_exit(PX_STATUS_SKIP);
}

long px_ok(long rc, const char *what, const char *file, int line)
{
	if (rc < 0)
		px_fail(file, line, "%s: got %s", what, strerrorname_np(errno));
	return rc;
}

void px_err(long rc, int want, const char *what, const char *file, int line)
{
	if (rc >= 0)
		px_fail(file, line, "%s: succeeded, want %s", what, strerrorname_np(want));
	if (errno != want)
		px_fail(file, line, "%s: got %s, want %s", what, strerrorname_np(errno),
			strerrorname_np(want));
}

void px_eq(long long a, long long b, const char *what, const char *file, int line)
{
	if (a != b)
		px_fail(file, line, "%s: %lld and %lld", what, a, b);
}

void px_true(int c, const char *what, const char *file, int line)
{
	if (!c)
		px_fail(file, line, "not true: %s", what);
}

void *px_map(void *p, const char *what, const char *file, int line)
{
	if (p == MAP_FAILED)
		px_fail(file, line, "%s: got %s", what, strerrorname_np(errno));
	return p;
}

long px_try(long rc, const char *what, const char *file, int line)
{
	if (rc < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
		dprintf(PX_MESSAGE_FD, "%s is %s here", what, strerrorname_np(errno));
		_exit(PX_STATUS_SKIP);
	}
	return px_ok(rc, what, file, line);
}

/* ---- users and processes ---- */

void px_root(void)
{
	if (setresuid(0, 0, 0) != 0 || setresgid(0, 0, 0) != 0 || setgroups(0, NULL) != 0)
		px_fail(__FILE__, __LINE__, "cannot become root again: %s", strerrorname_np(errno));
}

void px_user(uid_t uid, gid_t gid, size_t n, const gid_t *groups)
{
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved) != 0 || saved != 0)
		px_skip("needs root");
	px_root();
	/* The saved ids stay 0, so that px_root can go back; every check uses the other two. */
	if (setgroups(n, groups) != 0 || setresgid(gid, gid, 0) != 0 || setresuid(uid, uid, 0) != 0)
		px_fail(__FILE__, __LINE__, "cannot become %u:%u: %s", uid, gid, strerrorname_np(errno));
}

pid_t px_fork(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(PX_TIMEOUT_S);
		fn(arg);
		_exit(0);
	}
	return (pid_t)PX_OK(pid);
}

void px_join(pid_t pid)
{
	int status;

	PX_OK(waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));     /* it has said why */
	px_fail(__FILE__, __LINE__, "a child was ended by signal %d", WTERMSIG(status));
}

/* ---- the runner ---- */

static int px_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DP || type == FTW_D || type == FTW_DNR)
		return rmdir(path);
	return unlink(path);
}

static void px_remove_tree(const char *path)
{
	if (nftw(path, px_remove_one, 64, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "cannot remove '%s': %s\n", path, strerror(errno));
}

static void px_child(const struct px_case *c, const char *dir, int message_fd)
{
	if (dup2(message_fd, PX_MESSAGE_FD) < 0 || fcntl(PX_MESSAGE_FD, F_SETFD, FD_CLOEXEC) != 0)
		_exit(PX_STATUS_FAIL);
	alarm(PX_TIMEOUT_S);
	umask(022);
	if (mkdir(dir, 0777) != 0 || chmod(dir, 0777) != 0 || chdir(dir) != 0)
		px_fail(__FILE__, __LINE__, "cannot enter %s: %s", dir, strerrorname_np(errno));
	if (c->run != NULL)
		c->run();
	else
		c->run_size(c->size);
	_exit(0);
}

/* Reads what the child says until it and its children have closed the pipe's other end or, where a
 * stray child holds it open, until the child itself has ended. */
static void px_message(int fd, char *msg, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size - 1 && (n = read(fd, msg + have, size - 1 - have)) > 0)
		have += (size_t)n;
	msg[have] = 0;
}

static void px_report(const struct px_case *c, int status, const char *msg, struct px_totals *t)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		printf("ok %s\n", c->name);
		t->passed++;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == PX_STATUS_SKIP) {
		printf("skip %s: %s\n", c->name, msg);
		t->skipped++;
	} else if (WIFSIGNALED(status)) {
		printf("FAILED %s: ended by signal %d%s %s\n", c->name, WTERMSIG(status),
		       WTERMSIG(status) == SIGALRM ? " (took too long)" : "", msg);
		t->failed++;
	} else {
		printf("FAILED %s: %s\n", c->name, msg);
		t->failed++;
	}
}

static int px_run(const struct px_case *c, const char *root, struct px_totals *t)
{
	char dir[PATH_MAX + 256], msg[1024];
	int pipe_fd[2], status;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/%.200s", root, c->name);
	fflush(stdout);
	if (pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) != 0 || (pid = fork()) < 0)
		return -errno;
	if (pid == 0)
		px_child(c, dir, pipe_fd[1]);
	close(pipe_fd[1]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	px_message(pipe_fd[0], msg, sizeof(msg));
	close(pipe_fd[0]);
	px_remove_tree(dir);
	px_report(c, status, msg, t);
	return 0;
}

static int px_usage(const char *prog)
{
	fprintf(stderr, "usage: %s DIR [--list] [--only NAME]\n", prog);
	return 2;
}

static int px_run_all(const char *root, const char *only, const struct px_suite *suites, size_t n)
{
	struct px_totals t = { 0, 0, 0 };
	size_t s, i;
	int rc = 0;

	for (s = 0; s < n && rc == 0; s++)
		for (i = 0; i < suites[s].n && rc == 0; i++)
			if (only == NULL || strcmp(only, suites[s].cases[i].name) == 0)
				rc = px_run(&suites[s].cases[i], root, &t);
	if (rc != 0)
		fprintf(stderr, "cannot run a case: %s\n", strerror(-rc));
	printf("%u passed, %u failed, %u skipped\n", t.passed, t.failed, t.skipped);
	if (t.passed + t.failed + t.skipped == 0)
		fprintf(stderr, "no case has that name\n");
	return rc != 0 || t.failed != 0 || t.passed + t.skipped == 0;
}

int px_main(int argc, char **argv, const struct px_suite *suites, size_t n)
{
	const char *dir = NULL, *only = NULL;
	char root[PATH_MAX], real[PATH_MAX];
	bool list = false;
	int i, rc;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			list = true;
		else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			only = argv[++i];
		else if (argv[i][0] != '-' && dir == NULL)
			dir = argv[i];
		else
			return px_usage(argv[0]);
	}
	if (list) {
		for (size_t s = 0; s < n; s++)
			for (size_t k = 0; k < suites[s].n; k++)
				puts(suites[s].cases[k].name);
		return 0;
	}
	if (dir == NULL || realpath(dir, real) == NULL)
		return px_usage(argv[0]);
	snprintf(root, sizeof(root), "%.4000s/px-%d", real, (int)getpid());
	if (mkdir(root, 0755) != 0) {
		fprintf(stderr, "cannot create '%s': %s\n", root, strerror(errno));
		return 1;
	}
	rc = px_run_all(root, only, suites, n);
	px_remove_tree(root);
	return rc;
}
