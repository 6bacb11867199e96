/* kern_simd_int.h - one vocabulary of integer vectors for the files that are built for AVX2 or AVX-512.
 *
 * A vector has as many 32-bit lanes as kern_vf has floats; in a matrix product a lane is a row.
 */
#ifndef KERNELS_KERN_SIMD_INT_H
#define KERNELS_KERN_SIMD_INT_H

#include "kernels/kern_simd.h"

#ifdef KERN_SIMD

#if KERN_LANES == 16

typedef __m512i kern_vi;

KERN_INLINE kern_vi kern_vizero(void) { return _mm512_setzero_si512(); }
KERN_INLINE kern_vi kern_viset1(int32_t x) { return _mm512_set1_epi32(x); }
KERN_INLINE kern_vi kern_viload(const void *p) { return _mm512_loadu_si512(p); }
KERN_INLINE void kern_vistore(void *p, kern_vi v) { _mm512_storeu_si512(p, v); }
KERN_INLINE kern_vi kern_viand(kern_vi a, kern_vi b) { return _mm512_and_si512(a, b); }
KERN_INLINE kern_vi kern_vior(kern_vi a, kern_vi b) { return _mm512_or_si512(a, b); }
KERN_INLINE kern_vi kern_vixor(kern_vi a, kern_vi b) { return _mm512_xor_si512(a, b); }
KERN_INLINE kern_vi kern_viadd(kern_vi a, kern_vi b) { return _mm512_add_epi32(a, b); }
KERN_INLINE kern_vi kern_vimul(kern_vi a, kern_vi b) { return _mm512_mullo_epi32(a, b); }
#define kern_visrl(v, n) _mm512_srli_epi32(v, n)
#define kern_visll(v, n) _mm512_slli_epi32(v, n)
#define kern_visra(v, n) _mm512_srai_epi32(v, n)
/* The same sixteen bytes in every 128 bits. */
KERN_INLINE kern_vi kern_vi128(__m128i b) { return _mm512_broadcast_i32x4(b); }
/* Bytes of each 128 bits of v, chosen by those of i. */
KERN_INLINE kern_vi kern_vipick(kern_vi v, kern_vi i) { return _mm512_shuffle_epi8(v, i); }
KERN_INLINE kern_vf kern_vifloat(kern_vi v) { return _mm512_cvtepi32_ps(v); }
KERN_INLINE kern_vf kern_vicast(kern_vi v) { return _mm512_castsi512_ps(v); }
/* The low halves of the lanes, F16, as f32. */
KERN_INLINE kern_vf kern_vif16(kern_vi v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
/* n 16-bit numbers, n the number of lanes, widened. */
KERN_INLINE kern_vi kern_viload_s16(const int16_t *p)
{
	return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
/* a + the two products of 16-bit numbers in each lane */
KERN_INLINE kern_vi kern_vipairs(kern_vi a, kern_vi x, kern_vi y) { return _mm512_dpwssd_epi32(a, x, y); }

/* 16 bytes of row i at p + i * stride: out[j] holds word j of each row. */
KERN_INLINE void kern_virows(const char *p, size_t stride, kern_vi out[4])
{
	const size_t third = 3 * stride;
	kern_vi a[4], t[4];
	int i;

	KERN_UNROLL
	for (i = 0; i < 4; i++)
		a[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)(
			p + (i == 3 ? third : (size_t)i * stride))));
	p += 4 * stride;
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		a[i] = _mm512_inserti32x4(a[i], _mm_loadu_si128((const __m128i *)(const void *)(
			p + (i == 3 ? third : (size_t)i * stride))), 1);
	p += 4 * stride;
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		a[i] = _mm512_inserti32x4(a[i], _mm_loadu_si128((const __m128i *)(const void *)(
			p + (i == 3 ? third : (size_t)i * stride))), 2);
	p += 4 * stride;
	KERN_UNROLL
	for (i = 0; i < 4; i++)
		a[i] = _mm512_inserti32x4(a[i], _mm_loadu_si128((const __m128i *)(const void *)(
			p + (i == 3 ? third : (size_t)i * stride))), 3);
	t[0] = _mm512_unpacklo_epi32(a[0], a[1]);
	t[1] = _mm512_unpackhi_epi32(a[0], a[1]);
	t[2] = _mm512_unpacklo_epi32(a[2], a[3]);
	t[3] = _mm512_unpackhi_epi32(a[2], a[3]);
	out[0] = _mm512_unpacklo_epi64(t[0], t[2]);
	out[1] = _mm512_unpackhi_epi64(t[0], t[2]);
	out[2] = _mm512_unpacklo_epi64(t[1], t[3]);
	out[3] = _mm512_unpackhi_epi64(t[1], t[3]);
}

