/* jinja_filters.c - the filters of strings and numbers, and of whatever there is. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

static bool given(const struct jinja_value *v)
{
	return v->type != JINJA_ABSENT;
}

static bool is_true(const struct jinja_value *v)
{
	return given(v) && jinja_truth(v);
}

/* Call a method of strings on what is filtered, as text. */
static int as_method(struct jinja_run *r, const struct jinja_call *c, const char *name, struct jinja_value *out)
{
	const struct jinja_builtin *b = jinja_find_in(jinja_methods_str, (struct jinja_str){ name, strlen(name) });
	struct jinja_call call = *c;
	struct jinja_str s;
	int rc = jinja_str(r, &c->self, &s);

	call.self = jinja_string(s.s, s.len);
	return rc != 0 ? rc : b->fn(r, &call, out);
}

/* ---- text ---------------------------------------------------------------------------------------- */

static int f_upper(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return as_method(r, c, "upper", out);
}

static int f_lower(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return as_method(r, c, "lower", out);
}

static int f_capitalize(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return as_method(r, c, "capitalize", out);
}

static int f_trim(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return as_method(r, c, "strip", out);
}

/* Unlike the method, it takes whatever has a text. */
static int f_replace(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_call call = *c;
	struct jinja_str s;
	int i, rc = 0;

	for (i = 0; rc == 0 && i < 2; i++) {
		rc = jinja_str(r, &c->a[i], &s);
		if (rc == 0)
			call.a[i] = jinja_string(s.s, s.len);
	}
	return rc != 0 ? rc : as_method(r, &call, "replace", out);
}

/* Words begin behind space and -({[<, as in Jinja's filter; the method of strings has another rule. */
static int f_title(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str s;
	bool begins = true;
	uint32_t cp, now;
	size_t at, n;
	char text[4];
	int rc = jinja_str(r, &c->self, &s);

	for (at = 0; rc == 0 && at < s.len; at += n) {
		n = unicode_decode(s.s + at, s.len - at, &cp);
		now = begins ? jinja_upper(cp) : jinja_lower(cp);
		rc = now == cp ? jinja_buf_add(r, &b, s.s + at, n) : jinja_buf_add(r, &b, text, unicode_encode(now, text));
		begins = unicode_is_space(cp) || (cp < 0x80 && cp != 0 && strchr("-({[<", (int)cp) != NULL);
	}
	*out = jinja_buf_value(&b);
	return rc != 0 ? rc : jinja_step(r, s.len / 16);
}

static int f_string(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s;
	int rc = jinja_str(r, &c->self, &s);

	if (rc == 0)
		*out = jinja_string(s.s, s.len);
	return rc;
}

static int f_safe(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	*out = c->self;
	return jinja_step(r, 1);
}

static int f_escape(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	static const char from[] = "&<>\"'";
	static const char *const to[] = { "&amp;", "&lt;", "&gt;", "&#34;", "&#39;" };
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str s;
	const char *p;
	size_t i;
	int rc = jinja_str(r, &c->self, &s);

	for (i = 0; rc == 0 && i < s.len; i++) {
		p = s.s[i] != '\0' ? strchr(from, s.s[i]) : NULL;
		rc = p != NULL ? jinja_buf_text(r, &b, to[p - from]) : jinja_buf_add(r, &b, s.s + i, 1);
	}
	*out = jinja_buf_value(&b);
	return rc != 0 ? rc : jinja_step(r, s.len / 16);
}

static int f_urlencode(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/";
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str s;
	char text[4];
	size_t i;
	int rc = jinja_str(r, &c->self, &s);

	for (i = 0; rc == 0 && i < s.len; i++) {
		snprintf(text, sizeof(text), "%%%02X", (unsigned char)s.s[i]);
		rc = memchr(plain, s.s[i], sizeof(plain) - 1) != NULL ? jinja_buf_add(r, &b, s.s + i, 1) :
		     jinja_buf_text(r, &b, text);
	}
	*out = jinja_buf_value(&b);
	return rc != 0 ? rc : jinja_step(r, s.len / 16);
}

