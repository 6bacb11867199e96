/* stream.c - the ring and the order of a pass; see stream.h. */
#include "engine/stream_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/clock.h"

#define PAGE 4096u
#define SPARE_READS 2u          /* under way at once: so little is waited for them when another is wanted */

static int fault(char *err, size_t errlen, int rc, const char *what)
{
	snprintf(err, errlen, "%s", what);
	return rc;
}

static bool add_to(struct list *l, uint32_t id)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap != 0 ? 2 * l->cap : 1024;
		uint32_t *bigger = realloc(l->at, cap * sizeof(*bigger));

		if (bigger == NULL)
			return false;
		l->at = bigger;
		l->cap = cap;
	}
	l->at[l->n++] = id;
	return true;
}

/* ---- open and close ------------------------------------------------------------------------------ */

/* In huge pages, where they can be had: weights in small ones are read slower. */
static void *map_memory(uint64_t bytes)
{
	void *p = mmap(NULL, bytes > 0 ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static int open_ring(struct stream *s, const struct stream_params *p)
{
	uint32_t i;

	s->n_slot = s->depth = p->slots;
	s->reserve = p->reserve < p->slots ? p->reserve : p->slots - 1;
	s->slot_bytes = p->slot;
	s->mem_bytes = s->n_slot * s->slot_bytes;
	s->mem = map_memory(s->mem_bytes);
	s->slot = calloc(s->n_slot, sizeof(*s->slot));
	if (s->mem == NULL || s->slot == NULL)
		return -ENOMEM;
	for (i = 0; i < s->n_slot; i++)
		s->slot[i].mem = s->mem + i * s->slot_bytes;
	return reader_open(&s->reader, s->n_slot, p->plain);
}

int stream_open(struct stream **out, struct weights *w, const struct stream_params *p, char *err, size_t errlen)
{
	uint64_t hold_dense = p->hold < p->dense ? p->hold : p->dense;
	struct stream *s;
	int rc;

	if (p->slots < 3)
		return fault(err, errlen, -EINVAL, "weights need at least three pieces of memory to be read into");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fault(err, errlen, -ENOMEM, "out of memory");
	s->w = w;
	s->buffered = p->buffered;
	s->apart = p->apart;
	s->piece_bytes = p->piece;
	s->hold_bytes = p->hold;
	s->hold_routed = p->hold - hold_dense;
	s->share = p->dense > 0 ? (double)hold_dense / (double)p->dense : 1.0;
	s->body = STREAM_NONE;
	s->hold = map_memory(p->hold);
	s->cap_matrix = 1024;
	s->matrix = calloc(s->cap_matrix, sizeof(*s->matrix));
	rc = s->hold != NULL && s->matrix != NULL ? open_ring(s, p) : -ENOMEM;
	if (rc != 0) {
		stream_close(s);
		return fault(err, errlen, rc, rc == -EAGAIN ? "no thread can be started to read weights" : "no memory for the weights' budget");
	}
	weights_direct(w);              /* what is still read in the mappings are vectors, a page here and there */
	*out = s;
	return 0;
}

void stream_close(struct stream *s)
{
	if (s == NULL)
		return;
	reader_close(s->reader);
	if (s->mem != NULL)
		munmap(s->mem, s->mem_bytes);
	if (s->hold != NULL)
		munmap(s->hold, s->hold_bytes > 0 ? s->hold_bytes : 1);
	free(s->slot);
	free(s->piece);
	free(s->matrix);
	free(s->order.at);
	free(s->wanted.at);
	free(s->spare.at);
	free(s->rows);
	free(s->row);
	free(s);
}

/* ---- the ring ------------------------------------------------------------------------------------ */

void stream_free_slot(struct stream *s, struct slot *slot)
{
	s->piece[slot->piece].slot = STREAM_NONE;
	slot->state = SLOT_FREE;
	slot->taken = slot->again = false;
}

/* Pages of a read through the page cache are given back, those that it shares with its neighbours too. */
static void forget(int fd, uint64_t off, size_t len)
{
	uint64_t from = off / PAGE * PAGE, to = (off + len + PAGE - 1) / PAGE * PAGE;

	posix_fadvise(fd, (off_t)from, (off_t)(to - from), POSIX_FADV_DONTNEED);
}

/* Nobody waited for it: there may be no place for it any more, and whether it could be read another will find out. */
static void spare_done(struct stream *s, struct slot *slot)
{
	struct piece *p = &s->piece[slot->piece];

	if (slot->job.result >= 0 && (size_t)slot->job.result >= slot->need)
		p->held = stream_place(s, p);
	else
		s->spare_first = s->spare.n;
	if (p->held != NULL)
		memcpy(p->held, slot->mem + slot->shift, p->bytes);
	stream_free_slot(s, slot);
}

/* What came of a read: the bytes, or zeros and an error. */
static void slot_done(struct stream *s, struct slot *slot)
{
	slot->state = SLOT_FULL;
	if (--s->under_way == 0)
		s->stats.busy_s += clock_now() - s->busy_from;
	if (slot->job.result >= 0)
		s->stats.read += (uint64_t)slot->job.result;
	if (!slot->direct)
		forget(slot->job.fd, slot->job.off, slot->job.len);
	if (slot->spare) {
		spare_done(s, slot);
		return;
	}
	if (slot->job.result >= 0 && (size_t)slot->job.result >= slot->need)
		return;
	memset(slot->mem, 0, slot->need);
	if (s->rc == 0)
		s->rc = slot->job.result < 0 ? (int)slot->job.result : -EIO;
}

static bool reap(struct stream *s, bool wait)
{
	struct reader_job *job = reader_done(s->reader, wait);

	if (job != NULL)
		slot_done(s, &s->slot[job->tag]);
	return job != NULL;
}

static void begin(struct stream *s, uint32_t n, uint32_t id)
{
	struct slot *slot = &s->slot[n];
	struct piece *p = &s->piece[id];
	struct weights_place at;
	uint64_t from;

	weights_place(s->w, p->addr, s->buffered, &at);
	from = at.off / at.align * at.align;
	slot->state = SLOT_READING;
	slot->spare = false;
	slot->piece = id;
	slot->direct = at.direct;
	slot->shift = (uint32_t)(at.off - from);
	slot->need = slot->shift + p->bytes;
	slot->job = (struct reader_job){ .fd = at.fd, .buf = slot->mem, .off = from, .tag = n,
					 .len = (slot->need + at.align - 1) / at.align * at.align };
	p->slot = n;
	if (s->under_way++ == 0)
		s->busy_from = clock_now();
	reader_begin(s->reader, &slot->job);
}

/* A free slot that can be read into, as long as there are more than `but` of them. */
static uint32_t free_slot_at(const struct stream *s, uint32_t but)
{
	uint32_t i;

	if (s->under_way >= s->depth)
		return STREAM_NONE;
	for (i = 0; i < s->n_slot; i++)
		if (s->slot[i].state == SLOT_FREE && but-- == 0)
			return i;
	return STREAM_NONE;
}

/* A piece of the order that was read ahead is given up: it will be read again. */
static void give_up(struct stream *s, struct slot *slot)
{
	uint32_t i;

	for (i = s->cursor; i < s->ahead && !s->lap; i++)
		if (s->order.at[i] == slot->piece)
			s->ahead = i;
	stream_free_slot(s, slot);
}

/* What was read too far ahead; or is for another batch, where a layer has more pieces than there are slots. */
static uint32_t slot_of_another(const struct stream *s)
{
	uint32_t i, again = STREAM_NONE;

	for (i = 0; i < s->n_slot; i++) {
		const struct slot *slot = &s->slot[i];

		if (slot->taken || slot->state != SLOT_FULL)
			continue;
		if (!slot->again)
			return i;
		again = i;
	}
	return again;
}

/* A slot for what is needed now, if need be that of another piece; not all slots are taken. */
static uint32_t slot_at_once(struct stream *s)
{
	uint32_t i = free_slot_at(s, 0);

	while (i == STREAM_NONE) {
		i = s->under_way < s->depth ? slot_of_another(s) : STREAM_NONE;
		if (i != STREAM_NONE)
			give_up(s, &s->slot[i]);
		else if (!reap(s, true))
			return STREAM_NONE;
		else
			i = free_slot_at(s, 0);
	}
	return i;
}

void stream_settle(struct stream *s)
{
	uint32_t i;

	while (reap(s, true))
		;
	for (i = 0; i < s->n_slot; i++)
		if (s->slot[i].state == SLOT_FULL)
			stream_free_slot(s, &s->slot[i]);
	s->lap = false;
	s->ahead = s->cursor;
}

/* The next dense piece to be read, or STREAM_NONE. */
static uint32_t next_ahead(struct stream *s)
{
	for (;;) {
		uint32_t end = s->lap || !s->tail ? s->body : s->order.n;

		if (end > s->order.n)
			end = s->order.n;
		if (s->lap && end > s->cursor)
			end = s->cursor;        /* all the way round */
		if (s->ahead < end)
			return s->order.at[s->ahead];
		if (s->lap || !s->complete)
			return STREAM_NONE;
		s->lap = true;
		s->ahead = 0;
	}
}

static bool is_missing(const struct stream *s, struct piece *p)
{
	return p->held == NULL && p->slot == STREAM_NONE && !stream_in_place(s, p);
}

/* The next expert that there is still room for, or STREAM_NONE. */
static uint32_t next_spare(struct stream *s)
{
	while (s->spare_first < s->spare.n) {
		uint32_t id = s->spare.at[s->spare_first];

		if (!stream_has_room(s, &s->piece[id])) {
			s->spare_first = s->spare.n;
			break;
		}
		s->spare_first++;
		if (is_missing(s, &s->piece[id]))
			return id;
	}
	return STREAM_NONE;
}

/* Reads are begun as long as there are slots: of experts first, then of the order, and others when there is nothing else. */
static void top_up(struct stream *s)
{
	uint32_t n, id;

	while ((n = free_slot_at(s, 0)) != STREAM_NONE && s->want_first < s->wanted.n) {
		id = s->wanted.at[s->want_first++];
		if (is_missing(s, &s->piece[id]))
			begin(s, n, id);
	}
	while ((n = free_slot_at(s, s->reserve)) != STREAM_NONE && (id = next_ahead(s)) != STREAM_NONE) {
		s->ahead++;
		if (is_missing(s, &s->piece[id]))
			begin(s, n, id);
	}
	while (s->under_way < SPARE_READS && (n = free_slot_at(s, s->reserve)) != STREAM_NONE && (id = next_spare(s)) != STREAM_NONE) {
		begin(s, n, id);
		s->slot[n].spare = true;
	}
}

/* ---- a pass -------------------------------------------------------------------------------------- */

void stream_begin(struct stream *s, bool tail)
{
	s->complete = s->complete || s->stats.passes > 0;
	s->stats.passes++;
	if (!s->lap)
		s->ahead = 0;
	s->lap = false;
	s->cursor = 0;
	s->tail = tail;
	s->want_first = s->wanted.n = 0;
	top_up(s);
}

void stream_tail(struct stream *s)
{
	s->body = s->cursor;
}

/* Piece id is taken now. */
static void note(struct stream *s, uint32_t id)
{
	if (s->piece[id].routed)
		return;
	if (s->cursor == s->order.n || s->order.at[s->cursor] != id) {
		s->order.n = s->cursor;         /* it is new from here on */
		s->lap = false;
		if (!add_to(&s->order, id))
			return;
	}
	s->cursor++;
	if (!s->lap && s->ahead < s->cursor)
		s->ahead = s->cursor;
}

/* What was read into a slot goes where it stays. */
static const char *settle(struct stream *s, struct piece *p)
{
	struct slot *slot = &s->slot[p->slot];
	const char *at = slot->mem + slot->shift;

	p->held = stream_place(s, p);
	if (p->held == NULL) {
		slot->taken = true;
		return at;
	}
	memcpy(p->held, at, p->bytes);
	stream_free_slot(s, slot);
	return p->held;
}

/* Is the piece there? */
static bool bring(struct stream *s, struct piece *p, uint32_t id, bool wait)
{
	double t0;
	uint32_t n;

	if (p->slot == STREAM_NONE) {
		n = wait ? slot_at_once(s) : free_slot_at(s, 0);
		if (n == STREAM_NONE)
			return false;
		begin(s, n, id);
	}
	s->slot[p->slot].spare = false;
	if (s->slot[p->slot].state == SLOT_FULL)
		return true;
	if (!wait)
		return false;
	t0 = clock_now();
	while (s->slot[p->slot].state == SLOT_READING && reap(s, true))
		;
	s->stats.wait_s += clock_now() - t0;
	return s->slot[p->slot].state == SLOT_FULL;
}

const void *stream_take(struct stream *s, const struct stream_matrix *m, uint32_t row0, bool wait)
{
	uint32_t first = stream_pieces(s, m), id;
	const char *at;
	struct piece *p;

	if (first == STREAM_NONE) {
		s->rc = s->rc != 0 ? s->rc : -ENOMEM;
		return m->data;
	}
	while (reap(s, false))
		;
	id = first + row0 / stream_piece_rows(s, m->row_bytes);
	p = &s->piece[id];
	at = p->held != NULL ? p->held : p->slot == STREAM_NONE && stream_in_place(s, p) ? p->addr : NULL;
	if (at == NULL && !bring(s, p, id, wait))
		return wait ? m->data : NULL;
	if (p->routed) {
		stream_touch(s, p);
		s->stats.routed++;
		s->stats.routed_held += at != NULL;
	}
	if (at == NULL)
		at = settle(s, p);
	note(s, id);
	top_up(s);
	return at;
}

void stream_release(struct stream *s)
{
	uint32_t i;

	for (i = 0; i < s->n_slot; i++)
		if (s->slot[i].taken && s->stays) {
			s->slot[i].taken = false;
			s->slot[i].again = true;
		} else if (s->slot[i].taken) {
			stream_free_slot(s, &s->slot[i]);
		}
	top_up(s);
}

void stream_want(struct stream *s, const struct stream_matrix *m)
{
	uint32_t first = stream_pieces(s, m), each = stream_piece_rows(s, m->row_bytes), i, n = (m->rows + each - 1) / each;

	if (s->want_first == s->wanted.n)
		s->want_first = s->wanted.n = 0;
	for (i = 0; first != STREAM_NONE && i < n; i++)
		if (is_missing(s, &s->piece[first + i]) && !add_to(&s->wanted, first + i))
			return;
	top_up(s);
}

void stream_spare(struct stream *s, const struct stream_matrix *m)
{
	uint32_t first = stream_pieces(s, m), each = stream_piece_rows(s, m->row_bytes), i, n = (m->rows + each - 1) / each;

	for (i = 0; first != STREAM_NONE && i < n; i++)
		if (!add_to(&s->spare, first + i))
			return;
}

/* Room for n rows, and for what a read past the page cache brings of one. */
static bool rows_room(struct stream *s, size_t row_bytes, uint32_t n)
{
	size_t align = weights_align(s->w), most = (row_bytes + 3 * align - 1) / align * align, need = n * row_bytes;

	if (need > s->rows_bytes) {
		free(s->rows);
		s->rows = malloc(need);
		s->rows_bytes = s->rows != NULL ? need : 0;
	}
	if (most > s->row_bytes) {
		free(s->row);
		s->row = aligned_alloc(align, most);
		s->row_bytes = s->row != NULL ? most : 0;
	}
	return s->rows != NULL && s->row != NULL;
}

/* Not by reads through the page cache where it can be done without: a header's pages were read ahead, and the kernel goes on
 * with that at each page that it marked, of random reads too. */
static int read_row(struct stream *s, const char *addr, size_t bytes, char *to)
{
	struct weights_place at;
	uint64_t from;
	size_t shift;
	ssize_t got;

	if (!s->apart && weights_resident(s->w, addr, bytes)) {
		memcpy(to, addr, bytes);
		return 0;
	}
	weights_place(s->w, addr, s->buffered, &at);
	from = at.off / at.align * at.align;
	shift = (size_t)(at.off - from);
	got = pread(at.fd, at.direct ? s->row : to, (shift + bytes + at.align - 1) / at.align * at.align, (off_t)from);
	s->stats.read += bytes;
	if (!at.direct)
		forget(at.fd, from, bytes);
	if (got < (ssize_t)(shift + bytes))
		return got < 0 ? -errno : -EIO;
	if (at.direct)
		memcpy(to, s->row + shift, bytes);
	return 0;
}

const void *stream_rows(struct stream *s, const void *data, size_t row_bytes, const uint32_t *ids, uint32_t n)
{
	uint32_t i;
	int rc;

	if (!rows_room(s, row_bytes, n)) {
		s->rc = s->rc != 0 ? s->rc : -ENOMEM;
		return data;
	}
	for (i = 0; i < n; i++) {
		rc = read_row(s, (const char *)data + ids[i] * row_bytes, row_bytes, s->rows + i * row_bytes);
		if (rc != 0)
			memset(s->rows + i * row_bytes, 0, row_bytes);
		s->rc = s->rc != 0 ? s->rc : rc;
	}
	return s->rows;
}

int stream_error(const struct stream *s)
{
	return s->rc;
}

void stream_stats(const struct stream *s, struct stream_stats *out)
{
	*out = s->stats;
	out->held = s->hold_used;
	out->kind = reader_kind(s->reader);
}
