/* fill.h - making a copy of a blob on a cache: extents that come by, and those that nobody asks for.
 *
 * Order (rule R2): the bytes are read from home and summed, written to the copy, made durable together with
 * others (a sync every 250 ms or 64 extents), committed to the map in one transaction, and only then valid.
 * From the first read to the last commit the blob is sealed: by a read lease, or, where there are none, by
 * an identity that is over two seconds old and the same before each commit.  A seal that breaks ends the
 * fill; what was committed by then is true of the identity that it was committed under.
 *
 * A fill belongs to the place thread, which begins and ends it; reads that a client or the mover caused are
 * offered to it by the device threads.
 *
 * All calls with tier->lock held but where they say so.
 */
#ifndef TIERING_FILL_H
#define TIERING_FILL_H

#include "tiering/gather.h"
#include "tiering/ring.h"

enum fill_end { FILL_GOES_ON, FILL_COMPLETE, FILL_UNSEALED, FILL_CHANGED, FILL_FAILED, FILL_CANCELLED };

struct fill {
	struct tier *tier;
	struct blob *blob;
	unsigned cache;
	struct lease *lease;            /* NULL: home has no leases */
	struct ring_op sync;            /* in flight while syncing */
	struct fill *next;              /* in t->place's list */
	uint32_t writing, written, syncing;     /* extents */
	uint32_t cursor;                /* where the mover goes on */
	uint64_t oldest_ns;             /* of what is written and not synced; 0: nothing */
	int tail_fd;                    /* of the copy without O_DIRECT, for a last extent that is no whole blocks */
	bool sync_busy;                 /* sync or commit under way */
	bool commit_waits;              /* the map's queue was full: try again */
	bool ordered;                   /* by warm or a pin: the mover hurries */
	bool part;                      /* only what the policy's set of extents has */
	enum fill_end end;              /* other than FILL_GOES_ON: nothing new begins */
	uint64_t since_ns, filled_bytes;
};

/* Not locked, place thread: begin to fill cache c of the blob, which has a reference of the caller's for it.
 * 0; -EAGAIN (not sealed now), -ENOSPC, -EPERM (the copy was handed out natively and is not complete: drop it
 * first), -EIO, -ENOMEM, -ESTALE (home's file is gone or another one). */
int fill_begin(struct tier *t, struct blob *b, unsigned c, bool ordered) __attribute__((warn_unused_result));
/* Not locked, place thread: everything of it is done (fill_is_idle); gives all back. */
void fill_finish(struct tier *t, struct fill *f);
bool fill_is_idle(const struct fill *f);
uint32_t fill_under_way(const struct fill *f);  /* extents that take space and are not valid yet */
/* Begin nothing new. */
void fill_stop(struct fill *f, enum fill_end why);

/* Whether the extent is still to come for it. */
bool fill_wants(const struct fill *f, uint32_t extent);
/* An extent was read from home and summed: write it on, if somebody fills and it is wanted. */
void fill_offer(struct tier *t, struct gather_buf *buf, uint64_t sum);
/* A read by gather_fetch ended. */
void fill_fetched(struct tier *t, struct blob *b, uint32_t extent, int rc);
/* Its write ended with res (bytes or negative errno). */
void fill_written(struct tier *t, struct blob *b, uint32_t extent, unsigned c, int64_t res);
/* The device thread of cache c: a fill whose sync is due, with its op filled in, to be submitted now; NULL. */
struct ring_op *fill_next_sync(struct tier *t, unsigned c, uint64_t now_ns);
/* Commit what was synced; map's queue may be full, then later. */
void fill_commit(struct fill *f);
/* When the next sync is due, ns from now; UINT64_MAX: none. */
uint64_t fill_sync_due(struct tier *t, unsigned c, uint64_t now_ns);
/* Not locked, device thread: the sync ended with op->res. */
void fill_synced(struct tier *t, struct ring_op *op);
/* Ask for extents that nobody asked for, a few at a time. */
void fill_push(struct tier *t, struct fill *f);

#endif
