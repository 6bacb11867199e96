/* kern_data.h - seeded inputs for the kernel tests: values, weight rows, memory that ends at a wall. */
#ifndef TESTS_UNIT_KERN_DATA_H
#define TESTS_UNIT_KERN_DATA_H

#include <stddef.h>
#include <stdint.h>

struct kern_data_rng { uint64_t state; };

uint32_t kern_data_u32(struct kern_data_rng *r);
float kern_data_uniform(struct kern_data_rng *r, float lo, float hi);
void kern_data_fill(struct kern_data_rng *r, float *x, size_t n, float lo, float hi);

/* n weights of a type as it stores them, with scales around 1/16; n is a multiple of the block. */
void kern_data_row(struct kern_data_rng *r, uint32_t type, void *row, size_t n);

/* Scales the weights of such a row of a block type by a factor, or MXFP4's by the nearest power of two. */
void kern_data_row_scale(uint32_t type, void *row, size_t n, float factor);

/* n weights of a block type, every byte but the F16 scales (and the exponents of MXFP4) the same. */
void kern_data_row_of(unsigned char fill, uint32_t type, void *row, size_t n);
/* Where the F16 scale lies in a block type that has one. */
size_t kern_data_scale_at(uint32_t type);

/* bytes of memory whose last byte is followed by a page that cannot be touched, so that a read past the
 * end faults.  NULL when there is no memory.  Aligned to 2 at least when bytes is even. */
struct kern_data_wall { unsigned char *p; void *map; size_t map_bytes; };
int kern_data_wall_open(struct kern_data_wall *w, size_t bytes);
void kern_data_wall_close(struct kern_data_wall *w);

#endif
