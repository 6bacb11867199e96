#include "fs/fs_cli.h"
#include "fs/fs_manifest.h"
#include "tiering/tier.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct fs_ls_args {
	bool json;
};

static const struct fs_option fs_ls_table[] = {
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_ls_args, json), NULL, "as JSON" },
};

/* Bytes of all blobs of a model on each tier, as the mount says.  missing: blobs that are not there. */
static void fs_ls_tiers(const char *store, const struct fs_model *m, uint64_t bytes[TIER_COUNT], size_t *missing)
{
	memset(bytes, 0, TIER_COUNT * sizeof(*bytes));
	*missing = 0;
	for (size_t i = 0; i < m->nblobs; i++) {
		char path[2 * PATH_MAX], *text;
		uint64_t one[TIER_COUNT] = { 0 };

		snprintf(path, sizeof(path), "%s/blobs/%s", store, m->blobs[i].file);
		if (fs_cli_xattr(path, "user.hearth.tier", &text) != 0) {
			(*missing)++;
			continue;
		}
		fs_cli_parse_tiers(text, one);
		free(text);
		for (int id = 0; id < TIER_COUNT; id++)
			bytes[id] += one[id];
	}
}

static json_t *fs_ls_json(const char *store, const struct fs_model *m)
{
	uint64_t bytes[TIER_COUNT];
	json_t *tiers = json_object(), *blobs = json_array();
	size_t missing;

	fs_ls_tiers(store, m, bytes, &missing);
	for (int id = 0; id < TIER_COUNT; id++)
		json_object_set_new(tiers, tier_name(id), json_integer((json_int_t)bytes[id]));
	for (size_t i = 0; i < m->nblobs; i++)
		json_array_append_new(blobs, json_string(m->blobs[i].file));
	return json_pack("{s:s, s:I, s:o, s:o, s:I}", "name", m->name, "bytes", (json_int_t)m->bytes, "blobs", blobs,
			 "tiers", tiers, "missing", (json_int_t)missing);
}

static void fs_ls_print_json(const char *store, const struct fs_model *models, size_t n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, fs_ls_json(store, &models[i]));
	json_dumpf(all, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(all);
}

static void fs_ls_print(const char *store, const struct fs_model *models, size_t n)
{
	int width = 4;

	for (size_t i = 0; i < n; i++)
		if ((int)strlen(models[i].name) > width)
			width = (int)strlen(models[i].name);
	printf("%-*s  %8s  %5s", width, "NAME", "SIZE", "BLOBS");
	for (int id = 0; id < TIER_COUNT; id++)
		printf("  %8s", id == TIER_RAM ? "RAM" : "HOME");
	printf("\n");
	for (size_t i = 0; i < n; i++) {
		const struct fs_model *m = &models[i];
		uint64_t bytes[TIER_COUNT];
		size_t missing;
		char buf[16];

		fs_ls_tiers(store, m, bytes, &missing);
		printf("%-*s  %8s  %5zu", width, m->name, fs_cli_bytes(m->bytes, buf), m->nblobs);
		for (int id = 0; id < TIER_COUNT; id++)
			printf("  %8s", fs_cli_bytes(bytes[id], buf));
		if (missing > 0)
			printf("  (%zu blobs are missing)", missing);
		printf("\n");
	}
}

static int fs_cmd_ls_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_ls_args a = { .json = false };
	char err[256], dir[PATH_MAX];
	struct fs_model *models = NULL;
	size_t n = 0;
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc > 1)
		return fs_cli_usage(c, "one mount at a time");
	if (fs_cli_mountpoint(argc == 1 ? argv[0] : NULL, dir) != 0)
		return FS_EXIT_FAILED;
	rc = fs_manifest_list(dir, &models, &n);
	if (rc != 0) {
		fprintf(stderr, "hearth: cannot list '%s/manifests': %s%s\n", dir, strerror(-rc),
			rc == -ENOENT ? "; home is not in Ollama's layout" : "");
		return FS_EXIT_FAILED;
	}
	if (a.json)
		fs_ls_print_json(dir, models, n);
	else
		fs_ls_print(dir, models, n);
	for (size_t i = 0; i < n; i++)
		fs_model_free(&models[i]);
	free(models);
	return FS_EXIT_OK;
}

const struct fs_command fs_cmd_ls = {
	"ls", "ls [--json] [MOUNTPOINT]", "models and where their bytes are",
	fs_ls_table, sizeof(fs_ls_table) / sizeof(fs_ls_table[0]), fs_cmd_ls_run,
};
