#include "tiering/event.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct event {
	struct timespec at;
	const char *type, *tier;
	bool about_blob;
	char blob[EVENT_BLOB_MAX + 1];
	char text[EVENT_TEXT_MAX + 1];
};

struct event_log {
	pthread_mutex_t lock;
	uint64_t added;                 /* the last one's seq; protected by lock */
	struct event event[EVENT_COUNT];        /* seq is at (seq - 1) % EVENT_COUNT; protected by lock */
};

int event_log_new(struct event_log **out)
{
	struct event_log *e = calloc(1, sizeof(*e));
	int rc;

	if (e == NULL)
		return -ENOMEM;
	rc = -pthread_mutex_init(&e->lock, NULL);
	if (rc != 0) {
		free(e);
		return rc;
	}
	*out = e;
	return 0;
}

void event_log_free(struct event_log *e)
{
	if (e == NULL)
		return;
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* ---- characters ---- */

/* The bytes of the UTF-8 character at s, or 0 where there is none.  Well-formed sequences are those of the Unicode
 * standard, table 3-7: no surrogates, nothing above U+10FFFF, nothing longer than need be.  s ends with a 0. */
static unsigned event_utf8(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	unsigned n;

	if (s[0] < 0x80)
		return s[0] != 0;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (unsigned i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static bool event_continues(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* text was cut at its end, perhaps within a character: take away what is left of that.  A character has at most
 * three bytes behind its first; more of them in a row are none. */
static void event_cut_end(char *text, size_t len)
{
	size_t first = len;

	while (first > 0 && len - first < 3 && event_continues(text[first - 1]))
		first--;
	if (first > 0 && (unsigned char)text[first - 1] >= 0xc0 &&
	    event_utf8((const unsigned char *)text + first - 1) == 0)
		text[first - 1] = '\0';
}

/* The end of a name is what tells it from others. */
static void event_copy_end(char *to, const char *name)
{
	size_t len = strlen(name);

	if (len > EVENT_BLOB_MAX) {
		name += len - EVENT_BLOB_MAX;
		for (unsigned i = 0; i < 3 && event_continues(*name); i++)
			name++;
	}
	strcpy(to, name);
}

/* ---- adding ---- */

void event_log_add(struct event_log *e, const char *type, const char *tier, const char *blob, const char *fmt, ...)
{
	struct event ev = { .type = type, .tier = tier, .about_blob = blob != NULL };
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(ev.text, sizeof(ev.text), fmt, ap);
	va_end(ap);
	if (n < 0)
		ev.text[0] = '\0';
	else if ((size_t)n >= sizeof(ev.text))
		event_cut_end(ev.text, EVENT_TEXT_MAX);
	if (blob != NULL)
		event_copy_end(ev.blob, blob);
	pthread_mutex_lock(&e->lock);
	clock_gettime(CLOCK_REALTIME, &ev.at);          /* here, so that times stand in the order of seq */
	e->event[e->added++ % EVENT_COUNT] = ev;
	pthread_mutex_unlock(&e->lock);
}

/* ---- printing ---- */

static void event_print_string(FILE *f, const char *s)
{
	const unsigned char *at = (const unsigned char *)s;
	unsigned n;

	if (s == NULL) {
		fputs("null", f);
		return;
	}
	putc('"', f);
	for (; *at != 0; at += n > 0 ? n : 1) {
		n = event_utf8(at);
		if (n == 0)
			fputs("\xef\xbf\xbd", f);
		else if (*at == '"' || *at == '\\')
			fprintf(f, "\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			fprintf(f, "\\u%04x", *at);
		else
			fwrite(at, 1, n, f);
	}
	putc('"', f);
}

static void event_print_one(FILE *f, const struct event *ev, uint64_t seq)
{
	char time[64];
	struct tm tm = { 0 };

	gmtime_r(&ev->at.tv_sec, &tm);
	strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(f, "{\"seq\":%" PRIu64 ",\"time\":\"%s.%03ldZ\",\"type\":", seq, time, ev->at.tv_nsec / 1000000);
	event_print_string(f, ev->type);
	fputs(",\"tier\":", f);
	event_print_string(f, ev->tier);
	fputs(",\"blob\":", f);
	event_print_string(f, ev->about_blob ? ev->blob : NULL);
	fputs(",\"text\":", f);
	event_print_string(f, ev->text);
	fputs("}\n", f);
}

/* A copy of all that are kept, oldest first, and how many there were ever; so that nobody who adds waits for
 * the printing. */
static struct event *event_log_copy(struct event_log *e, uint64_t *added, size_t *count)
{
	struct event *copy = malloc(EVENT_COUNT * sizeof(*copy));

	if (copy == NULL)
		return NULL;
	pthread_mutex_lock(&e->lock);
	*added = e->added;
	*count = *added < EVENT_COUNT ? (size_t)*added : EVENT_COUNT;
	for (size_t i = 0; i < *count; i++)
		copy[i] = e->event[(*added - *count + i) % EVENT_COUNT];
	pthread_mutex_unlock(&e->lock);
	return copy;
}

int event_log_print(struct event_log *e, char **out)
{
	uint64_t added;
	size_t count, len;
	struct event *copy = event_log_copy(e, &added, &count);
	char *text = NULL;
	int failed;
	FILE *f;

	if (copy == NULL)
		return -ENOMEM;
	f = open_memstream(&text, &len);
	if (f == NULL) {
		free(copy);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		event_print_one(f, &copy[i], added - count + i + 1);
	failed = ferror(f);
	failed |= fclose(f);
	free(copy);
	if (failed != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}