static int f_format(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s;
	int rc = jinja_str(r, &c->self, &s);

	return rc != 0 ? rc : jinja_format(r, s, c->args, out);
}

static int f_wordcount(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s;
	bool inside = false, word;
	int64_t n = 0;
	uint32_t cp;
	size_t at;
	int rc = jinja_str(r, &c->self, &s);

	for (at = 0; rc == 0 && at < s.len; inside = word) {
		at += unicode_decode(s.s + at, s.len - at, &cp);
		word = cp == '_' || unicode_cat(cp) == UNICODE_LETTER || unicode_cat(cp) == UNICODE_NUMBER;
		n += word && !inside;
	}
	*out = jinja_int(n);
	return rc != 0 ? rc : jinja_step(r, s.len / 16);
}

/* ---- layout -------------------------------------------------------------------------------------- */

/* The indentation itself: a string, or a number of spaces. */
static int indentation(struct jinja_run *r, const struct jinja_value *v, struct jinja_str *out)
{
	struct jinja_value n = given(v) ? *v : jinja_int(4), space = jinja_text(" "), text;
	int64_t i;
	int rc;

	if (n.type == JINJA_STRING) {
		*out = n.u.str;
		return 0;
	}
	if (!jinja_as_int(&n, &i))
		return jinja_fail(r, "indent: the width is a %s", jinja_type_name(&n));
	rc = jinja_binary(r, JINJA_OP_MUL, &space, &n, &text);
	if (rc == 0)
		*out = text.u.str;
	return rc;
}

/* Every line but the first (which has its own argument) is indented, and empty ones only with blank. */
static int f_indent(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str s, by = { "", 0 };
	bool blank = is_true(&c->a[2]), begins = is_true(&c->a[1]);
	size_t n;
	int rc = jinja_str(r, &c->self, &s);

	if (rc == 0)
		rc = indentation(r, &c->a[0], &by);
	if (rc == 0 && begins && s.len == 0)
		rc = jinja_buf_add(r, &b, by.s, by.len);
	for (; rc == 0 && s.len != 0; s = (struct jinja_str){ s.s + n, s.len - n }) {
		for (n = 0; n < s.len && s.s[n] != '\n'; n++)
			;
		if (begins && (n != 0 || blank || s.s == c->self.u.str.s))
			rc = jinja_buf_add(r, &b, by.s, by.len);
		n += n < s.len;
		if (rc == 0)
			rc = jinja_buf_add(r, &b, s.s, n);
		if (rc == 0)
			rc = jinja_step(r, 1);
		begins = true;
		if (rc == 0 && blank && n == s.len && s.s[n - 1] == '\n')       /* the line behind the last newline */
			rc = jinja_buf_add(r, &b, by.s, by.len);
	}
	*out = jinja_buf_value(&b);
	return rc;
}

static int f_center(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str s;
	int64_t width = 80, pad, left, i;
	int rc = jinja_str(r, &c->self, &s);

	if (rc == 0 && given(&c->a[0]) && !jinja_as_int(&c->a[0], &width))
		rc = jinja_fail(r, "center: the width is a %s", jinja_type_name(&c->a[0]));
	if (rc != 0)
		return rc;
	pad = width - (int64_t)jinja_chars(s);
	left = pad > 0 ? pad / 2 + (pad & width & 1) : 0;
	for (i = 0; rc == 0 && i < left; i++)
		rc = jinja_buf_add(r, &b, " ", 1);
	if (rc == 0)
		rc = jinja_buf_add(r, &b, s.s, s.len);
	for (i = left; rc == 0 && i < pad; i++)
		rc = jinja_buf_add(r, &b, " ", 1);
	*out = jinja_buf_value(&b);
	return rc;
}

