/* test_lease.c - leases that stand until a writer comes, and that let the writer go on. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tiering/lease.h"

struct place {
	char dir[SCRATCH_PATH];
	char path[SCRATCH_PATH + 16];
	int fd;                         /* of path, read-only */
	struct leases *l;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	scratch_make(p->dir);
	scratch_file(p->dir, "f", "text", 4);
	scratch_path(p->path, sizeof(p->path), p->dir, "f");
	p->fd = open(p->path, O_RDONLY | O_CLOEXEC);
	assert_true(p->fd >= 0);
	assert_int_equal(lease_set_new(&p->l), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	lease_set_free(p->l);
	close(p->fd);
	scratch_remove(p->dir);
	free(p);
	return 0;
}

static void signals_are_blocked(void **state)
{
	sigset_t now;

	(void)state;
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	assert_true(sigismember(&now, SIGRTMIN + 1));
	assert_true(sigismember(&now, SIGIO));
	lease_set_free(NULL);
	lease_drop(NULL);
}

static void a_quiet_file(void **state)
{
	struct place *p = *state;
	struct lease *a = NULL, *b = NULL;
	char *map;

	assert_int_equal(lease_take(p->l, p->fd, &a), 0);
	assert_int_equal(lease_take(p->l, p->fd, &b), 0);       /* two of one file */
	map = mmap(NULL, 4, PROT_READ, MAP_SHARED, p->fd, 0);
	assert_true(map != MAP_FAILED);
	assert_true(lease_held(a) && lease_held(b));
	close(p->fd);
	assert_true(lease_held(a) && lease_held(b));            /* they do not end with the descriptor */
	p->fd = open(p->path, O_RDONLY | O_CLOEXEC);            /* readers come and go */
	assert_true(p->fd >= 0);
	lease_drop(a);
	assert_true(lease_held(b));
	lease_drop(b);
	assert_int_equal(munmap(map, 4), 0);
	assert_true(lease_unused_by_others(p->fd));             /* nothing of them is left */
}

