/* test_scan.c - which opens are scans: by name, by who sealed the file; and what /proc says of an opener. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tiering/scan.h"

#define BEHIND " R 7 800 800 34816 -1 4194304 100 0 0 0 1 2 3 4 20 -5 1 0 987654321 1000000 200 18446744073709551615\n"

static int setup(void **state)
{
	char *dir = malloc(SCRATCH_PATH);

	assert_non_null(dir);
	scratch_make(dir);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	scratch_remove(*state);
	free(*state);
	return 0;
}

static void put(const char *proc, pid_t id, const char *name, const char *text)
{
	char rel[64];

	snprintf(rel, sizeof(rel), "%d/%s", (int)id, name);
	scratch_file(proc, rel, text, strlen(text));
}

static void put_status(const char *proc, pid_t tid, const char *name, pid_t group)
{
	char text[512];

	snprintf(text, sizeof(text), "Name:\t%s\nUmask:\t0022\nState:\tR (running)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t7\n",
		 name, (int)group, (int)tid);
	put(proc, tid, "status", text);
}

static void put_stat(const char *proc, pid_t pid, const char *name, const char *behind)
{
	char text[512];

	snprintf(text, sizeof(text), "%d (%s)%s", (int)pid, name, behind);
	put(proc, pid, "stat", text);
}

static void assert_opener(const struct scan_opener *o, pid_t pid, pid_t parent, uint64_t started, const char *comm)
{
	assert_int_equal(o->pid, pid);
	assert_int_equal(o->parent, parent);
	assert_int_equal(o->started, started);
	assert_string_equal(o->comm, comm);
}

static struct scan_opener opener_of(const char *proc, pid_t tid)
{
	struct scan_opener o;

	memset(&o, 0xff, sizeof(o));
	scan_opener_of(&o, proc, tid);
	return o;
}

/* ---- /proc ---- */

static void names_of_all_kinds(void **state)
{
	static const struct {
		const char *in_stat, *want;
	} names[] = {
		{ "cp", "cp" }, { "a b  c", "a b  c" }, { "x) R 1 2 (y", "x) R 1 2 (y" }, { ")))", ")))" }, { "((", "((" },
		{ "", "" }, { "with\nline", "with\nline" }, { "exactly15bytes_", "exactly15bytes_" },
		{ "kworker/u16:3-events_unbound", "kworker/u16:3-e" },
	};
	struct scan_opener o;

	for (pid_t i = 0; i < (pid_t)(sizeof(names) / sizeof(names[0])); i++) {
		put_status(*state, 100 + i, "escaped", 100 + i);
		put_stat(*state, 100 + i, names[i].in_stat, BEHIND);
		o = opener_of(*state, 100 + i);
		assert_opener(&o, 100 + i, 7, 987654321, names[i].want);
	}
}

/* The process counts, not its thread; in /proc/PID/status a line break in a name is two characters. */
static void a_thread_is_its_process(void **state)
{
	struct scan_opener o;

	put_status(*state, 201, "x\\nTgid:\\t1", 200);
	put_stat(*state, 201, "worker", " S 9 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 555 0 0 0\n");
	put_status(*state, 200, "restic", 200);
	put_stat(*state, 200, "restic", BEHIND);
	o = opener_of(*state, 201);
	assert_opener(&o, 200, 7, 987654321, "restic");
}

static void a_kernel_thread(void **state)
{
	struct scan_opener o;

	put_status(*state, 2, "kthreadd", 2);
	put_stat(*state, 2, "kthreadd", " S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 3 0 0 18446744073709551615\n");
	o = opener_of(*state, 2);
	assert_opener(&o, 2, 0, 3, "kthreadd");
}

