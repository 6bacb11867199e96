/* kern_pool.h - persistent threads that run one function over shares of an index range.
 *
 * Invariants:
 *  P1  a run returns only after every index has been handed out and finished, and all that the workers
 *      wrote is visible to the caller.
 *  P2  which thread gets which indices is left to chance (a busy core takes fewer, or none); so the
 *      function must give the same result for any split.
 * Threads: one run at a time, always from the thread that opened the pool; the function may not call
 * into the pool.
 */
#ifndef KERNELS_KERN_POOL_H
#define KERNELS_KERN_POOL_H

#include <stdint.h>

#define KERN_POOL_MAX 256       /* threads */

struct kern_pool;

/* Indices [i0, i1) are yours. */
typedef void (*kern_pool_fn)(void *arg, uint32_t i0, uint32_t i1);

/* n_threads in all, the caller among them: n_threads - 1 are started, with all signals blocked but those of their own faults.
 * 0 and an owned pool in *out; -EINVAL (0 or more than KERN_POOL_MAX), -ENOMEM, -EAGAIN. */
int kern_pool_open(struct kern_pool **out, uint32_t n_threads) __attribute__((warn_unused_result));
void kern_pool_close(struct kern_pool *p);      /* takes p; NULL is a no-op */

uint32_t kern_pool_threads(const struct kern_pool *p);
/* From the next run on at most n threads work, the caller among them; n counts as 1 to kern_pool_threads. */
void kern_pool_limit(struct kern_pool *p, uint32_t n);

/* fn over [0, n) in pieces of at least `grain` indices (the last may be smaller); grain 0 counts as 1.
 * Waiting threads spin for some tens of microseconds and then sleep. */
void kern_pool_run(struct kern_pool *p, kern_pool_fn fn, void *arg, uint32_t n, uint32_t grain);

#endif
