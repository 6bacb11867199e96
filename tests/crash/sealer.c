/* sealer.c - sealer STORE LOG [-s SEED] [-n BLOBS] [-f none|dir|full]: seals blobs as Ollama does, for ever
 * or BLOBS times, and says in LOG what the store has acknowledged.
 *
 * LOG lies outside the store; every line is on its disk before the next operation starts:
 *   B PATH HEX SIZE    the rename that sealed a blob has returned
 *   M PATH HEX SIZE    the close of a manifest has returned
 *   F PATH HEX SIZE    fsync of a file has returned
 *   x PATH             PATH is about to be rewritten or unlinked: nothing is promised of it any more
 * The sealer syncs nothing but the files whose fsync it reports, no more than Ollama does.  -f is for
 * a store that promises nothing: "full" syncs data and directories, "dir" forgets the data, "none"
 * reports an fsync that it never made.
 *
 * Exit status 0 when all is done, 3 when the store failed an operation (it was taken away).
 */
#include "tests/e2e/lib/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALER_PIECE = 32768, SEALER_MAX = 5 << 20, SEALER_PARTS = 4, SEALER_KEEP = 12, SEALER_MODELS = 5 };

enum sealer_sync { SEALER_SYNC_CLIENT, SEALER_SYNC_NONE, SEALER_SYNC_DIR, SEALER_SYNC_FULL };

struct sealer {
	int log;
	enum sealer_sync sync;
	uint64_t random, seed;
	uint8_t *data;                          /* [SEALER_MAX] */
	size_t size;
	char hex[65];
	char kept[SEALER_KEEP][80];             /* blobs still there, a ring */
	unsigned made;
};

static uint64_t sealer_next(struct sealer *s)
{
	uint64_t x = s->random += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void sealer_digest(const void *data, size_t size, char hex[65])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, data, size);
	sha256_hex(&h, hex);
}

/* One line, durable. */
static int sealer_log(struct sealer *s, const char *line)
{
	if (write(s->log, line, strlen(line)) != (ssize_t)strlen(line) || fdatasync(s->log) != 0)
		return -EIO;
	return 0;
}

static int sealer_log_done(struct sealer *s, char what, const char *path, const char *hex, size_t size)
{
	char line[400];

	snprintf(line, sizeof(line), "%c %s %s %zu\n", what, path, hex, size);
	return sealer_log(s, line);
}

static int sealer_log_void(struct sealer *s, const char *path)
{
	char line[400];

	snprintf(line, sizeof(line), "x %s\n", path);
	return sealer_log(s, line);
}

static int sealer_sync_dir(const struct sealer *s, const char *path)
{
	int fd, rc = 0;

	if (s->sync == SEALER_SYNC_CLIENT || s->sync == SEALER_SYNC_NONE)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* Closes fd; an error of the close counts when nothing failed before. */
static int sealer_close(const struct sealer *s, int fd, int rc)
{
	if (rc == 0 && s->sync == SEALER_SYNC_FULL && fsync(fd) != 0)
		rc = -errno;
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int sealer_put(const struct sealer *s, const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), rc = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, data, size);
	if (n != (ssize_t)size)
		rc = n < 0 ? -errno : -EIO;
	return sealer_close(s, fd, rc);
}

static void sealer_new_content(struct sealer *s)
{
	size_t i;
	uint64_t w;

	s->size = sealer_next(s) % 4 == 0 ? 1 + sealer_next(s) % 60000 : (1 << 20) + sealer_next(s) % (4 << 20);
	for (i = 0; i < s->size; i += 8) {
		w = sealer_next(s);
		memcpy(s->data + i, &w, s->size - i < 8 ? s->size - i : 8);
	}
	sealer_digest(s->data, s->size, s->hex);
}

