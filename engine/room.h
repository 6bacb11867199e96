/* room.h - how much memory this process may still take without anything being thrown out for it.
 *
 * That is what the machine has available, and what each control group around the process leaves of its limit: of
 * version 1 (memory.limit_in_bytes) and of version 2 (memory.max, memory.high), from the process's own group up to the
 * root of what is mounted.  Page cache that is charged to a group counts as left: the kernel takes it back.
 * Sources: proc_meminfo(5), Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst of Linux.
 * Threads: any.
 */
#ifndef ENGINE_ROOM_H
#define ENGINE_ROOM_H

#include <stdint.h>

#define ROOM_NONE UINT64_MAX    /* no limit */

struct room {
	uint64_t total;         /* bytes of the machine */
	uint64_t available;     /* of these, before any group's limit */
	uint64_t limit;         /* the tightest group's limit, ROOM_NONE without one */
	uint64_t left;          /* what may be taken: the least of available and what any group leaves */
};

/* root: the directory below which /proc and the mounted groups are looked for, "" for the real ones.
 * 0; -ENOENT when not even /proc/meminfo can be read, then out says ROOM_NONE throughout. */
int room_read(struct room *out, const char *root) __attribute__((warn_unused_result));

#endif
