/* ram_internal.h - what the files of the RAM tier share; see ram.h for what it must keep true.
 *
 * ram.c          files and orders as they are given, status
 * ram_thread.c   the thread: what is done when
 * ram_sample.c   what is resident, what came and what went
 * ram_place.c    the policy's questions and answers
 * ram_strength.c kept or locked, and touching what is kept
 * ram_order.c    pin, warm, stream: bringing units in
 * ram_budget.c   what head-room allows; softening
 * ram_room.c     what memory there is, here and in our control groups
 * ram_charge.c   whose memory a page is charged to
 * ram_hold.c     the two mappings of one file: every call on memory is here
 * ram_use.c      whether a mapping that misses nothing is used
 * ram_text.c     sizes and percents, the plan, heat as bytes
 *
 * Threads: everything in struct ram and struct ram_file is protected by ram.lock, but for what says
 * otherwise.  Only the module's thread removes files, changes units and makes calls on memory, so it may
 * let go of the lock around those and find files and units as they were.
 */
#ifndef TIERING_RAM_INTERNAL_H
#define TIERING_RAM_INTERNAL_H

#include "tiering/ram.h"

#include <pthread.h>

#define RAM_FILES 4096                  /* at once */
#define RAM_USERS 8                     /* processes told apart a file */
#define RAM_FLIGHT 1                    /* units on their way at once; the kernel's read-ahead goes before it */
#define RAM_ASKS 256                    /* in one plan */
#define RAM_MOVES 1024
#define RAM_BATCH 64                    /* units worked on between two looks at the lock */
#define RAM_PATH 320

/* ---- what memory there is ---- */

struct ram_group {
	char dir[RAM_PATH];
	uint64_t ino;                   /* of the directory: how /proc/kpagecgroup names it */
	bool v2;
	bool limited;                   /* it had a limit when it was found */
};

struct ram_room {
	const struct io *io;
	char proc[RAM_PATH], cgroup[RAM_PATH];
	struct ram_group group[32];     /* ours and those above, of both versions */
	unsigned groups;
};

/* One look.  The level named is the one with the least left over its head-room. */
struct ram_level {
	uint64_t total, available, free, headroom;
	int64_t slack;                  /* available - headroom */
	uint64_t mem_available;         /* of the machine */
	bool scarce;                    /* at some level: so little is free that the kernel is about to reclaim */
};

void ram_room_init(struct ram_room *m, const struct io *io, const char *proc, const char *cgroup);
void ram_room_find(struct ram_room *m);         /* our groups, anew */
void ram_room_read(const struct ram_room *m, struct ram_level *out);
uint64_t ram_room_total(const struct ram_room *m);      /* of the machine, or the lowest limit */
/* Whether dir, a control group's, has a limit of its own. */
bool ram_room_limited(const struct ram_room *m, const char *dir, bool v2);

/* ---- whose a page is ---- */

struct ram_charge {
	int owner, pagemap;             /* /proc/kpagecgroup, /proc/self/pagemap; -1: there is none */
	struct ram_charge_seen {
		uint64_t ino, until_ms;
		bool foreign;
	} seen[32];
	unsigned next;
};

/* 0; or -EACCES where it cannot be known whose pages are. */
int ram_charge_open(struct ram_charge *c);
void ram_charge_close(struct ram_charge *c);
/* Whether some page of [map, map + len), those set in resident[] and mapped, is charged to a group that is
 * neither ours nor above ours, and has a limit that is not ours too. */
bool ram_charge_foreign(struct ram_charge *c, const struct ram_room *m, const void *map, size_t len,
			const unsigned char *resident, uint64_t now_ms);

/* ---- files ---- */

enum ram_hold { RAM_FREE, RAM_KEPT, RAM_LOCKED };

