/* jinja_parse_expr.c - what operators stand between: literals, signs, postfixes, filters and tests. */
#include <errno.h>
#include <string.h>

#include "engine/jinja_internal.h"

int jinja_parse_fail(struct jinja_parser *p, const char *expected)
{
	static const char *const names[] = {
		"text", "'{%'", "'%}'", "'{{'", "'}}'", "a name", "a string", "a number", "a number", "an operator",
		"the end of the template"
	};
	const struct jinja_token *t = p->token;

	if (t->type == JINJA_T_NAME)
		return jinja_error_set(&p->err, -EINVAL, t->line, "expected %s, found '%.*s'", expected,
				       t->u.text.len < 60 ? (int)t->u.text.len : 60, t->u.text.s);
	if (t->type == JINJA_T_OP)
		return jinja_error_set(&p->err, -EINVAL, t->line, "expected %s, found '%s'", expected,
				       jinja_op_text(t->op));
	return jinja_error_set(&p->err, -EINVAL, t->line, "expected %s, found %s", expected, names[t->type]);
}

int jinja_parse_node(struct jinja_parser *p, enum jinja_kind kind, struct jinja_node **out)
{
	struct jinja_node *n = jinja_heap_alloc(p->heap, sizeof(*n));

	if (n == NULL)
		return jinja_error_memory(&p->err);
	n->kind = (uint8_t)kind;
	n->line = p->token->line;
	*out = n;
	return 0;
}

bool jinja_parse_is_op(const struct jinja_parser *p, enum jinja_op op)
{
	return p->token->type == JINJA_T_OP && p->token->op == op;
}

bool jinja_parse_is_name(const struct jinja_parser *p, const char *name)
{
	return p->token->type == JINJA_T_NAME && jinja_str_is(p->token->u.text, name);
}

int jinja_parse_op(struct jinja_parser *p, enum jinja_op op)
{
	char expected[8];

	if (jinja_parse_is_op(p, op)) {
		p->token++;
		return 0;
	}
	expected[0] = '\'';
	strcpy(expected + 1, jinja_op_text(op));
	strcat(expected, "'");
	return jinja_parse_fail(p, expected);
}

int jinja_parse_enter(struct jinja_parser *p)
{
	if (p->depth >= JINJA_NEST_MAX)
		return jinja_error_set(&p->err, -E2BIG, p->token->line, "more than %d parts inside one another",
				       JINJA_NEST_MAX);
	p->depth++;
	return 0;
}

/* ---- primaries ----------------------------------------------------------------------------------- */

static bool named_constant(struct jinja_str name, struct jinja_value *v)
{
	if (jinja_str_is(name, "true") || jinja_str_is(name, "True"))
		*v = jinja_bool(true);
	else if (jinja_str_is(name, "false") || jinja_str_is(name, "False"))
		*v = jinja_bool(false);
	else if (jinja_str_is(name, "none") || jinja_str_is(name, "None"))
		*v = jinja_none();
	else
		return false;
	return true;
}

int jinja_parse_name(struct jinja_parser *p, struct jinja_node **out)
{
	struct jinja_str name = p->token->u.text;
	int rc = jinja_parse_node(p, JINJA_N_CONST, out);

	if (rc != 0)
		return rc;
	p->token++;
	if (named_constant(name, &(*out)->v))
		return 0;
	(*out)->kind = JINJA_N_NAME;
	(*out)->v = jinja_string(name.s, name.len);
	p->uses |= jinja_str_is(name, "caller") ? JINJA_USES_CALLER : 0;
	p->uses |= jinja_str_is(name, "kwargs") ? JINJA_USES_KWARGS : 0;
	p->uses |= jinja_str_is(name, "varargs") ? JINJA_USES_VARARGS : 0;
	return 0;
}

/* One string, or several that stand side by side. */
static int parse_string(struct jinja_parser *p, struct jinja_node **out)
{
	const struct jinja_token *t = p->token;
	size_t len = 0;
	char *s;
	int rc = jinja_parse_node(p, JINJA_N_CONST, out);

	if (rc != 0)
		return rc;
	for (; p->token->type == JINJA_T_STRING; p->token++)
		len += p->token->u.text.len;
	s = jinja_heap_alloc(p->heap, len + 1);
	if (s == NULL)
		return jinja_error_memory(&p->err);
	(*out)->v = jinja_string(s, len);
	for (; t != p->token; t++) {
		memcpy(s, t->u.text.s, t->u.text.len);
		s += t->u.text.len;
	}
	return 0;
}

