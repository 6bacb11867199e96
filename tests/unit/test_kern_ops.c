/* test_kern_ops.c - norm, rope, attention and element-wise operations of every instruction set against
 * f64 formulas written here, over odd sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kern.h"
#include "kernels/kern_f16.h"
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

static void norm_isa(const struct kern_isa *isa)
{
	static float x[3 * 1000], y[3 * 1000], w[1000];
	struct kern_data_rng rng = { 1 };
	size_t k;
	uint32_t t, i;

	for (k = 0; k < N_SIZES; k++) {
		uint32_t n = sizes[k];
		struct kern_norm p = { y, x, w, n, 1e-5f };

		kern_data_fill(&rng, x, 3u * n, -3.0f, 3.0f);
		kern_data_fill(&rng, w, n, 0.5f, 1.5f);
		isa->rms_norm(&p, 0, 2);
		isa->rms_norm(&p, 2, 3);
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
		isa->rms_norm(&p, 0, 3);
		assert_memory_equal(x, y, 3u * n * sizeof(float));
	}
}

static void test_norm(void **state)
{
	(void)state;
	each_isa(norm_isa);
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
		isa->silu_mul(&(struct kern_silu_mul){ g, u, n });
		isa->add(&(struct kern_add){ y, u, n });
		for (i = 0; i < n; i++) {
			double want = (double)g0[i] / (1.0 + exp(-(double)g0[i])) * (double)u[i];

			near(g[i], want, fabs(want));
			assert_true(y[i] == g0[i] + u[i]);
		}
	}
}

static void test_elementwise(void **state)
{
	(void)state;
	each_isa(elem_isa);
}

/* ---- rope ------------------------------------------------------------------------------------------ */

static void check_rope(const struct kern_isa *isa, uint32_t head_dim, uint32_t n_rot, const float *factors)
{
	static float x[2 * 3 * 128], x0[2 * 3 * 128], co[2 * 64], si[2 * 64];
	const uint32_t pos[2] = { 5, 300 };
	struct kern_rope_angles a = { 10000.0f, 0.5f, factors, n_rot };
	struct kern_rope p = { x, co, si, 3, head_dim, n_rot };
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

static void test_rope(void **state)
{
	(void)state;
	each_isa(rope_isa);
}

/* ---- attention ------------------------------------------------------------------------------------- */

struct attn_case { uint32_t k_dim, v_dim, n_group, n_kv, k_type, v_type; float spread; };

struct attn_data {
	float q[4 * 256], out[4 * 256], k[700 * 80], v[700 * 80];
	uint16_t k16[700 * 80], v16[700 * 80];
	size_t stride;
};

static void attn_fill(struct attn_data *d, const struct attn_case *c)
{
	struct kern_data_rng rng = { c->n_kv * 7 + c->k_dim };
	size_t i, n = c->n_kv * d->stride;

	kern_data_fill(&rng, d->q, c->n_group * c->k_dim, -c->spread, c->spread);
	kern_data_fill(&rng, d->k, n, -1.0f, 1.0f);
	kern_data_fill(&rng, d->v, n, -1.0f, 1.0f);
	for (i = 0; i < n; i++) {
		d->k16[i] = kern_f32_to_f16(d->k[i]);
		d->v16[i] = kern_f32_to_f16(d->v[i]);
		if (c->k_type == KERN_F16)
			d->k[i] = kern_f16_to_f32(d->k16[i]);
		if (c->v_type == KERN_F16)
			d->v[i] = kern_f16_to_f32(d->v16[i]);
	}
}

/* softmax over everything at once, in f64 */
static void attn_check(const struct attn_data *d, const struct attn_case *c, float scale)
{
	static double w[700];
	uint32_t h, j, i;

	for (h = 0; h < c->n_group; h++) {
		double top = -1e300, sum = 0.0;

		for (j = 0; j < c->n_kv; j++) {
			w[j] = 0.0;
			for (i = 0; i < c->k_dim; i++)
				w[j] += (double)d->q[h * c->k_dim + i] * (double)d->k[j * d->stride + i];
			w[j] *= (double)scale;
			top = w[j] > top ? w[j] : top;
		}
		for (j = 0; j < c->n_kv; j++)
			sum += w[j] = exp(w[j] - top);
		for (i = 0; i < c->v_dim; i++) {
			double want = 0.0;

			for (j = 0; j < c->n_kv; j++)
				want += w[j] / sum * (double)d->v[j * d->stride + i];
			/* scores as large as the spread are themselves rounded to f32 */
			near(d->out[h * c->v_dim + i], want, 1.0 + (double)c->spread);
		}
	}
}

static void attn_isa(const struct kern_isa *isa)
{
	static const struct attn_case cases[] = {
		{ 8, 8, 2, 1, KERN_F32, KERN_F32, 1.0f },
		{ 8, 8, 1, 17, KERN_F32, KERN_F16, 1.0f },
		{ 20, 12, 3, 255, KERN_F16, KERN_F32, 2.0f },
		{ 16, 16, 4, 256, KERN_F16, KERN_F16, 2.0f },
		{ 33, 65, 2, 257, KERN_F32, KERN_F32, 3.0f },
		{ 64, 64, 4, 700, KERN_F16, KERN_F16, 1.0f },
		{ 80, 80, 1, 513, KERN_F32, KERN_F32, 30.0f },
	};
	static struct attn_data d;
	size_t k;

	for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		const struct attn_case *c = &cases[k];
		struct kern_attn p = {
			.out = d.out, .q = d.q, .k = d.k, .v = d.v, .k_type = c->k_type, .v_type = c->v_type,
			.k_dim = c->k_dim, .v_dim = c->v_dim, .n_group = c->n_group, .n_kv = c->n_kv,
			.scale = 1.0f / sqrtf((float)c->k_dim),
		};

		d.stride = 80;
		p.k_stride = p.v_stride = d.stride;
		attn_fill(&d, c);
		if (c->k_type == KERN_F16)
			p.k = d.k16;
		if (c->v_type == KERN_F16)
			p.v = d.v16;
		memset(d.out, 0xff, sizeof(d.out));
		isa->attn(&p);
		attn_check(&d, c, p.scale);
	}
}

static void test_attention(void **state)
{
	(void)state;
	each_isa(attn_isa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_norm),
		cmocka_unit_test(test_elementwise),
		cmocka_unit_test(test_rope),
		cmocka_unit_test(test_attention),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
