/* policy_main.c - replay traces through hearth's policy and through others; print the tables.
 *
 * Usage: policy_bench ROWS [ROUTE]
 *        policy_bench ROWS --trace FILE
 *
 * ROWS is written for tests/bench/policy.sh: name|rate or time|unit|target|ours|other, a line each.  ROUTE is
 * a routing trace; without it, or when it is not there, its columns are left out and a line says so.  FILE is a
 * trace that hearth recorded (tiering/trace.h); then nothing else is replayed.
 */
#include "tests/bench/policy/replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { OPT, LRU, ARC, LIRS, S3, TINYLFU, OURS, HIDDEN, RUNS, CLASSED, BLOBS, BLOBS_CLASSED, POLICIES };

static const struct {
	const char *name;
	replay_fn replay;
} policies[POLICIES] = {
	[OPT] = { "optimum (Belady, bypass)", replay_opt },
	[LRU] = { "LRU", replay_lru },
	[ARC] = { "ARC", replay_arc },
	[LIRS] = { "LIRS", replay_lirs },
	[S3] = { "S3-FIFO", replay_s3fifo },
	[TINYLFU] = { "W-TinyLFU", replay_tinylfu },
	[OURS] = { "hearth", replay_hearth },
	[HIDDEN] = { "hearth, hits hidden", replay_hearth_hidden },
	[RUNS] = { "hearth, hidden, in runs", replay_hearth_runs },
	[CLASSED] = { "hearth, scans classed", replay_hearth_classed },
	[BLOBS] = { "hearth, whole blobs", replay_hearth_blobs },
	[BLOBS_CLASSED] = { "hearth, blobs, classed", replay_hearth_blobs_classed },
};

enum kind { LOOP, SCAN, LOADS, MIXED, ROUTE, RECORDED, KINDS };

static const struct {
	const char *name;
	double share[4];                /* of all extents, of the loop's for scan; 0 ends */
} columns[KINDS] = {
	[LOOP] = { "loop", { 0.25, 0.5, 0.75, 0.9 } },
	[SCAN] = { "loop + scans", { 0.25, 0.5, 0.75, 0.9 } },
	[LOADS] = { "model loads", { 0.1, 0.2, 0.5 } },
	[MIXED] = { "mixed", { 0.09, 0.18, 0.45 } },
	[ROUTE] = { "MoE Qwen3-30B", { 0.05, 0.1, 0.25 } },
	[RECORDED] = { "recorded", { 0.1, 0.25, 0.5, 0.75 } },
};

#define LOOP_EXTENTS 2000
#define LOOP_PASSES 100

struct table {
	struct replay_result r[POLICIES][4];
	double requests;
	uint32_t cap[4];
	unsigned sizes;
	enum kind kind;
};

struct tally {
	unsigned sizes, better;
	FILE *rows;
};

static int trace_recorded(struct trace *t, const char *path)
{
	struct trace_facts facts;
	char err[160];
	FILE *f = fopen(path, "re");
	int rc;

	if (f == NULL) {
		rc = -errno;
		perror(path);
		return rc;
	}
	rc = trace_csv(t, f, &facts, err, sizeof(err));
	fclose(f);
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", path, err);
		return rc;
	}
	printf("%s: %llu accesses of %u extents of %u blobs in %u s; fills left out %llu, repeats within a tick %llu, lost %llu\n",
	       path, (unsigned long long)facts.accesses, t->ids, t->blobs, t->tick[t->n - 1] / 4,
	       (unsigned long long)facts.fills, (unsigned long long)facts.repeats, (unsigned long long)facts.lost);
	return 0;
}

/* path: of the routing trace or the recorded one. */
static int trace_make(struct trace *t, enum kind kind, const char *path)
{
	switch (kind) {
	case LOOP:
	case SCAN:
		return trace_loop(t, LOOP_EXTENTS, LOOP_PASSES, kind == SCAN);
	case LOADS:
	case MIXED:
		return trace_loads(t, kind == MIXED);
	case RECORDED:
		return trace_recorded(t, path);
	case ROUTE:
	case KINDS:
		break;
	}
	return path != NULL ? trace_route(t, path) : -ENOENT;
}

