/* run_main.c - hearth-run: a prompt through a model, tokens as they come.
 *
 * Order: command line, model (metadata only), tokenizer, prompt, session, then prompt and tokens one by
 * one.  SIGINT and SIGTERM are blocked and asked for between layers, so that an interrupted run still
 * ends in order; the signal is raised again at the very end.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/run_options.h"
#include "engine/run_output.h"
#include "engine/run_prompt.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/tokenizer.h"
#include "kernels/kern_type.h"

#define PROGRAM "hearth-run"
#define CTX_DEFAULT 4096u
#define LINE 1024       /* bytes of an error line */

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct run {
	struct run_options o;
	struct model *model;
	struct tokenizer *tok;
	struct session *session;
	struct sampler *sampler;
	uint32_t *prompt;               /* [n_prompt], owned */
	size_t n_prompt;
	uint32_t n_ids;                 /* tokens that have both a text and a logit */
	uint64_t seed;
	FILE *logits;
	sigset_t signals;
	int signal;                     /* the one that came, or 0 */
	double load_s, prompt_s, decode_s;
	uint64_t n_decoded;
};

/* One line to stderr; bytes that could steer a terminal are shown as '?'. */
static void print_error(const char *text)
{
	const char *p;

	fputs(PROGRAM ": ", stderr);
	for (p = text; *p != '\0'; p++)
		fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, stderr);
	fputc('\n', stderr);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* session_cancel_fn: has a signal come? */
static bool interrupted(void *arg)
{
	struct run *r = arg;
	const struct timespec at_once = { 0, 0 };

	if (r->signal == 0) {
		int sig = sigtimedwait(&r->signals, NULL, &at_once);

		r->signal = sig > 0 ? sig : 0;
	}
	return r->signal != 0;
}

/* ---- setting up ---------------------------------------------------------------------------------- */

static uint32_t n_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (uint32_t)CPU_COUNT(&set);
}

static uint32_t context_size(const struct run *r)
{
	uint32_t train = model_n_ctx_train(r->model);

	if (r->o.n_ctx > 0)
		return (uint32_t)r->o.n_ctx;
	if (r->o.n_ctx == 0)
		return train;
	return train < CTX_DEFAULT ? train : CTX_DEFAULT;
}

static int open_session(struct run *r)
{
	struct session_params p = {
		.n_ctx = context_size(r), .n_batch = (uint32_t)r->o.n_batch,
		.n_threads = r->o.n_threads != 0 ? (uint32_t)r->o.n_threads : n_processors(),
		.type_k = strcmp(r->o.type_k, "f32") == 0 ? KERN_F32 : KERN_F16,
		.type_v = strcmp(r->o.type_v, "f32") == 0 ? KERN_F32 : KERN_F16, .isa = r->o.isa,
	};
	char line[LINE];

	if (r->n_prompt > p.n_ctx) {
		snprintf(line, sizeof(line), "the prompt has %zu tokens, more than the context of %u (-c)", r->n_prompt,
			 p.n_ctx);
		print_error(line);
		return EXIT_FAILED;
	}
	if (session_open(&r->session, r->model, &p, line, sizeof(line)) != 0) {
		print_error(line);
		return EXIT_FAILED;
	}
	session_set_cancel(r->session, interrupted, r);
	return EXIT_OK;
}

/* sampler_ban_fn: tokens that end the text */
static bool ends_text(void *arg, uint32_t id)
{
	return tokenizer_is_eog(arg, id);
}

static int open_sampler(struct run *r)
{
	struct sampler_params p = {
		.temp = (float)r->o.temp, .top_k = (int32_t)r->o.top_k, .top_p = (float)r->o.top_p,
		.min_p = (float)r->o.min_p,
	};

	r->seed = (uint64_t)r->o.seed;
	if (r->o.seed < 0 && getrandom(&r->seed, 4, 0) == 4)
		r->seed &= 0xffffffffu;
	p.seed = r->seed;
	if (sampler_new(&r->sampler, &p, r->n_ids) != 0) {
		print_error("out of memory");
		return EXIT_FAILED;
	}
	if (r->o.ignore_eos)
		sampler_set_ban(r->sampler, ends_text, r->tok);
	return EXIT_OK;
}

