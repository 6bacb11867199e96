#include "tiering/cache_internal.h"
#include "tiering/log.h"
#include "tiering/sums.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define CACHE_MARK_NAME "hearth-cache"
#define CACHE_MARK_NEW  "hearth-cache.new"
#define CACHE_COPIES    "copies"

static int cache_lock_dir(const struct cache *c, char *err, size_t errlen)
{
	int rc = io_lock_dir(c->fd);

	if (rc != 0)
		snprintf(err, errlen, "cache '%s' is in use by another hearth, or named twice", c->dir);
	return rc;
}

static int cache_open_dir(struct cache *c, const char *dir, char *err, size_t errlen)
{
	int rc;

	c->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd != -1 && realpath(dir, c->dir) != NULL)
		return 0;
	rc = -errno;
	snprintf(err, errlen, "cache '%s': %s%s", dir, strerror(-rc), rc == -ENOENT ? "; make the directory first" : "");
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	return rc;
}

static bool cache_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the directory at fd is the one of dir or lies somewhere below it.  The walk leads upwards, out of what
 * io.h opens.  A directory that cannot be entered ends it. */
static bool cache_lies_in(int fd, const struct stat *dir)
{
	struct stat st, below = { 0 };
	bool in = false;
	int at, up;

	at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int depth = 0; at != -1 && depth < PATH_MAX; depth++) {
		if (fstat(at, &st) == -1 || (depth > 0 && cache_same_file(&st, &below)))
			break;          /* the root is its own parent */
		in = cache_same_file(&st, dir);
		if (in)
			break;
		below = st;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
	}
	if (at != -1)
		close(at);
	return in;
}

static int cache_check_home(const struct cache *c, const struct cache_config *cfg, bool *same_device, char *err, size_t errlen)
{
	struct stat st, home;
	int rc;

	rc = io_fstat(c->io, c->fd, &st);
	if (rc == 0)
		rc = io_fstat(c->io, cfg->home_fd, &home);
	if (rc != 0) {
		snprintf(err, errlen, "cannot stat cache '%s' or home '%s': %s", c->dir, cfg->home, strerror(-rc));
		return rc;
	}
	if (cache_lies_in(c->fd, &home) || cache_lies_in(cfg->home_fd, &st)) {
		snprintf(err, errlen, "cache '%s' and home '%s' are one directory or lie in each other; give the cache one of its own",
			 c->dir, cfg->home);
		return -EINVAL;
	}
	*same_device = st.st_dev == home.st_dev;
	return 0;
}

static int cache_check_size(struct cache *c, uint64_t min, char *err, size_t errlen)
{
	struct statvfs sv;
	uint64_t total;
	int rc;

	if (c->size < min) {
		snprintf(err, errlen, "cache '%s': its size is below %llu MiB", c->dir, (unsigned long long)min >> 20);
		return -EINVAL;
	}
	rc = io_fstatvfs(c->io, c->fd, &sv);
	if (rc != 0) {
		snprintf(err, errlen, "cache '%s': cannot ask for its space: %s", c->dir, strerror(-rc));
		return rc;
	}
	if (sv.f_flag & ST_RDONLY) {
		snprintf(err, errlen, "cache '%s' is on a file system that is mounted read-only", c->dir);
		return -EROFS;
	}
	total = (uint64_t)sv.f_blocks * sv.f_frsize;
	if (c->size > total) {
		snprintf(err, errlen, "cache '%s': a size of %llu MiB is more than its file system has, %llu MiB", c->dir,
			 (unsigned long long)c->size >> 20, (unsigned long long)total >> 20);
		return -EINVAL;
	}
	c->device_keep = total / 50 > CACHE_KEEP_FREE ? total / 50 : CACHE_KEEP_FREE;
	c->device_free = (uint64_t)sv.f_bavail * sv.f_frsize;
	c->looked_ms = cache_now_ms();
	return 0;
}

/* ---- the mark ---- */

int cache_sync_dir(const struct cache *c, int fd)
{
	int rc = io_fsync(c->io, fd);

	return rc == -EINVAL ? 0 : rc;          /* a file system whose directories need no fsync */
}

