/* run_main.c - hearth-run: a prompt through a model, tokens as they come.
 *
 * Order: command line, model (metadata only), tokenizer, prompt, session, then prompt and tokens one by
 * one.  SIGINT and SIGTERM are blocked and asked for between layers, so that an interrupted run still
 * ends in order; the signal is raised again at the very end.
 */
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/kv.h"
#include "engine/model.h"
#include "engine/run.h"
#include "engine/run_budget.h"
#include "engine/run_estimate.h"
#include "engine/run_prompt.h"
#include "engine/run_spec.h"
#include "engine/sampler.h"
#include "engine/session.h"
#include "engine/stream.h"
#include "engine/tokenizer.h"
#include "engine/weights_guard.h"
#include "kernels/kern_type.h"

#define PROGRAM "hearth-run"
#define CTX_DEFAULT 4096u
#define CTX_PERPLEXITY 512u

void run_error(const char *text)
{
	const char *p;

	fputs(PROGRAM ": ", stderr);
	for (p = text; *p != '\0'; p++)
		fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, stderr);
	fputc('\n', stderr);
}

bool run_interrupted(void *arg)
{
	struct run *r = arg;
	const struct timespec at_once = { 0, 0 };

	if (r->signal == 0) {
		int sig = sigtimedwait(&r->signals, NULL, &at_once);

		r->signal = sig > 0 ? sig : 0;
	}
	return r->signal != 0;
}

bool run_between_layers(void *arg)
{
	run_progress_draw(arg);
	return run_interrupted(arg);
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
	if (r->o.perplexity != NULL && r->o.n_ctx < 0)
		return train < CTX_PERPLEXITY ? train : CTX_PERPLEXITY;
	if (r->o.bench != NULL && r->o.n_ctx < 0)
		return run_bench_context(r->o.bench);
	if (r->o.n_ctx == 0)
		return train;
	return train < CTX_DEFAULT ? train : CTX_DEFAULT;
}

