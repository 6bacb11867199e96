/* jinja_filters_seq.c - the filters of sequences and dicts. */
#include <errno.h>
#include <string.h>

#include "engine/jinja_internal.h"

static bool given(const struct jinja_value *v)
{
	return v->type != JINJA_ABSENT && v->type != JINJA_NONE;
}

static bool is_true(const struct jinja_value *v)
{
	return v->type != JINJA_ABSENT && jinja_truth(v);
}

static int new_list(struct jinja_run *r, struct jinja_value *out)
{
	return jinja_check(r, jinja_list_new(r->heap, JINJA_LIST, out));
}

static int add(struct jinja_run *r, struct jinja_value *list, struct jinja_value v)
{
	int rc = jinja_check(r, jinja_list_add(r->heap, list->u.list, v));

	return rc != 0 ? rc : jinja_step(r, 1);
}

/* ---- simple ones --------------------------------------------------------------------------------- */

static int f_length(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_value *v = &c->self;

	*out = jinja_int(0);
	switch (v->type) {
	case JINJA_UNDEFINED:
		return 0;
	case JINJA_STRING:
		*out = jinja_int((int64_t)jinja_chars(v->u.str));
		return jinja_step(r, v->u.str.len / 16);
	case JINJA_LIST:
	case JINJA_TUPLE:
		*out = jinja_int((int64_t)v->u.list->n);
		return 0;
	case JINJA_DICT:
		*out = jinja_int((int64_t)v->u.dict->n);
		return 0;
	case JINJA_LOOP:
		*out = jinja_int((int64_t)v->u.loop->items->n);
		return 0;
	default:
		return jinja_fail(r, "a %s has no length", jinja_type_name(v));
	}
}

static int f_first(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l;
	int rc = jinja_elements(r, &c->self, &l);

	if (rc == 0)
		*out = l->n != 0 ? l->v[0] : jinja_undefined("the first element of nothing");
	return rc;
}

static int f_last(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l;
	int rc = jinja_elements(r, &c->self, &l);

	if (rc == 0)
		*out = l->n != 0 ? l->v[l->n - 1] : jinja_undefined("the last element of nothing");
	return rc;
}

static int f_list(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l;
	size_t i;
	int rc = jinja_elements(r, &c->self, &l);

	if (rc == 0)
		rc = new_list(r, out);
	for (i = 0; rc == 0 && i < l->n; i++)
		rc = add(r, out, l->v[i]);
	return rc;
}

static int f_reverse(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value part[3] = { { .type = JINJA_ABSENT }, { .type = JINJA_ABSENT }, jinja_int(-1) }, list;
	struct jinja_list *l;
	int rc;

	if (c->self.type == JINJA_STRING)
		return jinja_slice(r, &c->self, part, out);
	rc = jinja_elements(r, &c->self, &l);
	list = (struct jinja_value){ .type = JINJA_LIST, .u.list = l };
	return rc != 0 ? rc : jinja_slice(r, &list, part, out);
}

static int f_join(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_buf b = { .max = JINJA_OUTPUT_MAX };
	struct jinja_list *l;
	struct jinja_value v;
	size_t i;
	int rc = jinja_elements(r, &c->self, &l);

	for (i = 0; rc == 0 && i < l->n; i++) {
		v = l->v[i];
		if (given(&c->a[1]))
			rc = jinja_path(r, &l->v[i], &c->a[1], &v);
		if (rc == 0 && i != 0 && given(&c->a[0]))
			rc = jinja_buf_str(r, &b, &c->a[0]);
		if (rc == 0)
			rc = jinja_buf_str(r, &b, &v);
		if (rc == 0)
			rc = jinja_step(r, 1);
	}
	*out = jinja_buf_value(&b);
	return rc;
}

static int f_sum(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l;
	struct jinja_value v, sum;
	size_t i;
	int rc = jinja_elements(r, &c->self, &l);

	*out = c->a[1].type != JINJA_ABSENT ? c->a[1] : jinja_int(0);
	for (i = 0; rc == 0 && i < l->n; i++) {
		v = l->v[i];
		if (given(&c->a[0]))
			rc = jinja_path(r, &l->v[i], &c->a[0], &v);
		if (rc == 0)
			rc = jinja_binary(r, JINJA_OP_ADD, out, &v, &sum);
		if (rc == 0)
			rc = jinja_step(r, 1);
		if (rc == 0)
			*out = sum;
	}
	return rc;
}

