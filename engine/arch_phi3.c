/* arch_phi3.c - Phi 3, 3.5 and 4: q, k and v in one matrix, gate and up in another; NEOX rope whose angles are divided by
 * one of two lists of factors, for short or for long contexts. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_phi3(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	struct model_want longer = { "rope_factors_long.weight", 0, 0, 0, false, true };
	struct model_want shorter = { "rope_factors_short.weight", 0, 0, 0, false, true };
	uint32_t i;
	int rc;

	d->act = KERN_GLU_SILU;
	d->rope_neox = true;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0)
		return rc;
	longer.cols = shorter.cols = d->n_rot / 2;
	if ((rc = model_tensor(m, &longer, &m->rope[0].factors_long, err, errlen)) != 0 ||
	    (rc = model_tensor(m, &shorter, &m->rope[0].factors, err, errlen)) != 0)
		return rc;
	for (i = 0; i < d->n_layer; i++)
		if ((rc = block_load_attention(m, i, false, err, errlen)) != 0 ||
		    (rc = block_load_norm(m, i, P_FFN_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_ffn(m, i, true, err, errlen)) != 0)
			return rc;
	return model_load_ends(m, false, err, errlen);
}

const struct arch arch_phi3 = { "phi3", load_phi3, NULL, block_layer };
