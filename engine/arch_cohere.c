/* arch_cohere.c - Command R and its successor: LayerNorm without bias; attention and feed-forward network side by side,
 * from one norm; logits times a scale.  Command R+ norms q and k by head, each with weights of its own.  Cohere 2 has
 * windows in three layers of four and turns only there. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_layers(struct model *m, char *err, size_t errlen)
{
	static const struct model_want_part norms[] = {
		{ P_Q_NORM, W_HEAD_K, W_HEADS, false, W_NONE }, { P_K_NORM, W_HEAD_K, W_HEADS_KV, false, W_NONE },
	};
	uint32_t i;
	int rc;

	for (i = 0; i < m->dims.n_layer; i++)
		if ((rc = block_load_attention(m, i, false, err, errlen)) != 0 ||
		    (rc = model_load_parts(m, i, norms, 2, err, errlen)) != 0 ||
		    (rc = block_load_ffn(m, i, false, err, errlen)) != 0)
			return rc;
	return model_load_ends(m, false, err, errlen);
}

static int load_dims(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	int rc;

	d->act = KERN_GLU_SILU;
	d->norm = KERN_NORM_LAYER;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0)
		return rc;
	return model_key_f32(m, "logit_scale", true, &d->logit_scale, err, errlen);
}

static int load_command_r(struct model *m, char *err, size_t errlen)
{
	int rc = load_dims(m, err, errlen);

	return rc != 0 ? rc : load_layers(m, err, errlen);
}

static int load_cohere2(struct model *m, char *err, size_t errlen)
{
	uint32_t i;
	int rc;

	if ((rc = load_dims(m, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.sliding_window", true, &m->dims.window, err, errlen)) != 0 ||
	    (rc = model_load_windows(m, 4, err, errlen)) != 0)
		return rc;
	for (i = 0; i < m->dims.n_layer; i++)
		if (m->layers[i].window == 0)
			m->layers[i].rope = -1;
	return load_layers(m, err, errlen);
}

/* Both halves read the XN that was made of the stream before either was added. */
static void layer_cohere(const struct model *m, struct graph *g, uint32_t i)
{
	block_norm(m, g, i, P_ATTN_NORM, GRAPH_XN, GRAPH_X);
	block_attention(m, g, i);
	graph_add(g, graph_buf(g, GRAPH_X), graph_buf(g, GRAPH_Y), m->dims.n_embd, 1.0f);
	block_ffn(m, g, i);
	graph_add(g, graph_buf(g, GRAPH_X), graph_buf(g, GRAPH_Y), m->dims.n_embd, 1.0f);
}

const struct arch arch_command_r = { "command-r", load_command_r, NULL, layer_cohere };
const struct arch arch_cohere2 = { "cohere2", load_cohere2, NULL, layer_cohere };
