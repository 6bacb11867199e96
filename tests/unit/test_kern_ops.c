/* test_kern_ops.c - norm, rope and element-wise operations of every instruction set against f64 formulas
 * written here, over odd sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kern.h"
#include "tests/unit/kern_data.h"

/* Runs fn for every instruction set of this processor. */
static void each_isa(void (*fn)(const struct kern_isa *isa))
{
	const struct kern_isa *isa;
	unsigned i;

	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		if (isa->usable())
			fn(isa);
		else
			print_message("this processor has no %s\n", isa->name);
}

static void near(float got, double want, double size)
{
	if (!(fabs((double)got - want) <= 2e-6 * size + 1e-7)) {
		print_error("%.9g, not %.9g\n", (double)got, want);
		fail();
	}
}

static const uint32_t sizes[] = { 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 255, 1000 };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define MAX 4096

/* ---- norm ------------------------------------------------------------------------------------------ */

/* LayerNorm and L2, with weights and without. */
static void other_norms_isa(const struct kern_isa *isa)
{
	static float x[1000], y[1000], w[1000], b[1000];
	struct kern_data_rng rng = { 3 };
	size_t k;
	uint32_t i;

	for (k = 0; k < N_SIZES; k++) {
		uint32_t n = sizes[k];
		double mean = 0.0, squares = 0.0, off = 0.0;

		kern_data_fill(&rng, x, n, -1.0f, 3.0f);
		kern_data_fill(&rng, w, n, 0.5f, 1.5f);
		kern_data_fill(&rng, b, n, -1.0f, 1.0f);
		for (i = 0; i < n; i++)
			mean += (double)x[i] / n;
		for (i = 0; i < n; i++) {
			squares += (double)x[i] * (double)x[i];
			off += ((double)x[i] - mean) * ((double)x[i] - mean);
		}
		isa->norm(&(struct kern_norm){ y, x, w, b, n, 1e-5f, KERN_NORM_LAYER }, 0, 1);
		for (i = 0; i < n; i++)
			near(y[i], ((double)x[i] - mean) / sqrt(off / n + (double)1e-5f) * (double)w[i] + (double)b[i], 4.0);
		isa->norm(&(struct kern_norm){ y, x, NULL, NULL, n, 1e-5f, KERN_NORM_LAYER }, 0, 1);
		for (i = 0; i < n; i++)
			near(y[i], ((double)x[i] - mean) / sqrt(off / n + (double)1e-5f), 4.0);
		isa->norm(&(struct kern_norm){ y, x, NULL, NULL, n, 1e-5f, KERN_NORM_L2 }, 0, 1);
		for (i = 0; i < n; i++)
			near(y[i], (double)x[i] / sqrt(squares), 1.0);
		memset(x, 0, sizeof(x));
		isa->norm(&(struct kern_norm){ y, x, NULL, NULL, n, 1e-5f, KERN_NORM_L2 }, 0, 1);
		assert_memory_equal(y, x, n * sizeof(float));
	}
}

static void norm_isa(const struct kern_isa *isa)
{
	static float x[3 * 1000], y[3 * 1000], w[1000];
	struct kern_data_rng rng = { 1 };
	size_t k;
	uint32_t t, i;

	for (k = 0; k < N_SIZES; k++) {
		uint32_t n = sizes[k];
		struct kern_norm p = { y, x, w, NULL, n, 1e-5f, KERN_NORM_RMS };

		kern_data_fill(&rng, x, 3u * n, -3.0f, 3.0f);
		kern_data_fill(&rng, w, n, 0.5f, 1.5f);
		isa->norm(&p, 0, 2);
		isa->norm(&p, 2, 3);
		for (t = 0; t < 3; t++) {
			double sum = 0.0;

			for (i = 0; i < n; i++)
				sum += (double)x[t * n + i] * (double)x[t * n + i];
			for (i = 0; i < n; i++) {
				double want = (double)x[t * n + i] / sqrt(sum / n + (double)1e-5f) * (double)w[i];

				near(y[t * n + i], want, fabs(want));
			}
		}
		p.y = x;                /* in place */
		isa->norm(&p, 0, 3);
		assert_memory_equal(x, y, 3u * n * sizeof(float));
	}
}

static void test_norm(void **state)
{
	(void)state;
	each_isa(norm_isa);
	each_isa(other_norms_isa);
}

