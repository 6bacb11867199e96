/* fsx_main.c - fsx DIR [-n OPS] [-s SEED] [-l MAXLEN] [-m] [-k] [-W] [-R] [-x OP]...: see fsx.h. */
#include "tests/e2e/fsx/fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct fsx_op {
	const char *name;
	bool (*run)(struct fsx *f);
	unsigned weight;
};

/* By enum fsx_op_id.  The last three are ways to open, not operations. */
static const struct fsx_op fsx_ops[FSX_NOPS] = {
	{ "read", fsx_op_read, 18 }, { "write", fsx_op_write, 18 }, { "mapread", fsx_op_map_read, 14 },
	{ "mapwrite", fsx_op_map_write, 14 }, { "truncate", fsx_op_truncate, 5 },
	{ "allocate", fsx_op_allocate, 2 }, { "punch", fsx_op_punch, 4 }, { "zero", fsx_op_zero, 3 },
	{ "copy", fsx_op_copy, 5 }, { "sync", fsx_op_sync, 1 }, { "seek", fsx_op_seek, 3 },
	{ "open", fsx_op_open, 6 }, { "close", fsx_op_close, 5 }, { "map", fsx_op_map, 6 },
	{ "unmap", fsx_op_unmap, 3 }, { "create", fsx_op_create, 3 }, { "rename", fsx_op_rename, 2 },
	{ "link", fsx_op_link, 2 }, { "unlink", fsx_op_unlink, 2 }, { "stat", fsx_op_stat, 5 },
	{ "verify", fsx_op_verify, 1 }, { "direct", NULL, 0 }, { "append", NULL, 0 }, { "remote", NULL, 0 }
};

static int fsx_usage(void)
{
	int i;

	fprintf(stderr, "usage: fsx DIR [-n OPS] [-s SEED] [-l MAXLEN] [-m] [-k] [-W] [-R] [-x OP]...\n"
			"  -m  several files, handles and maps at once, and a second process\n"
			"  -k  keep the files at the end\n"
			"  -W  no mapped writes   -R  no mapped reads\n"
			"  -x  without this operation:");
	for (i = 0; i < FSX_NOPS; i++)
		fprintf(stderr, " %s", fsx_ops[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static bool fsx_disable(struct fsx *f, const char *name)
{
	int i;

	for (i = 0; i < FSX_NOPS; i++)
		if (strcmp(fsx_ops[i].name, name) == 0)
			f->disabled |= 1u << i;
	return f->disabled != 0;
}

static bool fsx_options(struct fsx *f, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:s:l:mkWRx:")) != -1) {
		if (c == 'n')
			f->limit = strtoull(optarg, NULL, 0);
		else if (c == 's')
			f->seed = strtoull(optarg, NULL, 0);
		else if (c == 'l')
			f->maxlen = strtoll(optarg, NULL, 0);
		else if (c == 'm')
			f->many = true;
		else if (c == 'k')
			f->keep = true;
		else if (c == 'W')
			f->disabled |= 1u << FSX_MAP_WRITE;
		else if (c == 'R')
			f->disabled |= 1u << FSX_MAP_READ;
		else if (c != 'x' || !fsx_disable(f, optarg))
			return false;
	}
	f->dir = argv[optind];
	return optind + 1 == argc && f->maxlen > 0 && f->maxlen < (off_t)1 << 30;
}

static int fsx_prepare(struct fsx *f)
{
	int i;

	f->random = f->seed;
	f->nfiles = f->many ? FSX_FILES : 1;
	f->nnames = f->many ? FSX_NAMES : 2;
	f->nhandles = f->many ? FSX_HANDLES : 1;
	f->nmaps = f->many ? FSX_MAPS : 1;
	for (i = 0; i < FSX_FILES; i++) {
		f->files[i].data = calloc(1, (size_t)f->maxlen + FSX_IO_MAX);
		if (f->files[i].data == NULL)
			return -ENOMEM;
	}
	for (i = 0; i < FSX_NAMES; i++)
		f->names[i] = -1;
	for (i = 0; i < FSX_HANDLES; i++)
		f->handles[i].fd = -1;
	f->buf = mmap(NULL, FSX_IO_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->buf == MAP_FAILED)
		return -errno;
	f->peer = -1;
	return f->many ? fsx_peer_start(f) : 0;
}

static void fsx_step(struct fsx *f)
{
	unsigned total = 0, pick;
	int i;

	for (i = 0; i < FSX_NOPS; i++)
		total += fsx_ops[i].weight;
	pick = (unsigned)fsx_below(f, total);
	for (i = 0; pick >= fsx_ops[i].weight; i++)
		pick -= fsx_ops[i].weight;
	if ((f->disabled & 1u << i) != 0 || !fsx_ops[i].run(f))
		return;
	f->count.ops++;
	if (i != FSX_READ && i != FSX_MAP_READ && i != FSX_WRITE && i != FSX_MAP_WRITE)
		f->count.others++;
}

static void fsx_finish(struct fsx *f)
{
	char path[512];
	int i;

	fsx_verify_all(f);
	for (i = 0; i < f->nmaps; i++)
		if (f->maps[i].p != NULL)
			fsx_map_drop(f, i);
	for (i = 0; i < f->nhandles; i++)
		if (f->handles[i].fd >= 0)
			fsx_handle_close(f, i);
	fsx_verify_all(f);
	fsx_peer_stop(f);
	for (i = 0; i < f->nnames && !f->keep; i++) {
		fsx_path(f, i, path);
		if (f->names[i] >= 0 && unlink(path) != 0)
			fsx_die(f, "unlink: %s", strerror(errno));
	}
}

static void fsx_free(struct fsx *f)
{
	int i;

	for (i = 0; i < FSX_FILES; i++)
		free(f->files[i].data);
	munmap(f->buf, FSX_IO_MAX);
	free(f);
}

int main(int argc, char **argv)
{
	struct fsx *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return 1;
	f->seed = (uint64_t)time(NULL);
	f->limit = 10000;
	f->maxlen = 3 * FSX_EXTENT + 12345;
	if (!fsx_options(f, argc, argv)) {
		free(f);
		return fsx_usage();
	}
	rc = fsx_prepare(f);
	if (rc != 0) {
		fprintf(stderr, "cannot start: %s\n", strerror(-rc));
		return 1;
	}
	fsx_op_create(f);
	while (f->count.ops < f->limit)
		fsx_step(f);
	fsx_finish(f);
	printf("fsx: %" PRIu64 " operations (%" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " others; %" PRIu64
	       " MiB read, %" PRIu64 " MiB written), seed %" PRIu64 ", 0 mismatches\n", f->count.ops, f->count.reads,
	       f->count.writes, f->count.others, f->count.bytes_read >> 20, f->count.bytes_written >> 20, f->seed);
	fsx_free(f);
	return 0;
}
