/* run_options.c - see run_options.h. */
#include "engine/run_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, TEXT, NUMBER, REAL };

/* Names are llama.cpp's where it has the option.  A default of NULL is unset, false or "-". */
static const struct option {
	const char *names[3];           /* as typed; the last one is the main one */
	enum kind kind;
	size_t off;
	double min, max;                /* NUMBER and REAL */
	const char *preset;             /* default, in the words of the command line */
	const char *value;              /* what the value is called in --help */
	const char *help;
} options[] = {
	{ { "-m", "--model" }, TEXT, offsetof(struct run_options, model), 0, 0, NULL, "FILE", "the model, a GGUF file" },
	{ { "-p", "--prompt" }, TEXT, offsetof(struct run_options, prompt), 0, 0, NULL, "TEXT",
	  "the text to go on from" },
	{ { "-f", "--file" }, TEXT, offsetof(struct run_options, prompt_file), 0, 0, NULL, "FILE",
	  "read the prompt from a file" },
	{ { "--tokens" }, TEXT, offsetof(struct run_options, tokens), 0, 0, NULL, "IDS",
	  "the prompt as token ids, with commas between" },
	{ { "-n", "--n-predict", "--predict" }, NUMBER, offsetof(struct run_options, n_predict), -1, 1e9, "-1", "N",
	  "tokens to generate, -1 until the end" },
	{ { "-c", "--ctx-size" }, NUMBER, offsetof(struct run_options, n_ctx), -1, 1 << 30, "-1", "N",
	  "context in tokens, 0 for the model's, -1 for that or 4096" },
	{ { "-b", "--batch-size" }, NUMBER, offsetof(struct run_options, n_batch), 1, 1 << 16, "512", "N",
	  "prompt tokens that are computed together" },
	{ { "-t", "--threads" }, NUMBER, offsetof(struct run_options, n_threads), 0, 256, "0", "N",
	  "threads, 0 for one a processor" },
	{ { "-s", "--seed" }, NUMBER, offsetof(struct run_options, seed), -1, 4294967295.0, "-1", "N",
	  "seed of the draw, -1 for a random one" },
	{ { "--temp", "--temperature" }, REAL, offsetof(struct run_options, temp), -1e6, 1e6, "0.8", "X",
	  "temperature, 0 takes the most probable token" },
	{ { "--top-k" }, NUMBER, offsetof(struct run_options, top_k), -1, 1 << 30, "40", "N",
	  "draw among the N most probable tokens, 0 for all" },
	{ { "--top-p" }, REAL, offsetof(struct run_options, top_p), 0, 1, "0.95", "X",
	  "draw among the most probable up to this sum, 1 for all" },
	{ { "--min-p" }, REAL, offsetof(struct run_options, min_p), 0, 1, "0.05", "X",
	  "draw only tokens of this share of the highest probability" },
	{ { "-ctk", "--cache-type-k" }, TEXT, offsetof(struct run_options, type_k), 0, 0, "f16", "TYPE",
	  "keys of the KV cache: f32 or f16" },
	{ { "-ctv", "--cache-type-v" }, TEXT, offsetof(struct run_options, type_v), 0, 0, "f16", "TYPE",
	  "values of the KV cache: f32 or f16" },
	{ { "--isa" }, TEXT, offsetof(struct run_options, isa), 0, 0, NULL, "NAME",
	  "ref, avx2 or avx512 instead of the best there is" },
	{ { "--no-display-prompt" }, FLAG, offsetof(struct run_options, no_display_prompt), 0, 0, NULL, NULL,
	  "print the generated text only" },
	{ { "-sp", "--special" }, FLAG, offsetof(struct run_options, special), 0, 0, NULL, NULL,
	  "print special tokens, and recognise them in the prompt" },
	{ { "--ignore-eos" }, FLAG, offsetof(struct run_options, ignore_eos), 0, 0, NULL, NULL,
	  "never draw a token that ends the text" },
	{ { "--logits" }, TEXT, offsetof(struct run_options, logits), 0, 0, NULL, "FILE",
	  "write the logits of every position of the prompt as raw f32" },
	{ { "--tokenize" }, FLAG, offsetof(struct run_options, tokenize), 0, 0, NULL, NULL,
	  "print the prompt's token ids and end" },
	{ { "--perf" }, FLAG, offsetof(struct run_options, perf), 0, 0, NULL, NULL,
	  "print times and speeds to stderr at the end" },
	{ { "-h", "--help" }, FLAG, offsetof(struct run_options, help), 0, 0, NULL, NULL, "print this and end" },
	{ { "--version" }, FLAG, offsetof(struct run_options, version), 0, 0, NULL, NULL, "print the version and end" },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))
