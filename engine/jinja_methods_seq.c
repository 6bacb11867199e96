/* jinja_methods_seq.c - the methods of lists, dicts and loops. */
#include <errno.h>
#include <string.h>

#include "engine/jinja_internal.h"

/* ---- lists --------------------------------------------------------------------------------------- */

static int m_append(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	*out = jinja_none();
	return jinja_check(r, jinja_list_add(r->heap, c->self.u.list, c->a[0]));
}

static int m_extend(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l;
	size_t i;
	int rc = jinja_elements(r, &c->a[0], &l);

	for (i = 0; rc == 0 && i < l->n; i++)
		rc = jinja_check(r, jinja_list_add(r->heap, c->self.u.list, l->v[i]));
	*out = jinja_none();
	return rc;
}

static int m_insert(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l = c->self.u.list;
	int64_t at, n = (int64_t)l->n;
	int rc;

	*out = jinja_none();
	if (!jinja_as_int(&c->a[0], &at))
		return jinja_fail(r, "insert: the index is a %s", jinja_type_name(&c->a[0]));
	at += at < 0 ? n : 0;
	at = at < 0 ? 0 : at > n ? n : at;
	rc = jinja_check(r, jinja_list_add(r->heap, l, c->a[1]));
	if (rc != 0)
		return rc;
	memmove(l->v + at + 1, l->v + at, (size_t)(n - at) * sizeof(*l->v));
	l->v[at] = c->a[1];
	return jinja_step(r, l->n / 16);
}

static int m_list_pop(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l = c->self.u.list;
	int64_t at = -1;

	if (c->a[0].type != JINJA_ABSENT && !jinja_as_int(&c->a[0], &at))
		return jinja_fail(r, "pop: the index is a %s", jinja_type_name(&c->a[0]));
	at += at < 0 ? (int64_t)l->n : 0;
	if (at < 0 || (uint64_t)at >= l->n)
		return jinja_fail(r, "pop: there is no such element");
	*out = l->v[at];
	memmove(l->v + at, l->v + at + 1, (l->n - (size_t)at - 1) * sizeof(*l->v));
	l->n--;
	return jinja_step(r, l->n / 16);
}

static int find_index(struct jinja_run *r, const struct jinja_call *c, size_t *at)
{
	const struct jinja_list *l = c->self.u.list;
	int rc = 0;

	for (*at = 0; rc == 0 && *at < l->n; ++*at) {
		if (jinja_value_equal(r->heap, &l->v[*at], &c->a[0]))
			return 0;
		rc = jinja_step(r, 1);
	}
	return rc != 0 ? rc : jinja_fail(r, "there is no such element in the list");
}

static int m_list_index(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	size_t at = 0;
	int rc = find_index(r, c, &at);

	*out = jinja_int((int64_t)at);
	return rc;
}

static int m_remove(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l = c->self.u.list;
	size_t at;
	int rc = find_index(r, c, &at);

	*out = jinja_none();
	if (rc != 0)
		return rc;
	memmove(l->v + at, l->v + at + 1, (l->n - at - 1) * sizeof(*l->v));
	l->n--;
	return 0;
}

static int m_list_count(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_list *l = c->self.u.list;
	int64_t n = 0;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < l->n; i++) {
		n += jinja_value_equal(r->heap, &l->v[i], &c->a[0]);
		rc = jinja_step(r, 1);
	}
	*out = jinja_int(n);
	return rc;
}

static int m_list_reverse(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l = c->self.u.list;
	struct jinja_value v;
	size_t i;

	for (i = 0; i < l->n / 2; i++) {
		v = l->v[i];
		l->v[i] = l->v[l->n - 1 - i];
		l->v[l->n - 1 - i] = v;
	}
	*out = jinja_none();
	return jinja_step(r, l->n / 16);
}

static int m_list_copy(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l;
	int rc = jinja_elements(r, &c->self, &l);

	*out = (struct jinja_value){ .type = JINJA_LIST, .u.list = l };
	return rc;
}

