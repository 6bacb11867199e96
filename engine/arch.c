/* arch.c - the architectures that are known. */
#include "engine/arch.h"

#include <string.h>

static const struct arch *const archs[] = {
	&arch_llama, &arch_mistral3, &arch_granite, &arch_granitemoe,
	&arch_qwen2, &arch_qwen2moe, &arch_qwen3, &arch_qwen3moe, &arch_qwen3next, &arch_qwen35, &arch_qwen35moe,
	&arch_gemma2, &arch_gemma3, &arch_gemma4,
	&arch_phi3, &arch_gpt_oss, &arch_command_r, &arch_cohere2, &arch_deepseek2,
	&arch_glm4, &arch_glm4moe, &arch_gptneox, &arch_lfm2,
};

const struct arch *arch_find(struct gguf_str name)
{
	size_t i;

	for (i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
		if (strlen(archs[i]->name) == name.len && memcmp(archs[i]->name, name.s, name.len) == 0)
			return archs[i];
	return NULL;
}
