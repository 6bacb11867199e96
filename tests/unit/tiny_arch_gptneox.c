/* tiny_arch_gptneox.c - gptneox: GPT-NeoX, Pythia.  NEOX rope over rope.dimension_count values (a quarter of a head in
 * real files); llama.cpp rounds the GELU's argument and result to F16 on the CPU.
 *
 *	keys    block_count, context_length, embedding_length, feed_forward_length, attention.head_count,
 *	        attention.layer_norm_epsilon, rope.dimension_count, use_parallel_residual; no head_count_kv (= head_count)
 *	layer   attn_norm, ffn_norm with .bias: LayerNorm; attn_qkv [n_embd, 3 * n_embd] with .bias: q, k, v one behind
 *	        the other; attn_output, ffn_up, ffn_down with .bias
 *	ends    token_embd, output_norm with .bias, output
 *	MLP: ffn_down(gelu(ffn_up(h))), no gate, tanh GELU.
 *	use_parallel_residual: x = mlp(ln(x) ffn_norm) + x + attention(ln(x) attn_norm), else one after the other.
 */
#include "tests/unit/tiny_arch.h"

enum { PARALLEL = 1 };

static void biased(struct tiny_arch_file *f, uint32_t i, const char *name, uint32_t in, uint32_t out)
{
	tiny_arch_matrix(f, i, name, in, out);
	tiny_arch_bias(f, i, name, out);
}

static void biased_norm(struct tiny_arch_file *f, uint32_t i, const char *name)
{
	tiny_arch_norm(f, i, name, tiny_arch_case(f)->n_embd);
	tiny_arch_bias(f, i, name, tiny_arch_case(f)->n_embd);
}

static void write_gptneox(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_u32(f, "context_length", 2048);
	tiny_arch_u32(f, "embedding_length", c->n_embd);
	tiny_arch_u32(f, "block_count", c->n_layer);
	tiny_arch_u32(f, "feed_forward_length", c->n_ff);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim / 4);
	tiny_arch_u32(f, "attention.head_count", c->n_head);
	tiny_arch_bool(f, "use_parallel_residual", (c->flags & PARALLEL) != 0);
	tiny_arch_f32(f, "attention.layer_norm_epsilon", 1e-5f);
	tiny_arch_ends(f, 1.0, false);
	tiny_arch_bias(f, TINY_ARCH_GLOBAL, "output_norm", c->n_embd);
	for (i = 0; i < c->n_layer; i++) {
		biased_norm(f, i, "attn_norm");
		biased(f, i, "attn_qkv", c->n_embd, 3 * c->n_embd);
		biased(f, i, "attn_output", c->n_embd, c->n_embd);
		biased_norm(f, i, "ffn_norm");
		biased(f, i, "ffn_up", c->n_embd, c->n_ff);
		biased(f, i, "ffn_down", c->n_ff, c->n_embd);
	}
}

const struct tiny_arch tiny_arch_gptneox[] = {
	{ .name = "gptneox", .arch = "gptneox", .write = write_gptneox, .seed = 901, .n_layer = 2, .n_embd = 96,
	  .n_head = 3, .n_head_kv = 3, .head_dim = 32, .n_ff = 128, .flags = PARALLEL, .gelu = true },
	{ .name = "gptneox-serial", .arch = "gptneox", .write = write_gptneox, .seed = 902, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 128, .gelu = true },
	{ .name = NULL },
};
