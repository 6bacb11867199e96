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

#include <stddef.h>
#include <stdint.h>

#include "engine/weights.h"

struct graph;
struct kern_isa;
struct kern_pool;
struct kv;

/* The widest buffers a model needs. */
struct graph_sizes {
	uint32_t n_batch;               /* tokens at a time */
	uint32_t n_embd, n_q, n_k, n_v, n_att, n_ff, n_rot;
};

/* Buffers an architecture may use between operations.  x carries the residual stream from layer to
 * layer; the others hold nothing that outlives a layer. */
struct graph_bufs {
	float *x, *xn;                  /* n_embd wide: the stream, and a normed or projected copy */
	float *q, *k, *v, *att;         /* n_q, n_k, n_v, n_att wide */
	float *gate, *up;               /* n_ff wide */
};

/* Borrows isa, pool and kv.  0 and an owned graph in *out; -EOVERFLOW, -ENOMEM. */
int graph_new(struct graph **out, const struct graph_sizes *sizes, const struct kern_isa *isa,
	      struct kern_pool *pool, struct kv *kv) __attribute__((warn_unused_result));
void graph_free(struct graph *g);               /* takes g; NULL is a no-op */

const struct graph_bufs *graph_bufs(const struct graph *g);

/* Begin a batch of n_tok <= n_batch tokens, the first at position pos0. */
void graph_begin(struct graph *g, uint32_t n_tok, uint32_t pos0);
/* x = the rows of table that tokens name; every token < table->ne[1]. */
void graph_embed(struct graph *g, float *x, const struct weights_tensor *table, const uint32_t *tokens);

/* y = RMS norm of x with weights w [n]; y may be x. */
struct graph_norm { float *y; const float *x; const struct weights_tensor *w; float eps; };
void graph_rms_norm(struct graph *g, const struct graph_norm *p);

/* y[n_tok][w->ne[1]] = x W^T + b, for up to GRAPH_LINEAR_MAX matrices with one input of width ne[0]. */
#define GRAPH_LINEAR_MAX 4
struct graph_linear { float *y; const struct weights_tensor *w, *b; };  /* b may be NULL or absent */
void graph_linear(struct graph *g, const float *x, const struct graph_linear *list, uint32_t n);
/* The same for n_tok rows of x, whatever the batch is. */
void graph_linear_rows(struct graph *g, const float *x, uint32_t n_tok, const struct graph_linear *list, uint32_t n);

/* Angles of the batch's positions, once a batch; then heads of x are turned in place (NORM pairs). */
struct graph_angles { float base, scale; const struct weights_tensor *factors; uint32_t n_rot; };
void graph_rope_angles(struct graph *g, const struct graph_angles *p);
void graph_rope(struct graph *g, float *x, uint32_t n_head, uint32_t head_dim);

/* Put the batch's k and v rows into the cache, then att = attention over all positions up to each. */
struct graph_attn {
	float *att;                     /* [n_head][head_v] a token */
	const float *q, *k, *v;
	uint32_t layer, n_head, n_head_kv, head_k, head_v;
	float scale;
};
void graph_attention(struct graph *g, const struct graph_attn *p);

/* gate = silu(gate) * up, width n a token; y += x likewise. */
void graph_silu_mul(struct graph *g, float *gate, const float *up, uint32_t n);
void graph_add(struct graph *g, float *y, const float *x, uint32_t n);

#endif
