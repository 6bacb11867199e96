#include "fs/fs_notify.h"
#include "fs/fs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define FS_NOTIFY_MAX 256

struct fs_notify {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock;           /* guards all below; a leaf */
	pthread_cond_t wake;
	uint64_t st_ino[FS_NOTIFY_MAX];
	unsigned first, count;
	bool stop;
};

static void *fs_notify_run(void *arg)
{
	struct fs_notify *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		uint64_t nodeid;

		if (n->count == 0) {
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		nodeid = n->st_ino[n->first];
		n->first = (n->first + 1) % FS_NOTIFY_MAX;
		n->count--;
		pthread_mutex_unlock(&n->lock);
		nodeid = fs_inode_by_st_ino(n->fs->inodes, nodeid);
		if (nodeid != 0)        /* ENOENT: the kernel forgot it meanwhile, and its pages with it */
			fuse_lowlevel_notify_inval_inode(n->fs->se, nodeid, 0, 0);
		pthread_mutex_lock(&n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int fs_notify_new(struct fs_notify **out, struct fs *fs)
{
	struct fs_notify *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return -ENOMEM;
	n->fs = fs;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->wake, NULL);
	*out = n;
	return 0;
}

int fs_notify_start(struct fs_notify *n)
{
	return -pthread_create(&n->thread, NULL, fs_notify_run, n);
}

void fs_notify_stop(struct fs_notify *n)
{
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
}

void fs_notify_free(struct fs_notify *n)
{
	if (n == NULL)
		return;
	pthread_cond_destroy(&n->wake);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

void fs_notify_drop_pages(struct fs_notify *n, uint64_t st_ino)
{
	pthread_mutex_lock(&n->lock);
	if (n->count < FS_NOTIFY_MAX)
		n->st_ino[(n->first + n->count++) % FS_NOTIFY_MAX] = st_ino;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
}