static int m_list_clear(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	(void)r;
	c->self.u.list->n = 0;
	*out = jinja_none();
	return 0;
}

/* A tuple has the last two only. */
const struct jinja_builtin jinja_methods_list[] = {
	{ "append", m_append, "object", 1 }, { "extend", m_extend, "iterable", 1 },
	{ "insert", m_insert, "index object", 2 }, { "pop", m_list_pop, "index", 0 },
	{ "remove", m_remove, "value", 1 }, { "reverse", m_list_reverse, "", 0 },
	{ "copy", m_list_copy, "", 0 }, { "clear", m_list_clear, "", 0 },
	{ "index", m_list_index, "value", 1 }, { "count", m_list_count, "value", 1 }, { NULL, NULL, NULL, 0 }
};

/* ---- dicts --------------------------------------------------------------------------------------- */

static int m_get(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_entry *e;
	int rc = jinja_hashable(r, &c->a[0]);

	if (rc != 0)
		return rc;
	e = jinja_dict_find(r->heap, c->self.u.dict, &c->a[0]);
	if (e != NULL && e->value.watch)
		r->render->watched |= JINJA_WATCH_USED;
	*out = e != NULL ? e->value : c->a[1].type != JINJA_ABSENT ? c->a[1] : jinja_none();
	return 0;
}

enum { KEYS = 1, VALUES = 2 };

static int listed(struct jinja_run *r, const struct jinja_call *c, int what, struct jinja_value *out)
{
	const struct jinja_dict *d = c->self.u.dict;
	struct jinja_value v;
	size_t i;
	int rc = jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, out));

	for (i = 0; rc == 0 && i < d->n; i++) {
		v = what == KEYS ? d->v[i].key : d->v[i].value;
		if (what == (KEYS | VALUES)) {
			rc = jinja_check(r, jinja_list_new(r->heap, JINJA_TUPLE, &v));
			if (rc == 0)
				rc = jinja_check(r, jinja_list_add(r->heap, v.u.list, d->v[i].key));
			if (rc == 0)
				rc = jinja_check(r, jinja_list_add(r->heap, v.u.list, d->v[i].value));
		}
		if (rc == 0)
			rc = jinja_check(r, jinja_list_add(r->heap, out->u.list, v));
	}
	return rc != 0 ? rc : jinja_step(r, d->n);
}

static int m_keys(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return listed(r, c, KEYS, out);
}

static int m_values(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return listed(r, c, VALUES, out);
}

static int m_items(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return listed(r, c, KEYS | VALUES, out);
}

static int m_dict_pop(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_entry *e;
	int rc = jinja_hashable(r, &c->a[0]);

	if (rc != 0)
		return rc;
	e = jinja_dict_find(r->heap, c->self.u.dict, &c->a[0]);
	if (e == NULL && c->a[1].type == JINJA_ABSENT)
		return jinja_fail(r, "pop: there is no such key");
	*out = e != NULL ? e->value : c->a[1];
	if (e != NULL)
		jinja_dict_remove(c->self.u.dict, e);
	return 0;
}

static int m_setdefault(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_entry *e;
	int rc = jinja_hashable(r, &c->a[0]);

	if (rc != 0)
		return rc;
	e = jinja_dict_find(r->heap, c->self.u.dict, &c->a[0]);
	*out = e != NULL ? e->value : c->a[1].type != JINJA_ABSENT ? c->a[1] : jinja_none();
	return e != NULL ? 0 : jinja_check(r, jinja_dict_set(r->heap, c->self.u.dict, c->a[0], *out));
}

static int update_from(struct jinja_run *r, struct jinja_dict *d, const struct jinja_dict *from)
{
	size_t i, n = from->n;
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i++)
		rc = jinja_check(r, jinja_dict_set(r->heap, d, from->v[i].key, from->v[i].value));
	return rc;
}

