#include "fs/fs_report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FS_REPORT_DEPTH 32              /* directories deeper than this below the one asked about are left out */

static const struct {
	const char *json;               /* name in stats */
	const char *metric;             /* name in metrics, without hearth_ and _total */
	const char *labels;
	const char *help;
} fs_report_counters[FS_COUNTER_COUNT] = {
	[FS_OPENS_NATIVE] = { "opens_native", "opens", "{mode=\"native\"}", "Opens, by how they are served." },
	[FS_OPENS_CACHED] = { "opens_cached", "opens", "{mode=\"cached\"}", NULL },
	[FS_OPENS_GATHERED] = { "opens_gathered", "opens", "{mode=\"gathered\"}", NULL },
	[FS_MODE_FLIPS] = { "mode_flips", "mode_flips", "", "Opens that were sent to a new node, for another mode." },
	[FS_READS] = { "reads", "reads", "", "Read requests that the daemon served." },
	[FS_READ_BYTES] = { "read_bytes", "served_bytes", "", "Bytes that the daemon gave to clients." },
	[FS_WRITES] = { "writes", "writes", "", "Write requests that the daemon served." },
	[FS_WRITE_BYTES] = { "write_bytes", "write_bytes", "", "Bytes that the daemon wrote for clients." },
	[FS_LOOKUPS] = { "lookups", "lookups", "", "Names looked up." },
	[FS_SEALS] = { "seals", "seals", "", "Renames of files made durable before they were acknowledged." },
	[FS_SYNC_ERRORS] = { "sync_errors", "sync_errors", "", "Failures to make data or names durable." },
	[FS_IO_ERRORS] = { "io_errors", "io_errors", "", "Requests answered with EIO." },
};

int fs_report_map(struct fs *fs, uint64_t nodeid, char **out)
{
	struct stat st;
	int fd, rc;

	if (nodeid == 0)
		return -ENOENT;
	fd = fs_inode_open(fs->inodes, nodeid, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	rc = io_fstat(fs->io, fd, &st);
	if (rc == 0)
		rc = S_ISREG(st.st_mode) ? tier_map_print(fs->tier, fd, &st, out) : -ENOENT;
	io_close(fs->io, fd);
	return rc;
}

/* A walk below one directory. */
struct fs_report_walk {
	struct fs *fs;
	int dirfd;                      /* whose entries are being added */
	int depth;                      /* directories that may still be entered */
	struct tier_usage sum;
};

/* Add what the entry holds; directories are walked. */
static int fs_report_add(void *ctx, const char *name)
{
	struct fs_report_walk *w = ctx;
	struct tier_usage u;
	struct stat st;
	int fd, rc;

	fd = home_openat_dir(w->fs->home, w->dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0)                     /* symbolic links, sockets, what vanished meanwhile: no bytes */
		return 0;
	rc = io_fstat(w->fs->io, fd, &st);
	if (rc == 0 && S_ISREG(st.st_mode)) {
		rc = tier_usage_of(w->fs->tier, fd, &st, &u);
		for (unsigned id = 0; rc == 0 && id < tier_count(w->fs->tier); id++)
			w->sum.bytes[id] += u.bytes[id];
	} else if (rc == 0 && S_ISDIR(st.st_mode) && w->depth > 0) {
		struct fs_report_walk below = { .fs = w->fs, .dirfd = fd, .depth = w->depth - 1, .sum = w->sum };

		rc = home_list(w->fs->home, fd, fs_report_add, &below);
		w->sum = below.sum;
	}
	io_close(w->fs->io, fd);
	return rc;
}

int fs_report_usage(struct fs *fs, uint64_t nodeid, struct tier_usage *out)
{
	struct fs_report_walk w = { .fs = fs, .depth = FS_REPORT_DEPTH };
	struct stat st;
	int fd, rc;

	fd = fs_inode_open(fs->inodes, nodeid, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	rc = io_fstat(fs->io, fd, &st);
	w.dirfd = fd;
	if (rc == 0 && S_ISDIR(st.st_mode))
		rc = home_list(fs->home, fd, fs_report_add, &w);
	else if (rc == 0)
		rc = S_ISREG(st.st_mode) ? tier_usage_of(fs->tier, fd, &st, &w.sum) : -ENODATA;
	io_close(fs->io, fd);
	if (rc == 0)
		*out = w.sum;
	return rc;
}

static json_t *fs_report_counters_json(struct fs *fs)
{
	json_t *o = json_object();

	for (int c = 0; c < FS_COUNTER_COUNT; c++)
		json_object_set_new(o, fs_report_counters[c].json,
				    json_integer((json_int_t)atomic_load(&fs->counters[c])));
	return o;
}

static json_t *fs_report_tiers_json(struct fs *fs)
{
	json_t *list = json_array();

	for (unsigned id = 0; id < tier_count(fs->tier); id++) {
		struct tier_state s;

		tier_state_of(fs->tier, id, &s);
		json_array_append_new(list, json_pack(
			"{s:s, s:s?, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:s?}",
			"name", s.name, "dir", s.dir,
			"state", s.in_service ? "ok" : id == 0 ? "off" : "out of service", "reason", s.reason,
			id == 0 ? "budget" : "size", (json_int_t)s.size, "used", (json_int_t)s.used,
			"available", (json_int_t)s.available, "pinned", (json_int_t)s.pinned, "locked", (json_int_t)s.locked,
			"leaving", (json_int_t)s.leaving, "served", (json_int_t)s.reads, "served_bytes", (json_int_t)s.read_bytes,
			"fills", (json_int_t)s.fills, "fill_bytes", (json_int_t)s.fill_bytes, "drops", (json_int_t)s.drops,
			"bad_sums", (json_int_t)s.bad_sums, "half_life", s.half_life_s, "soft", (int)s.soft, "note", s.note));
	}
	return list;
}

#define FS_REPORT_MOVES 16

static json_t *fs_report_moves_json(struct fs *fs)
{
	struct tier_move move[FS_REPORT_MOVES];
	size_t n = tier_moves(fs->tier, move, FS_REPORT_MOVES);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "blob", move[i].blob, "from", "home",
						      "to", move[i].to, "done", (json_int_t)move[i].done,
						      "total", (json_int_t)move[i].total, "ordered", (int)move[i].ordered));
	return list;
}

