/* graph_moe.c - mixtures of experts: the choice, the experts' networks, and their sum.
 *
 * The rows of all tokens that go to one expert lie together, so that its weights are read once a batch.  A row's
 * result does not depend on its neighbours, and a token's results are added in the order of their ranks.
 */
#include <math.h>
#include <string.h>

#include "engine/graph_internal.h"
#include "kernels/kern_exp.h"

#define NORM_SUM_MIN 6.103515625e-5f    /* llama.cpp: the smallest normal F16, below which nothing is divided */

struct moe_job { struct graph *g; const struct graph_moe *p; };

/* ---- the choice ---------------------------------------------------------------------------------- */

static void softmax(float *x, uint32_t n)
{
	float top = x[0];
	double sum = 0.0;
	uint32_t i;

	for (i = 1; i < n; i++)
		top = x[i] > top ? x[i] : top;
	for (i = 0; i < n; i++) {
		x[i] = kern_expf(x[i] - top);
		sum += (double)x[i];
	}
	for (i = 0; i < n; i++)
		x[i] /= (float)sum;
}

/* The sum of a group's two best. */
static float group_score(const float *score, uint32_t n)
{
	float first = -INFINITY, second = -INFINITY;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (score[i] > first) {
			second = first;
			first = score[i];
		} else if (score[i] > second) {
			second = score[i];
		}
	}
	return n > 1 ? first + second : first;
}

