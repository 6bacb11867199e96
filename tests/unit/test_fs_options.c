/* test_fs_options.c - command lines against a table: what is taken, what is left, what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_options.h"

struct args {
	const char *home, *mode;
	bool flag, loud;
};

static const struct fs_option table[] = {
	{ "home", 'H', FS_OPTION_TEXT, offsetof(struct args, home), "DIR", "where it is" },
	{ "mode", 0, FS_OPTION_TEXT, offsetof(struct args, mode), "MODE", "how" },
	{ "flag", 'f', FS_OPTION_FLAG, offsetof(struct args, flag), NULL, "on or off" },
	{ "loud", 0, FS_OPTION_FLAG, offsetof(struct args, loud), NULL, "on or off too" },
};
#define N (sizeof(table) / sizeof(table[0]))

struct line {
	const char *words[8];
	const char *home, *mode;
	bool flag, loud;
	const char *left;               /* words that are no options, joined by blanks */
	const char *err;                /* part of the message, NULL: accepted */
};

static void parse(const struct line *l)
{
	char err[256] = "", left[256] = "", *argv[9] = { NULL }, *owned[9];
	struct args a = { .home = NULL };
	int argc = 0, rc;

	while (l->words[argc] != NULL) {
		argv[argc] = strdup(l->words[argc]);
		argc++;
	}
	memcpy(owned, argv, sizeof(owned));
	rc = fs_options_parse(table, N, &a, &argc, argv, err, sizeof(err));
	if (l->err != NULL) {
		assert_int_equal(rc, -EINVAL);
		assert_non_null(strstr(err, l->err));
	} else {
		assert_int_equal(rc, 0);
		for (int i = 0; i < argc; i++)
			snprintf(left + strlen(left), sizeof(left) - strlen(left), "%s%s", i > 0 ? " " : "", argv[i]);
		assert_string_equal(left, l->left);
		assert_string_equal(a.home != NULL ? a.home : "", l->home != NULL ? l->home : "");
		assert_string_equal(a.mode != NULL ? a.mode : "", l->mode != NULL ? l->mode : "");
		assert_int_equal(a.flag, l->flag);
		assert_int_equal(a.loud, l->loud);
	}
	for (int i = 0; i < 9; i++)
		free(owned[i]);
}

static void lines(void **state)
{
	static const struct line cases[] = {
		{ .words = { NULL }, .left = "" },
		{ .words = { "a", "b", NULL }, .left = "a b" },
		{ .words = { "--home=x", "a", NULL }, .home = "x", .left = "a" },
		{ .words = { "a", "--home", "x", "b", NULL }, .home = "x", .left = "a b" },
		{ .words = { "-Hx", "-f", NULL }, .home = "x", .flag = true, .left = "" },
		{ .words = { "-H", "x", "--loud", NULL }, .home = "x", .loud = true, .left = "" },
		{ .words = { "--home=", NULL }, .home = "", .left = "" },
		{ .words = { "--home=a=b", NULL }, .home = "a=b", .left = "" },
		{ .words = { "--home", "--flag", NULL }, .home = "--flag", .left = "" },
		{ .words = { "a", "--", "--flag", "-x", NULL }, .left = "a --flag -x" },
		{ .words = { "-", NULL }, .left = "-" },
		{ .words = { "--home", NULL }, .err = "option 'home' needs a value" },
		{ .words = { "-H", NULL }, .err = "option 'home' needs a value" },
		{ .words = { "--home=a", "-Hb", NULL }, .err = "option 'home' is given twice" },
		{ .words = { "-f", "--flag", NULL }, .err = "option 'flag' is given twice" },
		{ .words = { "--flag=1", NULL }, .err = "option 'flag' takes no value" },
		{ .words = { "-f1", NULL }, .err = "option 'flag' takes no value" },
		{ .words = { "--hom=x", NULL }, .err = "unknown option '--hom=x'" },
		{ .words = { "--homes=x", NULL }, .err = "unknown option '--homes=x'" },
		{ .words = { "--=x", NULL }, .err = "unknown option '--=x'" },
		{ .words = { "-z", NULL }, .err = "unknown option '-z'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		parse(&cases[i]);
}

static void words_of_a_list(void **state)
{
	char err[256] = "", home[] = "home=/a=b", again[] = "home=c", flag[] = "flag", flagged[] = "loud=1",
	     bare[] = "mode", other[] = "other=1", empty[] = "";
	struct args a = { .home = NULL };

	(void)state;
	assert_int_equal(fs_options_take(table, N, &a, home, err, sizeof(err)), 0);
	assert_string_equal(a.home, "/a=b");
	assert_int_equal(fs_options_take(table, N, &a, again, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "given twice"));
	assert_int_equal(fs_options_take(table, N, &a, flag, err, sizeof(err)), 0);
	assert_true(a.flag);
	assert_int_equal(fs_options_take(table, N, &a, flagged, err, sizeof(err)), -EINVAL);
	assert_int_equal(fs_options_take(table, N, &a, bare, err, sizeof(err)), -EINVAL);
	assert_int_equal(fs_options_take(table, N, &a, other, err, sizeof(err)), -ENOENT);
	assert_int_equal(fs_options_take(table, N, &a, empty, err, sizeof(err)), -ENOENT);
}

static void the_help_names_every_option(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	fs_options_print(table, N, f);
	fclose(f);
	assert_non_null(strstr(text, "-H, --home DIR"));
	assert_non_null(strstr(text, "    --mode MODE"));
	for (size_t i = 0; i < N; i++)
		assert_non_null(strstr(text, table[i].help));
	free(text);
}

int main(void)
{
	const struct CMUnitTest fs_options_tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(words_of_a_list),
		cmocka_unit_test(the_help_names_every_option),
	};

	return cmocka_run_group_tests(fs_options_tests, NULL, NULL);
}
