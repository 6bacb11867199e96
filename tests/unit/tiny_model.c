/* tiny_model.c - see tiny_model.h. */
#include "tests/unit/tiny_model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/gguf.h"
#include "engine/model.h"
#include "kernels/kern.h"
#include "tests/unit/gguf_build.h"
#include "tests/unit/kern_data.h"

const struct tiny_model tiny_model_plain = {
	.seed = 11, .n_layer = 2, .n_embd = 64, .n_head = 4, .n_head_kv = 2, .head_dim = 16, .n_ff = 96, .n_ctx = 512,
	.type = KERN_F32, .tied = true,
};

const struct tiny_model tiny_model_full = {
	.seed = 12, .n_layer = 3, .n_embd = 72, .n_head = 6, .n_head_kv = 2, .head_dim = 20, .n_ff = 100, .n_ctx = 512,
	.type = KERN_F32, .rope_freqs = true, .biases = true, .rope_factor = 4.0f,
};

struct builder {
	const struct tiny_model *t;
	struct kern_data_rng rng;
	struct gguf_build *b;
	bool failed;
};

/* About normal: the sum of twelve uniforms. */
static float normal(struct kern_data_rng *r)
{
	float sum = -6.0f;
	int i;

	for (i = 0; i < 12; i++)
		sum += kern_data_uniform(r, 0.0f, 1.0f);
	return sum;
}

/* A row's root mean square becomes gain / sqrt(cols); cols at most 4096. */
static void set_size(uint32_t type, void *row, uint32_t cols, float gain)
{
	float x[4096], sum = 0.0f;
	uint32_t i;

	kern_dequant(type, row, x, cols);
	for (i = 0; i < cols; i++)
		sum += x[i] * x[i];
	kern_data_row_scale(type, row, cols, gain / sqrtf(sum));
}

/* F32: mean + spread * normal; other types: whatever kern_data_row makes. */
static void tensor(struct builder *b, const char *name, uint32_t type, uint32_t cols, uint32_t rows, float mean,
		   float spread)
{
	const struct kern_type *kt = kern_type(type);
	size_t row_bytes = (size_t)cols / kt->elems * kt->bytes, n = rows != 0 ? rows : 1, i;
	uint64_t ne[2] = { cols, rows };
	unsigned char *data = malloc(n * row_bytes);

	if (data == NULL) {
		b->failed = true;
		return;
	}
	for (i = 0; i < n * cols && type == KERN_F32; i++)
		((float *)(void *)data)[i] = mean + spread * normal(&b->rng);
	for (i = 0; i < n && type != KERN_F32; i++) {
		kern_data_row(&b->rng, type, data + i * row_bytes, cols);
		if (b->t->gain != 0.0f && kt->elems > 1)
			set_size(type, data + i * row_bytes, cols, b->t->gain);
	}
	gguf_build_tensor(b->b, name, type, rows != 0 ? 2 : 1, ne, data, n * row_bytes);
	free(data);
}

static void layer_tensor(struct builder *b, uint32_t layer, const char *name, uint32_t cols, uint32_t rows)
{
	char full[64];
	bool bias = strstr(name, ".bias") != NULL, norm = strstr(name, "_norm.") != NULL;

	snprintf(full, sizeof(full), "blk.%u.%s", layer, name);
	if (norm)
		tensor(b, full, KERN_F32, cols, 0, 1.0f, 0.2f);
	else if (bias)
		tensor(b, full, KERN_F32, cols, 0, 0.0f, 0.3f);
	else
		tensor(b, full, b->t->type, cols, rows, 0.0f, 1.5f / sqrtf((float)cols));
}

