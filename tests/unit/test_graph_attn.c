/* test_graph_attn.c - attention over the cache gives the same bits for any number of threads and any division of
 * the tokens into batches, by whole rows and by blocks, and they are those of the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph.h"
#include "engine/kv.h"
#include "kernels/kern.h"
#include "kernels/kern_pool.h"
#include "tests/unit/kern_data.h"

#define N_CTX 2600
#define CHECKED 64      /* the last tokens, whose results are compared */

struct shape {
	uint32_t n_head, n_head_kv, head_k, head_v, window, type;
	float softcap;
	bool sinks, latent;
};

static const struct shape shapes[] = {
	{ 8, 2, 16, 16, 0, KERN_F16, .softcap = 0.0f },
	{ 5, 5, 12, 20, 0, KERN_F32, .softcap = 0.0f },
	{ 6, 1, 24, 24, 700, KERN_F16, .softcap = 2.0f },
	{ 4, 1, 16, 16, 0, KERN_F16, .sinks = true },
	{ 40, 1, 18, 16, 0, KERN_F16, .latent = true },
};

struct place {
	const struct shape *s;
	size_t nq, nk, nv, no;          /* values a token */
	float *q, *k, *v, *att;         /* of all tokens; att of the CHECKED last */
	float sinks[64];
	struct weights_tensor sink_tensor;
};

static void *must(void *p)
{
	assert_non_null(p);
	return p;
}

static void place_open(struct place *p, const struct shape *s)
{
	struct kern_data_rng rng = { s->n_head };

	p->s = s;
	p->nq = (size_t)s->n_head * s->head_k;
	p->nk = (size_t)s->n_head_kv * s->head_k;
	p->nv = (size_t)s->n_head_kv * s->head_v;
	p->no = (size_t)s->n_head * s->head_v;
	p->q = must(malloc(N_CTX * p->nq * sizeof(float)));
	p->k = must(malloc(N_CTX * p->nk * sizeof(float)));
	p->v = must(malloc(N_CTX * p->nv * sizeof(float)));
	p->att = must(malloc(CHECKED * p->no * sizeof(float)));
	kern_data_fill(&rng, p->q, N_CTX * p->nq, -2.0f, 2.0f);
	kern_data_fill(&rng, p->k, N_CTX * p->nk, -1.0f, 1.0f);
	kern_data_fill(&rng, p->v, N_CTX * p->nv, -1.0f, 1.0f);
	kern_data_fill(&rng, p->sinks, 64, -2.0f, 6.0f);
	p->sink_tensor = (struct weights_tensor){ .data = p->sinks };
}

static void place_close(struct place *p)
{
	free(p->q);
	free(p->k);
	free(p->v);
	free(p->att);
}

/* Tokens t .. t + n - 1 as one batch. */
static void eval(struct place *p, struct graph *g, uint32_t t, uint32_t n)
{
	const struct shape *s = p->s;
	float *att = graph_buf(g, GRAPH_ATT);

	graph_begin(g, n, t);
	graph_attention(g, &(struct graph_attn){
		.att = att, .q = p->q + t * p->nq, .k = p->k + t * p->nk, .v = s->latent ? NULL : p->v + t * p->nv,
		.n_head = s->n_head, .n_head_kv = s->n_head_kv, .head_k = s->head_k, .head_v = s->head_v,
		.window = s->window, .scale = 1.0f / sqrtf((float)s->head_k), .softcap = s->softcap,
		.sinks = s->sinks ? &p->sink_tensor : NULL,
	});
	memcpy(p->att + (t - (N_CTX - CHECKED)) * p->no, att, n * p->no * sizeof(float));
}

/* What the tokens before the checked ones left. */
static void fill(const struct place *p, struct kv *kv)
{
	uint32_t t;

	for (t = 0; t < N_CTX - CHECKED; t++) {
		kern_store(p->s->type, kv_k(kv, 0, t), p->k + t * p->nk, p->nk);
		if (!p->s->latent)
			kern_store(p->s->type, kv_v(kv, 0, t), p->v + t * p->nv, p->nv);
	}
}

/* The checked tokens in batches of n. */
static void run(struct place *p, const struct kern_isa *isa, uint32_t threads, uint32_t n)
{
	const struct shape *s = p->s;
	uint32_t n_k = (uint32_t)p->nk, n_v = s->latent ? 0 : (uint32_t)p->nv, t, part;
	size_t none = 0;
	struct kv_params kp = { 1, N_CTX, &n_k, &n_v, &none, &none, s->type, s->type, NULL };
	struct graph_sizes sizes = { .n_batch = CHECKED, .group_rows = 1 };
	char err[128];
	struct kern_pool *pool;
	struct graph *g;
	struct kv *kv;

	sizes.width[GRAPH_ATT] = (uint32_t)p->no;
	assert_int_equal(kv_new(&kv, &kp, err, sizeof(err)), 0);
	assert_int_equal(kern_pool_open(&pool, threads), 0);
	assert_int_equal(graph_new(&g, &sizes, isa, pool, kv), 0);
	fill(p, kv);
	memset(p->att, 0xff, CHECKED * p->no * sizeof(float));
	for (t = N_CTX - CHECKED; t < N_CTX; t += part) {
		part = N_CTX - t < n ? N_CTX - t : n;
		eval(p, g, t, part);
	}
	graph_free(g);
	kern_pool_close(pool);
	kv_free(kv);
}

static void test_bits(void **state)
{
	static const uint32_t parts[] = { 1, 3, 7, CHECKED };
	const struct kern_isa *isa = kern_isa_find(NULL);
	struct place p;
	float *want;
	uint32_t threads;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		place_open(&p, &shapes[i]);
		want = must(malloc(CHECKED * p.no * sizeof(float)));
		run(&p, isa, 1, CHECKED);
		memcpy(want, p.att, CHECKED * p.no * sizeof(float));
		for (threads = 1; threads <= 3; threads++)
			for (k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
				run(&p, isa, threads, parts[k]);
				assert_memory_equal(p.att, want, CHECKED * p.no * sizeof(float));
			}
		free(want);
		place_close(&p);
	}
}

/* The last token alone, against the kernel on rows that a cache of f32 would hold. */
static void test_kernel(void **state)
{
	const struct kern_isa *isa = kern_isa_find(NULL);
	const struct shape *s = &shapes[1];
	struct place p;
	float *out;
	uint32_t h;

	(void)state;
	place_open(&p, s);
	out = must(malloc(p.no * sizeof(float)));
	run(&p, isa, 3, 1);
	for (h = 0; h < s->n_head_kv; h++)
		isa->attn(&(struct kern_attn){
			.out = out + (size_t)h * s->head_v, .q = p.q + (N_CTX - 1) * p.nq + (size_t)h * s->head_k,
			.k = p.k + (size_t)h * s->head_k, .v = p.v + (size_t)h * s->head_v, .k_stride = p.nk, .v_stride = p.nv,
			.k_type = KERN_F32, .v_type = KERN_F32, .k_dim = s->head_k, .v_dim = s->head_v, .n_group = 1, .n_tok = 1,
			.n_kv = N_CTX, .scale = 1.0f / sqrtf((float)s->head_k),
		}, 0, 1);
	assert_memory_equal(out, p.att + (CHECKED - 1) * p.no, p.no * sizeof(float));
	free(out);
	place_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
