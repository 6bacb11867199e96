/* map_place.h - a directory with a map in it, for tests: open, fill, shut, look at the files. */
#ifndef TESTS_UNIT_MAP_PLACE_H
#define TESTS_UNIT_MAP_PLACE_H

#include "tests/unit/map_truth.h"
#include "tests/unit/scratch.h"
#include "tiering/map.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct map_place {
	char dir[SCRATCH_PATH];
	const char *vfs;
	struct io io;
	struct map_report report;
	struct map *m;
};

/* cmocka's: *state is an owned struct map_place in a new directory. */
int map_place_setup(void **state);
int map_place_teardown(void **state);
/* A directory in memory where there is one: for tests that write much and lose nothing by it. */
int map_place_setup_fast(void **state);

/* Make p->dir, which was removed, once more.  0. */
int map_place_setup_again(struct map_place *p);

int map_place_try(struct map_place *p);         /* map_open's result; err is checked */
void map_place_open(struct map_place *p);       /* must succeed */
void map_place_shut(struct map_place *p);
/* n random transactions, each committed, on the map and on t, which starts empty. */
void map_place_fill(struct map_place *p, struct map_truth *t, uint64_t seed, int n);
/* Open, load into t, shut. */
void map_place_read(struct map_place *p, struct map_truth *t);
/* The report of a map that is as the last commit left it. */
bool map_place_sound(const struct map_report *r);

const char *map_place_path(const struct map_place *p, const char *name, char path[PATH_MAX]);
bool map_place_exists(const struct map_place *p, const char *name);
/* Run SQL on the file, which is shut. */
void map_place_sql(const struct map_place *p, const char *text);

#endif
