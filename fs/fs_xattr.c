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
	tier_usage_print(&u, buf, sizeof(buf));
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

/* When its bytes were last compared with its name.  Nothing compares them yet, and it says so. */
static int fs_xattr_verified(struct fs *fs, fuse_ino_t ino, char **out)
{
	(void)fs;
	(void)ino;
	*out = strdup("never");
	return *out != NULL ? 0 : -ENOMEM;
}

static const struct {
	const char *name;               /* after the prefix */
	int (*get)(struct fs *fs, fuse_ino_t ino, char **out);
} fs_xattr_table[] = {
	{ "tier", fs_xattr_tier },
	{ "map", fs_xattr_map },
	{ "stats", fs_xattr_stats },
	{ "verified", fs_xattr_verified },
};

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
	int fd, rc;

	if (!fs_xattr_is_user(name) || fs_xattr_is_virtual(name) || fs_virtual_is(ino)) {
		fuse_reply_err(req, fs_xattr_is_user(name) ? EPERM : EOPNOTSUPP);
		return;
	}
	fd = fs_inode_open(fs->inodes, ino, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		rc = fd;
	else if (value != NULL)
		rc = io_fsetxattr(fs->io, fd, name, value, size, flags);
	else
		rc = io_fremovexattr(fs->io, fd, name);
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
