/* weights_guard.c - see weights_guard.h.  The handler calls mmap, sigaction and raise only, and reads atomics. */
#include "engine/weights_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define RANGES 4096             /* parts of all models that are open */

static struct range {
	_Atomic uintptr_t map;          /* 0: free */
	_Atomic size_t len;             /* 0 while it is being filled in */
	atomic_bool hit;
} ranges[RANGES];
static size_t page_bytes;

static struct range *range_of(uintptr_t at)
{
	size_t i;

	for (i = 0; i < RANGES; i++) {
		uintptr_t map = atomic_load(&ranges[i].map);

		if (map != 0 && at >= map && at - map < atomic_load(&ranges[i].len))
			return &ranges[i];
	}
	return NULL;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	struct range *r = range_of(at);
	struct sigaction plain = { .sa_handler = SIG_DFL };

	(void)context;
	if (r != NULL && mmap((void *)(at & ~(uintptr_t)(page_bytes - 1)), page_bytes, PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
		atomic_store(&r->hit, true);
		return;
	}
	sigaction(sig, &plain, NULL);           /* the instruction is tried again, and ends the process */
}

void weights_guard_install(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, NULL);
}

int weights_guard_add(void *map, size_t len)
{
	size_t i;

	for (i = 0; i < RANGES; i++) {
		uintptr_t none = 0;

		if (!atomic_compare_exchange_strong(&ranges[i].map, &none, (uintptr_t)map))
			continue;
		atomic_store(&ranges[i].hit, false);
		atomic_store(&ranges[i].len, len);
		return 0;
	}
	return -ENOSPC;
}

void weights_guard_remove(void *map)
{
	struct range *r = range_of((uintptr_t)map);

	if (r == NULL)
		return;
	atomic_store(&r->len, 0);
	atomic_store(&r->map, 0);
}

bool weights_guard_hit(const void *map)
{
	const struct range *r = range_of((uintptr_t)map);

	return r != NULL && atomic_load(&r->hit);
}
