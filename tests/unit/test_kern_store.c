/* test_kern_store.c - rows of the KV cache: what each type keeps of a value, values that are none, and rotation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/kern.h"
#include "kernels/kern_type.h"
#include "tests/unit/kern_data.h"

#define N 1024

static const uint32_t types[] = { KERN_F32, KERN_F16, KERN_BF16, KERN_Q8_0, KERN_Q4_0 };
#define N_TYPES (sizeof(types) / sizeof(types[0]))

static void fill(float *x, uint32_t seed)
{
	struct kern_data_rng rng = { seed };

	kern_data_fill(&rng, x, N, -3.0f, 3.0f);
}

static void there_and_back(uint32_t type, const float *x, float *y)
{
	unsigned char row[N * 4];

	kern_store(type, row, x, N);
	kern_dequant(type, row, y, N);
}

static void test_sizes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < N_TYPES; i++) {
		const struct kern_type *t = kern_type(types[i]);

		assert_true(kern_can_store(types[i]));
		assert_int_equal(kern_stored_bytes(types[i], N), N / t->elems * t->bytes);
		assert_true(kern_stores_blocks(types[i]) == (t->elems > 1));
	}
	assert_false(kern_can_store(KERN_Q5_1));
	assert_false(kern_can_store(UINT32_MAX));
}

/* The largest error that the format allows, of a value in a block whose largest magnitude is top. */
static double allowed(uint32_t type, double x, double top)
{
	switch (type) {
	case KERN_F16:
		return fabs(x) / 2048 + 0x1p-25;
	case KERN_BF16:
		return fabs(x) / 256;
	case KERN_Q8_0:                 /* half a step, and the scale's own rounding */
		return top / 127 / 2 + top / 2048 + 1e-6;
	case KERN_Q4_0:                 /* a step at the end that the scale does not face */
		return top / 8 + top / 2048 + 1e-6;
	default:
		return 0;
	}
}

static void test_errors(void **state)
{
	float x[N], y[N], top;
	size_t i, k, b;

	(void)state;
	fill(x, 1);
	memset(x + 64, 0, 32 * sizeof(*x));             /* a block of zeros */
	for (b = 96; b < 128; b++)
		x[b] *= 1e-30f;                         /* one too small for an F16 */
	for (i = 0; i < N_TYPES; i++) {
		there_and_back(types[i], x, y);
		for (b = 0; b < N; b += 32) {
			for (top = 0.0f, k = b; k < b + 32; k++)
				top = fmaxf(top, fabsf(x[k]));
			for (k = b; k < b + 32; k++)
				if (!(fabs((double)y[k] - (double)x[k]) <= allowed(types[i], (double)x[k], (double)top))) {
					print_error("type %u, value %zu: %g became %g\n", types[i], k, (double)x[k], (double)y[k]);
					fail();
				}
		}
	}
}

/* A value that is none makes its block NaN or stays; others stay. */
static void test_no_numbers(void **state)
{
	static const float bad[] = { INFINITY, -INFINITY, NAN };
	float x[N], y[N], z[N];
	size_t i, k, j;

	(void)state;
	for (i = 0; i < N_TYPES; i++)
		for (j = 0; j < 3; j++) {
			fill(x, 2);
			there_and_back(types[i], x, z);
			x[40] = bad[j];
			there_and_back(types[i], x, y);
			for (k = 0; k < N; k++)
				if (kern_stores_blocks(types[i]) && k / 32 == 1)
					assert_true(isnan(y[k]));
				else if (k == 40)
					assert_true(isnan(bad[j]) ? isnan(y[k]) : y[k] == bad[j]);
				else
					assert_memory_equal(&y[k], &z[k], sizeof(*y));
		}
}

static double dot(const float *a, const float *b)
{
	double sum = 0.0;
	size_t i;

	for (i = 0; i < N; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

static void test_rotation(void **state)
{
	float a[N], b[N], same[N], before;
	uint32_t size;
	size_t i;

	(void)state;
	for (size = 1; size <= N; size *= 2) {
		fill(a, 3);
		fill(b, 4);
		memcpy(same, a, sizeof(a));
		before = (float)dot(a, b);
		kern_rotate(a, N, size);
		kern_rotate(b, N, size);
		assert_true(fabs(dot(a, b) - (double)before) < 1e-3);
		kern_rotate(a, N, size);
		for (i = 0; i < N; i++)
			assert_true(fabsf(a[i] - same[i]) < 1e-5f);
	}
	memset(a, 0, sizeof(a));
	a[70] = 8.0f;                                   /* one outlier among 64 is spread evenly */
	kern_rotate(a, N, 64);
	for (i = 0; i < N; i++)
		assert_true(fabsf(a[i]) == (i >= 64 && i < 128 ? 1.0f : 0.0f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_errors), cmocka_unit_test(test_no_numbers),
		cmocka_unit_test(test_rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
