/* graph_internal.h - the graph, for the files that its operations are divided over. */
#ifndef ENGINE_GRAPH_INTERNAL_H
#define ENGINE_GRAPH_INTERNAL_H

#include "engine/graph.h"
#include "kernels/kern_pool.h"

struct linear_entry;

struct graph {
	struct graph_sizes sizes;
	const struct kern_isa *isa;
	struct kern_pool *pool;
	struct kv *kv;
	struct stream *stream;          /* NULL: all weights are in memory */
	size_t mem_bytes;
	void *mem;                      /* all that follows lies in it */
	float *buf[GRAPH_BUFS];
	float *cos[GRAPH_ROPES], *sin[GRAPH_ROPES];     /* [n_batch][n_rot / 2] */
	void *acts_q8, *acts_q8k;       /* the widest input, quantised */
	/* grouped matmuls: rows of several tokens that have one matrix lie together */
	float *group_x, *group_gate, *group_up, *group_y;       /* [n_batch * group_rows][group_in, _mid, _mid, _out] */
	uint32_t *group_of;             /* [n_batch][n_expert_used] the expert, by rank */
	uint32_t *group_row;            /* [n_batch][n_expert_used] the row of group_x */
	uint32_t *group_first;          /* [n_expert + 1] the rows of each expert */
	float *group_weight;            /* [n_batch][n_expert_used] */
	float *attn;                    /* [n_attn] what blocks of KV gave, to be merged */
	size_t n_attn;
	struct linear_entry *entries;   /* [the larger of group_rows and 2 * n_expert] */
	uint32_t n_tok, pos0;           /* the batch */
	uint32_t n_rot[GRAPH_ROPES];    /* of the angles in cos and sin */
};

static inline const float *graph_values(const struct weights_tensor *t)
{
	return t != NULL ? t->data : NULL;
}

/* ---- graph_linear.c ------------------------------------------------------------------------------ */

/* Rows of one matrix over some rows of prepared activations. */
struct linear_entry {
	struct kern_matmul mm;
	struct kern_acts acts;          /* what mm.x points to */
	const float *bias;              /* [rows] or NULL */
	uint32_t rows, first;           /* its first unit of work among all entries' */
	uint32_t done;                  /* rows that were taken, where weights come piece by piece */
	bool routed;                    /* an expert's: not every pass asks for it */
};

/* Activations of one kind, made of n_tok rows of x as soon as an entry wants it. */
struct linear_input {
	const float *x;
	uint32_t n_tok, cols;
	struct kern_acts acts[KERN_ACT_Q8K + 1];        /* kind KERN_ACT_NONE: not made yet */
};

/* Fill e: y rows of y_stride floats = w (slice `slice`) times input rows t0 .. t0 + n - 1. */
void graph_linear_entry(struct graph *g, struct linear_entry *e, struct linear_input *in, const struct weights_tensor *w,
			uint64_t slice, uint32_t t0, uint32_t n);
/* Slice `slice` of w will be asked for soon. */
void graph_want(struct graph *g, const struct weights_tensor *w, uint64_t slice);
/* Compute n entries that were filled. */
void graph_linear_run(struct graph *g, struct linear_entry *entries, uint32_t n);

/* ---- graph.c ------------------------------------------------------------------------------------- */

#define GRAPH_FLOATS_UNIT 4096  /* values of an element-wise operation that are worth a thread */

static inline uint32_t graph_units(size_t n)
{
	return (uint32_t)((n + GRAPH_FLOATS_UNIT - 1) / GRAPH_FLOATS_UNIT);
}

/* act over n values, wherever they are. */
void graph_glu_n(struct graph *g, enum kern_glu_kind act, float *gate, const float *up, size_t n);

#endif
