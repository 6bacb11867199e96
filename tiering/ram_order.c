/* ram_order.c - bringing in what was ordered: pinned, warmed, or streamed ahead of its clients.
 *
 * In order, unit by unit, by faults in a mapping under MADV_HUGEPAGE: they bring 2 MiB in one folio and have the
 * kernel read the next one meanwhile.  (WILLNEED brings single pages, which clients then map at a tenth of the
 * speed: 19 GB/s instead of 210, measured on ext4.)  What has arrived is locked or kept.  While clients of other files read from a device, one unit goes at a time, and
 * then none for four times as long as it took.
 */
#include "tiering/ram_internal.h"

#include <errno.h>
#include <string.h>

#define PATIENCE_MS 5000                /* then it is read here and now, to learn why it does not come */
#define TURN_MS 15                      /* then others get their turn, head-room first */
#define FOREGROUND_MS 1000
#define POLITE_REST 4
#define AHEAD 8                         /* units that a disk's read-ahead may be before a fault */
#define STREAM_ROOM 16                  /* units above the head-room, or streaming ends */
#define STEP 256                        /* units asked about before others get their turn */

static bool ordered(const struct ram_file *f)
{
	return f->refs > 0 && f->order_at < f->units && (f->pin || f->warm);
}

static bool streaming(const struct ram_file *f)
{
	return f->refs > 0 && f->stream_at < f->units;
}

bool ram_order_any(const struct ram *r)
{
	if (r->flights > 0)
		return true;
	for (uint32_t n = 0; n < r->files; n++) {
		if (r->file[n] != NULL && (ordered(r->file[n]) || streaming(r->file[n])))
			return true;
	}
	return false;
}

void ram_order_cancel(struct ram *r, const struct ram_file *f)
{
	unsigned n = 0;

	for (unsigned k = 0; k < r->flights; k++) {
		if (r->flight[k].f != f)
			r->flight[n++] = r->flight[k];
	}
	r->flights = n;
}

uint64_t ram_order_wanted(const struct ram_file *f)
{
	const struct ram *r = f->r;
	uint64_t bytes = 0, done = (uint64_t)f->order_at * RAM_UNIT_BYTES;

	if (ordered(f) && done < f->size)
		bytes = f->size - done;
	for (unsigned k = 0; k < r->flights; k++) {
		if (r->flight[k].f == f && r->flight[k].hold)
			bytes += ram_unit_bytes(f, r->flight[k].unit);
	}
	return bytes;
}

/* ---- arrivals ---- */

/* Hold what has arrived, or what does not come: without the lock.  0, or why not. */
static int hold(const struct ram_flight *w, bool lock, bool force, bool closed, uint32_t *bytes)
{
	int rc = 0;

	if (lock) {
		rc = ram_hold_lock(w->f, w->unit, force, bytes);
		if (rc == -EXDEV && closed) {         /* nobody maps it: read it again for ourselves */
			ram_hold_drop_cache(w->f, w->unit);
			rc = ram_hold_lock(w->f, w->unit, true, bytes);
		}
		if (rc == 0)
			return 0;
	}
	ram_hold_touch(w->f, w->unit);
	*bytes = ram_hold_bytes(w->f, w->unit);
	return rc;
}

static void failed(struct ram *r, struct ram_flight w, int rc)
{
	w.f->unit[w.unit].flags |= RAM_BAD;
	ram_give_up(w.f, w.unit);
	ram_flush(r);
	pthread_mutex_unlock(&r->lock);
	ram_event(r, "fail", w.f->label, "cannot bring in the 2 MiB at %llu: %s",
		  (unsigned long long)w.unit * RAM_UNIT_BYTES, strerror(-rc));
	pthread_mutex_lock(&r->lock);
}

/* One that arrived, or whose time is up; with the lock, which is let go of meanwhile. */
static void land(struct ram *r, struct ram_flight w, bool force)
{
	struct ram_unit *u = &w.f->unit[w.unit];
	bool lock = ram_wants_lock(w.f) && r->lockable >= (int64_t)RAM_UNIT_BYTES && !(u->flags & RAM_BAD);
	bool closed = w.f->opens == 0;
	uint32_t bytes = 0;
	int rc;

	if (!w.hold || u->slot == POLICY_NONE || u->hold != RAM_KEPT)
		return;
	pthread_mutex_unlock(&r->lock);
	rc = hold(&w, lock, force, closed, &bytes);
	pthread_mutex_lock(&r->lock);
	if (rc == 0 || rc == -EXDEV || rc == -EAGAIN || rc == -EPERM || rc == -ENOMEM) {
		u->flags = (uint8_t)((u->flags | RAM_THERE | RAM_KNOWN | (rc == -EXDEV ? RAM_FOREIGN : 0)) & ~RAM_OURS);
		u->now = RAM_PRESENT;
		if (lock && rc == 0)
			r->lockable -= bytes;
		ram_set_hold(w.f, w.unit, lock && rc == 0 ? RAM_LOCKED : RAM_KEPT, bytes);
	} else {
		failed(r, w, rc);
	}
}

