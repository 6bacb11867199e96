#include "tiering/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What the kernel is asked to send when a lease breaks.  A real-time signal is queued and carries the
 * descriptor; where the queue is full (RLIMIT_SIGPENDING) the kernel sends SIGIO instead, which says
 * nothing of the descriptor and is taken as "look at all". */
static int lease_signal(void)
{
	return SIGRTMIN + 1;
}

struct leases {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t started;
	pid_t tid;                      /* of thread, 0 until it runs; protected by lock, then constant */
	bool stop;                      /* protected by lock */
	struct lease *first;            /* protected by lock */
};

struct lease {
	struct leases *set;
	int fd;                         /* its own; constant */
	struct lease *prev, *next;      /* protected by the set's lock */
};

static void lease_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, lease_signal());
	sigaddset(set, SIGIO);
}

/* A lease that is being broken reads as none.  Giving it up wakes the writer.  This waits for no device. */
static void lease_give_up_if_broken(const struct lease *lease)
{
	if (fcntl(lease->fd, F_GETLEASE) != F_RDLCK)
		fcntl(lease->fd, F_SETLEASE, F_UNLCK);
}

/* A signal may come late: fd then belongs to a lease that stands, or to none. */
static bool leases_answer(struct leases *l, const siginfo_t *info)
{
	bool all = info->si_signo == SIGIO, stop;

	pthread_mutex_lock(&l->lock);
	for (const struct lease *lease = l->first; lease != NULL; lease = lease->next)
		if (all || lease->fd == info->si_fd)
			lease_give_up_if_broken(lease);
	stop = l->stop;
	pthread_mutex_unlock(&l->lock);
	return stop;
}

static void *leases_run(void *arg)
{
	struct leases *l = arg;
	siginfo_t info;
	sigset_t set;

	lease_signals(&set);
	pthread_mutex_lock(&l->lock);
	l->tid = gettid();
	pthread_cond_signal(&l->started);
	pthread_mutex_unlock(&l->lock);
	do {
		while (sigwaitinfo(&set, &info) == -1)
			continue;               /* EINTR is all it says */
	} while (!leases_answer(l, &info));
	return NULL;
}

static int leases_start(struct leases *l)
{
	sigset_t set, old;
	int rc;

	lease_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	rc = -pthread_create(&l->thread, NULL, leases_run, l);
	if (rc != 0) {
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		return rc;
	}
	pthread_mutex_lock(&l->lock);
	while (l->tid == 0)
		pthread_cond_wait(&l->started, &l->lock);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

int lease_set_new(struct leases **out)
{
	struct leases *l;
	int rc;

	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	rc = -pthread_mutex_init(&l->lock, NULL);
	if (rc != 0)
		goto free_set;
	rc = -pthread_cond_init(&l->started, NULL);
	if (rc != 0)
		goto destroy_lock;
	rc = leases_start(l);
	if (rc != 0)
		goto destroy_cond;
	*out = l;
	return 0;

destroy_cond:
	pthread_cond_destroy(&l->started);
destroy_lock:
	pthread_mutex_destroy(&l->lock);
free_set:
	free(l);
	return rc;
}

void lease_set_free(struct leases *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_mutex_unlock(&l->lock);
	pthread_kill(l->thread, SIGIO);         /* never refused for a full queue, unlike a real-time signal */
	pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->started);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* O_NONBLOCK: a write lease that somebody else holds would make the open wait. */
static int lease_reopen(int fd)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	do {
		own = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	} while (own == -1 && errno == EINTR);
	return own == -1 ? -errno : own;
}

/* The owner and the signal are set first, so that no break is told to anyone else. */
static int lease_set(const struct leases *l, int fd)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = l->tid };

	if (fcntl(fd, F_SETSIG, lease_signal()) == -1 || fcntl(fd, F_SETOWN_EX, &owner) == -1)
		return -errno;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		if (fcntl(fd, F_GETLEASE) == F_RDLCK)
			return 0;
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return -EAGAIN;
	}
	switch (errno) {
	case EAGAIN:
	case EBUSY:
		return -EAGAIN;
	case ENOMEM:
		return -ENOMEM;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- the list; under the lock ---- */

static void lease_link(struct leases *l, struct lease *lease)
{
	lease->next = l->first;
	if (l->first != NULL)
		l->first->prev = lease;
	l->first = lease;
}

static void lease_unlink(struct leases *l, struct lease *lease)
{
	if (lease->prev != NULL)
		lease->prev->next = lease->next;
	else
		l->first = lease->next;
	if (lease->next != NULL)
		lease->next->prev = lease->prev;
}

/* ---- one lease ---- */

int lease_take(struct leases *l, int fd, struct lease **out)
{
	struct lease *lease;
	int rc;

	lease = calloc(1, sizeof(*lease));
	if (lease == NULL)
		return -ENOMEM;
	lease->set = l;
	lease->fd = lease_reopen(fd);
	if (lease->fd < 0) {
		rc = lease->fd;
		goto free_lease;
	}
	/* A writer may come the moment it stands, and the signal for an earlier one of that number before: the thread
	 * that answers waits, so that it sees none that is half set and would be taken for broken. */
	pthread_mutex_lock(&l->lock);
	rc = lease_set(l, lease->fd);
	if (rc == 0)
		lease_link(l, lease);
	pthread_mutex_unlock(&l->lock);
	if (rc == 0) {
		*out = lease;
		return 0;
	}
	close(lease->fd);
free_lease:
	free(lease);
	return rc;
}

bool lease_held(const struct lease *lease)
{
	return fcntl(lease->fd, F_GETLEASE) == F_RDLCK;
}

/* Given up in so many words: the close alone would leave it to a child that was forked meanwhile. */
void lease_drop(struct lease *lease)
{
	if (lease == NULL)
		return;
	pthread_mutex_lock(&lease->set->lock);
	lease_unlink(lease->set, lease);
	pthread_mutex_unlock(&lease->set->lock);
	fcntl(lease->fd, F_SETLEASE, F_UNLCK);
	close(lease->fd);
	free(lease);
}

/* Somebody who opens the file in that moment breaks the lease; the signal for it must end nobody, and
 * SIGURG is ignored unless it is asked for. */
bool lease_unused_by_others(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) == -1 || fcntl(fd, F_SETLEASE, F_WRLCK) == -1)
		return false;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}
