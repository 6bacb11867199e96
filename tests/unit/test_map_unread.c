/* test_map_unread.c - damage that reading the rows does not show, and that would keep the map from being written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/map_place.h"

/* A write version of the future: SQLite opens such a file for reading only, in a directory that can be written. */
static void test_header_that_forbids_writing(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	unsigned char version = 77;
	char path[PATH_MAX];
	int fd;

	map_place_open(p);
	map_place_fill(p, &want, 8, 20);
	map_place_shut(p);
	fd = open(scratch_path(path, sizeof(path), p->dir, "map.db"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &version, 1, 18), 1);
	close(fd);
	map_place_open(p);
	assert_true(p->report.rebuilt && p->report.read_only == 0 && p->report.text[0] != '\0');
	map_truth_load(&got, p->m);
	assert_true(map_truth_equal(&got, &want));
	map_place_shut(p);
	map_place_open(p);
	assert_true(map_place_sound(&p->report));
	map_truth_load(&got, p->m);
	assert_true(map_truth_equal(&got, &want));
}

/* The first page of a table, counted from 1. */
static int root_page(struct map_place *p, const char *table)
{
	char path[PATH_MAX];
	sqlite3_stmt *st;
	sqlite3 *db;
	int page;

	assert_int_equal(sqlite3_open(map_place_path(p, "map.db", path), &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_master WHERE name = ?1", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	page = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return page;
}

/* Heat is advisory, and its pages are part of the file: with them damaged nothing more could be written. */
static void test_damaged_heat(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	char path[PATH_MAX], junk[64];
	int fd;

	map_place_open(p);
	map_place_fill(p, &want, 9, 40);
	map_place_shut(p);
	memset(junk, 0x80, sizeof(junk));
	fd = open(map_place_path(p, "map.db", path), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), (off_t)(root_page(p, "heat") - 1) * 4096), sizeof(junk));
	close(fd);
	map_place_open(p);
	assert_true(p->report.rebuilt && p->report.read_only == 0);
	map_truth_load(&got, p->m);
	assert_int_equal(map_read_only(p->m), 0);
	assert_true(map_truth_equal(&got, &want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_header_that_forbids_writing, map_place_setup, map_place_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_heat, map_place_setup, map_place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
