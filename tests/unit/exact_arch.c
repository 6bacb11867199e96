/* exact_arch.c - see exact_arch.h. */
#include "tests/unit/exact_arch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/weights.h"
#include "tests/unit/exact_parts.h"

/* ---- gemma2 and gemma3 ------------------------------------------------------------------------------ */

static bool gemma_local(const struct exact *e, uint32_t i, uint32_t window)
{
	struct gguf_arr a;
	uint32_t period;

	if (strcmp(e->arch, "gemma2") == 0)
		return i % 2 == 0;
	if (window == 0)
		return false;
	if (gguf_get_arr(e->meta, "gemma3.attention.sliding_window_pattern", &a) == 0)
		return exact_flag(e, "attention.sliding_window_pattern", i);
	period = exact_count(e, "attention.sliding_window_pattern", i, 6);
	return i % period < period - 1;
}

static void gemma_layer(struct exact *e, uint32_t i)
{
	bool two = strcmp(e->arch, "gemma2") == 0, big = e->n_layer == (two ? 46 : 62);
	uint32_t head = exact_count(e, "attention.key_length", i, 0);
	uint32_t window = exact_count(e, "attention.sliding_window", i, two ? 4096 : 0);
	uint32_t n_kv = exact_count(e, "attention.head_count_kv", i, 0);
	bool local = gemma_local(e, i, window), swa_rope = local && !two;
	struct exact_turn r = { head, exact_number(e, "rope.freq_base", 10000.0),
				exact_number(e, "rope.scaling.factor", 1.0), NULL };
	struct exact_shape s = { n_kv, head, local ? window : 0, 1.0 / sqrt(big ? e->n_embd / e->n_head : head),
			   two ? exact_number(e, "attn_logit_softcapping", 50.0) : 0.0 };
	double y[EXACT_WIDE];
	size_t t;

	if (swa_rope)
		r = (struct exact_turn){ head, exact_number(e, "rope.freq_base_swa", 10000.0), 1.0, NULL };
	for (t = 0; t < e->n; t++) {
		exact_norm(e, i, "attn_norm", e->x[t], e->h[t]);
		exact_linear(e, i, "attn_q", e->h[t], e->q[t]);
		exact_linear(e, i, "attn_k", e->h[t], e->k[i][t]);
		exact_linear(e, i, "attn_v", e->h[t], e->v[i][t]);
		exact_norm_and_turn(e, i, "attn_q_norm.weight", &r, e->q[t], e->n_head, head, t);
		exact_norm_and_turn(e, i, "attn_k_norm.weight", &r, e->k[i][t], n_kv, head, t);
	}
	exact_attend(e, &s, e->k[i], e->v[i]);
	for (t = 0; t < e->n; t++) {
		exact_linear(e, i, "attn_output", e->att[t], y);
		exact_norm(e, i, "post_attention_norm", y, y);
		exact_add(e->x[t], y, e->n_embd);
		exact_norm(e, i, "ffn_norm", e->x[t], e->h[t]);
		exact_mlp(e, i, e->h[t], y);
		exact_norm(e, i, "post_ffw_norm", y, y);
		exact_add(e->x[t], y, e->n_embd);
	}
}

/* ---- gptneox ----------------------------------------------------------------------------------------- */

