/* test_stream.c - weights that come piece by piece give the same bits as weights in memory: every architecture, whatever is
 * held, however few pieces are on the way, by io_uring and by threads, past the page cache and through it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model_internal.h"
#include "engine/session.h"
#include "engine/stream.h"
#include "kernels/kern.h"
#include "tests/unit/logit_rows.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

#define N_IDS 12
#define CASES_MAX 128

/* All positions' logits: a prompt, then tokens one by one. */
static void run(const struct model *m, const struct session_params *p, const uint32_t *ids, struct logit_rows *out)
{
	struct session *s;
	char err[256] = "";
	uint32_t i;
	int rc = session_open(&s, m, p, err, sizeof(err));

	if (rc != 0)
		print_error("%s\n", err);
	assert_int_equal(rc, 0);
	assert_int_equal(session_eval(s, ids, N_IDS / 2, logit_rows_keep, out), 0);
	for (i = N_IDS / 2; i < N_IDS; i++)
		if (i % 2 == 0) {
			assert_int_equal(session_eval(s, ids + i, 1, logit_rows_keep, out), 0);
		} else {
			assert_int_equal(session_eval(s, ids + i, 1, NULL, NULL), 0);
			memcpy(out->logits + i * out->n_vocab, session_logits(s), out->n_vocab * sizeof(float));
		}
	session_close(s);
}

/* What a session of these parameters needs besides weights that stay, with so many slots. */
static uint64_t own_bytes(const struct model *m, const struct session_params *p, uint32_t slots)
{
	struct session_sizes z;
	char err[256];

	assert_int_equal(session_sizes(m, p, &z, err, sizeof(err)), 0);
	return z.kv + z.graph + z.other + slots * z.slot;
}

static void test_case(void **state)
{
	static const struct { uint32_t batch, slots, percent; size_t piece; bool plain, buffered, in_place; } ways[] = {
		{ 4, 3, 0, 8192, false, false, false }, { 512, 4, 50, 16384, false, true, false },
		{ 1, 16, 25, 8192, true, false, false }, { 512, 5, 75, 0, true, true, false },
		{ 7, 16, 100, 12000, false, false, false }, { 3, 3, 10, 2000, false, false, false },
		{ 4, 4, 30, 8192, false, false, true },
	};
	const struct tiny_arch *c = *state;
	struct session_params p = { .n_ctx = 64, .n_batch = 512, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct logit_rows want, got;
	uint32_t ids[N_IDS], i;
	struct model *m;
	size_t n;

	assert_int_equal(tiny_arch_open(c, &m), 0);
	want.n_vocab = got.n_vocab = model_n_vocab(m);
	n = N_IDS * want.n_vocab * sizeof(float);
	want.logits = calloc(1, n);
	got.logits = calloc(1, n);
	assert_non_null(want.logits);
	assert_non_null(got.logits);
	for (i = 0; i < N_IDS; i++)
		ids[i] = (i * i * 5 + i + c->seed) % model_n_vocab(m);
	run(m, &p, ids, &want);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		p.n_batch = ways[i].batch;
		p.n_threads = 1 + i % 2;
		p.n_batch_most = i % 2 == 0 ? 64 : 0;
		p.slots = ways[i].slots;
		p.piece = ways[i].piece;
		p.plain = ways[i].plain;
		p.buffered = ways[i].buffered;
		p.apart = !ways[i].in_place;
		p.budget = 0;
		p.budget = own_bytes(m, &p, ways[i].slots) + model_bytes(m) * ways[i].percent / 100;
		memset(got.logits, 0, n);
		run(m, &p, ids, &got);
		if (memcmp(got.logits, want.logits, n) != 0)
			print_error("way %u\n", i);
		assert_memory_equal(got.logits, want.logits, n);
	}
	free(want.logits);
	free(got.logits);
	model_close(m);
}

static void test_too_small(void **state)
{
	struct session_params p = { .n_ctx = 64, .n_batch = 64, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct session *s;
	struct model *m;
	char err[256];

	(void)state;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	p.budget = own_bytes(m, &p, 3) - 1;
	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "MiB at least"));
	p.budget++;
	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	session_close(s);
	model_close(m);
}

/* Where there is room experts are held that no token asked for, and the logits are the same. */
static void test_spare(void **state)
{
	struct session_params p = { .n_ctx = 256, .n_batch = 64, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16, .piece = 8192,
				    .slots = 4, .apart = true };
	uint32_t id = 5, i;
	struct stream_stats stats = { 0 };
	struct session *s, *whole;
	struct model_size w;
	struct model *m;
	char err[256];

	(void)state;
	for (i = 0; tiny_arch_at(i) != NULL; i++) {
		assert_int_equal(tiny_arch_open(tiny_arch_at(i), &m), 0);
		if (m->dims.n_expert > 2 * m->dims.n_expert_used)
			break;
		model_close(m);
	}
	assert_non_null(tiny_arch_at(i));
	model_size(m, &w);
	assert_int_equal(session_open(&whole, m, &p, err, sizeof(err)), 0);
	p.budget = own_bytes(m, &p, p.slots) + model_bytes(m) + 65536;
	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	for (i = 0; i < 200 && (double)stats.held < w.experts; i++) {
		assert_int_equal(session_eval(s, &id, 1, NULL, NULL), 0);       /* the same token: much the same experts */
		assert_int_equal(session_eval(whole, &id, 1, NULL, NULL), 0);
		assert_memory_equal(session_logits(s), session_logits(whole), model_n_vocab(m) * sizeof(float));
		session_stream_stats(s, &stats);
	}
	assert_true((double)stats.held >= w.experts);
	session_close(whole);
	session_close(s);
	model_close(m);
}

