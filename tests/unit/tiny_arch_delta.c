/* tiny_arch_delta.c - qwen3next, qwen35, qwen35moe: gated delta net in most layers, full attention in the others.
 *
 *	keys    tiny_arch_dims; attention.key_length, value_length (= d); rope.dimension_count (a quarter of d in real
 *	        files); ssm.conv_kernel (K = 4), ssm.state_size (s), ssm.group_count (G heads of q and k),
 *	        ssm.time_step_rank (H heads of v, a multiple of G), ssm.inner_size (H * s); full_attention_interval (4
 *	        without the key: layer i is full when (i + 1) % 4 == 0) or attention.recurrent_layers, an array of
 *	        booleans (true: delta net) of block_count elements, which goes first; expert_feed_forward_length,
 *	        expert_shared_feed_forward_length; nextn_predict_layers; qwen35 and qwen35moe also
 *	        rope.dimension_sections [4]: as long as the first three share out the pairs as real files' do, rope
 *	        is NEOX for text (sections of 4, 0, 0, 0 leave some pairs unturned)
 *	ends    token_embd, output_norm, output (absent: token_embd)
 *	x += attention or delta net(rms_norm(x) * attn_norm);  x += mlp(rms_norm(x) * post_attention_norm); no ffn_norm
 *
 * Full attention: attn_q [n_embd, n_head * 2 * d]: of each head d values of q, then d of a gate; attn_q_norm,
 *	attn_k_norm [d] before NEOX rope; what a head gives times sigmoid(gate), then attn_output.
 *
 * Delta net: attn_qkv [n_embd, 2 * G * s + H * s] gives q, k, v; attn_gate [n_embd, H * s] gives z; ssm_conv1d
 *	[K, 2 * G * s + H * s]: out[t][c] = sum over j of w[c][j] * in[t - K + 1 + j][c], zero before the start; SiLU;
 *	then of each head q and k divided by max(their length, rms epsilon).
 *	g = ssm_a [H] * softplus(alpha + ssm_dt.bias [H]), beta = sigmoid(b).  For each head of v, S [s, s] zero at first:
 *	S *= exp(g);  d = beta * (v - S^T k);  S += k d^T;  o = S^T q / sqrt(s)
 *	rms_norm(o of a head) * ssm_norm [s] * silu(z), then ssm_out [H * s, n_embd].
 *	qwen3next: head h of v uses head h / (H / G) of q and k; ssm_ba [n_embd, 2 * H] gives, for each of the G heads, H / G
 *	values b, then H / G values alpha.  Older files have ssm_in [n_embd, 2 * G * s + 2 * H * s] for attn_qkv and
 *	attn_gate: for each of the G heads s values of q, s of k, H / G * s of v, H / G * s of z.
 *	qwen35, qwen35moe: head h of v uses head h % G; ssm_beta and ssm_alpha [n_embd, H].
 *
 * qwen3next, qwen35moe: experts as qwen3moe's (softmax, divided by the sum of the chosen) and a shared expert with
 *	a gate as qwen2moe's; ffn_gate_exps and ffn_up_exps, or both in ffn_gate_up_exps, gate first.
 * Tail: as in tiny_arch_glm.c; those layers are of the full attention kind.
 */
#include "engine/gguf.h"
#include "tests/unit/tiny_arch.h"

enum { OLD = 1, TIED = 2, TAIL = 4, PATTERN = 8, FUSED = 16, EVERY_SECOND = 32, QWEN35 = 64, WIDE = 128 };

struct delta { uint32_t s, g, h; };

static struct delta delta_of(const struct tiny_arch *c)
{
	return (struct delta){ 16, 2, c->flags & WIDE ? 6 : 4 };
}

static bool recurrent(const struct tiny_arch *c, uint32_t i)
{
	if (c->flags & TAIL && i == c->n_layer - 1)
		return false;
	if (c->flags & PATTERN)
		return i % 4 != 1;
	return (i + 1) % (c->flags & EVERY_SECOND ? 2 : 4) != 0;
}

