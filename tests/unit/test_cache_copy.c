/* test_cache_copy.c - copies: one file a blob, what a native open forbids, and when bytes are free. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cache_place.h"

#define MIB (1ull << 20)
#define BLOB 0xfedcba9876543210ull
#define SIZE (8 * MIB + 12345)

static struct cache_copy *get(struct cache_place *p, bool create)
{
	struct cache_copy *copy = NULL;

	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE, create, NULL, &copy), 0);
	return copy;
}

static struct cache_space space_of(struct cache_place *p)
{
	struct cache_space s;

	cache_space(p->c, &s);
	return s;
}

/* Announced, written, ended. */
static void fill(struct cache_copy *copy, uint64_t off, int byte)
{
	void *buf = aligned_alloc(4096, MIB);

	assert_non_null(buf);
	memset(buf, byte, MIB);
	assert_int_equal(cache_copy_write_begin(copy), 0);
	assert_int_equal(pwrite(cache_copy_fd(copy, NULL), buf, MIB, (off_t)off), MIB);
	cache_copy_write_end(copy);
	free(buf);
}

static int byte_at(int fd, uint64_t off)
{
	_Alignas(4096) static _Thread_local unsigned char buf[4096];

	assert_int_equal(pread(fd, buf, sizeof(buf), (off_t)(off & ~4095ull)), sizeof(buf));
	return buf[off & 4095];
}

static void one_struct_a_blob(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *a = NULL, *b = NULL;
	uint64_t allocated = 1;
	struct stat st;
	bool direct;

	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE, false, NULL, &a), -ENOENT);
	assert_null(a);
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE, true, &allocated, &a), 0);
	assert_int_equal(allocated, 0);
	assert_int_equal(stat(cache_place_file(p, BLOB), &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(cache_copy_fd(a, &direct) >= 0);
	assert_true(direct);                    /* the scratch directory is on a real disk */
	fill(a, 2 * MIB, 'x');
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE, true, &allocated, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(allocated, MIB);
	assert_ptr_equal(cache_copy_ref(a), a);
	cache_copy_put(a);
	cache_copy_put(a);
	assert_int_equal(byte_at(cache_copy_fd(a, NULL), 3 * MIB - 1), 'x');
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE + 1, false, NULL, &b), -EIO);  /* held: left alone */
	cache_copy_put(a);
	cache_copy_put(NULL);
	cache_place_reopen(p);
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE, false, &allocated, &a), 0);
	assert_int_equal(allocated, MIB);
	assert_false(cache_copy_was_native(a));
	assert_int_equal(byte_at(cache_copy_fd(a, NULL), 2 * MIB), 'x');
	assert_int_equal(byte_at(cache_copy_fd(a, NULL), 2 * MIB - 1), 0);
	fill(a, 0, 'y');                        /* it is filled further after a restart */
	cache_copy_put(a);
}

static void another_size(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy = get(p, true);

	cache_copy_put(copy);
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE - 1, true, NULL, &copy), -EIO);
	assert_int_equal(access(cache_place_file(p, BLOB), F_OK), -1);
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE - 1, true, NULL, &copy), 0);
	cache_copy_put(copy);
	assert_int_equal(unlink(cache_place_file(p, BLOB)), 0);
	assert_int_equal(mkfifo(cache_place_file(p, BLOB), 0600), 0);
	assert_int_equal(cache_copy_get(p->c, BLOB, 0, false, NULL, &copy), -EIO);
	assert_int_equal(symlink("/etc/passwd", cache_place_file(p, BLOB)), 0);
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE, true, NULL, &copy), -ELOOP);
	assert_true(cache_in_service(p->c));
}

