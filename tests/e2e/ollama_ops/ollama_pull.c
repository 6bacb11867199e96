/* ollama_pull.c - what a pull does: sparse parallel downloads, and the appending kind. */
#include "tests/e2e/ollama_ops/ollama.h"
#include "tests/e2e/lib/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PULL_SIZE = 12 * 1048576 + 12345 };

/* One part of a download; parts share one descriptor. */
struct pull_part {
	const struct ollama_blob *blob;
	int fd;
	unsigned n;
	size_t offset, size, completed;
	size_t stop;                    /* where this attempt breaks; size when it does not */
};

static void pull_part_path(const struct pull_part *p, char path[OLLAMA_PATH])
{
	snprintf(path, OLLAMA_PATH, "%s-partial-%u", p->blob->path, p->n);
}

static void pull_part_save(const struct pull_part *p)
{
	char path[OLLAMA_PATH], text[200];
	int fd, n;

	pull_part_path(p, path);
	fd = (int)PX_OK(open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0644));
	n = snprintf(text, sizeof(text), "{\"N\":%u,\"Offset\":%zu,\"Size\":%zu,\"Completed\":%zu}\n", p->n,
		     p->offset, p->size, p->completed);
	PX_EQ(PX_OK(write(fd, text, (size_t)n)), n);
	PX_OK(close(fd));
}

static void pull_part_load(struct pull_part *p)
{
	char path[OLLAMA_PATH], text[200];

	pull_part_path(p, path);
	PX_TRUE(ollama_read_file(path, text, sizeof(text)) > 0);
	PX_EQ(sscanf(text, "{\"N\":%u,\"Offset\":%zu,\"Size\":%zu,\"Completed\":%zu}", &p->n, &p->offset,
		     &p->size, &p->completed), 4);
}

/* Writes what is missing of a part, in pieces of the sizes a network gives. */
static void *pull_part_run(void *arg)
{
	struct pull_part *p = arg;
	uint8_t buf[OLLAMA_PIECE];
	size_t piece, left, at;

	while (p->completed < p->stop) {
		left = p->stop - p->completed;
		piece = 1 + (p->offset + p->completed * 2654435761u) % OLLAMA_PIECE;
		if (p->completed % 5 != 0)
			piece = OLLAMA_PIECE;
		piece = piece < left ? piece : left;
		at = p->offset + p->completed;
		px_fill(buf, (off_t)at, piece, p->blob->seed);
		PX_EQ(PX_OK(pwrite(p->fd, buf, piece, (off_t)at)), piece);
		p->completed += piece;
	}
	pull_part_save(p);
	return NULL;
}

static void pull_parts_run(struct pull_part parts[OLLAMA_PARTS])
{
	pthread_t thread[OLLAMA_PARTS];
	int i;

	for (i = 0; i < OLLAMA_PARTS; i++)
		PX_EQ(pthread_create(&thread[i], NULL, pull_part_run, &parts[i]), 0);
	for (i = 0; i < OLLAMA_PARTS; i++)
		PX_EQ(pthread_join(thread[i], NULL), 0);
}

static size_t pull_parts_on_disk(const struct ollama_blob *b)
{
	char pattern[OLLAMA_PATH];
	size_t n = 0;
	glob_t g;
	int rc;

	snprintf(pattern, sizeof(pattern), "%s-partial-*", b->path);
	rc = glob(pattern, GLOB_ERR, NULL, &g);
	PX_TRUE(rc == 0 || rc == GLOB_NOMATCH);
	if (rc == 0)
		n = g.gl_pathc;
	globfree(&g);
	return n;
}

static void pull_plan(const struct ollama_blob *b, struct pull_part parts[OLLAMA_PARTS])
{
	const size_t each = b->size / OLLAMA_PARTS;
	unsigned i;

	for (i = 0; i < OLLAMA_PARTS; i++) {
		parts[i] = (struct pull_part){ .blob = b, .n = i, .offset = i * each };
		parts[i].size = i + 1 < OLLAMA_PARTS ? each : b->size - i * each;
		parts[i].stop = parts[i].size;
		pull_part_save(&parts[i]);
	}
}

static int pull_open(const struct ollama_blob *b, struct pull_part parts[OLLAMA_PARTS])
{
	char partial[OLLAMA_PATH];
	int fd, i;

	snprintf(partial, sizeof(partial), "%s-partial", b->path);
	fd = (int)PX_OK(open(partial, O_CREAT | O_RDWR | O_CLOEXEC, 0644));
	PX_OK(ftruncate(fd, (off_t)b->size));
	for (i = 0; i < OLLAMA_PARTS; i++)
		parts[i].fd = fd;
	return fd;
}

