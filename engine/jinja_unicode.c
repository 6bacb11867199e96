/* jinja_unicode.c - strings as characters: counting, stripping, case.
 *
 * Case is that of ASCII, Latin-1, Latin Extended-A, Greek, Cyrillic, Armenian and fullwidth letters, one
 * character for one; other letters stay as they are.  The distances are those of UnicodeData.txt.
 */
#include <string.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

size_t jinja_chars(struct jinja_str s)
{
	uint32_t cp;
	size_t at = 0, n;

	for (n = 0; at < s.len; n++)
		at += unicode_decode(s.s + at, s.len - at, &cp);
	return n;
}

size_t jinja_char_off(struct jinja_str s, size_t n)
{
	uint32_t cp;
	size_t at = 0;

	for (; n > 0 && at < s.len; n--)
		at += unicode_decode(s.s + at, s.len - at, &cp);
	return at;
}

/* ---- stripping ----------------------------------------------------------------------------------- */

/* What Python's str.strip() takes away. */
static bool is_space(uint32_t cp)
{
	return unicode_is_space(cp) || (cp >= 0x1c && cp <= 0x1f);
}

static bool strippable(const char *s, size_t n, uint32_t cp, const struct jinja_str *set)
{
	size_t at, m;
	uint32_t c;

	if (set == NULL)
		return is_space(cp);
	for (at = 0; at < set->len; at += m) {
		m = unicode_decode(set->s + at, set->len - at, &c);
		if (m == n && memcmp(set->s + at, s, n) == 0)
			return true;
	}
	return false;
}

/* The length of the last character of s. */
static size_t last_char(struct jinja_str s, uint32_t *cp)
{
	size_t n;

	for (n = 1; n < 4 && n < s.len; n++)
		if (((unsigned char)s.s[s.len - n] & 0xc0) != 0x80)
			break;
	if (unicode_decode(s.s + s.len - n, n, cp) == n)
		return n;
	unicode_decode(s.s + s.len - 1, 1, cp);
	return 1;
}

struct jinja_str jinja_strip(struct jinja_str s, const struct jinja_str *set, bool left, bool right)
{
	uint32_t cp;
	size_t n;

	while (left && s.len != 0) {
		n = unicode_decode(s.s, s.len, &cp);
		if (!strippable(s.s, n, cp, set))
			break;
		s.s += n;
		s.len -= n;
	}
	while (right && s.len != 0) {
		n = last_char(s, &cp);
		if (!strippable(s.s + s.len - n, n, cp, set))
			break;
		s.len -= n;
	}
	return s;
}

/* ---- case ---------------------------------------------------------------------------------------- */

struct case_range {
	uint32_t first, last;           /* capitals */
	uint32_t up;                    /* distance to the small letters; 0: the two alternate */
};

static const struct case_range ranges[] = {
	{ 'A', 'Z', 32 }, { 0xc0, 0xd6, 32 }, { 0xd8, 0xde, 32 }, { 0x100, 0x12f, 0 }, { 0x132, 0x137, 0 },
	{ 0x139, 0x148, 0 }, { 0x14a, 0x177, 0 }, { 0x178, 0x178, 0xffffff87u }, { 0x179, 0x17e, 0 },
	{ 0x386, 0x386, 38 }, { 0x388, 0x38a, 37 }, { 0x38c, 0x38c, 64 }, { 0x38e, 0x38f, 63 },
	{ 0x391, 0x3a1, 32 }, { 0x3a3, 0x3ab, 32 }, { 0x400, 0x40f, 80 }, { 0x410, 0x42f, 32 },
	{ 0x460, 0x481, 0 }, { 0x48a, 0x4bf, 0 }, { 0x4d0, 0x52f, 0 }, { 0x531, 0x556, 48 },
	{ 0x1e00, 0x1e95, 0 }, { 0x1ea0, 0x1eff, 0 }, { 0xff21, 0xff3a, 32 }
};

/* In a range of alternating letters capitals have the parity of the first one. */
static bool is_capital(const struct case_range *r, uint32_t cp)
{
	return ((cp - r->first) & 1) == 0;
}

uint32_t jinja_lower(uint32_t cp)
{
	const struct case_range *r;
	size_t i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		r = &ranges[i];
		if (cp >= r->first && cp <= r->last)
			return r->up != 0 ? cp + r->up : cp + is_capital(r, cp);
	}
	return cp;
}

uint32_t jinja_upper(uint32_t cp)
{
	const struct case_range *r;
	size_t i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		r = &ranges[i];
		if (r->up != 0 && cp - r->up >= r->first && cp - r->up <= r->last)
			return cp - r->up;
		if (r->up == 0 && cp >= r->first && cp <= r->last)
			return cp - !is_capital(r, cp);
	}
	return cp;
}

/* How the character behind prev is written; TITLE treats what is no letter as a border. */
static uint32_t recase(uint32_t cp, uint32_t prev, bool first, enum jinja_case how)
{
	bool inside = unicode_cat(prev) == UNICODE_LETTER;

	switch (how) {
	case JINJA_LOWER:
		return jinja_lower(cp);
	case JINJA_UPPER:
		return jinja_upper(cp);
	case JINJA_TITLE:
		return inside ? jinja_lower(cp) : jinja_upper(cp);
	case JINJA_CAPITAL:
		return first ? jinja_upper(cp) : jinja_lower(cp);
	default:
		return jinja_lower(cp) != cp ? jinja_lower(cp) : jinja_upper(cp);
	}
}

int jinja_recase(struct jinja_run *r, struct jinja_str s, enum jinja_case how, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	uint32_t cp, prev = ' ', now;
	size_t at, n;
	char text[4];
	int rc = 0;

	for (at = 0; rc == 0 && at < s.len; at += n) {
		n = unicode_decode(s.s + at, s.len - at, &cp);
		now = n == 1 && cp == UNICODE_REPLACEMENT ? cp : recase(cp, prev, at == 0, how);
		if (now == cp)
			rc = jinja_buf_add(r, &b, s.s + at, n);
		else
			rc = jinja_buf_add(r, &b, text, unicode_encode(now, text));
		prev = cp;
	}
	*out = jinja_buf_value(&b);
	return rc;
}
