/* test_session.c - the same bits for every number of threads, batch size and division into calls; the
 * limits of a timeline; cancelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "kernels/kern.h"
#include "tests/unit/kern_data.h"
#include "tests/unit/tiny_model.h"

#define N 300           /* tokens: past one attention block of 256 */

struct fixture {
	char path[TINY_MODEL_PATH];
	struct model *m;
	uint32_t ids[N];
};

static void open_fixture(struct fixture *f, const struct tiny_model *t)
{
	struct kern_data_rng rng = { 5 };
	char err[256];
	int i, rc;

	assert_int_equal(tiny_model_file(t, f->path), 0);
	rc = model_open(&f->m, f->path, err, sizeof(err));
	if (rc != 0)
		print_error("%s\n", err);
	assert_int_equal(rc, 0);
	for (i = 0; i < N; i++)
		f->ids[i] = kern_data_u32(&rng) % TINY_MODEL_VOCAB;
}

static void close_fixture(struct fixture *f)
{
	model_close(f->m);
	unlink(f->path);
}

static struct session *open_session(const struct fixture *f, const struct session_params *p)
{
	struct session *s;
	char err[256];

	assert_int_equal(session_open(&s, f->m, p, err, sizeof(err)), 0);
	return s;
}

static const struct session_params plain = {
	.n_ctx = 512, .n_batch = 512, .n_threads = 1, .type_k = KERN_F32, .type_v = KERN_F32,
};

/* ---- bits ------------------------------------------------------------------------------------------ */

struct rows { float *all; uint32_t next; };

/* session_logits_fn: collects */
static int collect(void *arg, uint32_t pos, const float *logits)
{
	struct rows *r = arg;

	assert_int_equal(pos, r->next);
	memcpy(r->all + (size_t)r->next * TINY_MODEL_VOCAB, logits, TINY_MODEL_VOCAB * sizeof(*logits));
	r->next++;
	return 0;
}

static float *all_logits(const struct fixture *f, const struct session_params *p)
{
	struct rows r = { calloc((size_t)N * TINY_MODEL_VOCAB, sizeof(float)), 0 };
	struct session *s = open_session(f, p);

	assert_non_null(r.all);
	assert_int_equal(session_eval(s, f->ids, N, collect, &r), 0);
	assert_int_equal(r.next, N);
	session_close(s);
	return r.all;
}

/* All positions' logits for threads 1 to 4 and batches of 1, 7 and 512 are those of one thread and one batch. */
static void check_bits(const struct tiny_model *t, const char *isa, uint32_t kv_type)
{
	static const struct { uint32_t threads, batch; } cases[] = {
		{ 1, 1 }, { 1, 7 }, { 2, 512 }, { 3, 7 }, { 4, 1 }, { 4, 512 },
	};
	struct session_params p = {
		.n_ctx = 512, .n_batch = 512, .n_threads = 1, .type_k = kv_type, .type_v = kv_type, .isa = isa,
	};
	struct fixture f;
	float *want, *got;
	size_t i;

	open_fixture(&f, t);
	want = all_logits(&f, &p);
	assert_true(isfinite(want[N * TINY_MODEL_VOCAB - 1]));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p.n_threads = cases[i].threads;
		p.n_batch = cases[i].batch;
		got = all_logits(&f, &p);
		if (memcmp(got, want, (size_t)N * TINY_MODEL_VOCAB * sizeof(float)) != 0)
			print_error("%s, type %u: %u threads, batches of %u differ\n", isa, t->type, p.n_threads, p.n_batch);
		assert_memory_equal(got, want, (size_t)N * TINY_MODEL_VOCAB * sizeof(float));
		free(got);
	}
	free(want);
	close_fixture(&f);
}

