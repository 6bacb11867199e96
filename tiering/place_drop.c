/* place_drop.c - copies that go: out of RAM, out of the map, then off the disk (rule R2, in that order). */
#include "tiering/place_internal.h"
#include "tiering/verify.h"

#include <errno.h>
#include <string.h>

/* The map's rows of n extents of the copy go, or with extent NULL all of them; durable on return. */
static int place_commit_drop(struct tier *t, uint64_t id, unsigned c, const uint32_t *extent, uint32_t n)
{
	struct map_txn *txn = NULL;
	int rc;

	if (t->map == NULL || t->frozen)
		return -EROFS;
	rc = map_txn_new(&txn);
	if (rc == 0 && extent == NULL)
		rc = map_txn_drop(txn, id, t->cache[c].number, 0, UINT64_MAX);
	for (uint32_t i = 0; rc == 0 && extent != NULL && i < n; i++)
		rc = map_txn_drop(txn, id, t->cache[c].number, extent[i], 1);
	if (rc != 0) {
		map_txn_free(txn);
		return rc;
	}
	rc = map_commit(t->map, txn);
	if (rc != 0 && map_read_only(t->map) != 0) {
		pthread_mutex_lock(&t->lock);
		t->frozen = true;
		pthread_mutex_unlock(&t->lock);
	}
	return rc;
}

