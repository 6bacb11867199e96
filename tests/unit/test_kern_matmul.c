/* test_kern_matmul.c - every matmul of every instruction set against f64 sums over odd shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kern.h"
#include "tests/unit/kern_data.h"

#define MAX_ROWS 14
#define MAX_TOKS 11
#define MAX_COLS 2304

struct shape { uint32_t rows, cols, toks; };

/* One matmul with its inputs; w ends at a wall so that reading past the tensor faults. */
struct fixture {
	struct kern_data_wall w;
	struct kern_matmul p;
	struct kern_acts acts;
	float x[MAX_TOKS * MAX_COLS];
	float y[MAX_TOKS * MAX_ROWS];
	void *buf;
};

static int fixture_open(struct fixture *f, const struct kern_isa *isa, uint32_t type, const struct shape *s)
{
	const struct kern_type *t = kern_type(type);
	struct kern_data_rng rng = { type * 1000003u + s->rows * 10007u + s->cols * 101u + s->toks };
	size_t bytes;
	uint32_t r;

	memset(f, 0, sizeof(*f));
	f->p.row_bytes = (size_t)s->cols / t->elems * t->bytes;
	if (kern_data_wall_open(&f->w, f->p.row_bytes * s->rows) != 0)
		return -1;
	for (r = 0; r < s->rows; r++)
		kern_data_row(&rng, type, f->w.p + r * f->p.row_bytes, s->cols);
	kern_data_fill(&rng, f->x, (size_t)s->toks * s->cols, -2.0f, 2.0f);
	bytes = kern_acts_bytes(isa->matmul[type].act, s->toks, s->cols);
	f->buf = aligned_alloc(64, (bytes + 64) / 64 * 64);
	if (f->buf == NULL)
		return -1;
	kern_acts_init(&f->acts, isa->matmul[type].act, f->x, s->toks, s->cols, f->buf);
	isa->quantise(&f->acts, 0, s->toks);
	f->p.y = f->y;
	f->p.y_stride = s->rows;
	f->p.w = f->w.p;
	f->p.type = type;
	f->p.x = &f->acts;
	return 0;
}

static void fixture_close(struct fixture *f)
{
	free(f->buf);
	kern_data_wall_close(&f->w);
}

/* The activation that the kernel computes with: x, or what 8 bits left of it. */
static double act_value(const struct kern_acts *a, uint32_t tok, uint32_t c)
{
	uint32_t size = a->kind == KERN_ACT_Q8K ? 256 : 32;

	if (a->kind == KERN_ACT_F32)
		return (double)a->x[(size_t)tok * a->cols + c];
	return (double)a->d[tok * a->n_blk + c / size] * (double)a->q[(size_t)tok * a->n_blk * size + c];
}

static void check_values(const struct fixture *f, const struct kern_isa *isa, const struct shape *s)
{
	static float w[MAX_COLS];
	uint32_t r, t, c;

	for (r = 0; r < s->rows; r++) {
		kern_dequant(f->p.type, f->w.p + r * f->p.row_bytes, w, s->cols);
		for (t = 0; t < s->toks; t++) {
			double sum = 0.0, size = 0.0, got = (double)f->y[t * s->rows + r];

			for (c = 0; c < s->cols; c++) {
				double v = (double)w[c] * act_value(&f->acts, t, c);

				sum += v;
				size += fabs(v);
			}
			/* a K-quant's two halves (scales and minima) may each be larger than their difference */
			if (!(fabs(got - sum) <= 3e-6 * size + 1e-6)) {
				print_error("%s %s %ux%u, %u tokens: y[%u][%u] = %g, not %g\n", isa->name,
					    kern_type(f->p.type)->name, s->rows, s->cols, s->toks, t, r, got, sum);
				fail();
			}
		}
	}
}

