#include "tiering/cache_internal.h"
#include "tiering/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_COPY_NAME 17              /* 16 hex digits and a 0 */

static void cache_copy_name(char name[CACHE_COPY_NAME], uint64_t blob)
{
	snprintf(name, CACHE_COPY_NAME, "%016llx", (unsigned long long)blob);
}

/* 0 when the name is no copy's: blob ids are not 0. */
static uint64_t cache_copy_id(const char *name)
{
	char again[CACHE_COPY_NAME];
	uint64_t blob = strtoull(name, NULL, 16);

	cache_copy_name(again, blob);
	return strcmp(again, name) == 0 ? blob : 0;
}

/* ---- the table; all under the lock ---- */

static struct cache_copy **cache_copy_slot(struct cache *c, uint64_t blob)
{
	return &c->bucket[blob % CACHE_BUCKETS];        /* ids are random */
}

static struct cache_copy *cache_copy_find(struct cache *c, uint64_t blob)
{
	struct cache_copy *copy = *cache_copy_slot(c, blob);

	while (copy != NULL && copy->blob != blob)
		copy = copy->next;
	return copy;
}

static void cache_copy_insert(struct cache *c, struct cache_copy *copy)
{
	struct cache_copy **slot = cache_copy_slot(c, copy->blob);

	copy->next = *slot;
	*slot = copy;
}

static void cache_copy_take_out(struct cache_copy **at, const struct cache_copy *copy)
{
	while (*at != copy)
		at = &(*at)->next;
	*at = copy->next;
}

static void cache_copy_settled(struct cache *c, struct cache_copy *copy)
{
	copy->busy = false;
	pthread_cond_broadcast(&c->changed);
}

/* The copy in the table once nobody works on its file, or NULL. */
static struct cache_copy *cache_copy_await(struct cache *c, uint64_t blob)
{
	struct cache_copy *copy;

	while ((copy = cache_copy_find(c, blob)) != NULL && copy->busy)
		pthread_cond_wait(&c->changed, &c->lock);
	return copy;
}

/* ---- its file ---- */

/* Opened or, with flags, made.  O_DIRECT where the file system takes it. */
static int cache_copy_open_name(struct cache *c, const char *name, int flags, bool *direct)
{
	int fd;

	fd = io_open_beneath(c->io, c->copies_fd, name, O_RDWR | O_NONBLOCK | O_DIRECT | flags, 0600);
	*direct = fd >= 0;
	if (fd == -EINVAL)
		fd = io_open_beneath(c->io, c->copies_fd, name, O_RDWR | O_NONBLOCK | (flags & ~O_EXCL), 0600);
	return fd;
}

/* A file that cannot be finished is taken away again. */
static int cache_copy_make(struct cache *c, struct cache_copy *copy, const char *name)
{
	enum io_op op = IO_OPEN;
	int rc;

	copy->fd = cache_copy_open_name(c, name, O_CREAT | O_EXCL, &copy->direct);
	if (copy->fd < 0)
		return cache_told(c, op, copy->fd);
	op = IO_TRUNCATE;
	rc = io_ftruncate(c->io, copy->fd, (off_t)copy->size);
	if (rc == 0) {
		op = IO_FSYNC;
		rc = cache_sync_dir(c, c->copies_fd);   /* the name must outlive a crash before the map says so */
	}
	if (rc == 0)
		return 0;
	io_unlinkat(c->io, c->copies_fd, name, 0);
	io_close(c->io, copy->fd);
	return cache_told(c, op, rc);
}

/* One that was there.  A client of an earlier daemon may still have it mapped: it then counts as handed
 * out, as it does when the file system cannot tell. */
static int cache_copy_check(struct cache *c, struct cache_copy *copy, const char *name, uint64_t *allocated)
{
	struct stat st;
	int rc;

	rc = cache_told(c, IO_STAT, io_fstat(c->io, copy->fd, &st));
	if (rc == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == copy->size) {
		copy->native = !lease_unused_by_others(copy->fd);
		*allocated = (uint64_t)st.st_blocks * 512;
		return 0;
	}
	if (rc == 0) {
		io_unlinkat(c->io, c->copies_fd, name, 0);
		rc = -EIO;
	}
	io_close(c->io, copy->fd);
	return rc;
}

static int cache_copy_open_file(struct cache *c, struct cache_copy *copy, bool create, uint64_t *allocated)
{
	char name[CACHE_COPY_NAME];

	cache_copy_name(name, copy->blob);
	*allocated = 0;
	copy->fd = cache_copy_open_name(c, name, 0, &copy->direct);
	if (copy->fd >= 0)
		return cache_copy_check(c, copy, name, allocated);
	if (copy->fd == -ENOENT && create)
		return cache_copy_make(c, copy, name);
	return copy->fd == -ENOENT ? -ENOENT : cache_told(c, IO_OPEN, copy->fd);
}

/* Of a copy that others have already. */
static int cache_copy_allocated(struct cache *c, struct cache_copy *copy, uint64_t *allocated)
{
	struct stat st;
	int rc;

	if (allocated == NULL)
		return 0;
	rc = cache_told(c, IO_STAT, io_fstat(c->io, copy->fd, &st));
	if (rc == 0)
		*allocated = (uint64_t)st.st_blocks * 512;
	return rc;
}

