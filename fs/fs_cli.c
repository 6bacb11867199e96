#include "fs/fs_cli.h"
#include "fs/fs_mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct fs_command *const fs_commands[] = {
	&fs_cmd_mount, &fs_cmd_umount, &fs_cmd_status, &fs_cmd_ls, &fs_cmd_top, &fs_cmd_why, &fs_cmd_pin, &fs_cmd_unpin,
	&fs_cmd_warm, &fs_cmd_cool, &fs_cmd_verify, &fs_cmd_plan, &fs_cmd_trace, &fs_cmd_doctor, &fs_cmd_run, &fs_cmd_estimate,
};

#define FS_CLI_FILE_MAX (64u << 20)     /* a file of .hearth; the trace of all accesses kept is under 16 MiB */

static void fs_cli_help(FILE *f)
{
	fprintf(f, "usage: hearth COMMAND [OPTION...] [ARGUMENT...]\n\n"
		   "Model files in RAM, on NVMe and on HDD behind one mount.\n\n");
	for (size_t i = 0; i < sizeof(fs_commands) / sizeof(fs_commands[0]); i++)
		fprintf(f, "  %-38s %s\n", fs_commands[i]->synopsis, fs_commands[i]->help);
	fprintf(f, "\n'hearth COMMAND --help' lists a command's options; hearth(1) explains them.\n");
}

static void fs_cli_command_help(const struct fs_command *c, FILE *f)
{
	fprintf(f, "usage: hearth %s\n%s\n", c->synopsis, c->help);
	if (c->noptions > 0)
		fprintf(f, "\n");
	fs_options_print(c->options, c->noptions, f);
}

int fs_cli_usage(const struct fs_command *c, const char *what)
{
	fprintf(stderr, "hearth %s: %s\nusage: hearth %s\n", c->name, what, c->synopsis);
	return FS_EXIT_USAGE;
}

static bool fs_cli_asks_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int fs_cli_main(int argc, char **argv, const struct io *io)
{
	const char *base = argc > 0 ? strrchr(argv[0], '/') : NULL;

	base = base != NULL ? base + 1 : argc > 0 ? argv[0] : "hearth";
	if (strcmp(base, "mount.hearth") == 0)
		return fs_cli_mount_helper(argc - 1, argv + 1, io);
	if (argc < 2) {
		fs_cli_help(stderr);
		return FS_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
		printf("hearth %s\n", HEARTH_VERSION);
		return FS_EXIT_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		fs_cli_help(stdout);
		return FS_EXIT_OK;
	}
	for (size_t i = 0; i < sizeof(fs_commands) / sizeof(fs_commands[0]); i++) {
		const struct fs_command *c = fs_commands[i];

		if (strcmp(argv[1], c->name) != 0)
			continue;
		if (c != &fs_cmd_run && fs_cli_asks_help(argc - 2, argv + 2)) {
			fs_cli_command_help(c, stdout);
			return FS_EXIT_OK;
		}
		return c->run(c, argc - 2, argv + 2, io);
	}
	fprintf(stderr, "hearth: unknown command '%s'; 'hearth help' lists them\n", argv[1]);
	return FS_EXIT_USAGE;
}

struct fs_cli_found {
	char dir[PATH_MAX];
	int n;
};

static bool fs_cli_count_one(void *ctx, const struct fs_mount *m)
{
	struct fs_cli_found *found = ctx;

	if (strcmp(m->type, FS_MOUNT_TYPE) == 0) {
		found->n++;
		snprintf(found->dir, sizeof(found->dir), "%s", m->dir);
	}
	return true;
}

int fs_cli_count_mounts(char out[PATH_MAX])
{
	struct fs_cli_found found = { .n = 0 };

	if (fs_mountinfo_each(fs_cli_count_one, &found) != 0 || found.n == 0)
		return 0;
	strcpy(out, found.dir);
	return found.n;
}

