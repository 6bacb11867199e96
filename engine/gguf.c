/* gguf.c - read and validate a GGUF header.
 *
 * A header is: magic, version, number of tensors, number of keys; the keys with their values; the
 * tensors' names, shapes, types and offsets; padding.  Each is read once, front to back.  Every
 * count and length is compared with the bytes that are left before it is used for anything.
 */
#include "engine/gguf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/gguf_internal.h"
#include "kernels/kern_type.h"

#define KEYS_MAX          65536u
#define TENSORS_MAX       65536u
#define NAME_BYTES_MAX    65535u        /* keys and tensor names; the format's own limit for keys */
#define STRING_BYTES_MAX  (16u << 20)
#define ARRAY_ELEMS_MAX   (16u << 20)
#define ALIGN_DEFAULT     32u
#define ALIGN_MIN         8u
#define ALIGN_MAX         65536u

#define KEY_BYTES_MIN     13u           /* length, empty name, type, one byte of value */
#define TENSOR_BYTES_MIN  32u           /* length, empty name, n_dims, one dimension, type, offset */
#define STRING_BYTES_MIN  8u            /* a length */

static int check_magic(const struct gguf_reader *r)
{
	char magic[GGUF_QUOTE_BYTES];
	int rc = gguf_need(r, 4, "magic");

	if (rc != 0)
		return rc;
	if (memcmp(r->buf, "GGUF", 4) == 0)
		return 0;
	if (memcmp(r->buf, "FUGG", 4) == 0)
		return gguf_fault(r, "magic is 'FUGG': a byte-swapped (big-endian) or version 1 draft file, "
				  "which is not supported");
	gguf_quote(magic, (struct gguf_str){ (const char *)r->buf, 4 });
	return gguf_fault(r, "magic is '%s', not 'GGUF': this is no GGUF file", magic);
}

static int check_version(const struct gguf_reader *r, uint32_t version)
{
	if (version == 2 || version == 3)
		return 0;
	if (version == 1)
		return gguf_fault(r, "version 1 is not supported (2 and 3 are): convert the model again");
	if (version != 0 && (version & 0xffff) == 0)
		return gguf_fault(r, "version is 0x%08" PRIx32 ": a big-endian file, which is not supported",
				  version);
	return gguf_fault(r, "version %" PRIu32 " is not supported (2 and 3 are)", version);
}

static int read_counts(struct gguf_reader *r, struct gguf *g)
{
	uint64_t n_tensors, n_kv, bytes;
	int rc;

	rc = check_magic(r);
	if (rc != 0)
		return rc;
	r->pos = 4;
	rc = gguf_take_u32(r, "version", &g->version);
	if (rc != 0)
		return rc;
	rc = check_version(r, g->version);
	if (rc != 0)
		return rc;
	rc = gguf_take_u64(r, "number of tensors", &n_tensors);
	if (rc != 0)
		return rc;
	rc = gguf_take_u64(r, "number of keys", &n_kv);
	if (rc != 0)
		return rc;
	rc = gguf_need_entries(r, n_tensors, TENSORS_MAX, TENSOR_BYTES_MIN, "tensors");
	if (rc != 0)
		return rc;
	rc = gguf_need_entries(r, n_kv, KEYS_MAX, KEY_BYTES_MIN, "keys");
	if (rc != 0)
		return rc;
	bytes = n_tensors * TENSOR_BYTES_MIN + n_kv * KEY_BYTES_MIN;    /* both are capped */
	rc = gguf_need(r, bytes, "header");
	if (rc != 0)
		return rc;
	g->n_tensors = (uint32_t)n_tensors;
	g->n_kv = (uint32_t)n_kv;
	return 0;
}

static int check_bools(const struct gguf_reader *r, const unsigned char *p, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		if (p[i] > 1)
			return gguf_fault(r, "bool is %u, neither 0 nor 1", p[i]);
	}
	return 0;
}

/* Step over the n strings of an array. */
static int skip_strings(struct gguf_reader *r, uint64_t n)
{
	struct gguf_str s;
	uint64_t i;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++)
		rc = gguf_take_str(r, "array element", STRING_BYTES_MAX, &s);
	return rc;
}

