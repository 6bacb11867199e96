/* gather_dev.c - a device's thread: picks what goes next, has its ring do it, and deals with what came. */
#include "tiering/blob.h"
#include "tiering/fill.h"
#include "tiering/gather_internal.h"
#include "tiering/place.h"
#include "tiering/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <time.h>

#define GATHER_DEPTH 16u                /* operations at once; a disk that seeks gets fewer */
#define GATHER_DEPTH_SEEKS 8u
#define GATHER_RING (GATHER_DEPTH + 16) /* and syncs */
#define GATHER_NS 1000000000ull
#define GATHER_IDLE_SHARE 0.8           /* of the device's rate for background reads */
#define GATHER_BUSY_SHARE 0.2           /* while clients wait for it */
#define GATHER_BURST_NS 100e6           /* of its share that may be saved up */
#define GATHER_PROBE_TICKS 8u            /* between looks at a cache, in or out of service: two seconds */

uint64_t gather_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * GATHER_NS + (uint64_t)ts.tv_nsec;
}

/* ---- queues ---- */

void gather_queue_add(struct gather_queue *q, struct gather_buf *buf)
{
	if (q->first == NULL)
		q->last = &q->first;
	buf->queue_next = NULL;
	*q->last = buf;
	q->last = &buf->queue_next;
	q->count++;
}

static struct gather_buf *gather_queue_take(struct gather_queue *q, struct gather_buf **at)
{
	struct gather_buf *buf = *at;

	*at = buf->queue_next;
	if (q->last == &buf->queue_next)
		q->last = at;
	buf->queue_next = NULL;
	q->count--;
	return buf;
}

bool gather_queue_remove(struct gather_dev *d, struct gather_buf *buf)
{
	struct gather_queue *q = &d->queue[buf->class];

	for (struct gather_buf **p = &q->first; q->count > 0 && *p != NULL; p = &(*p)->queue_next) {
		if (*p == buf) {
			gather_queue_take(q, p);
			return true;
		}
	}
	return false;
}

/* ---- what goes next ---- */

/* On a disk that seeks: what continues the last read, as long as the run is not too long. */
static struct gather_buf *gather_continue(struct gather_dev *d)
{
	if (!d->seeks || d->last_blob == NULL || d->run >= GATHER_RUN)
		return NULL;
	for (unsigned class = 0; class < GATHER_CLASSES; class++) {
		struct gather_queue *q = &d->queue[class];

		if (class == GATHER_WRITE || q->count == 0)
			continue;
		for (struct gather_buf **p = &q->first; *p != NULL; p = &(*p)->queue_next)
			if ((*p)->blob == d->last_blob && (*p)->extent == d->last_extent + 1)
				return gather_queue_take(q, p);
	}
	return NULL;
}

/* How long after a client waited the device counts as busy: a second. */
static uint64_t gather_busy_ns(const struct tier *t)
{
	return HEAT_TICKS_PER_SECOND * t->tick_ms * 1000000ull;
}

bool gather_is_busy(const struct tier *t, unsigned dev)
{
	return t->gather->dev[dev].demand_at + gather_busy_ns(t) > gather_now();
}

bool gather_seeks(const struct tier *t, unsigned dev)
{
	return t->gather->dev[dev].seeks;
}

/* The device's time that background reads may take: a share of all, of which what they have in flight uses up.  That is
 * the same share of its bandwidth, whatever that is. */
static bool gather_may_background(struct gather_dev *d, uint64_t now)
{
	bool busy = d->demand_at + gather_busy_ns(d->tier) > now;
	double passed = (double)(now - d->tokens_at);

	d->tokens += passed * (busy ? GATHER_BUSY_SHARE : GATHER_IDLE_SHARE);
	if (d->background_in_flight > 0)
		d->tokens -= passed;
	d->tokens_at = now;
	if (d->tokens > GATHER_BURST_NS)
		d->tokens = GATHER_BURST_NS;
	return d->tokens > 0 && d->background_in_flight < (busy ? 1 : d->depth);
}

static struct gather_buf *gather_pick(struct gather_dev *d, uint64_t now)
{
	struct gather_buf *buf = gather_continue(d);
	bool continues = buf != NULL;

