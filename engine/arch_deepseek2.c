/* arch_deepseek2.c - DeepSeek 2, 3 and R1, Kimi K2 and others: multi-head latent attention, dense layers first, then a
 * mixture of experts chosen group by group, and an expert that sees every token.
 *
 * Keys and values of all heads come of one vector c of rank_kv values and one turned part of n_rot.  Where the file has
 * attn_k_b and attn_v_b, the first is multiplied to the queries, so that [c, turned] is the key and c the value of a
 * single KV head, and the second to what attention gives.  Where it has attn_kv_b, keys and values of each head are
 * made of c and kept.  (arXiv 2405.04434, section 2.1.) */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/arch.h"
#include "engine/block.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* head_k and head_v are those of the heads that attn_q and attn_kv_b speak of; with latent attention the cache has one
 * head of rank_kv + n_rot instead. */
static int load_attention(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part kv[] = {
		{ P_ATTN_NORM, W_EMBD, W_NONE, true, W_NONE }, { P_WKV_A, W_EMBD, W_KV_A, true, W_NONE },
		{ P_KV_A_NORM, W_RANK_KV, W_NONE, true, W_NONE }, { P_WO, W_ATT, W_EMBD, true, W_NONE },
	};
	static const struct model_want_part plain_q[] = { { P_WQ, W_EMBD, W_Q, true, W_NONE } };
	static const struct model_want_part low_q[] = {
		{ P_WQ_A, W_EMBD, W_RANK_Q, true, W_NONE }, { P_Q_A_NORM, W_RANK_Q, W_NONE, true, W_NONE },
		{ P_WQ_B_MLA, W_RANK_Q, W_Q, true, W_NONE },
	};
	static const struct model_want_part latent[] = {
		{ P_WK_B_MLA, W_NOPE, W_RANK_KV, true, W_HEADS }, { P_WV_B_MLA, W_RANK_KV, W_HEAD_V, true, W_HEADS },
	};
	static const struct model_want_part expanded[] = { { P_WKV_B, W_RANK_KV, W_KV_B, true, W_NONE } };
	int rc;

	if ((rc = model_load_parts(m, i, kv, COUNT(kv), err, errlen)) != 0 ||
	    (rc = m->dims.rank_q > 0 ? model_load_parts(m, i, low_q, COUNT(low_q), err, errlen) :
				       model_load_parts(m, i, plain_q, COUNT(plain_q), err, errlen)) != 0)
		return rc;
	return m->dims.latent ? model_load_parts(m, i, latent, COUNT(latent), err, errlen) :
				model_load_parts(m, i, expanded, COUNT(expanded), err, errlen);
}

static int set_heads(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t i;
	int rc;

	if ((rc = model_range(m, "attention.key_length_mla", d->head_k, KERN_HEAD_MAX, err, errlen)) != 0 ||
	    (rc = model_range(m, "attention.value_length_mla", d->head_v, KERN_HEAD_MAX, err, errlen)) != 0)
		return rc;
	if (d->n_rot >= d->head_k)
		return model_range(m, "rope.dimension_count", d->n_rot, d->head_k - 1, err, errlen);
	for (i = 0; i < d->n_layer; i++) {
		m->layers[i].head_k = d->head_k;
		m->layers[i].head_v = d->head_v;
	}
	return 0;
}

/* In Ollama's glm4moelite the keys of heads and of the cache have changed places; the tensors tell. */
static int set_glm(struct model *m, char *err, size_t errlen)
{
	struct weights_tensor k, v;

	if (weights_find(m->w, "blk.0.attn_k_b.weight", &k) != 0 || weights_find(m->w, "blk.0.attn_v_b.weight", &v) != 0)
		return model_fault(err, errlen, -EINVAL, "the tensors 'blk.0.attn_k_b.weight' and 'blk.0.attn_v_b.weight' are missing");
	m->dims.head_k = k.ne[0] < KERN_HEAD_MAX ? (uint32_t)k.ne[0] + m->dims.n_rot : UINT32_MAX;
	m->dims.head_v = v.ne[1] < KERN_HEAD_MAX ? (uint32_t)v.ne[1] : UINT32_MAX;
	return set_heads(m, err, errlen);
}

