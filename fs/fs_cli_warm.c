/* fs_cli_warm.c - hearth warm, hearth cool: bring models to a tier now, or give up what they hold above home. */
#include "fs/fs_cli.h"
#include "fs/fs_cli_answer.h"
#include "fs/fs_cli_model.h"
#include "fs/fs_cli_wait.h"
#include "fs/fs_top.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct fs_warm_args {
	const char *tier;
	bool wait, dry_run, json;
};

static const struct fs_option fs_warm_table[] = {
	{ "tier", 't', FS_OPTION_TEXT, offsetof(struct fs_warm_args, tier), "TIER",
	  "ram or a cache's name; default: the fastest cache, or ram" },
	{ "wait", 'w', FS_OPTION_FLAG, offsetof(struct fs_warm_args, wait), NULL, "return when they are there" },
	{ "dry-run", 'n', FS_OPTION_FLAG, offsetof(struct fs_warm_args, dry_run), NULL, "only say what would be read, and to where" },
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_warm_args, json), NULL, "with --dry-run: as JSON" },
};

/* Bytes of a file by tier, as the mount says; 0, or negative errno. */
static int fs_warm_held(const char *path, struct fs_tiers *held)
{
	char *text = NULL;
	int rc;

	rc = fs_cli_xattr(path, "user.hearth.tier", &text);
	if (rc == 0)
		rc = fs_tiers_parse(text, held);
	free(text);
	return rc;
}

/* ---- what would be done ---- */

struct fs_warm_plan {
	const char *tier, *from;        /* from: the fastest other tier that holds all of it, or home */
	uint64_t held, missing;         /* bytes on the tier, and still to be read */
};

static void fs_warm_plan_file(const struct fs_tiers *held, uint64_t bytes, const char *tier, struct fs_warm_plan *p)
{
	p->tier = tier;
	p->from = "home";
	p->held = fs_tiers_get(held, tier);
	if (p->held > bytes)            /* whole pages of the last extent */
		p->held = bytes;
	p->missing = bytes - p->held;
	for (size_t i = held->n; i > 0; i--)
		if (strcmp(held->tier[i - 1].name, tier) != 0 && strcmp(held->tier[i - 1].name, "ram") != 0 &&
		    held->tier[i - 1].bytes >= bytes)
			p->from = held->tier[i - 1].name;
}

/* Room on a tier, as the mount's state says: false where it does not. */
static bool fs_warm_room(const char *path, const char *label, const char *tier, uint64_t *room, uint64_t *limit)
{
	char root[PATH_MAX], err[256], *text = NULL;
	struct fs_top_sample *s = NULL;
	bool found = false;

	snprintf(root, sizeof(root), "%.*s", label > path ? (int)(label - path - 1) : 0, path);
	if (fs_cli_xattr(root, "user.hearth.stats", &text) == 0 &&
	    fs_top_parse(text, strlen(text), &s, err, sizeof(err)) == 0) {
		for (size_t i = 0; i < s->ntiers && !found; i++) {
			if (strcmp(s->tier[i].name, tier) != 0 || s->tier[i].limit == 0)
				continue;
			*limit = s->tier[i].limit;
			*room = s->tier[i].used < *limit ? *limit - s->tier[i].used : 0;
			found = true;
		}
	}
	fs_top_sample_free(s);
	free(text);
	return found;
}

static void fs_warm_print_plan(const struct fs_target *t, const struct fs_warm_plan *p)
{
	char a[16], b[16];

	if (p->missing == 0)
		printf("%s: all %s are on %s\n", t->label, fs_cli_bytes(t->bytes, a), p->tier);
	else
		printf("%s: read %s of %s from %s to %s\n", t->label, fs_cli_bytes(p->missing, a), fs_cli_bytes(t->bytes, b),
		       p->from, p->tier);
}

