/* fs_mount.h - make a mount and serve it until it is unmounted.
 *
 * Order of start-up: check the places, leave the foreground, open home (before the mount hides it when
 * the mountpoint is home itself), mount, serve.
 */
#ifndef FS_FS_MOUNT_H
#define FS_FS_MOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/fs_options.h"

struct io;

struct fs_mount_options {
	const char *home, *mountpoint;
	const char *native;             /* "auto" (NULL), "home" (not from caches) or "off" */
	const char *ram;                /* "24G", "50%"; NULL: half of memory */
	struct fs_option_list cache;    /* each "NAME=DIR,size=SIZE", fastest first */
	const char *kernel;             /* further options for the kernel, comma separated, or NULL */
	bool foreground;
	bool debug;                     /* every request to standard error; implies foreground */
};

/* Where home and the mountpoint are, absolute. */
struct fs_places {
	char home[4096], mountpoint[4096];
};

/* Can this home be mounted there?  A dead hearth mount on the mountpoint is detached first.
 * 0, or negative errno and one line: what is wrong and what to do. */
int fs_mount_check(const struct fs_mount_options *o, struct fs_places *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* Mount and serve; returns the exit status of the program (0 after an unmount, 1 with a line said).
 * In the background it returns in the parent when the mount is ready, and never in the daemon. */
int fs_mount_serve(const struct fs_mount_options *o, const struct io *io) __attribute__((warn_unused_result));

#endif
