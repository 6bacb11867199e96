/* test_ring_faults.c - a ring whose operations fail, by the hook and on a medium that does what it should not. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fault/odd_fs.h"
#include "tests/unit/ring_place.h"

static void each_operation_is_asked_once(void **state)
{
	struct ring_place *p = ring_place_begin(state);

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(ring_place_one(p, RING_READ, p->fd, RING_FILE_LEN - RING_BLOCK, RING_PART), RING_BLOCK);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ring_place_one(p, RING_WRITE, p->fd, 0, RING_BLOCK), RING_BLOCK);
	assert_int_equal(ring_place_one(p, RING_SYNC, p->fd, 0, 0), 0);
	assert_int_equal(atomic_load(&p->fault.count[IO_PREAD]), 5);
	assert_int_equal(atomic_load(&p->fault.count[IO_PWRITE]), 3);
	assert_int_equal(atomic_load(&p->fault.count[IO_FSYNC]), 1);
}

/* Four writes, a sync and four reads in flight together; the results, in a mask of those that failed. */
static unsigned flow(struct ring_place *p)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < 9; i++) {
		memset(ring_place_mem(p, i), i < 4 ? 'A' + (int)i : 0, RING_PART);
		ring_place_start(p, i, i < 4 ? RING_WRITE : i == 4 ? RING_SYNC : RING_READ, p->fd, (i < 4 ? i : i + 3) * RING_PART, RING_PART);
	}
	assert_int_equal(ring_place_collect(p), 9);
	for (unsigned i = 0; i < 9; i++) {
		if (p->ops[i].res == -EIO)
			failed |= 1u << i;
		else
			assert_int_equal(p->ops[i].res, i == 4 ? 0 : RING_PART);
	}
	return failed;
}

static bool written(struct ring_place *p, unsigned i)
{
	unsigned char byte;

	assert_int_equal(pread(p->fd, &byte, 1, (off_t)(i + 1) * RING_PART - 1), 1);
	return byte == 'A' + i;
}

/* Every operation fails in turn, alone: what failed did nothing, and the others are as without it. */
static void each_fails_in_turn(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	unsigned n, failed;
	char spec[32];

	for (n = 0; ; n++) {
		assert_int_equal(ftruncate(p->fd, 0), 0);
		assert_int_equal(ftruncate(p->fd, RING_FILE_LEN), 0);
		snprintf(spec, sizeof(spec), "any:%u:EIO", n);
		assert_int_equal(fault_io_arm(&p->fault, spec), 0);
		failed = flow(p);
		assert_int_equal(failed, atomic_load(&p->fault.fired) != 0 ? 1u << n : 0);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(written(p, i), i != n);
		if (atomic_load(&p->fault.fired) == 0)
			break;
	}
	assert_int_equal(n, 9);
}

static void shortened(void **state)
{
	struct ring_place *p = ring_place_begin(state);

	assert_int_equal(fault_io_arm(&p->fault, "pread:0+:short=1000"), 0);
	memset(p->mem, 0xa5, RING_PART);
	assert_int_equal(ring_place_one(p, RING_READ, p->fd, 0, RING_PART), 1000);
	assert_memory_equal(p->mem, p->shadow, 1000);
	assert_int_equal(p->mem[1000], 0xa5);
	assert_int_equal(p->ops[0].len, RING_PART);
	assert_int_equal(fault_io_arm(&p->fault, "pwrite:0+:short=10"), 0);
	memset(p->mem, p->shadow[10] + 1, RING_PART);
	assert_int_equal(ring_place_one(p, RING_WRITE, p->fd, 0, RING_PART), 10);
	assert_int_equal(pread(p->fd, p->mem, 11, 0), 11);
	assert_int_equal(p->mem[9], (unsigned char)(p->shadow[10] + 1));
	assert_int_equal(p->mem[10], p->shadow[10]);
	assert_int_equal(fault_io_arm(&p->fault, "pread:0+:short=0"), 0);
	assert_int_equal(ring_place_one(p, RING_READ, p->fd, 0, RING_PART), 0);
}

static void swallowed(void **state)
{
	struct ring_place *p = ring_place_begin(state);

	assert_int_equal(fault_io_arm(&p->fault, "any:0+:swallow"), 0);
	memset(p->mem, 0xa5, RING_PART);
	assert_int_equal(ring_place_one(p, RING_READ, p->fd, 0, RING_PART), RING_PART);
	assert_int_equal(p->mem[0], 0xa5);
	assert_int_equal(ring_place_one(p, RING_WRITE, p->fd, RING_FILE_LEN, RING_PART), RING_PART);
	assert_int_equal(lseek(p->fd, 0, SEEK_END), RING_FILE_LEN);
	assert_int_equal(ring_place_one(p, RING_SYNC, -1, 0, 0), 0);
}

/* ---- a medium that does what it should not ---- */
struct odd_place {
	struct ring_place *p;
	struct odd_fs fs;
	char dir[96];
	int fd;
};

static void odd_begin(void **state, struct odd_place *o, bool async)
{
	char path[128];

	o->p = ring_place_begin(state);
	scratch_path(o->dir, sizeof(o->dir), o->p->dir, "odd");
	assert_int_equal(mkdir(o->dir, 0755), 0);
	if (!odd_fs_mount(&o->fs, o->dir, async))
		skip();
	o->fd = open(scratch_path(path, sizeof(path), o->dir, "f"), O_RDWR | O_CLOEXEC);
	assert_true(o->fd >= 0);
}

