/* jinja_format.c - "%s" % x, the filter format, and str.format.
 *
 * Of %: flags, width, precision, names, and the conversions s r d i u f F e E g G x X o c %.  Of braces: {},
 * {0}, {name} with .attribute and [item], and !r; no format behind a colon.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/jinja_internal.h"

#define WIDTH_MAX 1000

struct spec {
	bool minus, plus, space, zero;
	int64_t width, precision;       /* precision -1: none */
	char conversion;
};

/* Up to three digits at *at; larger ones are refused by the caller. */
static int64_t number(struct jinja_str s, size_t *at)
{
	int64_t n = 0;

	for (; *at < s.len && s.s[*at] >= '0' && s.s[*at] <= '9'; ++*at)
		n = n > WIDTH_MAX ? n : n * 10 + (s.s[*at] - '0');
	return n;
}

static bool flag(struct spec *sp, char c)
{
	bool *which = c == '-' ? &sp->minus : c == '+' ? &sp->plus : c == ' ' ? &sp->space : c == '0' ? &sp->zero : NULL;

	if (which == NULL)
		return false;
	*which = true;
	return true;
}

/* text in a field of its width. */
static int add_padded(struct jinja_run *r, struct jinja_buf *b, const struct spec *sp, struct jinja_str text)
{
	int64_t pad = sp->width - (int64_t)jinja_chars(text);
	int rc = 0;

	if (sp->minus)
		rc = jinja_buf_add(r, b, text.s, text.len);
	for (; rc == 0 && pad > 0; pad--)
		rc = jinja_buf_add(r, b, " ", 1);
	return rc != 0 || sp->minus ? rc : jinja_buf_add(r, b, text.s, text.len);
}

/* The digits of a number without its sign, in text. */
static int digits_of(struct jinja_run *r, const struct spec *sp, const struct jinja_value *v, char *text, size_t size,
		     bool *negative)
{
	int precision = sp->precision >= 0 ? (int)sp->precision : 6;
	unsigned long long u;
	double f = 0;
	int64_t i = 0;

	if (!jinja_as_float(v, &f) || (v->type == JINJA_FLOAT && strchr("xXo", sp->conversion) != NULL))
		return jinja_fail(r, "%%%c of a %s", sp->conversion, jinja_type_name(v));
	*negative = signbit(f) != 0;
	if (strchr("fFeEgG", sp->conversion) != NULL) {
		snprintf(text, size, (sp->conversion | 0x20) == 'f' ? "%.*f" : sp->conversion == 'e' ? "%.*e" :
			 sp->conversion == 'E' ? "%.*E" : sp->conversion == 'g' ? "%.*g" : "%.*G", precision, fabs(f));
		return 0;
	}
	if (!jinja_as_int(v, &i) && !(f > -9e18 && f < 9e18))
		return jinja_fail(r, "%%%c of a number past 64 bits", sp->conversion);
	i = v->type == JINJA_FLOAT ? (int64_t)f : i;
	*negative = i < 0;
	u = i < 0 ? -(unsigned long long)i : (unsigned long long)i;
	snprintf(text, size, sp->conversion == 'x' ? "%llx" : sp->conversion == 'X' ? "%llX" : sp->conversion == 'o' ?
		 "%llo" : "%llu", u);
	return 0;
}

static int add_number(struct jinja_run *r, struct jinja_buf *b, const struct spec *sp, const struct jinja_value *v)
{
	char text[WIDTH_MAX + 400];
	bool negative = false;
	const char *sign;
	int64_t pad;
	int rc = digits_of(r, sp, v, text, sizeof(text), &negative);

	if (rc != 0)
		return rc;
	sign = negative ? "-" : sp->plus ? "+" : sp->space ? " " : "";
	pad = sp->width - (int64_t)(strlen(text) + strlen(sign));
	for (; rc == 0 && !sp->minus && !sp->zero && pad > 0; pad--)
		rc = jinja_buf_add(r, b, " ", 1);
	if (rc == 0)
		rc = jinja_buf_text(r, b, sign);
	for (; rc == 0 && !sp->minus && pad > 0; pad--)
		rc = jinja_buf_add(r, b, "0", 1);
	if (rc == 0)
		rc = jinja_buf_text(r, b, text);
	for (; rc == 0 && pad > 0; pad--)
		rc = jinja_buf_add(r, b, " ", 1);
	return rc;
}