/* ---- by keys ------------------------------------------------------------------------------------- */

/* What v is compared by: itself or an attribute, small letters unless cased. */
static int key_of(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *path, bool cased,
		  struct jinja_value *out)
{
	int rc = 0;

	*out = *v;
	if (given(path))
		rc = jinja_path(r, v, path, out);
	if (rc == 0 && !cased && out->type == JINJA_STRING)
		rc = jinja_recase(r, out->u.str, JINJA_LOWER, out);
	return rc;
}

/* The same for sort, whose attribute may be several with ',' between them. */
static int sort_key(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *path, bool cased,
		    struct jinja_value *out)
{
	struct jinja_str rest;
	struct jinja_value one, key;
	const char *comma;
	size_t n;
	int rc;

	if (path->type != JINJA_STRING || path->u.str.len == 0 || memchr(path->u.str.s, ',', path->u.str.len) == NULL)
		return key_of(r, v, path, cased, out);
	rc = jinja_check(r, jinja_list_new(r->heap, JINJA_TUPLE, out));
	for (rest = path->u.str; rc == 0; rest = (struct jinja_str){ rest.s + n + 1, rest.len - n - 1 }) {
		comma = rest.len != 0 ? memchr(rest.s, ',', rest.len) : NULL;
		n = comma != NULL ? (size_t)(comma - rest.s) : rest.len;
		one = jinja_string(rest.s, n);
		rc = key_of(r, v, &one, cased, &key);
		if (rc == 0)
			rc = add(r, out, key);
		if (n == rest.len)
			break;
	}
	return rc;
}

struct keyed {
	struct jinja_value key, v;
};

/* Merge v[0..half) and v[half..n) by way of tmp; equal keys stay in their order, reversed ones too. */
static int merge(struct jinja_run *r, struct keyed *v, size_t half, size_t n, struct keyed *tmp, bool reverse)
{
	size_t i = 0, j = half, k = 0;
	int c = 0, rc = 0;

	memcpy(tmp, v, n * sizeof(*v));
	while (rc == 0 && i < half && j < n) {
		rc = jinja_order(r, &tmp[i].key, &tmp[j].key, &c);
		v[k++] = (reverse ? c == -1 : c == 1) ? tmp[j++] : tmp[i++];
	}
	if (rc != 0)
		return rc;
	memcpy(v + k, tmp + i, (half - i) * sizeof(*v));
	memcpy(v + k + half - i, tmp + j, (n - j) * sizeof(*v));
	return 0;
}

static int merge_sort(struct jinja_run *r, struct keyed *v, size_t n, struct keyed *tmp, bool reverse)
{
	size_t width, at, end;
	int rc = 0;

	for (width = 1; rc == 0 && width < n; width *= 2)
		for (at = 0; rc == 0 && at + width < n; at += 2 * width) {
			end = n - at < 2 * width ? n - at : 2 * width;
			rc = merge(r, v + at, width, end, tmp, reverse);
		}
	return rc;
}

/* l sorted into out; by an attribute path that may be ABSENT. */
static int sort_list(struct jinja_run *r, const struct jinja_list *l, const struct jinja_value *path, bool cased,
		     bool reverse, struct jinja_value *out)
{
	struct keyed *v = jinja_heap_alloc(r->heap, (2 * l->n + 1) * sizeof(*v));
	size_t i;
	int rc = 0;

	if (v == NULL)
		return jinja_nomem(r);
	for (i = 0; rc == 0 && i < l->n; i++) {
		v[i].v = l->v[i];
		rc = sort_key(r, &l->v[i], path, cased, &v[i].key);
	}
	if (rc == 0)
		rc = merge_sort(r, v, l->n, v + l->n, reverse);
	if (rc == 0)
		rc = new_list(r, out);
	for (i = 0; rc == 0 && i < l->n; i++)
		rc = add(r, out, v[i].v);
	return rc;
}