static void layer(struct builder *b, uint32_t i)
{
	const struct tiny_model *t = b->t;
	uint32_t q = t->n_head * t->head_dim, kv = t->n_head_kv * t->head_dim;

	layer_tensor(b, i, "attn_norm.weight", t->n_embd, 0);
	layer_tensor(b, i, "attn_q.weight", t->n_embd, q);
	layer_tensor(b, i, "attn_k.weight", t->n_embd, kv);
	layer_tensor(b, i, "attn_v.weight", t->n_embd, kv);
	layer_tensor(b, i, "attn_output.weight", q, t->n_embd);
	layer_tensor(b, i, "ffn_norm.weight", t->n_embd, 0);
	layer_tensor(b, i, "ffn_gate.weight", t->n_embd, t->n_ff);
	layer_tensor(b, i, "ffn_up.weight", t->n_embd, t->n_ff);
	layer_tensor(b, i, "ffn_down.weight", t->n_ff, t->n_embd);
	if (!t->biases)
		return;
	layer_tensor(b, i, "attn_q.bias", q, 0);
	layer_tensor(b, i, "attn_k.bias", kv, 0);
	layer_tensor(b, i, "attn_v.bias", kv, 0);
	layer_tensor(b, i, "attn_output.bias", t->n_embd, 0);
	layer_tensor(b, i, "ffn_gate.bias", t->n_ff, 0);
	layer_tensor(b, i, "ffn_up.bias", t->n_ff, 0);
	layer_tensor(b, i, "ffn_down.bias", t->n_embd, 0);
}

