/* fs_name.c - names: look up, make, remove, rename, link.  Home does each; the table follows. */
#include "fs/fs.h"
#include "fs/fs_creds.h"
#include "fs/fs_virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fs_name_dir(struct fs *fs, fuse_ino_t parent)
{
	return fs_inode_open(fs->inodes, parent, O_PATH | O_DIRECTORY);
}

/* What the entry name of the open directory is, and its node, with one lookup counted. */
static int fs_name_entry(struct fs *fs, fuse_ino_t parent, int dirfd, const char *name, struct fuse_entry_param *e)
{
	struct stat st;
	uint64_t nodeid;
	int fd, rc;

	fd = home_openat_dir(fs->home, dirfd, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	rc = io_fstat(fs->io, fd, &st);
	io_close(fs->io, fd);
	if (rc == 0)
		rc = fs_inode_learn(fs->inodes, parent, name, st.st_ino, &nodeid);
	if (rc != 0)
		return rc;
	*e = (struct fuse_entry_param){
		.ino = nodeid, .attr_timeout = fs_attr_timeout(fs, nodeid), .entry_timeout = FS_ATTR_TIMEOUT_S,
	};
	fs_attr_fill(&e->attr, &st);
	return 0;
}

/* Reply with an entry.  When the reply does not reach the kernel the lookup does not count. */
static void fs_name_reply(fuse_req_t req, int rc, const struct fuse_entry_param *e)
{
	struct fs *fs = fs_from(req);

	if (rc != 0)
		fuse_reply_err(req, fs_err(fs, rc));
	else if (fuse_reply_entry(req, e) != 0)
		fs_inode_forget(fs->inodes, e->ino, 1);
}

static bool fs_name_hidden(const struct fs *fs, const char *name)
{
	return strncmp(name, ".nfs", 4) == 0 && home_is_network(fs->home);
}

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_from(req);
	struct fuse_entry_param e;
	int dirfd, rc;

	if (fs_virtual_owns(parent, name)) {
		fs_virtual_lookup(req, parent, name);
		return;
	}
	fs_count(fs, FS_LOOKUPS, 1);
	if (fs_name_hidden(fs, name)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	dirfd = fs_name_dir(fs, parent);
	rc = dirfd < 0 ? dirfd : fs_name_entry(fs, parent, dirfd, name, &e);
	if (dirfd >= 0)
		io_close(fs->io, dirfd);
	fs_name_reply(req, rc, &e);
}

void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct fs *fs = fs_from(req);

	if (!fs_virtual_is(ino))
		fs_inode_forget(fs->inodes, ino, nlookup);
	fuse_reply_none(req);
}

void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs *fs = fs_from(req);

	for (size_t i = 0; i < count; i++)
		if (!fs_virtual_is(forgets[i].ino))
			fs_inode_forget(fs->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void fs_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_from(req);
	char target[PATH_MAX + 1];
	ssize_t n;
	int fd;

	fd = fs_inode_open(fs->inodes, ino, O_PATH | O_NOFOLLOW);
	n = fd < 0 ? fd : io_readlinkfd(fs->io, fd, target, sizeof(target) - 1);
	if (fd >= 0)
		io_close(fs->io, fd);
	if (n < 0) {
		fuse_reply_err(req, fs_err(fs, (int)n));
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

/* The shape of mknod, mkdir and symlink: as the caller, make one name; then look it up. */
struct fs_make {
	mode_t mode;                    /* with the type */
	dev_t rdev;
	const char *target;             /* of a symbolic link */
};

static int fs_name_make_on_home(struct fs *fs, int dirfd, const char *name, const struct fs_make *m)
{
	if (S_ISLNK(m->mode))
		return io_symlinkat(fs->io, m->target, dirfd, name);
	if (S_ISDIR(m->mode))
		return io_mkdirat(fs->io, dirfd, name, m->mode & 07777);
	return io_mknodat(fs->io, dirfd, name, m->mode, m->rdev);
}

static void fs_name_make(fuse_req_t req, fuse_ino_t parent, const char *name, const struct fs_make *m)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct fs *fs = fs_from(req);
	struct fuse_entry_param e;
	bool became;
	int dirfd, rc;

	if (fs_virtual_owns(parent, name)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	dirfd = fs_name_dir(fs, parent);
	if (dirfd < 0) {
		fuse_reply_err(req, fs_err(fs, dirfd));
		return;
	}
	became = fs_creds_become(ctx->uid, ctx->gid);
	rc = fs_name_make_on_home(fs, dirfd, name, m);
	fs_creds_restore(became);
	if (rc == 0)
		rc = fs_name_entry(fs, parent, dirfd, name, &e);
	io_close(fs->io, dirfd);
	fs_name_reply(req, rc, &e);
}

void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_make m = { .mode = mode, .rdev = rdev };

	if (S_ISBLK(mode) || S_ISCHR(mode))     /* the mount is nodev */
		fuse_reply_err(req, EPERM);
	else
		fs_name_make(req, parent, name, &m);
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs_make m = { .mode = S_IFDIR | mode };

	fs_name_make(req, parent, name, &m);
}

void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs_make m = { .mode = S_IFLNK, .target = target };

	fs_name_make(req, parent, name, &m);
}

