/* test_kern_gemm.c - matmuls of many tokens: the same bits as one token at a time, around every tile's edges. */
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

#define MAX_COLS 1568
#define GUARD 7.5f      /* what stands where nothing may be written */

/* One matmul with its inputs; w ends at a wall.  y has a guard column on both sides of its rows. */
struct fixture {
	struct kern_data_wall w;
	struct kern_matmul p;
	struct kern_acts acts;
	float *x, *y, *one;
	void *buf;
	uint32_t rows;
};

struct shape { uint32_t rows, cols, toks; };

static void fixture_open(struct fixture *f, const struct kern_isa *isa, uint32_t type, const struct shape *s)
{
	const struct kern_type *t = kern_type(type);
	struct kern_data_rng rng = { type * 1000003u + s->rows * 10007u + s->cols * 101u + s->toks };
	enum kern_act kind = isa->matmul[type].act;
	uint32_t r;
	size_t i;

	memset(f, 0, sizeof(*f));
	f->rows = s->rows;
	f->p.row_bytes = (size_t)s->cols / t->elems * t->bytes;
	assert_int_equal(kern_data_wall_open(&f->w, f->p.row_bytes * s->rows), 0);
	for (r = 0; r < s->rows; r++)
		kern_data_row(&rng, type, f->w.p + r * f->p.row_bytes, s->cols);
	f->x = malloc((size_t)s->toks * s->cols * sizeof(*f->x));
	f->p.y_stride = s->rows + 2;
	f->y = malloc(s->toks * f->p.y_stride * sizeof(*f->y));
	f->one = malloc(f->p.y_stride * sizeof(*f->one));
	f->buf = aligned_alloc(64, (kern_acts_bytes(kind, s->toks, s->cols) + 64) / 64 * 64);
	assert_true(f->x != NULL && f->y != NULL && f->one != NULL && f->buf != NULL);
	kern_data_fill(&rng, f->x, (size_t)s->toks * s->cols, -2.0f, 2.0f);
	for (i = 0; i < s->toks * f->p.y_stride; i++)
		f->y[i] = GUARD;
	kern_acts_init(&f->acts, kind, f->x, s->toks, s->cols, f->buf);
	isa->quantise(&f->acts, 0, s->toks);
	f->p.y = f->y + 1;
	f->p.w = f->w.p;
	f->p.type = type;
	f->p.x = &f->acts;
}

static void fixture_close(struct fixture *f)
{
	free(f->x);
	free(f->y);
	free(f->one);
	free(f->buf);
	kern_data_wall_close(&f->w);
}

/* Token t of the batch as a batch of its own. */
static struct kern_acts alone(const struct kern_acts *a, uint32_t t)
{
	struct kern_acts one = *a;

	one.n_tok = 1;
	one.x += (size_t)t * a->cols;
	if (one.q != NULL) {
		one.q += (size_t)t * a->n_blk * (a->kind == KERN_ACT_Q8K ? 256 : 32);
		one.d += (size_t)t * a->n_blk;
		one.sums += (size_t)t * a->n_blk * (a->kind == KERN_ACT_Q8K ? 16 : 1);
	}
	return one;
}

/* Each token by itself gives the bits of its part of y; the guards stand. */
static void check_tokens(struct fixture *f, const struct kern_isa *isa, uint32_t row0, uint32_t row1)
{
	struct kern_matmul p = f->p;
	struct kern_acts one;
	uint32_t t;

	for (t = 0; t < f->acts.n_tok; t++) {
		const float *y = f->y + t * f->p.y_stride;

		one = alone(&f->acts, t);
		p.x = &one;
		p.y = f->one;
		isa->matmul[p.type].rows(&p, row0, row1);
		assert_memory_equal(y + 1 + row0, f->one + row0, (row1 - row0) * sizeof(float));
		assert_true(y[row0] == GUARD && y[row1 + 1] == GUARD);
	}
}

