/* jinja_tests.c - what stands behind 'is', by the rules of Jinja's tests: an undefined value may be iterated
 * over, called and counted, and a bool is a number but no integer. */
#include <errno.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

static int answer(struct jinja_run *r, bool b, struct jinja_value *out)
{
	*out = jinja_bool(b);
	return jinja_step(r, 1);
}

/* ---- types --------------------------------------------------------------------------------------- */

static int t_defined(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type != JINJA_UNDEFINED, out);
}

static int t_undefined(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_UNDEFINED, out);
}

static int t_none(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_NONE, out);
}

static int t_boolean(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_BOOL, out);
}

static int t_true(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_BOOL && c->self.u.b, out);
}

static int t_false(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_BOOL && !c->self.u.b, out);
}

static int t_integer(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_INT, out);
}

static int t_float(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_FLOAT, out);
}

static int t_number(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	double f;

	return answer(r, jinja_as_float(&c->self, &f), out);
}

static int t_string(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_STRING, out);
}

static int t_mapping(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_DICT, out);
}

static bool is_sequence(const struct jinja_value *v)
{
	return jinja_is_seq(v) || v->type == JINJA_STRING || v->type == JINJA_DICT || v->type == JINJA_UNDEFINED;
}

static int t_sequence(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, is_sequence(&c->self), out);
}

static int t_iterable(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, is_sequence(&c->self) || c->self.type == JINJA_LOOP, out);
}

static int t_callable(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_UNDEFINED || (c->self.type >= JINJA_MACRO && c->self.type <= JINJA_LOOP) ||
			 c->self.type == JINJA_JOINER, out);
}

static int t_escaped(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	(void)c;
	return answer(r, false, out);
}

/* ---- comparison ---------------------------------------------------------------------------------- */

/* One and the same: for numbers and strings, of one type and value. */
static int t_sameas(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_value *a = &c->self, *b = &c->a[0];
	bool content = a->type == JINJA_LIST || a->type == JINJA_TUPLE || a->type == JINJA_DICT;

	return answer(r, a->type == b->type && (content ? a->u.list == b->u.list : jinja_value_equal(r->heap, a, b)), out);
}

static int compare(struct jinja_run *r, const struct jinja_call *c, enum jinja_op op, struct jinja_value *out)
{
	bool holds = false;
	int rc = jinja_compare(r, op, &c->self, &c->a[0], &holds);

	*out = jinja_bool(holds);
	return rc;
}

static int t_eq(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return compare(r, c, JINJA_OP_EQ, out);
}

static int t_ne(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return compare(r, c, JINJA_OP_NE, out);
}

static int t_lt(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return compare(r, c, JINJA_OP_LT, out);
}

static int t_le(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return compare(r, c, JINJA_OP_LE, out);
}

static int t_gt(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return compare(r, c, JINJA_OP_GT, out);
}

static int t_ge(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return compare(r, c, JINJA_OP_GE, out);
}

static int t_in(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return compare(r, c, JINJA_OP_IN, out);
}

/* ---- numbers and case ---------------------------------------------------------------------------- */

/* Whether what is tested leaves rest when divided by n. */
static int remainder_is(struct jinja_run *r, const struct jinja_call *c, const struct jinja_value *n, int64_t rest,
			struct jinja_value *out)
{
	struct jinja_value m, want = jinja_int(rest);
	int rc = jinja_binary(r, JINJA_OP_MOD, &c->self, n, &m);

	return rc != 0 ? rc : answer(r, jinja_value_equal(r->heap, &m, &want), out);
}

static int t_odd(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value two = jinja_int(2);

	return remainder_is(r, c, &two, 1, out);
}

static int t_even(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value two = jinja_int(2);

	return remainder_is(r, c, &two, 0, out);
}

static int t_divisibleby(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return remainder_is(r, c, &c->a[0], 0, out);
}

/* Call the method of that name on the text. */
static int cased(struct jinja_run *r, const struct jinja_call *c, const char *name, struct jinja_value *out)
{
	struct jinja_call call = *c;
	struct jinja_str s;
	int rc = jinja_str(r, &c->self, &s);

	call.self = jinja_string(s.s, s.len);
	return rc != 0 ? rc : jinja_find_in(jinja_methods_str, (struct jinja_str){ name, 7 })->fn(r, &call, out);
}

static int t_lower(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return cased(r, c, "islower", out);
}

static int t_upper(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return cased(r, c, "isupper", out);
}

static int t_filter(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_STRING && jinja_filter_find(c->self.u.str) != NULL, out);
}

static int t_test(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return answer(r, c->self.type == JINJA_STRING && jinja_test_find(c->self.u.str) != NULL, out);
}

static const struct jinja_builtin tests[] = {
	{ "defined", t_defined, "", 0 }, { "undefined", t_undefined, "", 0 }, { "none", t_none, "", 0 },
	{ "boolean", t_boolean, "", 0 }, { "true", t_true, "", 0 }, { "false", t_false, "", 0 },
	{ "integer", t_integer, "", 0 }, { "float", t_float, "", 0 }, { "number", t_number, "", 0 },
	{ "string", t_string, "", 0 }, { "mapping", t_mapping, "", 0 }, { "sequence", t_sequence, "", 0 },
	{ "iterable", t_iterable, "", 0 }, { "callable", t_callable, "", 0 }, { "escaped", t_escaped, "", 0 },
	{ "sameas", t_sameas, "other", 1 }, { "eq", t_eq, "other", 1 }, { "equalto", t_eq, "other", 1 },
	{ "==", t_eq, "other", 1 }, { "ne", t_ne, "other", 1 }, { "!=", t_ne, "other", 1 },
	{ "lt", t_lt, "other", 1 }, { "lessthan", t_lt, "other", 1 }, { "<", t_lt, "other", 1 },
	{ "le", t_le, "other", 1 }, { "<=", t_le, "other", 1 }, { "gt", t_gt, "other", 1 },
	{ "greaterthan", t_gt, "other", 1 }, { ">", t_gt, "other", 1 }, { "ge", t_ge, "other", 1 },
	{ ">=", t_ge, "other", 1 }, { "in", t_in, "seq", 1 }, { "odd", t_odd, "", 0 }, { "even", t_even, "", 0 },
	{ "divisibleby", t_divisibleby, "num", 1 }, { "lower", t_lower, "", 0 }, { "upper", t_upper, "", 0 },
	{ "filter", t_filter, "", 0 }, { "test", t_test, "", 0 }, { NULL, NULL, NULL, 0 }
};

const struct jinja_builtin *jinja_test_find(struct jinja_str name)
{
	return jinja_find_in(tests, name);
}
