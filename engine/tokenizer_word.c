/* tokenizer_word.c - rules whose alternatives are a language: words, numbers, the rest, white space. */
#include "engine/tokenizer_rule.h"

#include <string.h>

#include "engine/unicode.h"

enum tokenizer_class tokenizer_class_at(const char *s, size_t len, size_t *n, uint32_t *cp)
{
	static const unsigned char classes[] = {
		[UNICODE_OTHER] = CLASS_OTHER, [UNICODE_LETTER] = CLASS_LETTER, [UNICODE_NUMBER] = CLASS_NUMBER,
		[UNICODE_PUNCT] = CLASS_PUNCT, [UNICODE_SYMBOL] = CLASS_SYMBOL, [UNICODE_MARK] = CLASS_MARK,
		[UNICODE_SEPARATOR] = CLASS_SPACE,
	};

	*n = 0;
	*cp = 0;
	if (len == 0)
		return CLASS_END;
	*n = unicode_decode(s, len, cp);
	if (unicode_is_space(*cp))
		return CLASS_SPACE;
	return (enum tokenizer_class)classes[unicode_cat(*cp)];
}

static enum tokenizer_class class_at(const char *s, size_t len, size_t *n)
{
	uint32_t cp;

	return tokenizer_class_at(s, len, n, &cp);
}

/* Bytes from `at` to the end of the run of the classes. */
static size_t run_end(const char *s, size_t len, size_t at, unsigned int classes)
{
	size_t n;

	while (class_at(s + at, len - at, &n) & classes)
		at += n;
	return at;
}

static bool is_crlf(char c)
{
	return c == '\r' || c == '\n';
}

static bool is_lower(uint32_t cp)
{
	return cp >= 'a' && cp <= 'z';
}

static bool is_upper(uint32_t cp)
{
	return cp >= 'A' && cp <= 'Z';
}

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* 's|'t|'re|'ve|'m|'ll|'d at s: its length or 0. */
static size_t contraction(const char *s, size_t len, enum tokenizer_short how)
{
	bool fold = how != SHORT_EXACT;
	char a, b;

	if (len < 2 || s[0] != '\'')
		return 0;
	a = fold ? ascii_lower(s[1]) : s[1];
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	if (len < 3)
		return 0;
	if (how == SHORT_FOLD_LONG_S && memcmp(s + 1, "\xC5\xBF", 2) == 0)
		return 3;
	b = fold ? ascii_lower(s[2]) : s[2];
	if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
		return 3;
	return 0;
}

size_t tokenizer_space_run(const char *s, size_t len)
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
		if (is_crlf(s[at]))
			end = at + 1;
		at += n;
	}
	return end;
}

size_t tokenizer_word_gpt2(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t skip = s[0] == ' ', n;
	enum tokenizer_class c;

	(void)r;
	n = contraction(s, len, SHORT_EXACT);
	if (n != 0)
		return n;
	c = class_at(s + skip, len - skip, &n);
	if (c == CLASS_SPACE || c == CLASS_END)
		return tokenizer_space_run(s, len);
	return run_end(s, len, skip + n, c & CLASS_NOT_SLN ? CLASS_NOT_SLN : c);
}

/* ---- words: each the length of one at s, or 0 ------------------------------------------------- */

static size_t word_plain(const struct tokenizer_rule *r, const char *s, size_t len)
{
	return run_end(s, len, 0, r->word);
}

static size_t word_joined(const struct tokenizer_rule *r, const char *s, size_t len)
{
	enum tokenizer_class c;
	size_t at = 0, n;
	uint32_t cp;

	for (;;) {
		c = tokenizer_class_at(s + at, len - at, &n, &cp);
		if (!(c & r->word) && cp != 0x200C && cp != 0x200D)
			return at;
		at += n;
	}
}

static size_t word_no_han(const struct tokenizer_rule *r, const char *s, size_t len)
{
	enum tokenizer_class c;
	size_t at = 0, n;
	uint32_t cp;

	for (;;) {
		c = tokenizer_class_at(s + at, len - at, &n, &cp);
		if (!(c & r->word) || tokenizer_set_has(&tokenizer_set_han, c, cp))
			return at;
		at += n;
	}
}

/* \p{L}\p{M}*( ?\p{L}\p{M}*)* */
static size_t word_spaced(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t at = 0, skip, n;

	(void)r;
	for (;;) {
		skip = at > 0 && at < len && s[at] == ' ';
		if (class_at(s + at + skip, len - at - skip, &n) != CLASS_LETTER)
			return at;
		at = run_end(s, len, at + skip + n, CLASS_MARK);
	}
}

/* Characters of a word but a-z, or but A-Z, from `at` on.  *end is behind the last that has no case. */
static size_t case_run(const struct tokenizer_rule *r, const char *s, size_t len, size_t at, bool upper,
		       size_t *end)
{
	enum tokenizer_class c;
	uint32_t cp;
	size_t n;

	for (;;) {
		c = tokenizer_class_at(s + at, len - at, &n, &cp);
		if (!(c & r->word) || (upper ? is_lower(cp) : is_upper(cp)))
			return at;
		at += n;
		if (!is_lower(cp) && !is_upper(cp))
			*end = at;
	}
}

/* [w - a-z]*[w - A-Z]+: where no a-z follows the first run, it gives back what is behind its last character
 * without case, which is then the second. */
static size_t word_cased(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t back = 0, unused = 0;
	size_t at = case_run(r, s, len, 0, true, &back);
	size_t end = case_run(r, s, len, at, false, &unused);

	return end > at ? end : back;
}

