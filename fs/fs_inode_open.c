#include "fs/fs_inode_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

/* ---- what lost its last name ---- */

void fs_inodes_shut(struct fs_inodes *t)
{
	int fd;

	do {
		fd = -1;
		pthread_mutex_lock(&t->lock);
		if (t->nshut > 0) {
			fd = t->shut[--t->nshut];
			t->nkept--;
		}
		pthread_mutex_unlock(&t->lock);
		if (fd >= 0)
			io_close(t->io, fd);    /* of a large file this may take a while */
	} while (fd >= 0);
}

void fs_inode_keep(struct fs_inodes *t, uint64_t nodeid, int fd)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL && n->kept < 0 && t->nkept < FS_KEPT_MAX) {
		n->kept = fd;
		t->nkept++;
		fd = -1;
	}
	pthread_mutex_unlock(&t->lock);
	if (fd >= 0)
		io_close(t->io, fd);
}

void fs_inode_unkeep(struct fs_inodes *t, uint64_t nodeid)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL && n->kept >= 0) {
		t->shut[t->nshut++] = n->kept;
		n->kept = -1;
	}
	pthread_mutex_unlock(&t->lock);
	fs_inodes_shut(t);
}

static int fs_inode_dup_kept(struct fs_inodes *t, uint64_t nodeid)
{
	struct fs_node *n;
	int fd = -ENOENT;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL && n->kept >= 0) {
		fd = fcntl(n->kept, F_DUPFD_CLOEXEC, 0);
		if (fd == -1)
			fd = -errno;
	}
	pthread_mutex_unlock(&t->lock);
	return fd;
}

/* ---- opening ---- */

int fs_inode_open(struct fs_inodes *t, uint64_t nodeid, int flags)
{
	uint64_t want = fs_inode_st_ino(t, nodeid);
	char path[PATH_MAX];
	int fd, rc = -ESTALE, last = -ESTALE;

	for (unsigned i = 0; fs_inode_path(t, nodeid, i, path); i++) {
		struct stat st;

		fd = home_openat(t->home, path, flags);
		if (fd < 0) {
			if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
				last = fd;
			continue;
		}
		rc = io_fstat(t->io, fd, &st);
		if (rc == 0 && st.st_ino == want)
			return fd;
		io_close(t->io, fd);
	}
	fd = fs_inode_borrow(t, nodeid);
	if (fd < 0)
		fd = fs_inode_dup_kept(t, nodeid);
	if (fd < 0)
		return last;
	rc = io_reopen(t->io, fd, flags);
	io_close(t->io, fd);
	return rc;
}

/* ---- open state ---- */

enum fs_mode fs_inode_open_begin(struct fs_inodes *t, uint64_t nodeid, int *backing_id)
{
	enum fs_mode mode = FS_MODE_CACHED;
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL) {
		n->nopen++;             /* also keeps the node while this waits */
		while (n->mode == FS_MODE_DECIDING)
			pthread_cond_wait(&t->decided, &t->lock);
		if (n->mode == FS_MODE_NONE) {
			n->mode = FS_MODE_DECIDING;
			n->backing_id = 0;
		}
		mode = n->mode;
		*backing_id = n->backing_id;
	}
	pthread_mutex_unlock(&t->lock);
	return mode;
}

void fs_inode_open_decided(struct fs_inodes *t, uint64_t nodeid, enum fs_mode mode, int backing_id)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL) {
		n->mode = mode;
		n->backing_id = backing_id;
	}
	pthread_cond_broadcast(&t->decided);
	pthread_mutex_unlock(&t->lock);
}

int fs_inode_open_end(struct fs_inodes *t, uint64_t nodeid)
{
	struct fs_node *n;
	int backing_id = 0;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL && --n->nopen == 0) {
		backing_id = n->backing_id;
		n->mode = FS_MODE_NONE;
		n->backing_id = 0;
		fs_node_reap(t, n);
	}
	pthread_mutex_unlock(&t->lock);
	fs_inodes_shut(t);
	return backing_id;
}

void fs_inode_set_native_written(struct fs_inodes *t, uint64_t nodeid)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL)
		n->native_written = true;
	pthread_mutex_unlock(&t->lock);
}

