/* tier.h - where the bytes of files are, and where they should be: the one header of tiering that fs includes.
 *
 * Tiers, fastest first: ram (the kernel's page cache of what clients read natively), the caches in the order
 * they were given, home.  Home has everything; the others hold copies.
 *
 * A file of at least one extent is a blob.  fs tells of each open of one (tier_file_open), asks how it is to be
 * served, and brings gathered reads here.  Everything else happens by itself: heat, policy, filling, dropping.
 *
 * Threads: open and close are exclusive; all else may be called by any thread at once.  Calls do not wait for
 * a device, but where they say so.
 */
#ifndef TIERING_TIER_H
#define TIERING_TIER_H

#include "tiering/home.h"
#include "tiering/io.h"
#include "tiering/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define TIER_EXTENT_BYTES (1u << 20)    /* the unit of placement; files smaller than one are no blobs */
#define TIER_CACHE_MAX 4
#define TIER_MAX (TIER_CACHE_MAX + 2)

struct tier;
struct tier_file;

struct tier_cache_config {
	const char *name, *dir;
	uint64_t size;                  /* bytes */
};

/* "NAME=DIR,size=SIZE": name and dir are owned strings, given back by tier_cache_config_free.  0, -ENOMEM, or -EINVAL
 * and a line. */
int tier_parse_cache(const char *text, struct tier_cache_config *out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void tier_cache_config_free(struct tier_cache_config *c);
/* "24G", or "50%" of memory.  0, or -EINVAL and a line. */
int tier_parse_ram(const char *text, uint64_t *bytes, char *err, size_t errlen) __attribute__((warn_unused_result));

struct tier_config {
	const char *home;
	const struct io *io;            /* borrowed until tier_close, as all here is */
	const struct tier_cache_config *cache;
	unsigned caches;                /* fastest first; 0: none */
	uint64_t ram;                   /* bytes to hold at most; 0: none */
	bool native_home_only;          /* blobs on caches stay gathered */
	bool threads;                   /* no io_uring */
	unsigned tick_ms;               /* 0: 250.  Tests have it shorter; what is counted in ticks goes with it */
	unsigned pool;                  /* 0: 96, at most 96.  Extents that gathered reads and fills have in memory */
	uint64_t cache_min;             /* 0: as cache.h has it.  The smallest cache that is taken */
	/* The pages that FUSE holds of the file are of no more use: may be called on any thread, waits for nothing. */
	void (*drop_pages)(void *ctx, uint64_t st_ino);
	void *ctx;
};

/* Open the store; its threads run from here on.  As home_open and cache_open refuse; -EINVAL for two caches of
 * one name or directory; err says which and what to do.  Lasts as long as reading the map: below 3 seconds at
 * 4 million extents. */
int tier_open(struct tier **out, const struct tier_config *cfg, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void tier_close(struct tier *t);        /* takes t; every file was closed; NULL is a no-op */

const struct home *tier_home(const struct tier *t);
const struct io *tier_io(const struct tier *t);

/* ---- tiers by number ---- */
unsigned tier_count(const struct tier *t);              /* 2 and the caches; 0 is ram, the last one home */
const char *tier_name(const struct tier *t, unsigned id);
int tier_find(const struct tier *t, const char *name);  /* or -ENOENT */

/* ---- open files ---- */
struct tier_open {
	int fd;                         /* on home, with the client's access mode; borrowed for the call */
	const struct stat *st;
	const char *path;               /* below home, or "" where it has none */
	pid_t pid;                      /* of the client; 0: not known */
	bool writes;
};

/* A blob's open.  0 and the file; -ENOENT when st is no blob (not regular, too small): such a file is served from
 * home.  Waits for the cache disks that have copies of it, when it is the first to open it. */
int tier_file_open(struct tier *t, const struct tier_open *how, struct tier_file **out) __attribute__((warn_unused_result));
void tier_file_close(struct tier_file *f);              /* NULL is a no-op */

enum tier_serve {
	TIER_SERVE_HOME,                /* natively from home's file */
	TIER_SERVE_COPY,                /* natively from a complete copy */
	TIER_SERVE_GATHER               /* by tier_file_read */
};
/* How the next first open is best served, and in *token which copy that means (0 but for TIER_SERVE_COPY).  A
 * later open of the same node compares: another answer means that the node's mode is out of date. */
enum tier_serve tier_file_serve(struct tier_file *f, uint64_t *token);
/* For TIER_SERVE_COPY: a descriptor for the kernel, the caller's, open read-only on that copy; -ESTALE when it is
 * gone meanwhile: ask anew. */
int tier_file_copy_fd(struct tier_file *f, uint64_t token) __attribute__((warn_unused_result));
/* Tell what the open became; home_fd is the open file of home, borrowed. */
void tier_file_served(struct tier_file *f, enum tier_serve how, uint64_t token, int home_fd);

/* Read len (at most 1 MiB) bytes at off.  done is called once, on any thread, maybe before this returns, with
 * 0 and the bytes (shorter only at the end of the file), or negative errno.  The bytes are valid until done
 * returns.  done must not call tier_file_close of this file, nor wait. */
typedef void (*tier_read_done)(void *ctx, int rc, const struct iovec *iov, int niov);
void tier_file_read(struct tier_file *f, uint64_t off, uint32_t len, tier_read_done done, void *ctx);
/* Whether nobody has home's file, open as fd, open for writing or mapped writable; false where that cannot be known. */
bool tier_file_is_sealed(struct tier_file *f, int fd);
/* Whether reads are to come here: false while somebody has the file open for writing. */
bool tier_file_gathers(struct tier_file *f);

/* ---- changes of home through the mount ---- */
/* We changed its bytes or size; st is what the file is now. */
void tier_data_changed(struct tier *t, const struct stat *st);
/* A change of its names, owner, mode, times (Ollama does that to a blob it has just sealed) or attributes lies between
 * these two, on one thread.  Its bytes are those of before when a read lease stood all the while (or, where there are no
 * leases, when its time is that of before); else its copies are compared before they are used again. */
struct tier_meta {
	struct stat before;             /* for the caller too, when tier_meta_begin returned 0 */
	struct lease *lease;
	bool no_leases;
};
/* fd: open on the file, O_PATH will do, the caller's.  0, or what fstat says; *m is filled in any case. */
int tier_meta_begin(struct tier *t, int fd, struct tier_meta *m) __attribute__((warn_unused_result));
/* after: what the file is now; NULL: nothing was changed.  Once for each begin. */
void tier_meta_end(struct tier *t, struct tier_meta *m, const struct stat *after);
/* The file's last name is gone. */
void tier_gone(struct tier *t, uint64_t st_ino);
/* A rename ended the writing of the file (Ollama's seal); pid did it. */
void tier_sealed(struct tier *t, uint64_t st_ino, const char *path, pid_t pid);

/* ---- asking ---- */
struct tier_usage {
	uint64_t bytes[TIER_MAX];       /* by tier number */
};
/* Bytes of a regular file of home on each tier.  fd is open for reading, st is its stat. */
int tier_usage_of(struct tier *t, int fd, const struct stat *st, struct tier_usage *out)
	__attribute__((warn_unused_result));
/* "ram=N nvme=N home=N", as user.hearth.tier and the command print it.  Returns as snprintf. */
int tier_usage_print(const struct tier *t, const struct tier_usage *u, char *buf, size_t cap);

/* The extents of a file and where they are, as text:
 *     extent BYTES count N
 *     FIRST COUNT TIER[+TIER...]
 * a line each run of extents that lie on the same tiers, in order.  An extent is on ram when all of
 * it is resident, on home when home's file has any data there, on "none" where the file has a hole.
 * Returns 0 and an owned, terminated string in *out. */
int tier_map_print(struct tier *t, int fd, const struct stat *st, char **out)
	__attribute__((warn_unused_result));

/* Each an owned string in *out; 0, -ENODATA when the file is no blob or nothing is known of it, -ENOMEM. */
int tier_heat_print(struct tier *t, const struct stat *st, char **out) __attribute__((warn_unused_result));
int tier_why_print(struct tier *t, const struct stat *st, char **out) __attribute__((warn_unused_result));
int tier_warm_print(struct tier *t, const struct stat *st, char **out) __attribute__((warn_unused_result));
int tier_verified_print(struct tier *t, int fd, const struct stat *st, char **out) __attribute__((warn_unused_result));
int tier_pin_print(struct tier *t, int fd, const char *path, char **out) __attribute__((warn_unused_result));
int tier_plan_print(struct tier *t, char **out) __attribute__((warn_unused_result));
int tier_events_print(struct tier *t, char **out) __attribute__((warn_unused_result));
int tier_trace_print(struct tier *t, char **out) __attribute__((warn_unused_result));

/* ---- ordering; fd is open on the file for reading, path is where it is below home ---- */
/* pin: a tier's number; -1 for none, whatever directories above say; TIER_PIN_REMOVE to have what they say. */
#define TIER_PIN_REMOVE (-2)
int tier_pin(struct tier *t, int fd, const struct stat *st, const char *path, int pin) __attribute__((warn_unused_result));
/* to: a tier's number; -1: cool, drop what is there and forget what was ordered. */
int tier_warm(struct tier *t, int fd, const struct stat *st, const char *path, int to) __attribute__((warn_unused_result));
int tier_verify(struct tier *t, int fd, const struct stat *st, const char *path, bool start) __attribute__((warn_unused_result));

/* ---- the whole ---- */
struct tier_state {
	const char *name, *dir;         /* dir NULL: ram */
	bool in_service;
	char reason[160];               /* why not */
	uint64_t size, used, pinned, locked, leaving;   /* bytes; size of home: its file system's */
	uint64_t available;             /* bytes free below what limits it */
	uint64_t reads, read_bytes;     /* served to clients from it by the daemon */
	uint64_t fills, fill_bytes;     /* extents that were copied to it */
	uint64_t drops;                 /* copies of blobs, or units, that were dropped */
	uint64_t bad_sums;              /* extents that did not match their sum */
	uint64_t errors;                /* failed calls */
	double half_life_s;
	bool soft;                      /* ram: locks are softened */
	const char *note;               /* ram: why nothing is locked; NULL */
};
void tier_state_of(struct tier *t, unsigned id, struct tier_state *out);

struct tier_move {
	char blob[128];                 /* its path, or the end of it */
	const char *to;
	uint64_t done, total;           /* bytes */
	bool ordered;
};
/* The fills under way, at most cap of them. */
size_t tier_moves(struct tier *t, struct tier_move *out, size_t cap);

#endif
