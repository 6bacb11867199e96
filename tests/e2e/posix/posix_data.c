/* posix_data.c - reading and writing: offsets, ends, vectors, direct I/O, copies, sync. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

static void data_round_trip(size_t size)
{
	px_make("a", size, 1);
	px_verify("a", size, 1);
	PX_TRUE(px_stat("a").st_blocks > 0);
}

static void data_read_ends(size_t size)
{
	char *buf = px_alloc(200000);
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	PX_EQ(PX_OK(pread(fd, buf, 100, (off_t)size - 40)), 40);
	px_same(buf, (off_t)size - 40, 40, 1, "the last bytes");
	PX_EQ(PX_OK(pread(fd, buf, 100, (off_t)size)), 0);
	PX_EQ(PX_OK(pread(fd, buf, 100, (off_t)size + 5000000)), 0);
	PX_EQ(PX_OK(pread(fd, buf, 0, 0)), 0);
	PX_ERR(pread(fd, buf, 1, -1), EINVAL);
	PX_EQ(PX_OK(lseek(fd, (off_t)size - 10, SEEK_SET)), size - 10);
	PX_EQ(PX_OK(read(fd, buf, 200000)), 10);
	PX_EQ(PX_OK(read(fd, buf, 1)), 0);
}

static void data_read_sizes(size_t size)
{
	static const size_t sizes[] = { 1, 7, 512, 4095, 4096, 4097, 32768, 131072, 1048575, 1048576, 1048577 };
	char *buf = px_alloc(1048577);
	size_t i, pos;
	ssize_t n;
	int fd;

	px_make("a", size, 1);
	for (i = 0; i < PX_COUNT(sizes); i++) {
		fd = (int)PX_OK(open("a", O_RDONLY));
		pos = sizes[i] < 512 && size > 100000 ? size - 100000 : 0;
		PX_OK(lseek(fd, (off_t)pos, SEEK_SET));
		while ((n = PX_OK(read(fd, buf, sizes[i]))) > 0) {
			px_same(buf, (off_t)pos, (size_t)n, 1, "read");
			pos += (size_t)n;
		}
		PX_EQ(pos, size);
		PX_OK(close(fd));
	}
}

static void data_write_past_end(size_t size)
{
	char *buf = px_alloc(20000);
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	px_write(fd, (off_t)size + 15000, 100, 1);
	PX_EQ(px_stat("a").st_size, size + 15100);
	PX_EQ(PX_OK(pread(fd, buf, 15000, (off_t)size)), 15000);
	px_zero(buf, 15000, "between the old end and the new data");
	px_verify_fd(fd, 0, size, 1);
	px_verify_fd(fd, (off_t)size + 15000, 100, 1);
}

static void data_write_backwards(void)
{
	const size_t piece = 32768, size = 96 * piece;
	size_t i;
	int fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644));

	for (i = 96; i-- > 0; )
		px_write(fd, (off_t)(i * piece), piece, 1);
	PX_OK(close(fd));
	px_verify("a", size, 1);
}

static void data_overwrite_sees_other_handles(size_t size)
{
	int w, r, again;
	off_t off;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(r, 0, size, 1);
	w = (int)PX_OK(open("a", O_WRONLY));
	for (off = 0; off + 1000 < (off_t)size; off += 1 + (off_t)size / 7) {
		px_write(w, off, 1000, 2);
		px_verify_fd(r, off, 1000, 2);
		again = (int)PX_OK(open("a", O_RDONLY));
		px_verify_fd(again, off, 1000, 2);
		PX_OK(close(again));
	}
}

struct data_child {
	size_t size;
	uint64_t seed;
};

static void data_read_in_child(void *arg)
{
	const struct data_child *c = arg;

	px_verify("a", c->size, c->seed);
}

static void data_seen_by_other_process(size_t size)
{
	struct data_child c = { size, 1 };
	int fd;

	px_make("a", size, 1);
	px_join(px_fork(data_read_in_child, &c));
	fd = (int)PX_OK(open("a", O_RDWR));
	px_write(fd, 0, size, 2);
	c.seed = 2;
	px_join(px_fork(data_read_in_child, &c));
	PX_OK(ftruncate(fd, 4000));
	c.size = 4000;
	px_join(px_fork(data_read_in_child, &c));
}

static void data_vectors(size_t size)
{
	char a[100], b[3000], c[1];
	struct iovec v[3] = { { a, sizeof(a) }, { b, sizeof(b) }, { c, sizeof(c) } };
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_EQ(PX_OK(preadv(fd, v, 3, 50)), 3101);
	px_same(a, 50, 100, 1, "first vector");
	px_same(b, 150, 3000, 1, "second vector");
	px_same(c, 3150, 1, 1, "third vector");
	px_fill(a, (off_t)size, 100, 1);
	px_fill(b, (off_t)size + 100, 3000, 1);
	px_fill(c, (off_t)size + 3100, 1, 1);
	PX_OK(lseek(fd, 0, SEEK_END));
	PX_EQ(PX_OK(writev(fd, v, 3)), 3101);
	px_verify("a", size + 3101, 1);
}

static void data_lseek(void)
{
	int fd;

	px_make("a", 1000, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_EQ(PX_OK(lseek(fd, 10, SEEK_SET)), 10);
	PX_EQ(PX_OK(lseek(fd, 5, SEEK_CUR)), 15);
	PX_EQ(PX_OK(lseek(fd, -1, SEEK_END)), 999);
	PX_EQ(PX_OK(lseek(fd, 5000000000, SEEK_SET)), 5000000000);
	PX_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	PX_ERR(lseek(fd, 0, 99), EINVAL);
	PX_EQ(px_fstat(fd).st_size, 1000);
}

static void data_large_offset(void)
{
	const off_t far = (off_t)120 << 30;
	char c = 0;
	int fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644));

	px_write(fd, far, 1000, 1);
	PX_EQ(px_stat("a").st_size, far + 1000);
	px_verify_fd(fd, far, 1000, 1);
	PX_EQ(PX_OK(pread(fd, &c, 1, far / 2)), 1);
	PX_EQ(c, 0);
	PX_TRUE(px_stat("a").st_blocks < 1000);
}

static void data_direct(size_t size)
{
	const size_t part = 65536;
	char *buf = px_alloc(part), *tail = px_alloc(4096);
	size_t pos;
	int fd;

	px_make("a", size, 1);
	fd = open("a", O_RDWR | O_DIRECT);
	if (fd < 0 && errno == EINVAL)
		px_skip("O_DIRECT is refused here");
	PX_OK(fd);
	for (pos = 0; pos < size; pos += part) {
		const size_t want = size - pos < part ? size - pos : part;

		PX_EQ(PX_OK(pread(fd, buf, part, (off_t)pos)), want);
		px_same(buf, (off_t)pos, want, 1, "direct read");
	}
	PX_EQ(PX_OK(pread(fd, buf, part, (off_t)(size + 4096) & -4096)), 0);
	px_fill(tail, 0, 4096, 2);
	PX_EQ(PX_OK(pwrite(fd, tail, 4096, 0)), 4096);
	PX_EQ(PX_OK(pread(fd, buf, 4096, 0)), 4096);
	px_same(buf, 0, 4096, 2, "direct read after direct write");
	PX_OK(close(fd));
	fd = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(fd, 0, 4096, 2);
	px_verify_fd(fd, 4096, size - 4096, 1);
}

static void data_direct_and_buffered_agree(size_t size)
{
	char *buf = px_alloc(4096);
	int direct, plain, i;

	px_make("a", size, 1);
	direct = open("a", O_RDWR | O_DIRECT);
	if (direct < 0 && errno == EINVAL)
		px_skip("O_DIRECT is refused here");
	plain = (int)PX_OK(open("a", O_RDWR));
	for (i = 0; i < 20; i++) {
		px_fill(buf, 0, 4096, (uint64_t)i);
		PX_EQ(PX_OK(pwrite(direct, buf, 4096, 0)), 4096);
		px_verify_fd(plain, 0, 4096, (uint64_t)i);
		px_write(plain, 0, 4096, (uint64_t)i + 100);
		PX_EQ(PX_OK(pread(direct, buf, 4096, 0)), 4096);
		px_same(buf, 0, 4096, (uint64_t)i + 100, "direct read after buffered write");
	}
}

static void data_direct_extends(void)
{
	char *buf = px_alloc(1 << 16);
	int fd = open("a", O_CREAT | O_RDWR | O_DIRECT, 0644), i;

	if (fd < 0 && errno == EINVAL)
		px_skip("O_DIRECT is refused here");
	PX_OK(fd);
	for (i = 0; i < 40; i++) {
		px_fill(buf, (off_t)i << 16, 1 << 16, 1);
		PX_EQ(PX_OK(pwrite(fd, buf, 1 << 16, (off_t)i << 16)), 1 << 16);
		PX_EQ(px_fstat(fd).st_size, (off_t)(i + 1) << 16);
	}
	PX_OK(close(fd));
	px_verify("a", 40 << 16, 1);
}

/* copy_file_range(2) until all is copied, as cp and Go do it. */
static void data_copy(int in, off_t in_off, int out, off_t out_off, size_t n)
{
	ssize_t done;

	for (; n > 0; n -= (size_t)done) {
		done = PX_TRY(copy_file_range(in, &in_off, out, &out_off, n, 0));
		PX_TRUE(done > 0);
	}
}

