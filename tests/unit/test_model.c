/* test_model.c - models that open, and one line for each that must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "engine/tokenizer.h"
#include "kernels/kern_type.h"
#include "tests/unit/gguf_build.h"
#include "tests/unit/tiny_model.h"

#define ATTACKS "../shared/attacks/"

static struct model *open_tiny(const struct tiny_model *t)
{
	char path[TINY_MODEL_PATH], err[512] = "";
	struct model *m = NULL;

	assert_int_equal(tiny_model_file(t, path), 0);
	if (model_open(&m, path, err, sizeof(err)) != 0)
		print_error("%s\n", err);
	unlink(path);           /* the mapping keeps it */
	assert_non_null(m);
	return m;
}

static void test_opens(void **state)
{
	struct model *m = open_tiny(&tiny_model_full);

	(void)state;
	assert_string_equal(model_arch(m), "llama");
	assert_int_equal(model_n_vocab(m), TINY_MODEL_VOCAB);
	assert_int_equal(model_n_ctx_train(m), 512);
	assert_non_null(model_meta(m));
	/* the embedding table is not read whole when there is an output matrix */
	assert_int_equal(model_bytes(m) - model_bytes_per_token(m), TINY_MODEL_VOCAB * tiny_model_full.n_embd * 4);
	model_close(m);
	m = open_tiny(&tiny_model_plain);
	assert_int_equal(model_bytes(m), model_bytes_per_token(m));
	model_close(m);
	model_close(NULL);
}

/* ---- refusals: a good file with one thing changed ----------------------------------------------------- */

static int open_bytes(const unsigned char *bytes, size_t len, char *err, size_t errlen)
{
	char path[TINY_MODEL_PATH];
	struct model *m;
	int rc;

	assert_int_equal(tiny_model_write(bytes, len, path), 0);
	rc = model_open(&m, path, err, errlen);
	if (rc == 0)
		model_close(m);
	else
		assert_int_equal(strncmp(err, path, strlen(path)), 0);
	unlink(path);
	assert_null(strchr(err, '\n'));
	return rc;
}

/* Every place where `old` stands becomes `new`, of the same length. */
static int replace(unsigned char *bytes, size_t len, const char *old, const char *new)
{
	size_t n = strlen(old), i;
	int found = 0;

	assert_int_equal(n, strlen(new));
	for (i = 0; i + n <= len; i++)
		if (memcmp(bytes + i, old, n) == 0) {
			memcpy(bytes + i, new, n);
			found++;
		}
	return found;
}

static const struct { const char *old, *new, *says; int rc; } renamed[] = {
	{ "general.architecture", "general.architectura", "general.architecture' is missing", -EINVAL },
	{ "llama.block_count", "llama.block_caunt", "llama.block_count' is missing", -EINVAL },
	{ "llama.embedding_length", "llama.embedding_lang__", "llama.embedding_length' is missing", -EINVAL },
	{ "llama.attention.head_count\4", "llama.attention.head_caunt\4", "llama.attention.head_count' is missing", -EINVAL },
	{ "layer_norm_rms_epsilon", "layer_norm_rms_epsilum", "layer_norm_rms_epsilon' is missing", -EINVAL },
	{ "token_embd.weight", "token_ambd.weight", "token_embd.weight' is missing", -EINVAL },
	{ "blk.1.ffn_down.weight", "blk.1.ffn_dawn.weight", "blk.1.ffn_down.weight' is missing", -EINVAL },
	{ "output_norm.weight", "output_nurm.weight", "output_norm.weight' is missing", -EINVAL },
	{ "blk.1.attn_q.bias", "blk.1.attn_q.scal", "not known to the architecture", -ENOTSUP },
};

static void test_renamed(void **state)
{
	unsigned char *bytes;
	char err[512];
	size_t len, i;

	(void)state;
	for (i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
		const char *old = renamed[i].old;
		int rc;

		err[0] = '\0';
		assert_int_equal(tiny_model_build(&tiny_model_full, &bytes, &len), 0);
		if (strchr(old, 4) != NULL)     /* the key's value type follows it, so that head_count_kv is spared */
			assert_true(replace(bytes, len, old, renamed[i].new) == 1);
		else
			assert_true(replace(bytes, len, old, renamed[i].new) >= 1);
		rc = open_bytes(bytes, len, err, sizeof(err));
		if (rc != renamed[i].rc || strstr(err, renamed[i].says) == NULL)
			print_error("'%s': %d, %s\n", renamed[i].new, rc, err);
		assert_int_equal(rc, renamed[i].rc);
		assert_non_null(strstr(err, renamed[i].says));
		free(bytes);
	}
}