static int fs_warm_dry_run(const struct fs_targets *t, const char *tier, bool json)
{
	json_t *files = json ? json_array() : NULL;
	uint64_t missing = 0, room = 0, limit = 0;
	char a[16], b[16], c[16];
	int rc = FS_EXIT_OK;

	for (size_t i = 0; i < t->n; i++) {
		struct fs_tiers held = { .n = 0 };
		struct fs_warm_plan p;
		int got;

		got = fs_warm_held(t->v[i].path, &held);
		if (got != 0) {
			fprintf(stderr, "hearth: cannot ask '%s': %s\n", t->v[i].path, fs_cli_reason(got));
			rc = FS_EXIT_FAILED;
			continue;
		}
		fs_warm_plan_file(&held, t->v[i].bytes, tier, &p);
		missing += p.missing;
		if (json)
			json_array_append_new(files, json_pack("{s:s, s:I, s:I, s:s, s:s}", "path", t->v[i].path, "bytes",
				(json_int_t)t->v[i].bytes, "read", (json_int_t)p.missing, "from", p.from, "to", tier));
		else
			fs_warm_print_plan(&t->v[i], &p);
	}
	if (json) {
		json_dumpf(files, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(files);
		return rc;
	}
	printf("in all: read %s to %s", fs_cli_bytes(missing, a), tier);
	if (fs_warm_room(t->v[0].path, t->v[0].label, tier, &room, &limit))
		printf(", where %s of %s are free%s", fs_cli_bytes(room, b), fs_cli_bytes(limit, c),
		       missing > limit ? ": it does not fit" : missing > room ? ": what is coldest there goes" : "");
	printf("\n");
	return rc;
}

/* ---- doing it ---- */

/* The daemon says idle when it is done with an order: then the bytes are there or somebody took the order back. */
static void fs_warm_over(struct fs_wait *w, const char *tier)
{
	struct fs_tiers held = { .n = 0 };
	uint64_t have, home;
	char a[16], b[16];

	w->state = FS_WAIT_DONE;
	if (fs_warm_held(w->path, &held) != 0)
		return;
	have = fs_tiers_get(&held, tier);
	home = fs_tiers_get(&held, "home");     /* a sparse file has less on home than its size, and needs no more */
	if (have >= w->total || (have >= home && home > 0))
		return;
	w->state = FS_WAIT_FAILED;
	snprintf(w->text, sizeof(w->text), "only %s of %s are on %s", fs_cli_bytes(have, a), fs_cli_bytes(w->total, b), tier);
}

static void fs_warm_ask(struct fs_wait *w)
{
	struct fs_warm now = { .state = FS_WARM_IDLE };
	char *text = NULL;
	int rc;

	rc = fs_cli_xattr(w->path, "user.hearth.warm", &text);
	if (rc == 0 && fs_warm_parse(text, &now) != 0)
		rc = -EPROTO;
	free(text);
	if (rc != 0) {
		w->state = FS_WAIT_FAILED;
		snprintf(w->text, sizeof(w->text), "%s", rc == -EPROTO ? "the mount's answer is not understood" : fs_cli_reason(rc));
	} else if (now.state == FS_WARM_MOVING) {
		w->done = now.done;
		w->total = now.total;
	} else if (now.state == FS_WARM_FAILED) {
		w->state = FS_WAIT_FAILED;
		snprintf(w->text, sizeof(w->text), "%s", now.why);
	} else {
		w->state = FS_WAIT_DONE;
	}
}

static int fs_warm_wait(const struct fs_targets *t, const char *tier)
{
	struct fs_wait *w = calloc(t->n, sizeof(*w));
	uint64_t bytes = 0;
	size_t failed = 0;
	char buf[16];

	if (w == NULL) {
		fprintf(stderr, "hearth: out of memory\n");
		return FS_EXIT_FAILED;
	}
	for (size_t i = 0; i < t->n; i++)
		w[i] = (struct fs_wait){ .path = t->v[i].path, .label = t->v[i].label, .total = t->v[i].bytes };
	fs_cli_wait(tier, w, t->n, fs_warm_ask);
	for (size_t i = 0; i < t->n; i++) {
		w[i].total = t->v[i].bytes;
		bytes += t->v[i].bytes;
		if (w[i].state == FS_WAIT_DONE)
			fs_warm_over(&w[i], tier);
		if (w[i].state != FS_WAIT_FAILED)
			continue;
		fprintf(stderr, "hearth: '%s' is not warm: %s\n", w[i].path, w[i].text);
		failed++;
	}
	if (failed == 0)
		printf("%s on %s\n", fs_cli_bytes(bytes, buf), tier);
	free(w);
	return failed == 0 ? FS_EXIT_OK : FS_EXIT_FAILED;
}

/* Give the order for each file; those that refuse it leave the set. */
static int fs_warm_order(struct fs_targets *t, const char *value)
{
	int rc = FS_EXIT_OK;
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		int set = fs_cli_set_xattr(t->v[i].path, "user.hearth.warm", value);

		if (set == 0) {
			t->v[kept++] = t->v[i];
			continue;
		}
		fprintf(stderr, "hearth: cannot %s '%s': %s\n", strcmp(value, "none") == 0 ? "cool" : "warm", t->v[i].path,
			set == -ENOSPC ? "there is no room for it" : fs_cli_reason(set));
		free(t->v[i].path);
		rc = FS_EXIT_FAILED;
	}
	t->n = kept;
	return rc;
}

