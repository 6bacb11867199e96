/* run_bench.c - speeds of a model in llama-bench's words: ppN evaluates N tokens at once, tgN makes N one by one, each
 * behind a context of that many tokens with @dN, whose own speed is printed too.  Beside them what tgN takes of weights a
 * second, and how much that is of what this machine's memory gives; of weights or a KV cache on disk, what was read. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/model.h"
#include "engine/run.h"
#include "engine/session.h"
#include "engine/stream.h"
#include "kernels/kern_pool.h"

#define MEMORY_BYTES ((size_t)512 << 20)
#define MEMORY_ROUNDS 5
#define WORDS 4096              /* handed out at a time */

/* ---- memory -------------------------------------------------------------------------------------- */

struct sum_job { const uint64_t *words; _Atomic uint64_t sum; };

static void sum_words(void *arg, uint32_t i0, uint32_t i1)
{
	struct sum_job *j = arg;
	uint64_t sum[8] = { 0 };
	size_t i, k;

	for (i = (size_t)i0 * WORDS; i < (size_t)i1 * WORDS; i += 8)
		for (k = 0; k < 8; k++)
			sum[k] += j->words[i + k];
	for (k = 1; k < 8; k++)
		sum[0] += sum[k];
	j->sum += sum[0];
}

/* Bytes a second that n threads read, the best of some rounds; 0 when there is no memory for it. */
static double memory_rate(uint32_t n)
{
	struct sum_job j = { NULL, 0 };
	struct kern_pool *pool;
	uint64_t *words = aligned_alloc(64, MEMORY_BYTES);
	double best = 0.0, t0;
	int i;

	if (words == NULL || kern_pool_open(&pool, n) != 0) {
		free(words);
		return 0.0;
	}
	memset(words, 1, MEMORY_BYTES);
	j.words = words;
	for (i = 0; i < MEMORY_ROUNDS; i++) {
		t0 = clock_now();
		kern_pool_run(pool, sum_words, &j, (uint32_t)(MEMORY_BYTES / sizeof(*words) / WORDS), 1);
		best = fmax(best, (double)MEMORY_BYTES / (clock_now() - t0));
	}
	kern_pool_close(pool);
	free(words);
	return best;
}

/* ---- tests --------------------------------------------------------------------------------------- */

struct test { bool one_by_one; uint32_t n, depth; };

/* ppN or tgN, with @dN behind it; *rest is what follows. */
static bool parse_test(const char *text, struct test *t, const char **rest)
{
	bool one_by_one = text[0] == 't';
	unsigned long n, depth = 0;
	char *end;

	if (strncmp(text, "pp", 2) != 0 && strncmp(text, "tg", 2) != 0)
		return false;
	errno = 0;
	n = strtoul(text + 2, &end, 10);
	if (end == text + 2 || n < 1 || n > 1000000)
		return false;
	if (end[0] == '@' && end[1] == 'd') {
		text = end + 2;
		depth = strtoul(text, &end, 10);
		if (end == text || depth > 100000000)
			return false;
	}
	if (*end == ',')
		end++;
	else if (*end != '\0')
		return false;
	*t = (struct test){ one_by_one, (uint32_t)n, (uint32_t)depth };
	*rest = end;
	return errno == 0;
}

/* Tokens that are not all alike, and exist; others for another seed. */
static void fill_tokens(uint32_t *ids, size_t n, uint32_t n_vocab, uint32_t seed)
{
	uint32_t x = 12345 + seed * 2654435769u;
	size_t i;

	for (i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		ids[i] = (uint32_t)(((uint64_t)x * n_vocab) >> 32);
	}
}

/* Tokens a second of one round, whose tokens are its own: of a mixture they decide which weights are used.  What lies before
 * is kept from one round to the next where the model lets us. */
static int measure(struct run *r, const struct test *t, const uint32_t *before, const uint32_t *ids, double *rate)
{
	double t0;
	uint32_t i;
	int rc = 0;

	if (t->depth > 0)
		rc = session_sync(r->session, before, t->depth);
	else
		session_reset(r->session);
	t0 = clock_now();
	if (!t->one_by_one && rc == 0)
		rc = session_eval(r->session, ids, t->n, NULL, NULL);
	for (i = 0; t->one_by_one && i < t->n && rc == 0; i++)
		rc = session_eval(r->session, ids + i, 1, NULL, NULL);
	*rate = (double)t->n / (clock_now() - t0);
	return rc;
}

static void print_start(const struct run *r, const char *name)
{
	printf("| %-10s | %8.2f MiB | %7u | %-16s | ", model_arch(r->model), (double)model_bytes(r->model) / 1048576.0,
	       session_n_threads(r->session), name);
}

