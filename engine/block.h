/* block.h - the parts of a layer that families of architectures share.
 *
 * Loading takes the tensors and notes what is there; computing does what the tensors that are there ask for, so that
 * one text serves a family with biases and one without.  Each part reads GRAPH_XN and leaves its result in GRAPH_Y.
 * Threads: as graph.h.
 */
#ifndef ENGINE_BLOCK_H
#define ENGINE_BLOCK_H

#include "engine/graph.h"
#include "engine/model_internal.h"

/* ---- loading: 0, -EINVAL, -ENOTSUP with a line in err ---------------------------------------------- */

/* attn_norm; q, k, v apart or in one, with their biases; attn_output with its.  qk_norm: q and k are normed by head. */
int block_load_attention(struct model *m, uint32_t i, bool qk_norm, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* The feed-forward network, dense or of experts (model_layer.moe), without its norm; ffn_gate and ffn_up apart or,
 * where there is no ffn_gate and fused, in one ffn_up. */
int block_load_ffn(struct model *m, uint32_t i, bool fused, char *err, size_t errlen) __attribute__((warn_unused_result));
/* A network of experts and beside it one that sees every token. */
int block_load_shared_expert(struct model *m, uint32_t i, bool required, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* One vector as wide as the stream. */
int block_load_norm(struct model *m, uint32_t i, enum model_part part, bool required, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* Norm, attention, norm, feed-forward network of all layers, then the ends: the whole of a plain family. */
int block_load_plain(struct model *m, bool qk_norm, char *err, size_t errlen) __attribute__((warn_unused_result));

/* ---- computing ------------------------------------------------------------------------------------ */

/* to = from normed as the model does, with that part of layer i; a bias is the part after it. */
void block_norm(const struct model *m, struct graph *g, uint32_t i, enum model_part part, enum graph_buf to,
		enum graph_buf from);
/* Q and K normed by head, where there are such norms. */
void block_qk_norm(const struct model *m, struct graph *g, uint32_t i);
/* Q and K turned; att = attention over Q, K, V. */
void block_rope(const struct model *m, struct graph *g, uint32_t i);
void block_attend(const struct model *m, struct graph *g, uint32_t i);
/* The whole attention of layer i, projections included. */
void block_attention(const struct model *m, struct graph *g, uint32_t i);
/* The feed-forward network of layer i, dense or of experts, with a shared expert where there is one. */
void block_ffn(const struct model *m, struct graph *g, uint32_t i);
void block_dense_ffn(const struct model *m, struct graph *g, uint32_t i);
/* y = the routed experts' sum; scores are in GRAPH_T, made by block_router or otherwise. */
void block_router(const struct model *m, struct graph *g, uint32_t i);
void block_experts(const struct model *m, struct graph *g, uint32_t i, float *y);
/* X += Y, normed before by `post` where the layer has that, times the residual scale. */
void block_add(const struct model *m, struct graph *g, uint32_t i, enum model_part post);
/* X += ffn(norm(X)), and the whole of a plain layer: attention, then that. */
void block_ffn_residual(const struct model *m, struct graph *g, uint32_t i);
void block_layer(const struct model *m, struct graph *g, uint32_t i);

#endif