int fs_cli_mountpoint(const char *given, char out[PATH_MAX])
{
	struct fs_mount m;
	int n;

	if (given != NULL) {
		if (realpath(given, out) == NULL) {
			fprintf(stderr, "hearth: '%s': %s\n", given, strerror(errno));
			return -1;
		}
		if (fs_mountinfo_of(out, &m) != 0 || strcmp(m.type, FS_MOUNT_TYPE) != 0) {
			fprintf(stderr, "hearth: '%s' is not on a hearth mount\n", given);
			return -1;
		}
		strcpy(out, m.dir);
		return 0;
	}
	n = fs_cli_count_mounts(out);
	if (n == 0)
		fprintf(stderr, "hearth: nothing is mounted; 'hearth mount --home DIR MOUNTPOINT' does\n");
	else if (n > 1)
		fprintf(stderr, "hearth: %d mounts; say which one (a path on it will do)\n", n);
	return n == 1 ? 0 : -1;
}

int fs_cli_one_mount(const struct fs_command *c, int argc, char **argv, char out[PATH_MAX])
{
	if (argc > 1)
		return fs_cli_usage(c, "one mount at a time");
	return fs_cli_mountpoint(argc == 1 ? argv[0] : NULL, out) == 0 ? FS_EXIT_OK : FS_EXIT_FAILED;
}

int fs_cli_xattr(const char *path, const char *name, char **out)
{
	ssize_t n = getxattr(path, name, NULL, 0);
	char *buf;

	if (n == -1)
		return -errno;
	/* the answer is made anew at each call and may have grown since */
	n += 4096;
	buf = malloc((size_t)n + 1);
	if (buf == NULL)
		return -ENOMEM;
	n = getxattr(path, name, buf, (size_t)n);
	if (n == -1) {
		int rc = -errno;

		free(buf);
		return rc;
	}
	buf[n] = '\0';
	*out = buf;
	return 0;
}

int fs_cli_set_xattr(const char *path, const char *name, const char *value)
{
	return setxattr(path, name, value, strlen(value), 0) == 0 ? 0 : -errno;
}

/* All of fd; the sizes of files of .hearth are not known before they are read. */
static int fs_cli_read_all(int fd, char **out, size_t *len)
{
	size_t cap = 0, n = 0;
	char *text = NULL;

	for (;;) {
		ssize_t got;

		if (n + 1 >= cap) {
			size_t grown = cap == 0 ? 65536 : cap * 2;
			char *more = grown <= 2 * FS_CLI_FILE_MAX ? realloc(text, grown) : NULL;

			if (more == NULL) {
				free(text);
				return grown <= 2 * FS_CLI_FILE_MAX ? -ENOMEM : -EFBIG;
			}
			text = more;
			cap = grown;
		}
		got = read(fd, text + n, cap - n - 1);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			int rc = -errno;

			free(text);
			return rc;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	*out = text;
	*len = n;
	return 0;
}

int fs_cli_hearth_file(const char *dir, const char *name, char **out, size_t *len)
{
	char path[2 * PATH_MAX];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/.hearth/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1)
		return -errno;
	rc = fs_cli_read_all(fd, out, len);
	close(fd);
	return rc;
}

const char *fs_cli_reason(int rc)
{
	switch (-rc) {
	case ENOTCONN:
		return "its daemon is dead; mount it again";
	case EPERM:
	case EACCES:
		return "only root and the owner of the file may";
	case ENODATA:
	case EOPNOTSUPP:
		return "the mount has no answer to that";
	default:
		return strerror(-rc);
	}
}

char *fs_cli_clean(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
		if (*p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			*p = '?';
	return text;
}

const char *fs_cli_bytes(uint64_t bytes, char buf[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double x = (double)bytes;
	size_t u = 0;

	while (x >= 999.5 && u + 1 < sizeof(units) / sizeof(units[0])) {
		x /= 1000;
		u++;
	}
	snprintf(buf, 16, u == 0 || x >= 99.95 ? "%.0f %s" : "%.1f %s", x, units[u]);
	return buf;
}
