/* arch_qwen_next.c - Qwen 3 Next and Qwen 3.5: three layers of four are gated delta nets, which carry a state in place of
 * keys and values; in the fourth attention's result is multiplied by the sigmoid of a gate that comes with the queries.
 *
 * A delta net: q, k and v of one projection go through a short convolution and SiLU, q and k are made unit vectors, the
 * state of each value head forgets by e^g and learns by beta (kern.h), and the result is normed by head and multiplied
 * by SiLU(z).  Value heads share key heads: side by side in Qwen 3 Next, one round after the other in Qwen 3.5. */
#include <errno.h>
#include <math.h>

#include "engine/arch.h"
#include "engine/block.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- loading ------------------------------------------------------------------------------------- */

static int load_state_dims(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t inner = 0;
	int rc;

	if ((rc = model_key_u32(m, "ssm.conv_kernel", true, &d->conv_taps, err, errlen)) != 0 ||
	    (rc = model_range(m, "ssm.conv_kernel", d->conv_taps, KERN_CONV_TAPS, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "ssm.state_size", true, &d->state_dim, err, errlen)) != 0 ||
	    (rc = model_range(m, "ssm.state_size", d->state_dim, KERN_HEAD_MAX, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "ssm.group_count", true, &d->state_k, err, errlen)) != 0 ||
	    (rc = model_range(m, "ssm.group_count", d->state_k, 65536, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "ssm.time_step_rank", true, &d->state_v, err, errlen)) != 0 ||
	    (rc = model_range(m, "ssm.time_step_rank", d->state_v, 65536, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "ssm.inner_size", true, &inner, err, errlen)) != 0)
		return rc;
	if (d->state_v % d->state_k != 0 || inner != d->state_v * d->state_dim)
		return model_fault(err, errlen, -EINVAL, "the keys '%s.ssm.*' do not agree", m->arch->name);
	return 0;
}

/* A flag a layer, or all but every n-th. */
static int load_kinds(struct model *m, char *err, size_t errlen)
{
	uint32_t i, flag = 0, interval = 4;
	bool flags = model_has_key(m, "attention.recurrent_layers");
	int rc = model_key_u32(m, "full_attention_interval", false, &interval, err, errlen);

	if (rc == 0)
		rc = model_range(m, "full_attention_interval", interval, MODEL_LAYERS_MAX, err, errlen);
	for (i = 0; i < m->dims.n_layer && rc == 0; i++) {
		if (flags)
			rc = model_key_layer(m, "attention.recurrent_layers", i, true, &flag, err, errlen);
		else
			flag = (i + 1) % interval != 0;
		m->layers[i].kind = flag != 0 ? MODEL_DELTA_NET : MODEL_ATTENTION;
	}
	return rc;
}

static int load_delta_net(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part parts[] = {
		{ P_SSM_IN, W_EMBD, W_DELTA_QKVZ, false, W_NONE },
		{ P_SSM_CONV, W_TAPS, W_DELTA_QKV, true, W_NONE }, { P_SSM_DT_B, W_STATE_V, W_NONE, true, W_NONE },
		{ P_SSM_A, W_STATE_V, W_NONE, true, W_NONE }, { P_SSM_NORM, W_STATE_DIM, W_NONE, true, W_NONE },
		{ P_SSM_OUT, W_DELTA_V, W_EMBD, true, W_NONE }, { P_SSM_BA, W_EMBD, W_STATE_2V, false, W_NONE },
	};
	static const struct model_want_part in_two[] = {
		{ P_WQKV, W_EMBD, W_DELTA_QKV, true, W_NONE }, { P_ATTN_GATE, W_EMBD, W_DELTA_V, true, W_NONE },
	};
	static const struct model_want_part apart[] = {
		{ P_SSM_BETA, W_EMBD, W_STATE_V, true, W_NONE }, { P_SSM_ALPHA, W_EMBD, W_STATE_V, true, W_NONE },
	};
	int rc = model_load_parts(m, i, parts, COUNT(parts), err, errlen);

	if (rc == 0 && m->layers[i].t[P_SSM_IN].data == NULL)
		rc = model_load_parts(m, i, in_two, COUNT(in_two), err, errlen);
	if (rc != 0 || m->layers[i].t[P_SSM_BA].data != NULL)
		return rc;
	return model_load_parts(m, i, apart, COUNT(apart), err, errlen);
}

