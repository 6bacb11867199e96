/* jinja_internal.h - what the files of the template language share. */
#ifndef ENGINE_JINJA_INTERNAL_H
#define ENGINE_JINJA_INTERNAL_H

#include <stdarg.h>

#include "engine/jinja.h"

/* ---- tokens -------------------------------------------------------------------------------------- */

enum jinja_token_type {
	JINJA_T_TEXT, JINJA_T_BLOCK_BEGIN, JINJA_T_BLOCK_END, JINJA_T_VAR_BEGIN, JINJA_T_VAR_END, JINJA_T_NAME,
	JINJA_T_STRING, JINJA_T_INT, JINJA_T_FLOAT, JINJA_T_OP, JINJA_T_END
};

/* Operators, for tokens and for nodes. */
enum jinja_op {
	JINJA_OP_NONE, JINJA_OP_ADD, JINJA_OP_SUB, JINJA_OP_MUL, JINJA_OP_DIV, JINJA_OP_FLOORDIV, JINJA_OP_MOD,
	JINJA_OP_POW, JINJA_OP_CONCAT, JINJA_OP_EQ, JINJA_OP_NE, JINJA_OP_LT, JINJA_OP_LE, JINJA_OP_GT,
	JINJA_OP_GE, JINJA_OP_IN, JINJA_OP_NOT_IN, JINJA_OP_ASSIGN, JINJA_OP_DOT, JINJA_OP_COLON, JINJA_OP_PIPE,
	JINJA_OP_COMMA, JINJA_OP_SEMICOLON, JINJA_OP_LPAREN, JINJA_OP_RPAREN, JINJA_OP_LBRACKET,
	JINJA_OP_RBRACKET, JINJA_OP_LBRACE, JINJA_OP_RBRACE
};

struct jinja_token {
	uint8_t type, op;
	uint32_t line;
	union {
		struct jinja_str text;  /* TEXT, NAME, and STRING with its escapes decoded */
		int64_t i;
		double f;
	} u;
};

/* Where errors go: the first one is kept. */
struct jinja_error {
	char *text;
	size_t len;
	int rc;                         /* 0 while there is none */
};

