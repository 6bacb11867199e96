/* test_cache_faults.c - a cache with each call on its files failing in turn, and its way out of service and back. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fault/fault_io.h"
#include "tests/unit/cache_place.h"
#include "tiering/cache_internal.h"

#define MIB (1ull << 20)
#define BLOB 0xb10bull

static struct fault_io *fault_of(struct cache_place *p)
{
	return p->io.ctx;
}

static void arm(struct cache_place *p, const char *fmt, unsigned long n, const char *what)
{
	char text[64];

	snprintf(text, sizeof(text), "%s:%lu:%s", fmt, n, what);
	assert_int_equal(fault_io_arm(fault_of(p), text), 0);
}

static void disarm(struct cache_place *p)
{
	assert_int_equal(fault_io_arm(fault_of(p), ""), 0);
}

static bool fired(struct cache_place *p)
{
	return atomic_load(&fault_of(p)->fired) > 0;
}

static int setup(void **state)
{
	struct fault_io *f = calloc(1, sizeof(*f));
	struct cache_place *p;

	assert_non_null(f);
	assert_int_equal(fault_io_arm(f, ""), 0);
	assert_int_equal(cache_place_setup(state), 0);
	p = *state;
	p->io = fault_io(f);
	return 0;
}

static int teardown(void **state)
{
	struct cache_place *p = *state;
	struct fault_io *f = fault_of(p);

	disarm(p);
	cache_place_teardown(state);
	free(f);
	return 0;
}

static void back_into_service(struct cache_place *p)
{
	for (int i = 0; i < 3; i++) {
		assert_false(cache_in_service(p->c));
		assert_int_equal(cache_probe(p->c), i == 2);
	}
	assert_true(cache_in_service(p->c));
}

/* ---- open ---- */

/* anew: from an empty directory each time.  How many calls were failed, and how many of those did no harm. */
static unsigned long fail_each_of_open(struct cache_place *p, const char *what, int rc, bool anew, unsigned *harmless)
{
	unsigned files;
	unsigned long n;

	cache_place_close(p);
	files = cache_place_open_files();
	*harmless = 0;
	for (n = 0;; n++) {
		int got;

		if (anew) {
			scratch_remove(p->cache);
			assert_int_equal(mkdir(p->cache, 0755), 0);
		}
		arm(p, "any", n, what);
		got = cache_place_open(p);
		if (!fired(p)) {
			assert_int_equal(got, 0);
			break;
		}
		disarm(p);
		if (got == 0) {
			++*harmless;
			cache_place_close(p);
		} else {
			assert_int_equal(got, rc);
			assert_true(strlen(p->err) > 0 && strstr(p->err, p->cache) != NULL);
		}
		assert_null(p->c);
		assert_int_equal(cache_place_open_files(), files);
		cache_place_reopen(p);                  /* the next one works */
		assert_int_equal(p->found.epoch, 1);
		cache_place_close(p);
		assert_int_equal(cache_place_open_files(), files);
	}
	disarm(p);
	assert_true(n > 0);
	return n;
}

static void every_call_of_open(void **state)
{
	struct cache_place *p = *state;
	unsigned long fresh, known;
	unsigned harmless;

	fresh = fail_each_of_open(p, "EIO", -EIO, true, &harmless);
	assert_int_equal(harmless, 0);
	known = fail_each_of_open(p, "EIO", -EIO, false, &harmless);
	assert_int_equal(harmless, 0);
	fail_each_of_open(p, "EMFILE", -EMFILE, true, &harmless);
	assert_int_equal(harmless, 0);
	/* the probe's file (open, stat) and its space are what may be lacking */
	fail_each_of_open(p, "ENOSPC", -ENOSPC, true, &harmless);
	assert_int_equal(harmless, 3);
	fail_each_of_open(p, "ENOSPC", -ENOSPC, false, &harmless);
	assert_int_equal(harmless, 2);
	p->cfg.home = "/elsewhere";
	cache_place_reopen(p);
	print_message("  %lu calls failed in a new cache, %lu in a known one\n", fresh, known);
}

struct order {
	char text[32];
	size_t n;
};

