/* lease.h - proof that nobody writes a file: read leases of fcntl(2).
 *
 * A read lease is refused while somebody has the file open for writing or mapped writable, and a later
 * open for writing waits until the lease is given up: the holder is told, gives it up, and the writer
 * goes on.  So a file under a lease that was never broken has not changed.
 *
 * The kernel tells by a signal that is directed at a thread of this module (SIGRTMIN + 1; SIGIO where its queue
 * is full).  lease_set_new blocks both in its caller, for good; so that they are blocked everywhere, it is called
 * before other threads are started.  A child that was forked has no thread to answer with, and takes no leases.
 *
 * The kernel waits /proc/sys/fs/lease-break-time (45 s) for an answer and then lets the writer in.  lease_held
 * asks the kernel, so that it says no also when this process was stopped for longer than that.
 *
 * Threads: lease_set_new and lease_set_free are exclusive; all else may be called by any thread at once.
 */
#ifndef TIERING_LEASE_H
#define TIERING_LEASE_H

#include <stdbool.h>

struct leases;
struct lease;

/* 0 and an owned set in *out; -ENOMEM, -EAGAIN (no thread to be had). */
int lease_set_new(struct leases **out) __attribute__((warn_unused_result));
void lease_set_free(struct leases *l);     /* no lease is held; NULL is a no-op */

/* A lease on the file that fd is open on, read-only; fd stays the caller's (the lease has a descriptor of
 * its own and does not end with fd).  -EAGAIN: it is open for writing or mapped writable somewhere;
 * -EOPNOTSUPP: there are no leases on its file system, or none for us (not the owner, no CAP_LEASE), or it is
 * no regular file; -ENOMEM; or what the system says to opening it once more (-EMFILE, -EACCES). */
int lease_take(struct leases *l, int fd, struct lease **out) __attribute__((warn_unused_result));
/* False from the moment a writer asked for the file; the lease is then given up at once.  So what was read
 * before this said true is what the file had since lease_take.  One system call, which waits for nothing. */
bool lease_held(const struct lease *lease);
/* Give it up; NULL is a no-op. */
void lease_drop(struct lease *lease);

/* Whether nobody but the caller's fd (no O_PATH one) has the file open or mapped, this process included: a write
 * lease is granted for a moment.  Duplicates of fd and mappings that were made through it are not seen.  An open that comes in that moment waits for it, or says EAGAIN if it would not
 * wait.  False too where the question cannot be asked.  fd's signal (F_SETSIG) is SIGURG afterwards, which
 * ends nobody. */
bool lease_unused_by_others(int fd);

#endif
