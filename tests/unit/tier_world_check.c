/* tier_world_check.c - what must hold of a store at rest, and of what it leaves behind when it is shut. */
#include "tests/unit/tier_world.h"
#include "tiering/map.h"
#include "tiering/sums.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1u << 20)

unsigned world_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

void world_each_copy(struct world *w, unsigned c, void (*each)(struct world *w, int dirfd, const char *name, void *ctx), void *ctx)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/copies", w->dir[c]);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			each(w, dirfd(d), e->d_name, ctx);
	if (d != NULL)
		closedir(d);
}

struct world_on_disk {
	uint64_t bytes;
	unsigned files;
};

static void world_weigh(struct world *w, int dirfd, const char *name, void *ctx)
{
	struct world_on_disk *d = ctx;
	struct stat st;

	(void)w;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		d->files++;
		d->bytes += (uint64_t)st.st_blocks * 512;
	}
}

/* Nothing moves now.  What lies in the cache's directory was reserved, and what was reserved fits; a mapping
 * that is kept counts too, though its name is gone. */
static void world_check_space(struct world *w, unsigned c, uint64_t held)
{
	struct world_on_disk d;
	struct tier_state s;

	for (unsigned tries = 0;; tries++) {            /* a drop may still be on its way */
		d = (struct world_on_disk){ 0, 0 };
		world_each_copy(w, c, world_weigh, &d);
		tier_state_of(w->t, c + 1, &s);
		if (tries == 1000 || (s.used <= s.size && d.bytes + s.leaving <= s.used + (d.files << 16) && held <= s.used))
			break;
		world_breathe(w);
	}
	if (s.used > s.size)
		world_fail(w, "%s: %llu bytes used of %llu", s.name, (unsigned long long)s.used, (unsigned long long)s.size);
	if (d.bytes + s.leaving > s.used + (d.files << 16))
		world_fail(w, "%s: %llu bytes in %u files lie there, %llu are leaving, %llu are counted", s.name,
			   (unsigned long long)d.bytes, d.files, (unsigned long long)s.leaving, (unsigned long long)s.used);
	if (held > s.used)
		world_fail(w, "%s: files have %llu bytes there, %llu are counted", s.name, (unsigned long long)held,
			   (unsigned long long)s.used);
}

static void world_check_home(struct world *w, int fd, const struct stat *st, struct truth *t)
{
	uint64_t now = truth_now(&w->clock);
	struct truth_look look = { now, now, now, now };
	unsigned char *bytes = malloc((size_t)st->st_size + 1);
	char why[512];
	ssize_t n;

	n = pread(fd, bytes, (size_t)st->st_size + 1, 0);
	if (n < 0 || !truth_allows(t, &look, 0, (size_t)st->st_size + 1, bytes, (size_t)n, why, sizeof(why)))
		world_fail(w, "home is not what it should be: %s", n < 0 ? strerror(errno) : why);
	free(bytes);
}

void world_check_open(struct world *w)
{
	uint64_t held[WORLD_CACHES] = { 0 };

	for (int i = 0; i < WORLD_SLOTS && !world_failed(w); i++) {
		int fd = w->slot[i].truth != NULL ? world_openat(w, w->slot[i].path, O_RDONLY) : -1;
		struct tier_usage u;
		struct truth *t;
		struct stat st;

		if (fd < 0 || fstat(fd, &st) != 0)
			continue;
		t = world_truth_of(w, &st);
		if (t != NULL)
			world_check_home(w, fd, &st, t);
		if (tier_usage_of(w->t, fd, &st, &u) != 0)
			world_fail(w, "no usage of slot %d", i);
		for (unsigned c = 0; c < w->cfg.caches; c++)
			held[c] += u.bytes[c + 1];
		close(fd);
	}
	for (unsigned c = 0; c < w->cfg.caches; c++)
		world_check_space(w, c, held[c]);
	if (world_failed(w))
		world_explain(w);
}

/* ---- shut ---- */

#define WORLD_ROWS 64
#define WORLD_EXTENTS 64

struct world_row {
	struct map_blob blob;
	bool has[WORLD_CACHES][WORLD_EXTENTS];
	uint64_t sum[WORLD_EXTENTS];
};

struct world_rows {
	struct world *w;
	struct world_row row[WORLD_ROWS];
	unsigned n;
	unsigned number[WORLD_CACHES];          /* in the map */
};

