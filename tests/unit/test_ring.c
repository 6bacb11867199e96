/* test_ring.c - operations in flight, by io_uring and by threads: the same tests, the same results. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/ring_place.h"

/* ---- what is transferred ---- */
static bool overlap(const struct ring_op *a, const struct ring_op *b)
{
	return a->off < b->off + b->len && b->off < a->off + a->len;
}

/* Whether ops[i] may run beside what is in flight. */
static bool alone(const struct ring_place *p, const bool *busy, unsigned i)
{
	for (unsigned j = 0; j < RING_DEPTH; j++)
		if (j != i && busy[j] && p->ops[j].kind != RING_SYNC && overlap(&p->ops[i], &p->ops[j]) &&
		    (p->ops[i].kind == RING_WRITE || p->ops[j].kind == RING_WRITE))
			return false;
	return true;
}

static void random_op(struct ring_place *p, unsigned i, int fd, uint32_t align)
{
	struct ring_op *op = &p->ops[i];
	uint32_t len = (uint32_t)(1 + ring_place_random(p) % (RING_PART / align)) * align;
	static const enum ring_kind kinds[8] = { RING_READ, RING_READ, RING_READ, RING_WRITE, RING_WRITE, RING_WRITE,
						 RING_READ, RING_SYNC };

	*op = (struct ring_op){ .kind = kinds[ring_place_random(p) % 8], .fd = fd, .buf = ring_place_mem(p, i), .len = len };
	op->off = ring_place_random(p) % ((RING_FILE_LEN - len) / align + 1) * align;
	if (op->kind == RING_WRITE)
		ring_place_fill(p, op->buf, len);
	else
		memset(op->buf, 0xa5, len);
}

static void random_ops(struct ring_place *p, int fd, uint32_t align)
{
	bool busy[RING_DEPTH] = { false };
	unsigned char *all;
	unsigned steps;

	for (steps = 0; steps < 2000; steps++) {
		unsigned i = (unsigned)(ring_place_random(p) % RING_DEPTH);

		if (!busy[i]) {
			random_op(p, i, fd, align);
			if (alone(p, busy, i)) {
				assert_int_equal(ring_submit(p->r, &p->ops[i]), 0);
				busy[i] = true;
			}
		}
		if (ring_place_random(p) % 4 == 0)
			ring_place_check(p, busy, ring_wait(p->r, 0));
	}
	while (ring_in_flight(p->r) > 0)
		ring_place_check(p, busy, ring_wait(p->r, -1));
	all = malloc(RING_FILE_LEN);
	assert_non_null(all);
	assert_int_equal(pread(p->fd, all, RING_FILE_LEN, 0), RING_FILE_LEN);
	assert_memory_equal(all, p->shadow, RING_FILE_LEN);
	free(all);
}

static void random_buffered(void **state)
{
	struct ring_place *p = ring_place_begin(state);

	random_ops(p, p->fd, 1);
}

static void random_direct(void **state)
{
	struct ring_place *p = ring_place_begin(state);

	random_ops(p, p->direct, RING_BLOCK);
}

/* Reads end at the end of the file, wherever it is, and tell how far they came. */
static void at_the_end(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	static const unsigned tails[] = { 0, 1, 511, 512, 1000, 4095 };

	for (size_t t = 0; t < sizeof(tails) / sizeof(tails[0]); t++) {
		uint64_t end = 8 * RING_BLOCK + tails[t];

		assert_int_equal(ftruncate(p->fd, (off_t)end), 0);
		assert_int_equal(ring_place_one(p, RING_READ, p->fd, 0, RING_PART), end);
		assert_int_equal(ring_place_one(p, RING_READ, p->direct, 0, RING_PART), end);
		assert_memory_equal(p->mem, p->shadow, 8 * RING_BLOCK);
		assert_int_equal(ring_place_one(p, RING_READ, p->direct, 8 * RING_BLOCK, RING_BLOCK), tails[t]);
		assert_int_equal(ring_place_one(p, RING_READ, p->fd, end, RING_BLOCK), 0);
		assert_int_equal(ring_place_one(p, RING_READ, p->direct, 16 * RING_BLOCK, RING_BLOCK), 0);
		assert_int_equal(ring_place_one(p, RING_READ, p->fd, 1ull << 40, RING_BLOCK), 0);
	}
}

/* A write behind the end makes the file longer, with zeroes between. */
static void beyond_the_end(void **state)
{
	struct ring_place *p = ring_place_begin(state);

	memset(p->mem, 'w', RING_BLOCK);
	assert_int_equal(ring_place_one(p, RING_WRITE, p->direct, RING_FILE_LEN + RING_BLOCK, RING_BLOCK), RING_BLOCK);
	assert_int_equal(lseek(p->fd, 0, SEEK_END), RING_FILE_LEN + 2 * RING_BLOCK);
	assert_int_equal(ring_place_one(p, RING_READ, p->fd, RING_FILE_LEN, RING_PART), 2 * RING_BLOCK);
	assert_int_equal(p->mem[0], 0);
	assert_int_equal(p->mem[RING_BLOCK - 1], 0);
	assert_int_equal(p->mem[RING_BLOCK], 'w');
	assert_int_equal(p->mem[2 * RING_BLOCK - 1], 'w');
}

