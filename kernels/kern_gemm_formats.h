/* kern_gemm_formats.h - the types of quantised rows that are multiplied in blocks, and their entry points.
 *
 * Included once by each kern_gemm_<isa>.c.
 */
#ifndef KERNELS_KERN_GEMM_FORMATS_H
#define KERNELS_KERN_GEMM_FORMATS_H

#include "kernels/kern_gemm_grid.h"
#include "kernels/kern_gemm_masked.h"
#include "kernels/kern_gemm_packed.h"
#include "kernels/kern_gemm_row_grid.h"
#include "kernels/kern_gemm_row_types.h"
#include "kernels/kern_gemm_run.h"
#include "kernels/kern_gemm_small.h"
#include "kernels/kern_gemm_super.h"

#ifdef KERN_SIMD

/* One function for each number of tokens, with everything else constant: name_1, name_2, ... */
#define RUN_ONE(name, n, call, ...) \
	static void name##_##n(const struct gemm_step *w, const struct gemm_toks *x, uint32_t n_blk) \
	{ \
		call(w, x, n_blk, n, __VA_ARGS__); \
	}
#if KERN_LANES == 16
#define RUN_ALL(name, call, ...) \
	RUN_ONE(name, 1, call, __VA_ARGS__) RUN_ONE(name, 2, call, __VA_ARGS__) RUN_ONE(name, 3, call, __VA_ARGS__) \
	RUN_ONE(name, 4, call, __VA_ARGS__) RUN_ONE(name, 5, call, __VA_ARGS__) RUN_ONE(name, 6, call, __VA_ARGS__)
#define RUNS(name) { name##_1, name##_2, name##_3, name##_4, name##_5, name##_6 }
#else
#define RUN_ALL(name, call, ...) RUN_ONE(name, 1, call, __VA_ARGS__) RUN_ONE(name, 2, call, __VA_ARGS__)
#define RUNS(name) { name##_1, name##_2 }
#endif

#if KERN_LANES == 16
/* What the sums of one token come to, which are there. */
RUN_ONE(small_sums, 1, run_small, false, TOP_SUMS)
RUN_ONE(small_sums_min, 1, run_small, true, TOP_SUMS)
RUN_ONE(super_sums, 1, run_super, 32, false, TOP_SUMS)
RUN_ONE(super_sums_min, 1, run_super, 32, true, TOP_SUMS)
RUN_ONE(super_16_sums, 1, run_super, 16, false, TOP_SUMS)
RUN_ONE(super_16_sums_min, 1, run_super, 16, true, TOP_SUMS)
#endif
RUN_ALL(small_4, run_small, false, 15)
RUN_ALL(small_8, run_small, false, 0)
RUN_ALL(small_5, run_small, false, 31)
RUN_ALL(small_4_min, run_small, true, 15)
RUN_ALL(small_5_min, run_small, true, 31)
RUN_ALL(super_4_min, run_super, 32, true, 15)
RUN_ALL(super_5_min, run_super, 32, true, 31)
RUN_ALL(super_8, run_super, 32, false, 0)
RUN_ALL(super_2_16_min, run_super, 16, true, 3)
RUN_ALL(super_3_16, run_super, 16, false, 7)
RUN_ALL(super_8_16, run_super, 16, false, 0)
RUN_ALL(super_6_16, run_super, 16, false, 63)

/* The matmul of type id: kern_matmul_<id>_<isa>, which unpack_<id> unpacks.  For one token, with sixteen lanes `one` unpacks
 * and `finish` takes what its sums come to; with eight part_<id> does a row at a time. */
#if KERN_LANES == 16
/* The sinks are rebuilt so that `dot` is a constant. */
#define FORMAT(id, one, sums, ...) \
	static void tile_##id(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk) \
	{ \
		unpack_##id(&(const struct gemm_sink){ o->s, o->v, false, NULL }, p, stride, n_blk); \
	} \
	static void dot_##id(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk) \
	{ \
		one(&(const struct gemm_sink){ o->s, o->v, true, o->q }, p, stride, n_blk); \
	} \
	void KERN_FN(kern_matmul_##id)(const struct kern_matmul *p, uint32_t row0, uint32_t row1) \
	{ \
		static const struct gemm_format f = { \
			.block_bytes = sizeof(struct kern_##id), .unpack = tile_##id, .dot = dot_##id, .finish = sums##_1, \
			__VA_ARGS__ }; \
		\
		gemm_rows(p, &f, row0, row1); \
	}
#else
#define FORMAT(id, one, sums, ...) \
	static void tile_##id(const struct gemm_sink *o, const char *p, size_t stride, uint32_t n_blk) \
	{ \
		unpack_##id(o, p, stride, n_blk); \
	} \
	void KERN_FN(kern_matmul_##id)(const struct kern_matmul *p, uint32_t row0, uint32_t row1) \
	{ \
		static const struct gemm_format f = { \
			.block_bytes = sizeof(struct kern_##id), .unpack = tile_##id, __VA_ARGS__ }; \
		\
		if (p->x->n_tok == 1) \
			row_all(p, &f, part_##id, row0, row1); \
		else \
			gemm_rows(p, &f, row0, row1); \
	}
#endif

FORMAT(q8_0, packed_q8_0, small_sums, .sub = 32, .offset = BIAS_8, .run = RUNS(small_8))
FORMAT(q4_0, packed_q4_0, small_sums, .sub = 32, .offset = 8, .run = RUNS(small_4))
FORMAT(q4_1, unpack_q4_1, small_sums_min, .sub = 32, .min = true, .run = RUNS(small_4_min))
FORMAT(q5_0, unpack_q5_0, small_sums, .sub = 32, .offset = 16, .run = RUNS(small_5))
FORMAT(q5_1, unpack_q5_1, small_sums_min, .sub = 32, .min = true, .run = RUNS(small_5_min))
FORMAT(q5_k, masked_q5_k, super_sums_min, .sub = 32, .super = true, .min = true, .run = RUNS(super_5_min))
FORMAT(q4_k, masked_q4_k, super_sums_min, .sub = 32, .super = true, .min = true, .run = RUNS(super_4_min))
FORMAT(q6_k, unpack_q6_k, super_16_sums, .sub = 16, .super = true, .offset = 32, .run = RUNS(super_6_16))
FORMAT(iq4_nl, packed_iq4_nl, small_sums, .sub = 32, .offset = BIAS_8, .run = RUNS(small_8))
FORMAT(mxfp4, packed_mxfp4, small_sums, .sub = 32, .offset = MXFP4_OFFSET, .run = RUNS(small_5))
FORMAT(q2_k, unpack_q2_k, super_16_sums_min, .sub = 16, .super = true, .min = true, .run = RUNS(super_2_16_min))
FORMAT(q3_k, unpack_q3_k, super_16_sums, .sub = 16, .super = true, .offset = 4, .run = RUNS(super_3_16))
FORMAT(iq4_xs, unpack_iq4_xs, super_sums, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8))
FORMAT(iq2_xxs, unpack_iq2_xxs, super_sums, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8))
FORMAT(iq2_xs, unpack_iq2_xs, super_16_sums, .sub = 16, .super = true, .offset = BIAS_8, .run = RUNS(super_8_16))
FORMAT(iq2_s, unpack_iq2_s, super_16_sums, .sub = 16, .super = true, .offset = BIAS_8, .run = RUNS(super_8_16))
FORMAT(iq3_xxs, unpack_iq3_xxs, super_sums, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8))
FORMAT(iq3_s, unpack_iq3_s, super_sums, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8))

#endif
#endif
