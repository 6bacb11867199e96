/* test_event.c - events as JSON lines: parsed back whatever bytes went in, the newest kept, none out of order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tiering/event.h"

#define FFFD "\xef\xbf\xbd"

static struct event_log *fresh(void)
{
	struct event_log *e = NULL;

	assert_int_equal(event_log_new(&e), 0);
	assert_non_null(e);
	return e;
}

static char *printed(struct event_log *e)
{
	char *text = NULL;

	assert_int_equal(event_log_print(e, &text), 0);
	assert_non_null(text);
	return text;
}

/* The line at *text as an object; *text moves behind it.  NULL at the end. */
static json_t *next_line(char **text)
{
	char *end = strchr(*text, '\n');
	json_error_t err;
	json_t *line;

	if (end == NULL) {
		assert_int_equal(**text, '\0');
		return NULL;
	}
	line = json_loadb(*text, (size_t)(end - *text), JSON_REJECT_DUPLICATES, &err);
	if (line == NULL)
		fail_msg("%s at %d of %.*s", err.text, err.position, (int)(end - *text), *text);
	assert_int_equal(json_object_size(line), 6);
	*text = end + 1;
	return line;
}

static json_int_t seq_of(json_t *line)
{
	assert_true(json_is_integer(json_object_get(line, "seq")));
	return json_integer_value(json_object_get(line, "seq"));
}