static void what_is_refused(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	int pipes[2], dir, readonly;
	char path[128];

	dir = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	readonly = open(scratch_path(path, sizeof(path), p->dir, "f"), O_RDONLY | O_CLOEXEC);
	assert_true(dir >= 0 && readonly >= 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(ring_place_one(p, RING_READ, -1, 0, RING_BLOCK), -EBADF);
	assert_int_equal(ring_place_one(p, RING_WRITE, -1, 0, RING_BLOCK), -EBADF);
	assert_int_equal(ring_place_one(p, RING_SYNC, -1, 0, 0), -EBADF);
	assert_int_equal(ring_place_one(p, RING_WRITE, readonly, 0, RING_BLOCK), -EBADF);
	assert_int_equal(ring_place_one(p, RING_READ, dir, 0, RING_BLOCK), -EISDIR);
	assert_int_equal(ring_place_one(p, RING_SYNC, pipes[0], 0, 0), -EINVAL);
	assert_int_equal(ring_place_one(p, RING_READ, p->fd, UINT64_MAX, RING_BLOCK), -EINVAL);
	assert_int_equal(ring_place_one(p, RING_READ, p->fd, INT64_MAX, RING_BLOCK), -EINVAL);
	assert_int_equal(ring_place_one(p, RING_READ, p->fd, 0, 0), 0);
	assert_int_equal(ring_place_one(p, RING_SYNC, readonly, 0, 0), 0);
	close(dir);
	close(readonly);
	close(pipes[0]);
	close(pipes[1]);
}

/* A device that gives out in the middle: what came before it is told, and then the error itself. */
static void a_write_that_runs_out(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	struct rlimit old, small;
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = RING_FILE_LEN + 3 * RING_BLOCK, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	memset(p->mem, 'w', RING_PART);
	assert_int_equal(ring_place_one(p, RING_WRITE, p->fd, RING_FILE_LEN, RING_PART), 3 * RING_BLOCK);
	assert_int_equal(ring_place_one(p, RING_WRITE, p->fd, RING_FILE_LEN + 3 * RING_BLOCK, RING_PART), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, before);
	assert_int_equal(lseek(p->fd, 0, SEEK_END), RING_FILE_LEN + 3 * RING_BLOCK);
}

/* ---- in flight ---- */
static void depth_is_a_limit(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	struct ring_op more = { .kind = RING_READ, .fd = p->fd, .buf = p->shadow, .len = 1 };

	assert_null(ring_wait(p->r, 0));
	for (unsigned i = 0; i < RING_DEPTH; i++)
		ring_place_start(p, i, RING_READ, p->direct, i * RING_PART, RING_PART);
	assert_int_equal(ring_in_flight(p->r), RING_DEPTH);
	assert_int_equal(ring_submit(p->r, &more), -EAGAIN);
	assert_int_equal(ring_in_flight(p->r), RING_DEPTH);
	assert_int_equal(ring_place_collect(p), RING_DEPTH);
	for (unsigned i = 0; i < RING_DEPTH; i++) {
		assert_int_equal(p->ops[i].res, RING_PART);
		assert_memory_equal(ring_place_mem(p, i), p->shadow + i * RING_PART, RING_PART);
	}
	assert_int_equal(ring_submit(p->r, &more), 0);
	assert_int_equal(ring_place_collect(p), 1);
	assert_int_equal(more.res, 1);
}

static void depths(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	static struct ring_op ops[256];
	static unsigned char bytes[256];
	struct ring_config cfg = p->cfg;
	struct ring *r = NULL;
	unsigned depth;

	for (depth = 1; depth <= 256; depth += 51) {
		cfg.depth = depth;
		assert_int_equal(ring_open(&r, &cfg), 0);
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned i = 0; i < depth; i++) {
				ops[i] = (struct ring_op){ .kind = RING_READ, .fd = p->fd, .buf = &bytes[i], .len = 1, .off = i };
				assert_int_equal(ring_submit(r, &ops[i]), 0);
			}
			assert_int_equal(ring_submit(r, &ops[0]), -EAGAIN);
			while (ring_in_flight(r) > 0)
				assert_non_null(ring_wait(r, -1));
			assert_memory_equal(bytes, p->shadow, depth);
			memset(bytes, 0, depth);
		}
		ring_close(r);
	}
	cfg.depth = 0;
	assert_int_equal(ring_open(&r, &cfg), -EINVAL);
	cfg.depth = 257;
	assert_int_equal(ring_open(&r, &cfg), -EINVAL);
	ring_close(NULL);
}

/* What is collected comes in the order in which it was done.  Swallowed and failing ones are done at once; so are,
 * with io_uring, buffered reads of what the page cache has. */
