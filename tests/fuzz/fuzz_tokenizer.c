/* fuzz_tokenizer.c - any bytes as text: encode, decode, check what the header promises.
 *
 * The first byte chooses the vocabulary, the second the options (bits 0-1); the rest is the text.
 * With clang -fsanitize=fuzzer it is a libFuzzer target.  With -DFUZZ_MAIN it is a program:
 *
 *	fuzz_tokenizer FILE...                  each file as it is
 *	fuzz_tokenizer -n N -s SEED [FILE...]   and N random texts, the same for the same seed
 *
 * which prints the number of inputs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"
#include "engine/tokenizer_pre.h"
#include "tests/unit/random_text.h"
#include "tests/unit/tokenizer_vocab.h"

#define MAX_VOCABS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise stops the fuzzer, which then keeps the input. */
static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_tokenizer: %s\n", what);
	__builtin_trap();
}

static void check_back(const struct tokenizer *t, const uint32_t *ids, size_t n, const char *text, size_t len,
		       bool exact)
{
	int64_t need = tokenizer_decode(t, ids, n, true, NULL, 0);
	size_t i, sum = 0, whole;
	char *back;

	require(need >= 0, "an id of its own that it does not decode");
	back = malloc((size_t)need + 1);
	require(back != NULL, "no memory");
	require(tokenizer_decode(t, ids, n, true, back, (size_t)need) == need, "a length that changes");
	if (exact)
		require((size_t)need == len && memcmp(back, text, len) == 0, "text that does not come back");
	for (i = 0; i < n; i++)
		sum += tokenizer_piece(t, ids[i], true, NULL, 0);
	require((int64_t)sum == need || (int64_t)sum == need + 1, "pieces that do not add up");
	whole = tokenizer_utf8_whole(back, (size_t)need);
	require(whole <= (size_t)need && (size_t)need - whole <= 3, "more held back than a character");
	free(back);
}

/* Vocabulary i: SentencePiece's, Gemma 4's, then byte-level BPE under each name of a row. */
static struct tokenizer_vocab *vocabulary(size_t i, bool *escaped)
{
	static struct tokenizer_vocab cache[MAX_VOCABS];        /* loading is most of the work otherwise */
	const struct tokenizer_pre *p = NULL;
	char err[256] = "";
	size_t rows;
	int rc = 0;

	for (rows = 0; tokenizer_pre_row(rows) != NULL; rows++)
		;
	i %= rows + 2;
	require(rows + 2 <= MAX_VOCABS, "more rows than room for them");
	if (i >= 2)
		p = tokenizer_pre_row(i - 2);
	*escaped = p == NULL || p->escaped;
	if (cache[i].t != NULL)
		return &cache[i];
	if (i == 1 || (i >= 2 && *escaped))
		rc = tokenizer_vocab_open_gemma4(&cache[i], p == NULL ? NULL : p->name[0], err, sizeof(err));
	else
		rc = tokenizer_vocab_open(&cache[i], p == NULL ? NULL : p->name[0], err, sizeof(err));
	require(rc == 0, err);
	return &cache[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool add, parse, escaped;
	struct tokenizer_vocab *v;
	const char *text;
	uint32_t *ids;
	int64_t n, again;

	if (size < 2)
		return 0;
	v = vocabulary(data[0], &escaped);
	add = (data[1] & 1) != 0;
	parse = (data[1] & 2) != 0;
	text = (const char *)data + 2;
	size -= 2;
	ids = malloc((size * 3 + 8) * sizeof(*ids));
	require(ids != NULL, "no memory");
	n = tokenizer_encode(v->t, text, size, add, parse, ids, size * 3 + 8);
	require(n >= 0 && (uint64_t)n <= size * 3 + 8, "more ids than bytes allow");
	again = tokenizer_encode(v->t, text, size, add, parse, NULL, 0);
	require(again == n, "a count that changes");
	/* U+2581 comes back as a space, SPM puts one behind each special token, and BOS is shown here. */
	check_back(v->t, ids, (size_t)n, text, size, !escaped && !add);
	free(ids);
	return 0;
}

#ifdef FUZZ_MAIN
static int run_file(const char *path)
{
	static uint8_t buf[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		fprintf(stderr, "fuzz_tokenizer: cannot open '%s'\n", path);
		return 1;
	}
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, n);
	return 0;
}

int main(int argc, char **argv)
{
	struct random_text r = { 1 };
	char text[RANDOM_TEXT_MAX + 2];
	unsigned long i, n = 0, inputs = 0;
	size_t len;
	int arg;

	for (arg = 1; arg < argc; arg++) {
		if (strcmp(argv[arg], "-n") == 0 && arg + 1 < argc) {
			n = strtoul(argv[++arg], NULL, 10);
		} else if (strcmp(argv[arg], "-s") == 0 && arg + 1 < argc) {
			r.state = strtoul(argv[++arg], NULL, 10) | 1;
		} else {
			if (run_file(argv[arg]) != 0)
				return 1;
			inputs++;
		}
	}
	for (i = 0; i < n; i++, inputs++) {
		text[0] = (char)random_below(&r, 256);
		text[1] = (char)random_below(&r, 4);
		len = 1 + random_below(&r, 300);
		if (random_below(&r, 2) == 0)
			len = random_text_utf8(&r, text + 2);
		else
			random_text_bytes(&r, text + 2, len);
		LLVMFuzzerTestOneInput((const uint8_t *)text, len + 2);
	}
	printf("fuzz_tokenizer: %lu inputs\n", inputs);
	return 0;
}
#endif