static void pull_seal(const struct ollama_blob *b, const struct pull_part parts[OLLAMA_PARTS], int fd)
{
	char path[OLLAMA_PATH];
	int i;

	PX_OK(close(fd));
	for (i = 0; i < OLLAMA_PARTS; i++) {
		pull_part_path(&parts[i], path);
		PX_OK(unlink(path));
	}
	snprintf(path, sizeof(path), "%s-partial", b->path);
	PX_OK(rename(path, b->path));
}

void ollama_pull(const struct ollama_blob *b)
{
	struct pull_part parts[OLLAMA_PARTS];
	struct stat st;
	int fd;

	ollama_mkdir_all("blobs");
	PX_ERR(stat(b->path, &st), ENOENT);
	PX_EQ(pull_parts_on_disk(b), 0);
	pull_plan(b, parts);
	PX_EQ(pull_parts_on_disk(b), OLLAMA_PARTS);
	fd = pull_open(b, parts);
	pull_parts_run(parts);
	pull_seal(b, parts, fd);
	ollama_check(b);
}

static void pull_fresh(void)
{
	struct ollama_blob b[2];
	const struct ollama_model m = { "registry.ollama.ai", "library", "llama3.2", "1b", b, 2 };
	char path[OLLAMA_PATH];

	ollama_blob_of(&b[0], 1, PULL_SIZE);
	ollama_blob_of(&b[1], 2, 500);
	ollama_pull(&b[0]);
	ollama_pull(&b[1]);
	ollama_manifest(&m);
	PX_EQ(px_entries("blobs"), 2);
	ollama_manifest_path(&m, path);
	PX_EQ(px_stat(path).st_mode, S_IFREG | 0644);
}

/* A break in the middle, then a new process that reads the part files and goes on. */
static void pull_resumed(void)
{
	struct pull_part parts[OLLAMA_PARTS];
	struct ollama_blob b;
	int fd, i;

	ollama_blob_of(&b, 1, PULL_SIZE);
	ollama_mkdir_all("blobs");
	pull_plan(&b, parts);
	fd = pull_open(&b, parts);
	for (i = 0; i < OLLAMA_PARTS; i++)
		parts[i].stop = parts[i].size * (size_t)i / OLLAMA_PARTS;
	pull_parts_run(parts);
	PX_OK(close(fd));
	PX_EQ(pull_parts_on_disk(&b), OLLAMA_PARTS);
	for (i = 0; i < OLLAMA_PARTS; i++) {
		parts[i].completed = 0;
		pull_part_load(&parts[i]);
		PX_EQ(parts[i].completed, parts[i].size * (size_t)i / OLLAMA_PARTS);
		parts[i].stop = parts[i].size;
	}
	fd = pull_open(&b, parts);
	pull_parts_run(parts);
	pull_seal(&b, parts, fd);
	ollama_check(&b);
	PX_EQ(px_entries("blobs"), 1);
}

static void pull_child(void *arg)
{
	ollama_pull(arg);
}

static void pull_two_at_once(void)
{
	struct ollama_blob b[2];
	pid_t pid;

	ollama_blob_of(&b[0], 1, PULL_SIZE);
	ollama_blob_of(&b[1], 2, PULL_SIZE);
	pid = px_fork(pull_child, &b[0]);
	ollama_pull(&b[1]);
	px_join(pid);
	ollama_check(&b[0]);
	ollama_check(&b[1]);
	PX_EQ(px_entries("blobs"), 2);
}

/* The tag moves to a new blob: the manifest is truncated in place, the old layer unlinked. */
static void pull_update(void)
{
	struct ollama_blob old, new;
	struct ollama_model m = { "registry.ollama.ai", "library", "m", "latest", &old, 1 };
	char path[OLLAMA_PATH], text[4096];

	ollama_blob_of(&old, 1, 2000000);
	ollama_blob_of(&new, 2, 3000000);
	ollama_pull(&old);
	ollama_manifest(&m);
	ollama_manifest_path(&m, path);
	ollama_read_file(path, text, sizeof(text));
	PX_TRUE(strstr(text, old.hex) != NULL);
	ollama_pull(&new);
	m.layers = &new;
	ollama_manifest(&m);
	PX_OK(unlink(old.path));
	ollama_read_file(path, text, sizeof(text));
	PX_TRUE(strstr(text, old.hex) == NULL);
	PX_TRUE(strstr(text, new.hex) != NULL);
	PX_EQ(px_entries("blobs"), 1);
}

