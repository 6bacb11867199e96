/* cache.h - one directory on a faster disk that holds copies of extents of home's blobs, and no truth.
 *
 * A copy is a sparse file of the blob's size with the same bytes at the same offsets, for those extents
 * that the map says are there; this module does not know which.
 *
 * Invariants:
 *  C1  one hearth at a time holds a cache: flock(2) on the directory, which ends with the process.
 *  C2  a cache serves one store: its mark names the store, and another store's cache is refused.
 *  C3  a copy that was handed out natively is never written, punched or truncated again: a mapping
 *      outlives its close.  It is only unlinked whole, and its bytes count as used until nobody has it
 *      open or mapped any more (a write lease is then granted on it).  A copy that is met anew, after its
 *      last put or in a later process, counts as handed out when somebody has it open or mapped, or when
 *      its file system has no leases to ask with.
 *  C4  used <= size + what was found at start; space is reserved before it is written.
 *  C5  after a failed sync nothing is written to the cache until it was probed anew (rule R9).
 *
 * Layout: DIR/hearth-cache, the mark: text, "hearth-cache 1", then "uuid HEX", "store HEX", "home PATH",
 * "epoch N", a line each; DIR/copies/ID, the copies, ID the blob's id in 16 hex digits; DIR/probe.
 * The map (map.h) of the store lies in the first cache's directory too; this module leaves it alone.
 *
 * State.  A cache serves until it fails: at once when a sync fails or when the device says EIO, ENXIO or
 * EROFS or what means the same to a write, or with the third failed read within a minute.  Out of service
 * nothing is asked of it but cache_probe, which writes, syncs, reads back and compares a small file; three in
 * a row bring it back, with a new epoch.  Copies are then suspect (their owner compares sums before native
 * opens).  What would open or change a file says -EIO while it is out of service; copies that were got
 * before stay what they are, for their put.  The calls here tell cache_failed of their own failures.
 *
 * Threads: open and close are exclusive; all else may be called by any thread at once.  A struct
 * cache_copy is counted; its descriptor lives until the last put.
 */
#ifndef TIERING_CACHE_H
#define TIERING_CACHE_H

#include "tiering/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct cache_copy;

#define CACHE_NAME_MAX 15               /* bytes of a cache's name: a-z, 0-9, first a letter */
#define CACHE_SIZE_MIN (64ull << 20)

struct cache_config {
	const char *name;               /* what users call it: "nvme" */
	const char *dir;
	uint64_t size;                  /* bytes it may use at most */
	uint64_t size_min;              /* 0: CACHE_SIZE_MIN; tests take smaller ones */
	uint64_t store;                 /* which store it serves, not 0 */
	const char *home;               /* home's path, for the mark and for messages */
	int home_fd;                    /* home's directory, open (O_PATH will do): to see overlap */
	const struct io *io;            /* borrowed until cache_close */
};

/* "NAME=DIR,size=SIZE", SIZE in bytes or with k, M, G, T (powers of 1024), as --cache takes it.  NAME is not
 * "ram" or "home", which other tiers are called.  name and dir are owned strings.  0, -ENOMEM, or -EINVAL and a line. */
