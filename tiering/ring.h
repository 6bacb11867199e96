/* ring.h - reads, writes and syncs of files that go on while their owner does something else.
 *
 * A ring belongs to one thread, its owner, which submits operations and collects them when they are
 * done; any other thread may only wake it.  The kernel's io_uring does the work, or, where that is not
 * allowed (kernel.io_uring_disabled) or not there, a few threads of the ring's own: same results.
 *
 * Every operation asks the hook of struct io once, before it begins, on the owner's thread, as the calls
 * of io.h do: IO_PREAD, IO_PWRITE or IO_FSYNC.  What it swallows reports all its bytes and touches neither
 * file nor buffer, a read too.
 *
 * Operations in flight have no order among each other: a sync makes durable the writes that were collected
 * before it was submitted.  No sync keeps a read or a write waiting.
 *
 * Threads: open, submit, wait and close: the owner.  ring_wake: any.
 */
#ifndef TIERING_RING_H
#define TIERING_RING_H

#include "tiering/io.h"

#include <stdbool.h>
#include <stdint.h>

struct ring;

enum ring_kind { RING_READ, RING_WRITE, RING_SYNC };    /* sync: fdatasync(2) of fd */

/* One operation.  The caller's memory, which the ring uses from submit until it is collected; so is buf. */
struct ring_op {
	enum ring_kind kind;
	int fd;
	void *buf;                      /* with O_DIRECT aligned, as off and len are, to 4096 */
	uint32_t len;
	uint64_t off;
	int64_t res;                    /* out: bytes, or negative errno.  Reads are short only at the end of
					 * the file, writes only where the medium gave out, as in io.h */
	struct ring_op *next;           /* out: the next one collected; the ring's own before */
	uint32_t done;                  /* the ring's own: bytes so far of an operation that went on in parts, */
	uint32_t want;                  /* of so many, */
	uint32_t tries;                 /* and how often in a row the kernel said to try again */
};

struct ring_config {
	const struct io *io;            /* borrowed until ring_close */
	unsigned depth;                 /* operations in flight at most, 1 to 256 */
	bool threads;                   /* do not use io_uring */
};

/* 0 and an owned ring in *out; -ENOMEM, -EMFILE, -ENFILE, -EAGAIN (no threads to be had), -EINVAL (depth).  A
 * ring does not outlive fork(2): open it in the process that uses it. */
int ring_open(struct ring **out, const struct ring_config *cfg) __attribute__((warn_unused_result));
/* Waits for what is in flight, whose operations are then the caller's again.  NULL is a no-op. */
void ring_close(struct ring *r);

bool ring_is_uring(const struct ring *r);
unsigned ring_in_flight(const struct ring *r);          /* submitted and not yet collected */

/* 0: op is in flight.  -EAGAIN: depth are.  It never fails otherwise: errors are op->res. */
int ring_submit(struct ring *r, struct ring_op *op) __attribute__((warn_unused_result));

/* What is done, linked by next, in the order of completion; waits for the first up to timeout_ms (-1: for
 * ever, 0: not at all).  NULL after the time, or when ring_wake was called since the last wait returned.  Every
 * return, one with operations too, has taken note of all wakes before it: look for what they told of then. */
struct ring_op *ring_wait(struct ring *r, int timeout_ms);
void ring_wake(struct ring *r);

#endif