static int add_text(struct jinja_run *r, struct jinja_buf *b, const struct spec *sp, const struct jinja_value *v)
{
	struct jinja_buf whole = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str text;
	int rc = sp->conversion == 'r' ? jinja_buf_repr(r, &whole, v) : jinja_buf_str(r, &whole, v);

	if (rc != 0)
		return rc;
	text = jinja_buf_value(&whole).u.str;
	if (sp->precision >= 0)
		text.len = jinja_char_off(text, (size_t)sp->precision);
	return add_padded(r, b, sp, text);
}

/* The conversion behind '%' at *at, with the value that it takes from args. */
static int convert(struct jinja_run *r, struct jinja_buf *b, struct jinja_str fmt, size_t *at,
		   const struct jinja_args *args, size_t *used)
{
	struct spec sp = { .precision = -1 };
	const struct jinja_value *v = NULL;
	const struct jinja_entry *e;
	const char *end;

	if (*at < fmt.len && fmt.s[*at] == '(') {
		end = memchr(fmt.s + *at, ')', fmt.len - *at);
		if (end == NULL)
			return jinja_fail(r, "format: a name without its end ')'");
		e = jinja_dict_get(r->heap, &args->named, (struct jinja_str){ fmt.s + *at + 1, (size_t)(end - fmt.s) - *at - 1 });
		if (e == NULL)
			return jinja_fail(r, "format: a name that is not given");
		v = &e->value;
		*at = (size_t)(end - fmt.s) + 1;
	}
	while (*at < fmt.len && flag(&sp, fmt.s[*at]))
		++*at;
	sp.width = number(fmt, at);
	if (*at < fmt.len && fmt.s[*at] == '.') {
		++*at;
		sp.precision = number(fmt, at);
	}
	if (sp.width > WIDTH_MAX || sp.precision > WIDTH_MAX)
		return jinja_fail(r, "format: a width over %d", WIDTH_MAX);
	sp.conversion = *at < fmt.len ? fmt.s[(*at)++] : '\0';
	if (sp.conversion == '%')
		return jinja_buf_add(r, b, "%", 1);
	if (v == NULL && *used >= args->pos.n)
		return jinja_fail(r, "format: more conversions than values");
	v = v != NULL ? v : &args->pos.v[(*used)++];
	if (sp.conversion == 's' || sp.conversion == 'r' || (sp.conversion == 'c' && v->type == JINJA_STRING))
		return add_text(r, b, &sp, v);
	if (sp.conversion == '\0' || strchr("diufFeEgGxXo", sp.conversion) == NULL)
		return jinja_fail(r, "format: no such conversion");
	sp.conversion = sp.conversion == 'i' || sp.conversion == 'u' ? 'd' : sp.conversion;
	return add_number(r, b, &sp, v);
}

int jinja_format(struct jinja_run *r, struct jinja_str fmt, const struct jinja_args *args, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	size_t at = 0, used = 0, n;
	const char *p;
	int rc = 0;

	while (rc == 0 && at < fmt.len) {
		p = memchr(fmt.s + at, '%', fmt.len - at);
		n = p != NULL ? (size_t)(p - fmt.s) - at : fmt.len - at;
		rc = jinja_buf_add(r, &b, fmt.s + at, n);
		at += n;
		if (rc == 0 && p != NULL) {
			at++;
			rc = convert(r, &b, fmt, &at, args, &used);
		}
		if (rc == 0)
			rc = jinja_step(r, 1);
	}
	if (rc == 0 && used < args->pos.n && args->named.n == 0)
		rc = jinja_fail(r, "format: more values than conversions");
	*out = jinja_buf_value(&b);
	return rc;
}

