/* net.h - the network of the demo model for training: weights, one pass over stories, gradients.
 *
 * Weights are one array of f32 in the order of model.py: token_embd [vocab][width]; for each layer
 * attn_norm, q, k, v, attn_output, ffn_norm, gate, up, down; output_norm.  Matrices are
 * [outputs][inputs], so that q, k, v are also one matrix, and so are gate and up.
 *
 * The stories of a pass are laid end to end, with no padding: every product but attention sees
 * n tokens as n rows, and attention goes story by story.
 */
#ifndef CONTRIB_DEMO_MODEL_NET_H
#define CONTRIB_DEMO_MODEL_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH 8                 /* stories a step, as in make_model.py */
#define STORY_MAX 512           /* tokens of a story */
#define LAYERS_MAX 16

struct shape {
	int vocab, width, layers, heads, kv_heads, hidden;
	int head_width, kv_width, qkv_width, share;     /* derived; share: query heads of a key head */
	float *turn;                                    /* [STORY_MAX][head_width / 2][cos, sin], owned */
};

struct layer {                  /* pointers into one array of weights or gradients */
	float *attn_norm, *qkv, *attn_output, *ffn_norm, *gate_up, *down;
};

struct net {
	float *all;             /* [count] */
	float *embd, *output_norm;
	struct layer layer[LAYERS_MAX];
};

struct saved {                  /* of one layer, for the way back; rows are tokens */
	float *x_in, *h1, *inv1;        /* [n][width], [n][width], [n] */
	float *qkv, *prob, *mixed;      /* [n][qkv_width] rotated, per story [heads][len][len], [n][width] */
	float *x_mid, *h2, *inv2;
	float *gate_up, *act;           /* [n][2 hidden], [n][hidden] */
};

struct pass {                   /* the activations of one thread */
	const struct shape *shape;
	const uint16_t *story[BATCH];           /* set by the caller: the stories, */
	int len[BATCH], stories;                /* their lengths, and how many */
	int n;                                  /* tokens in all */
	struct saved saved[LAYERS_MAX];
	float *x, *last, *inv, *logits;         /* [n][width] twice, [n], [n][vocab] */
	float *dx, *dh, *dqkv, *dgu, *dact, *dp;
};

/* Sets the pointers of net over its array (which may be NULL, to count); returns the number of weights. */
size_t net_lay_out(const struct shape *s, struct net *net);

/* Makes the table of rotations; false without memory. */
bool net_shape_finish(struct shape *s);

/* x[n] += y[n] */
void net_add(float *x, const float *y, size_t n);

/* Room for so many stories at once; false without memory. */
bool pass_open(struct pass *w, const struct shape *s, int stories);

/* Returns the summed loss of the stories' tokens; keeps the gradient of the logits, times scale. */
double pass_forward(struct pass *w, const struct net *net, float scale);

/* After pass_forward: adds the gradients to grad. */
void pass_backward(struct pass *w, const struct net *net, struct net *grad);

#endif
