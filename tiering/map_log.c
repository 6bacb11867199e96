#include "tiering/map_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* SQLite's write-ahead log (sqlite.org/fileformat2.html, section 4): a header of 32 bytes, then frames of a
 * header of 24 bytes and a page.  All numbers are big-endian.
 *	header  magic, version, page size, sequence, salt 1, salt 2, sum 1, sum 2
 *	frame   page number, pages of the file (0 but in the last frame of a commit), salts, sums
 * Each frame's sums run on from those before it, so the log ends, for SQLite, at the first that do not fit:
 * a commit that was being written when the power went, or damage.  A commit is begun only after the one
 * before it was synced.  So when two commits meet behind the end, the first was acknowledged.  They meet behind
 * a frame that says so, and where page numbers, which rise within a commit, fall: one of the two tells also
 * when the damage is in the other.  For the same reason one of the two salts is enough to know a frame by;
 * what an earlier use of the log left behind has neither. */
#define MAP_LOG_HEAD  32
#define MAP_LOG_FRAME 24
#define MAP_LOG_PAGE  65536             /* the largest */

struct map_log_sum {
	uint32_t a, b;
	bool big;                       /* the byte order of the words summed */
};

static uint32_t map_log_word(const unsigned char *p, bool big)
{
	if (big)
		return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void map_log_sum_add(struct map_log_sum *s, const unsigned char *p, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		s->a += map_log_word(p + i, s->big) + s->b;
		s->b += map_log_word(p + i + 4, s->big) + s->a;
	}
}

static bool map_log_sum_is(const struct map_log_sum *s, const unsigned char *at)
{
	return s->a == map_log_word(at, true) && s->b == map_log_word(at + 4, true);
}

/* The frames of one log, read in order. */
struct map_log {
	const struct io *io;
	int fd;
	size_t page;
	unsigned char *frame;           /* the one that was read last */
	struct map_log_sum sum;
	bool whole;                     /* up to and with the last frame read */
	bool salted;                    /* the salts are known */
	unsigned char salts[8];
};

static bool map_log_read_head(struct map_log *l)
{
	unsigned char head[MAP_LOG_HEAD];
	uint32_t magic, page;

	if (io_pread(l->io, l->fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return false;
	magic = map_log_word(head, true);
	page = map_log_word(head + 8, true);
	l->page = page >= 512 && page <= MAP_LOG_PAGE && (page & (page - 1)) == 0 ? page : 4096;
	l->sum.big = (magic & 1) != 0;
	map_log_sum_add(&l->sum, head, 24);
	l->whole = (magic & ~1u) == 0x377f0682 && page == l->page && map_log_sum_is(&l->sum, head + 24);
	l->salted = l->whole;
	memcpy(l->salts, head + 16, sizeof(l->salts));
	return true;
}

/* False at the end of the file. */
static bool map_log_read_frame(struct map_log *l, uint64_t n)
{
	const size_t len = MAP_LOG_FRAME + l->page;

	if (io_pread(l->io, l->fd, l->frame, len, (off_t)(MAP_LOG_HEAD + n * len)) != (ssize_t)len)
		return false;
	if (!l->salted) {
		memcpy(l->salts, l->frame + 8, sizeof(l->salts));
		l->salted = true;
	}
	if (!l->whole)
		return true;
	map_log_sum_add(&l->sum, l->frame, 8);
	map_log_sum_add(&l->sum, l->frame + MAP_LOG_FRAME, l->page);
	l->whole = memcmp(l->salts, l->frame + 8, sizeof(l->salts)) == 0 && map_log_sum_is(&l->sum, l->frame + 16);
	return true;
}

static bool map_log_is_ours(const struct map_log *l)
{
	return memcmp(l->salts, l->frame + 8, 4) == 0 || memcmp(l->salts + 4, l->frame + 12, 4) == 0;
}

bool map_log_lost(const struct io *io, int dirfd, const char *name)
{
	struct map_log l = { .io = io };
	bool any = false, commit = false, lost = false;
	uint32_t page, last = 0;

	l.fd = io_open_beneath(io, dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (l.fd < 0)
		return false;
	l.frame = malloc(MAP_LOG_FRAME + MAP_LOG_PAGE);
	if (l.frame == NULL || !map_log_read_head(&l))
		goto close_fd;
	for (uint64_t n = 0; !lost && map_log_read_frame(&l, n); n++) {
		if (l.whole || !map_log_is_ours(&l))
			continue;
		page = map_log_word(l.frame, true);
		lost = any && (commit || page <= last);
		any = true;
		last = page;
		commit = map_log_word(l.frame + 4, true) != 0;
	}

close_fd:
	free(l.frame);
	io_close(io, l.fd);
	return lost;
}
