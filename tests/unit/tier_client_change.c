/* tier_client_change.c - what a client does to home through the mount, and what others do to home and caches. */
#include "tests/unit/tier_client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1u << 20)

/* ---- bytes ---- */

static void client_pwrite(struct client *c, int fd, const void *bytes, size_t len, uint64_t off)
{
	if (pwrite(fd, bytes, len, (off_t)off) != (ssize_t)len)
		world_fail(c->w, "cannot write home: %s", strerror(errno));
}

static void client_tell(struct client *c, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		tier_data_changed(c->w->t, &st);
}

/* Write some of the file, maybe more than it had. */
static void client_write_some(struct client *c, int fd, struct truth *t, bool tell)
{
	uint64_t size = truth_size(t), off = client_draw(c, size + 1) & ~(uint64_t)(TRUTH_CHUNK - 1), len;
	void *bytes;

	len = (1 + client_draw(c, client_draw(c, 4) == 0 ? 2 * MIB : 65536)) * TRUTH_CHUNK / TRUTH_CHUNK;
	len = (len + TRUTH_CHUNK - 1) & ~(uint64_t)(TRUTH_CHUNK - 1);
	if (off + len > size && client_draw(c, 4) != 0)
		len = size - off;               /* up to its end: it does not grow */
	if (len == 0)
		return;
	bytes = truth_write(t, off, len);
	client_pwrite(c, fd, bytes, len, off);
	free(bytes);
	if (tell)
		client_tell(c, fd);
	truth_made(t, tell);
}

static void client_truncate(struct client *c, int fd, struct truth *t, bool tell)
{
	uint64_t size = truth_size(t), to;

	if (client_draw(c, 2) == 0 || size % TRUTH_CHUNK != 0)
		to = client_draw(c, size + 1);
	else
		to = size + client_draw(c, 2048) * TRUTH_CHUNK;
	truth_resize(t, to);
	if (ftruncate(fd, (off_t)to) != 0)
		world_fail(c->w, "cannot truncate home: %s", strerror(errno));
	if (tell)
		client_tell(c, fd);
	truth_made(t, tell);
}

/* ---- through the mount ---- */

/* Open for writing and write.  What the kernel writes natively nobody tells of. */
static void client_write(struct client *c, int slot, struct truth *t)
{
	struct tier_open how = { .path = world_path(c->w, slot), .writes = true };
	bool native = client_draw(c, 3) == 0;
	struct tier_file *f = NULL;
	struct stat st;
	uint64_t token;
	int rc;

	how.fd = world_openat(c->w, how.path, O_RDWR);
	if (how.fd < 0)
		return;
	how.st = &st;
	if (fstat(how.fd, &st) != 0 || st.st_ino != t->ino) {
		close(how.fd);
		return;
	}
	rc = tier_file_open(c->w->t, &how, &f);
	if (rc != 0 && rc != -ENOENT)
		world_fail(c->w, "tier_file_open: %s", strerror(-rc));
	if (f != NULL) {
		if (tier_file_serve(f, &token) != TIER_SERVE_HOME)
			world_fail(c->w, "an open for writing is not served from home");
		tier_file_served(f, native ? TIER_SERVE_HOME : TIER_SERVE_GATHER, 0, how.fd);
	}
	for (uint64_t i = client_draw(c, 3); i < 3; i++)
		client_write_some(c, how.fd, t, !native);
	if (client_draw(c, 4) == 0)
		client_truncate(c, how.fd, t, true);
	tier_file_close(f);
	close(how.fd);
}

static void client_metadata(struct client *c, int slot)
{
	struct timespec ts[2] = { { 0, UTIME_OMIT }, { 1600000000 + (time_t)client_draw(c, 1000000), (long)client_draw(c, 1000000000) } };
	int fd = world_openat(c->w, world_path(c->w, slot), O_RDONLY);
	struct tier_meta meta;
	struct stat st;

	if (fd >= 0 && tier_meta_begin(c->w->t, fd, &meta) == 0) {
		world_dawdle(c->w);
		if (client_draw(c, 3) == 0)
			futimens(fd, ts);
		else
			fchmod(fd, client_draw(c, 2) ? 0640 : 0644);
		tier_meta_end(c->w->t, &meta, fstat(fd, &st) == 0 ? &st : NULL);
	}
	if (fd >= 0)
		close(fd);
}

