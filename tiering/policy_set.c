/* policy_set.c - a tier's residents: a heap by heat, two lists, and groups that credit them. */
#include "tiering/policy_internal.h"

void policy_set_init(struct policy_set *s, struct policy_entry *entry, uint32_t *heap, uint32_t cap,
		     struct policy_group *group, uint32_t groups)
{
	*s = (struct policy_set){ .entry = entry, .heap = heap, .cap = cap, .group = group, .groups = groups,
				  .free = cap != 0 ? 0 : POLICY_NONE, .young_first = POLICY_NONE,
				  .young_last = POLICY_NONE, .pin_first = POLICY_NONE, .pin_last = POLICY_NONE };
	for (uint32_t i = 0; i < cap; i++)
		entry[i] = (struct policy_entry){ .where = WHERE_FREE, .next = i + 1 < cap ? i + 1 : POLICY_NONE };
}

static struct policy_group *group_of(const struct policy_set *s, uint32_t group)
{
	return group < s->groups ? &s->group[group] : NULL;
}

uint64_t policy_set_key(const struct policy_set *s, uint32_t slot)
{
	const struct policy_entry *e = &s->entry[slot];
	const struct policy_group *g = group_of(s, e->group);

	return g != NULL && g->credit > e->stamp ? heat_key_sum(e->key, heat_key_less(g->credit, e->stamp)) : e->key;
}

/* Turn the credit so far into heat of its own. */
static void credit_take(struct policy_set *s, uint32_t slot)
{
	const struct policy_group *g = group_of(s, s->entry[slot].group);

	s->entry[slot].key = policy_set_key(s, slot);
	s->entry[slot].stamp = g != NULL ? g->credit : 0;
}

/* ---- the heap: no child is colder than its parent ---- */

/* Ties go by id, so that what goes first does not depend on how the heap came about. */
static bool colder(const struct policy_set *s, uint32_t slot, uint32_t than)
{
	const struct policy_entry *a = &s->entry[slot], *b = &s->entry[than];

	return a->order < b->order || (a->order == b->order && a->id < b->id);
}

static void heap_put(struct policy_set *s, uint32_t at, uint32_t slot)
{
	s->heap[at] = slot;
	s->entry[slot].where = at;
}

static void sift_up(struct policy_set *s, uint32_t at)
{
	uint32_t slot = s->heap[at];

	while (at > 0) {
		uint32_t up = (at - 1) / 2;

		if (!colder(s, slot, s->heap[up]))
			break;
		heap_put(s, at, s->heap[up]);
		at = up;
	}
	heap_put(s, at, slot);
}

static void sift_down(struct policy_set *s, uint32_t at)
{
	uint32_t slot = s->heap[at];

	for (;;) {
		uint32_t down = 2 * at + 1;

		if (down >= s->heaped)
			break;
		if (down + 1 < s->heaped && colder(s, s->heap[down + 1], s->heap[down]))
			down++;
		if (!colder(s, s->heap[down], slot))
			break;
		heap_put(s, at, s->heap[down]);
		at = down;
	}
	heap_put(s, at, slot);
}

static void heap_add(struct policy_set *s, uint32_t slot)
{
	credit_take(s, slot);
	s->entry[slot].order = s->entry[slot].key;
	heap_put(s, s->heaped++, slot);
	sift_up(s, s->heaped - 1);
}

static void heap_remove(struct policy_set *s, uint32_t at)
{
	uint32_t last = s->heap[--s->heaped];

	if (at == s->heaped)
		return;
	heap_put(s, at, last);
	sift_up(s, at);
	sift_down(s, s->entry[last].where);
}

uint32_t policy_set_coldest(struct policy_set *s, uint64_t limit)
{
	while (s->heaped > 0) {
		uint32_t slot = s->heap[0];
		struct policy_entry *e = &s->entry[slot];

		if (e->order > limit)
			return slot;
		credit_take(s, slot);
		if (e->key == e->order)
			return slot;
		e->order = e->key;
		sift_down(s, 0);
	}
	return POLICY_NONE;
}

/* ---- the lists: oldest first ---- */

static void list_add(struct policy_set *s, uint32_t *first, uint32_t *last, uint32_t slot)
{
	s->entry[slot].prev = *last;
	s->entry[slot].next = POLICY_NONE;
	if (*last != POLICY_NONE)
		s->entry[*last].next = slot;
	else
		*first = slot;
	*last = slot;
}

static void list_remove(struct policy_set *s, uint32_t *first, uint32_t *last, uint32_t slot)
{
	const struct policy_entry *e = &s->entry[slot];

	if (e->prev != POLICY_NONE)
		s->entry[e->prev].next = e->next;
	else
		*first = e->next;
	if (e->next != POLICY_NONE)
		s->entry[e->next].prev = e->prev;
	else
		*last = e->prev;
}

static void settle(struct policy_set *s, uint32_t slot, bool pin, uint64_t tick)
{
	struct policy_entry *e = &s->entry[slot];

	e->born = (uint32_t)tick;
	if (pin) {
		e->where = WHERE_PIN;
		list_add(s, &s->pin_first, &s->pin_last, slot);
		s->pinned += e->size;
	} else {
		e->where = WHERE_YOUNG;
		list_add(s, &s->young_first, &s->young_last, slot);
	}
}

