#include "fs/fs_cli.h"
#include "fs/fs_cli_progress.h"
#include "fs/fs_top.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FS_TOP_NAME_MIN 10              /* columns of a name before others give way */
#define FS_TOP_NUMBER 9                 /* columns of a number with its blank before */

struct fs_top_screen {
	struct fs_top_line *line;       /* [n] */
	size_t n, cap;
	int width;
	size_t height;                  /* 0: any */
	bool failed;                    /* out of memory */
};

/* A new empty line, or NULL: no memory, or the screen is full. */
static struct fs_top_line *fs_top_new(struct fs_top_screen *s, enum fs_top_kind kind)
{
	if (s->height > 0 && s->n == s->height)
		return NULL;
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 32 : s->cap * 2;
		struct fs_top_line *grown = realloc(s->line, cap * sizeof(*grown));

		if (grown == NULL) {
			s->failed = true;
			return NULL;
		}
		s->line = grown;
		s->cap = cap;
	}
	s->line[s->n].kind = kind;
	s->line[s->n].text[0] = '\0';
	return &s->line[s->n++];
}

/* Append to a line, not beyond the width.  What is no printable ASCII becomes '?', so a byte is a column. */
static void fs_top_put(const struct fs_top_screen *s, struct fs_top_line *l, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fs_top_put(const struct fs_top_screen *s, struct fs_top_line *l, const char *fmt, ...)
{
	size_t at = strlen(l->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->text + at, (size_t)s->width + 1 - at, fmt, ap);
	va_end(ap);
	for (; l->text[at] != '\0'; at++)
		if (l->text[at] < ' ' || l->text[at] > '~')
			l->text[at] = '?';
}

static void fs_top_say(struct fs_top_screen *s, enum fs_top_kind kind, const char *text)
{
	struct fs_top_line *l = fs_top_new(s, kind);

	if (l != NULL)
		fs_top_put(s, l, "%s", text);
}

/* A name in exactly width columns: a long one loses its middle. */
static void fs_top_put_name(const struct fs_top_screen *s, struct fs_top_line *l, const char *name, int width)
{
	int len = (int)strlen(name), tail = (width - 2) / 2;

	if (len <= width || width < 6)
		fs_top_put(s, l, "%-*.*s", width, width, name);
	else
		fs_top_put(s, l, "%.*s..%s", width - 2 - tail, name, name + len - tail);
}

static const char *fs_top_uptime(int64_t s, char buf[32])
{
	long long n = s > 0 ? (long long)s : 0;

	if (n >= 86400)
		snprintf(buf, 32, "%lld d %lld h", n / 86400, n / 3600 % 24);
	else if (n >= 3600)
		snprintf(buf, 32, "%lld h %lld min", n / 3600, n / 60 % 60);
	else
		snprintf(buf, 32, "%lld min", n / 60);
	return buf;
}

/* The title is as wide as the screen, because it is shown reversed. */
static void fs_top_title(struct fs_top_screen *s, const struct fs_top_sample *t, const struct fs_top_view *v)
{
	static const char keys[] = "q quit ";
	struct fs_top_line *l = fs_top_new(s, FS_TOP_TITLE);
	char up[32];
	int pad;

	if (l == NULL)
		return;
	fs_top_put(s, l, " hearth %s  %s", t->version, t->mount);
	if (t->started > 0 && t->now >= t->started)
		fs_top_put(s, l, "  up %s", fs_top_uptime(t->now - t->started, up));
	if (v->late_s > 0)
		fs_top_put(s, l, "  NO ANSWER FOR %u s", v->late_s);
	pad = s->width - (int)strlen(l->text) - (v->keys ? (int)sizeof(keys) - 1 : 0);
	if (pad >= 1)
		fs_top_put(s, l, "%*s%s", pad, "", v->keys ? keys : "");
	else
		fs_top_put(s, l, "%*s", s->width - (int)strlen(l->text), "");
}

/* ---- tiers ---- */

static const char *fs_top_rate(double rate, char buf[24])
{
	char n[16];

	if (rate < 0)
		snprintf(buf, 24, "-");
	else
		snprintf(buf, 24, "%s/s", fs_cli_bytes((uint64_t)rate, n));
	return buf;
}

/* "nvme   [#####-----]  120 GB of 400 GB  ..." with columns that fit: state first, then rates, then pins go. */
static void fs_top_tier_line(struct fs_top_screen *s, const struct fs_top_tier *t, int name, int bar, int columns)
{
	bool alarm = t->state[0] != '\0' && strcmp(t->state, "ok") != 0 && strcmp(t->state, "off") != 0;
	struct fs_top_line *l = fs_top_new(s, alarm ? FS_TOP_ALARM : FS_TOP_PLAIN);
	char cells[FS_TOP_WIDTH_MAX + 1], a[16], b[24];

	if (l == NULL)
		return;
	fs_top_put(s, l, "%-*s", name, t->name);
	if (bar > 0) {
		if (t->limit > 0)
			fs_progress_bar(cells, bar, t->used < t->limit ? t->used : t->limit, t->limit);
		else
			snprintf(cells, sizeof(cells), "%*s", bar, "");
		fs_top_put(s, l, t->limit > 0 ? " [%s]" : "  %s ", cells);
	}
	fs_top_put(s, l, "%*s", FS_TOP_NUMBER, fs_cli_bytes(t->used, a));
	fs_top_put(s, l, "%*s", FS_TOP_NUMBER, t->limit > 0 ? fs_cli_bytes(t->limit, a) : "-");
	if (columns >= 1)
		fs_top_put(s, l, "%*s", FS_TOP_NUMBER + 2, fs_top_rate(t->read_rate, b));
	if (columns >= 2)
		fs_top_put(s, l, "%*s", FS_TOP_NUMBER, fs_cli_bytes(t->pinned, a));
	if (columns >= 3)
		fs_top_put(s, l, "%*s", FS_TOP_NUMBER, fs_cli_bytes(t->locked, a));
	fs_top_put(s, l, "  %s%s%s", t->state, t->reason[0] != '\0' ? ": " : "", t->reason);
}

static void fs_top_tiers_part(struct fs_top_screen *s, const struct fs_top_sample *t)
{
	static const int cost[] = { 0, FS_TOP_NUMBER + 2, FS_TOP_NUMBER, FS_TOP_NUMBER };
	int name = 4, state = 0, rest, columns, bar = 0;
	struct fs_top_line *l;

	for (size_t i = 0; i < t->ntiers; i++) {
		name = (int)strlen(t->tier[i].name) > name ? (int)strlen(t->tier[i].name) : name;
		state = (int)strlen(t->tier[i].state) > state ? (int)strlen(t->tier[i].state) : state;
	}
	state = state > 0 && state < 5 ? 5 : state;     /* the word over it */
	rest = s->width - name - 2 * FS_TOP_NUMBER;
	for (columns = 0; columns < 3 && rest - cost[columns + 1] >= 0; columns++)
		rest -= cost[columns + 1];
	rest -= 3 + (state > 0 ? state + 2 : 0);
	if (rest >= 5)
		bar = rest < 40 ? rest : 40;
	fs_top_say(s, FS_TOP_PLAIN, "");
	if (t->ntiers == 0) {
		fs_top_say(s, FS_TOP_PLAIN, "this mount does not tell its tiers");
		return;
	}
	l = fs_top_new(s, FS_TOP_HEAD);
	if (l == NULL)
		return;
	fs_top_put(s, l, "%-*s%*s%*s%*s", name, "TIER", bar > 0 ? bar + 3 : 0, "", FS_TOP_NUMBER, "USED", FS_TOP_NUMBER, "LIMIT");
	fs_top_put(s, l, "%*s%*s%*s", columns >= 1 ? FS_TOP_NUMBER + 2 : 0, columns >= 1 ? "READ" : "",
		   columns >= 2 ? FS_TOP_NUMBER : 0, columns >= 2 ? "PINNED" : "",
		   columns >= 3 ? FS_TOP_NUMBER : 0, columns >= 3 ? "LOCKED" : "");
	if (state > 0)
		fs_top_put(s, l, "  STATE");
	for (size_t i = 0; i < t->ntiers; i++)
		fs_top_tier_line(s, &t->tier[i], name, bar, columns);
}

/* ---- moves ---- */

/* A model's name where the blob is one's weights; else its file's name. */
static const char *fs_top_move_name(const struct fs_top_sample *t, const struct fs_top_move *m)
{
	const char *base = strrchr(m->blob, '/');

	base = base != NULL ? base + 1 : m->blob;
	for (size_t i = 0; i < t->nmodels; i++)
		if (t->model[i].weights != NULL && strcmp(t->model[i].weights, base) == 0)
			return t->model[i].name;
	return base;
}

static void fs_top_move_way(const struct fs_top_move *m, char buf[2 * FS_TIER_NAME + 4])
{
	snprintf(buf, 2 * FS_TIER_NAME + 4, "%s%s%s", m->from, m->from[0] != '\0' ? " > " : "to ", m->to);
}

/* way: columns of where from and to. */
static void fs_top_move_line(struct fs_top_screen *s, const struct fs_top_sample *t, const struct fs_top_move *m, int way)
{
	struct fs_progress p = { .done = m->done, .total = m->total, .rate = m->rate };
	struct fs_top_line *l = fs_top_new(s, FS_TOP_PLAIN);
	char text[FS_TOP_WIDTH_MAX + 1], buf[2 * FS_TIER_NAME + 4];
	int name = s->width / 4 > FS_TOP_NAME_MIN ? s->width / 4 : FS_TOP_NAME_MIN;

	if (l == NULL)
		return;
	fs_top_put_name(s, l, fs_top_move_name(t, m), name);
	fs_top_move_way(m, buf);
	fs_top_put(s, l, "  %-*s ", way, buf);
	fs_progress_line(&p, "", s->width - (int)strlen(l->text) + 1, text, sizeof(text));
	fs_top_put(s, l, "%s", text[0] == ' ' ? text + 1 : text);
}

static void fs_top_moves_part(struct fs_top_screen *s, const struct fs_top_sample *t)
{
	size_t most = s->height > 0 ? (s->height / 4 > 3 ? s->height / 4 : 3) : FS_TOP_MOVES_MAX, shown;
	char buf[2 * FS_TIER_NAME + 4];
	int way = 0;

	if (t->nmoves == 0)
		return;
	shown = t->nmoves <= most ? t->nmoves : most - 1;
	for (size_t i = 0; i < shown; i++) {
		fs_top_move_way(&t->move[i], buf);
		way = (int)strlen(buf) > way ? (int)strlen(buf) : way;
	}
	fs_top_say(s, FS_TOP_PLAIN, "");
	fs_top_say(s, FS_TOP_HEAD, "MOVES");
	for (size_t i = 0; i < shown; i++)
		fs_top_move_line(s, t, &t->move[i], way);
	if (shown < t->nmoves || t->moves_more > 0) {
		snprintf(buf, sizeof(buf), "and %zu more", t->nmoves - shown + t->moves_more);
		fs_top_say(s, FS_TOP_PLAIN, buf);
	}
}

/* ---- models ---- */

static uint64_t fs_top_fast(const struct fs_top_model *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->held.n; i++)
		if (strcmp(m->held.tier[i].name, "home") != 0)
			sum += m->held.tier[i].bytes;
	return sum;
}

