/* ram_room.c - how much memory is left: of the machine, and below every limit of our control groups.
 *
 * /proc/meminfo; /proc/self/cgroup names our groups, one line "ID:CONTROLLERS:PATH" a hierarchy, 0::PATH the
 * one of version 2 (cgroups(7)).  A directory that is not there is looked for at the root of what is mounted:
 * in a container without a namespace the path is the host's, and the mount shows our own group only.
 * Of a group what is available is its limit less its use, plus what the kernel can take of the use: the pages
 * of files that are not locked, on the active and the inactive list (memory.stat).
 */
#include "tiering/ram_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADROOM_LEAST (256ull << 20)
#define HEADROOM_PART 20                /* a twentieth of what there is */
#define HEADROOM_MOST 16                /* but of a small limit no more than a sixteenth, or 128 MiB, or a quarter: */
#define HEADROOM_SMALL (128ull << 20)   /* 64 MiB are used up between two looks by a process that takes 2 GB/s */
#define HEADROOM_QUARTER 4
#define SCARCE_PART 16

void ram_room_init(struct ram_room *m, const struct io *io, const char *proc, const char *cgroup)
{
	*m = (struct ram_room){ .io = io };
	snprintf(m->proc, sizeof(m->proc), "%s", proc != NULL ? proc : "/proc");
	snprintf(m->cgroup, sizeof(m->cgroup), "%s", cgroup != NULL ? cgroup : "/sys/fs/cgroup");
	ram_room_find(m);
}

/* The file's text, terminated; 0 or negative errno. */
static int read_text(const struct io *io, const char *dir, const char *name, char *buf, size_t cap)
{
	char path[2 * RAM_PATH];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	n = io_pread(io, fd, buf, cap - 1, 0);
	io_close(io, fd);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	return 0;
}

/* The number behind a word at the start of a line; 0 when there is none. */
static uint64_t number_after(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, word, len) == 0)
			return strtoull(line + len, NULL, 10);
	}
	return 0;
}

/* A limit or a use; UINT64_MAX for "max" and for none. */
static uint64_t read_number(const struct io *io, const char *dir, const char *name)
{
	char text[64], *end;
	uint64_t n;

	if (read_text(io, dir, name, text, sizeof(text)) != 0)
		return UINT64_MAX;
	n = strtoull(text, &end, 10);
	return end != text && n < INT64_MAX / 4096 * 4096ull ? n : UINT64_MAX;
}

static uint64_t limit_of(const struct ram_room *m, const char *dir, bool v2)
{
	uint64_t most, high;

	if (!v2)
		return read_number(m->io, dir, "memory.limit_in_bytes");
	most = read_number(m->io, dir, "memory.max");
	high = read_number(m->io, dir, "memory.high");
	return most < high ? most : high;
}

bool ram_room_limited(const struct ram_room *m, const char *dir, bool v2)
{
	return limit_of(m, dir, v2) != UINT64_MAX;
}

/* ---- our groups ---- */

static void add_group(struct ram_room *m, const char *dir, bool v2)
{
	struct ram_group *g = &m->group[m->groups];
	struct stat st;

	if (m->groups == sizeof(m->group) / sizeof(m->group[0]) || stat(dir, &st) == -1)
		return;
	snprintf(g->dir, sizeof(g->dir), "%s", dir);
	g->ino = st.st_ino;
	g->v2 = v2;
	g->limited = ram_room_limited(m, dir, v2);
	m->groups++;
}

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The group and those above it, up to the root of its hierarchy. */
static void add_chain(struct ram_room *m, const char *root, const char *path, bool v2)
{
	char dir[RAM_PATH];
	size_t top = strlen(root);

	if (strstr(path, "..") != NULL || (size_t)snprintf(dir, sizeof(dir), "%s%s", root, path) >= sizeof(dir) || !is_dir(dir)) {
		if ((size_t)snprintf(dir, sizeof(dir), "%s", root) >= sizeof(dir))
			return;
	}
	for (;;) {
		char *slash = strrchr(dir, '/');

		while (slash != NULL && slash > dir && slash[1] == '\0' && strlen(dir) > top) {
			*slash = '\0';
			slash = strrchr(dir, '/');
		}
		add_group(m, dir, v2);
		if (strlen(dir) <= top || slash == NULL)
			break;
		*slash = '\0';
	}
}

