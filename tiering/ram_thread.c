/* ram_thread.c - the thread of the RAM tier: what is done when.
 *
 * Every 20 ms, while anything is held, head-room and the samples that are due; orders when something arrives or
 * there is room for more on the way; the clock of heat from tick to tick.  With nothing to do it sleeps till
 * the next.
 */
#include "tiering/ram_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROOM_MS 20
#define FLIGHT_MS 2
#define GROUPS_MS 10000                 /* between two looks at which control groups are ours */
#define PIN_AGAIN_MS 60000
#define FIRST_TICK 1024                 /* 0 is "never", and windows reach back */

uint64_t ram_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void release_all(struct ram_file *f)
{
	for (uint32_t i = 0; i < f->units; i++)
		ram_give_up(f, i);
	ram_flush(f->r);
	ram_order_cancel(f->r, f);
}

/* ---- what was said about files ---- */

static void cool(struct ram_file *f)
{
	f->cool = f->pin = f->warm = f->unpin = false;
	f->order_at = f->stream_at = f->units;
	f->refault_ms = 0;
	release_all(f);
	for (uint32_t i = 0; i < f->units; i++) {
		f->unit[i].heat = (struct heat){ 0 };
		f->unit[i].moved = 0;
		f->unit[i].flags &= RAM_THERE | RAM_KNOWN;
	}
}

static void unpin(struct ram_file *f)
{
	f->unpin = false;
	for (uint32_t i = 0; i < f->units; i++) {
		if (f->unit[i].slot != POLICY_NONE)
			policy_set_pin(&f->r->set, f->unit[i].slot, false, f->r->clock.tick);
	}
}

/* The same blob in another file: heat stays when the sizes agree. */
static void replace(struct ram_file *f)
{
	struct ram_next next = *f->next;
	struct ram *r = f->r;
	int fd = f->fd;

	free(f->next);
	f->next = NULL;
	f->dev = next.dev;              /* who asks for the old file from here on brings the one after next */
	f->ino = next.ino;
	release_all(f);
	for (uint32_t i = 0; i < f->units && f->size == next.size; i++)
		next.unit[i].heat = f->unit[i].heat;
	pthread_mutex_unlock(&r->lock);
	ram_hold_unmap(f);
	io_close(r->io, fd);
	pthread_mutex_lock(&r->lock);
	free(f->unit);
	f->fd = next.fd;
	f->size = next.size;
	f->unit = next.unit;
	f->units = next.units;
	f->order_at = f->pin || f->warm ? 0 : f->units;
	f->stream_at = f->units;
	f->resident = 0;
	f->changed_ms = ram_now_ms();
	r->set.group[f->index].total = f->units;
}

static void remove_file(struct ram *r, uint32_t index)
{
	struct ram_file *f = r->file[index];

	release_all(f);
	if (f->refs > 0)                /* somebody got it while memory was let go */
		return;
	r->file[index] = NULL;
	r->set.group[index] = (struct policy_group){ 0 };
	pthread_mutex_unlock(&r->lock);
	ram_hold_unmap(f);
	io_close(r->io, f->fd);
	if (f->next != NULL) {
		io_close(r->io, f->next->fd);
		free(f->next->unit);
		free(f->next);
	}
	free(f->unit);
	free(f->label);
	free(f);
	pthread_mutex_lock(&r->lock);
}

/* What a pin lost to a shortage, or could not get, is tried for again. */
static void pin_again(struct ram_file *f, uint64_t now_ms)
{
	if (f->pin && f->order_at == f->units && f->locked < f->size && now_ms - f->order_ms >= PIN_AGAIN_MS &&
	    f->r->lockable >= (int64_t)RAM_UNIT_BYTES) {
		f->order_at = 0;
		f->order_ms = now_ms;
	}
}

static void keep_house(struct ram *r, uint64_t now_ms)
{
	for (uint32_t n = 0; n < r->files; n++) {
		struct ram_file *f = r->file[n];

		if (f == NULL)
			continue;
		if (f->refs == 0) {
			remove_file(r, n);
			continue;
		}
		if (f->next != NULL)
			replace(f);
		if (f->cool)
			cool(f);
		if (f->unpin)
			unpin(f);
		pin_again(f, now_ms);
	}
}

/* ---- when ---- */

static void look_at_room(struct ram *r, uint64_t now_ms, bool all, uint64_t *groups_ms)
{
	bool find = all || now_ms - *groups_ms >= GROUPS_MS;
	struct ram_level level;

	pthread_mutex_unlock(&r->lock);
	if (find) {
		ram_room_find(&r->room);
		*groups_ms = now_ms;
	}
	ram_room_read(&r->room, &level);
	pthread_mutex_lock(&r->lock);
	r->level = level;
	ram_budget(r, now_ms);
	ram_soften(r, now_ms);
}

static uint64_t tick_at(const struct ram *r, uint64_t now_ms)
{
	return FIRST_TICK + (now_ms - r->start_ms) / r->tick_ms;
}

static void begin_tick(struct ram *r, uint64_t tick)
{
	heat_clock_advance(&r->clock, tick, r->touches);
	r->touches = 0;
	ram_sweep(r, tick);
	ram_use(r, ram_now_ms());
}

/* Until something is said, or for that long. */
static void rest(struct ram *r, uint64_t ms)
{
	struct timespec until;

	if (r->hurry || r->stop)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&r->wake, &r->lock, &until);
}

static uint64_t pause_of(const struct ram *r, uint64_t now_ms, bool orders)
{
	uint64_t tick_ms = r->tick_ms - (now_ms - r->start_ms) % r->tick_ms;
	uint64_t ms = orders ? FLIGHT_MS : r->kept + r->locked > 0 || ram_sample_busy(r, now_ms) ? ROOM_MS : tick_ms;

	return ms < tick_ms ? ms : tick_ms;
}

void *ram_thread(void *arg)
{
	struct ram *r = arg;
	uint64_t room_ms = 0, groups_ms = ram_now_ms(), last_tick = 0;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		uint64_t now_ms = ram_now_ms(), tick = tick_at(r, now_ms), tickets = r->tickets;
		bool hurry = r->hurry, all, orders, more;

		keep_house(r, now_ms);
		all = hurry && !ram_order_any(r);
		if (all || now_ms - room_ms >= ROOM_MS) {
			look_at_room(r, now_ms, all, &groups_ms);
			room_ms = now_ms;
		}
		if (tick > last_tick)
			begin_tick(r, tick);
		last_tick = tick;
		ram_sample(r, r->clock.tick, all);
		ram_place_plan(r);
		orders = ram_order(r, now_ms);
		more = ram_strength(r, tick);
		ram_place_tell(r);
		if (all && !orders && !more) {
			r->served = tickets;
			r->hurry = r->tickets != tickets;
			pthread_cond_broadcast(&r->settled);
		}
		if (hurry && orders) {
			r->hurry = false;
			rest(r, FLIGHT_MS);
			r->hurry = true;
		} else if (!more) {
			rest(r, pause_of(r, now_ms, orders));
		}
	}
	for (uint32_t n = 0; n < r->files; n++) {
		if (r->file[n] != NULL) {
			r->file[n]->refs = 0;
			remove_file(r, n);
		}
	}
	r->served = r->tickets;
	pthread_cond_broadcast(&r->settled);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}
