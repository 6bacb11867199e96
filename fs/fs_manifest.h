/* fs_manifest.h - models by the names that Ollama gives them.
 *
 * A model is a JSON file manifests/HOST/NAMESPACE/MODEL/TAG that names blobs by digest; the weights are
 * the layer of type application/vnd.ollama.image.model.  Everything is read through a directory in
 * Ollama's layout, a hearth mount or any other.
 * Threads: no state; any thread.
 */
#ifndef FS_FS_MANIFEST_H
#define FS_FS_MANIFEST_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_DIGEST_FILE_LEN 71           /* "sha256-" and 64 hex digits */

struct fs_blob {
	char file[FS_DIGEST_FILE_LEN + 1];      /* its name in blobs/ */
	uint64_t bytes;                         /* as the manifest says */
	bool weights;
};

struct fs_model {
	char name[1024];                /* as Ollama shows it: "llama3.2:1b", "hf.co/a/b:Q4_K_M" */
	char path[PATH_MAX];            /* of the manifest, relative to the store */
	uint64_t bytes;                 /* of config and layers */
	struct fs_blob *blobs;          /* [nblobs]; owned */
	size_t nblobs;
};

void fs_model_free(struct fs_model *m); /* what m holds; not m */

/* A name as people type it, to the manifest's path in the store.  -EINVAL for what is no name. */
int fs_manifest_path(const char *name, char out[PATH_MAX]) __attribute__((warn_unused_result));

/* "sha256:HEX" or "sha256-HEX" (64 digits), to the blob's file name.  False if it is no digest. */
bool fs_manifest_digest(const char *digest, char out[FS_DIGEST_FILE_LEN + 1]);

/* The manifest whose text is len bytes at text (borrowed for the call); path is what it is called and
 * named by.  Pure: pointer and length in.  0 and an owned model, -EINVAL, -ENOMEM; err says what. */
int fs_manifest_parse(const char *text, size_t len, const char *path, struct fs_model *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* Read the manifest at path (relative to the store).  0 and an owned model; -ENOENT, -EINVAL with a line
 * about what is wrong in it, or what opening said. */
int fs_manifest_read(const char *store, const char *path, struct fs_model *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* All models of the store in the order of their names; owned array of owned models.  A manifest that
 * cannot be read is skipped with a line in the log.  -ENOENT when there is no manifests directory. */
int fs_manifest_list(const char *store, struct fs_model **out, size_t *n) __attribute__((warn_unused_result));

#endif
