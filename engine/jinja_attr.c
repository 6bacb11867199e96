/* jinja_attr.c - attributes, items and slices. */
#include <errno.h>
#include <stdlib.h>

#include "engine/jinja_internal.h"

static int fail_undefined(struct jinja_run *r, const struct jinja_value *v)
{
	return jinja_fail(r, "'%.*s' is undefined", v->u.str.len < 100 ? (int)v->u.str.len : 100, v->u.str.s);
}

static struct jinja_value missing(struct jinja_str name)
{
	struct jinja_value v = jinja_string(name.s, name.len);

	v.type = JINJA_UNDEFINED;
	return v;
}

/* v is handed to the template: note it when it is watched. */
static void note(struct jinja_run *r, const struct jinja_value *v)
{
	if (v->watch)
		r->render->watched |= JINJA_WATCH_USED;
}

/* ---- loop ---------------------------------------------------------------------------------------- */

static int loop_attr(struct jinja_loop *l, struct jinja_str name, struct jinja_value *out)
{
	const int64_t i = (int64_t)l->i, n = (int64_t)l->items->n;
	const struct { const char *name; struct jinja_value v; } fields[] = {
		{ "index", jinja_int(i + 1) }, { "index0", jinja_int(i) }, { "revindex", jinja_int(n - i) },
		{ "revindex0", jinja_int(n - i - 1) }, { "first", jinja_bool(i == 0) },
		{ "last", jinja_bool(i == n - 1) }, { "length", jinja_int(n) }, { "depth", jinja_int(l->depth + 1) },
		{ "depth0", jinja_int(l->depth) },
		{ "previtem", i > 0 ? l->items->v[i - 1] : jinja_undefined("there is no previous item") },
		{ "nextitem", i + 1 < n ? l->items->v[i + 1] : jinja_undefined("there is no next item") }
	};
	size_t k;

	for (k = 0; k < sizeof(fields) / sizeof(fields[0]); k++)
		if (jinja_str_is(name, fields[k].name)) {
			*out = fields[k].v;
			return 0;
		}
	*out = missing(name);
	return 0;
}

/* ---- attributes ---------------------------------------------------------------------------------- */

static int bind_method(struct jinja_run *r, const struct jinja_value *v, const struct jinja_builtin *b,
		       struct jinja_value *out)
{
	struct jinja_method *m = jinja_heap_alloc(r->heap, sizeof(*m));

	if (m == NULL)
		return jinja_nomem(r);
	m->self = *v;
	m->builtin = b;
	*out = (struct jinja_value){ .type = JINJA_METHOD, .u.method = m };
	return 0;
}

static int dict_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key,
		     struct jinja_value *out, bool *found)
{
	const struct jinja_entry *e;
	int rc = jinja_hashable(r, key);

	*found = false;
	if (rc != 0)
		return rc;
	e = jinja_dict_find(r->heap, v->u.dict, key);
	if (e == NULL)
		return 0;
	note(r, &e->value);
	*out = e->value;
	*found = true;
	return 0;
}

/* A method first, then a key: what Jinja does for "v.name". */
int jinja_attr(struct jinja_run *r, const struct jinja_value *v, struct jinja_str name, struct jinja_value *out)
{
	const struct jinja_builtin *b;
	struct jinja_value key = jinja_string(name.s, name.len);
	bool found;
	int rc;

	if (v->type == JINJA_UNDEFINED)
		return fail_undefined(r, v);
	b = jinja_method_find(v, name);
	if (b != NULL)
		return bind_method(r, v, b, out);
	if (v->type == JINJA_LOOP)
		return loop_attr(v->u.loop, name, out);
	if (v->type == JINJA_DICT || v->type == JINJA_NAMESPACE) {
		rc = dict_item(r, v, &key, out, &found);
		if (rc != 0 || found)
			return rc;
	}
	*out = missing(name);
	return 0;
}

/* ---- items --------------------------------------------------------------------------------------- */

static int list_item(struct jinja_run *r, const struct jinja_value *v, int64_t i, struct jinja_value *out)
{
	const struct jinja_list *l = v->u.list;

	i += i < 0 ? (int64_t)l->n : 0;
	*out = i >= 0 && (uint64_t)i < l->n ? l->v[i] : jinja_undefined("an element past the end");
	note(r, out);
	return 0;
}

static int string_item(struct jinja_run *r, struct jinja_str s, int64_t i, struct jinja_value *out)
{
	size_t at, end;

	if (i < 0)
		i += (int64_t)jinja_chars(s);
	at = i >= 0 && (uint64_t)i < s.len ? jinja_char_off(s, (size_t)i) : s.len;
	end = at + jinja_char_off((struct jinja_str){ s.s + at, s.len - at }, 1);
	*out = at < s.len ? jinja_string(s.s + at, end - at) : jinja_undefined("a character past the end");
	return jinja_step(r, s.len / 16);
}

int jinja_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key,
	       struct jinja_value *out)
{
	int64_t i;
	bool found;
	int rc;

