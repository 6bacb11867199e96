/* io.h - the one seam through which fs and tiering touch files.
 *
 * Every call names what it does, takes a struct io first, and returns what the system call does, or
 * negative errno.  A struct io without a hook is the system itself.  Tests give a hook: it sees each
 * call before it happens and may fail it, shorten it, delay it, swallow it (a lying fsync) or end the
 * process there (a kill point).  Nothing else is injected anywhere, so a run that passes with the n-th
 * call failing, for every n, has met every failure that files can cause.
 *
 * Interrupted calls (EINTR) are retried here.
 * Threads: all calls may run on any thread at once; the hook must allow that.
 */
#ifndef TIERING_IO_H
#define TIERING_IO_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

enum io_op {
	IO_OPEN, IO_CLOSE, IO_STAT, IO_PREAD, IO_PWRITE, IO_FSYNC, IO_SYNC_RANGE, IO_TRUNCATE,
	IO_FALLOCATE, IO_COPY_RANGE, IO_RENAME, IO_LINK, IO_UNLINK, IO_MKDIR, IO_MKNOD, IO_SYMLINK,
	IO_READLINK, IO_CHMOD, IO_CHOWN, IO_UTIMENS, IO_GETDENTS, IO_STATFS, IO_XATTR,
	IO_OP_COUNT
};

#define IO_SWALLOW 1                    /* a hook's answer: report success without doing it */

struct io_call {
	enum io_op op;
	int fd;                         /* or the directory's, for calls that name something */
	const char *name;               /* or NULL */
	size_t len;                     /* of a read or write; a hook may make it smaller */
};

struct io {
	/* 0: do it; IO_SWALLOW; or negative errno: fail with that.  NULL: no hook. */
	int (*hook)(void *ctx, struct io_call *call);
	void *ctx;
};

/* The operation's name for messages and for tests that arm by name. */
const char *io_op_name(enum io_op op);

/* Ask the hook, for what goes to the kernel by another way than the calls below (ring.h): 0 to go on, IO_SWALLOW,
 * or the error to return.  name and len may be NULL; *len becomes smaller where the hook says so. */
int io_ask(const struct io *io, enum io_op op, int fd, const char *name, size_t *len);

/* openat2(2): beneath dirfd only, crossing neither symbolic links nor mounts.  Always O_CLOEXEC. */
int io_open_beneath(const struct io *io, int dirfd, const char *path, int flags, mode_t mode);
/* open(2) of /proc/self/fd/FD: the same file once more with other flags, also when it has no name. */
int io_reopen(const struct io *io, int fd, int flags);
/* flock(2) of an open directory, which ends with the process.  A daemon that is ending holds its lock a little longer
 * than its mount, so it is waited for, though not long.  0, also on a file system without such locks; -EBUSY. */
int io_lock_dir(int fd);
int io_close(const struct io *io, int fd);
int io_fstat(const struct io *io, int fd, struct stat *st);         /* O_PATH descriptors too */

/* Whole reads: shorter than len only at the end of the file.  Writes: len; less when the medium gave out
 * after some bytes, as write(2) says it; or negative errno. */
ssize_t io_pread(const struct io *io, int fd, void *buf, size_t len, off_t off);
/* What the page cache has of it from off on, without waiting for a device: maybe less, 0, or -EAGAIN. */
ssize_t io_pread_cached(const struct io *io, int fd, void *buf, size_t len, off_t off);
ssize_t io_pwrite(const struct io *io, int fd, const void *buf, size_t len, off_t off);

int io_fsync(const struct io *io, int fd);
int io_fdatasync(const struct io *io, int fd);
int io_start_writeback(const struct io *io, int fd);    /* begins it for the whole file, waits for nothing */
int io_ftruncate(const struct io *io, int fd, off_t len);
int io_fallocate(const struct io *io, int fd, int mode, off_t off, off_t len);
ssize_t io_copy_range(const struct io *io, int in, off_t in_off, int out, off_t out_off, size_t len);
off_t io_lseek(const struct io *io, int fd, off_t off, int whence);

int io_renameat(const struct io *io, int olddir, const char *old, int newdir, const char *new, unsigned flags);
int io_unlinkat(const struct io *io, int dir, const char *name, int flags);
int io_mkdirat(const struct io *io, int dir, const char *name, mode_t mode);
int io_mknodat(const struct io *io, int dir, const char *name, mode_t mode, dev_t dev);
int io_symlinkat(const struct io *io, const char *target, int dir, const char *name);
int io_linkfd(const struct io *io, int fd, int dir, const char *name);     /* fd may be O_PATH */
ssize_t io_readlinkfd(const struct io *io, int fd, char *buf, size_t cap); /* fd: O_PATH of a symlink */
ssize_t io_getdents(const struct io *io, int fd, void *buf, size_t cap);
int io_fstatvfs(const struct io *io, int fd, struct statvfs *sv);

/* By descriptor, O_PATH ones too. */
int io_fchmod(const struct io *io, int fd, mode_t mode);
int io_fchown(const struct io *io, int fd, uid_t uid, gid_t gid);
int io_futimens(const struct io *io, int fd, const struct timespec ts[2]);
ssize_t io_fgetxattr(const struct io *io, int fd, const char *name, void *buf, size_t cap);
ssize_t io_flistxattr(const struct io *io, int fd, char *buf, size_t cap);
int io_fsetxattr(const struct io *io, int fd, const char *name, const void *val, size_t len, int flags);
int io_fremovexattr(const struct io *io, int fd, const char *name);

#endif