/* Keep "line N: " and the formatted text, in printable characters, and rc; returns what is kept. */
int jinja_error_set(struct jinja_error *e, int rc, uint32_t line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void jinja_error_text(struct jinja_error *e, int rc, struct jinja_str s);      /* s alone */
int jinja_error_memory(struct jinja_error *e);          /* -ENOMEM and its line */

/* All tokens of text, the last one JINJA_T_END, owned by heap. */
int jinja_lex(struct jinja_heap *heap, struct jinja_str text, struct jinja_token **out, size_t *n,
	      struct jinja_error *err) __attribute__((warn_unused_result));
const char *jinja_op_text(enum jinja_op op);

/* ---- the tree ------------------------------------------------------------------------------------ */

enum jinja_kind {
	/* expressions */
	JINJA_N_CONST, JINJA_N_NAME, JINJA_N_LIST, JINJA_N_TUPLE, JINJA_N_DICT, JINJA_N_ATTR, JINJA_N_ITEM,
	JINJA_N_SLICE, JINJA_N_CALL, JINJA_N_FILTER, JINJA_N_TEST, JINJA_N_NEG, JINJA_N_POS, JINJA_N_BINARY,
	JINJA_N_AND, JINJA_N_OR, JINJA_N_NOT, JINJA_N_COMPARE, JINJA_N_OPERAND, JINJA_N_COND, JINJA_N_KWARG,
	JINJA_N_STAR, JINJA_N_STARSTAR, JINJA_N_BODY_TEXT,
	/* statements */
	JINJA_N_TEXT, JINJA_N_OUTPUT, JINJA_N_FOR, JINJA_N_IF, JINJA_N_SET, JINJA_N_SET_BLOCK, JINJA_N_MACRO,
	JINJA_N_CALL_BLOCK, JINJA_N_FILTER_BLOCK, JINJA_N_BREAK, JINJA_N_CONTINUE, JINJA_N_DO, JINJA_N_WITH,
	JINJA_N_GROUP
};

/* What a, b, c, first and body are depends on kind:
 *  CONST v; NAME, ATTR a.v, KWARG v=a: the name is v; LIST, TUPLE: elements from first; DICT: keys and
 *  values in turn from first; ITEM a[b]; SLICE a:b:c (a part may be NULL); CALL a(first...);
 *  FILTER a|v(first...), TEST a is v(first...), with builtin resolved; NEG, POS, NOT a; BINARY a op b;
 *  AND, OR a, b; COMPARE a and OPERANDs (op, a) from first; COND b if a else c; STAR, STARSTAR a;
 *  BODY_TEXT: the text that a filter of a block applies to.
 *  TEXT v; OUTPUT a; FOR a in b if c: body, else in first, flag = recursive; IF: branches from first, each
 *  a GROUP with its condition in a (NULL for else) and a body; SET a = b; SET_BLOCK a = filters b of body;
 *  MACRO v: parameters from first (NAMEs with a default in a), body, flag = enum jinja_macro_flag;
 *  CALL_BLOCK: parameters from first, the CALL in a, body; FILTER_BLOCK: filters a of body; DO a;
 *  WITH: SETs from first, body; GROUP: body.
 * next is the next sibling. */
struct jinja_node {
	uint8_t kind, op, flag;
	uint32_t line;
	struct jinja_value v;
	const struct jinja_builtin *builtin;
	struct jinja_node *a, *b, *c, *first, *body, *next;
};

enum jinja_macro_flag { JINJA_USES_CALLER = 1, JINJA_USES_KWARGS = 2, JINJA_USES_VARARGS = 4 };

struct jinja {
	struct jinja_heap *heap;
	struct jinja_node *body;
};

struct jinja_parser {
	struct jinja_heap *heap;
	struct jinja_error err;
	const struct jinja_token *token;        /* the next one; END stays */
	unsigned depth, loops;
	unsigned uses;                  /* enum jinja_macro_flag, of the innermost macro */
};

/* All return 0 or the error that is kept in p->err. */
int jinja_parse_expr(struct jinja_parser *p, struct jinja_node **out);          /* one, with 'if else' */
int jinja_parse_tuple(struct jinja_parser *p, bool conditional, struct jinja_node **out);
int jinja_parse_target(struct jinja_parser *p, bool dotted, struct jinja_node **out);
int jinja_parse_filters(struct jinja_parser *p, bool first_named, struct jinja_node *a, struct jinja_node **out);
int jinja_parse_unary(struct jinja_parser *p, bool with_filters, struct jinja_node **out);
int jinja_parse_name(struct jinja_parser *p, struct jinja_node **out);          /* or a named constant */
int jinja_parse_dot(struct jinja_parser *p, struct jinja_node *a, struct jinja_node **out);     /* a.name */
int jinja_parse_fail(struct jinja_parser *p, const char *expected);     /* "expected X, found Y" */
int jinja_parse_node(struct jinja_parser *p, enum jinja_kind kind, struct jinja_node **out);
int jinja_parse_op(struct jinja_parser *p, enum jinja_op op);           /* skip it, or fail */
bool jinja_parse_is_op(const struct jinja_parser *p, enum jinja_op op);
bool jinja_parse_is_name(const struct jinja_parser *p, const char *name);
int jinja_parse_enter(struct jinja_parser *p);          /* one level deeper; undone by p->depth-- */

/* ---- rendering ----------------------------------------------------------------------------------- */

struct jinja_scope {
	struct jinja_scope *parent;
	struct jinja_dict vars;
};

/* Text under construction, in the heap. */
struct jinja_buf {
	char *s;
	size_t len, cap, max;
};

struct jinja_run {
	struct jinja_heap *heap;
	struct jinja_render *render;
	struct jinja_error err;
	struct jinja_scope *scope;
	struct jinja_buf *out;
	struct jinja_value body_text;   /* what BODY_TEXT stands for */
	uint32_t line;                  /* of the node being evaluated */
	unsigned depth;
};

struct jinja_macro {
	const struct jinja_node *def;   /* MACRO or CALL_BLOCK */
	struct jinja_scope *scope;      /* where it was defined */
};

struct jinja_method {
	struct jinja_value self;
	const struct jinja_builtin *builtin;
};

struct jinja_loop {
	struct jinja_list *items;
	size_t i;
	unsigned depth;
	const struct jinja_node *node;
	struct jinja_scope *scope;      /* around the loop */
	struct jinja_value changed;     /* the last arguments of changed(), a tuple; ABSENT before */
};

struct jinja_cycle {
	struct jinja_list *items;       /* of a cycler; a joiner's separator */
	size_t i;
};

/* Arguments of a call. */
struct jinja_args {
	struct jinja_list pos;
	struct jinja_dict named;
};

#define JINJA_PARAMS_MAX 6

struct jinja_call {
	struct jinja_value self;        /* what is filtered, tested, or has the method */
	struct jinja_value a[JINJA_PARAMS_MAX]; /* by the order of params; ABSENT when not given */
	const struct jinja_args *args;  /* as they were given */
};

/* A filter, test, method or function.  params are the names of its arguments, the first min of them
 * required; "*" takes any. */
struct jinja_builtin {
	const char *name;
	int (*fn)(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out);
	const char *params;
	unsigned min;
};

/* In the tables of the language, or NULL. */
const struct jinja_builtin *jinja_filter_find(struct jinja_str name);
const struct jinja_builtin *jinja_test_find(struct jinja_str name);
const struct jinja_builtin *jinja_global_find(struct jinja_str name);
const struct jinja_builtin *jinja_method_find(const struct jinja_value *self, struct jinja_str name);
const struct jinja_builtin *jinja_find_in(const struct jinja_builtin *table, struct jinja_str name);
extern const struct jinja_builtin jinja_filters_text[], jinja_filters_seq[], jinja_filters_pick[];
extern const struct jinja_builtin jinja_methods_str[], jinja_methods_list[], jinja_methods_dict[];

/* Fail at the current line; returns the error. */
int jinja_fail(struct jinja_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int jinja_nomem(struct jinja_run *r);
int jinja_check(struct jinja_run *r, int rc);           /* 0, or -ENOMEM with its line */
int jinja_step(struct jinja_run *r, uint64_t n);        /* -E2BIG when the work is used up */
int jinja_enter(struct jinja_run *r);                   /* one level deeper; undone by r->depth-- */

/* jinja_eval.c, jinja_eval_expr.c */
enum { JINJA_NORMAL, JINJA_BREAK, JINJA_CONTINUE };     /* jinja_exec's other results */
int jinja_exec(struct jinja_run *r, const struct jinja_node *body);
int jinja_exec_captured(struct jinja_run *r, const struct jinja_node *body, struct jinja_value *out);
int jinja_loop_run(struct jinja_run *r, const struct jinja_node *n, const struct jinja_value *items, unsigned depth);
int jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out);
int jinja_eval_call(struct jinja_run *r, const struct jinja_node *n, const struct jinja_value *caller,
		    struct jinja_value *out);
int jinja_assign(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v);
int jinja_scope_push(struct jinja_run *r, struct jinja_scope *parent);  /* r->scope = a new one below parent */

/* jinja_call.c */
int jinja_call_value(struct jinja_run *r, const struct jinja_value *f, const struct jinja_args *args,
		     struct jinja_value *out);
int jinja_call_builtin(struct jinja_run *r, const struct jinja_builtin *b, const struct jinja_value *self,
		       const struct jinja_args *args, struct jinja_value *out);
int jinja_call_filter(struct jinja_run *r, struct jinja_str name, const struct jinja_value *self,
		      const struct jinja_args *args, struct jinja_value *out);
int jinja_call_test(struct jinja_run *r, struct jinja_str name, const struct jinja_value *self,
		    const struct jinja_args *args, bool *out);

/* jinja_attr.c */
int jinja_attr(struct jinja_run *r, const struct jinja_value *v, struct jinja_str name, struct jinja_value *out);
int jinja_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key,
	       struct jinja_value *out);