static void punching(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy = get(p, true);
	uint64_t allocated;

	fill(copy, 0, 'a');
	fill(copy, MIB, 'b');
	assert_int_equal(cache_copy_punch(copy, 0, MIB), -EPERM);       /* not announced */
	assert_int_equal(cache_copy_write_begin(copy), 0);
	assert_int_equal(cache_copy_punch(copy, 0, MIB), 0);
	cache_copy_write_end(copy);
	assert_int_equal(byte_at(cache_copy_fd(copy, NULL), 0), 0);
	assert_int_equal(byte_at(cache_copy_fd(copy, NULL), MIB), 'b');
	cache_copy_put(copy);
	assert_int_equal(cache_copy_get(p->c, BLOB, SIZE, false, &allocated, &copy), 0);
	assert_int_equal(allocated, MIB);
	cache_copy_put(copy);
}

static void handed_out(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy = get(p, true), *again;
	char *map;
	int fd;

	fill(copy, 0, 'n');
	assert_int_equal(cache_copy_write_begin(copy), 0);
	assert_int_equal(cache_copy_write_begin(copy), 0);
	assert_int_equal(cache_copy_native_fd(copy), -EBUSY);
	cache_copy_write_end(copy);
	assert_int_equal(cache_copy_native_fd(copy), -EBUSY);
	cache_copy_write_end(copy);
	assert_false(cache_copy_was_native(copy));
	fd = cache_copy_native_fd(copy);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_DIRECT), O_RDONLY);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_true(cache_copy_was_native(copy));
	assert_int_equal(cache_copy_write_begin(copy), -EPERM);
	assert_int_equal(cache_copy_punch(copy, 0, MIB), -EPERM);
	map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	assert_int_equal(cache_copy_write_begin(copy), -EPERM);         /* the mapping lives */
	cache_copy_put(copy);
	again = get(p, false);                                          /* and is seen by a new struct, */
	assert_int_equal(cache_copy_write_begin(again), -EPERM);
	cache_copy_put(again);
	cache_place_reopen(p);                                          /* also in a later process */
	again = get(p, false);
	assert_true(cache_copy_was_native(again));
	assert_int_equal(cache_copy_write_begin(again), -EPERM);
	assert_int_equal(munmap(map, MIB), 0);
	assert_int_equal(cache_copy_write_begin(again), -EPERM);
	cache_copy_put(again);
	again = get(p, false);                                          /* nobody has it now */
	assert_int_equal(cache_copy_write_begin(again), 0);
	cache_copy_write_end(again);
	cache_copy_put(again);
}

static void unlinked_and_mapped(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy = get(p, true), *next;
	char *map;
	int fd;

	assert_int_equal(cache_reserve(p->c, 10 * MIB), 0);
	fill(copy, 0, 'm');
	fd = cache_copy_native_fd(copy);
	map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(cache_copy_unlink(copy, 9 * MIB), 0);
	assert_int_equal(cache_copy_unlink(copy, 9 * MIB), -ENOENT);
	assert_int_equal(access(cache_place_file(p, BLOB), F_OK), -1);
	next = get(p, true);                                            /* a new file, a new struct */
	assert_ptr_not_equal(next, copy);
	fill(next, 0, 'z');
	assert_int_equal(byte_at(cache_copy_fd(next, NULL), 0), 'z');
	assert_int_equal(byte_at(cache_copy_fd(copy, NULL), 0), 'm');
	cache_copy_put(next);
	cache_reap(p->c);                                               /* held by us */
	assert_int_equal(space_of(p).leaving, 9 * MIB);
	cache_copy_put(copy);
	cache_reap(p->c);                                               /* open */
	assert_int_equal(space_of(p).leaving, 9 * MIB);
	close(fd);
	cache_reap(p->c);                                               /* mapped */
	assert_int_equal(space_of(p).leaving, 9 * MIB);
	assert_int_equal(space_of(p).used, 10 * MIB);
	assert_int_equal(map[MIB - 1], 'm');
	assert_int_equal(munmap(map, MIB), 0);
	assert_int_equal(space_of(p).leaving, 9 * MIB);
	cache_reap(p->c);
	assert_int_equal(space_of(p).leaving, 0);
	assert_int_equal(space_of(p).used, MIB);
	next = get(p, false);
	assert_int_equal(byte_at(cache_copy_fd(next, NULL), 0), 'z');
	cache_copy_put(next);
}

