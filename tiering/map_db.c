#include "tiering/map_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAP_READ_AHEAD (1 << 20)
#define MAP_BUSY_MS 1000                /* a daemon that is ending holds its file a little longer */

static const char *const map_db_tables[][2] = {
	{ "format", "CREATE TABLE format(version INTEGER)" },
	{ "blob", "CREATE TABLE blob(id INTEGER PRIMARY KEY, value BLOB)" },
	{ "chunk", "CREATE TABLE chunk(blob INTEGER, part INTEGER, value BLOB, PRIMARY KEY(blob, part)) WITHOUT ROWID" },
	{ "heat", "CREATE TABLE heat(blob INTEGER PRIMARY KEY, value BLOB)" },
	{ "name", "CREATE TABLE name(kind INTEGER, name BLOB, value BLOB, PRIMARY KEY(kind, name)) WITHOUT ROWID" },
};
#define MAP_DB_TABLES (sizeof(map_db_tables) / sizeof(map_db_tables[0]))

static const char *const map_db_sql[MAP_SQL_COUNT] = {
	[MAP_SQL_BEGIN] = "BEGIN IMMEDIATE",
	[MAP_SQL_COMMIT] = "COMMIT",
	[MAP_SQL_ROLLBACK] = "ROLLBACK",
	[MAP_SQL_MARK] = "SAVEPOINT txn",
	[MAP_SQL_UNMARK] = "RELEASE txn",
	[MAP_SQL_BACK] = "ROLLBACK TO txn",
	[MAP_SQL_BLOB_GET] = "SELECT value FROM blob WHERE id = ?1",
	[MAP_SQL_BLOB_PUT] = "INSERT OR REPLACE INTO blob VALUES(?1, ?4)",
	[MAP_SQL_BLOB_DEL] = "DELETE FROM blob WHERE id = ?1",
	[MAP_SQL_BLOB_UP] = "SELECT id, value FROM blob ORDER BY id",
	[MAP_SQL_BLOB_DOWN] = "SELECT id, value FROM blob ORDER BY id DESC",
	[MAP_SQL_CHUNK_GET] = "SELECT value FROM chunk WHERE blob = ?1 AND part = ?2",
	[MAP_SQL_CHUNK_PUT] = "INSERT OR REPLACE INTO chunk VALUES(?1, ?2, ?4)",
	[MAP_SQL_CHUNK_DEL] = "DELETE FROM chunk WHERE blob = ?1 AND part = ?2",
	[MAP_SQL_CHUNK_NEXT] = "SELECT part, value FROM chunk WHERE blob = ?1 AND part BETWEEN ?2 AND ?3 ORDER BY part LIMIT 1",
	[MAP_SQL_CHUNK_FROM] = "SELECT blob, part, value FROM chunk WHERE blob >= ?1 ORDER BY blob, part",
	[MAP_SQL_CHUNK_CLEAR] = "DELETE FROM chunk WHERE blob = ?1",
	[MAP_SQL_HEAT_GET] = "SELECT value FROM heat WHERE blob = ?1",
	[MAP_SQL_HEAT_PUT] = "INSERT OR REPLACE INTO heat VALUES(?1, ?4)",
	[MAP_SQL_HEAT_ALL] = "SELECT blob, value FROM heat ORDER BY blob",
	[MAP_SQL_HEAT_DEL] = "DELETE FROM heat WHERE blob = ?1",
	[MAP_SQL_NAME_GET] = "SELECT value FROM name WHERE kind = ?1 AND name = ?5",
	[MAP_SQL_NAME_PUT] = "INSERT OR REPLACE INTO name VALUES(?1, ?5, ?4)",
	[MAP_SQL_NAME_DEL] = "DELETE FROM name WHERE kind = ?1 AND name = ?5",
	[MAP_SQL_NAME_ALL] = "SELECT kind, name, value FROM name ORDER BY kind, name",
};

int map_db_errno(const struct map_db *d, int sqlite_rc)
{
	switch (sqlite_rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_CANTOPEN:
		if (d->db != NULL && sqlite3_system_errno(d->db) > 0)
			return -sqlite3_system_errno(d->db);
		return -EACCES;
	case SQLITE_IOERR:
		return sqlite_rc == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
	default:
		return -EBADMSG;        /* CORRUPT, NOTADB, or a schema that is not ours */
	}
}