static int read_array(struct gguf_reader *r, struct gguf_kv *kv)
{
	uint32_t elem;
	size_t start;
	int rc;

	rc = gguf_take_u32(r, "array element type", &kv->elem_type);
	if (rc != 0)
		return rc;
	if (kv->elem_type == GGUF_ARR)
		return gguf_fault(r, "array of arrays is not supported");
	elem = gguf_scalar_bytes(kv->elem_type);
	if (elem == 0 && kv->elem_type != GGUF_STR)
		return gguf_fault(r, "array element type %" PRIu32 " is unknown", kv->elem_type);
	rc = gguf_take_u64(r, "array length", &kv->n);
	if (rc != 0)
		return rc;
	rc = gguf_need_entries(r, kv->n, ARRAY_ELEMS_MAX, elem != 0 ? elem : STRING_BYTES_MIN,
			       "array elements");
	if (rc != 0)
		return rc;
	start = r->pos;
	kv->data = r->buf + start;
	if (elem != 0)
		r->pos += (size_t)kv->n * elem;         /* gguf_need_entries found them all */
	else
		rc = skip_strings(r, kv->n);
	kv->nbytes = r->pos - start;
	if (rc == 0 && kv->elem_type == GGUF_BOOL)
		rc = check_bools(r, kv->data, kv->n);
	return rc;
}

static int read_value(struct gguf_reader *r, struct gguf_kv *kv)
{
	uint32_t bytes = gguf_scalar_bytes(kv->type);
	struct gguf_str s;
	int rc;

	if (kv->type == GGUF_ARR)
		return read_array(r, kv);
	if (kv->type == GGUF_STR) {
		rc = gguf_take_str(r, "string", STRING_BYTES_MAX, &s);
		if (rc != 0)
			return rc;
		kv->data = (const unsigned char *)s.s;
		kv->nbytes = s.len;
		return 0;
	}
	if (bytes == 0)
		return gguf_fault(r, "value type %" PRIu32 " is unknown", kv->type);
	rc = gguf_need(r, bytes, "value");
	if (rc != 0)
		return rc;
	kv->data = r->buf + r->pos;
	kv->nbytes = bytes;
	r->pos += bytes;
	return kv->type == GGUF_BOOL ? check_bools(r, kv->data, 1) : 0;
}

static int read_kv(struct gguf_reader *r, struct gguf_kv *kv)
{
	int rc = gguf_take_str(r, "key", NAME_BYTES_MAX, &kv->key);

	if (rc != 0)
		return rc;
	if (kv->key.len == 0)
		return gguf_fault(r, "the key is empty");
	r->name = kv->key;
	rc = gguf_take_u32(r, "value type", &kv->type);
	if (rc != 0)
		return rc;
	return read_value(r, kv);
}

/* Point the error lines at entry i of a kind. */
static void reader_at(struct gguf_reader *r, const char *kind, uint32_t i, struct gguf_str name)
{
	r->kind = kind;
	r->number = i;
	r->name = name;
}

static int read_kvs(struct gguf_reader *r, struct gguf *g)
{
	const struct gguf_str unknown = { NULL, 0 };
	uint32_t i;
	int rc;

	g->kv = calloc(g->n_kv, sizeof(*g->kv));
	g->kv_order = calloc(g->n_kv, sizeof(*g->kv_order));
	if (g->n_kv != 0 && (g->kv == NULL || g->kv_order == NULL))
		return -ENOMEM;
	for (i = 0; i < g->n_kv; i++) {
		reader_at(r, "key", i, unknown);
		rc = read_kv(r, &g->kv[i]);
		if (rc != 0)
			return rc;
	}
	gguf_order_sort(g->kv_order, g->n_kv, gguf_cmp_key, g);
	for (i = 1; i < g->n_kv; i++) {
		uint32_t a = g->kv_order[i - 1], b = g->kv_order[i];

		if (gguf_cmp_key(g, a, b) != 0)
			continue;
		reader_at(r, "key", a > b ? a : b, g->kv[b].key);
		return gguf_fault(r, "duplicate of key number %" PRIu32, a > b ? b : a);
	}
	r->kind = NULL;
	return 0;
}

