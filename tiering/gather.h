/* gather.h - reads of blobs whose extents are not all on one fast tier, answered by the daemon.
 *
 * Extents come whole, from the fastest cache that has them or from home, with O_DIRECT into a pool of aligned
 * buffers, and are kept there as long as nobody needs the room.  A read waits for the one or two extents
 * that it touches; several reads, a fill and the read-ahead meet at one buffer.
 *
 * Each device has a queue and a thread (gather_dev.c).  Reads that a client waits for come first, then writes
 * of fills, then read-ahead, then background reads within their rate.  On a disk that seeks, what continues
 * the last read comes before all else for up to 16 MiB, so that parallel readers of a file become runs.
 *
 * Every extent from a cache is compared with its sum; one that differs is read from home instead and its copy
 * is dropped.  A failed read tries the next source that has the extent.  An error is the client's only when no
 * source is left (rule R10).
 */
#ifndef TIERING_GATHER_H
#define TIERING_GATHER_H

#include "tiering/tier_internal.h"

#include <sys/uio.h>

#define GATHER_BUFFERS 96               /* of an extent each, at most */
#define GATHER_BUFFERS_MIN 8

enum gather_class { GATHER_DEMAND, GATHER_WRITE, GATHER_AHEAD, GATHER_BACKGROUND, GATHER_CLASSES };

/* 0 and a running engine of so many buffers in t->gather; -ENOMEM, -EAGAIN. */
int gather_start(struct tier *t, unsigned buffers) __attribute__((warn_unused_result));
/* Nothing is asked any more; waits for what is in flight, then ends the threads. */
void gather_stop(struct tier *t);

uint64_t gather_now(void);              /* monotonic, ns */

/* As tier_file_read. */
void gather_read(struct tier *t, struct blob *b, enum scan_class scan, uint64_t off, uint32_t len, tier_read_done done,
		 void *ctx);

/* The rest is called with tier->lock held. */

/* Fetch an extent for a fill; false when no buffer can be had for that now.  It is offered by fill_offer, and
 * fill_fetched tells that the reading ended. */
bool gather_fetch(struct tier *t, struct blob *b, uint32_t extent);
unsigned gather_fetching(const struct tier *t);         /* such reads under way */
/* What was read of the blob is out of date.  Whoever waits still gets it: he asked before the change. */
void gather_forget(struct tier *t, struct blob *b);
/* A fill of the blob begins: what is being read now may be from before its lease, and is not offered to it. */
void gather_fill_began(struct tier *t, const struct blob *b);
/* Whether a client waited for the device within the last second. */
bool gather_is_busy(const struct tier *t, unsigned dev);
bool gather_seeks(const struct tier *t, unsigned dev);           /* a disk of plates */
void gather_wake(struct tier *t, unsigned dev);

/* A write of a fill: the buffer gets a reference for it, fill_written tells the outcome. */
struct gather_buf;
void gather_write(struct tier *t, struct gather_buf *buf, unsigned c, int fd);
bool gather_may_write(const struct tier *t);            /* there are buffers enough left for reading */
struct blob *gather_buf_blob(const struct gather_buf *buf);
uint32_t gather_buf_extent(const struct gather_buf *buf);

#endif
