/* kv.h - what one session keeps of the tokens before, by layer: keys and values by position, or a state.
 *
 * A layer's keys are rows of n_k values, one a position, one behind the other; its values likewise.
 * So a block of consecutive positions is one contiguous piece, the unit that attention walks.
 * Memory is reserved for the whole context at once and becomes real as positions are written; or, on disk, only the last
 * positions of each layer and some of the first are in memory, and a pass reads the others (kv_disk.h).
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

/* Where a cache that is not all in memory lies. */
struct kv_disk_params {
	const char *dir;                /* where its file goes */
	bool keep;                      /* under a name, for kv_keep and another run; else without one */
	uint64_t id;                    /* of what a kept file depends on besides the other parameters */
	uint64_t ram;                   /* bytes of memory for the first positions, which then stay */
	uint32_t n_batch;               /* positions that a pass may add */
	uint32_t block;                 /* positions that are read at a time, a multiple of 256; 0: so many that they are 1 MiB */
	bool plain;                     /* no io_uring */
};

struct kv_params {
	uint32_t n_layer, n_ctx;
	const uint32_t *n_k, *n_v;      /* [n_layer] values a position; n_k 0: none, n_v 0: the keys serve as values */
	const size_t *n_conv, *n_state; /* [n_layer] f32 of state */
	uint32_t type_k, type_v;        /* that pass kern_can_store; with blocks n_k and n_v are multiples of 32 */
	const struct kv_disk_params *disk;      /* NULL: all in memory */
};

/* 0 and an owned cache in *out, its states zero; -EINVAL (another type, no layer, no context), -EOVERFLOW, -ENOMEM; on disk
 * also what the system says, -EWOULDBLOCK when another run has the kept file.  err gets a line. */
int kv_new(struct kv **out, const struct kv_params *p, char *err, size_t errlen) __attribute__((warn_unused_result));
/* Bytes of memory that it would reserve; errors as kv_new's. */
int kv_need(const struct kv_params *p, uint64_t *bytes) __attribute__((warn_unused_result));
void kv_free(struct kv *kv);                    /* takes kv; NULL is a no-op */

uint32_t kv_type_k(const struct kv *kv);
uint32_t kv_type_v(const struct kv *kv);
/* The row of a position < n_ctx of a layer < n_layer; on disk, of the batch between kv_put and kv_done only. */
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
/* Bytes of memory reserved. */
uint64_t kv_bytes(const struct kv *kv);

/* A pass over n positions from pos0 on begins, in order: what was there from pos0 on is forgotten.  On disk n is n_batch at
 * most, unless kv_batch divides it. */
void kv_begin(struct kv *kv, uint32_t pos0, uint32_t n);
/* n <= n_batch of its positions, from pos0 on, are those at hand in the layer that comes next: a pass that takes a layer with
 * batch after batch, in order, before it goes on to the next one.  last: of them. */
void kv_batch(struct kv *kv, uint32_t pos0, uint32_t n, bool last);
/* The batch's rows of this layer are about to be put, and have been read by all who want them. */
void kv_put(struct kv *kv, uint32_t layer);
void kv_done(struct kv *kv, uint32_t layer);
/* Rows of a layer one behind the other, from position `from` up to `to`, which is `end` at most; they stay until the next
 * call.  A walk through a layer begins with kv_walk, which says how far back it goes (window, 0: all) and goes up in
 * position. */
struct kv_span { const void *k, *v; uint32_t to; };
void kv_walk(struct kv *kv, uint32_t layer, uint32_t window);
struct kv_span kv_span(struct kv *kv, uint32_t layer, uint32_t from, uint32_t end);
bool kv_on_disk(const struct kv *kv);

/* 0, or the first error of the disk, with a line; what was computed since is worth nothing. */
int kv_error(const struct kv *kv, char *line, size_t len);
/* Bytes that were read and written, and seconds that were waited for them. */
struct kv_disk_stats { uint64_t read, written; double wait_s, busy_s; };
void kv_disk_stats(const struct kv *kv, struct kv_disk_stats *out);
/* kv_keep.c: the first n positions, the states and these other bytes are kept in the file for another run.  Negative errno
 * with a line: then nothing is. */
int kv_keep(struct kv *kv, uint32_t n, const void *more, size_t more_bytes, char *line, size_t len)
	__attribute__((warn_unused_result));
/* What a run before this one kept: its positions and states are taken over, *more are its other bytes, owned by the caller;
 * 0 positions when there is nothing, or nothing good. */
uint32_t kv_resume(struct kv *kv, void **more, size_t *more_bytes);

#endif
