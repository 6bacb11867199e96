/* tiny_arch.c - see tiny_arch.h. */
#include "tests/unit/tiny_arch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "kernels/kern_type.h"
#include "tests/unit/gguf_build.h"
#include "tests/unit/kern_data.h"
#include "tests/unit/tiny_model.h"

#define ROUTER_GAIN 3.0
#define NAME_MAX_BYTES 96
#define PART_MAX_BYTES 64

struct tiny_arch_file {
	const struct tiny_arch *c;
	struct gguf_build *b;
	bool failed;
};

const struct tiny_arch *tiny_arch_case(const struct tiny_arch_file *f)
{
	return f->c;
}

const struct tiny_arch *tiny_arch_at(unsigned i)
{
	static const struct tiny_arch *const families[] = {
		tiny_arch_llama, tiny_arch_qwen, tiny_arch_gemma, tiny_arch_phi3, tiny_arch_gptoss, tiny_arch_granite,
		tiny_arch_cohere, tiny_arch_glm, tiny_arch_gptneox, tiny_arch_deepseek2, tiny_arch_delta,
		tiny_arch_gemma4, tiny_arch_lfm2,
	};
	const struct tiny_arch *c;
	size_t k;

	for (k = 0; k < sizeof(families) / sizeof(families[0]); k++)
		for (c = families[k]; c->name != NULL; c++)
			if (i-- == 0)
				return c;
	return NULL;
}

const struct tiny_arch *tiny_arch_named(const char *name)
{
	const struct tiny_arch *c;
	unsigned i;

	for (i = 0; (c = tiny_arch_at(i)) != NULL; i++)
		if (strcmp(c->name, name) == 0)
			return c;
	fprintf(stderr, "no case %s\n", name);
	abort();
}

/* ---- keys ------------------------------------------------------------------------------------------ */

/* What Ollama calls an architecture, a key or a tensor; a key that becomes "-" it does not write. */
static const struct { const char *arch, *name, *ollama; } ollama[] = {
	{ "gpt-oss", "", "gptoss" }, { "gpt-oss", "expert_feed_forward_length", "-" }, { "gpt-oss", "rope.scaling.type", "-" },
	{ "gpt-oss", "attn_output.weight", "attn_out.weight" }, { "gpt-oss", "attn_output.bias", "attn_out.bias" },
	{ "gpt-oss", "attn_sinks.weight", "attn_sinks" }, { "gpt-oss", "post_attention_norm.weight", "ffn_norm.weight" },
	{ "gemma3", "rope.freq_base", "rope.global.freq_base" }, { "gemma3", "rope.freq_base_swa", "rope.local.freq_base" },
	{ "qwen3moe", "expert_feed_forward_length", "-" },
	{ "qwen3next", "ssm_dt.bias", "ssm_dt" }, { "qwen35", "ssm_dt.bias", "ssm_dt" },
	{ "gemma4", "ffn_down_exps.scale", "ffn_gate_inp.per_expert_scale" },
	{ "mistral3", "rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast" },
	{ "mistral3", "rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow" },
	{ "mistral3", "rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim" },
	{ "mistral3", "attention.temperature_scale", "rope.scaling_beta" },
	{ "deepseek2", "", "glm4moelite" }, { "deepseek2", "attention.key_length_mla", "attention.value_length_mla" },
	{ "deepseek2", "attention.value_length_mla", "attention.key_length_mla" },
	{ "lfm2", "token_embd_norm.weight", "output_norm.weight" },
};

static const char *name_in(const struct tiny_arch *c, const char *name)
{
	size_t i;

	for (i = 0; c->ollama && i < sizeof(ollama) / sizeof(ollama[0]); i++)
		if (strcmp(ollama[i].arch, c->arch) == 0 && strcmp(ollama[i].name, name) == 0)
			return ollama[i].ollama;
	return name;
}

static const char *arch_in(const struct tiny_arch *c)
{
	const char *other = name_in(c, "");

	return *other != '\0' ? other : c->arch;
}