static int load_attention(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part parts[] = {
		{ P_WO, W_ATT, W_EMBD, true, W_NONE },
		{ P_Q_NORM, W_HEAD_K, W_NONE, true, W_NONE }, { P_K_NORM, W_HEAD_K, W_NONE, true, W_NONE },
	};
	int rc = model_load_parts(m, i, parts, COUNT(parts), err, errlen);

	return rc != 0 ? rc : model_load_qkv(m, i, W_2Q, err, errlen);
}

static int load_layer(struct model *m, uint32_t i, char *err, size_t errlen)
{
	int rc;

	if ((rc = block_load_norm(m, i, P_ATTN_NORM, true, err, errlen)) != 0 ||
	    (rc = model_load_ffn_norm(m, i, P_ATTN_POST_NORM, err, errlen)) != 0 ||
	    (rc = m->layers[i].kind == MODEL_DELTA_NET ? load_delta_net(m, i, err, errlen) :
							 load_attention(m, i, err, errlen)) != 0 ||
	    (rc = block_load_ffn(m, i, false, err, errlen)) != 0)
		return rc;
	return m->layers[i].moe ? block_load_shared_expert(m, i, m->dims.n_ff_shexp > 0, err, errlen) : 0;
}

static void set_buffers(struct model *m)
{
	const struct model_dims *d = &m->dims;
	uint64_t keys = (uint64_t)d->state_dim * d->state_k, values = (uint64_t)d->state_dim * d->state_v;

	model_widen(m, GRAPH_T, 2 * keys + 2 * values);
	model_widen(m, GRAPH_LAYERS, values);
	model_widen(m, GRAPH_T, 2 * (uint64_t)model_most_heads(m) * d->head_k);
	model_widen(m, GRAPH_U, 2 * keys + values);
	model_widen(m, GRAPH_U, (uint64_t)model_most_heads(m) * d->head_k);
	model_widen(m, GRAPH_Q, keys);
	model_widen(m, GRAPH_K, keys);
	model_widen(m, GRAPH_V, values);
	model_widen(m, GRAPH_ATT, values);
	model_widen(m, GRAPH_GATE, 2 * (uint64_t)d->state_v);
	model_widen(m, GRAPH_UP, d->state_v);
	model_widen(m, GRAPH_Y, 2 * (uint64_t)d->state_v);
}

static int load(struct model *m, bool moe, bool tiled, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t i;
	int rc;

	d->act = KERN_GLU_SILU;
	d->rope_neox = true;
	d->state_tiled = tiled;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (moe && (rc = model_load_experts(m, true, true, err, errlen)) != 0) ||
	    (rc = model_check_head_sizes(m, err, errlen)) != 0 ||      /* a gate is as wide as queries and values */
	    (rc = load_state_dims(m, err, errlen)) != 0 || (rc = load_kinds(m, err, errlen)) != 0)
		return rc;
	d->gating = MODEL_GATE_SOFTMAX;
	d->expert_norm = true;          /* and no scale, whatever the keys say, as in llama.cpp */
	d->expert_scale = 0.0f;
	if (moe && d->n_ff_shexp == 0)
		d->n_ff_shexp = m->layers[0].n_ff;
	for (i = 0; i < d->n_layer && rc == 0; i++)
		rc = load_layer(m, i, err, errlen);
	set_buffers(m);
	return rc != 0 ? rc : model_load_ends(m, false, err, errlen);
}

