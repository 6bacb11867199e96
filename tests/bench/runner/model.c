/* model.c - write a model with random weights in F16, large enough for its speed to be that of a real one.
 *
 *	runner_bench dense FILE                 llama, 1.1 billion parameters: width 2048, 22 layers, 32 heads, 4 KV heads
 *	runner_bench moe FILE SHARES            qwen3moe, 1.3 billion: width 1024, 6 layers of 128 experts, 6 of them used,
 *	                                        chosen about as often as the file SHARES says: for each layer the share
 *	                                        of each expert in all choices
 *	runner_bench kv FILE                    llama, 41 million: width 512, 2 layers of 8 heads and as many KV heads, so
 *	                                        4 KiB of KV cache a token in F16
 *
 * Weights are normal with deviation 1 / sqrt(inputs), so that activations neither vanish nor grow; numbers come of
 * splitmix64 and are the same every time.  The embedding's first value is 1 for every token; in the mixture nothing is
 * added to it, and a router weighs it by the logarithm of the expert's share and the rest by noise (the largest
 * of logarithms of shares with noise of one width are drawn about as the shares say: the Gumbel trick).
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 32
#define VOCAB 32000
#define EXPERTS 128
#define MOE_LAYERS 6
#define TENSORS_MAX 512
#define CHUNK 65536             /* weights at a time */

enum { U32 = 4, F32 = 6, STR = 8, ARR = 9, I32 = 5 };
enum filler { NORMAL, ONES, EMBEDDING, ROUTER, ADDED };

struct shape { const char *arch; uint32_t width, layers, heads, kv_heads, head, ff, experts, used; };

struct tensor { char name[64]; int layer; uint64_t ne[3]; enum filler fill; bool f32; };

struct writer {
	const struct shape *s;
	FILE *out, *keys;               /* the file; its keys, written to memory first, since they are counted */
	uint64_t n_keys, rng;
	double shares[MOE_LAYERS][EXPERTS];
	struct tensor t[TENSORS_MAX];
	uint32_t n;
};

static const struct shape dense = { "llama", 2048, 22, 32, 4, 64, 5632, 0, 0 };
static const struct shape wide = { "llama", 512, 2, 8, 8, 64, 1536, 0, 0 };
static const struct shape mixture = { "qwen3moe", 1024, MOE_LAYERS, 16, 4, 64, 512, EXPERTS, 6 };

/* ---- numbers ---- */

