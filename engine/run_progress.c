/* run_progress.c - see run_progress.h. */
#include "engine/run_progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/run.h"
#include "engine/session.h"

#define FIRST_S 0.5             /* shorter prompts have no line */
#define EACH_S 0.1
#define CELLS 24

void run_progress_begin(struct run *r, size_t n)
{
	struct run_progress *p = &r->progress;

	memset(p, 0, sizeof(*p));
	p->on = n > 0 && isatty(STDERR_FILENO) == 1;
	p->from = clock_now();
	p->next = p->from + FIRST_S;
	p->n = n;
	p->read = session_bytes_read(r->session);
}

void run_progress_end(struct run *r)
{
	if (r->progress.drawn)
		fputs("\r\033[K", stderr);
	memset(&r->progress, 0, sizeof(r->progress));
}

static void put_time(char *out, size_t len, double s)
{
	unsigned long t = s < 359999.0 ? (unsigned long)(s + 0.5) : 359999;

	if (t < 3600)
		snprintf(out, len, "%lu:%02lu", t / 60, t % 60);
	else
		snprintf(out, len, "%lu:%02lu:%02lu", t / 3600, t / 60 % 60, t % 60);
}

void run_progress_line(char *line, size_t len, int width, double share, size_t n, double seconds, uint64_t read)
{
	char bar[CELLS + 4] = "", left[48], disk[40] = "";
	int i;

	if (width >= 79) {
		bar[0] = '[';
		for (i = 0; i < CELLS; i++)
			bar[i + 1] = share * CELLS >= i + 1 ? '#' : '.';
		strcpy(bar + CELLS + 1, "] ");
	}
	put_time(left, sizeof(left), share > 0.0 ? seconds * (1.0 - share) / share : 359999.0);
	if (read > 0)
		snprintf(disk, sizeof(disk), ", %.1f GB read", (double)read / 1e9);
	snprintf(line, len, "%sprompt %3.0f %% of %zu tokens%s, %s left", bar, 100.0 * share, n, disk, left);
	if (width > 0 && strlen(line) >= (size_t)width)
		line[width - 1] = '\0';
}

void run_progress_draw(struct run *r)
{
	struct run_progress *p = &r->progress;
	struct winsize size = { 0 };
	char line[128];
	double t;

	if (!p->on || (t = clock_now()) < p->next)
		return;
	p->next = t + EACH_S;
	p->drawn = true;
	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	run_progress_line(line, sizeof(line), size.ws_col > 0 ? size.ws_col : 80, session_share_done(r->session), p->n, t - p->from,
			  session_bytes_read(r->session) - p->read);
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
}
