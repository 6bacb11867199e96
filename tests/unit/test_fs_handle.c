/* test_fs_handle.c - open handles: stale ones are never answered, slots come back, descriptors end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_handle.h"

static struct fs_handle handle(uint64_t nodeid)
{
	return (struct fs_handle){ .nodeid = nodeid, .fd = -1 };
}

static void add_get_del(void **state)
{
	struct fs_handle h = handle(5), out;
	struct fs_handles *t;
	uint64_t fh, again;

	(void)state;
	assert_int_equal(fs_handles_new(&t), 0);
	assert_null(fs_handle_get(t, 0));
	assert_null(fs_handle_get(t, UINT64_MAX));
	assert_false(fs_handle_del(t, 0, &out));
	assert_int_equal(fs_handle_add(t, &h, &fh), 0);
	assert_int_equal(fs_handle_count(t), 1);
	assert_int_equal(fs_handle_get(t, fh)->nodeid, 5);
	assert_null(fs_handle_get(t, fh + 1));
	assert_null(fs_handle_get(t, fh + (1ull << 32)));
	assert_true(fs_handle_del(t, fh, &out));
	assert_int_equal(out.nodeid, 5);
	assert_false(fs_handle_del(t, fh, &out));
	assert_null(fs_handle_get(t, fh));
	assert_int_equal(fs_handle_count(t), 0);
	assert_int_equal(fs_handle_add(t, &h, &again), 0);      /* the same slot, another fh */
	assert_int_equal((uint32_t)again, (uint32_t)fh);
	assert_true(again != fh);
	assert_null(fs_handle_get(t, fh));
	assert_null(fs_handle_get(t, again + (1ull << 32)));    /* a generation that is not in use yet */
	fs_handles_free(t);
	fs_handles_free(NULL);
}

static void many_handles_stay_where_they_are(void **state)
{
	enum { N = 5000 };
	struct fs_handle **where = calloc(N, sizeof(struct fs_handle *)), h, out;
	uint64_t *fh = calloc(N, sizeof(*fh));
	struct fs_handles *t;

	(void)state;
	assert_true(where != NULL && fh != NULL);
	assert_int_equal(fs_handles_new(&t), 0);
	for (unsigned i = 0; i < N; i++) {
		h = handle(i);
		assert_int_equal(fs_handle_add(t, &h, &fh[i]), 0);
		where[i] = fs_handle_get(t, fh[i]);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_ptr_equal(fs_handle_get(t, fh[i]), where[i]);
		assert_int_equal(where[i]->nodeid, i);
	}
	for (unsigned i = 0; i < N; i += 2)
		assert_true(fs_handle_del(t, fh[i], &out));
	assert_int_equal(fs_handle_count(t), N / 2);
	for (unsigned i = 1; i < N; i += 2)
		assert_int_equal(fs_handle_get(t, fh[i])->nodeid, i);
	fs_handles_free(t);
	free(where);
	free(fh);
}

static void free_closes_what_is_open(void **state)
{
	struct fs_handle h = handle(1), out;
	struct fs_handles *t;
	uint64_t fh;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fs_handles_new(&t), 0);
	h.fd = fds[0];
	assert_int_equal(fs_handle_add(t, &h, &fh), 0);
	h.fd = fds[1];
	assert_int_equal(fs_handle_add(t, &h, &fh), 0);
	h = handle(2);
	h.text = strdup("what it said");
	assert_int_equal(fs_handle_add(t, &h, &fh), 0);         /* ASan sees whether its text is freed */
	h.text = strdup("gone before");
	assert_int_equal(fs_handle_add(t, &h, &fh), 0);
	assert_true(fs_handle_del(t, fh, &out));
	assert_string_equal(out.text, "gone before");
	free(out.text);
	fs_handles_free(t);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
}

static void walking_the_writable_ones(void **state)
{
	struct fs_handle h, out;
	struct fs_handles *t;
	uint64_t fh[6];
	uint32_t cursor = 0;
	int fd, n = 0;

	(void)state;
	assert_int_equal(fs_handles_new(&t), 0);
	assert_int_equal(fs_handle_next_writable(t, &cursor), -1);
	for (unsigned i = 0; i < 6; i++) {
		h = handle(i);
		h.fd = i == 5 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
		h.writable = i % 2 == 0;
		assert_int_equal(fs_handle_add(t, &h, &fh[i]), 0);
	}
	assert_true(fs_handle_del(t, fh[2], &out));
	close(out.fd);
	for (cursor = 0; (fd = fs_handle_next_writable(t, &cursor)) != -1; n++) {
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);                      /* a duplicate: the handle's own stays */
	}
	assert_int_equal(n, 2);
	assert_true(fcntl(fs_handle_get(t, fh[0])->fd, F_GETFD) != -1);
	fs_handles_free(t);
}

struct shared {
	struct fs_handles *t;
	atomic_int mistakes;
};

static void *add_and_del(void *arg)
{
	struct shared *s = arg;
	struct fs_handle h, out;
	uint64_t fh[16];

	for (unsigned round = 0; round < 2000; round++) {
		for (unsigned i = 0; i < 16; i++) {
			h = handle((uint64_t)(uintptr_t)&fh[i]);
			if (fs_handle_add(s->t, &h, &fh[i]) != 0)
				atomic_fetch_add(&s->mistakes, 1);
		}
		for (unsigned i = 0; i < 16; i++) {
			const struct fs_handle *mine = fs_handle_get(s->t, fh[i]);

			if (mine == NULL || mine->nodeid != (uint64_t)(uintptr_t)&fh[i])
				atomic_fetch_add(&s->mistakes, 1);
			if (!fs_handle_del(s->t, fh[i], &out) || fs_handle_get(s->t, fh[i]) != NULL)
				atomic_fetch_add(&s->mistakes, 1);
		}
	}
	return NULL;
}

static void eight_threads(void **state)
{
	struct shared s = { .t = NULL };
	pthread_t threads[8];

	(void)state;
	assert_int_equal(fs_handles_new(&s.t), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_and_del, &s), 0);
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&s.mistakes), 0);
	assert_int_equal(fs_handle_count(s.t), 0);
	fs_handles_free(s.t);
}

int main(void)
{
	const struct CMUnitTest fs_handle_tests[] = {
		cmocka_unit_test(add_get_del),
		cmocka_unit_test(many_handles_stay_where_they_are),
		cmocka_unit_test(free_closes_what_is_open),
		cmocka_unit_test(walking_the_writable_ones),
		cmocka_unit_test(eight_threads),
	};

	return cmocka_run_group_tests(fs_handle_tests, NULL, NULL);
}