static int load_dims(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t shared = 0;
	int rc;

	d->act = KERN_GLU_SILU;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (rc = model_load_experts(m, true, false, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.q_lora_rank", false, &d->rank_q, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.kv_lora_rank", true, &d->rank_kv, err, errlen)) != 0 ||
	    (rc = model_range(m, "attention.kv_lora_rank", d->rank_kv, KERN_HEAD_MAX - d->n_rot, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_shared_count", false, &shared, err, errlen)) != 0 ||
	    (rc = model_shared_width(m, shared, err, errlen)) != 0)
		return rc;
	d->latent = model_has_key(m, "attention.key_length_mla");
	if (d->latent && m->file_arch.len == 11 && memcmp(m->file_arch.s, "glm4moelite", 11) == 0)
		return set_glm(m, err, errlen);
	if ((rc = model_key_u32(m, "attention.key_length_mla", false, &d->head_k, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.value_length_mla", false, &d->head_v, err, errlen)) != 0)
		return rc;
	return set_heads(m, err, errlen);
}

/* YaRN's share of the scores: cos and sin carry the factor of one side of a product, the part that is not turned does
 * not, so the whole is put into the scale (mscale^2), and cos and sin are left with what the model asks for besides. */
static void set_scale(struct model *m, float log_mul)
{
	struct kern_rope_angles *a = &m->rope[0].angles;
	float org = a->attn_factor * (1.0f + 0.1f * logf(1.0f / a->scale));
	float mscale = org * (1.0f + 0.1f * log_mul * logf(1.0f / a->scale));

	m->dims.attn_scale = mscale * mscale / sqrtf((float)m->dims.head_k);
}

static void set_buffers(struct model *m)
{
	const struct model_dims *d = &m->dims;
	uint64_t heads = model_most_heads(m), nope = d->head_k - d->n_rot, key = (uint64_t)d->rank_kv + d->n_rot;

	model_widen(m, GRAPH_T, d->latent ? heads * key : heads * (nope + d->head_v));
	model_widen(m, GRAPH_T, heads * d->head_k);
	model_widen(m, GRAPH_U, d->rank_q);
	model_widen(m, GRAPH_U, heads * d->head_v);
	model_widen(m, GRAPH_Q, heads * key);
	model_widen(m, GRAPH_Q, heads * d->head_k);
	model_widen(m, GRAPH_K, heads * d->head_k);
	model_widen(m, GRAPH_K, key);
	model_widen(m, GRAPH_V, heads * d->head_v);
	model_widen(m, GRAPH_V, key);
	model_widen(m, GRAPH_ATT, heads * d->rank_kv);
	model_widen(m, GRAPH_ATT, heads * d->head_k);
	model_widen(m, GRAPH_ATT, heads * d->head_v);
}

static int load_deepseek2(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	float log_mul = 0.0f;
	uint32_t i;
	int rc;

	if ((rc = load_dims(m, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scaling.yarn_log_multiplier", false, &log_mul, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "attention.temperature_scale", false, &d->temp_scale, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.temperature_length", d->temp_scale != 0.0f, &d->temp_length, err,
				errlen)) != 0)
		return rc;
	if (d->temp_scale != 0.0f &&
	    (rc = model_range(m, "attention.temperature_length", d->temp_length, UINT32_MAX, err, errlen)) != 0)
		return rc;
	set_scale(m, log_mul / 0.1f);   /* files carry a tenth of it */
	for (i = 0; i < d->n_layer; i++) {
		if ((rc = load_attention(m, i, err, errlen)) != 0 ||
		    (rc = block_load_norm(m, i, P_FFN_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_ffn(m, i, false, err, errlen)) != 0 ||
		    (m->layers[i].moe && (rc = block_load_shared_expert(m, i, d->n_ff_shexp > 0, err, errlen)) != 0))
			return rc;
	}
	set_buffers(m);
	for (i = 0; i < d->n_layer; i++) {
		/* what the cache and attention have */
		m->layers[i].head_k = d->latent ? d->rank_kv + d->n_rot : d->head_k;
		m->layers[i].head_v = d->latent ? d->rank_kv : d->head_v;
		m->layers[i].n_head_kv = d->latent ? 1 : m->layers[i].n_head;
		m->layers[i].v_of_k = d->latent;
	}
	return model_load_ends(m, false, err, errlen);
}

/* T = queries [n_head][head_k], their last n_rot values turned. */
static void queries(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;
	const struct model_dims *d = &m->dims;
	float *q = graph_buf(g, GRAPH_T), *low = graph_buf(g, GRAPH_U), *xn = graph_buf(g, GRAPH_XN);

	if (d->rank_q > 0) {
		graph_linear(g, xn, &(struct graph_linear){ low, &t[P_WQ_A], NULL }, 1);
		graph_norm(g, &(struct graph_norm){ low, low, &t[P_Q_A_NORM], NULL, 1, d->rank_q, d->norm_eps, KERN_NORM_RMS });
		graph_linear(g, low, &(struct graph_linear){ q, &t[P_WQ_B_MLA], NULL }, 1);
	} else {
		graph_linear(g, xn, &(struct graph_linear){ q, &t[P_WQ], NULL }, 1);
	}
	graph_rope(g, &(struct graph_rope){ q, 0, m->layers[i].n_head, d->head_k, d->head_k - d->n_rot, false });
}

/* Q = [k_b q, turned], K = [c, turned]: one KV head. */
static void latent_heads(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;
	const struct model_dims *d = &m->dims;
	uint32_t heads = m->layers[i].n_head, key = d->rank_kv + d->n_rot, nope = d->head_k - d->n_rot;
	float *q = graph_buf(g, GRAPH_Q), *k = graph_buf(g, GRAPH_K), *c = graph_buf(g, GRAPH_V);
	float *turned = graph_buf(g, GRAPH_ATT);

	graph_heads(g, &(struct graph_heads){ q, graph_buf(g, GRAPH_T), &t[P_WK_B_MLA], key, 0, d->head_k, 0 });
	graph_pick(g, &(struct graph_pick){ turned, graph_buf(g, GRAPH_T), heads, d->head_k, nope, d->n_rot });
	graph_put(g, &(struct graph_pick){ q, turned, heads, key, d->rank_kv, d->n_rot });
	graph_put(g, &(struct graph_pick){ k, c, 1, key, 0, d->rank_kv });
}

/* Q = queries; K = [k of the head, turned], V, all heads. */
static void expanded_heads(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;
	const struct model_dims *d = &m->dims;
	uint32_t heads = m->layers[i].n_head, nope = d->head_k - d->n_rot, both = nope + d->head_v;
	float *q = graph_buf(g, GRAPH_Q), *k = graph_buf(g, GRAPH_K), *v = graph_buf(g, GRAPH_V);
	float *all = graph_buf(g, GRAPH_T), *part = graph_buf(g, GRAPH_ATT), *turned = graph_buf(g, GRAPH_U);

	/* the turned part of K is that of its single head; it is put beside each head's own */
	graph_pick(g, &(struct graph_pick){ turned, k, 1, d->rank_kv + d->n_rot, d->rank_kv, d->n_rot });
	graph_pick(g, &(struct graph_pick){ q, all, heads, d->head_k, 0, d->head_k });
	graph_linear(g, v, &(struct graph_linear){ all, &t[P_WKV_B], NULL }, 1);
	graph_put_shared(g, &(struct graph_pick){ k, turned, heads, d->head_k, nope, d->n_rot });
	graph_pick(g, &(struct graph_pick){ v, all, heads, both, nope, d->head_v });
	graph_pick(g, &(struct graph_pick){ part, all, heads, both, 0, nope });
	graph_put(g, &(struct graph_pick){ k, part, heads, d->head_k, 0, nope });
}

static void layer_deepseek2(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;
	const struct model_dims *d = &m->dims;
	float *k = graph_buf(g, GRAPH_K), *c = graph_buf(g, GRAPH_V), *att = graph_buf(g, GRAPH_ATT);
	float *out = graph_buf(g, GRAPH_U);
	uint32_t key = d->rank_kv + d->n_rot;

	block_norm(m, g, i, P_ATTN_NORM, GRAPH_XN, GRAPH_X);
	queries(m, g, i);
	graph_linear(g, graph_buf(g, GRAPH_XN), &(struct graph_linear){ k, &t[P_WKV_A], NULL }, 1);
	graph_rope(g, &(struct graph_rope){ k, 0, 1, key, d->rank_kv, false });
	graph_pick(g, &(struct graph_pick){ c, k, 1, key, 0, d->rank_kv });
	graph_norm(g, &(struct graph_norm){ c, c, &t[P_KV_A_NORM], NULL, 1, d->rank_kv, d->norm_eps, KERN_NORM_RMS });
	if (d->latent)
		latent_heads(m, g, i);
	else
		expanded_heads(m, g, i);
	block_attend(m, g, i);
	if (d->latent)
		graph_heads(g, &(struct graph_heads){ out, att, &t[P_WV_B_MLA], d->head_v, 0, d->rank_kv, 0 });
	graph_linear(g, d->latent ? out : att, &(struct graph_linear){ graph_buf(g, GRAPH_Y), &t[P_WO], NULL }, 1);
	block_add(m, g, i, P_ATTN_POST_NORM);
	block_ffn_residual(m, g, i);
}

const struct arch arch_deepseek2 = { "deepseek2", load_deepseek2, NULL, layer_deepseek2 };
