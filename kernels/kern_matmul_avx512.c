/* kern_matmul_avx512.c - integer dot products of quantised rows with 8-bit activations, AVX-512 VNNI.
 *
 * Products inside a block are exact integers; what is rounded is one f32 multiply-add per lane and
 * step, in the order of the row, so a row's bits do not depend on the tile it is computed in.
 */
#include "kernels/kern_block.h"
#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

#define SMALL_TOKS 4    /* tokens side by side for blocks of 32 */
#define SUPER_TOKS 4    /* and for super-blocks */
#define PREFETCH 2048   /* bytes ahead in the row that is being read */

KERN_INLINE __m256i load_256(const void *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

KERN_INLINE __m512i load_512(const void *p)
{
	return _mm512_loadu_si512(p);
}

/* ---- blocks of 32: Q8_0 and Q4_0, eight blocks a step ------------------------------------------ */

/* The eight scales of blocks `bytes` apart. */
KERN_INLINE __m256 block_scales(const char *b, size_t bytes)
{
	uint16_t d[8];
	__m128i h;
	int k;

	KERN_UNROLL
	for (k = 0; k < 8; k++)
		memcpy(&d[k], b + (size_t)k * bytes, sizeof(d[k]));
	h = _mm_setr_epi16((short)d[0], (short)d[1], (short)d[2], (short)d[3], (short)d[4], (short)d[5],
			   (short)d[6], (short)d[7]);
	return _mm256_cvtph_ps(h);
}

/* One tile of sums, and what eight blocks need: dd[i][j] = weight scale * activation scale. */
struct small_tile {
	const char *w[4];
	const int8_t *x[SMALL_TOKS];
	const float *d[SMALL_TOKS];
	__m512 acc[4][SMALL_TOKS];
};

KERN_INLINE __m512 spread_scales(__m256 dd, __m512i lanes)
{
	return _mm512_permutexvar_ps(lanes, _mm512_castps256_ps512(dd));
}

/* Blocks 2k and 2k + 1 of eight: sums of four bytes in sixteen lanes, eight a block. */
KERN_INLINE void q8_0_pair(struct small_tile *f, const __m256 dd[4][SMALL_TOKS], int k, int nr, int nt)
{
	const __m512i flip = _mm512_set1_epi8((char)0x80);
	const __m512i lanes = _mm512_setr_epi32(2 * k, 2 * k, 2 * k, 2 * k, 2 * k, 2 * k, 2 * k, 2 * k, 2 * k + 1,
						2 * k + 1, 2 * k + 1, 2 * k + 1, 2 * k + 1, 2 * k + 1, 2 * k + 1,
						2 * k + 1);
	__m512i w[4];
	int i, j;

	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		const struct kern_q8_0 *b = (const struct kern_q8_0 *)(const void *)f->w[i] + 2 * k;

		w[i] = _mm512_inserti64x4(_mm512_castsi256_si512(load_256(b[0].qs)), load_256(b[1].qs), 1);
		w[i] = _mm512_xor_si512(w[i], flip);    /* signed to unsigned: + 128 */
	}
	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		__m512i x = load_512(f->x[j] + 64 * k);
		__m512i off = _mm512_dpbusd_epi32(_mm512_setzero_si512(), flip, x);

		KERN_UNROLL
		for (i = 0; i < nr; i++) {
			__m512i dp = _mm512_sub_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), w[i], x), off);

			f->acc[i][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dp), spread_scales(dd[i][j], lanes),
						       f->acc[i][j]);
		}
	}
}

