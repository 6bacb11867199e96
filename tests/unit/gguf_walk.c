/* gguf_walk.c - visit everything that a parsed GGUF hands out. */
#include "tests/unit/gguf_walk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "kernels/kern_type.h"

struct walk {
	const struct gguf *g;
	const unsigned char *buf;
	size_t len;
	uint64_t file_bytes;
	const char *why;
	volatile unsigned char sink;    /* makes the reads happen */
};

static int broken(struct walk *w, const char *why)
{
	if (w->why == NULL)
		w->why = why;
	return -EFAULT;
}

/* Inside the parsed bytes?  Reads the first and the last byte. */
static int walk_bytes(struct walk *w, const void *p, uint64_t n)
{
	uintptr_t at = (uintptr_t)p, start = (uintptr_t)w->buf;

	if (at < start || at - start > w->len || n > w->len - (at - start))
		return broken(w, "bytes outside the buffer");
	if (n != 0)
		w->sink = (unsigned char)(w->buf[at - start] ^ w->buf[at - start + n - 1]);
	return 0;
}

static int walk_array(struct walk *w, const char *key)
{
	struct gguf_arr a;
	struct gguf_str s;
	uint64_t i, cursor = 0;
	uint32_t u;
	float f;
	int rc;

	if (gguf_get_arr(w->g, key, &a) != 0)
		return broken(w, "array without a value");
	rc = walk_bytes(w, a.data, a.nbytes);
	if (a.elem_type == GGUF_ARR)
		return broken(w, "nested array");
	for (i = 0; i < a.n && rc == 0; i++) {
		if (a.elem_type == GGUF_STR) {
			if (gguf_arr_str(&a, &cursor, &s) != 0)
				return broken(w, "string array ends early");
			rc = walk_bytes(w, s.s, s.len);
		} else if (gguf_arr_u32(&a, i, &u) == 0) {
			w->sink = (unsigned char)u;
		} else if (gguf_arr_f32(&a, i, &f) == 0) {
			w->sink = f > 0;
		} else if (a.elem_type == GGUF_BOOL && a.data[i] > 1) {
			return broken(w, "bool over 1 in an array");
		}
	}
	if (rc == 0 && a.elem_type == GGUF_STR && (cursor != a.nbytes || gguf_arr_str(&a, &cursor, &s) != -EINVAL))
		return broken(w, "string array does not end at its end");
	return rc;
}

static int walk_value(struct walk *w, const char *key, enum gguf_type type)
{
	struct gguf_str s;
	uint64_t u = 0;
	float f = 0;
	bool b = false;

	switch (type) {
	case GGUF_ARR:
		return walk_array(w, key);
	case GGUF_STR:
		if (gguf_get_str(w->g, key, &s) != 0)
			return broken(w, "string without a value");
		return walk_bytes(w, s.s, s.len);
	case GGUF_BOOL:
		if (gguf_get_bool(w->g, key, &b) != 0)
			return broken(w, "bool without a value");
		break;
	case GGUF_F32:
		if (gguf_get_f32(w->g, key, &f) != 0)
			return broken(w, "float without a value");
		break;
	default:
		if (gguf_get_u64(w->g, key, &u) == -ENOENT || gguf_get_f32(w->g, key, &f) == -ENOENT)
			return broken(w, "key not found");
	}
	w->sink = (unsigned char)(u ^ b ^ (f > 0));
	return 0;
}

static int walk_kv(struct walk *w, uint64_t i)
{
	enum gguf_type type;
	struct gguf_str key = gguf_key(w->g, i, &type);
	char *copy;
	int rc = walk_bytes(w, key.s, key.len);

	if (rc != 0)
		return rc;
	if (key.len == 0 || type > GGUF_F64)
		return broken(w, "empty key or unknown type");
	if (memchr(key.s, 0, key.len) != NULL)
		return 0;                       /* no C string can ask for it */
	copy = strndup(key.s, key.len);
	if (copy == NULL)
		return -ENOMEM;
	rc = walk_value(w, copy, type);
	free(copy);
	return rc;
}

static int walk_tensor(struct walk *w, uint64_t i)
{
	const struct gguf_tensor *t = gguf_tensor_at(w->g, i);
	const struct kern_type *type = kern_type(t->type);
	uint64_t elems = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
	char *copy;
	int rc = walk_bytes(w, t->name.s, t->name.len);

	if (rc != 0)
		return rc;
	if (t->name.len == 0 || type == NULL || t->ndims < 1 || t->ndims > GGUF_MAX_DIMS)
		return broken(w, "tensor without name, type or dimensions");
	if (elems == 0 || t->ne[0] % type->elems != 0 || t->nbytes / type->bytes * type->elems != elems)
		return broken(w, "tensor size is not its shape's");
	if (t->off < gguf_data_off(w->g) || t->off > w->file_bytes || t->nbytes > w->file_bytes - t->off)
		return broken(w, "tensor data outside the file");
	if (memchr(t->name.s, 0, t->name.len) != NULL)
		return 0;
	copy = strndup(t->name.s, t->name.len);
	if (copy == NULL)
		return -ENOMEM;
	if (gguf_tensor_find(w->g, copy) != t)
		rc = broken(w, "tensor not found under its name");
	free(copy);
	return rc;
}

int gguf_walk(const struct gguf *g, const void *buf, size_t len, uint64_t file_bytes, const char **why)
{
	struct walk w = { .g = g, .buf = buf, .len = len, .file_bytes = file_bytes, .why = NULL };
	uint64_t i;
	int rc = 0;

	if (gguf_data_off(g) > file_bytes || gguf_index_bytes(g) > 4 * len + 512)
		rc = broken(&w, "data before the end of the file, or an index larger than promised");
	for (i = 0; i < gguf_n_kv(g) && rc == 0; i++)
		rc = walk_kv(&w, i);
	for (i = 0; i < gguf_n_tensors(g) && rc == 0; i++)
		rc = walk_tensor(&w, i);
	*why = w.why;
	return rc;
}
