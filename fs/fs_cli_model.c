#include "fs/fs_cli_model.h"
#include "fs/fs_cli.h"
#include "fs/fs_cli_answer.h"
#include "fs/fs_manifest.h"
#include "fs/fs_mountinfo.h"
#include "tiering/tier.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FS_TARGETS_DEPTH 32             /* as deep as user.hearth.tier of a directory looks */

void fs_targets_free(struct fs_targets *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].path);
	free(t->v);
	memset(t, 0, sizeof(*t));
}

static bool fs_targets_have(const struct fs_targets *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->v[i].path, path) == 0)
			return true;
	return false;
}

/* once: the path is known not to be in the set, which need not be searched. */
static int fs_targets_take(struct fs_targets *t, const char *store, const char *path, const struct stat *st, bool once)
{
	size_t len = strlen(store);
	struct fs_target *one;

	t->files++;
	t->bytes += S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	if (!once && fs_targets_have(t, path))
		return 0;
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 16 : t->cap * 2;
		struct fs_target *grown = realloc(t->v, cap * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		t->v = grown;
		t->cap = cap;
	}
	one = &t->v[t->n];
	one->path = strdup(path);
	if (one->path == NULL)
		return -ENOMEM;
	one->label = one->path;
	if (strncmp(path, store, len) == 0 && path[len] == '/')
		one->label += len + 1;
	one->bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	one->dir = S_ISDIR(st->st_mode);
	t->n++;
	return 0;
}

/* Files below dir.  Links are not followed; what vanishes meanwhile is left out. */
static int fs_targets_walk(struct fs_targets *t, const char *store, const char *dir, bool once, int depth)
{
	char path[PATH_MAX];
	struct dirent *e;
	struct stat st;
	int rc = 0;
	DIR *d;

	d = opendir(dir);
	if (d == NULL)
		return errno == ENOENT ? 0 : -errno;
	for (errno = 0; rc == 0 && (e = readdir(d)) != NULL; errno = 0) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path) || lstat(path, &st) == -1)
			continue;
		if (S_ISDIR(st.st_mode) && depth > 0)
			rc = fs_targets_walk(t, store, path, once, depth - 1);
		else if (S_ISREG(st.st_mode) && st.st_size >= (off_t)TIER_EXTENT_BYTES)
			rc = fs_targets_take(t, store, path, &st, once);
	}
	if (rc == 0)
		rc = -errno;
	closedir(d);
	return rc;
}

static int fs_targets_manifest(struct fs_targets *t, const char *store, const char *rel, char *err, size_t errlen)
{
	char path[2 * PATH_MAX];
	struct fs_model m;
	struct stat st;
	int rc;

	rc = fs_manifest_read(store, rel, &m, err, errlen);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < m.nblobs && rc == 0; i++) {
		snprintf(path, sizeof(path), "%s/blobs/%s", store, m.blobs[i].file);
		rc = stat(path, &st) == 0 ? 0 : -errno;
		if (rc == -ENOENT) {
			fprintf(stderr, "hearth: model '%s': blob '%s' is missing\n", m.name, m.blobs[i].file);
			t->missing++;
			rc = 0;
		} else if (rc != 0) {
			snprintf(err, errlen, "'%s': %s", path, fs_cli_reason(rc));
		} else if (st.st_size >= (off_t)TIER_EXTENT_BYTES) {
			rc = fs_targets_take(t, store, path, &st, false);
		}
	}
	fs_model_free(&m);
	return rc;
}

int fs_targets_add_path(struct fs_targets *t, const char *store, const char *path, enum fs_targets_dirs dirs,
			char *err, size_t errlen)
{
	size_t len = strlen(store);
	struct stat st;
	int rc;

	t->files = 0;
	t->bytes = 0;
	if (stat(path, &st) == -1) {
		rc = -errno;
		snprintf(err, errlen, "'%s': %s", path, fs_cli_reason(rc));
		return rc;
	}
	if (S_ISREG(st.st_mode) && strncmp(path, store, len) == 0 && strncmp(path + len, "/manifests/", 11) == 0)
		return fs_targets_manifest(t, store, path + len + 1, err, errlen);
	if (S_ISDIR(st.st_mode) && dirs == FS_TARGETS_FILES) {
		rc = fs_targets_walk(t, store, path, t->n == 0, FS_TARGETS_DEPTH);
		if (rc != 0)
			snprintf(err, errlen, "cannot list '%s': %s", path, fs_cli_reason(rc));
		return rc;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		snprintf(err, errlen, "'%s' is neither a file nor a directory", path);
		return -EINVAL;
	}
	if (S_ISREG(st.st_mode) && st.st_size < (off_t)TIER_EXTENT_BYTES)
		return 0;
	rc = fs_targets_take(t, store, path, &st, false);
	if (rc != 0)
		snprintf(err, errlen, "out of memory");
	return rc;
}