int cache_mark_write(const struct cache *c, const struct cache_mark *m)
{
	char buf[CACHE_MARK_MAX];
	size_t len = cache_mark_print(m, buf);
	ssize_t n;
	int fd, rc;

	fd = io_open_beneath(c->io, c->fd, CACHE_MARK_NEW, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return fd;
	n = io_pwrite(c->io, fd, buf, len, 0);
	rc = n < 0 ? (int)n : (size_t)n < len ? -ENOSPC : io_fsync(c->io, fd);
	io_close(c->io, fd);
	if (rc == 0)
		rc = io_renameat(c->io, c->fd, CACHE_MARK_NEW, c->fd, CACHE_MARK_NAME, 0);
	if (rc != 0) {
		io_unlinkat(c->io, c->fd, CACHE_MARK_NEW, 0);
		return rc;
	}
	return cache_sync_dir(c, c->fd);
}

/* 0, -ENOENT: there is none; -EPROTO and a few words; or what the system says. */
static int cache_mark_read(const struct cache *c, struct cache_mark *m, char *err, size_t errlen)
{
	char buf[CACHE_MARK_MAX + 1];
	struct stat st;
	ssize_t n;
	int fd, rc;

	fd = io_open_beneath(c->io, c->fd, CACHE_MARK_NAME, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0) {
		snprintf(err, errlen, "cannot be opened: %s", strerror(-fd));
		return fd;
	}
	rc = io_fstat(c->io, fd, &st);
	if (rc == 0 && !S_ISREG(st.st_mode)) {
		rc = -EPROTO;
		snprintf(err, errlen, "is no regular file");
		goto close_fd;
	}
	n = rc == 0 ? io_pread(c->io, fd, buf, sizeof(buf), 0) : rc;
	if (n < 0) {
		rc = (int)n;
		snprintf(err, errlen, "cannot be read: %s", strerror(-rc));
		goto close_fd;
	}
	rc = cache_mark_parse(buf, (size_t)n, m, err, errlen);
close_fd:
	io_close(c->io, fd);
	return rc;
}

int cache_each_name(const struct cache *c, int dirfd, int (*each)(void *ctx, const char *name), void *ctx)
{
	_Alignas(struct dirent64) char buf[8192];
	ssize_t n;
	int fd, rc = 0;

	fd = io_open_beneath(c->io, dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	while (rc == 0 && (n = io_getdents(c->io, fd, buf, sizeof(buf))) != 0) {
		if (n < 0)
			rc = (int)n;
		for (ssize_t at = 0; at < n && rc == 0;) {
			const struct dirent64 *d = (const void *)(buf + at);

			at += d->d_reclen;
			if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
				rc = each(ctx, d->d_name);
		}
	}
	io_close(c->io, fd);
	return rc;
}

/* A file system's own directory is no content, nor is a mark whose making was cut short. */
static int cache_not_empty(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "lost+found") != 0 && strcmp(name, CACHE_MARK_NEW) != 0 ? -ENOTEMPTY : 0;
}

static int cache_uuid_new(uint8_t uuid[16])
{
	uint64_t part[2];
	int rc;

	rc = sums_blob_id(&part[0]);
	if (rc == 0)
		rc = sums_blob_id(&part[1]);
	if (rc == 0)
		memcpy(uuid, part, sizeof(part));
	return rc;
}

static int cache_mark_first(struct cache *c, char *err, size_t errlen)
{
	int rc;

	rc = cache_each_name(c, c->fd, cache_not_empty, NULL);
	if (rc == -ENOTEMPTY) {
		snprintf(err, errlen, "'%s' is not empty and is no cache; give an empty directory", c->dir);
		return rc;
	}
	if (rc == 0)
		rc = cache_uuid_new(c->mark.uuid);
	if (rc == 0) {
		c->mark.epoch = 1;
		rc = cache_mark_write(c, &c->mark);
	}
	if (rc != 0)
		snprintf(err, errlen, "cache '%s': cannot mark it: %s", c->dir, strerror(-rc));
	return rc;
}

/* Home may have moved; the cache is still its.  The old mark is as good when there is no space for a new one. */
static int cache_mark_known(struct cache *c, const struct cache_mark *m, char *err, size_t errlen)
{
	bool moved = strcmp(m->home, c->mark.home) != 0;
	int rc = 0;

	if (m->store != c->mark.store) {
		snprintf(err, errlen, "cache '%s' belongs to another store, whose home was '%s'; give another directory, or empty it",
			 c->dir, m->home);
		return -EXDEV;
	}
	memcpy(c->mark.uuid, m->uuid, sizeof(m->uuid));
	c->mark.epoch = m->epoch;
	if (moved)
		rc = cache_mark_write(c, &c->mark);
	if (rc == -ENOSPC)
		rc = 0;
	if (rc != 0)
		snprintf(err, errlen, "cache '%s': cannot renew its mark: %s", c->dir, strerror(-rc));
	return rc;
}

static int cache_find_mark(struct cache *c, bool *fresh, char *err, size_t errlen)
{
	struct cache_mark m;
	char why[96];
	int rc;

	rc = cache_mark_read(c, &m, why, sizeof(why));
	*fresh = rc == -ENOENT;
	if (rc == -ENOENT)
		return cache_mark_first(c, err, errlen);
	if (rc == 0)
		return cache_mark_known(c, &m, err, errlen);
	snprintf(err, errlen, "'%s/" CACHE_MARK_NAME "' %s%s", c->dir, why,
		 rc == -EPROTO ? "; empty the directory to make a new cache of it" : "");
	return rc;
}

/* The probe's file is opened to see whether the directory can be written at all. */
static int cache_open_inside(struct cache *c, char *err, size_t errlen)
{
	bool direct;
	int fd, rc;

	rc = io_mkdirat(c->io, c->fd, CACHE_COPIES, 0700);
	if (rc == 0)
		rc = cache_sync_dir(c, c->fd);
	if (rc != 0 && rc != -EEXIST)
		goto say;
	fd = cache_probe_open(c, &direct);
	rc = fd < 0 ? fd : 0;
	if (rc != 0 && rc != -ENOSPC)
		goto say;
	if (fd >= 0)
		io_close(c->io, fd);
	c->copies_fd = io_open_beneath(c->io, c->fd, CACHE_COPIES, O_RDONLY | O_DIRECTORY, 0);
	rc = c->copies_fd < 0 ? c->copies_fd : 0;
	if (rc == 0)
		return 0;
say:
	snprintf(err, errlen, "cache '%s': cannot write in it: %s", c->dir, strerror(-rc));
	return rc;
}

/* ---- open and close ---- */

static int cache_setup(struct cache *c, const struct cache_config *cfg, char *err, size_t errlen)
{
	c->io = cfg->io;
	c->size = cfg->size;
	c->fd = c->copies_fd = -1;
	c->mark.store = cfg->store;
	c->in_service = true;
	for (int i = 0; i < CACHE_READS_LIMIT - 1; i++)
		c->read_failed_ms[i] = INT64_MIN / 2;
	if (strlen(cfg->name) > CACHE_NAME_MAX || strlen(cfg->home) >= sizeof(c->mark.home) || cfg->store == 0) {
		snprintf(err, errlen, "cache '%s': its name or home's path is too long, or its store is 0", cfg->dir);
		return -EINVAL;
	}
	strcpy(c->name, cfg->name);
	strcpy(c->mark.home, cfg->home);
	return 0;
}

static int cache_open_files(struct cache *c, const struct cache_config *cfg, struct cache_found *f, char *err, size_t errlen)
{
	int rc;

	rc = cache_open_dir(c, cfg->dir, err, errlen);
	if (rc == 0)
		rc = cache_check_home(c, cfg, &f->same_device, err, errlen);
	if (rc == 0)
		rc = cache_check_size(c, cfg->size_min > 0 ? cfg->size_min : CACHE_SIZE_MIN, err, errlen);
	if (rc == 0)
		rc = cache_lock_dir(c, err, errlen);
	if (rc == 0)
		rc = cache_find_mark(c, &f->fresh, err, errlen);
	if (rc == 0)
		rc = cache_open_inside(c, err, errlen);
	return rc;
}

int cache_open(struct cache **out, const struct cache_config *cfg, struct cache_found *found, char *err, size_t errlen)
{
	struct cache_found f = { .fresh = false };
	struct cache *c;
	int rc;

	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	rc = cache_setup(c, cfg, err, errlen);
	if (rc != 0)
		goto free_cache;
	rc = cache_open_files(c, cfg, &f, err, errlen);
	if (rc != 0)
		goto close_fds;
	rc = -pthread_mutex_init(&c->lock, NULL);
	if (rc != 0)
		goto close_fds;
	rc = -pthread_cond_init(&c->changed, NULL);
	if (rc != 0)
		goto destroy_lock;
	memcpy(f.uuid, c->mark.uuid, sizeof(f.uuid));
	f.epoch = c->mark.epoch;
	*found = f;
	*out = c;
	return 0;

destroy_lock:
	pthread_mutex_destroy(&c->lock);
close_fds:
	if (c->copies_fd >= 0)
		io_close(c->io, c->copies_fd);
	if (c->fd >= 0)
		io_close(c->io, c->fd);
free_cache:
	free(c);
	return rc;
}

void cache_close(struct cache *c)
{
	struct cache_copy *next;

	if (c == NULL)
		return;
	for (struct cache_copy *copy = c->unlinked; copy != NULL; copy = next) {
		next = copy->next;
		io_close(c->io, copy->fd);
		free(copy);
	}
	io_close(c->io, c->copies_fd);
	io_close(c->io, c->fd);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
