/* replay.h - traces of requests, the policies that replay them, and what came of it.
 *
 * A request names one extent.  A policy holds cap of them; a hit is a request for one held, a move an
 * admission.  All policies are fully associative, all extents of one size.
 */
#ifndef TESTS_BENCH_POLICY_REPLAY_H
#define TESTS_BENCH_POLICY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define REPLAY_NONE UINT32_MAX

struct trace {
	uint32_t *id;                   /* [n], each below ids */
	uint8_t *scan;                  /* [n], 1: read by a scan, as hearth would class it */
	uint32_t *tick;                 /* [n], each at least 1, never decreasing; NULL: a request is a tick */
	size_t n, room;
	uint32_t ids;
	uint32_t *blob;                 /* [ids], which blob the extent is of; ids of a blob follow one another */
	uint32_t blobs;
};

struct replay_result {
	uint64_t hits, moves;
};

/* 0 or -ENOMEM.  The caller frees by trace_free, also after a failure. */
int trace_loop(struct trace *t, uint32_t n, uint32_t passes, bool scans);
int trace_loads(struct trace *t, bool mixed);
/* The routing of a real mixture of experts, an id per layer and expert; layers and experts come from
 * the file.  A prompt's own pass counts each expert once.  -ENOENT where there is no such file, -EINVAL. */
int trace_route(struct trace *t, const char *path);
void trace_free(struct trace *t);

/* What was in a recorded trace, in lines. */
struct trace_facts {
	uint64_t accesses;
	uint64_t fills;                 /* a move's own reads, left out */
	uint64_t repeats;               /* of an extent within a tick, one request with the first */
	uint64_t lost;                  /* numbers that are missing */
};
/* A trace that hearth recorded (tiering/trace.h).  -EINVAL with the number of the first line that is not as it
 * should be, or what else is wrong; -EIO, -ENOMEM. */
int trace_csv(struct trace *t, FILE *f, struct trace_facts *facts, char *err, size_t errlen);

/* The tick of request n, and, for one behind the last, of what comes next. */
static inline uint64_t trace_when(const struct trace *t, size_t n)
{
	if (t->tick == NULL)
		return n + 1;
	return t->tick[n < t->n ? n : t->n - 1];
}

/* Each replays t with cap extents.  0 or -ENOMEM. */
typedef int (*replay_fn)(const struct trace *t, uint32_t cap, struct replay_result *out);
int replay_opt(const struct trace *t, uint32_t cap, struct replay_result *out);        /* Belady with bypass */
int replay_lru(const struct trace *t, uint32_t cap, struct replay_result *out);
int replay_arc(const struct trace *t, uint32_t cap, struct replay_result *out);
int replay_lirs(const struct trace *t, uint32_t cap, struct replay_result *out);
int replay_s3fifo(const struct trace *t, uint32_t cap, struct replay_result *out);
int replay_tinylfu(const struct trace *t, uint32_t cap, struct replay_result *out);
int replay_hearth(const struct trace *t, uint32_t cap, struct replay_result *out);
/* with hits on residents hidden, as they are for blobs open natively */
int replay_hearth_hidden(const struct trace *t, uint32_t cap, struct replay_result *out);
/* hidden, and a blob that does not fit is held in runs of 32 MiB */
int replay_hearth_runs(const struct trace *t, uint32_t cap, struct replay_result *out);
/* with scans classed as such, as R11 has it */
int replay_hearth_classed(const struct trace *t, uint32_t cap, struct replay_result *out);

/* as on a cache disk: whole blobs */
int replay_hearth_blobs(const struct trace *t, uint32_t cap, struct replay_result *out);
/* and with scans classed as such */
int replay_hearth_blobs_classed(const struct trace *t, uint32_t cap, struct replay_result *out);

/* Hand-computed sequences through the peers, recorded traces good and bad through their reader; prints what is wrong,
 * returns how many are. */
int replay_self_check(void);
int replay_self_check_csv(void);       /* the second part of it */

#endif
