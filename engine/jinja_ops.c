/* jinja_ops.c - operators, with Python's meaning.  Integers have 64 bits; past them is an error. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/jinja_internal.h"

bool jinja_as_int(const struct jinja_value *v, int64_t *i)
{
	if (v->type != JINJA_INT && v->type != JINJA_BOOL)
		return false;
	*i = v->type == JINJA_INT ? v->u.i : v->u.b;
	return true;
}

bool jinja_as_float(const struct jinja_value *v, double *f)
{
	int64_t i;

	if (v->type == JINJA_FLOAT) {
		*f = v->u.f;
		return true;
	}
	if (!jinja_as_int(v, &i))
		return false;
	*f = (double)i;
	return true;
}

/* What an undefined value is called in an error, or its type's name for others. */
static int fail_operands(struct jinja_run *r, const char *op, const struct jinja_value *a, const struct jinja_value *b)
{
	const struct jinja_value *u = a->type == JINJA_UNDEFINED ? a : b;

	if (u->type == JINJA_UNDEFINED)
		return jinja_fail(r, "'%.*s' is undefined", u->u.str.len < 100 ? (int)u->u.str.len : 100, u->u.str.s);
	return jinja_fail(r, "no '%s' between %s and %s", op, jinja_type_name(a), jinja_type_name(b));
}

/* ---- numbers ------------------------------------------------------------------------------------- */

static int too_large(struct jinja_run *r)
{
	return jinja_fail(r, "an integer past 64 bits");
}

static int int_power(struct jinja_run *r, int64_t base, int64_t n, struct jinja_value *out)
{
	int64_t v = 1;

	if (n < 0) {
		if (base == 0)
			return jinja_fail(r, "division by zero");
		*out = jinja_float(pow((double)base, (double)n));
		return 0;
	}
	if (base == 0 || base == 1 || base == -1) {
		*out = jinja_int(n == 0 ? 1 : base < 0 && n % 2 == 0 ? 1 : base);
		return 0;
	}
	for (; n > 0; n--)      /* at most 63 times before it overflows */
		if (__builtin_mul_overflow(v, base, &v))
			return too_large(r);
	*out = jinja_int(v);
	return 0;
}

/* Division that rounds down, and its remainder, which has the sign of b. */
static int int_divide(struct jinja_run *r, enum jinja_op op, int64_t a, int64_t b, struct jinja_value *out)
{
	int64_t q, m;

	if (b == 0)
		return jinja_fail(r, "division by zero");
	if (a == INT64_MIN && b == -1) {
		if (op == JINJA_OP_FLOORDIV)
			return too_large(r);
		*out = jinja_int(0);
		return 0;
	}
	q = a / b;
	m = a % b;
	if (m != 0 && (m < 0) != (b < 0)) {
		q--;
		m += b;
	}
	*out = jinja_int(op == JINJA_OP_FLOORDIV ? q : m);
	return 0;
}

static int int_binary(struct jinja_run *r, enum jinja_op op, int64_t a, int64_t b, struct jinja_value *out)
{
	int64_t v = 0;
	bool over;

	switch (op) {
	case JINJA_OP_ADD:
		over = __builtin_add_overflow(a, b, &v);
		break;
	case JINJA_OP_SUB:
		over = __builtin_sub_overflow(a, b, &v);
		break;
	case JINJA_OP_MUL:
		over = __builtin_mul_overflow(a, b, &v);
		break;
	case JINJA_OP_POW:
		return int_power(r, a, b, out);
	case JINJA_OP_DIV:
		if (b == 0)
			return jinja_fail(r, "division by zero");
		*out = jinja_float((double)a / (double)b);
		return 0;
	default:
		return int_divide(r, op, a, b, out);
	}
	*out = jinja_int(v);
	return over ? too_large(r) : 0;
}

static int float_divide(struct jinja_run *r, enum jinja_op op, double a, double b, struct jinja_value *out)
{
	double m, q;

	if (b == 0)
		return jinja_fail(r, "division by zero");
	if (op == JINJA_OP_DIV) {
		*out = jinja_float(a / b);
		return 0;
	}
	m = fmod(a, b);
	q = (a - m) / b;
	if (m != 0 && (m < 0) != (b < 0)) {
		m += b;
		q -= 1;
	}
	if (m == 0)
		m = copysign(0, b);
	if (q != 0)
		q = floor(q) + (q - floor(q) > 0.5);
	else
		q = copysign(0, a / b);
	*out = jinja_float(op == JINJA_OP_MOD ? m : q);
	return 0;
}

