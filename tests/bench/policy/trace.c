/* trace.c - generators of loops, scans, model loads and mixed loads, and the reader of routing traces. */
#include "tests/bench/policy/replay.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS 24
#define MODEL_STEP 40                   /* extents; models are 1 to 20 times this */
#define LOAD_REQUESTS 505000u
#define OVERSIZED 1250u                 /* extents of the model of the decode bursts */
#define BURST_PASSES 25
#define BURSTS 12
#define DIGESTS 9

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x * 0x2545f4914f6cdd1dull;
}

static double random_unit(uint64_t *x)
{
	return (double)(next_random(x) >> 11) * 0x1p-53;
}

static int trace_begin(struct trace *t, uint32_t ids, uint32_t blobs, size_t room)
{
	*t = (struct trace){ .ids = ids, .blobs = blobs, .room = room };
	t->id = malloc(room * sizeof(*t->id));
	t->scan = malloc(room);
	t->blob = calloc(ids, sizeof(*t->blob));
	return t->id != NULL && t->scan != NULL && t->blob != NULL ? 0 : -ENOMEM;
}

void trace_free(struct trace *t)
{
	free(t->id);
	free(t->scan);
	free(t->tick);
	free(t->blob);
	*t = (struct trace){ 0 };
}

/* Requests beyond the room are left out. */
static void put(struct trace *t, uint32_t first, uint32_t count, bool scan)
{
	for (uint32_t i = 0; i < count && t->n < t->room; i++) {
		t->id[t->n] = first + i;
		t->scan[t->n++] = scan;
	}
}

int trace_loop(struct trace *t, uint32_t n, uint32_t passes, bool scans)
{
	uint32_t length = n + n / 2, count = scans ? passes / 10 : 0, from = n;
	int rc = trace_begin(t, n + count * length, 1 + count, (size_t)n * passes + (size_t)count * length);

	if (rc != 0)
		return rc;
	for (uint32_t i = n; i < t->ids; i++)
		t->blob[i] = 1 + (i - n) / length;
	for (uint32_t p = 1; p <= passes; p++) {
		put(t, 0, n, false);
		if (scans && p % 10 == 0) {
			put(t, from, length, true);
			from += length;
		}
	}
	return 0;
}

struct models {
	uint32_t first[MODELS + 2], rank[MODELS];       /* first[MODELS] is the oversized one, then the end */
	double weight[MODELS];                          /* of a rank, cumulative */
	uint64_t seed;
};

static void shuffle(struct models *m)
{
	for (uint32_t i = 0; i < MODELS; i++)
		m->rank[i] = i;
	for (uint32_t i = MODELS - 1; i > 0; i--) {
		uint32_t j = (uint32_t)(next_random(&m->seed) % (i + 1)), k = m->rank[i];

		m->rank[i] = m->rank[j];
		m->rank[j] = k;
	}
}

static struct models models_make(void)
{
	struct models m = { .seed = 42 };
	double sum = 0;

	for (uint32_t i = 0; i < MODELS; i++) {
		m.first[i + 1] = m.first[i] + MODEL_STEP * (1 + i * 7 % 20);
		sum += pow(i + 1, -0.9);
		m.weight[i] = sum;
	}
	m.first[MODELS + 1] = m.first[MODELS] + OVERSIZED;
	shuffle(&m);
	return m;
}

static uint32_t model_pick(struct models *m)
{
	double x = random_unit(&m->seed) * m->weight[MODELS - 1];
	uint32_t i = 0;

	while (i + 1 < MODELS && m->weight[i] < x)
		i++;
	return m->rank[i];
}

/* Bursts and digests are spread evenly over the loads. */
int trace_loads(struct trace *t, bool mixed)
{
	struct models m = models_make();
	uint32_t ids = m.first[MODELS + mixed], loaded = 0, bursts = 0, digests = 0;
	size_t room = LOAD_REQUESTS + (mixed ? (size_t)BURSTS * BURST_PASSES * OVERSIZED + (size_t)DIGESTS * ids : 0);
	bool flipped = false;
	int rc = trace_begin(t, ids, MODELS + mixed, room);

	if (rc != 0)
		return rc;
	for (uint32_t b = 0; b < t->blobs; b++) {
		for (uint32_t i = m.first[b]; i < m.first[b + 1]; i++)
			t->blob[i] = b;
	}
	while (loaded < LOAD_REQUESTS) {
		uint32_t b = model_pick(&m), size = m.first[b + 1] - m.first[b];

		size = size < LOAD_REQUESTS - loaded ? size : LOAD_REQUESTS - loaded;
		put(t, m.first[b], size, false);
		loaded += size;
		if (!flipped && loaded >= LOAD_REQUESTS / 2) {
			shuffle(&m);
			flipped = true;
		}
		if (mixed && (uint64_t)loaded * BURSTS / LOAD_REQUESTS > bursts) {
			for (uint32_t p = 0; p < BURST_PASSES; p++)
				put(t, m.first[MODELS], OVERSIZED, false);
			bursts++;
		}
		if (mixed && (uint64_t)loaded * DIGESTS / LOAD_REQUESTS > digests) {
			put(t, 0, ids, true);
			digests++;
		}
	}
	return 0;
}

/* ---- routing ---- */

static bool route_header(const char *line, uint32_t *layers, uint32_t *experts)
{
	const char *l = strstr(line, "n_layer="), *e = strstr(line, "n_expert=");

	return l != NULL && e != NULL && sscanf(l, "n_layer=%u", layers) == 1 && sscanf(e, "n_expert=%u", experts) == 1 &&
	       *layers > 0 && *layers <= 1024 && *experts > 0 && *experts <= 4096;
}

static int route_line(struct trace *t, const char *line, uint32_t layers, uint32_t experts, uint8_t *seen, unsigned *turn)
{
	unsigned v[6];

	if (sscanf(line, "%u,%u,%u,%u,%u,%u", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 6)
		return strncmp(line, "turn,", 5) == 0 ? 0 : -EINVAL;
	if (v[3] >= layers || v[5] >= experts)
		return -EINVAL;
	if (v[0] != *turn)
		memset(seen, 0, (size_t)layers * experts);
	*turn = v[0];
	if (v[1] == 0 && seen[v[3] * experts + v[5]]++ != 0) {
		seen[v[3] * experts + v[5]] = 1;
		return 0;
	}
	put(t, v[3] * experts + v[5], 1, false);
	return 0;
}

int trace_route(struct trace *t, const char *path)
{
	uint32_t layers = 0, experts = 0;
	unsigned turn = 0;
	uint8_t *seen = NULL;
	char line[256];
	int rc = 0;
	FILE *f;

	*t = (struct trace){ 0 };
	f = fopen(path, "r");
	if (f == NULL)
		return -errno;
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		if (seen == NULL && route_header(line, &layers, &experts)) {
			seen = calloc(layers, experts);
			rc = seen != NULL ? trace_begin(t, layers * experts, 1, 1u << 20) : -ENOMEM;
		} else if (line[0] != '#') {
			rc = seen != NULL ? route_line(t, line, layers, experts, seen, &turn) : -EINVAL;
		}
	}
	if (rc == 0 && t->n == 0)
		rc = -EINVAL;
	free(seen);
	fclose(f);
	return rc;
}
