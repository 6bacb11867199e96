/* kern_gemm_row.h - one token against one row after another, where a vector has eight lanes; see kern_gemm.h.
 *
 * Included once by kern_gemm_avx2.c.  One token takes each weight once: memory decides, and it is fastest where few rows are
 * read from beginning to end.  So columns are lanes here: STEP weights of a row are eight vectors of 32, whose products are
 * added up across lanes to the sums of sub-blocks.  These are integers, the same in any order.  What follows in f32 is
 * done in the order of kern_gemm.h with ROWS rows as lanes, since each step of it waits for the one before.
 */
#ifndef KERNELS_KERN_GEMM_ROW_H
#define KERNELS_KERN_GEMM_ROW_H

#include "kernels/kern_gemm_grid.h"
#include "kernels/kern_gemm_small.h"

#if defined(KERN_SIMD) && KERN_LANES == 8

#define ROWS 4
#define ROW_STEP_BYTES_MAX 272  /* STEP columns of the widest type (Q8_0) */

/* One token's activations in a step; what all rows need of them. */
struct row_x {
	const int8_t *q;
	const float *d;
	const int16_t *sums;
	__m256i init[2];                /* offset * sum of each sub-block */
	__m256i split[8];               /* q, 16 of a block and 16 of the next: first halves, second halves */
	__m256 scale;                   /* d of blocks of 32 */
};

/* What a step of one row comes to.  Eight numbers of sub-blocks lie in the order 0 2 4 6 1 3 5 7. */
struct row_part {
	__m256 sum[2], scale[2];        /* of sub-blocks; of blocks of 32 scale is that of weights times activations */
	__m256 min;                     /* m of blocks of 32 that have one */
	__m256i minima;                 /* of super-blocks: to be added up */
	uint32_t d;                     /* of super-blocks: d and above it dmin, F16 */
};

/* ---- sums ------------------------------------------------------------------------------------------ */

KERN_INLINE __m256i row_ones(void) { return _mm256_set1_epi16(1); }
KERN_INLINE __m256i row_bytes(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
KERN_INLINE __m128i row_words(const void *p) { return _mm_loadu_si128((const __m128i *)p); }

/* Neighbours of a and of b, added; within 16 bits they need not be shuffled for it. */
KERN_INLINE __m256i row_pairs(__m256i a, __m256i b, bool short_enough)
{
	return short_enough ? _mm256_madd_epi16(_mm256_packs_epi32(a, b), row_ones()) : _mm256_hadd_epi32(a, b);
}

/* The sums of products of n = 16 or 32 columns; top: see most_pairs. */
KERN_INLINE void row_sums(const __m256i w[8], const int8_t *q, int top, int n, __m256i s[2])
{
	const bool four_fit = top > 0 && top * 127 * 4 < 32768, eight_fit = top > 0 && top * 127 * 8 < 32768;
	__m256i t[8], lo, hi;
	int k;

	KERN_UNROLL
	for (k = 0; k < 8; k++) {       /* of 32: even ones first, then odd ones */
		int to = n == 16 ? k : k % 2 * 4 + k / 2;

		t[to] = _mm256_madd_epi16(quad_pairs(w[k], row_bytes(q + 32 * k), top), row_ones());
	}
	KERN_UNROLL
	for (k = 0; k < 4; k++)
		t[k] = row_pairs(t[2 * k], t[2 * k + 1], four_fit);
	lo = row_pairs(t[0], t[1], eight_fit);
	hi = row_pairs(t[2], t[3], eight_fit);
	s[0] = n == 16 ? lo : _mm256_add_epi32(_mm256_permute2x128_si256(lo, hi, 0x20), _mm256_permute2x128_si256(lo, hi, 0x31));
	s[1] = hi;
}

/* The same of 32, where a vector has 16 columns of a block and 16 of the next. */
KERN_INLINE __m256i row_split_sums(const __m256i w[8], const __m256i split[8], int top)
{
	const bool eight_fit = top > 0 && top * 127 * 8 < 32768, sixteen_fit = top > 0 && top * 127 * 16 < 32768;
	__m256i t[4];
	int k;

	KERN_UNROLL
	for (k = 0; k < 4; k++) {
		__m256i a = quad_pairs(w[2 * k], split[2 * k], top), b = quad_pairs(w[2 * k + 1], split[2 * k + 1], top);

		t[k] = top > 0 ? _mm256_madd_epi16(_mm256_add_epi16(a, b), row_ones()) :
			_mm256_add_epi32(_mm256_madd_epi16(a, row_ones()), _mm256_madd_epi16(b, row_ones()));
	}
	return row_pairs(row_pairs(t[0], t[1], eight_fit), row_pairs(t[2], t[3], eight_fit), sixteen_fit);
}

/* Sixteen signed bytes, by eight in the order of sub-blocks. */
KERN_INLINE void row_sixteen(__m128i bytes, __m256i to[2])
{
	const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);

	bytes = _mm_shuffle_epi8(bytes, order);
	to[0] = _mm256_cvtepi8_epi32(bytes);
	to[1] = _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes));
}

