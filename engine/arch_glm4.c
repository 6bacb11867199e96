/* arch_glm4.c - GLM 4: partial rope, norms before and after each block, gate and up in one matrix; as a mixture of
 * experts (NEOX rope, norms of q and k where the file has them) with dense layers first, sigmoid scores with a bias for
 * the choice and an expert that sees every token. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_glm4(struct model *m, char *err, size_t errlen)
{
	uint32_t i;
	int rc;

	m->dims.act = KERN_GLU_SILU;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0)
		return rc;
	for (i = 0; i < m->dims.n_layer; i++)
		if ((rc = block_load_attention(m, i, false, err, errlen)) != 0 ||
		    (rc = block_load_norm(m, i, P_ATTN_POST_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_norm(m, i, P_FFN_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_norm(m, i, P_FFN_POST_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_ffn(m, i, true, err, errlen)) != 0)
			return rc;
	return model_load_ends(m, false, err, errlen);
}

static int load_moe_layer(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part norms[] = {
		{ P_Q_NORM, W_HEAD_K, W_NONE, false, W_NONE }, { P_K_NORM, W_HEAD_K, W_NONE, false, W_NONE },
	};
	int rc;

	if ((rc = block_load_attention(m, i, false, err, errlen)) != 0 ||
	    (rc = model_load_parts(m, i, norms, 2, err, errlen)) != 0 ||
	    (rc = model_load_ffn_norm(m, i, P_ATTN_POST_NORM, err, errlen)) != 0 ||
	    (rc = block_load_ffn(m, i, false, err, errlen)) != 0)
		return rc;
	return m->layers[i].moe ? block_load_shared_expert(m, i, m->dims.n_ff_shexp > 0, err, errlen) : 0;
}

static int load_glm4moe(struct model *m, char *err, size_t errlen)
{
	uint32_t i, shared = 0;
	int rc;

	m->dims.act = KERN_GLU_SILU;
	m->dims.rope_neox = true;
	m->dims.gating = MODEL_GATE_SIGMOID;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (rc = model_load_experts(m, true, false, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "expert_shared_count", false, &shared, err, errlen)) != 0 ||
	    (rc = model_shared_width(m, shared, err, errlen)) != 0)
		return rc;
	for (i = 0; i < m->dims.n_layer && rc == 0; i++)
		rc = load_moe_layer(m, i, err, errlen);
	return rc != 0 ? rc : model_load_ends(m, false, err, errlen);
}

const struct arch arch_glm4 = { "glm4", load_glm4, NULL, block_layer };
const struct arch arch_glm4moe = { "glm4moe", load_glm4moe, NULL, block_layer };
