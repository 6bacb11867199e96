/* fs_cli_trace.h - follow the accesses in .hearth/trace.
 *
 * The file is a window of the last accesses, each line with a number that grows by one, so that a reader who
 * comes back knows what is new and what it missed.
 * Threads: no state; any thread.
 */
#ifndef FS_FS_CLI_TRACE_H
#define FS_FS_CLI_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FS_TRACE_HEADER "seq,tick,object,size,class,tier"

struct fs_trace {
	bool headed;                    /* the header is written */
	bool begun;                     /* a line was seen: next counts */
	uint64_t next;                  /* the number that the next new line has */
	uint64_t written, missed;
	uint64_t restarts;              /* numbers went back: another daemon */
};

/* Write the lines of a window that are new to out, the header before the first.  text: len bytes and a '\0'.
 * 0; -EINVAL and a line when it is no such window, after which out has what was good; -EIO when out fails. */
int fs_trace_take(struct fs_trace *t, const char *text, size_t len, FILE *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

#endif
