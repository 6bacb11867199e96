/* fs.h - the mount: what its files share.
 *
 * One struct fs is one mount.  It is made before the session starts and constant from then on, but for
 * the members that say otherwise; the tables behind it lock for themselves.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include "fs/fs_handle.h"
#include "fs/fs_inode.h"
#include "fs/fs_native.h"
#include "tiering/tier.h"

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FS_ATTR_TIMEOUT_S 1.0           /* home may be changed behind the mount */
#define FS_BLKSIZE 4096                 /* loaders take it as their O_DIRECT alignment */
#define FS_REQUEST_BYTES (1u << 20)     /* largest read and write request */
#define FS_READ_AHEAD_KIB 4096

enum fs_counter {
	FS_OPENS_NATIVE, FS_OPENS_CACHED, FS_OPENS_GATHERED, FS_MODE_FLIPS, FS_READS, FS_READ_BYTES, FS_WRITES, FS_WRITE_BYTES, FS_LOOKUPS,
	FS_SEALS, FS_SYNC_ERRORS, FS_IO_ERRORS, FS_COUNTER_COUNT
};

struct fs {
	struct tier *tier;
	const struct home *home;        /* of tier */
	const struct io *io;            /* of tier */
	struct fs_inodes *inodes;
	struct fs_handles *handles;
	struct fs_native native;
	struct fuse_session *se;
	struct fs_notify *notify;
	char mountpoint[4096];          /* absolute; never opened or looked at (design rule R6) */
	time_t started;                 /* wall clock, shown only */
	bool is_root;
	atomic_uint read_ahead_kib;     /* of the mount's bdi, once it is known; 0: could not be set */
	_Atomic uint64_t counters[FS_COUNTER_COUNT];
};

static inline struct fs *fs_from(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline void fs_count(struct fs *fs, enum fs_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&fs->counters[c], n, memory_order_relaxed);
}

/* The errno to reply for rc (0 or negative errno).  EIO is counted. */
int fs_err(struct fs *fs, int rc);

/* The table of operations: fs_ops.c. */
extern const struct fuse_lowlevel_ops fs_ops;

/* Operations, by the file that has them.  Each replies exactly once and holds nothing when it does. */
void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void fs_op_readlink(fuse_req_t req, fuse_ino_t ino);
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		  const char *newname, unsigned int flags);
void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);

void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void fs_op_statfs(fuse_req_t req, fuse_ino_t ino);

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void fs_op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi);
void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi);
void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi);
void fs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in,
			   fuse_ino_t ino_out, off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags);

void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void fs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* fs_mount.c: once the mount is there. */
void fs_mount_raise_read_ahead(struct fs *fs);

/* fs_attr.c: what stat(2) shows for a file of home, and how long the kernel may keep it, in seconds. */
void fs_attr_fill(struct stat *out, const struct stat *home_st);
double fs_attr_timeout(struct fs *fs, uint64_t nodeid);
/* fs_attr.c: a change of ours, to what fd, open on the node (O_PATH will do), says now: told to fs_inode and tiering.
 * Of names, attributes, owner or mode: what tier_meta_begin began is ended, also when nothing can be told; NULL: the
 * tiers know already. */
void fs_attr_own_change(struct fs *fs, uint64_t nodeid, int fd, struct tier_meta *meta);
void fs_attr_own_write(struct fs *fs, uint64_t nodeid, int fd);         /* of bytes or size */
/* fs_attr.c: what the kernel leaves to us (FUSE_HANDLE_KILLPRIV_V2): take the set-user-id bit, and the
 * set-group-id bit of an executable, off a file that somebody other than root is about to change. */
int fs_attr_drop_setid(struct fs *fs, int fd) __attribute__((warn_unused_result));

#endif
