/* test_map_damage.c - whatever the map's file has become, the map opens, keeps what is good and says what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/map_place.h"

/* ---- files that are not what they should be ---------------------------------------------------- */

static void set_aside(struct map_place *p, const char *name, const void *bytes, size_t len)
{
	static struct map_truth want, got;

	scratch_file(p->dir, "map.db", bytes, len);
	map_place_open(p);
	assert_true(p->report.started_anew && p->report.read_only == 0 && p->report.text[0] != '\0');
	assert_true(map_place_exists(p, name));
	map_truth_load(&got, p->m);
	assert_int_equal(got.extents, 0);
	map_place_fill(p, &want, 5, 20);
	map_place_shut(p);
	map_place_open(p);
	assert_true(map_place_sound(&p->report));
	map_truth_load(&got, p->m);
	assert_true(map_truth_equal(&got, &want));
	map_place_shut(p);
}

static void test_garbage_file(void **state)
{
	static unsigned char junk[20000];
	struct map_place *p = *state;

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (unsigned char)(i * 7 + i / 256);
	set_aside(p, "map.db.damaged", junk, sizeof(junk));
	set_aside(p, "map.db.damaged", "SQLite format 3", 16);
	memcpy(junk, "SQLite format 3", 16);
	set_aside(p, "map.db.damaged", junk, sizeof(junk));
}

static void test_empty_file_is_new(void **state)
{
	struct map_place *p = *state;

	scratch_file(p->dir, "map.db", "", 0);
	map_place_open(p);
	assert_true(p->report.created && map_place_sound(&p->report));
}

static void test_directory_in_its_place(void **state)
{
	char path[PATH_MAX];
	struct map_place *p = *state;

	assert_int_equal(mkdir(scratch_path(path, sizeof(path), p->dir, "map.db"), 0700), 0);
	map_place_open(p);
	assert_true(p->report.started_anew && p->report.read_only == 0);
	assert_true(map_place_exists(p, "map.db.damaged"));
}

static void test_newer_format(void **state)
{
	static struct map_truth want;
	struct map_place *p = *state;

	map_place_open(p);
	map_place_fill(p, &want, 6, 20);
	map_place_shut(p);
	map_place_sql(p, "UPDATE format SET version = 7");
	map_place_open(p);
	assert_true(p->report.started_anew);
	assert_int_equal(p->report.found_format, 7);
	assert_true(map_place_exists(p, "map.db.format-7"));
	assert_non_null(strstr(p->report.text, "format 7"));
}

static void test_foreign_database(void **state)
{
	struct map_place *p = *state;

	map_place_sql(p, "CREATE TABLE mine(a)");
	map_place_open(p);
	assert_true(p->report.started_anew && map_place_exists(p, "map.db.damaged"));
}

/* A sound report means that nothing is missing: what was cut off held nothing. */
static void test_truncated(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	char path[PATH_MAX];
	struct stat st;
	int lost = 0;

	map_place_open(p);
	map_place_fill(p, &want, 7, 400);
	map_place_shut(p);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(stat(map_place_path(p, "map.db", path), &st), 0);
		assert_int_equal(truncate(path, st.st_size - (i < 6 ? 1 : st.st_size / 7)), 0);
		map_place_read(p, &got);
		assert_int_equal(p->report.read_only, 0);
		assert_true(map_truth_within(&got, &want));
		if (map_place_sound(&p->report))
			assert_true(map_truth_equal(&got, &want));
		else
			lost++;
		map_place_read(p, &want);
		assert_true(map_place_sound(&p->report));
	}
	assert_true(lost > 3);
}

/* ---- rows changed behind the map's back ---------------------------------------------------------- */

struct row {
	int64_t a, b;
	size_t len;
	unsigned char value[5000];
};

