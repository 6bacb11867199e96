/* sampler.c - see sampler.h. */
#include "engine/sampler.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct candidate {
	float logit;
	uint32_t id;
};

struct sampler {
	struct sampler_params p;
	uint32_t n_vocab;
	sampler_ban_fn ban;
	void *ban_arg;
	uint64_t rng[4];
	float *bias;                    /* [n_vocab], NULL: none */
	uint32_t *count;                /* [n_vocab] among the last, NULL: no penalties */
	uint32_t *last;                 /* [repeat_last_n] a ring, UINT32_MAX: none yet */
	uint32_t at;                    /* the oldest of the ring */
	struct candidate *cand;         /* [n_vocab] */
	double *weight;                 /* [n_vocab] */
};

/* ---- random numbers ------------------------------------------------------------------------------ */

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static uint64_t next_u64(uint64_t s[4])
{
	uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

/* ---- open ---------------------------------------------------------------------------------------- */

struct sampler_params sampler_defaults(void)
{
	return (struct sampler_params){
		.temp = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_last_n = 64, .repeat_penalty = 1.0f,
	};
}

static bool penalises(const struct sampler_params *p)
{
	return p->repeat_last_n > 0 &&
	       (p->repeat_penalty != 1.0f || p->frequency_penalty != 0.0f || p->presence_penalty != 0.0f);
}

static bool params_ok(const struct sampler_params *p, uint32_t n_vocab)
{
	size_t i;

	for (i = 0; i < p->n_bias; i++)
		if (p->bias[i].id >= n_vocab || isnan(p->bias[i].bias) || p->bias[i].bias == HUGE_VALF)
			return false;
	return n_vocab != 0 && isfinite(p->temp) && !isnan(p->top_p) && !isnan(p->min_p) && p->repeat_penalty > 0.0f &&
	       isfinite(p->repeat_penalty) && isfinite(p->frequency_penalty) && isfinite(p->presence_penalty);
}

/* What biases and penalties need. */
static int open_memory(struct sampler *s)
{
	size_t i;

	if (s->p.n_bias > 0) {
		s->bias = calloc(s->n_vocab, sizeof(*s->bias));
		if (s->bias == NULL)
			return -ENOMEM;
	}
	for (i = 0; i < s->p.n_bias; i++)
		s->bias[s->p.bias[i].id] += s->p.bias[i].bias;
	s->p.bias = NULL;
	if (!penalises(&s->p))
		return 0;
	s->count = calloc(s->n_vocab, sizeof(*s->count));
	s->last = malloc(s->p.repeat_last_n * sizeof(*s->last));
	if (s->count == NULL || s->last == NULL)
		return -ENOMEM;
	for (i = 0; i < s->p.repeat_last_n; i++)
		s->last[i] = UINT32_MAX;
	return 0;
}

int sampler_new(struct sampler **out, const struct sampler_params *p, uint32_t n_vocab)
{
	struct sampler *s;
	uint64_t state = p->seed;
	int i;

	if (!params_ok(p, n_vocab))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->p = *p;
	s->n_vocab = n_vocab;
	for (i = 0; i < 4; i++)
		s->rng[i] = splitmix(&state);
	s->cand = calloc(n_vocab, sizeof(*s->cand));
	s->weight = calloc(n_vocab, sizeof(*s->weight));
	if (s->cand == NULL || s->weight == NULL || open_memory(s) != 0) {
		sampler_free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void sampler_free(struct sampler *s)
{
	if (s == NULL)
		return;
	free(s->bias);
	free(s->count);
	free(s->last);
	free(s->cand);
	free(s->weight);
	free(s);
}

void sampler_accept(struct sampler *s, uint32_t id)
{
	uint32_t old;

	if (s->count == NULL || id >= s->n_vocab)
		return;
	old = s->last[s->at];
	if (old != UINT32_MAX)
		s->count[old]--;
	s->last[s->at] = id;
	s->count[id]++;
	s->at = s->at + 1 < s->p.repeat_last_n ? s->at + 1 : 0;
}

void sampler_set_ban(struct sampler *s, sampler_ban_fn fn, void *arg)
{
	s->ban = fn;
	s->ban_arg = arg;
}

/* ---- choosing ------------------------------------------------------------------------------------ */

/* Falling logits, rising ids among equal ones. */
static bool before(const struct candidate *a, const struct candidate *b)
{
	return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static int compare(const void *a, const void *b)
{
	return before(a, b) ? -1 : 1;
}

/* A logit as biases and penalties leave it. */
static float adjusted(const struct sampler *s, float logit, uint32_t id)
{
	if (s->bias != NULL)
		logit += s->bias[id];
	if (s->count == NULL || s->count[id] == 0)
		return logit;
	logit = logit > 0.0f ? logit / s->p.repeat_penalty : logit * s->p.repeat_penalty;
	return logit - (float)s->count[id] * s->p.frequency_penalty - s->p.presence_penalty;
}

/* All tokens that may be drawn; -EDOM when there is none or a logit is not a number. */
static int collect(struct sampler *s, const float *logits, uint32_t *n)
{
	uint32_t i, k = 0;

	for (i = 0; i < s->n_vocab; i++) {
		float logit = adjusted(s, logits[i], i);

		if (isnan(logit) || logit == HUGE_VALF)
			return -EDOM;
		if (logit == -HUGE_VALF || (s->ban != NULL && s->ban(s->ban_arg, i)))
			continue;
		s->cand[k++] = (struct candidate){ logit, i };
	}
	*n = k;
	return k != 0 ? 0 : -EDOM;
}

static void sift_down(struct candidate *heap, uint32_t n, uint32_t i)
{
	struct candidate c = heap[i];
	uint32_t child;

	while ((child = 2 * i + 1) < n) {
		if (child + 1 < n && before(&heap[child], &heap[child + 1]))
			child++;
		if (!before(&c, &heap[child]))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = c;
}

/* The k first of n to the front, sorted: a heap of the k best so far, its worst on top. */
static void keep_top(struct candidate *c, uint32_t n, uint32_t k)
{
	uint32_t i;

	for (i = k / 2; i-- > 0;)
		sift_down(c, k, i);
	for (i = k; i < n; i++) {
		if (!before(&c[i], &c[0]))
			continue;
		c[0] = c[i];
		sift_down(c, k, 0);
	}
	qsort(c, k, sizeof(*c), compare);
}

/* weight[i] = e^((logit i - logit 0) / temp), which grow into probabilities when divided by their sum. */
static double weigh(struct sampler *s, uint32_t n, double temp)
{
	double sum = 0.0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		s->weight[i] = exp(((double)s->cand[i].logit - (double)s->cand[0].logit) / temp);
		sum += s->weight[i];
	}
	return sum;
}

static uint32_t cut_top_p(struct sampler *s, uint32_t n)
{
	double sum, reach = 0.0;
	uint32_t i;

	if (s->p.top_p >= 1.0f)
		return n;
	sum = weigh(s, n, 1.0);
	for (i = 0; i < n; i++) {
		reach += s->weight[i] / sum;
		if (reach >= (double)s->p.top_p)
			return i + 1;
	}
	return n;
}

static uint32_t cut_min_p(struct sampler *s, uint32_t n)
{
	uint32_t i;

	if (s->p.min_p <= 0.0f)
		return n;
	weigh(s, n, 1.0);
	for (i = 1; i < n; i++)
		if (s->weight[i] < (double)s->p.min_p)
			return i;
	return n;
}

static uint32_t draw(struct sampler *s, uint32_t n)
{
	double sum = weigh(s, n, (double)s->p.temp);
	double mark = (double)(next_u64(s->rng) >> 11) * 0x1p-53 * sum;
	uint32_t i;

	for (i = 0; i + 1 < n; i++) {
		mark -= s->weight[i];
		if (mark < 0.0)
			break;
	}
	return s->cand[i].id;
}

int sampler_next(struct sampler *s, const float *logits, uint32_t *id)
{
	uint32_t n, k;
	int rc;

	rc = collect(s, logits, &n);
	if (rc != 0)
		return rc;
	if (s->p.temp <= 0.0f) {
		keep_top(s->cand, n, 1);
		*id = s->cand[0].id;
		return 0;
	}
	k = s->p.top_k > 0 && (uint32_t)s->p.top_k < n ? (uint32_t)s->p.top_k : n;
	keep_top(s->cand, n, k);
	k = cut_top_p(s, k);
	k = cut_min_p(s, k);
	*id = draw(s, k);
	return 0;
}