static int note_order(void *ctx, struct io_call *call)
{
	static const char letters[IO_OP_COUNT] = {
		[IO_PWRITE] = 'w', [IO_FSYNC] = 's', [IO_RENAME] = 'r', [IO_MKDIR] = 'd', [IO_TRUNCATE] = 't',
	};
	struct order *o = ctx;

	if (letters[call->op] != 0 && o->n < sizeof(o->text) - 1)
		o->text[o->n++] = letters[call->op];
	return 0;
}

/* Written, synced, only then in place, and that synced too. */
static void what_is_durable_when(void **state)
{
	struct cache_place *p = *state;
	const struct io plain = p->io;
	struct order o = { .n = 0 };
	struct cache_copy *copy;

	cache_place_close(p);
	scratch_remove(p->cache);
	assert_int_equal(mkdir(p->cache, 0755), 0);
	p->io = (struct io){ .hook = note_order, .ctx = &o };
	cache_place_reopen(p);
	assert_string_equal(o.text, "wsrsds");
	o = (struct order){ .n = 0 };
	assert_int_equal(cache_copy_get(p->c, BLOB, MIB, true, NULL, &copy), 0);
	cache_copy_put(copy);
	assert_string_equal(o.text, "ts");
	o = (struct order){ .n = 0 };
	cache_failed(p->c, IO_FSYNC, -EIO);
	back_into_service(p);
	assert_string_equal(o.text, "wswswswsrs");
	o = (struct order){ .n = 0 };
	cache_place_reopen(p);
	assert_string_equal(o.text, "d");               /* a known cache is not written */
	cache_place_close(p);
	p->io = plain;
}

