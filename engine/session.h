/* session.h - one timeline of tokens through a model: KV cache, buffers, threads and the last logits.
 *
 * Invariants:
 *  S1  positions 0 .. session_n_past - 1 of the KV cache belong to the tokens evaluated so far.
 *  S2  logits are those after the last token, as long as session_logits is not NULL.
 *  S3  logits depend on the file, the tokens before, the KV types and the instruction set only: not on
 *      the number of threads, the batch size or how the tokens were divided into calls.
 * Threads: one caller at a time, the one that opened it; sessions of one model are independent.
 */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;
struct session;

struct session_params {
	uint32_t n_ctx;                 /* positions, at least 1 */
	uint32_t n_batch;               /* tokens evaluated together, at least 1; more than n_ctx counts as n_ctx */
	uint32_t n_threads;
	uint32_t type_k, type_v;        /* KERN_F32 or KERN_F16 */
	const char *isa;                /* a name of kern_isa_find, NULL for the fastest */
};

/* Borrows model until session_close.  0 and an owned session in *out; -EINVAL (a parameter), -ENOTSUP
 * (instruction set), -EOVERFLOW, -ENOMEM, -EAGAIN (no thread could be started); err says what. */
int session_open(struct session **out, const struct model *m, const struct session_params *p,
		 char *err, size_t errlen)
	__attribute__((warn_unused_result));
void session_close(struct session *s);          /* takes s; NULL is a no-op */

/* Asked before every layer; true ends the evaluation with -ECANCELED. */
typedef bool (*session_cancel_fn)(void *arg);
void session_set_cancel(struct session *s, session_cancel_fn fn, void *arg);

/* Logits of one position, [model_n_vocab]; borrowed for the call.  Negative errno ends the evaluation. */
typedef int (*session_logits_fn)(void *arg, uint32_t pos, const float *logits);

/* Evaluate n more tokens.  each, if not NULL, gets the logits of every one of them in order.
 * 0; -EINVAL (a token id outside the vocabulary; nothing was evaluated), -ENOSPC (they do not fit in
 * the context; nothing was evaluated), -ECANCELED or each's error (the session then ends after the
 * last whole batch, and has no logits). */
int session_eval(struct session *s, const uint32_t *tokens, size_t n, session_logits_fn each, void *arg)
	__attribute__((warn_unused_result));

/* Make the timeline equal to these n >= 1 tokens: what it shares with them from the start is kept, the
 * rest is dropped, and what is missing is evaluated.  Errors as session_eval. */
int session_sync(struct session *s, const uint32_t *tokens, size_t n) __attribute__((warn_unused_result));

/* Logits after the last token, or NULL when there are none (nothing evaluated yet, or after an error). */
const float *session_logits(const struct session *s);
uint32_t session_n_past(const struct session *s);
uint32_t session_n_ctx(const struct session *s);
uint32_t session_n_threads(const struct session *s);
const char *session_isa(const struct session *s);
uint64_t session_kv_bytes(const struct session *s);     /* reserved for the whole context */

#endif
