/* gather_internal.h - the pool, the queues and the devices, for the gather_*.c files. */
#ifndef TIERING_GATHER_INTERNAL_H
#define TIERING_GATHER_INTERNAL_H

#include "tiering/gather.h"
#include "tiering/ring.h"

#define GATHER_HASH 256u
#define GATHER_RUN 16u                  /* extents in a run on a disk that seeks */
#define GATHER_STREAMS 64u
#define GATHER_SECTOR 4096u
#define GATHER_FROM_HOME TIER_HOME_DEV

enum gather_state { GATHER_FREE, GATHER_QUEUED, GATHER_READING, GATHER_READY, GATHER_FAILED };

struct gather_req;

struct gather_wait {
	struct gather_wait *next;
	struct gather_req *req;
};

/* A client's read: of one extent, or of two that meet in it. */
struct gather_req {
	struct gather_req *next;        /* starved, or finished */
	struct blob *blob;
	struct gather_buf *buf[2];
	struct gather_wait wait[2];
	uint64_t off;
	uint32_t len;
	unsigned nbuf, waiting;
	enum scan_class scan;
	int rc;
	tier_read_done done;
	void *ctx;
};

struct gather_buf {
	struct gather_buf *hash_next, *queue_next;
	struct gather_buf *lru_prev, *lru_next; /* only while READY and refs is 0 */
	struct blob *blob;                      /* counted in blob->refs; NULL: free */
	struct gather_wait *waiters;
	struct ring_op op;
	unsigned char *data;                    /* TIER_EXTENT_BYTES, page aligned */
	uint32_t extent, len;
	unsigned refs;                          /* requests, a write, a fetch */
	enum gather_state state;
	enum gather_class class;
	unsigned from;                          /* the device it comes from */
	unsigned tried;                         /* devices that failed, as bits */
	unsigned to;                            /* of a write */
	bool ahead;                             /* read ahead and not used yet */
	bool fetch;                             /* fill_fetched wants to know */
	bool writing;                           /* queued or in flight */
	bool stale;                             /* forgotten: not in the hash, freed with its last ref */
	bool in_lru;
	bool early;                             /* under way when the blob's fill began: not to be written on */
	bool direct;                            /* of the read in flight */
	int fd;                                 /* of the same: home's, which blob->refs keep open, or of copy */
	struct cache_copy *copy;                /* that it is read from, referenced; NULL: home */
	uint64_t sum;                           /* of what was read, when has_sum */
	bool has_sum;
};

struct gather_queue {
	struct gather_buf *first, **last;
	unsigned count;
};

struct gather_dev {
	struct tier *tier;
	unsigned id;                            /* cache, or TIER_HOME_DEV */
	bool seeks;                             /* a disk of plates, by /sys */
	struct ring *ring;
	pthread_t thread;
	bool started;
	/* below: tier->lock */
	struct gather_queue queue[GATHER_CLASSES];
	struct blob *last_blob;                 /* of the last read submitted; only compared */
	uint32_t last_extent, run;
	unsigned depth, in_flight, background_in_flight;
	double tokens;                          /* ns that background reads may take now */
	uint64_t tokens_at, demand_at;          /* ns: of the last refill; a client last waited */
	uint64_t probe_at, health_at;
	unsigned char *sector;                  /* GATHER_SECTOR bytes, aligned; of a cache */
	uint32_t health_slot;                   /* whose copy was looked at last */
	bool stop;
};

struct gather_stream {
	struct blob *blob;
	uint32_t next;                          /* extent expected */
	uint32_t ahead;                         /* first one not asked for yet */
	uint32_t window;
	uint64_t used;
};

struct gather {
	struct tier *tier;
	struct gather_dev dev[TIER_CACHE_MAX + 1];
	struct gather_buf buf[GATHER_BUFFERS];
	unsigned buffers;                       /* of buf that there are */
	unsigned char *memory;
	struct gather_buf *hash[GATHER_HASH];
	struct gather_buf *free;                /* by queue_next */
	struct gather_buf lru;                  /* a ring; its head only */
	unsigned nfree, nlru, nahead, nwriting, nfetching;
	struct gather_req *starved, **starved_last;
	struct gather_stream stream[GATHER_STREAMS];
	uint64_t stream_clock;
};

/* gather_pool.c; all locked */
int gather_pool_new(struct gather *g, unsigned buffers) __attribute__((warn_unused_result));
void gather_pool_free(struct gather *g);
struct gather_buf *gather_pool_find(struct gather *g, const struct blob *b, uint32_t extent);
/* A buffer for the extent, referenced once, in the hash; NULL when all are busy. */
struct gather_buf *gather_pool_take(struct tier *t, struct blob *b, uint32_t extent);
void gather_pool_ref(struct gather *g, struct gather_buf *buf);
void gather_pool_unref(struct tier *t, struct gather_buf *buf);
void gather_pool_used(struct gather *g, struct gather_buf *buf);        /* a client has use of it */
void gather_pool_orphan(struct gather *g, struct gather_buf *buf);      /* found no more; freed with its last ref */
void gather_pool_drop(struct gather *g, struct gather_buf *buf);        /* found no more; freed now or then */
unsigned gather_pool_room(const struct gather *g);                      /* buffers that take would find */

/* gather.c; locked */
/* Choose where to read it from and queue it.  False when no source is left: settle it. */
bool gather_route(struct tier *t, struct gather_buf *buf, enum gather_class class);
/* The read came (rc 0), or every source failed: tell who waits, give back the read's own reference.
 * Requests that are complete are added to *out. */
void gather_settle(struct tier *t, struct gather_buf *buf, int rc, struct gather_req **out);
/* Who starved for buffers gets what there is now; requests that are complete by that are added to *out. */
void gather_feed(struct tier *t, struct gather_req **out);
/* Not locked: answer them, and those that waited for buffers. */
void gather_finish(struct tier *t, struct gather_req *list);

/* gather_stream.c; locked */
void gather_stream_hit(struct tier *t, struct blob *b, uint32_t extent);
void gather_stream_forget(struct gather *g, const struct blob *b);

/* gather_dev.c */
int gather_dev_start(struct tier *t, unsigned id) __attribute__((warn_unused_result));
void gather_dev_stop(struct tier *t, unsigned id);
void gather_queue_add(struct gather_queue *q, struct gather_buf *buf);
/* Out of whatever queue it is in; false when it was in none. */
bool gather_queue_remove(struct gather_dev *d, struct gather_buf *buf);

#endif
