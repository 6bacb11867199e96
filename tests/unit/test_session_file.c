/* test_session_file.c - a timeline out of a file goes on with the same bits; damaged files and those of others are refused
 * and leave a session that works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "kernels/kern.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_arch.h"

#define N_IDS 60
#define HALF 33
#define CASES_MAX 128
#define PATH_BYTES (SCRATCH_PATH + 32)
#define LOGITS (TINY_ARCH_VOCAB * sizeof(float))

static const struct session_params plain = {
	.n_ctx = TINY_ARCH_CTX, .n_batch = 16, .n_threads = 1, .type_k = KERN_F32, .type_v = KERN_F16,
};

struct fixture {
	char dir[SCRATCH_PATH], path[PATH_BYTES], err[512];
	struct model *m;
	uint32_t ids[N_IDS];
};

static struct model *open_model(const struct tiny_arch *c)
{
	struct model *m = NULL;

	assert_int_equal(tiny_arch_open(c, &m), 0);
	return m;
}

static void open_fixture(struct fixture *f, const struct tiny_arch *c)
{
	uint32_t i;

	scratch_make(f->dir);
	snprintf(f->path, sizeof(f->path), "%s/cache", f->dir);
	f->m = open_model(c);
	for (i = 0; i < N_IDS; i++)
		f->ids[i] = i * i * 7 % TINY_ARCH_VOCAB;
}

static void close_fixture(struct fixture *f)
{
	model_close(f->m);
	scratch_remove(f->dir);
}

static struct session *open_session(struct fixture *f, const struct session_params *p)
{
	struct session *s = NULL;

	assert_int_equal(session_open(&s, f->m, p, f->err, sizeof(f->err)), 0);
	return s;
}

/* A file of the first half; last gets the logits behind the second. */
static void save_half(struct fixture *f, float *last)
{
	struct session *s = open_session(f, &plain);

	assert_int_equal(session_eval(s, f->ids, HALF, NULL, NULL), 0);
	assert_int_equal(session_save(s, f->path, f->err, sizeof(f->err)), 0);
	assert_int_equal(session_eval(s, f->ids + HALF, N_IDS - HALF, NULL, NULL), 0);
	memcpy(last, session_logits(s), LOGITS);
	session_close(s);
}

static void check_end(struct fixture *f, struct session *s, const float *last)
{
	assert_int_equal(session_sync(s, f->ids, N_IDS), 0);
	assert_memory_equal(session_logits(s), last, LOGITS);
}

/* ---- the same bits ------------------------------------------------------------------------------- */

static void test_goes_on(void **state)
{
	float last[TINY_ARCH_VOCAB], middle[TINY_ARCH_VOCAB];
	struct fixture f;
	struct session *s;
	struct stat st;

	open_fixture(&f, *state);
	save_half(&f, last);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	s = open_session(&f, &plain);
	assert_int_equal(session_eval(s, f.ids, HALF, NULL, NULL), 0);
	memcpy(middle, session_logits(s), LOGITS);
	assert_int_equal(session_eval(s, f.ids, 5, NULL, NULL), 0);     /* something else is there */
	assert_int_equal(session_load(s, f.path, f.err, sizeof(f.err)), 0);
	assert_int_equal(session_n_past(s), HALF);
	assert_memory_equal(session_logits(s), middle, LOGITS);
	assert_int_equal(session_kept(s, f.ids, N_IDS), HALF);
	assert_int_equal(session_kept(s, f.ids, HALF), HALF);
	check_end(&f, s, last);
	session_close(s);
	close_fixture(&f);
}

/* One that has evaluated nothing, and one whose logits an error took. */
static void test_empty(void **state)
{
	struct fixture f;
	struct session *s;

	open_fixture(&f, tiny_arch_named(*state));
	s = open_session(&f, &plain);
	assert_int_equal(session_save(s, f.path, f.err, sizeof(f.err)), 0);
	assert_int_equal(session_eval(s, f.ids, HALF, NULL, NULL), 0);
	assert_int_equal(session_load(s, f.path, f.err, sizeof(f.err)), 0);
	assert_int_equal(session_n_past(s), 0);
	assert_null(session_logits(s));
	session_close(s);
	close_fixture(&f);
}

/* ---- refused ------------------------------------------------------------------------------------- */

static void refused(struct fixture *f, const struct session_params *p, const char *part)
{
	struct session *s = open_session(f, p);

	f->err[0] = '\0';
	assert_int_equal(session_load(s, f->path, f->err, sizeof(f->err)), -EINVAL);
	if (strstr(f->err, part) == NULL)
		print_error("'%s' says nothing of '%s'\n", f->err, part);
	assert_non_null(strstr(f->err, part));
	assert_int_equal(strncmp(f->err, f->path, strlen(f->path)), 0);
	assert_int_equal(session_n_past(s), 0);
	session_close(s);
}

