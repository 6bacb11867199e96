/* fs_cli_doctor.c - what stands between this machine and a fast mount, a line each with what to do. */
#include "fs/fs_cli_doctor.h"
#include "fs/fs_cli.h"
#include "fs/fs_manifest.h"
#include "fs/fs_mountinfo.h"

#define FUSE_USE_VERSION 317
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

struct fs_doctor_args {
	bool json;
};

static const struct fs_option fs_doctor_table[] = {
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_doctor_args, json), NULL, "as JSON" },
};

struct fs_doctor {
	json_t *findings;               /* [{what, ok, text}] */
	int bad;
	const char *mountpoint;         /* NULL: nothing is mounted */
	json_t *stats;                  /* of the mount, or NULL */
};

static void fs_doctor_say(struct fs_doctor *d, bool ok, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void fs_doctor_say(struct fs_doctor *d, bool ok, const char *what, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(d->findings, json_pack("{s:s, s:b, s:s}", "what", what, "ok", ok, "text", text));
	d->bad += !ok;
}

static void fs_doctor_say_text(void *ctx, bool ok, const char *what, const char *text)
{
	fs_doctor_say(ctx, ok, what, "%s", text);
}

static bool fs_doctor_read_number(const char *path, unsigned long long *out)
{
	FILE *f = fopen(path, "re");
	bool ok = f != NULL && fscanf(f, "%llu", out) == 1;

	if (f != NULL)
		fclose(f);
	return ok;
}

static void fs_doctor_kernel(struct fs_doctor *d)
{
	struct utsname un;
	int major = 0, minor = 0;

	uname(&un);
	sscanf(un.release, "%d.%d", &major, &minor);
	if (major > 6 || (major == 6 && minor >= 9))
		fs_doctor_say(d, true, "kernel", "Linux %s has FUSE passthrough", un.release);
	else if (major == 6 && minor >= 1)
		fs_doctor_say(d, false, "kernel", "Linux %s has no FUSE passthrough: files are read through the daemon; "
			      "6.9 or later gives native speed", un.release);
	else
		fs_doctor_say(d, false, "kernel", "Linux %s is older than 6.1, the oldest that hearth is made for", un.release);
}

static void fs_doctor_libfuse(struct fs_doctor *d)
{
	int major = 0, minor = 0, patch = 0;

	sscanf(fuse_pkgversion(), "%d.%d.%d", &major, &minor, &patch);
	if (major * 10000 + minor * 100 + patch >= 31702)
		fs_doctor_say(d, true, "libfuse", "%s", fuse_pkgversion());
	else
		fs_doctor_say(d, false, "libfuse", "%s: passthrough needs 3.17.2; build again where the set-up may install",
			      fuse_pkgversion());
}

static void fs_doctor_device(struct fs_doctor *d)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd != -1) {
		close(fd);
		fs_doctor_say(d, true, "/dev/fuse", "can be opened");
	} else if (errno == EACCES || errno == EPERM) {
		fs_doctor_say(d, false, "/dev/fuse", "%s: run as root, or ask for access to the device", strerror(errno));
	} else {
		fs_doctor_say(d, false, "/dev/fuse", "%s: 'modprobe fuse', or give the container the device", strerror(errno));
	}
}

static void fs_doctor_passthrough(struct fs_doctor *d)
{
	if (d->stats == NULL)
		fs_doctor_say(d, geteuid() == 0, "passthrough", "%s",
			      geteuid() == 0 ? "root may ask the kernel for it" : "needs a mount made by root");
	else if (json_is_true(json_object_get(d->stats, "native")))
		fs_doctor_say(d, true, "passthrough", "blobs are read natively on '%s'", d->mountpoint);
	else
		fs_doctor_say(d, false, "passthrough", "not on '%s': %s", d->mountpoint,
			      json_string_value(json_object_get(d->stats, "native_refused")));
}