	for (unsigned class = 0; buf == NULL && class < GATHER_CLASSES; class++) {
		struct gather_queue *q = &d->queue[class];

		if (q->count > 0 && (class != GATHER_BACKGROUND || gather_may_background(d, now)))
			buf = gather_queue_take(q, &q->first);
	}
	if (buf == NULL || buf->writing)
		return buf;
	d->run = continues ? d->run + 1 : 0;
	d->last_blob = buf->blob;
	d->last_extent = buf->extent;
	if (buf->class == GATHER_DEMAND)
		d->demand_at = now;
	d->background_in_flight += buf->class == GATHER_BACKGROUND;
	return buf;
}

/* ---- outcomes ---- */

/* Sum what was read, and compare it where it came from a cache.  Not locked.  0, or -EBADMSG. */
static int gather_check(struct tier *t, struct gather_buf *buf)
{
	struct blob *b = buf->blob;
	uint64_t want, id;
	bool summed, needed;

	pthread_mutex_lock(&t->lock);
	summed = b->state != NULL && b->state[buf->extent] & BLOB_SUMMED;
	want = summed ? b->sum[buf->extent] : 0;
	id = b->id;
	needed = buf->from != GATHER_FROM_HOME || (b->fill != NULL && fill_wants(b->fill, buf->extent));
	pthread_mutex_unlock(&t->lock);
	if (!needed)
		return 0;
	buf->sum = sums_extent(id, buf->extent, buf->data, buf->len);
	buf->has_sum = true;
	return buf->from == GATHER_FROM_HOME || (summed && buf->sum == want) ? 0 : -EBADMSG;
}

/* Once more through the page cache: a direct read says -EINVAL when the file is cut to a part of a block meanwhile
 * (seen on ext4). */
static int64_t gather_read_plain(struct tier *t, const struct gather_buf *buf)
{
	int64_t res;
	int fd = io_reopen(t->io, buf->fd, O_RDONLY);

	if (fd < 0)
		return fd;
	res = io_pread(t->io, fd, buf->data, buf->len, (off_t)buf->extent * TIER_EXTENT_BYTES);
	io_close(t->io, fd);
	return res;
}

static void gather_read_done(struct gather_dev *d, struct gather_buf *buf, int64_t res, struct gather_req **out)
{
	struct tier *t = d->tier;
	bool home = buf->from == GATHER_FROM_HOME, cut = false;
	int rc = 0;

	if (res == -EINVAL && buf->direct)
		res = gather_read_plain(t, buf);
	if (res < 0)
		rc = (int)res;
	else if (res >= (int64_t)buf->len)
		rc = gather_check(t, buf);
	else if (!home)
		rc = -ENODATA;
	else
		cut = true;
	if (rc != 0 && !home && rc != -EBADMSG)
		cache_failed(t->cache[buf->from].cache, IO_PREAD, rc == -ENODATA ? -EIO : rc);
	cache_copy_put(buf->copy);
	pthread_mutex_lock(&t->lock);
	buf->copy = NULL;
	if (buf->class == GATHER_BACKGROUND)
		d->background_in_flight--;
	if (cut) {                      /* home's file was: what is left is the truth */
		buf->len = (uint32_t)res;
		if (buf->blob->fill != NULL)
			fill_stop(buf->blob->fill, FILL_CHANGED);
	}
	if (rc == 0) {
		if (buf->has_sum && !buf->stale && !buf->early) /* of a cache it is the one that home's bytes had: a move keeps it */
			fill_offer(t, buf, buf->sum);
		gather_settle(t, buf, 0, out);
	} else {
		if (!home && (rc == -EBADMSG || rc == -ENODATA))
			place_bad_extent(t, buf->blob, buf->from, buf->extent);
		buf->tried |= 1u << buf->from;
		if (!gather_route(t, buf, buf->waiters != NULL ? GATHER_DEMAND : buf->class))
			gather_settle(t, buf, rc == -EBADMSG || rc == -ENODATA ? -EIO : rc, out);
	}
	pthread_mutex_unlock(&t->lock);
}

