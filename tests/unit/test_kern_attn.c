/* test_kern_attn.c - attention of every instruction set against a softmax in f64 over everything at once, and the same
 * bits however the work is divided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kern.h"
#include "kernels/kern_pool.h"
#include "tests/unit/kern_data.h"

#define GAP 3           /* values between one token's q or out and the next one's, and between rows of K and V */
#define MAX_GROUP 40
#define UNSET 12345.0f

struct attn_case {
	uint32_t k_dim, v_dim, n_group, n_tok, n_kv, window, k_type, v_type;
	float spread, softcap;
	bool sinks, latent;     /* latent: a value is the first part of its key */
};

static const struct attn_case cases[] = {
	{ 8, 8, 2, 1, 1, 0, KERN_F32, KERN_F32, .spread = 1.0f },
	{ 1, 1, 1, 3, 20, 0, KERN_F32, KERN_F16, .spread = 1.0f },
	{ 8, 8, 1, 64, 17, 0, KERN_F32, KERN_F16, .spread = 1.0f },
	{ 20, 12, 3, 2, 255, 0, KERN_F16, KERN_F32, .spread = 2.0f },
	{ 16, 16, 4, 1, 256, 0, KERN_F16, KERN_F16, .spread = 2.0f },
	{ 33, 65, 2, 7, 257, 0, KERN_F32, KERN_F32, .spread = 3.0f },
	{ 64, 64, 8, 5, 700, 0, KERN_F16, KERN_F16, .spread = 1.0f },
	{ 80, 80, 1, 64, 513, 0, KERN_F32, KERN_F32, .spread = 30.0f },
	{ 128, 128, 5, 9, 1000, 0, KERN_F16, KERN_F16, .spread = 1.0f },
	{ 100, 36, 7, 6, 1000, 0, KERN_F16, KERN_F32, .spread = 1.0f },
	{ 64, 64, 2, 1, 700, 445, KERN_F16, KERN_F16, .spread = 1.0f },
	{ 64, 64, 2, 64, 1000, 188, KERN_F32, KERN_F16, .spread = 1.0f, .softcap = 0.7f },
	{ 24, 40, 3, 40, 240, 20, KERN_F16, KERN_F16, .spread = 1.0f },
	{ 24, 40, 1, 64, 1, 9, KERN_F16, KERN_F16, .spread = 1.0f },
	{ 32, 32, 4, 20, 300, 0, KERN_F32, KERN_F32, .spread = 2.0f, .sinks = true },
	{ 32, 32, 4, 2, 299, 1, KERN_F16, KERN_F16, .spread = 2.0f, .softcap = 3.0f, .sinks = true },
	{ 256, 256, 2, 3, 300, 0, KERN_F16, KERN_F16, .spread = 1.0f, .softcap = 50.0f },
	{ 576, 512, 40, 2, 600, 0, KERN_F16, KERN_F16, .spread = 0.5f, .latent = true },
	{ 576, 512, 3, 1, 300, 0, KERN_F32, KERN_F32, .spread = 0.5f, .latent = true },
	{ 1024, 1024, 1, 1, 257, 0, KERN_F32, KERN_F16, .spread = 0.5f },
	{ 33, 20, 2, 7, 257, 0, KERN_BF16, KERN_BF16, .spread = 2.0f },
	{ 64, 128, 4, 5, 700, 0, KERN_BF16, KERN_F16, .spread = 1.0f },
	{ 128, 128, 5, 9, 600, 0, KERN_Q8_0, KERN_Q8_0, .spread = 1.0f },
	{ 96, 32, 1, 3, 300, 200, KERN_Q8_0, KERN_Q4_0, .spread = 1.0f },
	{ 64, 96, 8, 40, 513, 0, KERN_Q4_0, KERN_Q8_0, .spread = 1.0f, .sinks = true },
	{ 256, 256, 2, 1, 300, 0, KERN_Q4_0, KERN_Q4_0, .spread = 1.0f },
	{ 576, 512, 3, 2, 300, 0, KERN_Q8_0, KERN_Q8_0, .spread = 0.5f, .latent = true },
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

struct attn_data {
	const struct attn_case *c;
	struct kern_attn p;
	uint32_t n_pos;         /* positions there are */
	float *q, *out, *want, *k, *v;  /* k and v: what the rows are worth, [n_pos][k_dim], [n_pos][v_dim] */
	struct kern_data_wall k_mem, v_mem;
	float sinks[MAX_GROUP];
};

static void *must(void *p)
{
	assert_non_null(p);
	return p;
}

/* Between rows: GAP values, or a block. */
static size_t stride_of(uint32_t type, uint32_t dim)
{
	return dim + (kern_stores_blocks(type) ? 32 : GAP);
}

static size_t out_floats(const struct attn_data *d)
{
	return d->c->n_tok * d->p.out_stride;
}

/* n values to a row of a type, and what they are worth there. */
static void put_row(uint32_t type, void *row, float *x, uint32_t n)
{
	kern_store(type, row, x, n);
	kern_dequant(type, row, x, n);
}

static void set_row(struct attn_data *d, uint32_t pos, bool of_v, float *x)
{
	const struct kern_attn *p = &d->p;

	if (of_v)
		put_row(p->v_type, d->v_mem.p + pos * kern_stored_bytes(p->v_type, p->v_stride), x, p->v_dim);
	else
		put_row(p->k_type, d->k_mem.p + pos * kern_stored_bytes(p->k_type, p->k_stride), x, p->k_dim);
}

/* K and V end where memory ends. */
static void open_kv(struct attn_data *d, struct kern_data_rng *rng)
{
	const struct attn_case *c = d->c;
	uint32_t j;

	assert_int_equal(kern_data_wall_open(&d->k_mem, kern_stored_bytes(c->k_type, (d->n_pos - 1) * d->p.k_stride + c->k_dim)), 0);
	assert_int_equal(kern_data_wall_open(&d->v_mem, kern_stored_bytes(c->v_type, (d->n_pos - 1) * d->p.v_stride + c->v_dim)), 0);
	kern_data_fill(rng, d->k, (size_t)d->n_pos * c->k_dim, -1.0f, 1.0f);
	kern_data_fill(rng, d->v, (size_t)d->n_pos * c->v_dim, -1.0f, 1.0f);
	for (j = 0; j < d->n_pos; j++) {
		set_row(d, j, false, d->k + (size_t)j * c->k_dim);
		if (c->latent)
			memcpy(d->v + (size_t)j * c->v_dim, d->k + (size_t)j * c->k_dim, c->v_dim * sizeof(float));
		else
			set_row(d, j, true, d->v + (size_t)j * c->v_dim);
	}
	d->p.k = d->k_mem.p;
	d->p.v = c->latent ? d->k_mem.p : d->v_mem.p;
}

static void data_open(struct attn_data *d, const struct attn_case *c)
{
	struct kern_data_rng rng = { c->n_kv * 7 + c->k_dim };

	memset(d, 0, sizeof(*d));
	d->c = c;
	d->n_pos = c->n_kv + c->n_tok - 1;
	d->p = (struct kern_attn){
		.k_type = c->k_type, .v_type = c->v_type, .k_dim = c->k_dim, .v_dim = c->v_dim, .n_group = c->n_group,
		.n_tok = c->n_tok, .n_kv = c->n_kv, .window = c->window, .scale = 1.0f / sqrtf((float)c->k_dim),
		.softcap = c->softcap, .sinks = c->sinks ? d->sinks : NULL, .k_stride = stride_of(c->k_type, c->k_dim),
		.v_stride = c->latent ? stride_of(c->k_type, c->k_dim) : stride_of(c->v_type, c->v_dim),
		.q_stride = (size_t)c->n_group * c->k_dim + GAP, .out_stride = (size_t)c->n_group * c->v_dim + GAP,
	};
	d->q = must(malloc(c->n_tok * d->p.q_stride * sizeof(float)));
	d->out = must(malloc(out_floats(d) * sizeof(float)));
	d->want = must(malloc(out_floats(d) * sizeof(float)));
	d->k = must(malloc((size_t)d->n_pos * c->k_dim * sizeof(float)));
	d->v = must(malloc((size_t)d->n_pos * c->v_dim * sizeof(float)));
	kern_data_fill(&rng, d->q, c->n_tok * d->p.q_stride, -c->spread, c->spread);
	kern_data_fill(&rng, d->sinks, MAX_GROUP, -3.0f, 20.0f);
	open_kv(d, &rng);
	d->p.q = d->q;
	d->p.out = d->out;
}

static void data_close(struct attn_data *d)
{
	kern_data_wall_close(&d->k_mem);
	kern_data_wall_close(&d->v_mem);
	free(d->q);
	free(d->out);
	free(d->want);
	free(d->k);
	free(d->v);
}

static void clear_out(struct attn_data *d)
{
	size_t i;

	for (i = 0; i < out_floats(d); i++)
		d->out[i] = UNSET;
}

static void each_case(void (*fn)(const struct kern_isa *isa, struct attn_data *d))
{
	const struct kern_isa *isa;
	struct attn_data d;
	unsigned i;
	size_t k;

	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++) {
		if (!isa->usable()) {
			print_message("this processor has no %s\n", isa->name);
			continue;
		}
		for (k = 0; k < N_CASES; k++) {
			data_open(&d, &cases[k]);
			clear_out(&d);
			fn(isa, &d);
			data_close(&d);
		}
	}
}

