/* test_fs_cli_model.c - which files an argument stands for, in a store of its own. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_cli_answer.h"
#include "fs/fs_cli_model.h"
#include "tests/unit/scratch.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define MIB (1024 * 1024)

static void put_blob(const char *dir, const char *rel, off_t bytes)
{
	char path[PATH_MAX];

	scratch_file(dir, rel, "", 0);
	assert_int_equal(truncate(scratch_path(path, sizeof(path), dir, rel), bytes), 0);
}

static void put_manifest(const char *dir, const char *rel, const char *digest, const char *second)
{
	char text[1024], path[PATH_MAX];

	snprintf(text, sizeof(text), "{\"layers\":[{\"digest\":\"sha256:%s\",\"size\":5},{\"digest\":\"sha256:%s\",\"size\":5}]}",
		 digest, second);
	snprintf(path, sizeof(path), "manifests/%s", rel);
	scratch_file(dir, path, text, strlen(text));
}

/* blobs A of 5 MiB, B of 1 MiB, C of one byte less; models one (A C), two (A B), gone (A and what is not there),
 * small (C), broken. */
static int make_store(void **state)
{
	char *dir = malloc(SCRATCH_PATH);

	assert_non_null(dir);
	scratch_make(dir);
	put_blob(dir, "blobs/sha256-" A, 5 * MIB);
	put_blob(dir, "blobs/sha256-" B, MIB);
	put_blob(dir, "blobs/sha256-" C, MIB - 1);
	put_manifest(dir, "registry.ollama.ai/library/one/latest", A, C);
	put_manifest(dir, "hf.co/me/two/q4", A, B);
	put_manifest(dir, "registry.ollama.ai/library/gone/1b", A, "0000000000000000000000000000000000000000000000000000000000000000");
	put_manifest(dir, "registry.ollama.ai/library/small/1b", C, C);
	scratch_file(dir, "manifests/registry.ollama.ai/library/broken/1b", "{", 1);
	*state = dir;
	return 0;
}

static int drop_store(void **state)
{
	scratch_remove(*state);
	free(*state);
	return 0;
}

static void names(void **state)
{
	struct fs_targets t = { .n = 0 };
	char err[PATH_MAX + 256] = "";

	assert_int_equal(fs_targets_add_name(&t, *state, "one", err, sizeof(err)), 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.files, 1);
	assert_string_equal(t.v[0].label, "blobs/sha256-" A);
	assert_int_equal(t.v[0].path[strlen(*state)], '/');
	assert_int_equal(t.bytes, 5 * MIB);
	/* the blob that both have is in the set once, and still belongs to the second */
	assert_int_equal(fs_targets_add_name(&t, *state, "hf.co/me/two:q4", err, sizeof(err)), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.files, 2);
	assert_int_equal(t.bytes, 6 * MIB);
	assert_string_equal(t.v[1].label, "blobs/sha256-" B);
	assert_int_equal(fs_targets_add_name(&t, *state, "sha256-" B, err, sizeof(err)), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.files, 1);
	assert_int_equal(t.missing, 0);
	fs_targets_free(&t);
	assert_int_equal(t.n, 0);
}

static void names_of_nothing(void **state)
{
	static const struct { const char *name, *err; int rc; } cases[] = {
		{ "three", "no model 'three' on", -ENOENT }, { "one:2b", "no model 'one:2b' on", -ENOENT },
		{ "broken:1b", "is no manifest", -EINVAL }, { "../x", "neither a path", -EINVAL }, { "", "neither a path", -EINVAL },
		{ "a/b/c/d", "neither a path", -EINVAL }, { "sha256:" "0123456789012345678901234567890123456789012345678901234567890123",
		  "No such file", -ENOENT }, { "one:../../x", "neither a path", -EINVAL },
	};
	struct fs_targets t = { .n = 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char err[2 * PATH_MAX] = "";

		assert_int_equal(fs_targets_add_name(&t, *state, cases[i].name, err, sizeof(err)), cases[i].rc);
		if (strstr(err, cases[i].err) == NULL)
			fail_msg("'%s': '%s'", cases[i].name, err);
		assert_int_equal(t.files, 0);
	}
	assert_int_equal(t.n, 0);
}

