/* fs_xattr.c - extended attributes: user.hearth.* answers questions, other user.* are home's own.
 *
 * The virtual ones answer by name and are not listed, so that cp -a and rsync -X do not meet them.
 * trusted.*, security.* and system.* are not supported: the kernel lets some of them through unchecked.
 */
#include "fs/fs.h"
#include "fs/fs_report.h"
#include "fs/fs_virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FS_XATTR_PREFIX "user.hearth."

static bool fs_xattr_is_user(const char *name)
{
	return strncmp(name, "user.", 5) == 0;
}

static bool fs_xattr_is_virtual(const char *name)
{
	return strncmp(name, FS_XATTR_PREFIX, sizeof(FS_XATTR_PREFIX) - 1) == 0;
}

static int fs_xattr_tier(struct fs *fs, fuse_ino_t ino, char **out)
{
	struct tier_usage u;
	char buf[256];
	int rc;

	rc = fs_report_usage(fs, ino, &u);
	if (rc != 0)
		return rc;
	tier_usage_print(fs->tier, &u, buf, sizeof(buf));
	*out = strdup(buf);
	return *out != NULL ? 0 : -ENOMEM;
}

static int fs_xattr_map(struct fs *fs, fuse_ino_t ino, char **out)
{
	char *text;
	int rc;

	rc = fs_report_map(fs, ino, &text);
	if (rc != 0)
		return rc == -ENOENT ? -ENODATA : rc;
	if (strlen(text) > XATTR_SIZE_MAX) {            /* it is always whole in .hearth/map */
		free(text);
		return -E2BIG;
	}
	*out = text;
	return 0;
}

static int fs_xattr_stats(struct fs *fs, fuse_ino_t ino, char **out)
{
	return ino == FUSE_ROOT_ID ? fs_report_stats(fs, out) : -ENODATA;
}

/* The file that is asked about, opened, with its stat and path below home. */
struct fs_xattr_file {
	int fd;
	struct stat st;
	char path[PATH_MAX];
};