/* Expressions up to the bracket that closes, of a list, or of a dict (keys and values in turn). */
static int parse_elements(struct jinja_parser *p, enum jinja_op close, struct jinja_node **link)
{
	int rc = 0;

	while (rc == 0 && !jinja_parse_is_op(p, close)) {
		rc = jinja_parse_expr(p, link);
		if (rc == 0 && close == JINJA_OP_RBRACE) {
			link = &(*link)->next;
			rc = jinja_parse_op(p, JINJA_OP_COLON);
			if (rc == 0)
				rc = jinja_parse_expr(p, link);
		}
		if (rc != 0)
			return rc;
		link = &(*link)->next;
		if (!jinja_parse_is_op(p, close))
			rc = jinja_parse_op(p, JINJA_OP_COMMA);
	}
	return rc != 0 ? rc : jinja_parse_op(p, close);
}

static int parse_parenthesis(struct jinja_parser *p, struct jinja_node **out)
{
	int rc;

	p->token++;
	if (jinja_parse_is_op(p, JINJA_OP_RPAREN))
		rc = jinja_parse_node(p, JINJA_N_TUPLE, out);
	else
		rc = jinja_parse_tuple(p, true, out);
	return rc != 0 ? rc : jinja_parse_op(p, JINJA_OP_RPAREN);
}

static int parse_number(struct jinja_parser *p, struct jinja_node **out)
{
	int rc = jinja_parse_node(p, JINJA_N_CONST, out);

	if (rc != 0)
		return rc;
	(*out)->v = p->token->type == JINJA_T_INT ? jinja_int(p->token->u.i) : jinja_float(p->token->u.f);
	p->token++;
	return 0;
}

static int parse_primary(struct jinja_parser *p, struct jinja_node **out)
{
	bool list = jinja_parse_is_op(p, JINJA_OP_LBRACKET), dict = jinja_parse_is_op(p, JINJA_OP_LBRACE);
	int rc;

	switch (p->token->type) {
	case JINJA_T_NAME:
		return jinja_parse_name(p, out);
	case JINJA_T_STRING:
		return parse_string(p, out);
	case JINJA_T_INT:
	case JINJA_T_FLOAT:
		return parse_number(p, out);
	default:
		break;
	}
	if (jinja_parse_is_op(p, JINJA_OP_LPAREN))
		return parse_parenthesis(p, out);
	if (!list && !dict)
		return jinja_parse_fail(p, "an expression");
	rc = jinja_parse_node(p, list ? JINJA_N_LIST : JINJA_N_DICT, out);
	if (rc != 0)
		return rc;
	p->token++;
	return parse_elements(p, list ? JINJA_OP_RBRACKET : JINJA_OP_RBRACE, &(*out)->first);
}

/* ---- postfixes ----------------------------------------------------------------------------------- */

static int parse_argument(struct jinja_parser *p, struct jinja_node **out)
{
	const struct jinja_token *t = p->token;
	enum jinja_kind kind = JINJA_N_CONST;
	int rc;

	if (jinja_parse_is_op(p, JINJA_OP_MUL))
		kind = JINJA_N_STAR;
	else if (jinja_parse_is_op(p, JINJA_OP_POW))
		kind = JINJA_N_STARSTAR;
	else if (t->type == JINJA_T_NAME && t[1].type == JINJA_T_OP && t[1].op == JINJA_OP_ASSIGN)
		kind = JINJA_N_KWARG;
	if (kind == JINJA_N_CONST)
		return jinja_parse_expr(p, out);
	rc = jinja_parse_node(p, kind, out);
	if (rc != 0)
		return rc;
	if (kind == JINJA_N_KWARG)
		(*out)->v = jinja_string(t->u.text.s, t->u.text.len);
	p->token += kind == JINJA_N_KWARG ? 2 : 1;
	return jinja_parse_expr(p, &(*out)->a);
}

