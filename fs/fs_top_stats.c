#include "fs/fs_cli.h"
#include "fs/fs_top.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fs_top_sample_free(struct fs_top_sample *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->nmodels; i++) {
		free(s->model[i].name);
		free(s->model[i].weights);
	}
	free(s->model);
	free(s);
}

/* A text member, cut to the buffer, printable; "" when it is none. */
static void fs_top_text(const json_t *o, const char *key, char *out, size_t cap)
{
	const char *text = json_string_value(json_object_get(o, key));

	snprintf(out, cap, "%s", text != NULL ? text : "");
	fs_cli_clean(out);
}

/* A number member that is not negative; 0 otherwise. */
static uint64_t fs_top_number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	double real = json_number_value(v);

	if (json_is_integer(v))
		return json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
	return real > 0 && real < 1e19 ? (uint64_t)real : 0;
}

static void fs_top_tiers(struct fs_top_sample *s, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list) && s->ntiers < FS_TIERS_MAX; i++) {
		const json_t *o = json_array_get(list, i);
		struct fs_top_tier *t = &s->tier[s->ntiers];

		fs_top_text(o, "name", t->name, sizeof(t->name));
		if (!fs_tier_name_ok(t->name))
			continue;
		fs_top_text(o, "state", t->state, sizeof(t->state));
		fs_top_text(o, "reason", t->reason, sizeof(t->reason));
		t->used = fs_top_number(o, "used");
		t->limit = fs_top_number(o, "budget");
		if (t->limit == 0)
			t->limit = fs_top_number(o, "size");
		t->pinned = fs_top_number(o, "pinned");
		t->locked = fs_top_number(o, "locked");
		t->read_rate = -1;
		s->ntiers++;
	}
}

static void fs_top_moves(struct fs_top_sample *s, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);
		struct fs_top_move *m = &s->move[s->nmoves];

		if (s->nmoves == FS_TOP_MOVES_MAX) {
			s->moves_more = json_array_size(list) - i;
			return;
		}
		fs_top_text(o, "blob", m->blob, sizeof(m->blob));
		fs_top_text(o, "from", m->from, sizeof(m->from));
		fs_top_text(o, "to", m->to, sizeof(m->to));
		m->total = fs_top_number(o, "total");
		m->done = fs_top_number(o, "done");
		if (m->done > m->total)
			m->done = m->total;
		m->rate = (double)fs_top_number(o, "rate");
		s->nmoves++;
	}
}

int fs_top_parse(const char *text, size_t len, struct fs_top_sample **out, char *err, size_t errlen)
{
	struct fs_top_sample *s;
	json_error_t error;
	json_t *root;

	root = json_loadb(text, len, 0, &error);
	if (!json_is_object(root)) {
		snprintf(err, errlen, "%s", root == NULL ? error.text : "no object");
		json_decref(root);
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (s != NULL) {
		fs_top_text(root, "mountpoint", s->mount, sizeof(s->mount));
		fs_top_text(root, "version", s->version, sizeof(s->version));
		s->started = (int64_t)json_integer_value(json_object_get(root, "started"));
		fs_top_tiers(s, json_object_get(root, "tiers"));
		fs_top_moves(s, json_object_get(root, "moves"));
		*out = s;
	} else {
		snprintf(err, errlen, "out of memory");
	}
	json_decref(root);
	return s != NULL ? 0 : -ENOMEM;
}

/* The value of label tier in "{a="b",tier="nvme"}", which ends before end; its length, 0 if there is none. */
static size_t fs_top_label(const char *labels, const char *end, const char **value)
{
	static const char key[] = "tier=\"";

	for (const char *p = labels; p + sizeof(key) <= end; p++) {
		const char *v = p + sizeof(key) - 1;

		if ((p[-1] != '{' && p[-1] != ',') || strncmp(p, key, sizeof(key) - 1) != 0)
			continue;
		*value = v;
		return strcspn(v, "\"}\n");
	}
	return 0;
}

void fs_top_take_metrics(struct fs_top_sample *s, const char *text)
{
	static const char name[] = "hearth_read_bytes_total{";

	for (const char *line = text, *next; line != NULL; line = next) {
		const char *end = strchr(line, '\n'), *close, *tier = NULL;
		uint64_t bytes;
		size_t len;

		next = end != NULL ? end + 1 : NULL;
		if (strncmp(line, name, sizeof(name) - 1) != 0)
			continue;
		close = strchr(line, '}');
		if (close == NULL || (end != NULL && close > end) || close[1] != ' ')
			continue;
		len = fs_top_label(line + sizeof(name) - 1, close, &tier);
		bytes = strtoull(close + 2, NULL, 10);
		for (size_t i = 0; len > 0 && i < s->ntiers; i++) {
			struct fs_top_tier *t = &s->tier[i];

			if (strlen(t->name) != len || strncmp(t->name, tier, len) != 0)
				continue;
			t->read += bytes;
			t->counted = true;
		}
	}
}

/* A move whose daemon tells no rate has that of its bytes between two samples. */
static void fs_top_move_rates(struct fs_top_sample *now, const struct fs_top_sample *before, double seconds)
{
	for (size_t i = 0; i < now->nmoves; i++) {
		struct fs_top_move *m = &now->move[i];

		for (size_t k = 0; m->rate == 0 && k < before->nmoves; k++) {
			const struct fs_top_move *b = &before->move[k];

			if (strcmp(b->blob, m->blob) == 0 && strcmp(b->to, m->to) == 0 && m->done > b->done)
				m->rate = (double)(m->done - b->done) / seconds;
		}
	}
}

void fs_top_rates(struct fs_top_sample *now, const struct fs_top_sample *before)
{
	double seconds = before != NULL && now->at_ns > before->at_ns ? (double)(now->at_ns - before->at_ns) / 1e9 : 0;

	for (size_t i = 0; i < now->ntiers; i++) {
		struct fs_top_tier *t = &now->tier[i];

		t->read_rate = -1;
		for (size_t k = 0; seconds > 0 && k < before->ntiers; k++) {
			const struct fs_top_tier *b = &before->tier[k];

			if (strcmp(b->name, t->name) == 0 && b->counted && t->counted && t->read >= b->read)
				t->read_rate = (double)(t->read - b->read) / seconds;
		}
	}
	if (seconds > 0)
		fs_top_move_rates(now, before, seconds);
}
