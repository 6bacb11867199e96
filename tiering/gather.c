#include "tiering/blob.h"
#include "tiering/fill.h"
#include "tiering/gather_internal.h"

#include <errno.h>
#include <stdlib.h>

/* The fastest source that has the extent and has not failed for it; false: none. */
static bool gather_source(struct tier *t, struct gather_buf *buf)
{
	struct blob *b = buf->blob;

	for (unsigned c = 0; c < t->caches; c++) {
		if (buf->tried & 1u << c || b->suspect || b->state == NULL || !(b->state[buf->extent] & 1u << c) ||
		    b->copy[c].file == NULL || !cache_in_service(t->cache[c].cache))
			continue;
		buf->from = c;
		buf->copy = cache_copy_ref(b->copy[c].file);
		buf->fd = cache_copy_fd(buf->copy, &buf->direct);
		return true;
	}
	if (buf->tried & 1u << GATHER_FROM_HOME || b->home_fd == -1)
		return false;
	buf->from = GATHER_FROM_HOME;
	buf->fd = b->home_fd;
	buf->direct = b->home_direct;
	return true;
}

bool gather_route(struct tier *t, struct gather_buf *buf, enum gather_class class)
{
	if (!gather_source(t, buf))
		return false;
	buf->class = class;
	buf->state = GATHER_QUEUED;
	buf->has_sum = buf->early = false;
	gather_queue_add(&t->gather->dev[buf->from].queue[class], buf);
	gather_wake(t, buf->from);
	return true;
}

/* An extent that nobody has yet: a buffer for it, whose read is under way.  NULL: no buffer, or no source. */
static struct gather_buf *gather_start_read(struct tier *t, struct blob *b, uint32_t extent, enum gather_class class)
{
	struct gather_buf *buf = gather_pool_take(t, b, extent);

	if (buf == NULL || gather_route(t, buf, class))
		return buf;
	buf->state = GATHER_FAILED;
	gather_pool_unref(t, buf);
	return NULL;
}

static void gather_list_add(struct gather_req **list, struct gather_req *r)
{
	while (*list != NULL)
		list = &(*list)->next;
	r->next = NULL;
	*list = r;
}

static void gather_trace(struct tier *t, const struct gather_buf *buf, enum trace_class class)
{
	unsigned tier = buf->from == GATHER_FROM_HOME ? t->caches + 1 : buf->from + 1;
	struct trace_access a = { .tick = t->tick, .blob = (uint32_t)buf->blob->st_ino, .extent = buf->extent, .size = buf->len,
				  .tier = (uint8_t)tier, .class = (uint8_t)class };

	trace_add(t->trace, &a);
}

void gather_settle(struct tier *t, struct gather_buf *buf, int rc, struct gather_req **out)
{
	struct gather_wait *w = buf->waiters, *next;

	buf->waiters = NULL;
	buf->state = rc == 0 ? GATHER_READY : GATHER_FAILED;
	if (rc != 0)
		gather_pool_orphan(t->gather, buf);
	for (; w != NULL; w = next) {
		next = w->next;
		if (w->req->rc == 0)
			w->req->rc = rc;
		if (--w->req->waiting == 0)
			gather_list_add(out, w->req);
	}
	if (buf->fetch) {
		if (rc == 0)
			gather_trace(t, buf, TRACE_FILL);
		buf->fetch = false;
		t->gather->nfetching--;
		fill_fetched(t, buf->blob, buf->extent, rc);
	}
	gather_pool_unref(t, buf);
}

/* Have a client's read wait for a buffer that is being read, ahead of what nobody waits for. */
static void gather_hurry(struct tier *t, struct gather_buf *buf)
{
	struct gather_dev *d = &t->gather->dev[buf->from];

	if (buf->state != GATHER_QUEUED || buf->class == GATHER_DEMAND || !gather_queue_remove(d, buf))
		return;
	buf->class = GATHER_DEMAND;
	gather_queue_add(&d->queue[GATHER_DEMAND], buf);
	gather_wake(t, buf->from);
}

