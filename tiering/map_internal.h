/* map_internal.h - what the files of the map share: the database, its scan, transactions, and the map.
 *
 * Layers: map_db (SQLite: file, pragmas, statements) < map_scan (read all, tolerate damage) and
 * map_apply (one transaction's steps) < map_open (repair) < map (queue and thread).
 */
#ifndef TIERING_MAP_INTERNAL_H
#define TIERING_MAP_INTERNAL_H

#include "tiering/map.h"
#include "tiering/map_row.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sqlite3.h>

#define MAP_FORMAT 1
#define MAP_FILE   "map.db"

enum map_sql {
	MAP_SQL_BEGIN, MAP_SQL_COMMIT, MAP_SQL_ROLLBACK, MAP_SQL_MARK, MAP_SQL_UNMARK, MAP_SQL_BACK,
	MAP_SQL_BLOB_GET, MAP_SQL_BLOB_PUT, MAP_SQL_BLOB_DEL, MAP_SQL_BLOB_UP, MAP_SQL_BLOB_DOWN,
	MAP_SQL_CHUNK_GET, MAP_SQL_CHUNK_PUT, MAP_SQL_CHUNK_DEL, MAP_SQL_CHUNK_NEXT, MAP_SQL_CHUNK_FROM,
	MAP_SQL_CHUNK_CLEAR,
	MAP_SQL_HEAT_GET, MAP_SQL_HEAT_PUT, MAP_SQL_HEAT_ALL, MAP_SQL_HEAT_DEL,
	MAP_SQL_NAME_GET, MAP_SQL_NAME_PUT, MAP_SQL_NAME_DEL, MAP_SQL_NAME_ALL,
	MAP_SQL_COUNT
};

/* One connection.  Used by one thread at a time. */
struct map_db {
	sqlite3 *db;
	sqlite3_stmt *st[MAP_SQL_COUNT];
	int wal_pages;                  /* in the log after the last commit */
	uint32_t found_format;
	bool empty;                     /* had no schema when it was opened */
};

enum map_db_mode { MAP_DB_WRITE, MAP_DB_READ };

/* Open or create.  0; -EBADMSG: no map, or a damaged one; -EPROTONOSUPPORT: another format, see
 * found_format; -EBUSY, -ENOMEM, or why the file cannot be used.  On failure nothing stays open. */
int map_db_open(struct map_db *d, const char *path, const char *vfs, enum map_db_mode mode)
	__attribute__((warn_unused_result));
void map_db_close(struct map_db *d);    /* a no-op when it is not open; leaves the log where it is */
int map_db_errno(const struct map_db *d, int sqlite_rc);

/* Run a statement that returns no row, and reset it. */
int map_db_do(struct map_db *d, enum map_sql which) __attribute__((warn_unused_result));
/* A statement, reset, with up to three integers bound. */
sqlite3_stmt *map_db_bind(struct map_db *d, enum map_sql which, uint64_t a, uint64_t b, uint64_t c);
/* 1: a row, 0: no row (and the statement is reset), or negative errno (the same). */
int map_db_step(struct map_db *d, sqlite3_stmt *st);
/* Move the log into the file; reset_log: and empty it.  An error here is one of a sync or a write. */
int map_db_checkpoint(struct map_db *d, bool reset_log) __attribute__((warn_unused_result));
/* Read the file once from end to end, so that a scan of its pages in any order meets the page cache. */
void map_db_read_ahead(struct map_db *d);

/* part of a chunk row: the cache, then the chunk's number */
#define MAP_PART_SHIFT 40
static inline uint64_t map_part(uint8_t cache, uint64_t index)
{
	return (uint64_t)cache << MAP_PART_SHIFT | index / MAP_ROW_EXTENTS;
}

/* ---- map_scan.c: read everything, row by row, around damage ---------------------------------- */

struct map_scan_blob {
	uint64_t id;
	struct map_row_blob row;
	struct map_row_set found;       /* its good chunk rows */
	uint64_t bad;                   /* damaged ones */
	bool agrees;                    /* found is what row says, but for damaged rows; known at blob_end */
};

/* Each may be NULL; a result other than 0 ends the scan with it.  Order: names, then per blob: blob,
 * its chunks, blob_end, heat.  Values of names and heat are len bytes, with their check behind them. */
struct map_visit {
	int (*name)(void *ctx, enum map_row_table kind, const void *name, size_t name_len, const void *value,
		    size_t len);
	int (*blob)(void *ctx, const struct map_scan_blob *b);
	int (*chunk)(void *ctx, uint64_t blob, uint64_t part, const struct map_row_chunk *c);
	int (*blob_end)(void *ctx, const struct map_scan_blob *b);
	int (*heat)(void *ctx, uint64_t blob, const void *value, size_t len);
	void *ctx;
};

