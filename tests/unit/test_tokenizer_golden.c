/* test_tokenizer_golden.c - ids that llama.cpp gives, with real vocabularies from ../shared.
 *
 * Vocabularies: the published cases of each (.inp, .out) and the texts of random_ids.h, whose ids
 * llama.cpp (build 11669) gave once; only a hash of those ids is kept.  Models: the recorded cases of
 * stories260K and the prompts of every greedy reference.  Everything is skipped by name where ../shared is
 * absent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <unistd.h>

#include "engine/gguf.h"
#include "engine/tokenizer.h"
#include "tests/unit/random_ids.h"
#include "tests/unit/tokenizer_vocab.h"

#define SHARED "../shared/"
#define FILE_MAX_BYTES (64u << 20)
#define IDS_MAX 8192

/* All of a stream, owned; NULL when there is nothing. */
static char *read_stream(FILE *f, size_t *len)
{
	char *buf = malloc(FILE_MAX_BYTES);

	assert_non_null(buf);
	*len = fread(buf, 1, FILE_MAX_BYTES, f);
	if (*len > 0 && *len < FILE_MAX_BYTES) {
		buf[*len] = '\0';
		return buf;
	}
	free(buf);
	return NULL;
}

/* The file name + suffix below ../shared, unpacked if it ends in .xz; NULL when it cannot be read. */
static char *read_shared(const char *name, const char *suffix, size_t *len)
{
	char path[512];
	char *buf = NULL;
	size_t n;
	FILE *f;
	bool xz;

	n = (size_t)snprintf(path, sizeof(path), "%s%s%s", SHARED, name, suffix);
	assert_true(n < sizeof(path));
	f = fopen(path, "rb");
	if (f == NULL)
		return NULL;
	xz = strcmp(path + n - 3, ".xz") == 0;
	if (xz) {
		fclose(f);
		snprintf(path, sizeof(path), "xz -dc %s%s%s", SHARED, name, suffix);
		f = popen(path, "r");
	}
	if (f == NULL)
		return NULL;
	buf = read_stream(f, len);
	if (xz)
		pclose(f);
	else
		fclose(f);
	return buf;
}

/* Open the vocabulary of a file below ../shared; skip the test when it is not there. */
static void open_shared(struct tokenizer_vocab *v, const char *name)
{
	char err[256] = "";
	size_t len;
	char *file = read_shared(name, "", &len);

	if (file == NULL) {
		print_message("skipped: %s%s is not there or cannot be unpacked\n", SHARED, name);
		skip();
		return;
	}
	if (tokenizer_vocab_from(v, (unsigned char *)file, len, err, sizeof(err)) != 0)
		fail_msg("%s: %s", name, err);
}

static const struct vocab {
	const char *name;               /* of the cases, below ../shared/vocab, less .gguf */
	const char *suffix;             /* of the vocabulary */
} vocabs[] = {
	{ "ggml-vocab-gpt-2", "" }, { "ggml-vocab-falcon", "" }, { "ggml-vocab-deepseek-coder", "" },
	{ "rebuilt-vocab-llama-bpe", ".xz" }, { "rebuilt-vocab-qwen2", ".xz" }, { "ggml-vocab-llama-spm", "" },
	{ "ggml-vocab-phi-3", "" },
};

static void check_random(const struct tokenizer *t, const char *name)
{
	uint64_t h = random_ids_hash(t);

	if (h == 0 || h != random_ids_kept(name))
		fail_msg("%s: the ids of the random texts hash to 0x%016llx, llama.cpp's to 0x%016llx", name,
			 (unsigned long long)h, (unsigned long long)random_ids_kept(name));
}

/* One line of ids against the text. */
static void check_line(const struct tokenizer *t, const char *text, size_t len, char *line, const char *name)
{
	uint32_t ids[IDS_MAX];
	int64_t n, i;
	char *end;

	n = tokenizer_encode(t, text, len, false, false, ids, IDS_MAX);
	for (i = 0; i < n; i++) {
		if (strtoul(line, &end, 10) != ids[i] || end == line)
			fail_msg("%s: '%.*s': id %lld is %u, the rest should be '%s'", name, (int)len, text,
				 (long long)i, ids[i], line);
		line = end;
	}
	if (strspn(line, " ") != strlen(line))
		fail_msg("%s: '%.*s': %lld ids, missing '%s'", name, (int)len, text, (long long)n, line);
}