static void gather_attach(struct tier *t, struct gather_req *r, uint32_t extent)
{
	struct gather *g = t->gather;
	struct gather_buf *buf = gather_pool_find(g, r->blob, extent);
	struct gather_wait *w = &r->wait[r->nbuf];

	if (r->scan == SCAN_NO)
		blob_touch(t, r->blob, extent);
	if (buf != NULL)
		gather_hurry(t, buf);
	else
		buf = gather_start_read(t, r->blob, extent, GATHER_DEMAND);
	if (buf == NULL) {
		r->rc = -EIO;
		return;
	}
	gather_pool_ref(g, buf);
	gather_pool_used(g, buf);
	r->buf[r->nbuf++] = buf;
	if (buf->state == GATHER_READY)
		return;
	w->req = r;
	w->next = buf->waiters;
	buf->waiters = w;
	r->waiting++;
}

/* Give the request its buffers, all or none of them, so that two requests never wait for each other's.
 * False: not enough are to be had now. */
static bool gather_begin(struct tier *t, struct gather_req *r)
{
	uint32_t first = (uint32_t)(r->off / TIER_EXTENT_BYTES);
	uint32_t last = (uint32_t)((r->off + r->len - 1) / TIER_EXTENT_BYTES);
	unsigned need = 0;

	for (uint32_t e = first; e <= last; e++) {
		const struct gather_buf *buf = gather_pool_find(t->gather, r->blob, e);

		need += buf == NULL || buf->refs == 0;
	}
	if (need > gather_pool_room(t->gather))
		return false;
	for (uint32_t e = first; e <= last; e++)
		gather_attach(t, r, e);
	for (uint32_t e = first; e <= last; e++)
		gather_stream_hit(t, r->blob, e);
	return true;
}

/* The bytes of the request in its buffers. */
static int gather_iov(const struct gather_req *r, struct iovec iov[2])
{
	uint64_t at = r->off, end = r->off + r->len;
	int n = 0;

	for (unsigned i = 0; i < r->nbuf; i++) {
		const struct gather_buf *buf = r->buf[i];
		uint64_t from = at - (uint64_t)buf->extent * TIER_EXTENT_BYTES, len;

		if (from >= buf->len)
			break;          /* cut short meanwhile */
		len = buf->len - from < end - at ? buf->len - from : end - at;
		iov[n].iov_base = buf->data + from;
		iov[n++].iov_len = len;
		at += len;
	}
	return n;
}

static void gather_account(struct tier *t, const struct gather_req *r)
{
	for (unsigned i = 0; i < r->nbuf; i++) {
		const struct gather_buf *buf = r->buf[i];
		t->served[buf->from].reads++;
		t->served[buf->from].read_bytes += r->nbuf == 1 ? r->len : r->len / 2;
		gather_trace(t, buf, r->scan != SCAN_NO ? TRACE_SCAN : TRACE_READ);
	}
}

void gather_feed(struct tier *t, struct gather_req **out)
{
	struct gather *g = t->gather;
	struct gather_req *s;

	while ((s = g->starved) != NULL && gather_begin(t, s)) {
		g->starved = s->next;
		if (g->starved == NULL)
			g->starved_last = &g->starved;
		if (s->waiting == 0)
			gather_list_add(out, s);
	}
}

/* What a request held goes back, and who starved for it gets it. */
static struct gather_req *gather_release(struct tier *t, struct gather_req *r)
{
	struct gather_req *more = NULL;

	pthread_mutex_lock(&t->lock);
	if (r->rc == 0)
		gather_account(t, r);
	for (unsigned i = 0; i < r->nbuf; i++)
		gather_pool_unref(t, r->buf[i]);
	blob_unref(t, r->blob);
	gather_feed(t, &more);
	pthread_mutex_unlock(&t->lock);
	free(r);
	return more;
}

