/* race_open.c - race_open DIR [-t THREADS] [-n ROUNDS] [-s SEED]: many threads open, read, map, write
 * and close the same files at once, while names are created, replaced and removed under them.
 *
 * No error is allowed but ENOENT of a name that may be gone: EIO at open is what this hunts.  Content
 * checks itself: a file is blocks of 4 KiB, and a block says which file and block it is, which
 * generation of it, and bytes that follow from those.
 *
 * Phases, each with all threads:
 *  burst  a new file, then every thread opens it at the same moment in a way of its own; one thread
 *         unlinks it while the others have it open; half the files are of blob size
 *  mix    a fixed set of files, read and rewritten by all in every order of opens; a block whose
 *         writing was finished before a read began must be seen in that generation or a later one
 *  fresh  one thread rewrites one block, half the others open and close that file, the rest read it
 *  churn  names replaced by rename, removed and grown from nothing while they are read
 *
 * A file written with O_DIRECT is written in no other way, because ext4 itself promises nothing when
 * direct writes meet dirty pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	RACE_BLOCK = 4096, RACE_WORDS = RACE_BLOCK / 8, RACE_THREADS = 200, RACE_FILES = 4, RACE_NAMES = 6,
	RACE_BLOCKS = 600, RACE_SMALL = 20, RACE_LOCKS = 64, RACE_DIRECT_FILE = 3
};

struct race_file {
	uint64_t id;
	unsigned blocks;
	pthread_mutex_t writing[RACE_LOCKS];    /* block i is written under writing[i % RACE_LOCKS] */
	_Atomic uint64_t done[RACE_BLOCKS];     /* the last generation whose write was finished */
};

struct race {
	const char *dir;
	unsigned threads, rounds;
	uint64_t seed;
	bool no_direct;                         /* O_DIRECT is refused here; constant after start */
	pthread_barrier_t barrier;
	struct race_file files[RACE_FILES];
	_Atomic uint64_t next_id, opens, reads, writes, maps, directs, bytes, renames, unlinks;
	atomic_bool failed, fresh_over;
};

struct race_thread {
	struct race *r;
	unsigned n;
	uint64_t random;
	pthread_t id;
	uint64_t *buf;                          /* one block, aligned */
};

/* ---- content ---- */

static uint64_t race_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t race_below(struct race_thread *t, uint64_t n)
{
	t->random += 0x9e3779b97f4a7c15u;
	return race_mix(t->random) % n;
}

/* Words 0 to 2 are file, block and generation; the rest is the same in every generation, so that a
 * read that meets a write sees whole words whichever it gets. */
static void race_fill(uint64_t *w, uint64_t id, uint64_t block, uint64_t generation)
{
	unsigned i;

	w[0] = id;
	w[1] = block;
	w[2] = generation;
	for (i = 3; i < RACE_WORDS; i++)
		w[i] = race_mix(id * 1000003 + block * 521 + i);
}

static void race_fail(struct race *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void race_fail(struct race *r, const char *fmt, ...)
{
	va_list ap;

	if (atomic_exchange(&r->failed, true))
		return;         /* the first one is enough */
	printf("FAILED race_open: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" (seed %" PRIu64 ")\n", r->seed);
	fflush(stdout);
}

/* The generation of a right block in *generation. */
static bool race_right(struct race *r, const uint64_t *w, uint64_t id, uint64_t block, uint64_t *generation,
		       const char *how)
{
	unsigned i;

	if (w[0] != id || w[1] != block) {
		race_fail(r, "%s: block %" PRIu64 " of file %" PRIx64 " holds block %" PRIu64 " of %" PRIx64, how,
			  block, id, w[1], w[0]);
		return false;
	}
	for (i = 3; i < RACE_WORDS; i++) {
		if (w[i] != race_mix(id * 1000003 + block * 521 + i)) {
			race_fail(r, "%s: block %" PRIu64 " of file %" PRIx64 ", word %u is %016" PRIx64, how, block,
				  id, i, w[i]);
			return false;
		}
	}
	*generation = w[2];
	return true;
}

/* ---- system calls that may not fail ---- */

static bool race_ok(struct race *r, bool ok, const char *what, const char *path)
{
	if (!ok)
		race_fail(r, "%s '%s': %s", what, path, strerrorname_np(errno));
	return ok;
}

/* -1 also when the name is gone, which is allowed where may_be_gone says so. */
static int race_open_file(struct race *r, const char *path, int flags, bool may_be_gone)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0 && errno == ENOENT && may_be_gone)
		return -1;
	if (race_ok(r, fd >= 0, (flags & O_ACCMODE) == O_RDONLY ? "open for reading" : "open for writing", path))
		atomic_fetch_add(&r->opens, 1);
	return fd;
}

