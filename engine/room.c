/* room.c - see room.h. */
#include "engine/room.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE 4096u
#define V1_NO_LIMIT ((uint64_t)1 << 60) /* version 1 says "none" as a number of pages just below 2^63 bytes */

/* One hierarchy that limits memory: where its groups are, and the process's. */
struct groups {
	bool found, v1;
	char mount[PATH_MAX];           /* below root */
	char top[PATH_MAX];             /* the group that is mounted there */
	char path[PATH_MAX];            /* the process's group */
};

static FILE *open_at(const char *root, const char *path)
{
	char full[2 * PATH_MAX];

	if ((size_t)snprintf(full, sizeof(full), "%s%s", root, path) >= sizeof(full))
		return NULL;
	return fopen(full, "re");
}

/* The number behind `name` and blanks at the start of a line of a file, times unit. */
static bool field(const char *root, const char *path, const char *name, uint64_t unit, uint64_t *out)
{
	FILE *f = open_at(root, path);
	size_t n = strlen(name);
	char line[256];
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, name, n) != 0 || strchr(" \t", line[n]) == NULL)
			continue;
		found = sscanf(line + n, "%" SCNu64, out) == 1 && !__builtin_mul_overflow(*out, unit, out);
	}
	fclose(f);
	return found;
}

/* A file that is one number; "max" is none. */
static bool number(const char *root, const char *group, const char *name, uint64_t *out)
{
	char path[2 * PATH_MAX], text[64];
	bool found;
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", group, name) >= sizeof(path) || (f = open_at(root, path)) == NULL)
		return false;
	found = fgets(text, sizeof(text), f) != NULL && sscanf(text, "%" SCNu64, out) == 1;
	fclose(f);
	return found;
}

/* ---- which groups -------------------------------------------------------------------------------- */

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *at;

	for (at = list; (at = strstr(at, word)) != NULL; at += n)
		if ((at == list || at[-1] == ',') && (at[n] == '\0' || at[n] == ',' || at[n] == '\n'))
			return true;
	return false;
}

/* proc_pid_mountinfo(5): ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [FIELDS] - TYPE SOURCE SUPEROPTIONS.  Of version 1 the
 * hierarchy of memory counts before version 2's, which then has no memory controller. */
static void find_mounts(const char *root, struct groups *g)
{
	char line[3 * PATH_MAX], top[PATH_MAX], mount[PATH_MAX], type[32], super[LINE];
	FILE *f = open_at(root, "/proc/self/mountinfo");
	const char *tail;
	bool v1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		tail = strstr(line, " - ");
		if (tail == NULL || sscanf(line, "%*s %*s %*s %4095s %4095s", top, mount) != 2 ||
		    sscanf(tail, " - %31s %*s %4095s", type, super) != 2)
			continue;
		v1 = strcmp(type, "cgroup") == 0 && has_word(super, "memory");
		if (!v1 && (strcmp(type, "cgroup2") != 0 || g->found))
			continue;
		g->found = true;
		g->v1 = v1;
		memcpy(g->mount, mount, sizeof(g->mount));
		memcpy(g->top, top, sizeof(g->top));
		if (v1)
			break;
	}
	if (f != NULL)
		fclose(f);
}

/* proc_pid_cgroup(5): ID:CONTROLLERS:PATH, of version 2 0::PATH. */
static bool find_path(const char *root, struct groups *g)
{
	FILE *f = open_at(root, "/proc/self/cgroup");
	char line[PATH_MAX + 256], *list, *path;
	bool found = false;

	while (!found && f != NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		list = strchr(line, ':');
		path = list != NULL ? strchr(list + 1, ':') : NULL;
		if (path == NULL)
			continue;
		*path++ = '\0';
		found = (g->v1 ? has_word(list + 1, "memory") : list[1] == '\0') && strlen(path) < sizeof(g->path);
		if (found)
			memcpy(g->path, path, strlen(path) + 1);
	}
	if (f != NULL)
		fclose(f);
	return found;
}

/* ---- what they leave ----------------------------------------------------------------------------- */

static void least(uint64_t *n, uint64_t other)
{
	if (other < *n)
		*n = other;
}

/* Limit, use and the page cache in it of one group; without a limit nothing. */
static void look_at(const char *root, const char *group, bool v1, struct room *out)
{
	uint64_t limit = ROOM_NONE, high, used = 0, active = 0, inactive = 0;
	char stat[2 * PATH_MAX];

	if (v1) {
		if (!number(root, group, "memory.limit_in_bytes", &limit) || limit >= V1_NO_LIMIT)
			return;
		number(root, group, "memory.usage_in_bytes", &used);
	} else {
		if (!number(root, group, "memory.max", &limit))
			limit = ROOM_NONE;
		if (number(root, group, "memory.high", &high))
			least(&limit, high);
		if (limit == ROOM_NONE)
			return;
		number(root, group, "memory.current", &used);
	}
	if ((size_t)snprintf(stat, sizeof(stat), "%s/memory.stat", group) >= sizeof(stat))
		return;
	field(root, stat, v1 ? "total_active_file" : "active_file", 1, &active);
	field(root, stat, v1 ? "total_inactive_file" : "inactive_file", 1, &inactive);
	used = used > active + inactive ? used - active - inactive : 0;
	least(&out->limit, limit);
	least(&out->left, limit > used ? limit - used : 0);
}

/* From the process's group up to the one that is mounted. */
static void look_up(const char *root, const struct groups *g, struct room *out)
{
	char group[2 * PATH_MAX];
	size_t top = strlen(g->top), stop = strlen(g->mount);
	const char *below = g->path;

	if (strcmp(g->top, "/") != 0)   /* inside a container its own group may be mounted as the root */
		below = strncmp(g->path, g->top, top) == 0 && (g->path[top] == '/' || g->path[top] == '\0') ? g->path + top : "";
	if (strcmp(below, "/") == 0 || strstr(below, "/..") != NULL)
		below = "";
	if ((size_t)snprintf(group, sizeof(group), "%s%s", g->mount, below) >= sizeof(group))
		return;
	for (;;) {
		look_at(root, group, g->v1, out);
		if (strlen(group) <= stop)
			return;
		*strrchr(group, '/') = '\0';
	}
}

int room_read(struct room *out, const char *root)
{
	struct groups g = { 0 };

	*out = (struct room){ ROOM_NONE, ROOM_NONE, ROOM_NONE, ROOM_NONE };
	if (!field(root, "/proc/meminfo", "MemTotal:", 1024, &out->total) ||
	    !field(root, "/proc/meminfo", "MemAvailable:", 1024, &out->available)) {
		*out = (struct room){ ROOM_NONE, ROOM_NONE, ROOM_NONE, ROOM_NONE };
		return -ENOENT;
	}
	out->left = out->available;
	find_mounts(root, &g);
	if (g.found && find_path(root, &g))
		look_up(root, &g, out);
	return 0;
}