static int read_alignment(struct gguf_reader *r, struct gguf *g)
{
	const struct gguf_kv *kv = gguf_kv_find(g, "general.alignment");

	g->align = ALIGN_DEFAULT;
	if (kv == NULL)
		return 0;
	reader_at(r, "key", (uint32_t)(kv - g->kv), kv->key);
	if (kv->type != GGUF_U32)
		return gguf_fault(r, "the alignment has type %" PRIu32 ", not %d (u32)", kv->type, GGUF_U32);
	g->align = gguf_le32(kv->data);
	if (g->align < ALIGN_MIN || g->align > ALIGN_MAX || (g->align & (g->align - 1)) != 0)
		return gguf_fault(r, "alignment %" PRIu32 " is no power of two from %u to %u",
				  g->align, ALIGN_MIN, ALIGN_MAX);
	r->kind = NULL;
	return 0;
}

/* Elements and bytes of a tensor whose shape and type are read. */
static int size_tensor(const struct gguf_reader *r, struct gguf_tensor *t)
{
	const struct kern_type *type = kern_type(t->type);
	uint64_t elems = 1;
	uint32_t i;

	if (type == NULL)
		return gguf_fault(r, "type %" PRIu32 " is unknown", t->type);
	for (i = 0; i < GGUF_MAX_DIMS; i++) {
		if (t->ne[i] == 0)
			return gguf_fault(r, "dimension %" PRIu32 " is 0", i);
		if (__builtin_mul_overflow(elems, t->ne[i], &elems) || elems > INT64_MAX)
			return gguf_fault(r, "dimensions %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
					  " are too large", t->ne[0], t->ne[1], t->ne[2], t->ne[3]);
	}
	if (t->ne[0] % type->elems != 0)
		return gguf_fault(r, "rows of %" PRIu64 " elements are no whole number of %s blocks of %" PRIu32,
				  t->ne[0], type->name, type->elems);
	if (__builtin_mul_overflow(elems / type->elems, type->bytes, &t->nbytes))
		return gguf_fault(r, "%" PRIu64 " elements of type %s are too large", elems, type->name);
	return 0;
}

static int read_tensor(struct gguf_reader *r, struct gguf_tensor *t)
{
	uint32_t i;
	int rc;

	rc = gguf_take_str(r, "name", NAME_BYTES_MAX, &t->name);
	if (rc != 0)
		return rc;
	if (t->name.len == 0)
		return gguf_fault(r, "the name is empty");
	r->name = t->name;
	rc = gguf_take_u32(r, "number of dimensions", &t->ndims);
	if (rc != 0)
		return rc;
	if (t->ndims < 1 || t->ndims > GGUF_MAX_DIMS)
		return gguf_fault(r, "%" PRIu32 " dimensions, not 1 to %d", t->ndims, GGUF_MAX_DIMS);
	for (i = 0; i < GGUF_MAX_DIMS; i++) {
		t->ne[i] = 1;
		rc = i < t->ndims ? gguf_take_u64(r, "dimension", &t->ne[i]) : 0;
		if (rc != 0)
			return rc;
	}
	rc = gguf_take_u32(r, "type", &t->type);
	if (rc != 0)
		return rc;
	rc = gguf_take_u64(r, "offset", &t->off);
	if (rc != 0)
		return rc;
	return size_tensor(r, t);
}

/* Turn the offset, which the file counts from the start of the data, into one from its own start. */
static int place_tensor(const struct gguf_reader *r, const struct gguf *g, struct gguf_tensor *t)
{
	uint64_t rel = t->off, end;

	if (rel % g->align != 0)
		return gguf_fault(r, "offset 0x%" PRIx64 " is no multiple of the alignment %" PRIu32,
				  rel, g->align);
	if (__builtin_add_overflow(g->data_off, rel, &t->off) ||
	    __builtin_add_overflow(t->off, t->nbytes, &end) || end > r->file_bytes)
		return gguf_fault(r, "offset 0x%" PRIx64 " + %" PRIu64 " bytes ends past the file "
				  "(%" PRIu64 " bytes, data from 0x%" PRIx64 ")",
				  rel, t->nbytes, r->file_bytes, g->data_off);
	return 0;
}