static void data_copy_range(size_t size)
{
	int in, out;

	px_make("a", size, 1);
	in = (int)PX_OK(open("a", O_RDONLY));
	out = (int)PX_OK(open("b", O_CREAT | O_RDWR, 0644));
	data_copy(in, 0, out, 0, size);
	px_verify("b", size, 1);
	PX_EQ(PX_OK(lseek(in, 0, SEEK_CUR)), 0);
	PX_EQ(PX_TRY(copy_file_range(in, NULL, out, NULL, 100, 0)), 100);
	PX_EQ(PX_OK(lseek(in, 0, SEEK_CUR)), 100);
	PX_EQ(PX_OK(lseek(out, 0, SEEK_CUR)), 100);
}

static void data_copy_range_ends(size_t size)
{
	off_t past = (off_t)size, zero = 0, near = (off_t)size - 10;
	int in, out;

	px_make("a", size, 1);
	in = (int)PX_OK(open("a", O_RDONLY));
	out = (int)PX_OK(open("b", O_CREAT | O_RDWR, 0644));
	PX_EQ(PX_TRY(copy_file_range(in, &past, out, &zero, 100, 0)), 0);
	PX_EQ(px_fstat(out).st_size, 0);
	PX_EQ(PX_TRY(copy_file_range(in, &near, out, &zero, 100, 0)), 10);
	PX_EQ(near, size);
	PX_EQ(zero, 10);
	PX_EQ(px_fstat(out).st_size, 10);
	near = 0;
	PX_EQ(PX_TRY(copy_file_range(in, &near, out, &zero, 0, 0)), 0);
	PX_ERR(copy_file_range(out, &near, in, &zero, 1, 0), EBADF);
}