/* ---- element-wise ---------------------------------------------------------------------------------- */

static void elem_isa(const struct kern_isa *isa)
{
	static float g[1000], u[1000], g0[1000], y[1000];
	struct kern_data_rng rng = { 2 };
	size_t k;
	uint32_t i;

	for (k = 0; k < N_SIZES; k++) {
		uint32_t n = sizes[k];

		kern_data_fill(&rng, g0, n, -20.0f, 20.0f);
		g0[n / 2] = -120.0f;
		g0[n - 1] = 120.0f;
		kern_data_fill(&rng, u, n, -2.0f, 2.0f);
		memcpy(g, g0, sizeof(g));
		memcpy(y, g0, sizeof(y));
		isa->glu(&(struct kern_glu){ g, u, n, KERN_GLU_SILU });
		isa->add(&(struct kern_add){ y, u, n, 1.0f });
		for (i = 0; i < n; i++) {
			double want = (double)g0[i] / (1.0 + exp(-(double)g0[i])) * (double)u[i];

			near(g[i], want, fabs(want));
			assert_true(y[i] == g0[i] + u[i]);
		}
	}
}

static double act(enum kern_glu_kind kind, double x, double u)
{
	switch (kind) {
	case KERN_GLU_SILU:
		return x / (1.0 + exp(-x)) * u;
	case KERN_GLU_GELU:
		return 0.5 * x * (1.0 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))) * u;
	case KERN_GLU_OAI:
		x = fmin(x, 7.0);
		return x / (1.0 + exp(-1.702 * x)) * (1.0 + fmax(-7.0, fmin(7.0, u)));
	case KERN_GLU_SIGMOID:
		break;
	}
	return 1.0 / (1.0 + exp(-x)) * u;
}

static void glu_isa(const struct kern_isa *isa)
{
	static float g[1000], u[1000], g0[1000];
	struct kern_data_rng rng = { 4 };
	enum kern_glu_kind kind;
	size_t k;
	uint32_t i;

	for (kind = KERN_GLU_SILU; kind <= KERN_GLU_SIGMOID; kind++)
		for (k = 0; k < N_SIZES; k++) {
			uint32_t n = sizes[k];

			kern_data_fill(&rng, g0, n, -12.0f, 12.0f);
			kern_data_fill(&rng, u, n, -9.0f, 9.0f);
			memcpy(g, g0, sizeof(g));
			isa->glu(&(struct kern_glu){ g, u, n, kind });
			for (i = 0; i < n; i++)
				near(g[i], act(kind, (double)g0[i], (double)u[i]), fabs(act(kind, (double)g0[i], (double)u[i])) + 0.1);
			if (kind == KERN_GLU_OAI)
				continue;
			memcpy(g, g0, sizeof(g));
			isa->glu(&(struct kern_glu){ g, NULL, n, kind });
			for (i = 0; i < n; i++)
				near(g[i], act(kind, (double)g0[i], 1.0), fabs((double)g0[i]) + 0.1);
		}
}

static void test_elementwise(void **state)
{
	(void)state;
	each_isa(glu_isa);
	each_isa(elem_isa);
}

/* ---- rope ------------------------------------------------------------------------------------------ */

static void check_rope(const struct kern_isa *isa, uint32_t head_dim, uint32_t n_rot, const float *factors)
{
	static float x[2 * 3 * 128], x0[2 * 3 * 128], co[2 * 64], si[2 * 64];
	const uint32_t pos[2] = { 5, 300 };
	struct kern_rope_angles a = { .base = 10000.0f, .scale = 0.5f, .factors = factors, .n_rot = n_rot, .attn_factor = 1.0f };
	struct kern_rope p = { x, co, si, 3, head_dim, n_rot, 0, false };
	struct kern_data_rng rng = { head_dim };
	uint32_t t, h, i;

	kern_data_fill(&rng, x0, 2u * 3 * head_dim, -2.0f, 2.0f);
	memcpy(x, x0, sizeof(x));
	for (t = 0; t < 2; t++)
		kern_rope_table(&a, pos[t], co + t * (n_rot / 2), si + t * (n_rot / 2));
	isa->rope(&p, 0, 1);
	isa->rope(&p, 1, 2);
	for (t = 0; t < 2; t++)
		for (h = 0; h < 3; h++)
			for (i = 0; i < head_dim; i++) {
				const float *v = x0 + (t * 3 + h) * head_dim;
				uint32_t pair = i / 2;
				double angle = 0.5 * pos[t] * pow(10000.0, -2.0 * pair / n_rot) /
					       (factors != NULL ? (double)factors[i < n_rot ? pair : 0] : 1.0);
				double want = i % 2 == 0 ?
					(double)v[i] * cos(angle) - (double)v[i + (i + 1 < head_dim)] * sin(angle) :
					(double)v[i - 1] * sin(angle) + (double)v[i] * cos(angle);

				if (i >= n_rot)
					assert_true(x[(t * 3 + h) * head_dim + i] == v[i]);
				else    /* angles are f32: some 1e-5 off at position 300 */
					assert_true(fabs((double)x[(t * 3 + h) * head_dim + i] - want) < 1e-4);
			}
}

