/* arch_gptneox.c - GPT-NeoX and Pythia: LayerNorm with biases, q, k and v in one matrix, partial NEOX rope, GELU without
 * a gate; attention and feed-forward network one after the other or side by side. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_layer(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part parts[] = {
		{ P_ATTN_NORM_B, W_EMBD, W_NONE, true, W_NONE },
		{ P_FFN_NORM, W_EMBD, W_NONE, true, W_NONE }, { P_FFN_NORM_B, W_EMBD, W_NONE, true, W_NONE },
		{ P_FFN_UP, W_EMBD, W_FF, true, W_NONE }, { P_FFN_UP_B, W_FF, W_NONE, true, W_NONE },
		{ P_FFN_DOWN, W_FF, W_EMBD, true, W_NONE }, { P_FFN_DOWN_B, W_EMBD, W_NONE, true, W_NONE },
	};
	int rc = block_load_attention(m, i, false, err, errlen);

	return rc != 0 ? rc : model_load_parts(m, i, parts, sizeof(parts) / sizeof(parts[0]), err, errlen);
}

static int load_gptneox(struct model *m, char *err, size_t errlen)
{
	bool parallel = false;
	uint32_t i;
	int rc;

	m->dims.act = KERN_GLU_GELU;
	m->dims.norm = KERN_NORM_LAYER;
	m->dims.rope_neox = true;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (rc = model_key_bool(m, "use_parallel_residual", true, &parallel, err, errlen)) != 0)
		return rc;
	m->dims.parallel = parallel;
	for (i = 0; i < m->dims.n_layer && rc == 0; i++)
		rc = load_layer(m, i, err, errlen);
	return rc != 0 ? rc : model_load_ends(m, true, err, errlen);
}

/* Side by side: both halves read the stream before either is added. */
static void layer_gptneox(const struct model *m, struct graph *g, uint32_t i)
{
	if (!m->dims.parallel) {
		block_layer(m, g, i);
		return;
	}
	block_norm(m, g, i, P_ATTN_NORM, GRAPH_XN, GRAPH_X);
	block_attention(m, g, i);
	block_norm(m, g, i, P_FFN_NORM, GRAPH_XN, GRAPH_X);
	block_add(m, g, i, P_ATTN_POST_NORM);
	block_ffn(m, g, i);
	block_add(m, g, i, P_FFN_POST_NORM);
}

const struct arch arch_gptneox = { "gptneox", load_gptneox, NULL, layer_gptneox };
