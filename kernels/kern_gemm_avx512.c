/* kern_gemm_avx512.c - matmul of quantised rows with 8-bit activations, AVX512. */
#include "kernels/kern_gemm_formats.h"
