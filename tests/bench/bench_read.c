/* bench_read.c - time reads of one file by two paths, a little of one and then of the other.
 *
 *	bench_read make FILE MIB                        write a file whose words are a function of their place
 *	bench_read verify FILE...                       every byte by read(2) and by a mapping; exit 1 on a wrong one
 *	bench_read run CASE OURS OTHER ROUNDS MIB IDLE  time it; MIB is how much of the file one sample takes
 *
 * OURS and OTHER name the same bytes.  A round takes one sample of each, and which of them goes first
 * alternates.  Every sample opens the file anew and takes one window of it; the windows walk through the
 * file, OTHER's half a file away from OURS', so that neither finds in the processor's cache, or in that of a
 * disk, what its neighbour has just left there.  With rounds enough for whole walks both have taken the
 * same windows.  Samples are short and begin after a short sleep, at the start of a time slice: on a busy
 * machine the median is then that of samples which nobody interrupted.  For each sample "ours VALUE" or
 * "other VALUE" goes to standard output: GB/s (10^9) for windows, thousands of requests a second for random
 * reads, microseconds a call for the rest.
 *
 * Before each sample of a cold case the file's pages are dropped and nothing is done for IDLE ms: a device
 * whose speed is limited over time slices then gives every sample a new one.
 *
 * The first word of every page read is added up within the timed part, at the same cost for both, and the
 * sum is compared with what the file must hold; a wrong one ends the program with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE            4096U
#define PAGE_WORDS      (PAGE / sizeof(uint64_t))
#define MIB             (1024U * 1024U)
#define RANDOM_READS    2048U           /* a sample */
#define OPENS           50U
#define STATS           2000U
#define MAPS            200U
#define PAUSE_NS        200000          /* before a sample */
#define DROP_TRIES      200
#define DROP_PAUSE_NS   10000000

/* One run: constant after main has filled it, but for round and buf. */
struct job {
	const char *path[2];            /* ours, other */
	uint64_t file_pages;
	uint64_t window_pages;
	long idle_ns;                   /* before a cold sample */
	uint64_t first_page;            /* of this sample's window */
	unsigned round;
	char *buf;                      /* 1 MiB, page aligned */
};

/* Times one sample of the file at path: *ns for *count things (bytes, requests or calls). */
typedef int (*sample_fn)(const struct job *j, const char *path, uint64_t *ns, uint64_t *count);

struct bench_case {
	const char *name;
	sample_fn sample;
	bool cold;                      /* the file's pages are dropped before each sample */
	bool per_call;                  /* value is microseconds a call, else count per ns times scale */
	double scale;
};

