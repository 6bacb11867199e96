/* test_kern_state.c - convolution and the gated delta rule of every instruction set against f64 formulas written here,
 * over odd sizes, and the same bits however tokens and heads are divided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/kern.h"
#include "tests/unit/kern_data.h"

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

/* ---- convolution ----------------------------------------------------------------------------------- */

#define CONV_TOK 9
#define CONV_CH 70

static void check_conv(const struct kern_isa *isa, uint32_t taps)
{
	float x[CONV_TOK * CONV_CH], y[CONV_TOK * CONV_CH], w[CONV_CH * KERN_CONV_TAPS];
	float state[(KERN_CONV_TAPS - 1) * CONV_CH + 1], first[(KERN_CONV_TAPS - 1) * CONV_CH + 1];
	struct kern_data_rng rng = { taps };
	struct kern_conv p = { y, state, x, w, 4, CONV_CH, taps };
	uint32_t t, c, j;

	kern_data_fill(&rng, x, CONV_TOK * CONV_CH, -1.0f, 1.0f);
	kern_data_fill(&rng, w, CONV_CH * taps, -1.0f, 1.0f);
	kern_data_fill(&rng, state, (taps - 1) * CONV_CH, -1.0f, 1.0f);
	memcpy(first, state, sizeof(first));
	isa->conv(&p, 0, 33);           /* four tokens, then the rest, and channels in two parts */
	isa->conv(&p, 33, CONV_CH);
	p.x += 4 * CONV_CH;
	p.y += 4 * CONV_CH;
	p.n_tok = CONV_TOK - 4;
	isa->conv(&p, 0, CONV_CH);
	for (t = 0; t < CONV_TOK; t++)
		for (c = 0; c < CONV_CH; c++) {
			double want = 0.0;

			for (j = 0; j < taps; j++) {
				uint32_t at = t + j;    /* in the state's rows followed by x's */
				float v = at < taps - 1 ? first[at * CONV_CH + c] : x[(at - (taps - 1)) * CONV_CH + c];

				want += (double)w[c * taps + j] * (double)v;
			}
			assert_true(fabs((double)y[t * CONV_CH + c] - want) < 1e-5);
		}
	for (j = 0; j + 1 < taps; j++) {
		uint32_t at = CONV_TOK + j;     /* the last taps - 1 of both */
		const float *row = at < taps - 1 ? first + at * CONV_CH : x + (at - (taps - 1)) * CONV_CH;

		assert_memory_equal(state + j * CONV_CH, row, CONV_CH * sizeof(float));
	}
}

static void conv_isa(const struct kern_isa *isa)
{
	check_conv(isa, 1);
	check_conv(isa, 2);
	check_conv(isa, 4);
	check_conv(isa, KERN_CONV_TAPS);
}

static void test_conv(void **state)
{
	(void)state;
	each_isa(conv_isa);
}

/* ---- gated delta rule ------------------------------------------------------------------------------ */

#define TOK 7
#define DIM 40
#define NK 2
#define NV 6

struct delta_data {
	float q[TOK * NK * DIM], k[TOK * NK * DIM], v[TOK * NV * DIM], g[TOK * NV], beta[TOK * NV];
	float out[TOK * NV * DIM], state[NV * DIM * DIM];
	double want_out[TOK * NV * DIM], want_state[NV * DIM * DIM];
};

static void delta_fill(struct delta_data *d, uint32_t dim)
{
	struct kern_data_rng rng = { dim };

	kern_data_fill(&rng, d->q, TOK * NK * dim, -1.0f, 1.0f);
	kern_data_fill(&rng, d->k, TOK * NK * dim, -0.3f, 0.3f);
	kern_data_fill(&rng, d->v, TOK * NV * dim, -1.0f, 1.0f);
	kern_data_fill(&rng, d->g, TOK * NV, -2.0f, 0.0f);
	kern_data_fill(&rng, d->beta, TOK * NV, 0.0f, 1.0f);
	kern_data_fill(&rng, d->state, NV * dim * dim, -0.1f, 0.1f);
	for (uint32_t i = 0; i < NV * dim * dim; i++)
		d->want_state[i] = (double)d->state[i];
}

/* One head's step as the header says it: S = e^g S; d = beta (v - S k); S += d k^T; out = scale S q. */
static void delta_step(struct delta_data *d, const struct kern_delta *p, uint32_t t, uint32_t h)
{
	uint32_t n = p->dim, kh = p->tiled ? h % NK : h / (NV / NK), r, i;
	const float *q = d->q + (t * NK + kh) * n, *k = d->k + (t * NK + kh) * n, *v = d->v + (t * NV + h) * n;

	for (r = 0; r < n; r++) {
		double *s = d->want_state + (h * n + r) * n, sk = 0.0, sq = 0.0, delta;

		for (i = 0; i < n; i++)
			sk += (s[i] *= exp((double)d->g[t * NV + h])) * (double)k[i];
		delta = (double)d->beta[t * NV + h] * ((double)v[r] - sk);
		for (i = 0; i < n; i++)
			sq += (s[i] += delta * (double)k[i]) * (double)q[i];
		d->want_out[(t * NV + h) * n + r] = (double)p->scale * sq;
	}
}

static void check_delta(const struct kern_isa *isa, uint32_t dim, bool tiled)
{
	static struct delta_data d;
	struct kern_delta p = { d.out, d.state, d.q, d.k, d.v, d.g, d.beta, TOK, NK, NV, dim, 0.25f, tiled };
	struct kern_delta part = p;
	static float out[TOK * NV * DIM], state[NV * DIM * DIM];
	uint32_t t, h, i;

	delta_fill(&d, dim);
	memcpy(state, d.state, sizeof(state));
	for (t = 0; t < TOK; t++)
		for (h = 0; h < NV; h++)
			delta_step(&d, &p, t, h);
	isa->delta(&p, 0, NV);
	for (i = 0; i < TOK * NV * dim; i++)
		assert_true(fabs((double)d.out[i] - d.want_out[i]) < 1e-5);
	for (i = 0; i < NV * dim * dim; i++)
		assert_true(fabs((double)d.state[i] - d.want_state[i]) < 1e-5);
	part.out = out;
	part.state = state;
	for (t = 0; t < TOK; t += part.n_tok) {         /* heads and tokens in parts: the same bits */
		part.n_tok = t == 0 ? 3 : 2;
		part.out = out + t * NV * dim;
		part.q = d.q + t * NK * dim;
		part.k = d.k + t * NK * dim;
		part.v = d.v + t * NV * dim;
		part.g = d.g + t * NV;
		part.beta = d.beta + t * NV;
		isa->delta(&part, 0, 1);
		isa->delta(&part, 1, NV);
	}
	assert_memory_equal(out, d.out, TOK * NV * dim * sizeof(float));
	assert_memory_equal(state, d.state, NV * dim * dim * sizeof(float));
}

static void delta_isa(const struct kern_isa *isa)
{
	static const uint32_t dims[] = { 1, 7, 8, 16, 19, 32, 40 };
	size_t i;

	for (i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
		check_delta(isa, dims[i], false);
		check_delta(isa, dims[i], true);
	}
}

static void test_delta(void **state)
{
	(void)state;
	each_isa(delta_isa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv),
		cmocka_unit_test(test_delta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
