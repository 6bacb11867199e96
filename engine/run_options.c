/* run_options.c - see run_options.h. */
#include "engine/run_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, TEXT, NUMBER, REAL, LIST, SIZE };

/* Names are llama.cpp's where it has the option.  A default of NULL is unset, false or "-". */
static const struct option {
	const char *names[3];           /* as typed; the last one is the main one */
	enum kind kind;
	size_t off;
	double min, max;                /* NUMBER, REAL and SIZE */
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
	{ { "-b", "--batch-size" }, NUMBER, offsetof(struct run_options, n_batch), 1, 1 << 16, "2048", "N",
	  "prompt tokens that are given together" },
	{ { "-ub", "--ubatch-size" }, NUMBER, offsetof(struct run_options, n_ubatch), 1, 1 << 16, "512", "N",
	  "prompt tokens that are computed together" },
	{ { "-t", "--threads" }, NUMBER, offsetof(struct run_options, n_threads), 0, 256, "0", "N",
	  "threads, 0 for one a processor" },
	{ { "-tb", "--threads-batch" }, NUMBER, offsetof(struct run_options, n_threads_batch), 0, 256, "0", "N",
	  "threads for prompts, 0 for as many as -t" },
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
	{ { "--repeat-penalty" }, REAL, offsetof(struct run_options, repeat_penalty), 0.01, 100, "1.0", "X",
	  "divide the score of tokens that came before" },
	{ { "--repeat-last-n" }, NUMBER, offsetof(struct run_options, repeat_last_n), -1, 1 << 24, "64", "N",
	  "tokens that penalties look back at, -1 for the context" },
	{ { "--presence-penalty" }, REAL, offsetof(struct run_options, presence_penalty), -100, 100, "0.0", "X",
	  "taken off tokens that came before" },
	{ { "--frequency-penalty" }, REAL, offsetof(struct run_options, frequency_penalty), -100, 100, "0.0", "X",
	  "taken off as often as they came" },
	{ { "-l", "--logit-bias" }, LIST, offsetof(struct run_options, logit_bias), 0, 0, NULL, "ID+X|ID-X",
	  "add X to a token's logit, or take it off; repeatable" },
	{ { "-cnv", "--conversation" }, FLAG, offsetof(struct run_options, conversation), 0, 0, NULL, NULL,
	  "talk: the prompt, then lines of standard input" },
	{ { "-st", "--single-turn" }, FLAG, offsetof(struct run_options, single_turn), 0, 0, NULL, NULL,
	  "talk, but end after the first answer" },
	{ { "-sys", "--system-prompt" }, TEXT, offsetof(struct run_options, system), 0, 0, NULL, "TEXT",
	  "talk, and begin with this system message" },
	{ { "--chat-template" }, TEXT, offsetof(struct run_options, chat_template), 0, 0, NULL, "NAME|TEXT",
	  "a Jinja template, or a built-in one, for -cnv" },
	{ { "--chat-template-file" }, TEXT, offsetof(struct run_options, chat_template_file), 0, 0, NULL, "FILE",
	  "the same out of a file" },
	{ { "-r", "--reverse-prompt" }, LIST, offsetof(struct run_options, reverse), 0, 0, NULL, "TEXT",
	  "stop where the text has this; repeatable" },
	{ { "-e", "--escape" }, FLAG, offsetof(struct run_options, escape), 0, 0, NULL, NULL,
	  "read \\n, \\t, \\\\ and the like in -p, -sys and -r" },
	{ { "-ctk", "--cache-type-k" }, TEXT, offsetof(struct run_options, type_k), 0, 0, "f16", "TYPE",
	  "keys of the KV cache: f32, f16, bf16, q8_0 or q4_0" },
	{ { "-ctv", "--cache-type-v" }, TEXT, offsetof(struct run_options, type_v), 0, 0, "f16", "TYPE",
	  "values of the KV cache, likewise" },
	{ { "--prompt-cache" }, TEXT, offsetof(struct run_options, prompt_cache), 0, 0, NULL, "FILE",
	  "keep what the prompt was computed to, and begin with it" },
	{ { "--prompt-cache-all" }, FLAG, offsetof(struct run_options, prompt_cache_all), 0, 0, NULL, NULL,
	  "keep the text that was made there as well" },
	{ { "--prompt-cache-ro" }, FLAG, offsetof(struct run_options, prompt_cache_ro), 0, 0, NULL, NULL,
	  "use that file, but do not write it" },
	{ { "--kv-disk" }, TEXT, offsetof(struct run_options, kv_disk), 0, 0, NULL, "DIR",
	  "keep the KV cache in a file there, not in memory" },
	{ { "--kv-ram" }, SIZE, offsetof(struct run_options, kv_ram), 1, 1e15, NULL, "SIZE",
	  "but so much of its first positions" },
	{ { "--kv-keep" }, FLAG, offsetof(struct run_options, kv_keep), 0, 0, NULL, NULL,
	  "leave the file, and begin with what is in it" },
	{ { "--ram-budget" }, SIZE, offsetof(struct run_options, ram_budget), 1, 1e15, "auto", "SIZE",
	  "memory for all, or none; the rest is read as needed" },
	{ { "--stream-ahead" }, NUMBER, offsetof(struct run_options, stream_ahead), 0, 4096, "0", "N",
	  "read them N layers ahead, 0 for a 32nd of the budget" },
	{ { "--prefill-order" }, TEXT, offsetof(struct run_options, prefill_order), 0, 0, "auto", "ORDER",
	  "the order of prompts: auto, layer by layer or by batch" },
	{ { "--max-loaded-layers" }, NUMBER, offsetof(struct run_options, max_loaded_layers), 0, 4096, "0", "N",
	  "hold at most N layers of weights, 0 for what fits" },
	{ { "--mlock" }, FLAG, offsetof(struct run_options, mlock), 0, 0, NULL, NULL,
	  "lock memory as it is used, so that nothing of it is swapped" },
	{ { "--estimate" }, FLAG, offsetof(struct run_options, estimate), 0, 0, NULL, NULL,
	  "print what a run would take and how fast it would be, and end" },
	{ { "--min-speed" }, REAL, offsetof(struct run_options, min_speed), 0, 1e9, "0", "X",
	  "do not begin when fewer than X tokens/s are predicted" },
	{ { "--spec-type" }, TEXT, offsetof(struct run_options, spec_type), 0, 0, NULL, "TYPES",
	  "guess tokens ahead: none, ngram-*, draft-simple" },
	{ { "--spec-ngram-size-n" }, NUMBER, offsetof(struct run_options, ngram_n), 1, 1024, "12", "N",
	  "the last tokens that ngram-* look up in the text" },
	{ { "--spec-ngram-min-hits" }, NUMBER, offsetof(struct run_options, ngram_hits), 1, 64, "1", "N",
	  "places that are enough for ngram-map-k and -k4v" },
	{ { "--spec-ngram-size-m" }, NUMBER, offsetof(struct run_options, ngram_m), 1, 1024, "48", "N",
	  "tokens behind them that it guesses" },
	{ { "-md", "--model-draft" }, TEXT, offsetof(struct run_options, model_draft), 0, 0, NULL, "FILE",
	  "a small model of the same vocabulary that guesses" },
	{ { "--draft", "--draft-n", "--draft-max" }, NUMBER, offsetof(struct run_options, draft_max), 1, 1024, "16", "N",
	  "tokens to guess at most" },
	{ { "--draft-min", "--draft-n-min" }, NUMBER, offsetof(struct run_options, draft_min), 0, 1024, "0", "N",
	  "rather none than fewer" },
	{ { "--draft-p-min" }, REAL, offsetof(struct run_options, draft_p_min), 0, 1, "0.75", "P",
	  "the small model guesses on while it is that sure" },
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
	{ { "--perplexity" }, TEXT, offsetof(struct run_options, perplexity), 0, 0, NULL, "FILE",
	  "how well the model foretells a file, in chunks of -c tokens" },
	{ { "--bench" }, TEXT, offsetof(struct run_options, bench), 0, 0, NULL, "TESTS",
	  "tokens a second: pp512,tg128,tg32@d4096 and the like" },
	{ { "--repetitions" }, NUMBER, offsetof(struct run_options, repetitions), 1, 1000, "5", "N", "of each test of --bench" },
	{ { "--json" }, FLAG, offsetof(struct run_options, json), 0, 0, NULL, NULL,
	  "print one JSON object at the end in place of the text" },
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

/* Bytes, auto as 0 and none as -1; or with K, M, G or T that many times 1024, 1024^2 and so on; MiB, GB and the like mean the same. */
static int set_size(const struct option *o, void *at, const char *text)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	double v = strtod(text, &end);

	if (o->preset != NULL && (strcmp(text, "auto") == 0 || strcmp(text, "none") == 0)) {
		*(int64_t *)at = text[0] == 'a' ? 0 : -1;
		return 0;
	}
	if (end == text || !(v > 0.0))
		return -EINVAL;
	unit = *end != '\0' ? strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end) : NULL;
	if (unit != NULL) {
		v *= (double)(1ull << (10 * (unit - units + 1)));
		end++;
		if (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0)
			end = strchr(end, '\0');
	}
	if (*end != '\0' || v < o->min || v > o->max)
		return -EINVAL;
	*(int64_t *)at = (int64_t)v;
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

static int add_to_list(struct run_list *list, const char *text)
{
	if (list->n == RUN_OPTIONS_LIST)
		return -EINVAL;
	list->at[list->n++] = text;
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
	case LIST:
		return add_to_list(at, text);
	case SIZE:
		return set_size(o, at, text);
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

/* In place, which only makes it shorter.  Escapes that are not known stay as they are. */
static void unescape(const char *const_text)
{
	static const char from[] = "nrt\\\"'", to[] = "\n\r\t\\\"'";
	char *text = (char *)(uintptr_t)const_text, *put = text;
	const char *at;

	for (; text != NULL && *text != '\0'; text++) {
		at = text[0] == '\\' && text[1] != '\0' ? strchr(from, text[1]) : NULL;
		*put++ = at != NULL ? to[at - from] : *text;
		text += at != NULL;
	}
	if (put != NULL)
		*put = '\0';
}

static void unescape_all(struct run_options *o)
{
	size_t i;

	unescape(o->prompt);
	unescape(o->system);
	for (i = 0; i < o->reverse.n; i++)
		unescape(o->reverse.at[i]);
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
		if (given[o - options] && o->kind != LIST) {
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
	if (out->escape)
		unescape_all(out);
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
