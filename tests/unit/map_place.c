#include "tests/unit/map_place.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

int map_place_setup(void **state)
{
	struct map_place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	scratch_make(p->dir);
	*state = p;
	return 0;
}

int map_place_setup_fast(void **state)
{
	struct map_place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/dev/shm/hearth-test.XXXXXX");
	if (mkdtemp(p->dir) == NULL)
		scratch_make(p->dir);
	*state = p;
	return 0;
}

int map_place_setup_again(struct map_place *p)
{
	assert_int_equal(mkdir(p->dir, 0700), 0);
	return 0;
}

int map_place_teardown(void **state)
{
	struct map_place *p = *state;

	map_close(p->m);
	scratch_remove(p->dir);
	free(p);
	return 0;
}

int map_place_try(struct map_place *p)
{
	const struct map_config cfg = { .dir = p->dir, .io = &p->io, .vfs = p->vfs };
	char err[256] = "";
	int rc;

	rc = map_open(&p->m, &cfg, &p->report, err, sizeof(err));
	assert_true((rc == 0) == (err[0] == '\0'));
	return rc;
}

void map_place_open(struct map_place *p)
{
	assert_int_equal(map_place_try(p), 0);
}

void map_place_shut(struct map_place *p)
{
	map_close(p->m);
	p->m = NULL;
}

void map_place_fill(struct map_place *p, struct map_truth *t, uint64_t seed, int n)
{
	uint64_t state = seed;

	map_truth_init(t);
	while (n-- > 0)
		assert_int_equal(map_commit(p->m, map_truth_step(t, &state)), 0);
}

void map_place_read(struct map_place *p, struct map_truth *t)
{
	map_place_open(p);
	map_truth_load(t, p->m);
	map_place_shut(p);
}

bool map_place_sound(const struct map_report *r)
{
	return !r->rebuilt && !r->started_anew && r->bad_rows == 0 && r->unreadable == 0 && r->suspect_blobs == 0 &&
	       r->read_only == 0 && r->text[0] == '\0';
}

const char *map_place_path(const struct map_place *p, const char *name, char path[PATH_MAX])
{
	return scratch_path(path, PATH_MAX, p->dir, name);
}

bool map_place_exists(const struct map_place *p, const char *name)
{
	char path[PATH_MAX];

	return access(map_place_path(p, name, path), F_OK) == 0;
}

void map_place_sql(const struct map_place *p, const char *text)
{
	char path[PATH_MAX];
	sqlite3 *db;

	assert_int_equal(sqlite3_open(map_place_path(p, "map.db", path), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
