#include "tiering/place_internal.h"
#include "tiering/store.h"
#include "tiering/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void place_touched(struct tier *t, struct blob *b)
{
	b->next_touched = t->place->touched;
	t->place->touched = b;
}

void place_due(struct tier *t, struct blob *b)
{
	b->next_due = t->place->due;
	t->place->due = b;
	pthread_cond_signal(&t->place->wake);
}

void place_wake(struct tier *t)
{
	pthread_cond_signal(&t->place->wake);
}

struct fill *place_fills(struct tier *t)
{
	return t->place != NULL ? t->place->fills : NULL;
}

/* ---- fills ---- */

static const char *place_tier_name(const struct tier *t, unsigned c)
{
	return cache_name(t->cache[c].cache);
}

static void place_fill_link(struct tier *t, struct fill *f)
{
	f->next = t->place->fills;
	t->place->fills = f;
	t->place->nfills++;
}

static void place_fill_unlink(struct tier *t, struct fill *f)
{
	struct fill **p = &t->place->fills;

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	t->place->nfills--;
}

/* Begin to fill cache c; locked, and unlocked in between. */
static void place_begin_fill(struct tier *t, struct blob *b, unsigned c)
{
	bool ordered = b->warm >= 0 || b->pin >= 0;
	int rc;

	b->busy = true;
	b->refs++;
	pthread_mutex_unlock(&t->lock);
	rc = fill_begin(t, b, c, ordered);
	pthread_mutex_lock(&t->lock);
	b->busy = false;
	if (rc == 0 && b->gone) {       /* while fill_begin had no lock */
		b->copy[c].dropping = true;
		fill_stop(b->fill, FILL_CHANGED);
	}
	if (rc == 0) {
		place_fill_link(t, b->fill);
		gather_wake(t, c);              /* what reads brought since fill_begin could not be synced before */
		event_log_add(t->events, "fill", place_tier_name(t, c), b->path, "begun, %u of %u extents are there",
			   b->copy[c].valid, b->extents);
		fill_push(t, b->fill);
		return;
	}
	blob_unref(t, b);
	b->retry_tick = t->tick + PLACE_RETRY_TICKS;
	if (b->gone || rc == -EPERM) {  /* EPERM: clients had this file natively: it cannot be mended, only replaced */
		b->copy[c].dropping = true;
		blob_due(t, b);
	} else if (rc == -ESTALE) {
		place_changed(t, b);
	} else if (rc != -EAGAIN && rc != -ENOSPC) {
		b->retry_tick = t->tick + 16 * PLACE_RETRY_TICKS;
		event_log_add(t->events, "fill-failed", place_tier_name(t, c), b->path, "%s", strerror(-rc));
	}
}

static void place_end_fill(struct tier *t, struct blob *b)
{
	static const char *const why[] = {
		[FILL_UNSEALED] = "stopped: somebody opened it for writing",
		[FILL_CHANGED] = "stopped: home's bytes changed", [FILL_FAILED] = "stopped: a read or write failed",
		[FILL_CANCELLED] = "stopped: dropped",
	};
	struct fill *f = b->fill;
	unsigned c = f->cache;
	enum fill_end end = f->end;

	place_fill_unlink(t, f);
	b->busy = true;
	pthread_mutex_unlock(&t->lock);
	fill_finish(t, f);
	pthread_mutex_lock(&t->lock);
	b->busy = false;
	b->retry_tick = t->tick + PLACE_RETRY_TICKS;
	if (end == FILL_COMPLETE) {
		event_log_add(t->events, "complete", place_tier_name(t, c), b->path, "all %u extents are there", b->extents);
		if (b->warm == (int)c + 1)
			b->warm = -1;
		if (b->gathered == 0 && t->drop_pages != NULL)
			t->drop_pages(t->ctx, b->st_ino);
	} else {
		event_log_add(t->events, "fill-stopped", place_tier_name(t, c), b->path, "%s", why[end]);
		if (end == FILL_CHANGED)
			place_changed(t, b);
	}
	blob_unref(t, b);
	blob_due(t, b);
}

/* A blob has one fill at a time, and that of a part never ends: a cache that is to have all of it goes first. */
static bool place_part_waits(const struct tier *t, const struct blob *b, unsigned c)
{
	bool whole = false;

	if (b->part == NULL || part_cache(b->part) != c)
		return false;
	for (unsigned other = 0; other < t->caches; other++)
		whole = whole || (other != c && b->copy[other].slot != POLICY_NONE && !b->copy[other].dropping &&
				  !b->copy[other].suspect && !blob_complete(b, other) && cache_in_service(t->cache[other].cache));
	return whole;
}

static bool place_wants_fill(const struct tier *t, const struct blob *b, unsigned c)
{
	return b->copy[c].slot != POLICY_NONE && !b->copy[c].dropping && !b->copy[c].suspect && !blob_complete(b, c) &&
	       b->fill == NULL && !place_part_waits(t, b, c) && !b->busy && !b->gone && b->writers == 0 && !b->suspect &&
	       t->map != NULL && !t->frozen && b->retry_tick <= t->tick && t->place->nfills < PLACE_FILLS &&
	       cache_in_service(t->cache[c].cache);
}

