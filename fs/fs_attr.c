#include "fs/fs.h"
#include "fs/fs_virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void fs_attr_fill(struct stat *out, const struct stat *home_st)
{
	*out = *home_st;
	out->st_blksize = FS_BLKSIZE;
}

double fs_attr_timeout(struct fs *fs, uint64_t nodeid)
{
	return fs_inode_native_written(fs->inodes, nodeid) ? 0 : FS_ATTR_TIMEOUT_S;
}

void fs_attr_own_change(struct fs *fs, uint64_t nodeid, int fd, struct tier_meta *meta)
{
	struct home_ident id;
	struct stat st;
	int rc;

	rc = io_fstat(fs->io, fd, &st);
	if (rc == 0) {                  /* else an open will drop the pages, which is slower but right */
		id = home_ident(&st);
		fs_inode_own_change(fs->inodes, nodeid, &id, false);
	}
	if (meta != NULL)
		tier_meta_end(fs->tier, meta, rc == 0 ? &st : NULL);
}

void fs_attr_own_write(struct fs *fs, uint64_t nodeid, int fd)
{
	struct home_ident id;
	struct stat st;

	if (io_fstat(fs->io, fd, &st) != 0)
		return;
	id = home_ident(&st);
	fs_inode_own_change(fs->inodes, nodeid, &id, true);
	tier_data_changed(fs->tier, &st);
}

/* A descriptor for a metadata change or look: the request's handle if it has one (*owned false), else
 * one of the caller's (*owned true). */
static int fs_attr_fd(struct fs *fs, fuse_ino_t ino, const struct fuse_file_info *fi, bool *owned)
{
	struct fs_handle *h = fi != NULL ? fs_handle_get(fs->handles, fi->fh) : NULL;
	int fd;

	*owned = h == NULL;
	if (h != NULL)
		return h->fd;
	fd = fs_inode_borrow(fs->inodes, ino);
	return fd >= 0 ? fd : fs_inode_open(fs->inodes, ino, O_PATH | O_NOFOLLOW);
}

void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct stat st;
	bool owned;
	int fd, rc;

	if (fs_virtual_is(ino)) {
		fs_virtual_getattr(req, ino);
		return;
	}
	fd = fs_attr_fd(fs, ino, fi, &owned);
	rc = fd < 0 ? fd : io_fstat(fs->io, fd, &st);
	if (fd >= 0 && owned)
		io_close(fs->io, fd);
	if (fd == -ESTALE && fs_inode_last_stat(fs->inodes, ino, &st))
		rc = 0;                 /* removed, and somebody holds it without having it open */
	if (rc != 0) {
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	fs_attr_fill(&st, &st);
	fuse_reply_attr(req, &st, fs_attr_timeout(fs, ino));
}

#define FS_ATTR_TIMES \
	(FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)

static struct timespec fs_attr_time(const struct timespec *given, int to_set, int set, int now)
{
	if (to_set & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (to_set & set)
		return *given;
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

int fs_attr_drop_setid(struct fs *fs, int fd)
{
	struct stat st;
	int rc;

	rc = io_fstat(fs->io, fd, &st);
	if (rc != 0 || !S_ISREG(st.st_mode))
		return rc;
	if (!(st.st_mode & S_ISUID) && (st.st_mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP))
		return 0;
	st.st_mode &= ~(mode_t)S_ISUID;
	if (st.st_mode & S_IXGRP)
		st.st_mode &= ~(mode_t)S_ISGID;
	return io_fchmod(fs->io, fd, st.st_mode & 07777);
}

static int fs_attr_apply(struct fs *fs, int fd, const struct stat *attr, int to_set, uid_t caller)
{
	int rc = 0;

	if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
		rc = io_fchown(fs->io, fd, to_set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1,
			       to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1);
	}
	if (rc == 0 && (to_set & FUSE_SET_ATTR_MODE))
		rc = io_fchmod(fs->io, fd, attr->st_mode & 07777);
	if (rc == 0 && (to_set & FUSE_SET_ATTR_SIZE)) {
		rc = io_ftruncate(fs->io, fd, attr->st_size);
		if (rc == 0 && caller != 0 && !(to_set & FUSE_SET_ATTR_MODE))
			rc = fs_attr_drop_setid(fs, fd);
	}
	if (rc == 0 && (to_set & FS_ATTR_TIMES)) {
		struct timespec ts[2] = {
			fs_attr_time(&attr->st_atim, to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW),
			fs_attr_time(&attr->st_mtim, to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW),
		};

		rc = io_futimens(fs->io, fd, ts);
	}
	return rc;
}

void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct tier_meta meta = { .lease = NULL };
	struct stat st;
	struct home_ident id;
	bool owned;
	int fd, rc;

	if (fs_virtual_is(ino)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	fd = fs_attr_fd(fs, ino, fi, &owned);
	rc = fd < 0 ? fd : 0;
	if (rc == 0 && !(to_set & FUSE_SET_ATTR_SIZE))
		rc = tier_meta_begin(fs->tier, fd, &meta);
	if (rc == 0)
		rc = fs_attr_apply(fs, fd, attr, to_set, fuse_req_ctx(req)->uid);
	if (rc == 0)
		rc = io_fstat(fs->io, fd, &st);
	if (fd >= 0 && owned)
		io_close(fs->io, fd);
	if (rc != 0) {
		tier_meta_end(fs->tier, &meta, NULL);
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	id = home_ident(&st);
	fs_inode_own_change(fs->inodes, ino, &id, (to_set & (FUSE_SET_ATTR_SIZE | FS_ATTR_TIMES)) != 0);
	if (to_set & FUSE_SET_ATTR_SIZE)
		tier_data_changed(fs->tier, &st);
	else
		tier_meta_end(fs->tier, &meta, &st);
	fs_attr_fill(&st, &st);
	fuse_reply_attr(req, &st, fs_attr_timeout(fs, ino));
}

void fs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_from(req);
	struct statvfs sv;
	int rc;

	(void)ino;
	rc = home_statvfs(fs->home, &sv);
	if (rc != 0)
		fuse_reply_err(req, fs_err(fs, rc));
	else
		fuse_reply_statfs(req, &sv);
}
