/* jinja_call.c - calling builtins, macros and methods; binding of arguments. */
#include <errno.h>
#include <string.h>

#include "engine/jinja_internal.h"

const struct jinja_builtin *jinja_find_in(const struct jinja_builtin *table, struct jinja_str name)
{
	for (; table->name != NULL; table++)
		if (jinja_str_is(name, table->name))
			return table;
	return NULL;
}

const struct jinja_builtin *jinja_filter_find(struct jinja_str name)
{
	const struct jinja_builtin *b = jinja_find_in(jinja_filters_text, name);

	if (b == NULL)
		b = jinja_find_in(jinja_filters_seq, name);
	return b != NULL ? b : jinja_find_in(jinja_filters_pick, name);
}

/* ---- builtins ------------------------------------------------------------------------------------ */

/* The index of name in "a b c", or -1; with n, how many there are. */
static int param_index(const char *params, struct jinja_str name, unsigned *n)
{
	const char *p = params, *end;
	int found = -1;

	for (*n = 0; *p != '\0'; ++*n) {
		end = strchr(p, ' ');
		end = end != NULL ? end : p + strlen(p);
		if (jinja_str_equal(name, (struct jinja_str){ p, (size_t)(end - p) }))
			found = (int)*n;
		p = *end == ' ' ? end + 1 : end;
	}
	return found;
}

static int bind(struct jinja_run *r, const struct jinja_builtin *b, const struct jinja_args *args, struct jinja_call *c)
{
	const struct jinja_entry *e;
	unsigned n, unused;
	size_t i;
	int at;

	param_index(b->params, (struct jinja_str){ "", 0 }, &n);
	if (args->pos.n > n)
		return jinja_fail(r, "%s takes %u arguments, not %zu", b->name, n, args->pos.n);
	for (i = 0; i < args->pos.n; i++)
		c->a[i] = args->pos.v[i];
	for (i = 0; i < args->named.n; i++) {
		e = &args->named.v[i];
		at = param_index(b->params, e->key.u.str, &unused);
		if (at < 0)
			return jinja_fail(r, "%s has no argument '%.*s'", b->name,
					  e->key.u.str.len < 60 ? (int)e->key.u.str.len : 60, e->key.u.str.s);
		if (c->a[at].type != JINJA_ABSENT)
			return jinja_fail(r, "%s is given one argument twice", b->name);
		c->a[at] = e->value;
	}
	for (i = 0; i < b->min; i++)
		if (c->a[i].type == JINJA_ABSENT)
			return jinja_fail(r, "%s needs %u argument%s", b->name, b->min, b->min == 1 ? "" : "s");
	return 0;
}

int jinja_call_builtin(struct jinja_run *r, const struct jinja_builtin *b, const struct jinja_value *self,
		       const struct jinja_args *args, struct jinja_value *out)
{
	struct jinja_call c = { .self = *self, .args = args };
	int i, rc;

	for (i = 0; i < JINJA_PARAMS_MAX; i++)
		c.a[i].type = JINJA_ABSENT;
	if (b->params[0] != '*') {
		rc = bind(r, b, args, &c);
		if (rc != 0)
			return rc;
	}
	rc = jinja_enter(r);
	if (rc != 0)
		return rc;
	rc = b->fn(r, &c, out);
	r->depth--;
	return rc;
}

int jinja_call_filter(struct jinja_run *r, struct jinja_str name, const struct jinja_value *self,
		      const struct jinja_args *args, struct jinja_value *out)
{
	const struct jinja_builtin *b = jinja_filter_find(name);

	if (b == NULL)
		return jinja_fail(r, "no filter named '%.*s'", name.len < 60 ? (int)name.len : 60, name.s);
	return jinja_call_builtin(r, b, self, args, out);
}

int jinja_call_test(struct jinja_run *r, struct jinja_str name, const struct jinja_value *self,
		    const struct jinja_args *args, bool *out)
{
	const struct jinja_builtin *b = jinja_test_find(name);
	struct jinja_value v;
	int rc;

	if (b == NULL)
		return jinja_fail(r, "no test named '%.*s'", name.len < 60 ? (int)name.len : 60, name.s);
	rc = jinja_call_builtin(r, b, self, args, &v);
	if (rc == 0)
		*out = jinja_truth(&v);
	return rc;
}

/* ---- macros -------------------------------------------------------------------------------------- */

/* Set name in the macro's own scope. */
static int set_own(struct jinja_run *r, struct jinja_value name, struct jinja_value v)
{
	return jinja_check(r, jinja_dict_set(r->heap, &r->scope->vars, name, v));
}

/* kwargs, varargs and caller, of a macro whose body names them; else what was given too much is an error.
 * taken positional arguments were parameters, and named ones whose names are in the scope. */
