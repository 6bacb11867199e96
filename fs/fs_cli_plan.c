/* fs_cli_plan.c - hearth plan: what would move next, and why. */
#include "fs/fs_cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct fs_plan_args {
	bool dry_run, json;
};

static const struct fs_option fs_plan_table[] = {
	{ "dry-run", 'n', FS_OPTION_FLAG, offsetof(struct fs_plan_args, dry_run), NULL, "as without it: plan moves nothing" },
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_plan_args, json), NULL, "as JSON" },
};

static int fs_cmd_plan_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_plan_args a = { .json = false };
	char err[256], dir[PATH_MAX], *text = NULL, *save = NULL;
	json_t *lines;
	size_t len;
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	rc = fs_cli_one_mount(c, argc, argv, dir);
	if (rc != FS_EXIT_OK)
		return rc;
	rc = fs_cli_hearth_file(dir, "plan", &text, &len);
	if (rc != 0) {
		fprintf(stderr, "hearth: cannot read '%s/.hearth/plan': %s\n", dir, fs_cli_reason(rc));
		return FS_EXIT_FAILED;
	}
	lines = json_array();
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		if (a.json)
			json_array_append_new(lines, json_string(fs_cli_clean(line)));
		else
			printf("%s\n", fs_cli_clean(line));
	}
	if (a.json) {
		json_dumpf(lines, stdout, JSON_INDENT(2));
		printf("\n");
	}
	json_decref(lines);
	free(text);
	return FS_EXIT_OK;
}

const struct fs_command fs_cmd_plan = {
	"plan", "plan [--dry-run] [--json] [MOUNTPOINT]", "what would move next, and why",
	fs_plan_table, sizeof(fs_plan_table) / sizeof(fs_plan_table[0]), fs_cmd_plan_run,
};
