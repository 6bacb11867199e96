/* test_tokenizer_load.c - vocabularies that are incomplete, wrong or hostile: each is refused with one
 * line that names the key, or means what the header says.
 */
#include <errno.h>
#include <math.h>
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
#include "tests/unit/gguf_build.h"
#include "tests/unit/tokenizer_vocab.h"

#define PRE "tokenizer.ggml."

static void put_tokens(struct gguf_build *b, const char *model, uint64_t n)
{
	static const char *const text[] = { "<unk>", "<s>", "</s>", "a", "b", "ab", "\u0120" };

	gguf_build_str(b, PRE "model", model);
	gguf_build_arr_str(b, PRE "tokens", text, n);
}

static void put_merges(struct gguf_build *b, const char *merge)
{
	const char *const text[] = { "a b", merge };

	gguf_build_arr_str(b, PRE "merges", text, 2);
}

/* What each case puts into the file; the line must hold `want` and the code be rc. */
struct load_case {
	void (*put)(struct gguf_build *b);
	int rc;
	const char *want;
};

static void no_model(struct gguf_build *b)
{
	gguf_build_u32(b, "x", 1);
}
static void model_not_string(struct gguf_build *b)
{
	gguf_build_u32(b, PRE "model", 1);
}
static void model_unknown(struct gguf_build *b)
{
	put_tokens(b, "be\nrt", 7);
}
static void model_bert(struct gguf_build *b)
{
	put_tokens(b, "bert", 7);
}
static void model_t5(struct gguf_build *b)
{
	put_tokens(b, "t5", 7);
}
static void model_rwkv(struct gguf_build *b)
{
	put_tokens(b, "rwkv", 7);
}
static void model_plamo2(struct gguf_build *b)
{
	put_tokens(b, "plamo2", 7);
}
static void model_none(struct gguf_build *b)
{
	gguf_build_str(b, PRE "model", "none");
}
static void gemma4_without_merges(struct gguf_build *b)
{
	put_tokens(b, "gemma4", 7);
}
static void pre_unknown(struct gguf_build *b)
{
	put_tokens(b, "gpt2", 7);
	gguf_build_str(b, PRE "pre", "qwen99");
}
static void pre_not_string(struct gguf_build *b)
{
	put_tokens(b, "gpt2", 7);
	gguf_build_bool(b, PRE "pre", true);
}
static void no_tokens(struct gguf_build *b)
{
	gguf_build_str(b, PRE "model", "llama");
}
static void tokens_empty(struct gguf_build *b)
{
	put_tokens(b, "llama", 0);
}
static void tokens_numbers(struct gguf_build *b)
{
	const uint32_t v[2] = { 1, 2 };

	gguf_build_str(b, PRE "model", "llama");
	gguf_build_arr(b, PRE "tokens", GGUF_U32, v, 2);
}
static void tokens_twice(struct gguf_build *b)
{
	const char *const text[] = { "x", "y", "x" };

	gguf_build_str(b, PRE "model", "llama");
	gguf_build_arr_str(b, PRE "tokens", text, 3);
}
static void token_too_long(struct gguf_build *b)
{
	char big[5000];
	const char *const text[] = { "x", big };

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	gguf_build_str(b, PRE "model", "llama");
	gguf_build_arr_str(b, PRE "tokens", text, 2);
}
static void scores_short(struct gguf_build *b)
{
	const float v[6] = { 0 };

	put_tokens(b, "llama", 7);
	gguf_build_arr(b, PRE "scores", GGUF_F32, v, 6);
}
static void scores_nan(struct gguf_build *b)
{
	const float v[7] = { [3] = NAN };

	put_tokens(b, "llama", 7);
	gguf_build_arr(b, PRE "scores", GGUF_F32, v, 7);
}
static void scores_strings(struct gguf_build *b)
{
	const char *const text[7] = { "", "", "", "", "", "", "" };

	put_tokens(b, "llama", 7);
	gguf_build_arr_str(b, PRE "scores", text, 7);
}
static void types_long(struct gguf_build *b)
{
	const int32_t v[8] = { 1 };

	put_tokens(b, "llama", 7);
	gguf_build_arr(b, PRE "token_type", GGUF_I32, v, 8);
}
static void types_not_array(struct gguf_build *b)
{
	put_tokens(b, "llama", 7);
	gguf_build_u32(b, PRE "token_type", 1);
}
static void no_merges(struct gguf_build *b)
{
	put_tokens(b, "gpt2", 7);
}
static void merge_without_space(struct gguf_build *b)
{
	put_tokens(b, "gpt2", 7);
	put_merges(b, "ab");
}
static void merge_half_empty(struct gguf_build *b)
{
	put_tokens(b, "gpt2", 7);
	put_merges(b, "a ");
}
static void bos_out_of_range(struct gguf_build *b)
{
	put_tokens(b, "llama", 7);
	gguf_build_u32(b, PRE "bos_token_id", 7);
}
static void eot_negative(struct gguf_build *b)
{
	put_tokens(b, "llama", 7);
	gguf_build_i32(b, PRE "eot_token_id", -1);
}
static void add_bos_number(struct gguf_build *b)
{
	put_tokens(b, "llama", 7);
	gguf_build_u32(b, PRE "add_bos_token", 1);
}
static void add_bos_without_bos(struct gguf_build *b)
{
	put_tokens(b, "gpt2", 7);
	put_merges(b, "ab a");
	gguf_build_bool(b, PRE "add_bos_token", true);
}
static void add_eos_without_eos(struct gguf_build *b)
{
	put_tokens(b, "gpt2", 7);
	put_merges(b, "ab a");
	gguf_build_bool(b, PRE "add_eos_token", true);
}
static void prefix_number(struct gguf_build *b)
{
	put_tokens(b, "llama", 7);
	gguf_build_u32(b, PRE "add_space_prefix", 1);
}

