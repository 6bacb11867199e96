#include "fs/fs_virtual.h"
#include "fs/fs_report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FS_VIRTUAL_BIT (1ull << 62)
#define FS_MAP_BIT     (1ull << 61)

enum { FS_V_DIR = 1, FS_V_STATS, FS_V_METRICS, FS_V_MAP, FS_V_EVENTS, FS_V_TRACE, FS_V_PLAN, FS_V_COUNT };

static const struct {
	const char *name;
	bool is_dir;
	uint64_t parent;
} fs_virtual_table[FS_V_COUNT] = {
	[FS_V_DIR]     = { FS_VIRTUAL_NAME, true, FUSE_ROOT_ID },
	[FS_V_STATS]   = { "stats", false, FS_VIRTUAL_BIT | FS_V_DIR },
	[FS_V_METRICS] = { "metrics", false, FS_VIRTUAL_BIT | FS_V_DIR },
	[FS_V_MAP]     = { "map", true, FS_VIRTUAL_BIT | FS_V_DIR },
	[FS_V_EVENTS]  = { "events", false, FS_VIRTUAL_BIT | FS_V_DIR },
	[FS_V_TRACE]   = { "trace", false, FS_VIRTUAL_BIT | FS_V_DIR },
	[FS_V_PLAN]    = { "plan", false, FS_VIRTUAL_BIT | FS_V_DIR },
};

bool fs_virtual_owns(fuse_ino_t parent, const char *name)
{
	return fs_virtual_is(parent) || (parent == FUSE_ROOT_ID && strcmp(name, FS_VIRTUAL_NAME) == 0);
}

static bool fs_virtual_is_map(fuse_ino_t ino)
{
	return (ino & FS_MAP_BIT) != 0;
}

static void fs_virtual_stat(const struct fs *fs, fuse_ino_t ino, struct stat *st)
{
	bool is_dir = !fs_virtual_is_map(ino) && fs_virtual_table[ino & 0xff].is_dir;

	*st = (struct stat){
		.st_ino = ino,
		.st_mode = is_dir ? S_IFDIR | 0555 : S_IFREG | 0444,
		.st_nlink = is_dir ? 2 : 1,
		.st_blksize = FS_BLKSIZE,
		.st_mtim.tv_sec = fs->started, .st_ctim.tv_sec = fs->started, .st_atim.tv_sec = fs->started,
	};
}

/* A decimal st_ino that the kernel knows on this mount.  Others have no map here: look the file up. */
static bool fs_virtual_map_ino(struct fs *fs, const char *name, fuse_ino_t *ino)
{
	unsigned long long st_ino;
	char *end;

	if (name[0] < '0' || name[0] > '9')
		return false;
	errno = 0;
	st_ino = strtoull(name, &end, 10);
	if (*end != '\0' || errno != 0 || st_ino >= FS_MAP_BIT || fs_inode_by_st_ino(fs->inodes, st_ino) == 0)
		return false;
	*ino = FS_VIRTUAL_BIT | FS_MAP_BIT | st_ino;
	return true;
}

void fs_virtual_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .attr_timeout = FS_ATTR_TIMEOUT_S, .entry_timeout = FS_ATTR_TIMEOUT_S };
	struct fs *fs = fs_from(req);

	if (parent == (FS_VIRTUAL_BIT | FS_V_MAP))
		fs_virtual_map_ino(fs, name, &e.ino);
	for (unsigned i = FS_V_DIR; i < FS_V_COUNT; i++)
		if (fs_virtual_table[i].parent == parent && strcmp(fs_virtual_table[i].name, name) == 0)
			e.ino = FS_VIRTUAL_BIT | i;
	if (e.ino == 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fs_virtual_stat(fs, e.ino, &e.attr);
	fuse_reply_entry(req, &e);
}

void fs_virtual_getattr(fuse_req_t req, fuse_ino_t ino)
{
	struct stat st;

	fs_virtual_stat(fs_from(req), ino, &st);
	fuse_reply_attr(req, &st, FS_ATTR_TIMEOUT_S);
}

static int fs_virtual_map_text(struct fs *fs, fuse_ino_t ino, char **text)
{
	uint64_t st_ino = ino & (FS_MAP_BIT - 1);

	return fs_report_map(fs, fs_inode_by_st_ino(fs->inodes, st_ino), text);
}

static int fs_virtual_text(struct fs *fs, fuse_ino_t ino, char **text)
{
	if (fs_virtual_is_map(ino))
		return fs_virtual_map_text(fs, ino, text);
	switch (ino & 0xff) {
	case FS_V_STATS:
		return fs_report_stats(fs, text);
	case FS_V_METRICS:
		return fs_report_metrics(fs, text);
	case FS_V_EVENTS:
		return tier_events_print(fs->tier, text);
	case FS_V_TRACE:
		return tier_trace_print(fs->tier, text);
	case FS_V_PLAN:
		return tier_plan_print(fs->tier, text);
	default:
		return -EISDIR;
	}
}

void fs_virtual_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_handle h = { .nodeid = ino, .fd = -1 };
	struct fs *fs = fs_from(req);
	int rc;

	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		rc = -EACCES;
	else
		rc = fs_virtual_text(fs, ino, &h.text);
	if (rc == 0) {
		h.text_len = strlen(h.text);
		rc = fs_handle_add(fs->handles, &h, &fi->fh);
	}
	if (rc != 0) {
		free(h.text);
		fuse_reply_err(req, fs_err(fs, rc));
		return;
	}
	fi->direct_io = 1;              /* the size in stat is 0: reads must not be cut to it */
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) != 0 && fs_handle_del(fs->handles, fi->fh, &h))
		free(h.text);
}

void fs_virtual_read(fuse_req_t req, const struct fs_handle *h, size_t size, off_t off)
{
	size_t at = (size_t)off < h->text_len ? (size_t)off : h->text_len;
	size_t len = h->text_len - at < size ? h->text_len - at : size;
	char *copy = malloc(len + 1);

	/* once the client has its answer it may close, and the handle's text may go, while we still reply */
	if (copy == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	memcpy(copy, h->text + at, len);
	fuse_reply_buf(req, copy, len);
	free(copy);
}

void fs_virtual_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	const char *names[FS_V_COUNT + 2] = { ".", ".." };
	fuse_ino_t inos[FS_V_COUNT + 2] = { ino, FUSE_ROOT_ID };
	size_t n = 2, used = 0;
	char buf[1024];

	for (unsigned i = FS_V_DIR; i < FS_V_COUNT; i++) {
		if (fs_virtual_table[i].parent != ino)
			continue;
		names[n] = fs_virtual_table[i].name;
		inos[n++] = FS_VIRTUAL_BIT | i;
	}
	if (size > sizeof(buf))
		size = sizeof(buf);
	for (size_t i = (size_t)off; i < n; i++) {
		struct stat st;
		size_t len;

		fs_virtual_stat(fs_from(req), fs_virtual_is(inos[i]) ? inos[i] : ino, &st);
		st.st_ino = inos[i];
		len = fuse_add_direntry(req, buf + used, size - used, names[i], &st, (off_t)i + 1);
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, buf, used);
}
