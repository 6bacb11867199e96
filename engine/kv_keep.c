/* kv_keep.c - a file of rows that the next run begins with.
 *
 * Layout, in the byte order of the machine: struct head, in a page of its own; stripes of chunks (kv_disk.h); behind the
 * last of them the sums of all chunks by layer, the states, and the caller's bytes.  The head is written last, when all
 * else is on the disk, and wiped before anything of it is changed: a run that ends in between leaves no file that could
 * be taken for a good one.  Chunks are compared with their sums whenever they are read.
 */
#include "engine/kv_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#define MAGIC "HEARTHKV"
#define VERSION 1u
#define MORE_BESIDES ((uint64_t)64 << 20)       /* of the caller's bytes, besides a few a position */
#define MORE_A_POSITION 16u

struct head {
	char magic[8];
	uint32_t version, n_pos;
	uint64_t id, stripe, tail_bytes, state_bytes, more_bytes;
	uint64_t tail_sum, sum;         /* XXH3-64 of the tail, and of the head before it */
};

static uint32_t chunks_of(const struct kv_disk *d, uint32_t n_pos)
{
	return n_pos > 0 ? (n_pos - 1) / d->block + 1 : 0;
}

static uint64_t tail_offset(const struct kv_disk *d, uint32_t n_pos)
{
	return KV_HEAD + (uint64_t)chunks_of(d, n_pos) * d->stripe;
}

static size_t sums_bytes(const struct kv_disk *d, uint32_t n_pos)
{
	return (size_t)d->n_layer * chunks_of(d, n_pos) * sizeof(uint64_t);
}

