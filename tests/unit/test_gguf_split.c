/* test_gguf_split.c - models in several GGUF files: metadata, names, and what contradicts them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/gguf.h"
#include "engine/gguf_split.h"
#include "kernels/kern_type.h"
#include "tests/unit/gguf_build.h"

#define ABSENT (-1000)

struct part {
	struct gguf *g;
	unsigned char *buf;
	size_t len;
};

/* A file of n_tensors tensors; keys that are ABSENT are left out. */
static struct part part_open(int count, int no, int total, unsigned n_tensors)
{
	static const uint64_t ne[] = { 1 };
	struct gguf_build *b = gguf_build_new(3);
	struct part p = { NULL, NULL, 0 };
	char name[16], err[256] = "";
	unsigned i;

	gguf_build_str(b, "general.architecture", "llama");
	if (count != ABSENT)
		gguf_build_u16(b, "split.count", (uint16_t)count);
	if (no != ABSENT)
		gguf_build_u16(b, "split.no", (uint16_t)no);
	if (total != ABSENT)
		gguf_build_i32(b, "split.tensors.count", total);
	for (i = 0; i < n_tensors; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		gguf_build_tensor(b, name, KERN_F32, 1, ne, NULL, 4);
	}
	assert_int_equal(gguf_build_finish(b, &p.buf, &p.len), 0);
	assert_int_equal(gguf_parse(&p.g, p.buf, p.len, p.len, err, sizeof(err)), 0);
	return p;
}

static void part_close(struct part *p)
{
	gguf_free(p->g);
	free(p->buf);
}