/* At most length characters, the end mark included, unless the text is at most leeway longer than that. */
static int f_truncate(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value dots = given(&c->a[2]) ? c->a[2] : jinja_text("..."), cut;
	struct jinja_str s, end;
	int64_t length = 255, leeway = 5;
	size_t n;
	int rc = jinja_str(r, &c->self, &s);

	if (rc == 0)
		rc = jinja_str(r, &dots, &end);
	if (rc != 0)
		return rc;
	if ((given(&c->a[0]) && !jinja_as_int(&c->a[0], &length)) ||
	    (given(&c->a[3]) && c->a[3].type != JINJA_NONE && !jinja_as_int(&c->a[3], &leeway)))
		return jinja_fail(r, "truncate: a length that is no integer");
	if (length < (int64_t)jinja_chars(end) || leeway < 0)
		return jinja_fail(r, "truncate: expected a length of at least %zu", jinja_chars(end));
	*out = jinja_string(s.s, s.len);
	if ((int64_t)jinja_chars(s) <= (length > INT64_MAX - leeway ? INT64_MAX : length + leeway))
		return jinja_step(r, s.len / 16);
	n = jinja_char_off(s, (size_t)(length - (int64_t)jinja_chars(end)));
	if (!is_true(&c->a[1])) {
		const char *space = memrchr(s.s, ' ', n);

		n = space != NULL ? (size_t)(space - s.s) : n;
	}
	cut = jinja_string(s.s, n);
	return jinja_binary(r, JINJA_OP_CONCAT, &cut, &dots, out);
}

/* ---- numbers ------------------------------------------------------------------------------------- */

/* A string without space around it and without single '_', as a C string in out; false when too long. */
static bool number_text(struct jinja_str s, char *out, size_t size)
{
	size_t i, n = 0;

	s = jinja_strip(s, NULL, true, true);
	for (i = 0; i < s.len; i++) {
		if (s.s[i] == '\0' || n + 1 >= size)
			return false;
		if (s.s[i] != '_')
			out[n++] = s.s[i];
	}
	out[n] = '\0';
	return n != 0;
}

static bool parse_float(struct jinja_str s, double *f)
{
	char text[512], *end;

	if (!number_text(s, text, sizeof(text)) || strpbrk(text, "xXpP(") != NULL)
		return false;
	*f = strtod(text, &end);
	return *end == '\0';
}

static bool parse_int(struct jinja_str s, int base, int64_t *i)
{
	char text[512], *end, *p = text;

	if (!number_text(s, text, sizeof(text)))
		return false;
	if (base != 16 && strpbrk(text, "xX") != NULL)
		return false;
	p += (*p == '-' || *p == '+') && base != 10 ? 1 : 0;
	if (*p == '0' && (p[1] | 0x20) == (base == 2 ? 'b' : base == 8 ? 'o' : 'x') && base != 10)
		memmove(p, p + 2, strlen(p + 2) + 1);
	errno = 0;
	*i = strtoll(text, &end, base);
	return *end == '\0' && end != text && errno == 0;
}

static int f_int(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	int64_t i, base = 10;
	double f;

	*out = given(&c->a[0]) ? c->a[0] : jinja_int(0);
	if (given(&c->a[1]) && (!jinja_as_int(&c->a[1], &base) || (base != 2 && base != 8 && base != 10 && base != 16)))
		return jinja_fail(r, "int: expected a base of 2, 8, 10 or 16");
	if (c->self.type == JINJA_UNDEFINED)
		return jinja_fail(r, "int: an undefined value");
	if (jinja_as_int(&c->self, &i) || (c->self.type == JINJA_STRING && parse_int(c->self.u.str, (int)base, &i))) {
		*out = jinja_int(i);
		return 0;
	}
	if (!jinja_as_float(&c->self, &f) && (c->self.type != JINJA_STRING || !parse_float(c->self.u.str, &f)))
		return 0;
	if (f > -9.2e18 && f < 9.2e18)
		*out = jinja_int((int64_t)f);
	else if (isfinite(f))
		return jinja_fail(r, "int: an integer past 64 bits");
	return 0;
}

static int f_float(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	double f;

	if (c->self.type == JINJA_UNDEFINED)
		return jinja_fail(r, "float: an undefined value");
	if (jinja_as_float(&c->self, &f) || (c->self.type == JINJA_STRING && parse_float(c->self.u.str, &f)))
		*out = jinja_float(f);
	else
		*out = given(&c->a[0]) ? c->a[0] : jinja_float(0);
	return 0;
}

