/* stream_pieces.c - which pieces there are, and which of them stay in memory. */
#include "engine/stream_internal.h"

#include <math.h>
#include <stdlib.h>

#define ROWS_UNIT 32u           /* pieces have a multiple of so many rows, which the kernels take together */
#define HALF_LIFE 256.0         /* passes after which a use of an expert counts half */
#define HOTTER 0.32             /* a logarithm: 1.25 times as hot is clearly hotter */

/* ---- pieces -------------------------------------------------------------------------------------- */

uint32_t stream_piece_rows(const struct stream *s, size_t row_bytes)
{
	return stream_rows_of_piece(s->piece_bytes, row_bytes);
}

uint32_t stream_rows_of_piece(size_t piece, size_t row_bytes)
{
	size_t n = piece / row_bytes;

	return n >= ROWS_UNIT ? (uint32_t)(n / ROWS_UNIT * ROWS_UNIT) : n > 0 ? (uint32_t)n : 1;
}

static struct matrix *matrix_at(const struct stream *s, const void *data)
{
	uint64_t h = (uint64_t)(uintptr_t)data * 0x9e3779b97f4a7c15U;
	uint32_t i = (uint32_t)(h >> 32) & (s->cap_matrix - 1);

	while (s->matrix[i].data != NULL && s->matrix[i].data != data)
		i = (i + 1) & (s->cap_matrix - 1);
	return &s->matrix[i];
}

static bool grow_matrices(struct stream *s)
{
	struct matrix *old = s->matrix, *bigger = calloc(2 * (size_t)s->cap_matrix, sizeof(*bigger));
	uint32_t i, n = s->cap_matrix;

	if (bigger == NULL)
		return false;
	s->matrix = bigger;
	s->cap_matrix = 2 * n;
	for (i = 0; i < n; i++)
		if (old[i].data != NULL)
			*matrix_at(s, old[i].data) = old[i];
	free(old);
	return true;
}

/* Dense pieces stay evenly spread over the order in which they are first used. */
static bool is_kept(struct stream *s, uint32_t bytes)
{
	s->due += bytes * s->share;
	if (s->due + 0.5 < (double)(s->kept + bytes))
		return false;
	s->kept += bytes;
	return true;
}

bool stream_in_place(const struct stream *s, struct piece *p)
{
	if (p->asked != s->stats.passes) {
		p->asked = s->stats.passes;
		p->there = !s->apart && weights_resident(s->w, p->addr, p->bytes);
	}
	return p->there;
}

static bool add_piece(struct stream *s, const char *addr, uint32_t bytes, bool routed)
{
	struct piece *p;

	if (s->n_piece == s->cap_piece) {
		uint32_t cap = s->cap_piece != 0 ? 2 * s->cap_piece : 1024;
		struct piece *bigger = realloc(s->piece, cap * sizeof(*bigger));

		if (bigger == NULL)
			return false;
		s->piece = bigger;
		s->cap_piece = cap;
	}
	p = &s->piece[s->n_piece++];
	*p = (struct piece){ .addr = addr, .bytes = bytes, .routed = routed, .slot = STREAM_NONE, .asked = UINT64_MAX, .heat = -INFINITY };
	p->keep = !routed && !stream_in_place(s, p) && is_kept(s, bytes);       /* of experts it is decided when they are read */
	return true;
}

/* The first piece of a matrix, which is divided when it is first seen; STREAM_NONE without memory. */
uint32_t stream_pieces(struct stream *s, const struct stream_matrix *m)
{
	uint32_t each = stream_piece_rows(s, m->row_bytes), row, n;
	struct matrix *at = matrix_at(s, m->data);

	if (at->data != NULL)
		return at->first;
	if (m->row_bytes + 2 * weights_align(s->w) > s->slot_bytes)
		return STREAM_NONE;
	if (2 * s->n_matrix >= s->cap_matrix) {
		if (!grow_matrices(s))
			return STREAM_NONE;
		at = matrix_at(s, m->data);
	}
	at->first = s->n_piece;
	for (row = 0; row < m->rows; row += n) {
		n = m->rows - row < each ? m->rows - row : each;
		if (!add_piece(s, (const char *)m->data + row * m->row_bytes, (uint32_t)(n * m->row_bytes), m->routed)) {
			s->n_piece = at->first;
			return STREAM_NONE;
		}
	}
	at->data = m->data;
	s->n_matrix++;
	return at->first;
}

/* ---- what stays ---------------------------------------------------------------------------------- */

/* Its logarithm beside that of 2^(pass / half life), with which all fade alike: so it changes only with a use. */
void stream_touch(struct stream *s, struct piece *p)
{
	double fades = (double)s->stats.passes / HALF_LIFE;

	if (p->last == s->stats.passes)
		return;                         /* once a pass */
	p->heat = log2(exp2(p->heat - fades) + 1.0) + fades;
	p->last = s->stats.passes;
}

/* The place of the coldest expert of that size, which was not used in this pass and is clearly colder than p; NULL. */
static char *place_of_colder(struct stream *s, const struct piece *p)
{
	double limit = p->heat - HOTTER;
	struct piece *coldest = NULL;
	char *place;
	uint32_t i;

	for (i = 0; i < s->n_piece; i++) {
		struct piece *q = &s->piece[i];

		if (!q->routed || q->held == NULL || q->bytes != p->bytes || q->last == s->stats.passes)
			continue;
		if (q->heat < limit) {
			limit = q->heat;
			coldest = q;
		}
	}
	if (coldest == NULL)
		return NULL;
	place = coldest->held;
	coldest->held = NULL;
	return place;
}

void stream_drop(struct stream *s, uint64_t from)
{
	uint32_t i;

	for (i = 0; i < s->n_piece; i++) {
		struct piece *p = &s->piece[i];
		uint64_t at = p->held != NULL ? (uint64_t)(p->held - s->hold) : 0;

		if (p->held == NULL || at + p->bytes <= from)
			continue;
		p->held = NULL;
		s->held_routed -= p->routed ? p->bytes : 0;
		s->hold_used = at < s->hold_used ? at : s->hold_used;
	}
	s->spare_first = 0;             /* of experts some may be read again */
}

bool stream_has_room(const struct stream *s, const struct piece *p)
{
	return s->held_routed + p->bytes <= s->hold_routed && s->hold_used + p->bytes <= s->hold_bytes;
}

/* Where the piece stays from now on; NULL: nowhere. */
char *stream_place(struct stream *s, const struct piece *p)
{
	char *place = s->hold + s->hold_used;
	bool room = p->routed ? stream_has_room(s, p) : p->keep && s->hold_used + p->bytes <= s->hold_bytes;

	if (s->rc != 0)
		return NULL;
	if (!room)
		return p->routed ? place_of_colder(s, p) : NULL;
	s->hold_used += p->bytes;
	s->held_routed += p->routed ? p->bytes : 0;
	return place;
}
