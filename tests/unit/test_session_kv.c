/* test_session_kv.c - a KV cache on disk gives the same bits as one in memory, of every architecture, however it is divided
 * and whatever is taken back; a kept file goes on where it ended, and no damaged or half-written one does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/kv.h"
#include "engine/model.h"
#include "engine/session.h"
#include "kernels/kern.h"
#include "tests/unit/logit_rows.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_arch.h"

#define N_IDS 1100
#define PROMPT 1000
#define N_CTX 1200
#define BLOCK 256
#define CASES_MAX 128
#define WAYS 4
#define PATH_BYTES 512

static char dir[SCRATCH_PATH];
static uint32_t ids[N_IDS];

static int make_dir(void **state)
{
	uint32_t i;

	(void)state;
	scratch_make(dir);
	for (i = 0; i < N_IDS; i++)
		ids[i] = (i * i * 7 + i / 3) % TINY_ARCH_VOCAB;
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static struct session_params params(void)
{
	return (struct session_params){ .n_ctx = N_CTX, .n_batch = 200, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
}

static struct session *open_session(const struct model *m, const struct session_params *p)
{
	struct session *s = NULL;
	char err[256] = "";
	int rc = session_open(&s, m, p, err, sizeof(err));

	if (rc != 0)
		print_error("%s\n", err);
	assert_int_equal(rc, 0);
	return s;
}

/* ids[from .. to), the first ones together, those behind PROMPT one by one. */
static void eval(struct session *s, uint32_t from, uint32_t to, struct logit_rows *out)
{
	uint32_t i;

	if (from < PROMPT) {
		i = to < PROMPT ? to : PROMPT;
		assert_int_equal(session_eval(s, ids + from, i - from, logit_rows_keep, out), 0);
		from = i;
	}
	for (i = from; i < to; i++)
		assert_int_equal(session_eval(s, ids + i, 1, logit_rows_keep, out), 0);
}

static struct logit_rows new_rows(const struct model *m)
{
	struct logit_rows r = { .n_vocab = model_n_vocab(m) };

	r.logits = calloc(N_IDS * r.n_vocab, sizeof(float));
	assert_non_null(r.logits);
	return r;
}

static void same_rows(const struct logit_rows *a, const struct logit_rows *b, uint32_t from, uint32_t to)
{
	assert_memory_equal(a->logits + from * a->n_vocab, b->logits + from * b->n_vocab, (to - from) * a->n_vocab * sizeof(float));
}

/* Other tokens behind position 700, and then these again: what is behind it is read back and written anew. */
static void go_back(struct session *s, struct logit_rows *out)
{
	uint32_t other[N_IDS], n;

	memcpy(other, ids, sizeof(other));
	for (n = 700; n < N_IDS; n++)
		other[n] = (ids[n] + 1) % TINY_ARCH_VOCAB;
	assert_int_equal(session_sync(s, other, N_IDS - 10), 0);
	n = session_kept(s, ids, N_IDS);
	assert_int_equal(session_sync(s, ids, n > 0 ? n : 1), 0);
	eval(s, session_n_past(s), N_IDS, out);
}

static void test_case(void **state)
{
	static const struct { uint32_t batch, block, threads, ram_kib; bool plain, streamed; enum session_order order; } ways[WAYS] = {
		{ 200, BLOCK, 1, 0, false, false, 0 }, { 37, BLOCK, 2, 300, true, false, 0 },
		{ 1000, 2 * BLOCK, 2, 100, false, true, SESSION_ORDER_BATCH }, { 64, BLOCK, 1, 0, false, true, SESSION_ORDER_LAYER },
	};
	const struct tiny_arch *c = *state;
	bool all = getenv("HEARTH_LONG") != NULL;
	struct session_params p = params();
	struct logit_rows want, got;
	struct session *s;
	struct model *m;
	unsigned i;

	assert_int_equal(tiny_arch_open(c, &m), 0);
	want = new_rows(m);
	got = new_rows(m);
	s = open_session(m, &p);
	eval(s, 0, N_IDS, &want);
	session_close(s);
	for (i = all ? 0 : c->seed % WAYS; i < WAYS; i += all ? 1 : WAYS) {
		p.n_batch = ways[i].batch;
		p.n_threads = ways[i].threads;
		p.kv_dir = dir;
		p.order = ways[i].order;
		p.kv_block = ways[i].block;
		p.kv_ram = (uint64_t)ways[i].ram_kib << 10;
		p.plain = ways[i].plain;
		p.apart = true;
		p.budget = ways[i].streamed ? (uint64_t)64 << 20 : 0;
		memset(got.logits, 0, N_IDS * got.n_vocab * sizeof(float));
		s = open_session(m, &p);
		eval(s, 0, N_IDS, &got);
		same_rows(&want, &got, 0, N_IDS);
		go_back(s, &got);
		same_rows(&want, &got, 0, N_IDS);
		session_close(s);
	}
	free(want.logits);
	free(got.logits);
	model_close(m);
}

