/* probe.h - how fast this machine is at what a model needs, measured in about a second.
 *
 * Threads: one caller at a time.
 */
#ifndef ENGINE_PROBE_H
#define ENGINE_PROBE_H

#include <stddef.h>
#include <stdint.h>

struct kern_isa;
struct kern_pool;
struct weights;

/* Bytes a second that are read past the page cache from the files of a model as a stream reads them: pieces of so many bytes
 * (a multiple of weights_align), at most `depth` at a time, one behind the other, from places at even distances over all
 * of it, for some tenths of a second.  0: nothing could be read. */
double probe_disk(struct weights *w, size_t piece, uint32_t depth);

/* Bytes a second of weights, out of memory, that matmuls with one token take with all of the pool's threads, for matrices of that
 * shape one behind the other: short rows and small matrices are slower.  Takes 65 MiB meanwhile.  0: no memory, no such
 * matmul, or rows that are no whole blocks or longer than 32768. */
struct probe_shape { uint32_t type, cols, rows; };
double probe_matmul(const struct kern_isa *isa, struct kern_pool *pool, const struct probe_shape *shape);

/* Seconds that dividing an operation over the pool's threads, and waiting for all of them, takes. */
double probe_step(struct kern_pool *pool);

#endif
