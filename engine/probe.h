/* probe.h - how fast this machine is at what a model needs, measured in about a second.
 *
 * Threads: one caller at a time.
 */
#ifndef ENGINE_PROBE_H
#define ENGINE_PROBE_H

#include <stdint.h>

struct kern_isa;
struct kern_pool;
struct weights;

/* Bytes a second that are read past the page cache from the files of a model, at even distances over all of them, several
 * pieces at a time, for some tenths of a second.  0: nothing could be read. */
double probe_disk(struct weights *w);

/* Bytes a second of weights of that type, out of memory, that a matmul with one token takes with all of the pool's threads.
 * Takes 64 MiB meanwhile.  0: no memory, or no such matmul. */
double probe_matmul(const struct kern_isa *isa, struct kern_pool *pool, uint32_t type);

#endif
