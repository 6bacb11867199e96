/* tokenizer_pre.c - see tokenizer_pre.h.
 *
 * In the matchers "class" is what the expressions tell apart: \s, \p{L}, \p{N} and the rest, that is
 * [^\s\p{L}\p{N}].  White space comes before the category, as in the expressions.
 */
#include "engine/tokenizer_pre.h"

#include <string.h>

#include "engine/unicode.h"

enum class { CLASS_END, CLASS_SPACE, CLASS_LETTER, CLASS_NUMBER, CLASS_REST };

/* The class of the first character of s and its length; CLASS_END and 0 when len is 0. */
static enum class class_at(const char *s, size_t len, size_t *n)
{
	uint32_t cp;

	*n = 0;
	if (len == 0)
		return CLASS_END;
	*n = unicode_decode(s, len, &cp);
	if (unicode_is_space(cp))
		return CLASS_SPACE;
	switch (unicode_cat(cp)) {
	case UNICODE_LETTER:
		return CLASS_LETTER;
	case UNICODE_NUMBER:
		return CLASS_NUMBER;
	default:
		return CLASS_REST;
	}
}

/* Bytes from `at` to the end of the run of class c. */
static size_t run_end(const char *s, size_t len, size_t at, enum class c)
{
	size_t n;

	while (class_at(s + at, len - at, &n) == c)
		at += n;
	return at;
}

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* 's|'t|'re|'ve|'m|'ll|'d at s: its length or 0.  fold: in either case, as (?i:...). */
static size_t contraction(const char *s, size_t len, bool fold)
{
	char a, b;

	if (len < 2 || s[0] != '\'')
		return 0;
	a = fold ? ascii_lower(s[1]) : s[1];
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	if (len < 3)
		return 0;
	b = fold ? ascii_lower(s[2]) : s[2];
	if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
		return 3;
	return 0;
}

/* \s+(?!\S)|\s+ at s, which begins with white space: the whole run where it ends the piece, else all
 * but its last character, which goes with what follows; a run of one is one word. */
static size_t space_run(const char *s, size_t len)
{
	size_t at = 0, last = 0, n;

	while (class_at(s + at, len - at, &n) == CLASS_SPACE) {
		last = at;
		at += n;
	}
	return at == len || last == 0 ? at : last;
}

/* The end of the last \r or \n in the white space at s: \s*[\r\n]+ in full, or 0. */
static size_t newline_run(const char *s, size_t len)
{
	size_t at = 0, end = 0, n;

	while (class_at(s + at, len - at, &n) == CLASS_SPACE) {
		if (s[at] == '\r' || s[at] == '\n')
			end = at + 1;
		at += n;
	}
	return end;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t match_gpt2(const char *s, size_t len)
{
	size_t skip = s[0] == ' ', n;
	enum class c;

	n = contraction(s, len, false);
	if (n != 0)
		return n;
	c = class_at(s + skip, len - skip, &n);
	if (c == CLASS_SPACE || c == CLASS_END)
		return space_run(s, len);
	return run_end(s, len, skip + n, c);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t match_llama3(const char *s, size_t len)
{
	enum class c, c2;
	size_t n, n2, at, digits;

	n = contraction(s, len, true);
	if (n != 0)
		return n;
	c = class_at(s, len, &n);
	if (c == CLASS_NUMBER) {
		at = n;
		for (digits = 1; digits < 3 && class_at(s + at, len - at, &n2) == c; digits++)
			at += n2;
		return at;
	}
	c2 = class_at(s + n, len - n, &n2);
	if (c == CLASS_LETTER || (c2 == CLASS_LETTER && s[0] != '\r' && s[0] != '\n'))
		return run_end(s, len, n, CLASS_LETTER);
	if (c == CLASS_REST || (s[0] == ' ' && c2 == CLASS_REST)) {
		at = run_end(s, len, n, CLASS_REST);
		while (at < len && (s[at] == '\r' || s[at] == '\n'))
			at++;
		return at;
	}
	at = newline_run(s, len);
	return at != 0 ? at : space_run(s, len);
}

/* A matcher that isolates the runs of one set: the run at s, or what comes before the next. */
static size_t isolate(const char *s, size_t len, bool (*in)(uint32_t cp))
{
	size_t at;
	uint32_t cp;
	bool want;

	at = unicode_decode(s, len, &cp);
	want = in(cp);
	while (at < len) {
		size_t n = unicode_decode(s + at, len - at, &cp);

		if (in(cp) != want)
			break;
		at += n;
	}
	return at;
}

static bool in_default_punct(uint32_t cp)
{
	return unicode_cat(cp) == UNICODE_PUNCT ||
	       (cp != 0 && cp < 0x80 && strchr("$+<=>^~|", (int)cp) != NULL);
}

static bool in_number(uint32_t cp)
{
	return unicode_cat(cp) == UNICODE_NUMBER;
}

/* [\p{P}\$\+<=>\^~\|]+ */
static size_t match_punct_runs(const char *s, size_t len)
{
	return isolate(s, len, in_default_punct);
}

/* \p{N}+ */
static size_t match_number_runs(const char *s, size_t len)
{
	return isolate(s, len, in_number);
}

static bool three_digits(const char *s)
{
	return s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9';
}

/* [0-9][0-9][0-9] */
static size_t match_three_digits(const char *s, size_t len)
{
	size_t at;

	for (at = 0; at + 3 <= len; at++)
		if (three_digits(s + at))
			return at == 0 ? 3 : at;
	return len;
}

#define GPT2 .stage = { match_gpt2 }
#define LLAMA3 .stage = { match_llama3 }, .ignore_merges = true, .add_bos = true

static const struct tokenizer_pre table[] = {
	{ "default", .stage = { match_punct_runs, match_gpt2, match_number_runs, match_three_digits } },
	{ "gpt-2", GPT2 },
	{ "phi-2", GPT2 },
	{ "llama-bpe", LLAMA3 },
	{ "llama3", LLAMA3 },
	{ "llama-v3", LLAMA3 },
	{ "falcon3", LLAMA3 },
	{ "falcon-h1", LLAMA3 },
	{ "pixtral", LLAMA3 },
	{ "midm-2.0", LLAMA3 },
	{ "lfm2", LLAMA3 },
};

const struct tokenizer_pre *tokenizer_pre_find(const char *name, size_t len)
{
	size_t i;

	if (len == 0)
		return &table[0];
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

size_t tokenizer_pre_next(const struct tokenizer_pre *p, struct tokenizer_pre_ends *ends,
			  const char *s, size_t len)
{
	size_t piece = len;
	unsigned int i, j;

	for (i = 0; i < TOKENIZER_PRE_STAGES && p->stage[i] != NULL; i++) {
		if (ends->left[i] == 0)
			ends->left[i] = p->stage[i](s, piece);
		piece = ends->left[i];
	}
	for (j = 0; j < i; j++)
		ends->left[j] -= piece;
	return piece;
}
