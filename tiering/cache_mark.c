#include "tiering/cache_mark.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What is left of the text. */
struct mark_reader {
	const char *at, *end;
	unsigned line;                  /* of the last one that was begun, from 1 */
};

/* The next line must be "WORD VALUE": its value, which is no C string, or NULL. */
static const char *mark_line(struct mark_reader *r, const char *word, size_t *len)
{
	size_t n = strlen(word);
	const char *value, *nl;

	r->line++;
	nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
	if (nl == NULL || (size_t)(nl - r->at) <= n || memcmp(r->at, word, n) != 0 || r->at[n] != ' ')
		return NULL;
	value = r->at + n + 1;
	*len = (size_t)(nl - value);
	r->at = nl + 1;
	return value;
}

static int mark_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly 2 * n digits. */
static bool mark_hex(const char *text, size_t len, uint8_t *out, size_t n)
{
	if (text == NULL || len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = mark_hex_digit(text[2 * i]), low = mark_hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Without leading zeros, so that a number has one text. */
static bool mark_decimal(const char *text, size_t len, uint64_t *out)
{
	uint64_t n = 0;

	if (text == NULL || len == 0 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (unsigned)(text[i] - '0'), &n))
			return false;
	*out = n;
	return true;
}

static bool mark_must_escape(unsigned char c)
{
	return c <= ' ' || c == 0x7f || c == '\\';
}

/* Three octal digits of a byte that is written so. */
static int mark_octal(const char *text, size_t len)
{
	int c = 0;

	if (len < 3)
		return -1;
	for (int i = 0; i < 3; i++) {
		if (text[i] < '0' || text[i] > '7')
			return -1;
		c = c << 3 | (text[i] - '0');
	}
	return c != 0 && c <= 0xff && mark_must_escape((unsigned char)c) ? c : -1;
}

static bool mark_path(const char *text, size_t len, char out[PATH_MAX])
{
	size_t n = 0;

	if (text == NULL)
		return false;
	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '\\') {
			c = mark_octal(text + i + 1, len - i - 1);
			i += 3;
		} else if (mark_must_escape((unsigned char)c)) {
			return false;
		}
		if (c < 0 || n == PATH_MAX - 1)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

static uint64_t mark_number(const uint8_t bytes[8])
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | bytes[i];
	return n;
}

static bool mark_body(struct mark_reader *r, struct cache_mark *m)
{
	const char *value;
	uint8_t store[8];
	size_t len = 0;

	value = mark_line(r, "uuid", &len);
	if (!mark_hex(value, len, m->uuid, sizeof(m->uuid)))
		return false;
	value = mark_line(r, "store", &len);
	if (!mark_hex(value, len, store, sizeof(store)))
		return false;
	m->store = mark_number(store);
	if (m->store == 0)
		return false;
	value = mark_line(r, "home", &len);
	if (!mark_path(value, len, m->home))
		return false;
	value = mark_line(r, "epoch", &len);
	return mark_decimal(value, len, &m->epoch);
}

int cache_mark_parse(const char *text, size_t len, struct cache_mark *m, char *err, size_t errlen)
{
	struct mark_reader r = { .at = text, .end = text + len };
	const char *value;
	uint64_t format;
	size_t n = 0;

	value = mark_line(&r, "hearth-cache", &n);
	if (!mark_decimal(value, n, &format)) {
		snprintf(err, errlen, "is no mark of a cache");
		return -EPROTO;
	}
	if (format != 1) {
		snprintf(err, errlen, "has format %llu, and this hearth knows format 1", (unsigned long long)format);
		return -EPROTO;
	}
	if (!mark_body(&r, m)) {
		snprintf(err, errlen, "is damaged in line %u", r.line);
		return -EPROTO;
	}
	if (r.at != r.end) {
		snprintf(err, errlen, "goes on after line %u", r.line);
		return -EPROTO;
	}
	return 0;
}

static size_t mark_print_path(const char *path, char *out)
{
	size_t n = 0;

	for (; *path != '\0'; path++) {
		unsigned char c = (unsigned char)*path;

		if (!mark_must_escape(c)) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = (char)('0' + (c >> 6));
		out[n++] = (char)('0' + (c >> 3 & 7));
		out[n++] = (char)('0' + (c & 7));
	}
	return n;
}

size_t cache_mark_print(const struct cache_mark *m, char buf[CACHE_MARK_MAX])
{
	size_t n;

	n = (size_t)snprintf(buf, CACHE_MARK_MAX, "hearth-cache 1\nuuid ");
	for (size_t i = 0; i < sizeof(m->uuid); i++)
		n += (size_t)snprintf(buf + n, CACHE_MARK_MAX - n, "%02x", m->uuid[i]);
	n += (size_t)snprintf(buf + n, CACHE_MARK_MAX - n, "\nstore %016llx\nhome ", (unsigned long long)m->store);
	n += mark_print_path(m->home, buf + n);
	n += (size_t)snprintf(buf + n, CACHE_MARK_MAX - n, "\nepoch %llu\n", (unsigned long long)m->epoch);
	return n;
}
