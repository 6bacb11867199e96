/* test_compat.c - what is known of files by Ollama: names, pre-tokenizers, tokens that end a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/compat.h"
#include "engine/tokenizer.h"
#include "tests/unit/gguf_build.h"

#define LLAMA3 128256

static bool is(struct gguf_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.s, text, s.len) == 0;
}

static struct gguf_str str(const char *text)
{
	return (struct gguf_str){ text, strlen(text) };
}

struct file { unsigned char *bytes; struct gguf *g; };

/* A file of that architecture; with llama3 its vocabulary has the two tokens that Llama 3's has. */
static struct file make(const char *arch, bool llama3)
{
	struct gguf_build *b = gguf_build_new(3);
	const char **tokens = calloc(LLAMA3, sizeof(*tokens));
	struct file f;
	size_t len, i;
	char err[256];

	assert_non_null(tokens);
	for (i = 0; i < LLAMA3; i++)
		tokens[i] = "x";
	tokens[128006] = "<|start_header_id|>";
	tokens[128009] = "<|eot_id|>";
	gguf_build_str(b, "general.architecture", arch);
	gguf_build_arr_str(b, "tokenizer.ggml.tokens", tokens, llama3 ? LLAMA3 : 10);
	assert_int_equal(gguf_build_finish(b, &f.bytes, &len), 0);
	assert_int_equal(gguf_parse(&f.g, f.bytes, len, len, err, sizeof(err)), 0);
	free(tokens);
	return f;
}

static void drop(struct file *f)
{
	gguf_free(f->g);
	free(f->bytes);
}

static void test_pre(void **state)
{
	static const struct { const char *arch; bool llama3; const char *pre, *want; } cases[] = {
		{ "gptoss", false, "default", "gpt-4o" }, { "gptoss", false, "qwen2", "gpt-4o" }, { "gpt-oss", false, "default", "default" },
		{ "glm4moelite", false, "", "glm4" }, { "mistral3", false, "", "tekken" }, { "mistral3", false, "pixtral", "pixtral" },
		{ "lfm2", false, "default", "lfm2" }, { "llama", true, "default", "llama-bpe" }, { "llama", true, "", "llama-bpe" },
		{ "llama", true, "smaug-bpe", "smaug-bpe" }, { "llama", false, "default", "default" }, { "qwen2", true, "", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct file f = make(cases[i].arch, cases[i].llama3);

		assert_true(is(compat_pre(f.g, str(cases[i].pre)), cases[i].want));
		drop(&f);
	}
}

static void test_names(void **state)
{
	struct file f = make("gemma4", false);

	(void)state;
	assert_true(is(compat_tokenizer(f.g, str("llama")), "gemma4"));
	assert_true(is(compat_tokenizer(f.g, str("gpt2")), "gpt2"));
	drop(&f);
	assert_true(is(compat_arch(str("gptoss")), "gpt-oss"));
	assert_true(is(compat_arch(str("llama")), "llama"));
	assert_string_equal(compat_tensor("gpt-oss", "attn_sinks.weight"), "attn_sinks");
	assert_null(compat_tensor("llama", "attn_sinks.weight"));
	assert_null(compat_key("gemma2", "rope.freq_base"));
	assert_true(compat_skips("gemma3", str("v.blk.0.attn_q.weight")));
	assert_true(compat_skips("qwen35moe", str("mtp.fc.weight")));
	assert_false(compat_skips("llama", str("mtp.fc.weight")));
	assert_false(compat_skips("gemma3", str("token_embd.weight")));
}

/* eos_token_ids ends texts, besides eos_token_id; ids that are none are no matter. */
static void test_eos_ids(void **state)
{
	static const char *const tokens[] = { "a", "b", "c", "d", "e" };
	static const char *const merges[] = { "a b" };
	const int32_t ids[] = { 1, 3, 77, -1 }, types[] = { 1, 1, 1, 1, 1 };
	struct gguf_build *b = gguf_build_new(3);
	struct tokenizer *t;
	struct file f;
	size_t len;
	char err[256];
	uint32_t i;

	(void)state;
	gguf_build_str(b, "general.architecture", "gptoss");
	gguf_build_str(b, "tokenizer.ggml.model", "gpt2");
	gguf_build_arr_str(b, "tokenizer.ggml.tokens", tokens, 5);
	gguf_build_arr(b, "tokenizer.ggml.token_type", GGUF_I32, types, 5);
	gguf_build_arr_str(b, "tokenizer.ggml.merges", merges, 1);
	gguf_build_u32(b, "tokenizer.ggml.eos_token_id", 2);
	gguf_build_arr(b, "tokenizer.ggml.eos_token_ids", GGUF_I32, ids, 4);
	assert_int_equal(gguf_build_finish(b, &f.bytes, &len), 0);
	assert_int_equal(gguf_parse(&f.g, f.bytes, len, len, err, sizeof(err)), 0);
	assert_int_equal(tokenizer_new(&t, f.g, err, sizeof(err)), 0);
	for (i = 0; i < 5; i++)
		assert_true(tokenizer_is_eog(t, i) == (i >= 1 && i <= 3));
	tokenizer_free(t);
	drop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pre), cmocka_unit_test(test_names), cmocka_unit_test(test_eos_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