/* The names' changes are made one at a time, so that the model can follow. */
static void client_unlink(struct client *c, int slot, struct truth *t, bool tell)
{
	char path[PATH_MAX];
	bool gone = false;

	snprintf(path, sizeof(path), "%s/%s", c->w->home, world_path(c->w, slot));
	pthread_mutex_lock(&c->w->lock);
	if (c->w->slot[slot].truth == t && unlink(path) == 0) {
		c->w->slot[slot].truth = NULL;
		gone = true;
	}
	pthread_mutex_unlock(&c->w->lock);
	if (gone && tell)
		tier_gone(c->w->t, t->ino);
}

static void client_rename(struct client *c, int from, struct truth *t, int to)
{
	char old[PATH_MAX], new[PATH_MAX];
	struct truth *over = NULL;
	struct tier_meta meta = { .lease = NULL };
	struct stat st;
	bool moved = false;
	int fd;

	snprintf(old, sizeof(old), "%s/%s", c->w->home, world_path(c->w, from));
	snprintf(new, sizeof(new), "%s/%s", c->w->home, world_path(c->w, to));
	pthread_mutex_lock(&c->w->lock);
	fd = c->w->slot[from].truth == t && from != to ? open(old, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd >= 0 && tier_meta_begin(c->w->t, fd, &meta) == 0 && rename(old, new) == 0) {
		over = c->w->slot[to].truth;
		c->w->slot[to].truth = t;
		c->w->slot[from].truth = NULL;
		moved = true;
	}
	pthread_mutex_unlock(&c->w->lock);
	if (over != NULL)
		tier_gone(c->w->t, over->ino);
	if (!moved || stat(new, &st) != 0 || st.st_ino != t->ino)
		moved = false;
	tier_meta_end(c->w->t, &meta, moved ? &st : NULL);
	if (fd >= 0)
		close(fd);
	if (!moved)
		return;
	tier_sealed(c->w->t, st.st_ino, world_path(c->w, to), getpid());
}

/* A download: made under another name, written, named. */
static void client_pull(struct client *c, int slot)
{
	char temp[96], old[PATH_MAX], new[PATH_MAX];
	uint64_t size = world_size(c->w, &c->draw);
	struct truth *t, *over = NULL;
	struct stat st;
	void *bytes;
	int fd;

	pthread_mutex_lock(&c->w->lock);
	snprintf(temp, sizeof(temp), "blobs/sha256-pull%u-partial", c->w->made++);
	pthread_mutex_unlock(&c->w->lock);
	fd = world_openat(c->w, temp, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0 || fstat(fd, &st) != 0) {
		world_fail(c->w, "cannot make '%s'", temp);
		return;
	}
	t = world_add(c->w, &st, 0, truth_draw(&c->draw));
	bytes = truth_write(t, 0, size);
	client_pwrite(c, fd, bytes, size, 0);
	free(bytes);
	client_tell(c, fd);
	truth_made(t, true);
	close(fd);
	snprintf(old, sizeof(old), "%s/%s", c->w->home, temp);
	snprintf(new, sizeof(new), "%s/%s", c->w->home, world_path(c->w, slot));
	pthread_mutex_lock(&c->w->lock);
	if (rename(old, new) == 0) {
		over = c->w->slot[slot].truth;
		c->w->slot[slot].truth = t;
	}
	pthread_mutex_unlock(&c->w->lock);
	if (over != NULL)
		tier_gone(c->w->t, over->ino);
	if (stat(new, &st) == 0 && st.st_ino == t->ino)
		tier_sealed(c->w->t, st.st_ino, world_path(c->w, slot), getpid());
}

/* ---- behind the mount ---- */

/* Other bytes, as many as before, and the old time. */
static void client_hide(struct client *c, int fd, struct truth *t, const struct stat *st)
{
	struct timespec ts[2] = { { 0, UTIME_OMIT }, st->st_mtim };
	void *bytes = truth_write(t, 0, (uint64_t)st->st_size);

	client_pwrite(c, fd, bytes, (size_t)st->st_size, 0);
	free(bytes);
	futimens(fd, ts);
	truth_made(t, false);
}