static void check_bits_isa(const char *isa)
{
	static const uint32_t small[] = { KERN_F32, KERN_F16, KERN_BF16, KERN_Q8_0, KERN_Q4_0, KERN_Q5_1 };
	static const uint32_t super[] = { KERN_Q4_K, KERN_Q6_K };
	struct tiny_model t = { .seed = 3, .n_layer = 2, .n_embd = 96, .n_head = 6, .n_head_kv = 2, .head_dim = 16,
				.n_ff = 160, .n_ctx = 512, .biases = true };
	size_t i;

	if (kern_isa_find(isa) == NULL) {
		print_message("this processor has no %s\n", isa);
		skip();
	}
	for (i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		t.type = small[i];
		check_bits(&t, isa, i % 2 == 0 ? KERN_F32 : KERN_F16);
	}
	t.n_embd = 256;
	t.n_head = 4;
	t.head_dim = 64;
	t.n_ff = 512;
	t.n_layer = 1;
	for (i = 0; i < sizeof(super) / sizeof(super[0]); i++) {
		t.type = super[i];
		check_bits(&t, isa, i % 2 == 0 ? KERN_F16 : KERN_F32);
	}
}

/* What the types of the KV cache cost, against f32; heads that are no whole blocks are refused by name. */
static void test_kv_types(void **state)
{
	static const struct { uint32_t type; double limit; } types[] = {
		{ KERN_F16, 1e-6 }, { KERN_BF16, 5e-5 }, { KERN_Q8_0, 1e-3 }, { KERN_Q4_0, 1e-1 },
	};
	struct tiny_model t = { .seed = 8, .n_layer = 2, .n_embd = 128, .n_head = 4, .n_head_kv = 2, .head_dim = 64, .n_ff = 160,
				.n_ctx = 512 };
	struct session_params p = plain;
	struct fixture f;
	float *want, *got;
	struct session *s;
	char err[256];
	size_t i, k;

	(void)state;
	open_fixture(&f, &t);
	want = all_logits(&f, &p);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		double e = 0.0, size = 0.0;

		p.type_k = p.type_v = types[i].type;
		got = all_logits(&f, &p);
		for (k = 0; k < (size_t)N * TINY_MODEL_VOCAB; k++) {
			e += ((double)got[k] - (double)want[k]) * ((double)got[k] - (double)want[k]);
			size += (double)want[k] * (double)want[k];
		}
		print_message("KV type %u: NMSE %.2g\n", types[i].type, e / size);
		assert_true(e > 0.0 && e / size <= types[i].limit);
		free(got);
	}
	free(want);
	close_fixture(&f);
	t.head_dim = 16;
	open_fixture(&f, &t);
	assert_int_equal(session_open(&s, f.m, &p, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "multiple of 32"));
	p.type_k = p.type_v = KERN_Q5_1;
	assert_int_equal(session_open(&s, f.m, &p, err, sizeof(err)), -EINVAL);
	close_fixture(&f);
}

static void test_bits_avx2(void **state)
{
	(void)state;
	check_bits_isa("avx2");
}

static void test_bits_avx512(void **state)
{
	(void)state;
	check_bits_isa("avx512");
}

static void test_bits_ref(void **state)
{
	(void)state;
	check_bits(&tiny_model_plain, "ref", KERN_F32);
}

/* ---- the timeline ----------------------------------------------------------------------------------- */

static void same_logits(const struct session *a, const struct session *b)
{
	assert_non_null(session_logits(a));
	assert_non_null(session_logits(b));
	assert_memory_equal(session_logits(a), session_logits(b), TINY_MODEL_VOCAB * sizeof(float));
}

static void test_sync(void **state)
{
	struct session *s, *fresh;
	struct fixture f;
	uint32_t other[N];

	(void)state;
	open_fixture(&f, &tiny_model_plain);
	s = open_session(&f, &plain);
	fresh = open_session(&f, &plain);
	assert_null(session_logits(s));
	assert_int_equal(session_sync(s, f.ids, 50), 0);
	assert_int_equal(session_sync(s, f.ids, 50), 0);        /* nothing to do */
	assert_int_equal(session_sync(s, f.ids, 90), 0);        /* extend */
	assert_int_equal(session_eval(fresh, f.ids, 90, NULL, NULL), 0);
	same_logits(s, fresh);
	assert_int_equal(session_sync(s, f.ids, 70), 0);        /* go back */
	assert_int_equal(session_n_past(s), 70);
	session_close(fresh);
	fresh = open_session(&f, &plain);
	assert_int_equal(session_eval(fresh, f.ids, 70, NULL, NULL), 0);
	same_logits(s, fresh);
	memcpy(other, f.ids, sizeof(other));
	other[40] = (other[40] + 1) % TINY_MODEL_VOCAB;
	assert_int_equal(session_sync(s, other, 70), 0);        /* branch off in the middle */
	assert_int_equal(session_sync(fresh, other, 70), 0);
	same_logits(s, fresh);
	assert_int_equal(session_sync(s, other, 0), -EINVAL);
	session_close(s);
	session_close(fresh);
	close_fixture(&f);
}

