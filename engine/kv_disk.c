/* kv_disk.c - rows on disk: what is put, written, read ahead and walked through.
 *
 * In memory are the first `held` chunks of each layer and a ring of its last `tail` ones, enough for a batch and the chunk
 * before.  A chunk is written as soon as it is whole, and stays in the ring until its place is needed.  The others are
 * read in the order in which a pass walks through them, over the end of a layer and of a pass, into slots that all
 * layers share; what a pass walked through is what the next one will.
 *
 * Bits do not depend on any of this: attention takes blocks of KERN_ATTN_BLOCK positions in order, and chunks are whole
 * blocks.
 */
#include "engine/kv_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "engine/clock.h"

int kv_disk_fail(struct kv_disk *d, int rc, const char *doing)
{
	if (rc != 0 && d->rc == 0) {
		d->rc = rc;
		d->doing = doing;
	}
	return rc;
}

/* ---- places -------------------------------------------------------------------------------------- */

uint32_t kv_disk_place(const struct kv_disk *d, uint32_t chunk)
{
	return chunk < d->held ? chunk : d->held + (chunk - d->held) % d->tail;
}

uint64_t kv_disk_offset(const struct kv_disk *d, uint32_t layer, uint32_t chunk)
{
	return KV_HEAD + (uint64_t)chunk * d->stripe + d->layer[layer].at;
}

static bool in_memory(const struct kv_disk *d, uint32_t layer, uint32_t chunk)
{
	return d->layer[layer].have[kv_disk_place(d, chunk)] == chunk;
}

static void *row_of(const struct kv_disk_layer *l, char *chunk, uint32_t i, bool value)
{
	return chunk + (value ? l->v_at + i * l->v_row : i * l->k_row);
}

void *kv_disk_row(const struct kv_disk *d, uint32_t layer, uint32_t pos, bool value)
{
	uint32_t place = kv_disk_place(d, pos / d->block);

	return row_of(&d->layer[layer], kv_disk_chunk(d, layer, place), pos % d->block, value);
}

/* ---- jobs ---------------------------------------------------------------------------------------- */