static int float_binary(struct jinja_run *r, enum jinja_op op, double a, double b, struct jinja_value *out)
{
	switch (op) {
	case JINJA_OP_ADD:
		*out = jinja_float(a + b);
		return 0;
	case JINJA_OP_SUB:
		*out = jinja_float(a - b);
		return 0;
	case JINJA_OP_MUL:
		*out = jinja_float(a * b);
		return 0;
	case JINJA_OP_POW:
		if (a == 0 && b < 0)
			return jinja_fail(r, "division by zero");
		*out = jinja_float(pow(a, b));
		return isfinite(a) && isfinite(b) && !isfinite(out->u.f) ? jinja_fail(r, "no such power") : 0;
	default:
		return float_divide(r, op, a, b, out);
	}
}

int jinja_negate(struct jinja_run *r, const struct jinja_value *a, struct jinja_value *out)
{
	int64_t i;

	if (a->type == JINJA_FLOAT) {
		*out = jinja_float(-a->u.f);
		return 0;
	}
	if (!jinja_as_int(a, &i))
		return fail_operands(r, "-", a, a);
	*out = jinja_int(i == INT64_MIN ? 0 : -i);
	return i == INT64_MIN ? too_large(r) : 0;
}

/* ---- sequences ----------------------------------------------------------------------------------- */

static int concat_strings(struct jinja_run *r, struct jinja_str a, struct jinja_str b, struct jinja_value *out)
{
	struct jinja_buf buf = { .max = JINJA_OUTPUT_MAX };
	int rc;

	if (a.len == 0 || b.len == 0) {
		*out = a.len != 0 ? jinja_string(a.s, a.len) : jinja_string(b.s, b.len);
		return 0;
	}
	if (a.len > JINJA_OUTPUT_MAX || b.len > JINJA_OUTPUT_MAX - a.len)
		return jinja_error_set(&r->err, -E2BIG, r->line, "more than %zu bytes of text", JINJA_OUTPUT_MAX);
	buf.s = jinja_heap_alloc(r->heap, a.len + b.len);
	if (buf.s == NULL)
		return jinja_nomem(r);
	buf.cap = a.len + b.len;
	rc = jinja_buf_add(r, &buf, a.s, a.len);
	if (rc == 0)
		rc = jinja_buf_add(r, &buf, b.s, b.len);
	*out = jinja_buf_value(&buf);
	return rc;
}

static int add_all(struct jinja_run *r, struct jinja_list *to, const struct jinja_list *from)
{
	size_t i, n = from->n;
	int rc = jinja_step(r, n);

	for (i = 0; rc == 0 && i < n; i++)
		rc = jinja_check(r, jinja_list_add(r->heap, to, from->v[i]));
	return rc;
}

static int concat_lists(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b,
			struct jinja_value *out)
{
	int rc = jinja_check(r, jinja_list_new(r->heap, a->type, out));

	if (rc == 0)
		rc = add_all(r, out->u.list, a->u.list);
	return rc != 0 ? rc : add_all(r, out->u.list, b->u.list);
}

static int repeat(struct jinja_run *r, const struct jinja_value *v, int64_t n, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	int rc = 0;

	if (v->type == JINJA_STRING) {
		for (; rc == 0 && n > 0 && v->u.str.len != 0; n--)
			rc = jinja_buf_add(r, &b, v->u.str.s, v->u.str.len);
		*out = jinja_buf_value(&b);
		return rc;
	}
	rc = jinja_check(r, jinja_list_new(r->heap, v->type, out));
	for (; rc == 0 && n > 0 && v->u.list->n != 0; n--)
		rc = add_all(r, out->u.list, v->u.list);
	return rc;
}

