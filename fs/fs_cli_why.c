/* fs_cli_why.c - hearth why: where a file's bytes are, how hot it is, and what decided that. */
#include "fs/fs_cli.h"
#include "fs/fs_cli_answer.h"
#include "fs/fs_cli_model.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct fs_why_args {
	bool json;
};

static const struct fs_option fs_why_table[] = {
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_why_args, json), NULL, "as JSON" },
};

/* What is asked of each file. */
enum { FS_WHY_TIER, FS_WHY_HEAT, FS_WHY_PIN, FS_WHY_VERIFIED, FS_WHY_WHY, FS_WHY_COUNT };
static const char *const fs_why_names[FS_WHY_COUNT] = { "tier", "heat", "pin", "verified", "why" };

/* Answers, owned, NULL where the mount has none.  0, or what reading the first said: then there are none. */
static int fs_why_ask(const char *path, char *answer[FS_WHY_COUNT])
{
	for (int i = 0; i < FS_WHY_COUNT; i++) {
		char name[64];
		int rc;

		answer[i] = NULL;
		snprintf(name, sizeof(name), "user.hearth.%s", fs_why_names[i]);
		rc = fs_cli_xattr(path, name, &answer[i]);
		if (rc != 0 && i == 0)
			return rc;
		if (rc != 0)
			answer[i] = NULL;
	}
	return 0;
}

static json_t *fs_why_lines(char *text)
{
	json_t *lines = json_array();
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		json_array_append_new(lines, json_string(fs_cli_clean(line)));
	return lines;
}

static json_t *fs_why_json(const struct fs_target *t, char *answer[FS_WHY_COUNT])
{
	json_t *o = json_object(), *tiers = json_object();
	struct fs_tiers held = { .n = 0 };
	double mean, max;

	json_object_set_new(o, "path", json_string(t->path));
	json_object_set_new(o, "bytes", json_integer((json_int_t)t->bytes));
	if (answer[FS_WHY_TIER] != NULL && fs_tiers_parse(answer[FS_WHY_TIER], &held) == 0)
		for (size_t i = 0; i < held.n; i++)
			json_object_set_new(tiers, held.tier[i].name, json_integer((json_int_t)held.tier[i].bytes));
	json_object_set_new(o, "tiers", tiers);
	if (answer[FS_WHY_HEAT] != NULL && fs_heat_parse(answer[FS_WHY_HEAT], &mean, &max) == 0)
		json_object_set_new(o, "heat", json_pack("{s:f, s:f}", "mean", mean, "max", max));
	for (int i = FS_WHY_PIN; i <= FS_WHY_VERIFIED; i++)
		if (answer[i] != NULL)
			json_object_set_new(o, fs_why_names[i], json_string(fs_cli_clean(answer[i])));
	json_object_set_new(o, "why", answer[FS_WHY_WHY] != NULL ? fs_why_lines(answer[FS_WHY_WHY]) : json_array());
	return o;
}

static void fs_why_print_tiers(const char *text, uint64_t bytes)
{
	struct fs_tiers held = { .n = 0 };
	char buf[16];

	if (fs_tiers_parse(text, &held) != 0)
		return;
	printf("  tier      ");
	for (size_t i = 0; i < held.n; i++)
		printf("%s%s %s%s", i > 0 ? ", " : "", held.tier[i].name, fs_cli_bytes(held.tier[i].bytes, buf),
		       bytes > 0 && held.tier[i].bytes >= bytes ? " (whole)" : "");
	printf("\n");
}

static void fs_why_print(const struct fs_target *t, char *answer[FS_WHY_COUNT])
{
	char buf[16], *save = NULL;
	double mean, max;

	printf("%s (%s)\n", fs_cli_clean(t->path), fs_cli_bytes(t->bytes, buf));
	fs_why_print_tiers(answer[FS_WHY_TIER], t->bytes);
	if (answer[FS_WHY_HEAT] != NULL && fs_heat_parse(answer[FS_WHY_HEAT], &mean, &max) == 0)
		printf("  heat      mean %.3f, max %.3f\n", mean, max);
	for (int i = FS_WHY_PIN; i <= FS_WHY_VERIFIED; i++)
		if (answer[i] != NULL)
			printf("  %-9s %s\n", fs_why_names[i], fs_cli_clean(answer[i]));
	if (answer[FS_WHY_WHY] == NULL)
		return;
	for (char *line = strtok_r(answer[FS_WHY_WHY], "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		printf("  why       %s\n", fs_cli_clean(line));
}

/* all: where JSON goes, or NULL to print lines. */
static int fs_why_one(const struct fs_target *t, json_t *all)
{
	char *answer[FS_WHY_COUNT];
	int rc;

	rc = fs_why_ask(t->path, answer);
	if (rc != 0) {
		fprintf(stderr, "hearth: cannot ask '%s': %s\n", t->path, fs_cli_reason(rc));
		return FS_EXIT_FAILED;
	}
	if (all != NULL)
		json_array_append_new(all, fs_why_json(t, answer));
	else
		fs_why_print(t, answer);
	for (int i = 0; i < FS_WHY_COUNT; i++)
		free(answer[i]);
	return FS_EXIT_OK;
}

static int fs_cmd_why_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_why_args a = { .json = false };
	struct fs_targets t = { .n = 0 };
	json_t *all = NULL;
	char err[256];
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc != 1)
		return fs_cli_usage(c, argc == 0 ? "which model?" : "one model at a time");
	if (fs_targets_add(&t, argv[0], FS_TARGETS_FILES) != 0) {
		fs_targets_free(&t);
		return FS_EXIT_FAILED;
	}
	rc = t.missing > 0 ? FS_EXIT_FAILED : FS_EXIT_OK;
	if (a.json)
		all = json_array();
	for (size_t i = 0; i < t.n; i++)
		if (fs_why_one(&t.v[i], all) != FS_EXIT_OK)
			rc = FS_EXIT_FAILED;
	if (a.json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(all);
	}
	fs_targets_free(&t);
	return rc;
}

const struct fs_command fs_cmd_why = {
	"why", "why [--json] MODEL", "where a model's bytes are, and what decided it",
	fs_why_table, sizeof(fs_why_table) / sizeof(fs_why_table[0]), fs_cmd_why_run,
};