/* ---- against f64 ------------------------------------------------------------------------------- */

static uint32_t first_seen(const struct attn_case *c, uint32_t end)
{
	return c->window > 0 && end > c->window ? end - c->window : 0;
}

static double score(const struct attn_data *d, const float *q, uint32_t j)
{
	double sum = 0.0;
	uint32_t i;

	for (i = 0; i < d->c->k_dim; i++)
		sum += (double)q[i] * (double)d->k[(size_t)j * d->c->k_dim + i];
	sum *= (double)d->p.scale;
	return d->c->softcap != 0.0f ? (double)d->c->softcap * tanh(sum / (double)d->c->softcap) : sum;
}

static void check_row(const struct attn_data *d, uint32_t t, uint32_t h)
{
	const struct attn_case *c = d->c;
	const float *out = d->out + t * d->p.out_stride + (size_t)h * c->v_dim;
	double w[1100], top = c->sinks ? (double)d->sinks[h] : -1e300, sum = 0.0, want;
	uint32_t end = c->n_kv + t, first = first_seen(c, end), i, j;

	for (j = first; j < end; j++) {
		w[j] = score(d, d->q + t * d->p.q_stride + (size_t)h * c->k_dim, j);
		top = w[j] > top ? w[j] : top;
	}
	for (j = first; j < end; j++)
		sum += w[j] = exp(w[j] - top);
	if (c->sinks)
		sum += exp((double)d->sinks[h] - top);
	for (i = 0; i < c->v_dim; i++) {
		want = 0.0;
		for (j = first; j < end; j++)
			want += w[j] / sum * (double)d->v[(size_t)j * c->v_dim + i];
		/* scores as large as the spread are themselves rounded to f32 */
		if (!(fabs((double)out[i] - want) <= 2e-6 * (1.0 + (double)c->spread) + 1e-7)) {
			print_error("token %u head %u value %u: %.9g, not %.9g\n", t, h, i, (double)out[i], want);
			fail();
		}
	}
}

