/* fs_file.c - opening and closing files: one inode, one mode (design rule R5).
 *
 * The first open of an inode decides how it is served until its last release:
 *   native  the kernel reads, writes and maps one file by itself, through one backing id an inode: home's, or
 *           a complete copy of it on a cache; for blobs, and, from home, for whatever is opened to be written
 *           (and from then on, see fs_inode_set_native_written)
 *   cached  the daemon answers reads into FUSE's page cache: of small files from home, of blobs that are not
 *           whole on a fast tier by gathering their extents
 * Later opens join.  When tiering would serve the blob otherwise by now, an open is answered with ESTALE, once:
 * the kernel looks the name up again and gets a new node for the same st_ino, with a mode of its own, while
 * old opens and mappings live on with the old one.  An open that still reaches the old node joins it.
 *
 * The kernel reopens a native file with the client's flags and checks it with our rights, so an open for
 * writing must never be given a backing file other than home's.
 */
#include "fs/fs.h"
#include "fs/fs_creds.h"
#include "fs/fs_virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

/* Flags that the client's open keeps on home.  O_APPEND and O_DIRECT are the kernel's business: it
 * sends offsets, and aligned requests only where it reopens the file by itself. */
#define FS_FILE_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC)

static bool fs_file_writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* Register what the kernel is to read by itself; serve and token are corrected where that cannot be. */
static int fs_file_register(fuse_req_t req, uint64_t nodeid, int fd, const struct stat *st, int flags,
			    struct tier_file *blob, enum tier_serve *serve, uint64_t *token)
{
	struct fs *fs = fs_from(req);
	int id = 0, copy;

	if (*serve == TIER_SERVE_COPY) {
		copy = tier_file_copy_fd(blob, *token);
		if (copy >= 0) {
			id = fs_native_register(&fs->native, req, copy);
			io_close(fs->io, copy); /* the kernel has a reference of its own */
		}
	} else if (*serve == TIER_SERVE_HOME) {
		if (S_ISREG(st->st_mode) && (fs_file_writes(flags) || st->st_size >= (off_t)TIER_EXTENT_BYTES ||
					     fs_inode_native_written(fs->inodes, nodeid)))
			id = fs_native_register(&fs->native, req, fd);
	}
	if (id <= 0 && blob != NULL) {
		*serve = TIER_SERVE_GATHER;
		*token = 0;
	}
	return id;
}

/* What tiering would have now.  A node that was written natively is home's until a lease proves that no writable
 * mapping is left of it. */
static enum tier_serve fs_file_wanted(struct fs *fs, uint64_t nodeid, int fd, struct tier_file *blob, uint64_t *token)
{
	enum tier_serve serve = TIER_SERVE_HOME;

	*token = 0;
	if (blob == NULL)
		return serve;
	serve = tier_file_serve(blob, token);
	if (serve == TIER_SERVE_HOME || !fs_inode_native_written(fs->inodes, nodeid))
		return serve;
	if (tier_file_is_sealed(blob, fd))
		return serve;
	*token = 0;
	return TIER_SERVE_HOME;
}

/* The first open's choice, told to the others. */
static enum fs_mode fs_file_decide(fuse_req_t req, uint64_t nodeid, int fd, const struct stat *st, int flags,
				   struct tier_file *blob, int *backing_id)
{
	struct fs *fs = fs_from(req);
	enum fs_mode mode = FS_MODE_CACHED;
	enum tier_serve serve;
	uint64_t token;

	serve = fs_file_wanted(fs, nodeid, fd, blob, &token);
	if (serve != TIER_SERVE_HOME)
		fs_inode_clear_native_written(fs->inodes, nodeid);
	*backing_id = fs_file_register(req, nodeid, fd, st, flags, blob, &serve, &token);
	if (*backing_id > 0)
		mode = FS_MODE_NATIVE;
	fs_inode_set_serve(fs->inodes, nodeid, serve, token);
	fs_inode_open_decided(fs->inodes, nodeid, mode, *backing_id);
	return mode;
}

