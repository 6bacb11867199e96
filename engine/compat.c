/* compat.c - see compat.h. */
#include "engine/compat.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct other { const char *arch, *name, *other; };

static const struct other archs[] = { { "gpt-oss", NULL, "gptoss" }, { "deepseek2", NULL, "glm4moelite" } };

static const struct other keys[] = {
	{ "gemma3", "rope.freq_base", "rope.global.freq_base" },
	{ "gemma3", "rope.freq_base_swa", "rope.local.freq_base" },
	{ "mistral3", "rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast" },
	{ "mistral3", "rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow" },
	{ "mistral3", "rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim" },
	{ "mistral3", "attention.temperature_scale", "rope.scaling_beta" },
};

static const struct other tensors[] = {
	{ "gpt-oss", "attn_output.weight", "attn_out.weight" }, { "gpt-oss", "attn_output.bias", "attn_out.bias" },
	{ "gpt-oss", "attn_sinks.weight", "attn_sinks" }, { "gpt-oss", "post_attention_norm.weight", "ffn_norm.weight" },
	{ "qwen3next", "ssm_dt.bias", "ssm_dt" }, { "qwen35", "ssm_dt.bias", "ssm_dt" }, { "qwen35moe", "ssm_dt.bias", "ssm_dt" },
	{ "gemma4", "ffn_down_exps.scale", "ffn_gate_inp.per_expert_scale" },
};

/* Pre-tokenizers by the file's architecture; always: whatever the file says. */
static const struct { const char *arch, *pre; bool always; } pres[] = {
	{ "gptoss", "gpt-4o", true }, { "glm4moelite", "glm4", true }, { "mistral3", "tekken", false },
	{ "lfm2", "lfm2", false },
};

static bool is(struct gguf_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.s, text, s.len) == 0;
}

static bool begins(struct gguf_str s, const char *text)
{
	return s.len > strlen(text) && memcmp(s.s, text, strlen(text)) == 0;
}

static struct gguf_str str(const char *text)
{
	return (struct gguf_str){ text, strlen(text) };
}

static const char *find(const struct other *list, size_t n, const char *arch, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i].arch, arch) == 0 && strcmp(list[i].name, name) == 0)
			return list[i].other;
	return NULL;
}

struct gguf_str compat_arch(struct gguf_str name)
{
	size_t i;

	for (i = 0; i < COUNT(archs); i++)
		if (is(name, archs[i].other))
			return str(archs[i].arch);
	return name;
}

const char *compat_key(const char *arch, const char *key)
{
	return find(keys, COUNT(keys), arch, key);
}

const char *compat_tensor(const char *arch, const char *name)
{
	return find(tensors, COUNT(tensors), arch, name);
}

bool compat_skips(const char *arch, struct gguf_str name)
{
	if (begins(name, "v.") || begins(name, "mm.") || begins(name, "a.") || begins(name, "model.vision_tower."))
		return true;
	return strncmp(arch, "qwen35", 6) == 0 && begins(name, "mtp.");         /* layers that draft tokens */
}

/* Is token i this text? */
static bool token_is(const struct gguf *g, uint64_t i, const char *text)
{
	struct gguf_str s = { NULL, 0 };
	struct gguf_arr tokens;
	uint64_t at = 0, k;

	if (gguf_get_arr(g, "tokenizer.ggml.tokens", &tokens) != 0 || i >= tokens.n)
		return false;
	for (k = 0; k <= i; k++)
		if (gguf_arr_str(&tokens, &at, &s) != 0)
			return false;
	return is(s, text);
}

struct gguf_str compat_pre(const struct gguf *g, struct gguf_str pre)
{
	bool unknown = pre.len == 0 || is(pre, "default");
	struct gguf_str arch;
	size_t i;

	if (gguf_get_str(g, "general.architecture", &arch) != 0)
		return pre;
	for (i = 0; i < COUNT(pres); i++)
		if (is(arch, pres[i].arch) && (unknown || pres[i].always))
			return str(pres[i].pre);
	if (unknown && is(arch, "llama") && token_is(g, 128006, "<|start_header_id|>") && token_is(g, 128009, "<|eot_id|>"))
		return str("llama-bpe");
	return pre;
}

struct gguf_str compat_tokenizer(const struct gguf *g, struct gguf_str model)
{
	struct gguf_str arch;

	if (is(model, "llama") && gguf_get_str(g, "general.architecture", &arch) == 0 && is(arch, "gemma4"))
		return str("gemma4");
	return model;
}