	if (v->watch && jinja_as_int(key, &i))
		r->render->watched |= JINJA_WATCH_ITEMS;
	if (v->type == JINJA_UNDEFINED)
		return fail_undefined(r, v);
	if (v->type == JINJA_DICT && key->type != JINJA_LIST && key->type != JINJA_DICT) {
		rc = dict_item(r, v, key, out, &found);
		if (rc != 0 || found)
			return rc;
	} else if (jinja_is_seq(v) && jinja_as_int(key, &i)) {
		return list_item(r, v, i, out);
	} else if (v->type == JINJA_STRING && jinja_as_int(key, &i)) {
		return string_item(r, v->u.str, i, out);
	}
	if (key->type == JINJA_STRING)
		return jinja_attr(r, v, key->u.str, out);
	*out = jinja_undefined("an element that is not there");
	return 0;
}

/* "a.0.b", as attributes of filters name a place inside v; a number is an index. */
int jinja_path(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *path,
	       struct jinja_value *out)
{
	struct jinja_str rest;
	struct jinja_value key;
	size_t n, k;
	int rc = 0;

	if (path->type != JINJA_STRING)
		return jinja_item(r, v, path, out);
	*out = *v;
	for (rest = path->u.str; rc == 0; rest = (struct jinja_str){ rest.s + n + 1, rest.len - n - 1 }) {
		for (n = 0; n < rest.len && rest.s[n] != '.'; n++)
			;
		for (k = 0; k < n && rest.s[k] >= '0' && rest.s[k] <= '9'; k++)
			;
		key = k == n && n != 0 && n < 18 ? jinja_int(atoll(rest.s)) : jinja_string(rest.s, n);
		rc = jinja_item(r, out, &key, out);
		if (n == rest.len)
			break;
	}
	return rc;
}

/* ---- slices -------------------------------------------------------------------------------------- */

/* Python's slice.indices(): where a slice of n elements starts and stops. */
static void limits(int64_t n, int64_t step, const struct jinja_value part[3], int64_t *start, int64_t *stop)
{
	int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
	int64_t v[2] = { step < 0 ? high : low, step < 0 ? low : high };
	int i;

	for (i = 0; i < 2; i++) {
		if (!jinja_as_int(&part[i], &v[i]))
			continue;
		v[i] += v[i] < 0 ? n : 0;
		v[i] = v[i] < low ? low : v[i] > high ? high : v[i];
	}
	*start = v[0];
	*stop = v[1];
}

static int slice_list(struct jinja_run *r, const struct jinja_value *v, int64_t start, int64_t stop, int64_t step,
		      struct jinja_value *out)
{
	const struct jinja_list *l = v->u.list;
	int64_t i, next;
	int rc = jinja_check(r, jinja_list_new(r->heap, v->type, out));

	for (i = start; rc == 0 && (step > 0 ? i < stop : i > stop); i = next) {
		rc = jinja_check(r, jinja_list_add(r->heap, out->u.list, l->v[i]));
		if (__builtin_add_overflow(i, step, &next))
			break;
	}
	return rc != 0 ? rc : jinja_step(r, out->u.list->n);
}

static int slice_string(struct jinja_run *r, struct jinja_str s, int64_t start, int64_t stop, int64_t step,
			struct jinja_value *out)
{
	struct jinja_list *chars;
	struct jinja_value list, part;
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_value v = jinja_string(s.s, s.len);
	size_t at, end, i;
	int rc;

	if (step == 1) {        /* shares the bytes */
		at = jinja_char_off(s, (size_t)start);
		end = stop > start ? at + jinja_char_off((struct jinja_str){ s.s + at, s.len - at }, (size_t)(stop - start)) : at;
		*out = jinja_string(s.s + at, end - at);
		return jinja_step(r, s.len / 16);
	}
	rc = jinja_elements(r, &v, &chars);
	if (rc != 0)
		return rc;
	list = (struct jinja_value){ .type = JINJA_LIST, .u.list = chars };
	rc = slice_list(r, &list, start, stop, step, &part);
	for (i = 0; rc == 0 && i < part.u.list->n; i++)
		rc = jinja_buf_add(r, &b, part.u.list->v[i].u.str.s, part.u.list->v[i].u.str.len);
	*out = jinja_buf_value(&b);
	return rc;
}

int jinja_slice(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value part[3],
		struct jinja_value *out)
{
	int64_t start, stop, step = 1, n, unused;
	int i;

	if (v->type == JINJA_UNDEFINED)
		return fail_undefined(r, v);
	if (v->type != JINJA_STRING && !jinja_is_seq(v))
		return jinja_fail(r, "a %s has no slices", jinja_type_name(v));
	for (i = 0; i < 3; i++)
		if (part[i].type != JINJA_ABSENT && part[i].type != JINJA_NONE && !jinja_as_int(&part[i], &unused))
			return jinja_fail(r, "part of a slice is a %s", jinja_type_name(&part[i]));
	jinja_as_int(&part[2], &step);
	if (step == 0)
		return jinja_fail(r, "the step of a slice is 0");
	n = v->type == JINJA_STRING ? (int64_t)jinja_chars(v->u.str) : (int64_t)v->u.list->n;
	limits(n, step, part, &start, &stop);
	if (v->type == JINJA_STRING)
		return slice_string(r, v->u.str, start, stop, step, out);
	return slice_list(r, v, start, stop, step, out);
}
