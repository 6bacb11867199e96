/* run_prompt.h - the prompt of a command line as token ids. */
#ifndef ENGINE_RUN_PROMPT_H
#define ENGINE_RUN_PROMPT_H

#include <stddef.h>
#include <stdint.h>

struct run_options;
struct tokenizer;

/* Out of -p, -f or --tokens; without any, or when the text is empty, the model's BOS alone.
 * 0 and n >= 1 ids in *ids, which the caller frees; negative errno with a line in err. */
int run_prompt(uint32_t **ids, size_t *n, const struct run_options *o, const struct tokenizer *t,
	       char *err, size_t errlen) __attribute__((warn_unused_result));

#endif