static int open_model(struct run *r)
{
	char line[LINE], reason[LINE / 2];

	if (model_open(&r->model, r->o.model, line, sizeof(line)) != 0) {
		print_error(line);
		return EXIT_FAILED;
	}
	if (tokenizer_new(&r->tok, model_meta(r->model), reason, sizeof(reason)) != 0) {
		snprintf(line, sizeof(line), "%s: %s", r->o.model, reason);
		print_error(line);
		return EXIT_FAILED;
	}
	r->n_ids = tokenizer_n_tokens(r->tok) < model_n_vocab(r->model) ? tokenizer_n_tokens(r->tok) :
									 model_n_vocab(r->model);
	if (run_prompt(&r->prompt, &r->n_prompt, &r->o, r->tok, line, sizeof(line)) != 0) {
		print_error(line);
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* ---- running ------------------------------------------------------------------------------------- */

/* session_logits_fn: append to the file of --logits */
static int write_logits(void *arg, uint32_t pos, const float *logits)
{
	struct run *r = arg;
	size_t n = model_n_vocab(r->model);

	(void)pos;
	errno = 0;
	if (fwrite(logits, sizeof(*logits), n, r->logits) == n)
		return 0;
	return errno != 0 ? -errno : -EIO;
}

/* What a failed evaluation or output means for the run. */
static int report(const struct run *r, int rc, const char *subject)
{
	char line[LINE], reason[128];

	if (rc == 0 || r->signal != 0)
		return EXIT_OK;
	if (rc == -EDOM)
		snprintf(line, sizeof(line), "%s: the logits are not numbers", r->o.model);
	else if (rc == -EINVAL)
		snprintf(line, sizeof(line), "%s: a token id is outside the vocabulary of %u", r->o.model,
			 model_n_vocab(r->model));
	else
		snprintf(line, sizeof(line), "%s: %s", subject, strerror_r(-rc, reason, sizeof(reason)));
	print_error(line);
	return EXIT_FAILED;
}

static int eval_prompt(struct run *r)
{
	double t0 = now_s();
	int rc;

	if (r->o.logits != NULL) {
		r->logits = fopen(r->o.logits, "wbe");
		if (r->logits == NULL)
			return report(r, -errno, r->o.logits);
	}
	rc = session_eval(r->session, r->prompt, r->n_prompt, r->logits != NULL ? write_logits : NULL, r);
	r->prompt_s = now_s() - t0;
	if (r->logits != NULL) {
		errno = 0;
		if (fclose(r->logits) != 0 && rc == 0)
			rc = errno != 0 ? -errno : -EIO;
		r->logits = NULL;
	}
	return report(r, rc, r->o.logits != NULL ? r->o.logits : r->o.model);
}

/* Tokens until the text ends, enough are made, the context is full, or a signal comes. */
static int generate(struct run *r, struct run_output *out)
{
	int64_t made;
	uint32_t id;
	double t0;
	int rc;

	for (made = 0; r->o.n_predict < 0 || made < r->o.n_predict; made++) {
		rc = sampler_next(r->sampler, session_logits(r->session), &id);
		if (rc != 0)
			return report(r, rc, r->o.model);
		if (tokenizer_is_eog(r->tok, id))
			break;
		rc = run_output_token(out, id);
		if (rc != 0)
			return report(r, rc, "standard output");
		if (made + 1 == r->o.n_predict || interrupted(r))
			break;
		if (session_n_past(r->session) == session_n_ctx(r->session)) {
			print_error("the context is full");
			break;
		}
		t0 = now_s();
		rc = session_eval(r->session, &id, 1, NULL, NULL);
		r->decode_s += now_s() - t0;
		if (rc != 0)
			return report(r, rc, r->o.model);
		r->n_decoded++;
	}
	return EXIT_OK;
}

static int run_text(struct run *r)
{
	struct run_output out;
	int status, rc = 0;

	run_output_init(&out, r->tok, r->o.special);
	if (!r->o.no_display_prompt)
		rc = run_output_text(&out, r->prompt, r->n_prompt);
	status = report(r, rc, "standard output");
	if (status == EXIT_OK)
		status = eval_prompt(r);
	if (status == EXIT_OK && r->signal == 0)
		status = generate(r, &out);
	if (status == EXIT_OK) {
		rc = run_output_end(&out);
		if (rc != 0) {
			r->signal = 0;
			status = report(r, rc, "standard output");
		}
	}
	run_output_free(&out);
	return status;
}

static int print_ids(const struct run *r)
{
	size_t i;

	for (i = 0; i < r->n_prompt; i++)
		printf("%s%u", i != 0 ? "," : "", r->prompt[i]);
	putchar('\n');
	errno = 0;
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return EXIT_OK;
	return report(r, errno != 0 ? -errno : -EIO, "standard output");
}

static void print_perf(const struct run *r)
{
	double prompt = r->prompt_s > 0 ? (double)r->n_prompt / r->prompt_s : 0;
	double decode = r->decode_s > 0 ? (double)r->n_decoded / r->decode_s : 0;

	fprintf(stderr, PROGRAM ": load    %.3f s, %s, %.1f MB of weights, %s, %u threads\n", r->load_s,
		model_arch(r->model), (double)model_bytes(r->model) / 1e6, session_isa(r->session),
		session_n_threads(r->session));
	fprintf(stderr, PROGRAM ": context %u tokens, %.1f MB of KV cache, keys %s, values %s, seed %llu\n",
		session_n_ctx(r->session), (double)session_kv_bytes(r->session) / 1e6, r->o.type_k, r->o.type_v,
		(unsigned long long)r->seed);
	fprintf(stderr, PROGRAM ": prompt  %zu tokens, %.3f s, %.2f tokens/s\n", r->n_prompt, r->prompt_s, prompt);
	fprintf(stderr, PROGRAM ": decode  %llu tokens, %.3f s, %.2f tokens/s, %.2f GB/s of weights\n",
		(unsigned long long)r->n_decoded, r->decode_s, decode,
		decode * (double)model_bytes_per_token(r->model) / 1e9);
}

static int run(struct run *r)
{
	double t0 = now_s();
	int status = open_model(r);

	if (status != EXIT_OK)
		return status;
	if (r->o.tokenize)
		return print_ids(r);
	if ((status = open_session(r)) != EXIT_OK || (status = open_sampler(r)) != EXIT_OK)
		return status;
	r->load_s = now_s() - t0;
	status = run_text(r);
	if (r->o.perf)
		print_perf(r);
	return status;
}

/* ---- command line -------------------------------------------------------------------------------- */

static int usage(const char *line)
{
	print_error(line);
	fputs("Try '" PROGRAM " --help'.\n", stderr);
	return EXIT_USAGE;
}

static bool kv_type_ok(const char *name)
{
	return strcmp(name, "f32") == 0 || strcmp(name, "f16") == 0;
}

static bool isa_ok(const char *name)
{
	return name == NULL || strcmp(name, "ref") == 0 || strcmp(name, "avx2") == 0 || strcmp(name, "avx512") == 0;
}

static int check_options(const struct run_options *o)
{
	if (o->model == NULL)
		return usage("no model: -m FILE is missing");
	if ((o->prompt != NULL) + (o->prompt_file != NULL) + (o->tokens != NULL) > 1)
		return usage("only one of -p, -f and --tokens can be the prompt");
	if (!kv_type_ok(o->type_k) || !kv_type_ok(o->type_v))
		return usage("the KV cache types are f32 and f16");
	if (!isa_ok(o->isa))
		return usage("the instruction sets are ref, avx2 and avx512");
	return EXIT_OK;
}

static void close_all(struct run *r)
{
	sampler_free(r->sampler);
	session_close(r->session);
	free(r->prompt);
	tokenizer_free(r->tok);
	model_close(r->model);
}

int main(int argc, char **argv)
{
	struct run r = { 0 };
	char line[LINE];
	int status;

	if (run_options_parse(&r.o, argc, argv, line, sizeof(line)) != 0)
		return usage(line);
	if (r.o.help || r.o.version) {
		if (r.o.help)
			run_options_help(stdout);
		else
			puts(PROGRAM " " HEARTH_VERSION);
		return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
	}
	status = check_options(&r.o);
	if (status != EXIT_OK)
		return status;
	signal(SIGPIPE, SIG_IGN);       /* a closed pipe is a write error */
	sigemptyset(&r.signals);
	sigaddset(&r.signals, SIGINT);
	sigaddset(&r.signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &r.signals, NULL);
	status = run(&r);
	close_all(&r);
	if (r.signal != 0) {            /* the caller learns that this run was interrupted */
		signal(r.signal, SIG_DFL);
		sigprocmask(SIG_UNBLOCK, &r.signals, NULL);
		raise(r.signal);
	}
	return status;
}