static void place_begin_fills(struct tier *t)
{
	for (unsigned c = 0; c < t->caches; c++) {
		struct tier_cache *k = &t->cache[c];

		for (uint32_t s = 0; s < k->set_cap; s++)
			if (k->resident[s] != NULL && place_wants_fill(t, k->resident[s], c))
				place_begin_fill(t, k->resident[s], c);
	}
	for (struct fill *f = t->place->fills; f != NULL; f = f->next) {
		if (f->part && place_part_waits(t, f->blob, f->cache))
			fill_stop(f, FILL_CANCELLED);
		else
			fill_push(t, f);
	}
}

/* ---- one blob ---- */

/* Nobody uses it: its descriptors of home go. */
static void place_close_home(struct tier *t, struct blob *b)
{
	int direct = b->home_fd, warm = b->home_warm_fd;

	if (b->refs > 0 || (direct == -1 && warm == -1))
		return;
	b->home_fd = b->home_warm_fd = -1;
	pthread_mutex_unlock(&t->lock);
	if (direct != -1)
		io_close(t->io, direct);
	if (warm != -1)
		io_close(t->io, warm);
	pthread_mutex_lock(&t->lock);
}

/* What the RAM tier holds of a blob that is gone goes. */
static void place_look_ram(struct tier *t, struct blob *b)
{
	struct ram_file *old = b->ram;

	if (old == NULL || !b->gone)
		return;
	b->ram = NULL;
	pthread_mutex_unlock(&t->lock);
	ram_file_put(old);
	pthread_mutex_lock(&t->lock);
}

static bool place_is_resident(const struct blob *b, unsigned c)
{
	return b->copy[c].slot != POLICY_NONE;
}

/* Orders: what is pinned or to be warmed is asked for like what was touched. */
static void place_look_orders(struct tier *t, struct blob *b)
{
	bool wanted = false;

	for (unsigned c = 0; c < t->caches; c++) {
		if (b->cool && (place_is_resident(b, c) || b->copy[c].valid > 0)) {
			if (place_is_resident(b, c))
				place_remove_resident(t, b, c);
			b->copy[c].dropping = true;
		}
		wanted = wanted || ((b->pin == (int)c + 1 || b->warm == (int)c + 1) && !blob_complete(b, c));
		if (b->copy[c].suspect && (b->pin >= 0 || b->warm >= 0))
			verify_suspect(t, b);   /* nothing is added to it before it is compared */
	}
	wanted = wanted || ((b->pin == 0 || b->warm == 0) && t->caches > 0 && !blob_complete(b, 0));
	b->cool = false;
	if (wanted && !b->touched) {
		b->touched = true;
		place_touched(t, b);
	}
}

/* Locked, and unlocked in between. */
static void place_look(struct tier *t, struct blob *b)
{
	if (b->busy)
		return;
	if (b->fill != NULL && b->fill->end != FILL_GOES_ON && fill_is_idle(b->fill))
		place_end_fill(t, b);
	place_look_orders(t, b);
	for (unsigned c = 0; c < t->caches; c++) {
		if (!b->copy[c].dropping)
			continue;
		if (b->fill != NULL && b->fill->cache == c) {
			fill_stop(b->fill, FILL_CANCELLED);
			continue;
		}
		b->busy = true;
		pthread_mutex_unlock(&t->lock);
		place_drop_copy(t, b, c);
		pthread_mutex_lock(&t->lock);
		b->busy = false;
	}
	if (b->gone && b->fill == NULL)
		place_forget_blob(t, b);
	if (b->part != NULL) {
		pthread_mutex_unlock(&t->lock);
		place_drop_extents(t, b);
		pthread_mutex_lock(&t->lock);
	}
	place_look_ram(t, b);
	tier_ram_orders(t, b);
	place_close_home(t, b);
}

/* One that is gone, and that nobody has any more, is forgotten.  Locked, and unlocked in between. */
static void place_bury(struct tier *t, struct blob *b)
{
	struct blob **p = &t->gone;

	if (!b->gone || b->refs > 0 || b->due || b->touched || b->busy || b->fill != NULL || b->in_map)
		return;
	for (unsigned c = 0; c < t->caches; c++)
		if (b->copy[c].dropping || b->copy[c].file != NULL || b->copy[c].slot != POLICY_NONE)
			return;
	while (*p != b)
		p = &(*p)->next;
	*p = b->next;
	t->ngone--;
	gather_forget(t, b);
	pthread_mutex_unlock(&t->lock);
	tier_blob_free(t, b);
	pthread_mutex_lock(&t->lock);
}