/* ---- rows ------------------------------------------------------------------------------------------ */

typedef void row_part_fn(struct row_part *o, const char *p, const struct row_x *x);

/* Vectors of eight sub-blocks of each row as sub-blocks of all rows. */
KERN_INLINE void row_turn(const __m256 v[ROWS], __m128 out[8])
{
	const __m256 a = _mm256_unpacklo_ps(v[0], v[1]), b = _mm256_unpackhi_ps(v[0], v[1]);
	const __m256 c = _mm256_unpacklo_ps(v[2], v[3]), d = _mm256_unpackhi_ps(v[2], v[3]);
	const __m256 t[4] = {
		_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xee), _mm256_shuffle_ps(b, d, 0x44), _mm256_shuffle_ps(b, d, 0xee)
	};
	int i;

	KERN_UNROLL
	for (i = 0; i < 4; i++) {
		out[2 * i] = _mm256_castps256_ps128(t[i]);
		out[2 * i + 1] = _mm256_extractf128_ps(t[i], 1);
	}
}

/* What each row's numbers add up to, in f32. */
KERN_INLINE __m128 row_totals(const struct row_part *part)
{
	const __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(part[0].minima, part[1].minima),
					    _mm256_hadd_epi32(part[2].minima, part[3].minima));

	return _mm_cvtepi32_ps(_mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
}

/* What a step of all rows comes to, to be added to y while the next step is multiplied: each addition waits for the one before
 * it, and there is enough else to do. */
struct row_step {
	__m128 sum[16], scale[16], min[8];
	float dsum[8];                  /* of blocks of 32 that have a minimum: the activations' d * sum */
	__m128 minima, dmin;            /* of super-blocks that have them */
	float d;                        /* of super-blocks: the activations' */
};