/* "(a, b=c, *d, **e)" */
static int parse_arguments(struct jinja_parser *p, struct jinja_node **link)
{
	bool named = false;
	int rc = 0;

	p->token++;
	while (rc == 0 && !jinja_parse_is_op(p, JINJA_OP_RPAREN)) {
		rc = parse_argument(p, link);
		if (rc != 0)
			return rc;
		if ((*link)->kind == JINJA_N_KWARG || (*link)->kind == JINJA_N_STARSTAR)
			named = true;
		else if (named && (*link)->kind != JINJA_N_STAR)
			return jinja_error_set(&p->err, -EINVAL, (*link)->line, "an argument without a name behind one with a name");
		link = &(*link)->next;
		if (!jinja_parse_is_op(p, JINJA_OP_RPAREN))
			rc = jinja_parse_op(p, JINJA_OP_COMMA);
	}
	return rc != 0 ? rc : jinja_parse_op(p, JINJA_OP_RPAREN);
}

/* A part of a slice, if there is one before ':' or the end. */
static int parse_part(struct jinja_parser *p, struct jinja_node **out)
{
	if (jinja_parse_is_op(p, JINJA_OP_COLON) || jinja_parse_is_op(p, JINJA_OP_RBRACKET))
		return 0;
	return jinja_parse_expr(p, out);
}

/* What stands in brackets: a key, several as a tuple, or a slice. */
static int parse_key(struct jinja_parser *p, struct jinja_node **out)
{
	struct jinja_node *first = NULL;
	int rc;

	if (!jinja_parse_is_op(p, JINJA_OP_COLON)) {
		rc = jinja_parse_tuple(p, true, &first);
		if (rc != 0)
			return rc;
		if (!jinja_parse_is_op(p, JINJA_OP_COLON)) {
			*out = first;
			return 0;
		}
	}
	rc = jinja_parse_node(p, JINJA_N_SLICE, out);
	if (rc != 0)
		return rc;
	(*out)->a = first;
	p->token++;
	rc = parse_part(p, &(*out)->b);
	if (rc != 0 || !jinja_parse_is_op(p, JINJA_OP_COLON))
		return rc;
	p->token++;
	return parse_part(p, &(*out)->c);
}

int jinja_parse_dot(struct jinja_parser *p, struct jinja_node *a, struct jinja_node **out)
{
	int rc;

	p->token++;
	rc = jinja_parse_node(p, JINJA_N_ATTR, out);
	if (rc != 0)
		return rc;
	(*out)->a = a;
	if (p->token->type == JINJA_T_INT) {    /* a.0 is a[0] */
		(*out)->kind = JINJA_N_ITEM;
		return parse_number(p, &(*out)->b);
	}
	if (p->token->type != JINJA_T_NAME)
		return jinja_parse_fail(p, "a name");
	(*out)->v = jinja_string(p->token->u.text.s, p->token->u.text.len);
	p->token++;
	return 0;
}

static int parse_postfix(struct jinja_parser *p, struct jinja_node *a, struct jinja_node **out)
{
	struct jinja_node *n = a;
	int rc = 0;

	while (rc == 0) {
		a = n;
		if (jinja_parse_is_op(p, JINJA_OP_DOT)) {
			rc = jinja_parse_dot(p, a, &n);
		} else if (jinja_parse_is_op(p, JINJA_OP_LBRACKET)) {
			rc = jinja_parse_node(p, JINJA_N_ITEM, &n);
			if (rc != 0)
				break;
			n->a = a;
			p->token++;
			rc = parse_key(p, &n->b);
			if (rc == 0)
				rc = jinja_parse_op(p, JINJA_OP_RBRACKET);
		} else if (jinja_parse_is_op(p, JINJA_OP_LPAREN)) {
			rc = jinja_parse_node(p, JINJA_N_CALL, &n);
			if (rc != 0)
				break;
			n->a = a;
			rc = parse_arguments(p, &n->first);
		} else {
			break;
		}
	}
	*out = n;
	return rc;
}

/* ---- filters and tests --------------------------------------------------------------------------- */

static int parse_filter(struct jinja_parser *p, struct jinja_node *a, struct jinja_node **out)
{
	int rc;

	if (p->token->type != JINJA_T_NAME)
		return jinja_parse_fail(p, "the name of a filter");
	rc = jinja_parse_node(p, JINJA_N_FILTER, out);
	if (rc != 0)
		return rc;
	(*out)->a = a;
	(*out)->v = jinja_string(p->token->u.text.s, p->token->u.text.len);
	(*out)->builtin = jinja_filter_find(p->token->u.text);
	p->token++;
	return jinja_parse_is_op(p, JINJA_OP_LPAREN) ? parse_arguments(p, &(*out)->first) : 0;
}