static void pause_ns(long ns)
{
	const struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* splitmix64 of the word's index: what the file holds there. */
static uint64_t word_at(uint64_t i)
{
	i = (i + 1) * 0x9e3779b97f4a7c15U;
	i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9U;
	i = (i ^ (i >> 27)) * 0x94d049bb133111ebU;
	return i ^ (i >> 31);
}

static uint64_t expected_sum(uint64_t first_page, uint64_t pages)
{
	uint64_t sum = 0;

	for (uint64_t p = first_page; p < first_page + pages; p++)
		sum += word_at(p * PAGE_WORDS);
	return sum;
}

/* The first word of each page. */
static uint64_t sum_pages(const char *at, uint64_t pages)
{
	uint64_t sum = 0;

	for (uint64_t p = 0; p < pages; p++)
		sum += *(const volatile uint64_t *)(const void *)(at + p * PAGE);
	return sum;
}

static int say(const char *what, const char *path, int rc)
{
	fprintf(stderr, "bench_read: cannot %s '%s': %s\n", what, path, strerror(-rc));
	return rc;
}

static int check_sum(const char *path, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	fprintf(stderr, "bench_read: '%s' gave wrong bytes\n", path);
	return -EIO;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd != -1 ? fd : say("open", path, -errno);
}

/* ---- samples ---- */

static int sample_read(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	uint64_t left = j->window_pages * PAGE, sum = 0, start;
	int fd = open_file(path), rc = 0;

	if (fd < 0)
		return fd;
	if (lseek(fd, (off_t)(j->first_page * PAGE), SEEK_SET) == -1)
		rc = say("seek in", path, -errno);
	pause_ns(PAUSE_NS);
	start = now_ns();
	while (rc == 0 && left > 0) {
		ssize_t n = read(fd, j->buf, left < MIB ? left : MIB);

		if (n <= 0 || n % PAGE != 0) {
			rc = say("read", path, n == -1 ? -errno : -EIO);
			break;
		}
		sum += sum_pages(j->buf, (uint64_t)n / PAGE);
		left -= (uint64_t)n;
	}
	*ns = now_ns() - start;
	*count = j->window_pages * PAGE;
	close(fd);
	return rc != 0 ? rc : check_sum(path, sum, expected_sum(j->first_page, j->window_pages));
}

static int sample_random(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	uint64_t sum = 0, want = 0, start, at = (uint64_t)j->round * RANDOM_READS;
	int fd = open_file(path), rc = 0;

	if (fd < 0)
		return fd;
	pause_ns(PAUSE_NS);
	start = now_ns();
	for (uint64_t i = 0; i < RANDOM_READS; i++) {
		uint64_t page = word_at(at + i) % j->file_pages;

		if (pread(fd, j->buf, PAGE, (off_t)(page * PAGE)) != (ssize_t)PAGE) {
			rc = say("read", path, -EIO);
			break;
		}
		sum += sum_pages(j->buf, 1);
	}
	*ns = now_ns() - start;
	*count = RANDOM_READS;
	close(fd);
	for (uint64_t i = 0; i < RANDOM_READS; i++)
		want += word_at(word_at(at + i) % j->file_pages * PAGE_WORDS);
	return rc != 0 ? rc : check_sum(path, sum, want);
}

enum map_how {
	MAP_TOUCH,                      /* one word of every page */
	MAP_FILL,                       /* MAP_POPULATE: the kernel does it within mmap */
	MAP_LLAMA,                      /* the same with the advice that llama.cpp gives before and after */
};

/* A fresh mapping of the window, timed from mmap to the last page touched or filled in. */
static int map_window(const struct job *j, const char *path, enum map_how how, uint64_t *ns, uint64_t *count)
{
	size_t bytes = j->window_pages * PAGE;
	off_t at = (off_t)(j->first_page * PAGE);
	uint64_t sum = 0, start;
	int fd = open_file(path), rc;
	char *map;

	if (fd < 0)
		return fd;
	pause_ns(PAUSE_NS);
	start = now_ns();
	if (how == MAP_LLAMA)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED | (how != MAP_TOUCH ? MAP_POPULATE : 0), fd, at);
	if (map == MAP_FAILED) {
		rc = say("map", path, -errno);
		close(fd);
		return rc;
	}
	if (how == MAP_LLAMA)
		posix_madvise(map, bytes, POSIX_MADV_WILLNEED);
	if (how == MAP_TOUCH)
		sum = sum_pages(map, j->window_pages);
	*ns = now_ns() - start;
	*count = bytes;
	if (how != MAP_TOUCH)
		sum = sum_pages(map, j->window_pages);
	munmap(map, bytes);
	close(fd);
	return check_sum(path, sum, expected_sum(j->first_page, j->window_pages));
}

static int sample_mmap(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	return map_window(j, path, MAP_TOUCH, ns, count);
}

static int sample_populate(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	return map_window(j, path, MAP_FILL, ns, count);
}

static int sample_llama(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	return map_window(j, path, MAP_LLAMA, ns, count);
}

/* What mmap and munmap cost apart from the pages. */
static int sample_map_call(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	int fd = open_file(path), rc = 0;
	uint64_t start;

	(void)j;
	if (fd < 0)
		return fd;
	pause_ns(PAUSE_NS);
	start = now_ns();
	for (unsigned i = 0; rc == 0 && i < MAPS; i++) {
		void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

		if (map == MAP_FAILED || munmap(map, PAGE) == -1)
			rc = say("map", path, -errno);
	}
	*ns = now_ns() - start;
	*count = MAPS;
	close(fd);
	return rc;
}

static int sample_open(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	uint64_t start;

	(void)j;
	pause_ns(PAUSE_NS);
	start = now_ns();
	for (unsigned i = 0; i < OPENS; i++) {
		int fd = open_file(path);

		if (fd < 0)
			return fd;
		close(fd);
	}
	*ns = now_ns() - start;
	*count = OPENS;
	return 0;
}

