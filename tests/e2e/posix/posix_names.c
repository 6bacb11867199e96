/* posix_names.c - names and paths: lengths, bytes, symbolic links, traversal. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void names_longest(void)
{
	char name[258];

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	px_make(name, 100, 1);
	px_verify(name, 100, 1);
	PX_OK(rename(name, "short"));
	PX_OK(link("short", name));
	PX_EQ(px_entries("."), 2);
	PX_OK(unlink(name));
	PX_OK(mkdir(name, 0755));
	PX_OK(rmdir(name));
	PX_OK(symlink("short", name));
	PX_OK(unlink(name));
}

static void names_too_long(void)
{
	char name[258];

	memset(name, 'n', sizeof(name));
	name[256] = 0;
	px_touch("a");
	PX_ERR(open(name, O_CREAT | O_RDWR, 0644), ENAMETOOLONG);
	PX_ERR(open(name, O_RDONLY), ENAMETOOLONG);
	PX_ERR(mkdir(name, 0755), ENAMETOOLONG);
	PX_ERR(rename("a", name), ENAMETOOLONG);
	PX_ERR(link("a", name), ENAMETOOLONG);
	PX_ERR(symlink("a", name), ENAMETOOLONG);
	PX_ERR(unlink(name), ENAMETOOLONG);
	PX_ERR(rmdir(name), ENAMETOOLONG);
	PX_EQ(px_entries("."), 1);
}

static void names_bytes(void)
{
	static const char *const names[] = {
		"sha256:0123", "registry.ollama.ai:5000", "a b", " lead", "tail ", "-dash", "...", "a\nb",
		"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5", "\xff\xfe\x80", "back\\slash", "\"quote'", "*?[x]",
		"\x01\x7f", ".hidden", "UPPER", "upper"
	};
	char path[300];
	size_t i;

	for (i = 0; i < PX_COUNT(names); i++)
		px_make(names[i], 10 + i, i);
	PX_EQ(px_entries("."), PX_COUNT(names));
	for (i = 0; i < PX_COUNT(names); i++) {
		px_verify(names[i], 10 + i, i);
		snprintf(path, sizeof(path), "%s.dir", names[i]);
		PX_OK(mkdir(path, 0755));
		snprintf(path, sizeof(path), "%s.dir/%s", names[i], names[i]);
		PX_OK(rename(names[i], path));
		px_verify(path, 10 + i, i);
	}
}

static void names_case_sensitive(void)
{
	px_make("Model", 10, 1);
	PX_EQ(px_exists("model"), 0);
	px_make("model", 20, 2);
	px_verify("Model", 10, 1);
	px_verify("model", 20, 2);
}

static void names_dot_and_dotdot(void)
{
	PX_OK(mkdir("d", 0755));
	PX_OK(mkdir("d/e", 0755));
	px_touch("d/e/f");
	PX_EQ(px_stat("d/e/../e/./f").st_ino, px_stat("d/e/f").st_ino);
	PX_EQ(px_stat("d/e/../..").st_ino, px_stat(".").st_ino);
	PX_EQ(px_stat("d//e///f").st_ino, px_stat("d/e/f").st_ino);
	PX_ERR(rmdir("d/e/."), EINVAL);
	PX_ERR(rmdir("d/e/.."), ENOTEMPTY);
	PX_ERR(open("d/none/../e/f", O_RDONLY), ENOENT);
}

static void names_deep(void)
{
	char cwd[PATH_MAX];
	int i;

	for (i = 0; i < 60; i++) {
		PX_OK(mkdir("abcdefghijklmnopqrstuvwxyz", 0755));
		PX_OK(chdir("abcdefghijklmnopqrstuvwxyz"));
	}
	px_make("f", 100, 1);
	PX_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	PX_TRUE(strlen(cwd) > 60 * 27);
	PX_OK(chdir(cwd));
	px_verify("f", 100, 1);
}

static void names_getcwd(void)
{
	char before[PATH_MAX], after[PATH_MAX], want[PATH_MAX + 8];

	PX_TRUE(getcwd(before, sizeof(before)) != NULL);
	PX_OK(mkdir("d", 0755));
	PX_OK(chdir("d"));
	PX_OK(rename("../d", "../e"));
	PX_TRUE(getcwd(after, sizeof(after)) != NULL);
	snprintf(want, sizeof(want), "%s/e", before);
	PX_EQ(strcmp(after, want), 0);
	PX_OK(rmdir("../e"));
	PX_TRUE(getcwd(after, sizeof(after)) == NULL);
	PX_EQ(errno, ENOENT);
}

static void symlink_readlink(const char *target)
{
	char got[PATH_MAX + 1];
	ssize_t n;

	PX_OK(symlink(target, "l"));
	n = PX_OK(readlink("l", got, sizeof(got)));
	PX_EQ(n, strlen(target));
	PX_EQ(memcmp(got, target, (size_t)n), 0);
	PX_EQ(px_stat("l").st_size, n);
	PX_TRUE(S_ISLNK(px_stat("l").st_mode));
	PX_EQ(PX_OK(readlink("l", got, 1)), 1);
	PX_OK(unlink("l"));
}

static void symlink_targets_exact(void)
{
	static const char *const targets[] = {
		"a", "../../blobs/sha256-00", "/abs/solute//path/", "./.", " ", "a:b", "\xff\xfe", "x\ny",
		"no/such/place"
	};
	char target[PATH_MAX];
	size_t i;

	for (i = 0; i < PX_COUNT(targets); i++)
		symlink_readlink(targets[i]);
	/* 59 and 60 are where ext4 moves the target out of the inode. */
	for (i = 50; i < PATH_MAX - 1; i = i < 70 ? i + 1 : i * 3) {
		memset(target, 't', i);
		target[i] = 0;
		symlink_readlink(target);
	}
	memset(target, 't', 4095);
	target[4095] = 0;
	if (symlink(target, "l") == 0)
		PX_EQ(PX_OK(readlink("l", target, sizeof(target))), 4095);
	else
		PX_EQ(errno, ENAMETOOLONG);
}

