/* test_tokenizer.c - every kind over small vocabularies built in memory: merging, special tokens, bytes back,
 * hostile text.  test_tokenizer_pre.c cuts text into words, test_tokenizer_load.c has the metadata.
 */
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
#include "engine/tokenizer.h"
#include "engine/tokenizer_merge.h"
#include "tests/unit/gguf_build.h"
#include "tests/unit/random_text.h"
#include "tests/unit/tokenizer_vocab.h"

#define MIB (1u << 20)
#define ADD 1u          /* add_special */
#define PARSE 2u        /* parse_special */
#define END TOKENIZER_NONE

static void open_vocab(struct tokenizer_vocab *v, const char *pre)
{
	char err[256] = "";

	if (tokenizer_vocab_open(v, pre, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

/* ---- merging ----------------------------------------------------------------------------------- */

struct pairs {
	uint32_t calls;
	uint32_t longest;               /* results longer than this are no symbols */
};

/* A rule with many ties: the sum of both lengths decides, shorter first. */
static bool by_length(void *ctx, const struct tokenizer_sym *l, const struct tokenizer_sym *r,
		      uint32_t *order, uint32_t *id)
{
	struct pairs *p = ctx;

	p->calls++;
	*order = (l->len + r->len) * 7919 % 13;
	*id = 0;
	return l->len + r->len <= p->longest && (l->len + r->len) % 5 != 0;
}

/* The same by trying everything at every step. */
static size_t merge_slowly(uint32_t *len, size_t n, uint32_t longest)
{
	struct pairs p = { .longest = longest };
	struct tokenizer_sym l = { 0 }, r = { 0 };
	uint32_t order, best, id;
	size_t i, at;

	for (;;) {
		best = UINT32_MAX;
		at = n;
		for (i = 0; i + 1 < n; i++) {
			l.len = len[i];
			r.len = len[i + 1];
			if (by_length(&p, &l, &r, &order, &id) && order < best) {
				best = order;
				at = i;
			}
		}
		if (at == n)
			return n;
		len[at] += len[at + 1];
		memmove(len + at + 1, len + at + 2, (n - at - 2) * sizeof(*len));
		n--;
	}
}

static void merging_equals_the_slow_way(void **state)
{
	struct random_text r = { 7 };
	struct tokenizer_merge m = { 0 };
	uint32_t slow[60], i, round, off;
	size_t n, left;

	(void)state;
	for (round = 0; round < 2000; round++) {
		struct pairs p = { .longest = 2 + random_below(&r, 30) };

		tokenizer_merge_reset(&m);
		n = 1 + random_below(&r, 60);
		for (i = 0, off = 0; i < n; off += slow[i++]) {
			slow[i] = 1 + random_below(&r, 3);
			assert_int_equal(tokenizer_merge_add(&m, off, slow[i], 0), 0);
		}
		left = merge_slowly(slow, n, p.longest);
		assert_int_equal(tokenizer_merge_run(&m, by_length, &p), 0);
		for (i = 0, n = 0; i != TOKENIZER_MERGE_END; i = m.sym[i].next) {
			assert_true(n < left);
			assert_int_equal(m.sym[i].len, slow[n++]);
		}
		assert_int_equal(n, left);
	}
	tokenizer_merge_free(&m);
}

static bool always(void *ctx, const struct tokenizer_sym *l, const struct tokenizer_sym *r,
		   uint32_t *order, uint32_t *id)
{
	((struct pairs *)ctx)->calls++;
	*order = l->len + r->len;
	*id = 0;
	return true;
}

static void merging_a_mebibyte_asks_three_times_a_symbol_at_most(void **state)
{
	struct pairs p = { 0 };
	struct tokenizer_merge m = { 0 };
	uint32_t i;

	(void)state;
	for (i = 0; i < MIB; i++)
		assert_int_equal(tokenizer_merge_add(&m, i, 1, 0), 0);
	assert_int_equal(tokenizer_merge_run(&m, always, &p), 0);
	assert_int_equal(m.sym[0].len, MIB);
	assert_int_equal(m.sym[0].next, TOKENIZER_MERGE_END);
	assert_true(p.calls <= 3 * MIB);
	assert_true(m.heap_cap <= 4 * (size_t)MIB);
	tokenizer_merge_free(&m);
}

/* ---- ids --------------------------------------------------------------------------------------- */

struct encode_case {
	const char *text;
	unsigned int how;
	uint32_t want[16];              /* up to END */
};

static void check_encode(const struct tokenizer *t, const struct encode_case *c, size_t ncases)
{
	uint32_t ids[64];
	size_t i, j, n;
	int64_t got;

	for (i = 0; i < ncases; i++) {
		for (n = 0; c[i].want[n] != END; n++)
			;
		got = tokenizer_encode(t, c[i].text, strlen(c[i].text), (c[i].how & ADD) != 0,
				       (c[i].how & PARSE) != 0, ids, 64);
		if (got != (int64_t)n)
			fail_msg("case %zu, '%s': %lld ids, not %zu", i, c[i].text, (long long)got, n);
		for (j = 0; j < n; j++)
			if (ids[j] != c[i].want[j])
				fail_msg("case %zu, '%s': id %zu is %u, not %u", i, c[i].text, j, ids[j],
					 c[i].want[j]);
	}
}

static void spm_ids(void **state)
{
	static const struct encode_case cases[] = {
		{ "", 0, { END } },
		{ "", ADD, { 1, END } },
		{ "the", 0, { SPM_SPACE_THE, END } },
		{ "the", ADD, { 1, SPM_SPACE_THE, END } },
		/* the two marks merge before the second could join t */
		{ " the", 0, { SPM_SPACE2, SPM_T, SPM_HE, END } },
		{ "  the", 0, { SPM_SPACE2, SPM_SPACE_THE, END } },
		/* bc merges before ab, and a + bc is a token */
		{ "abc", 0, { SPM_SPACE, SPM_ABC, END } },
		{ "bcb", 0, { SPM_SPACE, SPM_BC, SPM_B, END } },
		/* aa and aaaa have one score: the leftmost pair is first */
		{ "aaaaa", 0, { SPM_SPACE, SPM_AAAA, SPM_A, END } },
		{ "   ", 0, { SPM_SPACE4, END } },
		{ "\u00e9z", 0, { SPM_SPACE, SPM_E_ACUTE, SPM_BYTE + 'z', END } },
		{ "\u20ac", 0, { SPM_SPACE, SPM_BYTE + 0xE2, SPM_BYTE + 0x82, SPM_BYTE + 0xAC, END } },
		{ "\xE2 ", 0, { SPM_SPACE, SPM_BYTE + 0xE2, SPM_SPACE, END } },
		{ "a<|user|>a", PARSE, { SPM_SPACE, SPM_A, SPM_USER, SPM_SPACE, SPM_A, END } },
		{ "<|user|><|user|><|user|>", PARSE, { SPM_USER_LONG, SPM_USER, END } },
		{ "<s>a</s>", PARSE | ADD, { 1, 1, SPM_SPACE, SPM_A, 2, END } },
		{ "<unk>", PARSE, { 0, END } },
		{ "a<keep> b", 0, { SPM_SPACE, SPM_A, SPM_KEEP, SPM_SPACE2, SPM_B, END } },
	};
	struct tokenizer_vocab v;
	uint32_t ids[16];

	(void)state;
	open_vocab(&v, NULL);
	check_encode(v.t, cases, sizeof(cases) / sizeof(cases[0]));
	/* control tokens are text unless asked for: ▁ < | u s e r | > */
	assert_int_equal(tokenizer_encode(v.t, "<|user|>", 8, false, false, ids, 16), 9);
	tokenizer_vocab_close(&v);
}

static void bpe_ids(void **state)
{
	static const struct encode_case gpt2[] = {
		{ "", ADD, { END } },
		{ "the the", ADD, { 't', BPE_HE, BPE_SPACE_THE, END } },
		{ "a     a", 0, { 'a', BPE_SPACE4, ' ', 'a', END } },
		{ "1234", 0, { BPE_123, '4', END } },
		{ "aaaaaaa", 0, { BPE_AAAA, BPE_AA, 'a', END } },
		{ " hello", 0, { ' ', BPE_HE, 'l', 'l', 'o', END } },
		{ "\xff\u00ad", 0, { 0xFF, 0xC2, 0xAD, END } },
		{ "a<keep>\n<|endoftext|>", PARSE, { 'a', BPE_KEEP, '\n', BPE_EOT, END } },
		{ "<keep>", 0, { BPE_KEEP, END } },
	};
	static const struct encode_case llama3[] = {
		{ "", ADD, { BPE_EOT, END } },
		{ " hello", ADD, { BPE_EOT, BPE_SPACE_HELLO, END } },
		{ " hello1234", 0, { BPE_SPACE_HELLO, BPE_123, '4', END } },
	};
	struct tokenizer_vocab v;

	(void)state;
	open_vocab(&v, "gpt-2");
	check_encode(v.t, gpt2, sizeof(gpt2) / sizeof(gpt2[0]));
	tokenizer_vocab_close(&v);
	open_vocab(&v, "llama-bpe");
	check_encode(v.t, llama3, sizeof(llama3) / sizeof(llama3[0]));
	tokenizer_vocab_close(&v);
}

static void gemma4_ids(void **state)
{
	static const struct encode_case cases[] = {
		/* llama.cpp puts BOS there although the file says no */
		{ "", ADD, { 1, END } },
		{ "the", 0, { SPM_T, SPM_HE, END } },
		{ " the", 0, { SPM_SPACE_THE, END } },
		{ "  the", 0, { SPM_SPACE2, SPM_T, SPM_HE, END } },
		{ "abc    b", 0, { SPM_ABC, SPM_SPACE4, SPM_B, END } },
		{ "aaaaa", 0, { SPM_AAAA, SPM_A, END } },
		{ "\u00e9\u20ac\xFF", 0, { SPM_E_ACUTE, SPM_BYTE + 0xE2, SPM_BYTE + 0x82, SPM_BYTE + 0xAC, SPM_BYTE + 0xFF, END } },
		{ " \n t", 0, { SPM_SPACE, SPM_BYTE + '\n', SPM_SPACE_T, END } },
		{ "a<|user|> a", PARSE, { SPM_A, SPM_USER, SPM_SPACE, SPM_A, END } },
		{ "<keep>", 0, { SPM_KEEP, END } },
	};
	struct tokenizer_vocab v;
	char err[256] = "", buf[16];
	const uint32_t ids[] = { SPM_SPACE_THE, SPM_SPACE, SPM_BYTE + 0xC3, SPM_BYTE + 0xA9 };

	(void)state;
	assert_int_equal(tokenizer_vocab_open_gemma4(&v, NULL, err, sizeof(err)), 0);
	check_encode(v.t, cases, sizeof(cases) / sizeof(cases[0]));
	assert_int_equal(tokenizer_special(v.t).nl, SPM_BYTE + '\n');
	assert_int_equal(tokenizer_decode(v.t, ids, 4, false, buf, sizeof(buf)), 7);
	assert_memory_equal(buf, " the \u00e9", 7);
	tokenizer_vocab_close(&v);
	assert_int_equal(tokenizer_vocab_open_gemma4(&v, "sarvam-moe", err, sizeof(err)), 0);
	check_encode(v.t, cases + 1, sizeof(cases) / sizeof(cases[0]) - 1);
	assert_int_equal(tokenizer_encode(v.t, "", 0, true, false, NULL, 0), 0);
	tokenizer_vocab_close(&v);
}

static void small_buffers_are_counted_not_overrun(void **state)
{
	struct tokenizer_vocab v;
	uint32_t ids[4] = { 77, 77, 77, 77 };
	char buf[4] = "####";

	(void)state;
	open_vocab(&v, NULL);
	assert_int_equal(tokenizer_encode(v.t, "the the the", 11, true, false, NULL, 0), 4);
	assert_int_equal(tokenizer_encode(v.t, "the the the", 11, true, false, ids, 2), 4);
	assert_int_equal(ids[2], 77);
	ids[0] = SPM_SPACE_THE;
	ids[1] = SPM_SPACE_THE;
	assert_int_equal(tokenizer_decode(v.t, ids, 2, false, NULL, 0), 7);
	assert_int_equal(tokenizer_decode(v.t, ids, 1, false, buf, 3), 3);
	assert_memory_equal(buf, "the#", 4);
	assert_int_equal(tokenizer_piece(v.t, SPM_SPACE_THE, false, buf, 3), 4);
	assert_int_equal(buf[3], '#');
	ids[1] = SPM_COUNT;
	assert_int_equal(tokenizer_decode(v.t, ids, 2, false, NULL, 0), -EINVAL);
	tokenizer_vocab_close(&v);
}

static void check_piece(const struct tokenizer *t, uint32_t id, bool special, const char *want)
{
	char buf[64];
	size_t n = tokenizer_piece(t, id, special, buf, sizeof(buf));

	assert_int_equal(n, strlen(want));
	assert_memory_equal(buf, want, n);
}

static void pieces(void **state)
{
	struct tokenizer_vocab v;

	(void)state;
	open_vocab(&v, NULL);
	check_piece(v.t, SPM_SPACE_THE, false, " the");
	check_piece(v.t, SPM_BYTE + '\n', false, "\n");
	check_piece(v.t, SPM_BYTE + 0xE2, false, "\xE2");
	check_piece(v.t, 1, false, "");
	check_piece(v.t, 1, true, "<s>");
	check_piece(v.t, 0, false, "");
	check_piece(v.t, 0, true, "<unk>");
	check_piece(v.t, SPM_KEEP, false, "<keep>");
	check_piece(v.t, SPM_UNUSED, true, "");
	check_piece(v.t, SPM_COUNT, true, "");
	assert_int_equal(tokenizer_attr(v.t, SPM_KEEP), TOKENIZER_USER);
	assert_int_equal(tokenizer_attr(v.t, SPM_BYTE), TOKENIZER_BYTE);
	tokenizer_vocab_close(&v);
	open_vocab(&v, "gpt-2");
	check_piece(v.t, BPE_SPACE_THE, false, " the");
	check_piece(v.t, 0xAD, false, "\xAD");
	check_piece(v.t, BPE_EOT, false, "");
	check_piece(v.t, BPE_EOT, true, "<|endoftext|>");
	tokenizer_vocab_close(&v);
}

static void special_tokens(void **state)
{
	struct tokenizer_special s;
	struct tokenizer_vocab v;

	(void)state;
	open_vocab(&v, NULL);
	s = tokenizer_special(v.t);
	assert_int_equal(s.bos, 1);
	assert_int_equal(s.eos, 2);
	assert_int_equal(s.unk, 0);
	assert_int_equal(s.pad, TOKENIZER_NONE);
	assert_int_equal(s.eot, TOKENIZER_NONE);
	assert_int_equal(s.nl, SPM_BYTE + '\n');
	assert_true(s.add_bos);
	assert_false(s.add_eos);
	assert_true(tokenizer_is_eog(v.t, 2));
	assert_false(tokenizer_is_eog(v.t, 1));
	assert_false(tokenizer_is_eog(v.t, SPM_COUNT));
	tokenizer_vocab_close(&v);
	open_vocab(&v, "gpt-2");
	s = tokenizer_special(v.t);
	assert_int_equal(s.eot, BPE_EOT);
	assert_int_equal(s.nl, '\n');
	assert_false(s.add_bos);
	assert_true(tokenizer_is_eog(v.t, BPE_EOT));
	tokenizer_vocab_close(&v);
}

static void phi3_takes_white_space_behind_special_tokens(void **state)
{
	static const struct encode_case cases[] = {
		{ "<|user|> \n\ta", PARSE, { SPM_USER, SPM_SPACE, SPM_A, END } },
		{ "<|user|> \n", PARSE, { SPM_USER, END } },
		{ "<s> a", PARSE, { 1, SPM_SPACE2, SPM_A, END } },
	};
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer_vocab v;
	char err[256] = "";

	(void)state;
	gguf_build_str(b, "general.name", "My Phi-3 mini");
	tokenizer_vocab_put_spm(b);
	assert_int_equal(tokenizer_vocab_load(&v, b, err, sizeof(err)), 0);
	check_encode(v.t, cases, sizeof(cases) / sizeof(cases[0]));
	tokenizer_vocab_close(&v);
}

static void bpe_leaves_out_a_byte_that_nothing_spells(void **state)
{
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer_vocab v;
	char err[256] = "";
	uint32_t ids[8];

	(void)state;
	tokenizer_vocab_put_bpe(b, "gpt-2", 'z');
	assert_int_equal(tokenizer_vocab_load(&v, b, err, sizeof(err)), 0);
	assert_int_equal(tokenizer_encode(v.t, "xzy", 3, false, false, ids, 8), 2);
	assert_int_equal(ids[0], 'x');
	assert_int_equal(ids[1], 'y');
	assert_int_equal(tokenizer_encode(v.t, "z", 1, false, false, ids, 8), 0);
	tokenizer_vocab_close(&v);
}

/* ---- round trips ------------------------------------------------------------------------------- */

static void check_round_trip(const struct tokenizer *t, const char *text, size_t len)
{
	uint32_t *ids = malloc((len * 3 + 8) * sizeof(*ids));
	char *back = malloc(len + 1);
	int64_t n;

	assert_non_null(ids);
	assert_non_null(back);
	n = tokenizer_encode(t, text, len, true, false, ids, len * 3 + 8);
	assert_true(n >= 0 && n <= (int64_t)len + 2);
	assert_int_equal(tokenizer_decode(t, ids, (size_t)n, false, back, len), (int64_t)len);
	assert_memory_equal(back, text, len);
	free(ids);
	free(back);
}

static void round_trips(void **state)
{
	static const char *const pres[] = { NULL, "gpt-2", "llama-bpe", "default", "deepseek-v3", "qwen35" };
	struct random_text r = { 99 };
	char text[RANDOM_TEXT_MAX];
	struct tokenizer_vocab v;
	size_t i, j, n;

	(void)state;
	for (i = 0; i < sizeof(pres) / sizeof(pres[0]); i++) {
		open_vocab(&v, pres[i]);
		for (j = 0; j < 1000; j++) {
			n = random_text_utf8(&r, text);
			check_round_trip(v.t, text, n);
			n = 1 + random_below(&r, 300);
			random_text_bytes(&r, text, n);
			check_round_trip(v.t, text, n);
		}
		tokenizer_vocab_close(&v);
	}
}

/* A mebibyte of each kind of text that makes a careless tokenizer quadratic. */
static void a_mebibyte_of_anything(void **state)
{
	static const char *const pres[] = { NULL, "llama-bpe", "gpt-4o" };
	static const char *const units[] = { "a", " ", "\n", "1", "\xE2", "\n ", "<|user|" };
	struct random_text r = { 5 };
	char *text = malloc(MIB);
	struct tokenizer_vocab v;
	size_t i, j, k, len;

	(void)state;
	assert_non_null(text);
	for (i = 0; i < sizeof(pres) / sizeof(pres[0]); i++) {
		open_vocab(&v, pres[i]);
		for (j = 0; j < sizeof(units) / sizeof(units[0]); j++) {
			len = strlen(units[j]);
			for (k = 0; k < MIB; k++)
				text[k] = units[j][k % len];
			check_round_trip(v.t, text, MIB);
		}
		random_text_bytes(&r, text, MIB);
		check_round_trip(v.t, text, MIB);
		tokenizer_vocab_close(&v);
	}
	free(text);
}

static void unfinished_characters_are_held_back(void **state)
{
	static const struct {
		const char *s;
		size_t whole;
	} cases[] = {
		{ "", 0 }, { "a", 1 }, { "a\xC3", 1 }, { "a\xC3\xA9", 3 }, { "\xE2\x96", 0 }, { "a\xE2", 1 },
		{ "\xE2\x96\x81", 3 }, { "\xF0\x9F\x98", 0 }, { "\xF0\x9F\x98\x80", 4 }, { "\x80", 1 },
		{ "\xFF", 1 }, { "\xC0", 1 }, { "\xE0\x80", 2 }, { "\xC3\xC3", 1 }, { "\xE2\x96\x81\xF0", 3 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(tokenizer_utf8_whole(cases[i].s, strlen(cases[i].s)), cases[i].whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merging_equals_the_slow_way),
		cmocka_unit_test(merging_a_mebibyte_asks_three_times_a_symbol_at_most),
		cmocka_unit_test(spm_ids),
		cmocka_unit_test(bpe_ids),
		cmocka_unit_test(gemma4_ids),
		cmocka_unit_test(small_buffers_are_counted_not_overrun),
		cmocka_unit_test(pieces),
		cmocka_unit_test(special_tokens),
		cmocka_unit_test(phi3_takes_white_space_behind_special_tokens),
		cmocka_unit_test(bpe_leaves_out_a_byte_that_nothing_spells),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(a_mebibyte_of_anything),
		cmocka_unit_test(unfinished_characters_are_held_back),
	};

	return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
