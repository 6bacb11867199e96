/* test_tokenizer_pre.c - cutting text into words: what each expression means, and that no text makes it slow.
 * test_tokenizer_random.c compares all of them with llama.cpp.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tokenizer_pre.h"
#include "tests/unit/random_text.h"

#define LONG_BYTES (1u << 15)

/* The words of text with '|' between, for texts without one. */
static void cut(const char *pre, const char *text, size_t len, char out[512])
{
	const struct tokenizer_pre *p = tokenizer_pre_find(pre, strlen(pre));
	struct tokenizer_pre_ends ends = { { 0 } };
	size_t n, at = 0;

	assert_non_null(p);
	for (; len > 0; text += n, len -= n) {
		n = tokenizer_pre_next(p, &ends, text, len);
		assert_true(n >= 1 && n <= len);
		if (at != 0)
			out[at++] = '|';
		memcpy(out + at, text, n);
		at += n;
	}
	out[at] = '\0';
}

static void words(void **state)
{
	static const struct {
		const char *pre, *text, *want;
	} cases[] = {
		{ "gpt-2", "Hello  world's 123 !?", "Hello| | world|'s| 123| !?" },
		{ "gpt-2", "a\n\n  b", "a|\n\n | b" },
		{ "gpt-2", "a  ", "a|  " },
		{ "gpt-2", "a\tb", "a|\t|b" },
		{ "gpt-2", "a\t\tb", "a|\t|\t|b" },
		{ "gpt-2", "don't DON'T we'll'", "don|'t| DON|'|T| we|'ll|'" },
		{ "gpt-2", "!'s", "!'|s" },
		{ "gpt-2", "x\u0301y", "x|\u0301|y" },
		{ "gpt-2", "1234\u00bd a1", "1234\u00bd| a|1" },
		{ "gpt-2", "a\u00a0b\u3000\u3000c", "a|\u00a0|b|\u3000|\u3000|c" },
		{ "gpt-2", "a\x80\xFF""b \xC3", "a|\x80\xFF|b| \xC3" },
		{ "llama-bpe", "Hello  world's 12345 !?\n\nx", "Hello| | world|'s| |123|45| !?\n\n|x" },
		{ "llama-bpe", "DON'T WE'LL 'Re", "DON|'T| WE|'LL| '|Re" },
		{ "llama-bpe", "a \n \n  b", "a| \n \n| | b" },
		{ "llama-bpe", "a\r\nb\tc", "a|\r\n|b|\tc" },
		{ "llama-bpe", "(a) \u00a0b \t", "(a|)| |\u00a0b| \t" },
		{ "llama-bpe", "   ", "   " },
		{ "llama-bpe", "\n  \n", "\n  \n" },
		{ "llama-bpe", "1\u0662\u2167" "4", "1\u0662\u2167|4" },
		{ "llama-bpe", "a\x80""b\xFF\n", "a|\x80""b|\xFF\n" },
		{ "default", "Hi, it's 1234567 a$b", "Hi|,| it|'|s| |123|456|7| a|$|b" },
		{ "default", "a\u00bd\u00bd" "12345", "a|\u00bd\u00bd|123|45" },
		{ "", "x..y", "x|..|y" },
		{ "jina-v2-code", "a1 2", "a|1| 2" },
		{ "starcoder", "a12 3", "a|1|2| |3" },
		{ "falcon", "a`b 1234", "a|`|b| |123|4" },
		{ "qwen2", "I'M 123\u0301x", "I|'M| |1|2|3|\u0301x" },
		{ "qwen35", "x\u0301y !\u0301", "x\u0301y| !|\u0301" },
		{ "hunyuan", "12", "1|2" },
		{ "jais-2", "a          b", "a|        | | b" },
		{ "jais-2", "a   \n", "a|   \n" },
		{ "minicpm5", "12345", "123|45" },
		{ "laguna", "a\n\nb \n", "a|\n\n|b| |\n" },
		{ "seed-coder", "a!\n\n", "a|!|\n\n" },
		{ "ufakzeka", "don't", "don|'t" },
		{ "exaone-moe", "one two 3 x//y", "one two| |3| x|//|y" },
		{ "exaone-moe", "a\u0301 b!\n\n", "a\u0301 b|!\n|\n" },
		{ "tekken", "HelloWORLDs x1/\n", "Hello|WORLDs| x|1|/\n" },
		{ "gpt-4o", "HelloWORLD's I'LL", "Hello|WORLD's| I'LL" },
		{ "gpt-4o", "\u00c9COLE 1234", "\u00c9|COLE| |123|4" },
		{ "gpt-4o", "AB\u4e2dCD", "AB\u4e2d|CD" },
		{ "granite-embed-multi-97m", "\u0301AB a\u0301B", "\u0301|AB| a\u0301|B" },
		{ "cohere2moe", "ab1234567 12", "ab|1|234|567| |12" },
		{ "youtu", "\u4e2d\uac00\u3002\u3105x", "\u4e2d|\uac00|\u3002|\u3105|x" },
		{ "kimi-k2", "a\u4e2d\u6587b's \u4e2d", "a|\u4e2d\u6587|b's| |\u4e2d" },
		{ "k2-horizon", "a\u200db'\u017fx", "a\u200db|'\u017f|x" },
		{ "deepseek-llm", "Hi \u4e2d1 !  ", "Hi| |\u4e2d|1| !|  " },
		{ "deepseek-coder", "Hi \u4e2d12!\n\n", "Hi| |\u4e2d|1|2|!|\n|\n" },
		{ "deepseek-v3", ".py \u3042\u4e2d1234\u200d\u200dx", ".py| |\u3042\u4e2d|123|4|\u200d|\u200dx" },
		{ "spark2_5", "a!\n\n 12", "a|!|\n|\n| |1|2" },
		{ "afmoe", "a12345\u0e40", "a|12|345|\u0e40" },
		{ "superbpe", "x1234567\u00bd12", "x|1|234|567\u00bd12" },
		{ "superbpe", "a 123 b", "a |123| b" },
		{ "bloom", "Hi, (x) y", "Hi|, (|x|)| y" },
		{ "viking", "a12", "a|1|2" },
		{ "gemma4", "a b\n\n c", "a b|\n\n| c" },
	};
	char got[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cut(cases[i].pre, cases[i].text, strlen(cases[i].text), got);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s: '%s' is cut '%s', not '%s'", cases[i].pre, cases[i].text, got, cases[i].want);
	}
	assert_null(tokenizer_pre_find("gpt-3", 5));
	assert_null(tokenizer_pre_find("gpt-", 4));
}

