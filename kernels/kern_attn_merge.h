/* kern_attn_merge.h - what a query sees of a block of KV, and how blocks are merged: one rule for all implementations. */
#ifndef KERNELS_KERN_ATTN_MERGE_H
#define KERNELS_KERN_ATTN_MERGE_H

#include "kernels/kern.h"
#include "kernels/kern_exp.h"

static inline const float *kern_attn_q(const struct kern_attn *p, uint32_t row)
{
	return p->q + row / p->n_group * p->q_stride + (size_t)(row % p->n_group) * p->k_dim;
}

static inline float *kern_attn_out(const struct kern_attn *p, uint32_t row)
{
	return p->out + row / p->n_group * p->out_stride + (size_t)(row % p->n_group) * p->v_dim;
}

/* Token tok sees positions [first, end). */
static inline uint32_t kern_attn_end(const struct kern_attn *p, uint32_t tok)
{
	return p->n_kv + tok;
}

static inline uint32_t kern_attn_first(const struct kern_attn *p, uint32_t tok)
{
	uint32_t end = kern_attn_end(p, tok);

	return p->window > 0 && end > p->window ? end - p->window : 0;
}

/* Of a block it sees positions [*lo, *hi), counted from the block's first; both are 0 when it sees none. */
static inline void kern_attn_span(const struct kern_attn *p, uint32_t tok, uint32_t block, uint32_t *lo, uint32_t *hi)
{
	uint32_t base = block * KERN_ATTN_BLOCK, first = kern_attn_first(p, tok), end = kern_attn_end(p, tok);

	*lo = *hi = 0;
	if (end <= base || first >= base + KERN_ATTN_BLOCK)
		return;
	*lo = first > base ? first - base : 0;
	*hi = end - base < KERN_ATTN_BLOCK ? end - base : KERN_ATTN_BLOCK;
}

/* Takes one more block into all: what was there is to be multiplied by *keep, the block's sum by *take. */
static inline void kern_attn_join(struct kern_attn_mass *all, const struct kern_attn_mass *m, float *keep, float *take)
{
	float top = all->norm == 0.0f || m->top > all->top ? m->top : all->top;

	*keep = all->norm == 0.0f ? 0.0f : kern_expf(all->top - top);
	*take = kern_expf(m->top - top);
	all->norm = all->norm * *keep + m->norm * *take;
	all->top = top;
}

/* Takes a sink's score into all; what was there is to be multiplied by the result. */
static inline float kern_attn_sink(struct kern_attn_mass *all, float sink)
{
	float top = sink > all->top ? sink : all->top, keep = kern_expf(all->top - top);

	all->norm = all->norm * keep + kern_expf(sink - top);
	all->top = top;
	return keep;
}

#endif
