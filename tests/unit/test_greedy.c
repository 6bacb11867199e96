/* test_greedy.c - trained models: token by token and by perplexity what llama.cpp computed.
 *
 * Models and references are in ../shared; its README.md says which setting to compare with and the
 * tolerances.  Teacher-forced: every position is given the reference's tokens before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/model.h"
#include "engine/session.h"
#include "engine/tokenizer.h"
#include "kernels/kern.h"

#define MODELS "../shared/models/"
#define GREEDY "../shared/golden/greedy/"
#define PERPLEXITY "../shared/golden/perplexity.json"
#define TEXTS "../shared/text/"
#define MAX_IDS 1024

/* What a model of some type may differ by: `margin` is the lead of the reference's first token over its
 * second from which on ours must be the same; `log_prob` is of that first token, the one that the
 * reference goes on with.  The next four are improbable ones; llama.cpp run twice, with and without
 * dequantising first, has them up to 1.6 times log_prob apart, so they get three times as much. */
struct limits { const char *setting; double margin, log_prob, perplexity; };

static struct limits limits_of(const char *name)
{
	if (strstr(name, "-f32") != NULL || strstr(name, "-F16") != NULL || strstr(name, "tiny-random") != NULL)
		return (struct limits){ "kv_f32_fa_off", 0.02, 0.01, 0.001 };
	if (strstr(name, "-BF16") != NULL)
		return (struct limits){ "kv_f32_fa_off", 0.05, 0.03, 0.001 };
	return (struct limits){ "dequantised_to_f32", 0.3, 0.2, 0.005 };
}

/* A type that is not in the matmul tables is refused when the model is opened; such models are skipped. */
static struct model *open_model(const char *name)
{
	char path[256], err[512];
	struct model *m;

	snprintf(path, sizeof(path), MODELS "%s.gguf", name);
	if (access(path, R_OK) != 0)
		return NULL;
	if (model_open(&m, path, err, sizeof(err)) != 0) {
		assert_non_null(strstr(err, "is not supported"));
		return NULL;
	}
	return m;
}

static struct session *open_session(const struct model *m, const char *isa)
{
	struct session_params p = {
		.n_ctx = 512, .n_batch = 512, .n_threads = 1, .type_k = KERN_F32, .type_v = KERN_F32, .isa = isa,
	};
	struct session *s;
	char err[256];

	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	return s;
}

static double log_sum(const float *logits, uint32_t n)
{
	double top = (double)logits[0], sum = 0.0;
	uint32_t i;

	for (i = 1; i < n; i++)
		top = (double)logits[i] > top ? (double)logits[i] : top;
	for (i = 0; i < n; i++)
		sum += exp((double)logits[i] - top);
	return top + log(sum);
}

/* ---- greedy references ------------------------------------------------------------------------------ */

struct greedy {
	const struct limits *lim;
	uint32_t n_vocab;
	size_t n_prompt;
	json_t *tokens, *top5;
	double worst;                   /* difference of log-probabilities, first tokens */
	double worst_next;              /* the four after them */
	int wrong;                      /* argmax differs in spite of the margin */
};

static double top_log_prob(const struct greedy *g, size_t i, size_t k, uint32_t *id)
{
	json_t *pair = json_array_get(json_array_get(g->top5, i), k);

	*id = (uint32_t)json_integer_value(json_array_get(pair, 0));
	return json_number_value(json_array_get(pair, 1));
}

/* session_logits_fn: the position before generated token i */
static int compare(void *arg, uint32_t pos, const float *logits)
{
	struct greedy *g = arg;
	size_t i = pos + 1 - g->n_prompt, k;
	uint32_t id, best = 0, first, second, v;
	double all, diff;

	if (pos + 1 < g->n_prompt || i >= json_array_size(g->top5))
		return 0;
	all = log_sum(logits, g->n_vocab);
	for (v = 1; v < g->n_vocab; v++)
		best = logits[v] > logits[best] ? v : best;
	if (top_log_prob(g, i, 0, &first) - top_log_prob(g, i, 1, &second) > g->lim->margin && best != first)
		g->wrong++;
	for (k = 0; k < json_array_size(json_array_get(g->top5, i)); k++) {
		double *worst = k == 0 ? &g->worst : &g->worst_next;

		diff = top_log_prob(g, i, k, &id);
		diff = fabs((double)logits[id] - all - diff);
		*worst = diff > *worst ? diff : *worst;
	}
	return 0;
}

static size_t append(uint32_t *ids, size_t n, json_t *list)
{
	size_t i;

	for (i = 0; i < json_array_size(list) && n < MAX_IDS; i++)
		ids[n++] = (uint32_t)json_integer_value(json_array_get(list, i));
	return n;
}

/* One prompt of one file. */
static void check_entry(const struct model *m, const char *isa, json_t *entry, const struct limits *lim, const char *name)
{
	struct greedy g = { lim, model_n_vocab(m), 0, json_object_get(entry, "tokens"),
			    json_object_get(entry, "top5_logprobs"), 0.0, 0.0, 0 };
	struct session *s = open_session(m, isa);
	uint32_t ids[MAX_IDS];
	size_t n;

	g.n_prompt = append(ids, 0, json_object_get(entry, "prompt_tokens"));
	n = append(ids, g.n_prompt, g.tokens);
	assert_true(json_array_size(g.top5) > 0);
	assert_int_equal(session_eval(s, ids, n - 1, compare, &g), 0);
	if (g.wrong != 0 || !(g.worst <= lim->log_prob) || !(g.worst_next <= 3 * lim->log_prob))
		print_error("%s, %s: %d tokens differ, log-probabilities off by %.3g, the next four by %.3g\n", name, isa,
			    g.wrong, g.worst, g.worst_next);
	assert_int_equal(g.wrong, 0);
	assert_true(g.worst <= lim->log_prob);
	assert_true(g.worst_next <= 3 * lim->log_prob);
	session_close(s);
}

