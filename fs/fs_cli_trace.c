/* fs_cli_trace.c - hearth trace: accesses as CSV that a simulator can replay. */
#include "fs/fs_cli_trace.h"
#include "fs/fs_cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fs_trace_args {
	const char *seconds, *output;
};

static const struct fs_option fs_trace_table[] = {
	{ "seconds", 's', FS_OPTION_TEXT, offsetof(struct fs_trace_args, seconds), "N",
	  "end after so many; 0: what the mount remembers" },
	{ "output", 'o', FS_OPTION_TEXT, offsetof(struct fs_trace_args, output), "FILE", "write to FILE, not to standard output" },
};

/* The number at the start of a line, which a comma ends. */
static bool fs_trace_seq(const char *line, uint64_t *seq)
{
	char *end;

	if (*line < '0' || *line > '9')
		return false;
	errno = 0;
	*seq = strtoull(line, &end, 10);
	return errno == 0 && *end == ',';
}

/* The number of the last whole line. */
static bool fs_trace_last(const char *text, size_t len, uint64_t *seq)
{
	size_t at = len;

	if (at == 0 || text[at - 1] != '\n')
		return false;
	for (at--; at > 0 && text[at - 1] != '\n'; at--)
		;
	return fs_trace_seq(text + at, seq);
}

int fs_trace_take(struct fs_trace *t, const char *text, size_t len, FILE *out, char *err, size_t errlen)
{
	size_t head = strlen(FS_TRACE_HEADER);
	uint64_t last, seq;

	if (len <= head || strncmp(text, FS_TRACE_HEADER "\n", head + 1) != 0) {
		snprintf(err, errlen, "its first line is not '%s'", FS_TRACE_HEADER);
		return -EINVAL;
	}
	if (!t->headed)
		fprintf(out, "%s\n", FS_TRACE_HEADER);
	t->headed = true;
	if (t->begun && fs_trace_last(text, len, &last) && last + 1 < t->next) {
		t->restarts++;
		t->begun = false;
	}
	for (const char *line = text + head + 1, *end; (end = memchr(line, '\n', len - (size_t)(line - text))) != NULL;
	     line = end + 1) {
		if (!fs_trace_seq(line, &seq)) {
			snprintf(err, errlen, "a line without a number");
			return -EINVAL;
		}
		if (t->begun && seq < t->next)
			continue;
		if (t->begun)
			t->missed += seq - t->next;
		fwrite(line, 1, (size_t)(end - line) + 1, out);
		t->written++;
		t->begun = true;
		t->next = seq + 1;
	}
	return ferror(out) ? -EIO : 0;
}

/* Follow until the time is over or a signal asks to end.  seconds < 0: for ever. */
static int fs_trace_follow(struct fs_trace *t, const char *dir, long seconds, FILE *out)
{
	struct timespec start, now, step = { .tv_sec = 0 };
	char err[256], *text;
	sigset_t ends;
	size_t len;
	int rc;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		long left = 1;

		rc = fs_cli_hearth_file(dir, "trace", &text, &len);
		if (rc != 0) {
			fprintf(stderr, "hearth: cannot read '%s/.hearth/trace': %s\n", dir, fs_cli_reason(rc));
			return rc;
		}
		rc = fs_trace_take(t, text, len, out, err, sizeof(err));
		free(text);
		if (rc == 0 && fflush(out) != 0)
			rc = -errno;
		if (rc != 0) {
			fprintf(stderr, "hearth: %s '%s/.hearth/trace': %s\n", rc == -EINVAL ? "cannot follow" : "cannot write",
				dir, rc == -EINVAL ? err : strerror(-rc));
			return rc;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (seconds >= 0)
			left = seconds - (now.tv_sec - start.tv_sec);
		if (left <= 0)
			return 0;
		step.tv_sec = 1;
		if (sigtimedwait(&ends, NULL, &step) > 0)
			return 0;
	}
}

static int fs_trace_run(const struct fs_trace_args *a, const char *dir, long seconds)
{
	struct fs_trace t = { .begun = false };
	FILE *out = stdout;
	int rc;

	if (a->output != NULL)
		out = fopen(a->output, "we");
	if (out == NULL) {
		fprintf(stderr, "hearth: cannot open '%s': %s\n", a->output, strerror(errno));
		return FS_EXIT_FAILED;
	}
	rc = fs_trace_follow(&t, dir, seconds, out);
	if (a->output != NULL && fclose(out) != 0 && rc == 0) {
		fprintf(stderr, "hearth: cannot write '%s': %s\n", a->output, strerror(errno));
		rc = -EIO;
	}
	fprintf(stderr, "hearth: %llu accesses, %llu missed%s\n", (unsigned long long)t.written,
		(unsigned long long)t.missed, t.restarts > 0 ? "; the mount was made anew meanwhile" : "");
	return rc == 0 ? FS_EXIT_OK : FS_EXIT_FAILED;
}

static int fs_cmd_trace_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_trace_args a = { .seconds = NULL };
	char err[256], dir[PATH_MAX], *end;
	long seconds = -1;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc > 1)
		return fs_cli_usage(c, "one mount at a time");
	if (a.seconds != NULL) {
		seconds = strtol(a.seconds, &end, 10);
		if (a.seconds[0] < '0' || a.seconds[0] > '9' || *end != '\0' || seconds > 1000000000)
			return fs_cli_usage(c, "--seconds is a whole number");
	}
	if (fs_cli_mountpoint(argc == 1 ? argv[0] : NULL, dir) != 0)
		return FS_EXIT_FAILED;
	return fs_trace_run(&a, dir, seconds);
}

const struct fs_command fs_cmd_trace = {
	"trace", "trace [OPTION...] [MOUNTPOINT]", "accesses as CSV, for simulators",
	fs_trace_table, sizeof(fs_trace_table) / sizeof(fs_trace_table[0]), fs_cmd_trace_run,
};