static void metadata(void **state)
{
	static const struct { int count, no, total; int rc; const char *word; uint32_t want_count; } cases[] = {
		{ ABSENT, ABSENT, ABSENT, 0, NULL, 1 },
		{ ABSENT, 7, ABSENT, 0, NULL, 1 },
		{ 0, 0, 0, 0, NULL, 1 },                /* what gguf-split --merge leaves behind */
		{ 1, 0, 3, 0, NULL, 1 },
		{ 2, 1, 3, 0, NULL, 2 },
		{ 1024, 1023, 99999, 0, NULL, 1024 },
		{ 1025, 0, 99999, -EINVAL, "limit of 1024", 0 },
		{ 65535, 0, 99999, -EINVAL, "limit of 1024", 0 },
		{ 2, 2, 3, -EINVAL, "split.no is 2", 0 },
		{ 2, 7, 3, -EINVAL, "split.no is 7", 0 },
		{ 2, ABSENT, 3, -EINVAL, "'split.no' is missing", 0 },
		{ 2, 0, ABSENT, -EINVAL, "'split.tensors.count' is missing", 0 },
		{ 2, 0, 2, -EINVAL, "split.tensors.count is 2", 0 },
		{ 2, 0, -5, -EINVAL, "'split.tensors.count' is no integer", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct part p = part_open(cases[i].count, cases[i].no, cases[i].total, 3);
		struct gguf_split s = { .no = 42 };
		char err[256] = "";

		assert_int_equal(gguf_split_read(p.g, &s, err, sizeof(err)), cases[i].rc);
		if (cases[i].rc != 0) {
			assert_non_null(strstr(err, cases[i].word));
			assert_int_equal(s.no, 42);
		} else {
			assert_int_equal(s.count, cases[i].want_count);
			assert_int_equal(s.no, s.count == 1 ? 0 : cases[i].no);
			assert_int_equal(s.n_tensors, s.count == 1 ? 3 : cases[i].total);
		}
		part_close(&p);
	}
}

static void count_of_another_type(void **state)
{
	struct gguf_build *b = gguf_build_new(3);
	struct part p = { NULL, NULL, 0 };
	struct gguf_split s;
	char err[256] = "";

	(void)state;
	gguf_build_str(b, "split.count", "2");
	assert_int_equal(gguf_build_finish(b, &p.buf, &p.len), 0);
	assert_int_equal(gguf_parse(&p.g, p.buf, p.len, p.len, err, sizeof(err)), 0);
	assert_int_equal(gguf_split_read(p.g, &s, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "split.count"));
	part_close(&p);
}

static void paths_from_any_part(void **state)
{
	const struct gguf_split first = { .no = 0, .count = 6, .n_tensors = 48 };
	const struct gguf_split third = { .no = 2, .count = 6, .n_tensors = 48 };
	const struct gguf_split many = { .no = 0, .count = 1024, .n_tensors = 2000 };
	char out[64], err[256] = "";

	(void)state;
	assert_int_equal(gguf_split_path(&first, "/m/a-00001-of-00006.gguf", 5, out, sizeof(out), err, sizeof(err)), 0);
	assert_string_equal(out, "/m/a-00006-of-00006.gguf");
	assert_int_equal(gguf_split_path(&first, "/m/a-00001-of-00006.gguf", 0, out, sizeof(out), err, sizeof(err)), 0);
	assert_string_equal(out, "/m/a-00001-of-00006.gguf");
	assert_int_equal(gguf_split_path(&third, "x-00001-of-00006-00003-of-00006.gguf", 0, out, sizeof(out),
					 err, sizeof(err)), 0);
	assert_string_equal(out, "x-00001-of-00006-00001-of-00006.gguf");
	assert_int_equal(gguf_split_path(&third, "-00003-of-00006.gguf", 1, out, sizeof(out), err, sizeof(err)), 0);
	assert_string_equal(out, "-00002-of-00006.gguf");
	assert_int_equal(gguf_split_path(&many, "m-00001-of-01024.gguf", 1023, out, sizeof(out), err, sizeof(err)), 0);
	assert_string_equal(out, "m-01024-of-01024.gguf");
}

static void names_that_do_not_match(void **state)
{
	static const char *const names[] = {
		"model.gguf", "", "a-00002-of-00006.gguf", "a-00001-of-00005.gguf", "a-00001-of-00006.GGUF",
		"a-1-of-6.gguf", "a-00001-of-00006.gguf.part", "00001-of-00006.gguf",
		"sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	};
	const struct gguf_split s = { .no = 0, .count = 6, .n_tensors = 48 };
	char out[128] = "untouched", err[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		err[0] = 0;
		assert_int_equal(gguf_split_path(&s, names[i], 1, out, sizeof(out), err, sizeof(err)), -EINVAL);
		assert_non_null(strstr(err, "-00001-of-00006.gguf"));
		assert_string_equal(out, "untouched");
	}
	assert_int_equal(gguf_split_path(&s, "a-00001-of-00006.gguf", 6, out, sizeof(out), err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "no part 7 of 6"));
	assert_int_equal(gguf_split_path(&s, "model.gguf", 1, out, sizeof(out), NULL, 0), -EINVAL);
}

static void whole_models_have_any_name(void **state)
{
	const struct gguf_split s = { .no = 0, .count = 1, .n_tensors = 3 };
	char out[16] = "", err[256];

	(void)state;
	assert_int_equal(gguf_split_path(&s, "sha256-0", 0, out, sizeof(out), err, sizeof(err)), 0);
	assert_string_equal(out, "sha256-0");
	assert_int_equal(gguf_split_path(&s, "sha256-0", 1, out, sizeof(out), err, sizeof(err)), -EINVAL);
}

static void small_buffers(void **state)
{
	const struct gguf_split s = { .no = 0, .count = 2, .n_tensors = 3 };
	const char *path = "abc-00001-of-00002.gguf";
	const size_t need = strlen(path) + 1;
	char err[256] = "";
	size_t n;

	(void)state;
	for (n = 0; n <= need; n++) {
		char *out = malloc(n + (n == 0));
		int rc;

		assert_non_null(out);
		rc = gguf_split_path(&s, path, 1, out, n, err, sizeof(err));
		assert_int_equal(rc, n < need ? -ENAMETOOLONG : 0);
		if (rc == 0)
			assert_string_equal(out, "abc-00002-of-00002.gguf");
		free(out);
	}
}

static void parts_that_contradict(void **state)
{
	const struct gguf_split s = { .no = 0, .count = 3, .n_tensors = 9 };
	static const struct { int count, no, total; int rc; const char *word; } cases[] = {
		{ 3, 1, 9, 0, "" },
		{ 3, 2, 9, -EINVAL, "split.no is 2" },
		{ 3, 0, 9, -EINVAL, "split.no is 0" },
		{ 4, 1, 9, -EINVAL, "split.count is 4" },
		{ ABSENT, 1, 9, -EINVAL, "split.count is 1" },
		{ 3, 1, 8, -EINVAL, "split.tensors.count is 8" },
		{ 3, ABSENT, 9, -EINVAL, "split.no" },
	};
	char err[256] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct part p = part_open(cases[i].count, cases[i].no, cases[i].total, 3);

		assert_int_equal(gguf_split_check(&s, p.g, 1, err, sizeof(err)), cases[i].rc);
		assert_non_null(strstr(err, cases[i].word));
		part_close(&p);
	}
	assert_int_equal(gguf_split_check_total(&s, 9, err, sizeof(err)), 0);
	assert_int_equal(gguf_split_check_total(&s, 10, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "the 3 parts hold 10 tensors"));
	assert_int_equal(gguf_split_check_total(&s, 8, NULL, 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest gguf_split_tests[] = {
		cmocka_unit_test(metadata),
		cmocka_unit_test(count_of_another_type),
		cmocka_unit_test(paths_from_any_part),
		cmocka_unit_test(names_that_do_not_match),
		cmocka_unit_test(whole_models_have_any_name),
		cmocka_unit_test(small_buffers),
		cmocka_unit_test(parts_that_contradict),
	};

	return cmocka_run_group_tests(gguf_split_tests, NULL, NULL);
}
