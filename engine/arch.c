/* arch.c - the architectures that are known. */
#include <string.h>

#include "engine/arch_llama.h"
#include "engine/model_internal.h"

static const struct arch *const archs[] = {
	&arch_llama,
};

const struct arch *arch_find(struct gguf_str name)
{
	size_t i;

	for (i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
		if (strlen(archs[i]->name) == name.len && memcmp(archs[i]->name, name.s, name.len) == 0)
			return archs[i];
	return NULL;
}