static void fs_doctor_read_ahead(struct fs_doctor *d)
{
	unsigned long long kib = 0;
	struct fs_mount m;
	char path[128];

	if (d->mountpoint == NULL || fs_mountinfo_at(d->mountpoint, &m) != 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", m.major, m.minor);
	if (fs_doctor_read_number(path, &kib) && kib >= 4096)
		fs_doctor_say(d, true, "read-ahead", "%llu KiB on the mount", kib);
	else
		fs_doctor_say(d, false, "read-ahead", "%llu KiB on the mount: as root, echo 4096 > %s", kib, path);
}

/* The disk below home: native reads use its read-ahead, not the mount's. */
static void fs_doctor_home_read_ahead(struct fs_doctor *d)
{
	const char *home = json_string_value(json_object_get(d->stats, "home"));
	unsigned long long kib = 0;
	struct fs_mount m;
	char path[128];

	if (home == NULL || fs_mountinfo_of(home, &m) != 0 || strcmp(m.type, FS_MOUNT_TYPE) == 0)
		return;                 /* mounted on home itself: what is below cannot be seen from here */
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", m.major, m.minor);
	if (!fs_doctor_read_number(path, &kib))
		return;
	if (kib >= 1024)
		fs_doctor_say(d, true, "home's read-ahead", "%llu KiB", kib);
	else
		fs_doctor_say(d, false, "home's read-ahead", "%llu KiB slows cold loads: as root, echo 4096 > %s", kib, path);
}

static void fs_doctor_allow_other(struct fs_doctor *d)
{
	char line[256];
	bool allow = false;
	FILE *f;

	f = fopen("/etc/fuse.conf", "re");
	while (f != NULL && !allow && fgets(line, sizeof(line), f) != NULL)
		allow = strncmp(line, "user_allow_other", 16) == 0;
	if (f != NULL)
		fclose(f);
	if (allow || geteuid() == 0)
		fs_doctor_say(d, true, "user_allow_other", "%s", allow ? "set in /etc/fuse.conf" : "not needed by root");
	else
		fs_doctor_say(d, false, "user_allow_other", "not set: a mount made by you is yours alone; "
			      "add the line 'user_allow_other' to /etc/fuse.conf");
}

/* Every directory on the way must be passable for the service that is to read the models. */
static void fs_doctor_permissions(struct fs_doctor *d)
{
	char path[PATH_MAX];
	struct stat st;

	if (d->mountpoint == NULL)
		return;
	snprintf(path, sizeof(path), "%s", d->mountpoint);
	for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (stat(path, &st) == 0 && !(st.st_mode & S_IXOTH)) {
			fs_doctor_say(d, false, "permissions", "'%s' keeps other users (such as 'ollama') out: chmod o+x %s",
				      path, path);
			return;
		}
		*slash = '/';
	}
	if (stat(d->mountpoint, &st) == 0 && (st.st_mode & 0005) != 0005)
		fs_doctor_say(d, false, "permissions", "home itself keeps other users out: chmod o+rx, or run them as uid %u",
			      (unsigned)st.st_uid);
	else
		fs_doctor_say(d, true, "permissions", "every user can reach the mount");
}

static void fs_doctor_space(struct fs_doctor *d)
{
	unsigned long long available, total;
	struct statvfs sv;
	char buf[16];

	if (d->mountpoint == NULL || statvfs(d->mountpoint, &sv) != 0)
		return;
	available = sv.f_bavail * (unsigned long long)sv.f_frsize;
	total = sv.f_blocks * (unsigned long long)sv.f_frsize;
	fs_cli_bytes(available, buf);
	if (available < total / 20)
		fs_doctor_say(d, false, "free space", "%s on home, less than a twentieth: remove models or move home", buf);
	else
		fs_doctor_say(d, true, "free space", "%s on home", buf);
}

/* Of the largest model that has a manifest; 0 where there is none. */
static uint64_t fs_doctor_largest_model(const struct fs_doctor *d)
{
	struct fs_model *models = NULL;
	uint64_t largest = 0;
	size_t n = 0;

	if (d->stats == NULL || fs_manifest_list(d->mountpoint, &models, &n) != 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		largest = models[i].bytes > largest ? models[i].bytes : largest;
		fs_model_free(&models[i]);
	}
	free(models);
	return largest;
}

static void fs_doctor_print(const struct fs_doctor *d, bool json)
{
	size_t i;
	json_t *f;

	if (json) {
		json_dumpf(d->findings, stdout, JSON_INDENT(2));
		printf("\n");
		return;
	}
	json_array_foreach(d->findings, i, f)
		printf("%-4s %-18s %s\n", json_is_true(json_object_get(f, "ok")) ? "ok" : "!!",
		       json_string_value(json_object_get(f, "what")), json_string_value(json_object_get(f, "text")));
}

static int fs_cmd_doctor_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_doctor_args a = { .json = false };
	struct fs_doctor d = { .bad = 0 };
	char err[256], dir[PATH_MAX] = "", *text = NULL;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc > 1)
		return fs_cli_usage(c, "one mount at a time");
	/* without a mount there is still the machine to look at */
	if ((argc == 1 || fs_cli_count_mounts(dir) > 0) && fs_cli_mountpoint(argc == 1 ? argv[0] : NULL, dir) != 0)
		return FS_EXIT_FAILED;
	d.findings = json_array();
	if (dir[0] != '\0') {
		d.mountpoint = dir;
		if (fs_cli_xattr(dir, "user.hearth.stats", &text) == 0)
			d.stats = json_loads(text, 0, NULL);
		else
			fs_doctor_say(&d, false, "daemon", "'%s' does not answer: %s; mount it again", dir, strerror(errno));
		free(text);
	}
	fs_doctor_kernel(&d);
	fs_doctor_libfuse(&d);
	fs_doctor_device(&d);
	fs_doctor_passthrough(&d);
	fs_doctor_read_ahead(&d);
	fs_doctor_home_read_ahead(&d);
	fs_doctor_allow_other(&d);
	fs_doctor_permissions(&d);
	fs_doctor_space(&d);
	fs_cli_doctor_tiers(d.stats, fs_doctor_say_text, &d);
	fs_cli_doctor_machine("/", d.stats, fs_doctor_largest_model(&d), fs_doctor_say_text, &d);
	fs_doctor_print(&d, a.json);
	json_decref(d.findings);
	json_decref(d.stats);
	return d.bad == 0 ? FS_EXIT_OK : FS_EXIT_FAILED;
}

const struct fs_command fs_cmd_doctor = {
	"doctor", "doctor [--json] [MOUNTPOINT]", "what keeps the mount from being fast, and what to do",
	fs_doctor_table, sizeof(fs_doctor_table) / sizeof(fs_doctor_table[0]), fs_cmd_doctor_run,
};