static const char *word(json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

static void nothing_yet(void **state)
{
	struct event_log *e = fresh();
	char *text = printed(e);

	(void)state;
	assert_string_equal(text, "");
	free(text);
	event_log_free(e);
	event_log_free(NULL);
}

/* "2026-11-21T06:20:00.123Z" as milliseconds. */
static long long ms_of(const char *time)
{
	struct tm tm = { 0 };
	int ms, end = 0;

	assert_int_equal(strlen(time), 24);
	assert_int_equal(sscanf(time, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
				&tm.tm_min, &tm.tm_sec, &ms, &end), 7);
	assert_int_equal(end, 24);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm) * 1000LL + ms;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void one_line_each(void **state)
{
	struct event_log *e = fresh();
	long long from = now_ms(), to;
	char *text, *at;
	json_t *line;

	(void)state;
	event_log_add(e, "admit", "nvme", "blobs/sha256-12", "heat %.1f > %d", 2.5, 1);
	event_log_add(e, "start", NULL, NULL, "%s", "");
	to = now_ms();
	at = text = printed(e);
	assert_memory_equal(text, "{\"seq\":1,\"time\":\"", 17);        /* keys stand in the order of the header */
	assert_non_null(strstr(text, "Z\",\"type\":\"admit\",\"tier\":\"nvme\",\"blob\":\"blobs/sha256-12\",\"text\":\"heat 2.5 > 1\"}\n"));
	assert_non_null(strstr(text, "Z\",\"type\":\"start\",\"tier\":null,\"blob\":null,\"text\":\"\"}\n"));
	for (json_int_t seq = 1; seq <= 2; seq++) {
		line = next_line(&at);
		assert_non_null(line);
		assert_int_equal(seq_of(line), seq);
		assert_true(ms_of(word(line, "time")) >= from && ms_of(word(line, "time")) <= to);
		json_decref(line);
	}
	assert_null(next_line(&at));
	free(text);
	event_log_free(e);
}

/* ---- any bytes ---- */

static void assert_comes_back(const char *in, const char *want)
{
	struct event_log *e = fresh();
	char *text, *at;
	json_t *line;

	event_log_add(e, "t", in, in, "%s", in);
	at = text = printed(e);
	line = next_line(&at);
	assert_non_null(line);
	assert_null(next_line(&at));
	assert_string_equal(word(line, "text"), want);
	assert_string_equal(word(line, "blob"), want);
	assert_string_equal(word(line, "tier"), want);
	json_decref(line);
	free(text);
	event_log_free(e);
}

static void hostile_bytes(void **state)
{
	static const char *const kept[] = {
		"\"", "\\", "\"}\n{\"seq\":9}", "\\\"", "a\nb\rc\td\be\ff", "\x01\x1f\x7f", "/", "\xc2\x80", "\xdf\xbf",
		"\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xe2\x80\xa8",
		"%s%n", "\xc3\xa9t\xc3\xa9 \xf0\x9f\x94\xa5",
	};
	static const struct {
		const char *in, *want;
	} mended[] = {
		{ "\x80", FFFD }, { "\xff\xfe", FFFD FFFD }, { "a\xc3", "a" FFFD }, { "\xc3(", FFFD "(" }, { "\xe2\x82", FFFD FFFD },
		{ "\xc0\xaf", FFFD FFFD }, { "\xc1\xbf", FFFD FFFD }, { "\xe0\x9f\xbf", FFFD FFFD FFFD },
		{ "\xed\xa0\x80", FFFD FFFD FFFD }, { "\xf0\x8f\xbf\xbf", FFFD FFFD FFFD FFFD },
		{ "\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD }, { "\xf5\x80\x80\x80", FFFD FFFD FFFD FFFD },
		{ "\xf0\x9f\x94\"", FFFD FFFD FFFD "\"" }, { "\xc3\xc3\xa9", FFFD "\xc3\xa9" }, { "\xc3\n", FFFD "\n" },
	};
	char one[2] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		assert_comes_back(kept[i], kept[i]);
	for (size_t i = 0; i < sizeof(mended) / sizeof(mended[0]); i++)
		assert_comes_back(mended[i].in, mended[i].want);
	for (int c = 1; c < 256; c++) {
		one[0] = (char)c;
		assert_comes_back(one, c < 0x80 ? one : FFFD);
	}
}

/* Random bytes of all lengths are JSON too, and one line. */
static void random_bytes(void **state)
{
	uint64_t x = 88172645463325252ull;
	struct event_log *e = fresh();
	char in[1300], *text, *at;
	json_t *line;
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < EVENT_COUNT; i++) {
		size_t len = i % sizeof(in);

		for (size_t k = 0; k < len; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			in[k] = (char)(1 + (x >> 32) % 255);
		}
		in[len < sizeof(in) ? len : sizeof(in) - 1] = '\0';
		event_log_add(e, "t", "nvme", in, "%s", in);
	}
	at = text = printed(e);
	for (; (line = next_line(&at)) != NULL; lines++)
		json_decref(line);
	assert_int_equal(lines, EVENT_COUNT);
	free(text);
	event_log_free(e);
}

/* ---- what is too long ---- */

static void assert_cut(const char *in, const char *want_text, const char *want_blob)
{
	struct event_log *e = fresh();
	char *text, *at;
	json_t *line;

	event_log_add(e, "t", "ram", in, "%s", in);
	at = text = printed(e);
	line = next_line(&at);
	assert_non_null(line);
	assert_string_equal(word(line, "text"), want_text);
	assert_string_equal(word(line, "blob"), want_blob);
	json_decref(line);
	free(text);
	event_log_free(e);
}

/* A character of width bytes lies across the cut: at each of its bytes, before it and behind it. */
static void cut_at_a_character(void **state)
{
	static const char *const chars[] = { "x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\xa5" };
	char in[2000], text[2000], blob[2000];

	(void)state;
	for (size_t width = 1; width <= 4; width++) {
		for (size_t before = EVENT_TEXT_MAX - 6; before <= EVENT_TEXT_MAX + 1; before++) {
			size_t whole = before + width <= EVENT_TEXT_MAX ? width : 0;

			memset(in, 'a', sizeof(in));
			memcpy(in + before, chars[width - 1], width);
			in[before + width + 100] = '\0';
			memset(text, 'a', sizeof(text));
			memcpy(text + before, chars[width - 1], width);
			text[whole > 0 ? EVENT_TEXT_MAX : before < EVENT_TEXT_MAX ? before : EVENT_TEXT_MAX] = '\0';
			strcpy(blob, in + strlen(in) - EVENT_BLOB_MAX);
			assert_cut(in, text, blob);
		}
	}
	memset(in, 'a', EVENT_TEXT_MAX);               /* exactly as long as may be, and one more */
	in[EVENT_TEXT_MAX] = '\0';
	assert_cut(in, in, in);
	in[0] = 'b';
	strcpy(text, in);
	in[EVENT_TEXT_MAX] = 'c';
	in[EVENT_TEXT_MAX + 1] = '\0';
	assert_cut(in, text, in + 1);
	in[0] = '\xc3';                                 /* the beginning goes, with the rest of its character */
	in[1] = '\xa9';
	memcpy(text, in, EVENT_TEXT_MAX);
	assert_cut(in, text, in + 2);
}

/* ---- the ring ---- */

static void the_newest_are_kept(void **state)
{
	struct event_log *e = fresh();
	char *text, *at, want[32];
	json_t *line;

	(void)state;
	for (unsigned n = 1; n <= 3 * EVENT_COUNT; n++) {
		unsigned first = n > EVENT_COUNT ? n - EVENT_COUNT + 1 : 1, seq;

		event_log_add(e, "t", "ram", NULL, "number %u", n);
		if (n % EVENT_COUNT > 2 && n % EVENT_COUNT != EVENT_COUNT - 1)
			continue;
		at = text = printed(e);
		for (seq = first; (line = next_line(&at)) != NULL; seq++) {
			snprintf(want, sizeof(want), "number %u", seq);
			assert_int_equal(seq_of(line), seq);
			assert_string_equal(word(line, "text"), want);
			json_decref(line);
		}
		assert_int_equal(seq, n + 1);
		free(text);
	}
	event_log_free(e);
}

/* ---- threads ---- */

#define THREADS 6
#define EACH 2000

struct adder {
	struct event_log *e;
	unsigned name;
	int failed;
};

static void *add(void *arg)
{
	struct adder *a = arg;
	char *text;

	for (unsigned i = 0; i < EACH; i++) {
		event_log_add(a->e, "t", "ram", "b", "%u %u", a->name, i);
		if (i % 500 == 250) {
			a->failed |= event_log_print(a->e, &text);
			free(text);
		}
	}
	return NULL;
}

/* No seq is missing or twice, and what a thread said stands in the order in which it said it. */
static void assert_in_order(struct event_log *e)
{
	unsigned last[THREADS] = { 0 }, name, i;
	char *text = printed(e), *at = text;
	json_int_t seq = -1;
	json_t *line;

	while ((line = next_line(&at)) != NULL) {
		assert_true(seq == -1 || seq_of(line) == seq + 1);
		seq = seq_of(line);
		assert_int_equal(sscanf(word(line, "text"), "%u %u", &name, &i), 2);
		assert_true(name < THREADS && i < EACH);
		assert_true(i + 1 > last[name]);
		last[name] = i + 1;
		json_decref(line);
	}
	free(text);
}

static void many_threads(void **state)
{
	struct event_log *e = fresh();
	pthread_t threads[THREADS];
	struct adder a[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		a[i] = (struct adder){ .e = e, .name = i };
		assert_int_equal(pthread_create(&threads[i], NULL, add, &a[i]), 0);
	}
	assert_in_order(e);
	assert_in_order(e);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(a[i].failed, 0);
	}
	assert_in_order(e);
	event_log_add(e, "t", "ram", "b", "0 %u", EACH - 1);
	{
		char *text = printed(e), *last = strstr(text, "\"seq\":12001,");

		assert_non_null(last);                  /* THREADS * EACH before it */
		free(text);
	}
	event_log_free(e);
}

int main(void)
{
	const struct CMUnitTest event_tests[] = {
		cmocka_unit_test(nothing_yet),
		cmocka_unit_test(one_line_each),
		cmocka_unit_test(hostile_bytes),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(cut_at_a_character),
		cmocka_unit_test(the_newest_are_kept),
		cmocka_unit_test(many_threads),
	};

	return cmocka_run_group_tests(event_tests, NULL, NULL);
}