static void race_close(struct race *r, int fd, const char *path)
{
	race_ok(r, close(fd) == 0, "close", path);
}

static bool race_read_block(struct race_thread *t, int fd, uint64_t block, const char *path)
{
	struct race *r = t->r;
	ssize_t n = pread(fd, t->buf, RACE_BLOCK, (off_t)block * RACE_BLOCK);

	if (!race_ok(r, n >= 0, "read", path))
		return false;
	if (n != RACE_BLOCK) {
		race_fail(r, "read '%s': block %" PRIu64 " has %zd bytes", path, block, n);
		return false;
	}
	atomic_fetch_add(&r->reads, 1);
	atomic_fetch_add(&r->bytes, RACE_BLOCK);
	return true;
}

/* Writes a new file of that many blocks, generation 0. */
static bool race_make(struct race_thread *t, const char *path, int flags, uint64_t id, unsigned blocks)
{
	int fd = race_open_file(t->r, path, O_CREAT | O_RDWR | flags, false);
	unsigned i;
	bool ok = fd >= 0;

	for (i = 0; i < blocks && ok; i++) {
		race_fill(t->buf, id, i, 0);
		ok = race_ok(t->r, pwrite(fd, t->buf, RACE_BLOCK, (off_t)i * RACE_BLOCK) == RACE_BLOCK, "write",
			     path);
	}
	if (fd >= 0)
		race_close(t->r, fd, path);
	return ok;
}

/* ---- one visit of a file of the fixed set ---- */

static void race_path(const struct race *r, const char *kind, uint64_t n, char path[512])
{
	snprintf(path, 512, "%.400s/%s-%" PRIu64, r->dir, kind, n);
}

/* A generation older than one finished before is looked at twice: a torn read is no stale read. */
static void race_check_fresh(struct race_thread *t, struct race_file *f, int fd, uint64_t block, const char *how,
			     const char *path)
{
	const uint64_t finished = atomic_load(&f->done[block]);
	uint64_t got = 0;
	int tries;

	for (tries = 0; tries < 2; tries++) {
		if (!race_read_block(t, fd, block, path) || !race_right(t->r, t->buf, f->id, block, &got, how))
			return;
		if (got >= finished)
			return;
	}
	race_fail(t->r, "%s '%s': block %" PRIu64 " is of generation %" PRIu64 ", %" PRIu64 " was finished before",
		  how, path, block, got, finished);
}

static void race_visit_read(struct race_thread *t, struct race_file *f, int fd, const char *how, const char *path)
{
	unsigned i;

	for (i = 0; i < 6 && !atomic_load(&t->r->failed); i++)
		race_check_fresh(t, f, fd, race_below(t, f->blocks), how, path);
}

static void race_visit_map(struct race_thread *t, struct race_file *f, int fd, bool close_first, const char *path)
{
	const size_t size = (size_t)f->blocks * RACE_BLOCK;
	const uint64_t *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t block, got;
	unsigned i;

	if (!race_ok(t->r, p != MAP_FAILED, "mmap", path))
		return;
	if (close_first)
		race_close(t->r, fd, path);
	for (i = 0; i < 6; i++) {
		block = race_below(t, f->blocks);
		race_right(t->r, p + block * RACE_WORDS, f->id, block, &got, "mapped read");
	}
	race_ok(t->r, munmap((void *)(uintptr_t)p, size) == 0, "munmap", path);
	atomic_fetch_add(&t->r->maps, 1);
	atomic_fetch_add(&t->r->bytes, 6 * RACE_BLOCK);
}

