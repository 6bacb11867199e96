#include "fs/fs_tick.h"
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fs_tick {
	struct fs *fs;
	int ready;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;                      /* protected by lock */
};

/* Leave the terminal to the parent. */
static void fs_tick_detach(int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_turn_to_syslog();
	if (null != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	if (chdir("/") == -1)
		log_warn("cannot leave the working directory: %s", strerror(errno));
	(void)!write(ready, "r", 1);
	close(ready);
}

static void fs_tick_writeback(struct fs *fs)
{
	static struct log_site site;
	uint32_t cursor = 0;
	int fd, rc;

	while ((fd = fs_handle_next_writable(fs->handles, &cursor)) != -1) {
		rc = io_start_writeback(fs->io, fd);
		io_close(fs->io, fd);
		if (rc != 0 && rc != -ESPIPE && log_site_due(&site))
			log_warn("cannot start writeback on home: %s", strerror(-rc));
	}
}

static void *fs_tick_run(void *arg)
{
	struct fs_tick *t = arg;
	struct timespec next;

	fs_mount_raise_read_ahead(t->fs);
	if (t->ready != -1)
		fs_tick_detach(t->ready);
	clock_gettime(CLOCK_MONOTONIC, &next);
	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		next.tv_sec++;
		while (!t->stop && pthread_cond_timedwait(&t->wake, &t->lock, &next) == 0)
			;
		pthread_mutex_unlock(&t->lock);
		fs_tick_writeback(t->fs);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int fs_tick_start(struct fs_tick **out, struct fs *fs, int ready)
{
	struct fs_tick *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;
	int rc;

	if (t == NULL)
		return -ENOMEM;
	t->fs = fs;
	t->ready = ready;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = -pthread_create(&t->thread, NULL, fs_tick_run, t);
	if (rc != 0) {
		pthread_cond_destroy(&t->wake);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void fs_tick_stop(struct fs_tick *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
