/* fs_native.h - opens that the kernel serves by itself (FUSE passthrough).
 *
 * The kernel decides at INIT whether it can, and at the first registration whether we may.  A refusal
 * for good is latched, with the reason, said once, and everything goes on through the page cache.
 * Threads: allowed and why are atomic; all calls may run on any thread.
 */
#ifndef FS_FS_NATIVE_H
#define FS_FS_NATIVE_H

#include <stdatomic.h>
#include <stdbool.h>

struct fs_native {
	atomic_bool allowed;
	_Atomic(const char *) why_not;  /* a constant text; NULL while allowed */
};

struct fuse_req;

/* Latch off, with the reason; the first reason stays.  log: say it now. */
void fs_native_refuse(struct fs_native *n, const char *why, bool log);

/* Register fd as a backing file.  The id (> 0), or 0: answer this open through the page cache. */
int fs_native_register(struct fs_native *n, struct fuse_req *req, int fd);
void fs_native_unregister(struct fuse_req *req, int backing_id);       /* 0 is a no-op */

#endif
