/* model_parts.c - the tensors of a model by name and shape. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/compat.h"
#include "engine/model_internal.h"

/* What follows blk.<i>. in a tensor's name. */
static const char *const part_names[P_COUNT] = {
	[P_ATTN_NORM] = "attn_norm.weight", [P_ATTN_NORM_B] = "attn_norm.bias",
	[P_WQ] = "attn_q.weight", [P_WQ_B] = "attn_q.bias", [P_WK] = "attn_k.weight", [P_WK_B] = "attn_k.bias",
	[P_WV] = "attn_v.weight", [P_WV_B] = "attn_v.bias",
	[P_WQKV] = "attn_qkv.weight", [P_WQKV_B] = "attn_qkv.bias",
	[P_WO] = "attn_output.weight", [P_WO_B] = "attn_output.bias",
	[P_Q_NORM] = "attn_q_norm.weight", [P_K_NORM] = "attn_k_norm.weight", [P_SINKS] = "attn_sinks.weight",
	[P_ATTN_POST_NORM] = "post_attention_norm.weight", [P_ATTN_GATE] = "attn_gate.weight",
	[P_WQ_A] = "attn_q_a.weight", [P_Q_A_NORM] = "attn_q_a_norm.weight", [P_WQ_B_MLA] = "attn_q_b.weight",
	[P_WKV_A] = "attn_kv_a_mqa.weight", [P_KV_A_NORM] = "attn_kv_a_norm.weight", [P_WKV_B] = "attn_kv_b.weight",
	[P_WK_B_MLA] = "attn_k_b.weight", [P_WV_B_MLA] = "attn_v_b.weight",
	[P_FFN_NORM] = "ffn_norm.weight", [P_FFN_NORM_B] = "ffn_norm.bias",
	[P_FFN_GATE] = "ffn_gate.weight", [P_FFN_GATE_B] = "ffn_gate.bias",
	[P_FFN_UP] = "ffn_up.weight", [P_FFN_UP_B] = "ffn_up.bias",
	[P_FFN_DOWN] = "ffn_down.weight", [P_FFN_DOWN_B] = "ffn_down.bias", [P_FFN_POST_NORM] = "post_ffw_norm.weight",
	[P_ROUTER] = "ffn_gate_inp.weight", [P_ROUTER_B] = "ffn_gate_inp.bias", [P_ROUTER_SCALE] = "ffn_gate_inp.scale",
	[P_ROUTER_BIAS] = "exp_probs_b.bias",
	[P_GATE_EXPS] = "ffn_gate_exps.weight", [P_GATE_EXPS_B] = "ffn_gate_exps.bias",
	[P_UP_EXPS] = "ffn_up_exps.weight", [P_UP_EXPS_B] = "ffn_up_exps.bias",
	[P_GATE_UP_EXPS] = "ffn_gate_up_exps.weight",
	[P_DOWN_EXPS] = "ffn_down_exps.weight", [P_DOWN_EXPS_B] = "ffn_down_exps.bias",
	[P_DOWN_EXPS_SCALE] = "ffn_down_exps.scale",
	[P_GATE_SHEXP] = "ffn_gate_shexp.weight", [P_UP_SHEXP] = "ffn_up_shexp.weight",
	[P_DOWN_SHEXP] = "ffn_down_shexp.weight", [P_ROUTER_SHEXP] = "ffn_gate_inp_shexp.weight",
	[P_FFN_PRE_NORM_2] = "pre_ffw_norm_2.weight", [P_FFN_POST_NORM_1] = "post_ffw_norm_1.weight",
	[P_FFN_POST_NORM_2] = "post_ffw_norm_2.weight",
	[P_SSM_IN] = "ssm_in.weight",
	[P_SSM_CONV] = "ssm_conv1d.weight", [P_SSM_DT_B] = "ssm_dt.bias", [P_SSM_A] = "ssm_a", [P_SSM_BA] = "ssm_ba.weight",
	[P_SSM_ALPHA] = "ssm_alpha.weight", [P_SSM_BETA] = "ssm_beta.weight", [P_SSM_NORM] = "ssm_norm.weight",
	[P_SSM_OUT] = "ssm_out.weight",
	[P_CONV_IN] = "shortconv.in_proj.weight", [P_CONV] = "shortconv.conv.weight",
	[P_CONV_OUT] = "shortconv.out_proj.weight",
	[P_LAYER_GATE] = "inp_gate.weight", [P_LAYER_PROJ] = "proj.weight", [P_LAYER_POST_NORM] = "post_norm.weight",
	[P_OUT_SCALE] = "layer_output_scale.weight",
};

