#include "tiering/store.h"
#include "tiering/blob.h"
#include "tiering/part.h"
#include "tiering/place.h"
#include "tiering/verify.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_HEAT_HEAD 11              /* version, touches, mean */
#define STORE_NUMBERS 256
#define STORE_CHUNK 4096u               /* extents whose heats are read under the lock at a time */

struct store_load {
	struct tier *t;
	const struct cache_found *found;
	uint8_t cache_of[STORE_NUMBERS];        /* the map's number to ours, TIER_CACHE_MAX: not here */
	uint64_t epoch[STORE_NUMBERS];
	bool known[STORE_NUMBERS];
	struct blob *blob;                      /* whose rows are coming */
	uint64_t *dead;                         /* ids of rows that are nobody's, owned */
	size_t ndead;
};

/* ---- reading the map ---- */

static int store_on_setting(void *ctx, const char *name, const void *value, size_t len)
{
	struct store_load *l = ctx;
	unsigned number;
	char end;

	verify_saved(l->t, name, value, len);
	if (sscanf(name, "cache.%u%c", &number, &end) != 1 || number >= STORE_NUMBERS || len != 24)
		return 0;
	l->known[number] = true;
	memcpy(&l->epoch[number], (const char *)value + 16, 8);
	for (unsigned c = 0; c < l->t->caches; c++) {
		if (memcmp(l->found[c].uuid, value, 16) == 0) {
			l->cache_of[number] = (uint8_t)c;
			l->t->cache[c].number = (uint8_t)number;
		}
	}
	return 0;
}

/* Its rows go once all were read; without memory for that, at a later start. */
static void store_is_dead(struct store_load *l, uint64_t id)
{
	uint64_t *more = realloc(l->dead, (l->ndead + 1) * sizeof(*more));

	if (more == NULL)
		return;
	l->dead = more;
	l->dead[l->ndead++] = id;
}

static bool store_is_later(const struct home_ident *a, const struct home_ident *b)
{
	return a->ctime.tv_sec != b->ctime.tv_sec ? a->ctime.tv_sec > b->ctime.tv_sec : a->ctime.tv_nsec > b->ctime.tv_nsec;
}

static void store_drop_dead(struct store_load *l)
{
	struct map_txn *txn = NULL;
	int rc = l->ndead > 0 ? map_txn_new(&txn) : -ENOENT;

	for (size_t i = 0; rc == 0 && i < l->ndead; i++)
		rc = map_txn_drop_blob(txn, l->dead[i]);
	if (rc == 0)
		rc = map_commit(l->t->map, txn);
	else
		map_txn_free(txn);
	if (rc != 0 && rc != -ENOENT)
		log_warn("the map keeps %zu rows that are nobody's: %s", l->ndead, strerror(-rc));
	free(l->dead);
	l->dead = NULL;
	l->ndead = 0;
}

static int store_on_blob(void *ctx, const struct map_blob *row)
{
	struct store_load *l = ctx;
	struct blob_arrays a;
	struct blob *b, *other;

	l->blob = NULL;
	if (row->ident.size < TIER_EXTENT_BYTES || row->ident.size / TIER_EXTENT_BYTES >= UINT32_MAX)
		return 0;
	b = blob_new(&row->ident, row->path);
	if (b == NULL || !blob_arrays_new(&a, b->extents)) {
		blob_free(b);
		return -ENOMEM;
	}
	blob_arrays_set(b, &a);
	b->id = row->id;
	b->in_map = true;
	b->suspect = row->suspect;
	b->seen = row->ident;
	other = blob_insert(l->t, b);
	if (other != NULL) {            /* the file was replaced, and its older row outlived its drop */
		store_is_dead(l, store_is_later(&b->ident, &other->ident) ? other->id : b->id);
		if (!store_is_later(&b->ident, &other->ident)) {
			blob_free(b);
			return 0;
		}
		blob_replace(l->t, other, b);
		blob_free(other);
	}
	l->blob = b;
	return 0;
}