static const char *full_key(const struct tiny_arch_file *f, const char *key, char full[NAME_MAX_BYTES])
{
	snprintf(full, NAME_MAX_BYTES, "%s.%s", arch_in(f->c), name_in(f->c, key));
	return full;
}

static bool leaves_out(const struct tiny_arch_file *f, const char *key)
{
	return strcmp(name_in(f->c, key), "-") == 0;
}

void tiny_arch_u32(struct tiny_arch_file *f, const char *key, uint32_t v)
{
	char full[NAME_MAX_BYTES];

	if (!leaves_out(f, key))
		gguf_build_u32(f->b, full_key(f, key, full), v);
}

void tiny_arch_f32(struct tiny_arch_file *f, const char *key, float v)
{
	char full[NAME_MAX_BYTES];

	gguf_build_f32(f->b, full_key(f, key, full), v);
}

void tiny_arch_bool(struct tiny_arch_file *f, const char *key, bool v)
{
	char full[NAME_MAX_BYTES];

	gguf_build_bool(f->b, full_key(f, key, full), v);
}

void tiny_arch_str(struct tiny_arch_file *f, const char *key, const char *v)
{
	char full[NAME_MAX_BYTES];

	if (!leaves_out(f, key))
		gguf_build_str(f->b, full_key(f, key, full), v);
}

void tiny_arch_array(struct tiny_arch_file *f, const char *key, uint32_t type, const void *v, uint32_t n)
{
	char full[NAME_MAX_BYTES];

	gguf_build_arr(f->b, full_key(f, key, full), type, v, n);
}

void tiny_arch_dims(struct tiny_arch_file *f)
{
	const struct tiny_arch *c = f->c;

	tiny_arch_u32(f, "block_count", c->n_layer);
	tiny_arch_u32(f, "context_length", 4096);
	tiny_arch_u32(f, "embedding_length", c->n_embd);
	tiny_arch_u32(f, "feed_forward_length", c->n_ff);
	tiny_arch_u32(f, "attention.head_count", c->n_head);
	tiny_arch_u32(f, "attention.head_count_kv", c->n_head_kv);
	tiny_arch_f32(f, "rope.freq_base", 10000.0f);
	tiny_arch_f32(f, "attention.layer_norm_rms_epsilon", 1e-5f);
	if (c->n_expert == 0)
		return;
	tiny_arch_u32(f, "expert_count", c->n_expert);
	tiny_arch_u32(f, "expert_used_count", c->n_used);
}

/* ---- tensors --------------------------------------------------------------------------------------- */

static void full_name(uint32_t layer, const char *name, char full[NAME_MAX_BYTES])
{
	if (layer == TINY_ARCH_GLOBAL)
		snprintf(full, NAME_MAX_BYTES, "%s", name);
	else
		snprintf(full, NAME_MAX_BYTES, "blk.%u.%s", layer, name);
}

/* FNV-1a of the name, turned by the seed. */
static struct kern_data_rng stream(uint64_t seed, const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	return (struct kern_data_rng){ h ^ seed * 0x9e3779b97f4a7c15u };
}

/* About normal, with a variance of 2^32: the sum of twelve uniforms of 16 bits, less its mean. */
static int32_t draw(struct kern_data_rng *r)
{
	int32_t sum = -6 * 65535;
	int i;

	for (i = 0; i < 6; i++) {
		uint32_t bits = kern_data_u32(r);

		sum += (int32_t)(bits & 65535u) + (int32_t)(bits >> 16);
	}
	return sum;
}

/* n owned values of the stream of that name; NULL, and the file has failed, without memory. */
static float *values(struct tiny_arch_file *f, const char *full, size_t n, double mean, double spread)
{
	struct kern_data_rng r = stream(f->c->seed, full);
	float *v = malloc(n * sizeof(*v));
	size_t i;

	if (v == NULL) {
		f->failed = true;
		return NULL;
	}
	for (i = 0; i < n; i++)
		v[i] = (float)(mean + draw(&r) * (spread * 0x1p-16));
	return v;
}