static void check_all(const struct kern_isa *isa, struct attn_data *d)
{
	uint32_t t, h, i;

	isa->attn(&d->p, 0, kern_attn_rows(&d->p));
	for (t = 0; t < d->c->n_tok; t++) {
		for (h = 0; h < d->c->n_group; h++)
			check_row(d, t, h);
		for (i = 0; i < GAP; i++)
			assert_true(d->out[(t + 1) * d->p.out_stride - GAP + i] == UNSET);
	}
}

static void test_values(void **state)
{
	(void)state;
	each_case(check_all);
}

/* The capped score of one position against one that scores 0, out of the share it takes. */
static void test_softcap(void **state)
{
	static const float v[2] = { 1.0f, 0.0f };
	const struct kern_isa *isa;
	float q = 1.0f, out;
	unsigned i;
	int x;

	(void)state;
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		for (x = -400; x <= 400 && isa->usable(); x++) {
			float k[2] = { (float)x / 100.0f, 0.0f };

			isa->attn(&(struct kern_attn){
				.out = &out, .q = &q, .out_stride = 1, .q_stride = 1, .k = k, .v = v, .k_stride = 1, .v_stride = 1,
				.k_type = KERN_F32, .v_type = KERN_F32, .k_dim = 1, .v_dim = 1, .n_group = 1, .n_tok = 1, .n_kv = 2,
				.scale = 1.0f, .softcap = 1.0f,
			}, 0, 1);
			assert_true(fabs((double)out - 1.0 / (1.0 + exp(-tanh((double)k[0])))) < 2e-7);
		}
}

/* ---- the same bits ------------------------------------------------------------------------------- */

static void same_bits(const struct attn_data *d, const char *how)
{
	size_t i;

	for (i = 0; i < out_floats(d); i++)
		if (memcmp(&d->out[i], &d->want[i], sizeof(float)) != 0) {
			print_error("%s: %u/%u, %u heads, %u tokens, %u positions: value %zu is %.9g, not %.9g\n", how, d->c->k_dim,
				    d->c->v_dim, d->c->n_group, d->c->n_tok, d->c->n_kv, i, (double)d->out[i], (double)d->want[i]);
			fail();
		}
}

static void whole(const struct kern_isa *isa, struct attn_data *d)
{
	isa->attn(&d->p, 0, kern_attn_rows(&d->p));
	memcpy(d->want, d->out, out_floats(d) * sizeof(float));
	clear_out(d);
}

