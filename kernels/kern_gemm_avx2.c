/* kern_gemm_avx2.c - matmul of quantised rows with 8-bit activations, AVX2. */
#include "kernels/kern_gemm_formats.h"
