/* test_spec.c - a text made with speculation is the one made without, and so are the session and the sampler behind it: every
 * architecture, weights that stay and weights that are streamed, drafts that are right, wrong and in between, ends of the
 * text anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/run_spec.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/stream.h"
#include "engine/tokenizer.h"
#include "kernels/kern.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

#define N_PROMPT 9
#define N_CTX 64
#define CASES_MAX 128
#define NOBODY UINT32_MAX

struct place {
	char path[TINY_MODEL_PATH];
	struct model *m;
	struct tokenizer *tok;          /* NULL: the model has none, and no other can draft for it */
};

static void open_place(struct place *pl, const struct tiny_arch *c)
{
	unsigned char *bytes;
	char err[256] = "";
	size_t len;

	assert_int_equal(tiny_arch_build(c, &bytes, &len), 0);
	assert_int_equal(tiny_model_write(bytes, len, pl->path), 0);
	free(bytes);
	assert_int_equal(model_open(&pl->m, pl->path, err, sizeof(err)), 0);
	if (tokenizer_new(&pl->tok, model_meta(pl->m), err, sizeof(err)) != 0)
		pl->tok = NULL;
}

static void close_place(struct place *pl)
{
	tokenizer_free(pl->tok);
	model_close(pl->m);
	unlink(pl->path);
}

/* ---- a text ---------------------------------------------------------------------------------------- */

/* How a text is made. */
struct rule {
	float temp;
	uint64_t seed;
	float repeat_penalty;
	bool least;                     /* always the least probable token */
	int64_t limit;                  /* tokens, negative: until the context is full */
	uint32_t last;                  /* ends the text, NOBODY: no token does */
};

struct text {
	const struct rule *rule;
	struct session *s;
	struct sampler *sampler;
	uint32_t n_vocab;
	uint32_t ids[N_CTX + 1];
	uint32_t n;
	float *logits;                  /* [n_vocab] at the end */
	uint32_t n_past, next;          /* then, and one more draw */
	uint64_t passes;
};

/* run_spec_take_fn, of a struct text */
static int take(void *arg, uint32_t n_past, const float *logits, uint32_t *id)
{
	struct text *t = arg;
	uint32_t i;

	if (t->rule->least)
		for (i = 0, *id = 0; i < t->n_vocab; i++)
			*id = logits[i] < logits[*id] ? i : *id;
	else
		assert_int_equal(sampler_next(t->sampler, logits, id), 0);
	if (*id == t->rule->last)
		return 1;
	sampler_accept(t->sampler, *id);
	assert_true(t->n <= N_CTX);
	t->ids[t->n++] = *id;
	return t->n == t->rule->limit || n_past == session_n_ctx(t->s);
}

static void begin_text(struct text *t, const struct rule *rule, const struct place *pl, const struct session_params *p)
{
	struct sampler_params sp = sampler_defaults();
	char err[256] = "";
	int rc;

	memset(t, 0, sizeof(*t));
	t->rule = rule;
	t->n_vocab = model_n_vocab(pl->m);
	sp.temp = rule->temp;
	sp.seed = rule->seed;
	sp.repeat_penalty = rule->repeat_penalty;
	assert_int_equal(sampler_new(&t->sampler, &sp, t->n_vocab), 0);
	rc = session_open(&t->s, pl->m, p, err, sizeof(err));
	if (rc != 0)
		print_error("%s\n", err);
	assert_int_equal(rc, 0);
}

/* What is left behind a text. */
static void end_text(struct text *t)
{
	t->n_past = session_n_past(t->s);
	t->logits = malloc(t->n_vocab * sizeof(float));
	assert_non_null(t->logits);
	assert_non_null(session_logits(t->s));
	memcpy(t->logits, session_logits(t->s), t->n_vocab * sizeof(float));
	assert_int_equal(sampler_next(t->sampler, t->logits, &t->next), 0);
	session_close(t->s);
	sampler_free(t->sampler);
}

