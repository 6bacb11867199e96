/* tokenizer_rule.h - the expressions that cut text into words, as matchers with parameters.
 *
 * A rule stands for one regular expression.  Its matcher gives the first piece of a text: what the
 * expression matches at the start, or else what lies before the next match, which is one piece too.
 * In the comments \s, \p{L} and so on mean what src/unicode.cpp of llama.cpp makes of them: white space
 * is the property White_Space and comes before the category; the letter categories Lu, Ll, Lt, Lm and
 * Lo are all \p{L}; where an expression tells case apart, only A-Z and a-z have one.
 * Bytes that are not UTF-8 count as U+FFFD (a symbol).
 * Threads: everything here is constant.
 */
#ifndef ENGINE_TOKENIZER_RULE_H
#define ENGINE_TOKENIZER_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the expressions tell apart; bits, so that a set of classes is one number. */
enum tokenizer_class {
	CLASS_END = 0,                  /* behind the last character */
	CLASS_SPACE = 1, CLASS_LETTER = 2, CLASS_NUMBER = 4, CLASS_MARK = 8, CLASS_PUNCT = 16,
	CLASS_SYMBOL = 32, CLASS_OTHER = 64
};
#define CLASS_NOT_SLN (CLASS_MARK | CLASS_PUNCT | CLASS_SYMBOL | CLASS_OTHER)   /* [^\s\p{L}\p{N}] */
#define CLASS_NOT_SLMN (CLASS_PUNCT | CLASS_SYMBOL | CLASS_OTHER)               /* [^\s\p{L}\p{M}\p{N}] */

/* Characters by class and by code point.  White space beyond ASCII is in no range: llama.cpp shows it to
 * expressions without \p as U+000B. */
struct tokenizer_set {
	unsigned int classes;
	const uint32_t (*range)[2];     /* [n], first and last, ascending */
	size_t n;
	bool except;                    /* all but these */
};

/* Where 's|'t|'re|'ve|'m|'ll|'d stand: nowhere; before all else; before all else in either case; the
 * same with U+017F as an s; behind a word in either case. */
enum tokenizer_short { SHORT_NONE, SHORT_EXACT, SHORT_FOLD, SHORT_FOLD_LONG_S, SHORT_BEHIND };

/* What a word is: w+ for the classes w; the same with U+200C and U+200D in it; \p{L}+ but for Han, which is
 * a word of its own; [w - a-z]*[w - A-Z]+|[w - a-z]+[w - A-Z]*; \p{L}\p{M}*( ?\p{L}\p{M}*)*. */
enum tokenizer_shape { SHAPE_PLAIN, SHAPE_JOINED, SHAPE_NO_HAN, SHAPE_CASED, SHAPE_SPACED };

struct tokenizer_rule;

/* Length in bytes of the first piece of s[0..len), len >= 1; between 1 and len.  Reads what it
 * returns and at most a few characters more, but for runs of one class, where it may read to the end
 * of the run; no run is read more than a few times, whatever the text is. */
typedef size_t (*tokenizer_match_fn)(const struct tokenizer_rule *r, const char *s, size_t len);

struct tokenizer_rule {
	tokenizer_match_fn match;

	/* tokenizer_word: what the alternatives are */
	unsigned int word;              /* classes */
	enum tokenizer_shape shape;
	enum tokenizer_short shortened;
	unsigned int digits;            /* \p{N}{1,digits}; 0: \p{N}+ */
	unsigned int rest;              /* classes c of " ?c+" */
	const char *tail;               /* what may follow them, or NULL */
	bool tail_once;                 /* one of it, not all */

	/* tokenizer_run: which runs are pieces */
	const struct tokenizer_set *set;        /* [nsets]: each makes runs of its own */
	size_t nsets;                           /* 0 is 1 */
	unsigned int most;                      /* characters in a piece; 0: any number */
	const char *lead;                       /* "\s": \s? goes before a run; " ": a space; NULL: nothing */
};

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t tokenizer_word_gpt2(const struct tokenizer_rule *r, const char *s, size_t len);
/* short|[^\r\n\p{L}\p{N}]?word|\p{N}{1,digits}| ?rest+tail*|\s*[\r\n]+|\s+(?!\S)|\s+ */
size_t tokenizer_word(const struct tokenizer_rule *r, const char *s, size_t len);
/* [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+,
 * where [!-/:-~] is ASCII's punctuation and symbols */
size_t tokenizer_word_deepseek(const struct tokenizer_rule *r, const char *s, size_t len);
/* the same with [\r\n] for its newlines and nothing behind [\p{P}\p{S}]+ */
size_t tokenizer_word_spark(const struct tokenizer_rule *r, const char *s, size_t len);

/* set+, or set{1,most}, or \s?set+ */
size_t tokenizer_run(const struct tokenizer_rule *r, const char *s, size_t len);
/* \s+$ */
size_t tokenizer_run_last_space(const struct tokenizer_rule *r, const char *s, size_t len);
/* \s{512}(?!\S)|\s{256}(?!\S)| and so on to \s{4}(?!\S)|\s{1,2}(?!\S)|\s{1} in a piece that is nothing but
 * white space without a line's end; other pieces stay whole */
size_t tokenizer_run_space_steps(const struct tokenizer_rule *r, const char *s, size_t len);

/* [0-9][0-9][0-9] */
size_t tokenizer_digits_three(const struct tokenizer_rule *r, const char *s, size_t len);
/* \p{N}+ cut into threes from its end, the first of them with what lies before it, is these two, one inside
 * the other: a cut behind the first group of a run and behind the run, then the other groups. */
size_t tokenizer_digits_head(const struct tokenizer_rule *r, const char *s, size_t len);
size_t tokenizer_digits_body(const struct tokenizer_rule *r, const char *s, size_t len);
/* (?=([0-9]{3})+(?![0-9])) as two: the first such place of each run of digits, then the others. */
size_t tokenizer_digits_mark(const struct tokenizer_rule *r, const char *s, size_t len);
size_t tokenizer_digits_marks(const struct tokenizer_rule *r, const char *s, size_t len);

/* The class of the first character of s, its length and the character; CLASS_END and 0 when len is 0. */
enum tokenizer_class tokenizer_class_at(const char *s, size_t len, size_t *n, uint32_t *cp);
/* \s+(?!\S)|\s+ at s, which begins with white space: the whole run where it ends the piece, else all but
 * its last character, which goes with what follows; a run of one is one word. */
size_t tokenizer_space_run(const char *s, size_t len);
/* Han, as llama.cpp has it. */
extern const struct tokenizer_set tokenizer_set_han;
bool tokenizer_set_has(const struct tokenizer_set *set, enum tokenizer_class c, uint32_t cp);

#endif
