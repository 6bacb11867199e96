/* cache_place.h - a home and a cache in a scratch directory, for the tests of cache.h. */
#ifndef TESTS_UNIT_CACHE_PLACE_H
#define TESTS_UNIT_CACHE_PLACE_H

#include "tests/unit/scratch.h"
#include "tiering/cache.h"

#define CACHE_PLACE_STORE 0x1122334455667788ull

struct cache_place {
	char dir[SCRATCH_PATH];
	char home[SCRATCH_PATH + 16], cache[SCRATCH_PATH + 16];
	int home_fd;
	struct io io;                   /* the system's; a test may put a hook in */
	struct cache_config cfg;        /* of cache, 1 GiB; a test may change it */
	struct cache_found found;
	struct cache *c;                /* open, or NULL */
	char err[512];
};

/* A new place with its cache open, in *state; and away with it. */
int cache_place_setup(void **state);
int cache_place_teardown(void **state);

/* Open with p->cfg: what cache_open says, p->c where that is 0. */
int cache_place_open(struct cache_place *p);
void cache_place_close(struct cache_place *p);
/* Must work. */
void cache_place_reopen(struct cache_place *p);

/* The cache must refuse to open with that, a line that names its directory, and nothing left open. */
void cache_place_refused(struct cache_place *p, int rc);

/* The whole path of a copy's file; in one of a few buffers that take turns. */
const char *cache_place_file(const struct cache_place *p, uint64_t blob);
/* Descriptors this process has open. */
unsigned cache_place_open_files(void);

#endif
