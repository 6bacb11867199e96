/* ollama_store.c - blobs, manifests and temporary files; see ollama.h. */
#include "tests/e2e/ollama_ops/ollama.h"
#include "tests/e2e/lib/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void ollama_blob_of(struct ollama_blob *b, uint64_t seed, size_t size)
{
	uint8_t buf[OLLAMA_PIECE];
	struct sha256 s;
	size_t done, part;

	sha256_init(&s);
	for (done = 0; done < size; done += part) {
		part = size - done < sizeof(buf) ? size - done : sizeof(buf);
		px_fill(buf, (off_t)done, part, seed);
		sha256_add(&s, buf, part);
	}
	sha256_hex(&s, b->hex);
	snprintf(b->path, sizeof(b->path), "blobs/sha256-%s", b->hex);
	b->size = size;
	b->seed = seed;
}

void ollama_digest(const char *path, char hex[65])
{
	uint8_t buf[OLLAMA_PIECE];
	struct sha256 s;
	ssize_t n;
	int fd = (int)PX_OK(open(path, O_RDONLY | O_CLOEXEC));

	sha256_init(&s);
	while ((n = PX_OK(read(fd, buf, sizeof(buf)))) > 0)
		sha256_add(&s, buf, (size_t)n);
	sha256_hex(&s, hex);
	PX_OK(close(fd));
}

void ollama_check(const struct ollama_blob *b)
{
	char hex[65];

	ollama_digest(b->path, hex);
	PX_EQ(strcmp(hex, b->hex), 0);
	PX_EQ(px_stat(b->path).st_size, b->size);
	PX_EQ(px_stat(b->path).st_mode, S_IFREG | 0644);
	PX_EQ(px_stat(b->path).st_nlink, 1);
}

void ollama_mkdir_all(const char *path)
{
	char part[OLLAMA_PATH];
	struct stat st;
	size_t i;

	if (stat(path, &st) == 0)
		return;
	for (i = 1; i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (mkdir(part, 0755) != 0)
			PX_EQ(errno, EEXIST);
	}
	PX_TRUE(S_ISDIR(px_stat(path).st_mode));
}

void ollama_write_file(const char *path, const char *text)
{
	int fd = (int)PX_OK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

	PX_EQ(PX_OK(write(fd, text, strlen(text))), strlen(text));
	PX_OK(close(fd));
}

size_t ollama_read_file(const char *path, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n;
	int fd = (int)PX_OK(open(path, O_RDONLY | O_CLOEXEC));

	px_fstat(fd);
	while (have < size - 1 && (n = PX_OK(read(fd, buf + have, size - 1 - have))) > 0)
		have += (size_t)n;
	buf[have] = 0;
	PX_OK(close(fd));
	return have;
}

void ollama_manifest_path(const struct ollama_model *m, char path[OLLAMA_PATH])
{
	snprintf(path, OLLAMA_PATH, "manifests/%s/%s/%s/%s", m->host, m->repo, m->name, m->tag);
}

void ollama_manifest(const struct ollama_model *m)
{
	char path[OLLAMA_PATH], text[8192];
	size_t i, n;

	snprintf(path, sizeof(path), "manifests/%s/%s/%s", m->host, m->repo, m->name);
	ollama_mkdir_all(path);
	n = (size_t)snprintf(text, sizeof(text), "{\"schemaVersion\":2,\"layers\":[");
	for (i = 0; i < m->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s{\"mediaType\":"
				      "\"application/vnd.ollama.image.model\",\"digest\":\"sha256:%s\",\"size\":%zu}",
				      i > 0 ? "," : "", m->layers[i].hex, m->layers[i].size);
	snprintf(text + n, sizeof(text) - n, "]}");
	ollama_manifest_path(m, path);
	ollama_write_file(path, text);
}

int ollama_create_temp(const char *prefix, unsigned n, char path[OLLAMA_PATH])
{
	snprintf(path, OLLAMA_PATH, "blobs/%s%u", prefix, 3141592653u + n);
	return (int)PX_OK(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
}

void ollama_new_layer(const struct ollama_blob *b, unsigned n)
{
	const struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	char temp[OLLAMA_PATH];
	uint8_t buf[OLLAMA_PIECE];
	size_t done, part;
	struct stat st;
	int fd;

	ollama_mkdir_all("blobs");
	fd = ollama_create_temp("sha256-", n, temp);
	PX_EQ(px_fstat(fd).st_mode & 07777, 0600);
	for (done = 0; done < b->size; done += part) {
		part = b->size - done < sizeof(buf) ? b->size - done : sizeof(buf);
		px_fill(buf, (off_t)done, part, b->seed);
		PX_EQ(PX_OK(write(fd, buf, part)), part);
	}
	PX_OK(close(fd));
	PX_ERR(stat(b->path, &st), ENOENT);
	PX_OK(rename(temp, b->path));
	PX_OK(chmod(b->path, 0644));
	PX_OK(utimensat(AT_FDCWD, b->path, now, 0));
	PX_ERR(unlink(temp), ENOENT);
}
