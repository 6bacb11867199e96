/* fs_dir.c - listing directories: all of it or an error, never less (design rule R7).
 *
 * Offsets are home's own directory cookies, so a listing can go on from any of them and no position is
 * kept here.
 */
#include "fs/fs.h"
#include "fs/fs_virtual.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void fs_dir_close(struct fs *fs, uint64_t fh)
{
	struct fs_handle h;

	if (!fs_handle_del(fs->handles, fh, &h) || h.fd < 0)
		return;
	fs_inode_handle_del(fs->inodes, h.nodeid, h.fd);
	io_close(fs->io, h.fd);
}

void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct fs_handle h = { .nodeid = ino, .fd = -1 };
	int rc = 0;

	if (!fs_virtual_is(ino))
		h.fd = fs_inode_open(fs->inodes, ino, O_RDONLY | O_DIRECTORY);
	if (h.fd < -1)
		rc = h.fd;
	else
		rc = fs_handle_add(fs->handles, &h, &fi->fh);
	if (rc != 0) {
		if (h.fd >= 0)
			io_close(fs->io, h.fd);
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	if (h.fd >= 0)
		fs_inode_handle_add(fs->inodes, ino, h.fd, false);
	if (fuse_reply_open(req, fi) != 0)
		fs_dir_close(fs, fi->fh);       /* interrupted: no release will come */
}

static bool fs_dir_hidden(const struct fs *fs, fuse_ino_t ino, const char *name)
{
	if (ino == FUSE_ROOT_ID && strcmp(name, FS_VIRTUAL_NAME) == 0)
		return true;
	return strncmp(name, ".nfs", 4) == 0 && home_is_network(fs->home);
}

/* Add entries of one getdents buffer to the reply.  Returns false when the reply is full. */
static bool fs_dir_add(fuse_req_t req, fuse_ino_t ino, const char *ents, ssize_t ents_bytes, char *buf, size_t size,
		       size_t *used)
{
	for (ssize_t at = 0; at < ents_bytes;) {
		const struct dirent64 *d = (const void *)(ents + at);
		struct stat st = { .st_ino = d->d_ino, .st_mode = DTTOIF(d->d_type) };
		size_t len;

		at += d->d_reclen;
		if (fs_dir_hidden(fs_from(req), ino, d->d_name))
			continue;
		len = fuse_add_direntry(req, buf + *used, size - *used, d->d_name, &st, d->d_off);
		if (len > size - *used)
			return false;
		*used += len;
	}
	return true;
}

void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct fs_handle *h = fs_handle_get(fs->handles, fi->fh);
	_Alignas(struct dirent64) char ents[16384];
	size_t used = 0;
	ssize_t n;
	off_t at;
	char *buf;

	if (fs_virtual_is(ino)) {
		fs_virtual_readdir(req, ino, size, off);
		return;
	}
	buf = h != NULL ? malloc(size) : NULL;
	if (buf == NULL) {
		fuse_reply_err(req, h == NULL ? EBADF : ENOMEM);
		return;
	}
	at = io_lseek(fs->io, h->fd, off, SEEK_SET);
	n = at < 0 ? (ssize_t)at : 1;
	/* hidden entries may leave a whole buffer without any: only the end of home's list ends ours */
	while (n > 0 && used == 0) {
		n = io_getdents(fs->io, h->fd, ents, sizeof(ents));
		if (n > 0 && !fs_dir_add(req, ino, ents, n, buf, size, &used) && used == 0)
			n = -EINVAL;    /* the kernel asked for less than one entry */
	}
	if (n < 0)
		fuse_reply_err(req, fs_err(fs, (int)n));
	else
		fuse_reply_buf(req, buf, used);
	free(buf);
}

void fs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_dir_close(fs_from(req), fi->fh);
	fuse_reply_err(req, 0);
}

void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct fs_handle *h = fs_handle_get(fs->handles, fi->fh);
	int rc = 0;

	(void)ino;
	(void)datasync;
	if (h == NULL)
		rc = -EBADF;
	else if (h->fd >= 0)
		rc = io_fsync(fs->io, h->fd);
	fuse_reply_err(req, fs_err(fs, rc));
}
