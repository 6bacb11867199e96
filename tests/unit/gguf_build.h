/* gguf_build.h - write GGUF files into memory, good ones and deliberately bad ones.
 *
 *	struct gguf_build *b = gguf_build_new(3);
 *
 *	gguf_build_str(b, "general.architecture", "llama");
 *	gguf_build_tensor(b, "output.weight", KERN_F32, 2, (uint64_t[]){ 64, 32 }, weights, 64 * 32 * 4);
 *	rc = gguf_build_finish(b, &bytes, &len);        (takes b; free(bytes) when done)
 *
 * Calls do not fail one by one: a failure (no memory, more than 256 MiB) sticks and gguf_build_finish
 * returns it.  Keys and strings are copied.  Keys go into the file at once, tensors (infos, padding,
 * data) at the end, in the order of the calls.
 */
#ifndef TESTS_UNIT_GGUF_BUILD_H
#define TESTS_UNIT_GGUF_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf_build;

struct gguf_build *gguf_build_new(uint32_t version);    /* NULL without memory: later calls accept it */
void gguf_build_free(struct gguf_build *b);             /* only without gguf_build_finish */

/* Returns 0 and an owned buffer of *len bytes in *out; -ENOMEM, -EFBIG.  Takes b. */
int gguf_build_finish(struct gguf_build *b, unsigned char **out, size_t *len)
	__attribute__((warn_unused_result));

/* Write general.alignment (a power of two) and pad to it; 32 otherwise. */
void gguf_build_align(struct gguf_build *b, uint32_t align);

/* One key of each type. */
void gguf_build_u8(struct gguf_build *b, const char *key, uint8_t v);
void gguf_build_i8(struct gguf_build *b, const char *key, int8_t v);
void gguf_build_u16(struct gguf_build *b, const char *key, uint16_t v);
void gguf_build_i16(struct gguf_build *b, const char *key, int16_t v);
void gguf_build_u32(struct gguf_build *b, const char *key, uint32_t v);
void gguf_build_i32(struct gguf_build *b, const char *key, int32_t v);
void gguf_build_u64(struct gguf_build *b, const char *key, uint64_t v);
void gguf_build_i64(struct gguf_build *b, const char *key, int64_t v);
void gguf_build_f32(struct gguf_build *b, const char *key, float v);
void gguf_build_f64(struct gguf_build *b, const char *key, double v);
void gguf_build_bool(struct gguf_build *b, const char *key, bool v);
void gguf_build_str(struct gguf_build *b, const char *key, const char *v);
void gguf_build_strn(struct gguf_build *b, const char *key, const void *v, size_t len);

/* Arrays: n elements of a scalar type at v, as they lie in memory (little-endian machines); n strings. */
void gguf_build_arr(struct gguf_build *b, const char *key, uint32_t elem_type, const void *v, uint64_t n);
void gguf_build_arr_str(struct gguf_build *b, const char *key, const char *const *v, uint64_t n);

/* A tensor of nbytes at data, or of zeros where data is NULL, at the next free offset. */
void gguf_build_tensor(struct gguf_build *b, const char *name, uint32_t type, uint32_t ndims,
		       const uint64_t *ne, const void *data, size_t nbytes);

/* ---- for bad files: nothing below is checked or corrected ------------------------------------- */

/* A tensor info with any fields; ndims dimensions are written, 1 where there are more than 8.
 * nbytes zeros follow the data of the tensor before, whatever off says. */
struct gguf_build_info {
	const char *name;
	size_t name_len;
	uint32_t type, ndims;
	uint64_t ne[8];
	uint64_t off;
	size_t nbytes;
};
void gguf_build_info(struct gguf_build *b, const struct gguf_build_info *info);

/* A key of any bytes and a value of any type, given as bytes. */
void gguf_build_raw(struct gguf_build *b, const void *key, size_t key_len, uint32_t type,
		    const void *value, size_t len);

/* Bytes straight into the key section, and the key count grown by n. */
void gguf_build_bytes(struct gguf_build *b, const void *bytes, size_t len, uint64_t n);

/* Overwrite a little-endian number of a finished file.  Offsets of the fixed header: */
enum { GGUF_BUILD_MAGIC = 0, GGUF_BUILD_VERSION = 4, GGUF_BUILD_N_TENSORS = 8, GGUF_BUILD_N_KV = 16 };
void gguf_build_put32(unsigned char *file, size_t off, uint32_t v);
void gguf_build_put64(unsigned char *file, size_t off, uint64_t v);

#endif