/* Pieces of at most 32 KiB; the parts take turns, so they come out of order. */
static int sealer_write_parts(struct sealer *s, int fd)
{
	const size_t each = s->size / SEALER_PARTS + 1;
	size_t at[SEALER_PARTS], end, n;
	bool more = true;
	int i;

	for (i = 0; i < SEALER_PARTS; i++)
		at[i] = (size_t)i * each;
	while (more) {
		more = false;
		for (i = SEALER_PARTS - 1; i >= 0; i--) {
			end = (size_t)(i + 1) * each < s->size ? (size_t)(i + 1) * each : s->size;
			if (at[i] >= end)
				continue;
			n = end - at[i] < SEALER_PIECE ? end - at[i] : SEALER_PIECE;
			if (pwrite(fd, s->data + at[i], n, (off_t)at[i]) != (ssize_t)n)
				return -errno;
			at[i] += n;
			more = true;
		}
	}
	return 0;
}

/* The parallel download: part files, sparse at full size, unlink of the parts, rename. */
static int sealer_pull(struct sealer *s, const char *blob)
{
	char partial[120], part[130];
	int fd, i, rc;

	snprintf(partial, sizeof(partial), "%s-partial", blob);
	for (i = 0; i < SEALER_PARTS; i++) {
		snprintf(part, sizeof(part), "%s-%d", partial, i);
		rc = sealer_put(s, part, "{\"N\":0}\n", 8);
		if (rc != 0)
			return rc;
	}
	fd = open(partial, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, (off_t)s->size) != 0 ? -errno : sealer_write_parts(s, fd);
	rc = sealer_close(s, fd, rc);
	for (i = 0; i < SEALER_PARTS && rc == 0; i++) {
		snprintf(part, sizeof(part), "%s-%d", partial, i);
		if (unlink(part) != 0)
			rc = -errno;
	}
	if (rc == 0 && rename(partial, blob) != 0)
		rc = -errno;
	return rc;
}

/* A name that is written in a row and renamed: a created layer, or a tensor's .tmp. */
static int sealer_append(struct sealer *s, const char *blob, bool create)
{
	char temp[120];
	size_t done, n;
	int fd, rc = 0;

	if (create)
		snprintf(temp, sizeof(temp), "blobs/sha256-%" PRIu64, sealer_next(s) % 10000000000u);
	else
		snprintf(temp, sizeof(temp), "%s.tmp", blob);
	fd = open(temp, O_RDWR | O_CREAT | O_CLOEXEC | (create ? O_EXCL : O_TRUNC), create ? 0600 : 0644);
	if (fd < 0)
		return -errno;
	for (done = 0; done < s->size && rc == 0; done += n) {
		n = s->size - done < SEALER_PIECE ? s->size - done : SEALER_PIECE;
		if (write(fd, s->data + done, n) != (ssize_t)n)
			rc = -errno;
	}
	rc = sealer_close(s, fd, rc);
	if (rc == 0 && rename(temp, blob) != 0)
		rc = -errno;
	return rc;
}

static int sealer_touch(const char *blob)
{
	const struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

	if (chmod(blob, 0644) != 0 || utimensat(AT_FDCWD, blob, now, 0) != 0)
		return -errno;
	return 0;
}

static int sealer_seal(struct sealer *s)
{
	char *blob = s->kept[s->made % SEALER_KEEP];
	const bool create = s->made % 3 == 1;
	int rc = 0;

	if (s->made >= SEALER_KEEP) {
		rc = sealer_log_void(s, blob);
		if (rc == 0 && unlink(blob) != 0)
			rc = -errno;
	}
	if (rc != 0)
		return rc;
	sealer_new_content(s);
	snprintf(blob, sizeof(s->kept[0]), "blobs/sha256-%s", s->hex);
	rc = s->made % 3 == 0 ? sealer_pull(s, blob) : sealer_append(s, blob, create);
	if (rc == 0)
		rc = sealer_sync_dir(s, "blobs");
	if (rc == 0)
		rc = sealer_log_done(s, 'B', blob, s->hex, s->size);
	if (rc == 0 && create)
		rc = sealer_touch(blob);
	return rc;
}

static int sealer_mkdir(const struct sealer *s, const char *path, const char *parent)
{
	if (mkdir(path, 0755) != 0)
		return errno == EEXIST ? 0 : -errno;
	return sealer_sync_dir(s, parent);
}

