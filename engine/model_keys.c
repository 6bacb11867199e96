/* model_keys.c - numbers out of a model's metadata. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/compat.h"
#include "engine/model_internal.h"

int model_fault(char *err, size_t errlen, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return rc;
}

static bool has_key(const struct model *m, const char *key)
{
	uint32_t v;

	return gguf_get_u32(weights_meta(m->w), key, &v) != -ENOENT;
}

/* The name that the file has for a key, or the usual one when it has none. */
static const char *full_key(const struct model *m, const char *suffix, char key[MODEL_NAME_MAX])
{
	const char *other = compat_key(m->arch->name, suffix);
	int n = (int)(m->file_arch.len < MODEL_NAME_MAX ? m->file_arch.len : MODEL_NAME_MAX);

	snprintf(key, MODEL_NAME_MAX, "%.*s.%s", n, m->file_arch.s, suffix);
	if (other != NULL && !has_key(m, key)) {
		snprintf(key, MODEL_NAME_MAX, "%.*s.%s", n, m->file_arch.s, other);
		if (!has_key(m, key))
			snprintf(key, MODEL_NAME_MAX, "%.*s.%s", n, m->file_arch.s, suffix);
	}
	return key;
}

/* What a look-up's result means for a key. */
static int key_result(int rc, const char *key, bool required, char *err, size_t errlen)
{
	if (rc == 0 || (rc == -ENOENT && !required))
		return 0;
	if (rc == -ENOENT)
		return model_fault(err, errlen, -EINVAL, "the key '%s' is missing", key);
	return model_fault(err, errlen, -EINVAL, "the key '%s' has the wrong type or is out of range", key);
}

int model_key_u32(const struct model *m, const char *suffix, bool required, uint32_t *out, char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];

	full_key(m, suffix, key);
	return key_result(gguf_get_u32(weights_meta(m->w), key, out), key, required, err, errlen);
}

int model_key_f32(const struct model *m, const char *suffix, bool required, float *out, char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];
	float v = *out;
	int rc;

	full_key(m, suffix, key);
	rc = gguf_get_f32(weights_meta(m->w), key, &v);
	if (rc == 0 && !isfinite(v))
		rc = -EINVAL;
	if (rc == 0)
		*out = v;
	return key_result(rc, key, required, err, errlen);
}

int model_key_bool(const struct model *m, const char *suffix, bool required, bool *out, char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];

	full_key(m, suffix, key);
	return key_result(gguf_get_bool(weights_meta(m->w), key, out), key, required, err, errlen);
}

int model_key_layer(const struct model *m, const char *suffix, uint32_t layer, bool required, uint32_t *out,
		    char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];
	struct gguf_arr arr;
	int rc;

	full_key(m, suffix, key);
	rc = gguf_get_arr(weights_meta(m->w), key, &arr);
	if (rc == -EINVAL)              /* there, but no array */
		rc = gguf_get_u32(weights_meta(m->w), key, out);
	else if (rc == 0 && arr.n != m->dims.n_block)
		return model_fault(err, errlen, -EINVAL, "the array '%s' does not have one element a layer", key);
	else if (rc == 0 && arr.elem_type == GGUF_BOOL)
		*out = arr.data[layer];
	else if (rc == 0)
		rc = gguf_arr_u32(&arr, layer, out);
	return key_result(rc, key, required, err, errlen);
}

int model_key_str(const struct model *m, const char *suffix, struct gguf_str *out, char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];

	full_key(m, suffix, key);
	return key_result(gguf_get_str(weights_meta(m->w), key, out), key, false, err, errlen);
}

bool model_has_key(const struct model *m, const char *suffix)
{
	char key[MODEL_NAME_MAX];

	return has_key(m, full_key(m, suffix, key));
}

bool model_key_is_array(const struct model *m, const char *suffix)
{
	char key[MODEL_NAME_MAX];
	struct gguf_arr arr;

	return gguf_get_arr(weights_meta(m->w), full_key(m, suffix, key), &arr) == 0;
}

int model_range(const struct model *m, const char *suffix, uint32_t v, uint32_t max, char *err, size_t errlen)
{
	if (v >= 1 && v <= max)
		return 0;
	return model_fault(err, errlen, -EINVAL, "the key '%s.%s' is %u, outside 1 to %u", m->arch->name, suffix, v, max);
}
