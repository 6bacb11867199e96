/* arch_gemma.c - Gemma 2 and 3: the embedding times sqrt(n_embd), GELU, a norm before and one after each block, windows
 * in all but every second or sixth layer.  Gemma 2 bends scores and logits by tanh; Gemma 3 norms q and k by head, and
 * its layers with a window turn by another base. */
#include <math.h>

#include "engine/arch.h"
#include "engine/block.h"

/* The largest of either divides the embedding among its heads, whatever their size (llama.cpp tells it by its layers). */
static void set_scale(struct model *m, uint32_t layers_of_27b)
{
	uint32_t by = m->dims.n_layer == layers_of_27b ? m->dims.n_embd / m->layers[0].n_head : m->dims.head_k;

	m->dims.attn_scale = 1.0f / sqrtf((float)by);
}

static int load_layers(struct model *m, bool qk_norm, char *err, size_t errlen)
{
	uint32_t i;
	int rc;

	for (i = 0; i < m->dims.n_layer; i++)
		if ((rc = block_load_norm(m, i, P_ATTN_POST_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_norm(m, i, P_FFN_POST_NORM, true, err, errlen)) != 0)
			return rc;
	return block_load_plain(m, qk_norm, err, errlen);
}

static int load_dims(struct model *m, char *err, size_t errlen)
{
	int rc;

	m->dims.act = KERN_GLU_GELU;
	m->dims.rope_neox = true;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0)
		return rc;
	m->dims.embd_scale = sqrtf((float)m->dims.n_embd);
	return 0;
}

static int load_gemma2(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	int rc;

	d->window = 4096;
	d->attn_softcap = 50.0f;
	d->logit_softcap = 30.0f;
	if ((rc = load_dims(m, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.sliding_window", false, &d->window, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "attn_logit_softcapping", false, &d->attn_softcap, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "final_logit_softcapping", false, &d->logit_softcap, err, errlen)) != 0)
		return rc;
	set_scale(m, 46);
	model_set_windows(m, 2);
	return load_layers(m, false, err, errlen);
}

/* Ollama's files leave out what is the same in all models. */
static void set_ollama(struct model *m)
{
	if (model_has_key(m, "attention.layer_norm_rms_epsilon"))
		return;
	if (!model_has_key(m, "rope.freq_base"))
		m->rope[0].angles.base = 1e6f;
	if (m->dims.n_ctx_train >= 131072 && !model_has_key(m, "rope.scaling.factor"))
		m->rope[0].angles.scale = 1.0f / 8.0f;
}

static int load_gemma3(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t i;
	int rc;

	d->norm_eps = 1e-6f;
	if ((rc = load_dims(m, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.sliding_window", false, &d->window, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "final_logit_softcapping", false, &d->logit_softcap, err, errlen)) != 0 ||
	    (rc = model_load_windows(m, 6, err, errlen)) != 0)
		return rc;
	set_ollama(m);
	m->rope[1] = m->rope[0];
	m->rope[1].angles.base = 10000.0f;
	m->rope[1].angles.scale = 1.0f;
	rc = model_key_f32(m, "rope.freq_base_swa", false, &m->rope[1].angles.base, err, errlen);
	for (i = 0; i < d->n_layer; i++)
		m->layers[i].rope = m->layers[i].window > 0;
	set_scale(m, 62);
	return rc != 0 ? rc : load_layers(m, true, err, errlen);
}

const struct arch arch_gemma2 = { "gemma2", load_gemma2, NULL, block_layer };
const struct arch arch_gemma3 = { "gemma3", load_gemma3, NULL, block_layer };
