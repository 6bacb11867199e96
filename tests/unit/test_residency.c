/* test_residency.c - bytes in the page cache: cachestat and the mincore path say the same.
 *
 * The second path is taken in a child whose seccomp filter answers cachestat with ENOSYS, as kernels
 * before 6.5 do.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tiering/residency.h"

#define CACHESTAT 451
#define FILE_BYTES (70u * 1048576 + 1234)       /* more than one window of mincore, and not whole pages */

struct range {
	uint64_t off, len;
};

static const struct range ranges[] = {
	{ 0, FILE_BYTES }, { 0, 1 }, { 0, 4096 }, { 4096, 4096 }, { 100, 50 }, { 4000, 200 }, { 0, 0 }, { 1048576, 1048576 },
	{ 3 * 1048576, 60 * 1048576 }, { 63 * 1048576, 2 * 1048576 }, { 64 * 1048576, 6 * 1048576 + 1234 },
	{ 70u * 1048576, 1234 }, { 70u * 1048576 + 1000, 234 }, { 10 * 1048576 + 5, 20 * 1048576 },
};
#define N (sizeof(ranges) / sizeof(ranges[0]))

static bool without_cachestat(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CACHESTAT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	       syscall(CACHESTAT, 0, NULL, NULL, 0) == -1 && errno == ENOSYS;
}

static int answers(int fd, uint64_t out[N])
{
	int rc = 0;

	for (size_t i = 0; i < N && rc == 0; i++)
		rc = residency_bytes(fd, ranges[i].off, ranges[i].len, &out[i]);
	return rc;
}

/* The answers of a child that cannot call cachestat; 0, 77 where there is no seccomp, or 1. */
static int answers_of_mincore(int fd, uint64_t out[N])
{
	int pipefd[2], status;
	pid_t pid;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0) {
		uint64_t mine[N] = { 0 };

		if (!without_cachestat())
			_exit(77);
		_exit(answers(fd, mine) == 0 && write(pipefd[1], mine, sizeof(mine)) == (ssize_t)sizeof(mine) ? 0 : 1);
	}
	close(pipefd[1]);
	if (read(pipefd[0], out, N * sizeof(*out)) != (ssize_t)(N * sizeof(*out)))
		memset(out, 0xff, N * sizeof(*out));
	close(pipefd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int setup(void **state)
{
	char *dir = malloc(SCRATCH_PATH), path[PATH_MAX], *block = malloc(1048576);
	int fd;

	assert_true(dir != NULL && block != NULL);
	scratch_make(dir);
	memset(block, 7, 1048576);
	fd = open(scratch_path(path, sizeof(path), dir, "f"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < 70; i++)
		assert_int_equal(write(fd, block, 1048576), 1048576);
	assert_int_equal(write(fd, block, 1234), 1234);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	free(block);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	scratch_remove(*state);
	free(*state);
	return 0;
}

static int open_file(void **state)
{
	char path[PATH_MAX];
	int fd = open(scratch_path(path, sizeof(path), *state, "f"), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void both_ways_agree(int fd)
{
	uint64_t a[N] = { 0 }, b[N] = { 0 };
	int rc;

	rc = answers_of_mincore(fd, b);
	if (rc == 77) {
		print_message("needs seccomp\n");
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(answers(fd, a), 0);
	for (size_t i = 0; i < N; i++) {
		if (a[i] != b[i])
			fail_msg("%llu + %llu: %llu and %llu", (unsigned long long)ranges[i].off,
				 (unsigned long long)ranges[i].len, (unsigned long long)a[i], (unsigned long long)b[i]);
		assert_true(a[i] <= ranges[i].len);
	}
}

static void all_none_and_some(void **state)
{
	char *block = malloc(1048576);
	int fd = open_file(state);
	uint64_t n;

	assert_non_null(block);
	for (unsigned i = 0; i <= 70; i++)
		assert_true(pread(fd, block, 1048576, (off_t)i * 1048576) > 0);
	assert_int_equal(residency_bytes(fd, 0, FILE_BYTES, &n), 0);
	assert_int_equal(n, FILE_BYTES);
	both_ways_agree(fd);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(residency_bytes(fd, 0, FILE_BYTES, &n), 0);
	assert_int_equal(n, 0);
	both_ways_agree(fd);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);        /* no read-ahead */
	assert_int_equal(pread(fd, block, 1048576, 64 * 1048576 - 524288), 1048576);
	assert_int_equal(residency_bytes(fd, 64 * 1048576 - 524288, 1048576, &n), 0);
	assert_int_equal(n, 1048576);
	assert_int_equal(residency_bytes(fd, 0, 1048576, &n), 0);
	assert_int_equal(n, 0);
	both_ways_agree(fd);
	free(block);
	close(fd);
}

static void wrong_descriptors(void **state)
{
	uint64_t n = 77;

	(void)state;
	assert_int_equal(residency_bytes(-1, 0, 10, &n), -EBADF);
	assert_int_equal(n, 77);
}

int main(void)
{
	const struct CMUnitTest residency_tests[] = {
		cmocka_unit_test(all_none_and_some),
		cmocka_unit_test(wrong_descriptors),
	};

	return cmocka_run_group_tests(residency_tests, setup, teardown);
}
