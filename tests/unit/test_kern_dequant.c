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

static size_t read_file(const char *dir, const char *name, const char *suffix, void *buf, size_t cap)
{
	char path[128];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s%s.%s", dir, name, suffix);
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

		if (!kern_can_dequant(type) ||
		    read_file(DIR, t->name, "f32", want, sizeof(want)) != sizeof(want))
			continue;
		assert_int_equal(read_file(DIR, t->name, "blk", blocks, sizeof(blocks)), N / t->elems * t->bytes);
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
	assert_int_equal(checked, 20);
}

/* FNV-1a of 65536 seeded random weights, widened from the same bytes by gguf 0.19's quants.py.  So many
 * weights reach every entry of every table, every bit of the scales and every exponent of MXFP4. */
static const struct { uint32_t type; uint64_t hash; } hashes[] = {
	{ KERN_F32, 0x5d7a1a8a3d1739a9u }, { KERN_F16, 0xa0f5130b913496acu },
	{ KERN_BF16, 0xac68300859f9624du }, { KERN_Q4_0, 0xb39ddb5d1f9af419u },
	{ KERN_Q4_1, 0xb6bf61a022bd887fu }, { KERN_Q5_0, 0x84630840347abadau },
	{ KERN_Q5_1, 0x75b7132904b8ea41u }, { KERN_Q8_0, 0x9d5cb6b1aa18c3e6u },
	{ KERN_Q2_K, 0xbf1d20d7ce41fa46u }, { KERN_Q3_K, 0x3f29ce8cb758e4deu },
	{ KERN_Q4_K, 0x66c5215a1cfe6b8cu }, { KERN_Q5_K, 0x895c2df4b1c28cfeu },
	{ KERN_Q6_K, 0xb8eb946dc636419fu }, { KERN_IQ4_NL, 0xed7c3d6012596b91u },
	{ KERN_IQ4_XS, 0x2c1f053ecbd91b29u }, { KERN_IQ2_XXS, 0xd149ab6e4bb68e7du },
	{ KERN_IQ2_XS, 0xe07b7efca8c6a222u }, { KERN_IQ2_S, 0x2feb5c3bf0238382u },
	{ KERN_IQ3_XXS, 0xaafce0a1e89b1d0eu }, { KERN_IQ3_S, 0x069c4fddbb0faf28u },
	{ KERN_MXFP4, 0xaaebd0eba6da158cu },
};

#define N_TYPES (sizeof(hashes) / sizeof(hashes[0]))
#define N_HASHED 65536

static uint64_t fnv1a(const void *p, size_t n)
{
	const unsigned char *b = p;
	uint64_t h = 0xcbf29ce484222325u;

	while (n-- > 0)
		h = (h ^ *b++) * 0x100000001b3u;
	return h;
}

static void test_hashes(void **state)
{
	static unsigned char blocks[N_HASHED * 4];
	static float y[N_HASHED];
	size_t i, k;

	(void)state;
	for (i = 0; i < N_TYPES; i++) {
		struct kern_data_rng rng = { 1000 + hashes[i].type };

		kern_data_row(&rng, hashes[i].type, blocks, N_HASHED);
		for (k = 0; hashes[i].type == KERN_MXFP4 && k < N_HASHED / 32; k++)
			blocks[k * 17] = (unsigned char)k;
		kern_dequant(hashes[i].type, blocks, y, N_HASHED);
		if (fnv1a(y, sizeof(y)) != hashes[i].hash)
			print_error("type %s\n", kern_type(hashes[i].type)->name);
		assert_true(fnv1a(y, sizeof(y)) == hashes[i].hash);
	}
}

/* The first 1024 weights of blk.0.ffn_up of a random model (llama.cpp's test-llama-archs -a '^llama$' -s 7),
 * made MXFP4 by llama-quantize and widened by gguf 0.19's quants.py. */
static void test_mxfp4(void **state)
{
	static unsigned char blocks[N / 32 * 17 + 1];
	static float want[N], got[N];

	(void)state;
	assert_int_equal(read_file("tests/golden/", "mxfp4", "blk", blocks, sizeof(blocks)), N / 32 * 17);
	assert_int_equal(read_file("tests/golden/", "mxfp4", "f32", want, sizeof(want)), sizeof(want));
	kern_dequant(KERN_MXFP4, blocks, got, N);
	assert_memory_equal(want, got, sizeof(want));
}

/* The types that can be computed with are those of the table above and no others. */
static void test_refused(void **state)
{
	uint32_t type;
	size_t i;

	(void)state;
	for (type = 0; type < 2 * KERN_TYPE_COUNT; type++) {
		for (i = 0; i < N_TYPES && hashes[i].type != type; i++)
			;
		assert_int_equal(kern_can_dequant(type), i < N_TYPES);
	}
	assert_false(kern_can_dequant(UINT32_MAX));
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
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_mxfp4),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_f16_round_trip),
		cmocka_unit_test(test_f16_rounding),
		cmocka_unit_test(test_exp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
