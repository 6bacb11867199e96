#include "fs/fs_cli.h"
#include "fs/fs_cli_answer.h"
#include "fs/fs_top.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct fs_status_args {
	bool json;
};

static const struct fs_option fs_status_table[] = {
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_status_args, json), NULL, "the whole state as JSON" },
};

static const char *fs_status_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static uint64_t fs_status_number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* Bytes of home's files on a tier, and what the daemon says of the tier itself. */
static void fs_status_tier(const struct fs_tier_bytes *held, const struct fs_top_sample *t)
{
	bool ram = strcmp(held->name, "ram") == 0;
	const struct fs_top_tier *one = NULL;
	char a[16], b[16];

	for (size_t i = 0; t != NULL && i < t->ntiers; i++)
		if (strcmp(t->tier[i].name, held->name) == 0)
			one = &t->tier[i];
	printf("%-8s %s of them%s", held->name, fs_cli_bytes(held->bytes, a), ram ? " in the page cache" : "");
	if (one != NULL && one->limit > 0)
		printf("; %s of %s %s", fs_cli_bytes(one->used, a), fs_cli_bytes(one->limit, b), ram ? "held" : "used");
	if (one != NULL && one->locked > 0)
		printf(", %s locked", fs_cli_bytes(one->locked, a));
	if (one != NULL && one->pinned > 0)
		printf(", %s pinned", fs_cli_bytes(one->pinned, a));
	if (one != NULL && one->state[0] != '\0' && strcmp(one->state, "ok") != 0)
		printf(", %s%s%s", one->state, one->reason[0] != '\0' ? ": " : "", one->reason);
	printf("\n");
}

static void fs_status_tiers(const char *tiers, const char *stats)
{
	struct fs_top_sample *t = NULL;
	struct fs_tiers held = { .n = 0 };
	char err[256], buf[16];
	uint64_t left = 0;

	if (fs_tiers_parse(tiers, &held) != 0 || fs_top_parse(stats, strlen(stats), &t, err, sizeof(err)) != 0)
		return;
	for (size_t i = 0; i < held.n; i++)
		if (strcmp(held.tier[i].name, "home") != 0)
			fs_status_tier(&held.tier[i], t);
	for (size_t i = 0; i < t->nmoves; i++)
		left += t->move[i].total - t->move[i].done;
	if (t->nmoves > 0)
		printf("moves    %zu under way, %s still to be copied\n", t->nmoves + t->moves_more, fs_cli_bytes(left, buf));
	fs_top_sample_free(t);
}

static void fs_status_print(const json_t *s, const char *stats, const char *tiers)
{
	const json_t *space = json_object_get(s, "home_space"), *counters = json_object_get(s, "counters");
	bool native = json_is_true(json_object_get(s, "native"));
	struct fs_tiers held = { .n = 0 };
	char a[16], b[16], c[16];

	(void)!fs_tiers_parse(tiers, &held);
	printf("mount    %s (hearth %s, process %llu)\n", fs_status_text(s, "mountpoint"), fs_status_text(s, "version"),
	       (unsigned long long)fs_status_number(s, "pid"));
	printf("home     %s: %s of models, %s free of %s\n", fs_status_text(s, "home"),
	       fs_cli_bytes(fs_tiers_get(&held, "home"), a), fs_cli_bytes(fs_status_number(space, "available"), b),
	       fs_cli_bytes(fs_status_number(space, "bytes"), c));
	fs_status_tiers(tiers, stats);
	printf("native   %s%s%s\n", native ? "yes" : "no", native ? "" : ": ", native ? "" : fs_status_text(s, "native_refused"));
	printf("open     %llu files; %llu native and %llu cached opens so far\n",
	       (unsigned long long)fs_status_number(s, "open_files"),
	       (unsigned long long)fs_status_number(counters, "opens_native"),
	       (unsigned long long)fs_status_number(counters, "opens_cached"));
	printf("served   %s read and %s written by the daemon itself\n",
	       fs_cli_bytes(fs_status_number(counters, "read_bytes"), a),
	       fs_cli_bytes(fs_status_number(counters, "write_bytes"), b));
	printf("errors   %llu I/O errors, %llu failures to make data durable\n",
	       (unsigned long long)fs_status_number(counters, "io_errors"),
	       (unsigned long long)fs_status_number(counters, "sync_errors"));
}

static int fs_cmd_status_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_status_args a = { .json = false };
	char err[256], dir[PATH_MAX], *text = NULL, *tiers = NULL;
	json_t *stats;
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	rc = fs_cli_one_mount(c, argc, argv, dir);
	if (rc != FS_EXIT_OK)
		return rc;
	rc = fs_cli_xattr(dir, "user.hearth.stats", &text);
	if (rc == 0 && !a.json)
		rc = fs_cli_xattr(dir, "user.hearth.tier", &tiers);
	if (rc != 0) {
		fprintf(stderr, "hearth: cannot ask '%s': %s\n", dir,
			fs_cli_reason(rc));
		free(text);
		return FS_EXIT_FAILED;
	}
	if (a.json) {
		printf("%s\n", text);
	} else {
		stats = json_loads(text, 0, NULL);
		fs_status_print(stats, text, tiers);
		json_decref(stats);
	}
	free(text);
	free(tiers);
	return FS_EXIT_OK;
}

const struct fs_command fs_cmd_status = {
	"status", "status [--json] [MOUNTPOINT]", "what the mount is and does",
	fs_status_table, sizeof(fs_status_table) / sizeof(fs_status_table[0]), fs_cmd_status_run,
};