static void gather_write_done(struct gather_dev *d, struct gather_buf *buf, int64_t res)
{
	struct tier *t = d->tier;
	struct blob *b = buf->blob;

	if (res >= 0 && res < (int64_t)buf->op.len)
		res = -ENOSPC;
	if (res < 0)
		cache_failed(t->cache[d->id].cache, IO_PWRITE, (int)res);
	pthread_mutex_lock(&t->lock);
	buf->writing = false;
	t->gather->nwriting--;
	fill_written(t, b, buf->extent, d->id, res);
	gather_pool_unref(t, buf);
	pthread_mutex_unlock(&t->lock);
}

static struct gather_buf *gather_buf_of(struct ring_op *op)
{
	return (struct gather_buf *)(void *)((char *)op - offsetof(struct gather_buf, op));
}

static void gather_collect(struct gather_dev *d, struct ring_op *list)
{
	struct gather_req *out = NULL;

	for (struct ring_op *op = list, *next; op != NULL; op = next) {
		next = op->next;
		d->in_flight--;
		if (op->kind == RING_SYNC) {
			fill_synced(d->tier, op);
			continue;
		}
		if (op->kind == RING_WRITE)
			gather_write_done(d, gather_buf_of(op), op->res);
		else
			gather_read_done(d, gather_buf_of(op), op->res, &out);
	}
	if (list != NULL) {             /* writes and read-ahead held buffers too */
		pthread_mutex_lock(&d->tier->lock);
		gather_feed(d->tier, &out);
		pthread_mutex_unlock(&d->tier->lock);
	}
	gather_finish(d->tier, out);
}

/* ---- the thread ---- */

/* A cache out of service: whatever is queued goes elsewhere. */
static void gather_refuse(struct gather_dev *d, struct gather_req **out)
{
	struct tier *t = d->tier;

	for (unsigned class = 0; class < GATHER_CLASSES; class++) {
		while (d->queue[class].count > 0) {
			struct gather_buf *buf = gather_queue_take(&d->queue[class], &d->queue[class].first);

			if (buf->writing) {
				buf->writing = false;
				t->gather->nwriting--;
				fill_written(t, buf->blob, buf->extent, d->id, -EIO);
				gather_pool_unref(t, buf);
				continue;
			}
			cache_copy_put(buf->copy);      /* not the last: the blob has one */
			buf->copy = NULL;
			buf->tried |= 1u << d->id;
			if (!gather_route(t, buf, buf->class))
				gather_settle(t, buf, -EIO, out);
		}
	}
}

/* Home's page cache may have it already: a model just pulled. */
static bool gather_try_warm(struct gather_dev *d, struct gather_buf *buf)
{
	const struct blob *b = buf->blob;
	int fd = -1;

	if (d->id != GATHER_FROM_HOME)
		return false;
	pthread_mutex_lock(&d->tier->lock);
	if (b->home_may_be_warm)
		fd = b->home_warm_fd;           /* open as long as the buffer refers to the blob */
	pthread_mutex_unlock(&d->tier->lock);
	if (fd == -1)
		return false;
	buf->op.res = io_pread_cached(d->tier->io, fd, buf->data, buf->len,
				      (off_t)buf->extent * TIER_EXTENT_BYTES);
	return buf->op.res == (int64_t)buf->len;
}

/* Hand the buffer's operation to the ring; what home's page cache had is collected at once. */
static void gather_submit(struct gather_dev *d, struct gather_buf *buf)
{
	uint32_t len = buf->direct ? (buf->len + 4095) & ~4095u : buf->len;

	if (!buf->writing)
		buf->op = (struct ring_op){ .kind = RING_READ, .fd = buf->fd, .buf = buf->data, .len = len,
					    .off = (uint64_t)buf->extent * TIER_EXTENT_BYTES };
	d->in_flight++;
	if (!buf->writing && gather_try_warm(d, buf)) {
		gather_collect(d, &buf->op);
	} else if (ring_submit(d->ring, &buf->op) != 0) {
		buf->op.res = -EAGAIN;
		gather_collect(d, &buf->op);
	}
}

