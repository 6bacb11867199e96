/* jinja_value.c - see jinja_value.h. */
#include "engine/jinja_value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN      16u
#define EQUAL_DEEP 64

struct block {
	struct block *next;
	size_t used, cap;               /* bytes of data */
	_Alignas(ALIGN) unsigned char data[];
};

struct jinja_heap {
	struct block *head;             /* the one that is being filled */
	size_t bytes, limit, block;
	uint64_t steps;                 /* what is left */
};

/* ---- the heap ------------------------------------------------------------------------------------ */

int jinja_heap_new(struct jinja_heap **out, size_t limit, uint64_t steps, size_t block)
{
	struct jinja_heap *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	h->limit = limit;
	h->steps = steps;
	h->block = block;
	*out = h;
	return 0;
}

void jinja_heap_free(struct jinja_heap *h)
{
	struct block *b;

	if (h == NULL)
		return;
	while ((b = h->head) != NULL) {
		h->head = b->next;
		free(b);
	}
	free(h);
}

size_t jinja_heap_bytes(const struct jinja_heap *h)
{
	return h->bytes;
}

/* A block with room for n bytes, in front of the list, or behind its head when n alone fills it. */
static struct block *add_block(struct jinja_heap *h, size_t n)
{
	size_t cap = n < h->block / 4 ? h->block : n;
	struct block *b = calloc(1, sizeof(*b) + cap);

	if (b == NULL)
		return NULL;
	b->cap = cap;
	if (cap == n && h->block != 0 && h->head != NULL) {
		b->next = h->head->next;
		h->head->next = b;
	} else {
		b->next = h->head;
		h->head = b;
	}
	return b;
}

void *jinja_heap_alloc(struct jinja_heap *h, size_t n)
{
	struct block *b = h->head;
	size_t exact = n;
	void *p;

	if (n > h->limit || h->limit - n < h->bytes)
		return NULL;
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (h->block == 0)
		b = add_block(h, exact);
	else if (b == NULL || b->cap - b->used < n)
		b = add_block(h, n);
	if (b == NULL)
		return NULL;
	p = b->data + b->used;
	b->used += h->block == 0 ? exact : n;
	h->bytes += n;
	jinja_heap_work(h, n / 64);
	return p;
}

bool jinja_heap_work(struct jinja_heap *h, uint64_t n)
{
	h->steps = h->steps > n ? h->steps - n : 0;
	return h->steps != 0;
}

/* ---- constructors -------------------------------------------------------------------------------- */

struct jinja_value jinja_undefined(const char *name)
{
	struct jinja_value v = jinja_text(name);

	v.type = JINJA_UNDEFINED;
	return v;
}

struct jinja_value jinja_none(void)
{
	return (struct jinja_value){ .type = JINJA_NONE };
}

struct jinja_value jinja_bool(bool b)
{
	return (struct jinja_value){ .type = JINJA_BOOL, .u.b = b };
}

struct jinja_value jinja_int(int64_t i)
{
	return (struct jinja_value){ .type = JINJA_INT, .u.i = i };
}

struct jinja_value jinja_float(double f)
{
	return (struct jinja_value){ .type = JINJA_FLOAT, .u.f = f };
}

struct jinja_value jinja_string(const char *s, size_t len)
{
	return (struct jinja_value){ .type = JINJA_STRING, .u.str = { len != 0 ? s : "", len } };
}

struct jinja_value jinja_text(const char *s)
{
	return jinja_string(s, strlen(s));
}

