/* kern_gemm.h - matmul of quantised rows with 8-bit activations: the blocked product of all types.
 *
 * Included once by each kern_gemm_<isa>.c.  A vector's lanes are rows.  GEMM_ROWS rows are unpacked,
 * STEP columns at a time, into a tile that stays in cache: 8-bit weights with four columns of every row
 * in a vector, and what their scales come to in f32.  The tile is then used by every token of the batch,
 * a few tokens side by side in registers.  One token is multiplied without the tile, in the same order: with sixteen lanes
 * as rows are unpacked, with eight a row at a time (kern_gemm_row.h).
 *
 * The order in which an output value is computed, whatever the batch and the tile:
 *   integer: the products of a sub-block (16 or 32 columns), exact in 32 bits; the weights' offset is
 *            taken back with the sums of the activations;
 *   blocks of 32:  y = y + float(sum) * (d_w * d_x), then + m * (d_x * sum of x) where blocks have one,
 *            in the order of the columns;
 *   super-blocks:  t = t + float(sum) * (d * scale) for each sub-block from t = 0, then
 *            t - float(sum of minimum * sum of x) * dmin, then y = y + t * d_x, in the order of the
 *            columns.
 * Every step is one fused multiply-add in f32; there is one sum a row, no lanes to add up at the end.
 */
#ifndef KERNELS_KERN_GEMM_H
#define KERNELS_KERN_GEMM_H

#include "kernels/kern_block.h"
#include "kernels/kern_internal.h"
#include "kernels/kern_simd_int.h"

#ifdef KERN_SIMD

#define STEP 256                /* columns that are unpacked together */
#define STEP_QUADS (STEP / 4)
#define GEMM_VECS 2             /* vectors of rows side by side */
#define GEMM_ROWS (GEMM_VECS * KERN_LANES)
#define CHUNK_STEPS 4           /* steps in a tile that many tokens use */

#if KERN_LANES == 16
#define GEMM_TOKS 6             /* 12 sums, 12 partial results, 2 weights, 1 activation of 32 registers */
#define BIAS_8 128              /* 8-bit weights are made unsigned */
#else
#define GEMM_TOKS 2
#define BIAS_8 0                /* or stay signed where there is no unsigned times signed in 32 bits */
#endif

/* Weights of GEMM_ROWS rows and STEP columns.  Which members are used depends on the type. */
struct gemm_step {
	uint8_t w[STEP_QUADS][GEMM_VECS][4 * KERN_LANES];       /* four columns of a row together */
	float scale[16][GEMM_VECS][KERN_LANES];         /* of each sub-block */
	float min[8][GEMM_VECS][KERN_LANES];            /* m of each block of 32 */
	int16_t mins[8][GEMM_VECS][2 * KERN_LANES];     /* of super-blocks: integer minima of two sub-blocks */
	float dmin[GEMM_VECS][KERN_LANES];
} __attribute__((aligned(64)));

/* What of GEMM_TOKS tokens is used in a chunk; the pointers are at its first column. */
struct gemm_toks {
	const int8_t *q[GEMM_TOKS];
	float *y[GEMM_TOKS];                            /* [GEMM_ROWS] sums so far */
	float d[GEMM_TOKS][CHUNK_STEPS * 8];            /* scale of each block or super-block */
	float dsum[GEMM_TOKS][CHUNK_STEPS * 8];         /* d * sum, blocks of 32 */
	int32_t init[GEMM_TOKS][CHUNK_STEPS * 16];      /* -offset * sum of each sub-block */
	int16_t sums[GEMM_TOKS][CHUNK_STEPS * 16];      /* of super-blocks, by sub-block */
};

/* Where rows are unpacked to: vector v of a tile, or at once times one token's activations. */
struct gemm_sink {
	struct gemm_step *s;
	int v;
#if KERN_LANES == 16
	bool dot;               /* s->w gets the products, a vector a sub-block, instead of the weights */
	const int8_t *q;        /* the token's, at the step's first column; dot only */
#endif
};