/* A header of good keys and nothing else, one of them as given. */
static void build_keys(unsigned char **bytes, size_t *len, const char *key, uint32_t value)
{
	static const struct { const char *key; uint32_t value; } keys[] = {
		{ "llama.block_count", 2 }, { "llama.embedding_length", 64 }, { "llama.context_length", 128 },
		{ "llama.attention.head_count", 4 }, { "llama.attention.head_count_kv", 2 },
		{ "llama.feed_forward_length", 96 }, { "llama.rope.dimension_count", 16 },
	};
	const uint64_t ne[2] = { 64, 32 };
	struct gguf_build *b = gguf_build_new(3);
	size_t i;

	gguf_build_str(b, "general.architecture", "llama");
	gguf_build_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].key, key) != 0)
			gguf_build_u32(b, keys[i].key, keys[i].value);
	gguf_build_u32(b, key, value);
	gguf_build_tensor(b, "token_embd.weight", KERN_F16, 2, ne, NULL, 64 * 32 * 2);
	assert_int_equal(gguf_build_finish(b, bytes, len), 0);
}

static void test_bounds(void **state)
{
	static const struct { const char *key; uint32_t value; const char *says; } cases[] = {
		{ "llama.block_count", 0, "block_count' is 0" },
		{ "llama.block_count", 513, "block_count' is 513" },
		{ "llama.embedding_length", 0, "embedding_length' is 0" },
		{ "llama.embedding_length", 4294967295u, "embedding_length' is 4294967295" },
		{ "llama.context_length", 0, "context_length' is 0" },
		{ "llama.attention.head_count", 0, "head_count' is 0" },
		{ "llama.attention.head_count", 4294967295u, "head_count' is 4294967295" },
		{ "llama.attention.head_count", 65, "key_length' is 0" },
		{ "llama.attention.head_count_kv", 0, "head_count_kv' is 0" },
		{ "llama.attention.head_count_kv", 3, "do not divide" },
		{ "llama.attention.head_count_kv", 8, "8 KV heads do not divide" },
		{ "llama.attention.key_length", 4096, "key_length' is 4096" },
		{ "llama.feed_forward_length", 0, "feed_forward_length' is 0" },
		{ "llama.rope.dimension_count", 0, "dimension_count' is 0" },
		{ "llama.rope.dimension_count", 7, "dimension_count' is 7" },
		{ "llama.rope.dimension_count", 18, "dimension_count' is 18" },
		{ "llama.expert_count", 8, "expert_used_count' is missing" },
		{ "llama.expert_count", 4096, "expert_used_count' is missing" },
		{ "llama.nextn_predict_layers", 2, "leaves no layers" },
	};
	unsigned char *bytes;
	size_t len, i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char err[512] = "";

		build_keys(&bytes, &len, cases[i].key, cases[i].value);
		assert_int_not_equal(open_bytes(bytes, len, err, sizeof(err)), 0);
		if (strstr(err, cases[i].says) == NULL)
			print_error("%s = %u: %s\n", cases[i].key, cases[i].value, err);
		assert_non_null(strstr(err, cases[i].says));
		free(bytes);
	}
}

static void test_unknown(void **state)
{
	struct tiny_model t = tiny_model_plain;
	char err[512] = "", path[TINY_MODEL_PATH];
	unsigned char *bytes;
	size_t len;

	(void)state;
	assert_int_equal(tiny_model_build(&t, &bytes, &len), 0);
	assert_true(replace(bytes, len, "llama", "lhama") > 0);
	assert_int_equal(open_bytes(bytes, len, err, sizeof(err)), -ENOTSUP);
	assert_non_null(strstr(err, "the architecture 'lhama' is not supported"));
	free(bytes);
	t.n_embd = t.n_ff = 256;
	t.head_dim = 64;
	t.type = KERN_TQ2_0;
	assert_int_equal(tiny_model_build(&t, &bytes, &len), 0);
	assert_int_equal(open_bytes(bytes, len, err, sizeof(err)), -ENOTSUP);
	assert_non_null(strstr(err, "has the type TQ2_0, which is not supported"));
	free(bytes);
	assert_int_equal(tiny_model_build(&tiny_model_full, &bytes, &len), 0);
	assert_true(replace(bytes, len, "linear", "spiral") > 0);
	assert_int_equal(open_bytes(bytes, len, err, sizeof(err)), -ENOTSUP);
	assert_non_null(strstr(err, "rope scaling of the type 'spiral'"));
	free(bytes);
	snprintf(path, sizeof(path), "/nowhere/tiny.gguf");
	assert_int_equal(model_open(&(struct model *){ NULL }, path, err, sizeof(err)), -ENOENT);
	assert_string_equal(err, "/nowhere/tiny.gguf: No such file or directory");
	assert_int_equal(model_open(&(struct model *){ NULL }, "/", err, sizeof(err)), -EISDIR);
	assert_int_equal(model_open(&(struct model *){ NULL }, "/dev/null", err, sizeof(err)), -EINVAL);
}

