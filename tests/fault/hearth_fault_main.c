/* hearth_fault_main.c - hearth over a disk that fails when told to.
 *
 *     hearth-fault SPEC COMMAND...        SPEC as fault_io.h has it: fsync:0+:EIO
 *     hearth-fault @FILE COMMAND...       the first line of FILE, read again whenever another file is moved
 *                                         there; a file FILE.on answers with the line that is in force
 */
#include "fs/fs_cli.h"
#include "tests/fault/fault_io.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct follow {
	pthread_mutex_t lock;           /* guards all below and arming */
	const char *file;               /* NULL: the text was on the command line */
	ino_t ino;
	struct timespec mtime;
	struct fault_io fault;
};

static void follow_answer(const struct follow *w, const char *text)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s.on", w->file);
	f = fopen(path, "we");
	if (f == NULL)
		return;
	fprintf(f, "%s\n", text);
	fclose(f);
}

static void follow_look(struct follow *w)
{
	char text[128] = "";
	struct stat st;
	FILE *f;

	if (stat(w->file, &st) == -1 || (st.st_ino == w->ino && st.st_mtim.tv_sec == w->mtime.tv_sec &&
					 st.st_mtim.tv_nsec == w->mtime.tv_nsec))
		return;
	w->ino = st.st_ino;
	w->mtime = st.st_mtim;
	f = fopen(w->file, "re");
	if (f == NULL)
		return;
	if (fgets(text, sizeof(text), f) != NULL)
		text[strcspn(text, "\n")] = '\0';
	fclose(f);
	if (fault_io_arm(&w->fault, text) != 0)
		fprintf(stderr, "fault: '%s' is no fault\n", text);
	else
		follow_answer(w, text);
}

static int follow_hook(void *ctx, struct io_call *call)
{
	struct follow *w = ctx;
	int rc;

	pthread_mutex_lock(&w->lock);
	if (w->file != NULL)
		follow_look(w);
	rc = fault_io_hook(&w->fault, call);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int main(int argc, char **argv)
{
	struct follow w = { .lock = PTHREAD_MUTEX_INITIALIZER, .fault = { .plan.op = FAULT_ANY } };
	struct io io = { .hook = follow_hook, .ctx = &w };

	if (argc < 3) {
		fprintf(stderr, "usage: hearth-fault SPEC|@FILE COMMAND...\n");
		return 2;
	}
	w.fault.tell = true;
	if (argv[1][0] == '@') {
		w.file = argv[1] + 1;
	} else if (fault_io_arm(&w.fault, argv[1]) != 0) {
		fprintf(stderr, "hearth-fault: '%s' is no fault\n", argv[1]);
		return 2;
	}
	argv[1] = argv[0];
	return fs_cli_main(argc - 1, argv + 1, &io);
}