static void what_cannot_be_read_is_0(void **state)
{
	static const char *const broken[] = {
		"", "300", "300 (cp", "300 cp) R 7", "300 (cp) R 7 1 2 3\n", "300 (cp) R x 1 2 3\n", ")(",
	};
	struct scan_opener o;

	o = opener_of(*state, 0);
	assert_opener(&o, 0, 0, 0, "");
	o = opener_of(*state, -5);
	assert_opener(&o, 0, 0, 0, "");
	o = opener_of(*state, 31);                     /* there is none */
	assert_opener(&o, 0, 0, 0, "");
	put_status(*state, 301, "gone", 300);           /* gone between the two reads */
	o = opener_of(*state, 301);
	assert_opener(&o, 300, 0, 0, "");
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		put(*state, 300, "stat", broken[i]);
		o = opener_of(*state, 301);
		assert_opener(&o, 300, 0, 0, "");
	}
	put(*state, 302, "status", "");
	put_stat(*state, 302, "cp", BEHIND);
	o = opener_of(*state, 302);
	assert_opener(&o, 0, 0, 0, "");
	put(*state, 302, "status", "Name:\tcp\nTgid:\tmany\n");
	o = opener_of(*state, 302);
	assert_opener(&o, 0, 0, 0, "");
}

static void a_path_too_long(void **state)
{
	char *proc = malloc(2 * PATH_MAX);
	struct scan_opener o;

	(void)state;
	assert_non_null(proc);
	memset(proc, 'x', 2 * PATH_MAX - 1);
	proc[2 * PATH_MAX - 1] = '\0';
	o = opener_of(proc, 1);
	assert_opener(&o, 0, 0, 0, "");
	free(proc);
}

struct asker {
	struct scan_opener o;
	pid_t tid;
};

static void *ask(void *arg)
{
	struct asker *a = arg;

	prctl(PR_SET_NAME, "sha256sum");
	a->tid = gettid();
	scan_opener_of(&a->o, "/proc", a->tid);
	return NULL;
}

/* The real /proc: this process through a thread of it that has another name, and a child that is gone. */
static void the_real_one(void **state)
{
	struct scan_opener me = opener_of("/proc", getpid()), child;
	struct asker a;
	pthread_t thread;
	int hold[2];
	pid_t pid;

	(void)state;
	assert_int_equal(me.pid, getpid());
	assert_int_equal(me.parent, getppid());
	assert_true(me.started > 0);
	assert_string_equal(me.comm, "test_scan");
	assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
	pthread_join(thread, NULL);
	assert_int_not_equal(a.tid, getpid());
	assert_opener(&a.o, me.pid, me.parent, me.started, me.comm);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(hold[1]);
		_exit((int)read(hold[0], &c, 1));
	}
	close(hold[0]);
	child = opener_of("/proc", pid);
	assert_int_equal(child.pid, pid);
	assert_int_equal(child.parent, getpid());
	assert_true(child.started >= me.started);
	close(hold[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	child = opener_of("/proc", pid);
	assert_opener(&child, 0, 0, 0, "");
}

/* ---- names ---- */

static struct scan_opener named(const char *name)
{
	struct scan_opener o = { .pid = 50, .parent = 40, .started = 9 };

	strncpy(o.comm, name, sizeof(o.comm) - 1);      /* as the kernel cuts it */
	return o;
}

static void tools_are_known_by_name(void **state)
{
	static const char *const scans[] = {
		"sha256sum", "md5sum", "b3sum", "xxh128sum", "cp", "rsync", "tar", "7z", "zstd", "restic", "borg", "rclone",
		"clamd", "cmp", "duplicati-server", "proxmox-backup-client", "huggingface-cli", "baloo_file_extractor",
		"localsearch-extractor", "urbackupclientbackend",
	};
	static const char *const readers[] = {
		"", "ollama", "llama-server", "llama-cli", "hearth-run", "lm-studio", "python3", "node", "java", "cat", "dd",
		"vmtouch", "pv", "nfsd", "smbd", "find", "du", "updatedb", "c", "cpx", "tarx", "xcp", "CP", "sha256su", "sha256summ",
		"huggingface-cl", "duplicati-serv", "llama-quantiz",
	};
	struct scan_seals *s;

	(void)state;
	assert_int_equal(scan_seals_new(&s), 0);
	for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++) {
		struct scan_opener o = named(scans[i]);

		if (scan_class(s, 1, &o, 0) != SCAN_NAME)
			fail_msg("%s is a scan", scans[i]);
	}
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		struct scan_opener o = named(readers[i]);

		if (scan_class(s, 1, &o, 0) != SCAN_NO)
			fail_msg("%s is no scan", readers[i]);
	}
	scan_seals_free(s);
}