/* Returns the number of cases. */
static int check_cases(const struct tokenizer *t, const char *name)
{
	static const char sep[] = "\n__ggml_vocab_test__\n";
	char *inp, *out, *line, *nl, *text, *end;
	size_t inp_len, out_len;
	int n = 0;

	inp = read_shared(name, ".inp", &inp_len);
	out = read_shared(name, ".out", &out_len);
	assert_non_null(inp);
	assert_non_null(out);
	text = inp;
	line = out;
	while ((end = strstr(text, sep)) != NULL) {
		nl = strchr(line, '\n');
		assert_non_null(nl);
		*nl = '\0';
		check_line(t, text, (size_t)(end - text), line, name);
		text = end + strlen(sep);
		line = nl + 1;
		n++;
	}
	free(inp);
	free(out);
	return n;
}

static void vocabulary(void **state)
{
	const struct vocab *c = *state;
	struct tokenizer_vocab v;
	char base[128], file[136];
	int n;

	snprintf(base, sizeof(base), "vocab/%s.gguf", c->name);
	snprintf(file, sizeof(file), "%s%s", base, c->suffix);
	open_shared(&v, file);
	check_random(v.t, c->name);
	n = check_cases(v.t, base);
	assert_true(n >= 40);
	print_message("%s: %d cases, %d random texts\n", c->name, n, RANDOM_IDS_TEXTS);
	tokenizer_vocab_close(&v);
}

/* Every vocabulary that is there is in the table above. */
static void no_vocabulary_is_left_out(void **state)
{
	DIR *d = opendir(SHARED "vocab");
	const struct dirent *e;
	size_t i, n;

	(void)state;
	if (d == NULL) {
		print_message("skipped: %svocab is not there\n", SHARED);
		skip();
		return;
	}
	while ((e = readdir(d)) != NULL) {
		const char *end = strstr(e->d_name, ".gguf");

		if (end == NULL || (strcmp(end, ".gguf") != 0 && strcmp(end, ".gguf.xz") != 0))
			continue;
		n = (size_t)(end - e->d_name);
		for (i = 0; i < sizeof(vocabs) / sizeof(vocabs[0]); i++)
			if (strlen(vocabs[i].name) == n && memcmp(vocabs[i].name, e->d_name, n) == 0)
				break;
		if (i == sizeof(vocabs) / sizeof(vocabs[0]))
			fail_msg("%s is not tested", e->d_name);
	}
	closedir(d);
}

static void check_json_ids(const struct tokenizer *t, const char *text, size_t len, bool add, bool parse,
			   const json_t *want)
{
	uint32_t ids[IDS_MAX];
	int64_t n = tokenizer_encode(t, text, len, add, parse, ids, IDS_MAX), i;

	assert_non_null(want);
	if (n != (int64_t)json_array_size(want))
		fail_msg("'%s': %lld ids, not %zu", text, (long long)n, json_array_size(want));
	for (i = 0; i < n; i++)
		assert_int_equal(ids[i], json_integer_value(json_array_get(want, (size_t)i)));
}

/* The pieces of the ids of `text`, one after the other. */
static void check_pieces(const struct tokenizer *t, const char *text, size_t len, const json_t *want)
{
	char buf[8192];
	uint32_t ids[IDS_MAX];
	int64_t n = tokenizer_encode(t, text, len, false, false, ids, IDS_MAX), i;
	size_t at = 0;

	for (i = 0; i < n; i++)
		at += tokenizer_piece(t, ids[i], true, buf + at, sizeof(buf) - at);
	assert_int_equal(at, json_string_length(want));
	assert_memory_equal(buf, json_string_value(want), at);
}

static void recorded_cases_of_a_small_model(void **state)
{
	static const char path[] = SHARED "golden/tokenize-stories260K-f32.json";
	struct tokenizer_vocab v;
	json_error_t why;
	json_t *all, *c;
	const char *text;
	size_t i, len;

	(void)state;
	if (access(path, R_OK) != 0) {
		print_message("skipped: %s is not there\n", path);
		skip();
		return;
	}
	all = json_load_file(path, JSON_ALLOW_NUL, &why);
	if (all == NULL)
		fail_msg("%s:%d: %s", path, why.line, why.text);
	open_shared(&v, "models/stories260K-f32.gguf");
	json_array_foreach(all, i, c) {
		text = json_string_value(json_object_get(c, "text"));
		assert_non_null(text);
		len = json_string_length(json_object_get(c, "text"));
		check_json_ids(v.t, text, len, false, false, json_object_get(c, "plain"));
		check_json_ids(v.t, text, len, true, false, json_object_get(c, "bos"));
		check_json_ids(v.t, text, len, false, true, json_object_get(c, "special"));
		check_pieces(v.t, text, len, json_object_get(c, "detok_plain"));
	}
	assert_true(i >= 40);
	check_random(v.t, "stories260K-f32");
	tokenizer_vocab_close(&v);
	json_decref(all);
}

