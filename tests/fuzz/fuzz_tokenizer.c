/* fuzz_tokenizer.c - any bytes as text: encode, decode, check what the header promises.
 *
 * The first byte chooses the vocabulary (bits 0-1) and the options (bits 2-3); the rest is the text.
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
#include "tests/unit/random_text.h"
#include "tests/unit/tokenizer_vocab.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const pres[] = { NULL, "gpt-2", "llama-bpe", "default" };
	static struct tokenizer_vocab cache[4];         /* loading is most of the work otherwise */
	bool add, parse, exact;
	struct tokenizer_vocab *v;
	const char *text;
	char err[256] = "";
	uint32_t *ids;
	int64_t n, again;

	if (size == 0)
		return 0;
	add = (data[0] & 4) != 0;
	parse = (data[0] & 8) != 0;
	text = (const char *)data + 1;
	size--;
	v = &cache[data[0] & 3];
	if (v->t == NULL)
		require(tokenizer_vocab_open(v, pres[data[0] & 3], err, sizeof(err)) == 0, err);
	ids = malloc((size * 3 + 8) * sizeof(*ids));
	require(ids != NULL, "no memory");
	n = tokenizer_encode(v->t, text, size, add, parse, ids, size * 3 + 8);
	require(n >= 0 && (uint64_t)n <= size * 3 + 8, "more ids than bytes allow");
	again = tokenizer_encode(v->t, text, size, add, parse, NULL, 0);
	require(again == n, "a count that changes");
	/* SPM loses which spaces were U+2581 and puts one behind each special token; BOS is shown here. */
	exact = (data[0] & 3) != 0 && !add;
	check_back(v->t, ids, (size_t)n, text, size, exact);
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
	char text[RANDOM_TEXT_MAX + 1];
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
		text[0] = (char)random_below(&r, 16);
		len = 1 + random_below(&r, 300);
		if (random_below(&r, 2) == 0)
			len = random_text_utf8(&r, text + 1);
		else
			random_text_bytes(&r, text + 1, len);
		LLVMFuzzerTestOneInput((const uint8_t *)text, len + 1);
	}
	printf("fuzz_tokenizer: %lu inputs\n", inputs);
	return 0;
}
#endif
