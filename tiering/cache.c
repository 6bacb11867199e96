#include "tiering/cache_internal.h"

#include <errno.h>
#include <time.h>

const char *cache_name(const struct cache *c)
{
	return c->name;
}

const char *cache_dir(const struct cache *c)
{
	return c->dir;
}

int64_t cache_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t cache_epoch(struct cache *c)
{
	uint64_t epoch;

	pthread_mutex_lock(&c->lock);
	epoch = c->mark.epoch;
	pthread_mutex_unlock(&c->lock);
	return epoch;
}

/* One caller at a time looks, the others go on with what was seen last.  What is reserved while it looks
 * may or may not be in what it sees, and is counted as not. */
static void cache_look_at_device(struct cache *c)
{
	struct statvfs sv;
	uint64_t before;
	int rc;

	pthread_mutex_lock(&c->lock);
	if (c->looking || cache_now_ms() - c->looked_ms < CACHE_LOOK_MS) {
		pthread_mutex_unlock(&c->lock);
		return;
	}
	c->looking = true;
	before = c->ahead;
	pthread_mutex_unlock(&c->lock);
	rc = io_fstatvfs(c->io, c->fd, &sv);
	pthread_mutex_lock(&c->lock);
	c->looking = false;
	c->looked_ms = cache_now_ms();
	if (rc == 0) {
		c->device_free = (uint64_t)sv.f_bavail * sv.f_frsize;
		c->ahead -= before;
	}
	pthread_mutex_unlock(&c->lock);
	if (rc != 0)
		cache_failed(c, IO_STATFS, rc);
}

void cache_space(struct cache *c, struct cache_space *out)
{
	cache_look_at_device(c);
	pthread_mutex_lock(&c->lock);
	out->size = c->size;
	out->used = c->used;
	out->leaving = c->leaving;
	out->device_free = c->device_free;
	pthread_mutex_unlock(&c->lock);
}

/* Under the lock: whether the limit and the file system have that much more. */
static bool cache_has(const struct cache *c, uint64_t bytes)
{
	uint64_t taken;

	if (bytes > c->size || c->used > c->size - bytes)
		return false;
	if (__builtin_add_overflow(c->ahead, bytes, &taken) || __builtin_add_overflow(taken, c->device_keep, &taken))
		return false;
	return taken <= c->device_free;
}

int cache_reserve(struct cache *c, uint64_t bytes)
{
	int rc = -ENOSPC;

	cache_look_at_device(c);
	pthread_mutex_lock(&c->lock);
	if (cache_has(c, bytes)) {
		c->used += bytes;
		c->ahead += bytes;
		rc = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void cache_count_found(struct cache *c, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->used += bytes;
	pthread_mutex_unlock(&c->lock);
}

/* What it gives back stays in ahead until the next look: it may have been written meanwhile, or not. */
void cache_unreserve(struct cache *c, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->used -= bytes < c->used ? bytes : c->used;
	pthread_mutex_unlock(&c->lock);
}
