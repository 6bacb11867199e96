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
	struct { size_t n, done; uint32_t part, layer; } eval;  /* session_eval's tokens: all, through, on their way, how far */
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
};
int session_make(struct session_make *out, const struct model *m, const struct session_params *p, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* session_keep.c: what a file kept of the timeline. */
void session_resume(struct session *s);

/* Who gets logits of a batch. */
struct session_listener {
	session_logits_fn each;         /* NULL: nobody */
	void *arg;
	uint32_t first;                 /* the row of the batch that is given first */
	uint32_t enough;                /* rows up to the one at which each returned 1; 0: it did not */
};

/* session.c: can these tokens be evaluated?  0, -ENOSPC or -EINVAL. */
int session_check(const struct session *s, const uint32_t *tokens, size_t n) __attribute__((warn_unused_result));
/* One batch of n <= n_batch tokens; with last its last token's logits stay. */
int session_run_batch(struct session *s, const uint32_t *tokens, uint32_t n, bool last, struct session_listener *l)
	__attribute__((warn_unused_result));
/* A state has no way back but to the start, or to a mark. */
void session_to_start(struct session *s);

/* Has rope table i other factors for contexts as long as this one? */
static inline bool session_rope_longer(const struct model *m, uint32_t n_ctx, uint32_t i)
{
	return m->rope[i].factors_long.data != NULL && n_ctx > m->rope[i].n_ctx_orig;
}

#endif