static int sample_stat(const struct job *j, const char *path, uint64_t *ns, uint64_t *count)
{
	struct stat st = { .st_size = 0 };
	uint64_t start;

	pause_ns(PAUSE_NS);
	start = now_ns();
	for (unsigned i = 0; i < STATS; i++)
		if (stat(path, &st) == -1)
			return say("stat", path, -errno);
	*ns = now_ns() - start;
	*count = STATS;
	return st.st_size == (off_t)(j->file_pages * PAGE) ? 0 : say("find the size of", path, -EIO);
}

static const struct bench_case cases[] = {
	{ "read", sample_read, false, false, 1 },
	{ "mmap", sample_mmap, false, false, 1 },
	{ "populate", sample_populate, false, false, 1 },
	{ "random", sample_random, false, false, 1e6 },
	{ "cold-read", sample_read, true, false, 1 },
	{ "cold-mmap", sample_mmap, true, false, 1 },
	{ "cold-populate", sample_populate, true, false, 1 },
	{ "cold-llama", sample_llama, true, false, 1 },
	{ "open", sample_open, false, true, 0 },
	{ "map-call", sample_map_call, false, true, 0 },
	{ "stat", sample_stat, false, true, 0 },
};

/* ---- a cold file ---- */

/* How many pages of the file are in the page cache behind the mapping; the kernel tells it truly only to
 * root and to the file's owner. */
static int64_t pages_cached(const struct job *j, int fd)
{
	unsigned char *vec = malloc(j->file_pages);
	void *map = mmap(NULL, j->file_pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	int64_t n = -1;

	if (vec != NULL && map != MAP_FAILED && mincore(map, j->file_pages * PAGE, vec) == 0) {
		n = 0;
		for (uint64_t p = 0; p < j->file_pages; p++)
			n += vec[p] & 1;
	}
	if (map != MAP_FAILED)
		munmap(map, j->file_pages * PAGE);
	free(vec);
	return n;
}

/* Drop the file's pages until neither path shows any.  Native opens share home's pages, else the mount has
 * a copy of its own; read-ahead that is still on its way holds some for a moment. */
static int drop_pages(const struct job *j)
{
	int64_t left = -1;

	for (int i = 0; i < DROP_TRIES && left != 0; i++) {
		int ours, other;

		if (i > 0)
			pause_ns(DROP_PAUSE_NS);
		ours = open_file(j->path[0]);
		if (ours < 0)
			return ours;
		other = open_file(j->path[1]);
		if (other < 0) {
			close(ours);
			return other;
		}
		posix_fadvise(ours, 0, 0, POSIX_FADV_DONTNEED);
		posix_fadvise(other, 0, 0, POSIX_FADV_DONTNEED);
		left = pages_cached(j, ours) | pages_cached(j, other);
		close(ours);
		close(other);
	}
	return left == 0 ? 0 : say("drop the pages of", j->path[1], -EBUSY);
}

/* ---- commands ---- */

static const struct bench_case *find_case(const char *name)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(cases[i].name, name) == 0)
			return &cases[i];
	return NULL;
}

/* side 0 is ours, 1 the other; report: print it, else it only warms up. */
static int take(struct job *j, const struct bench_case *c, int side, bool report)
{
	uint64_t windows = j->file_pages / j->window_pages, ns = 1, count = 0;
	int rc = 0;

	j->first_page = (j->round + (side == 1 ? windows / 2 : 0)) % windows * j->window_pages;
	if (c->cold) {
		rc = drop_pages(j);
		pause_ns(j->idle_ns);
	}
	if (rc == 0)
		rc = c->sample(j, j->path[side], &ns, &count);
	if (rc == 0 && report)
		printf("%s %.9g\n", side == 0 ? "ours" : "other",
		       c->per_call ? (double)ns / (double)count / 1000 : (double)count / (double)ns * c->scale);
	return rc;
}

static int run_case(struct job *j, const struct bench_case *c, unsigned rounds)
{
	int rc = 0;

	for (int side = 0; rc == 0 && side < 2; side++)
		rc = take(j, c, side, false);
	for (j->round = 0; rc == 0 && j->round < rounds; j->round++) {
		int first = (int)(j->round & 1);

		rc = take(j, c, first, true);
		if (rc == 0)
			rc = take(j, c, 1 - first, true);
	}
	return rc;
}

