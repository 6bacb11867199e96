/* fs_cli_run.c - hearth run: find the model's file on the mount and hand over to hearth-run. */
#include "fs/fs_cli.h"
#include "fs/fs_manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A path, a digest or a name, to the file of the weights.  0, or -1 after saying why. */
static int fs_run_model(const char *model, char out[2 * PATH_MAX])
{
	char store[PATH_MAX], path[PATH_MAX], file[FS_DIGEST_FILE_LEN + 1], err[PATH_MAX + 256];
	struct fs_model m;
	int rc;

	if (access(model, F_OK) == 0) {
		snprintf(out, 2 * PATH_MAX, "%s", model);
		return 0;
	}
	if (!fs_manifest_digest(model, file) && fs_manifest_path(model, path) != 0) {
		fprintf(stderr, "hearth: '%s' is neither a file, nor a digest, nor a model's name\n", model);
		return -1;
	}
	if (fs_cli_mountpoint(NULL, store) != 0)
		return -1;
	if (fs_manifest_digest(model, file)) {
		snprintf(out, 2 * PATH_MAX, "%s/blobs/%s", store, file);
		return 0;
	}
	rc = fs_manifest_read(store, path, &m, err, sizeof(err));
	if (rc == -ENOENT)
		fprintf(stderr, "hearth: no model '%s' on '%s'; 'hearth ls' lists them\n", model, store);
	else if (rc != 0)
		fprintf(stderr, "hearth: %s\n", err);
	if (rc != 0)
		return -1;
	rc = -1;
	for (size_t i = 0; i < m.nblobs && rc != 0; i++) {
		if (!m.blobs[i].weights)
			continue;
		snprintf(out, 2 * PATH_MAX, "%s/blobs/%s", store, m.blobs[i].file);
		rc = 0;
	}
	if (rc != 0)
		fprintf(stderr, "hearth: model '%s' has no weights of its own\n", model);
	fs_model_free(&m);
	return rc;
}

/* hearth-run beside this program, or where PATH says. */
static int fs_run_exec(char **argv)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - sizeof("hearth-run"));
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		strcpy(slash + 1, "hearth-run");
		execv(self, argv);
	}
	execvp("hearth-run", argv);
	fprintf(stderr, "hearth: cannot run hearth-run: %s\n", strerror(errno));
	return FS_EXIT_FAILED;
}

/* hearth-run with the model of argv[0] and what is behind it; a word there is the prompt, where one may be. */
static int fs_run_with(int argc, char **argv, const char *first, bool prompt)
{
	char model[2 * PATH_MAX], **args;
	int n = 0, i = 1, status;

	if (fs_run_model(argv[0], model) != 0)
		return FS_EXIT_FAILED;
	args = calloc((size_t)argc + 6, sizeof(*args));
	if (args == NULL)
		return FS_EXIT_FAILED;
	args[n++] = (char *)"hearth-run";
	args[n++] = (char *)"-m";
	args[n++] = model;
	if (first != NULL)
		args[n++] = (char *)(uintptr_t)first;
	if (prompt && i < argc && argv[i][0] != '-') {
		args[n++] = (char *)"-p";
		args[n++] = argv[i++];
	}
	while (i < argc)
		args[n++] = argv[i++];
	status = fs_run_exec(args);
	free(args);
	return status;
}

static int fs_run_begin(const struct fs_command *c, int argc, char **argv)
{
	if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
		return fs_cli_usage(c, "options behind MODEL are hearth-run's, see hearth-run --help");
	if (argv[0][0] == '-')
		return fs_cli_usage(c, "the model's name comes first");
	return FS_EXIT_OK;
}

static int fs_cmd_run_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	int status = fs_run_begin(c, argc, argv);

	(void)io;
	return status != FS_EXIT_OK ? status : fs_run_with(argc, argv, NULL, true);
}

static int fs_cmd_estimate_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	int status = fs_run_begin(c, argc, argv);

	(void)io;
	return status != FS_EXIT_OK ? status : fs_run_with(argc, argv, "--estimate", false);
}

const struct fs_command fs_cmd_run = {
	"run", "run MODEL [PROMPT] [OPTION...]", "generate text with hearth-run from a model on the mount",
	NULL, 0, fs_cmd_run_run,
};

const struct fs_command fs_cmd_estimate = {
	"estimate", "estimate MODEL [OPTION...]", "what such a run would take and how fast it would be",
	NULL, 0, fs_cmd_estimate_run,
};
