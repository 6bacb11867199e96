/* test_log.c - one line an event, by level, and not more than one a second from a data path. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tiering/log.h"

/* What the calls write to standard error. */
static void captured(enum log_level least, char *buf, size_t cap)
{
	char longer[3000];
	int fds[2], err;
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	err = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	log_open("test", false, least);
	log_err("e %d", 1);
	log_warn("w %s", "two");
	log_info("i");
	log_debug("d");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_err("%s", longer);
	dup2(err, STDERR_FILENO);
	close(err);
	close(fds[1]);
	n = read(fds[0], buf, cap - 1);
	close(fds[0]);
	log_open("test", false, LOG_LEVEL_INFO);
	assert_true(n > 0);
	buf[n] = '\0';
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void levels(void **state)
{
	static const char want[] = "test: e 1\ntest: w two\ntest: i\ntest: d\ntest: xxx";
	char buf[8192];

	(void)state;
	captured(LOG_LEVEL_DEBUG, buf, sizeof(buf));
	assert_memory_equal(buf, want, strlen(want));
	assert_int_equal(lines(buf), 5);
	captured(LOG_LEVEL_INFO, buf, sizeof(buf));
	assert_int_equal(lines(buf), 4);
	captured(LOG_LEVEL_WARN, buf, sizeof(buf));
	assert_int_equal(lines(buf), 3);
	captured(LOG_LEVEL_ERR, buf, sizeof(buf));
	assert_int_equal(lines(buf), 2);
	assert_null(strstr(buf, "two"));
}

static void at_most_once_a_second(void **state)
{
	struct log_site site = { 0 }, other = { 0 };
	struct timespec from, to;
	unsigned due = 0;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < 100000; i++)
		due += log_site_due(&site);
	assert_true(log_site_due(&other));      /* each site for itself */
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(due >= 1);
	assert_true(due <= (unsigned)(to.tv_sec - from.tv_sec) + 1);
}

struct shared {
	struct log_site site;
	atomic_uint due;
};

static void *ask(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < 20000; i++)
		if (log_site_due(&s->site))
			atomic_fetch_add(&s->due, 1);
	return NULL;
}

static void eight_threads_share_one_line(void **state)
{
	struct shared s = { .due = 0 };
	struct timespec from, to;
	pthread_t threads[8];

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &s), 0);
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(atomic_load(&s.due) >= 1);
	assert_true(atomic_load(&s.due) <= (unsigned)(to.tv_sec - from.tv_sec) + 1);
}

int main(void)
{
	const struct CMUnitTest log_tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(at_most_once_a_second),
		cmocka_unit_test(eight_threads_share_one_line),
	};

	return cmocka_run_group_tests(log_tests, NULL, NULL);
}