static int load_qwen3next(struct model *m, char *err, size_t errlen)
{
	return load(m, true, false, err, errlen);
}

static int load_qwen35(struct model *m, char *err, size_t errlen)
{
	return load(m, false, true, err, errlen);
}

static int load_qwen35moe(struct model *m, char *err, size_t errlen)
{
	return load(m, true, true, err, errlen);
}

/* ---- computing ----------------------------------------------------------------------------------- */

static void gated_attention(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_layer *l = &m->layers[i];
	const struct weights_tensor *t = l->t;
	float *both = graph_buf(g, GRAPH_T), *gate = graph_buf(g, GRAPH_U), *att = graph_buf(g, GRAPH_ATT);
	uint32_t n = l->head_k;

	graph_linear(g, graph_buf(g, GRAPH_XN), (struct graph_linear[]){
		{ both, &t[P_WQ], &t[P_WQ_B] }, { graph_buf(g, GRAPH_K), &t[P_WK], &t[P_WK_B] },
		{ graph_buf(g, GRAPH_V), &t[P_WV], &t[P_WV_B] } }, 3);
	graph_pick(g, &(struct graph_pick){ graph_buf(g, GRAPH_Q), both, l->n_head, 2 * n, 0, n });
	graph_pick(g, &(struct graph_pick){ gate, both, l->n_head, 2 * n, n, n });
	block_qk_norm(m, g, i);
	block_rope(m, g, i);
	block_attend(m, g, i);
	graph_glu(g, KERN_GLU_SIGMOID, gate, att, l->n_head * n);
	graph_linear(g, gate, &(struct graph_linear){ graph_buf(g, GRAPH_Y), &t[P_WO], NULL }, 1);
}

/* GATE = a of each value head, UP = b: of two matrices, or of one that has b and a by key head. */
static void decay_and_beta(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_dims *d = &m->dims;
	const struct weights_tensor *t = m->layers[i].t;
	float *xn = graph_buf(g, GRAPH_XN), *both = graph_buf(g, GRAPH_Y);
	float *decay = graph_buf(g, GRAPH_GATE), *beta = graph_buf(g, GRAPH_UP);
	uint32_t share = d->state_v / d->state_k;

	if (t[P_SSM_BA].data == NULL) {
		graph_linear(g, xn, (struct graph_linear[]){ { decay, &t[P_SSM_ALPHA], NULL }, { beta, &t[P_SSM_BETA], NULL } }, 2);
	} else {
		graph_linear(g, xn, &(struct graph_linear){ both, &t[P_SSM_BA], NULL }, 1);
		graph_pick(g, &(struct graph_pick){ beta, both, d->state_k, 2 * share, 0, share });
		graph_pick(g, &(struct graph_pick){ decay, both, d->state_k, 2 * share, share, share });
	}
	graph_delta_gates(g, decay, beta, &t[P_SSM_A], &t[P_SSM_DT_B]);
}

static void unit_heads(const struct model *m, struct graph *g, float *x)
{
	graph_norm(g, &(struct graph_norm){
		.y = x, .x = x, .rows = m->dims.state_k, .n = m->dims.state_dim, .eps = m->dims.norm_eps, .kind = KERN_NORM_L2,
	});
}

