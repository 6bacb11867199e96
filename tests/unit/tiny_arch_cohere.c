/* tiny_arch_cohere.c - command-r and cohere2.  NORM rope; the output matrix is the embedding table; SiLU.
 *
 * Both: LayerNorm (mean taken off) without bias; one norm a layer, and attention and MLP both on what it gives:
 *	h = layer_norm(x) * attn_norm;  x = mlp(h) + x + attention(h);  there is no ffn_norm.
 *	Logits times logit_scale.  keys tiny_arch_dims with attention.layer_norm_epsilon in place of the RMS one.
 * command-r: with 64 layers and more (Command R+) each layer has attn_q_norm [head, n_head] and attn_k_norm
 *	[head, n_head_kv]: a LayerNorm of each head with weights of its own, before rope.  llama.cpp looks for them
 *	by that count of layers alone, and demands logit_scale.
 * cohere2: attention.sliding_window; attention.sliding_window_pattern: a period p (4 without the key: layers with
 *	i % p < p - 1 are local) or an array of booleans.  Local layers have the window and rope, global ones neither;
 *	both kinds rope with rope.freq_base.
 */
#include "engine/gguf.h"
#include "tests/unit/tiny_arch.h"

enum { QK_NORM = 1, BIASES = 2, PATTERN = 4 };

static void dims(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_u32(f, "block_count", c->n_layer);
	tiny_arch_u32(f, "context_length", 4096);
	tiny_arch_u32(f, "embedding_length", c->n_embd);
	tiny_arch_u32(f, "feed_forward_length", c->n_ff);
	tiny_arch_u32(f, "attention.head_count", c->n_head);
	tiny_arch_u32(f, "attention.head_count_kv", c->n_head_kv);
	tiny_arch_f32(f, "rope.freq_base", 50000.0f);
	tiny_arch_f32(f, "attention.layer_norm_epsilon", 1e-5f);
	tiny_arch_f32(f, "logit_scale", 0.5f);
	tiny_arch_str(f, "rope.scaling.type", "none");
}

static void layers(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_ends(f, 0.25, true);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		tiny_arch_attention(f, i, c->flags & BIASES ? TINY_ARCH_QKV_BIAS : TINY_ARCH_NO_BIAS);
		if (c->flags & QK_NORM) {
			tiny_arch_tensor(f, &(struct tiny_arch_tensor){
				i, "attn_q_norm.weight", { c->head_dim, c->n_head }, 1.0, 0.25 });
			tiny_arch_tensor(f, &(struct tiny_arch_tensor){
				i, "attn_k_norm.weight", { c->head_dim, c->n_head_kv }, 1.0, 0.25 });
		}
		tiny_arch_mlp(f, i, c->n_ff);
	}
}

static void write_command_r(struct tiny_arch_file *f)
{
	dims(f);
	layers(f);
}

static void write_cohere2(struct tiny_arch_file *f)
{
	static const bool local[] = { false, true, true, false, true, true, false, true, true };
	const struct tiny_arch *c = tiny_arch_case(f);

	dims(f);
	tiny_arch_u32(f, "attention.sliding_window", c->window);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim);
	tiny_arch_u32(f, "vocab_size", TINY_ARCH_VOCAB);
	if (c->flags & PATTERN)
		tiny_arch_array(f, "attention.sliding_window_pattern", GGUF_BOOL, local, c->n_layer);
	layers(f);
}

const struct tiny_arch tiny_arch_cohere[] = {
	{ .name = "command-r", .arch = "command-r", .write = write_command_r, .seed = 701, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 4, .head_dim = 16, .n_ff = 96 },
	{ .name = "command-r-plus", .arch = "command-r", .write = write_command_r, .seed = 702, .n_layer = 64,
	  .n_embd = 32, .n_head = 2, .n_head_kv = 1, .head_dim = 16, .n_ff = 32, .flags = QK_NORM },
	{ .name = "cohere2", .arch = "cohere2", .write = write_cohere2, .seed = 703, .n_layer = 5, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .window = 16 },
	{ .name = "cohere2-pattern", .arch = "cohere2", .write = write_cohere2, .seed = 704, .n_layer = 3, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .head_dim = 16, .n_ff = 96, .window = 20, .flags = PATTERN | BIASES },
	{ .name = NULL },
};
