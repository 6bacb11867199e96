#include "tests/unit/ring_place.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

uint64_t ring_place_random(struct ring_place *p)
{
	p->rng = p->rng * 6364136223846793005u + 1442695040888963407u;
	return p->rng >> 33;
}

void ring_place_fill(struct ring_place *p, unsigned char *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)ring_place_random(p);
}

static int ring_place_setup(void **state, bool threads)
{
	struct ring_place *p = calloc(1, sizeof(*p));
	char path[128];

	assert_non_null(p);
	p->rng = 7;
	scratch_make(p->dir);
	p->shadow = aligned_alloc(RING_BLOCK, RING_FILE_LEN);
	p->mem = aligned_alloc(RING_BLOCK, RING_DEPTH * RING_PART);
	assert_true(p->shadow != NULL && p->mem != NULL);
	ring_place_fill(p, p->shadow, RING_FILE_LEN);
	scratch_file(p->dir, "f", p->shadow, RING_FILE_LEN);
	p->fd = open(scratch_path(path, sizeof(path), p->dir, "f"), O_RDWR | O_CLOEXEC);
	p->direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	assert_true(p->fd >= 0 && p->direct >= 0);
	p->io = fault_io(&p->fault);
	assert_int_equal(fault_io_arm(&p->fault, "count"), 0);
	p->cfg = (struct ring_config){ .io = &p->io, .depth = RING_DEPTH, .threads = threads };
	assert_int_equal(ring_open(&p->r, &p->cfg), 0);
	*state = p;
	return 0;
}

int ring_place_uring(void **state)
{
	return ring_place_setup(state, false);
}

int ring_place_threads(void **state)
{
	return ring_place_setup(state, true);
}

int ring_place_teardown(void **state)
{
	struct ring_place *p = *state;

	ring_close(p->r);
	close(p->fd);
	close(p->direct);
	scratch_remove(p->dir);
	free(p->shadow);
	free(p->mem);
	free(p);
	return 0;
}

struct ring_place *ring_place_begin(void **state)
{
	struct ring_place *p = *state;

	if (!p->cfg.threads && !ring_is_uring(p->r)) {
		print_message("no io_uring on this system\n");
		skip();
	}
	assert_int_equal(ring_is_uring(p->r), !p->cfg.threads);
	return p;
}

unsigned char *ring_place_mem(struct ring_place *p, unsigned i)
{
	return p->mem + (size_t)i * RING_PART;
}

void ring_place_start(struct ring_place *p, unsigned i, enum ring_kind kind, int fd, uint64_t off, uint32_t len)
{
	p->ops[i] = (struct ring_op){ .kind = kind, .fd = fd, .buf = ring_place_mem(p, i), .len = len, .off = off, .res = 12345 };
	assert_int_equal(ring_submit(p->r, &p->ops[i]), 0);
}

unsigned ring_place_collect(struct ring_place *p)
{
	unsigned n = 0;

	while (ring_in_flight(p->r) > 0) {
		struct ring_op *op = ring_wait(p->r, -1);

		assert_non_null(op);
		for (; op != NULL; op = op->next)
			n++;
	}
	return n;
}

int64_t ring_place_one(struct ring_place *p, enum ring_kind kind, int fd, uint64_t off, uint32_t len)
{
	ring_place_start(p, 0, kind, fd, off, len);
	assert_int_equal(ring_place_collect(p), 1);
	return p->ops[0].res;
}

int64_t ring_place_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void ring_place_check(struct ring_place *p, bool *busy, struct ring_op *op)
{
	for (; op != NULL; op = op->next) {
		unsigned i = (unsigned)(op - p->ops);

		assert_true(i < RING_DEPTH && busy[i]);
		busy[i] = false;
		assert_int_equal(op->res, op->kind == RING_SYNC ? 0 : op->len);
		if (op->kind == RING_READ)
			assert_memory_equal(op->buf, p->shadow + op->off, op->len);
		else if (op->kind == RING_WRITE)
			memcpy(p->shadow + op->off, op->buf, op->len);
	}
}
