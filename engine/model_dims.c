/* model_dims.c - the dimensions of a model and of its layers, within bounds. */
#include <errno.h>
#include <stdlib.h>

#include "engine/model_internal.h"

/* Bounds on what a file may claim, all far above any published model. */
#define HEADS_MAX 65536u
#define FF_MAX (1u << 24)
#define VOCAB_MAX (1u << 24)
#define CTX_MAX (1u << 30)

/* The last nextn_predict_layers blocks of a file draft further tokens; they take no part. */
static int load_counts(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t tail = 0;
	int rc;

	if ((rc = model_key_u32(m, "block_count", true, &d->n_layer, err, errlen)) != 0 ||
	    (rc = model_range(m, "block_count", d->n_layer, MODEL_LAYERS_MAX, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "nextn_predict_layers", false, &tail, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "embedding_length", true, &d->n_embd, err, errlen)) != 0 ||
	    (rc = model_range(m, "embedding_length", d->n_embd, MODEL_EMBD_MAX, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "context_length", true, &d->n_ctx_train, err, errlen)) != 0)
		return rc;
	if (tail >= d->n_layer)
		return model_fault(err, errlen, -EINVAL, "the key '%s.nextn_predict_layers' leaves no layers", m->arch->name);
	d->n_block = d->n_layer;
	d->n_layer -= tail;
	return model_range(m, "context_length", d->n_ctx_train, CTX_MAX, err, errlen);
}

