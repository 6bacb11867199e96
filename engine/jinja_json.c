/* jinja_json.c - the filter tojson: json.dumps as transformers calls it, with ensure_ascii off.
 *
 * Undefined values are refused, as there.  NaN and infinities are written NaN, Infinity and -Infinity.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

struct writer {
	struct jinja_run *run;
	struct jinja_buf buf;
	struct jinja_str item_sep, key_sep, indent;
	bool pretty, ascii, sort;
	unsigned depth;
};

static int write_value(struct writer *w, const struct jinja_value *v);

static int add(struct writer *w, struct jinja_str s)
{
	return jinja_buf_add(w->run, &w->buf, s.s, s.len);
}

/* ---- strings ------------------------------------------------------------------------------------- */

static int add_unit(struct writer *w, unsigned unit)
{
	char text[8];

	snprintf(text, sizeof(text), "\\u%04x", unit & 0xffffu);
	return jinja_buf_text(w->run, &w->buf, text);
}

static int add_char(struct writer *w, const char *s, size_t n, uint32_t cp)
{
	static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
	const char *p = cp < 0x80 && cp != 0 ? strchr(from, (int)cp) : NULL;
	char text[2] = { '\\', '\0' };
	int rc;

	if (p != NULL) {
		text[1] = to[p - from];
		return jinja_buf_add(w->run, &w->buf, text, 2);
	}
	if (cp >= 0x20 && (cp < 0x7f || !w->ascii))
		return jinja_buf_add(w->run, &w->buf, s, n);
	if (cp < 0x10000)
		return add_unit(w, cp);
	rc = add_unit(w, 0xd800 + ((cp - 0x10000) >> 10));
	return rc != 0 ? rc : add_unit(w, 0xdc00 + ((cp - 0x10000) & 0x3ff));
}

static int write_string(struct writer *w, struct jinja_str s)
{
	uint32_t cp;
	size_t at, n;
	int rc = jinja_buf_add(w->run, &w->buf, "\"", 1);

	for (at = 0; rc == 0 && at < s.len; at += n) {
		n = unicode_decode(s.s + at, s.len - at, &cp);
		rc = add_char(w, s.s + at, n, cp);
	}
	return rc != 0 ? rc : jinja_buf_add(w->run, &w->buf, "\"", 1);
}

/* ---- lists and dicts ----------------------------------------------------------------------------- */

/* What stands in front of an element, or with last in front of the closing bracket. */
static int begin_item(struct writer *w, bool first, bool last)
{
	unsigned i;
	int rc = first || last ? 0 : add(w, w->item_sep);

	if (rc != 0 || !w->pretty)
		return rc;
	rc = jinja_buf_add(w->run, &w->buf, "\n", 1);
	for (i = last ? 1 : 0; rc == 0 && i < w->depth; i++)
		rc = add(w, w->indent);
	return rc;
}

static int write_list(struct writer *w, const struct jinja_list *l)
{
	size_t i;
	int rc = jinja_buf_add(w->run, &w->buf, "[", 1);

	for (i = 0; rc == 0 && i < l->n; i++) {
		rc = begin_item(w, i == 0, false);
		if (rc == 0)
			rc = write_value(w, &l->v[i]);
	}
	if (rc == 0 && l->n != 0)
		rc = begin_item(w, false, true);
	return rc != 0 ? rc : jinja_buf_add(w->run, &w->buf, "]", 1);
}

/* Keys are written as strings: numbers and the like by their text. */
static int write_key(struct writer *w, const struct jinja_value *key)
{
	int rc;

	if (key->type == JINJA_STRING)
		return write_string(w, key->u.str);
	if (key->type == JINJA_TUPLE || key->type > JINJA_DICT)
		return jinja_fail(w->run, "tojson: a %s as a key", jinja_type_name(key));
	rc = jinja_buf_add(w->run, &w->buf, "\"", 1);
	if (rc == 0)
		rc = write_value(w, key);
	return rc != 0 ? rc : jinja_buf_add(w->run, &w->buf, "\"", 1);
}

/* The order of strings; of other keys as they came. */
static int compare_entries(const void *pa, const void *pb)
{
	const struct jinja_entry *a = pa, *b = pb;
	size_t n = a->key.u.str.len < b->key.u.str.len ? a->key.u.str.len : b->key.u.str.len;
	int c = n != 0 ? memcmp(a->key.u.str.s, b->key.u.str.s, n) : 0;

	return c != 0 ? c : (a->key.u.str.len > b->key.u.str.len) - (a->key.u.str.len < b->key.u.str.len);
}

