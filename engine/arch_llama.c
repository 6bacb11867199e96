/* arch_llama.c - RMS norm, grouped-query attention with NORM rope, SwiGLU; biases where the file has
 * them; the output matrix is the embedding table where the file has none. */
#include "engine/arch_llama.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "engine/graph.h"
#include "engine/model_internal.h"

/* blk.<i>.<name>: where it goes and which of the layer's widths are its columns and rows. */
enum width { W_NONE, W_EMBD, W_Q, W_K, W_V, W_ATT, W_FF };

static const struct {
	const char *name;
	size_t off;
	enum width cols, rows;
	bool required;
} parts[] = {
	{ "attn_norm.weight", offsetof(struct model_layer, attn_norm), W_EMBD, W_NONE, true },
	{ "attn_q.weight", offsetof(struct model_layer, wq), W_EMBD, W_Q, true },
	{ "attn_k.weight", offsetof(struct model_layer, wk), W_EMBD, W_K, true },
	{ "attn_v.weight", offsetof(struct model_layer, wv), W_EMBD, W_V, true },
	{ "attn_output.weight", offsetof(struct model_layer, wo), W_ATT, W_EMBD, true },
	{ "attn_q.bias", offsetof(struct model_layer, bq), W_Q, W_NONE, false },
	{ "attn_k.bias", offsetof(struct model_layer, bk), W_K, W_NONE, false },
	{ "attn_v.bias", offsetof(struct model_layer, bv), W_V, W_NONE, false },
	{ "attn_output.bias", offsetof(struct model_layer, bo), W_EMBD, W_NONE, false },
	{ "ffn_norm.weight", offsetof(struct model_layer, ffn_norm), W_EMBD, W_NONE, true },
	{ "ffn_gate.weight", offsetof(struct model_layer, ffn_gate), W_EMBD, W_FF, true },
	{ "ffn_up.weight", offsetof(struct model_layer, ffn_up), W_EMBD, W_FF, true },
	{ "ffn_down.weight", offsetof(struct model_layer, ffn_down), W_FF, W_EMBD, true },
	{ "ffn_gate.bias", offsetof(struct model_layer, b_gate), W_FF, W_NONE, false },
	{ "ffn_up.bias", offsetof(struct model_layer, b_up), W_FF, W_NONE, false },
	{ "ffn_down.bias", offsetof(struct model_layer, b_down), W_EMBD, W_NONE, false },
};

static uint64_t width_of(const struct model *m, const struct model_layer *l, enum width w)
{
	const struct model_dims *d = &m->dims;

	switch (w) {
	case W_EMBD:
		return d->n_embd;
	case W_Q:
		return (uint64_t)l->n_head * d->head_k;
	case W_K:
		return (uint64_t)l->n_head_kv * d->head_k;
	case W_V:
		return (uint64_t)l->n_head_kv * d->head_v;
	case W_ATT:
		return (uint64_t)l->n_head * d->head_v;
	case W_FF:
		return l->n_ff;
	case W_NONE:
		break;
	}
	return 0;
}

