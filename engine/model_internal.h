/* model_internal.h - what a model consists of, for the architectures, the graph and the session. */
#ifndef ENGINE_MODEL_INTERNAL_H
#define ENGINE_MODEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/graph.h"
#include "engine/model.h"
#include "engine/weights.h"
#include "kernels/kern.h"

#define MODEL_LAYERS_MAX 512
#define MODEL_EMBD_MAX (1u << 20)       /* like the bounds in model_dims.c far above any published model */
#define MODEL_NAME_MAX 96       /* bytes of a tensor name or key that a model asks for */

/* How the ids of a batch's experts are chosen from the router's scores (keys expert_gating_func). */
enum model_gating { MODEL_GATE_SOFTMAX = 1, MODEL_GATE_SIGMOID = 2, MODEL_GATE_SOFTMAX_TOP = 3 };

/* One table of rope angles; a model has up to two. */
struct model_rope {
	struct kern_rope_angles angles;
	uint32_t n_ctx_orig;            /* the context that the model was first trained with */
	struct weights_tensor factors;          /* [n_rot / 2] f32, optional */
	struct weights_tensor factors_long;     /* the same for sessions of more than n_ctx_orig positions, optional */
};

/* Dimensions that architectures share; keys in general.architecture's name space.  0 or NULL: it has no such. */
struct model_dims {
	uint32_t n_layer, n_embd, n_vocab, n_ctx_train;
	uint32_t n_block;               /* layers of the file, those that take no part behind the others */
	uint32_t head_k, head_v;        /* values of one key (and query) head, of one value head; a layer may differ */
	uint32_t n_rot;                 /* values of a head that rope turns; even, <= head_k */
	float norm_eps;
	enum kern_norm_kind norm;
	enum kern_glu_kind act;
	bool rope_neox;
	bool parallel;                  /* attention and feed-forward network side by side */
	float embd_scale, residual_scale, logit_scale;  /* 0 counts as 1 */
	float attn_scale;               /* of scores; 0: 1 / sqrt(head_k) */
	float attn_softcap, logit_softcap;
	float temp_scale;               /* queries behind each temp_length positions are made longer (mistral3) */
	uint32_t temp_length;
	uint32_t window;                /* positions that a layer with a window sees */
	/* mixtures of experts */
	uint32_t n_expert, n_expert_used, n_ff_exp, n_ff_shexp, n_dense_lead, n_group, n_group_used;
	enum model_gating gating;
	bool expert_norm;               /* the weights of the chosen are made to add up to 1 */
	float expert_scale;             /* 0 counts as 1 */
	/* layers with a state: taps of the convolution, size of a head, heads of keys and values */
	uint32_t conv_taps, state_dim, state_k, state_v;
	bool state_tiled;
	/* multi-head latent attention: ranks of queries (0: plain) and of keys and values */
	uint32_t rank_q, rank_kv;
	bool latent;                    /* the cache holds the vector that keys and values are made of */
	/* per-layer embeddings, their width */
	uint32_t n_embd_layer;
};

/* The tensors that a layer may have; names in model_parts.c.  A name with _B is a bias. */
enum model_part {
	P_ATTN_NORM, P_ATTN_NORM_B, P_WQ, P_WQ_B, P_WK, P_WK_B, P_WV, P_WV_B, P_WQKV, P_WQKV_B, P_WO, P_WO_B,
	P_Q_NORM, P_K_NORM, P_SINKS, P_ATTN_POST_NORM, P_ATTN_GATE,
	P_WQ_A, P_Q_A_NORM, P_WQ_B_MLA, P_WKV_A, P_KV_A_NORM, P_WKV_B, P_WK_B_MLA, P_WV_B_MLA,
	P_FFN_NORM, P_FFN_NORM_B, P_FFN_GATE, P_FFN_GATE_B, P_FFN_UP, P_FFN_UP_B, P_FFN_DOWN, P_FFN_DOWN_B,
	P_FFN_POST_NORM,
	P_ROUTER, P_ROUTER_B, P_ROUTER_SCALE, P_ROUTER_BIAS, P_GATE_EXPS, P_GATE_EXPS_B, P_UP_EXPS, P_UP_EXPS_B,
	P_GATE_UP_EXPS, P_DOWN_EXPS, P_DOWN_EXPS_B, P_DOWN_EXPS_SCALE,
	P_GATE_SHEXP, P_UP_SHEXP, P_DOWN_SHEXP, P_ROUTER_SHEXP,
	P_FFN_PRE_NORM_2, P_FFN_POST_NORM_1, P_FFN_POST_NORM_2,
	P_SSM_IN, P_SSM_CONV, P_SSM_DT_B, P_SSM_A, P_SSM_BA, P_SSM_ALPHA, P_SSM_BETA, P_SSM_NORM, P_SSM_OUT,
	P_CONV_IN, P_CONV, P_CONV_OUT,
	P_LAYER_GATE, P_LAYER_PROJ, P_LAYER_POST_NORM, P_OUT_SCALE,
	P_COUNT
};