static void dimensions(struct builder *b)
{
	const struct tiny_model *t = b->t;

	gguf_build_str(b->b, "general.architecture", "llama");
	gguf_build_str(b->b, "general.name", "tiny");
	gguf_build_u32(b->b, "llama.block_count", t->n_layer);
	gguf_build_u32(b->b, "llama.context_length", t->n_ctx);
	gguf_build_u32(b->b, "llama.embedding_length", t->n_embd);
	gguf_build_u32(b->b, "llama.feed_forward_length", t->n_ff);
	gguf_build_u32(b->b, "llama.attention.head_count", t->n_head);
	gguf_build_u32(b->b, "llama.attention.head_count_kv", t->n_head_kv);
	gguf_build_u32(b->b, "llama.attention.key_length", t->head_dim);
	gguf_build_u32(b->b, "llama.attention.value_length", t->head_dim);
	gguf_build_u32(b->b, "llama.rope.dimension_count", t->head_dim);
	gguf_build_f32(b->b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	gguf_build_f32(b->b, "llama.rope.freq_base", 10000.0f);
	gguf_build_u32(b->b, "llama.vocab_size", TINY_MODEL_VOCAB);
	if (t->rope_factor == 0.0f)
		return;
	gguf_build_str(b->b, "llama.rope.scaling.type", "linear");
	gguf_build_f32(b->b, "llama.rope.scaling.factor", t->rope_factor);
}

/* A space, 26 letters, a full stop, a newline's stand-in, and pairs beginning with a space; longer
 * texts have higher scores so that encoding merges. */
static void text_token(uint32_t i, char *text, size_t n, float *score)
{
	static const char space[] = "\xe2\x96\x81";

	if (i == 0)
		snprintf(text, n, "%s", space);
	else if (i <= 26)
		snprintf(text, n, "%c", (char)('a' + (int)i - 1));
	else if (i <= 52)
		snprintf(text, n, "%s%c", space, (char)('a' + (int)i - 27));
	else
		snprintf(text, n, "%c%c", "theranouin"[i - 53], "heranouing"[i - 53]);
	*score = i <= 26 ? -100.0f - (float)i : -(float)i;
}

static void vocabulary(struct builder *b)
{
	static const char *const first[3] = { "<unk>", "<s>", "</s>" };
	char text[TINY_MODEL_VOCAB][12];
	const char *list[TINY_MODEL_VOCAB];
	float scores[TINY_MODEL_VOCAB] = { 0 };
	int32_t types[TINY_MODEL_VOCAB];
	uint32_t i;

	for (i = 0; i < TINY_MODEL_VOCAB; i++) {
		list[i] = text[i];
		types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1;
		if (i < 3)
			snprintf(text[i], sizeof(text[i]), "%s", first[i]);
		else if (i < 259)
			snprintf(text[i], sizeof(text[i]), "<0x%02X>", i - 3);
		else
			text_token(i - 259, text[i], sizeof(text[i]), &scores[i]);
	}
	gguf_build_str(b->b, "tokenizer.ggml.model", "llama");
	gguf_build_str(b->b, "tokenizer.ggml.pre", "default");
	gguf_build_arr_str(b->b, "tokenizer.ggml.tokens", list, TINY_MODEL_VOCAB);
	gguf_build_arr(b->b, "tokenizer.ggml.scores", GGUF_F32, scores, TINY_MODEL_VOCAB);
	gguf_build_arr(b->b, "tokenizer.ggml.token_type", GGUF_I32, types, TINY_MODEL_VOCAB);
	gguf_build_u32(b->b, "tokenizer.ggml.bos_token_id", 1);
	gguf_build_u32(b->b, "tokenizer.ggml.eos_token_id", 2);
	gguf_build_u32(b->b, "tokenizer.ggml.unknown_token_id", 0);
	gguf_build_bool(b->b, "tokenizer.ggml.add_bos_token", true);
	gguf_build_bool(b->b, "tokenizer.ggml.add_eos_token", false);
}

/* Factors from 1 to 8, as Llama 3's files have them. */
static void rope_freqs(struct builder *b)
{
	float f[256];
	uint64_t ne[1] = { b->t->head_dim / 2 };
	uint32_t i;

	for (i = 0; i < ne[0] && i < 256; i++)
		f[i] = 1.0f + 7.0f * (float)i / (float)ne[0];
	gguf_build_tensor(b->b, "rope_freqs.weight", KERN_F32, 1, ne, f, (size_t)ne[0] * sizeof(f[0]));
}

int tiny_model_build(const struct tiny_model *t, unsigned char **out, size_t *len)
{
	struct builder b = { t, { t->seed }, gguf_build_new(3), false };
	uint32_t i;
	int rc;

	dimensions(&b);
	vocabulary(&b);
	tensor(&b, "token_embd.weight", t->type, t->n_embd, TINY_MODEL_VOCAB, 0.0f, 1.0f);
	for (i = 0; i < t->n_layer; i++)
		layer(&b, i);
	tensor(&b, "output_norm.weight", KERN_F32, t->n_embd, 0, 1.0f, 0.2f);
	if (!t->tied)
		tensor(&b, "output.weight", t->type, t->n_embd, TINY_MODEL_VOCAB, 0.0f, 1.5f / sqrtf((float)t->n_embd));
	if (t->rope_freqs)
		rope_freqs(&b);
	rc = gguf_build_finish(b.b, out, len);
	if (rc == 0 && b.failed) {
		free(*out);
		rc = -ENOMEM;
	}
	return rc;
}

int tiny_model_write(const unsigned char *bytes, size_t len, char path[TINY_MODEL_PATH])
{
	const char *dir = getenv("TMPDIR");
	int fd, rc = 0;

	snprintf(path, TINY_MODEL_PATH, "%s/tiny-model-XXXXXX", dir != NULL && *dir != '\0' ? dir : "/tmp");
	fd = mkstemp(path);
	if (fd < 0)
		return -errno;
	if (write(fd, bytes, len) != (ssize_t)len)
		rc = -EIO;
	close(fd);
	if (rc != 0)
		unlink(path);
	return rc;
}

int tiny_model_file(const struct tiny_model *t, char path[TINY_MODEL_PATH])
{
	unsigned char *bytes;
	size_t len;
	int rc = tiny_model_build(t, &bytes, &len);

	if (rc != 0)
		return rc;
	rc = tiny_model_write(bytes, len, path);
	free(bytes);
	return rc;
}

int tiny_model_open(const unsigned char *bytes, size_t len, struct model **m, char *err, size_t errlen)
{
	char path[TINY_MODEL_PATH];
	int rc = tiny_model_write(bytes, len, path);

	if (rc != 0)
		return rc;
	rc = model_open(m, path, err, errlen);
	unlink(path);
	return rc;
}