/* Is name in dirfd the last name of its inode?  Then the inode's number is about to be free: the node
 * to retire, and what its stat (lost->before) is to say then; the node can be opened without it, as on a local file
 * system.  Else 0, and a change of its metadata has begun. */
static uint64_t fs_name_last_of(struct fs *fs, int dirfd, const char *name, struct tier_meta *lost)
{
	uint64_t nodeid;
	int fd, rc;

	*lost = (struct tier_meta){ .lease = NULL };
	fd = home_openat_dir(fs->home, dirfd, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return 0;
	rc = tier_meta_begin(fs->tier, fd, lost);
	if (rc != 0 || (lost->before.st_nlink > 1 && !S_ISDIR(lost->before.st_mode))) {
		io_close(fs->io, fd);
		return 0;
	}
	tier_meta_end(fs->tier, lost, NULL);
	lost->before.st_nlink = 0;
	nodeid = fs_inode_by_st_ino(fs->inodes, lost->before.st_ino);
	if (nodeid != 0 && S_ISREG(lost->before.st_mode))
		fs_inode_keep(fs->inodes, nodeid, fd);
	else
		io_close(fs->io, fd);
	return nodeid;
}

/* A name of the file went: it has other names still, and its ctime has changed. */
static void fs_name_lost_one(struct fs *fs, struct tier_meta *lost)
{
	uint64_t nodeid = lost->before.st_nlink > 1 ? fs_inode_by_st_ino(fs->inodes, lost->before.st_ino) : 0;
	int fd = nodeid != 0 ? fs_inode_open(fs->inodes, nodeid, O_PATH | O_NOFOLLOW) : -ENOENT;

	if (fd < 0) {
		tier_meta_end(fs->tier, lost, NULL);
		return;
	}
	fs_attr_own_change(fs, nodeid, fd, lost);
	io_close(fs->io, fd);
}

/* Names are part of what changes a file's ctime: say that it was us. */
static void fs_name_own_change(struct fs *fs, int dirfd, const char *name, struct tier_meta *meta)
{
	struct home_ident id;
	struct stat st;
	int fd, rc;

	fd = home_openat_dir(fs->home, dirfd, name, O_PATH | O_NOFOLLOW, 0);
	rc = fd < 0 ? fd : io_fstat(fs->io, fd, &st);
	if (rc == 0) {
		id = home_ident(&st);
		fs_inode_own_change(fs->inodes, fs_inode_by_st_ino(fs->inodes, st.st_ino), &id, false);
	}
	tier_meta_end(fs->tier, meta, rc == 0 ? &st : NULL);
	if (fd >= 0)
		io_close(fs->io, fd);
}

/* The last name of the file went, whether the kernel knew it or not. */
static void fs_name_gone(struct fs *fs, uint64_t nodeid, const struct stat *last)
{
	if (nodeid != 0)
		fs_inode_retire(fs->inodes, nodeid, last);
	if (last->st_ino != 0 && last->st_nlink == 0 && S_ISREG(last->st_mode))
		tier_gone(fs->tier, last->st_ino);
}

/* What was written under another name has its own now (Ollama's seal). */
static void fs_name_sealed(struct fs *fs, int dirfd, const char *name, pid_t pid)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	fd = home_openat_dir(fs->home, dirfd, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return;
	if (io_fstat(fs->io, fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    fs_inode_path(fs->inodes, fs_inode_by_st_ino(fs->inodes, st.st_ino), 0, path))
		tier_sealed(fs->tier, st.st_ino, path, pid);
	io_close(fs->io, fd);
}

static void fs_name_remove(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
	struct fs *fs = fs_from(req);
	struct tier_meta lost;
	uint64_t gone;
	int dirfd, rc;

	if (fs_virtual_owns(parent, name)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	dirfd = fs_name_dir(fs, parent);
	if (dirfd < 0) {
		fuse_reply_err(req, fs_err(fs, dirfd));
		return;
	}
	gone = fs_name_last_of(fs, dirfd, name, &lost);
	rc = io_unlinkat(fs->io, dirfd, name, flags);
	io_close(fs->io, dirfd);
	if (rc == 0) {
		fs_name_gone(fs, gone, &lost.before);
		fs_inode_unname(fs->inodes, parent, name);
		fs_name_lost_one(fs, &lost);
	} else {
		fs_inode_unkeep(fs->inodes, gone);
		tier_meta_end(fs->tier, &lost, NULL);
	}
	fuse_reply_err(req, fs_err(fs, rc));
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fs_name_remove(req, parent, name, 0);
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fs_name_remove(req, parent, name, AT_REMOVEDIR);
}

/* Design rule R8: whoever renames a file over or to its final name is told so only when the bytes are
 * on disk.  Clients of this mount (Ollama, the Hugging Face hub) never sync by themselves. */
static int fs_name_sync_file(struct fs *fs, int dirfd, const char *name, struct tier_meta *meta)
{
	int fd, rc;

	fd = home_openat_dir(fs->home, dirfd, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	rc = tier_meta_begin(fs->tier, fd, meta);
	io_close(fs->io, fd);
	if (rc != 0 || !S_ISREG(meta->before.st_mode))
		return rc;
	fd = home_openat_dir(fs->home, dirfd, name, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	rc = io_fsync(fs->io, fd);
	io_close(fs->io, fd);
	if (rc == 0)
		fs_count(fs, FS_SEALS, 1);
	return rc;
}

/* Directories on the way to what was renamed, from the new parent up, and the old parent. */
static int fs_name_sync_dirs(struct fs *fs, fuse_ino_t parent, fuse_ino_t newparent)
{
	char path[PATH_MAX];
	int rc;

	if (!fs_inode_path(fs->inodes, newparent, 0, path))
		return 0;               /* removed meanwhile, name and all */
	rc = home_sync_dirs(fs->home, path);
	if (rc == 0 && parent != newparent && fs_inode_path(fs->inodes, parent, 0, path))
		rc = home_sync_dirs(fs->home, path);
	return rc == -ENOENT ? 0 : rc;
}

static void fs_name_undone(struct fs *fs, struct tier_meta *from, struct tier_meta *to, struct tier_meta *lost)
{
	tier_meta_end(fs->tier, from, NULL);
	tier_meta_end(fs->tier, to, NULL);
	tier_meta_end(fs->tier, lost, NULL);
}

static int fs_name_rename(struct fs *fs, fuse_ino_t parent, int dirfd, const char *name, fuse_ino_t newparent,
			  int newdirfd, const char *newname, unsigned flags, pid_t pid)
{
	struct tier_meta lost = { .lease = NULL }, from = lost, to = lost;
	uint64_t gone = 0;
	int rc;

	rc = fs_name_sync_file(fs, dirfd, name, &from);
	if (rc == 0 && (flags & RENAME_EXCHANGE))
		rc = fs_name_sync_file(fs, newdirfd, newname, &to);
	if (rc != 0)
		goto out;
	if (!(flags & RENAME_EXCHANGE))
		gone = fs_name_last_of(fs, newdirfd, newname, &lost);
	rc = io_renameat(fs->io, dirfd, name, newdirfd, newname, flags);
	if (rc != 0) {
		fs_inode_unkeep(fs->inodes, gone);
		fs_name_undone(fs, &from, &to, &lost);
		return rc;
	}
	fs_name_gone(fs, gone, &lost.before);
	fs_name_lost_one(fs, &lost);
	fs_inode_rename(fs->inodes, parent, name, newparent, newname, (flags & RENAME_EXCHANGE) != 0);
	fs_name_own_change(fs, newdirfd, newname, &from);
	fs_name_sealed(fs, newdirfd, newname, pid);
	if (flags & RENAME_EXCHANGE)
		fs_name_own_change(fs, dirfd, name, &to);
	rc = fs_name_sync_dirs(fs, parent, newparent);
	goto synced;
out:
	fs_name_undone(fs, &from, &to, &lost);
synced:
	if (rc != 0 && rc != -ENOENT) {
		fs_count(fs, FS_SYNC_ERRORS, 1);
		log_err("cannot make '%s' durable on home: %s", newname, strerror(-rc));
	}
	return rc;
}

void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		  const char *newname, unsigned int flags)
{
	struct fs *fs = fs_from(req);
	int dirfd, newdirfd = -1, rc;

	if (fs_virtual_owns(parent, name) || fs_virtual_owns(newparent, newname)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	dirfd = fs_name_dir(fs, parent);
	newdirfd = fs_name_dir(fs, newparent);
	if (dirfd < 0)
		rc = dirfd;
	else if (newdirfd < 0)
		rc = newdirfd;
	else
		rc = fs_name_rename(fs, parent, dirfd, name, newparent, newdirfd, newname, flags,
				    fuse_req_ctx(req)->pid);
	if (dirfd >= 0)
		io_close(fs->io, dirfd);
	if (newdirfd >= 0)
		io_close(fs->io, newdirfd);
	fuse_reply_err(req, fs_err(fs, rc));
}

void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	struct fs *fs = fs_from(req);
	struct fuse_entry_param e;
	struct tier_meta meta = { .lease = NULL };
	int fd, dirfd, rc;

	if (fs_virtual_is(ino) || fs_virtual_owns(newparent, newname)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	fd = fs_inode_open(fs->inodes, ino, O_PATH | O_NOFOLLOW);
	dirfd = fs_name_dir(fs, newparent);
	if (fd < 0)
		rc = fd;
	else if (dirfd < 0)
		rc = dirfd;
	else
		rc = tier_meta_begin(fs->tier, fd, &meta);
	if (rc == 0)
		rc = io_linkfd(fs->io, fd, dirfd, newname);
	if (rc == 0)
		fs_attr_own_change(fs, ino, fd, &meta);
	else
		tier_meta_end(fs->tier, &meta, NULL);
	if (rc == 0)
		rc = fs_name_entry(fs, newparent, dirfd, newname, &e);
	if (fd >= 0)
		io_close(fs->io, fd);
	if (dirfd >= 0)
		io_close(fs->io, dirfd);
	fs_name_reply(req, rc, &e);
}