static void writers_and_writable_mappings_refuse(void **state)
{
	struct place *p = *state;
	struct lease *lease = NULL;
	char *map;
	int fd;

	fd = open(p->path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(lease_take(p->l, p->fd, &lease), -EAGAIN);
	close(fd);
	fd = open(p->path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	assert_int_equal(lease_take(p->l, p->fd, &lease), -EAGAIN);
	assert_int_equal(munmap(map, 4), 0);
	assert_null(lease);
	assert_int_equal(lease_take(p->l, p->fd, &lease), 0);
	lease_drop(lease);
}

static void refused_without_harm(void **state)
{
	struct place *p = *state;
	struct lease *lease = NULL;
	bool unused;
	int fd, rc;

	fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(lease_take(p->l, fd, &lease), -EOPNOTSUPP);
	close(fd);
	assert_int_equal(lease_take(p->l, fd, &lease), -ENOENT);        /* no such descriptor */
	assert_null(lease);
	if (geteuid() != 0) {
		print_message("needs root for another owner's file\n");
		skip();
	}
	assert_int_equal(syscall(SYS_setresuid, -1, 65534, -1), 0);     /* of this thread alone */
	rc = lease_take(p->l, p->fd, &lease);
	unused = lease_unused_by_others(p->fd);
	assert_int_equal(syscall(SYS_setresuid, -1, 0, -1), 0);
	assert_int_equal(rc, -EOPNOTSUPP);
	assert_false(unused);
	assert_null(lease);
}

static void *open_for_writing(void *arg)
{
	const struct place *p = arg;
	int fd = open(p->path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? NULL : arg;
}

static void *cut_by_name(void *arg)
{
	const struct place *p = arg;

	return truncate(p->path, 2) == 0 ? NULL : arg;
}

/* The writer is let in without anybody but the module doing something for it. */
static void check_broken_by(struct place *p, void *(*writer)(void *))
{
	struct lease *lease[3];
	pthread_t thread;
	void *failed;

	for (int i = 0; i < 3; i++)
		assert_int_equal(lease_take(p->l, p->fd, &lease[i]), 0);
	assert_int_equal(pthread_create(&thread, NULL, writer, p), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	for (int i = 0; i < 3; i++) {
		assert_false(lease_held(lease[i]));
		lease_drop(lease[i]);
	}
}

static void a_thread_that_writes(void **state)
{
	check_broken_by(*state, open_for_writing);
}

static void a_truncation(void **state)
{
	check_broken_by(*state, cut_by_name);
}

/* The child has copies of our descriptors: what counts is that the lease is given up, not closed. */
static void a_process_that_writes(void **state)
{
	struct place *p = *state;
	struct lease *lease, *other;
	char path[SCRATCH_PATH + 16];
	int fd, status;
	pid_t pid;

	scratch_file(p->dir, "other", "text", 4);
	assert_int_equal(lease_take(p->l, p->fd, &lease), 0);
	fd = open(scratch_path(path, sizeof(path), p->dir, "other"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(lease_take(p->l, fd, &other), 0);
	pid = fork();
	if (pid == 0)
		_exit(open_for_writing(p) == NULL ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(lease_held(lease));
	assert_true(lease_held(other));
	lease_drop(lease);
	lease_drop(other);
	close(fd);
}

/* No real-time signal can be queued: the kernel falls back to SIGIO. */
static void a_full_queue(void **state)
{
	struct place *p = *state;
	struct rlimit old, none;

	assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	check_broken_by(p, open_for_writing);
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &old), 0);
}

/* A dropped lease's descriptor number comes back with another file, and its signal may come late. */
static void taken_again_at_once(void **state)
{
	struct place *p = *state;
	struct lease *lease;
	pthread_t thread;
	char path[SCRATCH_PATH + 16];
	void *failed;
	int fd, held = 0;

	scratch_file(p->dir, "other", "text", 4);
	fd = open(scratch_path(path, sizeof(path), p->dir, "other"), O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(lease_take(p->l, p->fd, &lease), 0);
		assert_int_equal(pthread_create(&thread, NULL, open_for_writing, p), 0);
		held += lease_held(lease);
		lease_drop(lease);
		assert_int_equal(lease_take(p->l, fd, &lease), 0);
		assert_int_equal(pthread_join(thread, &failed), 0);
		assert_null(failed);
		assert_true(lease_held(lease));         /* nobody wrote the other one */
		lease_drop(lease);
	}
	print_message("  still held when first looked at: %d of 200\n", held);
	close(fd);
}

static void tell_other_threads(int signal)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (atoi(e->d_name) > 0 && atoi(e->d_name) != gettid())
			syscall(SYS_tgkill, getpid(), atoi(e->d_name), signal);
	closedir(d);
}

/* Lower signals are taken first: when the other lease is broken, SIGIO was answered. */
static void a_signal_without_a_writer(void **state)
{
	struct place *p = *state;
	struct lease *lease;
	char path[SCRATCH_PATH + 16];
	int fd;

	scratch_file(p->dir, "other", "text", 4);
	fd = open(scratch_path(path, sizeof(path), p->dir, "other"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(lease_take(p->l, fd, &lease), 0);
	tell_other_threads(SIGIO);
	check_broken_by(p, open_for_writing);
	assert_true(lease_held(lease));
	lease_drop(lease);
	close(fd);
}

static void *signal_others(void *arg)
{
	const atomic_bool *stop = arg;

	while (!atomic_load(stop))
		tell_other_threads(SIGIO);
	return NULL;
}

/* A signal may be answered while a lease is being set: it is no break of that one. */
static void taken_while_signals_come(void **state)
{
	struct place *p = *state;
	atomic_bool stop = false;
	const struct timespec at_once = { 0, 0 };
	unsigned refused = 0, lost = 0;
	struct lease *lease;
	pthread_t thread;
	sigset_t io;

	assert_int_equal(pthread_create(&thread, NULL, signal_others, &stop), 0);
	for (int i = 0; i < 20000; i++) {
		if (lease_take(p->l, p->fd, &lease) != 0) {
			refused++;
			continue;
		}
		lost += !lease_held(lease);
		lease_drop(lease);
	}
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	while (sigtimedwait(&io, NULL, &at_once) != -1)
		continue;               /* those that came to this thread */
	assert_int_equal(refused, 0);
	assert_int_equal(lost, 0);
}

struct race {
	struct place *p;
	atomic_bool stop;
	atomic_ulong tries, held, broken, refused, wrong;
};

static uint64_t read_number(int fd)
{
	uint64_t n = 0;

	return pread(fd, &n, sizeof(n), 0) >= 0 ? n : UINT64_MAX;
}

/* Every few leases, so that some are left alone. */
static void *race_writer(void *arg)
{
	struct race *r = arg;

	for (uint64_t n = 1; !atomic_load(&r->stop); n++) {
		unsigned long next = atomic_load(&r->tries) + n % 4;
		int fd;

		while (!atomic_load(&r->stop) && atomic_load(&r->tries) < next)
			sched_yield();
		fd = open(r->p->path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || pwrite(fd, &n, sizeof(n), 0) != sizeof(n))
			atomic_fetch_add(&r->wrong, 1);
		close(fd);
	}
	return NULL;
}

/* What a lease proves: it is held afterwards, so the file was the same all the time. */
static void *race_reader(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < 2000; i++) {
		struct lease *lease;
		uint64_t first, last;

		atomic_fetch_add(&r->tries, 1);
		if (lease_take(r->p->l, r->p->fd, &lease) != 0) {
			atomic_fetch_add(&r->refused, 1);
			continue;
		}
		first = read_number(r->p->fd);
		for (int k = 0; k < 20; k++) {
			sched_yield();
			last = read_number(r->p->fd);
		}
		if (!lease_held(lease))
			atomic_fetch_add(&r->broken, 1);
		else
			atomic_fetch_add(first == last ? &r->held : &r->wrong, 1);
		lease_drop(lease);
	}
	return NULL;
}

static void readers_against_a_writer(void **state)
{
	struct race r = { .p = *state };
	pthread_t reader[3], writer;

	assert_int_equal(pthread_create(&writer, NULL, race_writer, &r), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, race_reader, &r), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(reader[i], NULL);
	atomic_store(&r.stop, true);
	pthread_join(writer, NULL);
	print_message("  held %lu, broken %lu, refused %lu\n", atomic_load(&r.held), atomic_load(&r.broken),
		      atomic_load(&r.refused));
	assert_int_equal(atomic_load(&r.wrong), 0);
	assert_true(atomic_load(&r.broken) > 0);
	assert_true(atomic_load(&r.held) > 0);
}

/* ---- lease_unused_by_others ---- */

static void unused(void **state)
{
	struct place *p = *state;
	struct lease *lease;
	char *map;
	int fd, rw;

	assert_true(lease_unused_by_others(p->fd));
	assert_true(lease_unused_by_others(p->fd));
	fd = open(p->path, O_RDONLY | O_CLOEXEC);
	assert_false(lease_unused_by_others(p->fd));
	map = mmap(NULL, 4, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	close(fd);
	assert_false(lease_unused_by_others(p->fd));            /* the mapping outlives its close */
	assert_int_equal(munmap(map, 4), 0);
	assert_true(lease_unused_by_others(p->fd));
	fd = open(p->path, O_WRONLY | O_CLOEXEC);
	assert_false(lease_unused_by_others(p->fd));
	close(fd);
	assert_int_equal(lease_take(p->l, p->fd, &lease), 0);
	assert_false(lease_unused_by_others(p->fd));
	lease_drop(lease);
	close(p->fd);
	rw = open(p->path, O_RDWR | O_CLOEXEC);                 /* a descriptor for writing asks as well */
	assert_true(lease_unused_by_others(rw));
	p->fd = open(p->path, O_RDONLY | O_CLOEXEC);
	assert_false(lease_unused_by_others(rw));
	close(rw);
	assert_false(lease_unused_by_others(rw));
}

static void unused_without_a_name(void **state)
{
	struct place *p = *state;
	char *map;

	map = mmap(NULL, 4, PROT_READ, MAP_SHARED, p->fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(unlink(p->path), 0);
	assert_true(lease_unused_by_others(p->fd));             /* mapped through the very same open */
	assert_int_equal(munmap(map, 4), 0);
	assert_true(lease_unused_by_others(p->fd));
}

static void *race_opener(void *arg)
{
	struct race *r = arg;

	while (!atomic_load(&r->stop)) {
		int fd = open(r->p->path, O_RDONLY | O_CLOEXEC);

		atomic_fetch_add(fd >= 0 ? &r->held : &r->wrong, 1);
		close(fd);
	}
	return NULL;
}

/* Openers that come in the moment of the question wait for it, and nobody dies of the signal. */
static void asked_while_others_open(void **state)
{
	struct race r = { .p = *state };
	unsigned long yes = 0;
	pthread_t thread;
	sigset_t io;

	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &io, NULL), 0);   /* as where lease_set_new was not called */
	assert_int_equal(pthread_create(&thread, NULL, race_opener, &r), 0);
	for (int i = 0; i < 20000 || atomic_load(&r.held) < 1000; i++)
		yes += lease_unused_by_others(r.p->fd);
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &io, NULL), 0);
	print_message("  unused %lu times, opened %lu times\n", yes, atomic_load(&r.held));
	assert_int_equal(atomic_load(&r.wrong), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest lease_tests[] = {
		TEST(signals_are_blocked),
		TEST(a_quiet_file),
		TEST(writers_and_writable_mappings_refuse),
		TEST(refused_without_harm),
		TEST(a_thread_that_writes),
		TEST(a_truncation),
		TEST(a_process_that_writes),
		TEST(a_full_queue),
		TEST(taken_again_at_once),
		TEST(a_signal_without_a_writer),
		TEST(taken_while_signals_come),
		TEST(readers_against_a_writer),
		TEST(unused),
		TEST(unused_without_a_name),
		TEST(asked_while_others_open),
	};

	return cmocka_run_group_tests(lease_tests, NULL, NULL);
}
