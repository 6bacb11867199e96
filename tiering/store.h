/* store.h - what outlives the daemon: the map opened and read, heat saved, caches known by their marks.
 *
 * Settings in the map: "cache.N" = uuid (16 bytes) and epoch (8 bytes, little endian) of the cache that has
 * number N there.
 * A blob's heat: a byte of version (1), two of touches, eight of the mean heat (a double), then a byte an
 * extent: 0 never touched, else 8 * log2(heat) + 128, clamped to 1 .. 255.
 */
#ifndef TIERING_STORE_H
#define TIERING_STORE_H

#include "tiering/tier_internal.h"

/* The caches are open, no thread runs yet.  Without a cache there is no map, and nothing to load.  0, -ENOMEM, -EBUSY
 * and a line; a map that cannot be used is no failure: the caches then stay as they are. */
int store_open(struct tier *t, const struct cache_found *found, char *err, size_t errlen) __attribute__((warn_unused_result));
void store_close(struct tier *t);
/* Not locked: heat that changed since the last time. */
void store_save_heat(struct tier *t);
/* Not locked: a cache that was out of service is trusted over a restart once all its copies were compared. */
void store_save_epochs(struct tier *t);
/* Not locked: unlink what lies on the cache and is nobody's: a crash or a failure left it. */
void store_sweep(struct tier *t, unsigned c);
/* Locked: the identity of the blob changed, its bytes did not (rule R2): to the map. */
void store_put_ident(struct tier *t, struct blob *b);

#endif
