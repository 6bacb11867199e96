/* tier.h - where the bytes of a file are: the one header of tiering that fs includes.
 *
 * Tiers known here: ram (the kernel's page cache over home's file) and home.  A tier of copies
 * (cache disks, pinned RAM) adds a member to struct tier_usage and a name to tier_name().
 *
 * Threads: open and close are exclusive; all else may be called by any thread at once.
 */
#ifndef TIERING_TIER_H
#define TIERING_TIER_H

#include "tiering/home.h"
#include "tiering/io.h"
#include "tiering/log.h"

#include <stddef.h>
#include <stdint.h>

#define TIER_EXTENT_BYTES (1u << 20)    /* the unit of placement; files smaller than one are no blobs */

enum tier_id { TIER_RAM, TIER_HOME, TIER_COUNT };
const char *tier_name(enum tier_id id);

struct tier_usage {
	uint64_t bytes[TIER_COUNT];
};

struct tier;

/* Open the store: home now.  io is borrowed until tier_close.  As home_open. */
int tier_open(struct tier **out, const char *home_dir, const struct io *io, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void tier_close(struct tier *t);        /* takes t; NULL is a no-op */

const struct home *tier_home(const struct tier *t);
const struct io *tier_io(const struct tier *t);

/* Bytes of a regular file of home on each tier.  fd is open for reading, st is its stat. */
int tier_usage_of(const struct tier *t, int fd, const struct stat *st, struct tier_usage *out)
	__attribute__((warn_unused_result));

/* "ram=N home=N", as user.hearth.tier and the command print it.  Returns as snprintf. */
int tier_usage_print(const struct tier_usage *u, char *buf, size_t cap);

/* The extents of a file and where they are, as text:
 *     extent BYTES count N
 *     FIRST COUNT TIER[+TIER...]
 * a line each run of extents that lie on the same tiers, in order.  An extent is on ram when all of
 * it is resident, on home when home's file has any data there, on "none" where the file has a hole.
 * Returns 0 and an owned, terminated string in *out. */
int tier_map_print(const struct tier *t, int fd, const struct stat *st, char **out)
	__attribute__((warn_unused_result));

#endif