static const struct load_case cases[] = {
	{ no_model, -EINVAL, "tokenizer.ggml.model is missing" },
	{ model_not_string, -EINVAL, "tokenizer.ggml.model is not a string" },
	{ model_unknown, -ENOTSUP, "tokenizer.ggml.model is 'be?rt'" },
	{ model_bert, -ENOTSUP, "tokenizer.ggml.model is 'bert' (WordPiece); llama, gpt2 and gemma4 are supported" },
	{ model_t5, -ENOTSUP, "tokenizer.ggml.model is 't5' (Unigram)" },
	{ model_rwkv, -ENOTSUP, "tokenizer.ggml.model is 'rwkv'" },
	{ model_plamo2, -ENOTSUP, "tokenizer.ggml.model is 'plamo2'" },
	{ model_none, -ENOTSUP, "tokenizer.ggml.model is 'none' (no vocabulary)" },
	{ gemma4_without_merges, -EINVAL, "tokenizer.ggml.merges is missing" },
	{ pre_unknown, -ENOTSUP, "tokenizer.ggml.pre is 'qwen99'" },
	{ pre_not_string, -EINVAL, "tokenizer.ggml.pre is not a string" },
	{ no_tokens, -EINVAL, "tokenizer.ggml.tokens is missing" },
	{ tokens_empty, -EINVAL, "tokenizer.ggml.tokens has 0 tokens" },
	{ tokens_numbers, -EINVAL, "tokenizer.ggml.tokens is not an array of strings" },
	{ tokens_twice, -EINVAL, "tokenizer.ggml.tokens[0] and [2] are the same text" },
	{ token_too_long, -EINVAL, "tokenizer.ggml.tokens[1] has 4999 bytes" },
	{ scores_short, -EINVAL, "tokenizer.ggml.scores has 6 values for 7 tokens" },
	{ scores_nan, -EINVAL, "tokenizer.ggml.scores[3] is not a number" },
	{ scores_strings, -EINVAL, "tokenizer.ggml.scores is not an array of floats" },
	{ types_long, -EINVAL, "tokenizer.ggml.token_type has 8 values for 7 tokens" },
	{ types_not_array, -EINVAL, "tokenizer.ggml.token_type is not an array" },
	{ no_merges, -EINVAL, "tokenizer.ggml.merges is missing" },
	{ merge_without_space, -EINVAL, "tokenizer.ggml.merges[1] is not two texts" },
	{ merge_half_empty, -EINVAL, "tokenizer.ggml.merges[1] is not two texts" },
	{ bos_out_of_range, -EINVAL, "tokenizer.ggml.bos_token_id is 7, but there are 7 tokens" },
	{ eot_negative, -EINVAL, "tokenizer.ggml.eot_token_id is not a token id" },
	{ add_bos_number, -EINVAL, "tokenizer.ggml.add_bos_token is not a bool" },
	{ add_bos_without_bos, -EINVAL, "tokenizer.ggml.add_bos_token is true without" },
	{ add_eos_without_eos, -EINVAL, "tokenizer.ggml.add_eos_token is true without" },
	{ prefix_number, -EINVAL, "tokenizer.ggml.add_space_prefix is not a bool" },
};