int fs_targets_add_name(struct fs_targets *t, const char *store, const char *name, char *err, size_t errlen)
{
	char path[2 * PATH_MAX], file[FS_DIGEST_FILE_LEN + 1], rel[PATH_MAX];
	int rc;

	t->files = 0;
	t->bytes = 0;
	if (fs_manifest_digest(name, file)) {
		snprintf(path, sizeof(path), "%s/blobs/%s", store, file);
		return fs_targets_add_path(t, store, path, FS_TARGETS_FILES, err, errlen);
	}
	if (fs_manifest_path(name, rel) != 0) {
		snprintf(err, errlen, "'%s' is neither a path on a hearth mount, nor a digest, nor a model's name", name);
		return -EINVAL;
	}
	rc = fs_targets_manifest(t, store, rel, err, errlen);
	if (rc == -ENOENT)
		snprintf(err, errlen, "no model '%s' on '%s'; 'hearth ls' lists them", name, store);
	return rc;
}

/* Is it a path on a hearth mount?  Then real is the path without links and store the mountpoint. */
static bool fs_targets_mounted(const char *arg, char real[PATH_MAX], char store[PATH_MAX])
{
	struct fs_mount m;

	if (realpath(arg, real) == NULL || fs_mountinfo_of(real, &m) != 0 || strcmp(m.type, FS_MOUNT_TYPE) != 0)
		return false;
	strcpy(store, m.dir);
	return true;
}

/* What cannot be a name is meant as a path. */
static bool fs_targets_like_path(const char *arg)
{
	char file[FS_DIGEST_FILE_LEN + 1], rel[PATH_MAX];

	return !fs_manifest_digest(arg, file) && fs_manifest_path(arg, rel) != 0;
}

int fs_targets_add(struct fs_targets *t, const char *arg, enum fs_targets_dirs dirs)
{
	char real[PATH_MAX], store[PATH_MAX], err[2 * PATH_MAX + 256] = "";
	size_t missing = t->missing;
	int rc;

	if (fs_targets_mounted(arg, real, store)) {
		rc = fs_targets_add_path(t, store, real, dirs, err, sizeof(err));
	} else if (fs_targets_like_path(arg)) {
		fprintf(stderr, "hearth: '%s' %s\n", arg, access(arg, F_OK) == 0 ? "is not on a hearth mount" :
			"is neither a path on a hearth mount, nor a digest, nor a model's name");
		return -1;
	} else {
		if (fs_cli_mountpoint(NULL, store) != 0)
			return -1;
		rc = fs_targets_add_name(t, store, arg, err, sizeof(err));
	}
	if (rc != 0) {
		fprintf(stderr, "hearth: %s\n", err[0] != '\0' ? err : strerror(-rc));
		return -1;
	}
	if (t->files == 0 && t->missing == missing)
		fprintf(stderr, "hearth: '%s' has no file of 1 MiB or more, and smaller ones are not tiered\n", arg);
	return t->files > 0 ? 0 : -1;
}

int fs_targets_tier(const struct fs_targets *t, const char *given, char *out)
{
	struct fs_tiers tiers = { .n = 0 };
	char err[256], *text = NULL;
	int rc;

	rc = fs_cli_xattr(t->v[0].path, "user.hearth.tier", &text);
	if (rc == 0)
		rc = fs_tiers_parse(text, &tiers);
	free(text);
	if (rc != 0) {
		fprintf(stderr, "hearth: cannot ask '%s' for its tiers: %s\n", t->v[0].path, fs_cli_reason(rc));
		return -1;
	}
	rc = fs_tier_choose(&tiers, given, out, err, sizeof(err));
	if (rc != 0)
		fprintf(stderr, "hearth: %s\n", err);
	return rc == 0 ? 0 : -1;
}

int fs_targets_add_all(struct fs_targets *t, int argc, char **argv)
{
	int rc = FS_EXIT_OK;

	for (int i = 0; i < argc; i++)
		if (fs_targets_add(t, argv[i], FS_TARGETS_FILES) != 0)
			rc = FS_EXIT_FAILED;
	return t->missing > 0 ? FS_EXIT_FAILED : rc;
}
