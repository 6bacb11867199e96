/* kern_type.c - the table of GGUF's tensor types.
 *
 * Block sizes as ggml's own block structures give them:
 * https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h
 */
#include "kernels/kern_type.h"

#include <stddef.h>

/* An id without a name is one that the format retired. */
static const struct kern_type table[KERN_TYPE_COUNT] = {
	[KERN_F32]     = { "F32", 1, 4 },
	[KERN_F16]     = { "F16", 1, 2 },
	[KERN_Q4_0]    = { "Q4_0", 32, 18 },
	[KERN_Q4_1]    = { "Q4_1", 32, 20 },
	[KERN_Q5_0]    = { "Q5_0", 32, 22 },
	[KERN_Q5_1]    = { "Q5_1", 32, 24 },
	[KERN_Q8_0]    = { "Q8_0", 32, 34 },
	[KERN_Q8_1]    = { "Q8_1", 32, 36 },
	[KERN_Q2_K]    = { "Q2_K", 256, 84 },
	[KERN_Q3_K]    = { "Q3_K", 256, 110 },
	[KERN_Q4_K]    = { "Q4_K", 256, 144 },
	[KERN_Q5_K]    = { "Q5_K", 256, 176 },
	[KERN_Q6_K]    = { "Q6_K", 256, 210 },
	[KERN_Q8_K]    = { "Q8_K", 256, 292 },
	[KERN_IQ2_XXS] = { "IQ2_XXS", 256, 66 },
	[KERN_IQ2_XS]  = { "IQ2_XS", 256, 74 },
	[KERN_IQ3_XXS] = { "IQ3_XXS", 256, 98 },
	[KERN_IQ1_S]   = { "IQ1_S", 256, 50 },
	[KERN_IQ4_NL]  = { "IQ4_NL", 32, 18 },
	[KERN_IQ3_S]   = { "IQ3_S", 256, 110 },
	[KERN_IQ2_S]   = { "IQ2_S", 256, 82 },
	[KERN_IQ4_XS]  = { "IQ4_XS", 256, 136 },
	[KERN_I8]      = { "I8", 1, 1 },
	[KERN_I16]     = { "I16", 1, 2 },
	[KERN_I32]     = { "I32", 1, 4 },
	[KERN_I64]     = { "I64", 1, 8 },
	[KERN_F64]     = { "F64", 1, 8 },
	[KERN_IQ1_M]   = { "IQ1_M", 256, 56 },
	[KERN_BF16]    = { "BF16", 1, 2 },
	[KERN_TQ1_0]   = { "TQ1_0", 256, 54 },
	[KERN_TQ2_0]   = { "TQ2_0", 256, 66 },
	[KERN_MXFP4]   = { "MXFP4", 32, 17 },
	[KERN_NVFP4]   = { "NVFP4", 64, 36 },
	[KERN_Q1_0]    = { "Q1_0", 128, 18 },
	[KERN_Q2_0]    = { "Q2_0", 64, 18 },
};

const struct kern_type *kern_type(uint32_t id)
{
	if (id >= KERN_TYPE_COUNT || table[id].name == NULL)
		return NULL;
	return &table[id];
}
