/* odd_fs.h - a FUSE mount of one file whose reads, writes and syncs go wrong in ways that real media rarely show:
 * too short in the middle, refused for a moment, an error half way, a sync that takes as long as one likes.
 *
 * The file is DIR/f, ODD_LEN bytes, of which the byte at off is odd_byte(off); what is written is compared with
 * that and not kept.  It is to be opened without O_DIRECT: no cache is between it and its users.
 *
 * Threads: the mount has one of its own; the calls here are the test's.  The atomics may be set at any time.
 */
#ifndef TESTS_FAULT_ODD_FS_H
#define TESTS_FAULT_ODD_FS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ODD_LEN (1u << 20)
#define ODD_HELD 32

struct fuse_req;
struct fuse_session;

struct odd_fs {
	struct fuse_session *session;
	const char *dir;                /* borrowed while it is mounted */
	bool async;
	pthread_t thread;
	atomic_uint most;               /* bytes that one read or write moves; 0: all */
	atomic_uint bad_from;           /* from here on reads and writes say EIO */
	atomic_int refusals;            /* so many calls say error */
	atomic_int error;               /* a positive errno */
	atomic_uint asked;              /* reads, writes and syncs that came */
	atomic_uint wrong;              /* bytes written that were not odd_byte() */
	pthread_mutex_t lock;
	bool hold;                      /* keep syncs waiting; protected by lock */
	struct fuse_req *held[ODD_HELD];        /* protected by lock */
	unsigned count;                 /* of held; protected by lock */
};

unsigned char odd_byte(uint64_t off);
/* False, and a line on standard output, where nothing can be mounted.  async: the kernel may answer io_uring's
 * requests later (FUSE_CAP_ASYNC_DIO); it then makes a short write EIO and repeats EAGAIN by itself for ever.  Without
 * it a read by io_uring that meets the end of the file reports its whole length (Linux 6.18). */
bool odd_fs_mount(struct odd_fs *fs, const char *dir, bool async);
void odd_fs_unmount(struct odd_fs *fs);         /* lets the syncs go first */
void odd_fs_hold_syncs(struct odd_fs *fs);
void odd_fs_let_go(struct odd_fs *fs);

#endif
