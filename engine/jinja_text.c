/* jinja_text.c - text under construction, and values as Python prints them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

/* ---- buffers ------------------------------------------------------------------------------------- */

static int make_room(struct jinja_run *r, struct jinja_buf *b, size_t len)
{
	size_t cap = b->cap < 64 ? 128 : b->cap * 2;
	char *s;

	if (len > b->max - b->len)
		return jinja_error_set(&r->err, -E2BIG, r->line, "more than %zu bytes of text", b->max);
	if (len <= b->cap - b->len)
		return 0;
	while (cap - b->len < len)
		cap *= 2;
	s = jinja_heap_alloc(r->heap, cap);
	if (s == NULL)
		return jinja_nomem(r);
	if (b->len != 0)
		memcpy(s, b->s, b->len);
	b->s = s;
	b->cap = cap;
	return 0;
}

int jinja_buf_add(struct jinja_run *r, struct jinja_buf *b, const char *s, size_t len)
{
	int rc = make_room(r, b, len);

	if (rc != 0 || len == 0)
		return rc;
	memcpy(b->s + b->len, s, len);
	b->len += len;
	return 0;
}

int jinja_buf_text(struct jinja_run *r, struct jinja_buf *b, const char *s)
{
	return jinja_buf_add(r, b, s, strlen(s));
}

struct jinja_value jinja_buf_value(const struct jinja_buf *b)
{
	return jinja_string(b->s, b->len);
}

/* ---- numbers ------------------------------------------------------------------------------------- */

/* digits[0..n) with the decimal point behind the first one, times 10^exponent, as repr() lays it out. */
static void lay_out(const char *digits, int n, int exponent, char *out)
{
	int i;

	if (exponent < -4 || exponent >= 16) {
		*out++ = digits[0];
		if (n > 1)
			out += sprintf(out, ".%.*s", n - 1, digits + 1);
		sprintf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
	} else if (exponent < 0) {
		out += sprintf(out, "0.");
		for (i = -1; i > exponent; i--)
			*out++ = '0';
		sprintf(out, "%.*s", n, digits);
	} else {
		for (i = 0; i <= exponent; i++)
			*out++ = i < n ? digits[i] : '0';
		sprintf(out, ".%.*s", n > exponent + 1 ? n - exponent - 1 : 1, n > exponent + 1 ? digits + exponent + 1 : "0");
	}
}

