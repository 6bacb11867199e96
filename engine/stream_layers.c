/* stream_layers.c - passes that take each layer with many batches of tokens: its pieces stay in the ring, which is longer
 * meanwhile.
 *
 * The memory is the end of what stays, where pieces lie in the order in which they came: what is dropped is all behind one
 * offset, and comes back as passes ask for it.
 */
#include "engine/stream_internal.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

/* As many slots as there are, and `more` at mem. */
static bool add_slots(struct stream *s, char *mem, uint32_t more)
{
	struct slot *bigger = realloc(s->slot, ((size_t)s->n_slot + more) * sizeof(*bigger));
	uint32_t i;

	if (bigger == NULL)
		return false;
	s->slot = bigger;
	memset(bigger + s->n_slot, 0, more * sizeof(*bigger));
	for (i = 0; i < more; i++)
		bigger[s->n_slot + i].mem = mem + i * s->slot_bytes;
	s->n_slot += more;
	return true;
}

void *stream_lend(struct stream *s, uint32_t slots, size_t bytes)
{
	uint64_t ring = slots * (uint64_t)s->slot_bytes, from;

	if (s->lent != 0 || bytes > s->hold_bytes || ring > s->hold_bytes - bytes || s->hold_bytes - bytes - ring < PAGE)
		return NULL;
	from = (s->hold_bytes - bytes - ring) / PAGE * PAGE;
	stream_settle(s);               /* jobs under way lie in slots, which may move */
	if (!add_slots(s, s->hold + from, slots))
		return NULL;
	stream_drop(s, from);
	s->lent = s->hold_bytes - from;
	s->hold_bytes = from;
	return s->hold + from + ring;
}

void stream_whole(struct stream *s)
{
	if (s->lent == 0)
		return;
	stream_settle(s);
	s->n_slot = s->depth;
	s->hold_bytes += s->lent;
	s->lent = 0;
	s->stays = false;
}

void stream_layer(struct stream *s)
{
	uint32_t i;

	for (i = 0; i < s->n_slot; i++)
		if (s->slot[i].again)
			stream_free_slot(s, &s->slot[i]);
	s->layer = s->cursor;
	s->stays = true;
}

void stream_again(struct stream *s, bool last)
{
	s->cursor = s->layer;
	s->stays = !last;
}

uint32_t stream_slots(const struct stream *s)
{
	return s->n_slot;
}