static int bind_special(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_args *args, size_t taken)
{
	const struct jinja_entry *e;
	struct jinja_value kwargs, varargs, caller = jinja_undefined("caller");
	unsigned flag = m->def->flag;
	size_t i;
	int rc;

	rc = jinja_check(r, jinja_dict_new(r->heap, JINJA_DICT, &kwargs));
	if (rc == 0)
		rc = jinja_check(r, jinja_list_new(r->heap, JINJA_TUPLE, &varargs));
	for (i = taken; rc == 0 && i < args->pos.n; i++)
		rc = flag & JINJA_USES_VARARGS ? jinja_check(r, jinja_list_add(r->heap, varargs.u.list, args->pos.v[i])) :
		     jinja_fail(r, "a macro is given %zu arguments, more than it takes", args->pos.n);
	for (i = 0; rc == 0 && i < args->named.n; i++) {
		e = &args->named.v[i];
		if (jinja_dict_find(r->heap, &r->scope->vars, &e->key) != NULL)
			continue;
		if ((flag & JINJA_USES_CALLER) && jinja_str_is(e->key.u.str, "caller"))
			caller = e->value;
		else if (flag & JINJA_USES_KWARGS)
			rc = jinja_check(r, jinja_dict_set(r->heap, kwargs.u.dict, e->key, e->value));
		else
			rc = jinja_fail(r, "a macro has no argument '%.*s'",
					e->key.u.str.len < 60 ? (int)e->key.u.str.len : 60, e->key.u.str.s);
	}
	if (rc == 0 && (flag & JINJA_USES_KWARGS))
		rc = set_own(r, jinja_text("kwargs"), kwargs);
	if (rc == 0 && (flag & JINJA_USES_VARARGS))
		rc = set_own(r, jinja_text("varargs"), varargs);
	if (rc == 0 && (flag & JINJA_USES_CALLER))
		rc = set_own(r, jinja_text("caller"), caller);
	return rc;
}

/* A value for each parameter, by place, by name, or its default, which sees the ones before it. */
static int bind_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_args *args)
{
	const struct jinja_node *p;
	const struct jinja_entry *e;
	struct jinja_value v;
	size_t i = 0;
	int rc = 0;

	for (p = m->def->first; rc == 0 && p != NULL; p = p->next, i++) {
		e = jinja_dict_find(r->heap, &args->named, &p->v);
		if (e != NULL && i < args->pos.n)
			return jinja_fail(r, "a macro is given one argument twice");
		v = p->v;
		v.type = JINJA_UNDEFINED;
		if (i < args->pos.n)
			v = args->pos.v[i];
		else if (e != NULL)
			v = e->value;
		else if (p->a != NULL)
			rc = jinja_eval(r, p->a, &v);
		if (rc == 0)
			rc = set_own(r, p->v, v);
	}
	return rc != 0 ? rc : bind_special(r, m, args, i < args->pos.n ? i : args->pos.n);
}

static int call_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_args *args,
		      struct jinja_value *out)
{
	struct jinja_scope *scope = r->scope;
	int rc = jinja_enter(r);

	if (rc != 0)
		return rc;
	rc = jinja_scope_push(r, m->scope);
	if (rc == 0)
		rc = bind_macro(r, m, args);
	if (rc == 0)
		rc = jinja_exec_captured(r, m->def->body, out);
	r->scope = scope;
	r->depth--;
	return rc;
}

/* ---- other callables ----------------------------------------------------------------------------- */

/* loop(items): the same loop over other items, as text. */
static int call_loop(struct jinja_run *r, const struct jinja_loop *l, const struct jinja_args *args, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX }, *before = r->out;
	struct jinja_scope *scope = r->scope;
	int rc;

	if (!l->node->flag)
		return jinja_fail(r, "a loop that is not recursive is called");
	if (args->pos.n != 1 || args->named.n != 0)
		return jinja_fail(r, "loop takes 1 argument");
	r->out = &b;
	r->scope = l->scope;
	rc = jinja_loop_run(r, l->node, &args->pos.v[0], l->depth + 1);
	r->scope = scope;
	r->out = before;
	*out = jinja_buf_value(&b);
	return rc;
}

/* Nothing the first time, then the separator. */
static int call_joiner(struct jinja_cycle *c, struct jinja_value *out)
{
	*out = c->i++ == 0 ? jinja_text("") : c->items->v[0];
	return 0;
}

int jinja_call_value(struct jinja_run *r, const struct jinja_value *f, const struct jinja_args *args,
		     struct jinja_value *out)
{
	struct jinja_value none = jinja_none();

	switch (f->type) {
	case JINJA_MACRO:
		return call_macro(r, f->u.macro, args, out);
	case JINJA_BUILTIN:
		return jinja_call_builtin(r, f->u.builtin, &none, args, out);
	case JINJA_METHOD:
		return jinja_call_builtin(r, f->u.method->builtin, &f->u.method->self, args, out);
	case JINJA_LOOP:
		return call_loop(r, f->u.loop, args, out);
	case JINJA_JOINER:
		return call_joiner(f->u.cycle, out);
	case JINJA_UNDEFINED:
		return jinja_fail(r, "'%.*s' is undefined", f->u.str.len < 100 ? (int)f->u.str.len : 100, f->u.str.s);
	default:
		return jinja_fail(r, "a %s cannot be called", jinja_type_name(f));
	}
}
