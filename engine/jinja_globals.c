/* jinja_globals.c - the functions that every template sees. */
#include <errno.h>
#include <string.h>

#include "engine/jinja_internal.h"

#define RANGE_MAX 100000                /* elements, as in Jinja's sandbox */

/* ---- sequences ----------------------------------------------------------------------------------- */

static int g_range(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_list *l = &c->args->pos;
	int64_t v[3] = { 0, 0, 1 }, i, at, next;
	size_t k;
	int rc;

	if (l->n < 1 || l->n > 3 || c->args->named.n != 0)
		return jinja_fail(r, "range takes 1 to 3 arguments");
	for (k = 0; k < l->n; k++)
		if (!jinja_as_int(&l->v[k], &v[l->n == 1 ? 1 : k]))
			return jinja_fail(r, "range of a %s", jinja_type_name(&l->v[k]));
	if (v[2] == 0)
		return jinja_fail(r, "range: a step of 0");
	rc = jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, out));
	for (i = 0, at = v[0]; rc == 0 && (v[2] > 0 ? at < v[1] : at > v[1]); i++, at = next) {
		if (i >= RANGE_MAX)
			return jinja_fail(r, "range: more than %d elements", RANGE_MAX);
		rc = jinja_check(r, jinja_list_add(r->heap, out->u.list, jinja_int(at)));
		if (rc == 0)
			rc = jinja_step(r, 1);
		if (__builtin_add_overflow(at, v[2], &next))
			break;
	}
	return rc;
}

static int new_cycle(struct jinja_run *r, enum jinja_type type, struct jinja_value *out)
{
	struct jinja_cycle *y = jinja_heap_alloc(r->heap, sizeof(*y));
	struct jinja_value list;
	int rc = y != NULL ? jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, &list)) : jinja_nomem(r);

	if (rc != 0)
		return rc;
	y->items = list.u.list;
	*out = (struct jinja_value){ .type = (uint8_t)type, .u.cycle = y };
	return 0;
}

static int g_cycler(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_list *l = &c->args->pos;
	size_t i;
	int rc = l->n != 0 ? new_cycle(r, JINJA_CYCLER, out) : jinja_fail(r, "cycler: no items given");

	for (i = 0; rc == 0 && i < l->n; i++)
		rc = jinja_check(r, jinja_list_add(r->heap, out->u.cycle->items, l->v[i]));
	return rc;
}

static int g_joiner(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	int rc = new_cycle(r, JINJA_JOINER, out);

	if (rc != 0)
		return rc;
	return jinja_check(r, jinja_list_add(r->heap, out->u.cycle->items,
					     c->a[0].type != JINJA_ABSENT ? c->a[0] : jinja_text(", ")));
}

/* ---- dicts --------------------------------------------------------------------------------------- */

static int add_pair(struct jinja_run *r, struct jinja_dict *d, const struct jinja_value *pair)
{
	struct jinja_list *l;
	int rc = jinja_elements(r, pair, &l);

	if (rc == 0 && l->n != 2)
		rc = jinja_fail(r, "dict: expected pairs, found %zu elements", l->n);
	if (rc == 0)
		rc = jinja_hashable(r, &l->v[0]);
	return rc != 0 ? rc : jinja_check(r, jinja_dict_set(r->heap, d, l->v[0], l->v[1]));
}

static int add_entries(struct jinja_run *r, struct jinja_dict *d, const struct jinja_dict *from)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < from->n; i++)
		rc = jinja_check(r, jinja_dict_set(r->heap, d, from->v[i].key, from->v[i].value));
	return rc;
}

/* Of another dict or of pairs, and of what has names. */
static int fill(struct jinja_run *r, const struct jinja_args *args, struct jinja_dict *d)
{
	const struct jinja_value *v = args->pos.v;
	struct jinja_list *l;
	size_t i;
	int rc = 0;

	if (args->pos.n > 1)
		return jinja_fail(r, "at most 1 argument without a name");
	if (args->pos.n == 1 && v->type == JINJA_DICT)
		rc = add_entries(r, d, v->u.dict);
	if (args->pos.n == 1 && v->type != JINJA_DICT) {
		rc = jinja_elements(r, v, &l);
		for (i = 0; rc == 0 && i < l->n; i++)
			rc = add_pair(r, d, &l->v[i]);
	}
	return rc != 0 ? rc : add_entries(r, d, &args->named);
}

static int g_dict(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	int rc = jinja_check(r, jinja_dict_new(r->heap, JINJA_DICT, out));

	return rc != 0 ? rc : fill(r, c->args, out->u.dict);
}

static int g_namespace(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	int rc = jinja_check(r, jinja_dict_new(r->heap, JINJA_NAMESPACE, out));

	return rc != 0 ? rc : fill(r, c->args, out->u.dict);
}

/* ---- the outside --------------------------------------------------------------------------------- */

static int g_raise_exception(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_str s;
	int rc = jinja_str(r, &c->a[0], &s);

	(void)out;
	if (rc != 0)
		return rc;
	jinja_error_text(&r->err, -ECANCELED, s.len != 0 ? s : (struct jinja_str){ "the template gives up", 21 });
	return r->err.rc;
}

/* One conversion of strftime, '%', an optional '-', and a letter, into out. */
static int add_time(struct jinja_run *r, struct jinja_buf *b, const char *s, size_t len)
{
	char text[128], fmt[4] = { '%', s[1], len > 2 ? s[2] : '\0', '\0' };
	size_t n;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"    /* the letters were looked at */
	n = strftime(text, sizeof(text), fmt, r->render->now);
#pragma GCC diagnostic pop
	return jinja_buf_add(r, b, text, n);
}

static int g_strftime_now(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_str s;
	size_t at, n;
	int rc = jinja_str(r, &c->a[0], &s);

	for (at = 0; rc == 0 && at < s.len; at += n) {
		n = 1;
		if (s.s[at] == '%' && at + 1 < s.len) {
			n = s.s[at + 1] == '-' && at + 2 < s.len ? 3 : 2;
			if (s.s[at + n - 1] == '\0' || strchr("aAbBcdeFGgHIjklmMnpPrRsStTuUVwWxXyYzZ%DhC", s.s[at + n - 1]) == NULL)
				return jinja_fail(r, "strftime_now: an unknown conversion");
			rc = add_time(r, &b, s.s + at, n);
		} else {
			rc = jinja_buf_add(r, &b, s.s + at, 1);
		}
	}
	*out = jinja_buf_value(&b);
	return rc;
}

static const struct jinja_builtin globals[] = {
	{ "range", g_range, "*", 0 }, { "dict", g_dict, "*", 0 }, { "namespace", g_namespace, "*", 0 },
	{ "cycler", g_cycler, "*", 0 }, { "joiner", g_joiner, "sep", 0 },
	{ "raise_exception", g_raise_exception, "message", 1 }, { "strftime_now", g_strftime_now, "format", 1 },
	{ NULL, NULL, NULL, 0 }
};

const struct jinja_builtin *jinja_global_find(struct jinja_str name)
{
	return jinja_find_in(globals, name);
}
