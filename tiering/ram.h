/* ram.h - the RAM tier: pages of files that clients read natively, held in the kernel's page cache.
 *
 * Nothing is copied.  The module maps a backing file (a complete cache copy, or home's file) read-only and
 * holds units of 2 MiB of its page cache through that mapping, so what it holds serves live mappings, old
 * opens and passthrough reads at once.  Clients never wait for it, and lose only speed when it ends.
 *
 * Two strengths.
 *  kept    while memory is scarce the unit is touched again every few seconds where mincore(2) says it is
 *          resident.  A page that goes between the question and the touch is read again, no other.  The kernel
 *          still counts it as available and may take it; it prefers others as long as what is kept is less
 *          than about half of the memory there is.
 *  locked  populated by MADV_POPULATE_READ in a mapping under mlock2(MLOCK_ONFAULT), so the kernel cannot take
 *          it; given up by MADV_DONTNEED_LOCKED.  For files pinned or warmed to ram, and for units that the
 *          policy admits in a file whose units the kernel was seen to evict and read again (refaults).
 *
 * Invariants:
 *  M1  bytes held (kept and locked) <= the budget as it is now; what counts is what cachestat(2) (mincore
 *      before 6.5) says is resident of the units held, not what was asked for.
 *  M2  head-room: MemAvailable, and what is left below every memory limit of the control groups that the
 *      daemon is in, stay above ram_headroom(); polled every 20 ms.  What is left of a limit counts the pages of
 *      files that the kernel can take.  Below it units are released at once, the coldest first, until at least
 *      as many locked bytes went as are missing (kept ones are available as they are); the budget grows back by
 *      steps, 10 s after the last shortage.  Locking ends an eighth of the head-room above it.  Head-room is 5 %
 *      of the memory or limit, at least 256 MiB, but of a limit below 4 GiB a sixteenth, at least 128 MiB, and
 *      never more than a quarter.
 *  M3  a page charged to another control group that has a memory limit is never locked (/proc/kpagecgroup):
 *      it is kept, or, when it is ordered while nobody has the file open, dropped and populated anew by us.
 *      Asked of one page in sixteen, and where it cannot be asked nothing is locked.
 *  M4  locks are softened (everything locked becomes kept, but for pins) while they make the difference for a
 *      file about to be loaded, because Ollama refuses or changes the loading of a model larger than
 *      MemAvailable: the largest that was opened in the last minute, by no scan, and is not half resident is
 *      larger than MemAvailable with the locks and not without.
 *  M5  a mapping is read by the daemon only by system calls that fail (MADV_POPULATE_READ), never by a load
 *      from memory: a bad disk or a file cut short must not end the process by a signal.
 *
 * Which units: policy.h, with units of 2 MiB as items, a group for each file, runs of 32 MiB.  What is seen:
 * residency of each unit, sampled while the file is open or mapped by clients; a unit that was resident before,
 * went, and is resident now was refaulted, a touch of it.  Hits on resident units are invisible: those held are
 * credited the mean of what the others that come and go are touched.  Whether somebody maps a file at all: a
 * lease (lease.h) is refused; whether a mapping that misses nothing is in use: /proc/PID/clear_refs and smaps,
 * for the processes that opened the file through the mount, when the tier is full.
 * The first arrival of a unit is no touch (a load, one pass of MAP_POPULATE): it is admitted while there is
 * room and has no heat.  Nor are scans (ram_file_opened) touches, nor what we bring in.
 * Units that the policy admits are locked when they are resident, so that costs no read; the device is asked
 * only for what is ordered.
 *
 * Threads: one of the module's own does all work on memory.  open and close are exclusive; all else may be
 * called by any thread at once and waits for no memory and no device, but where it says so.
 */
#ifndef TIERING_RAM_H
#define TIERING_RAM_H

#include "tiering/io.h"
#include "tiering/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ram;
struct ram_file;

#define RAM_UNIT_BYTES (2u << 20)

struct ram_config {
	uint64_t budget;                /* bytes, at most; 0: hold nothing, only watch */
	const struct io *io;            /* borrowed until ram_close */
	/* Tell of a decision or a failure: one line of text about the file called label.  May be NULL. */
	void (*event)(void *ctx, const char *type, const char *label, const char *text);
	/* The unit of the file with that key was seen to come in again.  Called with a lock held: wait for nothing. */
	void (*sampled)(void *ctx, uint64_t key, uint64_t unit);
	void *ctx;
	/* For tests, NULL and 0 otherwise: where to read instead of /proc and /sys/fs/cgroup (then whose pages are is
	 * not asked), and how often. */
	const char *proc, *cgroup;
	unsigned tick_ms;               /* 250 unless told */
};