static int store_on_extents(void *ctx, const struct map_extents *run)
{
	struct store_load *l = ctx;
	struct blob *b = l->blob;
	unsigned c = l->cache_of[run->cache];

	l->known[run->cache] = true;    /* whose setting was lost with a damaged map: no new cache gets these rows */
	if (b == NULL || b->id != run->blob)
		return 0;
	for (uint32_t i = 0; i < run->count && run->first + i < b->extents; i++) {
		uint32_t e = (uint32_t)run->first + i;

		b->sum[e] = run->sums[i];
		b->state[e] |= BLOB_SUMMED;
		if (c < TIER_CACHE_MAX)
			blob_valid_set(b, c, e, true);
	}
	return 0;
}

static int store_on_heat(void *ctx, uint64_t id, const void *heat, size_t len)
{
	struct store_load *l = ctx;
	struct blob *b = l->blob;
	const uint8_t *p = heat;
	double mean;

	if (b == NULL || b->id != id || len != STORE_HEAT_HEAD + (size_t)b->extents || p[0] != 1)
		return 0;
	b->touches = (uint16_t)(p[1] | p[2] << 8);
	memcpy(&mean, p + 3, 8);
	if (mean >= 0 && mean < 1e9)
		b->key = heat_key_from(mean, &l->t->clock);
	for (uint32_t e = 0; e < b->extents; e++) {
		uint8_t q = p[STORE_HEAT_HEAD + e];

		if (q != 0)
			b->heat[e] = heat_from(exp2(((double)q - 128) / 8), &l->t->clock);
	}
	return 0;
}

/* Every configured cache gets a number of the map's, with its uuid and epoch. */
static int store_number_caches(struct store_load *l)
{
	struct tier *t = l->t;
	struct map_txn *txn = NULL;
	int rc = map_txn_new(&txn);

	for (unsigned c = 0; rc == 0 && c < t->caches; c++) {
		unsigned number = 0;
		bool known;
		char name[16];
		uint8_t value[24];

		while (number < STORE_NUMBERS && l->cache_of[number] != c)
			number++;
		known = number < STORE_NUMBERS;
		for (unsigned i = 0; number == STORE_NUMBERS && i < STORE_NUMBERS; i++)
			if (!l->known[i])
				number = i;
		known = number < STORE_NUMBERS && known;
		if (number == STORE_NUMBERS)
			rc = -ENOSPC;
		else
			l->known[number] = true;
		l->cache_of[number % STORE_NUMBERS] = (uint8_t)c;
		t->cache[c].number = (uint8_t)number;
		snprintf(name, sizeof(name), "cache.%u", number);
		memcpy(value, l->found[c].uuid, 16);
		memcpy(value + 16, &l->found[c].epoch, 8);
		memcpy(t->cache[c].uuid, l->found[c].uuid, 16);
		/* an older epoch stays until every copy was compared: store_save_epochs */
		t->cache[c].epoch = known ? l->epoch[number] : l->found[c].epoch;
		if (rc == 0 && !known)
			rc = map_txn_set(txn, name, value, sizeof(value));
	}
	if (rc != 0) {
		map_txn_free(txn);
		return rc;
	}
	return map_commit(t->map, txn);
}

/* ---- what was found ---- */

struct store_settle {
	struct tier *t;
	const struct store_load *l;
};

static void store_found_part(struct tier *t, struct blob *b, unsigned c)
{
	if (b->part == NULL)
		b->part = part_new(b, c, (uint32_t)t->cache[c].rules.budget);
	if (b->part != NULL && part_cache(b->part) != c) {
		b->copy[c].dropping = true;     /* in part on one cache only */
		return;
	}
	if (b->part == NULL)
		return;
	part_resize(t, b, (uint32_t)t->cache[c].rules.budget);
	for (uint32_t e = 0; e < b->extents; e++)
		if (b->state[e] & 1u << c)
			part_found(t, b->part, b, e);
}

/* A copy that the map knows: its space is taken, the policy has it, and it is open when somebody opens it. */
static void store_settle_blob(void *ctx, struct blob *b)
{
	const struct store_settle *s = ctx;
	struct tier *t = s->t;

	for (unsigned c = 0; c < t->caches; c++) {
		struct blob_copy *k = &b->copy[c];
		bool part = b->extents > t->cache[c].rules.budget;

		if (k->valid == 0)
			continue;
		k->suspect = s->l->epoch[t->cache[c].number] != s->l->found[c].epoch;
		k->reserved = !part;
		k->part_bytes = part ? (uint64_t)k->valid * TIER_EXTENT_BYTES : 0;
		cache_count_found(t->cache[c].cache, part ? (uint64_t)k->valid * TIER_EXTENT_BYTES : blob_copy_bytes(b));
		if (part)
			store_found_part(t, b, c);
		if (k->dropping)
			continue;
		place_add_resident(t, b, c);
		if (k->slot == POLICY_NONE)
			k->dropping = true;
	}
}

