/* gguf_read.c - the bounded reader under the GGUF parser, and its error lines. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/gguf_internal.h"

#define QUOTED_MAX 48                   /* bytes of a name that an error line shows */

void gguf_quote(char out[GGUF_QUOTE_BYTES], struct gguf_str s)
{
	static const char hex[] = "0123456789abcdef";
	size_t i, n = 0;

	for (i = 0; i < s.len && i < QUOTED_MAX; i++) {
		unsigned char c = (unsigned char)s.s[i];

		if (c >= 0x20 && c < 0x7f && c != '\'' && c != '\\') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	memcpy(out + n, s.len > QUOTED_MAX ? "..." : "", s.len > QUOTED_MAX ? 4 : 1);
}

/* "tensor 'name' (number 7): ", or what is known of it. */
static size_t fault_subject(const struct gguf_reader *r)
{
	char name[GGUF_QUOTE_BYTES];
	int n;

	if (r->kind == NULL)
		return 0;
	if (r->name.s == NULL) {
		n = snprintf(r->err, r->errlen, "%s number %" PRIu32 ": ", r->kind, r->number);
	} else {
		gguf_quote(name, r->name);
		n = snprintf(r->err, r->errlen, "%s '%s' (number %" PRIu32 "): ", r->kind, name, r->number);
	}
	return n < 0 ? 0 : (size_t)n;
}

__attribute__((format(printf, 2, 0)))
static void fault_line(const struct gguf_reader *r, const char *fmt, va_list ap)
{
	size_t n;

	if (r->err == NULL || r->errlen == 0)
		return;
	n = fault_subject(r);
	if (n < r->errlen)
		vsnprintf(r->err + n, r->errlen - n, fmt, ap);
}

int gguf_fault(const struct gguf_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fault_line(r, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int gguf_need(const struct gguf_reader *r, uint64_t n, const char *what)
{
	if (n <= r->len - r->pos)
		return 0;
	if (n <= r->file_bytes - r->pos) {
		gguf_fault(r, "%s: the header goes on past the %zu bytes that were read", what, r->len);
		return -EMSGSIZE;
	}
	return gguf_fault(r, "%s of %" PRIu64 " bytes at 0x%zx ends past the file (%" PRIu64 " bytes)",
			  what, n, r->pos, r->file_bytes);
}

int gguf_need_entries(const struct gguf_reader *r, uint64_t n, uint64_t cap, uint64_t min_bytes,
		      const char *what)
{
	uint64_t bytes;

	if (n > cap)
		return gguf_fault(r, "%" PRIu64 " %s are more than the limit of %" PRIu64, n, what, cap);
	if (__builtin_mul_overflow(n, min_bytes, &bytes) || bytes > r->file_bytes - r->pos)
		return gguf_fault(r, "%" PRIu64 " %s cannot be in the %" PRIu64 " bytes that are left at 0x%zx",
				  n, what, r->file_bytes - r->pos, r->pos);
	return gguf_need(r, bytes, what);
}

int gguf_take_u32(struct gguf_reader *r, const char *what, uint32_t *out)
{
	int rc = gguf_need(r, 4, what);

	if (rc != 0)
		return rc;
	*out = gguf_le32(r->buf + r->pos);
	r->pos += 4;
	return 0;
}

int gguf_take_u64(struct gguf_reader *r, const char *what, uint64_t *out)
{
	int rc = gguf_need(r, 8, what);

	if (rc != 0)
		return rc;
	*out = gguf_le64(r->buf + r->pos);
	r->pos += 8;
	return 0;
}

int gguf_take_str(struct gguf_reader *r, const char *what, uint64_t max, struct gguf_str *out)
{
	uint64_t n;
	int rc = gguf_take_u64(r, what, &n);

	if (rc != 0)
		return rc;
	if (n > max && n <= r->file_bytes - r->pos)
		return gguf_fault(r, "%s of %" PRIu64 " bytes is longer than the limit of %" PRIu64,
				  what, n, max);
	rc = gguf_need(r, n, what);
	if (rc != 0)
		return rc;
	out->s = (const char *)r->buf + r->pos;
	out->len = (size_t)n;
	r->pos += (size_t)n;
	return 0;
}
