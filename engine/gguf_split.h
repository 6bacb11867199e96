/* gguf_split.h - models that are stored in several GGUF files.
 *
 * Part i (from 0) of n is named "%s-%05d-of-%05d.gguf" with i + 1 and n, all with the same prefix.
 * The first part holds the metadata; every part says which one it is (split.no), how many there are
 * (split.count) and how many tensors all of them hold (split.tensors.count).  A file without
 * split.count, or with 0 or 1 in it, is a whole model under any name.
 * https://github.com/ggml-org/llama.cpp/blob/master/tools/gguf-split/README.md
 *
 * Names and metadata only: no file is opened here.  No state; any number of threads.
 */
#ifndef ENGINE_GGUF_SPLIT_H
#define ENGINE_GGUF_SPLIT_H

#include <stddef.h>
#include <stdint.h>

struct gguf;

#define GGUF_SPLIT_MAX 1024             /* parts of one model */

struct gguf_split {
	uint32_t no;                    /* this part, < count */
	uint32_t count;                 /* parts, 1 for a whole model */
	uint64_t n_tensors;             /* of all parts */
};

/* What a parsed file says of itself.  0; -EINVAL and one line in err when a key is missing, has another
 * type or contradicts another. */
int gguf_split_read(const struct gguf *g, struct gguf_split *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* The path of part i < s->count, given the path of part s->no, written to out with its terminator.
 * A whole model is its own part 0.  0; -EINVAL when path does not end as that part must or i is out of
 * range, -ENAMETOOLONG when out is too small; err as above. */
int gguf_split_path(const struct gguf_split *s, const char *path, uint32_t i,
		    char *out, size_t outlen, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* Whether g, opened as part i, belongs to the model of s.  0; -EINVAL and one line in err when it is
 * another part, of another number of parts, or of another model. */
int gguf_split_check(const struct gguf_split *s, const struct gguf *g, uint32_t i,
		     char *err, size_t errlen) __attribute__((warn_unused_result));

/* Whether found, the sum of gguf_n_tensors over all parts, is what s promises.  0 or -EINVAL. */
int gguf_split_check_total(const struct gguf_split *s, uint64_t found, char *err, size_t errlen)
	__attribute__((warn_unused_result));

#endif
