/* train.c - trains the demo model's network on stories that are already token ids.
 *
 *	train WORK STEPS WORKERS
 *
 * WORK/shape holds "vocab width layers heads kv_heads hidden" as text, WORK/weights.bin the first
 * weights, WORK/train.bin and WORK/held-out.bin the stories: for each, u16 length and length times
 * u16 id.  It writes WORK/weights.bin, and every CHECKPOINT steps WORK/state.bin, from which a
 * stopped run goes on.  make_model.py does the rest.
 *
 * Each worker (a thread) computes the gradient of its own stories of the batch; then each steps its
 * own share of the matrices with the sum of all.  Sums go in worker order: a run is a function of
 * its input and the number of workers.
 */
#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net.h"

#define WORKERS_MAX 16
#define WARM_UP 100             /* steps */
#define CHECKPOINT 250
#define REPORT 50
#define HELD_OUT_SAMPLE 40      /* stories looked at at each checkpoint */
#define MATRIX_RATE 0.015f      /* peak rate of the matrices in the layers (Muon) ... */
#define OTHER_RATE 0.004f       /* ... and of the embedding and the norms (Adam) */
#define MOMENTUM 0.95f
#define DECAY 0.01f
#define BETA1 0.9f
#define BETA2 0.95f

struct matrix {                 /* one that Muon steps */
	size_t at;              /* in the array of weights */
	int rows, cols;
};

struct stories {
	uint16_t *ids;          /* all stories, owned */
	size_t *start;          /* [count + 1], owned */
	size_t count;
};

struct worker {
	struct trainer *t;
	int rank;
	struct pass pass;
	struct net grad;
	float *ns[4];                           /* scratch of the orthogonalisation */
	double loss;
};

struct trainer {
	struct shape shape;
	size_t count;                           /* of weights */
	struct net net;
	float *moment, *square;                 /* [count]: Muon's momentum or Adam's first; Adam's second */
	struct matrix matrix[LAYERS_MAX * 7];
	int matrices, steps, workers, step;
	struct stories train, held_out;
	struct worker worker[WORKERS_MAX];
	pthread_barrier_t barrier;
	char work[4096];
	double began, spent;
	uint64_t seen;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static float *new_floats(size_t n)
{
	float *p = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);

	if (p == NULL)
		die("memory");
	memset(p, 0, n * sizeof(float));
	return p;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void add_matrix(struct trainer *t, const float *p, int rows, int cols)
{
	t->matrix[t->matrices++] = (struct matrix){ (size_t)(p - t->net.all), rows, cols };
}

static void list_matrices(struct trainer *t)
{
	const struct shape *s = &t->shape;

	for (int i = 0; i < s->layers; i++) {
		const struct layer *l = &t->net.layer[i];
		const float *k = l->qkv + s->width * s->width;

		add_matrix(t, l->qkv, s->width, s->width);
		add_matrix(t, k, s->kv_width, s->width);
		add_matrix(t, k + s->kv_width * s->width, s->kv_width, s->width);
		add_matrix(t, l->attn_output, s->width, s->width);
		add_matrix(t, l->gate_up, s->hidden, s->width);
		add_matrix(t, l->gate_up + s->hidden * s->width, s->hidden, s->width);
		add_matrix(t, l->down, s->width, s->hidden);
	}
}

/* ------------------------------------------------------------------ steps */

/* m [rows][cols] becomes the nearest orthogonal matrix, roughly: a Newton-Schulz iteration of degree 5 that
 * takes every singular value to 0.7 .. 1.2 (Jordan et al., Muon, 2024). */
static void orthogonalise(struct worker *w, float *m, int rows, int cols)
{
	const bool tall = rows > cols;
	const int a = tall ? cols : rows, b = tall ? rows : cols;
	const size_t size = (size_t)a * (size_t)b;
	float *x = w->ns[0], *next = w->ns[1], *gram = w->ns[2], *poly = w->ns[3], *swap, norm;

	norm = cblas_snrm2((int)size, m, 1) + 1e-7f;
	for (int i = 0; i < rows; i++)
		for (int j = 0; j < cols; j++)
			x[tall ? j * rows + i : i * cols + j] = m[i * cols + j] / norm;
	for (int pass = 0; pass < 5; pass++) {
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, a, a, b, 1, x, b, x, b, 0, gram, a);
		memcpy(poly, gram, (size_t)a * (size_t)a * sizeof(float));
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, a, a, a, 2.0315f, gram, a, gram, a, -4.7750f,
			    poly, a);
		memcpy(next, x, size * sizeof(float));
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, a, b, a, 1, poly, a, x, b, 3.4445f, next, b);
		swap = x;
		x = next;
		next = swap;
	}
	for (int i = 0; i < rows; i++)
		for (int j = 0; j < cols; j++)
			m[i * cols + j] = x[tall ? j * rows + i : i * cols + j];
}

