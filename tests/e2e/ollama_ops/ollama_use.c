/* ollama_use.c - what list, serve, run, push and rm do. */
#include "tests/e2e/ollama_ops/ollama.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void use_rm_while_mapped_child(void *arg)
{
	const int *pipes = arg;         /* ready to write, go to read */
	struct ollama_blob b;
	char *p, c;
	int fd;

	ollama_blob_of(&b, 1, 9000001);
	fd = (int)PX_OK(open(b.path, O_RDONLY | O_CLOEXEC));
	p = PX_MAP(mmap(NULL, b.size, PROT_READ, MAP_SHARED, fd, 0));
	PX_OK(close(fd));
	px_same(p, 0, 100000, 1, "mapped, before rm");
	PX_EQ(PX_OK(write(pipes[0], "r", 1)), 1);
	PX_EQ(PX_OK(read(pipes[1], &c, 1)), 1);
	px_same(p, 0, b.size, 1, "mapped, after rm");
}

/* rm: the manifest, empty directories, then blobs that another process has mapped. */
static void use_rm_while_mapped(void)
{
	struct ollama_blob b;
	const struct ollama_model m = { "registry.ollama.ai", "library", "gone", "latest", &b, 1 };
	int ready[2], go[2], ends[2];
	char path[OLLAMA_PATH], c;
	pid_t pid;

	ollama_blob_of(&b, 1, 9000001);
	ollama_pull(&b);
	ollama_manifest(&m);
	PX_OK(pipe(ready));
	PX_OK(pipe(go));
	ends[0] = ready[1];
	ends[1] = go[0];
	pid = px_fork(use_rm_while_mapped_child, ends);
	PX_OK(close(ready[1]));
	PX_EQ(PX_OK(read(ready[0], &c, 1)), 1);
	ollama_manifest_path(&m, path);
	PX_OK(unlink(path));
	PX_OK(rmdir("manifests/registry.ollama.ai/library/gone"));
	PX_OK(rmdir("manifests/registry.ollama.ai/library"));
	PX_OK(rmdir("manifests/registry.ollama.ai"));
	PX_OK(unlink(b.path));
	PX_EQ(px_entries("blobs"), 0);
	ollama_pull(&b);
	PX_EQ(PX_OK(write(go[1], "g", 1)), 1);
	px_join(pid);
	ollama_check(&b);
}

static void use_make_models(unsigned models, struct ollama_blob *b)
{
	static const char *const hosts[] = { "registry.ollama.ai", "hf.co", "localhost:5000" };
	char name[32];
	unsigned i;

	for (i = 0; i < models; i++) {
		struct ollama_model m = { hosts[i % 3], "library", name, "Q4_K_M", &b[i], 1 };

		snprintf(name, sizeof(name), "model-%u", i);
		ollama_blob_of(&b[i], i, 1000 + i);
		ollama_new_layer(&b[i], i);
		ollama_manifest(&m);
	}
}

static size_t use_list(void)
{
	char text[4096];
	struct stat st;
	glob_t g;
	size_t i, n;

	PX_EQ(glob("manifests/*/*/*/*", GLOB_ERR, NULL, &g), 0);
	n = g.gl_pathc;
	for (i = 0; i < n; i++) {
		PX_OK(stat(g.gl_pathv[i], &st));
		PX_TRUE(S_ISREG(st.st_mode));
		PX_EQ(ollama_read_file(g.gl_pathv[i], text, sizeof(text)), st.st_size);
		PX_EQ(strncmp(text, "{\"schemaVersion\":2", 18), 0);
	}
	globfree(&g);
	return n;
}

/* /api/tags, again and again while models come and go. */
static void use_list_models(void)
{
	struct ollama_blob b[60];
	int i;

	use_make_models(60, b);
	for (i = 0; i < 20; i++)
		PX_EQ(use_list(), 60);
	PX_OK(unlink("manifests/hf.co/library/model-1/Q4_K_M"));
	PX_EQ(use_list(), 59);
}

