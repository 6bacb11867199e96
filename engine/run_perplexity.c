/* run_perplexity.c - how well a model foretells a file, as llama-perplexity computes it: the file's tokens in chunks as
 * long as the context, the first token of each replaced by BOS where the model begins with one, and of each the second
 * half is scored. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "engine/model.h"
#include "engine/run.h"
#include "engine/session.h"
#include "engine/tokenizer.h"

struct score { const uint32_t *ids; uint32_t n_vocab, first, last; double sum, squares; uint64_t n; };

/* -ln of the probability of id */
static double surprise(const float *logits, uint32_t n, uint32_t id)
{
	double top = (double)logits[0], sum = 0.0;
	uint32_t i;

	for (i = 1; i < n; i++)
		top = (double)logits[i] > top ? (double)logits[i] : top;
	for (i = 0; i < n; i++)
		sum += exp((double)logits[i] - top);
	return top + log(sum) - (double)logits[id];
}

/* session_logits_fn */
static int score_position(void *arg, uint32_t pos, const float *logits)
{
	struct score *s = arg;
	double v;

	if (pos < s->first || pos > s->last)
		return 0;
	v = surprise(logits, s->n_vocab, s->ids[pos + 1]);
	if (isnan(v))
		return -EDOM;
	s->sum += v;
	s->squares += v * v;
	s->n++;
	return 0;
}

int run_perplexity(struct run *r)
{
	uint32_t n_ctx = session_n_ctx(r->session), bos = tokenizer_special(r->tok).bos;
	struct score s = { .n_vocab = model_n_vocab(r->model), .first = n_ctx / 2, .last = n_ctx - 2 };
	size_t chunks = r->n_prompt / n_ctx, i;
	char line[RUN_LINE];
	double mean, spread;
	int rc;

	if (chunks == 0 || n_ctx < 4) {
		snprintf(line, sizeof(line), "%s: %zu tokens do not fill one context of %u (-c)", r->o.perplexity, r->n_prompt, n_ctx);
		run_error(line);
		return RUN_FAILED;
	}
	for (i = 0; i < chunks; i++) {
		uint32_t *ids = r->prompt + i * n_ctx;

		if (tokenizer_special(r->tok).add_bos && bos != TOKENIZER_NONE)
			ids[0] = bos;
		s.ids = ids;
		session_reset(r->session);
		rc = session_eval(r->session, ids, n_ctx, score_position, &s);
		if (rc != 0 || r->signal != 0)
			return run_report(r, rc, r->o.model);
		printf("[%zu]%.4f,", i + 1, exp(s.sum / (double)s.n));
		fflush(stdout);
	}
	mean = s.sum / (double)s.n;
	spread = s.n > 1 ? sqrt(fmax(0.0, s.squares / (double)s.n - mean * mean) / (double)(s.n - 1)) : 0.0;
	printf("\nperplexity %.4f +- %.5f over %llu tokens in %zu chunks of %u\n", exp(mean), spread * exp(mean),
	       (unsigned long long)s.n, chunks, n_ctx);
	rc = fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : errno != 0 ? -errno : -EIO;
	return run_report(r, rc, "standard output");
}