static int load_layer(struct model *m, uint32_t i, char *err, size_t errlen)
{
	struct model_layer *l = &m->layers[i];
	char name[MODEL_NAME_MAX];
	size_t k;
	int rc;

	for (k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
		struct model_want want = {
			.name = name, .cols = width_of(m, l, parts[k].cols), .rows = width_of(m, l, parts[k].rows),
			.required = parts[k].required, .plain = parts[k].rows == W_NONE,
		};

		snprintf(name, sizeof(name), "blk.%u.%s", i, parts[k].name);
		rc = model_tensor(m, &want, (struct weights_tensor *)((char *)l + parts[k].off), err, errlen);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int load_ends(struct model *m, char *err, size_t errlen)
{
	const struct model_dims *d = &m->dims;
	const struct model_want norm = { "output_norm.weight", d->n_embd, 0, true, true };
	const struct model_want out = { "output.weight", d->n_embd, d->n_vocab, false, false };
	const struct model_want freqs = { "rope_freqs.weight", d->n_rot / 2, 0, false, true };
	int rc;

	if ((rc = model_tensor(m, &norm, &m->output_norm, err, errlen)) != 0 ||
	    (rc = model_tensor(m, &out, &m->output, err, errlen)) != 0)
		return rc;
	if (m->output.data == NULL)
		m->output = m->tok_embd;
	return model_tensor(m, &freqs, &m->rope_freqs, err, errlen);
}

static int load_llama(struct model *m, char *err, size_t errlen)
{
	uint32_t i, experts = 0;
	int rc;

	if ((rc = model_load_dims(m, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "attention.layer_norm_rms_epsilon", true, &m->dims.norm_eps, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_count", false, &experts, err, errlen)) != 0)
		return rc;
	if (m->dims.norm_eps < 0.0f) {
		snprintf(err, errlen, "the key 'llama.attention.layer_norm_rms_epsilon' is negative");
		return -EINVAL;
	}
	if (experts != 0) {
		snprintf(err, errlen, "mixtures of experts are not supported (%u experts)", experts);
		return -ENOTSUP;
	}
	rc = model_load_layers(m, err, errlen);
	for (i = 0; i < m->dims.n_layer && rc == 0; i++)
		rc = load_layer(m, i, err, errlen);
	if (rc != 0)
		return rc;
	return load_ends(m, err, errlen);
}

static void attention(const struct model *m, struct graph *g, uint32_t i)
{
	const struct graph_bufs *b = graph_bufs(g);
	const struct model_dims *d = &m->dims;
	const struct model_layer *l = &m->layers[i];

	graph_rms_norm(g, &(struct graph_norm){ b->xn, b->x, &l->attn_norm, d->norm_eps });
	graph_linear(g, b->xn, (struct graph_linear[]){ { b->q, &l->wq, &l->bq }, { b->k, &l->wk, &l->bk },
							{ b->v, &l->wv, &l->bv } }, 3);
	graph_rope(g, b->q, l->n_head, d->head_k);
	graph_rope(g, b->k, l->n_head_kv, d->head_k);
	graph_attention(g, &(struct graph_attn){
		.att = b->att, .q = b->q, .k = b->k, .v = b->v, .layer = i, .n_head = l->n_head,
		.n_head_kv = l->n_head_kv, .head_k = d->head_k, .head_v = d->head_v,
		.scale = 1.0f / sqrtf((float)d->head_k),
	});
	graph_linear(g, b->att, &(struct graph_linear){ b->xn, &l->wo, &l->bo }, 1);
	graph_add(g, b->x, b->xn, d->n_embd);
}

static void mlp(const struct model *m, struct graph *g, uint32_t i)
{
	const struct graph_bufs *b = graph_bufs(g);
	const struct model_layer *l = &m->layers[i];

	graph_rms_norm(g, &(struct graph_norm){ b->xn, b->x, &l->ffn_norm, m->dims.norm_eps });
	graph_linear(g, b->xn, (struct graph_linear[]){ { b->gate, &l->ffn_gate, &l->b_gate },
							{ b->up, &l->ffn_up, &l->b_up } }, 2);
	graph_silu_mul(g, b->gate, b->up, l->n_ff);
	graph_linear(g, b->gate, &(struct graph_linear){ b->xn, &l->ffn_down, &l->b_down }, 1);
	graph_add(g, b->x, b->xn, m->dims.n_embd);
}

static void begin_llama(const struct model *m, struct graph *g)
{
	const struct model_dims *d = &m->dims;

	graph_rope_angles(g, &(struct graph_angles){ d->rope_base, d->rope_scale, &m->rope_freqs, d->n_rot });
}

static void layer_llama(const struct model *m, struct graph *g, uint32_t i)
{
	attention(m, g, i);
	mlp(m, g, i);
}

const struct arch arch_llama = {
	.name = "llama",
	.load = load_llama,
	.begin = begin_llama,
	.layer = layer_llama,
};
