/* tier_ram.c - blobs and the RAM tier: which file it maps for a blob, and what was ordered of it. */
#include "tiering/blob.h"
#include "tiering/gather.h"
#include "tiering/tier_internal.h"

#include <errno.h>
#include <fcntl.h>

/* The file that clients read natively: a descriptor of ours, and which copy it is. */
static int tier_ram_fd(struct tier *t, struct blob *b, uint64_t token, int home_fd)
{
	struct cache_copy *file = NULL;
	char path[BLOB_PATH_MAX];
	int fd;

	if (token == 0)
		return home_fd != -1 ? io_reopen(t->io, home_fd, O_RDONLY) :
				       home_openat(t->home, blob_path(t, b, path), O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	pthread_mutex_lock(&t->lock);
	file = blob_copy_named(t, b, token);
	pthread_mutex_unlock(&t->lock);
	if (file == NULL)
		return -ESTALE;
	fd = cache_copy_native_fd(file);
	cache_copy_put(file);
	return fd;
}

/* Have the RAM tier know that file of the blob; its struct, counted for the caller, or NULL.  A copy may have been
 * dropped since it was opened, and whoever drops it takes back what the RAM tier has of it once: then it is not told. */
static struct ram_file *tier_ram_get(struct tier *t, struct blob *b, uint64_t token, int home_fd)
{
	struct ram_file *f = NULL, *keep = NULL, *old = NULL;
	char path[BLOB_PATH_MAX];
	int fd;

	fd = tier_ram_fd(t, b, token, home_fd);
	if (fd < 0)
		return NULL;
	blob_path(t, b, path);
	pthread_mutex_lock(&t->lock);
	if (!b->gone && blob_has_token(t, b, token) &&
	    ram_file_get(t->ram, b->st_ino, path, fd, b->size, NULL, 0, &f) == 0 &&
	    ram_file_get(t->ram, b->st_ino, path, fd, b->size, NULL, 0, &keep) == 0) {
		old = b->ram;
		b->ram = keep;
		if (b->ram_token != token)
			b->ram_pinned = b->ram_warming = false;
		b->ram_token = token;
	}
	pthread_mutex_unlock(&t->lock);
	ram_file_put(old);
	io_close(t->io, fd);
	return f;
}

void tier_ram_opened(struct tier_file *f, int home_fd)
{
	struct tier *t = f->tier;
	bool stream;

	if (t->ram == NULL)
		return;
	f->ram = tier_ram_get(t, f->blob, f->token, home_fd);
	if (f->ram == NULL)
		return;
	ram_file_opened(f->ram, f->pid, f->scan != SCAN_NO);
	pthread_mutex_lock(&t->lock);
	stream = f->token == 0 && f->blob->natives == 0 && gather_seeks(t, TIER_HOME_DEV);
	if (f->blob->pin == 0)
		blob_due(t, f->blob);
	pthread_mutex_unlock(&t->lock);
	if (stream)
		ram_file_stream(f->ram);
}

void tier_ram_closed(struct tier_file *f)
{
	if (f->ram == NULL)
		return;
	ram_file_closed(f->ram, f->pid);
	ram_file_put(f->ram);
}

/* Where a native open would lead now; false: nowhere yet, the copy is still to come.  Locked. */
static bool tier_ram_source(const struct tier *t, const struct blob *b, uint64_t *token)
{
	bool caches = false;

	*token = 0;
	for (unsigned c = 0; c < t->caches; c++) {
		if (!cache_in_service(t->cache[c].cache))
			continue;
		caches = true;
		if (!blob_complete(b, c) || b->copy[c].suspect || b->copy[c].dropping || b->suspect || b->copy[c].file == NULL)
			continue;
		*token = b->copy[c].token;
		return true;
	}
	return !caches;
}

/* Locked, and unlocked in between. */
static void tier_ram_apply(struct tier *t, struct blob *b, uint64_t token)
{
	bool pin = b->pin == 0, warm = b->warm == 0 && !b->ram_warming;
	struct ram_file *f;

	b->refs++;
	pthread_mutex_unlock(&t->lock);
	f = tier_ram_get(t, b, token, -1);
	if (f != NULL) {
		ram_file_pin(f, pin);
		if (warm)
			ram_file_warm(f);
	}
	ram_file_put(f);
	pthread_mutex_lock(&t->lock);
	b->ram_pinned = pin && f != NULL;
	if (warm && f != NULL)
		b->ram_warming = true;
	blob_unref(t, b);
}

void tier_ram_orders(struct tier *t, struct blob *b)
{
	uint64_t token;

	if (t->ram == NULL || b->gone)
		return;
	if (b->pin != 0 && b->ram_pinned && b->ram != NULL) {
		ram_file_pin(b->ram, false);
		b->ram_pinned = false;
	}
	if (!((b->pin == 0 && !b->ram_pinned) || (b->warm == 0 && !b->ram_warming)))
		return;
	/* nobody may have opened it since the start: then its copies are not open yet */
	b->refs++;
	pthread_mutex_unlock(&t->lock);
	tier_open_copies(t, b);
	pthread_mutex_lock(&t->lock);
	blob_unref(t, b);
	if (tier_ram_source(t, b, &token))
		tier_ram_apply(t, b, token);
}

/* A model that stays mapped for days is read without an open: what comes back from the disk shows it. */
static void tier_ram_heat_one(void *ctx, struct blob *b)
{
	struct tier *t = ctx;
	uint64_t refaults, wanted;

	if (b->ram == NULL)
		return;
	ram_file_progress(b->ram, &refaults, &wanted);
	if (refaults > b->ram_refaults)
		blob_touch_whole(t, b, (double)(refaults - b->ram_refaults) * (RAM_UNIT_BYTES / TIER_EXTENT_BYTES) / b->extents);
	b->ram_refaults = refaults;
	if (b->warm == 0 && b->ram_warming && wanted == 0) {
		b->warm = -1;
		b->ram_warming = false;
	}
}

void tier_ram_heat(struct tier *t)
{
	if (t->ram != NULL && t->tick % HEAT_TICKS_PER_SECOND == 0)
		blob_each(t, tier_ram_heat_one, t);
}