static void data_copy_range_same_file(size_t size)
{
	off_t from = 100, to = 200;
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	data_copy(fd, 0, fd, (off_t)size, 4000);
	PX_EQ(px_fstat(fd).st_size, size + 4000);
	px_verify_fd(fd, 0, size, 1);
	PX_ERR(copy_file_range(fd, &from, fd, &to, 1000, 0), EINVAL);
	px_verify_fd(fd, 0, size, 1);
}

/* The copy must be seen by those who have the target open and have read it before. */
static void data_copy_range_coherent(size_t size)
{
	int in, out, seen;

	px_make("a", size, 1);
	px_make("b", size, 2);
	in = (int)PX_OK(open("a", O_RDONLY));
	out = (int)PX_OK(open("b", O_WRONLY));
	seen = (int)PX_OK(open("b", O_RDONLY));
	px_verify_fd(seen, 0, size, 2);
	data_copy(in, 0, out, 0, size);
	px_verify_fd(seen, 0, size, 1);
	PX_EQ(px_fstat(seen).st_size, size);
}

static void data_copy_range_of_unsynced(size_t size)
{
	int in = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644));
	int out = (int)PX_OK(open("b", O_CREAT | O_RDWR, 0644));

	px_write(in, 0, size, 3);
	data_copy(in, 0, out, 0, size);
	px_verify("b", size, 3);
}

static void data_sync(size_t size)
{
	int fd, ro;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	px_write(fd, 10, 1000, 2);
	PX_OK(fsync(fd));
	PX_OK(fdatasync(fd));
	ro = (int)PX_OK(open("a", O_RDONLY));
	PX_OK(fsync(ro));
	PX_OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	fd = (int)PX_OK(open("a", O_WRONLY | O_SYNC));
	px_write(fd, 10, 1000, 3);
	px_verify_fd(ro, 10, 1000, 3);
	PX_OK(unlink("a"));
	PX_OK(fsync(fd));
}

static void data_statfs(void)
{
	struct statvfs v;
	struct statfs s;
	int fd;

	PX_OK(statfs(".", &s));
	PX_TRUE(s.f_bsize >= 512 && s.f_bsize <= 1 << 20);
	PX_TRUE(s.f_blocks > 0);
	PX_TRUE(s.f_bfree <= s.f_blocks);
	PX_TRUE(s.f_bavail <= s.f_bfree);
	PX_TRUE(s.f_namelen >= 255);
	PX_OK(statvfs(".", &v));
	PX_TRUE(v.f_frsize > 0);
	PX_EQ((uint64_t)v.f_frsize * v.f_blocks / 1048576, (uint64_t)s.f_frsize * s.f_blocks / 1048576);
	fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644));
	PX_OK(fstatfs(fd, &s));
	PX_TRUE(s.f_blocks > 0);
}

static void data_advice_is_harmless(size_t size)
{
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	PX_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	PX_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
	px_verify_fd(fd, 0, size, 1);
	PX_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	px_verify_fd(fd, 0, size, 1);
	PX_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	PX_OK(readahead(fd, 0, size));
	px_verify_fd(fd, 0, size, 1);
}

static const struct px_case cases[] = {
	PX_SIZED(data_round_trip), PX_SIZED(data_read_ends), PX_SIZED(data_read_sizes),
	PX_SIZED(data_write_past_end), PX_CASE(data_write_backwards),
	PX_SIZED(data_overwrite_sees_other_handles), PX_SIZED(data_seen_by_other_process),
	PX_SIZED(data_vectors), PX_CASE(data_lseek), PX_CASE(data_large_offset), PX_SIZED(data_direct),
	PX_SIZED(data_direct_and_buffered_agree), PX_CASE(data_direct_extends),
	PX_SIZED(data_copy_range), PX_SIZED(data_copy_range_ends), PX_SIZED(data_copy_range_same_file),
	PX_SIZED(data_copy_range_coherent), PX_SIZED(data_copy_range_of_unsynced), PX_SIZED(data_sync),
	PX_CASE(data_statfs), PX_SIZED(data_advice_is_harmless)
};

const struct px_suite posix_data = PX_SUITE(cases);
