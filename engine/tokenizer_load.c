/* tokenizer_load.c - read the vocabulary from the metadata of a GGUF file.
 *
 * Where a key is absent this follows llama.cpp (src/llama-vocab.cpp): no types means every token is
 * normal, no scores means all are equal, no pre-tokenizer means "default".
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compat.h"
#include "engine/tokenizer_internal.h"

#define TOKENS_KEY "tokenizer.ggml.tokens"
#define TYPES_KEY "tokenizer.ggml.token_type"
#define SCORES_KEY "tokenizer.ggml.scores"
#define QUOTE_MAX 40    /* bytes of a string from the file that an error line shows */

int tokenizer_fault(char *err, size_t errlen, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return rc;
}

/* s in printable ASCII, cut to fit. */
static void quote(char out[QUOTE_MAX + 1], struct gguf_str s)
{
	size_t i;

	for (i = 0; i < s.len && i < QUOTE_MAX; i++)
		out[i] = s.s[i] >= 0x20 && s.s[i] < 0x7F ? s.s[i] : '?';
	out[i] = '\0';
}

static bool str_is(struct gguf_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.s, text, s.len) == 0;
}

/* What the tokenizers are that this does not have. */
static const char *kind_words(struct gguf_str s)
{
	static const struct {
		const char *model, *words;
	} known[] = {
		{ "bert", " (WordPiece)" }, { "t5", " (Unigram)" }, { "rwkv", " (the table of RWKV)" },
		{ "plamo2", " (the table of PLaMo)" }, { "plamo3", " (the table of PLaMo)" },
		{ "none", " (no vocabulary)" }, { "no_vocab", " (no vocabulary)" },
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_is(s, known[i].model))
			return known[i].words;
	return "";
}

static int load_pre(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	struct gguf_str s = { NULL, 0 };
	char shown[QUOTE_MAX + 1];
	int rc;

	rc = gguf_get_str(g, "tokenizer.ggml.pre", &s);
	if (rc != 0 && rc != -ENOENT)
		return tokenizer_fault(err, errlen, -EINVAL, "tokenizer.ggml.pre is not a string");
	s = compat_pre(g, s);
	t->pre = tokenizer_pre_find(s.s, s.len);
	if (t->pre == NULL) {
		quote(shown, s);
		return tokenizer_fault(err, errlen, -ENOTSUP,
				       "tokenizer.ggml.pre is '%s', which is not supported", shown);
	}
	t->escaped = t->pre->escaped;
	return 0;
}

static int load_kind(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	char shown[QUOTE_MAX + 1];
	struct gguf_str s;
	int rc;

	rc = gguf_get_str(g, "tokenizer.ggml.model", &s);
	if (rc != 0)
		return tokenizer_fault(err, errlen, -EINVAL, "tokenizer.ggml.model is %s",
				       rc == -ENOENT ? "missing" : "not a string");
	s = compat_tokenizer(g, s);
	t->escaped = true;
	t->kind = TOKENIZER_SPM;
	if (str_is(s, "llama"))
		return 0;
	t->kind = TOKENIZER_BPE;
	if (str_is(s, "gpt2"))
		return load_pre(t, g, err, errlen);
	t->pre = tokenizer_pre_find("gemma4", 6);
	if (str_is(s, "gemma4"))
		return 0;
	quote(shown, s);
	return tokenizer_fault(err, errlen, -ENOTSUP,
			       "tokenizer.ggml.model is '%s'%s; llama, gpt2 and gemma4 are supported", shown,
			       kind_words(s));
}

static int load_token(struct tokenizer *t, struct gguf_str s, uint32_t i, char *err, size_t errlen)
{
	uint32_t id = i;
	int rc;

	if (s.len > TOKENIZER_MAX_TOKEN_BYTES)
		return tokenizer_fault(err, errlen, -EINVAL, TOKENS_KEY "[%u] has %zu bytes, more than %d", i,
				       s.len, TOKENIZER_MAX_TOKEN_BYTES);
	rc = tokenizer_texts_add(&t->texts, s.s, (uint32_t)s.len, &id);
	if (rc == -EEXIST)
		return tokenizer_fault(err, errlen, -EINVAL, TOKENS_KEY "[%u] and [%u] are the same text",
				       id, i);
	if (rc == -EINVAL)
		return tokenizer_fault(err, errlen, rc, TOKENS_KEY "[%u] collides with too many others", i);
	return rc;
}