/* Blocks 4k .. 4k + 3 of eight: four lanes a block. */
KERN_INLINE void q4_0_quad(struct small_tile *f, const __m256 dd[4][SMALL_TOKS], int k, int nr, int nt)
{
	const __m512i low = _mm512_set1_epi8(15), eight = _mm512_set1_epi8(8);
	const __m512i lanes = _mm512_setr_epi32(4 * k, 4 * k, 4 * k, 4 * k, 4 * k + 1, 4 * k + 1, 4 * k + 1,
						4 * k + 1, 4 * k + 2, 4 * k + 2, 4 * k + 2, 4 * k + 2, 4 * k + 3,
						4 * k + 3, 4 * k + 3, 4 * k + 3);
	__m512i lo[4], hi[4];
	int i, j;

	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		const struct kern_q4_0 *b = (const struct kern_q4_0 *)(const void *)f->w[i] + 4 * k;
		__m512i z = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)b[0].qs));

		z = _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i *)(const void *)b[1].qs), 1);
		z = _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i *)(const void *)b[2].qs), 2);
		z = _mm512_inserti32x4(z, _mm_loadu_si128((const __m128i *)(const void *)b[3].qs), 3);
		lo[i] = _mm512_and_si512(z, low);
		hi[i] = _mm512_and_si512(_mm512_srli_epi16(z, 4), low);
	}
	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		__m512i x0 = load_512(f->x[j] + 128 * k), x1 = load_512(f->x[j] + 128 * k + 64);
		__m512i xlo = _mm512_shuffle_i32x4(x0, x1, 0x88);       /* first halves of the four blocks */
		__m512i xhi = _mm512_shuffle_i32x4(x0, x1, 0xdd);
		__m512i off = _mm512_dpbusd_epi32(_mm512_setzero_si512(), eight, xlo);

		off = _mm512_dpbusd_epi32(off, eight, xhi);
		KERN_UNROLL
		for (i = 0; i < nr; i++) {
			__m512i dp = _mm512_dpbusd_epi32(_mm512_setzero_si512(), lo[i], xlo);

			dp = _mm512_sub_epi32(_mm512_dpbusd_epi32(dp, hi[i], xhi), off);
			f->acc[i][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dp), spread_scales(dd[i][j], lanes),
						       f->acc[i][j]);
		}
	}
}

/* Eight blocks of every row against every token. */
KERN_INLINE void small_step(struct small_tile *f, uint32_t type, size_t bytes, int nr, int nt)
{
	__m256 dd[4][SMALL_TOKS];
	int i, j;

	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		__m256 dw = block_scales(f->w[i], bytes);

		KERN_UNROLL
		for (j = 0; j < nt; j++)
			dd[i][j] = _mm256_mul_ps(dw, _mm256_loadu_ps(f->d[j]));
	}
	if (type == KERN_Q8_0) {
		q8_0_pair(f, dd, 0, nr, nt);
		q8_0_pair(f, dd, 1, nr, nt);
		q8_0_pair(f, dd, 2, nr, nt);
		q8_0_pair(f, dd, 3, nr, nt);
	} else {
		q4_0_quad(f, dd, 0, nr, nt);
		q4_0_quad(f, dd, 1, nr, nt);
	}
	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		f->x[j] += 256;
		f->d[j] += 8;
	}
}

KERN_INLINE void small_tile(const struct kern_matmul *p, uint32_t type, uint32_t r, uint32_t t, int nr, int nt)
{
	const size_t bytes = type == KERN_Q8_0 ? sizeof(struct kern_q8_0) : sizeof(struct kern_q4_0);
	uint32_t b, n = p->x->cols / 32;
	char rest[4][8 * sizeof(struct kern_q8_0)];
	struct small_tile f;
	int i, j;

	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		f.x[j] = p->x->q + (size_t)(t + (uint32_t)j) * p->x->n_blk * 32;
		f.d[j] = p->x->d + (size_t)(t + (uint32_t)j) * p->x->n_blk;
	}
	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		f.w[i] = (const char *)p->w + (r + (uint32_t)i) * p->row_bytes;
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			f.acc[i][j] = _mm512_setzero_ps();
	}
	for (b = 0; b + 8 <= n; b += 8) {
		small_step(&f, type, bytes, nr, nt);
		KERN_UNROLL
		for (i = 0; i < nr; i++) {
			_mm_prefetch(f.w[i] + PREFETCH / 4, _MM_HINT_T0);
			f.w[i] += 8 * bytes;
		}
	}
	if (b < n) {            /* the last blocks, made eight with zero blocks */
		for (i = 0; i < nr; i++) {
			memset(rest[i], 0, sizeof(rest[i]));
			memcpy(rest[i], f.w[i], (n - b) * bytes);
			f.w[i] = rest[i];
		}
		small_step(&f, type, bytes, nr, nt);
	}
	KERN_UNROLL
	for (i = 0; i < nr; i++) {
		KERN_UNROLL
		for (j = 0; j < nt; j++)
			p->y[(t + (uint32_t)j) * p->y_stride + r + (uint32_t)i] = kern_vsum(f.acc[i][j]);
	}
}

