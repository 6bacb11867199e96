/* fuzz_gguf.c - any bytes as a GGUF file: parse, visit everything, check what the header promises.
 *
 * With clang -fsanitize=fuzzer it is a libFuzzer target.  With -DFUZZ_MAIN it is a program:
 *
 *	fuzz_gguf FILE...                       each file as it is
 *	fuzz_gguf -n N -s SEED FILE...          and N random changes of them, the same for the same seed
 *
 * which prints the number of inputs.  `test_gguf --write-regress DIR` makes the first files.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "engine/gguf_split.h"
#include "tests/unit/gguf_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise stops the fuzzer, which then keeps the input. */
static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_gguf: %s\n", what);
	__builtin_trap();
}

static void check_line(const char *err)
{
	size_t i, n = strlen(err);

	require(n > 0, "an error without a line");
	for (i = 0; i < n; i++)
		require(err[i] >= 0x20 && err[i] < 0x7f, "a raw byte in the error line");
}

static void use_split(const struct gguf *g)
{
	struct gguf_split split;
	char err[256] = "", path[256];

	if (gguf_split_read(g, &split, err, sizeof(err)) != 0) {
		check_line(err);
		return;
	}
	require(split.count >= 1 && split.count <= GGUF_SPLIT_MAX && split.no < split.count, "a bad split");
	if (gguf_split_path(&split, "/m/x-00001-of-00002.gguf", split.count - 1, path, sizeof(path),
			    err, sizeof(err)) != 0)
		check_line(err);
	if (gguf_split_check(&split, g, split.no, err, sizeof(err)) != 0)
		require(0, "a part that is not itself");
}

static int parse(const uint8_t *data, size_t len, uint64_t file_bytes)
{
	struct gguf *g = NULL;
	const char *why = "walk";
	char err[512] = "";
	int rc = gguf_parse(&g, data, len, file_bytes, err, sizeof(err));

	if (rc != 0) {
		require(rc == -EINVAL || (rc == -EMSGSIZE && file_bytes > len), "an undocumented error");
		check_line(err);
		return rc;
	}
	if (gguf_walk(g, data, len, file_bytes, &why) != 0)
		require(0, why);
	use_split(g);
	gguf_free(g);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int whole = parse(data, size, size);
	int prefix = parse(data, size / 2, size);

	parse(data, size, (uint64_t)size + (16u << 20));        /* as if tensor data followed */
	require(prefix == -EMSGSIZE || prefix == whole, "a part of a file judged unlike the whole");
	return 0;
}

#ifdef FUZZ_MAIN

#define FILES_MAX  4096
#define INPUT_MAX  (1u << 20)

struct file {
	uint8_t *bytes;
	size_t len;
};

static int load(const char *path, struct file *out)
{
	FILE *f = fopen(path, "rb");
	int rc = 0;

	if (f == NULL)
		return -errno;
	out->bytes = malloc(INPUT_MAX);
	out->len = out->bytes != NULL ? fread(out->bytes, 1, INPUT_MAX, f) : 0;
	if (out->bytes == NULL)
		rc = -ENOMEM;
	else if (ferror(f) != 0)
		rc = -EIO;
	fclose(f);
	return rc;
}

/* In a block of exactly its size, so that a sanitizer sees the first byte too many. */
static int run(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len + (len == 0));

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, bytes, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	return 0;
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* One random change in place, mostly near the start, where the header is; may shorten the input. */
static size_t mutate(uint8_t *p, size_t len, uint64_t *seed)
{
	static const uint64_t special[] = { 0, 1, 2, 4, 5, 8, 9, 13, 31, 255, 65535, 65536, 65537, 1u << 31, UINT32_MAX,
					    1ull << 32, 1ull << 61, 1ull << 62, 1ull << 63, UINT64_MAX, UINT64_MAX - 31 };
	size_t span = next_random(seed) % 4 != 0 && len > 512 ? 512 : len;
	uint64_t v = special[next_random(seed) % (sizeof(special) / sizeof(special[0]))];
	size_t at, from, n;

	if (len == 0)
		return 0;
	at = next_random(seed) % span;
	from = next_random(seed) % span;
	switch (next_random(seed) % 8) {
	case 0:
	case 1:
		p[at] ^= (uint8_t)(1u << next_random(seed) % 8);
		break;
	case 2:
		p[at] = (uint8_t)next_random(seed);
		break;
	case 3:
	case 4:
		for (n = 0; n < 8 && at + n < len; n++)
			p[at + n] = (uint8_t)(v >> 8 * n);
		break;
	case 5:
		for (n = 0; n < 4 && at + n < len; n++)
			p[at + n] = (uint8_t)(v >> 8 * n);
		break;
	case 6:
		n = next_random(seed) % 64;
		if (at + n <= len && from + n <= len)
			memmove(p + at, p + from, n);
		break;
	default:
		if (next_random(seed) % 8 == 0)
			return next_random(seed) % (len + 1);
		p[at]++;
	}
	return len;
}

static int run_mutations(const struct file *files, size_t n_files, uint64_t n, uint64_t seed)
{
	uint8_t *work = malloc(INPUT_MAX);
	uint64_t i;
	int rc = 0;

	if (work == NULL)
		return -ENOMEM;
	for (i = 0; i < n && rc == 0; i++) {
		const struct file *f = &files[next_random(&seed) % n_files];
		unsigned changes = 1 + (unsigned)(next_random(&seed) % 6);
		size_t len = f->len;

		memcpy(work, f->bytes, len);
		while (changes-- > 0)
			len = mutate(work, len, &seed);
		rc = run(work, len);
	}
	free(work);
	return rc;
}

static int run_files(char *const *paths, size_t n_files, uint64_t n, uint64_t seed)
{
	struct file *files = calloc(n_files, sizeof(*files));
	size_t i;
	int rc = files != NULL ? 0 : -ENOMEM;

	for (i = 0; i < n_files && rc == 0; i++) {
		rc = load(paths[i], &files[i]);
		if (rc != 0)
			fprintf(stderr, "fuzz_gguf: cannot read '%s': %s\n", paths[i], strerror(-rc));
		else
			rc = run(files[i].bytes, files[i].len);
	}
	if (rc == 0 && n_files != 0)
		rc = run_mutations(files, n_files, n, seed);
	for (i = 0; files != NULL && i < n_files; i++)
		free(files[i].bytes);
	free(files);
	return rc;
}

int main(int argc, char **argv)
{
	uint64_t n = 0, seed = 1;
	int i = 1, rc;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (strcmp(argv[i], "-n") == 0)
			n = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "-s") == 0)
			seed = strtoull(argv[i + 1], NULL, 10);
		else
			break;
	}
	if (i >= argc || argv[i][0] == '-' || argc - i > FILES_MAX || seed == 0) {
		fprintf(stderr, "usage: fuzz_gguf [-n N] [-s SEED] FILE...\n");
		return 2;
	}
	rc = run_files(argv + i, (size_t)(argc - i), n, seed);
	if (rc != 0) {
		fprintf(stderr, "fuzz_gguf: %s\n", strerror(-rc));
		return 1;
	}
	printf("fuzz_gguf: %d files and %" PRIu64 " changes of them, seed %" PRIu64 "\n", argc - i, n, seed);
	return 0;
}

#endif
