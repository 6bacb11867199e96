/* tiny_arch_lfm2.c - lfm2: short convolutions in most layers, attention in the others.  NEOX rope.
 *
 *	keys    tiny_arch_dims with attention.head_count_kv an array of block_count numbers: 0 for the layers of
 *	        convolution; vocab_size, shortconv.l_cache (L = 3); attention.sliding_window where attention is local
 *	layer   attn_norm, ffn_norm, ffn_gate, ffn_up, ffn_down; of attention attn_q, attn_k, attn_v, attn_output, and
 *	        attn_q_norm, attn_k_norm [head] before rope; of convolution shortconv.in_proj [n_embd, 3 * n_embd],
 *	        shortconv.conv [L, n_embd], shortconv.out_proj [n_embd, n_embd]
 *	ends    token_embd; token_embd_norm, which is the norm before the output; output (absent: token_embd)
 *	x += attention or convolution(rms_norm(x) * attn_norm);  x += mlp(rms_norm(x) * ffn_norm), SiLU
 *	Convolution: in_proj gives b, c, y one behind the other; u = b * y;
 *	out_proj(c[t] * sum over j of w[j] * u[t - L + 1 + j]), value by value, zero before the start.  No bias, no SiLU.
 *	The head is n_embd / n_head.
 */
#include "engine/gguf.h"
#include "tests/unit/tiny_arch.h"

enum { TIED = 1 };

static void write_lfm2(struct tiny_arch_file *f)
{
	static const int32_t of_five[] = { 0, 2, 0, 0, 2, 0, 2, 0, 0, 2 }, of_four[] = { 1, 0, 1, 0, 1, 0, 1, 0 };
	const struct tiny_arch *c = tiny_arch_case(f);
	const int32_t *n_kv = c->n_layer % 5 == 0 ? of_five : of_four;
	uint32_t i;

	tiny_arch_u32(f, "block_count", c->n_layer);
	tiny_arch_u32(f, "context_length", 4096);
	tiny_arch_u32(f, "embedding_length", c->n_embd);
	tiny_arch_u32(f, "feed_forward_length", c->n_ff);
	tiny_arch_u32(f, "attention.head_count", c->n_head);
	tiny_arch_array(f, "attention.head_count_kv", GGUF_I32, n_kv, c->n_layer);
	tiny_arch_f32(f, "rope.freq_base", 1000000.0f);
	tiny_arch_f32(f, "attention.layer_norm_rms_epsilon", 1e-5f);
	tiny_arch_u32(f, "vocab_size", TINY_ARCH_VOCAB);
	tiny_arch_u32(f, "shortconv.l_cache", 3);
	if (c->window != 0)
		tiny_arch_u32(f, "attention.sliding_window", c->window);
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		TINY_ARCH_GLOBAL, "token_embd.weight", { c->n_embd, TINY_ARCH_VOCAB }, 0.0, c->flags & TIED ? 0.25 : 1.0 });
	tiny_arch_norm(f, TINY_ARCH_GLOBAL, "token_embd_norm", c->n_embd);
	if (!(c->flags & TIED))
		tiny_arch_matrix(f, TINY_ARCH_GLOBAL, "output", c->n_embd, TINY_ARCH_VOCAB);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		if (n_kv[i] != 0) {
			tiny_arch_attention(f, i, TINY_ARCH_NO_BIAS);
			tiny_arch_norm(f, i, "attn_q_norm", c->head_dim);
			tiny_arch_norm(f, i, "attn_k_norm", c->head_dim);
		} else {
			tiny_arch_matrix(f, i, "shortconv.in_proj", c->n_embd, 3 * c->n_embd);
			tiny_arch_tensor(f, &(struct tiny_arch_tensor){
				i, "shortconv.conv.weight", { 3, c->n_embd }, 0.0, 0.75 });
			tiny_arch_matrix(f, i, "shortconv.out_proj", c->n_embd, c->n_embd);
		}
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		tiny_arch_mlp(f, i, c->n_ff);
	}
}

const struct tiny_arch tiny_arch_lfm2[] = {
	{ .name = "lfm2", .arch = "lfm2", .write = write_lfm2, .seed = 1301, .n_layer = 5, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 16, .n_ff = 80, .flags = TIED },
	{ .name = "lfm2-window", .arch = "lfm2", .write = write_lfm2, .seed = 1302, .n_layer = 4, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 1, .head_dim = 16, .n_ff = 80, .window = 16 },
	{ .name = "lfm2-ollama", .golden = "lfm2", .ollama = true, .arch = "lfm2", .write = write_lfm2,
	  .seed = 1301, .n_layer = 5, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 80,
	  .flags = TIED },
	{ .name = NULL },
};
