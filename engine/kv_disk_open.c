/* kv_disk_open.c - how rows lie in memory and in the file, and the file itself. */
#include "engine/kv_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "kernels/kern.h"

#define PAGE 4096u
#define CHUNK_LEAST ((size_t)1 << 20)

static int fault(char *err, size_t errlen, int rc, const char *dir, const char *what)
{
	char reason[128];

	snprintf(err, errlen, "%s: the KV cache cannot be there: %s", dir, what != NULL ? what : strerror_r(-rc, reason, sizeof(reason)));
	return rc;
}

/* ---- layout -------------------------------------------------------------------------------------- */

/* So many positions that those of the narrowest layer are CHUNK_LEAST bytes. */
static uint32_t good_block(const struct kv *kv)
{
	size_t least = SIZE_MAX, row;
	uint32_t i;

	for (i = 0; i < kv->n_layer; i++) {
		row = kv->layers[i].k_row + kv->layers[i].v_row;
		if (row > 0 && row < least)
			least = row;
	}
	return (uint32_t)(((CHUNK_LEAST - 1) / least / KERN_ATTN_BLOCK + 1) * KERN_ATTN_BLOCK);
}

static size_t pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

/* Sizes of everything; layer[] is set where there is one. */
static int lay_out(struct kv_disk *d, const struct kv *kv, const struct kv_params *p, uint64_t *need)
{
	uint32_t i;

	d->n_layer = kv->n_layer;
	d->n_ctx = p->n_ctx;
	d->block = p->disk->block != 0 ? p->disk->block : good_block(kv);
	if (d->block == 0 || d->block % KERN_ATTN_BLOCK != 0)
		return -EINVAL;
	for (i = 0; i < d->n_layer; i++) {
		struct kv_disk_layer l = { .k_row = kv->layers[i].k_row, .v_row = kv->layers[i].v_row, .at = d->stripe };

		if (l.k_row > 0 && (size_t)d->block > SIZE_MAX / 4 / (l.k_row + l.v_row))
			return -EOVERFLOW;
		l.v_at = (d->block * l.k_row + 63) & ~(size_t)63;
		l.bytes = l.k_row > 0 ? pages(l.v_at + d->block * l.v_row) : 0;
		if (l.bytes > UINT32_MAX / 2)
			return -EOVERFLOW;
		d->stripe += l.bytes;
		d->chunk_most = l.bytes > d->chunk_most ? l.bytes : d->chunk_most;
		if (d->layer != NULL)
			d->layer[i] = l;
	}
	d->n_chunk = (d->n_ctx - 1) / d->block + 1;
	d->tail = (p->disk->n_batch + d->block - 1) / d->block + 1;
	d->held = d->stripe > 0 && p->disk->ram / d->stripe < d->n_chunk ? (uint32_t)(p->disk->ram / d->stripe) : d->n_chunk;
	if (d->held + d->tail > d->n_chunk)
		d->held = d->n_chunk > d->tail ? d->n_chunk - d->tail : 0;
	if (d->stripe > (SIZE_MAX / 4 - KV_SLOTS * d->chunk_most) / (d->held + d->tail))
		return -EOVERFLOW;
	d->map_bytes = PAGE + d->stripe * (d->held + d->tail) + KV_SLOTS * d->chunk_most;
	*need = d->map_bytes;
	return 0;
}

int kv_disk_need(const struct kv *kv, const struct kv_params *p, uint64_t *bytes)
{
	struct kv_disk d = { 0 };

	return lay_out(&d, kv, p, bytes);
}

static void *rows_of(size_t n, size_t each)
{
	return calloc(n > 0 ? n : 1, each);
}

