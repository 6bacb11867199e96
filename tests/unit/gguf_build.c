/* gguf_build.c - a small GGUF writer for tests. */
#include "tests/unit/gguf_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"

#define BUILD_BYTES_MAX (256u << 20)

struct bytes {
	unsigned char *p;
	size_t len, cap;
};

struct gguf_build {
	int rc;                         /* the first failure */
	uint32_t version, align;
	uint64_t n_kv, n_tensors;
	struct bytes kv, infos, data;
};

struct gguf_build *gguf_build_new(uint32_t version)
{
	struct gguf_build *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->version = version;
	b->align = 32;
	return b;
}

void gguf_build_free(struct gguf_build *b)
{
	if (b == NULL)
		return;
	free(b->kv.p);
	free(b->infos.p);
	free(b->data.p);
	free(b);
}

/* Append len bytes of v, or zeros where v is NULL. */
static void put(struct gguf_build *b, struct bytes *to, const void *v, size_t len)
{
	size_t cap = to->cap == 0 ? 256 : to->cap;
	unsigned char *p;

	if (b->rc != 0 || len == 0)
		return;
	if (len > BUILD_BYTES_MAX - to->len) {
		b->rc = -EFBIG;
		return;
	}
	while (cap < to->len + len)
		cap *= 2;
	if (cap != to->cap) {
		p = realloc(to->p, cap);
		if (p == NULL) {
			b->rc = -ENOMEM;
			return;
		}
		to->p = p;
		to->cap = cap;
	}
	if (v != NULL)
		memcpy(to->p + to->len, v, len);
	else
		memset(to->p + to->len, 0, len);
	to->len += len;
}

void gguf_build_put32(unsigned char *file, size_t off, uint32_t v)
{
	int i;

	for (i = 0; i < 4; i++)
		file[off + (size_t)i] = (unsigned char)(v >> 8 * i);
}

void gguf_build_put64(unsigned char *file, size_t off, uint64_t v)
{
	gguf_build_put32(file, off, (uint32_t)v);
	gguf_build_put32(file, off + 4, (uint32_t)(v >> 32));
}

static void put32(struct gguf_build *b, struct bytes *to, uint32_t v)
{
	unsigned char le[4];

	gguf_build_put32(le, 0, v);
	put(b, to, le, sizeof(le));
}

static void put64(struct gguf_build *b, struct bytes *to, uint64_t v)
{
	unsigned char le[8];

	gguf_build_put64(le, 0, v);
	put(b, to, le, sizeof(le));
}

static void put_str(struct gguf_build *b, struct bytes *to, const void *s, size_t len)
{
	put64(b, to, len);
	put(b, to, s, len);
}

void gguf_build_raw(struct gguf_build *b, const void *key, size_t key_len, uint32_t type,
		    const void *value, size_t len)
{
	if (b == NULL)
		return;
	put_str(b, &b->kv, key, key_len);
	put32(b, &b->kv, type);
	put(b, &b->kv, value, len);
	b->n_kv++;
}

void gguf_build_bytes(struct gguf_build *b, const void *bytes, size_t len, uint64_t n)
{
	if (b == NULL)
		return;
	put(b, &b->kv, bytes, len);
	b->n_kv += n;
}

/* A scalar whose little-endian form is the low len bytes of v. */
static void put_scalar(struct gguf_build *b, const char *key, uint32_t type, uint64_t v, size_t len)
{
	unsigned char le[8];

	gguf_build_put64(le, 0, v);
	gguf_build_raw(b, key, strlen(key), type, le, len);
}

void gguf_build_u8(struct gguf_build *b, const char *key, uint8_t v)
{
	put_scalar(b, key, GGUF_U8, v, 1);
}

void gguf_build_i8(struct gguf_build *b, const char *key, int8_t v)
{
	put_scalar(b, key, GGUF_I8, (uint64_t)v, 1);
}

void gguf_build_u16(struct gguf_build *b, const char *key, uint16_t v)
{
	put_scalar(b, key, GGUF_U16, v, 2);
}

void gguf_build_i16(struct gguf_build *b, const char *key, int16_t v)
{
	put_scalar(b, key, GGUF_I16, (uint64_t)v, 2);
}

void gguf_build_u32(struct gguf_build *b, const char *key, uint32_t v)
{
	put_scalar(b, key, GGUF_U32, v, 4);
}

void gguf_build_i32(struct gguf_build *b, const char *key, int32_t v)
{
	put_scalar(b, key, GGUF_I32, (uint64_t)v, 4);
}

void gguf_build_u64(struct gguf_build *b, const char *key, uint64_t v)
{
	put_scalar(b, key, GGUF_U64, v, 8);
}

