/* kern_acts.c - where the parts of a quantised activation batch lie. */
#include "kernels/kern.h"

#include <string.h>

#include "kernels/kern_block.h"

static uint32_t acts_blocks(enum kern_act kind, uint32_t cols)
{
	uint32_t n;

	if (kind == KERN_ACT_Q8K)
		return cols / KERN_QK_K;
	n = cols / KERN_QK;
	return (n + KERN_Q8_STEP - 1) / KERN_Q8_STEP * KERN_Q8_STEP;
}

static size_t acts_q_bytes(enum kern_act kind, uint32_t n_tok, uint32_t n_blk)
{
	return (size_t)n_tok * n_blk * (kind == KERN_ACT_Q8K ? KERN_QK_K : KERN_QK);
}

/* With room to read a whole vector from the last block on. */
static size_t acts_d_bytes(uint32_t n_tok, uint32_t n_blk)
{
	return ((size_t)n_tok * n_blk * sizeof(float) + 63) / 64 * 64 + 64;
}

static size_t acts_sums_bytes(enum kern_act kind, uint32_t n_tok, uint32_t n_blk)
{
	return (size_t)n_tok * n_blk * (kind == KERN_ACT_Q8K ? 16 : 1) * sizeof(int16_t) + 64;
}

size_t kern_acts_bytes(enum kern_act kind, uint32_t n_tok, uint32_t cols)
{
	uint32_t n_blk;

	if (kind != KERN_ACT_Q8 && kind != KERN_ACT_Q8K)
		return 0;
	n_blk = acts_blocks(kind, cols);
	return acts_q_bytes(kind, n_tok, n_blk) + acts_d_bytes(n_tok, n_blk) + acts_sums_bytes(kind, n_tok, n_blk);
}

void kern_acts_init(struct kern_acts *a, enum kern_act kind, const float *x, uint32_t n_tok, uint32_t cols,
		    void *buf)
{
	char *p = buf;

	memset(a, 0, sizeof(*a));
	a->kind = kind;
	a->n_tok = n_tok;
	a->cols = cols;
	a->x = x;
	if (kind != KERN_ACT_Q8 && kind != KERN_ACT_Q8K)
		return;
	a->n_blk = acts_blocks(kind, cols);
	a->q = (int8_t *)p;
	p += acts_q_bytes(kind, n_tok, a->n_blk);
	a->d = (float *)p;
	p += acts_d_bytes(n_tok, a->n_blk);
	a->sums = (int16_t *)p;
}
