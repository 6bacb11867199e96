/* tiny_arch_deepseek2.c - deepseek2: DeepSeek V2, V3, R1, Kimi K2, GLM-4.7-Flash, Mistral Large 3.  NORM rope.
 *
 *	keys    tiny_arch_dims with head_count_kv 1 (older files, without _mla: head_count); attention.q_lora_rank,
 *	        kv_lora_rank; attention.key_length_mla = nope + rope and value_length_mla, and then key_length =
 *	        kv_lora_rank + rope and value_length = kv_lora_rank (older files: no _mla; key_length = nope + rope and
 *	        value_length); rope.dimension_count = rope; leading_dense_block_count, expert_feed_forward_length,
 *	        expert_shared_count, expert_weights_scale, expert_weights_norm, expert_gating_func (absent or 0: 1,
 *	        softmax), expert_group_count, expert_group_used_count; rope.scaling.{type, factor,
 *	        original_context_length, yarn_log_multiplier}; attention.temperature_scale, temperature_length
 *	layer   attn_norm; attn_q_a [n_embd, q_lora], attn_q_a_norm [q_lora], attn_q_b [q_lora, n_head * (nope + rope)],
 *	        or in the small ones attn_q [n_embd, n_head * (nope + rope)]; attn_kv_a_mqa [n_embd, kv_lora + rope],
 *	        attn_kv_a_norm [kv_lora]; attn_k_b [nope, kv_lora, n_head] and attn_v_b [kv_lora, value, n_head], or in
 *	        older files attn_kv_b [kv_lora, n_head * (nope + value)]: of each head the nope rows, then the value rows;
 *	        attn_output [n_head * value, n_embd]; ffn_norm; then as in tiny_arch_glm.c with exp_probs_b.bias
 *	        optional; ffn_gate_exps and ffn_up_exps may be one ffn_gate_up_exps [n_embd, 2 * n_ff, n_expert], gate first
 *	llama.cpp looks for q_lora_rank unless there are 26 or 27 layers (48 with a certain vocabulary); those have attn_q.
 *
 *	q of each head: nope values, then rope values; the latter are turned.  kv_a gives kv_lora values, normed, and rope
 *	values, turned (not normed), which all heads share.  The score of a head is
 *	(q_nope . k_b^T c + q_rope . k_rope) * scale with c the normed values; its result is v_b (sum of p * c).
 *	scale = s^2 / sqrt(nope + rope).  With YaRN of factor F, m(a) = 1 + 0.1 * a * ln F, L = yarn_log_multiplier / 0.1:
 *	s = m(L) and turned values keep their size; without the key s = m(1) and turned values are scaled by m(1) as well
 *	(so they count m(1)^4).  Without YaRN s = 1.
 *	temperature_scale t, length n: q (all of it) times 1 + t * ln(1 + floor(position / n)).
 *
 *	Groups: experts in expert_group_count equal runs; a group's mark is the sum of its two best (score + bias); only
 *	experts of the best expert_group_used_count groups (fewer than there are) can be taken.  This holds with softmax too,
 *	and llama.cpp heeds these two keys in every architecture that has experts.  Weights as in tiny_arch_glm.c: scores
 *	without bias, divided by their sum only when expert_weights_norm, times the scale.
 */
#include "tests/unit/tiny_arch.h"

enum { LITE = 1, OLD = 2, SIGMOID = 4, GROUPS = 8, FUSED = 16, TEMPERATURE = 32, LOG_MUL = 64, TIED = 128, YARN = 256 };

struct sizes { uint32_t q_lora, kv_lora, nope, rope, value; };

static struct sizes sizes_of(const struct tiny_arch *c)
{
	if (c->flags & LITE)
		return (struct sizes){ 0, 16, 8, 8, 12 };
	return (struct sizes){ 40, 32, 16, 16, 24 };
}

static void attention_keys(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	struct sizes s = sizes_of(c);

	if (s.q_lora != 0)
		tiny_arch_u32(f, "attention.q_lora_rank", s.q_lora);
	tiny_arch_u32(f, "attention.kv_lora_rank", s.kv_lora);
	tiny_arch_u32(f, "rope.dimension_count", s.rope);
	if (c->flags & OLD) {
		tiny_arch_u32(f, "attention.key_length", s.nope + s.rope);
		tiny_arch_u32(f, "attention.value_length", s.value);
	} else {
		tiny_arch_u32(f, "attention.key_length", s.kv_lora + s.rope);
		tiny_arch_u32(f, "attention.value_length", s.kv_lora);
		tiny_arch_u32(f, "attention.key_length_mla", s.nope + s.rope);
		tiny_arch_u32(f, "attention.value_length_mla", s.value);
	}
	if (c->flags & YARN) {
		tiny_arch_str(f, "rope.scaling.type", "yarn");
		tiny_arch_f32(f, "rope.scaling.factor", 8.0f);
		tiny_arch_u32(f, "rope.scaling.original_context_length", 32);
	}
	if (c->flags & LOG_MUL)
		tiny_arch_f32(f, "rope.scaling.yarn_log_multiplier", c->flags & LITE ? 0.0707f : 0.1f);
	if (c->flags & TEMPERATURE) {
		tiny_arch_f32(f, "attention.temperature_scale", 0.5f);
		tiny_arch_u32(f, "attention.temperature_length", 24);
	}
}

static void expert_keys(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_u32(f, "leading_dense_block_count", 1);
	tiny_arch_u32(f, "vocab_size", TINY_ARCH_VOCAB);
	tiny_arch_u32(f, "expert_feed_forward_length", c->n_ff_exp);
	tiny_arch_u32(f, "expert_shared_count", 2);
	tiny_arch_f32(f, "expert_weights_scale", c->flags & SIGMOID ? 2.5f : 1.0f);
	if (c->flags & SIGMOID) {
		tiny_arch_u32(f, "expert_gating_func", 2);
		tiny_arch_bool(f, "expert_weights_norm", true);
	}
	if (c->flags & GROUPS) {
		tiny_arch_u32(f, "expert_group_count", 4);
		tiny_arch_u32(f, "expert_group_used_count", 2);
	}
}

