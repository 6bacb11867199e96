#include "tiering/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool cache_parse_name_ok(const char *text, size_t len)
{
	if (len == 0 || len > CACHE_NAME_MAX || text[0] < 'a' || text[0] > 'z')
		return false;
	for (size_t i = 1; i < len; i++)
		if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9'))
			return false;
	return true;
}

/* What is called so already. */
static bool cache_parse_name_taken(const char *text, size_t len)
{
	return (len == 3 && memcmp(text, "ram", 3) == 0) || (len == 4 && memcmp(text, "home", 4) == 0);
}

static unsigned cache_parse_unit(char c)
{
	switch (c) {
	case 'k': case 'K':
		return 10;
	case 'm': case 'M':
		return 20;
	case 'g': case 'G':
		return 30;
	case 't': case 'T':
		return 40;
	default:
		return 0;
	}
}

static bool cache_parse_size(const char *text, uint64_t *out)
{
	uint64_t n = 0;
	unsigned shift;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (unsigned)(*text - '0'), &n))
			return false;
	shift = cache_parse_unit(*text);
	text += shift != 0;
	if (*text != '\0' || n == 0 || n > UINT64_MAX >> shift >> 1)
		return false;
	*out = n << shift;
	return true;
}

/* The last of them counts: a directory's name may hold the same word. */
static const char *cache_parse_find_size(const char *text)
{
	const char *found = NULL;

	while ((text = strstr(text, ",size=")) != NULL)
		found = text++;
	return found;
}

/* Where the parts are: the name up to equals, the directory up to comma.  0, or -EINVAL and a line. */
static int cache_parse_check(const char *text, const char *equals, const char *comma, uint64_t *size, char *err, size_t errlen)
{
	size_t name_len;

	if (equals == NULL || comma == NULL || comma <= equals + 1) {
		snprintf(err, errlen, "cache '%s' is not of the form NAME=DIR,size=SIZE", text);
		return -EINVAL;
	}
	name_len = (size_t)(equals - text);
	if (!cache_parse_name_ok(text, name_len)) {
		snprintf(err, errlen, "cache '%s': a name is a letter and up to %d more letters and digits, all small",
			 text, CACHE_NAME_MAX - 1);
		return -EINVAL;
	}
	if (cache_parse_name_taken(text, name_len)) {
		snprintf(err, errlen, "cache '%s': 'ram' and 'home' are no names for a cache", text);
		return -EINVAL;
	}
	if (!cache_parse_size(comma + strlen(",size="), size)) {
		snprintf(err, errlen, "cache '%s': '%s' is no size; it is a number of bytes, or one with k, M, G or T",
			 text, comma + strlen(",size="));
		return -EINVAL;
	}
	return 0;
}

int cache_parse(const char *text, char **name, char **dir, uint64_t *size, char *err, size_t errlen)
{
	const char *equals = strchr(text, '='), *comma = cache_parse_find_size(text);
	char *n, *d;
	uint64_t s;
	int rc;

	rc = cache_parse_check(text, equals, comma, &s, err, errlen);
	if (rc != 0)
		return rc;
	n = strndup(text, (size_t)(equals - text));
	d = strndup(equals + 1, (size_t)(comma - equals - 1));
	if (n == NULL || d == NULL) {
		free(n);
		free(d);
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	*name = n;
	*dir = d;
	*size = s;
	return 0;
}
