/* test_ngram.c - drafts out of a text: what each type takes from texts that are made for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/run_ngram.h"

#define ROOM 64

/* A text's letters are its tokens; the draft behind it as letters again. */
static const char *draft(struct run_ngram g, const char *text, uint32_t most)
{
	static char out[ROOM];
	uint32_t ids[2 * ROOM], n = (uint32_t)strlen(text), made, i;

	for (i = 0; i < 2 * ROOM; i++)
		ids[i] = i < n ? (unsigned char)text[i] : '#';
	made = run_ngram_draft(&g, ids, n, most);
	assert_true(made <= most && made < ROOM);
	for (i = 0; i < made; i++)
		out[i] = (char)ids[n + i];
	out[made] = '\0';
	for (i = 0; i < n; i++)
		assert_int_equal(ids[i], (unsigned char)text[i]);
	for (i = n + most; i < 2 * ROOM; i++)
		assert_int_equal(ids[i], '#');
	return out;
}

static struct run_ngram of(enum run_ngram_type type, uint32_t n, uint32_t m, uint32_t hits)
{
	return (struct run_ngram){ type, n, m, hits };
}

static void test_simple(void **state)
{
	(void)state;
	assert_string_equal(draft(of(RUN_NGRAM_SIMPLE, 2, 3, 1), "abcdeabxyzab", 8), "xyz");     /* the last time, m tokens */
	assert_string_equal(draft(of(RUN_NGRAM_SIMPLE, 2, 8, 1), "abcdeabxyzab", 2), "xy");
	assert_string_equal(draft(of(RUN_NGRAM_SIMPLE, 3, 8, 1), "abcabc", 8), "abcabcab");      /* it reads itself */
	assert_string_equal(draft(of(RUN_NGRAM_SIMPLE, 2, 8, 1), "abcdef", 8), "");
	assert_string_equal(draft(of(RUN_NGRAM_SIMPLE, 6, 8, 1), "abcabc", 8), "");              /* all of the text is no place */
	assert_string_equal(draft(of(RUN_NGRAM_SIMPLE, 9, 8, 1), "abcabc", 8), "");
	assert_string_equal(draft(of(RUN_NGRAM_SIMPLE, 1, 8, 1), "aa", 3), "aaa");
	assert_string_equal(draft(of(RUN_NGRAM_NONE, 1, 8, 1), "aa", 3), "");
}

static void test_map_k(void **state)
{
	(void)state;
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K, 2, 8, 1), "ab12..ab34..ab", 4), "34..");
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K, 2, 8, 2), "ab12..ab34..ab", 4), "");       /* they do not agree */
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K, 2, 8, 2), "ab12..ab13..ab", 4), "1");      /* about one token */
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K, 2, 8, 2), "ab12..", 4), "");
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K, 2, 3, 2), "ab1234ab1234ab", 8), "123");
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K, 2, 8, 3), "ab1234ab1234ab", 8), "");
}

static void test_map_k4v(void **state)
{
	(void)state;
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K4V, 1, 2, 1), "a12a12a34a", 8), "12");       /* not what was last */
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K4V, 1, 2, 1), "a12a34a", 8), "");            /* no more often */
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K4V, 1, 2, 3), "a12a12a34a", 8), "");
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K4V, 1, 2, 1), "a12a", 1), "1");
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K4V, 1, 4, 1), "a12a", 8), "");               /* not complete */
	assert_string_equal(draft(of(RUN_NGRAM_MAP_K4V, 1, 1, 1), "a1a2a3a4a5a5a5a5a", 8), "");  /* a fifth thing is not counted */
}

static void test_mod(void **state)
{
	(void)state;
	assert_string_equal(draft(of(RUN_NGRAM_MOD, 2, 1, 1), "abcd.bcxyz.ab", 6), "cxyz.a");    /* from place to place, m is nothing */
	assert_string_equal(draft(of(RUN_NGRAM_MOD, 2, 1, 1), "abc.ab", 2), "c.");
	assert_string_equal(draft(of(RUN_NGRAM_MOD, 2, 1, 1), "abcdef", 6), "");
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(run_ngram_type("ngram-simple", 12), RUN_NGRAM_SIMPLE);
	assert_int_equal(run_ngram_type("ngram-map-k,x", 11), RUN_NGRAM_MAP_K);
	assert_int_equal(run_ngram_type("ngram-map-k4v", 13), RUN_NGRAM_MAP_K4V);
	assert_int_equal(run_ngram_type("ngram-mod", 9), RUN_NGRAM_MOD);
	assert_int_equal(run_ngram_type("ngram-map", 9), RUN_NGRAM_NONE);
	assert_int_equal(run_ngram_type("", 0), RUN_NGRAM_NONE);
}

/* Random texts of few letters: whatever is drafted, it stays in its room. */
static void test_random(void **state)
{
	char text[ROOM / 2 + 1];
	uint32_t x = 1, i, k;

	(void)state;
	for (i = 0; i < 20000; i++) {
		uint32_t n = x % (ROOM / 2);

		for (k = 0; k < n; k++) {
			x = x * 1664525u + 1013904223u;
			text[k] = (char)('a' + (x >> 24) % 3);
		}
		text[n] = '\0';
		x = x * 1664525u + 1013904223u;
		draft(of((enum run_ngram_type)(1 + (x >> 8) % 4), 1 + (x >> 12) % 4, 1 + (x >> 16) % 9, 1 + (x >> 20) % 3), text, (x >> 24) % 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple), cmocka_unit_test(test_map_k), cmocka_unit_test(test_map_k4v),
		cmocka_unit_test(test_mod), cmocka_unit_test(test_names), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
