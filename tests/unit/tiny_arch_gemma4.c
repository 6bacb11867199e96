/* tiny_arch_gemma4.c - gemma4: dense (31B), with per-layer embeddings and shared KV (E2B, E4B), with experts (26B-A4B).
 * NEOX rope; llama.cpp rounds the GELU's argument and result to F16 on the CPU.
 *
 *	keys    context_length, embedding_length, block_count, feed_forward_length (a number or an array of block_count),
 *	        attention.head_count, attention.head_count_kv (a number or an array), attention.layer_norm_rms_epsilon,
 *	        attention.key_length, value_length (of global layers), key_length_swa, value_length_swa (of local ones),
 *	        rope.dimension_count, rope.dimension_count_swa (absent: dimension_count), rope.freq_base,
 *	        rope.freq_base_swa (10000), attention.sliding_window, attention.sliding_window_pattern (an array of
 *	        booleans; true: local), attention.shared_kv_layers, embedding_length_per_layer_input (demanded; 0 for
 *	        none; P below), final_logit_softcapping (absent: none), expert_count, expert_used_count,
 *	        expert_feed_forward_length
 *	ends    token_embd, output_norm, output (absent: token_embd), rope_freqs.weight [global head / 2] (real files: 1 for
 *	        the first quarter of the head's pairs, then 1e30, which is no rotation); with P: per_layer_token_embd
 *	        [P * block_count, n_vocab], per_layer_model_proj [n_embd, P * block_count], per_layer_proj_norm [P]
 *	layer   attn_norm; attn_q, attn_k, attn_v, attn_output; attn_q_norm, attn_k_norm [head]; post_attention_norm;
 *	        ffn_norm, ffn_gate, ffn_up, ffn_down, post_ffw_norm; layer_output_scale.weight [1], optional;
 *	        with P: inp_gate [n_embd, P], proj [P, n_embd], post_norm [n_embd];
 *	        of experts: ffn_gate_inp [n_embd, n_expert], ffn_gate_inp.scale [n_embd], pre_ffw_norm_2, post_ffw_norm_1,
 *	        post_ffw_norm_2 [n_embd], ffn_gate_up_exps [n_embd, 2 * width, n_expert], gate first, or ffn_gate_exps and
 *	        ffn_up_exps, ffn_down_exps, ffn_down_exps.scale [n_expert], optional
 *
 *	The embedding times sqrt(n_embd).  Norms are RMS, as stored (no +1).  tanh GELU throughout.
 *	Attention: q = rms_norm of each head * attn_q_norm, turned; k likewise; v = rms_norm of each head, without weights,
 *	not turned; without attn_v it is made of what attn_k gives before its norm.  Scores are not scaled.  Local layers
 *	have the window and freq_base_swa, global ones freq_base with the angles divided by rope_freqs.
 *	The last shared_kv_layers have q only (attn_k, attn_v, attn_k_norm may be there and are not used); with n own layers
 *	before them, a local one reads keys and values of layer n - 2, a global one those of layer n - 1.
 *	Dense: x += rms_norm(attn) * post_attention_norm; x += rms_norm(mlp(rms_norm(x) * ffn_norm)) * post_ffw_norm.
 *	Experts, with x behind attention: a = rms_norm(mlp(rms_norm(x) * ffn_norm)) * post_ffw_norm_1; the router sees
 *	rms_norm(x) / sqrt(n_embd) * ffn_gate_inp.scale; softmax, best n_used, divided by their sum; experts (GELU) on
 *	rms_norm(x) * pre_ffw_norm_2, what ffn_down_exps gives times its scale of that expert; b = rms_norm(sum) *
 *	post_ffw_norm_2; x += rms_norm(a + b) * post_ffw_norm.
 *	P: of layer l and the token t, e = (rms_norm(per_layer_model_proj(x0) / sqrt(n_embd)) * per_layer_proj_norm +
 *	per_layer_token_embd[t] * sqrt(P)) / sqrt(2), in runs of P, the norm over a run, x0 the scaled embedding; behind the
 *	MLP x += rms_norm(proj(gelu(inp_gate(x)) * e)) * post_norm.
 *	Last in a layer x *= layer_output_scale (all of x, not only what the layer added).
 */
#include "engine/gguf.h"
#include "tests/unit/tiny_arch.h"

enum { PER_LAYER = 1, SHARED = 2, NO_V = 4, FUSED = 8 };

