/* kern_simd_avx2.c - the float operations in vectors of eight. */
#include "kernels/kern_simd_attn.h"
#include "kernels/kern_simd_elem.h"
#include "kernels/kern_simd_matmul.h"
#include "kernels/kern_simd_state.h"
