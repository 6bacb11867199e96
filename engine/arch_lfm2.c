/* arch_lfm2.c - LFM 2: layers without KV heads are short convolutions, y = out(c * conv(b * x)) with b, c and x of one
 * projection; the others attention with norms of q and k by head and NEOX rope.  SwiGLU everywhere. */
#include "engine/arch.h"
#include "engine/block.h"

static int load_conv(struct model *m, uint32_t i, char *err, size_t errlen)
{
	static const struct model_want_part parts[] = {
		{ P_ATTN_NORM, W_EMBD, W_NONE, true, W_NONE },
		{ P_CONV_IN, W_EMBD, W_3EMBD, true, W_NONE }, { P_CONV, W_TAPS, W_EMBD, true, W_NONE },
		{ P_CONV_OUT, W_EMBD, W_EMBD, true, W_NONE },
	};

	return model_load_parts(m, i, parts, sizeof(parts) / sizeof(parts[0]), err, errlen);
}

static int load_lfm2(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t i, rows;
	int rc;

	d->act = KERN_GLU_SILU;
	d->rope_neox = true;
	if ((rc = model_load_dims(m, err, errlen)) != 0 || (rc = model_load_eps(m, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.sliding_window", false, &d->window, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "shortconv.l_cache", true, &d->conv_taps, err, errlen)) != 0 ||
	    (rc = model_range(m, "shortconv.l_cache", d->conv_taps, KERN_CONV_TAPS, err, errlen)) != 0)
		return rc;
	for (i = 0; i < d->n_layer; i++) {
		/* in Ollama's files the key may be the larger width that it was adjusted from */
		rows = model_rows_of(m, i, "ffn_gate.weight", m->layers[i].n_ff);
		m->layers[i].n_ff = rows != 0 ? rows : m->layers[i].n_ff;
		m->layers[i].window = d->window;
		m->layers[i].kind = m->layers[i].n_head_kv == 0 ? MODEL_SHORT_CONV : MODEL_ATTENTION;
		rc = m->layers[i].n_head_kv == 0 ? load_conv(m, i, err, errlen) : block_load_attention(m, i, true, err, errlen);
		if (rc != 0 || (rc = block_load_norm(m, i, P_FFN_NORM, true, err, errlen)) != 0 ||
		    (rc = block_load_ffn(m, i, false, err, errlen)) != 0)
			return rc;
	}
	model_widen(m, GRAPH_T, 3 * (uint64_t)d->n_embd);
	model_widen(m, GRAPH_Q, d->n_embd);
	model_widen(m, GRAPH_K, d->n_embd);
	model_widen(m, GRAPH_V, d->n_embd);
	return model_load_ends(m, false, err, errlen);
}

static void short_conv(const struct model *m, struct graph *g, uint32_t i)
{
	const struct weights_tensor *t = m->layers[i].t;
	float *all = graph_buf(g, GRAPH_T), *b = graph_buf(g, GRAPH_Q), *c = graph_buf(g, GRAPH_K), *x = graph_buf(g, GRAPH_V);
	uint32_t n = m->dims.n_embd;

	graph_linear(g, graph_buf(g, GRAPH_XN), &(struct graph_linear){ all, &t[P_CONV_IN], NULL }, 1);
	graph_pick(g, &(struct graph_pick){ b, all, 1, 3 * n, 0, n });
	graph_pick(g, &(struct graph_pick){ c, all, 1, 3 * n, n, n });
	graph_pick(g, &(struct graph_pick){ x, all, 1, 3 * n, 2 * n, n });
	graph_mul(g, b, x, n);
	graph_conv(g, x, b, i, &t[P_CONV]);
	graph_mul(g, x, c, n);
	graph_linear(g, x, &(struct graph_linear){ graph_buf(g, GRAPH_Y), &t[P_CONV_OUT], NULL }, 1);
}

static void layer_lfm2(const struct model *m, struct graph *g, uint32_t i)
{
	if (m->layers[i].kind == MODEL_ATTENTION) {
		block_layer(m, g, i);
		return;
	}
	block_norm(m, g, i, P_ATTN_NORM, GRAPH_XN, GRAPH_X);
	short_conv(m, g, i);
	block_add(m, g, i, P_ATTN_POST_NORM);
	block_ffn_residual(m, g, i);
}

const struct arch arch_lfm2 = { "lfm2", load_lfm2, NULL, layer_lfm2 };
