/* posix_hole.c - sizes and holes: truncation, sparse files, fallocate(2), SEEK_HOLE. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void hole_read_zero(int fd, off_t off, size_t n)
{
	char *buf = px_alloc(n);

	PX_EQ(PX_OK(pread(fd, buf, n, off)), n);
	px_zero(buf, n, "a hole");
}

static void hole_grow(size_t size)
{
	int fd;

	px_make("a", 1000, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(ftruncate(fd, (off_t)size));
	PX_EQ(px_stat("a").st_size, size);
	px_verify_fd(fd, 0, 1000, 1);
	hole_read_zero(fd, 1000, size - 1000);
	PX_OK(truncate("a", (off_t)size + 12345));
	PX_EQ(px_fstat(fd).st_size, size + 12345);
	hole_read_zero(fd, (off_t)size, 12345);
}

static void hole_shrink(size_t size)
{
	int r, w;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(r, 0, size, 1);
	w = (int)PX_OK(open("a", O_WRONLY));
	PX_OK(ftruncate(w, (off_t)size / 2 + 1));
	PX_EQ(px_fstat(r).st_size, size / 2 + 1);
	px_verify("a", size / 2 + 1, 1);
	PX_OK(truncate("a", 0));
	PX_EQ(px_fstat(r).st_size, 0);
	PX_EQ(px_fstat(r).st_blocks, 0);
}

/* What was cut off must not come back. */
static void hole_shrink_then_grow(size_t size)
{
	int r, w;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(r, 0, size, 1);
	w = (int)PX_OK(open("a", O_RDWR));
	PX_OK(ftruncate(w, 1001));
	PX_OK(ftruncate(w, (off_t)size));
	px_verify_fd(r, 0, 1001, 1);
	hole_read_zero(r, 1001, size - 1001);
	PX_OK(truncate("a", 500));
	px_write(w, (off_t)size, 10, 1);
	hole_read_zero(r, 500, size - 500);
}

static void hole_truncate_across_extent(void)
{
	static const off_t sizes[] = {
		1048575, 1048576, 1048577, 0, 1048576, 2097152, 1, 1048577, 4095, 4096, 3000000, 999
	};
	size_t i;
	int fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644)), again;

	for (i = 0; i < PX_COUNT(sizes); i++) {
		PX_OK(ftruncate(fd, sizes[i]));
		again = (int)PX_OK(open("a", O_RDWR));
		PX_EQ(px_fstat(again).st_size, sizes[i]);
		PX_EQ(px_stat("a").st_size, sizes[i]);
		hole_read_zero(again, 0, (size_t)sizes[i]);
		px_write(again, sizes[i] / 2, 100, 1);
		px_verify_fd(fd, sizes[i] / 2, 100, 1);
		PX_OK(ftruncate(again, 0));
		PX_OK(close(again));
	}
}

static void hole_truncate_errors(void)
{
	px_make("a", 10, 1);
	PX_ERR(truncate("a", -1), EINVAL);
	PX_ERR(truncate("none", 1), ENOENT);
	PX_OK(mkdir("d", 0755));
	PX_ERR(truncate("d", 0), EISDIR);
	px_verify("a", 10, 1);
}

/* The shape of a download: full size at once, pieces out of order. */
static void hole_sparse_writes(void)
{
	const off_t size = 40 << 20;
	int fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644)), i;

	PX_OK(ftruncate(fd, size));
	PX_EQ(px_stat("a").st_size, size);
	PX_TRUE(px_stat("a").st_blocks < 100);
	for (i = 0; i < 40; i += 3)
		px_write(fd, ((off_t)(i * 7 % 40) << 20) + 100, 5000, 1);
	for (i = 0; i < 40; i += 3)
		px_verify_fd(fd, ((off_t)(i * 7 % 40) << 20) + 100, 5000, 1);
	hole_read_zero(fd, (1 << 20) - 4096, 4096);
	PX_TRUE(px_stat("a").st_blocks * 512 < size / 4);
	PX_EQ(px_stat("a").st_size, size);
}

/* SEEK_DATA and SEEK_HOLE may see less than there is, but never call data a hole. */
static void hole_seek(size_t size)
{
	const off_t at = ((off_t)size + 200000) & -65536, end = at * 4;
	off_t data, hole;
	int fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644));

	PX_OK(ftruncate(fd, end));
	px_write(fd, at, 65536, 1);
	PX_OK(fsync(fd));
	data = lseek(fd, 0, SEEK_DATA);
	if (data < 0 && errno == EINVAL)
		px_skip("no SEEK_DATA here");
	PX_TRUE(data >= 0 && data <= at);
	hole = (off_t)PX_OK(lseek(fd, at, SEEK_HOLE));
	PX_TRUE(hole >= at + 65536 && hole <= end);
	PX_EQ(PX_OK(lseek(fd, at + 100, SEEK_DATA)), at + 100);
	PX_ERR(lseek(fd, end, SEEK_DATA), ENXIO);
	PX_ERR(lseek(fd, end + 1, SEEK_HOLE), ENXIO);
	PX_EQ(PX_OK(lseek(fd, end - 1, SEEK_HOLE)) >= end - 1, 1);
}

