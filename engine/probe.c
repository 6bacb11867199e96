/* probe.c - see probe.h. */
#include "engine/probe.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/clock.h"
#include "engine/reader.h"
#include "engine/weights.h"
#include "kernels/kern.h"
#include "kernels/kern_pool.h"

#define DEPTH 16u
#define RUN 64u                 /* pieces one behind the other */
#define SKIP_S 0.1              /* a device that is throttled begins with a burst */
#define DISK_S 0.6
#define MATMUL_BYTES ((size_t)64 << 20)
#define MATMUL_S 0.12
#define COLS_MOST 32768u
#define STEPS 2000u
#define NORMAL 0x3c             /* as every byte it makes scales of all types that are plain numbers */

static void *map_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

/* ---- disk ---------------------------------------------------------------------------------------- */

/* Where the probe is: pieces that are left of a run of them, and the next one's place. */
struct walk { struct weights *w; size_t piece; uint32_t turn, left; int fd; uint64_t off; };

/* The next run: golden-ratio steps over all tensors visit each part of the files once in a while, none twice soon. */
static bool next_run(struct walk *k)
{
	double at = (double)++k->turn * 0.6180339887498949;
	uint64_t n = weights_n_tensors(k->w), i;
	struct weights_tensor t;
	struct weights_place place;
	struct gguf_str name;
	char text[256];
	uint64_t want = (uint64_t)((at - (double)(uint64_t)at) * (double)weights_bytes(k->w));

	for (i = 0; i < n; i++) {
		name = weights_name(k->w, i);
		if (name.len >= sizeof(text))
			continue;
		memcpy(text, name.s, name.len);
		text[name.len] = '\0';
		if (weights_find(k->w, text, &t) != 0)
			continue;
		if (want < t.nbytes) {
			weights_place(k->w, (const char *)t.data + want, false, &place);
			k->fd = place.fd;
			k->off = place.off - place.off % place.align;
			k->left = RUN;
			return true;
		}
		want -= t.nbytes;
	}
	return false;
}

static bool next_job(struct walk *k, struct reader_job *job)
{
	if (k->left == 0 && !next_run(k))
		return false;
	job->fd = k->fd;
	job->off = k->off;
	job->len = k->piece;
	k->off += k->piece;
	k->left--;
	return true;
}

double probe_disk(struct weights *w, size_t piece, uint32_t depth)
{
	struct walk walk = { .w = w, .piece = piece };
	struct reader_job job[DEPTH] = { 0 }, *done;
	uint32_t i, n = depth < DEPTH ? depth : DEPTH;
	char *mem = map_memory(n * piece);
	double t0 = clock_now(), from = 0.0, t = t0, bytes = 0.0;
	struct reader *r;

	if (mem == NULL)
		return 0.0;
	if (reader_open(&r, n, false) != 0) {
		munmap(mem, n * piece);
		return 0.0;
	}
	weights_direct(w);
	for (i = 0; i < n; i++) {
		job[i].buf = mem + i * piece;
		if (next_job(&walk, &job[i]))
			reader_begin(r, &job[i]);
	}
	while (t - t0 < DISK_S && (done = reader_done(r, true)) != NULL) {
		t = clock_now();
		if (done->result < 0)
			break;
		if ((size_t)done->result < piece)
			walk.left = 0;          /* the end of the file */
		if (from > 0.0)
			bytes += (double)done->result;
		else if (t - t0 >= SKIP_S)
			from = t;
		if (next_job(&walk, done))
			reader_begin(r, done);
	}
	reader_close(r);
	munmap(mem, n * piece);
	return from > 0.0 && t > from ? bytes / (t - from) : 0.0;
}

/* ---- compute ------------------------------------------------------------------------------------- */

struct job { const struct kern_isa *isa; struct kern_matmul mm; };

static void run_rows(void *arg, uint32_t i0, uint32_t i1)
{
	const struct job *j = arg;

	j->isa->matmul[j->mm.type].rows(&j->mm, i0, i1);
}

double probe_matmul(const struct kern_isa *isa, struct kern_pool *pool, const struct probe_shape *shape)
{
	const struct kern_type *t = kern_type(shape->type);
	struct job j = { .isa = isa };
	struct kern_acts acts;
	size_t each, at, all;
	double t0, s, bytes = 0.0;
	uint32_t rows = shape->rows, i;
	float *x;
	char *mem;

	if (t == NULL || shape->cols == 0 || shape->cols > COLS_MOST || shape->cols % t->elems != 0 || rows == 0 ||
	    isa->matmul[shape->type].act == KERN_ACT_NONE ||
	    kern_acts_bytes(isa->matmul[shape->type].act, 1, shape->cols) > COLS_MOST * 8)
		return 0.0;
	j.mm.type = shape->type;
	j.mm.row_bytes = shape->cols / t->elems * t->bytes;
	if (rows > MATMUL_BYTES / j.mm.row_bytes)
		rows = (uint32_t)(MATMUL_BYTES / j.mm.row_bytes);
	each = rows * j.mm.row_bytes;
	all = MATMUL_BYTES + COLS_MOST * 12 + (rows + 16) * sizeof(float);      /* weights, x in both forms, y */
	mem = map_memory(all);
	if (mem == NULL)
		return 0.0;
	memset(mem, NORMAL, MATMUL_BYTES);
	x = (float *)(void *)(mem + MATMUL_BYTES);
	x[0] = 1.0f;
	kern_acts_init(&acts, isa->matmul[shape->type].act, x, 1, shape->cols, mem + MATMUL_BYTES + COLS_MOST * 4);
	if (acts.kind != KERN_ACT_F32)
		isa->quantise(&acts, 0, 1);
	j.mm.y = x + COLS_MOST * 3;
	j.mm.y_stride = rows;
	j.mm.x = &acts;
	t0 = s = clock_now();
	for (i = 0; i < 64 && s - t0 < MATMUL_S; i++) {
		for (at = 0; at + each <= MATMUL_BYTES; at += each) {
			j.mm.w = mem + at;
			kern_pool_run(pool, run_rows, &j, rows, 32);
		}
		bytes += i > 0 ? (double)at : 0.0;
		s = clock_now();
		t0 = i > 0 ? t0 : s;            /* the first time brings it from the caches */
	}
	munmap(mem, all);
	return s > t0 ? bytes / (s - t0) : 0.0;
}

static void nothing(void *arg, uint32_t i0, uint32_t i1)
{
	(void)arg;
	(void)i0;
	(void)i1;
}

double probe_step(struct kern_pool *pool)
{
	double t0 = clock_now();
	uint32_t i;

	for (i = 0; i < STEPS; i++)
		kern_pool_run(pool, nothing, NULL, 2 * kern_pool_threads(pool), 1);
	return (clock_now() - t0) / STEPS;
}
