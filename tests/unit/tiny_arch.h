/* tiny_arch.h - small models of every architecture, of seeded random weights, as GGUF files in memory.
 *
 * A case is one model.  The same case gives the same bytes on every machine and for ever: a value is an
 * integer out of splitmix64 times a factor, rounded once; of libm only sqrt is used.  Each tensor draws
 * from a stream of its own, made of the case's seed and the tensor's name, so that leaving out or adding
 * a tensor changes no other.
 *
 * Weights are about N(0, (gain / sqrt(columns))^2) with a gain of 1.25, norms about 1 +- 1/8, biases about +- 1/8, routers
 * three times as large as other weights, so that the choice of experts matters.
 *
 * A case may be built with its layers several times over; its arrays, one element a layer, then repeat.
 *
 * The families are in tiny_arch_FAMILY.c: what keys and tensors a file of theirs has, and how their
 * computation differs from llama's.  tests/golden holds llama.cpp's logits for each case.
 */
#ifndef TESTS_UNIT_TINY_ARCH_H
#define TESTS_UNIT_TINY_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TINY_ARCH_VOCAB 128
#define TINY_ARCH_CTX 512               /* positions of the session that the goldens are made with */

/* Tests of all cases with threads that spin are slow under ThreadSanitizer, and share one family out like the other. */
#ifdef __SANITIZE_THREAD__
#define TINY_ARCH_EVERY 12
#else
#define TINY_ARCH_EVERY 1
#endif

/* The same for tests of what all architectures do alike, which take minutes under AddressSanitizer: by this step. */
#ifdef __SANITIZE_ADDRESS__
#define TINY_ARCH_SOME 3
#else
#define TINY_ARCH_SOME TINY_ARCH_EVERY
#endif

struct tiny_arch_file;

struct tiny_arch {
	const char *name;               /* of the case */
	const char *golden;             /* whose goldens it has: another case's, or NULL for its own */
	const char *arch;               /* general.architecture */
	void (*write)(struct tiny_arch_file *f);
	uint64_t seed;
	uint32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff;
	uint32_t n_expert, n_used, n_ff_exp;
	uint32_t window;
	unsigned flags;                 /* the family's own */
	double gain;                    /* of its matrices, 0 for 1.25: less where errors of rounding would grow */
	bool ollama;                    /* the file is as Ollama names things (engine/compat.h) */
	bool gelu;                      /* llama.cpp rounds this family's activation to F16 */
};

/* The i-th case of all families, NULL after the last. */
const struct tiny_arch *tiny_arch_at(unsigned i);
/* The first of that name, which there is: anything else ends the program. */
const struct tiny_arch *tiny_arch_named(const char *name);

/* 0 and an owned buffer; -ENOMEM, -EFBIG. */
int tiny_arch_build(const struct tiny_arch *c, unsigned char **out, size_t *len)
	__attribute__((warn_unused_result));

/* model_open of the case's file; prints its line when it is refused. */
struct model;
int tiny_arch_open(const struct tiny_arch *c, struct model **m) __attribute__((warn_unused_result));

/* ---- for the families ------------------------------------------------------------------------------ */

/* Tables of cases, each ended by a name of NULL. */
extern const struct tiny_arch tiny_arch_llama[], tiny_arch_qwen[], tiny_arch_gemma[], tiny_arch_phi3[],
	tiny_arch_gptoss[], tiny_arch_granite[], tiny_arch_cohere[], tiny_arch_glm[], tiny_arch_gptneox[],
	tiny_arch_deepseek2[], tiny_arch_delta[], tiny_arch_gemma4[], tiny_arch_lfm2[];

const struct tiny_arch *tiny_arch_case(const struct tiny_arch_file *f);

/* Keys in the architecture's name space: ARCH.KEY. */
void tiny_arch_u32(struct tiny_arch_file *f, const char *key, uint32_t v);
void tiny_arch_f32(struct tiny_arch_file *f, const char *key, float v);
void tiny_arch_bool(struct tiny_arch_file *f, const char *key, bool v);
void tiny_arch_str(struct tiny_arch_file *f, const char *key, const char *v);
/* Arrays of type GGUF_U32, GGUF_I32 or GGUF_BOOL. */
void tiny_arch_array(struct tiny_arch_file *f, const char *key, uint32_t type, const void *v, uint32_t n);

/* What the files of nearly all architectures have: block_count, context_length, embedding_length,
 * feed_forward_length, attention.head_count, attention.head_count_kv, rope.freq_base and the RMS epsilon;
 * expert_count and expert_used_count where there are experts. */
void tiny_arch_dims(struct tiny_arch_file *f);

/* Tensors whose name has no layer in it are written with this for one. */
#define TINY_ARCH_GLOBAL UINT32_MAX

/* One tensor of F32: its whole name is blk.LAYER.NAME, or NAME.  ne[1], ne[2] may be 0.  A mean other than
 * 0 wants a power of two for spread, so that the sum is rounded once on every machine. */
struct tiny_arch_tensor {
	uint32_t layer;
	const char *name;
	uint32_t ne[3];
	double mean, spread;
};
void tiny_arch_tensor(struct tiny_arch_file *f, const struct tiny_arch_tensor *t);

/* NAME.weight: a matrix [in, out], a stack of n matrices, a norm [n]; NAME.bias [n]. */
void tiny_arch_matrix(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t in, uint32_t out);
void tiny_arch_stack(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t in, uint32_t out,
		     uint32_t n);
void tiny_arch_norm(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t n);
void tiny_arch_bias(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t n);
/* NAME.weight [in, out] of a router, [in] when out is 0. */
void tiny_arch_router(struct tiny_arch_file *f, uint32_t layer, const char *name, uint32_t in, uint32_t out);
/* The n matrices of a stack, each as a tensor of its own: a name with %u for the number of the expert; their
 * values are those of the stack called of. */
void tiny_arch_split(struct tiny_arch_file *f, uint32_t layer, const char *name, const char *of, uint32_t in,
		     uint32_t out, uint32_t n);
/* Two stacks in one tensor [in, 2 * out, n]: each matrix of the first with that of the second behind it. */
void tiny_arch_fused(struct tiny_arch_file *f, uint32_t layer, const char *name, const char *const of[2], uint32_t in,
		     uint32_t out, uint32_t n);
/* A tensor of given values, without a layer. */
void tiny_arch_values(struct tiny_arch_file *f, const char *name, const float *v, uint32_t n);

/* token_embd.weight with that spread, output_norm.weight, and output.weight unless it is tied. */
void tiny_arch_ends(struct tiny_arch_file *f, double embd_spread, bool tied);
/* attn_q, attn_k, attn_v and attn_output of a layer, with biases for the first three or for all four. */
enum tiny_arch_biases { TINY_ARCH_NO_BIAS, TINY_ARCH_QKV_BIAS, TINY_ARCH_ALL_BIAS };
void tiny_arch_attention(struct tiny_arch_file *f, uint32_t layer, enum tiny_arch_biases biases);
/* ffn_gate, ffn_up and ffn_down of a layer, of that width. */
void tiny_arch_mlp(struct tiny_arch_file *f, uint32_t layer, uint32_t n_ff);
/* ffn_gate_inp, ffn_gate_exps, ffn_up_exps and ffn_down_exps of a layer. */
void tiny_arch_moe(struct tiny_arch_file *f, uint32_t layer, uint32_t n_ff);
/* ffn_gate_shexp, ffn_up_shexp and ffn_down_shexp of a layer. */
void tiny_arch_shared(struct tiny_arch_file *f, uint32_t layer, uint32_t n_ff);

#endif