KERN_INLINE void small_rows(const struct kern_matmul *p, uint32_t type, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n = p->x->n_tok;

	for (r = row0; r + 4 <= row1; r += 4) {
		for (t = 0; t + SMALL_TOKS <= n; t += SMALL_TOKS) {
			small_tile(p, type, r, t, 2, SMALL_TOKS);
			small_tile(p, type, r + 2, t, 2, SMALL_TOKS);
		}
		for (; t < n; t++)
			small_tile(p, type, r, t, 4, 1);
	}
	for (; r < row1; r++)
		for (t = 0; t < n; t++)
			small_tile(p, type, r, t, 1, 1);
}

void kern_matmul_q8_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	small_rows(p, KERN_Q8_0, row0, row1);
}

void kern_matmul_q4_0_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	small_rows(p, KERN_Q4_0, row0, row1);
}

/* ---- super-blocks: Q4_K and Q6_K ---------------------------------------------------------------- */

/* A super-block in registers: 256 unsigned quants in order, the 16-bit scale of every pair of products,
 * and what the quants' offset needs: 16 factors for the sums of the activations. */
struct super {
	__m512i q[4], sc[4];
	__m256i off;
	float d, dmin;
};

/* Sub-block scales 2c and 2c + 1 of eight 16-bit ones, sixteen times each. */
KERN_INLINE __m512i two_scales(__m512i sc, int c)
{
	const short a = (short)(4 * c | (4 * c + 1) << 8), b = (short)((4 * c + 2) | (4 * c + 3) << 8);

	return _mm512_shuffle_epi8(sc, _mm512_inserti64x4(_mm512_set1_epi16(a), _mm256_set1_epi16(b), 1));
}

KERN_INLINE void super_q4_k(struct super *s, const void *block)
{
	const struct kern_q4_k *b = block;
	const __m512i low = _mm512_set1_epi8(15);
	const __m512i shift = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
	uint32_t p0, p1, p2;
	__m128i sc, mn;
	__m512i scs;
	int c;

	memcpy(&p0, b->scales, 4);
	memcpy(&p1, b->scales + 4, 4);
	memcpy(&p2, b->scales + 8, 4);
	sc = _mm_cvtepu8_epi16(_mm_set_epi32(0, 0, (int)((p2 & 0x0f0f0f0fu) | ((p0 >> 2) & 0x30303030u)),
					     (int)(p0 & 0x3f3f3f3fu)));
	mn = _mm_cvtepu8_epi16(_mm_set_epi32(0, 0, (int)(((p2 >> 4) & 0x0f0f0f0fu) | ((p1 >> 2) & 0x30303030u)),
					     (int)(p1 & 0x3f3f3f3fu)));
	scs = _mm512_broadcast_i32x4(sc);
	KERN_UNROLL
	for (c = 0; c < 4; c++) {
		__m512i twice = _mm512_broadcast_i64x4(load_256(b->qs + 32 * c));

		s->q[c] = _mm512_and_si512(_mm512_srlv_epi16(twice, shift), low);
		s->sc[c] = two_scales(scs, c);
	}
	s->off = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(mn, mn)),
					 _mm_unpackhi_epi16(mn, mn), 1);
	s->d = _cvtsh_ss(b->d);
	s->dmin = _cvtsh_ss(b->dmin);
}

/* Scales 4v .. 4v + 3 (v even: of the low eight, v odd: of the high half of them), eight times each. */
KERN_INLINE __m512i four_scales(__m512i sc, int odd)
{
	const int base = odd ? 8 : 0;
	__m512i idx = _mm512_castsi128_si512(_mm_set1_epi16((short)(base | (base + 1) << 8)));

	idx = _mm512_inserti32x4(idx, _mm_set1_epi16((short)((base + 2) | (base + 3) << 8)), 1);
	idx = _mm512_inserti32x4(idx, _mm_set1_epi16((short)((base + 4) | (base + 5) << 8)), 2);
	idx = _mm512_inserti32x4(idx, _mm_set1_epi16((short)((base + 6) | (base + 7) << 8)), 3);
	return _mm512_shuffle_epi8(sc, idx);
}