static void keys(struct tiny_arch_file *f)
{
	static const int32_t sections[4] = { 2, 1, 1, 0 };
	static const bool pattern[] = { true, false, true, true, true, false, true, true };
	const struct tiny_arch *c = tiny_arch_case(f);
	struct delta d = delta_of(c);

	tiny_arch_u32(f, "attention.key_length", c->head_dim);
	tiny_arch_u32(f, "attention.value_length", c->head_dim);
	tiny_arch_u32(f, "rope.dimension_count", c->head_dim / 4);
	tiny_arch_u32(f, "ssm.conv_kernel", 4);
	tiny_arch_u32(f, "ssm.state_size", d.s);
	tiny_arch_u32(f, "ssm.group_count", d.g);
	tiny_arch_u32(f, "ssm.time_step_rank", d.h);
	tiny_arch_u32(f, "ssm.inner_size", d.h * d.s);
	if (c->flags & QWEN35)
		tiny_arch_array(f, "rope.dimension_sections", GGUF_I32, sections, 4);
	if (c->flags & PATTERN)
		tiny_arch_array(f, "attention.recurrent_layers", GGUF_BOOL, pattern, c->n_layer);
	else if (c->flags & EVERY_SECOND)
		tiny_arch_u32(f, "full_attention_interval", 2);
	if (c->flags & TAIL)
		tiny_arch_u32(f, "nextn_predict_layers", 1);
	if (c->n_expert == 0)
		return;
	tiny_arch_u32(f, "expert_feed_forward_length", c->n_ff_exp);
	tiny_arch_u32(f, "expert_shared_feed_forward_length", c->n_ff_exp + 8);
}

static void full_attention(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);

	tiny_arch_matrix(f, i, "attn_q", c->n_embd, c->n_head * 2 * c->head_dim);
	tiny_arch_matrix(f, i, "attn_k", c->n_embd, c->n_head_kv * c->head_dim);
	tiny_arch_matrix(f, i, "attn_v", c->n_embd, c->n_head_kv * c->head_dim);
	tiny_arch_matrix(f, i, "attn_output", c->n_head * c->head_dim, c->n_embd);
	tiny_arch_norm(f, i, "attn_q_norm", c->head_dim);
	tiny_arch_norm(f, i, "attn_k_norm", c->head_dim);
}

static void delta_net(struct tiny_arch_file *f, uint32_t i)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	struct delta d = delta_of(c);
	uint32_t qkv = (2 * d.g + d.h) * d.s, v = d.h * d.s;

	if (c->flags & OLD) {
		tiny_arch_matrix(f, i, "ssm_in", c->n_embd, qkv + v);
	} else {
		tiny_arch_matrix(f, i, "attn_qkv", c->n_embd, qkv);
		tiny_arch_matrix(f, i, "attn_gate", c->n_embd, v);
	}
	if (c->flags & QWEN35) {
		tiny_arch_matrix(f, i, "ssm_beta", c->n_embd, d.h);
		tiny_arch_matrix(f, i, "ssm_alpha", c->n_embd, d.h);
	} else {
		tiny_arch_matrix(f, i, "ssm_ba", c->n_embd, 2 * d.h);
	}
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "ssm_conv1d.weight", { 4, qkv }, 0.0, 0.5 });
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "ssm_dt.bias", { d.h }, 0.0, 1.0 });
	/* slow enough for the state to reach back some twenty positions */
	tiny_arch_tensor(f, &(struct tiny_arch_tensor){ i, "ssm_a", { d.h }, -0.125, 0.03125 });
	tiny_arch_norm(f, i, "ssm_norm", d.s);
	tiny_arch_matrix(f, i, "ssm_out", v, c->n_embd);
}

