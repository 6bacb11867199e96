#include "tiering/residency.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451               /* the same number on every architecture */
#endif

/* struct cachestat_range and struct cachestat of linux/mman.h, which older headers lack */
struct residency_range {
	uint64_t off, len;
};
struct residency_stat {
	uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};

#define RESIDENCY_WINDOW (64ull << 20)  /* bytes looked at by one mincore call */

static int residency_mincore(int fd, uint64_t off, uint64_t len, uint64_t page, uint64_t *pages)
{
	unsigned char vec[RESIDENCY_WINDOW / 4096];
	uint64_t end = off + len, n = 0;

	while (off < end) {
		uint64_t part = end - off < RESIDENCY_WINDOW ? end - off : RESIDENCY_WINDOW;
		void *map = mmap(NULL, part, PROT_READ, MAP_SHARED, fd, (off_t)off);
		int rc;

		if (map == MAP_FAILED)
			return -errno;
		rc = mincore(map, part, vec) == -1 ? -errno : 0;
		munmap(map, part);
		if (rc != 0)
			return rc;
		for (uint64_t i = 0; i < (part + page - 1) / page; i++)
			n += vec[i] & 1;
		off += part;
	}
	*pages = n;
	return 0;
}

int residency_bytes(int fd, uint64_t off, uint64_t len, uint64_t *out)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages, first = off / page * page;
	struct residency_range range = { first, off + len - first };
	struct residency_stat cs;
	int rc;

	if (len == 0) {                 /* cachestat takes 0 for "to the end of the file" */
		*out = 0;
		return 0;
	}
	if (syscall(SYS_cachestat, fd, &range, &cs, 0) == 0) {
		pages = cs.nr_cache;
	} else if (errno == ENOSYS || errno == EPERM || errno == EOPNOTSUPP) {
		rc = residency_mincore(fd, range.off, range.len, page, &pages);
		if (rc != 0)
			return rc;
	} else {
		return -errno;
	}
	*out = pages * page < len ? pages * page : len;
	return 0;
}
