/* test_weights_guard.c - files that change under a model: shorter ones read as zeros instead of ending the process, and a
 * session says that its file is not what it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "engine/weights_guard.h"
#include "kernels/kern.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

struct fixture {
	char path[TINY_MODEL_PATH];
	size_t len;
	struct model *m;
	struct session *s;
};

static int set_up(void **state)
{
	static const struct session_params p = { .n_ctx = 64, .n_batch = 64, .n_threads = 2, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct fixture *f = calloc(1, sizeof(*f));
	unsigned char *bytes;
	char err[256];

	weights_guard_install();
	if (f == NULL || tiny_arch_build(tiny_arch_at(0), &bytes, &f->len) != 0 ||
	    tiny_model_write(bytes, f->len, f->path) != 0 || model_open(&f->m, f->path, err, sizeof(err)) != 0 ||
	    session_open(&f->s, f->m, &p, err, sizeof(err)) != 0)
		return -1;
	free(bytes);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	session_close(f->s);
	model_close(f->m);
	unlink(f->path);
	free(f);
	return 0;
}

static int eval(struct fixture *f)
{
	return session_eval(f->s, (const uint32_t[]){ 5, 6, 7 }, 3, NULL, NULL);
}

static void test_shorter(void **state)
{
	struct fixture *f = *state;

	weights_guard_install();        /* cmocka has its own handler by now */
	assert_int_equal(eval(f), 0);
	assert_int_equal(truncate(f->path, (off_t)f->len / 2), 0);
	assert_int_equal(eval(f), -ESTALE);
	assert_null(session_logits(f->s));
	assert_int_equal(eval(f), -ESTALE);
}

/* Longer again before anybody looks at its length: what was missing is remembered. */
static void test_shorter_for_a_while(void **state)
{
	struct fixture *f = *state;
	struct timespec times[2];
	struct stat st;
	char *map;
	int fd;

	weights_guard_install();
	fd = open(f->path, O_RDWR);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	map = mmap(NULL, f->len, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(weights_guard_add(map, f->len), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(map[f->len - 1], 0);
	assert_int_equal(map[0], 0);
	assert_true(weights_guard_hit(map));
	assert_int_equal(ftruncate(fd, (off_t)f->len), 0);
	times[0] = times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
	assert_true(weights_guard_hit(map));
	weights_guard_remove(map);
	assert_false(weights_guard_hit(map));
	munmap(map, f->len);
	close(fd);
	assert_int_equal(eval(f), -ESTALE);     /* ctime tells of it */
}

static void test_written(void **state)
{
	struct fixture *f = *state;
	int fd = open(f->path, O_WRONLY);

	assert_int_equal(eval(f), 0);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)f->len - 1), 1);
	close(fd);
	assert_int_equal(eval(f), -ESTALE);
}

/* Names and rights are no matter. */
static void test_same_bytes(void **state)
{
	struct fixture *f = *state;
	char other[TINY_MODEL_PATH + 8];

	assert_int_equal(eval(f), 0);
	assert_int_equal(chmod(f->path, 0640), 0);
	assert_int_equal(eval(f), 0);
	snprintf(other, sizeof(other), "%s.link", f->path);
	assert_int_equal(link(f->path, other), 0);
	assert_int_equal(eval(f), 0);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(eval(f), 0);
}

/* Any other SIGBUS still ends the process. */
static void test_elsewhere(void **state)
{
	int status, fd;
	pid_t pid;
	char *map;

	(void)state;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		weights_guard_install();
		fd = memfd_create("x", 0);
		if (ftruncate(fd, 8192) != 0)
			_exit(1);
		map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
		if (ftruncate(fd, 0) != 0)
			_exit(1);
		_exit(map[4096] == 0 ? 2 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shorter, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shorter_for_a_while, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_bytes, set_up, tear_down),
		cmocka_unit_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
