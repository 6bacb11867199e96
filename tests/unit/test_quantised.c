/* test_quantised.c - what quantised activations and other roundings cost: logits of each instruction set against those of
 * the reference, which computes with dequantised weights and activations as they are: random weights, trained models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/session.h"
#include "kernels/kern.h"
#include "tests/unit/logit_rows.h"
#include "tests/unit/tiny_model.h"

#define MODELS "../shared/models/"
#define N_IDS 96

static void run(const struct model *m, const char *isa, struct logit_rows *out)
{
	struct session_params p = { .n_ctx = 128, .n_batch = 128, .n_threads = 1, .type_k = KERN_F32, .type_v = KERN_F32,
				    .isa = isa };
	uint32_t ids[N_IDS], i;
	struct session *s;
	char err[256];

	for (i = 0; i < N_IDS; i++)
		ids[i] = i == 0 ? 1 : 260 + (i * i * 31 + i * 7) % (out->n_vocab > 512 ? 250 : out->n_vocab - 260);
	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	assert_int_equal(session_eval(s, ids, N_IDS, logit_rows_keep, out), 0);
	session_close(s);
}

/* The normalised mean square error over all positions. */
static double nmse(const struct logit_rows *got, const struct logit_rows *want)
{
	size_t i, n = (size_t)N_IDS * want->n_vocab;
	double err = 0.0, size = 0.0;

	for (i = 0; i < n; i++) {
		double d = (double)got->logits[i] - (double)want->logits[i];

		err += d * d;
		size += (double)want->logits[i] * (double)want->logits[i];
	}
	return err / size;
}

/* Each instruction set against the reference. */
static void check_isas(const struct model *m, const char *name, double limit)
{
	struct logit_rows want = { NULL, model_n_vocab(m) }, got = want;
	const struct kern_isa *isa;
	unsigned i;

	want.logits = calloc((size_t)N_IDS * want.n_vocab, sizeof(float));
	got.logits = calloc((size_t)N_IDS * want.n_vocab, sizeof(float));
	assert_non_null(want.logits);
	assert_non_null(got.logits);
	run(m, "ref", &want);
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++) {
		double e;

		if (!isa->usable() || strcmp(isa->name, "ref") == 0)
			continue;
		run(m, isa->name, &got);
		e = nmse(&got, &want);
		print_message("%s, %s: NMSE %.2g\n", name, isa->name, e);
		assert_true(e <= limit);
	}
	free(want.logits);
	free(got.logits);
}

/* ---- random weights of every type ---------------------------------------------------------------- */

static void test_random(void **state)
{
	static const uint32_t types[] = {
		KERN_F32, KERN_F16, KERN_BF16, KERN_Q4_0, KERN_Q4_1, KERN_Q5_0, KERN_Q5_1, KERN_Q8_0, KERN_Q2_K, KERN_Q3_K, KERN_Q4_K,
		KERN_Q5_K, KERN_Q6_K, KERN_IQ4_NL, KERN_IQ4_XS, KERN_IQ3_S, KERN_IQ3_XXS, KERN_IQ2_XXS, KERN_IQ2_XS, KERN_IQ2_S,
		KERN_MXFP4,
	};
	struct tiny_model t = { .seed = 17, .n_layer = 2, .n_embd = 256, .n_head = 4, .n_head_kv = 2, .head_dim = 64,
				.n_ff = 512, .n_ctx = 512, .gain = 1.0f };
	char path[TINY_MODEL_PATH], err[512];
	struct model *m;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		t.type = types[i];
		assert_int_equal(tiny_model_file(&t, path), 0);
		rc = model_open(&m, path, err, sizeof(err));
		unlink(path);
		assert_int_equal(rc, 0);
		check_isas(m, kern_type(t.type)->name, 1e-2);
		model_close(m);
	}
}

/* ---- trained models ------------------------------------------------------------------------------ */

static double limit_of(const char *name)
{
	if (strstr(name, "-f32") != NULL)
		return 1e-8;
	if (strstr(name, "-F16") != NULL)
		return 1e-6;
	return strstr(name, "-BF16") != NULL ? 2e-5 : 2e-4;
}

static bool check_model(const char *name)
{
	char path[512], err[512];
	struct model *m;

	snprintf(path, sizeof(path), MODELS "%s", name);
	if (model_open(&m, path, err, sizeof(err)) != 0)
		return false;
	check_isas(m, name, limit_of(name));
	model_close(m);
	return true;
}

static void test_trained(void **state)
{
	DIR *d = opendir(MODELS);
	struct dirent *e;
	unsigned n = 0;

	(void)state;
	if (d == NULL) {
		print_message("no " MODELS "\n");
		skip();
	}
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "stories260K", 11) == 0 && strstr(e->d_name, ".be.") == NULL)
			n += check_model(e->d_name);
	closedir(d);
	print_message("%u models\n", n);
	assert_true(n >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random), cmocka_unit_test(test_trained) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
