#include "fs/fs_cli.h"

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

static void fs_status_print(const json_t *s, const char *tiers)
{
	const json_t *space = json_object_get(s, "home_space"), *counters = json_object_get(s, "counters");
	bool native = json_is_true(json_object_get(s, "native"));
	char a[16], b[16], c[16];
	uint64_t held[2] = { 0, 0 };

	fs_cli_parse_tiers(tiers, held);
	printf("mount    %s (hearth %s, process %llu)\n", fs_status_text(s, "mountpoint"), fs_status_text(s, "version"),
	       (unsigned long long)fs_status_number(s, "pid"));
	printf("home     %s: %s of models, %s free of %s\n", fs_status_text(s, "home"), fs_cli_bytes(held[1], a),
	       fs_cli_bytes(fs_status_number(space, "available"), b), fs_cli_bytes(fs_status_number(space, "bytes"), c));
	printf("ram      %s of them in the page cache\n", fs_cli_bytes(held[0], a));
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
	if (argc > 1)
		return fs_cli_usage(c, "one mount at a time");
	if (fs_cli_mountpoint(argc == 1 ? argv[0] : NULL, dir) != 0)
		return FS_EXIT_FAILED;
	rc = fs_cli_xattr(dir, "user.hearth.stats", &text);
	if (rc == 0 && !a.json)
		rc = fs_cli_xattr(dir, "user.hearth.tier", &tiers);
	if (rc != 0) {
		fprintf(stderr, "hearth: cannot ask '%s': %s\n", dir,
			rc == -ENOTCONN ? "its daemon is dead; mount it again" : strerror(-rc));
		free(text);
		return FS_EXIT_FAILED;
	}
	if (a.json) {
		printf("%s\n", text);
	} else {
		stats = json_loads(text, 0, NULL);
		fs_status_print(stats, tiers);
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