/* ---- one tensor ---------------------------------------------------------------------------------- */

static uint64_t at_least_1(uint64_t n)
{
	return n != 0 ? n : 1;
}

static bool shape_is(const struct weights_tensor *t, const struct model_want *want)
{
	return t->ne[0] == want->cols && t->ne[1] == at_least_1(want->rows) && t->ne[2] == at_least_1(want->slices) &&
	       t->ne[3] == 1;
}

static int wrong_shape(const struct weights_tensor *t, const struct model_want *want, char *err, size_t errlen)
{
	return model_fault(err, errlen, -EINVAL, "the tensor '%s' has the shape [%llu, %llu, %llu, %llu], not [%llu, %llu, %llu]",
			   want->name, (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
			   (unsigned long long)t->ne[2], (unsigned long long)t->ne[3], (unsigned long long)want->cols,
			   (unsigned long long)at_least_1(want->rows), (unsigned long long)at_least_1(want->slices));
}

/* The tensor of that name, or of the other one that files may have for it. */
static int find_tensor(const struct model *m, const char *name, struct weights_tensor *out)
{
	char full[MODEL_NAME_MAX];
	const char *other;
	int layer = 0, n = 0;

	if (weights_find(m->w, name, out) == 0)
		return 0;
	if (sscanf(name, "blk.%d.%n", &layer, &n) != 1 || n == 0)
		return -ENOENT;
	other = compat_tensor(m->arch->name, name + n);
	if (other == NULL)
		return -ENOENT;
	snprintf(full, sizeof(full), "blk.%d.%s", layer, other);
	return weights_find(m->w, full, out);
}

int model_tensor(struct model *m, const struct model_want *want, struct weights_tensor *out, char *err, size_t errlen)
{
	struct weights_tensor t;

	if (find_tensor(m, want->name, &t) != 0) {
		memset(out, 0, sizeof(*out));
		if (want->required)
			return model_fault(err, errlen, -EINVAL, "the tensor '%s' is missing", want->name);
		return 0;
	}
	if (!shape_is(&t, want))
		return wrong_shape(&t, want, err, errlen);
	if (want->plain ? t.type != KERN_F32 : !kern_can_dequant(t.type)) {
		return model_fault(err, errlen, -ENOTSUP, "the tensor '%s' has the type %s, which is not supported%s",
				   want->name, kern_type(t.type)->name, want->plain ? " there" : "");
	}
	m->n_found++;
	*out = t;
	return 0;
}

uint32_t model_rows_of(const struct model *m, uint32_t layer, const char *part, uint32_t most)
{
	struct weights_tensor t;
	char name[MODEL_NAME_MAX];

	snprintf(name, sizeof(name), "blk.%u.%s", layer, part);
	return weights_find(m->w, name, &t) == 0 && t.ne[1] <= most ? (uint32_t)t.ne[1] : 0;
}

struct weights_tensor model_rows(const struct weights_tensor *t, uint64_t first, uint64_t n)
{
	struct weights_tensor part = *t;

	if (t->data == NULL)
		return part;
	part.data = (const char *)t->data + first * t->row_bytes;
	part.ne[1] = n;
	part.nbytes = n * t->row_bytes * t->ne[2];
	return part;
}

/* ---- a layer's ----------------------------------------------------------------------------------- */

/* Widths of attention. */
static uint64_t attention_width(const struct model_dims *d, const struct model_layer *l, enum model_width w)
{
	uint64_t q = (uint64_t)l->n_head * l->head_k, k = (uint64_t)l->n_head_kv * l->head_k;
	uint64_t v = (uint64_t)l->n_head_kv * l->head_v;

	switch (w) {
	case W_Q:
		return q;
	case W_2Q:
		return 2 * q;
	case W_K:
		return k;
	case W_V:
		return v;
	case W_QKV:
		return q + k + v;
	case W_ATT:
		return (uint64_t)l->n_head * l->head_v;
	case W_HEAD_K:
		return l->head_k;
	case W_HEAD_V:
		return l->head_v;
	case W_HEADS:
		return l->n_head;
	case W_HEADS_KV:
		return l->n_head_kv;
	case W_RANK_Q:
		return d->rank_q;
	case W_RANK_KV:
		return d->rank_kv;
	case W_KV_A:
		return (uint64_t)d->rank_kv + d->n_rot;
	case W_NOPE:
		return l->head_k - d->n_rot;
	case W_KV_B:
		return (uint64_t)l->n_head * (l->head_k - d->n_rot + l->head_v);
	default:
		return 0;
	}
}

/* Widths of layers with a state. */
static uint64_t state_width(const struct model_dims *d, enum model_width w)
{
	switch (w) {
	case W_TAPS:
		return d->conv_taps;
	case W_STATE_DIM:
		return d->state_dim;
	case W_STATE_V:
		return d->state_v;
	case W_STATE_2V:
		return 2 * (uint64_t)d->state_v;
	case W_DELTA_V:
		return (uint64_t)d->state_dim * d->state_v;
	case W_DELTA_QKVZ:
		return 2 * (uint64_t)d->state_dim * ((uint64_t)d->state_k + d->state_v);
	case W_DELTA_QKV:
		return (uint64_t)d->state_dim * (2 * (uint64_t)d->state_k + d->state_v);
	default:
		return 0;
	}
}

static uint64_t width_of(const struct model *m, const struct model_layer *l, enum model_width w)
{
	const struct model_dims *d = &m->dims;

	switch (w) {
	case W_NONE:
		return 0;
	case W_ONE:
		return 1;
	case W_EMBD:
		return d->n_embd;
	case W_3EMBD:
		return 3 * (uint64_t)d->n_embd;
	case W_EMBD_LAYER:
		return d->n_embd_layer;
	case W_FF:
		return l->n_ff;
	case W_2FF:
		return 2 * (uint64_t)l->n_ff;
	case W_EXPERTS:
		return d->n_expert;
	case W_FF_EXP:
		return d->n_ff_exp;
	case W_2FF_EXP:
		return 2 * (uint64_t)d->n_ff_exp;
	case W_FF_SHEXP:
		return d->n_ff_shexp;
	default:
		return attention_width(d, l, w) + state_width(d, w);
	}
}

/* Read value by value, so F32 whatever the matrices are. */
static bool is_plain(const struct model_want_part *want)
{
	switch (want->part) {
	case P_GATE_EXPS_B:
	case P_UP_EXPS_B:
	case P_DOWN_EXPS_B:
	case P_SSM_CONV:
	case P_CONV:
		return true;
	case P_Q_NORM:
	case P_K_NORM:
		return true;
	default:
		return want->rows == W_NONE;
	}
}

int model_load_parts(struct model *m, uint32_t i, const struct model_want_part *want, size_t n, char *err, size_t errlen)
{
	struct model_layer *l = &m->layers[i];
	char name[MODEL_NAME_MAX];
	size_t k;
	int rc;

	for (k = 0; k < n; k++) {
		struct model_want one = {
			.name = name, .cols = width_of(m, l, want[k].cols), .rows = width_of(m, l, want[k].rows),
			.slices = width_of(m, l, want[k].slices), .required = want[k].required, .plain = is_plain(&want[k]),
		};

		snprintf(name, sizeof(name), "blk.%u.%s", i, part_names[want[k].part]);
		if (l->n_ff == 0 && (want[k].cols == W_FF || want[k].rows == W_FF))
			return model_fault(err, errlen, -EINVAL, "the key '%s.feed_forward_length' is 0 or missing for layer %u",
					   m->arch->name, i);
		rc = model_tensor(m, &one, &l->t[want[k].part], err, errlen);
		if (rc != 0)
			return rc;
	}
	return 0;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A vector of values of the three, one behind the other. */
static struct weights_tensor values(const struct weights_tensor *t, uint64_t first, uint64_t n)
{
	struct weights_tensor part = *t;

	if (t->data == NULL)
		return part;
	part.data = (const float *)t->data + first;
	part.ne[0] = n;
	part.nbytes = n * sizeof(float);
	return part;
}

int model_load_qkv(struct model *m, uint32_t i, enum model_width q, char *err, size_t errlen)
{
	static const struct model_want_part one[] = {
		{ P_WQKV, W_EMBD, W_QKV, false, W_NONE }, { P_WQKV_B, W_QKV, W_NONE, false, W_NONE },
	};
	const struct model_want_part apart[] = {
		{ P_WQ, W_EMBD, q, true, W_NONE }, { P_WQ_B, q, W_NONE, false, W_NONE },
		{ P_WK, W_EMBD, W_K, true, W_NONE }, { P_WK_B, W_K, W_NONE, false, W_NONE },
		{ P_WV, W_EMBD, W_V, true, W_NONE }, { P_WV_B, W_V, W_NONE, false, W_NONE },
	};
	struct model_layer *l = &m->layers[i];
	uint64_t nq = width_of(m, l, W_Q), nk = width_of(m, l, W_K), nv = width_of(m, l, W_V);
	int rc = q == W_Q ? model_load_parts(m, i, one, COUNT(one), err, errlen) : 0;

	if (rc != 0 || l->t[P_WQKV].data == NULL)
		return rc != 0 ? rc : model_load_parts(m, i, apart, COUNT(apart), err, errlen);
	l->t[P_WQ] = model_rows(&l->t[P_WQKV], 0, nq);
	l->t[P_WK] = model_rows(&l->t[P_WQKV], nq, nk);
	l->t[P_WV] = model_rows(&l->t[P_WQKV], nq + nk, nv);
	l->t[P_WQ_B] = values(&l->t[P_WQKV_B], 0, nq);
	l->t[P_WK_B] = values(&l->t[P_WQKV_B], nq, nk);
	l->t[P_WV_B] = values(&l->t[P_WQKV_B], nq + nk, nv);
	return 0;
}

int model_load_ffn_norm(struct model *m, uint32_t i, enum model_part under, char *err, size_t errlen)
{
	const struct model_want_part want = { under, W_EMBD, W_NONE, true, W_NONE };
	struct weights_tensor *t = m->layers[i].t;
	int rc = model_load_parts(m, i, &want, 1, err, errlen);

	if (rc != 0)
		return rc;
	t[P_FFN_NORM] = t[under];
	t[under].data = NULL;
	return 0;
}

/* Files of the first mixtures have a tensor an expert.  They are one when they lie at equal distances. */
static int load_split(struct model *m, uint32_t i, enum model_part part, const char *stem, uint64_t cols, uint64_t rows,
		      char *err, size_t errlen)
{
	struct weights_tensor *all = &m->layers[i].t[part], t;
	char name[MODEL_NAME_MAX];
	struct model_want want = { .name = name, .cols = cols, .rows = rows, .required = true };
	uint32_t e;
	int rc;

	for (e = 0; e < m->dims.n_expert; e++) {
		snprintf(name, sizeof(name), "blk.%u.%s.%u.weight", i, stem, e);
		rc = model_tensor(m, &want, &t, err, errlen);
		if (rc != 0)
			return rc;
		if (e == 0)
			*all = t;
		else if (e == 1 && (const char *)t.data > (const char *)all->data)
			all->slice_bytes = (size_t)((const char *)t.data - (const char *)all->data);
		if (t.type != all->type || (const char *)t.data != (const char *)all->data + e * all->slice_bytes)
			return model_fault(err, errlen, -ENOTSUP, "the tensor '%s' does not lie behind that of the expert before "
					   "at the same distance as others", name);
	}
	all->ne[2] = m->dims.n_expert;
	return 0;
}

static int load_all_split(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part router = { P_ROUTER, W_EMBD, W_EXPERTS, true, W_NONE };
	const struct model_dims *d = &m->dims;
	int rc;

	if ((rc = model_load_parts(m, i, &router, 1, err, errlen)) != 0 ||
	    (rc = load_split(m, i, P_GATE_EXPS, "ffn_gate", d->n_embd, d->n_ff_exp, err, errlen)) != 0 ||
	    (rc = load_split(m, i, P_UP_EXPS, "ffn_up", d->n_embd, d->n_ff_exp, err, errlen)) != 0)
		return rc;
	return load_split(m, i, P_DOWN_EXPS, "ffn_down", d->n_ff_exp, d->n_embd, err, errlen);
}

static bool is_split(const struct model *m, uint32_t i)
{
	char name[MODEL_NAME_MAX];
	struct weights_tensor t;

	snprintf(name, sizeof(name), "blk.%u.ffn_down.0.weight", i);
	return weights_find(m->w, name, &t) == 0;
}

int model_load_layer_experts(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part all[] = {
		{ P_ROUTER, W_EMBD, W_EXPERTS, true, W_NONE }, { P_ROUTER_B, W_EXPERTS, W_NONE, false, W_NONE },
		{ P_ROUTER_BIAS, W_EXPERTS, W_NONE, false, W_NONE },
		{ P_DOWN_EXPS, W_FF_EXP, W_EMBD, true, W_EXPERTS }, { P_DOWN_EXPS_B, W_EMBD, W_EXPERTS, false, W_NONE },
		{ P_GATE_UP_EXPS, W_EMBD, W_2FF_EXP, false, W_EXPERTS },
	};
	static const struct model_want_part apart[] = {
		{ P_GATE_EXPS, W_EMBD, W_FF_EXP, true, W_EXPERTS }, { P_GATE_EXPS_B, W_FF_EXP, W_EXPERTS, false, W_NONE },
		{ P_UP_EXPS, W_EMBD, W_FF_EXP, true, W_EXPERTS }, { P_UP_EXPS_B, W_FF_EXP, W_EXPERTS, false, W_NONE },
	};
	struct model_layer *l = &m->layers[i];
	int rc;

	if (is_split(m, i))
		return load_all_split(m, i, err, errlen);
	rc = model_load_parts(m, i, all, COUNT(all), err, errlen);
	if (rc != 0 || l->t[P_GATE_UP_EXPS].data == NULL)
		return rc != 0 ? rc : model_load_parts(m, i, apart, COUNT(apart), err, errlen);
	l->t[P_GATE_EXPS] = model_rows(&l->t[P_GATE_UP_EXPS], 0, m->dims.n_ff_exp);
	l->t[P_UP_EXPS] = model_rows(&l->t[P_GATE_UP_EXPS], m->dims.n_ff_exp, m->dims.n_ff_exp);
	return 0;
}

/* ---- the ends ------------------------------------------------------------------------------------ */

int model_load_ends(struct model *m, bool bias, char *err, size_t errlen)
{
	const struct model_dims *d = &m->dims;
	const struct model_want norm = { "output_norm.weight", d->n_embd, 0, 0, false, true };
	const struct model_want old_norm = { "token_embd_norm.weight", d->n_embd, 0, 0, false, true };
	const struct model_want norm_b = { "output_norm.bias", d->n_embd, 0, 0, true, true };
	const struct model_want out = { "output.weight", d->n_embd, d->n_vocab, 0, false, false };
	const struct model_want out_b = { "output.bias", d->n_vocab, 0, 0, false, true };
	const struct model_want freqs = { "rope_freqs.weight", d->n_rot / 2, 0, 0, false, true };
	int rc;

	rc = model_tensor(m, &norm, &m->output_norm, err, errlen);
	if (rc == 0 && m->output_norm.data == NULL)
		rc = model_tensor(m, &old_norm, &m->output_norm, err, errlen);
	if (rc == 0 && m->output_norm.data == NULL)
		return model_fault(err, errlen, -EINVAL, "the tensor '%s' is missing", norm.name);
	if (rc != 0 || (bias && (rc = model_tensor(m, &norm_b, &m->output_norm_b, err, errlen)) != 0) ||
	    (rc = model_tensor(m, &out, &m->output, err, errlen)) != 0 ||
	    (rc = model_tensor(m, &out_b, &m->output_b, err, errlen)) != 0)
		return rc;
	if (m->output.data == NULL)
		m->output = m->tok_embd;
	if (m->rope[0].factors.data != NULL)
		return 0;
	return model_tensor(m, &freqs, &m->rope[0].factors, err, errlen);
}

/* ---- buffers ------------------------------------------------------------------------------------- */

void model_widen(struct model *m, enum graph_buf buf, uint64_t width)
{
	if (width > m->width[buf])
		m->width[buf] = width < UINT32_MAX ? (uint32_t)width : UINT32_MAX;
}

void model_set_widths(struct model *m)
{
	const struct model_dims *d = &m->dims;
	uint32_t i;

	model_widen(m, GRAPH_X, d->n_embd);
	model_widen(m, GRAPH_XN, d->n_embd);
	model_widen(m, GRAPH_Y, d->n_embd);
	if (d->n_expert > 0) {
		model_widen(m, GRAPH_T, d->n_expert);
		model_widen(m, GRAPH_U, d->n_embd);
		model_widen(m, GRAPH_GATE, d->n_ff_shexp);
		model_widen(m, GRAPH_UP, d->n_ff_shexp);
	}
	for (i = 0; i < d->n_layer; i++) {
		const struct model_layer *l = &m->layers[i];

		model_widen(m, GRAPH_GATE, l->n_ff);
		model_widen(m, GRAPH_UP, l->n_ff);
		if (l->kind != MODEL_ATTENTION)
			continue;
		model_widen(m, GRAPH_Q, width_of(m, l, W_Q));
		model_widen(m, GRAPH_K, width_of(m, l, W_K));
		model_widen(m, GRAPH_V, width_of(m, l, W_V));
		model_widen(m, GRAPH_ATT, width_of(m, l, W_ATT));
	}
}
