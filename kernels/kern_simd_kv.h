/* kern_simd_kv.h - pieces of KV as f32, by row or by column, for kern_simd_attn.h.
 *
 * Included by each kern_simd_<isa>.c.  A piece is up to KV_ROWS rows by KV_DIMS values.  Another type of KV rows
 * needs its case in kv_values, kv_values_n and kv_by_row alone.
 */
#ifndef KERNELS_KERN_SIMD_KV_H
#define KERNELS_KERN_SIMD_KV_H

#include "kernels/kern_block.h"
#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

#ifdef KERN_SIMD

#define KV_ROWS 64
#define KV_DIMS 64
#define KV_LINE 64              /* bytes of memory that come together */

/* Rows of KV: `dims` values of each, from value `at` on. */
struct kv_from {
	uint32_t type;
	const void *rows;       /* that of position 0 */
	size_t stride;          /* in values */
	uint32_t at, dims;      /* dims <= KV_DIMS */
	size_t end;             /* the positions there are */
};

/* LANES integers of a block that begins with its scale; i: where in the row, a multiple of LANES. */
KERN_INLINE kern_vf kv_q8_0(const void *row, uint32_t i)
{
	const struct kern_q8_0 *b = (const struct kern_q8_0 *)row + i / 32;

	return kern_vmul(kern_vset1(_cvtsh_ss(b->d)), kern_vi8(b->qs + i % 32));
}

KERN_INLINE kern_vf kv_q4_0(const void *row, uint32_t i)
{
	const struct kern_q4_0 *b = (const struct kern_q4_0 *)row + i / 32;

	return kern_vmul(kern_vset1(_cvtsh_ss(b->d)), kern_vnibbles(b->qs + i % 16, i % 32 / 16 * 4, 8));
}

KERN_INLINE kern_vf kv_values(uint32_t type, const void *row, uint32_t i)
{
	switch (type) {
	case KERN_F16:
		return kern_vload_f16((const uint16_t *)row + i);
	case KERN_BF16:
		return kern_vload_bf16((const uint16_t *)row + i);
	case KERN_Q8_0:
		return kv_q8_0(row, i);
	case KERN_Q4_0:
		return kv_q4_0(row, i);
	default:
		return kern_vload((const float *)row + i);
	}
}

/* Of types with blocks there are whole vectors only. */
KERN_INLINE kern_vf kv_values_n(uint32_t type, const void *row, uint32_t i, uint32_t n)
{
	switch (type) {
	case KERN_F16:
		return kern_vload_f16_n((const uint16_t *)row + i, n);
	case KERN_BF16:
		return kern_vload_bf16_n((const uint16_t *)row + i, n);
	case KERN_Q8_0:
	case KERN_Q4_0:
		return kv_values(type, row, i);
	default:
		return kern_vload_n((const float *)row + i, n);
	}
}

/* n values of one row, and zeros up to a whole vector. */
KERN_INLINE void kv_row(uint32_t type, const void *row, uint32_t n, float *y)
{
	uint32_t i;

	KERN_UNROLL
	for (i = 0; i + KERN_LANES <= n; i += KERN_LANES)
		kern_vstore(y + i, kv_values(type, row, i));
	if (i < n)
		kern_vstore(y + i, kv_values_n(type, row, i, n - i));
}

/* y[j * KV_DIMS + i] = value i of row j, j < n */
KERN_INLINE void kv_rows(uint32_t type, const char *row, size_t row_bytes, uint32_t dims, uint32_t n, float *y)
{
	uint32_t j;

	for (j = 0; j < n; j++)
		kv_row(type, row + j * row_bytes, dims, y + j * KV_DIMS);
}

KERN_INLINE const char *kv_row_at(const struct kv_from *f, size_t pos)
{
	return (const char *)f->rows + pos * kern_stored_bytes(f->type, f->stride) + kern_stored_bytes(f->type, f->at);
}

/* The rows of positions pos .. pos + n - 1. */
static void kv_by_row(const struct kv_from *f, size_t pos, uint32_t n, float *y)
{
	size_t row_bytes = kern_stored_bytes(f->type, f->stride);
	const char *row = kv_row_at(f, pos);

	switch (f->type) {
	case KERN_F16:
		if (f->dims == KV_DIMS)
			kv_rows(KERN_F16, row, row_bytes, KV_DIMS, n, y);
		else
			kv_rows(KERN_F16, row, row_bytes, f->dims, n, y);
		break;
	case KERN_BF16:
		kv_rows(KERN_BF16, row, row_bytes, f->dims, n, y);
		break;
	case KERN_Q8_0:
		kv_rows(KERN_Q8_0, row, row_bytes, f->dims, n, y);
		break;
	case KERN_Q4_0:
		kv_rows(KERN_Q4_0, row, row_bytes, f->dims, n, y);
		break;
	default:
		kv_rows(KERN_F32, row, row_bytes, f->dims, n, y);
	}
}