/* A write that ends early is no mark; a crash at any call leaves a directory that can be opened. */
static void half_a_mark(void **state)
{
	struct cache_place *p = *state;
	int status;
	pid_t pid;

	cache_place_close(p);
	for (unsigned long n = 0;; n++) {
		scratch_remove(p->cache);
		assert_int_equal(mkdir(p->cache, 0755), 0);
		if (n == 0) {
			arm(p, "pwrite", 0, "short=20");
			assert_int_equal(cache_place_open(p), -ENOSPC);
			disarm(p);
		}
		pid = fork();
		if (pid == 0) {
			arm(p, "any", n, "kill");
			_exit(cache_place_open(p) == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
		cache_place_reopen(p);
		assert_int_equal(p->found.epoch, 1);
		cache_place_close(p);
		if (WEXITSTATUS(status) == 0)
			break;
	}
}

/* ---- copies ---- */

static void every_call_of_get(void **state)
{
	struct cache_place *p = *state;
	unsigned files = cache_place_open_files();
	unsigned long n, out = 0;

	for (n = 0;; n++) {
		struct cache_copy *copy = NULL;
		int rc;

		cache_place_reopen(p);          /* failed opens count as failed reads, each time from none */
		arm(p, "any", n, "EIO");
		rc = cache_copy_get(p->c, BLOB + n, MIB, true, NULL, &copy);
		if (!fired(p)) {
			assert_int_equal(rc, 0);
			cache_copy_put(copy);
			break;
		}
		assert_int_equal(rc, -EIO);
		assert_null(copy);
		assert_int_equal(cache_place_open_files(), files);
		assert_int_equal(access(cache_place_file(p, BLOB + n), F_OK), -1);
		disarm(p);
		if (!cache_in_service(p->c)) {
			out++;
			assert_int_equal(cache_copy_get(p->c, BLOB + n, MIB, true, NULL, &copy), -EIO);
			back_into_service(p);
		}
		assert_int_equal(cache_copy_get(p->c, BLOB + n, MIB, true, NULL, &copy), 0);
		cache_copy_put(copy);
		arm(p, "stat", 0, "EIO");                       /* the one call of a known copy, beside its open */
		assert_int_equal(cache_copy_get(p->c, BLOB + n, MIB, true, NULL, &copy), -EIO);
		disarm(p);
		assert_int_equal(access(cache_place_file(p, BLOB + n), F_OK), 0);
		assert_int_equal(cache_place_open_files(), files);
		if (!cache_in_service(p->c))
			back_into_service(p);
	}
	print_message("  %lu calls failed, %lu of them ended the service\n", n, out);
	assert_int_equal(n, 4);         /* open, open to make, truncate, fsync of the directory */
	assert_int_equal(out, 2);       /* the last two */
}

static void unlink_and_native(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy;
	struct cache_space s;

	cache_place_reopen(p);
	assert_int_equal(cache_copy_get(p->c, BLOB, MIB, true, NULL, &copy), 0);
	assert_int_equal(cache_reserve(p->c, MIB), 0);
	arm(p, "open", 0, "EMFILE");
	assert_int_equal(cache_copy_native_fd(copy), -EMFILE);
	assert_false(cache_copy_was_native(copy));
	arm(p, "fallocate", 0, "ENOSPC");
	assert_int_equal(cache_copy_write_begin(copy), 0);
	assert_int_equal(cache_copy_punch(copy, 0, MIB), -ENOSPC);
	assert_true(cache_in_service(p->c));
	arm(p, "unlink", 0, "EROFS");
	assert_int_equal(cache_copy_unlink(copy, MIB), -EROFS);
	disarm(p);
	assert_false(cache_in_service(p->c));
	cache_space(p->c, &s);
	assert_int_equal(s.leaving, 0);
	assert_int_equal(s.used, MIB);
	assert_int_equal(access(cache_place_file(p, BLOB), F_OK), 0);
	assert_int_equal(cache_copy_punch(copy, 0, MIB), -EIO);         /* C5 */
	assert_int_equal(cache_copy_write_begin(copy), -EIO);
	assert_int_equal(cache_copy_unlink(copy, MIB), -EIO);
	assert_int_equal(cache_copy_native_fd(copy), -EIO);
	assert_int_equal(cache_unlink_stray(p->c, BLOB + 1), -EIO);
	back_into_service(p);
	cache_copy_write_end(copy);
	assert_int_equal(cache_copy_unlink(copy, MIB), 0);
	cache_copy_put(copy);
	cache_space(p->c, &s);
	assert_int_equal(s.used, 0);
}

static int ignore(void *ctx, uint64_t blob, uint64_t allocated)
{
	(void)blob;
	(void)allocated;
	++*(unsigned *)ctx;
	return 0;
}

static void every_call_of_list(void **state)
{
	struct cache_place *p = *state;
	unsigned files = cache_place_open_files(), seen;
	struct cache_copy *copy;
	unsigned long n;

	cache_place_reopen(p);
	assert_int_equal(cache_copy_get(p->c, BLOB, MIB, true, NULL, &copy), 0);
	cache_copy_put(copy);
	for (n = 0;; n++) {
		int rc;

		seen = 0;
		arm(p, "any", n, "EIO");
		rc = cache_list(p->c, ignore, &seen);
		if (!fired(p)) {
			assert_int_equal(rc, 0);
			assert_int_equal(seen, 1);
			break;
		}
		assert_int_equal(rc, -EIO);
		assert_int_equal(cache_place_open_files(), files);
	}
	assert_int_equal(n, 5);         /* the directory, its names, the file, its stat, no more names */
}

/* ---- out of service and back ---- */

static void which_failures_count(void **state)
{
	static const struct {
		enum io_op op;
		int rc;
		bool ends;
	} cases[] = {
		{ IO_FSYNC, -EIO, true }, { IO_FSYNC, -ENOSPC, true }, { IO_PWRITE, -EIO, true }, { IO_PWRITE, -ENXIO, true },
		{ IO_PWRITE, -EROFS, true }, { IO_PWRITE, -ENODATA, true }, { IO_FALLOCATE, -EIO, true }, { IO_OPEN, -EROFS, true },
		{ IO_PWRITE, -ENOSPC, false }, { IO_PWRITE, -EDQUOT, false }, { IO_PWRITE, -ENOMEM, false }, { IO_PREAD, -EIO, false },
		{ IO_OPEN, -EMFILE, false }, { IO_FALLOCATE, -EOPNOTSUPP, false }, { IO_FSYNC, 0, false }, { IO_PREAD, 17, false },
	};
	struct cache_place *p = *state;
	char reason[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cache_reason(p->c, reason, sizeof(reason));
		assert_string_equal(reason, "");
		assert_false(cache_probe(p->c));        /* nothing to probe */
		cache_failed(p->c, cases[i].op, cases[i].rc);
		assert_int_equal(cache_in_service(p->c), !cases[i].ends);
		if (!cases[i].ends)
			continue;
		cache_reason(p->c, reason, sizeof(reason));
		assert_non_null(strstr(reason, io_op_name(cases[i].op)));
		assert_non_null(strstr(reason, strerror(-cases[i].rc)));
		cache_failed(p->c, IO_PREAD, -ENXIO);   /* the first reason stays */
		cache_failed(p->c, IO_PWRITE, -ENXIO);
		cache_reason(p->c, reason, sizeof(reason));
		assert_non_null(strstr(reason, strerror(-cases[i].rc)));
		cache_reason(p->c, reason, 4);
		assert_int_equal(strlen(reason), 3);
		back_into_service(p);
	}
}

static void the_third_failed_read(void **state)
{
	struct cache_place *p = *state;
	int64_t at[CACHE_READS_LIMIT - 1] = { INT64_MIN / 2, INT64_MIN / 2 };

	cache_failed(p->c, IO_PREAD, -EIO);
	cache_failed(p->c, IO_PREAD, -ENODATA);
	for (int i = 0; i < 10; i++)
		cache_failed(p->c, IO_PREAD, -ENOMEM);          /* ours, not the device's */
	assert_true(cache_in_service(p->c));
	cache_failed(p->c, IO_PREAD, -EIO);
	assert_false(cache_in_service(p->c));
	back_into_service(p);
	cache_failed(p->c, IO_PREAD, -EIO);                     /* counted anew */
	cache_failed(p->c, IO_PREAD, -EIO);
	assert_true(cache_in_service(p->c));

	assert_false(cache_read_failed(at, 0));                 /* also when the clock is near its start */
	assert_false(cache_read_failed(at, 30000));
	assert_false(cache_read_failed(at, 60000));             /* a minute after the first */
	assert_true(cache_read_failed(at, 89999));
	assert_false(cache_read_failed(at, 500000));
	assert_false(cache_read_failed(at, 500001));
	assert_true(cache_read_failed(at, 500002));
}

static void a_failed_sync(void **state)
{
	struct cache_place *p = *state;
	uint8_t uuid[16];
	struct cache_copy *copy;

	cache_place_reopen(p);
	memcpy(uuid, p->found.uuid, sizeof(uuid));
	arm(p, "fsync", 0, "EIO");
	assert_int_equal(cache_copy_get(p->c, BLOB, MIB, true, NULL, &copy), -EIO);
	disarm(p);
	assert_int_equal(cache_epoch(p->c), 1);
	back_into_service(p);
	assert_int_equal(cache_epoch(p->c), 2);
	assert_int_equal(cache_copy_get(p->c, BLOB, MIB, true, NULL, &copy), 0);
	cache_copy_put(copy);
	cache_failed(p->c, IO_FSYNC, -EIO);
	back_into_service(p);
	cache_place_reopen(p);
	assert_int_equal(p->found.epoch, 3);                    /* the mark knows */
	assert_memory_equal(p->found.uuid, uuid, sizeof(uuid));
}

/* A write that was on its way fails when the cache is nearly back. */
static void a_late_failure(void **state)
{
	struct cache_place *p = *state;

	cache_failed(p->c, IO_FSYNC, -EIO);
	assert_false(cache_probe(p->c));
	assert_false(cache_probe(p->c));
	cache_failed(p->c, IO_PWRITE, -EIO);
	back_into_service(p);
}

/* Whatever fails in a probe, the count begins anew; what it changes on the way harms nothing. */
static void fail_each_of_probes(struct cache_place *p, const char *op, const char *what)
{
	unsigned files = cache_place_open_files();
	unsigned long n;

	for (n = 0;; n++) {
		uint64_t epoch = cache_epoch(p->c);
		int probes = 0;

		cache_failed(p->c, IO_FSYNC, -EIO);
		arm(p, op, n, what);
		while (!fired(p) && probes < 3)
			if (cache_probe(p->c) != (++probes == 3 && !fired(p)))
				fail();
		if (!fired(p))
			break;
		assert_false(cache_in_service(p->c));
		assert_int_equal(cache_epoch(p->c), epoch);
		disarm(p);
		back_into_service(p);
		assert_int_equal(cache_epoch(p->c), epoch + 1);
		assert_int_equal(cache_place_open_files(), files);
		cache_place_reopen(p);
		assert_true(p->found.epoch == epoch + 1);
	}
	disarm(p);
	assert_true(cache_in_service(p->c));
	assert_true(n > 0);
	print_message("  %s %s: %lu calls failed\n", op, what, n);
}

static void every_call_of_a_probe(void **state)
{
	struct cache_place *p = *state;

	cache_place_reopen(p);
	fail_each_of_probes(p, "any", "EIO");
	fail_each_of_probes(p, "pwrite", "short=100");
	fail_each_of_probes(p, "pread", "short=100");
	fail_each_of_probes(p, "pwrite", "ENOSPC");
}

/* Between the sync and the read one byte becomes what it was before: the device had not taken it. */
static int keep_old_byte(void *ctx, struct io_call *call)
{
	const unsigned char old = 0;

	if (call->op == IO_PREAD)
		assert_int_equal(pwrite(*(int *)ctx, &old, 1, 40000), 1);
	return 0;
}

static void a_write_that_did_not_happen(void **state)
{
	struct cache_place *p = *state;
	const struct io honest = p->io;
	char path[PATH_MAX];
	int fd, wrong = 0;

	fd = open(scratch_path(path, sizeof(path), p->cache, "probe"), O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	cache_failed(p->c, IO_FSYNC, -EIO);
	p->io = (struct io){ .hook = keep_old_byte, .ctx = &fd };
	for (int i = 0; i < 20; i++)            /* the byte is the right one by chance once in 256 times */
		wrong += cache_probe(p->c);
	p->io = honest;
	close(fd);
	assert_int_equal(wrong, 0);
	while (!cache_probe(p->c))
		assert_false(cache_in_service(p->c));
}

static void a_probe_that_is_not_ours(void **state)
{
	struct cache_place *p = *state;
	char path[PATH_MAX];

	cache_failed(p->c, IO_FSYNC, -EIO);
	assert_false(cache_probe(p->c));
	assert_false(cache_probe(p->c));
	assert_int_equal(unlink(scratch_path(path, sizeof(path), p->cache, "probe")), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_false(cache_probe(p->c));        /* not followed */
	assert_int_equal(unlink(path), 0);
	back_into_service(p);
}

static void space_when_the_device_says_nothing(void **state)
{
	struct cache_place *p = *state;
	struct cache_space s;

	cache_place_reopen(p);
	arm(p, "statfs", 0, "EIO");
	while (!fired(p))               /* it is asked a few times a second at most */
		cache_space(p->c, &s);
	assert_true(s.device_free > 0);
	assert_true(cache_in_service(p->c));
	assert_int_equal(cache_reserve(p->c, 1), 0);
	arm(p, "statfs", 0, "EIO");
	for (int i = 0; i < 10; i++)
		cache_space(p->c, &s);
	assert_true(atomic_load(&fault_of(p)->seen) <= 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest cache_fault_tests[] = {
		TEST(every_call_of_open),
		TEST(what_is_durable_when),
		TEST(half_a_mark),
		TEST(every_call_of_get),
		TEST(unlink_and_native),
		TEST(every_call_of_list),
		TEST(which_failures_count),
		TEST(the_third_failed_read),
		TEST(a_failed_sync),
		TEST(a_late_failure),
		TEST(every_call_of_a_probe),
		TEST(a_write_that_did_not_happen),
		TEST(a_probe_that_is_not_ours),
		TEST(space_when_the_device_says_nothing),
	};

	return cmocka_run_group_tests(cache_fault_tests, NULL, NULL);
}
