#include "tiering/map_internal.h"

#include <errno.h>
#include <string.h>

/* A blob's row, decoded, with the bytes it borrows. */
struct map_apply_blob {
	bool known;
	uint64_t id, key;
	struct map_row_blob row;
	size_t len;
	unsigned char value[MAP_ROW_BLOB_MAX];
};

int map_apply_put(struct map_db *d, enum map_sql which, uint64_t a, uint64_t b, const void *value, size_t len)
{
	sqlite3_stmt *st = map_db_bind(d, which, a, b, 0);
	int rc;

	sqlite3_bind_blob64(st, 4, value, len, SQLITE_STATIC);
	rc = map_db_do(d, which);
	sqlite3_bind_null(st, 4);
	return rc;
}

static sqlite3_stmt *map_apply_bind_name(struct map_db *d, enum map_sql which, enum map_row_table kind, const void *name,
					 size_t name_len)
{
	sqlite3_stmt *st = map_db_bind(d, which, (uint64_t)kind, 0, 0);

	if (name_len == 0)
		sqlite3_bind_zeroblob(st, 5, 0);
	else
		sqlite3_bind_blob64(st, 5, name, name_len, SQLITE_STATIC);
	return st;
}

int map_apply_put_name(struct map_db *d, enum map_row_table kind, const void *name, size_t name_len, const void *value,
		       size_t len)
{
	sqlite3_stmt *st = map_apply_bind_name(d, MAP_SQL_NAME_PUT, kind, name, name_len);

	sqlite3_bind_blob64(st, 4, value, len, SQLITE_STATIC);
	return map_db_do(d, MAP_SQL_NAME_PUT);
}

int map_apply_root(struct map_db *d, const struct map_row_set *root)
{
	unsigned char value[MAP_ROW_ROOT_LEN];
	size_t len = map_row_root_encode(root, map_row_key_named(MAP_ROW_ROOT, "", 0), value);

	return map_apply_put_name(d, MAP_ROW_ROOT, "", 0, value, len);
}

/* Read the row of a blob.  A row that is damaged, though it was good when the map was opened, is an
 * error of the device. */
static int map_apply_get_blob(struct map_db *d, uint64_t id, struct map_apply_blob *b)
{
	sqlite3_stmt *st = map_db_bind(d, MAP_SQL_BLOB_GET, id, 0, 0);
	int rc;

	b->known = false;
	b->id = id;
	b->key = map_row_key(MAP_ROW_BLOB, id, 0);
	memset(&b->row, 0, sizeof(b->row));
	rc = map_db_step(d, st);
	if (rc <= 0)
		return rc;
	rc = -EBADMSG;
	b->len = (size_t)sqlite3_column_bytes(st, 0);
	if (b->len <= sizeof(b->value) && sqlite3_column_blob(st, 0) != NULL) {
		memcpy(b->value, sqlite3_column_blob(st, 0), b->len);
		rc = map_row_blob_decode(b->value, b->len, b->key, &b->row);
	}
	b->known = rc == 0;
	sqlite3_reset(st);
	return rc;
}

/* Write b->row; its path may lie in b->value, so a new value is made beside it. */
static int map_apply_set_blob(struct map_db *d, struct map_row_set *root, struct map_apply_blob *b)
{
	unsigned char value[MAP_ROW_BLOB_MAX];
	size_t len = map_row_blob_encode(&b->row, b->key, value);

	if (b->known)
		map_row_set_remove(root, b->value, b->len);
	map_row_set_add(root, value, len);
	return map_apply_put(d, MAP_SQL_BLOB_PUT, b->id, 0, value, len);
}

static int map_apply_put_blob(struct map_db *d, struct map_row_set *root, const struct map_step *s)
{
	struct map_apply_blob b;
	int rc;

	rc = map_apply_get_blob(d, s->blob, &b);
	if (rc != 0)
		return rc;
	b.row.ident = s->ident;
	b.row.suspect = s->suspect;
	if (!s->keep_path) {
		b.row.path = (const char *)s->bytes;
		b.row.path_len = s->name_len;
	}
	return map_apply_set_blob(d, root, &b);
}

