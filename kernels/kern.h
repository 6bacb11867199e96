/* kern.h - the operations that a model graph is made of, and their implementations by instruction set.
 *
 * An operation takes one params struct, works on the caller's memory only and cannot fail: shapes are
 * checked by the caller when the model is loaded.  Work is split by rows or by items; any split gives
 * the same bits, because every output value is computed in one order that depends on its own inputs
 * alone, not on the batch it arrives in nor on the thread that computes it.
 *
 * All activations are f32, row-major, one row a token.
 * Threads: the tables are constant; two calls may run at once when their outputs do not overlap.
 */
#ifndef KERNELS_KERN_H
#define KERNELS_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kern_type.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KERN_ATTN_BLOCK 256     /* KV positions that one softmax block covers */
#define KERN_HEAD_MAX 1024      /* largest head dimension that attention takes */
#define KERN_Q8_STEP 8          /* blocks of 32 that the rows of a Q8 activation are padded to */

/* ---- activations prepared for a matmul ------------------------------------------------------- */

enum kern_act {
	KERN_ACT_NONE,          /* the type has no matmul */
	KERN_ACT_F32,           /* as they are */
	KERN_ACT_Q8,            /* blocks of 32: x = d * q, |q| <= 127 */
	KERN_ACT_Q8K            /* blocks of 256: the same, with the sums of every 16 q */
};

/* n_tok rows of cols activations; which members are set depends on kind. */
struct kern_acts {
	enum kern_act kind;
	uint32_t n_tok, cols;
	const float *x;         /* [n_tok][cols] */
	int8_t *q;              /* [n_tok][n_blk * 32 or 256], padding zero */
	float *d;               /* [n_tok][n_blk] */
	int16_t *sums;          /* [n_tok][n_blk * 16], Q8K only */
	uint32_t n_blk;         /* blocks a row, for Q8 rounded up to a multiple of KERN_Q8_STEP */
};

/* The bytes that kern_acts_init needs behind buf for kinds that quantise (0 for KERN_ACT_F32). */
size_t kern_acts_bytes(enum kern_act kind, uint32_t n_tok, uint32_t cols);
/* Lay *a over buf (64-byte aligned; borrowed, as is x).  Nothing is quantised yet. */
void kern_acts_init(struct kern_acts *a, enum kern_act kind, const float *x, uint32_t n_tok, uint32_t cols,
		    void *buf);

/* ---- operations ------------------------------------------------------------------------------ */

/* y[t][row] = sum over c of W[row][c] * x[t][c] for t < x->n_tok and the rows asked for.
 * W: rows of x->cols weights of one type, row_bytes apart; y: y_stride floats a token.
 * Reads (row1 - row0) * row_bytes of weights. */
struct kern_matmul {
	float *y;
	size_t y_stride;
	const void *w;
	size_t row_bytes;
	uint32_t type;
	const struct kern_acts *x;
};

/* y[t][i] = x[t][i] / sqrt(mean of x[t]^2 + eps) * w[i], i < n; the mean is taken in f64.
 * y may be x. */
struct kern_norm {
	float *y;
	const float *x, *w;
	uint32_t n;
	float eps;
};

/* Rotates the first n_rot of each head's head_dim values, in place: pair i is (x[2i], x[2i + 1]).
 * x: [t][n_head][head_dim]; cos and sin: [t][n_rot / 2] (kern_rope_table). */
struct kern_rope {
	float *x;
	const float *cos, *sin;
	uint32_t n_head, head_dim, n_rot;
};

/* Attention of the n_group query heads that share one KV head, for one token:
 * out[h] = softmax(scale * q[h] . K) V over positions 0 .. n_kv - 1.
 * q: [n_group][k_dim]; K: n_kv rows of k_dim values k_stride values apart, V likewise with v_dim;
 * out: [n_group][v_dim].  k_type and v_type are KERN_F32 or KERN_F16.
 * KV is walked in blocks of KERN_ATTN_BLOCK positions counted from 0; each block gives a maximum, a
 * sum and a weighted sum of its own, and blocks are merged left to right (online softmax,
 * arXiv 1805.02867). */
struct kern_attn {
	float *out;
	const float *q;
	const void *k, *v;
	size_t k_stride, v_stride;
	uint32_t k_type, v_type, k_dim, v_dim, n_group, n_kv;
	float scale;
};

/* g[i] = silu(g[i]) * u[i], silu(x) = x / (1 + e^-x), i < n */
struct kern_silu_mul {
	float *g;
	const float *u;
	size_t n;
};

/* y[i] += x[i], i < n */
struct kern_add {
	float *y;
	const float *x;
	size_t n;
};

/* ---- implementations ------------------------------------------------------------------------- */

struct kern_matmul_op {
	enum kern_act act;      /* what x must be prepared as; KERN_ACT_NONE: no such matmul */
	void (*rows)(const struct kern_matmul *p, uint32_t row0, uint32_t row1);
};

struct kern_isa {
	const char *name;       /* "ref", "avx2", "avx512" */
	bool (*usable)(void);   /* does this processor have it? */
	struct kern_matmul_op matmul[KERN_TYPE_COUNT];
	void (*quantise)(const struct kern_acts *a, uint32_t tok0, uint32_t tok1);
	void (*rms_norm)(const struct kern_norm *p, uint32_t tok0, uint32_t tok1);
	void (*rope)(const struct kern_rope *p, uint32_t tok0, uint32_t tok1);
	void (*attn)(const struct kern_attn *p);
	void (*silu_mul)(const struct kern_silu_mul *p);
	void (*add)(const struct kern_add *p);
};

/* The implementation of that name, or with name NULL the fastest one this processor can run.
 * NULL when the name is unknown or the processor lacks it. */
const struct kern_isa *kern_isa_find(const char *name);
/* The i-th implementation, slowest first, whether usable or not; NULL past the end. */
const struct kern_isa *kern_isa_at(unsigned i);

/* ---- the same on every machine --------------------------------------------------------------- */

/* Can tensors of this type be computed with? */
bool kern_can_dequant(uint32_t type);
/* y[0 .. n) = the weights of a row of that type; n is a multiple of the type's block.  The values are
 * exact: those of the format's formula in f32.  The type must pass kern_can_dequant. */
void kern_dequant(uint32_t type, const void *row, float *y, size_t n);
/* KV rows: store n f32 as KERN_F32 or KERN_F16. */
void kern_store(uint32_t type, void *dst, const float *src, size_t n);

/* cos and sin of the angles of NORM and NEOX rope at one position:
 * angle[i] = scale * pos * base^(-2i / n_rot) / factors[i], i < n_rot / 2; factors may be NULL.
 * The powers are taken by repeated f32 multiplication, as llama.cpp does. */
struct kern_rope_angles {
	float base, scale;
	const float *factors;   /* [n_rot / 2] or NULL */
	uint32_t n_rot;
};
void kern_rope_table(const struct kern_rope_angles *a, uint32_t pos, float *cos_out, float *sin_out);

#ifdef __cplusplus
}
#endif

#endif
