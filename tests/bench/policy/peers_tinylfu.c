/* peers_tinylfu.c - W-TinyLFU: G. Einziger, R. Friedman, B. Manes, "TinyLFU: A Highly Efficient Cache
 * Admission Policy", ACM TOS 2017.  A window of a hundredth (at least one), behind it a segmented LRU, four
 * fifths of it protected; admission by a count-min sketch of four rows of four bits, as wide as eight
 * caches (narrower ones did worse), halved every ten caches of requests.  No doorkeeper.
 */
#include "tests/bench/policy/list.h"

#include <errno.h>

enum { WINDOW = 1, PROBATION, PROTECTED };

struct tinylfu {
	struct links l;
	struct queue q[4];
	uint8_t *sketch;                        /* [4][width] */
	uint32_t width, cap, window_cap, protected_cap, sample, seen;
};

static uint32_t cell(const struct tinylfu *c, uint32_t id, uint32_t row)
{
	uint64_t x = (id + 1) * 0x9e3779b97f4a7c15ull + row * 0xc2b2ae3d27d4eb4full;

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 32) * 0x94d049bb133111ebull;
	return row * c->width + (uint32_t)((x >> 32) & (c->width - 1));
}

static void count(struct tinylfu *c, uint32_t id)
{
	for (uint32_t r = 0; r < 4; r++)
		c->sketch[cell(c, id, r)] += c->sketch[cell(c, id, r)] < 15;
	if (++c->seen < c->sample)
		return;
	for (uint32_t i = 0; i < 4 * c->width; i++)
		c->sketch[i] /= 2;
	c->seen /= 2;
}

static uint8_t estimate(const struct tinylfu *c, uint32_t id)
{
	uint8_t least = 15;

	for (uint32_t r = 0; r < 4; r++)
		least = c->sketch[cell(c, id, r)] < least ? c->sketch[cell(c, id, r)] : least;
	return least;
}

static void shift(struct tinylfu *c, uint32_t id, int to)
{
	queue_remove(&c->l, &c->q[c->l.on[id]], id);
	queue_add(&c->l, &c->q[to], id);
}

static void touch(struct tinylfu *c, uint32_t id)
{
	uint8_t on = c->l.on[id];

	if (on == WINDOW || on == PROTECTED) {
		shift(c, id, on);
		return;
	}
	shift(c, id, PROTECTED);
	if (c->q[PROTECTED].count > c->protected_cap)
		shift(c, c->q[PROTECTED].first, PROBATION);
}

/* What leaves the window stays when there is room or it is asked for more often than what it would put out. */
static void leave_window(struct tinylfu *c)
{
	uint32_t id = c->q[WINDOW].first, victim;
	bool room = c->q[WINDOW].count + c->q[PROBATION].count + c->q[PROTECTED].count <= c->cap;

	victim = c->q[PROBATION].count > 0 ? c->q[PROBATION].first : c->q[PROTECTED].first;
	if (!room && (victim == REPLAY_NONE || estimate(c, id) <= estimate(c, victim))) {
		queue_take(&c->l, &c->q[WINDOW]);
		return;
	}
	if (!room)
		queue_remove(&c->l, &c->q[c->l.on[victim]], victim);
	shift(c, id, PROBATION);
}

int replay_tinylfu(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	struct tinylfu c = { .cap = cap, .width = 16 };
	int rc = 0;

	*out = (struct replay_result){ 0 };
	while (c.width < 8 * cap)
		c.width *= 2;
	c.window_cap = cap / 100 > 0 ? cap / 100 : 1;
	c.protected_cap = (cap - c.window_cap) * 4 / 5;
	c.sample = 10 * cap;
	for (uint8_t i = WINDOW; i <= PROTECTED; i++)
		c.q[i] = queue_named(i);
	c.sketch = calloc(4, c.width);
	if (links_new(&c.l, t->ids) != 0 || c.sketch == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < t->n; i++) {
		uint32_t id = t->id[i];

		count(&c, id);
		if (c.l.on[id] != 0) {
			out->hits++;
			touch(&c, id);
			continue;
		}
		out->moves++;
		queue_add(&c.l, &c.q[WINDOW], id);
		if (c.q[WINDOW].count > c.window_cap)
			leave_window(&c);
	}
	free(c.sketch);
	links_free(&c.l);
	return rc;
}
