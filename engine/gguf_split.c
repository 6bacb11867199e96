/* gguf_split.c - names and metadata of models in several files. */
#include "engine/gguf_split.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/gguf.h"

#define SUFFIX_BYTES 40                 /* "-%05u-of-%05u.gguf" with any two numbers */

__attribute__((format(printf, 3, 4)))
static int fault(char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	if (err != NULL && errlen != 0) {
		va_start(ap, fmt);
		vsnprintf(err, errlen, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

/* A key that a part of a split model must have. */
static int get_number(const struct gguf *g, const char *key, uint64_t *out, char *err, size_t errlen)
{
	int rc = gguf_get_u64(g, key, out);

	if (rc == -ENOENT)
		return fault(err, errlen, "key '%s' is missing although the model is split", key);
	if (rc != 0)
		return fault(err, errlen, "key '%s' is no integer from 0 up", key);
	return 0;
}

int gguf_split_read(const struct gguf *g, struct gguf_split *out, char *err, size_t errlen)
{
	uint64_t no, count = 1, n_tensors;
	int rc;

	rc = gguf_get_u64(g, "split.count", &count);
	if (rc == -EINVAL)
		return fault(err, errlen, "key 'split.count' is no integer from 0 up");
	if (count <= 1) {
		*out = (struct gguf_split){ .no = 0, .count = 1, .n_tensors = gguf_n_tensors(g) };
		return 0;
	}
	if (count > GGUF_SPLIT_MAX)
		return fault(err, errlen, "split.count is %" PRIu64 ", more than the limit of %d parts",
			     count, GGUF_SPLIT_MAX);
	rc = get_number(g, "split.no", &no, err, errlen);
	if (rc != 0)
		return rc;
	if (no >= count)
		return fault(err, errlen, "split.no is %" PRIu64 ", but there are only %" PRIu64 " parts "
			     "(counted from 0)", no, count);
	rc = get_number(g, "split.tensors.count", &n_tensors, err, errlen);
	if (rc != 0)
		return rc;
	if (n_tensors < gguf_n_tensors(g))
		return fault(err, errlen, "split.tensors.count is %" PRIu64 ", but part %" PRIu64
			     " alone has %" PRIu64 " tensors", n_tensors, no + 1, gguf_n_tensors(g));
	*out = (struct gguf_split){ .no = (uint32_t)no, .count = (uint32_t)count, .n_tensors = n_tensors };
	return 0;
}

static size_t suffix(char out[SUFFIX_BYTES], uint32_t i, uint32_t count)
{
	return (size_t)snprintf(out, SUFFIX_BYTES, "-%05" PRIu32 "-of-%05" PRIu32 ".gguf", i + 1, count);
}

int gguf_split_path(const struct gguf_split *s, const char *path, uint32_t i,
		    char *out, size_t outlen, char *err, size_t errlen)
{
	char own[SUFFIX_BYTES], wanted[SUFFIX_BYTES] = "";
	size_t prefix = strlen(path), own_len, wanted_len = 0;

	if (i >= s->count)
		return fault(err, errlen, "there is no part %" PRIu32 " of %" PRIu32, i + 1, s->count);
	if (s->count > 1) {
		own_len = suffix(own, s->no, s->count);
		if (prefix < own_len || strcmp(path + prefix - own_len, own) != 0)
			return fault(err, errlen, "part %" PRIu32 " of %" PRIu32 " must have a name that ends in "
				     "'%s', or the other parts cannot be found", s->no + 1, s->count, own);
		prefix -= own_len;
		wanted_len = suffix(wanted, i, s->count);
	}
	if (outlen <= wanted_len || prefix >= outlen - wanted_len) {
		fault(err, errlen, "the path of part %" PRIu32 " of %" PRIu32 " is too long", i + 1, s->count);
		return -ENAMETOOLONG;
	}
	memmove(out, path, prefix);
	memcpy(out + prefix, wanted, wanted_len + 1);
	return 0;
}

int gguf_split_check(const struct gguf_split *s, const struct gguf *g, uint32_t i,
		     char *err, size_t errlen)
{
	struct gguf_split part;
	int rc = gguf_split_read(g, &part, err, errlen);

	if (rc != 0)
		return rc;
	if (part.count != s->count)
		return fault(err, errlen, "split.count is %" PRIu32 " here and %" PRIu32 " in part %" PRIu32,
			     part.count, s->count, s->no + 1);
	if (part.no != i)
		return fault(err, errlen, "split.no is %" PRIu32 ", but the name says part %" PRIu32
			     " (number %" PRIu32 ")", part.no, i + 1, i);
	if (part.n_tensors != s->n_tensors)
		return fault(err, errlen, "split.tensors.count is %" PRIu64 " here and %" PRIu64 " in part %"
			     PRIu32, part.n_tensors, s->n_tensors, s->no + 1);
	return 0;
}

int gguf_split_check_total(const struct gguf_split *s, uint64_t found, char *err, size_t errlen)
{
	if (found == s->n_tensors)
		return 0;
	return fault(err, errlen, "split.tensors.count is %" PRIu64 ", but the %" PRIu32 " parts hold %" PRIu64
		     " tensors", s->n_tensors, s->count, found);
}