static int f_sort(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_list *l;
	int rc = jinja_elements(r, &c->self, &l);

	return rc != 0 ? rc : sort_list(r, l, &c->a[2], is_true(&c->a[1]), is_true(&c->a[0]), out);
}

/* The smallest (sign -1) or largest element. */
static int extreme(struct jinja_run *r, const struct jinja_call *c, int sign, struct jinja_value *out)
{
	struct jinja_value key, best;
	struct jinja_list *l;
	size_t i;
	int order, rc = jinja_elements(r, &c->self, &l);

	*out = jinja_undefined("the smallest or largest element of nothing");
	for (i = 0; rc == 0 && i < l->n; i++) {
		rc = key_of(r, &l->v[i], &c->a[1], is_true(&c->a[0]), &key);
		order = sign;
		if (rc == 0 && i != 0)
			rc = jinja_order(r, &key, &best, &order);
		if (rc == 0 && order == sign) {
			best = key;
			*out = l->v[i];
		}
	}
	return rc;
}

static int f_min(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return extreme(r, c, -1, out);
}

static int f_max(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	return extreme(r, c, 1, out);
}

static int f_unique(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value key, seen;
	struct jinja_list *l;
	size_t i;
	int rc = jinja_elements(r, &c->self, &l);

	if (rc == 0)
		rc = new_list(r, out);
	if (rc == 0)
		rc = jinja_check(r, jinja_dict_new(r->heap, JINJA_DICT, &seen));
	for (i = 0; rc == 0 && i < l->n; i++) {
		rc = key_of(r, &l->v[i], &c->a[1], is_true(&c->a[0]), &key);
		if (rc == 0)
			rc = jinja_hashable(r, &key);
		if (rc != 0 || jinja_dict_find(r->heap, seen.u.dict, &key) != NULL)
			continue;
		rc = jinja_check(r, jinja_dict_set(r->heap, seen.u.dict, key, key));
		if (rc == 0)
			rc = add(r, out, l->v[i]);
	}
	return rc;
}

/* Neighbours of one key after sorting by it: a list of (key, elements). */
static int f_groupby(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value sorted, group, pair = jinja_none(), key, last;
	struct jinja_list *l;
	size_t i;
	int rc = jinja_elements(r, &c->self, &l);

	if (rc == 0)
		rc = sort_list(r, l, &c->a[0], is_true(&c->a[2]), false, &sorted);
	if (rc == 0)
		rc = new_list(r, out);
	for (i = 0; rc == 0 && i < l->n; i++) {
		rc = key_of(r, &sorted.u.list->v[i], &c->a[0], is_true(&c->a[2]), &key);
		if (rc == 0 && (i == 0 || !jinja_value_equal(r->heap, &key, &last))) {
			rc = jinja_check(r, jinja_list_new(r->heap, JINJA_TUPLE, &pair));
			if (rc == 0)
				rc = new_list(r, &group);
			if (rc == 0)
				rc = jinja_path(r, &sorted.u.list->v[i], &c->a[0], &last);
			if (rc == 0)
				rc = add(r, &pair, last);
			if (rc == 0)
				rc = add(r, &pair, group);
			if (rc == 0)
				rc = add(r, out, pair);
			last = key;
		}
		if (rc == 0)
			rc = add(r, &group, sorted.u.list->v[i]);
	}
	return rc;
}

/* ---- dicts --------------------------------------------------------------------------------------- */

/* A list of (key, value). */
static int f_items(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	const struct jinja_dict *d = c->self.u.dict;
	struct jinja_value pair;
	size_t i;
	int rc = new_list(r, out);

	if (rc != 0 || c->self.type == JINJA_UNDEFINED)
		return rc;
	if (c->self.type != JINJA_DICT)
		return jinja_fail(r, "a %s has no items", jinja_type_name(&c->self));
	for (i = 0; rc == 0 && i < d->n; i++) {
		rc = jinja_check(r, jinja_list_new(r->heap, JINJA_TUPLE, &pair));
		if (rc == 0)
			rc = add(r, &pair, d->v[i].key);
		if (rc == 0)
			rc = add(r, &pair, d->v[i].value);
		if (rc == 0)
			rc = add(r, out, pair);
	}
	return rc;
}