static void in_order_of_completion(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	bool mixed = ring_is_uring(p->r);
	struct ring_op *op;

	assert_int_equal(pread(p->fd, p->shadow, RING_FILE_LEN, 0), RING_FILE_LEN);
	assert_int_equal(fault_io_arm(&p->fault, "pwrite:0+:swallow"), 0);
	for (unsigned i = 0; i < RING_DEPTH; i++)
		ring_place_start(p, i, mixed && i % 3 != 0 ? RING_READ : RING_WRITE, p->fd, i * RING_BLOCK, RING_BLOCK);
	op = ring_wait(p->r, -1);
	for (unsigned i = 0; i < RING_DEPTH; i++, op = op->next) {
		assert_ptr_equal(op, &p->ops[i]);
		assert_int_equal(op->res, RING_BLOCK);
	}
	assert_null(op);
}

static void syncs_among_reads(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	unsigned syncs = 0, reads = 0;

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < RING_DEPTH; i++) {
			if (i % 2 == 0)
				ring_place_start(p, i, RING_SYNC, p->fd, 0, 0);
			else
				ring_place_start(p, i, RING_READ, p->direct, i * RING_PART, RING_PART);
		}
		assert_int_equal(ring_place_collect(p), RING_DEPTH);
		for (unsigned i = 0; i < RING_DEPTH; i++) {
			assert_int_equal(p->ops[i].res, i % 2 == 0 ? 0 : RING_PART);
			*(i % 2 == 0 ? &syncs : &reads) += 1;
		}
	}
	assert_int_equal(atomic_load(&p->fault.count[IO_FSYNC]), syncs);
	assert_int_equal(atomic_load(&p->fault.count[IO_PREAD]), reads);
}

/* After close everything submitted was done, and the operations are the caller's again. */
static void closed_with_ops_in_flight(void **state)
{
	struct ring_place *p = ring_place_begin(state);

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < RING_DEPTH; i++) {
			ring_place_fill(p, ring_place_mem(p, i), RING_PART);
			ring_place_start(p, i, i == 5 ? RING_SYNC : RING_WRITE, i % 3 == 0 ? p->direct : p->fd, i * RING_PART, RING_PART);
		}
		ring_wake(p->r);
		ring_close(p->r);
		for (unsigned i = 0; i < RING_DEPTH; i++) {
			assert_int_equal(p->ops[i].res, i == 5 ? 0 : RING_PART);
			if (i == 5)
				continue;
			assert_int_equal(pread(p->fd, p->shadow, RING_PART, i * RING_PART), RING_PART);
			assert_memory_equal(p->shadow, ring_place_mem(p, i), RING_PART);
		}
		assert_int_equal(ring_open(&p->r, &p->cfg), 0);
	}
}

/* ---- without io_uring ---- */
static int refuse_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0 ? -errno : 0;
}

/* In a child: as where the kernel refuses io_uring.  What went wrong, or 0. */
static int without_io_uring(int fd, const unsigned char *shadow)
{
	static const struct io plain;
	unsigned char byte = 0;
	struct ring_op op = { .kind = RING_READ, .fd = fd, .buf = &byte, .len = 1 };
	struct ring_config cfg = { .io = &plain, .depth = 4 };
	struct ring *r;

	if (refuse_io_uring() != 0)
		return 77;
	if (ring_open(&r, &cfg) != 0)
		return 1;
	if (ring_is_uring(r) || ring_submit(r, &op) != 0 || ring_wait(r, -1) != &op || op.res != 1)
		return 2;
	ring_close(r);
	return byte == shadow[0] ? 0 : 3;
}

static void threads_where_it_is_refused(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	int status;
	pid_t pid;

	if (p->cfg.threads)
		return;
	pid = fork();
	if (pid == 0)
		_exit(without_io_uring(p->fd, p->shadow));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("no seccomp on this system\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* No descriptor is left over, and where there is none to be had the ring says so. */
static void descriptors(void **state)
{
	struct ring_place *p = ring_place_begin(state);
	struct rlimit old, none;
	struct ring *r = NULL;
	int before = dup(p->fd), after, rc;

	close(before);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(ring_open(&r, &p->cfg), 0);
		ring_close(r);
	}
	after = dup(p->fd);
	close(after);
	assert_int_equal(after, before);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int spare = 0; spare < 2; spare++) {
		none = (struct rlimit){ .rlim_cur = (rlim_t)(before + spare), .rlim_max = old.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		rc = ring_open(&r, &p->cfg);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(rc, p->cfg.threads ? 0 : -EMFILE);
		if (rc == 0)
			ring_close(r);
	}
}

int main(void)
{
	const struct CMUnitTest ring_tests[] = {
		RING_TEST(random_buffered),
		RING_TEST(random_direct),
		RING_TEST(at_the_end),
		RING_TEST(beyond_the_end),
		RING_TEST(what_is_refused),
		RING_TEST(a_write_that_runs_out),
		RING_TEST(depth_is_a_limit),
		RING_TEST(depths),
		RING_TEST(in_order_of_completion),
		RING_TEST(syncs_among_reads),
		RING_TEST(closed_with_ops_in_flight),
		RING_TEST(threads_where_it_is_refused),
		RING_TEST(descriptors),
	};

	return cmocka_run_group_tests(ring_tests, NULL, NULL);
}
