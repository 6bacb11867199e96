/* fs_data.c - bytes of open files: what the kernel does not do by itself, on home's descriptor. */
#include "fs/fs.h"
#include "fs/fs_virtual.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The handle of a request on a file of home, or NULL after replying EBADF. */
static struct fs_handle *fs_data_handle(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct fs_handle *h = fs_handle_get(fs_from(req)->handles, fi->fh);

	if (h == NULL || (h->fd == -1 && h->text == NULL)) {
		fuse_reply_err(req, EBADF);
		return NULL;
	}
	return h;
}

/* Any thread of tiering: the extents came. */
static void fs_data_gathered(void *ctx, int rc, const struct iovec *iov, int niov)
{
	fuse_req_t req = ctx;
	struct fs *fs = fs_from(req);

	if (rc != 0) {
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	fs_count(fs, FS_READS, 1);
	for (int i = 0; i < niov; i++)
		fs_count(fs, FS_READ_BYTES, iov[i].iov_len);
	if (niov == 0)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_iov(req, iov, niov);
}

void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_handle *h = fs_data_handle(req, fi);
	struct fs *fs = fs_from(req);
	ssize_t n;
	void *buf;

	(void)ino;
	if (h == NULL)
		return;
	if (h->text != NULL) {
		fs_virtual_read(req, h, size, off);
		return;
	}
	if (h->blob != NULL && tier_file_gathers(h->blob)) {
		tier_file_read(h->blob, (uint64_t)off, (uint32_t)size, fs_data_gathered, req);
		return;
	}
	buf = malloc(size);
	n = buf == NULL ? -ENOMEM : io_pread(fs->io, h->fd, buf, size, off);
	if (n < 0) {
		fuse_reply_err(req, fs_err(fs, (int)n));
	} else {
		fs_count(fs, FS_READS, 1);
		fs_count(fs, FS_READ_BYTES, (uint64_t)n);
		fuse_reply_buf(req, buf, (size_t)n);
	}
	free(buf);
}

void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_handle *h = fs_data_handle(req, fi);
	struct fs *fs = fs_from(req);
	ssize_t n;

	if (h == NULL)
		return;
	n = io_pwrite(fs->io, h->fd, buf, size, off);
	if (n < 0) {
		fuse_reply_err(req, fs_err(fs, (int)n));
		return;
	}
	fs_attr_own_write(fs, ino, h->fd);
	fs_count(fs, FS_WRITES, 1);
	fs_count(fs, FS_WRITE_BYTES, (uint64_t)n);
	fuse_reply_write(req, (size_t)n);
}

/* Data first, then every directory on the way to it. */
static int fs_data_sync(struct fs *fs, const struct fs_handle *h, bool datasync)
{
	char path[PATH_MAX];
	char *slash;
	int rc;

	rc = datasync ? io_fdatasync(fs->io, h->fd) : io_fsync(fs->io, h->fd);
	if (rc == 0 && fs_inode_path(fs->inodes, h->nodeid, 0, path)) {
		slash = strrchr(path, '/');
		*(slash != NULL ? slash : path) = '\0';
		rc = home_sync_dirs(fs->home, path);
		if (rc == -ENOENT)
			rc = 0;         /* removed meanwhile: there is no name to keep */
	}
	if (rc != 0) {
		fs_count(fs, FS_SYNC_ERRORS, 1);
		log_err("cannot make inode %llu durable on home: %s",
			(unsigned long long)fs_inode_st_ino(fs->inodes, h->nodeid), strerror(-rc));
	}
	return rc;
}

/* Ollama writes a manifest in place and never syncs: its close is the acknowledgement (R8). */
static bool fs_data_is_manifest(struct fs *fs, uint64_t nodeid)
{
	char path[PATH_MAX];

	return fs_inode_path(fs->inodes, nodeid, 0, path) && strncmp(path, "manifests/", 10) == 0;
}

void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_handle *h = fs_data_handle(req, fi);
	struct fs *fs = fs_from(req);
	int rc = 0;

	(void)ino;
	if (h == NULL)
		return;
	if (h->writable && fs_data_is_manifest(fs, h->nodeid))
		rc = fs_data_sync(fs, h, false);
	else if (h->writable && home_is_network(fs->home))
		rc = io_fdatasync(fs->io, h->fd);      /* a network home reports a full disk only now */
	fuse_reply_err(req, fs_err(fs, rc));
}

void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs_handle *h = fs_data_handle(req, fi);
	struct fs *fs = fs_from(req);

	(void)ino;
	if (h == NULL)
		return;
	fuse_reply_err(req, h->text != NULL ? 0 : fs_err(fs, fs_data_sync(fs, h, datasync != 0)));
}

void fs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct fs_handle *h = fs_data_handle(req, fi);
	struct fs *fs = fs_from(req);

	int rc;

	if (h == NULL)
		return;
	rc = io_fallocate(fs->io, h->fd, mode, off, len);
	fs_attr_own_write(fs, ino, h->fd);
	fuse_reply_err(req, fs_err(fs, rc));
}

void fs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct fs_handle *h = fs_data_handle(req, fi);
	struct fs *fs = fs_from(req);
	off_t at;

	(void)ino;
	if (h == NULL)
		return;
	at = io_lseek(fs->io, h->fd, off, whence);
	if (at < 0)
		fuse_reply_err(req, fs_err(fs, (int)at));
	else
		fuse_reply_lseek(req, at);
}

void fs_op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in,
			   fuse_ino_t ino_out, off_t off_out, struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct fs_handle *in = fs_data_handle(req, fi_in), *out;
	struct fs *fs = fs_from(req);
	ssize_t n;

	(void)ino_in;
	(void)flags;
	if (in == NULL)
		return;
	out = fs_data_handle(req, fi_out);
	if (out == NULL)
		return;
	n = io_copy_range(fs->io, in->fd, off_in, out->fd, off_out, len);
	fs_attr_own_write(fs, ino_out, out->fd);
	if (n < 0)
		fuse_reply_err(req, fs_err(fs, (int)n));
	else
		fuse_reply_write(req, (size_t)n);
}