static double hits(const struct table *t, int policy, unsigned size)
{
	return (double)t->r[policy][size].hits / t->requests;
}

static double moves(const struct table *t, int policy, unsigned size)
{
	return (double)t->r[policy][size].moves / t->requests;
}

/* Of those published, the one with the most hits. */
static int best_peer(const struct table *t, unsigned size)
{
	int best = LRU;

	for (int p = LRU; p <= TINYLFU; p++) {
		if (t->r[p][size].hits > t->r[best][size].hits)
			best = p;
	}
	return best;
}

/* Routing has one blob and no scans: nothing to tell these apart there. */
static bool applies(enum kind kind, int policy)
{
	if (policy == BLOBS_CLASSED)
		return kind == RECORDED;
	return kind != ROUTE || (policy != CLASSED && policy != BLOBS);
}

static void print_table(const struct table *t)
{
	printf("\n%s, %.0f requests\n%-26s", columns[t->kind].name, t->requests, "");
	for (unsigned i = 0; i < t->sizes; i++)
		printf("  %2.0f %%: hits moves", columns[t->kind].share[i] * 100);
	for (int p = 0; p < POLICIES; p++) {
		if (!applies(t->kind, p))
			continue;
		printf("\n%-26s", policies[p].name);
		for (unsigned i = 0; i < t->sizes; i++)
			printf("       %.3f %.4f", hits(t, p, i), moves(t, p, i));
	}
	printf("\n");
}

/* target 0: for information. */
static void row(struct tally *y, const struct table *t, unsigned size, const char *what, const char *kind,
		double target, double ours, double other)
{
	char least[16] = "";

	if (target > 0)
		snprintf(least, sizeof(least), "%.4f", target);
	fprintf(y->rows, "%s %.0f %%: %s|%s|%s|%s|%.6f|%.6f\n", columns[t->kind].name,
		columns[t->kind].share[size] * 100, what, kind, strcmp(kind, "time") == 0 ? "moves/rq" : "hits/rq", least,
		ours, other);
}

/* Loops: as good as the optimum, and still. */
static void loop_rows(struct tally *y, const struct table *t)
{
	static const struct { int policy; const char *hits, *moves; } seen[] = {
		{ OURS, "hits, optimum", "moves, 1 %" },
		{ HIDDEN, "hits hidden, optimum", "moves hidden, 1 %" },
		{ RUNS, "hits hidden in runs, optimum", "moves hidden in runs, 1 %" },
	};

	for (unsigned v = 0; v < sizeof(seen) / sizeof(seen[0]); v++) {
		for (unsigned i = 0; i < t->sizes; i++) {
			double opt = hits(t, OPT, i);

			row(y, t, i, seen[v].hits, "rate", (opt - 0.005) / opt, hits(t, seen[v].policy, i), opt);
			row(y, t, i, seen[v].moves, "time", 1, moves(t, seen[v].policy, i), 0.01);
		}
	}
}

/* The rest: near the best of those published or better, with a third of its moves. */
static void peer_rows(struct tally *y, const struct table *t)
{
	for (unsigned i = 0; i < t->sizes; i++) {
		int best = best_peer(t, i);
		double most = hits(t, best, i);
		char what[64];

		snprintf(what, sizeof(what), "hits, %s", policies[best].name);
		row(y, t, i, what, "rate", (most - 0.06) / most, hits(t, OURS, i), most);
		snprintf(what, sizeof(what), "moves, %s", policies[best].name);
		row(y, t, i, what, "time", 3, moves(t, OURS, i), moves(t, best, i));
		if (t->kind == ROUTE) {         /* so short that filling the empty tier is much of it */
			double fill = t->cap[i] / t->requests;

			snprintf(what, sizeof(what), "moves once full, %s", policies[best].name);
			row(y, t, i, what, "time", 0, moves(t, OURS, i) - fill, moves(t, best, i) - fill);
		}
		y->sizes++;
		y->better += hits(t, OURS, i) > most;
	}
}

