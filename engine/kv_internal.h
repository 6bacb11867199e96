/* kv_internal.h - what a cache consists of, for the files that make it up. */
#ifndef ENGINE_KV_INTERNAL_H
#define ENGINE_KV_INTERNAL_H

#include "engine/kv.h"
#include "engine/reader.h"

#define KV_NONE UINT32_MAX

struct kv_layer {
	size_t k_off, v_off;            /* bytes into the map */
	size_t k_row, v_row;            /* bytes a position */
	size_t conv_off, state_off;
};

struct kv {
	uint32_t n_layer, type_k, type_v;
	char *map;
	size_t map_bytes;
	size_t state_from;              /* states are the last part of the map */
	struct kv_layer *layers;        /* [n_layer] */
	struct kv_disk *disk;           /* NULL: all rows are in the map */
};

/* ---- kv_disk.c, kv_disk_open.c, kv_keep.c: rows on disk -------------------------------------------- */

/* A chunk is `block` positions of a layer, keys and then values: what is read and written at once.  Chunk c of all layers
 * is a stripe of the file, stripe c behind stripe c - 1. */
struct kv_disk_layer {
	size_t k_row, v_row;
	size_t v_at;                    /* of the values in a chunk */
	size_t bytes;                   /* of a chunk, whole pages; 0: the layer has no rows */
	size_t at;                      /* in a stripe */
	char *mem;                      /* [held + tail] chunks */
	uint32_t *have;                 /* [held + tail] which chunk is there, or KV_NONE */
	uint64_t *sum;                  /* [n_chunk] XXH3-64 of those in the file */
};

enum kv_slot_state { KV_FREE, KV_BUSY, KV_FULL };

/* A chunk that is read. */
struct kv_slot {
	char *mem;
	struct reader_job job;
	enum kv_slot_state state;
	uint32_t layer, chunk;
	uint64_t turn;                  /* when it was begun */
};

/* A chunk that is written, from its place in memory. */
struct kv_write { struct reader_job job; uint32_t layer, place; bool busy; };

/* A layer that was walked through in a pass. */
struct kv_use { uint32_t layer, window; };

struct kv_cursor { uint32_t lap, use, chunk; }; /* lap 1: of the next pass */

#define KV_HEAD 4096u             /* bytes before the first stripe */
#define KV_SLOTS 8u
#define KV_WRITES 8u

struct kv_disk {
	char *dir, *path;               /* path: of a kept file, or NULL */
	uint64_t id;
	int fd;
	bool direct, plain, clean;      /* clean: the file is the one that was kept, untouched */
	struct reader *reader;
	uint32_t n_layer, n_ctx, block, n_chunk, held, tail;    /* held + tail chunks of each layer are in memory */
	struct kv_disk_layer *layer;    /* [n_layer] */
	size_t stripe, chunk_most, map_bytes;
	char *map;
	struct kv_slot slot[KV_SLOTS];
	struct kv_write write[KV_WRITES];
	uint64_t turn;
	uint32_t taken;                 /* the slot that the last span is in, or KV_NONE */
	uint32_t pos0, to, end;         /* the batch at hand; positions from 0 to end have rows, or will have */
	bool by_layers;                 /* kv_batch: one layer with batch after batch */
	bool layer_ends;                /* another layer comes next, not this one with another batch */
	struct kv_use *use;             /* [n_use] of a pass, room for 2 * n_layer */
	uint32_t n_use, at_use;         /* known so far; of this pass */
	bool whole;                     /* a whole pass is known */
	struct kv_cursor ahead;         /* the next chunk to be read */
	int rc;
	const char *doing;              /* what failed */
	uint32_t under_way;             /* reads and writes */
	double busy_from;               /* when the first of them began */
	struct kv_disk_stats stats;
};

/* p with disk; kv's layers have their rows. */
int kv_disk_need(const struct kv *kv, const struct kv_params *p, uint64_t *bytes);
int kv_disk_open(struct kv *kv, const struct kv_params *p, char *err, size_t errlen);
void kv_disk_close(struct kv_disk *d);
void kv_disk_direct(struct kv_disk *d, bool on);        /* with no job under way */
void *kv_disk_row(const struct kv_disk *d, uint32_t layer, uint32_t pos, bool value);
uint64_t kv_disk_offset(const struct kv_disk *d, uint32_t layer, uint32_t chunk);
/* The chunk's place among the layer's in memory. */
uint32_t kv_disk_place(const struct kv_disk *d, uint32_t chunk);
static inline char *kv_disk_chunk(const struct kv_disk *d, uint32_t layer, uint32_t place)
{
	return d->layer[layer].mem + place * d->layer[layer].bytes;
}
/* Waits for all that is under way; nothing that was read is used. */
void kv_disk_settle(struct kv_disk *d);
/* At once: a chunk between its place in memory and the file, with its sum.  Negative errno. */
int kv_disk_load(struct kv_disk *d, uint32_t layer, uint32_t chunk);
int kv_disk_store(struct kv_disk *d, uint32_t layer, uint32_t chunk);
/* Before anything is written: what was kept there is no more. */
int kv_disk_dirty(struct kv_disk *d);
int kv_disk_fail(struct kv_disk *d, int rc, const char *doing);         /* the first failure stays; returns rc */

#endif
