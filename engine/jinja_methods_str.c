/* jinja_methods_str.c - the methods of strings. */
#include <errno.h>
#include <string.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

static int need_str(struct jinja_run *r, const struct jinja_value *v, struct jinja_str *out)
{
	*out = (struct jinja_str){ "", 0 };
	if (v->type != JINJA_STRING)
		return jinja_fail(r, "a %s where a string is needed", jinja_type_name(v));
	*out = v->u.str;
	return 0;
}

/* ---- stripping and case -------------------------------------------------------------------------- */

static int strip(struct jinja_run *r, const struct jinja_call *c, bool left, bool right, struct jinja_value *out)
{
	struct jinja_str set, s;
	bool any = c->a[0].type == JINJA_ABSENT || c->a[0].type == JINJA_NONE;
	int rc = any ? 0 : need_str(r, &c->a[0], &set);

	if (rc != 0)
		return rc;
	s = jinja_strip(c->self.u.str, any ? NULL : &set, left, right);
	*out = jinja_string(s.s, s.len);
	return jinja_step(r, (c->self.u.str.len - s.len) * (any ? 1 : 1 + set.len) / 16);
}

static int m_strip(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return strip(r, c, true, true, out);
}

static int m_lstrip(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return strip(r, c, true, false, out);
}

static int m_rstrip(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return strip(r, c, false, true, out);
}

static int m_upper(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return jinja_recase(r, c->self.u.str, JINJA_UPPER, out);
}

static int m_lower(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return jinja_recase(r, c->self.u.str, JINJA_LOWER, out);
}

static int m_title(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return jinja_recase(r, c->self.u.str, JINJA_TITLE, out);
}

static int m_capitalize(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return jinja_recase(r, c->self.u.str, JINJA_CAPITAL, out);
}

static int m_swapcase(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return jinja_recase(r, c->self.u.str, JINJA_SWAP, out);
}

/* ---- searching ----------------------------------------------------------------------------------- */

static bool has_edge(struct jinja_str s, struct jinja_str part, bool end)
{
	return part.len <= s.len && (part.len == 0 || memcmp(s.s + (end ? s.len - part.len : 0), part.s, part.len) == 0);
}

/* Whether the string begins or ends with the argument, or with one of a tuple. */
static int edge(struct jinja_run *r, const struct jinja_call *c, bool end, struct jinja_value *out)
{
	const struct jinja_value *v = &c->a[0];
	size_t i, n = v->type == JINJA_TUPLE ? v->u.list->n : 1;
	struct jinja_str part;
	int rc = jinja_step(r, n);

	*out = jinja_bool(false);
	for (i = 0; rc == 0 && i < n && !out->u.b; i++) {
		rc = need_str(r, v->type == JINJA_TUPLE ? &v->u.list->v[i] : v, &part);
		if (rc == 0)
			*out = jinja_bool(has_edge(c->self.u.str, part, end));
	}
	return rc;
}

static int m_startswith(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return edge(r, c, false, out);
}

static int m_endswith(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return edge(r, c, true, out);
}

/* Where part is in s, the last place when last; false when it is not. */
static bool locate(struct jinja_str s, struct jinja_str part, bool last, size_t *at)
{
	const char *p;

	if (part.len > s.len)
		return false;
	if (part.len == 0) {
		*at = last ? s.len : 0;
		return true;
	}
	if (!last) {
		p = memmem(s.s, s.len, part.s, part.len);
		*at = p != NULL ? (size_t)(p - s.s) : 0;
		return p != NULL;
	}
	for (*at = s.len - part.len; ; --*at) {
		if (s.s[*at] == part.s[0] && memcmp(s.s + *at, part.s, part.len) == 0)
			return true;
		if (*at == 0)
			return false;
	}
}

/* Pay for looking for part in all of s; from the end that may compare all of part everywhere. */
static int pay(struct jinja_run *r, struct jinja_str s, struct jinja_str part, bool last)
{
	return jinja_step(r, s.len / 16 + (last ? s.len / 64 * (part.len / 64) : 0));
}

/* The index, in characters, of the first or last occurrence, or -1. */
static int find(struct jinja_run *r, const struct jinja_call *c, bool last, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str, part;
	size_t at = 0;
	int rc = need_str(r, &c->a[0], &part);

	if (rc == 0)
		rc = pay(r, s, part, last);
	if (rc == 0)
		*out = jinja_int(locate(s, part, last, &at) ? (int64_t)jinja_chars((struct jinja_str){ s.s, at }) : -1);
	return rc;
}