static void race_visit_write(struct race_thread *t, struct race_file *f, int fd, bool mapped, const char *path)
{
	const uint64_t block = race_below(t, f->blocks);
	pthread_mutex_t *lock = &f->writing[block % RACE_LOCKS];
	uint64_t generation;
	uint64_t *p;

	pthread_mutex_lock(lock);
	generation = atomic_load(&f->done[block]) + 1;
	race_fill(t->buf, f->id, block, generation);
	if (mapped) {
		p = mmap(NULL, RACE_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)block * RACE_BLOCK);
		if (race_ok(t->r, p != MAP_FAILED, "mmap for writing", path)) {
			memcpy(p, t->buf, RACE_BLOCK);
			munmap(p, RACE_BLOCK);
			atomic_store(&f->done[block], generation);
		}
	} else if (race_ok(t->r, pwrite(fd, t->buf, RACE_BLOCK, (off_t)block * RACE_BLOCK) == RACE_BLOCK, "write",
			   path)) {
		atomic_store(&f->done[block], generation);
	}
	pthread_mutex_unlock(lock);
	atomic_fetch_add(&t->r->writes, 1);
}

static void race_visit(struct race_thread *t)
{
	struct race *r = t->r;
	const unsigned n = (unsigned)race_below(t, RACE_FILES), kind = (unsigned)race_below(t, 7);
	struct race_file *f = &r->files[n];
	const bool direct_file = n == RACE_DIRECT_FILE && !r->no_direct;
	int flags = kind >= 4 ? O_RDWR : O_RDONLY, fd;
	char path[512];

	race_path(r, "fixed", n, path);
	if (!r->no_direct && (kind == 3 || (kind >= 4 && direct_file)))
		flags |= O_DIRECT;
	fd = race_open_file(r, path, flags, false);
	if (fd < 0)
		return;
	if ((flags & O_DIRECT) != 0)
		atomic_fetch_add(&r->directs, 1);
	if (kind == 2) {
		race_visit_map(t, f, fd, true, path);
		return;
	}
	if (kind == 1)
		race_visit_map(t, f, fd, false, path);
	if (kind >= 4)
		race_visit_write(t, f, fd, kind == 6 && !direct_file, path);
	race_visit_read(t, f, fd, (flags & O_DIRECT) != 0 ? "direct read" : "read", path);
	race_close(r, fd, path);
}

/* ---- fresh ---- */

static void race_fresh(struct race_thread *t)
{
	struct race *r = t->r;
	struct race_file *f = &r->files[0];
	int fd = -1;
	char path[512];
	unsigned i;

	race_path(r, "fixed", 0, path);
	fd = race_open_file(r, path, t->n == 0 ? O_RDWR : O_RDONLY, false);
	for (i = 0; fd >= 0 && !atomic_load(&r->fresh_over) && !atomic_load(&r->failed); i++) {
		if (t->n == 0 && i == 100 * r->rounds)
			break;
		if (t->n == 0) {
			race_fill(t->buf, f->id, 1, atomic_load(&f->done[1]) + 1);
			race_ok(r, pwrite(fd, t->buf, RACE_BLOCK, RACE_BLOCK) == RACE_BLOCK, "write", path);
			atomic_fetch_add(&f->done[1], 1);
		} else if (t->n % 2 != 0) {
			race_close(r, fd, path);
			fd = race_open_file(r, path, O_RDONLY, false);
		} else {
			race_check_fresh(t, f, fd, 1, "read", path);
		}
	}
	if (t->n == 0)
		atomic_store(&r->fresh_over, true);
	if (fd >= 0)
		race_close(r, fd, path);
}

/* ---- burst ---- */

static void race_burst_one(struct race_thread *t, uint64_t id, unsigned blocks, const char *path)
{
	static const int flags[] = { O_RDONLY, O_RDWR, O_RDONLY, O_WRONLY, O_RDONLY | O_DIRECT, O_RDWR | O_APPEND };
	struct race *r = t->r;
	int how = flags[race_below(t, sizeof(flags) / sizeof(flags[0]))], fd;
	const uint64_t block = race_below(t, blocks);
	uint64_t got;

	if (r->no_direct)
		how &= ~O_DIRECT;
	fd = race_open_file(r, path, how, true);
	if (t->n == (unsigned)(id % r->threads)) {
		race_ok(r, unlink(path) == 0, "unlink", path);
		atomic_fetch_add(&r->unlinks, 1);
	}
	if (fd < 0)
		return;
	if ((how & O_ACCMODE) != O_RDONLY && (how & O_APPEND) == 0) {
		race_fill(t->buf, id, block, 0);
		race_ok(r, pwrite(fd, t->buf, RACE_BLOCK, (off_t)block * RACE_BLOCK) == RACE_BLOCK, "write", path);
		atomic_fetch_add(&r->writes, 1);
	}
	if ((how & O_ACCMODE) != O_WRONLY && race_read_block(t, fd, block, path))
		race_right(r, t->buf, id, block, &got, "burst read");
	race_close(r, fd, path);
}

