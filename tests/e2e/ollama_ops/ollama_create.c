/* ollama_create.c - what create, cp and the quantizer do. */
#include "tests/e2e/ollama_ops/ollama.h"
#include "tests/e2e/lib/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void create_gguf(void)
{
	struct ollama_blob b[3];
	const struct ollama_model m = { "registry.ollama.ai", "library", "mine", "latest", b, 3 };
	char sniff[512];
	int fd;

	ollama_blob_of(&b[0], 1, 9000001);
	ollama_blob_of(&b[1], 2, 400);
	ollama_blob_of(&b[2], 3, 12);
	ollama_new_layer(&b[0], 1);
	fd = (int)PX_OK(open(b[0].path, O_RDONLY | O_CLOEXEC));
	PX_EQ(PX_OK(read(fd, sniff, sizeof(sniff))), 512);
	px_same(sniff, 0, sizeof(sniff), 1, "the first bytes of a new layer");
	PX_OK(close(fd));
	ollama_new_layer(&b[1], 2);
	ollama_new_layer(&b[2], 3);
	ollama_manifest(&m);
	ollama_check(&b[0]);
	ollama_check(&b[1]);
	ollama_check(&b[2]);
	PX_EQ(px_entries("blobs"), 3);
}

/* The quantizer's copy: in is mapped, out written in a row, its header once more at the end. */
static void create_requantized(void)
{
	struct ollama_blob b;
	const size_t head = 70000;
	char out[OLLAMA_PATH], *in, *zero = px_alloc(head);
	size_t done, part;
	int in_fd, fd;

	ollama_blob_of(&b, 1, 8000003);
	ollama_new_layer(&b, 1);
	PX_OK(close(ollama_create_temp("COPY", 1, out)));
	in_fd = (int)PX_OK(open(b.path, O_RDONLY | O_CLOEXEC));
	in = PX_MAP(mmap(NULL, b.size, PROT_READ, MAP_SHARED, in_fd, 0));
	fd = (int)PX_OK(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666));
	PX_EQ(PX_OK(write(fd, zero, head)), head);
	for (done = head; done < b.size; done += part) {
		part = b.size - done < 1000000 ? b.size - done : 1000000;
		PX_EQ(PX_OK(write(fd, in + done, part)), part);
	}
	PX_OK(lseek(fd, 0, SEEK_SET));
	PX_EQ(PX_OK(write(fd, in, head)), head);
	PX_OK(close(fd));
	PX_OK(munmap(in, b.size));
	px_verify(out, b.size, 1);
	PX_OK(unlink(out));
	ollama_check(&b);
	PX_EQ(px_entries("blobs"), 1);
}

/* A split GGUF: a directory of hard links under the original names, then RemoveAll. */
static void create_from_split(void)
{
	struct ollama_blob b[3];
	char dir[] = "blobs/split-gguf-1234567890", name[OLLAMA_PATH];
	int i;

	ollama_mkdir_all("blobs");
	for (i = 0; i < 3; i++) {
		ollama_blob_of(&b[i], (uint64_t)i, 1500000 + (size_t)i);
		ollama_new_layer(&b[i], (unsigned)i);
	}
	PX_OK(mkdir(dir, 0700));
	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s/model-%05d-of-00003.gguf", dir, i + 1);
		PX_OK(link(b[i].path, name));
		PX_EQ(px_stat(name).st_nlink, 2);
		PX_EQ(px_stat(name).st_ino, px_stat(b[i].path).st_ino);
		px_verify(name, b[i].size, b[i].seed);
	}
	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s/model-%05d-of-00003.gguf", dir, i + 1);
		PX_OK(unlink(name));
	}
	PX_OK(rmdir(dir));
	for (i = 0; i < 3; i++)
		ollama_check(&b[i]);
	PX_EQ(px_entries("blobs"), 3);
}

struct create_tensor {
	int fd;
	off_t off;
	size_t size;
};

/* WriteGGUF: every tensor is written by a goroutine of its own, past the end of the file. */
static void *create_write_tensor(void *arg)
{
	const struct create_tensor *t = arg;
	uint8_t buf[OLLAMA_PIECE];
	size_t done, part;

	for (done = 0; done < t->size; done += part) {
		part = t->size - done < sizeof(buf) ? t->size - done : sizeof(buf);
		px_fill(buf, t->off + (off_t)done, part, 5);
		PX_EQ(PX_OK(pwrite(t->fd, buf, part, t->off + (off_t)done)), part);
	}
	return NULL;
}

static void create_parallel_tensors(int fd, size_t head, size_t size)
{
	struct create_tensor t[12];
	const size_t each = (size - head) / PX_COUNT(t);
	pthread_t thread[PX_COUNT(t)];
	size_t i;

	for (i = PX_COUNT(t); i-- > 0; ) {
		t[i] = (struct create_tensor){ fd, (off_t)(head + i * each), each };
		if (i + 1 == PX_COUNT(t))
			t[i].size = size - head - i * each;
		PX_EQ(pthread_create(&thread[i], NULL, create_write_tensor, &t[i]), 0);
	}
	for (i = 0; i < PX_COUNT(t); i++)
		PX_EQ(pthread_join(thread[i], NULL), 0);
}