/* ---- get and put ---- */

/* The one there is, counted, or the new one in its place and busy, which is then *copy still. */
static int cache_copy_claim(struct cache *c, struct cache_copy **copy)
{
	struct cache_copy *found;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	found = cache_copy_await(c, (*copy)->blob);
	if (found == NULL) {
		(*copy)->busy = true;
		cache_copy_insert(c, *copy);
	} else if (found->size != (*copy)->size) {
		rc = -EIO;
	} else {
		found->refs++;
		*copy = found;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* The outcome of opening a new copy's file. */
static void cache_copy_opened(struct cache *c, struct cache_copy *copy, int rc)
{
	pthread_mutex_lock(&c->lock);
	if (rc == 0)
		copy->refs = 1;
	else
		cache_copy_take_out(cache_copy_slot(c, copy->blob), copy);
	cache_copy_settled(c, copy);
	pthread_mutex_unlock(&c->lock);
}

int cache_copy_get(struct cache *c, uint64_t blob, uint64_t size, bool create, uint64_t *allocated, struct cache_copy **out)
{
	struct cache_copy *mine, *copy;
	uint64_t on_disk = 0;
	int rc;

	if (!cache_in_service(c))
		return -EIO;
	mine = calloc(1, sizeof(*mine));
	if (mine == NULL)
		return -ENOMEM;
	mine->cache = c;
	mine->blob = blob;
	mine->size = size;
	copy = mine;
	rc = cache_copy_claim(c, &copy);
	if (rc != 0 || copy != mine)
		free(mine);
	if (rc != 0)
		return rc;
	if (copy != mine) {
		rc = cache_copy_allocated(c, copy, allocated);
		if (rc != 0)
			cache_copy_put(copy);
		else
			*out = copy;
		return rc;
	}
	rc = cache_copy_open_file(c, copy, create, &on_disk);
	cache_copy_opened(c, copy, rc);
	if (rc != 0) {
		free(copy);
		return rc;
	}
	if (allocated != NULL)
		*allocated = on_disk;
	*out = copy;
	return 0;
}

struct cache_copy *cache_copy_ref(struct cache_copy *copy)
{
	pthread_mutex_lock(&copy->cache->lock);
	copy->refs++;
	pthread_mutex_unlock(&copy->cache->lock);
	return copy;
}

/* Its bytes are free with the close, which for an unlinked file may take a while. */
static void cache_copy_end(struct cache *c, struct cache_copy *copy)
{
	uint64_t bytes = copy->bytes;

	io_close(c->io, copy->fd);
	free(copy);
	pthread_mutex_lock(&c->lock);
	c->leaving -= bytes;
	c->used -= bytes < c->used ? bytes : c->used;
	pthread_mutex_unlock(&c->lock);
}

void cache_copy_put(struct cache_copy *copy)
{
	struct cache *c;
	bool last, unlinked, leaves;

	if (copy == NULL)
		return;
	c = copy->cache;
	pthread_mutex_lock(&c->lock);
	last = --copy->refs == 0;
	unlinked = copy->unlinked;
	leaves = last && unlinked && !copy->native;     /* a native one waits for cache_reap */
	if (leaves)
		cache_copy_take_out(&c->unlinked, copy);
	else if (last && !unlinked)
		copy->busy = true;      /* closed before a new get opens it, so that our own descriptor is not "somebody's" */
	pthread_mutex_unlock(&c->lock);
	if (leaves)
		cache_copy_end(c, copy);
	if (!last || unlinked)
		return;
	io_close(c->io, copy->fd);
	pthread_mutex_lock(&c->lock);
	cache_copy_take_out(cache_copy_slot(c, copy->blob), copy);
	cache_copy_settled(c, copy);
	pthread_mutex_unlock(&c->lock);
	free(copy);
}

int cache_copy_fd(const struct cache_copy *copy, bool *direct)
{
	if (direct != NULL)
		*direct = copy->direct;
	return copy->fd;
}

/* ---- C3 ---- */

/* Opened first and decided then: a descriptor that is closed again was handed to nobody. */
int cache_copy_native_fd(struct cache_copy *copy)
{
	struct cache *c = copy->cache;
	bool writing;
	int fd;

	if (!cache_in_service(c))
		return -EIO;
	fd = io_reopen(c->io, copy->fd, O_RDONLY);
	if (fd < 0)
		return cache_told(c, IO_OPEN, fd);
	pthread_mutex_lock(&c->lock);
	writing = copy->writers > 0;
	if (!writing)
		copy->native = true;
	pthread_mutex_unlock(&c->lock);
	if (!writing)
		return fd;
	io_close(c->io, fd);
	return -EBUSY;
}

bool cache_copy_was_native(const struct cache_copy *copy)
{
	bool native;

	pthread_mutex_lock(&copy->cache->lock);
	native = copy->native;
	pthread_mutex_unlock(&copy->cache->lock);
	return native;
}

int cache_copy_write_begin(struct cache_copy *copy)
{
	struct cache *c = copy->cache;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (copy->native)
		rc = -EPERM;
	else if (!c->in_service)
		rc = -EIO;
	else
		copy->writers++;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void cache_copy_write_end(struct cache_copy *copy)
{
	pthread_mutex_lock(&copy->cache->lock);
	copy->writers--;
	pthread_mutex_unlock(&copy->cache->lock);
}

int cache_copy_punch(struct cache_copy *copy, uint64_t off, uint64_t len)
{
	struct cache *c = copy->cache;
	bool announced;

	pthread_mutex_lock(&c->lock);
	announced = copy->writers > 0;
	pthread_mutex_unlock(&c->lock);
	if (!announced)
		return -EPERM;
	if (!cache_in_service(c))
		return -EIO;
	return cache_told(c, IO_FALLOCATE, io_fallocate(c->io, copy->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
							(off_t)off, (off_t)len));
}

/* ---- taking names away ---- */

/* A name that somebody took before is as good. */
static int cache_unlink_name(struct cache *c, uint64_t blob)
{
	char name[CACHE_COPY_NAME];
	int rc;

	cache_copy_name(name, blob);
	rc = io_unlinkat(c->io, c->copies_fd, name, 0);
	return rc == -ENOENT ? 0 : cache_told(c, IO_UNLINK, rc);
}

/* Under the lock: make it busy, or say why not. */
static int cache_copy_begin_unlink(struct cache *c, struct cache_copy *copy)
{
	while (copy->busy)
		pthread_cond_wait(&c->changed, &c->lock);
	if (copy->unlinked)
		return -ENOENT;
	if (!c->in_service)
		return -EIO;
	copy->busy = true;
	return 0;
}

int cache_copy_unlink(struct cache_copy *copy, uint64_t bytes)
{
	struct cache *c = copy->cache;
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = cache_copy_begin_unlink(c, copy);
	pthread_mutex_unlock(&c->lock);
	if (rc != 0)
		return rc;
	rc = cache_unlink_name(c, copy->blob);
	pthread_mutex_lock(&c->lock);
	if (rc == 0) {
		cache_copy_take_out(cache_copy_slot(c, copy->blob), copy);
		copy->next = c->unlinked;
		c->unlinked = copy;
		copy->unlinked = true;
		copy->bytes = bytes;
		c->leaving += bytes;
	}
	cache_copy_settled(c, copy);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int cache_unlink_stray(struct cache *c, uint64_t blob)
{
	struct cache_copy place = { .cache = c, .blob = blob, .busy = true };
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->in_service)
		rc = -EIO;
	else if (cache_copy_await(c, blob) != NULL)
		rc = -EBUSY;
	else
		cache_copy_insert(c, &place);
	pthread_mutex_unlock(&c->lock);
	if (rc != 0)
		return rc;
	rc = cache_unlink_name(c, blob);
	pthread_mutex_lock(&c->lock);
	cache_copy_take_out(cache_copy_slot(c, blob), &place);
	cache_copy_settled(c, &place);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* Those that only this function can still reach are taken out of the list, looked at without the lock, and
 * put back when they are in use. */
void cache_reap(struct cache *c)
{
	struct cache_copy *ours = NULL, *still = NULL, *copy, **at;

	pthread_mutex_lock(&c->lock);
	for (at = &c->unlinked; (copy = *at) != NULL;) {
		if (copy->refs > 0) {
			at = &copy->next;
			continue;
		}
		*at = copy->next;
		copy->next = ours;
		ours = copy;
	}
	pthread_mutex_unlock(&c->lock);
	while ((copy = ours) != NULL) {
		ours = copy->next;
		if (lease_unused_by_others(copy->fd)) {
			cache_copy_end(c, copy);
		} else {
			copy->next = still;
			still = copy;
		}
	}
	pthread_mutex_lock(&c->lock);
	while ((copy = still) != NULL) {
		still = copy->next;
		copy->next = c->unlinked;
		c->unlinked = copy;
	}
	pthread_mutex_unlock(&c->lock);
}

/* ---- what lies there ---- */

struct cache_listing {
	struct cache *cache;
	int (*each)(void *ctx, uint64_t blob, uint64_t allocated);
	void *ctx;
};

static int cache_list_one(void *ctx, const char *name)
{
	const struct cache_listing *l = ctx;
	uint64_t blob = cache_copy_id(name);
	struct cache *c = l->cache;
	struct stat st;
	int fd, rc;

	if (blob == 0)
		return 0;
	fd = io_open_beneath(c->io, c->copies_fd, name, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -ENOENT || fd == -ELOOP ? 0 : fd;
	rc = io_fstat(c->io, fd, &st);
	io_close(c->io, fd);
	if (rc != 0 || !S_ISREG(st.st_mode))
		return rc;
	return l->each(l->ctx, blob, (uint64_t)st.st_blocks * 512);
}

int cache_list(struct cache *c, int (*each)(void *ctx, uint64_t blob, uint64_t allocated), void *ctx)
{
	struct cache_listing l = { .cache = c, .each = each, .ctx = ctx };

	return cache_each_name(c, c->copies_fd, cache_list_one, &l);
}
