/* fs_tick.h - the thread that does what no request asks for.
 *
 * Once: raise the mount's read-ahead, tell the parent that the mount is ready.  Every second: start
 * writeback of files open for writing, so that making a blob durable at its sealing rename takes
 * seconds and not minutes (design rule R8; natively written bytes never pass through the daemon).
 */
#ifndef FS_FS_TICK_H
#define FS_FS_TICK_H

struct fs;
struct fs_tick;

/* ready: descriptor to say one byte on when the mount is ready, after which standard input, output and
 * error are given up and lines go to syslog; -1: stay as it is.  Takes ready. */
int fs_tick_start(struct fs_tick **out, struct fs *fs, int ready) __attribute__((warn_unused_result));
void fs_tick_stop(struct fs_tick *t);   /* waits for the thread; takes t */

#endif