/* Calls of some tokens each, calls of some rows each. */
static void check_rows(const struct kern_isa *isa, struct attn_data *d)
{
	static const uint32_t steps[] = { 1, 7, 64 };
	uint32_t k, t, n, row, rows = kern_attn_rows(&d->p);

	whole(isa, d);
	for (k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
		for (t = 0; t < d->c->n_tok; t += n) {
			struct kern_attn p = d->p;

			p.n_tok = n = d->c->n_tok - t < steps[k] ? d->c->n_tok - t : steps[k];
			p.n_kv += t;
			p.q += t * p.q_stride;
			p.out += t * p.out_stride;
			isa->attn(&p, 0, kern_attn_rows(&p));
		}
		same_bits(d, "by tokens");
		clear_out(d);
		for (row = 0; row < rows; row += n) {
			n = rows - row < steps[k] ? rows - row : steps[k];
			isa->attn(&d->p, row, row + n);
		}
		same_bits(d, "by rows");
		clear_out(d);
	}
}

static void test_rows(void **state)
{
	(void)state;
	each_case(check_rows);
}

struct block_job {
	const struct kern_isa *isa;
	const struct kern_attn *p;
	struct kern_attn_parts parts;
	uint32_t step;          /* rows a call */
};

static void run_blocks(void *arg, uint32_t i0, uint32_t i1)
{
	const struct block_job *j = arg;
	uint32_t i, row, end, rows = kern_attn_rows(j->p), calls = (rows - 1) / j->step + 1;

	for (i = i0; i < i1; i++) {
		row = i % calls * j->step;
		end = row + j->step < rows ? row + j->step : rows;
		j->isa->attn_block(j->p, &j->parts, j->parts.block0 + i / calls, row, end);
	}
}

static void run_merge(void *arg, uint32_t i0, uint32_t i1)
{
	const struct block_job *j = arg;

	j->isa->attn_merge(j->p, &j->parts, i0, i1);
}

/* Rounds of n_block blocks. */
static void by_blocks(const struct kern_isa *isa, struct attn_data *d, struct kern_pool *pool, uint32_t n_block, uint32_t step)
{
	size_t rows = kern_attn_rows(&d->p);
	struct block_job j = { isa, &d->p, { .n_block = n_block }, step };
	uint32_t end = (d->n_pos - 1) / KERN_ATTN_BLOCK + 1, first = first_seen(d->c, d->c->n_kv) / KERN_ATTN_BLOCK;

	j.parts.sum = must(malloc(n_block * rows * d->c->v_dim * sizeof(float)));
	j.parts.mass = must(malloc(n_block * rows * sizeof(*j.parts.mass)));
	j.parts.all = must(calloc(rows, sizeof(*j.parts.all)));
	for (j.parts.block0 = first; j.parts.block0 < end; j.parts.block0 += n_block) {
		j.parts.n_block = end - j.parts.block0 < n_block ? end - j.parts.block0 : n_block;
		kern_pool_run(pool, run_blocks, &j, j.parts.n_block * (((uint32_t)rows - 1) / step + 1), 1);
		kern_pool_run(pool, run_merge, &j, (uint32_t)rows, 1);
	}
	free(j.parts.sum);
	free(j.parts.mass);
	free(j.parts.all);
}

static void check_blocks(const struct kern_isa *isa, struct attn_data *d)
{
	struct kern_pool *pool;
	uint32_t threads;

	whole(isa, d);
	for (threads = 1; threads <= 3; threads++) {
		assert_int_equal(kern_pool_open(&pool, threads), 0);
		by_blocks(isa, d, pool, threads, KERN_ATTN_ROWS);
		same_bits(d, "by blocks");
		clear_out(d);
		by_blocks(isa, d, pool, 5, 3 * threads);
		same_bits(d, "by blocks and rows");
		clear_out(d);
		kern_pool_close(pool);
	}
}

static void test_blocks(void **state)
{
	(void)state;
	each_case(check_blocks);
}

/* ---- what is not seen ---------------------------------------------------------------------------- */

/* Where a token sees nothing, neither numbers nor NaN make a difference to it. */
static void check_unseen(const struct kern_isa *isa, struct attn_data *d)
{
	const struct attn_case *c = d->c;
	float bad[1024];
	uint32_t t = c->n_tok / 2, end = c->n_kv + t, first = first_seen(c, end), j, h, i;
	size_t n = (size_t)c->n_group * c->v_dim;

	whole(isa, d);
	for (i = 0; i < 1024; i++)
		bad[i] = NAN;
	for (j = 0; j < d->n_pos; j++) {
		if (j >= first && j < end)
			continue;
		set_row(d, j, false, bad);
		if (!c->latent)
			set_row(d, j, true, bad);
	}
	isa->attn(&d->p, 0, kern_attn_rows(&d->p));
	assert_memory_equal(d->out + t * d->p.out_stride, d->want + t * d->p.out_stride, n * sizeof(float));
	for (h = 0; h < c->n_group && t + 1 < c->n_tok; h++)
		assert_true(isnan(d->out[(t + 1) * d->p.out_stride + (size_t)h * c->v_dim]));
}

static void test_unseen(void **state)
{
	(void)state;
	each_case(check_unseen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_softcap),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
