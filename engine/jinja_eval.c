/* jinja_eval.c - statements, and the rendering of a template. */
#include "engine/jinja.h"

#include <errno.h>

#include "engine/jinja_internal.h"

int jinja_scope_push(struct jinja_run *r, struct jinja_scope *parent)
{
	struct jinja_scope *s = jinja_heap_alloc(r->heap, sizeof(*s));

	if (s == NULL)
		return jinja_nomem(r);
	s->parent = parent;
	r->scope = s;
	return 0;
}

/* The text that body makes, as a value. */
int jinja_exec_captured(struct jinja_run *r, const struct jinja_node *body, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX }, *before = r->out;
	int rc;

	r->out = &b;
	rc = jinja_exec(r, body);
	r->out = before;
	*out = jinja_buf_value(&b);
	return rc;
}

/* ---- assignment ---------------------------------------------------------------------------------- */

static int unpack(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v)
{
	const struct jinja_node *n;
	struct jinja_list *l;
	size_t i = 0;
	int rc = jinja_elements(r, &v, &l);

	for (n = target->first; rc == 0 && n != NULL; n = n->next, i++)
		rc = i < l->n ? jinja_assign(r, n, l->v[i]) : jinja_fail(r, "too few values to unpack: %zu", l->n);
	return rc == 0 && i < l->n ? jinja_fail(r, "too many values to unpack: %zu", l->n) : rc;
}

static int assign_attr(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v)
{
	struct jinja_value of;
	int rc = jinja_eval(r, target->a, &of);

	if (rc != 0)
		return rc;
	if (of.type != JINJA_NAMESPACE && of.type != JINJA_DICT)
		return jinja_fail(r, "only attributes of a namespace or dict can be set");
	return jinja_check(r, jinja_dict_set(r->heap, of.u.dict, target->v, v));
}

/* target is a NAME, a TUPLE of them, or an ATTR of one. */
int jinja_assign(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v)
{
	if (target->kind == JINJA_N_TUPLE)
		return unpack(r, target, v);
	if (target->kind == JINJA_N_ATTR)
		return assign_attr(r, target, v);
	if (target->kind != JINJA_N_NAME)
		return jinja_fail(r, "this cannot be set");
	return jinja_check(r, jinja_dict_set(r->heap, &r->scope->vars, target->v, v));
}

/* The text that body makes in a scope of its own, as filters leave it. */
static int filter_body(struct jinja_run *r, const struct jinja_node *body, const struct jinja_node *filters,
		       struct jinja_value *out)
{
	struct jinja_value before = r->body_text, text;
	struct jinja_scope *scope = r->scope;
	int rc = jinja_scope_push(r, scope);

	if (rc == 0)
		rc = jinja_exec_captured(r, body, &text);
	r->scope = scope;
	if (rc != 0)
		return rc;
	r->body_text = text;
	rc = jinja_eval(r, filters, out);
	r->body_text = before;
	return rc;
}

static int exec_set(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_value v;
	int rc = n->kind == JINJA_N_SET ? jinja_eval(r, n->b, &v) : filter_body(r, n->body, n->b, &v);

	return rc != 0 ? rc : jinja_assign(r, n->a, v);
}

/* ---- loops --------------------------------------------------------------------------------------- */

/* The elements that the loop's condition keeps. */
static int filter_items(struct jinja_run *r, const struct jinja_node *n, struct jinja_list **items)
{
	struct jinja_scope *scope = r->scope;
	struct jinja_value kept, v;
	size_t i;
	int rc = jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, &kept));

	for (i = 0; rc == 0 && i < (*items)->n; i++) {
		rc = jinja_scope_push(r, scope);
		if (rc == 0)
			rc = jinja_assign(r, n->a, (*items)->v[i]);
		if (rc == 0)
			rc = jinja_eval(r, n->c, &v);
		if (rc == 0 && jinja_truth(&v))
			rc = jinja_check(r, jinja_list_add(r->heap, kept.u.list, (*items)->v[i]));
	}
	r->scope = scope;
	*items = kept.u.list;
	return rc;
}

static int exec_rounds(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *loop)
{
	struct jinja_loop *l = loop->u.loop;
	int rc = 0;

	for (l->i = 0; rc == JINJA_NORMAL && l->i < l->items->n; l->i++) {
		rc = jinja_scope_push(r, l->scope);
		if (rc == 0)
			rc = jinja_check(r, jinja_dict_put(r->heap, &r->scope->vars, "loop", *loop));
		if (rc == 0)
			rc = jinja_assign(r, n->a, l->items->v[l->i]);
		if (rc == 0)
			rc = jinja_exec(r, n->body);
		if (rc == JINJA_CONTINUE)
			rc = JINJA_NORMAL;
	}
	r->scope = l->scope;
	return rc == JINJA_BREAK ? JINJA_NORMAL : rc;
}