static bool has_memory(const char *controllers)
{
	const char *at = strstr(controllers, "memory");

	return at != NULL && (at == controllers || at[-1] == ',') && (at[6] == '\0' || at[6] == ',');
}

/* One line of /proc/self/cgroup. */
static void add_line(struct ram_room *m, char *line)
{
	char root[RAM_PATH + 16], *controllers, *path;

	controllers = strchr(line, ':');
	path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
	if (path == NULL)
		return;
	*path++ = '\0';
	controllers++;
	if (*controllers == '\0') {
		snprintf(root, sizeof(root), "%s/unified", m->cgroup);
		if (!is_dir(root))
			snprintf(root, sizeof(root), "%s", m->cgroup);
		add_chain(m, root, path, true);
	} else if (has_memory(controllers)) {
		snprintf(root, sizeof(root), "%s/memory", m->cgroup);
		add_chain(m, root, path, false);
	}
}

void ram_room_find(struct ram_room *m)
{
	char text[4096], *line, *save = NULL;

	m->groups = 0;
	if (read_text(m->io, m->proc, "self/cgroup", text, sizeof(text)) != 0)
		return;
	for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		add_line(m, line);
}

/* ---- what is left ---- */

static uint64_t headroom_of(uint64_t total)
{
	uint64_t part = total / HEADROOM_PART, most = total / HEADROOM_MOST;

	part = part > HEADROOM_LEAST ? part : HEADROOM_LEAST;
	most = most > HEADROOM_SMALL ? most : HEADROOM_SMALL;
	most = most < total / HEADROOM_QUARTER ? most : total / HEADROOM_QUARTER;
	return part < most ? part : most;
}

static void level_fill(struct ram_level *l, uint64_t total, uint64_t available, uint64_t unused)
{
	l->total = total;
	l->available = available < total ? available : total;
	l->free = unused;
	l->headroom = headroom_of(total);
	l->slack = (int64_t)l->available - (int64_t)l->headroom;
	l->scarce = unused < l->headroom || unused < total / SCARCE_PART;
}

static void level_machine(const struct ram_room *m, struct ram_level *l)
{
	char text[4096];

	if (read_text(m->io, m->proc, "meminfo", text, sizeof(text)) != 0)
		text[0] = '\0';
	level_fill(l, number_after(text, "MemTotal:") << 10, number_after(text, "MemAvailable:") << 10,
		   number_after(text, "MemFree:") << 10);
	l->mem_available = l->available;
}

/* False when it has no limit. */
static bool level_group(const struct ram_room *m, const struct ram_group *g, struct ram_level *l)
{
	uint64_t limit = limit_of(m, g->dir, g->v2), used, files;
	char text[8192];

	if (limit == UINT64_MAX)
		return false;
	used = read_number(m->io, g->dir, g->v2 ? "memory.current" : "memory.usage_in_bytes");
	if (used > limit)
		used = limit;
	if (read_text(m->io, g->dir, "memory.stat", text, sizeof(text)) != 0)
		text[0] = '\0';
	files = g->v2 ? number_after(text, "inactive_file ") + number_after(text, "active_file ") :
			number_after(text, "total_inactive_file ") + number_after(text, "total_active_file ");
	if (files > used)
		files = used;
	level_fill(l, limit, limit - used + files, limit - used);
	return true;
}

void ram_room_read(const struct ram_room *m, struct ram_level *out)
{
	struct ram_level l;

	level_machine(m, out);
	for (unsigned i = 0; i < m->groups; i++) {
		if (!m->group[i].limited || !level_group(m, &m->group[i], &l))
			continue;
		l.mem_available = out->mem_available;
		l.scarce = l.scarce || out->scarce;
		if (l.slack < out->slack)
			*out = l;
		out->scarce = l.scarce;
	}
}

uint64_t ram_room_total(const struct ram_room *m)
{
	uint64_t total, limit;
	char text[4096];

	if (read_text(m->io, m->proc, "meminfo", text, sizeof(text)) != 0)
		text[0] = '\0';
	total = number_after(text, "MemTotal:") << 10;
	for (unsigned i = 0; i < m->groups; i++) {
		limit = limit_of(m, m->group[i].dir, m->group[i].v2);
		if (limit < total)
			total = limit;
	}
	return total;
}
