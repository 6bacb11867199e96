/* kern_gemm_formats.h - the types of quantised rows that are multiplied in blocks, and their entry points.
 *
 * Included once by each kern_gemm_<isa>.c.
 */
#ifndef KERNELS_KERN_GEMM_FORMATS_H
#define KERNELS_KERN_GEMM_FORMATS_H

#include "kernels/kern_gemm_grid.h"
#include "kernels/kern_gemm_masked.h"
#include "kernels/kern_gemm_packed.h"
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

/* What a type's sums come to, and the same for one token whose sums are there. */
RUN_ONE(small_sums, 1, run_small, false, TOP_SUMS)
RUN_ONE(small_sums_min, 1, run_small, true, TOP_SUMS)
RUN_ONE(super_sums, 1, run_super, 32, false, TOP_SUMS)
RUN_ONE(super_sums_min, 1, run_super, 32, true, TOP_SUMS)
RUN_ONE(super_16_sums, 1, run_super, 16, false, TOP_SUMS)
RUN_ONE(super_16_sums_min, 1, run_super, 16, true, TOP_SUMS)
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

/* The matmul of type id: kern_matmul_<id>_<isa>, which unpack_<id> and for one token `one` unpack.  The sinks are
 * rebuilt so that `dot` is a constant. */
#define FORMAT(id, ...) FORMAT_ONE(id, unpack_##id, __VA_ARGS__)
#define FORMAT_ONE(id, one, ...) \
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
			.block_bytes = sizeof(struct kern_##id), .unpack = tile_##id, .dot = dot_##id, __VA_ARGS__ }; \
		\
		gemm_rows(p, &f, row0, row1); \
	}

FORMAT_ONE(q8_0, packed_q8_0, .sub = 32, .offset = BIAS_8, .run = RUNS(small_8),
	   .finish = small_sums_1)
FORMAT_ONE(q4_0, packed_q4_0, .sub = 32, .offset = 8, .run = RUNS(small_4),
       .finish = small_sums_1)
FORMAT(q4_1, .sub = 32, .min = true, .run = RUNS(small_4_min),
       .finish = small_sums_min_1)
FORMAT(q5_0, .sub = 32, .offset = 16, .run = RUNS(small_5),
       .finish = small_sums_1)
FORMAT(q5_1, .sub = 32, .min = true, .run = RUNS(small_5_min),
       .finish = small_sums_min_1)
FORMAT_ONE(q5_k, masked_q5_k, .sub = 32, .super = true, .min = true, .run = RUNS(super_5_min),
       .finish = super_sums_min_1)
FORMAT_ONE(q4_k, masked_q4_k, .sub = 32, .super = true, .min = true, .run = RUNS(super_4_min),
       .finish = super_sums_min_1)
FORMAT(q6_k, .sub = 16, .super = true, .offset = 32, .run = RUNS(super_6_16),
       .finish = super_16_sums_1)
FORMAT_ONE(iq4_nl, packed_iq4_nl, .sub = 32, .offset = BIAS_8, .run = RUNS(small_8),
       .finish = small_sums_1)
FORMAT_ONE(mxfp4, packed_mxfp4, .sub = 32, .offset = MXFP4_OFFSET, .run = RUNS(small_5),
       .finish = small_sums_1)
FORMAT(q2_k, .sub = 16, .super = true, .min = true, .run = RUNS(super_2_16_min),
       .finish = super_16_sums_min_1)
FORMAT(q3_k, .sub = 16, .super = true, .offset = 4, .run = RUNS(super_3_16),
       .finish = super_16_sums_1)
FORMAT(iq4_xs, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8),
       .finish = super_sums_1)
FORMAT(iq2_xxs, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8),
       .finish = super_sums_1)
FORMAT(iq2_xs, .sub = 16, .super = true, .offset = BIAS_8, .run = RUNS(super_8_16),
       .finish = super_16_sums_1)
FORMAT(iq2_s, .sub = 16, .super = true, .offset = BIAS_8, .run = RUNS(super_8_16),
       .finish = super_16_sums_1)
FORMAT(iq3_xxs, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8),
       .finish = super_sums_1)
FORMAT(iq3_s, .sub = 32, .super = true, .offset = BIAS_8, .run = RUNS(super_8),
       .finish = super_sums_1)

#endif
#endif
