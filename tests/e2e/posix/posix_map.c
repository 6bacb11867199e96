/* posix_map.c - mmap(2) of files, and that maps, handles and processes see one content. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *map_open(const char *path, int flags, int prot, size_t size, int *fd)
{
	*fd = (int)PX_OK(open(path, flags));
	return PX_MAP(mmap(NULL, size, prot, MAP_SHARED, *fd, 0));
}

static void map_read_shared(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDONLY, PROT_READ, size, &fd);
	PX_OK(close(fd));
	px_same(p, 0, size, 1, "mapped");
	PX_OK(munmap(p, size));
}

/* What llama.cpp does. */
static void map_populate(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	PX_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	p = PX_MAP(mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0));
	PX_OK(madvise(p, size, MADV_WILLNEED));
	PX_OK(madvise(p, size, MADV_RANDOM));
	px_same(p, 0, size, 1, "populated");
	PX_OK(madvise(p, size, MADV_DONTNEED));
	px_same(p, 0, size, 1, "after MADV_DONTNEED");
	PX_OK(munmap(p, 4096));
	px_same(p + 4096, 4096, size - 4096, 1, "after the head was unmapped");
}

static void map_tail_is_zero(size_t size)
{
	const size_t end = (size + 4095) & ~(size_t)4095;
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDONLY, PROT_READ, end, &fd);
	px_zero(p + size, end - size, "the rest of the last page");
}

static void map_sees_write(size_t size)
{
	char *p;
	int r, w;
	size_t off;

	px_make("a", size, 1);
	p = map_open("a", O_RDONLY, PROT_READ, size, &r);
	px_same(p, 0, size, 1, "mapped");
	w = (int)PX_OK(open("a", O_WRONLY));
	for (off = 0; off + 1000 < size; off += 1 + size / 5) {
		px_write(w, (off_t)off, 1000, 2);
		px_same(p + off, (off_t)off, 1000, 2, "mapped, after write(2)");
	}
}

static void map_write_seen_by_read(size_t size)
{
	char *p;
	int w, r;
	size_t off;

	px_make("a", size, 1);
	r = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(r, 0, size, 1);
	p = map_open("a", O_RDWR, PROT_READ | PROT_WRITE, size, &w);
	for (off = 0; off + 1000 < size; off += 1 + size / 5) {
		px_fill(p + off, (off_t)off, 1000, 2);
		px_verify_fd(r, (off_t)off, 1000, 2);
	}
	PX_OK(msync(p, size, MS_SYNC));
	for (off = 0; off + 1000 < size; off += 1 + size / 5)
		px_verify_fd(r, (off_t)off, 1000, 2);
}

static void map_write_kept_after_unmap(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDWR, PROT_READ | PROT_WRITE, size, &fd);
	PX_OK(close(fd));
	px_fill(p, 0, size, 2);
	PX_OK(munmap(p, size));
	px_verify("a", size, 2);
}

/* A map outlives the close of its descriptor, and what is written through it then is the file's. */
static void map_write_after_close(size_t size)
{
	int fd, r;
	char *p;

	px_make("a", size, 1);
	p = map_open("a", O_RDWR, PROT_READ | PROT_WRITE, size, &fd);
	PX_OK(close(fd));
	px_verify("a", size, 1);
	px_fill(p, 0, size, 2);
	px_verify("a", size, 2);
	r = (int)PX_OK(open("a", O_RDONLY));
	px_verify_fd(r, 0, size, 2);
	px_fill(p, 0, size, 3);
	px_verify_fd(r, 0, size, 3);
	PX_OK(munmap(p, size));
	px_verify("a", size, 3);
}

/* The other way round: written by write(2) while only a closed descriptor's map looks on. */
static void map_reads_after_close(size_t size)
{
	int fd, w;
	char *p;

	px_make("a", size, 1);
	p = map_open("a", O_RDONLY, PROT_READ, size, &fd);
	PX_OK(close(fd));
	px_same(p, 0, size, 1, "mapped");
	w = (int)PX_OK(open("a", O_RDWR));
	px_write(w, 0, size, 2);
	px_same(p, 0, size, 2, "mapped, after write(2)");
	px_verify("a", size, 2);
}

static void map_write_then_fsync(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDWR, PROT_READ | PROT_WRITE, size, &fd);
	px_fill(p, 0, size, 2);
	PX_OK(fsync(fd));
	px_verify("a", size, 2);
}

static void map_two_processes_child(void *arg)
{
	const size_t size = *(size_t *)arg;
	char *p;
	int fd;

	p = map_open("a", O_RDWR, PROT_READ | PROT_WRITE, size, &fd);
	px_same(p, 0, size, 2, "the parent's bytes in the child's map");
	px_fill(p, 0, size, 3);
}

static void map_two_processes(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDWR, PROT_READ | PROT_WRITE, size, &fd);
	px_fill(p, 0, size, 2);
	px_join(px_fork(map_two_processes_child, &size));
	px_same(p, 0, size, 3, "the child's bytes in the parent's map");
}

