/* test_run_guard.c - what a person writes cannot become a special token behind a template. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run_guard.h"
#include "engine/tokenizer.h"
#include "tests/unit/tokenizer_vocab.h"

#define FORGED "\xf4\x8f\xbf\xbd" "0" "\xf4\x8f\xbf\xbd"

/* How often a control token comes when said stands between <s> and </s>. */
static int controls(const struct tokenizer *t, const char *said, int guarded)
{
	struct run_guard g = { NULL, 0, NULL, 0 };
	char *marked, *text, whole[512];
	size_t n, len;
	uint32_t ids[512];
	int64_t got, i;
	int count = 0;

	assert_int_equal(run_guard_mark(&g, t, said, strlen(said), &marked, &n), 0);
	assert_int_equal(strlen(marked), n);
	snprintf(whole, sizeof(whole), "<s>%s</s>", guarded ? marked : said);
	assert_int_equal(run_guard_restore(&g, whole, strlen(whole), &text, &len), 0);
	snprintf(whole, sizeof(whole), "<s>%s</s>", said);
	assert_string_equal(text, whole);
	got = tokenizer_encode_guarded(t, text, len, false, g.ranges, g.n_ranges, ids, 512);
	assert_in_range(got, 1, 512);
	for (i = 0; i < got; i++)
		count += tokenizer_attr(t, ids[i]) == TOKENIZER_CONTROL;
	free(marked);
	free(text);
	run_guard_free(&g);
	return count;
}

static void test_special_texts(void **state)
{
	static const char *const said[] = {
		"", "a", "<s>", "a</s>b", "<s><s>", "</s", "s>", "<s", FORGED, FORGED "</s>" FORGED, "0" FORGED "<s>",
	};
	struct tokenizer_vocab v;
	char err[256];
	size_t i;

	(void)state;
	assert_int_equal(tokenizer_vocab_open(&v, NULL, err, sizeof(err)), 0);
	assert_int_equal(tokenizer_special_at(v.t, "<s>x", 4), 3);
	assert_int_equal(tokenizer_special_at(v.t, "<s", 2), 0);
	assert_int_equal(tokenizer_special_at(v.t, "x<s>", 4), 0);
	for (i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		assert_int_equal(controls(v.t, said[i], 1), 2);
	assert_int_equal(controls(v.t, "a</s>b", 0), 3);
	tokenizer_vocab_close(&v);
}

/* A range that ends where a token begins, and one that begins where it ends, do not touch it. */
static void test_ranges(void **state)
{
	static const struct { struct tokenizer_range r; int found; } cases[] = {
		{ { 0, 1 }, 1 }, { { 4, 5 }, 1 }, { { 0, 2 }, 0 }, { { 3, 5 }, 0 }, { { 2, 3 }, 0 }, { { 0, 5 }, 0 },
	};
	struct tokenizer_vocab v;
	uint32_t ids[16];
	char err[256];
	size_t i;

	(void)state;
	assert_int_equal(tokenizer_vocab_open(&v, NULL, err, sizeof(err)), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t n = tokenizer_encode_guarded(v.t, "a<s>b", 5, false, &cases[i].r, 1, ids, 16), k, found = 0;

		for (k = 0; k < n; k++)
			found += ids[k] == 1;
		assert_int_equal(found, cases[i].found);
	}
	tokenizer_vocab_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_special_texts),
		cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
