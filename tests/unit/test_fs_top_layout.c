/* test_fs_top_layout.c - the screen of hearth top at every size, without a terminal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_top.h"

#define GB 1000000000ull

static void put_model(struct fs_top_model *m, const char *name, uint64_t bytes, double heat, const char *pin, const char *held)
{
	m->name = strdup(name);
	m->weights = strdup("sha256-w");
	m->weights[7] = name[0];
	m->bytes = bytes;
	m->heat_mean = heat;
	m->heat_max = 2 * heat;
	strcpy(m->pin, pin);
	assert_int_equal(fs_tiers_parse(held, &m->held), 0);
}

static struct fs_top_sample *make_sample(size_t more)
{
	struct fs_top_sample *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	strcpy(s->mount, "/mnt/models");
	strcpy(s->version, "0.1.0");
	s->started = 1000;
	s->now = 1000 + 3 * 3600 + 60;
	s->ntiers = 3;
	s->tier[0] = (struct fs_top_tier){ "ram", "ok", "", 8 * GB, 24 * GB, 4 * GB, 5 * GB, 0, false, -1 };
	s->tier[1] = (struct fs_top_tier){ "nvme", "failed", "EIO thrice", 25 * GB, 30 * GB, 0, 0, 0, true, 2.1e9 };
	s->tier[2] = (struct fs_top_tier){ "home", "ok", "", 2000 * GB, 0, 0, 0, 0, true, 0 };
	s->nmoves = 2;
	s->move[0] = (struct fs_top_move){ "blobs/sha256-b", "home", "nvme", 21 * GB, 42 * GB, 150e6 };
	s->move[1] = (struct fs_top_move){ "hub/x", "", "ram", 0, 42 * GB, 0 };
	s->model = calloc(4 + more, sizeof(*s->model));
	assert_non_null(s->model);
	put_model(&s->model[0], "cold:1b", 2 * GB, 0, "none", "ram=0 home=2000000000");
	put_model(&s->model[1], "big/one:q4", 42 * GB, 1.01, "some", "ram=3000000000 nvme=21000000000 home=42000000000");
	put_model(&s->model[2], "able:8b", 4661211808ull, 3.25, "ram", "ram=4661211808 nvme=4661211808 home=4661211808");
	put_model(&s->model[3], "hf.co/somebody/A-Rather-Long-Name-That-Goes-On-And-On-And-On-GGUF:Q4_K_M", 2 * GB, 123456, "nvme",
		  "ram=0 nvme=0 home=0");
	s->nmodels = 4;
	for (size_t i = 0; i < more; i++)
		put_model(&s->model[s->nmodels++], "same", GB, 0.5, "none", "home=1");
	return s;
}

/* The screen as one text. */
static char *screen(struct fs_top_sample *s, const struct fs_top_view *v)
{
	struct fs_top_line *line = NULL;
	char *text = NULL;
	size_t n, len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(fs_top_layout(s, v, &line, &n), 0);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", line[i].text);
	fclose(f);
	free(line);
	return text;
}

static void shows(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in:\n%s", part, text);
}

static void a_wide_screen(void **state)
{
	static const char *const parts[] = {
		" hearth 0.1.0  /mnt/models  up 3 h 1 min",
		"TIER                                                USED    LIMIT       READ   PINNED   LOCKED  STATE\n",
		"ram  [#############---------------------------]   8.0 GB  24.0 GB          -   4.0 GB   5.0 GB  ok\n",
		"nvme [#################################-------]  25.0 GB  30.0 GB   2.1 GB/s      0 B      0 B  failed: EIO thrice\n",
		"home                                              2.0 TB        -      0 B/s      0 B      0 B  ok\n",
		"big/one:q4                      home > nvme [##############---------------]  50%  21.0 GB of 42.0 GB  150 MB/s  ETA 2:20\n",
		"x                               to ram      [-----------------------------------]   0%  0 B of 42.0 GB  0 B/s  ETA --:--\n",

		"   SIZE     HEAT      MAX      RAM     NVME     HOME  PIN\n",
		"\nable:8b ", "   4.7 GB     3.25     6.50   4.7 GB   4.7 GB   4.7 GB  ram\n",
		"   2.0 GB  1.2e+05  2.5e+05        -        -        -  nvme\n", "   2.0 GB     0.00     0.00        -        -   2.0 GB\n",
	};
	struct fs_top_view v = { .width = 120 };
	struct fs_top_sample *s = make_sample(0);
	char *text = screen(s, &v);

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		shows(text, parts[i]);
	free(text);
	fs_top_sample_free(s);
}