static int fs_top_by_name(const void *a, const void *b)
{
	return strcmp(((const struct fs_top_model *)a)->name, ((const struct fs_top_model *)b)->name);
}

static int fs_top_by_heat(const void *a, const void *b)
{
	const struct fs_top_model *x = a, *y = b;

	if (x->heat_mean != y->heat_mean)
		return x->heat_mean > y->heat_mean ? -1 : 1;
	return fs_top_by_name(a, b);
}

static int fs_top_by_size(const void *a, const void *b)
{
	const struct fs_top_model *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return fs_top_by_name(a, b);
}

static int fs_top_by_fast(const void *a, const void *b)
{
	uint64_t x = fs_top_fast(a), y = fs_top_fast(b);

	if (x != y)
		return x > y ? -1 : 1;
	return fs_top_by_name(a, b);
}

/* Which columns stand behind a model's name, and how wide the name is. */
struct fs_top_columns {
	int name;
	bool size, max, pin;
	size_t tiers;                   /* the first so many of all */
	struct fs_tiers all;
};

/* The widest name, within what is left after the columns; those of least use go first: the maximum, the pin, the
 * tiers from home on, the size. */
static void fs_top_choose(const struct fs_top_sample *t, int width, struct fs_top_columns *c)
{
	int want = FS_TOP_NAME_MIN, rest;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < t->nmodels; i++) {
		fs_tiers_add(&c->all, &t->model[i].held);
		want = (int)strlen(t->model[i].name) > want ? (int)strlen(t->model[i].name) : want;
	}
	rest = width - FS_TOP_NAME_MIN - FS_TOP_NUMBER;
	c->size = rest >= FS_TOP_NUMBER;
	rest -= c->size ? FS_TOP_NUMBER : 0;
	while (c->tiers < c->all.n && rest >= FS_TOP_NUMBER) {
		c->tiers++;
		rest -= FS_TOP_NUMBER;
	}
	c->pin = c->tiers == c->all.n && rest >= FS_TOP_NUMBER - 2;
	rest -= c->pin ? FS_TOP_NUMBER - 2 : 0;
	c->max = c->pin && rest >= FS_TOP_NUMBER;
	rest -= c->max ? FS_TOP_NUMBER : 0;
	c->name = FS_TOP_NAME_MIN + (rest > 0 ? rest : 0);
	c->name = c->name < want ? c->name : want;
}