/* A pragma or a statement that is run once.  When answer is given the first column must be that. */
static int map_db_once(struct map_db *d, const char *sql, const char *answer)
{
	sqlite3_stmt *st;
	const char *text;
	int rc, done;

	rc = sqlite3_prepare_v2(d->db, sql, -1, &st, NULL);
	if (rc != SQLITE_OK)
		return map_db_errno(d, rc);
	rc = sqlite3_step(st);
	text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	done = map_db_errno(d, rc);
	if (done == 0 && answer != NULL && (text == NULL || strcmp(text, answer) != 0))
		done = -EROFS;
	sqlite3_finalize(st);
	return done;
}

static int map_db_integer(struct map_db *d, const char *sql, int64_t *out)
{
	sqlite3_stmt *st;
	int rc;

	rc = sqlite3_prepare_v2(d->db, sql, -1, &st, NULL);
	if (rc != SQLITE_OK)
		return map_db_errno(d, rc);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && sqlite3_column_type(st, 0) == SQLITE_INTEGER) {
		*out = sqlite3_column_int64(st, 0);
		rc = 0;
	} else {
		rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? -EBADMSG : map_db_errno(d, rc);
	}
	sqlite3_finalize(st);
	return rc;
}

/* Exclusive before anything that reads the file, so that the log's index is in our memory from the start and
 * nobody else gets in. */
static int map_db_pragmas(struct map_db *d, enum map_db_mode mode)
{
	static const char *const both[] = {
		"PRAGMA mmap_size=0", "PRAGMA cell_size_check=ON", "PRAGMA trusted_schema=OFF",
		"PRAGMA temp_store=MEMORY", "PRAGMA cache_size=-4096",
	};
	static const char *const write[] = {
		"PRAGMA page_size=4096", "PRAGMA auto_vacuum=NONE", "PRAGMA secure_delete=ON",
		"PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=0",
	};
	int rc;

	rc = map_db_once(d, "PRAGMA locking_mode=EXCLUSIVE", "exclusive");
	for (size_t i = 0; rc == 0 && i < sizeof(both) / sizeof(both[0]); i++)
		rc = map_db_once(d, both[i], NULL);
	if (mode == MAP_DB_READ)
		return rc;
	for (size_t i = 0; rc == 0 && i < sizeof(write) / sizeof(write[0]); i++)
		rc = map_db_once(d, write[i], NULL);
	if (rc == 0)
		rc = map_db_once(d, "PRAGMA journal_mode=WAL", "wal");
	return rc;
}

static int map_db_prepare(struct map_db *d)
{
	int rc = SQLITE_OK;

	for (int i = 0; rc == SQLITE_OK && i < MAP_SQL_COUNT; i++)
		rc = sqlite3_prepare_v3(d->db, map_db_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &d->st[i], NULL);
	return map_db_errno(d, rc);
}

static int map_db_create(struct map_db *d)
{
	char sql[64];
	int rc;

	rc = map_db_once(d, "BEGIN IMMEDIATE", NULL);
	for (size_t i = 0; rc == 0 && i < MAP_DB_TABLES; i++)
		rc = map_db_once(d, map_db_tables[i][1], NULL);
	snprintf(sql, sizeof(sql), "INSERT INTO format VALUES(%d)", MAP_FORMAT);
	if (rc == 0)
		rc = map_db_once(d, sql, NULL);
	if (rc == 0)
		rc = map_db_prepare(d);
	if (rc == 0)
		rc = map_apply_root(d, &(struct map_row_set){ 0 });
	if (rc == 0)
		rc = map_db_do(d, MAP_SQL_COMMIT);
	return rc;
}

/* The schema must be ours to the letter: a damaged one may still be good SQL. */
static int map_db_check_tables(struct map_db *d)
{
	sqlite3_stmt *st;
	const char *name, *sql;
	size_t n = 0;
	int rc;

	rc = sqlite3_prepare_v2(d->db, "SELECT name, sql FROM sqlite_master ORDER BY rowid", -1, &st, NULL);
	if (rc != SQLITE_OK)
		return map_db_errno(d, rc);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		name = (const char *)sqlite3_column_text(st, 0);
		sql = (const char *)sqlite3_column_text(st, 1);
		if (n == MAP_DB_TABLES || name == NULL || sql == NULL || strcmp(name, map_db_tables[n][0]) != 0 ||
		    strcmp(sql, map_db_tables[n][1]) != 0)
			break;
		n++;
	}
	if (rc == SQLITE_ROW || (rc == SQLITE_DONE && n != MAP_DB_TABLES))
		rc = -EBADMSG;
	else
		rc = map_db_errno(d, rc);
	sqlite3_finalize(st);
	return rc;
}

