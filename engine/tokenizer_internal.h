/* tokenizer_internal.h - what the files of the tokenizer share; see tokenizer.h for the contract.
 *
 * tokenizer.c encodes and answers questions, tokenizer_load.c reads the metadata, tokenizer_roles.c
 * knows special tokens by their texts, tokenizer_split.c finds special tokens in text,
 * tokenizer_piece.c goes back to bytes, tokenizer_map.c has the hash tables, tokenizer_spm.c and
 * tokenizer_bpe.c are the two kinds.  tokenizer_pre.c cuts text into words for the latter.
 */
#ifndef ENGINE_TOKENIZER_INTERNAL_H
#define ENGINE_TOKENIZER_INTERNAL_H

#include "engine/gguf.h"
#include "engine/tokenizer.h"
#include "engine/tokenizer_merge.h"
#include "engine/tokenizer_pre.h"

/* Longer tokens are refused: the cost of looking a symbol up is bounded by it. */
#define TOKENIZER_MAX_TOKEN_BYTES 4096
/* Longer texts are refused: offsets are 32-bit, and escaping may triple a text. */
#define TOKENIZER_MAX_TEXT_BYTES (1u << 30)

/* ---- tokenizer_map.c: text -> id, and pair of ids -> merge ------------------------------------ */

struct tokenizer_text {
	const char *s;                  /* borrowed */
	uint32_t len;
	uint32_t hash;
};

/* Distinct texts numbered from 0. */
struct tokenizer_texts {
	struct tokenizer_text *v;       /* [n] of cap */
	uint32_t n, cap;
	uint32_t *slot;                 /* [nslots]: index into v, or TOKENIZER_NONE */
	uint32_t nslots;                /* a power of two, at least 2n */
};

/* Number s[0..len) and put its number in *id.  0; -EEXIST when it had one already (also in *id);
 * -ENOMEM; -EINVAL when more texts share a hash than chance allows.  An empty text gets a number
 * but is never found.  s is borrowed. */
int tokenizer_texts_add(struct tokenizer_texts *t, const char *s, uint32_t len, uint32_t *id)
	__attribute__((warn_unused_result));
/* The number of s[0..len), or TOKENIZER_NONE. */
uint32_t tokenizer_texts_find(const struct tokenizer_texts *t, const char *s, size_t len);
void tokenizer_texts_free(struct tokenizer_texts *t);   /* takes what t owns */

struct tokenizer_pair {
	uint32_t left, right;           /* left is TOKENIZER_NONE in an empty slot */
	uint32_t rank, id;
};

struct tokenizer_pairs {
	struct tokenizer_pair *slot;
	uint32_t nslots;                /* a power of two, at least twice the number of pairs; 0: none */
};

/* Room for n pairs.  0 or -ENOMEM. */
int tokenizer_pairs_init(struct tokenizer_pairs *p, uint32_t n) __attribute__((warn_unused_result));
/* 0 (also when left and right were there: the first stays), or -EINVAL as above. */
int tokenizer_pairs_add(struct tokenizer_pairs *p, const struct tokenizer_pair *pair)
	__attribute__((warn_unused_result));
/* The merge of left and right, or NULL. */
const struct tokenizer_pair *tokenizer_pairs_find(const struct tokenizer_pairs *p, uint32_t left,
						  uint32_t right);
void tokenizer_pairs_free(struct tokenizer_pairs *p);   /* takes what p owns */

/* ---- the vocabulary -------------------------------------------------------------------------- */

enum tokenizer_kind { TOKENIZER_SPM, TOKENIZER_BPE };

#define TOKENIZER_FLAG_EOG 1u           /* ends a generation */
#define TOKENIZER_FLAG_RSTRIP 2u        /* white space behind it in the text belongs to it */
#define TOKENIZER_FLAG_SHOWN 4u         /* a control token that has a piece all the same */

/* The special tokens whose texts have one length, in the order of their bytes. */
struct tokenizer_group {
	const uint32_t *ids;            /* [n] */
	uint32_t n;
	uint32_t len;                   /* bytes of each */
	unsigned char first[2][32];     /* bit set of their first bytes: [0] of the user-defined ones,
					 * [1] of all */
};