/* Head sizes: keys where they are given, else the embedding divided among the first layer's heads that has some. */
static int load_heads(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t n_head = 0, i;
	int rc = 0;

	for (i = 0; i < d->n_layer && n_head == 0 && rc == 0; i++)
		rc = model_key_layer(m, "attention.head_count", i, true, &n_head, err, errlen);
	if (rc != 0 || (rc = model_range(m, "attention.head_count", n_head, HEADS_MAX, err, errlen)) != 0)
		return rc;
	d->head_k = d->n_embd / n_head;
	d->head_v = d->n_embd / n_head;
	if ((rc = model_key_u32(m, "attention.key_length", false, &d->head_k, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.value_length", false, &d->head_v, err, errlen)) != 0 ||
	    (rc = model_range(m, "attention.key_length", d->head_k, KERN_HEAD_MAX, err, errlen)) != 0 ||
	    (rc = model_range(m, "attention.value_length", d->head_v, KERN_HEAD_MAX, err, errlen)) != 0)
		return rc;
	d->n_rot = d->head_k;
	if ((rc = model_key_u32(m, "rope.dimension_count", false, &d->n_rot, err, errlen)) != 0)
		return rc;
	if (d->n_rot < 2 || d->n_rot % 2 != 0 || d->n_rot > d->head_k) {
		return model_fault(err, errlen, -EINVAL, "the key '%s.rope.dimension_count' is %u with heads of %u",
				   m->arch->name, d->n_rot, d->head_k);
	}
	return 0;
}

/* The vocabulary is as large as the embedding table says. */
static int load_embedding(struct model *m, char *err, size_t errlen)
{
	struct model_want want = { .name = "token_embd.weight", .cols = m->dims.n_embd, .required = true };
	struct weights_tensor t;

	if (weights_find(m->w, want.name, &t) != 0)
		return model_fault(err, errlen, -EINVAL, "the tensor '%s' is missing", want.name);
	if (t.ne[1] < 1 || t.ne[1] > VOCAB_MAX)
		return model_fault(err, errlen, -EINVAL, "the tensor '%s' has too many rows", want.name);
	want.rows = t.ne[1];
	m->dims.n_vocab = (uint32_t)t.ne[1];
	return model_tensor(m, &want, &m->tok_embd, err, errlen);
}

/* A layer of another kind than attention may have no heads. */
static int load_layer_counts(struct model *m, uint32_t i, char *err, size_t errlen)
{
	struct model_layer *l = &m->layers[i];
	int rc;

	*l = (struct model_layer){ .head_k = m->dims.head_k, .head_v = m->dims.head_v, .kv_layer = i };
	if ((rc = model_key_layer(m, "attention.head_count", i, true, &l->n_head, err, errlen)) != 0)
		return rc;
	l->n_head_kv = l->n_head;
	if ((rc = model_key_layer(m, "attention.head_count_kv", i, false, &l->n_head_kv, err, errlen)) != 0 ||
	    (rc = model_key_layer(m, "feed_forward_length", i, false, &l->n_ff, err, errlen)) != 0)
		return rc;
	if (l->n_head > HEADS_MAX || l->n_head_kv > l->n_head || (l->n_head_kv != 0 && l->n_head % l->n_head_kv != 0)) {
		return model_fault(err, errlen, -EINVAL, "layer %u has %u heads, which %u KV heads do not divide", i, l->n_head,
				   l->n_head_kv);
	}
	if (l->n_ff > FF_MAX || (l->n_ff == 0 && model_has_key(m, "feed_forward_length")))
		return model_fault(err, errlen, -EINVAL, "the key '%s.feed_forward_length' is %u", m->arch->name, l->n_ff);
	return 0;
}

int model_load_dims(struct model *m, char *err, size_t errlen)
{
	uint32_t i;
	int rc;

	if ((rc = load_counts(m, err, errlen)) != 0 || (rc = load_heads(m, err, errlen)) != 0 ||
	    (rc = model_load_rope(m, err, errlen)) != 0 || (rc = load_embedding(m, err, errlen)) != 0)
		return rc;
	m->layers = calloc(m->dims.n_layer, sizeof(*m->layers));
	if (m->layers == NULL)
		return model_fault(err, errlen, -ENOMEM, "out of memory");
	for (i = 0; i < m->dims.n_layer && rc == 0; i++)
		rc = load_layer_counts(m, i, err, errlen);
	return rc;
}

int model_load_eps(struct model *m, char *err, size_t errlen)
{
	const char *key = m->dims.norm == KERN_NORM_LAYER ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
	int rc = model_key_f32(m, key, m->dims.norm_eps == 0.0f, &m->dims.norm_eps, err, errlen);

	if (rc == 0 && m->dims.norm_eps < 0.0f)
		return model_fault(err, errlen, -EINVAL, "the key '%s.%s' is negative", m->arch->name, key);
	return rc;
}

int model_check_head_sizes(const struct model *m, char *err, size_t errlen)
{
	uint32_t i;

	for (i = 0; i < m->dims.n_layer; i++)
		if (m->layers[i].head_k != m->layers[i].head_v)
			return model_fault(err, errlen, -EINVAL, "layer %u has keys of %u values and values of %u", i,
					   m->layers[i].head_k, m->layers[i].head_v);
	return 0;
}

uint32_t model_most_heads(const struct model *m)
{
	uint32_t i, most = 0;

	for (i = 0; i < m->dims.n_layer; i++)
		if (m->layers[i].n_head > most)
			most = m->layers[i].n_head;
	return most;
}

int model_check_heads(const struct model *m, char *err, size_t errlen)
{
	uint32_t i;

	for (i = 0; i < m->dims.n_layer; i++)
		if (m->layers[i].kind == MODEL_ATTENTION && (m->layers[i].n_head == 0 || m->layers[i].n_head_kv == 0))
			return model_fault(err, errlen, -EINVAL, "the key '%s.attention.head_count%s' is 0 for layer %u",
					   m->arch->name, m->layers[i].n_head == 0 ? "" : "_kv", i);
	return 0;
}

/* ---- mixtures of experts ------------------------------------------------------------------------- */

static int check_experts(const struct model *m, char *err, size_t errlen)
{
	const struct model_dims *d = &m->dims;
	int rc;

	if ((rc = model_range(m, "expert_count", d->n_expert, GRAPH_EXPERTS_MAX, err, errlen)) != 0 ||
	    (rc = model_range(m, "expert_used_count", d->n_expert_used, d->n_expert, err, errlen)) != 0)
		return rc;
	if (d->n_group > 1 && (d->n_expert % d->n_group != 0 || d->n_group_used < 1 || d->n_group_used > d->n_group ||
			       d->n_expert / d->n_group * d->n_group_used < d->n_expert_used))
		return model_fault(err, errlen, -EINVAL, "%u experts in %u groups, of which %u are used, cannot give %u",
				   d->n_expert, d->n_group, d->n_group_used, d->n_expert_used);
	if (d->n_ff_exp < 1 || d->n_ff_exp > FF_MAX || d->n_ff_shexp > FF_MAX)
		return model_fault(err, errlen, -EINVAL, "the key '%s.expert_feed_forward_length' is out of range", m->arch->name);
	if (d->gating < MODEL_GATE_SOFTMAX || d->gating > MODEL_GATE_SOFTMAX_TOP)
		return model_fault(err, errlen, -ENOTSUP, "experts that are chosen by function %u are not supported", d->gating);
	return 0;
}

int model_load_experts(struct model *m, bool required, bool divided, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t gating = d->gating != 0 ? d->gating : MODEL_GATE_SOFTMAX, i;
	int rc;

	if ((rc = model_key_u32(m, "expert_count", required, &d->n_expert, err, errlen)) != 0 || d->n_expert == 0)
		return rc;
	if ((rc = model_key_u32(m, "expert_used_count", true, &d->n_expert_used, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_feed_forward_length", false, &d->n_ff_exp, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_group_count", false, &d->n_group, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_group_used_count", false, &d->n_group_used, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "leading_dense_block_count", false, &d->n_dense_lead, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_gating_func", false, &gating, err, errlen)) != 0 ||
	    (rc = model_key_bool(m, "expert_weights_norm", false, &d->expert_norm, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "expert_weights_scale", false, &d->expert_scale, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_shared_feed_forward_length", false, &d->n_ff_shexp, err, errlen)) != 0)
		return rc;
	if (d->n_ff_exp == 0)
		d->n_ff_exp = model_rows_of(m, d->n_dense_lead, "ffn_gate_exps.weight", FF_MAX);
	if (d->n_ff_exp == 0)           /* the dense length, whole or divided among the experts used */
		d->n_ff_exp = divided && d->n_expert_used > 0 ? m->layers[0].n_ff / d->n_expert_used : m->layers[0].n_ff;
	d->gating = gating != 0 ? (enum model_gating)gating : MODEL_GATE_SOFTMAX;
	for (i = d->n_dense_lead; i < d->n_layer; i++)
		m->layers[i].moe = true;
	return check_experts(m, err, errlen);
}

int model_shared_width(struct model *m, uint32_t count, char *err, size_t errlen)
{
	if (count > 0 && __builtin_mul_overflow(count, m->dims.n_ff_exp, &m->dims.n_ff_shexp))
		m->dims.n_ff_shexp = UINT32_MAX;
	if (m->dims.n_ff_shexp > FF_MAX)
		return model_fault(err, errlen, -EINVAL, "the key '%s.expert_shared_count' is out of range", m->arch->name);
	return 0;
}

/* ---- windows ------------------------------------------------------------------------------------- */

int model_load_windows(struct model *m, uint32_t period, char *err, size_t errlen)
{
	static const char key[] = "attention.sliding_window_pattern";
	uint32_t i, flag = 0;
	int rc;

	if (!model_key_is_array(m, key)) {
		rc = model_key_u32(m, key, false, &period, err, errlen);
		model_set_windows(m, period);
		return rc;
	}
	for (i = 0; i < m->dims.n_layer; i++) {
		rc = model_key_layer(m, key, i, true, &flag, err, errlen);
		if (rc != 0)
			return rc;
		m->layers[i].window = flag != 0 ? m->dims.window : 0;
	}
	return 0;
}

void model_set_windows(struct model *m, uint32_t period)
{
	uint32_t i;

	for (i = 0; i < m->dims.n_layer && m->dims.window > 0; i++) {
		bool windowed = period == 0 || i % period + 1 < period;

		m->layers[i].window = windowed ? m->dims.window : 0;
	}
}
