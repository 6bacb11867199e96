/* test_fs_cli_progress.c - rates, times to go, bars that fit; waiting for works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_cli_progress.h"
#include "fs/fs_cli_wait.h"

#define S 1000000000ull

static void percents(void **state)
{
	(void)state;
	assert_int_equal(fs_progress_percent(0, 0), 100);
	assert_int_equal(fs_progress_percent(0, 10), 0);
	assert_int_equal(fs_progress_percent(999, 1000), 99);
	assert_int_equal(fs_progress_percent(UINT64_MAX - 1, UINT64_MAX), 99);
	assert_int_equal(fs_progress_percent(5, 5), 100);
	assert_int_equal(fs_progress_percent(6, 5), 100);
}

static void bars(void **state)
{
	static const struct { uint64_t done, total; const char *bar; } cases[] = {
		{ 0, 10, "----------" }, { 1, 10, "#---------" }, { 5, 10, "#####-----" }, { 999999, 1000000, "#########-" },
		{ UINT64_MAX - 1, UINT64_MAX, "#########-" }, { 10, 10, "##########" }, { 0, 0, "##########" },
	};
	char buf[11];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fs_progress_bar(buf, 10, cases[i].done, cases[i].total);
		assert_string_equal(buf, cases[i].bar);
	}
}

static void times_to_go(void **state)
{
	static const struct { uint64_t left; double rate; const char *text; } cases[] = {
		{ 0, 0, "0:00" }, { 0, 5, "0:00" }, { 10, 0, "--:--" }, { 10, 5, "0:02" }, { 11, 5, "0:03" }, { 60, 1, "1:00" },
		{ 3599, 1, "59:59" }, { 3600, 1, "1:00:00" }, { 345599, 1, "95:59:59" }, { 345600, 1, "over 4 d" },
		{ UINT64_MAX, 1e-9, "over 4 d" }, { 1, 1e300, "0:01" },
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fs_progress_eta(cases[i].left, cases[i].rate, buf), cases[i].text);
}

static void rates(void **state)
{
	struct fs_progress p = { .rate = 0 };

	(void)state;
	fs_progress_sample(&p, 10 * S, 0, 1000);
	assert_true(p.rate == 0);
	fs_progress_sample(&p, 11 * S, 100, 1000);
	assert_true(p.rate > 99.9 && p.rate < 100.1);
	for (int i = 2; i < 6; i++)
		fs_progress_sample(&p, (uint64_t)(10 + i) * S, (uint64_t)i * 100, 1000);
	assert_true(p.rate > 99.9 && p.rate < 100.1);
	fs_progress_sample(&p, 16 * S, 500, 1000);              /* a second of nothing: a fifth is forgotten */
	assert_true(p.rate > 80 && p.rate < 84);
	fs_progress_sample(&p, 16 * S, 600, 1000);              /* no time has passed */
	assert_true(p.rate > 80 && p.rate < 84);
	fs_progress_sample(&p, 17 * S, 100, 1000);              /* gone back */
	assert_true(p.rate > 60 && p.rate < 70);
	fs_progress_sample(&p, 18 * S, 2000, 1000);
	assert_int_equal(p.done, 1000);
}

static void lines(void **state)
{
	static const struct { int width; const char *text; } cases[] = {
		{ 120, "nvme [########################----------------]  62%  2.9 GB of 4.7 GB  148 MB/s  ETA 0:12" },
		{ 80, "nvme [##################------------]  62%  2.9 GB of 4.7 GB  148 MB/s  ETA 0:12" },
		{ 60, "nvme [######----]  62%  2.9 GB of 4.7 GB  148 MB/s  ETA 0:12" },
		{ 59, "nvme [###########--------]  62%  2.9 GB of 4.7 GB  148 MB/s" },
		{ 40, "nvme [######----]  62%  2.9 GB of 4.7 GB" },
		{ 30, "nvme [###########-------]  62%" },
		{ 20, "nvme  62%" }, { 9, "nvme  62%" }, { 8, " 62%" }, { 4, " 62%" }, { 3, "" }, { 0, "" }, { -5, "" },
	};
	struct fs_progress p = { .done = 2900000000ull, .total = 4650000000ull, .rate = 148e6 };
	char buf[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int n = fs_progress_line(&p, "nvme", cases[i].width, buf, sizeof(buf));

		assert_string_equal(buf, cases[i].text);
		assert_int_equal(n, strlen(buf));
	}
}

/* Whatever the numbers and the width, the line fits both. */
static void every_line_fits(void **state)
{
	static const uint64_t some[] = { 0, 1, 999, 1000000, 99950000, UINT64_MAX - 1, UINT64_MAX };
	char buf[64];

	(void)state;
	for (int width = -1; width < 100; width++) {
		for (size_t i = 0; i < 7 * 7 * 3; i++) {
			struct fs_progress p = { .done = some[i % 7], .total = some[i / 7 % 7], .rate = i / 49 == 1 ? 1e18 : (double)(i / 49) };
			int n;

			if (p.done > p.total)
				continue;
			memset(buf, 'x', sizeof(buf));
			n = fs_progress_line(&p, "verify", width, buf, sizeof(buf) - 1);
			assert_in_range(n, 0, width > 0 ? (width < 62 ? width : 62) : 0);
			assert_int_equal(strlen(buf), n);
			assert_int_equal(buf[sizeof(buf) - 1], 'x');
		}
	}
}

/* A work that ends when it is asked for the time that its path says. */
static void ask_counted(struct fs_wait *w)
{
	w->done++;
	if (w->done < (uint64_t)(w->path[0] - '0'))
		return;
	w->state = w->label[0] == 'f' ? FS_WAIT_FAILED : FS_WAIT_DONE;
	snprintf(w->text, sizeof(w->text), "over");
}

static void waiting(void **state)
{
	struct fs_wait w[] = {
		{ .path = "1", .label = "a", .total = 10 }, { .path = "2", .label = "f", .total = 10 },
		{ .path = "3", .label = "b", .total = 10 }, { .path = "1", .label = "c", .total = 10, .state = FS_WAIT_FAILED },
	};

	(void)state;
	assert_int_equal(fs_cli_wait("test", w, 4, ask_counted), 2);
	assert_int_equal(w[0].done, 1);         /* what is over is not asked again */
	assert_int_equal(w[1].done, 2);
	assert_int_equal(w[2].done, 3);
	assert_int_equal(w[3].done, 0);
	assert_int_equal(w[2].state, FS_WAIT_DONE);
	assert_int_equal(fs_cli_wait("test", w, 0, ask_counted), 0);
}

static void sums(void **state)
{
	struct fs_wait w[] = {
		{ .done = 3, .total = 10 }, { .done = 0, .total = 20, .state = FS_WAIT_DONE }, { .done = 1, .total = 5, .state = FS_WAIT_FAILED },
	};
	uint64_t done, total;
	size_t on;

	(void)state;
	fs_wait_sum(w, 3, &done, &total, &on);
	assert_int_equal(done, 28);
	assert_int_equal(total, 35);
	assert_int_equal(on, 1);
}

int main(void)
{
	const struct CMUnitTest fs_cli_progress_tests[] = {
		cmocka_unit_test(percents),
		cmocka_unit_test(bars),
		cmocka_unit_test(times_to_go),
		cmocka_unit_test(rates),
		cmocka_unit_test(lines),
		cmocka_unit_test(every_line_fits),
		cmocka_unit_test(waiting),
		cmocka_unit_test(sums),
	};

	return cmocka_run_group_tests(fs_cli_progress_tests, NULL, NULL);
}