static void unlinked_and_never_native(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy = get(p, true);
	unsigned files;

	assert_int_equal(cache_reserve(p->c, MIB), 0);
	fill(copy, 0, 'm');
	cache_copy_ref(copy);
	assert_int_equal(cache_copy_unlink(copy, MIB), 0);
	cache_copy_put(copy);
	cache_reap(p->c);
	assert_int_equal(space_of(p).leaving, MIB);
	assert_int_equal(byte_at(cache_copy_fd(copy, NULL), 0), 'm');   /* it lives on for those who hold it */
	files = cache_place_open_files();
	cache_copy_put(copy);
	assert_int_equal(space_of(p).leaving, 0);
	assert_int_equal(space_of(p).used, 0);
	assert_int_equal(cache_place_open_files(), files - 1);
}

/* Somebody else's hand in the directory: the name is gone already. */
static void unlinked_behind_us(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy = get(p, true);

	assert_int_equal(unlink(cache_place_file(p, BLOB)), 0);
	assert_int_equal(cache_copy_unlink(copy, 0), 0);
	cache_copy_put(copy);
	assert_true(cache_in_service(p->c));
}

static void closed_while_mapped(void **state)
{
	struct cache_place *p = *state;
	unsigned files = cache_place_open_files();
	struct cache_copy *copy = get(p, true);
	int fd = cache_copy_native_fd(copy);

	assert_int_equal(cache_copy_unlink(copy, 0), 0);
	cache_copy_put(copy);
	cache_reap(p->c);
	cache_place_reopen(p);
	close(fd);
	assert_int_equal(cache_place_open_files(), files);
}

struct listed {
	struct cache *c;
	unsigned n;
	uint64_t bytes;
	int rc;
};

static int note(void *ctx, uint64_t blob, uint64_t allocated)
{
	struct listed *l = ctx;

	assert_int_equal(blob >> 8, 0xa0);
	l->n++;
	l->bytes += allocated;
	if (l->c != NULL)
		assert_int_equal(cache_unlink_stray(l->c, blob), blob == 0xa005 ? -EBUSY : 0);
	return l->rc;
}

