/* peers_opt.c - the optimum: L. Belady, "A study of replacement algorithms for a virtual-storage computer",
 * IBM Systems Journal 1966, and what is next used later than all that is held is not admitted at all.
 */
#include "tests/bench/policy/replay.h"

#include <errno.h>
#include <stdlib.h>

struct opt {
	uint32_t *heap, *where, count;          /* held ids, the latest next use at the root */
	uint32_t *next;                         /* [ids], of those held */
};

static void place(struct opt *o, uint32_t at, uint32_t id)
{
	o->heap[at] = id;
	o->where[id] = at;
}

static void fix(struct opt *o, uint32_t at)
{
	uint32_t id = o->heap[at];

	while (at > 0 && o->next[o->heap[(at - 1) / 2]] < o->next[id]) {
		place(o, at, o->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		uint32_t down = 2 * at + 1;

		if (down + 1 < o->count && o->next[o->heap[down + 1]] > o->next[o->heap[down]])
			down++;
		if (down >= o->count || o->next[o->heap[down]] <= o->next[id])
			break;
		place(o, at, o->heap[down]);
		at = down;
	}
	place(o, at, id);
}

static void request(struct opt *o, uint32_t id, uint32_t next, uint32_t cap, struct replay_result *out)
{
	if (o->where[id] != REPLAY_NONE) {
		out->hits++;
		o->next[id] = next;
		fix(o, o->where[id]);
		return;
	}
	if (next == REPLAY_NONE || (o->count == cap && o->next[o->heap[0]] <= next))
		return;
	out->moves++;
	o->next[id] = next;
	if (o->count < cap) {
		place(o, o->count++, id);
		fix(o, o->count - 1);
	} else {
		o->where[o->heap[0]] = REPLAY_NONE;
		place(o, 0, id);
		fix(o, 0);
	}
}

int replay_opt(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	uint32_t *follow = malloc(t->n * sizeof(*follow));      /* of each request, when its id comes again */
	struct opt o = { .heap = malloc(cap * sizeof(*o.heap)), .where = malloc(t->ids * sizeof(*o.where)),
			 .next = malloc(t->ids * sizeof(*o.next)) };
	int rc = follow != NULL && o.heap != NULL && o.where != NULL && o.next != NULL ? 0 : -ENOMEM;

	*out = (struct replay_result){ 0 };
	for (uint32_t i = 0; rc == 0 && i < t->ids; i++)
		o.next[i] = o.where[i] = REPLAY_NONE;
	for (size_t i = t->n; rc == 0 && i-- > 0; ) {
		follow[i] = o.next[t->id[i]];
		o.next[t->id[i]] = (uint32_t)i;
	}
	for (size_t i = 0; rc == 0 && i < t->n; i++)
		request(&o, t->id[i], follow[i], cap, out);
	free(follow);
	free(o.heap);
	free(o.where);
	free(o.next);
	return rc;
}
