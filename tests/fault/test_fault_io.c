/* test_fault_io.c - the faults themselves, and what home says of an fsync that fails at every place. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fault/fault_io.h"
#include "tests/unit/scratch.h"
#include "tiering/home.h"

static void specs(void **state)
{
	static const char *const bad[] = { "x", "open", "open:", "open:1", "open:x:EIO", "open:1:EWHAT", "nope:1:EIO",
					   "open:1++:EIO", "pread:0:short=", "pread:0:short=1x", "pread:0:" };
	struct fault_io f = { .plan.op = FAULT_ANY };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(fault_io_arm(&f, bad[i]), -EINVAL);
	assert_int_equal(fault_io_arm(&f, ""), 0);
	assert_int_equal(fault_io_arm(&f, "count"), 0);
	assert_int_equal(fault_io_arm(&f, "copy_file_range:12+:ENOSPC"), 0);
	assert_int_equal(f.plan.op, IO_COPY_RANGE);
	assert_int_equal(f.plan.nth, 12);
	assert_true(f.plan.forever);
	assert_int_equal(f.plan.error, ENOSPC);
}

static void once_and_for_ever(void **state)
{
	struct fault_io f = { .plan.op = FAULT_ANY };
	struct io io = fault_io(&f);
	struct stat st;

	(void)state;
	assert_int_equal(fault_io_arm(&f, "stat:1:EACCES"), 0);
	assert_int_equal(io_fstat(&io, 0, &st), 0);
	assert_int_equal(io_fstat(&io, 0, &st), -EACCES);
	assert_int_equal(io_fstat(&io, 0, &st), 0);
	assert_int_equal(atomic_load(&f.fired), 1);
	assert_int_equal(atomic_load(&f.count[IO_STAT]), 3);
	assert_int_equal(fault_io_arm(&f, "stat:1+:EIO"), 0);
	assert_int_equal(io_fstat(&io, 0, &st), 0);
	assert_int_equal(io_fstat(&io, 0, &st), -EIO);
	assert_int_equal(io_fstat(&io, 0, &st), -EIO);
}

static void a_kill_point(void **state)
{
	struct fault_io f = { .plan.op = FAULT_ANY };
	struct io io = fault_io(&f);
	struct stat st;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(fault_io_arm(&f, "any:2:kill"), 0);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 5; i++)
			if (io_fstat(&io, 0, &st) != 0 || i == 2)
				break;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

/* home_sync_dirs is what every acknowledgement rests on: any failure of any step must come out. */
static void syncing_directories_with_every_step_failing(void **state)
{
	struct fault_io f = { .plan.op = FAULT_ANY };
	struct io io = fault_io(&f);
	char dir[SCRATCH_PATH], err[256], spec[64];
	struct home *h;
	unsigned n;
	int rc;

	(void)state;
	scratch_make(dir);
	scratch_file(dir, "a/b/c/f", "x", 1);
	assert_int_equal(home_open(&h, dir, &io, err, sizeof(err)), 0);
	for (n = 0; n < 1000; n++) {
		snprintf(spec, sizeof(spec), "any:%u:EIO", n);
		assert_int_equal(fault_io_arm(&f, spec), 0);
		rc = home_sync_dirs(h, "a/b/c");
		if (atomic_load(&f.fired) == 0)
			break;
		assert_int_equal(rc, -EIO);
	}
	assert_int_equal(rc, 0);
	assert_true(n >= 3 * 4);                /* open, stat and fsync of four directories */
	assert_int_equal(fault_io_arm(&f, "count"), 0);
	assert_int_equal(home_sync_dirs(h, "a/b/c"), 0);
	assert_int_equal(atomic_load(&f.count[IO_FSYNC]), 4);
	assert_int_equal(atomic_load(&f.count[IO_OPEN]), atomic_load(&f.count[IO_CLOSE]));
	home_close(h);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest fault_io_tests[] = {
		cmocka_unit_test(specs),
		cmocka_unit_test(once_and_for_ever),
		cmocka_unit_test(a_kill_point),
		cmocka_unit_test(syncing_directories_with_every_step_failing),
	};

	return cmocka_run_group_tests(fault_io_tests, NULL, NULL);
}
