/* hearth.c - the policy itself, as the mover drives it: a touch, a tick, a plan.
 *
 * A request is a tick, so T is 4 * cap requests as long as that is 240 to 2.4 million of them; a recorded trace has
 * ticks of its own.
 */
#include "tests/bench/policy/replay.h"
#include "tiering/policy.h"

#include <errno.h>
#include <stdlib.h>

struct options {
	bool hidden;                    /* hits are not seen, residents are credited by their blob's misses */
	bool runs;                      /* residents of a blob that does not fit lie in runs */
	bool classed;                   /* scans are known to be scans */
};

struct hearth {
	struct policy_set set;
	struct policy_rules rules;
	struct heat_clock clock;
	struct policy_group *group;     /* [blobs] */
	struct heat *heat;              /* [ids] */
	uint32_t *slot;                 /* [ids] */
	uint32_t *first;                /* [blobs], id */
	uint32_t *moved;                /* [ids], tick of the last drop */
};

static void hearth_close(struct hearth *h)
{
	free(h->set.entry);
	free(h->set.heap);
	free(h->group);
	free(h->heat);
	free(h->slot);
	free(h->first);
	free(h->moved);
}

static int hearth_open(struct hearth *h, const struct trace *t, uint32_t cap, struct options o)
{
	struct policy_entry *entry = malloc(cap * sizeof(*entry));
	uint32_t *heap = malloc(cap * sizeof(*heap));

	*h = (struct hearth){ .rules = policy_rules_ram(cap), .group = calloc(t->blobs, sizeof(*h->group)),
			      .heat = calloc(t->ids, sizeof(*h->heat)), .slot = malloc(t->ids * sizeof(*h->slot)),
			      .first = malloc(t->blobs * sizeof(*h->first)), .moved = calloc(t->ids, sizeof(*h->moved)) };
	h->set.entry = entry;
	h->set.heap = heap;
	if (entry == NULL || heap == NULL || h->group == NULL || h->heat == NULL || h->slot == NULL ||
	    h->first == NULL || h->moved == NULL)
		return -ENOMEM;
	policy_set_init(&h->set, entry, heap, cap, o.hidden || o.runs ? h->group : NULL, o.hidden || o.runs ? t->blobs : 0);
	heat_clock_init(&h->clock, 0, cap);
	if (!o.runs)
		h->rules.run = 0;
	for (uint32_t i = 0; i < t->ids; i++) {
		h->slot[i] = POLICY_NONE;
		if (h->group[t->blob[i]].total++ == 0)
			h->first[t->blob[i]] = i;
	}
	return 0;
}

static void execute(struct hearth *h, const struct policy_move *move, size_t moves, struct replay_result *out)
{
	for (size_t i = 0; i < moves; i++) {
		uint32_t id = (uint32_t)move[i].id;

		if (move[i].op == POLICY_DROP) {
			h->slot[id] = POLICY_NONE;
			h->moved[id] = (uint32_t)h->clock.tick;
			h->heat[id] = heat_from_key(move[i].key, &h->clock);
		} else {
			h->slot[id] = move[i].slot;
			out->moves++;
		}
	}
}

static void request(struct hearth *h, const struct trace *t, size_t n, struct options o, struct replay_result *out)
{
	uint32_t id = t->id[n], slot = h->slot[id], blob = t->blob[id];
	bool scan = o.classed && t->scan[n], hit = slot != POLICY_NONE;
	struct policy_ask ask = { .id = id, .slot = POLICY_NONE, .group = blob, .index = id - h->first[blob],
				  .size = 1, .moved = h->moved[id], .touches = 1, .flags = scan ? POLICY_SCAN : 0 };
	struct policy_move move[2];
	bool seen = !scan && !(hit && o.hidden);

	out->hits += hit;
	if (seen)
		heat_touch(&h->heat[id], &h->clock);
	if (hit) {
		if (seen)
			policy_set_touch(&h->set, slot, heat_key(h->heat[id]));
	} else {
		if (o.hidden && !scan)
			policy_group_refault(&h->group[blob], &h->clock, 1);
		ask.key = heat_key(h->heat[id]);
		execute(h, move, policy_plan(&h->set, &h->rules, &h->clock, &ask, 1, move, 2), out);
	}
	heat_clock_advance(&h->clock, trace_when(t, n + 1), seen);
}

static int replay(const struct trace *t, uint32_t cap, struct options o, struct replay_result *out)
{
	struct hearth h;
	int rc = hearth_open(&h, t, cap, o);

	*out = (struct replay_result){ 0 };
	for (size_t i = 0; rc == 0 && i < t->n; i++)
		request(&h, t, i, o, out);
	hearth_close(&h);
	return rc;
}

int replay_hearth(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	return replay(t, cap, (struct options){ 0 }, out);
}

int replay_hearth_hidden(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	return replay(t, cap, (struct options){ .hidden = true }, out);
}

int replay_hearth_runs(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	return replay(t, cap, (struct options){ .hidden = true, .runs = true }, out);
}

int replay_hearth_classed(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	return replay(t, cap, (struct options){ .classed = true }, out);
}
