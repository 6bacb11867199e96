/* map.h - which extents of which blob of home are held by which cache: the durable side of tiering.
 *
 * The map is read once, after opening, into whatever the caller looks things up in; afterwards only
 * changes come here.  A change is a transaction, and is acknowledged when it is durable.
 *
 * Invariants:
 *  P1  a transaction is in the map wholly or not at all, and in the order of submission.
 *  P2  what was acknowledged with 0 is found by every later open.  What was refused with -ENOENT,
 *      -ENOSPC, -ENOMEM or -EROFS is not.  -EIO is in doubt: the next open finds it or does not, so
 *      its bytes in the cache must be neither reused nor trusted until then.
 *  P3  a row that map_load delivers is one that was committed, byte for byte; each carries a check.
 *  P4  the rows of a blob that is not suspect are those of the last commit, less damaged ones: none is old.
 *      (One exception: damage to the newest commit in the log of a process that did not end in an orderly
 *      way reads as one that was cut short, and the commit before it as the last.)
 *  P5  once a write, a sync or a read of the file has failed, nothing more is written (rule R9); the
 *      caller then leaves the caches as they are.  Closing and opening again is the way back.
 * Losing or damaging the file costs warmth: map_open repairs what it finds and says what was lost.
 *
 * File: DIR/map.db, an SQLite database (one connection, exclusive, write-ahead log, full sync), with
 * map.db-wal beside it while open.  Set aside: map.db.damaged, or map.db.format-N of a newer hearth.
 *
 * Threads: open, load and close are exclusive, and load comes before the first transaction.  A struct
 * map_txn belongs to one thread until it is submitted.  All else may be called by any thread at once.
 * One thread of the map's own writes; completions run on it.
 */
#ifndef TIERING_MAP_H
#define TIERING_MAP_H

#include "tiering/home.h"
#include "tiering/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map;
struct map_txn;

#define MAP_EXTENT_LIMIT  ((uint64_t)1 << 40)   /* extent indices are below this */
#define MAP_TXN_BYTES_MAX (8u << 20)            /* of one transaction in memory; heat counts too */
#define MAP_NAME_MAX      4096                  /* bytes of a pin's or a setting's name */
#define MAP_VALUE_MAX     (4u << 20)            /* bytes of a setting, or of one blob's heat */

struct map_config {
	const char *dir;                /* exists; home's lock or a cache's already keeps others away */
	const struct io *io;            /* borrowed until map_close: names are moved and synced through it */
	const char *vfs;                /* SQLite's file layer, NULL: the system's; tests put faults there */
};

/* What map_open met and did about it.  All zero: the map was as the last commit left it. */
struct map_report {
	bool created;                   /* no map was there */
	bool rebuilt;                   /* damaged: its good rows were copied to a new file */
	bool started_anew;              /* unreadable, or of another format: set aside, empty now */
	uint32_t found_format;          /* of the map that was set aside, where that is known */
	uint64_t bad_rows;              /* rows dropped */
	uint64_t unreadable;            /* places where reading could not go on */
	uint64_t suspect_blobs;         /* blobs that became suspect now */
	int read_only;                  /* 0, or why nothing can be written: negative errno */
	char text[256];                 /* the above for a log line; empty when there is nothing to say */
};

/* 0 and an owned map in *out, also when nothing of the old one could be kept and when the directory
 * cannot be written (then the map is read-only).  -EBUSY: another process has it; -ENOMEM;
 * -ENAMETOOLONG; -ENOENT, -ENOTDIR: no such directory; err says which. */