/* The pieces of a text of any bytes are the text, under every row. */
static void check_cut(const struct tokenizer_pre *p, const char *text, size_t len)
{
	struct tokenizer_pre_ends ends = { { 0 } };
	size_t n, i;

	for (; len > 0; text += n, len -= n) {
		n = tokenizer_pre_next(p, &ends, text, len);
		if (n < 1 || n > len)
			fail_msg("%s: a piece of %zu of %zu bytes", p->name[0], n, len);
	}
	for (i = 0; i < TOKENIZER_PRE_STAGES; i++)
		assert_int_equal(ends.left[i], 0);
}

static void pieces_of_any_bytes_are_the_text(void **state)
{
	const struct tokenizer_pre *p;
	struct random_text r = { 31 };
	char text[300];
	size_t i, n;
	int round;

	(void)state;
	for (round = 0; round < 500; round++) {
		n = 1 + random_below(&r, sizeof(text));
		random_text_bytes(&r, text, n);
		for (i = 0; (p = tokenizer_pre_row(i)) != NULL; i++)
			check_cut(p, text, n);
	}
}

/* Each kind of long run, with what an expression may look for behind it.  A matcher that reads a run once for
 * each of its pieces takes a thousand times as long here. */
static void no_text_makes_cutting_slow(void **state)
{
	static const char *const units[] = {
		"a", "A", "aA", "A\u00e9", "\u4e2d", "\u0301", "\u200d", " ", "\u3000", "\n", " \n", "1", "\u00bd", "1\u00bd",
		"'", "!", " !", "!/", "a ", "\xE2",
	};
	const struct tokenizer_pre *p;
	char *text = malloc(LONG_BYTES + 8);
	size_t i, j, k, len;

	(void)state;
	assert_non_null(text);
	for (j = 0; j < sizeof(units) / sizeof(units[0]); j++) {
		len = strlen(units[j]);
		for (k = 0; k < LONG_BYTES; k++)
			text[k] = units[j][k % len];
		memcpy(text + LONG_BYTES, "\u00e9 x", 4);
		for (i = 0; (p = tokenizer_pre_row(i)) != NULL; i++)
			check_cut(p, text, LONG_BYTES + 4);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(pieces_of_any_bytes_are_the_text),
		cmocka_unit_test(no_text_makes_cutting_slow),
	};

	return cmocka_run_group_tests_name("tokenizer_pre", tests, NULL, NULL);
}
