/* scan.h - which opens are scans: reads of whole files that say nothing about what will be wanted again.
 *
 * A scan's reads are served like any other; they are no heat and no reason to move anything (rule R11).
 * Known by what the opener is, not by what it reads, since a model's load reads the same way:
 *  order       the administrator's or a warm-up's own reads, marked as such by the caller
 *  name        a process whose name (/proc/PID/comm) is in a table: checksums, copies, archives, backups
 *  verify      the process that wrote and sealed the file, or its parent, opening it for reading within ten
 *              minutes of the seal: the digest verification after a pull.  Not its children: a server's child
 *              is the runner that loads the model it has just pulled, and a checksum tool is known by name
 * A wrong guess costs little either way: a scan taken for a reader displaces nothing by one touch each, a
 * reader taken for a scan is only not learned from.
 *
 * Threads: the table of seals locks for itself; new and free are exclusive.
 */
#ifndef TIERING_SCAN_H
#define TIERING_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum scan_class { SCAN_NO, SCAN_ORDER, SCAN_NAME, SCAN_VERIFY };
const char *scan_class_name(enum scan_class c);         /* "no", "order", "name", "verify" */

#define SCAN_COMM_MAX 16                /* the kernel keeps 15 bytes of a name */
#define SCAN_SEALS 256
#define SCAN_VERIFY_SECONDS 600

/* Who opens: what /proc knows of a process at that moment. */
struct scan_opener {
	pid_t pid, parent;              /* thread group ids; 0: not known */
	uint64_t started;               /* of pid, clock ticks since boot: a pid is used again */
	char comm[SCAN_COMM_MAX];       /* of the process, not of the thread */
};
/* Fill it for the process that thread tid belongs to; proc is "/proc" but in tests.  What cannot be read
 * stays 0: all of it where the thread is gone or unknown, all but pid where its process went meanwhile. */
void scan_opener_of(struct scan_opener *o, const char *proc, pid_t tid);

/* The last seals: who wrote which file, once for each file.  Bounded: the oldest of SCAN_SEALS is forgotten.
 * 0 or a negative errno (-ENOMEM). */
struct scan_seals;
int scan_seals_new(struct scan_seals **out) __attribute__((warn_unused_result));
void scan_seals_free(struct scan_seals *s);             /* NULL is a no-op */
/* st_ino was sealed (renamed after writing, or closed by its writer) by who at now_s (monotonic seconds). */
void scan_sealed(struct scan_seals *s, uint64_t st_ino, const struct scan_opener *who, uint64_t now_s);

/* The class of an open of st_ino for reading by who at now_s; never SCAN_ORDER. */
enum scan_class scan_class(struct scan_seals *s, uint64_t st_ino, const struct scan_opener *who, uint64_t now_s);

#endif
