/* tokenizer_roles.c - which tokens are special: by the keys of the file, and by their texts, because
 * many files leave keys out or mark such tokens as normal text.
 * Source of the texts: src/llama-vocab.cpp of llama.cpp.
 */
#include <errno.h>
#include <string.h>

#include "engine/tokenizer_internal.h"

enum role {
	ROLE_EOT, ROLE_EOM, ROLE_FIM_PRE, ROLE_FIM_SUF, ROLE_FIM_MID, ROLE_FIM_PAD, ROLE_FIM_REP,
	ROLE_FIM_SEP, ROLE_COUNT
};

/* The key of each role, and whether its token ends a generation. */
static const struct {
	const char *key;
	bool eog;
} roles[ROLE_COUNT] = {
	[ROLE_EOT] = { "tokenizer.ggml.eot_token_id", true },
	[ROLE_EOM] = { "tokenizer.ggml.eom_token_id", true },
	[ROLE_FIM_PRE] = { "tokenizer.ggml.fim_pre_token_id", false },
	[ROLE_FIM_SUF] = { "tokenizer.ggml.fim_suf_token_id", false },
	[ROLE_FIM_MID] = { "tokenizer.ggml.fim_mid_token_id", false },
	[ROLE_FIM_PAD] = { "tokenizer.ggml.fim_pad_token_id", true },
	[ROLE_FIM_REP] = { "tokenizer.ggml.fim_rep_token_id", true },
	[ROLE_FIM_SEP] = { "tokenizer.ggml.fim_sep_token_id", true },
};

/* Texts that give a role to a token when no key does; the first that the vocabulary has counts. */
static const struct {
	enum role role;
	const char *text;
} role_texts[] = {
	{ ROLE_EOT, "<|eot_id|>" }, { ROLE_EOT, "<|im_end|>" }, { ROLE_EOT, "<|end|>" },
	{ ROLE_EOT, "<end_of_turn>" }, { ROLE_EOT, "<|endoftext|>" }, { ROLE_EOT, "<|end_of_text|>" },
	{ ROLE_EOT, "<EOT>" }, { ROLE_EOT, "_<EOT>" }, { ROLE_EOT, "[EOT]" },
	{ ROLE_EOT, "<\uFF5Cend\u2581of\u2581sentence\uFF5C>" }, { ROLE_EOT, "<end_of_utterance>" },
	{ ROLE_EOM, "<|eom_id|>" },
	{ ROLE_FIM_PRE, "<|fim_prefix|>" }, { ROLE_FIM_PRE, "<fim-prefix>" },
	{ ROLE_FIM_PRE, "<fim_prefix>" }, { ROLE_FIM_PRE, "<\uFF5Cfim\u2581begin\uFF5C>" },
	{ ROLE_FIM_PRE, "<PRE>" }, { ROLE_FIM_PRE, "\u2581<PRE>" }, { ROLE_FIM_PRE, "<|code_prefix|>" },
	{ ROLE_FIM_PRE, "<|prefix|>" }, { ROLE_FIM_PRE, "<|plamo:fim_prefix|>" },
	{ ROLE_FIM_SUF, "<|fim_suffix|>" }, { ROLE_FIM_SUF, "<fim-suffix>" },
	{ ROLE_FIM_SUF, "<fim_suffix>" }, { ROLE_FIM_SUF, "<\uFF5Cfim\u2581hole\uFF5C>" },
	{ ROLE_FIM_SUF, "<SUF>" }, { ROLE_FIM_SUF, "\u2581<SUF>" }, { ROLE_FIM_SUF, "<|code_suffix|>" },
	{ ROLE_FIM_SUF, "<|suffix|>" }, { ROLE_FIM_SUF, "<|plamo:fim_suffix|>" },
	{ ROLE_FIM_MID, "<|fim_middle|>" }, { ROLE_FIM_MID, "<fim-middle>" },
	{ ROLE_FIM_MID, "<fim_middle>" }, { ROLE_FIM_MID, "<\uFF5Cfim\u2581end\uFF5C>" },
	{ ROLE_FIM_MID, "<MID>" }, { ROLE_FIM_MID, "\u2581<MID>" }, { ROLE_FIM_MID, "<|code_middle|>" },
	{ ROLE_FIM_MID, "<|middle|>" }, { ROLE_FIM_MID, "<|plamo:fim_middle|>" },
	{ ROLE_FIM_PAD, "<|fim_pad|>" }, { ROLE_FIM_PAD, "<fim-pad>" }, { ROLE_FIM_PAD, "<fim_pad>" },
	{ ROLE_FIM_PAD, "<PAD>" }, { ROLE_FIM_PAD, "[PAD]" },
	{ ROLE_FIM_REP, "<|fim_repo|>" }, { ROLE_FIM_REP, "<|repo_name|>" },
	{ ROLE_FIM_REP, "<fim-repo>" }, { ROLE_FIM_REP, "<REPO>" }, { ROLE_FIM_REP, "<reponame>" },
	{ ROLE_FIM_SEP, "<|file_sep|>" }, { ROLE_FIM_SEP, "<|plamo:file_separator|>" },
};

