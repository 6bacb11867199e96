/* kern_attn_ref.c - attention, one value at a time, sums in f64. */
#include <math.h>
#include <string.h>

#include "kernels/kern_attn_merge.h"
#include "kernels/kern_block.h"
#include "kernels/kern_f16.h"
#include "kernels/kern_internal.h"

static float kv_at(uint32_t type, const void *p, size_t i)
{
	const struct kern_q8_0 *b8 = (const struct kern_q8_0 *)p + i / 32;
	const struct kern_q4_0 *b4 = (const struct kern_q4_0 *)p + i / 32;

	switch (type) {
	case KERN_F16:
		return kern_f16_to_f32(((const uint16_t *)p)[i]);
	case KERN_BF16:
		return kern_bf16_to_f32(((const uint16_t *)p)[i]);
	case KERN_Q8_0:
		return kern_f16_to_f32(b8->d) * (float)b8->qs[i % 32];
	case KERN_Q4_0:
		return kern_f16_to_f32(b4->d) * (float)((b4->qs[i % 16] >> (i % 32 / 16 * 4) & 15) - 8);
	default:
		return ((const float *)p)[i];
	}
}

/* Scores of n positions from pos on into s; returns the largest. */
static float block_scores(const struct kern_attn *p, const float *q, size_t pos, uint32_t n, float *s)
{
	float top = 0.0f;
	uint32_t j, i;

	for (j = 0; j < n; j++) {
		size_t at = (pos + j) * p->k_stride;
		double sum = 0.0;

		for (i = 0; i < p->k_dim; i++)
			sum += (double)q[i] * (double)kv_at(p->k_type, p->k, at + i);
		s[j] = (float)sum * p->scale;
		if (p->softcap != 0.0f)
			s[j] = p->softcap * tanhf(s[j] / p->softcap);
		if (j == 0 || s[j] > top)
			top = s[j];
	}
	return top;
}

/* One block of one row, into sum and *m; what it does not see has norm 0 and leaves sum alone. */
static void row_block(const struct kern_attn *p, uint32_t row, uint32_t block, float *sum, struct kern_attn_mass *m)
{
	float s[KERN_ATTN_BLOCK];
	uint32_t lo, hi, n, j, i;
	double norm = 0.0;
	size_t pos;

	*m = (struct kern_attn_mass){ 0.0f, 0.0f };
	kern_attn_span(p, row / p->n_group, block, &lo, &hi);
	if (lo == hi)
		return;
	n = hi - lo;
	pos = (size_t)block * KERN_ATTN_BLOCK + lo;
	m->top = block_scores(p, kern_attn_q(p, row), pos, n, s);
	for (j = 0; j < n; j++) {
		s[j] = kern_expf(s[j] - m->top);
		norm += (double)s[j];
	}
	m->norm = (float)norm;
	for (i = 0; i < p->v_dim; i++) {
		double acc = 0.0;

		for (j = 0; j < n; j++)
			acc += (double)s[j] * (double)kv_at(p->v_type, p->v, (pos + j) * p->v_stride + i);
		sum[i] = (float)acc;
	}
}

static void row_merge(const struct kern_attn *p, uint32_t row, const float *sum, const struct kern_attn_mass *m,
		      struct kern_attn_mass *all)
{
	float *out = kern_attn_out(p, row), keep, take;
	uint32_t i;

	if (m->norm == 0.0f)
		return;
	if (all->norm == 0.0f)
		memset(out, 0, p->v_dim * sizeof(*out));
	kern_attn_join(all, m, &keep, &take);
	for (i = 0; i < p->v_dim; i++)
		out[i] = out[i] * keep + sum[i] * take;
}

static void row_finish(const struct kern_attn *p, uint32_t row, struct kern_attn_mass *all)
{
	float *out = kern_attn_out(p, row), keep;
	uint32_t i;

	if (p->sinks != NULL) {
		keep = kern_attn_sink(all, p->sinks[row % p->n_group]);
		for (i = 0; i < p->v_dim; i++)
			out[i] *= keep;
	}
	for (i = 0; i < p->v_dim; i++)
		out[i] /= all->norm;
}

void kern_attn_ref(const struct kern_attn *p, uint32_t row0, uint32_t row1)
{
	float sum[KERN_HEAD_MAX];
	uint32_t row, block, end;

	for (row = row0; row < row1; row++) {
		struct kern_attn_mass all = { 0.0f, 0.0f }, m;

		end = (kern_attn_end(p, row / p->n_group) - 1) / KERN_ATTN_BLOCK + 1;
		for (block = kern_attn_first(p, row / p->n_group) / KERN_ATTN_BLOCK; block < end; block++) {
			row_block(p, row, block, sum, &m);
			row_merge(p, row, sum, &m, &all);
		}
		row_finish(p, row, &all);
	}
}

void kern_attn_block_ref(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t block, uint32_t row0,
			 uint32_t row1)
{
	size_t at = (size_t)(block - parts->block0) * kern_attn_rows(p);
	uint32_t row;

	for (row = row0; row < row1; row++)
		row_block(p, row, block, parts->sum + (at + row) * p->v_dim, parts->mass + at + row);
}

void kern_attn_merge_ref(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t row0, uint32_t row1)
{
	uint32_t row, i;

	for (row = row0; row < row1; row++) {
		for (i = 0; i < parts->n_block; i++) {
			size_t at = (size_t)i * kern_attn_rows(p) + row;

			row_merge(p, row, parts->sum + at * p->v_dim, parts->mass + at, parts->all + row);
		}
		if (kern_attn_last(p, parts))
			row_finish(p, row, parts->all + row);
	}
}