int cache_parse(const char *text, char **name, char **dir, uint64_t *size, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* What cache_open found. */
struct cache_found {
	uint8_t uuid[16];
	uint64_t epoch;                 /* of the mark; it grows whenever the cache comes back into service */
	bool fresh;                     /* no mark was there: an empty directory, now marked */
	bool same_device;               /* as home: it works, and gains nothing; said in a warning */
};

/* Refused, with one line that says which directory and what to do: no such directory (-ENOENT, -ENOTDIR),
 * not empty and not a cache (-ENOTEMPTY), another store's (-EXDEV), another process has it (-EBUSY), read-only
 * (-EROFS, -EACCES), home itself or inside it or around it (-EINVAL), size below CACHE_SIZE_MIN or above its
 * file system's (-EINVAL), no space for the first mark (-ENOSPC), a mark of a newer format or a damaged one
 * (-EPROTO), -ENOMEM, or what else the system says. */
int cache_open(struct cache **out, const struct cache_config *cfg, struct cache_found *found, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void cache_close(struct cache *c);      /* every copy was put; NULL is a no-op */

const char *cache_name(const struct cache *c);
const char *cache_dir(const struct cache *c);           /* absolute */
uint64_t cache_epoch(struct cache *c);

/* ---- space ---- */
struct cache_space {
	uint64_t size;                  /* the limit */
	uint64_t used;                  /* reserved for copies */
	uint64_t leaving;               /* of used: unlinked, and still open or mapped by somebody */
	uint64_t device_free;           /* of its file system */
};
void cache_space(struct cache *c, struct cache_space *out);
/* Take bytes of the limit before writing them; -ENOSPC when the limit or the file system (2 % and at
 * least 64 MiB of it are left free) has no more.  Give back what was not written. */
int cache_reserve(struct cache *c, uint64_t bytes) __attribute__((warn_unused_result));
void cache_unreserve(struct cache *c, uint64_t bytes);
/* Count bytes that lie in copies found at start: they are on the device already, and may exceed the limit when it
 * was lowered.  They are given back as reserved ones are. */
void cache_count_found(struct cache *c, uint64_t bytes);

/* ---- copies ---- */
/* The copy of a blob of that size, opened or, with create, made; counted once for the caller.  One struct
 * a blob: all callers share it.  -ENOENT, -EIO when the file there has another size (it is then
 * unlinked, unless others hold it), or what the system says.  allocated, or NULL: bytes that the file has on disk, which a copy
 * found at start is to be compared with what the map says of it. */
int cache_copy_get(struct cache *c, uint64_t blob, uint64_t size, bool create, uint64_t *allocated, struct cache_copy **out)
	__attribute__((warn_unused_result));
void cache_copy_put(struct cache_copy *copy);           /* NULL is a no-op */
struct cache_copy *cache_copy_ref(struct cache_copy *copy);
/* For reads and writes by the daemon: O_DIRECT where the file system can (*direct).  Borrowed. */
int cache_copy_fd(const struct cache_copy *copy, bool *direct);
/* A new read-only descriptor for native opens, the caller's.  From then on C3 holds for the copy; -EBUSY
 * while a write is announced and not ended. */
int cache_copy_native_fd(struct cache_copy *copy) __attribute__((warn_unused_result));
bool cache_copy_was_native(const struct cache_copy *copy);
/* Announce that the copy is to be written (extents filled, or punched): -EPERM when it was handed out (C3), -EIO
 * out of service (C5).  Each that says 0 is paired with an end. */
int cache_copy_write_begin(struct cache_copy *copy) __attribute__((warn_unused_result));
void cache_copy_write_end(struct cache_copy *copy);
/* Give back the blocks of a range, under write_begin (-EPERM without).  The caller unreserves. */
int cache_copy_punch(struct cache_copy *copy, uint64_t off, uint64_t len) __attribute__((warn_unused_result));
/* Take the name away; bytes, which were reserved for it, stay counted until nobody has it open or mapped: the
 * caller does not unreserve them.  The copy lives on for those who hold it.  A new get makes a new file.
 * -ENOENT: it was unlinked before. */
int cache_copy_unlink(struct cache_copy *copy, uint64_t bytes) __attribute__((warn_unused_result));
/* Look whether unlinked copies are free by now, and stop counting those.  Call it every tick or so.  One that
 * was never handed out is free with its last put. */
void cache_reap(struct cache *c);
/* Call each(ctx, blob, allocated) for every copy that lies in the directory, until it says other than 0; for
 * start-up, to unlink what the map does not know (cache_unlink_stray, also from each; -EBUSY: it is held). */
int cache_list(struct cache *c, int (*each)(void *ctx, uint64_t blob, uint64_t allocated), void *ctx)
	__attribute__((warn_unused_result));
int cache_unlink_stray(struct cache *c, uint64_t blob) __attribute__((warn_unused_result));

/* ---- state ---- */
bool cache_in_service(const struct cache *c);           /* one atomic load */
/* Tell that a call on the cache failed with rc; may take it out of service, which is logged once. */
void cache_failed(struct cache *c, enum io_op op, int rc);
/* One probe, when it is out of service: blocks on the device.  True when the cache came back just now. */
bool cache_probe(struct cache *c);
/* Why it is out of service, or "" ; a text of at most cap bytes. */
void cache_reason(struct cache *c, char *buf, size_t cap);

#endif