/* Memory to ask for while something else is computed, step bytes apart, and the line `second` bytes behind each. */
struct kv_ahead { const char *at; size_t step, second; };

/* Share `part` of n_part of the lines of the next piece's rows, no more than two lines a row; `here`, which is at hand,
 * when there is none. */
KERN_INLINE struct kv_ahead kv_ahead(const struct kv_from *f, size_t pos, uint32_t part, uint32_t n_part, const void *here)
{
	size_t lines = (kern_stored_bytes(f->type, f->dims) + KV_LINE - 1) / KV_LINE, each = lines > n_part ? 2 : 1;

	if (pos + 2 * KV_ROWS > f->end || part * each >= lines)
		return (struct kv_ahead){ here, 0, 0 };
	return (struct kv_ahead){ kv_row_at(f, pos + KV_ROWS) + part * each * KV_LINE, kern_stored_bytes(f->type, f->stride),
				  (each - 1) * KV_LINE };
}

KERN_INLINE void kv_ask(const struct kv_ahead *a, size_t i)
{
	__builtin_prefetch(a->at + i * a->step);
	__builtin_prefetch(a->at + i * a->step + a->second);
}

/* Within each 128 bits: values 0 and 1, or 2 and 3, of a and b alternating; pairs 0, or 1, of a and b. */
#if KERN_LANES == 16
KERN_INLINE kern_vf kv_low(kern_vf a, kern_vf b) { return _mm512_unpacklo_ps(a, b); }
KERN_INLINE kern_vf kv_high(kern_vf a, kern_vf b) { return _mm512_unpackhi_ps(a, b); }
KERN_INLINE kern_vf kv_low2(kern_vf a, kern_vf b) { return _mm512_shuffle_ps(a, b, 0x44); }
KERN_INLINE kern_vf kv_high2(kern_vf a, kern_vf b) { return _mm512_shuffle_ps(a, b, 0xee); }
#else
KERN_INLINE kern_vf kv_low(kern_vf a, kern_vf b) { return _mm256_unpacklo_ps(a, b); }
KERN_INLINE kern_vf kv_high(kern_vf a, kern_vf b) { return _mm256_unpackhi_ps(a, b); }
KERN_INLINE kern_vf kv_low2(kern_vf a, kern_vf b) { return _mm256_shuffle_ps(a, b, 0x44); }
KERN_INLINE kern_vf kv_high2(kern_vf a, kern_vf b) { return _mm256_shuffle_ps(a, b, 0xee); }
#endif

/* Four values of each of LANES rows: those of rows r, r + 4, r + 8 ... lie together in part r. */
KERN_INLINE kern_vf kv_quads(const float *x)
{
#if KERN_LANES == 16
	__m512 v = _mm512_castps128_ps512(_mm_loadu_ps(x));

	v = _mm512_insertf32x4(v, _mm_loadu_ps(x + 4 * KV_DIMS), 1);
	v = _mm512_insertf32x4(v, _mm_loadu_ps(x + 8 * KV_DIMS), 2);
	return _mm512_insertf32x4(v, _mm_loadu_ps(x + 12 * KV_DIMS), 3);
#else
	return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x)), _mm_loadu_ps(x + 4 * KV_DIMS), 1);
#endif
}

/* y[i * KV_ROWS + j] = x[j * KV_DIMS + i], i < 4, j < LANES */
KERN_INLINE void kv_turn_4(const float *x, float *y)
{
	kern_vf a = kv_quads(x), b = kv_quads(x + KV_DIMS), c = kv_quads(x + 2 * KV_DIMS);
	kern_vf d = kv_quads(x + 3 * KV_DIMS), ab, cd;

	ab = kv_low(a, b);
	cd = kv_low(c, d);
	kern_vstore(y, kv_low2(ab, cd));
	kern_vstore(y + KV_ROWS, kv_high2(ab, cd));
	ab = kv_high(a, b);
	cd = kv_high(c, d);
	kern_vstore(y + 2 * KV_ROWS, kv_low2(ab, cd));
	kern_vstore(y + 3 * KV_ROWS, kv_high2(ab, cd));
}

/* y[i * KV_ROWS + j] = value i of row pos + j, j < n; columns up to whole vectors and dimensions up to a multiple of
 * 4 hold anything finite.  x: LANES rows of KV_DIMS to work in. */
static void kv_by_column(const struct kv_from *f, size_t pos, uint32_t n, float *y, float *x)
{
	uint32_t i, j, part;

	for (j = 0; j < n; j += part) {
		part = n - j < KERN_LANES ? n - j : KERN_LANES;
		if (part < KERN_LANES)
			memset(x, 0, KERN_LANES * KV_DIMS * sizeof(*x));
		kv_by_row(f, pos + j, part, x);
		for (i = 0; i < f->dims; i += 4)
			kv_turn_4(x + i, y + (size_t)i * KV_ROWS + j);
	}
}

#endif
#endif
