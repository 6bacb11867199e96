/* tokenizer_pre.h - cut text into the words that byte-level BPE merges within.
 *
 * tokenizer.ggml.pre names a regular expression (or several, applied one after the other, each inside
 * the pieces of the one before).  Each is a matcher written by hand here; the names are rows of one
 * table, so another family is one row and at most one matcher.
 * Sources: the expressions of src/llama-vocab.cpp and the semantics of src/unicode.cpp of llama.cpp.
 * Bytes that are not UTF-8 count as U+FFFD (a symbol) and stay in the pieces as they are.
 * Threads: everything here is constant.
 */
#ifndef ENGINE_TOKENIZER_PRE_H
#define ENGINE_TOKENIZER_PRE_H

#include <stdbool.h>
#include <stddef.h>

#define TOKENIZER_PRE_STAGES 4

/* Length in bytes of the first piece of s[0..len), len >= 1; between 1 and len.  Reads what it
 * returns and at most two characters more, but for white space, where it may read to the end of the
 * run; no run is read more than three times. */
typedef size_t (*tokenizer_match_fn)(const char *s, size_t len);

struct tokenizer_pre {
	const char *name;
	bool ignore_merges;             /* a word that is a token is not merged */
	bool add_bos;                   /* unless the file says otherwise */
	tokenizer_match_fn stage[TOKENIZER_PRE_STAGES];         /* NULL past the last */
};

/* The row called name[0..len), or NULL.  The empty name is "default". */
const struct tokenizer_pre *tokenizer_pre_find(const char *name, size_t len);

/* Length in bytes of the first word of s[0..len), len >= 1; between 1 and len.  *ends says between
 * calls how far the current piece of each stage goes, in bytes from s: zero it before the first call
 * on a text, and go on behind the returned length with the same *ends. */
struct tokenizer_pre_ends {
	size_t left[TOKENIZER_PRE_STAGES];
};
size_t tokenizer_pre_next(const struct tokenizer_pre *p, struct tokenizer_pre_ends *ends,
			  const char *s, size_t len);

#endif
