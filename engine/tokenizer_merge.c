/* tokenizer_merge.c - see tokenizer_merge.h. */
#include "engine/tokenizer_merge.h"

#include <errno.h>
#include <stdlib.h>

/* A pair that might merge.  key is order << 32 | index of the left symbol, so the smallest key is the
 * next merge and ties go left. */
struct tokenizer_cand {
	uint64_t key;
	uint32_t right;
	uint32_t len;                   /* of both together when the pair was found */
	uint32_t id;
};

#define MIN_CAP 64

/* Room for one element more in *p, which holds n of cap elements of size bytes. */
static int grow(void **p, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap == 0 ? MIN_CAP : *cap * 2;
	void *q;

	if (n < *cap)
		return 0;
	q = reallocarray(*p, want, size);
	if (q == NULL)
		return -ENOMEM;
	*p = q;
	*cap = want;
	return 0;
}

void tokenizer_merge_free(struct tokenizer_merge *m)
{
	free(m->sym);
	free(m->heap);
}

void tokenizer_merge_reset(struct tokenizer_merge *m)
{
	m->nsym = 0;
	m->nheap = 0;
}

int tokenizer_merge_add(struct tokenizer_merge *m, uint32_t off, uint32_t len, uint32_t id)
{
	uint32_t i = m->nsym;
	void *p = m->sym;
	int rc;

	rc = grow(&p, i, &m->sym_cap, sizeof(*m->sym));
	m->sym = p;
	if (rc != 0)
		return rc;
	m->sym[i] = (struct tokenizer_sym){
		.off = off, .len = len, .id = id, .next = TOKENIZER_MERGE_END,
		.prev = i == 0 ? TOKENIZER_MERGE_END : i - 1,
	};
	if (i != 0)
		m->sym[i - 1].next = i;
	m->nsym++;
	return 0;
}

static void sift_up(struct tokenizer_cand *heap, size_t i)
{
	struct tokenizer_cand c = heap[i];
	size_t parent;

	while (i > 0) {
		parent = (i - 1) / 2;
		if (heap[parent].key <= c.key)
			break;
		heap[i] = heap[parent];
		i = parent;
	}
	heap[i] = c;
}

/* Put c where the root was, in a heap of n candidates. */
static void sift_down(struct tokenizer_cand *heap, size_t n, struct tokenizer_cand c)
{
	size_t i = 0, child;

	for (;;) {
		child = 2 * i + 1;
		if (child >= n)
			break;
		if (child + 1 < n && heap[child + 1].key < heap[child].key)
			child++;
		if (c.key <= heap[child].key)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = c;
}

/* Ask about the pair (left, right) and remember it if it may merge. */
static int consider(struct tokenizer_merge *m, uint32_t left, uint32_t right,
		    tokenizer_pair_fn pair, void *ctx)
{
	uint32_t order, id;
	void *p = m->heap;
	int rc;

	if (left == TOKENIZER_MERGE_END || right == TOKENIZER_MERGE_END)
		return 0;
	if (!pair(ctx, &m->sym[left], &m->sym[right], &order, &id))
		return 0;
	rc = grow(&p, m->nheap, &m->heap_cap, sizeof(*m->heap));
	m->heap = p;
	if (rc != 0)
		return rc;
	m->heap[m->nheap] = (struct tokenizer_cand){
		.key = (uint64_t)order << 32 | left,
		.right = right,
		.len = m->sym[left].len + m->sym[right].len,
		.id = id,
	};
	sift_up(m->heap, m->nheap++);
	return 0;
}

static struct tokenizer_cand pop(struct tokenizer_merge *m)
{
	struct tokenizer_cand best = m->heap[0];

	m->nheap--;
	if (m->nheap > 0)
		sift_down(m->heap, m->nheap, m->heap[m->nheap]);
	return best;
}

/* Merge the pair of c unless one of its symbols has changed since. */
static int merge(struct tokenizer_merge *m, const struct tokenizer_cand *c, tokenizer_pair_fn pair,
		 void *ctx)
{
	uint32_t left = (uint32_t)c->key, prev;
	struct tokenizer_sym *l = &m->sym[left], *r = &m->sym[c->right];
	int rc;

	if (l->len == 0 || r->len == 0 || l->len + r->len != c->len)
		return 0;
	l->len = c->len;
	l->id = c->id;
	l->next = r->next;
	r->len = 0;
	if (l->next != TOKENIZER_MERGE_END)
		m->sym[l->next].prev = left;
	prev = l->prev;
	rc = consider(m, prev, left, pair, ctx);
	if (rc == 0)
		rc = consider(m, left, l->next, pair, ctx);
	return rc;
}

int tokenizer_merge_run(struct tokenizer_merge *m, tokenizer_pair_fn pair, void *ctx)
{
	struct tokenizer_cand c;
	uint32_t i;
	int rc;

	for (i = 1; i < m->nsym; i++) {
		rc = consider(m, i - 1, i, pair, ctx);
		if (rc != 0)
			return rc;
	}
	while (m->nheap > 0) {
		c = pop(m);
		rc = merge(m, &c, pair, ctx);
		if (rc != 0)
			return rc;
	}
	return 0;
}
