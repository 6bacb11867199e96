#include "tiering/fill.h"
#include "tiering/blob.h"
#include "tiering/part.h"
#include "tiering/place.h"
#include "tiering/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILL_BATCH 64u                          /* extents that make a sync due, or the oldest a tick old */
#define FILL_AHEAD 8u                           /* extents that the mover asks for at a time, of all fills */
#define FILL_PATIENCE_NS 30000000000ull         /* what nobody ordered waits this long for an idle disk */
#define FILL_RUN_MAX 256u                       /* extents in one row of a transaction */

static struct cache *fill_cache(const struct fill *f)
{
	return f->tier->cache[f->cache].cache;
}

/* ---- beginning ---- */

/* Home's file once more, checked to be the one: for reading with O_DIRECT where that can be. */
static int fill_open_home(struct tier *t, struct blob *b, int *out)
{
	char path[BLOB_PATH_MAX];
	struct home_ident id;
	struct stat st;
	int fd, rc;

	fd = home_openat(t->home, blob_path(t, b, path), O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? -ESTALE : fd;
	rc = io_fstat(t->io, fd, &st);
	if (rc == 0) {
		id = home_ident(&st);
		pthread_mutex_lock(&t->lock);
		if (!home_ident_equal(&id, &b->ident))
			rc = -ESTALE;
		pthread_mutex_unlock(&t->lock);
	}
	if (rc != 0) {
		io_close(t->io, fd);
		return rc;
	}
	*out = fd;
	return 0;
}

/* Without leases the file must have been left alone for a while already. */
static int fill_seal(struct fill *f, int fd)
{
	struct tier *t = f->tier;
	char path[BLOB_PATH_MAX];
	struct timespec now;
	int rc;

	if (blob_is_scratch(blob_path(t, f->blob, path)))
		return -EAGAIN;
	rc = lease_take(t->leases, fd, &f->lease);
	if (rc != -EOPNOTSUPP)
		return rc;
	clock_gettime(CLOCK_REALTIME, &now);
	return home_ident_settled(&f->blob->ident, &now) ? 0 : -EAGAIN;
}

/* The blob's arrays, id and descriptor of home, where it has none yet. */
static int fill_prepare_blob(struct tier *t, struct blob *b, int *fd)
{
	struct blob_arrays a = { NULL, NULL, NULL };
	uint64_t id = 0;
	int direct = -1, rc;
	bool needs;

	if (b->state == NULL && !blob_arrays_new(&a, b->extents))
		return -ENOMEM;
	rc = b->id == 0 ? sums_blob_id(&id) : 0;
	pthread_mutex_lock(&t->lock);
	needs = b->home_fd == -1;
	pthread_mutex_unlock(&t->lock);
	if (rc == 0 && needs)
		direct = io_reopen(t->io, *fd, O_RDONLY | O_DIRECT);
	pthread_mutex_lock(&t->lock);
	if (rc == 0) {
		blob_arrays_set(b, &a);
		if (b->id == 0)
			b->id = id;
		if (b->home_fd == -1) {
			b->home_fd = direct >= 0 ? direct : *fd;
			b->home_direct = direct >= 0;
			if (direct < 0)
				*fd = -1;
			direct = -1;
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (direct >= 0)
		io_close(t->io, direct);
	blob_arrays_free(&a);
	return rc;
}

/* The copy's file and its space.  What a blob is granted that is held in part, the place thread reserves. */
static int fill_prepare_copy(struct fill *f)
{
	struct blob *b = f->blob;
	struct blob_copy *k = &b->copy[f->cache];
	struct cache_copy *file = NULL;
	uint64_t allocated = 0;
	uint64_t known;         /* bytes, by the map */
	int rc;

	pthread_mutex_lock(&f->tier->lock);
	known = (uint64_t)k->valid * TIER_EXTENT_BYTES;
	pthread_mutex_unlock(&f->tier->lock);
	if (!f->part && !k->reserved) {
		rc = cache_reserve(fill_cache(f), blob_copy_bytes(b));
		if (rc != 0)
			return rc;
		pthread_mutex_lock(&f->tier->lock);
		k->reserved = true;     /* place_changed looks */
		pthread_mutex_unlock(&f->tier->lock);
	}
	if (k->file == NULL) {
		/* what the map knows must be there: a new file in its place would have holes that count as extents */
		rc = cache_copy_get(fill_cache(f), b->id, b->size, known == 0, &allocated, &file);
		if (rc == 0 && known > 0 && allocated + TIER_EXTENT_BYTES < known) {
			cache_copy_put(file);
			rc = -ENOENT;
		}
		if (rc != 0)
			return known > 0 && rc == -ENOENT ? -EPERM : rc;
	}
	pthread_mutex_lock(&f->tier->lock);
	if (file != NULL) {
		k->file = file;
		k->token = ++f->tier->next_token;
	}
	pthread_mutex_unlock(&f->tier->lock);
	rc = cache_copy_write_begin(k->file);
	if (rc != 0)
		return rc;
	if (file != NULL && f->part && allocated > known) {
		rc = tier_punch_strays(f->tier, b, f->cache, k->file);
		if (rc != 0) {
			cache_copy_write_end(k->file);
			return rc;
		}
	}
	if (b->size % 4096 == 0)
		return 0;
	f->tail_fd = io_reopen(f->tier->io, cache_copy_fd(k->file, NULL), O_RDWR);
	if (f->tail_fd >= 0)
		return 0;
	rc = f->tail_fd;
	f->tail_fd = -1;
	cache_copy_write_end(k->file);
	return rc;
}

static void fill_free(struct fill *f)
{
	if (f->tail_fd != -1)
		io_close(f->tier->io, f->tail_fd);
	lease_drop(f->lease);
	free(f);
}

int fill_begin(struct tier *t, struct blob *b, unsigned c, bool ordered)
{
	struct fill *f = calloc(1, sizeof(*f));
	int fd = -1, rc;

	if (f == NULL)
		return -ENOMEM;
	*f = (struct fill){ .tier = t, .blob = b, .cache = c, .tail_fd = -1, .ordered = ordered, .since_ns = gather_now(),
			    .part = b->part != NULL && part_cache(b->part) == c };
	rc = fill_open_home(t, b, &fd);
	if (rc == 0)
		rc = fill_seal(f, fd);
	if (rc == 0)
		rc = fill_prepare_blob(t, b, &fd);
	if (rc == 0)
		rc = fill_prepare_copy(f);
	if (fd >= 0)
		io_close(t->io, fd);
	if (rc != 0) {
		fill_free(f);
		return rc;
	}
	pthread_mutex_lock(&t->lock);
	gather_fill_began(t, b);
	b->fill = f;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

/* ---- while it goes on ---- */

bool fill_wants(const struct fill *f, uint32_t extent)
{
	return f->end == FILL_GOES_ON && !(f->blob->state[extent] & (BLOB_FILLING | 1u << f->cache)) &&
	       (!f->part || part_has(f->blob->part, extent));
}

void fill_stop(struct fill *f, enum fill_end why)
{
	if (f->end != FILL_GOES_ON)
		return;                 /* who waits for it to be idle is told by fill_ended_some */
	f->end = why;
	blob_due(f->tier, f->blob);
}

/* Something of it came to an end: who waits for all of it looks again.  blob_due alone wakes nobody when the blob is
 * due already. */
static void fill_ended_some(struct fill *f)
{
	if (f->end != FILL_GOES_ON && fill_is_idle(f)) {
		blob_due(f->tier, f->blob);
		place_wake(f->tier);
	}
}

static bool fill_still_sealed(struct fill *f)
{
	if (f->lease == NULL || lease_held(f->lease))
		return true;
	fill_stop(f, FILL_UNSEALED);
	return false;
}

/* A blob that is held in part takes no more than was reserved, also while what left it is still to be punched. */
static bool fill_has_room(const struct fill *f)
{
	const struct blob_copy *k = &f->blob->copy[f->cache];
	uint64_t extents = (uint64_t)k->valid + fill_under_way(f);

	return !f->part || (extents + part_drops(f->blob->part) + 1) * TIER_EXTENT_BYTES <= k->part_bytes;
}

void fill_offer(struct tier *t, struct gather_buf *buf, uint64_t sum)
{
	struct blob *b = gather_buf_blob(buf);
	uint32_t e = gather_buf_extent(buf);
	struct fill *f = b->fill;
	bool direct;
	int fd;

	if (f == NULL || !fill_wants(f, e) || !fill_still_sealed(f))
		return;
	if (b->state[e] & BLOB_SUMMED && b->sum[e] != sum) {
		fill_stop(f, FILL_CHANGED);     /* other bytes than those that copies were made of */
		return;
	}
	if (!gather_may_write(t) || !cache_in_service(fill_cache(f)) || !fill_has_room(f))
		return;
	fd = cache_copy_fd(b->copy[f->cache].file, &direct);
	if (blob_extent_bytes(b, e) % 4096 != 0)
		fd = f->tail_fd;
	b->sum[e] = sum;
	b->state[e] |= BLOB_SUMMED | BLOB_WRITING;
	f->writing++;
	gather_write(t, buf, f->cache, fd);
}

void fill_fetched(struct tier *t, struct blob *b, uint32_t extent, int rc)
{
	(void)extent;
	if (b->fill == NULL)
		return;
	if (rc != 0)
		fill_stop(b->fill, FILL_FAILED);
	fill_push(t, b->fill);
}

void fill_written(struct tier *t, struct blob *b, uint32_t extent, unsigned c, int64_t res)
{
	struct fill *f = b->fill;

	b->state[extent] &= (uint8_t)~BLOB_WRITING;
	if (f == NULL || f->cache != c)
		return;
	f->writing--;
	if (res < 0) {
		if (f->part)
			part_lost(t, b, extent);
		fill_stop(f, FILL_FAILED);
		fill_ended_some(f);
		return;
	}
	b->state[extent] |= BLOB_WRITTEN;
	if (f->written++ == 0)
		f->oldest_ns = gather_now();
	f->filled_bytes += (uint64_t)res;
	t->cache[c].fills++;
	t->cache[c].fill_bytes += (uint64_t)res;
	fill_ended_some(f);
	gather_wake(t, c);
}

/* ---- making durable ---- */

static uint64_t fill_batch_ns(const struct fill *f)
{
	return f->tier->tick_ms * 1000000ull;
}

static bool fill_sync_ready(const struct fill *f, uint64_t now_ns)
{
	if (f->sync_busy)
		return f->commit_waits;
	return f->written > 0 && (f->written >= FILL_BATCH || now_ns >= f->oldest_ns + fill_batch_ns(f) || f->end != FILL_GOES_ON ||
				  f->blob->copy[f->cache].valid + f->written == f->blob->extents);
}

/* The extents in state from become to. */
static void fill_move_states(struct blob *b, uint8_t from, uint8_t to)
{
	for (uint32_t e = 0; e < b->extents; e++)
		if (b->state[e] & from)
			b->state[e] = (uint8_t)((b->state[e] & ~from) | to);
}

struct ring_op *fill_next_sync(struct tier *t, unsigned c, uint64_t now_ns)
{
	for (struct fill *f = place_fills(t); f != NULL; f = f->next) {
		if (f->cache != c || !fill_sync_ready(f, now_ns))
			continue;
		if (f->commit_waits) {
			f->commit_waits = false;
			fill_commit(f);
			continue;
		}
		fill_move_states(f->blob, BLOB_WRITTEN, BLOB_SYNCING);
		f->syncing = f->written;
		f->written = 0;
		f->sync_busy = true;
		f->sync = (struct ring_op){ .kind = RING_SYNC, .fd = cache_copy_fd(f->blob->copy[c].file, NULL) };
		return &f->sync;
	}
	return NULL;
}

uint64_t fill_sync_due(struct tier *t, unsigned c, uint64_t now_ns)
{
	uint64_t due = UINT64_MAX, at;

	for (struct fill *f = place_fills(t); f != NULL; f = f->next) {
		if (f->cache != c || (f->sync_busy ? !f->commit_waits : f->written == 0))
			continue;
		at = f->commit_waits ? now_ns + 20000000 : f->oldest_ns + fill_batch_ns(f);
		if (at < due)
			due = at;
	}
	return due == UINT64_MAX ? due : due > now_ns ? due - now_ns : 0;
}

/* The rows of what was synced. */
static int fill_rows(struct fill *f, struct map_txn *txn)
{
	struct blob *b = f->blob;
	struct map_blob row = { .id = b->id, .ident = b->ident, .path = b->path };
	int rc = map_txn_put_blob(txn, &row);

	for (uint32_t e = 0; rc == 0 && e < b->extents; e++) {
		struct map_extents run = { .blob = b->id, .cache = f->tier->cache[f->cache].number, .first = e,
					   .sums = &b->sum[e] };

		while (e < b->extents && b->state[e] & BLOB_SYNCING && run.count < FILL_RUN_MAX) {
			run.count++;
			e++;
		}
		if (run.count > 0) {
			rc = map_txn_add(txn, &run);
			e--;
		}
	}
	return rc;
}

static void fill_settle_sync(struct fill *f, bool valid)
{
	struct blob *b = f->blob;

	for (uint32_t e = 0; e < b->extents; e++) {
		if (!(b->state[e] & BLOB_SYNCING))
			continue;
		b->state[e] &= (uint8_t)~BLOB_SYNCING;
		if (valid)
			blob_valid_set(b, f->cache, e, true);
		else if (f->part)
			part_lost(f->tier, b, e);
		if (valid && f->part && !part_has(b->part, e))
			part_unwanted(f->tier, b, e);   /* it lost its place while it was written */
	}
	f->syncing = 0;
	f->sync_busy = false;
	gather_wake(f->tier, f->cache);         /* what was written meanwhile waits for its own sync */
	if (blob_complete(b, f->cache))
		fill_stop(f, FILL_COMPLETE);
	blob_due(f->tier, b);
	fill_ended_some(f);
}

/* The map's thread: durable, or not. */
static void fill_committed(void *ctx, int rc)
{
	struct fill *f = ctx;
	struct tier *t = f->tier;

	pthread_mutex_lock(&t->lock);
	if (rc == 0) {
		f->blob->in_map = true;
	} else {
		if (map_read_only(t->map) != 0)
			t->frozen = true;
		fill_stop(f, FILL_FAILED);
	}
	fill_settle_sync(f, rc == 0);
	pthread_mutex_unlock(&t->lock);
}

void fill_commit(struct fill *f)
{
	struct tier *t = f->tier;
	struct map_txn *txn = NULL;
	int rc;

	if (!fill_still_sealed(f)) {
		fill_settle_sync(f, false);
		return;
	}
	rc = t->frozen ? -EROFS : map_txn_new(&txn);
	if (rc == 0)
		rc = fill_rows(f, txn);
	if (rc == 0)
		rc = map_submit(t->map, txn, fill_committed, f);
	if (rc == 0)
		return;
	map_txn_free(txn);
	if (rc == -EAGAIN) {
		f->commit_waits = true;
		return;
	}
	if (rc == -EROFS)
		t->frozen = true;
	fill_stop(f, FILL_FAILED);
	fill_settle_sync(f, false);
}

void fill_synced(struct tier *t, struct ring_op *op)
{
	struct fill *f = (struct fill *)(void *)((char *)op - offsetof(struct fill, sync));
	bool changed = false, look = f->lease == NULL && op->res == 0;
	struct home_ident id;
	struct stat st;
	int fd;

	if (op->res != 0)
		cache_failed(fill_cache(f), IO_FSYNC, (int)op->res);
	pthread_mutex_lock(&t->lock);
	fd = f->blob->home_fd;          /* open as long as the fill refers to the blob */
	pthread_mutex_unlock(&t->lock);
	look = look && io_fstat(t->io, fd, &st) == 0;
	pthread_mutex_lock(&t->lock);
	if (look) {                     /* no lease: is home's file still the same? */
		id = home_ident(&st);
		changed = !home_ident_equal(&id, &f->blob->ident);
	}
	if (op->res != 0 || changed) {
		fill_stop(f, changed ? FILL_CHANGED : FILL_FAILED);
		fill_settle_sync(f, false);
	} else {
		fill_commit(f);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- the mover's part, and the end ---- */

void fill_push(struct tier *t, struct fill *f)
{
	struct blob *b = f->blob;

	/* a client that waits for home's disk goes first, unless somebody ordered the copy, or waits long */
	if (!f->ordered && gather_is_busy(t, TIER_HOME_DEV) && gather_now() < f->since_ns + FILL_PATIENCE_NS)
		return;
	for (uint32_t seen = 0; seen < b->extents && gather_fetching(t) < FILL_AHEAD && gather_may_write(t); seen++) {
		if (f->cursor >= b->extents)
			f->cursor = 0;
		if (fill_wants(f, f->cursor) && !gather_fetch(t, b, f->cursor))
			break;
		f->cursor++;
	}
}

bool fill_is_idle(const struct fill *f)
{
	return f->writing == 0 && !f->sync_busy;
}

uint32_t fill_under_way(const struct fill *f)
{
	return f->writing + f->written + f->syncing;
}

void fill_finish(struct tier *t, struct fill *f)
{
	struct blob *b = f->blob;

	cache_copy_write_end(b->copy[f->cache].file);
	pthread_mutex_lock(&t->lock);
	for (uint32_t e = 0; f->part && e < b->extents; e++)
		if (b->state[e] & BLOB_WRITTEN)
			part_lost(t, b, e);
	fill_move_states(b, BLOB_WRITTEN | BLOB_SYNCING, 0);
	b->fill = NULL;
	pthread_mutex_unlock(&t->lock);
	fill_free(f);
}
