/* posix_dir.c - directories: making, removing, reading. */
#include "tests/e2e/posix/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIR_MANY = 5000 };

static void dir_modes(void)
{
	static const mode_t modes[] = { 0, 0700, 0755, 0777, 01777 };
	char name[16];
	size_t i;

	umask(0);
	for (i = 0; i < PX_COUNT(modes); i++) {
		snprintf(name, sizeof(name), "d%zu", i);
		PX_OK(mkdir(name, modes[i]));
		PX_EQ(px_stat(name).st_mode, S_IFDIR | modes[i]);
		PX_EQ(px_stat(name).st_nlink, 2);
	}
}

static void dir_errors(void)
{
	px_touch("f");
	PX_OK(mkdir("d", 0755));
	PX_ERR(mkdir("d", 0755), EEXIST);
	PX_ERR(mkdir("f", 0755), EEXIST);
	PX_ERR(mkdir("no/d", 0755), ENOENT);
	PX_ERR(mkdir("f/d", 0755), ENOTDIR);
	PX_ERR(rmdir("f"), ENOTDIR);
	PX_ERR(rmdir("no"), ENOENT);
	PX_ERR(rmdir("d/."), EINVAL);
	px_touch("d/x");
	PX_ERR(rmdir("d"), ENOTEMPTY);
	PX_OK(unlink("d/x"));
	PX_OK(rmdir("d"));
	PX_EQ(px_exists("d"), 0);
}

static void dir_nlink(void)
{
	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("d/a", 0755));
	PX_OK(mkdir("d/b", 0755));
	px_touch("d/f");
	PX_EQ(px_stat("d").st_nlink, 4);
	PX_OK(rmdir("d/a"));
	PX_EQ(px_stat("d").st_nlink, 3);
}

static void dir_removed_while_open(void)
{
	DIR *d;

	PX_OK(mkdir("d", 0755));
	d = opendir("d");
	PX_TRUE(d != NULL);
	PX_OK(rmdir("d"));
	PX_EQ(px_fstat(dirfd(d)).st_nlink, 0);
	errno = 0;
	while (readdir(d) != NULL)
		;
	PX_TRUE(errno == 0 || errno == ENOENT);
}

static void dir_many_make(const char *dir)
{
	char path[64];
	int i;

	PX_OK(mkdir(dir, 0755));
	for (i = 0; i < DIR_MANY; i++) {
		snprintf(path, sizeof(path), "%s/entry-%d", dir, i);
		px_touch(path);
	}
}

/* Marks what d lists from its position on; fails where an entry comes twice or is unknown. */
static int dir_mark(DIR *d, uint8_t *seen)
{
	struct dirent *e;
	int n = 0, i;

	errno = 0;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		PX_EQ(sscanf(e->d_name, "entry-%d", &i), 1);
		PX_TRUE(i >= 0 && i < DIR_MANY);
		PX_EQ(seen[i], 0);
		seen[i] = 1;
		n++;
	}
	PX_EQ(errno, 0);
	return n;
}

static void dir_lists_all(void)
{
	uint8_t *seen = px_alloc(DIR_MANY);
	DIR *d;

	dir_many_make("d");
	d = opendir("d");
	PX_TRUE(d != NULL);
	PX_EQ(dir_mark(d, seen), DIR_MANY);
	memset(seen, 0, DIR_MANY);
	rewinddir(d);
	PX_EQ(dir_mark(d, seen), DIR_MANY);
}

/* What is there all the time is listed once, whatever is removed meanwhile. */
static void dir_lists_while_deleting(void)
{
	uint8_t *seen = px_alloc(DIR_MANY);
	struct dirent *e;
	char path[300];
	int i, kept = 0;
	DIR *d;

	dir_many_make("d");
	d = opendir("d");
	PX_TRUE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		PX_EQ(sscanf(e->d_name, "entry-%d", &i), 1);
		PX_EQ(seen[i], 0);
		seen[i] = 1;
		snprintf(path, sizeof(path), "d/%s", e->d_name);
		if (i % 3 != 0)
			PX_OK(unlink(path));
		else
			kept++;
	}
	PX_EQ(kept, (DIR_MANY + 2) / 3);
	PX_EQ(px_entries("d"), kept);
}

/* rm -r as everybody writes it: list, unlink each entry at once, remove. */
static void dir_deleted_while_listing(void)
{
	struct dirent *e;
	char path[300];
	DIR *d;

	dir_many_make("d");
	d = opendir("d");
	PX_TRUE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "d/%s", e->d_name);
		if (e->d_name[0] != '.')
			PX_OK(unlink(path));
	}
	PX_OK(rmdir("d"));
}

static void dir_seek(void)
{
	uint8_t *seen = px_alloc(DIR_MANY);
	char name[256];
	struct dirent *e;
	long pos;
	DIR *d;
	int i, n;

	dir_many_make("d");
	d = opendir("d");
	PX_TRUE(d != NULL);
	for (i = 0; i < 1234; i++)
		PX_TRUE(readdir(d) != NULL);
	pos = telldir(d);
	e = readdir(d);
	PX_TRUE(e != NULL);
	snprintf(name, sizeof(name), "%s", e->d_name);
	n = dir_mark(d, seen);
	seekdir(d, pos);
	e = readdir(d);
	PX_TRUE(e != NULL);
	PX_EQ(strcmp(e->d_name, name), 0);
	memset(seen, 0, DIR_MANY);
	PX_EQ(dir_mark(d, seen), n);
}

