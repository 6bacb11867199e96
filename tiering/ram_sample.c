/* ram_sample.c - what of the files in use is resident, what came and what went.
 *
 * A unit is looked at through two of its pages (two system calls, 0.5 us): both there, it is; neither, it is
 * not; one, it is on its way and stays what it was.  Locked units seldom go and are looked at one tick in
 * sixteen; as often the bytes of what is held are counted.  They can go: a kernel that compacts memory splits
 * large folios, and takes those of files out of locked mappings too (unmap_folio() in its mm/huge_memory.c).
 * A unit that lost something is looked at every time until it is whole again; what is left of it stays locked.
 *
 * A unit that comes and goes between two looks is not seen.  In a loop whose passes take a whole number of
 * ticks it would be the same units every time, and the others would seem the hotter: so a file in which
 * something changed in the last second is looked at every 20 ms, or as often as takes a fiftieth of the
 * thread's time.  Touches within a tick are one touch all the same.  A file in which nothing changes is
 * looked at less and less often, up to every eighth tick.
 */
#include "tiering/ram_internal.h"
#include "tiering/lease.h"
#include "tiering/residency.h"

#include <string.h>
#include <time.h>

#define SELDOM 16                       /* ticks from one look at a locked unit, or count of a held one, to the next */
#define SHARE 50                        /* one part in so many of the time may be spent on a file */
#define BUSY_MS 20
#define BUSY_LASTS_MS 1000              /* since the last change */
#define CALM_MS 2000
#define STILL_MS 10000
#define IDLE_MS 8000                    /* between looks at a file that nobody has open */
#define RATE_TICKS (60 * HEAT_TICKS_PER_SECOND)

static bool page_there(const struct ram_file *f, uint64_t off)
{
	uint64_t n;

	return residency_bytes(f->fd, off, 1, &n) == 0 && n > 0;
}

static void look(struct ram_file *f, uint32_t i)
{
	uint32_t len = ram_unit_bytes(f, i);
	uint64_t off = (uint64_t)i * RAM_UNIT_BYTES;
	bool a = page_there(f, off + len / 4), b = page_there(f, off + len / 4 * 3);

	if (a == b)
		f->unit[i].now = a ? RAM_PRESENT : RAM_ABSENT;
	else
		f->unit[i].now = RAM_PARTLY;
}

static uint64_t thread_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool is_turn(uint32_t i, uint64_t tick)
{
	return (i + tick) % SELDOM == 0;
}

/* Without the lock.  Only hold of a unit is read that others may read too. */
static void look_all(struct ram_file *f, uint64_t tick, bool all)
{
	for (uint32_t i = 0; i < f->units; i++) {
		if (all || f->unit[i].hold != RAM_LOCKED || ram_is_torn(f, i) || is_turn(i, tick))
			look(f, i);
	}
}

static bool in_use(const struct ram_file *f)
{
	return f->opens > 0 || f->mapped;
}

/* A unit is there that was not. */
static uint32_t arrived(struct ram_file *f, uint32_t i, uint64_t tick, bool scan)
{
	struct ram_unit *u = &f->unit[i];
	struct ram *r = f->r;
	bool touch = (u->flags & RAM_KNOWN) && !(u->flags & RAM_OURS) && !scan, is_counted = false;

	u->flags = (uint8_t)((u->flags | RAM_THERE | RAM_KNOWN) & ~(RAM_OURS | RAM_FOREIGN));
	u->tried = (uint16_t)(tick - 1);
	if (touch && heat_touch(&u->heat, &r->clock)) {
		is_counted = true;
		u->came = (uint32_t)tick;
		r->touches++;
		r->refaults++;
		f->refaults++;
		f->refault_ms = ram_now_ms();
		if (r->sampled != NULL)
			r->sampled(r->ctx, f->key, i);
	}
	if (u->slot != POLICY_NONE) {
		if (is_counted)
			policy_set_touch(&r->set, u->slot, heat_key(u->heat));
		if (u->hold == RAM_KEPT)
			ram_set_hold(f, i, RAM_KEPT, ram_hold_bytes(f, i));
		return 0;
	}
	return is_counted;
}

/* Units that are not held and may be refaulted: all that are not resident without ever going. */
static uint32_t moving(const struct ram_file *f, uint64_t tick)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->units; i++) {
		const struct ram_unit *u = &f->unit[i];

		n += u->slot == POLICY_NONE &&
		     (!(u->flags & RAM_THERE) || (u->came != 0 && (uint32_t)tick - u->came < RATE_TICKS));
	}
	return n;
}

