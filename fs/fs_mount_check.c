#include "fs/fs_mount.h"
#include "fs/fs_mountinfo.h"
#include "tiering/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int fs_check_device(char *err, size_t errlen)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd != -1) {
		close(fd);
		return 0;
	}
	snprintf(err, errlen, "cannot open '/dev/fuse': %s; %s", strerror(errno),
		 errno == ENOENT || errno == ENODEV || errno == ENXIO
		 ? "load the module ('modprobe fuse'), or give the container the device and CAP_SYS_ADMIN"
		 : "run as root, or ask the administrator for access to the device");
	return -errno;
}

/* The absolute name of a directory that is there, or was until its daemon died. */
static int fs_check_resolve(const char *what, const char *dir, char out[4096], char *err, size_t errlen)
{
	struct stat st;

	if (realpath(dir, out) == NULL || stat(out, &st) == -1) {
		snprintf(err, errlen, "%s '%s': %s", what, dir, strerror(errno));
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(err, errlen, "%s '%s' is not a directory", what, dir);
		return -ENOTDIR;
	}
	return 0;
}

/* The absolute name of a path whose last component cannot be looked at. */
static bool fs_check_dead_path(const char *dir, char out[PATH_MAX])
{
	char copy[PATH_MAX], *base, *slash;
	int n;

	n = snprintf(copy, sizeof(copy), "%s%s", dir[0] == '/' ? "" : "./", dir);
	if (n >= (int)sizeof(copy))
		return false;
	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	slash = strrchr(copy, '/');
	base = slash + 1;
	*slash = '\0';
	if (realpath(slash == copy ? "/" : copy, out) == NULL)
		return false;
	n = (int)strlen(out);
	return snprintf(out + n, PATH_MAX - (size_t)n, "%s%s", out[n - 1] == '/' ? "" : "/", base) < PATH_MAX - n;
}

/* A daemon that was killed leaves its mount behind.  statvfs(3) always asks it, where stat(2) may be
 * answered from what the kernel remembers for a second. */
static bool fs_check_is_dead(const char *dir)
{
	struct statvfs sv;

	return statvfs(dir, &sv) == -1 && errno == ENOTCONN;
}

static void fs_check_clear_dead(const char *dir)
{
	char path[PATH_MAX];
	struct fs_mount m;

	if (!fs_check_is_dead(dir) || !fs_check_dead_path(dir, path))
		return;
	if (fs_mountinfo_at(path, &m) != 0 || strcmp(m.type, FS_MOUNT_TYPE) != 0)
		return;
	if (umount2(path, MNT_DETACH) == 0)
		log_info("detached the mount that a dead hearth left on '%s'", path);
}

struct fs_check_mounts {
	const char *home;
	char nested[PATH_MAX];          /* some mount below home, or "" */
	char shown[PATH_MAX];           /* where a hearth shows this home already, or "" */
};

static bool fs_check_look_at(void *ctx, const struct fs_mount *m)
{
	struct fs_check_mounts *c = ctx;

	if (fs_path_below(m->dir, c->home))
		snprintf(c->nested, sizeof(c->nested), "%s", m->dir);
	if (strcmp(m->type, FS_MOUNT_TYPE) == 0 && strcmp(m->source, c->home) == 0)
		snprintf(c->shown, sizeof(c->shown), "%s", m->dir);
	return true;
}

static int fs_check_home(const char *home, char *err, size_t errlen)
{
	struct fs_check_mounts c = { .home = home };
	struct fs_mount m;
	int rc;

	rc = fs_mountinfo_each(fs_check_look_at, &c);
	if (rc != 0) {
		snprintf(err, errlen, "cannot read /proc/self/mountinfo: %s", strerror(-rc));
		return rc;
	}
	if (c.shown[0] == '\0' && fs_mountinfo_of(home, &m) == 0 && strcmp(m.type, FS_MOUNT_TYPE) == 0)
		snprintf(c.shown, sizeof(c.shown), "%s", m.dir);
	if (c.shown[0] != '\0') {
		snprintf(err, errlen, "home '%s' is already mounted by another hearth (on '%s'%s)", home, c.shown,
			 fs_check_is_dead(c.shown) ? ", whose daemon is dead: unmount that first" : "");
		return -EBUSY;
	}
	if (c.nested[0] != '\0') {
		snprintf(err, errlen, "home '%s' spans file systems: '%s' is mounted inside it; "
			 "unmount that or give each file system a hearth of its own", home, c.nested);
		return -EXDEV;
	}
	return 0;
}

int fs_mount_check(const struct fs_mount_options *o, struct fs_places *out, char *err, size_t errlen)
{
	struct fs_places p;
	struct fs_mount m;
	int rc;

	fs_check_clear_dead(o->mountpoint);
	rc = fs_check_resolve("home", o->home, p.home, err, errlen);
	if (rc == 0)
		rc = fs_check_resolve("mountpoint", o->mountpoint, p.mountpoint, err, errlen);
	if (rc != 0)
		return rc;
	if (fs_path_below(p.home, p.mountpoint)) {
		snprintf(err, errlen, "home '%s' lies inside the mountpoint '%s', which would hide it; "
			 "mount on home itself or elsewhere", p.home, p.mountpoint);
		return -EINVAL;
	}
	if (fs_path_below(p.mountpoint, p.home)) {
		snprintf(err, errlen, "the mountpoint '%s' lies inside home '%s' and would show up in it; "
			 "mount on home itself or elsewhere", p.mountpoint, p.home);
		return -EINVAL;
	}
	rc = fs_check_home(p.home, err, errlen);
	if (rc != 0)
		return rc;
	if (fs_mountinfo_at(p.mountpoint, &m) == 0 && strcmp(m.type, FS_MOUNT_TYPE) == 0) {
		snprintf(err, errlen, "'%s' is already a hearth mount (of '%s')", p.mountpoint, m.source);
		return -EBUSY;
	}
	rc = fs_check_device(err, errlen);
	if (rc == 0)
		*out = p;
	return rc;
}