static void test_of_others(void **state)
{
	struct session_params p = plain;
	float last[TINY_ARCH_VOCAB];
	struct tiny_arch like;
	struct fixture f;
	struct model *own;

	open_fixture(&f, tiny_arch_named(*state));
	save_half(&f, last);
	p.type_k = KERN_F16;
	refused(&f, &p, "-ctk");
	p = plain;
	p.isa = "ref";
	refused(&f, &p, "--isa");
	p = plain;
	p.n_ctx = HALF - 1;
	refused(&f, &p, "-c");
	own = f.m;
	like = *tiny_arch_named(*state);
	like.seed++;                    /* as large, and with the same keys */
	f.m = open_model(&like);
	refused(&f, &plain, "another model");
	model_close(f.m);
	f.m = own;
	close_fixture(&f);
}

/* Two tables of rope, one for long contexts. */
static void test_other_ropes(void **state)
{
	struct session_params p = plain;
	float last[TINY_ARCH_VOCAB];
	struct fixture f;

	open_fixture(&f, tiny_arch_named(*state));
	save_half(&f, last);
	p.n_ctx = 40;                   /* all tokens fit, but in a short context */
	refused(&f, &p, "context of another length");
	close_fixture(&f);
}

static void test_no_cache(void **state)
{
	struct fixture f;
	struct session *s;

	open_fixture(&f, tiny_arch_named(*state));
	scratch_file(f.dir, "cache", "GGUF and other things that are longer than a head, so that all of a head is there.....", 86);
	refused(&f, &plain, "no prompt cache");
	scratch_file(f.dir, "cache", "", 0);
	refused(&f, &plain, "no prompt cache");
	unlink(f.path);
	s = open_session(&f, &plain);
	assert_int_equal(session_load(s, f.path, f.err, sizeof(f.err)), -ENOENT);
	assert_int_equal(session_load(s, f.dir, f.err, sizeof(f.err)), -EINVAL);
	snprintf(f.path, sizeof(f.path), "%s/none/cache", f.dir);
	assert_int_equal(session_save(s, f.path, f.err, sizeof(f.err)), -ENOENT);
	assert_non_null(strstr(f.err, "none/cache"));
	session_close(s);
	close_fixture(&f);
}

/* Cut anywhere, or with any byte changed: refused, and the session works. */
static void test_damaged(void **state)
{
	float last[TINY_ARCH_VOCAB];
	unsigned char *bytes;
	struct fixture f;
	struct session *s;
	size_t len, i;
	FILE *in;

	open_fixture(&f, tiny_arch_named(*state));
	save_half(&f, last);
	in = fopen(f.path, "rb");
	assert_non_null(in);
	fseek(in, 0, SEEK_END);
	len = (size_t)ftell(in);
	rewind(in);
	bytes = malloc(len + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, len, in), len);
	fclose(in);
	s = open_session(&f, &plain);
	for (i = 0; i < len; i += i < 256 ? 1 : len / 97) {
		scratch_file(f.dir, "cache", bytes, i);
		assert_int_equal(session_load(s, f.path, f.err, sizeof(f.err)), -EINVAL);
		bytes[i] ^= 0x40;
		scratch_file(f.dir, "cache", bytes, len);
		bytes[i] ^= 0x40;
		assert_int_equal(session_load(s, f.path, f.err, sizeof(f.err)), -EINVAL);
		assert_true(session_n_past(s) == 0);
	}
	bytes[len] = 0;
	scratch_file(f.dir, "cache", bytes, len + 1);
	assert_int_equal(session_load(s, f.path, f.err, sizeof(f.err)), -EINVAL);
	check_end(&f, s, last);
	scratch_file(f.dir, "cache", bytes, len);
	assert_int_equal(session_load(s, f.path, f.err, sizeof(f.err)), 0);
	check_end(&f, s, last);
	session_close(s);
	free(bytes);
	close_fixture(&f);
}

#define OF(test, name) { #test " " name, test, NULL, NULL, (void *)(uintptr_t)name }

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		OF(test_empty, "llama"), OF(test_empty, "qwen3next"), OF(test_of_others, "llama"), OF(test_other_ropes, "phi3-long"),
		OF(test_no_cache, "llama"), OF(test_damaged, "llama"), OF(test_damaged, "qwen3next"), OF(test_damaged, "lfm2"),
	};
	struct CMUnitTest tests[CASES_MAX];
	const struct tiny_arch *c;
	unsigned i, n = sizeof(fixed) / sizeof(fixed[0]);

	memcpy(tests, fixed, sizeof(fixed));
	for (i = 0; n < CASES_MAX && (c = tiny_arch_at(i)) != NULL; i++)
		tests[n++] = (struct CMUnitTest){ .name = c->name, .test_func = test_goes_on, .initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("session_file", tests, n, NULL, NULL);
}
