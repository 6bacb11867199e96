#include "tests/unit/cache_place.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

int cache_place_setup(void **state)
{
	struct cache_place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	scratch_make(p->dir);
	scratch_file(p->dir, "home/blobs/f", "text", 4);
	scratch_path(p->home, sizeof(p->home), p->dir, "home");
	scratch_path(p->cache, sizeof(p->cache), p->dir, "cache");
	assert_int_equal(mkdir(p->cache, 0755), 0);
	p->home_fd = open(p->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->home_fd >= 0);
	p->cfg = (struct cache_config){
		.name = "nvme", .dir = p->cache, .size = 1ull << 30, .store = CACHE_PLACE_STORE,
		.home = p->home, .home_fd = p->home_fd, .io = &p->io,
	};
	cache_place_reopen(p);
	*state = p;
	return 0;
}

int cache_place_teardown(void **state)
{
	struct cache_place *p = *state;

	cache_close(p->c);
	close(p->home_fd);
	scratch_remove(p->dir);
	free(p);
	return 0;
}

int cache_place_open(struct cache_place *p)
{
	assert_null(p->c);
	p->err[0] = '\0';
	return cache_open(&p->c, &p->cfg, &p->found, p->err, sizeof(p->err));
}

void cache_place_close(struct cache_place *p)
{
	cache_close(p->c);
	p->c = NULL;
}

void cache_place_reopen(struct cache_place *p)
{
	int rc;

	cache_place_close(p);
	rc = cache_place_open(p);
	if (rc != 0)
		print_message("  %d: %s\n", rc, p->err);
	assert_int_equal(rc, 0);
}

void cache_place_refused(struct cache_place *p, int rc)
{
	unsigned files = cache_place_open_files();

	assert_int_equal(cache_place_open(p), rc);
	assert_null(p->c);
	assert_non_null(strstr(p->err, p->cfg.dir));
	assert_null(strchr(p->err, '\n'));
	assert_int_equal(cache_place_open_files(), files);
}

const char *cache_place_file(const struct cache_place *p, uint64_t blob)
{
	static _Thread_local char paths[4][SCRATCH_PATH + 64];
	static _Thread_local unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/copies/%016llx", p->cache, (unsigned long long)blob);
	return path;
}

unsigned cache_place_open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}