/* For information: nobody knows what is to be had.  A ratio to none at all is left out. */
static void recorded_rows(struct tally *y, const struct table *t)
{
	static const struct { int policy; const char *as; } seen[] = { { CLASSED, "RAM" }, { BLOBS_CLASSED, "cache" } };

	for (unsigned v = 0; v < sizeof(seen) / sizeof(seen[0]); v++) {
		for (unsigned i = 0; i < t->sizes; i++) {
			int ours = seen[v].policy, best = best_peer(t, i);
			char what[64];

			snprintf(what, sizeof(what), "%s hits, %s", seen[v].as, policies[best].name);
			if (t->r[ours][i].hits > 0 && t->r[best][i].hits > 0)
				row(y, t, i, what, "rate", 0, hits(t, ours, i), hits(t, best, i));
			snprintf(what, sizeof(what), "%s moves, %s", seen[v].as, policies[best].name);
			if (t->r[ours][i].moves > 0 && t->r[best][i].moves > 0)
				row(y, t, i, what, "time", 0, moves(t, ours, i), moves(t, best, i));
		}
	}
}

static int one_table(struct tally *y, enum kind kind, const char *path)
{
	struct table t = { .kind = kind };
	struct trace tr = { 0 };
	int rc = trace_make(&tr, kind, path);

	for (; rc == 0 && t.sizes < 4 && columns[kind].share[t.sizes] > 0; t.sizes++) {
		double all = kind == SCAN ? LOOP_EXTENTS : tr.ids;

		t.cap[t.sizes] = (uint32_t)(columns[kind].share[t.sizes] * all + 0.5);
		for (int p = 0; rc == 0 && p < POLICIES; p++)
			rc = applies(kind, p) ? policies[p].replay(&tr, t.cap[t.sizes], &t.r[p][t.sizes]) : 0;
	}
	t.requests = (double)tr.n;
	trace_free(&tr);
	if (rc != 0)
		return rc;
	print_table(&t);
	if (kind == LOOP)
		loop_rows(y, &t);
	else if (kind == RECORDED)
		recorded_rows(y, &t);
	else
		peer_rows(y, &t);
	return 0;
}

static int all_tables(struct tally *y, const char *route)
{
	for (int kind = LOOP; kind <= ROUTE; kind++) {
		int rc = one_table(y, (enum kind)kind, route);

		if (kind == ROUTE && rc == -ENOENT)
			printf("\nno routing trace: %s is left out\n", columns[kind].name);
		else if (rc != 0) {
			fprintf(stderr, "%s: %s\n", columns[kind].name, strerror(-rc));
			return rc;
		}
	}
	fprintf(y->rows, "sizes where hearth has more hits than the best|rate|of all|0.5|%u|%u\n", y->better, y->sizes);
	return 0;
}

static int recorded_table(struct tally *y, const char *path)
{
	int rc = one_table(y, RECORDED, path);

	if (rc == -ENOMEM)              /* all else was said where it was seen */
		fprintf(stderr, "%s: %s\n", path, strerror(-rc));
	return rc;
}

int main(int argc, char **argv)
{
	bool recorded = argc == 4 && strcmp(argv[2], "--trace") == 0;
	struct tally y = { 0 };
	int rc;

	if (argc < 2 || (argc > 3 && !recorded)) {
		fprintf(stderr, "usage: policy_bench ROWS [ROUTE]\n       policy_bench ROWS --trace FILE\n");
		return 2;
	}
	if (replay_self_check() != 0)
		return 1;
	y.rows = fopen(argv[1], "w");
	if (y.rows == NULL) {
		perror(argv[1]);
		return 1;
	}
	rc = recorded ? recorded_table(&y, argv[3]) : all_tables(&y, argc > 2 ? argv[2] : NULL);
	return fclose(y.rows) == 0 && rc == 0 ? 0 : 1;
}
