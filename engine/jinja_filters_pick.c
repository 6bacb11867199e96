/* jinja_filters_pick.c - the filters that apply another filter or a test to each element. */
#include <errno.h>

#include "engine/jinja_internal.h"

/* The arguments but the first n positional ones. */
static struct jinja_args without(const struct jinja_args *args, size_t n)
{
	struct jinja_args rest = *args;

	n = n < rest.pos.n ? n : rest.pos.n;
	rest.pos.v = n != 0 ? rest.pos.v + n : rest.pos.v;
	rest.pos.n -= n;
	rest.pos.cap = rest.pos.n;      /* nobody adds to it */
	return rest;
}

/* Elements of what is filtered, and an empty list for the result.  Whatever is false has no elements, none too:
 * templates say 'tools = none' and filter that. */
static int begin(struct jinja_run *r, const struct jinja_call *c, struct jinja_list **l, struct jinja_value *out)
{
	struct jinja_value nothing = jinja_undefined("nothing");
	int rc = jinja_elements(r, jinja_truth(&c->self) ? &c->self : &nothing, l);

	if (c->self.watch)
		r->render->watched |= JINJA_WATCH_ITEMS;
	return rc != 0 ? rc : jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, out));
}

/* ---- select and its kin -------------------------------------------------------------------------- */

/* Keep the elements that pass the test (their attribute does, when there is one): the test is named by the
 * argument behind the attribute, and without one it is truth. */
static int pick(struct jinja_run *r, const struct jinja_call *c, bool attribute, bool keep, struct jinja_value *out)
{
	const struct jinja_list *given = &c->args->pos;
	size_t skip = attribute, i;
	struct jinja_args rest;
	struct jinja_list *l;
	struct jinja_value v;
	bool passes;
	int rc = begin(r, c, &l, out);

	if (rc == 0 && given->n < skip)
		return jinja_fail(r, "selectattr and rejectattr need an attribute");
	if (rc == 0 && given->n > skip && given->v[skip].type != JINJA_STRING)
		return jinja_fail(r, "the name of a test is a %s", jinja_type_name(&given->v[skip]));
	rest = without(c->args, skip + 1);
	for (i = 0; rc == 0 && i < l->n; i++) {
		v = l->v[i];
		if (attribute)
			rc = jinja_path(r, &l->v[i], &given->v[0], &v);
		passes = jinja_truth(&v);
		if (rc == 0 && given->n > skip)
			rc = jinja_call_test(r, given->v[skip].u.str, &v, &rest, &passes);
		if (rc == 0 && passes == keep)
			rc = jinja_check(r, jinja_list_add(r->heap, out->u.list, l->v[i]));
		if (rc == 0)
			rc = jinja_step(r, 1);
	}
	return rc;
}

static int f_select(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return pick(r, c, false, true, out);
}

static int f_reject(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return pick(r, c, false, false, out);
}

static int f_selectattr(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return pick(r, c, true, true, out);
}

static int f_rejectattr(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return pick(r, c, true, false, out);
}

/* ---- map ----------------------------------------------------------------------------------------- */

static const struct jinja_value *named(struct jinja_run *r, const struct jinja_args *args, const char *name)
{
	struct jinja_value key = jinja_text(name);
	const struct jinja_entry *e = jinja_dict_find(r->heap, &args->named, &key);

	return e != NULL ? &e->value : NULL;
}

/* map(attribute=path, default=v) or map(filter, its arguments) */
static int f_map(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_value *path = named(r, c->args, "attribute"), *other = named(r, c->args, "default");
	const struct jinja_list *given = &c->args->pos;
	struct jinja_args rest = without(c->args, 1);
	struct jinja_list *l;
	struct jinja_value v;
	size_t i;
	int rc = begin(r, c, &l, out);

	if (rc == 0 && given->n == 0 && path == NULL)
		return jinja_fail(r, "map needs a filter or an attribute");
	if (rc == 0 && given->n != 0 && given->v[0].type != JINJA_STRING)
		return jinja_fail(r, "the name of a filter is a %s", jinja_type_name(&given->v[0]));
	for (i = 0; rc == 0 && i < l->n; i++) {
		if (given->n != 0)
			rc = jinja_call_filter(r, given->v[0].u.str, &l->v[i], &rest, &v);
		else
			rc = jinja_path(r, &l->v[i], path, &v);
		if (rc == 0 && given->n == 0 && v.type == JINJA_UNDEFINED && other != NULL)
			v = *other;
		if (rc == 0)
			rc = jinja_check(r, jinja_list_add(r->heap, out->u.list, v));
		if (rc == 0)
			rc = jinja_step(r, 1);
	}
	return rc;
}

const struct jinja_builtin jinja_filters_pick[] = {
	{ "select", f_select, "*", 0 }, { "reject", f_reject, "*", 0 }, { "selectattr", f_selectattr, "*", 0 },
	{ "rejectattr", f_rejectattr, "*", 0 }, { "map", f_map, "*", 0 }, { NULL, NULL, NULL, 0 }
};