/* Writes n values at v; ne as in struct tiny_arch_tensor. */
static void put(struct tiny_arch_file *f, const char *full, const uint32_t ne[3], const float *v, size_t n)
{
	uint64_t wide[3] = { ne[0], ne[1], ne[2] };
	char other[NAME_MAX_BYTES];
	int at = 0;

	if (sscanf(full, "blk.%*u.%n", &at) == EOF || at == 0)
		at = 0;
	snprintf(other, sizeof(other), "%.*s%s", at, full, name_in(f->c, full + at));
	gguf_build_tensor(f->b, other, KERN_F32, ne[1] == 0 ? 1 : ne[2] == 0 ? 2 : 3, wide, v, n * sizeof(*v));
}

void tiny_arch_tensor(struct tiny_arch_file *f, const struct tiny_arch_tensor *t)
{
	size_t n = (size_t)t->ne[0] * (t->ne[1] == 0 ? 1 : t->ne[1]) * (t->ne[2] == 0 ? 1 : t->ne[2]);
	char full[NAME_MAX_BYTES];
	float *v;

	full_name(t->layer, t->name, full);
	v = values(f, full, n, t->mean, t->spread);
	if (v != NULL)
		put(f, full, t->ne, v, n);
	free(v);
}

/* The spread of a matrix of so many columns. */
static double spread_of(const struct tiny_arch_file *f, uint32_t in)
{
	return (f->c->gain != 0.0 ? f->c->gain : 1.25) / sqrt(in);
}

/* NAME.END */
static void named(struct tiny_arch_file *f, const char *name, const char *end, struct tiny_arch_tensor t)
{
	char whole[PART_MAX_BYTES];

	snprintf(whole, sizeof(whole), "%s.%s", name, end);
	t.name = whole;
	tiny_arch_tensor(f, &t);
}

void tiny_arch_matrix(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t in, uint32_t out)
{
	tiny_arch_stack(f, layer, name, in, out, 0);
}

void tiny_arch_stack(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t in, uint32_t out,
		     uint32_t n)
{
	named(f, name, "weight", (struct tiny_arch_tensor){ layer, NULL, { in, out, n }, 0.0, spread_of(f, in) });
}

void tiny_arch_router(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t in, uint32_t out)
{
	named(f, name, "weight", (struct tiny_arch_tensor){ layer, NULL, { in, out, 0 }, 0.0, ROUTER_GAIN / sqrt(in) });
}

void tiny_arch_norm(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t n)
{
	named(f, name, "weight", (struct tiny_arch_tensor){ layer, NULL, { n, 0, 0 }, 1.0, 0.125 });
}

void tiny_arch_bias(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t n)
{
	named(f, name, "bias", (struct tiny_arch_tensor){ layer, NULL, { n, 0, 0 }, 0.0, 0.125 });
}

void tiny_arch_split(struct tiny_arch_file *f, uint32_t layer, const char *name, const char *of, uint32_t in,
		     uint32_t out, uint32_t n)
{
	const uint32_t ne[3] = { in, out, 0 };
	size_t each = (size_t)in * out;
	char part[PART_MAX_BYTES], full[NAME_MAX_BYTES];
	uint32_t i;
	float *v;

	full_name(layer, of, full);
	v = values(f, full, each * n, 0.0, spread_of(f, in));
	for (i = 0; i < n && v != NULL; i++) {
		snprintf(part, sizeof(part), "%s.%u.weight", name, i);
		full_name(layer, part, full);
		put(f, full, ne, v + i * each, each);
	}
	free(v);
}