static uint64_t fs_warm_bytes(const struct fs_targets *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->n; i++)
		sum += t->v[i].bytes;
	return sum;
}

static int fs_warm_set(const struct fs_warm_args *a, struct fs_targets *t)
{
	char tier[FS_TIER_NAME], buf[16];
	int rc;

	if (fs_targets_tier(t, a->tier, tier) != 0)
		return FS_EXIT_FAILED;
	if (a->dry_run)
		return fs_warm_dry_run(t, tier, a->json);
	rc = fs_warm_order(t, tier);
	if (t->n == 0)
		return rc;
	if (a->wait)
		return fs_warm_wait(t, tier) == FS_EXIT_OK ? rc : FS_EXIT_FAILED;
	printf("warming %zu file%s, %s, to %s; 'hearth top' shows how far it is\n", t->n, t->n == 1 ? "" : "s",
	       fs_cli_bytes(fs_warm_bytes(t), buf), tier);
	return rc;
}

static int fs_cmd_warm_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_warm_args a = { .tier = NULL };
	struct fs_targets t = { .n = 0 };
	char err[256];
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc == 0)
		return fs_cli_usage(c, "which model?");
	if (a.tier != NULL && !fs_tier_name_ok(a.tier))
		return fs_cli_usage(c, "a tier is ram or the name of a cache");
	if ((a.dry_run && a.wait) || (a.json && !a.dry_run))
		return fs_cli_usage(c, a.json ? "--json goes with --dry-run" : "--dry-run has nothing to wait for");
	rc = fs_targets_add_all(&t, argc, argv);
	if (t.n > 0 && fs_warm_set(&a, &t) != FS_EXIT_OK)
		rc = FS_EXIT_FAILED;
	fs_targets_free(&t);
	return rc;
}

static int fs_cmd_cool_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_targets t = { .n = 0 };
	char err[256], buf[16];
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, NULL, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc == 0)
		return fs_cli_usage(c, "which model?");
	rc = fs_targets_add_all(&t, argc, argv);
	if (t.n > 0 && fs_warm_order(&t, "none") != FS_EXIT_OK)
		rc = FS_EXIT_FAILED;
	if (t.n > 0)
		printf("cooled %zu file%s, %s\n", t.n, t.n == 1 ? "" : "s", fs_cli_bytes(fs_warm_bytes(&t), buf));
	fs_targets_free(&t);
	return rc;
}

const struct fs_command fs_cmd_warm = {
	"warm", "warm [OPTION...] MODEL...", "bring models to a tier now",
	fs_warm_table, sizeof(fs_warm_table) / sizeof(fs_warm_table[0]), fs_cmd_warm_run,
};

const struct fs_command fs_cmd_cool = {
	"cool", "cool MODEL...", "drop what models hold on caches and in RAM", NULL, 0, fs_cmd_cool_run,
};
