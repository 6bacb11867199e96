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
	free(out->buf);
}

/* Room for more bytes behind len. */
static int reserve(struct run_output *out, size_t more)
{
	size_t cap = out->len + more + 64;
	char *bigger;

	if (out->len + more <= out->cap)
		return 0;
	bigger = realloc(out->buf, cap);
	if (bigger == NULL)
		return -ENOMEM;
	out->buf = bigger;
	out->cap = cap;
	return 0;
}

static int write_out(const char *buf, size_t n)
{
	errno = 0;
	if (fwrite(buf, 1, n, stdout) == n && fflush(stdout) == 0)
		return 0;
	return errno != 0 ? -errno : -EIO;
}

/* Print whole characters, keep the rest. */
static int print_whole(struct run_output *out)
{
	size_t whole = tokenizer_utf8_whole(out->buf, out->len);
	int rc;

	if (whole == 0)
		return 0;
	rc = write_out(out->buf, whole);
	if (rc != 0)
		return rc;
	memmove(out->buf, out->buf + whole, out->len - whole);
	out->len -= whole;
	return 0;
}

int run_output_text(struct run_output *out, const uint32_t *ids, size_t n)
{
	int64_t need = tokenizer_decode(out->t, ids, n, out->special, NULL, 0);
	int rc;

	if (need <= 0)
		return (int)need;
	rc = reserve(out, (size_t)need);
	if (rc != 0)
		return rc;
	need = tokenizer_decode(out->t, ids, n, out->special, out->buf + out->len, out->cap - out->len);
	if (need < 0)
		return (int)need;
	out->len += (size_t)need;
	return print_whole(out);
}

int run_output_token(struct run_output *out, uint32_t id)
{
	size_t need = tokenizer_piece(out->t, id, out->special, NULL, 0);
	int rc = reserve(out, need);

	if (rc != 0)
		return rc;
	out->len += tokenizer_piece(out->t, id, out->special, out->buf + out->len, out->cap - out->len);
	return print_whole(out);
}

int run_output_end(struct run_output *out)
{
	int rc = reserve(out, 1);

	if (rc != 0)
		return rc;
	out->buf[out->len++] = '\n';
	rc = write_out(out->buf, out->len);
	out->len = 0;
	return rc;
}
