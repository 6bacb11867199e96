/* unicode.c - see unicode.h.  Well-formed sequences: The Unicode Standard 15.1, table 3-7. */
#include "engine/unicode.h"

#include "engine/unicode_internal.h"

enum unicode_cat unicode_cat(uint32_t cp)
{
	uint32_t lo = 0, hi = unicode_nranges, mid;

	if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z'))
		return UNICODE_LETTER;  /* most of most texts: no search */
	if (cp > 0x10FFFF)
		return UNICODE_OTHER;
	while (hi - lo > 1) {           /* ranges[lo] starts at or before cp, ranges[hi] after it */
		mid = lo + (hi - lo) / 2;
		if (unicode_ranges[mid] >> 3 <= cp)
			lo = mid;
		else
			hi = mid;
	}
	return (enum unicode_cat)(unicode_ranges[lo] & 7);
}

bool unicode_is_space(uint32_t cp)
{
	uint32_t i;

	if (cp < 0x80)
		return cp == ' ' || (cp >= 0x09 && cp <= 0x0D);
	if (cp > unicode_spaces[unicode_nspaces - 1])
		return false;
	for (i = 0; i < unicode_nspaces; i++)
		if (unicode_spaces[i] == cp)
			return true;
	return false;
}

/* The length that the lead byte c promises and the bounds of the byte after it; 0 when c leads
 * nothing. */
static size_t lead_len(unsigned char c, unsigned char *lo, unsigned char *hi)
{
	*lo = 0x80;
	*hi = 0xBF;
	if (c < 0x80)
		return 1;
	if (c < 0xC2 || c > 0xF4)
		return 0;
	if (c < 0xE0)
		return 2;
	if (c < 0xF0) {
		if (c == 0xE0)
			*lo = 0xA0;
		if (c == 0xED)
			*hi = 0x9F;
		return 3;
	}
	if (c == 0xF0)
		*lo = 0x90;
	if (c == 0xF4)
		*hi = 0x8F;
	return 4;
}

/* How many of the first bytes of s fit one well-formed sequence whose full length is *need; 0 when
 * the first already does not. */
static size_t seq_prefix(const char *s, size_t len, size_t *need)
{
	unsigned char lo, hi, c;
	size_t i;

	*need = lead_len((unsigned char)s[0], &lo, &hi);
	if (*need == 0)
		return 0;
	for (i = 1; i < *need && i < len; i++) {
		c = (unsigned char)s[i];
		if (c < lo || c > hi)
			break;
		lo = 0x80;
		hi = 0xBF;
	}
	return i;
}

size_t unicode_decode(const char *s, size_t len, uint32_t *cp)
{
	const unsigned char *b = (const unsigned char *)s;
	size_t need;

	if (b[0] < 0x80) {
		*cp = b[0];
		return 1;
	}
	if (seq_prefix(s, len, &need) != need || need == 0) {
		*cp = UNICODE_REPLACEMENT;
		return 1;
	}
	if (need == 2)
		*cp = (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
	else if (need == 3)
		*cp = (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
	else
		*cp = (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 | (b[3] & 0x3Fu);
	return need;
}

size_t unicode_encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xC0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3F));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xE0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
		out[2] = (char)(0x80 | (cp & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | (cp >> 18 & 0x07));
	out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
	out[3] = (char)(0x80 | (cp & 0x3F));
	return 4;
}

size_t unicode_missing(const char *s, size_t len)
{
	size_t need;

	return seq_prefix(s, len, &need) == len && len < need ? need - len : 0;
}