enum model_layer_kind { MODEL_ATTENTION, MODEL_DELTA_NET, MODEL_SHORT_CONV };

/* One transformer block. */
struct model_layer {
	enum model_layer_kind kind;
	uint32_t n_head, n_head_kv, head_k, head_v, n_ff;
	bool moe;                       /* its feed-forward network is a mixture of experts */
	uint32_t window;                /* positions it sees, 0: all */
	int8_t rope;                    /* which table, -1: none */
	bool v_of_k;                    /* a value is the first head_v values of its key */
	uint32_t kv_layer;              /* the layer whose keys and values it uses; usually its own */
	struct weights_tensor t[P_COUNT];       /* data NULL: absent */
};

struct model {
	struct weights *w;
	const struct arch *arch;
	struct gguf_str file_arch;      /* what the file calls it: keys begin with that */
	struct model_dims dims;
	struct model_rope rope[GRAPH_ROPES];
	uint32_t width[GRAPH_BUFS];                     /* of the buffers of a batch: the widest that a layer needs */
	struct weights_tensor tok_embd;                 /* [n_embd, n_vocab] */
	struct weights_tensor output_norm, output_norm_b;       /* [n_embd] f32, the second optional */
	struct weights_tensor output, output_b;         /* [n_embd, n_vocab]; tok_embd when the file has none; optional */
	struct weights_tensor layer_embd;               /* [n_layer * n_embd_layer, n_vocab], optional, like the next two */
	struct weights_tensor layer_proj, layer_proj_norm;
	struct model_layer *layers;                     /* [n_layer] */
	uint64_t n_found;                               /* tensors taken from the file */
};

/* A family of architectures: a file arch_<family>.c, a row in arch.c for each name. */
struct arch {
	const char *name;               /* general.architecture */
	/* Read its dimensions and tensors into m, whose w and arch are set.  0, -EINVAL, -ENOTSUP, -ENOMEM
	 * with a line in err that names the key or tensor. */
	int (*load)(struct model *m, char *err, size_t errlen);
	/* What a batch needs once beyond embedding and rope's angles; NULL: nothing. */
	void (*begin)(const struct model *m, struct graph *g, const uint32_t *tokens);
	/* One layer: takes the stream in the graph's GRAPH_X and leaves it there. */
	void (*layer)(const struct model *m, struct graph *g, uint32_t i);
};

/* Routed experts' matrices, of which a token uses some. */
static inline bool model_is_expert(int part)
{
	return part == P_GATE_EXPS || part == P_UP_EXPS || part == P_DOWN_EXPS;
}

/* A tensor that is held as its parts, too, counts as them. */
static inline bool model_is_whole(const struct model_layer *l, int part)
{
	return (part == P_WQKV && l->t[P_WQ].data != NULL) || part == P_GATE_UP_EXPS;
}

/* Bytes that a pass reads with that share of the experts: of tables nothing, a tensor that is held as parts by them. */
double model_bytes_read(const struct model *m, double share);
/* model_size.c: bytes by what they are for; tables are rows that tokens name, and what is not used. */
struct model_size {
	double layers, layer_most, experts, output, tables;     /* of all layers without experts, of the largest one, .. */
	double dense_type[KERN_TYPE_COUNT], expert_type[KERN_TYPE_COUNT];       /* what a pass reads, by type */
	double expert_share;            /* of the experts, that a token uses */
	double values;                  /* how many weights */
	/* of each type, the matrix (of experts: those that a token uses, together) of the tensor that has the most bytes */
	struct { uint32_t cols, rows; double bytes; } shape[KERN_TYPE_COUNT];
};
void model_size(const struct model *m, struct model_size *out);
/* Bytes of all layers, with all experts. */
double model_layers_bytes(const struct model *m);

/* NULL when no such architecture is known. */
const struct arch *arch_find(struct gguf_str name);

