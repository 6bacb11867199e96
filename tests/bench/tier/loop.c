/* loop.c - two files mapped by two processes, each in a control group, and read from beginning to end again and
 * again: a pass of ours, a pass of the other, and so on.  The mappings live from the first pass to the last. */
#include "tests/bench/tier/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that reads. */
struct reader {
	const char *path, *procs, *backing;
	uint64_t seed, pages;
	pid_t pid;
	int order, answer;              /* pipes' ends: the coordinator's */
};

struct answer {
	int rc;
	uint64_t ns, read_bytes;        /* of the pass; bytes that it had fetched from a device */
};

static int join_group(const char *procs)
{
	int fd, rc;

	if (strcmp(procs, "-") == 0)
		return 0;
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return rig_say("open", procs, -errno);
	rc = write(fd, "0", 1) == 1 ? 0 : rig_say("join", procs, -errno);
	close(fd);
	return rc;
}

static uint64_t fetched(void)
{
	unsigned long long n = 0;
	char line[128];
	FILE *f = fopen("/proc/self/io", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "read_bytes: %llu", &n) == 1)
			break;
	}
	if (f != NULL)
		fclose(f);
	return n;
}

/* The child: a pass for each byte that comes, until none comes any more. */
static int read_on_order(const struct reader *r, int order, int answer)
{
	uint64_t pages, want, got;
	void *at;
	char c;
	int rc = join_group(r->procs);

	if (rc == 0)
		rc = rig_map(r->path, &at, &pages);
	if (rc != 0)
		return rc;
	want = rig_sum_expected(r->seed, 0, pages);
	while (read(order, &c, 1) == 1) {
		struct answer a = { .read_bytes = fetched() };
		uint64_t start = rig_now_ns();

		got = rig_sum(at, pages);
		a.ns = rig_now_ns() - start;
		a.read_bytes = fetched() - a.read_bytes;
		a.rc = got == want ? 0 : rig_say("find the right bytes in", r->path, -EIO);
		if (write(answer, &a, sizeof(a)) != (ssize_t)sizeof(a))
			return -EPIPE;
	}
	return 0;
}

static int reader_start(struct reader *r)
{
	int order[2], answer[2];

	if (pipe2(order, O_CLOEXEC) == -1)
		return rig_say("make a pipe for", r->path, -errno);
	if (pipe2(answer, O_CLOEXEC) == -1) {
		close(order[0]);
		close(order[1]);
		return rig_say("make a pipe for", r->path, -errno);
	}
	r->pid = fork();
	if (r->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(order[1]);
		close(answer[0]);
		_exit(read_on_order(r, order[0], answer[1]) == 0 ? 0 : 1);
	}
	close(order[0]);
	close(answer[1]);
	r->order = order[1];
	r->answer = answer[0];
	return r->pid == -1 ? rig_say("fork for", r->path, -errno) : 0;
}

/* All orders end before any reader is waited for: the second has inherited the first's pipe. */
static void readers_stop(struct reader *r, int n)
{
	for (int i = 0; i < n; i++) {
		if (r[i].pid == 0)
			continue;
		close(r[i].order);
		close(r[i].answer);
	}
	for (int i = 0; i < n; i++) {
		if (r[i].pid > 0)
			waitpid(r[i].pid, NULL, 0);
	}
}

/* Prints PASS, side, seconds, MiB in memory before, MiB fetched by the reader. */
static int one_pass(struct reader *r, const char *side, uint64_t pass)
{
	struct answer a = { 0 };
	uint64_t resident = 0;
	int rc = rig_resident(r->backing, 0, r->pages, &resident);

	if (rc != 0)
		return rc;
	if (write(r->order, "p", 1) != 1 || read(r->answer, &a, sizeof(a)) != (ssize_t)sizeof(a))
		return rig_say("have read (its reader has ended)", r->path, -EPIPE);
	if (a.rc != 0)
		return a.rc;
	printf("%llu %s %.6f %llu %llu\n", (unsigned long long)pass, side, (double)a.ns / 1e9,
	       (unsigned long long)(resident / RIG_MIB_PAGES), (unsigned long long)(a.read_bytes / RIG_MIB));
	fflush(stdout);
	return 0;
}

int rig_loop(int argc, char **argv)
{
	struct reader r[2] = { { .path = argv[0], .procs = argv[3], .backing = argv[5] },
			       { .path = argv[1], .procs = argv[4], .backing = argv[6] } };
	uint64_t passes = strtoull(argv[7], NULL, 10);
	int rc = 0;

	(void)argc;
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; rc == 0 && i < 2; i++) {
		int fd = rig_open(r[i].backing, &r[i].pages);

		if (fd >= 0)
			close(fd);
		r[i].seed = strtoull(argv[2], NULL, 10);
		rc = fd < 0 ? fd : reader_start(&r[i]);
	}
	for (uint64_t p = 1; rc == 0 && p <= passes; p++) {
		int first = (int)(p & 1);

		for (int i = 0; rc == 0 && i < 2; i++) {
			int side = i == 0 ? first : 1 - first;

			rc = one_pass(&r[side], side == 0 ? "ours" : "other", p);
		}
	}
	readers_stop(r, 2);
	return rc;
}