#else

typedef __m256i kern_vi;

KERN_INLINE kern_vi kern_vizero(void) { return _mm256_setzero_si256(); }
KERN_INLINE kern_vi kern_viset1(int32_t x) { return _mm256_set1_epi32(x); }
KERN_INLINE kern_vi kern_viload(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
KERN_INLINE void kern_vistore(void *p, kern_vi v) { _mm256_storeu_si256((__m256i *)p, v); }
KERN_INLINE kern_vi kern_viand(kern_vi a, kern_vi b) { return _mm256_and_si256(a, b); }
KERN_INLINE kern_vi kern_vior(kern_vi a, kern_vi b) { return _mm256_or_si256(a, b); }
KERN_INLINE kern_vi kern_vixor(kern_vi a, kern_vi b) { return _mm256_xor_si256(a, b); }
KERN_INLINE kern_vi kern_viadd(kern_vi a, kern_vi b) { return _mm256_add_epi32(a, b); }
KERN_INLINE kern_vi kern_vimul(kern_vi a, kern_vi b) { return _mm256_mullo_epi32(a, b); }
#define kern_visrl(v, n) _mm256_srli_epi32(v, n)
#define kern_visll(v, n) _mm256_slli_epi32(v, n)
#define kern_visra(v, n) _mm256_srai_epi32(v, n)
KERN_INLINE kern_vi kern_vi128(__m128i b) { return _mm256_broadcastsi128_si256(b); }
KERN_INLINE kern_vi kern_vipick(kern_vi v, kern_vi i) { return _mm256_shuffle_epi8(v, i); }
KERN_INLINE kern_vf kern_vifloat(kern_vi v) { return _mm256_cvtepi32_ps(v); }
KERN_INLINE kern_vf kern_vicast(kern_vi v) { return _mm256_castsi256_ps(v); }
KERN_INLINE kern_vf kern_vif16(kern_vi v)
{
	const __m256i low = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1,
					     0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
	__m256i h = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(v, low), 0x08);

	return _mm256_cvtph_ps(_mm256_castsi256_si128(h));
}
KERN_INLINE kern_vi kern_viload_s16(const int16_t *p)
{
	return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
KERN_INLINE kern_vi kern_vipairs(kern_vi a, kern_vi x, kern_vi y)
{
	return _mm256_add_epi32(a, _mm256_madd_epi16(x, y));
}

KERN_INLINE void kern_virows(const char *p, size_t stride, kern_vi out[4])
{
	kern_vi a[4], t[4];
	int i;

	KERN_UNROLL
	for (i = 0; i < 4; i++)
		a[i] = _mm256_inserti128_si256(
			_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(p + (size_t)i * stride))),
			_mm_loadu_si128((const __m128i *)(const void *)(p + (size_t)(i + 4) * stride)), 1);
	t[0] = _mm256_unpacklo_epi32(a[0], a[1]);
	t[1] = _mm256_unpackhi_epi32(a[0], a[1]);
	t[2] = _mm256_unpacklo_epi32(a[2], a[3]);
	t[3] = _mm256_unpackhi_epi32(a[2], a[3]);
	out[0] = _mm256_unpacklo_epi64(t[0], t[2]);
	out[1] = _mm256_unpackhi_epi64(t[0], t[2]);
	out[2] = _mm256_unpacklo_epi64(t[1], t[3]);
	out[3] = _mm256_unpackhi_epi64(t[1], t[3]);
}

#endif

/* v >> n and v << n of bytes, masked to `bits` of each byte. */
#define kern_vidown(v, n, bits) kern_viand(kern_visrl(v, n), kern_viset1((int32_t)(0x01010101u * (bits))))
#define kern_viup(v, n, bits) kern_viand(kern_visll(v, n), kern_viset1((int32_t)(0x01010101u * (bits))))

#endif
#endif
