/* tier_order.c - orders: pins, which home's attributes keep, and what is to be warmed or cooled now. */
#include "tiering/blob.h"
#include "tiering/gather.h"
#include "tiering/place.h"
#include "tiering/tier_internal.h"
#include "tiering/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TIER_PIN_ATTR "user.hearth.pin"
#define TIER_PATH_MAX 4096

/* What the attribute of the open file says: a tier's number, -1 for none, -2 where there is no attribute or it
 * names a tier that is not there now. */
static int tier_pin_read(const struct tier *t, int fd)
{
	char name[32];
	ssize_t n = io_fgetxattr(t->io, fd, TIER_PIN_ATTR, name, sizeof(name) - 1);
	int id;

	if (n <= 0)
		return -2;
	name[n] = '\0';
	if (strcmp(name, "none") == 0)
		return -1;
	id = tier_find(t, name);
	return id >= 0 && id < (int)tier_count(t) - 1 ? id : -2;
}

int8_t tier_pin_of(struct tier *t, int fd, const char *path)
{
	char dir[TIER_PATH_MAX];
	int pin = tier_pin_read(t, fd);

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -1;
	while (pin == -2 && dir[0] != '\0') {
		char *slash = strrchr(dir, '/');
		int dirfd;

		*(slash != NULL ? slash : dir) = '\0';
		dirfd = home_openat(t->home, dir, O_PATH | O_DIRECTORY);
		if (dirfd < 0)
			break;
		pin = tier_pin_read(t, dirfd);
		io_close(t->io, dirfd);
	}
	return pin < 0 ? -1 : (int8_t)pin;
}

/* A pin that is taken back leaves the copy where it is, as any other resident. */
void tier_set_pin(struct tier *t, struct blob *b, int8_t pin)
{
	int8_t old = b->pin;

	if (old == pin)
		return;
	b->pin = pin;
	for (unsigned c = 0; c < t->caches; c++) {
		bool was = old == (int)c + 1 || (old == 0 && c == 0), is = pin == (int)c + 1 || (pin == 0 && c == 0);

		if (b->copy[c].slot != POLICY_NONE && was != is)
			policy_set_pin(&t->cache[c].set, b->copy[c].slot, is, t->tick);
	}
	b->retry_tick = t->tick;
	blob_due(t, b);
}

int tier_pin(struct tier *t, int fd, const struct stat *st, const char *path, int pin)
{
	const char *name = pin < 0 ? "none" : tier_name(t, (unsigned)pin);
	struct tier_meta meta;
	struct stat now;
	struct blob *b;
	int rc;

	if (pin >= (int)tier_count(t) - 1)
		return -EINVAL;
	rc = tier_meta_begin(t, fd, &meta);
	if (rc != 0)
		return rc;
	if (pin == TIER_PIN_REMOVE)
		rc = io_fremovexattr(t->io, fd, TIER_PIN_ATTR);
	else
		rc = io_fsetxattr(t->io, fd, TIER_PIN_ATTR, name, strlen(name), 0);
	if (rc != 0 && !(pin == TIER_PIN_REMOVE && rc == -ENODATA)) {
		tier_meta_end(t, &meta, NULL);
		return rc;
	}
	if (io_fstat(t->io, fd, &now) != 0)
		now = *st;
	tier_meta_end(t, &meta, &now);
	if (S_ISDIR(st->st_mode)) {
		place_walk_again(t);
		return 0;
	}
	if (pin == TIER_PIN_REMOVE)
		pin = tier_pin_of(t, fd, path);         /* what a directory above says, if one does */
	rc = tier_blob_of(t, fd, &now, path, &b);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;          /* too small to be tiered: the wish is kept */
	pthread_mutex_lock(&t->lock);
	tier_set_pin(t, b, (int8_t)(pin < 0 ? -1 : pin));
	event_log_add(t->events, "pin", name, b->path, "%s", pin < 0 ? "unpinned" : "pinned");
	blob_unref(t, b);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

/* Locked. */
static void tier_cool(struct tier *t, struct blob *b)
{
	b->warm = -1;
	b->warm_failed = false;
	b->cool = true;
	b->ram_warming = false;
	b->key = 0;
	b->touches = 0;
	for (uint32_t e = 0; b->heat != NULL && e < b->extents; e++)
		b->heat[e] = (struct heat){ 0 };
	event_log_add(t->events, "cool", NULL, b->path, "dropped by order");
	blob_due(t, b);
}

/* Whether clients can have it natively one day: there is no cache, or one that it fits. */
static bool tier_fits(const struct tier *t, const struct blob *b)
{
	bool fits = t->caches == 0;

	for (unsigned c = 0; c < t->caches; c++)
		fits = fits || b->extents <= t->cache[c].rules.budget;
	return fits;
}

/* Locked.  What cannot be is told by the next look at the order, as what goes wrong later is. */
static int tier_warm_to(struct tier *t, struct blob *b, int to)
{
	if (to > 0 && !cache_in_service(t->cache[to - 1].cache))
		return -EIO;
	if (to == 0 && t->ram == NULL)
		return -EINVAL;
	if (to > 0 && blob_complete(b, (unsigned)to - 1))
		return 0;
	if ((to > 0 && b->extents > t->cache[to - 1].rules.budget) || (to == 0 && !tier_fits(t, b))) {
		b->warm_failed = true;
		snprintf(b->warm_text, sizeof(b->warm_text), "it is larger than %s",
			 to > 0 ? "the cache" : "every cache, so the daemon gathers it and memory cannot hold it");
		return 0;
	}
	if (t->frozen && t->caches > 0 && !blob_complete(b, to > 0 ? (unsigned)to - 1 : 0))
		return -EIO;
	b->warm = (int8_t)to;
	b->warm_failed = false;
	b->retry_tick = t->tick;
	event_log_add(t->events, "warm", tier_name(t, (unsigned)to), b->path, "ordered");
	blob_due(t, b);
	return 0;
}

int tier_warm(struct tier *t, int fd, const struct stat *st, const char *path, int to)
{
	struct ram_file *ram = NULL;
	struct blob *b;
	int rc;

	if (to >= (int)tier_count(t) - 1)
		return -EINVAL;
	rc = tier_blob_of(t, fd, st, path, &b);
	if (rc != 0)
		return rc == -ENOENT ? -EINVAL : rc;
	pthread_mutex_lock(&t->lock);
	if (to < 0) {
		tier_cool(t, b);
		ram = b->ram;
		b->ram = NULL;
	} else {
		rc = tier_warm_to(t, b, to);
	}
	blob_unref(t, b);
	pthread_mutex_unlock(&t->lock);
	if (ram != NULL) {
		ram_file_cool(ram);
		ram_file_put(ram);
	}
	return rc;
}

int tier_verify(struct tier *t, int fd, const struct stat *st, const char *path, bool start)
{
	struct blob *b;
	int rc;

	rc = tier_blob_of(t, fd, st, path, &b);
	if (rc != 0)
		return rc == -ENOENT ? -EINVAL : rc;
	pthread_mutex_lock(&t->lock);
	rc = verify_order(t, b, start);
	blob_unref(t, b);
	pthread_mutex_unlock(&t->lock);
	return rc;
}
