/* ring_place.h - a file, buffers and a ring of either kind, for the tests of rings. */
#ifndef TESTS_UNIT_RING_PLACE_H
#define TESTS_UNIT_RING_PLACE_H

#include "tests/fault/fault_io.h"
#include "tests/unit/scratch.h"
#include "tiering/ring.h"

#include <stdbool.h>
#include <stdint.h>

#define RING_DEPTH 16
#define RING_BLOCK 4096u
#define RING_FILE_LEN (256 * RING_BLOCK)
#define RING_PART (16 * RING_BLOCK)     /* a buffer of one operation */

struct ring_place {
	char dir[SCRATCH_PATH];
	int fd, direct;                 /* a file of RING_FILE_LEN random bytes, twice; direct: by O_DIRECT */
	unsigned char *shadow;          /* [RING_FILE_LEN], what is in it */
	unsigned char *mem;             /* [RING_DEPTH][RING_PART], aligned */
	struct ring_op ops[RING_DEPTH];
	struct ring *r;
	struct ring_config cfg;
	struct fault_io fault;          /* counts */
	struct io io;
	uint64_t rng;
};

/* A test in both kinds, for an array of struct CMUnitTest. */
#define RING_TEST(f) { #f "_by_io_uring", f, ring_place_uring, ring_place_teardown, NULL }, \
	{ #f "_by_threads", f, ring_place_threads, ring_place_teardown, NULL }
int ring_place_uring(void **state);
int ring_place_threads(void **state);
int ring_place_teardown(void **state);
/* First in every test; where there is no io_uring its tests are skipped. */
struct ring_place *ring_place_begin(void **state);

uint64_t ring_place_random(struct ring_place *p);
void ring_place_fill(struct ring_place *p, unsigned char *to, size_t len);
int64_t ring_place_now_ms(void);

/* Submit ops[i], with the i-th buffer. */
unsigned char *ring_place_mem(struct ring_place *p, unsigned i);
void ring_place_start(struct ring_place *p, unsigned i, enum ring_kind kind, int fd, uint64_t off, uint32_t len);
/* Collect all; how many they were. */
unsigned ring_place_collect(struct ring_place *p);
/* One operation alone; its result. */
int64_t ring_place_one(struct ring_place *p, enum ring_kind kind, int fd, uint64_t off, uint32_t len);
/* What was collected, of ops, did all it should; busy[i] is cleared, and the shadow follows the writes. */
void ring_place_check(struct ring_place *p, bool *busy, struct ring_op *op);

#endif
