/* ram_charge.c - whose memory a page is charged to.
 *
 * /proc/self/pagemap gives the frame of a mapped page (bits 0 to 54, bit 63: present), /proc/kpagecgroup the
 * inode number of the control group a frame is charged to, 0 for none (both: the kernel's
 * admin-guide/mm/pagemap.rst).  One page in sixteen is looked at: what one fault or one read brings in, which
 * is charged to one group, is 64 KiB and more.
 */
#include "tiering/ram_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STRIDE 16
#define FRAME ((1ull << 55) - 1)
#define PRESENT (1ull << 63)
#define REMEMBER_MS 10000
#define GROUPS_MOST 4096                /* directories looked at in search of one */
#define DEPTH_MOST 12

int ram_charge_open(struct ram_charge *c)
{
	*c = (struct ram_charge){ .owner = -1, .pagemap = -1 };
	c->owner = open("/proc/kpagecgroup", O_RDONLY | O_CLOEXEC);
	if (c->owner == -1)
		return errno == ENOENT ? 0 : -EACCES;           /* a kernel without such groups has no such file */
	c->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return c->pagemap == -1 ? -EACCES : 0;
}

void ram_charge_close(struct ram_charge *c)
{
	if (c->owner != -1)
		close(c->owner);
	if (c->pagemap != -1)
		close(c->pagemap);
	c->owner = c->pagemap = -1;
}

static const struct ram_group *is_ours(const struct ram_room *m, uint64_t ino)
{
	for (unsigned i = 0; i < m->groups; i++) {
		if (m->group[i].ino == ino)
			return &m->group[i];
	}
	return NULL;
}

struct search {
	const struct ram_room *m;
	uint64_t ino;
	bool v2;
	unsigned left;                  /* directories that may be opened still */
	bool found, limited;
};

/* Below dir; limited: there is a limit above, of a group that is not ours. */
static void search_below(struct search *s, const char *dir, bool limited, unsigned depth)
{
	char path[RAM_PATH * 2];
	struct dirent *e;
	DIR *d;

	if (depth == DEPTH_MOST || s->left == 0 || (d = opendir(dir)) == NULL)
		return;
	s->left--;
	while (!s->found && (e = readdir(d)) != NULL) {
		bool own, here;

		if (e->d_type != DT_DIR || e->d_name[0] == '.' || strlen(dir) + strlen(e->d_name) + 2 > RAM_PATH)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		own = is_ours(s->m, e->d_ino) != NULL;
		here = !own && (limited || ram_room_limited(s->m, path, s->v2));
		if (e->d_ino == s->ino) {
			s->found = true;
			s->limited = here;
		} else {
			search_below(s, path, here, depth + 1);
		}
	}
	closedir(d);
}

/* A group that is not found has gone, and its pages with it to one above; until that is seen it counts as
 * limited. */
static bool ino_is_foreign(const struct ram_room *m, uint64_t ino)
{
	const struct ram_group *root = NULL;
	struct search s = { .m = m, .ino = ino, .left = GROUPS_MOST };

	if (ino == 0 || is_ours(m, ino) != NULL)
		return false;
	for (unsigned i = 0; i < m->groups && !s.found; i++) {
		if (i + 1 < m->groups && m->group[i + 1].v2 == m->group[i].v2)
			continue;
		root = &m->group[i];            /* the last of a chain */
		s.v2 = root->v2;
		search_below(&s, root->dir, false, 0);
	}
	return !s.found || s.limited;
}

static bool foreign(struct ram_charge *c, const struct ram_room *m, uint64_t ino, uint64_t now_ms)
{
	const unsigned n = sizeof(c->seen) / sizeof(c->seen[0]);
	struct ram_charge_seen *s;

	for (unsigned i = 0; i < n; i++) {
		if (c->seen[i].ino == ino && c->seen[i].until_ms > now_ms)
			return c->seen[i].foreign;
	}
	s = &c->seen[c->next++ % n];
	*s = (struct ram_charge_seen){ .ino = ino, .until_ms = now_ms + REMEMBER_MS, .foreign = ino_is_foreign(m, ino) };
	return s->foreign;
}

bool ram_charge_foreign(struct ram_charge *c, const struct ram_room *m, const void *map, size_t len,
			const unsigned char *resident, uint64_t now_ms)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), entry[RAM_UNIT_BYTES / 4096], ino, last = UINT64_MAX;
	size_t pages = (len + page - 1) / page;

	if (c->owner == -1 || m->groups == 0)
		return false;
	if (pread(c->pagemap, entry, pages * 8, (off_t)((uintptr_t)map / page * 8)) != (ssize_t)(pages * 8))
		return true;
	for (size_t i = 0; i < pages; i += STRIDE) {
		if (!(resident[i] & 1) || !(entry[i] & PRESENT))
			continue;
		if (pread(c->owner, &ino, 8, (off_t)((entry[i] & FRAME) * 8)) != 8)
			return true;
		if (ino != last && foreign(c, m, ino, now_ms))
			return true;
		last = ino;
	}
	return false;
}