static void small_and_missing_blobs(void **state)
{
	struct fs_targets t = { .n = 0 };
	char err[PATH_MAX + 256] = "";

	assert_int_equal(fs_targets_add_name(&t, *state, "small:1b", err, sizeof(err)), 0);
	assert_int_equal(t.n + t.files + t.missing, 0);
	assert_int_equal(fs_targets_add_name(&t, *state, "sha256:" C, err, sizeof(err)), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(fs_targets_add_name(&t, *state, "gone:1b", err, sizeof(err)), 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.missing, 1);
	fs_targets_free(&t);
}

static void paths(void **state)
{
	struct fs_targets t = { .n = 0 };
	char path[PATH_MAX], err[2 * PATH_MAX] = "";
	const char *dir = *state;

	scratch_path(path, sizeof(path), dir, "blobs/sha256-" B);
	assert_int_equal(fs_targets_add_path(&t, dir, path, FS_TARGETS_FILES, err, sizeof(err)), 0);
	assert_int_equal(t.n, 1);
	assert_false(t.v[0].dir);
	assert_int_equal(t.v[0].bytes, MIB);
	scratch_path(path, sizeof(path), dir, "manifests/hf.co/me/two/q4");
	assert_int_equal(fs_targets_add_path(&t, dir, path, FS_TARGETS_FILES, err, sizeof(err)), 0);
	assert_int_equal(t.files, 2);           /* a manifest is its model */
	scratch_path(path, sizeof(path), dir, "nothing");
	assert_int_equal(fs_targets_add_path(&t, dir, path, FS_TARGETS_FILES, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "nothing': No such file"));
	assert_int_equal(fs_targets_add_path(&t, dir, "/dev/null", FS_TARGETS_FILES, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "neither a file nor a directory"));
	fs_targets_free(&t);
}

static void directories(void **state)
{
	struct fs_targets t = { .n = 0 };
	char path[PATH_MAX], link[PATH_MAX], err[2 * PATH_MAX] = "";
	const char *dir = *state;

	put_blob(dir, "hub/deep/er/weights", 2 * MIB);
	put_blob(dir, "hub/note", 10);
	assert_int_equal(symlink("../blobs", scratch_path(link, sizeof(link), dir, "hub/loop")), 0);
	scratch_path(path, sizeof(path), dir, "hub");
	assert_int_equal(fs_targets_add_path(&t, dir, path, FS_TARGETS_FILES, err, sizeof(err)), 0);
	assert_int_equal(t.n, 1);               /* small files and links are left out */
	assert_string_equal(t.v[0].label, "hub/deep/er/weights");
	assert_int_equal(fs_targets_add_path(&t, dir, dir, FS_TARGETS_FILES, err, sizeof(err)), 0);
	assert_int_equal(t.n, 3);
	assert_int_equal(t.files, 3);
	fs_targets_free(&t);
	assert_int_equal(fs_targets_add_path(&t, dir, path, FS_TARGETS_ITSELF, err, sizeof(err)), 0);
	assert_int_equal(t.n, 1);
	assert_true(t.v[0].dir);
	assert_string_equal(t.v[0].label, "hub");
	assert_int_equal(fs_targets_add_path(&t, dir, dir, FS_TARGETS_ITSELF, err, sizeof(err)), 0);
	assert_string_equal(t.v[1].label, dir);
	fs_targets_free(&t);
	assert_int_equal(unlink(link), 0);
	scratch_remove(path);
}

static void many_files(void **state)
{
	struct fs_targets t = { .n = 0 };
	char path[PATH_MAX], err[2 * PATH_MAX], name[32];
	const char *dir = *state;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		put_blob(dir, name, MIB);
	}
	scratch_path(path, sizeof(path), dir, "many");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fs_targets_add_path(&t, dir, path, FS_TARGETS_FILES, err, sizeof(err)), 0);
		assert_int_equal(t.n, 100);
		assert_int_equal(t.bytes, 100 * MIB);
	}
	fs_targets_free(&t);
	scratch_remove(path);
}

/* Real attributes on a plain file stand for those of a mount. */
static void the_tier_of_an_order(void **state)
{
	struct fs_targets t = { .n = 0 };
	char err[2 * PATH_MAX], out[FS_TIER_NAME] = "";

	assert_int_equal(fs_targets_add_name(&t, *state, "one", err, sizeof(err)), 0);
	assert_int_equal(fs_targets_tier(&t, NULL, out), -1);           /* no mount: no answer */
	if (setxattr(t.v[0].path, "user.hearth.tier", "ram=0 nvme=5 home=9", 19, 0) == -1 && errno == EOPNOTSUPP) {
		fs_targets_free(&t);
		print_message("the scratch directory has no extended attributes\n");
		skip();
	}
	assert_int_equal(fs_targets_tier(&t, NULL, out), 0);
	assert_string_equal(out, "nvme");
	assert_int_equal(fs_targets_tier(&t, "ram", out), 0);
	assert_string_equal(out, "ram");
	assert_int_equal(fs_targets_tier(&t, "sata", out), -1);
	assert_string_equal(out, "ram");
	assert_int_equal(setxattr(t.v[0].path, "user.hearth.tier", "gibberish", 9, 0), 0);
	assert_int_equal(fs_targets_tier(&t, NULL, out), -1);
	assert_int_equal(removexattr(t.v[0].path, "user.hearth.tier"), 0);
	fs_targets_free(&t);
}

/* A path that exists and is on no hearth mount is refused, whether or not there is a mount. */
static void paths_off_the_mount(void **state)
{
	struct fs_targets t = { .n = 0 };

	assert_int_equal(fs_targets_add(&t, *state, FS_TARGETS_FILES), -1);
	assert_int_equal(fs_targets_add(&t, "/no/such/path", FS_TARGETS_FILES), -1);
	assert_int_equal(fs_targets_add(&t, "", FS_TARGETS_FILES), -1);
	assert_int_equal(t.n, 0);
}

int main(void)
{
	const struct CMUnitTest fs_cli_model_tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(names_of_nothing),
		cmocka_unit_test(small_and_missing_blobs),
		cmocka_unit_test(paths),
		cmocka_unit_test(directories),
		cmocka_unit_test(many_files),
		cmocka_unit_test(the_tier_of_an_order),
		cmocka_unit_test(paths_off_the_mount),
	};

	return cmocka_run_group_tests(fs_cli_model_tests, make_store, drop_store);
}
