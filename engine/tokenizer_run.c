/* tokenizer_run.c - rules that isolate runs of a set of characters, and groups of digits. */
#include "engine/tokenizer_rule.h"

#include <string.h>

#include "engine/unicode.h"

/* Blocks that hold ideographs, the compatibility ones too; all of each block, as in src/unicode.cpp. */
static const uint32_t han[][2] = {
	{ 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xF900, 0xFAFF }, { 0x20000, 0x2A6DF }, { 0x2A700, 0x2EBEF },
	{ 0x2F800, 0x2FA1F },
};

const struct tokenizer_set tokenizer_set_han = { .range = han, .n = sizeof(han) / sizeof(han[0]) };

bool tokenizer_set_has(const struct tokenizer_set *set, enum tokenizer_class c, uint32_t cp)
{
	size_t lo = 0, hi = set->n, mid;
	bool in = (c & set->classes) != 0;

	if (c == CLASS_END)
		return false;
	if (c == CLASS_SPACE && cp > 0x7F)
		hi = 0;
	while (!in && lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (cp < set->range[mid][0])
			hi = mid;
		else if (cp > set->range[mid][1])
			lo = mid + 1;
		else
			in = true;
	}
	return in != set->except;
}

/* Which of the sets of r has the first character of s: its number or nsets.  *n is its length. */
static size_t set_at(const struct tokenizer_rule *r, const char *s, size_t len, size_t *n)
{
	size_t i, nsets = r->nsets == 0 ? 1 : r->nsets;
	enum tokenizer_class c;
	uint32_t cp;

	c = tokenizer_class_at(s, len, n, &cp);
	for (i = 0; i < nsets; i++)
		if (tokenizer_set_has(&r->set[i], c, cp))
			break;
	return i;
}

/* The bytes of the lead of a run when s begins with one, else 0. */
static size_t lead_at(const struct tokenizer_rule *r, const char *s, size_t len)
{
	uint32_t cp;
	size_t n;

	if (r->lead == NULL)
		return 0;
	if (r->lead[0] == ' ')
		return len > 0 && s[0] == ' ';
	return tokenizer_class_at(s, len, &n, &cp) == CLASS_SPACE ? n : 0;
}

/* Length of the run at s, its lead included, or 0. */
static size_t run_at(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t nsets = r->nsets == 0 ? 1 : r->nsets;
	size_t at = lead_at(r, s, len), which, n;
	unsigned int chars = 1;

	which = set_at(r, s + at, len - at, &n);
	if (which == nsets && at > 0) {
		at = 0;
		which = set_at(r, s, len, &n);
	}
	if (which == nsets)
		return 0;
	at += n;
	while (chars != r->most && at < len && set_at(r, s + at, len - at, &n) == which) {
		at += n;
		chars++;
	}
	return at;
}

/* Whether a run begins at s; as run_at, but in constant time. */
static bool run_begins(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t nsets = r->nsets == 0 ? 1 : r->nsets, lead = lead_at(r, s, len), n;

	return set_at(r, s, len, &n) < nsets || (lead > 0 && set_at(r, s + lead, len - lead, &n) < nsets);
}

size_t tokenizer_run(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t at = run_at(r, s, len), n;

	if (at != 0)
		return at;
	do {
		set_at(r, s + at, len - at, &n);
		at += n;
	} while (at < len && !run_begins(r, s + at, len - at));
	return at;
}

size_t tokenizer_run_last_space(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t at = 0, end = 0, n;
	enum tokenizer_class c;
	uint32_t cp;

	(void)r;
	while (at < len) {
		c = tokenizer_class_at(s + at, len - at, &n, &cp);
		at += n;
		if (c != CLASS_SPACE)
			end = at;
	}
	return end == 0 ? len : end;
}

size_t tokenizer_run_space_steps(const struct tokenizer_rule *r, const char *s, size_t len)
{
	unsigned int k, step, most = 512;
	size_t at = 0, n = 0;
	uint32_t cp;

	(void)r;
	if (s[len - 1] == '\r' || s[len - 1] == '\n')
		return len;
	for (k = 0; k < most && tokenizer_class_at(s + at, len - at, &n, &cp) == CLASS_SPACE; k++)
		at += n;
	if (k < most && at < len)
		return len;
	for (step = most; step > k; )
		step = step > 4 ? step / 2 : step - 1;
	if (step == 3)
		step = 2;
	for (at = 0, k = 0; k < step; k++) {
		tokenizer_class_at(s + at, len - at, &n, &cp);
		at += n;
	}
	return at;
}

/* ---- digits ----------------------------------------------------------------------------------- */

/* The numbers at s: *n of them.  Returns their bytes. */
static size_t numbers(const char *s, size_t len, size_t *count)
{
	size_t at = 0, n;
	uint32_t cp;

	for (*count = 0; tokenizer_class_at(s + at, len - at, &n, &cp) == CLASS_NUMBER; (*count)++)
		at += n;
	return at;
}

/* The bytes of the first `count` characters of s. */
static size_t skip(const char *s, size_t len, size_t count)
{
	size_t at = 0;
	uint32_t cp;

	while (count-- > 0 && at < len)
		at += unicode_decode(s + at, len - at, &cp);
	return at;
}

size_t tokenizer_digits_head(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t at = 0, run, count, n;
	uint32_t cp;

	(void)r;
	while (at < len && tokenizer_class_at(s + at, len - at, &n, &cp) != CLASS_NUMBER)
		at += n;
	run = numbers(s + at, len - at, &count);
	if (at == 0 && count % 3 == 0)
		return run;
	return at + skip(s + at, len - at, count == 0 ? 0 : count % 3 == 0 ? 3 : count % 3);
}

size_t tokenizer_digits_body(const struct tokenizer_rule *r, const char *s, size_t len)
{
	uint32_t cp;
	size_t n;

	(void)r;
	return tokenizer_class_at(s, len, &n, &cp) == CLASS_NUMBER ? skip(s, len, 3) : len;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t digit_run(const char *s, size_t len)
{
	size_t at = 0;

	while (at < len && is_digit(s[at]))
		at++;
	return at;
}

size_t tokenizer_digits_three(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t at;

	(void)r;
	for (at = 0; at + 3 <= len; at++)
		if (is_digit(s[at]) && is_digit(s[at + 1]) && is_digit(s[at + 2]))
			return at == 0 ? 3 : at;
	return len;
}

size_t tokenizer_digits_mark(const struct tokenizer_rule *r, const char *s, size_t len)
{
	size_t at = 0, n, mark;

	(void)r;
	while (at < len) {
		if (!is_digit(s[at])) {
			at++;
			continue;
		}
		n = digit_run(s + at, len - at);
		mark = at + n % 3;
		if (n >= 3 && mark > 0)
			return mark;
		at += n;
	}
	return len;
}

/* A piece of tokenizer_digits_mark that begins with three digits begins with three times as many as may be. */
size_t tokenizer_digits_marks(const struct tokenizer_rule *r, const char *s, size_t len)
{
	(void)r;
	return len > 3 && digit_run(s, 6 < len ? 6 : len) == 6 ? 3 : len;
}
