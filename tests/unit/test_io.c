/* test_io.c - the seam: every call does its work without a hook, and what the hook says with one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fault/fault_io.h"
#include "tests/unit/scratch.h"
#include "tiering/io.h"

struct place {
	char dir[SCRATCH_PATH];
	int dirfd, fd;                  /* fd: a file of ten bytes, read and write */
	struct fault_io fault;
	struct io io;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	scratch_make(p->dir);
	scratch_file(p->dir, "f", "0123456789", 10);
	p->dirfd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->fd = openat(p->dirfd, "f", O_RDWR | O_CLOEXEC);
	assert_true(p->dirfd >= 0 && p->fd >= 0);
	p->io = fault_io(&p->fault);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	close(p->fd);
	close(p->dirfd);
	scratch_remove(p->dir);
	free(p);
	return 0;
}

/* Call the operation in some way; what it returns. */
static long call(struct place *p, enum io_op op)
{
	struct timespec ts[2] = { { 5, 0 }, { 6, 0 } };
	_Alignas(8) char buf[4096] = "xyz";
	struct statvfs sv;
	struct stat st;
	int fd;

	switch (op) {
	case IO_OPEN:
		fd = io_open_beneath(&p->io, p->dirfd, "f", O_RDONLY, 0);
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : 0;
	case IO_CLOSE: return io_close(&p->io, dup(p->fd));
	case IO_STAT: return io_fstat(&p->io, p->fd, &st);
	case IO_PREAD: return io_pread(&p->io, p->fd, buf, 4, 0);
	case IO_PWRITE: return io_pwrite(&p->io, p->fd, buf, 3, 0);
	case IO_FSYNC: return io_fsync(&p->io, p->fd);
	case IO_SYNC_RANGE: return io_start_writeback(&p->io, p->fd);
	case IO_TRUNCATE: return io_ftruncate(&p->io, p->fd, 10);
	case IO_FALLOCATE: return io_fallocate(&p->io, p->fd, 0, 0, 10);
	case IO_COPY_RANGE: return io_copy_range(&p->io, p->fd, 0, p->fd, 5, 5);
	case IO_RENAME: return io_renameat(&p->io, p->dirfd, "f", p->dirfd, "g", 0);
	case IO_LINK: return io_linkfd(&p->io, p->fd, p->dirfd, "link");
	case IO_UNLINK: return io_unlinkat(&p->io, p->dirfd, "f", 0);
	case IO_MKDIR: return io_mkdirat(&p->io, p->dirfd, "dir", 0755);
	case IO_MKNOD: return io_mknodat(&p->io, p->dirfd, "fifo", S_IFIFO | 0644, 0);
	case IO_SYMLINK: return io_symlinkat(&p->io, "f", p->dirfd, "sym");
	case IO_CHMOD: return io_fchmod(&p->io, p->fd, 0600);
	case IO_CHOWN: return io_fchown(&p->io, p->fd, getuid(), getgid());
	case IO_UTIMENS: return io_futimens(&p->io, p->fd, ts);
	case IO_GETDENTS: return io_getdents(&p->io, p->dirfd, buf, sizeof(buf));
	case IO_STATFS: return io_fstatvfs(&p->io, p->dirfd, &sv);
	case IO_XATTR: return io_fsetxattr(&p->io, p->fd, "user.a", "1", 1, 0);
	default: return 0;
	}
}

static void every_operation_can_fail(void **state)
{
	struct place *p = *state;
	char spec[64];

	for (int op = 0; op < IO_OP_COUNT; op++) {
		if (op == IO_READLINK)                  /* below */
			continue;
		snprintf(spec, sizeof(spec), "%s:0:EDQUOT", io_op_name(op));
		assert_int_equal(fault_io_arm(&p->fault, spec), 0);
		if (call(p, op) != -EDQUOT)
			fail_msg("%s did not fail", io_op_name(op));
		assert_int_equal(atomic_load(&p->fault.fired), 1);
	}
	assert_int_equal(fault_io_arm(&p->fault, "count"), 0);
	for (int op = 0; op < IO_OP_COUNT; op++) {      /* and nothing of it had happened */
		if (op == IO_RENAME || op == IO_UNLINK)
			continue;
		if (call(p, op) < 0)
			fail_msg("%s: %ld", io_op_name(op), call(p, op));
	}
	assert_int_equal(faccessat(p->dirfd, "f", F_OK, 0), 0);
	assert_string_equal(io_op_name(IO_OP_COUNT), "unknown");
}

static void a_failed_close_still_closes(void **state)
{
	struct place *p = *state;
	int fd = dup(p->fd);

	assert_int_equal(fault_io_arm(&p->fault, "close:0:EIO"), 0);
	assert_int_equal(io_close(&p->io, fd), -EIO);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(io_close(&p->io, fd), -EBADF);
}