static int world_on_setting(void *ctx, const char *name, const void *value, size_t len)
{
	struct world_rows *r = ctx;
	char path[PATH_MAX], text[512], hex[40] = "";
	unsigned number;
	ssize_t n;
	int fd;

	if (sscanf(name, "cache.%u", &number) != 1 || len != 24)
		return 0;
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((const unsigned char *)value)[i]);
	for (unsigned c = 0; c < r->w->cfg.caches; c++) {
		snprintf(path, sizeof(path), "%s/hearth-cache", r->w->dir[c]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
		text[n > 0 ? n : 0] = '\0';
		if (strstr(text, hex) != NULL)
			r->number[c] = number;
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int world_on_blob(void *ctx, const struct map_blob *b)
{
	struct world_rows *r = ctx;

	if (r->n < WORLD_ROWS)
		r->row[r->n++].blob = *b;
	return 0;
}

static int world_on_extents(void *ctx, const struct map_extents *run)
{
	struct world_rows *r = ctx;
	struct world_row *row = &r->row[r->n - 1];

	for (unsigned c = 0; c < r->w->cfg.caches; c++) {
		for (uint32_t i = 0; r->number[c] == run->cache && i < run->count && run->first + i < WORLD_EXTENTS; i++) {
			row->has[c][run->first + i] = true;
			row->sum[run->first + i] = run->sums[i];
		}
	}
	return 0;
}

/* The bytes that the map says are on the cache: they must have their sums, and home's bytes where home's file is
 * the one that the row tells of. */
static void world_check_extent(struct world *w, int fd, const struct world_row *row, struct truth *t, uint32_t e, unsigned char *buf)
{
	uint64_t off = (uint64_t)e * MIB, size = row->blob.ident.size, now = truth_now(&w->clock);
	struct truth_look look = { now, now, now, now };
	size_t len = size - off < MIB ? (size_t)(size - off) : MIB;
	char why[512];

	if (pread(fd, buf, len, (off_t)off) != (ssize_t)len)
		world_fail(w, "extent %u of copy %016llx cannot be read", e, (unsigned long long)row->blob.id);
	else if (!w->damages && sums_extent(row->blob.id, e, buf, len) != row->sum[e])
		world_fail(w, "extent %u of copy %016llx does not have its sum", e, (unsigned long long)row->blob.id);
	else if (!w->damages && t != NULL && !truth_allows(t, &look, off, len, buf, len, why, sizeof(why)))
		world_fail(w, "extent %u of copy %016llx is not home's: %s", e, (unsigned long long)row->blob.id, why);
}

/* Home's file, if it is still what the row tells of. */
static struct truth *world_truth_of_row(struct world *w, const struct world_row *row)
{
	struct truth *t = NULL;

	for (int i = 0; i < WORLD_SLOTS; i++) {
		int fd = w->slot[i].truth != NULL ? world_openat(w, w->slot[i].path, O_RDONLY) : -1;
		struct home_ident id;
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0) {
			id = home_ident(&st);
			if (home_ident_equal(&id, &row->blob.ident) && !row->blob.suspect)
				t = world_truth_of(w, &st);
		}
		if (fd >= 0)
			close(fd);
	}
	return t;
}

static void world_check_row(struct world *w, const struct world_row *row, unsigned char *buf)
{
	struct truth *t = world_truth_of_row(w, row);

	for (unsigned c = 0; c < w->cfg.caches; c++) {
		char path[PATH_MAX];
		int fd = -1;

		snprintf(path, sizeof(path), "%s/copies/%016llx", w->dir[c], (unsigned long long)row->blob.id);
		for (uint32_t e = 0; e < WORLD_EXTENTS && (uint64_t)e * MIB < row->blob.ident.size; e++) {
			if (!row->has[c][e])
				continue;
			if (fd < 0)
				fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0) {
				if (!w->damages && !w->lost)
					world_fail(w, "the map has extent %u of '%s' (inode %llu, '%s'%s), which is not there", e, path,
						   (unsigned long long)row->blob.ident.ino, row->blob.path,
						   row->blob.suspect ? ", suspect" : "");
				break;
			}
			world_check_extent(w, fd, row, t, e, buf);
		}
		if (fd >= 0)
			close(fd);
	}
}

static void world_note_stray(struct world *w, int dirfd, const char *name, void *ctx)
{
	const struct world_rows *r = ctx;
	uint64_t id = strtoull(name, NULL, 16);
	bool known = false;

	(void)dirfd;
	for (unsigned i = 0; i < r->n; i++)
		known = known || r->row[i].blob.id == id;
	if (!known && w->nstray < WORLD_STRAYS)
		w->stray[w->nstray++] = id;
}

void world_check_shut(struct world *w)
{
	struct world_rows *r = calloc(1, sizeof(*r));
	unsigned char *buf = malloc(MIB);
	struct map_config cfg = { .dir = w->dir[0], .io = &w->io };
	struct map_loader loader = { .setting = world_on_setting, .blob = world_on_blob, .extents = world_on_extents, .ctx = r };
	struct map_report report;
	struct map *m = NULL;
	char err[256] = "";
	int rc;

	r->w = w;
	memset(r->number, 0xff, sizeof(r->number));
	rc = map_open(&m, &cfg, &report, err, sizeof(err));
	if (rc == 0)
		rc = map_load(m, &loader);
	if (rc != 0 || report.text[0] != '\0')
		world_fail(w, "the map: %s %s %s", strerror(-rc), err, rc == 0 ? report.text : "");
	for (unsigned i = 0; rc == 0 && i < r->n; i++)
		world_check_row(w, &r->row[i], buf);
	map_close(m);
	w->nstray = 0;
	for (unsigned c = 0; rc == 0 && r->n < WORLD_ROWS && c < w->cfg.caches; c++)
		world_each_copy(w, c, world_note_stray, r);
	free(buf);
	free(r);
}

static void world_look_for_stray(struct world *w, int dirfd, const char *name, void *ctx)
{
	uint64_t id = strtoull(name, NULL, 16);
	struct stat st;

	(void)ctx;
	for (unsigned i = 0; i < w->nstray; i++)
		if (w->stray[i] == id && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			world_fail(w, "copy %s with %llu blocks was not in the map, and is still there", name,
				   (unsigned long long)st.st_blocks);
}

void world_check_swept(struct world *w)
{
	for (unsigned c = 0; c < w->cfg.caches && !world_failed(w); c++)
		world_each_copy(w, c, world_look_for_stray, NULL);
}
