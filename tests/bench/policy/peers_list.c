/* peers_list.c - LRU, ARC and S3-FIFO.
 *
 * ARC: N. Megiddo, D. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003, figure 4.
 * S3-FIFO: J. Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023, algorithm 1: a
 * tenth small, two bits of count, a ghost queue as long as the main one.
 */
#include "tests/bench/policy/list.h"

#include <errno.h>

int replay_lru(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	struct queue q = queue_named(1);
	struct links l;

	*out = (struct replay_result){ 0 };
	if (links_new(&l, t->ids) != 0) {
		links_free(&l);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->n; i++) {
		uint32_t id = t->id[i];

		if (l.on[id] != 0) {
			out->hits++;
			queue_remove(&l, &q, id);
		} else {
			out->moves++;
			if (q.count == cap)
				queue_take(&l, &q);
		}
		queue_add(&l, &q, id);
	}
	links_free(&l);
	return 0;
}

/* ---- ARC ---- */

enum { T1 = 1, T2, B1, B2 };

struct arc {
	struct links l;
	struct queue q[5];
	uint32_t cap;
	double p;
};

static void arc_shift(struct arc *a, uint32_t id, int to)
{
	queue_remove(&a->l, &a->q[a->l.on[id]], id);
	queue_add(&a->l, &a->q[to], id);
}

static void arc_replace(struct arc *a, bool in_b2)
{
	uint32_t t1 = a->q[T1].count;

	if (t1 > 0 && (t1 > a->p || (in_b2 && t1 == a->p)))
		arc_shift(a, a->q[T1].first, B1);
	else
		arc_shift(a, a->q[T2].first, B2);
}

static void arc_miss(struct arc *a, uint32_t id)
{
	struct queue *q = a->q;

	if (q[T1].count + q[B1].count == a->cap) {
		if (q[T1].count < a->cap) {
			queue_take(&a->l, &q[B1]);
			arc_replace(a, false);
		} else {
			queue_take(&a->l, &q[T1]);
		}
	} else if (q[T1].count + q[T2].count + q[B1].count + q[B2].count >= a->cap) {
		if (q[T1].count + q[T2].count + q[B1].count + q[B2].count == 2 * a->cap)
			queue_take(&a->l, &q[B2]);
		arc_replace(a, false);
	}
	queue_add(&a->l, &q[T1], id);
}

static void arc_ghost(struct arc *a, uint32_t id, bool in_b2)
{
	double b1 = a->q[B1].count, b2 = a->q[B2].count;

	if (in_b2) {
		a->p -= b1 > b2 ? b1 / b2 : 1;
		a->p = a->p > 0 ? a->p : 0;
	} else {
		a->p += b2 > b1 ? b2 / b1 : 1;
		a->p = a->p < a->cap ? a->p : a->cap;
	}
	arc_replace(a, in_b2);
	arc_shift(a, id, T2);
}

int replay_arc(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	struct arc a = { .cap = cap };

	*out = (struct replay_result){ 0 };
	for (uint8_t i = T1; i <= B2; i++)
		a.q[i] = queue_named(i);
	if (links_new(&a.l, t->ids) != 0) {
		links_free(&a.l);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->n; i++) {
		uint32_t id = t->id[i];
		uint8_t on = a.l.on[id];

		if (on == T1 || on == T2) {
			out->hits++;
			arc_shift(&a, id, T2);
			continue;
		}
		out->moves++;
		if (on == 0)
			arc_miss(&a, id);
		else
			arc_ghost(&a, id, on == B2);
	}
	links_free(&a.l);
	return 0;
}

/* ---- S3-FIFO ---- */

enum { SMALL = 1, MAIN, GHOST };

struct s3 {
	struct links l;
	struct queue small, main, ghost;
	uint8_t *count;
	uint32_t cap, small_cap;
};

static void s3_evict_main(struct s3 *s)
{
	for (;;) {
		uint32_t id = queue_take(&s->l, &s->main);

		if (s->count[id] == 0)
			return;
		s->count[id]--;
		queue_add(&s->l, &s->main, id);
	}
}

/* True when a place became free: a promotion to main frees none. */
static bool s3_evict_small(struct s3 *s)
{
	uint32_t id = queue_take(&s->l, &s->small);

	if (s->count[id] > 1) {
		s->count[id] = 0;
		queue_add(&s->l, &s->main, id);
		return false;
	}
	if (s->ghost.count == s->cap - s->small_cap)
		queue_take(&s->l, &s->ghost);
	queue_add(&s->l, &s->ghost, id);
	return true;
}

static void s3_make_room(struct s3 *s)
{
	while (s->small.count + s->main.count >= s->cap) {
		if (s->small.count >= s->small_cap && s->small.count > 0)
			s3_evict_small(s);
		else
			s3_evict_main(s);
	}
}

static void s3_request(struct s3 *s, uint32_t id, struct replay_result *out)
{
	bool ghost;

	if (s->l.on[id] == SMALL || s->l.on[id] == MAIN) {
		out->hits++;
		s->count[id] += s->count[id] < 3;
		return;
	}
	out->moves++;
	ghost = s->l.on[id] == GHOST;
	if (ghost)
		queue_remove(&s->l, &s->ghost, id);
	s3_make_room(s);
	s->count[id] = 0;
	queue_add(&s->l, ghost ? &s->main : &s->small, id);
}

int replay_s3fifo(const struct trace *t, uint32_t cap, struct replay_result *out)
{
	struct s3 s = { .small = queue_named(SMALL), .main = queue_named(MAIN), .ghost = queue_named(GHOST), .cap = cap };
	int rc = 0;

	*out = (struct replay_result){ 0 };
	s.small_cap = cap / 10 > 0 ? cap / 10 : 1;
	s.count = calloc(t->ids, 1);
	if (links_new(&s.l, t->ids) != 0 || s.count == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < t->n; i++)
		s3_request(&s, t->id[i], out);
	free(s.count);
	links_free(&s.l);
	return rc;
}