int jinja_parse_filters(struct jinja_parser *p, bool first_named, struct jinja_node *a, struct jinja_node **out)
{
	int rc = 0;

	if (first_named)
		rc = parse_filter(p, a, &a);
	while (rc == 0 && jinja_parse_is_op(p, JINJA_OP_PIPE)) {
		p->token++;
		rc = parse_filter(p, a, &a);
	}
	*out = a;
	return rc;
}

/* Whether what follows the name of a test is its one argument without brackets. */
static bool bare_argument(const struct jinja_parser *p)
{
	static const char *const not_one[] = { "else", "or", "and", "is", "if", "in", "not", "recursive" };
	size_t i;

	if (p->token->type == JINJA_T_STRING || p->token->type == JINJA_T_INT || p->token->type == JINJA_T_FLOAT ||
	    jinja_parse_is_op(p, JINJA_OP_LBRACKET) || jinja_parse_is_op(p, JINJA_OP_LBRACE))
		return true;
	for (i = 0; i < sizeof(not_one) / sizeof(not_one[0]); i++)
		if (jinja_parse_is_name(p, not_one[i]))
			return false;
	return p->token->type == JINJA_T_NAME;
}

static int parse_test(struct jinja_parser *p, struct jinja_node *a, struct jinja_node **out)
{
	struct jinja_node *n = NULL, *negated = NULL;
	bool negate;
	int rc;

	p->token++;
	negate = jinja_parse_is_name(p, "not");
	p->token += negate;
	if (p->token->type != JINJA_T_NAME)
		return jinja_parse_fail(p, "the name of a test");
	rc = jinja_parse_node(p, JINJA_N_TEST, &n);
	if (rc != 0)
		return rc;
	n->a = a;
	n->v = jinja_string(p->token->u.text.s, p->token->u.text.len);
	n->builtin = jinja_test_find(p->token->u.text);
	p->token++;
	if (jinja_parse_is_op(p, JINJA_OP_LPAREN)) {
		rc = parse_arguments(p, &n->first);
	} else if (bare_argument(p)) {
		rc = parse_primary(p, &n->first);
		if (rc == 0)
			rc = parse_postfix(p, n->first, &n->first);
	}
	*out = n;
	if (rc != 0 || !negate)
		return rc;
	rc = jinja_parse_node(p, JINJA_N_NOT, &negated);
	if (rc != 0)
		return rc;
	negated->a = n;
	*out = negated;
	return 0;
}

static int parse_filters_and_tests(struct jinja_parser *p, struct jinja_node *a, struct jinja_node **out)
{
	struct jinja_node *n = a;
	int rc = 0;

	while (rc == 0) {
		if (jinja_parse_is_op(p, JINJA_OP_PIPE))
			rc = jinja_parse_filters(p, false, n, &n);
		else if (jinja_parse_is_name(p, "is"))
			rc = parse_test(p, n, &n);
		else if (jinja_parse_is_op(p, JINJA_OP_LPAREN))
			rc = parse_postfix(p, n, &n);
		else
			break;
	}
	*out = n;
	return rc;
}

int jinja_parse_unary(struct jinja_parser *p, bool with_filters, struct jinja_node **out)
{
	bool minus = jinja_parse_is_op(p, JINJA_OP_SUB);
	struct jinja_node *n;
	int rc = jinja_parse_enter(p);

	if (rc != 0)
		return rc;
	if (minus || jinja_parse_is_op(p, JINJA_OP_ADD)) {
		rc = jinja_parse_node(p, minus ? JINJA_N_NEG : JINJA_N_POS, &n);
		if (rc != 0)
			return rc;
		p->token++;
		rc = jinja_parse_unary(p, false, &n->a);
	} else {
		rc = parse_primary(p, &n);
	}
	if (rc == 0)
		rc = parse_postfix(p, n, &n);
	if (rc == 0 && with_filters)
		rc = parse_filters_and_tests(p, n, &n);
	p->depth--;
	*out = n;
	return rc;
}