static void fs_top_models_head(struct fs_top_screen *s, const struct fs_top_columns *c)
{
	struct fs_top_line *l = fs_top_new(s, FS_TOP_HEAD);

	if (l == NULL)
		return;
	fs_top_put(s, l, "%-*s", c->name, "MODEL");
	if (c->size)
		fs_top_put(s, l, "%*s", FS_TOP_NUMBER, "SIZE");
	fs_top_put(s, l, "%*s", FS_TOP_NUMBER, "HEAT");
	if (c->max)
		fs_top_put(s, l, "%*s", FS_TOP_NUMBER, "MAX");
	for (size_t i = 0; i < c->tiers; i++) {
		char name[FS_TIER_NAME];

		for (size_t k = 0; k < sizeof(name); k++)
			name[k] = c->all.tier[i].name[k] >= 'a' ? (char)(c->all.tier[i].name[k] - 'a' + 'A') :
				  c->all.tier[i].name[k];
		fs_top_put(s, l, " %*.*s", FS_TOP_NUMBER - 1, FS_TOP_NUMBER - 1, name);
	}
	if (c->pin)
		fs_top_put(s, l, "  PIN");
}

static void fs_top_model_line(struct fs_top_screen *s, const struct fs_top_model *m, const struct fs_top_columns *c)
{
	struct fs_top_line *l = fs_top_new(s, FS_TOP_PLAIN);
	char buf[16];

	if (l == NULL)
		return;
	fs_top_put_name(s, l, m->name, c->name);
	if (c->size)
		fs_top_put(s, l, "%*s", FS_TOP_NUMBER, fs_cli_bytes(m->bytes, buf));
	fs_top_put(s, l, m->heat_mean < 100000 ? "%*.2f" : "%*.1e", FS_TOP_NUMBER, m->heat_mean);
	if (c->max)
		fs_top_put(s, l, m->heat_max < 100000 ? "%*.2f" : "%*.1e", FS_TOP_NUMBER, m->heat_max);
	for (size_t i = 0; i < c->tiers; i++) {
		uint64_t bytes = fs_tiers_get(&m->held, c->all.tier[i].name);

		fs_top_put(s, l, "%*s", FS_TOP_NUMBER, bytes > 0 ? fs_cli_bytes(bytes, buf) : "-");
	}
	if (c->pin)
		fs_top_put(s, l, "  %.5s", m->pin[0] == '\0' || strcmp(m->pin, "none") == 0 ? "" : m->pin);
}