static void attention(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	struct sizes s = sizes_of(c);
	uint32_t q = c->n_head * (s.nope + s.rope);

	tiny_arch_norm(f, i, "attn_norm", c->n_embd);
	if (s.q_lora != 0) {
		tiny_arch_matrix(f, i, "attn_q_a", c->n_embd, s.q_lora);
		tiny_arch_norm(f, i, "attn_q_a_norm", s.q_lora);
		tiny_arch_matrix(f, i, "attn_q_b", s.q_lora, q);
	} else {
		tiny_arch_matrix(f, i, "attn_q", c->n_embd, q);
	}
	tiny_arch_matrix(f, i, "attn_kv_a_mqa", c->n_embd, s.kv_lora + s.rope);
	tiny_arch_norm(f, i, "attn_kv_a_norm", s.kv_lora);
	if (c->flags & OLD) {
		tiny_arch_matrix(f, i, "attn_kv_b", s.kv_lora, c->n_head * (s.nope + s.value));
	} else {
		tiny_arch_stack(f, i, "attn_k_b", s.nope, s.kv_lora, c->n_head);
		tiny_arch_stack(f, i, "attn_v_b", s.kv_lora, s.value, c->n_head);
	}
	tiny_arch_matrix(f, i, "attn_output", c->n_head * s.value, c->n_embd);
}

static void experts(struct tiny_arch_file *f, uint32_t i)
{
	static const char *const gate_up[2] = { "ffn_gate_exps.weight", "ffn_up_exps.weight" };
	const struct tiny_arch *c = tiny_arch_case(f);

	if (c->flags & FUSED) {
		tiny_arch_router(f, i, "ffn_gate_inp", c->n_embd, c->n_expert);
		tiny_arch_fused(f, i, "ffn_gate_up_exps.weight", gate_up, c->n_embd, c->n_ff_exp, c->n_expert);
		tiny_arch_stack(f, i, "ffn_down_exps", c->n_ff_exp, c->n_embd, c->n_expert);
	} else {
		tiny_arch_moe(f, i, c->n_ff_exp);
	}
	if (c->flags & SIGMOID)
		tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "exp_probs_b.bias", { c->n_expert }, 0.0, 0.5 });
	tiny_arch_shared(f, i, 2 * c->n_ff_exp);
}

static void write_deepseek2(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_dims(f);
	attention_keys(f);
	expert_keys(f);
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	for (i = 0; i < c->n_layer; i++) {
		attention(f, i);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		if (i == 0)
			tiny_arch_mlp(f, i, c->n_ff);
		else
			experts(f, i);
	}
}

const struct tiny_arch tiny_arch_deepseek2[] = {
	{ .name = "deepseek2", .arch = "deepseek2", .write = write_deepseek2, .seed = 1001, .n_layer = 3, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .n_ff = 80, .n_expert = 16, .n_used = 3, .n_ff_exp = 16,
	  .flags = SIGMOID | GROUPS | YARN | LOG_MUL },
	{ .name = "deepseek2-fused", .golden = "deepseek2", .arch = "deepseek2", .write = write_deepseek2, .seed = 1001,
	  .n_layer = 3, .n_embd = 64, .n_head = 4, .n_head_kv = 1, .n_ff = 80, .n_expert = 16, .n_used = 3, .n_ff_exp = 16,
	  .flags = SIGMOID | GROUPS | YARN | LOG_MUL | FUSED },
	{ .name = "deepseek2-lite", .arch = "deepseek2", .write = write_deepseek2, .seed = 1002, .n_layer = 27,
	  .n_embd = 32, .n_head = 2, .n_head_kv = 1, .n_ff = 40, .n_expert = 8, .n_used = 3, .n_ff_exp = 8,
	  .flags = LITE | YARN | LOG_MUL, .gain = 0.75 },
	{ .name = "deepseek2-old", .arch = "deepseek2", .write = write_deepseek2, .seed = 1003, .n_layer = 3, .n_embd = 64,
	  .n_head = 3, .n_head_kv = 3, .n_ff = 80, .n_expert = 16, .n_used = 2, .n_ff_exp = 16,
	  .flags = OLD | GROUPS | YARN },
	{ .name = "deepseek2-lite-old", .arch = "deepseek2", .write = write_deepseek2, .seed = 1004, .n_layer = 26,
	  .n_embd = 32, .n_head = 2, .n_head_kv = 2, .n_ff = 40, .n_expert = 8, .n_used = 2, .n_ff_exp = 8,
	  .flags = LITE | OLD, .gain = 0.75 },
	{ .name = "deepseek2-temperature", .arch = "deepseek2", .write = write_deepseek2, .seed = 1005, .n_layer = 2,
	  .n_embd = 64, .n_head = 4, .n_head_kv = 1, .n_ff = 80, .n_expert = 8, .n_used = 2, .n_ff_exp = 24,
	  .flags = TEMPERATURE | TIED },
	{ .name = "deepseek2-ollama", .golden = "deepseek2", .ollama = true, .arch = "deepseek2",
	  .write = write_deepseek2, .seed = 1001, .n_layer = 3, .n_embd = 64, .n_head = 4, .n_head_kv = 1,
	  .n_ff = 80, .n_expert = 16, .n_used = 3, .n_ff_exp = 16, .flags = SIGMOID | GROUPS | YARN | LOG_MUL },
	{ .name = NULL },
};
