/* kern_simd.h - one vocabulary of float vectors for the files that are built for AVX2 or AVX-512.
 *
 * The same algorithm text (kern_simd_*.h) is compiled once for each instruction set; only the names
 * here differ.  Empty where the compiler targets neither.  Partial vectors (`_n`) touch n values of
 * memory and read zeros past them.
 */
#ifndef KERNELS_KERN_SIMD_H
#define KERNELS_KERN_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>

#include "kernels/kern_exp.h"

#define KERN_SIMD 1

/* Loops over a constant few registers must vanish, or the registers become memory. */
#ifdef __clang__
#define KERN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KERN_UNROLL _Pragma("GCC unroll 16")
#endif
#define KERN_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)

#define KERN_LANES 16
#define KERN_FN(name) name##_avx512
typedef __m512 kern_vf;

KERN_INLINE kern_vf kern_vset1(float x) { return _mm512_set1_ps(x); }
KERN_INLINE kern_vf kern_vload(const float *p) { return _mm512_loadu_ps(p); }
KERN_INLINE kern_vf kern_vload_n(const float *p, uint32_t n)
{
	return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
KERN_INLINE kern_vf kern_vload_f16(const uint16_t *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
KERN_INLINE kern_vf kern_vload_bf16(const uint16_t *p)
{
	__m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);

	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
KERN_INLINE kern_vf kern_vload_f16_n(const uint16_t *p, uint32_t n)
{
	return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
}
KERN_INLINE kern_vf kern_vload_bf16_n(const uint16_t *p, uint32_t n)
{
	__m256i h = _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);

	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
/* LANES integers as f32; LANES half bytes, less `off`. */
KERN_INLINE kern_vf kern_vi8(const int8_t *p)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
KERN_INLINE kern_vf kern_vnibbles(const uint8_t *p, uint32_t shift, int off)
{
	__m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));

	v = _mm512_and_si512(_mm512_srl_epi32(v, _mm_cvtsi32_si128((int)shift)), _mm512_set1_epi32(15));
	return _mm512_cvtepi32_ps(_mm512_sub_epi32(v, _mm512_set1_epi32(off)));
}
KERN_INLINE void kern_vstore(float *p, kern_vf v) { _mm512_storeu_ps(p, v); }
KERN_INLINE void kern_vstore_n(float *p, kern_vf v, uint32_t n)
{
	_mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}
KERN_INLINE kern_vf kern_vadd(kern_vf a, kern_vf b) { return _mm512_add_ps(a, b); }
KERN_INLINE kern_vf kern_vsub(kern_vf a, kern_vf b) { return _mm512_sub_ps(a, b); }
KERN_INLINE kern_vf kern_vmul(kern_vf a, kern_vf b) { return _mm512_mul_ps(a, b); }
KERN_INLINE kern_vf kern_vdiv(kern_vf a, kern_vf b) { return _mm512_div_ps(a, b); }
KERN_INLINE kern_vf kern_vfma(kern_vf a, kern_vf b, kern_vf c) { return _mm512_fmadd_ps(a, b, c); }
KERN_INLINE kern_vf kern_vfnma(kern_vf a, kern_vf b, kern_vf c) { return _mm512_fnmadd_ps(a, b, c); }
/* The larger; b where either is NaN. */
KERN_INLINE kern_vf kern_vmax(kern_vf a, kern_vf b) { return _mm512_max_ps(a, b); }
KERN_INLINE kern_vf kern_vmin(kern_vf a, kern_vf b) { return _mm512_min_ps(a, b); }
/* 2^n for integral -126 <= n <= 127 */
KERN_INLINE kern_vf kern_vpow2(kern_vf n)
{
	__m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));

	return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}
