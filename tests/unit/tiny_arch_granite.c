/* tiny_arch_granite.c - granite and granitemoe.  NORM rope, tensors as llama.
 *
 *	keys    tiny_arch_dims, rope.dimension_count, vocab_size, logit_scale (demanded); attention.scale,
 *	        embedding_scale, residual_scale, rope.scaling.finetuned, expert_shared_feed_forward_length
 *	The embedding times embedding_scale; scores times attention.scale (absent or 0: 1 / sqrt(head)); what
 *	attention and what the MLP gives times residual_scale before it is added; logits divided by logit_scale.
 *	rope.scaling.finetuned = false: no rope at all.
 *	Experts as llama's, of width feed_forward_length; with expert_shared_feed_forward_length, the tensors
 *	ffn_gate_shexp, ffn_up_shexp, ffn_down_shexp: an ordinary MLP on the same normed input, added without
 *	a gate (and before residual_scale).
 */
#include "tests/unit/tiny_arch.h"

enum { SCALES = 1, NO_ROPE = 2, BIASES = 4, SHARED = 8, TIED = 16 };

static void keys(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_dims(f);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim);
	tiny_arch_u32(f, "vocab_size", TINY_ARCH_VOCAB);
	tiny_arch_f32(f, "logit_scale", 3.0f);
	if (c->flags & SCALES) {
		tiny_arch_f32(f, "attention.scale", 0.375f);
		tiny_arch_f32(f, "embedding_scale", 6.0f);
		tiny_arch_f32(f, "residual_scale", 0.625f);
	}
	if (c->flags & NO_ROPE)
		tiny_arch_bool(f, "rope.scaling.finetuned", false);
	if (c->flags & SHARED)
		tiny_arch_u32(f, "expert_shared_feed_forward_length", c->n_ff / 2);
}

static void write_granite(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	keys(f);
	tiny_arch_ends(f, c->flags & SCALES ? 0.25 : 1.0, (c->flags & TIED) != 0);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, c->flags & BIASES ? TINY_ARCH_ALL_BIAS : TINY_ARCH_NO_BIAS);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		if (c->n_expert != 0)
			tiny_arch_moe(f, i, c->n_ff);
		else
			tiny_arch_mlp(f, i, c->n_ff);
		if (c->flags & SHARED)
			tiny_arch_shared(f, i, c->n_ff / 2);
	}
}

const struct tiny_arch tiny_arch_granite[] = {
	{ .name = "granite", .arch = "granite", .write = write_granite, .seed = 601, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .flags = SCALES | TIED },
	{ .name = "granite-norope", .arch = "granite", .write = write_granite, .seed = 602, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96, .flags = NO_ROPE | BIASES },
	{ .name = "granitemoe", .arch = "granitemoe", .write = write_granite, .seed = 603, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 48, .n_expert = 8, .n_used = 3, .flags = SCALES },
	{ .name = "granitemoe-shared", .arch = "granitemoe", .write = write_granite, .seed = 604, .n_layer = 2,
	  .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 48, .n_expert = 8, .n_used = 2,
	  .flags = SCALES | SHARED | TIED },
	{ .name = NULL },
};