static void listing_and_strays(void **state)
{
	struct cache_place *p = *state;
	struct cache_copy *copy, *held = NULL;
	struct listed l = { .n = 0 };
	char path[PATH_MAX];

	for (uint64_t blob = 0xa000; blob < 0xa100; blob++) {
		assert_int_equal(cache_copy_get(p->c, blob, MIB, true, NULL, &copy), 0);
		if (blob == 0xa005) {
			held = copy;
			fill(copy, 0, 'h');
		} else {
			cache_copy_put(copy);
		}
	}
	scratch_file(p->cache, "copies/000000000000A00F", "text", 4);  /* none of ours */
	scratch_file(p->cache, "copies/0000000000000000", "text", 4);
	scratch_file(p->cache, "copies/a0ff", "text", 4);
	assert_int_equal(mkdir(scratch_path(path, sizeof(path), p->cache, "copies/000000000000a0ff0"), 0755), 0);
	assert_int_equal(mkdir(cache_place_file(p, 0xa1), 0755), 0);
	assert_int_equal(symlink("/etc/passwd", cache_place_file(p, 0xa2)), 0);
	assert_int_equal(cache_list(p->c, note, &l), 0);
	assert_int_equal(l.n, 256);
	assert_int_equal(l.bytes, MIB);
	l = (struct listed){ .rc = -ECANCELED };
	assert_int_equal(cache_list(p->c, note, &l), -ECANCELED);
	assert_int_equal(l.n, 1);
	l = (struct listed){ .c = p->c };
	assert_int_equal(cache_list(p->c, note, &l), 0);
	assert_int_equal(l.n, 256);
	cache_copy_put(held);
	l = (struct listed){ .c = NULL };
	assert_int_equal(cache_list(p->c, note, &l), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(cache_unlink_stray(p->c, 0xa005), 0);
	assert_int_equal(cache_unlink_stray(p->c, 0xa005), 0);  /* gone is gone */
}

/* ---- many threads ---- */

struct crowd {
	struct cache_place *p;
	uint64_t seed;
	atomic_ulong *writes, *natives, *unlinks;
};

static uint64_t next_random(uint64_t *s)        /* xorshift64 */
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A file that was handed out keeps what it had: its first page says so. */
static void crowd_native(struct crowd *w, struct cache_copy *copy)
{
	const unsigned char *map;
	unsigned char first;
	int fd;

	fd = cache_copy_native_fd(copy);
	if (fd < 0) {
		assert_int_equal(fd, -EBUSY);
		return;
	}
	atomic_fetch_add(w->natives, 1);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	first = map[0];
	assert_int_equal(cache_copy_write_begin(copy), -EPERM);
	assert_int_equal(map[0], first);
	assert_int_equal(munmap((void *)(uintptr_t)map, 4096), 0);
}

static void crowd_write(struct crowd *w, struct cache_copy *copy)
{
	_Alignas(4096) static _Thread_local unsigned char page[4096];

	if (cache_copy_write_begin(copy) != 0)
		return;
	page[0]++;
	assert_int_equal(pwrite(cache_copy_fd(copy, NULL), page, sizeof(page), 0), sizeof(page));
	cache_copy_write_end(copy);
	atomic_fetch_add(w->writes, 1);
}

static void crowd_unlink(struct crowd *w, struct cache_copy *copy)
{
	int rc;

	if (cache_reserve(w->p->c, 4096) != 0)
		return;
	rc = cache_copy_unlink(copy, 4096);
	if (rc != 0) {
		assert_int_equal(rc, -ENOENT);  /* another thread was faster */
		cache_unreserve(w->p->c, 4096);
	} else {
		atomic_fetch_add(w->unlinks, 1);
	}
}

static void *crowd_run(void *arg)
{
	struct crowd *w = arg;
	struct cache_space s;

	for (int i = 0; i < 1500; i++) {
		uint64_t blob = 1 + next_random(&w->seed) % 3;
		struct cache_copy *copy;

		if (cache_copy_get(w->p->c, blob, MIB, next_random(&w->seed) % 2, NULL, &copy) != 0)
			continue;
		switch (next_random(&w->seed) % 5) {
		case 0:
			crowd_native(w, copy);
			break;
		case 1:
			crowd_unlink(w, copy);
			break;
		case 2:
			cache_reap(w->p->c);
			cache_space(w->p->c, &s);
			break;
		default:
			crowd_write(w, copy);
		}
		cache_copy_put(copy);
	}
	return NULL;
}

static void a_crowd(void **state)
{
	atomic_ulong writes = 0, natives = 0, unlinks = 0;
	struct cache_place *p = *state;
	unsigned files = cache_place_open_files();
	struct crowd w[4];
	pthread_t thread[4];

	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct crowd){ .p = p, .seed = 1000 + i, .writes = &writes, .natives = &natives, .unlinks = &unlinks };
		assert_int_equal(pthread_create(&thread[i], NULL, crowd_run, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	cache_reap(p->c);
	print_message("  %lu writes, %lu native, %lu unlinked\n", atomic_load(&writes), atomic_load(&natives), atomic_load(&unlinks));
	assert_true(atomic_load(&writes) > 0 && atomic_load(&natives) > 0 && atomic_load(&unlinks) > 0);
	assert_int_equal(space_of(p).used, 0);
	assert_int_equal(space_of(p).leaving, 0);
	assert_true(cache_in_service(p->c));
	assert_int_equal(cache_place_open_files(), files);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, cache_place_setup, cache_place_teardown)

int main(void)
{
	const struct CMUnitTest cache_copy_tests[] = {
		TEST(one_struct_a_blob),
		TEST(another_size),
		TEST(punching),
		TEST(handed_out),
		TEST(unlinked_and_mapped),
		TEST(unlinked_and_never_native),
		TEST(unlinked_behind_us),
		TEST(closed_while_mapped),
		TEST(listing_and_strays),
		TEST(a_crowd),
	};

	return cmocka_run_group_tests(cache_copy_tests, NULL, NULL);
}
