/* arch_llama.c - RMS norm, grouped-query attention with NORM rope, SwiGLU or a mixture of such: Llama 1 to 3, Mistral,
 * Mixtral and many that are built alike; mistral3, whose queries grow longer behind the context it was first trained
 * with; granite, which scales the embedding, each residual, the scores and the logits. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_llama(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	int rc;

	d->act = KERN_GLU_SILU;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (rc = model_load_experts(m, false, false, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "attention.scale", false, &d->attn_scale, err, errlen)) != 0)
		return rc;
	d->expert_norm = true;          /* and no scale, whatever the keys say, as in llama.cpp */
	d->expert_scale = 0.0f;
	return block_load_plain(m, false, err, errlen);
}

static int load_mistral3(struct model *m, char *err, size_t errlen)
{
	int rc = model_key_f32(m, "attention.temperature_scale", false, &m->dims.temp_scale, err, errlen);

	if (rc != 0 || (rc = load_llama(m, err, errlen)) != 0)
		return rc;
	m->dims.temp_length = m->rope[0].n_ctx_orig;
	return model_range(m, "rope.scaling.original_context_length", m->dims.temp_length, UINT32_MAX, err, errlen);
}

static int load_granite(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	bool turned = true;             /* this key is Granite's switch for rope */
	uint32_t i;
	int rc;

	if ((rc = load_llama(m, err, errlen)) != 0 ||
	    (rc = model_key_bool(m, "rope.scaling.finetuned", false, &turned, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "embedding_scale", false, &d->embd_scale, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "residual_scale", false, &d->residual_scale, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "logit_scale", false, &d->logit_scale, err, errlen)) != 0)
		return rc;
	if (d->logit_scale != 0.0f)
		d->logit_scale = 1.0f / d->logit_scale;
	for (i = 0; i < d->n_layer && !turned; i++)
		m->layers[i].rope = -1;
	for (i = 0; i < d->n_layer && d->n_ff_shexp > 0 && rc == 0; i++)
		rc = block_load_shared_expert(m, i, true, err, errlen);
	return rc;
}

const struct arch arch_llama = { "llama", load_llama, NULL, block_layer };
const struct arch arch_mistral3 = { "mistral3", load_mistral3, NULL, block_layer };
const struct arch arch_granite = { "granite", load_granite, NULL, block_layer };
const struct arch arch_granitemoe = { "granitemoe", load_granite, NULL, block_layer };
