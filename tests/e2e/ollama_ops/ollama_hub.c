/* ollama_hub.c - other clients of the same mount: the Hugging Face hub cache, llama.cpp -hf,
 * LM Studio. */
#include "tests/e2e/ollama_ops/ollama.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HUB "models--org--repo"
#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void hub_dirs(void)
{
	ollama_mkdir_all(HUB "/blobs");
	ollama_mkdir_all(HUB "/refs");
	ollama_mkdir_all(HUB "/snapshots/" COMMIT "/sub");
	ollama_mkdir_all(HUB "/.no_exist/" COMMIT);
	ollama_mkdir_all(".locks/" HUB);
}

/* One file of a snapshot: lock, append to an incomplete file, rename, relative symlink, unlock. */
static void hub_download(const struct ollama_blob *b, const char *name, const char *up)
{
	char lock[OLLAMA_PATH], part[OLLAMA_PATH], blob[OLLAMA_PATH], target[OLLAMA_PATH], link_path[OLLAMA_PATH];
	int lock_fd, fd;
	size_t done, n;

	snprintf(lock, sizeof(lock), ".locks/" HUB "/%s.lock", b->hex);
	snprintf(part, sizeof(part), HUB "/blobs/%s.incomplete", b->hex);
	snprintf(blob, sizeof(blob), HUB "/blobs/%s", b->hex);
	snprintf(target, sizeof(target), "%s../../blobs/%s", up, b->hex);
	snprintf(link_path, sizeof(link_path), HUB "/snapshots/" COMMIT "/%s", name);
	lock_fd = (int)PX_OK(open(lock, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	PX_OK(flock(lock_fd, LOCK_EX));
	if (!px_exists(blob)) {
		fd = (int)PX_OK(open(part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
		for (done = 0; done < b->size; done += n) {
			n = b->size - done < 1000000 ? b->size - done : 1000000;
			px_write(fd, (off_t)done, n, b->seed);
		}
		PX_OK(close(fd));
		PX_OK(rename(part, blob));
		PX_OK(symlink(target, link_path));
	}
	PX_OK(flock(lock_fd, LOCK_UN));
	PX_OK(close(lock_fd));
	px_verify(link_path, b->size, b->seed);
}

static void hub_download_child(void *arg)
{
	hub_download(arg, "model.safetensors", "");
}

/* Four processes want the same file: one downloads, three wait for the lock and find it there. */
static void hub_locked_download(void)
{
	struct ollama_blob b;
	pid_t pid[4];
	int i;

	hub_dirs();
	ollama_blob_of(&b, 1, 5000001);
	for (i = 0; i < 4; i++)
		pid[i] = px_fork(hub_download_child, &b);
	for (i = 0; i < 4; i++)
		px_join(pid[i]);
	PX_EQ(px_entries(HUB "/blobs"), 1);
}

static void hub_snapshot(void)
{
	struct ollama_blob big, small;
	char target[OLLAMA_PATH], want[OLLAMA_PATH];
	ssize_t n;

	hub_dirs();
	ollama_blob_of(&big, 1, 3000001);
	ollama_blob_of(&small, 2, 700);
	hub_download(&big, "model.gguf", "");
	hub_download(&small, "sub/config.json", "../");
	ollama_write_file(HUB "/refs/main", COMMIT);
	px_touch(HUB "/.no_exist/" COMMIT "/added_tokens.json");
	n = PX_OK(readlink(HUB "/snapshots/" COMMIT "/model.gguf", target, sizeof(target)));
	snprintf(want, sizeof(want), "../../blobs/%s", big.hex);
	PX_EQ(n, strlen(want));
	PX_EQ(memcmp(target, want, (size_t)n), 0);
	/* The cache is moved: relative links still lead to their blobs. */
	PX_OK(rename(HUB, "models--org--moved"));
	px_verify("models--org--moved/snapshots/" COMMIT "/sub/config.json", small.size, small.seed);
}

/* llama.cpp -hf: a name ending in .downloadInProgress, rename, symlink. */
static void hub_llama_download(void)
{
	struct ollama_blob b;
	char part[OLLAMA_PATH], blob[OLLAMA_PATH], target[OLLAMA_PATH];
	int fd;

	hub_dirs();
	ollama_blob_of(&b, 1, 4000001);
	snprintf(blob, sizeof(blob), HUB "/blobs/%s", b.hex);
	snprintf(part, sizeof(part), HUB "/blobs/%s.downloadInProgress", b.hex);
	fd = (int)PX_OK(open(part, O_WRONLY | O_CREAT | O_APPEND, 0666));
	px_write(fd, 0, 1000001, b.seed);
	PX_OK(close(fd));
	PX_EQ(px_stat(part).st_size, 1000001);
	fd = (int)PX_OK(open(part, O_WRONLY | O_CREAT | O_APPEND, 0666));
	px_write(fd, 1000001, b.size - 1000001, b.seed);
	PX_OK(close(fd));
	PX_OK(rename(part, blob));
	snprintf(target, sizeof(target), "../../blobs/%s", b.hex);
	PX_OK(symlink(target, HUB "/snapshots/" COMMIT "/x-Q4_K_M.gguf"));
	px_verify(HUB "/snapshots/" COMMIT "/x-Q4_K_M.gguf", b.size, b.seed);
}

/* Where symlinks are refused, the file itself moves into the snapshot. */
static void hub_llama_without_symlink(void)
{
	struct ollama_blob b;
	char blob[OLLAMA_PATH];

	hub_dirs();
	ollama_blob_of(&b, 1, 4000001);
	snprintf(blob, sizeof(blob), HUB "/blobs/%s", b.hex);
	px_make(blob, b.size, b.seed);
	PX_OK(rename(blob, HUB "/snapshots/" COMMIT "/x.gguf"));
	px_verify(HUB "/snapshots/" COMMIT "/x.gguf", b.size, b.seed);
}

/* One file under three names: Ollama's blob, the hub's blob and LM Studio's file. */
static void hub_three_names(void)
{
	struct ollama_blob b;
	char hub[OLLAMA_PATH];

	hub_dirs();
	ollama_blob_of(&b, 1, 4000001);
	ollama_pull(&b);
	snprintf(hub, sizeof(hub), HUB "/blobs/%s", b.hex);
	PX_OK(link(b.path, hub));
	ollama_mkdir_all("lmstudio/publisher/model");
	PX_OK(link(b.path, "lmstudio/publisher/model/file.gguf"));
	PX_EQ(px_stat(b.path).st_nlink, 3);
	px_verify("lmstudio/publisher/model/file.gguf", b.size, b.seed);
	PX_OK(unlink(b.path));
	px_verify(hub, b.size, b.seed);
	px_verify("lmstudio/publisher/model/file.gguf", b.size, b.seed);
	PX_EQ(px_stat(hub).st_nlink, 2);
}

static const struct px_case cases[] = {
	PX_CASE(hub_locked_download), PX_CASE(hub_snapshot), PX_CASE(hub_llama_download),
	PX_CASE(hub_llama_without_symlink), PX_CASE(hub_three_names)
};

const struct px_suite ollama_hub_suite = PX_SUITE(cases);