static int m_find(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return find(r, c, false, out);
}

static int m_rfind(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return find(r, c, true, out);
}

static int m_index(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	int rc = find(r, c, false, out);

	return rc == 0 && out->u.i < 0 ? jinja_fail(r, "index: there is no such text") : rc;
}

static int m_count(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str, part;
	int64_t n = 0;
	size_t at;
	int rc = need_str(r, &c->a[0], &part);

	if (rc != 0)
		return rc;
	if (part.len == 0)
		n = (int64_t)jinja_chars(s) + 1;
	else
		for (; locate(s, part, false, &at); n++)
			s = (struct jinja_str){ s.s + at + part.len, s.len - at - part.len };
	*out = jinja_int(n);
	return jinja_step(r, c->self.u.str.len / 16);
}

/* ---- cutting ------------------------------------------------------------------------------------- */

static int push(struct jinja_run *r, const struct jinja_value *list, const char *s, size_t len)
{
	return jinja_check(r, jinja_list_add(r->heap, list->u.list, jinja_string(s, len)));
}

static void reverse(struct jinja_list *l)
{
	struct jinja_value v;
	size_t i;

	for (i = 0; i < l->n / 2; i++) {
		v = l->v[i];
		l->v[i] = l->v[l->n - 1 - i];
		l->v[l->n - 1 - i] = v;
	}
}

/* At the separators, at most max times, from the left or right. */
static int split_at(struct jinja_run *r, struct jinja_str s, struct jinja_str sep, int64_t max, bool right,
		    struct jinja_value *out)
{
	size_t at, after;
	int rc = pay(r, s, sep, right);

	if (rc == 0 && sep.len == 0)
		return jinja_fail(r, "split: an empty separator");
	for (; rc == 0 && max != 0 && locate(s, sep, right, &at); max--) {
		after = at + sep.len;
		rc = right ? push(r, out, s.s + after, s.len - after) : push(r, out, s.s, at);
		if (rc == 0)
			rc = jinja_step(r, 1);
		s = right ? (struct jinja_str){ s.s, at } : (struct jinja_str){ s.s + after, s.len - after };
	}
	if (rc == 0)
		rc = push(r, out, s.s, s.len);
	if (right)
		reverse(out->u.list);
	return rc;
}

/* The length of s up to its first space, or with back behind its last one. */
static size_t word_length(struct jinja_str s, bool back)
{
	struct jinja_str rest;
	uint32_t cp;
	size_t at = 0, n, word = 0;

	while (at < s.len) {
		n = unicode_decode(s.s + at, s.len - at, &cp);
		rest = jinja_strip((struct jinja_str){ s.s + at, n }, NULL, true, false);
		if (rest.len == 0 && !back)
			return at;
		at += n;
		word = rest.len == 0 ? at : word;
	}
	return back ? s.len - word : s.len;
}

/* At runs of space, at most max times. */
static int split_words(struct jinja_run *r, struct jinja_str s, int64_t max, bool right, struct jinja_value *out)
{
	size_t n;
	int rc = jinja_step(r, s.len / 4);

	for (s = jinja_strip(s, NULL, !right, right); rc == 0 && s.len != 0; s = jinja_strip(s, NULL, !right, right)) {
		if (max-- == 0) {
			rc = push(r, out, s.s, s.len);
			break;
		}
		n = word_length(s, right);
		rc = push(r, out, right ? s.s + s.len - n : s.s, n);
		if (rc == 0)
			rc = jinja_step(r, right ? s.len / 16 : 1);
		s = (struct jinja_str){ right ? s.s : s.s + n, s.len - n };
	}
	if (right)
		reverse(out->u.list);
	return rc;
}

static int split(struct jinja_run *r, const struct jinja_call *c, bool right, struct jinja_value *out)
{
	struct jinja_str sep;
	int64_t max = -1;
	int rc = jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, out));

	if (rc != 0)
		return rc;
	if (c->a[1].type != JINJA_ABSENT && !jinja_as_int(&c->a[1], &max))
		return jinja_fail(r, "split: maxsplit is a %s", jinja_type_name(&c->a[1]));
	if (c->a[0].type == JINJA_ABSENT || c->a[0].type == JINJA_NONE)
		return split_words(r, c->self.u.str, max, right, out);
	rc = need_str(r, &c->a[0], &sep);
	return rc != 0 ? rc : split_at(r, c->self.u.str, sep, max, right, out);
}