KERN_INLINE void super_q6_k(struct super *s, const void *block)
{
	const struct kern_q6_k *b = block;
	const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(0x30);
	const __m512i up = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
	const __m512i down = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
	int h;

	s->off = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b->sc));
	KERN_UNROLL
	for (h = 0; h < 2; h++) {
		__m512i ql = load_512(b->ql + 64 * h);
		__m512i qh = _mm512_broadcast_i64x4(load_256(b->qh + 32 * h));
		__m512i sc = _mm512_broadcast_i32x4(h == 0 ? _mm256_castsi256_si128(s->off) :
							     _mm256_extracti128_si256(s->off, 1));

		s->q[2 * h] = _mm512_or_si512(_mm512_and_si512(ql, low),
					      _mm512_and_si512(_mm512_sllv_epi16(qh, up), high));
		s->q[2 * h + 1] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(ql, 4), low),
						  _mm512_and_si512(_mm512_srlv_epi16(qh, down), high));
		s->sc[2 * h] = four_scales(sc, 0);
		s->sc[2 * h + 1] = four_scales(sc, 1);
	}
	s->d = _cvtsh_ss(b->d);
	s->dmin = 0.0f;
}

/* One row against nt tokens. */
KERN_INLINE void super_tile(const struct kern_matmul *p, uint32_t type, uint32_t r, uint32_t t, int nt)
{
	const size_t bytes = type == KERN_Q4_K ? sizeof(struct kern_q4_k) : sizeof(struct kern_q6_k);
	const char *w = (const char *)p->w + r * p->row_bytes;
	uint32_t b, n = p->x->n_blk;
	__m512 acc[SUPER_TOKS];
	__m256 sub[SUPER_TOKS];
	int j, c;

	KERN_UNROLL
	for (j = 0; j < nt; j++) {
		acc[j] = _mm512_setzero_ps();
		sub[j] = _mm256_setzero_ps();
	}
	for (b = 0; b < n; b++, w += bytes) {
		struct super s;

		_mm_prefetch(w + PREFETCH, _MM_HINT_T0);
		_mm_prefetch(w + PREFETCH + 64, _MM_HINT_T0);
		_mm_prefetch(w + PREFETCH + 128, _MM_HINT_T0);
		if (type == KERN_Q4_K)
			super_q4_k(&s, w);
		else
			super_q6_k(&s, w);
		KERN_UNROLL
		for (j = 0; j < nt; j++) {
			size_t xb = (size_t)(t + (uint32_t)j) * n + b;
			const int8_t *x = p->x->q + xb * 256;
			__m256i off = _mm256_madd_epi16(s.off, load_256(p->x->sums + xb * 16));
			__m512i sum = _mm512_setzero_si512();
			float dx = p->x->d[xb];

			KERN_UNROLL
			for (c = 0; c < 4; c++)
				sum = _mm512_dpwssd_epi32(sum, _mm512_maddubs_epi16(s.q[c], load_512(x + 64 * c)),
							  s.sc[c]);
			if (type == KERN_Q4_K)
				sub[j] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(off), _mm256_set1_ps(s.dmin * dx), sub[j]);
			else            /* quants are 32 too large */
				sum = _mm512_sub_epi32(sum, _mm512_zextsi256_si512(_mm256_slli_epi32(off, 5)));
			acc[j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(s.d * dx), acc[j]);
		}
	}
	KERN_UNROLL
	for (j = 0; j < nt; j++)
		p->y[(t + (uint32_t)j) * p->y_stride + r] =
			kern_vsum(_mm512_sub_ps(acc[j], _mm512_zextps256_ps512(sub[j])));
}

KERN_INLINE void super_rows(const struct kern_matmul *p, uint32_t type, uint32_t row0, uint32_t row1)
{
	uint32_t r, t, n = p->x->n_tok;

	for (r = row0; r < row1; r++) {
		for (t = 0; t + SUPER_TOKS <= n; t += SUPER_TOKS)
			super_tile(p, type, r, t, SUPER_TOKS);
		for (; t < n; t++)
			super_tile(p, type, r, t, 1);
	}
}

void kern_matmul_q4_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	super_rows(p, KERN_Q4_K, row0, row1);
}

void kern_matmul_q6_k_avx512(const struct kern_matmul *p, uint32_t row0, uint32_t row1)
{
	super_rows(p, KERN_Q6_K, row0, row1);
}
