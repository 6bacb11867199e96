/* test_unicode.c - UTF-8 and categories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/unicode.h"

static void every_code_point_round_trips(void **state)
{
	uint32_t cp, got;
	char buf[4];
	size_t n;

	(void)state;
	for (cp = 0; cp <= 0x10FFFF; cp++) {
		n = unicode_encode(cp, buf);
		if (cp >= 0xD800 && cp <= 0xDFFF) {
			assert_int_equal(unicode_decode(buf, n, &got), 1);
			assert_int_equal(got, UNICODE_REPLACEMENT);
			continue;
		}
		assert_int_equal(unicode_decode(buf, n, &got), n);
		assert_int_equal(got, cp);
	}
}

static void malformed_bytes_are_one_replacement_each(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80",
		"\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF",
		"\xC3", "\xC3(", "\xE2\x96", "\xE2\x96 ", "\xF0\x9F\x98", "\xF0\x9F\x98 ",
	};
	uint32_t cp;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(unicode_decode(bad[i], strlen(bad[i]), &cp), 1);
		assert_int_equal(cp, UNICODE_REPLACEMENT);
	}
}

static void categories(void **state)
{
	static const struct {
		uint32_t cp;
		enum unicode_cat cat;
	} cases[] = {
		{ 0, UNICODE_OTHER }, { '\n', UNICODE_OTHER }, { ' ', UNICODE_SEPARATOR }, { '!', UNICODE_PUNCT },
		{ '$', UNICODE_SYMBOL }, { '0', UNICODE_NUMBER }, { '9', UNICODE_NUMBER }, { ':', UNICODE_PUNCT },
		{ 'A', UNICODE_LETTER }, { 'z', UNICODE_LETTER }, { '`', UNICODE_SYMBOL }, { 0x7F, UNICODE_OTHER },
		{ 0xAA, UNICODE_LETTER }, { 0xB2, UNICODE_NUMBER }, { 0xD7, UNICODE_SYMBOL },
		{ 0x301, UNICODE_MARK }, { 0x660, UNICODE_NUMBER }, { 0x4E00, UNICODE_LETTER },
		{ 0xAC00, UNICODE_LETTER }, { 0xD7A3, UNICODE_LETTER }, { 0xD800, UNICODE_OTHER },
		{ 0xE000, UNICODE_OTHER }, { 0x2028, UNICODE_SEPARATOR }, { 0x1F600, UNICODE_SYMBOL },
		{ 0x2EBF0, UNICODE_LETTER },    /* assigned in Unicode 15.1 */
		{ 0x10FFFF, UNICODE_OTHER }, { 0x110000, UNICODE_OTHER }, { UINT32_MAX, UNICODE_OTHER },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (unicode_cat(cases[i].cp) != cases[i].cat)
			fail_msg("U+%04X is %d, not %d", cases[i].cp, (int)unicode_cat(cases[i].cp),
				 (int)cases[i].cat);
}

/* Totals over all code points, from Unicode 15.1's UnicodeData.txt: a wrong table cannot keep them. */
static void category_totals(void **state)
{
	uint32_t n[7] = { 0 }, spaces = 0, cp;

	(void)state;
	for (cp = 0; cp <= 0x10FFFF; cp++) {
		n[unicode_cat(cp)]++;
		spaces += unicode_is_space(cp);
	}
	assert_int_equal(n[UNICODE_LETTER], 136726);
	assert_int_equal(n[UNICODE_NUMBER], 1831);
	assert_int_equal(n[UNICODE_PUNCT], 842);
	assert_int_equal(n[UNICODE_SYMBOL], 7775);
	assert_int_equal(n[UNICODE_MARK], 2450);
	assert_int_equal(n[UNICODE_SEPARATOR], 19);
	assert_int_equal(spaces, 25);
}

static void white_space(void **state)
{
	(void)state;
	assert_true(unicode_is_space(' '));
	assert_true(unicode_is_space('\t'));
	assert_true(unicode_is_space('\r'));
	assert_true(unicode_is_space(0x85));
	assert_true(unicode_is_space(0xA0));
	assert_true(unicode_is_space(0x3000));
	assert_false(unicode_is_space(0x1C));
	assert_false(unicode_is_space(0x200B));
	assert_false(unicode_is_space(0x180E));
	assert_false(unicode_is_space(0xFEFF));
	assert_false(unicode_is_space(0x3001));
}

static void missing_bytes(void **state)
{
	(void)state;
	assert_int_equal(unicode_missing("a", 1), 0);
	assert_int_equal(unicode_missing("\xC3", 1), 1);
	assert_int_equal(unicode_missing("\xE2", 1), 2);
	assert_int_equal(unicode_missing("\xE2\x96", 2), 1);
	assert_int_equal(unicode_missing("\xE2\x96\x81", 3), 0);
	assert_int_equal(unicode_missing("\xF0\x9F\x98", 3), 1);
	assert_int_equal(unicode_missing("\xE0\x80", 2), 0);
	assert_int_equal(unicode_missing("\xED\xA0", 2), 0);
	assert_int_equal(unicode_missing("\x80", 1), 0);
	assert_int_equal(unicode_missing("\xC0", 1), 0);
	assert_int_equal(unicode_missing("\xF4\x90", 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_round_trips),
		cmocka_unit_test(malformed_bytes_are_one_replacement_each),
		cmocka_unit_test(categories),
		cmocka_unit_test(category_totals),
		cmocka_unit_test(white_space),
		cmocka_unit_test(missing_bytes),
	};

	return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