enum ram_unit_flag {
	RAM_THERE = 1,                  /* resident at the last sample */
	RAM_KNOWN = 2,                  /* seen resident before: when it comes again it is a refault */
	RAM_OURS = 4,                   /* we asked the device for it: that it comes is no touch */
	RAM_FOREIGN = 8,                /* charged to another group that has a limit: not locked */
	RAM_BAD = 16,                   /* could not be brought in; until the next order */
};

struct ram_unit {
	struct heat heat;
	uint32_t slot;                  /* of the policy; POLICY_NONE: not held */
	uint32_t moved;                 /* tick of the last drop */
	uint32_t came;                  /* tick of the last refault */
	uint16_t kib;                   /* of a held unit: resident */
	uint16_t tried;                 /* low bits of the tick in which locking it was tried */
	uint8_t hold, flags;
	uint8_t now;                    /* the thread's own: enum ram_seen */
};

enum ram_seen { RAM_ABSENT, RAM_PARTLY, RAM_PRESENT, RAM_CAME };

struct ram_user {
	pid_t pid;
	unsigned opens, scans;
};

/* What a file becomes: the same key, other bytes. */
struct ram_next {
	int fd;
	uint64_t size, dev, ino;
	struct ram_unit *unit;
	uint32_t units;
};

struct ram_file {
	struct ram *r;
	uint64_t key, size, dev, ino;
	char *label;                    /* constant */
	int fd;
	uint32_t index;                 /* in ram.file, and of its group */
	uint32_t units;
	struct ram_unit *unit;          /* [units] */
	unsigned refs;                  /* 0: goes */
	struct ram_next *next;          /* or NULL */
	struct ram_user user[RAM_USERS];
	unsigned opens, scans;          /* scans of the opens */
	uint64_t opened_ms;             /* the last that was no scan */
	bool mapped;                    /* in use after the last close, as far as is known */
	/* orders */
	bool pin, unpin, warm, cool;
	uint32_t order_at, stream_at;   /* units done; == units: no order */
	uint64_t order_ms;              /* when the last order began */
	/* what is seen and held */
	uint64_t resident, kept, locked;
	uint32_t torn;                  /* locked units of which some is not resident */
	uint64_t sampled_ms, changed_ms;        /* the last look, and the last that saw a change */
	uint64_t busy_ms;               /* between looks while it changes: what a look takes sets it */
	uint64_t refault_ms;            /* the last; 0: none */
	uint64_t refaults;              /* units, so far */
	uint64_t referenced_ms;         /* the last look at processes' mappings */
	struct policy_why why;
	uint64_t why_unit;
	uint32_t told_admitted, told_dropped;   /* since the last event */
	/* the thread's own */
	char *lock_map, *keep_map;
	size_t map_len;
};

struct ram_flight {
	struct ram_file *f;
	uint32_t unit;
	uint64_t since_ms;
	bool hold;                      /* else streamed */
};

struct ram_release {
	struct ram_file *f;
	uint32_t unit;
	bool locked;
};

struct ram {
	/* constant */
	uint64_t budget;
	const struct io *io;
	void (*event)(void *ctx, const char *type, const char *label, const char *text);
	void (*sampled)(void *ctx, uint64_t key, uint64_t unit);
	void *ctx;
	char proc[RAM_PATH];
	unsigned tick_ms;
	uint64_t start_ms;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake, settled;
	bool stop, hurry;
	uint64_t tickets, served;       /* of ram_settle */

	struct ram_file *file[RAM_FILES];
	uint32_t files;                 /* those below it were used */

	struct policy_set set;
	struct policy_rules rules;
	struct heat_clock clock;
	uint64_t touches;               /* since the clock was advanced */

	uint64_t allowed;
	uint64_t kept, locked;
	struct ram_level level;         /* of the last look */
	int64_t lockable;               /* slack of it, less what was locked since */
	uint64_t shortage_ms, grown_ms;                 /* the last; 0: none */
	unsigned tight;                 /* looks in a row in which nothing more could be locked */
	bool soft;
	const char *why_not_locked;
	uint64_t admitted, dropped, refaults, released;

