/* random_vocab.c - see random_vocab.h. */
#include "tests/unit/random_vocab.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "engine/tokenizer.h"
#include "engine/unicode.h"
#include "tests/unit/gguf_build.h"
#include "tests/unit/random_text.h"

#define SAMPLE_BYTES 60000u
#define TRAINED 500u            /* merges that are trained */
#define STRETCHES 600u          /* tokens that no merges lead to */
#define LINE_FEEDS 40u          /* the longest token of line feeds, in escaped ones */
#define MAX_TOKENS 40000u
#define TEXT_BYTES (2u << 20)
#define NONE UINT32_MAX

struct random_vocab {
	enum random_vocab_kind kind;
	char sample[SAMPLE_BYTES];
	uint32_t sample_len;
	uint32_t *sym;                  /* [nsym]: the sample as tokens, NONE where it has none */
	uint32_t nsym;
	const char *text[MAX_TOKENS];   /* [n], in arena */
	int32_t type[MAX_TOKENS];
	uint32_t n;
	const char *merge[MAX_TOKENS];  /* [nmerge], in arena */
	uint32_t nmerge;
	uint32_t *slot;                 /* [4 * MAX_TOKENS]: hash table over text */
	char *arena;
	size_t used;
};

static char *keep(struct random_vocab *v, const char *s, size_t len)
{
	char *at = v->arena + v->used;

	if (len >= TEXT_BYTES - v->used)
		return NULL;
	memcpy(at, s, len);
	at[len] = '\0';
	v->used += len + 1;
	return at;
}

