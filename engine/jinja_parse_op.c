/* jinja_parse_op.c - expressions by their operators; tuples and targets.
 *
 * From loose to tight: if else, or, and, not, comparisons, + and -, ~, * / // %, **, signs, postfixes,
 * filters and tests.  As in Jinja, ~ binds tighter than +, and ** groups from the left.
 */
#include <errno.h>

#include "engine/jinja_internal.h"

/* ---- operators ----------------------------------------------------------------------------------- */

/* How tightly a binary operator binds, from 1; 0 for other tokens. */
static unsigned tightness(const struct jinja_parser *p)
{
	if (p->token->type != JINJA_T_OP)
		return 0;
	switch (p->token->op) {
	case JINJA_OP_ADD:
	case JINJA_OP_SUB:
		return 1;
	case JINJA_OP_CONCAT:
		return 2;
	case JINJA_OP_MUL:
	case JINJA_OP_DIV:
	case JINJA_OP_FLOORDIV:
	case JINJA_OP_MOD:
		return 3;
	case JINJA_OP_POW:
		return 4;
	default:
		return 0;
	}
}

/* Operators that bind as tightly as least or more; all group from the left. */
static int parse_binary(struct jinja_parser *p, unsigned least, struct jinja_node **out)
{
	struct jinja_node *left, *n;
	int rc = jinja_parse_unary(p, true, &left);
	unsigned t;

	while (rc == 0 && (t = tightness(p)) >= least && t != 0) {
		rc = jinja_parse_node(p, JINJA_N_BINARY, &n);
		if (rc != 0)
			return rc;
		n->op = p->token->op;
		n->a = left;
		p->token++;
		rc = parse_binary(p, t + 1, &n->b);
		left = n;
	}
	*out = left;
	return rc;
}

/* The comparison that the next tokens are, with how many they are, or NONE. */
static enum jinja_op comparison(const struct jinja_parser *p, unsigned *n)
{
	const struct jinja_token *t = p->token;

	*n = 1;
	if (t->type == JINJA_T_OP && t->op >= JINJA_OP_EQ && t->op <= JINJA_OP_GE)
		return t->op;
	if (jinja_parse_is_name(p, "in"))
		return JINJA_OP_IN;
	*n = 2;
	if (jinja_parse_is_name(p, "not") && t[1].type == JINJA_T_NAME && jinja_str_is(t[1].u.text, "in"))
		return JINJA_OP_NOT_IN;
	return JINJA_OP_NONE;
}

static int parse_compare(struct jinja_parser *p, struct jinja_node **out)
{
	struct jinja_node *a, **link;
	enum jinja_op op;
	unsigned n;
	int rc = parse_binary(p, 1, &a);

	if (rc != 0)
		return rc;
	*out = a;
	if (comparison(p, &n) == JINJA_OP_NONE)
		return 0;
	rc = jinja_parse_node(p, JINJA_N_COMPARE, out);
	if (rc != 0)
		return rc;
	(*out)->a = a;
	link = &(*out)->first;
	while (rc == 0 && (op = comparison(p, &n)) != JINJA_OP_NONE) {
		rc = jinja_parse_node(p, JINJA_N_OPERAND, link);
		if (rc != 0)
			return rc;
		(*link)->op = (uint8_t)op;
		p->token += n;
		rc = parse_binary(p, 1, &(*link)->a);
		link = &(*link)->next;
	}
	return rc;
}

static int parse_not(struct jinja_parser *p, struct jinja_node **out)
{
	int rc;

	if (!jinja_parse_is_name(p, "not"))
		return parse_compare(p, out);
	rc = jinja_parse_enter(p);
	if (rc == 0)
		rc = jinja_parse_node(p, JINJA_N_NOT, out);
	if (rc != 0)
		return rc;
	p->token++;
	rc = parse_not(p, &(*out)->a);
	p->depth--;
	return rc;
}

static int parse_and(struct jinja_parser *p, struct jinja_node **out)
{
	struct jinja_node *left, *n;
	int rc = parse_not(p, &left);

	while (rc == 0 && jinja_parse_is_name(p, "and")) {
		rc = jinja_parse_node(p, JINJA_N_AND, &n);
		if (rc != 0)
			return rc;
		p->token++;
		n->a = left;
		rc = parse_not(p, &n->b);
		left = n;
	}
	*out = left;
	return rc;
}

