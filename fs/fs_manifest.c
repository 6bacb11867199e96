#include "fs/fs_manifest.h"
#include "tiering/log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FS_MANIFEST_DEPTH 4             /* host, namespace, model, tag */
#define FS_MANIFEST_BYTES (4u << 20)    /* a larger file is no manifest */
#define FS_DEFAULT_HOST "registry.ollama.ai"
#define FS_DEFAULT_NAMESPACE "library"
#define FS_DEFAULT_TAG "latest"

void fs_model_free(struct fs_model *m)
{
	free(m->blobs);
	m->blobs = NULL;
}

/* One component: letters, digits, and - _ . inside; a colon in a host (its port). */
static bool fs_manifest_part_ok(const char *s, size_t len, bool host)
{
	if (len == 0 || len > 350 || !(isalnum((unsigned char)s[0]) || s[0] == '_'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && strchr("-_.", s[i]) == NULL && !(host && s[i] == ':'))
			return false;
	return true;
}

int fs_manifest_path(const char *name, char out[PATH_MAX])
{
	const char *part[3] = { name };         /* host / namespace / model, those that are given */
	const char *slash = strrchr(name, '/'), *colon = strchr(slash != NULL ? slash : name, ':');
	const char *end = colon != NULL ? colon : name + strlen(name), *p;
	const char *tag = colon != NULL ? colon + 1 : FS_DEFAULT_TAG;
	size_t len[3], n = 1;

	for (p = name; p < end; p++) {
		if (*p != '/')
			continue;
		if (n == 3)
			return -EINVAL;
		len[n - 1] = (size_t)(p - part[n - 1]);
		part[n++] = p + 1;
	}
	len[n - 1] = (size_t)(end - part[n - 1]);
	for (size_t i = 0; i < n; i++)
		if (!fs_manifest_part_ok(part[i], len[i], n == 3 && i == 0))
			return -EINVAL;
	if (!fs_manifest_part_ok(tag, strlen(tag), false))
		return -EINVAL;
	snprintf(out, PATH_MAX, "manifests/%.*s/%.*s/%.*s/%s",
		 n == 3 ? (int)len[0] : (int)strlen(FS_DEFAULT_HOST), n == 3 ? part[0] : FS_DEFAULT_HOST,
		 n >= 2 ? (int)len[n - 2] : (int)strlen(FS_DEFAULT_NAMESPACE), n >= 2 ? part[n - 2] : FS_DEFAULT_NAMESPACE,
		 (int)len[n - 1], part[n - 1], tag);
	return 0;
}

bool fs_manifest_digest(const char *digest, char out[FS_DIGEST_FILE_LEN + 1])
{
	if (strlen(digest) != FS_DIGEST_FILE_LEN || strncmp(digest, "sha256", 6) != 0 ||
	    (digest[6] != ':' && digest[6] != '-'))
		return false;
	for (const char *p = digest + 7; *p != '\0'; p++)
		if (!isxdigit((unsigned char)*p))
			return false;
	memcpy(out, digest, FS_DIGEST_FILE_LEN + 1);
	out[6] = '-';
	return true;
}

/* "manifests/registry.ollama.ai/library/llama3.2/1b" as "llama3.2:1b". */
static void fs_manifest_name(const char *path, char *out, size_t cap)
{
	char copy[PATH_MAX], *part[FS_MANIFEST_DEPTH + 1] = { NULL }, *save = NULL;
	bool host, namespace;

	snprintf(copy, sizeof(copy), "%s", path);
	for (int i = 0; i <= FS_MANIFEST_DEPTH; i++)
		part[i] = strtok_r(i == 0 ? copy : NULL, "/", &save);
	if (part[FS_MANIFEST_DEPTH] == NULL) {
		snprintf(out, cap, "%s", path);
		return;
	}
	host = strcmp(part[1], FS_DEFAULT_HOST) != 0;
	namespace = host || strcmp(part[2], FS_DEFAULT_NAMESPACE) != 0;
	snprintf(out, cap, "%s%s%s%s%s:%s", host ? part[1] : "", host ? "/" : "", namespace ? part[2] : "",
		 namespace ? "/" : "", part[3], part[4]);
}

static int fs_manifest_blob(const json_t *layer, struct fs_blob *b, const char **why)
{
	const char *digest = json_string_value(json_object_get(layer, "digest"));
	const char *type = json_string_value(json_object_get(layer, "mediaType"));
	const json_t *size = json_object_get(layer, "size");

	if (digest == NULL || !fs_manifest_digest(digest, b->file)) {
		*why = "a layer without a sha256 digest";
		return -EINVAL;
	}
	if (!json_is_integer(size) || json_integer_value(size) < 0) {
		*why = "a layer without a size";
		return -EINVAL;
	}
	b->bytes = (uint64_t)json_integer_value(size);
	b->weights = type != NULL && strcmp(type, "application/vnd.ollama.image.model") == 0;
	return 0;
}

static int fs_manifest_fill(const json_t *root, struct fs_model *m, const char **why)
{
	const json_t *config = json_object_get(root, "config"), *layers = json_object_get(root, "layers");
	size_t n = json_array_size(layers);
	int rc = 0;

	if (!json_is_object(root) || !json_is_array(layers)) {
		*why = "no array 'layers'";
		return -EINVAL;
	}
	m->blobs = calloc(n + 1, sizeof(*m->blobs));
	if (m->blobs == NULL) {
		*why = "out of memory";
		return -ENOMEM;
	}
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = fs_manifest_blob(json_array_get(layers, i), &m->blobs[m->nblobs++], why);
	if (rc == 0 && json_is_object(config))
		rc = fs_manifest_blob(config, &m->blobs[m->nblobs++], why);
	for (size_t i = 0; i < m->nblobs; i++)
		m->bytes += m->blobs[i].bytes;
	if (rc != 0)
		fs_model_free(m);
	return rc;
}

/* A small file, whole. */
static int fs_manifest_load(const char *store, const char *path, char **out, size_t *len)
{
	char full[2 * PATH_MAX];
	struct stat st;
	char *text = NULL;
	ssize_t n;
	int fd, rc = 0;

	snprintf(full, sizeof(full), "%s/%s", store, path);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1)
		return -errno;
	if (fstat(fd, &st) == -1)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FS_MANIFEST_BYTES)
		rc = -EINVAL;
	else if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		rc = -ENOMEM;
	*len = 0;
	while (rc == 0 && *len < (size_t)st.st_size) {
		n = read(fd, text + *len, (size_t)st.st_size - *len);
		if (n == -1)
			rc = -errno;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	close(fd);
	if (rc != 0) {
		free(text);
		return rc;
	}
	*out = text;
	return 0;
}

