#include "fs/fs_options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const struct fs_option *fs_option_find(const struct fs_option *table, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(table[i].name) == len && strncmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

static const struct fs_option *fs_option_letter(const struct fs_option *table, size_t n, char letter)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].letter != 0 && table[i].letter == letter)
			return &table[i];
	return NULL;
}

/* value NULL: none was given with it. */
static int fs_option_set(const struct fs_option *o, void *out, const char *value, char *err, size_t errlen)
{
	char *at = (char *)out + o->offset;

	if (o->kind == FS_OPTION_LIST) {
		struct fs_option_list *list = (struct fs_option_list *)(void *)at;

		if (value == NULL || list->count == FS_OPTION_LIST_MAX) {
			snprintf(err, errlen, value == NULL ? "option '%s' needs a value" : "option '%s' is given too often",
				 o->name);
			return -EINVAL;
		}
		list->item[list->count++] = value;
	} else if (o->kind == FS_OPTION_FLAG) {
		bool *flag = (bool *)(void *)at;

		if (value != NULL || *flag) {
			snprintf(err, errlen, value != NULL ? "option '%s' takes no value" : "option '%s' is given twice",
				 o->name);
			return -EINVAL;
		}
		*flag = true;
	} else {
		const char **text = (const char **)(void *)at;

		if (value == NULL || *text != NULL) {
			snprintf(err, errlen, value == NULL ? "option '%s' needs a value" : "option '%s' is given twice",
				 o->name);
			return -EINVAL;
		}
		*text = value;
	}
	return 0;
}

int fs_options_take(const struct fs_option *table, size_t n, void *out, char *text, char *err, size_t errlen)
{
	char *eq = strchr(text, '=');
	const struct fs_option *o;

	o = fs_option_find(table, n, text, eq != NULL ? (size_t)(eq - text) : strlen(text));
	if (o == NULL)
		return -ENOENT;
	return fs_option_set(o, out, eq != NULL ? eq + 1 : NULL, err, errlen);
}

int fs_options_parse(const struct fs_option *table, size_t n, void *out, int *argc, char **argv,
		     char *err, size_t errlen)
{
	int kept = 0, i;

	for (i = 0; i < *argc; i++) {
		char *arg = argv[i], *eq = strchr(arg, '=');
		const struct fs_option *o;
		const char *value = NULL;
		int rc;

		if (strcmp(arg, "--") == 0) {
			i++;
			break;
		}
		if (arg[0] != '-' || arg[1] == '\0') {
			argv[kept++] = arg;
			continue;
		}
		if (arg[1] == '-') {
			o = fs_option_find(table, n, arg + 2, eq != NULL ? (size_t)(eq - arg - 2) : strlen(arg + 2));
			value = eq != NULL ? eq + 1 : NULL;
		} else {
			o = fs_option_letter(table, n, arg[1]);
			value = arg[2] != '\0' ? arg + 2 : NULL;
		}
		if (o == NULL) {
			snprintf(err, errlen, "unknown option '%s'", arg);
			return -EINVAL;
		}
		if (value == NULL && o->kind != FS_OPTION_FLAG && i + 1 < *argc)
			value = argv[++i];
		rc = fs_option_set(o, out, value, err, errlen);
		if (rc != 0)
			return rc;
	}
	while (i < *argc)
		argv[kept++] = argv[i++];
	*argc = kept;
	return 0;
}

void fs_options_print(const struct fs_option *table, size_t n, FILE *f)
{
	for (size_t i = 0; i < n; i++) {
		char head[64];
		const struct fs_option *o = &table[i];

		snprintf(head, sizeof(head), "%s%c%s--%s%s%s", o->letter != 0 ? "-" : "",
			 o->letter != 0 ? o->letter : ' ', o->letter != 0 ? ", " : "   ", o->name,
			 o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
		fprintf(f, "  %-26s %s\n", head, o->help);
	}
}
