/* arch_gpt_oss.c - gpt-oss: biases everywhere, a score for nothing in each head's softmax, windows in every other layer,
 * a mixture of experts whose weights are the softmax over the chosen, and an activation with limits. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_gpt_oss(struct model *m, char *err, size_t errlen)
{
	static const struct model_want_part sinks = { P_SINKS, W_HEADS, W_NONE, true, W_NONE };
	struct model_dims *d = &m->dims;
	uint32_t i;
	int rc;

	d->act = KERN_GLU_OAI;
	d->rope_neox = true;
	d->gating = MODEL_GATE_SOFTMAX_TOP;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (rc = model_load_experts(m, true, false, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.sliding_window", true, &d->window, err, errlen)) != 0)
		return rc;
	model_set_windows(m, 2);
	for (i = 0; i < d->n_layer; i++) {
		if ((rc = block_load_attention(m, i, false, err, errlen)) != 0 ||
		    (rc = model_load_parts(m, i, &sinks, 1, err, errlen)) != 0 ||
		    (rc = model_load_ffn_norm(m, i, P_ATTN_POST_NORM, err, errlen)) != 0 ||
		    (rc = block_load_ffn(m, i, false, err, errlen)) != 0)
			return rc;
	}
	return model_load_ends(m, false, err, errlen);
}

const struct arch arch_gpt_oss = { "gpt-oss", load_gpt_oss, NULL, block_layer };