/* The walk of serve: every blob is looked at; old strays go, young and named ones stay. */
static void use_prune(void)
{
	struct ollama_blob b[30];
	const time_t hour_ago = time(NULL) - 3600;
	struct dirent *e;
	char path[OLLAMA_PATH];
	struct stat st;
	DIR *d;

	use_make_models(30, b);
	px_make("blobs/sha256-123456789", 100, 1);
	px_age("blobs/sha256-123456789");
	px_make("blobs/sha256-987654321", 100, 1);
	px_make("blobs/stray.tmp", 2000000, 1);
	px_age("blobs/stray.tmp");
	px_age(b[3].path);
	PX_OK(mkdir("blobs/split-gguf-7", 0700));
	d = opendir("blobs");
	PX_TRUE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "blobs/%s", e->d_name);
		PX_OK(lstat(path, &st));
		if (S_ISDIR(st.st_mode) || st.st_mtime > hour_ago || strcmp(path, b[3].path) == 0)
			continue;
		PX_OK(unlink(path));
	}
	PX_OK(closedir(d));
	PX_EQ(px_entries("blobs"), 32);
	PX_EQ(px_exists("blobs/stray.tmp"), 0);
	PX_EQ(px_exists("blobs/sha256-987654321"), 1);
	ollama_check(&b[3]);
}