static void rope_isa(const struct kern_isa *isa)
{
	float factors[64];
	int i;

	for (i = 0; i < 64; i++)
		factors[i] = 1.0f + (float)i / 8.0f;
	check_rope(isa, 8, 8, NULL);
	check_rope(isa, 20, 20, factors);
	check_rope(isa, 128, 128, NULL);
	check_rope(isa, 80, 20, factors);
	check_rope(isa, 7, 2, NULL);
}

/* NEOX pairs, in the middle of a head: what is not turned stays as it is. */
static void rope_neox_isa(const struct kern_isa *isa)
{
	float x[2 * 24], x0[2 * 24], co[5], si[5];
	struct kern_rope_angles a = { .base = 1000.0f, .scale = 1.0f, .n_rot = 10, .attn_factor = 1.5f };
	struct kern_data_rng rng = { 5 };
	uint32_t h, i;

	kern_data_fill(&rng, x0, 48, -2.0f, 2.0f);
	memcpy(x, x0, sizeof(x));
	kern_rope_table(&a, 11, co, si);
	isa->rope(&(struct kern_rope){ x, co, si, 2, 24, 10, 7, true }, 0, 1);
	for (h = 0; h < 2; h++)
		for (i = 0; i < 24; i++) {
			const float *v = x0 + h * 24;
			uint32_t pair = (i - 7) % 5;
			double angle = 11.0 * pow(1000.0, -2.0 * pair / 10), want;

			if (i < 7 || i >= 17) {
				assert_true(x[h * 24 + i] == v[i]);
				continue;
			}
			want = i < 12 ? (double)v[7 + pair] * cos(angle) - (double)v[12 + pair] * sin(angle) :
					(double)v[7 + pair] * sin(angle) + (double)v[12 + pair] * cos(angle);
			assert_true(fabs((double)x[h * 24 + i] - 1.5 * want) < 1e-4);
		}
}

/* Pairs that turn often within the first context keep their angle, those that hardly turn are stretched. */
static void test_yarn(void **state)
{
	struct kern_rope_angles a = { .base = 10000.0f, .scale = 0.25f, .n_rot = 64, .yarn = 1.0f, .attn_factor = 1.0f };
	float co[32], si[32];
	double factor = 1.0 + 0.1 * log(4.0);
	uint32_t i;

	(void)state;
	kern_rope_yarn(&a, 4096, 32.0f, 1.0f);
	/* 64 ln(4096 / (2 pi turns)) / (2 ln 10000) is 10.47 for 32 turns and 22.5 for one */
	assert_true(a.low == 10.0f && a.high == 23.0f);
	kern_rope_table(&a, 100, co, si);
	for (i = 0; i < 32; i++) {
		double plain = 100.0 * pow(10000.0, -2.0 * i / 64), along = fmin(1.0, fmax(0.0, (i - 10.0) / 13.0));
		double angle = plain * (1.0 - along) + plain * 0.25 * along;

		assert_true(fabs((double)co[i] - factor * cos(angle)) < 1e-4);
		assert_true(fabs((double)si[i] - factor * sin(angle)) < 1e-4);
	}
}

static void test_rope(void **state)
{
	(void)state;
	each_isa(rope_neox_isa);
	each_isa(rope_isa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_norm),
		cmocka_unit_test(test_elementwise),
		cmocka_unit_test(test_rope),
		cmocka_unit_test(test_yarn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
