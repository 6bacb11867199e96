/* tokenizer_split.c - find special tokens in text.
 *
 * The longest texts are looked for first, everywhere, then the next shorter ones in what is left:
 * the priority of llama.cpp's tokenizer_st_partition.  Among texts of one length the leftmost match
 * wins.  One pass over the text for each distinct length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer_internal.h"

static bool is_special(const struct tokenizer *t, uint32_t id)
{
	unsigned char a = t->attr[id];

	return t->texts.v[id].len != 0 &&
	       (a == TOKENIZER_CONTROL || a == TOKENIZER_USER || a == TOKENIZER_UNKNOWN);
}

/* Longer texts first, then in the order of their bytes. */
static int compare_ids(const void *pa, const void *pb, void *ctx)
{
	const struct tokenizer *t = ctx;
	const struct tokenizer_text *a = &t->texts.v[*(const uint32_t *)pa];
	const struct tokenizer_text *b = &t->texts.v[*(const uint32_t *)pb];

	if (a->len != b->len)
		return a->len > b->len ? -1 : 1;
	return memcmp(a->s, b->s, a->len);
}

static void set_bit(unsigned char *set, unsigned char c)
{
	set[c / 8] = (unsigned char)(set[c / 8] | 1u << c % 8);
}

/* Add token id to the last group, or to a new one if its length differs. */
static void group_add(struct tokenizer *t, const uint32_t *id)
{
	const struct tokenizer_text *x = &t->texts.v[*id];
	struct tokenizer_group *g;

	if (t->n_groups == 0 || t->group[t->n_groups - 1].len != x->len) {
		g = &t->group[t->n_groups++];
		*g = (struct tokenizer_group){ .ids = id, .len = x->len };
	}
	g = &t->group[t->n_groups - 1];
	g->n++;
	set_bit(g->first[1], (unsigned char)x->s[0]);
	if (t->attr[*id] == TOKENIZER_USER)
		set_bit(g->first[0], (unsigned char)x->s[0]);
}

int tokenizer_split_load(struct tokenizer *t)
{
	uint32_t i, n = 0, groups = 0;

	for (i = 0; i < t->n_tokens; i++)
		n += is_special(t, i);
	if (n == 0)
		return 0;
	t->special_ids = reallocarray(NULL, n, sizeof(*t->special_ids));
	if (t->special_ids == NULL)
		return -ENOMEM;
	n = 0;
	for (i = 0; i < t->n_tokens; i++)
		if (is_special(t, i))
			t->special_ids[n++] = i;
	qsort_r(t->special_ids, n, sizeof(*t->special_ids), compare_ids, t);
	for (i = 0; i < n; i++)
		groups += i == 0 || t->texts.v[t->special_ids[i]].len != t->texts.v[t->special_ids[i - 1]].len;
	t->group = calloc(groups, sizeof(*t->group));
	if (t->group == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		group_add(t, &t->special_ids[i]);
	return 0;
}

/* The token of group g whose text is at s, or TOKENIZER_NONE. */
static uint32_t group_find(const struct tokenizer *t, const struct tokenizer_group *g, const char *s)
{
	uint32_t lo = 0, hi = g->n, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = memcmp(t->texts.v[g->ids[mid]].s, s, g->len);
		if (c == 0)
			return g->ids[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return TOKENIZER_NONE;
}

static int frag_add(struct tokenizer_frags *f, size_t off, size_t len, uint32_t id)
{
	size_t cap = f->cap == 0 ? 8 : f->cap * 2;
	struct tokenizer_frag *v;

	if (len == 0)
		return 0;
	if (f->n == f->cap) {
		v = reallocarray(f->v, cap, sizeof(*v));
		if (v == NULL)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = (struct tokenizer_frag){ off, len, id };
	return 0;
}

static bool c_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Does text[at .. at + len) reach into a range that is plain? */
static bool is_plain(const struct tokenizer_parse *p, size_t at, size_t len)
{
	size_t lo = 0, hi = p->n_plain, mid;

	while (lo < hi) {               /* the first range that ends behind at */
		mid = lo + (hi - lo) / 2;
		if (p->plain[mid].to <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n_plain && p->plain[lo].from < at + len;
}

static bool recognised(const struct tokenizer *t, const struct tokenizer_parse *p, uint32_t id, size_t at, size_t len)
{
	return t->attr[id] == TOKENIZER_USER || (p->special && !is_plain(p, at, len));
}

/* Cut one stretch of text at the tokens of group g. */
static int split_text(const struct tokenizer *t, const struct tokenizer_group *g, const char *text,
		      struct tokenizer_frag f, const struct tokenizer_parse *parse, struct tokenizer_frags *out)
{
	const unsigned char *first = g->first[parse->special];
	size_t at = f.off, begin = f.off, end = f.off + f.len;
	unsigned char c;
	uint32_t id;
	int rc = 0;

	while (rc == 0 && end - at >= g->len) {
		c = (unsigned char)text[at];
		id = first[c / 8] >> c % 8 & 1 ? group_find(t, g, text + at) : TOKENIZER_NONE;
		if (id == TOKENIZER_NONE || !recognised(t, parse, id, at, g->len)) {
			at++;
			continue;
		}
		rc = frag_add(out, begin, at - begin, TOKENIZER_NONE);
		if (rc == 0)
			rc = frag_add(out, at, g->len, id);
		at += g->len;
		while ((t->flags[id] & TOKENIZER_FLAG_RSTRIP) && at < end && c_space(text[at]))
			at++;
		begin = at;
	}
	return rc == 0 ? frag_add(out, begin, end - begin, TOKENIZER_NONE) : rc;
}

size_t tokenizer_special_at(const struct tokenizer *t, const char *s, size_t len)
{
	size_t best = 0;
	uint32_t i, id;

	for (i = 0; i < t->n_groups; i++) {
		const struct tokenizer_group *g = &t->group[i];

		if (g->len <= best || g->len > len || !(g->first[1][(unsigned char)s[0] / 8] >> (unsigned char)s[0] % 8 & 1))
			continue;
		id = group_find(t, g, s);
		if (id != TOKENIZER_NONE && t->attr[id] != TOKENIZER_USER)
			best = g->len;
	}
	return best;
}

int tokenizer_split(const struct tokenizer *t, const char *text, size_t len, const struct tokenizer_parse *parse,
		    struct tokenizer_frags *out)
{
	struct tokenizer_frags next = { NULL, 0, 0 }, swap;
	uint32_t i;
	size_t j;
	int rc;

	rc = frag_add(out, 0, len, TOKENIZER_NONE);
	for (i = 0; rc == 0 && i < t->n_groups; i++) {
		next.n = 0;
		for (j = 0; rc == 0 && j < out->n; j++) {
			if (out->v[j].id != TOKENIZER_NONE)
				rc = frag_add(&next, out->v[j].off, out->v[j].len, out->v[j].id);
			else
				rc = split_text(t, &t->group[i], text, out->v[j], parse, &next);
		}
		swap = *out;
		*out = next;
		next = swap;
	}
	free(next.v);
	return rc;
}
