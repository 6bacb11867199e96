#include "tiering/home.h"
#include "tiering/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

struct home {
	const struct io *io;
	int fd;
	dev_t dev;
	long fs_type;                   /* statfs(2) f_type */
	char path[PATH_MAX];
};

static int home_lock(struct home *h, char *err, size_t errlen)
{
	int rc = io_lock_dir(h->fd);

	if (rc != 0)
		snprintf(err, errlen, "home '%s' is already mounted by another hearth", h->path);
	return rc;
}

int home_open(struct home **out, const char *dir, const struct io *io, char *err, size_t errlen)
{
	struct statfs sf;
	struct stat st;
	struct home *h;
	int rc;

	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->io = io;
	h->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->fd == -1 || realpath(dir, h->path) == NULL) {
		rc = -errno;
		snprintf(err, errlen, "home '%s': %s", dir, strerror(errno));
		goto close_fd;
	}
	if (fstat(h->fd, &st) == -1 || fstatfs(h->fd, &sf) == -1) {
		rc = -errno;
		snprintf(err, errlen, "cannot stat home '%s': %s", dir, strerror(errno));
		goto close_fd;
	}
	h->dev = st.st_dev;
	h->fs_type = sf.f_type;
	rc = home_lock(h, err, errlen);
	if (rc != 0)
		goto close_fd;
	*out = h;
	return 0;

close_fd:
	if (h->fd != -1)
		close(h->fd);
	free(h);
	return rc;
}

void home_close(struct home *h)
{
	if (h == NULL)
		return;
	close(h->fd);
	free(h);
}

const char *home_path(const struct home *h)
{
	return h->path;
}

bool home_is_stacked(const struct home *h)
{
	return h->fs_type == OVERLAYFS_SUPER_MAGIC;
}

bool home_is_network(const struct home *h)
{
	return h->fs_type == NFS_SUPER_MAGIC;
}

/* Subvolumes have an st_dev of their own without being mounts, so openat2 lets them through. */
static int home_check_dev(const struct home *h, int fd)
{
	struct stat st;
	int rc;

	rc = io_fstat(h->io, fd, &st);
	if (rc == 0 && st.st_dev != h->dev)
		rc = -EXDEV;
	return rc;
}

int home_openat_dir(const struct home *h, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd, rc;

	fd = io_open_beneath(h->io, dirfd, name, flags, mode);
	if (fd < 0)
		return fd;
	rc = home_check_dev(h, fd);
	if (rc != 0) {
		io_close(h->io, fd);
		return rc;
	}
	return fd;
}

int home_openat(const struct home *h, const char *rel, int flags)
{
	return home_openat_dir(h, h->fd, rel[0] == '\0' ? "." : rel, flags, 0);
}

int home_statvfs(const struct home *h, struct statvfs *sv)
{
	return io_fstatvfs(h->io, h->fd, sv);
}

int home_list(const struct home *h, int dirfd, int (*each)(void *ctx, const char *name), void *ctx)
{
	_Alignas(struct dirent64) char buf[8192];
	ssize_t n;
	int rc = 0;

	while ((n = io_getdents(h->io, dirfd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n && rc == 0;) {
			const struct dirent64 *d = (const void *)(buf + at);

			at += d->d_reclen;
			if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
				rc = each(ctx, d->d_name);
		}
		if (rc != 0)
			return rc;
	}
	return (int)n;
}

static int home_sync_dir(const struct home *h, const char *rel)
{
	int fd, rc;

	fd = home_openat(h, rel, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	rc = io_fsync(h->io, fd);
	if (rc == -EINVAL)              /* a file system whose directories need no fsync */
		rc = 0;
	io_close(h->io, fd);
	return rc;
}

int home_sync_dirs(const struct home *h, const char *rel)
{
	char path[PATH_MAX];
	char *slash;
	int rc;

	if (strlen(rel) >= sizeof(path))
		return -ENAMETOOLONG;
	strcpy(path, rel);
	for (;;) {
		rc = home_sync_dir(h, path);
		if (rc != 0 || path[0] == '\0')
			return rc;
		slash = strrchr(path, '/');
		*(slash != NULL ? slash : path) = '\0';
	}
}

struct home_ident home_ident(const struct stat *st)
{
	return (struct home_ident){
		.ino = st->st_ino, .size = (uint64_t)st->st_size, .mtime = st->st_mtim, .ctime = st->st_ctim,
	};
}

static bool home_time_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool home_ident_same_data(const struct home_ident *a, const struct home_ident *b)
{
	return a->ino == b->ino && a->size == b->size && home_time_equal(a->mtime, b->mtime);
}

bool home_ident_equal(const struct home_ident *a, const struct home_ident *b)
{
	return home_ident_same_data(a, b) && home_time_equal(a->ctime, b->ctime);
}

bool home_ident_settled(const struct home_ident *id, const struct timespec *now)
{
	return now->tv_sec - id->mtime.tv_sec > 2 && now->tv_sec - id->ctime.tv_sec > 2;
}