static int m_update(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_args *args = c->args;
	int rc = 0;

	*out = jinja_none();
	if (args->pos.n > 1 || (args->pos.n == 1 && args->pos.v[0].type != JINJA_DICT))
		return jinja_fail(r, "update takes a dict");
	if (args->pos.n == 1)
		rc = update_from(r, c->self.u.dict, args->pos.v[0].u.dict);
	return rc != 0 ? rc : update_from(r, c->self.u.dict, &args->named);
}

static int m_dict_copy(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	int rc = jinja_check(r, jinja_dict_new(r->heap, JINJA_DICT, out));

	return rc != 0 ? rc : update_from(r, out->u.dict, c->self.u.dict);
}

static int m_dict_clear(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	(void)r;
	c->self.u.dict->n = 0;
	*out = jinja_none();
	return 0;
}

const struct jinja_builtin jinja_methods_dict[] = {
	{ "get", m_get, "key default", 1 }, { "keys", m_keys, "", 0 }, { "values", m_values, "", 0 },
	{ "items", m_items, "", 0 }, { "pop", m_dict_pop, "key default", 1 },
	{ "setdefault", m_setdefault, "key default", 1 }, { "update", m_update, "*", 0 },
	{ "copy", m_dict_copy, "", 0 }, { "clear", m_dict_clear, "", 0 }, { NULL, NULL, NULL, 0 }
};

/* ---- loops and cyclers --------------------------------------------------------------------------- */

static int m_loop_cycle(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_list *l = &c->args->pos;

	if (l->n == 0)
		return jinja_fail(r, "cycle: no items given");
	*out = l->v[c->self.u.loop->i % l->n];
	return 0;
}

/* Whether the arguments differ from those of the call before. */
static int m_loop_changed(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_loop *l = c->self.u.loop;
	struct jinja_value now;
	size_t i;
	int rc = jinja_check(r, jinja_list_new(r->heap, JINJA_TUPLE, &now));

	for (i = 0; rc == 0 && i < c->args->pos.n; i++)
		rc = jinja_check(r, jinja_list_add(r->heap, now.u.list, c->args->pos.v[i]));
	if (rc != 0)
		return rc;
	*out = jinja_bool(!jinja_value_equal(r->heap, &l->changed, &now));
	l->changed = now;
	return jinja_step(r, 1);
}

static int m_cycler_next(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_cycle *y = c->self.u.cycle;

	*out = y->items->v[y->i];
	y->i = (y->i + 1) % y->items->n;
	return jinja_step(r, 1);
}

static int m_cycler_reset(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	c->self.u.cycle->i = 0;
	*out = jinja_none();
	return jinja_step(r, 1);
}

static const struct jinja_builtin loop_methods[] = {
	{ "cycle", m_loop_cycle, "*", 0 }, { "changed", m_loop_changed, "*", 0 }, { NULL, NULL, NULL, 0 }
};

static const struct jinja_builtin cycler_methods[] = {
	{ "next", m_cycler_next, "", 0 }, { "reset", m_cycler_reset, "", 0 }, { NULL, NULL, NULL, 0 }
};

const struct jinja_builtin *jinja_method_find(const struct jinja_value *self, struct jinja_str name)
{
	switch (self->type) {
	case JINJA_STRING:
		return jinja_find_in(jinja_methods_str, name);
	case JINJA_LIST:
		return jinja_find_in(jinja_methods_list, name);
	case JINJA_TUPLE:
		return jinja_str_is(name, "index") || jinja_str_is(name, "count") ? jinja_find_in(jinja_methods_list, name) : NULL;
	case JINJA_DICT:
		return jinja_find_in(jinja_methods_dict, name);
	case JINJA_LOOP:
		return jinja_find_in(loop_methods, name);
	case JINJA_CYCLER:
		return jinja_find_in(cycler_methods, name);
	default:
		return NULL;
	}
}