/* U = all heads' q, then k, then v; LAYERS = z: of two matrices, or of an older one that has the four by key head. */
static void mixed_and_z(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_dims *d = &m->dims;
	const struct weights_tensor *t = m->layers[i].t;
	float *mixed = graph_buf(g, GRAPH_U), *z = graph_buf(g, GRAPH_LAYERS), *four = graph_buf(g, GRAPH_T);
	float *part[3] = { graph_buf(g, GRAPH_Q), graph_buf(g, GRAPH_K), graph_buf(g, GRAPH_V) };
	uint32_t n = d->state_dim, share = n * (d->state_v / d->state_k), j, to = 0, at = 0;
	uint32_t all = n * (2 * d->state_k + d->state_v);

	if (t[P_SSM_IN].data == NULL) {
		graph_linear(g, graph_buf(g, GRAPH_XN), (struct graph_linear[]){
			{ mixed, &t[P_WQKV], NULL }, { z, &t[P_ATTN_GATE], NULL } }, 2);
		return;
	}
	graph_linear(g, graph_buf(g, GRAPH_XN), &(struct graph_linear){ four, &t[P_SSM_IN], NULL }, 1);
	for (j = 0; j < 3; j++) {
		uint32_t width = j < 2 ? n : share;

		graph_pick(g, &(struct graph_pick){ part[j], four, d->state_k, 2 * n + 2 * share, at, width });
		graph_put(g, &(struct graph_pick){ mixed, part[j], 1, all, to, d->state_k * width });
		at += width;
		to += d->state_k * width;
	}
	graph_pick(g, &(struct graph_pick){ z, four, d->state_k, 2 * n + 2 * share, at, share });
}

static void delta_net(const struct model *m, struct graph *g, uint32_t i)
{
	const struct model_dims *d = &m->dims;
	const struct weights_tensor *t = m->layers[i].t;
	float *conv = graph_buf(g, GRAPH_T), *att = graph_buf(g, GRAPH_ATT), *z = graph_buf(g, GRAPH_LAYERS);
	float *q = graph_buf(g, GRAPH_Q), *k = graph_buf(g, GRAPH_K), *v = graph_buf(g, GRAPH_V);
	uint32_t keys = d->state_dim * d->state_k, values = d->state_dim * d->state_v, all = 2 * keys + values;

	mixed_and_z(m, g, i);
	graph_conv(g, conv, graph_buf(g, GRAPH_U), i, &t[P_SSM_CONV]);
	graph_glu(g, KERN_GLU_SILU, conv, NULL, all);
	graph_pick(g, &(struct graph_pick){ q, conv, 1, all, 0, keys });
	graph_pick(g, &(struct graph_pick){ k, conv, 1, all, keys, keys });
	graph_pick(g, &(struct graph_pick){ v, conv, 1, all, 2 * keys, values });
	unit_heads(m, g, q);
	unit_heads(m, g, k);
	decay_and_beta(m, g, i);
	graph_delta(g, &(struct graph_delta){
		.out = att, .q = q, .k = k, .v = v, .g = graph_buf(g, GRAPH_GATE), .beta = graph_buf(g, GRAPH_UP), .layer = i,
		.n_k = d->state_k, .n_v = d->state_v, .dim = d->state_dim, .scale = 1.0f / sqrtf((float)d->state_dim),
		.tiled = d->state_tiled,
	});
	graph_norm(g, &(struct graph_norm){ att, att, &t[P_SSM_NORM], NULL, d->state_v, d->state_dim, d->norm_eps, KERN_NORM_RMS });
	graph_glu(g, KERN_GLU_SILU, z, att, values);
	graph_linear(g, z, &(struct graph_linear){ graph_buf(g, GRAPH_Y), &t[P_SSM_OUT], NULL }, 1);
}

static void layer_qwen_next(const struct model *m, struct graph *g, uint32_t i)
{
	block_norm(m, g, i, P_ATTN_NORM, GRAPH_XN, GRAPH_X);
	if (m->layers[i].kind == MODEL_DELTA_NET)
		delta_net(m, g, i);
	else
		gated_attention(m, g, i);
	block_add(m, g, i, P_ATTN_POST_NORM);
	block_ffn_residual(m, g, i);
}

const struct arch arch_qwen3next = { "qwen3next", load_qwen3next, NULL, layer_qwen_next };
const struct arch arch_qwen35 = { "qwen35", load_qwen35, NULL, layer_qwen_next };
const struct arch arch_qwen35moe = { "qwen35moe", load_qwen35moe, NULL, layer_qwen_next };
