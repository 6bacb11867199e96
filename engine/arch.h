/* arch.h - the families of architectures, for the table in arch.c. */
#ifndef ENGINE_ARCH_H
#define ENGINE_ARCH_H

#include "engine/model_internal.h"

extern const struct arch arch_llama, arch_mistral3, arch_granite, arch_granitemoe;
extern const struct arch arch_qwen2, arch_qwen2moe, arch_qwen3, arch_qwen3moe;
extern const struct arch arch_qwen3next, arch_qwen35, arch_qwen35moe;
extern const struct arch arch_gemma2, arch_gemma3, arch_gemma4;
extern const struct arch arch_phi3, arch_gpt_oss, arch_command_r, arch_cohere2, arch_deepseek2;
extern const struct arch arch_glm4, arch_glm4moe, arch_gptneox, arch_lfm2;

#endif