static void names_of_classes(void **state)
{
	(void)state;
	assert_string_equal(scan_class_name(SCAN_NO), "no");
	assert_string_equal(scan_class_name(SCAN_ORDER), "order");
	assert_string_equal(scan_class_name(SCAN_NAME), "name");
	assert_string_equal(scan_class_name(SCAN_VERIFY), "verify");
}

/* ---- seals ---- */

static const struct scan_opener puller = { .pid = 100, .parent = 90, .started = 5000, .comm = "ollama" };

static void who_sealed_verifies(void **state)
{
	static const struct {
		struct scan_opener who;
		enum scan_class want;
		const char *what;
	} openers[] = {
		{ { .pid = 100, .parent = 90, .started = 5000 }, SCAN_VERIFY, "the process itself" },
		{ { .pid = 100, .parent = 1, .started = 5000 }, SCAN_VERIFY, "itself, its parent gone" },
		{ { .pid = 90, .parent = 1, .started = 4000 }, SCAN_VERIFY, "its parent" },
		{ { .pid = 90, .parent = 1, .started = 5000 }, SCAN_VERIFY, "its parent, as old" },
		{ { .pid = 100, .parent = 90, .started = 6000 }, SCAN_NO, "another with its number" },
		{ { .pid = 90, .parent = 1, .started = 6000 }, SCAN_NO, "another with its parent's number" },
		{ { .pid = 110, .parent = 100, .started = 6000 }, SCAN_NO, "its child, the runner" },
		{ { .pid = 120, .parent = 90, .started = 5500 }, SCAN_NO, "its sibling" },
		{ { .pid = 0, .parent = 0, .started = 0 }, SCAN_NO, "nobody" },
		{ { .pid = 0, .parent = 100, .started = 5000 }, SCAN_NO, "unknown" },
	};
	struct scan_seals *s;

	(void)state;
	assert_int_equal(scan_seals_new(&s), 0);
	scan_sealed(s, 77, &puller, 1000);
	for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]); i++) {
		if (scan_class(s, 77, &openers[i].who, 1001) != openers[i].want)
			fail_msg("%s", openers[i].what);
		assert_int_equal(scan_class(s, 78, &openers[i].who, 1001), SCAN_NO);
		assert_int_equal(scan_class(s, 0, &openers[i].who, 1001), SCAN_NO);
	}
	scan_seals_free(s);
}

/* Of who sealed nothing is known: nobody is taken for it. */
static void an_unknown_sealer(void **state)
{
	struct scan_opener nobody = { 0 }, orphan = { .pid = 5, .started = 1 };
	struct scan_seals *s;

	(void)state;
	assert_int_equal(scan_seals_new(&s), 0);
	scan_sealed(s, 77, &nobody, 10);
	assert_int_equal(scan_class(s, 77, &nobody, 11), SCAN_NO);
	assert_int_equal(scan_class(s, 77, &orphan, 11), SCAN_NO);
	assert_int_equal(scan_class(s, 77, &puller, 11), SCAN_NO);
	scan_seals_free(s);
}