static void symlink_relative(void)
{
	PX_OK(mkdir("blobs", 0755));
	PX_OK(mkdir("snap", 0755));
	px_make("blobs/x", 5000, 1);
	PX_OK(symlink("../blobs/x", "snap/model.gguf"));
	px_verify("snap/model.gguf", 5000, 1);
	PX_OK(rename("snap/model.gguf", "wrong"));
	PX_ERR(open("wrong", O_RDONLY), ENOENT);
}

static void symlink_absolute(void)
{
	char cwd[PATH_MAX], path[PATH_MAX + 8];

	PX_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	snprintf(path, sizeof(path), "%s/f", cwd);
	px_make("f", 5000, 1);
	PX_OK(mkdir("d", 0755));
	PX_OK(symlink(path, "d/l"));
	px_verify("d/l", 5000, 1);
}

static void symlink_to_directory(void)
{
	PX_OK(mkdir("d", 0755));
	PX_OK(symlink("d", "l"));
	px_touch("l/f");
	PX_EQ(px_exists("d/f"), 1);
	PX_ERR(rmdir("l"), ENOTDIR);
	PX_ERR(open("l", O_RDONLY | O_DIRECTORY | O_NOFOLLOW), ENOTDIR);
	PX_OK(unlink("l"));
	PX_EQ(px_exists("d/f"), 1);
}

static void symlink_dangling(void)
{
	struct stat st;

	PX_OK(symlink("none", "l"));
	PX_ERR(open("l", O_RDONLY), ENOENT);
	PX_ERR(stat("l", &st), ENOENT);
	PX_OK(lstat("l", &st));
	PX_ERR(mkdir("l", 0755), EEXIST);
	px_touch("none");
	PX_OK(stat("l", &st));
}

static void symlink_loop(void)
{
	struct stat st;

	PX_OK(symlink("b", "a"));
	PX_OK(symlink("a", "b"));
	PX_ERR(open("a", O_RDONLY), ELOOP);
	PX_ERR(stat("a/x", &st), ELOOP);
	PX_OK(unlink("a"));
}

static void symlink_chain_limit(void)
{
	char from[16], to[16];
	int i;

	px_touch("s0");
	for (i = 0; i < 45; i++) {
		snprintf(from, sizeof(from), "s%d", i);
		snprintf(to, sizeof(to), "s%d", i + 1);
		PX_OK(symlink(from, to));
	}
	PX_OK(open("s40", O_RDONLY));
	PX_ERR(open("s41", O_RDONLY), ELOOP);
}

static void symlink_exists(void)
{
	px_touch("a");
	PX_ERR(symlink("x", "a"), EEXIST);
	PX_ERR(symlink("x", "no/a"), ENOENT);
	PX_ERR(symlink("", "b"), ENOENT);
	PX_ERR(readlink("a", (char[8]){ 0 }, 8), EINVAL);
}

static void symlink_owner_and_times(void)
{
	const struct timespec t[2] = { { 1111, 1 }, { 2222, 2 } };

	px_touch("f");
	PX_OK(symlink("f", "l"));
	PX_OK(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
	PX_EQ(px_stat("l").st_mtim.tv_sec, 2222);
	PX_EQ(px_stat("l").st_mtim.tv_nsec, 2);
	PX_TRUE(px_stat("f").st_mtim.tv_sec != 2222);
	if (geteuid() != 0)
		return;
	PX_OK(lchown("l", POSIX_UID, POSIX_TEAM));
	PX_EQ(px_stat("l").st_uid, POSIX_UID);
	PX_EQ(px_stat("f").st_uid, 0);
}

static const struct px_case cases[] = {
	PX_CASE(names_longest), PX_CASE(names_too_long), PX_CASE(names_bytes),
	PX_CASE(names_case_sensitive), PX_CASE(names_dot_and_dotdot), PX_CASE(names_deep),
	PX_CASE(names_getcwd), PX_CASE(symlink_targets_exact), PX_CASE(symlink_relative),
	PX_CASE(symlink_absolute), PX_CASE(symlink_to_directory), PX_CASE(symlink_dangling),
	PX_CASE(symlink_loop), PX_CASE(symlink_chain_limit), PX_CASE(symlink_exists),
	PX_CASE(symlink_owner_and_times)
};

const struct px_suite posix_names = PX_SUITE(cases);
