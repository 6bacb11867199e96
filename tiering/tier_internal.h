/* tier_internal.h - the state behind tier.h, for tiering's own files.
 *
 * One lock, tier->lock, guards all of it: the table of blobs, every blob, the gathering of reads, the fills and
 * the policy's sets.  It is held for looking things up and changing them, never over I/O, a reply, an
 * allocation of more than a few kilobytes, or a call of cache.h, ram.h, map.h and lease.h that may wait.
 *
 * Who does what:
 *  fs's threads    opens, closes, gathered reads that the pool can answer
 *  device threads  one each of home and the caches (gather_dev.c): all reads and writes of extents
 *  place thread    every quarter of a second the policy; starts and ends fills, drops copies, saves heat
 *  map's thread    completions of commits (fill.c)
 *  ram's, leases'  their own business; they call nothing here but events and the trace
 *  verify's        compares one blob at a time (verify.h)
 *
 * A blob lives from its first sight until its file is gone and nobody has it any more, or tier_close.  What refs
 * counts keeps its descriptors open.
 */
#ifndef TIERING_TIER_INTERNAL_H
#define TIERING_TIER_INTERNAL_H

#include "tiering/cache.h"
#include "tiering/event.h"
#include "tiering/heat.h"
#include "tiering/lease.h"
#include "tiering/map.h"
#include "tiering/policy.h"
#include "tiering/ram.h"
#include "tiering/scan.h"
#include "tiering/tier.h"
#include "tiering/trace.h"

#include <pthread.h>

#define TIER_HOME_DEV TIER_CACHE_MAX            /* home's place among the devices, after the caches */
#define TIER_TICK_MS 250

struct fill;
struct gather;
struct part;
struct place;
struct verifier;
struct verify;
struct verify_resume;

/* One byte an extent.  The low bits: which caches have it, by the map and durable. */
enum {
	BLOB_VALID = (1 << TIER_CACHE_MAX) - 1,
	BLOB_SUMMED = 0x10,                     /* its sum is known */
	BLOB_WRITING = 0x20,                    /* of the fill: a write is queued or in flight */
	BLOB_WRITTEN = 0x40,                    /* written, not durable */
	BLOB_SYNCING = 0x80,                    /* being made durable, then committed */
	BLOB_FILLING = BLOB_WRITING | BLOB_WRITTEN | BLOB_SYNCING,
};

/* The copy of a blob on one cache. */
struct blob_copy {
	struct cache_copy *file;                /* NULL: not open */
	uint64_t token;                         /* names this file among all copies ever opened; 0: none */
	uint64_t moved;                         /* tick of its last move */
	struct policy_why why;
	uint32_t valid;                         /* extents */
	uint32_t slot;                          /* in the cache's set */
	uint32_t native;                        /* opens that are native on it */
	bool suspect;                           /* compare before it is trusted without sums */
	bool dropping;
	bool reserved;                          /* its bytes are reserved in the cache; the place thread writes it */
	uint64_t part_bytes;                    /* reserved for a blob that is held in part; so is this */
};

struct blob {
	struct blob *next;                      /* in the table's bucket */
	struct blob *next_touched, *next_due;   /* in the place thread's lists */
	uint64_t st_ino, id, size;              /* id: 0 until it is needed */
	struct home_ident ident;                /* under which everything here is true */
	struct home_ident seen;                 /* of a suspect one: what it became */
	uint32_t extents;
	uint32_t walked;                        /* the walk through home that met it last */
	uint32_t refs;                          /* opens, fills, orders, reads in flight */
	uint32_t gathered, natives;             /* opens */
	uint32_t writers;                       /* opens for writing of home's file, also from before it was this blob */
	char *path;                             /* the last one seen; a hint */
	uint8_t *state;                         /* [extents], NULL until it is needed; so are the next two */
	uint64_t *sum;                          /* [extents] */
	struct heat *heat;                      /* [extents], of tier->clock */
	struct blob_copy copy[TIER_CACHE_MAX];
	struct fill *fill;                      /* NULL: none */
	struct part *part;                      /* of a blob that is larger than its cache; NULL */
	uint64_t retry_tick;                    /* no fill is begun before */
	uint64_t compare_tick;                  /* nor compared once more, if it is suspect still */
	struct ram_file *ram;                   /* NULL: not natively read yet, or no RAM tier */
	uint64_t ram_token;                     /* of the copy that ram maps; 0: home */
	uint64_t key;                           /* of the mean heat of its extents (heat.h), of tier->clock */
	uint64_t touched_tick, ram_refaults;
	uint64_t gathered_bytes;                /* of gathered reads since the start */
	uint16_t touches;
	int home_fd;                            /* for O_DIRECT reads, -1 */
	int home_warm_fd;                       /* for what home's page cache has; -1 */
	bool home_direct, home_may_be_warm;
	bool touched, due;                      /* in those lists */
	bool suspect;                           /* home's metadata changed behind us: compare by sum */
	bool in_map;                            /* the map has a row of it */
	bool gone;                              /* not in the table any more: unlinked, or another file now */
	bool heat_dirty;                        /* since the last save */
	int8_t pin;                             /* a tier's number, or -1 */
	int8_t warm;                            /* ordered to that tier, or -1 */
	bool cool;                              /* ordered to be dropped */
	bool ram_pinned, ram_warming;           /* told to the RAM tier */
	bool busy;                              /* the place thread works on it, without the lock */
	bool warm_failed;
	char warm_text[96];
	struct verify *verify;                  /* under way, or the last result */
};