static void test_limits(void **state)
{
	struct session_params p = plain;
	uint32_t bad = TINY_MODEL_VOCAB;
	struct fixture f;
	struct session *s;

	(void)state;
	open_fixture(&f, &tiny_model_plain);
	p.n_ctx = 10;
	s = open_session(&f, &p);
	assert_int_equal(session_n_ctx(s), 10);
	assert_int_equal(session_eval(s, f.ids, 11, NULL, NULL), -ENOSPC);
	assert_int_equal(session_eval(s, &bad, 1, NULL, NULL), -EINVAL);
	assert_int_equal(session_n_past(s), 0);
	assert_int_equal(session_eval(s, f.ids, 10, NULL, NULL), 0);
	assert_int_equal(session_eval(s, f.ids, 1, NULL, NULL), -ENOSPC);
	assert_non_null(session_logits(s));
	session_close(s);
	session_close(NULL);
	close_fixture(&f);
}

static void test_bad_parameters(void **state)
{
	struct session_params p = plain;
	struct fixture f;
	struct session *s;
	char err[256] = "";

	(void)state;
	open_fixture(&f, &tiny_model_plain);
	p.isa = "sse1";
	assert_int_equal(session_open(&s, f.m, &p, err, sizeof(err)), -ENOTSUP);
	p = plain;
	p.n_threads = 0;
	assert_int_equal(session_open(&s, f.m, &p, err, sizeof(err)), -EINVAL);
	p = plain;
	p.type_v = KERN_Q8_0;
	assert_int_equal(session_open(&s, f.m, &p, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "KV cache"));
	p = plain;
	p.n_batch = 0;
	assert_int_equal(session_open(&s, f.m, &p, err, sizeof(err)), -EINVAL);
	close_fixture(&f);
}

/* ---- ending early ----------------------------------------------------------------------------------- */

/* session_cancel_fn: true at the n-th question */
static bool countdown(void *arg)
{
	int *n = arg;

	return --*n < 0;
}

static void test_cancel(void **state)
{
	struct session_params p = plain;
	struct session *s, *fresh;
	struct fixture f;
	int left;

	(void)state;
	open_fixture(&f, &tiny_model_plain);
	p.n_batch = 16;
	s = open_session(&f, &p);
	fresh = open_session(&f, &plain);
	left = 3;               /* two layers a batch: the second batch is cut short */
	session_set_cancel(s, countdown, &left);
	assert_int_equal(session_eval(s, f.ids, 64, NULL, NULL), -ECANCELED);
	assert_int_equal(session_n_past(s), 16);
	assert_null(session_logits(s));
	session_set_cancel(s, NULL, NULL);
	assert_int_equal(session_sync(s, f.ids, 64), 0);
	assert_int_equal(session_eval(fresh, f.ids, 64, NULL, NULL), 0);
	same_logits(s, fresh);
	session_close(s);
	session_close(fresh);
	close_fixture(&f);
}

/* session_logits_fn: fails at one position */
static int fail_at(void *arg, uint32_t pos, const float *logits)
{
	(void)logits;
	return pos == *(const uint32_t *)arg ? -EIO : 0;
}

static void test_sink_fails(void **state)
{
	uint32_t at = 21;
	struct session_params p = plain;
	struct fixture f;
	struct session *s;

	(void)state;
	open_fixture(&f, &tiny_model_plain);
	p.n_batch = 16;
	s = open_session(&f, &p);
	assert_int_equal(session_eval(s, f.ids, 64, fail_at, &at), -EIO);
	assert_int_equal(session_n_past(s), 16);
	assert_null(session_logits(s));
	session_close(s);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits_ref),
		cmocka_unit_test(test_bits_avx2),
		cmocka_unit_test(test_bits_avx512),
		cmocka_unit_test(test_kv_types),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bad_parameters),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_sink_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
