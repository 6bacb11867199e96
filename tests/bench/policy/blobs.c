/* blobs.c - the policy of a cache disk, as the mover drives it: whole blobs are admitted and dropped, what is
 * admitted is filled by reads, and of a blob larger than the disk a second set holds the extents.
 *
 * A hit is a request for an extent that was filled, a move a fill.
 */
#include "tests/bench/policy/replay.h"
#include "tiering/policy.h"

#include <errno.h>
#include <stdlib.h>

#define MOVES 64

struct blob {
	uint64_t key, moved;
	uint32_t first, total, slot;
	uint16_t touches;
};

struct disk {
	struct heat_clock clock;
	struct policy_rules rules, part_rules;
	struct policy_set set, part;            /* blobs; extents of the blob that is held in part */
	struct blob *blob;
	struct heat *heat;                      /* [ids], of the extents of a blob held in part */
	uint32_t *slot;                         /* [ids], of the same */
	uint8_t *there;                         /* [ids], filled */
};

static void part_drop(struct disk *d, const struct policy_move *m)
{
	if (m->op != POLICY_DROP)
		return;
	d->slot[m->id] = POLICY_NONE;
	d->there[m->id] = 0;
	d->heat[m->id] = heat_from_key(m->key, &d->clock);
}

/* The grant of the blob held in part changed. */
static void part_resize(struct disk *d, uint32_t grant)
{
	struct policy_move move[MOVES];
	size_t n;

	d->part_rules.budget = grant;
	do {
		n = policy_plan(&d->part, &d->part_rules, &d->clock, NULL, 0, move, MOVES);
		for (size_t i = 0; i < n; i++)
			part_drop(d, &move[i]);
	} while (n == MOVES);
}

static void execute(struct disk *d, const struct policy_move *m)
{
	struct blob *b = &d->blob[m->id];
	bool part = b->total > d->rules.budget;

	if (m->op == POLICY_DROP) {
		b->slot = POLICY_NONE;
		b->moved = d->clock.tick;
		if (part)
			part_resize(d, 0);
		else
			for (uint32_t i = 0; i < b->total; i++)
				d->there[b->first + i] = 0;
	} else {
		b->slot = m->slot;
		if (part)
			part_resize(d, m->size);
	}
}

static void ask_blob(struct disk *d, uint32_t blob)
{
	struct blob *b = &d->blob[blob];
	struct policy_ask ask = { .id = blob, .key = b->key, .moved = b->moved, .slot = b->slot, .group = POLICY_NONE,
				  .size = b->total, .touches = b->touches,
				  .flags = b->total > d->rules.budget ? POLICY_PART : 0 };
	struct policy_move move[MOVES];
	size_t n = policy_plan(&d->set, &d->rules, &d->clock, &ask, 1, move, MOVES);

	for (size_t i = 0; i < n; i++)
		execute(d, &move[i]);
}

/* Whether the extent, which is not there, is to be. */
static bool ask_extent(struct disk *d, uint32_t id)
{
	struct policy_ask ask = { .id = id, .key = heat_key(d->heat[id]), .slot = POLICY_NONE, .group = POLICY_NONE,
				  .size = 1, .touches = 1 };
	struct policy_move move[2];
	size_t n = policy_plan(&d->part, &d->part_rules, &d->clock, &ask, 1, move, 2);

	for (size_t i = 0; i < n; i++)
		part_drop(d, &move[i]);
	d->slot[id] = ask.slot;
	return ask.slot != POLICY_NONE;
}

static void request(struct disk *d, const struct trace *t, size_t n, bool classed, struct replay_result *out)
{
	uint32_t id = t->id[n];
	struct blob *b = &d->blob[t->blob[id]];
	bool part = b->total > d->rules.budget;

	out->hits += d->there[id];
	if (classed && t->scan[n]) {
		heat_clock_advance(&d->clock, trace_when(t, n + 1), 0);
		return;
	}
	heat_add(&b->key, &d->clock, 1.0 / b->total);
	b->touches += b->touches < 2;
	if (b->slot != POLICY_NONE)
		policy_set_touch(&d->set, b->slot, b->key);
	if (b->slot == POLICY_NONE || part)
		ask_blob(d, t->blob[id]);
	if (part) {
		heat_touch(&d->heat[id], &d->clock);
		if (d->slot[id] != POLICY_NONE)
			policy_set_touch(&d->part, d->slot[id], heat_key(d->heat[id]));
	}
	if (!d->there[id] && b->slot != POLICY_NONE && (!part || ask_extent(d, id))) {
		d->there[id] = 1;
		out->moves++;
	}
	heat_clock_advance(&d->clock, trace_when(t, n + 1), 1);
}

static int disk_open(struct disk *d, const struct trace *t, uint32_t cap)
{
	struct policy_entry *entry = malloc((t->blobs + cap) * sizeof(*entry));
	uint32_t *heap = malloc((t->blobs + cap) * sizeof(*heap));

	*d = (struct disk){ .rules = policy_rules_cache(cap), .part_rules = policy_rules_ram(0),
			    .blob = calloc(t->blobs, sizeof(*d->blob)), .heat = calloc(t->ids, sizeof(*d->heat)),
			    .slot = malloc(t->ids * sizeof(*d->slot)), .there = calloc(t->ids, 1) };
	d->set.entry = entry;
	d->set.heap = heap;
	if (entry == NULL || heap == NULL || d->blob == NULL || d->heat == NULL || d->slot == NULL || d->there == NULL)
		return -ENOMEM;
	policy_set_init(&d->set, entry, heap, t->blobs, NULL, 0);
	policy_set_init(&d->part, entry + t->blobs, heap + t->blobs, cap, NULL, 0);
	heat_clock_init(&d->clock, 0, cap);
	for (uint32_t i = 0; i < t->ids; i++) {
		struct blob *b = &d->blob[t->blob[i]];

		d->slot[i] = POLICY_NONE;
		b->slot = POLICY_NONE;
		if (b->total++ == 0)
			b->first = i;
	}
	return 0;
}

static int replay(const struct trace *t, uint32_t cap, bool classed, struct replay_result *out)
{
	struct disk d;
	int rc = disk_open(&d, t, cap);

	*out = (struct replay_result){ 0 };
	for (size_t i = 0; rc == 0 && i < t->n; i++)
		request(&d, t, i, classed, out);
	free(d.set.entry);
	free(d.set.heap);
	free(d.blob);
	free(d.heat);
	free(d.slot);
	free(d.there);
	return rc;
}

int replay_hearth_blobs(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	return replay(t, cap, false, out);
}

int replay_hearth_blobs_classed(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	return replay(t, cap, true, out);
}
