/* run_output.c - see run_output.h. */
#include "engine/run_output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"

void run_output_init(struct run_output *out, const struct tokenizer *t, bool special)
{
	memset(out, 0, sizeof(*out));
	out->t = t;
	out->special = special;
}

void run_output_free(struct run_output *out)
{
	free(out->pending.at);
	free(out->made.at);
}

void run_output_stop_at(struct run_output *out, const char *const *stops, size_t n)
{
	out->stops = stops;
	out->n_stops = n;
}

bool run_output_stopped(const struct run_output *out)
{
	return out->stopped;
}

void run_output_forget(struct run_output *out)
{
	out->made.len = 0;
	out->stopped = false;
}

/* Room for more bytes behind len. */
static int reserve(struct run_bytes *b, size_t more)
{
	size_t cap = b->len + more + b->len / 2 + 64;
	char *bigger;

	if (b->len + more <= b->cap)
		return 0;
	bigger = realloc(b->at, cap);
	if (bigger == NULL)
		return -ENOMEM;
	b->at = bigger;
	b->cap = cap;
	return 0;
}

static int write_out(const struct run_output *out, const char *buf, size_t n)
{
	if (out->quiet)
		return 0;
	errno = 0;
	if (fwrite(buf, 1, n, stdout) == n && fflush(stdout) == 0)
		return 0;
	return errno != 0 ? -errno : -EIO;
}

/* Print whole characters, keep the rest. */
static int print_whole(struct run_output *out)
{
	struct run_bytes *p = &out->pending;
	size_t whole = tokenizer_utf8_whole(p->at, p->len);
	int rc;

	if (whole == 0 || out->held)
		return 0;
	rc = write_out(out, p->at, whole);
	if (rc != 0)
		return rc;
	memmove(p->at, p->at + whole, p->len - whole);
	p->len -= whole;
	return 0;
}

int run_output_text(struct run_output *out, const uint32_t *ids, size_t n)
{
	struct run_bytes *p = &out->pending;
	int64_t need = tokenizer_decode(out->t, ids, n, out->special, NULL, 0);
	int rc;

	if (need <= 0)
		return (int)need;
	rc = reserve(p, (size_t)need);
	if (rc != 0)
		return rc;
	need = tokenizer_decode(out->t, ids, n, out->special, p->at + p->len, p->cap - p->len);
	if (need < 0)
		return (int)need;
	p->len += (size_t)need;
	return print_whole(out);
}

/* Does a stop end within the last n bytes that were made? */
static bool stop_came(const struct run_output *out, size_t n)
{
	const struct run_bytes *m = &out->made;
	size_t i, end;

	for (i = 0; i < out->n_stops; i++) {
		size_t len = strlen(out->stops[i]);

		for (end = m->len - n + 1; end <= m->len; end++)
			if (len > 0 && len <= end && memcmp(m->at + end - len, out->stops[i], len) == 0)
				return true;
	}
	return false;
}

int run_output_token(struct run_output *out, uint32_t id)
{
	size_t need = tokenizer_piece(out->t, id, out->special, NULL, 0);
	int rc = reserve(&out->pending, need);

	if (rc == 0)
		rc = reserve(&out->made, need);
	if (rc != 0 || need == 0)
		return rc;
	tokenizer_piece(out->t, id, out->special, out->pending.at + out->pending.len, need);
	memcpy(out->made.at + out->made.len, out->pending.at + out->pending.len, need);
	out->pending.len += need;
	out->made.len += need;
	out->stopped = stop_came(out, need);
	return print_whole(out);
}

void run_output_hold(struct run_output *out)
{
	out->held = true;
	out->held_pending = out->pending.len;
	out->held_made = out->made.len;
}

void run_output_drop(struct run_output *out)
{
	out->held = false;
	out->pending.len = out->held_pending;
	out->made.len = out->held_made;
}

int run_output_release(struct run_output *out)
{
	out->held = false;
	return print_whole(out);
}

int run_output_end(struct run_output *out)
{
	int rc = reserve(&out->pending, 1);

	if (rc != 0)
		return rc;
	out->pending.at[out->pending.len++] = '\n';
	rc = write_out(out, out->pending.at, out->pending.len);
	out->pending.len = 0;
	return rc;
}