/* "%..." % values */
static int format_strings(struct jinja_run *r, struct jinja_str fmt, const struct jinja_value *b, struct jinja_value *out)
{
	struct jinja_args args = { 0 };
	struct jinja_value one = *b;

	if ((b->type == JINJA_LIST || b->type == JINJA_UNDEFINED) && (fmt.len == 0 || memchr(fmt.s, '%', fmt.len) == NULL)) {
		*out = jinja_string(fmt.s, fmt.len);    /* only these may be left over */
		return 0;
	}
	if (b->type == JINJA_TUPLE)
		args.pos = *b->u.list;
	else
		args.pos = (struct jinja_list){ &one, 1, 1 };
	if (b->type == JINJA_DICT)
		args.named = *b->u.dict;
	return jinja_format(r, fmt, &args, out);
}

int jinja_binary(struct jinja_run *r, enum jinja_op op, const struct jinja_value *a, const struct jinja_value *b,
		 struct jinja_value *out)
{
	struct jinja_str s, t;
	int64_t i, j;
	double f, g;
	int rc;

	if (op == JINJA_OP_CONCAT) {
		rc = jinja_str(r, a, &s);
		if (rc == 0)
			rc = jinja_str(r, b, &t);
		return rc != 0 ? rc : concat_strings(r, s, t, out);
	}
	if (jinja_as_int(a, &i) && jinja_as_int(b, &j))
		return int_binary(r, op, i, j, out);
	if (jinja_as_float(a, &f) && jinja_as_float(b, &g))
		return float_binary(r, op, f, g, out);
	if (op == JINJA_OP_ADD && a->type == JINJA_STRING && b->type == JINJA_STRING)
		return concat_strings(r, a->u.str, b->u.str, out);
	if (op == JINJA_OP_ADD && jinja_is_seq(a) && a->type == b->type)
		return concat_lists(r, a, b, out);
	if (op == JINJA_OP_MOD && a->type == JINJA_STRING)
		return format_strings(r, a->u.str, b, out);
	if (op == JINJA_OP_MUL && (a->type == JINJA_STRING || jinja_is_seq(a)) && jinja_as_int(b, &i))
		return repeat(r, a, i, out);
	if (op == JINJA_OP_MUL && (b->type == JINJA_STRING || jinja_is_seq(b)) && jinja_as_int(a, &i))
		return repeat(r, b, i, out);
	return fail_operands(r, jinja_op_text(op), a, b);
}

/* ---- comparison ---------------------------------------------------------------------------------- */

static int order_lists(struct jinja_run *r, const struct jinja_list *a, const struct jinja_list *b, int *out)
{
	size_t i;
	int rc = jinja_enter(r);

	if (rc != 0)
		return rc;
	for (i = 0; i < a->n && i < b->n; i++)
		if (!jinja_value_equal(r->heap, &a->v[i], &b->v[i]))
			break;
	if (i < a->n && i < b->n)
		rc = jinja_order(r, &a->v[i], &b->v[i], out);
	else
		*out = (a->n > b->n) - (a->n < b->n);
	r->depth--;
	return rc;
}

/* Less, equal or more; NaN is 2. */
int jinja_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, int *out)
{
	size_t n;
	int64_t i, j;
	double f, g;
	int rc = jinja_step(r, 1);

	if (rc != 0)
		return rc;
	if (jinja_as_int(a, &i) && jinja_as_int(b, &j)) {
		*out = (i > j) - (i < j);
		return 0;
	}
	if (jinja_as_float(a, &f) && jinja_as_float(b, &g)) {
		*out = isnan(f) || isnan(g) ? 2 : (f > g) - (f < g);
		return 0;
	}
	if (a->type == JINJA_STRING && b->type == JINJA_STRING) {
		n = a->u.str.len < b->u.str.len ? a->u.str.len : b->u.str.len;
		*out = n != 0 ? memcmp(a->u.str.s, b->u.str.s, n) : 0;
		*out = *out != 0 ? (*out > 0) - (*out < 0) : (a->u.str.len > b->u.str.len) - (a->u.str.len < b->u.str.len);
		return jinja_step(r, n / 64);
	}
	if (jinja_is_seq(a) && a->type == b->type)
		return order_lists(r, a->u.list, b->u.list, out);
	return fail_operands(r, "<", a, b);
}

