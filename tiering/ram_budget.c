/* ram_budget.c - what head-room allows, and locks that are softened for a loader's check.
 *
 * Only locked bytes take from what is available, so what may be held is what is available, plus what is locked
 * now, less the head-room and a margin: the ceiling.  What is allowed sinks to the ceiling as long as that costs nothing
 * that is held, and below it by a shortage only: then as much is released as is missing.  It grows back by
 * steps, when the ceiling is two steps above it, so that a look that errs by a step moves nothing.
 */
#include "tiering/ram_internal.h"

#define STEP_PART 16
#define STEP_LEAST (64ull << 20)
#define REGROW_MS 10000                 /* after the last shortage */
#define STEP_MS 1000
#define MARGIN_PART 8                   /* of the head-room: locking ends so much above it */
#define STREAK_MS 200                   /* a shortage that soon after another goes on growing */
#define LOADING_MS 60000                /* a file opened that long ago may be about to be loaded */

/* The coldest go until bytes are freed that were locked. */
static void release(struct ram *r, uint64_t bytes)
{
	uint64_t before = r->locked, was = r->set.used;

	while (r->set.used > 0 && before - r->locked < bytes) {
		r->rules.budget = r->set.used - 1;
		ram_place_plan(r);
	}
	r->released += was - r->set.used;
	r->allowed = r->set.used * RAM_UNIT_BYTES;
	pthread_mutex_unlock(&r->lock);
	ram_event(r, "shortage", "", "%llu bytes missing to the head-room: %llu units released", (unsigned long long)bytes,
		  (unsigned long long)(was - r->set.used));
	pthread_mutex_lock(&r->lock);
}

static uint64_t step_of(const struct ram *r)
{
	return r->budget / STEP_PART > STEP_LEAST ? r->budget / STEP_PART : STEP_LEAST;
}

static void grow(struct ram *r, uint64_t ceiling, uint64_t now_ms)
{
	uint64_t step = step_of(r), most = r->budget < ceiling ? r->budget : ceiling;

	if (r->allowed >= r->budget || (r->shortage_ms != 0 && now_ms - r->shortage_ms < REGROW_MS) ||
	    now_ms - r->grown_ms < STEP_MS)
		return;
	if (ceiling < r->budget + 2 * step && ceiling < r->allowed + 2 * step)
		return;
	r->allowed = r->allowed + step < most ? r->allowed + step : most;
	r->grown_ms = now_ms;
}

void ram_budget(struct ram *r, uint64_t now_ms)
{
	int64_t spare = r->level.slack - (int64_t)(r->level.headroom / MARGIN_PART), ceiling = spare + (int64_t)r->locked;
	uint64_t used = r->set.used * RAM_UNIT_BYTES, top = ceiling > 0 ? (uint64_t)ceiling : 0;

	r->lockable = spare;
	if (r->level.slack < 0 && r->locked > 0) {
		bool streak = r->shortage_ms != 0 && now_ms - r->shortage_ms < STREAK_MS;

		r->shortage_ms = now_ms;
		release(r, (uint64_t)-r->level.slack + (streak ? r->level.headroom / 2 : 0));
	} else if (r->allowed > top) {
		r->allowed = top > used ? top : used < r->allowed ? used : r->allowed;
	} else {
		grow(r, top, now_ms);
	}
	r->rules.budget = r->allowed / RAM_UNIT_BYTES;
}

/* ---- softening ---- */

/* The largest file that may be about to be loaded: opened lately, and most of it still to be read. */
static uint64_t about_to_load(const struct ram *r, uint64_t now_ms)
{
	uint64_t most = 0;

	for (uint32_t n = 0; n < r->files; n++) {
		const struct ram_file *f = r->file[n];

		if (f != NULL && f->refs > 0 && f->opened_ms != 0 && now_ms - f->opened_ms < LOADING_MS &&
		    f->resident < f->size / 2 && f->size > most)
			most = f->size;
	}
	return most;
}

/* What is judged is what would be available with everything locked that is to be, and with nothing: the
 * answer does not depend on whether locks are soft now. */
void ram_soften(struct ram *r, uint64_t now_ms)
{
	uint64_t size = about_to_load(r, now_ms), locked = 0, lock = 0, soft;
	bool was = r->soft;

	r->soft = false;
	for (uint32_t n = 0; n < r->files; n++) {
		const struct ram_file *f = r->file[n];

		if (f == NULL || f->pin)
			continue;
		locked += f->locked;
		if (ram_wants_lock(f))
			lock += f->kept + f->locked;
	}
	soft = r->level.mem_available + locked;
	r->soft = size > 0 && size <= soft && size + lock > soft;
	if (r->soft == was)
		return;
	soft = r->level.mem_available;
	pthread_mutex_unlock(&r->lock);
	ram_event(r, "soften", "", "%s: %llu bytes available, a file of %llu about to be loaded",
		  was ? "locked again" : "unlocked", (unsigned long long)soft, (unsigned long long)size);
	pthread_mutex_lock(&r->lock);
}
