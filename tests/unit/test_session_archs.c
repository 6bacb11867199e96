/* test_session_archs.c - every architecture gives the same bits for any number of threads, any size of batches, and any
 * way to divide a prompt into calls; and after going back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "kernels/kern.h"
#include "tests/unit/logit_rows.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

#define N_IDS 70                /* past every window of the tiny models */
#define CASES_MAX 128

/* All positions' logits, the prompt given in calls of `call` tokens. */
static void run(const struct model *m, const struct session_params *p, const uint32_t *ids, size_t call, struct logit_rows *out)
{
	struct session *s;
	char err[256] = "";
	size_t i, n;

	assert_int_equal(session_open(&s, m, p, err, sizeof(err)), 0);
	for (i = 0; i < N_IDS; i += n) {
		n = N_IDS - i < call ? N_IDS - i : call;
		assert_int_equal(session_eval(s, ids + i, n, logit_rows_keep, out), 0);
	}
	/* another end, then back to the first one */
	assert_int_equal(session_sync(s, (const uint32_t[]){ ids[0], ids[1], ids[0] }, 3), 0);
	assert_int_equal(session_sync(s, ids, N_IDS), 0);
	assert_memory_equal(session_logits(s), out->logits + (N_IDS - 1) * out->n_vocab, out->n_vocab * sizeof(float));
	session_close(s);
}

static void check_isa(const struct model *m, const char *isa, const uint32_t *ids, uint32_t kv)
{
	static const struct { uint32_t batch, threads; size_t call; } ways[] = {
		{ 7, 2, N_IDS }, { 1, 3, N_IDS }, { 512, 2, 13 },
	};
	size_t n_vocab = model_n_vocab(m), i;
	struct logit_rows first = { calloc(N_IDS * n_vocab, sizeof(float)), n_vocab };
	struct logit_rows other = { calloc(N_IDS * n_vocab, sizeof(float)), n_vocab };
	struct session_params p = { .n_ctx = 128, .n_batch = 512, .n_threads = 1, .type_k = kv, .type_v = kv, .isa = isa };

	assert_non_null(first.logits);
	assert_non_null(other.logits);
	run(m, &p, ids, N_IDS, &first);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		p.n_batch = ways[i].batch;
		p.n_threads = ways[i].threads;
		run(m, &p, ids, ways[i].call, &other);
		assert_memory_equal(first.logits, other.logits, N_IDS * n_vocab * sizeof(float));
	}
	free(first.logits);
	free(other.logits);
}

/* The KV types in turn; F16 where heads are no whole blocks. */
static uint32_t kv_of(const struct model *m, uint64_t turn)
{
	static const uint32_t types[] = { KERN_F16, KERN_F32, KERN_Q8_0, KERN_BF16, KERN_Q4_0 };
	struct session_params p = { .n_ctx = 1, .n_batch = 1, .n_threads = 1 };
	struct session *s;
	char err[256];
	int rc;

	p.type_k = p.type_v = types[turn % 5];
	rc = session_open(&s, m, &p, err, sizeof(err));
	if (rc == 0)
		session_close(s);
	return rc == 0 ? p.type_k : KERN_F16;
}

static void test_case(void **state)
{
	const struct tiny_arch *c = *state;
	const struct kern_isa *isa;
	uint32_t ids[N_IDS], i;
	struct model *m;
	int rc;

	rc = tiny_arch_open(c, &m);
	if (rc == -ENOTSUP)
		skip();
	assert_int_equal(rc, 0);
	for (i = 0; i < N_IDS; i++)
		ids[i] = (i * i * 7 + i * 3 + c->seed) % model_n_vocab(m);
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		if (isa->usable())
			check_isa(m, isa->name, ids, kv_of(m, c->seed + i));
	model_close(m);
}

int main(void)
{
	struct CMUnitTest tests[CASES_MAX] = { { 0 } };
	const struct tiny_arch *c;
	size_t n = 0;

	for (; n < CASES_MAX && (c = tiny_arch_at((unsigned)n * TINY_ARCH_EVERY)) != NULL; n++)
		tests[n] = (struct CMUnitTest){ .name = c->name, .test_func = test_case,
						.initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("session_archs", tests, n, NULL, NULL);
}
