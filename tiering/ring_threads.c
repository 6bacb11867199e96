/* ring_threads.c - a ring whose operations are done by threads of its own, with calls that block. */
#include "tiering/ring_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* Enough to keep a disk's queue filled where io_uring is not to be had.  Syncs have threads of their own: one
 * may take seconds, and must not be what reads wait for. */
#define RING_MOVERS 8
#define RING_SYNCERS 2

struct ring_queue {
	struct ring_threads *owner;
	pthread_cond_t some;            /* ops is not empty, or stop */
	struct ring_list ops;           /* protected by lock */
};

struct ring_threads {
	pthread_mutex_t lock;
	pthread_cond_t news;            /* done is not empty, or woken */
	struct ring_queue moves, syncs;
	struct ring_list done;          /* protected by lock */
	bool woken;                     /* protected by lock */
	bool stop;                      /* protected by lock */
	unsigned count;                 /* threads that were started; the owner's */
	pthread_t thread[RING_MOVERS + RING_SYNCERS];
};

static int64_t ring_threads_call(const struct ring_op *op)
{
	static const struct io plain;   /* the hook was asked */

	switch (op->kind) {
	case RING_READ:
		return io_pread(&plain, op->fd, op->buf, op->want, (off_t)op->off);
	case RING_WRITE:
		return io_pwrite(&plain, op->fd, op->buf, op->want, (off_t)op->off);
	default:
		return io_fdatasync(&plain, op->fd);
	}
}

static void *ring_threads_work(void *arg)
{
	struct ring_queue *q = arg;
	struct ring_threads *t = q->owner;
	struct ring_op *op;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		op = ring_list_pop(&q->ops);
		if (op == NULL && t->stop)
			break;
		if (op == NULL) {
			pthread_cond_wait(&q->some, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		do {
			op->res = ring_threads_call(op);
		} while (ring_again(op->res) && ++op->tries < RING_TRIES);
		pthread_mutex_lock(&t->lock);
		ring_list_add(&t->done, op);
		pthread_cond_signal(&t->news);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* What is queued is done first. */
static void ring_threads_stop(struct ring_threads *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->moves.some);
	pthread_cond_broadcast(&t->syncs.some);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->count; i++)
		pthread_join(t->thread[i], NULL);
}

/* Signals are for the threads that were there before. */
static int ring_threads_start(struct ring_threads *t, unsigned depth)
{
	unsigned movers = depth < RING_MOVERS ? depth : RING_MOVERS;
	unsigned syncers = depth < RING_SYNCERS ? depth : RING_SYNCERS;
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (rc == 0 && t->count < movers + syncers) {
		rc = -pthread_create(&t->thread[t->count], NULL, ring_threads_work,
				     t->count < movers ? &t->moves : &t->syncs);
		if (rc == 0)
			t->count++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		ring_threads_stop(t);
	return rc;
}

/* Timed waits are by the clock that nobody sets. */
static int ring_threads_init_news(pthread_cond_t *news)
{
	pthread_condattr_t attr;
	int rc;

	rc = -pthread_condattr_init(&attr);
	if (rc != 0)
		return rc;
	rc = -pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (rc == 0)
		rc = -pthread_cond_init(news, &attr);
	pthread_condattr_destroy(&attr);
	return rc;
}

int ring_threads_open(struct ring_threads **out, unsigned depth)
{
	struct ring_threads *t;
	int rc;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->moves.owner = t->syncs.owner = t;
	rc = -pthread_mutex_init(&t->lock, NULL);
	if (rc != 0)
		goto free_ring;
	rc = ring_threads_init_news(&t->news);
	if (rc != 0)
		goto destroy_lock;
	rc = -pthread_cond_init(&t->moves.some, NULL);
	if (rc != 0)
		goto destroy_news;
	rc = -pthread_cond_init(&t->syncs.some, NULL);
	if (rc != 0)
		goto destroy_moves;
	rc = ring_threads_start(t, depth);
	if (rc != 0)
		goto destroy_syncs;
	*out = t;
	return 0;

destroy_syncs:
	pthread_cond_destroy(&t->syncs.some);
destroy_moves:
	pthread_cond_destroy(&t->moves.some);
destroy_news:
	pthread_cond_destroy(&t->news);
destroy_lock:
	pthread_mutex_destroy(&t->lock);
free_ring:
	free(t);
	return rc;
}

void ring_threads_close(struct ring_threads *t)
{
	ring_threads_stop(t);
	pthread_cond_destroy(&t->syncs.some);
	pthread_cond_destroy(&t->moves.some);
	pthread_cond_destroy(&t->news);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void ring_threads_submit(struct ring_threads *t, struct ring_op *op)
{
	struct ring_queue *q = op->kind == RING_SYNC ? &t->syncs : &t->moves;

	pthread_mutex_lock(&t->lock);
	ring_list_add(&q->ops, op);
	pthread_cond_signal(&q->some);
	pthread_mutex_unlock(&t->lock);
}

void ring_threads_finish(struct ring_threads *t, struct ring_op *op)
{
	pthread_mutex_lock(&t->lock);
	ring_list_add(&t->done, op);
	pthread_mutex_unlock(&t->lock);
}

struct ring_op *ring_threads_wait(struct ring_threads *t, int timeout_ms)
{
	int64_t deadline = ring_deadline(timeout_ms);
	struct timespec ts = { .tv_sec = (time_t)(deadline / 1000), .tv_nsec = (long)(deadline % 1000) * 1000000 };
	struct ring_op *done;
	int rc = timeout_ms == 0 ? ETIMEDOUT : 0;

	pthread_mutex_lock(&t->lock);
	while (t->done.first == NULL && !t->woken && rc != ETIMEDOUT) {
		if (deadline < 0)
			pthread_cond_wait(&t->news, &t->lock);
		else
			rc = pthread_cond_timedwait(&t->news, &t->lock, &ts);
	}
	t->woken = false;
	done = ring_list_take(&t->done);
	pthread_mutex_unlock(&t->lock);
	return done;
}

void ring_threads_wake(struct ring_threads *t)
{
	pthread_mutex_lock(&t->lock);
	t->woken = true;
	pthread_cond_signal(&t->news);
	pthread_mutex_unlock(&t->lock);
}
