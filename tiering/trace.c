#include "tiering/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_PART 512                  /* accesses copied at a time, while nobody can add */

_Static_assert(sizeof(struct trace_access) == 24, "as the header says");

struct trace {
	pthread_mutex_t lock;
	const char *const *tiers;       /* constant after new */
	unsigned ntiers;                /* constant after new */
	uint64_t added;                 /* the last one's seq; protected by lock */
	uint64_t tick;                  /* the last one's; protected by lock */
	struct trace_access access[TRACE_COUNT];        /* seq is at (seq - 1) % TRACE_COUNT; protected by lock */
};

static bool trace_name_good(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= TRACE_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

int trace_new(struct trace **out, const char *const *tiers, unsigned ntiers)
{
	struct trace *t;
	int rc;

	if (ntiers > TRACE_TIERS)
		return -EINVAL;
	for (unsigned i = 0; i < ntiers; i++)
		if (!trace_name_good(tiers[i]))
			return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	rc = -pthread_mutex_init(&t->lock, NULL);
	if (rc != 0) {
		free(t);
		return rc;
	}
	t->tiers = tiers;
	t->ntiers = ntiers;
	*out = t;
	return 0;
}

void trace_free(struct trace *t)
{
	if (t == NULL)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Two threads may look at the clock in one order and come here in the other. */
void trace_add(struct trace *t, const struct trace_access *a)
{
	struct trace_access *place;

	pthread_mutex_lock(&t->lock);
	place = &t->access[t->added++ % TRACE_COUNT];
	*place = *a;
	if (place->tick < t->tick)
		place->tick = t->tick;
	t->tick = place->tick;
	pthread_mutex_unlock(&t->lock);
}

/* ---- printing ---- */

static const char *trace_class_name(uint8_t class)
{
	static const char *const names[] = {
		[TRACE_READ] = "read", [TRACE_SCAN] = "scan", [TRACE_FILL] = "fill", [TRACE_SAMPLE] = "sample",
	};

	return class < sizeof(names) / sizeof(names[0]) ? names[class] : "unknown";
}

static void trace_print_one(FILE *f, const struct trace *t, const struct trace_access *a, uint64_t seq)
{
	fprintf(f, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu32 ",%s,%s\n", seq, a->tick,
		((uint64_t)a->blob << 24) + a->extent, a->size, trace_class_name(a->class),
		a->tier < t->ntiers ? t->tiers[a->tier] : "unknown");
}

static uint64_t trace_added(struct trace *t)
{
	uint64_t added;

	pthread_mutex_lock(&t->lock);
	added = t->added;
	pthread_mutex_unlock(&t->lock);
	return added;
}

/* Copy accesses from *seq on, which moves up to the oldest kept, to the last; returns how many. */
static size_t trace_copy(struct trace *t, uint64_t *seq, uint64_t last, struct trace_access part[TRACE_PART])
{
	uint64_t oldest;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	oldest = t->added > TRACE_COUNT ? t->added - TRACE_COUNT + 1 : 1;
	if (*seq < oldest)
		*seq = oldest;
	while (n < TRACE_PART && *seq + n <= last) {
		part[n] = t->access[(*seq + n - 1) % TRACE_COUNT];
		n++;
	}
	pthread_mutex_unlock(&t->lock);
	return n;
}

/* Up to what was the last at the beginning, so that this ends however fast others add. */
static void trace_print_parts(FILE *f, struct trace *t, uint64_t seq, size_t max)
{
	struct trace_access part[TRACE_PART];
	uint64_t last = trace_added(t);
	size_t n;

	while (max > 0 && seq <= last && (n = trace_copy(t, &seq, last, part)) > 0) {
		n = n < max ? n : max;
		for (size_t i = 0; i < n; i++)
			trace_print_one(f, t, &part[i], seq + i);
		seq += n;
		max -= n;
	}
}

int trace_print(struct trace *t, uint64_t seq, size_t max, char **out)
{
	char *text = NULL;
	int failed;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return -ENOMEM;
	fputs("seq,tick,object,size,class,tier\n", f);
	trace_print_parts(f, t, seq, max);
	failed = ferror(f);
	failed |= fclose(f);
	if (failed != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}