	/* the thread's own */
	struct ram_room room;
	struct ram_charge charge;
	struct ram_flight flight[RAM_FLIGHT];
	unsigned flights;
	uint64_t issue_ms;              /* before then an order waits for clients */
	struct ram_release release[RAM_MOVES];
	unsigned releases;
	struct policy_ask ask[RAM_ASKS];
	unsigned asks;
	struct policy_move move[RAM_MOVES];
};

uint64_t ram_now_ms(void);
uint32_t ram_unit_bytes(const struct ram_file *f, uint32_t i);
/* Locked, but the kernel let some of it go. */
bool ram_is_torn(const struct ram_file *f, uint32_t i);
static inline uint64_t ram_id(const struct ram_file *f, uint32_t i)
{
	return (uint64_t)f->index << 32 | i;
}

/* ---- ram_hold.c: by the thread, without the lock ---- */
int ram_hold_map(struct ram_file *f);           /* 0; -EPERM: mapped, but not to be locked; or another error */
void ram_hold_unmap(struct ram_file *f);
uint32_t ram_hold_bytes(const struct ram_file *f, uint32_t i);          /* in the cache, or on their way */
/* Read it into the cache; waits for the device.  False: it cannot be read. */
bool ram_hold_fetch(const struct ram_file *f, uint32_t i);
/* Lock what is resident.  0 and the bytes; -EAGAIN: too much of it is missing, unless force, which reads it;
 * -EXDEV: charged to others; or why it cannot be read. */
int ram_hold_lock(struct ram_file *f, uint32_t i, bool force, uint32_t *bytes);
void ram_hold_unlock(struct ram_file *f, uint32_t i);
void ram_hold_touch(struct ram_file *f, uint32_t i);                    /* what is resident, as if it were read */
void ram_hold_forget(struct ram_file *f, uint32_t i);                   /* unmap; it stays in the cache */
void ram_hold_drop_cache(struct ram_file *f, uint32_t i);               /* what nobody maps leaves the cache */

/* ---- with the lock held; those that work on memory let go of it meanwhile ---- */
void ram_set_hold(struct ram_file *f, uint32_t i, enum ram_hold hold, uint32_t bytes);
void ram_give_up(struct ram_file *f, uint32_t i);       /* a held unit leaves set and holds; released by ram_flush */
void ram_keep_only(struct ram_file *f, uint32_t i, uint32_t bytes);        /* kept, not locked; flush when releases is full */
void ram_flush(struct ram *r);                          /* carry out releases */
void ram_sample(struct ram *r, uint64_t tick, bool all);        /* the files that are due, or all in use */
bool ram_sample_busy(const struct ram *r, uint64_t now_ms);
void ram_place_ask(struct ram_file *f, uint32_t i, unsigned flags);     /* queued for ram_place_plan */
void ram_place_plan(struct ram *r);
void ram_place_tell(struct ram *r);
bool ram_wants_lock(const struct ram_file *f);
bool ram_strength(struct ram *r, uint64_t tick);        /* true: there is more to do at once */
void ram_sweep(struct ram *r, uint64_t tick);
bool ram_order(struct ram *r, uint64_t now_ms);         /* true: something is on its way or to be done */
bool ram_order_any(const struct ram *r);
void ram_order_cancel(struct ram *r, const struct ram_file *f);     /* what of it is on its way is forgotten */
uint64_t ram_order_wanted(const struct ram_file *f);                /* bytes */
void ram_budget(struct ram *r, uint64_t now_ms);
void ram_soften(struct ram *r, uint64_t now_ms);
void ram_event(struct ram *r, const char *type, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));          /* without the lock */
void *ram_thread(void *arg);
void ram_heat_restore(struct ram_file *f, const void *heat, size_t len);

/* ram_use.c: mappings of files that miss nothing, by /proc/PID/smaps */
void ram_use(struct ram *r, uint64_t now_ms);

#endif
