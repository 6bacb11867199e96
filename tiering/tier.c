#include "tiering/tier.h"
#include "tiering/residency.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tier {
	const struct io *io;
	struct home *home;
};

const char *tier_name(enum tier_id id)
{
	static const char *const names[TIER_COUNT] = { [TIER_RAM] = "ram", [TIER_HOME] = "home" };

	return names[id];
}

int tier_open(struct tier **out, const char *home_dir, const struct io *io, char *err, size_t errlen)
{
	struct tier *t;
	int rc;

	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	t->io = io;
	rc = home_open(&t->home, home_dir, io, err, errlen);
	if (rc != 0) {
		free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void tier_close(struct tier *t)
{
	if (t == NULL)
		return;
	home_close(t->home);
	free(t);
}

const struct home *tier_home(const struct tier *t)
{
	return t->home;
}

const struct io *tier_io(const struct tier *t)
{
	return t->io;
}

int tier_usage_of(const struct tier *t, int fd, const struct stat *st, struct tier_usage *out)
{
	uint64_t size = (uint64_t)st->st_size, allocated = (uint64_t)st->st_blocks * 512;
	struct tier_usage u;
	int rc;

	(void)t;
	rc = residency_bytes(fd, 0, size, &u.bytes[TIER_RAM]);
	if (rc != 0)
		return rc;
	u.bytes[TIER_HOME] = allocated < size ? allocated : size;
	*out = u;
	return 0;
}

int tier_usage_print(const struct tier_usage *u, char *buf, size_t cap)
{
	return snprintf(buf, cap, "%s=%llu %s=%llu", tier_name(TIER_RAM), (unsigned long long)u->bytes[TIER_RAM],
			tier_name(TIER_HOME), (unsigned long long)u->bytes[TIER_HOME]);
}

/* Does [off, off + len) hold any data?  *data_at and *hole_at remember the last answer of lseek, so a
 * pass in ascending order asks once for each stretch.  File systems that cannot say have data. */
static bool tier_has_data(const struct tier *t, int fd, off_t off, off_t len, off_t *data_at, off_t *hole_at)
{
	if (off >= *hole_at) {
		*data_at = io_lseek(t->io, fd, off, SEEK_DATA);
		*hole_at = *data_at >= 0 ? io_lseek(t->io, fd, *data_at, SEEK_HOLE) : -1;
		if (*data_at == -ENXIO) {       /* no data from here to the end */
			*data_at = *hole_at = INT64_MAX;
		} else if (*data_at < 0 || *hole_at < 0) {
			*data_at = 0;
			*hole_at = INT64_MAX;
		}
	}
	return *data_at < off + len;
}

static unsigned tier_extent_where(const struct tier *t, int fd, off_t off, off_t len, off_t *data_at, off_t *hole_at)
{
	uint64_t resident;
	unsigned where = 0;

	if (residency_bytes(fd, (uint64_t)off, (uint64_t)len, &resident) == 0 && resident == (uint64_t)len)
		where |= 1u << TIER_RAM;
	if (tier_has_data(t, fd, off, len, data_at, hole_at))
		where |= 1u << TIER_HOME;
	return where;
}

static void tier_run_print(FILE *f, uint64_t first, uint64_t count, unsigned where)
{
	const char *sep = "";

	fprintf(f, "%llu %llu ", (unsigned long long)first, (unsigned long long)count);
	for (int id = 0; id < TIER_COUNT; id++) {
		if (where & 1u << id) {
			fprintf(f, "%s%s", sep, tier_name(id));
			sep = "+";
		}
	}
	fprintf(f, "%s\n", where == 0 ? "none" : "");
}

int tier_map_print(const struct tier *t, int fd, const struct stat *st, char **out)
{
	off_t size = st->st_size, data_at = 0, hole_at = -1;
	uint64_t count = ((uint64_t)size + TIER_EXTENT_BYTES - 1) / TIER_EXTENT_BYTES, first = 0;
	unsigned where = 0;
	size_t text_bytes;
	char *text = NULL;
	FILE *f;

	f = open_memstream(&text, &text_bytes);
	if (f == NULL)
		return -errno;
	fprintf(f, "extent %u count %llu\n", TIER_EXTENT_BYTES, (unsigned long long)count);
	for (uint64_t i = 0; i < count; i++) {
		off_t off = (off_t)(i * TIER_EXTENT_BYTES);
		off_t len = size - off < (off_t)TIER_EXTENT_BYTES ? size - off : (off_t)TIER_EXTENT_BYTES;
		unsigned here = tier_extent_where(t, fd, off, len, &data_at, &hole_at);

		if (i > 0 && here != where) {
			tier_run_print(f, first, i - first, where);
			first = i;
		}
		where = here;
	}
	if (count > 0)
		tier_run_print(f, first, count - first, where);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}
