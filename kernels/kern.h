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
	KERN_ACT_Q8,            /* blocks of 32: x = d * q, |q| <= 127, with the sum of each block's q */
	KERN_ACT_Q8K            /* blocks of 256: the same, with the sums of every 16 q */
};

/* n_tok rows of cols activations; which members are set depends on kind. */
struct kern_acts {
	enum kern_act kind;
	uint32_t n_tok, cols;
	const float *x;         /* [n_tok][cols] */
	int8_t *q;              /* [n_tok][n_blk * 32 or 256], padding zero */
	float *d;               /* [n_tok][n_blk] */
	int16_t *sums;          /* [n_tok][n_blk * 1 or 16] */
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

/* Rows of n values, one norm each; y may be x.  Means and sums are taken in f64.
 *   RMS    y[i] = x[i] / sqrt(mean of x^2 + eps) * w[i]
 *   LAYER  y[i] = (x[i] - mean) / sqrt(variance + eps) * w[i] + b[i]
 *   L2     y[i] = x[i] / max(sqrt(sum of x^2), eps) * w[i]
 * w NULL counts as ones, b NULL as zeros; b is for LAYER only. */
enum kern_norm_kind { KERN_NORM_RMS, KERN_NORM_LAYER, KERN_NORM_L2 };
struct kern_norm {
	float *y;
	const float *x, *w, *b;
	uint32_t n;
	float eps;
	enum kern_norm_kind kind;
};

/* Rotates n_rot values of each head, those from `at` on, in place.  Pair i of a head's n_rot values is
 * NORM (2i, 2i + 1), NEOX (i, n_rot / 2 + i).
 * x: [t][n_head][head_dim]; cos and sin: [t][n_rot / 2] (kern_rope_table); at + n_rot <= head_dim. */
struct kern_rope {
	float *x;
	const float *cos, *sin;
	uint32_t n_head, head_dim, n_rot, at;
	bool neox;
};

/* Attention of the n_group query heads that share one KV head, for n_tok tokens; row t * n_group + h is token t's head h:
 * out[t][h] = softmax(f(scale * q[t][h] . K)) V over the positions before n_kv + t, of which there are n_kv + t, or
 * with window > 0 no more than that many, the last ones; n_kv > 0.
 * q: [n_group][k_dim] a token, q_stride values apart; out: [n_group][v_dim], out_stride apart; K: rows of k_dim values,
 * k_stride values apart, that of position 0 first, V likewise with v_dim.  k_type and v_type pass
 * kern_can_store; of types with blocks dims and strides are multiples of 32.
 * f(x) = softcap * tanh(x / softcap), or x when softcap is 0.  sinks, when not NULL, has one more score a head
 * that takes its share of the softmax and gives no value.
 * KV is walked in blocks of KERN_ATTN_BLOCK positions counted from 0; each block gives a maximum, a
 * sum and a weighted sum of its own, and blocks are merged left to right (online softmax,
 * arXiv 1805.02867), the sink last.
 * Work is split by rows and, with kern_attn_parts, by blocks as well; KERN_ATTN_ROWS share what is done once for K and
 * V, KERN_ATTN_SPAN read them from memory once. */
#define KERN_ATTN_ROWS 32
#define KERN_ATTN_SPAN 256      /* a multiple of KERN_ATTN_ROWS */
struct kern_attn {
	float *out;
	const float *q;
	size_t out_stride, q_stride;
	const void *k, *v;
	size_t k_stride, v_stride;
	uint32_t k_type, v_type, k_dim, v_dim, n_group, n_tok, n_kv, window;
	float scale, softcap;
	const float *sinks;     /* [n_group] or NULL */
};

/* The softmax of some scores before it is divided: their maximum, the sum of e^(score - top); norm 0: no scores. */
struct kern_attn_mass { float top, norm; };

/* What each of n_block blocks gave, and what the blocks before them came to, which out holds undivided.  The caller
 * zeroes all before the first blocks, computes them (attn_block), merges them (attn_merge), and goes on with the next
 * ones, from the block of the first position that any row sees to that of the last; then out is complete. */
struct kern_attn_parts {
	uint32_t block0, n_block;       /* block b has positions b * KERN_ATTN_BLOCK on */
	float *sum;                     /* [n_block][n_tok * n_group][v_dim] */
	struct kern_attn_mass *mass;    /* [n_block][n_tok * n_group] */
	struct kern_attn_mass *all;     /* [n_tok * n_group] */
};

static inline uint32_t kern_attn_rows(const struct kern_attn *p)
{
	return p->n_tok * p->n_group;
}

/* Do the parts reach the last position? */
static inline bool kern_attn_last(const struct kern_attn *p, const struct kern_attn_parts *parts)
{
	return parts->block0 + parts->n_block > (p->n_kv + p->n_tok - 2) / KERN_ATTN_BLOCK;
}

/* g[i] = act(g[i]) * u[i], i < n; with u NULL g[i] = act(g[i]).
 *   SILU   x / (1 + e^-x)
 *   GELU   x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))      (Hendrycks and Gimpel, arXiv 1606.08415)
 *   OAI    x / (1 + e^(-1.702 x)) with x <= 7, times (1 + u[i]) with -7 <= u[i] <= 7; u must be there
 *          (gpt-oss's model card)
 *   SIGMOID 1 / (1 + e^-x) */
enum kern_glu_kind { KERN_GLU_SILU, KERN_GLU_GELU, KERN_GLU_OAI, KERN_GLU_SIGMOID };
struct kern_glu {
	float *g;
	const float *u;
	size_t n;
	enum kern_glu_kind kind;
};

/* y[i] += scale * x[i], i < n */
struct kern_add {
	float *y;
	const float *x;
	size_t n;
	float scale;
};

/* Causal depthwise convolution over tokens: y[t][c] = sum over j < n_tap of w[c][j] * x[t - n_tap + 1 + j][c], where
 * x before the first token is what state holds, the oldest first; state then takes the last n_tap - 1 rows.
 * x and y: [n_tok][n_ch]; w: [n_ch][n_tap]; state: [n_tap - 1][n_ch]; y must not be x.  Work is split by channels. */
#define KERN_CONV_TAPS 16       /* the most that n_tap may be */
struct kern_conv {
	float *y, *state;
	const float *x, *w;
	uint32_t n_tok, n_ch, n_tap;
};

/* The gated delta rule (Yang, Kautz and Hatamizadeh, arXiv 2412.06464), for each value head, token after token:
 *   S = e^g S;  d = beta (v - S k);  S = S + d k^T;  out = scale * S q
 * S: [n_v][dim][dim] a head, rows by value, kept between calls; q, k: [n_tok][n_k][dim], v, out: [n_tok][n_v][dim];
 * g, beta: [n_tok][n_v].  Value head h goes with key head h / (n_v / n_k), or with tiled h % n_k.  dim <= KERN_HEAD_MAX.
 * Work is split by value heads. */
struct kern_delta {
	float *out, *state;
	const float *q, *k, *v, *g, *beta;
	uint32_t n_tok, n_k, n_v, dim;
	float scale;
	bool tiled;
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
	void (*norm)(const struct kern_norm *p, uint32_t row0, uint32_t row1);
	void (*rope)(const struct kern_rope *p, uint32_t tok0, uint32_t tok1);
	void (*attn)(const struct kern_attn *p, uint32_t row0, uint32_t row1);
	void (*attn_block)(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t block, uint32_t row0,
			   uint32_t row1);
	void (*attn_merge)(const struct kern_attn *p, const struct kern_attn_parts *parts, uint32_t row0, uint32_t row1);
	void (*glu)(const struct kern_glu *p);
	void (*add)(const struct kern_add *p);
	void (*conv)(const struct kern_conv *p, uint32_t ch0, uint32_t ch1);
	void (*delta)(const struct kern_delta *p, uint32_t head0, uint32_t head1);
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
/* Rows of a KV cache: F32, F16, BF16, or Q8_0 and Q4_0, whose blocks need a multiple of 32 values. */
bool kern_can_store(uint32_t type);
bool kern_stores_blocks(uint32_t type);
/* Bytes of n values of such a type. */
static inline size_t kern_stored_bytes(uint32_t type, size_t n)
{
	switch (type) {
	case KERN_F32:
		return 4 * n;
	case KERN_Q8_0:
		return n / 32 * 34;
	case KERN_Q4_0:
		return n / 32 * 18;
	default:
		return 2 * n;
	}
}
/* Store n f32. */
void kern_store(uint32_t type, void *dst, const float *src, size_t n);
/* Each piece of `size` values, a power of two, times the Hadamard matrix of that size / sqrt(size): outliers are spread
 * over the piece, scalar products of two pieces stay, and a second time it is undone. */
void kern_rotate(float *x, size_t n, uint32_t size);

/* cos and sin of rope's angles at one position, both times a factor:
 * angle[i] = pos * base^(-2i / n_rot) / factors[i], i < n_rot / 2; factors may be NULL.
 * The powers are taken by repeated f32 multiplication, as llama.cpp does.  The angle is then stretched to
 * scale * angle; with yarn (arXiv 2309.00071, as llama.cpp computes it) the pairs below low keep the angle, those
 * above high are stretched, those between are mixed, by the share yarn, and the factor is attn_factor *
 * (1 + 0.1 ln(1 / scale)).  Without yarn (0) the factor is attn_factor. */
struct kern_rope_angles {
	float base, scale;
	const float *factors;   /* [n_rot / 2] or NULL */
	uint32_t n_rot;
	float yarn, low, high;  /* low and high: kern_rope_yarn */
	float attn_factor;      /* usually 1 */
};
/* The pairs where yarn begins and ends to stretch, from the context that the model was first trained with. */
void kern_rope_yarn(struct kern_rope_angles *a, uint32_t n_ctx_orig, float beta_fast, float beta_slow);
void kern_rope_table(const struct kern_rope_angles *a, uint32_t pos, float *cos_out, float *sin_out);

#ifdef __cplusplus
}
#endif

#endif