/* No line is wider than the screen and no screen higher; the first line is exactly as wide; all is printable. */
static void every_size_fits(void **state)
{
	struct fs_top_sample *s = make_sample(40);

	(void)state;
	strcpy(s->trouble, "");
	strcpy(s->mount, "/mnt/\xc3\xa9t\xc3\xa9");
	for (int width = 1; width < 500; width += width < 140 ? 1 : 37) {
		for (int height = 0; height < 60; height += height < 12 ? 1 : 9) {
			struct fs_top_view v = { .width = width, .height = height, .keys = width % 2 == 0, .late_s = width % 3 };
			size_t want = width < FS_TOP_WIDTH_MIN ? FS_TOP_WIDTH_MIN : width > FS_TOP_WIDTH_MAX ? FS_TOP_WIDTH_MAX : (size_t)width;
			struct fs_top_line *line = NULL;
			size_t n;

			assert_int_equal(fs_top_layout(s, &v, &line, &n), 0);
			assert_true(height == 0 || n <= (size_t)height);
			assert_true(height == 0 || height > 30 || n == (size_t)height);
			for (size_t i = 0; i < n; i++) {
				assert_true(strlen(line[i].text) <= want);
				for (const char *p = line[i].text; *p != '\0'; p++)
					assert_in_range(*p, ' ', '~');
			}
			assert_int_equal(line[0].kind, FS_TOP_TITLE);
			assert_int_equal(strlen(line[0].text), want);
			free(line);
		}
	}
	fs_top_sample_free(s);
}

/* What gives way first as it gets narrower. */
static void columns_give_way(void **state)
{
	static const struct { int width; const char *with, *without; } cases[] = {
		{ 90, "HEAT      MAX      RAM     NVME     HOME  PIN\n", "XX" }, { 70, "HEAT      RAM     NVME     HOME  PIN\n", "MAX" },
		{ 60, "SIZE     HEAT      RAM     NVME     HOME\n", "PIN\n" }, { 50, "SIZE     HEAT      RAM     NVME\n", "     HOME\n" },
		{ 54, "RAM     NVME\n", "PIN\n" }, { 30, "SIZE     HEAT\n", "RAM\n" }, { 24, "MODEL               HEAT\n", "SIZE" }, { 60, "TIER     USED    LIMIT       READ   PINNED   LOCKED  STATE\n", "[##" },
		{ 40, "TIER     USED    LIMIT       READ", "PINNED" }, { 24, "TIER     USED    LIMIT\n", "READ" },
	};
	struct fs_top_sample *s = make_sample(0);

	(void)state;
	s->nmoves = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fs_top_view v = { .width = cases[i].width };
		char *text = screen(s, &v);

		shows(text, cases[i].with);
		if (strstr(text, cases[i].without) != NULL)
			fail_msg("'%s' at %d in:\n%s", cases[i].without, cases[i].width, text);
		free(text);
	}
	fs_top_sample_free(s);
}

/* The first letters of the models in the order of the screen. */
static void order(struct fs_top_sample *s, enum fs_top_sort sort, const char *want)
{
	struct fs_top_view v = { .width = 100, .sort = sort };
	char got[8] = "", *text = screen(s, &v), *line = strstr(text, "\nMODEL");

	assert_non_null(line);
	for (size_t i = 0; i < s->nmodels; i++) {
		line = strchr(line + 1, '\n');
		assert_non_null(line);
		got[i] = line[1];
	}
	assert_string_equal(got, want);
	free(text);
}