static uint64_t gather_probe_ns(const struct gather_dev *d)
{
	return GATHER_PROBE_TICKS * d->tier->tick_ms * 1000000ull;
}

/* How long the thread may sleep: until a sync, background reads or a probe are due. */
static int gather_timeout(struct gather_dev *d, uint64_t now)
{
	uint64_t ns = fill_sync_due(d->tier, d->id, now);
	double lack;

	if (d->queue[GATHER_BACKGROUND].count > 0 && d->in_flight < d->depth) {
		lack = -d->tokens / GATHER_BUSY_SHARE;
		if (lack < 1e6)
			lack = 1e6;
		if (lack < (double)ns)
			ns = (uint64_t)lack;
	}
	if (d->id != GATHER_FROM_HOME && ns > (d->health_at > now ? d->health_at - now : 0))
		ns = d->health_at > now ? d->health_at - now : 0;
	return ns > 3600 * GATHER_NS ? -1 : (int)(ns / 1000000 + 1);
}

static void gather_probe(struct gather_dev *d, uint64_t now)
{
	struct tier *t = d->tier;
	struct gather_req *out = NULL;

	pthread_mutex_lock(&t->lock);
	gather_refuse(d, &out);
	pthread_mutex_unlock(&t->lock);
	gather_finish(t, out);
	if (now < d->probe_at)
		return;
	d->probe_at = d->health_at = now + gather_probe_ns(d);
	if (cache_probe(t->cache[d->id].cache)) {
		pthread_mutex_lock(&t->lock);
		place_cache_back(t, d->id);
		pthread_mutex_unlock(&t->lock);
	}
}

/* The next copy after the last one looked at that clients have natively: nobody tells us of their errors.  Locked. */
static struct blob *gather_native_blob(struct gather_dev *d)
{
	const struct tier_cache *k = &d->tier->cache[d->id];

	for (uint32_t n = 0; n < k->set_cap; n++) {
		struct blob *b;

		d->health_slot = d->health_slot + 1 < k->set_cap ? d->health_slot + 1 : 0;
		b = k->resident[d->health_slot];
		if (b != NULL && b->copy[d->id].native > 0 && b->copy[d->id].file != NULL)
			return b;
	}
	return NULL;
}

/* Read a little of a copy now and then, past the page cache: a cache that died must be noticed though all its reads
 * are native, so that new opens go elsewhere (rule R10). */
static void gather_look_after(struct gather_dev *d, uint64_t now)
{
	struct tier *t = d->tier;
	struct cache_copy *file = NULL;
	uint64_t off = 0;
	struct blob *b;
	bool direct;
	ssize_t n;
	int fd;

	if (now < d->health_at)
		return;
	d->health_at = now + gather_probe_ns(d);
	pthread_mutex_lock(&t->lock);
	b = gather_native_blob(d);
	if (b != NULL) {
		file = cache_copy_ref(b->copy[d->id].file);
		off = (now / gather_probe_ns(d)) % b->extents * TIER_EXTENT_BYTES;
	}
	pthread_mutex_unlock(&t->lock);
	if (file == NULL)
		return;
	fd = cache_copy_fd(file, &direct);
	n = direct ? io_pread(t->io, fd, d->sector, GATHER_SECTOR, (off_t)off) : 0;
	if (n < 0) {
		cache_failed(t->cache[d->id].cache, IO_PREAD, (int)n);
		d->health_at = now + gather_probe_ns(d) / 10;   /* once more soon: three failures are enough */
	}
	cache_copy_put(file);
}

/* Submit what may go.  True when the thread is to end. */
static bool gather_turn(struct gather_dev *d, uint64_t now, int *timeout_ms)
{
	struct tier *t = d->tier;
	struct gather_buf *buf = NULL;
	struct ring_op *sync = NULL;
	bool end;

	do {
		pthread_mutex_lock(&t->lock);
		buf = d->in_flight < d->depth ? gather_pick(d, now) : NULL;
		if (buf != NULL && !buf->writing)
			buf->state = GATHER_READING;
		sync = d->id != GATHER_FROM_HOME ? fill_next_sync(t, d->id, now) : NULL;
		*timeout_ms = gather_timeout(d, now);
		end = d->stop && d->in_flight == 0 && buf == NULL && sync == NULL;
		pthread_mutex_unlock(&t->lock);
		if (sync != NULL) {
			d->in_flight++;
			if (ring_submit(d->ring, sync) != 0) {
				sync->res = -EAGAIN;
				sync->next = NULL;
				gather_collect(d, sync);
			}
		}
		if (buf != NULL)
			gather_submit(d, buf);
	} while (buf != NULL || sync != NULL);
	return end;
}

