/* kern_type.h - the storage types of GGUF tensors: names, block sizes, layouts.
 *
 * A tensor row is a whole number of blocks; a block holds `elems` weights in `bytes` bytes.
 * Ids and block sizes are those of the GGUF format (ggml's enum ggml_type).  Ids that the format
 * has retired (4, 5, 31-33, 36-38) and ids above the table are unknown: kern_type() says NULL.
 * Threads: the table is constant.
 */
#ifndef KERNELS_KERN_TYPE_H
#define KERNELS_KERN_TYPE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kern_type_id {
	KERN_F32 = 0, KERN_F16 = 1, KERN_Q4_0 = 2, KERN_Q4_1 = 3, KERN_Q5_0 = 6, KERN_Q5_1 = 7,
	KERN_Q8_0 = 8, KERN_Q8_1 = 9, KERN_Q2_K = 10, KERN_Q3_K = 11, KERN_Q4_K = 12, KERN_Q5_K = 13,
	KERN_Q6_K = 14, KERN_Q8_K = 15, KERN_IQ2_XXS = 16, KERN_IQ2_XS = 17, KERN_IQ3_XXS = 18,
	KERN_IQ1_S = 19, KERN_IQ4_NL = 20, KERN_IQ3_S = 21, KERN_IQ2_S = 22, KERN_IQ4_XS = 23,
	KERN_I8 = 24, KERN_I16 = 25, KERN_I32 = 26, KERN_I64 = 27, KERN_F64 = 28, KERN_IQ1_M = 29,
	KERN_BF16 = 30, KERN_TQ1_0 = 34, KERN_TQ2_0 = 35, KERN_MXFP4 = 39, KERN_NVFP4 = 40,
	KERN_Q1_0 = 41, KERN_Q2_0 = 42,
	KERN_TYPE_COUNT
};

struct kern_type {
	const char *name;               /* as llama.cpp prints it: "Q4_K" */
	uint32_t elems;                 /* weights in a block */
	uint32_t bytes;                 /* bytes of a block */
};

/* The type's description, or NULL for an id that the format does not know. */
const struct kern_type *kern_type(uint32_t id);

#ifdef __cplusplus
}
#endif
#endif
