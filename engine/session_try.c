/* session_try.c - tokens that may turn out wrong: going back behind them. */
#include "engine/session_internal.h"

#include <errno.h>
#include <string.h>

#include "engine/kv.h"

void session_mark(struct session *s)
{
	size_t bytes;
	const void *states = kv_states(s->kv, &bytes);

	s->marked = bytes == 0 || s->mark_states != NULL;
	s->mark = s->n_past;
	if (s->mark_states != NULL)
		memcpy(s->mark_states, states, bytes);
}

int session_back(struct session *s)
{
	size_t bytes;
	void *states = kv_states(s->kv, &bytes);

	if (!s->marked)
		return -EINVAL;
	if (s->mark_states != NULL)
		memcpy(states, s->mark_states, bytes);
	s->n_past = s->mark;
	s->have_logits = false;
	return 0;
}

int session_try(struct session *s, const uint32_t *tokens, size_t n, size_t first, session_logits_fn each, void *arg)
{
	struct session_listener l = { .each = each, .arg = arg, .first = (uint32_t)first };
	uint32_t n_past = s->n_past;
	int rc = session_check(s, tokens, n);

	if (rc != 0)
		return rc;
	if (n > s->n_batch || first >= n || (kv_has_state(s->kv) && s->mark_states == NULL))
		return -EINVAL;
	if (first + 1 < n)
		session_mark(s);
	s->have_logits = false;
	rc = session_pass(s, &(struct session_tokens){ tokens, (uint32_t)n, NULL }, true, &l);
	if (rc != 0) {
		session_to_start(s);
		return rc;
	}
	if (l.enough != 0 && l.enough < n && kv_has_state(s->kv))
		return session_back(s);
	if (l.enough != 0)
		s->n_past = n_past + l.enough;
	s->have_logits = true;
	return 0;
}
