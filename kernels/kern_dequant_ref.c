/* kern_dequant_ref.c - any type to f32: the table of widening functions, and the types without blocks. */
#include <string.h>

#include "kernels/kern_f16.h"
#include "kernels/kern_internal.h"

static void dequant_f32(const void *row, float *y, size_t n)
{
	memcpy(y, row, n * sizeof(*y));
}

static void dequant_f16(const void *row, float *y, size_t n)
{
	const uint16_t *h = row;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = kern_f16_to_f32(h[i]);
}

static void dequant_bf16(const void *row, float *y, size_t n)
{
	const uint16_t *h = row;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = kern_bf16_to_f32(h[i]);
}

static void (*const dequant_fn[KERN_TYPE_COUNT])(const void *row, float *y, size_t n) = {
	[KERN_F32] = dequant_f32, [KERN_F16] = dequant_f16, [KERN_BF16] = dequant_bf16,
	[KERN_Q4_0] = kern_dequant_q4_0_ref, [KERN_Q4_1] = kern_dequant_q4_1_ref,
	[KERN_Q5_0] = kern_dequant_q5_0_ref, [KERN_Q5_1] = kern_dequant_q5_1_ref,
	[KERN_Q8_0] = kern_dequant_q8_0_ref,
	[KERN_IQ4_NL] = kern_dequant_iq4_nl_ref, [KERN_MXFP4] = kern_dequant_mxfp4_ref,
	[KERN_Q2_K] = kern_dequant_q2_k_ref, [KERN_Q3_K] = kern_dequant_q3_k_ref,
	[KERN_Q4_K] = kern_dequant_q4_k_ref, [KERN_Q5_K] = kern_dequant_q5_k_ref,
	[KERN_Q6_K] = kern_dequant_q6_k_ref,
	[KERN_IQ4_XS] = kern_dequant_iq4_xs_ref,
	[KERN_IQ2_XXS] = kern_dequant_iq2_xxs_ref, [KERN_IQ2_XS] = kern_dequant_iq2_xs_ref,
	[KERN_IQ2_S] = kern_dequant_iq2_s_ref,
	[KERN_IQ3_XXS] = kern_dequant_iq3_xxs_ref, [KERN_IQ3_S] = kern_dequant_iq3_s_ref,
};

bool kern_can_dequant(uint32_t type)
{
	return type < KERN_TYPE_COUNT && dequant_fn[type] != NULL;
}

void kern_dequant(uint32_t type, const void *row, float *y, size_t n)
{
	dequant_fn[type](row, y, n);
}