/* The fewest digits that read back as f. */
void jinja_float_text(double f, char out[32])
{
	char text[40], digits[20];
	int n = 0, precision;
	char *p;

	if (!isfinite(f)) {
		strcpy(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
		return;
	}
	for (precision = 0; precision < 17; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision, f);
		if (strtod(text, NULL) == f)
			break;
	}
	p = text;
	if (*p == '-')
		*out++ = *p++;
	for (; *p != 'e'; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	lay_out(digits, n, atoi(p + 1), out);
}

/* ---- strings as literals ------------------------------------------------------------------------- */

static bool printable(uint32_t cp)
{
	enum unicode_cat cat = unicode_cat(cp);

	return cp == ' ' || (cat != UNICODE_OTHER && cat != UNICODE_SEPARATOR);
}

/* One character as it stands in a literal quoted by quote. */
static int add_char(struct jinja_run *r, struct jinja_buf *b, const char *s, size_t n, uint32_t cp, char quote)
{
	static const char from[] = "\n\r\t\\", to[] = "nrt\\";
	const char *p = cp < 0x80 && cp != 0 ? strchr(from, (int)cp) : NULL;
	char text[16];

	if (p != NULL || cp == (unsigned char)quote) {
		text[0] = '\\';
		text[1] = p != NULL ? to[p - from] : quote;
		return jinja_buf_add(r, b, text, 2);
	}
	if (printable(cp))
		return jinja_buf_add(r, b, s, n);
	if (n == 1 && cp == UNICODE_REPLACEMENT)
		cp = (unsigned char)*s;
	snprintf(text, sizeof(text), cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
	return jinja_buf_text(r, b, text);
}

static int add_literal(struct jinja_run *r, struct jinja_buf *b, struct jinja_str s)
{
	char quote = s.len != 0 && memchr(s.s, '\'', s.len) != NULL && memchr(s.s, '"', s.len) == NULL ? '"' : '\'';
	uint32_t cp;
	size_t at, n;
	int rc = jinja_buf_add(r, b, &quote, 1);

	for (at = 0; rc == 0 && at < s.len; at += n) {
		n = unicode_decode(s.s + at, s.len - at, &cp);
		rc = add_char(r, b, s.s + at, n, cp, quote);
	}
	return rc != 0 ? rc : jinja_buf_add(r, b, &quote, 1);
}

/* ---- values -------------------------------------------------------------------------------------- */

static int add_list(struct jinja_run *r, struct jinja_buf *b, const struct jinja_value *v)
{
	const struct jinja_list *l = v->u.list;
	bool tuple = v->type == JINJA_TUPLE;
	size_t i;
	int rc = jinja_buf_text(r, b, tuple ? "(" : "[");

	for (i = 0; rc == 0 && i < l->n; i++) {
		if (i != 0)
			rc = jinja_buf_text(r, b, ", ");
		if (rc == 0)
			rc = jinja_buf_repr(r, b, &l->v[i]);
	}
	if (rc == 0 && tuple && l->n == 1)
		rc = jinja_buf_text(r, b, ",");
	return rc != 0 ? rc : jinja_buf_text(r, b, tuple ? ")" : "]");
}

static int add_dict(struct jinja_run *r, struct jinja_buf *b, const struct jinja_value *v)
{
	const struct jinja_dict *d = v->u.dict;
	bool space = v->type == JINJA_NAMESPACE;
	size_t i;
	int rc = jinja_buf_text(r, b, space ? "<Namespace {" : "{");

	for (i = 0; rc == 0 && i < d->n; i++) {
		if (i != 0)
			rc = jinja_buf_text(r, b, ", ");
		if (rc == 0)
			rc = jinja_buf_repr(r, b, &d->v[i].key);
		if (rc == 0)
			rc = jinja_buf_text(r, b, ": ");
		if (rc == 0)
			rc = jinja_buf_repr(r, b, &d->v[i].value);
	}
	return rc != 0 ? rc : jinja_buf_text(r, b, space ? "}>" : "}");
}

static int add_nested(struct jinja_run *r, struct jinja_buf *b, const struct jinja_value *v)
{
	int rc = jinja_enter(r);

	if (rc != 0)
		return rc;
	rc = jinja_is_seq(v) ? add_list(r, b, v) : add_dict(r, b, v);
	r->depth--;
	return rc;
}

int jinja_buf_repr(struct jinja_run *r, struct jinja_buf *b, const struct jinja_value *v)
{
	char text[64];
	int rc = jinja_step(r, 1);

	if (rc != 0)
		return rc;
	switch (v->type) {
	case JINJA_UNDEFINED:
		return jinja_buf_text(r, b, "Undefined");
	case JINJA_NONE:
		return jinja_buf_text(r, b, "None");
	case JINJA_BOOL:
		return jinja_buf_text(r, b, v->u.b ? "True" : "False");
	case JINJA_INT:
		snprintf(text, sizeof(text), "%lld", (long long)v->u.i);
		return jinja_buf_text(r, b, text);
	case JINJA_FLOAT:
		jinja_float_text(v->u.f, text);
		return jinja_buf_text(r, b, text);
	case JINJA_STRING:
		return add_literal(r, b, v->u.str);
	case JINJA_LIST:
	case JINJA_TUPLE:
	case JINJA_DICT:
	case JINJA_NAMESPACE:
		return add_nested(r, b, v);
	default:
		snprintf(text, sizeof(text), "<%s>", jinja_type_name(v));
		return jinja_buf_text(r, b, text);
	}
}

int jinja_buf_str(struct jinja_run *r, struct jinja_buf *b, const struct jinja_value *v)
{
	if (v->type == JINJA_STRING)
		return jinja_buf_add(r, b, v->u.str.s, v->u.str.len);
	if (v->type == JINJA_UNDEFINED)
		return 0;
	return jinja_buf_repr(r, b, v);
}

int jinja_str(struct jinja_run *r, const struct jinja_value *v, struct jinja_str *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	int rc = 0;

	if (v->type == JINJA_STRING) {
		*out = v->u.str;
		return 0;
	}
	rc = jinja_buf_str(r, &b, v);
	*out = (struct jinja_str){ b.len != 0 ? b.s : "", b.len };
	return rc;
}