int jinja_slice(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value part[3],
		struct jinja_value *out);
int jinja_path(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *path,
	       struct jinja_value *out);                /* "a.0.b" of v, or an index */

/* jinja_ops.c */
int jinja_binary(struct jinja_run *r, enum jinja_op op, const struct jinja_value *a, const struct jinja_value *b,
		 struct jinja_value *out);
int jinja_compare(struct jinja_run *r, enum jinja_op op, const struct jinja_value *a, const struct jinja_value *b,
		  bool *out);
int jinja_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, int *out);
int jinja_negate(struct jinja_run *r, const struct jinja_value *a, struct jinja_value *out);
int jinja_contains(struct jinja_run *r, const struct jinja_value *in, const struct jinja_value *v, bool *out);
int jinja_hashable(struct jinja_run *r, const struct jinja_value *v);
bool jinja_as_int(const struct jinja_value *v, int64_t *i);             /* int or bool */
bool jinja_as_float(const struct jinja_value *v, double *f);            /* any number */

/* The elements of anything that a loop takes: a list or tuple as it is, keys, characters; else an error.  A
 * copy where the list might change under the loop. */
int jinja_elements(struct jinja_run *r, const struct jinja_value *v, struct jinja_list **out);

/* jinja_text.c */
int jinja_buf_add(struct jinja_run *r, struct jinja_buf *b, const char *s, size_t len);
int jinja_buf_text(struct jinja_run *r, struct jinja_buf *b, const char *s);
int jinja_buf_str(struct jinja_run *r, struct jinja_buf *b, const struct jinja_value *v);       /* Python's str() */
int jinja_buf_repr(struct jinja_run *r, struct jinja_buf *b, const struct jinja_value *v);
struct jinja_value jinja_buf_value(const struct jinja_buf *b);          /* shares its bytes */
int jinja_str(struct jinja_run *r, const struct jinja_value *v, struct jinja_str *out);         /* str() */
void jinja_float_text(double f, char out[32]);          /* repr() of a float */

/* jinja_json.c, jinja_format.c */
int jinja_filter_tojson(struct jinja_run *r, const struct jinja_call *c, struct jinja_value *out);
int jinja_format(struct jinja_run *r, struct jinja_str fmt, const struct jinja_args *args, struct jinja_value *out);
int jinja_format_braces(struct jinja_run *r, struct jinja_str fmt, const struct jinja_args *args,
			struct jinja_value *out);

/* jinja_unicode.c: strings as characters */
size_t jinja_chars(struct jinja_str s);                 /* how many */
size_t jinja_char_off(struct jinja_str s, size_t n);    /* where the nth begins; s.len past the end */
struct jinja_str jinja_strip(struct jinja_str s, const struct jinja_str *set, bool left, bool right);
enum jinja_case { JINJA_LOWER, JINJA_UPPER, JINJA_TITLE, JINJA_CAPITAL, JINJA_SWAP };
int jinja_recase(struct jinja_run *r, struct jinja_str s, enum jinja_case how, struct jinja_value *out);
uint32_t jinja_lower(uint32_t cp);
uint32_t jinja_upper(uint32_t cp);

#endif
