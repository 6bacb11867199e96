/* fuzz_kept.c - a kept KV cache, with any bytes of it changed.
 *
 * What is promised of every such file: no crash, no read outside of it, no more memory than a good one may take; what is
 * taken over has no more positions than the cache, and rows that are not those of their sums are an error when they
 * are read.  An input says what is changed: a byte of flags, then records of four bytes of place and one of value.  The sums of head
 * and tail are made right again where the flags say so, so that what is behind them is met.  With libFuzzer the engine feeds
 * LLVMFuzzerTestOneInput.  Built with FUZZ_MAIN the file brings its own driver:
 *
 *     fuzz_kept [-n COUNT] [-s SEED] [FILE...]        run over the files, then over COUNT random changes
 */
#include "engine/kv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "kernels/kern_type.h"

#define LAYERS 2
#define N_CTX 768u
#define N_POS 600u              /* two whole blocks and a part of one */
#define BLOCK 256u
#define VALUES 32u
#define STATE 8u
#define MORE 400u               /* other bytes */
#define MORE_MOST ((64ull << 20) + 16 * N_CTX)
#define RECORDS_MOST 64u

enum { FIX_HEAD = 1, FIX_TAIL = 2, CUT = 4, IN_HEAD = 8 };      /* IN_HEAD: all changes are in the head */

/* The head's layout, kv_keep.c. */
struct head {
	char magic[8];
	uint32_t version, n_pos;
	uint64_t id, stripe, tail_bytes, state_bytes, more_bytes, tail_sum, sum;
};

static char dir[64], path[512];
static uint8_t *good;
static size_t good_bytes;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise stops the fuzzer, which then keeps the input. */
static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_kept: %s\n", what);
	__builtin_trap();
}

static struct kv *open_cache(void)
{
	static const uint32_t n[LAYERS] = { VALUES, VALUES };
	static const size_t conv[LAYERS] = { 0, STATE }, state[LAYERS] = { 0, STATE };
	static const struct kv_disk_params disk = { .dir = dir, .keep = true, .id = 1, .n_batch = 64, .block = BLOCK };
	static const struct kv_params p = { .n_layer = LAYERS, .n_ctx = N_CTX, .n_k = n, .n_v = n, .n_conv = conv, .n_state = state,
					    .type_k = KERN_F16, .type_v = KERN_F16, .disk = &disk };
	struct kv *kv;
	char err[512];

	require(kv_new(&kv, &p, err, sizeof(err)) == 0, err);
	return kv;
}

static void put_rows(struct kv *kv, uint32_t pos0, uint32_t n)
{
	uint32_t i, pos;

	kv_begin(kv, pos0, n);
	for (i = 0; i < LAYERS; i++) {
		kv_put(kv, i);
		for (pos = pos0; pos < pos0 + n; pos++) {
			memset(kv_k(kv, i, pos), (int)(pos + i), kv_k_bytes(kv, i));
			memset(kv_v(kv, i, pos), (int)(pos * 3 + i), kv_v_bytes(kv, i));
		}
		kv_done(kv, i);
	}
}

static void find_file(void)
{
	const struct dirent *e;
	DIR *d = opendir(dir);

	require(d != NULL, "no folder");
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
	closedir(d);
	require(path[0] != '\0', "nothing was kept");
}

static void remove_all(void)
{
	unlink(path);
	rmdir(dir);
}

/* A good file, once. */
static void make_good(void)
{
	char more[MORE], err[512] = "";
	struct kv *kv;
	uint32_t pos;
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/fuzz_kept.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	require(mkdtemp(dir) != NULL, "no folder");
	kv = open_cache();
	for (pos = 0; pos < N_POS; pos += 60)
		put_rows(kv, pos, 60);
	memset(more, 7, sizeof(more));
	require(kv_keep(kv, N_POS, more, sizeof(more), err, sizeof(err)) == 0, err);
	kv_free(kv);
	find_file();
	atexit(remove_all);
	f = fopen(path, "rb");
	require(f != NULL && fseek(f, 0, SEEK_END) == 0, "the file cannot be read");
	good_bytes = (size_t)ftell(f);
	good = malloc(good_bytes);
	rewind(f);
	require(good != NULL && fread(good, 1, good_bytes, f) == good_bytes, "the file cannot be read");
	fclose(f);
}

/* The sums of what the head says now, as far as that lies in the file. */
static void fix_sums(uint8_t *bytes, size_t len, unsigned flags)
{
	struct head h;
	uint64_t tail;

	memcpy(&h, bytes, sizeof(h));
	tail = 4096 + (h.n_pos > 0 ? ((uint64_t)h.n_pos - 1) / BLOCK + 1 : 0) * h.stripe;
	if (flags & FIX_TAIL && tail < len && h.tail_bytes <= len - tail)
		h.tail_sum = XXH3_64bits(bytes + tail, h.tail_bytes);
	if (flags & FIX_HEAD)
		h.sum = XXH3_64bits(&h, offsetof(struct head, sum));
	memcpy(bytes, &h, sizeof(h));
}