static int sealer_manifest(struct sealer *s)
{
	char dir[100], path[120], text[400], hex[65];
	int n, rc;

	n = snprintf(text, sizeof(text), "{\"schemaVersion\":2,\"layers\":[{\"digest\":\"sha256:%s\",\"size\":%zu}],"
		     "\"n\":%u}", s->hex, s->size, s->made);
	sealer_digest(text, (size_t)n, hex);
	snprintf(dir, sizeof(dir), "manifests/registry.ollama.ai/library/m%u", s->made % SEALER_MODELS);
	snprintf(path, sizeof(path), "%s/latest", dir);
	rc = sealer_mkdir(s, dir, "manifests/registry.ollama.ai/library");
	if (rc == 0)
		rc = sealer_log_void(s, path);
	if (rc == 0)
		rc = sealer_put(s, path, text, (size_t)n);
	if (rc == 0)
		rc = sealer_sync_dir(s, dir);
	return rc != 0 ? rc : sealer_log_done(s, 'M', path, hex, (size_t)n);
}

/* A file that its writer syncs, in the root as in ollama-safetensors: its name counts as well. */
static int sealer_fsynced(struct sealer *s)
{
	const size_t size = s->size < 300000 ? s->size : 300000;
	char path[60], hex[65];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "note-%u", s->made % 8);
	sealer_digest(s->data, size, hex);
	rc = sealer_log_void(s, path);
	if (rc != 0)
		return rc;
	if (unlink(path) != 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, s->data, size) != (ssize_t)size)
		rc = -errno;
	if (rc == 0 && (s->sync == SEALER_SYNC_CLIENT || s->sync == SEALER_SYNC_FULL) && fsync(fd) != 0)
		rc = -errno;
	if (rc == 0)
		rc = sealer_sync_dir(s, ".");
	if (rc == 0)
		rc = sealer_log_done(s, 'F', path, hex, size);
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int sealer_prepare(struct sealer *s)
{
	static const char *const dirs[][2] = {
		{ "blobs", "." }, { "manifests", "." }, { "manifests/registry.ollama.ai", "manifests" },
		{ "manifests/registry.ollama.ai/library", "manifests/registry.ollama.ai" }
	};
	size_t i;
	int rc = 0;

	for (i = 0; i < 4 && rc == 0; i++)
		rc = sealer_mkdir(s, dirs[i][0], dirs[i][1]);
	return rc;
}

static int sealer_run(struct sealer *s, unsigned limit)
{
	int rc = sealer_prepare(s);

	for (s->made = 0; rc == 0 && (limit == 0 || s->made < limit); s->made++) {
		rc = sealer_seal(s);
		if (rc == 0)
			rc = sealer_manifest(s);
		if (rc == 0 && s->made % 3 == 2)
			rc = sealer_fsynced(s);
	}
	return rc;
}

static bool sealer_options(struct sealer *s, int argc, char **argv, unsigned *limit)
{
	int c;

	while ((c = getopt(argc, argv, "s:n:f:")) != -1) {
		if (c == 's')
			s->seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			*limit = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'f')
			s->sync = optarg[0] == 'f' ? SEALER_SYNC_FULL : optarg[0] == 'd' ? SEALER_SYNC_DIR :
				  SEALER_SYNC_NONE;
		else
			return false;
	}
	return optind + 2 == argc;
}

int main(int argc, char **argv)
{
	static uint8_t data[SEALER_MAX + 8];
	struct sealer s = { .seed = 1, .data = data };
	unsigned limit = 0;
	int rc;

	if (!sealer_options(&s, argc, argv, &limit)) {
		fprintf(stderr, "usage: sealer STORE LOG [-s SEED] [-n BLOBS] [-f none|dir|full]\n");
		return 2;
	}
	s.random = s.seed;
	s.log = open(argv[optind + 1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (s.log < 0 || chdir(argv[optind]) != 0) {
		fprintf(stderr, "cannot start: %s\n", strerror(errno));
		return 1;
	}
	rc = sealer_run(&s, limit);
	printf("sealer: %u blobs sealed, %s\n", s.made, rc != 0 ? strerror(-rc) : "done");
	return rc != 0 ? 3 : 0;
}
