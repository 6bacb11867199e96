/* jinja.h - templates in the part of Jinja that chat templates use.
 *
 * A template is parsed once and rendered as often as wanted.  The language is Jinja2's as transformers sets
 * it up: trim_blocks, lstrip_blocks, no trailing newline, break and continue, {% generation %} without
 * effect.  There are: output, if, for (else, unpacking, condition, recursive, every loop attribute), set (also
 * of a block and of namespace attributes), macro, call, filter, raw, with, do; the operators, literals and
 * slices of expressions; the filters, tests and methods listed in the tables of jinja_filters*.c,
 * jinja_tests.c and jinja_methods*.c.
 *
 * There are not: other files (include, import, extends, block), autoescape, integers past 64 bits.  Where
 * Jinja has a lazy sequence (map, select, range, items()) there is a list, which prints and counts as one.
 * 'safe' changes nothing, since nothing is escaped by itself.  More is allowed than in Jinja where llama.cpp
 * allows it and a template needs it: attributes of a dict may be set, and lists may be changed.
 *
 * A template comes with a file from anywhere.  Its text, the nesting of its parts, the steps, memory and
 * output of a rendering are bounded; a fault is one line that begins "line N: ".  What the caller gives as
 * values is data and never parsed.
 * Semantics: https://jinja.palletsprojects.com/en/stable/templates/ and the lexer and parser of Jinja 3.1.
 * Threads: a parsed template is constant.
 */
#ifndef ENGINE_JINJA_H
#define ENGINE_JINJA_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "engine/jinja_value.h"

#define JINJA_TEXT_MAX    ((size_t)1 << 20)     /* bytes of a template */
#define JINJA_NEST_MAX    100                   /* expressions or statements inside one another */
#define JINJA_DEPTH_MAX   1000                  /* the same at run time, macros and recursive loops included */
#define JINJA_OUTPUT_MAX  ((size_t)64 << 20)    /* bytes of rendered text */
#define JINJA_MEMORY_MAX  ((size_t)256 << 20)   /* what a heap for one rendering should be limited to */
#define JINJA_STEPS_MAX   ((uint64_t)50000000)  /* and its steps: a step is a node visited or 64 bytes made */

struct jinja;

/* Parse text[0..len), which is copied.  0 and an owned template in *out; -EINVAL for a fault, -E2BIG for a
 * text that is too long or nests too deep, -ENOMEM; err then holds one line and *out is untouched. */
int jinja_parse(struct jinja **out, const char *text, size_t len, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void jinja_free(struct jinja *t);               /* takes t; NULL is a no-op */
size_t jinja_bytes(const struct jinja *t);      /* memory that t holds */

/* What a rendering is given, and what it tells. */
struct jinja_render {
	struct jinja_heap *heap;        /* borrowed; owns root, and the output until then */
	struct jinja_value root;        /* a dict: the names that the template sees */
	const struct tm *now;           /* for strftime_now; NULL: there is no such function */
	unsigned watched;               /* out: enum jinja_watch, of all values marked for watching */
};

/* Render t.  0 and the text in *out, which lives as long as the heap; negative errno with one line in err:
 * -ECANCELED when the template called raise_exception (the line is its message), -E2BIG when a limit was
 * reached, -ENOMEM when that was the heap's or the system's memory, -EINVAL for any other fault. */
int jinja_render(const struct jinja *t, struct jinja_render *r, struct jinja_str *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

#endif