void tiny_arch_fused(struct tiny_arch_file *f, uint32_t layer, const char *name, const char *const of[2], uint32_t in,
		     uint32_t out, uint32_t n)
{
	const uint32_t ne[3] = { in, 2 * out, n };
	size_t each = (size_t)in * out, i;
	char full[NAME_MAX_BYTES];
	float *both = malloc(2 * each * n * sizeof(*both));
	int k;

	for (k = 0; k < 2 && both != NULL; k++) {
		float *v;

		full_name(layer, of[k], full);
		v = values(f, full, each * n, 0.0, spread_of(f, in));
		for (i = 0; i < n && v != NULL; i++)
			memcpy(both + (2 * i + (size_t)k) * each, v + i * each, each * sizeof(*v));
		free(v);
	}
	full_name(layer, name, full);
	if (both != NULL && !f->failed)
		put(f, full, ne, both, 2 * each * n);
	else
		f->failed = true;
	free(both);
}

void tiny_arch_values(struct tiny_arch_file *f, const char *name, const float *v, uint32_t n)
{
	const uint32_t ne[3] = { n, 0, 0 };

	put(f, name, ne, v, n);
}

void tiny_arch_ends(struct tiny_arch_file *f, double embd_spread, bool tied)
{
	const struct tiny_arch *c = f->c;

	tiny_arch_tensor(f, &(struct tiny_arch_tensor){
		TINY_ARCH_GLOBAL, "token_embd.weight", { c->n_embd, TINY_ARCH_VOCAB, 0 }, 0.0, embd_spread });
	tiny_arch_norm(f, TINY_ARCH_GLOBAL, "output_norm", c->n_embd);
	if (!tied)
		tiny_arch_matrix(f, TINY_ARCH_GLOBAL, "output", c->n_embd, TINY_ARCH_VOCAB);
}

void tiny_arch_attention(struct tiny_arch_file *f, uint32_t layer, enum tiny_arch_biases biases)
{
	const struct tiny_arch *c = f->c;
	uint32_t q = c->n_head * c->head_dim, kv = c->n_head_kv * c->head_dim;

	tiny_arch_matrix(f, layer, "attn_q", c->n_embd, q);
	tiny_arch_matrix(f, layer, "attn_k", c->n_embd, kv);
	tiny_arch_matrix(f, layer, "attn_v", c->n_embd, kv);
	tiny_arch_matrix(f, layer, "attn_output", q, c->n_embd);
	if (biases == TINY_ARCH_NO_BIAS)
		return;
	tiny_arch_bias(f, layer, "attn_q", q);
	tiny_arch_bias(f, layer, "attn_k", kv);
	tiny_arch_bias(f, layer, "attn_v", kv);
	if (biases == TINY_ARCH_ALL_BIAS)
		tiny_arch_bias(f, layer, "attn_output", c->n_embd);
}

void tiny_arch_mlp(struct tiny_arch_file *f, uint32_t layer, uint32_t n_ff)
{
	tiny_arch_matrix(f, layer, "ffn_gate", f->c->n_embd, n_ff);
	tiny_arch_matrix(f, layer, "ffn_up", f->c->n_embd, n_ff);
	tiny_arch_matrix(f, layer, "ffn_down", n_ff, f->c->n_embd);
}

void tiny_arch_moe(struct tiny_arch_file *f, uint32_t layer, uint32_t n_ff)
{
	const struct tiny_arch *c = f->c;

	tiny_arch_router(f, layer, "ffn_gate_inp", c->n_embd, c->n_expert);
	tiny_arch_stack(f, layer, "ffn_gate_exps", c->n_embd, n_ff, c->n_expert);
	tiny_arch_stack(f, layer, "ffn_up_exps", c->n_embd, n_ff, c->n_expert);
	tiny_arch_stack(f, layer, "ffn_down_exps", n_ff, c->n_embd, c->n_expert);
}

void tiny_arch_shared(struct tiny_arch_file *f, uint32_t layer, uint32_t n_ff)
{
	tiny_arch_matrix(f, layer, "ffn_gate_shexp", f->c->n_embd, n_ff);
	tiny_arch_matrix(f, layer, "ffn_up_shexp", f->c->n_embd, n_ff);
	tiny_arch_matrix(f, layer, "ffn_down_shexp", n_ff, f->c->n_embd);
}

