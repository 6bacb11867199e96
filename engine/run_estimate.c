/* run_estimate.c - see run_estimate.h. */
#include "engine/run_estimate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/plan.h"
#include "engine/probe.h"
#include "engine/room.h"
#include "engine/weights.h"
#include "kernels/kern.h"
#include "kernels/kern_pool.h"

#define GB 1e9
#define CACHE_COLS 4096u
#define CACHE_ROWS 4096u

struct estimate {
	struct run *r;
	struct session_params p;
	struct session_sizes sizes;
	struct model_size size;
	struct plan_rates rates;
	struct plan empty, full;        /* with nothing and with everything in the context */
	double kv_token;                /* bytes a position */
	struct room room;
};

/* ---- measuring ----------------------------------------------------------------------------------- */

/* Of the types that matter; the others count as the fastest of them. */
static int probe_types(struct estimate *e)
{
	const struct kern_isa *isa = kern_isa_find(e->p.isa);
	double all = 0.0, fastest = 0.0;
	struct kern_pool *pool;
	uint32_t i;

	if (isa == NULL || kern_pool_open(&pool, e->p.n_threads) != 0)
		return RUN_FAILED;
	for (i = 0; i < KERN_TYPE_COUNT; i++)
		all += e->size.dense_type[i] + e->size.expert_type[i];
	for (i = 0; i < KERN_TYPE_COUNT; i++) {
		struct probe_shape shape = { i, e->size.shape[i].cols, e->size.shape[i].rows };

		if (i == KERN_F16 && shape.cols == 0)
			shape = (struct probe_shape){ i, CACHE_COLS, CACHE_ROWS };      /* for the KV cache */
		if (e->size.dense_type[i] + e->size.expert_type[i] > all / 100 || i == KERN_F16)
			e->rates.matmul[i] = probe_matmul(isa, pool, &shape);
		if (e->rates.matmul[i] > fastest)
			fastest = e->rates.matmul[i];
	}
	for (i = 0; i < KERN_TYPE_COUNT; i++)
		if (e->rates.matmul[i] <= 0.0)
			e->rates.matmul[i] = fastest;
	e->rates.step = probe_step(pool);
	kern_pool_close(pool);
	return RUN_OK;
}

/* KV bytes a position, by the difference that one more block of positions makes. */
static double kv_token(const struct estimate *e)
{
	struct session_params p = e->p;
	struct session_sizes a, b;
	char err[256];

	p.budget = 0;
	p.layers_most = 0;
	p.kv_dir = NULL;
	p.n_ctx = 1 << 16;
	if (session_sizes(e->r->model, &p, &a, err, sizeof(err)) != 0)
		return 0.0;
	p.n_ctx *= 2;
	if (session_sizes(e->r->model, &p, &b, err, sizeof(err)) != 0)
		return 0.0;
	return (double)(b.kv - a.kv) / (1 << 16);
}

static int measure(struct estimate *e)
{
	double resident = (double)weights_resident_bytes(e->r->model->w) / (double)model_bytes(e->r->model);
	char line[RUN_LINE];

	if (session_sizes(e->r->model, &e->p, &e->sizes, line, sizeof(line)) != 0) {
		run_error(line);
		return RUN_FAILED;
	}
	if (resident > 1.0)
		resident = 1.0;
	model_size(e->r->model, &e->size);
	e->kv_token = kv_token(e);
	if (room_read(&e->room, "") != 0)
		e->room.left = 0;
	if (probe_types(e) != RUN_OK) {
		run_error("the machine cannot be measured");
		return RUN_FAILED;
	}
	plan_make(&e->empty, e->r->model, &e->sizes, &e->rates, 0, resident, e->kv_token);
	if (e->empty.token_disk > 0.0)
		e->rates.disk = probe_disk(e->r->model->w, e->sizes.slot, e->sizes.slots);
	plan_make(&e->empty, e->r->model, &e->sizes, &e->rates, 0, resident, e->kv_token);
	plan_make(&e->full, e->r->model, &e->sizes, &e->rates, e->p.n_ctx, resident, e->kv_token);
	return RUN_OK;
}

/* ---- printing ------------------------------------------------------------------------------------ */

static void print_part(FILE *f, const char *what, double bytes)
{
	fprintf(f, "  %-34s %10.1f MB\n", what, bytes / 1e6);
}