/* Batches first, then a prompt by layers: while one layer takes it, the rows of the next ones are not there to be read ahead. */
static void test_layers(void **state)
{
	struct session_params p = params();
	struct logit_rows want, got;
	uint32_t other[5 * 60], i;
	struct session *s;
	struct model *m;

	(void)state;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	want = new_rows(m);
	got = new_rows(m);
	s = open_session(m, &p);
	eval(s, 0, N_IDS, &want);
	session_close(s);
	p.kv_dir = dir;
	p.kv_block = BLOCK;
	p.n_batch = 64;
	p.apart = true;
	p.budget = (uint64_t)64 << 20;
	p.order = SESSION_ORDER_LAYER;
	s = open_session(m, &p);
	for (i = 0; i < 5 * 60; i++)
		other[i] = (ids[i] + 1) % TINY_ARCH_VOCAB;
	for (i = 0; i < 5 * 60; i += 60)
		assert_int_equal(session_eval(s, other + i, 60, NULL, NULL), 0);
	assert_int_equal(session_sync(s, ids, 1), 0);
	assert_int_equal(session_eval(s, ids + 1, PROMPT - 1, NULL, NULL), 0);
	eval(s, PROMPT, N_IDS, &got);
	same_rows(&want, &got, PROMPT, N_IDS);
	session_close(s);
	free(want.logits);
	free(got.logits);
	model_close(m);
}

/* ---- kept files ---------------------------------------------------------------------------------- */

static struct session_params kept_params(void)
{
	struct session_params p = params();

	p.kv_dir = dir;
	p.kv_keep = true;
	p.kv_block = BLOCK;
	return p;
}

/* The only file there. */
static const char *kept_path(char path[PATH_BYTES])
{
	DIR *d = opendir(dir);
	struct dirent *e;

	assert_non_null(d);
	path[0] = '\0';
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			snprintf(path, PATH_BYTES, "%s/%s", dir, e->d_name);
	closedir(d);
	assert_string_not_equal(path, "");
	return path;
}

static void keep(struct session *s)
{
	char err[256] = "";

	if (session_keep(s, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

/* Kept after n tokens; goes on elsewhere, with another context, batch and memory, and is kept again. */
static void keep_and_go_on(const struct tiny_arch *c, uint32_t n)
{
	struct session_params p = params(), q = kept_params();
	struct logit_rows want, got;
	struct session *s;
	struct model *m;
	char err[256];

	assert_int_equal(tiny_arch_open(c, &m), 0);
	want = new_rows(m);
	got = new_rows(m);
	s = open_session(m, &p);
	eval(s, 0, N_IDS, &want);
	session_close(s);
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), 0);
	assert_int_equal(session_save(s, "saved", err, sizeof(err)), -ENOTSUP);
	assert_int_equal(session_load(s, "saved", err, sizeof(err)), -ENOTSUP);
	eval(s, 0, n, &got);
	keep(s);
	session_close(s);
	q.n_ctx = N_CTX + 300;
	q.n_batch = 64;
	q.kv_ram = 200 << 10;
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), n);
	assert_memory_equal(session_logits(s), want.logits + (n - 1) * want.n_vocab, want.n_vocab * sizeof(float));
	eval(s, n, n + 50, &got);
	keep(s);
	eval(s, n + 50, n + 60, &got);          /* less than a chunk: the file is what was kept */
	session_close(s);
	s = open_session(m, &q);
	assert_true(session_n_past(s) == n + 50 || (n + 50) / BLOCK != (n + 60) / BLOCK);
	if (session_n_past(s) == 0)
		eval(s, 0, n + 50, &got);
	eval(s, n + 50, N_IDS, &got);
	same_rows(&want, &got, 0, N_IDS);
	session_close(s);
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), 0); /* chunks were written since: nothing half-written is taken */
	session_close(s);
	free(want.logits);
	free(got.logits);
	model_close(m);
}

static void test_keep(void **state)
{
	(void)state;
	keep_and_go_on(tiny_arch_at(0), 700);
	keep_and_go_on(tiny_arch_at(0), 512);
	keep_and_go_on(tiny_arch_named("deepseek2"), 300);
	keep_and_go_on(tiny_arch_named("qwen3next"), 600);
}

/* A run that changes a chunk in the middle and does not keep it leaves no file to begin with. */
static void test_changed(void **state)
{
	struct session_params q = kept_params();
	struct logit_rows got;
	struct session *s;
	struct model *m;

	(void)state;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	got = new_rows(m);
	s = open_session(m, &q);
	eval(s, 0, 1000, &got);
	keep(s);
	session_close(s);
	s = open_session(m, &q);
	assert_int_equal(session_sync(s, ids, 300), 0);
	assert_int_equal(session_eval(s, ids, 250, NULL, NULL), 0);
	session_close(s);
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), 0);
	session_close(s);
	free(got.logits);
	model_close(m);
}

