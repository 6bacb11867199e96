/* ram_strength.c - which held units are locked, and touching those that are only kept.
 *
 * A file's units are locked when it is pinned or was warmed, or for as long as refaults are seen in it: the
 * kernel takes what is wanted.  What is locked was resident already, so locking reads nothing: a unit that was
 * admitted and went before it could be locked is locked when its clients have read it again.  So is what the kernel took
 * out of a locked one, whose rest stays locked meanwhile: in a loop larger than memory it would be lost at once.
 */
#include "tiering/ram_internal.h"

#include <errno.h>

#define REFAULTS_LAST_MS (300 * 1000ull)        /* since the last refault, until locks are given up */
#define TIGHT_LOOKS 3
#define SWEEP 16                                /* ticks to touch all that is kept once */

bool ram_wants_lock(const struct ram_file *f)
{
	if (f->r->why_not_locked != NULL || f->refs == 0)
		return false;
	if (f->pin)
		return true;
	if (f->r->soft)
		return false;
	return f->warm || (f->refault_ms != 0 && ram_now_ms() - f->refault_ms < REFAULTS_LAST_MS);
}

static bool may_try(const struct ram_file *f, uint32_t i, uint64_t tick)
{
	const struct ram_unit *u = &f->unit[i];

	return (u->hold == RAM_KEPT || ram_is_torn(f, i)) && (u->flags & RAM_THERE) && !(u->flags & (RAM_FOREIGN | RAM_BAD)) &&
	       u->tried != (uint16_t)tick;
}

/* What came of trying to lock it. */
static void locked(struct ram_file *f, uint32_t i, int rc, uint32_t bytes)
{
	struct ram_unit *u = &f->unit[i];
	struct ram *r = f->r;

	if (rc == 0) {
		r->lockable -= bytes - (u->hold == RAM_LOCKED ? (int64_t)u->kib << 10 : 0);
		ram_set_hold(f, i, RAM_LOCKED, bytes);
	} else if (rc == -EXDEV) {
		u->flags |= RAM_FOREIGN;
	} else if (rc == -EPERM) {
		r->why_not_locked = "mlock2 was refused: it needs CAP_IPC_LOCK, or a limit of locked memory (RLIMIT_MEMLOCK) "
				    "as large as the files";
	} else if (rc == -ENOMEM) {
		ram_set_hold(f, i, RAM_KEPT, (uint32_t)u->kib << 10);
	} else if (rc != -EAGAIN) {
		u->flags |= RAM_BAD;
		ram_give_up(f, i);
	}
}

/* What cannot be locked in a file whose units the kernel takes is not worth a place. */
static void give_up_kept(struct ram_file *f)
{
	for (uint32_t i = 0; i < f->units; i++) {
		if (f->unit[i].hold == RAM_KEPT && !(f->unit[i].flags & RAM_FOREIGN))
			ram_give_up(f, i);
	}
	ram_flush(f->r);
	f->r->allowed = f->r->set.used * RAM_UNIT_BYTES;
	f->r->rules.budget = f->r->set.used;
	f->r->tight = 0;
}

/* Up to a batch; true when there may be more. */
static bool harden(struct ram_file *f, uint64_t tick)
{
	struct ram *r = f->r;
	uint32_t todo[RAM_BATCH], n = 0, bytes[RAM_BATCH];
	int64_t left = r->lockable;
	int rc[RAM_BATCH];

	for (uint32_t i = 0; i < f->units && n < RAM_BATCH; i++) {
		if (!may_try(f, i, tick))
			continue;
		if (left < (int64_t)RAM_UNIT_BYTES) {
			if (++r->tight >= TIGHT_LOOKS && !f->pin && !f->warm)
				give_up_kept(f);
			break;
		}
		left -= RAM_UNIT_BYTES;
		f->unit[i].tried = (uint16_t)tick;
		todo[n++] = i;
	}
	if (n == 0)
		return false;
	r->tight = 0;
	pthread_mutex_unlock(&r->lock);
	for (uint32_t k = 0; k < n; k++)
		rc[k] = ram_hold_lock(f, todo[k], false, &bytes[k]);
	pthread_mutex_lock(&r->lock);
	for (uint32_t k = 0; k < n; k++)
		locked(f, todo[k], rc[k], bytes[k]);
	ram_flush(r);
	return n == RAM_BATCH;
}

static void soften(struct ram_file *f)
{
	struct ram *r = f->r;

	for (uint32_t i = 0; i < f->units; i++) {
		uint32_t bytes = (uint32_t)f->unit[i].kib << 10;

		if (f->unit[i].hold != RAM_LOCKED)
			continue;
		if (r->releases == RAM_MOVES)
			ram_flush(r);
		ram_keep_only(f, i, bytes);
	}
	ram_flush(r);
}

bool ram_strength(struct ram *r, uint64_t tick)
{
	bool more = false;

	for (uint32_t n = 0; n < r->files; n++) {
		struct ram_file *f = r->file[n];

		if (f == NULL || f->refs == 0 || f->kept + f->locked == 0)
			continue;
		if (!ram_wants_lock(f)) {
			if (f->locked > 0)
				soften(f);
		} else if (f->kept > 0 || f->torn > 0) {
			more = harden(f, tick) || more;
		}
	}
	return more;
}

/* Only while the kernel is about to reclaim: touching costs a little, and is of no use before. */
void ram_sweep(struct ram *r, uint64_t tick)
{
	if (!r->level.scarce || r->level.slack < 0)
		return;
	for (uint32_t n = 0; n < r->files; n++) {
		struct ram_file *f = r->file[n];

		if (f == NULL || f->refs == 0 || f->kept == 0)
			continue;
		pthread_mutex_unlock(&r->lock);
		for (uint32_t i = (uint32_t)(tick % SWEEP); i < f->units; i += SWEEP) {
			if (f->unit[i].hold == RAM_KEPT)
				ram_hold_touch(f, i);
		}
		pthread_mutex_lock(&r->lock);
	}
}
