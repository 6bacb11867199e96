/* ram_text.c - budgets from text, the plan as text, heat as bytes. */
#include "tiering/ram_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sizes ---- */

static int refuse(char *err, size_t errlen, const char *text)
{
	snprintf(err, errlen, "'%.40s' is no amount of memory: say 24G, or 50%%", text);
	return -EINVAL;
}

static int parse_percent(const char *text, double n, uint64_t *budget, char *err, size_t errlen)
{
	struct ram_room room;
	uint64_t total;

	if (!(n >= 0 && n <= 100)) {
		snprintf(err, errlen, "'%.40s' is not between 0%% and 100%%", text);
		return -EINVAL;
	}
	ram_room_init(&room, &(struct io){ 0 }, NULL, NULL);
	total = ram_room_total(&room);
	if (total == 0) {
		snprintf(err, errlen, "cannot read how much memory there is, for '%.40s'", text);
		return -EINVAL;
	}
	*budget = (uint64_t)((double)total * n / 100);
	return 0;
}

int ram_parse(const char *text, uint64_t *budget, char *err, size_t errlen)
{
	static const char units[] = "KMGTP";
	unsigned shift = 0;
	const char *unit;
	char *end;
	double n;

	if (text[0] < '0' || text[0] > '9' || text[1] == 'x' || text[1] == 'X')
		return refuse(err, errlen, text);
	n = strtod(text, &end);
	if (strcmp(end, "%") == 0)
		return parse_percent(text, n, budget, err, errlen);
	if (*end != '\0' && (unit = strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end)) != NULL) {
		shift = 10 * ((unsigned)(unit - units) + 1);
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	if (strcmp(end, "B") == 0)
		end++;
	if (*end != '\0' || !(n * (double)(1ull << shift) < 0x1p62))
		return refuse(err, errlen, text);
	*budget = (uint64_t)(n * (double)(1ull << shift));
	return 0;
}

/* ---- heat as bytes: a magic, the count of units, then each unit's heat as a float; little-endian ---- */

#define MAGIC 0x3148524du               /* "MRH1" */

static void put32(unsigned char *at, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get32(const unsigned char *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static double unit_heat(const struct ram_file *f, uint32_t i)
{
	const struct ram_unit *u = &f->unit[i];

	return heat_key_now(u->slot != POLICY_NONE ? policy_set_key(&f->r->set, u->slot) : heat_key(u->heat), &f->r->clock);
}

void *ram_file_heat(struct ram_file *f, size_t *len)
{
	struct ram *r = f->r;
	unsigned char *out;
	bool any = false;

	pthread_mutex_lock(&r->lock);
	out = malloc(8 + 4 * (size_t)f->units);
	for (uint32_t i = 0; out != NULL && i < f->units; i++) {
		float heat = (float)unit_heat(f, i);
		uint32_t bits;

		memcpy(&bits, &heat, sizeof(bits));
		put32(out + 8 + 4 * (size_t)i, bits);
		any = any || heat > 0;
	}
	if (out != NULL) {
		put32(out, MAGIC);
		put32(out + 4, f->units);
		*len = 8 + 4 * (size_t)f->units;
	}
	pthread_mutex_unlock(&r->lock);
	if (!any) {
		free(out);
		return NULL;
	}
	return out;
}

void ram_heat_restore(struct ram_file *f, const void *bytes, size_t len)
{
	const unsigned char *in = bytes;

	if (in == NULL || len != 8 + 4 * (size_t)f->units || get32(in) != MAGIC || get32(in + 4) != f->units)
		return;
	for (uint32_t i = 0; i < f->units; i++) {
		uint32_t bits = get32(in + 8 + 4 * (size_t)i);
		float heat;

		memcpy(&heat, &bits, sizeof(heat));
		if (heat > 0 && heat < 4e6f)            /* more than heat can be */
			f->unit[i].heat = heat_from((double)heat, &f->r->clock);
	}
}

/* ---- what would move next ---- */

#define PLAN_ASKS 4096
#define PLAN_LATELY (60 * HEAT_TICKS_PER_SECOND)

struct plan {
	struct policy_set set;
	struct policy_ask *ask;
	struct policy_move *move;
};

static bool plan_copy(struct plan *p, const struct policy_set *s)
{
	p->set = *s;
	p->set.entry = malloc((s->cap + 1) * sizeof(*s->entry));
	p->set.heap = malloc((s->cap + 1) * sizeof(*s->heap));
	p->set.group = malloc(s->groups * sizeof(*s->group));
	p->ask = calloc(PLAN_ASKS, sizeof(*p->ask));
	p->move = calloc(RAM_MOVES, sizeof(*p->move));
	if (p->set.entry == NULL || p->set.heap == NULL || p->set.group == NULL || p->ask == NULL || p->move == NULL)
		return false;
	memcpy(p->set.entry, s->entry, s->cap * sizeof(*s->entry));
	memcpy(p->set.heap, s->heap, s->cap * sizeof(*s->heap));
	memcpy(p->set.group, s->group, s->groups * sizeof(*s->group));
	return true;
}

static void plan_free(struct plan *p)
{
	free(p->set.entry);
	free(p->set.heap);
	free(p->set.group);
	free(p->ask);
	free(p->move);
}

static size_t plan_asks(const struct ram *r, struct policy_ask *ask)
{
	size_t n = 0;

	for (uint32_t k = 0; k < r->files; k++) {
		const struct ram_file *f = r->file[k];

		for (uint32_t i = 0; f != NULL && i < f->units && n < PLAN_ASKS; i++) {
			const struct ram_unit *u = &f->unit[i];
			struct heat heat = u->heat;

			if (u->slot != POLICY_NONE || u->came == 0 || (uint32_t)r->clock.tick - u->came > PLAN_LATELY)
				continue;
			heat_touch(&heat, &r->clock);
			ask[n++] = (struct policy_ask){ .id = ram_id(f, i), .key = heat_key(heat), .moved = u->moved,
							.slot = POLICY_NONE, .group = f->index, .index = i, .size = 1,
							.touches = 1 };
		}
	}
	return n;
}

static int plan_text(const struct ram *r, const struct plan *p, size_t moves, char **out)
{
	size_t len;
	FILE *text = open_memstream(out, &len);

	if (text == NULL)
		return -ENOMEM;
	for (size_t m = 0; m < moves; m++) {
		const struct policy_move *v = &p->move[m];
		char why[256];

		policy_why_print(&v->why, &r->rules, why, sizeof(why));
		fprintf(text, "%s %s unit %" PRIu32 ": %s\n", v->op == POLICY_DROP ? "drop" : "admit",
			r->file[v->id >> 32]->label, (uint32_t)v->id, why);
	}
	return fclose(text) == 0 ? 0 : -ENOMEM;
}

int ram_plan_print(struct ram *r, char **out)
{
	struct plan p = { 0 };
	size_t moves;
	int rc = -ENOMEM;

	pthread_mutex_lock(&r->lock);
	if (plan_copy(&p, &r->set)) {
		moves = policy_plan(&p.set, &r->rules, &r->clock, p.ask, plan_asks(r, p.ask), p.move, RAM_MOVES);
		rc = plan_text(r, &p, moves, out);
	}
	pthread_mutex_unlock(&r->lock);
	plan_free(&p);
	return rc;
}
