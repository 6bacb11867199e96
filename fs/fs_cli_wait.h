/* fs_cli_wait.h - wait for works that the daemon does on several files, with a bar when there is somebody to see it.
 *
 * Threads: one at a time, because standard error is one.
 */
#ifndef FS_FS_CLI_WAIT_H
#define FS_FS_CLI_WAIT_H

#include <stddef.h>
#include <stdint.h>

enum fs_wait_state { FS_WAIT_ON, FS_WAIT_DONE, FS_WAIT_FAILED };

struct fs_wait {
	const char *path, *label;       /* borrowed */
	uint64_t done, total;           /* bytes */
	enum fs_wait_state state;
	char text[600];                 /* when it is no longer on: what came out */
};

/* Call ask for each of the n works that is on, several times a second, until none is.  ask sets done, total and,
 * at the end, state and text.  what: one word before the bar, which is on standard error and only if that is a
 * terminal; it is wiped at the end.  Returns how many failed. */
size_t fs_cli_wait(const char *what, struct fs_wait *w, size_t n, void (*ask)(struct fs_wait *w));

/* Sums over all: what is over counts as whole. */
void fs_wait_sum(const struct fs_wait *w, size_t n, uint64_t *done, uint64_t *total, size_t *on);

#endif