static int load_tokens(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	uint64_t cursor = 0, i;
	struct gguf_arr a;
	struct gguf_str s;
	int rc;

	rc = gguf_get_arr(g, TOKENS_KEY, &a);
	if (rc != 0 || a.elem_type != GGUF_STR)
		return tokenizer_fault(err, errlen, -EINVAL, TOKENS_KEY " is %s",
				       rc == -ENOENT ? "missing" : "not an array of strings");
	if (a.n == 0 || a.n > INT32_MAX)
		return tokenizer_fault(err, errlen, -EINVAL, TOKENS_KEY " has %llu tokens",
				       (unsigned long long)a.n);
	t->n_tokens = (uint32_t)a.n;
	for (i = 0; i < a.n; i++) {
		rc = gguf_arr_str(&a, &cursor, &s);
		if (rc != 0)
			return tokenizer_fault(err, errlen, rc, TOKENS_KEY "[%u] is not readable",
					       (unsigned int)i);
		rc = load_token(t, s, (uint32_t)i, err, errlen);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* The array of one value a token called key.  0, -ENOENT, or -EINVAL with the line written. */
static int get_per_token(const struct tokenizer *t, const struct gguf *g, const char *key,
			 struct gguf_arr *a, char *err, size_t errlen)
{
	int rc = gguf_get_arr(g, key, a);

	if (rc == -ENOENT)
		return rc;
	if (rc != 0)
		return tokenizer_fault(err, errlen, -EINVAL, "%s is not an array", key);
	if (a->n != t->n_tokens)
		return tokenizer_fault(err, errlen, -EINVAL, "%s has %llu values for %u tokens", key,
				       (unsigned long long)a->n, t->n_tokens);
	return 0;
}

static int load_types(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	struct gguf_arr a;
	uint32_t i, v;
	int rc;

	t->attr = malloc(t->n_tokens);
	t->flags = calloc(t->n_tokens, 1);
	if (t->attr == NULL || t->flags == NULL)
		return -ENOMEM;
	memset(t->attr, TOKENIZER_NORMAL, t->n_tokens);
	rc = get_per_token(t, g, TYPES_KEY, &a, err, errlen);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	for (i = 0; i < t->n_tokens; i++) {
		if (gguf_arr_u32(&a, i, &v) != 0)
			return tokenizer_fault(err, errlen, -EINVAL, TYPES_KEY "[%u] is not a token type", i);
		/* Types that the format does not know stand for nothing, like unused tokens. */
		t->attr[i] = v >= TOKENIZER_NORMAL && v <= TOKENIZER_BYTE ? (unsigned char)v : TOKENIZER_UNUSED;
	}
	return 0;
}

/* A number that ascends as the score falls; equal scores have equal numbers. */
static uint32_t score_order(float score)
{
	uint32_t u;

	if (score == 0)
		score = 0;              /* -0 as 0 */
	memcpy(&u, &score, sizeof(u));
	return u & 0x80000000u ? u : ~(u | 0x80000000u);
}

static int load_scores(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	struct gguf_arr a;
	float score;
	uint32_t i;
	int rc;

	t->order = calloc(t->n_tokens, sizeof(*t->order));
	if (t->order == NULL)
		return -ENOMEM;
	rc = get_per_token(t, g, SCORES_KEY, &a, err, errlen);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	for (i = 0; i < t->n_tokens; i++) {
		if (gguf_arr_f32(&a, i, &score) != 0)
			return tokenizer_fault(err, errlen, -EINVAL, SCORES_KEY " is not an array of floats");
		if (score != score)
			return tokenizer_fault(err, errlen, -EINVAL, SCORES_KEY "[%u] is not a number", i);
		t->order[i] = score_order(score);
	}
	return 0;
}

/* Phi-3's files do not say that its special tokens take the white space behind them; llama.cpp goes by
 * the model's name, and so does this. */
static void load_rstrip(struct tokenizer *t, const struct gguf *g)
{
	static const char *const keep[] = { "<unk>", "<s>", "<|endoftext|>" };
	struct gguf_str name = { NULL, 0 };
	uint32_t i, id;
	size_t at;
	bool phi3 = false;

	if (gguf_get_str(g, "general.name", &name) != 0)
		return;
	for (at = 0; at + 4 <= name.len; at++)
		if (strncasecmp(name.s + at, "phi3", 4) == 0 ||
		    (at + 5 <= name.len && strncasecmp(name.s + at, "phi-3", 5) == 0))
			phi3 = true;
	if (!phi3)
		return;
	for (i = 0; i < t->n_tokens; i++)
		t->flags[i] |= TOKENIZER_FLAG_RSTRIP;   /* read for special tokens only */
	for (i = 0; i < sizeof(keep) / sizeof(keep[0]); i++) {
		id = tokenizer_texts_find(&t->texts, keep[i], strlen(keep[i]));
		if (id < t->n_tokens)
			t->flags[id] &= (unsigned char)~TOKENIZER_FLAG_RSTRIP;
	}
}

static int load_space_prefix(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	int rc;

	t->add_space_prefix = t->kind == TOKENIZER_SPM;
	rc = gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix);
	if (rc != 0 && rc != -ENOENT)
		return tokenizer_fault(err, errlen, -EINVAL, "tokenizer.ggml.add_space_prefix is not a bool");
	return 0;
}

int tokenizer_load(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	int rc;

	rc = load_kind(t, g, err, errlen);
	if (rc == 0)
		rc = load_space_prefix(t, g, err, errlen);
	if (rc == 0)
		rc = load_tokens(t, g, err, errlen);
	if (rc == 0)
		rc = load_types(t, g, err, errlen);
	if (rc == 0 && t->kind == TOKENIZER_SPM)
		rc = load_scores(t, g, err, errlen);
	if (rc == 0 && t->kind == TOKENIZER_BPE)
		rc = tokenizer_bpe_load(t, g, err, errlen);
	if (rc == 0)
		rc = tokenizer_roles_load(t, g, err, errlen);
	if (rc != 0)
		return rc;
	load_rstrip(t, g);
	return tokenizer_split_load(t);
}
