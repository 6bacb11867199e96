#include "fs/fs_cli_answer.h"
#include "fs/fs_cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name of at most FS_TIER_NAME - 1 bytes at s; its length, 0 when there is none. */
static size_t fs_answer_name(const char *s)
{
	size_t n = 0;

	while ((s[n] >= 'a' && s[n] <= 'z') || (n > 0 && s[n] >= '0' && s[n] <= '9'))
		n++;
	return n < FS_TIER_NAME ? n : 0;
}

/* Decimal digits at *s, which goes behind them.  False: none, or more than 64 bits. */
static bool fs_answer_number(const char **s, uint64_t *out)
{
	const char *p = *s;
	uint64_t x = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (x > (UINT64_MAX - digit) / 10)
			return false;
		x = x * 10 + digit;
	}
	if (p == *s)
		return false;
	*s = p;
	*out = x;
	return true;
}

/* "DONE TOTAL" to the end of the text. */
static bool fs_answer_progress(const char *s, uint64_t *done, uint64_t *total)
{
	if (!fs_answer_number(&s, done) || *s++ != ' ' || !fs_answer_number(&s, total) || *s != '\0')
		return false;
	if (*done > *total)
		*done = *total;
	return true;
}

bool fs_tier_name_ok(const char *name)
{
	size_t n = fs_answer_name(name);

	return n > 0 && name[n] == '\0';
}

static struct fs_tier_bytes *fs_tiers_find(struct fs_tiers *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->tier[i].name, name) == 0)
			return &t->tier[i];
	return NULL;
}

int fs_tiers_parse(const char *text, struct fs_tiers *out)
{
	struct fs_tiers t = { .n = 0 };

	for (const char *p = text; *p != '\0';) {
		struct fs_tier_bytes *one = &t.tier[t.n];
		char name[FS_TIER_NAME] = "";
		size_t len = fs_answer_name(p);

		if (len == 0 || p[len] != '=' || t.n == FS_TIERS_MAX)
			return -EINVAL;
		memcpy(name, p, len);
		p += len + 1;
		if (fs_tiers_find(&t, name) != NULL || !fs_answer_number(&p, &one->bytes))
			return -EINVAL;
		if (*p == ' ' && p[1] != '\0')
			p++;
		else if (*p != '\0')
			return -EINVAL;
		memcpy(one->name, name, sizeof(name));
		t.n++;
	}
	*out = t;
	return 0;
}

bool fs_tiers_has(const struct fs_tiers *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->tier[i].name, name) == 0)
			return true;
	return false;
}

uint64_t fs_tiers_get(const struct fs_tiers *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->tier[i].name, name) == 0)
			return t->tier[i].bytes;
	return 0;
}

void fs_tiers_add(struct fs_tiers *sum, const struct fs_tiers *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct fs_tier_bytes *s = fs_tiers_find(sum, t->tier[i].name);

		if (s != NULL) {
			s->bytes = s->bytes > UINT64_MAX - t->tier[i].bytes ? UINT64_MAX : s->bytes + t->tier[i].bytes;
		} else if (sum->n < FS_TIERS_MAX) {
			size_t at = sum->n++;

			if (at > 0 && strcmp(sum->tier[at - 1].name, "home") == 0) {
				sum->tier[at] = sum->tier[at - 1];
				at--;
			}
			sum->tier[at] = t->tier[i];
		}
	}
}

int fs_tier_choose(const struct fs_tiers *tiers, const char *given, char out[FS_TIER_NAME], char *err, size_t errlen)
{
	const char *name = given;
	size_t at;

	for (size_t i = 0; name == NULL && i < tiers->n; i++)
		if (strcmp(tiers->tier[i].name, "ram") != 0 && strcmp(tiers->tier[i].name, "home") != 0)
			name = tiers->tier[i].name;
	if (name == NULL)
		name = "ram";
	if (fs_tiers_has(tiers, name) && strcmp(name, "home") != 0) {
		memmove(out, name, strlen(name) + 1);
		return 0;
	}
	if (strcmp(name, "home") == 0)
		at = (size_t)snprintf(err, errlen, "every byte is on home as it is; other tiers:");
	else
		at = (size_t)snprintf(err, errlen, "the mount has no tier '%s'; it has:", name);
	for (size_t i = 0; i < tiers->n; i++)
		if (strcmp(tiers->tier[i].name, "home") != 0 && at < errlen)
			at += (size_t)snprintf(err + at, errlen - at, " %s", tiers->tier[i].name);
	return -EINVAL;
}

/* Digits and at most one point; no sign, no exponent, no infinity. */
static bool fs_answer_real(const char **s, double *out)
{
	size_t n = strspn(*s, "0123456789.");
	char buf[64], *end;

	if (n == 0 || n >= sizeof(buf))
		return false;
	memcpy(buf, *s, n);
	buf[n] = '\0';
	*out = strtod(buf, &end);
	*s += n;
	return *end == '\0';
}

int fs_heat_parse(const char *text, double *mean, double *max)
{
	double a, b;

	if (strncmp(text, "mean=", 5) != 0)
		return -EINVAL;
	text += 5;
	if (!fs_answer_real(&text, &a) || strncmp(text, " max=", 5) != 0)
		return -EINVAL;
	text += 5;
	if (!fs_answer_real(&text, &b) || *text != '\0')
		return -EINVAL;
	*mean = a;
	*max = b;
	return 0;
}

int fs_warm_parse(const char *text, struct fs_warm *out)
{
	struct fs_warm w = { .state = FS_WARM_IDLE };
	size_t len;

	if (strcmp(text, "idle") == 0) {
		*out = w;
		return 0;
	}
	if (strncmp(text, "failed ", 7) == 0) {
		w.state = FS_WARM_FAILED;
		snprintf(w.why, sizeof(w.why), "%s", text + 7);
		fs_cli_clean(w.why);
		*out = w;
		return 0;
	}
	len = fs_answer_name(text);
	if (len == 0 || text[len] != ' ' || !fs_answer_progress(text + len + 1, &w.done, &w.total))
		return -EINVAL;
	w.state = FS_WARM_MOVING;
	memcpy(w.tier, text, len);
	*out = w;
	return 0;
}

int fs_verified_parse(const char *text, struct fs_verified *out)
{
	struct fs_verified v = { .state = FS_VERIFIED_NEVER };
	bool bad = strncmp(text, "bad ", 4) == 0;
	size_t len;

	if (strncmp(text, "running ", 8) == 0) {
		v.state = FS_VERIFIED_RUNNING;
		if (!fs_answer_progress(text + 8, &v.done, &v.total))
			return -EINVAL;
	} else if (bad || strncmp(text, "ok ", 3) == 0) {
		v.state = bad ? FS_VERIFIED_BAD : FS_VERIFIED_OK;
		text += bad ? 4 : 3;
		len = strcspn(text, " ");
		if (len == 0 || len >= sizeof(v.when))
			return -EINVAL;
		memcpy(v.when, text, len);
		fs_cli_clean(v.when);
		snprintf(v.what, sizeof(v.what), "%s", text[len] == ' ' ? text + len + 1 : "");
		fs_cli_clean(v.what);
	} else if (strcmp(text, "never") != 0) {
		return -EINVAL;
	}
	*out = v;
	return 0;
}
