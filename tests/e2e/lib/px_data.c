/* px_data.c - content, attributes and clocks for the cases; see px.h. */
#include "tests/e2e/lib/px.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PX_CHUNK = 1 << 16 };

static uint64_t px_word(uint64_t index, uint64_t seed)
{
	uint64_t x = index * 0x9e3779b97f4a7c15u + seed * 0xd1342543de82ef95u + 0x632be59bd9b4e019u;

	x ^= x >> 31;
	x *= 0x7fb5d329728ea185u;
	x ^= x >> 27;
	return x;
}

void px_fill(void *buf, off_t off, size_t n, uint64_t seed)
{
	uint8_t *p = buf;
	uint64_t pos = (uint64_t)off, w;
	size_t skip, take;

	while (n > 0) {
		w = px_word(pos / 8, seed);
		skip = pos % 8;
		take = n < 8 - skip ? n : 8 - skip;
		memcpy(p, (uint8_t *)&w + skip, take);
		p += take;
		pos += take;
		n -= take;
	}
}

void px_same(const void *buf, off_t off, size_t n, uint64_t seed, const char *what)
{
	uint8_t want[4096];
	const uint8_t *p = buf;
	size_t done, part, i;

	for (done = 0; done < n; done += part) {
		part = n - done < sizeof(want) ? n - done : sizeof(want);
		px_fill(want, off + (off_t)done, part, seed);
		if (memcmp(want, p + done, part) == 0)
			continue;
		for (i = 0; want[i] == p[done + i]; i++)
			;
		px_fail(__FILE__, __LINE__, "%s: byte %lld is %02x, want %02x", what,
			(long long)off + (long long)(done + i), p[done + i], want[i]);
	}
}

void px_zero(const void *buf, size_t n, const char *what)
{
	const uint8_t *p = buf;
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != 0)
			px_fail(__FILE__, __LINE__, "%s: byte %zu is %02x, want zero", what, i, p[i]);
}

void *px_alloc(size_t n)
{
	void *p = NULL;

	if (posix_memalign(&p, 4096, n > 0 ? n : 1) != 0)
		px_fail(__FILE__, __LINE__, "out of memory");
	memset(p, 0, n);
	return p;
}

void px_write(int fd, off_t off, size_t n, uint64_t seed)
{
	uint8_t buf[PX_CHUNK];
	size_t done, part;

	for (done = 0; done < n; done += part) {
		part = n - done < sizeof(buf) ? n - done : sizeof(buf);
		px_fill(buf, off + (off_t)done, part, seed);
		PX_EQ(PX_OK(pwrite(fd, buf, part, off + (off_t)done)), part);
	}
}

void px_make(const char *path, size_t size, uint64_t seed)
{
	int fd = (int)PX_OK(open(path, O_CREAT | O_EXCL | O_WRONLY, 0644));

	px_write(fd, 0, size, seed);
	PX_OK(close(fd));
}

void px_verify_fd(int fd, off_t off, size_t n, uint64_t seed)
{
	uint8_t buf[PX_CHUNK];
	size_t done, part;

	for (done = 0; done < n; done += part) {
		part = n - done < sizeof(buf) ? n - done : sizeof(buf);
		PX_EQ(PX_OK(pread(fd, buf, part, off + (off_t)done)), part);
		px_same(buf, off + (off_t)done, part, seed, "content read back");
	}
}

void px_verify(const char *path, size_t size, uint64_t seed)
{
	int fd = (int)PX_OK(open(path, O_RDONLY));
	char c;

	px_verify_fd(fd, 0, size, seed);
	PX_EQ(PX_OK(pread(fd, &c, 1, (off_t)size)), 0);
	PX_EQ(px_fstat(fd).st_size, size);
	PX_OK(close(fd));
}

struct stat px_stat(const char *path)
{
	struct stat st;

	PX_OK(lstat(path, &st));
	return st;
}

struct stat px_fstat(int fd)
{
	struct stat st;

	PX_OK(fstat(fd, &st));
	return st;
}

int px_exists(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return 1;
	PX_EQ(errno, ENOENT);
	return 0;
}

void px_touch(const char *path)
{
	px_make(path, 0, 0);
}

size_t px_entries(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	size_t n = 0;

	PX_TRUE(d != NULL);
	errno = 0;
	while ((e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	PX_EQ(errno, 0);
	PX_OK(closedir(d));
	return n;
}

time_t px_age(const char *path)
{
	const struct timespec t[2] = { { 1000000000, 5 }, { 1000000000, 5 } };

	PX_OK(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW));
	PX_EQ(px_stat(path).st_mtim.tv_sec, t[1].tv_sec);
	return t[1].tv_sec;
}

/* File systems stamp with the coarse clock. */
void px_clock_past(struct timespec t)
{
	const struct timespec nap = { 0, 1000000 };
	struct timespec now;

	do {
		nanosleep(&nap, NULL);
		PX_OK(clock_gettime(CLOCK_REALTIME_COARSE, &now));
	} while (now.tv_sec < t.tv_sec || (now.tv_sec == t.tv_sec && now.tv_nsec <= t.tv_nsec));
}
