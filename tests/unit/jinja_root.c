/* jinja_root.c - see jinja_root.h. */
#include "tests/unit/jinja_root.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

static int convert(struct jinja_heap *h, json_t *j, struct jinja_value *out);

static int convert_object(struct jinja_heap *h, json_t *j, struct jinja_value *out)
{
	struct jinja_value key, v;
	const char *name;
	json_t *e;
	int rc = jinja_dict_new(h, JINJA_DICT, out);

	json_object_foreach(j, name, e) {
		if (rc == 0)
			rc = jinja_string_copy(h, name, strlen(name), &key);
		if (rc == 0)
			rc = convert(h, e, &v);
		if (rc == 0)
			rc = jinja_dict_set(h, out->u.dict, key, v);
	}
	return rc;
}

static int convert_array(struct jinja_heap *h, json_t *j, struct jinja_value *out)
{
	struct jinja_value v;
	json_t *e;
	size_t i;
	int rc = jinja_list_new(h, JINJA_LIST, out);

	json_array_foreach(j, i, e) {
		if (rc == 0)
			rc = convert(h, e, &v);
		if (rc == 0)
			rc = jinja_list_add(h, out->u.list, v);
	}
	return rc;
}

static int convert(struct jinja_heap *h, json_t *j, struct jinja_value *out)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return convert_object(h, j, out);
	case JSON_ARRAY:
		return convert_array(h, j, out);
	case JSON_STRING:
		return jinja_string_copy(h, json_string_value(j), json_string_length(j), out);
	case JSON_INTEGER:
		*out = jinja_int(json_integer_value(j));
		return 0;
	case JSON_REAL:
		*out = jinja_float(json_real_value(j));
		return 0;
	case JSON_NULL:
		*out = jinja_none();
		return 0;
	default:
		*out = jinja_bool(json_is_true(j));
		return 0;
	}
}

int jinja_root(struct jinja_heap *h, const char *json, struct jinja_value *out)
{
	json_t *j = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	int rc;

	if (j == NULL)
		return -EINVAL;
	rc = convert(h, j, out);
	json_decref(j);
	return rc;
}
