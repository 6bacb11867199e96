/* run_ngram.c - see run_ngram.h.
 *
 * A place is the index behind an earlier appearance of the text's last tokens.  Where a draft goes on past the end of the
 * text it reads itself: a text that repeats itself is repeated.
 */
#include "engine/run_ngram.h"

#include <string.h>

#define PLACES 64u              /* that are looked at, the last ones */
#define VALUES 4u

enum run_ngram_type run_ngram_type(const char *name, size_t len)
{
	static const struct { const char *name; enum run_ngram_type type; } types[] = {
		{ "ngram-simple", RUN_NGRAM_SIMPLE }, { "ngram-map-k", RUN_NGRAM_MAP_K }, { "ngram-map-k4v", RUN_NGRAM_MAP_K4V },
		{ "ngram-mod", RUN_NGRAM_MOD },
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].name) == len && memcmp(types[i].name, name, len) == 0)
			return types[i].type;
	return RUN_NGRAM_NONE;
}

/* The last place before `from`, 0: there is none. */
static uint32_t place_before(const uint32_t *text, uint32_t n_text, uint32_t n, uint32_t from)
{
	const uint32_t *end = text + n_text;
	uint32_t p;

	for (p = from; p-- > n;)
		if (text[p - 1] == end[-1] && memcmp(text + p - n, end - n, n * sizeof(*end)) == 0)
			return p;
	return 0;
}

static uint32_t simple(const struct run_ngram *g, uint32_t *text, uint32_t n_text, uint32_t most)
{
	uint32_t p = place_before(text, n_text, g->n, n_text), k;

	for (k = 0; p != 0 && k < most; k++)
		text[n_text + k] = text[p + k];
	return k;
}

/* Places, the last one first; how many. */
static uint32_t places(const struct run_ngram *g, const uint32_t *text, uint32_t n_text, uint32_t at[PLACES])
{
	uint32_t n = 0, p = n_text;

	while (n < PLACES && (p = place_before(text, n_text, g->n, p)) != 0)
		at[n++] = p;
	return n;
}

static uint32_t map_k(const struct run_ngram *g, uint32_t *text, uint32_t n_text, uint32_t most)
{
	uint32_t at[PLACES], n = places(g, text, n_text, at), k, i, agree;

	for (k = 0; k < most && n >= g->hits && n > 0; k++) {
		uint32_t next = text[at[0] + k];

		for (i = 0, agree = 0; i < n; i++)
			if (text[at[i] + k] == next)
				at[agree++] = at[i];
		if (agree < g->hits)
			break;
		n = agree;
		text[n_text + k] = next;
	}
	return k;
}

static uint32_t map_k4v(const struct run_ngram *g, uint32_t *text, uint32_t n_text, uint32_t most)
{
	struct { uint32_t at, n; } value[VALUES] = { { 0, 0 } };
	uint32_t at[PLACES], n = places(g, text, n_text, at), i, v, n_value = 0, all = 0, best = 0;

	for (i = 0; i < n; i++) {
		if (at[i] + g->m > n_text)
			continue;               /* what followed is not complete */
		for (v = 0; v < n_value && memcmp(text + at[i], text + value[v].at, g->m * sizeof(*text)) != 0; v++)
			;
		if (v == VALUES)
			continue;
		if (v == n_value)
			value[n_value++].at = at[i];
		value[v].n++;
		all++;
		best = value[v].n > value[best].n ? v : best;
	}
	if (value[best].n == 0 || value[best].n < g->hits || value[best].n < 2 * (all - value[best].n))
		return 0;
	memcpy(text + n_text, text + value[best].at, most * sizeof(*text));
	return most;
}

static uint32_t mod(const struct run_ngram *g, uint32_t *text, uint32_t n_text, uint32_t most)
{
	uint32_t k, p;

	for (k = 0; k < most; k++) {
		p = place_before(text, n_text + k, g->n, n_text + k);
		if (p == 0)
			break;
		text[n_text + k] = text[p];
	}
	return k;
}

uint32_t run_ngram_draft(const struct run_ngram *g, uint32_t *text, uint32_t n_text, uint32_t most)
{
	uint32_t m = most < g->m ? most : g->m;

	if (n_text <= g->n)
		return 0;
	switch (g->type) {
	case RUN_NGRAM_NONE:
		return 0;
	case RUN_NGRAM_SIMPLE:
		return simple(g, text, n_text, m);
	case RUN_NGRAM_MAP_K:
		return map_k(g, text, n_text, m);
	case RUN_NGRAM_MAP_K4V:
		return map_k4v(g, text, n_text, m);
	case RUN_NGRAM_MOD:
		return mod(g, text, n_text, most);
	}
	return 0;
}
