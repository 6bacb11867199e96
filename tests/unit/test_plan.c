/* test_plan.c - predictions against the same arithmetic by hand, for dense models and mixtures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include <stdbool.h>
#include <string.h>

#include "engine/plan.h"
#include "engine/probe.h"
#include "kernels/kern_pool.h"
#include "tests/unit/tiny_arch.h"

#define DISK 1e8
#define RAM 1e9

static void near(double got, double want)
{
	if (fabs(got - want) > 1e-9 * fabs(want) + 1e-12)
		fail_msg("%.12g is not %.12g", got, want);
}

static struct plan_rates rates(double disk)
{
	struct plan_rates r = { .disk = disk };
	uint32_t i;

	for (i = 0; i < KERN_TYPE_COUNT; i++)
		r.matmul[i] = RAM;
	return r;
}

/* All architectures: what a pass reads is what model_bytes_read says, whatever the types. */
static void test_sizes(void **state)
{
	struct model_size z;
	struct model *m;
	double by_type;
	unsigned i, k;

	(void)state;
	for (i = 0; tiny_arch_at(i) != NULL; i++) {
		assert_int_equal(tiny_arch_open(tiny_arch_at(i), &m), 0);
		model_size(m, &z);
		near(z.layers + z.experts, model_layers_bytes(m));
		assert_true(z.layers + z.experts + z.output + z.tables >= (double)model_bytes(m) - 1);
		for (by_type = 0, k = 0; k < KERN_TYPE_COUNT; k++)
			by_type += z.dense_type[k] + z.expert_type[k];
		near(by_type, z.layers + z.experts + z.output);
		assert_true(z.layer_most * m->dims.n_layer >= z.layers * 0.999);
		model_close(m);
	}
}

static struct model *mixture(bool is)
{
	struct model *m;
	unsigned i;

	for (i = 0; tiny_arch_at(i) != NULL; i++) {
		assert_int_equal(tiny_arch_open(tiny_arch_at(i), &m), 0);
		if ((m->dims.n_expert > 0) == is)
			return m;
		model_close(m);
	}
	fail();
	return NULL;
}

static void test_dense(void **state)
{
	struct model *m = mixture(false);
	struct session_sizes z = { .slots = 3, .kv = 1000, .graph = 200, .other = 30, .ring = 4 };
	struct plan_rates r = rates(DISK);
	struct model_size w;
	struct plan p;
	double all;

	(void)state;
	model_size(m, &w);
	all = w.layers + w.output;
	z.hold = (uint64_t)(all / 4);
	plan_make(&p, m, &z, &r, 0, 0.0, 16.0);
	near(p.token_disk, all - (double)z.hold);
	near(p.token_memory, (double)z.hold);
	near(p.memory, 1234.0 + (double)z.hold);
	near(p.speed, DISK / (all - (double)z.hold));
	near(p.layers, m->dims.n_layer * (double)z.hold / all);
	assert_int_equal(p.bound, PLAN_BY_DISK);
	plan_make(&p, m, &z, &r, 0, 0.5, 16.0);         /* half of it is in memory anyhow */
	near(p.token_disk, all / 2 - (double)z.hold);
	z.hold = (uint64_t)(all * 2);
	plan_make(&p, m, &z, &r, 1000, 0.0, 16.0);
	near(p.token_disk, 0.0);
	near(p.memory, 1234.0 + all);
	near(p.speed, 1.0 / ((all + 16000.0) / RAM));
	assert_int_equal(p.bound, PLAN_BY_COMPUTE);
	r.step = 1e-3;
	plan_make(&p, m, &z, &r, 0, 0.0, 16.0);
	near(p.compute_s, all / RAM + m->dims.n_layer * 18e-3);
	r.step = 0.0;
	z.slots = 0;                                    /* without a budget all of it is mapped */
	z.ring = z.hold = 0;
	plan_make(&p, m, &z, &r, 0, 0.0, 16.0);
	near(p.memory, 1230.0 + all);
	near(p.token_disk, 0.0);
	model_close(m);
}

static void test_mixture(void **state)
{
	struct model *m = mixture(true);
	struct session_sizes z = { .slots = 3 };
	struct plan_rates r = rates(DISK);
	struct model_size w;
	struct plan p;
	double dense, used;

	(void)state;
	model_size(m, &w);
	dense = w.layers + w.output;
	used = (double)m->dims.n_expert_used / m->dims.n_expert;
	near(w.expert_share, used);
	z.hold = (uint64_t)(dense + w.experts / 2);
	plan_make(&p, m, &z, &r, 0, 0.0, 0.0);
	near(p.token_disk, (dense + w.experts - (double)z.hold) * used);
	near(p.token_memory, dense + w.experts * used - p.token_disk);
	near(1.0 / p.speed, (dense + w.experts * used) / RAM + p.token_disk / DISK);    /* experts are waited for */
	m->dims.n_expert = 128;                         /* of many, those that are used most are held */
	plan_make(&p, m, &z, &r, 0, 0.0, 0.0);
	near(p.token_disk / (w.experts * m->dims.n_expert_used / 128), pow(((double)dense + w.experts - (double)z.hold) / w.experts, 5.6));
	m->dims.n_expert = (uint32_t)((double)m->dims.n_expert_used / used + 0.5);
	z.hold = 0;
	plan_make(&p, m, &z, &r, 0, 0.0, 0.0);
	near(p.token_disk, dense + w.experts * used);
	near(1.0 / p.speed, p.token_disk / DISK);
	assert_int_equal(p.bound, PLAN_BY_DISK);
	model_close(m);
}

static void test_unknown(void **state)
{
	struct model *m = mixture(false);
	struct session_sizes z = { .slots = 3 };
	struct plan_rates r = rates(0.0), none = { .disk = DISK };
	struct plan p;

	(void)state;
	plan_make(&p, m, &z, &r, 0, 0.0, 0.0);
	assert_int_equal(p.bound, PLAN_UNKNOWN);
	near(p.speed, 0.0);
	plan_make(&p, m, &z, &none, 0, 0.0, 0.0);
	assert_int_equal(p.bound, PLAN_UNKNOWN);
	model_close(m);
}

/* Of this machine: numbers that can be. */
static void test_probe(void **state)
{
	struct model *m = mixture(false);
	struct kern_pool *pool;
	uint32_t i, known = 0;
	double v;

	(void)state;
	assert_int_equal(kern_pool_open(&pool, 1), 0);
	for (i = 0; i < KERN_TYPE_COUNT; i++) {
		v = probe_matmul(kern_isa_find(NULL), pool, &(struct probe_shape){ i, 4096, 1000 });
		assert_true(v >= 0.0 && v < 1e13);
		known += v > 1e6;
		if (kern_isa_find(NULL)->matmul[i].act == KERN_ACT_NONE)
			assert_true(v == 0.0);
	}
	assert_true(known >= 20);
	v = probe_step(pool);
	assert_true(v >= 0.0 && v < 0.1);
	v = probe_disk(m->w, 65536, 4);
	assert_true(v >= 0.0 && v < 1e13);
	kern_pool_close(pool);
	model_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_dense), cmocka_unit_test(test_mixture),
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