static uint32_t next_random(uint32_t *seed)
{
	return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

/* One byte of the file is another: it is refused, or a chunk is when it is read; never other bits. */
static void test_damaged(void **state)
{
	struct session_params q = kept_params();
	struct logit_rows want, got;
	struct session *s;
	struct model *m;
	struct stat st;
	uint32_t seed = 7, i, refused = 0, failed = 0;
	char path[PATH_BYTES];
	int fd;

	(void)state;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	want = new_rows(m);
	got = new_rows(m);
	s = open_session(m, &q);
	eval(s, 0, 1000, &want);
	keep(s);
	eval(s, 1000, 1004, &want);
	session_close(s);
	fd = open(kept_path(path), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	for (i = 0; i < 250; i++) {
		off_t at = i < 80 ? (off_t)i : (off_t)(((uint64_t)next_random(&seed) << 16 | next_random(&seed) >> 8) % (uint64_t)st.st_size);
		unsigned char was, now;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		now = was ^ (unsigned char)(1u << next_random(&seed) % 8);
		assert_int_equal(pwrite(fd, &now, 1, at), 1);
		s = open_session(m, &q);
		if (session_n_past(s) == 0) {
			refused++;
		} else if (session_eval(s, ids + 1000, 4, logit_rows_keep, &got) != 0) {
			char err[256] = "";

			assert_int_equal(session_kv_error(s, err, sizeof(err)), -EBADMSG);
			assert_non_null(strstr(err, "not what was written"));
			failed++;
		} else {
			same_rows(&want, &got, 1000, 1004);
		}
		session_close(s);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	assert_true(refused >= 60 && failed > 10);
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), 1000);
	session_close(s);
	assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), 0);
	session_close(s);
	close(fd);
	free(want.logits);
	free(got.logits);
	model_close(m);
}

/* Of another model, KV type or instruction set: another file; the same at the same time: refused. */
static void test_others(void **state)
{
	struct session_params q = kept_params();
	struct session *s, *t;
	struct logit_rows got;
	struct model *m;
	char err[512];

	(void)state;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	got = new_rows(m);
	s = open_session(m, &q);
	eval(s, 0, 300, &got);
	keep(s);
	assert_int_equal(session_open(&t, m, &q, err, sizeof(err)), -EWOULDBLOCK);
	assert_non_null(strstr(err, "another run uses it"));
	q.type_v = KERN_F32;
	t = open_session(m, &q);
	assert_int_equal(session_n_past(t), 0);
	session_close(t);
	q.type_v = KERN_F16;
	q.isa = "ref";
	t = open_session(m, &q);
	assert_int_equal(session_n_past(t), 0);
	session_close(t);
	session_close(s);
	q.isa = NULL;
	q.n_ctx = 299;                          /* it does not fit */
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), 0);
	session_close(s);
	q.kv_dir = "/dev/null/none";
	assert_true(session_open(&s, m, &q, err, sizeof(err)) < 0);
	assert_non_null(strstr(err, "/dev/null/none: the KV cache cannot be there: "));
	q.kv_keep = false;
	assert_true(session_open(&s, m, &q, err, sizeof(err)) < 0);
	q.kv_dir = dir;
	q.kv_block = 100;
	assert_int_equal(session_open(&s, m, &q, err, sizeof(err)), -EINVAL);
	free(got.logits);
	model_close(m);
}

/* No room on the disk: the evaluation ends with the reason, and nothing is taken for a kept file. */
static void full(bool plain)
{
	struct rlimit was, small = { 74 * 4096, RLIM_INFINITY };
	struct session_params q = kept_params();
	struct logit_rows got;
	struct session *s;
	struct model *m;
	char err[256] = "";
	int rc;

	q.plain = plain;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	got = new_rows(m);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	s = open_session(m, &q);
	eval(s, 0, 200, &got);
	keep(s);
	small.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = session_eval(s, ids + 200, 800, NULL, NULL);
	if (rc == 0)
		rc = session_eval(s, ids + 1000, 1, NULL, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(rc, -EREMOTEIO);
	assert_int_equal(session_kv_error(s, err, sizeof(err)), -EFBIG);
	assert_non_null(strstr(err, "the KV cache cannot be written: File too large"));
	assert_int_equal(session_eval(s, ids, 1, NULL, NULL), -EREMOTEIO);
	assert_int_not_equal(session_keep(s, err, sizeof(err)), 0);
	session_close(s);
	s = open_session(m, &q);
	assert_int_equal(session_n_past(s), 0);
	eval(s, 0, 400, &got);
	session_close(s);
	free(got.logits);
	model_close(m);
}

static void test_full(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	full(false);
	full(true);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	static char names[CASES_MAX][64];
	struct CMUnitTest tests[CASES_MAX + 6] = {
		WITH(test_layers), WITH(test_keep), WITH(test_changed), WITH(test_damaged), WITH(test_others), WITH(test_full),
	};
	const struct tiny_arch *c;
	size_t n = 6;
	unsigned i;

	for (i = 0; i < CASES_MAX && (c = tiny_arch_at(i)) != NULL; i += TINY_ARCH_SOME, n++) {
		snprintf(names[i], sizeof(names[i]), "%s%s", c->name, c->ollama ? " as Ollama has it" : "");
		tests[n] = (struct CMUnitTest){ names[i], test_case, make_dir, remove_dir, (void *)(uintptr_t)c };
	}
	return _cmocka_run_group_tests("test_session_kv", tests, n, NULL, NULL);
}
