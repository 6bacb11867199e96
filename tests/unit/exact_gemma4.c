/* exact_gemma4.c - a layer of gemma4, see exact_arch.h. */
#include <math.h>
#include <string.h>

#include "tests/unit/exact_parts.h"

/* e->extra: for each position the inputs of all layers, one run of `run` values after the other. */
void exact_gemma4_inputs(struct exact *e, const uint32_t *ids, uint32_t run)
{
	uint64_t ne[3];
	const float *table = exact_needed(e, EXACT_GLOBAL, "per_layer_token_embd.weight", ne);
	const float *w = exact_needed(e, EXACT_GLOBAL, "per_layer_proj_norm.weight", NULL);
	size_t t, n, i;

	for (t = 0; t < e->n && e->rc == 0; t++) {
		n = exact_linear(e, EXACT_GLOBAL, "per_layer_model_proj", e->x[t], e->extra[t]);
		for (i = 0; i < n; i++)
			e->extra[t][i] /= sqrt(e->n_embd);
		for (i = 0; i < n; i += run)
			exact_rms(e, e->extra[t] + i, w, e->extra[t] + i, run);
		for (i = 0; i < n; i++)
			e->extra[t][i] = (e->extra[t][i] + (double)table[ids[t] * ne[0] + i] * sqrt(run)) / sqrt(2.0);
	}
}

static void gemma4_expert(struct exact *e, uint32_t i, uint32_t expert, const double *h, double *y)
{
	double both[EXACT_WIDE], gate[EXACT_WIDE], up[EXACT_WIDE];
	const float *scale = exact_tensor(e, i, "ffn_down_exps.scale", NULL);
	size_t n, j;

	if (exact_tensor(e, i, "ffn_gate_up_exps.weight", NULL) != NULL) {
		n = exact_linear_of(e, i, "ffn_gate_up_exps", expert, h, both) / 2;
		memcpy(gate, both, n * sizeof(double));
		memcpy(up, both + n, n * sizeof(double));
	} else {
		n = exact_linear_of(e, i, "ffn_gate_exps", expert, h, gate);
		exact_linear_of(e, i, "ffn_up_exps", expert, h, up);
	}
	for (j = 0; j < n; j++)
		gate[j] = exact_gelu(e, gate[j]) * up[j];
	exact_linear_of(e, i, "ffn_down_exps", expert, gate, y);
	for (j = 0; j < e->n_embd && scale != NULL; j++)
		y[j] *= (double)scale[expert];
}

/* What the experts give for x, before their norm. */
static void gemma4_experts(struct exact *e, uint32_t i, const double *x, double *out)
{
	uint32_t used = exact_count(e, "expert_used_count", i, 0), best[EXACT_WIDE], n, j;
	double p[EXACT_WIDE], h[EXACT_WIDE], y[EXACT_WIDE], sum = 0.0;
	size_t d;

	exact_rms(e, x, exact_needed(e, i, "ffn_gate_inp.scale", NULL), h, e->n_embd);
	for (d = 0; d < e->n_embd; d++)
		h[d] /= sqrt(e->n_embd);
	n = (uint32_t)exact_linear(e, i, "ffn_gate_inp", h, p);
	exact_softmax(p, n);
	for (j = 0; j < used && j < n; j++) {
		uint32_t k, top = 0;
		double most = -1.0;

		for (k = 0; k < n; k++) {
			uint32_t seen = 0;

			while (seen < j && best[seen] != k)
				seen++;
			if (seen == j && p[k] > most) {
				most = p[k];
				top = k;
			}
		}
		best[j] = top;
		sum += most;
	}
	exact_norm(e, i, "pre_ffw_norm_2", x, h);
	memset(out, 0, e->n_embd * sizeof(double));
	for (j = 0; j < used && j < n; j++) {
		gemma4_expert(e, i, best[j], h, y);
		for (d = 0; d < e->n_embd; d++)
			out[d] += p[best[j]] / sum * y[d];
	}
}

