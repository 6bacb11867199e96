/* arch_llama.h - the llama family: Llama 1 to 3, Mistral, SmolLM, Yi and others of that shape. */
#ifndef ENGINE_ARCH_LLAMA_H
#define ENGINE_ARCH_LLAMA_H

struct arch;

extern const struct arch arch_llama;

#endif
