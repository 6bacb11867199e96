/* test_fs_inode.c - the table of nodes: who keeps whom, names, paths, opening by name and by handle. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_inode.h"
#include "tests/unit/scratch.h"

#define ROOT 1u
#define ROOT_INO 2u

/* A table over an empty home; every test leaves it with nothing but the root. */
struct table {
	char dir[SCRATCH_PATH];
	struct home *home;
	struct fs_inodes *t;
};

static const struct io system_io = { .hook = NULL };

static void check(struct fs_inodes *t)
{
	char err[256] = "";

	if (fs_inode_check(t, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

static int setup(void **state)
{
	struct table *x = calloc(1, sizeof(*x));
	char err[256];

	assert_non_null(x);
	scratch_make(x->dir);
	assert_int_equal(home_open(&x->home, x->dir, &system_io, err, sizeof(err)), 0);
	assert_int_equal(fs_inodes_new(&x->t, x->home, &system_io, ROOT_INO), 0);
	check(x->t);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct table *x = *state;

	fs_inodes_free(x->t);
	home_close(x->home);
	scratch_remove(x->dir);
	free(x);
	return 0;
}

static uint64_t learn(struct fs_inodes *t, uint64_t parent, const char *name, uint64_t st_ino)
{
	uint64_t id = 0;

	assert_int_equal(fs_inode_learn(t, parent, name, st_ino, &id), 0);
	check(t);
	assert_int_equal(fs_inode_st_ino(t, id), st_ino);
	return id;
}

static void forget(struct fs_inodes *t, uint64_t id, uint64_t n)
{
	fs_inode_forget(t, id, n);
	check(t);
}

static void assert_path(struct fs_inodes *t, uint64_t id, unsigned i, const char *want)
{
	char path[PATH_MAX];

	assert_true(fs_inode_path(t, id, i, path));
	assert_string_equal(path, want);
}

static void the_root(void **state)
{
	struct table *x = *state;
	char path[PATH_MAX];

	assert_int_equal(fs_inode_count(x->t), 1);
	assert_int_equal(fs_inode_st_ino(x->t, ROOT), ROOT_INO);
	assert_int_equal(fs_inode_by_st_ino(x->t, ROOT_INO), ROOT);
	assert_path(x->t, ROOT, 0, "");
	assert_false(fs_inode_path(x->t, ROOT, 1, path));
	forget(x->t, ROOT, 1000);               /* the kernel forgets the root at unmount */
	assert_int_equal(fs_inode_count(x->t), 1);
	fs_inodes_free(NULL);
}

static void ids_that_are_not_there(void **state)
{
	static const uint64_t ids[] = { 0, 2, 63, 64, 1u << 26, UINT32_MAX, UINT64_MAX };
	struct table *x = *state;
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		int backing = 0;

		fs_inode_forget(x->t, ids[i], 1);
		fs_inode_retire(x->t, ids[i], NULL);
		fs_inode_handle_add(x->t, ids[i], 0, false);
		fs_inode_handle_del(x->t, ids[i], 0);
		assert_int_equal(fs_inode_st_ino(x->t, ids[i]), 0);
		assert_false(fs_inode_path(x->t, ids[i], 0, path));
		assert_int_equal(fs_inode_borrow(x->t, ids[i]), -ENOENT);
		assert_int_equal(fs_inode_open(x->t, ids[i], O_PATH), -ESTALE);
		assert_int_equal(fs_inode_open_begin(x->t, ids[i], &backing), FS_MODE_CACHED);
		assert_int_equal(fs_inode_open_end(x->t, ids[i]), 0);
		check(x->t);
	}
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void lookups_are_counted(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, "a", 100);

	assert_true(a > ROOT);
	assert_int_equal(learn(x->t, ROOT, "a", 100), a);
	assert_int_equal(learn(x->t, ROOT, "a", 100), a);
	forget(x->t, a, 2);
	assert_int_equal(fs_inode_by_st_ino(x->t, 100), a);
	forget(x->t, a, 1);
	assert_int_equal(fs_inode_by_st_ino(x->t, 100), 0);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void a_forget_of_too_many_is_harmless(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, "a", 100);

	forget(x->t, a, UINT64_MAX);
	assert_int_equal(fs_inode_count(x->t), 1);
	a = learn(x->t, ROOT, "a", 101);
	forget(x->t, a, 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void children_keep_their_parents(void **state)
{
	struct table *x = *state;
	uint64_t d = learn(x->t, ROOT, "d", 10), e = learn(x->t, d, "e", 11), f = learn(x->t, e, "f", 12);

	forget(x->t, d, 1);
	forget(x->t, e, 1);
	assert_int_equal(fs_inode_count(x->t), 4);
	assert_path(x->t, f, 0, "d/e/f");
	forget(x->t, f, 1);                     /* takes all three away */
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void hard_links_share_a_node(void **state)
{
	struct table *x = *state;
	uint64_t d = learn(x->t, ROOT, "d", 10), a = learn(x->t, ROOT, "a", 100);
	char path[PATH_MAX];

	assert_int_equal(learn(x->t, ROOT, "b", 100), a);
	assert_int_equal(learn(x->t, d, "c", 100), a);
	assert_path(x->t, a, 0, "d/c");
	assert_path(x->t, a, 1, "b");
	assert_path(x->t, a, 2, "a");
	assert_false(fs_inode_path(x->t, a, 3, path));
	fs_inode_unname(x->t, ROOT, "b");
	check(x->t);
	assert_path(x->t, a, 1, "a");
	assert_false(fs_inode_path(x->t, a, 2, path));
	forget(x->t, a, 3);
	forget(x->t, d, 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void a_name_moves_to_who_has_it_now(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, "n", 100), b = learn(x->t, ROOT, "n", 101);
	char path[PATH_MAX];

	assert_true(a != b);
	assert_path(x->t, b, 0, "n");
	assert_false(fs_inode_path(x->t, a, 0, path));
	forget(x->t, a, 1);
	forget(x->t, b, 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void a_parent_nobody_knows(void **state)
{
	struct table *x = *state;
	uint64_t id = 77;

	assert_int_equal(fs_inode_learn(x->t, 40, "a", 100, &id), -ESTALE);
	assert_int_equal(id, 77);               /* untouched on failure */
	check(x->t);
	assert_int_equal(fs_inode_count(x->t), 1);
	assert_int_equal(fs_inode_by_st_ino(x->t, 100), 0);
	fs_inode_unname(x->t, 40, "a");
	fs_inode_rename(x->t, 40, "a", 41, "b", false);
	fs_inode_rename(x->t, 40, "a", 41, "b", true);
	check(x->t);
}

static void renames(void **state)
{
	struct table *x = *state;
	uint64_t d = learn(x->t, ROOT, "d", 10), a = learn(x->t, ROOT, "a", 100), b = learn(x->t, d, "b", 101);
	char path[PATH_MAX];

	fs_inode_rename(x->t, ROOT, "a", d, "b", false);
	check(x->t);
	assert_path(x->t, a, 0, "d/b");
	assert_false(fs_inode_path(x->t, b, 0, path));
	fs_inode_rename(x->t, d, "b", d, "b", false);           /* onto itself */
	check(x->t);
	assert_path(x->t, a, 0, "d/b");
	assert_int_equal(learn(x->t, ROOT, "b", 101), b);
	fs_inode_rename(x->t, d, "b", ROOT, "b", true);         /* exchange */
	check(x->t);
	assert_path(x->t, a, 0, "b");
	assert_path(x->t, b, 0, "d/b");
	fs_inode_rename(x->t, ROOT, "d", ROOT, "dir", false);   /* what is below moves along */
	check(x->t);
	assert_path(x->t, b, 0, "dir/b");
	forget(x->t, a, 1);
	forget(x->t, b, 2);
	forget(x->t, d, 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void a_rename_can_end_parents(void **state)
{
	struct table *x = *state;
	uint64_t d = learn(x->t, ROOT, "d", 10), a = learn(x->t, d, "a", 100);

	forget(x->t, d, 1);                     /* only its child keeps it */
	fs_inode_rename(x->t, d, "a", ROOT, "a", false);
	check(x->t);
	assert_path(x->t, a, 0, "a");
	assert_int_equal(fs_inode_count(x->t), 2);
	forget(x->t, a, 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void a_number_that_comes_back(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, "a", 100), b;
	int backing = 0;

	assert_int_equal(fs_inode_open_begin(x->t, a, &backing), FS_MODE_DECIDING);
	fs_inode_open_decided(x->t, a, FS_MODE_NATIVE, 9);
	fs_inode_retire(x->t, a, NULL);               /* the file is unlinked while open */
	fs_inode_unname(x->t, ROOT, "a");
	check(x->t);
	assert_int_equal(fs_inode_by_st_ino(x->t, 100), 0);
	b = learn(x->t, ROOT, "b", 100);        /* home gave the number to another file */
	assert_true(a != b);
	assert_int_equal(fs_inode_by_st_ino(x->t, 100), b);
	assert_int_equal(fs_inode_open_begin(x->t, b, &backing), FS_MODE_DECIDING);
	fs_inode_open_decided(x->t, b, FS_MODE_CACHED, 0);
	assert_int_equal(fs_inode_open_begin(x->t, a, &backing), FS_MODE_NATIVE);
	assert_int_equal(backing, 9);
	assert_int_equal(fs_inode_open_end(x->t, a), 0);
	forget(x->t, a, 1);
	assert_int_equal(fs_inode_by_st_ino(x->t, 100), b);
	assert_int_equal(fs_inode_open_end(x->t, a), 9);
	check(x->t);
	assert_int_equal(fs_inode_by_st_ino(x->t, 100), b);
	fs_inode_retire(x->t, b, NULL);
	fs_inode_retire(x->t, b, NULL);               /* twice is once */
	check(x->t);
	assert_int_equal(fs_inode_open_end(x->t, b), 0);
	forget(x->t, b, 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void what_a_retired_node_was(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, "a", 100), b = learn(x->t, ROOT, "b", 101);
	struct stat st = { .st_ino = 100, .st_size = 7 }, other = { .st_size = 8 }, last = { .st_size = 1 };

	assert_false(fs_inode_last_stat(x->t, a, &last));
	fs_inode_retire(x->t, a, &st);
	fs_inode_retire(x->t, a, &other);       /* the first retirement counts */
	check(x->t);
	assert_true(fs_inode_last_stat(x->t, a, &last));
	assert_int_equal(last.st_size, 7);
	fs_inode_retire(x->t, b, NULL);
	assert_false(fs_inode_last_stat(x->t, b, &last));
	assert_false(fs_inode_last_stat(x->t, 4000, &last));
	fs_inode_retire(x->t, 4000, &st);
	forget(x->t, a, 1);
	forget(x->t, b, 1);
	assert_false(fs_inode_last_stat(x->t, a, &last));
}

static void natively_written_nodes(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, "a", 100);

	assert_false(fs_inode_native_written(x->t, a));
	fs_inode_set_native_written(x->t, a);
	assert_true(fs_inode_native_written(x->t, a));
	fs_inode_set_native_written(x->t, 4000);
	assert_false(fs_inode_native_written(x->t, 4000));
	forget(x->t, a, 1);
	assert_int_equal(learn(x->t, ROOT, "a", 101), a);       /* the id comes back, its past does not */
	assert_false(fs_inode_native_written(x->t, a));
	forget(x->t, a, 1);
}

static void open_modes(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, NULL, 100);      /* without a name */
	char path[PATH_MAX];
	int backing = 5;

	assert_false(fs_inode_path(x->t, a, 0, path));
	assert_int_equal(fs_inode_open_begin(x->t, a, &backing), FS_MODE_DECIDING);
	assert_int_equal(backing, 0);
	fs_inode_open_decided(x->t, a, FS_MODE_NATIVE, 3);
	assert_int_equal(fs_inode_open_begin(x->t, a, &backing), FS_MODE_NATIVE);
	assert_int_equal(backing, 3);
	forget(x->t, a, 1);                     /* opens alone keep it */
	assert_int_equal(fs_inode_count(x->t), 2);
	assert_int_equal(fs_inode_open_end(x->t, a), 0);
	check(x->t);
	assert_int_equal(fs_inode_open_end(x->t, a), 3);
	check(x->t);
	assert_int_equal(fs_inode_count(x->t), 1);
	a = learn(x->t, ROOT, "a", 100);        /* a new first open decides anew */
	assert_int_equal(fs_inode_open_begin(x->t, a, &backing), FS_MODE_DECIDING);
	fs_inode_open_decided(x->t, a, FS_MODE_CACHED, 0);
	assert_int_equal(fs_inode_open_end(x->t, a), 0);
	assert_int_equal(fs_inode_open_begin(x->t, a, &backing), FS_MODE_DECIDING);
	fs_inode_open_decided(x->t, a, FS_MODE_NATIVE, 4);
	assert_int_equal(fs_inode_open_end(x->t, a), 4);
	forget(x->t, a, 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static void growth(void **state)
{
	enum { N = 5000 };
	struct table *x = *state;
	uint64_t *ids = calloc(N, sizeof(*ids));
	char name[32], path[PATH_MAX];

	assert_non_null(ids);
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(fs_inode_learn(x->t, i < 10 ? ROOT : ids[i % 10], name, 1000 + i, &ids[i]), 0);
		if (i % 250 == 0)
			check(x->t);
	}
	check(x->t);
	assert_int_equal(fs_inode_count(x->t), N + 1);
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(fs_inode_by_st_ino(x->t, 1000 + i), ids[i]);
		assert_true(fs_inode_path(x->t, ids[i], 0, path));
		assert_string_equal(strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path, name);
	}
	for (unsigned i = 0; i < N; i++)
		fs_inode_forget(x->t, ids[i], 1);
	check(x->t);
	assert_int_equal(fs_inode_count(x->t), 1);
	free(ids);
}

/* Sixteen names of 255 bytes with their slashes and the final zero are PATH_MAX exactly. */
static void paths_up_to_path_max(void **state)
{
	struct table *x = *state;
	uint64_t ids[17] = { ROOT };
	char name[256], path[PATH_MAX];

	memset(name, 'd', 255);
	name[255] = '\0';
	for (unsigned i = 1; i <= 16; i++)
		ids[i] = learn(x->t, ids[i - 1], name, 100 + i);
	for (unsigned i = 1; i <= 16; i++) {
		bool fits = i * 256 <= PATH_MAX;        /* with the final zero */

		assert_int_equal(fs_inode_path(x->t, ids[i], 0, path), fits);
		if (fits)
			assert_int_equal(strlen(path), i * 256 - 1);
	}
	ids[0] = learn(x->t, ids[16], "x", 500);
	assert_false(fs_inode_path(x->t, ids[0], 0, path));
	forget(x->t, ids[0], 1);
	for (unsigned i = 1; i <= 16; i++)
		forget(x->t, ids[i], 1);
	assert_int_equal(fs_inode_count(x->t), 1);
}

/* Names are hints: when directories trade places behind the mount they can name each other. */
static void stale_names_in_a_circle(void **state)
{
	struct table *x = *state;
	uint64_t a = learn(x->t, ROOT, "a", 10), b = learn(x->t, a, "b", 11);
	char path[PATH_MAX];

	assert_int_equal(learn(x->t, b, "a", 10), a);
	(void)fs_inode_path(x->t, a, 0, path);  /* must end, whatever it says */
	(void)fs_inode_path(x->t, b, 0, path);
	(void)!fs_inode_open(x->t, a, O_PATH);
	check(x->t);
	assert_int_equal(learn(x->t, ROOT, "b", 11), b);
	assert_int_equal(learn(x->t, b, "a", 10), a);
	assert_path(x->t, b, 0, "b");           /* the newest name is tried first */
	fs_inode_unname(x->t, a, "b");
	check(x->t);
	assert_path(x->t, b, 0, "b");
	fs_inode_unname(x->t, ROOT, "a");
	assert_path(x->t, a, 0, "b/a");
	forget(x->t, a, 3);
	forget(x->t, b, 2);
	assert_int_equal(fs_inode_count(x->t), 1);
}

static uint64_t ino_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

static void assert_opens(struct fs_inodes *t, uint64_t id, uint64_t st_ino)
{
	int fd = fs_inode_open(t, id, O_RDONLY | O_NOFOLLOW);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, st_ino);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void opening_by_any_name_that_is_still_true(void **state)
{
	struct table *x = *state;
	char a[PATH_MAX], b[PATH_MAX], c[PATH_MAX];
	uint64_t ino, id;

	scratch_file(x->dir, "a", "one", 3);
	scratch_path(a, sizeof(a), x->dir, "a");
	scratch_path(b, sizeof(b), x->dir, "b");
	scratch_path(c, sizeof(c), x->dir, "c");
	assert_int_equal(link(a, b), 0);
	ino = ino_of(a);
	id = learn(x->t, ROOT, "a", ino);
	assert_int_equal(learn(x->t, ROOT, "b", ino), id);
	assert_opens(x->t, id, ino);
	assert_int_equal(unlink(b), 0);         /* behind the mount */
	assert_opens(x->t, id, ino);
	scratch_file(x->dir, "b", "two", 3);    /* the same name, another file */
	assert_true(ino_of(b) != ino);
	assert_opens(x->t, id, ino);
	assert_int_equal(rename(a, c), 0);
	assert_int_equal(fs_inode_open(x->t, id, O_PATH), -ESTALE);
	assert_int_equal(learn(x->t, ROOT, "c", ino), id);
	assert_opens(x->t, id, ino);
	forget(x->t, id, 3);
}

static void opening_through_a_handle(void **state)
{
	struct table *x = *state;
	char a[PATH_MAX];
	uint64_t ino, id;
	int fd, dup_fd;

	scratch_file(x->dir, "a", "one", 3);
	ino = ino_of(scratch_path(a, sizeof(a), x->dir, "a"));
	id = learn(x->t, ROOT, "a", ino);
	assert_int_equal(fs_inode_borrow(x->t, id), -ENOENT);
	fd = open(a, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	fs_inode_handle_add(x->t, id, fd, false);
	assert_int_equal(unlink(a), 0);
	assert_opens(x->t, id, ino);            /* no name leads there any more */
	dup_fd = fs_inode_borrow(x->t, id);
	assert_true(dup_fd >= 0 && dup_fd != fd);
	close(dup_fd);
	fs_inode_handle_del(x->t, id, fd + 1000);       /* another's */
	assert_opens(x->t, id, ino);
	fs_inode_handle_del(x->t, id, fd);
	close(fd);
	assert_int_equal(fs_inode_borrow(x->t, id), -ENOENT);
	assert_int_equal(fs_inode_open(x->t, id, O_PATH), -ESTALE);
	forget(x->t, id, 1);
}

/* The kernel looked a name up and opens it now; in between it was unlinked. */
static void opening_what_lost_its_last_name(void **state)
{
	struct table *x = *state;
	char a[PATH_MAX];
	uint64_t ino, id;
	int fd;

	scratch_file(x->dir, "a", "one", 3);
	ino = ino_of(scratch_path(a, sizeof(a), x->dir, "a"));
	id = learn(x->t, ROOT, "a", ino);
	fd = open(a, O_PATH | O_CLOEXEC);
	fs_inode_keep(x->t, id, fd);
	fs_inode_unkeep(x->t, id);              /* the name stayed */
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	fd = open(a, O_PATH | O_CLOEXEC);
	fs_inode_keep(x->t, id, fd);
	assert_int_equal(unlink(a), 0);
	fs_inode_retire(x->t, id, NULL);
	fs_inode_unname(x->t, ROOT, "a");
	assert_opens(x->t, id, ino);
	scratch_file(x->dir, "a", "two", 3);
	assert_opens(x->t, id, ino);
	forget(x->t, id, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	fd = open(a, O_PATH | O_CLOEXEC);
	fs_inode_keep(x->t, id, fd);            /* nobody's */
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void opening_does_not_follow_links(void **state)
{
	struct table *x = *state;
	char path[PATH_MAX], moved[PATH_MAX];
	uint64_t id, d, dir_ino;

	scratch_file(x->dir, "real/f", "one", 3);
	scratch_path(moved, sizeof(moved), x->dir, "moved");
	scratch_path(path, sizeof(path), x->dir, "real");
	dir_ino = ino_of(path);
	d = learn(x->t, ROOT, "real", dir_ino);
	id = learn(x->t, d, "f", ino_of(scratch_path(path, sizeof(path), x->dir, "real/f")));
	assert_int_equal(rename(scratch_path(path, sizeof(path), x->dir, "real"), moved), 0);
	assert_int_equal(symlink(moved, path), 0);
	assert_int_equal(fs_inode_open(x->t, id, O_RDONLY), -ESTALE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(moved, path), 0);
	assert_opens(x->t, id, fs_inode_st_ino(x->t, id));
	forget(x->t, id, 1);
	forget(x->t, d, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest fs_inode_tests[] = {
		TEST(the_root),
		TEST(ids_that_are_not_there),
		TEST(lookups_are_counted),
		TEST(a_forget_of_too_many_is_harmless),
		TEST(children_keep_their_parents),
		TEST(hard_links_share_a_node),
		TEST(a_name_moves_to_who_has_it_now),
		TEST(a_parent_nobody_knows),
		TEST(renames),
		TEST(a_rename_can_end_parents),
		TEST(a_number_that_comes_back),
		TEST(what_a_retired_node_was),
		TEST(natively_written_nodes),
		TEST(open_modes),
		TEST(growth),
		TEST(paths_up_to_path_max),
		TEST(stale_names_in_a_circle),
		TEST(opening_by_any_name_that_is_still_true),
		TEST(opening_through_a_handle),
		TEST(opening_what_lost_its_last_name),
		TEST(opening_does_not_follow_links),
	};

	return cmocka_run_group_tests(fs_inode_tests, NULL, NULL);
}