/* ---- the vocabulary --------------------------------------------------------------------------------- */

/* SentencePiece: three special tokens, the byte of a newline, a space, 26 letters, 26 letters behind a
 * space, a full stop, and pairs.  Longer texts have higher scores, so that encoding merges. */
static void text_token(uint32_t i, char *text, size_t n)
{
	static const char space[] = "\xe2\x96\x81";
	static const char pairs[] = "hethaninerneroveolldsttoonalndenrahasuunosseovwallesayhimagrreeyatlong"
				    "liofwiiddeoaadsosiillvcoorrnnteditoueaistiasteetlesaarurnomebelarihowo";

	if (i == 0)
		snprintf(text, n, "%s", space);
	else if (i <= 26)
		snprintf(text, n, "%c", (char)('a' + (int)i - 1));
	else if (i <= 52)
		snprintf(text, n, "%s%c", space, (char)('a' + (int)i - 27));
	else if (i == 53)
		snprintf(text, n, ".");
	else
		snprintf(text, n, "%.2s", pairs + 2 * (i - 54));
}

static void vocabulary(struct tiny_arch_file *f)
{
	static const char *const first[4] = { "<unk>", "<s>", "</s>", "<0x0A>" };
	char text[TINY_ARCH_VOCAB][12];
	const char *list[TINY_ARCH_VOCAB];
	float scores[TINY_ARCH_VOCAB];
	int32_t types[TINY_ARCH_VOCAB];
	uint32_t i;

	for (i = 0; i < TINY_ARCH_VOCAB; i++) {
		list[i] = text[i];
		types[i] = i == 0 ? 2 : i < 3 ? 3 : i == 3 ? 6 : 1;
		scores[i] = i < 31 ? -200.0f - (float)i : -(float)i;
		if (i < 4)
			snprintf(text[i], sizeof(text[i]), "%s", first[i]);
		else
			text_token(i - 4, text[i], sizeof(text[i]));
	}
	gguf_build_str(f->b, "tokenizer.ggml.model", "llama");
	gguf_build_str(f->b, "tokenizer.ggml.pre", "default");
	gguf_build_arr_str(f->b, "tokenizer.ggml.tokens", list, TINY_ARCH_VOCAB);
	gguf_build_arr(f->b, "tokenizer.ggml.scores", GGUF_F32, scores, TINY_ARCH_VOCAB);
	gguf_build_arr(f->b, "tokenizer.ggml.token_type", GGUF_I32, types, TINY_ARCH_VOCAB);
	gguf_build_u32(f->b, "tokenizer.ggml.bos_token_id", 1);
	gguf_build_u32(f->b, "tokenizer.ggml.eos_token_id", 2);
	gguf_build_u32(f->b, "tokenizer.ggml.unknown_token_id", 0);
	gguf_build_bool(f->b, "tokenizer.ggml.add_bos_token", true);
	gguf_build_bool(f->b, "tokenizer.ggml.add_eos_token", false);
}

int tiny_arch_build(const struct tiny_arch *c, unsigned char **out, size_t *len)
{
	struct tiny_arch_file f = { c, gguf_build_new(3), false };
	int rc;

	gguf_build_str(f.b, "general.architecture", arch_in(c));
	gguf_build_str(f.b, "general.name", "tiny");
	c->write(&f);
	vocabulary(&f);
	rc = gguf_build_finish(f.b, out, len);
	if (rc == 0 && f.failed) {
		free(*out);
		rc = -ENOMEM;
	}
	return rc;
}

int tiny_arch_open(const struct tiny_arch *c, struct model **m)
{
	unsigned char *bytes;
	char err[512] = "";
	size_t len;
	int rc = tiny_arch_build(c, &bytes, &len);

	if (rc != 0)
		return rc;
	rc = tiny_model_open(bytes, len, m, err, sizeof(err));
	free(bytes);
	if (rc != 0)
		fprintf(stderr, "%s: %s\n", c->name, err);
	return rc;
}
