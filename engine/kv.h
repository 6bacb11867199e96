/* kv.h - the keys and values of one session, by layer and position.
 *
 * A layer's keys are rows of n_k values, one a position, one behind the other; its values likewise.
 * So a block of consecutive positions is one contiguous piece, the unit that attention walks.
 * Memory is reserved for the whole context at once and becomes real as positions are written.
 * Threads: rows of different positions may be written at once; readers must come after.
 */
#ifndef ENGINE_KV_H
#define ENGINE_KV_H

#include <stddef.h>
#include <stdint.h>

struct kv;

struct kv_params {
	uint32_t n_layer, n_ctx;
	const uint32_t *n_k, *n_v;      /* [n_layer] values a position */
	uint32_t type_k, type_v;        /* KERN_F32 or KERN_F16 */
};

/* 0 and an owned cache in *out; -EINVAL (another type, a zero), -EOVERFLOW, -ENOMEM. */
int kv_new(struct kv **out, const struct kv_params *p) __attribute__((warn_unused_result));
void kv_free(struct kv *kv);                    /* takes kv; NULL is a no-op */

uint32_t kv_type_k(const struct kv *kv);
uint32_t kv_type_v(const struct kv *kv);
/* The row of a position < n_ctx of a layer < n_layer. */
void *kv_k(const struct kv *kv, uint32_t layer, uint32_t pos);
void *kv_v(const struct kv *kv, uint32_t layer, uint32_t pos);
/* Bytes reserved for the whole context. */
uint64_t kv_bytes(const struct kv *kv);

#endif
