#include "tiering/map_internal.h"

#include <errno.h>
#include <string.h>

/* Blobs and chunk rows are both in the order of the blob's id, so one pass over each merges them.  Where
 * reading fails (a damaged page, a bad sector) the chunks are looked for again from the next blob on, and
 * the blobs from the other end backwards, so a bad page costs what is on it.  Keys must rise (or fall,
 * backwards): pages that point at each other would otherwise be read for ever. */
struct map_scan {
	struct map_db *d;
	const struct map_visit *v;
	struct map_scan_result *out;
	sqlite3_stmt *chunks;
	bool chunks_live;               /* the cursor stands on chunk_blob, chunk_part */
	bool chunks_end;                /* it has come to the end */
	int64_t chunk_blob, chunk_part;
	bool any_blob, backwards;
	int64_t last_blob;
	uint64_t bad;                   /* damaged rows of those that the root counts */
	bool has_root, bad_root;
	struct map_row_set said;        /* the root's */
};

static int map_scan_broken(struct map_scan *s, int rc)
{
	if (rc == -ENOMEM)
		return rc;
	s->out->unreadable++;
	return 0;
}

bool map_scan_damaged(const struct map_scan_result *r)
{
	return r->bad_rows != 0 || r->unreadable != 0 || r->heat_lost || r->disagreeing != 0 || !r->root_agrees;
}

/* On to the next chunk row.  floor: its key must be above the one before. */
static int map_scan_chunk_step(struct map_scan *s, bool floor)
{
	int64_t blob, part;
	int rc;

	s->chunks_live = false;
	rc = map_db_step(s->d, s->chunks);
	if (rc == 0)
		s->chunks_end = true;
	if (rc < 0)
		return map_scan_broken(s, rc);
	if (rc == 0)
		return 0;
	blob = sqlite3_column_int64(s->chunks, 0);
	part = sqlite3_column_int64(s->chunks, 1);
	if (sqlite3_column_type(s->chunks, 0) != SQLITE_INTEGER || sqlite3_column_type(s->chunks, 1) != SQLITE_INTEGER ||
	    (floor && (blob < s->chunk_blob || (blob == s->chunk_blob && part <= s->chunk_part)))) {
		sqlite3_reset(s->chunks);
		return map_scan_broken(s, -EBADMSG);
	}
	s->chunk_blob = blob;
	s->chunk_part = part;
	s->chunks_live = true;
	return 0;
}

static int map_scan_chunk_seek(struct map_scan *s, int64_t blob)
{
	s->chunks = map_db_bind(s->d, MAP_SQL_CHUNK_FROM, (uint64_t)blob, 0, 0);
	s->chunks_end = false;
	return map_scan_chunk_step(s, false);
}

/* The row under the cursor belongs to b. */
static int map_scan_chunk(struct map_scan *s, struct map_scan_blob *b)
{
	uint64_t part = (uint64_t)s->chunk_part, key = map_row_key(MAP_ROW_CHUNK, b->id, part);
	const void *value = sqlite3_column_blob(s->chunks, 2);
	size_t len = (size_t)sqlite3_column_bytes(s->chunks, 2);
	struct map_row_chunk c;

	if (part >> MAP_PART_SHIFT > UINT8_MAX || map_row_chunk_decode(value, len, key, &c) != 0) {
		s->out->bad_rows++;
		b->bad++;
		return 0;
	}
	map_row_set_add(&b->found, value, len);
	return s->v->chunk != NULL ? s->v->chunk(s->v->ctx, b->id, part, &c) : 0;
}

static int map_scan_chunks_of(struct map_scan *s, struct map_scan_blob *b)
{
	int64_t id = (int64_t)b->id;
	int rc = 0;

	if (s->backwards || (!s->chunks_live && !s->chunks_end))
		rc = map_scan_chunk_seek(s, id);
	while (rc == 0 && s->chunks_live && s->chunk_blob < id) {      /* of a blob that is not there */
		s->out->bad_rows++;
		rc = map_scan_chunk_step(s, true);
	}
	while (rc == 0 && s->chunks_live && s->chunk_blob == id) {
		rc = map_scan_chunk(s, b);
		if (rc == 0)
			rc = map_scan_chunk_step(s, true);
	}
	return rc;
}

