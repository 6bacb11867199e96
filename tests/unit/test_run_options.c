/* test_run_options.c - the command line of hearth-run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/run_options.h"

#define MAX_ARGS 16

/* Parse a NULL-terminated list of words. */
static int parse(struct run_options *o, char *err, size_t errlen, const char *const *words)
{
	char *argv[MAX_ARGS + 1] = { (char *)"hearth-run" };
	int argc = 1;

	while (words[argc - 1] != NULL && argc < MAX_ARGS) {
		argv[argc] = (char *)words[argc - 1];
		argc++;
	}
	return run_options_parse(o, argc, argv, err, errlen);
}

#define PARSE(...) parse(&o, err, sizeof(err), (const char *const[]){ __VA_ARGS__, NULL })

static void test_defaults(void **state)
{
	struct run_options o;
	char err[256];

	(void)state;
	assert_int_equal(PARSE("-m", "a.gguf"), 0);
	assert_string_equal(o.model, "a.gguf");
	assert_null(o.prompt);
	assert_int_equal(o.n_predict, -1);
	assert_int_equal(o.n_ctx, -1);
	assert_int_equal(o.n_batch, 2048);
	assert_int_equal(o.n_ubatch, 512);
	assert_int_equal(o.seed, -1);
	assert_int_equal(o.top_k, 40);
	assert_true(o.temp == 0.8 && o.top_p == 0.95 && o.min_p == 0.05);
	assert_string_equal(o.type_k, "f16");
	assert_false(o.perf || o.special || o.ignore_eos || o.help);
	assert_null(o.spec_type);
	assert_null(o.model_draft);
	assert_true(o.ngram_n == 12 && o.ngram_m == 48 && o.draft_max == 16 && o.draft_min == 0 && o.draft_p_min == 0.75);
}

static void test_values(void **state)
{
	struct run_options o;
	char err[256];

	(void)state;
	assert_int_equal(PARSE("--model", "m", "-p", "-x", "-n", "5", "--temp", "0", "-ctk", "f32", "--perf", "-s", "7"), 0);
	assert_string_equal(o.prompt, "-x");    /* a value may look like an option */
	assert_int_equal(o.n_predict, 5);
	assert_int_equal(o.seed, 7);
	assert_true(o.temp == 0.0);
	assert_string_equal(o.type_k, "f32");
	assert_true(o.perf);
}

static void test_refusals(void **state)
{
	struct run_options o;
	char err[256];

	(void)state;
	assert_int_equal(PARSE("--nonsense"), -EINVAL);
	assert_string_equal(err, "unknown option '--nonsense'");
	assert_int_equal(PARSE("-m", "a", "--model", "b"), -EINVAL);
	assert_string_equal(err, "the option '--model' is given twice");
	assert_int_equal(PARSE("-m"), -EINVAL);
	assert_string_equal(err, "the option '-m' needs a value");
	assert_int_equal(PARSE("-n", "ten"), -EINVAL);
	assert_string_equal(err, "the option '-n' cannot be 'ten'");
	assert_int_equal(PARSE("-n", "5x"), -EINVAL);
	assert_int_equal(PARSE("-n", ""), -EINVAL);
	assert_int_equal(PARSE("-n", "99999999999999999999"), -EINVAL);
	assert_int_equal(PARSE("-b", "0"), -EINVAL);
	assert_int_equal(PARSE("-t", "-1"), -EINVAL);
	assert_int_equal(PARSE("--top-p", "1.5"), -EINVAL);
	assert_int_equal(PARSE("--temp", "nan"), -EINVAL);
	assert_int_equal(PARSE("a.gguf"), -EINVAL);
}

/* Every line fits a terminal, and every option of the table is there. */
static void test_help(void **state)
{
	static const char *const names[] = { "-m,", "-p,", "--tokens", "-ctv,", "--no-display-prompt", "--version" };
	char text[8192], *line;
	FILE *f = fmemopen(text, sizeof(text), "w");
	size_t i;

	(void)state;
	assert_non_null(f);
	run_options_help(f);
	assert_int_equal(fclose(f), 0);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(strstr(text, names[i]));
	for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 100);
}

/* Options that may be repeated, and escapes in texts. */
static void test_lists_and_escapes(void **state)
{
	char prompt[] = "a\\nb\\\\n\\x\\", stop[] = "\\t", other[] = "\\t", second[] = "second";
	char *args[] = { "hearth-run", "-m", "x", "-e", "-p", prompt, "-r", stop, "-r", second, NULL };
	char *plain[] = { "hearth-run", "-m", "x", "-r", other, NULL };
	char *many[2 * RUN_OPTIONS_LIST + 4] = { "hearth-run", NULL };
	struct run_options o;
	char err[256];
	int i;

	(void)state;
	assert_int_equal(run_options_parse(&o, 10, args, err, sizeof(err)), 0);
	assert_string_equal(o.prompt, "a\nb\\n\\x\\");
	assert_int_equal(o.reverse.n, 2);
	assert_string_equal(o.reverse.at[0], "\t");
	assert_string_equal(o.reverse.at[1], "second");
	assert_int_equal(run_options_parse(&o, 5, plain, err, sizeof(err)), 0);
	assert_string_equal(o.reverse.at[0], "\\t");
	for (i = 0; i <= RUN_OPTIONS_LIST; i++) {
		many[1 + 2 * i] = "-l";
		many[2 + 2 * i] = "1+1";
	}
	assert_int_equal(run_options_parse(&o, 1 + 2 * RUN_OPTIONS_LIST, many, err, sizeof(err)), 0);
	assert_int_equal(o.logit_bias.n, RUN_OPTIONS_LIST);
	assert_int_equal(run_options_parse(&o, 3 + 2 * RUN_OPTIONS_LIST, many, err, sizeof(err)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_lists_and_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