/* Every token alone and every row alone give the bits that the whole gave. */
static void check_split(struct fixture *f, const struct kern_isa *isa, const struct shape *s)
{
	static float alone[MAX_ROWS];
	struct fixture one = *f;
	uint32_t r, t;

	one.p.y = alone;
	one.p.x = &one.acts;
	for (t = 0; t < s->toks; t++) {
		size_t size = one.acts.kind == KERN_ACT_Q8K ? 256 : 32;

		one.acts = f->acts;
		one.acts.n_tok = 1;
		one.acts.x += (size_t)t * s->cols;
		if (one.acts.q != NULL) {
			one.acts.q += (size_t)t * f->acts.n_blk * size;
			one.acts.d += (size_t)t * f->acts.n_blk;
		}
		if (one.acts.sums != NULL)
			one.acts.sums += (size_t)t * f->acts.n_blk * (size == 256 ? 16 : 1);
		isa->matmul[f->p.type].rows(&one.p, 0, s->rows);
		assert_memory_equal(alone, f->y + (size_t)t * s->rows, s->rows * sizeof(float));
		for (r = 0; r < s->rows; r++)
			isa->matmul[f->p.type].rows(&one.p, r, r + 1);
		assert_memory_equal(alone, f->y + (size_t)t * s->rows, s->rows * sizeof(float));
	}
}

/* The first n tokens, in two parts by rows, give the bits that the whole gave. */
static void check_fewer(struct fixture *f, const struct kern_isa *isa, const struct shape *s)
{
	static float part[MAX_TOKS * MAX_ROWS];
	struct fixture few = *f;
	uint32_t n;

	few.p.y = part;
	few.p.x = &few.acts;
	for (n = 1; n <= s->toks; n++) {
		uint32_t cut = (n * 5 + s->cols) % (s->rows + 1);

		few.acts.n_tok = n;
		memset(part, 0x55, sizeof(part));
		isa->matmul[f->p.type].rows(&few.p, cut, s->rows);
		isa->matmul[f->p.type].rows(&few.p, 0, cut);
		assert_memory_equal(part, f->y, (size_t)n * s->rows * sizeof(float));
	}
}

static void check_shape(const struct kern_isa *isa, uint32_t type, const struct shape *s)
{
	static struct fixture f;

	assert_int_equal(fixture_open(&f, isa, type, s), 0);
	isa->matmul[type].rows(&f.p, 0, s->rows);
	check_values(&f, isa, s);
	check_split(&f, isa, s);
	check_fewer(&f, isa, s);
	fixture_close(&f);
}

static void check_type(const struct kern_isa *isa, uint32_t type)
{
	static const uint32_t cols_1[] = { 1, 3, 8, 15, 16, 17, 33, 100, 255, 257, 1000 };
	static const uint32_t cols_32[] = { 32, 64, 96, 160, 224, 256, 288, 544, 2080 };
	static const uint32_t cols_256[] = { 256, 512, 768, 2304 };
	static const uint32_t rows[] = { 1, 2, 4, 5, 7, 13 }, toks[] = { 1, 2, 4, 5, 11 };
	uint32_t elems = kern_type(type)->elems;
	const uint32_t *cols = elems == 1 ? cols_1 : elems == 32 ? cols_32 : cols_256;
	size_t n_cols = elems == 1 ? 11 : elems == 32 ? 9 : 4, i, j, k;

	for (i = 0; i < n_cols; i++)
		for (j = 0; j < sizeof(rows) / sizeof(rows[0]); j++)
			for (k = 0; k < sizeof(toks) / sizeof(toks[0]); k++) {
				struct shape s = { rows[j], cols[i], toks[k] };

				check_shape(isa, type, &s);
			}
}

static void check_isa(const char *name)
{
	const struct kern_isa *isa = kern_isa_find(name);
	uint32_t type;

	if (isa == NULL) {
		print_message("this processor has no %s\n", name);
		skip();
	}
	for (type = 0; type < KERN_TYPE_COUNT; type++)
		if (isa->matmul[type].act != KERN_ACT_NONE)
			check_type(isa, type);
}

