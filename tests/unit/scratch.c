#include "tests/unit/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void scratch_make(char path[SCRATCH_PATH])
{
	snprintf(path, SCRATCH_PATH, "/var/tmp/hearth-test.XXXXXX");
	assert_non_null(mkdtemp(path));
}

static int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	(void)!remove(path);
	return 0;
}

void scratch_remove(const char *path)
{
	nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

const char *scratch_path(char *buf, size_t cap, const char *dir, const char *rel)
{
	assert_true(snprintf(buf, cap, "%s/%s", dir, rel) < (int)cap);
	return buf;
}

void scratch_file(const char *dir, const char *rel, const void *bytes, size_t len)
{
	char path[PATH_MAX];
	int fd;

	scratch_path(path, sizeof(path), dir, rel);
	for (char *slash = path + strlen(dir) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}
