/* tiny_arch_llama.c - llama (Llama 3, Mixtral) and mistral3 (Ministral 3, Mistral Small 3 of that name).
 *
 * llama, the measure of all others.  NORM rope: neighbouring values of a head are a pair.
 *	keys    tiny_arch_dims; attention.key_length, attention.value_length, rope.dimension_count, vocab_size
 *	layer   attn_norm [n_embd], attn_q [n_embd, n_head * head], attn_k and attn_v [n_embd, n_head_kv * head],
 *	        attn_output [n_head * head, n_embd], ffn_norm [n_embd], ffn_gate and ffn_up [n_embd, n_ff],
 *	        ffn_down [n_ff, n_embd]; optional .bias of all seven matrices
 *	ends    token_embd, output_norm, output (absent: token_embd), rope_freqs.weight [n_rot / 2]: the angle of
 *	        a pair is divided by its value
 *	x += attn_output(attention(rope(q), rope(k), v, 1 / sqrt(head)));  h = rms_norm(x) * ffn_norm;
 *	x += ffn_down(silu(ffn_gate(h)) * ffn_up(h))
 *
 * Mixtral: expert_count > 0.  In place of the three ffn matrices ffn_gate_inp [n_embd, n_expert] and
 * ffn_gate_exps, ffn_up_exps [n_embd, n_ff, n_expert], ffn_down_exps [n_ff, n_embd, n_expert]; the width is
 * feed_forward_length.  Softmax over all experts, the best n_used of them, their weights divided by their
 * sum (not less than 2^-14); llama.cpp does not read expert_weights_scale here.  Files of early Mixtrals have
 * ffn_gate.0.weight ... in place of ffn_gate_exps.weight; llama.cpp does not load those any more, so that
 * case has the goldens of its twin.
 *
 * mistral3: keys as llama and rope.scaling.{type, factor, original_context_length, yarn_beta_fast,
 * yarn_beta_slow, yarn_log_multiplier}, attention.temperature_scale; tensors as llama, MoE included.
 *	q, behind rope, is multiplied by 1 + temperature_scale * ln(1 + floor(position / original_context_length)).
 *	YaRN, here and wherever rope.scaling.type is yarn: with c(b) = n_rot * ln(original / (2 * pi * b)) / (2 * ln base), low =
 *	max(0, floor(c(beta_fast))) and high = min(n_rot - 1, ceil(c(beta_slow))), the angle t of pair i becomes
 *	t * r + t / factor * (1 - r), r = 1 - clamp((i - low) / max(0.001, high - low), 0, 1); the betas are 32 and 1 without
 *	the keys.  Its magnitude: with factor F and log multiplier l, m(a) = 1 + 0.1 * a * ln F; the rotated pair is scaled
 *	by m(1) without the key (l = 0), by m(1) / m(l) with it (l = 1: not at all).  The key counts as written (no
 *	division by 0.1, unlike deepseek2).
 */
#include "tests/unit/tiny_arch.h"

enum { FREQS = 1, SPLIT = 2, TEMPERATURE = 4, LOG_MUL = 8, TIED = 16, BIASES = 32 };

static void experts_apart(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_router(f, i, "ffn_gate_inp", c->n_embd, c->n_expert);
	tiny_arch_split(f, i, "ffn_gate", "ffn_gate_exps.weight", c->n_embd, c->n_ff, c->n_expert);
	tiny_arch_split(f, i, "ffn_up", "ffn_up_exps.weight", c->n_embd, c->n_ff, c->n_expert);
	tiny_arch_split(f, i, "ffn_down", "ffn_down_exps.weight", c->n_ff, c->n_embd, c->n_expert);
}

static void layers(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, c->flags & BIASES ? TINY_ARCH_ALL_BIAS : TINY_ARCH_NO_BIAS);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		if (c->flags & SPLIT)
			experts_apart(f, i);
		else if (c->n_expert != 0)
			tiny_arch_moe(f, i, c->n_ff);
		else
			tiny_arch_mlp(f, i, c->n_ff);
	}
}

static void write_llama(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	static const float freqs[16] = { 1, 1, 1, 1, 1, 1.5f, 2, 3, 4, 6, 8, 8, 8, 8, 8, 8 };

	tiny_arch_dims(f);
	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim);
	tiny_arch_u32(f, "vocab_size", TINY_ARCH_VOCAB);
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	if (c->flags & FREQS)
		tiny_arch_values(f, "rope_freqs.weight", freqs, c->head_dim / 2);
	layers(f);
}

static void write_mistral3(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_dims(f);
	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim);
	tiny_arch_u32(f, "vocab_size", TINY_ARCH_VOCAB);
	tiny_arch_str(f, "rope.scaling.type", "yarn");
	tiny_arch_f32(f, "rope.scaling.factor", 4.0f);
	tiny_arch_u32(f, "rope.scaling.original_context_length", 32);
	tiny_arch_f32(f, "rope.scaling.yarn_beta_fast", 2.0f);
	tiny_arch_f32(f, "rope.scaling.yarn_beta_slow", 0.25f);
	if (c->flags & LOG_MUL)
		tiny_arch_f32(f, "rope.scaling.yarn_log_multiplier", 1.0f);
	if (c->flags & TEMPERATURE)
		tiny_arch_f32(f, "attention.temperature_scale", 0.5f);
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	layers(f);
}

const struct tiny_arch tiny_arch_llama[] = {
	{ .name = "llama", .arch = "llama", .write = write_llama, .seed = 101, .n_layer = 2, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .flags = FREQS },
	{ .name = "llama-moe", .arch = "llama", .write = write_llama, .seed = 102, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .head_dim = 16, .n_ff = 48, .n_expert = 8, .n_used = 2 },
	{ .name = "llama-moe-split", .golden = "llama-moe", .arch = "llama", .write = write_llama, .seed = 102,
	  .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 1, .head_dim = 16, .n_ff = 48, .n_expert = 8,
	  .n_used = 2, .flags = SPLIT },
	{ .name = "mistral3", .arch = "mistral3", .write = write_mistral3, .seed = 103, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .flags = TEMPERATURE | LOG_MUL | TIED },
	{ .name = "mistral3-moe", .arch = "mistral3", .write = write_mistral3, .seed = 104, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 48, .n_expert = 8, .n_used = 3, .flags = BIASES },
	{ .name = "mistral3-ollama", .golden = "mistral3", .ollama = true, .arch = "mistral3",
	  .write = write_mistral3, .seed = 103, .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2,
	  .head_dim = 32, .n_ff = 96, .flags = TEMPERATURE | LOG_MUL | TIED },
	{ .name = NULL },
};