static int cmd_run(char **argv)
{
	const struct bench_case *c = find_case(argv[0]);
	unsigned rounds = (unsigned)strtoul(argv[3], NULL, 10);
	struct job j = { .path = { argv[1], argv[2] }, .window_pages = strtoul(argv[4], NULL, 10) * (MIB / PAGE),
			 .idle_ns = (long)(strtoul(argv[5], NULL, 10) % 1000 * 1000000) };
	struct stat st;
	int rc;

	if (c == NULL || rounds == 0 || j.window_pages == 0) {
		fprintf(stderr, "bench_read: no case '%s', or no rounds, or no size\n", argv[0]);
		return -EINVAL;
	}
	if (stat(argv[2], &st) == -1)
		return say("stat", argv[2], -errno);
	j.file_pages = (uint64_t)st.st_size / PAGE;
	if (j.file_pages < j.window_pages)
		return say("take that much of", argv[2], -EINVAL);
	j.buf = aligned_alloc(PAGE, MIB);
	if (j.buf == NULL)
		return say("allocate for", argv[2], -ENOMEM);
	memset(j.buf, 0, MIB);
	rc = run_case(&j, c, rounds);
	free(j.buf);
	return rc;
}

static int cmd_make(const char *path, uint64_t mib)
{
	uint64_t *buf = malloc(MIB), i = 0;
	int fd = -1, rc = 0;

	if (buf == NULL)
		return say("allocate for", path, -ENOMEM);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1)
		rc = -errno;
	for (uint64_t m = 0; rc == 0 && m < mib; m++) {
		ssize_t n;

		for (size_t w = 0; w < MIB / sizeof(*buf); w++)
			buf[w] = word_at(i++);
		n = write(fd, buf, MIB);
		if (n != (ssize_t)MIB)
			rc = n == -1 ? -errno : -ENOSPC;
	}
	if (rc == 0 && fsync(fd) == -1)
		rc = -errno;
	if (fd != -1 && close(fd) == -1 && rc == 0)
		rc = -errno;
	free(buf);
	return rc == 0 ? 0 : say("write", path, rc);
}

static bool words_right(const uint64_t *words, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (words[i] != word_at(first + i))
			return false;
	return true;
}

/* Every word, once as read(2) gives it and once as a mapping shows it. */
static int cmd_verify(const char *path)
{
	uint64_t *buf = malloc(MIB), words = 0;
	int fd = open_file(path), rc = 0;
	const uint64_t *map;
	ssize_t n = -1;

	while (buf != NULL && fd >= 0 && (n = read(fd, buf, MIB)) > 0) {
		if (n % (ssize_t)sizeof(*buf) != 0 || !words_right(buf, words, (uint64_t)n / sizeof(*buf)))
			break;
		words += (uint64_t)n / sizeof(*buf);
	}
	free(buf);
	if (n != 0 || words == 0) {
		rc = -EIO;
	} else {
		map = mmap(NULL, words * sizeof(*map), PROT_READ, MAP_SHARED, fd, 0);
		rc = map == MAP_FAILED ? -errno : words_right(map, 0, words) ? 0 : -EIO;
		if (map != MAP_FAILED)
			munmap((void *)(uintptr_t)map, words * sizeof(*map));
	}
	if (fd >= 0)
		close(fd);
	return rc == 0 ? 0 : say("find the right bytes in", path, rc);
}

int main(int argc, char **argv)
{
	int rc = -EINVAL;

	if (argc == 4 && strcmp(argv[1], "make") == 0) {
		rc = cmd_make(argv[2], strtoul(argv[3], NULL, 10));
	} else if (argc > 2 && strcmp(argv[1], "verify") == 0) {
		rc = 0;
		for (int i = 2; rc == 0 && i < argc; i++)
			rc = cmd_verify(argv[i]);
	} else if (argc == 8 && strcmp(argv[1], "run") == 0) {
		rc = cmd_run(argv + 2);
	} else {
		fprintf(stderr, "usage: bench_read make FILE MIB | verify FILE... |"
			" run CASE OURS OTHER ROUNDS MIB IDLE\n");
		return 2;
	}
	return rc == 0 ? 0 : 1;
}