static size_t use_prune_dir(const char *path)
{
	char sub[1024];
	struct dirent *e;
	size_t removed = 0;
	struct stat st;
	DIR *d;

	PX_OK(lstat(path, &st));
	if (!S_ISDIR(st.st_mode))
		return 0;
	d = opendir(path);
	PX_TRUE(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(sub, sizeof(sub), "%.700s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			removed += use_prune_dir(sub);
	}
	PX_OK(closedir(d));
	if (px_entries(path) > 0)
		return removed;
	PX_OK(rmdir(path));
	return removed + 1;
}

static void use_prune_manifests(void)
{
	struct ollama_blob b[6];

	use_make_models(6, b);
	PX_OK(unlink("manifests/localhost:5000/library/model-2/Q4_K_M"));
	PX_OK(unlink("manifests/localhost:5000/library/model-5/Q4_K_M"));
	PX_EQ(use_prune_dir("manifests"), 4);
	PX_EQ(px_exists("manifests/localhost:5000"), 0);
	PX_EQ(use_list(), 4);
}

struct use_reader {
	const struct ollama_blob *blob;
	int fd;                         /* -1: opens its own */
	unsigned n;
};

static void *use_read_part(void *arg)
{
	const struct use_reader *r = arg;
	const size_t each = r->blob->size / OLLAMA_PARTS;
	int fd = r->fd >= 0 ? r->fd : (int)PX_OK(open(r->blob->path, O_RDONLY | O_CLOEXEC));

	px_verify_fd(fd, (off_t)(r->n * each), each, r->blob->seed);
	if (r->fd < 0)
		PX_OK(close(fd));
	return NULL;
}

static void use_read_parts(const struct ollama_blob *b, int fd)
{
	struct use_reader r[OLLAMA_PARTS];
	pthread_t thread[OLLAMA_PARTS];
	unsigned i;

	for (i = 0; i < OLLAMA_PARTS; i++) {
		r[i] = (struct use_reader){ b, fd, i };
		PX_EQ(pthread_create(&thread[i], NULL, use_read_part, &r[i]), 0);
	}
	for (i = 0; i < OLLAMA_PARTS; i++)
		PX_EQ(pthread_join(thread[i], NULL), 0);
}

/* push reads one descriptor from 16 goroutines; the 0.24 engine opens one each. */
static void use_parallel_reads(void)
{
	struct ollama_blob b;

	ollama_blob_of(&b, 1, 16 << 20);
	ollama_pull(&b);
	use_read_parts(&b, (int)PX_OK(open(b.path, O_RDONLY | O_CLOEXEC)));
	use_read_parts(&b, -1);
}

/* llama-server: header by stdio, then the whole file mapped; opened several times over. */
static void use_load_mapped(void)
{
	struct ollama_blob b;
	char head[70000], *p;
	FILE *f;
	int i, fd;

	ollama_blob_of(&b, 1, 12000001);
	ollama_pull(&b);
	for (i = 0; i < 5; i++) {
		f = fopen(b.path, "rb");
		PX_TRUE(f != NULL);
		PX_EQ(fread(head, 1, sizeof(head), f), sizeof(head));
		px_same(head, 0, sizeof(head), 1, "header");
		PX_OK(fseek(f, 0, SEEK_END));
		PX_EQ(ftell(f), b.size);
		fd = fileno(f);
		PX_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
		p = PX_MAP(mmap(NULL, b.size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0));
		PX_EQ(posix_madvise(p, b.size, POSIX_MADV_WILLNEED), 0);
		px_same(p, 0, b.size, 1, "weights");
		PX_OK(munmap(p, 8192));
		PX_OK(munmap(p + 8192, b.size - 8192));
		PX_OK(fclose(f));
	}
}

/* Load mode dio: alignment is st_blksize, reads of whole tensors, the last past the end. */
static void use_load_direct(void)
{
	const size_t span = 4 << 20;
	struct ollama_blob b;
	size_t align, at;
	ssize_t n;
	char *buf;
	int fd;

	ollama_blob_of(&b, 1, 12000001);
	ollama_pull(&b);
	fd = open(b.path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		PX_EQ(errno, EINVAL);
		px_skip("O_DIRECT is refused here");
	}
	align = (size_t)px_fstat(fd).st_blksize;
	PX_EQ(align, 4096);
	buf = px_alloc(span);
	for (at = 0; at < b.size; at += span) {
		n = PX_OK(pread(fd, buf, span, (off_t)at));
		PX_EQ(n, b.size - at < span ? b.size - at : span);
		px_same(buf, (off_t)at, (size_t)n, 1, "a tensor");
	}
}

/* Load mode none: aligned seeks, a page, one read of nearly the tensor, a tail. */
static void use_load_read(void)
{
	struct ollama_blob b;
	char *buf = px_alloc(9 << 20);
	int fd;

	ollama_blob_of(&b, 1, 12000001);
	ollama_pull(&b);
	fd = (int)PX_OK(open(b.path, O_RDONLY | O_CLOEXEC));
	PX_EQ(PX_OK(lseek(fd, 8192, SEEK_SET)), 8192);
	PX_EQ(PX_OK(read(fd, buf, 4096)), 4096);
	PX_EQ(PX_OK(read(fd, buf + 4096, 8 << 20)), 8 << 20);
	PX_EQ(PX_OK(read(fd, buf + 4096 + (8 << 20), 4096)), 4096);
	px_same(buf, 8192, (8 << 20) + 8192, 1, "a tensor");
}

/* A blob that is a symlink to another disk: open follows it, prune removes the link only. */
static void use_symlinked_blob(void)
{
	struct ollama_blob b;

	ollama_blob_of(&b, 1, 2000000);
	ollama_mkdir_all("blobs");
	PX_OK(mkdir("elsewhere", 0755));
	px_make("elsewhere/big", b.size, b.seed);
	PX_OK(symlink("../elsewhere/big", b.path));
	px_verify(b.path, b.size, b.seed);
	PX_OK(unlink(b.path));
	px_verify("elsewhere/big", b.size, b.seed);
}

static const struct px_case cases[] = {
	PX_CASE(use_rm_while_mapped), PX_CASE(use_list_models), PX_CASE(use_prune),
	PX_CASE(use_prune_manifests), PX_CASE(use_parallel_reads), PX_CASE(use_load_mapped),
	PX_CASE(use_load_direct), PX_CASE(use_load_read), PX_CASE(use_symlinked_blob)
};

const struct px_suite ollama_use_suite = PX_SUITE(cases);
