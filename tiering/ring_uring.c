/* ring_uring.c - a ring whose operations are done by the kernel's io_uring, through liburing.
 *
 * An operation is in the submission queue or in the kernel at most once, and so is the poll of the eventfd
 * that wakes.  The queues are made for depth + 1, so neither can overflow.  What the kernel does not take at
 * once stays in the submission queue, and every wait tries again.
 */
#include "tiering/ring_internal.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_RETRY_MS 10                /* between tries to give the kernel what it did not take */
#define RING_BATCH 32
#define RING_PART_MAX 0x7ffff000u       /* the most that one read or write moves (read(2)) */

struct ring_uring {
	struct io_uring queue;
	struct ring_list done;
	unsigned running;               /* operations that are not in done */
	bool polled;                    /* the poll of wake_fd is in the queue or in the kernel */
	bool closing;                   /* it is not to be renewed */
	int wake_fd;
	atomic_bool woken;              /* set by any thread before it writes to wake_fd, cleared by the owner */
};

static struct io_uring_sqe *ring_uring_sqe(struct ring_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->queue);

	if (sqe != NULL)
		return sqe;
	io_uring_submit(&u->queue);
	return io_uring_get_sqe(&u->queue);
}

/* Renew the poll; when that cannot be now, the next wait does it. */
static void ring_uring_poll(struct ring_uring *u)
{
	struct io_uring_sqe *sqe;

	if (u->polled || u->closing)
		return;
	sqe = ring_uring_sqe(u);
	if (sqe == NULL)
		return;
	io_uring_prep_poll_add(sqe, u->wake_fd, POLLIN);
	io_uring_sqe_set_data(sqe, NULL);
	u->polled = true;
}

/* Queue the rest of op.  False: the queue is full. */
static bool ring_uring_push(struct ring_uring *u, struct ring_op *op)
{
	struct io_uring_sqe *sqe = ring_uring_sqe(u);
	uint32_t left = op->want - op->done;
	char *at = (char *)op->buf + op->done;

	if (sqe == NULL)
		return false;
	if (left > RING_PART_MAX)
		left = RING_PART_MAX;
	if (op->kind == RING_READ)
		io_uring_prep_read(sqe, op->fd, at, left, op->off + op->done);
	else if (op->kind == RING_WRITE)
		io_uring_prep_write(sqe, op->fd, at, left, op->off + op->done);
	else
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
	if (op->tries > 0)              /* by a worker, which may block */
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	io_uring_sqe_set_data(sqe, op);
	return true;
}

/* Take in what the kernel says of op.  True: it is to go on; else op->res is the result. */
static bool ring_uring_goes_on(struct ring_op *op, int res)
{
	op->res = res;
	if (ring_again(res))
		return ++op->tries < RING_TRIES;
	if (op->kind == RING_SYNC)
		return false;
	if (res > 0) {
		op->tries = 0;
		op->done += (uint32_t)res;
		op->res = op->done;
		return op->done < op->want;
	}
	/* the end, or an error, which a write that moved something does not tell: as io_pread and io_pwrite */
	if (res == 0 || (op->kind == RING_WRITE && op->done > 0))
		op->res = op->done;
	return false;
}

static void ring_uring_take(struct ring_uring *u, struct ring_op *op, int res)
{
	if (ring_uring_goes_on(op, res)) {
		if (ring_uring_push(u, op))
			return;
		op->res = -EAGAIN;
	}
	u->running--;
	ring_list_add(&u->done, op);
}

/* The poll told of a wake.  What is read here was announced by woken before, so none is lost. */
static void ring_uring_woken(struct ring_uring *u)
{
	uint64_t count;

	u->polled = false;
	while (read(u->wake_fd, &count, sizeof(count)) == -1 && errno == EINTR)
		;
}

/* Give what is queued, take what is done. */
static void ring_uring_turn(struct ring_uring *u)
{
	struct io_uring_cqe *cqes[RING_BATCH];
	unsigned n;

	do {
		n = io_uring_peek_batch_cqe(&u->queue, cqes, RING_BATCH);
		for (unsigned i = 0; i < n; i++) {
			struct ring_op *op = io_uring_cqe_get_data(cqes[i]);

			if (op != NULL)
				ring_uring_take(u, op, cqes[i]->res);
			else
				ring_uring_woken(u);
		}
		io_uring_cq_advance(&u->queue, n);
	} while (n == RING_BATCH);
	ring_uring_poll(u);
	if (io_uring_sq_ready(&u->queue) > 0)
		io_uring_submit(&u->queue);
}

