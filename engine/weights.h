/* weights.h - the files of one model, mapped, and the tensors inside them.
 *
 * Every part of a split model is opened, mapped read-only and shared, and parsed.  A tensor is handed
 * out as type, shape and a pointer into the mapping: nothing is copied and nothing is read before it
 * is used.  Tensor data is aligned to general.alignment, so to 8 bytes at least.
 *
 * Invariants:
 *  W1  a tensor's [data, data + nbytes) lies inside a file as long as it was when it was opened.
 *  W2  row_bytes * (product of ne[1..3]) == nbytes.
 * Threads: constant after weights_open.
 */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/gguf.h"

struct weights;

struct weights_tensor {
	const void *data;               /* NULL: the model has no such tensor */
	uint32_t type;                  /* enum kern_type_id, known */
	uint32_t ndims;
	uint64_t ne[GGUF_MAX_DIMS];     /* fastest first, 1 past ndims */
	uint64_t nbytes;
	size_t row_bytes;               /* ne[0] weights */
	size_t slice_bytes;             /* from one [ne0, ne1] matrix to the next; a view of rows keeps it */
};

/* Opens path, and with it the other parts when it is one of several (any part may be named).
 * 0 and an owned handle in *out; negative errno of the system, -EINVAL for a file that is no good GGUF
 * or no regular file, -ENOMEM.  err then holds one line that begins with the file at fault. */
int weights_open(struct weights **out, const char *path, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void weights_close(struct weights *w);          /* takes w; NULL is a no-op */

/* The metadata: that of the first part.  Borrowed until weights_close. */
const struct gguf *weights_meta(const struct weights *w);
/* 0 and the tensor, or -ENOENT. */
int weights_find(const struct weights *w, const char *name, struct weights_tensor *out)
	__attribute__((warn_unused_result));

uint64_t weights_n_tensors(const struct weights *w);
/* The name of tensor i < weights_n_tensors, in the order of parts and files. */
struct gguf_str weights_name(const struct weights *w, uint64_t i);
/* Bytes of tensor data in all parts. */
uint64_t weights_bytes(const struct weights *w);
/* Bytes before tensor data in all parts: names, values and tables of the metadata. */
uint64_t weights_header_bytes(const struct weights *w);
/* Where bytes of a tensor lie: a descriptor that is borrowed until weights_close, O_DIRECT unless buffered is asked for or
 * the file system refuses it; off in its file; reads must begin at and have a length of multiples of align. */
#define WEIGHTS_ALIGN_MAX 65536u
struct weights_place { int fd; uint64_t off; uint32_t align; bool direct; };
void weights_place(const struct weights *w, const void *data, bool buffered, struct weights_place *out);
/* The most align that weights_place can say, a multiple of 4096 and at most WEIGHTS_ALIGN_MAX. */
uint32_t weights_align(const struct weights *w);

/* 0 while the files are what was opened; -ESTALE when one was written to, became shorter or longer, or had a page
 * missing (weights_guard.h); other errors of the system.  What was computed since the last time is then worth nothing. */
int weights_check(struct weights *w) __attribute__((warn_unused_result));
/* Are all pages of these bytes of a tensor in memory?  False also where the system would not say the truth: it does so
 * only to who owns the file or may write to it (mincore(2)).  A hint: they may go at any time. */
bool weights_resident(const struct weights *w, const void *data, size_t bytes);
/* How much of all files is in memory, of what could be told. */
uint64_t weights_resident_bytes(const struct weights *w);
/* For reads past the page cache: opens the files once more with O_DIRECT, where they can be; from now on touching the
 * mappings, and reading without it, brings the pages asked for and nothing around them. */
void weights_direct(struct weights *w);

/* Tells models apart without reading them: a hash of lengths, headers and 64 pages of 4 KiB at even distances. */
uint64_t weights_fingerprint(const struct weights *w);

#endif
