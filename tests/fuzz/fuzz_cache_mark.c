/* fuzz_cache_mark.c - any bytes as the mark of a cache.
 *
 * What is promised of every input: no crash, no read outside of it, a bounded home path, and a mark that is
 * accepted prints to exactly the bytes it was read from.  With libFuzzer the engine feeds LLVMFuzzerTestOneInput.
 * Built with FUZZ_MAIN the file brings its own driver:
 *
 *     fuzz_cache_mark [-n COUNT] [-s SEED] [FILE...]      run over the files, then over COUNT damaged marks
 */
#include "tiering/cache_mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise stops the fuzzer, which then keeps the input. */
static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_cache_mark: %s\n", what);
	__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char again[CACHE_MARK_MAX];
	static struct cache_mark m;
	char err[64] = "", *text;
	int rc;

	text = malloc(size > 0 ? size : 1);     /* exactly as long, so that a byte too far is seen */
	require(text != NULL, "no memory");
	if (size > 0)
		memcpy(text, data, size);
	rc = cache_mark_parse(text, size, &m, err, sizeof(err));
	require((rc == 0) == (err[0] == '\0'), "an error without words, or words without an error");
	require(strchr(err, '\n') == NULL, "more than a line");
	if (rc == 0) {
		require(memchr(m.home, '\0', sizeof(m.home)) != NULL, "a path without an end");
		require(m.store != 0, "a store that is none");
		require(cache_mark_print(&m, again) == size && memcmp(again, text, size) == 0, "a mark that does not come back");
	}
	free(text);
	return 0;
}

#ifdef FUZZ_MAIN
static const char *const seeds[] = {
	"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 1122334455667788\nhome /srv/models\nepoch 1\n",
	"hearth-cache 1\nuuid ffffffffffffffffffffffffffffffff\nstore ffffffffffffffff\nhome /a\\040b\\134\\012\\177\n"
	"epoch 18446744073709551615\n",
	"hearth-cache 2\nuuid 00\n",
	"hearth-cache 1\nuuid 000102030405060708090a0b0c0d0e0f\nstore 0000000000000001\nhome \nepoch 0\n",
};

static uint64_t next(uint64_t *s)               /* xorshift64 */
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A seed with a few bytes changed, taken out or doubled. */
static size_t damage(uint64_t *s, uint8_t *buf, size_t cap)
{
	static const char likely[] = "\n\\ 0179af\x00\xff";
	const char *seed = seeds[next(s) % (sizeof(seeds) / sizeof(seeds[0]))];
	size_t len = strlen(seed);

	memcpy(buf, seed, len);
	for (unsigned i = 0, n = next(s) % 5; i < n && len > 1; i++) {
		size_t at = next(s) % len, count = next(s) % 8;

		if (next(s) % 2 == 0) {
			buf[at] = next(s) % 2 ? (uint8_t)likely[next(s) % (sizeof(likely) - 1)] : (uint8_t)next(s);
		} else if (next(s) % 2 == 0 && at + count < len) {
			memmove(buf + at, buf + at + count, len - at - count);
			len -= count;
		} else if (len + count <= cap && at + count <= len) {
			memmove(buf + at + count, buf + at, len - at);
			len += count;
		}
	}
	return len;
}

int main(int argc, char **argv)
{
	unsigned long n = 0, files = 0;
	uint64_t seed = 1;
	static uint8_t buf[CACHE_MARK_MAX * 2];

	for (int i = 1; i < argc; i++) {
		FILE *f;

		if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
			n = strtoul(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) {
			seed = strtoull(argv[++i], NULL, 10) * 0x9e3779b97f4a7c15ull + 1;
		} else if ((f = fopen(argv[i], "rb")) != NULL) {
			LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
			fclose(f);
			files++;
		} else {
			fprintf(stderr, "fuzz_cache_mark: cannot open '%s'\n", argv[i]);
			return 1;
		}
	}
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
		LLVMFuzzerTestOneInput((const uint8_t *)seeds[i], strlen(seeds[i]));
	for (unsigned long i = 0; i < n; i++)
		LLVMFuzzerTestOneInput(buf, damage(&seed, buf, sizeof(buf)));
	printf("fuzz_cache_mark: %lu files and %lu damaged marks\n", files, n);
	return 0;
}
#endif
