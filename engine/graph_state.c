/* graph_state.c - layers that carry a state from token to token in place of keys and values. */
#include <math.h>

#include "engine/graph_internal.h"
#include "engine/kv.h"

struct conv_job { const struct kern_isa *isa; struct kern_conv p; };

static void conv_channels(void *arg, uint32_t i0, uint32_t i1)
{
	const struct conv_job *j = arg;

	j->isa->conv(&j->p, i0, i1);
}

void graph_conv(struct graph *g, float *y, const float *x, uint32_t layer, const struct weights_tensor *w)
{
	struct conv_job j = { g->isa, {
		.y = y, .state = kv_conv(g->kv, layer), .x = x, .w = w->data,
		.n_tok = g->n_tok, .n_ch = (uint32_t)w->ne[1], .n_tap = (uint32_t)w->ne[0],
	} };

	kern_pool_run(g->pool, conv_channels, &j, j.p.n_ch, 64);
}

struct delta_job { const struct kern_isa *isa; struct kern_delta p; };

static void delta_heads(void *arg, uint32_t i0, uint32_t i1)
{
	const struct delta_job *j = arg;

	j->isa->delta(&j->p, i0, i1);
}

void graph_delta(struct graph *g, const struct graph_delta *p)
{
	struct delta_job j = { g->isa, {
		.out = p->out, .state = kv_state(g->kv, p->layer), .q = p->q, .k = p->k, .v = p->v, .g = p->g, .beta = p->beta,
		.n_tok = g->n_tok, .n_k = p->n_k, .n_v = p->n_v, .dim = p->dim, .scale = p->scale, .tiled = p->tiled,
	} };

	kern_pool_run(g->pool, delta_heads, &j, p->n_v, 1);
}

/* ln(1 + e^x), which is x where e^x is all of the sum. */
static float softplus(float x)
{
	return x > 20.0f ? x : logf(1.0f + expf(x));
}

void graph_delta_gates(struct graph *g, float *decay, float *beta, const struct weights_tensor *a,
		       const struct weights_tensor *dt)
{
	const float *av = graph_values(a), *dv = graph_values(dt);
	size_t n = (size_t)a->ne[0], i, t;

	for (t = 0; t < g->n_tok; t++)
		for (i = 0; i < n; i++)
			decay[t * n + i] = av[i] * softplus(decay[t * n + i] + dv[i]);
	graph_glu_n(g, KERN_GLU_SIGMOID, beta, NULL, n * g->n_tok);
}