static void race_burst(struct race_thread *t, unsigned round)
{
	struct race *r = t->r;
	const uint64_t id = ((uint64_t)1 << 40) + round;
	const unsigned blocks = round % 2 != 0 ? RACE_SMALL : RACE_BLOCKS / 2;
	char path[512];

	race_path(r, "burst", round, path);
	if (t->n == round % r->threads)
		race_make(t, path, 0, id, blocks);
	pthread_barrier_wait(&r->barrier);
	if (!atomic_load(&r->failed))
		race_burst_one(t, id, blocks, path);
	pthread_barrier_wait(&r->barrier);
}

/* ---- churn ---- */

/* A file that grows may show its new size before it shows the bytes: the write is still going on.  FUSE's
 * page cache does that.  They must come. */
static bool race_wait_for_block(struct race_thread *t, int fd, uint64_t block)
{
	const struct timespec nap = { 0, 1000000 };
	int tries;

	for (tries = 0; tries < 5000; tries++) {
		if (pread(fd, t->buf, RACE_BLOCK, (off_t)block * RACE_BLOCK) == RACE_BLOCK)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

/* Whatever file has the name: all its blocks are of one id.  whole is 0 for a file that grows. */
static void race_churn_read(struct race_thread *t, const char *path, unsigned whole)
{
	struct race *r = t->r;
	int fd = race_open_file(r, path, O_RDONLY, true), i;
	struct stat st;
	uint64_t id, block, got, blocks;

	if (fd < 0)
		return;
	if (!race_ok(r, fstat(fd, &st) == 0, "fstat", path))
		goto close_fd;
	blocks = (uint64_t)st.st_size / RACE_BLOCK;
	if (whole != 0 && blocks != whole && blocks != RACE_SMALL)
		race_fail(r, "'%s' has %" PRIu64 " blocks", path, blocks);
	if (blocks == 0 || (whole == 0 && !race_wait_for_block(t, fd, 0)) || !race_read_block(t, fd, 0, path))
		goto close_fd;
	id = t->buf[0];
	for (i = 0; i < 5; i++) {
		block = race_below(t, blocks);
		if (whole == 0 && !race_wait_for_block(t, fd, block))
			race_fail(r, "'%s' stays shorter than its size says", path);
		if (!race_read_block(t, fd, block, path) || !race_right(r, t->buf, id, block, &got, "churn read"))
			break;
	}
close_fd:
	race_close(r, fd, path);
}

static void race_churn_replace(struct race_thread *t, const char *path)
{
	struct race *r = t->r;
	const uint64_t id = atomic_fetch_add(&r->next_id, 1);
	char temp[512];

	race_path(r, "temp", id, temp);
	if (!race_make(t, temp, O_EXCL, id, race_below(t, 2) ? RACE_SMALL : RACE_BLOCKS / 2))
		return;
	race_ok(r, rename(temp, path) == 0, "rename over", path);
	atomic_fetch_add(&r->renames, 1);
}

static void race_churn_grow(struct race_thread *t)
{
	struct race *r = t->r;
	const uint64_t id = atomic_fetch_add(&r->next_id, 1);
	char path[512];

	race_path(r, "grow", t->n % RACE_NAMES, path);
	if (t->n >= RACE_NAMES) {
		race_churn_read(t, path, 0);
		return;
	}
	race_make(t, path, O_EXCL, id, RACE_BLOCKS / 2);
	race_churn_read(t, path, 0);
	race_ok(r, unlink(path) == 0, "unlink", path);
	atomic_fetch_add(&r->unlinks, 1);
}

static void race_churn(struct race_thread *t)
{
	char path[512];

	race_path(t->r, "churn", race_below(t, RACE_NAMES), path);
	switch (race_below(t, 8)) {
	case 0:
		race_churn_replace(t, path);
		break;
	case 1:
		race_churn_grow(t);
		break;
	case 2:
		if (unlink(path) != 0)
			race_ok(t->r, errno == ENOENT, "unlink", path);
		else
			atomic_fetch_add(&t->r->unlinks, 1);
		break;
	default:
		race_churn_read(t, path, RACE_BLOCKS / 2);
	}
}

/* ---- the program ---- */

static void *race_run(void *arg)
{
	struct race_thread *t = arg;
	struct race *r = t->r;
	unsigned i;

	for (i = 0; i < r->rounds; i++)
		race_burst(t, i);
	for (i = 0; i < 4 * r->rounds && !atomic_load(&r->failed); i++)
		race_visit(t);
	pthread_barrier_wait(&r->barrier);
	if (t->n < 8)
		race_fresh(t);
	pthread_barrier_wait(&r->barrier);
	for (i = 0; i < r->rounds && !atomic_load(&r->failed); i++)
		race_churn(t);
	return NULL;
}

static bool race_prepare(struct race *r, struct race_thread *t)
{
	char path[512];
	int i, k, fd;

	for (i = 0; i < RACE_FILES; i++) {
		struct race_file *f = &r->files[i];

		f->id = (uint64_t)i + 1;
		f->blocks = i % 2 != 0 ? RACE_BLOCKS : RACE_SMALL;
		for (k = 0; k < RACE_LOCKS; k++)
			pthread_mutex_init(&f->writing[k], NULL);
		race_path(r, "fixed", (uint64_t)i, path);
		if (!race_make(t, path, O_EXCL, f->id, f->blocks))
			return false;
		fd = open(path, O_RDONLY | O_DIRECT);
		r->no_direct = fd < 0;
		if (fd >= 0)
			close(fd);
	}
	atomic_store(&r->next_id, 1000);
	return pthread_barrier_init(&r->barrier, NULL, r->threads) == 0;
}

static void race_clean(struct race *r)
{
	char path[512];
	uint64_t i;

	for (i = 0; i < RACE_NAMES; i++) {
		race_path(r, "fixed", i, path);
		unlink(path);
		race_path(r, "churn", i, path);
		unlink(path);
	}
	for (i = 0; i < RACE_FILES * RACE_LOCKS; i++)
		pthread_mutex_destroy(&r->files[i / RACE_LOCKS].writing[i % RACE_LOCKS]);
	pthread_barrier_destroy(&r->barrier);
}

static bool race_threads(struct race *r, struct race_thread *threads)
{
	unsigned i;

	for (i = 0; i < r->threads; i++) {
		threads[i].r = r;
		threads[i].n = i;
		threads[i].random = r->seed * 1000003 + i;
		if (posix_memalign((void **)&threads[i].buf, RACE_BLOCK, RACE_BLOCK) != 0)
			return false;
	}
	if (!race_prepare(r, &threads[0]))
		return false;
	for (i = 0; i < r->threads; i++)
		if (pthread_create(&threads[i].id, NULL, race_run, &threads[i]) != 0)
			exit(1);        /* the others wait at the barrier for good */
	for (i = 0; i < r->threads; i++) {
		pthread_join(threads[i].id, NULL);
		free(threads[i].buf);
	}
	race_clean(r);
	return !atomic_load(&r->failed);
}

static bool race_options(struct race *r, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "t:n:s:")) != -1) {
		if (c == 't')
			r->threads = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'n')
			r->rounds = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 's')
			r->seed = strtoull(optarg, NULL, 0);
		else
			return false;
	}
	r->dir = argv[optind];
	return optind + 1 == argc && r->threads >= 2 && r->threads <= RACE_THREADS && r->rounds > 0;
}

int main(int argc, char **argv)
{
	struct race *r = calloc(1, sizeof(*r));
	struct race_thread *threads = calloc(RACE_THREADS, sizeof(*threads));
	bool ok;

	if (r == NULL || threads == NULL)
		return 1;
	r->threads = 50;
	r->rounds = 100;
	r->seed = 1;
	if (!race_options(r, argc, argv)) {
		fprintf(stderr, "usage: race_open DIR [-t THREADS] [-n ROUNDS] [-s SEED]\n");
		return 2;
	}
	ok = race_threads(r, threads);
	printf("race_open: %u threads, %u rounds: %" PRIu64 " opens, %" PRIu64 " reads, %" PRIu64 " maps, %" PRIu64
	       " writes, %" PRIu64 " direct opens, %" PRIu64 " renames, %" PRIu64 " unlinks, %" PRIu64
	       " MiB checked%s, %s\n", r->threads, r->rounds, r->opens, r->reads, r->maps, r->writes, r->directs,
	       r->renames, r->unlinks, r->bytes >> 20, r->no_direct ? " (O_DIRECT is refused here)" : "",
	       ok ? "0 errors" : "FAILED");
	free(threads);
	free(r);
	return ok ? 0 : 1;
}