/* Queries, and keys and values unless the layer shares those of another; attention; x += its result. */
static void gemma4_attention(struct exact *e, uint32_t i)
{
	bool local = exact_flag(e, "attention.sliding_window_pattern", i);
	uint32_t own = e->n_layer - exact_count(e, "attention.shared_kv_layers", i, 0);
	uint32_t from = i < own ? i : local ? own - 2 : own - 1;
	uint32_t head = exact_count(e, local ? "attention.key_length_swa" : "attention.key_length", i, 0), h;
	struct exact_shape s = { exact_count(e, "attention.head_count_kv", i, 0), head,
			   local ? exact_count(e, "attention.sliding_window", i, 0) : 0, 1.0, 0.0 };
	struct exact_turn r = { exact_count(e, local ? "rope.dimension_count_swa" : "rope.dimension_count", i, head),
			  exact_number(e, local ? "rope.freq_base_swa" : "rope.freq_base", 10000.0), 1.0,
			  local ? NULL : exact_needed(e, EXACT_GLOBAL, "rope_freqs.weight", NULL) };
	double y[EXACT_WIDE];
	size_t t;

	for (t = 0; t < e->n; t++) {
		exact_norm(e, i, "attn_norm", e->x[t], e->h[t]);
		exact_linear(e, i, "attn_q", e->h[t], e->q[t]);
		exact_norm_and_turn(e, i, "attn_q_norm.weight", &r, e->q[t], e->n_head, head, t);
		if (i >= own)
			continue;
		exact_linear(e, i, "attn_k", e->h[t], e->k[i][t]);
		if (exact_tensor(e, i, "attn_v.weight", NULL) != NULL)
			exact_linear(e, i, "attn_v", e->h[t], e->v[i][t]);
		else
			memcpy(e->v[i][t], e->k[i][t], sizeof(e->v[i][t]));
		exact_norm_and_turn(e, i, "attn_k_norm.weight", &r, e->k[i][t], s.n_kv, head, t);
		for (h = 0; h < s.n_kv; h++)
			exact_rms(e, e->v[i][t] + (size_t)h * head, NULL, e->v[i][t] + (size_t)h * head, head);
	}
	exact_attend(e, &s, e->k[from], e->v[from]);
	for (t = 0; t < e->n; t++) {
		exact_linear(e, i, "attn_output", e->att[t], y);
		exact_norm(e, i, "post_attention_norm", y, y);
		exact_add(e->x[t], y, e->n_embd);
	}
}

void exact_gemma4_layer(struct exact *e, uint32_t i)
{
	uint32_t run = exact_count(e, "embedding_length_per_layer_input", i, 0);
	const float *scale = exact_tensor(e, i, "layer_output_scale.weight", NULL);
	double y[EXACT_WIDE], z[EXACT_WIDE];
	size_t t, j;

	gemma4_attention(e, i);
	for (t = 0; t < e->n && e->rc == 0; t++) {
		exact_norm(e, i, "ffn_norm", e->x[t], e->h[t]);
		exact_mlp(e, i, e->h[t], y);
		if (exact_tensor(e, i, "ffn_gate_inp.weight", NULL) != NULL) {
			exact_norm(e, i, "post_ffw_norm_1", y, y);
			gemma4_experts(e, i, e->x[t], z);
			exact_norm(e, i, "post_ffw_norm_2", z, z);
			exact_add(y, z, e->n_embd);
		}
		exact_norm(e, i, "post_ffw_norm", y, y);
		exact_add(e->x[t], y, e->n_embd);
		if (run != 0) {
			exact_linear(e, i, "inp_gate", e->x[t], y);
			for (j = 0; j < run; j++)
				y[j] = exact_gelu(e, y[j]) * e->extra[t][(size_t)i * run + j];
			exact_linear(e, i, "proj", y, z);
			exact_norm(e, i, "post_norm", z, z);
			exact_add(e->x[t], z, e->n_embd);
		}
		for (j = 0; j < e->n_embd && scale != NULL; j++)
			e->x[t][j] *= (double)scale[0];
	}
}
