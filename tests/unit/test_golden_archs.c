/* test_golden_archs.c - F32 logits of every architecture against those that llama.cpp computed (tests/golden).
 *
 * One test for each case of tiny_arch.h; the form of the goldens is that of test_golden.c.  A case whose
 * architecture is not known is skipped.  make-golden.sh makes the goldens anew with
 *	test_golden_archs --names               the cases that have goldens of their own
 *	test_golden_archs --write DIR           every case as DIR/NAME.gguf
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
#include "kernels/kern.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

#define DIR "tests/golden/"
#define MAX_IDS 256
#define MAX_CASES 128

struct golden {
	uint32_t ids[MAX_IDS];
	size_t n;
	float *logits;                  /* [n][TINY_ARCH_VOCAB] */
	double worst;                   /* NMSE so far */
};

static const char *golden_of(const struct tiny_arch *c)
{
	return c->golden != NULL ? c->golden : c->name;
}

static void load_golden(struct golden *g, const char *name)
{
	char path[128];
	FILE *f;

	memset(g, 0, sizeof(*g));
	snprintf(path, sizeof(path), DIR "%s.ids", name);
	f = fopen(path, "r");
	if (f == NULL)
		print_error("%s is missing\n", path);
	assert_non_null(f);
	while (g->n < MAX_IDS && fscanf(f, "%u", &g->ids[g->n]) == 1)
		g->n++;
	fclose(f);
	assert_true(g->n >= 64);
	g->logits = calloc(g->n * TINY_ARCH_VOCAB, sizeof(float));
	assert_non_null(g->logits);
	snprintf(path, sizeof(path), DIR "%s.f32", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(g->logits, sizeof(float), g->n * TINY_ARCH_VOCAB, f), g->n * TINY_ARCH_VOCAB);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

/* session_logits_fn: the normalised mean square error of this position. */
static int compare(void *arg, uint32_t pos, const float *logits)
{
	struct golden *g = arg;
	const float *want = g->logits + (size_t)pos * TINY_ARCH_VOCAB;
	double err = 0.0, size = 0.0;
	uint32_t i;

	for (i = 0; i < TINY_ARCH_VOCAB; i++) {
		double d = (double)logits[i] - (double)want[i];

		err += d * d;
		size += (double)want[i] * (double)want[i];
	}
	if (!(err / size <= g->worst))
		g->worst = err / size;
	return 0;
}

static void check_isa(const char *isa, const struct model *m, struct golden *g, const struct tiny_arch *c)
{
	struct session_params p = { .n_ctx = TINY_ARCH_CTX, .n_batch = TINY_ARCH_CTX, .n_threads = 2, .type_k = KERN_F32,
				    .type_v = KERN_F32, .isa = isa };
	struct session *s;
	char err[256];

	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	g->worst = 0.0;
	assert_int_equal(session_eval(s, g->ids, g->n, compare, g), 0);
	print_message("%s, %s: %zu positions, worst NMSE %.2g\n", c->name, isa, g->n, g->worst);
	assert_true(g->worst <= (c->gelu ? 1e-6 : 1e-8));
	session_close(s);
}

static void test_case(void **state)
{
	const struct tiny_arch *c = *state;
	const struct kern_isa *isa;
	struct golden g;
	struct model *m;
	unsigned i;
	int rc;

	load_golden(&g, golden_of(c));
	rc = tiny_arch_open(c, &m);
	if (rc == -ENOTSUP) {
		free(g.logits);
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(model_n_vocab(m), TINY_ARCH_VOCAB);
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		if (isa->usable())
			check_isa(isa->name, m, &g, c);
	free(g.logits);
	model_close(m);
}

/* A file is made of its case alone: the same bytes twice, other bytes for another seed. */
static void test_same_bytes(void **state)
{
	struct tiny_arch other = *tiny_arch_at(0);
	unsigned char *a, *b;
	size_t len_a, len_b;

	(void)state;
	assert_int_equal(tiny_arch_build(&other, &a, &len_a), 0);
	assert_int_equal(tiny_arch_build(&other, &b, &len_b), 0);
	assert_int_equal(len_a, len_b);
	assert_memory_equal(a, b, len_a);
	free(b);
	other.seed++;
	assert_int_equal(tiny_arch_build(&other, &b, &len_b), 0);
	assert_int_equal(len_a, len_b);
	assert_memory_not_equal(a, b, len_a);
	free(a);
	free(b);
}

/* ---- making the goldens ---------------------------------------------------------------------------- */

static int names(void)
{
	const struct tiny_arch *c;
	unsigned i;

	for (i = 0; (c = tiny_arch_at(i)) != NULL; i++)
		if (c->golden == NULL)
			puts(c->name);
	return 0;
}

static int write_models(const char *dir)
{
	const struct tiny_arch *c;
	char path[512];
	unsigned i;

	for (i = 0; (c = tiny_arch_at(i)) != NULL; i++) {
		unsigned char *bytes;
		size_t len;
		FILE *f;

		if (tiny_arch_build(c, &bytes, &len) != 0)
			return 1;
		snprintf(path, sizeof(path), "%s/%s.gguf", dir, c->name);
		f = fopen(path, "wb");
		if (f == NULL || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
			return 1;
		free(bytes);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[MAX_CASES + 1] = { cmocka_unit_test(test_same_bytes) };
	const struct tiny_arch *c;
	unsigned n;

	if (argc == 2 && strcmp(argv[1], "--names") == 0)
		return names();
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_models(argv[2]);
	for (n = 0; n < MAX_CASES && (c = tiny_arch_at(n)) != NULL; n++)
		tests[n + 1] = (struct CMUnitTest){ .name = c->name, .test_func = test_case, .initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("archs", tests, n + 1, NULL, NULL);
}