/* The prompts of one greedy reference; its model's name is in it. */
static void check_prompts(const char *file)
{
	char path[512], model[512];
	json_t *ref, *run;
	struct tokenizer_vocab v;
	const char *text;
	size_t i;

	snprintf(path, sizeof(path), SHARED "golden/greedy/%s", file);
	ref = json_load_file(path, 0, NULL);
	assert_non_null(ref);
	snprintf(model, sizeof(model), "models/%s", json_string_value(json_object_get(ref, "model")));
	open_shared(&v, model);
	json_array_foreach(json_object_get(ref, "kv_f32_fa_off"), i, run) {
		text = json_string_value(json_object_get(run, "prompt"));
		assert_non_null(text);
		check_json_ids(v.t, text, strlen(text), true, true, json_object_get(run, "prompt_tokens"));
	}
	assert_true(i > 0);
	tokenizer_vocab_close(&v);
	json_decref(ref);
}

static void prompts_of_the_greedy_references(void **state)
{
	DIR *d = opendir(SHARED "golden/greedy");
	const struct dirent *e;
	int n = 0;

	(void)state;
	if (d == NULL) {
		print_message("skipped: %sgolden/greedy is not there\n", SHARED);
		skip();
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (strstr(e->d_name, ".json") == NULL)
			continue;
		check_prompts(e->d_name);
		n++;
	}
	closedir(d);
	assert_true(n > 0);
}

/* Each damaged model is refused by the parser or the tokenizer with one line, or works. */
static void attacks(void **state)
{
	DIR *d = opendir(SHARED "attacks");
	const struct dirent *e;
	struct tokenizer_vocab v;
	char name[300], err[512], *file;
	uint32_t ids[64];
	size_t len;
	int rc;

	(void)state;
	if (d == NULL) {
		print_message("skipped: %sattacks is not there\n", SHARED);
		skip();
		return;
	}
	while ((e = readdir(d)) != NULL) {
		snprintf(name, sizeof(name), "attacks/%s", e->d_name);
		file = e->d_name[0] == '.' ? NULL : read_shared(name, "", &len);
		if (file == NULL)
			continue;
		err[0] = '\0';
		rc = tokenizer_vocab_from(&v, (unsigned char *)file, len, err, sizeof(err));
		if (rc != 0) {
			assert_true(err[0] != '\0' && strchr(err, '\n') == NULL);
			continue;
		}
		assert_true(tokenizer_encode(v.t, "Once upon", 9, true, true, ids, 64) > 0);
		tokenizer_vocab_close(&v);
	}
	closedir(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "gpt_2", vocabulary, NULL, NULL, (void *)(uintptr_t)&vocabs[0] },
		{ "falcon", vocabulary, NULL, NULL, (void *)(uintptr_t)&vocabs[1] },
		{ "deepseek_coder", vocabulary, NULL, NULL, (void *)(uintptr_t)&vocabs[2] },
		{ "llama_bpe", vocabulary, NULL, NULL, (void *)(uintptr_t)&vocabs[3] },
		{ "qwen2", vocabulary, NULL, NULL, (void *)(uintptr_t)&vocabs[4] },
		{ "llama_spm", vocabulary, NULL, NULL, (void *)(uintptr_t)&vocabs[5] },
		{ "phi_3", vocabulary, NULL, NULL, (void *)(uintptr_t)&vocabs[6] },
		cmocka_unit_test(no_vocabulary_is_left_out),
		cmocka_unit_test(recorded_cases_of_a_small_model),
		cmocka_unit_test(prompts_of_the_greedy_references),
		cmocka_unit_test(attacks),
	};

	return cmocka_run_group_tests_name("tokenizer_golden", tests, NULL, NULL);
}
