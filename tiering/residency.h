/* residency.h - how much of a file the kernel's page cache holds.
 *
 * cachestat(2) (kernel 6.5) answers for any range without a mapping; before it, mincore(2) over a
 * mapping does.  For a file that clients read natively the page cache asked about is the one they
 * read from.
 */
#ifndef TIERING_RESIDENCY_H
#define TIERING_RESIDENCY_H

#include <stdint.h>

/* Bytes of [off, off + len) of the file open for reading as fd that are in the page cache, to *out.
 * Whole pages are counted, the last one up to the end of the range.  0 or negative errno. */
int residency_bytes(int fd, uint64_t off, uint64_t len, uint64_t *out) __attribute__((warn_unused_result));

#endif