static int map_apply_drop_blob(struct map_db *d, struct map_row_set *root, const struct map_step *s)
{
	struct map_apply_blob b;
	int rc;

	rc = map_apply_get_blob(d, s->blob, &b);
	if (rc != 0 || !b.known)
		return rc;
	map_row_set_remove(root, b.value, b.len);
	map_db_bind(d, MAP_SQL_CHUNK_CLEAR, s->blob, 0, 0);
	rc = map_db_do(d, MAP_SQL_CHUNK_CLEAR);
	map_db_bind(d, MAP_SQL_HEAT_DEL, s->blob, 0, 0);
	if (rc == 0)
		rc = map_db_do(d, MAP_SQL_HEAT_DEL);
	map_db_bind(d, MAP_SQL_BLOB_DEL, s->blob, 0, 0);
	return rc == 0 ? map_db_do(d, MAP_SQL_BLOB_DEL) : rc;
}

/* The chunk row under st, whose value is in column: decoded to *c and taken out of the blob's set. */
static int map_apply_take_chunk(sqlite3_stmt *st, int column, uint64_t key, struct map_apply_blob *b,
				struct map_row_chunk *c)
{
	const void *value = sqlite3_column_blob(st, column);
	size_t len = (size_t)sqlite3_column_bytes(st, column);

	if (map_row_chunk_decode(value, len, key, c) != 0)
		return -EBADMSG;
	map_row_set_remove(&b->row.chunks, value, len);
	return 0;
}

/* Write a chunk row, or delete it when it holds nothing any more. */
static int map_apply_set_chunk(struct map_db *d, struct map_apply_blob *b, uint64_t part, const struct map_row_chunk *c)
{
	unsigned char value[MAP_ROW_CHUNK_MAX];
	size_t len;

	if (c->have == 0) {
		map_db_bind(d, MAP_SQL_CHUNK_DEL, b->id, part, 0);
		return map_db_do(d, MAP_SQL_CHUNK_DEL);
	}
	len = map_row_chunk_encode(c, map_row_key(MAP_ROW_CHUNK, b->id, part), value);
	map_row_set_add(&b->row.chunks, value, len);
	return map_apply_put(d, MAP_SQL_CHUNK_PUT, b->id, part, value, len);
}

/* The sums of [first, end) into one chunk. */
static int map_apply_add_chunk(struct map_db *d, struct map_apply_blob *b, uint8_t cache, uint64_t first, uint64_t end,
			       const unsigned char *sums)
{
	uint64_t part = map_part(cache, first);
	struct map_row_chunk c = { 0 };
	sqlite3_stmt *st;
	int rc;

	st = map_db_bind(d, MAP_SQL_CHUNK_GET, b->id, part, 0);
	rc = map_db_step(d, st);
	if (rc > 0) {
		rc = map_apply_take_chunk(st, 0, map_row_key(MAP_ROW_CHUNK, b->id, part), b, &c);
		sqlite3_reset(st);
	}
	if (rc != 0)
		return rc;
	for (uint64_t i = first; i < end; i++) {
		c.have |= (uint64_t)1 << i % MAP_ROW_EXTENTS;
		memcpy(&c.sums[i % MAP_ROW_EXTENTS], sums + (i - first) * sizeof(uint64_t), sizeof(uint64_t));
	}
	return map_apply_set_chunk(d, b, part, &c);
}

static uint64_t map_apply_chunk_end(uint64_t at, uint64_t end)
{
	uint64_t next = (at / MAP_ROW_EXTENTS + 1) * MAP_ROW_EXTENTS;

	return next < end ? next : end;
}

static int map_apply_add(struct map_db *d, struct map_row_set *root, const struct map_step *s)
{
	uint64_t at, next, end = s->first + s->count;
	struct map_apply_blob b;
	int rc;

	rc = map_apply_get_blob(d, s->blob, &b);
	if (rc == 0 && !b.known)
		rc = -ENOENT;
	for (at = s->first; rc == 0 && at < end; at = next) {
		next = map_apply_chunk_end(at, end);
		rc = map_apply_add_chunk(d, &b, s->cache, at, next, s->bytes + (at - s->first) * sizeof(uint64_t));
	}
	return rc == 0 ? map_apply_set_blob(d, root, &b) : rc;
}

/* Bits of the chunk that starts at base which lie in [first, end). */
static uint64_t map_apply_bits(uint64_t base, uint64_t first, uint64_t end)
{
	uint64_t bits = UINT64_MAX;

	if (first > base)
		bits &= UINT64_MAX << (first - base);
	if (end < base + MAP_ROW_EXTENTS)
		bits &= UINT64_MAX >> (base + MAP_ROW_EXTENTS - end);
	return bits;
}