static void test_ref(void **state)
{
	(void)state;
	check_isa("ref");
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

/* Every type that can be widened can be multiplied, by every instruction set. */
static void test_same_types(void **state)
{
	const struct kern_isa *isa;
	uint32_t type;
	unsigned i;

	(void)state;
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		for (type = 0; type < KERN_TYPE_COUNT; type++)
			assert_int_equal(isa->matmul[type].act != KERN_ACT_NONE, kern_can_dequant(type));
}

/* A value that is not finite must not turn into a number. */
static void test_not_finite(void **state)
{
	static const float bad[] = { INFINITY, -INFINITY, NAN };
	static struct fixture f;
	const struct shape s = { 3, 256, 2 };
	const struct kern_isa *isa;
	uint32_t type, r;
	unsigned i, k;

	(void)state;
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		for (type = 0; isa->usable() && type < KERN_TYPE_COUNT; type++)
			for (k = 0; k < 3 && isa->matmul[type].act != KERN_ACT_NONE; k++) {
				assert_int_equal(fixture_open(&f, isa, type, &s), 0);
				f.x[256 + 77] = bad[k];
				isa->quantise(&f.acts, 0, s.toks);
				isa->matmul[type].rows(&f.p, 0, s.rows);
				for (r = 0; r < s.rows; r++) {
					assert_true(isfinite(f.y[r]));
					assert_false(isfinite(f.y[s.rows + r]));
				}
				fixture_close(&f);
			}
}

/* Rows may start at any even address, those of byte blocks at any: the same bits from all of them. */
static void test_unaligned(void **state)
{
	static unsigned char moved[8 * 2304 * 4 + 64] __attribute__((aligned(64)));
	static float want[5 * 3];
	static struct fixture f;
	const struct shape s = { 5, 2304, 3 };
	const struct kern_isa *isa;
	uint32_t type, by;
	unsigned i;

	(void)state;
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		for (type = 0; isa->usable() && type < KERN_TYPE_COUNT; type++) {
			uint32_t step = type == KERN_MXFP4 ? 1 : 2;

			if (isa->matmul[type].act == KERN_ACT_NONE)
				continue;
			assert_int_equal(fixture_open(&f, isa, type, &s), 0);
			isa->matmul[type].rows(&f.p, 0, s.rows);
			memcpy(want, f.y, sizeof(want));
			f.p.w = moved;
			for (by = 0; by < 64; by += step) {
				memcpy(moved + by, f.w.p, s.rows * f.p.row_bytes);
				f.p.w = moved + by;
				memset(f.y, 0, sizeof(want));
				isa->matmul[type].rows(&f.p, 0, s.rows);
				assert_memory_equal(f.y, want, sizeof(want));
			}
			fixture_close(&f);
		}
}

/* The largest quants of either sign against the largest activations of one sign: nothing saturates. */
static void test_largest(void **state)
{
	static const unsigned char fills[] = { 0x00, 0xff, 0x0f, 0xf0, 0x77, 0x88, 0x80, 0x7f };
	static struct fixture f;
	const struct shape s = { 8, 512, 2 };
	const struct kern_isa *isa;
	uint32_t type, c, r;
	unsigned i;

	(void)state;
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		for (type = 0; isa->usable() && type < KERN_TYPE_COUNT; type++) {
			if (isa->matmul[type].act == KERN_ACT_NONE || kern_type(type)->elems == 1)
				continue;
			assert_int_equal(fixture_open(&f, isa, type, &s), 0);
			for (r = 0; r < s.rows; r++)
				kern_data_row_of(fills[r], type, f.w.p + r * f.p.row_bytes, s.cols);
			for (c = 0; c < s.cols; c++) {
				f.x[c] = 1.0f;
				f.x[s.cols + c] = -1.0f;
			}
			isa->quantise(&f.acts, 0, s.toks);
			isa->matmul[type].rows(&f.p, 0, s.rows);
			check_values(&f, isa, &s);
			fixture_close(&f);
		}
}

/* A weight that is not finite must not turn into a number either; MXFP4 has none. */
static void test_weight_not_finite(void **state)
{
	static const uint16_t bad[] = { 0x7c00, 0xfc00, 0x7e00 };
	static struct fixture f;
	const struct shape s = { 3, 512, 2 };
	const struct kern_isa *isa;
	uint32_t type, t;
	unsigned i, k;

	(void)state;
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		for (type = 0; isa->usable() && type < KERN_TYPE_COUNT; type++)
			for (k = 0; k < 3 && isa->matmul[type].act != KERN_ACT_NONE; k++) {
				if (kern_type(type)->elems == 1 || type == KERN_MXFP4)
					continue;
				assert_int_equal(fixture_open(&f, isa, type, &s), 0);
				memcpy(f.w.p + f.p.row_bytes + kern_data_scale_at(type), &bad[k], sizeof(bad[k]));
				isa->matmul[type].rows(&f.p, 0, s.rows);
				for (t = 0; t < s.toks; t++) {
					assert_true(isfinite(f.y[t * s.rows]));
					assert_false(isfinite(f.y[t * s.rows + 1]));
					assert_true(isfinite(f.y[t * s.rows + 2]));
				}
				fixture_close(&f);
			}
}

/* 8-bit activations: the same bits from every instruction set, and within half a step of the value. */
static void test_quantise(void **state)
{
	static float x[5 * 768];
	static char a_buf[1 << 16] __attribute__((aligned(64))), b_buf[1 << 16] __attribute__((aligned(64)));
	const struct kern_isa *ref = kern_isa_find("ref"), *isa;
	struct kern_data_rng rng = { 7 };
	struct kern_acts a, b;
	enum kern_act kind;
	size_t bytes;
	uint32_t i, k;

	(void)state;
	kern_data_fill(&rng, x, 5 * 768, -3.0f, 3.0f);
	memset(x + 32, 0, 64 * sizeof(float));
	x[300] = 1e-42f;
	x[1000] = 1e30f;
	x[3000] = INFINITY;
	x[3500] = NAN;
	for (kind = KERN_ACT_Q8; kind <= KERN_ACT_Q8K; kind++) {
		bytes = kern_acts_bytes(kind, 5, 768);
		assert_true(bytes <= sizeof(a_buf));
		kern_acts_init(&a, kind, x, 5, 768, a_buf);
		ref->quantise(&a, 0, 5);
		for (i = 0; i < 5 * 768; i++) {
			uint32_t size = kind == KERN_ACT_Q8 ? 32 : 256;
			float d = a.d[i / size], err = fabsf(x[i] - d * (float)a.q[i]);

			assert_true(!isfinite(d) ? a.q[i] == 0 : err <= d * 0.50001f);
		}
		for (k = 0; (isa = kern_isa_at(k)) != NULL; k++) {
			if (!isa->usable())
				continue;
			memset(b_buf, 0x55, sizeof(b_buf));
			kern_acts_init(&b, kind, x, 5, 768, b_buf);
			isa->quantise(&b, 0, 2);
			isa->quantise(&b, 2, 5);
			assert_memory_equal(a.d, b.d, 5u * a.n_blk * sizeof(float));
			assert_memory_equal(a.q, b.q, 5 * 768);
			assert_memory_equal(a.sums, b.sums, 5u * a.n_blk * (kind == KERN_ACT_Q8K ? 16 : 1) * sizeof(int16_t));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ref),
		cmocka_unit_test(test_avx2),
		cmocka_unit_test(test_avx512),
		cmocka_unit_test(test_same_types),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_not_finite),
		cmocka_unit_test(test_weight_not_finite),
		cmocka_unit_test(test_quantise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
