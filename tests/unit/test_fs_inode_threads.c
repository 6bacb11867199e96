/* test_fs_inode_threads.c - the node table under eight threads; most useful under ThreadSanitizer. */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fs/fs_inode.h"

#define ROOT 1u
#define THREADS 8
#define DIRS 4
#define STEPS 20000
#define HELD 32
#define MAX_IDS 4096

/* What threads tell each other; asserts belong to the main thread, so mistakes are counted. */
struct shared {
	struct fs_inodes *t;
	uint64_t dirs[DIRS];
	atomic_int next_backing, registered, closed, mistakes;
	atomic_int backing_of[MAX_IDS];         /* the backing id that the node's first open chose */
};

struct worker {
	struct shared *s;
	pthread_t thread;
	uint64_t seed;
	uint64_t held[HELD];                    /* node ids, one lookup each */
	uint64_t open[HELD];                    /* node ids, one open each */
	unsigned nheld, nopen;
};

static uint64_t draw(struct worker *w, uint64_t below)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed % below;
}

static void step_learn(struct worker *w, const char *name)
{
	uint64_t id;

	if (w->nheld == HELD)
		return;
	if (fs_inode_learn(w->s->t, w->s->dirs[draw(w, DIRS)], name, 100 + draw(w, 24), &id) != 0 || id >= MAX_IDS)
		atomic_fetch_add(&w->s->mistakes, 1);
	else
		w->held[w->nheld++] = id;
}

static void step_forget(struct worker *w)
{
	unsigned i;

	if (w->nheld == 0)
		return;
	i = (unsigned)draw(w, w->nheld);
	fs_inode_forget(w->s->t, w->held[i], 1);
	w->held[i] = w->held[--w->nheld];
}

static void step_open(struct worker *w)
{
	struct shared *s = w->s;
	int backing = 0;
	uint64_t id;

	if (w->nheld == 0 || w->nopen == HELD)
		return;
	id = w->held[draw(w, w->nheld)];
	switch (fs_inode_open_begin(s->t, id, &backing)) {
	case FS_MODE_DECIDING:
		backing = atomic_fetch_add(&s->next_backing, 1);
		atomic_store(&s->backing_of[id], backing);      /* until the last of them ends */
		atomic_fetch_add(&s->registered, 1);
		sched_yield();
		fs_inode_open_decided(s->t, id, FS_MODE_NATIVE, backing);
		break;
	case FS_MODE_NATIVE:
		if (backing != atomic_load(&s->backing_of[id]))
			atomic_fetch_add(&s->mistakes, 1);
		break;
	default:
		atomic_fetch_add(&s->mistakes, 1);
	}
	w->open[w->nopen++] = id;
}

static void step_end(struct worker *w)
{
	struct shared *s = w->s;
	unsigned i;
	uint64_t id;
	int backing;

	if (w->nopen == 0)
		return;
	i = (unsigned)draw(w, w->nopen);
	id = w->open[i];
	w->open[i] = w->open[--w->nopen];
	backing = fs_inode_open_end(s->t, id);
	if (backing != 0)
		atomic_fetch_add(&s->closed, 1);
}