static int map_apply_drop(struct map_db *d, struct map_row_set *root, const struct map_step *s)
{
	const uint64_t end = s->first + s->count, last = map_part(s->cache, end - 1), mask = map_part(1, 0) - 1;
	uint64_t part = map_part(s->cache, s->first);
	struct map_apply_blob b;
	struct map_row_chunk c;
	sqlite3_stmt *st;
	int rc, row;

	rc = map_apply_get_blob(d, s->blob, &b);
	if (rc != 0 || !b.known)
		return rc;
	while (rc == 0 && part <= last) {
		st = map_db_bind(d, MAP_SQL_CHUNK_NEXT, b.id, part, last);
		row = map_db_step(d, st);
		if (row <= 0) {
			rc = row;
			break;
		}
		rc = (uint64_t)sqlite3_column_int64(st, 0) < part ? -EBADMSG : 0;    /* a damaged index */
		part = (uint64_t)sqlite3_column_int64(st, 0);
		if (rc == 0)
			rc = map_apply_take_chunk(st, 1, map_row_key(MAP_ROW_CHUNK, b.id, part), &b, &c);
		sqlite3_reset(st);
		if (rc != 0)
			break;
		c.have &= ~map_apply_bits((part & mask) * MAP_ROW_EXTENTS, s->first, end);
		rc = map_apply_set_chunk(d, &b, part, &c);
		part++;
	}
	return rc == 0 ? map_apply_set_blob(d, root, &b) : rc;
}

static int map_apply_name(struct map_db *d, struct map_row_set *root, const struct map_step *s)
{
	uint64_t key = map_row_key_named(s->table, s->bytes, s->name_len);
	unsigned char *value = (unsigned char *)s->bytes + s->name_len;        /* the room behind it is for the check */
	sqlite3_stmt *st;
	size_t len;
	int rc;

	st = map_apply_bind_name(d, MAP_SQL_NAME_GET, s->table, s->bytes, s->name_len);
	rc = map_db_step(d, st);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		len = (size_t)sqlite3_column_bytes(st, 0);
		rc = map_row_verify(sqlite3_column_blob(st, 0), len, key);
		if (rc == 0)
			map_row_set_remove(root, sqlite3_column_blob(st, 0), len);
		sqlite3_reset(st);
	}
	if (rc != 0)
		return rc;
	if (s->forget) {
		map_apply_bind_name(d, MAP_SQL_NAME_DEL, s->table, s->bytes, s->name_len);
		return map_db_do(d, MAP_SQL_NAME_DEL);
	}
	len = map_row_seal(value, s->len, key);
	map_row_set_add(root, value, len);
	return map_apply_put_name(d, s->table, s->bytes, s->name_len, value, len);
}

static int map_apply_heat(struct map_db *d, const struct map_step *s)
{
	sqlite3_stmt *st = map_db_bind(d, MAP_SQL_BLOB_GET, s->blob, 0, 0);
	unsigned char *value = (unsigned char *)s->bytes;
	size_t len;
	int rc;

	rc = map_db_step(d, st);
	sqlite3_reset(st);
	if (rc <= 0)
		return rc;
	len = map_row_seal(value, s->len, map_row_key(MAP_ROW_HEAT, s->blob, 0));
	return map_apply_put(d, MAP_SQL_HEAT_PUT, s->blob, 0, value, len);
}

int map_apply(struct map_db *d, struct map_row_set *root, const struct map_txn *t)
{
	int rc = 0;

	for (const struct map_step *s = t->first; rc == 0 && s != NULL; s = s->next) {
		switch (s->kind) {
		case MAP_STEP_PUT_BLOB:
			rc = map_apply_put_blob(d, root, s);
			break;
		case MAP_STEP_DROP_BLOB:
			rc = map_apply_drop_blob(d, root, s);
			break;
		case MAP_STEP_ADD:
			rc = map_apply_add(d, root, s);
			break;
		case MAP_STEP_DROP:
			rc = map_apply_drop(d, root, s);
			break;
		case MAP_STEP_NAME:
			rc = map_apply_name(d, root, s);
			break;
		case MAP_STEP_HEAT:
			rc = map_apply_heat(d, s);
			break;
		}
	}
	return rc;
}