/* Texts that end a generation whatever the keys say. */
static const char *const eog_texts[] = {
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
	"<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
	"<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
	"<\uFF5Cend\u2581of\u2581sentence\uFF5C>", "[e~[", "<|ifm|im_end|>",
};

/* The frame of gpt-oss's answers, which its readers want to see. */
static const char *const shown_texts[] = { "<|channel|>", "<|message|>", "<|start|>", "<|constrain|>" };

static uint32_t find_token(const struct tokenizer *t, const char *text)
{
	uint32_t id = tokenizer_texts_find(&t->texts, text, strlen(text));

	return id < t->n_tokens ? id : TOKENIZER_NONE;
}

/* The id under key into *id, which stays as it is when the key is absent. */
static int load_id(const struct tokenizer *t, const struct gguf *g, const char *key, uint32_t *id,
		   char *err, size_t errlen)
{
	uint32_t v;
	int rc = gguf_get_u32(g, key, &v);

	if (rc == -ENOENT)
		return 0;
	if (rc != 0)
		return tokenizer_fault(err, errlen, -EINVAL, "%s is not a token id", key);
	if (v >= t->n_tokens)
		return tokenizer_fault(err, errlen, -EINVAL, "%s is %u, but there are %u tokens", key, v,
				       t->n_tokens);
	*id = v;
	return 0;
}

static int load_bool(const struct gguf *g, const char *key, bool *v, char *err, size_t errlen)
{
	int rc = gguf_get_bool(g, key, v);

	if (rc == 0 || rc == -ENOENT)
		return 0;
	return tokenizer_fault(err, errlen, -EINVAL, "%s is not a bool", key);
}

/* An id that llama.cpp assumes where the file says nothing. */
static uint32_t assumed(const struct tokenizer *t, uint32_t id)
{
	return t->kind == TOKENIZER_SPM && id < t->n_tokens ? id : TOKENIZER_NONE;
}

static int load_ids(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	struct tokenizer_special *s = &t->special;
	int rc;

	*s = (struct tokenizer_special){
		.bos = assumed(t, 1), .eos = assumed(t, 2), .unk = assumed(t, 0),
		.eot = TOKENIZER_NONE, .pad = TOKENIZER_NONE, .nl = TOKENIZER_NONE,
	};
	rc = load_id(t, g, "tokenizer.ggml.bos_token_id", &s->bos, err, errlen);
	if (rc == 0)
		rc = load_id(t, g, "tokenizer.ggml.eos_token_id", &s->eos, err, errlen);
	if (rc == 0)
		rc = load_id(t, g, "tokenizer.ggml.unknown_token_id", &s->unk, err, errlen);
	if (rc == 0)
		rc = load_id(t, g, "tokenizer.ggml.padding_token_id", &s->pad, err, errlen);
	return rc;
}

static int load_adds(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	struct tokenizer_special *s = &t->special;
	int rc;

	s->add_bos = s->bos != TOKENIZER_NONE && (t->kind == TOKENIZER_SPM || t->pre->add_bos);
	rc = load_bool(g, "tokenizer.ggml.add_bos_token", &s->add_bos, err, errlen);
	if (rc == 0)
		rc = load_bool(g, "tokenizer.ggml.add_eos_token", &s->add_eos, err, errlen);
	if (rc != 0)
		return rc;
	if (t->pre != NULL && t->pre->always_bos && s->bos != TOKENIZER_NONE)
		s->add_bos = true;
	if (s->add_bos && s->bos == TOKENIZER_NONE)
		return tokenizer_fault(err, errlen, -EINVAL,
				       "tokenizer.ggml.add_bos_token is true without a token id for it");
	if (s->add_eos && s->eos == TOKENIZER_NONE)
		return tokenizer_fault(err, errlen, -EINVAL,
				       "tokenizer.ggml.add_eos_token is true without a token id for it");
	return 0;
}