void gather_finish(struct tier *t, struct gather_req *list)
{
	while (list != NULL) {
		struct gather_req *r = list;
		struct iovec iov[2];
		int n = 0;

		list = r->next;
		if (r->rc == 0)
			n = gather_iov(r, iov);
		r->done(r->ctx, r->rc, iov, n);
		for (struct gather_req *more = gather_release(t, r), *next; more != NULL; more = next) {
			next = more->next;
			gather_list_add(&list, more);
		}
	}
}

void gather_read(struct tier *t, struct blob *b, enum scan_class scan, uint64_t off, uint32_t len, tier_read_done done,
		 void *ctx)
{
	struct gather *g = t->gather;
	struct gather_req *r, *now = NULL;

	if (off >= b->size || len == 0) {
		done(ctx, 0, NULL, 0);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		done(ctx, -ENOMEM, NULL, 0);
		return;
	}
	if (len > TIER_EXTENT_BYTES)
		len = TIER_EXTENT_BYTES;
	*r = (struct gather_req){ .blob = b, .off = off, .len = b->size - off < len ? (uint32_t)(b->size - off) : len,
				  .scan = scan, .done = done, .ctx = ctx };
	pthread_mutex_lock(&t->lock);
	b->refs++;
	if (g->starved != NULL || !gather_begin(t, r)) {
		*g->starved_last = r;
		g->starved_last = &r->next;
	} else if (r->waiting == 0) {
		now = r;
	}
	pthread_mutex_unlock(&t->lock);
	gather_finish(t, now);
}

bool gather_fetch(struct tier *t, struct blob *b, uint32_t extent)
{
	struct gather *g = t->gather;
	struct gather_buf *buf = gather_pool_find(g, b, extent);

	if (buf != NULL && buf->state == GATHER_READY) {
		gather_pool_drop(g, buf);       /* it came before anybody wanted its sum */
		buf = NULL;
	}
	if (buf == NULL && gather_pool_room(g) > g->buffers / 4)
		buf = gather_start_read(t, b, extent, GATHER_BACKGROUND);
	if (buf == NULL)
		return false;
	if (!buf->fetch) {
		buf->fetch = true;
		g->nfetching++;
	}
	return true;
}

unsigned gather_fetching(const struct tier *t)
{
	return t->gather->nfetching;
}

bool gather_may_write(const struct tier *t)
{
	return t->gather->nwriting < t->gather->buffers / 2;
}

struct blob *gather_buf_blob(const struct gather_buf *buf)
{
	return buf->blob;
}

uint32_t gather_buf_extent(const struct gather_buf *buf)
{
	return buf->extent;
}

int gather_start(struct tier *t, unsigned buffers)
{
	int rc;

	t->gather = calloc(1, sizeof(*t->gather));
	if (t->gather == NULL)
		return -ENOMEM;
	t->gather->tier = t;
	rc = gather_pool_new(t->gather, buffers < GATHER_BUFFERS_MIN ? GATHER_BUFFERS_MIN :
			     buffers > GATHER_BUFFERS ? GATHER_BUFFERS : buffers);
	for (unsigned c = 0; rc == 0 && c < t->caches; c++)
		rc = gather_dev_start(t, c);
	if (rc == 0)
		rc = gather_dev_start(t, GATHER_FROM_HOME);
	if (rc != 0)
		gather_stop(t);
	return rc;
}

void gather_stop(struct tier *t)
{
	if (t->gather == NULL)
		return;
	for (unsigned d = 0; d <= TIER_HOME_DEV; d++)
		gather_dev_stop(t, d);
	for (unsigned d = 0; d < TIER_HOME_DEV; d++)
		free(t->gather->dev[d].sector);
	gather_pool_free(t->gather);
	free(t->gather);
	t->gather = NULL;
}
