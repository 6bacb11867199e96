/* tokenizer_pre.h - cut text into the words that byte-level BPE merges within.
 *
 * tokenizer.ggml.pre names a regular expression (or several, applied one after the other, each inside
 * the pieces of the one before).  Each is a rule (tokenizer_rule.h); the names are rows of one table,
 * so another family is one row and at most one matcher.
 * Source of the names and the expressions: src/llama-vocab.cpp of llama.cpp, build 11669.
 * Bytes that are not UTF-8 count as U+FFFD (a symbol) and stay in the pieces as they are.
 * Threads: everything here is constant.
 */
#ifndef ENGINE_TOKENIZER_PRE_H
#define ENGINE_TOKENIZER_PRE_H

#include <stdbool.h>
#include <stddef.h>

#define TOKENIZER_PRE_STAGES 6
#define TOKENIZER_PRE_NAMES 10

struct tokenizer_rule;

struct tokenizer_pre {
	const char *name[TOKENIZER_PRE_NAMES];          /* up to NULL, or full */
	bool ignore_merges;             /* a word that is a token is not merged */
	bool add_bos;                   /* unless the file says otherwise */
	bool always_bos;                /* whatever the file says */
	bool escaped;                   /* texts are UTF-8 with U+2581 for a space, not GPT-2's alphabet */
	bool whole_lines;               /* a word of line feeds only that is a token is not merged */
	bool no_merges;                 /* the file may have none */
	const struct tokenizer_rule *stage[TOKENIZER_PRE_STAGES];       /* NULL past the last */
};

/* The row called name[0..len), or NULL.  The empty name is "default". */
const struct tokenizer_pre *tokenizer_pre_find(const char *name, size_t len);

/* Row i, for tests; NULL past the last. */
const struct tokenizer_pre *tokenizer_pre_row(size_t i);

/* Length in bytes of the first word of s[0..len), len >= 1; between 1 and len.  *ends says between
 * calls how far the current piece of each stage goes, in bytes from s: zero it before the first call
 * on a text, and go on behind the returned length with the same *ends. */
struct tokenizer_pre_ends {
	size_t left[TOKENIZER_PRE_STAGES];
};
size_t tokenizer_pre_next(const struct tokenizer_pre *p, struct tokenizer_pre_ends *ends,
			  const char *s, size_t len);

#endif