static void fs_top_models_part(struct fs_top_screen *s, struct fs_top_sample *t, const struct fs_top_view *v)
{
	static int (*const by[])(const void *a, const void *b) = {
		[FS_TOP_BY_HEAT] = fs_top_by_heat, [FS_TOP_BY_SIZE] = fs_top_by_size,
		[FS_TOP_BY_FAST] = fs_top_by_fast, [FS_TOP_BY_NAME] = fs_top_by_name,
	};
	static const char *const keys[] = {
		[FS_TOP_BY_HEAT] = "by heat", [FS_TOP_BY_SIZE] = "by size",
		[FS_TOP_BY_FAST] = "by bytes above home", [FS_TOP_BY_NAME] = "by name",
	};
	struct fs_top_columns c;
	char text[128];

	fs_top_say(s, FS_TOP_PLAIN, "");
	if (t->nmodels == 0) {
		fs_top_say(s, FS_TOP_PLAIN, "no models in Ollama's layout");
		return;
	}
	qsort(t->model, t->nmodels, sizeof(*t->model), by[v->sort]);
	if (v->keys) {
		snprintf(text, sizeof(text), "%zu models, %s; sort: h heat, s size, f fast, n name", t->nmodels, keys[v->sort]);
		fs_top_say(s, FS_TOP_PLAIN, text);
	}
	fs_top_choose(t, s->width, &c);
	fs_top_models_head(s, &c);
	for (size_t i = v->first < t->nmodels ? v->first : t->nmodels - 1; i < t->nmodels; i++)
		fs_top_model_line(s, &t->model[i], &c);
}

int fs_top_layout(struct fs_top_sample *t, const struct fs_top_view *v, struct fs_top_line **out, size_t *n)
{
	struct fs_top_screen s = { .n = 0 };

	s.width = v->width < FS_TOP_WIDTH_MIN ? FS_TOP_WIDTH_MIN : v->width > FS_TOP_WIDTH_MAX ? FS_TOP_WIDTH_MAX : v->width;
	s.height = v->height > 0 ? (size_t)v->height : 0;
	fs_top_title(&s, t, v);
	if (t->trouble[0] != '\0') {
		fs_top_say(&s, FS_TOP_PLAIN, "");
		fs_top_say(&s, FS_TOP_ALARM, t->trouble);
	} else {
		fs_top_tiers_part(&s, t);
		fs_top_moves_part(&s, t);
		fs_top_models_part(&s, t, v);
	}
	if (s.failed) {
		free(s.line);
		return -ENOMEM;
	}
	for (size_t i = 1; i < s.n; i++)
		for (size_t end = strlen(s.line[i].text); end > 0 && s.line[i].text[end - 1] == ' '; end--)
			s.line[i].text[end - 1] = '\0';
	*out = s.line;
	*n = s.n;
	return 0;
}
