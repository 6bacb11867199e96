/* jinja_eval_expr.c - the value of an expression. */
#include <errno.h>

#include "engine/jinja_internal.h"

static int eval_name(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	const struct jinja_scope *s;
	const struct jinja_entry *e;
	const struct jinja_builtin *b;

	for (s = r->scope; s != NULL; s = s->parent) {
		e = jinja_dict_find(r->heap, &s->vars, &n->v);
		if (e != NULL) {
			*out = e->value;
			return 0;
		}
	}
	e = jinja_dict_find(r->heap, r->render->root.u.dict, &n->v);
	if (e != NULL) {
		*out = e->value;
		return 0;
	}
	b = jinja_global_find(n->v.u.str);
	if (b != NULL && (r->render->now != NULL || !jinja_str_is(n->v.u.str, "strftime_now"))) {
		*out = (struct jinja_value){ .type = JINJA_BUILTIN, .u.builtin = b };
		return 0;
	}
	*out = n->v;
	out->type = JINJA_UNDEFINED;
	return 0;
}

/* ---- literals ------------------------------------------------------------------------------------ */

static int eval_list(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	const struct jinja_node *e;
	struct jinja_value v, list;
	int rc = jinja_check(r, jinja_list_new(r->heap, n->kind == JINJA_N_LIST ? JINJA_LIST : JINJA_TUPLE, &list));

	for (e = n->first; rc == 0 && e != NULL; e = e->next) {
		rc = jinja_eval(r, e, &v);
		if (rc == 0)
			rc = jinja_check(r, jinja_list_add(r->heap, list.u.list, v));
	}
	*out = list;
	return rc;
}

static int eval_dict(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	const struct jinja_node *e;
	struct jinja_value k, v, dict;
	int rc = jinja_check(r, jinja_dict_new(r->heap, JINJA_DICT, &dict));

	for (e = n->first; rc == 0 && e != NULL; e = e->next->next) {
		rc = jinja_eval(r, e, &k);
		if (rc == 0)
			rc = jinja_eval(r, e->next, &v);
		if (rc == 0)
			rc = jinja_hashable(r, &k);
		if (rc == 0)
			rc = jinja_check(r, jinja_dict_set(r->heap, dict.u.dict, k, v));
	}
	*out = dict;
	return rc;
}

/* ---- access -------------------------------------------------------------------------------------- */

static int eval_item(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	const struct jinja_node *s = n->b;
	struct jinja_value of, key, part[3];
	int rc = jinja_eval(r, n->a, &of);

	if (rc == 0 && s->kind != JINJA_N_SLICE) {
		rc = jinja_eval(r, s, &key);
		return rc != 0 ? rc : jinja_item(r, &of, &key, out);
	}
	part[0] = part[1] = part[2] = (struct jinja_value){ .type = JINJA_ABSENT };
	if (rc == 0 && s->a != NULL)
		rc = jinja_eval(r, s->a, &part[0]);
	if (rc == 0 && s->b != NULL)
		rc = jinja_eval(r, s->b, &part[1]);
	if (rc == 0 && s->c != NULL)
		rc = jinja_eval(r, s->c, &part[2]);
	return rc != 0 ? rc : jinja_slice(r, &of, part, out);
}

static int eval_attr(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	struct jinja_value of;
	int rc = jinja_eval(r, n->a, &of);

	return rc != 0 ? rc : jinja_attr(r, &of, n->v.u.str, out);
}

/* ---- calls --------------------------------------------------------------------------------------- */

static int add_star(struct jinja_run *r, struct jinja_args *args, const struct jinja_value *v)
{
	struct jinja_list *l;
	size_t i;
	int rc = jinja_elements(r, v, &l);

	for (i = 0; rc == 0 && i < l->n; i++)
		rc = jinja_check(r, jinja_list_add(r->heap, &args->pos, l->v[i]));
	return rc;
}

static int add_starstar(struct jinja_run *r, struct jinja_args *args, const struct jinja_value *v)
{
	const struct jinja_entry *e;
	size_t i;
	int rc = 0;

	if (v->type != JINJA_DICT)
		return jinja_fail(r, "a %s behind '**'", jinja_type_name(v));
	for (i = 0; rc == 0 && i < v->u.dict->n; i++) {
		e = &v->u.dict->v[i];
		if (e->key.type != JINJA_STRING)
			return jinja_fail(r, "a %s is no name of an argument", jinja_type_name(&e->key));
		rc = jinja_check(r, jinja_dict_set(r->heap, &args->named, e->key, e->value));
	}
	return rc;
}

static int eval_args(struct jinja_run *r, const struct jinja_node *n, struct jinja_args *args)
{
	struct jinja_value v;
	int rc = 0;

	*args = (struct jinja_args){ 0 };
	for (; rc == 0 && n != NULL; n = n->next) {
		bool wrapped = n->kind == JINJA_N_KWARG || n->kind == JINJA_N_STAR || n->kind == JINJA_N_STARSTAR;

		rc = jinja_eval(r, wrapped ? n->a : n, &v);
		if (rc != 0)
			break;
		if (n->kind == JINJA_N_KWARG)
			rc = jinja_check(r, jinja_dict_set(r->heap, &args->named, n->v, v));
		else if (n->kind == JINJA_N_STAR)
			rc = add_star(r, args, &v);
		else if (n->kind == JINJA_N_STARSTAR)
			rc = add_starstar(r, args, &v);
		else
			rc = jinja_check(r, jinja_list_add(r->heap, &args->pos, v));
	}
	return rc;
}

