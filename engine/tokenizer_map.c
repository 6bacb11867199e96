/* tokenizer_map.c - hash tables with linear probing, at most half full.
 *
 * A file may be made so that its texts collide.  Filling a table therefore gives up after MAX_PROBES
 * steps, far beyond what a half-full table shows by chance, and so every later look-up is short too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer_internal.h"

#define MAX_PROBES 512
#define MIN_SLOTS 1024

static uint64_t mix(uint64_t h)
{
	h *= 0x9E3779B97F4A7C15u;
	h ^= h >> 32;
	h *= 0xD6E8FEB86659FD93u;
	return h ^ h >> 29;
}

static uint32_t hash_bytes(const char *s, size_t len)
{
	uint64_t h = len, w;

	for (; len >= 8; s += 8, len -= 8) {
		memcpy(&w, s, 8);
		h = mix(h ^ w);
	}
	w = 0;
	if (len != 0)
		memcpy(&w, s, len);
	return (uint32_t)mix(h ^ w);
}

/* The slot of the text, or the empty one where it would go; nslots when there are too many probes. */
static uint32_t texts_slot(const struct tokenizer_texts *t, uint32_t hash, const char *s, size_t len)
{
	uint32_t i = hash & (t->nslots - 1), probes;
	const struct tokenizer_text *v;

	for (probes = 0; probes < MAX_PROBES; probes++, i = (i + 1) & (t->nslots - 1)) {
		if (t->slot[i] == TOKENIZER_NONE)
			return i;
		v = &t->v[t->slot[i]];
		if (v->hash == hash && v->len == len && memcmp(v->s, s, len) == 0)
			return i;
	}
	return t->nslots;
}

/* Twice the slots, or the first ones. */
static int texts_rehash(struct tokenizer_texts *t)
{
	struct tokenizer_texts big = *t;
	uint32_t i, at;

	big.nslots = t->nslots == 0 ? MIN_SLOTS : t->nslots * 2;
	big.slot = malloc((size_t)big.nslots * sizeof(*big.slot));
	if (big.slot == NULL)
		return -ENOMEM;
	memset(big.slot, 0xFF, (size_t)big.nslots * sizeof(*big.slot));
	for (i = 0; i < t->n; i++) {
		if (t->v[i].len == 0)
			continue;
		at = texts_slot(&big, t->v[i].hash, t->v[i].s, t->v[i].len);
		if (at == big.nslots) {
			free(big.slot);
			return -EINVAL;
		}
		big.slot[at] = i;
	}
	free(t->slot);
	t->slot = big.slot;
	t->nslots = big.nslots;
	return 0;
}

static int texts_reserve(struct tokenizer_texts *t)
{
	struct tokenizer_text *v;
	uint32_t cap;

	if (t->n == t->cap) {
		if (t->n > UINT32_MAX / 8)
			return -ENOMEM;
		cap = t->cap == 0 ? MIN_SLOTS / 2 : t->cap * 2;
		v = reallocarray(t->v, cap, sizeof(*v));
		if (v == NULL)
			return -ENOMEM;
		t->v = v;
		t->cap = cap;
	}
	if (t->n >= t->nslots / 2)
		return texts_rehash(t);
	return 0;
}

int tokenizer_texts_add(struct tokenizer_texts *t, const char *s, uint32_t len, uint32_t *id)
{
	uint32_t hash = hash_bytes(s, len), at;
	int rc;

	rc = texts_reserve(t);
	if (rc != 0)
		return rc;
	if (len != 0) {
		at = texts_slot(t, hash, s, len);
		if (at == t->nslots)
			return -EINVAL;
		if (t->slot[at] != TOKENIZER_NONE) {
			*id = t->slot[at];
			return -EEXIST;
		}
		t->slot[at] = t->n;
	}
	t->v[t->n] = (struct tokenizer_text){ s, len, hash };
	*id = t->n++;
	return 0;
}

uint32_t tokenizer_texts_find(const struct tokenizer_texts *t, const char *s, size_t len)
{
	uint32_t at;

	if (len == 0 || len > TOKENIZER_MAX_TOKEN_BYTES || t->nslots == 0)
		return TOKENIZER_NONE;
	at = texts_slot(t, hash_bytes(s, len), s, len);
	return at == t->nslots ? TOKENIZER_NONE : t->slot[at];
}

void tokenizer_texts_free(struct tokenizer_texts *t)
{
	free(t->v);
	free(t->slot);
}

/* The slot of the pair, or the empty one where it would go; NULL when there are too many probes. */
static struct tokenizer_pair *pairs_slot(const struct tokenizer_pairs *p, uint32_t left, uint32_t right)
{
	uint32_t i = (uint32_t)mix((uint64_t)left << 32 | right) & (p->nslots - 1), probes;
	struct tokenizer_pair *s;

	for (probes = 0; probes < MAX_PROBES; probes++, i = (i + 1) & (p->nslots - 1)) {
		s = &p->slot[i];
		if (s->left == TOKENIZER_NONE || (s->left == left && s->right == right))
			return s;
	}
	return NULL;
}

int tokenizer_pairs_init(struct tokenizer_pairs *p, uint32_t n)
{
	size_t nslots = 1;

	while (nslots < (size_t)n * 2)
		nslots *= 2;
	if (nslots > UINT32_MAX)
		return -ENOMEM;
	p->slot = reallocarray(NULL, nslots, sizeof(*p->slot));
	if (p->slot == NULL)
		return -ENOMEM;
	memset(p->slot, 0xFF, nslots * sizeof(*p->slot));
	p->nslots = (uint32_t)nslots;
	return 0;
}

int tokenizer_pairs_add(struct tokenizer_pairs *p, const struct tokenizer_pair *pair)
{
	struct tokenizer_pair *s = pairs_slot(p, pair->left, pair->right);

	if (s == NULL)
		return -EINVAL;
	if (s->left == TOKENIZER_NONE)
		*s = *pair;
	return 0;
}

const struct tokenizer_pair *tokenizer_pairs_find(const struct tokenizer_pairs *p, uint32_t left,
						  uint32_t right)
{
	const struct tokenizer_pair *s;

	if (p->nslots == 0)
		return NULL;
	s = pairs_slot(p, left, right);
	return s == NULL || s->left == TOKENIZER_NONE ? NULL : s;
}

void tokenizer_pairs_free(struct tokenizer_pairs *p)
{
	free(p->slot);
}
