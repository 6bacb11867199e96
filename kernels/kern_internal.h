/* kern_internal.h - what each implementation file offers to the table in kern_dispatch.c.
 *
 * Only kern_*.c include this.  A function named *_avx2 or *_avx512 may run only where the processor
 * has those instructions; kern_isa_find sees to that.
 */
#ifndef KERNELS_KERN_INTERNAL_H
#define KERNELS_KERN_INTERNAL_H

#include "kernels/kern.h"

/* kern_dequant_{small,k,iq}_ref.c: y[0 .. n) = the weights of a row, as kern_dequant. */
void kern_dequant_q4_0_ref(const void *row, float *y, size_t n);
void kern_dequant_q4_1_ref(const void *row, float *y, size_t n);
void kern_dequant_q5_0_ref(const void *row, float *y, size_t n);
void kern_dequant_q5_1_ref(const void *row, float *y, size_t n);
void kern_dequant_q8_0_ref(const void *row, float *y, size_t n);
void kern_dequant_iq4_nl_ref(const void *row, float *y, size_t n);
void kern_dequant_mxfp4_ref(const void *row, float *y, size_t n);
void kern_dequant_q2_k_ref(const void *row, float *y, size_t n);
void kern_dequant_q3_k_ref(const void *row, float *y, size_t n);
void kern_dequant_q4_k_ref(const void *row, float *y, size_t n);
void kern_dequant_q5_k_ref(const void *row, float *y, size_t n);
void kern_dequant_q6_k_ref(const void *row, float *y, size_t n);
void kern_dequant_iq4_xs_ref(const void *row, float *y, size_t n);
void kern_dequant_iq2_xxs_ref(const void *row, float *y, size_t n);
void kern_dequant_iq2_xs_ref(const void *row, float *y, size_t n);
void kern_dequant_iq2_s_ref(const void *row, float *y, size_t n);
void kern_dequant_iq3_xxs_ref(const void *row, float *y, size_t n);
void kern_dequant_iq3_s_ref(const void *row, float *y, size_t n);

/* kern_*_ref.c: plain C, one value at a time, sums in f64. */
void kern_matmul_rows_ref(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_quantise_ref(const struct kern_acts *a, uint32_t tok0, uint32_t tok1);
void kern_norm_ref(const struct kern_norm *p, uint32_t row0, uint32_t row1);
void kern_rope_ref(const struct kern_rope *p, uint32_t tok0, uint32_t tok1);
void kern_attn_ref(const struct kern_attn *p, uint32_t row0, uint32_t row1);
void kern_attn_block_ref(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t block, uint32_t row0,
			 uint32_t row1);
void kern_attn_merge_ref(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t row0, uint32_t row1);
void kern_glu_ref(const struct kern_glu *p);
void kern_add_ref(const struct kern_add *p);
void kern_conv_ref(const struct kern_conv *p, uint32_t ch0, uint32_t ch1);
void kern_delta_ref(const struct kern_delta *p, uint32_t head0, uint32_t head1);

/* kern_simd_avx2.c: float work in vectors of eight. */
void kern_matmul_float_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_quantise_avx2(const struct kern_acts *a, uint32_t tok0, uint32_t tok1);
void kern_norm_avx2(const struct kern_norm *p, uint32_t tok0, uint32_t tok1);
void kern_attn_avx2(const struct kern_attn *p, uint32_t row0, uint32_t row1);
void kern_attn_block_avx2(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t block, uint32_t row0,
			  uint32_t row1);
void kern_attn_merge_avx2(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t row0, uint32_t row1);
void kern_glu_avx2(const struct kern_glu *p);
void kern_add_avx2(const struct kern_add *p);
void kern_delta_avx2(const struct kern_delta *p, uint32_t head0, uint32_t head1);

/* kern_gemm_avx2.c: quantised rows with quantised activations. */
void kern_matmul_q8_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_1_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_1_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_nl_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_mxfp4_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q2_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q3_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q6_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xxs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_s_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_xxs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_s_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_xs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);

/* kern_matmul_{small,k,iq}_avx2.c: the other types. */
void kern_matmul_q4_1_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_1_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_nl_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_mxfp4_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q2_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q3_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xxs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_s_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_xxs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_s_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_xs_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);

/* kern_simd_avx512.c: the same float work in vectors of sixteen. */
void kern_matmul_float_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_quantise_avx512(const struct kern_acts *a, uint32_t tok0, uint32_t tok1);
void kern_norm_avx512(const struct kern_norm *p, uint32_t tok0, uint32_t tok1);
void kern_attn_avx512(const struct kern_attn *p, uint32_t row0, uint32_t row1);
void kern_attn_block_avx512(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t block, uint32_t row0,
			    uint32_t row1);
void kern_attn_merge_avx512(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t row0, uint32_t row1);
void kern_glu_avx512(const struct kern_glu *p);
void kern_add_avx512(const struct kern_add *p);
void kern_delta_avx512(const struct kern_delta *p, uint32_t head0, uint32_t head1);

/* kern_gemm_avx512.c: the same with VNNI. */
void kern_matmul_q8_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_1_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_1_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_nl_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_mxfp4_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q2_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q3_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q6_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xxs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_s_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_xxs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_s_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_xs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);

/* kern_matmul_{small,k,iq,iq4_xs}_avx512.c: the other types. */
void kern_matmul_q4_1_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_1_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_nl_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_mxfp4_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q2_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q3_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q5_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xxs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_xs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq2_s_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_xxs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq3_s_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_iq4_xs_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);

#endif
