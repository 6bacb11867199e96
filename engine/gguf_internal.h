/* gguf_internal.h - what the files of the GGUF parser share; see gguf.h for the contract.
 *
 * gguf.c reads the header, gguf_read.c is the bounded reader and the place where error lines are
 * made, gguf_order.c sorts and compares, gguf_value.c answers by key.
 */
#ifndef ENGINE_GGUF_INTERNAL_H
#define ENGINE_GGUF_INTERNAL_H

#include <string.h>

#include "engine/gguf.h"

/* One key and its value; nothing of it is read from the file again, except array elements. */
struct gguf_kv {
	struct gguf_str key;
	uint32_t type;                  /* enum gguf_type */
	uint32_t elem_type;             /* GGUF_ARR: enum gguf_type of the elements */
	uint64_t n;                     /* GGUF_ARR: elements */
	const unsigned char *data;      /* the scalar, the text, or the first element */
	size_t nbytes;                  /* at data */
};

struct gguf {
	uint32_t version;
	uint32_t align;
	uint64_t data_off;
	uint32_t n_kv, n_tensors;
	struct gguf_kv *kv;             /* [n_kv], in file order */
	uint32_t *kv_order;             /* [n_kv], indices sorted by key */
	struct gguf_tensor *tensors;    /* [n_tensors], in file order */
	uint32_t *tensor_order;         /* [n_tensors], indices sorted by name */
};

/* ---- gguf_read.c: a cursor over [buf, buf + len) of a file of file_bytes bytes ---------------- */

struct gguf_reader {
	const unsigned char *buf;
	size_t len;                     /* <= file_bytes */
	size_t pos;                     /* <= len */
	uint64_t file_bytes;
	char *err;
	size_t errlen;
	const char *kind;               /* what is being read, "key" or "tensor"; NULL: the file */
	uint32_t number;                /* which one, from 0 */
	struct gguf_str name;           /* its name, s NULL while it is not known */
};

/* Write the error line, after the name of what is being read.  Returns -EINVAL. */
int gguf_fault(const struct gguf_reader *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Quote up to 48 bytes of s into out: printable ASCII as it is, the rest as \xNN. */
#define GGUF_QUOTE_BYTES 200
void gguf_quote(char out[GGUF_QUOTE_BYTES], struct gguf_str s);

/* 0 when n bytes are left, -EINVAL when the file ends before, -EMSGSIZE when only buf does. */
int gguf_need(const struct gguf_reader *r, uint64_t n, const char *what)
	__attribute__((warn_unused_result));

/* 0 when n entries of at least min_bytes each are no more than cap and can be in what is left. */
int gguf_need_entries(const struct gguf_reader *r, uint64_t n, uint64_t cap, uint64_t min_bytes,
		      const char *what) __attribute__((warn_unused_result));

/* Take the next field.  A string is a length and that many bytes, at most max of them. */
int gguf_take_u32(struct gguf_reader *r, const char *what, uint32_t *out)
	__attribute__((warn_unused_result));
int gguf_take_u64(struct gguf_reader *r, const char *what, uint64_t *out)
	__attribute__((warn_unused_result));
int gguf_take_str(struct gguf_reader *r, const char *what, uint64_t max, struct gguf_str *out)
	__attribute__((warn_unused_result));

/* Little-endian numbers at any address, on any machine. */
static inline uint16_t gguf_le16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t gguf_le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t gguf_le64(const unsigned char *p)
{
	return gguf_le32(p) | (uint64_t)gguf_le32(p + 4) << 32;
}

/* ---- gguf_order.c ----------------------------------------------------------------------------- */

/* <0, 0 or >0 for the entries a and b of whatever ctx is. */
typedef int (*gguf_order_cmp)(const void *ctx, uint32_t a, uint32_t b);

/* Fill order[n] with 0..n-1 sorted by cmp: at most about 2 n log2(n) comparisons whatever the
 * entries are, in place. */
void gguf_order_sort(uint32_t *order, uint32_t n, gguf_order_cmp cmp, const void *ctx);

/* A total order over strings, the cheapest: by length, then by bytes. */
int gguf_str_cmp(struct gguf_str a, struct gguf_str b);

/* Orders of a struct gguf: its keys, its tensors' names, its tensors' offsets. */
int gguf_cmp_key(const void *g, uint32_t a, uint32_t b);
int gguf_cmp_tensor_name(const void *g, uint32_t a, uint32_t b);
int gguf_cmp_tensor_off(const void *g, uint32_t a, uint32_t b);

/* ---- gguf_value.c ----------------------------------------------------------------------------- */

/* Bytes of a scalar of that type; 0 for strings, arrays and unknown types. */
uint32_t gguf_scalar_bytes(uint32_t type);

/* The entry of that key, or NULL. */
const struct gguf_kv *gguf_kv_find(const struct gguf *g, const char *key);

#endif
