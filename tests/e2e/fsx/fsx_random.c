/* fsx_random.c - seeded choices; see fsx.h. */
#include "tests/e2e/fsx/fsx.h"

#include <string.h>

static uint64_t fsx_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t fsx_next(struct fsx *f)
{
	f->random += 0x9e3779b97f4a7c15u;
	return fsx_mix(f->random);
}

uint64_t fsx_below(struct fsx *f, uint64_t n)
{
	return fsx_next(f) % n;
}

static off_t fsx_clamp(off_t v, off_t max)
{
	return v < 0 ? 0 : v > max ? max : v;
}

off_t fsx_offset(struct fsx *f, off_t size)
{
	const off_t any = (off_t)fsx_below(f, (uint64_t)size + 1);

	switch (fsx_below(f, 8)) {
	case 0:
		return 0;
	case 1:
		return fsx_clamp(size - (off_t)fsx_below(f, 5000), size);
	case 2:
		return any & -(off_t)FSX_PAGE;
	case 3:
		return fsx_clamp((any & -(off_t)FSX_EXTENT) - 2 + (off_t)fsx_below(f, 5), size);
	default:
		return any;
	}
}

size_t fsx_length(struct fsx *f)
{
	switch (fsx_below(f, 10)) {
	case 0:
		return 1 + fsx_below(f, 16);
	case 1:
		return FSX_PAGE * (1 + fsx_below(f, 32));
	case 2:
		return 1 + fsx_below(f, FSX_IO_MAX);
	default:
		return 1 + fsx_below(f, 65536);
	}
}

off_t fsx_size(struct fsx *f)
{
	switch (fsx_below(f, 4)) {
	case 0:
		return fsx_clamp(FSX_EXTENT - 2 + (off_t)fsx_below(f, 5), f->maxlen);
	case 1:
		return fsx_clamp((off_t)fsx_below(f, 20000), f->maxlen);
	default:
		return (off_t)fsx_below(f, (uint64_t)f->maxlen + 1);
	}
}

void fsx_new_bytes(struct fsx *f, size_t n)
{
	uint64_t w, x = fsx_mix(f->count.ops + (f->seed << 32));
	size_t i, take;

	for (i = 0; i < n; i += 8) {
		w = fsx_mix(x + i);
		take = n - i < 8 ? n - i : 8;
		memcpy(f->buf + i, &w, take);
	}
}