static void plain(struct text *t, const struct rule *rule, const struct place *pl, const uint32_t *prompt)
{
	struct session_params p = { .n_ctx = N_CTX, .n_batch = 32, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	uint32_t id;
	int rc;

	begin_text(t, rule, pl, &p);
	assert_int_equal(session_sync(t->s, prompt, N_PROMPT), 0);
	rc = take(t, N_PROMPT, session_logits(t->s), &id);
	while (rc == 0) {
		assert_int_equal(session_eval(t->s, &id, 1, NULL, NULL), 0);
		rc = take(t, session_n_past(t->s), session_logits(t->s), &id);
	}
	end_text(t);
}

static struct run_spec_stats speculate(struct text *t, const struct rule *rule, const struct place *pl, const uint32_t *prompt,
				       const struct session_params *p, const struct run_spec_params *sp, struct run_draft *draft)
{
	struct run_spec_stats stats;
	struct run_spec *spec;
	uint32_t id;
	int rc;

	begin_text(t, rule, pl, p);
	assert_int_equal(run_spec_new(&spec, sp, t->s, draft, rule->last == NOBODY ? pl->tok : NULL), 0);
	assert_int_equal(session_sync(t->s, prompt, N_PROMPT), 0);
	rc = take(t, N_PROMPT, session_logits(t->s), &id);
	run_spec_begin(spec);
	while (rc == 0)
		rc = run_spec_pass(spec, &id, rule->limit >= 0 ? rule->limit - t->n : -1, take, t);
	assert_int_equal(rc, 1);
	assert_int_equal(run_spec_end(spec), 0);
	stats = run_spec_stats(spec);
	run_spec_free(spec);
	end_text(t);
	return stats;
}

static void assert_same(const struct text *got, const struct text *want)
{
	assert_int_equal(got->n, want->n);
	assert_memory_equal(got->ids, want->ids, want->n * sizeof(want->ids[0]));
	assert_int_equal(got->n_past, want->n_past);
	assert_memory_equal(got->logits, want->logits, want->n_vocab * sizeof(float));
	assert_int_equal(got->next, want->next);
}

static void make_prompt(uint32_t *prompt, uint64_t seed)
{
	uint32_t i;

	for (i = 0; i < N_PROMPT; i++)
		prompt[i] = (i * 7 + (uint32_t)seed) % 5 + 40;  /* tokens come again soon */
}

/* ---- every architecture ---------------------------------------------------------------------------- */

enum drafter { NGRAMS, ITSELF, ANOTHER, BOTH };

struct way {
	enum drafter who;
	uint32_t most, least, ngram_n, batch;
	double p_min;
	bool streamed;
	enum run_ngram_type type;
};

static const struct way ways[] = {
	{ NGRAMS, 16, 0, 1, 64, 0.0, false, RUN_NGRAM_SIMPLE }, { NGRAMS, 3, 2, 2, 5, 0.0, true, RUN_NGRAM_MAP_K },
	{ ITSELF, 4, 0, 1, 64, 0.0, false, 0 }, { ITSELF, 16, 0, 1, 7, 0.05, true, 0 }, { ANOTHER, 5, 0, 1, 64, 0.0, false, 0 },
	{ BOTH, 20, 0, 1, 64, 0.0, true, RUN_NGRAM_MOD }, { ANOTHER, 1, 1, 1, 1, 0.0, false, 0 },
	{ NGRAMS, 16, 0, 1, 64, 0.0, false, RUN_NGRAM_MOD },
};

/* All but a ring of three slots is read each time. */
static void stream(const struct place *pl, struct session_params *p)
{
	struct session_sizes z;
	char err[256];

	p->slots = 3;
	p->piece = 32768;
	p->apart = true;
	assert_int_equal(session_sizes(pl->m, p, &z, err, sizeof(err)), 0);
	p->budget = z.least;
}

static void check_way(const struct way *w, const struct rule *rule, const struct place *pl, const struct place *other,
		      const uint32_t *prompt, const struct text *want)
{
	struct session_params p = { .n_ctx = N_CTX, .n_batch = w->batch, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct run_spec_params sp = { .ngram = { w->who == NGRAMS || w->who == BOTH ? w->type : RUN_NGRAM_NONE, w->ngram_n, 48, 1 },
				      .model = w->who != NGRAMS, .most = w->most, .least = w->least, .p_min = w->p_min };
	struct run_draft *draft = NULL;
	struct run_spec_stats stats;
	struct text got;
	char err[256];

	run_spec_need(&sp, &p);
	if (sp.model)
		assert_int_equal(run_draft_open(&draft, w->who == ANOTHER ? other->path : pl->path, pl->tok, TINY_ARCH_VOCAB, &p, err,
						sizeof(err)), 0);
	if (w->streamed)
		stream(pl, &p);
	stats = speculate(&got, rule, pl, prompt, &p, &sp, draft);
	if (got.n != want->n || memcmp(got.ids, want->ids, want->n * sizeof(want->ids[0])) != 0)
		print_error("way %td: %u tokens, not %u\n", w - ways, got.n, want->n);
	assert_same(&got, want);
	assert_int_equal(stats.taken, want->n - 1 + (rule->last != NOBODY));
	assert_true(stats.passes <= stats.taken);
	if (w->batch == 1)
		assert_int_equal(stats.drafted, 0);
	free(got.logits);
	run_draft_close(draft);
}

static void check_rule(const struct rule *rule, const struct place *pl, const struct place *other, const uint32_t *prompt)
{
	struct text want;
	size_t i;

	plain(&want, rule, pl, prompt);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if ((ways[i].who == NGRAMS || pl->tok != NULL) && (!ways[i].streamed || rule->last != NOBODY))
			check_way(&ways[i], rule, pl, other, prompt, &want);
	free(want.logits);
}

/* The token at which such a text ends when it has come to so many: its first place is not before half of that. */
static uint32_t late_token(const struct place *pl, const struct rule *rule, const uint32_t *prompt)
{
	struct text t;
	uint32_t i, k, found = NOBODY;

	plain(&t, rule, pl, prompt);
	for (i = 10; i < t.n && found == NOBODY; i++) {
		for (k = 0; t.ids[k] != t.ids[i]; k++)
			;
		found = k == i ? t.ids[i] : NOBODY;
	}
	free(t.logits);
	return found;
}

static void test_case(void **state)
{
	const struct tiny_arch *c = *state;
	struct rule greedy = { .temp = 0.0f, .repeat_penalty = 1.0f, .limit = 30, .last = NOBODY };
	struct rule drawn = { .temp = 0.7f, .seed = c->seed, .repeat_penalty = 1.1f, .limit = -1, .last = NOBODY };
	uint32_t prompt[N_PROMPT];
	struct place pl, other;

	open_place(&pl, c);
	open_place(&other, tiny_arch_named(c->seed % 2 == 0 ? "qwen35" : "llama"));
	make_prompt(prompt, c->seed);
	check_rule(&greedy, &pl, &other, prompt);
	check_rule(&drawn, &pl, &other, prompt);
	drawn.last = late_token(&pl, &drawn, prompt);
	check_rule(&drawn, &pl, &other, prompt);
	close_place(&pl);
	close_place(&other);
}

/* ---- drafts ---------------------------------------------------------------------------------------- */

/* Itself for a draft: of the most probable tokens all are right, of the least probable none. */
static void check_itself(const char *name, bool least)
{
	struct rule rule = { .repeat_penalty = 1.0f, .limit = 41, .last = NOBODY, .least = least };
	struct session_params p = { .n_ctx = N_CTX, .n_batch = 64, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct run_spec_params sp = { .model = true, .most = 4 };
	uint32_t prompt[N_PROMPT];
	struct run_spec_stats s;
	struct run_draft *draft;
	struct text want, got;
	struct place pl;
	char err[256];

	open_place(&pl, tiny_arch_named(name));
	make_prompt(prompt, 3);
	run_spec_need(&sp, &p);
	plain(&want, &rule, &pl, prompt);
	assert_int_equal(run_draft_open(&draft, pl.path, pl.tok, TINY_ARCH_VOCAB, &p, err, sizeof(err)), 0);
	s = speculate(&got, &rule, &pl, prompt, &p, &sp, draft);
	assert_same(&got, &want);
	assert_true(s.drafted > 0);
	assert_int_equal(s.taken, 40);
	assert_int_equal(s.accepted, least ? 0 : s.drafted);
	assert_int_equal(s.passes, least ? 40 : 8);             /* five tokens each */
	assert_true(s.again <= 40 * sp.most / 2);
	free(want.logits);
	free(got.logits);
	run_draft_close(draft);
	close_place(&pl);
}

static void test_always_right(void **state)
{
	(void)state;
	check_itself("llama", false);
	check_itself("qwen35", false);
	check_itself("lfm2", false);
}

static void test_always_wrong(void **state)
{
	(void)state;
	check_itself("llama", true);
	check_itself("qwen35", true);
	check_itself("lfm2", true);
}

/* run_spec_take_fn: the next number, as long as there is one; arg counts */
static int count_up(void *arg, uint32_t n_past, const float *logits, uint32_t *id)
{
	uint32_t *n = arg;

	(void)n_past;
	(void)logits;
	*id = 10 + (*n)++ % 6;
	return *n == 40;
}

/* A text that repeats itself every six tokens: a draft of any length comes out of one repetition. */
static void test_repetition(void **state)
{
	struct session_params p = { .n_ctx = N_CTX, .n_batch = 64, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct run_spec_params sp = { .ngram = { RUN_NGRAM_SIMPLE, 3, 20, 1 }, .most = 30 };
	static const uint32_t prompt[] = { 1, 14, 15, 10, 11, 12, 13, 14, 15 };
	struct run_spec_stats s;
	uint32_t n = 0, id;
	struct run_spec *spec;
	struct session *main_session;
	struct place pl;
	char err[256];
	int rc;

	(void)state;
	open_place(&pl, tiny_arch_named("llama"));
	run_spec_need(&sp, &p);
	assert_int_equal(session_open(&main_session, pl.m, &p, err, sizeof(err)), 0);
	assert_int_equal(run_spec_new(&spec, &sp, main_session, NULL, pl.tok), 0);
	assert_int_equal(session_sync(main_session, prompt, 9), 0);
	run_spec_begin(spec);
	rc = count_up(&n, 9, session_logits(main_session), &id);
	while (rc == 0)
		rc = run_spec_pass(spec, &id, -1, count_up, &n);
	assert_int_equal(rc, 1);
	s = run_spec_stats(spec);
	assert_int_equal(s.passes, 2);
	assert_int_equal(s.drafted, 40);
	assert_int_equal(s.taken, 39);
	run_spec_free(spec);
	session_close(main_session);
	close_place(&pl);
}

/* A draft model with less context than the text, and one that does not know a token of it, draft as far as they can. */
static void test_short_draft(void **state)
{
	struct rule rule = { .repeat_penalty = 1.0f, .limit = 41, .last = NOBODY };
	struct session_params p = { .n_ctx = 20, .n_batch = 64, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct run_spec_params sp = { .model = true, .most = 4 };
	uint32_t prompt[N_PROMPT];
	struct run_spec_stats s;
	struct run_draft *draft;
	struct text want, got;
	struct place pl;
	uint32_t odd[2] = { 5, TINY_ARCH_VOCAB }, out[4], made = 0;
	char err[256];

	(void)state;
	open_place(&pl, tiny_arch_named("llama"));
	make_prompt(prompt, 3);
	run_spec_need(&sp, &p);
	plain(&want, &rule, &pl, prompt);
	assert_int_equal(run_draft_open(&draft, pl.path, pl.tok, TINY_ARCH_VOCAB, &p, err, sizeof(err)), 0);
	p.n_ctx = N_CTX;
	s = speculate(&got, &rule, &pl, prompt, &p, &sp, draft);
	assert_same(&got, &want);
	assert_true(s.accepted >= 8 && s.passes > 20);
	assert_int_equal(run_draft_make(draft, odd, 2, 0.0, out, 4, &made), 0);
	assert_int_equal(made, 0);
	assert_int_equal(run_draft_make(draft, odd, 1, 0.0, out, 4, &made), 0);
	assert_int_equal(made, 4);
	assert_int_equal(run_draft_make(draft, odd, 1, 1.0, out, 4, &made), 0);
	assert_int_equal(made, 0);
	free(want.logits);
	free(got.logits);
	run_draft_close(draft);
	close_place(&pl);
}

/* The last of those bytes. */
static unsigned char *find_last(unsigned char *bytes, size_t len, const void *what, size_t n)
{
	size_t i;

	for (i = len - n; i > 0; i--)
		if (memcmp(bytes + i, what, n) == 0)
			return bytes + i;
	fail();
	return NULL;
}

static void test_draft_refused(void **state)
{
	static const char wo[] = "\2\0\0\0\0\0\0\0wo";          /* the last token, as the file has it */
	struct session_params p = { .n_ctx = N_CTX, .n_batch = 64, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16 };
	struct run_draft *draft;
	char path[TINY_MODEL_PATH], err[512];
	unsigned char *bytes;
	struct place pl;
	size_t len;

	(void)state;
	open_place(&pl, tiny_arch_named("llama"));
	assert_int_equal(run_draft_open(&draft, "/nosuch.gguf", pl.tok, 128, &p, err, sizeof(err)), -ENOENT);
	assert_int_equal(tiny_model_file(&tiny_model_plain, path), 0);
	assert_int_equal(run_draft_open(&draft, path, pl.tok, 128, &p, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "it has 320 tokens, the model 128"));
	unlink(path);
	assert_int_equal(tiny_arch_build(tiny_arch_named("llama"), &bytes, &len), 0);
	find_last(bytes, len, wo, sizeof(wo) - 1)[8] = 'W';
	assert_int_equal(tiny_model_write(bytes, len, path), 0);
	free(bytes);
	assert_int_equal(run_draft_open(&draft, path, pl.tok, 128, &p, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "token 127 is not the model's"));
	unlink(path);
	p.budget = 1 << 20;
	assert_int_equal(run_draft_open(&draft, pl.path, pl.tok, 128, &p, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "a budget of 1.0 MiB is too small"));
	run_draft_close(NULL);
	run_spec_free(NULL);
	close_place(&pl);
}

/* ---- sessions that go back ------------------------------------------------------------------------- */

/* session_logits_fn: 1 at the position that arg says */
static int enough_at(void *arg, uint32_t pos, const float *logits)
{
	(void)logits;
	return pos == *(const uint32_t *)arg;
}

static void same_as_fresh(const struct place *pl, struct session *s, const struct session_params *p, const uint32_t *ids, size_t n)
{
	struct session *fresh;
	char err[256];

	assert_int_equal(session_sync(s, ids, n), 0);
	assert_int_equal(session_open(&fresh, pl->m, p, err, sizeof(err)), 0);
	assert_int_equal(session_eval(fresh, ids, n, NULL, NULL), 0);
	assert_memory_equal(session_logits(s), session_logits(fresh), model_n_vocab(pl->m) * sizeof(float));
	session_close(fresh);
}

static void check_try(const char *name)
{
	struct session_params p = { .n_ctx = 16, .n_batch = 8, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F16, .marks = true };
	uint32_t ids[17], i, at;
	struct session *s;
	struct place pl;
	char err[256];
	bool state;

	open_place(&pl, tiny_arch_named(name));
	for (i = 0; i < 17; i++)
		ids[i] = 20 + i;
	assert_int_equal(session_open(&s, pl.m, &p, err, sizeof(err)), 0);
	state = session_has_state(s);
	assert_int_equal(session_back(s), -EINVAL);
	assert_int_equal(session_eval(s, ids, 4, NULL, NULL), 0);
	at = 6;
	assert_int_equal(session_try(s, ids + 4, 9, 0, enough_at, &at), -EINVAL);       /* more than a batch */
	assert_int_equal(session_try(s, ids + 4, 2, 2, enough_at, &at), -EINVAL);
	assert_int_equal(session_try(s, ids + 4, 0, 0, enough_at, &at), -EINVAL);
	assert_int_equal(session_try(s, ids + 4, 8, 1, enough_at, &at), 0);             /* three of eight are right */
	assert_int_equal(session_n_past(s), state ? 4 : 7);
	assert_int_equal(session_back(s), 0);
	assert_int_equal(session_n_past(s), 4);
	assert_null(session_logits(s));
	assert_int_equal(session_try(s, ids + 4, 8, 1, enough_at, &at), 0);
	same_as_fresh(&pl, s, &p, ids, 7);
	assert_int_equal(session_sync(s, ids, 4), 0);
	at = 11;
	assert_int_equal(session_try(s, ids + 4, 8, 1, enough_at, &at), 0);             /* all are */
	assert_non_null(session_logits(s));
	assert_int_equal(session_n_past(s), 12);
	same_as_fresh(&pl, s, &p, ids, 12);
	assert_int_equal(session_try(s, ids + 12, 5, 1, enough_at, &at), -ENOSPC);
	assert_int_equal(session_sync(s, ids + 1, 3), 0);       /* another text: the mark is gone */
	assert_int_equal(session_back(s), -EINVAL);
	session_mark(s);
	session_reset(s);
	assert_int_equal(session_back(s), -EINVAL);
	session_close(s);
	p.marks = false;
	assert_int_equal(session_open(&s, pl.m, &p, err, sizeof(err)), 0);
	at = 2;
	assert_int_equal(session_try(s, ids, 4, 0, enough_at, &at), state ? -EINVAL : 0);
	session_mark(s);
	assert_int_equal(session_back(s), state ? -EINVAL : 0);
	session_close(s);
	close_place(&pl);
}

static void test_try(void **state)
{
	(void)state;
	check_try("llama");
	check_try("qwen35");
	check_try("lfm2");
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(test_always_right), cmocka_unit_test(test_always_wrong), cmocka_unit_test(test_repetition),
		cmocka_unit_test(test_short_draft), cmocka_unit_test(test_draft_refused), cmocka_unit_test(test_try),
	};
	struct CMUnitTest tests[CASES_MAX] = { { 0 } };
	const struct tiny_arch *c;
	size_t n = sizeof(others) / sizeof(others[0]);
	unsigned i;

	memcpy(tests, others, sizeof(others));
	for (i = 0; n < CASES_MAX && (c = tiny_arch_at(i * TINY_ARCH_EVERY)) != NULL; i++, n++)
		tests[n] = (struct CMUnitTest){ .name = c->name, .test_func = test_case,
						.initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("spec", tests, n, NULL, NULL);
}