static void a_swallowed_call_reports_success(void **state)
{
	struct place *p = *state;

	assert_int_equal(fault_io_arm(&p->fault, "any:0+:swallow"), 0);
	assert_int_equal(io_fsync(&p->io, -1), 0);              /* would be EBADF */
	assert_int_equal(io_fdatasync(&p->io, -1), 0);
	assert_int_equal(io_renameat(&p->io, p->dirfd, "f", p->dirfd, "g", 0), 0);
	assert_int_equal(io_unlinkat(&p->io, p->dirfd, "f", 0), 0);
	assert_int_equal(io_ftruncate(&p->io, p->fd, 0), 0);
	assert_int_equal(faccessat(p->dirfd, "f", F_OK, 0), 0);
	assert_int_equal(lseek(p->fd, 0, SEEK_END), 10);
}

static void reads_and_writes(void **state)
{
	struct place *p = *state;
	char buf[16] = "";

	assert_int_equal(io_pread(&p->io, p->fd, buf, 4, 3), 4);
	assert_memory_equal(buf, "3456", 4);
	assert_int_equal(io_pread(&p->io, p->fd, buf, 16, 3), 7);      /* short at the end only */
	assert_int_equal(io_pread(&p->io, p->fd, buf, 16, 10), 0);
	assert_int_equal(io_pread(&p->io, p->dirfd, buf, 16, 0), -EISDIR);
	assert_int_equal(io_pwrite(&p->io, p->fd, "abc", 3, 8), 3);
	assert_int_equal(io_pread(&p->io, p->fd, buf, 16, 0), 11);
	assert_memory_equal(buf, "01234567abc", 11);
	assert_int_equal(fault_io_arm(&p->fault, "pread:0:short=2"), 0);
	assert_int_equal(io_pread(&p->io, p->fd, buf, 4, 0), 2);
	assert_int_equal(io_pread(&p->io, p->fd, buf, 4, 0), 4);
	assert_int_equal(fault_io_arm(&p->fault, "pwrite:0:short=1"), 0);
	assert_int_equal(io_pwrite(&p->io, p->fd, "ZZZ", 3, 0), 1);
	assert_int_equal(io_pread(&p->io, p->fd, buf, 3, 0), 3);
	assert_memory_equal(buf, "Z12", 3);
	assert_int_equal(io_copy_range(&p->io, p->fd, 0, p->fd, 20, 3), 3);
	assert_int_equal(io_lseek(&p->io, p->fd, 0, SEEK_END), 23);
	assert_int_equal(io_lseek(&p->io, p->fd, 100, SEEK_DATA), -ENXIO);
}

static void by_path_descriptors(void **state)
{
	struct timespec ts[2] = { { 5, 6 }, { 7, 8 } };
	struct place *p = *state;
	char buf[64] = "";
	struct stat st;
	int fd, again;

	fd = io_open_beneath(&p->io, p->dirfd, "f", O_PATH | O_NOFOLLOW, 0);
	assert_true(fd >= 0);
	assert_int_equal(io_fchmod(&p->io, fd, 0604), 0);
	assert_int_equal(io_futimens(&p->io, fd, ts), 0);
	assert_int_equal(io_ftruncate(&p->io, fd, 5), 0);
	assert_int_equal(io_fsetxattr(&p->io, fd, "user.a", "one", 3, 0), 0);
	assert_int_equal(io_fgetxattr(&p->io, fd, "user.a", buf, sizeof(buf)), 3);
	assert_int_equal(io_flistxattr(&p->io, fd, buf, sizeof(buf)), 7);
	assert_int_equal(io_fremovexattr(&p->io, fd, "user.a"), 0);
	assert_int_equal(io_fgetxattr(&p->io, fd, "user.a", buf, sizeof(buf)), -ENODATA);
	assert_int_equal(io_linkfd(&p->io, fd, p->dirfd, "second"), 0);
	assert_int_equal(io_fstat(&p->io, fd, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(st.st_size, 5);
	again = io_reopen(&p->io, fd, O_RDWR);
	assert_true(again >= 0);
	assert_int_equal(fcntl(again, F_GETFD), FD_CLOEXEC);
	assert_int_equal(io_pread(&p->io, again, buf, 10, 0), 5);
	close(again);
	close(fd);
	assert_int_equal(io_symlinkat(&p->io, "where/to", p->dirfd, "sym"), 0);
	assert_int_equal(io_open_beneath(&p->io, p->dirfd, "sym", O_RDONLY, 0), -ELOOP);
	fd = io_open_beneath(&p->io, p->dirfd, "sym", O_PATH | O_NOFOLLOW, 0);
	assert_true(fd >= 0);
	assert_int_equal(io_readlinkfd(&p->io, fd, buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "where/to", 8);
	assert_int_equal(fault_io_arm(&p->fault, "readlink:0:EIO"), 0);
	assert_int_equal(io_readlinkfd(&p->io, fd, buf, sizeof(buf)), -EIO);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest io_tests[] = {
		TEST(every_operation_can_fail),
		TEST(a_failed_close_still_closes),
		TEST(a_swallowed_call_reports_success),
		TEST(reads_and_writes),
		TEST(by_path_descriptors),
	};

	return cmocka_run_group_tests(io_tests, NULL, NULL);
}
