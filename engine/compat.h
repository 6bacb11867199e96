/* compat.h - GGUF files that Ollama wrote: the same models under some names and keys of its own.
 *
 * Every rule here is of names; where an architecture's numbers differ as well its arch_*.c says so.  What they are is
 * known from Ollama's own translation for llama.cpp (llama/compat in its repository).
 */
#ifndef ENGINE_COMPAT_H
#define ENGINE_COMPAT_H

#include <stdbool.h>

#include "engine/gguf.h"

/* The architecture that a file's general.architecture means; the same string where it is no other name. */
struct gguf_str compat_arch(struct gguf_str name);
/* What files of that architecture may have in place of a key without its "<arch>.", or of a tensor without its
 * "blk.<i>."; NULL: nothing. */
const char *compat_key(const char *arch, const char *key);
const char *compat_tensor(const char *arch, const char *name);
/* Tensors of parts that take no part in text. */
bool compat_skips(const char *arch, struct gguf_str name);
/* The file's pre-tokenizer, or the right one where its converter did not know better than "default". */
struct gguf_str compat_pre(const struct gguf *g, struct gguf_str pre);
/* tokenizer.ggml.model, likewise. */
struct gguf_str compat_tokenizer(const struct gguf *g, struct gguf_str model);

#endif
