/* tiny_arch_glm.c - glm4 (GLM-4-0414, GLM-Z1) and glm4moe (GLM-4.5 to 4.7).
 *
 * glm4: NORM rope over rope.dimension_count values (half a head in real files) from the start of the head; RMS norms:
 *	x += rms_norm(attn_output(attention(rms_norm(x) * attn_norm))) * post_attention_norm
 *	x += rms_norm(ffn_down(silu(gate) * up)) * post_ffw_norm, ffn_up [n_embd, 2 * n_ff] on rms_norm(x) * ffn_norm gives
 *	the gate's values first, then up's
 *	attn_q, attn_k, attn_v with or without .bias; output absent: token_embd.
 * glm4moe: NEOX rope, partial as above; attention.key_length, value_length; biases of q, k and v; attn_q_norm,
 *	attn_k_norm [head] before rope where the file has them (355B); post_attention_norm is the norm before the MLP
 *	(there is no ffn_norm); the first leading_dense_block_count layers have ffn_gate, ffn_up, ffn_down.
 *	Experts: exp_probs_b.bias [n_expert]; score = sigmoid(logit) (expert_gating_func 2, or absent or 0; 1: softmax); the
 *	best n_used by score + bias are taken; their weights are the scores without bias, divided by their sum
 *	when expert_weights_norm, times expert_weights_scale (absent, 0 and 1: no factor).  The shared expert, of
 *	width expert_feed_forward_length * expert_shared_count, is added without a gate.
 *	expert_group_count > 1: as in tiny_arch_deepseek2.c.
 * Both: nextn_predict_layers of the block_count layers, the last, are for predicting further tokens and take no part.
 *	They have the tensors of a layer and nextn.eh_proj [2 * n_embd, n_embd], nextn.enorm, nextn.hnorm [n_embd], and may
 *	have nextn.embed_tokens, nextn.shared_head_head [n_embd, n_vocab], nextn.shared_head_norm [n_embd].
 */
#include "tests/unit/tiny_arch.h"

enum { BIASES = 1, TIED = 2, TAIL = 4, QK_NORM = 8, GROUPS = 16, RAW_WEIGHTS = 32 };

static void write_glm4(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_dims(f);
	tiny_arch_u32(f, "rope.dimension_count", c->flags & BIASES ? c->head_dim / 2 : c->head_dim);
	if (!(c->flags & BIASES)) {
		tiny_arch_u32(f, "attention.key_length", c->head_dim);
		tiny_arch_u32(f, "attention.value_length", c->head_dim);
	}
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, c->flags & BIASES ? TINY_ARCH_QKV_BIAS : TINY_ARCH_NO_BIAS);
		tiny_arch_norm(f, i, "post_attention_norm", c->n_embd);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		tiny_arch_matrix(f, i, "ffn_up", c->n_embd, 2 * c->n_ff);
		tiny_arch_matrix(f, i, "ffn_down", c->n_ff, c->n_embd);
		tiny_arch_norm(f, i, "post_ffw_norm", c->n_embd);
	}
}

static void moe_keys(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim / 2);
	tiny_arch_u32(f, "expert_feed_forward_length", c->n_ff_exp);
	tiny_arch_u32(f, "expert_shared_count", c->flags & RAW_WEIGHTS ? 2 : 1);
	tiny_arch_u32(f, "leading_dense_block_count", 1);
	if (c->flags & RAW_WEIGHTS) {
		tiny_arch_f32(f, "expert_weights_scale", 0.75f);
	} else {
		tiny_arch_u32(f, "expert_gating_func", 2);
		tiny_arch_bool(f, "expert_weights_norm", true);
		tiny_arch_f32(f, "expert_weights_scale", 2.5f);
	}
	if (c->flags & GROUPS) {
		tiny_arch_u32(f, "expert_group_count", 4);
		tiny_arch_u32(f, "expert_group_used_count", 2);
	}
	if (c->flags & TAIL)
		tiny_arch_u32(f, "nextn_predict_layers", 1);
}

static void moe_layer(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_norm(f, i, "attn_norm", c->n_embd);
	tiny_arch_attention(f, i, TINY_ARCH_QKV_BIAS);
	if (c->flags & QK_NORM) {
		tiny_arch_norm(f, i, "attn_q_norm", c->head_dim);
		tiny_arch_norm(f, i, "attn_k_norm", c->head_dim);
	}
	tiny_arch_norm(f, i, "post_attention_norm", c->n_embd);
	if (i == 0) {
		tiny_arch_mlp(f, i, c->n_ff);
		return;
	}
	tiny_arch_moe(f, i, c->n_ff_exp);
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "exp_probs_b.bias", { c->n_expert }, 0.0, 0.5 });
	tiny_arch_shared(f, i, c->flags & RAW_WEIGHTS ? 2 * c->n_ff_exp : c->n_ff_exp);
}

static void write_glm4moe(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i, last = c->n_layer - 1;

	tiny_arch_dims(f);
	moe_keys(f);
	tiny_arch_ends(f, 1.0, false);
	for (i = 0; i < c->n_layer; i++)
		moe_layer(f, i);
	if (!(c->flags & TAIL))
		return;
	tiny_arch_matrix(f, last, "nextn.eh_proj", 2 * c->n_embd, c->n_embd);
	tiny_arch_norm(f, last, "nextn.enorm", c->n_embd);
	tiny_arch_norm(f, last, "nextn.hnorm", c->n_embd);
	tiny_arch_matrix(f, last, "nextn.embed_tokens", c->n_embd, TINY_ARCH_VOCAB);
	tiny_arch_matrix(f, last, "nextn.shared_head_head", c->n_embd, TINY_ARCH_VOCAB);
	tiny_arch_norm(f, last, "nextn.shared_head_norm", c->n_embd);
}

const struct tiny_arch tiny_arch_glm[] = {
	{ .name = "glm4", .arch = "glm4", .write = write_glm4, .seed = 801, .n_layer = 2, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 16, .n_ff = 80, .flags = BIASES },
	{ .name = "glm4-plain", .arch = "glm4", .write = write_glm4, .seed = 802, .n_layer = 2, .n_embd = 64, .n_head = 3,
	  .n_head_kv = 1, .head_dim = 32, .n_ff = 80, .flags = TIED },
	{ .name = "glm4moe", .arch = "glm4moe", .write = write_glm4moe, .seed = 803, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 80, .n_expert = 8, .n_used = 2, .n_ff_exp = 32,
	  .flags = TAIL },
	{ .name = "glm4moe-norms", .arch = "glm4moe", .write = write_glm4moe, .seed = 804, .n_layer = 3, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .head_dim = 16, .n_ff = 80, .n_expert = 16, .n_used = 3, .n_ff_exp = 24,
	  .flags = QK_NORM | GROUPS | RAW_WEIGHTS },
	{ .name = NULL },
};