/* A digest that does not match: the blob is unlinked and pulled again. */
static void pull_corrupt_then_again(void)
{
	struct ollama_blob b, wrong;
	char hex[65];

	ollama_blob_of(&b, 1, 2000000);
	wrong = b;
	wrong.seed = 2;
	ollama_mkdir_all("blobs");
	px_make("blobs/x-partial", b.size, wrong.seed);
	PX_OK(rename("blobs/x-partial", b.path));
	ollama_digest(b.path, hex);
	PX_TRUE(strcmp(hex, b.hex) != 0);
	PX_OK(unlink(b.path));
	ollama_pull(&b);
}

/* A blob that is there is taken as it is; sealing it once more replaces it by the same. */
static void pull_over_existing_name(void)
{
	struct ollama_blob b;
	struct stat st;
	char partial[OLLAMA_PATH];

	ollama_blob_of(&b, 1, 2000000);
	ollama_pull(&b);
	PX_OK(stat(b.path, &st));
	PX_EQ(st.st_size, b.size);
	/* A second server on the same store seals the same blob again. */
	snprintf(partial, sizeof(partial), "%s-partial", b.path);
	px_make(partial, b.size, b.seed);
	PX_OK(rename(partial, b.path));
	ollama_check(&b);
}

static void pull_tensor(const struct ollama_blob *b, size_t have)
{
	char tmp[OLLAMA_PATH], hex[65];
	uint8_t buf[OLLAMA_PIECE];
	struct sha256 s;
	size_t done = 0, part;
	struct stat st;
	ssize_t n;
	int fd;

	if (stat(b->path, &st) == 0 && (size_t)st.st_size == b->size)
		return;
	snprintf(tmp, sizeof(tmp), "%s.tmp", b->path);
	fd = (int)PX_OK(open(tmp, have > 0 ? O_RDWR | O_CLOEXEC : O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	sha256_init(&s);
	while (have > 0 && (n = PX_OK(read(fd, buf, sizeof(buf)))) > 0) {
		sha256_add(&s, buf, (size_t)n);
		done += (size_t)n;
	}
	PX_EQ(done, have);
	for (; done < b->size; done += part) {
		part = b->size - done < sizeof(buf) ? b->size - done : sizeof(buf);
		px_fill(buf, (off_t)done, part, b->seed);
		sha256_add(&s, buf, part);
		PX_EQ(PX_OK(write(fd, buf, part)), part);
	}
	PX_OK(close(fd));
	sha256_hex(&s, hex);
	PX_EQ(strcmp(hex, b->hex), 0);
	PX_OK(rename(tmp, b->path));
}

static void *pull_tensors_run(void *arg)
{
	const struct ollama_blob *b = arg;
	int i;

	for (i = 0; i < 40; i += 4)
		pull_tensor(&b[i], 0);
	return NULL;
}

/* Many blobs of all sizes, four at a time, each appended and renamed. */
static void pull_safetensors(void)
{
	struct ollama_blob b[40];
	pthread_t thread[4];
	int i;

	ollama_mkdir_all("blobs");
	for (i = 0; i < 40; i++)
		ollama_blob_of(&b[i], (uint64_t)i, (size_t)(i % 10 == 9 ? 1500000 + i : 100 + i * 3001));
	for (i = 0; i < 4; i++)
		PX_EQ(pthread_create(&thread[i], NULL, pull_tensors_run, &b[i]), 0);
	for (i = 0; i < 4; i++)
		PX_EQ(pthread_join(thread[i], NULL), 0);
	for (i = 0; i < 40; i++)
		ollama_check(&b[i]);
	PX_EQ(px_entries("blobs"), 40);
}

static void pull_safetensors_resumed(void)
{
	struct ollama_blob b;
	char tmp[OLLAMA_PATH];

	ollama_blob_of(&b, 7, 5000000);
	ollama_mkdir_all("blobs");
	snprintf(tmp, sizeof(tmp), "%s.tmp", b.path);
	px_make(tmp, 1234567, 7);
	pull_tensor(&b, 1234567);
	ollama_check(&b);
	PX_EQ(px_entries("blobs"), 1);
}

static const struct px_case cases[] = {
	PX_CASE(pull_fresh), PX_CASE(pull_resumed), PX_CASE(pull_two_at_once), PX_CASE(pull_update),
	PX_CASE(pull_corrupt_then_again), PX_CASE(pull_over_existing_name), PX_CASE(pull_safetensors),
	PX_CASE(pull_safetensors_resumed)
};

const struct px_suite ollama_pull_suite = PX_SUITE(cases);
