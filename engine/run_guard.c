/* run_guard.c - see run_guard.h. */
#include "engine/run_guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "\xf4\x8f\xbf\xbd"         /* U+10FFFD */
#define MARK_BYTES 4

struct grown { char *at; size_t len, cap; };

static int append(struct grown *b, const char *s, size_t n)
{
	size_t cap = (b->len + n) * 2 + 64;
	char *bigger;

	if (b->len + n + 1 > b->cap) {
		bigger = realloc(b->at, cap);
		if (bigger == NULL)
			return -ENOMEM;
		b->at = bigger;
		b->cap = cap;
	}
	if (n > 0)
		memcpy(b->at + b->len, s, n);
	b->len += n;
	b->at[b->len] = '\0';
	return 0;
}

void run_guard_free(struct run_guard *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		free(g->texts[i]);
	free(g->texts);
	free(g->ranges);
	memset(g, 0, sizeof(*g));
}

/* Note what a new mark stands for, and append the mark. */
static int add_mark(struct run_guard *g, const char *s, size_t n, struct grown *out)
{
	char **bigger = realloc(g->texts, (g->n + 1) * sizeof(*bigger)), mark[48];
	int k;

	if (bigger == NULL)
		return -ENOMEM;
	g->texts = bigger;
	g->texts[g->n] = strndup(s, n);
	if (g->texts[g->n] == NULL)
		return -ENOMEM;
	k = snprintf(mark, sizeof(mark), MARK "%zu" MARK, g->n);
	g->n++;
	return append(out, mark, (size_t)k);
}

int run_guard_mark(struct run_guard *g, const struct tokenizer *t, const char *text, size_t len, char **out, size_t *out_len)
{
	struct grown b = { NULL, 0, 0 };
	size_t i, n;
	int rc = append(&b, "", 0);

	for (i = 0; i < len && rc == 0; i += n) {
		n = len - i >= MARK_BYTES && memcmp(text + i, MARK, MARK_BYTES) == 0 ? MARK_BYTES :
									  tokenizer_special_at(t, text + i, len - i);
		if (n > 0) {
			rc = add_mark(g, text + i, n, &b);
		} else {
			n = 1;
			rc = append(&b, text + i, 1);
		}
	}
	if (rc != 0) {
		free(b.at);
		return rc;
	}
	*out = b.at;
	*out_len = b.len;
	return 0;
}

/* The number of the mark at s and how long it is; 0 when there is none. */
static size_t mark_at(const struct run_guard *g, const char *s, size_t len, size_t *index)
{
	size_t i, v = 0;

	if (len < 2 * MARK_BYTES + 1 || memcmp(s, MARK, MARK_BYTES) != 0)
		return 0;
	for (i = MARK_BYTES; i < len && s[i] >= '0' && s[i] <= '9' && v < g->n; i++)
		v = v * 10 + (size_t)(s[i] - '0');
	if (i == MARK_BYTES || v >= g->n || len - i < MARK_BYTES || memcmp(s + i, MARK, MARK_BYTES) != 0)
		return 0;
	*index = v;
	return i + MARK_BYTES;
}

static int add_range(struct run_guard *g, size_t from, size_t to)
{
	struct tokenizer_range *bigger = realloc(g->ranges, (g->n_ranges + 1) * sizeof(*bigger));

	if (bigger == NULL)
		return -ENOMEM;
	g->ranges = bigger;
	g->ranges[g->n_ranges++] = (struct tokenizer_range){ from, to };
	return 0;
}

int run_guard_restore(struct run_guard *g, const char *text, size_t len, char **out, size_t *out_len)
{
	struct grown b = { NULL, 0, 0 };
	size_t i, n, index = 0, from;
	int rc = append(&b, "", 0);

	g->n_ranges = 0;
	for (i = 0; i < len && rc == 0; i += n) {
		n = mark_at(g, text + i, len - i, &index);
		if (n == 0) {
			n = 1;
			rc = append(&b, text + i, 1);
			continue;
		}
		from = b.len;
		rc = append(&b, g->texts[index], strlen(g->texts[index]));
		if (rc == 0)
			rc = add_range(g, from, b.len);
	}
	if (rc != 0) {
		free(b.at);
		return rc;
	}
	*out = b.at;
	*out_len = b.len;
	return 0;
}
