/* test_tokenizer_random.c - every pre-tokenizer over 10,000 random texts, against llama.cpp.
 *
 * A vocabulary of random_vocab.h is labelled with each name in turn; the ids of the texts are those that
 * llama.cpp (build 11669) gives for the same file.  Of them the hashes are kept, in
 * tests/golden/tokenizer.hashes, which tests/golden/make-tokenizer.sh writes.
 *
 *	test_tokenizer_random                   the tests
 *	test_tokenizer_random --names           the name of every vocabulary, one a line
 *	test_tokenizer_random --write DIR NAME  DIR/NAME.gguf, then as --texts
 *	test_tokenizer_random --texts FILE      the texts in FILE.inp, the ids that FILE gives in FILE.out
 *	test_tokenizer_random --hash            the hash of the lines of ids on standard input
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tokenizer.h"
#include "engine/tokenizer_pre.h"
#include "tests/unit/gguf_build.h"
#include "tests/unit/random_ids.h"
#include "tests/unit/random_vocab.h"
#include "tests/unit/tokenizer_vocab.h"

#define VOCAB_SEED 0x2545f491
#define FILE_MAX_BYTES (64u << 20)

/* Vocabularies beside those that a name of the table labels. */
static const struct {
	const char *name, *model;
	enum random_vocab_kind kind;
} others[] = {
	{ "no-name", "gpt2", RANDOM_VOCAB_BYTES }, { "llama", "llama", RANDOM_VOCAB_ESCAPED },
	{ "model-gemma4", "gemma4", RANDOM_VOCAB_ESCAPED },
};
#define N_OTHERS (sizeof(others) / sizeof(others[0]))

static int other_of(const char *name)
{
	size_t i;

	for (i = 0; i < N_OTHERS; i++)
		if (strcmp(others[i].name, name) == 0)
			return (int)i;
	return -1;
}

static enum random_vocab_kind kind_of(const char *name)
{
	const struct tokenizer_pre *p = tokenizer_pre_find(name, strlen(name));

	if (p == NULL)
		return others[other_of(name)].kind;
	return p->escaped ? RANDOM_VOCAB_ESCAPED : RANDOM_VOCAB_BYTES;
}

static struct gguf_build *build(const struct random_vocab *v, const char *name)
{
	struct gguf_build *b = gguf_build_new(3);
	int other = other_of(name);

	random_vocab_put(v, b, other < 0 ? "gpt2" : others[other].model, other < 0 ? name : NULL);
	return b;
}

/* ---- what the script asks for ---------------------------------------------------------------- */

static FILE *create(const char *path, const char *suffix)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", path, suffix);
	f = fopen(full, "wb");
	if (f == NULL)
		fprintf(stderr, "cannot create '%s'\n", full);
	return f;
}

static int write_texts(const char *path)
{
	FILE *in = fopen(path, "rb"), *inp = create(path, ".inp"), *out = create(path, ".out");
	unsigned char *file = malloc(FILE_MAX_BYTES);
	struct tokenizer_vocab v;
	char err[256] = "";
	size_t len;

	if (in == NULL || inp == NULL || out == NULL || file == NULL)
		return 1;
	len = fread(file, 1, FILE_MAX_BYTES, in);
	if (tokenizer_vocab_from(&v, file, len, err, sizeof(err)) != 0) {
		fprintf(stderr, "%s: %s\n", path, err);
		return 1;
	}
	random_ids_write(v.t, inp, out);
	tokenizer_vocab_close(&v);
	return fclose(in) | fclose(inp) | fclose(out);
}

static int write_vocab(const char *dir, const char *name)
{
	struct random_vocab *rv = random_vocab_new(kind_of(name), VOCAB_SEED);
	unsigned char *file;
	char path[512];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.gguf", dir, name);
	f = create(path, "");
	if (rv == NULL || f == NULL || gguf_build_finish(build(rv, name), &file, &len) != 0)
		return 1;
	fwrite(file, 1, len, f);
	free(file);
	random_vocab_free(rv);
	return fclose(f) != 0 ? 1 : write_texts(path);
}

static int print_names(void)
{
	const struct tokenizer_pre *p;
	size_t i, j;

	for (i = 0; (p = tokenizer_pre_row(i)) != NULL; i++)
		for (j = 0; j < TOKENIZER_PRE_NAMES && p->name[j] != NULL; j++)
			puts(p->name[j]);
	for (i = 0; i < N_OTHERS; i++)
		puts(others[i].name);
	return 0;
}

static int print_hash(void)
{
	uint64_t h = random_ids_hash_lines(stdin);

	printf("0x%016llx\n", (unsigned long long)h);
	return h == 0;
}

/* ---- the tests --------------------------------------------------------------------------------- */

static void check_name(const struct random_vocab *rv, const char *name)
{
	struct tokenizer_vocab v;
	char err[256] = "";
	uint64_t h;

	if (tokenizer_vocab_load(&v, build(rv, name), err, sizeof(err)) != 0)
		fail_msg("%s: %s", name, err);
	h = random_ids_hash(v.t);
	if (h == 0 || h != random_ids_kept(name))
		fail_msg("%s: the ids hash to 0x%016llx, llama.cpp's to 0x%016llx", name, (unsigned long long)h,
			 (unsigned long long)random_ids_kept(name));
	tokenizer_vocab_close(&v);
}

static void ids_are_those_of_llama_cpp(void **state)
{
	struct random_vocab *vocab[2];
	const char *name;
	size_t i, rows;

	(void)state;
	vocab[RANDOM_VOCAB_BYTES] = random_vocab_new(RANDOM_VOCAB_BYTES, VOCAB_SEED);
	vocab[RANDOM_VOCAB_ESCAPED] = random_vocab_new(RANDOM_VOCAB_ESCAPED, VOCAB_SEED);
	assert_non_null(vocab[0]);
	assert_non_null(vocab[1]);
	for (rows = 0; tokenizer_pre_row(rows) != NULL; rows++) {
		name = tokenizer_pre_row(rows)->name[0];
		check_name(vocab[kind_of(name)], name);
	}
	for (i = 0; i < N_OTHERS; i++)
		check_name(vocab[others[i].kind], others[i].name);
	print_message("%zu vocabularies, %d texts each\n", rows + i, RANDOM_IDS_TEXTS);
	random_vocab_free(vocab[0]);
	random_vocab_free(vocab[1]);
}

/* llama.cpp's ids were asked for under every name, not only under the first of each row. */
static void names_of_a_row_mean_the_same(void **state)
{
	const struct tokenizer_pre *p;
	size_t i, j;

	(void)state;
	for (i = 0; (p = tokenizer_pre_row(i)) != NULL; i++) {
		for (j = 0; j < TOKENIZER_PRE_NAMES && p->name[j] != NULL; j++) {
			assert_ptr_equal(tokenizer_pre_find(p->name[j], strlen(p->name[j])), p);
			if (random_ids_kept(p->name[j]) != random_ids_kept(p->name[0]))
				fail_msg("%s is not %s", p->name[j], p->name[0]);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_those_of_llama_cpp),
		cmocka_unit_test(names_of_a_row_mean_the_same),
	};

	if (argc == 2 && strcmp(argv[1], "--names") == 0)
		return print_names();
	if (argc == 2 && strcmp(argv[1], "--hash") == 0)
		return print_hash();
	if (argc == 3 && strcmp(argv[1], "--texts") == 0)
		return write_texts(argv[2]);
	if (argc == 4 && strcmp(argv[1], "--write") == 0)
		return write_vocab(argv[2], argv[3]);
	return cmocka_run_group_tests_name("tokenizer_random", tests, NULL, NULL);
}