struct tokenizer {
	enum tokenizer_kind kind;
	uint32_t n_tokens;
	struct tokenizer_texts texts;   /* the tokens, then what only merges name */
	unsigned char *attr;            /* [n_tokens], enum tokenizer_attr */
	unsigned char *flags;           /* [n_tokens] */
	uint32_t *order;                /* [n_tokens], SPM: ascending with falling score */
	struct tokenizer_special special;
	bool add_space_prefix;
	bool escaped;                   /* texts are UTF-8 with U+2581 for a space */

	const struct tokenizer_pre *pre;        /* BPE */
	struct tokenizer_pairs merges;
	char *merged;                   /* texts of merges that are no tokens; owned, or NULL */
	uint32_t byte_id[256];          /* number of each byte's text, or TOKENIZER_NONE */

	uint32_t *special_ids;          /* the arrays of the groups */
	struct tokenizer_group *group;  /* [n_groups], longest texts first */
	uint32_t n_groups;
};

/* Write the line into err and return rc. */
int tokenizer_fault(char *err, size_t errlen, int rc, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Read everything from g into the zeroed t.  Errors as tokenizer_new; t is then to be freed. */
int tokenizer_load(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* Special ids by key and by text, control tokens and ends of generation by text. */
int tokenizer_roles_load(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* Merges and the byte alphabet, for BPE. */
int tokenizer_bpe_load(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* ---- encoding -------------------------------------------------------------------------------- */

/* What one call of tokenizer_encode works with. */
struct tokenizer_work {
	struct tokenizer_merge merge;
	char *buf;                      /* owned scratch of buf_cap bytes */
	size_t buf_cap;
	uint32_t *ids;                  /* the caller's, of cap */
	size_t cap;
	int64_t n;                      /* ids so far, those past cap included */
};

void tokenizer_work_put(struct tokenizer_work *w, uint32_t id);
/* At least n bytes in w->buf, whose contents are lost.  0 or -ENOMEM. */
int tokenizer_work_room(struct tokenizer_work *w, size_t n) __attribute__((warn_unused_result));

/* Encode a stretch of text without special tokens.  prefix: put a space before it.
 * 0, -ENOMEM, -EINVAL. */
int tokenizer_spm_encode(const struct tokenizer *t, struct tokenizer_work *w, const char *s,
			 size_t len, bool prefix) __attribute__((warn_unused_result));
int tokenizer_bpe_encode(const struct tokenizer *t, struct tokenizer_work *w, const char *s,
			 size_t len) __attribute__((warn_unused_result));
/* Copy s into w->buf with U+2581 for every space, and one before it all where prefix; *n is its length.
 * 0 or -ENOMEM. */
int tokenizer_escape(struct tokenizer_work *w, const char *s, size_t len, bool prefix, size_t *n)
	__attribute__((warn_unused_result));
/* The token that spells byte b in an SPM vocabulary, or TOKENIZER_NONE. */
uint32_t tokenizer_spm_byte(const struct tokenizer *t, unsigned char b);

/* The character that stands for byte b in the texts of a BPE vocabulary, and back: the byte that cp
 * stands for, or -1. */
uint32_t tokenizer_bpe_char(unsigned char b);
int tokenizer_bpe_byte(uint32_t cp);

/* A stretch of text (id is TOKENIZER_NONE) or a special token found in it. */
struct tokenizer_frag {
	size_t off, len;
	uint32_t id;
};

struct tokenizer_frags {
	struct tokenizer_frag *v;       /* owned, [n] of cap */
	size_t n, cap;
};

/* Which control tokens are recognised: none, or those that reach into none of these ranges. */
struct tokenizer_parse {
	bool special;
	const struct tokenizer_range *plain;    /* [n_plain] */
	size_t n_plain;
};

/* Cut text at its special tokens: longer ones first, each from left to right.  Into the zeroed *out,
 * which the caller frees.  0 or -ENOMEM. */
int tokenizer_split(const struct tokenizer *t, const char *text, size_t len, const struct tokenizer_parse *parse,
		    struct tokenizer_frags *out) __attribute__((warn_unused_result));
/* Build t->group.  0 or -ENOMEM. */
int tokenizer_split_load(struct tokenizer *t) __attribute__((warn_unused_result));

#endif
