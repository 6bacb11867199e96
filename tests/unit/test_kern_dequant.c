/* test_kern_dequant.c - widening every type, against values made by another program and by hand. */
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
#include "kernels/kern_exp.h"
#include "kernels/kern_f16.h"
#include "tests/unit/kern_data.h"

#define DIR "../shared/golden/dequant/"
#define N 1024          /* values in each golden file */

static size_t read_file(const char *name, const char *suffix, void *buf, size_t cap)
{
	char path[128];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), DIR "%s.%s", name, suffix);
	f = fopen(path, "rb");
	if (f == NULL)
		return 0;
	n = fread(buf, 1, cap, f);
	fclose(f);
	return n;
}

static void test_golden(void **state)
{
	static unsigned char blocks[8192];
	static float want[N], got[N];
	uint32_t type, checked = 0;

	(void)state;
	for (type = 0; type < KERN_TYPE_COUNT; type++) {
		const struct kern_type *t = kern_type(type);

		if (!kern_can_dequant(type) || read_file(t->name, "f32", want, sizeof(want)) != sizeof(want))
			continue;
		assert_int_equal(read_file(t->name, "blk", blocks, sizeof(blocks)), N / t->elems * t->bytes);
		kern_dequant(type, blocks, got, N);
		if (memcmp(want, got, sizeof(want)) != 0)
			print_error("type %s\n", t->name);
		assert_memory_equal(want, got, sizeof(want));
		checked++;
	}
	if (checked == 0) {
		print_message(DIR " is missing\n");
		skip();
	}
	print_message("%u types exact\n", checked);
	assert_int_equal(checked, 11);
}

/* Blocks written out by hand: 32 values 0 .. 31 of each layout, times the scale. */
static void test_by_hand(void **state)
{
	unsigned char q4_0[18], q8_0[34], q5_0[22];
	uint16_t half = 0x3800;         /* 0.5 */
	float y[32];
	int i;

	(void)state;
	memcpy(q4_0, &half, 2);
	memcpy(q8_0, &half, 2);
	memcpy(q5_0, &half, 2);
	for (i = 0; i < 16; i++) {
		q4_0[2 + i] = (unsigned char)(i | (15 - i) << 4);
		q5_0[6 + i] = (unsigned char)(i | i << 4);
	}
	for (i = 0; i < 32; i++)
		q8_0[2 + i] = (unsigned char)(i - 16);
	memcpy(q5_0 + 2, "\0\0\xff\xff", 4);    /* the upper sixteen have bit 4 */
	kern_dequant(KERN_Q4_0, q4_0, y, 32);
	for (i = 0; i < 16; i++) {
		assert_true(y[i] == 0.5f * (float)(i - 8));
		assert_true(y[16 + i] == 0.5f * (float)(7 - i));
	}
	kern_dequant(KERN_Q8_0, q8_0, y, 32);
	for (i = 0; i < 32; i++)
		assert_true(y[i] == 0.5f * (float)(i - 16));
	kern_dequant(KERN_Q5_0, q5_0, y, 32);
	for (i = 0; i < 16; i++) {
		assert_true(y[i] == 0.5f * (float)(i - 16));
		assert_true(y[16 + i] == 0.5f * (float)i);
	}
}

/* F16 has no more than 65536 values: each survives the way there and back. */
static void test_f16_round_trip(void **state)
{
	uint32_t h;

	(void)state;
	for (h = 0; h < 65536; h++) {
		float f = kern_f16_to_f32((uint16_t)h);

		if (isnan(f)) {
			assert_true((h & 0x7c00) == 0x7c00 && (h & 0x3ff) != 0);
			assert_true(isnan(kern_f16_to_f32(kern_f32_to_f16(f))));
			continue;
		}
		assert_int_equal(kern_f32_to_f16(f), h);
		assert_true(fabs((double)f - ldexp((double)(h & 0x3ff) + ((h & 0x7c00) != 0 ? 1024 : 0),
						    (int)((h & 0x7c00) != 0 ? (h >> 10 & 31) : 1) - 25) *
						     ((h & 0x8000) != 0 ? -1 : 1)) == 0.0 || isinf(f));
	}
}

/* Halfway values go to the even neighbour; what is too large becomes infinite. */
static void test_f16_rounding(void **state)
{
	(void)state;
	assert_int_equal(kern_f32_to_f16(1.0f + 0x1p-11f), 0x3c00);
	assert_int_equal(kern_f32_to_f16(1.0f + 0x1.8p-10f), 0x3c02);
	assert_int_equal(kern_f32_to_f16(0x1p-25f), 0);
	assert_int_equal(kern_f32_to_f16(0x1.8p-24f), 2);
	assert_int_equal(kern_f32_to_f16(0x1.000002p-25f), 1);
	assert_int_equal(kern_f32_to_f16(65519.0f), 0x7bff);
	assert_int_equal(kern_f32_to_f16(65520.0f), 0x7c00);
	assert_int_equal(kern_f32_to_f16(-1e9f), 0xfc00);
}

static void test_exp(void **state)
{
	double worst = 0.0;
	float x;

	(void)state;
	for (x = -87.0f; x < 88.0f; x += 0.0037f) {
		double want = exp((double)x), err = fabs((double)kern_expf(x) - want) / want;

		worst = err > worst ? err : worst;
	}
	print_message("worst relative error of e^x: %.2g\n", worst);
	assert_true(worst < 3e-7);
	assert_true(kern_expf(0.0f) == 1.0f);
	assert_true(kern_expf(-1000.0f) == 0.0f);
	assert_true(isfinite(kern_expf(1e30f)));
	assert_true(isnan(kern_expf(NAN)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_f16_round_trip),
		cmocka_unit_test(test_f16_rounding),
		cmocka_unit_test(test_exp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
