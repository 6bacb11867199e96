/* cache_mark.h - the text that makes a directory a cache and says whose it is.
 *
 * Five lines, each ended by a newline, in this order:
 *     hearth-cache 1              the format
 *     uuid HEX                    of the cache, 32 digits
 *     store HEX                   which store it serves, 16 digits, not all 0
 *     home PATH                   where the store's home was; bytes below 0x21, 0x7f and the backslash
 *                                 are written as a backslash and three octal digits
 *     epoch N                     decimal
 * Nothing else is allowed, so what reads as a mark was written as one.
 *
 * Threads: pure functions.
 */
#ifndef TIERING_CACHE_MARK_H
#define TIERING_CACHE_MARK_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_MARK_MAX (4 * PATH_MAX + 256)     /* bytes of the longest mark */

struct cache_mark {
	uint8_t uuid[16];
	uint64_t store, epoch;
	char home[PATH_MAX];
};

/* text has len bytes, none of which need be 0.  0; -EPROTO and a few words when it is of another format
 * or is none; *m is then undefined. */
int cache_mark_parse(const char *text, size_t len, struct cache_mark *m, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* The bytes written to buf, without a 0 at the end. */
size_t cache_mark_print(const struct cache_mark *m, char buf[CACHE_MARK_MAX]);

#endif
