#include "tiering/map_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int map_txn_new(struct map_txn **out)
{
	struct map_txn *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->last = &t->first;
	t->only_heat = true;
	*out = t;
	return 0;
}

void map_txn_free(struct map_txn *t)
{
	struct map_step *s;

	if (t == NULL)
		return;
	while ((s = t->first) != NULL) {
		t->first = s->next;
		free(s);
	}
	free(t);
}

/* A new last step with room for a name and a payload. */
static int map_txn_step(struct map_txn *t, enum map_step_kind kind, size_t name_len, size_t room, struct map_step **out)
{
	size_t bytes = sizeof(struct map_step) + name_len + room;
	struct map_step *s;

	if (bytes > MAP_TXN_BYTES_MAX - t->bytes)
		return -E2BIG;
	s = calloc(1, bytes);
	if (s == NULL)
		return -ENOMEM;
	s->kind = kind;
	s->name_len = name_len;
	*t->last = s;
	t->last = &s->next;
	t->bytes += bytes;
	t->only_heat = t->only_heat && kind == MAP_STEP_HEAT;
	*out = s;
	return 0;
}

int map_txn_put_blob(struct map_txn *t, const struct map_blob *blob)
{
	size_t len = blob->path != NULL ? strlen(blob->path) : 0;
	struct map_step *s;
	int rc;

	if (blob->id == 0 || len > MAP_ROW_PATH_MAX)
		return -EINVAL;
	rc = map_txn_step(t, MAP_STEP_PUT_BLOB, len, 0, &s);
	if (rc != 0)
		return rc;
	s->blob = blob->id;
	s->ident = blob->ident;
	s->suspect = blob->suspect;
	s->keep_path = blob->path == NULL;
	memcpy(s->bytes, blob->path != NULL ? blob->path : "", len);
	return 0;
}

int map_txn_drop_blob(struct map_txn *t, uint64_t blob)
{
	struct map_step *s;
	int rc;

	rc = map_txn_step(t, MAP_STEP_DROP_BLOB, 0, 0, &s);
	if (rc == 0)
		s->blob = blob;
	return rc;
}

int map_txn_add(struct map_txn *t, const struct map_extents *run)
{
	struct map_step *s;
	int rc;

	if (run->count == 0 || run->first >= MAP_EXTENT_LIMIT || run->count > MAP_EXTENT_LIMIT - run->first)
		return -EINVAL;
	rc = map_txn_step(t, MAP_STEP_ADD, 0, (size_t)run->count * sizeof(*run->sums), &s);
	if (rc != 0)
		return rc;
	s->blob = run->blob;
	s->cache = run->cache;
	s->first = run->first;
	s->count = run->count;
	memcpy(s->bytes, run->sums, (size_t)run->count * sizeof(*run->sums));
	return 0;
}

int map_txn_drop(struct map_txn *t, uint64_t blob, uint8_t cache, uint64_t first, uint64_t count)
{
	struct map_step *s;
	int rc;

	if (count == 0 || first >= MAP_EXTENT_LIMIT)
		return -EINVAL;
	rc = map_txn_step(t, MAP_STEP_DROP, 0, 0, &s);
	if (rc != 0)
		return rc;
	s->blob = blob;
	s->cache = cache;
	s->first = first;
	s->count = count < MAP_EXTENT_LIMIT - first ? count : MAP_EXTENT_LIMIT - first;
	return 0;
}

static int map_txn_name(struct map_txn *t, enum map_row_table table, const char *name, const void *value, size_t len)
{
	size_t name_len = strlen(name);
	struct map_step *s;
	int rc;

	if (name_len == 0 || name_len > MAP_NAME_MAX || len > MAP_VALUE_MAX)
		return -EINVAL;
	rc = map_txn_step(t, MAP_STEP_NAME, name_len, len + MAP_ROW_CHECK, &s);
	if (rc != 0)
		return rc;
	s->table = table;
	s->forget = value == NULL;
	s->len = len;
	memcpy(s->bytes, name, name_len);
	if (len > 0)
		memcpy(s->bytes + name_len, value, len);
	return 0;
}

int map_txn_pin(struct map_txn *t, const char *name, enum map_pin pin)
{
	const unsigned char value = (unsigned char)pin;

	if (pin != MAP_PIN_NONE && pin != MAP_PIN_RAM && pin != MAP_PIN_NVME)
		return -EINVAL;
	return map_txn_name(t, MAP_ROW_PIN, name, &value, 1);
}

int map_txn_unpin(struct map_txn *t, const char *name)
{
	return map_txn_name(t, MAP_ROW_PIN, name, NULL, 0);
}

int map_txn_set(struct map_txn *t, const char *name, const void *value, size_t len)
{
	return map_txn_name(t, MAP_ROW_SETTING, name, value, value != NULL ? len : 0);
}

int map_txn_heat(struct map_txn *t, uint64_t blob, const void *heat, size_t len)
{
	struct map_step *s;
	int rc;

	if (len == 0 || len > MAP_VALUE_MAX)
		return -EINVAL;
	rc = map_txn_step(t, MAP_STEP_HEAT, 0, len + MAP_ROW_CHECK, &s);
	if (rc != 0)
		return rc;
	s->blob = blob;
	s->len = len;
	memcpy(s->bytes, heat, len);
	return 0;
}
