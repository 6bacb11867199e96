/* test_tier_random.c - random sequences of reads, opens, maps, orders, drops, failures of caches, restarts and
 * changes of home, each byte compared with a model of home (tier_truth.h).
 *
 * A sequence is a number: `test_tier_random SEED [SEED2]` runs one, or those from SEED to SEED2, and says what each
 * was.  Without arguments two hundred are run, a thousand under a sanitizer and 5,000 with HEARTH_LONG set, by a few
 * processes at once, since a sequence waits most of its time.
 *
 * A sequence has a few phases.  In each, clients in threads or one alone open, read and change files; between them
 * the store is shut and opened again, sometimes with its map or its caches lost, or a process that used it is killed.
 * At its end everything is shut, and home, the caches and the map must agree.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tests/unit/tier_client.h"
#include "tests/unit/tier_world.h"
#include "tiering/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEQUENCES 1000
#else
#define SEQUENCES 200                   /* the two above see more */
#endif
#define SEQUENCES_LONG 5000
#define THREADS_MAX 4
#define PROCESSES_MAX 16

struct tally {
	unsigned long sequences, ops, reads, gathered, copies, changes, faults, restarts, kills;
};

static void *client_main(void *arg)
{
	struct client *c = arg;

	for (uint64_t n = 10 + client_draw(c, 50); n > 0 && !world_failed(c->w); n--)
		client_step(c);
	return NULL;
}

static void add_up(struct tally *sum, const struct client *c)
{
	sum->ops += c->ops;
	sum->reads += c->reads;
	sum->gathered += c->gathered;
	sum->copies += c->copies;
	sum->changes += c->changes;
}

static void run_clients(struct world *w, struct tally *sum)
{
	unsigned n = truth_draw(&w->draw) % 2 == 0 ? 1 : 1 + (unsigned)(truth_draw(&w->draw) % THREADS_MAX);
	pthread_t thread[THREADS_MAX];
	struct client *c = calloc(n, sizeof(*c));

	for (unsigned i = 0; i < n; i++)
		client_init(&c[i], w, truth_draw(&w->draw));
	for (unsigned i = 1; i < n; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, client_main, &c[i]), 0);
	client_main(&c[0]);
	for (unsigned i = 1; i < n; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < n; i++) {
		add_up(sum, &c[i]);
		client_end(&c[i]);
	}
	free(c);
}

/* ---- between phases ---- */

static void remove_name(struct world *w, int dirfd, const char *name, void *ctx)
{
	(void)w;
	(void)ctx;
	unlinkat(dirfd, name, 0);
}

static void flip_bytes(const char *path, uint64_t *draw)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	char junk[64];

	if (fd < 0)
		return;
	memset(junk, (int)(truth_draw(draw) % 256), sizeof(junk));
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		for (int i = 0; i < 3; i++)
			(void)!pwrite(fd, junk, sizeof(junk), (off_t)(truth_draw(draw) % (uint64_t)st.st_size));
	close(fd);
}

/* What may be lost while nobody looks.  Copies are named by the map: without it they are strays. */
static void lose_something(struct world *w)
{
	char path[PATH_MAX];
	unsigned c = (unsigned)(truth_draw(&w->draw) % w->cfg.caches);

	switch (truth_draw(&w->draw) % 12) {
	case 0:
		snprintf(path, sizeof(path), "%s/map.db", w->dir[0]);
		unlink(path);
		break;
	case 1:
		snprintf(path, sizeof(path), "%s/map.db", w->dir[0]);
		flip_bytes(path, &w->draw);
		break;
	case 2:
		world_each_copy(w, c, remove_name, NULL);
		w->lost = true;
		break;
	case 3:         /* a new disk */
		w->lost = true;
		scratch_remove(w->dir[c]);
		if (mkdir(w->dir[c], 0700) != 0)
			world_fail(w, "mkdir: %s", strerror(errno));
		break;
	default:
		break;
	}
}

/* A process that uses the store and is killed in the middle of it. */
static void child_main(struct world *w, int out)
{
	struct client c;

	client_init(&c, w, truth_draw(&w->draw));
	world_open(w);
	(void)!write(out, "r", 1);
	while (!world_failed(w)) {
		int slot = world_pick(w, &c.draw), fd = slot >= 0 ? world_openat(w, world_path(w, slot), O_RDONLY) : -1;
		struct client_handle *h;
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= (off_t)TIER_EXTENT_BYTES)
			(void)!tier_warm(w->t, fd, &st, world_path(w, slot), 1);
		if (fd >= 0)
			close(fd);
		h = client_open(&c, slot);
		if (h != NULL && h->len > 0)
			client_read(&c, h);
		if (h != NULL)
			client_close(&c, h);
	}
	(void)!write(out, w->fail, strlen(w->fail));
	_exit(1);
}

