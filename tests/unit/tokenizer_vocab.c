/* tokenizer_vocab.c - see tokenizer_vocab.h. */
#include "tests/unit/tokenizer_vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "engine/tokenizer.h"
#include "tests/unit/gguf_build.h"

static const struct {
	const char *text;
	float score;
	int32_t type;
} spm_words[SPM_COUNT - SPM_SPACE] = {
	[SPM_SPACE - SPM_SPACE] = { "\u2581", -10, TOKENIZER_NORMAL },
	[SPM_A - SPM_SPACE] = { "a", -11, TOKENIZER_NORMAL },
	[SPM_B - SPM_SPACE] = { "b", -12, TOKENIZER_NORMAL },
	[SPM_C - SPM_SPACE] = { "c", -13, TOKENIZER_NORMAL },
	[SPM_T - SPM_SPACE] = { "t", -14, TOKENIZER_NORMAL },
	[SPM_H - SPM_SPACE] = { "h", -15, TOKENIZER_NORMAL },
	[SPM_E - SPM_SPACE] = { "e", -16, TOKENIZER_NORMAL },
	[SPM_AB - SPM_SPACE] = { "ab", -5, TOKENIZER_NORMAL },
	[SPM_BC - SPM_SPACE] = { "bc", -4, TOKENIZER_NORMAL },
	[SPM_ABC - SPM_SPACE] = { "abc", -6, TOKENIZER_NORMAL },
	[SPM_HE - SPM_SPACE] = { "he", -3, TOKENIZER_NORMAL },
	[SPM_SPACE_T - SPM_SPACE] = { "\u2581t", -2, TOKENIZER_NORMAL },
	[SPM_SPACE_THE - SPM_SPACE] = { "\u2581the", -7, TOKENIZER_NORMAL },
	[SPM_SPACE2 - SPM_SPACE] = { "\u2581\u2581", -1, TOKENIZER_NORMAL },
	[SPM_SPACE4 - SPM_SPACE] = { "\u2581\u2581\u2581\u2581", -8, TOKENIZER_NORMAL },
	[SPM_AA - SPM_SPACE] = { "aa", -9, TOKENIZER_NORMAL },
	[SPM_AAAA - SPM_SPACE] = { "aaaa", -9, TOKENIZER_NORMAL },
	[SPM_E_ACUTE - SPM_SPACE] = { "\u00e9", -17, TOKENIZER_NORMAL },
	[SPM_USER - SPM_SPACE] = { "<|user|>", 0, TOKENIZER_CONTROL },
	[SPM_USER_LONG - SPM_SPACE] = { "<|user|><|user|>", 0, TOKENIZER_CONTROL },
	[SPM_KEEP - SPM_SPACE] = { "<keep>", 0, TOKENIZER_USER },
	[SPM_UNUSED - SPM_SPACE] = { "unused", -99, TOKENIZER_UNUSED },
};

static const char *const bpe_merges[] = {
	"h e", "\u0120 t", "\u0120t he", "\u0120 \u0120", "\u0120\u0120 \u0120\u0120", "1 2", "12 3",
	"a a", "aa aa",
};

static const char *const bpe_words[BPE_COUNT - BPE_HE] = {
	[BPE_HE - BPE_HE] = "he", [BPE_SPACE_T - BPE_HE] = "\u0120t", [BPE_SPACE_THE - BPE_HE] = "\u0120the",
	[BPE_SPACE2 - BPE_HE] = "\u0120\u0120", [BPE_SPACE4 - BPE_HE] = "\u0120\u0120\u0120\u0120",
	[BPE_12 - BPE_HE] = "12", [BPE_123 - BPE_HE] = "123", [BPE_AA - BPE_HE] = "aa",
	[BPE_AAAA - BPE_HE] = "aaaa", [BPE_SPACE_HELLO - BPE_HE] = "\u0120hello", [BPE_KEEP - BPE_HE] = "<keep>",
	[BPE_EOT - BPE_HE] = "<|endoftext|>",
};

static const char *const gemma4_merges[] = {
	"\u2581 \u2581", "h e", "\u2581 t", "\u2581t he", "\u2581\u2581 \u2581\u2581", "b c", "a bc", "a a", "aa aa",
};

/* Tokens, types and scores. */
static void put_spm_tokens(struct gguf_build *b)
{
	static const char *const first[SPM_BYTE] = { "<unk>", "<s>", "</s>" };
	char bytes[256][8];
	const char *text[SPM_COUNT];
	float score[SPM_COUNT] = { 0 };
	int32_t type[SPM_COUNT] = { TOKENIZER_UNKNOWN, TOKENIZER_CONTROL, TOKENIZER_CONTROL };
	int i;

	for (i = 0; i < SPM_BYTE; i++)
		text[i] = first[i];
	for (i = 0; i < 256; i++) {
		snprintf(bytes[i], sizeof(bytes[i]), "<0x%02X>", (unsigned int)i);
		text[SPM_BYTE + i] = bytes[i];
		type[SPM_BYTE + i] = TOKENIZER_BYTE;
	}
	for (i = SPM_SPACE; i < SPM_COUNT; i++) {
		text[i] = spm_words[i - SPM_SPACE].text;
		score[i] = spm_words[i - SPM_SPACE].score;
		type[i] = spm_words[i - SPM_SPACE].type;
	}
	gguf_build_arr_str(b, "tokenizer.ggml.tokens", text, SPM_COUNT);
	gguf_build_arr(b, "tokenizer.ggml.scores", GGUF_F32, score, SPM_COUNT);
	gguf_build_arr(b, "tokenizer.ggml.token_type", GGUF_I32, type, SPM_COUNT);
}