/* Index of the largest, of equal ones the first; 0 when all are NaN or -INFINITY. */
static uint32_t largest(const float *x, uint32_t n)
{
	uint32_t i, best = 0;

	for (i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

/* Only the n_group_used best groups keep their scores. */
static void limit_groups(const struct graph_moe *p, float *score)
{
	uint32_t n = p->n_expert / p->n_group, i, k;
	float of_group[GRAPH_EXPERTS_MAX];
	bool in[GRAPH_EXPERTS_MAX] = { false };

	for (i = 0; i < p->n_group; i++)
		of_group[i] = group_score(score + i * n, n);
	for (k = 0; k < p->n_group_used; k++) {
		i = largest(of_group, p->n_group);
		in[i] = true;
		of_group[i] = -INFINITY;
	}
	for (i = 0; i < p->n_expert; i++)
		if (!in[i / n])
			score[i] = -INFINITY;
}

/* The n_used best, best first. */
static void choose(const struct graph_moe *p, const float *probs, uint32_t *ids)
{
	const float *bias = graph_values(p->bias);
	float score[GRAPH_EXPERTS_MAX];
	uint32_t r, e;

	for (e = 0; e < p->n_expert; e++)
		score[e] = bias != NULL ? probs[e] + bias[e] : probs[e];
	if (p->n_group > 1)
		limit_groups(p, score);
	for (r = 0; r < p->n_used; r++) {
		ids[r] = largest(score, p->n_expert);
		score[ids[r]] = -INFINITY;
	}
}

static void weigh(const struct graph_moe *p, const float *probs, const uint32_t *ids, float *weight)
{
	float sum = 0.0f;
	uint32_t r;

	for (r = 0; r < p->n_used; r++)
		weight[r] = probs[ids[r]];
	if (p->softmax_after)
		softmax(weight, p->n_used);
	for (r = 0; r < p->n_used; r++)
		sum += weight[r];
	for (r = 0; r < p->n_used; r++) {
		if (p->norm)
			weight[r] /= sum > NORM_SUM_MIN ? sum : NORM_SUM_MIN;
		if (p->scale != 0.0f)
			weight[r] *= p->scale;
	}
}

static void route_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct moe_job *j = arg;
	const struct graph_moe *p = j->p;
	uint32_t t;

	for (t = i0; t < i1; t++) {
		float *probs = (float *)(uintptr_t)p->scores + (size_t)t * p->n_expert;
		uint32_t *ids = j->g->group_of + (size_t)t * p->n_used;

		if (p->sigmoid)
			j->g->isa->glu(&(struct kern_glu){ probs, NULL, p->n_expert, KERN_GLU_SIGMOID });
		else if (!p->softmax_after)
			softmax(probs, p->n_expert);
		choose(p, probs, ids);
		weigh(p, probs, ids, j->g->group_weight + (size_t)t * p->n_used);
	}
}

/* ---- rows by expert ------------------------------------------------------------------------------ */

static void place_rows(struct graph *g, const struct graph_moe *p)
{
	uint32_t n = g->n_tok * p->n_used, i, at = 0;

	memset(g->group_first, 0, (p->n_expert + 1) * sizeof(*g->group_first));
	for (i = 0; i < n; i++)
		g->group_first[g->group_of[i]]++;
	for (i = 0; i <= p->n_expert; i++) {
		uint32_t count = g->group_first[i];

		g->group_first[i] = at;
		at += count;
	}
	for (i = 0; i < n; i++)
		g->group_row[i] = g->group_first[g->group_of[i]]++;
	/* each count went on to where the next expert begins */
	memmove(g->group_first + 1, g->group_first, p->n_expert * sizeof(*g->group_first));
	g->group_first[0] = 0;
}

static void gather_rows(void *arg, uint32_t i0, uint32_t i1)
{
	const struct moe_job *j = arg;
	size_t n = (size_t)j->p->gate->ne[0];
	uint32_t i;

	for (i = i0; i < i1; i++)
		memcpy(j->g->group_x + j->g->group_row[i] * n, j->p->x + i / j->p->n_used * n, n * sizeof(float));
}

static const float *bias_of(const struct weights_tensor *b, uint32_t e)
{
	return graph_values(b) != NULL ? graph_values(b) + e * b->ne[0] : NULL;
}

/* y = slice e of w times its rows of in, for every expert that has rows. */
static uint32_t add_entries(struct graph *g, const struct graph_moe *p, struct linear_input *in, uint32_t at,
			    const struct weights_tensor *w, const struct weights_tensor *b, float *y)
{
	uint32_t e;

	for (e = 0; e < p->n_expert; e++) {
		uint32_t row = g->group_first[e], n = g->group_first[e + 1] - row;
		struct linear_entry *l = &g->entries[at];

		if (n == 0)
			continue;
		graph_linear_entry(g, l, in, w, e, row, n);
		l->mm.y = y + (size_t)row * w->ne[1];
		l->bias = bias_of(b, e);
		l->routed = true;
		at++;
	}
	return at;
}

/* ---- the sum ------------------------------------------------------------------------------------- */

static void sum_tokens(void *arg, uint32_t i0, uint32_t i1)
{
	const struct moe_job *j = arg;
	const struct graph_moe *p = j->p;
	const float *scale = graph_values(p->down_scale);
	size_t n = (size_t)p->down->ne[1];
	uint32_t t, r;

	for (t = i0; t < i1; t++) {
		float *y = p->y + t * n;

		memset(y, 0, n * sizeof(*y));
		for (r = 0; r < p->n_used; r++) {
			size_t i = (size_t)t * p->n_used + r;
			float weight = j->g->group_weight[i] * (scale != NULL ? scale[j->g->group_of[i]] : 1.0f);

			j->g->isa->add(&(struct kern_add){ y, j->g->group_y + j->g->group_row[i] * n, n, weight });
		}
	}
}

/* In the order in which they are used. */
static void want_experts(struct graph *g, const struct graph_moe *p)
{
	const struct weights_tensor *const w[3] = { p->gate, p->up, p->down };
	uint32_t e, i;

	for (i = 0; i < 3; i++)
		for (e = 0; e < p->n_expert; e++)
			if (g->group_first[e + 1] > g->group_first[e])
				graph_want(g, w[i], e);
}

void graph_moe(struct graph *g, const struct graph_moe *p)
{
	uint32_t n_rows = g->n_tok * p->n_used, n;
	struct linear_input in = { .x = g->group_x, .n_tok = n_rows, .cols = (uint32_t)p->gate->ne[0] };
	struct linear_input mid = { .x = g->group_gate, .n_tok = n_rows, .cols = (uint32_t)p->down->ne[0] };
	struct moe_job j = { g, p };

	kern_pool_run(g->pool, route_tokens, &j, g->n_tok, 1);
	place_rows(g, p);
	if (g->stream != NULL)
		want_experts(g, p);
	kern_pool_run(g->pool, gather_rows, &j, n_rows, 8);
	n = add_entries(g, p, &in, 0, p->gate, p->gate_b, g->group_gate);
	n = add_entries(g, p, &in, n, p->up, p->up_b, g->group_up);
	graph_linear_run(g, g->entries, n);
	graph_glu_n(g, p->act, g->group_gate, g->group_up, (size_t)n_rows * p->down->ne[0]);
	n = add_entries(g, p, &mid, 0, p->down, p->down_b, g->group_y);
	graph_linear_run(g, g->entries, n);
	kern_pool_run(g->pool, sum_tokens, &j, g->n_tok, 4);
}