/* Whether a new open must not join the mode that the node has. */
static bool fs_file_must_flip(struct fs *fs, uint64_t nodeid, int fd, enum fs_mode mode, struct tier_file *blob, bool writes)
{
	uint64_t token, wanted_token;
	enum tier_serve serve = fs_inode_serve(fs->inodes, nodeid, &token), wanted;

	if (writes)
		return mode == FS_MODE_NATIVE && serve == TIER_SERVE_COPY;
	if (blob == NULL || !atomic_load(&fs->native.allowed) || fs_inode_is_retired(fs->inodes, nodeid))
		return false;
	wanted = fs_file_wanted(fs, nodeid, fd, blob, &wanted_token);
	if (mode == FS_MODE_CACHED)
		return wanted == TIER_SERVE_COPY;
	if (serve == TIER_SERVE_COPY)
		return wanted != serve || wanted_token != token;
	return wanted != TIER_SERVE_HOME && tier_file_is_sealed(blob, fd);
}

static void fs_file_end(fuse_req_t req, uint64_t nodeid)
{
	fs_native_unregister(req, fs_inode_open_end(fs_from(req)->inodes, nodeid));
}

/* The open is counted: its mode, or -ESTALE when the name has to be looked up again; then it is not. */
static int fs_file_begin(fuse_req_t req, uint64_t nodeid, int fd, const struct stat *st, int flags,
			 struct tier_file *blob, enum fs_mode *mode, int *backing_id)
{
	struct fs *fs = fs_from(req);

	*mode = fs_inode_open_begin(fs->inodes, nodeid, backing_id);
	if (*mode == FS_MODE_DECIDING) {
		*mode = fs_file_decide(req, nodeid, fd, st, flags, blob, backing_id);
		return 0;
	}
	if (!fs_file_must_flip(fs, nodeid, fd, *mode, blob, fs_file_writes(flags)))
		return 0;
	fs_inode_retire(fs->inodes, nodeid, NULL);
	fs_file_end(req, nodeid);
	fs_count(fs, FS_MODE_FLIPS, 1);
	return -ESTALE;
}

/* Count the open for what it became and fill fi. */
static void fs_file_opened(struct fs *fs, uint64_t nodeid, const struct fs_handle *h, enum fs_mode mode, int backing_id,
			   const struct stat *st, struct fuse_file_info *fi)
{
	struct home_ident id = home_ident(st);
	uint64_t token = 0;
	struct timespec now;

	if (mode == FS_MODE_NATIVE) {
		fi->backing_id = backing_id;
		if (h->writable)
			fs_inode_set_native_written(fs->inodes, nodeid);
		fs_count(fs, FS_OPENS_NATIVE, 1);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		fi->keep_cache = fs_inode_keep_cache(fs->inodes, nodeid, &id, &now);
		fs_count(fs, h->blob != NULL ? FS_OPENS_GATHERED : FS_OPENS_CACHED, 1);
	}
	if (h->blob != NULL) {
		enum tier_serve serve = fs_inode_serve(fs->inodes, nodeid, &token);

		tier_file_served(h->blob, mode == FS_MODE_CACHED ? TIER_SERVE_GATHER : serve, token, h->fd);
	}
	fs_inode_handle_add(fs->inodes, nodeid, h->fd, h->writable);
	fi->noflush = !h->writable;
}

/* Give the open to the kernel's terms: fill fi and keep the handle.  Takes fd whatever happens. */
static int fs_file_serve(fuse_req_t req, uint64_t nodeid, int fd, const struct stat *st, struct fuse_file_info *fi)
{
	struct fs *fs = fs_from(req);
	struct fs_handle h = { .nodeid = nodeid, .fd = fd, .writable = (fi->flags & O_ACCMODE) != O_RDONLY };
	char path[PATH_MAX];
	struct tier_open how = { .fd = fd, .st = st, .path = path, .pid = fuse_req_ctx(req)->pid,
				 .writes = fs_file_writes(fi->flags) };
	enum fs_mode mode;
	int backing_id = 0, rc;

	if (!fs_inode_path(fs->inodes, nodeid, 0, path))
		path[0] = '\0';
	rc = tier_file_open(fs->tier, &how, &h.blob);
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0)
		rc = fs_file_begin(req, nodeid, fd, st, fi->flags, h.blob, &mode, &backing_id);
	if (rc != 0)
		goto close;
	rc = fs_handle_add(fs->handles, &h, &fi->fh);
	if (rc != 0)
		goto end;
	fs_file_opened(fs, nodeid, &h, mode, backing_id, st, fi);
	return 0;
end:
	fs_file_end(req, nodeid);
close:
	tier_file_close(h.blob);
	io_close(fs->io, fd);
	return rc;
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
	fs_file_end(req, h.nodeid);
	tier_file_close(h.blob);
	io_close(fs->io, h.fd);
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
