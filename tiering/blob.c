#include "tiering/blob.h"
#include "tiering/part.h"
#include "tiering/place.h"

#include <stdlib.h>
#include <string.h>

#define BLOB_BUCKETS_MIN 1024u

static uint32_t blob_hash(uint64_t st_ino)
{
	return (uint32_t)((st_ino * 0x9e3779b97f4a7c15ull) >> 32);
}

struct blob *blob_find(struct tier *t, uint64_t st_ino)
{
	struct blob *b;

	if (t->bucket == NULL)
		return NULL;
	for (b = t->bucket[blob_hash(st_ino) & (t->buckets - 1)]; b != NULL && b->st_ino != st_ino; b = b->next)
		;
	return b;
}

struct blob *blob_new(const struct home_ident *id, const char *path)
{
	struct blob *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->path = strdup(path != NULL ? path : "");
	if (b->path == NULL) {
		free(b);
		return NULL;
	}
	b->st_ino = id->ino;
	b->size = id->size;
	b->ident = *id;
	b->extents = blob_extents_of(id->size);
	b->home_fd = b->home_warm_fd = -1;
	b->pin = b->warm = -1;
	for (unsigned c = 0; c < TIER_CACHE_MAX; c++)
		b->copy[c].slot = POLICY_NONE;
	return b;
}

void blob_free(struct blob *b)
{
	if (b == NULL)
		return;
	free(b->state);
	free(b->sum);
	free(b->heat);
	free(b->path);
	free(b);
}

/* Twice as many buckets, as long as there is memory for them: a full table is slower, not wrong. */
static void blob_grow(struct tier *t)
{
	uint32_t n = t->buckets == 0 ? BLOB_BUCKETS_MIN : t->buckets * 2;
	struct blob **bucket = calloc(n, sizeof(*bucket));

	if (bucket == NULL)
		return;
	for (uint32_t i = 0; i < t->buckets; i++) {
		for (struct blob *b = t->bucket[i], *next; b != NULL; b = next) {
			uint32_t at = blob_hash(b->st_ino) & (n - 1);

			next = b->next;
			b->next = bucket[at];
			bucket[at] = b;
		}
	}
	free(t->bucket);
	t->bucket = bucket;
	t->buckets = n;
}

struct blob *blob_insert(struct tier *t, struct blob *b)
{
	struct blob *known = blob_find(t, b->st_ino);
	uint32_t at;

	if (known != NULL)
		return known;
	if (t->blobs >= t->buckets)
		blob_grow(t);
	at = blob_hash(b->st_ino) & (t->buckets - 1);
	b->next = t->bucket[at];
	t->bucket[at] = b;
	t->blobs++;
	return NULL;
}

void blob_replace(struct tier *t, struct blob *old, struct blob *new)
{
	struct blob **p = &t->bucket[blob_hash(old->st_ino) & (t->buckets - 1)];

	while (*p != old)
		p = &(*p)->next;
	new->next = old->next;
	*p = new;
}

void blob_remove(struct tier *t, struct blob *b)
{
	struct blob **p = &t->bucket[blob_hash(b->st_ino) & (t->buckets - 1)];

	while (*p != NULL && *p != b)
		p = &(*p)->next;
	if (*p == NULL)
		return;
	*p = b->next;
	t->blobs--;
	b->gone = true;
	b->next = t->gone;
	t->gone = b;
	t->ngone++;
}

void blob_each(struct tier *t, void (*each)(void *ctx, struct blob *b), void *ctx)
{
	for (uint32_t i = 0; i < t->buckets; i++)
		for (struct blob *b = t->bucket[i]; b != NULL; b = b->next)
			each(ctx, b);
}

bool blob_arrays_new(struct blob_arrays *a, uint32_t extents)
{
	a->state = calloc(extents, sizeof(*a->state));
	a->sum = calloc(extents, sizeof(*a->sum));
	a->heat = calloc(extents, sizeof(*a->heat));
	if (a->state != NULL && a->sum != NULL && a->heat != NULL)
		return true;
	blob_arrays_free(a);
	return false;
}

void blob_arrays_free(struct blob_arrays *a)
{
	free(a->state);
	free(a->sum);
	free(a->heat);
	*a = (struct blob_arrays){ NULL, NULL, NULL };
}

void blob_arrays_set(struct blob *b, struct blob_arrays *a)
{
	if (b->state != NULL)
		return;
	b->state = a->state;
	b->sum = a->sum;
	b->heat = a->heat;
	*a = (struct blob_arrays){ NULL, NULL, NULL };
}