static sqlite3_stmt *on_file(struct map_place *p, const char *sql, sqlite3 **db)
{
	char path[PATH_MAX];
	sqlite3_stmt *st;

	assert_int_equal(sqlite3_open(map_place_path(p, "map.db", path), db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(*db, sql, -1, &st, NULL), SQLITE_OK);
	return st;
}

/* The row of a SELECT of two integers (0 where there is one only) and a value. */
static void take_row(struct map_place *p, const char *sql, struct row *r)
{
	sqlite3 *db;
	sqlite3_stmt *st = on_file(p, sql, &db);

	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	r->a = sqlite3_column_int64(st, 0);
	r->b = sqlite3_column_int64(st, 1);
	r->len = (size_t)sqlite3_column_bytes(st, 2);
	assert_true(r->len <= sizeof(r->value));
	memcpy(r->value, sqlite3_column_blob(st, 2), r->len);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

static void put_row(struct map_place *p, const char *sql, const struct row *r)
{
	sqlite3 *db;
	sqlite3_stmt *st = on_file(p, sql, &db);

	sqlite3_bind_int64(st, 1, r->a);
	sqlite3_bind_int64(st, 2, r->b);
	sqlite3_bind_blob(st, 3, r->value, (int)r->len, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

#define TAKE_CHUNK "SELECT blob, part, value FROM chunk ORDER BY blob, part LIMIT 1 OFFSET 3"
#define PUT_CHUNK  "INSERT OR REPLACE INTO chunk VALUES(?1, ?2, ?3)"
#define TAKE_BLOB  "SELECT id, 0, value FROM blob ORDER BY id LIMIT 1 OFFSET 2"
#define PUT_BLOB   "INSERT OR REPLACE INTO blob VALUES(?1, iif(?2 = 0, ?3, NULL))"

static unsigned suspects(const struct map_truth *t)
{
	unsigned n = 0;

	for (int i = 0; i < MAP_TRUTH_BLOBS; i++)
		n += t->blob[i].known && t->blob[i].suspect;
	return n;
}

/* Fill so that no blob is suspect, and shut. */
static void fill_trusted(struct map_place *p, struct map_truth *t, uint64_t seed)
{
	struct map_txn *x;

	map_place_open(p);
	map_place_fill(p, t, seed, 400);
	assert_int_equal(map_txn_new(&x), 0);
	for (unsigned i = 0; i < MAP_TRUTH_BLOBS; i++) {
		t->blob[i].known = true;
		t->blob[i].suspect = false;
		assert_int_equal(map_txn_put_blob(x, &(struct map_blob){ .id = map_truth_id(i), .ident = t->blob[i].ident }), 0);
	}
	assert_int_equal(map_commit(p->m, x), 0);
	map_place_shut(p);
	map_place_read(p, t);
}

/* One damaged row alone is lost, and nothing becomes suspect. */
static void test_damaged_row(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	static struct row r;

	fill_trusted(p, &want, 8);
	take_row(p, TAKE_CHUNK, &r);
	r.value[20] ^= 1;
	put_row(p, PUT_CHUNK, &r);
	map_place_read(p, &got);
	assert_true(p->report.rebuilt && p->report.text[0] != '\0');
	assert_int_equal(p->report.bad_rows, 1);
	assert_int_equal(p->report.suspect_blobs, 0);
	assert_true(map_truth_within(&got, &want));
	assert_true(got.extents < want.extents && got.extents + 64 >= want.extents);
	map_place_read(p, &want);
	assert_true(map_place_sound(&p->report));
	assert_true(map_truth_equal(&got, &want));
}

static void test_damaged_blob_row(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	static struct row r;

	fill_trusted(p, &want, 9);
	take_row(p, TAKE_BLOB, &r);
	r.value[2] ^= 1;
	put_row(p, PUT_BLOB, &r);
	map_place_read(p, &got);
	assert_true(p->report.rebuilt);
	assert_int_equal(p->report.suspect_blobs, 0);
	assert_true(map_truth_within(&got, &want));
	for (unsigned i = 0; i < MAP_TRUTH_BLOBS; i++)
		assert_true(got.blob[i].known == ((int64_t)map_truth_id(i) != r.a));
}

/* A good row under another key is a bad row. */
static void test_misplaced_row(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	static struct row r;

	fill_trusted(p, &want, 10);
	take_row(p, TAKE_CHUNK, &r);
	r.b += 1000;
	put_row(p, PUT_CHUNK, &r);
	map_place_read(p, &got);
	assert_true(p->report.rebuilt);
	assert_int_equal(p->report.bad_rows, 1);
	assert_true(map_truth_within(&got, &want));
}

/* An old row in the place of a newer one has a good check; the sum of checks of its blob tells. */
static void test_old_row_makes_suspect(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	struct map_txn *t;
	static struct row r;

	fill_trusted(p, &want, 11);
	take_row(p, TAKE_CHUNK, &r);
	map_place_open(p);
	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_drop(t, (uint64_t)r.a, (uint8_t)(r.b >> 40), 0, UINT64_MAX), 0);
	assert_int_equal(map_commit(p->m, t), 0);
	map_place_shut(p);
	map_place_read(p, &want);
	put_row(p, PUT_CHUNK, &r);
	map_place_read(p, &got);
	assert_true(p->report.rebuilt);
	assert_int_equal(p->report.suspect_blobs, 1);
	assert_int_equal(suspects(&got), 1);
	assert_true(map_truth_within(&got, &want));
	map_place_read(p, &got);                /* it stays so until somebody has compared */
	assert_int_equal(suspects(&got), 1);
	assert_true(map_place_sound(&p->report));
}

/* A whole blob that was dropped comes back: only the root's sum tells, and not whom to trust. */
static void test_old_blob_makes_all_suspect(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;
	struct map_txn *t;
	static struct row r;

	fill_trusted(p, &want, 12);
	take_row(p, TAKE_BLOB, &r);
	map_place_open(p);
	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_drop_blob(t, (uint64_t)r.a), 0);
	assert_int_equal(map_commit(p->m, t), 0);
	map_place_shut(p);
	map_place_read(p, &want);
	put_row(p, PUT_BLOB, &r);
	map_place_read(p, &got);
	assert_true(p->report.rebuilt);
	assert_int_equal(p->report.suspect_blobs, MAP_TRUTH_BLOBS);
	assert_int_equal(suspects(&got), MAP_TRUTH_BLOBS);
}

static void test_missing_row_makes_suspect(void **state)
{
	static struct map_truth want, got;
	struct map_place *p = *state;

	fill_trusted(p, &want, 13);
	map_place_sql(p, "DELETE FROM chunk WHERE (blob, part) = (SELECT blob, part FROM chunk LIMIT 1)");
	map_place_read(p, &got);
	assert_true(p->report.rebuilt);
	assert_int_equal(p->report.suspect_blobs, 1);
	assert_true(map_truth_within(&got, &want));
}

/* ---- directories that cannot be written ------------------------------------------------------------ */

static void as_nobody(struct map_place *p, const struct map_truth *want, int want_rc)
{
	static struct map_truth got;
	struct map_txn *t;

	if (seteuid(65534) != 0)
		_exit(2);
	map_place_open(p);
	if (p->report.read_only != want_rc || map_read_only(p->m) != want_rc || p->report.text[0] == '\0')
		_exit(3);
	map_truth_load(&got, p->m);
	if (!map_truth_equal(&got, want))
		_exit(4);
	if (map_txn_new(&t) != 0 || map_submit(p->m, t, NULL, NULL) != -EROFS)
		_exit(5);
	if (map_commit(p->m, t) != -EROFS)
		_exit(6);
	map_place_shut(p);
	_exit(0);
}

static void test_read_only_directory(void **state)
{
	static struct map_truth want, nothing;
	struct map_place *p = *state;
	char path[PATH_MAX];
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("needs root, to become a user who may not write\n");
		skip();
	}
	assert_int_equal(chmod(p->dir, 0755), 0);
	for (int round = 0; round < 3; round++) {
		map_truth_init(&nothing);
		if (round == 1) {
			map_place_open(p);
			map_place_fill(p, &want, 14, 100);
			map_place_shut(p);
			assert_int_equal(chmod(map_place_path(p, "map.db", path), 0644), 0);
			map_place_read(p, &want);
		}
		if (round == 2)                 /* with a log the file alone is old */
			scratch_file(p->dir, "map.db-wal", "something", 9);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			as_nobody(p, round == 1 ? &want : &nothing, -EACCES);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* ---- random damage --------------------------------------------------------------------------------- */

#define PAGE 4096

static void damage(unsigned char *image, size_t *len, uint64_t *rng)
{
	size_t pages = *len / PAGE, a = map_truth_random(rng) % pages, b = map_truth_random(rng) % pages;
	unsigned char keep[PAGE];

	switch (map_truth_random(rng) % 32) {
	case 0:                                 /* two pages change places */
		memcpy(keep, image + a * PAGE, PAGE);
		memcpy(image + a * PAGE, image + b * PAGE, PAGE);
		memcpy(image + b * PAGE, keep, PAGE);
		break;
	case 1:                                 /* a page twice: a lost and a misdirected write */
		memcpy(image + a * PAGE, image + b * PAGE, PAGE);
		break;
	case 2:
		memset(image + a * PAGE, 0, PAGE);
		break;
	case 3:
		*len = map_truth_random(rng) % *len;
		break;
	case 4:                                 /* in the head of a page: its kind, its cells */
		image[a * PAGE + map_truth_random(rng) % 32] = (unsigned char)map_truth_random(rng);
		break;
	default:
		image[map_truth_random(rng) % *len] ^= (unsigned char)(1u << map_truth_random(rng) % 8);
	}
}

static size_t read_image(struct map_place *p, unsigned char **image)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	fd = open(map_place_path(p, "map.db", path), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	*image = malloc((size_t)st.st_size);
	assert_non_null(*image);
	assert_int_equal(read(fd, *image, (size_t)st.st_size), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static void test_random_damage(void **state)
{
	static struct map_truth want, got, again;
	struct map_place *p = *state;
	const int rounds = getenv("HEARTH_LONG") != NULL ? 10000 : 1000;
	uint64_t rng = 15, kept = 0, possible = 0;
	int rebuilt = 0, anew = 0, suspect = 0;
	unsigned char *image, *copy;
	size_t whole, len;

	fill_trusted(p, &want, 15);
	whole = read_image(p, &image);
	copy = malloc(whole);
	assert_non_null(copy);
	for (int i = 0; i < rounds; i++) {
		memcpy(copy, image, whole);
		len = whole;
		damage(copy, &len, &rng);
		scratch_file(p->dir, "map.db", copy, len);
		map_place_read(p, &got);
		assert_int_equal(p->report.read_only, 0);
		assert_true(map_truth_within(&got, &want));
		rebuilt += p->report.rebuilt;
		anew += p->report.started_anew || p->report.created;
		suspect += suspects(&got) > 0;
		kept += got.extents;
		possible += want.extents;
		if (map_place_sound(&p->report) && !p->report.created)
			assert_true(map_truth_equal(&got, &want));
		if (i % 16 == 0) {
			map_place_read(p, &again);
			assert_true(map_place_sound(&p->report));
			assert_true(map_truth_equal(&got, &again));
		}
	}
	print_message("%d damaged files of %zu bytes: %d rebuilt (%d with suspects), %d begun anew, %.1f %% of extents kept\n",
		      rounds, whole, rebuilt, suspect, anew, 100.0 * (double)kept / (double)possible);
	assert_true(rebuilt > 0 && rebuilt + anew < rounds);
	free(copy);
	free(image);
}

/* A process that ends without closing leaves its commits in the log.  Damage there costs what is behind it:
 * the last commit may then never have been, but when others are lost too the map knows it, and trusts
 * no blob. */
static void set_first(struct map_place *p, unsigned char value)
{
	const unsigned char bytes[8] = { value, 1, 2, 3, 4, 5, 6, 7 };
	struct map_txn *t;

	assert_int_equal(map_txn_new(&t), 0);
	assert_int_equal(map_txn_set(t, "name0", bytes, sizeof(bytes)), 0);
	assert_int_equal(map_commit(p->m, t), 0);
}

static void test_damaged_log(void **state)
{
	const int commits = 30, rounds = getenv("HEARTH_LONG") != NULL ? 2000 : 200;
	static struct map_truth want, last, got;
	struct map_place *p = *state;
	char path[PATH_MAX];
	uint64_t rng = 16, steps;
	int told = 0, unseen = 0, status;
	unsigned char byte;
	struct stat st;
	pid_t pid;
	off_t at;
	int fd;

	for (int i = 0; i < rounds; i++) {
		scratch_remove(p->dir);
		assert_int_equal(map_place_setup_again(p), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			map_place_open(p);
			map_place_fill(p, &want, (uint64_t)i, commits);
			set_first(p, 1);        /* the last two are sure to write something */
			set_first(p, 2);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		map_truth_init(&want);
		steps = (uint64_t)i;
		for (int k = 0; k < commits; k++)
			map_txn_free(map_truth_step(&want, &steps));
		want.setting[0] = 1;
		last = want;
		want.setting[0] = 2;
		fd = open(map_place_path(p, "map.db-wal", path), O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 30 * PAGE);
		at = (off_t)(map_truth_random(&rng) % (uint64_t)st.st_size);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (unsigned char)(1u << map_truth_random(&rng) % 8);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		map_place_read(p, &got);
		assert_int_equal(p->report.read_only, 0);
		if (map_truth_equal(&got, &last) && map_place_sound(&p->report)) {
			unseen++;
			continue;
		}
		assert_true(map_truth_within(&got, &want));
		if (map_place_sound(&p->report) && !p->report.created && !map_truth_equal(&got, &want))
			fail_msg("round %d, byte %lld of %lld: commits are lost and nothing says so", i, (long long)at,
				 (long long)st.st_size);
		told += p->report.rebuilt || p->report.started_anew;
	}
	print_message("%d damaged logs: %d told, %d without the last commit\n", rounds, told, unseen);
	assert_true(told > rounds / 2);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, map_place_setup, map_place_teardown)
	const struct CMUnitTest tests[] = {
		T(test_garbage_file), T(test_empty_file_is_new), T(test_directory_in_its_place), T(test_newer_format),
		T(test_foreign_database), T(test_truncated), T(test_damaged_row), T(test_damaged_blob_row),
		T(test_misplaced_row), T(test_old_row_makes_suspect), T(test_old_blob_makes_all_suspect),
		T(test_missing_row_makes_suspect), T(test_read_only_directory),
		cmocka_unit_test_setup_teardown(test_random_damage, map_place_setup_fast, map_place_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_log, map_place_setup_fast, map_place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
