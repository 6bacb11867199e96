/* sealcheck.c - sealcheck HOME LOG: is all in HOME that a sealer's LOG says was acknowledged?
 *
 *   lost     an acknowledged blob, manifest or fsynced file is gone or is not what was acknowledged
 *   wrong    a file has a blob's final name and not that content, acknowledged or not: whoever finds
 *            the name trusts it
 *   foreign  a name that neither Ollama nor the sealer made
 * Exit status 0 when there is none of these, 1 when there is, 2 when nothing was acknowledged, so
 * that nothing was proved.
 */
#include "tests/e2e/lib/sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECK_PATH = 160, CHECK_MAX = 20000, CHECK_DEPTH = 8 };

/* The last word of the log on one path. */
struct check_entry {
	char path[CHECK_PATH];
	char hex[65];
	uint64_t size;
	char what;                      /* B, M, F; x: nothing is promised */
};

struct check {
	struct check_entry *entries;    /* [CHECK_MAX] */
	size_t n;
	uint64_t seals, manifests, fsyncs, bytes, lost, wrong, foreign;
};

static struct check_entry *check_find(struct check *c, const char *path)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->entries[i].path, path) == 0)
			return &c->entries[i];
	return NULL;
}

static bool check_line(struct check *c, const char *line)
{
	struct check_entry e = { .what = line[0] }, *old;

	if (line[0] == 'x') {
		if (sscanf(line + 1, " %159s", e.path) != 1)
			return false;
	} else if (strchr("BMF", line[0]) == NULL ||
		   sscanf(line + 1, " %159s %64s %" SCNu64, e.path, e.hex, &e.size) != 3) {
		return false;
	}
	c->seals += e.what == 'B';
	c->manifests += e.what == 'M';
	c->fsyncs += e.what == 'F';
	old = check_find(c, e.path);
	if (old == NULL && c->n == CHECK_MAX)
		return false;
	if (old == NULL)
		old = &c->entries[c->n++];
	*old = e;
	return true;
}

static int check_log(struct check *c, const char *path)
{
	FILE *f = fopen(path, "r");
	char line[400];
	int rc = 0;

	if (f == NULL)
		return -errno;
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL)
		if (!check_line(c, line))
			rc = -EINVAL;
	fclose(f);
	return rc;
}

/* Digest and size of a file; negative errno where it cannot be read. */
static int check_digest(struct check *c, const char *path, char hex[65], uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	uint8_t buf[65536];
	struct sha256 h;
	ssize_t n;

	if (fd < 0)
		return -errno;
	sha256_init(&h);
	*size = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		sha256_add(&h, buf, (size_t)n);
		*size += (uint64_t)n;
	}
	if (n < 0)
		rc = -errno;
	sha256_hex(&h, hex);
	c->bytes += *size;
	close(fd);
	return rc;
}

static void check_acknowledged(struct check *c, const struct check_entry *e)
{
	char hex[65];
	uint64_t size;
	int rc;

	if (e->what == 'x')
		return;
	rc = check_digest(c, e->path, hex, &size);
	if (rc == 0 && size == e->size && strcmp(hex, e->hex) == 0)
		return;
	c->lost++;
	if (rc != 0)
		printf("lost: %s: %s\n", e->path, strerror(-rc));
	else
		printf("lost: %s: %" PRIu64 " bytes of %" PRIu64 ", other content\n", e->path, size, e->size);
}

static bool check_is_blob(const char *name)
{
	return strncmp(name, "sha256-", 7) == 0 && strlen(name) == 71 &&
	       strspn(name + 7, "0123456789abcdef") == 64;
}

/* Names that are being written: <blob>-partial, <blob>-partial-<N>, <blob>.tmp, sha256-<digits>. */
static bool check_is_scratch(const char *name)
{
	const char *tail;

	if (strncmp(name, "sha256-", 7) != 0)
		return false;
	tail = name + 7 + strspn(name + 7, "0123456789abcdef");
	if (*tail == 0)
		return strspn(name + 7, "0123456789") == strlen(name + 7);
	if (tail != name + 71)
		return false;
	return strcmp(tail, ".tmp") == 0 || (strncmp(tail, "-partial", 8) == 0 &&
	       (tail[8] == 0 || (tail[8] == '-' && strspn(tail + 9, "0123456789") == strlen(tail + 9))));
}

static void check_file(struct check *c, const char *path, const char *name)
{
	char hex[65];
	uint64_t size;

	if (strncmp(path, "blobs/", 6) == 0 && check_is_blob(name)) {
		if (check_digest(c, path, hex, &size) == 0 && strcmp(hex, name + 7) == 0)
			return;
		c->wrong++;
		printf("wrong: %s: %" PRIu64 " bytes that are not its digest's\n", path, size);
		return;
	}
	if ((strncmp(path, "blobs/", 6) == 0 && check_is_scratch(name)) || check_find(c, path) != NULL)
		return;
	c->foreign++;
	printf("foreign: %s\n", path);
}

static void check_walk(struct check *c, const char *dir, int depth)
{
	char path[CHECK_PATH];
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(dir);

	if (d == NULL) {
		printf("lost: %s: %s\n", dir, strerror(errno));
		c->lost++;
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (strcmp(dir, ".") == 0)
			snprintf(path, sizeof(path), "%.150s", e->d_name);
		else
			snprintf(path, sizeof(path), "%.70s/%.80s", dir, e->d_name);
		if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && depth < CHECK_DEPTH)
			check_walk(c, path, depth + 1);
		else
			check_file(c, path, e->d_name);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	struct check c = { .entries = calloc(CHECK_MAX, sizeof(struct check_entry)) };
	size_t i;
	int rc;

	if (argc != 3 || c.entries == NULL) {
		fprintf(stderr, "usage: sealcheck HOME LOG\n");
		return 3;
	}
	rc = check_log(&c, argv[2]);
	if (rc != 0 || chdir(argv[1]) != 0) {
		fprintf(stderr, "cannot check: %s\n", strerror(rc != 0 ? -rc : errno));
		return 3;
	}
	for (i = 0; i < c.n; i++)
		check_acknowledged(&c, &c.entries[i]);
	check_walk(&c, ".", 0);
	printf("sealcheck: %" PRIu64 " seals, %" PRIu64 " manifests, %" PRIu64 " fsyncs acknowledged, %" PRIu64
	       " bytes checked, %" PRIu64 " lost, %" PRIu64 " wrong, %" PRIu64 " foreign\n", c.seals, c.manifests,
	       c.fsyncs, c.bytes, c.lost, c.wrong, c.foreign);
	free(c.entries);
	if (c.seals == 0 || c.manifests == 0)
		return 2;
	return c.lost + c.wrong + c.foreign != 0;
}
