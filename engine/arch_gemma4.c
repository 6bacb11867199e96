/* arch_gemma4.c - Gemma 4: heads of other sizes in layers with a window, scores not scaled, values normed by head and
 * made of the keys where there is no attn_v; the last layers use keys and values of earlier ones; embeddings of its own
 * for each layer; a mixture of experts beside the dense network, each with norms of its own. */
#include <errno.h>
#include <math.h>

#include "engine/arch.h"
#include "engine/block.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- loading ------------------------------------------------------------------------------------- */

/* Sizes of heads and tables of angles: 0 for layers that see everything, 1 for those with a window. */
static int load_heads(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t k = d->head_k, v = d->head_v, n_rot, i;
	int rc;

	m->rope[1] = m->rope[0];
	m->rope[1].angles.scale = 1.0f;
	if ((rc = model_key_u32(m, "attention.key_length_swa", true, &k, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.value_length_swa", true, &v, err, errlen)) != 0 ||
	    (rc = model_range(m, "attention.key_length_swa", k, KERN_HEAD_MAX, err, errlen)) != 0 ||
	    (rc = model_range(m, "attention.value_length_swa", v, KERN_HEAD_MAX, err, errlen)) != 0)
		return rc;
	n_rot = k;
	if ((rc = model_key_u32(m, "rope.dimension_count_swa", false, &n_rot, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.freq_base_swa", false, &m->rope[1].angles.base, err, errlen)) != 0)
		return rc;
	if (n_rot < 2 || n_rot % 2 != 0 || n_rot > k)
		return model_fault(err, errlen, -EINVAL, "the key '%s.rope.dimension_count_swa' is %u with heads of %u",
				   m->arch->name, n_rot, k);
	m->rope[1].angles.n_rot = n_rot;
	for (i = 0; i < d->n_layer; i++)
		if (m->layers[i].window > 0) {
			m->layers[i].head_k = k;
			m->layers[i].head_v = v;
			m->layers[i].rope = 1;
		}
	return 0;
}

static bool same_kv(const struct model_layer *a, const struct model_layer *b)
{
	return a->n_head_kv == b->n_head_kv && a->head_k == b->head_k && a->head_v == b->head_v;
}

/* The last layers use the keys and values of the last layer before them that is of their kind. */
static int share_kv(struct model *m, char *err, size_t errlen)
{
	uint32_t shared = 0, first, i, j;
	int rc = model_key_u32(m, "attention.shared_kv_layers", false, &shared, err, errlen);

	if (rc != 0)
		return rc;
	if (shared >= m->dims.n_layer)
		return model_range(m, "attention.shared_kv_layers", shared, m->dims.n_layer - 1, err, errlen);
	first = m->dims.n_layer - shared;
	for (i = first; i < m->dims.n_layer; i++) {
		for (j = first; j > 0 && (m->layers[j - 1].window > 0) != (m->layers[i].window > 0); j--)
			;
		if (j == 0)
			return model_fault(err, errlen, -EINVAL, "layer %u has no layer to share keys and values with", i);
		if (!same_kv(&m->layers[i], &m->layers[j - 1]))
			return model_fault(err, errlen, -EINVAL, "layer %u cannot share keys and values of another size with layer %u",
					   i, j - 1);
		m->layers[i].kv_layer = j - 1;
	}
	return 0;
}

static int load_attention(struct model *m, uint32_t i, char *err, size_t errlen)
{
	bool own = m->layers[i].kv_layer == i;
	const struct model_want_part parts[] = {
		{ P_ATTN_NORM, W_EMBD, W_NONE, true, W_NONE }, { P_ATTN_POST_NORM, W_EMBD, W_NONE, true, W_NONE },
		{ P_WQ, W_EMBD, W_Q, true, W_NONE }, { P_WK, W_EMBD, W_K, own, W_NONE }, { P_WV, W_EMBD, W_V, false, W_NONE },
		{ P_WO, W_ATT, W_EMBD, true, W_NONE },
		{ P_Q_NORM, W_HEAD_K, W_NONE, true, W_NONE }, { P_K_NORM, W_HEAD_K, W_NONE, own, W_NONE },
		{ P_OUT_SCALE, W_ONE, W_NONE, false, W_NONE },
	};

	return model_load_parts(m, i, parts, COUNT(parts), err, errlen);
}

static int load_ffn(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part parts[] = {
		{ P_FFN_NORM, W_EMBD, W_NONE, true, W_NONE }, { P_FFN_POST_NORM, W_EMBD, W_NONE, true, W_NONE },
		{ P_FFN_GATE, W_EMBD, W_FF, true, W_NONE }, { P_FFN_UP, W_EMBD, W_FF, true, W_NONE },
		{ P_FFN_DOWN, W_FF, W_EMBD, true, W_NONE },
	};
	static const struct model_want_part experts[] = {
		{ P_ROUTER_SCALE, W_EMBD, W_NONE, true, W_NONE }, { P_FFN_PRE_NORM_2, W_EMBD, W_NONE, true, W_NONE },
		{ P_FFN_POST_NORM_1, W_EMBD, W_NONE, true, W_NONE }, { P_FFN_POST_NORM_2, W_EMBD, W_NONE, true, W_NONE },
		{ P_DOWN_EXPS_SCALE, W_EXPERTS, W_NONE, false, W_NONE },
	};
	static const struct model_want_part own[] = {
		{ P_LAYER_GATE, W_EMBD, W_EMBD_LAYER, true, W_NONE }, { P_LAYER_PROJ, W_EMBD_LAYER, W_EMBD, true, W_NONE },
		{ P_LAYER_POST_NORM, W_EMBD, W_NONE, true, W_NONE },
	};
	int rc = model_load_parts(m, i, parts, COUNT(parts), err, errlen);

	if (rc == 0 && m->layers[i].moe && (rc = model_load_parts(m, i, experts, COUNT(experts), err, errlen)) == 0)
		rc = model_load_layer_experts(m, i, err, errlen);
	if (rc == 0 && m->dims.n_embd_layer > 0)
		rc = model_load_parts(m, i, own, COUNT(own), err, errlen);
	return rc;
}

/* Embeddings of its own for each layer: a table, and a projection of the stream that is added to it. */
static int load_layer_embeddings(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint64_t all = (uint64_t)d->n_embd_layer * d->n_layer;
	const struct model_want table = { "per_layer_token_embd.weight", all, d->n_vocab, 0, true, false };
	const struct model_want proj = { "per_layer_model_proj.weight", d->n_embd, all, 0, true, false };
	const struct model_want norm = { "per_layer_proj_norm.weight", d->n_embd_layer, 0, 0, true, true };
	int rc;

	if (d->n_embd_layer == 0)
		return 0;
	rc = model_range(m, "embedding_length_per_layer_input", d->n_embd_layer, MODEL_EMBD_MAX, err, errlen);
	if (rc != 0)
		return rc;
	model_widen(m, GRAPH_LAYERS, all);
	model_widen(m, GRAPH_T, all);
	model_widen(m, GRAPH_GATE, d->n_embd_layer);
	model_widen(m, GRAPH_UP, d->n_embd_layer);
	if ((rc = model_tensor(m, &table, &m->layer_embd, err, errlen)) != 0 ||
	    (rc = model_tensor(m, &proj, &m->layer_proj, err, errlen)) != 0)
		return rc;
	return model_tensor(m, &norm, &m->layer_proj_norm, err, errlen);
}

static int load_dims(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	int rc;

	d->act = KERN_GLU_GELU;
	d->rope_neox = true;
	d->attn_scale = 1.0f;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (rc = model_load_experts(m, false, false, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.sliding_window", true, &d->window, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "embedding_length_per_layer_input", false, &d->n_embd_layer, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "final_logit_softcapping", false, &d->logit_softcap, err, errlen)) != 0 ||
	    (rc = model_load_windows(m, 6, err, errlen)) != 0 || (rc = load_heads(m, err, errlen)) != 0)
		return rc;
	d->expert_norm = true;
	d->embd_scale = sqrtf((float)d->n_embd);
	rc = model_check_head_sizes(m, err, errlen);    /* a value may be made of its key */
	return rc != 0 ? rc : share_kv(m, err, errlen);
}

static int load_gemma4(struct model *m, char *err, size_t errlen)
{
	uint32_t i;
	int rc;

	if ((rc = load_dims(m, err, errlen)) != 0 || (rc = load_layer_embeddings(m, err, errlen)) != 0)
		return rc;
	for (i = 0; i < m->dims.n_layer; i++)
		if ((rc = load_attention(m, i, err, errlen)) != 0 || (rc = load_ffn(m, i, err, errlen)) != 0)
			return rc;
	return model_load_ends(m, false, err, errlen);
}

/* ---- computing ----------------------------------------------------------------------------------- */

/* LAYERS = (table sqrt(n_embd_layer) + norm(projection / sqrt(n_embd))) / sqrt(2), of each layer. */
static void begin_gemma4(const struct model *m, struct graph *g, const uint32_t *tokens)
{
	const struct model_dims *d = &m->dims;
	float *all = graph_buf(g, GRAPH_LAYERS), *proj = graph_buf(g, GRAPH_T);
	uint32_t n = d->n_embd_layer * d->n_layer;

	if (n == 0)
		return;
	graph_embed(g, all, &m->layer_embd, tokens);
	graph_scale(g, all, n, sqrtf((float)d->n_embd_layer));
	graph_linear(g, graph_buf(g, GRAPH_X), &(struct graph_linear){ proj, &m->layer_proj, NULL }, 1);
	graph_scale(g, proj, n, 1.0f / sqrtf((float)d->n_embd));
	graph_norm(g, &(struct graph_norm){ proj, proj, &m->layer_proj_norm, NULL, d->n_layer, d->n_embd_layer, d->norm_eps,
					    KERN_NORM_RMS });
	graph_add(g, all, proj, n, 1.0f);
	graph_scale(g, all, n, 1.0f / sqrtf(2.0f));
}

static void attention(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_layer *l = &m->layers[i];
	const struct weights_tensor *t = l->t;
	float *q = graph_buf(g, GRAPH_Q), *k = graph_buf(g, GRAPH_K), *v = graph_buf(g, GRAPH_V);
	uint32_t n = l->n_head_kv * l->head_k;
	bool own = l->kv_layer == i;

	graph_linear(g, graph_buf(g, GRAPH_XN), (struct graph_linear[]){
		{ q, &t[P_WQ], NULL }, { k, &t[P_WK], NULL }, { v, &t[P_WV], NULL } }, !own ? 1 : t[P_WV].data == NULL ? 2 : 3);
	if (own && t[P_WV].data == NULL)
		graph_pick(g, &(struct graph_pick){ v, k, 1, n, 0, n });
	block_qk_norm(m, g, i);         /* without keys of its own it has no norm of them */
	if (own)
		graph_norm(g, &(struct graph_norm){ v, v, NULL, NULL, l->n_head_kv, l->head_v, m->dims.norm_eps, KERN_NORM_RMS });
	block_rope(m, g, i);
	block_attend(m, g, i);
	graph_linear(g, graph_buf(g, GRAPH_ATT), &(struct graph_linear){ graph_buf(g, GRAPH_Y), &t[P_WO], NULL }, 1);
}

/* Y = norm(dense(norm(x))) + norm(experts(norm(x))), where the router sees x normed and weighed by itself. */
static void both_networks(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_dims *d = &m->dims;
	const struct weights_tensor *t = m->layers[i].t;
	float *xn = graph_buf(g, GRAPH_XN), *y = graph_buf(g, GRAPH_Y), *u = graph_buf(g, GRAPH_U);

	block_norm(m, g, i, P_FFN_NORM, GRAPH_XN, GRAPH_X);
	block_dense_ffn(m, g, i);
	block_norm(m, g, i, P_FFN_POST_NORM_1, GRAPH_Y, GRAPH_Y);
	graph_norm(g, &(struct graph_norm){ xn, graph_buf(g, GRAPH_X), NULL, NULL, 1, d->n_embd, d->norm_eps, KERN_NORM_RMS });
	graph_scale(g, xn, d->n_embd, 1.0f / sqrtf((float)d->n_embd));
	graph_mul_weight(g, xn, d->n_embd, &t[P_ROUTER_SCALE]);
	block_router(m, g, i);
	block_norm(m, g, i, P_FFN_PRE_NORM_2, GRAPH_XN, GRAPH_X);
	block_experts(m, g, i, u);
	block_norm(m, g, i, P_FFN_POST_NORM_2, GRAPH_U, GRAPH_U);
	graph_add(g, y, u, d->n_embd, 1.0f);
}

/* X += norm(proj(act(gate(x)) * what the token brings for this layer)) */
static void add_layer_embedding(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_dims *d = &m->dims;
	const struct weights_tensor *t = m->layers[i].t;
	float *gate = graph_buf(g, GRAPH_GATE), *mine = graph_buf(g, GRAPH_UP);

	graph_linear(g, graph_buf(g, GRAPH_X), &(struct graph_linear){ gate, &t[P_LAYER_GATE], NULL }, 1);
	graph_pick(g, &(struct graph_pick){ mine, graph_buf(g, GRAPH_LAYERS), 1, d->n_embd_layer * d->n_layer,
					    d->n_embd_layer * i, d->n_embd_layer });
	graph_glu(g, d->act, gate, mine, d->n_embd_layer);
	graph_linear(g, gate, &(struct graph_linear){ graph_buf(g, GRAPH_Y), &t[P_LAYER_PROJ], NULL }, 1);
	block_add(m, g, i, P_LAYER_POST_NORM);
}

static void layer_gemma4(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;

	block_norm(m, g, i, P_ATTN_NORM, GRAPH_XN, GRAPH_X);
	attention(m, g, i);
	block_add(m, g, i, P_ATTN_POST_NORM);
	if (m->layers[i].moe) {
		both_networks(m, g, i);
	} else {
		block_norm(m, g, i, P_FFN_NORM, GRAPH_XN, GRAPH_X);
		block_dense_ffn(m, g, i);
	}
	block_add(m, g, i, P_FFN_POST_NORM);
	if (m->dims.n_embd_layer > 0)
		add_layer_embedding(m, g, i);
	if (t[P_OUT_SCALE].data != NULL)
		graph_mul_weight(g, graph_buf(g, GRAPH_X), m->dims.n_embd, &t[P_OUT_SCALE]);
}

const struct arch arch_gemma4 = { "gemma4", load_gemma4, begin_gemma4, layer_gemma4 };