void policy_set_take(struct policy_set *s, uint32_t slot)
{
	struct policy_entry *e = &s->entry[slot];

	if (e->where == WHERE_PIN) {
		list_remove(s, &s->pin_first, &s->pin_last, slot);
		s->pinned -= e->size;
	} else if (e->where == WHERE_YOUNG) {
		list_remove(s, &s->young_first, &s->young_last, slot);
	} else if (e->where != WHERE_TAKEN) {
		heap_remove(s, e->where);
	}
	e->where = WHERE_TAKEN;
}

void policy_set_give_back(struct policy_set *s, uint32_t slot)
{
	heap_add(s, slot);
}

void policy_set_mature(struct policy_set *s, uint64_t tick, uint32_t window)
{
	uint32_t slot;

	while ((slot = s->young_first) != POLICY_NONE && (uint32_t)tick - s->entry[slot].born >= window) {
		policy_set_take(s, slot);
		heap_add(s, slot);
	}
}

uint32_t policy_set_admit(struct policy_set *s, const struct policy_ask *a, uint32_t size, uint64_t tick)
{
	struct policy_group *g = group_of(s, a->group);
	uint32_t slot = s->free;
	struct policy_entry *e;

	if (slot == POLICY_NONE)
		return POLICY_NONE;
	e = &s->entry[slot];
	s->free = e->next;
	*e = (struct policy_entry){ .id = a->id, .key = a->key, .order = a->key, .size = size, .group = a->group,
				    .stamp = g != NULL ? g->credit : 0, .flags = a->flags };
	settle(s, slot, a->flags & POLICY_PIN, tick);
	s->used += size;
	s->count++;
	if (g != NULL)
		g->resident++;
	return slot;
}

void policy_set_drop(struct policy_set *s, uint32_t slot)
{
	struct policy_entry *e = &s->entry[slot];
	struct policy_group *g = group_of(s, e->group);

	policy_set_take(s, slot);
	s->used -= e->size;
	s->count--;
	if (g != NULL)
		g->resident--;
	e->where = WHERE_FREE;
	e->next = s->free;
	s->free = slot;
}

void policy_set_resize(struct policy_set *s, uint32_t slot, uint32_t size)
{
	struct policy_entry *e = &s->entry[slot];

	s->used = s->used - e->size + size;
	if (e->where == WHERE_PIN)
		s->pinned = s->pinned - e->size + size;
	e->size = size;
}

uint32_t policy_set_add(struct policy_set *s, const struct policy_ask *a, uint64_t tick)
{
	return policy_set_admit(s, a, a->size, tick);
}

uint64_t policy_set_remove(struct policy_set *s, uint32_t slot)
{
	uint64_t key = policy_set_key(s, slot);

	policy_set_drop(s, slot);
	return key;
}

void policy_set_touch(struct policy_set *s, uint32_t slot, uint64_t key)
{
	credit_take(s, slot);
	if (key > s->entry[slot].key)
		s->entry[slot].key = key;
}

void policy_set_pin(struct policy_set *s, uint32_t slot, bool pin, uint64_t tick)
{
	if ((s->entry[slot].where == WHERE_PIN) == pin)
		return;
	policy_set_take(s, slot);
	settle(s, slot, pin, tick);
}

void policy_set_rest(struct policy_set *s, uint32_t slot, uint64_t tick)
{
	policy_set_take(s, slot);
	settle(s, slot, false, tick);
}

/* ---- groups ---- */

void policy_group_use(struct policy_group *g, const struct heat_clock *c, double weight)
{
	heat_add(&g->credit, c, weight);
}

void policy_group_refault(struct policy_group *g, const struct heat_clock *c, uint32_t count)
{
	if (g->resident < g->total)
		policy_group_use(g, c, (double)count / (g->total - g->resident));
}

/* ---- the invariants ---- */

/* How many the list holds, all at where; more than all when it is not sound. */
static uint32_t list_count(const struct policy_set *s, uint32_t first, uint32_t where, uint64_t *size)
{
	uint32_t n = 0;

	for (uint32_t i = first; i != POLICY_NONE; i = s->entry[i].next) {
		if (s->entry[i].where != where || n++ > s->cap)
			return UINT32_MAX;
		*size += s->entry[i].size;
	}
	return n;
}

int policy_set_check(const struct policy_set *s)
{
	uint64_t used = 0, pinned = 0;
	uint32_t young, pins;

	for (uint32_t i = 0; i < s->heaped; i++) {
		const struct policy_entry *e = &s->entry[s->heap[i]];

		if (e->where != i)
			return 2;
		if (e->order > policy_set_key(s, s->heap[i]) ||
		    (i > 0 && colder(s, s->heap[i], s->heap[(i - 1) / 2])))
			return 3;
		used += e->size;
	}
	young = list_count(s, s->young_first, WHERE_YOUNG, &used);
	pins = list_count(s, s->pin_first, WHERE_PIN, &pinned);
	if (young == UINT32_MAX || pins == UINT32_MAX || s->heaped + young + pins != s->count)
		return 2;
	return used + pinned != s->used || pinned != s->pinned ? 1 : 0;
}
