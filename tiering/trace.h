/* trace.h - a trace of accesses that a simulator can replay.
 *
 * A ring of fixed size: the oldest goes.  Nothing is written to a disk; readers take a text, which is CSV:
 *     seq,tick,object,size,class,tier
 *     1,0,16777216,1048576,read,home
 *  seq     1 for the first, grows by one, so a reader sees what it missed
 *  tick    quarters of a second since the trace's start, which never decrease: a simulator's time
 *  object  a number that stands for one extent: the blob's short number * 2^24 + the extent's index
 *  size    bytes of the extent
 *  class   read, scan, fill (a move's own read) or sample (a unit of a native file was seen to come in)
 *  tier    who had it: ram, a cache's name, home
 * libCacheSim reads it with -t "time-col=2,obj-id-col=3,obj-size-col=4,has-header=true"; and
 * make bench NAME=policy TRACE=FILE replays it.
 *
 * Threads: new and free are exclusive; all else may be called by any thread at once.
 */
#ifndef TIERING_TRACE_H
#define TIERING_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct trace;

#define TRACE_COUNT (1u << 18)          /* accesses kept, 24 bytes each */
#define TRACE_TIERS 16                  /* names of tiers, at most */
#define TRACE_NAME_MAX 31               /* bytes of such a name */

enum trace_class { TRACE_READ, TRACE_SCAN, TRACE_FILL, TRACE_SAMPLE };
struct trace_access {
	uint64_t tick;                  /* one below the last one's counts as the last one's */
	uint32_t blob, extent, size;    /* extent below 2^24 */
	uint8_t class, tier;            /* tier: an index into the names given to trace_new */
};

/* tiers: names, borrowed until trace_free.  0 and an owned trace in *out; -EINVAL: too many names, or one that is
 * too long or empty or has another character in it than letters, digits, '-', '_' and '.'; -ENOMEM. */
int trace_new(struct trace **out, const char *const *tiers, unsigned ntiers) __attribute__((warn_unused_result));
void trace_free(struct trace *t);                       /* NULL is a no-op */
/* One store under a lock that nobody holds for long. */
void trace_add(struct trace *t, const struct trace_access *a);
/* Those from seq on that are kept, oldest first and at most max of them, behind the header line: an owned string, to
 * be freed.  What is overwritten while this prints is left out.  0 or -ENOMEM. */
int trace_print(struct trace *t, uint64_t seq, size_t max, char **out) __attribute__((warn_unused_result));

#endif
