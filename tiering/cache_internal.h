/* cache_internal.h - the state behind cache.h, for its own files.
 *
 * One lock, cache->lock, guards what is marked so.  It is a leaf and is held over no call that touches a
 * file: a copy whose file is being opened, closed or unlinked is marked busy meanwhile, and who needs that
 * copy waits for cache->changed.
 */
#ifndef TIERING_CACHE_INTERNAL_H
#define TIERING_CACHE_INTERNAL_H

#include "tiering/cache.h"
#include "tiering/cache_mark.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#define CACHE_BUCKETS 1024
#define CACHE_LOOK_MS 250               /* how old device_free may be */
#define CACHE_KEEP_FREE (64ull << 20)   /* bytes of the file system that are never taken, or 2 % of it */
#define CACHE_READS_LIMIT 3             /* failed reads within CACHE_READS_MS end the service */
#define CACHE_READS_MS 60000
#define CACHE_PROBES_GOOD 3
#define CACHE_REASON_MAX 128

struct cache_copy {
	struct cache *cache;            /* these five: constant while it is not busy */
	uint64_t blob, size;
	int fd;
	bool direct;
	/* the rest is protected by cache->lock */
	bool busy;                      /* somebody works on its file */
	bool native;                    /* C3 */
	bool unlinked;
	unsigned refs, writers;
	uint64_t bytes;                 /* counted in cache->leaving, when unlinked */
	struct cache_copy *next;        /* in its bucket, or when unlinked in cache->unlinked */
};

struct cache {
	const struct io *io;
	char name[CACHE_NAME_MAX + 1];
	char dir[PATH_MAX];
	uint64_t size;
	uint64_t device_keep;           /* bytes of the file system that stay free */
	int fd, copies_fd;
	_Atomic bool in_service;        /* changed under lock */

	pthread_mutex_t lock;
	pthread_cond_t changed;         /* a copy is busy no more */
	/* protected by lock */
	struct cache_mark mark;         /* uuid, store, home: constant after open */
	struct cache_copy *bucket[CACHE_BUCKETS];
	struct cache_copy *unlinked;
	uint64_t used, leaving;
	uint64_t device_free;           /* as it was looked_ms ago */
	uint64_t ahead;                 /* bytes reserved since */
	int64_t looked_ms;
	bool looking;
	int64_t read_failed_ms[CACHE_READS_LIMIT - 1];  /* the last ones, newest first */
	bool probing;
	unsigned probes_good;
	char reason[CACHE_REASON_MAX];
};

int64_t cache_now_ms(void);             /* of CLOCK_MONOTONIC */

/* Note a failed read at now_ms: true when it is one too many.  at: as struct cache has it, long ago at first. */
bool cache_read_failed(int64_t at[CACHE_READS_LIMIT - 1], int64_t now_ms);

/* Put a mark in place of the one there is, durably.  0 or negative errno; the old one is then there, or
 * the new one not yet surely durable. */
int cache_mark_write(const struct cache *c, const struct cache_mark *m) __attribute__((warn_unused_result));
/* fsync(2) of a directory, where the file system needs one. */
int cache_sync_dir(const struct cache *c, int fd) __attribute__((warn_unused_result));
/* Call each(ctx, name) for every name but "." and ".." in the directory that is open as dirfd, from its start,
 * until it says other than 0, which is then returned.  0, or negative errno. */
int cache_each_name(const struct cache *c, int dirfd, int (*each)(void *ctx, const char *name), void *ctx)
	__attribute__((warn_unused_result));

/* Open the file that is probed, made when it is not there, with its blocks when there is space for them. */
int cache_probe_open(const struct cache *c, bool *direct) __attribute__((warn_unused_result));

/* Pass on rc, and tell cache_failed when it is an error. */
int cache_told(struct cache *c, enum io_op op, int rc) __attribute__((warn_unused_result));

#endif
