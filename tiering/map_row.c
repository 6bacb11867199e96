#include "tiering/map_row.h"
#include "tiering/sums.h"

#include <errno.h>
#include <string.h>

#define MAP_ROW_SUSPECT 1u
#define MAP_ROW_BLOB_FIXED (MAP_ROW_BLOB_MAX - MAP_ROW_PATH_MAX)

static unsigned char *map_row_put(unsigned char *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * i));
	return p + bytes;
}

static uint64_t map_row_take(const unsigned char **p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)(*p)[i] << (8 * i);
	*p += bytes;
	return v;
}

static uint64_t map_row_check(const void *value, size_t len)
{
	const unsigned char *p = (const unsigned char *)value + len - MAP_ROW_CHECK;

	return map_row_take(&p, MAP_ROW_CHECK);
}

uint64_t map_row_key(enum map_row_table table, uint64_t a, uint64_t b)
{
	unsigned char key[17];

	key[0] = (unsigned char)table;
	map_row_put(map_row_put(key + 1, a, 8), b, 8);
	return sums_bytes(key, sizeof(key), 0);
}

uint64_t map_row_key_named(enum map_row_table table, const void *name, size_t len)
{
	return sums_bytes(name, len, (uint64_t)table);
}

size_t map_row_seal(unsigned char *value, size_t len, uint64_t key)
{
	map_row_put(value + len, sums_bytes(value, len, key), MAP_ROW_CHECK);
	return len + MAP_ROW_CHECK;
}

int map_row_verify(const void *value, size_t len, uint64_t key)
{
	if (value == NULL || len < MAP_ROW_CHECK)
		return -EBADMSG;
	return sums_bytes(value, len - MAP_ROW_CHECK, key) == map_row_check(value, len) ? 0 : -EBADMSG;
}

size_t map_row_blob_encode(const struct map_row_blob *b, uint64_t key, unsigned char *out)
{
	unsigned char *p = out;

	p = map_row_put(p, b->suspect ? MAP_ROW_SUSPECT : 0, 1);
	p = map_row_put(p, b->ident.ino, 8);
	p = map_row_put(p, b->ident.size, 8);
	p = map_row_put(p, (uint64_t)b->ident.mtime.tv_sec, 8);
	p = map_row_put(p, (uint64_t)b->ident.mtime.tv_nsec, 4);
	p = map_row_put(p, (uint64_t)b->ident.ctime.tv_sec, 8);
	p = map_row_put(p, (uint64_t)b->ident.ctime.tv_nsec, 4);
	p = map_row_put(p, b->chunks.rows, 8);
	p = map_row_put(p, b->chunks.sum, 8);
	p = map_row_put(p, b->path_len, 2);
	if (b->path_len > 0)
		memcpy(p, b->path, b->path_len);
	return map_row_seal(out, (size_t)(p - out) + b->path_len, key);
}

int map_row_blob_decode(const void *value, size_t len, uint64_t key, struct map_row_blob *out)
{
	const unsigned char *p = value;
	struct map_row_blob b;
	uint64_t flags;

	if (len < MAP_ROW_BLOB_FIXED || len > MAP_ROW_BLOB_MAX || map_row_verify(value, len, key) != 0)
		return -EBADMSG;
	memset(&b, 0, sizeof(b));
	flags = map_row_take(&p, 1);
	b.suspect = (flags & MAP_ROW_SUSPECT) != 0;
	b.ident.ino = map_row_take(&p, 8);
	b.ident.size = map_row_take(&p, 8);
	b.ident.mtime.tv_sec = (time_t)map_row_take(&p, 8);
	b.ident.mtime.tv_nsec = (long)map_row_take(&p, 4);
	b.ident.ctime.tv_sec = (time_t)map_row_take(&p, 8);
	b.ident.ctime.tv_nsec = (long)map_row_take(&p, 4);
	b.chunks.rows = map_row_take(&p, 8);
	b.chunks.sum = map_row_take(&p, 8);
	b.path_len = (size_t)map_row_take(&p, 2);
	if ((flags & ~MAP_ROW_SUSPECT) != 0 || b.path_len != len - MAP_ROW_BLOB_FIXED)
		return -EBADMSG;
	b.path = (const char *)p;
	*out = b;
	return 0;
}

size_t map_row_chunk_encode(const struct map_row_chunk *c, uint64_t key, unsigned char *out)
{
	unsigned char *p = map_row_put(out, c->have, 8);

	for (int i = 0; i < MAP_ROW_EXTENTS; i++)
		if (c->have >> i & 1)
			p = map_row_put(p, c->sums[i], 8);
	return map_row_seal(out, (size_t)(p - out), key);
}

int map_row_chunk_decode(const void *value, size_t len, uint64_t key, struct map_row_chunk *out)
{
	const unsigned char *p = value;
	uint64_t have;

	if (len < 8 + MAP_ROW_CHECK || len > MAP_ROW_CHUNK_MAX || map_row_verify(value, len, key) != 0)
		return -EBADMSG;
	have = map_row_take(&p, 8);
	if (have == 0 || len != 8 + 8 * (size_t)__builtin_popcountll(have) + MAP_ROW_CHECK)
		return -EBADMSG;
	out->have = have;
	for (int i = 0; i < MAP_ROW_EXTENTS; i++)
		out->sums[i] = have >> i & 1 ? map_row_take(&p, 8) : 0;
	return 0;
}

size_t map_row_root_encode(const struct map_row_set *s, uint64_t key, unsigned char *out)
{
	map_row_put(map_row_put(out, s->rows, 8), s->sum, 8);
	return map_row_seal(out, MAP_ROW_ROOT_LEN - MAP_ROW_CHECK, key);
}

int map_row_root_decode(const void *value, size_t len, uint64_t key, struct map_row_set *out)
{
	const unsigned char *p = value;

	if (len != MAP_ROW_ROOT_LEN || map_row_verify(value, len, key) != 0)
		return -EBADMSG;
	out->rows = map_row_take(&p, 8);
	out->sum = map_row_take(&p, 8);
	return 0;
}

void map_row_set_add(struct map_row_set *s, const void *value, size_t len)
{
	s->rows++;
	s->sum += map_row_check(value, len);
}

void map_row_set_remove(struct map_row_set *s, const void *value, size_t len)
{
	s->rows--;
	s->sum -= map_row_check(value, len);
}

bool map_row_set_equal(const struct map_row_set *a, const struct map_row_set *b)
{
	return a->rows == b->rows && a->sum == b->sum;
}
