/* model_internal.h - what a model consists of, for the architectures, the graph and the session. */
#ifndef ENGINE_MODEL_INTERNAL_H
#define ENGINE_MODEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/model.h"
#include "engine/weights.h"

struct graph;

#define MODEL_LAYERS_MAX 512
#define MODEL_NAME_MAX 96       /* bytes of a tensor name or key that a model asks for */

/* Dimensions that all architectures share; keys in general.architecture's name space. */
struct model_dims {
	uint32_t n_layer, n_embd, n_vocab, n_ctx_train;
	uint32_t head_k, head_v;        /* values of one key (and query) head, of one value head */
	uint32_t n_rot;                 /* values of a head that rope turns; even, <= head_k */
	float norm_eps, rope_base, rope_scale;
	/* the largest of any layer, for buffers */
	uint32_t max_head, max_head_kv, max_ff;
};

/* One transformer block.  Shapes are [columns, rows]; a tensor with data NULL is absent. */
struct model_layer {
	uint32_t n_head, n_head_kv, n_ff;
	struct weights_tensor attn_norm;                /* [n_embd] f32 */
	struct weights_tensor wq, wk, wv;               /* [n_embd, heads * head size] */
	struct weights_tensor bq, bk, bv;               /* [heads * head size] f32, optional */
	struct weights_tensor wo, bo;                   /* [n_head * head_v, n_embd]; [n_embd] f32, optional */
	struct weights_tensor ffn_norm;                 /* [n_embd] f32 */
	struct weights_tensor ffn_gate, ffn_up;         /* [n_embd, n_ff] */
	struct weights_tensor ffn_down;                 /* [n_ff, n_embd] */
	struct weights_tensor b_gate, b_up, b_down;     /* f32, optional */
};

struct model {
	struct weights *w;
	const struct arch *arch;
	struct model_dims dims;
	struct weights_tensor tok_embd;                 /* [n_embd, n_vocab] */
	struct weights_tensor output_norm;              /* [n_embd] f32 */
	struct weights_tensor output;                   /* [n_embd, n_vocab]; tok_embd when the file has none */
	struct weights_tensor rope_freqs;               /* [n_rot / 2] f32, optional */
	struct model_layer *layers;                     /* [n_layer] */
	uint64_t n_found;                               /* tensors taken from the file */
};

/* A family of architectures: one file arch_<family>.c, one row in arch.c. */
struct arch {
	const char *name;               /* general.architecture */
	/* Read its dimensions and tensors into m, whose w and arch are set.  0, -EINVAL, -ENOTSUP, -ENOMEM
	 * with a line in err that names the key or tensor. */
	int (*load)(struct model *m, char *err, size_t errlen);
	/* What a batch needs once, after graph_begin and graph_embed; then one layer after the other, each
	 * taking the stream in the graph's x and leaving it there. */
	void (*begin)(const struct model *m, struct graph *g);
	void (*layer)(const struct model *m, struct graph *g, uint32_t i);
};

/* NULL when no such architecture is known. */
const struct arch *arch_find(struct gguf_str name);

/* ---- model.c: how an architecture asks for its parts ------------------------------------------ */

/* "<arch>.<suffix>" as a number.  Missing: -EINVAL when required, else 0 with *out untouched. */
int model_key_u32(const struct model *m, const char *suffix, bool required, uint32_t *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
int model_key_f32(const struct model *m, const char *suffix, bool required, float *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* A number for layer i: a scalar key holds for all, an array key must have n_layer elements. */
int model_key_layer(const struct model *m, const char *suffix, uint32_t layer, bool required, uint32_t *out,
		    char *err, size_t errlen) __attribute__((warn_unused_result));

/* A tensor that is wanted: its name, its shape (rows 0: one-dimensional) and where it goes. */
struct model_want {
	const char *name;
	uint64_t cols, rows;
	bool required;
	bool plain;                     /* must be F32: it is read by value, not through a matmul */
};
/* 0 (absent and not required: *out with data NULL), -EINVAL, -ENOTSUP. */
int model_tensor(struct model *m, const struct model_want *want, struct weights_tensor *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* The dimensions above out of the keys, within bounds, and the token embedding. */
int model_load_dims(struct model *m, char *err, size_t errlen) __attribute__((warn_unused_result));
/* Allocates m->layers and sets each layer's counts. */
int model_load_layers(struct model *m, char *err, size_t errlen) __attribute__((warn_unused_result));

#endif
