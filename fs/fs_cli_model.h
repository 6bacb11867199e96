/* fs_cli_model.h - what a MODEL argument stands for: files on a mount.
 *
 * An argument is, in this order of trial, a path on a hearth mount, a digest, or a model's name.  A name, or
 * the path of a manifest, stands for all blobs of that manifest; a directory for the files below it.
 * Threads: no state; any thread.
 */
#ifndef FS_FS_CLI_MODEL_H
#define FS_FS_CLI_MODEL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs_target {
	char *path;                     /* absolute, owned by its set */
	const char *label;              /* of path, what is below the mountpoint */
	uint64_t bytes;                 /* of a file */
	bool dir;
};

/* A set of files, each once.  All zero: empty. */
struct fs_targets {
	struct fs_target *v;            /* [n] */
	size_t n, cap;
	/* What the last argument that was added stands for, also files that were in the set before. */
	size_t files;
	uint64_t bytes;
	size_t missing;                 /* blobs that its manifest names and that are not there; counted over all */
};

/* What a directory stands for. */
enum fs_targets_dirs { FS_TARGETS_FILES, FS_TARGETS_ITSELF };

/* Add what arg stands for on the mount that it leads to, or the only one there is.  Files of less than an extent are
 * left out: they are never tiered.  0, or -1 after a line on standard error: no such thing, or nothing in it
 * that is tiered.  Missing blobs are told and counted. */
int fs_targets_add(struct fs_targets *t, const char *arg, enum fs_targets_dirs dirs);
/* All arguments, with the files below directories: what is not found is told, and the rest still added.  FS_EXIT_OK, or
 * FS_EXIT_FAILED when something was not. */
int fs_targets_add_all(struct fs_targets *t, int argc, char **argv);
/* The same for a path (absolute, normal, not a link) or else a digest or name in a directory store, which may be
 * any.  0; -ENOENT, -EINVAL and the like with a line in err; -ENOMEM. */
int fs_targets_add_path(struct fs_targets *t, const char *store, const char *path, enum fs_targets_dirs dirs,
			char *err, size_t errlen)
	__attribute__((warn_unused_result));
int fs_targets_add_name(struct fs_targets *t, const char *store, const char *name, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void fs_targets_free(struct fs_targets *t);     /* what t holds; not t */

/* fs_tier_choose for an order on this set, which is not empty, asking the mount; 0, or -1 after saying why. */
int fs_targets_tier(const struct fs_targets *t, const char *given, char *out);

#endif