static int write_at(const struct kv_disk *d, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(d->fd, (const char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static bool read_at(const struct kv_disk *d, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(d->fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static int write_head(struct kv_disk *d, const struct head *h)
{
	int rc;

	memset(d->map, 0, KV_HEAD);
	if (h != NULL)
		memcpy(d->map, h, sizeof(*h));
	rc = write_at(d, d->map, KV_HEAD, 0);
	return rc == 0 && fdatasync(d->fd) != 0 ? -errno : rc;
}

int kv_disk_dirty(struct kv_disk *d)
{
	if (!d->clean)
		return 0;
	d->clean = false;
	return kv_disk_fail(d, write_head(d, NULL), "written");
}

/* ---- keeping ------------------------------------------------------------------------------------- */

/* What is in memory and may not be in the file: the chunks that are held and the last one. */
static int store_chunks(struct kv_disk *d, uint32_t n_pos)
{
	uint32_t i, c, n = chunks_of(d, n_pos);
	int rc = 0;

	for (i = 0; i < d->n_layer && rc == 0; i++)
		for (c = 0; c < n && d->layer[i].bytes > 0 && rc == 0; c++)
			if (c < d->held || (c + 1 == n && d->layer[i].have[kv_disk_place(d, c)] == c))
				rc = kv_disk_store(d, i, c);
	return rc;
}

static char *make_tail(const struct kv *kv, const struct head *h, const void *more)
{
	const struct kv_disk *d = kv->disk;
	size_t n = chunks_of(d, h->n_pos) * sizeof(uint64_t);
	char *tail = malloc(h->tail_bytes > 0 ? h->tail_bytes : 1), *at = tail;
	uint32_t i;

	if (tail == NULL)
		return NULL;
	for (i = 0; i < d->n_layer; i++, at += n)
		memcpy(at, d->layer[i].sum, n);
	memcpy(at, kv->map + kv->state_from, h->state_bytes);
	memcpy(at + h->state_bytes, more, h->more_bytes);
	return tail;
}

static int write_tail(struct kv *kv, struct head *h, const void *more)
{
	struct kv_disk *d = kv->disk;
	char *tail = make_tail(kv, h, more);
	int rc = -ENOMEM;

	if (tail != NULL) {
		h->tail_sum = XXH3_64bits(tail, h->tail_bytes);
		rc = write_at(d, tail, h->tail_bytes, tail_offset(d, h->n_pos));
	}
	free(tail);
	return rc == 0 && fdatasync(d->fd) != 0 ? -errno : rc;
}

static int keep(struct kv *kv, uint32_t n, const void *more, size_t more_bytes)
{
	struct kv_disk *d = kv->disk;
	struct head h = { .version = VERSION, .n_pos = n, .id = d->id, .stripe = d->stripe,
			  .state_bytes = kv->map_bytes - kv->state_from, .more_bytes = more_bytes };
	int rc;

	kv_disk_settle(d);
	rc = d->rc != 0 ? d->rc : kv_disk_dirty(d);
	if (rc == 0)
		rc = store_chunks(d, n);
	kv_disk_direct(d, false);
	memcpy(h.magic, MAGIC, sizeof(h.magic));
	h.tail_bytes = sums_bytes(d, n) + h.state_bytes + more_bytes;
	if (rc == 0)
		rc = write_tail(kv, &h, more);
	h.sum = XXH3_64bits(&h, offsetof(struct head, sum));
	if (rc == 0)
		rc = write_head(d, &h);
	kv_disk_direct(d, true);
	d->clean = rc == 0;
	return rc;
}

int kv_keep(struct kv *kv, uint32_t n, const void *more, size_t more_bytes, char *line, size_t len)
{
	char reason[128];
	int rc;

	if (kv->disk == NULL || kv->disk->path == NULL)
		return -EINVAL;
	rc = keep(kv, n, more, more_bytes);
	if (rc != 0)
		snprintf(line, len, "%s: the KV cache cannot be kept: %s", kv->disk->path,
			 rc == -EBADMSG ? "it is not what was written" : strerror_r(-rc, reason, sizeof(reason)));
	return rc;
}

/* ---- taking over --------------------------------------------------------------------------------- */

static bool is_good(const struct kv *kv, const struct head *h)
{
	const struct kv_disk *d = kv->disk;
	struct stat st;

	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 || h->version != VERSION ||
	    h->sum != XXH3_64bits(h, offsetof(struct head, sum)))
		return false;
	if (h->id != d->id || h->stripe != d->stripe || h->n_pos == 0 || h->n_pos > d->n_ctx ||
	    h->state_bytes != kv->map_bytes - kv->state_from ||
	    h->more_bytes > MORE_BESIDES + (uint64_t)MORE_A_POSITION * h->n_pos ||
	    h->tail_bytes != sums_bytes(d, h->n_pos) + h->state_bytes + h->more_bytes)
		return false;
	return fstat(d->fd, &st) == 0 && (uint64_t)st.st_size >= tail_offset(d, h->n_pos) + h->tail_bytes;
}

/* The tail, whose sum is right, or NULL. */
static char *read_tail(const struct kv_disk *d, const struct head *h)
{
	char *tail = malloc(h->tail_bytes > 0 ? h->tail_bytes : 1);

	if (tail != NULL && read_at(d, tail, h->tail_bytes, tail_offset(d, h->n_pos)) &&
	    XXH3_64bits(tail, h->tail_bytes) == h->tail_sum)
		return tail;
	free(tail);
	return NULL;
}

/* What is to be in memory comes there. */
static bool load_chunks(struct kv_disk *d, uint32_t n_pos)
{
	uint32_t i, c, n = chunks_of(d, n_pos);

	for (i = 0; i < d->n_layer; i++)
		for (c = 0; c < n && d->layer[i].bytes > 0; c++)
			if ((c < d->held || c + 1 == n) && kv_disk_load(d, i, c) != 0)
				return false;
	return true;
}

static void forget(struct kv_disk *d)
{
	uint32_t i, k;

	for (i = 0; i < d->n_layer; i++)
		for (k = 0; k < d->held + d->tail; k++)
			d->layer[i].have[k] = KV_NONE;
}

static bool take_over(struct kv *kv, const struct head *h, const char *tail)
{
	struct kv_disk *d = kv->disk;
	size_t n = chunks_of(d, h->n_pos) * sizeof(uint64_t);
	uint32_t i;

	for (i = 0; i < d->n_layer; i++, tail += n)
		memcpy(d->layer[i].sum, tail, n);
	kv_disk_direct(d, true);
	if (!load_chunks(d, h->n_pos)) {
		forget(d);
		return false;
	}
	memcpy(kv->map + kv->state_from, tail, h->state_bytes);
	d->end = h->n_pos;
	d->clean = true;
	return true;
}

uint32_t kv_resume(struct kv *kv, void **more, size_t *more_bytes)
{
	struct kv_disk *d = kv->disk;
	struct head h;
	uint32_t n = 0;
	char *tail = NULL;

	*more = NULL;
	*more_bytes = 0;
	if (d == NULL || d->path == NULL)
		return 0;
	d->clean = true;                /* whatever it is, it is wiped before it is changed */
	kv_disk_direct(d, false);
	if (read_at(d, &h, sizeof(h), 0) && is_good(kv, &h))
		tail = read_tail(d, &h);
	if (tail != NULL && take_over(kv, &h, tail)) {
		n = h.n_pos;
		*more_bytes = h.more_bytes;
		memmove(tail, tail + h.tail_bytes - h.more_bytes, h.more_bytes);
		*more = tail;
		tail = NULL;
	}
	free(tail);
	kv_disk_direct(d, true);
	return n;
}
