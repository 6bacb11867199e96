/* kern_internal.h - what each implementation file offers to the table in kern_dispatch.c.
 *
 * Only kern_*.c include this.  A function named *_avx2 or *_avx512 may run only where the processor
 * has those instructions; kern_isa_find sees to that.
 */
#ifndef KERNELS_KERN_INTERNAL_H
#define KERNELS_KERN_INTERNAL_H

#include "kernels/kern.h"

/* kern_*_ref.c: plain C, one value at a time, sums in f64. */
void kern_matmul_rows_ref(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_quantise_ref(const struct kern_acts *a, uint32_t tok0, uint32_t tok1);
void kern_rms_norm_ref(const struct kern_norm *p, uint32_t tok0, uint32_t tok1);
void kern_rope_ref(const struct kern_rope *p, uint32_t tok0, uint32_t tok1);
void kern_attn_ref(const struct kern_attn *p);
void kern_silu_mul_ref(const struct kern_silu_mul *p);
void kern_add_ref(const struct kern_add *p);

/* kern_simd_avx2.c: float work in vectors of eight. */
void kern_matmul_float_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_quantise_avx2(const struct kern_acts *a, uint32_t tok0, uint32_t tok1);
void kern_rms_norm_avx2(const struct kern_norm *p, uint32_t tok0, uint32_t tok1);
void kern_attn_avx2(const struct kern_attn *p);
void kern_silu_mul_avx2(const struct kern_silu_mul *p);
void kern_add_avx2(const struct kern_add *p);

/* kern_matmul_avx2.c: integer dot products with quantised activations. */
void kern_matmul_q8_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_0_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q6_k_avx2(const struct kern_matmul *p, uint32_t row0, uint32_t row1);

/* kern_simd_avx512.c: the same float work in vectors of sixteen. */
void kern_matmul_float_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_quantise_avx512(const struct kern_acts *a, uint32_t tok0, uint32_t tok1);
void kern_rms_norm_avx512(const struct kern_norm *p, uint32_t tok0, uint32_t tok1);
void kern_attn_avx512(const struct kern_attn *p);
void kern_silu_mul_avx512(const struct kern_silu_mul *p);
void kern_add_avx512(const struct kern_add *p);

/* kern_matmul_avx512.c: integer dot products with VNNI. */
void kern_matmul_q8_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q4_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
void kern_matmul_q6_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1);

#endif
