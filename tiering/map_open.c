#include "tiering/map_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAP_NEW MAP_FILE ".new"

/* What opening works on. */
struct map_repair {
	const struct map_config *cfg;
	struct map_report *report;
	int dirfd;
	char path[PATH_MAX], new_path[PATH_MAX];
};

static int map_repair_sync_dir(const struct map_repair *r)
{
	int rc = io_fsync(r->cfg->io, r->dirfd);

	return rc == -EINVAL ? 0 : rc;          /* a file system whose directories need no fsync */
}

static int map_repair_rename(const struct map_repair *r, const char *from, const char *to)
{
	int rc = io_renameat(r->cfg->io, r->dirfd, from, r->dirfd, to, 0);

	return rc == -ENOENT ? 0 : rc;
}

static void map_repair_remove(const struct map_repair *r, const char *name)
{
	(void)!io_unlinkat(r->cfg->io, r->dirfd, name, 0);
}

/* The old file under another name, its log with it, in this order: a file without its log would be taken
 * for a whole one, a log without its file is removed. */
static int map_repair_set_aside(const struct map_repair *r, uint32_t format)
{
	char name[64] = MAP_FILE ".damaged", log[80];
	int rc;

	if (format != 0)
		snprintf(name, sizeof(name), MAP_FILE ".format-%u", format);
	snprintf(log, sizeof(log), "%s-wal", name);
	map_repair_remove(r, log);
	rc = map_repair_rename(r, MAP_FILE, name);
	if (rc == 0)
		rc = map_repair_sync_dir(r);
	if (rc == 0)
		rc = map_repair_rename(r, MAP_FILE "-wal", log);
	map_repair_remove(r, MAP_FILE "-journal");
	return rc == 0 ? map_repair_sync_dir(r) : rc;
}

/* ---- copying what is good ---------------------------------------------------------------------- */

struct map_copy {
	struct map_db to;
	struct map_row_set root;
	bool all_suspect;
	uint64_t suspects;
};

static int map_copy_name(void *ctx, enum map_row_table kind, const void *name, size_t name_len, const void *value,
			 size_t len)
{
	struct map_copy *c = ctx;

	map_row_set_add(&c->root, value, len + MAP_ROW_CHECK);
	return map_apply_put_name(&c->to, kind, name, name_len, value, len + MAP_ROW_CHECK);
}

static int map_copy_chunk(void *ctx, uint64_t blob, uint64_t part, const struct map_row_chunk *chunk)
{
	unsigned char value[MAP_ROW_CHUNK_MAX];
	struct map_copy *c = ctx;
	size_t len = map_row_chunk_encode(chunk, map_row_key(MAP_ROW_CHUNK, blob, part), value);

	return map_apply_put(&c->to, MAP_SQL_CHUNK_PUT, blob, part, value, len);
}

static int map_copy_blob_end(void *ctx, const struct map_scan_blob *b)
{
	unsigned char value[MAP_ROW_BLOB_MAX];
	struct map_row_blob row = b->row;
	struct map_copy *c = ctx;
	size_t len;

	row.chunks = b->found;
	if (!row.suspect && (c->all_suspect || !b->agrees)) {
		row.suspect = true;
		c->suspects++;
	}
	len = map_row_blob_encode(&row, map_row_key(MAP_ROW_BLOB, b->id, 0), value);
	map_row_set_add(&c->root, value, len);
	return map_apply_put(&c->to, MAP_SQL_BLOB_PUT, b->id, 0, value, len);
}

static int map_copy_heat(void *ctx, uint64_t blob, const void *value, size_t len)
{
	struct map_copy *c = ctx;

	return map_apply_put(&c->to, MAP_SQL_HEAT_PUT, blob, 0, value, len + MAP_ROW_CHECK);
}