/* ---- braces -------------------------------------------------------------------------------------- */

/* The value that the first name or number of field stands for; *n is its length. */
static int field_value(struct jinja_run *r, struct jinja_str field, const struct jinja_args *args, size_t *used,
		       size_t *n, struct jinja_value *out)
{
	const struct jinja_entry *e;
	size_t at = 0, i;

	for (*n = 0; *n < field.len && field.s[*n] != '.' && field.s[*n] != '['; ++*n)
		;
	i = *n == 0 ? (*used)++ : (size_t)number((struct jinja_str){ field.s, *n }, &at);
	if (*n == 0 || at == *n) {
		if (i >= args->pos.n)
			return jinja_fail(r, "format: more fields than values");
		*out = args->pos.v[i];
		return 0;
	}
	e = jinja_dict_get(r->heap, &args->named, (struct jinja_str){ field.s, *n });
	if (e == NULL)
		return jinja_fail(r, "format: a name that is not given");
	*out = e->value;
	return 0;
}

/* What field names: a value, and its attributes and items. */
static int field_path(struct jinja_run *r, struct jinja_str field, const struct jinja_args *args, size_t *used,
		      struct jinja_value *out)
{
	struct jinja_value key;
	size_t n = 0, m, digits;
	int rc = field_value(r, field, args, used, &n, out);

	while (rc == 0 && n < field.len) {
		bool item = field.s[n++] == '[';

		for (m = n; m < field.len && field.s[m] != (item ? ']' : '.') && (item || field.s[m] != '['); m++)
			;
		digits = 0;
		key = jinja_string(field.s + n, m - n);
		if (item && m > n) {
			int64_t i = number(key.u.str, &digits);

			key = digits == m - n ? jinja_int(i) : key;
		}
		rc = item ? jinja_item(r, out, &key, out) : jinja_attr(r, out, key.u.str, out);
		n = m + (item && m < field.len);
	}
	return rc;
}

static int add_field(struct jinja_run *r, struct jinja_buf *b, struct jinja_str field, const struct jinja_args *args,
		     size_t *used)
{
	struct jinja_value v;
	bool literal = field.len >= 2 && field.s[field.len - 2] == '!' && field.s[field.len - 1] == 'r';
	int rc;

	if (memchr(field.s, ':', field.len) != NULL)
		return jinja_fail(r, "format: a field with ':' is not known here");
	if (literal || (field.len >= 2 && field.s[field.len - 2] == '!'))
		field.len -= 2;
	rc = field_path(r, field, args, used, &v);
	if (rc != 0)
		return rc;
	return literal ? jinja_buf_repr(r, b, &v) : jinja_buf_str(r, b, &v);
}

int jinja_format_braces(struct jinja_run *r, struct jinja_str fmt, const struct jinja_args *args,
			struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	size_t at, used = 0;
	const char *end;
	int rc = 0;

	for (at = 0; rc == 0 && at < fmt.len; at++) {
		bool brace = fmt.s[at] == '{' || fmt.s[at] == '}';

		if (!brace || (at + 1 < fmt.len && fmt.s[at + 1] == fmt.s[at])) {
			rc = jinja_buf_add(r, &b, fmt.s + at, 1);
			at += brace;
			continue;
		}
		end = fmt.s[at] == '{' ? memchr(fmt.s + at, '}', fmt.len - at) : NULL;
		if (end == NULL)
			return jinja_fail(r, "format: a single brace");
		rc = add_field(r, &b, (struct jinja_str){ fmt.s + at + 1, (size_t)(end - fmt.s) - at - 1 }, args, &used);
		at = (size_t)(end - fmt.s);
		if (rc == 0)
			rc = jinja_step(r, 1);
	}
	*out = jinja_buf_value(&b);
	return rc;
}
