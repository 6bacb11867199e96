#include "tiering/blob.h"
#include "tiering/gather_internal.h"

#include <errno.h>
#include <sys/mman.h>

int gather_pool_new(struct gather *g, unsigned buffers)
{
	size_t bytes = (size_t)buffers * TIER_EXTENT_BYTES;

	g->buffers = buffers;
	g->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->memory == MAP_FAILED) {
		g->memory = NULL;
		return -ENOMEM;
	}
	for (unsigned i = buffers; i-- > 0;) {
		g->buf[i].data = g->memory + (size_t)i * TIER_EXTENT_BYTES;
		g->buf[i].queue_next = g->free;
		g->free = &g->buf[i];
	}
	g->nfree = buffers;
	g->lru.lru_prev = g->lru.lru_next = &g->lru;
	g->starved_last = &g->starved;
	return 0;
}

void gather_pool_free(struct gather *g)
{
	if (g->memory != NULL)
		munmap(g->memory, (size_t)g->buffers * TIER_EXTENT_BYTES);
}

static unsigned gather_hash(const struct blob *b, uint32_t extent)
{
	uint64_t x = b->st_ino * 0x9e3779b97f4a7c15ull + extent * 0xc2b2ae3d27d4eb4full;

	return (unsigned)(x >> 40) & (GATHER_HASH - 1);
}

struct gather_buf *gather_pool_find(struct gather *g, const struct blob *b, uint32_t extent)
{
	struct gather_buf *buf;

	for (buf = g->hash[gather_hash(b, extent)]; buf != NULL; buf = buf->hash_next)
		if (buf->blob == b && buf->extent == extent)
			break;
	return buf;
}

static void gather_hash_remove(struct gather *g, struct gather_buf *buf)
{
	struct gather_buf **p = &g->hash[gather_hash(buf->blob, buf->extent)];

	while (*p != NULL && *p != buf)
		p = &(*p)->hash_next;
	if (*p == buf)
		*p = buf->hash_next;
}

static void gather_lru_remove(struct gather *g, struct gather_buf *buf)
{
	if (!buf->in_lru)
		return;
	buf->lru_prev->lru_next = buf->lru_next;
	buf->lru_next->lru_prev = buf->lru_prev;
	buf->in_lru = false;
	g->nlru--;
}

/* Nobody has it any more: back among the free ones. */
static void gather_pool_release(struct gather *g, struct gather_buf *buf)
{
	gather_lru_remove(g, buf);
	if (!buf->stale)
		gather_hash_remove(g, buf);
	if (buf->ahead)
		g->nahead--;
	blob_unref(g->tier, buf->blob);
	buf->blob = NULL;
	buf->ahead = buf->stale = buf->fetch = buf->writing = false;
	buf->state = GATHER_FREE;
	buf->queue_next = g->free;
	g->free = buf;
	g->nfree++;
}

unsigned gather_pool_room(const struct gather *g)
{
	return g->nfree + g->nlru;
}

struct gather_buf *gather_pool_take(struct tier *t, struct blob *b, uint32_t extent)
{
	struct gather *g = t->gather;
	struct gather_buf *buf;
	unsigned h;

	if (g->free == NULL && g->nlru > 0)
		gather_pool_release(g, g->lru.lru_next);
	buf = g->free;
	if (buf == NULL)
		return NULL;
	g->free = buf->queue_next;
	g->nfree--;
	h = gather_hash(b, extent);
	buf->hash_next = g->hash[h];
	g->hash[h] = buf;
	buf->queue_next = NULL;
	buf->blob = b;
	b->refs++;
	buf->extent = extent;
	buf->len = blob_extent_bytes(b, extent);
	buf->refs = 1;
	buf->state = GATHER_QUEUED;
	buf->tried = 0;
	buf->waiters = NULL;
	return buf;
}

void gather_pool_ref(struct gather *g, struct gather_buf *buf)
{
	gather_lru_remove(g, buf);
	buf->refs++;
}

void gather_pool_unref(struct tier *t, struct gather_buf *buf)
{
	struct gather *g = t->gather;

	if (--buf->refs > 0)
		return;
	if (buf->stale || buf->state == GATHER_FAILED) {
		gather_pool_release(g, buf);
		return;
	}
	buf->lru_prev = g->lru.lru_prev;
	buf->lru_next = &g->lru;
	buf->lru_prev->lru_next = buf;
	g->lru.lru_prev = buf;
	buf->in_lru = true;
	g->nlru++;
}

void gather_pool_used(struct gather *g, struct gather_buf *buf)
{
	if (buf->ahead) {
		buf->ahead = false;
		g->nahead--;
	}
}

void gather_pool_orphan(struct gather *g, struct gather_buf *buf)
{
	if (buf->stale)
		return;
	gather_hash_remove(g, buf);
	buf->stale = true;
}

void gather_pool_drop(struct gather *g, struct gather_buf *buf)
{
	if (buf->refs == 0)
		gather_pool_release(g, buf);
	else
		gather_pool_orphan(g, buf);
}

void gather_forget(struct tier *t, struct blob *b)
{
	struct gather *g = t->gather;

	gather_stream_forget(g, b);
	for (unsigned i = 0; i < g->buffers; i++) {
		struct gather_buf *buf = &g->buf[i];

		if (buf->blob != b || buf->stale)
			continue;
		gather_pool_drop(g, buf);
	}
}

void gather_fill_began(struct tier *t, const struct blob *b)
{
	struct gather *g = t->gather;

	for (unsigned i = 0; i < g->buffers; i++)
		if (g->buf[i].blob == b && g->buf[i].state == GATHER_READING)
			g->buf[i].early = true;
}