int fs_manifest_parse(const char *text, size_t len, const char *path, struct fs_model *out, char *err, size_t errlen)
{
	struct fs_model m = { .nblobs = 0 };
	const char *why = "";
	json_error_t error;
	json_t *root;
	int rc;

	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL) {
		snprintf(err, errlen, "'%s' is no manifest: line %d: %s", path, error.line, error.text);
		return -EINVAL;
	}
	rc = fs_manifest_fill(root, &m, &why);
	json_decref(root);
	if (rc != 0) {
		snprintf(err, errlen, "'%s' is no manifest: %s", path, why);
		return rc;
	}
	snprintf(m.path, sizeof(m.path), "%s", path);
	fs_manifest_name(path, m.name, sizeof(m.name));
	*out = m;
	return 0;
}

int fs_manifest_read(const char *store, const char *path, struct fs_model *out, char *err, size_t errlen)
{
	size_t len = 0;
	char *text = NULL;
	int rc;

	rc = fs_manifest_load(store, path, &text, &len);
	if (rc != 0) {
		snprintf(err, errlen, "cannot read '%s': %s", path, strerror(-rc));
		return rc;
	}
	rc = fs_manifest_parse(text, len, path, out, err, errlen);
	free(text);
	return rc;
}

struct fs_manifest_walk {
	const char *store;
	struct fs_model *models;
	size_t n, cap;
};

static int fs_manifest_take(struct fs_manifest_walk *w, const char *path)
{
	char err[512];
	int rc;

	if (w->n == w->cap) {
		size_t cap = w->cap == 0 ? 16 : w->cap * 2;
		struct fs_model *grown = realloc(w->models, cap * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		w->models = grown;
		w->cap = cap;
	}
	rc = fs_manifest_read(w->store, path, &w->models[w->n], err, sizeof(err));
	if (rc == 0)
		w->n++;
	else
		log_warn("%s", err);
	return rc == -ENOMEM ? rc : 0;
}

/* Depth 0 is manifests/ itself; files at depth FS_MANIFEST_DEPTH are manifests. */
static int fs_manifest_descend(struct fs_manifest_walk *w, const char *path, int depth)
{
	char full[2 * PATH_MAX], child[PATH_MAX];
	struct dirent *e;
	int rc = 0;
	DIR *dir;

	snprintf(full, sizeof(full), "%s/%s", w->store, path);
	dir = opendir(full);
	if (dir == NULL)
		return errno == ENOTDIR && depth > 0 ? 0 : -errno;
	for (errno = 0; rc == 0 && (e = readdir(dir)) != NULL; errno = 0) {
		if (e->d_name[0] == '.')
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, e->d_name) >= (int)sizeof(child))
			continue;
		rc = depth + 1 == FS_MANIFEST_DEPTH ? fs_manifest_take(w, child) : fs_manifest_descend(w, child, depth + 1);
	}
	if (rc == 0)
		rc = -errno;
	closedir(dir);
	return rc;
}

static int fs_manifest_by_name(const void *a, const void *b)
{
	return strcmp(((const struct fs_model *)a)->name, ((const struct fs_model *)b)->name);
}

int fs_manifest_list(const char *store, struct fs_model **out, size_t *n)
{
	struct fs_manifest_walk w = { .store = store };
	int rc;

	rc = fs_manifest_descend(&w, "manifests", 0);
	if (rc != 0) {
		for (size_t i = 0; i < w.n; i++)
			fs_model_free(&w.models[i]);
		free(w.models);
		return rc;
	}
	if (w.n > 0)
		qsort(w.models, w.n, sizeof(*w.models), fs_manifest_by_name);
	*out = w.models;
	*n = w.n;
	return 0;
}