static void drop_pages(const struct kv_disk *d, const struct reader_job *job)
{
	if (d->direct)
		return;
	if (job->write)
		sync_file_range(d->fd, (off_t)job->off, (off_t)job->len,
				SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	posix_fadvise(d->fd, (off_t)job->off, (off_t)job->len, POSIX_FADV_DONTNEED);
}

static int result_of(const struct reader_job *job)
{
	if (job->result < 0)
		return (int)job->result;
	return (size_t)job->result == job->len ? 0 : -EIO;
}

static void read_done(struct kv_disk *d, struct kv_slot *s)
{
	int rc = result_of(&s->job);

	s->state = KV_FULL;
	d->stats.read += s->job.len;
	if (rc != 0)
		memset(s->mem, 0, s->job.len);
	kv_disk_fail(d, rc, "read");
}

static void write_done(struct kv_disk *d, struct kv_write *w)
{
	w->busy = false;
	d->stats.written += w->job.len;
	kv_disk_fail(d, result_of(&w->job), "written");
}

static void begin(struct kv_disk *d, struct reader_job *job)
{
	if (d->under_way++ == 0)
		d->busy_from = clock_now();
	reader_begin(d->reader, job);
}

static bool reap(struct kv_disk *d, bool wait)
{
	double t0 = wait ? clock_now() : 0.0;
	struct reader_job *job = reader_done(d->reader, wait);

	if (wait)
		d->stats.wait_s += clock_now() - t0;
	if (job == NULL)
		return false;
	if (--d->under_way == 0)
		d->stats.busy_s += clock_now() - d->busy_from;
	drop_pages(d, job);
	if (job->write)
		write_done(d, &d->write[job->tag]);
	else
		read_done(d, &d->slot[job->tag]);
	return true;
}

void kv_disk_settle(struct kv_disk *d)
{
	uint32_t i;

	while (reap(d, true))
		;
	for (i = 0; i < KV_SLOTS; i++)
		d->slot[i].state = KV_FREE;
	d->taken = KV_NONE;
}

/* A chunk's place may be changed when it is not being written any more. */
static void wait_written(struct kv_disk *d, uint32_t layer, uint32_t place)
{
	uint32_t i;

	for (i = 0; i < KV_WRITES; i++)
		while (d->write[i].busy && d->write[i].layer == layer && d->write[i].place == place && reap(d, true))
			;
}

static struct kv_write *free_write(struct kv_disk *d)
{
	uint32_t i;

	for (;;) {
		for (i = 0; i < KV_WRITES; i++)
			if (!d->write[i].busy)
				return &d->write[i];
		if (!reap(d, true))
			return &d->write[0];    /* none is under way */
	}
}

static struct reader_job job_of(const struct kv_disk *d, uint32_t layer, uint32_t chunk, char *mem)
{
	return (struct reader_job){ .fd = d->fd, .buf = mem, .len = d->layer[layer].bytes, .off = kv_disk_offset(d, layer, chunk) };
}

static void begin_write(struct kv_disk *d, uint32_t layer, uint32_t chunk)
{
	uint32_t place = kv_disk_place(d, chunk);
	char *mem = kv_disk_chunk(d, layer, place);
	struct kv_write *w;

	if (kv_disk_dirty(d) != 0)
		return;
	w = free_write(d);
	d->layer[layer].sum[chunk] = XXH3_64bits(mem, d->layer[layer].bytes);
	w->job = job_of(d, layer, chunk, mem);
	w->job.write = true;
	w->job.tag = (uint32_t)(w - d->write);
	w->layer = layer;
	w->place = place;
	w->busy = true;
	begin(d, &w->job);
}

static int at_once(struct kv_disk *d, struct reader_job *job)
{
	struct reader_job *done;

	while (reap(d, true))
		;
	reader_begin(d->reader, job);
	done = reader_done(d->reader, true);
	drop_pages(d, job);
	return done == job ? result_of(job) : -EIO;
}

int kv_disk_load(struct kv_disk *d, uint32_t layer, uint32_t chunk)
{
	uint32_t place = kv_disk_place(d, chunk);
	struct reader_job job = job_of(d, layer, chunk, kv_disk_chunk(d, layer, place));
	int rc = at_once(d, &job);

	d->stats.read += job.len;
	if (rc == 0 && XXH3_64bits(job.buf, job.len) != d->layer[layer].sum[chunk])
		rc = -EBADMSG;
	d->layer[layer].have[place] = rc == 0 ? chunk : KV_NONE;
	return rc;
}

int kv_disk_store(struct kv_disk *d, uint32_t layer, uint32_t chunk)
{
	struct reader_job job = job_of(d, layer, chunk, kv_disk_chunk(d, layer, kv_disk_place(d, chunk)));

	job.write = true;
	d->layer[layer].sum[chunk] = XXH3_64bits(job.buf, job.len);
	d->stats.written += job.len;
	return at_once(d, &job);
}

/* ---- a batch ------------------------------------------------------------------------------------- */

/* Is anything of chunks from this one on being read, or was? */
static bool is_ahead(const struct kv_disk *d, uint32_t chunk)
{
	uint32_t i;

	for (i = 0; i < KV_SLOTS; i++)
		if (d->slot[i].state != KV_FREE && d->slot[i].chunk >= chunk)
			return true;
	return false;
}

/* Positions from pos0 on are forgotten; the chunk that it lies in comes back into its place. */
static void rewind_to(struct kv_disk *d, uint32_t pos0)
{
	uint32_t i, k, chunk = pos0 / d->block;

	if (is_ahead(d, chunk))
		kv_disk_settle(d);
	for (i = 0; i < d->n_layer; i++) {
		struct kv_disk_layer *l = &d->layer[i];

		for (k = 0; k < d->held + d->tail; k++)
			if (l->have[k] != KV_NONE && l->have[k] > chunk)
				l->have[k] = KV_NONE;
		wait_written(d, i, kv_disk_place(d, chunk));
		if (l->bytes > 0 && pos0 % d->block != 0 && !in_memory(d, i, chunk))
			kv_disk_fail(d, kv_disk_load(d, i, chunk), "read");
	}
}

static void begin_batch(struct kv_disk *d, uint32_t pos0, uint32_t n)
{
	d->whole = d->whole || d->at_use > 0;
	if (d->ahead.lap == 0)
		d->ahead = (struct kv_cursor){ 0 };
	d->ahead.lap = 0;
	d->at_use = 0;
	d->pos0 = pos0;
	d->to = pos0 + n;
}

void kv_begin(struct kv *kv, uint32_t pos0, uint32_t n)
{
	struct kv_disk *d = kv->disk;

	if (d == NULL)
		return;
	if (pos0 < d->end)
		rewind_to(d, pos0);
	d->end = pos0 + n;
	d->by_layers = d->layer_ends = false;
	begin_batch(d, pos0, n);
}

/* By layers it is, for what is read ahead, a pass through one layer: of the layers behind it the rows are not there yet. */
void kv_batch(struct kv *kv, uint32_t pos0, uint32_t n, bool last)
{
	struct kv_disk *d = kv->disk;

	if (d == NULL)
		return;
	if (!d->by_layers)
		kv_disk_settle(d);
	if (!d->by_layers || d->layer_ends) {
		d->n_use = d->at_use = 0;
		d->whole = false;
		d->ahead = (struct kv_cursor){ 0 };
	}
	d->by_layers = true;
	d->layer_ends = last;
	begin_batch(d, pos0, n);
}

void kv_put(struct kv *kv, uint32_t layer)
{
	struct kv_disk *d = kv->disk;
	uint32_t c;

	for (c = d != NULL ? d->pos0 / d->block : 1; d != NULL && c <= (d->to - 1) / d->block; c++) {
		uint32_t place = kv_disk_place(d, c);

		if (d->layer[layer].have[place] == c)
			continue;
		wait_written(d, layer, place);
		d->layer[layer].have[place] = c;
	}
}

void kv_done(struct kv *kv, uint32_t layer)
{
	struct kv_disk *d = kv->disk;
	uint32_t c;

	if (d == NULL)
		return;
	for (c = d->pos0 / d->block; (c + 1) * (uint64_t)d->block <= d->to && d->rc == 0; c++)
		if (c >= d->held)
			begin_write(d, layer, c);
}

/* ---- reading ahead ------------------------------------------------------------------------------- */

static uint32_t first_chunk(const struct kv_disk *d, uint32_t pos0, uint32_t window)
{
	return (window > 0 && pos0 + 1 > window ? pos0 + 1 - window : 0) / d->block;
}

static struct kv_slot *slot_of(struct kv_disk *d, uint32_t layer, uint32_t chunk)
{
	uint32_t i;

	for (i = 0; i < KV_SLOTS; i++)
		if (d->slot[i].state != KV_FREE && d->slot[i].layer == layer && d->slot[i].chunk == chunk)
			return &d->slot[i];
	return NULL;
}

static struct kv_slot *free_slot(struct kv_disk *d)
{
	uint32_t i;

	for (i = 0; i < KV_SLOTS; i++)
		if (d->slot[i].state == KV_FREE)
			return &d->slot[i];
	return NULL;
}

static void begin_read(struct kv_disk *d, struct kv_slot *s, uint32_t layer, uint32_t chunk)
{
	s->layer = layer;
	s->chunk = chunk;
	s->state = KV_BUSY;
	s->turn = d->turn++;
	s->job = job_of(d, layer, chunk, s->mem);
	s->job.tag = (uint32_t)(s - d->slot);
	begin(d, &s->job);
}

/* The next chunk that is not in memory; false: there is none that could be known. */
static bool next_ahead(struct kv_disk *d, uint32_t *layer, uint32_t *chunk)
{
	struct kv_cursor *a = &d->ahead;

	for (;;) {
		const struct kv_use *u = &d->use[a->use];
		uint32_t pos0 = a->lap == 0 ? d->pos0 : d->to, first;

		if (a->use >= d->n_use || (a->lap == 1 && a->use >= d->at_use)) {
			if (a->lap == 1 || !d->whole || d->layer_ends)
				return false;
			*a = (struct kv_cursor){ .lap = 1 };
			continue;
		}
		first = first_chunk(d, pos0, u->window);
		if (a->chunk < first)
			a->chunk = first;
		for (; a->chunk < d->pos0 / d->block; a->chunk++) {
			if (in_memory(d, u->layer, a->chunk) || slot_of(d, u->layer, a->chunk) != NULL)
				continue;
			*layer = u->layer;
			*chunk = a->chunk++;
			return true;
		}
		a->use++;
		a->chunk = 0;
	}
}

static void top_up(struct kv_disk *d)
{
	struct kv_slot *s;
	uint32_t layer, chunk;

	while (reap(d, false))
		;
	while (d->rc == 0 && (s = free_slot(d)) != NULL && next_ahead(d, &layer, &chunk))
		begin_read(d, s, layer, chunk);
}

/* ---- walking ------------------------------------------------------------------------------------- */

void kv_walk(struct kv *kv, uint32_t layer, uint32_t window)
{
	struct kv_disk *d = kv->disk;
	struct kv_use *u;

	if (d == NULL)
		return;
	u = &d->use[d->at_use];
	if (d->at_use == d->n_use || u->layer != layer || u->window != window) {
		if (d->at_use == 2 * d->n_layer)
			return;                 /* more walks than layers: these are not read ahead */
		*u = (struct kv_use){ layer, window };
		d->n_use = d->at_use + 1;
		d->whole = false;
	}
	if (d->ahead.lap == 0 && d->ahead.use < d->at_use)
		d->ahead = (struct kv_cursor){ .use = d->at_use };
	d->at_use++;
	top_up(d);
}

/* The slot to give up for what is needed now: what was begun last is needed last. */
static struct kv_slot *give_up(struct kv_disk *d)
{
	struct kv_slot *s = NULL;
	uint32_t i;

	while (reap(d, true))
		;
	for (i = 0; i < KV_SLOTS; i++)
		if (i != d->taken && (s == NULL || d->slot[i].turn > s->turn))
			s = &d->slot[i];
	return s;
}

static char *fetch(struct kv_disk *d, uint32_t layer, uint32_t chunk)
{
	struct kv_slot *s = slot_of(d, layer, chunk);

	if (s == NULL) {
		s = free_slot(d);
		if (s == NULL)
			s = give_up(d);
		begin_read(d, s, layer, chunk);
	}
	while (s->state == KV_BUSY && reap(d, true))
		;
	d->taken = (uint32_t)(s - d->slot);
	if (d->rc == 0 && XXH3_64bits(s->mem, s->job.len) != d->layer[layer].sum[chunk])
		kv_disk_fail(d, -EBADMSG, "read");
	return s->mem;
}

struct kv_span kv_span(struct kv *kv, uint32_t layer, uint32_t from, uint32_t end)
{
	struct kv_disk *d = kv->disk;
	struct kv_span out = { .to = end };
	uint32_t chunk;
	char *mem;

	if (d == NULL) {
		out.k = kv_k(kv, layer, from);
		out.v = kv_v(kv, layer, from);
		return out;
	}
	if (d->taken != KV_NONE)
		d->slot[d->taken].state = KV_FREE;
	d->taken = KV_NONE;
	chunk = from / d->block;
	if ((chunk + 1) * (uint64_t)d->block < end)
		out.to = (chunk + 1) * d->block;
	if (in_memory(d, layer, chunk))
		mem = kv_disk_chunk(d, layer, kv_disk_place(d, chunk));
	else
		mem = fetch(d, layer, chunk);
	out.k = row_of(&d->layer[layer], mem, from % d->block, false);
	out.v = row_of(&d->layer[layer], mem, from % d->block, true);
	top_up(d);
	return out;
}

/* ---- what became of it --------------------------------------------------------------------------- */

int kv_error(const struct kv *kv, char *line, size_t len)
{
	const struct kv_disk *d = kv->disk;
	char reason[128];

	if (d == NULL || d->rc == 0)
		return 0;
	snprintf(line, len, "%s: the KV cache cannot be %s: %s", d->dir, d->doing,
		 d->rc == -EBADMSG ? "it is not what was written" : strerror_r(-d->rc, reason, sizeof(reason)));
	return d->rc;
}

void kv_disk_stats(const struct kv *kv, struct kv_disk_stats *out)
{
	*out = kv->disk != NULL ? kv->disk->stats : (struct kv_disk_stats){ 0 };
}