/* A round has a scope of its own below r->scope. */
int jinja_loop_run(struct jinja_run *r, const struct jinja_node *n, const struct jinja_value *items, unsigned depth)
{
	struct jinja_loop *l = jinja_heap_alloc(r->heap, sizeof(*l));
	struct jinja_value loop = { .type = JINJA_LOOP, .u.loop = l };
	int rc;

	if (l == NULL)
		return jinja_nomem(r);
	rc = jinja_enter(r);
	if (rc != 0)
		return rc;
	if (items->watch)
		r->render->watched |= JINJA_WATCH_ITEMS;
	l->depth = depth;
	l->node = n;
	l->scope = r->scope;
	l->changed.type = JINJA_ABSENT;
	rc = jinja_elements(r, items, &l->items);
	if (rc == 0 && n->c != NULL)
		rc = filter_items(r, n, &l->items);
	if (rc == 0 && l->items->n == 0)
		rc = jinja_exec(r, n->first);
	else if (rc == 0)
		rc = exec_rounds(r, n, &loop);
	r->depth--;
	return rc;
}

static int exec_for(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_value items;
	int rc = jinja_eval(r, n->b, &items);

	return rc != 0 ? rc : jinja_loop_run(r, n, &items, 0);
}

/* ---- the others ---------------------------------------------------------------------------------- */

static int exec_output(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_value v;
	int rc = jinja_eval(r, n->a, &v);

	return rc != 0 ? rc : jinja_buf_str(r, r->out, &v);
}

static int exec_if(struct jinja_run *r, const struct jinja_node *n)
{
	const struct jinja_node *branch;
	struct jinja_value v;
	int rc;

	for (branch = n->first; branch != NULL; branch = branch->next) {
		if (branch->a == NULL)
			return jinja_exec(r, branch->body);
		rc = jinja_eval(r, branch->a, &v);
		if (rc != 0)
			return rc;
		if (jinja_truth(&v))
			return jinja_exec(r, branch->body);
	}
	return 0;
}

static int new_macro(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out)
{
	struct jinja_macro *m = jinja_heap_alloc(r->heap, sizeof(*m));

	if (m == NULL)
		return jinja_nomem(r);
	m->def = n;
	m->scope = r->scope;
	*out = (struct jinja_value){ .type = JINJA_MACRO, .u.macro = m };
	return 0;
}

static int exec_macro(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_value v;
	int rc = new_macro(r, n, &v);

	return rc != 0 ? rc : jinja_check(r, jinja_dict_set(r->heap, &r->scope->vars, n->v, v));
}

static int exec_call_block(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_value caller, v;
	int rc = new_macro(r, n, &caller);

	if (rc == 0)
		rc = jinja_eval_call(r, n->a, &caller, &v);
	return rc != 0 ? rc : jinja_buf_str(r, r->out, &v);
}

static int exec_filter_block(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_value v;
	int rc = filter_body(r, n->body, n->a, &v);

	return rc != 0 ? rc : jinja_buf_str(r, r->out, &v);
}

static int exec_with(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_scope *outer = r->scope, *inner;
	const struct jinja_node *s;
	struct jinja_value v;
	int rc = jinja_scope_push(r, outer);

	inner = r->scope;
	for (s = n->first; rc == 0 && s != NULL; s = s->next) {
		r->scope = outer;
		rc = jinja_eval(r, s->b, &v);
		r->scope = inner;
		if (rc == 0)
			rc = jinja_assign(r, s->a, v);
	}
	if (rc == 0)
		rc = jinja_exec(r, n->body);
	r->scope = outer;
	return rc;
}

static int exec_do(struct jinja_run *r, const struct jinja_node *n)
{
	struct jinja_value v;

	return jinja_eval(r, n->a, &v);
}

static int exec_one(struct jinja_run *r, const struct jinja_node *n)
{
	switch (n->kind) {
	case JINJA_N_TEXT:
		return jinja_buf_add(r, r->out, n->v.u.str.s, n->v.u.str.len);
	case JINJA_N_OUTPUT:
		return exec_output(r, n);
	case JINJA_N_FOR:
		return exec_for(r, n);
	case JINJA_N_IF:
		return exec_if(r, n);
	case JINJA_N_SET:
	case JINJA_N_SET_BLOCK:
		return exec_set(r, n);
	case JINJA_N_MACRO:
		return exec_macro(r, n);
	case JINJA_N_CALL_BLOCK:
		return exec_call_block(r, n);
	case JINJA_N_FILTER_BLOCK:
		return exec_filter_block(r, n);
	case JINJA_N_BREAK:
		return JINJA_BREAK;
	case JINJA_N_CONTINUE:
		return JINJA_CONTINUE;
	case JINJA_N_DO:
		return exec_do(r, n);
	case JINJA_N_WITH:
		return exec_with(r, n);
	default:
		return jinja_exec(r, n->body);
	}
}

/* Run statements in turn; also says what jumped out of them. */
int jinja_exec(struct jinja_run *r, const struct jinja_node *body)
{
	int rc = jinja_enter(r);

	if (rc != 0)
		return rc;
	for (; rc == 0 && body != NULL; body = body->next) {
		r->line = body->line;
		rc = jinja_step(r, 1);
		if (rc == 0)
			rc = exec_one(r, body);
	}
	r->depth--;
	return rc;
}

int jinja_render(const struct jinja *t, struct jinja_render *render, struct jinja_str *out, char *err, size_t errlen)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_run r = { .heap = render->heap, .render = render, .err = { err, errlen, 0 }, .out = &b, .line = 1 };
	int rc;

	render->watched = 0;
	r.body_text = jinja_none();
	rc = jinja_scope_push(&r, NULL);
	if (rc == 0)
		rc = jinja_exec(&r, t->body);
	if (rc != 0)
		return rc;
	*out = jinja_buf_value(&b).u.str;
	return 0;
}