static int map_db_check_format(struct map_db *d, enum map_db_mode mode)
{
	int64_t tables, version;
	int rc;

	rc = map_db_integer(d, "SELECT count(*) FROM sqlite_master", &tables);
	if (rc != 0)
		return rc;
	d->empty = tables == 0;
	if (d->empty && mode == MAP_DB_WRITE) {
		rc = map_db_create(d);
		if (rc != 0)
			return rc;
	}
	rc = map_db_integer(d, "SELECT version FROM format", &version);
	if (rc != 0)
		return rc;
	if (version != MAP_FORMAT) {
		d->found_format = version > 0 && version <= UINT32_MAX ? (uint32_t)version : 0;
		return d->found_format > MAP_FORMAT ? -EPROTONOSUPPORT : -EBADMSG;
	}
	return map_db_check_tables(d);
}

static int map_db_wal_hook(void *ctx, sqlite3 *db, const char *name, int pages)
{
	struct map_db *d = ctx;

	(void)db;
	(void)name;
	d->wal_pages = pages;
	return SQLITE_OK;
}

int map_db_open(struct map_db *d, const char *path, const char *vfs, enum map_db_mode mode)
{
	uint32_t format;
	int flags, rc;

	memset(d, 0, sizeof(*d));
	flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	flags |= mode == MAP_DB_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
	rc = map_db_errno(d, sqlite3_open_v2(path, &d->db, flags, vfs));
	if (rc != 0)
		goto close_db;
	/* writable was asked for, but SQLite falls back to reading when it may not write */
	if (mode == MAP_DB_WRITE && sqlite3_db_readonly(d->db, "main") == 1) {
		rc = -EROFS;
		goto close_db;
	}
	sqlite3_busy_timeout(d->db, MAP_BUSY_MS);
	sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_db_config(d->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(d->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_limit(d->db, SQLITE_LIMIT_LENGTH, MAP_VALUE_MAX + 65536);
	sqlite3_wal_hook(d->db, map_db_wal_hook, d);
	rc = map_db_pragmas(d, mode);
	if (rc == 0)
		rc = map_db_check_format(d, mode);
	if (rc == 0 && !d->empty)
		rc = map_db_prepare(d);
	if (rc != 0)
		goto close_db;
	return 0;

close_db:
	format = d->found_format;
	map_db_close(d);
	d->found_format = format;
	return rc;
}

void map_db_close(struct map_db *d)
{
	if (d->db == NULL)
		return;
	for (int i = 0; i < MAP_SQL_COUNT; i++)
		sqlite3_finalize(d->st[i]);
	sqlite3_close(d->db);
	memset(d, 0, sizeof(*d));
}

sqlite3_stmt *map_db_bind(struct map_db *d, enum map_sql which, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t v[3] = { a, b, c };
	sqlite3_stmt *st = d->st[which];
	int n = sqlite3_bind_parameter_count(st);

	sqlite3_reset(st);
	for (int i = 0; i < 3 && i < n; i++)
		sqlite3_bind_int64(st, i + 1, (sqlite3_int64)v[i]);
	return st;
}

int map_db_step(struct map_db *d, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	sqlite3_reset(st);
	return map_db_errno(d, rc);
}

int map_db_do(struct map_db *d, enum map_sql which)
{
	int rc = map_db_step(d, d->st[which]);

	return rc > 0 ? -EBADMSG : rc;
}

int map_db_checkpoint(struct map_db *d, bool reset_log)
{
	int rc;

	rc = sqlite3_wal_checkpoint_v2(d->db, NULL, reset_log ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART,
				       NULL, NULL);
	d->wal_pages = 0;
	return map_db_errno(d, rc);
}

/* Through SQLite's own descriptor: closing another one of this file would drop its locks. */
void map_db_read_ahead(struct map_db *d)
{
	sqlite3_int64 size = 0;
	sqlite3_file *file = NULL;
	void *buf;

	if (sqlite3_file_control(d->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == NULL ||
	    file->pMethods == NULL || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
		return;
	buf = malloc(MAP_READ_AHEAD);
	if (buf == NULL)
		return;
	for (sqlite3_int64 at = 0; at + MAP_READ_AHEAD <= size; at += MAP_READ_AHEAD)
		if (file->pMethods->xRead(file, buf, MAP_READ_AHEAD, at) != SQLITE_OK)
			break;          /* whoever needs that page will meet it */
	free(buf);
}
