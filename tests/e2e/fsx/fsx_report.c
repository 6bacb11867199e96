/* fsx_report.c - the log of operations and the report of a mismatch; see fsx.h. */
#include "tests/e2e/fsx/fsx.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fsx_say(struct fsx *f, const char *fmt, ...)
{
	char *line = f->log[f->logged++ % FSX_LOG];
	va_list ap;
	int n;

	n = snprintf(line, FSX_LINE, "%" PRIu64 " ", f->count.ops);
	va_start(ap, fmt);
	vsnprintf(line + n, (size_t)(FSX_LINE - n), fmt, ap);
	va_end(ap);
}

void fsx_die(struct fsx *f, const char *fmt, ...)
{
	const uint64_t first = f->logged > FSX_LOG ? f->logged - FSX_LOG : 0;
	uint64_t i;
	va_list ap;

	printf("fsx: the last operations:\n");
	for (i = first; i < f->logged; i++)
		printf("  %s\n", f->log[i % FSX_LOG]);
	printf("fsx: MISMATCH in operation %" PRIu64 ": ", f->count.ops);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\nfsx: again with: fsx DIR -s %" PRIu64 " -n %" PRIu64 " -l %lld%s; files stay in %s\n", f->seed,
	       f->limit, (long long)f->maxlen, f->many ? " -m" : "", f->dir);
	fflush(stdout);
	exit(1);
}

void fsx_compare(struct fsx *f, int file, off_t off, const uint8_t *got, size_t n, const char *how)
{
	const uint8_t *want = f->files[file].data + off;
	size_t i, first, last, bad = 0;

	if (memcmp(want, got, n) == 0)
		return;
	for (first = 0; want[first] == got[first]; first++)
		;
	for (last = i = first; i < n; i++) {
		if (want[i] == got[i])
			continue;
		bad++;
		last = i;
	}
	fsx_die(f, "file %d %s [%lld, %lld): %zu bytes differ, from %lld to %lld; the first is %02x, want %02x",
		file, how, (long long)off, (long long)off + (long long)n, bad, (long long)off + (long long)first,
		(long long)off + (long long)last, got[first], want[first]);
}
