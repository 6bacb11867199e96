#include "tiering/place_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct policy_ask place_ask(const struct tier *t, const struct blob *b, unsigned c)
{
	const struct blob_copy *k = &b->copy[c];
	struct policy_ask ask = { .id = b->st_ino, .key = b->key, .moved = k->moved, .slot = k->slot, .group = POLICY_NONE,
				  .size = b->extents, .touches = b->touches };
	int tier = (int)c + 1;

	/* what is to be in RAM is first brought to the fastest cache: clients have it natively from there */
	if (b->pin == tier || (b->pin == 0 && c == 0))
		ask.flags |= POLICY_PIN;
	if (b->warm == tier || (b->warm == 0 && c == 0))
		ask.flags |= POLICY_WARM;
	if (b->extents > t->cache[c].rules.budget)
		ask.flags |= POLICY_PART;
	return ask;
}

void place_add_resident(struct tier *t, struct blob *b, unsigned c)
{
	struct policy_ask ask = place_ask(t, b, c);
	struct tier_cache *k = &t->cache[c];

	if (b->extents > k->rules.budget)
		ask.size = (uint32_t)k->rules.budget;
	b->copy[c].slot = policy_set_add(&k->set, &ask, t->tick);
	if (b->copy[c].slot != POLICY_NONE)
		k->resident[b->copy[c].slot] = b;
}

void place_remove_resident(struct tier *t, struct blob *b, unsigned c)
{
	struct tier_cache *k = &t->cache[c];

	if (b->copy[c].slot == POLICY_NONE)
		return;
	k->resident[b->copy[c].slot] = NULL;
	policy_set_remove(&k->set, b->copy[c].slot);
	b->copy[c].slot = POLICY_NONE;
}

double place_wear_most(const struct tier_cache *k)
{
	return PLACE_WEAR_DAYS * PLACE_DWPD * (double)k->rules.budget * TIER_EXTENT_BYTES;
}

/* Displacing others wears the disk: only so many bytes a day, a week's worth of them at once, but for what somebody
 * ordered.  The last one may take more than is left, so that a large model is not shut out for ever. */
static bool place_endures(struct tier_cache *k, const struct policy_ask *ask)
{
	uint64_t size = ask->size < k->rules.budget ? ask->size : k->rules.budget;

	return ask->flags & (POLICY_PIN | POLICY_WARM) || k->set.used + size <= k->rules.budget || k->wear > 0;
}

static void place_wear(struct tier_cache *k, const struct policy_move *m)
{
	if (m->why.used + m->size > m->why.budget)
		k->wear -= (double)m->size * TIER_EXTENT_BYTES;
}

static void place_admit(struct tier *t, struct blob *b, unsigned c, const struct policy_move *m)
{
	struct tier_cache *k = &t->cache[c];

	b->copy[c].slot = m->slot;
	b->copy[c].moved = t->tick;
	b->copy[c].why = m->why;
	b->retry_tick = t->tick;
	k->resident[m->slot] = b;
	place_wear(k, m);
	if (b->extents > k->rules.budget) {
		if (b->part == NULL)
			b->part = part_new(b, c, (uint32_t)k->rules.budget);
		if (b->part == NULL || part_cache(b->part) != c)        /* in part on one cache only */
			place_remove_resident(t, b, c);
		else
			part_resize(t, b, m->size);
		blob_due(t, b);
	}
}

static void place_execute(struct tier *t, unsigned c, const struct policy_move *m)
{
	struct tier_cache *k = &t->cache[c];
	struct blob *b = blob_find(t, m->id);
	char why[256];

	if (b == NULL)
		return;
	policy_why_print(&m->why, &k->rules, why, sizeof(why));
	switch (m->op) {
	case POLICY_ADMIT:
		place_admit(t, b, c, m);
		event_log_add(t->events, "admit", cache_name(k->cache), b->path, "%s", why);
		break;
	case POLICY_DROP:
		k->resident[m->slot] = NULL;
		b->copy[c].slot = POLICY_NONE;
		b->copy[c].moved = t->tick;
		b->copy[c].why = m->why;
		b->copy[c].dropping = true;
		b->key = m->key;
		k->drops++;
		blob_due(t, b);
		event_log_add(t->events, "drop", cache_name(k->cache), b->path, "%s", why);
		break;
	case POLICY_GROW:
	case POLICY_SHRINK:
		if (b->part != NULL && part_cache(b->part) == c)
			part_resize(t, b, m->size);
		blob_due(t, b);         /* its reservation goes with it */
		event_log_add(t->events, m->op == POLICY_GROW ? "grow" : "shrink", cache_name(k->cache), b->path, "%s", why);
		break;
	}
}

