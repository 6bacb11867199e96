/* ollama_main.c - ollama_ops DIR [--list] [--only NAME]: the file operations of Ollama, of the
 * Hugging Face hub and of llama.cpp's own downloads, replayed on DIR and checked. */
#include "tests/e2e/ollama_ops/ollama.h"

int main(int argc, char **argv)
{
	const struct px_suite suites[] = {
		ollama_pull_suite, ollama_create_suite, ollama_use_suite, ollama_hub_suite
	};

	return px_main(argc, argv, suites, PX_COUNT(suites));
}
