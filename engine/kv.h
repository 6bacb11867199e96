/* kv.h - what one session keeps of the tokens before, by layer: keys and values by position, or a state.
 *
 * A layer's keys are rows of n_k values, one a position, one behind the other; its values likewise.
 * So a block of consecutive positions is one contiguous piece, the unit that attention walks.
 * Memory is reserved for the whole context at once and becomes real as positions are written.
 * A layer with a state has as many f32 as its model wants: the inputs that a convolution looks back at, and the
 * state of a recurrence.  They are those behind the last token evaluated and cannot go back, but to the start.
 * Threads: rows of different positions may be written at once; readers must come after.
 */
#ifndef ENGINE_KV_H
#define ENGINE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv;

struct kv_params {
	uint32_t n_layer, n_ctx;
	const uint32_t *n_k, *n_v;      /* [n_layer] values a position; n_k 0: none, n_v 0: the keys serve as values */
	const size_t *n_conv, *n_state; /* [n_layer] f32 of state */
	uint32_t type_k, type_v;        /* that pass kern_can_store; with blocks n_k and n_v are multiples of 32 */
};

/* 0 and an owned cache in *out, its states zero; -EINVAL (another type, no layer, no context), -EOVERFLOW, -ENOMEM. */
int kv_new(struct kv **out, const struct kv_params *p) __attribute__((warn_unused_result));
/* Bytes that it would reserve; errors as kv_new. */
int kv_need(const struct kv_params *p, uint64_t *bytes) __attribute__((warn_unused_result));
void kv_free(struct kv *kv);                    /* takes kv; NULL is a no-op */

uint32_t kv_type_k(const struct kv *kv);
uint32_t kv_type_v(const struct kv *kv);
/* The row of a position < n_ctx of a layer < n_layer. */
void *kv_k(const struct kv *kv, uint32_t layer, uint32_t pos);
void *kv_v(const struct kv *kv, uint32_t layer, uint32_t pos);
bool kv_has_v(const struct kv *kv, uint32_t layer);
/* Bytes of such rows, 0 where the layer has none. */
size_t kv_k_bytes(const struct kv *kv, uint32_t layer);
size_t kv_v_bytes(const struct kv *kv, uint32_t layer);
float *kv_conv(const struct kv *kv, uint32_t layer);
float *kv_state(const struct kv *kv, uint32_t layer);
/* Does any layer have a state?  All states zero. */
bool kv_has_state(const struct kv *kv);
void kv_reset_state(struct kv *kv);
/* All states as one piece of memory. */
void *kv_states(const struct kv *kv, size_t *bytes);
/* Bytes reserved for the whole context. */
uint64_t kv_bytes(const struct kv *kv);

#endif