/* Call n with caller, if that is not ABSENT, as one argument more. */
int jinja_eval_call(struct jinja_run *r, const struct jinja_node *n, const struct jinja_value *caller,
		    struct jinja_value *out)
{
	struct jinja_args args;
	struct jinja_value f;
	int rc = jinja_eval(r, n->a, &f);

	if (rc == 0)
		rc = eval_args(r, n->first, &args);
	if (rc == 0 && caller->type != JINJA_ABSENT)
		rc = jinja_check(r, jinja_dict_put(r->heap, &args.named, "caller", *caller));
	r->line = n->line;
	return rc != 0 ? rc : jinja_call_value(r, &f, &args, out);
}

static int eval_builtin(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	struct jinja_args args;
	struct jinja_value self;
	int rc = jinja_eval(r, n->a, &self);

	if (rc == 0)
		rc = eval_args(r, n->first, &args);
	if (rc != 0)
		return rc;
	r->line = n->line;
	if (n->builtin != NULL)
		return jinja_call_builtin(r, n->builtin, &self, &args, out);
	return jinja_fail(r, "no %s named '%.*s'", n->kind == JINJA_N_FILTER ? "filter" : "test",
			  n->v.u.str.len < 60 ? (int)n->v.u.str.len : 60, n->v.u.str.s);
}

/* ---- operators ----------------------------------------------------------------------------------- */

static int eval_sign(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	struct jinja_value v;
	int64_t i;
	int rc = jinja_eval(r, n->a, &v);

	if (rc != 0)
		return rc;
	r->line = n->line;
	if (n->kind == JINJA_N_NEG)
		return jinja_negate(r, &v, out);
	*out = jinja_as_int(&v, &i) ? jinja_int(i) : v;
	return v.type == JINJA_FLOAT || out->type == JINJA_INT ? 0 : jinja_fail(r, "'+' in front of a %s", jinja_type_name(&v));
}

static int eval_binary(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	struct jinja_value a, b;
	int rc = jinja_eval(r, n->a, &a);

	if (rc == 0)
		rc = jinja_eval(r, n->b, &b);
	r->line = n->line;
	return rc != 0 ? rc : jinja_binary(r, n->op, &a, &b, out);
}

/* a < b < c is a < b and b < c. */
static int eval_compare(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	const struct jinja_node *o;
	struct jinja_value a, b;
	bool holds = true;
	int rc = jinja_eval(r, n->a, &a);

	for (o = n->first; rc == 0 && holds && o != NULL; o = o->next) {
		rc = jinja_eval(r, o->a, &b);
		r->line = n->line;
		if (rc == 0)
			rc = jinja_compare(r, o->op, &a, &b, &holds);
		a = b;
	}
	*out = jinja_bool(holds);
	return rc;
}

static int eval_logic(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	int rc = jinja_eval(r, n->a, out);

	if (rc != 0)
		return rc;
	if (n->kind == JINJA_N_NOT) {
		*out = jinja_bool(!jinja_truth(out));
		return 0;
	}
	return jinja_truth(out) == (n->kind == JINJA_N_AND) ? jinja_eval(r, n->b, out) : 0;
}

static int eval_cond(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	struct jinja_value v;
	int rc = jinja_eval(r, n->a, &v);

	if (rc != 0)
		return rc;
	if (jinja_truth(&v))
		return jinja_eval(r, n->b, out);
	if (n->c != NULL)
		return jinja_eval(r, n->c, out);
	*out = jinja_undefined("the inline if-expression without else");
	return 0;
}

static int eval_kind(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	switch (n->kind) {
	case JINJA_N_CONST:
		*out = n->v;
		return 0;
	case JINJA_N_NAME:
		return eval_name(r, n, out);
	case JINJA_N_LIST:
	case JINJA_N_TUPLE:
		return eval_list(r, n, out);
	case JINJA_N_DICT:
		return eval_dict(r, n, out);
	case JINJA_N_ATTR:
		return eval_attr(r, n, out);
	case JINJA_N_ITEM:
		return eval_item(r, n, out);
	case JINJA_N_CALL:
		return jinja_eval_call(r, n, &(struct jinja_value){ .type = JINJA_ABSENT }, out);
	case JINJA_N_FILTER:
	case JINJA_N_TEST:
		return eval_builtin(r, n, out);
	case JINJA_N_NEG:
	case JINJA_N_POS:
		return eval_sign(r, n, out);
	case JINJA_N_BINARY:
		return eval_binary(r, n, out);
	case JINJA_N_AND:
	case JINJA_N_OR:
	case JINJA_N_NOT:
		return eval_logic(r, n, out);
	case JINJA_N_COMPARE:
		return eval_compare(r, n, out);
	case JINJA_N_COND:
		return eval_cond(r, n, out);
	case JINJA_N_BODY_TEXT:
		*out = r->body_text;
		return 0;
	default:
		return jinja_fail(r, "an expression that has no value");
	}
}

int jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	int rc;

	r->line = n->line;
	rc = jinja_step(r, 1);
	if (rc == 0)
		rc = jinja_enter(r);
	if (rc != 0)
		return rc;
	rc = eval_kind(r, n, out);
	r->depth--;
	return rc;
}
