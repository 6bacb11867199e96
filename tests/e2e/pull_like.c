/* pull_like.c - pull_like STORE TAG BYTES: what a pull does to a store, telling each step that succeeded.
 *
 * A partial blob is created, written and closed, renamed to its name, linked into a manifest that is
 * written in place and closed.  Prints "ack STEP" after each step; at the first failure "errno N STEP" and
 * exits 1.  The bytes are a function of the tag: "pull_like --check FILE TAG BYTES" compares them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536u

static void pull_fill(unsigned char *buf, unsigned long tag, size_t off)
{
	uint64_t x = 0x9e3779b97f4a7c15ull * (tag + 1) + off;

	for (size_t i = 0; i < CHUNK; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = (unsigned char)x;
	}
}

static int pull_check(const char *path, unsigned long tag, size_t bytes)
{
	unsigned char want[CHUNK], got[CHUNK];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int rc = 1;

	if (fd == -1 || fstat(fd, &st) == -1 || (size_t)st.st_size != bytes)
		goto out;
	for (size_t off = 0; off < bytes; off += CHUNK) {
		size_t len = bytes - off < CHUNK ? bytes - off : CHUNK;

		pull_fill(want, tag, off);
		if (pread(fd, got, len, (off_t)off) != (ssize_t)len || memcmp(got, want, len) != 0)
			goto out;
	}
	rc = 0;
out:
	if (rc != 0)
		printf("'%s' is not what was written\n", path);
	if (fd != -1)
		close(fd);
	return rc;
}

static int pull_told(const char *step, int rc)
{
	if (rc == -1)
		printf("errno %d %s\n", errno, step);
	else
		printf("ack %s\n", step);
	fflush(stdout);
	return rc == -1;
}

static int pull_write(int fd, unsigned long tag, size_t bytes)
{
	unsigned char buf[CHUNK];

	for (size_t off = 0; off < bytes; off += CHUNK) {
		size_t len = bytes - off < CHUNK ? bytes - off : CHUNK, done = 0;

		pull_fill(buf, tag, off);
		while (done < len) {            /* a short write is no failure: go on behind it */
			ssize_t n = pwrite(fd, buf + done, len - done, (off_t)(off + done));

			if (n == -1)
				return -1;
			done += (size_t)n;
		}
	}
	return 0;
}

/* One file: create, write, close. */
static int pull_file(const char *path, const char *what, unsigned long tag, size_t bytes)
{
	char step[32];
	int fd;

	snprintf(step, sizeof(step), "create-%s", what);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (pull_told(step, fd) != 0)
		return 1;
	snprintf(step, sizeof(step), "write-%s", what);
	if (pull_told(step, pull_write(fd, tag, bytes)) != 0) {
		close(fd);
		return 1;
	}
	snprintf(step, sizeof(step), "close-%s", what);
	return pull_told(step, close(fd));
}

int main(int argc, char **argv)
{
	char partial[PATH_MAX], blob[PATH_MAX], manifest[PATH_MAX];
	unsigned long tag;
	size_t bytes;

	if (argc == 5 && strcmp(argv[1], "--check") == 0)
		return pull_check(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc != 4) {
		fprintf(stderr, "usage: pull_like STORE TAG BYTES | --check FILE TAG BYTES\n");
		return 2;
	}
	tag = strtoul(argv[2], NULL, 10);
	bytes = strtoul(argv[3], NULL, 10);
	snprintf(partial, sizeof(partial), "%s/blobs/sha256-%064lx-partial", argv[1], tag);
	snprintf(blob, sizeof(blob), "%s/blobs/sha256-%064lx", argv[1], tag);
	snprintf(manifest, sizeof(manifest), "%s/manifests/registry.ollama.ai/library/m/%lu", argv[1], tag);
	if (pull_file(partial, "blob", tag, bytes) != 0)
		return 1;
	if (pull_told("rename", rename(partial, blob)) != 0)
		return 1;
	return pull_file(manifest, "manifest", tag + 1000000, 300);
}
