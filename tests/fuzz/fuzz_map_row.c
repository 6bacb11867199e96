/* fuzz_map_row.c - any bytes as a row of the extent map: decode, and encode again what was taken.
 *
 * The first byte chooses the kind of row (bits 0-1) and whether the check is made to fit (bit 2), without
 * which hardly any input would pass it; the next 8 bytes are the key, the rest is the value.
 * With clang -fsanitize=fuzzer it is a libFuzzer target.  With -DFUZZ_MAIN it is a program:
 *
 *	fuzz_map_row FILE...                    each file as it is
 *	fuzz_map_row -n N -s SEED [FILE...]     and N random rows, the same for the same seed
 *
 * which prints the number of inputs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiering/map_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise stops the fuzzer, which then keeps the input. */
static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_map_row: %s\n", what);
	__builtin_trap();
}

static void check_blob(const unsigned char *value, size_t len, uint64_t key)
{
	static unsigned char again[MAP_ROW_BLOB_MAX];
	struct map_row_blob b;
	size_t n = 0;

	if (map_row_blob_decode(value, len, key, &b) != 0)
		return;
	require(b.path_len <= MAP_ROW_PATH_MAX, "a path too long");
	for (size_t i = 0; i < b.path_len; i++)
		n += (unsigned char)b.path[i];          /* it can be read */
	require(n <= b.path_len * 255, "unreachable");
	n = map_row_blob_encode(&b, key, again);
	require(n == len && memcmp(again, value, len) == 0, "a blob that does not come back");
}

static void check_chunk(const unsigned char *value, size_t len, uint64_t key)
{
	unsigned char again[MAP_ROW_CHUNK_MAX];
	struct map_row_chunk c;

	if (map_row_chunk_decode(value, len, key, &c) != 0)
		return;
	require(c.have != 0, "a chunk of nothing");
	require(map_row_chunk_encode(&c, key, again) == len && memcmp(again, value, len) == 0,
		"a chunk that does not come back");
}

static void check_root(const unsigned char *value, size_t len, uint64_t key)
{
	unsigned char again[MAP_ROW_ROOT_LEN];
	struct map_row_set s;

	if (map_row_root_decode(value, len, key, &s) != 0)
		return;
	require(map_row_root_encode(&s, key, again) == len && memcmp(again, value, len) == 0,
		"a root that does not come back");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *value;
	uint64_t key;
	size_t len;

	if (size < 9)
		return 0;
	memcpy(&key, data + 1, sizeof(key));
	len = size - 9;
	value = malloc(len + MAP_ROW_CHECK);    /* exactly as long, so that a byte too far is seen */
	require(value != NULL, "no memory");
	memcpy(value, data + 9, len);
	if (data[0] & 4) {
		len = map_row_seal(value, len, key);
	} else {
		unsigned char *exact = malloc(len > 0 ? len : 1);

		require(exact != NULL, "no memory");
		memcpy(exact, value, len);
		free(value);
		value = exact;
	}
	require(!(data[0] & 4) || map_row_verify(value, len, key) == 0, "a sealed row that does not verify");
	switch (data[0] & 3) {
	case 0:
		check_blob(value, len, key);
		break;
	case 1:
		check_chunk(value, len, key);
		break;
	case 2:
		check_root(value, len, key);
		break;
	default:
		require(map_row_verify(value, len, key + 1) != 0 || len < MAP_ROW_CHECK, "a row good under any key");
	}
	free(value);
	return 0;
}

#ifdef FUZZ_MAIN
#define ROW_MAX 640

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Random bytes with a length that fits often: a chunk's bit map decides it, a blob's path length. */
static size_t random_row(uint64_t *state, uint8_t *out)
{
	size_t len = 9 + next(state) % 600;
	uint64_t have = next(state) & next(state);

	for (size_t i = 0; i < ROW_MAX; i++)
		out[i] = (uint8_t)next(state);
	if (next(state) % 4 == 0)
		return len;
	switch (out[0] & 3) {
	case 0:
		len = 9 + 59 + next(state) % 300;
		out[9] &= 1;
		out[9 + 57] = (uint8_t)(len - 9 - 59);
		out[9 + 58] = (uint8_t)((len - 9 - 59) >> 8);
		return len;
	case 1:
		memcpy(out + 9, &have, 8);
		return 9 + 8 + 8 * (size_t)__builtin_popcountll(have);
	default:
		return 9 + 16;
	}
}

static int run_file(const char *path)
{
	static uint8_t buf[1 << 16];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		fprintf(stderr, "fuzz_map_row: cannot open '%s'\n", path);
		return 1;
	}
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, n);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long i, n = 0, inputs = 0;
	uint64_t state = 1;
	uint8_t row[ROW_MAX];
	int arg;

	for (arg = 1; arg < argc; arg++) {
		if (strcmp(argv[arg], "-n") == 0 && arg + 1 < argc) {
			n = strtoul(argv[++arg], NULL, 10);
		} else if (strcmp(argv[arg], "-s") == 0 && arg + 1 < argc) {
			state = strtoul(argv[++arg], NULL, 10) * 2654435761u | 1;
		} else {
			if (run_file(argv[arg]) != 0)
				return 1;
			inputs++;
		}
	}
	for (i = 0; i < n; i++, inputs++)
		LLVMFuzzerTestOneInput(row, random_row(&state, row));
	printf("fuzz_map_row: %lu inputs\n", inputs);
	return 0;
}
#endif