/* From safetensors: absolute symlinks in a temporary directory of the root, a GGUF written in
 * parallel, its header rewritten from 0, then a layer like any other. */
static void create_from_safetensors(void)
{
	const size_t head = 5000, size = 7000001;
	char cwd[PATH_MAX], target[PATH_MAX + 100], dir[] = "ollama-safetensors271828", name[OLLAMA_PATH];
	struct ollama_blob in, out;
	int fd;

	PX_TRUE(getcwd(cwd, sizeof(cwd)) != NULL);
	ollama_blob_of(&in, 1, 3000000);
	ollama_blob_of(&out, 5, size);
	ollama_new_layer(&in, 1);
	PX_OK(mkdir(dir, 0700));
	snprintf(target, sizeof(target), "%s/%s", cwd, in.path);
	snprintf(name, sizeof(name), "%s/model.safetensors", dir);
	PX_OK(symlink(target, name));
	px_verify(name, in.size, in.seed);
	snprintf(name, sizeof(name), "%s/fp16424242", dir);
	fd = (int)PX_OK(open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	create_parallel_tensors(fd, head, size);
	PX_OK(lseek(fd, 0, SEEK_SET));
	px_write(fd, 0, head, 5);
	PX_OK(close(fd));
	px_verify(name, size, 5);
	ollama_new_layer(&out, 2);
	PX_OK(unlink(name));
	snprintf(name, sizeof(name), "%s/model.safetensors", dir);
	PX_OK(unlink(name));
	PX_OK(rmdir(dir));
	ollama_check(&in);
	ollama_check(&out);
	PX_EQ(px_entries("."), 1);
}

/* Where symlink is refused, a whole copy: copy_file_range first. */
static void create_copy_fallback(void)
{
	struct ollama_blob b;
	ssize_t n;
	off_t size = 0;
	int in, out;

	ollama_blob_of(&b, 1, 5000003);
	ollama_new_layer(&b, 1);
	in = (int)PX_OK(open(b.path, O_RDONLY | O_CLOEXEC));
	out = (int)PX_OK(open("copy", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
	while ((n = PX_TRY(copy_file_range(in, NULL, out, NULL, 1 << 30, 0))) > 0)
		size += n;
	PX_EQ(size, b.size);
	PX_OK(close(out));
	px_verify("copy", b.size, b.seed);
}

static void create_cp(void)
{
	struct ollama_blob b;
	struct ollama_model from = { "registry.ollama.ai", "library", "a", "latest", &b, 1 };
	struct ollama_model to = { "localhost:5000", "team", "b", "q4_K_M", &b, 1 };
	char src[OLLAMA_PATH], dst[OLLAMA_PATH], one[4096], two[4096];
	int in, out;

	ollama_blob_of(&b, 1, 1000);
	ollama_new_layer(&b, 1);
	ollama_manifest(&from);
	ollama_manifest_path(&from, src);
	ollama_manifest_path(&to, dst);
	ollama_mkdir_all("manifests/localhost:5000/team/b");
	in = (int)PX_OK(open(src, O_RDONLY | O_CLOEXEC));
	out = (int)PX_OK(open(dst, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
	while (PX_TRY(copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
		;
	PX_OK(close(in));
	PX_OK(close(out));
	PX_TRUE(ollama_read_file(src, one, sizeof(one)) > 0);
	ollama_read_file(dst, two, sizeof(two));
	PX_EQ(strcmp(one, two), 0);
}

/* The upload of a blob whose name exists: the temporary is thrown away. */
static void create_existing_layer(void)
{
	struct ollama_blob b;
	char temp[OLLAMA_PATH];
	struct stat before, after;
	int fd;

	ollama_blob_of(&b, 1, 3000000);
	ollama_new_layer(&b, 1);
	PX_OK(stat(b.path, &before));
	fd = ollama_create_temp("sha256-", 2, temp);
	px_write(fd, 0, b.size, b.seed);
	PX_OK(close(fd));
	PX_OK(unlink(temp));
	PX_OK(stat(b.path, &after));
	PX_EQ(before.st_ino, after.st_ino);
	ollama_check(&b);
	PX_EQ(px_entries("blobs"), 1);
}

/* --experimental create runs in the command's process, as another user than the server. */
static void create_by_another_user(void)
{
	struct ollama_blob b;

	ollama_mkdir_all("blobs");
	PX_OK(chmod("blobs", 0777));
	px_user(1001, 1001, 0, NULL);
	ollama_blob_of(&b, 1, 3000000);
	ollama_new_layer(&b, 1);
	PX_EQ(px_stat(b.path).st_uid, 1001);
	px_root();
	ollama_check(&b);
	px_user(1002, 1002, 0, NULL);
	ollama_check(&b);
	PX_ERR(open(b.path, O_WRONLY), EACCES);
}

static const struct px_case cases[] = {
	PX_CASE(create_gguf), PX_CASE(create_requantized), PX_CASE(create_from_split),
	PX_CASE(create_from_safetensors), PX_CASE(create_copy_fallback), PX_CASE(create_cp),
	PX_CASE(create_existing_layer), PX_CASE(create_by_another_user)
};

const struct px_suite ollama_create_suite = PX_SUITE(cases);
