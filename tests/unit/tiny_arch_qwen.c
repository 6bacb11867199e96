/* tiny_arch_qwen.c - qwen2, qwen2moe, qwen3, qwen3moe.  NEOX rope in all: pairs are value i and value i + n_rot / 2.
 *
 * qwen2: as llama with attn_q.bias, attn_k.bias, attn_v.bias, optional output.bias [n_vocab] on the logits.
 *	keys    tiny_arch_dims (no head sizes: n_embd / n_head); rope.scaling.{type, factor,
 *	        original_context_length} for YaRN, whose magnitude is 1 + 0.1 * ln(factor)
 * qwen3: as llama with attention.key_length and value_length of their own and attn_q_norm, attn_k_norm [head]: RMS
 *	norm of each head of q and of k, before rope.
 * qwen3moe: qwen3 with experts as llama's of width expert_feed_forward_length (absent: feed_forward_length / n_used).
 * qwen2moe: qwen2 (biases of q, k and v; no tied output) with experts whose softmax weights are not divided by
 *	their sum, and a shared expert ffn_gate_shexp, ffn_up_shexp, ffn_down_shexp of width
 *	expert_shared_feed_forward_length (absent: feed_forward_length), multiplied by
 *	sigmoid(h . ffn_gate_inp_shexp), which is a vector [n_embd]; h is the normed input of the experts.
 * expert_weights_scale is read for none of these.
 */
#include "tests/unit/tiny_arch.h"

enum { TIED = 1, YARN = 2, OUTPUT_BIAS = 4, WIDTHS = 8 };

static void write_qwen2(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_dims(f);
	if (c->flags & YARN) {
		tiny_arch_str(f, "rope.scaling.type", "yarn");
		tiny_arch_f32(f, "rope.scaling.factor", 4.0f);
		tiny_arch_u32(f, "rope.scaling.original_context_length", 32);
	}
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	if (c->flags & OUTPUT_BIAS)
		tiny_arch_bias(f, TINY_ARCH_GLOBAL, "output", TINY_ARCH_VOCAB);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, TINY_ARCH_QKV_BIAS);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		tiny_arch_mlp(f, i, c->n_ff);
	}
}

static void write_qwen3(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_dims(f);
	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	if (c->n_ff_exp != 0)
		tiny_arch_u32(f, "expert_feed_forward_length", c->n_ff_exp);
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, TINY_ARCH_NO_BIAS);
		tiny_arch_norm(f, i, "attn_q_norm", c->head_dim);
		tiny_arch_norm(f, i, "attn_k_norm", c->head_dim);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		if (c->n_expert != 0)
			tiny_arch_moe(f, i, c->n_ff_exp != 0 ? c->n_ff_exp : c->n_ff / c->n_used);
		else
			tiny_arch_mlp(f, i, c->n_ff);
	}
}

static void write_qwen2moe(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i, n_shared = c->n_ff;

	tiny_arch_dims(f);
	if (c->flags & WIDTHS) {
		n_shared = c->n_ff / 2;
		tiny_arch_u32(f, "expert_feed_forward_length", c->n_ff_exp);
		tiny_arch_u32(f, "expert_shared_feed_forward_length", n_shared);
	}
	tiny_arch_ends(f, 1.0, false);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, TINY_ARCH_QKV_BIAS);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		tiny_arch_moe(f, i, c->n_ff_exp);
		tiny_arch_router(f, i, "ffn_gate_inp_shexp", c->n_embd, 0);
		tiny_arch_shared(f, i, n_shared);
	}
}

const struct tiny_arch tiny_arch_qwen[] = {
	{ .name = "qwen2", .arch = "qwen2", .write = write_qwen2, .seed = 201, .n_layer = 2, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .flags = TIED },
	{ .name = "qwen2-yarn", .arch = "qwen2", .write = write_qwen2, .seed = 202, .n_layer = 2, .n_embd = 96,
	  .n_head = 3, .n_head_kv = 1, .head_dim = 32, .n_ff = 80, .flags = YARN | OUTPUT_BIAS },
	{ .name = "qwen3", .arch = "qwen3", .write = write_qwen3, .seed = 203, .n_layer = 2, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .flags = TIED },
	{ .name = "qwen3moe", .arch = "qwen3moe", .write = write_qwen3, .seed = 204, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 3, .n_ff_exp = 40 },
	{ .name = "qwen2moe", .arch = "qwen2moe", .write = write_qwen2moe, .seed = 205, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_expert = 8, .n_used = 3, .n_ff_exp = 40,
	  .flags = WIDTHS },
	{ .name = "qwen2moe-defaults", .arch = "qwen2moe", .write = write_qwen2moe, .seed = 206, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .n_expert = 8, .n_used = 2, .n_ff_exp = 48 },
	{ .name = "qwen3moe-ollama", .golden = "qwen3moe", .ollama = true, .arch = "qwen3moe",
	  .write = write_qwen3, .seed = 204, .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2,
	  .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 3, .n_ff_exp = 40 },
	{ .name = NULL },
};
