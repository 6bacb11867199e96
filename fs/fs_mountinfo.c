#include "fs/fs_mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Blanks, tabs, newlines and backslashes are written as three octal digits. */
void fs_mountinfo_unescape(char *out, size_t cap, const char *in)
{
	size_t n = 0;

	while (*in != '\0' && n + 1 < cap) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] != '\0' && in[3] != '\0') {
			out[n++] = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			out[n++] = *in++;
		}
	}
	out[n] = '\0';
}

/* "ID PARENT MAJOR:MINOR ROOT DIR OPTIONS [FIELD...] - TYPE SOURCE SUPEROPTIONS" */
static bool fs_mountinfo_parse(char *line, struct fs_mount *m)
{
	char *dash = strstr(line, " - "), *save = NULL, *field[5], *type, *source;

	if (dash == NULL)
		return false;
	*dash = '\0';
	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (field[i] == NULL)
			return false;
	}
	type = strtok_r(dash + 3, " ", &save);
	source = strtok_r(NULL, " \n", &save);
	if (type == NULL || source == NULL || sscanf(field[2], "%u:%u", &m->major, &m->minor) != 2)
		return false;
	fs_mountinfo_unescape(m->dir, sizeof(m->dir), field[4]);
	fs_mountinfo_unescape(m->type, sizeof(m->type), type);
	fs_mountinfo_unescape(m->source, sizeof(m->source), source);
	return true;
}

static int fs_mountinfo_each_of(const char *file, bool (*each)(void *ctx, const struct fs_mount *m), void *ctx)
{
	struct fs_mount m;
	char *line = NULL;
	size_t cap = 0;
	FILE *f;

	f = fopen(file, "re");
	if (f == NULL)
		return -errno;
	while (getline(&line, &cap, f) != -1)
		if (fs_mountinfo_parse(line, &m) && !each(ctx, &m))
			break;
	free(line);
	fclose(f);
	return 0;
}

int fs_mountinfo_each(bool (*each)(void *ctx, const struct fs_mount *m), void *ctx)
{
	return fs_mountinfo_each_of("/proc/self/mountinfo", each, ctx);
}

struct fs_mountinfo_search {
	const char *dir;
	struct fs_mount *out;
	bool found;
};

static bool fs_mountinfo_match_at(void *ctx, const struct fs_mount *m)
{
	struct fs_mountinfo_search *s = ctx;

	if (strcmp(m->dir, s->dir) == 0) {
		*s->out = *m;
		s->found = true;
	}
	return true;
}

static bool fs_mountinfo_match_of(void *ctx, const struct fs_mount *m)
{
	struct fs_mountinfo_search *s = ctx;

	if ((strcmp(m->dir, s->dir) == 0 || fs_path_below(s->dir, m->dir)) &&
	    (!s->found || strlen(m->dir) >= strlen(s->out->dir))) {
		*s->out = *m;
		s->found = true;
	}
	return true;
}

static bool fs_mountinfo_match_disk(void *ctx, const struct fs_mount *m)
{
	return strcmp(m->type, FS_MOUNT_TYPE) == 0 || fs_mountinfo_match_of(ctx, m);
}

static int fs_mountinfo_search(struct fs_mountinfo_search *s, bool (*match)(void *, const struct fs_mount *))
{
	int rc = fs_mountinfo_each(match, s);

	if (rc != 0)
		return rc;
	return s->found ? 0 : -ENOENT;
}

int fs_mountinfo_at(const char *dir, struct fs_mount *out)
{
	struct fs_mountinfo_search s = { .dir = dir, .out = out };

	return fs_mountinfo_search(&s, fs_mountinfo_match_at);
}

int fs_mountinfo_of(const char *dir, struct fs_mount *out)
{
	struct fs_mountinfo_search s = { .dir = dir, .out = out };

	return fs_mountinfo_search(&s, fs_mountinfo_match_of);
}

int fs_mountinfo_disk_of(const char *root, const char *dir, struct fs_mount *out)
{
	struct fs_mountinfo_search s = { .dir = dir, .out = out };
	char file[PATH_MAX];
	int rc;

	if (snprintf(file, sizeof(file), "%s/proc/self/mountinfo", root) >= (int)sizeof(file))
		return -ENAMETOOLONG;
	rc = fs_mountinfo_each_of(file, fs_mountinfo_match_disk, &s);
	if (rc != 0)
		return rc;
	return s.found ? 0 : -ENOENT;
}

bool fs_path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return path[0] == '/' && path[1] != '\0';
	return strncmp(path, dir, n) == 0 && path[n] == '/';
}
