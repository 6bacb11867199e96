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
#define PIECE ((size_t)4 << 20)
#define SKIP_S 0.1              /* a device that is throttled begins with a burst */
#define DISK_S 0.6
#define MATMUL_BYTES ((size_t)64 << 20)
#define MATMUL_S 0.12
#define COLS 4096u
#define NORMAL 0x3c             /* as every byte it makes scales of all types that are plain numbers */

static void *map_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

/* ---- disk ---------------------------------------------------------------------------------------- */

/* The next piece: golden-ratio steps over all tensors visit each part of the files once in a while, none twice soon. */
static bool next_job(struct weights *w, uint32_t *turn, struct reader_job *job)
{
	double at = (double)++*turn * 0.6180339887498949;
	uint64_t n = weights_n_tensors(w), skip;
	struct weights_tensor t;
	struct weights_place place;
	struct gguf_str name;
	char text[256];
	uint64_t want = (uint64_t)((at - (double)(uint64_t)at) * (double)weights_bytes(w)), i;

	for (i = 0; i < n; i++) {
		name = weights_name(w, i);
		if (name.len >= sizeof(text))
			continue;
		memcpy(text, name.s, name.len);
		text[name.len] = '\0';
		if (weights_find(w, text, &t) != 0)
			continue;
		if (want < t.nbytes) {
			weights_place(w, (const char *)t.data + want, false, &place);
			skip = place.off % place.align;
			job->fd = place.fd;
			job->off = place.off - skip;
			job->len = PIECE;
			return true;
		}
		want -= t.nbytes;
	}
	return false;
}

double probe_disk(struct weights *w)
{
	struct reader_job job[DEPTH] = { 0 }, *done;
	char *mem = map_memory(DEPTH * PIECE);
	double t0 = clock_now(), from = 0.0, t = t0, bytes = 0.0;
	struct reader *r;
	uint32_t i, turn = 0;

	if (mem == NULL)
		return 0.0;
	if (reader_open(&r, DEPTH, false) != 0) {
		munmap(mem, DEPTH * PIECE);
		return 0.0;
	}
	weights_direct(w);
	for (i = 0; i < DEPTH; i++) {
		job[i].buf = mem + i * PIECE;
		if (next_job(w, &turn, &job[i]))
			reader_begin(r, &job[i]);
	}
	while (t - t0 < DISK_S && (done = reader_done(r, true)) != NULL) {
		t = clock_now();
		if (done->result <= 0)
			break;
		if (from > 0.0)
			bytes += (double)done->result;
		else if (t - t0 >= SKIP_S)
			from = t;
		if (next_job(w, &turn, done))
			reader_begin(r, done);
	}
	reader_close(r);
	munmap(mem, DEPTH * PIECE);
	return from > 0.0 && t > from ? bytes / (t - from) : 0.0;
}

/* ---- compute ------------------------------------------------------------------------------------- */

struct job { const struct kern_isa *isa; struct kern_matmul mm; };

static void run_rows(void *arg, uint32_t i0, uint32_t i1)
{
	const struct job *j = arg;

	j->isa->matmul[j->mm.type].rows(&j->mm, i0, i1);
}

double probe_matmul(const struct kern_isa *isa, struct kern_pool *pool, uint32_t type)
{
	static const float x[COLS] = { 1.0f };
	_Alignas(64) static char acts_mem[COLS * 8];
	const struct kern_type *t = kern_type(type);
	struct kern_acts acts;
	struct job j = { .isa = isa };
	double t0, s, best = 0.0;
	uint32_t rows, i;
	char *mem;

	if (t == NULL || COLS % t->elems != 0 || isa->matmul[type].act == KERN_ACT_NONE ||
	    kern_acts_bytes(isa->matmul[type].act, 1, COLS) > sizeof(acts_mem))
		return 0.0;
	j.mm.type = type;
	j.mm.row_bytes = COLS / t->elems * t->bytes;
	rows = (uint32_t)((MATMUL_BYTES - (1 << 20)) / (j.mm.row_bytes + sizeof(float)));
	mem = map_memory(MATMUL_BYTES);
	if (mem == NULL)
		return 0.0;
	memset(mem, NORMAL, MATMUL_BYTES);
	kern_acts_init(&acts, isa->matmul[type].act, x, 1, COLS, acts_mem);
	if (acts.kind != KERN_ACT_F32)
		isa->quantise(&acts, 0, 1);
	j.mm.w = mem;
	j.mm.y = (float *)(void *)(mem + MATMUL_BYTES - (rows + 16) * sizeof(float));
	j.mm.y_stride = rows;
	j.mm.x = &acts;
	t0 = clock_now();
	for (i = 0; i < 64 && clock_now() - t0 < MATMUL_S; i++) {
		s = clock_now();
		kern_pool_run(pool, run_rows, &j, rows, 64);
		s = clock_now() - s;
		if (s > 0.0 && (double)rows * (double)j.mm.row_bytes / s > best)
			best = (double)rows * (double)j.mm.row_bytes / s;
	}
	munmap(mem, MATMUL_BYTES);
	return best;
}