/* Find the data behind the infos, place every tensor in it, and refuse overlaps. */
static int place_tensors(struct gguf_reader *r, struct gguf *g)
{
	uint32_t i;
	int rc;

	g->data_off = ((uint64_t)r->pos + g->align - 1) & ~(uint64_t)(g->align - 1);
	if (g->n_tensors == 0 && g->data_off > r->file_bytes)
		g->data_off = r->file_bytes;
	for (i = 0; i < g->n_tensors; i++) {
		reader_at(r, "tensor", i, g->tensors[i].name);
		rc = place_tensor(r, g, &g->tensors[i]);
		if (rc != 0)
			return rc;
	}
	gguf_order_sort(g->tensor_order, g->n_tensors, gguf_cmp_tensor_off, g);
	for (i = 1; i < g->n_tensors; i++) {
		uint32_t a = g->tensor_order[i - 1], b = g->tensor_order[i];

		if (g->tensors[a].off + g->tensors[a].nbytes <= g->tensors[b].off)
			continue;
		reader_at(r, "tensor", a > b ? a : b, g->tensors[a > b ? a : b].name);
		return gguf_fault(r, "its data overlaps that of tensor number %" PRIu32, a > b ? b : a);
	}
	return 0;
}

static int check_tensor_names(struct gguf_reader *r, struct gguf *g)
{
	uint32_t i;

	gguf_order_sort(g->tensor_order, g->n_tensors, gguf_cmp_tensor_name, g);
	for (i = 1; i < g->n_tensors; i++) {
		uint32_t a = g->tensor_order[i - 1], b = g->tensor_order[i];

		if (gguf_cmp_tensor_name(g, a, b) != 0)
			continue;
		reader_at(r, "tensor", a > b ? a : b, g->tensors[b].name);
		return gguf_fault(r, "duplicate of tensor number %" PRIu32, a > b ? b : a);
	}
	return 0;
}

static int read_tensors(struct gguf_reader *r, struct gguf *g)
{
	const struct gguf_str unknown = { NULL, 0 };
	uint32_t i;
	int rc;

	rc = gguf_need_entries(r, g->n_tensors, TENSORS_MAX, TENSOR_BYTES_MIN, "tensors");
	if (rc != 0)
		return rc;
	g->tensors = calloc(g->n_tensors, sizeof(*g->tensors));
	g->tensor_order = calloc(g->n_tensors, sizeof(*g->tensor_order));
	if (g->n_tensors != 0 && (g->tensors == NULL || g->tensor_order == NULL))
		return -ENOMEM;
	for (i = 0; i < g->n_tensors; i++) {
		reader_at(r, "tensor", i, unknown);
		rc = read_tensor(r, &g->tensors[i]);
		if (rc != 0)
			return rc;
	}
	rc = place_tensors(r, g);
	return rc != 0 ? rc : check_tensor_names(r, g);
}

static int read_all(struct gguf_reader *r, struct gguf *g)
{
	int rc = read_counts(r, g);

	if (rc == 0)
		rc = read_kvs(r, g);
	if (rc == 0)
		rc = read_alignment(r, g);
	if (rc == 0)
		rc = read_tensors(r, g);
	if (rc == -ENOMEM)
		gguf_fault(r, "no memory for the index of %" PRIu32 " keys and %" PRIu32 " tensors",
			   g->n_kv, g->n_tensors);
	return rc;
}

int gguf_parse(struct gguf **out, const void *buf, size_t len, uint64_t file_bytes,
	       char *err, size_t errlen)
{
	struct gguf_reader r = { .buf = buf, .len = len, .file_bytes = file_bytes, .err = err, .errlen = errlen };
	struct gguf *g;
	int rc;

	if (r.len > r.file_bytes)
		r.len = (size_t)r.file_bytes;
	g = calloc(1, sizeof(*g));
	if (g == NULL) {
		gguf_fault(&r, "no memory");
		return -ENOMEM;
	}
	rc = read_all(&r, g);
	if (rc != 0)
		goto free_index;
	*out = g;
	return 0;

free_index:
	gguf_free(g);
	return rc;
}

void gguf_free(struct gguf *g)
{
	if (g == NULL)
		return;
	free(g->tensor_order);
	free(g->tensors);
	free(g->kv_order);
	free(g->kv);
	free(g);
}