static void for_ten_minutes(void **state)
{
	struct scan_opener tool = named("sha256sum"), other = { .pid = 500, .started = 1 };
	struct scan_seals *s;

	(void)state;
	assert_int_equal(scan_seals_new(&s), 0);
	scan_sealed(s, 77, &puller, 1000);
	assert_int_equal(scan_class(s, 77, &puller, 999), SCAN_VERIFY);        /* two threads read the clock */
	assert_int_equal(scan_class(s, 77, &puller, 1000), SCAN_VERIFY);
	assert_int_equal(scan_class(s, 77, &puller, 1600), SCAN_VERIFY);
	assert_int_equal(scan_class(s, 77, &puller, 1601), SCAN_NO);
	assert_int_equal(scan_class(s, 77, &puller, UINT64_MAX), SCAN_NO);
	assert_int_equal(scan_class(s, 77, &tool, 5000), SCAN_NAME);
	scan_sealed(s, 77, &puller, 3000);             /* again */
	assert_int_equal(scan_class(s, 77, &puller, 3600), SCAN_VERIFY);
	scan_sealed(s, 77, &other, 3100);              /* by another: only the last writer counts */
	assert_int_equal(scan_class(s, 77, &puller, 3101), SCAN_NO);
	assert_int_equal(scan_class(s, 77, &other, 3101), SCAN_VERIFY);
	scan_seals_free(s);
}

static void the_oldest_is_forgotten(void **state)
{
	struct scan_seals *s;

	(void)state;
	assert_int_equal(scan_seals_new(&s), 0);
	for (uint64_t i = 0; i < SCAN_SEALS; i++)
		scan_sealed(s, i, &puller, 1000);
	for (uint64_t i = 0; i < SCAN_SEALS; i++)
		assert_int_equal(scan_class(s, i, &puller, 1001), SCAN_VERIFY);
	for (int again = 0; again < 1000; again++)      /* takes no second place, and is the newest now */
		scan_sealed(s, 0, &puller, 1000);
	scan_sealed(s, 9999, &puller, 1000);
	assert_int_equal(scan_class(s, 9999, &puller, 1001), SCAN_VERIFY);
	assert_int_equal(scan_class(s, 0, &puller, 1001), SCAN_VERIFY);
	assert_int_equal(scan_class(s, 1, &puller, 1001), SCAN_NO);
	for (uint64_t i = 2; i < SCAN_SEALS; i++)
		assert_int_equal(scan_class(s, i, &puller, 1001), SCAN_VERIFY);
	scan_seals_free(s);
	scan_seals_free(NULL);
}

/* ---- threads ---- */

struct sealer {
	struct scan_seals *s;
	struct scan_opener who;
	unsigned wrong;
};

static void *seal_and_look(void *arg)
{
	struct sealer *w = arg;
	uint64_t first = (uint64_t)w->who.pid * 32;

	for (unsigned i = 0; i < 2000; i++) {
		scan_sealed(w->s, first + i % 32, &w->who, i);
		w->wrong += scan_class(w->s, first + i % 32, &w->who, i) != SCAN_VERIFY;
	}
	return NULL;
}

static void eight_threads(void **state)
{
	struct sealer w[8];
	pthread_t threads[8];
	struct scan_seals *s;

	(void)state;
	assert_int_equal(scan_seals_new(&s), 0);
	for (int i = 0; i < 8; i++) {
		w[i] = (struct sealer){ .s = s, .who = { .pid = i + 1, .started = 3 } };
		assert_int_equal(pthread_create(&threads[i], NULL, seal_and_look, &w[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(w[i].wrong, 0);        /* 8 times 32 files fill the table exactly */
	}
	scan_seals_free(s);
}

int main(void)
{
	const struct CMUnitTest scan_tests[] = {
		cmocka_unit_test_setup_teardown(names_of_all_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(a_thread_is_its_process, setup, teardown),
		cmocka_unit_test_setup_teardown(a_kernel_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_0, setup, teardown),
		cmocka_unit_test(a_path_too_long),
		cmocka_unit_test(the_real_one),
		cmocka_unit_test(tools_are_known_by_name),
		cmocka_unit_test(names_of_classes),
		cmocka_unit_test(who_sealed_verifies),
		cmocka_unit_test(an_unknown_sealer),
		cmocka_unit_test(for_ten_minutes),
		cmocka_unit_test(the_oldest_is_forgotten),
		cmocka_unit_test(eight_threads),
	};

	return cmocka_run_group_tests(scan_tests, NULL, NULL);
}