static void dir_types(void)
{
	static const struct { const char *name; unsigned char type; } want[] = {
		{ ".", DT_DIR }, { "..", DT_DIR }, { "dir", DT_DIR }, { "file", DT_REG }, { "link", DT_LNK },
		{ "pipe", DT_FIFO }
	};
	struct dirent *e;
	size_t i, n = 0;
	DIR *d;

	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("d/dir", 0755));
	px_touch("d/file");
	PX_OK(symlink("dir", "d/link"));
	if (mkfifo("d/pipe", 0644) != 0)
		px_skip("no fifos here");
	d = opendir("d");
	PX_TRUE(d != NULL);
	for (; (e = readdir(d)) != NULL; n++) {
		for (i = 0; strcmp(e->d_name, want[i].name) != 0; i++)
			PX_TRUE(i + 1 < PX_COUNT(want));
		PX_TRUE(e->d_type == want[i].type || e->d_type == DT_UNKNOWN);
		PX_TRUE(e->d_type != DT_UNKNOWN);
	}
	PX_EQ(n, PX_COUNT(want));
}

static void dir_inode_numbers(void)
{
	struct dirent *e;
	char path[300];
	DIR *d;
	int i;

	PX_OK(mkdir("d", 0755));
	for (i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "d/%d", i);
		px_touch(path);
	}
	d = opendir("d");
	PX_TRUE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "d/%s", e->d_name);
		if (e->d_name[0] != '.')
			PX_EQ(e->d_ino, px_stat(path).st_ino);
	}
}

static void dir_sees_changes_on_rewind(void)
{
	DIR *d;
	int i;

	PX_OK(mkdir("d", 0755));
	d = opendir("d");
	PX_TRUE(d != NULL);
	for (i = 0; i < 10; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d/%d", i);
		px_touch(path);
		PX_EQ(px_entries("d"), i + 1);
	}
	rewinddir(d);
	for (i = 0; readdir(d) != NULL; i++)
		;
	PX_EQ(i, 12);
}

static void dir_opened_before_many_changes(void)
{
	char path[64];
	DIR *d;
	int i, n;

	PX_OK(mkdir("d", 0755));
	for (i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "d/stay-%d", i);
		px_touch(path);
	}
	d = opendir("d");
	PX_TRUE(d != NULL);
	PX_TRUE(readdir(d) != NULL);
	for (i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "d/new-%d", i);
		px_touch(path);
		PX_OK(unlink(path));
	}
	rewinddir(d);
	for (n = 0; readdir(d) != NULL; n++)
		;
	PX_EQ(n, 102);
}

static int dir_only_digits(const struct dirent *e)
{
	return e->d_name[0] >= '0' && e->d_name[0] <= '9';
}

static void dir_scandir_order(void)
{
	struct dirent **list;
	char path[32];
	int i;

	PX_OK(mkdir("d", 0755));
	for (i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "d/%03d", (i * 37) % 100);
		px_touch(path);
	}
	PX_EQ(PX_OK(scandir("d", &list, dir_only_digits, alphasort)), 100);
	for (i = 0; i < 100; i++)
		PX_EQ(atoi(list[i]->d_name), i);
}

static void dir_setgid_inheritance(void)
{
	PX_OK(mkdir("d", 0777));
	if (geteuid() != 0)
		px_skip("needs root");
	PX_OK(chown("d", 0, POSIX_TEAM));
	PX_OK(chmod("d", 02777));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	px_touch("d/f");
	PX_OK(mkdir("d/sub", 0755));
	PX_EQ(px_stat("d/f").st_gid, POSIX_TEAM);
	PX_EQ(px_stat("d/sub").st_gid, POSIX_TEAM);
	PX_TRUE(px_stat("d/sub").st_mode & S_ISGID);
	PX_OK(symlink("x", "d/l"));
	PX_EQ(px_stat("d/l").st_gid, POSIX_TEAM);
}

static void dir_fsync(void)
{
	int d;

	PX_OK(mkdir("d", 0755));
	px_make("d/f", 5000, 1);
	d = (int)PX_OK(open("d", O_RDONLY | O_DIRECTORY));
	PX_OK(fsync(d));
	PX_OK(fdatasync(d));
	PX_OK(rename("d/f", "d/g"));
	PX_OK(fsync(d));
}

static const struct px_case cases[] = {
	PX_CASE(dir_modes), PX_CASE(dir_errors), PX_CASE(dir_nlink), PX_CASE(dir_removed_while_open),
	PX_CASE(dir_lists_all), PX_CASE(dir_lists_while_deleting), PX_CASE(dir_deleted_while_listing),
	PX_CASE(dir_seek), PX_CASE(dir_types), PX_CASE(dir_inode_numbers),
	PX_CASE(dir_sees_changes_on_rewind), PX_CASE(dir_opened_before_many_changes),
	PX_CASE(dir_scandir_order), PX_CASE(dir_setgid_inheritance), PX_CASE(dir_fsync)
};

const struct px_suite posix_dir = PX_SUITE(cases);