/* tier_file.c: the blob of the file, made when it is new, with a reference for the caller: -ENOENT when it is no
 * blob; -ENOMEM.  Not locked. */
int tier_blob_of(struct tier *t, int fd, const struct stat *st, const char *path, struct blob **out)
	__attribute__((warn_unused_result));

/* tier.c: close what it has open, and free it.  Not locked; nobody else knows of it. */
void tier_blob_free(struct tier *t, struct blob *b);

/* tier_file.c: open the files of its copies that are not open.  Not locked. */
void tier_open_copies(struct tier *t, struct blob *b);
/* tier_file.c: a blob that is held in part has more blocks in its copy than the map says, of writes that were not
 * committed when the last process ended, or of a drop that the disk refused: nobody counts them, so they go.  Not
 * locked; b->busy keeps others from beginning to write. */
int tier_punch_strays(struct tier *t, struct blob *b, unsigned c, struct cache_copy *file)
	__attribute__((warn_unused_result));

/* tier_order.c */
/* What is pinned where: the nearest of the file's own attribute and those of the directories above it. */
int8_t tier_pin_of(struct tier *t, int fd, const char *path);
void tier_set_pin(struct tier *t, struct blob *b, int8_t pin);          /* locked */

/* tier_ram.c; not locked: a client's native open, and its end */
void tier_ram_opened(struct tier_file *f, int home_fd);
void tier_ram_closed(struct tier_file *f);
/* For the place thread.  Locked, and unlocked in between: what was ordered of the RAM tier for the blob. */
void tier_ram_orders(struct tier *t, struct blob *b);
/* Locked: what the RAM tier saw since the last tick is heat of the caches too. */
void tier_ram_heat(struct tier *t);

struct tier_cache {
	struct cache *cache;
	uint8_t number;                         /* in the map */
	uint8_t uuid[16];
	uint64_t epoch;                         /* as the map has it */
	bool sweep;                             /* something may lie there that is nobody's */
	struct policy_set set;
	struct policy_rules rules;
	struct policy_entry *entry;             /* [set_cap], the set's */
	uint32_t *heap;
	uint32_t set_cap;
	double wear;                            /* bytes that may still displace others (endurance) */
	struct blob **resident;                 /* [set_cap], by slot */
	uint64_t fills, fill_bytes, drops, bad_sums;
};

struct tier_counts {
	uint64_t reads, read_bytes;
};

struct tier {
	const struct io *io;
	struct home *home;
	struct tier_cache cache[TIER_CACHE_MAX];
	unsigned caches;
	bool native_home_only, ring_threads;
	unsigned tick_ms;
	void (*drop_pages)(void *ctx, uint64_t st_ino);
	void *ctx;
	const char *names[TIER_MAX];
	uint64_t store_id;
	struct map *map;                        /* NULL: none */
	struct leases *leases;
	struct ram *ram;                        /* NULL: none */
	struct event_log *events;
	struct trace *trace;
	struct scan_seals *seals;
	struct gather *gather;
	struct place *place;
	struct verifier *verifier;
	struct verify_resume *verify_resume;

	pthread_mutex_t lock;                   /* guards all below, and every blob */
	struct blob **bucket;                   /* [buckets], by st_ino */
	uint32_t buckets, blobs, ngone;
	struct blob *gone;                      /* out of the table, not yet free */
	uint64_t next_token;
	_Atomic uint64_t tick;                  /* quarters of a second since the start, from 1; read by anybody */
	struct heat_clock clock;                /* of all caches together */
	uint64_t touches;                       /* since the last tick */
	struct tier_file *writing;              /* opens for writing, of every blob and of none that is still one */
	_Atomic bool frozen;                    /* the map can no longer be written: caches stay as they are; read by anybody */
	struct tier_counts served[TIER_CACHE_MAX + 1];
};

struct tier_file {
	struct tier *tier;
	struct blob *blob;
	struct tier_file *next_writing;         /* in tier->writing, when it writes */
	pid_t pid;
	enum scan_class scan;
	enum tier_serve served;
	uint64_t token;
	struct ram_file *ram;                   /* of a native open; NULL */
	_Atomic uint64_t read_bytes;            /* by tier_file_read */
	bool writes, told;
};

#endif