/* Token id ends a generation; NONE is nobody. */
static void mark_eog(struct tokenizer *t, uint32_t id)
{
	if (id != TOKENIZER_NONE)
		t->flags[id] |= TOKENIZER_FLAG_EOG;
}

static int load_roles(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	uint32_t role[ROLE_COUNT], id;
	size_t i;
	int rc;

	for (i = 0; i < ROLE_COUNT; i++) {
		role[i] = TOKENIZER_NONE;
		rc = load_id(t, g, roles[i].key, &role[i], err, errlen);
		if (rc != 0)
			return rc;
	}
	for (i = 0; i < sizeof(role_texts) / sizeof(role_texts[0]); i++) {
		if (role[role_texts[i].role] != TOKENIZER_NONE)
			continue;
		id = find_token(t, role_texts[i].text);
		if (id == TOKENIZER_NONE)
			continue;
		role[role_texts[i].role] = id;
		t->attr[id] = TOKENIZER_CONTROL;
	}
	for (i = 0; i < ROLE_COUNT; i++)
		if (roles[i].eog)
			mark_eog(t, role[i]);
	t->special.eot = role[ROLE_EOT];
	return 0;
}

static bool is_eog_text(const struct tokenizer *t, const char *text)
{
	return tokenizer_is_eog(t, find_token(t, text));
}

/* Where other tokens end a turn, "<|end|>" of gpt-oss and Solar ends one message of several, and "</s>" of
 * Gemma 4 and PLaMo is a tag of HTML. */
static void unmark_eog(struct tokenizer *t)
{
	bool call = is_eog_text(t, "<|call|>") || is_eog_text(t, "<|calls|>");
	uint32_t id;

	if (is_eog_text(t, "<|end|>") && call && (is_eog_text(t, "<|return|>") || is_eog_text(t, "<|flush|>"))) {
		id = find_token(t, "<|end|>");
		t->flags[id] = TOKENIZER_FLAG_SHOWN;
	}
	if (is_eog_text(t, "</s>") && (is_eog_text(t, "<|tool_response>") || is_eog_text(t, "<|plamo:eos|>"))) {
		id = find_token(t, "</s>");
		t->flags[id] = 0;
		t->attr[id] = TOKENIZER_NORMAL;
	}
}

/* llama.cpp makes these user-defined, so that it also finds them in text that should hold no special tokens;
 * here they stay control tokens. */
static void mark_shown(struct tokenizer *t)
{
	uint32_t id;
	size_t i;

	for (i = 0; i < sizeof(shown_texts) / sizeof(shown_texts[0]); i++) {
		id = find_token(t, shown_texts[i]);
		if (id == TOKENIZER_NONE)
			continue;
		t->flags[id] |= TOKENIZER_FLAG_SHOWN;
		t->attr[id] = TOKENIZER_CONTROL;
	}
}

/* Ollama's files may list all tokens that end a text; what is no list of such is no matter. */
static void mark_eos_ids(struct tokenizer *t, const struct gguf *g)
{
	struct gguf_arr ids;
	uint64_t i;
	uint32_t id;

	if (gguf_get_arr(g, "tokenizer.ggml.eos_token_ids", &ids) != 0)
		return;
	for (i = 0; i < ids.n; i++)
		if (gguf_arr_u32(&ids, i, &id) == 0 && id < t->n_tokens)
			mark_eog(t, id);
}

int tokenizer_roles_load(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	uint32_t id;
	size_t i;
	int rc;

	rc = load_ids(t, g, err, errlen);
	if (rc == 0)
		rc = load_adds(t, g, err, errlen);
	if (rc == 0)
		rc = load_roles(t, g, err, errlen);
	if (rc != 0)
		return rc;
	for (i = 0; i < sizeof(eog_texts) / sizeof(eog_texts[0]); i++) {
		id = find_token(t, eog_texts[i]);
		if (id == TOKENIZER_NONE)
			continue;
		mark_eog(t, id);
		t->attr[id] = TOKENIZER_CONTROL;
	}
	mark_eog(t, t->special.eos);
	mark_eos_ids(t, g);
	mark_shown(t);
	unmark_eog(t);
	return 0;
}
