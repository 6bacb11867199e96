#include "fs/fs_cli.h"
#include "fs/fs_cli_answer.h"
#include "fs/fs_manifest.h"

#include <ctype.h>
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

/* What is known of one model. */
struct fs_ls_row {
	struct fs_tiers held;           /* by all of its blobs, as the mount says */
	size_t missing;                 /* blobs that are not there */
};

static void fs_ls_ask(const char *store, const struct fs_model *m, struct fs_ls_row *row)
{
	for (size_t i = 0; i < m->nblobs; i++) {
		char path[2 * PATH_MAX], *text = NULL;
		struct fs_tiers one;

		snprintf(path, sizeof(path), "%s/blobs/%s", store, m->blobs[i].file);
		if (fs_cli_xattr(path, "user.hearth.tier", &text) != 0)
			row->missing++;
		else if (fs_tiers_parse(text, &one) == 0)
			fs_tiers_add(&row->held, &one);
		free(text);
	}
}

/* all: the tiers of the mount; each model has a number for each. */
static json_t *fs_ls_json(const struct fs_model *m, const struct fs_ls_row *row, const struct fs_tiers *all)
{
	json_t *tiers = json_object(), *blobs = json_array();

	for (size_t i = 0; i < all->n; i++)
		json_object_set_new(tiers, all->tier[i].name,
				    json_integer((json_int_t)fs_tiers_get(&row->held, all->tier[i].name)));
	for (size_t i = 0; i < m->nblobs; i++)
		json_array_append_new(blobs, json_string(m->blobs[i].file));
	return json_pack("{s:s, s:I, s:o, s:o, s:I}", "name", m->name, "bytes", (json_int_t)m->bytes, "blobs", blobs,
			 "tiers", tiers, "missing", (json_int_t)row->missing);
}

static void fs_ls_print_json(const struct fs_model *models, const struct fs_ls_row *rows, size_t n, const struct fs_tiers *all)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, fs_ls_json(&models[i], &rows[i], all));
	json_dumpf(list, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(list);
}

static void fs_ls_print_head(int width, const struct fs_tiers *all)
{
	printf("%-*s  %8s  %5s", width, "NAME", "SIZE", "BLOBS");
	for (size_t i = 0; i < all->n; i++) {
		char name[FS_TIER_NAME];
		size_t k;

		for (k = 0; all->tier[i].name[k] != '\0'; k++)
			name[k] = (char)toupper((unsigned char)all->tier[i].name[k]);
		name[k] = '\0';
		printf("  %8s", name);
	}
	printf("\n");
}

static void fs_ls_print(const struct fs_model *models, const struct fs_ls_row *rows, size_t n, const struct fs_tiers *all)
{
	int width = 4;

	for (size_t i = 0; i < n; i++)
		if ((int)strlen(models[i].name) > width)
			width = (int)strlen(models[i].name);
	fs_ls_print_head(width, all);
	for (size_t i = 0; i < n; i++) {
		const struct fs_model *m = &models[i];
		char buf[16];

		printf("%-*s  %8s  %5zu", width, m->name, fs_cli_bytes(m->bytes, buf), m->nblobs);
		for (size_t k = 0; k < all->n; k++) {
			int cells = (int)strlen(all->tier[k].name) > 8 ? (int)strlen(all->tier[k].name) : 8;

			printf("  %*s", cells, fs_cli_bytes(fs_tiers_get(&rows[i].held, all->tier[k].name), buf));
		}
		if (rows[i].missing > 0)
			printf("  (%zu blob%s missing)", rows[i].missing, rows[i].missing == 1 ? " is" : "s are");
		printf("\n");
	}
}

/* A row for each model, then the table or the JSON. */
static int fs_ls_show(const char *store, const struct fs_model *models, size_t n, bool json)
{
	struct fs_ls_row *rows = calloc(n + 1, sizeof(*rows));
	struct fs_tiers all = { .n = 0 };

	if (rows == NULL) {
		fprintf(stderr, "hearth: out of memory\n");
		return FS_EXIT_FAILED;
	}
	for (size_t i = 0; i < n; i++) {
		fs_ls_ask(store, &models[i], &rows[i]);
		fs_tiers_add(&all, &rows[i].held);
	}
	if (json)
		fs_ls_print_json(models, rows, n, &all);
	else
		fs_ls_print(models, rows, n, &all);
	free(rows);
	return FS_EXIT_OK;
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
	rc = fs_cli_one_mount(c, argc, argv, dir);
	if (rc != FS_EXIT_OK)
		return rc;
	rc = fs_manifest_list(dir, &models, &n);
	if (rc != 0) {
		fprintf(stderr, "hearth: cannot list '%s/manifests': %s%s\n", dir, strerror(-rc),
			rc == -ENOENT ? "; home is not in Ollama's layout" : "");
		return FS_EXIT_FAILED;
	}
	rc = fs_ls_show(dir, models, n, a.json);
	for (size_t i = 0; i < n; i++)
		fs_model_free(&models[i]);
	free(models);
	return rc;
}

const struct fs_command fs_cmd_ls = {
	"ls", "ls [--json] [MOUNTPOINT]", "models and where their bytes are",
	fs_ls_table, sizeof(fs_ls_table) / sizeof(fs_ls_table[0]), fs_cmd_ls_run,
};