/* d of super-blocks goes into their scales. */
KERN_INLINE void row_step_super(struct row_step *o, const struct row_part *part, const struct gemm_format *f,
				const struct row_x *x)
{
	const __m128i h = _mm_setr_epi32((int32_t)part[0].d, (int32_t)part[1].d, (int32_t)part[2].d, (int32_t)part[3].d);
	const __m128i halves = _mm_shuffle_epi8(h, _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
	const __m128 d = _mm_cvtph_ps(halves);
	const int n = STEP / f->sub;
	int k;

	KERN_UNROLL
	for (k = 0; k < n; k++)
		o->scale[k] = _mm_mul_ps(d, o->scale[k]);
	o->d = *x->d;
	if (f->min) {
		o->minima = row_totals(part);
		o->dmin = _mm_cvtph_ps(_mm_unpackhi_epi64(halves, halves));
	}
}

KERN_INLINE void row_step_set(struct row_step *o, const struct row_part *part, const struct gemm_format *f,
			      const struct row_x *x)
{
	const int n = 32 / f->sub;
	int i;

	KERN_UNROLL
	for (i = 0; i < n; i++) {
		const __m256 sums[ROWS] = { part[0].sum[i], part[1].sum[i], part[2].sum[i], part[3].sum[i] };
		const __m256 scales[ROWS] = { part[0].scale[i], part[1].scale[i], part[2].scale[i], part[3].scale[i] };

		row_turn(sums, o->sum + 8 * i);
		row_turn(scales, o->scale + 8 * i);
	}
	if (f->super) {
		row_step_super(o, part, f, x);
	} else if (f->min) {
		const __m256 mins[ROWS] = { part[0].min, part[1].min, part[2].min, part[3].min };

		row_turn(mins, o->min);
		_mm256_storeu_ps(o->dsum, _mm256_mul_ps(_mm256_loadu_ps(x->d), _mm256_cvtepi32_ps(kern_viload_s16(x->sums))));
	}
}

/* Sub-blocks k .. k + n - 1. */
KERN_INLINE __m128 row_add(__m128 t, const struct row_step *s, const struct gemm_format *f, uint32_t k, uint32_t n)
{
	uint32_t i;

	KERN_UNROLL
	for (i = k; i < k + n; i++) {
		t = _mm_fmadd_ps(s->sum[i], s->scale[i], t);
		if (f->min && !f->super)
			t = _mm_fmadd_ps(s->min[i], _mm_set1_ps(s->dsum[i]), t);
	}
	return t;
}

/* What all sub-blocks of a step came to; of blocks of 32 it is y itself. */
KERN_INLINE __m128 row_add_step(__m128 y, __m128 t, const struct row_step *s, const struct gemm_format *f)
{
	if (!f->super)
		return t;
	if (f->min)
		t = _mm_fnmadd_ps(s->minima, s->dmin, t);
	return _mm_fmadd_ps(t, _mm_set1_ps(s->d), y);
}

/* offset * the sums of eight sub-blocks, in their order. */
KERN_INLINE __m256i row_init(__m256i sums, int offset)
{
	return _mm256_permutevar8x32_epi32(_mm256_mullo_epi32(sums, _mm256_set1_epi32(offset)),
					   _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

/* Activations from block or super-block b on. */
KERN_INLINE void row_x_at(struct row_x *x, const struct kern_acts *a, const struct gemm_format *f, uint32_t b)
{
	int k;

	x->q = a->q + (size_t)b * (f->super ? STEP : 32);
	x->d = a->d + b;
	x->sums = a->sums + (size_t)b * (f->super ? 16 : 1);
	if (!f->super) {
		x->init[0] = row_init(kern_viload_s16(x->sums), f->offset);
		x->scale = _mm256_permutevar8x32_ps(_mm256_loadu_ps(x->d), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
	} else if (f->sub == 32) {
		x->init[0] = row_init(_mm256_madd_epi16(row_bytes(x->sums), row_ones()), f->offset);
	} else {
		x->init[0] = row_init(kern_viload_s16(x->sums), f->offset);
		x->init[1] = row_init(kern_viload_s16(x->sums + 8), f->offset);
	}
	KERN_UNROLL
	for (k = 0; k < 8; k += 2) {
		__m256i u = row_bytes(x->q + 32 * k), v = row_bytes(x->q + 32 * k + 32);

		x->split[k] = _mm256_permute2x128_si256(u, v, 0x20);
		x->split[k + 1] = _mm256_permute2x128_si256(u, v, 0x31);
	}
}

/* Ask for what comes: the next rows lie behind these, and are read from beginning to end while these are computed with. */
KERN_INLINE void row_ask(const char *p, size_t bytes)
{
	size_t i;

	KERN_UNROLL
	for (i = 0; i < bytes; i += 64)
		_mm_prefetch(p + i, _MM_HINT_T0);
}

/* Fewer blocks than a step has, with zeros behind. */
KERN_INLINE const char *row_padded(char pad[ROW_STEP_BYTES_MAX], const char *from, uint32_t left,
				   const struct gemm_format *f)
{
	memset(pad, 0, ROW_STEP_BYTES_MAX);
	memcpy(pad, from, (size_t)left * f->block_bytes);
	return pad;
}

/* ROWS rows, the last ones perhaps the same. */
KERN_INLINE __m128 row_group(const struct kern_matmul *p, const struct gemm_format *f, row_part_fn *part_of,
			     const char *const *w)
{
	const uint32_t per_step = f->super ? 1 : 8, n_sub = STEP / f->sub, n_blk = p->x->cols / (f->super ? STEP : 32);
	const uint32_t whole = n_blk / per_step * per_step, each = n_sub / ROWS;
	const char *next = w[ROWS - 1] + p->row_bytes;
	__m128 y = _mm_setzero_ps(), t = y;
	char pad[ROW_STEP_BYTES_MAX];
	struct row_part part[ROWS];
	struct row_step step = { .d = 0.0f };
	struct row_x x;
	uint32_t b, r;

	for (b = 0; b < whole; b += per_step) {
		row_x_at(&x, p->x, f, b);
		row_ask(next + ROWS * (size_t)b * f->block_bytes, ROWS * per_step * f->block_bytes);
		t = f->super ? _mm_setzero_ps() : y;
		KERN_UNROLL
		for (r = 0; r < ROWS; r++) {
			part_of(&part[r], w[r] + (size_t)b * f->block_bytes, &x);
			if (b > 0)
				t = row_add(t, &step, f, r * each, each);
		}
		if (b > 0)
			y = row_add_step(y, t, &step, f);
		row_step_set(&step, part, f, &x);
	}
	if (whole > 0) {
		t = row_add(f->super ? _mm_setzero_ps() : y, &step, f, 0, n_sub);
		y = row_add_step(y, t, &step, f);
	}
	if (whole == n_blk)
		return y;
	row_x_at(&x, p->x, f, whole);
	for (r = 0; r < ROWS; r++)
		part_of(&part[r], row_padded(pad, w[r] + (size_t)whole * f->block_bytes, n_blk - whole, f), &x);
	row_step_set(&step, part, f, &x);
	return row_add(y, &step, f, 0, n_blk - whole);
}

KERN_INLINE void row_all(const struct kern_matmul *p, const struct gemm_format *f, row_part_fn *part_of, uint32_t row0,
			 uint32_t row1)
{
	const char *w[ROWS];
	float y[ROWS];
	uint32_t r, i, n;

	for (r = row0; r < row1; r += ROWS) {
		n = row1 - r < ROWS ? row1 - r : ROWS;
		for (i = 0; i < ROWS; i++)
			w[i] = (const char *)p->w + (r + (i < n ? i : n - 1)) * p->row_bytes;
		_mm_storeu_ps(y, row_group(p, f, part_of, w));
		memcpy(p->y + r, y, n * sizeof(*y));
	}
}

#endif
#endif