static void assert_one_line(const char *err)
{
	size_t i, n = strlen(err);

	assert_true(n > 0 && err[n - 1] != '.');
	for (i = 0; i < n; i++)
		assert_true(err[i] >= 0x20 && err[i] < 0x7f);
}

static void bad_metadata_is_named(void **state)
{
	struct tokenizer_vocab v;
	struct gguf_build *b;
	char err[256];
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b = gguf_build_new(3);
		cases[i].put(b);
		err[0] = '\0';
		rc = tokenizer_vocab_load(&v, b, err, sizeof(err));
		if (rc != cases[i].rc || strstr(err, cases[i].want) == NULL)
			fail_msg("'%s': %d, '%s'", cases[i].want, rc, err);
		assert_one_line(err);
	}
}

static void no_scores_and_no_types_load(void **state)
{
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer_vocab v;
	char err[256] = "";
	uint32_t ids[8];

	(void)state;
	put_tokens(b, "llama", 7);
	assert_int_equal(tokenizer_vocab_load(&v, b, err, sizeof(err)), 0);
	assert_int_equal(tokenizer_attr(v.t, 3), TOKENIZER_NORMAL);
	assert_int_equal(tokenizer_attr(v.t, 2), TOKENIZER_CONTROL);    /* by its text, </s> */
	assert_true(tokenizer_is_eog(v.t, 2));
	/* no byte tokens and no U+2581: the unknown token spells both */
	assert_int_equal(tokenizer_encode(v.t, "ab!", 3, false, false, ids, 8), 3);
	assert_int_equal(ids[0], 0);
	assert_int_equal(ids[1], 5);
	assert_int_equal(ids[2], 0);
	tokenizer_vocab_close(&v);
}

/* "ab" + "c" merges although "ab" is no token: texts that only merges name count too. */
static void merges_go_through_texts_that_are_no_tokens(void **state)
{
	static const char *const text[] = { "a", "b", "c", "abc" };
	static const char *const merges[] = { "a b", "ab c", "b c" };
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer_vocab v;
	char err[256] = "";
	uint32_t ids[8];

	(void)state;
	gguf_build_str(b, PRE "model", "gpt2");
	gguf_build_arr_str(b, PRE "tokens", text, 4);
	gguf_build_arr_str(b, PRE "merges", merges, 3);
	assert_int_equal(tokenizer_vocab_load(&v, b, err, sizeof(err)), 0);
	assert_int_equal(tokenizer_special(v.t).bos, TOKENIZER_NONE);
	assert_int_equal(tokenizer_encode(v.t, "abc", 3, true, false, ids, 8), 1);
	assert_int_equal(ids[0], 3);
	assert_int_equal(tokenizer_encode(v.t, "abab", 4, true, false, ids, 8), 4);
	assert_int_equal(ids[1], 1);
	tokenizer_vocab_close(&v);
}