/* The lanes added pairwise, halves first: 8, 4, 2, 1 apart. */
KERN_INLINE float kern_vsum(kern_vf v)
{
	__m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	b = _mm_add_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

#else

#define KERN_LANES 8
#define KERN_FN(name) name##_avx2
typedef __m256 kern_vf;

KERN_INLINE kern_vf kern_vset1(float x) { return _mm256_set1_ps(x); }
KERN_INLINE kern_vf kern_vload(const float *p) { return _mm256_loadu_ps(p); }
KERN_INLINE __m256i kern_vmask(uint32_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
KERN_INLINE kern_vf kern_vload_n(const float *p, uint32_t n) { return _mm256_maskload_ps(p, kern_vmask(n)); }
KERN_INLINE kern_vf kern_vload_f16(const uint16_t *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
KERN_INLINE kern_vf kern_vload_bf16(const uint16_t *p)
{
	__m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);

	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
KERN_INLINE kern_vf kern_vload_f16_n(const uint16_t *p, uint32_t n)
{
	uint16_t h[KERN_LANES] = { 0 };

	memcpy(h, p, n * sizeof(*p));
	return kern_vload_f16(h);
}
KERN_INLINE kern_vf kern_vload_bf16_n(const uint16_t *p, uint32_t n)
{
	uint16_t h[KERN_LANES] = { 0 };

	memcpy(h, p, n * sizeof(*p));
	return kern_vload_bf16(h);
}
KERN_INLINE kern_vf kern_vi8(const int8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
KERN_INLINE kern_vf kern_vnibbles(const uint8_t *p, uint32_t shift, int off)
{
	__m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));

	v = _mm256_and_si256(_mm256_srl_epi32(v, _mm_cvtsi32_si128((int)shift)), _mm256_set1_epi32(15));
	return _mm256_cvtepi32_ps(_mm256_sub_epi32(v, _mm256_set1_epi32(off)));
}
KERN_INLINE void kern_vstore(float *p, kern_vf v) { _mm256_storeu_ps(p, v); }
KERN_INLINE void kern_vstore_n(float *p, kern_vf v, uint32_t n) { _mm256_maskstore_ps(p, kern_vmask(n), v); }
KERN_INLINE kern_vf kern_vadd(kern_vf a, kern_vf b) { return _mm256_add_ps(a, b); }
KERN_INLINE kern_vf kern_vsub(kern_vf a, kern_vf b) { return _mm256_sub_ps(a, b); }
KERN_INLINE kern_vf kern_vmul(kern_vf a, kern_vf b) { return _mm256_mul_ps(a, b); }
KERN_INLINE kern_vf kern_vdiv(kern_vf a, kern_vf b) { return _mm256_div_ps(a, b); }
KERN_INLINE kern_vf kern_vfma(kern_vf a, kern_vf b, kern_vf c) { return _mm256_fmadd_ps(a, b, c); }
KERN_INLINE kern_vf kern_vfnma(kern_vf a, kern_vf b, kern_vf c) { return _mm256_fnmadd_ps(a, b, c); }
KERN_INLINE kern_vf kern_vmax(kern_vf a, kern_vf b) { return _mm256_max_ps(a, b); }
KERN_INLINE kern_vf kern_vmin(kern_vf a, kern_vf b) { return _mm256_min_ps(a, b); }
KERN_INLINE kern_vf kern_vpow2(kern_vf n)
{
	__m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));

	return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
KERN_INLINE float kern_vsum(kern_vf v)
{
	__m128 b = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	b = _mm_add_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

#endif

/* e^x as kern_expf, with fused steps; below KERN_EXP_MIN it stays at e^KERN_EXP_MIN. */
KERN_INLINE kern_vf kern_vexp(kern_vf x)
{
	kern_vf z, n, r, p;

	x = kern_vmin(kern_vset1(KERN_EXP_MAX), kern_vmax(kern_vset1(KERN_EXP_MIN), x));
	z = kern_vfma(x, kern_vset1(KERN_EXP_LOG2E), kern_vset1(KERN_EXP_ROUND));
	n = kern_vsub(z, kern_vset1(KERN_EXP_ROUND));
	r = kern_vfnma(n, kern_vset1(KERN_EXP_LN2_HI), x);
	r = kern_vfnma(n, kern_vset1(KERN_EXP_LN2_LO), r);
	p = kern_vfma(kern_vset1(1.0f / 5040), r, kern_vset1(1.0f / 720));
	p = kern_vfma(p, r, kern_vset1(1.0f / 120));
	p = kern_vfma(p, r, kern_vset1(1.0f / 24));
	p = kern_vfma(p, r, kern_vset1(1.0f / 6));
	p = kern_vfma(p, r, kern_vset1(0.5f));
	p = kern_vfma(p, r, kern_vset1(1.0f));
	p = kern_vfma(p, r, kern_vset1(1.0f));
	return kern_vmul(p, kern_vpow2(n));
}

#endif
#endif
