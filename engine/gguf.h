/* gguf.h - a bounded, pure parser of GGUF v2 and v3 headers.
 *
 * Pointer and length in, a validated index out.  Nothing is read outside [buf, buf + len), nothing
 * is copied out of it, and the memory used is at most 4 bytes for each byte of the header plus
 * 512 (every count is checked against the bytes that are left before anything is allocated).
 * No recursion, no abort; a fault is one line naming the field, where it is and why.  The time is
 * linear in the header, plus n log n comparisons for the names.
 *
 * Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (little-endian).
 *
 * Invariants of a parsed file:
 *  G1  every string, array and tensor it hands out lies inside the file.
 *  G2  keys are unique, tensor names are unique and not empty.
 *  G3  every tensor has a known type, 1..4 dimensions >= 1, rows of whole blocks, an offset that is
 *      a multiple of the alignment, and overlaps no other tensor.
 *  G4  bool values are 0 or 1, arrays are not nested, keys are not empty.
 * Refused besides: more than 65536 keys or tensors, names over 65535 bytes, strings over 16 MiB, arrays
 * over 16 Mi elements, an alignment that is not a u32 power of two in 8..65536, version 1, big-endian.
 * Allowed: gaps between tensors (llama.cpp wants each at the end of the one before, padded), tensors in
 * any order of offsets, bytes after the last one.
 * G1 outlives the parse: lengths are kept in the index, and the strings of an array are checked again as
 * they are handed out, so bytes that change under a mapping cannot lead a reader out of the file.
 * Threads: a parsed gguf is constant; any number of threads may read it.
 */
#ifndef ENGINE_GGUF_H
#define ENGINE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Value types of the format. */
enum gguf_type {
	GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STR,
	GGUF_ARR, GGUF_U64, GGUF_I64, GGUF_F64
};

#define GGUF_MAX_DIMS 4

struct gguf;

/* Bytes inside the file: not terminated, may hold any byte. */
struct gguf_str {
	const char *s;
	size_t len;
};

/* An array value: n elements of elem_type that start at data (unaligned, inside the file). */
struct gguf_arr {
	enum gguf_type elem_type;
	uint64_t n;
	const unsigned char *data;
	size_t nbytes;                  /* of all elements, string lengths included */
};

struct gguf_tensor {
	struct gguf_str name;
	uint32_t type;                  /* enum kern_type_id, known */
	uint32_t ndims;
	uint64_t ne[GGUF_MAX_DIMS];     /* elements, fastest dimension first; 1 past ndims */
	uint64_t off;                   /* bytes from the start of the file */
	uint64_t nbytes;
};

/* Parse the header of a file of file_bytes bytes whose first len bytes are at buf; len may be less
 * than the file as long as the header (all that precedes the tensor data) is in it.
 * Returns 0 and an owned index in *out, which borrows buf until gguf_free; -EINVAL for a malformed
 * file, -EMSGSIZE when the header goes on past len although the file does not end there, -ENOMEM.
 * On failure err holds one line without a full stop and *out is untouched. */
int gguf_parse(struct gguf **out, const void *buf, size_t len, uint64_t file_bytes,
	       char *err, size_t errlen) __attribute__((warn_unused_result));
void gguf_free(struct gguf *g);         /* takes g; NULL is a no-op */

uint32_t gguf_version(const struct gguf *g);
uint64_t gguf_data_off(const struct gguf *g);      /* where the tensor data starts in the file */
size_t gguf_index_bytes(const struct gguf *g);     /* memory that g holds */
uint64_t gguf_n_kv(const struct gguf *g);
uint64_t gguf_n_tensors(const struct gguf *g);

/* The i-th key (i < gguf_n_kv) and its type; the i-th tensor (i < gguf_n_tensors). */
struct gguf_str gguf_key(const struct gguf *g, uint64_t i, enum gguf_type *type);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i);
/* The tensor of that name, or NULL.  At most 17 comparisons. */
const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name);

/* Typed access by key.  0 and the value in *out; -ENOENT when the key is absent; -EINVAL when it is
 * there with another type or does not fit (any integer type is taken as an integer when its value
 * fits; F32 and F64 as a float).  *out is untouched on failure, so defaults can be set before. */
int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out) __attribute__((warn_unused_result));
int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out) __attribute__((warn_unused_result));
int gguf_get_f32(const struct gguf *g, const char *key, float *out) __attribute__((warn_unused_result));
int gguf_get_bool(const struct gguf *g, const char *key, bool *out) __attribute__((warn_unused_result));
int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out) __attribute__((warn_unused_result));
int gguf_get_arr(const struct gguf *g, const char *key, struct gguf_arr *out) __attribute__((warn_unused_result));

/* Element i < a->n of an array.  Strings lie one behind the other: gguf_arr_str walks with a cursor
 * that starts at 0 and is advanced by each call, so that a pass over n strings costs n steps.
 * -EINVAL when the elements are of another kind, the value does not fit, or i or the cursor is past the
 * last element. */
int gguf_arr_u32(const struct gguf_arr *a, uint64_t i, uint32_t *out) __attribute__((warn_unused_result));
int gguf_arr_f32(const struct gguf_arr *a, uint64_t i, float *out) __attribute__((warn_unused_result));
int gguf_arr_str(const struct gguf_arr *a, uint64_t *cursor, struct gguf_str *out) __attribute__((warn_unused_result));

#endif
