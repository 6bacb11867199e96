/* arch_qwen.c - Qwen 2 and 3: llama with NEOX rope; the second has biases on q, k and v, the third norms of q and k by
 * head in their place; mixtures of experts, in Qwen 2 with a gated expert that sees every token. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_dims(struct model *m, bool moe, char *err, size_t errlen)
{
	int rc;

	m->dims.act = KERN_GLU_SILU;
	m->dims.rope_neox = true;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0)
		return rc;
	rc = moe ? model_load_experts(m, true, true, err, errlen) : 0;
	m->dims.expert_scale = 0.0f;    /* whatever the key says, as in llama.cpp */
	return rc;
}

static int load_qwen2(struct model *m, char *err, size_t errlen)
{
	int rc = load_dims(m, false, err, errlen);

	return rc != 0 ? rc : block_load_plain(m, false, err, errlen);
}

static int load_qwen2moe(struct model *m, char *err, size_t errlen)
{
	uint32_t i;
	int rc;

	if ((rc = load_dims(m, true, err, errlen)) != 0 || (rc = block_load_plain(m, false, err, errlen)) != 0)
		return rc;
	m->dims.expert_norm = false;    /* whatever the key says, as in llama.cpp */
	if (m->dims.n_ff_shexp == 0)
		m->dims.n_ff_shexp = m->layers[0].n_ff;
	for (i = 0; i < m->dims.n_layer && rc == 0; i++)
		rc = block_load_shared_expert(m, i, true, err, errlen);
	return rc;
}

static int load_qwen3(struct model *m, char *err, size_t errlen)
{
	int rc = load_dims(m, false, err, errlen);

	return rc != 0 ? rc : block_load_plain(m, true, err, errlen);
}

static int load_qwen3moe(struct model *m, char *err, size_t errlen)
{
	int rc = load_dims(m, true, err, errlen);

	m->dims.expert_norm = true;
	return rc != 0 ? rc : block_load_plain(m, true, err, errlen);
}

const struct arch arch_qwen2 = { "qwen2", load_qwen2, NULL, block_layer };
const struct arch arch_qwen2moe = { "qwen2moe", load_qwen2moe, NULL, block_layer };
const struct arch arch_qwen3 = { "qwen3", load_qwen3, NULL, block_layer };
const struct arch arch_qwen3moe = { "qwen3moe", load_qwen3moe, NULL, block_layer };