#define HELP_COLUMN 34

static const struct option *find(const char *arg)
{
	size_t i, k;

	for (i = 0; i < N_OPTIONS; i++)
		for (k = 0; k < 3 && options[i].names[k] != NULL; k++)
			if (strcmp(options[i].names[k], arg) == 0)
				return &options[i];
	return NULL;
}

static int set_number(const struct option *o, void *at, const char *text)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || (double)v < o->min || (double)v > o->max)
		return -EINVAL;
	*(int64_t *)at = v;
	return 0;
}

static int set_real(const struct option *o, void *at, const char *text)
{
	char *end;
	double v;

	v = strtod(text, &end);
	if (end == text || *end != '\0' || !(v >= o->min && v <= o->max))
		return -EINVAL;
	*(double *)at = v;
	return 0;
}

static int set(struct run_options *out, const struct option *o, const char *text)
{
	void *at = (char *)out + o->off;

	switch (o->kind) {
	case FLAG:
		*(bool *)at = true;
		return 0;
	case TEXT:
		*(const char **)at = text;
		return 0;
	case NUMBER:
		return set_number(o, at, text);
	case REAL:
		return set_real(o, at, text);
	}
	return -EINVAL;
}

static int set_presets(struct run_options *out)
{
	size_t i;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < N_OPTIONS && rc == 0; i++)
		if (options[i].preset != NULL)
			rc = set(out, &options[i], options[i].preset);
	return rc;
}

int run_options_parse(struct run_options *out, int argc, char **argv, char *err, size_t errlen)
{
	bool given[N_OPTIONS] = { false };
	int i;

	if (set_presets(out) != 0)
		return -EINVAL;
	for (i = 1; i < argc; i++) {
		const struct option *o = find(argv[i]);
		const char *name = argv[i], *value = NULL;

		if (o == NULL) {
			snprintf(err, errlen, "unknown option '%s'", name);
			return -EINVAL;
		}
		if (given[o - options]) {
			snprintf(err, errlen, "the option '%s' is given twice", name);
			return -EINVAL;
		}
		given[o - options] = true;
		if (o->kind != FLAG) {
			value = argv[++i];
			if (value == NULL) {
				snprintf(err, errlen, "the option '%s' needs a value", name);
				return -EINVAL;
			}
		}
		if (set(out, o, value) != 0) {
			snprintf(err, errlen, "the option '%s' cannot be '%s'", name, value);
			return -EINVAL;
		}
	}
	return 0;
}

void run_options_help(FILE *f)
{
	char left[96];
	size_t i, k;
	int n;

	fprintf(f, "usage: hearth-run -m FILE [-p TEXT] [option ...]\n"
		   "Generates text with a language model.\n\n");
	for (i = 0; i < N_OPTIONS; i++) {
		const struct option *o = &options[i];

		n = 0;
		for (k = 0; k < 3 && o->names[k] != NULL; k++)
			n += snprintf(left + n, sizeof(left) - (size_t)n, "%s%s", k != 0 ? ", " : "  ", o->names[k]);
		if (o->value != NULL)
			snprintf(left + n, sizeof(left) - (size_t)n, " %s", o->value);
		fprintf(f, "%-*s %s", HELP_COLUMN, left, o->help);
		if (o->preset != NULL)
			fprintf(f, " (%s)", o->preset);
		fputc('\n', f);
	}
}