static void kill_one(struct world *w)
{
	struct pollfd p = { .events = POLLIN };
	char text[1024] = "";
	int pipefd[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_main(w, pipefd[1]);
	close(pipefd[1]);
	p.fd = pipefd[0];
	(void)!read(p.fd, text, 1);
	poll(&p, 1, (int)(truth_draw(&w->draw) % 40));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	n = read(p.fd, text, sizeof(text) - 1);
	if (n > 0)
		world_fail(w, "in the process that was killed: %.*s", (int)n, text);
	close(p.fd);
}

static void restart(struct world *w, struct tally *sum)
{
	world_close(w);
	world_check_shut(w);
	if (w->crashes && truth_draw(&w->draw) % 2 == 0) {
		kill_one(w);
		sum->kills++;
	}
	lose_something(w);
	world_open(w);
	sum->restarts++;
}

/* ---- one sequence ---- */

static void read_everything(struct world *w, struct tally *sum)
{
	struct client c;

	client_init(&c, w, truth_draw(&w->draw));
	for (int i = 0; i < WORLD_SLOTS && !world_failed(w); i++) {
		struct client_handle *h = client_open(&c, i);

		if (h == NULL)
			continue;
		if (h->len > 0)
			client_read_all(&c, h);
		client_close(&c, h);
	}
	add_up(sum, &c);
	client_end(&c);
}

static void end_sequence(struct world *w, struct tally *sum)
{
	read_everything(w, sum);
	world_look_at_maps(w, &w->draw, true);
	if (!world_failed(w) && !world_quiet(w))
		world_fail(w, "the store does not come to rest");
	if (!world_failed(w))
		world_check_open(w);
	world_close(w);
	if (world_failed(w))
		return;
	world_check_shut(w);
	if (truth_draw(&w->draw) % 3 != 0)
		return;
	world_open(w);
	if (!world_failed(w) && !world_quiet(w))
		world_fail(w, "the store does not come to rest after a restart");
	world_close(w);
	if (!world_failed(w))
		world_check_shut(w);
}

/* Returns false and prints why when something was wrong. */
static bool run_sequence(uint64_t seed, bool tell, struct tally *sum)
{
	unsigned fds = world_count_fds();
	struct world *w = world_new(seed, seed % 16 == 7);
	bool good;

	if (tell)
		print_message("seed %llu: %u caches of %llu and %llu, ram %llu, tick %u ms%s%s%s%s%s\n", (unsigned long long)seed, w->cfg.caches,
			      (unsigned long long)w->cache[0].size, (unsigned long long)w->cache[1].size,
			      (unsigned long long)w->cfg.ram, w->cfg.tick_ms, w->cfg.native_home_only ? ", gathered" : "",
			      w->damages ? ", damaged" : "", w->crashes ? ", killed" : "", w->on_disk ? ", on disk" : "", w->slow ? ", slow" : "");
	world_open(w);
	for (uint64_t n = 1 + truth_draw(&w->draw) % 3; n > 0 && !world_failed(w); n--) {
		run_clients(w, sum);
		world_fault_end(w);
		world_look_at_maps(w, &w->draw, false);
		if (n > 1 && !world_failed(w))
			restart(w, sum);
	}
	if (!world_failed(w))
		end_sequence(w, sum);
	world_close(w);
	sum->faults += atomic_load(&w->fault.fired);
	world_look_at_maps(w, &w->draw, true);
	if (!world_failed(w) && world_count_fds() != fds)
		world_fail(w, "%u descriptors were open before, %u are now", fds, world_count_fds());
	good = !world_failed(w);
	if (!good)
		print_error("seed %llu: %s\n", (unsigned long long)seed, w->fail);
	sum->sequences++;
	world_free(w);
	return good;
}

static void tally_add(struct tally *sum, const struct tally *one)
{
	sum->sequences += one->sequences;
	sum->ops += one->ops;
	sum->reads += one->reads;
	sum->gathered += one->gathered;
	sum->copies += one->copies;
	sum->changes += one->changes;
	sum->faults += one->faults;
	sum->restarts += one->restarts;
	sum->kills += one->kills;
}

static void print_tally(const struct tally *s)
{
	print_message("%lu sequences: %lu operations, %lu reads (%lu gathered), %lu opens of copies, %lu changes, %lu failed calls, "
		      "%lu restarts, %lu kills\n", s->sequences, s->ops, s->reads, s->gathered, s->copies, s->changes, s->faults,
		      s->restarts, s->kills);
}

static bool random_first(unsigned nth, unsigned step, struct tally *sum)
{
	uint64_t last = getenv("HEARTH_LONG") != NULL ? SEQUENCES_LONG : SEQUENCES;
	bool good = true;

	for (uint64_t seed = 1 + nth; good && seed <= last; seed += step)
		good = run_sequence(seed, false, sum);
	return good;
}

/* One of the processes: every step-th sequence, and what it did to the pipe. */
static pid_t random_fork(unsigned nth, unsigned step, int out)
{
	struct tally sum = { 0 };
	pid_t pid = fork();
	bool good;

	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	good = random_first(nth, step, &sum);
	good = write(out, &sum, sizeof(sum)) == sizeof(sum) && good;
	_exit(good ? 0 : 1);
}

static void random_sequences(void **state)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned processes = cores < 1 ? 2 : cores >= PROCESSES_MAX ? PROCESSES_MAX : (unsigned)cores + 1;
	struct tally sum = { 0 }, one;
	pid_t pid[PROCESSES_MAX];
	int pipefd[2], status;
	bool good = true;

	(void)state;
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	for (unsigned i = 0; i < processes; i++)
		pid[i] = random_fork(i, processes, pipefd[1]);
	close(pipefd[1]);
	while (read(pipefd[0], &one, sizeof(one)) == sizeof(one))
		tally_add(&sum, &one);
	close(pipefd[0]);
	for (unsigned i = 0; i < processes; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	print_tally(&sum);
	assert_true(good);
	assert_true(sum.sequences >= SEQUENCES);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tier_random_tests[] = {
		cmocka_unit_test(random_sequences),
	};
	struct tally sum = { 0 };
	uint64_t seed, last;

	if (argc != 2)
		log_open("test", false, 0);     /* what fails is meant to */
	if (argc < 2)
		return cmocka_run_group_tests(tier_random_tests, NULL, NULL);
	seed = strtoull(argv[1], NULL, 0);
	last = argc > 2 ? strtoull(argv[2], NULL, 0) : seed;
	for (; seed <= last; seed++)
		if (!run_sequence(seed, argc == 2, &sum))
			return 1;
	print_tally(&sum);
	return 0;
}
