/* pair.c - reading whole files and windows of them, timed; ours and the other by turns. */
#include "tests/bench/tier/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAUSE_NS      200000            /* before a sample: it then begins with a new time slice */
#define COLD_TRIES    100
#define COLD_PAUSE_NS 10000000

int rig_how_of(const char *name, enum rig_how *how)
{
	static const char *const names[] = { [RIG_READ] = "read", [RIG_MAP] = "map", [RIG_POPULATE] = "populate" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			*how = (enum rig_how)i;
			return 0;
		}
	}
	fprintf(stderr, "tier_bench: '%s' is no way to read\n", name);
	return -EINVAL;
}

static int read_span(const struct rig_span *s, int fd, uint64_t *ns, uint64_t *sum)
{
	uint64_t left = s->pages * RIG_PAGE, at = s->first_page * RIG_PAGE, start;
	char *buf = aligned_alloc(RIG_PAGE, RIG_MIB);
	int rc = 0;

	if (buf == NULL)
		return -ENOMEM;
	memset(buf, 0, RIG_MIB);
	if (lseek(fd, (off_t)at, SEEK_SET) == -1)
		rc = -errno;
	rig_pause_ns(PAUSE_NS);
	start = rig_now_ns();
	while (rc == 0 && left > 0) {
		ssize_t n = read(fd, buf, left < RIG_MIB ? left : RIG_MIB);

		if (n <= 0 || n % RIG_PAGE != 0) {
			rc = n == -1 ? -errno : -EIO;
			break;
		}
		*sum += rig_sum(buf, (uint64_t)n / RIG_PAGE);
		left -= (uint64_t)n;
	}
	*ns = rig_now_ns() - start;
	free(buf);
	return rc;
}

static int map_span(const struct rig_span *s, int fd, uint64_t *ns, uint64_t *sum)
{
	int flags = MAP_SHARED | (s->how == RIG_POPULATE ? MAP_POPULATE : 0);
	size_t bytes = s->pages * RIG_PAGE;
	uint64_t start;
	void *map;

	rig_pause_ns(PAUSE_NS);
	start = rig_now_ns();
	map = mmap(NULL, bytes, PROT_READ, flags, fd, (off_t)(s->first_page * RIG_PAGE));
	if (map == MAP_FAILED)
		return -errno;
	if (s->how == RIG_POPULATE)
		*ns = rig_now_ns() - start;
	*sum = rig_sum(map, s->pages);
	if (s->how == RIG_MAP)
		*ns = rig_now_ns() - start;
	munmap(map, bytes);
	return 0;
}

int rig_read(const struct rig_span *s, uint64_t *ns)
{
	uint64_t all, sum = 0;
	int fd = rig_open(s->path, &all), rc;

	if (fd < 0)
		return fd;
	if (s->pages == 0 || s->first_page > all || s->pages > all - s->first_page)
		rc = -EINVAL;
	else
		rc = s->how == RIG_READ ? read_span(s, fd, ns, &sum) : map_span(s, fd, ns, &sum);
	close(fd);
	if (rc != 0)
		return rig_say("read", s->path, rc);
	if (sum == rig_sum_expected(s->seed, s->first_page, s->pages))
		return 0;
	fprintf(stderr, "tier_bench: '%s' gave wrong bytes\n", s->path);
	return -EIO;
}

int rig_load(int argc, char **argv)
{
	struct rig_span s = { .path = argv[1], .seed = strtoull(argv[2], NULL, 10) };
	uint64_t ns = 0;
	double cpu;
	int fd, rc = rig_how_of(argv[0], &s.how);

	(void)argc;
	fd = rc == 0 ? rig_open(s.path, &s.pages) : rc;
	if (fd < 0)
		return fd;
	close(fd);
	cpu = rig_cpu_seconds();
	rc = rig_read(&s, &ns);
	if (rc == 0)
		printf("%.9g %.6f\n", (double)(s.pages * RIG_PAGE) / (double)ns, rig_cpu_seconds() - cpu);
	return rc;
}

/* ---- by turns ---- */

struct pair {
	const char *path[2];            /* ours, other */
	uint64_t seed, file_pages, window_pages;
	enum rig_how how;
	bool warm;
	long idle_ns;                   /* before a cold sample */
	char **backing;                 /* files whose pages a cold sample starts without */
	int backings;
	uint64_t read_again;            /* pages that a warm sample found missing */
};

/* Nothing of either file is in memory.  For a native open that is a matter of the backing file alone.  Pages that
 * read-ahead is still fetching do not count as there yet, so what was empty can fill once more. */