static int fs_xattr_open(struct fs *fs, fuse_ino_t ino, struct fs_xattr_file *f)
{
	int rc;

	f->fd = fs_inode_open(fs->inodes, ino, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	if (f->fd < 0)
		return f->fd;
	if (!fs_inode_path(fs->inodes, ino, 0, f->path))
		f->path[0] = '\0';
	rc = io_fstat(fs->io, f->fd, &f->st);
	if (rc != 0)
		io_close(fs->io, f->fd);
	return rc;
}

static int fs_xattr_of_stat(struct fs *fs, fuse_ino_t ino, char **out,
			    int (*print)(struct tier *t, const struct stat *st, char **out))
{
	struct fs_xattr_file f;
	int rc = fs_xattr_open(fs, ino, &f);

	if (rc != 0)
		return rc;
	io_close(fs->io, f.fd);
	return S_ISREG(f.st.st_mode) ? print(fs->tier, &f.st, out) : -ENODATA;
}

static int fs_xattr_heat(struct fs *fs, fuse_ino_t ino, char **out)
{
	return fs_xattr_of_stat(fs, ino, out, tier_heat_print);
}

static int fs_xattr_why(struct fs *fs, fuse_ino_t ino, char **out)
{
	return fs_xattr_of_stat(fs, ino, out, tier_why_print);
}

static int fs_xattr_warm(struct fs *fs, fuse_ino_t ino, char **out)
{
	return fs_xattr_of_stat(fs, ino, out, tier_warm_print);
}

static int fs_xattr_verified(struct fs *fs, fuse_ino_t ino, char **out)
{
	struct fs_xattr_file f;
	int rc = fs_xattr_open(fs, ino, &f);

	if (rc != 0)
		return rc;
	rc = S_ISREG(f.st.st_mode) ? tier_verified_print(fs->tier, f.fd, &f.st, out) : -ENODATA;
	io_close(fs->io, f.fd);
	return rc;
}

static int fs_xattr_pin(struct fs *fs, fuse_ino_t ino, char **out)
{
	struct fs_xattr_file f;
	int rc = fs_xattr_open(fs, ino, &f);

	if (rc != 0)
		return rc;
	rc = tier_pin_print(fs->tier, f.fd, f.path, out);
	io_close(fs->io, f.fd);
	return rc;
}

/* "none": -1; a tier's name: its number; else -EINVAL. */
static int fs_xattr_parse_tier(struct fs *fs, const char *value, int *id)
{
	*id = strcmp(value, "none") == 0 ? -1 : tier_find(fs->tier, value);
	return *id == -ENOENT ? -EINVAL : 0;
}

static int fs_xattr_set_pin(struct fs *fs, fuse_ino_t ino, const struct fs_xattr_file *f, const char *value)
{
	int id = TIER_PIN_REMOVE, rc = value != NULL ? fs_xattr_parse_tier(fs, value, &id) : 0;

	if (rc == 0)
		rc = tier_pin(fs->tier, f->fd, &f->st, f->path, id);
	if (rc == 0)
		fs_attr_own_change(fs, ino, f->fd, NULL);
	return rc;
}

struct fs_xattr_below {
	struct fs *fs;
	int dirfd, depth, to;
	char path[PATH_MAX];
};

/* A directory is warmed file by file. */
static int fs_xattr_warm_entry(void *ctx, const char *name)
{
	struct fs_xattr_below *w = ctx, below;
	struct fs *fs = w->fs;
	struct stat st;
	int fd;

	if (snprintf(below.path, sizeof(below.path), "%s%s%s", w->path, w->path[0] != '\0' ? "/" : "", name) >=
	    (int)sizeof(below.path))
		return 0;
	fd = home_openat_dir(fs->home, w->dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0)
		return 0;
	if (io_fstat(fs->io, fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= (off_t)TIER_EXTENT_BYTES) {
		if (tier_warm(fs->tier, fd, &st, below.path, w->to) != 0)
			log_warn("cannot warm '%s'", below.path);
	} else if (S_ISDIR(st.st_mode) && w->depth > 0) {
		below.fs = fs;
		below.dirfd = fd;
		below.depth = w->depth - 1;
		below.to = w->to;
		if (home_list(fs->home, fd, fs_xattr_warm_entry, &below) != 0)
			log_warn("cannot list '%s'", below.path);
	}
	io_close(fs->io, fd);
	return 0;
}

static int fs_xattr_set_warm(struct fs *fs, fuse_ino_t ino, const struct fs_xattr_file *f, const char *value)
{
	struct fs_xattr_below w = { .fs = fs, .dirfd = f->fd, .depth = 32 };
	int rc = fs_xattr_parse_tier(fs, value, &w.to);

	(void)ino;
	if (rc != 0 || !S_ISDIR(f->st.st_mode))
		return rc != 0 ? rc : tier_warm(fs->tier, f->fd, &f->st, f->path, w.to);
	snprintf(w.path, sizeof(w.path), "%s", f->path);
	return home_list(fs->home, f->fd, fs_xattr_warm_entry, &w);
}

static int fs_xattr_set_verified(struct fs *fs, fuse_ino_t ino, const struct fs_xattr_file *f, const char *value)
{
	bool start = strcmp(value, "now") == 0;

	(void)ino;
	if (!start && strcmp(value, "stop") != 0)
		return -EINVAL;
	return tier_verify(fs->tier, f->fd, &f->st, f->path, start);
}

static const struct {
	const char *name;               /* after the prefix */
	int (*get)(struct fs *fs, fuse_ino_t ino, char **out);
	int (*set)(struct fs *fs, fuse_ino_t ino, const struct fs_xattr_file *f, const char *value);
} fs_xattr_table[] = {
	{ "tier", fs_xattr_tier, NULL },
	{ "map", fs_xattr_map, NULL },
	{ "stats", fs_xattr_stats, NULL },
	{ "heat", fs_xattr_heat, NULL },
	{ "why", fs_xattr_why, NULL },
	{ "pin", fs_xattr_pin, fs_xattr_set_pin },
	{ "warm", fs_xattr_warm, fs_xattr_set_warm },
	{ "verified", fs_xattr_verified, fs_xattr_set_verified },
};

/* An order: from root or the owner only, by whatever name the kernel let through.  value NULL: taken back. */
static int fs_xattr_set_virtual(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size)
{
	struct fs *fs = fs_from(req);
	struct fs_xattr_file f;
	char text[64];
	int rc = -EPERM;

	name += sizeof(FS_XATTR_PREFIX) - 1;
	if (size >= sizeof(text))
		return -EINVAL;
	if (value != NULL)
		memcpy(text, value, size);
	text[size] = '\0';
	for (size_t i = 0; i < sizeof(fs_xattr_table) / sizeof(fs_xattr_table[0]); i++) {
		if (strcmp(fs_xattr_table[i].name, name) != 0 || fs_xattr_table[i].set == NULL ||
		    (value == NULL && fs_xattr_table[i].set != fs_xattr_set_pin))
			continue;
		rc = fs_xattr_open(fs, ino, &f);
		if (rc != 0)
			return rc;
		rc = -EPERM;
		if (fuse_req_ctx(req)->uid == 0 || fuse_req_ctx(req)->uid == f.st.st_uid)
			rc = fs_xattr_table[i].set(fs, ino, &f, value != NULL ? text : NULL);
		io_close(fs->io, f.fd);
	}
	return rc;
}

static int fs_xattr_get_virtual(struct fs *fs, fuse_ino_t ino, const char *name, char **out)
{
	name += sizeof(FS_XATTR_PREFIX) - 1;
	for (size_t i = 0; i < sizeof(fs_xattr_table) / sizeof(fs_xattr_table[0]); i++)
		if (strcmp(fs_xattr_table[i].name, name) == 0)
			return fs_xattr_table[i].get(fs, ino, out);
	return -ENODATA;
}

/* Reply with len bytes at buf by the rules of getxattr(2): the size when none was offered. */
static void fs_xattr_reply(fuse_req_t req, const char *buf, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, buf, len);
}

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fs_from(req);
	char *buf = NULL;
	ssize_t n;
	int fd;

	if (fs_virtual_is(ino) || !fs_xattr_is_user(name)) {
		fuse_reply_err(req, fs_virtual_is(ino) ? ENODATA : EOPNOTSUPP);
		return;
	}
	if (fs_xattr_is_virtual(name)) {
		n = fs_xattr_get_virtual(fs, ino, name, &buf);
		if (n == 0)
			n = (ssize_t)strlen(buf);
	} else {
		fd = fs_inode_open(fs->inodes, ino, O_PATH | O_NOFOLLOW);
		buf = malloc(XATTR_SIZE_MAX);
		if (fd < 0)
			n = fd;
		else
			n = buf == NULL ? -ENOMEM : io_fgetxattr(fs->io, fd, name, buf, XATTR_SIZE_MAX);
		if (fd >= 0)
			io_close(fs->io, fd);
	}
	if (n < 0)
		fuse_reply_err(req, fs_err(fs, (int)n));
	else
		fs_xattr_reply(req, buf, (size_t)n, size);
	free(buf);
}

