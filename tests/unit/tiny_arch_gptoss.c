/* tiny_arch_gptoss.c - gpt-oss.  NEOX rope.  Real files have MXFP4 experts; here all is F32.
 *
 *	keys    tiny_arch_dims, attention.key_length, value_length, attention.sliding_window,
 *	        expert_feed_forward_length, rope.scaling.{type = yarn, factor, original_context_length}
 *	layer   attn_norm, attn_q/k/v/output each with .bias, attn_sinks.weight [n_head], post_attention_norm (the
 *	        norm before the experts), ffn_gate_inp with .bias [n_expert], ffn_gate_exps, ffn_up_exps,
 *	        ffn_down_exps with .bias [n_ff, n_expert], [n_ff, n_expert], [n_embd, n_expert]
 *	ends    token_embd, output_norm, output
 *	Layers 0, 2, 4 ... see the window, the others everything; rope is the same in both (YaRN, magnitude
 *	1 + 0.1 * ln(factor)).  A head's sink is one more score in the softmax, without a value.
 *	The best n_used of the router's biased logits; softmax over those n_used only, no further scaling.
 *	An expert: g = min(gate + bias, 7), u = clamp(up + bias, -7, 7); down(g / (1 + exp(-1.702 * g)) * (u + 1)) + bias;
 *	the bias of down is added before the weight of the expert multiplies.
 */
#include "tests/unit/tiny_arch.h"

static void experts(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_moe(f, i, c->n_ff_exp);
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "ffn_gate_inp.bias", { c->n_expert }, 0.0, 1.0 });
	/* wide enough for the clamps to take hold */
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		i, "ffn_gate_exps.bias", { c->n_ff_exp, c->n_expert }, 0.0, 4.0 });
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		i, "ffn_up_exps.bias", { c->n_ff_exp, c->n_expert }, 0.0, 4.0 });
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		i, "ffn_down_exps.bias", { c->n_embd, c->n_expert }, 0.0, 0.5 });
}

static void write_gptoss(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_dims(f);
	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	tiny_arch_u32(f, "attention.sliding_window", c->window);
	tiny_arch_u32(f, "expert_feed_forward_length", c->n_ff_exp);
	tiny_arch_str(f, "rope.scaling.type", "yarn");
	tiny_arch_f32(f, "rope.scaling.factor", 8.0f);
	tiny_arch_u32(f, "rope.scaling.original_context_length", 64);
	tiny_arch_ends(f, 1.0, false);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, TINY_ARCH_ALL_BIAS);
		tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "attn_sinks.weight", { c->n_head }, 1.0, 1.0 });
		tiny_arch_norm(f, i, "post_attention_norm", c->n_embd);
		experts(f, i);
	}
}

const struct tiny_arch tiny_arch_gptoss[] = {
	{ .name = "gpt-oss", .arch = "gpt-oss", .write = write_gptoss, .seed = 501, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 40, .n_expert = 8, .n_used = 2, .n_ff_exp = 40,
	  .window = 16 },
	{ .name = "gpt-oss-ollama", .golden = "gpt-oss", .ollama = true, .arch = "gpt-oss", .write = write_gptoss,
	  .seed = 501, .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 40,
	  .n_expert = 8, .n_used = 2, .n_ff_exp = 40, .window = 16 },
	{ .name = NULL },
};
