/* kern_simd_avx512.c - the float operations in vectors of sixteen. */
#include "kernels/kern_simd_attn.h"
#include "kernels/kern_simd_elem.h"
#include "kernels/kern_simd_matmul.h"
#include "kernels/kern_simd_state.h"