/* Keep home's user.* names, in place; returns the bytes that are left. */
static size_t fs_xattr_filter(char *list, size_t len)
{
	size_t kept = 0;

	for (size_t at = 0; at < len;) {
		size_t n = strlen(list + at) + 1;

		if (fs_xattr_is_user(list + at) && !fs_xattr_is_virtual(list + at)) {
			memmove(list + kept, list + at, n);
			kept += n;
		}
		at += n;
	}
	return kept;
}

void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fs_from(req);
	char *buf = malloc(XATTR_LIST_MAX);
	ssize_t n = 0;
	int fd;

	if (buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (!fs_virtual_is(ino)) {
		fd = fs_inode_open(fs->inodes, ino, O_PATH | O_NOFOLLOW);
		n = fd < 0 ? fd : io_flistxattr(fs->io, fd, buf, XATTR_LIST_MAX);
		if (fd >= 0)
			io_close(fs->io, fd);
	}
	if (n < 0)
		fuse_reply_err(req, fs_err(fs, (int)n));
	else
		fs_xattr_reply(req, buf, fs_xattr_filter(buf, (size_t)n), size);
	free(buf);
}

/* value NULL: remove. */
static void fs_xattr_change(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct fs *fs = fs_from(req);
	struct tier_meta meta;
	int fd, rc;

	if (fs_xattr_is_virtual(name) && !fs_virtual_is(ino)) {
		rc = fs_xattr_set_virtual(req, ino, name, value, size);
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	if (!fs_xattr_is_user(name) || fs_virtual_is(ino)) {
		fuse_reply_err(req, fs_xattr_is_user(name) ? EPERM : EOPNOTSUPP);
		return;
	}
	fd = fs_inode_open(fs->inodes, ino, O_PATH | O_NOFOLLOW);
	rc = fd < 0 ? fd : tier_meta_begin(fs->tier, fd, &meta);
	if (rc != 0)
		goto out;
	if (value != NULL)
		rc = io_fsetxattr(fs->io, fd, name, value, size, flags);
	else
		rc = io_fremovexattr(fs->io, fd, name);
	if (rc == 0)
		fs_attr_own_change(fs, ino, fd, &meta);
	else
		tier_meta_end(fs->tier, &meta, NULL);
out:
	if (fd >= 0)
		io_close(fs->io, fd);
	fuse_reply_err(req, fs_err(fs, rc));
}

void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	fs_xattr_change(req, ino, name, value, size, flags);
}

void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	fs_xattr_change(req, ino, name, NULL, 0, 0);
}