/* All good rows of d into a new file, which is durable when this returns 0. */
static int map_repair_copy(struct map_repair *r, struct map_db *d, bool all_suspect)
{
	struct map_copy c = { .all_suspect = all_suspect };
	const struct map_visit visit = {
		.name = map_copy_name, .chunk = map_copy_chunk, .blob_end = map_copy_blob_end,
		.heat = map_copy_heat, .ctx = &c,
	};
	struct map_scan_result seen;
	int rc;

	map_repair_remove(r, MAP_NEW);
	map_repair_remove(r, MAP_NEW "-wal");
	map_repair_remove(r, MAP_NEW "-journal");
	rc = map_db_open(&c.to, r->new_path, r->cfg->vfs, MAP_DB_WRITE);
	if (rc != 0)
		return rc;
	rc = map_db_do(&c.to, MAP_SQL_BEGIN);
	if (rc == 0)
		rc = map_scan(d, &visit, &seen);
	if (rc == 0)
		rc = map_apply_root(&c.to, &c.root);
	if (rc == 0)
		rc = map_db_do(&c.to, MAP_SQL_COMMIT);
	if (rc == 0)
		rc = map_db_checkpoint(&c.to, true);
	map_db_close(&c.to);
	if (rc == 0)
		r->report->suspect_blobs += c.suspects;
	return rc;
}

/* Replace the damaged file, open in d, by a copy of its good rows.  d is closed in any case. */
static int map_repair_rebuild(struct map_repair *r, struct map_db *d, const struct map_scan_result *seen)
{
	int rc;

	r->report->bad_rows += seen->bad_rows;
	r->report->unreadable += seen->unreadable + seen->heat_lost;
	rc = map_repair_copy(r, d, !seen->root_agrees);
	map_db_close(d);
	map_repair_remove(r, MAP_NEW "-wal");
	if (rc == 0)
		rc = map_repair_set_aside(r, 0);
	if (rc == 0)
		rc = map_repair_rename(r, MAP_NEW, MAP_FILE);
	if (rc == 0)
		rc = map_repair_sync_dir(r);
	r->report->rebuilt = rc == 0;
	return rc;
}

/* ---- opening ------------------------------------------------------------------------------------ */

/* -EUCLEAN: it was damaged and has been rebuilt; open it again.  A scan of other errors: as map_db_open. */
static int map_repair_open(struct map_repair *r, struct map_db *d, struct map_row_set *root)
{
	static const struct map_visit nothing;
	struct map_scan_result seen;
	bool lost = map_log_lost(r->cfg->io, r->dirfd, MAP_FILE "-wal");
	int rc;

	rc = map_db_open(d, r->path, r->cfg->vfs, MAP_DB_WRITE);
	if (rc != 0)
		return rc;
	map_db_read_ahead(d);
	rc = map_scan(d, &nothing, &seen);
	if (rc == 0)
		rc = map_scan_heat_pages(d, &seen);
	if (rc != 0) {
		map_db_close(d);
		return rc;
	}
	/* it was opened for writing: damage of its header made SQLite take it for one of a later version, to be read only */
	if (sqlite3_db_readonly(d->db, "main") == 1)
		seen.unreadable++;
	if (lost) {                             /* the rows are whole, and of an older commit */
		seen.unreadable++;
		seen.root_agrees = false;
	}
	if (map_scan_damaged(&seen)) {
		rc = map_repair_rebuild(r, d, &seen);
		return rc == 0 ? -EUCLEAN : rc;
	}
	*root = seen.root;
	/* the log goes into the file now: what a failed sync once left in it is written anew */
	rc = map_db_checkpoint(d, false);
	if (rc != 0 && rc != -ENOSPC && rc != -ENOMEM)
		r->report->read_only = rc;
	if (!r->report->rebuilt && !r->report->started_anew)
		r->report->created = d->empty;
	return 0;
}

/* For a directory that cannot be written: what the last orderly close left.  With anything in the log the
 * file alone is old and of no use. */
