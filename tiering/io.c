#include "tiering/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *const io_op_names[IO_OP_COUNT] = {
	[IO_OPEN] = "open", [IO_CLOSE] = "close", [IO_STAT] = "stat", [IO_PREAD] = "pread",
	[IO_PWRITE] = "pwrite", [IO_FSYNC] = "fsync", [IO_SYNC_RANGE] = "sync_file_range",
	[IO_TRUNCATE] = "truncate", [IO_FALLOCATE] = "fallocate", [IO_COPY_RANGE] = "copy_file_range",
	[IO_RENAME] = "rename", [IO_LINK] = "link", [IO_UNLINK] = "unlink", [IO_MKDIR] = "mkdir",
	[IO_MKNOD] = "mknod", [IO_SYMLINK] = "symlink", [IO_READLINK] = "readlink",
	[IO_CHMOD] = "chmod", [IO_CHOWN] = "chown", [IO_UTIMENS] = "utimens",
	[IO_GETDENTS] = "getdents", [IO_STATFS] = "statfs", [IO_XATTR] = "xattr",
};

const char *io_op_name(enum io_op op)
{
	return (unsigned)op < IO_OP_COUNT ? io_op_names[op] : "unknown";
}

int io_ask(const struct io *io, enum io_op op, int fd, const char *name, size_t *len)
{
	struct io_call call = { .op = op, .fd = fd, .name = name, .len = len != NULL ? *len : 0 };
	int rc;

	if (io->hook == NULL)
		return 0;
	rc = io->hook(io->ctx, &call);
	if (len != NULL && call.len < *len)
		*len = call.len;
	return rc;
}

static int io_result(int rc)
{
	return rc == -1 ? -errno : rc;
}

/* The shape of most calls: ask, then do.  A swallowed call reports 0. */
static int io_ask_plain(const struct io *io, enum io_op op, int fd, const char *name, int *rc)
{
	*rc = io_ask(io, op, fd, name, NULL);
	if (*rc == IO_SWALLOW) {
		*rc = 0;
		return 1;
	}
	return *rc != 0;
}

static void io_fd_path(char path[32], int fd)
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
}

/* Callers that must not wait for a pipe's other end open with O_NONBLOCK.  Of a regular file that makes the open
 * fail while a lease on it is being broken, which takes a moment only: then open it again, and wait.  path_fd is
 * open on the file with O_PATH, or in any other way. */