void tokenizer_vocab_put_spm(struct gguf_build *b)
{
	gguf_build_str(b, "tokenizer.ggml.model", "llama");
	put_spm_tokens(b);
}

/* The character of byte b in GPT-2's alphabet, written out here a second time on purpose: printable
 * Latin-1 is itself, the others follow one another from U+0100. */
static void alphabet_text(unsigned int byte, char out[4])
{
	unsigned int b, next = 0x100, cp = 0;

	for (b = 0; b <= byte; b++) {
		bool self = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xFF && b != 0xAD);

		cp = self ? b : next++;
	}
	memset(out, 0, 4);
	if (cp < 0x80) {
		out[0] = (char)cp;
	} else {
		out[0] = (char)(0xC0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3F));
	}
}

void tokenizer_vocab_put_bpe(struct gguf_build *b, const char *pre, unsigned int without)
{
	char bytes[256][4];
	const char *text[BPE_COUNT];
	int32_t type[BPE_COUNT];
	unsigned int i;

	for (i = 0; i < BPE_COUNT; i++) {
		type[i] = TOKENIZER_NORMAL;
		if (i < 256)
			alphabet_text(i, bytes[i]);
		text[i] = i < 256 ? bytes[i] : bpe_words[i - BPE_HE];
	}
	if (without < 256)
		text[without] = "<none>";
	type[BPE_KEEP] = TOKENIZER_USER;
	type[BPE_EOT] = TOKENIZER_CONTROL;
	gguf_build_str(b, "tokenizer.ggml.model", "gpt2");
	gguf_build_str(b, "tokenizer.ggml.pre", pre);
	gguf_build_arr_str(b, "tokenizer.ggml.tokens", text, BPE_COUNT);
	gguf_build_arr(b, "tokenizer.ggml.token_type", GGUF_I32, type, BPE_COUNT);
	gguf_build_arr_str(b, "tokenizer.ggml.merges", bpe_merges, sizeof(bpe_merges) / sizeof(bpe_merges[0]));
	gguf_build_u32(b, "tokenizer.ggml.bos_token_id", BPE_EOT);
	gguf_build_u32(b, "tokenizer.ggml.eos_token_id", BPE_EOT);
}

int tokenizer_vocab_from(struct tokenizer_vocab *v, unsigned char *file, size_t len, char *err, size_t errlen)
{
	int rc;

	*v = (struct tokenizer_vocab){ .file = file };
	rc = gguf_parse(&v->g, file, len, len, err, errlen);
	if (rc == 0)
		rc = tokenizer_new(&v->t, v->g, err, errlen);
	if (rc != 0)
		tokenizer_vocab_close(v);
	return rc;
}

int tokenizer_vocab_load(struct tokenizer_vocab *v, struct gguf_build *b, char *err, size_t errlen)
{
	unsigned char *file;
	size_t len;
	int rc;

	*v = (struct tokenizer_vocab){ NULL, NULL, NULL };
	rc = gguf_build_finish(b, &file, &len);
	return rc != 0 ? rc : tokenizer_vocab_from(v, file, len, err, errlen);
}

int tokenizer_vocab_open(struct tokenizer_vocab *v, const char *pre, char *err, size_t errlen)
{
	struct gguf_build *b = gguf_build_new(3);

	if (pre == NULL)
		tokenizer_vocab_put_spm(b);
	else
		tokenizer_vocab_put_bpe(b, pre, 256);
	return tokenizer_vocab_load(v, b, err, errlen);
}

int tokenizer_vocab_open_gemma4(struct tokenizer_vocab *v, const char *pre, char *err, size_t errlen)
{
	struct gguf_build *b = gguf_build_new(3);

	gguf_build_str(b, "tokenizer.ggml.model", pre == NULL ? "gemma4" : "gpt2");
	if (pre != NULL)
		gguf_build_str(b, "tokenizer.ggml.pre", pre);
	put_spm_tokens(b);
	gguf_build_arr_str(b, "tokenizer.ggml.merges", gemma4_merges,
			   sizeof(gemma4_merges) / sizeof(gemma4_merges[0]));
	gguf_build_u32(b, "tokenizer.ggml.bos_token_id", 1);
	gguf_build_bool(b, "tokenizer.ggml.add_bos_token", false);
	return tokenizer_vocab_load(v, b, err, errlen);
}

void tokenizer_vocab_close(struct tokenizer_vocab *v)
{
	tokenizer_free(v->t);
	gguf_free(v->g);
	free(v->file);
	*v = (struct tokenizer_vocab){ NULL, NULL, NULL };
}
