/* tokenizer.h - text to token ids and back, as the model file defines it.
 *
 * tokenizer.ggml.model chooses the kind: "llama" (SentencePiece BPE with scores and byte fallback:
 * tokenizer_spm.c), "gpt2" (byte-level BPE with merges, split by the regular expression that
 * tokenizer.ggml.pre names: tokenizer_bpe.c) or "gemma4" (BPE with merges over text like
 * SentencePiece's).  Others are refused by name.
 *
 * Threads: a tokenizer is constant after tokenizer_new; any number of threads may use it.
 */
#ifndef ENGINE_TOKENIZER_H
#define ENGINE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct tokenizer;

#define TOKENIZER_NONE UINT32_MAX       /* "this vocabulary has no such token" */

/* Token types of tokenizer.ggml.token_type. */
enum tokenizer_attr {
	TOKENIZER_NORMAL = 1, TOKENIZER_UNKNOWN, TOKENIZER_CONTROL, TOKENIZER_USER, TOKENIZER_UNUSED,
	TOKENIZER_BYTE
};

struct tokenizer_special {
	uint32_t bos, eos, eot, unk, pad, nl;   /* TOKENIZER_NONE when absent */
	bool add_bos, add_eos;
};

/* Build from the metadata of g.  The tokenizer owns what it needs; g and its bytes must stay until
 * tokenizer_free (token texts are borrowed from the file).
 * Absent scores count as equal and absent types as normal, as in llama.cpp.
 * 0, -EINVAL (missing or ill-typed key, scores or types of another length than the tokens, ids out
 * of range, two tokens of one text, a token over 4096 bytes, a score that is no number),
 * -ENOTSUP (model or pre-tokenizer unknown), -ENOMEM; err names the key and why. */
int tokenizer_new(struct tokenizer **out, const struct gguf *g, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void tokenizer_free(struct tokenizer *t);       /* takes t; NULL is a no-op */

uint32_t tokenizer_n_tokens(const struct tokenizer *t);
struct tokenizer_special tokenizer_special(const struct tokenizer *t);
enum tokenizer_attr tokenizer_attr(const struct tokenizer *t, uint32_t id);
bool tokenizer_is_eog(const struct tokenizer *t, uint32_t id);     /* ends a generation */

/* Encode len bytes of text (any bytes; no terminator needed).  add_special puts BOS and EOS where the
 * model asks for them; parse_special recognises the texts of control tokens (user-defined tokens
 * are always recognised).  What counts as which is llama.cpp's choice, but that gpt-oss's <|start|>,
 * <|channel|>, <|message|>, <|constrain|> and <|end|>, user-defined there, are control tokens here.
 * Returns the number of ids, written to ids when it is <= cap; when it is more nothing is written
 * past cap and the needed number is returned.  -ENOMEM, -EINVAL (a byte that no token can spell, in a
 * vocabulary of SentencePiece without an unknown token; or more than 1 GiB).  BPE leaves out a byte that no
 * token spells, as llama.cpp does.  Bytes that are not UTF-8 keep their values (llama.cpp makes U+FFFD of
 * them in BPE). */
int64_t tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, bool add_special,
			 bool parse_special, uint32_t *ids, size_t cap)
	__attribute__((warn_unused_result));

/* The same with parse_special, but control tokens that would reach into one of n_plain ranges (bytes of text, rising, not
 * overlapping) are not recognised: what a person wrote inside a text that a template made. */
struct tokenizer_range { size_t from, to; };
int64_t tokenizer_encode_guarded(const struct tokenizer *t, const char *text, size_t len, bool add_special,
				 const struct tokenizer_range *plain, size_t n_plain, uint32_t *ids, size_t cap)
	__attribute__((warn_unused_result));
/* How many bytes the longest text of a control token has that s[0..len) begins with; 0: none. */
size_t tokenizer_special_at(const struct tokenizer *t, const char *s, size_t len);

/* The bytes that one token stands for; control tokens stand for nothing unless `special`, but that those of
 * gpt-oss above always stand for their texts.
 * Returns the number of bytes, written to buf when it is <= cap (buf may be NULL when cap is 0).
 * SentencePiece's leading space belongs to tokenizer_decode, not to this call. */
size_t tokenizer_piece(const struct tokenizer *t, uint32_t id, bool special, char *buf, size_t cap);

/* The bytes of n ids: their pieces, less the space that encoding added before the first token or behind
 * a leading BOS, so that text comes back as it was (llama.cpp's detokenizer keeps the space behind a
 * BOS and, in byte-level BPE, drops spaces before punctuation; this does neither).
 * Returns as tokenizer_encode does, in bytes; ids out of range are -EINVAL. */
int64_t tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool special,
			 char *buf, size_t cap) __attribute__((warn_unused_result));

/* Streaming: hold back the bytes of an unfinished UTF-8 character.  buf holds len bytes; returns how
 * many of them end on a character boundary (bytes that can never become a character count). */
size_t tokenizer_utf8_whole(const char *buf, size_t len);

#endif