static void odd_end(struct odd_place *o)
{
	close(o->fd);
	odd_fs_unmount(&o->fs);
}

static bool odd_same(const unsigned char *bytes, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != odd_byte(off + i))
			return false;
	return true;
}

/* What comes in parts is put together; an error after some of it is a read's result. */
static void in_parts(void **state)
{
	struct odd_place o;
	int64_t whole, end, bad, put_none;
	struct ring_place *p;
	unsigned char *mem;
	bool same;

	odd_begin(state, &o, true);
	p = o.p;
	mem = ring_place_mem(p, 0);
	atomic_store(&o.fs.most, 10000);
	whole = ring_place_one(p, RING_READ, o.fd, 5, RING_PART);
	same = odd_same(mem, 5, RING_PART);
	end = ring_place_one(p, RING_READ, o.fd, ODD_LEN - 25000, RING_PART);
	same = same && odd_same(mem, ODD_LEN - 25000, 25000);
	atomic_store(&o.fs.bad_from, 30007);
	put_none = ring_place_one(p, RING_WRITE, o.fd, 30007, RING_PART);
	bad = ring_place_one(p, RING_READ, o.fd, 7, RING_PART);
	odd_end(&o);
	assert_int_equal(whole, RING_PART);
	assert_int_equal(end, 25000);
	assert_true(same);
	assert_int_equal(put_none, -EIO);
	assert_int_equal(bad, -EIO);
	assert_int_equal(atomic_load(&p->fault.count[IO_PREAD]), 3);    /* the hook sees operations, not parts */
}

/* Refused for a moment: tried again.  For ever: the error comes out, after a bounded number of tries. */
static void tried_again(void **state)
{
	static const int errors[] = { EAGAIN, EINTR };
	struct odd_place o;
	struct ring_place *p;
	int64_t got[2][4];
	bool same = true;

	odd_begin(state, &o, false);
	p = o.p;
	for (unsigned e = 0; e < 2; e++) {
		atomic_store(&o.fs.error, errors[e]);
		atomic_store(&o.fs.refusals, 5);
		got[e][0] = ring_place_one(p, RING_READ, o.fd, 3, RING_PART);
		same = same && odd_same(ring_place_mem(p, 0), 3, RING_PART);
		atomic_store(&o.fs.refusals, 5);
		got[e][1] = ring_place_one(p, RING_WRITE, o.fd, 3, RING_PART);
		atomic_store(&o.fs.refusals, 5);
		got[e][2] = ring_place_one(p, RING_SYNC, o.fd, 0, 0);
	}
	atomic_store(&o.fs.error, EAGAIN);
	atomic_store(&o.fs.refusals, INT_MAX);
	atomic_store(&o.fs.asked, 0);
	got[0][3] = ring_place_one(p, RING_READ, o.fd, 3, RING_PART);
	odd_end(&o);
	for (unsigned e = 0; e < 2; e++) {
		assert_int_equal(got[e][0], RING_PART);
		assert_int_equal(got[e][1], RING_PART);
		assert_int_equal(got[e][2], 0);
	}
	assert_true(same);
	assert_int_equal(atomic_load(&o.fs.wrong), 0);
	assert_int_equal(got[0][3], -EAGAIN);
	assert_in_range(atomic_load(&o.fs.asked), 2, 1000);
}

/* A sync whose error came once is not tried again: it could succeed without having written. */
static void a_failed_sync(void **state)
{
	struct odd_place o;
	int64_t got;

	odd_begin(state, &o, false);
	atomic_store(&o.fs.error, EIO);
	atomic_store(&o.fs.refusals, 1);
	got = ring_place_one(o.p, RING_SYNC, o.fd, 0, 0);
	odd_end(&o);
	assert_int_equal(got, -EIO);
	assert_int_equal(atomic_load(&o.fs.asked), 1);
}

/* With every other place taken by a sync that does not end, a read goes on. */
static void syncs_that_take_for_ever(void **state)
{
	unsigned last = RING_DEPTH - 1, syncs;
	struct odd_place o;
	struct ring_op *first, *second;
	struct ring_place *p;
	bool same;

	odd_begin(state, &o, false);
	p = o.p;
	odd_fs_hold_syncs(&o.fs);
	for (unsigned i = 0; i < last; i++)
		ring_place_start(p, i, RING_SYNC, o.fd, 0, 0);
	ring_place_start(p, last, RING_READ, o.fd, 0, RING_PART);
	first = ring_wait(p->r, 20000);
	same = odd_same(ring_place_mem(p, last), 0, RING_PART);
	second = ring_wait(p->r, 0);
	odd_fs_let_go(&o.fs);
	syncs = ring_place_collect(p);
	odd_end(&o);
	assert_ptr_equal(first, &p->ops[last]);
	assert_null(second);
	assert_true(same);
	assert_int_equal(first->res, RING_PART);
	assert_int_equal(syncs, last);
	for (unsigned i = 0; i < last; i++)
		assert_int_equal(p->ops[i].res, 0);
}

int main(void)
{
	const struct CMUnitTest ring_faults[] = {
		RING_TEST(each_operation_is_asked_once),
		RING_TEST(each_fails_in_turn),
		RING_TEST(shortened),
		RING_TEST(swallowed),
		RING_TEST(in_parts),
		RING_TEST(tried_again),
		RING_TEST(a_failed_sync),
		RING_TEST(syncs_that_take_for_ever),
	};

	return cmocka_run_group_tests(ring_faults, NULL, NULL);
}