static void place_look_due(struct tier *t)
{
	struct blob *b = t->place->due, *next;

	t->place->due = NULL;
	for (; b != NULL; b = next) {
		next = b->next_due;
		b->due = false;
		place_look(t, b);
		place_bury(t, b);
	}
}

/* ---- the tick ---- */

/* No copy is made any more: an order that waits for one is answered. */
static void place_fail_order(const struct tier *t, struct blob *b)
{
	if (b->warm < 0 || t->caches == 0 || blob_complete(b, b->warm > 0 ? (unsigned)b->warm - 1 : 0))
		return;
	b->warm = -1;
	b->warm_failed = true;
	snprintf(b->warm_text, sizeof(b->warm_text), "the map of the caches cannot be written");
}

/* What was ordered and not given yet is asked for again: what was too young to go grows older; what could not be
 * compared may be now. */
static void place_ask_again(void *ctx, struct blob *b)
{
	struct tier *t = ctx;

	verify_doubtful(t, b);
	if (t->frozen)
		place_fail_order(t, b);
	if (b->warm >= 0 || b->pin >= 0 || b->part != NULL)
		blob_due(t, b);
}

static void place_tick(struct tier *t)
{
	t->tick++;
	heat_clock_advance(&t->clock, t->tick, t->touches);
	t->touches = 0;
	tier_ram_heat(t);
	if (t->tick % PLACE_RETRY_TICKS == 0)
		blob_each(t, place_ask_again, t);
	for (unsigned c = 0; c < t->caches; c++)
		if (!cache_in_service(t->cache[c].cache))
			gather_wake(t, c);      /* whoever saw it fail did not tell the thread that probes it */
	place_decide(t);
	place_begin_fills(t);
	for (struct fill *f = t->place->fills; f != NULL; f = f->next)
		if (f->end != FILL_GOES_ON)
			blob_due(t, f->blob);
	pthread_mutex_unlock(&t->lock);
	for (unsigned c = 0; c < t->caches; c++) {
		bool sweep;

		cache_reap(t->cache[c].cache);
		pthread_mutex_lock(&t->lock);
		sweep = t->cache[c].sweep && !t->frozen && cache_in_service(t->cache[c].cache);
		if (sweep)
			t->cache[c].sweep = false;
		pthread_mutex_unlock(&t->lock);
		if (sweep)
			store_sweep(t, c);
	}
	if (t->tick >= t->place->saved_tick + PLACE_SAVE_TICKS) {
		t->place->saved_tick = t->tick;
		store_save_heat(t);
		store_save_epochs(t);
	}
	pthread_mutex_lock(&t->lock);
}

static void *place_run(void *arg)
{
	struct place *p = arg;
	struct tier *t = p->tier;
	struct timespec next, now;

	place_walk_home(t);
	clock_gettime(CLOCK_MONOTONIC, &next);
	pthread_mutex_lock(&t->lock);
	while (!p->stop) {
		if (p->walk) {
			p->walk = false;
			pthread_mutex_unlock(&t->lock);
			place_walk_home(t);
			pthread_mutex_lock(&t->lock);
		}
		place_look_due(t);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec >= next.tv_nsec)) {
			place_tick(t);
			next = now;
			next.tv_nsec += (long)t->tick_ms * 1000000L;
			if (next.tv_nsec >= 1000000000L) {
				next.tv_nsec -= 1000000000L;
				next.tv_sec++;
			}
		}
		if (!p->stop && p->due == NULL)
			pthread_cond_timedwait(&p->wake, &t->lock, &next);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int place_new(struct tier *t)
{
	pthread_condattr_t attr;

	t->place = calloc(1, sizeof(*t->place));
	if (t->place == NULL)
		return -ENOMEM;
	t->place->tier = t;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->place->wake, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

int place_start(struct tier *t)
{
	int rc = -pthread_create(&t->place->thread, NULL, place_run, t->place);

	t->place->running = rc == 0;
	return rc;
}

void place_free(struct tier *t)
{
	if (t->place == NULL)
		return;
	pthread_cond_destroy(&t->place->wake);
	free(t->place);
}

/* Every fill is ended: what is durable by then is kept. */
static void place_end_fills(struct tier *t)
{
	pthread_mutex_lock(&t->lock);
	for (struct fill *f = t->place->fills; f != NULL; f = f->next)
		fill_stop(f, FILL_CANCELLED);
	while (t->place->fills != NULL) {
		struct fill *f = t->place->fills;

		while (f != NULL && !fill_is_idle(f))
			f = f->next;
		if (f != NULL) {
			place_end_fill(t, f->blob);
			continue;
		}
		pthread_cond_wait(&t->place->wake, &t->lock);
	}
	pthread_mutex_unlock(&t->lock);
}

void place_stop(struct tier *t)
{
	struct place *p = t->place;

	if (p == NULL || !p->running)
		return;
	pthread_mutex_lock(&t->lock);
	p->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(p->thread, NULL);
	place_end_fills(t);
	store_save_heat(t);
	store_save_epochs(t);
}
