#include "tests/unit/map_truth.h"
#include "tiering/sums.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void map_truth_init(struct map_truth *t)
{
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < MAP_TRUTH_NAMES; i++)
		t->pin[i] = t->setting[i] = -1;
}

uint64_t map_truth_id(unsigned blob)
{
	return sums_bytes(&blob, sizeof(blob), 77);
}

uint64_t map_truth_sum(uint64_t id, uint64_t extent)
{
	return sums_bytes(&extent, sizeof(extent), id);
}

uint64_t map_truth_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15;
	return sums_bytes(state, sizeof(*state), 0) >> 8;
}

static struct home_ident map_truth_ident(uint64_t *state)
{
	return (struct home_ident){
		.ino = map_truth_random(state), .size = map_truth_random(state) % (1u << 30),
		.mtime = { (time_t)(map_truth_random(state) % 4000000000u) - 5, (long)(map_truth_random(state) % 1000000000) },
		.ctime = { (time_t)(map_truth_random(state) % 4000000000u), (long)(map_truth_random(state) % 1000000000) },
	};
}

static void map_truth_put(struct map_truth *t, struct map_txn *x, unsigned n, uint64_t *state)
{
	struct map_truth_blob *b = &t->blob[n];
	bool keep = b->known && map_truth_random(state) % 2 == 0;

	b->known = true;
	b->ident = map_truth_ident(state);
	b->suspect = map_truth_random(state) % 8 == 0;
	if (!keep)
		snprintf(b->path, sizeof(b->path), "blobs/sha256-%u-%u", n, (unsigned)(map_truth_random(state) % 1000));
	assert_int_equal(map_txn_put_blob(x, &(struct map_blob){ .id = map_truth_id(n), .ident = b->ident,
					  .suspect = b->suspect, .path = keep ? NULL : b->path }), 0);
}

static void map_truth_extents(struct map_truth *t, struct map_txn *x, unsigned n, uint64_t *state, bool add)
{
	unsigned cache = (unsigned)(map_truth_random(state) % MAP_TRUTH_CACHES);
	uint64_t first = map_truth_random(state) % MAP_TRUTH_EXTENTS, sums[MAP_TRUTH_EXTENTS], id = map_truth_id(n);
	uint32_t count = (uint32_t)(1 + map_truth_random(state) % (map_truth_random(state) % 4 == 0 ? 150 : 8));

	if (count > MAP_TRUTH_EXTENTS - first)
		count = (uint32_t)(MAP_TRUTH_EXTENTS - first);
	for (uint32_t i = 0; i < count; i++) {
		sums[i] = map_truth_sum(id, first + i);
		t->blob[n].held[cache][first + i] = add;
	}
	if (add)
		assert_int_equal(map_txn_add(x, &(struct map_extents){ .blob = id, .cache = (uint8_t)cache, .first = first,
					     .count = count, .sums = sums }), 0);
	else
		assert_int_equal(map_txn_drop(x, id, (uint8_t)cache, first, count), 0);
}

static void map_truth_name(struct map_truth *t, struct map_txn *x, uint64_t *state)
{
	unsigned n = (unsigned)(map_truth_random(state) % MAP_TRUTH_NAMES);
	int value = (int)(map_truth_random(state) % 4) - 1;
	unsigned char bytes[8] = { (unsigned char)value, 1, 2, 3, 4, 5, 6, 7 };
	char name[16];

	snprintf(name, sizeof(name), "name%u", n);
	if (map_truth_random(state) % 2 == 0) {
		t->pin[n] = value;
		assert_int_equal(value < 0 ? map_txn_unpin(x, name) : map_txn_pin(x, name, (enum map_pin)value), 0);
	} else {
		t->setting[n] = value;
		assert_int_equal(map_txn_set(x, name, value < 0 ? NULL : bytes, sizeof(bytes)), 0);
	}
}

struct map_txn *map_truth_step(struct map_truth *t, uint64_t *state)
{
	unsigned steps = 1 + (unsigned)(map_truth_random(state) % 4), n, what;
	struct map_txn *x;

	assert_int_equal(map_txn_new(&x), 0);
	while (steps-- > 0) {
		n = (unsigned)(map_truth_random(state) % MAP_TRUTH_BLOBS);
		what = (unsigned)(map_truth_random(state) % 16);
		if (what == 0) {
			map_truth_name(t, x, state);
		} else if (!t->blob[n].known || what == 1) {
			map_truth_put(t, x, n, state);
		} else if (what == 2) {
			memset(&t->blob[n], 0, sizeof(t->blob[n]));
			assert_int_equal(map_txn_drop_blob(x, map_truth_id(n)), 0);
		} else if (what == 3) {
			assert_int_equal(map_txn_heat(x, map_truth_id(n), "heat", 4), 0);
		} else {
			map_truth_extents(t, x, n, state, what < 12);
		}
	}
	return x;
}