int map_open(struct map **out, const struct map_config *cfg, struct map_report *report, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* Takes m; commits what was submitted, ends the thread.  NULL is a no-op. */
void map_close(struct map *m);

/* 0, or the negative errno for which nothing is written any more (P5). */
int map_read_only(const struct map *m);

struct map_blob {
	uint64_t id;                    /* random, not 0; seeds the sums */
	struct home_ident ident;        /* home's file when the sums were made */
	bool suspect;                   /* compare by sum before a copy is trusted (P4, rule R2) */
	const char *path;               /* a hint: where it was in home; NULL in a put keeps the old one */
};

struct map_extents {
	uint64_t blob;
	uint8_t cache;                  /* the caller's number of the cache; settings tell which that is */
	uint64_t first;
	uint32_t count;
	const uint64_t *sums;           /* [count] */
};

enum map_pin { MAP_PIN_NONE, MAP_PIN_RAM, MAP_PIN_NVME };

/* Receives the map.  Everything passed is borrowed for the call.  A call that returns other than 0
 * ends the load with that.  NULL members are skipped.
 * Order: settings and pins; then for each blob: blob, its runs of extents by cache and index, heat. */
struct map_loader {
	int (*setting)(void *ctx, const char *name, const void *value, size_t len);
	int (*pin)(void *ctx, const char *name, enum map_pin pin);
	int (*blob)(void *ctx, const struct map_blob *blob);
	int (*extents)(void *ctx, const struct map_extents *run);
	int (*heat)(void *ctx, uint64_t blob, const void *heat, size_t len);
	void *ctx;
};

/* 0, -ENOMEM, or what the loader returned.  Rows that can no longer be read are left out, and make the
 * map read-only with -EIO. */
int map_load(struct map *m, const struct map_loader *loader) __attribute__((warn_unused_result));

/* A transaction, empty at first.  0 or -ENOMEM. */
int map_txn_new(struct map_txn **out) __attribute__((warn_unused_result));
void map_txn_free(struct map_txn *t);           /* one that was not submitted; NULL is a no-op */

/* Add a step.  Steps happen in order.  0, -EINVAL (a number out of range), -ENOMEM, -E2BIG (the
 * transaction is full).  Everything is copied. */
/* New, or known by id: then identity and mark are replaced, and copies stay. */
int map_txn_put_blob(struct map_txn *t, const struct map_blob *blob) __attribute__((warn_unused_result));
int map_txn_drop_blob(struct map_txn *t, uint64_t blob) __attribute__((warn_unused_result));
/* The commit fails with -ENOENT, and changes nothing, when the blob was not put. */
int map_txn_add(struct map_txn *t, const struct map_extents *run) __attribute__((warn_unused_result));
/* Drop what is held of [first, first + count); count UINT64_MAX: up to the end. */
int map_txn_drop(struct map_txn *t, uint64_t blob, uint8_t cache, uint64_t first, uint64_t count)
	__attribute__((warn_unused_result));
/* Names are the caller's: a path, an inode.  NONE is kept as a pin; map_txn_unpin forgets. */
int map_txn_pin(struct map_txn *t, const char *name, enum map_pin pin) __attribute__((warn_unused_result));
int map_txn_unpin(struct map_txn *t, const char *name) __attribute__((warn_unused_result));
/* value NULL forgets. */
int map_txn_set(struct map_txn *t, const char *name, const void *value, size_t len) __attribute__((warn_unused_result));
/* Advisory: a transaction of nothing but heat is not synced by itself.  Heat of unknown blobs is left out. */
int map_txn_heat(struct map_txn *t, uint64_t blob, const void *heat, size_t len) __attribute__((warn_unused_result));

/* Called once, on the map's thread, with no lock held: 0 when durable, else see P2.  It may submit, but
 * must not wait for a commit. */
typedef void (*map_done)(void *ctx, int rc);

/* Takes t on success; it is committed together with others: up to 64, or what came within 5 ms.
 * 0 and done, unless NULL, will be called; -EAGAIN (too much is waiting; try again after a completion), -EROFS. */
int map_submit(struct map *m, struct map_txn *t, map_done done, void *ctx) __attribute__((warn_unused_result));
/* Takes t always; returns when it is durable or has failed.  Others that wait go with it, at once. */
int map_commit(struct map *m, struct map_txn *t) __attribute__((warn_unused_result));

#endif