static void sorting(void **state)
{
	struct fs_top_sample *s = make_sample(0);

	(void)state;
	order(s, FS_TOP_BY_HEAT, "habc");
	order(s, FS_TOP_BY_SIZE, "bach");
	order(s, FS_TOP_BY_FAST, "bach");
	order(s, FS_TOP_BY_NAME, "abch");
	fs_top_sample_free(s);
}

static void scrolling(void **state)
{
	struct fs_top_view v = { .width = 80, .sort = FS_TOP_BY_NAME, .first = 2 };
	struct fs_top_sample *s = make_sample(0);
	char *text = screen(s, &v);

	(void)state;
	assert_null(strstr(text, "\nable:8b"));
	shows(text, "\ncold:1b");
	free(text);
	v.first = 1000;         /* models have gone meanwhile: the last is still shown */
	text = screen(s, &v);
	assert_null(strstr(text, "\ncold:1b"));
	shows(text, "\nhf.co/");
	free(text);
	fs_top_sample_free(s);
}

/* Moves take at most a quarter of the screen, and say what they leave out. */
static void many_moves(void **state)
{
	struct fs_top_view v = { .width = 80, .height = 24 };
	struct fs_top_sample *s = make_sample(0);
	char *text;

	(void)state;
	for (s->nmoves = 0; s->nmoves < FS_TOP_MOVES_MAX; s->nmoves++)
		s->move[s->nmoves] = (struct fs_top_move){ "m", "home", "nvme", 1, 2, 0 };
	s->moves_more = 10;
	text = screen(s, &v);
	shows(text, "\nand 261 more\n");
	shows(text, "\nable:8b");
	free(text);
	v.height = 0;
	text = screen(s, &v);
	shows(text, "\nand 10 more\n");
	free(text);
	fs_top_sample_free(s);
}

static void trouble_and_nothing(void **state)
{
	struct fs_top_view v = { .width = 60, .late_s = 9 };
	struct fs_top_sample *s = calloc(1, sizeof(*s));
	struct fs_top_line *line = NULL;
	size_t n;
	char *text;

	(void)state;
	assert_non_null(s);
	text = screen(s, &v);
	shows(text, "NO ANSWER FOR 9 s");
	shows(text, "this mount does not tell its tiers");
	shows(text, "no models in Ollama's layout");
	free(text);
	strcpy(s->trouble, "no answer: \033[2Jdead");
	assert_int_equal(fs_top_layout(s, &v, &line, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(line[2].kind, FS_TOP_ALARM);
	assert_string_equal(line[2].text, "no answer: ?[2Jdead");
	free(line);
	fs_top_sample_free(s);
}

static void a_tier_out_of_service_stands_out(void **state)
{
	struct fs_top_view v = { .width = 100 };
	struct fs_top_sample *s = make_sample(0);
	struct fs_top_line *line = NULL;
	size_t n, alarms = 0;

	(void)state;
	assert_int_equal(fs_top_layout(s, &v, &line, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (line[i].kind != FS_TOP_ALARM)
			continue;
		alarms++;
		assert_int_equal(strncmp(line[i].text, "nvme ", 5), 0);
	}
	assert_int_equal(alarms, 1);
	free(line);
	fs_top_sample_free(s);
}

int main(void)
{
	const struct CMUnitTest fs_top_layout_tests[] = {
		cmocka_unit_test(a_wide_screen),
		cmocka_unit_test(every_size_fits),
		cmocka_unit_test(columns_give_way),
		cmocka_unit_test(sorting),
		cmocka_unit_test(scrolling),
		cmocka_unit_test(many_moves),
		cmocka_unit_test(trouble_and_nothing),
		cmocka_unit_test(a_tier_out_of_service_stands_out),
	};

	return cmocka_run_group_tests(fs_top_layout_tests, NULL, NULL);
}