struct store_stray {
	struct tier *t;
	unsigned c;
	uint64_t *known;                        /* ids of copies that the map has, sorted */
	size_t n, cap;
	unsigned removed;
	bool held;                              /* one is in use yet, or could not be removed, or not all are known */
};

static int store_id_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void store_collect_id(void *ctx, struct blob *b)
{
	struct store_stray *s = ctx;

	const struct blob_copy *k = &b->copy[s->c];

	if (k->valid == 0 && k->file == NULL && !b->busy)
		return;
	if (s->n == s->cap)
		s->held = true;         /* it came meanwhile */
	else
		s->known[s->n++] = b->id;
}

static int store_unlink_stray(void *ctx, uint64_t id, uint64_t allocated)
{
	struct store_stray *s = ctx;

	(void)allocated;
	if (bsearch(&id, s->known, s->n, sizeof(id), store_id_order) != NULL)
		return 0;
	if (cache_unlink_stray(s->t->cache[s->c].cache, id) == 0)
		s->removed++;
	else
		s->held = true;
	return 0;
}

/* Files that no row of the map names: fills that a crash ended before their first commit. */
void store_sweep(struct tier *t, unsigned c)
{
	struct store_stray s = { .t = t, .c = c };

	pthread_mutex_lock(&t->lock);
	s.cap = t->blobs + t->ngone;
	pthread_mutex_unlock(&t->lock);
	s.known = malloc((s.cap + 1) * sizeof(*s.known));
	if (s.known == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	blob_each(t, store_collect_id, &s);
	for (struct blob *b = t->gone; b != NULL; b = b->next)
		store_collect_id(&s, b);
	pthread_mutex_unlock(&t->lock);
	qsort(s.known, s.n, sizeof(*s.known), store_id_order);
	if (!s.held && cache_list(t->cache[c].cache, store_unlink_stray, &s) != 0)
		s.held = true;
	if (s.removed > 0)
		log_info("%s: removed %u copies that the map does not know", cache_name(t->cache[c].cache), s.removed);
	free(s.known);
	pthread_mutex_lock(&t->lock);
	t->cache[c].sweep = t->cache[c].sweep || s.held;        /* then later */
	pthread_mutex_unlock(&t->lock);
}

int store_open(struct tier *t, const struct cache_found *found, char *err, size_t errlen)
{
	struct map_config cfg = { .io = t->io };
	struct store_load l = { .t = t, .found = found };
	struct map_loader loader = { .setting = store_on_setting, .blob = store_on_blob, .extents = store_on_extents,
				     .heat = store_on_heat, .ctx = &l };
	struct store_settle settle = { .t = t, .l = &l };
	struct map_report report;
	int rc;

	if (t->caches == 0)
		return 0;
	memset(l.cache_of, TIER_CACHE_MAX, sizeof(l.cache_of));
	cfg.dir = cache_dir(t->cache[0].cache);
	rc = map_open(&t->map, &cfg, &report, err, errlen);
	if (rc != 0)
		return rc;
	if (report.text[0] != '\0')
		log_warn("map in '%s': %s", cfg.dir, report.text);
	rc = map_load(t->map, &loader);
	if (rc == -ENOMEM) {
		free(l.dead);
		snprintf(err, errlen, "out of memory while reading the map in '%s'", cfg.dir);
		return rc;
	}
	store_drop_dead(&l);
	blob_each(t, store_settle_blob, &settle);
	rc = store_number_caches(&l);
	t->frozen = rc != 0;
	if (rc != 0)
		log_err("map in '%s' cannot be written: %s; the caches stay as they are", cfg.dir, strerror(-rc));
	for (unsigned c = 0; rc == 0 && c < t->caches; c++)
		store_sweep(t, c);
	return 0;
}

void store_close(struct tier *t)
{
	map_close(t->map);
	t->map = NULL;
}

/* ---- heat ---- */

static uint8_t store_quantise(double heat)
{
	double q;

	if (!(heat > 0))
		return 0;
	q = floor(8 * log2(heat) + 128.5);
	return q < 1 ? 1 : q > 255 ? 255 : (uint8_t)q;
}

/* The blob's heats as bytes, owned; NULL without memory.  Takes the lock for a part at a time. */
static uint8_t *store_heat_of(struct tier *t, struct blob *b, size_t *len)
{
	uint8_t *p;
	double mean;

	*len = STORE_HEAT_HEAD + (size_t)b->extents;
	p = calloc(1, *len);
	if (p == NULL)
		return NULL;
	p[0] = 1;
	for (uint32_t e = 0; e < b->extents; e += STORE_CHUNK) {
		pthread_mutex_lock(&t->lock);
		if (e == 0) {
			p[1] = (uint8_t)b->touches;
			p[2] = (uint8_t)(b->touches >> 8);
			mean = heat_key_now(b->key, &t->clock);
			memcpy(p + 3, &mean, 8);
			b->heat_dirty = false;
		}
		for (uint32_t i = e; i < b->extents && i < e + STORE_CHUNK; i++)
			p[STORE_HEAT_HEAD + i] = store_quantise(heat_now(b->heat[i], &t->clock));
		pthread_mutex_unlock(&t->lock);
	}
	return p;
}

struct store_dirty {
	struct blob *list[64];
	size_t n;
};

static void store_collect_dirty(void *ctx, struct blob *b)
{
	struct store_dirty *d = ctx;

	if (b->heat_dirty && b->in_map && b->heat != NULL && d->n < sizeof(d->list) / sizeof(d->list[0]))
		d->list[d->n++] = b;
}

static void store_save_one(struct tier *t, struct blob *b)
{
	struct map_txn *txn = NULL;
	size_t len;
	uint8_t *p = store_heat_of(t, b, &len);

	if (p == NULL)
		return;
	if (len <= MAP_VALUE_MAX && map_txn_new(&txn) == 0 &&
	    (map_txn_heat(txn, b->id, p, len) != 0 || map_submit(t->map, txn, NULL, NULL) != 0))
		map_txn_free(txn);
	free(p);
}

void store_save_heat(struct tier *t)
{
	struct store_dirty d = { .n = 0 };

	if (t->map == NULL || t->frozen)
		return;
	pthread_mutex_lock(&t->lock);
	blob_each(t, store_collect_dirty, &d);
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; i < d.n; i++)
		store_save_one(t, d.list[i]);
}