/* Put n asks to a cache's policy and do what it says. */
static void place_plan(struct tier *t, unsigned c, size_t n)
{
	struct place *p = t->place;
	struct tier_cache *k = &t->cache[c];
	size_t moves;

	moves = policy_plan(&k->set, &k->rules, &t->clock, p->ask, n, p->move, PLACE_MOVES);
	for (size_t i = 0; i < moves; i++)
		place_execute(t, c, &p->move[i]);
	for (size_t i = 0; i < n; i++) {
		struct blob *b = blob_find(t, p->ask[i].id);

		if (b != NULL && p->ask[i].why.reason != POLICY_RESIDENT)
			b->copy[c].why = p->ask[i].why;
		if (b != NULL && (b->warm == (int)c + 1 || (b->warm == 0 && c == 0)) &&
		    (p->ask[i].why.reason == POLICY_TOO_BIG || (b->part != NULL && part_cache(b->part) == c))) {
			b->warm = -1;
			b->warm_failed = true;
			snprintf(b->warm_text, sizeof(b->warm_text), "larger than the cache, less what is pinned");
		}
	}
}

/* Whether the blob is to be put to cache c: the fastest one that has it, and those that are faster. */
static bool place_asks(const struct tier *t, const struct blob *b, unsigned c)
{
	if (b->gone || b->copy[c].dropping || !cache_in_service(t->cache[c].cache))
		return false;
	for (unsigned faster = 0; faster < c; faster++)
		if (b->copy[faster].slot != POLICY_NONE)
			return b->copy[c].slot != POLICY_NONE || b->pin == (int)c + 1 || b->warm == (int)c + 1;
	return true;
}

static void place_decide_cache(struct tier *t, unsigned c, struct blob *list)
{
	struct place *p = t->place;
	struct tier_cache *k = &t->cache[c];
	size_t n = 0;

	k->wear += PLACE_DWPD * (double)k->rules.budget * TIER_EXTENT_BYTES / (86400.0 * HEAT_TICKS_PER_SECOND);
	if (k->wear > place_wear_most(k))
		k->wear = place_wear_most(k);
	for (struct blob *b = list; b != NULL; b = b->next_touched) {
		struct policy_ask ask;

		if (!place_asks(t, b, c))
			continue;
		ask = place_ask(t, b, c);
		if (ask.slot != POLICY_NONE)
			policy_set_touch(&k->set, ask.slot, b->key);
		if (ask.slot != POLICY_NONE && ask.flags == 0)
			continue;
		if (!place_endures(k, &ask)) {
			b->copy[c].why.reason = POLICY_DEFERRED;
			continue;
		}
		p->ask[n++] = ask;
		if (n == PLACE_ASKS) {
			place_plan(t, c, n);
			n = 0;
		}
	}
	place_plan(t, c, n);
}

void place_decide(struct tier *t)
{
	struct blob *list = t->place->touched;

	t->place->touched = NULL;
	for (unsigned c = 0; c < t->caches; c++)
		place_decide_cache(t, c, list);
	for (struct blob *b = list, *next; b != NULL; b = next) {
		next = b->next_touched;
		b->touched = false;
	}
}

/* ---- what would move ---- */

struct place_coldest {
	FILE *f;
	struct tier *t;
	unsigned c;
};

static void place_plan_one(void *ctx, struct blob *b)
{
	struct place_coldest *p = ctx;
	struct policy_ask ask = place_ask(p->t, b, p->c);
	const struct tier_cache *k = &p->t->cache[p->c];

	if (b->gone || (b->touches == 0 && ask.flags == 0) || blob_complete(b, p->c))
		return;
	if (b->copy[p->c].slot != POLICY_NONE)
		fprintf(p->f, "%s: fill %s: %u of %u extents to come\n", cache_name(k->cache), b->path,
			b->extents - b->copy[p->c].valid, b->extents);
	else
		fprintf(p->f, "%s: not %s: heat %.2f, %s\n", cache_name(k->cache), b->path, heat_key_now(b->key, &p->t->clock),
			policy_reason_name(b->copy[p->c].why.reason));
}

int place_plan_print(struct tier *t, char **out)
{
	char *text = NULL;
	size_t bytes;
	struct place_coldest p = { .t = t };

	p.f = open_memstream(&text, &bytes);
	if (p.f == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	for (p.c = 0; p.c < t->caches; p.c++)
		blob_each(t, place_plan_one, &p);
	pthread_mutex_unlock(&t->lock);
	if (fclose(p.f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}