/* One type on one instruction set. */
struct gemm_format {
	uint32_t block_bytes;   /* of a block of 32 or of a super-block */
	uint16_t sub;           /* columns in a sub-block, 16 or 32 */
	bool super;             /* super-blocks */
	bool min;               /* blocks have a minimum beside the scale */
	int16_t offset;         /* unpacked weight - weight */
	/* Unpack rows p, p + stride, ... as a tile: n_blk <= 8 blocks of 32, or one super-block. */
	void (*unpack)(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk);
	/* y += w * x over n_blk blocks or super-blocks, for 1 .. GEMM_TOKS tokens. */
	void (*run[GEMM_TOKS])(const struct gemm_step *w, const struct gemm_toks *x, uint32_t n_blk);
#if KERN_LANES == 16
	/* The same two for one token, where unpacking gives sums of products. */
	void (*dot)(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk);
	void (*finish)(const struct gemm_step *w, const struct gemm_toks *x, uint32_t n_blk);
#endif
};

/* ---- what unpack functions share ----------------------------------------------------------------- */

/* Four activations in every lane. */
KERN_INLINE kern_vi four(const int8_t *q)
{
	int32_t x;

	memcpy(&x, q, sizeof(x));
	return kern_viset1(x);
}

/* Pairs of products that AVX2 can add in 16 bits, of n quads; `top` is the largest unpacked weight, 0 where
 * weights are signed. */
KERN_INLINE int most_pairs(int top, int n)
{
	int most = top == 0 ? 1 : top <= 16 ? 8 : top <= 32 ? 4 : top <= 64 ? 2 : 1;

	return most < n ? most : n;
}

/* The products of four columns: added to sum, or on AVX2 as two pairs in 16 bits. */
#if KERN_LANES == 16
KERN_INLINE kern_vi quad_dot(kern_vi sum, kern_vi w, kern_vi x)
{
	return _mm512_dpbusd_epi32(sum, w, x);
}
#else
KERN_INLINE kern_vi quad_pairs(kern_vi w, kern_vi x, int top)
{
	return top == 0 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
}
#endif

#if KERN_LANES == 16
/* The products of a sub-block of n quads and one token's activations. */
KERN_INLINE kern_vi sub_dot(const kern_vi *w, const int8_t *q, int n)
{
	kern_vi sum = kern_vizero();
	int k;

	KERN_UNROLL
	for (k = 0; k < n; k++)
		sum = quad_dot(sum, w[k], four(q + 4 * k));
	return sum;
}
#endif

/* Sub-block k, which is n quads of columns; n is a constant. */
KERN_INLINE void put_sub(const struct gemm_sink *o, unsigned k, const kern_vi *w, int n)
{
	int i;

#if KERN_LANES == 16
	if (o->dot) {
		kern_vistore(o->s->w[k][o->v], sub_dot(w, o->q + k * 4 * (unsigned)n, n));
		return;
	}
#endif
	KERN_UNROLL
	for (i = 0; i < n; i++)
		kern_vistore(o->s->w[k * (unsigned)n + (unsigned)i][o->v], w[i]);
}

/* The 16-bit words at p + i * stride + k * bytes, for each row i and k < n.  They go through general
 * registers (volatile keeps the compiler from gathering them in a vector): the shuffle unit is busy. */
KERN_INLINE void load_halves(uint16_t h[][KERN_LANES], const char *p, size_t stride, size_t bytes, uint32_t n)
{
	uint32_t k;
	int i;

	for (i = 0; i < KERN_LANES; i++, p += stride) {
		for (k = 0; k < n; k++) {
			uint16_t x;

			memcpy(&x, p + k * bytes, sizeof(x));
			*(volatile uint16_t *)&h[k][i] = x;
		}
	}
}

/* The 32-bit words at p + i * stride, for each row i. */
KERN_INLINE kern_vi load_words(const char *p, size_t stride)
{
	uint32_t w[KERN_LANES];
	int i;

	KERN_UNROLL
	for (i = 0; i < KERN_LANES; i++, p += stride)
		memcpy(&w[i], p, sizeof(w[i]));
	return kern_viload(w);
}

KERN_INLINE kern_vi bias_8(kern_vi w)
{
	return BIAS_8 != 0 ? kern_vixor(w, kern_viset1((int32_t)0x80808080u)) : w;
}

#endif
#endif
