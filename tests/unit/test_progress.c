/* test_progress.c - the line of a long prompt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "engine/run_progress.h"

static const char *line_of(int width, double share, size_t n, double seconds, uint64_t read)
{
	static char line[128];

	run_progress_line(line, sizeof(line), width, share, n, seconds, read);
	return line;
}

static void test_line(void **state)
{
	(void)state;
	assert_string_equal(line_of(80, 0.5, 4096, 60.0, 0), "[############............] prompt  50 % of 4096 tokens, 1:00 left");
	assert_string_equal(line_of(60, 0.25, 7, 10.0, 1500000000), "prompt  25 % of 7 tokens, 1.5 GB read, 0:30 left");
	assert_string_equal(line_of(60, 1.0, 7, 10.0, 0), "prompt 100 % of 7 tokens, 0:00 left");
	assert_string_equal(line_of(60, 0.001, 7, 36.0, 0), "prompt   0 % of 7 tokens, 9:59:24 left");
	assert_string_equal(line_of(60, 0.0, 7, 36.0, 0), "prompt   0 % of 7 tokens, 99:59:59 left");
}

/* Never so long that a terminal breaks it. */
static void test_width(void **state)
{
	int width;

	(void)state;
	for (width = 1; width < 120; width++)
		assert_true(strlen(line_of(width, 0.123, SIZE_MAX, 1e9, UINT64_MAX)) < (size_t)width);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_line), cmocka_unit_test(test_width) };

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
