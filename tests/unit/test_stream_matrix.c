/* test_stream_matrix.c - the same bits, whatever a run does about a model and a cache that do not fit: every architecture with
 * eight layers and more, over all pairs of share held, cache, batch, threads, reader, residency, ring, resumed prefix
 * and order of prompts.
 * Each architecture runs some of the rows; HEARTH_LONG runs all of them with each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "kernels/kern.h"
#include "tests/unit/logit_rows.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

#define LAYERS 8
#define N_IDS 564
#define PROMPT 560
#define CUT 400                 /* where a resumed run ended */
#define N_CTX 640
#define BLOCK 256
#define CASES_MAX 128
#define ROWS_MAX 64
#define ROWS_A_CASE 3
#define PATH_BYTES 128

enum { HELD, CACHE, BATCH, THREADS, READER, THERE, SLOTS, RESUMED, ORDER, FACTORS };
enum { MEMORY, DISK, DISK_AND_MEMORY };                 /* CACHE */
enum { URING, PLAIN, BUFFERED };                        /* READER */
enum { NOTHING, HALF, ALL };                            /* THERE: what the page cache has of the file */
enum { STRAIGHT, RESUMED_ONCE };                        /* RESUMED: a cache in memory is saved, one on disk kept */

static const unsigned choices[FACTORS] = { 4, 3, 3, 3, 3, 3, 3, 2, 3 };  /* ORDER: enum session_order */
static const unsigned held[] = { 75, 50, 25, 10 }, batches[] = { 9, 40, 512 }, slots[] = { 3, 5, 16 };

static unsigned char table[ROWS_MAX][FACTORS];
static unsigned n_rows;
static char dir[SCRATCH_PATH];
static uint32_t ids[N_IDS];

/* ---- all pairs ----------------------------------------------------------------------------------- */

#define PAIRS_MAX (FACTORS * 4 * FACTORS * 4)

static unsigned pair_of(unsigned f, unsigned a, unsigned g, unsigned b)
{
	return ((f * 4 + a) * FACTORS + g) * 4 + b;
}

/* How many pairs of a row are not there yet; with mark they are from now on. */
static unsigned news(const unsigned char *row, bool *seen, bool mark)
{
	unsigned f, g, n = 0;

	for (f = 0; f < FACTORS; f++)
		for (g = f + 1; g < FACTORS; g++) {
			bool *at = &seen[pair_of(f, row[f], g, row[g])];

			n += !*at;
			*at = *at || mark;
		}
	return n;
}

static unsigned pairs(void)
{
	unsigned f, g, n = 0;

	for (f = 0; f < FACTORS; f++)
		for (g = f + 1; g < FACTORS; g++)
			n += choices[f] * choices[g];
	return n;
}

/* Row after row the best of some random ones, until every pair is in one. */
static void make_table(void)
{
	static bool seen[PAIRS_MAX];
	unsigned left = pairs(), i, f;
	uint64_t x = 88172645463325252u;

	while (left > 0) {
		unsigned char row[FACTORS];
		unsigned best = 0;

		assert_true(n_rows < ROWS_MAX);
		for (i = 0; i < 500 || best == 0; i++) {
			for (f = 0; f < FACTORS; f++) {
				x ^= x << 13;
				x ^= x >> 7;
				x ^= x << 17;
				row[f] = (unsigned char)(x % choices[f]);
			}
			if (news(row, seen, false) > best) {
				best = news(row, seen, false);
				memcpy(table[n_rows], row, sizeof(row));
			}
		}
		left -= news(table[n_rows++], seen, true);
	}
}