/* [w - a-z]+[w - A-Z]*, asked only where word_cased says 0: nothing is left for the second part. */
static size_t word_upper(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t unused = 0;

	return case_run(r, s, len, 0, true, &unused);
}

/* [^\r\n\p{L}\p{N}]?word at s, or 0. */
static size_t lead_and_word(const struct tokenizer_rule *r, const char *s, size_t len)
{
	static const tokenizer_match_fn words[][2] = {
		[SHAPE_PLAIN] = { word_plain, NULL }, [SHAPE_JOINED] = { word_joined, NULL },
		[SHAPE_NO_HAN] = { word_no_han, NULL }, [SHAPE_CASED] = { word_cased, word_upper },
		[SHAPE_SPACED] = { word_spaced, NULL },
	};
	size_t n, lead;
	unsigned int i;

	if ((class_at(s, len, &lead) & (CLASS_LETTER | CLASS_NUMBER)) || is_crlf(s[0]))
		lead = 0;
	for (i = 0; i < 2 && words[r->shape][i] != NULL; i++) {
		n = lead == 0 ? 0 : words[r->shape][i](r, s + lead, len - lead);
		if (n != 0)
			return lead + n;
		n = words[r->shape][i](r, s, len);
		if (n != 0)
			return n;
	}
	return 0;
}

/* ---- the others ------------------------------------------------------------------------------- */

/* \p{N}{1,digits} at s, which begins with a number. */
static size_t number(const struct tokenizer_rule *r, const char *s, size_t len)
{
	unsigned int digits = 0;
	size_t at = 0, n;

	while ((r->digits == 0 || digits < r->digits) && class_at(s + at, len - at, &n) == CLASS_NUMBER) {
		at += n;
		digits++;
	}
	return at;
}

/* " ?c+" and its tail at s, or 0. */
static size_t rest(const char *s, size_t len, unsigned int classes, const char *tail, bool once)
{
	size_t skip = s[0] == ' ', at = run_end(s, len, skip, classes);

	if (at == skip)
		return 0;
	while (tail != NULL && at < len && s[at] != '\0' && strchr(tail, s[at]) != NULL) {
		at++;
		if (once)
			break;
	}
	return at;
}

size_t tokenizer_word(const struct tokenizer_rule *r, const char *s, size_t len)
{
	enum tokenizer_class c;
	uint32_t cp;
	size_t n;

	n = r->shortened == SHORT_NONE || r->shortened == SHORT_BEHIND ? 0 : contraction(s, len, r->shortened);
	if (n != 0)
		return n;
	c = tokenizer_class_at(s, len, &n, &cp);
	if (r->shape == SHAPE_NO_HAN && tokenizer_set_has(&tokenizer_set_han, c, cp))
		return tokenizer_run(&(struct tokenizer_rule){ .set = &tokenizer_set_han }, s, len);
	n = lead_and_word(r, s, len);
	if (n != 0)
		return n + (r->shortened == SHORT_BEHIND ? contraction(s + n, len - n, SHORT_BEHIND) : 0);
	if (c == CLASS_NUMBER)
		return number(r, s, len);
	n = rest(s, len, r->rest, r->tail, r->tail_once);
	if (n == 0)
		n = newline_run(s, len);
	return n != 0 ? n : tokenizer_space_run(s, len);
}

/* ---- DeepSeek --------------------------------------------------------------------------------- */

/* [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ at s, or 0. */
static size_t deepseek_word(const char *s, size_t len)
{
	const unsigned int word = CLASS_LETTER | CLASS_MARK;
	enum tokenizer_class c;
	size_t lead, at = 1;

	c = class_at(s, len, &lead);
	if ((c & (CLASS_PUNCT | CLASS_SYMBOL)) && lead == 1 && (unsigned char)s[0] < 0x80) {
		while (at < len && (is_lower((unsigned char)s[at]) || is_upper((unsigned char)s[at])))
			at++;
		if (at > 1)
			return at;
	}
	if (!(c & (CLASS_LETTER | CLASS_PUNCT | CLASS_SYMBOL)) && !is_crlf(s[0])) {
		at = run_end(s, len, lead, word);
		if (at > lead)
			return at;
	}
	return run_end(s, len, 0, word);
}

/* The piece of the whole expression at s, or 0. */
static size_t deepseek_at(const char *s, size_t len)
{
	size_t n;

	n = deepseek_word(s, len);
	if (n == 0)
		n = rest(s, len, CLASS_PUNCT | CLASS_SYMBOL, "\r\n", false);
	if (n == 0)
		n = newline_run(s, len);
	return n != 0 ? n : tokenizer_space_run(s, len);
}

static size_t spark_at(const char *s, size_t len)
{
	size_t n;

	n = deepseek_word(s, len);
	if (n == 0)
		n = rest(s, len, CLASS_PUNCT | CLASS_SYMBOL, NULL, false);
	if (n == 0 && is_crlf(s[0]))
		return 1;
	return n != 0 ? n : tokenizer_space_run(s, len);
}

/* What `at` matches at s, or what lies before its next match. */
static size_t match_or_gap(size_t (*at)(const char *s, size_t len), const char *s, size_t len)
{
	size_t n = at(s, len), gap = 0;

	if (n != 0)
		return n;
	do {
		class_at(s + gap, len - gap, &n);
		gap += n;
	} while (gap < len && at(s + gap, len - gap) == 0);
	return gap;
}

size_t tokenizer_word_deepseek(const struct tokenizer_rule *r, const char *s, size_t len)
{
	(void)r;
	return match_or_gap(deepseek_at, s, len);
}

size_t tokenizer_word_spark(const struct tokenizer_rule *r, const char *s, size_t len)
{
	(void)r;
	return match_or_gap(spark_at, s, len);
}
