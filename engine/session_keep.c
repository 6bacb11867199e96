/* session_keep.c - a timeline that stays in the file of its KV cache (kv_keep.c).
 *
 * Besides rows and states the file has struct head, the tokens, u32 each, and the last logits, f32 each, if there were any.
 */
#include "engine/session_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct head { uint32_t n_tokens, n_logits; };

int session_keep(struct session *s, char *err, size_t errlen)
{
	struct head h = { s->n_past, s->have_logits ? s->m->dims.n_vocab : 0 };
	size_t tokens = h.n_tokens * sizeof(*s->tokens), logits = h.n_logits * sizeof(float), n = sizeof(h) + tokens + logits;
	char *more = malloc(n);
	int rc;

	if (more == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	memcpy(more, &h, sizeof(h));
	memcpy(more + sizeof(h), s->tokens, tokens);
	if (logits > 0)
		memcpy(more + sizeof(h) + tokens, session_logits(s), logits);
	rc = kv_keep(s->kv, s->n_past, more, n, err, errlen);
	free(more);
	return rc;
}

static bool is_good(const struct session *s, uint32_t n, const char *more, size_t bytes)
{
	const struct model_dims *d = &s->m->dims;
	struct head h;
	uint32_t i, id;

	if (bytes < sizeof(h))
		return false;
	memcpy(&h, more, sizeof(h));
	if (h.n_tokens != n || n > s->n_ctx || (h.n_logits != 0 && h.n_logits != d->n_vocab) ||
	    bytes != sizeof(h) + (size_t)n * sizeof(id) + h.n_logits * sizeof(float))
		return false;
	for (i = 0; i < n; i++) {
		memcpy(&id, more + sizeof(h) + i * sizeof(id), sizeof(id));
		if (id >= d->n_vocab)
			return false;
	}
	return true;
}

void session_resume(struct session *s)
{
	struct head h;
	size_t bytes;
	void *more;
	uint32_t n = kv_resume(s->kv, &more, &bytes);

	if (n > 0 && is_good(s, n, more, bytes)) {
		const char *at = (const char *)more + sizeof(h);

		memcpy(&h, more, sizeof(h));
		memcpy(s->tokens, at, n * sizeof(*s->tokens));
		memcpy(s->logits, at + n * sizeof(*s->tokens), h.n_logits * sizeof(float));
		s->n_past = n;
		s->last_row = 0;
		s->have_logits = h.n_logits != 0;
	} else {
		session_reset(s);
	}
	free(more);
}
