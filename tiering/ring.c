#include "tiering/ring.h"

#include "tiering/ring_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#define RING_DEPTH_MAX 256

struct ring {
	const struct io *io;
	unsigned depth;
	unsigned flying;                /* submitted and not collected */
	struct ring_uring *uring;       /* one of the two, the other is NULL */
	struct ring_threads *threads;
};

void ring_list_add(struct ring_list *list, struct ring_op *op)
{
	op->next = NULL;
	if (list->first == NULL)
		list->first = op;
	else
		list->last->next = op;
	list->last = op;
}

struct ring_op *ring_list_pop(struct ring_list *list)
{
	struct ring_op *op = list->first;

	if (op != NULL)
		list->first = op->next;
	return op;
}

struct ring_op *ring_list_take(struct ring_list *list)
{
	struct ring_op *op = list->first;

	list->first = NULL;
	return op;
}

static int64_t ring_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t ring_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : (ring_now_ns() + 999999) / 1000000 + timeout_ms;
}

int ring_left(int64_t deadline)
{
	int64_t left;

	if (deadline < 0)
		return -1;
	left = deadline - ring_now_ns() / 1000000;
	if (left <= 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

bool ring_again(int64_t res)
{
	/* ECANCELED: io_uring had no worker to give it to.  Nothing here cancels. */
	return res == -EINTR || res == -EAGAIN || res == -ECANCELED;
}

int ring_open(struct ring **out, const struct ring_config *cfg)
{
	struct ring *r;
	int rc = -ENOSYS;

	if (cfg->depth == 0 || cfg->depth > RING_DEPTH_MAX)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->io = cfg->io;
	r->depth = cfg->depth;
	if (!cfg->threads)
		rc = ring_uring_open(&r->uring, cfg->depth);
	if (rc == -ENOSYS)
		rc = ring_threads_open(&r->threads, cfg->depth);
	if (rc != 0) {
		free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void ring_close(struct ring *r)
{
	if (r == NULL)
		return;
	if (r->uring != NULL)
		ring_uring_close(r->uring);
	else
		ring_threads_close(r->threads);
	free(r);
}

bool ring_is_uring(const struct ring *r)
{
	return r->uring != NULL;
}

unsigned ring_in_flight(const struct ring *r)
{
	return r->flying;
}

/* True when there is something to do; else op->res is the result. */
static bool ring_begin(const struct ring *r, struct ring_op *op)
{
	static const enum io_op calls[] = {
		[RING_READ] = IO_PREAD, [RING_WRITE] = IO_PWRITE, [RING_SYNC] = IO_FSYNC,
	};
	bool sync = op->kind == RING_SYNC;
	size_t len = op->len;
	int rc;

	rc = io_ask(r->io, calls[op->kind], op->fd, NULL, sync ? NULL : &len);
	op->done = 0;
	op->tries = 0;
	op->want = sync ? 0 : (uint32_t)len;
	if (rc != 0) {
		op->res = rc == IO_SWALLOW ? (int64_t)op->want : rc;
		return false;
	}
	op->res = 0;
	if (sync)
		return true;
	if (op->off > (uint64_t)INT64_MAX - op->len) {  /* io_uring takes the last one for the file's position */
		op->res = -EINVAL;
		return false;
	}
	return op->want > 0;
}

int ring_submit(struct ring *r, struct ring_op *op)
{
	bool begun;

	if (r->flying == r->depth)
		return -EAGAIN;
	r->flying++;
	begun = ring_begin(r, op);
	if (r->uring != NULL && begun)
		ring_uring_submit(r->uring, op);
	else if (r->uring != NULL)
		ring_uring_finish(r->uring, op);
	else if (begun)
		ring_threads_submit(r->threads, op);
	else
		ring_threads_finish(r->threads, op);
	return 0;
}

struct ring_op *ring_wait(struct ring *r, int timeout_ms)
{
	struct ring_op *done;

	done = r->uring != NULL ? ring_uring_wait(r->uring, timeout_ms) : ring_threads_wait(r->threads, timeout_ms);
	for (const struct ring_op *op = done; op != NULL; op = op->next)
		r->flying--;
	return done;
}

void ring_wake(struct ring *r)
{
	if (r->uring != NULL)
		ring_uring_wake(r->uring);
	else
		ring_threads_wake(r->threads);
}
