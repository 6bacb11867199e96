/* fs_cli_verify.c - hearth verify: compare what lies on home and on caches with the sums it must have. */
#include "fs/fs_cli.h"
#include "fs/fs_cli_answer.h"
#include "fs/fs_cli_model.h"
#include "fs/fs_cli_wait.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct fs_verify_args {
	bool wait, all, stop, json;
};

static const struct fs_option fs_verify_table[] = {
	{ "wait", 'w', FS_OPTION_FLAG, offsetof(struct fs_verify_args, wait), NULL, "return when it is done, 1 if anything is bad" },
	{ "all", 'a', FS_OPTION_FLAG, offsetof(struct fs_verify_args, all), NULL, "every file of at least 1 MiB" },
	{ "stop", 0, FS_OPTION_FLAG, offsetof(struct fs_verify_args, stop), NULL, "stop; a later verify goes on from there" },
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_verify_args, json), NULL, "with --wait: the results as JSON" },
};

static void fs_verify_ask(struct fs_wait *w)
{
	struct fs_verified v = { .state = FS_VERIFIED_NEVER };
	char *text = NULL;
	int rc;

	rc = fs_cli_xattr(w->path, "user.hearth.verified", &text);
	if (rc == 0 && fs_verified_parse(text, &v) != 0)
		rc = -EPROTO;
	free(text);
	if (rc == 0 && v.state == FS_VERIFIED_RUNNING) {
		w->done = v.done;
		w->total = v.total;
		return;
	}
	w->state = rc == 0 && v.state == FS_VERIFIED_OK ? FS_WAIT_DONE : FS_WAIT_FAILED;
	if (rc != 0)
		snprintf(w->text, sizeof(w->text), "%s", rc == -EPROTO ? "the mount's answer is not understood" : fs_cli_reason(rc));
	else if (v.state == FS_VERIFIED_NEVER)
		snprintf(w->text, sizeof(w->text), "stopped before its end");
	else
		snprintf(w->text, sizeof(w->text), "%s%s%s", v.state == FS_VERIFIED_OK ? "ok" : "bad",
			 v.what[0] != '\0' ? " " : "", v.what);
}

/* Start (or stop) each; works that were refused are failed ones.  Returns how many were not. */
static size_t fs_verify_start(const struct fs_targets *t, bool stop, struct fs_wait *w)
{
	size_t on = 0;

	for (size_t i = 0; i < t->n; i++) {
		int rc = fs_cli_set_xattr(t->v[i].path, "user.hearth.verified", stop ? "stop" : "now");

		w[i] = (struct fs_wait){ .path = t->v[i].path, .label = t->v[i].label, .total = t->v[i].bytes };
		if (rc != 0) {
			w[i].state = FS_WAIT_FAILED;
			snprintf(w[i].text, sizeof(w[i].text), "%s", fs_cli_reason(rc));
			fprintf(stderr, "hearth: cannot verify '%s': %s\n", w[i].path, w[i].text);
		}
		on += rc == 0;
	}
	return on;
}

static void fs_verify_print(const struct fs_wait *w, size_t n, bool json)
{
	json_t *all = json ? json_array() : NULL;
	uint64_t bytes = 0;
	size_t good = 0;
	char buf[16];

	for (size_t i = 0; i < n; i++) {
		if (json)
			json_array_append_new(all, json_pack("{s:s, s:b, s:s}", "path", w[i].path, "ok",
							     w[i].state == FS_WAIT_DONE, "text", w[i].text));
		else if (w[i].state == FS_WAIT_FAILED)
			printf("!!   %s: %s\n", w[i].label, w[i].text);
		good += w[i].state == FS_WAIT_DONE;
		bytes += w[i].state == FS_WAIT_DONE ? w[i].total : 0;
	}
	if (json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		json_decref(all);
	} else {
		printf("ok   %zu of %zu file%s, %s", good, n, n == 1 ? "" : "s", fs_cli_bytes(bytes, buf));
	}
	printf("\n");
}

static int fs_verify_do(const struct fs_verify_args *a, const struct fs_targets *t)
{
	struct fs_wait *w = calloc(t->n, sizeof(*w));
	size_t on, failed;
	uint64_t bytes = 0;
	char buf[16];

	if (w == NULL) {
		fprintf(stderr, "hearth: out of memory\n");
		return FS_EXIT_FAILED;
	}
	on = fs_verify_start(t, a->stop, w);
	failed = t->n - on;
	for (size_t i = 0; i < t->n; i++)
		bytes += w[i].state == FS_WAIT_ON ? w[i].total : 0;
	if (a->wait) {
		failed = fs_cli_wait("verify", w, t->n, fs_verify_ask);
		fs_verify_print(w, t->n, a->json);
	} else if (on > 0 && !a->stop) {
		printf("verifying %zu file%s, %s; 'hearth why' tells how it came out\n", on, on == 1 ? "" : "s",
		       fs_cli_bytes(bytes, buf));
	}
	free(w);
	return failed == 0 ? FS_EXIT_OK : FS_EXIT_FAILED;
}

static int fs_verify_targets(const struct fs_verify_args *a, struct fs_targets *t, int argc, char **argv)
{
	char dir[PATH_MAX];

	if (a->all) {
		if (fs_cli_mountpoint(argc == 1 ? argv[0] : NULL, dir) != 0 || fs_targets_add(t, dir, FS_TARGETS_FILES) != 0)
			return FS_EXIT_FAILED;
		return FS_EXIT_OK;
	}
	return fs_targets_add_all(t, argc, argv);
}

static int fs_cmd_verify_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_verify_args a = { .wait = false };
	struct fs_targets t = { .n = 0 };
	char err[256];
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (a.all ? argc > 1 : argc == 0)
		return fs_cli_usage(c, a.all ? "--all takes no models, only a mountpoint" : "which model? or --all");
	if ((a.stop && a.wait) || (a.json && !a.wait))
		return fs_cli_usage(c, a.json ? "--json goes with --wait" : "--stop has nothing to wait for");
	rc = fs_verify_targets(&a, &t, argc, argv);
	if (t.n > 0 && fs_verify_do(&a, &t) != FS_EXIT_OK)
		rc = FS_EXIT_FAILED;
	fs_targets_free(&t);
	return rc;
}

const struct fs_command fs_cmd_verify = {
	"verify", "verify [OPTION...] [MODEL...]", "compare files and copies with their sums",
	fs_verify_table, sizeof(fs_verify_table) / sizeof(fs_verify_table[0]), fs_cmd_verify_run,
};
