/* fs_cli_mount.c - hearth mount, hearth umount, and mount.hearth for mount(8) and fstab(5). */
#include "fs/fs_cli.h"
#include "fs/fs_mount.h"
#include "fs/fs_mountinfo.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fs_mount_args {
	struct fs_mount_options o;
	const char *list;               /* -o */
	const char *source;             /* mount(8)'s first argument: home, unless the list names one */
};

#define AT_O(member) (offsetof(struct fs_mount_args, o) + offsetof(struct fs_mount_options, member))

static const struct fs_option fs_mount_table[] = {
	{ "home", 0, FS_OPTION_TEXT, AT_O(home), "DIR", "the directory that holds the models" },
	{ "cache", 0, FS_OPTION_LIST, AT_O(cache), "SPEC", "NAME=DIR,size=SIZE: copies on a faster disk; again for more, fastest first" },
	{ "ram", 0, FS_OPTION_TEXT, AT_O(ram), "SIZE|PERCENT", "hold hot models in memory, up to so much (50%; 0: none)" },
	{ "native", 0, FS_OPTION_TEXT, AT_O(native), "auto|home|off",
	  "kernel passthrough where it can be had (auto), from home only (home), or never (off)" },
	{ "foreground", 'f', FS_OPTION_FLAG, AT_O(foreground), NULL, "stay in the foreground, say things on standard error" },
	{ "debug", 'd', FS_OPTION_FLAG, AT_O(debug), NULL, "show every request; implies --foreground" },
	{ "options", 'o', FS_OPTION_TEXT, offsetof(struct fs_mount_args, list), "LIST",
	  "the same options as NAME=VALUE,... and mount(8)'s own" },
};

/* mount(8)'s words that are for itself, for the boot sequence, or already so. */
static bool fs_mount_word_ignored(const char *word)
{
	static const char *const words[] = {
		"defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail",
		"rw", "nosuid", "nodev", "noatime", "relatime", "strictatime", "nodiratime", "dev", "suid", "allow_other", "default_permissions",
	};

	if (strncmp(word, "x-", 2) == 0 || strncmp(word, "comment=", 8) == 0)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

static bool fs_mount_word_for_kernel(const char *word)
{
	static const char *const words[] = { "ro", "exec", "noexec", "sync", "async", "dirsync", "atime" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

/* Split a -o list in place: ours into a, the kernel's into kernel (cap bytes), separated by commas. */
static int fs_mount_take_list(char *list, struct fs_mount_args *a, char *kernel, size_t cap, char *err, size_t errlen)
{
	bool after_cache = false;
	char *save = NULL;

	for (char *w = strtok_r(list, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save)) {
		size_t used = strlen(kernel);
		int rc;

		if (after_cache && strncmp(w, "size=", 5) == 0) {
			w[-1] = ',';            /* the rest of the cache before it, which is kept where it stands */
			after_cache = false;
			continue;
		}
		after_cache = strncmp(w, "cache=", 6) == 0;
		rc = fs_options_take(fs_mount_table, sizeof(fs_mount_table) / sizeof(fs_mount_table[0]), a, w, err, errlen);
		if (rc == -EINVAL)
			return rc;
		if (rc == 0 || fs_mount_word_ignored(w))
			continue;
		if (!fs_mount_word_for_kernel(w)) {
			snprintf(err, errlen, "unknown mount option '%s'", w);
			return -EINVAL;
		}
		snprintf(kernel + used, cap - used, "%s%s", used > 0 ? "," : "", w);
	}
	return 0;
}

static int fs_mount_go(const struct fs_command *c, struct fs_mount_args *a, const struct io *io)
{
	char err[256] = "", kernel[256] = "", *list = NULL;
	int rc = 0;

	if (a->list != NULL) {
		list = strdup(a->list);
		rc = list == NULL ? -ENOMEM : fs_mount_take_list(list, a, kernel, sizeof(kernel), err, sizeof(err));
	}
	if (a->o.home == NULL)
		a->o.home = a->source;
	if (rc == 0 && a->o.home == NULL) {
		snprintf(err, sizeof(err), "--home is missing");
		rc = -EINVAL;
	}
	if (rc == 0 && a->o.native != NULL && strcmp(a->o.native, "auto") != 0 && strcmp(a->o.native, "home") != 0 &&
	    strcmp(a->o.native, "off") != 0) {
		snprintf(err, sizeof(err), "--native is 'auto', 'home' or 'off', not '%s'", a->o.native);
		rc = -EINVAL;
	}
	if (rc == 0) {
		a->o.kernel = kernel[0] != '\0' ? kernel : NULL;
		rc = fs_mount_serve(&a->o, io);
	} else {
		rc = fs_cli_usage(c, rc == -ENOMEM ? "out of memory" : err);
	}
	free(list);
	return rc;
}

static int fs_cmd_mount_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_mount_args a = { .list = NULL };
	char err[256];

	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc != 1)
		return fs_cli_usage(c, argc == 0 ? "the mountpoint is missing" : "more than one mountpoint");
	a.o.mountpoint = argv[0];
	return fs_mount_go(c, &a, io);
}

const struct fs_command fs_cmd_mount = {
	"mount", "mount --home DIR MOUNTPOINT", "show the models of DIR on MOUNTPOINT",
	fs_mount_table, sizeof(fs_mount_table) / sizeof(fs_mount_table[0]), fs_cmd_mount_run,
};

/* mount(8) calls: mount.hearth SOURCE DIR [-sfnv] [-N NAMESPACE] [-o LIST] [-t TYPE]; SOURCE is home. */
int fs_cli_mount_helper(int argc, char **argv, const struct io *io)
{
	struct fs_mount_args a = { .list = NULL };
	const char *dir = NULL;

	for (int i = 0; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] != '\0' && strchr("otN", argv[i][1]) != NULL && argv[i][2] == '\0') {
			if (i + 1 < argc && argv[i][1] == 'o')
				a.list = argv[i + 1];
			i++;
		} else if (argv[i][0] == '-') {
			if (argv[i][1] != '-' && strchr(argv[i], 'f') != NULL)  /* "fake": all but the mount */
				return FS_EXIT_OK;
		} else if (a.source == NULL) {
			a.source = argv[i];
		} else if (dir == NULL) {
			dir = argv[i];
		}
	}
	if (dir == NULL) {
		fprintf(stderr, "usage: mount.hearth HOME MOUNTPOINT [-o LIST]\n");
		return FS_EXIT_USAGE;
	}
	a.o.mountpoint = dir;
	return fs_mount_go(&fs_cmd_mount, &a, io);
}