/* Adds up the gradient of weights at .. at + n over the workers, into the first worker's array. */
static float *sum_gradients(struct trainer *t, size_t at, size_t n)
{
	float *sum = t->worker[0].grad.all + at;

	for (int i = 1; i < t->workers; i++)
		net_add(sum, t->worker[i].grad.all + at, n);
	return sum;
}

static void muon_step(struct worker *w, const struct matrix *m, float rate)
{
	struct trainer *t = w->t;
	const size_t n = (size_t)m->rows * (size_t)m->cols;
	float *g = sum_gradients(t, m->at, n), *p = t->net.all + m->at, *moment = t->moment + m->at;
	const float by = rate * sqrtf(m->rows > m->cols ? (float)m->rows / (float)m->cols : 1);

	for (size_t i = 0; i < n; i++) {
		moment[i] = MOMENTUM * moment[i] + (1 - MOMENTUM) * g[i];
		g[i] = (1 - MOMENTUM) * g[i] + MOMENTUM * moment[i];
	}
	orthogonalise(w, g, m->rows, m->cols);
	for (size_t i = 0; i < n; i++)
		p[i] = p[i] * (1 - rate * DECAY) - by * g[i];
}

static void adam_step(struct trainer *t, const float *from, size_t n, float rate)
{
	const size_t at = (size_t)(from - t->net.all);
	const float *g = sum_gradients(t, at, n);
	float *p = t->net.all + at, *m = t->moment + at, *v = t->square + at;
	const float c1 = 1 - powf(BETA1, (float)(t->step + 1)), c2 = 1 - powf(BETA2, (float)(t->step + 1));

	for (size_t i = 0; i < n; i++) {
		m[i] = BETA1 * m[i] + (1 - BETA1) * g[i];
		v[i] = BETA2 * v[i] + (1 - BETA2) * g[i] * g[i];
		p[i] -= rate * (m[i] / c1) / (sqrtf(v[i] / c2) + 1e-8f);
	}
}

/* Warm-up, full rate until half of the steps, then a straight line to zero. */
static float rate_at(int step, int steps)
{
	const float warm = (float)(step + 1) / WARM_UP, rest = 2 * (float)(steps - step) / (float)steps;

	return fminf(1, fminf(warm, rest));
}

static void take_step(struct worker *w)
{
	struct trainer *t = w->t;
	const float rate = rate_at(t->step, t->steps);
	const size_t d = (size_t)t->shape.width;

	for (int i = w->rank; i < t->matrices; i += t->workers)
		muon_step(w, &t->matrix[i], rate * MATRIX_RATE);
	if (w->rank != t->workers - 1)
		return;
	adam_step(t, t->net.embd, (size_t)t->shape.vocab * d, rate * OTHER_RATE);
	adam_step(t, t->net.output_norm, d, rate * OTHER_RATE);
	for (int i = 0; i < t->shape.layers; i++) {
		adam_step(t, t->net.layer[i].attn_norm, d, rate * OTHER_RATE);
		adam_step(t, t->net.layer[i].ffn_norm, d, rate * OTHER_RATE);
	}
}

/* Gives the worker its stories among first .. first + count; returns the targets in all of them. */
static size_t share_out(struct worker *w, const struct stories *s, size_t first, size_t count)
{
	struct pass *p = &w->pass;

	p->stories = 0;
	for (size_t i = first; i < first + count; i++)
		if ((int)((i - first) % (size_t)w->t->workers) == w->rank) {
			p->story[p->stories] = s->ids + s->start[i];
			p->len[p->stories++] = (int)(s->start[i + 1] - s->start[i]);
		}
	return s->start[first + count] - s->start[first] - count;
}

