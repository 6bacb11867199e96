/* test_fs_cli_trace.c - following a window of numbered lines: what is new, what was missed, another daemon. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_cli_trace.h"

/* The window of lines from .. to - 1, owned. */
static char *window(uint64_t from, uint64_t to)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	fprintf(f, "%s\n", FS_TRACE_HEADER);
	for (; from < to; from++)
		fprintf(f, "%llu,1,16777216,1048576,read,nvme\n", (unsigned long long)from);
	fclose(f);
	return text;
}

struct reader {
	struct fs_trace t;
	FILE *out;
	char *text;
	size_t len;
};

static void look(struct reader *r, uint64_t from, uint64_t to, uint64_t written, uint64_t missed)
{
	char *text = window(from, to), err[128];

	assert_int_equal(fs_trace_take(&r->t, text, strlen(text), r->out, err, sizeof(err)), 0);
	assert_int_equal(r->t.written, written);
	assert_int_equal(r->t.missed, missed);
	free(text);
}

static void following(void **state)
{
	struct reader r = { .out = NULL };
	char *all = window(5, 12);

	(void)state;
	r.out = open_memstream(&r.text, &r.len);
	assert_non_null(r.out);
	look(&r, 0, 0, 0, 0);           /* nothing yet: the header only */
	look(&r, 5, 8, 3, 0);           /* what is older than the first look is not missed */
	look(&r, 5, 8, 3, 0);
	look(&r, 6, 10, 5, 0);
	look(&r, 10, 12, 7, 0);
	fflush(r.out);
	assert_string_equal(r.text, all);
	look(&r, 20, 22, 9, 8);         /* 12 to 19 went meanwhile */
	look(&r, 0, 0, 9, 8);
	assert_int_equal(r.t.restarts, 0);
	look(&r, 0, 3, 12, 8);          /* numbers begin anew */
	assert_int_equal(r.t.restarts, 1);
	look(&r, 2, 5, 14, 8);
	fclose(r.out);
	free(r.text);
	free(all);
}

static void no_window(void **state)
{
	static const char *const cases[] = {
		"", "seq", "seq,tick,object,size,class,tier", "seq,tick\n1,2\n", FS_TRACE_HEADER "\nx,1\n", FS_TRACE_HEADER "\n-1,1\n",
		FS_TRACE_HEADER "\n1\n", FS_TRACE_HEADER "\n\n", FS_TRACE_HEADER "\n18446744073709551616,1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fs_trace t = { .begun = false };
		char *text = strdup(cases[i]), err[128] = "";
		FILE *out = fopen("/dev/null", "w");

		assert_non_null(out);
		assert_int_equal(fs_trace_take(&t, text, strlen(text), out, err, sizeof(err)), -EINVAL);
		assert_true(err[0] != '\0');
		assert_int_equal(t.written, 0);
		fclose(out);
		free(text);
	}
}

/* A line that is not ended yet is left for the next look. */
static void half_a_line(void **state)
{
	struct fs_trace t = { .begun = false };
	char *text = window(1, 4), err[128];
	FILE *out = fopen("/dev/null", "w");

	(void)state;
	assert_non_null(out);
	text[strlen(text) - 1] = '\0';
	assert_int_equal(fs_trace_take(&t, text, strlen(text), out, err, sizeof(err)), 0);
	assert_int_equal(t.written, 2);
	assert_int_equal(t.next, 3);
	free(text);
	text = window(1, 4);
	assert_int_equal(fs_trace_take(&t, text, strlen(text), out, err, sizeof(err)), 0);
	assert_int_equal(t.written, 3);
	assert_int_equal(t.restarts, 0);
	fclose(out);
	free(text);
}

static void a_full_disk(void **state)
{
	struct fs_trace t = { .begun = false };
	char *text = window(0, 2000), err[128];
	FILE *out = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(out);
	assert_int_equal(fs_trace_take(&t, text, strlen(text), out, err, sizeof(err)), -EIO);
	fclose(out);
	free(text);
}

int main(void)
{
	const struct CMUnitTest fs_cli_trace_tests[] = {
		cmocka_unit_test(following),
		cmocka_unit_test(no_window),
		cmocka_unit_test(half_a_line),
		cmocka_unit_test(a_full_disk),
	};

	return cmocka_run_group_tests(fs_cli_trace_tests, NULL, NULL);
}
