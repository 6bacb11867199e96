/* run_prompt.c - see run_prompt.h. */
#include "engine/run_prompt.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "engine/run_options.h"
#include "engine/tokenizer.h"

#define TEXT_MAX ((size_t)64 << 20)     /* bytes of a prompt file */

/* ---- text ---------------------------------------------------------------------------------------- */

/* The rest of f, at most TEXT_MAX bytes, owned by the caller. */
static int read_all(FILE *f, char **out, size_t *len)
{
	size_t cap = 4096, n = 0, got;
	char *buf = malloc(cap), *bigger;

	if (buf == NULL)
		return -ENOMEM;
	while ((got = fread(buf + n, 1, cap - n, f)) != 0) {
		n += got;
		if (n < cap)
			continue;
		bigger = cap < TEXT_MAX ? realloc(buf, cap * 2) : NULL;
		if (bigger == NULL) {
			free(buf);
			return cap < TEXT_MAX ? -ENOMEM : -EFBIG;
		}
		buf = bigger;
		cap *= 2;
	}
	if (ferror(f) != 0) {
		int rc = -errno;

		free(buf);
		return rc != 0 ? rc : -EIO;
	}
	*out = buf;
	*len = n;
	return 0;
}

int run_prompt_file(const char *path, char **out, size_t *len, char *err, size_t errlen)
{
	FILE *f = fopen(path, "rbe");
	int rc;

	rc = f != NULL ? read_all(f, out, len) : -errno;
	if (f != NULL)
		fclose(f);
	if (rc != 0) {
		snprintf(err, errlen, "%s: %s", path, strerror(-rc));
		return rc;
	}
	if (*len != 0 && (*out)[*len - 1] == '\n')
		--*len;
	return 0;
}

static int encode(uint32_t **ids, size_t *n, const struct run_options *o, const struct tokenizer *t,
		  const char *text, size_t len, char *err, size_t errlen)
{
	size_t cap = len + 16;
	uint32_t *buf = malloc(cap * sizeof(*buf)), *bigger;
	int64_t got;

	if (buf == NULL)
		goto no_memory;
	got = tokenizer_encode(t, text, len, true, o->special, buf, cap);
	if (got > (int64_t)cap) {
		cap = (size_t)got;
		bigger = realloc(buf, cap * sizeof(*buf));
		if (bigger == NULL)
			goto no_memory;
		buf = bigger;
		got = tokenizer_encode(t, text, len, true, o->special, buf, cap);
	}
	if (got < 0) {
		free(buf);
		snprintf(err, errlen, "%s", got == -EINVAL ? "the prompt has a byte that no token can spell" :
							     strerror((int)-got));
		return (int)got;
	}
	*ids = buf;
	*n = (size_t)got;
	return 0;

no_memory:
	free(buf);
	snprintf(err, errlen, "out of memory");
	return -ENOMEM;
}

/* ---- ids ----------------------------------------------------------------------------------------- */

/* Numbers with commas or blanks between. */
static int parse_ids(uint32_t **ids, size_t *n, const char *list, char *err, size_t errlen)
{
	uint32_t *buf = calloc(strlen(list) + 1, sizeof(*buf));
	const char *p = list + strspn(list, ", ");
	size_t k = 0;

	if (buf == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	while (*p != '\0') {
		unsigned long long v;
		char *end;

		errno = 0;
		v = *p >= '0' && *p <= '9' ? strtoull(p, &end, 10) : ULLONG_MAX;
		if (errno != 0 || v > UINT32_MAX || (*end != '\0' && *end != ',' && *end != ' ')) {
			free(buf);
			snprintf(err, errlen, "'%.32s' in --tokens is no token id", p);
			return -EINVAL;
		}
		buf[k++] = (uint32_t)v;
		p = end + strspn(end, ", ");
	}
	*ids = buf;
	*n = k;
	return 0;
}

/* An empty prompt begins with the model's first token. */
static int need_one(uint32_t **ids, size_t *n, const struct tokenizer *t, char *err, size_t errlen)
{
	uint32_t bos = tokenizer_special(t).bos;

	if (*n != 0)
		return 0;
	free(*ids);
	*ids = NULL;
	if (bos == TOKENIZER_NONE) {
		snprintf(err, errlen, "the prompt is empty and the model has no token to begin with");
		return -EINVAL;
	}
	*ids = malloc(sizeof(**ids));
	if (*ids == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	(*ids)[0] = bos;
	*n = 1;
	return 0;
}

int run_prompt(uint32_t **ids, size_t *n, const struct run_options *o, const struct tokenizer *t,
	       char *err, size_t errlen)
{
	char *text = NULL;
	size_t len = 0;
	int rc = 0;

	if (o->tokens != NULL) {
		rc = parse_ids(ids, n, o->tokens, err, errlen);
	} else if (o->prompt_file != NULL || o->perplexity != NULL) {
		rc = run_prompt_file(o->perplexity != NULL ? o->perplexity : o->prompt_file, &text, &len, err, errlen);
		if (rc == 0)
			rc = encode(ids, n, o, t, text, len, err, errlen);
		free(text);
	} else {
		rc = encode(ids, n, o, t, o->prompt != NULL ? o->prompt : "", o->prompt != NULL ? strlen(o->prompt) : 0,
			    err, errlen);
	}
	if (rc != 0)
		return rc;
	return need_one(ids, n, t, err, errlen);
}
