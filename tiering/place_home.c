/* place_home.c - a walk through home: what is pinned there, and what of the map is there no more. */
#include "tiering/place_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define PLACE_DEPTH 32
#define PLACE_PATH_MAX 4096

struct place_walk {
	struct tier *t;
	int dirfd;
	int depth;
	char path[PLACE_PATH_MAX];      /* of the directory, below home */
};

static void place_see(struct tier *t, int fd, const struct stat *st, const char *path)
{
	struct blob *b;
	int8_t pin;

	if (tier_blob_of(t, fd, st, path, &b) != 0)
		return;
	pin = tier_pin_of(t, fd, path);
	pthread_mutex_lock(&t->lock);
	b->walked = t->place->walks;
	tier_set_pin(t, b, pin);
	blob_unref(t, b);
	pthread_mutex_unlock(&t->lock);
}

static bool place_must_end(struct tier *t)
{
	bool stop;

	pthread_mutex_lock(&t->lock);
	stop = t->place->stop;
	pthread_mutex_unlock(&t->lock);
	return stop;
}

static int place_walk_entry(void *ctx, const char *name)
{
	struct place_walk *w = ctx, below;
	struct stat st;
	int fd, rc = 0;

	if (place_must_end(w->t))
		return -ECANCELED;
	if (snprintf(below.path, sizeof(below.path), "%s%s%s", w->path, w->path[0] != '\0' ? "/" : "", name) >=
	    (int)sizeof(below.path))
		return 0;
	fd = home_openat_dir(w->t->home, w->dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0)
		return 0;
	if (io_fstat(w->t->io, fd, &st) == 0 && S_ISREG(st.st_mode)) {
		place_see(w->t, fd, &st, below.path);
	} else if (S_ISDIR(st.st_mode) && w->depth > 0) {
		below.t = w->t;
		below.dirfd = fd;
		below.depth = w->depth - 1;
		rc = home_list(w->t->home, fd, place_walk_entry, &below);
		rc = rc == -ECANCELED ? rc : 0;
	}
	io_close(w->t->io, fd);
	return rc;
}

static void place_find_lost(void *ctx, struct blob *b)
{
	struct tier *t = ctx;

	if (b->walked != t->place->walks && b->in_map && b->refs == 0 && t->place->nlost < PLACE_LOST)
		t->place->lost[t->place->nlost++] = b;
}

/* The map knows files that the walk did not meet: removed while no mount was there. */
static void place_drop_lost(struct tier *t)
{
	do {
		pthread_mutex_lock(&t->lock);
		t->place->nlost = 0;
		blob_each(t, place_find_lost, t);
		for (unsigned i = 0; i < t->place->nlost; i++)
			place_changed(t, t->place->lost[i]);
		pthread_mutex_unlock(&t->lock);
	} while (t->place->nlost == PLACE_LOST);
}

void place_walk_home(struct tier *t)
{
	struct place_walk w = { .t = t, .depth = PLACE_DEPTH };
	int rc;

	w.dirfd = home_openat(t->home, "", O_RDONLY | O_DIRECTORY);
	if (w.dirfd < 0)
		return;
	t->place->walks++;
	rc = home_list(t->home, w.dirfd, place_walk_entry, &w);
	io_close(t->io, w.dirfd);
	if (rc == 0)
		place_drop_lost(t);
}

void place_walk_again(struct tier *t)
{
	pthread_mutex_lock(&t->lock);
	t->place->walk = true;
	place_wake(t);
	pthread_mutex_unlock(&t->lock);
}
