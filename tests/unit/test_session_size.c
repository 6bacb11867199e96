/* test_session_size.c - what a session is said to take before it is opened, and what budget a run gets by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"
#include "engine/run_budget.h"
#include "engine/session.h"
#include "engine/stream.h"
#include "kernels/kern.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_arch.h"

#define MIB ((uint64_t)1 << 20)
#define N_IDS 6

static const struct session_params usual = { .n_ctx = 64, .n_batch = 32, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16,
					     .apart = true };

/* Every architecture: the sum of the parts is what the open session says, and the least budget is the least. */
static void test_as_opened(void **state)
{
	struct session_sizes z;
	struct session *s;
	struct model *m;
	char err[256];
	unsigned i;

	(void)state;
	for (i = 0; tiny_arch_at(i) != NULL; i++) {
		struct session_params p = usual;

		assert_int_equal(tiny_arch_open(tiny_arch_at(i), &m), 0);
		assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
		assert_int_equal(z.hold + z.ring + z.slots, 0);
		assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
		assert_int_equal(session_bytes(s), z.kv + z.graph + z.other);
		assert_int_equal(session_kv_bytes(s), z.kv);
		session_close(s);
		p.budget = z.least;
		assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
		assert_int_equal(z.hold, 0);
		assert_int_equal(z.kv + z.graph + z.other + z.ring, p.budget);
		p.budget--;
		assert_int_not_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
		model_close(m);
	}
}

/* A budget of so many layers: no more is held, the logits are the same. */
static void test_layers(void **state)
{
	static const uint32_t ids[N_IDS] = { 1, 5, 2, 9, 3, 4 };
	struct session_params p = usual;
	struct stream_stats stats;
	struct session_sizes z;
	struct session *s;
	struct model *m;
	float *want;
	char err[256];
	size_t n;

	(void)state;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	n = model_n_vocab(m) * sizeof(float);
	want = malloc(n);
	assert_non_null(want);
	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	assert_int_equal(session_eval(s, ids, N_IDS, NULL, NULL), 0);
	memcpy(want, session_logits(s), n);
	session_close(s);
	for (p.layers_most = 1; p.layers_most < 3; p.layers_most++) {
		p.piece = 4096;
		assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
		assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
		assert_int_equal(session_eval(s, ids, N_IDS - 1, NULL, NULL), 0);
		assert_int_equal(session_eval(s, ids + N_IDS - 1, 1, NULL, NULL), 0);
		assert_memory_equal(want, session_logits(s), n);
		session_stream_stats(s, &stats);
		assert_true(stats.held > 0 && stats.held <= z.hold);
		assert_true(z.hold < model_bytes(m) && z.hold >= model_bytes(m) / 20 * p.layers_most);
		assert_true(stats.read > stats.held);
		session_close(s);
	}
	free(want);
	model_close(m);
}

static void test_ring(void **state)
{
	struct session_params p = usual;
	struct session_sizes z;
	struct model *m;
	char err[256];

	(void)state;
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	p.budget = 1024 * MIB;
	assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
	assert_int_equal(z.slots, 16);
	p.layers_ahead = 1;                             /* of a tiny model: the least */
	assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
	assert_int_equal(z.slots, 3);
	p.layers_ahead = UINT32_MAX;                    /* far more than the budget */
	p.budget = 0;
	assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
	p.budget = z.least + 4 * z.slot;
	assert_int_equal(session_sizes(m, &p, &z, err, sizeof(err)), 0);
	assert_int_equal(z.slots, 7);
	assert_int_equal(z.hold, 0);
	model_close(m);
}

static void put_memory(const char *dir, uint64_t kib)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "MemTotal: 67108864 kB\nMemAvailable: %llu kB\n", (unsigned long long)kib);

	scratch_file(dir, "proc/meminfo", text, (size_t)n);
}

static void test_default(void **state)
{
	struct session_params p = usual;
	struct session_sizes z;
	char dir[SCRATCH_PATH], line[256];
	struct model *m;
	uint64_t need;

	(void)state;
	scratch_make(dir);
	assert_int_equal(tiny_arch_open(tiny_arch_at(0), &m), 0);
	assert_int_equal(session_sizes(m, &p, &z, line, sizeof(line)), 0);
	need = z.kv + z.graph + z.other + model_bytes(m);
	assert_int_equal(run_budget_default(m, &p, dir, line, sizeof(line)), 0);        /* not known */
	assert_string_equal(line, "");
	put_memory(dir, 32 * 1024 * 1024);
	assert_int_equal(run_budget_default(m, &p, dir, line, sizeof(line)), 0);
	put_memory(dir, need / 3 * 4 / 1024 + 8);       /* just enough above a quarter of head-room */
	assert_int_equal(run_budget_default(m, &p, dir, line, sizeof(line)), 0);
	assert_string_equal(line, "");
	put_memory(dir, need / 3 * 4 / 1024 - 64);
	assert_in_range(run_budget_default(m, &p, dir, line, sizeof(line)), need - 65536 - 4096, need - 1);
	assert_non_null(strstr(line, "--ram-budget"));
	put_memory(dir, 0);                             /* too small a budget is refused with a reason, none would be taken */
	assert_int_equal(run_budget_default(m, &p, dir, line, sizeof(line)), 1);
	model_close(m);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_opened), cmocka_unit_test(test_layers), cmocka_unit_test(test_ring),
		cmocka_unit_test(test_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