static int map_scan_heat(struct map_scan *s, uint64_t blob)
{
	sqlite3_stmt *st;
	const void *value;
	size_t len;
	int rc;

	if (s->v->heat == NULL || s->out->heat_lost)
		return 0;
	st = map_db_bind(s->d, MAP_SQL_HEAT_GET, blob, 0, 0);
	rc = map_db_step(s->d, st);
	if (rc < 0 && rc != -ENOMEM) {
		s->out->heat_lost = true;
		return 0;
	}
	if (rc <= 0)
		return rc;
	value = sqlite3_column_blob(st, 0);
	len = (size_t)sqlite3_column_bytes(st, 0);
	if (map_row_verify(value, len, map_row_key(MAP_ROW_HEAT, blob, 0)) == 0)
		rc = s->v->heat(s->v->ctx, blob, value, len - MAP_ROW_CHECK);
	else
		rc = 0;                 /* advisory: not worth a word */
	sqlite3_reset(st);
	return rc;
}

int map_scan_heat_pages(struct map_db *d, struct map_scan_result *out)
{
	sqlite3_stmt *st = map_db_bind(d, MAP_SQL_HEAT_ALL, 0, 0, 0);
	int64_t last = INT64_MIN, id;
	bool any = false;
	int rc;

	while ((rc = map_db_step(d, st)) > 0) {
		id = sqlite3_column_int64(st, 0);
		if (any && id <= last) {
			rc = -EBADMSG;
			break;
		}
		any = true;
		last = id;
	}
	sqlite3_reset(st);
	if (rc == -ENOMEM)
		return rc;
	out->heat_lost = out->heat_lost || rc < 0;
	return 0;
}

/* Whether the rows found are those that were said to be there, or those but for damaged ones.  When the
 * sum differs and nothing damaged was met, an old row or none stands where a newer one was. */
static bool map_scan_explained(const struct map_row_set *found, const struct map_row_set *said, uint64_t bad)
{
	return bad == 0 ? map_row_set_equal(found, said) : found->rows + bad == said->rows;
}

static int map_scan_blob(struct map_scan *s, int64_t id, const void *value, size_t len)
{
	struct map_scan_blob b = { .id = (uint64_t)id };
	const struct map_visit *v = s->v;
	int rc;

	if (map_row_blob_decode(value, len, map_row_key(MAP_ROW_BLOB, b.id, 0), &b.row) != 0) {
		s->out->bad_rows++;
		s->bad++;
		return 0;
	}
	map_row_set_add(&s->out->root, value, len);
	rc = v->blob != NULL ? v->blob(v->ctx, &b) : 0;
	if (rc == 0)
		rc = map_scan_chunks_of(s, &b);
	b.agrees = map_scan_explained(&b.found, &b.row.chunks, b.bad);
	if (!b.agrees)
		s->out->disagreeing++;
	if (rc == 0 && v->blob_end != NULL)
		rc = v->blob_end(v->ctx, &b);
	return rc == 0 ? map_scan_heat(s, b.id) : rc;
}

