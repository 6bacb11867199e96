/* block.c - see block.h. */
#include "engine/block.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- loading ------------------------------------------------------------------------------------- */

int block_load_norm(struct model *m, uint32_t i, enum model_part part, bool required, char *err, size_t errlen)
{
	const struct model_want_part want = { part, W_EMBD, W_NONE, required, W_NONE };

	return model_load_parts(m, i, &want, 1, err, errlen);
}

int block_load_attention(struct model *m, uint32_t i, bool qk_norm, char *err, size_t errlen)
{
	static const struct model_want_part parts[] = {
		{ P_ATTN_NORM, W_EMBD, W_NONE, true, W_NONE },
		{ P_WO, W_ATT, W_EMBD, true, W_NONE }, { P_WO_B, W_EMBD, W_NONE, false, W_NONE },
	};
	static const struct model_want_part norms[] = {
		{ P_Q_NORM, W_HEAD_K, W_NONE, true, W_NONE }, { P_K_NORM, W_HEAD_K, W_NONE, true, W_NONE },
	};
	int rc;

	if ((rc = model_load_qkv(m, i, W_Q, err, errlen)) != 0 ||
	    (rc = model_load_parts(m, i, parts, COUNT(parts), err, errlen)) != 0)
		return rc;
	return qk_norm ? model_load_parts(m, i, norms, COUNT(norms), err, errlen) : 0;
}

int block_load_ffn(struct model *m, uint32_t i, bool fused, char *err, size_t errlen)
{
	static const struct model_want_part parts[] = {
		{ P_FFN_GATE, W_EMBD, W_FF, true, W_NONE }, { P_FFN_GATE_B, W_FF, W_NONE, false, W_NONE },
		{ P_FFN_UP, W_EMBD, W_FF, true, W_NONE }, { P_FFN_UP_B, W_FF, W_NONE, false, W_NONE },
		{ P_FFN_DOWN, W_FF, W_EMBD, true, W_NONE }, { P_FFN_DOWN_B, W_EMBD, W_NONE, false, W_NONE },
	};
	static const struct model_want_part in_one[] = {
		{ P_FFN_UP, W_EMBD, W_2FF, true, W_NONE }, { P_FFN_DOWN, W_FF, W_EMBD, true, W_NONE },
	};
	struct model_layer *l = &m->layers[i];
	int rc;

	if (l->moe)
		return model_load_layer_experts(m, i, err, errlen);
	if (!fused)
		return model_load_parts(m, i, parts, COUNT(parts), err, errlen);
	rc = model_load_parts(m, i, in_one, COUNT(in_one), err, errlen);
	if (rc != 0)
		return rc;
	l->t[P_FFN_GATE] = model_rows(&l->t[P_FFN_UP], 0, l->n_ff);
	l->t[P_FFN_UP] = model_rows(&l->t[P_FFN_UP], l->n_ff, l->n_ff);
	return 0;
}

int block_load_shared_expert(struct model *m, uint32_t i, bool required, char *err, size_t errlen)
{
	const struct model_want_part parts[] = {
		{ P_GATE_SHEXP, W_EMBD, W_FF_SHEXP, required, W_NONE }, { P_UP_SHEXP, W_EMBD, W_FF_SHEXP, required, W_NONE },
		{ P_DOWN_SHEXP, W_FF_SHEXP, W_EMBD, required, W_NONE }, { P_ROUTER_SHEXP, W_EMBD, W_NONE, false, W_NONE },
	};

	return model_load_parts(m, i, parts, COUNT(parts), err, errlen);
}

