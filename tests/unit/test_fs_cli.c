/* test_fs_cli.c - sizes as people read them, texts that a terminal may show, files and attributes of a mount. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_cli.h"
#include "tests/unit/scratch.h"

static void bytes(void **state)
{
	static const struct { uint64_t n; const char *text; } cases[] = {
		{ 0, "0 B" }, { 1, "1 B" }, { 999, "999 B" }, { 1000, "1.0 kB" }, { 1049, "1.0 kB" }, { 1051, "1.1 kB" },
		{ 99949, "99.9 kB" }, { 99950, "100 kB" }, { 99951, "100 kB" }, { 999499, "999 kB" }, { 999500, "1.0 MB" },
		{ 4661211808ull, "4.7 GB" }, { 404000000000ull, "404 GB" }, { 1000000000000ull, "1.0 TB" },
		{ 999500000000000ull, "1.0 PB" }, { UINT64_MAX, "18447 PB" },
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fs_cli_bytes(cases[i].n, buf), cases[i].text);
}

static void texts_for_a_terminal(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "", "" }, { "plain text", "plain text" }, { "a\tb\nc", "a?b?c" }, { "\033[2J", "?[2J" }, { "\x7f", "?" },
		{ "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9" }, { "\xc2\x9b" "2J", "?\x9b" "2J" }, { "\xc2", "\xc2" },
	};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(buf, cases[i].in);
		assert_string_equal(fs_cli_clean(buf), cases[i].out);
	}
}

static void attributes(void **state)
{
	char dir[SCRATCH_PATH], *text = NULL;

	(void)state;
	scratch_make(dir);
	assert_int_equal(fs_cli_xattr(dir, "user.hearth.pin", &text), -ENODATA);
	assert_null(text);
	if (fs_cli_set_xattr(dir, "user.hearth.pin", "nvme") == -EOPNOTSUPP) {
		scratch_remove(dir);
		print_message("the scratch directory has no extended attributes\n");
		skip();
	}
	assert_int_equal(fs_cli_xattr(dir, "user.hearth.pin", &text), 0);
	assert_string_equal(text, "nvme");
	free(text);
	scratch_remove(dir);
	assert_int_equal(fs_cli_set_xattr(dir, "user.hearth.pin", "ram"), -ENOENT);
	assert_int_equal(fs_cli_xattr(dir, "user.hearth.pin", &text), -ENOENT);
}

static void files_of_the_mount(void **state)
{
	static char big[200000];
	char dir[SCRATCH_PATH], *text = NULL;
	size_t len = 7;

	(void)state;
	scratch_make(dir);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i % 23);
	scratch_file(dir, ".hearth/plan", "one\ntwo\n", 8);
	scratch_file(dir, ".hearth/empty", "", 0);
	scratch_file(dir, ".hearth/trace", big, sizeof(big));
	assert_int_equal(fs_cli_hearth_file(dir, "plan", &text, &len), 0);
	assert_int_equal(len, 8);
	assert_string_equal(text, "one\ntwo\n");
	free(text);
	assert_int_equal(fs_cli_hearth_file(dir, "empty", &text, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(fs_cli_hearth_file(dir, "trace", &text, &len), 0);
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(text, big, sizeof(big));
	assert_int_equal(text[len], '\0');
	free(text);
	assert_int_equal(fs_cli_hearth_file(dir, "nothing", &text, &len), -ENOENT);
	assert_int_equal(fs_cli_hearth_file(dir, "", &text, &len), -EISDIR);
	scratch_remove(dir);
}

static void a_file_without_end_is_refused(void **state)
{
	char dir[SCRATCH_PATH], path[PATH_MAX], *text = NULL;
	size_t len;

	(void)state;
	scratch_make(dir);
	scratch_file(dir, ".hearth/x", "", 0);
	scratch_path(path, sizeof(path), dir, ".hearth/trace");
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(fs_cli_hearth_file(dir, "trace", &text, &len), -EFBIG);
	assert_null(text);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest fs_cli_tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(texts_for_a_terminal),
		cmocka_unit_test(attributes),
		cmocka_unit_test(files_of_the_mount),
		cmocka_unit_test(a_file_without_end_is_refused),
	};

	return cmocka_run_group_tests(fs_cli_tests, NULL, NULL);
}