static int begin_all(void **state)
{
	uint32_t i;

	(void)state;
	scratch_make(dir);
	make_table();
	for (i = 0; i < N_IDS; i++)
		ids[i] = (i * i * 7 + i / 3) % TINY_ARCH_VOCAB;
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

/* ---- a model ------------------------------------------------------------------------------------- */

/* The file with layers in plenty; what is in memory of it is the caller's business. */
static void write_deep(const struct tiny_arch *c, char path[TINY_MODEL_PATH])
{
	struct tiny_arch deep = *c;
	unsigned char *bytes;
	size_t len;
	int fd;

	while (deep.n_layer < LAYERS)
		deep.n_layer += c->n_layer;
	assert_int_equal(tiny_arch_build(&deep, &bytes, &len), 0);
	assert_int_equal(tiny_model_write(bytes, len, path), 0);
	free(bytes);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static struct model *open_model(const char *path)
{
	struct model *m = NULL;
	char err[256] = "";

	if (model_open(&m, path, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	return m;
}

/* Every other 64 KiB of it leave memory, or all of it. */
static void forget(const char *path, unsigned there)
{
	int fd = open(path, O_RDONLY);
	off_t at, len = lseek(fd, 0, SEEK_END), step = 65536;

	assert_true(fd >= 0);
	for (at = 0; at < len && there != ALL; at += there == HALF ? 2 * step : step)
		posix_fadvise(fd, at, step, POSIX_FADV_DONTNEED);
	close(fd);
}

/* ---- a run --------------------------------------------------------------------------------------- */

static struct session *open_session(const struct model *m, const struct session_params *p)
{
	struct session *s = NULL;
	char err[256] = "";

	if (session_open(&s, m, p, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	return s;
}

static void eval(struct session *s, uint32_t from, uint32_t to, struct logit_rows *out)
{
	uint32_t i = to < PROMPT ? to : PROMPT;

	if (from < i)
		assert_int_equal(session_eval(s, ids + from, i - from, logit_rows_keep, out), 0);
	for (i = from < i ? i : from; i < to; i++)
		assert_int_equal(session_eval(s, ids + i, 1, logit_rows_keep, out), 0);
}

static struct session_params plain_params(void)
{
	return (struct session_params){ .n_ctx = N_CTX, .n_batch = 512, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
}

static struct session_params params_of(const struct model *m, const unsigned char *row)
{
	struct session_params p = plain_params();
	struct session_sizes z;
	char err[256];

	p.n_batch = batches[row[BATCH]];
	p.n_threads = 1 + row[THREADS];
	p.slots = slots[row[SLOTS]];
	p.order = (enum session_order)row[ORDER];
	p.piece = 8192;
	p.plain = row[READER] == PLAIN;
	p.buffered = row[READER] == BUFFERED;
	p.apart = row[THERE] == NOTHING;
	if (row[CACHE] != MEMORY) {
		p.kv_dir = dir;
		p.kv_block = BLOCK;
		p.kv_ram = row[CACHE] == DISK ? 0 : 200 << 10;
		p.kv_keep = row[RESUMED] == RESUMED_ONCE;
	}
	assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
	p.budget = z.kv + z.graph + z.other + p.slots * z.slot + model_bytes(m) * held[row[HELD]] / 100;
	return p;
}

/* The session ends at CUT and another goes on, with what the first one left. */
static struct session *resume(struct session *s, const struct model *m, const struct session_params *p)
{
	char path[PATH_BYTES], err[256] = "";
	int rc;

	snprintf(path, sizeof(path), "%s/saved", dir);
	rc = p->kv_keep ? session_keep(s, err, sizeof(err)) : session_save(s, path, err, sizeof(err));
	if (rc != 0)
		fail_msg("%s", err);
	session_close(s);
	s = open_session(m, p);
	if (!p->kv_keep && session_load(s, path, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	assert_int_equal(session_n_past(s), CUT);
	return s;
}

static void run_row(const char *path, const unsigned char *row, struct logit_rows *out)
{
	struct session_params p;
	struct session *s;
	struct model *m;

	forget(path, row[THERE]);
	m = open_model(path);
	p = params_of(m, row);
	s = open_session(m, &p);
	if (row[RESUMED] != STRAIGHT) {
		eval(s, 0, CUT, out);
		s = resume(s, m, &p);
		eval(s, CUT, N_IDS, out);
	} else {
		eval(s, 0, N_IDS, out);
	}
	session_close(s);
	model_close(m);
}

static void test_case(void **state)
{
	const struct tiny_arch *c = *state;
	const unsigned n = getenv("HEARTH_LONG") != NULL ? n_rows : ROWS_A_CASE;
	struct session_params p = plain_params();
	struct logit_rows want = { .n_vocab = TINY_ARCH_VOCAB }, got = want;
	const size_t bytes = N_IDS * TINY_ARCH_VOCAB * sizeof(float);
	char path[TINY_MODEL_PATH];
	struct session *s;
	struct model *m;
	unsigned i, f;

	write_deep(c, path);
	m = open_model(path);
	assert_int_equal(model_n_vocab(m), TINY_ARCH_VOCAB);
	want.logits = calloc(1, bytes);
	got.logits = calloc(1, bytes);
	assert_non_null(want.logits);
	assert_non_null(got.logits);
	s = open_session(m, &p);
	eval(s, 0, N_IDS, &want);
	session_close(s);
	model_close(m);
	for (i = 0; i < n; i++) {
		const unsigned char *row = table[(c->seed + i * (n_rows / ROWS_A_CASE)) % n_rows];

		if (n == n_rows)
			row = table[i];
		memset(got.logits, 0, bytes);
		run_row(path, row, &got);
		if (memcmp(got.logits, want.logits, bytes) != 0) {
			for (f = 0; f < FACTORS; f++)
				print_error("%u ", row[f]);
			fail_msg("other bits in that row");
		}
	}
	free(want.logits);
	free(got.logits);
	unlink(path);
}

int main(void)
{
	struct CMUnitTest tests[CASES_MAX];
	const struct tiny_arch *c;
	unsigned i, n = 0;

	for (i = 0; n < CASES_MAX && (c = tiny_arch_at(i)) != NULL; i += TINY_ARCH_SOME)
		tests[n++] = (struct CMUnitTest){ .name = c->name, .test_func = test_case, .initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("stream matrix", tests, n, begin_all, end_all);
}