void gguf_build_i64(struct gguf_build *b, const char *key, int64_t v)
{
	put_scalar(b, key, GGUF_I64, (uint64_t)v, 8);
}

void gguf_build_f32(struct gguf_build *b, const char *key, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put_scalar(b, key, GGUF_F32, bits, 4);
}

void gguf_build_f64(struct gguf_build *b, const char *key, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put_scalar(b, key, GGUF_F64, bits, 8);
}

void gguf_build_bool(struct gguf_build *b, const char *key, bool v)
{
	put_scalar(b, key, GGUF_BOOL, v, 1);
}

void gguf_build_str(struct gguf_build *b, const char *key, const char *v)
{
	gguf_build_strn(b, key, v, strlen(v));
}

void gguf_build_strn(struct gguf_build *b, const char *key, const void *v, size_t len)
{
	gguf_build_raw(b, key, strlen(key), GGUF_STR, NULL, 0);
	if (b != NULL)
		put_str(b, &b->kv, v, len);
}

static void put_arr_head(struct gguf_build *b, const char *key, uint32_t elem_type, uint64_t n)
{
	gguf_build_raw(b, key, strlen(key), GGUF_ARR, NULL, 0);
	put32(b, &b->kv, elem_type);
	put64(b, &b->kv, n);
}

void gguf_build_arr(struct gguf_build *b, const char *key, uint32_t elem_type, const void *v, uint64_t n)
{
	static const uint8_t bytes[] = {
		[GGUF_U8] = 1, [GGUF_I8] = 1, [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
		[GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8
	};

	if (b == NULL)
		return;
	put_arr_head(b, key, elem_type, n);
	if (elem_type >= sizeof(bytes) || bytes[elem_type] == 0)
		b->rc = b->rc != 0 ? b->rc : -EINVAL;
	else
		put(b, &b->kv, v, (size_t)n * bytes[elem_type]);
}

void gguf_build_arr_str(struct gguf_build *b, const char *key, const char *const *v, uint64_t n)
{
	uint64_t i;

	if (b == NULL)
		return;
	put_arr_head(b, key, GGUF_STR, n);
	for (i = 0; i < n; i++)
		put_str(b, &b->kv, v[i], strlen(v[i]));
}

void gguf_build_align(struct gguf_build *b, uint32_t align)
{
	if (b == NULL)
		return;
	gguf_build_u32(b, "general.alignment", align);
	b->align = align;
}

static void put_padding(struct gguf_build *b, struct bytes *to, size_t before)
{
	size_t over = (before + to->len) % b->align;

	put(b, to, NULL, over == 0 ? 0 : b->align - over);
}

void gguf_build_info(struct gguf_build *b, const struct gguf_build_info *info)
{
	uint32_t i;

	if (b == NULL)
		return;
	put_str(b, &b->infos, info->name, info->name_len);
	put32(b, &b->infos, info->ndims);
	for (i = 0; i < info->ndims && i < 64; i++)
		put64(b, &b->infos, i < 8 ? info->ne[i] : 1);
	put32(b, &b->infos, info->type);
	put64(b, &b->infos, info->off);
	b->n_tensors++;
	put(b, &b->data, NULL, info->nbytes);
	put_padding(b, &b->data, 0);
}

void gguf_build_tensor(struct gguf_build *b, const char *name, uint32_t type, uint32_t ndims,
		       const uint64_t *ne, const void *data, size_t nbytes)
{
	struct gguf_build_info info = { .name = name, .type = type, .ndims = ndims, .nbytes = nbytes };
	size_t at;

	if (b == NULL)
		return;
	info.name_len = strlen(name);
	memcpy(info.ne, ne, sizeof(*ne) * (ndims < 8 ? ndims : 8));
	put_padding(b, &b->data, 0);
	at = b->data.len;
	info.off = at;
	gguf_build_info(b, &info);
	if (b->rc == 0 && data != NULL && nbytes != 0)
		memcpy(b->data.p + at, data, nbytes);
}

int gguf_build_finish(struct gguf_build *b, unsigned char **out, size_t *len)
{
	struct bytes file = { NULL, 0, 0 };
	int rc;

	if (b == NULL)
		return -ENOMEM;
	put(b, &file, "GGUF", 4);
	put32(b, &file, b->version);
	put64(b, &file, b->n_tensors);
	put64(b, &file, b->n_kv);
	put(b, &file, b->kv.p, b->kv.len);
	put(b, &file, b->infos.p, b->infos.len);
	if (b->n_tensors != 0)
		put_padding(b, &file, 0);
	put(b, &file, b->data.p, b->data.len);
	rc = b->rc;
	gguf_build_free(b);
	if (rc != 0) {
		free(file.p);
		return rc;
	}
	*out = file.p;
	*len = file.len;
	return 0;
}
