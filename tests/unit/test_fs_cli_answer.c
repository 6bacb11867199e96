/* test_fs_cli_answer.c - what attributes of a mount say: good answers, odd ones, hostile ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_cli_answer.h"

static void tiers(void **state)
{
	struct fs_tiers t;

	(void)state;
	assert_int_equal(fs_tiers_parse("ram=1 nvme=18446744073709551615 home=0", &t), 0);
	assert_int_equal(t.n, 3);
	assert_string_equal(t.tier[0].name, "ram");
	assert_string_equal(t.tier[1].name, "nvme");
	assert_string_equal(t.tier[2].name, "home");
	assert_int_equal(fs_tiers_get(&t, "ram"), 1);
	assert_true(fs_tiers_get(&t, "nvme") == UINT64_MAX);
	assert_int_equal(fs_tiers_get(&t, "vram"), 0);
	assert_true(fs_tiers_has(&t, "home"));
	assert_false(fs_tiers_has(&t, "hom"));
	assert_int_equal(fs_tiers_parse("", &t), 0);
	assert_int_equal(t.n, 0);
}

static void no_tiers(void **state)
{
	static const char *const cases[] = {
		"ram", "ram=", "ram=x", "ram=-1", "ram=1x", "=1", " ram=1", "ram=1 ", "ram=1  home=2", "ram=1,home=2", "ram=1\n",
		"ram=18446744073709551616", "ram=99999999999999999999999999", "RAM=1", "1ram=1", "ram=1 ram=2", "r m=1",
		"abcdefghijklmnop=1", "ram=0x10", "ram=1 home", "r\xc3\xa9=1",
		"a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fs_tiers t = { .n = 99 };

		if (fs_tiers_parse(cases[i], &t) != -EINVAL)
			fail_msg("taken: '%s'", cases[i]);
		assert_int_equal(t.n, 99);
	}
}

static void sums_of_tiers(void **state)
{
	struct fs_tiers sum = { .n = 0 }, t;

	(void)state;
	assert_int_equal(fs_tiers_parse("ram=1 home=2", &t), 0);
	fs_tiers_add(&sum, &t);
	assert_int_equal(fs_tiers_parse("ram=10 nvme=20 sata=5 home=30", &t), 0);
	fs_tiers_add(&sum, &t);
	assert_int_equal(sum.n, 4);
	assert_string_equal(sum.tier[1].name, "nvme");          /* what is new goes before home */
	assert_string_equal(sum.tier[2].name, "sata");
	assert_string_equal(sum.tier[3].name, "home");
	assert_int_equal(fs_tiers_get(&sum, "ram"), 11);
	assert_int_equal(fs_tiers_get(&sum, "home"), 32);
	assert_int_equal(fs_tiers_parse("ram=18446744073709551615", &t), 0);
	fs_tiers_add(&sum, &t);
	assert_true(fs_tiers_get(&sum, "ram") == UINT64_MAX);
	for (int i = 0; i < 3 * FS_TIERS_MAX; i++) {
		char text[32];

		snprintf(text, sizeof(text), "x%d=1", i);
		assert_int_equal(fs_tiers_parse(text, &t), 0);
		fs_tiers_add(&sum, &t);
	}
	assert_int_equal(sum.n, FS_TIERS_MAX);
	assert_string_equal(sum.tier[FS_TIERS_MAX - 1].name, "home");
}