struct map_scan_result {
	uint64_t bad_rows, unreadable;
	bool heat_lost;                 /* some or all of it could not be read; what the rest says stands */
	uint64_t disagreeing;           /* blobs with agrees false */
	struct map_row_set root;        /* of the good rows */
	bool root_agrees;               /* root is what the file says, but for damaged rows */
};

bool map_scan_damaged(const struct map_scan_result *r);
/* Whether all of the heat can be read, also what is of no blob: writing meets those pages too, and would fail. */
int map_scan_heat_pages(struct map_db *d, struct map_scan_result *out) __attribute__((warn_unused_result));
/* 0, -ENOMEM, or what a visitor returned.  Damage is counted in *out. */
int map_scan(struct map_db *d, const struct map_visit *v, struct map_scan_result *out)
	__attribute__((warn_unused_result));

/* ---- map_log.c: what SQLite does not tell about its log ---------------------------------------------- */

/* Whether the log, before it is opened, holds commits that were acknowledged and are lost, because what
 * is before them is damaged.  SQLite ends the log there and says nothing.  The last commit of a log is not
 * told from one that the power cut short. */
bool map_log_lost(const struct io *io, int dirfd, const char *name);

/* ---- map_txn.c, map_apply.c: transactions ----------------------------------------------------- */

enum map_step_kind {
	MAP_STEP_PUT_BLOB, MAP_STEP_DROP_BLOB, MAP_STEP_ADD, MAP_STEP_DROP, MAP_STEP_NAME, MAP_STEP_HEAT,
};

struct map_step {
	struct map_step *next;
	enum map_step_kind kind;
	enum map_row_table table;       /* NAME: pin or setting */
	uint8_t cache;
	bool suspect, forget, keep_path;
	struct home_ident ident;
	uint64_t blob, first, count;    /* DROP: count > 0, first + count <= MAP_EXTENT_LIMIT */
	size_t name_len, len;           /* NAME: the name; PUT_BLOB: the path.  Then the payload */
	unsigned char bytes[];          /* name, then payload; ADD: count sums in host order, HEAT and
					 * NAME: the value with room for its check */
};

struct map_txn {
	struct map_step *first, **last;
	size_t bytes;
	bool only_heat;
	struct map_txn *next;           /* in the queue, protected by the map's lock */
	map_done done;                  /* or NULL */
	bool waited;                    /* somebody waits in map_commit, and frees it */
	void *ctx;
	int rc;                         /* the writer's until it is settled */
	bool settled;                   /* protected by the map's lock */
};

/* All steps of t inside the open SQL transaction; root is brought up to date in memory.  0; -ENOENT:
 * a step is impossible, the caller rolls back to its mark; else as map_db_errno. */
int map_apply(struct map_db *d, struct map_row_set *root, const struct map_txn *t) __attribute__((warn_unused_result));
int map_apply_root(struct map_db *d, const struct map_row_set *root) __attribute__((warn_unused_result));
/* Write one row as it is. */
int map_apply_put(struct map_db *d, enum map_sql which, uint64_t a, uint64_t b, const void *value, size_t len)
	__attribute__((warn_unused_result));
int map_apply_put_name(struct map_db *d, enum map_row_table kind, const void *name, size_t name_len, const void *value,
		       size_t len) __attribute__((warn_unused_result));

/* ---- map_open.c, map.c, map_load.c ------------------------------------------------------------------------- */

struct map {
	struct map_db d;                /* the writer's; d.db is NULL when nothing could be opened */
	struct map_row_set root;        /* the writer's: of the last commit */
	atomic_int read_only;

	pthread_t writer;
	pthread_mutex_t lock;
	pthread_cond_t work;            /* something was queued, or stop; monotonic clock */
	pthread_cond_t settled;         /* a batch is done */
	struct map_txn *head, **tail;   /* protected by lock, as all below */
	unsigned queued, hurried;       /* transactions; those that somebody waits for */
	size_t queued_bytes;
	bool stop;
};

/* Open cfg's file into *d, repairing.  *root is its root.  0 (report->read_only says whether it can be
 * written; d->db may be NULL then), -EBUSY, -ENOMEM, or no such directory. */
int map_open_repaired(struct map_db *d, struct map_row_set *root, const struct map_config *cfg,
		      struct map_report *report) __attribute__((warn_unused_result));

#endif
