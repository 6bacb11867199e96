/* tiny_arch_gemma.c - gemma2 and gemma3.  NEOX rope; the output matrix is the embedding table (gemma3: unless the
 * file has one); llama.cpp rounds the GELU's argument and result to F16 on the CPU.
 *
 * gemma2: the embedding times sqrt(n_embd); four RMS norms a layer; tanh GELU; norms as stored (the +1 is in them):
 *	x += rms_norm(attn_output(attention(rms_norm(x) * attn_norm))) * post_attention_norm
 *	x += rms_norm(ffn_down(gelu(ffn_gate(h)) * ffn_up(h))) * post_ffw_norm, h = rms_norm(x) * ffn_norm
 *	keys    tiny_arch_dims without rope.freq_base (10000); attention.key_length, value_length, sliding_window (4096),
 *	        attn_logit_softcapping (50), final_logit_softcapping (30)
 *	q, behind rope, is scaled by 1 / sqrt(head), with 46 layers (the 27B) by 1 / sqrt(n_embd / n_head), n_embd / n_head
 *	being an integer division; scores become cap * tanh(score / cap) before the mask, logits likewise.
 *	Layers 0, 2, 4 ... see the window: position p sees the n_window positions p - n_window + 1 .. p.
 *
 * gemma3: as gemma2 without the two caps (a final_logit_softcapping in the file counts), with attn_q_norm and
 *	attn_k_norm [head] before rope, 62 layers being the 27B.
 *	keys    rope.freq_base (1000000 in real files), rope.scaling.{type, factor}, attention.sliding_window (absent or 0:
 *	        all layers global), attention.sliding_window_pattern: a period p (6 without the key: layers with
 *	        i % p < p - 1 are local) or an array of booleans (true: local), rope.freq_base_swa (10000)
 *	Local layers: the window, freq_base_swa, no scaling.  Global layers: rope.freq_base and the linear factor.
 */
#include <math.h>

#include "engine/gguf.h"
#include "tests/unit/tiny_arch.h"

enum { CAPS = 1, SHARP = 2, LINEAR = 4, PATTERN = 8, PERIOD = 16, DEEP = 32 };

/* The norms behind attention and MLP.  The MLP counts for less than it might, lest what llama.cpp's rounded GELU
 * leaves behind grow from layer to layer; in deep models attention too. */
static void post_norms(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	bool deep = (c->flags & DEEP) != 0;

	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		i, "post_attention_norm.weight", { c->n_embd }, deep ? 0.125 : 1.0, deep ? 0x1p-6 : 0x1p-3 });
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		i, "post_ffw_norm.weight", { c->n_embd }, deep ? 0.0625 : 0.5, deep ? 0x1p-7 : 0x1p-4 });
}

/* attn_q and attn_k about three times as large as elsewhere, so that scores come near the cap of 50. */
static void attention(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t q = c->n_head * c->head_dim, kv = c->n_head_kv * c->head_dim;
	double spread = 4.0 / sqrt(c->n_embd);

	if (!(c->flags & SHARP)) {
		tiny_arch_attention(f, i, TINY_ARCH_NO_BIAS);
		return;
	}
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "attn_q.weight", { c->n_embd, q, 0 }, 0.0, spread });
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "attn_k.weight", { c->n_embd, kv, 0 }, 0.0, spread });
	tiny_arch_matrix(f, i, "attn_v", c->n_embd, kv);
	tiny_arch_matrix(f, i, "attn_output", q, c->n_embd);
}

static void layers(struct tiny_arch_file *f, bool qk_norm)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i;

	tiny_arch_ends(f, c->flags & SHARP ? 0.5 : 0.125, true);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		attention(f, i);
		if (qk_norm) {
			tiny_arch_norm(f, i, "attn_q_norm", c->head_dim);
			tiny_arch_norm(f, i, "attn_k_norm", c->head_dim);
		}
		tiny_arch_norm(f, i, "ffn_norm", c->n_embd);
		tiny_arch_mlp(f, i, c->n_ff);
		post_norms(f, i);
	}
}