static int io_open_leased(int path_fd, int flags)
{
	char path[32];
	struct stat st;

	if (fstat(path_fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EAGAIN;
		return -1;
	}
	io_fd_path(path, path_fd);
	return open(path, (flags & ~(O_NOFOLLOW | O_NONBLOCK | O_CREAT | O_EXCL)) | O_CLOEXEC);
}

int io_open_beneath(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	int rc, tries = 0;

	rc = io_ask(io, IO_OPEN, dirfd, path, NULL);
	if (rc < 0)
		return rc;
	/* EAGAIN: a rename raced with the walk and it must be walked again (openat2(2)) */
	do {
		rc = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	} while (rc == -1 && (errno == EINTR || (errno == EAGAIN && ++tries < 64)));
	if (rc == -1 && errno == EAGAIN && (flags & (O_NONBLOCK | O_PATH)) == O_NONBLOCK) {
		int path_fd;

		how.flags = O_PATH | O_CLOEXEC | (uint64_t)(flags & O_NOFOLLOW);
		how.mode = 0;
		path_fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (path_fd != -1) {
			rc = io_open_leased(path_fd, flags);
			close(path_fd);
		}
	}
	return io_result(rc);
}

int io_reopen(const struct io *io, int fd, int flags)
{
	char path[32];
	int rc;

	rc = io_ask(io, IO_OPEN, fd, NULL, NULL);
	if (rc < 0)
		return rc;
	io_fd_path(path, fd);
	rc = open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	if (rc == -1 && errno == EAGAIN && (flags & O_NONBLOCK))
		rc = io_open_leased(fd, flags);
	return io_result(rc);
}

int io_lock_dir(int fd)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	for (int i = 0; i < 100; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return 0;       /* a file system without flock on directories: nothing to hold on to */
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

int io_close(const struct io *io, int fd)
{
	int rc = io_ask(io, IO_CLOSE, fd, NULL, NULL);
	int closed = io_result(close(fd));

	return rc < 0 ? rc : closed;
}

int io_fstat(const struct io *io, int fd, struct stat *st)
{
	int rc;

	rc = io_ask(io, IO_STAT, fd, NULL, NULL);
	if (rc < 0)
		return rc;
	return io_result(fstatat(fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

ssize_t io_pread(const struct io *io, int fd, void *buf, size_t len, off_t off)
{
	size_t done = 0;
	int rc;

	rc = io_ask(io, IO_PREAD, fd, NULL, &len);
	if (rc < 0)
		return rc;
	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, off + (off_t)done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t io_pread_cached(const struct io *io, int fd, void *buf, size_t len, off_t off)
{
	struct iovec iov = { .iov_base = buf };
	ssize_t n;
	int rc;

	rc = io_ask(io, IO_PREAD, fd, NULL, &len);
	if (rc < 0)
		return rc;
	iov.iov_len = len;
	n = preadv2(fd, &iov, 1, off, RWF_NOWAIT);
	return n == -1 ? -errno : n;
}

ssize_t io_pwrite(const struct io *io, int fd, const void *buf, size_t len, off_t off)
{
	size_t done = 0, allowed = len;
	int rc;

	rc = io_ask(io, IO_PWRITE, fd, NULL, &allowed);
	if (rc < 0)
		return rc;
	while (done < allowed) {
		ssize_t n = pwrite(fd, (const char *)buf + done, allowed - done, off + (off_t)done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return done > 0 ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int io_fsync(const struct io *io, int fd)
{
	int rc;

	if (io_ask_plain(io, IO_FSYNC, fd, NULL, &rc))
		return rc;
	return io_result(fsync(fd));
}

int io_fdatasync(const struct io *io, int fd)
{
	int rc;

	if (io_ask_plain(io, IO_FSYNC, fd, NULL, &rc))
		return rc;
	return io_result(fdatasync(fd));
}

int io_start_writeback(const struct io *io, int fd)
{
	int rc;

	if (io_ask_plain(io, IO_SYNC_RANGE, fd, NULL, &rc))
		return rc;
	return io_result(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
}

int io_ftruncate(const struct io *io, int fd, off_t len)
{
	char path[32];
	int rc;

	if (io_ask_plain(io, IO_TRUNCATE, fd, NULL, &rc))
		return rc;
	rc = io_result(ftruncate(fd, len));
	if (rc == -EINVAL || rc == -EBADF) {    /* not open for writing: by its name in /proc */
		io_fd_path(path, fd);
		rc = io_result(truncate(path, len));
	}
	return rc;
}

int io_fallocate(const struct io *io, int fd, int mode, off_t off, off_t len)
{
	int rc;

	if (io_ask_plain(io, IO_FALLOCATE, fd, NULL, &rc))
		return rc;
	do {
		rc = io_result(fallocate(fd, mode, off, len));
	} while (rc == -EINTR);
	return rc;
}

ssize_t io_copy_range(const struct io *io, int in, off_t in_off, int out, off_t out_off, size_t len)
{
	loff_t from = in_off, to = out_off;
	ssize_t n;
	int rc;

	rc = io_ask(io, IO_COPY_RANGE, out, NULL, &len);
	if (rc < 0)
		return rc;
	n = copy_file_range(in, &from, out, &to, len, 0);
	return n == -1 ? -errno : n;
}

off_t io_lseek(const struct io *io, int fd, off_t off, int whence)
{
	off_t at;
	int rc;

	rc = io_ask(io, IO_STAT, fd, NULL, NULL);
	if (rc < 0)
		return rc;
	at = lseek(fd, off, whence);
	return at == -1 ? -errno : at;
}

int io_renameat(const struct io *io, int olddir, const char *old, int newdir, const char *new, unsigned flags)
{
	int rc;

	if (io_ask_plain(io, IO_RENAME, newdir, new, &rc))
		return rc;
	return io_result(renameat2(olddir, old, newdir, new, flags));
}

int io_unlinkat(const struct io *io, int dir, const char *name, int flags)
{
	int rc;

	if (io_ask_plain(io, IO_UNLINK, dir, name, &rc))
		return rc;
	return io_result(unlinkat(dir, name, flags));
}

int io_mkdirat(const struct io *io, int dir, const char *name, mode_t mode)
{
	int rc;

	if (io_ask_plain(io, IO_MKDIR, dir, name, &rc))
		return rc;
	return io_result(mkdirat(dir, name, mode));
}

int io_mknodat(const struct io *io, int dir, const char *name, mode_t mode, dev_t dev)
{
	int rc;

	if (io_ask_plain(io, IO_MKNOD, dir, name, &rc))
		return rc;
	return io_result(mknodat(dir, name, mode, dev));
}

int io_symlinkat(const struct io *io, const char *target, int dir, const char *name)
{
	int rc;

	if (io_ask_plain(io, IO_SYMLINK, dir, name, &rc))
		return rc;
	return io_result(symlinkat(target, dir, name));
}

int io_linkfd(const struct io *io, int fd, int dir, const char *name)
{
	char path[32];
	int rc;

	if (io_ask_plain(io, IO_LINK, dir, name, &rc))
		return rc;
	io_fd_path(path, fd);
	return io_result(linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW));
}

ssize_t io_readlinkfd(const struct io *io, int fd, char *buf, size_t cap)
{
	ssize_t n;
	int rc;

	rc = io_ask(io, IO_READLINK, fd, NULL, NULL);
	if (rc < 0)
		return rc;
	n = readlinkat(fd, "", buf, cap);
	return n == -1 ? -errno : n;
}

ssize_t io_getdents(const struct io *io, int fd, void *buf, size_t cap)
{
	long n;
	int rc;

	rc = io_ask(io, IO_GETDENTS, fd, NULL, NULL);
	if (rc < 0)
		return rc;
	n = syscall(SYS_getdents64, fd, buf, cap);
	return n == -1 ? -errno : n;
}

int io_fstatvfs(const struct io *io, int fd, struct statvfs *sv)
{
	int rc;

	rc = io_ask(io, IO_STATFS, fd, NULL, NULL);
	if (rc < 0)
		return rc;
	return io_result(fstatvfs(fd, sv));
}

int io_fchmod(const struct io *io, int fd, mode_t mode)
{
	char path[32];
	int rc;

	if (io_ask_plain(io, IO_CHMOD, fd, NULL, &rc))
		return rc;
	io_fd_path(path, fd);
	return io_result(chmod(path, mode));
}

int io_fchown(const struct io *io, int fd, uid_t uid, gid_t gid)
{
	int rc;

	if (io_ask_plain(io, IO_CHOWN, fd, NULL, &rc))
		return rc;
	return io_result(fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

int io_futimens(const struct io *io, int fd, const struct timespec ts[2])
{
	char path[32];
	int rc;

	if (io_ask_plain(io, IO_UTIMENS, fd, NULL, &rc))
		return rc;
	io_fd_path(path, fd);
	return io_result(utimensat(AT_FDCWD, path, ts, 0));
}

ssize_t io_fgetxattr(const struct io *io, int fd, const char *name, void *buf, size_t cap)
{
	char path[32];
	ssize_t n;
	int rc;

	rc = io_ask(io, IO_XATTR, fd, name, NULL);
	if (rc < 0)
		return rc;
	io_fd_path(path, fd);
	n = getxattr(path, name, buf, cap);
	return n == -1 ? -errno : n;
}

ssize_t io_flistxattr(const struct io *io, int fd, char *buf, size_t cap)
{
	char path[32];
	ssize_t n;
	int rc;

	rc = io_ask(io, IO_XATTR, fd, NULL, NULL);
	if (rc < 0)
		return rc;
	io_fd_path(path, fd);
	n = listxattr(path, buf, cap);
	return n == -1 ? -errno : n;
}

int io_fsetxattr(const struct io *io, int fd, const char *name, const void *val, size_t len, int flags)
{
	char path[32];
	int rc;

	if (io_ask_plain(io, IO_XATTR, fd, name, &rc))
		return rc;
	io_fd_path(path, fd);
	return io_result(setxattr(path, name, val, len, flags));
}

int io_fremovexattr(const struct io *io, int fd, const char *name)
{
	char path[32];
	int rc;

	if (io_ask_plain(io, IO_XATTR, fd, name, &rc))
		return rc;
	io_fd_path(path, fd);
	return io_result(removexattr(path, name));
}