static void the_tier_of_an_order(void **state)
{
	static const struct { const char *tiers, *given, *out, *err; } cases[] = {
		{ "ram=0 nvme=0 sata=0 home=0", NULL, "nvme", NULL }, { "ram=0 home=0", NULL, "ram", NULL },
		{ "ram=0 nvme=0 home=0", "ram", "ram", NULL }, { "ram=0 nvme=0 sata=0 home=0", "sata", "sata", NULL },
		{ "ram=0 nvme=0 home=0", "sata", NULL, "no tier 'sata'; it has: ram nvme" },
		{ "ram=0 nvme=0 home=0", "home", NULL, "every byte is on home as it is; other tiers: ram nvme" },
		{ "ram=0 nvme=0 home=0", "none", NULL, "no tier 'none'" }, { "home=0", NULL, NULL, "no tier 'ram'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[FS_TIER_NAME] = "", err[256] = "";
		struct fs_tiers t;

		assert_int_equal(fs_tiers_parse(cases[i].tiers, &t), 0);
		assert_int_equal(fs_tier_choose(&t, cases[i].given, out, err, sizeof(err)), cases[i].out != NULL ? 0 : -EINVAL);
		assert_string_equal(out, cases[i].out != NULL ? cases[i].out : "");
		if (cases[i].err != NULL)
			assert_non_null(strstr(err, cases[i].err));
	}
}

/* A short buffer for the line is filled and ended, not overrun. */
static void a_long_list_of_tiers_in_a_short_line(void **state)
{
	char out[FS_TIER_NAME], err[40];
	struct fs_tiers t;

	(void)state;
	assert_int_equal(fs_tiers_parse("ram=0 aaaaaaaaaaaaaa=0 bbbbbbbbbbbbbb=0 cccccccccccccc=0 home=0", &t), 0);
	for (size_t len = 1; len <= sizeof(err); len++) {
		memset(err, 'x', sizeof(err));
		assert_int_equal(fs_tier_choose(&t, "nothere", out, err, len), -EINVAL);
		assert_int_equal(err[strnlen(err, len - 1)], '\0');
		for (size_t i = len; i < sizeof(err); i++)
			assert_int_equal(err[i], 'x');
	}
}

static void heat(void **state)
{
	static const char *const bad[] = {
		"", "mean=", "mean=1", "mean=1 max=", "mean=1 max=x", "mean=1  max=2", "mean=nan max=1", "mean=inf max=1",
		"mean=-1 max=1", "mean=1e3 max=2", "mean=0x10 max=2", "mean=1.2.3 max=4", "mean=1 max=2 ", "max=2 mean=1", "mean=1\nmax=2",
		"mean=1111111111111111111111111111111111111111111111111111111111111111111111 max=2",
	};
	double mean = 7, max = 8;

	(void)state;
	assert_int_equal(fs_heat_parse("mean=1.250 max=4.000", &mean, &max), 0);
	assert_true(mean == 1.25 && max == 4);
	assert_int_equal(fs_heat_parse("mean=0 max=0.", &mean, &max), 0);
	assert_true(mean == 0 && max == 0);
	mean = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fs_heat_parse(bad[i], &mean, &max) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
	assert_true(mean == 7);
}

static void warm(void **state)
{
	static const char *const bad[] = {
		"", "idl", "idle ", "nvme", "nvme 1", "nvme 1 ", "nvme x 2", "nvme 1 2 3", "nvme  1 2", " nvme 1 2", "nvme -1 2",
		"nvme 1 18446744073709551616", "failed", "NVME 1 2", "abcdefghijklmnop 1 2",
	};
	static char text[4096] = "failed ";
	struct fs_warm w;

	(void)state;
	assert_int_equal(fs_warm_parse("idle", &w), 0);
	assert_int_equal(w.state, FS_WARM_IDLE);
	assert_int_equal(fs_warm_parse("nvme 5 10", &w), 0);
	assert_int_equal(w.state, FS_WARM_MOVING);
	assert_string_equal(w.tier, "nvme");
	assert_int_equal(w.done, 5);
	assert_int_equal(w.total, 10);
	assert_int_equal(fs_warm_parse("ram 12 10", &w), 0);
	assert_int_equal(w.done, 10);
	assert_int_equal(fs_warm_parse("failed no \033[2Jspace", &w), 0);
	assert_int_equal(w.state, FS_WARM_FAILED);
	assert_string_equal(w.why, "no ?[2Jspace");
	memset(text + 7, 'x', sizeof(text) - 8);
	assert_int_equal(fs_warm_parse(text, &w), 0);
	assert_int_equal(strlen(w.why), sizeof(w.why) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fs_warm_parse(bad[i], &w) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
}

static void verified(void **state)
{
	static const char *const bad[] = {
		"", "Never", "never ", "ok", "ok ", "bad", "bad ", "running", "running 1", "running 1 x", "running 1 2 3",
		"ok 2026-11-21T06:20:00Z2026-11-21T06:20:00Z2026", "soon",
	};
	static char text[4096] = "bad 2026-11-21T06:20:00Z ";
	struct fs_verified v;

	(void)state;
	assert_int_equal(fs_verified_parse("never", &v), 0);
	assert_int_equal(v.state, FS_VERIFIED_NEVER);
	assert_int_equal(fs_verified_parse("ok 2026-11-21T06:20:00Z", &v), 0);
	assert_int_equal(v.state, FS_VERIFIED_OK);
	assert_string_equal(v.when, "2026-11-21T06:20:00Z");
	assert_string_equal(v.what, "");
	assert_int_equal(fs_verified_parse("ok 2026-11-21T06:20:00Z repaired 3", &v), 0);
	assert_string_equal(v.what, "repaired 3");
	assert_int_equal(fs_verified_parse("bad 2026-11-21T06:20:00Z extents 3 5-7 (home)", &v), 0);
	assert_int_equal(v.state, FS_VERIFIED_BAD);
	assert_string_equal(v.what, "extents 3 5-7 (home)");
	assert_int_equal(fs_verified_parse("running 7 9", &v), 0);
	assert_int_equal(v.state, FS_VERIFIED_RUNNING);
	assert_int_equal(v.done, 7);
	assert_int_equal(v.total, 9);
	memset(text + 25, '\a', sizeof(text) - 26);
	assert_int_equal(fs_verified_parse(text, &v), 0);
	assert_int_equal(strlen(v.what), sizeof(v.what) - 1);
	assert_int_equal(v.what[0], '?');
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fs_verified_parse(bad[i], &v) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
}

/* Whatever the bytes, an answer is taken or refused within its end. */
static void any_bytes(void **state)
{
	static const char *const words[] = { "ram", "=", "1", " ", "idle", "mean=", "max=", "failed ", "running ", "ok ", "bad ",
		"99999999999999999999", ".", "\xff", "-", "home" };
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char buf[128] = "", *text;
		struct fs_verified v;
		struct fs_tiers t;
		struct fs_warm w;
		double a, b;

		for (int n = rand_r(&seed) % 10; n > 0; n--)
			strncat(buf, words[(size_t)rand_r(&seed) % 16], sizeof(buf) - strlen(buf) - 1);
		text = strdup(buf);             /* on the heap, so that a sanitizer sees its end */
		assert_non_null(text);
		(void)!fs_tiers_parse(text, &t);
		(void)!fs_warm_parse(text, &w);
		(void)!fs_verified_parse(text, &v);
		(void)!fs_heat_parse(text, &a, &b);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest fs_cli_answer_tests[] = {
		cmocka_unit_test(tiers),
		cmocka_unit_test(no_tiers),
		cmocka_unit_test(sums_of_tiers),
		cmocka_unit_test(the_tier_of_an_order),
		cmocka_unit_test(a_long_list_of_tiers_in_a_short_line),
		cmocka_unit_test(heat),
		cmocka_unit_test(warm),
		cmocka_unit_test(verified),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(fs_cli_answer_tests, NULL, NULL);
}