bool place_drop_copy(struct tier *t, struct blob *b, unsigned c)
{
	struct tier_cache *k = &t->cache[c];
	struct ram_file *ram = NULL;
	struct cache_copy *file;
	uint64_t bytes, id;
	bool in_map;
	int rc;

	pthread_mutex_lock(&t->lock);
	file = b->copy[c].file;
	id = b->id;
	in_map = b->in_map;     /* a fill of another cache may put it there meanwhile: no row of this one */
	blob_forget_copy(b, c);
	b->copy[c].file = NULL;
	if (!blob_has_token(t, b, b->ram_token)) {
		ram = b->ram;
		b->ram = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	ram_file_put(ram);
	rc = id != 0 && in_map ? place_commit_drop(t, id, c, NULL, 0) : 0;
	if (rc == 0 && file == NULL)    /* no id: its first fill did not come as far as a file */
		rc = id != 0 ? cache_copy_get(k->cache, id, b->size, false, NULL, &file) : -ENOENT;
	bytes = b->copy[c].reserved ? blob_copy_bytes(b) : b->copy[c].part_bytes;
	if (rc == 0) {
		rc = cache_copy_unlink(file, bytes);
		if (rc != 0 && bytes > 0)
			cache_unreserve(k->cache, bytes);       /* out of service: swept when it is back */
	} else if (bytes > 0) {
		cache_unreserve(k->cache, bytes);
	}
	cache_copy_put(file);
	pthread_mutex_lock(&t->lock);
	k->sweep = k->sweep || (rc != 0 && rc != -ENOENT);
	b->copy[c].reserved = false;
	b->copy[c].part_bytes = 0;
	b->copy[c].dropping = false;
	if (b->part != NULL && part_cache(b->part) == c) {
		part_free(b->part);
		b->part = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	return true;
}

/* A blob that is held in part has what it was granted reserved, whether all of it is there yet or not: an extent
 * that goes makes room for its next one.  What is there beyond the grant stays counted until it is gone. */
static void place_reserve_part(struct tier *t, struct blob *b)
{
	uint64_t want, have;
	uint32_t there;
	unsigned c;

	pthread_mutex_lock(&t->lock);
	c = b->part != NULL ? part_cache(b->part) : 0;
	want = b->part != NULL ? (uint64_t)part_grant(b->part) * TIER_EXTENT_BYTES : 0;
	there = b->part != NULL ? b->copy[c].valid + part_drops(b->part) + (b->fill != NULL ? fill_under_way(b->fill) : 0) : 0;
	have = b->copy[c].part_bytes;
	pthread_mutex_unlock(&t->lock);
	if (want == 0 || want == have)
		return;
	if (want < have && (uint64_t)there * TIER_EXTENT_BYTES > want)
		want = (uint64_t)there * TIER_EXTENT_BYTES < have ? (uint64_t)there * TIER_EXTENT_BYTES : have;
	if (want < have)
		cache_unreserve(t->cache[c].cache, have - want);
	else if (want > have && cache_reserve(t->cache[c].cache, want - have) != 0)
		return;                 /* the disk is full: the next look tries again */
	pthread_mutex_lock(&t->lock);
	b->copy[c].part_bytes = want;
	pthread_mutex_unlock(&t->lock);
}

/* Punch the extents, which the map has no more. */
static int place_punch(struct tier *t, struct blob *b, unsigned c, const uint32_t *extent, uint32_t n)
{
	struct cache_copy *file;
	int rc;

	tier_open_copies(t, b);
	pthread_mutex_lock(&t->lock);
	file = b->copy[c].file;
	if (file != NULL)
		cache_copy_ref(file);
	pthread_mutex_unlock(&t->lock);
	if (file == NULL)
		return -ENOENT;
	rc = cache_copy_write_begin(file);
	if (rc == 0) {
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			rc = cache_copy_punch(file, (uint64_t)extent[i] * TIER_EXTENT_BYTES, TIER_EXTENT_BYTES);
		cache_copy_write_end(file);
	}
	cache_copy_put(file);
	return rc;
}

void place_drop_extents(struct tier *t, struct blob *b)
{
	uint32_t extent[64], n;
	unsigned c;
	int rc;

	pthread_mutex_lock(&t->lock);
	n = b->part != NULL ? part_take_drops(b->part, extent, 64) : 0;
	c = n > 0 ? part_cache(b->part) : 0;
	if (n == 64)
		blob_due(t, b);
	pthread_mutex_unlock(&t->lock);
	if (n > 0) {
		rc = place_commit_drop(t, b->id, c, extent, n);
		if (rc == 0)
			rc = place_punch(t, b, c, extent, n);
		pthread_mutex_lock(&t->lock);
		if (rc != 0 && !t->frozen) {    /* blocks that nobody counts: all of the copy goes, now or by a sweep */
			place_remove_resident(t, b, c);
			b->copy[c].dropping = true;
			blob_due(t, b);
		}
		if (b->part != NULL)
			part_dropped(b->part);
		pthread_mutex_unlock(&t->lock);
	}
	place_reserve_part(t, b);
}

static void place_bad_done(void *ctx, int rc)
{
	(void)ctx;
	if (rc != 0)
		log_warn("cannot take a bad extent out of the map: %s", strerror(-rc));
}

void place_bad_extent(struct tier *t, struct blob *b, unsigned c, uint32_t extent)
{
	struct map_txn *txn = NULL;

	if (!(b->state[extent] & 1u << c))
		return;
	t->cache[c].bad_sums++;
	event_log_add(t->events, "bad-sum", cache_name(t->cache[c].cache), b->path,
		   "extent %u does not have the bytes that were written; it is read from home and copied anew", extent);
	log_warn("'%s': extent %u on %s does not match its sum", b->path, extent, cache_name(t->cache[c].cache));
	if (b->part != NULL && part_cache(b->part) == c) {
		part_lost(t, b, extent);        /* another may take its place before it is written again */
		return;
	}
	blob_valid_set(b, c, extent, false);
	if (t->map != NULL && !t->frozen && map_txn_new(&txn) == 0) {
		if (map_txn_drop(txn, b->id, t->cache[c].number, extent, 1) != 0 ||
		    map_submit(t->map, txn, place_bad_done, NULL) != 0)
			map_txn_free(txn);
	}
	blob_due(t, b);
}

struct place_suspects {
	struct tier *t;
	unsigned c;
};

static void place_suspect_one(void *ctx, struct blob *b)
{
	const struct place_suspects *s = ctx;
	unsigned c = s->c;

	if (b->copy[c].valid == 0)
		return;
	b->copy[c].suspect = true;
	verify_suspect(s->t, b);
}

void place_cache_back(struct tier *t, unsigned c)
{
	struct place_suspects s = { .t = t, .c = c };

	blob_each(t, place_suspect_one, &s);
	t->cache[c].sweep = true;
	event_log_add(t->events, "cache-back", cache_name(t->cache[c].cache), NULL,
		   "in service again; its copies are compared before they are trusted");
	place_wake(t);
}

void place_changed(struct tier *t, struct blob *b)
{
	if (b->gone)
		return;
	gather_forget(t, b);
	for (unsigned c = 0; c < t->caches; c++) {
		const struct blob_copy *k = &b->copy[c];

		place_remove_resident(t, b, c);
		/* of a part the place thread may be reserving the bytes just now */
		if (k->valid > 0 || k->file != NULL || k->reserved || k->part_bytes > 0 || (b->part != NULL && part_cache(b->part) == c))
			b->copy[c].dropping = true;
		blob_forget_copy(b, c);
	}
	if (b->fill != NULL)
		fill_stop(b->fill, FILL_CHANGED);
	blob_remove(t, b);
	blob_due(t, b);
}

void place_forget_blob(struct tier *t, struct blob *b)
{
	struct map_txn *txn = NULL;

	if (!b->in_map || t->map == NULL || t->frozen || map_txn_new(&txn) != 0)
		return;
	if (map_txn_drop_blob(txn, b->id) != 0 || map_submit(t->map, txn, NULL, NULL) != 0)
		map_txn_free(txn);      /* the next start finds the row, and no such file in home */
	else
		b->in_map = false;
}
