#include "fs/fs_top_feed.h"
#include "fs/fs_top.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct fs_top_feed {
	pthread_mutex_t lock;           /* not held while the mount is asked */
	pthread_cond_t wake;            /* stop was set; monotonic clock */
	bool stop, busy, left;          /* protected by lock.  busy: the mount is being asked; left: by the user, so
					 * that the thread frees everything */
	struct fs_top_sample *ready;    /* protected by lock */
	int event_fd;                   /* constant */
	pthread_t thread;
	char dir[PATH_MAX];             /* constant */
};

static void fs_top_feed_free(struct fs_top_feed *f)
{
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->wake);
	fs_top_sample_free(f->ready);
	close(f->event_fd);
	free(f);
}

/* A second from now, or until stop; lock is held. */
static void fs_top_feed_pause(struct fs_top_feed *f)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while (!f->stop && pthread_cond_timedwait(&f->wake, &f->lock, &until) == 0)
		;
}

static void *fs_top_feed_run(void *arg)
{
	struct fs_top_feed *f = arg;
	struct fs_top_sample *s;
	bool left;

	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		f->busy = true;
		pthread_mutex_unlock(&f->lock);
		s = fs_top_gather(f->dir);
		pthread_mutex_lock(&f->lock);
		f->busy = false;
		if (s != NULL) {
			fs_top_sample_free(f->ready);
			f->ready = s;
			eventfd_write(f->event_fd, 1);
		}
		fs_top_feed_pause(f);
	}
	left = f->left;
	pthread_mutex_unlock(&f->lock);
	if (left)
		fs_top_feed_free(f);
	return NULL;
}

int fs_top_feed_start(struct fs_top_feed **out, const char *dir)
{
	struct fs_top_feed *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;
	sigset_t all, before;
	int rc;

	if (f == NULL)
		return -ENOMEM;
	snprintf(f->dir, sizeof(f->dir), "%s", dir);
	f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->event_fd == -1) {
		rc = -errno;
		free(f);
		return rc;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(&f->thread, NULL, fs_top_feed_run, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		fs_top_feed_free(f);
		return rc;
	}
	*out = f;
	return 0;
}

void fs_top_feed_stop(struct fs_top_feed *f)
{
	pthread_t thread;
	bool left;

	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	f->left = f->busy;
	left = f->left;
	thread = f->thread;             /* once left and unlocked, f may be gone at any time */
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	if (left) {
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL);
	fs_top_feed_free(f);
}

int fs_top_feed_fd(const struct fs_top_feed *f)
{
	return f->event_fd;
}

struct fs_top_sample *fs_top_feed_take(struct fs_top_feed *f)
{
	struct fs_top_sample *s;
	eventfd_t n;

	pthread_mutex_lock(&f->lock);
	s = f->ready;
	f->ready = NULL;
	(void)!eventfd_read(f->event_fd, &n);
	pthread_mutex_unlock(&f->lock);
	return s;
}
