/* gguf_walk.h - visit everything that a parsed GGUF hands out.
 *
 * Reads every key, scalar, string, array element and tensor entry, and checks that each lies inside the
 * bytes that were parsed (tensor data: inside the file) and that the invariants of gguf.h hold.
 */
#ifndef TESTS_UNIT_GGUF_WALK_H
#define TESTS_UNIT_GGUF_WALK_H

#include <stddef.h>
#include <stdint.h>

struct gguf;

/* 0, or -EFAULT and the broken rule in *why (constant text).  buf, len and file_bytes as parsed. */
int gguf_walk(const struct gguf *g, const void *buf, size_t len, uint64_t file_bytes, const char **why)
	__attribute__((warn_unused_result));

#endif
