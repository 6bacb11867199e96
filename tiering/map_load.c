#include "tiering/map_internal.h"

#include <errno.h>
#include <string.h>

struct map_load {
	const struct map_loader *to;
	char text[MAP_ROW_PATH_MAX + 1];        /* a path or a name, terminated */
};

static const char *map_load_text(struct map_load *l, const void *bytes, size_t len)
{
	if (len > 0)
		memcpy(l->text, bytes, len);
	l->text[len] = '\0';
	return l->text;
}

static int map_load_name(void *ctx, enum map_row_table kind, const void *name, size_t name_len, const void *value,
			 size_t len)
{
	struct map_load *l = ctx;
	const unsigned char *byte = value;

	if (kind == MAP_ROW_SETTING && l->to->setting != NULL)
		return l->to->setting(l->to->ctx, map_load_text(l, name, name_len), value, len);
	if (kind == MAP_ROW_PIN && l->to->pin != NULL && len == 1 && *byte <= MAP_PIN_NVME)
		return l->to->pin(l->to->ctx, map_load_text(l, name, name_len), (enum map_pin)*byte);
	return 0;
}

static int map_load_blob(void *ctx, const struct map_scan_blob *b)
{
	struct map_load *l = ctx;
	const struct map_blob blob = {
		.id = b->id, .ident = b->row.ident, .suspect = b->row.suspect,
		.path = map_load_text(l, b->row.path, b->row.path_len),
	};

	return l->to->blob != NULL ? l->to->blob(l->to->ctx, &blob) : 0;
}

/* Each run of bits of the chunk is one call. */
static int map_load_chunk(void *ctx, uint64_t blob, uint64_t part, const struct map_row_chunk *c)
{
	const uint64_t base = (part & (map_part(1, 0) - 1)) * MAP_ROW_EXTENTS;
	struct map_load *l = ctx;
	unsigned first = 0, end;
	int rc = 0;

	if (l->to->extents == NULL)
		return 0;
	while (rc == 0 && first < MAP_ROW_EXTENTS) {
		for (end = first; end < MAP_ROW_EXTENTS && (c->have >> end & 1); end++)
			;
		if (end > first)
			rc = l->to->extents(l->to->ctx, &(struct map_extents){
				.blob = blob, .cache = (uint8_t)(part >> MAP_PART_SHIFT), .first = base + first,
				.count = end - first, .sums = &c->sums[first],
			});
		first = end + 1;
	}
	return rc;
}

static int map_load_heat(void *ctx, uint64_t blob, const void *value, size_t len)
{
	struct map_load *l = ctx;

	return l->to->heat(l->to->ctx, blob, value, len);
}

int map_load(struct map *m, const struct map_loader *loader)
{
	struct map_load l = { .to = loader };
	const struct map_visit visit = {
		.name = map_load_name, .blob = map_load_blob, .chunk = map_load_chunk,
		.heat = loader->heat != NULL ? map_load_heat : NULL, .ctx = &l,
	};
	struct map_scan_result seen;
	int rc, none = 0;

	if (m->d.db == NULL)
		return 0;
	rc = map_scan(&m->d, &visit, &seen);
	if (rc == 0 && map_scan_damaged(&seen))
		atomic_compare_exchange_strong(&m->read_only, &none, -EIO);
	return rc;
}