/* The mean loss of a token over the first stories held out. All workers call it, after a barrier. */
static double held_out_loss(struct worker *w)
{
	struct trainer *t = w->t;
	const size_t count = t->held_out.count < HELD_OUT_SAMPLE ? t->held_out.count : HELD_OUT_SAMPLE;
	size_t targets = 0;
	double loss = 0;

	w->loss = 0;
	for (size_t i = 0; i < count / BATCH * BATCH; i += BATCH) {
		targets += share_out(w, &t->held_out, i, BATCH);
		w->loss += pass_forward(&w->pass, &t->net, 0);
	}
	pthread_barrier_wait(&t->barrier);
	for (int i = 0; i < t->workers; i++)
		loss += t->worker[i].loss;
	pthread_barrier_wait(&t->barrier);
	return loss / (double)targets;
}

/* ------------------------------------------------------------------ files */

static FILE *open_in(const struct trainer *t, const char *name, const char *mode)
{
	char path[sizeof(t->work) + 64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t->work, name);
	f = fopen(path, mode);
	if (f == NULL && mode[0] == 'r' && strcmp(name, "state.bin") == 0)
		return NULL;
	if (f == NULL)
		die(path);
	return f;
}

static void read_stories(const struct trainer *t, const char *name, struct stories *s)
{
	FILE *f = open_in(t, name, "rb");
	size_t ids_room = 1 << 20, room = 1 << 12, used = 0;
	uint16_t len;

	s->ids = malloc(ids_room * sizeof(*s->ids));
	s->start = malloc(room * sizeof(*s->start));
	while (s->ids != NULL && s->start != NULL && fread(&len, sizeof(len), 1, f) == 1) {
		if (len < 2 || len > STORY_MAX) {
			fprintf(stderr, "%s: a story of %d tokens\n", name, len);
			exit(1);
		}
		if (used + len > ids_room)
			s->ids = realloc(s->ids, (ids_room *= 2) * sizeof(*s->ids));
		if (s->count + 2 > room)
			s->start = realloc(s->start, (room *= 2) * sizeof(*s->start));
		if (s->ids == NULL || s->start == NULL || fread(s->ids + used, sizeof(len), len, f) != len)
			die(name);
		s->start[s->count++] = used;
		used += len;
		s->start[s->count] = used;
	}
	fclose(f);
}

static void transfer(FILE *f, float *p, size_t n, bool writing)
{
	if ((writing ? fwrite(p, sizeof(*p), n, f) : fread(p, sizeof(*p), n, f)) != n)
		die("weights");
}

static void save_state(struct trainer *t)
{
	char from[sizeof(t->work) + 64], to[sizeof(t->work) + 64];
	double spent = t->spent + now() - t->began;
	FILE *f = open_in(t, "state.new", "wb");

	fprintf(f, "%d %llu %.1f\n", t->step, (unsigned long long)t->seen, spent);
	transfer(f, t->net.all, t->count, true);
	transfer(f, t->moment, t->count, true);
	transfer(f, t->square, t->count, true);
	if (fclose(f) != 0)
		die("state.new");
	snprintf(from, sizeof(from), "%s/state.new", t->work);
	snprintf(to, sizeof(to), "%s/state.bin", t->work);
	if (rename(from, to) != 0)
		die(to);
}

static void load_state(struct trainer *t)
{
	FILE *f = open_in(t, "state.bin", "rb");
	unsigned long long seen;

	if (f == NULL)
		return;
	if (fscanf(f, "%d %llu %lf", &t->step, &seen, &t->spent) != 3 || fgetc(f) != '\n')
		die("state.bin");
	t->seen = seen;
	transfer(f, t->net.all, t->count, false);
	transfer(f, t->moment, t->count, false);
	transfer(f, t->square, t->count, false);
	fclose(f);
}

/* ------------------------------------------------------------------ the run */

