/* ram_fixture.h - a RAM tier over files of a scratch directory, with a /proc of the test's own. */
#ifndef TESTS_UNIT_RAM_FIXTURE_H
#define TESTS_UNIT_RAM_FIXTURE_H

#include "tests/unit/scratch.h"
#include "tiering/ram.h"

#include <stdatomic.h>

#define UNIT ((uint64_t)RAM_UNIT_BYTES)
#define MIB (1ull << 20)

struct ram_fixture {
	char dir[SCRATCH_PATH], proc[SCRATCH_PATH + 8], cgroup[SCRATCH_PATH + 8];
	struct io io;
	struct ram *r;
	atomic_uint events, fails;
};

/* A fresh tier with that budget, the machine having 1 GiB of memory, available MiB of it available and free.
 * For cmocka: setup makes the fixture with no tier, teardown removes all. */
int ram_fixture_setup(void **state);
int ram_fixture_teardown(void **state);
void ram_fixture_open(struct ram_fixture *x, uint64_t budget);
void ram_fixture_memory(struct ram_fixture *x, uint64_t available_mib);

/* A file of the scratch directory, of random bytes, not resident; its descriptor. */
int ram_fixture_file(struct ram_fixture *x, const char *name, uint64_t bytes);
struct ram_file *ram_fixture_get(struct ram_fixture *x, uint64_t key, int fd, uint64_t bytes);

/* As a client does: read units [from, to), or let the kernel take them.  What is locked it cannot take. */
void ram_fixture_read(int fd, uint64_t from, uint64_t to);
void ram_fixture_evict(int fd, uint64_t from, uint64_t to);
uint64_t ram_fixture_resident(int fd, uint64_t from, uint64_t to);

/* So many bytes are in the page cache, not all of them locked: a kernel short of memory may have taken a few. */
#define assert_cached(bytes, want) assert_in_range(bytes, (want) - (want) / 8, want)

/* Settle until a number of the status is right, as ticks must pass for some things; fails after a minute. */
void ram_fixture_until(struct ram_fixture *x, bool (*is)(struct ram_fixture *x, void *arg), void *arg);
void ram_fixture_ticks(struct ram_fixture *x, unsigned ticks);  /* settle until so many ticks of 1 ms have passed */

/* Why nothing can be locked here, or NULL. */
const char *ram_fixture_cannot_lock(struct ram_fixture *x);
struct ram_status ram_fixture_status(struct ram_fixture *x);
struct ram_file_status ram_fixture_file_status(struct ram_file *f);

#endif