/* Wait until something is done, or for ms (-1: without end), or less. */
static void ring_uring_sleep(struct ring_uring *u, int ms)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	int rc;

	if (io_uring_sq_ready(&u->queue) > 0 && (ms < 0 || ms > RING_RETRY_MS))
		ms = RING_RETRY_MS;
	ts = (struct __kernel_timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000ll };
	rc = ms < 0 ? io_uring_wait_cqe(&u->queue, &cqe) : io_uring_wait_cqe_timeout(&u->queue, &cqe, &ts);
	if (rc < 0 && rc != -ETIME && rc != -EINTR)     /* no memory, most likely: do not spin */
		poll(NULL, 0, ms < 0 || ms > RING_RETRY_MS ? RING_RETRY_MS : ms);
}

struct ring_op *ring_uring_wait(struct ring_uring *u, int timeout_ms)
{
	int64_t deadline = timeout_ms > 0 ? ring_deadline(timeout_ms) : timeout_ms;
	bool woken;
	int left;

	for (;;) {
		ring_uring_turn(u);
		woken = atomic_exchange(&u->woken, false);
		left = timeout_ms > 0 ? ring_left(deadline) : timeout_ms;
		if (u->done.first != NULL || woken || left == 0)
			return ring_list_take(&u->done);
		ring_uring_sleep(u, left);
	}
}

void ring_uring_submit(struct ring_uring *u, struct ring_op *op)
{
	u->running++;
	if (ring_uring_push(u, op)) {
		io_uring_submit(&u->queue);
		return;
	}
	op->res = -EAGAIN;
	u->running--;
	ring_list_add(&u->done, op);
}

void ring_uring_finish(struct ring_uring *u, struct ring_op *op)
{
	ring_uring_turn(u);             /* what was done before comes before */
	ring_list_add(&u->done, op);
}

static void ring_uring_ring_bell(struct ring_uring *u)
{
	const uint64_t one = 1;

	while (write(u->wake_fd, &one, sizeof(one)) == -1 && errno == EINTR)
		;
}

void ring_uring_wake(struct ring_uring *u)
{
	if (!atomic_exchange(&u->woken, true))
		ring_uring_ring_bell(u);
}

/* Operations that need a worker (syncs; all on NFS and FUSE) must not wait for others that have one: the
 * kernel's own limit is 4 for each CPU. */
static int ring_uring_set_workers(struct io_uring *queue, unsigned depth)
{
	unsigned limits[2] = { 0, 0 };
	int rc;

	rc = io_uring_register_iowq_max_workers(queue, limits);
	if (rc < 0 || limits[0] >= depth)
		return rc;
	limits[0] = depth;
	limits[1] = 0;                  /* unchanged */
	return io_uring_register_iowq_max_workers(queue, limits);
}

static int ring_uring_init(struct io_uring *queue, unsigned depth)
{
	const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;
	int rc;

	rc = io_uring_queue_init(depth + 1, queue, 0);
	if (rc == -EMFILE || rc == -ENFILE)
		return rc;
	if (rc < 0)
		return -ENOSYS;
	if ((queue->features & needed) != needed || ring_uring_set_workers(queue, depth) < 0) {
		io_uring_queue_exit(queue);
		return -ENOSYS;
	}
	return 0;
}

int ring_uring_open(struct ring_uring **out, unsigned depth)
{
	struct ring_uring *u;
	int rc;

	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return -ENOMEM;
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd == -1) {
		rc = -errno;
		goto free_ring;
	}
	rc = ring_uring_init(&u->queue, depth);
	if (rc != 0)
		goto close_wake;
	ring_uring_turn(u);
	*out = u;
	return 0;

close_wake:
	close(u->wake_fd);
free_ring:
	free(u);
	return rc;
}

/* The poll is rung out rather than left for the kernel to cancel, so that nothing is in the ring when it goes. */
void ring_uring_close(struct ring_uring *u)
{
	u->closing = true;
	ring_uring_ring_bell(u);
	for (;;) {
		ring_uring_turn(u);
		if (u->running == 0 && !u->polled)
			break;
		ring_uring_sleep(u, -1);
	}
	io_uring_queue_exit(&u->queue);
	close(u->wake_fd);
	free(u);
}