int block_load_plain(struct model *m, bool qk_norm, char *err, size_t errlen)
{
	int rc = model_check_heads(m, err, errlen);
	uint32_t i;

	if (rc != 0)
		return rc;
	for (i = 0; i < m->dims.n_layer; i++)
		if ((rc = block_load_attention(m, i, qk_norm, err, errlen)) != 0 ||
		    (rc = block_load_norm(m, i, P_FFN_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_ffn(m, i, false, err, errlen)) != 0)
			return rc;
	return model_load_ends(m, false, err, errlen);
}

/* ---- attention ----------------------------------------------------------------------------------- */

void block_norm(const struct model *m, struct graph *g, uint32_t i, enum model_part part, enum graph_buf to,
		enum graph_buf from)
{
	const struct weights_tensor *w = &m->layers[i].t[part];

	graph_norm(g, &(struct graph_norm){
		.y = graph_buf(g, to), .x = graph_buf(g, from), .w = w, .b = m->dims.norm == KERN_NORM_LAYER ? w + 1 : NULL,
		.rows = 1, .n = m->dims.n_embd, .eps = m->dims.norm_eps, .kind = m->dims.norm,
	});
}

/* One list of weights serves each head, or each has its own. */
static void head_norm(const struct model *m, struct graph *g, float *x, const struct weights_tensor *w, uint32_t n_head)
{
	struct graph_norm p = {
		.y = x, .x = x, .w = w->ne[1] == 1 ? w : NULL, .rows = n_head, .n = (uint32_t)w->ne[0],
		.eps = m->dims.norm_eps, .kind = m->dims.norm,
	};

	if (w->data == NULL)
		return;
	graph_norm(g, &p);
	if (w->ne[1] > 1)
		graph_mul_weight(g, x, n_head * p.n, w);
}

void block_qk_norm(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_layer *l = &m->layers[i];

	head_norm(m, g, graph_buf(g, GRAPH_Q), &l->t[P_Q_NORM], l->n_head);
	head_norm(m, g, graph_buf(g, GRAPH_K), &l->t[P_K_NORM], l->n_head_kv);
}

void block_rope(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_layer *l = &m->layers[i];
	struct graph_rope p = { graph_buf(g, GRAPH_Q), (uint32_t)l->rope, l->n_head, l->head_k, 0, m->dims.rope_neox };

	if (l->rope < 0)
		return;
	graph_rope(g, &p);
	p.x = graph_buf(g, GRAPH_K);
	p.n_head = l->n_head_kv;
	graph_rope(g, &p);
}

void block_attend(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_dims *d = &m->dims;
	const struct model_layer *l = &m->layers[i];
	bool own = l->kv_layer == i;

	if (d->temp_scale != 0.0f)
		graph_temperature(g, graph_buf(g, GRAPH_Q), l->n_head * l->head_k, d->temp_scale, d->temp_length);
	graph_attention(g, &(struct graph_attn){
		.att = graph_buf(g, GRAPH_ATT), .q = graph_buf(g, GRAPH_Q), .k = own ? graph_buf(g, GRAPH_K) : NULL,
		.v = own && !l->v_of_k ? graph_buf(g, GRAPH_V) : NULL, .layer = l->kv_layer, .n_head = l->n_head, .n_head_kv = l->n_head_kv,
		.head_k = l->head_k, .head_v = l->head_v, .window = l->window,
		.scale = d->attn_scale != 0.0f ? d->attn_scale : 1.0f / sqrtf((float)l->head_k),
		.softcap = d->attn_softcap, .sinks = &l->t[P_SINKS],
	});
}

void block_attention(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;

	graph_linear(g, graph_buf(g, GRAPH_XN), (struct graph_linear[]){
		{ graph_buf(g, GRAPH_Q), &t[P_WQ], &t[P_WQ_B] }, { graph_buf(g, GRAPH_K), &t[P_WK], &t[P_WK_B] },
		{ graph_buf(g, GRAPH_V), &t[P_WV], &t[P_WV_B] } }, 3);
	block_qk_norm(m, g, i);
	block_rope(m, g, i);
	block_attend(m, g, i);
	graph_linear(g, graph_buf(g, GRAPH_ATT), &(struct graph_linear){ graph_buf(g, GRAPH_Y), &t[P_WO], &t[P_WO_B] }, 1);
}

/* ---- feed-forward network ------------------------------------------------------------------------ */

/* y = down(act(gate) * up), of those three parts with the biases behind them; without a gate down(act(up)). */
static void gated(const struct model *m, struct graph *g, const struct weights_tensor *gate, const struct weights_tensor *up,
		  const struct weights_tensor *down, bool biased, float *y)
{
	float *gb = graph_buf(g, GRAPH_GATE), *ub = graph_buf(g, GRAPH_UP);
	const struct weights_tensor *none = NULL;
	const struct graph_linear out = { y, down, biased ? down + 1 : none };
	uint32_t n = (uint32_t)up->ne[1];

	if (gate->data != NULL) {
		graph_linear(g, graph_buf(g, GRAPH_XN), (struct graph_linear[]){
			{ gb, gate, biased ? gate + 1 : none }, { ub, up, biased ? up + 1 : none } }, 2);
		graph_glu(g, m->dims.act, gb, ub, n);
		graph_linear(g, gb, &out, 1);
		return;
	}
	graph_linear(g, graph_buf(g, GRAPH_XN), &(struct graph_linear){ ub, up, biased ? up + 1 : none }, 1);
	graph_glu(g, m->dims.act, ub, NULL, n);
	graph_linear(g, ub, &out, 1);
}

void block_dense_ffn(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;

	gated(m, g, &t[P_FFN_GATE], &t[P_FFN_UP], &t[P_FFN_DOWN], true, graph_buf(g, GRAPH_Y));
}

void block_router(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;

	graph_linear(g, graph_buf(g, GRAPH_XN),
		     &(struct graph_linear){ graph_buf(g, GRAPH_T), &t[P_ROUTER], &t[P_ROUTER_B] }, 1);
}

void block_experts(const struct model *m, struct graph *g, uint32_t i, float *y)
{
	const struct model_dims *d = &m->dims;
	const struct weights_tensor *t = m->layers[i].t;

	graph_moe(g, &(struct graph_moe){
		.y = y, .x = graph_buf(g, GRAPH_XN), .scores = graph_buf(g, GRAPH_T),
		.gate = &t[P_GATE_EXPS], .up = &t[P_UP_EXPS], .down = &t[P_DOWN_EXPS],
		.gate_b = &t[P_GATE_EXPS_B], .up_b = &t[P_UP_EXPS_B], .down_b = &t[P_DOWN_EXPS_B],
		.down_scale = &t[P_DOWN_EXPS_SCALE], .bias = &t[P_ROUTER_BIAS],
		.n_expert = d->n_expert, .n_used = d->n_expert_used, .n_group = d->n_group, .n_group_used = d->n_group_used,
		.sigmoid = d->gating == MODEL_GATE_SIGMOID, .softmax_after = d->gating == MODEL_GATE_SOFTMAX_TOP,
		.norm = d->expert_norm, .scale = d->expert_scale, .act = d->act,
	});
}

/* U = the expert that sees every token, times its gate where there is one. */
static void shared_expert(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;
	float *y = graph_buf(g, GRAPH_U), *gate = graph_buf(g, GRAPH_T);

	gated(m, g, &t[P_GATE_SHEXP], &t[P_UP_SHEXP], &t[P_DOWN_SHEXP], false, y);
	if (t[P_ROUTER_SHEXP].data == NULL)
		return;
	graph_linear(g, graph_buf(g, GRAPH_XN), &(struct graph_linear){ gate, &t[P_ROUTER_SHEXP], NULL }, 1);
	graph_glu(g, KERN_GLU_SIGMOID, gate, NULL, 1);
	graph_gate_rows(g, y, gate, m->dims.n_embd);
}

void block_ffn(const struct model *m, struct graph *g, uint32_t i)
{
	float *y = graph_buf(g, GRAPH_Y);

	if (!m->layers[i].moe) {
		block_dense_ffn(m, g, i);
		return;
	}
	block_router(m, g, i);
	block_experts(m, g, i, y);
	if (m->layers[i].t[P_UP_SHEXP].data == NULL)
		return;
	shared_expert(m, g, i);
	graph_add(g, y, graph_buf(g, GRAPH_U), m->dims.n_embd, 1.0f);
}

/* ---- layers -------------------------------------------------------------------------------------- */

void block_add(const struct model *m, struct graph *g, uint32_t i, enum model_part post)
{
	float scale = m->dims.residual_scale;

	if (m->layers[i].t[post].data != NULL)
		block_norm(m, g, i, post, GRAPH_Y, GRAPH_Y);
	graph_add(g, graph_buf(g, GRAPH_X), graph_buf(g, GRAPH_Y), m->dims.n_embd, scale != 0.0f ? scale : 1.0f);
}

void block_ffn_residual(const struct model *m, struct graph *g, uint32_t i)
{
	block_norm(m, g, i, P_FFN_NORM, GRAPH_XN, GRAPH_X);
	block_ffn(m, g, i);
	block_add(m, g, i, P_FFN_POST_NORM);
}

void block_layer(const struct model *m, struct graph *g, uint32_t i)
{
	block_norm(m, g, i, P_ATTN_NORM, GRAPH_XN, GRAPH_X);
	block_attention(m, g, i);
	block_add(m, g, i, P_ATTN_POST_NORM);
	block_ffn_residual(m, g, i);
}
