/* ollama.h - the pieces that the replayed sequences share.
 *
 * Every case's working directory is an OLLAMA_MODELS root.  Sequences are those of Ollama 0.24 to
 * 0.33 on Linux; sizes are smaller (Ollama's parts are 100 MB to 1000 MB).  Content is made from a
 * seed, so a blob's digest is known before it is written. */
#ifndef TESTS_E2E_OLLAMA_OPS_OLLAMA_H
#define TESTS_E2E_OLLAMA_OPS_OLLAMA_H

#include "tests/e2e/lib/px.h"

#include <stdint.h>

enum {
	OLLAMA_PIECE = 32768,           /* io.Copy's buffer: the most one write has */
	OLLAMA_PARTS = 16,
	OLLAMA_PATH = 512
};

struct ollama_blob {
	char hex[65];
	char path[96];                  /* blobs/sha256-<hex> */
	size_t size;
	uint64_t seed;
};

/* One model: a manifest naming some blobs. */
struct ollama_model {
	const char *host, *repo, *name, *tag;
	const struct ollama_blob *layers;
	size_t n;
};

/* The blob of that content; writes nothing. */
void ollama_blob_of(struct ollama_blob *b, uint64_t seed, size_t size);
/* The digest of a file, read as Ollama reads it to verify. */
void ollama_digest(const char *path, char hex[65]);
/* Fails unless the blob is there, whole, with mode 0644 and one link. */
void ollama_check(const struct ollama_blob *b);
/* Creates a directory with its parents, mode 0755, looking before each as MkdirAll does. */
void ollama_mkdir_all(const char *path);
/* Writes a file as os.WriteFile does: truncated in place. */
void ollama_write_file(const char *path, const char *text);
/* Reads a small file whole; the text is terminated. */
size_t ollama_read_file(const char *path, char *buf, size_t size);
/* Downloads a blob: the whole sequence of a pull, from nothing. */
void ollama_pull(const struct ollama_blob *b);
/* Writes the model's manifest. */
void ollama_manifest(const struct ollama_model *m);
/* manifests/<host>/<repo>/<name>/<tag> */
void ollama_manifest_path(const struct ollama_model *m, char path[OLLAMA_PATH]);
/* A temporary name as os.CreateTemp makes them, opened with mode 0600. */
int ollama_create_temp(const char *prefix, unsigned n, char path[OLLAMA_PATH]);
/* NewLayer: writes the content to a temporary, seals it as blob b and touches it. */
void ollama_new_layer(const struct ollama_blob *b, unsigned n);

extern const struct px_suite ollama_pull_suite, ollama_create_suite, ollama_use_suite, ollama_hub_suite;

#endif
