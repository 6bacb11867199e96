/* test_fs_top_feed.c - samples gathered from a directory whose attributes and files are those of a mount. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_top.h"
#include "fs/fs_top_feed.h"
#include "tests/unit/scratch.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void say(const char *dir, const char *rel, const char *name, const char *value)
{
	char path[256];

	assert_int_equal(setxattr(scratch_path(path, sizeof(path), dir, rel), name, value, strlen(value), 0), 0);
}

/* One model of two blobs, 3 and 1 million bytes above an extent, and its config, which is small. */
static int make_mount(void **state)
{
	static const char manifest[] = "{\"layers\":[{\"digest\":\"sha256:" A "\",\"size\":3000000},"
		"{\"digest\":\"sha256:" B "\",\"size\":1500000},{\"digest\":\"sha256:" A "\",\"size\":10}]}";
	char *dir = malloc(SCRATCH_PATH);

	assert_non_null(dir);
	scratch_make(dir);
	*state = dir;
	scratch_file(dir, "blobs/sha256-" A, "x", 1);
	scratch_file(dir, "blobs/sha256-" B, "x", 1);
	scratch_file(dir, "manifests/registry.ollama.ai/library/m/1b", manifest, sizeof(manifest) - 1);
	scratch_file(dir, ".hearth/metrics", "hearth_read_bytes_total{tier=\"nvme\"} 9\n# EOF\n", 46);
	if (setxattr(dir, "user.hearth.stats", "{}", 2, 0) == -1)
		return 0;               /* the tests say that they cannot */
	say(dir, "", "user.hearth.stats", "{\"version\":\"9\",\"tiers\":[{\"name\":\"nvme\",\"used\":5}]}");
	say(dir, "blobs/sha256-" A, "user.hearth.tier", "ram=1 nvme=2 home=3");
	say(dir, "blobs/sha256-" A, "user.hearth.heat", "mean=1.000 max=2.000");
	say(dir, "blobs/sha256-" A, "user.hearth.pin", "nvme");
	say(dir, "blobs/sha256-" B, "user.hearth.tier", "ram=10 nvme=20 home=30");
	say(dir, "blobs/sha256-" B, "user.hearth.heat", "mean=4.000 max=7.000");
	say(dir, "blobs/sha256-" B, "user.hearth.pin", "none");
	return 0;
}

static int drop_mount(void **state)
{
	scratch_remove(*state);
	free(*state);
	return 0;
}

static void need_attributes(const char *dir)
{
	if (getxattr(dir, "user.hearth.stats", NULL, 0) == -1) {
		print_message("the scratch directory has no extended attributes\n");
		skip();
	}
}

static void a_sample(void **state)
{
	struct fs_top_sample *s;

	need_attributes(*state);
	s = fs_top_gather(*state);
	assert_non_null(s);
	assert_string_equal(s->trouble, "");
	assert_string_equal(s->mount, *state);
	assert_string_equal(s->version, "9");
	assert_int_equal(s->tier[0].used, 5);
	assert_int_equal(s->tier[0].read, 9);
	assert_int_equal(s->nmodels, 1);
	assert_string_equal(s->model[0].name, "m:1b");
	assert_string_equal(s->model[0].weights, "sha256-" A);
	assert_int_equal(s->model[0].bytes, 4500010);
	assert_int_equal(fs_tiers_get(&s->model[0].held, "nvme"), 22);
	assert_true(s->model[0].heat_mean > 1.99 && s->model[0].heat_mean < 2.01);      /* weighed by bytes */
	assert_true(s->model[0].heat_max == 7);
	assert_string_equal(s->model[0].pin, "some");
	fs_top_sample_free(s);
}

static void no_mount(void **state)
{
	struct fs_top_sample *s = fs_top_gather("/no/such/mount");

	(void)state;
	assert_non_null(s);
	assert_non_null(strstr(s->trouble, "No such file"));
	assert_int_equal(s->nmodels, 0);
	fs_top_sample_free(s);
}

static void samples_come(void **state)
{
	struct fs_top_feed *f = NULL;
	struct fs_top_sample *s;
	struct pollfd p;

	need_attributes(*state);
	assert_int_equal(fs_top_feed_start(&f, *state), 0);
	p = (struct pollfd){ .fd = fs_top_feed_fd(f), .events = POLLIN };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(poll(&p, 1, 60000), 1);
		s = fs_top_feed_take(f);
		assert_non_null(s);
		assert_int_equal(s->nmodels, 1);
		fs_top_sample_free(s);
	}
	fs_top_feed_stop(f);
	fs_top_feed_stop(NULL);
}

/* Stopped at any moment: while it asks, while it pauses, with a sample that nobody took. */
static void stopped_at_any_time(void **state)
{
	for (int i = 0; i < 50; i++) {
		struct fs_top_feed *f = NULL;
		struct pollfd p;

		assert_int_equal(fs_top_feed_start(&f, *state), 0);
		p = (struct pollfd){ .fd = fs_top_feed_fd(f), .events = POLLIN };
		if (i % 2 == 0)
			assert_int_equal(poll(&p, 1, 60000), 1);
		fs_top_feed_stop(f);
	}
}

int main(void)
{
	const struct CMUnitTest fs_top_feed_tests[] = {
		cmocka_unit_test(a_sample),
		cmocka_unit_test(no_mount),
		cmocka_unit_test(samples_come),
		cmocka_unit_test(stopped_at_any_time),
	};

	return cmocka_run_group_tests(fs_top_feed_tests, make_mount, drop_mount);
}