struct store_suspects {
	unsigned c;
	bool any;
};

static void store_any_suspect(void *ctx, struct blob *b)
{
	struct store_suspects *s = ctx;

	s->any = s->any || b->copy[s->c].suspect;
}

void store_save_epochs(struct tier *t)
{
	for (unsigned c = 0; t->map != NULL && !t->frozen && c < t->caches; c++) {
		struct tier_cache *k = &t->cache[c];
		struct store_suspects s = { .c = c };
		uint64_t epoch = cache_epoch(k->cache);
		struct map_txn *txn = NULL;
		uint8_t value[24];
		char name[16];

		pthread_mutex_lock(&t->lock);
		blob_each(t, store_any_suspect, &s);
		pthread_mutex_unlock(&t->lock);
		if (s.any || epoch == k->epoch || !cache_in_service(k->cache) || map_txn_new(&txn) != 0)
			continue;
		snprintf(name, sizeof(name), "cache.%u", k->number);
		memcpy(value, k->uuid, 16);
		memcpy(value + 16, &epoch, 8);
		if (map_txn_set(txn, name, value, sizeof(value)) != 0 || map_submit(t->map, txn, NULL, NULL) != 0)
			map_txn_free(txn);
		else
			k->epoch = epoch;
	}
}

void store_put_ident(struct tier *t, struct blob *b)
{
	struct map_blob row = { .id = b->id, .ident = b->ident, .path = b->path, .suspect = b->suspect };
	struct map_txn *txn = NULL;

	if (!b->in_map || t->map == NULL || t->frozen || map_txn_new(&txn) != 0)
		return;
	if (map_txn_put_blob(txn, &row) != 0 || map_submit(t->map, txn, NULL, NULL) != 0)
		map_txn_free(txn);
}
