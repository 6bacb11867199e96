/* jinja_error.c - the one line that says what is wrong with a template, or what it complained of. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

/* Append s in what may be printed: no control characters, no bytes outside of characters. */
static void append(struct jinja_error *e, size_t *at, const char *s, size_t len)
{
	uint32_t cp;
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = unicode_decode(s + i, len - i, &cp);
		if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp == UNICODE_REPLACEMENT && n == 1)) {
			if (*at + 1 >= e->len)
				return;
			e->text[(*at)++] = cp == '\n' || cp == '\t' ? ' ' : '?';
			continue;
		}
		if (*at + n >= e->len)
			return;
		memcpy(e->text + *at, s + i, n);
		*at += n;
	}
}

void jinja_error_text(struct jinja_error *e, int rc, struct jinja_str s)
{
	size_t at = 0;

	if (e->rc != 0)
		return;
	e->rc = rc;
	if (e->len == 0)
		return;
	append(e, &at, s.s, s.len);
	e->text[at] = '\0';
}

static int set(struct jinja_error *e, int rc, uint32_t line, const char *fmt, va_list ap)
	__attribute__((format(printf, 4, 0)));
static int set(struct jinja_error *e, int rc, uint32_t line, const char *fmt, va_list ap)
{
	char text[512];
	int n, m;

	if (e->rc != 0)
		return e->rc;
	n = snprintf(text, sizeof(text), "line %u: ", line);
	m = vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	n = m > 0 ? n + m : n;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	jinja_error_text(e, rc, (struct jinja_str){ text, (size_t)n });
	return rc;
}

int jinja_error_set(struct jinja_error *e, int rc, uint32_t line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	rc = set(e, rc, line, fmt, ap);
	va_end(ap);
	return rc;
}

int jinja_error_memory(struct jinja_error *e)
{
	if (e->rc == 0)
		jinja_error_text(e, -ENOMEM, (struct jinja_str){ "the template needs too much memory", 34 });
	return e->rc;
}

int jinja_fail(struct jinja_run *r, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = set(&r->err, -EINVAL, r->line, fmt, ap);
	va_end(ap);
	return rc;
}

int jinja_nomem(struct jinja_run *r)
{
	return jinja_error_memory(&r->err);
}

int jinja_check(struct jinja_run *r, int rc)
{
	return rc == 0 ? 0 : jinja_nomem(r);
}

int jinja_step(struct jinja_run *r, uint64_t n)
{
	if (jinja_heap_work(r->heap, n))
		return 0;
	return jinja_error_set(&r->err, -E2BIG, r->line, "the template takes too many steps");
}

int jinja_enter(struct jinja_run *r)
{
	if (r->depth >= JINJA_DEPTH_MAX)
		return jinja_error_set(&r->err, -E2BIG, r->line, "more than %d calls and parts inside one another",
				       JINJA_DEPTH_MAX);
	r->depth++;
	return 0;
}
