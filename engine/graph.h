/* graph.h - the vocabulary that architectures are written in, over one batch of tokens.
 *
 * A graph belongs to one session.  It holds the batch (tokens at positions pos0, pos0 + 1, ...), the
 * buffers that pass between operations, the KV cache and the threads that share the work.  Operations
 * run at once, in the order of the calls.  All buffers are f32, [n_tok][width].
 *
 * Output bits depend on the operations' inputs only, not on the batch size or the number of threads
 * (kern.h, kern_pool.h).
 * Threads: one caller at a time.
 */
#ifndef ENGINE_GRAPH_H
#define ENGINE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/weights.h"
#include "kernels/kern.h"

struct graph;
struct kern_pool;
struct kv;

/* Buffers an architecture may use between operations.  GRAPH_X carries the residual stream from layer to
 * layer and GRAPH_LAYERS what a batch's tokens bring for each layer; the others hold nothing that outlives a
 * layer.  How wide each is the model says (model.width). */
enum graph_buf {
	GRAPH_X, GRAPH_XN, GRAPH_Y,             /* the stream, a normed copy, a block's result */
	GRAPH_Q, GRAPH_K, GRAPH_V, GRAPH_ATT,
	GRAPH_GATE, GRAPH_UP,
	GRAPH_T, GRAPH_U,                       /* for what an architecture needs besides */
	GRAPH_LAYERS,
	GRAPH_BUFS
};
#define GRAPH_ROPES 2

/* The widest buffers a model needs. */
struct graph_sizes {
	uint32_t n_batch;               /* tokens at a time */
	uint32_t width[GRAPH_BUFS];
	uint32_t n_rot;
	uint32_t attn_row;              /* with a KV cache on disk: the most that n_head * (head_v + 4) is in a layer */
	uint32_t n_expert, n_expert_used;       /* of mixtures; 0: none */
	uint32_t group_rows;            /* rows a token of grouped matmuls (experts used, or heads), */
	uint32_t group_in, group_mid, group_out;        /* how wide their inputs, an expert's middle and results are */
};

/* Borrows isa, pool and kv.  0 and an owned graph in *out; -EOVERFLOW, -ENOMEM. */
int graph_new(struct graph **out, const struct graph_sizes *sizes, const struct kern_isa *isa,
	      struct kern_pool *pool, struct kv *kv) __attribute__((warn_unused_result));
void graph_free(struct graph *g);               /* takes g; NULL is a no-op */
/* Memory that a graph of these sizes takes; SIZE_MAX when it is too much to count. */
size_t graph_need(const struct graph_sizes *sizes);

/* From now on matrices come from s, borrowed, and not from where their data points. */
struct stream;
void graph_set_stream(struct graph *g, struct stream *s);
size_t graph_bytes(const struct graph *g);      /* memory of the buffers */

float *graph_buf(const struct graph *g, enum graph_buf buf);

/* Begin a batch of n_tok <= n_batch tokens, the first at position pos0. */
void graph_begin(struct graph *g, uint32_t n_tok, uint32_t pos0);
/* x = the rows of table that tokens name; every token < table->ne[1]. */
void graph_embed(struct graph *g, float *x, const struct weights_tensor *table, const uint32_t *tokens);

/* Norms over rows of n values, rows of them a token; y may be x; w and b may be NULL or absent. */
struct graph_norm {
	float *y;
	const float *x;
	const struct weights_tensor *w, *b;
	uint32_t rows, n;
	float eps;
	enum kern_norm_kind kind;
};
void graph_norm(struct graph *g, const struct graph_norm *p);

/* y[n_tok][w->ne[1]] = x W^T + b, for up to GRAPH_LINEAR_MAX matrices with one input of width ne[0]. */
#define GRAPH_LINEAR_MAX 4
struct graph_linear { float *y; const struct weights_tensor *w, *b; };  /* b may be NULL or absent */
void graph_linear(struct graph *g, const float *x, const struct graph_linear *list, uint32_t n);
/* The same for n_tok rows of x, whatever the batch is. */
void graph_linear_rows(struct graph *g, const float *x, uint32_t n_tok, const struct graph_linear *list, uint32_t n);

/* A matrix a head: y's head h, from value y_at on, = slice h of w times x's head h, from value x_at on.
 * Heads are y_width and x_width values wide; w is [ne0, ne1, n_head]. */