/* A per-layer array of what is a scalar elsewhere. */
static void test_layer_arrays(void **state)
{
	const uint32_t heads[2] = { 4, 4 }, three[3] = { 4, 4, 4 }, unequal[2] = { 4, 0 };
	const uint32_t *const list[] = { heads, three, unequal };
	const char *const says[] = { "attn_q.weight' is missing", "one element a layer", "head_count' is 0" };
	const uint64_t ne[2] = { 64, 32 };
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct gguf_build *b = gguf_build_new(3);
		unsigned char *bytes;
		char err[512] = "";
		size_t len;

		gguf_build_str(b, "general.architecture", "llama");
		gguf_build_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
		gguf_build_u32(b, "llama.block_count", 2);
		gguf_build_u32(b, "llama.embedding_length", 64);
		gguf_build_u32(b, "llama.context_length", 128);
		gguf_build_u32(b, "llama.feed_forward_length", 96);
		gguf_build_arr(b, "llama.attention.head_count", 4, list[i], i == 1 ? 3 : 2);
		gguf_build_tensor(b, "token_embd.weight", KERN_F16, 2, ne, NULL, 64 * 32 * 2);
		assert_int_equal(gguf_build_finish(b, &bytes, &len), 0);
		assert_int_equal(open_bytes(bytes, len, err, sizeof(err)), -EINVAL);
		if (strstr(err, says[i]) == NULL)
			print_error("%s\n", err);
		assert_non_null(strstr(err, says[i]));
		free(bytes);
	}
}

/* ---- files of others ------------------------------------------------------------------------------------ */

/* Opens, or says why not; what opens computes a few tokens. */
static int try_file(const char *path)
{
	const struct session_params p = {
		.n_ctx = 16, .n_batch = 16, .n_threads = 1, .type_k = KERN_F32, .type_v = KERN_F32,
	};
	const uint32_t ids[] = { 1, 2, 0, 5 };
	struct tokenizer *t = NULL;
	struct session *s = NULL;
	struct model *m = NULL;
	char err[1024] = "";
	int rc;

	rc = model_open(&m, path, err, sizeof(err));
	if (rc == 0)
		rc = tokenizer_new(&t, model_meta(m), err, sizeof(err));
	if (rc == 0) {
		rc = session_open(&s, m, &p, err, sizeof(err));
		if (rc == 0)
			assert_int_equal(session_eval(s, ids, 4, NULL, NULL), 0);
	}
	if (rc != 0) {
		assert_true(strlen(err) > 10);
		assert_null(strchr(err, '\n'));
	}
	session_close(s);
	tokenizer_free(t);
	model_close(m);
	return rc;
}

static void test_attacks(void **state)
{
	struct dirent *e;
	char path[512];
	DIR *d = opendir(ATTACKS);
	int n = 0, opened = 0;

	(void)state;
	if (d == NULL) {
		print_message(ATTACKS " is missing\n");
		skip();
	}
	while ((e = readdir(d)) != NULL) {
		if (strstr(e->d_name, ".gguf") == NULL)
			continue;
		snprintf(path, sizeof(path), ATTACKS "%s", e->d_name);
		n++;
		opened += try_file(path) == 0;
	}
	closedir(d);
	print_message("%d files, %d of them open\n", n, opened);
	assert_true(n > 50 && opened > 0 && opened < 20);
}

/* Any part of a split model opens the whole. */
static void test_split(void **state)
{
	static const char dir[] = "../shared/models/split/";
	char path[256];
	int i;

	(void)state;
	if (access(dir, R_OK) != 0) {
		print_message("%s is missing\n", dir);
		skip();
	}
	for (i = 1; i <= 6; i++) {
		snprintf(path, sizeof(path), "%sstories260K-w256-Q8_0-%05d-of-00006.gguf", dir, i);
		assert_int_equal(try_file(path), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_layer_arrays),
		cmocka_unit_test(test_attacks),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