static int f_abs(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	int64_t i;

	if (jinja_as_int(&c->self, &i)) {
		*out = jinja_int(i);
		return i < 0 ? jinja_negate(r, out, out) : 0;
	}
	if (c->self.type != JINJA_FLOAT)
		return jinja_fail(r, "abs of a %s", jinja_type_name(&c->self));
	*out = jinja_float(fabs(c->self.u.f));
	return 0;
}

/* To precision digits behind the point; 'common' takes the nearest, even when two are. */
static int f_round(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str method = { "common", 6 };
	int64_t precision = 0, i;
	char text[400];
	double f, scale;

	if (given(&c->a[0]) && (!jinja_as_int(&c->a[0], &precision) || precision < 0 || precision > 15))
		return jinja_fail(r, "round: expected a precision of 0 to 15");
	if (c->a[1].type == JINJA_STRING)
		method = c->a[1].u.str;
	if (!jinja_as_float(&c->self, &f))
		return jinja_fail(r, "round of a %s", jinja_type_name(&c->self));
	if (jinja_str_is(method, "common")) {
		snprintf(text, sizeof(text), "%.*f", (int)precision, f);
		*out = jinja_as_int(&c->self, &i) ? jinja_int(i) : jinja_float(strtod(text, NULL));
		return 0;
	}
	scale = pow(10, (double)precision);
	if (jinja_str_is(method, "ceil"))
		*out = jinja_float(ceil(f * scale) / scale);
	else if (jinja_str_is(method, "floor"))
		*out = jinja_float(floor(f * scale) / scale);
	else
		return jinja_fail(r, "round: expected 'common', 'ceil' or 'floor'");
	return 0;
}

/* ---- anything ------------------------------------------------------------------------------------ */

static int f_default(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	bool use = c->self.type == JINJA_UNDEFINED || (is_true(&c->a[1]) && !jinja_truth(&c->self));

	*out = !use ? c->self : given(&c->a[0]) ? c->a[0] : jinja_text("");
	return jinja_step(r, 1);
}

/* The attribute and nothing else: no key of a dict. */
static int f_attr(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str name;
	int rc = jinja_str(r, &c->a[0], &name);

	if (rc != 0)
		return rc;
	if (c->self.type == JINJA_DICT && jinja_method_find(&c->self, name) == NULL) {
		*out = jinja_undefined("an attribute that is not there");
		return 0;
	}
	return jinja_attr(r, &c->self, name, out);
}

const struct jinja_builtin jinja_filters_text[] = {
	{ "upper", f_upper, "", 0 }, { "lower", f_lower, "", 0 }, { "capitalize", f_capitalize, "", 0 },
	{ "title", f_title, "", 0 }, { "trim", f_trim, "chars", 0 }, { "replace", f_replace, "old new count", 2 },
	{ "string", f_string, "", 0 }, { "safe", f_safe, "", 0 }, { "escape", f_escape, "", 0 },
	{ "e", f_escape, "", 0 }, { "forceescape", f_escape, "", 0 }, { "urlencode", f_urlencode, "", 0 },
	{ "format", f_format, "*", 0 }, { "wordcount", f_wordcount, "", 0 },
	{ "indent", f_indent, "width first blank", 0 }, { "center", f_center, "width", 0 },
	{ "truncate", f_truncate, "length killwords end leeway", 0 }, { "int", f_int, "default base", 0 },
	{ "float", f_float, "default", 0 }, { "abs", f_abs, "", 0 }, { "round", f_round, "precision method", 0 },
	{ "default", f_default, "default_value boolean", 0 }, { "d", f_default, "default_value boolean", 0 },
	{ "attr", f_attr, "name", 1 },
	{ "tojson", jinja_filter_tojson, "ensure_ascii indent separators sort_keys", 0 }, { NULL, NULL, NULL, 0 }
};
