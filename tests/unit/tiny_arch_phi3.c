/* tiny_arch_phi3.c - phi3: Phi-3, Phi-3.5, Phi-4, Phi-4-mini.  NEOX rope.
 *
 *	keys    tiny_arch_dims, rope.dimension_count (less than the head in Phi-4-mini: the values behind it are not
 *	        turned), rope.scaling.original_context_length, rope.scaling.attn_factor, attention.sliding_window
 *	layer   attn_norm, attn_qkv [n_embd, (n_head + 2 * n_head_kv) * head]: q, k and v one behind the other;
 *	        attn_output; ffn_norm; ffn_up [n_embd, 2 * n_ff]: the gate's rows first, then up's; ffn_down.  attn_qkv.bias
 *	        and separate attn_q, attn_k, attn_v are taken too; attn_output.bias is not.
 *	ends    token_embd, output_norm, output (absent: token_embd), rope_factors_long and rope_factors_short [n_rot / 2]
 *	The head is n_embd / n_head.  The window key is read and ignored.  The long factors divide the angles when the
 *	session's context (not the position) is larger than original_context_length, else the short ones; attn_factor
 *	multiplies the rotated values of both; it is 1 without the key.
 */
#include "tests/unit/tiny_arch.h"

enum { FACTORS = 1, LONG = 2, PARTIAL = 4, TIED = 8 };

static void factors(struct tiny_arch_file *f, uint32_t n)
{
	float both[2][16];
	uint32_t i;

	for (i = 0; i < n && i < 16; i++) {
		both[0][i] = 1.0f + (float)i / 8.0f;
		both[1][i] = 1.5f + (float)(i * i) / 4.0f;
	}
	tiny_arch_values(f, "rope_factors_short.weight", both[0], n);
	tiny_arch_values(f, "rope_factors_long.weight", both[1], n);
}

static void write_phi3(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t n_rot = c->flags & PARTIAL ? c->head_dim * 3 / 4 : c->head_dim, i;

	tiny_arch_dims(f);
	tiny_arch_u32(f, "rope.dimension_count", n_rot);
	tiny_arch_u32(f, "rope.scaling.original_context_length", c->flags & LONG ? 64 : 2048);
	if (c->window != 0)
		tiny_arch_u32(f, "attention.sliding_window", c->window);
	if (c->flags & FACTORS)
		tiny_arch_f32(f, "rope.scaling.attn_factor", 1.25f);
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	if (c->flags & FACTORS)
		factors(f, n_rot / 2);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_matrix(f, i, "attn_qkv", c->n_embd, (c->n_head + 2 * c->n_head_kv) * c->head_dim);
		tiny_arch_matrix(f, i, "attn_output", c->n_embd, c->n_embd);
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		tiny_arch_matrix(f, i, "ffn_up", c->n_embd, 2 * c->n_ff);
		tiny_arch_matrix(f, i, "ffn_down", c->n_ff, c->n_embd);
	}
}

const struct tiny_arch tiny_arch_phi3[] = {
	{ .name = "phi3", .arch = "phi3", .write = write_phi3, .seed = 401, .n_layer = 2, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 4, .head_dim = 16, .n_ff = 80, .window = 16 },
	{ .name = "phi3-short", .arch = "phi3", .write = write_phi3, .seed = 402, .n_layer = 2, .n_embd = 64, .n_head = 2,
	  .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .flags = FACTORS },
	{ .name = "phi3-long", .arch = "phi3", .write = write_phi3, .seed = 403, .n_layer = 2, .n_embd = 96, .n_head = 3,
	  .n_head_kv = 1, .head_dim = 32, .n_ff = 96, .flags = FACTORS | LONG | PARTIAL | TIED },
	{ .name = NULL },
};