static void client_behind(struct client *c, int slot, struct truth *t)
{
	struct timespec ts[2] = { { 0, UTIME_OMIT }, { 1700000000 + (time_t)client_draw(c, 1000000), (long)client_draw(c, 1000000000) } };
	int fd = world_openat(c->w, world_path(c->w, slot), O_RDWR);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) != 0 || st.st_ino != t->ino) {
		close(fd);
		return;
	}
	switch (client_draw(c, 5)) {
	case 0: case 1:
		client_write_some(c, fd, t, false);
		futimens(fd, ts);
		break;
	case 2:
		if (st.st_size > 0 && st.st_size <= (off_t)(6 * MIB))
			client_hide(c, fd, t, &st);
		break;
	case 3:
		fchmod(fd, client_draw(c, 2) ? 0600 : 0644);
		break;
	default:
		client_truncate(c, fd, t, false);
		break;
	}
	close(fd);
}

/* ---- caches ---- */

static void client_break(struct client *c)
{
	static const unsigned ops[] = { 1u << IO_PREAD, 1u << IO_PWRITE, 1u << IO_FSYNC, 1u << IO_OPEN, 1u << IO_UNLINK,
					1u << IO_PREAD | 1u << IO_PWRITE, ~0u, 1u << IO_FALLOCATE };
	static const int errors[] = { -EIO, -EIO, -ENOSPC, -ENXIO, -EROFS };
	struct world_fault *f = &c->w->fault;

	atomic_store(&f->ops, ops[client_draw(c, sizeof(ops) / sizeof(ops[0]))]);
	atomic_store(&f->error, errors[client_draw(c, sizeof(errors) / sizeof(errors[0]))]);
	atomic_store(&f->left, client_draw(c, 3) == 0 ? 1 : (int)client_draw(c, 60));
	atomic_store(&f->caches, 1 + (unsigned)client_draw(c, 3));
}

struct client_copy {
	struct client *c;
	unsigned nth;
	bool damage;
};

static void client_spoil(struct world *w, int dirfd, const char *name, void *ctx)
{
	struct client_copy *k = ctx;
	unsigned char junk[4096];
	struct stat st;
	int fd;

	(void)w;
	if (k->nth-- != 0)
		return;
	if (!k->damage) {
		unlinkat(dirfd, name, 0);
		return;
	}
	fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	memset(junk, (int)client_draw(k->c, 256), sizeof(junk));
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		for (int i = 0; i < 4; i++)
			(void)!pwrite(fd, junk, 1 + client_draw(k->c, sizeof(junk)),
				      (off_t)client_draw(k->c, (uint64_t)st.st_size > 4096 ? (uint64_t)st.st_size - 4096 : 1));
	close(fd);
}

static void client_cache(struct client *c)
{
	struct client_copy k = { .c = c, .nth = (unsigned)client_draw(c, 4), .damage = client_draw(c, 3) != 0 };

	if (client_draw(c, 2) == 0)
		client_break(c);
	else if (c->w->damages)
		world_each_copy(c->w, (unsigned)client_draw(c, c->w->cfg.caches), client_spoil, &k);
}

void client_change(struct client *c)
{
	int slot = world_pick(c->w, &c->draw), other = (int)client_draw(c, WORLD_SLOTS);
	uint64_t what = client_draw(c, 20);
	struct truth *t = NULL;

	c->changes++;
	if (what < 5) {
		client_cache(c);
		return;
	}
	if (what < 7 && c->w->nall + 8 < WORLD_TRUTHS) {
		if (what < 6)
			client_pull(c, other);
		else
			world_place(c->w, other, &c->draw);
		return;
	}
	if (slot >= 0) {
		pthread_mutex_lock(&c->w->lock);
		t = c->w->slot[slot].truth;
		pthread_mutex_unlock(&c->w->lock);
	}
	if (t == NULL || !truth_change_begin(t))
		return;
	if (what < 12)
		client_write(c, slot, t);
	else if (what < 14)
		client_metadata(c, slot);
	else if (what < 18)
		client_behind(c, slot, t);
	else if (what < 19)
		client_rename(c, slot, t, other);
	else
		client_unlink(c, slot, t, client_draw(c, 2) == 0);
	truth_change_end(t);
}