static void map_repair_read_only(struct map_repair *r, struct map_db *d)
{
	static const struct map_visit nothing;
	char uri[3 * PATH_MAX + 32] = "file:", *p = uri + strlen(uri);
	struct map_scan_result seen;
	struct stat st;

	if (fstatat(r->dirfd, MAP_FILE "-wal", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
		return;
	for (const char *s = r->path; *s != '\0'; s++)
		p += strchr("?#%", *s) != NULL ? sprintf(p, "%%%02X", (unsigned char)*s) : sprintf(p, "%c", *s);
	strcpy(p, "?immutable=1");
	if (map_db_open(d, uri, r->cfg->vfs, MAP_DB_READ) != 0)
		return;
	if (map_scan(d, &nothing, &seen) != 0 || map_scan_damaged(&seen))
		map_db_close(d);
}

static void map_repair_say(struct map_report *p)
{
	size_t cap = sizeof(p->text);
	int n = 0;

	if (p->started_anew && p->found_format != 0)
		n = snprintf(p->text, cap, "the map is of format %u; it was set aside and a new one begun", p->found_format);
	else if (p->started_anew)
		n = snprintf(p->text, cap, "the map could not be read; it was set aside and a new one begun");
	else if (p->rebuilt)
		n = snprintf(p->text, cap, "the map was damaged and was rebuilt: %llu rows and %llu places lost, "
			     "%llu blobs to be compared", (unsigned long long)p->bad_rows,
			     (unsigned long long)p->unreadable, (unsigned long long)p->suspect_blobs);
	if (p->read_only != 0)
		snprintf(p->text + n, cap - (size_t)n, "%sthe map cannot be written: %s", n > 0 ? "; " : "",
			 strerror(-p->read_only));
}

static bool map_repair_is_file(const struct map_repair *r)
{
	struct stat st;

	return fstatat(r->dirfd, MAP_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static bool map_repair_exists(const struct map_repair *r)
{
	struct stat st;

	return fstatat(r->dirfd, MAP_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Up to three attempts: as it is, after a rebuild, after setting aside. */
static int map_repair_run(struct map_repair *r, struct map_db *d, struct map_row_set *root)
{
	struct map_report *p = r->report;
	int rc = 0, aside;

	for (int attempt = 0; attempt < 3; attempt++) {
		if (!map_repair_exists(r))
			map_repair_remove(r, MAP_FILE "-wal");
		rc = map_repair_open(r, d, root);
		if (rc == 0 || rc == -EBUSY || rc == -ENOMEM)
			return rc;
		if (rc == -EUCLEAN)
			continue;
		if (rc != -EBADMSG && rc != -EPROTONOSUPPORT && rc != -EIO && map_repair_is_file(r))
			break;
		if (p->started_anew || !map_repair_exists(r))
			break;
		p->found_format = d->found_format;
		aside = map_repair_set_aside(r, rc == -EPROTONOSUPPORT ? d->found_format : 0);
		if (aside != 0) {
			rc = aside;
			break;
		}
		p->started_anew = true;
		p->rebuilt = false;
	}
	if (faccessat(r->dirfd, ".", W_OK | X_OK, AT_EACCESS) == -1)    /* a plainer reason than SQLite's */
		rc = -errno;
	p->read_only = rc;
	memset(root, 0, sizeof(*root));
	if (!p->started_anew)
		map_repair_read_only(r, d);
	return 0;
}

int map_open_repaired(struct map_db *d, struct map_row_set *root, const struct map_config *cfg,
		      struct map_report *report)
{
	struct map_repair r = { .cfg = cfg, .report = report };
	int rc;

	memset(d, 0, sizeof(*d));
	if (snprintf(r.path, sizeof(r.path), "%s/%s", cfg->dir, MAP_FILE) >= (int)sizeof(r.path) ||
	    snprintf(r.new_path, sizeof(r.new_path), "%s/%s", cfg->dir, MAP_NEW) >= (int)sizeof(r.new_path) - 16)
		return -ENAMETOOLONG;
	r.dirfd = open(cfg->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r.dirfd == -1)
		return -errno;
	rc = map_repair_run(&r, d, root);
	if (rc == 0 && d->db != NULL && (report->created || report->started_anew))
		(void)!map_repair_sync_dir(&r);
	close(r.dirfd);
	map_repair_say(report);
	return rc;
}