#define P 8
#define HEAD_LOCAL 16
#define SHARED_LAYERS 2
#define LAYERS_MOST 12

/* Layers 1, 3, 5 ... are global. */
static bool is_local(uint32_t i)
{
	return i % 2 == 0;
}

static uint32_t n_head_kv(const struct tiny_arch *c, uint32_t i)
{
	return c->flags & NO_V && !is_local(i) ? 1 : c->n_head_kv;
}

/* Shared layers have an MLP of twice the width. */
static uint32_t n_ff(const struct tiny_arch *c, uint32_t i)
{
	return c->flags & SHARED && i >= c->n_layer - SHARED_LAYERS ? 2 * c->n_ff : c->n_ff;
}

static void per_layer_keys(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	int32_t kv[LAYERS_MOST], ff[LAYERS_MOST];
	bool local[LAYERS_MOST];
	uint32_t i;

	for (i = 0; i < c->n_layer && i < LAYERS_MOST; i++) {
		kv[i] = (int32_t)n_head_kv(c, i);
		ff[i] = (int32_t)n_ff(c, i);
		local[i] = is_local(i);
	}
	if (c->flags & SHARED)
		tiny_arch_array(f, "feed_forward_length", GGUF_I32, ff, i);
	else
		tiny_arch_u32(f, "feed_forward_length", c->n_ff);
	if (c->flags & NO_V)
		tiny_arch_array(f, "attention.head_count_kv", GGUF_I32, kv, i);
	else
		tiny_arch_u32(f, "attention.head_count_kv", c->n_head_kv);
	tiny_arch_array(f, "attention.sliding_window_pattern", GGUF_BOOL, local, i);
}

static void keys(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_u32(f, "context_length", 4096);
	tiny_arch_u32(f, "embedding_length", c->n_embd);
	tiny_arch_u32(f, "block_count", c->n_layer);
	tiny_arch_u32(f, "attention.head_count", c->n_head);
	tiny_arch_f32(f, "attention.layer_norm_rms_epsilon", 1e-6f);
	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	tiny_arch_u32(f, "attention.key_length_swa", HEAD_LOCAL);
	tiny_arch_u32(f, "attention.value_length_swa", HEAD_LOCAL);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim);
	tiny_arch_u32(f, "rope.dimension_count_swa", HEAD_LOCAL);
	tiny_arch_f32(f, "rope.freq_base", 100000.0f);
	tiny_arch_f32(f, "rope.freq_base_swa", 1000.0f);
	tiny_arch_u32(f, "attention.sliding_window", c->window);
	tiny_arch_u32(f, "attention.shared_kv_layers", c->flags & SHARED ? SHARED_LAYERS : 0);
	tiny_arch_u32(f, "embedding_length_per_layer_input", c->flags & PER_LAYER ? P : 0);
	tiny_arch_f32(f, "final_logit_softcapping", 2.5f);
	per_layer_keys(f);
	if (c->n_expert == 0)
		return;
	tiny_arch_u32(f, "expert_count", c->n_expert);
	tiny_arch_u32(f, "expert_used_count", c->n_used);
	tiny_arch_u32(f, "expert_feed_forward_length", c->n_ff_exp);
}

static void ends(struct tiny_arch_file *f)
{
	static const float freqs[16] = { 1, 1, 1, 1, 1, 1, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f };
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_ends(f, 0.125, true);
	tiny_arch_values(f, "rope_freqs.weight", freqs, c->head_dim / 2);
	if (!(c->flags & PER_LAYER))
		return;
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		TINY_ARCH_GLOBAL, "per_layer_token_embd.weight", { P * c->n_layer, TINY_ARCH_VOCAB }, 0.0, 0.375 });
	tiny_arch_matrix(f, TINY_ARCH_GLOBAL, "per_layer_model_proj", c->n_embd, P * c->n_layer);
	tiny_arch_norm(f, TINY_ARCH_GLOBAL, "per_layer_proj_norm", P);
}