static size_t change(uint8_t *bytes, const uint8_t *data, size_t size)
{
	size_t len = good_bytes, i;
	uint32_t at;

	for (i = 1; i + 5 <= size && i < 5 * RECORDS_MOST; i += 5) {
		memcpy(&at, data + i, sizeof(at));
		if (data[0] & CUT && i == 1)
			len = at % good_bytes;
		else
			bytes[at % (data[0] & IN_HEAD ? sizeof(struct head) : good_bytes)] = data[i + 4];
	}
	if (len >= sizeof(struct head))
		fix_sums(bytes, len, data[0]);
	return len;
}

/* What was taken over is read once: rows as they were put, or an error. */
static void check_rows(struct kv *kv, uint32_t n)
{
	struct kv_span s;
	uint32_t i, from;
	char line[256];

	if (n == 0 || n + 1 > N_CTX)
		return;
	kv_begin(kv, n, 1);
	for (i = 0; i < LAYERS; i++) {
		kv_put(kv, i);
		memset(kv_k(kv, i, n), 0, kv_k_bytes(kv, i));
		memset(kv_v(kv, i, n), 0, kv_v_bytes(kv, i));
		kv_done(kv, i);
		kv_walk(kv, i, 0);
		for (from = 0; from < n; from = s.to) {
			s = kv_span(kv, i, from, n);
			require(s.to > from, "a walk that stands");
			if (kv_error(kv, line, sizeof(line)) != 0)
				return;
			require(from >= N_POS || *(const uint8_t *)s.k == (uint8_t)(from + i), "rows that were not put, without an error");
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kv *kv;           /* the last one, if it took over nothing */
	size_t more_bytes, len;
	uint8_t *bytes;
	void *more;
	uint32_t n;
	int fd;

	if (good == NULL)
		make_good();
	if (size == 0)
		return 0;
	bytes = malloc(good_bytes);
	require(bytes != NULL, "no memory");
	memcpy(bytes, good, good_bytes);
	len = change(bytes, data, size);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	require(fd != -1 && pwrite(fd, bytes, len, 0) == (ssize_t)len && ftruncate(fd, (off_t)len) == 0, "the file cannot be written");
	close(fd);
	free(bytes);
	if (kv == NULL)
		kv = open_cache();
	n = kv_resume(kv, &more, &more_bytes);
	require(n <= N_CTX, "more positions than there are");
	require(n > 0 || more == NULL, "other bytes of nothing");
	require(more_bytes <= MORE_MOST, "too many other bytes");
	require(size > 1 || n == N_POS, "a good file that is not taken");
	check_rows(kv, n);
	free(more);
	if (n > 0) {
		kv_free(kv);
		kv = NULL;
	}
	return 0;
}

#ifdef FUZZ_MAIN
static uint64_t next(uint64_t *s)               /* xorshift64 */
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Some changes; small places and small values are met more often. */
static size_t draw(uint64_t *s, uint8_t *buf)
{
	size_t n = 1 + next(s) % 4, i;

	buf[0] = (uint8_t)(next(s) % 4 == 0 ? next(s) : FIX_HEAD | FIX_TAIL | (next(s) % 2 ? IN_HEAD : 0));
	for (i = 0; i < n; i++) {
		uint32_t at = (uint32_t)(next(s) % 3 == 0 ? good_bytes - 1 - next(s) % 512 : next(s));

		memcpy(buf + 1 + 5 * i, &at, sizeof(at));
		buf[5 + 5 * i] = (uint8_t)(next(s) % 3 == 0 ? next(s) % 4 : next(s) >> 8);
	}
	return 1 + 5 * n;
}

int main(int argc, char **argv)
{
	unsigned long n = 0, files = 0, i;
	uint64_t seed = 1;
	uint8_t buf[1 + 5 * RECORDS_MOST];
	int k;

	for (k = 1; k < argc; k++) {
		FILE *f;

		if (strcmp(argv[k], "-n") == 0 && k + 1 < argc) {
			n = strtoul(argv[++k], NULL, 10);
		} else if (strcmp(argv[k], "-s") == 0 && k + 1 < argc) {
			seed = strtoull(argv[++k], NULL, 10) * 0x9e3779b97f4a7c15ull + 1;
		} else if ((f = fopen(argv[k], "rb")) != NULL) {
			LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
			fclose(f);
			files++;
		} else {
			fprintf(stderr, "fuzz_kept: cannot open '%s'\n", argv[k]);
			return 1;
		}
	}
	LLVMFuzzerTestOneInput((const uint8_t *)"", 1);         /* as it was kept */
	for (i = 0; i < n; i++)
		LLVMFuzzerTestOneInput(buf, draw(&seed, buf));
	printf("fuzz_kept: %lu files and %lu changed files\n", files, n);
	return 0;
}
#endif