static void dims(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_u32(f, "context_length", 4096);
	tiny_arch_u32(f, "embedding_length", c->n_embd);
	tiny_arch_u32(f, "block_count", c->n_layer);
	tiny_arch_u32(f, "feed_forward_length", c->n_ff);
	tiny_arch_u32(f, "attention.head_count", c->n_head);
	tiny_arch_u32(f, "attention.head_count_kv", c->n_head_kv);
	tiny_arch_f32(f, "attention.layer_norm_rms_epsilon", 1e-6f);
	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	if (c->window != 0)
		tiny_arch_u32(f, "attention.sliding_window", c->window);
}

static void write_gemma2(struct tiny_arch_file *f)
{
	dims(f);
	if (tiny_arch_case(f)->flags & CAPS) {
		tiny_arch_f32(f, "attn_logit_softcapping", 5.0f);
		tiny_arch_f32(f, "final_logit_softcapping", 2.5f);
	}
	layers(f, false);
}

static void write_gemma3(struct tiny_arch_file *f)
{
	static const bool local[] = { true, false, false, true, true, false, false, true };
	const struct tiny_arch *c = tiny_arch_case(f);

	dims(f);
	tiny_arch_f32(f, "rope.freq_base", 1000000.0f);
	if (c->flags & LINEAR) {
		tiny_arch_str(f, "rope.scaling.type", "linear");
		tiny_arch_f32(f, "rope.scaling.factor", 8.0f);
	}
	if (c->flags & PATTERN) {
		tiny_arch_array(f, "attention.sliding_window_pattern", GGUF_BOOL, local, c->n_layer);
		tiny_arch_f32(f, "rope.freq_base_swa", 500.0f);
		tiny_arch_f32(f, "final_logit_softcapping", 2.0f);
	}
	if (c->flags & PERIOD)
		tiny_arch_u32(f, "attention.sliding_window_pattern", 3);
	layers(f, true);
}

const struct tiny_arch tiny_arch_gemma[] = {
	{ .name = "gemma2", .arch = "gemma2", .write = write_gemma2, .seed = 301, .n_layer = 4, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 24, .n_ff = 96, .window = 16, .flags = CAPS, .gelu = true },
	{ .name = "gemma2-default", .arch = "gemma2", .write = write_gemma2, .seed = 302, .n_layer = 2, .n_embd = 64,
	  .n_head = 2, .n_head_kv = 1, .head_dim = 32, .n_ff = 96, .flags = SHARP, .gelu = true },
	{ .name = "gemma2-27b", .arch = "gemma2", .write = write_gemma2, .seed = 303, .n_layer = 46, .n_embd = 36,
	  .n_head = 2, .n_head_kv = 1, .head_dim = 32, .n_ff = 32, .window = 16, .flags = CAPS | DEEP, .gelu = true },
	{ .name = "gemma3", .arch = "gemma3", .write = write_gemma3, .seed = 304, .n_layer = 7, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 24, .n_ff = 64, .window = 16, .flags = LINEAR, .gelu = true },
	{ .name = "gemma3-global", .arch = "gemma3", .write = write_gemma3, .seed = 305, .n_layer = 2, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .head_dim = 16, .n_ff = 96, .gelu = true },
	{ .name = "gemma3-pattern", .arch = "gemma3", .write = write_gemma3, .seed = 306, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .window = 16, .flags = PATTERN | LINEAR, .gelu = true },
	{ .name = "gemma3-period", .arch = "gemma3", .write = write_gemma3, .seed = 307, .n_layer = 3, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .window = 20, .flags = PERIOD, .gelu = true },
	{ .name = "gemma3-27b", .arch = "gemma3", .write = write_gemma3, .seed = 308, .n_layer = 62, .n_embd = 36,
	  .n_head = 2, .n_head_kv = 1, .head_dim = 32, .n_ff = 32, .window = 16, .flags = LINEAR | DEEP, .gelu = true },
	{ .name = "gemma3-ollama", .golden = "gemma3", .ollama = true, .arch = "gemma3", .write = write_gemma3,
	  .seed = 304, .n_layer = 7, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 24, .n_ff = 64,
	  .window = 16, .flags = LINEAR, .gelu = true },
	{ .name = NULL },
};