static void feed_forward(struct tiny_arch_file *f, uint32_t i)
{
	static const char *const gate_up[2] = { "ffn_gate_exps.weight", "ffn_up_exps.weight" };
	const struct tiny_arch *c = tiny_arch_case(f);

	if (c->n_expert == 0) {
		tiny_arch_mlp(f, i, c->n_ff);
		return;
	}
	if (c->flags & FUSED) {
		tiny_arch_router(f, i, "ffn_gate_inp", c->n_embd, c->n_expert);
		tiny_arch_fused(f, i, "ffn_gate_up_exps.weight", gate_up, c->n_embd, c->n_ff_exp, c->n_expert);
		tiny_arch_stack(f, i, "ffn_down_exps", c->n_ff_exp, c->n_embd, c->n_expert);
	} else {
		tiny_arch_moe(f, i, c->n_ff_exp);
	}
	tiny_arch_router(f, i, "ffn_gate_inp_shexp", c->n_embd, 0);
	tiny_arch_shared(f, i, c->n_ff_exp + 8);
}

static void write_delta(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = tiny_arch_case(f);
	uint32_t i, last = c->n_layer - 1;

	tiny_arch_dims(f);
	keys(f);
	tiny_arch_ends(f, c->flags & TIED ? 0.25 : 1.0, (c->flags & TIED) != 0);
	for (i = 0; i < c->n_layer; i++) {
		tiny_arch_norm(f, i, "attn_norm", c->n_embd);
		if (recurrent(c, i))
			delta_net(f, i);
		else
			full_attention(f, i);
		tiny_arch_norm(f, i, "post_attention_norm", c->n_embd);
		feed_forward(f, i);
	}
	if (!(c->flags & TAIL))
		return;
	tiny_arch_matrix(f, last, "nextn.eh_proj", 2 * c->n_embd, c->n_embd);
	tiny_arch_norm(f, last, "nextn.enorm", c->n_embd);
	tiny_arch_norm(f, last, "nextn.hnorm", c->n_embd);
	tiny_arch_norm(f, last, "nextn.shared_head_norm", c->n_embd);
}

const struct tiny_arch tiny_arch_delta[] = {
	{ .name = "qwen3next", .arch = "qwen3next", .write = write_delta, .seed = 1111, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 3, .n_ff_exp = 24 },
	{ .name = "qwen3next-old", .arch = "qwen3next", .write = write_delta, .seed = 1109, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 2, .n_ff_exp = 24,
	  .flags = OLD | FUSED | TIED | EVERY_SECOND | WIDE, .gain = 0.75 },
	{ .name = "qwen35", .arch = "qwen35", .write = write_delta, .seed = 1103, .n_layer = 5, .n_embd = 64, .n_head = 4,
	  .n_head_kv = 2, .head_dim = 32, .n_ff = 80, .flags = QWEN35 | TAIL },
	{ .name = "qwen35-pattern", .arch = "qwen35", .write = write_delta, .seed = 1104, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 1, .head_dim = 32, .n_ff = 80, .flags = QWEN35 | PATTERN | TIED | WIDE },
	{ .name = "qwen35moe", .arch = "qwen35moe", .write = write_delta, .seed = 1115, .n_layer = 4, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 3, .n_ff_exp = 24,
	  .flags = QWEN35 },
	{ .name = "qwen35moe-fused", .golden = "qwen35moe", .arch = "qwen35moe", .write = write_delta, .seed = 1115,
	  .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 3,
	  .n_ff_exp = 24, .flags = QWEN35 | FUSED },
	{ .name = "qwen35moe-tail", .arch = "qwen35moe", .write = write_delta, .seed = 1106, .n_layer = 5, .n_embd = 64,
	  .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 2, .n_ff_exp = 24,
	  .flags = QWEN35 | TAIL | EVERY_SECOND },
	{ .name = "qwen3next-ollama", .golden = "qwen3next", .ollama = true, .arch = "qwen3next",
	  .write = write_delta, .seed = 1111, .n_layer = 4, .n_embd = 64, .n_head = 4, .n_head_kv = 2,
	  .head_dim = 32, .n_ff = 96, .n_expert = 8, .n_used = 3, .n_ff_exp = 24 },
	{ .name = "qwen35-ollama", .golden = "qwen35", .ollama = true, .arch = "qwen35", .write = write_delta,
	  .seed = 1103, .n_layer = 5, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 32, .n_ff = 80,
	  .flags = QWEN35 | TAIL },
	{ .name = NULL },
};
