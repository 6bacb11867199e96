/* list.h - queues of ids: an id is on at most one of the queues that share its links. */
#ifndef TESTS_BENCH_POLICY_LIST_H
#define TESTS_BENCH_POLICY_LIST_H

#include "tests/bench/policy/replay.h"

#include <stdlib.h>

struct links {
	uint32_t *prev, *next;
	uint8_t *on;                    /* which queue, 0: none */
};

struct queue {
	uint32_t first, last, count;    /* first came first */
	uint8_t name;
};

static inline int links_new(struct links *l, uint32_t ids)
{
	l->prev = calloc(ids, sizeof(*l->prev));
	l->next = calloc(ids, sizeof(*l->next));
	l->on = calloc(ids, 1);
	return l->prev != NULL && l->next != NULL && l->on != NULL ? 0 : -1;
}

static inline void links_free(struct links *l)
{
	free(l->prev);
	free(l->next);
	free(l->on);
}

static inline struct queue queue_named(uint8_t name)
{
	return (struct queue){ .first = REPLAY_NONE, .last = REPLAY_NONE, .name = name };
}

static inline void queue_add(struct links *l, struct queue *q, uint32_t id)
{
	l->prev[id] = q->last;
	l->next[id] = REPLAY_NONE;
	if (q->last != REPLAY_NONE)
		l->next[q->last] = id;
	else
		q->first = id;
	q->last = id;
	q->count++;
	l->on[id] = q->name;
}

static inline void queue_remove(struct links *l, struct queue *q, uint32_t id)
{
	if (l->prev[id] != REPLAY_NONE)
		l->next[l->prev[id]] = l->next[id];
	else
		q->first = l->next[id];
	if (l->next[id] != REPLAY_NONE)
		l->prev[l->next[id]] = l->prev[id];
	else
		q->last = l->prev[id];
	q->count--;
	l->on[id] = 0;
}

static inline uint32_t queue_take(struct links *l, struct queue *q)
{
	uint32_t id = q->first;

	queue_remove(l, q, id);
	return id;
}

#endif