static void step_names(struct worker *w, const char *name, const char *newname)
{
	struct shared *s = w->s;
	char path[PATH_MAX], err[256];

	switch (draw(w, 6)) {
	case 0:
		fs_inode_unname(s->t, s->dirs[draw(w, DIRS)], name);
		break;
	case 1:
		fs_inode_rename(s->t, s->dirs[draw(w, DIRS)], name, s->dirs[draw(w, DIRS)], newname, false);
		break;
	case 2:
		fs_inode_rename(s->t, s->dirs[draw(w, DIRS)], name, s->dirs[draw(w, DIRS)], newname, true);
		break;
	case 3:
		if (w->nheld > 0)
			fs_inode_retire(s->t, w->held[draw(w, w->nheld)], NULL);
		break;
	case 4:
		if (w->nheld > 0)
			(void)fs_inode_path(s->t, w->held[draw(w, w->nheld)], 0, path);
		break;
	default:
		if (draw(w, 20) == 0 && fs_inode_check(s->t, err, sizeof(err)) != 0)
			atomic_fetch_add(&s->mistakes, 1);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	char name[16], newname[16];

	for (unsigned i = 0; i < STEPS; i++) {
		snprintf(name, sizeof(name), "n%u", (unsigned)draw(w, 10));
		snprintf(newname, sizeof(newname), "n%u", (unsigned)draw(w, 10));
		switch (draw(w, 6)) {
		case 0:
		case 1:
			step_learn(w, draw(w, 8) != 0 ? name : NULL);
			break;
		case 2:
			step_forget(w);
			break;
		case 3:
			step_open(w);
			break;
		case 4:
			step_end(w);
			break;
		default:
			step_names(w, name, newname);
		}
	}
	while (w->nopen > 0)
		step_end(w);
	while (w->nheld > 0)
		step_forget(w);
	return NULL;
}

static void eight_threads(void **state)
{
	struct shared *s = calloc(1, sizeof(*s));
	struct worker *w = calloc(THREADS, sizeof(*w));
	char name[16], err[256] = "";

	(void)state;
	assert_true(s != NULL && w != NULL);
	atomic_init(&s->next_backing, 1);
	assert_int_equal(fs_inodes_new(&s->t, NULL, NULL, 2), 0);
	for (unsigned i = 0; i < DIRS; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(fs_inode_learn(s->t, ROOT, name, 10 + i, &s->dirs[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].s = s;
		w[i].seed = 0x9e3779b97f4a7c15ull * (i + 1);
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	assert_int_equal(atomic_load(&s->mistakes), 0);
	assert_int_equal(atomic_load(&s->registered), atomic_load(&s->closed));
	assert_true(atomic_load(&s->registered) > 100);
	if (fs_inode_check(s->t, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	for (unsigned i = 0; i < DIRS; i++)
		fs_inode_forget(s->t, s->dirs[i], 1);
	assert_int_equal(fs_inode_count(s->t), 1);
	print_message("%d steps, %d first opens\n", THREADS * STEPS, atomic_load(&s->registered));
	fs_inodes_free(s->t);
	free(s);
	free(w);
}

/* One decides; seven that came meanwhile get his answer and not their own. */
struct crowd {
	struct fs_inodes *t;
	uint64_t id;
	atomic_int waiting, decided, early, other;
};

static void *join_open(void *arg)
{
	struct crowd *c = arg;
	int backing = 0;
	enum fs_mode mode;

	atomic_fetch_add(&c->waiting, 1);
	mode = fs_inode_open_begin(c->t, c->id, &backing);
	if (!atomic_load(&c->decided))
		atomic_fetch_add(&c->early, 1);
	if (mode != FS_MODE_NATIVE || backing != 7)
		atomic_fetch_add(&c->other, 1);
	return NULL;
}

static void others_wait_for_the_first(void **state)
{
	struct crowd c = { .t = NULL };
	pthread_t threads[THREADS - 1];
	int backing;

	(void)state;
	assert_int_equal(fs_inodes_new(&c.t, NULL, NULL, 2), 0);
	for (unsigned round = 0; round < 50; round++) {
		assert_int_equal(fs_inode_learn(c.t, ROOT, "a", 100, &c.id), 0);
		atomic_store(&c.waiting, 0);
		atomic_store(&c.decided, 0);
		assert_int_equal(fs_inode_open_begin(c.t, c.id, &backing), FS_MODE_DECIDING);
		for (unsigned i = 0; i < THREADS - 1; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, join_open, &c), 0);
		while (atomic_load(&c.waiting) < THREADS - 1)
			sched_yield();
		fs_inode_forget(c.t, c.id, 1);          /* the waiting opens keep the node */
		atomic_store(&c.decided, 1);
		fs_inode_open_decided(c.t, c.id, FS_MODE_NATIVE, 7);
		for (unsigned i = 0; i < THREADS - 1; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(atomic_load(&c.early), 0);
		assert_int_equal(atomic_load(&c.other), 0);
		for (unsigned i = 0; i < THREADS - 1; i++)
			assert_int_equal(fs_inode_open_end(c.t, c.id), 0);
		assert_int_equal(fs_inode_open_end(c.t, c.id), 7);
		assert_int_equal(fs_inode_count(c.t), 1);
	}
	fs_inodes_free(c.t);
}

int main(void)
{
	const struct CMUnitTest fs_inode_thread_tests[] = {
		cmocka_unit_test(others_wait_for_the_first),
		cmocka_unit_test(eight_threads),
	};

	return cmocka_run_group_tests(fs_inode_thread_tests, NULL, NULL);
}
