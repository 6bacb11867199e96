/* fault_vfs.h - an SQLite file layer over the system's that fails on order and forgets like a disk.
 *
 * Faults: the nth call of the chosen kinds fails, once or from then on for ever.  A failing write may be
 * torn: its first half is written.
 * Power cut: while recording, what each write and truncation replaced is kept until its file is synced;
 * fault_vfs_power_cut then undoes, keeps, or fills with garbage each one that was not, by chance.
 *
 * Threads: one map at a time uses it; the counters are atomic, the record has a lock.
 */
#ifndef TESTS_FAULT_FAULT_VFS_H
#define TESTS_FAULT_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULT_VFS_NAME "hearth-fault"

enum {
	FAULT_VFS_READ = 1, FAULT_VFS_WRITE = 2, FAULT_VFS_SYNC = 4, FAULT_VFS_OPEN = 8, FAULT_VFS_TRUNCATE = 16,
	FAULT_VFS_DELETE = 32,
};

struct fault_vfs;

/* Register it (as FAULT_VFS_NAME).  At most one at a time.  Owned; fails the test when it cannot. */
struct fault_vfs *fault_vfs_new(void);
void fault_vfs_free(struct fault_vfs *f);

/* Fail the nth call (from 0) of the kinds in mask with this SQLite result. */
void fault_vfs_arm(struct fault_vfs *f, unsigned mask, long n, int sqlite_rc, bool for_ever, bool torn);
void fault_vfs_disarm(struct fault_vfs *f);
bool fault_vfs_fired(const struct fault_vfs *f);

/* Syncs report success and do nothing (for speed, where durability is not what is tested). */
void fault_vfs_swallow_syncs(struct fault_vfs *f, bool swallow);

/* Begin to record: what was written before counts as durable. */
void fault_vfs_record(struct fault_vfs *f);
/* Every file as after a power cut; nothing may have it open.  Ends the record. */
void fault_vfs_power_cut(struct fault_vfs *f, uint64_t seed);

#endif