static void hole_seek_unsynced(size_t size)
{
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_EQ(PX_OK(lseek(fd, 0, SEEK_DATA)), 0);
	PX_EQ(PX_OK(lseek(fd, 0, SEEK_HOLE)), size);
	PX_OK(ftruncate(fd, (off_t)size + 1000000));
	px_write(fd, (off_t)size + 900000, 100, 1);
	PX_TRUE(PX_OK(lseek(fd, (off_t)size, SEEK_DATA)) <= (off_t)size + 900000);
}

static void hole_allocate(size_t size)
{
	int fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644));

	PX_TRY(fallocate(fd, 0, 0, (off_t)size));
	PX_EQ(px_stat("a").st_size, size);
	PX_TRUE(px_stat("a").st_blocks * 512 >= (off_t)size);
	hole_read_zero(fd, 0, size);
	px_write(fd, 0, size, 1);
	PX_TRY(fallocate(fd, 0, 0, 100));
	px_verify("a", size, 1);
}

static void hole_allocate_keep_size(size_t size)
{
	int fd;

	px_make("a", 100, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_TRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size));
	PX_EQ(px_stat("a").st_size, 100);
	PX_TRUE(px_stat("a").st_blocks * 512 >= (off_t)size);
	px_verify("a", 100, 1);
}

static void hole_punch(size_t size)
{
	int r, w;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(r, 0, size, 1);
	w = (int)PX_OK(open("a", O_RDWR));
	PX_TRY(fallocate(w, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, (off_t)size - 2000));
	PX_EQ(px_fstat(r).st_size, size);
	hole_read_zero(r, 1000, size - 2000);
	px_verify_fd(r, 0, 1000, 1);
	px_verify_fd(r, (off_t)size - 1000, 1000, 1);
	PX_OK(fallocate(w, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)size + 10, 1000));
	PX_EQ(px_fstat(r).st_size, size);
	PX_ERR(fallocate(r, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10), EBADF);
}

static void hole_zero_range(size_t size)
{
	int r, w;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(r, 0, size, 1);
	w = (int)PX_OK(open("a", O_RDWR));
	PX_TRY(fallocate(w, FALLOC_FL_ZERO_RANGE, 500, 3000));
	hole_read_zero(r, 500, 3000);
	px_verify_fd(r, 0, 500, 1);
	px_verify_fd(r, 3500, size - 3500, 1);
	PX_OK(fallocate(w, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)size - 10, 1000));
	PX_EQ(px_fstat(r).st_size, size);
	PX_OK(fallocate(w, FALLOC_FL_ZERO_RANGE, (off_t)size - 10, 1000));
	PX_EQ(px_fstat(r).st_size, size + 990);
	hole_read_zero(r, (off_t)size - 10, 1000);
}

static void hole_fallocate_errors(void)
{
	int fd = (int)PX_OK(open("a", O_CREAT | O_RDWR, 0644));

	PX_TRY(fallocate(fd, 0, 0, 10));
	PX_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	PX_ERR(fallocate(fd, 0, -1, 10), EINVAL);
	PX_OK(mkdir("d", 0755));
	PX_TRUE(fallocate((int)PX_OK(open("d", O_RDONLY)), 0, 0, 10) != 0);
	PX_EQ(px_stat("a").st_size, 10);
}

static void hole_blocks_follow_punch(void)
{
	int fd;

	px_make("a", 4 << 20, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(fsync(fd));
	PX_TRUE(px_stat("a").st_blocks * 512 >= 4 << 20);
	PX_TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3 << 20));
	PX_TRUE(px_fstat(fd).st_blocks * 512 < 2 << 20);
}

static const struct px_case cases[] = {
	PX_SIZED(hole_grow), PX_SIZED(hole_shrink), PX_SIZED(hole_shrink_then_grow),
	PX_CASE(hole_truncate_across_extent), PX_CASE(hole_truncate_errors), PX_CASE(hole_sparse_writes),
	PX_SIZED(hole_seek), PX_SIZED(hole_seek_unsynced), PX_SIZED(hole_allocate),
	PX_SIZED(hole_allocate_keep_size), PX_SIZED(hole_punch), PX_SIZED(hole_zero_range),
	PX_CASE(hole_fallocate_errors), PX_CASE(hole_blocks_follow_punch)
};

const struct px_suite posix_hole = PX_SUITE(cases);