static int sorted_entries(struct writer *w, const struct jinja_dict *d, struct jinja_entry **out)
{
	struct jinja_entry *v = jinja_heap_alloc(w->run->heap, (d->n + 1) * sizeof(*v));
	size_t i;

	if (v == NULL)
		return jinja_nomem(w->run);
	for (i = 0; i < d->n; i++) {
		if (d->v[i].key.type != JINJA_STRING)
			return jinja_fail(w->run, "tojson: sort_keys needs keys that are strings");
		v[i] = d->v[i];
	}
	qsort(v, d->n, sizeof(*v), compare_entries);
	*out = v;
	return jinja_step(w->run, d->n);
}

static int write_dict(struct writer *w, const struct jinja_dict *d)
{
	struct jinja_entry *v = d->v;
	size_t i, n = d->n;
	int rc = w->sort ? sorted_entries(w, d, &v) : 0;

	if (rc == 0)
		rc = jinja_buf_add(w->run, &w->buf, "{", 1);
	for (i = 0; rc == 0 && i < n; i++) {
		rc = begin_item(w, i == 0, false);
		if (rc == 0)
			rc = write_key(w, &v[i].key);
		if (rc == 0)
			rc = add(w, w->key_sep);
		if (rc == 0)
			rc = write_value(w, &v[i].value);
	}
	if (rc == 0 && n != 0)
		rc = begin_item(w, false, true);
	return rc != 0 ? rc : jinja_buf_add(w->run, &w->buf, "}", 1);
}

static int write_nested(struct writer *w, const struct jinja_value *v)
{
	int rc = jinja_enter(w->run);

	if (rc != 0)
		return rc;
	w->depth++;
	rc = v->type == JINJA_DICT ? write_dict(w, v->u.dict) : write_list(w, v->u.list);
	w->depth--;
	w->run->depth--;
	return rc;
}

static int write_value(struct writer *w, const struct jinja_value *v)
{
	int rc = jinja_step(w->run, 1);

	if (rc != 0)
		return rc;
	switch (v->type) {
	case JINJA_NONE:
		return jinja_buf_text(w->run, &w->buf, "null");
	case JINJA_BOOL:
		return jinja_buf_text(w->run, &w->buf, v->u.b ? "true" : "false");
	case JINJA_FLOAT:
		if (!isfinite(v->u.f))
			return jinja_buf_text(w->run, &w->buf, isnan(v->u.f) ? "NaN" : v->u.f < 0 ? "-Infinity" : "Infinity");
		return jinja_buf_str(w->run, &w->buf, v);
	case JINJA_INT:
		return jinja_buf_str(w->run, &w->buf, v);
	case JINJA_STRING:
		return write_string(w, v->u.str);
	case JINJA_LIST:
	case JINJA_TUPLE:
	case JINJA_DICT:
		return write_nested(w, v);
	default:
		return jinja_fail(w->run, "tojson: a value that is %s", jinja_type_name(v));
	}
}

/* ---- the filter ---------------------------------------------------------------------------------- */

static int set_indent(struct writer *w, const struct jinja_value *v)
{
	static const char spaces[] = "                                ";
	int64_t n;

	if (v->type == JINJA_ABSENT || v->type == JINJA_NONE)
		return 0;
	w->pretty = true;
	w->item_sep = (struct jinja_str){ ",", 1 };
	if (v->type == JINJA_STRING) {
		w->indent = v->u.str;
		return 0;
	}
	if (!jinja_as_int(v, &n) || n > (int64_t)sizeof(spaces) - 1)
		return jinja_fail(w->run, "tojson: expected an indent of at most %zu", sizeof(spaces) - 1);
	w->indent = (struct jinja_str){ spaces, n > 0 ? (size_t)n : 0 };
	return 0;
}

static int set_separators(struct writer *w, const struct jinja_value *v)
{
	if (v->type == JINJA_ABSENT || v->type == JINJA_NONE)
		return 0;
	if (!jinja_is_seq(v) || v->u.list->n != 2 || v->u.list->v[0].type != JINJA_STRING ||
	    v->u.list->v[1].type != JINJA_STRING)
		return jinja_fail(w->run, "tojson: expected two strings as separators");
	w->item_sep = v->u.list->v[0].u.str;
	w->key_sep = v->u.list->v[1].u.str;
	return 0;
}

/* value|tojson(ensure_ascii, indent, separators, sort_keys), in this order as in transformers */
int jinja_filter_tojson(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct writer w = { .run = r, .buf = { .max = JINJA_OUTPUT_MAX }, .item_sep = { ", ", 2 }, .key_sep = { ": ", 2 } };
	int rc;

	w.ascii = c->a[0].type != JINJA_ABSENT && jinja_truth(&c->a[0]);
	w.sort = c->a[3].type != JINJA_ABSENT && jinja_truth(&c->a[3]);
	rc = set_indent(&w, &c->a[1]);
	if (rc == 0)
		rc = set_separators(&w, &c->a[2]);
	if (rc == 0)
		rc = write_value(&w, &c->self);
	*out = jinja_buf_value(&w.buf);
	return rc;
}