static void gptneox_layer(struct exact *e, uint32_t i)
{
	uint32_t head = e->n_embd / e->n_head;
	struct exact_turn r = { exact_count(e, "rope.dimension_count", i, head), 10000.0, 1.0, NULL };
	struct exact_shape s = { e->n_head, head, 0, 1.0 / sqrt(head), 0.0 };
	double qkv[EXACT_WIDE], y[EXACT_WIDE], z[EXACT_WIDE];
	bool parallel = false;
	size_t t, n, j;

	if (gguf_get_bool(e->meta, "gptneox.use_parallel_residual", &parallel) != 0)
		e->rc = -EINVAL;
	for (t = 0; t < e->n; t++) {
		exact_norm(e, i, "attn_norm", e->x[t], e->h[t]);
		exact_linear(e, i, "attn_qkv", e->h[t], qkv);
		memcpy(e->q[t], qkv, e->n_embd * sizeof(double));
		memcpy(e->k[i][t], qkv + e->n_embd, e->n_embd * sizeof(double));
		memcpy(e->v[i][t], qkv + 2 * e->n_embd, e->n_embd * sizeof(double));
		exact_norm_and_turn(e, i, "", &r, e->q[t], e->n_head, head, t);
		exact_norm_and_turn(e, i, "", &r, e->k[i][t], e->n_head, head, t);
	}
	exact_attend(e, &s, e->k[i], e->v[i]);
	for (t = 0; t < e->n; t++) {
		exact_linear(e, i, "attn_output", e->att[t], y);
		if (!parallel)
			exact_add(e->x[t], y, e->n_embd);
		exact_norm(e, i, "ffn_norm", e->x[t], e->h[t]);
		n = exact_linear(e, i, "ffn_up", e->h[t], z);
		for (j = 0; j < n; j++)
			z[j] = exact_gelu(e, z[j]);
		if (parallel)
			exact_add(e->x[t], y, e->n_embd);
		exact_linear(e, i, "ffn_down", z, y);
		exact_add(e->x[t], y, e->n_embd);
	}
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static const struct family {
	const char *arch;
	void (*layer)(struct exact *e, uint32_t i);
	double cap;                     /* of the logits, where the file does not say; 0 for none */
} families[] = {
	{ "gemma2", gemma_layer, 30.0 },
	{ "gemma3", gemma_layer, 0.0 },
	{ "gemma4", exact_gemma4_layer, 0.0 },
	{ "gptneox", gptneox_layer, 0.0 },
};

static const struct family *open_family(struct exact *e, const char *path, size_t n)
{
	struct gguf_str arch;
	char err[512];
	size_t i;

	e->rc = weights_open(&e->w, path, err, sizeof(err));
	if (e->rc != 0)
		return NULL;
	e->meta = weights_meta(e->w);
	if (gguf_get_str(e->meta, "general.architecture", &arch) != 0 || arch.len >= sizeof(e->arch)) {
		e->rc = -EINVAL;
		return NULL;
	}
	memcpy(e->arch, arch.s, arch.len);
	e->n = n;
	e->n_layer = exact_count(e, "block_count", 0, 0);
	e->n_embd = exact_count(e, "embedding_length", 0, 0);
	e->n_head = exact_count(e, "attention.head_count", 0, 0);
	e->eps = exact_number(e, "attention.layer_norm_rms_epsilon", exact_number(e, "attention.layer_norm_epsilon", 0.0));
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (strcmp(families[i].arch, e->arch) == 0) {
			e->rc = n > EXACT_POSITIONS || e->n_layer == 0 || e->n_layer > EXACT_LAYERS || e->n_embd > EXACT_WIDE ||
				e->n_head == 0 ? -EINVAL : 0;
			return &families[i];
		}
	e->rc = -ENOTSUP;
	return NULL;
}

static void allocate(struct exact *e)
{
	uint32_t i;

	e->x = calloc(e->n, sizeof(*e->x));
	e->h = calloc(e->n, sizeof(*e->h));
	e->q = calloc(e->n, sizeof(*e->q));
	e->att = calloc(e->n, sizeof(*e->att));
	e->extra = calloc(e->n, sizeof(*e->extra));
	if (e->x == NULL || e->h == NULL || e->q == NULL || e->att == NULL || e->extra == NULL)
		e->rc = -ENOMEM;
	for (i = 0; i < e->n_layer; i++) {
		e->k[i] = calloc(e->n, sizeof(*e->k[i]));
		e->v[i] = calloc(e->n, sizeof(*e->v[i]));
		if (e->k[i] == NULL || e->v[i] == NULL)
			e->rc = -ENOMEM;
	}
}

static void release(struct exact *e)
{
	uint32_t i;

	for (i = 0; i < EXACT_LAYERS; i++) {
		free(e->k[i]);
		free(e->v[i]);
	}
	free(e->x);
	free(e->h);
	free(e->q);
	free(e->att);
	free(e->extra);
	weights_close(e->w);
}

static void embed(struct exact *e, const uint32_t *ids)
{
	uint64_t ne[3];
	const float *table = exact_needed(e, EXACT_GLOBAL, "token_embd.weight", ne);
	double scale = strncmp(e->arch, "gemma", 5) == 0 ? sqrt(e->n_embd) : 1.0;
	size_t t, i;

	for (t = 0; t < e->n && e->rc == 0; t++) {
		if (ids[t] >= ne[1])
			e->rc = -EINVAL;
		for (i = 0; i < e->n_embd && e->rc == 0; i++)
			e->x[t][i] = (double)table[ids[t] * ne[0] + i] * scale;
	}
}

static void output(struct exact *e, double cap, double *logits)
{
	const char *name = exact_tensor(e, EXACT_GLOBAL, "output.weight", NULL) != NULL ? "output" : "token_embd";
	double y[EXACT_WIDE];
	size_t t, n, i;

	for (t = 0; t < e->n && e->rc == 0; t++) {
		exact_norm(e, EXACT_GLOBAL, "output_norm", e->x[t], e->h[t]);
		n = exact_linear(e, EXACT_GLOBAL, name, e->h[t], y);
		for (i = 0; i < n; i++)
			logits[t * n + i] = cap != 0.0 ? cap * tanh(y[i] / cap) : y[i];
	}
}

int exact_arch_logits(const char *path, const uint32_t *ids, size_t n, bool rounded, double *logits)
{
	struct exact e = { .rounded = rounded };
	const struct family *f = open_family(&e, path, n);
	uint32_t i, run;

	if (e.rc == 0)
		allocate(&e);
	if (e.rc == 0)
		embed(&e, ids);
	run = e.rc == 0 ? exact_count(&e, "embedding_length_per_layer_input", 0, 0) : 0;
	if (run != 0)
		exact_gemma4_inputs(&e, ids, run);
	for (i = 0; i < e.n_layer && e.rc == 0; i++)
		f->layer(&e, i);
	if (e.rc == 0)
		output(&e, exact_number(&e, "final_logit_softcapping", f->cap), logits);
	release(&e);
	return e.rc;
}
