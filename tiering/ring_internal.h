/* ring_internal.h - the two ways in which a ring (ring.h) works: both take operations that the hook was asked
 * about (op->want is what to transfer, more than 0, and op->done 0) and give them back with res.
 *
 * Threads: as ring.h says of each call; what is behind ring_threads locks for itself.
 */
#ifndef TIERING_RING_INTERNAL_H
#define TIERING_RING_INTERNAL_H

#include "tiering/ring.h"

#include <stdbool.h>

#define RING_TRIES 64                   /* EINTR and EAGAIN in a row before one is the result */

/* Operations linked by next, first in, first out. */
struct ring_list {
	struct ring_op *first, *last;
};
void ring_list_add(struct ring_list *list, struct ring_op *op);
struct ring_op *ring_list_pop(struct ring_list *list);          /* NULL: empty */
struct ring_op *ring_list_take(struct ring_list *list);         /* all of it; the list is empty then */

/* The end of a wait that begins now, in ms of CLOCK_MONOTONIC; -1 for one without end. */
int64_t ring_deadline(int timeout_ms);
/* ms from now to there, rounded up, at most INT_MAX; 0 when it has passed, -1 when there is none. */
int ring_left(int64_t deadline);

/* A result that calls for the same once more. */
bool ring_again(int64_t res);

/* io_uring.  open fails with -EMFILE, -ENFILE, -ENOMEM, or, where there is no io_uring to be had, -ENOSYS. */
struct ring_uring;
int ring_uring_open(struct ring_uring **out, unsigned depth) __attribute__((warn_unused_result));
void ring_uring_close(struct ring_uring *u);                    /* waits */
void ring_uring_submit(struct ring_uring *u, struct ring_op *op);
void ring_uring_finish(struct ring_uring *u, struct ring_op *op);       /* done already, with op->res */
struct ring_op *ring_uring_wait(struct ring_uring *u, int timeout_ms);
void ring_uring_wake(struct ring_uring *u);

/* Threads.  open fails with -ENOMEM, -EAGAIN. */
struct ring_threads;
int ring_threads_open(struct ring_threads **out, unsigned depth) __attribute__((warn_unused_result));
void ring_threads_close(struct ring_threads *t);                /* waits */
void ring_threads_submit(struct ring_threads *t, struct ring_op *op);
void ring_threads_finish(struct ring_threads *t, struct ring_op *op);
struct ring_op *ring_threads_wait(struct ring_threads *t, int timeout_ms);
void ring_threads_wake(struct ring_threads *t);

#endif