static int m_split(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return split(r, c, false, out);
}

static int m_rsplit(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return split(r, c, true, out);
}

static int m_splitlines(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str;
	bool keep = c->a[0].type != JINJA_ABSENT && jinja_truth(&c->a[0]);
	size_t n, end;
	int rc = jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, out));

	while (rc == 0 && s.len != 0) {
		for (n = 0; n < s.len && s.s[n] != '\n' && s.s[n] != '\r'; n++)
			;
		end = n + (n < s.len) + (n + 1 < s.len && s.s[n] == '\r' && s.s[n + 1] == '\n');
		rc = push(r, out, s.s, keep ? end : n);
		if (rc == 0)
			rc = jinja_step(r, 1 + n / 16);
		s = (struct jinja_str){ s.s + end, s.len - end };
	}
	return rc;
}

/* What is before the separator, the separator, and what is behind it. */
static int partition(struct jinja_run *r, const struct jinja_call *c, bool right, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str, sep;
	size_t at;
	bool found;
	int rc = need_str(r, &c->a[0], &sep);

	if (rc == 0 && sep.len == 0)
		rc = jinja_fail(r, "partition: an empty separator");
	if (rc == 0)
		rc = pay(r, s, sep, right);
	if (rc == 0)
		rc = jinja_check(r, jinja_list_new(r->heap, JINJA_TUPLE, out));
	if (rc != 0)
		return rc;
	found = locate(s, sep, right, &at);
	at = found ? at : right ? 0 : s.len;
	rc = push(r, out, s.s, at);
	if (rc == 0)
		rc = push(r, out, sep.s, found ? sep.len : 0);
	at += found ? sep.len : 0;
	return rc != 0 ? rc : push(r, out, s.s + at, s.len - at);
}

static int m_partition(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return partition(r, c, false, out);
}

static int m_rpartition(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return partition(r, c, true, out);
}

static int m_removeprefix(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str, part;
	int rc = need_str(r, &c->a[0], &part);

	if (rc == 0 && has_edge(s, part, false))
		s = (struct jinja_str){ s.s + part.len, s.len - part.len };
	*out = jinja_string(s.s, s.len);
	return rc;
}

static int m_removesuffix(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str, part;
	int rc = need_str(r, &c->a[0], &part);

	if (rc == 0 && has_edge(s, part, true))
		s.len -= part.len;
	*out = jinja_string(s.s, s.len);
	return rc;
}

/* ---- making -------------------------------------------------------------------------------------- */

/* Every occurrence, or the first count ones; an empty old stands between characters. */
static int m_replace(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str s = c->self.u.str, old, new;
	int64_t count = -1;
	size_t at, n;
	int rc = need_str(r, &c->a[0], &old);

	if (rc == 0)
		rc = need_str(r, &c->a[1], &new);
	if (rc == 0 && c->a[2].type != JINJA_ABSENT && c->a[2].type != JINJA_NONE && !jinja_as_int(&c->a[2], &count))
		rc = jinja_fail(r, "replace: the count is a %s", jinja_type_name(&c->a[2]));
	if (rc == 0)
		rc = jinja_step(r, s.len / 16);
	for (; rc == 0 && count != 0 && locate(s, old, false, &at); count--) {
		rc = jinja_buf_add(r, &b, s.s, at);
		if (rc == 0)
			rc = jinja_buf_add(r, &b, new.s, new.len);
		if (rc != 0 || (old.len == 0 && s.len == 0))
			break;
		n = old.len != 0 ? at + old.len : jinja_char_off(s, 1);
		if (old.len == 0)
			rc = jinja_buf_add(r, &b, s.s, n);
		s = (struct jinja_str){ s.s + n, s.len - n };
	}
	if (rc == 0)
		rc = jinja_buf_add(r, &b, s.s, s.len);
	*out = jinja_buf_value(&b);
	return rc;
}

static int m_join(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_list *l;
	struct jinja_str part;
	size_t i;
	int rc = jinja_elements(r, &c->a[0], &l);

	for (i = 0; rc == 0 && i < l->n; i++) {
		rc = need_str(r, &l->v[i], &part);
		if (rc == 0 && i != 0)
			rc = jinja_buf_add(r, &b, c->self.u.str.s, c->self.u.str.len);
		if (rc == 0)
			rc = jinja_buf_add(r, &b, part.s, part.len);
		if (rc == 0)
			rc = jinja_step(r, 1);
	}
	*out = jinja_buf_value(&b);
	return rc;
}