static void *gather_run(void *arg)
{
	struct gather_dev *d = arg;
	int timeout_ms = -1;

	for (;;) {
		uint64_t now = gather_now();

		if (d->id != GATHER_FROM_HOME && cache_in_service(d->tier->cache[d->id].cache))
			gather_look_after(d, now);
		else if (d->id != GATHER_FROM_HOME)
			gather_probe(d, now);
		if (gather_turn(d, now, &timeout_ms))
			break;
		gather_collect(d, ring_wait(d->ring, timeout_ms));
	}
	return NULL;
}

void gather_wake(struct tier *t, unsigned dev)
{
	if (t->gather->dev[dev].started)
		ring_wake(t->gather->dev[dev].ring);
}

/* Whether the disk below the file has plates, as the kernel believes; a partition's is its disk's. */
static bool gather_detect_plates(int fd, const struct io *io)
{
	char path[128], c = '0';
	struct stat st;
	FILE *f = NULL;

	if (io_fstat(io, fd, &st) != 0)
		return false;
	for (int up = 0; f == NULL && up < 2; up++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/rotational", major(st.st_dev),
			 minor(st.st_dev), up ? "../" : "");
		f = fopen(path, "re");
	}
	if (f == NULL)
		return false;
	if (fread(&c, 1, 1, f) != 1)
		c = '0';
	fclose(f);
	return c == '1';
}

int gather_dev_start(struct tier *t, unsigned id)
{
	struct gather_dev *d = &t->gather->dev[id];
	struct ring_config cfg = { .io = t->io, .depth = GATHER_RING, .threads = t->ring_threads };
	int fd, rc;

	d->tier = t;
	d->id = id;
	fd = id == GATHER_FROM_HOME ? home_openat(t->home, "", O_RDONLY | O_DIRECTORY) : -1;
	d->seeks = fd >= 0 && gather_detect_plates(fd, t->io);
	if (fd >= 0)
		io_close(t->io, fd);
	d->depth = d->seeks ? GATHER_DEPTH_SEEKS : GATHER_DEPTH;
	d->tokens_at = gather_now();
	if (id != GATHER_FROM_HOME) {
		d->sector = aligned_alloc(GATHER_SECTOR, GATHER_SECTOR);
		if (d->sector == NULL)
			return -ENOMEM;
	}
	rc = ring_open(&d->ring, &cfg);
	if (rc != 0)
		return rc;
	rc = -pthread_create(&d->thread, NULL, gather_run, d);
	if (rc != 0) {
		ring_close(d->ring);
		d->ring = NULL;
		return rc;
	}
	d->started = true;
	return 0;
}

void gather_dev_stop(struct tier *t, unsigned id)
{
	struct gather_dev *d = &t->gather->dev[id];

	if (!d->started)
		return;
	pthread_mutex_lock(&t->lock);
	d->stop = true;
	pthread_mutex_unlock(&t->lock);
	ring_wake(d->ring);
	pthread_join(d->thread, NULL);
	d->started = false;
	ring_close(d->ring);
}

void gather_write(struct tier *t, struct gather_buf *buf, unsigned c, int fd)
{
	uint32_t len = buf->len;

	gather_pool_ref(t->gather, buf);
	buf->writing = true;
	buf->to = c;
	t->gather->nwriting++;
	buf->op = (struct ring_op){ .kind = RING_WRITE, .fd = fd, .buf = buf->data, .len = len,
				     .off = (uint64_t)buf->extent * TIER_EXTENT_BYTES };
	gather_queue_add(&t->gather->dev[c].queue[GATHER_WRITE], buf);
	gather_wake(t, c);
}