/* The slot of the text, or the empty one where it would go. */
static uint32_t *find(struct random_vocab *v, const char *s)
{
	uint32_t h = 2166136261u, i;
	const char *c;

	for (c = s; *c != '\0'; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	for (i = h % (4 * MAX_TOKENS); v->slot[i] != NONE; i = (i + 1) % (4 * MAX_TOKENS))
		if (strcmp(v->text[v->slot[i]], s) == 0)
			break;
	return &v->slot[i];
}

/* The number of the token s, made now if there is none; NONE when there is no room. */
static uint32_t token(struct random_vocab *v, const char *s, int32_t type)
{
	uint32_t *slot = find(v, s);

	if (*slot != NONE)
		return *slot;
	if (v->n == MAX_TOKENS)
		return NONE;
	v->text[v->n] = keep(v, s, strlen(s));
	if (v->text[v->n] == NULL)
		return NONE;
	v->type[v->n] = type;
	*slot = v->n;
	return v->n++;
}

/* One symbol of the sample at `at` as a text; returns its bytes in the sample. */
static uint32_t symbol(const struct random_vocab *v, uint32_t at, char out[8])
{
	unsigned char c = (unsigned char)v->sample[at];
	uint32_t cp, b, other = 0x100;
	size_t n = 1;

	if (v->kind == RANDOM_VOCAB_BYTES) {
		for (b = 0; b < c; b++)         /* GPT-2's alphabet, as in tokenizer_vocab.c */
			other += !((b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xFF && b != 0xAD));
		cp = (c >= '!' && c <= '~') || (c >= 0xA1 && c != 0xAD) ? c : other;
	} else {
		n = unicode_decode(v->sample + at, v->sample_len - at, &cp);
		cp = cp == ' ' ? 0x2581 : cp;
	}
	out[unicode_encode(cp, out)] = '\0';
	return (uint32_t)n;
}

static void add_bytes(struct random_vocab *v)
{
	unsigned int b;
	char text[8];

	if (v->kind == RANDOM_VOCAB_ESCAPED) {
		token(v, "<unk>", TOKENIZER_UNKNOWN);
		token(v, "<s>", TOKENIZER_CONTROL);
		token(v, "</s>", TOKENIZER_CONTROL);
	}
	for (b = 0; b < 256; b++) {
		v->sample[0] = (char)b;
		if (v->kind == RANDOM_VOCAB_BYTES)
			symbol(v, 0, text);
		else
			snprintf(text, sizeof(text), "<0x%02X>", b);
		token(v, text, v->kind == RANDOM_VOCAB_BYTES ? TOKENIZER_NORMAL : TOKENIZER_BYTE);
	}
}

/* The sample, and its symbols as tokens.  Characters of a code point that is no multiple of 5 past ASCII are
 * left to the byte tokens. */
static void add_sample(struct random_vocab *v, struct random_text *r)
{
	char text[RANDOM_TEXT_MAX], sym[8];
	uint32_t at, step, cp;
	size_t n;

	for (v->sample_len = 0; v->sample_len + RANDOM_TEXT_MAX <= SAMPLE_BYTES; v->sample_len += (uint32_t)n) {
		n = random_text_utf8(r, text);
		memcpy(v->sample + v->sample_len, text, n);
	}
	for (at = 0, v->nsym = 0; at < v->sample_len; at += step) {
		step = symbol(v, at, sym);
		unicode_decode(sym, strlen(sym), &cp);
		if (v->kind == RANDOM_VOCAB_BYTES)
			v->sym[v->nsym++] = *find(v, sym);
		else if (cp == '\n' || (cp > 0xFF && cp != 0x2581 && cp % 5 != 0))
			v->sym[v->nsym++] = NONE;
		else
			v->sym[v->nsym++] = token(v, sym, TOKENIZER_NORMAL);
	}
}

/* Make the merge of two tokens and return its result. */
static uint32_t merge(struct random_vocab *v, uint32_t left, uint32_t right)
{
	char text[1024];
	uint32_t id;

	if (v->nmerge == MAX_TOKENS || strlen(v->text[left]) + strlen(v->text[right]) > 200)
		return NONE;
	snprintf(text, sizeof(text), "%s%s", v->text[left], v->text[right]);
	id = token(v, text, TOKENIZER_NORMAL);
	snprintf(text, sizeof(text), "%s %s", v->text[left], v->text[right]);
	v->merge[v->nmerge] = keep(v, text, strlen(text));
	if (id == NONE || v->merge[v->nmerge] == NULL)
		return NONE;
	v->nmerge++;
	return id;
}

/* Merge the most frequent pair of the sample; count has room for every pair of the tokens so far. */
static bool train_once(struct random_vocab *v, uint16_t *count, uint32_t width)
{
	uint32_t i, n = 0, best = 0, left = NONE, right = NONE, id;
	uint16_t *c;

	for (i = 1; i < v->nsym; i++) {
		if (v->sym[i - 1] >= width || v->sym[i] >= width)
			continue;
		c = &count[(size_t)v->sym[i - 1] * width + v->sym[i]];
		if (++*c > best) {
			best = *c;
			left = v->sym[i - 1];
			right = v->sym[i];
		}
	}
	for (i = 1; i < v->nsym; i++)
		if (v->sym[i - 1] < width && v->sym[i] < width)
			count[(size_t)v->sym[i - 1] * width + v->sym[i]] = 0;
	id = best < 2 ? NONE : merge(v, left, right);
	for (i = 0; id != NONE && i < v->nsym; i++) {
		if (v->sym[i] == left && i + 1 < v->nsym && v->sym[i + 1] == right) {
			v->sym[n++] = id;
			i++;
		} else {
			v->sym[n++] = v->sym[i];
		}
	}
	v->nsym = id != NONE ? n : v->nsym;
	return id != NONE;
}

static bool train(struct random_vocab *v)
{
	uint32_t width = v->n + TRAINED, i;
	uint16_t *count = calloc((size_t)width * width, sizeof(*count));

	for (i = 0; count != NULL && i < TRAINED && train_once(v, count, width); i++)
		;
	free(count);
	return count != NULL;
}

/* A merge for every pair of neighbouring symbols that has none, in random order. */
static void add_pairs(struct random_vocab *v, struct random_text *r)
{
	uint32_t i, other;
	const char *swap;
	char sym[2][8], text[16];
	uint32_t at, step, id[2];

	for (at = 0; at < v->sample_len; at += step) {
		step = symbol(v, at, sym[0]);
		if (at + step >= v->sample_len)
			break;
		symbol(v, at + step, sym[1]);
		id[0] = *find(v, sym[0]);
		id[1] = *find(v, sym[1]);
		snprintf(text, sizeof(text), "%s%s", sym[0], sym[1]);
		if (id[0] != NONE && id[1] != NONE && v->sample[at] != '\n' && v->sample[at + step] != '\n' &&
		    *find(v, text) == NONE)
			merge(v, id[0], id[1]);
	}
	for (i = TRAINED; i < v->nmerge; i++) {
		other = i + random_below(r, v->nmerge - i);
		swap = v->merge[i];
		v->merge[i] = v->merge[other];
		v->merge[other] = swap;
	}
}

/* Stretches of the sample, and runs of line feeds. */
static void add_stretches(struct random_vocab *v, struct random_text *r)
{
	char text[256], sym[8];
	uint32_t i, k, at;

	for (i = 0; i < STRETCHES; i++) {
		at = random_below(r, v->sample_len - 200);
		while (((unsigned char)v->sample[at] & 0xC0) == 0x80)
			at++;
		text[0] = '\0';
		for (k = 2 + random_below(r, 11); k > 0; k--) {
			at += symbol(v, at, sym);
			if (v->kind == RANDOM_VOCAB_ESCAPED && sym[0] == '\n')
				break;
			strcat(text, sym);
		}
		if (text[0] != '\0')
			token(v, text, TOKENIZER_NORMAL);
	}
	text[0] = '\0';
	for (i = 0; v->kind == RANDOM_VOCAB_ESCAPED && i < LINE_FEEDS; i++) {
		strcat(text, "\n");
		token(v, text, TOKENIZER_NORMAL);
	}
}

struct random_vocab *random_vocab_new(enum random_vocab_kind kind, uint64_t seed)
{
	struct random_vocab *v = calloc(1, sizeof(*v));
	struct random_text r = { seed };

	if (v == NULL)
		return NULL;
	v->kind = kind;
	v->sym = calloc(SAMPLE_BYTES, sizeof(*v->sym));
	v->slot = malloc(4 * MAX_TOKENS * sizeof(*v->slot));
	v->arena = malloc(TEXT_BYTES);
	if (v->sym == NULL || v->slot == NULL || v->arena == NULL)
		goto free_vocab;
	memset(v->slot, 0xFF, 4 * MAX_TOKENS * sizeof(*v->slot));
	add_bytes(v);
	add_sample(v, &r);
	if (!train(v))
		goto free_vocab;
	add_pairs(v, &r);
	add_stretches(v, &r);
	return v;

free_vocab:
	random_vocab_free(v);
	return NULL;
}

void random_vocab_free(struct random_vocab *v)
{
	if (v == NULL)
		return;
	free(v->sym);
	free(v->slot);
	free(v->arena);
	free(v);
}

void random_vocab_put(const struct random_vocab *v, struct gguf_build *b, const char *model, const char *pre)
{
	static const char *const sizes[] = {
		"llama.block_count", "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
		"llama.attention.head_count",
	};
	float *score = calloc(v->n, sizeof(*score));
	uint32_t i;

	gguf_build_str(b, "general.architecture", "llama");
	gguf_build_str(b, "general.name", "random");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		gguf_build_u32(b, sizes[i], 64);
	gguf_build_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	gguf_build_str(b, "tokenizer.ggml.model", model);
	if (pre != NULL)
		gguf_build_str(b, "tokenizer.ggml.pre", pre);
	gguf_build_arr_str(b, "tokenizer.ggml.tokens", v->text, v->n);
	gguf_build_arr(b, "tokenizer.ggml.token_type", GGUF_I32, v->type, v->n);
	gguf_build_arr_str(b, "tokenizer.ggml.merges", v->merge, v->nmerge);
	/* scores with many ties, so that which of two is further left matters */
	for (i = 0; score != NULL && i < v->n; i++)
		score[i] = -(float)(i * 2654435761u >> 25);
	if (v->kind == RANDOM_VOCAB_ESCAPED && score != NULL)
		gguf_build_arr(b, "tokenizer.ggml.scores", GGUF_F32, score, v->n);
	gguf_build_u32(b, "tokenizer.ggml.bos_token_id", 1);
	gguf_build_u32(b, "tokenizer.ggml.eos_token_id", 2);
	free(score);
}
