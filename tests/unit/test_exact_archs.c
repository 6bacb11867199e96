/* test_exact_archs.c - the families whose GELU llama.cpp rounds to F16, against double precision (exact_arch.h).
 *
 * Of each such case of tiny_arch.h: llama.cpp's golden is within 1e-6 of the exact logits and within 1e-7 of those
 * with the GELU rounded as it does; ours are within 1e-10 of the exact ones.  Where the architecture is not
 * known the first half is looked at all the same.
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
#include "tests/unit/exact_arch.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

#define DIR "tests/golden/"
#define MAX_IDS 256
#define MAX_CASES 64

struct exact_case {
	uint32_t ids[MAX_IDS];
	size_t n;
	double *want;                   /* [n][TINY_ARCH_VOCAB] */
	double worst;                   /* NMSE so far */
};

/* session_logits_fn: the normalised mean square error of this position. */
static int compare(void *arg, uint32_t pos, const float *logits)
{
	struct exact_case *x = arg;
	const double *want = x->want + (size_t)pos * TINY_ARCH_VOCAB;
	double err = 0.0, size = 0.0;
	uint32_t i;

	for (i = 0; i < TINY_ARCH_VOCAB; i++) {
		double d = (double)logits[i] - want[i];

		err += d * d;
		size += want[i] * want[i];
	}
	if (!(err / size <= x->worst))
		x->worst = err / size;
	return 0;
}

static void read_ids(struct exact_case *x, const char *name)
{
	char path[128];
	FILE *f;

	memset(x, 0, sizeof(*x));
	snprintf(path, sizeof(path), DIR "%s.ids", name);
	f = fopen(path, "r");
	assert_non_null(f);
	while (x->n < MAX_IDS && fscanf(f, "%u", &x->ids[x->n]) == 1)
		x->n++;
	fclose(f);
	assert_true(x->n >= 64);
	x->want = calloc(x->n * TINY_ARCH_VOCAB, sizeof(*x->want));
	assert_non_null(x->want);
}

static void check_golden(struct exact_case *x, const char *name, double limit)
{
	float logits[TINY_ARCH_VOCAB];
	char path[128];
	uint32_t t;
	FILE *f;

	snprintf(path, sizeof(path), DIR "%s.f32", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	x->worst = 0.0;
	for (t = 0; t < x->n; t++) {
		assert_int_equal(fread(logits, sizeof(float), TINY_ARCH_VOCAB, f), TINY_ARCH_VOCAB);
		compare(x, t, logits);
	}
	fclose(f);
	print_message("%s: the golden's worst NMSE %.2g, limit %g\n", name, x->worst, limit);
	assert_true(x->worst <= limit);
}

static void check_isa(const char *isa, const struct model *m, struct exact_case *x, const char *name)
{
	struct session_params p = { .n_ctx = TINY_ARCH_CTX, .n_batch = TINY_ARCH_CTX, .n_threads = 2, .type_k = KERN_F32,
				    .type_v = KERN_F32, .isa = isa };
	struct session *s;
	char err[256];

	assert_int_equal(session_open(&s, m, &p, err, sizeof(err)), 0);
	x->worst = 0.0;
	assert_int_equal(session_eval(s, x->ids, x->n, compare, x), 0);
	print_message("%s, %s: %zu positions, worst NMSE %.2g\n", name, isa, x->n, x->worst);
	assert_true(x->worst <= 1e-10);
	session_close(s);
}

static void test_case(void **state)
{
	const struct tiny_arch *c = *state;
	const char *golden = c->golden != NULL ? c->golden : c->name;
	const struct kern_isa *isa;
	char path[TINY_MODEL_PATH], err[512];
	unsigned char *bytes;
	struct exact_case x;
	struct model *m;
	size_t len;
	unsigned i;
	int rc;

	read_ids(&x, golden);
	assert_int_equal(tiny_arch_build(c, &bytes, &len), 0);
	assert_int_equal(tiny_model_write(bytes, len, path), 0);
	free(bytes);
	assert_int_equal(exact_arch_logits(path, x.ids, x.n, true, x.want), 0);
	check_golden(&x, golden, 1e-7);
	assert_int_equal(exact_arch_logits(path, x.ids, x.n, false, x.want), 0);
	check_golden(&x, golden, 1e-6);
	rc = model_open(&m, path, err, sizeof(err));
	unlink(path);
	if (rc == -ENOTSUP) {
		free(x.want);
		skip();
	}
	assert_int_equal(rc, 0);
	for (i = 0; (isa = kern_isa_at(i)) != NULL; i++)
		if (isa->usable())
			check_isa(isa->name, m, &x, c->name);
	free(x.want);
	model_close(m);
}

int main(void)
{
	struct CMUnitTest tests[MAX_CASES];
	const struct tiny_arch *c;
	unsigned i, n = 0;

	for (i = 0; n < MAX_CASES && (c = tiny_arch_at(i)) != NULL; i++)
		if (c->gelu && !c->ollama)      /* the reference reads usual names only; the model is another case's */
			tests[n++] = (struct CMUnitTest){ .name = c->name, .test_func = test_case, .initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("exact", tests, n, NULL, NULL);
}