static int m_format(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return jinja_format_braces(r, c->self.u.str, c->args, out);
}

/* ---- what the characters are --------------------------------------------------------------------- */

enum { IS_ALPHA = 1, IS_DIGIT = 2, IS_SPACE = 4, IS_UPPER = 8, IS_LOWER = 16 };

static unsigned kind_of(uint32_t cp)
{
	unsigned kind = 0;

	kind |= unicode_cat(cp) == UNICODE_LETTER ? IS_ALPHA : 0;
	kind |= unicode_cat(cp) == UNICODE_NUMBER ? IS_DIGIT : 0;
	kind |= unicode_is_space(cp) || (cp >= 0x1c && cp <= 0x1f) ? IS_SPACE : 0;
	kind |= jinja_lower(cp) != cp ? IS_UPPER : 0;
	kind |= jinja_upper(cp) != cp ? IS_LOWER : 0;
	return kind;
}

/* Not empty, and each character is of one of kinds. */
static int all_are(struct jinja_run *r, const struct jinja_call *c, unsigned kinds, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str;
	bool all = s.len != 0;
	uint32_t cp;
	size_t at;

	for (at = 0; all && at < s.len;) {
		at += unicode_decode(s.s + at, s.len - at, &cp);
		all = (kind_of(cp) & kinds) != 0;
	}
	*out = jinja_bool(all);
	return jinja_step(r, s.len / 16);
}

/* Some letter has the one case and none has the other. */
static int cased(struct jinja_run *r, const struct jinja_call *c, unsigned want, unsigned avoid, struct jinja_value *out)
{
	struct jinja_str s = c->self.u.str;
	bool some = false, other = false;
	uint32_t cp;
	size_t at;

	for (at = 0; !other && at < s.len;) {
		at += unicode_decode(s.s + at, s.len - at, &cp);
		some = some || (kind_of(cp) & want) != 0;
		other = (kind_of(cp) & avoid) != 0;
	}
	*out = jinja_bool(some && !other);
	return jinja_step(r, s.len / 16);
}

static int m_isalpha(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return all_are(r, c, IS_ALPHA, out);
}

static int m_isdigit(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return all_are(r, c, IS_DIGIT, out);
}

static int m_isalnum(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return all_are(r, c, IS_ALPHA | IS_DIGIT, out);
}

static int m_isspace(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return all_are(r, c, IS_SPACE, out);
}

static int m_isupper(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return cased(r, c, IS_UPPER, IS_LOWER, out);
}

static int m_islower(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return cased(r, c, IS_LOWER, IS_UPPER, out);
}

const struct jinja_builtin jinja_methods_str[] = {
	{ "strip", m_strip, "chars", 0 }, { "lstrip", m_lstrip, "chars", 0 }, { "rstrip", m_rstrip, "chars", 0 },
	{ "upper", m_upper, "", 0 }, { "lower", m_lower, "", 0 }, { "casefold", m_lower, "", 0 },
	{ "title", m_title, "", 0 }, { "capitalize", m_capitalize, "", 0 }, { "swapcase", m_swapcase, "", 0 },
	{ "startswith", m_startswith, "prefix", 1 }, { "endswith", m_endswith, "suffix", 1 },
	{ "find", m_find, "sub", 1 }, { "rfind", m_rfind, "sub", 1 }, { "index", m_index, "sub", 1 },
	{ "count", m_count, "sub", 1 }, { "split", m_split, "sep maxsplit", 0 },
	{ "rsplit", m_rsplit, "sep maxsplit", 0 }, { "splitlines", m_splitlines, "keepends", 0 },
	{ "partition", m_partition, "sep", 1 }, { "rpartition", m_rpartition, "sep", 1 },
	{ "removeprefix", m_removeprefix, "prefix", 1 }, { "removesuffix", m_removesuffix, "suffix", 1 },
	{ "replace", m_replace, "old new count", 2 }, { "join", m_join, "iterable", 1 },
	{ "format", m_format, "*", 0 }, { "isalpha", m_isalpha, "", 0 }, { "isdigit", m_isdigit, "", 0 },
	{ "isnumeric", m_isdigit, "", 0 }, { "isdecimal", m_isdigit, "", 0 }, { "isalnum", m_isalnum, "", 0 },
	{ "isspace", m_isspace, "", 0 }, { "isupper", m_isupper, "", 0 }, { "islower", m_islower, "", 0 },
	{ NULL, NULL, NULL, 0 }
};
