/* file.c - files of known words, and their pages in memory. */
#include "tests/bench/tier/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define DROP_TRIES    200
#define DROP_PAUSE_NS 10000000
#define MINCORE_PAGES 65536u            /* asked about at once */

int rig_say(const char *what, const char *path, int rc)
{
	fprintf(stderr, "tier_bench: cannot %s '%s': %s\n", what, path, strerror(-rc));
	return rc;
}

uint64_t rig_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void rig_pause_ns(long ns)
{
	const struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

double rig_cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* splitmix64. */
uint64_t rig_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t rig_word(uint64_t seed, uint64_t i)
{
	uint64_t state = (seed << 44) + i * 0x9e3779b97f4a7c15u;

	return rig_random(&state);
}

uint64_t rig_sum(const void *at, uint64_t pages)
{
	const volatile uint64_t *word = at;
	uint64_t sum = 0;

	for (uint64_t p = 0; p < pages; p++)
		sum += word[p * RIG_PAGE_WORDS];
	return sum;
}

uint64_t rig_sum_expected(uint64_t seed, uint64_t first_page, uint64_t pages)
{
	uint64_t sum = 0;

	for (uint64_t p = first_page; p < first_page + pages; p++)
		sum += rig_word(seed, p * RIG_PAGE_WORDS);
	return sum;
}

int rig_open(const char *path, uint64_t *pages)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct stat st;

	if (fd == -1)
		return rig_say("open", path, -errno);
	if (fstat(fd, &st) == -1) {
		rc = rig_say("stat", path, -errno);
		close(fd);
		return rc;
	}
	*pages = (uint64_t)st.st_size / RIG_PAGE;
	return fd;
}

int rig_map(const char *path, void **at, uint64_t *pages)
{
	int fd = rig_open(path, pages), rc = 0;
	void *map;

	if (fd < 0)
		return fd;
	map = mmap(NULL, *pages * RIG_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		rc = rig_say("map", path, -errno);
	else
		*at = map;
	close(fd);
	return rc;
}

static int write_words(int fd, uint64_t seed, uint64_t mib, uint64_t *buf)
{
	uint64_t i = 0;

	for (uint64_t m = 0; m < mib; m++) {
		ssize_t n;

		for (size_t w = 0; w < RIG_MIB / sizeof(*buf); w++)
			buf[w] = rig_word(seed, i++);
		n = write(fd, buf, RIG_MIB);
		if (n != (ssize_t)RIG_MIB)
			return n == -1 ? -errno : -ENOSPC;
	}
	return fsync(fd) == -1 ? -errno : 0;
}

int rig_make(int argc, char **argv)
{
	uint64_t *buf = malloc(RIG_MIB);
	int fd, rc;

	(void)argc;
	if (buf == NULL)
		return rig_say("allocate for", argv[0], -ENOMEM);
	fd = open(argv[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	rc = fd == -1 ? -errno : write_words(fd, strtoull(argv[2], NULL, 10), strtoull(argv[1], NULL, 10), buf);
	if (fd != -1) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	free(buf);
	return rc == 0 ? 0 : rig_say("write", argv[0], rc);
}

/* Of a mapping whose pages nobody has touched through it. */
static int count_resident(char *at, uint64_t pages, uint64_t *resident)
{
	unsigned char *vec = malloc(MINCORE_PAGES);
	uint64_t n = 0;
	int rc = vec != NULL ? 0 : -ENOMEM;

	for (uint64_t p = 0; rc == 0 && p < pages; p += MINCORE_PAGES) {
		size_t some = pages - p < MINCORE_PAGES ? pages - p : MINCORE_PAGES;

		if (mincore(at + p * RIG_PAGE, some * RIG_PAGE, vec) == -1)
			rc = -errno;
		for (size_t i = 0; rc == 0 && i < some; i++)
			n += vec[i] & 1;
	}
	free(vec);
	if (rc == 0)
		*resident = n;
	return rc;
}

int rig_resident(const char *path, uint64_t first, uint64_t pages, uint64_t *resident)
{
	uint64_t all;
	void *at;
	int rc = rig_map(path, &at, &all);

	if (rc != 0)
		return rc;
	if (first > all || pages > all - first)
		rc = -EINVAL;
	else
		rc = count_resident((char *)at + first * RIG_PAGE, pages, resident);
	munmap(at, all * RIG_PAGE);
	return rc == 0 ? 0 : rig_say("see the pages of", path, rc);
}

static int drop_once(const char *path, uint64_t *left)
{
	uint64_t pages;
	int fd = rig_open(path, &pages);

	*left = 0;
	if (fd < 0)
		return fd;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return pages > 0 ? rig_resident(path, 0, pages, left) : 0;
}

int rig_drop(char *const *path, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t left = 1;
		int rc = 0;

		for (int t = 0; rc == 0 && left > 0 && t < DROP_TRIES; t++) {
			if (t > 0)
				rig_pause_ns(DROP_PAUSE_NS);
			rc = drop_once(path[i], &left);
		}
		if (rc != 0)
			return rc;
		if (left > 0)
			return rig_say("drop the pages of", path[i], -EBUSY);
	}
	return 0;
}

int rig_drop_files(int argc, char **argv)
{
	return rig_drop(argv, argc);
}

int rig_resident_bytes(int argc, char **argv)
{
	uint64_t sum = 0;

	for (int i = 0; i < argc; i++) {
		uint64_t pages, n = 0;
		int fd = rig_open(argv[i], &pages), rc;

		if (fd < 0)
			return fd;
		close(fd);
		rc = pages > 0 ? rig_resident(argv[i], 0, pages, &n) : 0;
		if (rc != 0)
			return rc;
		sum += n;
	}
	printf("%llu\n", (unsigned long long)(sum * RIG_PAGE));
	return 0;
}

int rig_xattr(int argc, char **argv)
{
	char value[4096];
	ssize_t n;

	if (argc == 3) {
		if (setxattr(argv[0], argv[1], argv[2], strlen(argv[2]), 0) == -1)
			return rig_say("set an attribute of", argv[0], -errno);
		return 0;
	}
	n = getxattr(argv[0], argv[1], value, sizeof(value));
	if (n == -1)
		return rig_say("read an attribute of", argv[0], -errno);
	printf("%.*s\n", (int)n, value);
	return 0;
}