int fs_report_stats(struct fs *fs, char **out)
{
	const char *why = atomic_load(&fs->native.why_not);
	struct statvfs sv = { 0 };
	struct utsname un = { 0 };
	json_t *o;
	int rc;

	rc = home_statvfs(fs->home, &sv);
	if (rc != 0)
		return rc;
	uname(&un);
	o = json_pack("{s:s, s:i, s:s, s:s, s:I, s:s, s:s, s:b, s:s?, s:i, s:I, s:I, s:{s:I, s:I, s:I}, s:o, s:o, s:o}",
		      "version", HEARTH_VERSION, "pid", (int)getpid(), "home", home_path(fs->home),
		      "mountpoint", fs->mountpoint, "started", (json_int_t)fs->started,
		      "kernel", un.release, "libfuse", fuse_pkgversion(),
		      "native", atomic_load(&fs->native.allowed), "native_refused", why,
		      "read_ahead_kib", (int)atomic_load(&fs->read_ahead_kib),
		      "inodes", (json_int_t)fs_inode_count(fs->inodes),
		      "open_files", (json_int_t)fs_handle_count(fs->handles),
		      "home_space", "bytes", (json_int_t)(sv.f_blocks * sv.f_frsize),
		      "free", (json_int_t)(sv.f_bfree * sv.f_frsize),
		      "available", (json_int_t)(sv.f_bavail * sv.f_frsize),
		      "tiers", fs_report_tiers_json(fs), "moves", fs_report_moves_json(fs),
		      "counters", fs_report_counters_json(fs));
	if (o == NULL)
		return -ENOMEM;
	*out = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	return *out != NULL ? 0 : -ENOMEM;
}

static void fs_report_gauge(FILE *f, const char *name, const char *labels, const char *help, uint64_t value)
{
	fprintf(f, "# TYPE hearth_%s gauge\n# HELP hearth_%s %s\nhearth_%s%s %llu\n", name, name, help, name, labels,
		(unsigned long long)value);
}

enum fs_report_kind { FS_REPORT_GAUGE, FS_REPORT_COUNTER };

/* What all tiers say at one moment. */
struct fs_report_tiers {
	unsigned count;
	struct tier_state state[TIER_MAX];
};