static double act_value(const struct kern_acts *a, uint32_t tok, uint32_t c)
{
	uint32_t size = a->kind == KERN_ACT_Q8K ? 256 : 32;

	if (a->kind == KERN_ACT_F32)
		return (double)a->x[(size_t)tok * a->cols + c];
	return (double)a->d[tok * a->n_blk + c / size] * (double)a->q[(size_t)tok * a->n_blk * size + c];
}

/* The first and the last row against sums in f64. */
static void check_values(const struct fixture *f, const struct kern_isa *isa)
{
	static float w[MAX_COLS];
	uint32_t i, t, c;

	for (i = 0; i < 2; i++) {
		uint32_t r = i == 0 ? 0 : f->rows - 1;

		kern_dequant(f->p.type, f->w.p + r * f->p.row_bytes, w, f->acts.cols);
		for (t = 0; t < f->acts.n_tok; t++) {
			double sum = 0.0, size = 0.0, got = (double)f->y[t * f->p.y_stride + 1 + r];

			for (c = 0; c < f->acts.cols; c++) {
				sum += (double)w[c] * act_value(&f->acts, t, c);
				size += fabs((double)w[c] * act_value(&f->acts, t, c));
			}
			if (!(fabs(got - sum) <= 3e-6 * size + 1e-6)) {
				print_error("%s %s: y[%u][%u] = %g, not %g\n", isa->name, kern_type(f->p.type)->name, t, r,
					    got, sum);
				fail();
			}
		}
	}
}

static void check_shape(const struct kern_isa *isa, uint32_t type, const struct shape *s)
{
	struct fixture f;

	fixture_open(&f, isa, type, s);
	isa->matmul[type].rows(&f.p, 0, s->rows);
	check_tokens(&f, isa, 0, s->rows);
	check_values(&f, isa);
	fixture_close(&f);
}

/* A part of the rows writes only its own, with the same bits. */
static void check_part(const struct kern_isa *isa, uint32_t type, uint32_t cols)
{
	const struct shape s = { 67, cols, 13 };
	struct fixture f;
	uint32_t row0 = 3, row1 = 52;

	fixture_open(&f, isa, type, &s);
	isa->matmul[type].rows(&f.p, row0, row1);
	check_tokens(&f, isa, row0, row1);
	fixture_close(&f);
}

static void check_isa(const char *name)
{
	static const uint32_t rows[] = { 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 49, 65 };
	static const uint32_t toks[] = { 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 18, 25 };
	static const uint32_t many[] = { 63, 64, 65, 127, 128, 129, 257 };
	const struct kern_isa *isa = kern_isa_find(name);
	uint32_t type, i;

	if (isa == NULL) {
		print_message("this processor has no %s\n", name);
		skip();
	}
	for (type = 0; type < KERN_TYPE_COUNT; type++) {
		uint32_t elems = kern_type(type) != NULL ? kern_type(type)->elems : 0, odd = 0;

		if (isa->matmul[type].act == KERN_ACT_NONE)
			continue;
		odd = elems == 1 ? 37 : elems == 32 ? 160 : 256;        /* columns past a whole chunk */
		for (i = 0; i < 12; i++) {
			check_shape(isa, type, &(struct shape){ rows[i], 256, toks[(i * 5 + 3) % 12] });
			check_shape(isa, type, &(struct shape){ rows[(i * 7 + 2) % 12], 1024 + odd, toks[i] });
		}
		for (i = 0; i < 7; i++)
			check_shape(isa, type, &(struct shape){ 33, 512, many[i] });
		check_shape(isa, type, &(struct shape){ 2, 1280 + odd, 13 });
		check_part(isa, type, 512);
	}
}

static void test_avx2(void **state)
{
	(void)state;
	check_isa("avx2");
}

static void test_avx512(void **state)
{
	(void)state;
	check_isa("avx512");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_avx2),
		cmocka_unit_test(test_avx512),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