int jinja_list_new(struct jinja_heap *h, enum jinja_type type, struct jinja_value *out)
{
	struct jinja_list *l = jinja_heap_alloc(h, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	*out = (struct jinja_value){ .type = (uint8_t)type, .u.list = l };
	return 0;
}

int jinja_dict_new(struct jinja_heap *h, enum jinja_type type, struct jinja_value *out)
{
	struct jinja_dict *d = jinja_heap_alloc(h, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	*out = (struct jinja_value){ .type = (uint8_t)type, .u.dict = d };
	return 0;
}

int jinja_string_copy(struct jinja_heap *h, const char *s, size_t len, struct jinja_value *out)
{
	char *p = jinja_heap_alloc(h, len + (len == 0));

	if (p == NULL)
		return -ENOMEM;
	if (len != 0)
		memcpy(p, s, len);
	*out = jinja_string(p, len);
	return 0;
}

/* ---- lists and dicts ----------------------------------------------------------------------------- */

/* *v holds *cap elements of size bytes, n of them used: make room for one more. */
static int grow(struct jinja_heap *h, void **v, size_t *cap, size_t n, size_t size)
{
	size_t bigger = *cap == 0 ? 4 : *cap * 2;
	void *p;

	if (n < *cap)
		return 0;
	if (bigger > SIZE_MAX / 2 / size)
		return -ENOMEM;
	p = jinja_heap_alloc(h, bigger * size);
	if (p == NULL)
		return -ENOMEM;
	if (n != 0)
		memcpy(p, *v, n * size);
	*v = p;
	*cap = bigger;
	return 0;
}

int jinja_list_add(struct jinja_heap *h, struct jinja_list *l, struct jinja_value v)
{
	void *p = l->v;
	int rc = grow(h, &p, &l->cap, l->n, sizeof(*l->v));

	if (rc != 0)
		return rc;
	l->v = p;
	l->v[l->n++] = v;
	return 0;
}

static uint64_t hash_bytes(const char *s, size_t len)
{
	uint64_t x = 0xcbf29ce484222325u;
	size_t i;

	for (i = 0; i < len; i++)
		x = (x ^ (unsigned char)s[i]) * 0x100000001b3u;
	return x;
}

/* A number as an int64 when it is one; 1, 1.0 and true are one key. */
static bool whole(const struct jinja_value *v, int64_t *i)
{
	switch (v->type) {
	case JINJA_BOOL:
		*i = v->u.b;
		return true;
	case JINJA_INT:
		*i = v->u.i;
		return true;
	case JINJA_FLOAT:
		if (!(v->u.f >= -9.2e18 && v->u.f <= 9.2e18) || v->u.f != floor(v->u.f))
			return false;
		*i = (int64_t)v->u.f;
		return true;
	default:
		return false;
	}
}

static uint64_t hash_value(const struct jinja_value *v, unsigned deep)
{
	uint64_t x = 0x9e3779b97f4a7c15u;
	int64_t i;
	size_t k;

	if (v->type == JINJA_STRING)
		return hash_bytes(v->u.str.s, v->u.str.len);
	if (whole(v, &i))
		return (uint64_t)i * 0x9e3779b97f4a7c15u;
	if (jinja_is_seq(v))
		for (k = 0; deep != 0 && k < v->u.list->n && k < 8; k++)
			x = (x ^ hash_value(&v->u.list->v[k], deep - 1)) * 0x100000001b3u;
	return x;
}

struct jinja_entry *jinja_dict_find(struct jinja_heap *h, const struct jinja_dict *d,
				    const struct jinja_value *key)
{
	uint64_t hash = hash_value(key, 4);
	size_t i;

	jinja_heap_work(h, 1 + d->n / 16);
	for (i = 0; i < d->n; i++)
		if (d->v[i].hash == hash && jinja_value_equal(h, &d->v[i].key, key))
			return &d->v[i];
	return NULL;
}

struct jinja_entry *jinja_dict_get(struct jinja_heap *h, const struct jinja_dict *d, struct jinja_str key)
{
	struct jinja_value k = jinja_string(key.s, key.len);

	return jinja_dict_find(h, d, &k);
}

int jinja_dict_set(struct jinja_heap *h, struct jinja_dict *d, struct jinja_value key, struct jinja_value v)
{
	struct jinja_entry *e = jinja_dict_find(h, d, &key);
	void *p = d->v;
	int rc;

	if (e != NULL) {
		e->value = v;
		return 0;
	}
	rc = grow(h, &p, &d->cap, d->n, sizeof(*d->v));
	if (rc != 0)
		return rc;
	d->v = p;
	d->v[d->n++] = (struct jinja_entry){ hash_value(&key, 4), key, v };
	return 0;
}

int jinja_dict_put(struct jinja_heap *h, struct jinja_dict *d, const char *key, struct jinja_value v)
{
	return jinja_dict_set(h, d, jinja_text(key), v);
}

void jinja_dict_remove(struct jinja_dict *d, struct jinja_entry *e)
{
	size_t after = d->n - (size_t)(e - d->v) - 1;

	memmove(e, e + 1, after * sizeof(*e));
	d->n--;
}

/* ---- comparison ---------------------------------------------------------------------------------- */

bool jinja_str_equal(struct jinja_str a, struct jinja_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
}

bool jinja_str_is(struct jinja_str a, const char *b)
{
	return jinja_str_equal(a, (struct jinja_str){ b, strlen(b) });
}

bool jinja_is_seq(const struct jinja_value *v)
{
	return v->type == JINJA_LIST || v->type == JINJA_TUPLE;
}

static bool equal(struct jinja_heap *h, const struct jinja_value *a, const struct jinja_value *b, unsigned deep);

static bool equal_lists(struct jinja_heap *h, const struct jinja_list *a, const struct jinja_list *b, unsigned deep)
{
	size_t i;

	if (a == b)
		return true;
	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (!equal(h, &a->v[i], &b->v[i], deep - 1))
			return false;
	return true;
}

static bool equal_dicts(struct jinja_heap *h, const struct jinja_dict *a, const struct jinja_dict *b, unsigned deep)
{
	const struct jinja_entry *e;
	size_t i;

	if (a == b)
		return true;
	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++) {
		e = jinja_dict_find(h, b, &a->v[i].key);
		if (e == NULL || !equal(h, &a->v[i].value, &e->value, deep - 1))
			return false;
	}
	return true;
}

static bool equal_numbers(const struct jinja_value *a, const struct jinja_value *b)
{
	int64_t i, j;

	if (whole(a, &i) && whole(b, &j))
		return i == j;
	return a->type == JINJA_FLOAT && b->type == JINJA_FLOAT && a->u.f == b->u.f;
}

static bool is_number(const struct jinja_value *v)
{
	return v->type == JINJA_BOOL || v->type == JINJA_INT || v->type == JINJA_FLOAT;
}

static bool equal(struct jinja_heap *h, const struct jinja_value *a, const struct jinja_value *b, unsigned deep)
{
	if (deep == 0 || !jinja_heap_work(h, 1))
		return false;
	if (is_number(a) && is_number(b))
		return equal_numbers(a, b);
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case JINJA_UNDEFINED:
	case JINJA_NONE:
		return true;
	case JINJA_STRING:
		jinja_heap_work(h, a->u.str.len == b->u.str.len ? a->u.str.len / 64 : 0);
		return jinja_str_equal(a->u.str, b->u.str);
	case JINJA_LIST:
	case JINJA_TUPLE:
		return equal_lists(h, a->u.list, b->u.list, deep);
	case JINJA_DICT:
		return equal_dicts(h, a->u.dict, b->u.dict, deep);
	case JINJA_METHOD:
		return a->u.method == b->u.method;
	default:
		return a->u.dict == b->u.dict;  /* one and the same */
	}
}

bool jinja_value_equal(struct jinja_heap *h, const struct jinja_value *a, const struct jinja_value *b)
{
	return equal(h, a, b, EQUAL_DEEP);
}

/* ---- the rest ------------------------------------------------------------------------------------ */

bool jinja_truth(const struct jinja_value *v)
{
	switch (v->type) {
	case JINJA_UNDEFINED:
	case JINJA_NONE:
	case JINJA_ABSENT:
		return false;
	case JINJA_BOOL:
		return v->u.b;
	case JINJA_INT:
		return v->u.i != 0;
	case JINJA_FLOAT:
		return v->u.f != 0;
	case JINJA_STRING:
		return v->u.str.len != 0;
	case JINJA_LIST:
	case JINJA_TUPLE:
		return v->u.list->n != 0;
	case JINJA_DICT:
		return v->u.dict->n != 0;
	default:
		return true;
	}
}

const char *jinja_type_name(const struct jinja_value *v)
{
	static const char *const names[] = {
		"undefined", "None", "bool", "int", "float", "str", "list", "tuple", "dict", "namespace", "macro",
		"function", "method", "loop", "cycler", "joiner", "nothing"
	};

	return names[v->type];
}
