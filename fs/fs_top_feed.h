/* fs_top_feed.h - samples of a mount once a second, made by a thread of its own.
 *
 * A mount that hangs (a dead disk, a stopped daemon) holds up only that thread: whoever shows the samples goes
 * on answering keys and signals.
 * Threads: one user at a time.
 */
#ifndef FS_FS_TOP_FEED_H
#define FS_FS_TOP_FEED_H

struct fs_top_feed;
struct fs_top_sample;

/* dir is copied.  The thread takes no signals.  0 and an owned feed; -ENOMEM, -EMFILE, -EAGAIN (no thread). */
int fs_top_feed_start(struct fs_top_feed **out, const char *dir) __attribute__((warn_unused_result));
/* Never waits for the mount: a thread that is held up is left behind, and frees what is the feed's when it goes on.
 * NULL is a no-op. */
void fs_top_feed_stop(struct fs_top_feed *f);

/* Readable when there is a new sample. */
int fs_top_feed_fd(const struct fs_top_feed *f);
/* The newest sample since the last call, owned by the caller; NULL: none. */
struct fs_top_sample *fs_top_feed_take(struct fs_top_feed *f);

#endif