static void attention(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t head = is_local(i) ? HEAD_LOCAL : c->head_dim, kv = n_head_kv(c, i) * head;
	bool own = !(c->flags & SHARED) || i < c->n_layer - SHARED_LAYERS;

	tiny_arch_norm(f, i, "attn_norm", c->n_embd);
	tiny_arch_matrix(f, i, "attn_q", c->n_embd, c->n_head * head);
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "attn_q_norm.weight", { head }, 0.25, 0.03125 });
	/* the last layer shows that shared layers may lack them, the one before that they may not */
	if (own || i != c->n_layer - 1) {
		tiny_arch_matrix(f, i, "attn_k", c->n_embd, kv);
		tiny_arch_norm(f, i, "attn_k_norm", head);
		if (!(c->flags & NO_V) || is_local(i))
			tiny_arch_matrix(f, i, "attn_v", c->n_embd, kv);
	}
	tiny_arch_matrix(f, i, "attn_output", c->n_head * head, c->n_embd);
	tiny_arch_norm(f, i, "post_attention_norm", c->n_embd);
}

static void experts(struct tiny_arch_file *f, uint32_t i)
{
	static const char *const gate_up[2] = { "ffn_gate_exps.weight", "ffn_up_exps.weight" };
	const struct tiny_arch *c = tiny_arch_case(f);

	/* inputs of the router are as small as 1 / sqrt(n_embd) */
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		i, "ffn_gate_inp.weight", { c->n_embd, c->n_expert }, 0.0, 4.0 });
	tiny_arch_norm(f, i, "pre_ffw_norm_2", c->n_embd);
	tiny_arch_norm(f, i, "post_ffw_norm_1", c->n_embd);
	tiny_arch_norm(f, i, "post_ffw_norm_2", c->n_embd);
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "ffn_gate_inp.scale", { c->n_embd }, 1.0, 0.25 });
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "ffn_down_exps.scale", { c->n_expert }, 1.0, 0.25 });
	if (c->flags & FUSED) {
		tiny_arch_fused(f, i, "ffn_gate_up_exps.weight", gate_up, c->n_embd, c->n_ff_exp, c->n_expert);
	} else {
		tiny_arch_stack(f, i, "ffn_gate_exps", c->n_embd, c->n_ff_exp, c->n_expert);
		tiny_arch_stack(f, i, "ffn_up_exps", c->n_embd, c->n_ff_exp, c->n_expert);
	}
	tiny_arch_stack(f, i, "ffn_down_exps", c->n_ff_exp, c->n_embd, c->n_expert);
}

static void write_gemma4(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	keys(f);
	ends(f);
	for (i = 0; i < c->n_layer; i++) {
		attention(f, i);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		tiny_arch_mlp(f, i, n_ff(c, i));
		tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "post_ffw_norm.weight", { c->n_embd }, 0.25, 0.03125 });
		if (c->n_expert != 0)
			experts(f, i);
		if (c->flags & PER_LAYER) {
			tiny_arch_matrix(f, i, "inp_gate", c->n_embd, P);
			tiny_arch_matrix(f, i, "proj", P, c->n_embd);
			tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "post_norm.weight", { c->n_embd }, 0.25, 0.03125 });
		}
		/* in the dense case a layer without it */
		if (c->n_expert != 0 || i != 1)
			tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "layer_output_scale.weight", { 1 }, 0.75, 0.125 });
	}
}

const struct tiny_arch tiny_arch_gemma4[] = {
	{ .name = "gemma4", .arch = "gemma4", .write = write_gemma4, .seed = 1201, .n_layer = 4, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 32, .n_ff = 80, .window = 16, .flags = NO_V, .gelu = true },
	{ .name = "gemma4-shared", .arch = "gemma4", .write = write_gemma4, .seed = 1202, .n_layer = 6, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .head_dim = 32, .n_ff = 48, .window = 16, .flags = PER_LAYER | SHARED, .gelu = true },
	{ .name = "gemma4-moe", .arch = "gemma4", .write = write_gemma4, .seed = 1203, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 48, .n_expert = 8, .n_used = 3, .n_ff_exp = 24, .window = 16,
	  .flags = NO_V | FUSED, .gelu = true },
	{ .name = "gemma4-moe-split", .golden = "gemma4-moe", .arch = "gemma4", .write = write_gemma4, .seed = 1203,
	  .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 48, .n_expert = 8, .n_used = 3,
	  .n_ff_exp = 24, .window = 16, .flags = NO_V, .gelu = true },
	{ .name = "gemma4-moe-ollama", .golden = "gemma4-moe", .ollama = true, .arch = "gemma4",
	  .write = write_gemma4, .seed = 1203, .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2,
	  .head_dim = 32, .n_ff = 48, .n_expert = 8, .n_used = 3, .n_ff_exp = 24, .window = 16,
	  .flags = NO_V | FUSED, .gelu = true },
	{ .name = NULL },
};