static void arrivals(struct ram *r, uint64_t now_ms)
{
	bool done[RAM_FLIGHT];
	unsigned n = r->flights, left = 0;
	uint64_t since = 0;

	pthread_mutex_unlock(&r->lock);
	for (unsigned k = 0; k < n; k++) {
		struct ram_flight *w = &r->flight[k];

		done[k] = ram_hold_fetch(w->f, w->unit);
		if (!w->hold)           /* a page that is mapped is harder to take back */
			ram_hold_forget(w->f, w->unit);
	}
	pthread_mutex_lock(&r->lock);
	for (unsigned k = 0; k < n; k++) {
		struct ram_flight w = r->flight[k];

		if (done[k] || now_ms - w.since_ms >= PATIENCE_MS) {
			since = w.since_ms;
			land(r, w, !done[k]);
		} else {
			r->flight[left++] = w;
		}
	}
	r->flights = left;
	if (since != 0 && left == 0)
		r->issue_ms = now_ms + POLITE_REST * (now_ms - since);
}

/* ---- departures ---- */

static void depart(struct ram *r, struct ram_file *f, uint32_t i, bool to_hold, uint64_t now_ms)
{
	/* the kernel's read-ahead brings what follows meanwhile */
	for (uint32_t n = i; n < f->units && n <= i + AHEAD; n++)
		f->unit[n].flags |= RAM_OURS;
	r->flight[r->flights++] = (struct ram_flight){ .f = f, .unit = i, .since_ms = now_ms, .hold = to_hold };
	pthread_mutex_unlock(&r->lock);
	if (f->keep_map == NULL)
		(void)ram_hold_map(f);
	pthread_mutex_lock(&r->lock);
}

/* Of a blob that does not fit, a warm-up brings in runs spread over it. */
static bool belongs(const struct ram_file *f, uint32_t i)
{
	const struct ram *r = f->r;
	uint64_t room = r->rules.budget > r->set.pinned ? r->rules.budget - r->set.pinned : 0;

	return f->pin || f->units <= room || policy_on_run(i, f->units, room, r->rules.run);
}

static void depart_ordered(struct ram *r, struct ram_file *f, unsigned most, uint64_t now_ms)
{
	for (unsigned n = 0; n < STEP && ordered(f) && r->flights < most; n++) {
		uint32_t i = f->order_at++;
		struct ram_unit *u = &f->unit[i];

		if (!belongs(f, i))
			continue;
		u->flags &= (uint8_t)~(RAM_BAD | RAM_FOREIGN);
		ram_place_ask(f, i, f->pin ? POLICY_PIN : POLICY_WARM);
		ram_place_plan(r);
		if (u->slot != POLICY_NONE && u->hold != RAM_LOCKED)
			depart(r, f, i, true, now_ms);
	}
}

static bool room_to_stream(const struct ram *r)
{
	return r->level.free > r->level.headroom + (uint64_t)STREAM_ROOM * RAM_UNIT_BYTES;
}

static void depart_streamed(struct ram *r, struct ram_file *f, uint64_t now_ms)
{
	if (!room_to_stream(r))
		f->stream_at = f->units;
	for (unsigned n = 0; n < STEP && streaming(f) && r->flights < RAM_FLIGHT; n++) {
		uint32_t i = f->stream_at++;

		if (ram_hold_bytes(f, i) < ram_unit_bytes(f, i))
			depart(r, f, i, false, now_ms);
	}
}

static bool foreground(const struct ram *r, const struct ram_file *than, uint64_t now_ms)
{
	for (uint32_t n = 0; n < r->files; n++) {
		const struct ram_file *f = r->file[n];

		if (f != NULL && f != than && f->refs > 0 && f->refault_ms != 0 && now_ms - f->refault_ms < FOREGROUND_MS)
			return true;
	}
	return false;
}

/* One more unit of what is next.  False: nothing is, or clients go first. */
static bool departure(struct ram *r, uint64_t now_ms)
{
	for (uint32_t n = 0; n < r->files; n++) {
		struct ram_file *f = r->file[n];

		if (f == NULL || !(ordered(f) || streaming(f)))
			continue;
		if (foreground(r, f, now_ms) && now_ms < r->issue_ms)
			return false;
		if (ordered(f))
			depart_ordered(r, f, RAM_FLIGHT, now_ms);
		else
			depart_streamed(r, f, now_ms);
		return r->flights > 0;  /* one file after the other */
	}
	return false;
}

bool ram_order(struct ram *r, uint64_t now_ms)
{
	uint64_t end_ms = now_ms + TURN_MS;

	for (; now_ms < end_ms; now_ms = ram_now_ms()) {
		if (r->flights > 0)
			arrivals(r, now_ms);
		if (r->flights > 0 || !departure(r, now_ms))
			break;
	}
	return ram_order_any(r);
}
