#include "tests/unit/ram_fixture.h"
#include "tiering/residency.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S 60

int ram_fixture_setup(void **state)
{
	struct ram_fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	scratch_make(x->dir);
	scratch_path(x->proc, sizeof(x->proc), x->dir, "proc");
	scratch_path(x->cgroup, sizeof(x->cgroup), x->dir, "cgroup");
	assert_int_equal(mkdir(x->proc, 0755), 0);
	assert_int_equal(mkdir(x->cgroup, 0755), 0);
	*state = x;
	return 0;
}

int ram_fixture_teardown(void **state)
{
	struct ram_fixture *x = *state;

	ram_close(x->r);
	scratch_remove(x->dir);
	free(x);
	return 0;
}

/* By a rename, so that nobody reads half of it. */
void ram_fixture_memory(struct ram_fixture *x, uint64_t available_mib)
{
	char text[200], from[PATH_MAX], to[PATH_MAX];
	unsigned long long kib = available_mib * 1024;
	int n = snprintf(text, sizeof(text), "MemTotal:        1048576 kB\nMemFree:  %llu kB\nMemAvailable:   %llu kB\n", kib,
			 kib);

	scratch_file(x->dir, "proc/meminfo.new", text, (size_t)n);
	assert_int_equal(rename(scratch_path(from, sizeof(from), x->dir, "proc/meminfo.new"),
				scratch_path(to, sizeof(to), x->dir, "proc/meminfo")), 0);
}

static void told(void *ctx, const char *type, const char *label, const char *text)
{
	struct ram_fixture *x = ctx;

	assert_non_null(label);
	assert_true(strchr(text, '\n') == NULL && text[0] != '\0');
	x->events++;
	x->fails += strcmp(type, "fail") == 0;
}

void ram_fixture_open(struct ram_fixture *x, uint64_t budget)
{
	struct ram_config cfg = { .budget = budget, .io = &x->io, .event = told, .ctx = x, .proc = x->proc,
				  .cgroup = x->cgroup, .tick_ms = 1 };

	ram_fixture_memory(x, 900);
	assert_int_equal(ram_open(&x->r, &cfg), 0);
}

int ram_fixture_file(struct ram_fixture *x, const char *name, uint64_t bytes)
{
	unsigned char block[4096];
	char path[PATH_MAX];
	int fd;

	memset(block, 7, sizeof(block));
	fd = open(scratch_path(path, sizeof(path), x->dir, name), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	for (uint64_t at = 0; at < bytes; at += sizeof(block)) {
		size_t len = bytes - at < sizeof(block) ? (size_t)(bytes - at) : sizeof(block);

		assert_int_equal(write(fd, block, len), (ssize_t)len);
	}
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);        /* no read-ahead past what is read */
	ram_fixture_evict(fd, 0, bytes / UNIT + 1);
	return fd;
}

struct ram_file *ram_fixture_get(struct ram_fixture *x, uint64_t key, int fd, uint64_t bytes)
{
	struct ram_file *f;
	char label[32];

	snprintf(label, sizeof(label), "file-%llu", (unsigned long long)key);
	assert_int_equal(ram_file_get(x->r, key, label, fd, bytes, NULL, 0, &f), 0);
	return f;
}

/* Four times, the whole range at a time: a kernel short of memory takes first what was read once, and counts a second
 * read only of pages that have left its batches; with fewer pages than were read the counts differ. */
void ram_fixture_read(int fd, uint64_t from, uint64_t to)
{
	static _Thread_local char buf[65536];

	for (unsigned again = 0; again < 4; again++) {
		for (uint64_t at = from * UNIT; at < to * UNIT; at += sizeof(buf)) {
			if (pread(fd, buf, sizeof(buf), (off_t)at) <= 0)
				break;
		}
	}
}

void ram_fixture_evict(int fd, uint64_t from, uint64_t to)
{
	assert_int_equal(posix_fadvise(fd, (off_t)(from * UNIT), (off_t)((to - from) * UNIT), POSIX_FADV_DONTNEED), 0);
}

uint64_t ram_fixture_resident(int fd, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	assert_int_equal(residency_bytes(fd, from * UNIT, (to - from) * UNIT, &n), 0);
	return n;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void ram_fixture_until(struct ram_fixture *x, bool (*is)(struct ram_fixture *x, void *arg), void *arg)
{
	uint64_t end = now_ms() + PATIENCE_S * 1000;

	do {
		ram_settle(x->r);
		if (is(x, arg))
			return;
	} while (now_ms() < end);
	fail_msg("it did not happen within %d s", PATIENCE_S);
}

void ram_fixture_ticks(struct ram_fixture *x, unsigned ticks)
{
	uint64_t end = now_ms() + ticks + 1;

	do
		ram_settle(x->r);
	while (now_ms() < end);
}

const char *ram_fixture_cannot_lock(struct ram_fixture *x)
{
	return ram_fixture_status(x).why_not_locked;
}

struct ram_status ram_fixture_status(struct ram_fixture *x)
{
	struct ram_status s;

	ram_status(x->r, &s);
	return s;
}

struct ram_file_status ram_fixture_file_status(struct ram_file *f)
{
	struct ram_file_status s;

	ram_file_status(f, &s);
	return s;
}
