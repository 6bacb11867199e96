/* test_golden.c - F32 logits of every position against those that llama.cpp computed (tests/golden).
 *
 * NAME.ids holds the token ids, NAME.f32 the logits [position][vocabulary] as llama-results wrote them
 * with f32 KV, flash attention off and no repacking; make-golden.sh beside them makes them anew with
 *	test_golden --write DIR                 the tiny models as DIR/NAME.gguf
 *	test_golden --extract FILE.gguf NAME    tensors `tokens` and `logits` of a results file
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "engine/weights.h"
#include "kernels/kern.h"
#include "tests/unit/tiny_model.h"

#define DIR "tests/golden/"
#define MAX_IDS 512

struct golden {
	uint32_t ids[MAX_IDS];
	size_t n;
	float *logits;                  /* [n][n_vocab] */
	uint32_t n_vocab;
	double worst;                   /* NMSE so far */
};

static void load_golden(struct golden *g, const char *name, uint32_t n_vocab)
{
	char path[128];
	FILE *f;

	memset(g, 0, sizeof(*g));
	g->n_vocab = n_vocab;
	snprintf(path, sizeof(path), DIR "%s.ids", name);
	f = fopen(path, "r");
	assert_non_null(f);
	while (g->n < MAX_IDS && fscanf(f, "%u", &g->ids[g->n]) == 1)
		g->n++;
	fclose(f);
	assert_true(g->n >= 64);
	g->logits = calloc(g->n * n_vocab, sizeof(float));
	assert_non_null(g->logits);
	snprintf(path, sizeof(path), DIR "%s.f32", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(g->logits, sizeof(float), g->n * n_vocab, f), g->n * n_vocab);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

/* session_logits_fn: the normalised mean square error of this position. */
static int compare(void *arg, uint32_t pos, const float *logits)
{
	struct golden *g = arg;
	const float *want = g->logits + (size_t)pos * g->n_vocab;
	double err = 0.0, size = 0.0;
	uint32_t i;

	for (i = 0; i < g->n_vocab; i++) {
		double d = (double)logits[i] - (double)want[i];

		err += d * d;
		size += (double)want[i] * (double)want[i];
	}
	if (!(err / size <= g->worst))
		g->worst = err / size;
	return 0;
}

static void check_isa(const char *isa, const struct model *m, struct golden *g, const char *name)
{
	struct session_params p = {
		.n_ctx = 512, .n_batch = 512, .n_threads = 2, .type_k = KERN_F32, .type_v = KERN_F32, .isa = isa,
	};
	struct session *s;
	char err[256];

	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	g->worst = 0.0;
	assert_int_equal(session_eval(s, g->ids, g->n, compare, g), 0);
	print_message("%s, %s: %zu positions, worst NMSE %.2g\n", name, isa, g->n, g->worst);
	assert_true(g->worst <= 1e-8);
	session_close(s);
}

static void check_model(const char *path, const char *name)
{
	const struct kern_isa *isa;
	struct golden g;
	struct model *m;
	char err[256];
	unsigned i;
	int rc = model_open(&m, path, err, sizeof(err));

	if (rc != 0)
		print_error("%s\n", err);
	assert_int_equal(rc, 0);
	load_golden(&g, name, model_n_vocab(m));
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		if (isa->usable())
			check_isa(isa->name, m, &g, name);
	free(g.logits);
	model_close(m);
}

static void check_tiny(const struct tiny_model *t, const char *name)
{
	char path[TINY_MODEL_PATH];

	assert_int_equal(tiny_model_file(t, path), 0);
	check_model(path, name);
	unlink(path);
}

static void test_plain(void **state)
{
	(void)state;
	check_tiny(&tiny_model_plain, "tiny-plain");
}

static void test_full(void **state)
{
	(void)state;
	check_tiny(&tiny_model_full, "tiny-full");
}

static void test_stories(void **state)
{
	static const char path[] = "../shared/models/stories260K-f32.gguf";

	(void)state;
	if (access(path, R_OK) != 0) {
		print_message("%s is missing\n", path);
		skip();
	}
	check_model(path, "stories260K-f32");
}

/* ---- making the goldens ---------------------------------------------------------------------------- */

static int write_models(const char *dir)
{
	static const struct { const struct tiny_model *t; const char *name; } all[] = {
		{ &tiny_model_plain, "tiny-plain" }, { &tiny_model_full, "tiny-full" },
	};
	char path[512];
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		unsigned char *bytes;
		size_t len;
		FILE *f;

		if (tiny_model_build(all[i].t, &bytes, &len) != 0)
			return 1;
		snprintf(path, sizeof(path), "%s/%s.gguf", dir, all[i].name);
		f = fopen(path, "wb");
		if (f == NULL || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
			return 1;
		free(bytes);
	}
	return 0;
}

static int extract(const char *results, const char *name)
{
	struct weights_tensor tokens, logits;
	struct weights *w;
	char text[512];
	uint64_t i;
	FILE *f;

	if (weights_open(&w, results, text, sizeof(text)) != 0) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	if (weights_find(w, "tokens", &tokens) != 0 || weights_find(w, "logits", &logits) != 0)
		return 1;
	snprintf(text, sizeof(text), DIR "%s.ids", name);
	f = fopen(text, "w");
	for (i = 0; f != NULL && i < tokens.nbytes / 4; i++)
		fprintf(f, "%d%s", ((const int32_t *)tokens.data)[i], i % 16 == 15 ? "\n" : " ");
	if (f == NULL || fputc('\n', f) == EOF || fclose(f) != 0)
		return 1;
	snprintf(text, sizeof(text), DIR "%s.f32", name);
	f = fopen(text, "wb");
	if (f == NULL || fwrite(logits.data, 1, logits.nbytes, f) != logits.nbytes || fclose(f) != 0)
		return 1;
	weights_close(w);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_stories),
	};

	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_models(argv[2]);
	if (argc == 4 && strcmp(argv[1], "--extract") == 0)
		return extract(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
