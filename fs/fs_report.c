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
	[FS_READS] = { "reads", "reads", "", "Read requests that the daemon served." },
	[FS_READ_BYTES] = { "read_bytes", "read_bytes", "{tier=\"home\"}", "Bytes that the daemon read for clients." },
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
		for (int id = 0; rc == 0 && id < TIER_COUNT; id++)
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
	o = json_pack("{s:s, s:i, s:s, s:s, s:I, s:s, s:s, s:b, s:s?, s:i, s:I, s:I, s:{s:I, s:I, s:I}, s:o}",
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

int fs_report_metrics(struct fs *fs, char **out)
{
	struct statvfs sv = { 0 };
	char *text = NULL;
	size_t text_bytes;
	FILE *f;
	int rc;

	rc = home_statvfs(fs->home, &sv);
	if (rc != 0)
		return rc;
	f = open_memstream(&text, &text_bytes);
	if (f == NULL)
		return -ENOMEM;
	fprintf(f, "# TYPE hearth info\n# HELP hearth The running program.\nhearth_info{version=\"%s\"} 1\n", HEARTH_VERSION);
	fs_report_gauge(f, "native", "", "1 when blobs are read by kernel passthrough.", atomic_load(&fs->native.allowed));
	fs_report_gauge(f, "inodes", "", "Inodes that the kernel knows.", fs_inode_count(fs->inodes));
	fs_report_gauge(f, "open_files", "", "Open files and directories.", fs_handle_count(fs->handles));
	fs_report_gauge(f, "tier_bytes", "{tier=\"home\",kind=\"free\"}", "Bytes on each tier's file system.",
			sv.f_bavail * sv.f_frsize);
	fprintf(f, "hearth_tier_bytes{tier=\"home\",kind=\"used\"} %llu\n",
		(unsigned long long)((sv.f_blocks - sv.f_bfree) * sv.f_frsize));
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
