/* trace_csv.c - the reader of recorded traces, as tiering/trace.h describes them.
 *
 * A line at a time, each field bounded; the first that is not as it should be ends the reading.
 */
#include "tests/bench/policy/replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "seq,tick,object,size,class,tier"
#define ACCESSES (1u << 24)             /* at most */
#define OBJECTS 40u                     /* at least: a tenth of fewer is no cache */
#define BLOB_SHIFT 24
#define OBJECT_END (1ull << 56)
#define LINE 160                        /* bytes; the longest good line has 107 */
#define NAME 31                         /* bytes of a tier's name */

struct access {
	uint64_t object;
	uint32_t tick;                  /* 1 for the first */
	uint8_t scan;
};

struct reader {
	FILE *f;
	struct access *access;
	uint64_t *object;               /* distinct and in order, once all is read */
	size_t n, room;
	uint64_t line, seq, tick, first;
	struct trace_facts *facts;
	char *err;
	size_t errlen;
};

static int refuse(const struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(const struct reader *r, const char *fmt, ...)
{
	char what[96];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(r->err, r->errlen, "line %llu: %s", (unsigned long long)r->line, what);
	return -EINVAL;
}

/* Digits and a comma; *at moves behind that. */
static bool number(const char **at, uint64_t below, uint64_t *out)
{
	const char *from = *at;
	uint64_t v = 0;

	for (; **at >= '0' && **at <= '9'; ++*at) {
		unsigned digit = (unsigned)(**at - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (*at == from || v >= below || *(*at)++ != ',')
		return false;
	*out = v;
	return true;
}

static int class_of(const char **at)
{
	static const char *const names[] = { "read,", "scan,", "fill,", "sample," };

	for (int c = 0; c < 4; c++) {
		size_t len = strlen(names[c]);

		if (strncmp(*at, names[c], len) == 0) {
			*at += len;
			return c;
		}
	}
	return -1;
}

static bool tier_good(const char *tier)
{
	size_t len = strlen(tier);

	return len > 0 && len <= NAME &&
	       strspn(tier, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static int keep(struct reader *r, uint64_t object, bool scan)
{
	if (r->n == ACCESSES)
		return refuse(r, "more than %u accesses", ACCESSES);
	if (r->n == r->room) {
		size_t room = r->room > 0 ? 2 * r->room : 4096;
		struct access *more = realloc(r->access, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		r->access = more;
		r->room = room;
	}
	r->access[r->n++] = (struct access){ object, (uint32_t)(r->tick - r->first + 1), scan };
	return 0;
}

static int access_line(struct reader *r, const char *at)
{
	uint64_t seq, tick, object, size;
	int class;

	if (!number(&at, UINT64_MAX, &seq))
		return refuse(r, "no number in seq");
	if (!number(&at, UINT64_MAX, &tick))
		return refuse(r, "no number in tick");
	if (!number(&at, OBJECT_END, &object))
		return refuse(r, "no number below 2^56 in object");
	if (!number(&at, 1ull << 32, &size))
		return refuse(r, "no number below 2^32 in size");
	class = class_of(&at);
	if (class < 0)
		return refuse(r, "the class is none of read, scan, fill, sample");
	if (!tier_good(at))
		return refuse(r, "the tier is no name");
	if (r->facts->accesses > 0 && seq <= r->seq)
		return refuse(r, "seq does not grow");
	if (r->facts->accesses > 0 && tick < r->tick)
		return refuse(r, "tick decreases");
	if (r->facts->accesses > 0)
		r->facts->lost += seq - r->seq - 1;
	else
		r->first = tick;
	if (tick - r->first >= UINT32_MAX)
		return refuse(r, "tick is more than 2^32 behind the first");
	r->seq = seq;
	r->tick = tick;
	r->facts->accesses++;
	if (class == 2) {
		r->facts->fills++;
		return 0;
	}
	return keep(r, object, class == 1);
}

/* A line without its end is none: the file was cut there, or the line is too long. */
static int read_lines(struct reader *r)
{
	char line[LINE];
	int rc = 0;

	for (r->line = 1; rc == 0 && fgets(line, sizeof(line), r->f) != NULL; r->line++) {
		size_t len = strlen(line);

		if (len == 0 || line[len - 1] != '\n')
			return refuse(r, len + 1 == sizeof(line) ? "too long" : "does not end");
		line[len - 1] = '\0';
		if (r->line > 1)
			rc = access_line(r, line);
		else if (strcmp(line, HEADER) != 0)
			rc = refuse(r, "is not '" HEADER "'");
	}
	if (rc == 0 && ferror(r->f)) {
		snprintf(r->err, r->errlen, "cannot be read");
		return -EIO;
	}
	return rc;
}

/* ---- objects to ids ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int order_objects(struct reader *r, uint32_t *count)
{
	uint32_t n = 0;

	r->object = malloc((r->n + 1) * sizeof(*r->object));
	if (r->object == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		r->object[i] = r->access[i].object;
	qsort(r->object, r->n, sizeof(*r->object), compare);
	for (size_t i = 0; i < r->n; i++) {
		if (i == 0 || r->object[i] != r->object[n - 1])
			r->object[n++] = r->object[i];
	}
	*count = n;
	if (n >= OBJECTS)
		return 0;
	snprintf(r->err, r->errlen, "%u objects are asked for; %u are needed to tell policies apart", n, OBJECTS);
	return -EINVAL;
}

/* Many accesses to an extent in one tick are one request, a scan's only when all are. */
static void requests(struct reader *r, struct trace *t, size_t *last)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct access *a = &r->access[i];
		const uint64_t *at = bsearch(&a->object, r->object, t->ids, sizeof(*r->object), compare);
		uint32_t id = (uint32_t)(at - r->object);

		if (last[id] > 0 && t->tick[last[id] - 1] == a->tick) {
			t->scan[last[id] - 1] &= a->scan;
			r->facts->repeats++;
			continue;
		}
		t->id[t->n] = id;
		t->scan[t->n] = a->scan;
		t->tick[t->n++] = a->tick;
		last[id] = t->n;
	}
}

static int make(struct reader *r, struct trace *t)
{
	size_t *last;
	int rc = order_objects(r, &t->ids);

	if (rc != 0)
		return rc;
	t->room = r->n;
	t->id = malloc(r->n * sizeof(*t->id));
	t->scan = malloc(r->n);
	t->tick = malloc(r->n * sizeof(*t->tick));
	t->blob = malloc(t->ids * sizeof(*t->blob));
	last = calloc(t->ids, sizeof(*last));
	if (t->id == NULL || t->scan == NULL || t->tick == NULL || t->blob == NULL || last == NULL) {
		free(last);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < t->ids; i++) {
		t->blobs += i == 0 || r->object[i] >> BLOB_SHIFT != r->object[i - 1] >> BLOB_SHIFT;
		t->blob[i] = t->blobs - 1;
	}
	requests(r, t, last);
	free(last);
	return 0;
}

int trace_csv(struct trace *t, FILE *f, struct trace_facts *facts, char *err, size_t errlen)
{
	struct reader r = { .f = f, .facts = facts, .err = err, .errlen = errlen };
	int rc;

	*t = (struct trace){ 0 };
	*facts = (struct trace_facts){ 0 };
	snprintf(err, errlen, "out of memory");
	rc = read_lines(&r);
	if (rc == 0)
		rc = make(&r, t);
	free(r.access);
	free(r.object);
	return rc;
}