struct graph_heads {
	float *y;
	const float *x;
	const struct weights_tensor *w;
	uint32_t y_width, y_at, x_width, x_at;
};
void graph_heads(struct graph *g, const struct graph_heads *p);

/* Angles of the batch's positions, once a batch; then n_rot values of each head of x are turned in place. */
void graph_rope_angles(struct graph *g, uint32_t table, const struct kern_rope_angles *p);
struct graph_rope { float *x; uint32_t table, n_head, head_dim, at; bool neox; };
void graph_rope(struct graph *g, const struct graph_rope *p);

/* Put the batch's k and v rows into the cache, then att = attention over all positions up to each. */
struct graph_attn {
	float *att;                     /* [n_head][head_v] a token */
	float *q, *k, *v;               /* changed; k NULL: nothing is put into the cache; v NULL: a value is the first part of its key */
	uint32_t layer, n_head, n_head_kv, head_k, head_v;      /* layer: whose keys and values */
	uint32_t window;                /* positions that a token sees, itself among them; 0: all */
	float scale, softcap;
	const struct weights_tensor *sinks;     /* [n_head] f32; may be NULL or absent */
};
void graph_attention(struct graph *g, const struct graph_attn *p);

#define GRAPH_EXPERTS_MAX 1024
/* A mixture of experts of up to GRAPH_EXPERTS_MAX, y = sum over the chosen, in the order of their rank, of weight * down(act(gate x) * up x). */
struct graph_moe {
	float *y;
	const float *x;
	const float *scores;            /* [n_tok][n_expert] of the router, changed */
	const struct weights_tensor *gate, *up, *down;          /* [.., .., n_expert] */
	const struct weights_tensor *gate_b, *up_b, *down_b;    /* [.., n_expert] f32; may be absent */
	const struct weights_tensor *down_scale;                /* [n_expert] f32; may be absent */
	const struct weights_tensor *bias;      /* [n_expert] f32, added for the choice only; may be absent */
	uint32_t n_expert, n_used, n_group, n_group_used;
	bool sigmoid, softmax_after, norm;
	float scale;
	enum kern_glu_kind act;
};
void graph_moe(struct graph *g, const struct graph_moe *p);

/* Causal convolution over tokens with the layer's state; x and y apart.  w: [taps, n_ch] f32. */
void graph_conv(struct graph *g, float *y, const float *x, uint32_t layer, const struct weights_tensor *w);
/* The gated delta rule (kern.h) with the layer's state. */
struct graph_delta {
	float *out;
	const float *q, *k, *v, *g, *beta;
	uint32_t layer, n_k, n_v, dim;
	float scale;
	bool tiled;
};
void graph_delta(struct graph *g, const struct graph_delta *p);
/* g = a * softplus(g + dt), beta = sigmoid(beta), n a token. */
void graph_delta_gates(struct graph *g, float *decay, float *beta, const struct weights_tensor *a,
		       const struct weights_tensor *dt);

/* gate = act(gate) * up, width n a token; up may be NULL. */
void graph_glu(struct graph *g, enum kern_glu_kind act, float *gate, const float *up, uint32_t n);
/* y += scale * x, width n a token. */
void graph_add(struct graph *g, float *y, const float *x, uint32_t n, float scale);
/* y *= scale, width n a token; y *= w likewise, w [n] f32, or [1]. */
void graph_scale(struct graph *g, float *y, uint32_t n, float scale);
void graph_mul_weight(struct graph *g, float *y, uint32_t n, const struct weights_tensor *w);
/* y *= x, width n a token; y *= x, x one value a token. */
void graph_mul(struct graph *g, float *y, const float *x, uint32_t n);
void graph_gate_rows(struct graph *g, float *y, const float *x, uint32_t n);
/* Values at .. at + n - 1 of each of x's rows, one behind the other: x [n_tok][rows][width], y [n_tok][rows][n]. */
struct graph_pick { float *y; const float *x; uint32_t rows, width, at, n; };
void graph_pick(struct graph *g, const struct graph_pick *p);
/* The other way: y's rows get x's values at .. at + n - 1. */
void graph_put(struct graph *g, const struct graph_pick *p);
/* The same from one row of n values a token, which each of the rows gets. */
void graph_put_shared(struct graph *g, const struct graph_pick *p);
/* Queries beyond each `length` positions: x *= 1 + scale * ln(1 + floor(pos / length)), width n a token. */
void graph_temperature(struct graph *g, float *x, uint32_t n, float scale, uint32_t length);

#endif
