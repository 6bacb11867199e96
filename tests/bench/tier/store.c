/* store.c - make a store large without its bytes: sparse files in home, allocated copies in a cache, and the map's
 * rows of them.  The store is not mounted, and the cache holds a copy already, from which the cache's number comes. */
#include "tests/bench/tier/rig.h"
#include "tiering/home.h"
#include "tiering/io.h"
#include "tiering/map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct store {
	const char *home, *cache;
	struct map *map;
	struct io io;
	uint64_t each;                  /* extents of a blob */
	uint64_t *sums;                 /* [each] */
	uint64_t random;
	bool known;                     /* cache_number is */
	uint8_t cache_number;
	uint64_t found;                 /* extents that the map had */
};

static int see_extents(void *ctx, const struct map_extents *run)
{
	struct store *s = ctx;

	s->known = true;
	s->cache_number = run->cache;
	s->found += run->count;
	return 0;
}

/* A file of that size; whole: with all of its blocks. */
static int make_file(const char *path, uint64_t size, bool whole, struct stat *st)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644), rc = 0;

	if (fd == -1)
		return rig_say("make", path, -errno);
	if (ftruncate(fd, (off_t)size) == -1 || (whole && fallocate(fd, 0, 0, (off_t)size) == -1) || fstat(fd, st) == -1)
		rc = rig_say("make", path, -errno);
	close(fd);
	return rc;
}

static int add_rows(struct store *s, const struct map_blob *blob)
{
	const struct map_extents run = { .blob = blob->id, .cache = s->cache_number, .count = (uint32_t)s->each,
					 .sums = s->sums };
	struct map_txn *t;
	int rc = map_txn_new(&t);

	if (rc != 0)
		return rc;
	rc = map_txn_put_blob(t, blob);
	if (rc == 0)
		rc = map_txn_add(t, &run);
	if (rc != 0) {
		map_txn_free(t);
		return rc;
	}
	return map_commit(s->map, t);
}

static int add_blob(struct store *s, unsigned n)
{
	char name[128], path[PATH_MAX];
	struct map_blob blob = { .id = rig_random(&s->random) | 1, .path = name };
	struct stat st;
	int rc;

	snprintf(name, sizeof(name), "blobs/sha256-%064x", 0x5107e000u + n);
	snprintf(path, sizeof(path), "%s/copies/%016" PRIx64, s->cache, blob.id);
	rc = make_file(path, s->each * RIG_MIB, true, &st);
	if (rc != 0)
		return rc;
	snprintf(path, sizeof(path), "%s/%s", s->home, name);
	rc = make_file(path, s->each * RIG_MIB, false, &st);
	if (rc != 0)
		return rc;
	blob.ident = home_ident(&st);
	for (uint64_t i = 0; i < s->each; i++)
		s->sums[i] = rig_random(&s->random);
	rc = add_rows(s, &blob);
	return rc == 0 ? 0 : rig_say("write rows of", path, rc);
}

static int add_all(struct store *s, unsigned blobs)
{
	const struct map_loader loader = { .extents = see_extents, .ctx = s };
	int rc = map_load(s->map, &loader);

	if (rc != 0)
		return rig_say("load the map of", s->cache, rc);
	if (!s->known)
		return rig_say("find a copy in the map of", s->cache, -ENOENT);
	for (unsigned n = 0; rc == 0 && n < blobs; n++)
		rc = add_blob(s, n);
	return rc;
}

int rig_store(int argc, char **argv)
{
	struct store s = { .home = argv[0], .cache = argv[1], .random = 1 };
	const struct map_config cfg = { .dir = argv[1], .io = &s.io };
	unsigned blobs = (unsigned)strtoul(argv[2], NULL, 10);
	struct map_report report;
	char err[256];
	int rc;

	(void)argc;
	s.each = blobs > 0 ? strtoull(argv[3], NULL, 10) / blobs : 0;
	if (s.each == 0 || s.each > MAP_TXN_BYTES_MAX / 2 / sizeof(*s.sums))
		return rig_say("make so many extents in", argv[0], -EINVAL);
	s.sums = calloc(s.each, sizeof(*s.sums));
	if (s.sums == NULL)
		return rig_say("allocate for", argv[0], -ENOMEM);
	rc = map_open(&s.map, &cfg, &report, err, sizeof(err));
	if (rc == 0) {
		rc = add_all(&s, blobs);
		map_close(s.map);
	} else {
		fprintf(stderr, "tier_bench: %s\n", err);
	}
	free(s.sums);
	if (rc == 0)
		printf("%" PRIu64 "\n", s.found + s.each * blobs);
	return rc;
}