static int place_all(struct kv_disk *d)
{
	char *at;
	uint32_t i, k;

	d->use = rows_of(2 * (size_t)d->n_layer, sizeof(*d->use));
	d->map = mmap(NULL, d->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (d->map == MAP_FAILED)
		d->map = NULL;
	if (d->map != NULL)
		madvise(d->map, d->map_bytes, MADV_HUGEPAGE);   /* fewer pieces for the disk, a read or write */
	if (d->use == NULL || d->map == NULL)
		return -ENOMEM;
	at = d->map + PAGE;             /* the first page is the file's head */
	for (i = 0; i < d->n_layer; i++) {
		struct kv_disk_layer *l = &d->layer[i];

		l->mem = at;
		at += (d->held + d->tail) * l->bytes;
		l->have = rows_of(d->held + d->tail, sizeof(*l->have));
		l->sum = rows_of(d->n_chunk, sizeof(*l->sum));
		if (l->have == NULL || l->sum == NULL)
			return -ENOMEM;
		for (k = 0; k < d->held + d->tail; k++)
			l->have[k] = KV_NONE;
	}
	for (i = 0; i < KV_SLOTS; i++, at += d->chunk_most)
		d->slot[i].mem = at;
	return 0;
}

/* ---- the file ------------------------------------------------------------------------------------ */

static int open_kept(struct kv_disk *d, const struct kv_params *p, char *err, size_t errlen)
{
	const uint64_t of[] = { p->disk->id, d->n_layer, d->block, d->stripe, p->type_k, p->type_v };
	size_t len = strlen(d->dir) + 32;

	d->id = XXH3_64bits(of, sizeof(of));
	d->path = malloc(len);
	if (d->path == NULL)
		return fault(err, errlen, -ENOMEM, d->dir, NULL);
	snprintf(d->path, len, "%s/hearth-%016llx.kv", d->dir, (unsigned long long)d->id);
	d->fd = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->fd == -1)
		return fault(err, errlen, -errno, d->dir, NULL);
	if (flock(d->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return fault(err, errlen, errno == EWOULDBLOCK ? -EWOULDBLOCK : -errno, d->path,
		     errno == EWOULDBLOCK ? "another run uses it" : NULL);
}

/* A file that is gone when it is closed, however the run ends. */
static int open_unnamed(struct kv_disk *d, char *err, size_t errlen)
{
	size_t len = strlen(d->dir) + 32;
	char *path;

	d->fd = open(d->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (d->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return fault(err, errlen, -errno, d->dir, NULL);
	path = malloc(len);
	if (path == NULL)
		return fault(err, errlen, -ENOMEM, d->dir, NULL);
	snprintf(path, len, "%s/hearth-kv-XXXXXX", d->dir);
	d->fd = mkostemp(path, O_CLOEXEC);
	if (d->fd == -1 || unlink(path) != 0) {
		int rc = -errno;

		free(path);
		return fault(err, errlen, rc, d->dir, NULL);
	}
	free(path);
	return 0;
}

/* Past the page cache, where the file system can and asks for no more than whole pages. */
void kv_disk_direct(struct kv_disk *d, bool on)
{
	int flags = fcntl(d->fd, F_GETFL);
	struct statx st;

	d->direct = false;
	if (flags == -1 || fcntl(d->fd, F_SETFL, flags & ~O_DIRECT) != 0 || !on)
		return;
	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN) &&
	    (st.stx_dio_offset_align == 0 || st.stx_dio_offset_align > PAGE || st.stx_dio_mem_align > PAGE))
		return;
	d->direct = fcntl(d->fd, F_SETFL, flags | O_DIRECT) == 0;
}

int kv_disk_open(struct kv *kv, const struct kv_params *p, char *err, size_t errlen)
{
	struct kv_disk *d = calloc(1, sizeof(*d));
	uint64_t need;
	int rc;

	if (d == NULL)
		return -ENOMEM;
	kv->disk = d;
	d->fd = -1;
	d->taken = KV_NONE;
	d->plain = p->disk->plain;
	d->dir = strdup(p->disk->dir);
	d->layer = rows_of(kv->n_layer, sizeof(*d->layer));
	if (d->dir == NULL || d->layer == NULL)
		return -ENOMEM;
	rc = lay_out(d, kv, p, &need);
	if (rc == 0)
		rc = place_all(d);
	if (rc != 0)
		return rc;
	rc = p->disk->keep ? open_kept(d, p, err, errlen) : open_unnamed(d, err, errlen);
	if (rc != 0)
		return rc;
	kv_disk_direct(d, true);
	rc = reader_open(&d->reader, KV_SLOTS + KV_WRITES, d->plain);
	return rc != 0 ? fault(err, errlen, rc, d->dir, NULL) : 0;
}

void kv_disk_close(struct kv_disk *d)
{
	uint32_t i;

	if (d == NULL)
		return;
	reader_close(d->reader);
	if (d->fd >= 0)
		close(d->fd);
	for (i = 0; d->layer != NULL && i < d->n_layer; i++) {
		free(d->layer[i].have);
		free(d->layer[i].sum);
	}
	if (d->map != NULL)
		munmap(d->map, d->map_bytes);
	free(d->layer);
	free(d->use);
	free(d->path);
	free(d->dir);
	free(d);
}