static int f_dictsort(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value items, path = jinja_int(0);
	int rc;

	if (c->self.type != JINJA_DICT)
		return jinja_fail(r, "dictsort of a %s", jinja_type_name(&c->self));
	if (c->a[1].type == JINJA_STRING && jinja_str_is(c->a[1].u.str, "value"))
		path = jinja_int(1);
	else if (c->a[1].type != JINJA_ABSENT && !(c->a[1].type == JINJA_STRING && jinja_str_is(c->a[1].u.str, "key")))
		return jinja_fail(r, "dictsort: expected by to be 'key' or 'value'");
	rc = f_items(r, c, &items);
	return rc != 0 ? rc : sort_list(r, items.u.list, &path, is_true(&c->a[0]), is_true(&c->a[2]), out);
}

/* ---- pieces -------------------------------------------------------------------------------------- */

static int count_of(struct jinja_run *r, const struct jinja_value *v, int64_t *n)
{
	if (!jinja_as_int(v, n) || *n <= 0)
		return jinja_fail(r, "expected a number of at least 1");
	return 0;
}

/* Lists of n elements, the last one filled up. */
static int f_batch(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value group = jinja_none();
	struct jinja_list *l;
	int64_t n = 1;
	size_t i;
	int rc = jinja_elements(r, &c->self, &l);

	if (rc == 0)
		rc = count_of(r, &c->a[0], &n);
	if (rc == 0)
		rc = new_list(r, out);
	for (i = 0; rc == 0 && i < l->n; i++) {
		if (i % (uint64_t)n == 0) {
			rc = new_list(r, &group);
			if (rc == 0)
				rc = add(r, out, group);
		}
		if (rc == 0)
			rc = add(r, &group, l->v[i]);
	}
	for (; rc == 0 && given(&c->a[1]) && i != 0 && i % (uint64_t)n != 0; i++)
		rc = add(r, &group, c->a[1]);
	return rc;
}

/* n lists, the first ones longer by one where it does not divide; the shorter ones filled up. */
static int f_slice(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out)
{
	struct jinja_value group;
	struct jinja_list *l;
	int64_t n = 1;
	size_t i, k, at = 0, size;
	int rc = jinja_elements(r, &c->self, &l);

	if (rc == 0)
		rc = count_of(r, &c->a[0], &n);
	if (rc == 0)
		rc = new_list(r, out);
	for (i = 0; rc == 0 && i < (uint64_t)n; i++) {
		size = l->n / (uint64_t)n + (i < l->n % (uint64_t)n);
		rc = new_list(r, &group);
		for (k = 0; rc == 0 && k < size; k++)
			rc = add(r, &group, l->v[at++]);
		if (rc == 0 && given(&c->a[1]) && i >= l->n % (uint64_t)n)
			rc = add(r, &group, c->a[1]);
		if (rc == 0)
			rc = add(r, out, group);
	}
	return rc;
}

const struct jinja_builtin jinja_filters_seq[] = {
	{ "length", f_length, "", 0 }, { "count", f_length, "", 0 }, { "first", f_first, "", 0 },
	{ "last", f_last, "", 0 }, { "list", f_list, "", 0 }, { "reverse", f_reverse, "", 0 },
	{ "join", f_join, "d attribute", 0 }, { "sum", f_sum, "attribute start", 0 },
	{ "sort", f_sort, "reverse case_sensitive attribute", 0 }, { "min", f_min, "case_sensitive attribute", 0 },
	{ "max", f_max, "case_sensitive attribute", 0 }, { "unique", f_unique, "case_sensitive attribute", 0 },
	{ "groupby", f_groupby, "attribute default case_sensitive", 1 }, { "items", f_items, "", 0 },
	{ "dictsort", f_dictsort, "case_sensitive by reverse", 0 }, { "batch", f_batch, "linecount fill_with", 1 },
	{ "slice", f_slice, "slices fill_with", 1 }, { NULL, NULL, NULL, 0 }
};