/* One line into err; returns rc. */
int model_fault(char *err, size_t errlen, int rc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ---- model_keys.c: how an architecture asks for numbers ------------------------------------------ */

/* "<arch>.<suffix>" as a number.  Missing: -EINVAL when required, else 0 with *out untouched. */
int model_key_u32(const struct model *m, const char *suffix, bool required, uint32_t *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
int model_key_f32(const struct model *m, const char *suffix, bool required, float *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
int model_key_bool(const struct model *m, const char *suffix, bool required, bool *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* A text, which need not be there. */
int model_key_str(const struct model *m, const char *suffix, struct gguf_str *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* A number for layer i: a scalar key holds for all, an array key must have n_block elements. */
int model_key_layer(const struct model *m, const char *suffix, uint32_t layer, bool required, uint32_t *out,
		    char *err, size_t errlen) __attribute__((warn_unused_result));
/* Is the key there, and as an array? */
bool model_has_key(const struct model *m, const char *suffix);
bool model_key_is_array(const struct model *m, const char *suffix);
/* -EINVAL with a line unless 1 <= v <= max. */
int model_range(const struct model *m, const char *suffix, uint32_t v, uint32_t max, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* ---- model_dims.c -------------------------------------------------------------------------------- */

/* The dimensions above out of the keys that all architectures have, within bounds, the token embedding and rope 0;
 * then the layers, each with its counts. */
int model_load_dims(struct model *m, char *err, size_t errlen) __attribute__((warn_unused_result));
/* The most attention heads of any layer. */
uint32_t model_most_heads(const struct model *m);
/* -EINVAL with a line when keys and values have heads of different sizes. */
int model_check_head_sizes(const struct model *m, char *err, size_t errlen) __attribute__((warn_unused_result));
/* -EINVAL with a line when a layer with attention has no heads. */
int model_check_heads(const struct model *m, char *err, size_t errlen) __attribute__((warn_unused_result));
/* Keys of mixtures of experts; required: there must be experts; divided: without a key of its own an expert's network is
 * as wide as the dense one divided by the experts used. */
int model_load_experts(struct model *m, bool required, bool divided, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* The epsilon of norms: attention.layer_norm_rms_epsilon, or for LayerNorm attention.layer_norm_epsilon; required unless
 * norm_eps is set. */
int model_load_eps(struct model *m, char *err, size_t errlen) __attribute__((warn_unused_result));
/* The experts that see every token, `count` of them (0: as the keys say), are computed as one. */
int model_shared_width(struct model *m, uint32_t count, char *err, size_t errlen) __attribute__((warn_unused_result));
/* The layers' windows out of attention.sliding_window_pattern: one flag a layer, or a period; `period` without it. */
int model_load_windows(struct model *m, uint32_t period, char *err, size_t errlen) __attribute__((warn_unused_result));
/* All layers but every period-th have the window; with a period of 0 all have it. */
void model_set_windows(struct model *m, uint32_t period);

/* ---- model_rope.c -------------------------------------------------------------------------------- */

/* rope[0] out of the keys: base, linear or yarn scaling. */
int model_load_rope(struct model *m, char *err, size_t errlen) __attribute__((warn_unused_result));

/* ---- model_parts.c: how an architecture asks for tensors ------------------------------------------ */

/* What a tensor is as wide or high as. */
enum model_width {
	W_NONE, W_EMBD, W_Q, W_K, W_V, W_QKV, W_2Q, W_ATT, W_HEAD_K, W_HEADS, W_HEADS_KV, W_FF, W_2FF, W_EXPERTS, W_FF_EXP,
	W_2FF_EXP, W_FF_SHEXP, W_ONE, W_TAPS, W_DELTA_QKV, W_DELTA_QKVZ, W_DELTA_V, W_STATE_V, W_STATE_2V, W_STATE_DIM, W_3EMBD,
	W_EMBD_LAYER, W_RANK_Q, W_RANK_KV, W_KV_A, W_NOPE, W_KV_B, W_HEAD_V,
};

struct model_want_part {
	enum model_part part;
	enum model_width cols, rows;    /* rows W_NONE: a vector of f32 */
	bool required;
	enum model_width slices;        /* W_NONE: one */
};

/* Take n tensors of layer i.  0, -EINVAL (missing, another shape), -ENOTSUP (its type). */
int model_load_parts(struct model *m, uint32_t i, const struct model_want_part *want, size_t n, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* Output norm (and with bias its bias; token_embd_norm where there is no output_norm), output matrix (optional bias),
 * rope factors. */
int model_load_ends(struct model *m, bool bias, char *err, size_t errlen) __attribute__((warn_unused_result));
/* attn_qkv as the three tensors that it is made of, one below the other; attn_q, attn_k and attn_v without it. */
int model_load_qkv(struct model *m, uint32_t i, enum model_width q, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* ffn_norm under the name of another part. */
int model_load_ffn_norm(struct model *m, uint32_t i, enum model_part under, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* The routed experts of layer i, gate and up apart or in one, and its router. */
int model_load_layer_experts(struct model *m, uint32_t i, char *err, size_t errlen) __attribute__((warn_unused_result));
/* How many rows a layer's tensor has; 0 when there is no such, or they are more than most. */
uint32_t model_rows_of(const struct model *m, uint32_t layer, const char *part, uint32_t most);
/* Rows first .. first + n - 1 of each slice. */
struct weights_tensor model_rows(const struct weights_tensor *t, uint64_t first, uint64_t n);

/* A tensor that is wanted: its name, its shape (rows 0: one-dimensional; slices 0: one) and where it goes. */
struct model_want {
	const char *name;
	uint64_t cols, rows, slices;
	bool required;
	bool plain;                     /* must be F32: it is read by value, not through a matmul */
};
/* 0 (absent and not required: *out with data NULL), -EINVAL, -ENOTSUP. */
int model_tensor(struct model *m, const struct model_want *want, struct weights_tensor *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* The buffer is at least so wide. */
void model_widen(struct model *m, enum graph_buf buf, uint64_t width);
/* The widths that attention and feed-forward networks of all layers need; once the layers are complete. */
void model_set_widths(struct model *m);

#endif
