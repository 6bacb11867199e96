/* tier_world.h - a home and caches in a scratch directory, a store over them, and what home should have.
 *
 * What goes wrong is noted once (world_fail), by any thread; everybody then ends what he does (world_failed).
 * Directories lie in memory where there is one, else on disk: leases, holes and direct reads work in both.
 */
#ifndef TESTS_UNIT_TIER_WORLD_H
#define TESTS_UNIT_TIER_WORLD_H

#include "tests/unit/tier_truth.h"
#include "tiering/tier.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#define WORLD_SLOTS 6
#define WORLD_TRUTHS 160
#define WORLD_ORPHANS 16
#define WORLD_STRAYS 64
#define WORLD_CACHES 2

/* A name in home, and the file that has it. */
struct world_slot {
	char path[96];                  /* below home */
	struct truth *truth;            /* NULL: no such file */
};

/* A mapping that outlived its open, and the store. */
struct world_orphan {
	struct truth *truth;
	unsigned char *map;
	size_t len;
	struct truth_look look;
};

/* What the caches' files do: see world_hook. */
struct world_fault {
	atomic_uint caches;             /* bits; 0: nothing fails */
	atomic_uint ops;                /* bits of enum io_op */
	atomic_int error, left;         /* negative errno; calls that still fail */
	atomic_ulong fired;
	atomic_ulong calls;             /* of a slow world: some of them wait */
};

struct world {
	uint64_t seed, draw;
	char base[64];
	struct tier *t;
	struct io io;
	struct tier_config cfg;
	struct tier_cache_config cache[WORLD_CACHES];
	char dir[WORLD_CACHES][80], home[80];
	bool on_disk, crashes, damages, slow;
	uint64_t stray[WORLD_STRAYS];   /* ids of copies that the map did not have when the store was shut */
	unsigned nstray;
	bool lost;                      /* copies were removed behind the store's back, which it sees when it opens them */
	truth_clock clock;
	struct world_fault fault;
	uint64_t largest;               /* bytes of a file */

	pthread_mutex_t lock;           /* the rest */
	struct world_slot slot[WORLD_SLOTS];
	struct truth *all[WORLD_TRUTHS];
	unsigned nall, made;
	struct world_orphan orphan[WORLD_ORPHANS];
	unsigned norphans;
	atomic_bool failed;
	char fail[1024];
};

/* A world drawn from seed, with a store not open yet. */
struct world *world_new(uint64_t seed, bool on_disk);
void world_free(struct world *w);

__attribute__((format(printf, 2, 3))) void world_fail(struct world *w, const char *fmt, ...);
bool world_failed(struct world *w);

/* In a slow world one call of four takes up to two ticks, on whatever thread and with whatever lock it is made: what
 * seldom happens between two calls happens there.  The hook of the files calls it, and who stands for a part of the daemon. */
void world_dawdle(struct world *w);

/* Opened again, nothing is left of what world_check_shut found to be nobody's. */
void world_open(struct world *w);
void world_close(struct world *w);
/* Everything ordered is done and nothing moves; false after a long time. */
bool world_quiet(struct world *w);
/* To standard error: the state, the files, the events. */
void world_explain(struct world *w);
/* Wait a tick or so. */
void world_breathe(struct world *w);

/* ---- home ---- */
int world_openat(struct world *w, const char *rel, int flags);
/* A random slot with a file, or -1. */
int world_pick(struct world *w, uint64_t *draw);
const char *world_path(struct world *w, int slot);      /* constant */
/* The file that an open descriptor is of, by its stat; NULL is a failure of the test. */
struct truth *world_truth_of(struct world *w, const struct stat *st);
/* A size for a file. */
uint64_t world_size(struct world *w, uint64_t *draw);
/* Make a file of random bytes under another name and move it to the slot's, behind the mount.  What was there
 * is another file's name then, or none. */
void world_place(struct world *w, int slot, uint64_t *draw);
/* Of a change of names: the slot has that file now. */
void world_set(struct world *w, int slot, struct truth *t);
struct truth *world_add(struct world *w, const struct stat *st, uint64_t size, uint64_t seed);

void world_keep_map(struct world *w, struct truth *t, void *map, size_t len, const struct truth_look *look);
/* Look at every mapping that is kept; drop some of them, or all. */
void world_look_at_maps(struct world *w, uint64_t *draw, bool drop_all);

/* ---- caches ---- */
void world_fault_end(struct world *w);
/* Names in a cache's directory of copies: call each for every one. */
void world_each_copy(struct world *w, unsigned c, void (*each)(struct world *w, int dirfd, const char *name, void *ctx), void *ctx);

/* ---- the end ---- */
unsigned world_count_fds(void);
/* The store is open, nothing is: sums of what is used, and every file read anew. */
void world_check_open(struct world *w);
/* The store is shut: the map against the files of the copies and home.  Copies that no row names, of fills that the
 * end came before, are kept in mind. */
void world_check_shut(struct world *w);
/* The store was opened again: those were taken away. */
void world_check_swept(struct world *w);

#endif