#define LONG_IDS 120

/* A prompt of 30 batches and some tokens, in that order; what it read, and what is held in the end. */
static struct stream_stats run_long(const struct model *m, struct session_params p, enum session_order order, float *logits)
{
	uint32_t ids[LONG_IDS], i;
	struct stream_stats prompt, end;
	struct session *s;
	char err[256];

	for (i = 0; i < LONG_IDS; i++)
		ids[i] = (i * i * 5 + i) % model_n_vocab(m);
	p.order = order;
	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	assert_int_equal(session_eval(s, ids, LONG_IDS, NULL, NULL), 0);
	memcpy(logits, session_logits(s), model_n_vocab(m) * sizeof(float));
	session_stream_stats(s, &prompt);
	for (i = 0; i < 8; i++)
		assert_int_equal(session_eval(s, ids + i, 1, NULL, NULL), 0);
	session_stream_stats(s, &end);
	session_close(s);
	return (struct stream_stats){ .passes = prompt.passes, .read = end.read, .held = end.held };
}

/* Weights are read once for a whole prompt where each layer takes all of it, which is found without being told; and then
 * as many are held as ever. */
static void test_layers(void **state)
{
	struct session_params p = { .n_ctx = 256, .n_batch = 4, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16, .piece = 8192,
				    .slots = 4, .apart = true };
	struct stream_stats batch, layer, found;
	struct session_sizes z;
	struct tiny_arch deep = *tiny_arch_at(0);
	struct model *m;
	float *want, *got;
	char err[256];
	size_t n;

	(void)state;
	deep.n_layer = 12;
	assert_int_equal(tiny_arch_open(&deep, &m), 0);
	n = model_n_vocab(m) * sizeof(float);
	want = malloc(n);
	got = malloc(n);
	assert_non_null(want);
	assert_non_null(got);
	p.budget = own_bytes(m, &p, p.slots) + model_bytes(m) * 3 / 4;
	batch = run_long(m, p, SESSION_ORDER_BATCH, want);
	layer = run_long(m, p, SESSION_ORDER_LAYER, got);
	assert_memory_equal(got, want, n);
	found = run_long(m, p, SESSION_ORDER_AUTO, got);
	assert_memory_equal(got, want, n);
	assert_int_equal(batch.passes, LONG_IDS / 4);
	assert_int_equal(layer.passes, 1);
	assert_int_equal(found.passes, 1);
	assert_true(layer.read < batch.read / 2);
	assert_int_equal(layer.held, batch.held);
	assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);        /* of a prompt of n_ctx tokens */
	assert_int_equal(z.prompt_passes, 1);
	assert_true(z.prompt_read > 0.0 && z.prompt_read < 2.0 * (double)model_bytes(m));
	p.order = SESSION_ORDER_BATCH;
	assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
	assert_int_equal(z.prompt_passes, 256 / 4);
	free(want);
	free(got);
	model_close(m);
}

/* A file that became shorter: an error, not rubbish. */
static void test_cut(void **state)
{
	const struct tiny_arch *c = tiny_arch_at(0);
	struct session_params p = { .n_ctx = 64, .n_batch = 64, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	char path[TINY_MODEL_PATH], err[256];
	unsigned char *bytes;
	struct session *s;
	struct model *m;
	size_t len;

	(void)state;
	assert_int_equal(tiny_arch_build(c, &bytes, &len), 0);
	assert_int_equal(tiny_model_write(bytes, len, path), 0);
	free(bytes);
	assert_int_equal(model_open(&m, path, err, sizeof(err)), 0);
	p.budget = own_bytes(m, &p, 3);
	p.apart = true;
	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	assert_int_equal(session_eval(s, (const uint32_t[]){ 5, 6 }, 2, NULL, NULL), 0);
	assert_int_equal(truncate(path, (off_t)(len - 100)), 0);
	assert_int_equal(session_eval(s, (const uint32_t[]){ 7 }, 1, NULL, NULL), -EIO);
	assert_null(session_logits(s));
	session_close(s);
	model_close(m);
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest fixed[] = { cmocka_unit_test(test_too_small), cmocka_unit_test(test_spare), cmocka_unit_test(test_layers),
					     cmocka_unit_test(test_cut) };
	struct CMUnitTest tests[CASES_MAX];
	const struct tiny_arch *c;
	unsigned i, n = sizeof(fixed) / sizeof(fixed[0]);

	memcpy(tests, fixed, sizeof(fixed));
	for (i = 0; n < CASES_MAX && (c = tiny_arch_at(i)) != NULL; i += TINY_ARCH_EVERY)
		tests[n++] = (struct CMUnitTest){ .name = c->name, .test_func = test_case, .initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("stream", tests, n, NULL, NULL);
}
