/* fs_options.h - command lines from one static table an operation, which --help prints too. */
#ifndef FS_FS_OPTIONS_H
#define FS_FS_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

enum fs_option_kind {
	FS_OPTION_FLAG,                 /* bool */
	FS_OPTION_TEXT,                 /* const char *, borrowed from argv */
	FS_OPTION_LIST                  /* struct fs_option_list: may be given several times */
};

#define FS_OPTION_LIST_MAX 8

struct fs_option_list {
	const char *item[FS_OPTION_LIST_MAX];   /* borrowed from argv, in order */
	unsigned count;
};

struct fs_option {
	const char *name;               /* without dashes */
	char letter;                    /* or 0 */
	enum fs_option_kind kind;
	size_t offset;                  /* of the member it sets */
	const char *arg;                /* what --help calls its value */
	const char *help;
};

/* Options may stand anywhere before "--".  "--name=value", "--name value" and "-x value" are taken; what is
 * no option is left in argv[0 .. *argc), in order.  Given twice is an error but for lists.  0, or -EINVAL and a line. */
int fs_options_parse(const struct fs_option *table, size_t n, void *out, int *argc, char **argv,
		     char *err, size_t errlen) __attribute__((warn_unused_result));

/* Take one NAME or NAME=VALUE as it stands in a -o list.  0; -ENOENT when the table does not have it;
 * -EINVAL and a line.  text is borrowed and changed. */
int fs_options_take(const struct fs_option *table, size_t n, void *out, char *text, char *err, size_t errlen)
	__attribute__((warn_unused_result));

void fs_options_print(const struct fs_option *table, size_t n, FILE *f);

#endif
