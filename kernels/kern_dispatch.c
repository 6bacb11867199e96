/* kern_dispatch.c - which implementation does what, and which one this processor gets. */
#include <string.h>

#include "kernels/kern_internal.h"

#define FLOAT_TYPES(fn) \
	[KERN_F32] = { KERN_ACT_F32, fn }, [KERN_F16] = { KERN_ACT_F32, fn }, \
	[KERN_BF16] = { KERN_ACT_F32, fn }

/* Quantised types: with activations as they are, or quantised to blocks of 32 or 256. */
#define QUANT_F32(fn) \
	[KERN_Q8_0] = { KERN_ACT_F32, fn }, \
	[KERN_Q4_0] = { KERN_ACT_F32, fn }, \
	[KERN_Q4_1] = { KERN_ACT_F32, fn }, \
	[KERN_Q5_0] = { KERN_ACT_F32, fn }, \
	[KERN_Q5_1] = { KERN_ACT_F32, fn }, \
	[KERN_IQ4_NL] = { KERN_ACT_F32, fn }, \
	[KERN_MXFP4] = { KERN_ACT_F32, fn }, \
	[KERN_Q2_K] = { KERN_ACT_F32, fn }, \
	[KERN_Q3_K] = { KERN_ACT_F32, fn }, \
	[KERN_Q4_K] = { KERN_ACT_F32, fn }, \
	[KERN_Q5_K] = { KERN_ACT_F32, fn }, \
	[KERN_Q6_K] = { KERN_ACT_F32, fn }, \
	[KERN_IQ2_XXS] = { KERN_ACT_F32, fn }, \
	[KERN_IQ2_XS] = { KERN_ACT_F32, fn }, \
	[KERN_IQ2_S] = { KERN_ACT_F32, fn }, \
	[KERN_IQ3_XXS] = { KERN_ACT_F32, fn }, \
	[KERN_IQ3_S] = { KERN_ACT_F32, fn }, \
	[KERN_IQ4_XS] = { KERN_ACT_F32, fn }
#define QUANT(isa) \
	[KERN_Q8_0] = { KERN_ACT_Q8, kern_matmul_q8_0_##isa }, \
	[KERN_Q4_0] = { KERN_ACT_Q8, kern_matmul_q4_0_##isa }, \
	[KERN_Q4_1] = { KERN_ACT_Q8, kern_matmul_q4_1_##isa }, \
	[KERN_Q5_0] = { KERN_ACT_Q8, kern_matmul_q5_0_##isa }, \
	[KERN_Q5_1] = { KERN_ACT_Q8, kern_matmul_q5_1_##isa }, \
	[KERN_IQ4_NL] = { KERN_ACT_Q8, kern_matmul_iq4_nl_##isa }, \
	[KERN_MXFP4] = { KERN_ACT_Q8, kern_matmul_mxfp4_##isa }, \
	[KERN_Q2_K] = { KERN_ACT_Q8K, kern_matmul_q2_k_##isa }, \
	[KERN_Q3_K] = { KERN_ACT_Q8K, kern_matmul_q3_k_##isa }, \
	[KERN_Q4_K] = { KERN_ACT_Q8K, kern_matmul_q4_k_##isa }, \
	[KERN_Q5_K] = { KERN_ACT_Q8K, kern_matmul_q5_k_##isa }, \
	[KERN_Q6_K] = { KERN_ACT_Q8K, kern_matmul_q6_k_##isa }, \
	[KERN_IQ2_XXS] = { KERN_ACT_Q8K, kern_matmul_iq2_xxs_##isa }, \
	[KERN_IQ2_XS] = { KERN_ACT_Q8K, kern_matmul_iq2_xs_##isa }, \
	[KERN_IQ2_S] = { KERN_ACT_Q8K, kern_matmul_iq2_s_##isa }, \
	[KERN_IQ3_XXS] = { KERN_ACT_Q8K, kern_matmul_iq3_xxs_##isa }, \
	[KERN_IQ3_S] = { KERN_ACT_Q8K, kern_matmul_iq3_s_##isa }, \
	[KERN_IQ4_XS] = { KERN_ACT_Q8K, kern_matmul_iq4_xs_##isa }

static bool ref_usable(void)
{
	return true;
}

static bool avx2_usable(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
	return false;
#endif
}

static bool avx512_usable(void)
{
#if defined(__x86_64__)
	return avx2_usable() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vnni");
#else
	return false;
#endif
}

static const struct kern_isa isa_ref = {
	.name = "ref",
	.usable = ref_usable,
	.matmul = {
		FLOAT_TYPES(kern_matmul_rows_ref),
		QUANT_F32(kern_matmul_rows_ref),
	},
	.quantise = kern_quantise_ref,
	.norm = kern_norm_ref,
	.rope = kern_rope_ref,
	.attn = kern_attn_ref,
	.attn_block = kern_attn_block_ref,
	.attn_merge = kern_attn_merge_ref,
	.glu = kern_glu_ref,
	.add = kern_add_ref,
	.conv = kern_conv_ref,
	.delta = kern_delta_ref,
};

#if defined(__x86_64__)
static const struct kern_isa isa_avx2 = {
	.name = "avx2",
	.usable = avx2_usable,
	.matmul = {
		FLOAT_TYPES(kern_matmul_float_avx2),
		QUANT(avx2),
	},
	.quantise = kern_quantise_avx2,
	.norm = kern_norm_avx2,
	.rope = kern_rope_ref,
	.attn = kern_attn_avx2,
	.attn_block = kern_attn_block_avx2,
	.attn_merge = kern_attn_merge_avx2,
	.glu = kern_glu_avx2,
	.add = kern_add_avx2,
	.conv = kern_conv_ref,
	.delta = kern_delta_avx2,
};

static const struct kern_isa isa_avx512 = {
	.name = "avx512",
	.usable = avx512_usable,
	.matmul = {
		FLOAT_TYPES(kern_matmul_float_avx512),
		QUANT(avx512),
	},
	.quantise = kern_quantise_avx512,
	.norm = kern_norm_avx512,
	.rope = kern_rope_ref,
	.attn = kern_attn_avx512,
	.attn_block = kern_attn_block_avx512,
	.attn_merge = kern_attn_merge_avx512,
	.glu = kern_glu_avx512,
	.add = kern_add_avx512,
	.conv = kern_conv_ref,
	.delta = kern_delta_avx512,
};
#endif

static const struct kern_isa *const isas[] = {
	&isa_ref,
#if defined(__x86_64__)
	&isa_avx2, &isa_avx512,
#endif
};

#define N_ISAS (sizeof(isas) / sizeof(isas[0]))

const struct kern_isa *kern_isa_at(unsigned i)
{
	return i < N_ISAS ? isas[i] : NULL;
}

const struct kern_isa *kern_isa_find(const char *name)
{
	unsigned i;

	for (i = N_ISAS; i-- > 0;) {
		if ((name == NULL || strcmp(name, isas[i]->name) == 0) && isas[i]->usable())
			return isas[i];
	}
	return NULL;
}
