/* kern_exp.h - e^x for f32 in plain C, the same bits on every machine.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7 (truncation below
 * 6e-9 relative); 2^n through the exponent bits.  Below -87.3 the result is 0, above 88.3 it stays
 * at e^88.3; NaN stays NaN.
 */
#ifndef KERNELS_KERN_EXP_H
#define KERNELS_KERN_EXP_H

#include <stdint.h>

#include "kernels/kern_f16.h"

#define KERN_EXP_MIN -87.3f
#define KERN_EXP_MAX 88.3f
#define KERN_EXP_LOG2E 1.44269504f
#define KERN_EXP_LN2_HI 0.693359375f            /* few bits: n * hi is exact */
#define KERN_EXP_LN2_LO -2.12194440e-4f
#define KERN_EXP_ROUND 12582912.0f              /* 1.5 * 2^23: adding it rounds to an integer */

/* Constants of the activations (kern.h). */
#define KERN_GELU_SCALE 0.797884560802865f      /* sqrt(2 / pi) */
#define KERN_GELU_CUBE 0.044715f
#define KERN_OAI_ALPHA 1.702f
#define KERN_OAI_LIMIT 7.0f

static inline float kern_expf(float x)
{
	float z, n, r, p;

	if (x != x)
		return x;
	if (x < KERN_EXP_MIN)
		return 0.0f;
	if (x > KERN_EXP_MAX)
		x = KERN_EXP_MAX;
	z = x * KERN_EXP_LOG2E + KERN_EXP_ROUND;
	n = z - KERN_EXP_ROUND;
	r = x - n * KERN_EXP_LN2_HI;
	r = r - n * KERN_EXP_LN2_LO;
	p = 1.0f / 5040;
	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return p * kern_f32_from_bits((uint32_t)((int32_t)n + 127) << 23);
}

#endif
