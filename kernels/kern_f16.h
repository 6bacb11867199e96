/* kern_f16.h - 16-bit floats to and from f32, in plain C.
 *
 * F16 is IEEE 754 binary16 (1 sign, 5 exponent, 10 fraction bits), BF16 the upper half of binary32.
 * Widening is exact.  Narrowing rounds to nearest, ties to even, as the hardware instructions do.
 */
#ifndef KERNELS_KERN_F16_H
#define KERNELS_KERN_F16_H

#include <stdint.h>
#include <string.h>

static inline float kern_f32_from_bits(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static inline uint32_t kern_f32_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static inline float kern_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
	uint32_t rest = (uint32_t)(h & 0x7fffu) << 13;

	if (rest >= 0x0f800000u)        /* infinity or NaN: exponent 31 becomes 255; a NaN is made quiet */
		return kern_f32_from_bits(sign | (rest + 0x70000000u) | (rest > 0x0f800000u ? 0x400000u : 0));
	if (rest < 0x00800000u)         /* zero or subnormal: the fraction counts units of 2^-24 */
		return kern_f32_from_bits(sign | kern_f32_bits((float)(rest >> 13) * 0x1p-24f));
	return kern_f32_from_bits(sign | (rest + 0x38000000u));
}

static inline uint16_t kern_f32_to_f16(float f)
{
	uint32_t bits = kern_f32_bits(f);
	uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
	uint32_t mag = bits & 0x7fffffffu;

	if (mag > 0x7f800000u)
		return (uint16_t)(sign | 0x7e00u | ((mag >> 13) & 0x3ffu));
	if (mag >= 0x477ff000u)         /* rounds to 65536 or more */
		return (uint16_t)(sign | 0x7c00u);
	if (mag < 0x38800000u) {        /* below 2^-14: adding 0.5 leaves units of 2^-24 in the low bits */
		float shifted = kern_f32_from_bits(mag) + 0.5f;

		return (uint16_t)(sign | (kern_f32_bits(shifted) - 0x3f000000u));
	}
	mag += 0xc8000fffu + ((mag >> 13) & 1u);
	return (uint16_t)(sign | (mag >> 13));
}

static inline float kern_bf16_to_f32(uint16_t h)
{
	return kern_f32_from_bits((uint32_t)h << 16);
}

/* To nearest, ties to even; a NaN stays one. */
static inline uint16_t kern_f32_to_bf16(float f)
{
	uint32_t bits = kern_f32_bits(f);

	if ((bits & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)(bits >> 16 | 0x40u);
	return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