static void print_parts(const struct estimate *e, FILE *f)
{
	const struct session_sizes *z = &e->sizes;
	uint32_t n = e->r->model->dims.n_layer;
	char what[64];

	fprintf(f, "weights, %.2f billion\n", e->size.values / 1e9);
	snprintf(what, sizeof(what), "%u layers", n);
	print_part(f, what, e->size.layers);
	snprintf(what, sizeof(what), "  each, the largest %.1f MB", e->size.layer_most / 1e6);
	print_part(f, what, e->size.layers / n);
	if (e->size.experts > 0.0)
		print_part(f, "experts", e->size.experts);
	print_part(f, "output", e->size.output);
	print_part(f, "tables and the rest", e->size.tables);
	fprintf(f, "memory\n");
	snprintf(what, sizeof(what), "KV cache, %u tokens%s", e->p.n_ctx, e->p.kv_dir != NULL ? ", on disk" : "");
	print_part(f, what, (double)z->kv);
	snprintf(what, sizeof(what), "buffers, batches of %u", z->n_batch);
	print_part(f, what, (double)z->graph);
	print_part(f, "logits, tables, program", (double)z->other);
	if (z->slots != 0)
		print_part(f, "weights on their way", (double)z->ring);
	print_part(f, z->slots != 0 ? "weights held" : "weights, mapped", e->empty.memory - (double)(z->kv + z->graph + z->other + z->ring));
	print_part(f, "in all", e->empty.memory);
	print_part(f, "the least budget that works", (double)z->least);
	if (e->room.left > 0)
		print_part(f, "left on this machine", (double)e->room.left);
	fprintf(f, "  layers in memory                   %10.1f of %u\n", e->empty.layers, n);
}

static const char *bound_name(enum plan_bound b)
{
	return b == PLAN_BY_DISK ? "the disk" : b == PLAN_BY_COMPUTE ? "memory and processor" : "nobody knows what";
}

static void print_speed(const struct estimate *e, FILE *f)
{
	fprintf(f, "a token\n");
	print_part(f, "from memory", e->empty.token_memory);
	print_part(f, "from disk", e->empty.token_disk);
	if (e->rates.disk > 0.0)
		fprintf(f, "  disk, measured                     %10.1f MB/s, %.1f ms\n", e->rates.disk / 1e6, e->empty.disk_s * 1e3);
	fprintf(f, "  computing, measured                %10.1f ms\n", e->empty.compute_s * 1e3);
	if (e->sizes.slots != 0) {
		fprintf(f, "a prompt of %u tokens\n  passes over the weights            %10u\n", e->p.n_ctx, e->sizes.prompt_passes);
		print_part(f, "from disk", e->sizes.prompt_read);
	}
	fprintf(f, "predicted %.2f tokens/s, bound by %s; %.2f at the end of the context\n", e->empty.speed, bound_name(e->empty.bound),
		e->full.speed);
}

/* Memory of other quantisations and contexts of this model, beside what is left. */
static void print_table(const struct estimate *e, FILE *f)
{
	static const uint32_t contexts[] = { 4096, 8192, 32768, 131072 };
	const struct plan_quantisation *q;
	struct session_params p = e->p;
	struct session_sizes z;
	char err[256];
	unsigned i;
	size_t k;

	p.budget = 0;
	p.layers_most = 0;
	fprintf(f, "memory of other quantisations and contexts, GB; * fits in what is left\n  %-10s %8s", "", "weights");
	for (k = 0; k < sizeof(contexts) / sizeof(contexts[0]); k++)
		fprintf(f, " %9u", contexts[k]);
	fputc('\n', f);
	for (i = 0; (q = plan_quantisation(i)) != NULL; i++) {
		double weights = e->size.values * q->bits / 8.0;

		fprintf(f, "  %-10s %8.1f", q->name, weights / GB);
		for (k = 0; k < sizeof(contexts) / sizeof(contexts[0]); k++) {
			double all;

			p.n_ctx = contexts[k];
			if (session_sizes(e->r->model, &p, &z, err, sizeof(err)) != 0) {
				fprintf(f, " %9s", "-");
				continue;
			}
			all = weights + (double)(z.kv + z.graph + z.other);
			fprintf(f, " %8.1f%c", all / GB, all <= (double)e->room.left ? '*' : ' ');
		}
		fputc('\n', f);
	}
}

static void print(const struct estimate *e, FILE *f)
{
	print_parts(e, f);
	print_speed(e, f);
	print_table(e, f);
}

int run_estimate(struct run *r, const struct session_params *p)
{
	struct estimate *e = calloc(1, sizeof(*e));
	char line[RUN_LINE];
	int status;

	if (e == NULL) {
		run_error("out of memory");
		return RUN_FAILED;
	}
	e->r = r;
	e->p = *p;
	status = measure(e);
	if (status == RUN_OK && r->o.min_speed > 0.0 && e->empty.speed < r->o.min_speed) {
		print(e, stderr);
		snprintf(line, sizeof(line), "%.2f tokens/s are predicted, fewer than the %.2f of --min-speed", e->empty.speed, r->o.min_speed);
		run_error(line);
		status = RUN_FAILED;
	} else if (status == RUN_OK && r->o.estimate) {
		print(e, stdout);
		status = fflush(stdout) == 0 ? RUN_OK : RUN_FAILED;
	}
	free(e);
	return status;
}
