/* session_internal.h - what a session consists of, for the files that make it up. */
#ifndef ENGINE_SESSION_INTERNAL_H
#define ENGINE_SESSION_INTERNAL_H

#include "engine/graph.h"
#include "engine/kv.h"
#include "engine/model_internal.h"
#include "engine/session.h"
#include "engine/stream.h"

struct kern_isa;
struct kern_pool;

/* What decides how prompts go through the model. */
struct session_prefill {
	enum session_order order;
	double pass_bytes;              /* of weights that a pass over many tokens asks for */
	uint32_t row_bytes;             /* of a token between two layers */
	uint32_t layer_slots;           /* of the ring, that all pieces of the largest layer take */
};

struct session {
	const struct model *m;
	const struct kern_isa *isa;
	uint32_t n_ctx, n_batch, n_threads, n_threads_batch;
	struct session_sizes sizes;
	struct kern_pool *pool;
	struct kv *kv;
	struct graph *g;
	struct stream *stream;          /* NULL: no budget */
	float *logits;                  /* [logit_rows][n_vocab] */
	float *normed;                  /* [logit_rows][n_embd] */
	uint32_t logit_rows;
	uint32_t last_row;              /* of logits, when have_logits */
	bool have_logits;
	uint32_t *tokens;               /* [n_ctx], the first n_past are set */
	uint32_t n_past;
	bool marked;
	uint32_t mark;                  /* <= n_past, when marked */
	void *mark_states;              /* as kv_states at the mark; NULL: no room, or no state */
	struct { size_t n, done; uint32_t part; double through; } eval; /* session_eval's tokens: all, done, on their way, how far */
	struct session_prefill prefill;
	session_cancel_fn cancel;
	void *cancel_arg;
};

/* session_size.c: what the parts are made with.  kv points into it. */
struct session_make {
	struct session_sizes sizes;
	uint32_t n_k[MODEL_LAYERS_MAX], n_v[MODEL_LAYERS_MAX];
	size_t n_conv[MODEL_LAYERS_MAX], n_state[MODEL_LAYERS_MAX];
	struct kv_disk_params disk;
	struct kv_params kv;
	struct graph_sizes graph;
	struct stream_params stream;
	struct session_prefill prefill;
};
int session_make(struct session_make *out, const struct model *m, const struct session_params *p, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* session_keep.c: what a file kept of the timeline. */
void session_resume(struct session *s);

/* ---- session_pass.c ------------------------------------------------------------------------------ */

/* Who gets logits of a pass. */
struct session_listener {
	session_logits_fn each;         /* NULL: nobody */
	void *arg;
	uint32_t first;                 /* the row of each batch that is given first */
	uint32_t enough;                /* rows of it up to the one at which each returned 1; 0: it did not */
};

/* From the sizes of pieces of weights. */
void session_prefill_make(struct session_prefill *out, const struct model *m, size_t piece, enum session_order order);
/* How n tokens go through the model: so many a pass, and when these are more than a batch with slots and bytes that
 * stream_lend must give; bytes of weights that are read in all. */
struct session_division { uint32_t n, slots; size_t bytes; double read; };
void session_divide(const struct session_sizes *z, const struct session_prefill *f, size_t n, struct session_division *out);
/* One pass: a batch, or with rows any number of tokens.  With last the last one's logits stay. */
struct session_tokens { const uint32_t *ids; uint32_t n; float *rows; };
int session_pass(struct session *s, const struct session_tokens *t, bool last, struct session_listener *l)
	__attribute__((warn_unused_result));

/* ---- session.c ----------------------------------------------------------------------------------- */

/* Can these tokens be evaluated?  0, -ENOSPC or -EINVAL. */
int session_check(const struct session *s, const uint32_t *tokens, size_t n) __attribute__((warn_unused_result));
/* A state has no way back but to the start, or to a mark. */
void session_to_start(struct session *s);

/* Has rope table i other factors for contexts as long as this one? */
static inline bool session_rope_longer(const struct model *m, uint32_t n_ctx, uint32_t i)
{
	return m->rope[i].factors_long.data != NULL && n_ctx > m->rope[i].n_ctx_orig;
}

#endif
