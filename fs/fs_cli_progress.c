#include "fs/fs_cli_progress.h"
#include "fs/fs_cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FS_PROGRESS_FORGET_S 5.0
#define FS_PROGRESS_BAR_MIN 10          /* a shorter bar says nothing */
#define FS_PROGRESS_BAR_MAX 40

void fs_progress_sample(struct fs_progress *p, uint64_t now_ns, uint64_t done, uint64_t total)
{
	if (p->last_ns != 0 && now_ns > p->last_ns) {
		double s = (double)(now_ns - p->last_ns) / 1e9;
		double now = done > p->done ? (double)(done - p->done) / s : 0;

		p->rate = p->rate == 0 ? now : p->rate + (now - p->rate) * (1 - exp(-s / FS_PROGRESS_FORGET_S));
	}
	p->last_ns = now_ns;
	p->done = done < total ? done : total;
	p->total = total;
}

int fs_progress_percent(uint64_t done, uint64_t total)
{
	int percent = done >= total ? 100 : (int)((double)done / (double)total * 100);

	return percent == 100 && done < total ? 99 : percent;
}

void fs_progress_bar(char *buf, int cells, uint64_t done, uint64_t total)
{
	int full = done >= total ? cells : (int)((double)done / (double)total * cells);

	if (full >= cells && done < total)
		full = cells - 1;
	for (int i = 0; i < cells; i++)
		buf[i] = i < full ? '#' : '-';
	buf[cells] = '\0';
}

const char *fs_progress_eta(uint64_t left, double rate, char buf[16])
{
	double s = rate > 0 ? ceil((double)left / rate) : -1;
	unsigned n = s >= 0 && s < 4 * 86400 ? (unsigned)s : 0;

	if (left == 0)
		snprintf(buf, 16, "0:00");
	else if (s < 0)
		snprintf(buf, 16, "--:--");
	else if (s >= 4 * 86400)
		snprintf(buf, 16, "over 4 d");
	else if (n >= 3600)
		snprintf(buf, 16, "%u:%02u:%02u", n / 3600, n / 60 % 60, n % 60);
	else
		snprintf(buf, 16, "%u:%02u", n / 60, n % 60);
	return buf;
}

int fs_progress_line(const struct fs_progress *p, const char *label, int width, char *buf, size_t cap)
{
	char part[4][48], a[16], b[16], bar[FS_PROGRESS_BAR_MAX + 1];
	int parts = 4, rest, n;

	if (width >= (int)cap)
		width = (int)cap - 1;
	snprintf(part[0], sizeof(part[0]), "%3d%%", fs_progress_percent(p->done, p->total));
	snprintf(part[1], sizeof(part[1]), "  %s of %s", fs_cli_bytes(p->done, a), fs_cli_bytes(p->total, b));
	snprintf(part[2], sizeof(part[2]), "  %s/s", fs_cli_bytes((uint64_t)p->rate, a));
	snprintf(part[3], sizeof(part[3]), "  ETA %s", fs_progress_eta(p->total - p->done, p->rate, a));
	for (;; parts--) {
		rest = width - (int)strlen(label) - 1;
		for (int i = 0; i < parts; i++)
			rest -= (int)strlen(part[i]);
		if (rest >= FS_PROGRESS_BAR_MIN + 3 || parts == 1)
			break;
	}
	buf[0] = '\0';
	n = 0;
	if (rest >= 0)
		n = snprintf(buf, cap, "%s ", label);
	if (rest >= FS_PROGRESS_BAR_MIN + 3) {
		fs_progress_bar(bar, rest - 3 < FS_PROGRESS_BAR_MAX ? rest - 3 : FS_PROGRESS_BAR_MAX, p->done, p->total);
		n += snprintf(buf + n, cap - (size_t)n, "[%s] ", bar);
	}
	for (int i = 0; i < parts && n + (int)strlen(part[i]) <= width; i++)
		n += snprintf(buf + n, cap - (size_t)n, "%s", part[i]);
	return n;
}
