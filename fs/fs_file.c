/* fs_file.c - opening and closing files: one inode, one mode (design rule R5).
 *
 * The first open of an inode decides how it is served until its last release:
 *   native  the kernel reads, writes and maps home's file by itself, through one backing id an inode;
 *           for blobs, and for whatever is opened to be written (and from then on, see
 *           fs_inode_set_native_written)
 *   cached  the daemon answers reads into FUSE's page cache; for small files, and for all files where
 *           the kernel has no passthrough
 * Later opens join.  The kernel reopens a native file with the client's flags and checks it with our
 * rights, so an open for writing must never be given a backing file other than home's.
 */
#include "fs/fs.h"
#include "fs/fs_creds.h"
#include "fs/fs_virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

/* Flags that the client's open keeps on home.  O_APPEND and O_DIRECT are the kernel's business: it
 * sends offsets, and aligned requests only where it reopens the file by itself. */
#define FS_FILE_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC)

static bool fs_file_writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* The first open's choice, told to the others. */
static enum fs_mode fs_file_decide(fuse_req_t req, uint64_t nodeid, int fd, const struct stat *st, int flags,
				   int *backing_id)
{
	struct fs *fs = fs_from(req);
	enum fs_mode mode = FS_MODE_CACHED;
	int id = 0;

	if (S_ISREG(st->st_mode) && (fs_file_writes(flags) || st->st_size >= (off_t)TIER_EXTENT_BYTES ||
				     fs_inode_native_written(fs->inodes, nodeid)))
		id = fs_native_register(&fs->native, req, fd);
	if (id > 0)
		mode = FS_MODE_NATIVE;
	fs_inode_open_decided(fs->inodes, nodeid, mode, id);
	*backing_id = id;
	return mode;
}

static void fs_file_end(fuse_req_t req, uint64_t nodeid)
{
	fs_native_unregister(req, fs_inode_open_end(fs_from(req)->inodes, nodeid));
}

/* Give the open to the kernel's terms: fill fi and keep the handle.  Takes fd whatever happens. */
static int fs_file_serve(fuse_req_t req, uint64_t nodeid, int fd, const struct stat *st, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct fs_handle h = { .nodeid = nodeid, .fd = fd, .writable = (fi->flags & O_ACCMODE) != O_RDONLY };
	enum fs_mode mode;
	int backing_id = 0, rc;

	mode = fs_inode_open_begin(fs->inodes, nodeid, &backing_id);
	if (mode == FS_MODE_DECIDING)
		mode = fs_file_decide(req, nodeid, fd, st, fi->flags, &backing_id);
	rc = fs_handle_add(fs->handles, &h, &fi->fh);
	if (rc != 0) {
		io_close(fs->io, fd);
		fs_file_end(req, nodeid);
		return rc;
	}
	if (mode == FS_MODE_NATIVE) {
		fi->backing_id = backing_id;
		if (h.writable)
			fs_inode_set_native_written(fs->inodes, nodeid);
		fs_count(fs, FS_OPENS_NATIVE, 1);
	} else {
		struct home_ident id = home_ident(st);
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		fi->keep_cache = fs_inode_keep_cache(fs->inodes, nodeid, &id, &now);
		fs_count(fs, FS_OPENS_CACHED, 1);
	}
	fs_inode_handle_add(fs->inodes, nodeid, fd, h.writable);
	fi->noflush = !h.writable;
	return 0;
}

static void fs_file_close(fuse_req_t req, uint64_t fh)
{
	struct fs *fs = fs_from(req);
	struct fs_handle h;

	if (!fs_handle_del(fs->handles, fh, &h))
		return;
	free(h.text);
	if (h.fd == -1)
		return;
	fs_inode_handle_del(fs->inodes, h.nodeid, h.fd);
	io_close(fs->io, h.fd);
	fs_file_end(req, h.nodeid);
}

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct stat st;
	int fd, rc;

	if (fs_virtual_is(ino)) {
		fs_virtual_open(req, ino, fi);
		return;
	}
	fd = fs_inode_open(fs->inodes, ino, (fi->flags & FS_FILE_FLAGS) | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		fuse_reply_err(req, fs_err(fs, fd));
		return;
	}
	/* native writes are not seen here, so set-id bits go when the file is opened for them */
	rc = fs_file_writes(fi->flags) && fuse_req_ctx(req)->uid != 0 ? fs_attr_drop_setid(fs, fd) : 0;
	if (rc == 0)
		rc = io_fstat(fs->io, fd, &st);
	if (rc != 0)
		io_close(fs->io, fd);
	else
		rc = fs_file_serve(req, ino, fd, &st, fi);
	if (rc != 0)
		fuse_reply_err(req, fs_err(fs, rc));
	else if (fuse_reply_open(req, fi) != 0)
		fs_file_close(req, fi->fh);     /* interrupted: no release will come */
}

/* A new file on home, owned by the caller, open.  name NULL: one without a name.  -ESTALE when home has
 * that name already, unseen by the kernel: it then looks again and checks permissions. */
static int fs_file_make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, int flags)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct fs *fs = fs_from(req);
	bool became;
	int dirfd, fd;

	dirfd = fs_inode_open(fs->inodes, parent, O_PATH | O_DIRECTORY);
	if (dirfd < 0)
		return dirfd;
	became = fs_creds_become(ctx->uid, ctx->gid);
	if (name == NULL)
		fd = home_openat_dir(fs->home, dirfd, ".", (flags & FS_FILE_FLAGS) | O_TMPFILE, mode);
	else
		fd = home_openat_dir(fs->home, dirfd, name, (flags & FS_FILE_FLAGS) | O_CREAT | O_EXCL | O_NOFOLLOW,
				     mode);
	fs_creds_restore(became);
	io_close(fs->io, dirfd);
	return fd == -EEXIST && !(flags & O_EXCL) ? -ESTALE : fd;
}

static void fs_file_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
			   struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct fuse_entry_param e = { .entry_timeout = FS_ATTR_TIMEOUT_S };
	uint64_t nodeid;
	struct stat st;
	int fd, rc;

	if (fs_virtual_owns(parent, name != NULL ? name : "")) {
		fuse_reply_err(req, EPERM);
		return;
	}
	fd = fs_file_make(req, parent, name, mode, fi->flags);
	if (fd < 0) {
		fuse_reply_err(req, fs_err(fs, fd));
		return;
	}
	rc = io_fstat(fs->io, fd, &st);
	if (rc == 0)
		rc = fs_inode_learn(fs->inodes, parent, name, st.st_ino, &nodeid);
	if (rc != 0) {
		io_close(fs->io, fd);
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	rc = fs_file_serve(req, nodeid, fd, &st, fi);
	if (rc != 0) {
		fs_inode_forget(fs->inodes, nodeid, 1);
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	e.ino = nodeid;
	e.attr_timeout = fs_attr_timeout(fs, nodeid);
	fs_attr_fill(&e.attr, &st);
	if (fuse_reply_create(req, &e, fi) != 0) {
		fs_file_close(req, fi->fh);
		fs_inode_forget(fs->inodes, nodeid, 1);
	}
}

void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	fs_file_create(req, parent, name, mode, fi);
}

void fs_op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	fs_file_create(req, parent, NULL, mode, fi);
}

void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_file_close(req, fi->fh);
	fuse_reply_err(req, 0);
}
