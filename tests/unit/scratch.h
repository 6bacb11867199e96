/* scratch.h - a private directory for one test, on a real disk and not on a tmpfs. */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <stddef.h>

#define SCRATCH_PATH 64

/* Make an empty directory and write its path.  Fails the test that calls it. */
void scratch_make(char path[SCRATCH_PATH]);
/* Remove it with everything in it; mounts below it are not crossed. */
void scratch_remove(const char *path);

/* A path below the directory, in a buffer of the caller's. */
const char *scratch_path(char *buf, size_t cap, const char *dir, const char *rel);
/* Make directories on the way, then a file with these bytes.  Fails the test when it cannot. */
void scratch_file(const char *dir, const char *rel, const void *bytes, size_t len);

#endif
