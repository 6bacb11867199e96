/* fs_notify.h - what the kernel is told without having asked, on a thread of its own (design rule R6).
 *
 * An invalidation waits for kernel locks that a request may hold which waits for us, so it comes neither from a
 * request's thread nor with a lock held.
 * Threads: start and stop are exclusive; drop_pages may be called by any thread, also with locks held: it waits
 * for nothing.
 */
#ifndef FS_FS_NOTIFY_H
#define FS_FS_NOTIFY_H

#include <stdint.h>

struct fs;
struct fs_notify;

/* 0 and an owned queue in *out; -ENOMEM.  What is put in waits until start: 0, -EAGAIN. */
int fs_notify_new(struct fs_notify **out, struct fs *fs) __attribute__((warn_unused_result));
int fs_notify_start(struct fs_notify *n) __attribute__((warn_unused_result));
void fs_notify_stop(struct fs_notify *n);       /* before the session ends; calls to it stay harmless */
void fs_notify_free(struct fs_notify *n);       /* when tiering ended; NULL is a no-op */

/* FUSE's pages of the file will not be read again: a native open reads others.  Forgotten when too much waits. */
void fs_notify_drop_pages(struct fs_notify *n, uint64_t st_ino);

#endif
