/* gather_stream.c - read-ahead: which extents a client will ask for next.
 *
 * A stream is a place in a blob that reads move on from, whoever's they are: a mapping's threads, several
 * descriptors.  Its window doubles with each step, to 16 extents for one alone and
 * less when many streams share the pool.
 */
#include "tiering/blob.h"
#include "tiering/gather_internal.h"

#define GATHER_WINDOW_MAX 16u
#define GATHER_SLACK 4u                 /* extents that a read may be off the expected place: requests overtake */

static struct gather_stream *gather_stream_of(struct gather *g, struct blob *b, uint32_t extent)
{
	struct gather_stream *oldest = &g->stream[0];

	for (unsigned i = 0; i < GATHER_STREAMS; i++) {
		struct gather_stream *s = &g->stream[i];

		if (s->blob == b && extent + GATHER_SLACK >= s->next && extent <= s->next + GATHER_SLACK)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct gather_stream){ .blob = b, .next = extent, .ahead = extent + 1, .window = 0 };
	return oldest;
}

static unsigned gather_stream_active(const struct gather *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < GATHER_STREAMS; i++)
		n += g->stream[i].window > 1 && g->stream[i].used + 4 * GATHER_BUFFERS > g->stream_clock;
	return n > 0 ? n : 1;
}

void gather_stream_hit(struct tier *t, struct blob *b, uint32_t extent)
{
	struct gather *g = t->gather;
	struct gather_stream *s = gather_stream_of(g, b, extent);
	uint32_t limit, end;

	s->used = ++g->stream_clock;
	if (extent < s->next)
		return;                 /* again, or overtaken: no step */
	s->next = extent + 1;
	s->window = s->window == 0 ? 1 : s->window * 2;
	if (s->window > GATHER_WINDOW_MAX)
		s->window = GATHER_WINDOW_MAX;
	if (s->window < 2)
		return;
	limit = g->buffers / 2 / gather_stream_active(g);
	if (limit < 2)
		limit = 2;
	if (s->window < limit)
		limit = s->window;
	if (s->ahead < s->next)
		s->ahead = s->next;
	end = s->next + limit < b->extents ? s->next + limit : b->extents;
	for (; s->ahead < end && g->nahead < g->buffers / 2 && gather_pool_room(g) > g->buffers / 12; s->ahead++) {
		struct gather_buf *buf;

		if (gather_pool_find(g, b, s->ahead) != NULL)
			continue;
		buf = gather_pool_take(t, b, s->ahead);
		if (buf == NULL)
			break;
		buf->ahead = true;
		g->nahead++;
		gather_route(t, buf, GATHER_AHEAD);     /* its reference is the read's own */
	}
}

void gather_stream_forget(struct gather *g, const struct blob *b)
{
	for (unsigned i = 0; i < GATHER_STREAMS; i++)
		if (g->stream[i].blob == b)
			g->stream[i] = (struct gather_stream){ .blob = NULL };
}
