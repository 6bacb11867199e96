/* kern_pool.c - a run is a door that is open for a while.
 *
 * The caller opens the door, works, and closes it when no index is left; then it waits for those that
 * came in.  A worker that was asleep or not scheduled in time finds the door closed and is not waited
 * for, so that one busy core does not hold up the others.
 *
 * A waiting side spins on a word, then sleeps on it by futex(2).  The sleeper announces itself in a
 * `sleepers` word before it sleeps and the waker reads that word after it has changed the other one,
 * both sequentially consistent: either the waker sees the sleeper, or the futex call sees the change.
 */
#include "kernels/kern_pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 1000      /* pauses before sleeping; one is some 50 ns on recent processors */
#define PIECES 8        /* pieces a thread: small enough to even out a busy core */
#define OPEN 0x80000000u

/* A word that one side changes and the other waits for. */
struct gate {
	_Atomic uint32_t value;
	_Atomic uint32_t sleepers;
};

struct worker { struct kern_pool *pool; uint32_t index; };      /* index: 1 and up, the caller is 0 */

struct kern_pool {
	uint32_t n_threads;             /* constant after open, as are thread and worker */
	uint32_t n_started;
	pthread_t *thread;              /* [n_threads - 1] */
	struct worker *worker;          /* [n_threads - 1] */

	/* The run: written by the caller while the door is closed and nobody is inside. */
	kern_pool_fn fn;
	void *arg;
	uint32_t n, piece;

	_Atomic uint32_t stop;
	_Atomic uint32_t limit;         /* workers whose index is below take part */
	_Atomic uint64_t next;          /* first index not yet handed out */
	struct gate start;              /* the number of runs begun; workers wait here */
	struct gate door;               /* OPEN | workers inside; the caller waits here for 0 */
};

static void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void gate_wake(struct gate *g)
{
	if (atomic_load(&g->sleepers) != 0)
		syscall(SYS_futex, &g->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Wait while the value is `old`; returns the new one. */
static uint32_t gate_wait(struct gate *g, uint32_t old)
{
	uint32_t now, i;

	for (i = 0; i < SPINS; i++) {
		now = atomic_load_explicit(&g->value, memory_order_acquire);
		if (now != old)
			return now;
		pause_cpu();
	}
	atomic_fetch_add(&g->sleepers, 1);
	while ((now = atomic_load(&g->value)) == old)
		syscall(SYS_futex, &g->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
	atomic_fetch_sub(&g->sleepers, 1);
	return now;
}

static void pool_work(struct kern_pool *p)
{
	for (;;) {
		uint64_t i0 = atomic_fetch_add_explicit(&p->next, p->piece, memory_order_relaxed);
		uint64_t i1 = i0 + p->piece;

		if (i0 >= p->n)
			return;
		p->fn(p->arg, (uint32_t)i0, (uint32_t)(i1 < p->n ? i1 : p->n));
	}
}

/* Go in if the door is open. */
static int pool_enter(struct kern_pool *p, uint32_t index)
{
	uint32_t door = atomic_load(&p->door.value);

	while ((door & OPEN) != 0 && index < atomic_load(&p->limit))
		if (atomic_compare_exchange_weak(&p->door.value, &door, door + 1))
			return 1;
	return 0;
}

static void *pool_thread(void *arg)
{
	const struct worker *w = arg;
	struct kern_pool *p = w->pool;
	uint32_t seen = 0;

	for (;;) {
		seen = gate_wait(&p->start, seen);
		if (atomic_load(&p->stop) != 0)
			return NULL;
		if (!pool_enter(p, w->index))
			continue;
		pool_work(p);
		if (atomic_fetch_sub(&p->door.value, 1) == 1)   /* closed, and the last to leave */
			gate_wake(&p->door);
	}
}

static int pool_start(struct kern_pool *p)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);         /* what a thread does itself must reach its handler */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (rc == 0 && p->n_started + 1 < p->n_threads) {
		p->worker[p->n_started] = (struct worker){ p, p->n_started + 1 };
		rc = -pthread_create(&p->thread[p->n_started], NULL, pool_thread, &p->worker[p->n_started]);
		if (rc == 0)
			p->n_started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int kern_pool_open(struct kern_pool **out, uint32_t n_threads)
{
	struct kern_pool *p;
	int rc;

	if (n_threads == 0 || n_threads > KERN_POOL_MAX)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->n_threads = n_threads;
	p->limit = n_threads;
	p->thread = calloc(n_threads, sizeof(*p->thread));
	p->worker = calloc(n_threads, sizeof(*p->worker));
	if (p->thread == NULL || p->worker == NULL) {
		kern_pool_close(p);
		return -ENOMEM;
	}
	rc = pool_start(p);
	if (rc != 0) {
		kern_pool_close(p);
		return rc;
	}
	*out = p;
	return 0;
}

void kern_pool_close(struct kern_pool *p)
{
	uint32_t i;

	if (p == NULL)
		return;
	atomic_store(&p->stop, 1);
	atomic_fetch_add(&p->start.value, 1);
	gate_wake(&p->start);
	for (i = 0; i < p->n_started; i++)
		pthread_join(p->thread[i], NULL);
	free(p->thread);
	free(p->worker);
	free(p);
}

uint32_t kern_pool_threads(const struct kern_pool *p)
{
	return p->n_threads;
}

void kern_pool_limit(struct kern_pool *p, uint32_t n)
{
	atomic_store(&p->limit, n < 1 ? 1 : n < p->n_threads ? n : p->n_threads);
}

void kern_pool_run(struct kern_pool *p, kern_pool_fn fn, void *arg, uint32_t n, uint32_t grain)
{
	uint32_t piece, inside;

	if (n == 0)
		return;
	if (grain == 0)
		grain = 1;
	if (atomic_load(&p->limit) == 1 || n <= grain) {
		fn(arg, 0, n);
		return;
	}
	piece = n / (p->n_threads * PIECES);
	piece = (piece + grain - 1) / grain * grain;
	p->fn = fn;
	p->arg = arg;
	p->n = n;
	p->piece = piece < grain ? grain : piece;
	atomic_store(&p->next, 0);
	atomic_store(&p->door.value, OPEN);
	atomic_fetch_add(&p->start.value, 1);
	gate_wake(&p->start);
	pool_work(p);
	inside = atomic_fetch_and(&p->door.value, ~OPEN) & ~OPEN;
	while (inside != 0)
		inside = gate_wait(&p->door, inside);
}