static void map_private(size_t size)
{
	char *p;
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	p = PX_MAP(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	px_fill(p + 10, 10, 2000, 2);
	px_verify("a", size, 1);
	px_same(p, 0, 10, 1, "before the private change");
	px_same(p + 10, 10, 2000, 2, "the private change");
	px_same(p + 2010, 2010, size - 2010, 1, "after the private change");
}

static void map_offset(void)
{
	char *p;
	int fd;

	px_make("a", PX_BLOB, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	p = PX_MAP(mmap(NULL, 100000, PROT_READ, MAP_SHARED, fd, 1048576 - 8192));
	px_same(p, 1048576 - 8192, 100000, 1, "mapped at an offset");
}

static void map_permissions(size_t size)
{
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDONLY));
	PX_ERR((long)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
	fd = (int)PX_OK(open("a", O_WRONLY));
	PX_ERR((long)mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), EACCES);
}

static void map_grows_with_file(size_t size)
{
	const size_t more = size + 100000;
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDWR, PROT_READ | PROT_WRITE, more, &fd);
	px_same(p, 0, size, 1, "mapped");
	px_write(fd, (off_t)size, 100000, 1);
	px_same(p, 0, more, 1, "mapped, after the file grew");
	px_fill(p + size, (off_t)size, 100000, 2);
	px_verify_fd(fd, (off_t)size, 100000, 2);
}

/* Shared with the handler of this case's own process only. */
static sigjmp_buf map_fault_jump;

static void map_fault(int sig)
{
	siglongjmp(map_fault_jump, sig);
}

/* 1 when reading *p raises SIGBUS, else 0. */
static int map_faults(const volatile char *p)
{
	struct sigaction act = { .sa_handler = map_fault };
	volatile char c;

	PX_OK(sigaction(SIGBUS, &act, NULL));
	if (sigsetjmp(map_fault_jump, 1) != 0)
		return 1;
	c = *p;
	(void)c;
	return 0;
}

static void map_beyond_end_faults(size_t size)
{
	const size_t end = (size + 4095) & ~(size_t)4095;
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDWR, PROT_READ, end + 8192, &fd);
	PX_EQ(map_faults(p + size - 1), 0);
	PX_EQ(map_faults(p + end), 1);
	px_same(p, 0, size, 1, "mapped");
}

static void map_shrink_faults(size_t size)
{
	char *p;
	int fd;

	px_make("a", size + 8192, 1);
	p = map_open("a", O_RDWR, PROT_READ, size + 8192, &fd);
	px_same(p, 0, size + 8192, 1, "mapped");
	PX_OK(ftruncate(fd, 4096));
	PX_EQ(map_faults(p + 100), 0);
	PX_EQ(map_faults(p + 4096), 1);
	PX_EQ(map_faults(p + size), 1);
	PX_OK(ftruncate(fd, (off_t)size));
	PX_EQ(map_faults(p + 4096), 0);
	px_zero(p + 4096, size - 4096, "what came back after growing again");
}

static void map_remap(size_t size)
{
	const size_t first = size < 8192 ? 4096 : size / 2 & ~(size_t)4095;
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDONLY, PROT_READ, first, &fd);
	PX_OK(close(fd));
	px_same(p, 0, first, 1, "the first half");
	p = PX_MAP(mremap(p, first, size, MREMAP_MAYMOVE));
	px_same(p, 0, size, 1, "after mremap");
}

static void map_over_fork(size_t size)
{
	char *p;
	int fd, status;
	pid_t pid;

	px_make("a", size, 1);
	p = map_open("a", O_RDONLY, PROT_READ, size, &fd);
	pid = (pid_t)PX_OK(fork());
	if (pid == 0) {
		px_same(p, 0, size, 1, "in the child");
		_exit(0);
	}
	PX_OK(waitpid(pid, &status, 0));
	PX_EQ(status, 0);
}

static void map_lock_and_incore(size_t size)
{
	const size_t pages = (size + 4095) / 4096;
	unsigned char *in = px_alloc(pages);
	size_t i;
	char *p;
	int fd;

	px_make("a", size, 1);
	p = map_open("a", O_RDONLY, PROT_READ, size, &fd);
	/* not mlock(3): a sanitizer's does nothing */
	if (syscall(SYS_mlock, p, size) != 0)
		px_skip("mlock is not allowed here");
	PX_OK(mincore(p, size, in));
	for (i = 0; i < pages; i++)
		PX_EQ(in[i] & 1, 1);
	PX_OK(munlock(p, size));
}

static const struct px_case cases[] = {
	PX_SIZED(map_read_shared), PX_SIZED(map_populate), PX_SIZED(map_tail_is_zero),
	PX_SIZED(map_sees_write), PX_SIZED(map_write_seen_by_read), PX_SIZED(map_write_kept_after_unmap),
	PX_SIZED(map_write_after_close), PX_SIZED(map_reads_after_close),
	PX_SIZED(map_write_then_fsync), PX_SIZED(map_two_processes), PX_SIZED(map_private),
	PX_CASE(map_offset), PX_SIZED(map_permissions), PX_SIZED(map_grows_with_file),
	PX_SIZED(map_beyond_end_faults), PX_SIZED(map_shrink_faults), PX_SIZED(map_remap),
	PX_SIZED(map_over_fork), PX_SIZED(map_lock_and_incore)
};

const struct px_suite posix_map = PX_SUITE(cases);
