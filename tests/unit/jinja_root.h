/* jinja_root.h - values for templates out of JSON, for the tests of templates. */
#ifndef TESTS_UNIT_JINJA_ROOT_H
#define TESTS_UNIT_JINJA_ROOT_H

#include "engine/jinja_value.h"

/* The value of a JSON text, owned by h.  0, -EINVAL for a text that is none, -ENOMEM. */
int jinja_root(struct jinja_heap *h, const char *json, struct jinja_value *out) __attribute__((warn_unused_result));

#endif
