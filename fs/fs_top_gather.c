#include "fs/fs_cli.h"
#include "fs/fs_manifest.h"
#include "fs/fs_top.h"
#include "tiering/tier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Add one blob's bytes, heat and pin to the model's.  weighed: bytes whose heat is in the mean so far. */
static void fs_top_blob(struct fs_top_model *m, const char *path, uint64_t bytes, uint64_t *weighed)
{
	struct fs_tiers held;
	double mean, max;
	char *text = NULL;

	if (fs_cli_xattr(path, "user.hearth.tier", &text) == 0 && fs_tiers_parse(text, &held) == 0)
		fs_tiers_add(&m->held, &held);
	free(text);
	text = NULL;
	if (fs_cli_xattr(path, "user.hearth.heat", &text) == 0 && fs_heat_parse(text, &mean, &max) == 0) {
		*weighed += bytes;
		m->heat_mean += (mean - m->heat_mean) * ((double)bytes / (double)*weighed);
		m->heat_max = max > m->heat_max ? max : m->heat_max;
	}
	free(text);
	text = NULL;
	if (fs_cli_xattr(path, "user.hearth.pin", &text) == 0 && fs_tier_name_ok(text)) {
		if (m->pin[0] == '\0' || strcmp(m->pin, text) == 0)
			snprintf(m->pin, sizeof(m->pin), "%.*s", FS_TIER_NAME - 1, text);
		else
			strcpy(m->pin, "some");
	}
	free(text);
}

static int fs_top_model(struct fs_top_model *out, const char *dir, const struct fs_model *m)
{
	uint64_t weighed = 0, largest = 0;
	char path[2 * PATH_MAX];

	memset(out, 0, sizeof(*out));
	out->bytes = m->bytes;
	out->name = strdup(m->name);
	if (out->name == NULL)
		return -ENOMEM;
	fs_cli_clean(out->name);
	for (size_t i = 0; i < m->nblobs; i++) {
		const struct fs_blob *b = &m->blobs[i];

		if (b->bytes < TIER_EXTENT_BYTES)
			continue;
		snprintf(path, sizeof(path), "%s/blobs/%s", dir, b->file);
		fs_top_blob(out, path, b->bytes, &weighed);
		if (b->bytes <= largest)
			continue;
		largest = b->bytes;
		free(out->weights);
		out->weights = strdup(b->file);
	}
	return 0;
}

static int fs_top_models(struct fs_top_sample *s, const char *dir)
{
	struct fs_model *models = NULL;
	size_t n = 0;
	int rc;

	rc = fs_manifest_list(dir, &models, &n);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;          /* not in Ollama's layout: there are no models */
	s->model = calloc(n + 1, sizeof(*s->model));
	if (s->model == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = fs_top_model(&s->model[s->nmodels++], dir, &models[i]);
		fs_model_free(&models[i]);
	}
	free(models);
	return rc;
}

struct fs_top_sample *fs_top_gather(const char *dir)
{
	struct fs_top_sample *s = NULL;
	char why[200] = "", *text = NULL;
	struct timespec now;
	size_t len;
	int rc;

	rc = fs_cli_xattr(dir, "user.hearth.stats", &text);
	if (rc == 0)
		rc = fs_top_parse(text, strlen(text), &s, why, sizeof(why));
	free(text);
	if (rc == 0 && fs_cli_hearth_file(dir, "metrics", &text, &len) == 0) {
		fs_top_take_metrics(s, text);
		free(text);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (rc == 0) {
		s->at_ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
		rc = fs_top_models(s, dir);
	}
	if (s == NULL)
		s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	snprintf(s->mount, sizeof(s->mount), "%s", dir);
	fs_cli_clean(s->mount);
	s->now = (int64_t)time(NULL);
	if (rc != 0)
		snprintf(s->trouble, sizeof(s->trouble), "no answer: %s", why[0] != '\0' ? why : fs_cli_reason(rc));
	return s;
}
