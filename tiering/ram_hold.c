/* ram_hold.c - the two mappings of one file.
 *
 * lock_map is under mlock2(MLOCK_ONFAULT) as a whole: what MADV_POPULATE_READ brings into it is locked, what
 * MADV_DONTNEED_LOCKED takes out of it is not, and it stays one mapping.  keep_map is not locked: what
 * MADV_POPULATE_READ finds there already mapped it marks as accessed (FOLL_TOUCH), which is how the kernel
 * comes to prefer other pages.
 */
#include "tiering/ram_internal.h"
#include "tiering/residency.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

#define PAGE 4096u                      /* mincore's vectors are sized for it; larger pages use a part */
#define VEC (RAM_UNIT_BYTES / PAGE)
#define ENOUGH 8                        /* locked when at most one in so many pages is missing */

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static uint32_t pages_of(const struct ram_file *f, uint32_t i)
{
	return (uint32_t)((ram_unit_bytes(f, i) + page_size() - 1) / page_size());
}

static size_t offset_of(uint32_t i)
{
	return (size_t)i * RAM_UNIT_BYTES;
}

int ram_hold_map(struct ram_file *f)
{
	size_t len = (size_t)((f->size + page_size() - 1) / page_size() * page_size());
	void *map;

	if (f->keep_map == NULL) {
		map = mmap(NULL, len, PROT_READ, MAP_SHARED, f->fd, 0);
		if (map == MAP_FAILED)
			return -errno;
		(void)madvise(map, len, MADV_HUGEPAGE); /* a fault brings 2 MiB in one folio, where the file system can */
		f->keep_map = map;
		f->map_len = len;
	}
	if (f->lock_map != NULL)
		return 0;
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, f->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (syscall(SYS_mlock2, map, len, MLOCK_ONFAULT) == -1) {
		munmap(map, len);
		return -EPERM;
	}
	f->lock_map = map;
	return 0;
}

void ram_hold_unmap(struct ram_file *f)
{
	if (f->lock_map != NULL)
		munmap(f->lock_map, f->map_len);
	if (f->keep_map != NULL)
		munmap(f->keep_map, f->map_len);
	f->lock_map = f->keep_map = NULL;
}

uint32_t ram_hold_bytes(const struct ram_file *f, uint32_t i)
{
	uint64_t bytes;

	return residency_bytes(f->fd, offset_of(i), ram_unit_bytes(f, i), &bytes) == 0 ? (uint32_t)bytes : 0;
}

/* Pages that are there and read, and which they are. */
static uint32_t look(const struct ram_file *f, uint32_t i, unsigned char vec[VEC])
{
	uint32_t n = 0, pages = pages_of(f, i);

	if (f->keep_map == NULL || mincore(f->keep_map + offset_of(i), ram_unit_bytes(f, i), vec) == -1)
		return 0;
	for (uint32_t p = 0; p < pages; p++)
		n += vec[p] & 1;
	return n;
}

bool ram_hold_fetch(const struct ram_file *f, uint32_t i)
{
	return f->keep_map != NULL && madvise(f->keep_map + offset_of(i), ram_unit_bytes(f, i), MADV_POPULATE_READ) == 0;
}

/* MADV_POPULATE_READ of what is resident; in between it may have gone, and then it is read again. */
static void populate_resident(struct ram_file *f, uint32_t i, const unsigned char vec[VEC])
{
	uint32_t pages = pages_of(f, i), from = 0, to;

	while (from < pages) {
		if (!(vec[from] & 1)) {
			from++;
			continue;
		}
		for (to = from; to < pages && (vec[to] & 1); to++)
			;
		(void)madvise(f->keep_map + offset_of(i) + (size_t)from * page_size(), (size_t)(to - from) * page_size(),
			      MADV_POPULATE_READ);
		from = to;
	}
}

static bool is_foreign(struct ram_file *f, uint32_t i, unsigned char vec[VEC])
{
	struct ram *r = f->r;

	populate_resident(f, i, vec);
	return ram_charge_foreign(&r->charge, &r->room, f->keep_map + offset_of(i), ram_unit_bytes(f, i), vec, ram_now_ms());
}

int ram_hold_lock(struct ram_file *f, uint32_t i, bool force, uint32_t *bytes)
{
	uint32_t all = pages_of(f, i), n;
	unsigned char vec[VEC];
	int rc = ram_hold_map(f);

	if (rc != 0)
		return rc;
	n = look(f, i, vec);
	if (!force && (n == 0 || all - n > all / ENOUGH))
		return -EAGAIN;
	if (is_foreign(f, i, vec))
		return -EXDEV;
	if (madvise(f->lock_map + offset_of(i), ram_unit_bytes(f, i), MADV_POPULATE_READ) == -1) {
		rc = -errno;
		ram_hold_unlock(f, i);
		return rc;
	}
	ram_hold_forget(f, i);
	*bytes = ram_hold_bytes(f, i);
	return 0;
}

void ram_hold_unlock(struct ram_file *f, uint32_t i)
{
	if (f->lock_map != NULL)
		(void)madvise(f->lock_map + offset_of(i), ram_unit_bytes(f, i), MADV_DONTNEED_LOCKED);
}

void ram_hold_touch(struct ram_file *f, uint32_t i)
{
	unsigned char vec[VEC];

	if (f->keep_map == NULL)
		(void)ram_hold_map(f);
	if (look(f, i, vec) > 0)
		populate_resident(f, i, vec);
}

void ram_hold_forget(struct ram_file *f, uint32_t i)
{
	if (f->keep_map != NULL)
		(void)madvise(f->keep_map + offset_of(i), ram_unit_bytes(f, i), MADV_DONTNEED);
}

void ram_hold_drop_cache(struct ram_file *f, uint32_t i)
{
	ram_hold_forget(f, i);
	(void)posix_fadvise(f->fd, (off_t)offset_of(i), ram_unit_bytes(f, i), POSIX_FADV_DONTNEED);
}