/* "24G", "1.5T", "512MiB" (all powers of 1024), "50%" of physical memory (or of the lowest memory limit of our
 * control groups, if that is less).
 * 0 and bytes; -EINVAL and a line. */
int ram_parse(const char *text, uint64_t *budget, char *err, size_t errlen) __attribute__((warn_unused_result));

/* 0 and an owned tier in *out; -ENOMEM, -EAGAIN (no thread).  Missing rights (CAP_IPC_LOCK, RLIMIT_MEMLOCK,
 * reading /proc/kpagecgroup) are no failure: then everything is kept and nothing locked, and ram_status says why. */
int ram_open(struct ram **out, const struct ram_config *cfg) __attribute__((warn_unused_result));
void ram_close(struct ram *r);          /* releases everything; every file was put; NULL is a no-op */

/* ---- files ---- */
/* A backing file that clients read natively, or may from now on.  key: the caller's, the same for all
 * copies of a blob; label: for events, copied.  fd: open for reading, duplicated here.  heat, heat_len:
 * what ram_file_heat gave earlier, or NULL.  Counted once for the caller; one struct a key: a get with a
 * key that is known, and a file that is another one, makes the old one's units go.  0; -ENFILE: 4096 files are
 * known; -ENOMEM, or what fstat and dup say. */
int ram_file_get(struct ram *r, uint64_t key, const char *label, int fd, uint64_t size, const void *heat, size_t heat_len,
		 struct ram_file **out) __attribute__((warn_unused_result));
/* The last put releases its units.  NULL is a no-op. */
void ram_file_put(struct ram_file *f);
/* A client opened it natively (pid: its process), or closed that again.  scan: what it reads is not heat. */
void ram_file_opened(struct ram_file *f, pid_t pid, bool scan);
void ram_file_closed(struct ram_file *f, pid_t pid);
/* Orders.  pin: lock all of it, over everything that is not pinned, and keep it so (what a shortage took is
 * tried for again every minute).  warm: bring all of it in now, over the coldest, and lock it until it is cooled
 * or displaced; of a file that does not fit, runs spread over it.  cool: release it, pinned or not, and forget
 * its heat.  While clients of other files read, orders take a fifth of the time. */
void ram_file_pin(struct ram_file *f, bool pin);
void ram_file_warm(struct ram_file *f);
void ram_file_cool(struct ram_file *f);
/* Read the file once, sequentially, ahead of its clients: for a file on a disk that seeks.  Ends by itself
 * when everything is resident, or the memory that is free is used up. */
void ram_file_stream(struct ram_file *f);

struct ram_file_status {
	uint64_t resident;              /* bytes in the page cache at the last sample */
	uint64_t kept, locked;          /* bytes held */
	uint64_t wanted;                /* of orders that are not done: bytes still to come; 0: done or none */
	uint64_t refaults;                      /* of its units, since it is known */
	bool pinned;
	double heat_mean, heat_max;     /* of its units, now */
	struct policy_why why;          /* of the last decision about one of its units */
	uint64_t why_unit;
};
/* Two of these, without the walk through all units that heat takes. */
void ram_file_progress(struct ram_file *f, uint64_t *refaults, uint64_t *wanted);
void ram_file_status(struct ram_file *f, struct ram_file_status *out);
/* Its units' heats, to be saved and given to a later get: owned bytes, *len of them; NULL when it has none. */
void *ram_file_heat(struct ram_file *f, size_t *len);

/* ---- the whole ---- */
struct ram_status {
	uint64_t budget, allowed;       /* as given; as head-room allows now */
	uint64_t kept, locked, pinned;  /* bytes */
	uint64_t headroom, available;   /* what M2 keeps; what there is */
	uint64_t admitted, dropped, refaults, released;         /* units, since the start; released: for head-room */
	bool soft;                      /* locks are softened now (M4) */
	const char *why_not_locked;     /* a constant text, or NULL when we may lock */
	double half_life_s;
};
void ram_status(struct ram *r, struct ram_status *out);
uint64_t ram_headroom(const struct ram *r);
/* What the policy would move next, were all that was touched lately asked for once more: one line each, owned. */
int ram_plan_print(struct ram *r, char **out) __attribute__((warn_unused_result));
/* Wait until the module has done all that it was asked before the call, and one sample more; for tests and
 * for `warm --wait`. */
void ram_settle(struct ram *r);

#endif
