/* fs_cli.h - the subcommands of `hearth`.
 *
 * Every one works through the mount: extended attributes and .hearth.  There is no second channel.
 * Exit status: 0 done, 1 it failed (a line on standard error says why), 2 the command line is wrong.
 */
#ifndef FS_FS_CLI_H
#define FS_FS_CLI_H

#include "fs/fs_options.h"

#include <limits.h>
#include <stdint.h>

enum { FS_EXIT_OK = 0, FS_EXIT_FAILED = 1, FS_EXIT_USAGE = 2 };

struct io;

struct fs_command {
	const char *name, *synopsis, *help;
	const struct fs_option *options;
	size_t noptions;
	/* argv[0 .. argc) are the arguments behind the subcommand's name. */
	int (*run)(const struct fs_command *self, int argc, char **argv, const struct io *io);
};

extern const struct fs_command fs_cmd_mount, fs_cmd_umount, fs_cmd_status, fs_cmd_ls, fs_cmd_doctor, fs_cmd_run, fs_cmd_estimate;
extern const struct fs_command fs_cmd_why, fs_cmd_pin, fs_cmd_unpin, fs_cmd_warm, fs_cmd_cool, fs_cmd_verify;
extern const struct fs_command fs_cmd_top, fs_cmd_plan, fs_cmd_trace;

/* The program: argv[0] decides between `hearth` and `mount.hearth`.  io is the seam that the mount uses. */
int fs_cli_main(int argc, char **argv, const struct io *io);
int fs_cli_mount_helper(int argc, char **argv, const struct io *io);   /* mount.hearth HOME DIR [-o ...] */

/* Say what is wrong with the command line and how it goes; returns FS_EXIT_USAGE. */
int fs_cli_usage(const struct fs_command *c, const char *what);

/* The mountpoint to talk to: given, or the only hearth mount there is.  0, or -1 after saying why. */
int fs_cli_mountpoint(const char *given, char out[PATH_MAX]);
/* The arguments of a command that takes at most a mountpoint: FS_EXIT_OK and the one to talk to, or the exit status
 * after saying why. */
int fs_cli_one_mount(const struct fs_command *c, int argc, char **argv, char out[PATH_MAX]);
/* How many hearth mounts there are; the last one's directory in *out when there is any. */
int fs_cli_count_mounts(char out[PATH_MAX]);

/* The attribute as an owned string in *out; 0 or negative errno. */
int fs_cli_xattr(const char *path, const char *name, char **out) __attribute__((warn_unused_result));

/* Set the attribute to a text; 0 or negative errno. */
int fs_cli_set_xattr(const char *path, const char *name, const char *value) __attribute__((warn_unused_result));

/* The file NAME of DIR/.hearth, whole, as an owned, terminated string in *out and its length in *len.  0,
 * -EFBIG above 64 MiB, -ENOMEM, or what reading said. */
int fs_cli_hearth_file(const char *dir, const char *name, char **out, size_t *len) __attribute__((warn_unused_result));

/* What a refusal by the mount means to the one who asked; rc is a negative errno.  Not thread safe. */
const char *fs_cli_reason(int rc);

/* Bytes that a terminal would act upon become '?', in place; blanks and what is not ASCII stay.  Returns text. */
char *fs_cli_clean(char *text);

/* "4.7 GB": decimal units, as Ollama prints sizes. */
const char *fs_cli_bytes(uint64_t bytes, char buf[16]);

#endif