static int make_cold(const struct pair *p)
{
	uint64_t left = 1;
	int rc = 0;

	for (int t = 0; rc == 0 && left > 0 && t < COLD_TRIES; t++) {
		uint64_t some = 0;

		rig_pause_ns(t > 0 ? COLD_PAUSE_NS : 0);
		left = 0;
		rc = rig_drop(p->backing, p->backings);
		for (int side = 0; rc == 0 && side < 2; side++) {
			rc = rig_resident(p->path[side], 0, p->file_pages, &some);
			left |= some;
		}
	}
	if (rc == 0 && left > 0)
		rc = rig_say("drop what stands behind", p->path[0], -EBUSY);
	rig_pause_ns(p->idle_ns);
	return rc;
}

/* The window is in memory; pages that somebody took away meanwhile are read again before it is timed. */
static int make_warm(struct pair *p, const struct rig_span *s)
{
	struct rig_span whole = *s;
	uint64_t resident = 0, ns;
	int rc = rig_resident(s->path, s->first_page, s->pages, &resident);

	if (rc != 0 || resident == s->pages)
		return rc;
	p->read_again += s->pages - resident;
	whole.how = RIG_READ;
	return rig_read(&whole, &ns);
}

/* The windows walk through the file, the other's half a file away from ours, so that neither finds in the
 * processor's cache what its neighbour has just left there. */
static int sample(struct pair *p, int side, uint64_t round, bool report)
{
	uint64_t windows = p->file_pages / p->window_pages, ns = 1;
	struct rig_span s = { .path = p->path[side], .seed = p->seed, .pages = p->window_pages, .how = p->how,
			      .first_page = (round + (side == 1 ? windows / 2 : 0)) % windows * p->window_pages };
	int rc = p->warm ? make_warm(p, &s) : make_cold(p);

	if (rc == 0)
		rc = rig_read(&s, &ns);
	if (rc == 0 && report)
		printf("%s %.9g\n", side == 0 ? "ours" : "other", (double)(s.pages * RIG_PAGE) / (double)ns);
	return rc;
}

/* Each side once that is not counted, then the rounds; which side goes first alternates. */
static int run_pair(struct pair *p, uint64_t rounds)
{
	int rc = 0;

	for (int side = 0; rc == 0 && side < 2; side++)
		rc = sample(p, side, 0, false);
	p->read_again = 0;
	for (uint64_t r = 0; rc == 0 && r < rounds; r++) {
		int first = (int)(r & 1);

		rc = sample(p, first, r, true);
		if (rc == 0)
			rc = sample(p, 1 - first, r, true);
	}
	if (p->read_again > 0)
		fprintf(stderr, "tier_bench: %llu MiB had left memory between samples and were read again, untimed\n",
			(unsigned long long)(p->read_again / RIG_MIB_PAGES));
	return rc;
}

int rig_pair(int argc, char **argv)
{
	struct pair p = { .path = { argv[1], argv[2] }, .seed = strtoull(argv[3], NULL, 10),
			  .window_pages = strtoull(argv[5], NULL, 10) * RIG_MIB_PAGES,
			  .warm = strcmp(argv[6], "warm") == 0, .idle_ns = strtol(argv[6], NULL, 10) % 1000 * 1000000,
			  .backing = argv + 7, .backings = argc - 7 };
	int fd, rc = rig_how_of(argv[0], &p.how);

	fd = rc == 0 ? rig_open(argv[2], &p.file_pages) : rc;
	if (fd < 0)
		return fd;
	close(fd);
	if (p.window_pages == 0 || p.file_pages < p.window_pages)
		return rig_say("take such windows of", argv[2], -EINVAL);
	return run_pair(&p, strtoull(argv[4], NULL, 10));
}

/* The second of two walks over a mapping: its pages are in memory and in the page tables. */
int rig_map_rate(int argc, char **argv)
{
	uint64_t pages, want = strtoull(argv[2], NULL, 10) * RIG_MIB_PAGES, start, ns;
	uint64_t expected, seed = strtoull(argv[1], NULL, 10);
	void *at;
	int rc = rig_map(argv[0], &at, &pages);

	(void)argc;
	if (rc != 0)
		return rc;
	want = want < pages ? want : pages;
	expected = rig_sum_expected(seed, 0, want);
	rc = rig_sum(at, want) == expected ? 0 : -EIO;
	start = rig_now_ns();
	if (rig_sum(at, want) != expected)
		rc = -EIO;
	ns = rig_now_ns() - start;
	munmap(at, pages * RIG_PAGE);
	if (rc != 0)
		return rig_say("find the right bytes in", argv[0], rc);
	printf("%.9g\n", (double)(want * RIG_PAGE) / (double)ns);
	return 0;
}
