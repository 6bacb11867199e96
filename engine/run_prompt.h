/* run_prompt.h - the prompt of a command line as token ids. */
#ifndef ENGINE_RUN_PROMPT_H
#define ENGINE_RUN_PROMPT_H

#include <stddef.h>
#include <stdint.h>

struct run_options;
struct tokenizer;

/* Out of -p, -f, --tokens or the file of --perplexity; without any, or when the text is empty, the model's BOS alone.
 * 0 and n >= 1 ids in *ids, which the caller frees; negative errno with a line in err. */
int run_prompt(uint32_t **ids, size_t *n, const struct run_options *o, const struct tokenizer *t,
	       char *err, size_t errlen) __attribute__((warn_unused_result));

/* A file's bytes without the newline that editors put at the end, at most 64 MiB, owned by the caller: 0, or negative
 * errno with a line in err. */
int run_prompt_file(const char *path, char **out, size_t *len, char *err, size_t errlen)
	__attribute__((warn_unused_result));

#endif
