/* gguf_value.c - typed access to the keys, arrays and tensors of a parsed GGUF. */
#include <errno.h>
#include <float.h>
#include <math.h>

#include "engine/gguf_internal.h"

uint32_t gguf_scalar_bytes(uint32_t type)
{
	switch (type) {
	case GGUF_U8:
	case GGUF_I8:
	case GGUF_BOOL:
		return 1;
	case GGUF_U16:
	case GGUF_I16:
		return 2;
	case GGUF_U32:
	case GGUF_I32:
	case GGUF_F32:
		return 4;
	case GGUF_U64:
	case GGUF_I64:
	case GGUF_F64:
		return 8;
	default:
		return 0;
	}
}

uint32_t gguf_version(const struct gguf *g)
{
	return g->version;
}

uint64_t gguf_data_off(const struct gguf *g)
{
	return g->data_off;
}

uint64_t gguf_n_kv(const struct gguf *g)
{
	return g->n_kv;
}

uint64_t gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

size_t gguf_index_bytes(const struct gguf *g)
{
	return sizeof(*g) + g->n_kv * (sizeof(*g->kv) + sizeof(*g->kv_order)) +
	       g->n_tensors * (sizeof(*g->tensors) + sizeof(*g->tensor_order));
}

struct gguf_str gguf_key(const struct gguf *g, uint64_t i, enum gguf_type *type)
{
	*type = (enum gguf_type)g->kv[i].type;
	return g->kv[i].key;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i)
{
	return &g->tensors[i];
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name)
{
	const struct gguf_str want = { name, strlen(name) };
	uint32_t lo = 0, hi = g->n_tensors;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct gguf_tensor *t = &g->tensors[g->tensor_order[mid]];
		int cmp = gguf_str_cmp(t->name, want);

		if (cmp == 0)
			return t;
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct gguf_kv *gguf_kv_find(const struct gguf *g, const char *key)
{
	const struct gguf_str want = { key, strlen(key) };
	uint32_t lo = 0, hi = g->n_kv;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct gguf_kv *kv = &g->kv[g->kv_order[mid]];
		int cmp = gguf_str_cmp(kv->key, want);

		if (cmp == 0)
			return kv;
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* A number of any integer type, when it is not negative. */
static int decode_u64(uint32_t type, const unsigned char *p, uint64_t *out)
{
	int64_t i = 0;
	uint64_t u = 0;

	switch (type) {
	case GGUF_U8:
		u = p[0];
		break;
	case GGUF_U16:
		u = gguf_le16(p);
		break;
	case GGUF_U32:
		u = gguf_le32(p);
		break;
	case GGUF_U64:
		u = gguf_le64(p);
		break;
	case GGUF_I8:
		i = (int8_t)p[0];
		break;
	case GGUF_I16:
		i = (int16_t)gguf_le16(p);
		break;
	case GGUF_I32:
		i = (int32_t)gguf_le32(p);
		break;
	case GGUF_I64:
		i = (int64_t)gguf_le64(p);
		break;
	default:
		return -EINVAL;
	}
	if (i < 0)
		return -EINVAL;
	*out = u | (uint64_t)i;                 /* one of the two is 0 */
	return 0;
}

static int decode_u32(uint32_t type, const unsigned char *p, uint32_t *out)
{
	uint64_t v;
	int rc = decode_u64(type, p, &v);

	if (rc != 0)
		return rc;
	if (v > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

/* F32 as it is; F64 when its magnitude is in the range of a float, or it is not finite. */
static int decode_f32(uint32_t type, const unsigned char *p, float *out)
{
	uint32_t bits32;
	uint64_t bits64;
	double d;

	if (type == GGUF_F32) {
		bits32 = gguf_le32(p);
		memcpy(out, &bits32, sizeof(*out));
		return 0;
	}
	if (type != GGUF_F64)
		return -EINVAL;
	bits64 = gguf_le64(p);
	memcpy(&d, &bits64, sizeof(d));
	if (isfinite(d) && fabs(d) > (double)FLT_MAX)
		return -EINVAL;
	*out = (float)d;
	return 0;
}

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out)
{
	const struct gguf_kv *kv = gguf_kv_find(g, key);

	return kv == NULL ? -ENOENT : decode_u32(kv->type, kv->data, out);
}

int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out)
{
	const struct gguf_kv *kv = gguf_kv_find(g, key);

	return kv == NULL ? -ENOENT : decode_u64(kv->type, kv->data, out);
}

int gguf_get_f32(const struct gguf *g, const char *key, float *out)
{
	const struct gguf_kv *kv = gguf_kv_find(g, key);

	return kv == NULL ? -ENOENT : decode_f32(kv->type, kv->data, out);
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out)
{
	const struct gguf_kv *kv = gguf_kv_find(g, key);

	if (kv == NULL)
		return -ENOENT;
	if (kv->type != GGUF_BOOL)
		return -EINVAL;
	*out = kv->data[0] != 0;
	return 0;
}

int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out)
{
	const struct gguf_kv *kv = gguf_kv_find(g, key);

	if (kv == NULL)
		return -ENOENT;
	if (kv->type != GGUF_STR)
		return -EINVAL;
	*out = (struct gguf_str){ (const char *)kv->data, kv->nbytes };
	return 0;
}

int gguf_get_arr(const struct gguf *g, const char *key, struct gguf_arr *out)
{
	const struct gguf_kv *kv = gguf_kv_find(g, key);

	if (kv == NULL)
		return -ENOENT;
	if (kv->type != GGUF_ARR)
		return -EINVAL;
	*out = (struct gguf_arr){
		.elem_type = (enum gguf_type)kv->elem_type, .n = kv->n, .data = kv->data, .nbytes = kv->nbytes
	};
	return 0;
}

int gguf_arr_u32(const struct gguf_arr *a, uint64_t i, uint32_t *out)
{
	if (i >= a->n)
		return -EINVAL;
	return decode_u32(a->elem_type, a->data + i * gguf_scalar_bytes(a->elem_type), out);
}

int gguf_arr_f32(const struct gguf_arr *a, uint64_t i, float *out)
{
	if (i >= a->n)
		return -EINVAL;
	return decode_f32(a->elem_type, a->data + i * gguf_scalar_bytes(a->elem_type), out);
}

int gguf_arr_str(const struct gguf_arr *a, uint64_t *cursor, struct gguf_str *out)
{
	uint64_t n;

	if (a->elem_type != GGUF_STR || *cursor > a->nbytes || a->nbytes - *cursor < 8)
		return -EINVAL;
	n = gguf_le64(a->data + *cursor);
	if (n > a->nbytes - *cursor - 8)
		return -EINVAL;
	*out = (struct gguf_str){ (const char *)a->data + *cursor + 8, (size_t)n };
	*cursor += 8 + n;
	return 0;
}
