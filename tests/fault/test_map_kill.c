/* test_map_kill.c - a process that commits is killed at any moment: what it acknowledged is there, and what is
 * there is a prefix of what it submitted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/map_place.h"

#define IN_FLIGHT_MAX 128

/* In the child: commits are acknowledged by their number, on a pipe. */
struct teller {
	int fd;
	uint32_t next;
	atomic_uint in_flight;
};

static void tell(void *ctx, int rc)
{
	struct teller *t = ctx;

	atomic_fetch_sub(&t->in_flight, 1);
	if (rc != 0 || write(t->fd, &t->next, sizeof(t->next)) != (ssize_t)sizeof(t->next))
		_exit(3);
	t->next++;
}

/* Never returns: is killed.  Rounds with an even number wait for each commit, others let them gather. */
static void commit_for_ever(struct map_place *p, struct map_truth *t, uint64_t seed, int fd)
{
	struct teller teller = { .fd = fd };
	uint64_t rng = seed;
	struct map_txn *x;

	map_place_open(p);
	for (;;) {
		x = map_truth_step(t, &rng);
		if (seed % 2 == 0) {
			atomic_fetch_add(&teller.in_flight, 1);
			tell(&teller, map_commit(p->m, x));
			continue;
		}
		while (atomic_load(&teller.in_flight) >= IN_FLIGHT_MAX)
			;
		atomic_fetch_add(&teller.in_flight, 1);
		if (map_submit(p->m, x, tell, &teller) != 0)
			_exit(4);
	}
}

/* Read acknowledgements until enough have come and a little longer, kill, read the rest.  How many came. */
static uint32_t kill_after(pid_t pid, int fd, unsigned enough, int linger_us)
{
	struct timespec pause = { .tv_nsec = linger_us * 1000L };
	uint32_t number, acked = 0;
	int status;

	while (acked < enough && read(fd, &number, sizeof(number)) == (ssize_t)sizeof(number)) {
		assert_int_equal(number, acked);        /* in order, none twice */
		acked++;
	}
	ppoll(NULL, 0, &pause, NULL);                   /* so that the moment is any */
	kill(pid, SIGKILL);
	while (read(fd, &number, sizeof(number)) == (ssize_t)sizeof(number)) {
		assert_int_equal(number, acked);
		acked++;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return acked;
}

/* The number of transactions of seed's sequence after which t is got, at least from; -1: none. */
static int find_prefix(struct map_truth *t, const struct map_truth *got, uint64_t seed, uint32_t from)
{
	uint64_t rng = seed;

	for (uint32_t n = 0; n <= from + IN_FLIGHT_MAX + 1; n++) {
		if (n >= from && map_truth_equal(t, got))
			return (int)n;
		map_txn_free(map_truth_step(t, &rng));
	}
	return -1;
}

static void test_killed_at_any_moment(void **state)
{
	const unsigned rounds = getenv("HEARTH_LONG") != NULL ? 1000 : 60;
	static struct map_truth before, got;
	struct map_place *p = *state;
	unsigned total = 0, extra = 0;
	uint64_t rng = 31;
	uint32_t acked;
	int fds[2], found;
	pid_t pid;

	for (unsigned round = 0; round < rounds; round++) {
		map_place_read(p, &before);
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(fds[0]);
			commit_for_ever(p, &before, round, fds[1]);
		}
		close(fds[1]);
		acked = kill_after(pid, fds[0], (unsigned)(map_truth_random(&rng) % (round % 8 == 0 ? 2000 : 60)),
				   (int)(map_truth_random(&rng) % 5000));
		close(fds[0]);
		map_place_read(p, &got);
		assert_true(map_place_sound(&p->report));
		found = find_prefix(&before, &got, round, acked);
		assert_true(found >= 0);
		total += acked;
		extra += (unsigned)found - acked;
	}
	print_message("  %u kills: %u transactions acknowledged and found, %u found that were not yet acknowledged\n", rounds,
		      total, extra);
	assert_true(total > rounds);            /* or the test proves nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_killed_at_any_moment, map_place_setup, map_place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
