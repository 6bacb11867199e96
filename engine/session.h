/* session.h - one timeline of tokens through a model: KV cache, buffers, threads and the last logits.
 *
 * Invariants:
 *  S1  positions 0 .. session_n_past - 1 of the KV cache belong to the tokens evaluated so far.
 *  S2  logits are those after the last token, as long as session_logits is not NULL.
 *  S3  logits depend on the file, the tokens before, the KV types and the instruction set only: not on
 *      the number of threads, the batch size or how the tokens were divided into calls.
 * A model with layers that carry a state (a recurrence) cannot go back, but to a mark: where S1 to S3 would need it, the
 * session begins anew at position 0.
 * Threads: one caller at a time, the one that opened it; sessions of one model are independent.
 */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;
struct session;
struct stream_stats;

/* How prompts of more than a batch meet weights that are streamed: all layers with each batch, each layer with all batches (as
 * many as there is room for between two layers), or whichever reads fewer bytes. */
enum session_order { SESSION_ORDER_AUTO, SESSION_ORDER_BATCH, SESSION_ORDER_LAYER };

struct session_params {
	uint32_t n_ctx;                 /* positions, at least 1 */
	uint32_t n_batch;               /* tokens evaluated together, at least 1; more than n_ctx counts as n_ctx */
	uint32_t n_threads;             /* for one token at a time */
	uint32_t type_k, type_v;        /* of the KV cache: F32, F16, BF16, Q8_0, Q4_0 */
	const char *isa;                /* a name of kern_isa_find, NULL for the fastest */
	uint32_t n_threads_batch;       /* for more tokens at a time; 0: n_threads */
	uint64_t budget;                /* bytes of memory for weights, KV and everything else; 0: weights stay where they are */
	uint32_t n_batch_most;          /* with a budget batches are of 64 tokens at first, and more as it has room for, up to that */
	uint32_t layers_most;           /* not more layers' weights are held than so many, 0: no such limit; without a budget that makes one */
	uint32_t layers_ahead;          /* so many are read ahead, 0: as much as is good */
	uint32_t slots;                 /* the same as pieces of weights, 0: as layers_ahead says */
	enum session_order order;
	size_t piece;                   /* their bytes, at most STREAM_PIECE; 0: as is good for the budget */
	const char *kv_dir;             /* the KV cache lies in a file there, NULL: in memory */
	bool kv_keep;                   /* in one that stays, for session_keep, and that a run before this one may have kept */
	uint64_t kv_ram;                /* bytes of memory for its first positions */
	uint32_t kv_block;              /* positions that are read at a time, a multiple of 256; 0: 1 MiB of them */
	bool plain, buffered, apart;    /* read them without io_uring, without O_DIRECT, even if they are in memory */
	uint32_t n_logits;              /* positions whose logits are computed together, 0: SESSION_LOGITS */
	uint64_t others;                /* bytes that the process has besides this session: a tokenizer, another session */
	bool marks;                     /* room for session_mark where the model has a state; others need none */
};

#define SESSION_LOGITS 16u