/* Take over what look saw.  Residents are credited before anybody who came asks to displace them. */
static void take_over(struct ram_file *f, uint64_t tick, bool all)
{
	bool scan = f->opens > 0 && f->scans == f->opens;
	uint32_t changes = 0, refaults = 0, rest;
	struct ram *r = f->r;

	f->resident = 0;
	for (uint32_t i = 0; i < f->units; i++) {
		struct ram_unit *u = &f->unit[i];

		if (u->now == RAM_PRESENT)
			f->resident += ram_unit_bytes(f, i);
		if (u->now == RAM_PRESENT && !(u->flags & RAM_THERE)) {
			changes++;
			refaults += arrived(f, i, tick, scan);
			u->now = RAM_CAME;
		} else if (u->now == RAM_ABSENT && (u->flags & RAM_THERE)) {
			changes++;
			u->flags &= (uint8_t)~RAM_THERE;
			if (u->hold != RAM_FREE)
				ram_set_hold(f, i, (enum ram_hold)u->hold, 0);
		} else if (u->hold != RAM_FREE && (all || ram_is_torn(f, i) || is_turn(i, tick))) {
			ram_set_hold(f, i, (enum ram_hold)u->hold, ram_hold_bytes(f, i));
		}
	}
	rest = refaults > 0 ? moving(f, tick) : 0;
	if (rest > 0)
		policy_group_use(&r->set.group[f->index], &r->clock, (double)refaults / rest);
	for (uint32_t i = 0; i < f->units; i++) {
		if (f->unit[i].now != RAM_CAME)
			continue;
		f->unit[i].now = RAM_PRESENT;
		if (f->unit[i].slot == POLICY_NONE)
			ram_place_ask(f, i, scan ? POLICY_SCAN : 0);
	}
	if (changes != 0)
		f->changed_ms = ram_now_ms();
}

static bool is_due(const struct ram_file *f, uint64_t now_ms)
{
	uint64_t age = now_ms - f->changed_ms, tick_ms = f->r->tick_ms, every = 8 * tick_ms;

	if (age < BUSY_LASTS_MS && tick_ms > BUSY_MS)
		every = f->busy_ms < BUSY_MS ? BUSY_MS : f->busy_ms < tick_ms ? f->busy_ms : tick_ms;
	else if (age < CALM_MS)
		every = tick_ms;
	else if (age < STILL_MS)
		every = 4 * tick_ms;
	return now_ms - f->sampled_ms >= every;
}

/* Is it mapped still, now that it is closed?  Its resident bytes, at least. */
static void look_idle(struct ram_file *f, uint64_t now_ms)
{
	struct ram *r = f->r;
	bool was_mapped = f->mapped, unused;
	uint64_t bytes = 0;

	if (now_ms - f->referenced_ms < IDLE_MS && !r->hurry)
		return;
	f->referenced_ms = now_ms;
	pthread_mutex_unlock(&r->lock);
	if (residency_bytes(f->fd, 0, f->size, &bytes) != 0)
		bytes = 0;
	unused = was_mapped && lease_unused_by_others(f->fd);
	pthread_mutex_lock(&r->lock);
	f->resident = bytes;
	if (f->opens == 0 && unused)
		f->mapped = false;
}

static void sample(struct ram_file *f, uint64_t tick, uint64_t now_ms, bool all)
{
	struct ram *r = f->r;
	uint64_t start_us = thread_us();

	pthread_mutex_unlock(&r->lock);
	look_all(f, tick, all);
	pthread_mutex_lock(&r->lock);
	take_over(f, tick, all);
	ram_flush(r);
	f->sampled_ms = now_ms;
	f->busy_ms = (thread_us() - start_us) * SHARE / 1000;
	ram_place_plan(r);
}

bool ram_sample_busy(const struct ram *r, uint64_t now_ms)
{
	for (uint32_t n = 0; n < r->files; n++) {
		if (r->file[n] != NULL && in_use(r->file[n]) && now_ms - r->file[n]->changed_ms < BUSY_LASTS_MS)
			return true;
	}
	return false;
}

void ram_sample(struct ram *r, uint64_t tick, bool all)
{
	uint64_t now_ms = ram_now_ms();

	for (uint32_t n = 0; n < r->files; n++) {
		struct ram_file *f = r->file[n];

		if (f == NULL || f->refs == 0)
			continue;
		if (f->opens == 0)
			look_idle(f, now_ms);
		if (in_use(f) && (all || is_due(f, now_ms)))
			sample(f, tick, now_ms, all);
	}
}
