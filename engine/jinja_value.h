/* jinja_value.h - the values that templates compute with, and the heap that owns them.
 *
 * Every value lives in one heap and is freed with it: there is no other ownership, so lists that hold
 * themselves are no matter.  The heap also counts the work of a rendering.  Values are passed by value
 * (24 bytes); strings, lists and dicts are shared, not copied, by an assignment.
 *
 * Invariants:
 *  V1  a heap never holds more than its limit of bytes (JINJA_BLOCK more while a block is not full).
 *  V2  bytes of a string are never changed; any bytes are allowed in them.
 *  V3  keys of a dict are unique under jinja_value_equal and keep the order in which they came.
 * Threads: a heap and its values belong to one caller.
 */
#ifndef ENGINE_JINJA_VALUE_H
#define ENGINE_JINJA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JINJA_BLOCK ((size_t)64 << 10)  /* bytes that a heap asks the system for at once */

struct jinja_heap;
struct jinja_list;
struct jinja_dict;
struct jinja_macro;
struct jinja_method;
struct jinja_loop;
struct jinja_cycle;
struct jinja_builtin;

/* UNDEFINED carries the name of what is missing in str.  ABSENT is an argument that was not given; no
 * template sees it. */
enum jinja_type {
	JINJA_UNDEFINED, JINJA_NONE, JINJA_BOOL, JINJA_INT, JINJA_FLOAT, JINJA_STRING, JINJA_LIST, JINJA_TUPLE,
	JINJA_DICT, JINJA_NAMESPACE, JINJA_MACRO, JINJA_BUILTIN, JINJA_METHOD, JINJA_LOOP, JINJA_CYCLER,
	JINJA_JOINER, JINJA_ABSENT
};

/* Not terminated. */
struct jinja_str {
	const char *s;
	size_t len;
};

/* What a rendering has done with a value that is marked for watching; see jinja_render. */
enum jinja_watch {
	JINJA_WATCH = 1,                /* set by the caller: watch this value */
	JINJA_WATCH_USED = 2,           /* it was looked at */
	JINJA_WATCH_ITEMS = 4           /* its elements were looked at */
};

struct jinja_value {
	uint8_t type;                   /* enum jinja_type */
	uint8_t watch;                  /* JINJA_WATCH or 0 */
	union {
		bool b;
		int64_t i;
		double f;
		struct jinja_str str;
		struct jinja_list *list;        /* LIST, TUPLE */
		struct jinja_dict *dict;        /* DICT, NAMESPACE */
		struct jinja_macro *macro;
		const struct jinja_builtin *builtin;
		struct jinja_method *method;
		struct jinja_loop *loop;
		struct jinja_cycle *cycle;      /* CYCLER, JOINER */
	} u;
};

struct jinja_list {
	struct jinja_value *v;          /* [n] */
	size_t n, cap;
};

struct jinja_entry {
	uint64_t hash;
	struct jinja_value key, value;
};

struct jinja_dict {
	struct jinja_entry *v;          /* [n] */
	size_t n, cap;
};

/* A heap of at most limit bytes that allows steps units of work.  Blocks of block bytes are asked for, or
 * with 0 one for each allocation, so that memory checkers see where each ends.  0 or -ENOMEM. */
int jinja_heap_new(struct jinja_heap **out, size_t limit, uint64_t steps, size_t block)
	__attribute__((warn_unused_result));
void jinja_heap_free(struct jinja_heap *h);     /* takes h; NULL is a no-op */
size_t jinja_heap_bytes(const struct jinja_heap *h);

/* n zero bytes, aligned for any value, until the heap is freed; NULL when the limit or memory is reached. */
void *jinja_heap_alloc(struct jinja_heap *h, size_t n) __attribute__((warn_unused_result));

/* Count n units of work.  False, now and from then on, when more than the heap allows was done. */
bool jinja_heap_work(struct jinja_heap *h, uint64_t n);

struct jinja_value jinja_undefined(const char *name);   /* borrows name */
struct jinja_value jinja_none(void);
struct jinja_value jinja_bool(bool b);
struct jinja_value jinja_int(int64_t i);
struct jinja_value jinja_float(double f);
struct jinja_value jinja_string(const char *s, size_t len);     /* borrows s */
struct jinja_value jinja_text(const char *s);                   /* the same, terminated */

/* New ones in h; type is JINJA_LIST or JINJA_TUPLE, JINJA_DICT or JINJA_NAMESPACE.  0 or -ENOMEM. */
int jinja_list_new(struct jinja_heap *h, enum jinja_type type, struct jinja_value *out)
	__attribute__((warn_unused_result));
int jinja_dict_new(struct jinja_heap *h, enum jinja_type type, struct jinja_value *out)
	__attribute__((warn_unused_result));
int jinja_string_copy(struct jinja_heap *h, const char *s, size_t len, struct jinja_value *out)
	__attribute__((warn_unused_result));

/* Put v at the end; -ENOMEM. */
int jinja_list_add(struct jinja_heap *h, struct jinja_list *l, struct jinja_value v)
	__attribute__((warn_unused_result));

/* Set or replace; -ENOMEM.  The key is not a list or dict (the caller checks). */
int jinja_dict_set(struct jinja_heap *h, struct jinja_dict *d, struct jinja_value key, struct jinja_value v)
	__attribute__((warn_unused_result));
int jinja_dict_put(struct jinja_heap *h, struct jinja_dict *d, const char *key, struct jinja_value v)
	__attribute__((warn_unused_result));            /* borrows key, terminated */

/* The entry of key, or NULL.  Counts work. */
struct jinja_entry *jinja_dict_find(struct jinja_heap *h, const struct jinja_dict *d,
				    const struct jinja_value *key);
struct jinja_entry *jinja_dict_get(struct jinja_heap *h, const struct jinja_dict *d, struct jinja_str key);
void jinja_dict_remove(struct jinja_dict *d, struct jinja_entry *e);

/* Python's ==: numbers by value across types, sequences and dicts by content.  Content nested deeper than
 * 64 is unequal. */
bool jinja_value_equal(struct jinja_heap *h, const struct jinja_value *a, const struct jinja_value *b);

bool jinja_str_equal(struct jinja_str a, struct jinja_str b);
bool jinja_str_is(struct jinja_str a, const char *b);
bool jinja_truth(const struct jinja_value *v);          /* Python's bool() */
bool jinja_is_seq(const struct jinja_value *v);         /* a list or tuple */
const char *jinja_type_name(const struct jinja_value *v);       /* as Python names it */

#endif