/* ---- umount ---- */

struct fs_umount_args {
	bool lazy;
};

static const struct fs_option fs_umount_table[] = {
	{ "lazy", 'l', FS_OPTION_FLAG, offsetof(struct fs_umount_args, lazy), NULL,
	  "detach now; files that are open go on until they are closed" },
};

/* The daemon behind a mount as a pidfd, or -1: to wait for its end after the mount is gone. */
static int fs_umount_daemon(const char *dir)
{
	json_t *stats = NULL;
	int fd = -1;
	char *text;

	if (fs_cli_xattr(dir, "user.hearth.stats", &text) != 0)
		return -1;
	stats = json_loads(text, 0, NULL);
	free(text);
	if (json_is_integer(json_object_get(stats, "pid")))
		fd = (int)syscall(SYS_pidfd_open, (pid_t)json_integer_value(json_object_get(stats, "pid")), 0);
	json_decref(stats);
	return fd;
}

static int fs_umount_now(const char *dir, bool lazy)
{
	if (geteuid() != 0) {
		execlp("fusermount3", "fusermount3", lazy ? "-uz" : "-u", "--", dir, (char *)NULL);
		fprintf(stderr, "hearth: cannot run fusermount3: %s; install the package fuse3\n", strerror(errno));
		return FS_EXIT_FAILED;
	}
	if (umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return FS_EXIT_OK;
	if (errno == EBUSY)
		fprintf(stderr, "hearth: '%s' is in use ('fuser -vm %s' shows by whom); "
			"'hearth umount --lazy' detaches it all the same\n", dir, dir);
	else
		fprintf(stderr, "hearth: cannot unmount '%s': %s\n", dir, strerror(errno));
	return FS_EXIT_FAILED;
}

static int fs_cmd_umount_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_umount_args a = { .lazy = false };
	char err[256], dir[PATH_MAX];
	struct pollfd daemon = { .events = POLLIN };
	struct fs_mount m;
	int rc;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc != 1)
		return fs_cli_usage(c, "say which mountpoint");
	/* the mount of a dead daemon cannot be resolved, but it can be unmounted by its name */
	if (realpath(argv[0], dir) == NULL)
		snprintf(dir, sizeof(dir), "%s", argv[0]);
	if (fs_mountinfo_at(dir, &m) != 0 || strcmp(m.type, FS_MOUNT_TYPE) != 0) {
		fprintf(stderr, "hearth: '%s' is not a hearth mount\n", argv[0]);
		return FS_EXIT_FAILED;
	}
	daemon.fd = fs_umount_daemon(dir);
	rc = fs_umount_now(dir, a.lazy);
	if (rc == FS_EXIT_OK && !a.lazy && daemon.fd != -1 && poll(&daemon, 1, 60000) == 0) {
		fprintf(stderr, "hearth: '%s' is unmounted here but its daemon goes on: another mount name space, such as "
			"a container's, still shows it\n", dir);
		rc = FS_EXIT_FAILED;
	}
	if (daemon.fd != -1)
		close(daemon.fd);
	return rc;
}

const struct fs_command fs_cmd_umount = {
	"umount", "umount [-l] MOUNTPOINT", "unmount; returns when the daemon has ended",
	fs_umount_table, sizeof(fs_umount_table) / sizeof(fs_umount_table[0]), fs_cmd_umount_run,
};