int jinja_contains(struct jinja_run *r, const struct jinja_value *in, const struct jinja_value *v, bool *out)
{
	size_t i;
	int rc = 0;

	*out = false;
	switch (in->type) {
	case JINJA_UNDEFINED:
		return 0;
	case JINJA_STRING:
		if (v->type != JINJA_STRING)
			return fail_operands(r, "in", v, in);
		*out = v->u.str.len == 0 || memmem(in->u.str.s, in->u.str.len, v->u.str.s, v->u.str.len) != NULL;
		return jinja_step(r, in->u.str.len / 64);
	case JINJA_LIST:
	case JINJA_TUPLE:
		for (i = 0; rc == 0 && !*out && i < in->u.list->n; i++) {
			*out = jinja_value_equal(r->heap, &in->u.list->v[i], v);
			rc = jinja_step(r, 1);
		}
		return rc;
	case JINJA_DICT:
		rc = jinja_hashable(r, v);
		if (rc == 0)
			*out = jinja_dict_find(r->heap, in->u.dict, v) != NULL;
		return rc;
	default:
		return fail_operands(r, "in", v, in);
	}
}

/* A list or dict is no key, nor is a tuple that holds one. */
int jinja_hashable(struct jinja_run *r, const struct jinja_value *v)
{
	size_t i;
	int rc;

	if (v->type == JINJA_LIST || v->type == JINJA_DICT)
		return jinja_fail(r, "a %s cannot be a key", jinja_type_name(v));
	if (v->type != JINJA_TUPLE)
		return 0;
	rc = jinja_enter(r);
	for (i = 0; rc == 0 && i < v->u.list->n; i++)
		rc = jinja_hashable(r, &v->u.list->v[i]);
	r->depth--;
	return rc;
}

int jinja_compare(struct jinja_run *r, enum jinja_op op, const struct jinja_value *a, const struct jinja_value *b,
		  bool *out)
{
	int c = 0, rc;

	switch (op) {
	case JINJA_OP_EQ:
	case JINJA_OP_NE:
		*out = jinja_value_equal(r->heap, a, b) == (op == JINJA_OP_EQ);
		return jinja_step(r, 1);
	case JINJA_OP_IN:
	case JINJA_OP_NOT_IN:
		rc = jinja_contains(r, b, a, out);
		*out = *out == (op == JINJA_OP_IN);
		return rc;
	default:
		break;
	}
	rc = jinja_order(r, a, b, &c);
	*out = op == JINJA_OP_LT ? c == -1 : op == JINJA_OP_LE ? c == -1 || c == 0 : op == JINJA_OP_GT ? c == 1 :
	       c == 1 || c == 0;
	return rc;
}

/* ---- iteration ----------------------------------------------------------------------------------- */

static int string_elements(struct jinja_run *r, struct jinja_str s, struct jinja_list *l)
{
	size_t at, end;
	int rc = jinja_step(r, s.len / 16);

	for (at = 0; rc == 0 && at < s.len; at = end) {
		end = at + jinja_char_off((struct jinja_str){ s.s + at, s.len - at }, 1);
		rc = jinja_check(r, jinja_list_add(r->heap, l, jinja_string(s.s + at, end - at)));
	}
	return rc;
}

int jinja_elements(struct jinja_run *r, const struct jinja_value *v, struct jinja_list **out)
{
	struct jinja_value list;
	size_t i;
	int rc = jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, &list));

	if (rc != 0)
		return rc;
	*out = list.u.list;
	switch (v->type) {
	case JINJA_UNDEFINED:
		return 0;
	case JINJA_LIST:
		return add_all(r, *out, v->u.list);
	case JINJA_TUPLE:
		*out = v->u.list;
		return 0;
	case JINJA_DICT:
		for (i = 0; rc == 0 && i < v->u.dict->n; i++)
			rc = jinja_check(r, jinja_list_add(r->heap, *out, v->u.dict->v[i].key));
		return rc != 0 ? rc : jinja_step(r, v->u.dict->n);
	case JINJA_STRING:
		return string_elements(r, v->u.str, *out);
	default:
		return jinja_fail(r, "a %s is nothing to go through", jinja_type_name(v));
	}
}
