/* test_kern_type.c - the table of tensor types against the golden blocks and the format's ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kern_type.h"

#define INDEX "../shared/golden/dequant/index.json"

static void retired_and_unknown_ids(void **state)
{
	static const uint32_t ids[] = { 4, 5, 31, 32, 33, 36, 37, 38, 43, 1000, 0x7fffffff, UINT32_MAX };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_null(kern_type(ids[i]));
}

static void every_type_has_a_block(void **state)
{
	uint32_t id, known = 0;

	(void)state;
	for (id = 0; id < KERN_TYPE_COUNT; id++) {
		const struct kern_type *t = kern_type(id);

		if (t == NULL)
			continue;
		known++;
		assert_true(t->elems > 0 && t->bytes > 0);
		assert_true((t->elems & (t->elems - 1)) == 0);
	}
	assert_int_equal(known, 35);
}

/* The types without golden blocks. */
static void plain_and_activation_types(void **state)
{
	static const struct { uint32_t id; const char *name; uint32_t elems, bytes; } want[] = {
		{ KERN_I8, "I8", 1, 1 }, { KERN_I16, "I16", 1, 2 }, { KERN_I32, "I32", 1, 4 },
		{ KERN_I64, "I64", 1, 8 }, { KERN_F64, "F64", 1, 8 }, { KERN_Q8_1, "Q8_1", 32, 36 },
		{ KERN_Q8_K, "Q8_K", 256, 292 }, { KERN_MXFP4, "MXFP4", 32, 17 }, { KERN_NVFP4, "NVFP4", 64, 36 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct kern_type *t = kern_type(want[i].id);

		assert_non_null(t);
		assert_string_equal(t->name, want[i].name);
		assert_int_equal(t->elems, want[i].elems);
		assert_int_equal(t->bytes, want[i].bytes);
	}
}

/* The index has one field a line: the type's name, "block", "bytes_per_block", then "type_id". */
static void golden_blocks(void **state)
{
	char line[256], name[32] = "", found[32];
	unsigned v, elems = 0, bytes = 0, types = 0;
	FILE *f = fopen(INDEX, "r");

	(void)state;
	if (f == NULL) {
		print_message("%s is missing\n", INDEX);
		skip();
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, " \"%31[A-Z0-9_a-z]\": {", found) == 1 && strchr(line, '{') != NULL)
			strcpy(name, found);
		else if (sscanf(line, " \"block\": %u", &v) == 1)
			elems = v;
		else if (sscanf(line, " \"bytes_per_block\": %u", &v) == 1)
			bytes = v;
		else if (sscanf(line, " \"type_id\": %u", &v) == 1) {
			assert_non_null(kern_type(v));
			assert_string_equal(kern_type(v)->name, name);
			assert_int_equal(kern_type(v)->elems, elems);
			assert_int_equal(kern_type(v)->bytes, bytes);
			types++;
		}
	}
	fclose(f);
	assert_int_equal(types, 26);
}

int main(void)
{
	const struct CMUnitTest kern_type_tests[] = {
		cmocka_unit_test(retired_and_unknown_ids),
		cmocka_unit_test(every_type_has_a_block),
		cmocka_unit_test(plain_and_activation_types),
		cmocka_unit_test(golden_blocks),
	};

	return cmocka_run_group_tests(kern_type_tests, NULL, NULL);
}
