/* ram_place.c - the policy is asked about what came, and what it answers is done. */
#include "tiering/ram_internal.h"

#include <stdarg.h>
#include <stdio.h>

void ram_event(struct ram *r, const char *type, const char *label, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (r->event == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->event(r->ctx, type, label, text);
}

bool ram_is_torn(const struct ram_file *f, uint32_t i)
{
	return f->unit[i].hold == RAM_LOCKED && (uint32_t)f->unit[i].kib << 10 < ram_unit_bytes(f, i);
}

void ram_set_hold(struct ram_file *f, uint32_t i, enum ram_hold hold, uint32_t bytes)
{
	struct ram_unit *u = &f->unit[i];
	uint64_t was = (uint64_t)u->kib << 10, is;

	f->torn -= ram_is_torn(f, i);
	if (u->hold == RAM_KEPT) {
		f->kept -= was;
		f->r->kept -= was;
	} else if (u->hold == RAM_LOCKED) {
		f->locked -= was;
		f->r->locked -= was;
	}
	u->hold = (uint8_t)hold;
	u->kib = (uint16_t)(hold != RAM_FREE ? (bytes + 1023) >> 10 : 0);
	is = (uint64_t)u->kib << 10;
	if (hold == RAM_KEPT) {
		f->kept += is;
		f->r->kept += is;
	} else if (hold == RAM_LOCKED) {
		f->locked += is;
		f->r->locked += is;
	}
	f->torn += ram_is_torn(f, i);
}

void ram_flush(struct ram *r)
{
	unsigned n = r->releases;

	if (n == 0)
		return;
	r->releases = 0;
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < n; i++) {
		const struct ram_release *d = &r->release[i];

		if (d->locked)
			ram_hold_unlock(d->f, d->unit);
		ram_hold_forget(d->f, d->unit);
	}
	pthread_mutex_lock(&r->lock);
}

/* A unit is held no more, or not locked any more; the memory is let go at the next flush. */
static void release(struct ram_file *f, uint32_t i)
{
	struct ram *r = f->r;

	if (r->releases == RAM_MOVES)
		ram_flush(r);
	r->release[r->releases++] = (struct ram_release){ .f = f, .unit = i, .locked = f->unit[i].hold == RAM_LOCKED };
	ram_set_hold(f, i, RAM_FREE, 0);
}

void ram_keep_only(struct ram_file *f, uint32_t i, uint32_t bytes)
{
	struct ram *r = f->r;

	r->release[r->releases++] = (struct ram_release){ .f = f, .unit = i, .locked = true };
	ram_set_hold(f, i, RAM_KEPT, bytes);
}

void ram_give_up(struct ram_file *f, uint32_t i)
{
	struct ram_unit *u = &f->unit[i];

	if (u->slot == POLICY_NONE)
		return;
	u->heat = heat_from_key(policy_set_remove(&f->r->set, u->slot), &f->r->clock);
	u->slot = POLICY_NONE;
	release(f, i);
}

static void dropped(struct ram_file *f, uint32_t i, const struct policy_move *m)
{
	struct ram_unit *u = &f->unit[i];

	u->slot = POLICY_NONE;
	u->moved = (uint32_t)m->why.tick;
	u->heat = heat_from_key(m->key, &f->r->clock);
	release(f, i);
	f->r->dropped++;
	f->told_dropped++;
	f->why = m->why;
	f->why_unit = i;
}

static void admitted(struct ram_file *f, uint32_t i, const struct policy_move *m)
{
	f->unit[i].slot = m->slot;
	ram_set_hold(f, i, RAM_KEPT, ram_hold_bytes(f, i));
	f->r->admitted++;
	f->told_admitted++;
}

/* The drops' releases come in the order of the moves, and before any lock is taken. */
static void carry_out(struct ram *r, size_t moves)
{
	for (size_t m = 0; m < moves; m++) {
		struct ram_file *f = r->file[r->move[m].id >> 32];
		uint32_t i = (uint32_t)r->move[m].id;

		if (r->move[m].op == POLICY_DROP)
			dropped(f, i, &r->move[m]);
		else
			admitted(f, i, &r->move[m]);
	}
	ram_flush(r);
}

void ram_place_ask(struct ram_file *f, uint32_t i, unsigned flags)
{
	const struct ram_unit *u = &f->unit[i];
	struct ram *r = f->r;

	if (r->asks == RAM_ASKS)
		ram_place_plan(r);
	r->ask[r->asks++] = (struct policy_ask){ .id = ram_id(f, i), .key = heat_key(u->heat), .moved = u->moved,
						 .slot = u->slot, .group = f->index, .index = i, .size = 1,
						 .flags = (uint16_t)flags, .touches = 1 };
}

/* Also what a smaller budget asks for, without any question. */
void ram_place_plan(struct ram *r)
{
	unsigned asks = r->asks;
	size_t moves;

	r->asks = 0;
	do {
		moves = policy_plan(&r->set, &r->rules, &r->clock, r->ask, asks, r->move, RAM_MOVES);
		for (unsigned i = 0; i < asks; i++) {
			struct ram_file *f = r->file[r->ask[i].id >> 32];

			f->why = r->ask[i].why;
			f->why_unit = (uint32_t)r->ask[i].id;
		}
		carry_out(r, moves);
		asks = 0;
	} while (moves == RAM_MOVES);
}

void ram_place_tell(struct ram *r)
{
	for (uint32_t n = 0; n < r->files; n++) {
		struct ram_file *f = r->file[n];
		unsigned long long in, out, kept, locked;
		char why[256];

		if (f == NULL || (f->told_admitted == 0 && f->told_dropped == 0))
			continue;
		in = f->told_admitted;
		out = f->told_dropped;
		kept = f->kept;
		locked = f->locked;
		f->told_admitted = f->told_dropped = 0;
		policy_why_print(&f->why, &r->rules, why, sizeof(why));
		pthread_mutex_unlock(&r->lock);
		ram_event(r, in > 0 ? "admit" : "drop", f->label,
			  "%llu units of 2 MiB in, %llu out: %llu bytes kept, %llu locked; the last: %s", in, out, kept,
			  locked, why);
		pthread_mutex_lock(&r->lock);
	}
}