static void print_row(const struct run *r, const struct test *t, const double *rates, uint32_t n, double memory)
{
	double sum = 0.0, squares = 0.0, mean, bytes;
	char name[64];
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += rates[i];
	mean = sum / n;
	for (i = 0; i < n; i++)
		squares += (rates[i] - mean) * (rates[i] - mean);
	snprintf(name, sizeof(name), t->depth > 0 ? "%s%u @ d%u" : "%s%u", t->one_by_one ? "tg" : "pp", t->n, t->depth);
	bytes = mean * (double)model_bytes_per_token(r->model);
	print_start(r, name);
	printf("%10.2f +- %-7.2f | ", mean, n > 1 ? sqrt(squares / (n - 1)) : 0.0);
	if (t->one_by_one && memory > 0.0)
		printf("%6.2f | %9.0f %% |\n", bytes / 1e9, 100.0 * bytes / memory);
	else
		printf("%6s | %11s |\n", "", "");
	fflush(stdout);
}

static bool streams(const struct run *r)
{
	struct stream_stats w;

	session_stream_stats(r->session, &w);
	return w.kind != NULL;
}

/* n tokens, evaluated in some seconds, for which so many bytes came from disk. */
static void print_disk(const struct run *r, uint64_t bytes, double n, double seconds)
{
	print_start(r, "  from disk");
	printf("%10.2f MB a token | %6.3f | %11s |\n", (double)bytes / 1e6 / n, (double)bytes / 1e9 / seconds, "");
	fflush(stdout);
}

/* The tokens that the test lies behind. */
static int fill(struct run *r, const struct test *t, const uint32_t *ids)
{
	const double t0 = clock_now();
	int rc = session_sync(r->session, ids, t->depth);
	char name[64];

	snprintf(name, sizeof(name), "pp%u, to there", t->depth);
	if (rc == 0) {
		print_start(r, name);
		printf("%10.2f %10s | %6s | %11s |\n", t->depth / (clock_now() - t0), "", "", "");
		fflush(stdout);
	}
	return rc;
}

static int measure_all(struct run *r, const struct test *t, const uint32_t *ids, double *rates, double memory)
{
	const struct test first = { t->one_by_one, t->one_by_one ? 1 : t->n, 0 };
	uint32_t i, rounds = (uint32_t)r->o.repetitions;
	const uint32_t *of_rounds = ids + t->depth;
	double warm, seconds = 0.0;
	uint64_t before;
	int rc = measure(r, &first, ids, of_rounds, &warm);

	if (rc == 0 && t->depth > 0)
		rc = fill(r, t, ids);
	before = session_bytes_read(r->session);
	for (i = 0; i < rounds && rc == 0; i++) {
		rc = measure(r, t, ids, of_rounds + (size_t)i * t->n, &rates[i]);
		seconds += t->n / rates[i];
	}
	if (rc != 0)
		return rc;
	print_row(r, t, rates, rounds, memory);
	if (streams(r) || r->o.kv_disk != NULL)
		print_disk(r, session_bytes_read(r->session) - before, (double)t->n * rounds, seconds);
	return 0;
}

/* The i-th of the tests. */
static int bench_one(struct run *r, const struct test *t, uint32_t i, double memory)
{
	uint32_t rounds = (uint32_t)r->o.repetitions;
	size_t n = t->depth + (size_t)t->n * rounds;
	uint32_t *ids = malloc(n * sizeof(*ids));
	double *rates = calloc(rounds, sizeof(*rates));
	int rc = ids != NULL && rates != NULL ? 0 : -ENOMEM;

	if (rc == 0) {
		fill_tokens(ids, n, model_n_vocab(r->model), i);
		rc = measure_all(r, t, ids, rates, memory);
	}
	free(ids);
	free(rates);
	return run_report(r, rc, rc == -ENOSPC ? "the test does not fit into the context (-c)" : r->o.model);
}

uint32_t run_bench_context(const char *tests)
{
	uint32_t most = 0;
	struct test t;

	while (*tests != '\0') {
		if (!parse_test(tests, &t, &tests))
			return 0;
		if (t.n + t.depth > most)
			most = t.n + t.depth;
	}
	return most;
}

int run_bench(struct run *r)
{
	const char *rest = r->o.bench;
	struct test t;
	double memory = 0.0;
	uint32_t i = 0;
	int status = RUN_OK;

	if (!streams(r) && r->o.kv_disk == NULL)        /* where memory is short there is no room for it */
		memory = memory_rate(session_n_threads(r->session));

	printf("| model      | size         | threads | test             | t/s                   | GB/s   | of memory   |\n"
	       "| ---------- | ------------ | ------- | ---------------- | --------------------- | ------ | ----------- |\n");
	while (*rest != '\0' && parse_test(rest, &t, &rest) && status == RUN_OK && r->signal == 0)
		status = bench_one(r, &t, i++, memory);
	if (status == RUN_OK && memory > 0.0)
		printf("\nmemory: %.2f GB/s read by %u threads; instructions: %s\n", memory / 1e9, session_n_threads(r->session),
		       session_isa(r->session));
	return status;
}