static void check_text(const struct tokenizer *t, uint32_t id, bool special, const char *want)
{
	char buf[32];

	assert_int_equal(tokenizer_piece(t, id, special, buf, sizeof(buf)), strlen(want));
	assert_memory_equal(buf, want, strlen(want));
}

/* <|end|> ends a message, not the answer, and the frame of messages is shown; in text that should hold no
 * special tokens it is text. */
static void gpt_oss_ends_with_return_or_call(void **state)
{
	static const char *const text[] = {
		"<", "|", ">", "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "end",
	};
	static const char *const merges[] = { "e nd" };
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer_vocab v;
	char err[256] = "";
	uint32_t ids[8];

	(void)state;
	gguf_build_str(b, PRE "model", "gpt2");
	gguf_build_str(b, PRE "pre", "gpt-4o");
	gguf_build_arr_str(b, PRE "tokens", text, 10);
	gguf_build_arr_str(b, PRE "merges", merges, 1);
	gguf_build_u32(b, PRE "eos_token_id", 7);
	assert_int_equal(tokenizer_vocab_load(&v, b, err, sizeof(err)), 0);
	assert_true(tokenizer_is_eog(v.t, 7));
	assert_true(tokenizer_is_eog(v.t, 8));
	assert_false(tokenizer_is_eog(v.t, 4));
	check_text(v.t, 3, false, "<|start|>");
	check_text(v.t, 4, false, "<|end|>");
	check_text(v.t, 7, false, "");
	check_text(v.t, 7, true, "<|return|>");
	assert_int_equal(tokenizer_encode(v.t, "<|end|><|channel|>", 18, false, true, ids, 8), 2);
	assert_int_equal(ids[0], 4);
	assert_int_equal(ids[1], 6);
	assert_int_equal(tokenizer_encode(v.t, "<|>", 3, false, false, ids, 8), 3);
	assert_true(tokenizer_encode(v.t, "<|end|>", 7, false, false, ids, 8) > 1);
	tokenizer_vocab_close(&v);
}

/* Gemma 4 answers with <turn|>, and its </s> is a tag like any other. */
static void gemma4_ends_with_its_turn(void **state)
{
	static const char *const text[] = { "<pad>", "<bos>", "</s>", "<turn|>", "<|tool_response>", "a" };
	static const char *const merges[] = { "a a" };
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer_vocab v;
	char err[256] = "";

	(void)state;
	gguf_build_str(b, PRE "model", "gemma4");
	gguf_build_arr_str(b, PRE "tokens", text, 6);
	gguf_build_arr_str(b, PRE "merges", merges, 1);
	assert_int_equal(tokenizer_vocab_load(&v, b, err, sizeof(err)), 0);
	assert_true(tokenizer_is_eog(v.t, 3));
	assert_true(tokenizer_is_eog(v.t, 4));
	assert_false(tokenizer_is_eog(v.t, 2));
	assert_int_equal(tokenizer_attr(v.t, 2), TOKENIZER_NORMAL);
	check_text(v.t, 2, false, "</s>");
	assert_false(tokenizer_special(v.t).add_bos);           /* there is none to add */
	tokenizer_vocab_close(&v);
}

static void kimi_needs_no_merges(void **state)
{
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer_vocab v;
	char err[256] = "";
	uint32_t ids[4];

	(void)state;
	put_tokens(b, "gpt2", 7);
	gguf_build_str(b, PRE "pre", "kimi-k2");
	assert_int_equal(tokenizer_vocab_load(&v, b, err, sizeof(err)), 0);
	assert_int_equal(tokenizer_encode(v.t, "ab", 2, false, false, ids, 4), 2);
	tokenizer_vocab_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_metadata_is_named),
		cmocka_unit_test(no_scores_and_no_types_load),
		cmocka_unit_test(merges_go_through_texts_that_are_no_tokens),
		cmocka_unit_test(gpt_oss_ends_with_return_or_call),
		cmocka_unit_test(gemma4_ends_with_its_turn),
		cmocka_unit_test(kimi_needs_no_merges),
	};

	return cmocka_run_group_tests_name("tokenizer_load", tests, NULL, NULL);
}
