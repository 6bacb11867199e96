/* session_internal.h - what a session consists of, for the files that make it up. */
#ifndef ENGINE_SESSION_INTERNAL_H
#define ENGINE_SESSION_INTERNAL_H

#include "engine/model_internal.h"
#include "engine/session.h"

struct graph;
struct kern_isa;
struct kern_pool;
struct kv;
struct stream;

struct session {
	const struct model *m;
	const struct kern_isa *isa;
	uint32_t n_ctx, n_batch, n_threads, n_threads_batch;
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
	session_cancel_fn cancel;
	void *cancel_arg;
};

/* Has rope table i other factors for contexts as long as this one? */
static inline bool session_rope_longer(const struct session *s, uint32_t i)
{
	return s->m->rope[i].factors_long.data != NULL && s->n_ctx > s->m->rope[i].n_ctx_orig;
}

#endif
