/* test_sums.c - sums are XXH3-64, differ by place, and ids are random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tiering/sums.h"

/* Values of the reference implementation for the empty input and for seeds; they are part of the map's
 * format, so they may never change. */
static void test_known_values(void **state)
{
	(void)state;
	assert_true(sums_bytes("", 0, 0) == 0x2d06800538d394c2);
	assert_true(sums_bytes("abc", 3, 0) == 0x78af5f94892f3950);
	assert_true(sums_bytes("abc", 3, 1) != sums_bytes("abc", 3, 0));
}

static void test_place_matters(void **state)
{
	static unsigned char data[1 << 20];
	uint64_t sum = sums_extent(7, 3, data, sizeof(data));

	(void)state;
	assert_true(sum == sums_extent(7, 3, data, sizeof(data)));
	assert_true(sum != sums_extent(7, 4, data, sizeof(data)));
	assert_true(sum != sums_extent(8, 3, data, sizeof(data)));
	assert_true(sum != sums_extent(3, 7, data, sizeof(data)));
	assert_true(sum != sums_extent(7, 3, data, sizeof(data) - 1));
}

static void test_each_bit_matters(void **state)
{
	static unsigned char data[4096];
	uint64_t sum;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 31);
	sum = sums_extent(1, 1, data, sizeof(data));
	for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_true(sum != sums_extent(1, 1, data, sizeof(data)));
		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

static void test_unaligned(void **state)
{
	unsigned char *data = calloc(1, 5000 + 16);
	uint64_t sum;

	(void)state;
	assert_non_null(data);
	for (int i = 0; i < 5000; i++)
		data[i] = (unsigned char)i;
	sum = sums_extent(1, 1, data, 5000);
	for (size_t shift = 1; shift < 16; shift++) {
		memmove(data + shift, data + shift - 1, 5000);
		assert_true(sum == sums_extent(1, 1, data + shift, 5000));
	}
	free(data);
}

static void test_ids(void **state)
{
	uint64_t id[64];

	(void)state;
	for (int i = 0; i < 64; i++) {
		assert_int_equal(sums_blob_id(&id[i]), 0);
		assert_true(id[i] != 0);
		for (int j = 0; j < i; j++)
			assert_true(id[i] != id[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values), cmocka_unit_test(test_place_matters),
		cmocka_unit_test(test_each_bit_matters), cmocka_unit_test(test_unaligned), cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
