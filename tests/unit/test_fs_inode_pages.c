/* test_fs_inode_pages.c - when an open may leave FUSE's cached pages of a file where they are. */
#include "fs/fs_inode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ROOT 1

static int setup(void **state)
{
	return fs_inodes_new((struct fs_inodes **)state, NULL, NULL, 2);        /* nothing here opens files */
}

static int teardown(void **state)
{
	fs_inodes_free(*state);
	return 0;
}

static uint64_t learn(struct fs_inodes *t)
{
	uint64_t id = 0;

	assert_int_equal(fs_inode_learn(t, ROOT, "a", 100, &id), 0);
	return id;
}

static void pages_are_kept_for_the_same_settled_file(void **state)
{
	struct fs_inodes *t = *state;
	uint64_t id = learn(t);
	struct home_ident ident = { .ino = 100, .size = 5, .mtime = { 1000, 7 }, .ctime = { 1000, 8 } };
	struct timespec fresh = { 1001, 0 }, later = { 1010, 0 };

	assert_true(fs_inode_keep_cache(t, id, &ident, &fresh));     /* there are no pages yet */
	assert_false(fs_inode_keep_cache(t, id, &ident, &later));    /* what was read may predate a change */
	assert_true(fs_inode_keep_cache(t, id, &ident, &later));
	assert_true(fs_inode_keep_cache(t, id, &ident, &later));
	ident.mtime.tv_nsec++;
	assert_false(fs_inode_keep_cache(t, id, &ident, &later));
	assert_true(fs_inode_keep_cache(t, id, &ident, &later));
	ident.ctime.tv_sec++;
	assert_false(fs_inode_keep_cache(t, id, &ident, &later));
	ident.size++;
	assert_false(fs_inode_keep_cache(t, id, &ident, &later));
	assert_true(fs_inode_keep_cache(t, id, &ident, &later));
	assert_false(fs_inode_keep_cache(t, 40, &ident, &later));
	fs_inode_forget(t, id, 1);
}

static void pages_are_kept_over_our_own_changes(void **state)
{
	struct fs_inodes *t = *state;
	uint64_t id = learn(t);
	struct home_ident ident = { .ino = 100, .size = 5, .mtime = { 1000, 7 }, .ctime = { 1000, 8 } }, older = ident;
	struct timespec fresh = { 1001, 0 };

	assert_true(fs_inode_keep_cache(t, id, &ident, &fresh));
	ident.size = 9;
	ident.mtime.tv_nsec = ident.ctime.tv_nsec = 100;
	fs_inode_own_change(t, id, &ident, true);
	assert_true(fs_inode_keep_cache(t, id, &ident, &fresh));     /* though it is not settled */
	assert_true(fs_inode_keep_cache(t, id, &older, &fresh));     /* a look from before the change */
	fs_inode_own_change(t, id, &older, true);                    /* told late: nothing goes back */
	assert_true(fs_inode_keep_cache(t, id, &ident, &fresh));
	ident.ctime.tv_nsec++;
	fs_inode_own_change(t, id, &ident, false);                   /* a rename */
	assert_true(fs_inode_keep_cache(t, id, &ident, &fresh));
	ident.ctime.tv_nsec++;
	ident.mtime.tv_nsec++;                                          /* somebody behind us, then a rename */
	fs_inode_own_change(t, id, &ident, false);
	assert_false(fs_inode_keep_cache(t, id, &ident, &fresh));
	ident.ctime.tv_nsec++;
	fs_inode_handle_add(t, id, 0, true);
	assert_true(fs_inode_keep_cache(t, id, &ident, &fresh));     /* while there is a writer */
	fs_inode_handle_del(t, id, 0);
	fs_inode_forget(t, id, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_are_kept_for_the_same_settled_file, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_are_kept_over_our_own_changes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