static uint64_t next_u64(struct writer *w)
{
	uint64_t z = (w->rng += 0x9e3779b97f4a7c15U);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* Nearly normal, deviation 1: the sum of four uniform numbers. */
static float normal(struct writer *w)
{
	uint64_t r = next_u64(w);
	double sum = (double)(r & 0xffff) + (double)(r >> 16 & 0xffff) + (double)(r >> 32 & 0xffff) + (double)(r >> 48);

	return (float)((sum / 65536.0 - 2.0) * 1.7320508);
}

/* For small numbers: no infinities, and what is below the smallest normal one is 0. */
static uint16_t to_f16(float x)
{
	uint32_t bits, sign, exp;

	memcpy(&bits, &x, sizeof(bits));
	sign = bits >> 16 & 0x8000u;
	exp = bits >> 23 & 0xff;
	return (uint16_t)(exp < 113 ? sign : (sign | ((exp - 112) << 10) | (bits >> 13 & 0x3ff)));
}

/* ---- the header ---- */

static void put_u32(FILE *f, uint32_t v) { fwrite(&v, sizeof(v), 1, f); }
static void put_u64(FILE *f, uint64_t v) { fwrite(&v, sizeof(v), 1, f); }

static void put_str(FILE *f, const char *s)
{
	put_u64(f, strlen(s));
	fwrite(s, 1, strlen(s), f);
}

/* A name that begins with a point is in the architecture's name space. */
static void key(struct writer *w, const char *name, uint32_t type)
{
	char full[96];

	snprintf(full, sizeof(full), "%s%s", name[0] == '.' ? w->s->arch : "", name);
	put_str(w->keys, full);
	put_u32(w->keys, type);
	w->n_keys++;
}

static void key_u32(struct writer *w, const char *name, uint32_t v) { key(w, name, U32); put_u32(w->keys, v); }

static void key_f32(struct writer *w, const char *name, float v)
{
	key(w, name, F32);
	fwrite(&v, sizeof(v), 1, w->keys);
}

static void key_str(struct writer *w, const char *name, const char *v) { key(w, name, STR); put_str(w->keys, v); }

static void key_array(struct writer *w, const char *name, uint32_t type)
{
	key(w, name, ARR);
	put_u32(w->keys, type);
	put_u64(w->keys, VOCAB);
}

/* A vocabulary of the right size: three special tokens, the bytes, and words without a meaning. */
static void vocabulary(struct writer *w)
{
	char token[32];
	uint32_t i;

	key_str(w, "tokenizer.ggml.model", "llama");
	key_array(w, "tokenizer.ggml.tokens", STR);
	for (i = 0; i < VOCAB; i++) {
		if (i < 3)
			snprintf(token, sizeof(token), "%s", i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>");
		else if (i < 259)
			snprintf(token, sizeof(token), "<0x%02X>", i - 3);
		else
			snprintf(token, sizeof(token), "w%u", i);
		put_str(w->keys, token);
	}
	key_array(w, "tokenizer.ggml.scores", F32);
	for (i = 0; i < VOCAB; i++)
		fwrite(&(float){ -(float)i }, sizeof(float), 1, w->keys);
	key_array(w, "tokenizer.ggml.token_type", I32);
	for (i = 0; i < VOCAB; i++)
		put_u32(w->keys, i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
	key_u32(w, "tokenizer.ggml.bos_token_id", 1);
	key_u32(w, "tokenizer.ggml.eos_token_id", 2);
}

static void dimensions(struct writer *w)
{
	const struct shape *s = w->s;

	key_str(w, "general.architecture", s->arch);
	key_str(w, "general.name", "random weights");
	key_u32(w, ".block_count", s->layers);
	key_u32(w, ".context_length", 131072);
	key_u32(w, ".embedding_length", s->width);
	key_u32(w, ".feed_forward_length", s->ff);
	key_u32(w, ".attention.head_count", s->heads);
	key_u32(w, ".attention.head_count_kv", s->kv_heads);
	key_u32(w, ".attention.key_length", s->head);
	key_u32(w, ".attention.value_length", s->head);
	key_u32(w, ".rope.dimension_count", s->head);
	key_u32(w, ".vocab_size", VOCAB);
	key_f32(w, ".attention.layer_norm_rms_epsilon", 1e-5f);
	if (s->experts > 0) {
		key_u32(w, ".expert_count", s->experts);
		key_u32(w, ".expert_used_count", s->used);
		key_u32(w, ".expert_feed_forward_length", s->ff);
	}
}

/* ---- tensors ---- */

static void add(struct writer *w, int layer, const char *name, enum filler fill, uint64_t cols, uint64_t rows, uint64_t slices)
{
	struct tensor *t = &w->t[w->n++];

	*t = (struct tensor){ .layer = layer, .ne = { cols, rows, slices }, .fill = fill, .f32 = rows == 0 || fill == ROUTER };
	if (layer < 0)
		snprintf(t->name, sizeof(t->name), "%s.weight", name);
	else
		snprintf(t->name, sizeof(t->name), "blk.%d.%s.weight", layer, name);
}

static void layer(struct writer *w, int i)
{
	const struct shape *s = w->s;
	uint64_t n = s->width, q = (uint64_t)s->heads * s->head, kv = (uint64_t)s->kv_heads * s->head;

	add(w, i, "attn_norm", ONES, n, 0, 0);
	add(w, i, "attn_q", NORMAL, n, q, 0);
	add(w, i, "attn_k", NORMAL, n, kv, 0);
	add(w, i, "attn_v", NORMAL, n, kv, 0);
	add(w, i, "attn_output", s->experts > 0 ? ADDED : NORMAL, q, n, 0);
	add(w, i, "ffn_norm", ONES, n, 0, 0);
	if (s->experts == 0) {
		add(w, i, "ffn_gate", NORMAL, n, s->ff, 0);
		add(w, i, "ffn_up", NORMAL, n, s->ff, 0);
		add(w, i, "ffn_down", NORMAL, s->ff, n, 0);
		return;
	}
	add(w, i, "attn_q_norm", ONES, s->head, 0, 0);
	add(w, i, "attn_k_norm", ONES, s->head, 0, 0);
	add(w, i, "ffn_gate_inp", ROUTER, n, s->experts, 0);
	add(w, i, "ffn_gate_exps", NORMAL, n, s->ff, s->experts);
	add(w, i, "ffn_up_exps", NORMAL, n, s->ff, s->experts);
	add(w, i, "ffn_down_exps", ADDED, s->ff, n, s->experts);
}

static uint64_t count(const struct tensor *t)
{
	return t->ne[0] * (t->ne[1] ? t->ne[1] : 1) * (t->ne[2] ? t->ne[2] : 1);
}

static uint64_t padded_bytes(const struct tensor *t)
{
	return (count(t) * (t->f32 ? 4 : 2) + ALIGN - 1) / ALIGN * ALIGN;
}

static float weight(struct writer *w, const struct tensor *t, uint64_t i)
{
	uint64_t col = i % t->ne[0], row = i / t->ne[0];

	switch (t->fill) {
	case ONES:
		return 1.0f;
	case EMBEDDING:
		return col == 0 ? 1.0f : normal(w);
	case ROUTER:
		return col == 0 ? 0.8f * (float)log(w->shares[t->layer][row] + 1e-5) : normal(w) / sqrtf((float)t->ne[0]);
	case ADDED:             /* to the stream, whose first value stays */
		if (row % t->ne[1] == 0)
			return 0.0f;
		break;
	case NORMAL:
		break;
	}
	return normal(w) / sqrtf((float)t->ne[0]);
}

static void put_tensor(struct writer *w, const struct tensor *t)
{
	static uint16_t half[CHUNK];
	static float full[CHUNK];
	static const char zeros[ALIGN];
	uint64_t n = count(t), i, k, part, bytes = n * (t->f32 ? 4 : 2);

	for (i = 0; i < n; i += part) {
		part = n - i < CHUNK ? n - i : CHUNK;
		for (k = 0; k < part; k++) {
			full[k] = weight(w, t, i + k);
			half[k] = to_f16(full[k]);
		}
		fwrite(t->f32 ? (const void *)full : (const void *)half, t->f32 ? 4 : 2, part, w->out);
	}
	fwrite(zeros, 1, padded_bytes(t) - bytes, w->out);
}

static void put_info(struct writer *w, const struct tensor *t, uint64_t off)
{
	uint32_t dims = t->ne[2] ? 3 : t->ne[1] ? 2 : 1, i;

	put_str(w->out, t->name);
	put_u32(w->out, dims);
	for (i = 0; i < dims; i++)
		put_u64(w->out, t->ne[i]);
	put_u32(w->out, t->f32 ? 0 : 1);
	put_u64(w->out, off);
}

static int write_model(struct writer *w)
{
	static const char zeros[ALIGN];
	char *keys = NULL;
	size_t len = 0;
	uint64_t off = 0;
	uint32_t i;

	w->keys = open_memstream(&keys, &len);
	if (w->keys == NULL)
		return -1;
	dimensions(w);
	vocabulary(w);
	fclose(w->keys);
	add(w, -1, "token_embd", EMBEDDING, w->s->width, VOCAB, 0);
	for (i = 0; i < w->s->layers; i++)
		layer(w, (int)i);
	add(w, -1, "output_norm", ONES, w->s->width, 0, 0);
	add(w, -1, "output", NORMAL, w->s->width, VOCAB, 0);
	fwrite("GGUF", 1, 4, w->out);
	put_u32(w->out, 3);
	put_u64(w->out, w->n);
	put_u64(w->out, w->n_keys);
	fwrite(keys, 1, len, w->out);
	free(keys);
	for (i = 0; i < w->n; off += padded_bytes(&w->t[i]), i++)
		put_info(w, &w->t[i], off);
	fwrite(zeros, 1, (size_t)((ALIGN - ftell(w->out) % ALIGN) % ALIGN), w->out);
	for (i = 0; i < w->n; i++)
		put_tensor(w, &w->t[i]);
	return ferror(w->out) != 0 || fclose(w->out) != 0 ? -1 : 0;
}

static bool read_shares(struct writer *w, const char *path)
{
	FILE *f = fopen(path, "r");
	double *share = &w->shares[0][0];
	int i;

	for (i = 0; f != NULL && i < MOE_LAYERS * EXPERTS && fscanf(f, "%lf", &share[i]) == 1; i++)
		;
	if (f != NULL)
		fclose(f);
	return i == MOE_LAYERS * EXPERTS;
}

int main(int argc, char **argv)
{
	static struct writer w = { .rng = 1 };

	if (argc == 3 && strcmp(argv[1], "dense") == 0) {
		w.s = &dense;
	} else if (argc == 3 && strcmp(argv[1], "kv") == 0) {
		w.s = &wide;
	} else if (argc == 4 && strcmp(argv[1], "moe") == 0 && read_shares(&w, argv[3])) {
		w.s = &mixture;
	} else {
		fprintf(stderr, "usage: runner_bench dense FILE | kv FILE | moe FILE SHARES\n");
		return 2;
	}
	w.out = fopen(argv[2], "wb");
	if (w.out == NULL || write_model(&w) != 0) {
		perror(argv[2]);
		return 1;
	}
	return 0;
}