/* What a session is made of, in bytes. */
struct session_sizes {
	uint32_t n_batch, slots;
	uint64_t kv, graph, other;      /* the cache of the whole context, buffers of a batch, and the rest with what others have */
	uint64_t slot;                  /* bytes of one of the slots that pieces of weights are read into */
	uint64_t ring, hold;            /* with a budget: slots * slot, and what is left for weights that stay */
	uint64_t least;                 /* the least budget that works */
	uint32_t prompt_passes;         /* over the weights, of a prompt that fills the context, */
	double prompt_read;             /* and bytes of them that it reads, those included that must be read again behind it */
};
/* session_size.c: the same without opening it, from the model's header alone.  Errors as session_open's. */
int session_sizes(const struct model *m, const struct session_params *p, struct session_sizes *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* Borrows model until session_close.  0 and an owned session in *out; -EINVAL (a parameter), -ENOTSUP
 * (instruction set), -EOVERFLOW, -ENOMEM, -EAGAIN (no thread could be started); err says what. */
int session_open(struct session **out, const struct model *m, const struct session_params *p,
		 char *err, size_t errlen)
	__attribute__((warn_unused_result));
void session_close(struct session *s);          /* takes s; NULL is a no-op */

/* Asked before every layer of a batch; true ends the evaluation with -ECANCELED. */
typedef bool (*session_cancel_fn)(void *arg);
void session_set_cancel(struct session *s, session_cancel_fn fn, void *arg);

/* How much of the session_eval that goes on is through, 0 .. 1. */
double session_share_done(const struct session *s);

/* Logits of one position, [model_n_vocab]; borrowed for the call.  Negative errno ends the evaluation. */
typedef int (*session_logits_fn)(void *arg, uint32_t pos, const float *logits);

/* Evaluate n more tokens.  each, if not NULL, gets the logits of every one of them in order.
 * 0; -EINVAL (a token id outside the vocabulary; nothing was evaluated), -ENOSPC (they do not fit in
 * the context; nothing was evaluated), -ESTALE (a file of the model changed), -EIO (it cannot be read), -EREMOTEIO (the
 * KV cache's file failed, session_kv_error says how; the session is of no more use), -ECANCELED or each's error (the session then ends after the last whole pass, with a state at the start, and has no logits). */
int session_eval(struct session *s, const uint32_t *tokens, size_t n, session_logits_fn each, void *arg)
	__attribute__((warn_unused_result));

/* Make the timeline equal to these n >= 1 tokens: what it shares with them from the start is kept, the
 * rest is dropped, and what is missing is evaluated.  Errors as session_eval. */
int session_sync(struct session *s, const uint32_t *tokens, size_t n) __attribute__((warn_unused_result));

/* How many of these tokens session_sync would keep, and not evaluate. */
uint32_t session_kept(const struct session *s, const uint32_t *tokens, size_t n);

/* session_try.c: remember this position.  The mark goes when the timeline changes before it. */
void session_mark(struct session *s);
/* Return to it, without logits.  0; -EINVAL when there is none, or no room for that of a state (session_params.marks). */
int session_back(struct session *s) __attribute__((warn_unused_result));

/* session_try.c: evaluate n <= session_n_batch tokens that may turn out wrong.  each gets the logits of tokens
 * first .. n - 1 in order; with 1 from it the timeline ends behind that token, with its logits, as if no other had been
 * given.  Where a state does not let it, it ends before the n tokens, without logits.  Moves the mark.  Errors as
 * session_eval, and -EINVAL for another n or first, or no room for the mark of a state. */
int session_try(struct session *s, const uint32_t *tokens, size_t n, size_t first, session_logits_fn each, void *arg)
	__attribute__((warn_unused_result));

/* session_file.c: the timeline and its last logits as a file, written under another name first and renamed; readable
 * by its owner only.  Negative errno of the system with a line in err, -ENOTSUP with a cache on disk; nothing is left of
 * it then. */
int session_save(const struct session *s, const char *path, char *err, size_t errlen) __attribute__((warn_unused_result));
/* The timeline of such a file, in place of the session's own.  -EINVAL with a line in err: no such file, a damaged one,
 * of another model, KV type or instruction set, or longer than the context; negative errno of the system, -ENOENT
 * among them.  Where the file was read in part the session is back at the start. */
int session_load(struct session *s, const char *path, char *err, size_t errlen) __attribute__((warn_unused_result));

/* session_keep.c: the timeline and its last logits stay in the file of kv_keep, where session_open will find them.
 * Negative errno with a line in err: nothing is kept then. */
int session_keep(struct session *s, char *err, size_t errlen) __attribute__((warn_unused_result));
/* A line when the KV cache's file failed; 0 when it did not. */
int session_kv_error(const struct session *s, char *err, size_t errlen);
struct kv_disk_stats;
void session_kv_stats(const struct session *s, struct kv_disk_stats *out);      /* kv.h */

/* Back to the start: nothing evaluated. */
void session_reset(struct session *s);

/* Logits after the last token, or NULL when there are none (nothing evaluated yet, or after an error). */
const float *session_logits(const struct session *s);
uint32_t session_n_past(const struct session *s);
const uint32_t *session_tokens(const struct session *s);        /* [session_n_past], borrowed until it changes */
uint32_t session_n_ctx(const struct session *s);
uint32_t session_n_batch(const struct session *s);
uint32_t session_n_threads(const struct session *s);
bool session_has_state(const struct session *s);
const char *session_isa(const struct session *s);
uint64_t session_kv_bytes(const struct session *s);     /* memory reserved for the whole context, or for what is not on disk */
uint64_t session_bytes(const struct session *s);        /* memory besides weights */
/* Of a session whose weights are streamed (stream.h); zeros, and kind NULL, of another. */
void session_stream_stats(const struct session *s, struct stream_stats *out);
/* Bytes of weights and of the KV cache that were read from disk so far. */
uint64_t session_bytes_read(const struct session *s);

#endif