static int check_greedy_file(const char *file)
{
	char path[512], name[256];
	const struct kern_isa *isa;
	struct limits lim;
	struct model *m;
	json_t *root, *list;
	size_t i;
	unsigned k;

	snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - 5), file);
	m = open_model(name);
	if (m == NULL)
		return 0;
	lim = limits_of(name);
	snprintf(path, sizeof(path), GREEDY "%s", file);
	root = json_load_file(path, 0, NULL);
	assert_non_null(root);
	list = json_object_get(root, lim.setting);
	assert_true(json_array_size(list) > 0);
	for (k = 0; (isa = kern_isa_at(k)) != NULL; k++)        /* the slow reference: one prompt */
		for (i = 0; isa->usable() && i < (k == 0 ? 1 : json_array_size(list)); i++)
			check_entry(m, isa->name, json_array_get(list, i), &lim, name);
	json_decref(root);
	model_close(m);
	return 1;
}

static void test_greedy(void **state)
{
	struct dirent *e;
	DIR *d = opendir(GREEDY);
	int checked = 0;

	(void)state;
	if (d == NULL) {
		print_message(GREEDY " is missing\n");
		skip();
	}
	while ((e = readdir(d)) != NULL)
		if (strlen(e->d_name) > 5 && strcmp(e->d_name + strlen(e->d_name) - 5, ".json") == 0)
			checked += check_greedy_file(e->d_name);
	closedir(d);
	print_message("%d models agree\n", checked);
	assert_true(checked >= 10);
}

/* ---- perplexity --------------------------------------------------------------------------------------- */

struct scored { const uint32_t *ids; uint32_t n_vocab, first, last; double nll; };

/* session_logits_fn: -log p of the next token for positions first .. last */
static int score(void *arg, uint32_t pos, const float *logits)
{
	struct scored *s = arg;

	if (pos >= s->first && pos <= s->last)
		s->nll += log_sum(logits, s->n_vocab) - (double)logits[s->ids[pos + 1]];
	return 0;
}

/* As llama-perplexity: chunks of ctx tokens, each begun with BOS, of which the second half is scored. */
static double perplexity(const struct model *m, const uint32_t *ids, size_t n, uint32_t ctx, uint32_t bos)
{
	struct session *s = open_session(m, NULL);
	struct scored sc = { NULL, model_n_vocab(m), ctx / 2, ctx - 2, 0.0 };
	uint32_t chunk[512];
	size_t c;

	for (c = 0; c < n / ctx; c++) {
		memcpy(chunk, ids + c * ctx, ctx * sizeof(*ids));
		chunk[0] = bos;
		sc.ids = chunk;
		session_close(s);
		s = open_session(m, NULL);
		assert_int_equal(session_eval(s, chunk, ctx, score, &sc), 0);
	}
	session_close(s);
	return exp(sc.nll / (double)(n / ctx * (ctx - 1 - ctx / 2)));
}

static size_t encode_file(const struct tokenizer *t, const char *name, uint32_t *ids, size_t cap)
{
	char path[128], text[8192];
	size_t len;
	int64_t n;
	FILE *f;

	snprintf(path, sizeof(path), TEXTS "%s", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	if (len != 0 && text[len - 1] == '\n')
		len--;
	n = tokenizer_encode(t, text, len, true, false, ids, cap);
	assert_true(n > 0 && (size_t)n <= cap);
	return (size_t)n;
}

static int check_perplexity(json_t *entry)
{
	const char *name = json_string_value(json_object_get(entry, "model"));
	uint32_t ctx = (uint32_t)json_integer_value(json_object_get(entry, "ctx"));
	struct limits lim = limits_of(name);
	struct tokenizer *t;
	struct model *m = open_model(name);
	uint32_t ids[4096];
	double want, got;
	char err[256];
	size_t n;
	json_t *setting;

	if (m == NULL)
		return 0;
	assert_int_equal(tokenizer_new(&t, model_meta(m), err, sizeof(err)), 0);
	n = encode_file(t, json_string_value(json_object_get(entry, "text")), ids, 4096);
	setting = json_object_get(entry, lim.perplexity < 0.002 ? "exact_kv_f32" : "dequantised_to_f32");
	want = json_number_value(json_object_get(setting, "ppl"));
	got = perplexity(m, ids, n, ctx, tokenizer_special(t).bos);
	if (!(fabs(got / want - 1.0) <= lim.perplexity))
		print_error("%s: perplexity %.4f, not %.4f\n", name, got, want);
	assert_true(fabs(got / want - 1.0) <= lim.perplexity);
	tokenizer_free(t);
	model_close(m);
	return 1;
}

static void test_perplexity(void **state)
{
	json_t *root = json_load_file(PERPLEXITY, 0, NULL);
	int checked = 0;
	size_t i;

	(void)state;
	if (root == NULL) {
		print_message(PERPLEXITY " is missing\n");
		skip();
	}
	for (i = 0; i < json_array_size(root); i++)
		checked += check_perplexity(json_array_get(root, i));
	json_decref(root);
	print_message("%d models agree\n", checked);
	assert_true(checked >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greedy),
		cmocka_unit_test(test_perplexity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