static void report(struct worker *w, double loss)
{
	struct trainer *t = w->t;
	const bool stop = t->step % CHECKPOINT == 0 || t->step == t->steps;
	double held_out;

	if (w->rank == 0 && (t->step % REPORT == 0 || stop)) {
		printf("step %d of %d: loss %.4f, %llu tokens, %.0f s\n", t->step, t->steps, loss,
		       (unsigned long long)t->seen, t->spent + now() - t->began);
		fflush(stdout);
	}
	if (!stop)
		return;
	if (w->rank == 0)
		save_state(t);
	held_out = held_out_loss(w);
	if (w->rank == 0)
		printf("  held out: %.4f\n", held_out);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct trainer *t = w->t;

	openblas_set_num_threads(1);    /* the OpenMP build of OpenBLAS counts for each thread */
	while (t->step < t->steps) {
		const size_t targets = share_out(w, &t->train, (size_t)t->step * BATCH, BATCH);
		double loss = 0;

		memset(w->grad.all, 0, t->count * sizeof(float));
		w->loss = pass_forward(&w->pass, &t->net, 1 / (float)targets);
		pass_backward(&w->pass, &t->net, &w->grad);
		pthread_barrier_wait(&t->barrier);
		for (int i = 0; i < t->workers; i++)
			loss += t->worker[i].loss / (double)targets;
		take_step(w);
		pthread_barrier_wait(&t->barrier);
		if (w->rank == 0) {
			t->step++;
			t->seen += targets;
		}
		pthread_barrier_wait(&t->barrier);
		report(w, loss);
	}
	return NULL;
}

static void new_worker(struct trainer *t, int rank)
{
	struct worker *w = &t->worker[rank];
	const struct shape *s = &t->shape;
	const size_t long_side = (size_t)(s->width > s->hidden ? s->width : s->hidden);

	w->t = t;
	w->rank = rank;
	w->grad.all = new_floats(t->count);
	net_lay_out(s, &w->grad);
	if (!pass_open(&w->pass, s, (BATCH + t->workers - 1) / t->workers))
		die("memory");
	for (int i = 0; i < 4; i++)
		w->ns[i] = new_floats((size_t)s->width * long_side);
}

static void read_shape(struct trainer *t)
{
	struct shape *s = &t->shape;
	FILE *f = open_in(t, "shape", "r");

	if (fscanf(f, "%d %d %d %d %d %d", &s->vocab, &s->width, &s->layers, &s->heads, &s->kv_heads, &s->hidden) != 6 ||
	    s->layers > LAYERS_MAX) {
		fprintf(stderr, "shape: not six numbers, or too many layers\n");
		exit(1);
	}
	fclose(f);
	s->head_width = s->width / s->heads;
	s->kv_width = s->kv_heads * s->head_width;
	s->qkv_width = s->width + 2 * s->kv_width;
	s->share = s->heads / s->kv_heads;
	if (!net_shape_finish(s))
		die("memory");
}

static void prepare(struct trainer *t)
{
	const struct shape *s = &t->shape;
	FILE *f;

	read_shape(t);
	t->count = net_lay_out(s, &t->net);         /* counts; the array comes next */
	t->net.all = new_floats(t->count);
	net_lay_out(s, &t->net);
	list_matrices(t);
	t->moment = new_floats(t->count);
	t->square = new_floats(t->count);
	f = open_in(t, "weights.bin", "rb");
	transfer(f, t->net.all, t->count, false);
	fclose(f);
	load_state(t);
	read_stories(t, "train.bin", &t->train);
	read_stories(t, "held-out.bin", &t->held_out);
	if (t->train.count < (size_t)t->steps * BATCH) {
		fprintf(stderr, "train.bin: %zu stories, not %d\n", t->train.count, t->steps * BATCH);
		exit(1);
	}
	for (int i = 0; i < t->workers; i++)
		new_worker(t, i);
}

int main(int argc, char **argv)
{
	static struct trainer t;
	pthread_t threads[WORKERS_MAX];
	FILE *f;

	if (argc != 4 || strlen(argv[1]) >= sizeof(t.work)) {
		fprintf(stderr, "usage: train WORK STEPS WORKERS\n");
		return 2;
	}
	strcpy(t.work, argv[1]);
	t.steps = atoi(argv[2]);
	t.workers = atoi(argv[3]);
	if (t.steps < 1 || t.workers < 1 || t.workers > WORKERS_MAX) {
		fprintf(stderr, "train: bad number of steps or workers\n");
		return 2;
	}
	prepare(&t);
	pthread_barrier_init(&t.barrier, NULL, (unsigned)t.workers);
	t.began = now();
	for (int i = 0; i < t.workers; i++)
		if (pthread_create(&threads[i], NULL, work, &t.worker[i]) != 0)
			die("thread");
	for (int i = 0; i < t.workers; i++)
		pthread_join(threads[i], NULL);
	f = open_in(&t, "weights.bin", "wb");
	transfer(f, t.net.all, t.count, true);
	if (fclose(f) != 0)
		die("weights.bin");
	return 0;
}