/* One figure of each tier; at is where it is in struct tier_state.  from: tiers before that one have it not. */
static void fs_report_tier_figure(const struct fs_report_tiers *t, FILE *f, const char *name, const char *kind, enum fs_report_kind type,
				  const char *help, size_t at, unsigned from)
{
	if (help != NULL)
		fprintf(f, "# TYPE hearth_%s %s\n# HELP hearth_%s %s\n", name, type == FS_REPORT_COUNTER ? "counter" : "gauge",
			name, help);
	for (unsigned id = from; id < t->count; id++) {
		uint64_t value;

		memcpy(&value, (const char *)&t->state[id] + at, sizeof(value));
		fprintf(f, "hearth_%s%s{tier=\"%s\"%s%s%s} %llu\n", name, type == FS_REPORT_COUNTER ? "_total" : "", t->state[id].name,
			kind != NULL ? ",kind=\"" : "", kind != NULL ? kind : "", kind != NULL ? "\"" : "",
			(unsigned long long)value);
	}
}

#define AT_STATE(member) offsetof(struct tier_state, member)

static void fs_report_tier_metrics(struct fs *fs, FILE *f)
{
	struct fs_report_tiers t = { .count = tier_count(fs->tier) };

	for (unsigned id = 0; id < t.count; id++)
		tier_state_of(fs->tier, id, &t.state[id]);
	fs_report_tier_figure(&t, f, "tier_bytes", "used", FS_REPORT_GAUGE, "Bytes of each tier, by kind.", AT_STATE(used), 0);
	fs_report_tier_figure(&t, f, "tier_bytes", "limit", FS_REPORT_GAUGE, NULL, AT_STATE(size), 0);
	fs_report_tier_figure(&t, f, "tier_bytes", "free", FS_REPORT_GAUGE, NULL, AT_STATE(available), 0);
	fs_report_tier_figure(&t, f, "tier_bytes", "pinned", FS_REPORT_GAUGE, NULL, AT_STATE(pinned), 0);
	fs_report_tier_figure(&t, f, "tier_bytes", "leaving", FS_REPORT_GAUGE, NULL, AT_STATE(leaving), 0);
	fs_report_tier_figure(&t, f, "segment_hits", NULL, FS_REPORT_COUNTER, "Reads that the daemon served from each tier.",
			      AT_STATE(reads), 1);
	fs_report_tier_figure(&t, f, "read_bytes", NULL, FS_REPORT_COUNTER, "Bytes that the daemon served from each tier.",
			      AT_STATE(read_bytes), 1);
	fs_report_tier_figure(&t, f, "migrations", NULL, FS_REPORT_COUNTER, "Extents or units copied to each tier.",
			      AT_STATE(fills), 0);
	fs_report_tier_figure(&t, f, "migration_bytes", NULL, FS_REPORT_COUNTER, "Bytes copied to each tier.",
			      AT_STATE(fill_bytes), 0);
	fs_report_tier_figure(&t, f, "drops", NULL, FS_REPORT_COUNTER, "Copies or units dropped from each tier.",
			      AT_STATE(drops), 0);
	fs_report_tier_figure(&t, f, "verify_failures", NULL, FS_REPORT_COUNTER, "Extents that did not match their sum.",
			      AT_STATE(bad_sums), 1);
	fprintf(f, "# TYPE hearth_tier_in_service gauge\n# HELP hearth_tier_in_service 1 when the tier is used.\n");
	for (unsigned id = 0; id < t.count; id++)
		fprintf(f, "hearth_tier_in_service{tier=\"%s\"} %d\n", t.state[id].name, t.state[id].in_service);
}

int fs_report_metrics(struct fs *fs, char **out)
{
	char *text = NULL;
	size_t text_bytes;
	FILE *f;

	f = open_memstream(&text, &text_bytes);
	if (f == NULL)
		return -ENOMEM;
	fprintf(f, "# TYPE hearth info\n# HELP hearth The running program.\nhearth_info{version=\"%s\"} 1\n", HEARTH_VERSION);
	fs_report_gauge(f, "native", "", "1 when blobs are read by kernel passthrough.", atomic_load(&fs->native.allowed));
	fs_report_gauge(f, "inodes", "", "Inodes that the kernel knows.", fs_inode_count(fs->inodes));
	fs_report_gauge(f, "open_files", "", "Open files and directories.", fs_handle_count(fs->handles));
	fs_report_tier_metrics(fs, f);
	for (int c = 0; c < FS_COUNTER_COUNT; c++) {
		const char *name = fs_report_counters[c].metric;

		if (fs_report_counters[c].help != NULL)
			fprintf(f, "# TYPE hearth_%s counter\n# HELP hearth_%s %s\n", name, name,
				fs_report_counters[c].help);
		fprintf(f, "hearth_%s_total%s %llu\n", name, fs_report_counters[c].labels,
			(unsigned long long)atomic_load(&fs->counters[c]));
	}
	fprintf(f, "# EOF\n");
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}