void fs_inode_set_serve(struct fs_inodes *t, uint64_t nodeid, enum tier_serve serve, uint64_t token)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL) {
		n->serve = serve;
		n->serve_token = token;
	}
	pthread_mutex_unlock(&t->lock);
}

enum tier_serve fs_inode_serve(struct fs_inodes *t, uint64_t nodeid, uint64_t *token)
{
	enum tier_serve serve = TIER_SERVE_HOME;
	const struct fs_node *n;

	*token = 0;
	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL) {
		serve = n->serve;
		*token = n->serve_token;
	}
	pthread_mutex_unlock(&t->lock);
	return serve;
}

bool fs_inode_is_retired(struct fs_inodes *t, uint64_t nodeid)
{
	const struct fs_node *n;
	bool retired;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	retired = n == NULL || n->retired;
	pthread_mutex_unlock(&t->lock);
	return retired;
}

void fs_inode_clear_native_written(struct fs_inodes *t, uint64_t nodeid)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL)
		n->native_written = false;
	pthread_mutex_unlock(&t->lock);
}

bool fs_inode_native_written(struct fs_inodes *t, uint64_t nodeid)
{
	const struct fs_node *n;
	bool written;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	written = n != NULL && n->native_written;
	pthread_mutex_unlock(&t->lock);
	return written;
}

void fs_inode_handle_add(struct fs_inodes *t, uint64_t nodeid, int fd, bool writable)
{
	struct fs_open_fd *f = malloc(sizeof(*f));
	struct fs_node *n;

	if (f == NULL)                  /* the file stays reachable by name and through its other handles */
		return;
	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL) {
		f->fd = fd;
		f->writable = writable;
		f->next = n->fds;
		n->fds = f;
		f = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	free(f);
}

void fs_inode_handle_del(struct fs_inodes *t, uint64_t nodeid, int fd)
{
	struct fs_open_fd *f = NULL, **p;
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	for (p = n != NULL ? &n->fds : NULL; p != NULL && *p != NULL; p = &(*p)->next) {
		if ((*p)->fd == fd) {
			f = *p;
			*p = f->next;
			break;
		}
	}
	pthread_mutex_unlock(&t->lock);
	free(f);
}

int fs_inode_borrow(struct fs_inodes *t, uint64_t nodeid)
{
	struct fs_node *n;
	int fd = -ENOENT;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL && n->fds != NULL) {
		fd = fcntl(n->fds->fd, F_DUPFD_CLOEXEC, 0);
		if (fd == -1)
			fd = -errno;
	}
	pthread_mutex_unlock(&t->lock);
	return fd;
}

static bool fs_time_after(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static bool fs_node_has_writer(const struct fs_node *n)
{
	const struct fs_open_fd *f;

	for (f = n->fds; f != NULL && !f->writable; f = f->next)
		;
	return f != NULL;
}

bool fs_inode_keep_cache(struct fs_inodes *t, uint64_t nodeid, const struct home_ident *id,
			 const struct timespec *now)
{
	struct fs_node *n;
	bool keep = false;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL && n->has_cached_ident && fs_time_after(n->cached_ident.ctime, id->ctime)) {
		keep = true;            /* id is older than a change of ours since */
	} else if (n != NULL) {
		keep = !n->has_cached_ident || fs_node_has_writer(n) ||
		       (n->ident_trusted && home_ident_equal(&n->cached_ident, id));
		if (!n->has_cached_ident || !home_ident_equal(&n->cached_ident, id) || !n->ident_trusted) {
			n->cached_ident = *id;
			n->ident_trusted = home_ident_settled(id, now);
		}
		n->has_cached_ident = true;
	}
	pthread_mutex_unlock(&t->lock);
	return keep;
}

void fs_inode_own_change(struct fs_inodes *t, uint64_t nodeid, const struct home_ident *id, bool data)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	/* several changes at once may be told in another order than they happened; and a change of names
	 * must not cover up that somebody else changed the bytes */
	if (n != NULL && n->has_cached_ident && !fs_time_after(n->cached_ident.ctime, id->ctime) &&
	    (data || home_ident_same_data(&n->cached_ident, id))) {
		n->cached_ident = *id;
		n->ident_trusted = n->ident_trusted || data;
	}
	pthread_mutex_unlock(&t->lock);
}