static unsigned map_truth_find(uint64_t id)
{
	unsigned n;

	for (n = 0; n < MAP_TRUTH_BLOBS && map_truth_id(n) != id; n++)
		;
	assert_in_range(n, 0, MAP_TRUTH_BLOBS - 1);
	return n;
}

static int map_truth_on_blob(void *ctx, const struct map_blob *blob)
{
	struct map_truth *t = ctx;
	struct map_truth_blob *b = &t->blob[map_truth_find(blob->id)];

	assert_false(b->known);
	b->known = true;
	b->ident = blob->ident;
	b->suspect = blob->suspect;
	snprintf(b->path, sizeof(b->path), "%s", blob->path);
	return 0;
}

static int map_truth_on_extents(void *ctx, const struct map_extents *run)
{
	struct map_truth *t = ctx;
	struct map_truth_blob *b = &t->blob[map_truth_find(run->blob)];

	assert_true(b->known);
	assert_true(run->cache < MAP_TRUTH_CACHES && run->count > 0);
	assert_true(run->first + run->count <= MAP_TRUTH_EXTENTS);
	for (uint32_t i = 0; i < run->count; i++) {
		assert_int_equal(run->sums[i], map_truth_sum(run->blob, run->first + i));
		b->held[run->cache][run->first + i] = true;
	}
	t->extents += run->count;
	return 0;
}

static unsigned map_truth_name_of(const char *name)
{
	assert_int_equal(strncmp(name, "name", 4), 0);
	assert_in_range(name[4], '0', '0' + MAP_TRUTH_NAMES - 1);
	assert_int_equal(name[5], 0);
	return (unsigned)(name[4] - '0');
}

static int map_truth_on_pin(void *ctx, const char *name, enum map_pin pin)
{
	struct map_truth *t = ctx;

	t->pin[map_truth_name_of(name)] = (int)pin;
	return 0;
}

static int map_truth_on_setting(void *ctx, const char *name, const void *value, size_t len)
{
	const unsigned char *bytes = value;
	struct map_truth *t = ctx;

	assert_int_equal(len, 8);
	assert_int_equal(bytes[7], 7);
	t->setting[map_truth_name_of(name)] = bytes[0];
	return 0;
}

static int map_truth_on_heat(void *ctx, uint64_t blob, const void *heat, size_t len)
{
	struct map_truth *t = ctx;

	assert_true(t->blob[map_truth_find(blob)].known);
	assert_int_equal(len, 4);
	assert_memory_equal(heat, "heat", 4);
	return 0;
}

void map_truth_load(struct map_truth *t, struct map *m)
{
	const struct map_loader loader = {
		.setting = map_truth_on_setting, .pin = map_truth_on_pin, .blob = map_truth_on_blob,
		.extents = map_truth_on_extents, .heat = map_truth_on_heat, .ctx = t,
	};

	map_truth_init(t);
	assert_int_equal(map_load(m, &loader), 0);
}

bool map_truth_equal(const struct map_truth *a, const struct map_truth *b)
{
	for (int i = 0; i < MAP_TRUTH_NAMES; i++)
		if (a->pin[i] != b->pin[i] || a->setting[i] != b->setting[i])
			return false;
	for (int i = 0; i < MAP_TRUTH_BLOBS; i++) {
		const struct map_truth_blob *x = &a->blob[i], *y = &b->blob[i];

		if (x->known != y->known || x->suspect != y->suspect || !home_ident_equal(&x->ident, &y->ident) ||
		    strcmp(x->path, y->path) != 0 || memcmp(x->held, y->held, sizeof(x->held)) != 0)
			return false;
	}
	return true;
}

bool map_truth_within(const struct map_truth *got, const struct map_truth *want)
{
	for (int i = 0; i < MAP_TRUTH_BLOBS; i++) {
		const struct map_truth_blob *g = &got->blob[i], *w = &want->blob[i];

		if (!g->known || g->suspect)
			continue;
		if (!w->known || w->suspect || !home_ident_equal(&g->ident, &w->ident) || strcmp(g->path, w->path) != 0)
			return false;
		for (int c = 0; c < MAP_TRUTH_CACHES; c++)
			for (int e = 0; e < MAP_TRUTH_EXTENTS; e++)
				if (g->held[c][e] && !w->held[c][e])
					return false;
	}
	return true;
}