const char *blob_path(struct tier *t, const struct blob *b, char buf[BLOB_PATH_MAX])
{
	pthread_mutex_lock(&t->lock);
	buf[0] = '\0';
	if (strlen(b->path) < BLOB_PATH_MAX)
		strcpy(buf, b->path);
	pthread_mutex_unlock(&t->lock);
	return buf;
}

uint32_t blob_extents_of(uint64_t size)
{
	uint64_t n = (size + TIER_EXTENT_BYTES - 1) / TIER_EXTENT_BYTES;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

uint32_t blob_extent_bytes(const struct blob *b, uint32_t extent)
{
	uint64_t at = (uint64_t)extent * TIER_EXTENT_BYTES;

	if (at >= b->size)
		return 0;
	return b->size - at < TIER_EXTENT_BYTES ? (uint32_t)(b->size - at) : TIER_EXTENT_BYTES;
}

uint64_t blob_copy_bytes(const struct blob *b)
{
	return (b->size + 4095) & ~UINT64_C(4095);
}

void blob_valid_set(struct blob *b, unsigned c, uint32_t extent, bool valid)
{
	uint8_t bit = (uint8_t)(1u << c);

	if (!!(b->state[extent] & bit) == valid)
		return;
	b->state[extent] ^= bit;
	b->copy[c].valid += valid ? 1u : -1u;
}

bool blob_complete(const struct blob *b, unsigned c)
{
	return b->extents > 0 && b->copy[c].valid == b->extents;
}

struct cache_copy *blob_copy_named(const struct tier *t, const struct blob *b, uint64_t token)
{
	for (unsigned c = 0; c < t->caches; c++)
		if (b->copy[c].token == token && token != 0 && b->copy[c].file != NULL && !b->copy[c].dropping)
			return cache_copy_ref(b->copy[c].file);
	return NULL;
}

bool blob_has_token(const struct tier *t, const struct blob *b, uint64_t token)
{
	bool has = token == 0;

	for (unsigned c = 0; c < t->caches; c++)
		has = has || (b->copy[c].token == token && !b->copy[c].dropping);
	return has;
}

void blob_forget_copy(struct blob *b, unsigned c)
{
	for (uint32_t e = 0; b->copy[c].valid > 0 && e < b->extents; e++)
		blob_valid_set(b, c, e, false);
	b->copy[c].suspect = false;
	b->copy[c].token = 0;
	b->copy[c].native = 0;          /* those that are open have a file that is nobody's copy any more */
}

void blob_due(struct tier *t, struct blob *b)
{
	if (b->due)
		return;
	b->due = true;
	place_due(t, b);
}

void blob_unref(struct tier *t, struct blob *b)
{
	if (--b->refs == 0 && (b->home_fd != -1 || b->home_warm_fd != -1 || b->gone))
		blob_due(t, b);
}

static void blob_touched(struct tier *t, struct blob *b)
{
	b->heat_dirty = true;
	if (b->touched_tick != t->tick) {
		b->touched_tick = t->tick;
		b->touches += b->touches < UINT16_MAX;
	}
	if (!b->touched) {
		b->touched = true;
		place_touched(t, b);
	}
}

void blob_touch(struct tier *t, struct blob *b, uint32_t extent)
{
	if (t->caches == 0 || (b->heat != NULL && !heat_touch(&b->heat[extent], &t->clock)))
		return;
	t->touches++;
	heat_add(&b->key, &t->clock, 1.0 / b->extents);
	blob_touched(t, b);
	if (b->part != NULL && b->heat != NULL) /* else its first fill is still to begin */
		part_touch(t, b, extent);
}

void blob_opened(struct tier *t, struct blob *b)
{
	if (t->caches > 0)
		blob_touched(t, b);
}

void blob_touch_whole(struct tier *t, struct blob *b, double weight)
{
	if (t->caches == 0 || !(weight > 0))
		return;
	t->touches += (uint64_t)(weight * b->extents);
	heat_add(&b->key, &t->clock, weight);
	blob_touched(t, b);
}

bool blob_is_scratch(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base != NULL ? base + 1 : path;
	if (strncmp(path, "blobs/", 6) == 0)
		return strncmp(base, "sha256-", 7) != 0 || strspn(base + 7, "0123456789abcdefABCDEF") != 64 ||
		       base[7 + 64] != '\0';
	return strstr(base, "-partial") != NULL || strstr(base, ".incomplete") != NULL || strstr(base, ".tmp") != NULL ||
	       strstr(base, ".part") != NULL;
}
