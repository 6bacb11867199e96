/* fs_cli_pin.c - hearth pin, hearth unpin: what stays on a tier whatever its heat is. */
#include "fs/fs_cli.h"
#include "fs/fs_cli_answer.h"
#include "fs/fs_cli_model.h"

#include <errno.h>
#include <string.h>

struct fs_pin_args {
	const char *tier;
};

static const struct fs_option fs_pin_table[] = {
	{ "tier", 't', FS_OPTION_TEXT, offsetof(struct fs_pin_args, tier), "TIER",
	  "ram or a cache's name; default: the fastest cache, or ram" },
};

/* Set one argument's files; tier NULL: none. */
static int fs_pin_one(const char *arg, const char *tier, bool pin)
{
	struct fs_targets t = { .n = 0 };
	char name[FS_TIER_NAME] = "none", buf[16];
	size_t done = 0;
	int rc;

	if (fs_targets_add(&t, arg, FS_TARGETS_ITSELF) != 0 || (pin && fs_targets_tier(&t, tier, name) != 0)) {
		fs_targets_free(&t);
		return FS_EXIT_FAILED;
	}
	for (size_t i = 0; i < t.n; i++) {
		rc = fs_cli_set_xattr(t.v[i].path, "user.hearth.pin", name);
		if (rc != 0)
			fprintf(stderr, "hearth: cannot %s '%s': %s\n", pin ? "pin" : "unpin", t.v[i].path, fs_cli_reason(rc));
		else
			done++;
	}
	if (done == t.n && t.v[0].dir)
		printf("%s: %s%s\n", arg, pin ? "what is in it is pinned to " : "no longer pinned", pin ? name : "");
	else if (done == t.n)
		printf("%s: %s%s (%zu file%s, %s)\n", arg, pin ? "pinned to " : "no longer pinned", pin ? name : "", t.n,
		       t.n == 1 ? "" : "s", fs_cli_bytes(t.bytes, buf));
	rc = done == t.n && t.missing == 0 ? FS_EXIT_OK : FS_EXIT_FAILED;
	fs_targets_free(&t);
	return rc;
}

static int fs_pin_all(const struct fs_command *c, int argc, char **argv, bool pin)
{
	struct fs_pin_args a = { .tier = NULL };
	int rc = FS_EXIT_OK;
	char err[256];

	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc == 0)
		return fs_cli_usage(c, "which model?");
	if (a.tier != NULL && !fs_tier_name_ok(a.tier))
		return fs_cli_usage(c, "a tier is ram or the name of a cache");
	for (int i = 0; i < argc; i++)
		if (fs_pin_one(argv[i], a.tier, pin) != FS_EXIT_OK)
			rc = FS_EXIT_FAILED;
	return rc;
}

static int fs_cmd_pin_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	(void)io;
	return fs_pin_all(c, argc, argv, true);
}

static int fs_cmd_unpin_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	(void)io;
	return fs_pin_all(c, argc, argv, false);
}

const struct fs_command fs_cmd_pin = {
	"pin", "pin [--tier TIER] MODEL...", "keep models on a tier, whatever their heat",
	fs_pin_table, sizeof(fs_pin_table) / sizeof(fs_pin_table[0]), fs_cmd_pin_run,
};

const struct fs_command fs_cmd_unpin = {
	"unpin", "unpin MODEL...", "let heat decide again", NULL, 0, fs_cmd_unpin_run,
};
