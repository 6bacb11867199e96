/* model.h - a loaded model: its dimensions and its tensors, checked against each other.
 *
 * A model is constant and may be shared by any number of sessions and threads.  Loading reads the
 * metadata only; tensors stay in the mapped files (weights.h).
 *
 * Invariants of an open model:
 *  L1  every count is at least 1 and within the bounds of model.c; heads divide by KV heads.
 *  L2  every tensor has the shape that the counts ask for and a type that can be computed with;
 *      no tensor of the file was left over (other than those of vision and audio towers).
 */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include <stddef.h>
#include <stdint.h>

struct gguf;
struct model;

/* Opens the model of that path.  0 and an owned model in *out; negative errno of the system, -EINVAL
 * (malformed, a key or tensor missing or wrong), -ENOTSUP (architecture, tensor type or feature not
 * known), -ENOMEM.  err holds one line that begins with the file. */
int model_open(struct model **out, const char *path, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void model_close(struct model *m);              /* takes m; NULL is a no-op */

/* The metadata, borrowed until model_close. */
const struct gguf *model_meta(const struct model *m);
const char *model_arch(const struct model *m);
uint32_t model_n_vocab(const struct model *m);  /* logits a position */
uint32_t model_n_ctx_train(const struct model *m);
/* Bytes of all tensors, and of those that one decoded token reads whole. */
uint64_t model_bytes(const struct model *m);
uint64_t model_bytes_per_token(const struct model *m);

#endif
