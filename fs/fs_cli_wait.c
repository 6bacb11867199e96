#include "fs/fs_cli_wait.h"
#include "fs/fs_cli_progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void fs_wait_sum(const struct fs_wait *w, size_t n, uint64_t *done, uint64_t *total, size_t *on)
{
	*done = 0;
	*total = 0;
	*on = 0;
	for (size_t i = 0; i < n; i++) {
		*done += w[i].state == FS_WAIT_ON ? w[i].done : w[i].total;
		*total += w[i].total;
		*on += w[i].state == FS_WAIT_ON;
	}
}

static void fs_wait_draw(const char *what, const struct fs_progress *p)
{
	struct winsize ws = { .ws_col = 0 };
	char line[256];
	int width = 79;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 1)
		width = ws.ws_col - 1;
	fs_progress_line(p, what, width, line, sizeof(line));
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
}

size_t fs_cli_wait(const char *what, struct fs_wait *w, size_t n, void (*ask)(struct fs_wait *w))
{
	/* every file is one question to the daemon: many of them are asked less often */
	struct timespec pause = { .tv_sec = n > 64, .tv_nsec = n > 64 ? 0 : 200000000 };
	bool bar = isatty(STDERR_FILENO) == 1;
	struct fs_progress p = { .rate = 0 };
	uint64_t done, total;
	struct timespec now;
	size_t on, failed = 0;

	for (;;) {
		for (size_t i = 0; i < n; i++)
			if (w[i].state == FS_WAIT_ON)
				ask(&w[i]);
		fs_wait_sum(w, n, &done, &total, &on);
		clock_gettime(CLOCK_MONOTONIC, &now);
		fs_progress_sample(&p, (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec, done, total);
		if (on == 0)
			break;
		if (bar)
			fs_wait_draw(what, &p);
		nanosleep(&pause, NULL);
	}
	if (bar)
		fprintf(stderr, "\r\033[K");
	for (size_t i = 0; i < n; i++)
		failed += w[i].state == FS_WAIT_FAILED;
	return failed;
}
