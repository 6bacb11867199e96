/* kern_data.c - see kern_data.h. */
#include "tests/unit/kern_data.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/kern_block.h"
#include "kernels/kern_f16.h"
#include "kernels/kern_type.h"

/* splitmix64 */
uint32_t kern_data_u32(struct kern_data_rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) >> 32);
}

float kern_data_uniform(struct kern_data_rng *r, float lo, float hi)
{
	return lo + (hi - lo) * (float)(kern_data_u32(r) >> 8) * 0x1p-24f;
}

void kern_data_fill(struct kern_data_rng *r, float *x, size_t n, float lo, float hi)
{
	size_t i;

	for (i = 0; i < n; i++)
		x[i] = kern_data_uniform(r, lo, hi);
}

static void set_f16(struct kern_data_rng *r, void *at, float lo, float hi)
{
	uint16_t h = kern_f32_to_f16(kern_data_uniform(r, lo, hi));

	memcpy(at, &h, sizeof(h));
}

size_t kern_data_scale_at(uint32_t type)
{
	switch (type) {
	case KERN_Q2_K:
		return offsetof(struct kern_q2_k, d);
	case KERN_Q3_K:
		return offsetof(struct kern_q3_k, d);
	case KERN_Q6_K:
		return offsetof(struct kern_q6_k, d);
	default:
		return 0;
	}
}

static bool has_minimum(uint32_t type)
{
	return type == KERN_Q4_1 || type == KERN_Q5_1 || type == KERN_Q2_K || type == KERN_Q4_K || type == KERN_Q5_K;
}

/* Overwrites the scales among a block's random bytes. */
static void set_scales(struct kern_data_rng *r, uint32_t type, unsigned char *b)
{
	size_t at = kern_data_scale_at(type);

	if (type == KERN_MXFP4) {
		*b = (unsigned char)(118 + kern_data_u32(r) % 8);
		return;
	}
	if (has_minimum(type))
		set_f16(r, b + at + 2, -0.0625f, 0.0625f);
	set_f16(r, b + at, -0.0625f, 0.0625f);
}

static void scale_f16(void *at, float factor)
{
	uint16_t h;

	memcpy(&h, at, sizeof(h));
	h = kern_f32_to_f16(kern_f16_to_f32(h) * factor);
	memcpy(at, &h, sizeof(h));
}

void kern_data_row_scale(uint32_t type, void *row, size_t n, float factor)
{
	const struct kern_type *t = kern_type(type);
	size_t i, at = kern_data_scale_at(type);
	unsigned char *b = row;

	for (i = 0; i < n / t->elems; i++, b += t->bytes) {
		if (type == KERN_MXFP4)
			*b = (unsigned char)(*b + (int)lrintf(log2f(factor)));
		else
			scale_f16(b + at, factor);
		if (has_minimum(type))
			scale_f16(b + at + 2, factor);
	}
}

void kern_data_row_of(unsigned char fill, uint32_t type, void *row, size_t n)
{
	const struct kern_type *t = kern_type(type);
	struct kern_data_rng rng = { fill };
	unsigned char *b = row;
	size_t i;

	memset(row, fill, n / t->elems * t->bytes);
	for (i = 0; i < n / t->elems; i++, b += t->bytes)
		set_scales(&rng, type, b);
}

void kern_data_row(struct kern_data_rng *r, uint32_t type, void *row, size_t n)
{
	const struct kern_type *t = kern_type(type);
	unsigned char *b = row;
	size_t i, k;

	for (i = 0; i < n / t->elems; i++, b += t->bytes) {
		float x = kern_data_uniform(r, -1.0f, 1.0f);
		uint32_t bits = kern_f32_bits(x) + 0x8000u;
		uint16_t top = (uint16_t)(bits >> 16);

		if (type == KERN_F32) {
			memcpy(b, &x, sizeof(x));
			continue;
		}
		if (type == KERN_BF16) {
			memcpy(b, &top, sizeof(top));
			continue;
		}
		for (k = 0; k < t->bytes; k++)
			b[k] = (unsigned char)kern_data_u32(r);
		set_scales(r, type, b);
	}
}

int kern_data_wall_open(struct kern_data_wall *w, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t body = (bytes + page - 1) / page * page;

	w->map_bytes = body + page;
	w->map = mmap(NULL, w->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->map == MAP_FAILED)
		return -errno;
	if (mprotect((char *)w->map + body, page, PROT_NONE) != 0) {
		int rc = -errno;

		munmap(w->map, w->map_bytes);
		return rc;
	}
	w->p = (unsigned char *)w->map + body - bytes;
	return 0;
}

void kern_data_wall_close(struct kern_data_wall *w)
{
	munmap(w->map, w->map_bytes);
}