static int parse_or(struct jinja_parser *p, struct jinja_node **out)
{
	struct jinja_node *left, *n;
	int rc = parse_and(p, &left);

	while (rc == 0 && jinja_parse_is_name(p, "or")) {
		rc = jinja_parse_node(p, JINJA_N_OR, &n);
		if (rc != 0)
			return rc;
		p->token++;
		n->a = left;
		rc = parse_and(p, &n->b);
		left = n;
	}
	*out = left;
	return rc;
}

int jinja_parse_expr(struct jinja_parser *p, struct jinja_node **out)
{
	struct jinja_node *n;
	int rc = jinja_parse_enter(p);

	if (rc == 0)
		rc = parse_or(p, out);
	while (rc == 0 && jinja_parse_is_name(p, "if")) {
		rc = jinja_parse_node(p, JINJA_N_COND, &n);
		if (rc != 0)
			return rc;
		p->token++;
		n->b = *out;
		rc = parse_or(p, &n->a);
		if (rc == 0 && jinja_parse_is_name(p, "else")) {
			p->token++;
			rc = jinja_parse_expr(p, &n->c);
		}
		*out = n;
	}
	p->depth--;
	return rc;
}

/* Whether a tuple ends here. */
static bool tuple_ends(const struct jinja_parser *p)
{
	return p->token->type == JINJA_T_BLOCK_END || p->token->type == JINJA_T_VAR_END ||
	       jinja_parse_is_op(p, JINJA_OP_RPAREN) || jinja_parse_is_op(p, JINJA_OP_RBRACKET) ||
	       jinja_parse_is_op(p, JINJA_OP_ASSIGN) || jinja_parse_is_name(p, "recursive") ||
	       jinja_parse_is_name(p, "in");
}

int jinja_parse_tuple(struct jinja_parser *p, bool conditional, struct jinja_node **out)
{
	struct jinja_node *first = NULL, **link = &first;
	int rc = jinja_parse_enter(p);

	if (rc != 0)
		return rc;
	rc = conditional ? jinja_parse_expr(p, link) : parse_or(p, link);
	p->depth--;
	if (rc != 0 || !jinja_parse_is_op(p, JINJA_OP_COMMA)) {
		*out = first;
		return rc;
	}
	rc = jinja_parse_node(p, JINJA_N_TUPLE, out);
	while (rc == 0 && jinja_parse_is_op(p, JINJA_OP_COMMA)) {
		link = &(*link)->next;
		p->token++;
		if (tuple_ends(p))
			break;
		rc = conditional ? jinja_parse_expr(p, link) : parse_or(p, link);
	}
	if (rc == 0)
		(*out)->first = first;
	return rc;
}

/* A name, or targets in brackets. */
static int parse_one_target(struct jinja_parser *p, struct jinja_node **out)
{
	int rc;

	if (jinja_parse_is_op(p, JINJA_OP_LPAREN)) {
		rc = jinja_parse_enter(p);
		p->token++;
		if (rc == 0)
			rc = jinja_parse_target(p, false, out);
		p->depth--;
		return rc != 0 ? rc : jinja_parse_op(p, JINJA_OP_RPAREN);
	}
	if (p->token->type != JINJA_T_NAME)
		return jinja_parse_fail(p, "a name");
	rc = jinja_parse_name(p, out);
	if (rc == 0 && (*out)->kind != JINJA_N_NAME)
		return jinja_error_set(&p->err, -EINVAL, (*out)->line, "a constant cannot be set");
	return rc;
}

/* One target, or several with ',' between them, which are a tuple. */
int jinja_parse_target(struct jinja_parser *p, bool dotted, struct jinja_node **out)
{
	struct jinja_node *first = NULL, **link = &first;
	int rc = parse_one_target(p, link);

	if (rc == 0 && dotted && first->kind == JINJA_N_NAME && jinja_parse_is_op(p, JINJA_OP_DOT))
		return jinja_parse_dot(p, first, out);
	*out = first;
	if (rc != 0 || !jinja_parse_is_op(p, JINJA_OP_COMMA))
		return rc;
	rc = jinja_parse_node(p, JINJA_N_TUPLE, out);
	while (rc == 0 && jinja_parse_is_op(p, JINJA_OP_COMMA)) {
		link = &(*link)->next;
		p->token++;
		if (tuple_ends(p))
			break;
		rc = parse_one_target(p, link);
	}
	if (rc == 0)
		(*out)->first = first;
	return rc;
}