/* The id of a KV cache type, KERN_TYPE_COUNT when there is no such. */
static uint32_t kv_type(const char *name)
{
	static const struct { const char *name; uint32_t type; } types[] = {
		{ "f32", KERN_F32 }, { "f16", KERN_F16 }, { "bf16", KERN_BF16 }, { "q8_0", KERN_Q8_0 }, { "q4_0", KERN_Q4_0 },
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	return KERN_TYPE_COUNT;
}

/* -1: there is no such order. */
static int prefill_order(const char *name)
{
	static const char *const names[] = { "auto", "batch", "layer" };        /* enum session_order */
	int i;

	for (i = 0; i < 3; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* The budget that was given, or what the machine suggests. */
static uint64_t budget_of(struct run *r, const struct session_params *p)
{
	char line[RUN_LINE];
	uint64_t budget;

	if (r->o.ram_budget != 0)
		return r->o.ram_budget > 0 ? (uint64_t)r->o.ram_budget : 0;
	budget = run_budget_default(r->model, p, "", line, sizeof(line));
	if (line[0] != '\0')
		run_error(line);
	return budget;
}

/* What is used later is locked then. */
static void lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0)
		run_error("memory is not locked: --mlock needs CAP_IPC_LOCK, or a limit of locked memory (ulimit -l) as large as the model");
}

/* What speculation needs before the session, and on it. */
static int open_draft(struct run *r, struct run_spec_params *spec, struct session_params *p, char *err, size_t errlen)
{
	int rc = 0;

	if (run_spec_ask(spec, &r->o) != NULL)
		return -EINVAL;         /* check_options said it */
	run_spec_need(spec, p);
	if (spec->model)
		rc = run_draft_open(&r->draft, r->o.model_draft, r->tok, r->n_ids, p, err, errlen);
	run_draft_set_cancel(r->draft, run_interrupted, r);
	return rc;
}

static int open_spec(struct run *r, const struct run_spec_params *spec, char *err, size_t errlen)
{
	int rc = 0;

	if (run_spec_asked(spec))
		rc = run_spec_new(&r->spec, spec, r->session, r->draft, r->tok);
	if (rc != 0)
		snprintf(err, errlen, "out of memory");
	return rc;
}

/* What is allocated so far: the tokenizer above all. */
static uint64_t heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static int open_session(struct run *r)
{
	struct run_spec_params spec;
	struct session_params p = {
		.n_ctx = context_size(r),
		.n_batch = (uint32_t)(r->o.n_batch < r->o.n_ubatch ? r->o.n_batch : r->o.n_ubatch),
		.n_threads = r->o.n_threads != 0 ? (uint32_t)r->o.n_threads : n_processors(),
		.n_threads_batch = (uint32_t)r->o.n_threads_batch,
		.type_k = kv_type(r->o.type_k), .type_v = kv_type(r->o.type_v), .isa = r->o.isa,
		.n_batch_most = (uint32_t)r->o.n_batch, .layers_ahead = (uint32_t)r->o.stream_ahead,
		.layers_most = (uint32_t)r->o.max_loaded_layers, .order = (enum session_order)prefill_order(r->o.prefill_order),
		.budget = r->o.ram_budget > 0 ? (uint64_t)r->o.ram_budget : 0,
		.others = heap_bytes(),
		.n_logits = r->o.perplexity == NULL && r->o.logits == NULL ? 1 : 0,
		.kv_dir = r->o.kv_disk, .kv_keep = r->o.kv_keep, .kv_ram = (uint64_t)r->o.kv_ram,
	};
	char line[RUN_LINE];

	if (r->n_prompt > p.n_ctx && r->o.perplexity == NULL) {
		snprintf(line, sizeof(line), "the prompt has %zu tokens, more than the context of %u (-c)", r->n_prompt,
			 p.n_ctx);
		run_error(line);
		return RUN_FAILED;
	}
	if (open_draft(r, &spec, &p, line, sizeof(line)) != 0) {
		run_error(line);
		return RUN_FAILED;
	}
	p.budget = r->budget = budget_of(r, &p);
	if (r->o.estimate || r->o.min_speed > 0.0) {
		int status = run_estimate(r, &p);

		if (status != RUN_OK || r->o.estimate)
			return status;
	}
	if (session_open(&r->session, r->model, &p, line, sizeof(line)) != 0 || open_spec(r, &spec, line, sizeof(line)) != 0) {
		run_error(line);
		return RUN_FAILED;
	}
	if (r->o.mlock)
		lock_memory();
	session_set_cancel(r->session, run_between_layers, r);
	return RUN_OK;
}

/* sampler_ban_fn: tokens that end the text */
static bool ends_text(void *arg, uint32_t id)
{
	return tokenizer_is_eog(arg, id);
}

/* ID+X or ID-X, as llama.cpp writes them. */
static int parse_bias(const struct run *r, const char *text, struct sampler_bias *b)
{
	unsigned long id;
	char *end;

	errno = 0;
	id = strtoul(text, &end, 10);
	if (end == text || errno != 0 || id >= r->n_ids || (*end != '+' && *end != '-'))
		return -EINVAL;
	b->id = (uint32_t)id;
	text = end;
	b->bias = strtof(text, &end);
	return end == text + 1 || *end != '\0' ? -EINVAL : 0;
}

static int parse_biases(const struct run *r, struct sampler_bias *list)
{
	char line[RUN_LINE];
	size_t i;

	for (i = 0; i < r->o.logit_bias.n; i++) {
		if (parse_bias(r, r->o.logit_bias.at[i], &list[i]) == 0)
			continue;
		snprintf(line, sizeof(line), "-l '%.64s' is not a token id below %u with +X or -X behind it", r->o.logit_bias.at[i],
			 r->n_ids);
		run_error(line);
		return RUN_USAGE;
	}
	return RUN_OK;
}

static int open_sampler(struct run *r)
{
	struct sampler_bias bias[RUN_OPTIONS_LIST];
	struct sampler_params p = {
		.temp = (float)r->o.temp, .top_k = (int32_t)r->o.top_k, .top_p = (float)r->o.top_p,
		.min_p = (float)r->o.min_p, .repeat_penalty = (float)r->o.repeat_penalty,
		.repeat_last_n = r->o.repeat_last_n < 0 ? session_n_ctx(r->session) : (uint32_t)r->o.repeat_last_n,
		.frequency_penalty = (float)r->o.frequency_penalty, .presence_penalty = (float)r->o.presence_penalty,
		.bias = bias, .n_bias = r->o.logit_bias.n,
	};
	int rc, status = parse_biases(r, bias);

	if (status != RUN_OK)
		return status;
	r->seed = (uint64_t)r->o.seed;
	if (r->o.seed < 0 && getrandom(&r->seed, 4, 0) == 4)
		r->seed &= 0xffffffffu;
	p.seed = r->seed;
	rc = sampler_new(&r->sampler, &p, r->n_ids);
	if (rc != 0) {
		run_error(rc == -EINVAL ? "a bias of -l is no number, or too large" : "out of memory");
		return RUN_FAILED;
	}
	if (r->o.ignore_eos)
		sampler_set_ban(r->sampler, ends_text, r->tok);
	return RUN_OK;
}

static bool talks(const struct run_options *o)
{
	return o->conversation || o->single_turn || o->system != NULL;
}

static int open_model(struct run *r)
{
	char line[RUN_LINE], reason[RUN_LINE / 2];

	if (model_open(&r->model, r->o.model, line, sizeof(line)) != 0) {
		run_error(line);
		return RUN_FAILED;
	}
	if (tokenizer_new(&r->tok, model_meta(r->model), reason, sizeof(reason)) != 0) {
		snprintf(line, sizeof(line), "%s: %s", r->o.model, reason);
		run_error(line);
		return RUN_FAILED;
	}
	r->n_ids = tokenizer_n_tokens(r->tok) < model_n_vocab(r->model) ? tokenizer_n_tokens(r->tok) :
									 model_n_vocab(r->model);
	if (talks(&r->o) || r->o.bench != NULL || r->o.estimate)
		return RUN_OK;
	if (run_prompt(&r->prompt, &r->n_prompt, &r->o, r->tok, line, sizeof(line)) != 0) {
		run_error(line);
		return RUN_FAILED;
	}
	return RUN_OK;
}

/* ---- running ------------------------------------------------------------------------------------- */

int run_report(const struct run *r, int rc, const char *subject)
{
	char line[RUN_LINE], reason[128];

	if (rc == 0 || r->signal != 0)
		return RUN_OK;
	if (rc == -EDOM)
		snprintf(line, sizeof(line), "%s: the logits are not numbers", r->o.model);
	else if (rc == -EINVAL)
		snprintf(line, sizeof(line), "%s: a token id is outside the vocabulary of %u", r->o.model,
			 model_n_vocab(r->model));
	else if (rc == -EREMOTEIO && session_kv_error(r->session, line, sizeof(line)) != 0)
		;
	else if (subject == r->o.model && (rc == -ESTALE || rc == -EIO))
		snprintf(line, sizeof(line), "%s: %s", subject, rc == -ESTALE ? "the file changed while it was used" :
			 "a part of the file cannot be read");
	else if (rc == -ENOSPC && subject == r->o.model)
		snprintf(line, sizeof(line), "the context of %u tokens is full (-c)", session_n_ctx(r->session));
	else
		snprintf(line, sizeof(line), "%s: %s", subject, strerror_r(-rc, reason, sizeof(reason)));
	run_error(line);
	return RUN_FAILED;
}

static int print_ids(const struct run *r)
{
	size_t i;

	for (i = 0; i < r->n_prompt; i++)
		printf("%s%u", i != 0 ? "," : "", r->prompt[i]);
	putchar('\n');
	errno = 0;
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return RUN_OK;
	return run_report(r, errno != 0 ? -errno : -EIO, "standard output");
}

static void print_stream(const struct run *r)
{
	struct stream_stats s;

	session_stream_stats(r->session, &s);
	if (s.kind == NULL)
		return;
	fprintf(stderr, PROGRAM ": budget  %.1f MB, of that %.1f MB of weights held, %.1f %% of the model\n", (double)r->budget / 1e6,
		(double)s.held / 1e6, 100.0 * (double)s.held / (double)model_bytes(r->model));
	fprintf(stderr, PROGRAM ": stream  %llu passes, %.1f MB of weights read in each by %s\n", (unsigned long long)s.passes,
		s.passes > 0 ? (double)s.read / 1e6 / (double)s.passes : 0.0, s.kind);
	if (s.routed > 0)
		fprintf(stderr, PROGRAM ": experts %.1f %% of what was asked for was held\n", 100.0 * (double)s.routed_held / (double)s.routed);
}

static void print_kv(const struct run *r)
{
	struct kv_disk_stats s;

	session_kv_stats(r->session, &s);
	if (r->o.kv_disk != NULL)
		fprintf(stderr, PROGRAM ": cache   on disk, %.1f MB read, %.1f MB written, %.3f s waited\n", (double)s.read / 1e6,
			(double)s.written / 1e6, s.wait_s);
}

/* Where the time of prompts and texts went, when some of it went to the disk. */
static void print_times(const struct run *r)
{
	struct stream_stats w;
	struct kv_disk_stats c;
	double waited;

	session_stream_stats(r->session, &w);
	session_kv_stats(r->session, &c);
	waited = w.wait_s + c.wait_s;
	if (w.kind != NULL || r->o.kv_disk != NULL)
		fprintf(stderr, PROGRAM ": time    %.3f s read from disk, of that %.3f s waited for; %.3f s computed\n", w.busy_s + c.busy_s,
			waited, r->prompt_s + r->decode_s - waited);
}

static void print_spec(const struct run *r)
{
	struct run_spec_stats s = run_spec_stats(r->spec);

	fprintf(stderr, PROGRAM ": drafts  %llu tokens, %llu accepted, %.1f %%; %.2f tokens a pass\n", (unsigned long long)s.drafted,
		(unsigned long long)s.accepted, s.drafted > 0 ? 100.0 * (double)s.accepted / (double)s.drafted : 0.0,
		s.passes > 0 ? (double)s.taken / (double)s.passes : 0.0);
}

static void print_perf(const struct run *r)
{
	double prompt = r->prompt_s > 0 ? (double)r->n_evaluated / r->prompt_s : 0;
	double decode = r->decode_s > 0 ? (double)r->n_decoded / r->decode_s : 0;
	double passes = r->decode_s > 0 ? (double)r->n_passes / r->decode_s : 0;
	struct stream_stats w;

	fprintf(stderr, PROGRAM ": load    %.3f s, %s, %.1f MB of weights, %s, %u threads\n", r->load_s,
		model_arch(r->model), (double)model_bytes(r->model) / 1e6, session_isa(r->session),
		session_n_threads(r->session));
	fprintf(stderr, PROGRAM ": context %u tokens, %.1f MB of KV cache, keys %s, values %s, seed %llu\n",
		session_n_ctx(r->session), (double)session_kv_bytes(r->session) / 1e6, r->o.type_k, r->o.type_v,
		(unsigned long long)r->seed);
	print_kv(r);
	print_stream(r);
	fprintf(stderr, PROGRAM ": prompt  %llu tokens, %.3f s, %.2f tokens/s", (unsigned long long)r->n_evaluated, r->prompt_s, prompt);
	session_stream_stats(r->session, &w);
	if (w.kind != NULL)
		fprintf(stderr, ", passes over the weights: %llu", (unsigned long long)(w.passes - r->n_passes));
	fputc('\n', stderr);
	fprintf(stderr, PROGRAM ": decode  %llu tokens, %.3f s, %.2f tokens/s, %.2f GB/s of weights\n",
		(unsigned long long)r->n_decoded, r->decode_s, decode,
		passes * (double)model_bytes_per_token(r->model) / 1e9);
	print_times(r);
	if (r->spec != NULL)
		print_spec(r);
}

static int run(struct run *r)
{
	double t0 = clock_now();
	int status = open_model(r);

	if (status != RUN_OK)
		return status;
	if (r->o.tokenize)
		return print_ids(r);
	if ((status = open_session(r)) != RUN_OK || r->o.estimate)
		return status;
	r->load_s = clock_now() - t0;
	if (r->o.bench != NULL)
		return run_bench(r);
	if (r->o.perplexity != NULL)
		return run_perplexity(r);
	if ((status = open_sampler(r)) != RUN_OK || (status = run_cache_load(r)) != RUN_OK)
		return status;
	status = talks(&r->o) ? run_chat(r) : run_text(r);
	if (status == RUN_OK)
		status = run_cache_end(r);
	if (status == RUN_OK && r->o.kv_keep)
		status = run_cache_keep(r);
	if (r->o.perf)
		print_perf(r);
	return status;
}

/* ---- command line -------------------------------------------------------------------------------- */

static int usage(const char *line)
{
	run_error(line);
	fputs("Try '" PROGRAM " --help'.\n", stderr);
	return RUN_USAGE;
}

static bool isa_ok(const char *name)
{
	return name == NULL || strcmp(name, "ref") == 0 || strcmp(name, "avx2") == 0 || strcmp(name, "avx512") == 0;
}

static int check_options(const struct run_options *o)
{
	struct run_spec_params spec;
	const char *line;

	if (o->model == NULL)
		return usage("no model: -m FILE is missing");
	if ((o->prompt != NULL) + (o->prompt_file != NULL) + (o->tokens != NULL) + (o->perplexity != NULL) +
	    (o->bench != NULL) > 1)
		return usage("only one of -p, -f, --tokens, --perplexity and --bench can be the prompt");
	if (o->bench != NULL && run_bench_context(o->bench) == 0)
		return usage("the tests of --bench are ppN and tgN, behind a depth with @dN, with commas between");
	if (talks(o) && (o->tokens != NULL || o->perplexity != NULL || o->bench != NULL || o->logits != NULL))
		return usage("a conversation (-cnv, -st, -sys) begins with -p or -f, and gives no logits");
	if (o->json && (o->perplexity != NULL || o->bench != NULL || o->tokenize))
		return usage("--json is for texts");
	if (o->prompt_cache != NULL && (o->logits != NULL || o->perplexity != NULL || o->bench != NULL))
		return usage("--prompt-cache is for texts, and gives no logits of all positions");
	if (o->prompt_cache == NULL && (o->prompt_cache_all || o->prompt_cache_ro))
		return usage("--prompt-cache-all and --prompt-cache-ro need the file, --prompt-cache FILE");
	if (o->kv_disk == NULL && (o->kv_keep || o->kv_ram != 0))
		return usage("--kv-keep and --kv-ram need the folder, --kv-disk DIR");
	if (o->kv_keep && (o->logits != NULL || o->perplexity != NULL || o->bench != NULL))
		return usage("--kv-keep is for texts, and gives no logits of all positions");
	if (o->kv_disk != NULL && o->prompt_cache != NULL)
		return usage("--prompt-cache is for a KV cache in memory: with --kv-disk it is --kv-keep");
	if (o->prompt_cache_all && o->prompt_cache_ro)
		return usage("only one of --prompt-cache-all and --prompt-cache-ro can be");
	if (o->chat_template != NULL && o->chat_template_file != NULL)
		return usage("only one of --chat-template and --chat-template-file can be the template");
	if (kv_type(o->type_k) == KERN_TYPE_COUNT || kv_type(o->type_v) == KERN_TYPE_COUNT)
		return usage("the KV cache types are f32, f16, bf16, q8_0 and q4_0");
	if (prefill_order(o->prefill_order) < 0)
		return usage("the orders of --prefill-order are auto, batch and layer");
	if (!isa_ok(o->isa))
		return usage("the instruction sets are ref, avx2 and avx512");
	line = run_spec_ask(&spec, o);
	return line != NULL ? usage(line) : RUN_OK;
}

static void close_all(struct run *r)
{
	sampler_free(r->sampler);
	run_spec_free(r->spec);
	run_draft_close(r->draft);
	session_close(r->session);
	free(r->prompt);
	tokenizer_free(r->tok);
	model_close(r->model);
}

int main(int argc, char **argv)
{
	struct run r = { 0 };
	char line[RUN_LINE];
	int status;

	if (run_options_parse(&r.o, argc, argv, line, sizeof(line)) != 0)
		return usage(line);
	if (r.o.help || r.o.version) {
		if (r.o.help)
			run_options_help(stdout);
		else
			puts(PROGRAM " " HEARTH_VERSION);
		return fflush(stdout) == 0 ? RUN_OK : RUN_FAILED;
	}
	status = check_options(&r.o);
	if (status != RUN_OK)
		return status;
	signal(SIGPIPE, SIG_IGN);       /* a closed pipe is a write error */
	weights_guard_install();
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