/* Blobs upwards, or downwards to the last that was met upwards.  *broken: reading failed before the end. */
static int map_scan_blobs(struct map_scan *s, enum map_sql order, bool *broken)
{
	sqlite3_stmt *st = map_db_bind(s->d, order, 0, 0, 0);
	bool any = false;
	int64_t id, last = 0;
	int rc;

	*broken = false;
	while ((rc = map_db_step(s->d, st)) > 0) {
		id = sqlite3_column_int64(st, 0);
		if (s->backwards && s->any_blob && id <= s->last_blob)
			break;
		if (any && (s->backwards ? id >= last : id <= last)) {
			rc = -EBADMSG;
			break;
		}
		any = true;
		last = id;
		if (!s->backwards) {
			s->any_blob = true;
			s->last_blob = id;
		}
		rc = map_scan_blob(s, id, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
		if (rc != 0) {
			sqlite3_reset(st);
			return rc;
		}
	}
	sqlite3_reset(st);
	if (rc >= 0)
		return 0;
	*broken = true;
	return map_scan_broken(s, rc);
}

static int map_scan_name(struct map_scan *s, sqlite3_stmt *st)
{
	int64_t kind = sqlite3_column_int64(st, 0);
	const void *name = sqlite3_column_blob(st, 1), *value = sqlite3_column_blob(st, 2);
	size_t name_len = (size_t)sqlite3_column_bytes(st, 1), len = (size_t)sqlite3_column_bytes(st, 2);
	uint64_t key;

	if (name == NULL)
		name = "";
	if (kind < MAP_ROW_ROOT || kind > MAP_ROW_SETTING || name_len > MAP_NAME_MAX)
		goto bad;
	key = map_row_key_named((enum map_row_table)kind, name, name_len);
	if (kind == MAP_ROW_ROOT) {
		s->has_root = name_len == 0 && map_row_root_decode(value, len, key, &s->said) == 0;
		s->bad_root = !s->has_root;
		s->out->bad_rows += s->bad_root;
		return 0;
	}
	if (map_row_verify(value, len, key) != 0)
		goto bad;
	map_row_set_add(&s->out->root, value, len);
	if (s->v->name == NULL)
		return 0;
	return s->v->name(s->v->ctx, (enum map_row_table)kind, name, name_len, value, len - MAP_ROW_CHECK);

bad:
	s->out->bad_rows++;
	s->bad++;
	return 0;
}

/* The name of the row before, so that names are seen to rise. */
struct map_scan_last {
	bool any;
	int kind;
	size_t len;
	unsigned char name[MAP_NAME_MAX];
};

static bool map_scan_rises(struct map_scan_last *last, sqlite3_stmt *st)
{
	const int kind = sqlite3_column_int(st, 0);
	const void *name = sqlite3_column_blob(st, 1);
	size_t len = (size_t)sqlite3_column_bytes(st, 1), common;
	int order = 1;

	if (len > sizeof(last->name))
		len = sizeof(last->name);
	if (last->any && kind == last->kind) {
		common = len < last->len ? len : last->len;
		order = common > 0 ? memcmp(name, last->name, common) : 0;
		if (order == 0)
			order = len > last->len ? 1 : -1;
	} else if (last->any) {
		order = kind > last->kind ? 1 : -1;
	}
	last->any = true;
	last->kind = kind;
	last->len = len;
	if (len > 0)
		memcpy(last->name, name, len);
	return order > 0;
}

static int map_scan_names(struct map_scan *s)
{
	sqlite3_stmt *st = map_db_bind(s->d, MAP_SQL_NAME_ALL, 0, 0, 0);
	struct map_scan_last last = { .any = false };
	int rc, step;

	while ((step = map_db_step(s->d, st)) > 0) {
		if (!map_scan_rises(&last, st)) {
			step = -EBADMSG;
			break;
		}
		rc = map_scan_name(s, st);
		if (rc != 0) {
			sqlite3_reset(st);
			return rc;
		}
	}
	sqlite3_reset(st);
	return step < 0 ? map_scan_broken(s, step) : 0;
}

int map_scan(struct map_db *d, const struct map_visit *v, struct map_scan_result *out)
{
	struct map_scan s = { .d = d, .v = v, .out = out };
	bool broken;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = map_scan_names(&s);
	if (rc == 0)
		rc = map_scan_chunk_seek(&s, INT64_MIN);
	if (rc == 0)
		rc = map_scan_blobs(&s, MAP_SQL_BLOB_UP, &broken);
	if (rc == 0 && broken) {
		s.backwards = true;
		rc = map_scan_blobs(&s, MAP_SQL_BLOB_DOWN, &broken);
	}
	while (rc == 0 && s.chunks_live && !s.backwards) {      /* of blobs that are not there */
		out->bad_rows++;
		rc = map_scan_chunk_step(&s, true);
	}
	sqlite3_reset(d->st[MAP_SQL_CHUNK_FROM]);
	out->root_agrees = out->unreadable == 0 &&
			   (s.bad_root || (s.has_root && map_scan_explained(&out->root, &s.said, s.bad)));
	return rc;
}
